"""Every check against its corpus: no right answer refused, no wrong one let through, nothing for nothing.

One question: `pytest tests/test_checks.py -k gaussian_kl`. The counts: `-k counts -s`.
"""

import ast
import inspect
import math
import textwrap
import types

import pytest
import torch

from genimg_lib.checks import compare, core, tools
from genimg_lib.checks.core import judge, load_all
from tests import corpus

corpus.load()
QUESTIONS = load_all()
IDS = sorted(QUESTIONS)
ASKED = [id for id in IDS if not QUESTIONS[id].takes_data]  # answered by a function or a class
RIGHT = [pytest.param(id, answer, id=f"{id}-{answer.__name__}") for id in IDS for answer in corpus.RIGHT.get(id, [])]
WRONG = [
    pytest.param(id, answer, name, id=f"{id}-{answer.__name__}")
    for id in IDS
    for answer, name in corpus.WRONG.get(id, [])
]
PLAIN = (torch.Tensor, str, int, float, bool, type(None))


def accepts(id, answer, seed):
    verdict = judge(QUESTIONS[id], answer, seed)
    assert verdict.status == "pass" and verdict.score == verdict.max_score, f"seed {seed}\n{verdict}"


def refuses(id, answer, name, seed):
    verdict = judge(QUESTIONS[id], answer, seed)
    assert verdict.status in ("fail", "error") and verdict.score < verdict.max_score, f"seed {seed}\n{verdict}"
    assert name in [p.name for p in verdict.properties], f"{id} has no property {name!r}"
    failed = [p.name for p in verdict.properties if p.status == "fail"]
    assert name in failed, f"seed {seed}: {name} passed\n{verdict}"


@pytest.mark.parametrize("id, answer", RIGHT)
def test_a_right_answer_gets_full_marks(id, answer):
    for seed in (0, 1):
        accepts(id, answer, seed)


@pytest.mark.parametrize("id, answer, name", WRONG)
def test_a_wrong_answer_fails_the_property_that_must_catch_it(id, answer, name):
    refuses(id, answer, name, 0)


@pytest.mark.slow
@pytest.mark.parametrize("id", IDS)
def test_no_seed_is_a_lucky_one(id):
    for seed in range(2, 8):
        for answer in corpus.RIGHT.get(id, []):
            accepts(id, answer, seed)
        for answer, name in corpus.WRONG.get(id, []):
            refuses(id, answer, name, seed)


@pytest.mark.parametrize("id", ASKED)
def test_the_corpus_holds_enough_of_both(id):
    assert len(corpus.RIGHT.get(id, [])) >= 2 and len(corpus.WRONG.get(id, [])) >= 5


def test_counts_of_the_corpus():
    print(f"\n{len(IDS)} questions: {len(RIGHT)} right answers, {len(WRONG)} wrong ones")
    assert set(corpus.RIGHT) | set(corpus.WRONG) <= set(IDS), "answers to questions that do not exist"


# --- nothing for nothing --------------------------------------------------------------------------------


def mapped(change, value):
    """`value` with every tensor and number in it changed."""
    if isinstance(value, torch.Tensor):
        return change(value.detach())
    if isinstance(value, list | tuple):
        return type(value)(mapped(change, item) for item in value)
    if isinstance(value, int | float):
        return type(value)(change(torch.tensor(float(value))).item())
    return None


def random_like(x):
    return torch.rand(x.shape).mul(3).to(x.dtype)


NOTHING = {
    "zeros": torch.zeros_like,
    "ones": torch.ones_like,
    "halves": lambda x: torch.full_like(x, 0.5),
    "random": random_like,
    "attached": lambda x: x * 0 + torch.zeros(x.shape, dtype=x.dtype, requires_grad=x.is_floating_point()),
}


def after(answer, change):
    """A function that answers like `answer`, but with every number changed."""
    return lambda *args, **kwargs: mapped(change, answer(*args, **kwargs))


