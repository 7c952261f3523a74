"""One training on several processes: each takes its share of every batch, and together they do what one would do.

    torchrun --nproc-per-node 2 -m genimg_lib.cli train NAME

torchrun starts the processes and tells each its number in environment variables; without it there is a crew of one,
and everything here does nothing. All processes start from the same seed and hold the same weights, averages and random
state after every step, so that any one of them could go on alone.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

import torch
from torch import Tensor, distributed, nn
from torch.overrides import TorchFunctionMode


def rank() -> int:
    """The number of this process, 0 for the first; it alone writes files and speaks."""
    return int(os.environ.get("RANK", 0))


def size() -> int:
    """How many processes train together."""
    return int(os.environ.get("WORLD_SIZE", 1))


def join() -> None:
    """Meet the others that torchrun started, once."""
    if size() > 1 and not distributed.is_initialized():
        distributed.init_process_group()


@contextmanager
def one_first() -> Iterator[None]:
    """The first process does what is inside, then the others: they find what it has put into a cache."""
    join()
    if rank():
        wait()
    yield
    if not rank():
        wait()


def wait() -> None:
    """Go on when everybody is here."""
    if size() > 1:
        distributed.all_reduce(torch.zeros(1))


def share(index: Tensor) -> Tensor:
    """This process's part of a batch, one of `size()` equal runs: (B,) -> (B / size,)."""
    if len(index) % size():
        raise ValueError(
            f"a batch of {len(index)} cannot be shared equally by {size()} processes: start another number of them"
        )
    return index.chunk(size())[rank()]


@torch.no_grad()
def agree(model: nn.Module) -> None:
    """Everybody takes the first one's weights and buffers."""
    if size() > 1:
        for part in (*model.parameters(), *model.buffers()):
            distributed.broadcast(part.detach(), 0)


def average_gradients(parameters: list[nn.Parameter]) -> None:
    """Put the mean over the processes in place of each gradient: all of them travel as one vector.

    The mean of the gradients of equal shares is the gradient of the mean over the batch.
    """
    gradients = [p.grad for p in parameters if p.grad is not None]
    if size() == 1 or not gradients:
        return
    flat = torch.cat([g.flatten() for g in gradients])
    distributed.all_reduce(flat)
    flat /= size()
    for g, mine in zip(gradients, flat.split([g.numel() for g in gradients]), strict=True):
        g.copy_(mine.view_as(g))


def average(row: dict[str, float]) -> dict[str, float]:
    """The mean over the processes of every number in a row, under the same names."""
    if size() == 1:
        return row
    values = torch.tensor([float(value) for value in row.values()], dtype=torch.float64)
    distributed.all_reduce(values)
    return dict(zip(row, (values / size()).tolist(), strict=True))


def anybody(pressed: bool) -> bool:
    """Whether one of the processes says yes; all hear the same answer."""
    return average({"": float(pressed)})[""] > 0


def shared_noise(batch: int):
    """Within it, random numbers for this process's share of `batch` samples are the ones that one process would use."""
    return SharedNoise(batch // size(), size(), rank()) if size() > 1 else nullcontext()


class SharedNoise(TorchFunctionMode):
    """Draws every random tensor of `local` rows for the whole batch, local · size rows, and keeps those of `rank`.

    A model that calls `torch.randn_like(x)` in its loss then gets, for its share of the batch, the numbers that one
    process would have drawn for the same samples. The rows are those along the first axis that is `local` long.
    Everybody draws everything: dear for a thousand processes, who would seed each differently and give up the
    comparison with one.
    """

    SHAPED = {"randn", "rand", "randint"}
    LIKE = {"randn_like", "rand_like", "randint_like", "bernoulli", "normal", "dropout", "gumbel_softmax"}
    IN_PLACE = {"normal_", "uniform_", "bernoulli_", "exponential_", "random_"}

    def __init__(self, local: int, size: int, rank: int):
        super().__init__()
        self.local, self.size, self.rank = local, size, rank

    def __torch_function__(self, func, types, args=(), kwargs=None):
        name, kwargs = getattr(func, "__name__", ""), kwargs or {}
        if name in self.SHAPED:
            return self.shaped(func, args, kwargs)
        axis = self.axis(args[0].shape) if name in self.LIKE | self.IN_PLACE and isinstance(args[0], Tensor) else None
        if axis is None:
            return func(*args, **kwargs)
        whole = [self.repeat(a, axis) if isinstance(a, Tensor) and a.ndim else a for a in args]
        drawn = func(*whole, **kwargs).narrow(axis, self.rank * self.local, self.local)  # my samples at my place
        return args[0].copy_(drawn) if name in self.IN_PLACE else drawn

    def shaped(self, func, args: tuple, kwargs: dict) -> Tensor:
        """`randn(n, …)`, `rand((n, …))` and `randint(…, (n, …))`."""
        place = next((i for i, a in enumerate(args) if isinstance(a, tuple | list)), None)
        shape = kwargs["size"] if "size" in kwargs else args if place is None else args[place]
        axis = self.axis(shape)
        if axis is None:
            return func(*args, **kwargs)
        shape = [n * self.size if i == axis else n for i, n in enumerate(shape)]
        if "size" in kwargs:
            kwargs = kwargs | {"size": shape}
        else:
            args = (shape,) if place is None else (*args[:place], shape, *args[place + 1 :])
        return func(*args, **kwargs).narrow(axis, self.rank * self.local, self.local)

    def axis(self, shape) -> int | None:
        return next((i for i, n in enumerate(shape) if n == self.local), None)

    def repeat(self, x: Tensor, axis: int) -> Tensor:
        return torch.cat([x] * self.size, axis) if x.shape[axis] == self.local else x
