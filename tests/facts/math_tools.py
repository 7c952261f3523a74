"""What the answers on likelihood and divergences state in numbers, computed."""

import math

import numpy as np
import torch
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance
from torch.distributions import Normal, kl_divergence

from genimg_lib.vae import gaussian_kl


def gaussian(x, mean=0.0, std=1.0):
    return np.exp(-0.5 * ((x - mean) / std) ** 2) / (std * math.sqrt(2 * math.pi))


def discrete_kl(p, q):
    return sum(a * math.log(a / b) if b else math.inf for a, b in zip(p, q, strict=True) if a)


def discrete_js(p, q):
    m = [(a + b) / 2 for a, b in zip(p, q, strict=True)]
    return (discrete_kl(p, m) + discrete_kl(q, m)) / 2


def q016():
    """The table of the KL to N(0, 1), the general formulas, the gradients."""
    for mu, sigma, nats in [(0, 1, 0), (1, 1, 0.5), (0, 0.5, 0.318), (0, 2, 0.807), (0, 0.01, 4.105)]:
        value = gaussian_kl(torch.tensor([[float(mu)]]), torch.tensor([[2 * math.log(sigma)]]))
        assert abs(value.item() - nats) < 6e-4
        assert abs(kl_divergence(Normal(mu, sigma), Normal(0.0, 1.0)).item() - nats) < 6e-4
    assert abs(kl_divergence(Normal(0.0, 1.0), Normal(0.0, 2.0)).item() - 0.318) < 6e-4
    torch.manual_seed(0)
    mu, logvar = torch.randn(2, 5, 3, dtype=torch.float64).unbind()
    mu.requires_grad_(), logvar.requires_grad_()
    gaussian_kl(mu, logvar).sum().backward()
    assert torch.allclose(mu.grad, mu) and torch.allclose(logvar.grad, 0.5 * (logvar.exp() - 1))
    root = torch.randn(3, 3, dtype=torch.float64)
    cov, mean = root @ root.T + torch.eye(3), torch.randn(3, dtype=torch.float64)
    q = torch.distributions.MultivariateNormal(mean, cov)
    p = torch.distributions.MultivariateNormal(torch.zeros_like(mean), torch.eye(3, dtype=torch.float64))
    assert torch.allclose(kl_divergence(q, p), 0.5 * (cov.trace() + mean @ mean - 3 - cov.logdet()))
    m1, s1, m2, s2 = 0.3, 0.7, -1.1, 1.9
    general = math.log(s2 / s1) + (s1**2 + (m1 - m2) ** 2) / (2 * s2**2) - 0.5
    assert abs(kl_divergence(Normal(m1, s1), Normal(m2, s2)).item() - general) < 1e-6
    halved = [0.5 * (s**2 - 1 - math.log(s**2)) for s in (0.002, 0.001)]  # a small sigma, halved: one bit
    assert abs(halved[1] - halved[0] - math.log(2)) < 1e-5


def q017():
    """Two unit Gaussians: KL, JS and distance. Disjoint supports: infinite, log 2. The root is a metric, JS is not."""
    x = np.linspace(-15, 25, 40_001)
    dx = x[1] - x[0]
    for delta, kl, js in [(0.5, 0.125, 0.030), (2, 2, 0.337), (6, 18, 0.689), (10, 50, 0.693)]:
        p, q = gaussian(x), gaussian(x, delta)
        m = (p + q) / 2
        assert abs((p * (0.5 * (x - delta) ** 2 - 0.5 * x**2)).sum() * dx - kl) < 1e-3
        halves = [(a * np.log(np.maximum(a, 1e-300) / m)).sum() * dx for a in (p, q)]
        assert abs(sum(halves) / 2 - js) < 6e-4
        assert abs(np.abs(np.cumsum(p - q)).sum() * dx * dx - delta) < 1e-3
    near, far = ([1, 0, 0, 0], [0, 1, 0, 0]), ([1, 0, 0, 0], [0, 0, 0, 1])
    for p, q in (near, far):
        assert discrete_kl(p, q) == math.inf and abs(discrete_js(p, q) - math.log(2)) < 1e-12
    left, middle, right = [1, 0], [0.5, 0.5], [0, 1]
    assert discrete_js(left, right) > discrete_js(left, middle) + discrete_js(middle, right)
    rng = np.random.default_rng(0)
    for a, b, c in rng.dirichlet(np.ones(3) / 2, size=(300, 3)):
        assert discrete_js(a, c) ** 0.5 <= discrete_js(a, b) ** 0.5 + discrete_js(b, c) ** 0.5 + 1e-9
        assert abs(discrete_js(a, b) - discrete_js(b, a)) < 1e-12