def an_input(answer):
    """A function that gives back the first of its inputs that has the right shape."""

    def given_back(*args, **kwargs):
        out = answer(*args, **kwargs)
        tensors = [a for a in (*args, *kwargs.values()) if isinstance(a, torch.Tensor)]
        return mapped(lambda x: next((t for t in tensors if t.shape == x.shape), torch.zeros_like(x)), out)

    return given_back


def a_function(id):
    """The first right answer, where it is a function; a class cannot be emptied so simply."""
    answers = [a for a in corpus.RIGHT.get(id, []) if isinstance(a, types.FunctionType)]
    return answers[0] if answers else pytest.skip("answered by a class: its own corpus holds the empty ones")


def changes_things(id) -> bool:
    """Whether the answer works in place by its contract, or takes nothing that it could change."""
    return core.UNCHANGED not in QUESTIONS[id].rules


@pytest.mark.parametrize("kind", [*NOTHING, "input", "none"])
@pytest.mark.parametrize("id", ASKED)
def test_nothing_for_nothing(id, kind):
    answer = a_function(id)
    if changes_things(id):
        pytest.skip("its work is a change, not a return value: its own corpus holds the empty ones")
    empty = {"input": an_input(answer), "none": lambda *args, **kwargs: None}
    empty |= {name: after(answer, change) for name, change in NOTHING.items()}
    verdict = judge(QUESTIONS[id], empty[kind])
    assert verdict.score == 0, f"points for {kind}\n{verdict}"


# --- whatever comes, a verdict --------------------------------------------------------------------------


def raises(*args, **kwargs):
    raise ValueError("no idea")


def exits(*args, **kwargs):
    raise SystemExit(1)


def nothing(*args, **kwargs):
    pass


def a_word(*args, **kwargs):
    return "done"


def an_object(*args, **kwargs):
    return object()


def a_float(*args, **kwargs):
    return 0.123


def yields(*args, **kwargs):
    yield args[0] if args else 0


def a_numpy_array(*args, **kwargs):
    import numpy as np

    return np.ones((2, 3))


def nan(*args, **kwargs):
    return torch.full((2, 3), math.nan)


def no_numbers(*args, **kwargs):
    return torch.zeros(0)


def complex_numbers(*args, **kwargs):
    return torch.zeros(2, 3, dtype=torch.complex64)


def takes_no_argument():
    return 1


class Empty:
    pass


HOSTILE = [
    raises, exits, nothing, a_word, an_object, a_float, yields, a_numpy_array, nan, no_numbers,
    complex_numbers, takes_no_argument, Empty, torch.nn.Module,
]  # fmt: skip


@pytest.mark.parametrize("answer", HOSTILE, ids=lambda answer: answer.__name__)
@pytest.mark.parametrize("id", ASKED)
def test_whatever_comes_gets_a_verdict_and_no_points(id, answer):
    verdict = judge(QUESTIONS[id], answer)
    assert verdict.status in ("fail", "error") and verdict.score == 0, str(verdict)
    assert repr(verdict) == "0.0" and verdict.message and "genimg_lib" not in str(verdict)
    if answer in (an_object, yields):  # whose addresses must not show
        assert str(verdict) == str(judge(QUESTIONS[id], answer)), "the text is not the same twice"


@pytest.mark.parametrize("id", ASKED)
def test_a_change_of_the_inputs_is_seen(id):
    answer = a_function(id)
    if changes_things(id):
        pytest.skip("works in place by its contract")

    def careless(*args, **kwargs):
        out = answer(*args, **kwargs)
        inside = [item for value in args if isinstance(value, list) for item in value]
        for value in (*args, *kwargs.values(), *inside):
            if isinstance(value, torch.Tensor):
                value.data.add_(1)
        return out

    verdict = judge(QUESTIONS[id], careless)
    assert verdict.status != "pass", "a changed input went unseen"


@pytest.mark.parametrize("id", ASKED)
def test_a_stub_is_not_started(id):
    def stub(*args, **kwargs):
        raise NotImplementedError

    verdict = judge(QUESTIONS[id], stub)
    assert (verdict.status, repr(verdict)) == ("not_started", "0.0")


# --- a probe travels alone ------------------------------------------------------------------------------


