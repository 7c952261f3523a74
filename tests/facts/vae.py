"""What the answers on variational autoencoders state in numbers, computed."""

import math
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
import yaml
from scipy.optimize import minimize
from torch import nn
from torch.distributions import Normal, kl_divergence

from genimg_lib.vae import gaussian_kl, importance_bound

BANK = Path(__file__).resolve().parents[2] / "book" / "interview" / "vae.yml"


def shown_code(id):
    """The Python block of an answer, as names."""
    items = yaml.safe_load(BANK.read_text(encoding="utf-8"))["items"]
    more = next(item["more"] for item in items if item["id"] == id)
    names = {"nn": nn, "F": F, "torch": torch}
    exec(more.split("```python\n")[1].split("```")[0], names)
    return names


def a5():
    """The code that the answer shows: shapes, a gradient to every weight, the KL, a batch that it can overfit."""
    code = shown_code("A5")
    torch.manual_seed(0)
    rows = torch.arange(28.0)
    centres = 6 + 16 * torch.rand(16, 2)
    x = torch.exp(-0.05 * ((rows[None, :, None] - centres[:, :1, None]) ** 2 + (rows - centres[:, 1:, None]) ** 2))
    x = x[:, None]  # soft dots, (16, 1, 28, 28)
    vae, loss = code["VAE"](), code["vae_loss"]
    for n in (1, 5):
        logits, mu, logvar = vae(x[:n])
        assert logits.shape == (n, 1, 28, 28) and mu.shape == logvar.shape == (n, 2)
    assert not torch.equal(vae(x)[0], vae(x)[0])
    first = loss(x, *vae(x))
    assert torch.allclose(first[2], gaussian_kl(*vae(x)[1:]).mean()) and torch.allclose(first[0], first[1] + first[2])
    optimizer = torch.optim.Adam(vae.parameters(), 3e-3)
    for _ in range(10):
        optimizer.zero_grad()
        loss(x, *vae(x))[0].backward()
        assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in vae.parameters())
        optimizer.step()
    assert loss(x, *vae(x))[0] < 0.5 * first[0]


def q026():
    """p(x) = N(0, 2), x = 1: log p = −1.516; with q = N(0, 1) the ELBO is −1.919 and the gap 0.403; none at best."""
    x = 1.0
    log_p = -(x**2) / 4 - 0.5 * math.log(4 * math.pi)
    assert abs(log_p + 1.516) < 1e-3

    def elbo(m, s):  # all Gaussian: E (x − z)² = (x − m)² + s²
        return -0.5 * ((x - m) ** 2 + s**2) - 0.5 * math.log(2 * math.pi) - 0.5 * (m**2 + s**2 - 1 - math.log(s**2))

    posterior = Normal(x / 2, math.sqrt(0.5))
    for m, s in [(0.0, 1.0), (0.9, 0.3), (x / 2, math.sqrt(0.5))]:
        assert abs(elbo(m, s) + kl_divergence(Normal(m, s), posterior).item() - log_p) < 1e-6
    assert abs(elbo(0, 1) + 1.919) < 1e-3 and abs(log_p - elbo(0, 1) - 0.403) < 1e-3
    assert abs(elbo(x / 2, math.sqrt(0.5)) - log_p) < 1e-12


def q027():
    """Both estimators have mean −3; their deviations are 1 and 12, their variances about 150 apart; the limits."""

    def both(sigma):
        draw = torch.Generator().manual_seed(0)
        a, mu = torch.tensor([2.0, -1.0]), torch.tensor([0.5, 0.5])
        z = mu + sigma * torch.randn(400_000, 2, generator=draw)
        return 2 * (z - a)[:, 0], (z - a).square().sum(1) * (z - mu)[:, 0] / sigma**2

    pathwise, score = both(0.5)
    assert abs(pathwise.mean() + 3) < 0.02 and abs(score.mean() + 3) < 0.1
    assert abs(pathwise.std() - 1) < 0.02 and abs(score.std() - 12) < 0.5
    assert 130 < (score.var() / pathwise.var()).item() < 170
    finer = both(0.05)
    assert finer[0].std() < 0.11 * pathwise.std() and finer[1].std() > 6 * score.std()


