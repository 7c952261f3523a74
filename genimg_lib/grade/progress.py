"""What a learner has done, in one text file beside the notebooks: `progress.txt`.

A line a question, sorted. Two machines' files merge by keeping all lines (git: merge=union), because of two lines
for one question the one of the later round counts, then the better score; `genimg reset` starts a new round.
"""

import os
import re
from dataclasses import dataclass, field, replace
from pathlib import Path

from genimg_lib.checks.core import QUESTIONS, load_all
from genimg_lib.grade import masters, notebook
from genimg_lib.grade.store import write

FILE = "progress.txt"
LINE = re.compile(r"(?P<id>\w+) +round=(?P<round>\d+) +score=(?P<score>[\d.]+)/[\d.]+ +hints=(?P<hints>[0-3])")
HEAD = "# genimg: how far you are. Of two lines for one question the later round counts, then the better score.\n"


@dataclass(frozen=True)
class Row:
    """How far one question is. round: 1, and one more after each reset; hints: how many were read."""

    round: int = 1
    score: float = 0.0
    tried: bool = False
    hints: int = 0


@dataclass
class Progress:
    """The rows of a folder's file; lines that mean nothing here are kept as they are."""

    folder: Path
    rows: dict[str, Row] = field(default_factory=dict)
    others: list[str] = field(default_factory=list)

    @classmethod
    def read(cls, folder: Path) -> "Progress":
        found, path = cls(folder), folder / FILE
        load_all()
        text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
        for line in text.splitlines():
            match = LINE.match(line)
            if match and match["id"] in QUESTIONS:
                score = min(float(match["score"]), QUESTIONS[match["id"]].points)
                row = Row(int(match["round"]), score, " tried" in line, int(match["hints"]))
                found.rows[match["id"]] = merged(found.rows.get(match["id"], row), row)
            elif line.strip() and not line.startswith(("#", "<<<<<<<", "=======", ">>>>>>>")):
                found.others.append(line)
        return found

    def row(self, id: str) -> Row:
        return self.rows.get(id, Row())

    def record(self, questions: list[dict]) -> None:
        """Take over graded questions; the best score of a round stays."""
        for asked in questions:
            if asked["status"] != "not_started":
                row = self.row(asked["id"])
                self.rows[asked["id"]] = replace(row, score=max(row.score, asked["score"]), tried=True)

    def hinted(self, id: str, step: int) -> None:
        self.rows[id] = replace(self.row(id), hints=max(self.row(id).hints, step))

    def restart(self, id: str) -> None:
        self.rows[id] = Row(self.row(id).round + 1)

    def done(self, id: str) -> bool:
        return self.row(id).score >= QUESTIONS[id].points

    def text(self) -> str:
        lines = []
        for id, row in self.rows.items():
            score = f"{row.score:g}/{QUESTIONS[id].points:g}"
            lines.append(f"{id} round={row.round} score={score} hints={row.hints}{' tried' if row.tried else ''}")
        return HEAD + "".join(f"{line}\n" for line in sorted({*lines, *self.others}))

    def save(self) -> None:
        """Write the file where it would change."""
        path = self.folder / FILE
        if not path.exists() or path.read_text(encoding="utf-8", errors="replace") != self.text():
            write(path, self.text())


def merged(a: Row, b: Row) -> Row:
    """Of two rows for one question the one of the later round; of one round the best of both."""
    if a.round != b.round:
        return max(a, b, key=lambda row: row.round)
    return Row(a.round, max(a.score, b.score), a.tried or b.tried, max(a.hints, b.hints))


def home(start: Path | None = None) -> Path:
    """The folder of the learner's notebooks: here, or ./exercises."""
    here = start or Path(".")
    for folder in (here, here / "exercises"):
        if (folder / FILE).exists() or any((folder / f"{name}.ipynb").exists() for name in masters.load()):
            return folder
    raise FileNotFoundError("no exercise notebook in this folder or in ./exercises; `genimg reset --all` brings them")


def touched(folder: Path) -> set[str]:
    """The questions whose cells hold an answer."""
    found = set()
    for name in masters.load():
        path = folder / f"{name}.ipynb"
        if path.exists():
            found |= {cell.question for cell in notebook.read(path, folder).cells if cell.question}
    return found


def order() -> list[str]:
    """Every question, the easiest first, and of one difficulty in the course's order."""
    rows = [
        (question.difficulty, name, place, question.id)
        for name, master in masters.load().items()
        for place, question in enumerate(master.questions.values())
    ]
    return [id for *_, id in sorted(rows)]


# --- reset --------------------------------------------------------------------------------------------------


def reset(folder: Path, ids: list[str]) -> list[str]:
    """Put the cells of some questions back as they were handed out; says what was done, a sentence a notebook."""
    said = []
    by_book: dict[str, list[str]] = {}
    for id in ids:
        by_book.setdefault(masters.owners()[id], []).append(id)
    for name, wanted in by_book.items():
        path = folder / f"{name}.ipynb"
        fresh = masters.books()[name]
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            write(path, masters.dumps(fresh))
            said.append(f"{path}: was not there, and is now, fresh")
            continue
        sent = path.read_bytes()
        book = masters.restored(sent, fresh, wanted)
        if book == sent:
            said.append(f"{path}: was as handed out already")
            continue
        kept = keep(path, sent)
        write(path, book.decode("utf-8"))
        said.append(f"{path}: {', '.join(wanted)} as handed out; what you had is in {kept.name}")
    return said


def keep(path: Path, data: bytes) -> Path:
    """A copy under the next free number: 02_vae.ipynb.backup-1, -2, …"""
    number = 1
    while True:
        copy = path.with_name(f"{path.name}.backup-{number}")
        try:
            with open(copy, "xb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except FileExistsError:
            number += 1
            continue
        return copy
