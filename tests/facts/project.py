"""What the answers in book/interview/project.yml state and a computer can check."""

import json
import math
import re
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn
from torch.testing import assert_close

from genimg_lib import recipes


def q121():
    """Steps and epochs for 5,000 crops; why FID's 2048 dimensions do not fit 500 held-out pictures."""
    train, batch = 4_500, 64
    assert round(train / batch) == 70
    assert round(50_000 * batch / train) == 711
    torch.manual_seed(0)
    few = torch.randn(500, 1000)
    assert torch.linalg.matrix_rank(torch.cov(few.T)) == 499


def q122():
    """A line of one pixel that may lie at three places: grey is the mean, and beats every sharp guess in L2."""
    lines = torch.eye(3)
    mean = lines.mean(0)
    assert_close(mean, torch.full((3,), 1 / 3))
    grey = (lines - mean).square().sum(1).mean()
    sharp = (lines - lines[0]).square().sum(1).mean()
    assert_close(grey, torch.tensor(2 / 3))
    assert_close(sharp, torch.tensor(4 / 3))
    ink = torch.zeros(100)
    ink[:5] = 1
    blank = ink.square().mean()
    assert abs(blank - 0.05) < 1e-7
    assert round(-10 * math.log10(blank.item()), 1) == 13.0
    logits = torch.linspace(-8, 8, 2001)
    p = torch.sigmoid(logits)
    for weight in (1.0, 19.0):  # the weight of ink pixels moves the best constant from 5 % to a half
        cost = -(0.05 * weight * p.log() + 0.95 * (1 - p).log())
        best = p[cost.argmin()].item()
        assert abs(best - 0.05 * weight / (0.05 * weight + 0.95)) < 0.01


def q123():
    """Sizes of the files."""
    assert 768 * 4 == 3072
    assert 4 * 199_296 * 4 / 1e6 < 3.3 and round(64 * 199_296 * 2 / 1e6, 1) == 25.5
    assert round(860 * 2 / 1000, 1) == 1.7 and round(860e6 * 2 / (4 * 199_296 * 2)) == 1079


def q124():
    """The loss is a sum over two batches; with weight 1 both count alike."""
    torch.manual_seed(0)
    own, prior = torch.rand(4), torch.rand(4)
    assert_close(own.mean() + 1.0 * prior.mean(), 2 * torch.cat([own, prior]).mean())


def q125():
    """A zero convolution starts silent and learns at once; what stands before it learns one step later."""
    torch.manual_seed(0)

    def zero():
        layer = nn.Conv2d(4, 4, 1)
        nn.init.zeros_(layer.weight)
        nn.init.zeros_(layer.bias)
        return layer

    first, copy, last = zero(), nn.Conv2d(4, 4, 3, padding=1), zero()
    x, hint, locked = torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8), torch.randn(2, 4, 8, 8)

    def control():
        return locked + last(copy(x + first(hint)))

    assert torch.equal(control(), locked)
    parts, moved = {"first": first, "copy": copy, "last": last}, []
    optimizer = torch.optim.SGD([p for part in parts.values() for p in part.parameters()], 0.1)
    for _ in range(3):
        optimizer.zero_grad()
        F.mse_loss(control(), torch.ones_like(x)).backward()
        moved.append({name for name, part in parts.items() if part.weight.grad.abs().sum() > 0})
        optimizer.step()
    assert moved == [{"last"}, {"first", "copy", "last"}, {"first", "copy", "last"}]


def q126():
    """The new weights of an IP-Adapter for Stable Diffusion 1; at scale 0 nothing changes; one softmax competes."""
    widths = [320] * 5 + [640] * 5 + [1280] * 6
    keys_values = 2 * 768 * sum(widths)
    projection = 1024 * 4 * 768 + 4 * 768 + 2 * 768
    assert keys_values == 19_169_280
    assert round((keys_values + projection) / 1e6) == 22
    torch.manual_seed(0)
    q, text, image = torch.randn(5, 8), torch.randn(7, 8), torch.randn(4, 8)

    def attend(q, k, v):
        return (q @ k.T / 8**0.5).softmax(-1) @ v

    assert_close(attend(q, text, text) + 0.0 * attend(q, image, image), attend(q, text, text))
    joint = (q @ torch.cat([text, image]).T / 8**0.5).softmax(-1)
    assert (joint[:, :7].sum(1) < 1).all()


