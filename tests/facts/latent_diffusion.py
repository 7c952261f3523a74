"""What the answers in book/interview/latent_diffusion.yml state and a computer can check."""

import math

import torch
import torch.nn.functional as F
from torch.testing import assert_close

from genimg_lib.nets import TimedBlock


def q098():
    """Sizes in Stable Diffusion 1 at 512 pixels."""
    assert 512 // 8 == 64
    assert 3 * 512**2 / (4 * 64**2) == 48
    assert round((860 + 123 + 84) * 2 / 1000, 1) == 2.1  # GB in fp16, from millions of weights
    assert_close(1 / 0.18215, 5.49, atol=1e-3, rtol=0)


def q099():
    """What the latent saves, in numbers, in positions and in pairs of positions."""
    pixels, positions, latents = 3 * 512 * 512, 64 * 64, 4 * 64 * 64
    assert (pixels, latents, pixels // latents) == (786_432, 16_384, 48)
    assert 512**2 // positions == 64 and (512**2 // positions) ** 2 == 4096
    assert pixels // (16 * 64 * 64) == 12
    assert 8 * 8 * 3 == 192 and 192 // 4 == 48


def q100():
    """DiT-XL/2 at 256 pixels: tokens, weights, and multiply-adds that the paper calls Gflops."""
    depth, d, tokens = 28, 1152, (256 // 8 // 2) ** 2
    assert tokens == 256 and 2 * 2 * 4 == 16
    assert [(256 // 8 // p) ** 2 for p in (2, 4, 8)] == [256, 64, 16]
    weights = depth * (4 + 8 + 6) * d**2  # attention, MLP, modulation
    assert round(weights / 1e6) == 669
    assert 6 / 18 == 1 / 3
    multiply_adds = depth * (tokens * 12 * d**2 + 2 * tokens**2 * d)
    assert abs(multiply_adds / 1e9 - 118.6) < 0.5
    _one_zero_learns_two_do_not()


def _one_zero_learns_two_do_not():
    """With the gate at zero the block is the identity, and the gate still learns; two zeros learn nothing."""
    torch.manual_seed(0)
    block, h, c = TimedBlock(16, 8), torch.randn(5, 16), torch.randn(5, 8)
    assert torch.equal(block(h, c), h)
    block(h, c).square().sum().backward()
    assert block.steer.weight.grad.abs().sum() > 0
    dead = TimedBlock(16, 8)
    for p in dead.mlp[-1].parameters():
        torch.nn.init.zeros_(p)
    dead(h, c).square().sum().backward()
    assert all(p.grad is None or p.grad.abs().sum() == 0 for p in dead.parameters())


def q101():
    """Widths and weights of SD3 and FLUX from their depth; the bound that QK-norm sets."""
    d = 64 * 38
    assert d == 2432 and round(38 * 36 * d**2 / 1e9, 1) == 8.1
    assert 24 * 128 == 3072
    flux = (19 * 36 + 38 * 15) * 3072**2
    assert round(flux / 1e9, 1) == 11.8
    torch.manual_seed(0)
    q, k = 30 * torch.randn(2, 100, 64)
    raw = (q @ k.T).abs().max() / 8
    normed = (F.rms_norm(q, (64,)) @ F.rms_norm(k, (64,)).T).abs().max() / 8
    assert raw > 1000 and normed <= 8
    assert (1024 // 8 // 2) ** 2 == 4096


def _marginal(points, x, t):
    """E[eps - x0 | x_t = x] for data that is uniform on a few points: x (N,) -> (N,)."""
    eps = (x[:, None] - (1 - t) * points) / t
    weight = (-0.5 * eps**2).softmax(1)
    return (weight * (eps - points)).sum(1)


def q102():
    """The two losses differ by a constant: the same for every network, so their gradients are equal."""
    torch.manual_seed(0)
    points, t, n = torch.tensor([-2.0, 0.5, 1.0], dtype=torch.float64), 0.6, 200_000
    x0, eps = points[torch.randint(3, (n,))], torch.randn(n, dtype=torch.float64)
    x_t = (1 - t) * x0 + t * eps
    marginal = _marginal(points, x_t, t)

    def gap(network):
        return ((network(x_t) - (eps - x0)) ** 2).mean() - ((network(x_t) - marginal) ** 2).mean()

    gaps = torch.stack([gap(torch.sin), gap(lambda x: 0.3 * x - 1), gap(torch.zeros_like)])
    variance = ((eps - x0 - marginal) ** 2).mean()
    assert_close(gaps, variance.expand(3), atol=0.03, rtol=0)
    assert variance > 0.5


def q103():
    """One Euler step from pure noise gives the mean of the data; after reflow in one dimension it is exact."""
    points = torch.tensor([-2.0, 0.5, 1.0], dtype=torch.float64)
    eps = torch.linspace(-2, 2, 9, dtype=torch.float64)
    assert_close(eps - _marginal(points, eps, 1.0), points.mean().expand(9))
    # Reflow on N(0, 1) -> N(3, 0.5²): the flow's own coupling is x0 = 3 + 0.5 eps, straight and not crossing.
    x0 = 3 + 0.5 * eps
    for t in (0.25, 0.5, 0.9):
        x_t = (1 - t) * x0 + t * eps
        back = (x_t - 3 * (1 - t)) / (0.5 * (1 - t) + t)  # the only noise behind x_t
        assert_close(back - (3 + 0.5 * back), eps - x0)
    assert_close(eps - (eps - x0), x0)
    _velocity_weighs_by_t()


def _velocity_weighs_by_t():
    """Squared error of the velocity is squared error of x0 divided by t²."""
    torch.manual_seed(0)
    x0, eps, guess = torch.randn(3, 100, dtype=torch.float64)
    t = 0.3
    x_t = (1 - t) * x0 + t * eps
    v, v_guess = eps - x0, (x_t - guess) / t
    assert_close((v - v_guess) ** 2, (x0 - guess) ** 2 / t**2)


def q104():
    """The logit-normal's mass in the middle, its height, and SD3's shift."""

    def cdf(t):
        return 0.5 * (1 + math.erf(math.log(t / (1 - t)) / math.sqrt(2)))

    assert abs(cdf(0.75) - cdf(0.25) - 0.728) < 1e-3
    assert abs(1 / (math.sqrt(2 * math.pi) * 0.25) - 1.596) < 1e-3

    def shift(t, a):
        return a * t / (1 + (a - 1) * t)

    assert shift(0.5, 3) == 0.75 and shift(0, 3) == 0 and shift(1, 3) == 1
    t = shift(0.3, 3)
    assert abs((1 - t) / t - (0.7 / 0.3) / 3) < 1e-12
    assert math.sqrt(1024**2 / 256**2) == 4
    # Averaging n equal pixels leaves noise sigma / √n: n pixels at t' are as hard as m at t.
    assert abs((1 - t) / t * math.sqrt(9) - 0.7 / 0.3) < 1e-12


def q105():
    """1024 teacher steps are halved to 4 in 8 rounds; a distilled guided model saves twice."""
    assert 1024 / 2**8 == 4
    assert 50 * 2 // 4 == 25


def q106():
    """The skip and output factors meet the boundary; a constant satisfies the consistency loss without it."""
    sigma_d, start = 0.5, 0.002

    def skip(t):
        return sigma_d**2 / ((t - start) ** 2 + sigma_d**2)

    def out(t):
        return sigma_d * (t - start) / math.sqrt(t**2 + sigma_d**2)

    assert skip(start) == 1 and out(start) == 0
    assert skip(80) < 1e-4 and abs(out(80) - sigma_d) < 1e-4
    x, anything = torch.randn(5), torch.randn(5)
    assert torch.equal(skip(start) * x + out(start) * anything, x)


def q107():
    """Diffusion-DPO starts at log 2; advantages in a group sum to zero and vanish where all rewards are equal."""
    torch.manual_seed(0)
    model = torch.rand(2, 8)  # errors on winner and loser; the reference starts as a copy
    inside = -2000 * ((model[0] - model[0]) - (model[1] - model[1]))
    assert_close(-F.logsigmoid(inside), torch.full((8,), math.log(2)))
    better = -2000 * (torch.tensor(-1e-3) - torch.tensor(0.0))  # the winner's error fell by a thousandth
    assert -F.logsigmoid(better) < math.log(2)
    rewards = torch.tensor([0.2, 0.9, 0.4, 0.5])
    advantage = (rewards - rewards.mean()) / (rewards.std() + 1e-4)
    assert abs(advantage.sum()) < 1e-5
    same = torch.full((4,), 0.7)
    assert ((same - same.mean()) / (same.std() + 1e-4)).abs().max() == 0
