"""What the answers of book/interview/diffusion.yml state and a computer can check."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from genimg_lib import diffusion
from genimg_lib.nets import TimedBlock


def linear_betas(T=1000):
    return np.linspace(1e-4, 0.02, T)


def kept(betas):
    """alpha_bar: the share of the variance of x_t that is still the picture's."""
    return np.cumprod(1 - betas)


def cosine_kept(T=1000, s=0.008):
    f = np.cos((np.arange(T + 1) / T + s) / (1 + s) * math.pi / 2) ** 2
    return kept(np.clip(1 - f[1:] / f[:-1], 0, 0.999))


def stable_diffusion_kept():
    return kept(np.linspace(0.00085**0.5, 0.012**0.5, 1000) ** 2)


def q074():
    """With T = 1000 and linear betas 0.6% of the picture's amplitude is left at the end."""
    share = math.sqrt(kept(linear_betas())[-1])
    assert 0.006 < share < 0.0065


def q075():
    """Step by step, the factor of x0 and the variance of the noise end at sqrt(alpha_bar) and 1 - alpha_bar."""
    betas = linear_betas(50)
    bar, scale, variance = kept(betas), 1.0, 0.0
    for t, beta in enumerate(betas):
        scale, variance = math.sqrt(1 - beta) * scale, (1 - beta) * variance + beta
        assert math.isclose(scale, math.sqrt(bar[t])) and math.isclose(variance, 1 - bar[t])
    unnormalised = sum(betas)  # without the shrinking factor the variance only adds up
    assert unnormalised > 1 - bar[-1]


def posterior(betas, t, x0, x_t):
    """Mean and variance of q(x_{t-1} | x_t, x0) by Bayes: precisions add, means are weighted by them."""
    bar, beta = kept(betas), betas[t]
    a, v = math.sqrt(1 - beta), 1 - bar[t - 1]
    precision = a * a / beta + 1 / v
    return (a * x_t / beta + math.sqrt(bar[t - 1]) * x0 / v) / precision, 1 / precision


def q076():
    """Bayes gives beta~ = beta (1 - bar_{t-1}) / (1 - bar_t) and the mean in eps; beta~ is 0 at the first step."""
    betas = linear_betas(100)
    bar = kept(betas)
    x0, eps = 0.7, -1.3
    for t in (1, 10, 50, 99):
        x_t = math.sqrt(bar[t]) * x0 + math.sqrt(1 - bar[t]) * eps
        mean, variance = posterior(betas, t, x0, x_t)
        assert math.isclose(variance, betas[t] * (1 - bar[t - 1]) / (1 - bar[t]))
        assert variance < betas[t]
        of_eps = (x_t - betas[t] / math.sqrt(1 - bar[t]) * eps) / math.sqrt(1 - betas[t])
        assert math.isclose(mean, of_eps)
        of_x0 = math.sqrt(bar[t - 1]) * betas[t] / (1 - bar[t]) * x0
        of_x0 += math.sqrt(1 - betas[t]) * (1 - bar[t - 1]) / (1 - bar[t]) * x_t
        assert math.isclose(mean, of_x0)
    assert betas[0] * (1 - 1.0) / (1 - bar[0]) == 0
    large = betas[99] * (1 - bar[98]) / (1 - bar[99]) / betas[99]
    assert betas[1] * (1 - bar[0]) / (1 - bar[1]) / betas[1] < 0.5 < 0.95 < large


def q077():
    """The bound's weight of the eps error: 0.6 at t = 2, 0.01 at t = 1000; in x0 it is half the drop of SNR."""
    betas = linear_betas()
    bar = kept(betas)
    tilde = betas[1:] * (1 - bar[:-1]) / (1 - bar[1:])
    weight = betas[1:] ** 2 / (2 * tilde * (1 - betas[1:]) * (1 - bar[1:]))
    assert 0.59 < weight[0] < 0.61 and 0.0101 < weight[-1] < 0.0103 and weight[0] / weight[-1] > 55
    assert weight.min() < 0.006
    table = {2: 0.60, 10: 0.09, 100: 0.010, 500: 0.006, 1000: 0.010}
    for t, shown in table.items():
        assert abs(weight[t - 2] - shown) < (0.005 if t < 100 else 0.0005), (t, weight[t - 2])
    snr = bar / (1 - bar)
    np.testing.assert_allclose(weight * snr[1:], (snr[:-1] - snr[1:]) / 2, rtol=1e-6)


