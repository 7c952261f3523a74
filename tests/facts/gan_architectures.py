"""What the answers of book/interview/gan_architectures.yml state and a computer can check."""

import math

import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close


def demodulate(W):
    return W / W.flatten(1).norm(dim=1).view(-1, 1, 1, 1)


def q061():
    """A style on output channels would be undone by demodulation; on input channels it acts, with unit variance out."""
    g = torch.Generator().manual_seed(0)
    W = torch.randn(6, 8, 3, 3, generator=g, dtype=torch.float64)
    s_in = torch.rand(8, generator=g, dtype=torch.float64) + 0.1
    s_out = torch.rand(6, generator=g, dtype=torch.float64) + 0.1
    modulated = W * s_in.view(1, -1, 1, 1)
    x = torch.randn(2, 8, 9, 9, generator=g, dtype=torch.float64)
    assert_close(F.conv2d(x, modulated), F.conv2d(x * s_in.view(1, -1, 1, 1), W))
    assert_close(demodulate(W * s_out.view(-1, 1, 1, 1)), demodulate(W))
    assert (demodulate(modulated) - demodulate(W)).abs().max() > 0.01
    y = F.conv2d(torch.randn(1, 8, 99, 99, generator=g, dtype=torch.float64), demodulate(modulated))
    assert_close(y.std(dim=(0, 2, 3)), torch.ones(6, dtype=torch.float64), atol=0.05, rtol=0)


def q062():
    """Truncation keeps the mean and scales the spread by psi; W+ at 1024 pixels has 18 x 512 = 9,216 numbers."""
    torch.manual_seed(0)
    mapping = nn.Sequential(nn.Linear(8, 32), nn.LeakyReLU(0.2), nn.Linear(32, 8))
    with torch.no_grad():
        w = mapping(torch.randn(20_000, 8))
    mean, psi = w.mean(0), 0.7
    truncated = mean + psi * (w - mean)
    assert_close(truncated.mean(0), mean, atol=1e-4, rtol=0)
    assert_close(truncated.var(0), psi**2 * w.var(0))
    layers = 2 * int(math.log2(1024)) - 2
    assert layers == 18 and layers * 512 == 9_216


def q063():
    """For softmax class models log p(y|x)/q(y|x) is an inner product of a class vector and features, plus f(x)."""
    g = torch.Generator().manual_seed(0)
    features = torch.randn(5, 4, generator=g, dtype=torch.float64)
    Vp, Vq = torch.randn(2, 3, 4, generator=g, dtype=torch.float64)
    ratio = (features @ Vp.T).log_softmax(1) - (features @ Vq.T).log_softmax(1)
    rest = ratio - features @ (Vp - Vq).T
    assert_close(rest, rest[:, :1].expand(-1, 3))


def receptive_field(layers):
    r = 1
    for kernel, stride in reversed(layers):
        r = stride * r + kernel - stride
    return r


PATCH = [(4, 2), (4, 2), (4, 2), (4, 1), (4, 1)]


def q064():
    """PatchGAN sees 4, 7, 16, 34, 70 pixels, layer by layer backwards; at 256 pixels it gives 30 x 30 answers."""
    assert [receptive_field(PATCH[i:]) for i in range(4, -1, -1)] == [4, 7, 16, 34, 70]
    net = nn.Sequential(*[nn.Conv2d(1, 1, k, s, padding=1, bias=False) for k, s in PATCH])
    for conv in net:
        nn.init.ones_(conv.weight)
    x = torch.ones(1, 1, 256, 256, requires_grad=True)
    out = net(x)
    assert out.shape[-2:] == (30, 30)
    (slope,) = torch.autograd.grad(out[0, 0, 15, 15], x)
    seen = slope[0, 0] != 0
    assert seen.any(0).sum() == 70 and seen.any(1).sum() == 70


def q065():
    """A map may hide the photo in a hundredth of its range, cycle back exactly, and fail under noise of that size."""
    g = torch.Generator().manual_seed(0)
    photo = torch.rand(1, 1, 32, 32, generator=g, dtype=torch.float64)

    def to_map(x):
        coarse = F.interpolate(F.avg_pool2d(x, 8), scale_factor=8)
        return coarse + 0.01 * (x - coarse)

    def to_photo(m):
        coarse = F.interpolate(F.avg_pool2d(m, 8), scale_factor=8)
        return coarse + 100 * (m - coarse)

    drawn = to_map(photo)
    assert (drawn - F.interpolate(F.avg_pool2d(photo, 8), scale_factor=8)).abs().max() < 0.01
    assert_close(to_photo(drawn), photo)
    noise = 0.01 * torch.randn(photo.shape, generator=g, dtype=torch.float64)
    assert (to_photo(drawn + noise) - photo).abs().mean() > 0.5


def q066():
    """All coarser pictures of a pyramid, 4 to 512 pixels, have together a third of the pixels of the one at 1024."""
    coarser = sum((4 * 2**k) ** 2 for k in range(8))
    assert 4 * 2**8 == 1024 and abs(coarser / 1024**2 - 1 / 3) < 1e-4


def q068():
    """Quarter turns with probability p act on distributions with eigenvalues 1 and 1 - p: p = 1 cannot be undone."""
    spin = sum(torch.linalg.matrix_power(torch.eye(4, dtype=torch.float64).roll(1, 0), k) for k in range(4)) / 4
    for p in (0.2, 0.8, 1.0):
        operator = (1 - p) * torch.eye(4, dtype=torch.float64) + p * spin
        eigenvalues = torch.linalg.eigvalsh(operator)
        assert_close(eigenvalues, torch.tensor([1 - p, 1 - p, 1 - p, 1], dtype=torch.float64))
    upright, mixed = torch.eye(4, dtype=torch.float64)[0], torch.full((4,), 0.25, dtype=torch.float64)
    assert_close(operator @ upright, operator @ mixed)  # p = 1: two data sets, one augmented distribution
    always_half = torch.tensor([[0.5, 0.5], [0.5, 0.5]], dtype=torch.float64)  # a flip half of the time
    assert torch.linalg.det(always_half) == 0
