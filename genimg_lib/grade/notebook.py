"""Read a submission: bytes that anybody may have written become cells to run, or a message that says why not.

Nothing in the file is believed but the source of its code cells. Which cells are set up, which are checked and
for how many points comes from the master; an answer is found by its `grade_id`, and where the marks were lost on
the way, by the name that its question asks for. An id in `Submission.names` with no cell of its own in
`Submission.cells` was not started. Nothing here parses or runs Python: source may be hostile to a parser.
"""

import hashlib
import json
import os
import re
import stat
from collections import Counter, defaultdict
from dataclasses import dataclass
from pathlib import Path

from genimg_lib.checks.core import digest
from genimg_lib.grade import masters
from genimg_lib.grade.magics import without_magics

LARGEST = 20 * 2**20  # bytes of a notebook
MOST_NODES = 3_000_000  # of its JSON: what a parser makes of a file can be thirty times the file
MOST_CELLS = 2_000
LONGEST = 2_000_000  # characters of source, all cells together


@dataclass(frozen=True)
class Cell:
    """One cell to run. question: the id it answers; None for setup and for the learner's own other cells."""

    source: str
    question: str | None = None


@dataclass(frozen=True)
class Submission:
    """What the grader works on. status: "graded" (that is, gradable) or "invalid", and `message` says why.

    names: question id -> the name its check judges, every question of the notebook, in reading order.
    flags: odd things seen, each a sentence. sha256: of the file's bytes.
    """

    path: str
    notebook: str | None
    cells: tuple[Cell, ...] = ()
    names: dict[str, str] = None
    status: str = "graded"
    message: str = ""
    flags: tuple[str, ...] = ()
    sha256: str = ""


class Unreadable(ValueError):
    """A file that cannot be graded; the message is for the one who handed it in."""


def read(path, root=None) -> Submission:
    """The submission in a file; `path` is shown relative to `root`, and no symlink may lie below that.

    Never raises for anything in the file or for a file that cannot be had.
    """
    path = Path(path)
    shown = show(path, root)
    try:
        data = load(path, root)
    except Unreadable as error:
        return invalid(shown, str(error))
    except (OSError, ValueError) as error:  # ValueError: a NUL in the name
        return invalid(shown, f"cannot be read: {getattr(error, 'strerror', None) or error}")
    return parse(data, shown)


def show(path: Path, root=None) -> str:
    """A path as the reports name it: relative to the root where it lies below it, with / on every system."""
    path = path.relative_to(root) if root is not None and path.is_relative_to(root) else path
    return os.fsencode(path.as_posix()).decode("utf-8", "backslashreplace")


def load(path: Path, root=None) -> bytes:
    """The bytes of a regular file below `root`, reached without a symlink; OSError or Unreadable otherwise."""
    below = path.relative_to(root).parts if root is not None and path.is_relative_to(root) else path.parts[-1:]
    at = Path(root) if root is not None and path.is_relative_to(root) else path.parent
    if ".." in below:
        raise Unreadable("leads out of its folder")
    for part in below:
        at = at / part
        kind = os.lstat(at).st_mode
        if stat.S_ISLNK(kind):
            raise Unreadable(f"{part} is a link to another place, not a file of its own")
    if not stat.S_ISREG(kind):
        raise Unreadable("is not a regular file")
    flags = os.O_RDONLY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
    with open(os.open(at, flags), "rb") as file:
        if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
            raise Unreadable("is not a regular file")
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise Unreadable(f"is larger than {LARGEST // 2**20} MiB: clear the outputs and hand it in again")
    return data


def parse(data: bytes, shown: str) -> Submission:
    """The submission in a file's bytes. Never raises."""
    mark = hashlib.sha256(data).hexdigest()
    try:
        notebook, cells, names, flags = sort(cells_of(data), shown)
    except Unreadable as error:
        return invalid(shown, str(error), mark)
    return Submission(shown, notebook, cells, names, flags=tuple(flags), sha256=mark)


def invalid(shown: str, message: str, mark: str = "") -> Submission:
    return Submission(shown, None, names={}, status="invalid", message=message, sha256=mark)


# --- JSON -> cells ------------------------------------------------------------------------------------------


def cells_of(data: bytes) -> list[dict]:
    """The cells of a notebook of format 4 as dicts of source, type, grade_id and id; Unreadable otherwise."""
    if not data.strip(b" \t\r\n\0"):
        raise Unreadable("the file is empty")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable("is not UTF-8 text, so it is no notebook") from None
    if sum(map(data.count, (b",", b"[", b"{"))) > MOST_NODES:
        raise Unreadable("holds too many parts for a notebook: clear the outputs and hand it in again")
    try:
        book = json.loads(text, object_pairs_hook=once, parse_constant=lambda name: None)
    except Unreadable:
        raise
    except (ValueError, RecursionError, MemoryError) as error:
        where = f" (line {error.lineno})" if isinstance(error, json.JSONDecodeError) else ""
        raise Unreadable(f"is not JSON, so no notebook{where}; was it cut off, or exported as a script?") from None
    if not isinstance(book, dict) or "cells" not in book and "worksheets" not in book:
        raise Unreadable("is JSON but no notebook: it has no cells")
    if book.get("nbformat") != 4 or not isinstance(book.get("cells"), list):
        found = str(book.get("nbformat"))[:20]
        raise Unreadable(f"expected a notebook of format 4 with a list of cells, got {found}: save it anew")
    if len(book["cells"]) > MOST_CELLS:
        raise Unreadable(f"holds {len(book['cells']):,} cells; {MOST_CELLS:,} are read at most")
    cells = [plain for cell in book["cells"] if (plain := plain_cell(cell))]
    if sum(len(cell["source"]) for cell in cells) > LONGEST:
        raise Unreadable(f"holds more than {LONGEST:,} characters of text and code")
    return cells


