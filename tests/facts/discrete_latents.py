"""What the answers on discrete latents state in numbers, computed."""

import math

import numpy as np
import torch


def perplexity(counts):
    p = np.asarray(counts, dtype=float) / np.sum(counts)
    p = p[p > 0]
    return math.exp(-(p * np.log(p)).sum())


def q038():
    """Which of encoder, codebook and decoder each term moves; the rate of a 32×32 grid of 512 codes."""
    torch.manual_seed(0)
    ze, codebook = torch.randn(6, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    decoder = torch.randn(3, 5, requires_grad=True)
    e = codebook[torch.cdist(ze, codebook).argmin(1)]
    zq = ze + (e - ze).detach()
    terms = {
        "reconstruction": (zq @ decoder - 1).square().sum(),
        "codebook": (ze.detach() - e).square().sum(),
        "commitment": (ze - e.detach()).square().sum(),
    }
    moved = {}
    for name, term in terms.items():
        gradients = torch.autograd.grad(term, (ze, codebook, decoder), retain_graph=True, allow_unused=True)
        moved[name] = [g is not None and bool(g.abs().sum() > 0) for g in gradients]
    assert moved == {
        "reconstruction": [True, False, True],
        "codebook": [False, True, False],
        "commitment": [True, False, False],
    }
    assert torch.isclose(terms["codebook"], terms["commitment"]) and torch.allclose(zq, e)
    assert math.log2(512) == 9 and round(128 * 128 * 3 * 8 / (32 * 32 * 9), 1) == 42.7


def q039():
    """Forward zq, backward a copy; against the dithered quantiser it is right for f = q and wrong for f = q²."""
    ze = torch.tensor([0.2, 1.4, -2.7], requires_grad=True)
    zq = ze.round()
    out = ze + (zq - ze).detach()
    assert torch.equal(out, zq)
    (out**2).sum().backward()
    assert torch.equal(ze.grad, 2 * zq.detach())
    wrong = zq + (ze - zq).detach()
    assert torch.allclose(wrong, ze)
    u = (np.arange(20_000) + 0.5) / 20_000 - 0.5
    n, h = 2, 1e-3
    for r in (0.2, 0.5, 0.8):
        z = n + r

        def mean(f, z):
            return f(np.round(z + u)).mean()

        for f, slope, true, through in [
            (lambda q: q, np.ones_like, 1, 1),
            (lambda q: q**2, lambda q: 2 * q, 2 * n + 1, 2 * n + 2 * r),
        ]:
            assert abs((mean(f, z + h) - mean(f, z - h)) / (2 * h) - true) < 0.05
            assert abs(slope(np.round(z + u)).mean() - through) < 1e-2


def q040():
    """Perplexity: K when uniform, 1 for one code, 64 for half on one of 1,024; at most the number of tokens."""
    assert math.isclose(perplexity([5] * 1_024), 1_024) and perplexity([9, 0, 0]) == 1
    assert math.log2(64) == 6 and math.log2(1_024) == 10
    assert abs(perplexity([1_023] + [1] * 1_023) - 64) < 0.1
    rng = np.random.default_rng(0)
    assert perplexity(np.bincount(rng.integers(0, 1_024, 256))) <= 256


def q041():
    """2,560 bits against 1,572,864; the adaptive weight cancels any scale of the adversarial loss."""
    assert 16 * 16 == 256 and 256 * math.log2(1_024) == 2_560 and 256 * 256 * 24 == 1_572_864
    assert round(1_572_864 / 2_560) == 614
    torch.manual_seed(0)
    last, h, x = torch.randn(4, 6, requires_grad=True), torch.randn(10, 4), torch.randn(10, 6)

    def pull(scale):
        out = h @ last
        rec, gan = (out - x).abs().mean(), -scale * torch.tanh(out).mean()
        g_rec, g_gan = (torch.autograd.grad(loss, last, retain_graph=True)[0] for loss in (rec, gan))
        return g_rec.norm() / (g_gan.norm() + 1e-6) * g_gan, g_rec

    small, g_rec = pull(1.0)
    large, _ = pull(1_000.0)
    assert torch.allclose(small, large, rtol=1e-3, atol=1e-6) and torch.isclose(small.norm(), g_rec.norm(), rtol=1e-3)


def fsq(z, L, eps=1e-3):
    half, offset = (L - 1) * (1 - eps) / 2, 0.5 if L % 2 == 0 else 0.0
    return torch.round(torch.tanh(z + math.tan(offset / half)) * half - offset)


def q042():
    """Levels with and without the half offset; sizes of the implicit codebooks; the index is one to one."""
    z = torch.linspace(-5, 5, 100_001)
    for L, naive in [(3, 3), (4, 3), (5, 5), (6, 5), (7, 7), (8, 7)]:
        assert len(torch.round(torch.tanh(z) * (L - 1) / 2).unique()) == naive
        assert len(fsq(z, L).unique()) == L
        assert len(torch.round(L // 2 * torch.tanh(z)).unique()) == (L if L % 2 else L + 1)
    assert fsq(z, 8).unique().tolist() == list(range(-4, 4)) and fsq(torch.zeros(1), 8).item() == 0
    assert torch.round(torch.tanh(z) * 3.5).unique().tolist() == list(range(-3, 4))
    assert 8**3 * 5**3 == 64_000 and 7**3 * 5**3 == 42_875 and 2**18 == 262_144 and 8 * 5**3 == 1_000
    levels = (8, 5, 4)
    codes = torch.cartesian_prod(*(fsq(z, L).unique() for L in levels))
    index, base = torch.zeros(len(codes)), 1
    for i, L in enumerate(levels):
        index, base = index + (codes[:, i] + L // 2) * base, base * L
    assert torch.equal(index.sort().values, torch.arange(160.0))
    half = 7 * (1 - 1e-3) / 2
    assert round(-half - 0.5, 1) == -4.0 and round(half - 0.5, 1) == 3.0


def q043():
    """1 / 0.18215 = 5.49, its square about 30; 48 and 12 times fewer numbers; unit variance sets the ratio."""
    assert abs(1 / 0.18215 - 5.49) < 5e-3 and abs((1 / 0.18215) ** 2 - 30) < 0.2
    for channels, numbers, factor in [(4, 16_384, 48), (16, 65_536, 12)]:
        assert 64 * 64 * channels == numbers and 512 * 512 * 3 / numbers == factor
    torch.manual_seed(0)
    latents = 5.49 * torch.randn(100_000)
    assert abs((0.18215 * latents).std() - 1) < 0.01
