"""One loop for every model: it knows who plays, not which model it is."""

import copy
import os
import signal
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import torch
from torch import Tensor, nn
from tqdm import tqdm

from genimg_lib import together
from genimg_lib.model import GenerativeModel


def train(
    model: GenerativeModel, x: Tensor, y: Tensor | None = None, *, steps: int, batch: int, lr: float,
    betas=(0.9, 0.99), weight_decay: float = 0.0, warmup: int = 30, cooldown: float = 0.6, clip: float = 1.0,
    ema_decay: float = 0.995, seed: int = 0, run: Path | None = None, resume: bool = False, save_every: int = 500,
    threads: int | None = None, watch: Callable[[int, GenerativeModel], None] | None = None,
):  # fmt: skip
    """Train `model` on pictures x: (N, C, H, W) with conditions y: (N, A) or None; returns (history, ema).

    history is one dict a step: {"step": k, "model/loss": …}. ema is a copy of the model whose weights are the running
    average of the trained ones: sample from it. With a folder `run` the state is saved there every `save_every` steps,
    at the end, and on Ctrl-C; `resume` continues from it to the same weights as an uninterrupted run.
    watch(step, ema) is called after every step. threads: None measures which count is faster here and keeps it.
    Processes that torchrun started share each batch (`together`); the first one writes, and all return the same.
    """
    if len(x) < batch:
        raise ValueError(
            f"expected at least one batch of {batch} pictures, got {len(x)}: lower `batch` or add pictures"
        )
    together.join()
    torch.manual_seed(seed)
    x = model.prepare(x)
    together.agree(model)
    ema = copy.deepcopy(model).eval().requires_grad_(False)
    optimizers = {
        name: torch.optim.AdamW(trainable(part), lr, betas, weight_decay=weight_decay, fused=True)
        for name, (part, _) in model.turns().items()
    }
    state, history = {"model": model, "ema": ema, **{f"optimizer {k}": o for k, o in optimizers.items()}}, []
    if resume and run:
        history = load_state(run / "checkpoint.pt", state, steps)
    first = len(history)
    look = {"unit": "step", "leave": False, "mininterval": 0.5} | ({"disable": True} if together.rank() else {})
    bar = tqdm(range(first + 1, steps + 1), initial=first, total=steps, **look)
    pace, patience = Pace(threads), CtrlC()
    try:
        for step, index in zip(bar, batches(len(x), batch, seed, first), strict=False):
            pace.before(step - first)
            model.train()
            index, row = together.share(index), {}
            real, label = x[index].to(model.device), None if y is None else y[index].to(model.device)
            for name, (part, loss) in model.turns().items():
                with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16_pays(model.device)):
                    with together.shared_noise(batch):
                        terms = loss(real, label)
                optimizers[name].param_groups[0]["lr"] = lr * schedule(step, steps, warmup, cooldown)
                optimizers[name].zero_grad()
                terms["loss"].backward()
                together.average_gradients(trainable(part))
                nn.utils.clip_grad_norm_(trainable(part), clip)
                optimizers[name].step()
                row |= {f"{name}/{key}": value.item() for key, value in terms.items()}
            ema_update(ema, model, min(ema_decay, step / (step + 10)))  # warm-up: no memory of step 0
            history.append({"step": step} | together.average(row))
            bar.set_postfix({k: f"{v:.3g}" for k, v in row.items()}, refresh=False)
            if run and step % save_every == 0 and step < steps:
                save_state(run / "checkpoint.pt", state, history)
            if watch:
                watch(step, ema)
            patience.check()
    except KeyboardInterrupt:
        if not run:
            raise
        if not together.rank():
            tqdm.write(f"stopped at step {len(history)} of {steps}; --resume continues")
    finally:
        pace.restore()
        patience.restore()
    if run:
        save_state(run / "checkpoint.pt", state, history)
    return history, ema


def trainable(part: nn.Module) -> list[nn.Parameter]:
    return [p for p in part.parameters() if p.requires_grad]


