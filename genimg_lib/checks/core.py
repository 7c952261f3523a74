"""A question in three parts — inputs, probe, verdict — and the judge that puts them together.

*inputs* draws from the seed, *probe* calls the answer and returns plain arrays, the *properties* compare
those arrays with what they compute themselves from the inputs. In a notebook all run in one process; the
grader runs only the probe beside the answer, in a sandbox, so a probe may use its arguments, `torch`, `math`
and what its module imports from `checks.tools`, and nothing else.
"""

import difflib
import hashlib
import importlib.util
import inspect
import linecache
import warnings
from collections.abc import Callable
from dataclasses import dataclass, field

import torch

from genimg_lib.checks.compare import Misfit, Outcome
from genimg_lib.checks.tools import run_probe
from genimg_lib.checks.verdict import Property, Verdict

NOTEBOOKS = {
    "01_classical": "classical", "02_vae": "vae", "03_gan": "gan", "04_likelihood": "likelihood",
    "05_diffusion": "diffusion", "06_evaluation": "evaluation", "07_editing_and_systems": "editing",
    "08_debug_vae": "debug_vae", "09_debug_gan": "debug_gan",
}  # fmt: skip
QUESTIONS: dict[str, "Question"] = {}
DTYPES = (torch.float32, torch.float64)  # every answer is judged in both


class Draw:
    """Random inputs from a seed: the same numbers in float32 and float64."""

    def __init__(self, seed: int, key: str, dtype: torch.dtype):
        digest = hashlib.sha256(f"{seed}/{key}".encode()).digest()
        self.generator = torch.Generator().manual_seed(int.from_bytes(digest[:7], "big"))
        self.dtype = dtype

    def __call__(self, *shape: int) -> torch.Tensor:
        """Standard normal numbers."""
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def uniform(self, *shape: int, low: float = 0.0, high: float = 1.0) -> torch.Tensor:
        u = torch.rand(*shape, generator=self.generator, dtype=torch.float64)
        return (low + (high - low) * u).to(self.dtype)

    def integers(self, low: int, high: int, *shape: int) -> torch.Tensor:
        """int64 numbers in [low, high)."""
        return torch.randint(low, high, shape, generator=self.generator)

    def integer(self, low: int, high: int) -> int:
        """One int in [low, high)."""
        return int(self.integers(low, high, 1))


class CaseRaised(Exception):
    """A property looked at a case in which the answer raised."""


class Replies:
    """What the probe returned: `got["case"]["name"]`; a case that raised raises CaseRaised when looked at."""

    def __init__(self, replies: dict):
        self.replies = replies

    def __getitem__(self, case: str) -> dict:
        reply = self.replies[case]
        if "got" not in reply:
            raise CaseRaised(describe(reply))
        return reply["got"]


def describe(reply: dict) -> str:
    what = f"{reply.get('raised')}: {reply.get('message') or '(no message)'}"
    if reply.get("returned"):
        return f"what your answer returned, {reply['returned']}, could not be used ({what})"
    where = f" at `{reply['line']}`" if reply.get("line") else ""
    if "dtype" in what or "scalar type" in what:
        where += " (torch.ones, zeros and randn make float32 unless told: give them the input's dtype)"
    return f"your answer raised {what}{where}"


def untouched(replies: dict) -> bool:
    """Every case met the stub. Torch raises NotImplementedError too, but never without a message."""
    stub = ("NotImplementedError", "")
    return all((reply.get("raised"), reply.get("message")) == stub for reply in replies.values())


@dataclass(frozen=True)
class Rule:
    """One named, weighted property: `test(self, got, given) -> Outcome`."""

    name: str
    weight: float
    cause: str
    test: Callable


def prop(name: str, weight: float = 1, cause: str = ""):
    """Mark a method as a property. `cause`: the likeliest mistake behind a failure, said to the learner."""

    def mark(test):
        test.rule = Rule(name, weight, cause, test)
        return test

    return mark


IN_PLACE = "write to a new tensor: += and names ending in _ work in place"
UNCHANGED = Rule("leaves its inputs alone", 0.5, IN_PLACE, None)


@dataclass
class Question:
    """One exercise: what it asks (in its notebook), how it is judged (here)."""

    id: str
    notebook: str
    points: float
    title: str
    read: str
    hints: tuple[str, str, str]
    spec: object
    rules: list[Rule] = field(default_factory=list)
    untouched: str = ""  # digest of the cell as handed out, where that cell is flawed code instead of a stub
    takes_data: bool = False  # the answer is a value, such as a set, and no function or class

    def inputs(self, seed: int, dtype: torch.dtype) -> dict:
        return self.spec.inputs(Draw(seed, self.id, dtype))


def question(id, *, points, title, read, hints, mutates=False, untouched="", takes_data=False):
    """Register the class below as a question's check.

    read: the page that teaches it, such as "notebooks/vae". hints: three, none ends in the code.
    mutates: the answer works in place by its contract.
    untouched: `digest` of the handed-out cell, where that is flawed code to repair.
    takes_data: the answer is a value; its probe raises a bare NotImplementedError for one not filled in.
    """

    def register(cls):
        if len(hints) != 3:
            raise ValueError(f"{id}: expected three hints, got {len(hints)}")
        rules = [value.rule for value in vars(cls).values() if hasattr(value, "rule")]
        if not mutates:
            rules.append(UNCHANGED)
        module = cls.__module__.rsplit(".", 1)[-1]
        notebook = next(name for name, m in NOTEBOOKS.items() if module == m or module.startswith(m + "_"))
        QUESTIONS[id] = Question(id, notebook, points, title, read, tuple(hints), cls(), rules, untouched,
                                 takes_data)  # fmt: skip
        return cls

    return register


