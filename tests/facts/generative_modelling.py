"""What the answers on generative modelling state in numbers, computed."""

import math

import numpy as np
import torch

from genimg_lib.metrics import precision_recall


def normal(x, mean, std):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def a2():
    """A digit's label holds at most 3.3 bits, its 8-bit picture 6,272."""
    assert abs(math.log2(10) - 3.3) < 0.05
    assert 28 * 28 * 8 == 6_272


def q001():
    """Two unit Gaussians at ±1: the posterior is sigmoid(2x), and another p(x) has the same classifier."""
    x = np.linspace(-4, 4, 801)
    joint = np.stack([0.5 * normal(x, 1, 1), 0.5 * normal(x, -1, 1)])
    posterior = joint[0] / joint.sum(0)
    assert np.allclose(posterior, 1 / (1 + np.exp(-2 * x)))
    other = joint * (1 + np.cos(3 * x))  # every class density times the same positive function
    kept = other.sum(0) > 1e-9
    assert np.allclose((other[0, kept] / other.sum(0)[kept]), posterior[kept])
    assert np.abs(other.sum(0) - joint.sum(0)).max() > 0.1
    assert normal(10, 1, 1) + normal(10, -1, 1) < 1e-17 and 1 / (1 + math.exp(-20)) > 0.999999


def q003():
    """From [-1, 1] to [0, 255] a density costs log2 127.5 = 6.99 bits more a dimension; uniform bytes cost 8."""
    y = np.linspace(0, 255, 25_501)
    x = y / 127.5 - 1
    density_x = normal(x, 0.1, 0.2)
    density_y = normal(y, 127.5 * 1.1, 127.5 * 0.2)
    assert np.allclose(-np.log2(density_y) + np.log2(density_x), 6.99, atol=5e-3)
    assert -math.log2(1 / 256) == 8
    u = (np.arange(1_000) + 0.5) / 1_000  # Jensen: the dequantized score is at most the log-probability of the bin
    bin_density = normal(3 + u, 3.2, 0.4)
    assert np.log(bin_density).mean() < math.log(bin_density.mean())


def q004():
    """One Gaussian for two bumps: forward KL gives mean 0, variance 9.25; reverse KL one bump, at log 2."""
    x = np.linspace(-12, 12, 4_801)
    dx = x[1] - x[0]
    p = 0.5 * normal(x, -3, 0.5) + 0.5 * normal(x, 3, 0.5)
    assert abs((p * x).sum() * dx) < 1e-9 and abs((p * x**2).sum() * dx - 9.25) < 1e-6

    def forward(m, s):
        return -(p * np.log(normal(x, m, s) + 1e-300)).sum() * dx

    def reverse(m, s):
        q = normal(x, m, s)
        return (q * (np.log(q + 1e-300) - np.log(p + 1e-300))).sum() * dx

    grid = [(m, s) for m in np.linspace(-4, 4, 17) for s in (0.4, 0.5, 0.6, 1, 2, 9.25**0.5, 4)]
    assert min(grid, key=lambda ms: forward(*ms)) == (0.0, 9.25**0.5)
    m, s = min(grid, key=lambda ms: reverse(*ms))
    assert abs(m) == 3 and s == 0.5 and abs(reverse(m, s) - math.log(2)) < 1e-3


def q005():
    """99% noise costs at most log 100 = 4.605 nats: 0.0022 bits per dimension of a 32×32 colour picture."""
    assert abs(math.log(100) - 4.605) < 1e-3
    assert abs(math.log(100) / (3072 * math.log(2)) - 0.0022) < 5e-5
    rng = np.random.default_rng(0)
    p, q = rng.random(1_000) * 1e-3, rng.random(1_000)
    assert (np.log(0.01 * p + 0.99 * q) >= np.log(p) - math.log(100)).all()


