"""What the answers on judging generated pictures state in numbers, computed."""

import math

import numpy as np
import torch
from scipy.linalg import sqrtm
from scipy.stats import norm

from genimg_lib.metrics import frechet_distance, kid, precision_recall


def q132():
    """The formula by the matrix root; one dimension; a coin and a Gaussian are the same to it; a copy scores 0."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(300, 4)) @ rng.normal(size=(4, 4)), rng.normal(size=(250, 4)) + 0.5
    ca, cb = np.cov(a.T), np.cov(b.T)
    slow = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * np.real(sqrtm(ca @ cb)))
    fast = frechet_distance(torch.tensor(a), torch.tensor(b)).item()
    assert abs(slow - fast) < 1e-6
    line = [(torch.linspace(-1, 1, 400).double() * s + m)[:, None] for m, s in [(0.0, 1.0), (2.0, 3.0)]]
    (m1, s1), (m2, s2) = [(x.mean().item(), x.std().item()) for x in line]
    assert abs(frechet_distance(*line).item() - (m1 - m2) ** 2 - (s1 - s2) ** 2) < 1e-9
    coin = torch.cat([torch.ones(500), -torch.ones(500)]).double()[:, None]
    normal = torch.tensor(norm.ppf((np.arange(1_000) + 0.5) / 1_000))[:, None]
    normal = (normal - normal.mean()) / normal.std() * coin.std()
    assert abs(frechet_distance(coin, normal).item()) < 1e-9
    assert abs(frechet_distance(torch.tensor(a), torch.tensor(a)).item()) < 1e-9


def q133():
    """FID of two samples of one N(0, I_64): 22, 2.2 and 0.55, as (2D + D(D + 1)/2) / N says; KID scatters around 0."""
    draw = torch.Generator().manual_seed(0)
    D = 64
    assert 2 * D + D * (D + 1) / 2 == 2_208
    for n, seen, runs in [(100, 22, 8), (1_000, 2.2, 3), (4_000, 0.55, 1)]:
        values = [
            frechet_distance(torch.randn(n, D, generator=draw), torch.randn(n, D, generator=draw)).item()
            for _ in range(runs)
        ]
        assert min(values) > 0
        assert abs(np.mean(values) / (2_208 / n) - 1) < 0.05 and abs(np.mean(values) / seen - 1) < 0.05
    x, y = (torch.randn(2, 20_000, 10, 3, generator=draw)).unbind()  # 20,000 samples of ten, the means alone
    between = (x.mean(1) - y.mean(1)).square().sum(1).mean().item()
    assert abs(between - (3 / 10 + 3 / 10)) < 0.02
    values = torch.stack(
        [kid(torch.randn(50, D, generator=draw), torch.randn(50, D, generator=draw)) for _ in range(60)]
    )
    assert values.mean().abs() < 4 * values.std() / 60**0.5 and (values < 0).any() and (values > 0).any()
    a, b = torch.randn(50, D, generator=draw), torch.randn(50, D, generator=draw)
    with_diagonal = sum(((c @ d.T / D + 1) ** 3).mean() * s for c, d, s in [(a, a, 1), (b, b, 1), (a, b, -2)])
    assert with_diagonal > kid(a, b) + 0.1


def inception_score(p):
    marginal = p.mean(0)
    ratio = np.where(p > 0, p / np.where(marginal > 0, marginal, 1), 1)
    return math.exp((p * np.log(ratio)).sum(1).mean())


def q134():
    """1 for one class or no opinion, 10 for ten sharp classes, 1,000 for a picture a class; a mutual information."""
    classes = 1_000
    assert math.isclose(inception_score(np.tile(np.eye(classes)[:1], (50, 1))), 1)
    assert math.isclose(inception_score(np.full((50, classes), 1 / classes)), 1)
    assert math.isclose(inception_score(np.eye(classes)), 1_000)
    assert math.isclose(inception_score(np.eye(classes)[:10]), 10)
    rng = np.random.default_rng(0)
    p = rng.dirichlet(np.ones(20) / 4, size=4_000)

    def entropy(q):
        return -(q * np.log(np.maximum(q, 1e-300))).sum(-1)

    assert math.isclose(math.log(inception_score(p)), entropy(p.mean(0)) - entropy(p).mean(), rel_tol=1e-9)
    splits = np.mean([inception_score(part) for part in np.split(p, 400)])
    assert splits < 0.95 * inception_score(p)  # small splits lower it


def q135():
    """Eight modes: fakes on m of them have precision near 1 and recall near m / 8; half junk halves the precision."""
    draw = torch.Generator().manual_seed(0)
    angles = torch.arange(8) * math.pi / 4
    centres = 100 * torch.stack([angles.cos(), angles.sin()], 1)

    def cloud(modes, n):
        return (centres[:modes, None] + torch.randn(modes, n // modes, 2, generator=draw)).flatten(0, 1)

    real = cloud(8, 800)
    for modes, recall_seen in [(8, 1), (4, 0.5), (1, 0.12)]:
        precision, recall = precision_recall(real, cloud(modes, 800))
        assert precision > 0.85 and abs(recall - recall_seen) < 0.12 * max(recall_seen, 0.3)
    junk = 1_000 + 1_000 * torch.rand(400, 2, generator=draw)
    precision, recall = precision_recall(real, torch.cat([cloud(8, 400), junk]))
    assert abs(precision - 0.5) < 0.08 and recall > 0.8
    lopsided = torch.cat([cloud(1, 700), cloud(8, 96)])
    assert precision_recall(real, lopsided)[1] > 0.6  # reached, far from the right proportions
    assert precision_recall(real, cloud(8, 800), 7)[1] >= precision_recall(real, cloud(8, 800), 1)[1]


def q136():
    """100 Elo points are 64%, 55% are 35 points, 52% are 14; 600 votes give ±4 percentage points."""
    assert abs(1 / (1 + 10 ** (-100 / 400)) - 0.64) < 1e-3
    assert round(-400 * math.log10(1 / 0.55 - 1)) == 35 and round(-400 * math.log10(1 / 0.52 - 1)) == 14
    assert abs(1.96 * 0.5 / math.sqrt(600) - 0.04) < 1e-3


def q137():
    """Squared error 0.01 is 20 dB; grey beats shifted stripes by 6 dB; the range's width enters squared."""

    def psnr(mse, width=1.0):
        return 10 * math.log10(width**2 / mse)

    assert math.isclose(psnr(0.01), 20) and abs(psnr(0.005) - psnr(0.01) - 3.01) < 0.01
    assert math.isclose(psnr(0.001) - psnr(0.01), 10)
    stripes = np.tile([1.0, -1.0], 32)
    shifted, grey = ((stripes - np.roll(stripes, 1)) ** 2).mean(), (stripes**2).mean()
    assert (shifted, grey) == (4, 1) and abs(psnr(grey, 2) - psnr(shifted, 2) - 6) < 0.03
    x = np.random.default_rng(0).random((2, 100))
    mse = ((x[0] - x[1]) ** 2).mean()
    assert math.isclose(psnr(mse), psnr(4 * mse, 2))  # the same pictures in [0, 1] and in [-1, 1]


def q138():
    """Votes to tell a share from one half at 5% and 80% power; ten metrics at 5% find something in 40% of cases."""

    def votes(p):
        return ((norm.ppf(0.975) * 0.5 + norm.ppf(0.8) * math.sqrt(p * (1 - p))) / (p - 0.5)) ** 2

    for p, n in [(0.53, 2_180), (0.55, 780), (0.60, 194)]:
        assert abs(votes(p) / n - 1) < 0.02
    assert abs(norm.ppf(0.975) - 1.96) < 1e-3 and abs(norm.ppf(0.8) - 0.84) < 2e-3
    assert abs(1 - 0.95**10 - 0.40) < 0.005