def alone(id):
    """The probe, compiled from its source with nothing else in sight but torch, math and the tools."""
    source = textwrap.dedent(inspect.getsource(type(QUESTIONS[id].spec).probe))
    assert not [n for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Import | ast.ImportFrom)]
    public = {name: value for name, value in vars(tools).items() if getattr(value, "__module__", "") == tools.__name__}
    names = {"torch": torch, "math": math, "CUT": tools.CUT, **public}
    exec(compile(source, "<probe>", "exec"), names)
    return names["probe"]


def plain(value) -> bool:
    """Whether a value can travel between processes as JSON and raw tensors."""
    if isinstance(value, dict):
        return all(isinstance(key, str) and plain(item) for key, item in value.items())
    if isinstance(value, list | tuple):
        return all(map(plain, value))
    return isinstance(value, PLAIN)


@pytest.mark.parametrize("id", IDS)
def test_inputs_and_replies_are_plain(id):
    question = QUESTIONS[id]
    for dtype in (torch.float32, torch.float64):
        given = question.inputs(0, dtype)
        assert plain(given)
        for answer in corpus.RIGHT.get(id, [])[:1]:
            assert plain([reply["got"] for reply in core.run_here(question, answer, given).values()])


@pytest.mark.parametrize("id", IDS)
def test_inputs_come_from_the_seed_alone(id):
    first, again, other = (QUESTIONS[id].inputs(seed, torch.float32) for seed in (0, 0, 1))
    assert tools.same(first, again)
    assert QUESTIONS[id].takes_data or repr(first) != repr(other)


@pytest.mark.parametrize("id", IDS)
def test_a_probe_needs_nothing_but_torch_math_and_the_tools(id):
    probe = alone(id)
    for answer in corpus.RIGHT.get(id, [])[:1]:
        verdict = judge(QUESTIONS[id], answer, run=lambda q, a, given: tools.run_probe(probe, a, given))
        assert verdict.status == "pass", str(verdict)


@pytest.mark.parametrize("id", IDS)
def test_a_question_is_complete(id):
    question = QUESTIONS[id]
    assert inspect.getdoc(type(question.spec)) and question.title and question.read
    own = [rule for rule in question.rules if rule is not core.UNCHANGED]
    assert len(own) >= 2 and all(rule.cause for rule in own)
    assert len({rule.name for rule in own}) == len(own)
    assert all(hint.strip() and "```" not in hint for hint in question.hints)
    assert question.points == int(question.points) and 1 <= question.points <= 4


# --- what a class shares


def test_an_oracle_is_asked_once_for_equal_inputs_and_nobody_can_spoil_its_answer():
    asked = []

    @compare.once
    def oracle(x, factor=1.0, more=()):
        asked.append(x)
        return {"double": 2 * x * factor}, [x + 1]

    x = torch.arange(3.0)
    first = oracle(x)
    first[0]["double"].zero_()
    first[1].clear()
    again = oracle(x.clone())
    assert len(asked) == 1 and again[0]["double"].tolist() == [0, 2, 4] and again[1][0].tolist() == [1, 2, 3]
    others = [(x.double(),), (x[None],), (x, 1), (x, 2.0), (-x,), (x.requires_grad_(),), (x,), (x, 1.0, (len,))]
    for count, other in enumerate(others, start=2):
        oracle(*other)
        assert len(asked) == count, "other kinds, shapes and numbers are other inputs; a graph is never shared"


@pytest.mark.parametrize("id", IDS)
def test_a_verdict_is_the_same_whoever_was_judged_before(id):
    """Right answers leave what they share as it was: the verdicts on wrong ones do not change."""
    right, wrong = corpus.RIGHT[id][0], [answer for answer, _ in corpus.WRONG[id][:2]]
    before = [judge(QUESTIONS[id], answer, 7) for answer in wrong]
    judge(QUESTIONS[id], right, 7)
    assert [judge(QUESTIONS[id], answer, 7) for answer in wrong] == before
    assert judge(QUESTIONS[id], right, 7).status == "pass"
