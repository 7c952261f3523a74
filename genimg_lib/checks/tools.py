"""What a probe may lean on beside an answer: torch, this file, and nothing else of the library."""

import contextlib
import inspect
import io
import linecache
import operator
import re
import traceback
import warnings

import torch
from torch.utils._python_dispatch import TorchDispatchMode

CUT = "cut graph"  # what `gradient` returns where autograd has lost the way back


def gradient(out, *wrt, along=None):
    """d(sum of out)/d(wrt), one tensor each (zeros where unused), or CUT when no graph leads back.

    along: weights of out's shape for that sum, where equal ones would hide a mistake.
    out: anything an answer returned; what is no tensor has no graph.
    """
    lost = CUT if len(wrt) == 1 else (CUT,) * len(wrt)
    if not isinstance(out, torch.Tensor) or not out.requires_grad or out.is_complex():
        return lost
    total = (out * along).sum() if along is not None and out.shape == along.shape else out.sum()
    grads = torch.autograd.grad(total, wrt, retain_graph=True, create_graph=False, materialize_grads=True)
    return grads[0] if len(wrt) == 1 else grads


def parts(value, count: int) -> list:
    """Two or more results, returned as a tuple or a list; what else came, and None for what is missing."""
    found = list(value) if isinstance(value, tuple | list) else [value]
    return found if len(found) >= count else found + [None] * (count - len(found))


def number(value):
    """A number of numpy's as Python's own; anything else as it is."""
    plain = isinstance(value, torch.Tensor) or not hasattr(value, "item") or getattr(value, "shape", 0) != ()
    return value if plain else value.item()


class Critic(torch.nn.Module):
    """A small critic for the probes, tanh(x @ first + bias) @ second over the flattened x: (B, 1), or (B,).

    first: (n, h), bias: (h,), second: (h, 1); scores: True for a column (B, 1), False for (B,).
    """

    def __init__(self, first, bias, second, column: bool):
        super().__init__()
        self.first, self.bias, self.second = map(torch.nn.Parameter, (first, bias, second))
        self.column = column

    def forward(self, x):
        score = torch.tanh(x.flatten(1) @ self.first + self.bias) @ self.second
        return score if self.column else score[:, 0]


def whole_numbers(value):
    """A list or tuple of ints (numpy's and 0-d tensors count) as a list of Python's; else what it is, in words."""
    if not isinstance(value, list | tuple):
        return "None" if value is None else type(value).__name__
    found = [operator.index(item) if hasattr(item, "__index__") and not floating(item) else None for item in value]
    return found if None not in found else "other things than ints"


def floating(item) -> bool:
    return isinstance(item, torch.Tensor) and (item.is_floating_point() or item.ndim > 0)


class Noise(TorchDispatchMode):
    """Inside, every normal number that torch draws, by whichever call, is its mean plus `value` deviations."""

    def __init__(self, value: float):
        super().__init__()
        self.value = value

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        name = func._schema.name.removeprefix("aten::")
        if name not in ("randn", "randn_like", "normal", "normal_", "normal_functional"):
            return out
        bound = {a.name: value for a, value in zip(func._schema.arguments, args, strict=False)} | (kwargs or {})
        mean, std = (0.0, 1.0) if name.startswith("randn") else (bound.get("mean", 0.0), bound.get("std", 1.0))
        return out.copy_(torch.as_tensor(mean + self.value * std, dtype=out.dtype))


class Sizes(TorchDispatchMode):
    """Notes the (height, width) of every result that is a batch of `batch` pictures, in the order they appear."""

    def __init__(self, batch: int):
        super().__init__()
        self.batch, self.seen = batch, []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        out = func(*args, **(kwargs or {}))
        if isinstance(out, torch.Tensor) and out.ndim == 4 and len(out) == self.batch:
            if list(out.shape[2:]) not in self.seen:
                self.seen.append(list(out.shape[2:]))
        return out


