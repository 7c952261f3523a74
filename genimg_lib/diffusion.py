"""Paths from data to noise, and the ways back. Everything here consumes the prediction of x0.

A path mixes data x0 and noise eps: x_t = alpha(t) x0 + sigma(t) eps, t = 0 is data, t = 1 is noise. Whoever can
guess x0 from (x_t, t) knows where the path leads, so one function `predict(x_t, t) -> x0`, with t of shape (B,),
is all that a sampler needs, whatever a network was trained to output.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

Predict = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Path:
    """How much data, alpha(t), and how much noise, sigma(t), x_t holds, with their derivatives in t."""

    alpha: Callable
    sigma: Callable
    d_alpha: Callable
    d_sigma: Callable


#: Flow matching: a straight line at constant speed (Lipman et al. 2023; Liu et al. 2023).
linear = Path(alpha=lambda t: 1 - t, sigma=lambda t: t, d_alpha=lambda t: -torch.ones_like(t), d_sigma=torch.ones_like)

#: A quarter circle, alpha² + sigma² = 1: the variance of standardised data never changes.
cosine = Path(
    alpha=lambda t: torch.cos(math.pi / 2 * t),
    sigma=lambda t: torch.sin(math.pi / 2 * t),
    d_alpha=lambda t: -math.pi / 2 * torch.sin(math.pi / 2 * t),
    d_sigma=lambda t: math.pi / 2 * torch.cos(math.pi / 2 * t),
)


def per_sample(t: Tensor, x: Tensor) -> Tensor:
    """t: (B,) with ones appended, so that it broadcasts over x: (B, ...)."""
    return t.view(-1, *[1] * (x.ndim - 1))


def add_noise(path: Path, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t = alpha(t) x0 + sigma(t) eps. x0, eps: (B, ...); t: (B,); returns (B, ...)."""
    t = per_sample(t, x0)
    return path.alpha(t) * x0 + path.sigma(t) * eps


def logit_normal(n: int, mean: float = 0.0, std: float = 1.0, device=None) -> Tensor:
    """n times t = sigmoid(N(mean, std²)): most in the middle, where guessing is hardest (Esser et al. 2024)."""
    return torch.sigmoid(mean + std * torch.randn(n, device=device))


def velocity(path: Path, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """dx_t/dt = alpha'(t) x0 + sigma'(t) eps, the noise being what x_t holds beside x0: eps = (x_t − alpha x0) / sigma.

    x_t, x0: (B, ...); t: (B,), all above 0; returns (B, ...).
    """
    t = per_sample(t, x_t)
    eps = (x_t - path.alpha(t) * x0) / path.sigma(t)
    return path.d_alpha(t) * x0 + path.d_sigma(t) * eps


def ddim_step(path: Path, x_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Move x_t from time t to s < t, keeping its noise: x_s = alpha(s) x0 + sigma(s) eps (Song et al. 2021, eq. 12).

    x_t, x0: (B, ...); t, s: (B,); returns (B, ...). On the linear path this is Euler's step.
    """
    t, s = per_sample(t, x_t), per_sample(s, x_t)
    eps = (x_t - path.alpha(t) * x0) / path.sigma(t)
    return path.alpha(s) * x0 + path.sigma(s) * eps


# ------------------------------------------------------------------------------------------- samplers
# One signature: (path, predict, x_t, t, s) -> x_s, one step from time t to s < t, both (B,).


def ddim(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Trust one guess of x0 for the whole step. One call of `predict`; error of order 1 in the step."""
    return ddim_step(path, x_t, predict(x_t, t), t, s)


def euler(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Follow the velocity at t along a straight line. One call of `predict`; error of order 1 in the step."""
    return x_t + per_sample(s - t, x_t) * velocity(path, x_t, predict(x_t, t), t)


def heun(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Follow the mean of the velocities at both ends. Two calls; error of order 2 (Karras et al. 2022, alg. 1).

    At s = 0 no noise is left to divide by, and the step is `ddim`'s, which lands on the guess of x0.
    """
    x0 = predict(x_t, t)
    if not s.any():
        return ddim_step(path, x_t, x0, t, s)
    v, h = velocity(path, x_t, x0, t), per_sample(s - t, x_t)
    x_s = x_t + h * v
    return x_t + h * (v + velocity(path, x_s, predict(x_s, s), s)) / 2


@torch.no_grad()
def integrate(path: Path, predict: Predict, x_1: Tensor, steps: int = 12, step=heun) -> Tensor:
    """Walk from noise x_1: (B, ...) at t = 1 to a sample at t = 0, in equal steps of the given kind."""
    if steps < 1:
        raise ValueError(f"expected at least one step from noise to data, got steps={steps}")
    times = torch.linspace(1, 0, steps + 1, device=x_1.device, dtype=x_1.dtype)
    x = x_1
    for t, s in zip(times, times[1:], strict=False):
        x = step(path, predict, x, t.expand(len(x)), s.expand(len(x)))
    return x