def q127():
    """Forty panels that are right with 95 % each; what best-of-four buys if tries are independent."""
    assert round(100 * 0.95**40) == 13
    assert abs(0.95 ** (1 / 40) - 0.9987) < 1e-4
    assert round(100 * (1 - 0.05**4) ** 40, 1) == 100.0
    assert (1 - 0.2**4) ** 40 > 0.93 > 0.8**40
    assert 40 * 39 // 2 == 780


def q128():
    """322: double six times, lose two at each unpadded convolution; what the discriminator says to it."""
    n = 7
    for _ in range(6):
        n = 2 * n - 2
    assert n == 322 and 7 * 2**6 == 448

    path = Path(__file__).parents[2] / "book" / "interview" / "project.yml"
    more = next(i["more"] for i in yaml.safe_load(path.read_text(encoding="utf-8"))["items"] if i["id"] == "Q128")
    names = {"nn": nn}
    exec(re.search(r"```python\n(.*?)```", more, re.S)[1], names)
    generator = names["generator"]
    seed = torch.randn(1, 1, 7, 7)
    assert generator(0)(seed).shape[-1] == 322 and generator(1)(seed).shape[-1] == 448
    critic = nn.Sequential(nn.Conv2d(1, 8, 4, 2, 1), nn.Conv2d(8, 8, 4, 2, 1), nn.Flatten(), nn.Linear(8 * 49, 1))
    assert critic(torch.randn(2, 1, 28, 28)).shape == (2, 1)
    with pytest.raises(RuntimeError, match="channels"):
        critic(torch.randn(2, 3, 322, 322))
    with pytest.raises(RuntimeError, match="mat1 and mat2"):
        critic(torch.randn(2, 1, 322, 322))
    assert 322 * 322 * 3 == 311_052 and round(311_052 / 784) == 397


def q129():
    """Dropping the caption of one sample in ten leaves an unconditional model; long captions meet 77 tokens."""
    assert 49.78 - 43.27 == pytest.approx(6.51)
    assert 77 - 2 == 75


def q130():
    """What a square crop throws away, and how near buckets come to a constant area."""
    assert 1 - 512 / 768 == pytest.approx(1 / 3)
    assert 832 % 64 == 1216 % 64 == 0 and round(832 * 1216 / 1024**2, 3) == 0.965
    assert round(832 / 1216, 2) == 0.68
    buckets = [(w, 64 * (1024**2 // w // 64)) for w in range(512, 2049, 64)]
    assert all(w * h <= 1024**2 for w, h in buckets)
    assert min(w * h / 1024**2 for w, h in buckets) > 0.88


def q131():
    """The rule of three; held-out pictures as a control find a model that copies one sample in five."""
    n = 3000
    assert abs((1 - 0.05 ** (1 / n)) - 3 / n) < 1e-5
    torch.manual_seed(0)
    train, held, fresh = torch.randn(3, 400, 8)
    copies = fresh.clone()
    copies[:80] = train[:80] + 0.01 * torch.randn(80, 8)

    def nearest(x):
        return torch.cdist(x, train).min(1).values

    threshold = nearest(held).quantile(0.01)
    assert (nearest(fresh) < threshold).float().mean() < 0.05
    assert (nearest(copies) < threshold).float().mean() > 0.15


def a7():
    """The scores that ship: the second stage repairs the draws of the first, by both feature spaces."""
    scores = {
        name: json.loads((Path(recipes.WEIGHTS) / f"{name}.json").read_text(encoding="utf-8"))["scores"]
        for name in ("comic-vae", "comic-gan", "comic-latent")
    }
    for space in ("frechet random", "frechet pca"):
        assert scores["comic-vae"][space] > 5 * scores["comic-latent"][space]
        assert scores["comic-gan"][space] > scores["comic-latent"][space]
    vae, gan, latent = scores.values()
    assert 45 < vae["frechet random"] < 57 and 4 < gan["frechet random"] < 8 and latent["frechet random"] < 2
    for model, stated in ((vae, 0.19), (gan, 0.68), (latent, 0.96)):
        assert abs(model["coverage random"] - stated) < 0.1
