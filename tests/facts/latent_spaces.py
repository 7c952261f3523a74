"""What the answers on autoencoders and latent spaces state in numbers, computed."""

import math

import numpy as np
import torch


def q012():
    """The best linear autoencoder leaves the eigenvalues beyond k; an invertible mix of the code changes nothing."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(400, 6)) @ rng.normal(size=(6, 6))
    x = x - x.mean(0)
    eigenvalues, vectors = np.linalg.eigh(x.T @ x / len(x))
    k = 2
    left_over, best = eigenvalues[:-k].sum(), vectors[:, -k:]

    def error(w_e, w_d):
        return ((x - x @ w_e.T @ w_d.T) ** 2).sum(1).mean()

    assert np.isclose(error(best.T, best), left_over)
    mix = rng.normal(size=(k, k))
    assert np.isclose(error(mix @ best.T, best @ np.linalg.inv(mix)), left_over)
    for _ in range(200):
        w_d = rng.normal(size=(6, k))
        assert error(np.linalg.pinv(w_d), w_d) > left_over
    shifted = x + 3  # uncentred and without a bias: the mean costs one of the k directions
    raw = np.linalg.svd(shifted, compute_uv=False)
    assert (raw[k:] ** 2).sum() / len(x) > left_over + 1e-3


def q013():
    """Tweedie's formula, on a Gaussian and on a mixture whose posterior mean is known."""
    s2, sigma2 = 1.7, 0.4
    x = torch.linspace(-3, 3, 61, dtype=torch.float64, requires_grad=True)
    log_p = -0.5 * x**2 / (s2 + sigma2)
    score = torch.autograd.grad(log_p.sum(), x)[0]
    assert torch.allclose(x + sigma2 * score, x * s2 / (s2 + sigma2))
    log_p = torch.logsumexp(torch.stack([-0.5 * (x - 1) ** 2 / sigma2, -0.5 * (x + 1) ** 2 / sigma2]), 0)
    score = torch.autograd.grad(log_p.sum(), x)[0]  # clean data are ±1, so the posterior mean is tanh(x / sigma²)
    assert torch.allclose(x + sigma2 * score, torch.tanh(x / sigma2))


def q014():
    """512·512·3 numbers against 64·64·4: a factor of 48, 64 in positions, 4,096 in pairs, 24 in bytes."""
    pixels, latents = 512 * 512 * 3, 64 * 64 * 4
    assert (pixels, latents, pixels / latents) == (786_432, 16_384, 48)
    assert (512 * 512, 64 * 64, 512 * 512 / 64**2) == (262_144, 4_096, 64)
    assert (512 * 512) ** 2 / (64 * 64) ** 2 == 4_096
    assert round((512 * 512) ** 2 / 1e10, 1) == 6.9 and round((64 * 64) ** 2 / 1e7, 1) == 1.7
    assert 2 * latents == 32_768 and pixels / (2 * latents) == 24
    assert 8**2 * 3 / 16 == 12 == (1024 * 1024 * 3) / (128 * 128 * 16)
    assert 4 * 16 / 64 == 1  # bits of a 16-bit code a pixel


def q015():
    """The straight midpoint of two draws is too short by √2; slerp and square-root weights keep the length."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 20_000, 64))

    def length(x):
        return np.linalg.norm(x, axis=1).mean()

    assert abs(length(a) - 8) < 0.05 and abs(np.linalg.norm(a, axis=1).std() - 0.7) < 0.02
    assert round(math.sqrt(64 / 2), 1) == 5.7 and abs(length((a + b) / 2) - math.sqrt(64 / 2)) < 0.05
    assert abs(((0.7 * a + 0.3 * b) ** 2).mean() - (0.7**2 + 0.3**2)) < 5e-3
    theta = np.arccos((a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1))[:, None]
    assert abs(np.degrees(theta).mean() - 90) < 0.2
    slerp = (np.sin(0.3 * theta) * a + np.sin(0.7 * theta) * b) / np.sin(theta)
    assert abs(length(slerp) - 8) < 0.05
    assert abs(length(math.sqrt(0.3) * a + math.sqrt(0.7) * b) - 8) < 0.05
    assert math.sqrt(512 / 2) == 16 and abs(math.sqrt(512) - 22.6) < 0.05
    ten = rng.normal(size=(10, 20_000))
    assert abs((ten.sum(0) / math.sqrt(10)).var() - 1) < 0.03 and abs(ten.mean(0).var() - 0.1) < 0.01