def once(pairs: list) -> dict:
    """An object whose keys differ: of two equal ones each reader would believe another."""
    found = dict(pairs)
    if len(found) < len(pairs):
        twice = Counter(key for key, _ in pairs).most_common(1)[0][0]
        raise Unreadable(f"the key {twice[:40]!r} stands twice in one object: no Jupyter writes that")
    return found


def plain_cell(cell) -> dict | None:
    """What is used of a cell, or None for what is none."""
    if not isinstance(cell, dict):
        return None
    source, kind = cell.get("source"), cell.get("cell_type")
    if isinstance(source, list) and all(isinstance(line, str) for line in source):
        source = "".join(source)
    if not isinstance(source, str) or not isinstance(kind, str):
        return None
    source = source.encode("utf-8", "replace").decode()  # half a character cannot be written, nor compiled
    source = source.replace("\r\n", "\n").replace("\r", "\n")
    name = cell.get("id") if isinstance(cell.get("id"), str) else ""
    return {"source": source, "kind": kind, "grade_id": masters.grade_id(cell), "id": name}


# --- cells -> answers ---------------------------------------------------------------------------------------


def sort(cells: list[dict], shown: str) -> tuple[str, tuple[Cell, ...], dict[str, str], list[str]]:
    """Which notebook it is, its cells in the order of running, the names to judge, and flags."""
    master, flags = recognise(cells, shown)
    answers, at = defaultdict(list), {}
    for index, cell in enumerate(cells):
        if cell["grade_id"] in master.questions:
            if cell["grade_id"] in at:
                flags.append(f"two cells named {cell['grade_id']}: the last counts")
            at[cell["grade_id"]] = index
    for id in master.questions:
        index = at.get(id)
        if index is None or master.untouched(id, cells[index]["source"]):
            other = elsewhere(cells, master, id)
            if other is not None:
                flags.append(f"{id}: answered in a cell that has lost its mark, or beside the one meant for it")
            elif index is None:
                flags.append(f"{id}: its cell is missing")
            index = other
        elif cells[index]["kind"] != "code":
            flags.append(f"{id}: its cell was no code cell any more, and counts as one")
        if index is not None:
            answers[index].append(id)
    made = [Cell(source) for source in master.setup]
    for index, cell in enumerate(cells):
        extra = cell["kind"] == "code" and not check_cell(cell) and digest(cell["source"]) not in master.shown
        if not (answers[index] or extra) or not cell["source"].strip():
            continue
        source, magic = without_magics(cell["source"])
        if magic:
            flags.append(f"cell {index + 1}: lines for IPython left out ({magic[:60]})")
        first, *others = answers[index] or [None]
        made += [Cell(source, first), *(Cell("pass", id) for id in others)]
    names = {id: question.name for id, question in master.questions.items()}
    return master.notebook, tuple(made), names, sorted(set(flags), key=flags.index)[:50]


def recognise(cells: list[dict], shown: str) -> tuple[masters.Master, list[str]]:
    """The master whose questions a notebook holds; its file's name decides only between equals."""
    known, owner, flags = masters.load(), masters.owners(), []
    stem = shown.rpartition("/")[2].removesuffix(".ipynb")
    named = [name for name in known if re.search(rf"(?<![A-Za-z0-9]){name}(?![A-Za-z0-9])", stem)]
    ids = {cell["grade_id"].removesuffix("_check") for cell in cells if cell["grade_id"]}
    votes = Counter(owner[id] for id in ids if id in owner)
    if not votes:
        votes = Counter(name for name, master in known.items() for question in master.questions.values()
                        if any(defines(cell, question, name in named) for cell in cells))  # fmt: skip
        flags += ["no cell carries its mark any more: answers are found by the names they define"] if votes else []
    if not votes:
        raise Unreadable("holds none of our questions; hand in the exercise notebook itself, with its cells")
    best = max(votes, key=lambda name: (votes[name], name in named, -list(known).index(name)))
    if named and best not in named:
        flags.append(f"the name says {named[0]}, the questions are those of {best}")
    foreign = sorted(id for id in ids if owner.get(id, best) != best)
    if foreign:
        flags.append(f"questions of another notebook left out: {', '.join(foreign)[:200]}")
    unknown = sorted(id for id in ids if id not in owner)
    if unknown:
        flags.append(f"another version of {best}: it has questions unknown here ({', '.join(unknown)[:200]})")
    return known[best], flags


def check_cell(cell: dict) -> bool:
    """Whether a cell is one of ours that checks: never run, whatever it now says."""
    return cell["grade_id"].endswith("_check") and cell["grade_id"][:-6] in masters.owners()


def defines(cell: dict, question: masters.Question, by_name: bool = True) -> bool:
    """Whether a code cell without our mark defines what a question asks for, by its name or by the cell's own id."""
    if cell["kind"] != "code" or cell["grade_id"].removesuffix("_check") in masters.owners():
        return False
    mark = rf"^(?:async +)?(?:def|class) +{question.name}\b|^{question.name}\b *="
    right_place = by_name or cell["id"] == question.id.replace("_", "-")
    return right_place and re.search(mark, cell["source"], re.M) is not None


def elsewhere(cells: list[dict], master: masters.Master, id: str) -> int | None:
    """The last cell without our mark that answers a question."""
    found = (
        index
        for index in reversed(range(len(cells)))
        if defines(cells[index], master.questions[id]) and not master.untouched(id, cells[index]["source"])
    )
    return next(found, None)
