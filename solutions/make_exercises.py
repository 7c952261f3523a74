"""Write exercises/ from solutions/: `make exercises`, or `python solutions/make_exercises.py [--check] [NAME …]`.

Out of an answer cell goes what stands between `### BEGIN SOLUTION` and `### END SOLUTION`; in comes
`raise NotImplementedError`, or the flawed code to repair, which the solution's cell keeps in its metadata as
`genimg: {"handed_out": "…"}`. Cells tagged `solution-only` stay behind. The result is then run, so that the stored
outputs are those of an untouched notebook: every verdict "not started".

nbgrader can do the first of these steps (and does, for a teacher who uses it: the cells carry its metadata). It
knows no flawed code and no cells of the solution alone, it drops the marks that a later round of it would look for,
and its pins clash with the book's. So this is a small generator of our own.
"""

import argparse
import copy
import json
import sys
from pathlib import Path

import nbformat

HERE = Path(__file__).parent
EXERCISES = HERE.parent / "exercises"
MASTERS = HERE.parent / "genimg_lib" / "grade" / "masters.json"  # what the grader holds a submission against
SOURCES = sorted(HERE.glob("*.ipynb"))
BEGIN, END, STUB = "### BEGIN SOLUTION", "### END SOLUTION", "raise NotImplementedError"


def without_solution(source: str, handed_out: str = "") -> str:
    """The source with every region between the marks emptied, the marks kept."""
    lines, inside = [], False
    for line in source.split("\n"):
        if line.strip() == BEGIN:
            if inside:
                raise ValueError(f"{BEGIN} stands twice without {END} between")
            inside, indent = True, line[: len(line) - len(line.lstrip())]
            lines += [line, *(handed_out.rstrip("\n").split("\n") if handed_out else [indent + STUB])]
        elif line.strip() == END:
            if not inside:
                raise ValueError(f"{END} stands without {BEGIN} before it")
            inside = False
            lines.append(line)
        elif not inside:
            lines.append(line)
    if inside:
        raise ValueError(f"{BEGIN} stands without {END} after it")
    return "\n".join(lines)


def is_answer(cell) -> bool:
    return cell.metadata.get("nbgrader", {}).get("solution", False)


def exercise_of(solution):
    """The exercise notebook of a solution notebook, without outputs."""
    notebook = copy.deepcopy(solution)
    notebook.cells = [c for c in notebook.cells if "solution-only" not in c.metadata.get("tags", [])]
    for cell in notebook.cells:
        ours = cell.metadata.pop("genimg", {})
        if is_answer(cell):
            if BEGIN not in cell.source:
                raise ValueError(f"{cell.metadata.nbgrader.grade_id}: the answer has no {BEGIN}")
            cell.source = without_solution(cell.source, ours.get("handed_out", ""))
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    return notebook


def bare(notebook) -> dict:
    """A notebook without what running it writes."""
    plain = copy.deepcopy(notebook)
    for cell in plain.cells:
        cell.pop("outputs", None)
        cell.pop("execution_count", None)
    plain.metadata.pop("language_info", None)
    return plain


def run(notebook, folder: Path):
    """Execute every cell in `folder`; an error stops it and is raised."""
    from nbclient import NotebookClient

    client = NotebookClient(notebook, timeout=300, kernel_name="python3", record_timing=False,
                            resources={"metadata": {"path": str(folder)}})  # fmt: skip
    client.execute()
    notebook.metadata.get("language_info", {}).pop("version", None)  # the patch level of whoever ran it
    return notebook


def read(path: Path):
    return nbformat.read(path, as_version=4)


def write(notebook, path: Path) -> None:
    nbformat.validate(notebook)
    path.write_text(nbformat.writes(notebook) + "\n", encoding="utf-8")


def masters() -> str:
    """The text of masters.json: every exercise without outputs, as handed out."""
    books = {source.stem: json.loads(nbformat.writes(exercise_of(read(source)))) for source in SOURCES}
    return json.dumps(books, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def main(arguments=None) -> int:
    parser = argparse.ArgumentParser(description="Write exercises/ from solutions/.")
    parser.add_argument("names", nargs="*", help="such as 02_vae; all when none is given")
    parser.add_argument("--check", action="store_true", help="write nothing; say which exercises are out of date")
    parser.add_argument("--solutions", action="store_true", help="first run the solutions and store their outputs")
    asked = parser.parse_args(arguments)
    sources = [HERE / f"{name}.ipynb" for name in asked.names] or SOURCES
    stale = []
    for source in sources:
        target = EXERCISES / source.name
        if asked.solutions and not asked.check:
            write(run(read(source), HERE), source)
        made = exercise_of(read(source))
        if asked.check:
            if not target.exists() or bare(read(target)) != bare(made):
                stale.append(source.stem)
            continue
        EXERCISES.mkdir(exist_ok=True)
        write(run(made, EXERCISES), target)
        print(f"· exercises/{target.name}")
    if not asked.check:
        MASTERS.write_text(masters(), encoding="utf-8")
    else:
        stale += [p.stem for p in sorted(EXERCISES.glob("*.ipynb")) if not (HERE / p.name).exists()]
        stale += [MASTERS.name] if MASTERS.read_text(encoding="utf-8") != masters() else []
        print(
            f"out of date: {', '.join(stale)}; run `make exercises`" if stale else "exercises/ agrees with solutions/"
        )
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main())