def q006():
    """The table of precision and recall: one picture repeated, half of the modes, as much junk as sense, noise."""
    draw = torch.Generator().manual_seed(0)

    def cloud(n, centre):
        return torch.randn(n, 2, generator=draw) + torch.tensor(centre)

    real = torch.cat([cloud(300, (0.0, 0.0)), cloud(300, (40.0, 0.0))])
    again = torch.cat([cloud(300, (0.0, 0.0)), cloud(300, (40.0, 0.0))])
    junk = torch.rand(600, 2, generator=draw) * 1_000 + 100

    precision, recall = precision_recall(real, again)
    assert precision > 0.85 and recall > 0.85
    precision, recall = precision_recall(real, real[:1] + 1e-4 * torch.randn(600, 2, generator=draw))
    assert precision > 0.95 and recall < 0.05
    precision, recall = precision_recall(real, cloud(600, (0.0, 0.0)))
    assert precision > 0.85 and 0.4 < recall < 0.55
    precision, recall = precision_recall(real, torch.cat([again, junk]))
    assert 0.4 < precision < 0.55 and recall > 0.85
    precision, recall = precision_recall(real, junk)
    assert precision < 0.05 and recall < 0.05


def q007():
    """A draw from the posterior has twice the least squared error, 3.01 dB; for a hidden ±1 it is 2 against 1."""
    truth, guess = np.meshgrid([-1, 1], [-1, 1])
    assert (truth**2).mean() == 1 and ((truth - guess) ** 2).mean() == 2
    assert abs(10 * math.log10(2) - 3.01) < 1e-3
    rng = np.random.default_rng(0)
    y = rng.normal(size=200_000)
    x, again = (np.sin(y) + 0.3 * (1 + y**2) ** 0.5 * rng.normal(size=y.size) for _ in range(2))
    assert abs(((x - again) ** 2).mean() / ((x - np.sin(y)) ** 2).mean() - 2) < 0.03


def q008():
    """What a wrong range does: twice scaled is [-3, 1], bytes wrap, PSNR is off by 6.02 dB, BCE loses its floor."""
    x = torch.linspace(0, 1, 256)
    once = 2 * x - 1
    twice = 2 * once - 1
    assert (twice.min().item(), twice.max().item()) == (-3, 1)
    assert (torch.tensor(200, dtype=torch.uint8) + torch.tensor(100, dtype=torch.uint8)).item() == 44
    assert abs(20 * math.log10(2) - 6.02) < 1e-3
    assert (once.clamp(0, 1) == 0).float().mean() == 0.5
    picture = torch.arange(256, dtype=torch.uint8).view(1, 16, 16)
    model_side = picture.float() / 127.5 - 1
    back = ((model_side + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
    assert torch.equal(back, picture)
    hwc = torch.arange(24).view(2, 4, 3)
    assert not torch.equal(hwc.reshape(3, 2, 4), hwc.permute(2, 0, 1))
    planes = torch.arange(9).repeat(3, 9, 1) + 100 * torch.arange(3).view(3, 1, 1)  # each row counts its columns
    nine = planes.reshape(9, 9, 3)  # a third of the rows for each channel, in each row three small copies
    assert torch.equal(nine.flatten(1), planes[:, 0].repeat_interleave(3, 0).repeat(1, 3))
    rows = torch.arange(9).view(9, 1, 1).expand(9, 9, 3).reshape(3, 9, 9)  # the other way: each row is cut in three
    assert torch.equal(rows[:, :, 0].flatten(), torch.arange(9).repeat_interleave(3))
    costs = [
        torch.nn.functional.binary_cross_entropy_with_logits(torch.tensor(-k), torch.tensor(-1.0)) for k in (1.0, 9.0)
    ]
    assert costs[1] < costs[0] < 0


def q010():
    """Random affine planes: crossing in R^3 and R^4, missing each other in R^10. Disjoint supports: JSD = log 2."""
    rng = np.random.default_rng(0)

    def least_distance(dim):
        offset, a, b = rng.normal(size=dim), rng.normal(size=(dim, 2)), rng.normal(size=(dim, 2))
        directions = np.concatenate([a, -b], axis=1)
        return np.linalg.norm(directions @ np.linalg.lstsq(directions, -offset, rcond=None)[0] + offset)

    assert all(least_distance(dim) < 1e-8 for dim in (3, 4) for _ in range(20))
    assert all(least_distance(10) > 0.05 for _ in range(20))
    p, q = np.array([0.5, 0.5, 0, 0]), np.array([0, 0, 0.25, 0.75])
    middle = (p + q) / 2
    halves = [sum(a * math.log(a / m) for a, m in zip(d, middle, strict=True) if a) for d in (p, q)]
    assert abs(sum(halves) / 2 - math.log(2)) < 1e-12
    assert 64 * 64 * 3 == 12_288
