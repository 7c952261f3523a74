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


def follow(redrawn, batch: int):
    """Pass when, under random weights, each of mu's and logvar's four numbers follows the picture in its own way."""
    columns = tensor(redrawn, (3, batch, 4)).movedim(2, 0)
    still = [name for name, row in zip(("mu", "mu", "logvar", "logvar"), columns, strict=True)
             if (row - row[:, :1]).abs().max() <= 1e-6]  # fmt: skip
    twins = any((columns[i] - columns[j]).abs().max() <= 1e-6 for i in range(4) for j in range(i))
    return both(holds(not still, f"{'/'.join(dict.fromkeys(still))} is the same for every picture"),
                holds(not twins, "two of the four numbers in (mu, logvar) are always equal"))  # fmt: skip
