"""The judge itself, on a small question of its own: statuses, scores, texts, and answers that misbehave."""

import re

import pytest
import torch

from genimg_lib.checks import check, compare, core, hint, tools
from genimg_lib.checks.compare import both, close, holds, tensor
from genimg_lib.checks.core import Question, judge, prop


class Double:
    """y = 2 x"""

    def inputs(self, draw):
        return {"small": dict(x=draw(3, 2)), "large": dict(x=draw(4, 5) * 100)}

    def probe(answer, x):
        y = answer(x.requires_grad_())
        return dict(y=y, grad=tools.gradient(y, x))

    @prop("value", weight=2, cause="twice, not squared")
    def value(self, got, given):
        return close(got["small"]["y"], 2 * given["small"]["x"])

    @prop("gradient", cause="the graph is cut")
    def gradients(self, got, given):
        return close(got["small"]["grad"], torch.full_like(given["small"]["x"], 2))

    @prop("large numbers", weight=0.5, cause="overflow")
    def large(self, got, given):
        return close(got["large"]["y"], 2 * given["large"]["x"])


RULES = [f.rule for f in (Double.value, Double.gradients, Double.large)] + [core.UNCHANGED]
HINTS = ("first", "second", "third")


@pytest.fixture(autouse=True)
def question(monkeypatch):
    asked = Question("double", "02_vae", 2, "Twice as much", "notebooks/vae", HINTS, Double(), RULES)
    monkeypatch.setitem(core.QUESTIONS, "double", asked)
    monkeypatch.setattr(core, "_shown", {})
    return asked


def failed(verdict):
    return [p.name for p in verdict.properties if p.status == "fail"]


# --- statuses and scores


def test_all_properties_are_all_the_points():
    verdict = check("double", lambda x: 2 * x)
    assert (verdict.status, verdict.score, repr(verdict), verdict.message) == ("pass", 2.0, "2.0", "")


def test_the_score_is_the_weighted_share():
    verdict = check("double", lambda x: (2 * x).detach())
    assert (verdict.status, verdict.score, repr(verdict)) == ("fail", 1.5, "1.5")
    assert failed(verdict) == ["gradient"] and "cut the graph" in verdict.message
    assert verdict.advice() == "the graph is cut"


def test_a_stub_is_not_started_and_has_no_complaints():
    def stub(x):
        raise NotImplementedError

    verdict = check("double", stub)
    assert (verdict.status, repr(verdict), verdict.message) == ("not_started", "0.0", "")
    assert "✗" not in str(verdict) and "hint(" in str(verdict)


def test_an_operation_that_torch_has_not_implemented_is_an_error():
    verdict = check("double", lambda x: torch.softmax(x.long(), 0))
    assert verdict.status == "error" and "NotImplementedError" in verdict.message


def test_half_a_stub_is_an_error():
    def half(x):
        if x.shape[0] == 4:
            raise NotImplementedError
        return 2 * x

    verdict = check("double", half)
    assert verdict.status == "error" and failed(verdict) == ["large numbers"] and verdict.score == 1.75


def test_a_case_that_raises_costs_only_its_properties():
    def careful(x):
        if x.abs().max() > 50:
            raise ValueError("too large")
        return 2 * x

    verdict = check("double", careful)
    assert verdict.status == "error" and failed(verdict) == ["large numbers"]
    assert verdict.message == 'your answer raised ValueError: too large at `raise ValueError("too large")`'


def test_a_share_of_a_property_counts_in_part(question):
    rule = core.Rule("half", 1, "", lambda self, got, given: compare.Outcome(False, "half of it", 0.5))
    question.rules = [RULES[0], rule]
    assert check("double", lambda x: 2 * x).score == round(2 * 2.5 / 3, 2)


def test_an_interrupted_answer_is_a_timeout():
    def endless(x):
        raise KeyboardInterrupt

    verdict = check("double", endless)
    assert (verdict.status, verdict.score) == ("timeout", 0.0) and "never ends" in verdict.message


