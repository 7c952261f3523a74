"""Find the submissions in files, class folders and zip files, and whose each one is.

Known by their shape: `submissions/<student>/<notebook>.ipynb`, nbgrader's `submitted/<student>/<assignment>/…`,
Moodle's `<name>_<id>_assignsubmission_file_/…`, Gradescope's `submission_<id>/…`, Canvas's flat
`<name>_LATE_<id>_<id>_<file>.ipynb`, and `<name>_02_vae.ipynb`. Nothing is ever unpacked to disk.
"""

import io
import os
import re
import stat
import zipfile
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath

from genimg_lib.grade import masters, notebook

LARGEST_ZIP_IN_A_ZIP = 100 * 2**20
MOST_ENTRIES = 50_000
MOST_OF_ONE = 100  # notebooks in a zip in a zip
MOST_BYTES = 2 * 2**30  # of all notebooks of one zip, unpacked
DEEPEST = 12
WRAPPERS = ("submissions", "submitted")
EMPTY = "holds no notebook"
MOODLE = re.compile(r"(?P<student>.+?)_(?P<id>\d+)_assignsubmission_file(?:_|$)")
CANVAS = re.compile(r"(?P<student>.+?)(?P<late>_LATE)?_(?P<id>\d{2,})_\d{2,}_(?=.)")


@dataclass(frozen=True)
class Found:
    """One submission, not opened yet. `problem`: why it cannot be, already known from outside."""

    path: Path
    shown: str
    root: Path | None = None
    members: tuple[str, ...] = ()  # the way on through zip files
    student: str = ""
    id: str = ""  # what tells apart two students of one name
    assignment: str = ""
    late: bool = False
    problem: str = ""

    def read(self) -> notebook.Submission:
        """What it holds; never raises for anything in it."""
        if self.problem:
            return notebook.invalid(self.shown, self.problem)
        if not self.members:
            return replace(notebook.read(self.path, self.root), path=self.shown)
        try:
            return notebook.parse(unzipped(self.path, self.members), self.shown)
        except (OSError, ValueError, zipfile.BadZipFile, RuntimeError, NotImplementedError, EOFError) as error:
            return notebook.invalid(self.shown, f"cannot be unpacked: {error}")
        except Exception as error:  # zlib, lzma and bz2 each have errors of their own
            return notebook.invalid(self.shown, f"cannot be unpacked: {type(error).__name__}")


def find(paths) -> list[Found]:
    """Every submission below some paths, in the order of the paths and of their names."""
    paths = [Path(path) for path in paths]
    found = []
    for path in dict.fromkeys(paths):
        if not os.path.lexists(path):
            raise FileNotFoundError(f"there is no {path}; give a notebook, a folder of submissions or a zip file")
        several = "" if len(paths) == 1 else notebook.show(path) + "/"
        if path.is_dir():
            found += owned([replace(one, shown=several + one.shown) for one in inside(path)], several, path)
        elif path.suffix.lower() == ".zip":
            found += owned([replace(one, shown=several + one.shown) for one in in_zip(path, (), "", "")], several, path)
        else:
            found.append(single(path))
    return named_apart(found)


def single(path: Path) -> Found:
    """A file named on the command line: its student is in its name, or else is its folder's."""
    student, id, late = of_file(path.name)
    home = path.absolute().parent.name
    return Found(path, notebook.show(path), path.parent, student=student or folder_student(home)[0], id=id, late=late)


# --- looking ------------------------------------------------------------------------------------------------


def skipped(name: str) -> bool:
    """What systems and editors leave behind: hidden files, checkpoints, __MACOSX."""
    return name.startswith(".") or name in ("__MACOSX", "__pycache__")


