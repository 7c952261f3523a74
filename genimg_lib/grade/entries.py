"""A result's entries: what they hold beside the verdicts, what they depend on, what only neighbours explain."""

import hashlib
from functools import cache
from pathlib import Path

from genimg_lib import checks
from genimg_lib.checks.core import find as question
from genimg_lib.grade import layouts, masters
from genimg_lib.grade.notebook import Submission

VERSION = 1
SAME = "byte for byte the file of"  # and whose: for the class's page alone


def key(sha256: str, seed: int, timeout: float, level: str) -> str:
    """What a result depends on: two gradings with one key are equal."""
    return f"{VERSION} {rules()} {sha256} {seed} {timeout:g} {level}"


@cache
def rules() -> str:
    """A fingerprint of the checks and the exercises: results of an older course are not taken over."""
    parts = sorted(Path(checks.__file__).parent.glob("*.py")) + [masters.FILE]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def entry_of(found: layouts.Found, submission: Submission, result: dict) -> dict:
    """A result with whose it is; the path is always the one shown here, wherever the result was first made."""
    late = ["marked late by the download"] if found.late else []
    flags = [flag for flag in result.get("flags", []) if flag not in late]
    return {**result, "path": found.shown, "flags": flags + late, "student": found.student,
            "assignment": found.assignment, "sha256": submission.sha256}  # fmt: skip


def unusable(submission: Submission, seed: int, level: str) -> dict:
    """The entry of a submission that cannot be run: what its name promises, and no points."""
    name = submission.path.rpartition("/")[2]
    notebook = submission.notebook or next((known for known in masters.load() if known in name), None)
    most = sum(question(id).points for id in masters.load()[notebook].questions) if notebook else 0.0
    return {"path": submission.path, "notebook": notebook, "status": "invalid", "message": submission.message,
            "score": 0.0, "max_score": float(most), "questions": [], "level": level, "seed": seed,
            "flags": list(submission.flags)}  # fmt: skip


def own_view(entry: dict) -> dict:
    """The entry as its student may see it: without what names another."""
    flags = [f"{SAME} somebody else" if flag.startswith(f"{SAME} ") else flag for flag in entry["flags"]]
    return {**entry, "flags": flags}


def report_of(entries: dict[int, dict], seed: int, level: str) -> dict:
    """The whole result, in the order of the submissions."""
    rows = compared([entries[index] for index in sorted(entries)])
    return {"version": VERSION, "seed": seed, "level": level, "submissions": rows}


def compared(entries: list[dict]) -> list[dict]:
    """The entries with the flags that only their neighbours explain: one file from two, two files from one."""
    same, twice = {}, {}
    for entry in entries:
        if entry["score"] > 0:
            same.setdefault(entry["sha256"], []).append(entry)
        if entry["notebook"]:
            twice.setdefault((entry["student"], entry["assignment"], entry["notebook"]), []).append(entry)
    marked = []
    for entry in entries:
        flags = list(entry["flags"])
        others = [e["path"] for e in same.get(entry["sha256"], []) if e["student"] != entry["student"]]
        if others and entry["score"] > 0:
            flags.append(f"{SAME} {', '.join(others[:3])}" + (" and others" if others[3:] else ""))
        if len(twice.get((entry["student"], entry["assignment"], entry["notebook"]), [])) > 1:
            flags.append(f"handed in {entry['notebook']} more than once: the best counts")
        marked.append({**entry, "flags": flags})
    return marked
