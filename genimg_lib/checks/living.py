"""Whether a repaired network is one: what random numbers of the right shape never show."""

import torch

from genimg_lib.checks.compare import Outcome, both, holds, tensor


def alive(got: dict, shape: tuple, what: str = "the output") -> Outcome:
    """Pass when `tools.life` came from a network: right shape, a function of each sample alone, and of the weights."""
    out, turned, redrawn = (tensor(got[name], shape) for name in ("out", "turned", "redrawn"))
    return both(
        holds((out - out[:1]).abs().max() > 1e-6, f"{what} is the same for every sample: it ignores what goes in"),
        holds(torch.allclose(turned.flip(0), out, rtol=1e-3, atol=1e-4),
              f"{what} of a sample is not its own: it is random, or it depends on its place in the batch"),
        holds((redrawn - out).abs().max() > 1e-6, f"other weights leave {what} as it was: nothing here can learn"),
    )  # fmt: skip
