"""The rules of the house: floors, pins, notebooks as chapters, a README that agrees with the contents."""

import ast
import json
import re
import sys
import tomllib
from functools import cache
from importlib.metadata import packages_distributions
from pathlib import Path

import pytest
import yaml
from packaging.requirements import Requirement

ROOT = Path(__file__).resolve().parent.parent
LIBRARY = ROOT / "genimg_lib"
MODULES = sorted(LIBRARY.rglob("*.py"))
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
EVERY_NOTEBOOK = NOTEBOOKS + sorted(ROOT.glob("exercises/*.ipynb")) + sorted(ROOT.glob("solutions/*.ipynb"))

FLOORS = {
    0: "model nets data",
    1: "rules vae vq gan flow pixel diffusion latent",
    2: "train metrics plot edit",
    3: "recipes checks grade bank",
    4: "cli",
}
FLOOR = {name: floor for floor, names in FLOORS.items() for name in names.split()}
MAY_IMPORT_FLOOR_MATES = {"latent", "grade"}


def top(path: Path) -> str:
    """The name of the module or package directly below genimg_lib that a file belongs to."""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


def imported(path: Path) -> set[str]:
    """Every module that a file imports, absolute: "torch.nn", "genimg_lib.data"."""
    found = set()
    package = ("genimg_lib", *path.relative_to(LIBRARY).parts[:-1])
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            module = ".".join([*base, *([node.module] if node.module else [])])
            found |= {f"{module}.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.Constant) and re.fullmatch(r"genimg_lib(\.\w+)+", str(node.value)):
            found.add(node.value)  # for `later`
    return found


@cache
def house_imports() -> dict[str, set[str]]:
    """For each module or package of the library, those of the library that it imports."""
    graph: dict[str, set[str]] = {}
    for path in MODULES:
        graph.setdefault(top(path), set()).update(
            name.split(".")[1] for name in imported(path) if name.startswith("genimg_lib.")
        )
    known = set(graph)
    return {name: (targets & known) - {name, "__init__"} for name, targets in graph.items()}


def floor(name: str, above: tuple = ()) -> float:
    """A module's floor; a helper that is not in the plan stands just above what it imports."""
    if name in FLOOR:
        return FLOOR[name]
    assert name not in above, f"genimg_lib imports in a circle: {' -> '.join([*above, name])}"
    return 0.1 + max((floor(other, (*above, name)) for other in house_imports()[name]), default=-1)


@pytest.mark.parametrize("name", sorted({top(path) for path in MODULES} - {"__init__"}))
def test_a_module_imports_only_lower_floors(name):
    for other in house_imports()[name]:
        mates = name in MAY_IMPORT_FLOOR_MATES and floor(other) == floor(name)
        assert mates or floor(other) < floor(name), (
            f"genimg_lib.{name} (floor {floor(name):g}) imports genimg_lib.{other} (floor {floor(other):g})"
        )


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_library_files_stay_short(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= (450 if "checks" in path.parts else 330)


# --- pins ---------------------------------------------------------------------------------------------------


def pins(name: str) -> dict[str, str]:
    """Package name, normalised, to its exact version in a requirements file."""
    found = {}
    for line in (ROOT / name).read_text(encoding="utf-8").splitlines():
        line = line.partition("#")[0].strip()
        if line:
            package, separator, version = line.partition("==")
            assert separator and re.fullmatch(r"[\w.!+]+", version), f"{name}: {line!r} is not an exact pin"
            found[normal(package)] = version
    return found


def normal(package: str) -> str:
    return re.sub(r"[-_.]+", "-", package).lower()


@cache
def project() -> dict:
    return tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]


def test_the_lock_holds_every_direct_pin():
    lock = pins("requirements.lock")
    different = {p: (v, lock.get(p)) for p, v in pins("requirements.txt").items() if lock.get(p) != v}
    assert not different, f"(requirements.txt, requirements.lock): {different}"


def test_pyproject_agrees_with_the_pins():
    pinned = pins("requirements.txt")
    for text in project()["dependencies"] + project()["optional-dependencies"]["cluster"]:
        need = Requirement(text)
        version = pinned.get(normal(need.name))
        assert version, f"pyproject.toml needs {need.name}, and requirements.txt does not pin it"
        assert version in need.specifier, f"requirements.txt pins {version}, pyproject.toml says {text}"


def test_the_library_declares_what_it_imports():
    extras = [text for texts in project()["optional-dependencies"].values() for text in texts]
    declared = {normal(Requirement(text).name) for text in project()["dependencies"] + extras}
    owners = packages_distributions()
    for path in MODULES:
        for name in {module.split(".")[0] for module in imported(path)}:
            if name in sys.stdlib_module_names or name == "genimg_lib":
                continue
            assert {normal(owner) for owner in owners.get(name, [])} & declared, (
                f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not declare"
            )


# --- notebooks ----------------------------------------------------------------------------------------------


def cells(path: Path, kind: str) -> list[dict]:
    book = json.loads(path.read_text(encoding="utf-8"))
    return [cell | {"text": "".join(cell["source"])} for cell in book["cells"] if cell["cell_type"] == kind]


def code(cell: dict) -> ast.Module:
    """A code cell without IPython's own lines."""
    lines = [line for line in cell["text"].splitlines() if not line.lstrip().startswith(("%", "!", "?"))]
    return ast.parse("\n".join(lines))


def defined(tree: ast.Module) -> set[str]:
    return {n.name for n in tree.body if isinstance(n, ast.FunctionDef | ast.ClassDef)}


ABSOLUTE = re.compile(r"(?<![\w/.<])/(?:home|root|Users|tmp|work|opt|usr|var)/\w+|[A-Z]:\\\\Users")


def by_name(path):
    return str(path.relative_to(ROOT))


every_notebook = pytest.mark.parametrize("path", EVERY_NOTEBOOK, ids=by_name)
every_chapter = pytest.mark.parametrize("path", NOTEBOOKS, ids=by_name)


@every_notebook
def test_notebooks_are_small_and_have_fixed_ids(path):
    assert path.stat().st_size < 1_000_000, f"{path.stat().st_size:,} bytes: compress the pictures"
    book = json.loads(path.read_text(encoding="utf-8"))
    ids = [cell.get("id") for cell in book["cells"]]
    assert all(ids) and len(set(ids)) == len(ids), "every cell needs an id of its own (nbformat 4.5)"


@every_notebook
def test_stored_outputs_are_clean(path):
    for cell in cells(path, "code"):
        assert "execution" not in cell["metadata"], "stored timings: run with record_timing=False"
        for output in cell["outputs"]:
            assert output["output_type"] != "error", f"a stored error: {output.get('evalue')}"
            assert output.get("name") != "stderr", f"stored stderr: {''.join(output['text'])[:200]}"
            text = {k: v for k, v in output.get("data", {}).items() if not k.startswith("image/")}
            text = json.dumps([text, output.get("text", "")])
            found = ABSOLUTE.search(text)
            assert not found, f"an absolute path in an output: {found[0]}"


@every_chapter
def test_chapters_were_run_from_top_to_bottom(path):
    counts = [cell["execution_count"] for cell in cells(path, "code") if cell["text"].strip()]
    assert counts == list(range(1, len(counts) + 1)), f"execution counts {counts}"
    pictures = sum("image/png" in o.get("data", {}) for cell in cells(path, "code") for o in cell["outputs"])
    assert pictures >= 3, f"{pictures} pictures: a picture for each claim"


@every_chapter
def test_chapters_import_only_what_a_reader_has(path):
    allowed = set(sys.stdlib_module_names) | {"numpy", "torch", "matplotlib", "genimg_lib"}
    for cell in cells(path, "code"):
        assert "sys.path" not in cell["text"] and not re.search(r"^\s*[!%]\s*pip\b", cell["text"], re.M)
        for node in ast.walk(code(cell)):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            names += [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            assert {name.split(".")[0] for name in names} <= allowed, f"{names} is not for notebooks"


@every_chapter
def test_chapters_do_not_define_the_library_again(path):
    public = {
        name
        for module in MODULES
        if floor(top(module)) < 3
        for name in defined(ast.parse(module.read_text(encoding="utf-8")))
        if not name.startswith("_")
    }
    book = cells(path, "code")
    for index, cell in enumerate(book):
        for name in defined(code(cell)) & public:
            proofs = [c["text"] for c in book[index:] if "assert_close(" in c["text"]]
            assert any(re.search(rf"\b{name}\b", proof) for proof in proofs), (
                f"{name} is in genimg_lib: import it, show it, or prove with assert_close that yours is equal"
            )


# --- contents -----------------------------------------------------------------------------------------------


def toc_files(toc) -> list[str]:
    if isinstance(toc, dict):
        below = [entry for key in ("parts", "chapters", "sections") for entry in toc.get(key, [])]
        return [toc[key] for key in ("file",) if key in toc] + [name for e in below for name in toc_files(e)]
    return []


def test_the_readme_lists_the_chapters_that_exist():
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    pages = [page for name in toc_files(toc) for page in sorted(ROOT.glob(name.removesuffix(".md") + ".*"))]
    section = (ROOT / "README.md").read_text(encoding="utf-8").split("## Chapters")[1].split("\n## ")[0]
    assert re.findall(r"\]\(([^)]+)\)", section) == [str(page.relative_to(ROOT)) for page in pages]


def test_the_readme_links_to_files_that_exist():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    missing = [t for t in re.findall(r"\]\((?!https?:)([^)#]+)", text) if not (ROOT / t).exists()]
    assert not missing


def test_every_citation_is_in_the_bibliography():
    bibliography = (ROOT / "book" / "references.bib").read_text(encoding="utf-8")
    keys = set(re.findall(r"^@\w+\{([^,]+),", bibliography, re.M))
    texts = {page: page.read_text(encoding="utf-8") for page in (ROOT / "book").rglob("*.md")}
    texts |= {path: "\n".join(cell["text"] for cell in cells(path, "markdown")) for path in EVERY_NOTEBOOK}
    for page, text in texts.items():
        for group in re.findall(r"\{cite(?::\w+)?\}`([^`]+)`", text):
            unknown = {key.strip() for key in group.split(",")} - keys
            assert not unknown, f"{page.relative_to(ROOT)} cites {sorted(unknown)}"
