"""Doors of other tools: an nbgrader course, Gradescope's autograder as a zip file, a GitHub Classroom template.

What is written are the files of `templates/` with the exercises as handed out. `python -m genimg_lib.grade.export`
is what Gradescope's run_autograder calls.
"""

import argparse
import io
import json
import os
import re
import sys
import tomllib
import zipfile
from importlib.metadata import PackageNotFoundError, requires, version
from pathlib import Path

import genimg_lib
from genimg_lib import grade
from genimg_lib.checks.core import find as question
from genimg_lib.grade import masters, report, store

HERE = Path(__file__).parent / "templates"
LIBRARY = Path(genimg_lib.__file__).parent
PLACEHOLDER = "https://github.com/your_account_here/genimg"
CONFIG = LIBRARY.parent / "_config.yml"
LEFT_OUT = ("weights", "__pycache__")


def nbgrader(folder: Path, force: bool = False) -> list[Path]:
    """A course for nbgrader: config, a source folder a notebook, a list of students to fill in, a README."""
    names = sorted(masters.books())
    made = {"nbgrader_config.py": template("nbgrader/nbgrader_config.py"),
            "students.csv": "id,first_name,last_name,email\n",
            "README.md": template("nbgrader/README.md", assignments=", ".join(f"`{name}`" for name in names),
                                  torch=plain(version("torch")), library=installed_from(), first=names[1])}  # fmt: skip
    made |= {f"source/{name}/{name}.ipynb": masters.dumps(book) for name, book in masters.books().items()}
    return put(folder, made, force)


def classroom(folder: Path, repository: str = "", force: bool = False) -> list[Path]:
    """A template repository for GitHub Classroom: the exercises, and a workflow that grades every push.

    repository: where the workflow installs genimg from; left out, the address in _config.yml.
    """
    repository = repository or address()
    workflow = template("classroom/classroom.yml")
    workflow = workflow.replace("@TORCH@", plain(version("torch"))).replace("@REPOSITORY@", repository)
    made = {".github/workflows/classroom.yml": workflow,
            "README.md": template("classroom/README.md", repository=repository)}  # fmt: skip
    made |= {f"exercises/{name}.ipynb": masters.dumps(book) for name, book in masters.books().items()}
    return put(folder, made, force)


def gradescope(target: Path, notebooks=(), seed: int = 0, force: bool = False) -> Path:
    """Gradescope's autograder, a zip file: scripts, settings, exact versions, and the library itself."""
    path = target / "autograder.zip" if target.is_dir() else target
    if path.suffix.lower() != ".zip":
        raise ValueError(f"expected a zip file or a folder that exists, got {target}; try {target}.zip")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist; create it first")
    known(notebooks)
    texts = {name: template(f"gradescope/{name}") for name in ("setup.sh", "run_autograder")}
    texts["settings.sh"] = template("gradescope/settings.sh", notebooks=" ".join(notebooks), seed=seed)
    texts["requirements.txt"] = pinned()
    texts["library/pyproject.toml"] = template("gradescope/pyproject.toml", version=library_version())
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in texts.items():
            add(archive, name, text.encode(), 0o755 if name in ("setup.sh", "run_autograder") else 0o644)
        for file in sorted(LIBRARY.rglob("*")):
            if file.is_file() and not set(LEFT_OUT) & set(file.relative_to(LIBRARY).parts):
                add(archive, f"library/genimg_lib/{file.relative_to(LIBRARY).as_posix()}", file.read_bytes())
    refuse([path], force)
    path.write_bytes(held.getvalue())
    return path


def add(archive, name: str, data: bytes, mode: int = 0o644) -> None:
    """A file of a fixed date, so that two exports are the same bytes."""
    info = zipfile.ZipInfo(name, (2000, 1, 1, 0, 0, 0))
    info.external_attr, info.compress_type = (0o100000 | mode) << 16, zipfile.ZIP_DEFLATED
    archive.writestr(info, data)


