"""What runs in the sandbox: a fork server without secrets, and its children, each locked down with one submission.

It stands alone: `server.BOOT` receives the sources of this file, of `wire`, `lockdown` and `checks/tools` through
its standard input and runs them, so that no file of the library is needed, or readable, where an answer runs.
"""

import ast
import asyncio
import builtins
import contextlib
import gc
import importlib
import inspect
import linecache
import math
import os
import random
import shutil
import socket
import sys
import tempfile
import threading
import time
import traceback
import types

OUTSIDE = {
    "socket.__new__": "network", "socket.connect": "network", "socket.bind": "network",
    "socket.getaddrinfo": "network", "socket.gethostbyname": "network", "urllib.Request": "network",
    "os.system": "process", "os.fork": "process", "os.forkpty": "process", "os.exec": "process",
    "os.posix_spawn": "process", "os.spawn": "process", "subprocess.Popen": "process", "pty.spawn": "process",
    "os.kill": "signal", "os.killpg": "signal", "signal.pthread_kill": "signal",
    "os.chmod": "write", "os.chown": "write", "os.remove": "write", "os.rename": "write", "os.rmdir": "write",
    "os.link": "write", "os.symlink": "write", "os.truncate": "write", "shutil.rmtree": "write",
}  # fmt: skip  audit events, and what the instructor is told of them
UNGRADED = ("genimg_lib.plot", "genimg_lib.data", "genimg_lib.recipes", "IPython.display")  # stand-ins do for these
LAST_FD = 100  # where a child keeps its channel, away from the small numbers that careless code closes


class Channel:
    """Frames over descriptors. Several threads may write; one reads."""

    def __init__(self, source: int, sink: int, wire):
        self.source, self.sink, self.wire, self.lock = source, sink, wire, threading.Lock()

    def receive(self, count: int) -> bytes:
        data = bytearray()
        while len(data) < count:
            piece = os.read(self.source, min(count - len(data), 1 << 20))
            if not piece:
                os._exit(0)  # the grader has left
            data += piece
        return bytes(data)

    def read(self):
        return self.wire.read(self.receive)

    def send(self, value) -> None:
        data = memoryview(self.wire.dumps(value))
        with self.lock:
            while data:
                data = data[os.write(self.sink, data) :]


def main(order: dict, wire, lockdown, tools) -> None:
    """Fork server or single worker, as ordered. Torch is imported by now."""
    import torch

    torch.set_num_threads(1)  # before any operation: a fork after a two-thread one would hang
    gc.enable()
    if order["forks"]:
        control = socket.socket(fileno=os.dup(0))
        tempfile.tempdir = order["room"]  # some imports ask for one, and finding it means writing
        nowhere(0)
        rules = lockdown.ruleset(order["readable"], order["writable"], order["listed"]) if order["landlock"] else None
        lockdown.prepare()
        rehearse(tools)
        gc.collect()
        gc.freeze()  # a child's collector would touch, and so copy, every page of ours
        serve_forks(control, order, rules, wire, lockdown, tools)
    else:
        channel = Channel(os.dup(0), os.dup(1), wire)
        nowhere(0, 1, 2)
        lockdown.limits(order["memory"], order["cpu"])
        seed_all()
        work(channel, tools)


def rehearse(tools) -> None:
    """Do what a submission does for the first time: import what comes late, load kernels, fill caches."""
    import torch

    seed_all()
    for dtype in (torch.float32, torch.float64):
        x = torch.randn(6, 4, dtype=dtype).requires_grad_()
        picture = torch.rand(1, 2, 8, 8, dtype=dtype)
        torch.nn.functional.conv2d(picture, picture[:, :, :3, :3])
        torch.linalg.svdvals(x), torch.linalg.eigh(x.T @ x), torch.cdist(x, x)
        torch.autograd.grad(torch.nn.functional.softmax(x @ x.T, 1).log().sum(), x)
    space, given, probe = {}, {"": {"x": x.detach()}}, "def probe(answer, x): return dict(y=answer(x))"
    run_cell({"source": "def answer(x):\n    return x.exp()", "label": "rehearsal"}, space, tools)
    run_question({"name": "answer", "probe": probe, "given": [given], "takes_data": False}, space, tools)


