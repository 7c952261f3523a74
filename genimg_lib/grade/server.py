"""The process in which answers run: what it may see, and how it is started. Nothing here needs torch.

A fork server takes seconds to import torch. So `genimg grade` starts one first of all, by `ahead`, and imports what
it needs itself in the meantime.
"""

import json
import os
import shutil
import socket
import subprocess
import sys
import sysconfig
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

import genimg_lib
from genimg_lib.grade import lockdown

MEMORY, CPU = 1536 << 20, 3600  # bytes of private memory (torch takes 180 MiB), seconds: the deadlines come first
PATIENCE = 120  # seconds for Python to import torch on a slow disk
ROOM = "/room"  # the one folder a child may write to, in bubblewrap: 64 MiB in memory
LIBRARY = Path(genimg_lib.__file__).resolve().parent
SYSTEM = ("/lib", "/lib64", "/usr/lib", "/usr/lib64", "/usr/local/lib", "/etc/ld.so.cache", "/etc/alternatives",
          "/proc/cpuinfo", "/sys/devices/system/cpu")  # fmt: skip  without the last two torch rounds differently
# A fork copies the table of the parent's pages: with large ones, which glibc then asks for, in a third of the time.
LARGE_PAGES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1", "PYTHONMALLOC": "malloc"}

BOOT = """
import gc, json, os, sys, types
if os.name == "nt":
    import msvcrt
    for fd in (0, 1): msvcrt.setmode(fd, os.O_BINARY)
def take(n):
    data = b""
    while len(data) < n:
        piece = os.read(0, n - len(data))
        if not piece: raise SystemExit("no orders")
        data += piece
    return data
gc.disable()  # what imports make is there to stay
order = json.loads(take(int.from_bytes(take(4), "big")))
sys.path += [path for path in order["path"] if path not in sys.path]
parts = {}
for name, source in order.pop("sources").items():
    parts[name] = types.ModuleType(name)
    exec(compile(source, f"<{name}>", "exec"), vars(parts[name]))
parts.pop("worker").main(order, **parts)
"""


class Launched(NamedTuple):
    """A fork server that was started and is importing; it says when it is ready."""

    process: subprocess.Popen
    control: socket.socket


EARLY: list[Launched] = []  # what `ahead` has started and nobody has taken yet


def launch(level: str, room: str) -> Launched:
    """Start a fork server at the level "bwrap" or "lockdown"; `room` is the folder of the latter. OSError if not."""
    if EARLY and level == "bwrap":
        return EARLY.pop()
    bwrap = shutil.which("bwrap") if level == "bwrap" else None
    trees, listed = readable(private())
    room = ROOM if bwrap else room
    size = ["--size", str(64 << 20)] if bwrap and "--size" in said_by(bwrap, "--help") else []
    order = {"forks": True, "room": room, "landlock": not bwrap or not lockdown.missing(),
             "readable": [*map(str, trees), "/dev/urandom", room],
             "listed": list(map(str, listed)), "writable": ["/dev/null", *([room] if size else [])]}  # fmt: skip
    command = [os.path.realpath(base_python()), "-s", "-S", "-P", "-B", "-c", BOOT]
    if bwrap:
        command = [*bubble(bwrap, trees, size), *command]
    control, theirs = socket.socketpair()
    with theirs:
        process = subprocess.Popen(command, stdin=theirs, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                   env=surroundings(room) | LARGE_PAGES, cwd="/" if bwrap else room,
                                   start_new_session=True)  # fmt: skip
    control.settimeout(PATIENCE)
    with suppress(OSError):  # it has ended already: who waits for it reads why
        control.sendall(orders(**order))
    return Launched(process, control)


def ahead(words: list[str]) -> None:
    """Start a fork server for the command `genimg WORDS…`, should it be one that is going to need it."""
    others = {"--help", "--level", "--scheduler"}
    if words[:1] != ["grade"] or others & {word.partition("=")[0] for word in words}:
        return
    if shutil.which("bwrap"):
        EARLY.append(launch("bwrap", ""))


# --- the paths a worker may read


def readable(hidden) -> tuple[list[Path], list[Path]]:
    """(trees to read, folders to list) of the interpreter and its packages, without what lies below `hidden`."""
    roots = {sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"), os.path.join(sys.base_prefix, "lib")}
    roots |= {os.path.realpath(base_python()), *SYSTEM, *packages()}
    trees, listed = [], []

    def add(path: Path):
        real = path.resolve()
        if real in hidden:
            return
        if any(real in place.parents for place in hidden):
            listed.append(path)
            for entry in sorted(path.iterdir()):
                add(entry)
        else:
            trees.append(path)

    for root in sorted(roots):
        if os.path.exists(root):
            add(Path(root))
    return trees, listed


def packages() -> list[str]:
    """The folders of installed packages."""
    return [path for path in sys.path if os.path.basename(path) in ("site-packages", "dist-packages")]


def base_python() -> str:
    return getattr(sys, "_base_executable", None) or sys.executable


def private() -> set[Path]:
    """What no answer may read, should it lie among the readable: the library, and the checkout it is in."""
    checkout = LIBRARY.parent
    return {LIBRARY, checkout} if (checkout / "pyproject.toml").exists() else {LIBRARY}


def surroundings(room: str) -> dict[str, str]:
    """The environment of a worker: nothing of the user's, the same hash and one thread everywhere."""
    threads = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
    homes = "HOME USERPROFILE TMPDIR TEMP TMP MPLCONFIGDIR XDG_CACHE_HOME TORCH_HOME".split()
    same = {"PYTHONHASHSEED": "0", "CUDA_VISIBLE_DEVICES": "", "MPLBACKEND": "Agg", "LANG": "C.UTF-8"}
    kept = {name: os.environ[name] for name in ("SYSTEMROOT", "LD_LIBRARY_PATH") if name in os.environ}
    return kept | threads | dict.fromkeys(homes, room) | same


def orders(**extra) -> bytes:
    """The first thing a worker reads: the sources it runs, and what it may do."""
    files = {name: LIBRARY / "grade" / f"{name}.py" for name in ("wire", "lockdown", "worker")}
    files["tools"] = LIBRARY / "checks" / "tools.py"
    sources = {name: file.read_text(encoding="utf-8") for name, file in files.items()}
    text = json.dumps({"sources": sources, "path": packages(), "memory": MEMORY, "cpu": CPU, **extra}).encode()
    return len(text).to_bytes(4, "big") + text


def bubble(bwrap: str, trees: list[Path], size: list[str]) -> list[str]:
    """The call of bubblewrap: nothing of this system but what is named here."""
    command = [bwrap, "--unshare-all", "--cap-drop", "ALL", "--die-with-parent", "--new-session"]
    for path in map(str, trees):
        command += ["--ro-bind", path, path]
    for device in ("/dev/null", "/dev/urandom"):
        command += ["--dev-bind", device, device]
    return [*command, *size, "--tmpfs", ROOM, "--remount-ro", "/", "--chdir", ROOM, "--"]


def said_by(*command: str) -> str:
    done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False)
    return done.stdout + done.stderr