def inside(root: Path, folder: Path | None = None, depth: int = 0):
    """The submissions of a folder, depth first and sorted; links are named, never followed."""
    folder = folder or root
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: os.fsencode(entry.name))
    except OSError as error:
        yield Found(folder, shown_below(folder, root), root, problem=f"cannot be opened: {error.strerror}")
        return
    empty = True
    for entry in entries:
        path = folder / entry.name
        if skipped(entry.name):
            continue
        kind = path.suffix.lower()
        if entry.is_symlink():
            if kind in (".ipynb", ".zip") or path.is_dir():
                empty = False
                what = f"{entry.name} is a link to another place, not a file of its own"
                yield Found(path, shown_below(path, root), root, problem=what)
        elif entry.is_dir(follow_symlinks=False):
            if depth < DEEPEST:
                empty = False
                yield from inside(root, path, depth + 1)
        elif kind == ".ipynb":
            empty = False
            yield Found(path, shown_below(path, root), root)
        elif kind == ".zip":
            empty = False
            prefix = shown_below(path, root) + "/"
            yield from in_zip(path, (), prefix, prefix)
    if empty and depth:
        yield Found(folder, shown_below(folder, root), root, problem=EMPTY)


def shown_below(path: Path, root: Path) -> str:
    return notebook.show(path, root)


def in_zip(path: Path, members: tuple[str, ...], prefix: str, shown: str, data: bytes | None = None):
    """The submissions of a zip file, or of one inside it."""
    whole = Found(path, prefix.rstrip("/") or notebook.show(path), members=members)
    try:
        with zipfile.ZipFile(path if data is None else io.BytesIO(data)) as archive:
            infos = archive.infolist()
            if len(infos) > MOST_ENTRIES:
                raise ValueError(f"it has {len(infos):,} entries, the limit is {MOST_ENTRIES:,}")
            wanted = [info for info in infos if wanted_entry(info)]
            if members and len(wanted) > MOST_OF_ONE:  # each is unpacked with the whole of its zip
                raise ValueError(f"it holds {len(wanted):,} notebooks, the limit of one student is {MOST_OF_ONE}")
            if sum(info.file_size for info in wanted) > MOST_BYTES:
                raise ValueError(f"its notebooks unpack to more than {MOST_BYTES // 2**30} GiB")
            for info in sorted({info.filename: info for info in wanted}.values(), key=lambda info: info.filename):
                name = info.filename.replace("\\", "/")
                one = Found(path, prefix + safe(name), members=(*members, info.filename), problem=refused(info, name))
                if one.problem or not name.lower().endswith(".zip"):
                    yield one
                elif members:
                    yield replace(one, problem="is a zip file in a zip file in a zip file: unpack it first")
                else:
                    try:
                        inner = take(archive, info, LARGEST_ZIP_IN_A_ZIP)
                    except Exception as error:  # costs this entry alone; zlib, lzma and bz2 have errors of their own
                        yield replace(one, problem=f"cannot be unpacked: {type(error).__name__}")
                        continue
                    yield from in_zip(path, (info.filename,), one.shown + "/", shown, inner)
    except zipfile.BadZipFile:
        yield replace(whole, problem="is no zip file, or was cut off")
    except (OSError, ValueError, RuntimeError, NotImplementedError, EOFError) as error:
        yield replace(whole, problem=f"cannot be unpacked: {error}")


def wanted_entry(info: zipfile.ZipInfo) -> bool:
    parts = info.filename.replace("\\", "/").split("/")
    return parts[-1].lower().endswith((".ipynb", ".zip")) and not any(skipped(p) for p in parts if p not in ("", ".."))


def refused(info: zipfile.ZipInfo, name: str) -> str:
    """Why an entry of a zip file is not looked at, or ""."""
    if name.startswith("/") or ".." in name.split("/") or re.match(r"[A-Za-z]:", name):
        return "its name leads out of the zip file"
    if stat.S_ISLNK(info.external_attr >> 16):
        return "is a link to another place, not a file of its own"
    if info.flag_bits & 1:
        return "is encrypted"
    limit = notebook.LARGEST if name.lower().endswith(".ipynb") else LARGEST_ZIP_IN_A_ZIP
    return f"unpacks to more than {limit // 2**20} MiB" if info.file_size > limit else ""


