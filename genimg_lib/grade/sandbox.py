"""Where submissions run: bubblewrap around a fork server whose children lock down, or less where less is possible.

Levels, strongest first: "bwrap" (an own file system, network and processes; each child behind Landlock and seccomp),
"lockdown" (each child behind Landlock and seccomp alone), "none" (a process with limits: for your own answers).
A level counts only after a worker in it has tried to break out and failed. What is weaker says why, in `Sandbox.why`.
"""

import shutil
import socket
import subprocess
import sys
import tempfile
import time
from contextlib import suppress

from genimg_lib.grade import lockdown, server, wire
from genimg_lib.grade.links import Forked, Gone, Overdue, Piped, Worker

LEVELS = ("bwrap", "lockdown", "none")
BREAK_OUT = """
import os, socket, threading
def refused(act, *args):
    try:
        act(*args)
    except OSError:
        return True
assert refused(open, {secret!r}), "the library's files can be read"
assert refused(open, os.path.join({outside!r}, "genimg-break-out"), "w"), "files can be written outside"
assert refused(socket.socket), "there is a network"
assert refused(os.kill, os.getppid(), 0), "other processes can be signalled"
def fork():
    if not os.fork():
        os._exit(0)
assert refused(fork), "processes can be started"
thread = threading.Thread(target=print)
thread.start()
thread.join()
"""


class Unavailable(Exception):
    """A level that does not work here; the message says why."""


# --- the sandbox


class Sandbox:
    """A warm fork server (at level "none": nothing yet). One submission at a time, from one thread at a time."""

    def __init__(self, level: str):
        self.level, self.why = level, ""
        self.server = self.control = None
        self.asked: list[str] = []  # modules to import again should the server have to be started anew
        self.room = "" if level == "bwrap" else tempfile.mkdtemp(prefix="genimg-room-")
        try:
            self.try_to_break_out()
        except BaseException:
            self.close()
            raise

    def __enter__(self) -> "Sandbox":
        return self

    def __exit__(self, *_):
        self.close()

    def close(self) -> None:
        self.stop()
        if self.room:
            shutil.rmtree(self.room, ignore_errors=True)

    def start(self) -> Worker:
        """A fresh worker, which has run nothing yet."""
        if self.level == "none":
            return self.start_process()
        for _ in range(2):  # a server may have ended, to throw a full folder away
            if self.server is None:
                self.start_server()
            with suppress(OSError):  # as good as no answer
                self.control.send(b"f")
                _, descriptors, _, _ = socket.recv_fds(self.control, 1, 1)
                if descriptors:
                    return Forked(self, socket.socket(fileno=descriptors[0]))
            self.stop()
        raise Unavailable("the fork server does not start again")

    def warm(self, module: str) -> bool:
        """Import a module in the server, once for all children to come; False where it cannot be had."""
        if self.level == "none" or module in self.asked:
            return True
        if self.server is None:
            self.start_server()
        try:
            self.control.send(b"i" + module.encode())
            said = self.control.recv(1)
        except OSError:
            said = b""
        if said != b"n":
            self.asked.append(module)  # a server that starts anew imports it first
        if not said:
            self.stop()
        return said == b"y"

    def finish(self, gone: bool) -> int:
        """Have the server end its child, which it can do without mistake: a child's pid stays its own until then."""
        try:
            self.control.send(b"w" if gone else b"k")
            status = self.control.recv(64)
        except OSError:
            status = b""
        if not status:
            self.stop()
        return int(status or 0)

    def start_server(self) -> None:
        self.server, self.control = server.launch(self.level, self.room)
        try:
            if self.control.recv(1) != b"r":
                raise OSError
        except OSError:
            self.server.kill()
            said = self.server.stderr.read().decode(errors="replace").strip().splitlines()
            self.server.stderr.close()
            self.stop()
            raise Unavailable(said[-1][:200] if said else "the fork server does not start") from None
        self.server.stderr.close()
        asked, self.asked = self.asked, []
        for module in asked:
            if self.server is not None:
                self.warm(module)

    def start_process(self) -> Piped:
        command = [sys.executable, "-s", "-S", "-P", "-B", "-c", server.BOOT]
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                                   env=server.surroundings(self.room), cwd=self.room)  # fmt: skip
        started = Piped(process)
        try:
            process.stdin.write(server.orders(forks=False))
            started.ask({"op": "cell", "source": "", "label": "start"}, time.monotonic() + server.PATIENCE)
        except (OSError, Gone, Overdue, wire.WireError) as error:
            started.end()
            raise Unavailable(f"a worker does not start ({type(error).__name__})") from None
        return started

    def stop(self) -> None:
        """End the server and, with it, its child."""
        if self.control is not None:
            self.control.close()
        if self.server is not None:
            try:
                self.server.wait(2)
            except subprocess.TimeoutExpired:
                self.server.kill()
                self.server.wait()
        self.server = self.control = None

    def try_to_break_out(self) -> None:
        """Unavailable where a worker of this level can do what it must not."""
        lacking = lockdown.missing() if self.level != "none" else ""
        if self.level == "bwrap" and not shutil.which("bwrap"):
            raise Unavailable("bubblewrap (the command bwrap) is not installed")
        if lacking and (self.level == "lockdown" or "Landlock" not in lacking):
            raise Unavailable(lacking)
        if self.level == "none":
            return
        source = BREAK_OUT.format(secret=str(server.LIBRARY / "__init__.py"),
                                  outside="/" if self.level == "bwrap" else tempfile.gettempdir())  # fmt: skip
        worker, status = self.start(), 0
        try:
            said = worker.ask({"op": "cell", "source": source, "label": "test"}, time.monotonic() + server.PATIENCE)
        except (Gone, Overdue, wire.WireError) as error:
            raise Unavailable(f"a worker does not start ({type(error).__name__})") from None
        finally:
            status = worker.end()
        if "raised" in said:
            raise Unavailable(f"{said.get('message') or said['raised']} (exit status {status})")


def open_sandbox(level: str | None = None) -> Sandbox:
    """The strongest level that works here, or the one asked for; ValueError where that one does not."""
    if level is not None and level not in LEVELS:
        raise ValueError(f"no level {level!r}: choose from {', '.join(LEVELS)}")
    reasons = []
    for name in LEVELS if level is None else (level,):
        try:
            sandbox = Sandbox(name)
        except Unavailable as error:
            reasons.append(f"no {name}: {error}")
            continue
        sandbox.why = "; ".join(reasons)
        return sandbox
    raise ValueError(f"level {level!r} does not work here: {reasons[0].partition(': ')[2]}")