def load_all() -> dict[str, Question]:
    """Every question of every notebook, by id."""
    for module in NOTEBOOKS.values():
        if importlib.util.find_spec(f"genimg_lib.checks.{module}"):
            importlib.import_module(f"genimg_lib.checks.{module}")
    return QUESTIONS


def find(id: str) -> Question:
    """A question by its id; an unknown id is answered with the nearest one."""
    if not isinstance(id, str) or id not in QUESTIONS and id not in load_all():
        near = difflib.get_close_matches(str(id), load_all(), 1, 0)
        meant = f"did you mean {near[0]!r}? There are {len(QUESTIONS)} questions"
        raise ValueError(f"no question {id!r}; {meant}")
    return QUESTIONS[id]


def run_here(question: Question, answer, given: dict) -> dict:
    """Run the probe in this process."""
    return run_probe(type(question.spec).probe, answer, given)


def judge(question: Question, answer, seed: int = 0, run=run_here) -> Verdict:
    """The verdict on one answer, in float32 and float64. `run(question, answer, given)` plays the probe."""
    if not question.takes_data and not callable(answer):
        kind = "None" if answer is None else f"a {type(answer).__name__}"
        message = f"expected a function or a class, got {kind}: pass its name, without brackets"
        return Verdict.of(question, "error", [failed(rule, "not judged") for rule in question.rules], message)
    passed, raised = {}, []
    for dtype in DTYPES:
        given = question.inputs(seed, dtype)
        replies = run(question, answer, given)
        errors = [reply for reply in replies.values() if "got" not in reply]
        if untouched(replies):
            return Verdict.of(question, "not_started", [failed(rule, "") for rule in question.rules])
        raised += errors
        for rule in question.rules:
            if rule is not UNCHANGED and passed.get(rule.name, (True,))[0]:
                outcome = apply(rule, question.spec, Replies(replies), given)
                where = "" if dtype == torch.float32 or outcome.passed else "in float64: "
                passed[rule.name] = (outcome.passed, where + outcome.message, outcome.share)
        if UNCHANGED in question.rules and passed.get(UNCHANGED.name, (True,))[0]:
            changed = sorted({name for reply in replies.values() for name in reply.get("changed", ())})
            passed[UNCHANGED.name] = not changed, f"you changed {', '.join(changed)}" if changed else "", None
    others = [row[0] for name, row in passed.items() if name != UNCHANGED.name]
    if UNCHANGED.name in passed and not any(others):
        why = passed[UNCHANGED.name][1] or "counts once another property passes"
        passed[UNCHANGED.name] = False, why, None
    properties = [
        Property(rule.name, "pass" if ok else "fail", message, rule.weight, rule.cause, share)
        for rule in question.rules
        for ok, message, share in [passed[rule.name]]
    ]
    status = "error" if raised else "pass" if all(p.status == "pass" for p in properties) else "fail"
    return Verdict.of(question, status, properties, describe(raised[0]) if raised else "")


def failed(rule: Rule, message: str) -> Property:
    return Property(rule.name, "fail", message, rule.weight, rule.cause)


def apply(rule: Rule, spec, got: Replies, given: dict) -> Outcome:
    """One property on one run; what the answer returned may be anything, so nothing it causes may escape."""
    try:
        with torch.no_grad(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return rule.test(spec, got, given)
    except (CaseRaised, Misfit) as error:
        return Outcome(False, str(error))
    except Exception as error:
        return Outcome(False, f"what came back could not be judged ({type(error).__name__}: {error})"[:300])


def digest(source: str) -> str:
    """A cell's fingerprint: blank lines, comments and trailing blanks do not count."""
    lines = [line.rstrip() for line in source.splitlines()]
    kept = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    return hashlib.sha256("\n".join(kept).encode()).hexdigest()


def cell_of(answer) -> str:
    """The source of the whole cell that defines a function or class; "" where Python does not keep it."""
    code = getattr(answer, "__code__", None)
    if code is None and inspect.isclass(answer):
        code = next((f.__code__ for f in vars(answer).values() if inspect.isfunction(f)), None)
    return "".join(linecache.getlines(code.co_filename)) if code is not None else ""


def check(id: str, answer, seed: int = 0) -> Verdict:
    """Judge an answer and show the verdict; raises only for an unknown id."""
    question = find(id)
    if question.untouched and digest(cell_of(answer)) == question.untouched:
        return Verdict.of(question, "not_started", [failed(rule, "") for rule in question.rules])
    try:
        return judge(question, answer, seed)
    except KeyboardInterrupt:
        rules = [failed(rule, "not judged") for rule in question.rules]
        return Verdict.of(question, "timeout", rules, "you interrupted it: look for a loop that never ends")


_shown: dict[str, int] = {}


def hint(id: str, step: int | None = None) -> str:
    """The next hint of three, or hint number `step`; returns nothing but its text, ready to read."""
    question = find(id)
    step = min(_shown.get(id, 0) + 1, 3) if step is None else step
    if step not in (1, 2, 3):
        raise ValueError(f"expected a hint from 1 to 3, got {step}")
    _shown[id] = step
    return Text(f"Hint {step} of 3. {question.hints[step - 1]}")


class Text(str):
    """A sentence that a notebook shows without quotes."""

    def __repr__(self):
        return str(self)