def test_an_unknown_id_names_the_nearest():
    with pytest.raises(ValueError, match="did you mean 'double'"):
        check("duoble", lambda x: x)
    with pytest.raises(ValueError, match="no question None"):
        hint(None)


@pytest.mark.parametrize("answer", [None, 3.0, torch.ones(2), "double", [1]])
def test_a_result_instead_of_a_function_is_told_apart(answer):
    verdict = check("double", answer)
    assert verdict.status == "error" and verdict.score == 0 and "without brackets" in verdict.message


# --- answers that misbehave


def in_place(x):
    y = 2 * x
    x.data.add_(1)
    return y


class Loud(Exception):
    def __str__(self):
        raise RuntimeError("not even this")


def loud(x):
    raise Loud


def test_a_changed_input_is_named():
    verdict = check("double", in_place)
    assert failed(verdict) == ["leaves its inputs alone"] and "you changed x" in verdict.message


def test_an_exception_that_cannot_be_printed_is_reported():
    assert "Loud: (a message that cannot be printed)" in check("double", loud).message


def test_ten_megabytes_of_print_are_dropped(capsys):
    def chatty(x):
        print("x" * 10_000_000)
        return 2 * x

    assert check("double", chatty).status == "pass"
    assert capsys.readouterr() == ("", "")


def test_warnings_stay_out_of_the_notebook(recwarn, capsys):
    import warnings

    def warns(x):
        warnings.warn("careful", stacklevel=1)
        return 2 * x

    assert check("double", warns).status == "pass"
    assert not recwarn.list and capsys.readouterr().err == ""


