"""How a property compares what came with what was right, and says the difference in words."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, replace

import torch

from genimg_lib.checks.tools import CUT, copy

TOLERANCE = {torch.float32: (1e-4, 1e-5), torch.float64: (1e-5, 1e-6)}  # relative, absolute


@dataclass(frozen=True)
class Outcome:
    passed: bool
    message: str = ""
    share: float | None = None  # of the property's weight, where there is more than all or nothing


class Misfit(ValueError):
    """A value that no property can look at; its message is for the learner."""


def holds(condition, message: str) -> Outcome:
    """Pass when the condition is true; else say `message`."""
    return Outcome(bool(condition), "" if condition else message)


def close(got, want, *, rtol=None, atol=None, dtype: bool = True) -> Outcome:
    """Pass when `got` equals `want` up to rounding: kind first, then shape, then precision, then values.

    want: a tensor or a number. A number of Python's passes for a 0-d tensor. dtype=False: precision is free.
    """
    want = torch.as_tensor(want)
    kind = wrong_kind(got, want)
    if kind:
        return Outcome(False, kind)
    precision = want.dtype if want.dtype in TOLERANCE else torch.float64
    usual = TOLERANCE[precision]
    rtol, atol = usual[0] if rtol is None else rtol, usual[1] if atol is None else atol
    given, got = got, torch.as_tensor(got).detach().to(torch.float64)
    floating, want = want.is_floating_point(), want.detach().to(torch.float64)
    if got.shape != want.shape:
        return Outcome(False, f"expected shape {shape(want)}, got {shape(got)}")
    lost = isinstance(given, torch.Tensor) and given.dtype == torch.float32 and precision == torch.float64
    if dtype and lost and floating and want.ndim:
        return Outcome(False, "float64 went in and float32 came out: keep the dtype of the input")
    if torch.isnan(got).any() and not torch.isnan(want).any():
        return Outcome(False, f"got NaN in {int(torch.isnan(got).sum())} of {got.numel()} places")
    if torch.isinf(got).any() and not torch.isinf(want).any():
        return Outcome(False, f"got infinity in {int(torch.isinf(got).sum())} of {got.numel()} places")
    wrong = ~torch.isclose(got, want, rtol=rtol, atol=atol, equal_nan=True)
    if not wrong.any():
        return Outcome(True)
    at = tuple(wrong.nonzero()[0].tolist())
    where = f" at {list(at)}, and wrong in {int(wrong.sum())} of {got.numel()} places" if at else ""
    return Outcome(False, "expected {}, got {}".format(*said(want[at].item(), got[at].item())) + where)


def said(a: float, b: float) -> tuple[str, str]:
    """Two different numbers in so many digits that they look different."""
    for digits in (5, 9):
        pair = f"{a:.{digits}g}", f"{b:.{digits}g}"
        if pair[0] != pair[1]:
            return pair
    return repr(a), repr(b)


def tensor(got, shape_of=None) -> torch.Tensor:
    """What came back, in float64, for a property of its own; a Misfit where it is no such tensor.

    shape_of: a tensor, or a shape, that it must agree with.
    """
    want = torch.empty((1,) if shape_of is None else tuple(getattr(shape_of, "shape", shape_of)))
    kind = wrong_kind(got, want)
    if kind:
        raise Misfit(kind)
    got = torch.as_tensor(got)
    if shape_of is not None and got.shape != want.shape:
        raise Misfit(f"expected shape {shape(want)}, got {shape(got)}")
    if not torch.isfinite(got).all():
        raise Misfit("got NaN or infinity")
    return got.detach().to(torch.float64)


def wrong_kind(got, want) -> str:
    """What is wrong with the kind of a value, or ""."""
    if isinstance(got, str) and got == CUT:
        return "you cut the graph: a detach, .data, no_grad or item() stands between the result and its input"
    if got is None:
        return "expected a tensor, got None: does every path return?"
    if hasattr(got, "__next__"):
        return "expected a tensor, got a generator: use return, not yield"
    if type(got).__module__ == "numpy":
        return "expected a torch.Tensor, got a numpy array: stay in torch, numpy cuts the graph"
    if isinstance(got, bool | int | float):
        return "" if want.ndim == 0 else f"expected a tensor of shape {shape(want)}, got a Python number"
    if isinstance(got, complex):
        return "expected a real number, got a complex one: a root of something negative?"
    if type(got) not in (torch.Tensor, torch.nn.Parameter):
        return f"expected a torch.Tensor, got {type(got).__name__}"
    if got.is_complex():
        return "expected real numbers, got complex ones"
    return ""


def shape(x) -> str:
    return str(tuple(x.shape)) if x.ndim else "() (a scalar)"


def both(*outcomes: Outcome) -> Outcome:
    """Pass when all pass; else the first failure."""
    return next((outcome for outcome in outcomes if not outcome.passed), Outcome(True))


def explained(outcome: Outcome, got, mistakes) -> Outcome:
    """A failed comparison, with the known mistake that gives exactly this value, where there is one.

    mistakes: {a clause that names the mistake: the value it leads to}, or a function that gives it: most answers
    are right, and then nobody needs those values.
    """
    if outcome.passed or not isinstance(got, torch.Tensor | float | int) or "keep the dtype" in outcome.message:
        return outcome
    got = torch.as_tensor(got).detach()
    if got.is_complex():
        return outcome
    got = got.to(torch.float64)
    for clause, value in (mistakes() if callable(mistakes) else mistakes).items():
        value = torch.as_tensor(value).detach().to(torch.float64)
        if value.shape == got.shape and torch.allclose(got, value, rtol=1e-3, atol=1e-5, equal_nan=True):
            return replace(outcome, message=f"{outcome.message}: {clause}")
    return outcome


def arrives(got, want, where: str, **tolerances) -> Outcome:
    """A gradient equals `want`; one that is zero everywhere is said to have been lost on the way to `where`."""
    lost = f"no gradient arrives at {where}: is something detached or flat on the way?"
    return explained(close(got, want, **tolerances), got, {lost: torch.zeros_like(torch.as_tensor(want))})


# --- what a class shares


class Unknown(TypeError):
    """A value that no memory knows by its content."""


def once(oracle: Callable) -> Callable:
    """Remember what an oracle computed from equal inputs: a class that shares its seed shares its right answers.

    Inputs are compared by their content, and what comes back is a copy: nobody can spoil it for the next. Where a
    gradient is under way, nothing is remembered.
    """
    known: dict = {}

    @functools.wraps(oracle)
    def remembered(*args, **kwargs):
        try:
            mark = content(args), content(kwargs)
        except Unknown:
            return oracle(*args, **kwargs)
        found = known.get(mark)  # threads share this: what was found is kept in hand
        if found is None:
            if len(known) >= 64:
                known.clear()
            found = known[mark] = oracle(*args, **kwargs)
        return copy(found)

    return remembered


def content(value):
    """What tells apart inputs that may lead to different results."""
    if isinstance(value, torch.Tensor):
        if value.requires_grad or value.numel() > 50_000:
            raise Unknown
        return value.dtype, value.shape, value.contiguous().numpy().tobytes()
    if value is None or type(value) in (bool, int, float, str):
        return type(value), value
    if isinstance(value, list | tuple):
        return type(value), *map(content, value)
    if isinstance(value, dict):
        return tuple((name, content(item)) for name, item in value.items())
    if hasattr(value, "probe"):  # the question itself, of which there is one
        return type(value)
    raise Unknown