def safe(name: str) -> str:
    """An entry's name as text that cannot climb out of anything."""
    parts = [part for part in name.split("/") if part not in ("", ".", "..")]
    return "/".join(parts).encode("utf-8", "backslashreplace").decode() or "(no name)"


def take(archive: zipfile.ZipFile, info, limit: int) -> bytes:
    """An entry's bytes, at most `limit`, whatever its header claims."""
    with archive.open(info) as file:
        data = file.read(limit + 1)
    if len(data) > limit:
        raise ValueError(f"{safe(info.filename)} unpacks to more than {limit // 2**20} MiB")
    return data


def unzipped(path: Path, members: tuple[str, ...]) -> bytes:
    """The bytes of a notebook in a zip file, or in a zip file in it; of two entries of one name the last."""
    source = path
    for depth, name in enumerate(members, start=1):
        with zipfile.ZipFile(source) as archive:
            data = take(archive, name, notebook.LARGEST if depth == len(members) else LARGEST_ZIP_IN_A_ZIP)
        source = io.BytesIO(data)
    return data


# --- whose --------------------------------------------------------------------------------------------------


def owned(found: list[Found], prefix: str, root: Path) -> list[Found]:
    """The same submissions with their students, told by the folders above each."""
    ways = [list(PurePosixPath(one.shown.removeprefix(prefix)).parts) + [""] * (one.problem == EMPTY) for one in found]
    shared = os.path.commonprefix([way[:-1] for way in ways])
    above = [root.stem if root.is_file() else root.absolute().name, *shared]
    wrapper = max((i for i, folder in enumerate(above) if folder in WRAPPERS), default=None)
    if wrapper is not None:
        strip = wrapper
    else:  # the students' folders are the first that differ
        strip = len(shared) if all(len(way) > len(shared) + 1 for way in ways) else 0
    name = above[strip]
    result = []
    for one, way in zip(found, ways, strict=True):
        folders, (student, id, late) = way[strip:-1], of_file(way[-1])
        if one.problem == EMPTY and (len(folders) != 1 or len(found) == 1):
            continue  # only a student's own folder is missed
        if folders:
            student, id, late = folder_student(folders[0].removesuffix(".zip"))
        elif not student:
            student = folder_student(name)[0]
        assignment = folders[1] if name == "submitted" and len(folders) > 1 else ""
        result.append(replace(one, student=student, id=id, late=late, assignment=assignment))
    return result


def folder_student(folder: str) -> tuple[str, str, bool]:
    """(name, id, late) of the student whose folder it is."""
    for shape in (MOODLE, CANVAS):
        if match := shape.match(folder):
            return match["student"], match["id"], "late" in match.groupdict() and bool(match["late"])
    return folder, "", False


def of_file(file: str) -> tuple[str, str, bool]:
    """(name, id, late) of the student whom a file's name tells, or ("", "", False)."""
    stem = re.sub(r"\.(?:ipynb|zip)$", "", file, flags=re.I)
    if match := MOODLE.match(stem) or CANVAS.match(stem):
        return match["student"], match["id"], bool(match.groupdict().get("late"))
    names = "|".join(masters.load())
    match = re.match(rf"(?P<student>.+?)(?P<late>_LATE)?(?:_(?P<id>\d{{2,}}))?[ _-]+(?:{names})(?![A-Za-z0-9])", stem)
    return (match["student"], match["id"] or "", bool(match["late"])) if match else ("", "", False)


def named_apart(found: list[Found]) -> list[Found]:
    """Two students of one name keep their ids in it."""
    ids: dict[str, set] = {}
    for one in found:
        ids.setdefault(one.student, set()).add(one.id)
    return [
        replace(one, student=f"{one.student}_{one.id}") if one.id and len(ids[one.student]) > 1 else one
        for one in found
    ]  # fmt: skip
