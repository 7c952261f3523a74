"""Grade one submission: its cells in order in a worker, each answer judged out here, at once, as in a notebook.

A cell that hangs or ends the process is guilty: the worker is replaced, the other cells run again without it, and
only its own question pays. What a worker says is data of an unknown author: it is looked at, never believed.
"""

import copy
import functools
import inspect
import textwrap
import time
from collections.abc import Callable
from dataclasses import replace

import torch

from genimg_lib.checks import core, tools
from genimg_lib.checks.verdict import Verdict
from genimg_lib.grade import masters
from genimg_lib.grade.links import Gone, Overdue
from genimg_lib.grade.sandbox import Sandbox
from genimg_lib.grade.wire import WireError, foreign
from genimg_lib.grade.words import LONGEST, clean, ending, said

LOST = 3  # workers: from then on a submission's time is short, and its cells that answer nothing are left out
SHARE = 2  # deadlines a question: the time of a whole submission, after which it is short too
FLAGS = {
    "network": "tried to use the network", "process": "tried to start another program",
    "signal": "tried to signal a process", "write": "tried to write outside its folder",
    "read": "tried to read a notebook",
}  # fmt: skip

UNREADABLE = "what came back from your answer could not be read"
SLOW = {"matplotlib.pyplot": ["matplotlib"], "torch._dynamo": ["optim", "Noise(", "Sizes("]}  # and who imports them