def seed_all() -> None:
    """Set every generator as it is at the start of a submission."""
    import numpy.random  # numpy leaves it for the first who asks
    import torch

    for seed in (random.seed, numpy.random.seed, torch.manual_seed):
        seed(0)


def nowhere(*descriptors: int) -> None:
    """Point descriptors at the null device."""
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in descriptors:
        os.dup2(null, descriptor)
    os.close(null)


# --- the fork server: it never runs a line of a submission


def serve_forks(control, order, rules, wire, lockdown, tools) -> None:
    """Obey one byte at a time: f hand out a child's socket, k kill the child, w wait for it, i import.

    The next child is forked while one works: locked down and waiting, it is out of every answer's reach.
    """
    child, spares = None, []

    def fork():
        theirs, mine = socket.socketpair()
        if not (pid := os.fork()):
            in_child(mine.detach(), order, rules, wire, lockdown, tools)
        mine.close()
        return pid, theirs

    control.send(b"r")
    nowhere(1, 2)  # until here stderr could say what went wrong
    while what := control.recv(64):
        if what[:1] == b"i":
            while spares:  # it would lack the module
                finish(spares.pop()[0])
            control.send(b"y" if imported(what[1:].decode(), order["room"]) else b"n")
        elif what == b"f":
            child, theirs = spares.pop() if spares else fork()
            with theirs:
                socket.send_fds(control, [b"y"], [theirs.fileno()])
            with contextlib.suppress(OSError):  # too many processes just now
                spares.append(fork())
        else:
            control.send(str(ended(child) if what == b"w" else 0).encode())
            finish(child)
            child = None
            if not swept(order["room"]):
                break  # a fresh server starts with a fresh folder
    for pid in filter(None, [child, *dict(spares)]):
        finish(pid)


def imported(module: str, room: str) -> bool:
    """Import a module, and clear away the caches it lays out: a room is handed over empty."""
    try:
        importlib.import_module(module)
    except Exception:
        return False
    for entry in os.scandir(room):
        shutil.rmtree(entry) if entry.is_dir(follow_symlinks=False) else os.unlink(entry)
    return True


