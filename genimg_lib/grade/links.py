"""A worker as the grader sees it: something to ask, with a deadline, over a socket or over pipes."""

import secrets
import subprocess
import threading
import time

from genimg_lib.grade import wire

FLAGS = {"network", "process", "signal", "write", "read"}  # what a worker may tell of itself


class Gone(Exception):
    """The worker has ended."""


class Overdue(Exception):
    """The worker has not answered in time."""


class Worker:
    """One submission's process, seen from outside."""

    def __init__(self):
        self.number, self.flags = 0, set()

    def ask(self, request: dict, deadline: float) -> dict:
        """The reply to a request, by `time.monotonic() == deadline`; else Overdue, Gone or WireError."""
        self.number = secrets.randbits(60)  # nobody can answer before being asked
        return self.exchange(wire.dumps({"n": self.number, **request}), deadline)

    def reply(self, receive) -> dict:
        while True:
            reply = wire.read(receive)
            if type(reply) is not dict:
                raise wire.WireError("a reply that is none")
            if "flag" in reply and len(reply) == 1:
                self.flags |= {reply["flag"]} & FLAGS if type(reply["flag"]) is str else set()
            elif type(reply.get("n")) is int and reply["n"] == self.number:
                return reply


class Forked(Worker):
    """A child of the fork server, on a socket of its own."""

    def __init__(self, sandbox, sock):
        super().__init__()
        self.sandbox, self.sock = sandbox, sock

    def exchange(self, data: bytes, deadline: float) -> dict:
        def hurry():
            left = deadline - time.monotonic()
            if left <= 0:
                raise Overdue
            self.sock.settimeout(left)

        def receive(count: int) -> bytes:
            data = bytearray()
            while len(data) < count:
                hurry()
                piece = self.sock.recv(min(count - len(data), 1 << 20))
                if not piece:
                    raise Gone
                data += piece
            return bytes(data)

        try:
            hurry()
            self.sock.sendall(data)
            return self.reply(receive)
        except TimeoutError:
            raise Overdue from None
        except OSError:
            raise Gone from None

    def end(self, gone: bool = False) -> int:
        """Kill it, or let it finish dying where it is `gone`; its exit status, below 0 for a signal."""
        self.sock.close()
        return self.sandbox.finish(gone)


class Piped(Worker):
    """A process of its own, on pipes, for systems without fork: a thread waits, so that the grader need not."""

    def __init__(self, process):
        super().__init__()
        self.process = process

    def exchange(self, data: bytes, deadline: float) -> dict:
        found = []

        def receive(count: int) -> bytes:
            data = self.process.stdout.read(count)
            if len(data) < count:
                raise Gone
            return data

        def talk():
            try:
                self.process.stdin.write(data)
                self.process.stdin.flush()
                found.append(self.reply(receive))
            except (OSError, ValueError, Gone) as error:
                found.append(error if isinstance(error, wire.WireError) else Gone())

        thread = threading.Thread(target=talk, daemon=True)
        thread.start()
        thread.join(max(0, deadline - time.monotonic()))
        if not found:
            raise Overdue
        if isinstance(found[0], Exception):
            raise found[0]
        return found[0]

    def end(self, gone: bool = False) -> int:
        try:
            status = self.process.wait(1) if gone else 0
        except subprocess.TimeoutExpired:
            status = 0
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            try:
                pipe.close()
            except OSError:
                continue  # what was still to be written has no reader
        return status