def q029():
    """Two nats a coordinate cost 2 nats, and 26.8 where the variance may not fall below 1; exp overflows at 88, 11."""
    rate = 2.0
    free, forced = math.exp(-2 * rate), 1.0
    for noise, price in [(free, 2.0), (forced, 26.8)]:
        spread = noise * (math.exp(2 * rate) - 1)  # variance of the means that carries the rate
        assert abs(0.5 * math.log(1 + spread / noise) - rate) < 1e-9
        assert abs(0.5 * (spread + noise - 1 - math.log(noise)) - price) < 0.01

    def cost(noise):
        return 0.5 * (noise * (math.exp(2 * rate) - 1) + noise - 1 - math.log(noise))

    grid = np.exp(np.linspace(-8, 3, 2_001))
    assert abs(grid[np.argmin([cost(v) for v in grid])] - free) < 1e-3 * 20
    assert min(cost(v) for v in grid if v >= 1) >= cost(1.0) - 1e-9
    assert torch.tensor(88.0).exp().isfinite() and torch.tensor(89.0).exp().isinf()
    assert torch.tensor(11.0).half().exp().isfinite() and torch.tensor(11.5).half().exp().isinf()


def linear_vae(lam, s2, beta):
    """The best one-dimensional linear VAE by numerical search: (KL, loss). x ~ N(0, lam), q = N(a x, v), mean w z."""

    def terms(parameters):
        w, a, log_v = parameters
        v = math.exp(log_v)
        squared = lam * (1 - w * a) ** 2 + w * w * v
        return squared / (2 * s2), 0.5 * (a * a * lam + v - 1 - log_v)

    starts = [(1.0, 0.5, -1.0), (0.3, 1.0, -2.0), (0.01, 0.01, 0.0)]
    found = [minimize(lambda p: terms(p)[0] + beta * terms(p)[1], start, tol=1e-12) for start in starts]
    best = min(found, key=lambda result: result.fun)
    return terms(best.x)[1], best.fun


def q030():
    """A direction of variance lambda gets ½ log(lambda / (beta s²)) nats, and none below beta s²."""
    for lam, s2, beta in [(1.0, 0.1, 1.0), (1.0, 0.1, 4.0), (0.04, 0.01, 3.0), (2.0, 0.5, 1.5)]:
        assert abs(linear_vae(lam, s2, beta)[0] - 0.5 * math.log(lam / (beta * s2))) < 1e-3
    for lam, s2, beta in [(0.05, 0.1, 1.0), (0.04, 0.01, 4.2), (1.0, 0.1, 12.0)]:
        assert linear_vae(lam, s2, beta)[0] < 1e-4


def q031():
    """Only beta · s² counts; a rotated Gaussian is the same Gaussian; the rate exceeds the information."""
    assert abs(linear_vae(1.0, 0.1, 4.0)[0] - linear_vae(1.0, 0.4, 1.0)[0]) < 1e-4
    rng = np.random.default_rng(0)
    U, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    z = rng.normal(size=(5, 3))

    def log_density(z):
        return -0.5 * (z**2).sum(1) - 1.5 * math.log(2 * math.pi)

    assert np.allclose(log_density(z @ U.T), log_density(z)) and abs(abs(np.linalg.det(U)) - 1) < 1e-12
    assert (np.abs(U) > 0.01).all()  # every new coordinate mixes all old ones
    # codes N(mu, s²) with mu of variance v: rate = information + KL(aggregate ‖ prior)
    s2, v = 0.3, 1.4
    rate, information = 0.5 * (v + s2 - 1 - math.log(s2)), 0.5 * math.log(1 + v / s2)
    assert abs(rate - information - 0.5 * (v + s2 - 1 - math.log(v + s2))) < 1e-12


def q032():
    """Betting on one of two answers costs twice their average; a guess from the truth costs twice the least."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 48))

    def cost(answer):
        return (((answer - a) ** 2).sum() + ((answer - b) ** 2).sum()) / 2

    assert np.isclose(cost(a), 2 * cost((a + b) / 2)) and np.isclose(cost((a + b) / 2), ((a - b) ** 2).sum() / 4)
    x = rng.gamma(2.0, size=(2, 400_000))
    assert abs(((x[0] - x[1]) ** 2).mean() / x[0].var() - 2) < 0.02


def q033():
    """The table of reductions, by the ratio of the two gradients' weights; plain squared error is a noise of ½."""
    D, d, batch = 3 * 32 * 32, 64, 4
    torch.manual_seed(0)
    x, x_hat = torch.rand(2, batch, D, dtype=torch.float64)
    mu, logvar = torch.randn(2, batch, d, dtype=torch.float64)
    kl = 0.5 * (mu**2 + logvar.exp() - 1 - logvar)
    R, K = (x - x_hat).square().sum(1).mean(), kl.sum(1).mean()
    mean_R = F.mse_loss(x_hat, x)
    for loss, beta in [
        (R + K, 1), (mean_R + K, D), (mean_R + kl.mean(), D / d), (R + kl.mean(), 1 / d),
        (mean_R + kl.sum() / (batch * D), 1),
    ]:  # fmt: skip
        scale = loss / (R + beta * K)
        assert torch.isclose(scale, torch.tensor(1.0).double()) or torch.isclose(scale, torch.tensor(1 / D).double())
    assert D == 3_072 and 28 * 28 == 784 and D / d == 48 and round(0.001 * D) == 3
    assert 1 / (2 * 0.5) == 1 and round(1 / (2 * 0.1**2)) == 50