class Failed(Exception):
    """A question that cannot be judged: status and message are the verdict."""

    def __init__(self, status: str, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def grade_submission(sandbox: Sandbox, submission, seed: int, timeout: float) -> dict:
    """The submission's entry in the result of EXERCISES.md. timeout: seconds a cell or a question may take."""
    return collect(sandbox, submission, seed, timeout)()


def collect(sandbox: Sandbox, submission, seed: int, timeout: float) -> Callable[[], dict]:
    """Run a submission; what it returns judges the replies and makes the entry, and needs no sandbox any more."""
    row = {"path": submission.path, "notebook": submission.notebook, "status": submission.status, "score": 0.0,
           "max_score": 0.0, "questions": [], "level": sandbox.level, "seed": seed,
           "flags": list(submission.flags)}  # fmt: skip
    if submission.status != "graded":
        questions = [q for q in core.load_all().values() if q.notebook == submission.notebook]
        unread = row | {"message": submission.message, "max_score": float(sum(q.points for q in questions))}
        return lambda: unread
    torch.set_num_threads(1)  # the verdicts are small; a second thread would only wait for the sandboxes' cores
    session = Session(sandbox, submission, seed, timeout)
    try:
        pending = session.grade()
    finally:
        session.drop()

    def judge() -> dict:
        verdicts = [verdict() for verdict in pending]
        return row | {
            "score": round(sum(verdict.score for verdict in verdicts), 2),
            "max_score": float(sum(verdict.max_score for verdict in verdicts)),
            "questions": [verdict.to_dict() | {"cause": verdict.advice()} for verdict in verdicts],
            "flags": row["flags"] + [FLAGS[flag] for flag in sorted(session.flags)] + session.notes,
        }

    return judge


class Session:
    def __init__(self, sandbox: Sandbox, submission, seed: int, timeout: float):
        self.sandbox, self.cells, self.names = sandbox, submission.cells, submission.names
        self.seed, self.timeout = seed, timeout
        master = masters.load().get(submission.notebook)
        self.handed = len(master.setup) if master else 0  # cells of ours that come first
        self.worker, self.lost, self.spent = None, 0, 0.0
        self.guilty: dict[int, Failed] = {}  # cells that are not to be run again
        self.raised: dict[int, str] = {}  # what the others raised
        self.flags: set[str] = set()
        self.notes: list[str] = []

    def grade(self) -> list[Callable[[], Verdict]]:
        """For each question, in the notebook's order, what will judge it: all replies are in by then."""
        self.warm()
        verdicts, again = {}, {}
        for at, cell in enumerate(self.cells):
            self.run_cell(at)
            if cell.question in self.names:
                verdicts[cell.question] = verdict = self.verdict(cell.question, at)
                if at not in self.guilty and self.defined_later(cell.question, verdict, at):
                    again[cell.question] = at
        for id, question in ((id, core.find(id)) for id in self.names):
            if id not in verdicts:
                verdicts[id] = functools.partial(refused, question, "not_started", "")
            elif id in again:  # a helper, or the answer itself, stood further down
                best = max(verdicts[id](), self.verdict(id, len(self.cells) - 1)(), key=lambda v: v.score)
                verdicts[id] = functools.partial(lambda v: v, best)
        return [verdicts[id] for id in self.names]

    def warm(self) -> None:
        """Have the fork server import what takes seconds and is sure to be needed."""
        sources = "\n".join([cell.source for cell in self.cells] + [probe_of(core.find(id)) for id in self.names])
        for module, words in SLOW.items():
            if any(word in sources for word in words):
                self.sandbox.warm(module)

    def defined_later(self, id: str, verdict: Callable[[], Verdict], at: int) -> bool:
        """Whether a cell below, of the learner's own, may hold what a verdict missed."""
        rest = [cell.source for cell in self.cells[at + 1 :] if cell.question is None]
        if not rest or verdict().status in ("pass", "timeout"):
            return False
        name = self.names[id]
        return "NameError" in verdict().message or any(name in source for source in rest)

    # --- the worker

    def ask(self, request: dict, deadline: float) -> dict:
        """A reply of the worker; where none comes, the worker is lost and Failed says why."""
        begun = time.monotonic()
        try:
            reply = self.worker.ask(request, deadline)
        except Overdue:
            seconds = self.patience()
            self.drop()
            self.lost += 1
            raise Failed("timeout", f"stopped after {seconds:g} s: look for a loop that never ends") from None
        except Gone:
            status = self.drop(gone=True)
            self.lost += 1
            raise Failed("error", f"your answer {ending(status)}") from None
        except WireError:
            self.drop()
            self.lost += 1
            raise Failed("error", UNREADABLE) from None
        finally:
            self.spent += time.monotonic() - begun
        return reply

    def spendthrift(self) -> bool:
        """Whether the whole notebook's time is used up: by many cells, say, that each end just in time."""
        return self.spent > self.timeout * (LOST + SHARE * len(self.names))

    def drop(self, gone: bool = False) -> int:
        """End the worker; its exit status."""
        worker, self.worker = self.worker, None
        if worker is None:
            return 0
        self.flags |= worker.flags
        return worker.end(gone)

    def revive(self, upto: int) -> None:
        """A worker in which every innocent cell before number `upto` has run."""
        while self.worker is None:
            self.worker = self.sandbox.start()
            for at in range(upto):
                self.run_in(at)
                if self.worker is None:
                    break

    def patience(self) -> float:
        """The seconds that a cell or a question may take."""
        return self.timeout if self.lost < LOST and not self.spendthrift() else min(self.timeout, 1.0)

    def run_cell(self, at: int) -> None:
        """Run one cell, in a worker that has run those before it."""
        if self.lost >= LOST and self.cells[at].question is None:
            self.guilty[at] = Failed("error", "not run")
            return
        self.revive(at)
        self.run_in(at)

    def run_in(self, at: int) -> None:
        cell = self.cells[at]
        if cell.question is None and at >= self.handed and self.spendthrift():
            self.guilty.setdefault(at, Failed("error", "not run"))
            note = "the notebook took too long: not all of its own cells were run"
            self.notes += [] if note in self.notes else [note]
        if at in self.guilty:
            return
        label = cell.question or f"cell {at + 1}"
        try:
            reply = self.ask({"op": "cell", "source": cell.source, "label": label}, time.monotonic() + self.patience())
        except Failed as failure:
            self.guilty[at] = failure
            if cell.question is None:
                self.notes.append(f"code cell {at + 1}: {failure.message}")
            return
        self.raised.pop(at, None)
        if "raised" in reply:
            kind, message, number = (reply.get(key) for key in ("raised", "message", "number"))
            where = f" in line {number}" if type(number) is int and number > 0 else ""
            self.raised[at] = f"this cell raised {said(kind)}{where}: {said(message) or '(no message)'}"

    # --- a question

    def verdict(self, id: str, at: int) -> Callable[[], Verdict]:
        """Ask for all that the verdict on an answer, as the cells up to number `at` define it, will need.

        Never raises for what the worker does. What it returns judges the replies, the first time it is called.
        """
        question, name = asked(id), self.names[id]
        source = self.cells[at].source if self.cells[at].question == id else ""
        if question.untouched and core.digest(source) == question.untouched:
            return functools.partial(refused, question, "not_started", "")
        if at in self.guilty and source:
            return functools.partial(refused, question, self.guilty[at].status, self.guilty[at].message)
        self.revive(at + 1)
        try:
            replies = self.probe(question, name, [drawn(id, self.seed, dtype) for dtype in core.DTYPES], at)
        except Exception as error:  # what `judged` makes of it is the verdict
            replies = [error]
        return functools.cache(functools.partial(verdict_on, question, self.seed, replies))

    def probe(self, question, name: str, given: list[dict], at: int) -> list[dict]:
        """What the answer returns for each of these inputs, a reply a case."""
        request = {"op": "probe", "name": name, "probe": probe_of(question), "given": given,
                   "takes_data": question.takes_data}  # fmt: skip
        reply = self.ask(request, time.monotonic() + self.patience())
        if "missing" in reply:
            raise Failed("error", self.raised.get(at) or f"the cell defines no {name}")
        if "uncallable" in reply:
            raise Uncallable(foreign(said(reply["uncallable"])) if reply["uncallable"] else None)
        if "unsendable" in reply:
            raise Failed("error", f"your answer returned something {said(reply['unsendable'])}")
        if "ended" in reply:
            raise Failed("error", f"your answer raised {said(reply['ended'])}")
        replies = reply.get("replies")
        if type(replies) is not list or len(replies) != len(given):
            raise Failed("error", UNREADABLE)
        return [believed(*pair) for pair in zip(replies, given, strict=True)]


def verdict_on(question, seed: int, replies: list) -> Verdict:
    """The verdict on the replies to a question's probes, of which the last may be an exception in place of one."""
    waiting = iter(replies)

    def run(question, answer, given):
        reply = next(waiting)
        if isinstance(reply, Exception):
            raise reply
        return reply

    try:
        return judged(question, seed, run)
    except Failed as failure:
        return refused(question, failure.status, failure.message)


class Uncallable(Exception):
    """The answer is a value where a function or a class is due."""


def judged(question, seed: int, run) -> Verdict:
    """core.judge, with messages that a report can hold."""
    try:
        verdict = core.judge(question, callable, seed, run)
    except Uncallable as error:
        verdict = core.judge(question, error.args[0], seed)
    except Failed:
        raise
    except Exception as error:  # a reply that no property had thought of costs its own question
        raise Failed("error", f"what came back could not be judged ({type(error).__name__})") from None
    properties = tuple(replace(p, message=clean(p.message, 2 * LONGEST)) for p in verdict.properties)
    return replace(verdict, message=clean(verdict.message, 2 * LONGEST), properties=properties)


def refused(question, status: str, message: str) -> Verdict:
    return Verdict.of(question, status, [core.failed(rule, "") for rule in question.rules], message)


@functools.lru_cache(256)
def drawn(question_id: str, seed: int, dtype) -> dict:
    """A question's inputs, drawn once for a class."""
    return core.find(question_id).inputs(seed, dtype)


def asked(id: str):
    """A question that draws its inputs once for all submissions, and hands out copies."""
    question = copy.copy(core.find(id))
    question.inputs = lambda seed, dtype: tools.copy(drawn(id, seed, dtype))
    return question


@functools.cache
def source_of(probe) -> str:
    return textwrap.dedent(inspect.getsource(probe))


def probe_of(question) -> str:
    return source_of(type(question.spec).probe)


def believed(replies, given: dict) -> dict:
    """Replies as `run_probe` makes them, one a case; whatever is odd about one is an error of the answer."""
    if type(replies) is not dict:
        raise Failed("error", UNREADABLE)
    return {case: one_reply(replies.get(case), given[case]) for case in given}


def one_reply(reply, arguments: dict) -> dict:
    if type(reply) is dict and type(reply.get("got")) is dict:
        changed = reply.get("changed")
        changed = [name for name in arguments if name in changed] if type(changed) is list else list(arguments)
        return {"got": reply["got"], "changed": changed}
    if type(reply) is dict and "got" not in reply and type(reply.get("raised")) is str:
        return {key: said(reply[key]) for key in ("raised", "message", "line", "returned") if key in reply}
    return {"raised": "an error", "message": "nothing that could be read came back"}
