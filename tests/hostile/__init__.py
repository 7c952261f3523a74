"""Submissions that misbehave, each with the score it deserves: built from an exercise by replacing answer cells.

The answer on trial is `gaussian_kl` (2 points) of 02_vae; beside it in the same notebook stands an honest
`reparameterize` (1 point), and after it comes an honest neighbour. `answers` attack from within a cell, `files` are
notebooks that are broken themselves.
"""

import copy
import json
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent.parent
KL = "0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)"
HONEST = {
    "gaussian_kl": f"def gaussian_kl(mu, logvar):\n    return {KL}\n",
    "reparameterize": "def reparameterize(mu, logvar, eps):\n    return mu + (logvar / 2).exp() * eps\n",
}
POINTS = {"gaussian_kl": 2.0, "reparameterize": 1.0}


@dataclass(frozen=True)
class Answer:
    """An answer cell and what it deserves.

    score: for gaussian_kl. rest: for the honest answer beside it, None where the attack may hurt its own notebook.
    status: of gaussian_kl, where only one is right. quick: it hangs, so that it gets a short deadline.
    flag: words that the instructor must be shown. says: words of the message.
    """

    name: str
    source: str
    score: float = 0.0
    rest: float | None = 1.0
    status: str | None = None
    quick: bool = False
    flag: str = ""
    says: str = ""


ANSWERS: list[Answer] = []


def answer(name: str, source: str, **more) -> None:
    ANSWERS.append(Answer(name, source, **more))


def body(lines: str, before: str = "", last: str = "return mu.sum(1) * 0 + 1") -> str:
    """A wrong gaussian_kl that does something else first."""
    text = "".join(f"    {line}\n" for line in lines.strip("\n").split("\n"))
    return f"import os, sys, torch\n{before}\ndef gaussian_kl(mu, logvar):\n{text}    {last}\n"


def notebook(answers: dict[str, str]) -> dict:
    """The exercise 02_vae with these answers in their cells."""
    book = json.loads((ROOT / "exercises" / "02_vae.ipynb").read_text(encoding="utf-8"))
    for cell in book["cells"]:
        id = cell["metadata"].get("nbgrader", {}).get("grade_id")
        if id in answers:
            cell["source"] = answers[id]
    return book


def write(path: Path, book) -> Path:
    """A notebook, or any text or bytes, as a file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    data = json.dumps(book) if isinstance(book, dict) else book
    path.write_bytes(data.encode() if isinstance(data, str) else data)
    return path


def answer_cell(book: dict, id: str = "gaussian_kl") -> dict:
    return next(c for c in book["cells"] if c["metadata"].get("nbgrader", {}).get("grade_id") == id)


def changed(change) -> dict:
    """An honest notebook after `change(book)`."""
    book = copy.deepcopy(notebook(HONEST))
    change(book)
    return book


def load() -> list[Answer]:
    """Every hostile answer."""
    if not ANSWERS:
        from tests.hostile import cheats, processes, wrecks  # noqa: F401  they fill ANSWERS
    return ANSWERS
