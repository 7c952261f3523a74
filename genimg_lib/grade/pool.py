"""Deal submissions out to sandboxes: to one or two from threads of this process, to more from processes of their own.

A thread mostly waits for its sandbox, but verdicts are computed out here, and threads compute one at a time: one more
than there are sandboxes, so that a sandbox runs the next submission while the last is judged. Where a process or a
sandbox breaks down, what it held is graded once more in a fresh one; no answer pays for that.
"""

import multiprocessing
import os
import queue
import signal
import threading
from concurrent.futures import FIRST_COMPLETED, ProcessPoolExecutor, ThreadPoolExecutor, wait
from concurrent.futures.process import BrokenProcessPool
from itertools import islice
from multiprocessing.util import Finalize

from genimg_lib.grade import sandbox, session
from genimg_lib.grade.entries import entry_of, key, unusable
from genimg_lib.grade.notebook import Submission

THREADS = 2  # sandboxes that one process can serve
WORTH = 100  # notebooks for which another sandbox pays: to open one takes a processor seconds
PATIENCE = 1.0  # seconds that a submission waits for a sandbox before another is opened after all: something hangs
BREAKDOWN = (OSError, RuntimeError, ValueError, sandbox.Unavailable)


class Work:
    """The submissions of one call, and the sandboxes that grade them."""

    def __init__(self, found, seed, timeout, level, unsafe, done, lent=None, on_open=None):
        self.found, self.seed, self.timeout, self.done = found, seed, timeout, done
        self.asked, self.level, self.why, self.unsafe = level, level or "", "", unsafe
        self.lent, self.on_open = lent, on_open or (lambda level, why: None)

    def results(self, jobs: int | None):
        """(index, entry) of every submission, as they come. jobs: sandboxes at once; None: as many as pay."""
        most = 1 if self.lent else max(1, min(jobs or os.cpu_count() or 1, len(self.found)))
        boxes = most if jobs else min(most, 1 + len(self.found) // WORTH)
        spare = max(0, min(most, THREADS) - boxes)
        first = self.lent or sandbox.open_sandbox(self.asked)
        with Threads(first, boxes, self.lent is None, spare, threads=boxes + spare + (not jobs)) as threads:
            self.level, self.why = first.level, first.why
            self.refuse_unsafe()
            self.on_open(self.level, self.why)
            if boxes <= THREADS:
                yield from self.dealt(threads, threads.count)
                return
        with Processes(boxes, self.level) as processes:
            yield from self.dealt(processes, boxes)

    def refuse_unsafe(self):
        students = {one.student for one in self.found}
        if self.level == "none" and len(students) > 1 and not self.unsafe:
            raise ValueError(
                f"here answers would run without a sandbox ({self.why or 'asked for by --level none'}), and these are "
                f"the notebooks of {len(students)} people: grade them on Linux with bubblewrap, in Docker, or, if you "
                "trust every one of them with your account, add --unsafe"
            )

    def dealt(self, pool, jobs: int):
        """Keep every sandbox busy; what needs none is done at once."""
        waiting, running, again = iter(range(len(self.found))), {}, {}
        while True:
            for index in islice(waiting, max(0, 2 * jobs - len(running))):
                submission = self.found[index].read()
                if entry := self.known(index, submission):
                    yield index, entry
                else:
                    running[pool.submit(submission, self.seed, self.timeout)] = index, submission
            if not running:
                if (index := next(waiting, None)) is None:
                    return
                waiting = iter([index, *waiting])
                continue
            ready, _ = wait(running, return_when=FIRST_COMPLETED)
            for future in ready:
                index, submission = running.pop(future)
                try:
                    result = future.result()
                except (BrokenProcessPool, *BREAKDOWN) as error:
                    again[index] = again.get(index, 0) + 1
                    if again[index] <= 2:
                        running[pool.submit(submission, self.seed, self.timeout)] = index, submission
                        continue
                    result = self.failed(submission, error)
                yield index, entry_of(self.found[index], submission, result)

    def known(self, index: int, submission: Submission) -> dict | None:
        """The entry of a submission that need not be run."""
        if submission.status == "invalid":
            return entry_of(self.found[index], submission, unusable(submission, self.seed, self.level))
        mark = key(submission.sha256, self.seed, self.timeout, self.level)
        return entry_of(self.found[index], submission, self.done[mark]) if mark in self.done else None

    def failed(self, submission: Submission, error: Exception) -> dict:
        message = f"the grader itself failed ({type(error).__name__}: {error}): grade it again"
        return {**unusable(submission, self.seed, self.level), "message": message, "unfinished": True}


class Threads:
    """Sandboxes of this process, and threads that use them."""

    def __init__(self, first, boxes: int, own: bool, spare: int = 0, threads: int | None = None):
        """first: an open sandbox. boxes: how many there shall be; spare: how many more where one is missed."""
        self.first, self.own, self.spare, self.count = first, own, spare, threads or boxes
        self.open, self.idle, self.stopped = [first] if own else [], queue.SimpleQueue(), threading.Event()
        self.lock = threading.Lock()
        for box in [first] + [None] * (boxes - 1):  # None: opened by the thread that first needs it
            self.idle.put(box)
        self.pool = ThreadPoolExecutor(self.count, thread_name_prefix="grade")

    def __enter__(self) -> "Threads":
        return self

    def __exit__(self, *_):
        """Close what was opened here, also under threads that are still at work: they find it gone."""
        self.stopped.set()
        self.pool.shutdown(wait=False, cancel_futures=True)
        for box in self.open:
            box.start = out_of_use
            box.close()

    def submit(self, *task):
        return self.pool.submit(self.run, *task)

    def run(self, submission: Submission, seed: int, timeout: float) -> dict:
        box = self.take()
        try:
            if box is None and not self.stopped.is_set():
                box = sandbox.open_sandbox(self.first.level)
                self.open.append(box)
            judge = session.collect(box, submission, seed, timeout)
        except BaseException:
            box = None if self.own else box
            raise
        finally:
            self.idle.put(box)
        return judge()

    def take(self):
        """A sandbox that nobody uses; None where one is to be opened."""
        while True:
            try:
                return self.idle.get(timeout=PATIENCE if self.spare else None)
            except queue.Empty:
                with self.lock:
                    if self.spare:
                        self.spare -= 1
                        return None


def out_of_use():
    """What a sandbox that was closed says to a thread that still wants a worker from it."""
    raise OSError("the grading was stopped")


class Processes:
    """Processes with a sandbox each."""

    def __init__(self, jobs: int, level: str):
        self.jobs, self.level, self.before = jobs, level, set(multiprocessing.active_children())
        self.pool = None

    def __enter__(self) -> "Processes":
        return self

    def __exit__(self, kind, *_):
        if kind is not None:  # not to wait for the deadlines of what is still running
            for child in set(multiprocessing.active_children()) - self.before:
                child.terminate()
        if self.pool:
            self.pool.shutdown(wait=True, cancel_futures=True)

    def submit(self, *task):
        try:
            return self.started().submit(in_process, *task)
        except BrokenProcessPool:
            self.pool = None
            return self.started().submit(in_process, *task)

    def started(self) -> ProcessPoolExecutor:
        if self.pool is None:
            spawn = multiprocessing.get_context("spawn")
            self.pool = ProcessPoolExecutor(self.jobs, mp_context=spawn, initializer=begin, initargs=(self.level,))
        return self.pool


BOX: dict = {}  # this process's own sandbox and its level


def begin(level: str) -> None:
    """Prepare a process of the pool: Ctrl-C is its parent's to handle, and its sandbox ends with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    BOX["level"] = level
    Finalize(None, close_box, exitpriority=10)


def close_box() -> None:
    if box := BOX.pop("box", None):
        box.close()


def in_process(submission: Submission, seed: int, timeout: float) -> dict:
    """Grade one submission in this process's own sandbox; also what a scheduler of your own may call after `begin`."""
    try:
        if "box" not in BOX:
            BOX["box"] = sandbox.open_sandbox(BOX["level"])
        return session.grade_submission(BOX["box"], submission, seed, timeout)
    except BaseException:
        close_box()
        raise