def put(folder: Path, made: dict[str, str], force: bool) -> list[Path]:
    """Write files below a folder; none that exists is replaced unasked."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; expected a folder")
    paths = [folder / name for name in made]
    refuse(paths, force)
    for path, text in zip(paths, made.values(), strict=True):
        path.parent.mkdir(parents=True, exist_ok=True)
        store.write(path, text)
    return paths


def refuse(paths: list[Path], force: bool) -> None:
    there = [path for path in paths if path.exists() or path.is_symlink()]
    if there and not force:
        raise FileExistsError(f"{there[0]} exists; choose another place or add --force")


def template(name: str, **words) -> str:
    text = (HERE / name).read_text(encoding="utf-8")
    for word, value in words.items():
        text = text.replace("{" + word + "}", str(value))
    return text


def plain(exact: str) -> str:
    """A version without its local part: 2.13.0+cpu has no such name on PyPI."""
    return exact.partition("+")[0]


def pinned() -> str:
    """What the library needs, in the versions that are installed here."""
    file = LIBRARY.parent / "pyproject.toml"
    if file.exists():
        needs = tomllib.loads(file.read_text(encoding="utf-8"))["project"]["dependencies"]
    else:
        needs = [text for text in requires("genimg") or () if "extra ==" not in text]
    names = [re.match(r"[\w.-]+", text)[0] for text in needs]
    return "".join(f"{name}=={plain(version(name))}\n" for name in names)


def library_version() -> str:
    try:
        return version("genimg")
    except PackageNotFoundError:
        return "0"


def installed_from() -> str:
    """What to give pip for this very library."""
    return "PATH_OF_YOUR_CHECKOUT_OF_GENIMG" if CONFIG.exists() else f"'genimg @ git+{address()}'"


def address() -> str:
    """The repository's address, from the one place that has it."""
    text = CONFIG.read_text(encoding="utf-8") if CONFIG.exists() else ""
    found = re.search(r"^ *repository_url: *(\S+)", text, re.M)
    return os.environ.get("GENIMG_REPOSITORY") or (found[1] if found else PLACEHOLDER)


def known(notebooks) -> None:
    for name in notebooks:
        if name not in masters.load():
            raise ValueError(f"no notebook {name!r}; there are {', '.join(masters.load())}")


# --- on Gradescope


def results(submission: Path, notebooks, seed: int, level: str) -> dict:
    """results.json for what one student handed in: of two files of one notebook the better, 0 for a missing one."""
    known(notebooks)
    entries = grade.grade([submission], seed=seed, level=level, unsafe=level == "none")["submissions"]
    best = {entry["notebook"] or entry["path"]: entry for entry in report.best(entries)}
    for name in notebooks or ():
        most = sum(question(id).points for id in masters.load()[name].questions)
        best.setdefault(name, {"path": f"{name}.ipynb", "notebook": name, "status": "invalid", "score": 0.0,
                               "max_score": most, "questions": [], "message": "was not handed in"})  # fmt: skip
    counted = [best[name] for name in sorted(best) if not notebooks or name in notebooks]
    if not counted:
        raise ValueError(f"no notebook in {submission}")
    return json.loads(report.as_gradescope(counted))


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description="Grade one student's notebooks into Gradescope's results.json.")
    parser.add_argument("submission", type=Path)
    parser.add_argument("results", type=Path)
    parser.add_argument("--level", default="lockdown", help="of the sandbox: bwrap, lockdown, none")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--notebooks", default="", help="those that count, a space between; all if empty")
    asked = parser.parse_args(arguments)
    try:
        made = results(asked.submission, asked.notebooks.split(), asked.seed, asked.level)
    except (ValueError, OSError) as error:  # for the instructor: Gradescope then says that the autograder failed
        print(f"genimg: {error}")
        return 2
    store.write(asked.results, json.dumps(made, indent=1, ensure_ascii=False) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
