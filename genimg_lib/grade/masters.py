"""The exercises as handed out: what a submission is held against, and what `genimg reset` restores.

A learner works in exercises/, so those files prove nothing. `make exercises` therefore also writes
masters.json beside this file, the same notebooks without outputs, which travels with the package.
"""

import json
import re
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from genimg_lib.checks.core import NOTEBOOKS, digest, load_all

FILE = Path(__file__).parent / "masters.json"
CHECK = re.compile(r'check\("(\w+)", (\w+)\)')
EFFORT = re.compile(r"^\*difficulty (●+)○* · (\d+) minutes", re.M)


@dataclass(frozen=True)
class Question:
    """One question as its notebook shows it: the name it judges, the cell handed out, how hard, how long."""

    id: str
    name: str
    source: str
    statement: str
    difficulty: int
    minutes: int


@dataclass(frozen=True)
class Master:
    """One notebook as handed out: setup cells, digests of cells that only show, questions by id in reading order."""

    notebook: str
    setup: tuple[str, ...]  # the code before the first question
    shown: frozenset[str]  # the code that draws a picture beside a question: nothing to grade, nothing needed
    questions: dict[str, Question]

    def untouched(self, id: str, source: str) -> bool:
        """Whether an answer cell still holds what was handed out, but for comments and blank lines."""
        return digest(source) == digest(self.questions[id].source)


@cache
def load() -> dict[str, Master]:
    """Every master, by the notebook's name."""
    known = load_all()
    masters = {}
    for notebook, book in sorted(books().items()):
        setup, shown, questions, statement, answers = [], [], {}, "", {}
        for cell in book["cells"]:
            id, source = grade_id(cell), "".join(cell["source"])
            if cell["cell_type"] == "markdown":
                statement = source
            elif id in known:
                effort = EFFORT.search(statement)
                answers[id] = source, statement, len(effort[1]) if effort else 1, int(effort[2]) if effort else 10
            elif found := CHECK.fullmatch(source.strip()):
                questions[found[1]] = Question(found[1], found[2], *answers[found[1]])
            else:
                (shown if answers or EFFORT.search(statement) else setup).append(source)
        masters[notebook] = Master(notebook, tuple(setup), frozenset(map(digest, setup + shown)), questions)
    return masters


def books() -> dict[str, dict]:
    """The notebooks themselves, as JSON."""
    found = json.loads(FILE.read_text(encoding="utf-8"))
    return {name: book for name, book in found.items() if name in NOTEBOOKS}


@cache
def owners() -> dict[str, str]:
    """The notebook of each question, by the question's id."""
    return {id: name for name, master in load().items() for id in master.questions}


def grade_id(cell: dict) -> str:
    """The id that nbgrader's metadata give a cell, or ""."""
    metadata = cell.get("metadata")
    marks = metadata.get("nbgrader") if isinstance(metadata, dict) else None
    id = marks.get("grade_id") if isinstance(marks, dict) else None
    return id if isinstance(id, str) else ""


def dumps(book: dict) -> str:
    """A notebook as Jupyter writes it."""
    return json.dumps(book, indent=1, ensure_ascii=False, sort_keys=True) + "\n"


def restored(data: bytes, master: dict, ids: list[str]) -> bytes:
    """A learner's notebook with the answer cells of some questions as handed out, all else as it was.

    A cell that is missing is put before its check, or at the end with its check; a file that is no notebook any more
    is replaced by the master.
    """
    try:
        book = json.loads(data)
        cells = [cell for cell in book["cells"] if isinstance(cell, dict)]
    except (ValueError, KeyError, TypeError, RecursionError):
        return dumps(master).encode()
    handed = {grade_id(cell): cell for cell in master["cells"] if grade_id(cell)}
    changed = False
    for id in ids:
        places = [i for i, cell in enumerate(cells) if grade_id(cell) == id]
        check = next((i for i, cell in enumerate(cells) if grade_id(cell) == f"{id}_check"), None)
        if ["".join(cells[i].get("source", "")) for i in places] == ["".join(handed[id]["source"])]:
            continue
        changed = True
        if places:
            cells[places[-1]] = {**handed[id], "id": cells[places[-1]].get("id", handed[id]["id"])}
            cells = [cell for i, cell in enumerate(cells) if i not in places[:-1]]
        elif check is not None:
            cells.insert(check, handed[id])
        else:
            cells += [handed[id], handed[f"{id}_check"]]
        for cell in cells:
            if grade_id(cell) == f"{id}_check" and cell.get("outputs"):
                cell["outputs"], cell["execution_count"] = [], None
    return dumps(book | {"cells": cells}).encode("utf-8", "backslashreplace") if changed else data
