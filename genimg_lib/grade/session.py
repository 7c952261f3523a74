"""Grade one submission: its cells in order in a worker, each answer judged out here, at once, as in a notebook.

A cell that hangs or ends the process is guilty: the worker is replaced, the other cells run again without it, and
only its own question pays. What a worker says is data of an unknown author: it is looked at, never believed.
"""

import copy
import functools
import inspect
import re
import signal
import textwrap
import time
import unicodedata
from dataclasses import replace

import torch

from genimg_lib.checks import core, tools
from genimg_lib.checks.verdict import Verdict
from genimg_lib.grade import masters
from genimg_lib.grade.links import Gone, Overdue
from genimg_lib.grade.sandbox import Sandbox
from genimg_lib.grade.wire import WireError, foreign

LOST = 3  # workers: from then on a submission's time is short, and its cells that answer nothing are left out
SHARE = 2  # deadlines a question: the time of a whole submission, after which it is short too
LONGEST = 300  # characters of an answer's own words
FLAGS = {
    "network": "tried to use the network", "process": "tried to start another program",
    "signal": "tried to signal a process", "write": "tried to write outside its folder",
    "read": "tried to read a notebook",
}  # fmt: skip

SLOW = {"matplotlib.pyplot": ["matplotlib"], "torch._dynamo": ["optim", "Noise(", "Sizes("]}  # and who imports them


class Failed(Exception):
    """A question that cannot be judged: status and message are the verdict."""

    def __init__(self, status: str, message: str):
        super().__init__(message)
        self.status, self.message = status, message


def grade_submission(sandbox: Sandbox, submission, seed: int, timeout: float) -> dict:
    """The submission's entry in the result of EXERCISES.md. timeout: seconds a cell or a question may take."""
    row = {"path": submission.path, "notebook": submission.notebook, "status": submission.status, "score": 0.0,
           "max_score": 0.0, "questions": [], "level": sandbox.level, "seed": seed,
           "flags": list(submission.flags)}  # fmt: skip
    if submission.status != "graded":
        questions = [q for q in core.load_all().values() if q.notebook == submission.notebook]
        return row | {"message": submission.message, "max_score": float(sum(q.points for q in questions))}
    torch.set_num_threads(1)  # the verdicts are small; a second thread would only wait for the sandboxes' cores
    session = Session(sandbox, submission, seed, timeout)
    try:
        verdicts = session.grade()
    finally:
        session.drop()
    return row | {
        "score": round(sum(verdict.score for verdict in verdicts), 2),
        "max_score": float(sum(verdict.max_score for verdict in verdicts)),
        "questions": [verdict.to_dict() | {"cause": verdict.advice()} for verdict in verdicts],
        "flags": row["flags"] + [FLAGS[flag] for flag in sorted(session.flags)] + session.notes,
    }


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

    def grade(self) -> list[Verdict]:
        """A verdict a question, in the notebook's order."""
        self.warm()
        verdicts, again = {}, {}
        for at, cell in enumerate(self.cells):
            self.run_cell(at)
            if cell.question in self.names:
                verdicts[cell.question] = verdict = self.verdict(cell.question, at)
                if at not in self.guilty and self.defined_later(verdict, at):
                    again[cell.question] = at
        for id, question in ((id, core.find(id)) for id in self.names):
            if id not in verdicts:
                verdicts[id] = refused(question, "not_started", "")
            elif id in again:  # a helper, or the answer itself, stood further down
                verdicts[id] = max(verdicts[id], self.verdict(id, len(self.cells) - 1), key=lambda v: v.score)
        return [verdicts[id] for id in self.names]

    def warm(self) -> None:
        """Have the fork server import what takes seconds and is sure to be needed."""
        sources = "\n".join([cell.source for cell in self.cells] + [probe_of(core.find(id)) for id in self.names])
        for module, words in SLOW.items():
            if any(word in sources for word in words):
                self.sandbox.warm(module)

    def defined_later(self, verdict: Verdict, at: int) -> bool:
        """Whether a cell below, of the learner's own, may hold what a verdict missed."""
        if verdict.status in ("pass", "timeout"):
            return False
        rest = [cell.source for cell in self.cells[at + 1 :] if cell.question is None]
        name = self.names[verdict.id]
        return bool(rest) and ("NameError" in verdict.message or any(name in source for source in rest))

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
            raise Failed("error", "what came back from your answer could not be read") from None
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

    def verdict(self, id: str, at: int) -> Verdict:
        """Judge the answer that the cells up to number `at` have defined. Never raises for what the worker does."""
        question, name = asked(id), self.names[id]
        source = self.cells[at].source if self.cells[at].question == id else ""
        if question.untouched and core.digest(source) == question.untouched:
            return refused(question, "not_started", "")
        if at in self.guilty and source:
            return refused(question, self.guilty[at].status, self.guilty[at].message)
        self.revive(at + 1)
        deadline = time.monotonic() + self.patience()

        def run(question, answer, given):
            request = {"op": "probe", "name": name, "probe": probe_of(question), "given": given,
                       "takes_data": question.takes_data}  # fmt: skip
            reply = self.ask(request, deadline)
            if "missing" in reply:
                raise Failed("error", self.raised.get(at) or f"the cell defines no {name}")
            if "uncallable" in reply:
                raise Uncallable(foreign(said(reply["uncallable"])) if reply["uncallable"] else None)
            if "unsendable" in reply:
                raise Failed("error", f"your answer returned something {said(reply['unsendable'])}")
            if "ended" in reply:
                raise Failed("error", f"your answer raised {said(reply['ended'])}")
            return believed(reply.get("replies"), given)

        try:
            return judged(question, self.seed, run)
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
        raise Failed("error", "what came back from your answer could not be read")
    return {case: one_reply(replies.get(case), given[case]) for case in given}


def one_reply(reply, arguments: dict) -> dict:
    if type(reply) is dict and type(reply.get("got")) is dict:
        changed = reply.get("changed")
        changed = [name for name in arguments if name in changed] if type(changed) is list else list(arguments)
        return {"got": reply["got"], "changed": changed}
    if type(reply) is dict and "got" not in reply and type(reply.get("raised")) is str:
        return {key: said(reply[key]) for key in ("raised", "message", "line", "returned") if key in reply}
    return {"raised": "an error", "message": "nothing that could be read came back"}


def said(text) -> str:
    """An answer's own words, fit for a report: clean, and without the long numbers that inputs are."""
    return clean(re.sub(r"\d+\.\d{3,}(e[-+]?\d+)?", "…", text[: 4 * LONGEST])) if type(text) is str else ""


def clean(text: str, longest: int = LONGEST) -> str:
    """One line without controls and without what turns the direction of writing, cut where it is too long."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    kept = "".join(" " if unicodedata.category(c) in hidden else c for c in text[: 4 * longest])
    text = " ".join(kept.split())
    return text if len(text) <= longest else text[:longest] + " …"


def ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return "ended the process that ran it (exit, quit or os._exit?)"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    words = {"SIGSEGV": "crashed the process: a wild pointer, or a recursion without end",
             "SIGKILL": "was killed: did it take all the memory?", "SIGSYS": "was stopped by the sandbox",
             "SIGXFSZ": "wrote a file too large", "SIGXCPU": "took all the time it was given"}  # fmt: skip
    return words.get(name, "ended the process that ran it") + f" ({name})"