def batches(n: int, batch: int, seed: int, skip: int = 0) -> Iterator[Tensor]:
    """Shuffled indices for ever, a new order each epoch; `skip` batches in, as if they had been drawn."""
    per_epoch = n // batch
    step = skip
    while True:
        order = torch.randperm(n, generator=torch.Generator().manual_seed(seed * 1_000_003 + step // per_epoch))
        for i in range(step % per_epoch, per_epoch):
            yield order[i * batch : (i + 1) * batch]
            step += 1


def schedule(step: int, steps: int, warmup: int, cooldown: float) -> float:
    """The share of the learning rate at a step: linear warm-up, hold, linear cool-down over the last part."""
    return min(1.0, step / max(1, warmup), (steps - step + 1) / max(1.0, cooldown * steps))


@torch.no_grad()
def ema_update(ema: nn.Module, model: nn.Module, decay: float) -> None:
    """ema ← decay · ema + (1 − decay) · model, in place; buffers (batch-norm statistics) are copied."""
    torch._foreach_lerp_(list(ema.parameters()), list(model.parameters()), 1 - decay)
    for mine, other in zip(ema.buffers(), model.buffers(), strict=True):
        mine.copy_(other)


def bf16_pays(device: torch.device) -> bool:
    """Whether this processor multiplies bfloat16 faster than float32: recent GPUs, CPUs with AVX-512 BF16 or AMX."""
    if device.type == "cuda":
        return torch.cuda.is_bf16_supported()
    return device.type == "cpu" and torch.cpu._is_avx512_bf16_supported()


class Pace:
    """Two threads beat one on idle cores and lose badly on busy ones: try both on real steps, keep the faster.

    What else the machine does may change while it trains, so the trial is held again every AGAIN steps.
    """

    TRIAL, AGAIN = 8, 400  # steps of each trial, after as many to warm up; steps between two rounds of trials

    def __init__(self, threads: int | None):
        self.before_us, self.spent, self.started = torch.get_num_threads(), {}, None
        self.counts = [threads] if threads else sorted({1, self.before_us}, reverse=True)
        torch.set_num_threads(self.counts[0])

    def before(self, step: int) -> None:
        """Called before step 1, 2, …: at the borders of the trials the clock is read and the thread count changes."""
        step = (step - 1) % self.AGAIN + 1
        if len(self.counts) == 1 or step % self.TRIAL != 1 or step > self.TRIAL * (len(self.counts) + 1) + 1:
            return
        trial, now = step // self.TRIAL, time.perf_counter()
        if trial >= 2:
            self.spent[self.counts[trial - 2]] = now - self.started
        self.started = now
        best = min(self.spent, key=self.spent.get) if trial > len(self.counts) else self.counts[max(0, trial - 1)]
        torch.set_num_threads(best)

    def restore(self) -> None:
        torch.set_num_threads(self.before_us)


class CtrlC:
    """Holds the first Ctrl-C back until the step in hand is done, so that what is saved is whole."""

    def __init__(self):
        self.pressed, self.before = False, None
        if threading.current_thread() is threading.main_thread():  # Python lets only the main thread do this
            self.before = signal.signal(signal.SIGINT, self.note)

    def note(self, *_):
        if self.pressed:  # the second one is meant
            raise KeyboardInterrupt
        self.pressed = True

    def check(self) -> None:
        if together.anybody(self.pressed):  # all stop after the same step
            raise KeyboardInterrupt

    def restore(self) -> None:
        if self.before is not None:
            signal.signal(signal.SIGINT, self.before)


def save_state(path: Path, state: dict, history: list[dict]) -> None:
    """Write weights, averages, optimisers, random state and history in one atomic file; the first process does."""
    if together.rank():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    saved = {name: part.state_dict() for name, part in state.items()}
    atomic(path, lambda file: torch.save(saved | {"random": torch.get_rng_state(), "history": history}, file))


def load_state(path: Path, state: dict, steps: int) -> list[dict]:
    """Continue from `path`: fills every part of `state` and the random state; returns the history so far."""
    if not path.exists():
        raise FileNotFoundError(f"nothing to resume: {path} does not exist; train without --resume first")
    try:
        saved = torch.load(path, weights_only=True)
        for name, part in state.items():
            part.load_state_dict(saved[name])
    except Exception as error:  # torch raises many kinds for a truncated or foreign file
        raise ValueError(f"{path} is not a checkpoint of this recipe ({error}); remove it to start anew") from error
    if len(saved["history"]) > steps:
        raise ValueError(f"{path} is already at step {len(saved['history'])}, beyond the {steps} asked for")
    torch.set_rng_state(saved["random"])
    return saved["history"]


def atomic(path: Path, write: Callable) -> None:
    """Write a file completely or not at all: `write(file)` fills a temporary neighbour, which then takes the name."""
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name, suffix=".part")
    try:
        with os.fdopen(handle, "wb") as file:
            write(file)
        os.chmod(temporary, 0o644)  # a temporary file is private; what takes its place should not be
        os.replace(temporary, path)
    except BaseException:
        Path(temporary).unlink(missing_ok=True)
        raise
