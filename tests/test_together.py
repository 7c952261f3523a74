"""Several processes train as one: the same noise, the mean of the gradients, the same losses, one writer."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from genimg_lib import together
from genimg_lib.model import GenerativeModel
from genimg_lib.together import SharedNoise

DRAWS = {
    "randn": lambda x: torch.randn(len(x), 5),
    "randn of a shape": lambda x: torch.randn(x.shape),
    "rand": lambda x: torch.rand((len(x), 1, 1)),
    "rand along the second axis": lambda x: torch.rand(3, len(x), 1).movedim(1, 0),
    "randint": lambda x: torch.randint(7, (len(x),)),
    "randint by name": lambda x: torch.randint(7, size=(len(x), 2)),
    "randn_like": lambda x: torch.randn_like(x),
    "rand_like": lambda x: torch.rand_like(x),
    "normal": lambda x: torch.normal(x, 1.0),
    "normal_": lambda x: torch.empty_like(x).normal_(),
    "exponential_": lambda x: torch.empty_like(x).exponential_(2.0),
    "bernoulli": lambda x: torch.bernoulli(x.sigmoid()),
    "dropout": lambda x: F.dropout(x, 0.4),
    "gumbel_softmax": lambda x: F.gumbel_softmax(x),
    "a distribution": lambda x: torch.distributions.Normal(x, 2.0).rsample(),
}


@pytest.mark.parametrize("draw", DRAWS.values(), ids=DRAWS.keys())
@pytest.mark.parametrize("size", [2, 3])
def test_shares_of_noise_are_the_noise_of_one(draw, size):
    x = torch.linspace(-1, 1, 12 * 4).view(12, 4)
    torch.manual_seed(0)
    whole = torch.cat([draw(x), draw(x)], dim=1) if draw(x).ndim == 2 else torch.stack([draw(x), draw(x)], dim=1)
    parts = []
    for rank in range(size):
        torch.manual_seed(0)
        mine = x.chunk(size)[rank]
        with SharedNoise(len(mine), size, rank):
            ndim = draw(mine).ndim
            pair = draw(mine), draw(mine)  # the second is right only if the first used up as much
        parts.append(torch.cat(pair, dim=1) if ndim == 2 else torch.stack(pair, dim=1))
    assert torch.equal(torch.cat(parts), whole)


def test_noise_that_is_not_of_the_batch_is_left_alone():
    torch.manual_seed(0)
    plain = torch.randn(7), torch.rand(3, 3), torch.zeros(9).normal_()
    torch.manual_seed(0)
    with SharedNoise(4, 2, 1):
        inside = torch.randn(7), torch.rand(3, 3), torch.zeros(9).normal_()
    assert all(torch.equal(a, b) for a, b in zip(plain, inside, strict=True))


def test_gradients_pass_through_shared_dropout():
    x = torch.ones(4, 3, requires_grad=True)
    with SharedNoise(4, 2, 1):
        y = F.dropout(x, 0.5)
    y.sum().backward()
    assert torch.equal(x.grad, y.detach())  # 2 where it was kept, 0 where it was dropped


def test_alone_nothing_happens(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    index, row = torch.arange(5), {"loss": 1.5}
    assert torch.equal(together.share(index), index) and together.average(row) is row
    assert together.anybody(True) and not together.anybody(False)
    torch.manual_seed(0)
    plain = torch.randn(5)
    torch.manual_seed(0)
    with together.one_first(), together.shared_noise(5):
        assert torch.equal(torch.randn(5), plain)


def test_a_batch_that_does_not_divide_is_refused(monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    with pytest.raises(ValueError, match="a batch of 64 cannot be shared equally by 3 processes"):
        together.share(torch.arange(64))


class Noisy(GenerativeModel):
    """A small denoiser in double precision: noise and time are drawn in the loss, two players take turns."""

    shape = (1, 4, 4)

    def __init__(self):
        super().__init__()
        self.one, self.two = (nn.Sequential(nn.Linear(17, 32), nn.Tanh(), nn.Linear(32, 16)).double() for _ in "ab")

    def turns(self):
        return {name: (getattr(self, name), lambda x, y, net=name: self.play(getattr(self, net), x)) for name in
                ("one", "two")}  # fmt: skip

    def play(self, net, x):
        x = x.flatten(1)
        eps, t = torch.randn_like(x), torch.rand(len(x), 1, dtype=x.dtype)
        guess = net(torch.cat([(1 - t) * x + t * eps, t], dim=1))
        return {"loss": (guess - x).square().mean(), "t": t.mean()}


def played(**settings) -> list[dict]:
    from genimg_lib.train import train

    torch.manual_seed(1)
    x = torch.rand(64, 1, 4, 4, dtype=torch.float64)
    plan = {"steps": 25, "batch": 16, "lr": 1e-2, "threads": 1} | settings
    return train(Noisy(), x, **plan)[0]


def everything(folder: Path) -> None:
    """What each of the processes does: a command, a model in double precision, and the same with a fault."""
    from genimg_lib import cli

    sys.argv = ["genimg", "train", "digits-vae", "--steps", "12"]
    try:
        cli.main()
    except SystemExit as leave:
        assert not leave.code
    result = {"right": played(), "rank": together.rank()}
    together.SharedNoise.LIKE, together.SharedNoise.SHAPED = set(), set()  # each draws its own, and all the same
    result["without"] = played()
    (folder / f"{together.rank()}.json").write_text(json.dumps(result))


@pytest.fixture(scope="module")
def two(tmp_path_factory):
    """The folder in which two processes did `everything`."""
    if not torch.distributed.is_available() or sys.platform == "win32":
        pytest.skip("torch without its distributed part, or Windows")
    folder = tmp_path_factory.mktemp("two")
    env = os.environ | {"OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1"}
    env["PYTHONPATH"] = os.pathsep.join([str(Path(__file__).parent.parent), env.get("PYTHONPATH", "")])
    call = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", __file__]
    done = subprocess.run([*call, str(folder)], cwd=folder, env=env, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("digits-vae: 12 steps") == 1  # one speaks
    return folder


def gaps(a: list[dict], b: list[dict]) -> float:
    assert [row["step"] for row in a] == [row["step"] for row in b]
    return max(abs(p[key] / q[key] - 1) for p, q in zip(a, b, strict=True) for key in p)


@pytest.mark.slow
def test_two_processes_are_one_to_rounding(two):
    alone = played()
    first, second = (json.loads((two / f"{rank}.json").read_text()) for rank in range(2))
    assert first["right"] == second["right"]  # both return the losses of the whole batch
    assert gaps(first["right"], alone) < 1e-9
    assert gaps(first["without"], alone) > 1e-3  # the test notices noise that is not shared


@pytest.mark.slow
def test_genimg_train_under_torchrun_writes_the_same_losses(two, tmp_path):
    from genimg_lib import recipes

    history, ema = recipes.fit(recipes.get("digits-vae"), tmp_path, steps=12, threads=1)
    run = two / "runs" / "digits-vae"
    saved = torch.load(run / "checkpoint.pt", weights_only=True)
    assert gaps(saved["history"], history) < 2e-3  # float32: the order of a sum, enlarged by twelve steps of Adam
    assert history[-1]["model/loss"] < 0.6 * history[0]["model/loss"]
    assert_close(saved["ema"], dict(ema.state_dict()), atol=2e-3, rtol=0)
    assert (run / "digits-vae.safetensors").exists()


if __name__ == "__main__":
    everything(Path(sys.argv[1]))
