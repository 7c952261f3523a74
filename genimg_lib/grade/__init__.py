"""Grade notebooks that anybody may have written: `grade(paths)` gives every one its true score.

The answers run in a sandbox that never sees a verdict; see session.py. This module deals the submissions out to
`jobs` sandboxes, one thread each, and puts the results in order. Threads are enough: they wait for sandboxes.
"""

import hashlib
import os
import queue
import threading
import warnings
from concurrent.futures import FIRST_COMPLETED, ThreadPoolExecutor, wait
from contextlib import closing
from functools import cache
from itertools import islice
from pathlib import Path

from genimg_lib import checks
from genimg_lib.checks.core import find as question
from genimg_lib.checks.core import load_all
from genimg_lib.grade import layouts, masters
from genimg_lib.grade.notebook import Submission

VERSION = 1


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while grading; `result` holds what was graded by then."""

    def __init__(self, result: dict):
        super().__init__()
        self.result = result


def grade(paths, *, seed=0, timeout=10.0, jobs=None, level=None, unsafe=False, done=None, on_result=None,
          on_open=None, sandbox=None) -> dict:  # fmt: skip
    """Grade notebooks, class folders and zip files (or what `layouts.find` found in them).

    timeout: seconds a question may take. level: "bwrap", "lockdown" or "none"; None takes the strongest that works.
    unsafe: a class may be graded at the level "none". done: {key: entry} of results to take over, see `key`.
    on_result: called with each entry as it comes; on_open: with the level and why none stronger, before the first.
    sandbox: an open one to use, and to leave open. Returns {"version", "seed", "level", "submissions": [entry, …]}
    in the order of the paths. Raises ValueError where the call was wrong, Interrupted on Ctrl-C.
    """
    found = [one for path in paths for one in ([path] if isinstance(path, layouts.Found) else layouts.find([path]))]
    load_all()
    entries: dict[int, dict] = {}
    told = on_result or (lambda entry: None)
    work = Work(found, seed, timeout, level, unsafe, done or {}, sandbox)
    work.on_open = on_open or work.on_open
    try:
        with warnings.catch_warnings():  # the filters belong to the process: no thread may find them strict
            warnings.simplefilter("ignore")
            with closing(work.results(jobs)) as results:
                for index, entry in results:
                    entries[index] = entry
                    told(entry)
    except KeyboardInterrupt:
        raise Interrupted(report_of(entries, seed, work.level)) from None
    return report_of(entries, seed, work.level)


def key(sha256: str, seed: int, timeout: float, level: str) -> str:
    """What a result depends on: two gradings with one key are equal."""
    return f"{VERSION} {rules()} {sha256} {seed} {timeout:g} {level}"


@cache
def rules() -> str:
    """A fingerprint of the checks and the exercises: results of an older course are not taken over."""
    parts = sorted(Path(checks.__file__).parent.glob("*.py")) + [masters.FILE]
    return hashlib.sha256(b"".join(part.read_bytes() for part in parts)).hexdigest()[:16]


def report_of(entries: dict[int, dict], seed: int, level: str) -> dict:
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
            flags.append(f"byte for byte the file of {', '.join(others[:3])}" + (" and others" if others[3:] else ""))
        if len(twice.get((entry["student"], entry["assignment"], entry["notebook"]), [])) > 1:
            flags.append(f"handed in {entry['notebook']} more than once: the best counts")
        marked.append({**entry, "flags": flags})
    return marked


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


class Work:
    """The submissions of one call, and the sandboxes that grade them."""

    def __init__(self, found, seed, timeout, level, unsafe, done, lent=None):
        self.found, self.seed, self.timeout, self.done = found, seed, timeout, done
        self.unsafe, self.asked, self.level, self.why = unsafe, level, level or "", ""
        self.idle: queue.SimpleQueue = queue.SimpleQueue()
        self.lent, self.open, self.stop = lent, [], threading.Event()

    def on_open(self, level: str, why: str):
        """Called once, when the level is known."""

    def results(self, jobs: int | None):
        """(index, entry) of every submission, as they come."""
        try:
            first = self.lent or self.opened(self.asked)
            self.level, self.why = first.level, first.why
            self.refuse_unsafe()
            self.on_open(self.level, self.why)
            jobs = 1 if self.lent else max(1, min(jobs or os.cpu_count() or 1, len(self.found)))
            self.idle.put(first)
            for _ in range(jobs - 1):
                self.idle.put(None)  # opened by the thread that first needs it
            yield from self.dealt(jobs)
        finally:
            self.stop.set()
            for sandbox in self.open:
                sandbox.start = out_of_use
                sandbox.close()

    def opened(self, level: str | None):
        from genimg_lib.grade.sandbox import open_sandbox

        sandbox = open_sandbox(level)
        self.open.append(sandbox)
        return sandbox

    def refuse_unsafe(self):
        students = {one.student for one in self.found}
        if self.level == "none" and len(students) > 1 and not self.unsafe:
            raise ValueError(
                f"here answers would run without a sandbox ({self.why or 'asked for by --level none'}), and these are "
                f"the notebooks of {len(students)} people: grade them on Linux with bubblewrap, in Docker, or, if you "
                "trust every one of them with your account, add --unsafe"
            )

    def dealt(self, jobs: int):
        waiting, running = iter(range(len(self.found))), {}
        pool = ThreadPoolExecutor(jobs, thread_name_prefix="grade")
        try:
            while True:
                for index in islice(waiting, 2 * jobs - len(running)):
                    running[pool.submit(self.one, index)] = index
                if not running:
                    return
                ready, _ = wait(running, return_when=FIRST_COMPLETED)
                for future in ready:
                    yield running.pop(future), future.result()
        finally:
            pool.shutdown(wait=False, cancel_futures=True)

    def one(self, index: int) -> dict:
        """Grade one submission, in whichever sandbox is idle."""
        found = self.found[index]
        submission = found.read()
        mark = key(submission.sha256, self.seed, self.timeout, self.level)
        if submission.status == "invalid":
            return entry_of(found, submission, unusable(submission, self.seed, self.level))
        if mark in self.done:
            return entry_of(found, submission, self.done[mark])
        return entry_of(found, submission, self.run(submission))

    def run(self, submission: Submission) -> dict:
        """A sandbox that broke down is no fault of the answer: once more, in a fresh one."""
        from genimg_lib.grade.sandbox import Unavailable
        from genimg_lib.grade.session import grade_submission

        sandbox, failure = self.idle.get(), None
        try:
            for _ in range(2):
                if self.stop.is_set():
                    break
                try:
                    sandbox = sandbox or self.opened(self.level)
                    return grade_submission(sandbox, submission, self.seed, self.timeout)
                except (OSError, RuntimeError, ValueError, Unavailable) as error:
                    failure, sandbox = error, None
        finally:
            self.idle.put(sandbox)
        message = f"the grader itself failed ({type(failure).__name__}: {failure}): grade it again"
        return {**unusable(submission, self.seed, self.level), "message": message, "unfinished": True}


def out_of_use():
    """What a sandbox that was closed says to a thread that still wants a worker from it."""
    raise OSError("the grading was stopped")