def q034():
    """Bins of the discretized logistic sum to 1; the best variance is the MSE; grey cross-entropy costs log 2 and
    is not normalised."""
    mean, width, half = 0.31, 0.07, 1 / 255
    centres = torch.linspace(-1, 1, 256, dtype=torch.float64)
    upper = torch.sigmoid((centres + half - mean) / width)
    lower = torch.sigmoid((centres - half - mean) / width)
    upper[-1], lower[0] = 1, 0
    assert torch.isclose((upper - lower).sum(), torch.tensor(1.0).double()) and (upper > lower).all()
    torch.manual_seed(0)
    error = 0.2 * torch.randn(1_000, dtype=torch.float64) ** 3
    mse = error.square().mean()

    def cost(s2):
        return (error.square() / (2 * s2) + 0.5 * (2 * math.pi * s2).log()).mean()

    assert torch.isclose(cost(mse), 0.5 * (2 * math.pi * math.e * mse).log())
    assert all(cost(mse) < cost(mse * factor) for factor in (0.8, 0.95, 1.05, 1.3))
    grey = torch.tensor(0.5, dtype=torch.float64)
    assert torch.isclose(F.binary_cross_entropy(grey, grey), torch.tensor(math.log(2)).double())
    x = torch.linspace(0, 1, 2_001, dtype=torch.float64)
    mass = torch.exp(-F.binary_cross_entropy(torch.full_like(x, 0.5), x, reduction="none")).mean()
    assert torch.isclose(mass, grey)  # the "density" at p = ½ integrates to ½


def q035():
    """The bound tightens, the encoder's signal fades: gaps 0.11 and 0.001 nats, signal-to-noise 0.35 and 0.04."""
    draw = torch.Generator().manual_seed(0)
    x, reps = 1.0, 20_000
    log_p = -0.25 * x**2 - 0.5 * math.log(4 * math.pi)
    gaps, signals = {}, {}
    for k in (1, 4, 64):
        m = torch.full((reps,), 0.8, requires_grad=True)
        log_s = 0.5 * math.log(2 / 3)
        eps = torch.randn(k, reps, generator=draw)
        z = m + math.exp(log_s) * eps
        log_q = -0.5 * ((z - m) / math.exp(log_s)) ** 2 - log_s - 0.5 * math.log(2 * math.pi)
        bound = importance_bound(-0.5 * z**2 - 0.5 * (x - z) ** 2 - math.log(2 * math.pi) - log_q)
        (gradient,) = torch.autograd.grad(bound.sum(), m)
        gaps[k] = log_p - bound.mean().item()
        signals[k] = (gradient.mean().abs() / gradient.std()).item()
    assert abs(gaps[1] - 0.11) < 0.02 and gaps[1] > gaps[4] > gaps[64] and abs(gaps[64] - 0.001) < 0.002
    assert abs(signals[1] - 0.35) < 0.03 and abs(signals[64] - 0.04) < 0.025
    assert signals[1] > signals[4] > signals[64]


def q036():
    """Free bits: no gradient below lambda, the full one above; a constant shift has a KL and carries nothing."""
    lam = 0.5
    for mean, gradient in [(0.6, 0.0), (1.4, 1.4)]:
        mu = torch.full((8, 1), mean, requires_grad=True)
        kl = gaussian_kl(mu, torch.zeros(8, 1)).mean()
        torch.clamp(kl, min=lam).backward()
        assert abs(8 * mu.grad[0, 0].item() - gradient) < 1e-6
    shifted = torch.full((4, 1), 1.7)
    assert torch.allclose(gaussian_kl(shifted, torch.zeros(4, 1)), torch.tensor(1.7**2 / 2))
    assert shifted.std() == 0  # the same for every picture


def q037():
    """The KL of a residual normal depends on Δmu / sigma and Δsigma alone; zero at Δmu = 0, Δsigma = 1."""
    for mu, sigma, d_mu, d_sigma in [(0.3, 2.0, 0.5, 0.7), (-4.0, 0.1, 0.02, 1.3), (7.0, 1.0, 0.0, 1.0)]:
        kl = kl_divergence(Normal(mu + d_mu, sigma * d_sigma), Normal(mu, sigma)).item()
        assert abs(kl - 0.5 * (d_mu**2 / sigma**2 + d_sigma**2 - math.log(d_sigma**2) - 1)) < 1e-5