@pytest.mark.parametrize(
    "answer, words",
    [
        (lambda x: None, "got None: does every path return?"),
        (lambda x: (2 * x).detach().numpy(), "got a numpy array"),
        (lambda x: (i for i in x), "got a generator: use return, not yield"),
        (lambda x: 2 * x[0], "expected shape (3, 2), got (2,)"),
        (lambda x: (2 * x).tolist(), "expected a torch.Tensor, got list"),
        (lambda x: 2 * x * float("nan"), "got NaN in 6 of 6 places"),
        (lambda x: 2 * x / 0, "got infinity in 6 of 6 places"),
        (lambda x: 1.5, "expected a tensor of shape (3, 2), got a Python number"),
        (lambda x: x.to(torch.complex64), "expected real numbers, got complex ones"),
        (lambda x: 2 * x.float(), "float64 went in and float32 came out"),
        (lambda x, y: x, "missing 1 required positional argument: 'y'"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_wrong_kind_is_said_in_words(answer, words):
    verdict = check("double", answer)
    assert verdict.status in ("fail", "error") and words in str(verdict), str(verdict)


def test_what_the_probe_cannot_use_is_not_blamed_on_the_answers_code():
    class Bare(Double):
        def probe(answer, x):
            return dict(y=answer(x).sum(), grad=0)

    asked = Question("bare", "02_vae", 2, "Bare", "notebooks/vae", HINTS, Bare(), RULES)
    verdict = judge(asked, lambda x: None)
    assert verdict.status == "error"
    assert verdict.message.startswith("what your answer returned, None, could not be used")


def test_an_answer_may_quit_and_the_notebook_goes_on():
    assert "SystemExit" in check("double", lambda x: exit(3)).message


def test_the_learners_random_numbers_are_left_alone():
    torch.manual_seed(3)
    expected = torch.rand(1)
    torch.manual_seed(3)
    check("double", lambda x: 2 * x + 0 * torch.rand_like(x))
    assert torch.equal(torch.rand(1), expected)


# --- texts


def test_texts_are_the_same_in_every_run():
    def strange(x):
        if x.shape[0] == 4:
            raise ValueError(f"cannot take {object()}")
        return torch.randn_like(x)

    first, second = check("double", strange), check("double", strange)
    assert (str(first), first._repr_html_()) == (str(second), second._repr_html_())
    assert not re.search("0x[0-9a-f]", str(first))


def test_a_verdict_reads_like_this():
    assert str(check("double", lambda x: x * 3)).split("\n") == [
        "✗ double: not yet · 0 of 2 points",
        "  ✗ value — expected -0.084313, got -0.12647 at [0, 0], and wrong in 6 of 6 places",
        "  ✗ gradient — expected 2, got 3 at [0, 0], and wrong in 6 of 6 places",
        "  ✗ large numbers — expected -88.621, got -132.93 at [0, 0], and wrong in 20 of 20 places",
        "  ✗ leaves its inputs alone — counts once another property passes",
        "  Likely cause: twice, not squared",
        '  Next: hint("double"), or read notebooks/vae',
    ]


def test_html_is_escaped():
    def angry(x):
        raise ValueError("<script>alert(1)</script>")

    page = check("double", angry)._repr_html_()
    assert "<script>" not in page and "&lt;script&gt;" in page


def test_a_verdict_as_data():
    row = check("double", lambda x: x * 3).to_dict()
    assert list(row) == ["id", "status", "score", "max_score", "message", "properties"]
    assert set(row["properties"][0]) == {"name", "status", "message"}


def test_hints_come_in_order_and_stay_at_the_last():
    assert [str(hint("double")) for _ in range(4)] == [
        "Hint 1 of 3. first", "Hint 2 of 3. second", "Hint 3 of 3. third", "Hint 3 of 3. third",
    ]  # fmt: skip
    assert repr(hint("double", 2)) == "Hint 2 of 3. second"
    with pytest.raises(ValueError, match="from 1 to 3, got 7"):
        hint("double", 7)
    assert hint("double") == "Hint 3 of 3. third"


# --- comparing


def test_close_wants_kind_then_shape_then_value():
    want = torch.tensor([1.0, 2.0])
    assert close(want + 1e-7, want).passed
    assert "expected shape (2,), got (1, 2)" in close(want[None], want).message
    assert close(torch.tensor([1.0, 2.5]), want).message == "expected 2, got 2.5 at [1], and wrong in 1 of 2 places"
    assert not close(want, want + 1e-3, rtol=0, atol=0).passed, "a tolerance of 0 is a tolerance of 0"


def test_close_takes_any_integers_for_indices():
    idx = torch.tensor([3, 1])
    assert close(idx.int(), idx).passed and close(idx.float(), idx).passed
    assert not close(idx + 1, idx).passed


def test_numbers_that_print_alike_are_printed_longer():
    want = torch.tensor(1.0, dtype=torch.float64)
    assert close(want + 3e-5, want).message == "expected 1, got 1.00003"


def test_a_property_of_its_own_gets_a_tensor_or_a_misfit():
    assert tensor(2, ()).item() == 2
    for value in (None, "x", torch.ones(2, 2), torch.tensor([float("nan"), 0])):
        with pytest.raises(compare.Misfit):
            tensor(value, (2,))


def test_both_gives_the_first_failure():
    assert both(holds(True, "a"), holds(False, "b"), holds(False, "c")).message == "b"


# --- tools of the probes


def test_gradient_weighs_what_it_sums():
    x = torch.ones(3, requires_grad=True)
    assert tools.gradient(x * 2, x).tolist() == [2, 2, 2]
    assert tools.gradient(x * 2, x, along=torch.arange(3.0)).tolist() == [0, 2, 4]
    assert tools.gradient(None, x) == tools.CUT and tools.gradient(x.detach(), x, x) == (tools.CUT,) * 2


def test_whole_numbers_are_ints_of_any_make():
    import numpy as np

    assert tools.whole_numbers((1, np.int64(2), torch.tensor(3))) == [1, 2, 3]
    assert tools.whole_numbers([1.0]) == tools.whole_numbers([torch.tensor(1.5)]) == "other things than ints"
    assert tools.whole_numbers(torch.arange(3)) == "Tensor"


def test_nested_inputs_are_watched_too():
    given = {"case": {"layers": [torch.ones(2), {"bias": torch.zeros(1)}]}}

    def probe(answer, layers):
        return answer(layers)

    replies = tools.run_probe(probe, lambda layers: layers[1]["bias"].add_(1), given)
    assert replies["case"]["changed"] == ["layers"] and given["case"]["layers"][1]["bias"].item() == 0
