"""Files on disk: results kept as they come, reports that replace nothing of anybody else's.

A report's folder holds `.genimg-files`, the checksums of what was written there. A file that is not in it, or that
was changed since, belongs to somebody else.
"""

import hashlib
import json
import os
import re
import tempfile
from collections import Counter
from pathlib import Path

from genimg_lib.grade.entries import key, own_view
from genimg_lib.grade.report import Sheet, as_csv, as_gradescope, as_json, as_junit

KEPT, MANIFEST = ".genimg-results.jsonl", ".genimg-files"


class Kept:
    """The results of a folder, a line each, flushed as they come: what an interruption leaves."""

    def __init__(self, folder: Path, seed: int, timeout: float):
        self.file, self.seed, self.timeout = folder / KEPT, seed, timeout
        self.broken = ""  # why results can no longer be kept

    def load(self) -> dict[str, dict]:
        """{key: entry}; a line that was cut off is left out."""
        found = {}
        if not self.file.exists():
            return found
        for text in self.file.read_text(encoding="utf-8", errors="replace").splitlines():
            try:
                mark, entry = json.loads(text)
                found[mark] = entry | {"path": entry["path"], "score": float(entry["score"])}
            except (ValueError, TypeError, KeyError):
                continue
        return found

    def fresh(self) -> None:
        """Start anew: forget what an earlier grading kept."""
        self.file.unlink(missing_ok=True)

    def add(self, entry: dict) -> None:
        """Append one result; a full disk is remembered, not raised, and what is graded stays in memory."""
        if self.broken or entry["status"] != "graded":
            return
        mark = key(entry["sha256"], self.seed, self.timeout, entry["level"])
        data = (json.dumps([mark, entry]) + "\n").encode()
        try:
            with open(self.file, "ab") as file:
                if file.tell() and not self.ends_whole():
                    file.write(b"\n")
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            self.broken = error.strerror or str(error)

    def ends_whole(self) -> bool:
        with open(self.file, "rb") as file:
            file.seek(-1, os.SEEK_END)
            return file.read(1) == b"\n"

    def tidy(self) -> None:
        """Each result once and in order, so that two gradings leave the same bytes."""
        rows = sorted(self.load().items())
        write(self.file, "".join(json.dumps(row) + "\n" for row in rows))


def write(path: Path, text: str) -> None:
    """Put a whole file in place, or leave the old one. A half character becomes its escape."""
    made = path.with_name(f".genimg-{os.getpid()}.tmp")
    try:
        with open(made, "wb") as file:
            file.write(text.encode("utf-8", "backslashreplace"))
            file.flush()
            os.fsync(file.fileno())
        os.replace(made, path)
    except BaseException:
        made.unlink(missing_ok=True)
        raise


def slugs(names) -> dict[str, str]:
    """A file name for each student, safe on every system; two that would meet are told apart."""
    plain = {name: slug(name) for name in names}
    meet = Counter(made.casefold() for made in plain.values())
    made = {name: one if meet[one.casefold()] == 1 else marked(name, one) for name, one in plain.items()}
    if len({one.casefold() for one in made.values()}) < len(made):  # somebody is called like another's marked name
        made = {name: marked(name, one) for name, one in plain.items()}
    return made


def slug(name: str) -> str:
    plain = re.sub(r"[^\w.@-]+", "_", name).strip("._-")[:60] or "student"
    return plain + ("_" if re.fullmatch(r"(?i)(con|prn|aux|nul|com\d|lpt\d)(\..*)?", plain) else "")


def marked(name: str, plain: str) -> str:
    return f"{plain}-{digest(name.encode('utf-8', 'surrogatepass'))[:8]}"


def files(result: dict, site: str = "") -> dict[str, str]:
    """Every file of a report by its name. site: the address of the book's pages, for links."""
    from genimg_lib.grade import html

    sheet = Sheet.of(result)
    names = slugs(sheet.students)
    made = {"report.json": as_json(result), "grades.csv": as_csv(result), "junit.xml": as_junit(result),
            "index.html": html.class_page(result, sheet, names)}  # fmt: skip
    for student, name in names.items():
        mine = [own_view(entry) for entry in result["submissions"] if entry["student"] == student]
        made[f"students/{name}.html"] = html.student_page(student, mine, sheet, result, site)
        made[f"gradescope/{name}.json"] = as_gradescope(mine)
    return made


def check_folder(folder: Path, force: bool) -> None:
    """Whether a report may be written here; FileExistsError or PermissionError says why not."""
    if folder.exists() and not folder.is_dir():
        raise FileExistsError(f"{folder} is a file; --out needs a folder")
    folder.mkdir(parents=True, exist_ok=True)
    others = [path.name for path in folder.iterdir()]
    if others and not force and not {KEPT, MANIFEST} & set(others):
        raise FileExistsError(f"{folder} holds other files; give --out a new folder, or add --force")
    with tempfile.TemporaryFile(dir=folder):
        pass


def write_files(folder: Path, made: dict[str, str], force: bool) -> None:
    """Write a report; what an older one of ours left over goes, what is not ours stays."""
    manifest, ours = folder / MANIFEST, {}
    if manifest.exists():
        for row in manifest.read_text(encoding="utf-8", errors="replace").splitlines():
            ours.setdefault(row[66:], set()).add(row[:64])
    for name in made:
        path = folder / name
        if path.exists() and not force and mark_of(path) not in ours.get(name, ()):
            raise FileExistsError(f"{path} is not as this command left it: move it away, or add --force")
    marks = {name: {digest(text.encode("utf-8", "backslashreplace"))} for name, text in made.items()}
    write(manifest, rows({name: ours.get(name, set()) | marks.get(name, set()) for name in ours.keys() | marks}))
    for name in sorted(made):
        (folder / name).parent.mkdir(exist_ok=True)
        write(folder / name, made[name])
    for name in ours.keys() - made:
        path = folder / name
        if path.resolve().is_relative_to(folder.resolve()) and mark_of(path) in ours[name]:
            path.unlink()
    write(manifest, rows(marks))


def rows(marks: dict[str, set[str]]) -> str:
    return "".join(f"{mark}  {name}\n" for name in sorted(marks) for mark in sorted(marks[name]))


def mark_of(path: Path) -> str:
    return digest(path.read_bytes()) if path.is_file() else ""


def digest(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()