def q018():
    """Primal and dual of the transport agree; K-Lipschitz gives K times the distance; two points are theta apart."""
    rng = np.random.default_rng(0)
    points = np.sort(rng.normal(size=6))
    p, q = rng.dirichlet(np.ones(6), size=2)
    cost = np.abs(points[:, None] - points)
    marginals = np.concatenate([np.kron(np.eye(6), np.ones((1, 6))), np.kron(np.ones((1, 6)), np.eye(6))])
    primal = linprog(cost.ravel(), A_eq=marginals, b_eq=np.concatenate([p, q])).fun

    def dual(lipschitz):
        pairs = [(i, j) for i in range(6) for j in range(6) if i != j]
        rows = np.array([np.eye(6)[i] - np.eye(6)[j] for i, j in pairs])
        limits = [lipschitz * cost[i, j] for i, j in pairs]
        return -linprog(q - p, A_ub=rows, b_ub=limits, bounds=[(0, 0)] + [(None, None)] * 5).fun

    assert abs(primal - dual(1)) < 1e-9 and abs(5 * primal - dual(5)) < 1e-8
    assert abs(primal - wasserstein_distance(points, points, p, q)) < 1e-9
    gaps = np.abs(np.cumsum(p - q))[:-1] * np.diff(points)
    assert abs(primal - gaps.sum()) < 1e-9
    assert abs(wasserstein_distance([0], [3.7]) - 3.7) < 1e-12


def q019():
    """Log-normal, scaling, coupling: the determinant's place and sign. Pixels from [0, 255] to [0, 1]: 7.99 bits."""
    x = torch.linspace(0.05, 6, 400, dtype=torch.float64)
    mine = Normal(0.0, 1.0).log_prob(x.log()) - x.log()
    assert torch.allclose(mine, torch.distributions.LogNormal(0.0, 1.0).log_prob(x))
    scaled = Normal(0.0, 1.0).log_prob(3 * x) + math.log(3)
    assert torch.allclose(scaled, Normal(0.0, torch.tensor(1 / 3, dtype=torch.float64)).log_prob(x), atol=1e-6)

    def coupling(v):
        return torch.cat([v[:2], v[2:] * torch.sin(v[:2]).exp() + v[:2] ** 2])

    v = torch.tensor([0.3, -1.2, 0.8, 2.0], dtype=torch.float64)
    jacobian = torch.autograd.functional.jacobian(coupling, v)
    assert torch.allclose(jacobian.det().abs().log(), torch.sin(v[:2]).sum())
    assert abs(math.log2(255) - 7.99) < 5e-3
    # the mode of the log-normal is e^-1, not the image e^0 of the Gaussian's mode
    assert abs(x[mine.argmax()].item() - math.exp(-1)) < 0.02


def q020():
    """The gap of Jensen for Gaussian log-weights is half their variance, and shrinks about as 1/K."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=400_000) * math.sqrt(2)
    assert abs(math.log(np.exp(y).mean()) - y.mean() - 1) < 0.03
    y = 0.5 * rng.normal(size=(16, 50_000))
    gap = {k: 0.125 - (np.log(np.exp(y[:k]).mean(0))).mean() for k in (1, 4, 16)}  # log E e^Y = 0.5² / 2
    assert gap[1] > gap[4] > gap[16] > 0 and 3 < gap[1] / gap[4] < 5 and 3 < gap[4] / gap[16] < 5
    weights = np.exp(0.1 * rng.normal(size=200_000))
    relative = weights.var() / weights.mean() ** 2
    assert abs(np.log(weights.mean()) - np.log(weights).mean() - relative / 2) < 1e-3
