"""What the answers of book/interview/flows.yml state and a computer can check."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close


def coupling(x, net, inverse=False):
    a, b = x.chunk(2, dim=1)
    s, t = net(a).chunk(2, dim=1)
    b = (b - t) * torch.exp(-s) if inverse else b * torch.exp(s) + t
    return torch.cat([a, b], dim=1), (-s if inverse else s).sum(1)


def q069():
    """Inverse and log-determinant hold for any net; two layers of the same half leave the first half as it was."""
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 16), nn.Tanh(), nn.Linear(16, 6)).double()
    x = torch.randn(5, 6, dtype=torch.float64)
    y, logdet = coupling(x, net)
    back, minus = coupling(y, net, inverse=True)
    assert_close(back, x)
    assert_close(minus, -logdet)
    jacobian = torch.autograd.functional.jacobian(lambda v: coupling(v[None], net)[0][0], x[0])
    assert_close(torch.linalg.slogdet(jacobian).logabsdet, logdet[0])
    assert_close(jacobian[:3], torch.eye(6, dtype=torch.float64)[:3])
    assert_close(jacobian[3:, 3:], torch.diag(jacobian[3:, 3:].diagonal()))
    twice, _ = coupling(y, net)
    assert_close(twice[:, :3], x[:, :3])
    other, _ = coupling(y.flip(1), net)
    assert (other.flip(1)[:, :3] - x[:, :3]).abs().min() > 1e-3


def q070():
    """On integers a narrow Gaussian has any likelihood; with uniform noise the density's mean log is a lower bound."""
    pixels = torch.randint(0, 256, (1000,), generator=torch.Generator().manual_seed(0)).double()

    def log_mixture(x, spread):
        return -((x - x.round()) ** 2) / (2 * spread**2) - math.log(256 * spread * math.sqrt(2 * math.pi))

    at_pixels = [log_mixture(pixels, spread).mean().item() for spread in (1e-2, 1e-4, 1e-6)]
    assert at_pixels[2] > at_pixels[1] > at_pixels[0] and at_pixels[2] > 5
    assert math.isclose(at_pixels[1] - at_pixels[0], math.log(100))

    u = torch.linspace(0, 1, 20_001, dtype=torch.float64)[:-1] + 0.5 / 20_000
    density = torch.distributions.Normal(torch.tensor(3.2, dtype=torch.float64), 0.9)
    for k in (2, 3, 4):
        logs = density.log_prob(k + u)
        mass = density.cdf(torch.tensor(k + 1.0)) - density.cdf(torch.tensor(float(k)))
        assert_close(logs.exp().mean(), mass, rtol=1e-6, atol=0)
        assert logs.mean() < mass.log()

    per_pixel = 8.0  # bits: a uniform model of 256 values
    assert math.isclose(-math.log2(1 / 256), per_pixel)
    in_unit_range = 0.0  # the same uniform density over [0, 1]
    assert math.isclose(in_unit_range + math.log2(256), per_pixel)
    in_minus_one_to_one = -math.log2(1 / 2)
    assert math.isclose(in_minus_one_to_one + 7, per_pixel)


def masked_stack(layers, size=11, kernel=3):
    """Which pixels the centre sees through a mask A and then mask B layers."""
    x = torch.ones(1, 1, size, size, requires_grad=True)
    h, c = x, kernel // 2
    for i in range(layers):
        mask = torch.ones(kernel, kernel)
        mask[c, c + (i > 0) :] = 0
        mask[c + 1 :] = 0
        h = F.conv2d(h, mask[None, None], padding=c)
    (slope,) = torch.autograd.grad(h[0, 0, size // 2, size // 2], x)
    return slope[0, 0] != 0


def q071():
    """No future pixel is seen, nor itself; above to the right lies a blind spot; one pass a value to sample."""
    seen, m = masked_stack(layers=8), 5
    assert not seen[m, m:].any() and not seen[m + 1 :].any()
    assert seen[m, :m].all() and seen[:m, : m + 1].all()
    for up in range(1, m + 1):
        for right in range(1, m + 1):
            assert seen[m - up, m + right] == (right <= up)
    assert 32 * 32 * 3 == 3_072 and 256 * 256 * 3 == 196_608


def q072():
    """VAR: ten maps, 680 tokens, ten passes; MaskGIT: 256 tokens in 8 passes, most of them decided late."""
    sides = (1, 2, 3, 4, 5, 6, 8, 10, 13, 16)
    assert len(sides) == 10 and sum(k * k for k in sides) == 680 and 16 * 16 == 256
    masked = [math.floor(256 * math.cos(math.pi / 2 * i / 8)) for i in range(9)]
    decided = [a - b for a, b in zip(masked, masked[1:], strict=False)]
    assert decided[0] == 5 and decided[-1] == 49 and sum(decided) == 256


def q073():
    """4,096 tokens at 1024 pixels: 4,096 token evaluations with a cache, 229,376 in 28 guided diffusion steps."""
    tokens = (1024 // 16) ** 2
    assert tokens == 4_096
    assert 28 * 2 * tokens == 229_376