def q078():
    """An error in eps grows by sigma/alpha in x0: 14.6 at SD's last step, 157 at DDPM's; one in v by sigma."""
    for bar, factor in ((stable_diffusion_kept()[-1], 14.6), (kept(linear_betas())[-1], 157)):
        assert abs(math.sqrt((1 - bar) / bar) / factor - 1) < 0.01
    x0, eps = torch.randn(2, 5, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    for t in (0.1, 0.5, 0.9):
        alpha, sigma = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
        x_t, v = alpha * x0 + sigma * eps, alpha * eps - sigma * x0
        assert_close(alpha * x_t - sigma * v, x0)
        assert_close(sigma * x_t + alpha * v, eps)
    assert_close(0.0 * x0 + eps, eps)  # zero signal: the input is eps itself, nothing is learned from guessing it
    assert_close(0.0 * eps - 1.0 * x0, -x0)  # and v asks for the picture


def q079():
    """At half time linear keeps 8%, cosine 49%; the last SD step keeps 0.0683; pooling 4 x 4 lifts the SNR 16 times."""
    linear, cosine = kept(linear_betas()), cosine_kept()
    assert 0.075 < linear[499] < 0.08 and 0.48 < cosine[499] < 0.5
    assert (linear < 0.01).mean() > 0.25 > 0.07 > (cosine < 0.01).mean()
    assert abs(math.sqrt(stable_diffusion_kept()[-1]) - 0.068265) < 1e-5
    assert linear_betas()[-1] / linear_betas()[0] > 199
    assert 0.27 < stable_diffusion_kept()[499] < 0.29 and math.sqrt(cosine[-1]) < 1e-4
    noise = torch.randn(64, 1, 64, 64, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert abs(F.avg_pool2d(noise, 4).var() * 16 - 1) < 0.05
    assert round(2 * math.log(64 / 256), 2) == -2.77


def q080():
    """Sines and cosines: constant norm, nearby steps alike; a block whose gates start at zero does nothing."""
    t = torch.arange(1000, dtype=torch.float64)
    frequency = torch.exp(-math.log(10_000) * torch.arange(32) / 32)
    embedding = torch.cat([torch.sin(t[:, None] * frequency), torch.cos(t[:, None] * frequency)], dim=1)
    assert_close(embedding.norm(dim=1), torch.full((1000,), math.sqrt(32), dtype=torch.float64))
    alike = embedding @ embedding[500] / 32
    assert alike[501] > alike[510] > alike[600] and alike[501] > 0.95
    torch.manual_seed(0)
    h = torch.randn(4, 8)
    assert_close(TimedBlock(8, 6)(h, torch.randn(4, 6)), h)


def q081():
    """The perfect eps loss is not zero: for unit Gaussian data it equals alpha_bar at every t, half at even mixture."""
    g = torch.Generator().manual_seed(0)
    x0, eps = torch.randn(2, 400_000, generator=g, dtype=torch.float64)
    for bar in (0.5, 0.1):
        x_t = bar**0.5 * x0 + (1 - bar) ** 0.5 * eps
        best = (1 - bar) ** 0.5 * x_t  # E[eps | x_t] for data N(0, 1)
        assert abs((eps - best).square().mean() - bar) < 0.01
    assert 0.27 < kept(linear_betas()).mean() < 0.29 and 0.49 < cosine_kept().mean() < 0.51


def q082():
    """Grey samples in numbers: range, negative index, amplification without clipping, noise at the last step."""
    white_to_black = torch.tensor([0.0, 1.0])  # trained on [0, 1], shown by (x + 1) / 2
    assert ((white_to_black + 1) / 2).tolist() == [0.5, 1.0]
    bar = kept(linear_betas())
    assert bar[0 - 1] == bar[999], "an index of -1 silently means the noisiest step"
    off = 0.01 * math.sqrt((1 - bar[-1]) / bar[-1])
    assert 1.5 < off < 1.6
    last_noise = math.sqrt(linear_betas()[0]) * 127.5
    assert 1.2 < last_noise < 1.3


def q083():
    """One group is LayerNorm over C, H, W, C groups InstanceNorm; attention at 16 x 16 costs 1/256 of 64 x 64."""
    h = torch.randn(2, 8, 5, 5, generator=torch.Generator().manual_seed(0))
    assert_close(nn.GroupNorm(1, 8)(h), F.layer_norm(h, (8, 5, 5)))
    assert_close(nn.GroupNorm(8, 8)(h), F.instance_norm(h))
    assert ((64 * 64) / (16 * 16)) ** 2 == 256


def ddim(x_t, eps, bar_t, bar_s, eta, z=0.0, wrong=False):
    sigma = eta * math.sqrt((1 - bar_s) / (1 - bar_t) * (1 - bar_t / bar_s))
    x0 = (x_t - math.sqrt(1 - bar_t) * eps) / math.sqrt(bar_t)
    direction = sigma if wrong else math.sqrt(1 - bar_s - sigma**2)
    return math.sqrt(bar_s) * x0 + direction * eps + sigma * z


def q084():
    """With the true eps a DDIM step of any length stays on the path; 50 of 1000 steps are 20 times fewer."""
    bar = kept(linear_betas())
    x0, eps = 0.4, -0.9

    def at(t):
        return math.sqrt(bar[t]) * x0 + math.sqrt(1 - bar[t]) * eps

    for s in (0, 100, 500, 998):
        assert math.isclose(ddim(at(999), eps, bar[999], bar[s], eta=0), at(s), rel_tol=1e-9)
    assert math.isclose(ddim(at(999), eps, bar[999], 1.0, eta=0), x0, rel_tol=1e-9)
    assert 1000 // 50 == 20

    def noise_to_signal(share):
        return math.sqrt((1 - share) / share)

    guess, x = 0.3, 1.1  # in x / sqrt(bar) the step is Euler's, with the noise-to-signal ratio as time
    moved = ddim(x, guess, bar[700], bar[400], eta=0) / math.sqrt(bar[400])
    euler = x / math.sqrt(bar[700]) + (noise_to_signal(bar[400]) - noise_to_signal(bar[700])) * guess
    assert math.isclose(moved, euler, rel_tol=1e-9)


def q085():
    """For every eta the noise adds up to 1 - bar_s; eta = 1 is DDPM's posterior; a wrong direction loses noise."""
    betas = linear_betas()
    bar = kept(betas)
    for t in (10, 300, 999):
        s = t - 1
        for eta in (0.0, 0.3, 1.0):
            sigma2 = eta**2 * (1 - bar[s]) / (1 - bar[t]) * (1 - bar[t] / bar[s])
            assert math.isclose((1 - bar[s] - sigma2) + sigma2, 1 - bar[s])
        assert math.isclose(sigma2, betas[t] * (1 - bar[s]) / (1 - bar[t]), rel_tol=1e-9)
        x0, eps = 0.4, -0.9
        x_t = math.sqrt(bar[t]) * x0 + math.sqrt(1 - bar[t]) * eps
        mean, variance = posterior(betas, t, x0, x_t)
        assert math.isclose(ddim(x_t, eps, bar[t], bar[s], eta=1), mean, rel_tol=1e-9)
        assert math.isclose(variance, sigma2, rel_tol=1e-9)
        # sigma in the place of the direction's factor: at eta = 0 the step returns a scaled x0 without any noise
        assert math.isclose(ddim(x_t, eps, bar[t], bar[s], 0, wrong=True), math.sqrt(bar[s]) * x0, rel_tol=1e-9)


def gaussian_eps(x, t, mean, spread):
    """E[eps | x_t] on the cosine path for data N(mean, spread^2)."""
    alpha, sigma = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
    return sigma * (x - alpha * mean) / (alpha**2 * spread**2 + sigma**2)


def walk(x, times, w):
    """DDIM along the given times, with guidance of strength w towards N(1, 0.2^2) from N(0, 0.7^2)."""
    for t, s in zip(times, times[1:], strict=False):
        free, asked = gaussian_eps(x, t, 0.0, 0.7), gaussian_eps(x, t, 1.0, 0.2)
        eps = free + w * (asked - free)
        x0 = (x - math.sin(math.pi / 2 * t) * eps) / math.cos(math.pi / 2 * t)
        x = math.cos(math.pi / 2 * s) * x0 + math.sin(math.pi / 2 * s) * eps
    return x


def q086():
    """Inversion and back: the gap shrinks with the steps at w = 1 and is much larger at w = 7.5, or if w is changed."""

    def gap(steps, w_in, w_out):
        times = np.linspace(0.001, 0.95, steps + 1)
        return abs(walk(walk(1.2, times, w_in), times[::-1], w_out) - 1.2)

    shown = {(50, 1, 1): 0.023, (50, 7.5, 7.5): 0.098, (50, 1, 7.5): 0.100}
    shown |= {(200, 1, 1): 0.006, (200, 7.5, 7.5): 0.054, (200, 1, 7.5): 0.094}
    for setting, value in shown.items():
        assert abs(gap(*setting) - value) < 0.001
    assert gap(200, 1, 1) < gap(50, 1, 1) / 3
    assert gap(50, 7.5, 7.5) > 4 * gap(50, 1, 1)
    assert gap(50, 1, 7.5) > 4 * gap(50, 1, 1)
    assert gap(200, 1, 7.5) > 0.9 * gap(50, 1, 7.5), "more steps do not help when w is changed on the way back"


def q087():
    """On a mixture: the mean of the conditional scores is the score, which is -E[eps]/sigma; Tweedie gives E[x0]."""
    centres, weights = np.array([-1.0, 0.5, 2.0]), np.array([0.2, 0.5, 0.3])
    alpha, sigma = 0.8, 0.6
    x = np.linspace(-3, 4, 29)[:, None]

    def log_density(x):
        each = np.log(weights) - (x - alpha * centres) ** 2 / (2 * sigma**2)
        return np.log(np.exp(each).sum(1)) - math.log(sigma * math.sqrt(2 * math.pi))

    h = 1e-5
    score = (log_density(x + h) - log_density(x - h)) / (2 * h)
    posterior = weights * np.exp(-((x - alpha * centres) ** 2) / (2 * sigma**2))
    posterior /= posterior.sum(1, keepdims=True)
    eps = (x - alpha * centres) / sigma
    conditional = -(x - alpha * centres) / sigma**2
    np.testing.assert_allclose((posterior * conditional).sum(1), score, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose(-(posterior * eps).sum(1) / sigma, score, rtol=1e-6, atol=1e-8)
    np.testing.assert_allclose((x[:, 0] + sigma**2 * score) / alpha, posterior @ centres, rtol=1e-6, atol=1e-8)


def q088():
    """Gaussian data, VP diffusion: backwards, the SDE and the ODE carry the variance through the same values."""
    spread, beta, n = 0.5, 4.0, 40_000
    dt = 1 / n

    def marginal(t):
        return spread**2 * math.exp(-beta * t) + 1 - math.exp(-beta * t)

    sde = ode = marginal(1.0)
    for i in range(n, 0, -1):
        p = marginal(i * dt)
        # backwards: x grows by dt * (beta x / 2 + c * score), score = -x / p, c = beta (SDE) or beta / 2 (ODE)
        sde = sde * (1 + dt * (beta / 2 - beta / p)) ** 2 + beta * dt
        ode = ode * (1 + dt * (beta / 2 - beta / 2 / p)) ** 2
    assert abs(sde - spread**2) < 1e-3 and abs(ode - spread**2) < 1e-3


def q089():
    """Halving the step: Euler's error falls by 2, Heun's by 4. Two calls a step; 18 steps of Heun are 35 calls."""
    mean, spread = 0.6, 0.5

    def predict(x_t, t):
        alpha, sigma = diffusion.linear.alpha(t), diffusion.linear.sigma(t)
        return mean + alpha * spread**2 / (alpha**2 * spread**2 + sigma**2) * (x_t - alpha * mean)

    x = torch.tensor([1.3], dtype=torch.float64)
    exact = mean + spread * x  # the flow is affine, and x at t = 1 is standard normal
    for step, ratio in ((diffusion.euler, 2), (diffusion.heun, 4)):
        error = []
        for steps in (64, 128):
            times = torch.linspace(1, 1e-6, steps + 1, dtype=torch.float64)
            y = x
            for t, s in zip(times, times[1:], strict=False):
                y = step(diffusion.linear, predict, y, t[None], s[None])
            error.append((y - exact).abs().item())
        assert abs(error[0] / error[1] / ratio - 1) < 0.1
    assert 2 * 18 - 1 == 35

    # the exponential integrator with a constant x0 is DDIM's step
    t, s, x0 = torch.tensor([0.7]).double(), torch.tensor([0.4]).double(), 0.25
    at, as_ = diffusion.cosine.alpha(t), diffusion.cosine.alpha(s)
    st, ss = diffusion.cosine.sigma(t), diffusion.cosine.sigma(s)
    integral = torch.exp(torch.log(as_ / ss)) - torch.exp(torch.log(at / st))  # of e^lambda over log(alpha / sigma)
    by_integral = ss / st * x + ss * x0 * integral
    assert_close(by_integral, diffusion.ddim_step(diffusion.cosine, x, torch.full_like(x, x0), t, s))


def q090():
    """EDM: the net's input and target have variance 1 at every sigma, and the weight makes every sigma count alike."""
    s = 0.5
    for sigma in (0.002, 0.1, 0.5, 3.0, 80.0):
        c_skip = s**2 / (sigma**2 + s**2)
        c_out = sigma * s / math.sqrt(sigma**2 + s**2)
        c_in = 1 / math.sqrt(sigma**2 + s**2)
        weight = (sigma**2 + s**2) / (sigma * s) ** 2
        assert math.isclose(c_in**2 * (s**2 + sigma**2), 1)
        # target (x0 - c_skip (x0 + sigma eps)) / c_out
        assert math.isclose(((1 - c_skip) ** 2 * s**2 + (c_skip * sigma) ** 2) / c_out**2, 1)
        assert math.isclose(weight * c_out**2, 1)
        skips = np.linspace(0, 1, 1001)
        needed = (1 - skips) ** 2 * s**2 + (skips * sigma) ** 2
        assert abs(skips[needed.argmin()] - c_skip) < 1e-3
    assert 0.30 < math.exp(-1.2) < 0.31


def q091():
    """One error in x0, said as eps or v: factors SNR and SNR + 1; Min-SNR with gamma 5 in each of the three."""
    g = torch.Generator().manual_seed(0)
    x0, eps, guess = torch.randn(3, 50, generator=g, dtype=torch.float64)
    for t in (0.1, 0.3, 0.5, 0.9):
        alpha, sigma = math.cos(math.pi / 2 * t), math.sin(math.pi / 2 * t)
        snr = (alpha / sigma) ** 2
        x_t = alpha * x0 + sigma * eps
        guess_eps = (x_t - alpha * guess) / sigma
        error = (guess - x0).square().mean()
        error_eps = (guess_eps - eps).square().mean()
        error_v = ((alpha * guess_eps - sigma * guess) - (alpha * eps - sigma * x0)).square().mean()
        assert_close(error_eps, snr * error)
        assert_close(error_v, (snr + 1) * error)
        capped = min(snr, 5)
        assert_close(capped / snr * error_eps, capped * error)
        assert_close(capped / (snr + 1) * error_v, capped * error)
