"""Drawn faces by the thousand: rendered on all cores, kept in checksummed files, read back in a moment.

A shard is one npz file of up to SHARD faces. It is written beside its place and renamed, so a render that is
cut off leaves whole shards only, and the next call goes on from there. No torch is imported here.
"""

import hashlib
import importlib.metadata
import os
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs
from tqdm import tqdm

from genimg_lib._drawn import draw

SHARD = 1_000  # faces in a file: about eight seconds of one core, the most that a cut-off render loses
FORMAT = 1  # raise it when the same call would give other pixels or labels
POOL_FROM = 100  # fewer pictures than this are drawn here: starting workers would take longer


def say(message):
    """Tell the user on stderr. Not a warning: the pictures that follow are right all the same."""
    print(f"genimg: {message}", file=sys.stderr)


# ---------------------------------------------------------------------------------------------- one shard
@cache
def version():
    """What the pixels depend on besides the arguments."""
    packages = ("dicebear-core", "dicebear-styles", "resvg_py")
    return f"{FORMAT}; " + ", ".join(f"{p} {importlib.metadata.version(p)}" for p in packages)


def cache_folder():
    """Where rendered pictures are kept: $GENIMG_CACHE, else the user's cache folder."""
    return Path(os.environ.get("GENIMG_CACHE") or platformdirs.user_cache_dir("genimg", appauthor=False))


def shard_path(folder, name, size, split, start):
    return Path(folder) / "faces" / f"{name}-{size}" / f"{split}-{start:06d}.npz"


def checksum(images, rows, stamp):
    head = repr((stamp, images.shape, rows.shape)).encode()
    return hashlib.sha256(head + images.tobytes() + rows.tobytes()).hexdigest()


def write_shard(path, images, rows):
    """Write beside the place, then rename: another reader sees the whole file or none."""
    path.parent.mkdir(parents=True, exist_ok=True)
    for stale in path.parent.glob(f".{path.name}.*.part"):  # of a killed process: none writes for an hour
        if time.time() - stale.stat().st_mtime > 3600:
            stale.unlink(missing_ok=True)
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with open(part, "wb") as file:
            np.savez_compressed(
                file, images=images, labels=rows, version=version(), sha256=checksum(images, rows, version())
            )
            file.flush()
            os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def read_shard(path, notice=say):
    """(images, labels) of a shard, or None where there is none to be trusted: then it is drawn again."""
    try:
        # Opened here, since np.load leaves the file open where it is no archive.
        with open(path, "rb") as file, np.load(file, allow_pickle=False) as shard:
            images, rows, stamp = shard["images"], shard["labels"], str(shard["version"])
            expected = str(shard["sha256"])
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        notice(f"{path} cannot be read ({error}); drawing its pictures again")
        return None
    if stamp != version():
        notice(f"{path} was drawn by other versions ({stamp}); drawing its pictures again")
        return None
    if checksum(images, rows, stamp) != expected:
        notice(f"{path} does not match its checksum; drawing its pictures again")
        return None
    return images, rows


def fill_shard(path, name, size, split, start, stop, tell=lambda count: None):
    """Make the shard at `path` hold faces start..stop-1, keeping what it has. Returns (images, labels)."""
    kept = read_shard(path, notice=lambda message: None)  # whoever ordered this has told the user
    have = 0 if kept is None else len(kept[0])
    faces = []
    for number in range(start + have, stop):
        faces.append(draw(name, size, split, number))
        tell(1)
    if not faces:
        return kept
    images, rows = np.stack([face[0] for face in faces]), np.array([face[1] for face in faces], np.uint8)
    if kept is not None:
        images, rows = np.concatenate([kept[0], images]), np.concatenate([kept[1], rows])
    write_shard(path, images, rows)
    return images, rows


# ---------------------------------------------------------------------------------------------- many faces
def worker(arguments):
    """The child's main program: fill one shard and print a dot a picture."""
    path, name, size, split, start, stop = arguments
    # Where Jupyter is installed, dicebear's jsonschema builds a grammar for IRIs: two seconds for nothing.
    sys.modules.setdefault("rfc3987_syntax", None)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # an exit that still removes the half file

    def tell(count):
        sys.stdout.write("." * count)
        sys.stdout.flush()

    fill_shard(Path(path), name, int(size), split, int(start), int(stop), tell)


def cores():
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else (os.cpu_count() or 1)


def _in_pool(jobs, bar):
    """Fill shards in child interpreters, one a core.

    Children are started by command line rather than by multiprocessing, whose spawned children first import
    the caller's main program again: that fails in a script without a __main__ guard, and on stdin.
    """
    code = "import sys; from genimg_lib._shards import worker; worker(sys.argv[1:])"
    places = [str(Path(__file__).resolve().parent.parent), os.environ.get("PYTHONPATH")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join(filter(None, places))}
    children, stopped = [], []

    def run(job):
        if stopped:
            return None
        child = subprocess.Popen(
            [sys.executable, "-P", "-c", code, *map(str, job)],
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, env=env,
        )  # fmt: skip
        children.append(child)
        said = b""
        with child:
            while chunk := child.stdout.read1():
                bar.update(chunk.count(b"."))
                said += chunk.lstrip(b".")
        return (child.returncode, said.decode(errors="replace"))

    with ThreadPoolExecutor(min(cores(), len(jobs))) as pool:
        try:
            ends = list(pool.map(run, jobs))
        except BaseException:  # Ctrl-C too: leave no child behind, then let it pass
            stopped.append(True)
            for child in children:
                child.terminate()
            raise
    for job, (status, said) in zip(jobs, ends, strict=True):
        if status:
            raise OSError(f"drawing {job[0]} failed with status {status}:\n{said.strip()[-2000:]}")


def unwritable(folder):
    """Why nothing can be written in `folder` (it is made where missing), or "" where all is well."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return ""
    except OSError as error:
        return str(error)


def render(name, size, split, n):
    """(images (n, C, size, size) uint8, labels (n, A) uint8): read from the cache, drawn where missing."""
    folder, shards, missing = cache_folder(), {}, {}
    for start in range(0, n, SHARD):
        stop = min(start + SHARD, n)
        kept = read_shard(shard_path(folder, name, size, split, start))
        if kept is None or len(kept[0]) < stop - start:
            missing[start] = stop - start - (0 if kept is None else len(kept[0]))
        else:
            shards[start] = kept
    if missing:
        problem = unwritable(folder)
        if problem:
            say(
                f"the cache {folder} cannot be written ({problem}), so the pictures are drawn for this call"
                " only; set GENIMG_CACHE to a folder of yours to keep them"
            )
        with tempfile.TemporaryDirectory(prefix="genimg-") if problem else nullcontext(folder) as place:
            jobs = [
                (shard_path(place, name, size, split, start), name, size, split, start, min(start + SHARD, n))
                for start in missing
            ]
            total = sum(missing.values())
            with tqdm(
                total=total, desc=f"drawing {name} {size}x{size} ({split})", unit="face",
                file=sys.stderr, disable=not sys.stderr.isatty(),
            ) as bar:  # fmt: skip
                if cores() > 1 and total >= POOL_FROM and sys.executable:
                    _in_pool(jobs, bar)
                # Read what the workers wrote; draw what is still missing (all of it, without workers).
                for job in jobs:
                    shards[job[4]] = fill_shard(*job, tell=bar.update)
    images, rows = (np.concatenate([shards[start][k] for start in sorted(shards)])[:n] for k in (0, 1))
    return images, rows
