"""What a probe may lean on beside an answer: torch, this file, and nothing else of the library."""

import contextlib
import io
import traceback

import torch

CUT = "cut graph"  # what `gradient` returns where autograd has lost the way back


def gradient(scalar, *wrt):
    """d(scalar)/d(wrt), one tensor each (zeros where unused), or CUT when no graph leads back."""
    if not isinstance(scalar, torch.Tensor) or not scalar.requires_grad:
        return CUT if len(wrt) == 1 else (CUT,) * len(wrt)
    grads = torch.autograd.grad(scalar, wrt, retain_graph=True, create_graph=False, materialize_grads=True)
    return grads[0] if len(wrt) == 1 else grads


class Bounded(io.StringIO):
    """Keeps the first 64 KiB that an answer prints and drops the rest."""

    def write(self, text):
        room = 65_536 - self.tell()
        super().write(text[: max(0, room)])
        return len(text)


def raised(error: BaseException, answer) -> dict:
    """An answer's exception as plain data: its kind, its message, and the answer's own last line."""
    frames = traceback.extract_tb(error.__traceback__)
    code = getattr(answer, "__code__", None) or getattr(getattr(answer, "forward", None), "__code__", None)
    own = [f for f in frames if code is not None and f.filename == code.co_filename]
    line = own[-1].line if own else ""
    return {"raised": type(error).__name__, "message": str(error)[:500], "line": line or ""}


def copy(value):
    """A tensor's clone; anything else as it is."""
    return value.clone() if isinstance(value, torch.Tensor) else value


def run_probe(probe, answer, given: dict) -> dict:
    """Run `probe(answer, **arguments)` once a case: {case: {"got": arrays, "changed": names} or what it raised}."""
    replies = {}
    for case, arguments in given.items():
        mine = {name: copy(value) for name, value in arguments.items()}
        out = Bounded()
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(out):
                got = probe(answer, **mine)
        except Exception as error:  # whatever an answer raises is its verdict, never the grader's crash
            replies[case] = raised(error, answer)
            continue
        changed = [
            name for name, value in arguments.items()
            if isinstance(value, torch.Tensor) and not same(mine[name], value)
        ]  # fmt: skip
        replies[case] = {"got": got, "changed": changed}
    return replies


def same(a, b) -> bool:
    """Equal bit for bit, NaN equal to NaN."""
    return a.shape == b.shape and torch.equal(torch.nan_to_num(a.detach()), torch.nan_to_num(b.detach()))