def ended(child: int) -> int:
    """How a child that is dying ends: its exit status, below 0 for a signal; 0 should it live on for a second."""
    for _ in range(200):
        found = os.waitid(os.P_PID, child, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        if found:
            return found.si_status if found.si_code == os.CLD_EXITED else -found.si_status
        time.sleep(0.005)
    return 0


def finish(child: int) -> None:
    """End a child. Until it is waited for, its pid is its own, so that the signal cannot meet another."""
    os.kill(child, 9)
    os.waitpid(child, 0)


def swept(room: str) -> bool:
    """Empty the folder that the child could write to; False where that would take long, or fails."""
    for index, entry in enumerate(os.scandir(room)):
        if index > 100:
            return False
        if entry.is_dir(follow_symlinks=False):
            return False
        os.unlink(entry.path)
    return True


def in_child(descriptor, order, rules, wire, lockdown, tools) -> None:
    """Lock down, then work, and never return."""
    try:
        os.dup2(descriptor, LAST_FD)
        keep = rules or LAST_FD
        os.closerange(3, keep)
        os.closerange(keep + 1, LAST_FD)
        os.chdir(order["room"])
        lockdown.enter(rules, order["memory"], order["cpu"])
        rehearse(tools)  # a page is copied when it is first touched: better now, while nobody waits
        seed_all()
        work(Channel(LAST_FD, LAST_FD, wire), tools)
    finally:
        os._exit(70)


# --- one submission


def work(channel: Channel, tools) -> None:
    """Answer requests until the grader leaves."""
    space = namespace()
    watch(channel)
    while True:
        request = channel.read()
        reply = OPERATIONS[request["op"]](request, space, tools)
        try:
            channel.send({"n": request["n"], **reply})
        except Exception as error:
            channel.send({"n": request["n"], "unsendable": str(error)[:300]})


def namespace() -> dict:
    """Where cells run: a module named __main__, with a library that checks nothing."""

    def check(*args, **kwargs):
        """Checks are the grader's; here they do nothing."""

    names = "genimg_lib", "genimg_lib.checks", "IPython", "__main__"
    library, checks, ipython, main = modules = [types.ModuleType(name) for name in names]
    library.__path__, checks.__path__, ipython.__path__, library.checks = [], [], [], checks
    checks.check = checks.hint = library.show = check
    ipython.get_ipython = Nothing()
    sys.modules |= dict(zip(names, modules, strict=True))
    for name in UNGRADED:
        sys.modules[name] = module = types.ModuleType(name)
        module.__getattr__ = Nothing().__getattr__
        setattr(sys.modules[name.partition(".")[0]], name.partition(".")[2], module)
    sys.argv, sys.path = ["notebook"], [path for path in sys.path if path]
    builtins.exit = builtins.quit = sys.exit  # which Python's site module would define
    vars(main).update(__builtins__=builtins, display=check, check=check, hint=check, show=check,
                      get_ipython=Nothing())  # fmt: skip
    return vars(main)


class Nothing:
    """Stands in for what a notebook has and an answer needs not: whatever is done with it gives nothing again."""

    def __getattr__(self, name):
        if name.startswith("__"):
            raise AttributeError(name)
        return self

    def __call__(self, *args, **kwargs):
        return self

    def __getitem__(self, key):
        return self

    def __iter__(self):
        return iter(())

    def __len__(self):
        return 0


def watch(channel: Channel) -> None:
    """Tell the grader, once a kind, of attempts to reach outside. Advice to a human, no defence."""
    told, here = set(), os.getcwd() + os.sep

    def hook(event, args, O=OUTSIDE.get, writing=os.O_WRONLY | os.O_RDWR | os.O_CREAT):  # noqa: E741
        kind = O(event)
        if event == "open" and isinstance(args[0], str):
            path = os.path.abspath(args[0])
            if isinstance(args[2], int) and args[2] & writing and path != os.devnull and not path.startswith(here):
                kind = "write"
            elif path.endswith(".ipynb"):
                kind = "read"
        elif kind == "write" and isinstance(args[0], str) and os.path.abspath(args[0]).startswith(here):
            kind = None
        if kind and kind not in told:
            told.add(kind)
            channel.send({"flag": kind})

    sys.addaudithook(hook)


def run_cell(request, space, tools) -> dict:
    """Run one cell like a notebook does; what it raised, if it did, with the line of the cell."""
    source, file = request["source"], f"<{request['label']}>"
    linecache.cache[file] = len(source), None, source.splitlines(True), file
    try:
        code = compile(source, file, "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
        value = eval(code, space)
        if inspect.iscoroutine(value):
            asyncio.run(value)
    except BaseException as error:
        reply = tools.raised(error, None)
        lines = [n for frame, n in traceback.walk_tb(error.__traceback__) if frame.f_code.co_filename == file]
        number = lines[-1] if lines else getattr(error, "lineno", None)
        return reply | {"number": number if isinstance(number, int) else 0}
    return {}


def run_question(request, space, tools) -> dict:
    """Run a probe beside the answer that the cells have defined."""
    if request["name"] not in space:
        return {"missing": True}
    answer = space[request["name"]]
    if not callable(answer) and not request["takes_data"]:
        return {"uncallable": type(answer).__name__[:60] if answer is not None else ""}
    names = {name: value for name, value in vars(tools).items() if getattr(value, "__module__", "") == "tools"}
    names |= {"torch": tools.torch, "math": math, "CUT": tools.CUT}
    exec(compile(request["probe"], "<probe>", "exec"), names)
    try:
        return {"replies": [tools.run_probe(names["probe"], answer, given) for given in request["given"]]}
    except BaseException as error:  # KeyboardInterrupt and others that a probe lets through
        return {"ended": type(error).__name__[:60]}


OPERATIONS = {"cell": run_cell, "probe": run_question}