def redraw(module, std: float = 0.2):
    """New random weights, biases and gains of any sign for a module, in place; a huge one repeats itself."""
    with torch.no_grad():
        for p in module.parameters():
            few = torch.randn(min(p.numel(), 99_991), dtype=p.dtype) * std  # seconds saved on a layer too large
            p.copy_(few.repeat(-(-p.numel() // max(1, len(few))))[: p.numel()].reshape(p.shape))


def life(call, x, module) -> dict:
    """What shows whether a network is one: a batch, the batch turned around, and the batch under other weights."""
    with torch.no_grad():
        got = dict(out=call(x), turned=call(x.flip(0)))
        kept = [p.clone() for p in module.parameters()]
        for p in module.parameters():  # scaled, since drawing millions of numbers takes seconds
            p.mul_(1.7) if p.ndim > 1 else p.add_(torch.linspace(-0.5, 1, p.numel(), dtype=p.dtype).view_as(p))
        got["redrawn"] = call(x)
        for p, value in zip(module.parameters(), kept, strict=True):
            p.copy_(value)
    return got


class Bounded(io.StringIO):
    """Keeps the first 64 KiB that an answer prints and drops the rest."""

    def write(self, text):
        room = 65_536 - self.tell()
        super().write(text[: max(0, room)])
        return len(text)


def raised(error: BaseException, answer, probe=None, returned: list = ()) -> dict:
    """An answer's exception as plain data: its kind, its message, and the answer's own last line.

    returned: the kinds of what the answer had given back by then. With some, and no line of the answer in the
    traceback, the probe could not use what came back; "returned" then says what that was.
    """
    methods = [f for f in vars(answer).values() if inspect.isfunction(f)] if inspect.isclass(answer) else []
    functions = (answer, getattr(answer, "forward", None), *methods)
    files = {f.__code__.co_filename for f in functions if hasattr(f, "__code__")}
    own = [
        linecache.getline(frame.f_code.co_filename, line).strip()
        for frame, line in traceback.walk_tb(error.__traceback__)
        if frame.f_code.co_filename in files and frame.f_code is not getattr(probe, "__code__", None)
    ]
    try:
        message = re.sub(r"0x[0-9a-fA-F]{6,}", "0x…", str(error))[:500]  # an address differs in every run
    except Exception:  # an exception of the answer's own making need not know how to print itself
        message = "(a message that cannot be printed)"
    reply = {"raised": type(error).__name__, "message": message, "line": own[-1] if own else ""}
    if returned and not own:
        reply["returned"] = "None" if returned[-1] is type(None) else returned[-1].__name__
    return reply


def copy(value):
    """Tensors cloned, also inside lists, tuples and dicts; anything else as it is."""
    if isinstance(value, torch.Tensor):
        return value.clone()
    if isinstance(value, dict):
        return {name: copy(item) for name, item in value.items()}
    return type(value)(map(copy, value)) if type(value) in (list, tuple) else value


def watched(answer, returned: list):
    """A function that notes the kind of everything it returns; a class or an object stays as it is."""
    if not inspect.isfunction(answer):
        return answer

    def call(*args, **kwargs):
        result = answer(*args, **kwargs)
        returned.append(type(result))
        return result

    return call


def run_probe(probe, answer, given: dict) -> dict:
    """Run `probe(answer, **arguments)` a case: {case: {"got": arrays, "changed": names} or what it raised}.

    What the answer prints or warns of is dropped, the random numbers it draws are the same in every run, and
    the caller's own generator goes on as if nothing had happened.
    """
    replies = {}
    with contextlib.ExitStack() as stack:
        out = Bounded()
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(out))
        stack.enter_context(warnings.catch_warnings())
        warnings.simplefilter("ignore")
        stack.enter_context(torch.random.fork_rng(devices=[]))
        stack.enter_context(torch.enable_grad())
        torch.default_generator.manual_seed(0)  # torch.manual_seed would look for devices first
        for case, arguments in given.items():
            mine, returned = copy(arguments), []
            kept = dict(mine)
            try:
                got = probe(watched(answer, returned), **mine)
                changed = [name for name, value in arguments.items() if not same(kept[name], value)]
                replies[case] = {"got": got, "changed": changed}
            except (Exception, SystemExit) as error:  # whatever an answer raises is its verdict, never ours
                replies[case] = raised(error, answer, probe, returned)
    return replies


def same(a, b) -> bool:
    """Equal bit for bit, NaN equal to NaN; what holds no tensor is not looked at."""
    if isinstance(b, torch.Tensor):
        alike = isinstance(a, torch.Tensor) and a.shape == b.shape and a.dtype == b.dtype
        return alike and torch.equal(torch.nan_to_num(a.detach()), torch.nan_to_num(b.detach()))
    if isinstance(b, dict):
        return len(a) == len(b) and all(same(a[name], b[name]) for name in b)
    return not isinstance(b, list | tuple) or (len(a) == len(b) and all(map(same, a, b)))
