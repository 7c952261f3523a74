"""Identities of paths and samplers, and a flow on codes that finds distributions known beforehand."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import data, diffusion
from genimg_lib.diffusion import cosine, linear
from genimg_lib.latent import LatentFlow, TowardsCode, grid_flow
from genimg_lib.nets import TimedMLP, time_embedding
from genimg_lib.train import train
from genimg_lib.vae import ConvVAE, SpatialVAE

PATHS = pytest.mark.parametrize("path", [linear, cosine], ids=["linear", "cosine"])


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# ----------------------------------------------------------------------------------- paths and samplers


@PATHS
def test_a_path_leads_from_data_to_noise(path):
    x0, eps = torch.randn(2, 4, 3, 5, 5)
    assert_close(diffusion.add_noise(path, x0, eps, torch.zeros(4)), x0)
    assert_close(diffusion.add_noise(path, x0, eps, torch.ones(4)), eps, atol=1e-6, rtol=0)


@PATHS
def test_the_velocity_is_the_derivative_of_the_path(path):
    x0, eps = torch.randn(2, 4, 3, dtype=torch.float64)
    t, h = torch.rand(4, dtype=torch.float64) * 0.9 + 0.05, 1e-5
    before, x_t, after = (diffusion.add_noise(path, x0, eps, t + d) for d in (-h, 0, h))
    assert_close(diffusion.velocity(path, x_t, x0, t), (after - before) / (2 * h), atol=1e-8, rtol=0)


def test_ddim_on_the_linear_path_is_an_euler_step():
    x_t, x0 = torch.randn(2, 4, 3)
    t, s = torch.rand(4) * 0.5 + 0.5, torch.rand(4) * 0.5
    assert_close(
        diffusion.ddim(linear, lambda x, t: x0, x_t, t, s), diffusion.euler(linear, lambda x, t: x0, x_t, t, s)
    )
    curved = [step(cosine, lambda x, t: x0, x_t, t, s) for step in (diffusion.ddim, diffusion.euler)]
    assert (curved[0] - curved[1]).abs().max() > 0.01


@PATHS
def test_when_there_is_one_picture_a_single_ddim_step_finds_it(path):
    x0 = torch.randn(3, 4)
    x = diffusion.integrate(path, lambda x_t, t: x0, torch.randn(3, 4), steps=1, step=diffusion.ddim)
    assert_close(x, x0)


@PATHS
@pytest.mark.parametrize("step, order", [(diffusion.euler, 1), (diffusion.ddim, 1), (diffusion.heun, 2)])
def test_halving_the_step_divides_the_error_by_two_to_the_order(path, step, order):
    """Data N(0, s²): the best guess of x0 is linear in x_t, and the exact answer scales x_t with its own deviation.

    From t = 1 to t = 0.1, beyond which another rule (the last step) takes over.
    """
    s2 = 0.3

    def deviation(t):
        return (path.alpha(t) ** 2 * s2 + path.sigma(t) ** 2).sqrt()

    def predict(x_t, t):
        t = t[:, None]
        return path.alpha(t) * s2 / deviation(t) ** 2 * x_t

    def error(steps):
        times = torch.linspace(1, 0.1, steps + 1, dtype=torch.float64)
        x = torch.ones(1, 1, dtype=torch.float64)
        for t, s in zip(times, times[1:], strict=False):
            x = step(path, predict, x, t[None], s[None])
        return (x - deviation(times[-1]) / deviation(times[0])).abs().item()

    assert_close(math.log2(error(128) / error(256)), float(order), atol=0.1, rtol=0)


def test_heun_lands_on_the_guess_and_asks_twice_a_step():
    asked = []

    def predict(x_t, t):
        asked.append(t[0].item())
        return 0.5 * x_t

    assert_close(diffusion.integrate(linear, predict, torch.ones(2, 1), steps=1), torch.full((2, 1), 0.5))
    asked.clear()
    diffusion.integrate(linear, predict, torch.ones(2, 1), steps=4)
    assert asked == [1.0, 0.75, 0.75, 0.5, 0.5, 0.25, 0.25]


def test_times_are_logit_normal():
    t = diffusion.logit_normal(100_000, mean=0.5, std=2.0)
    assert_close(torch.logit(t.double()).mean().item(), 0.5, atol=0.03, rtol=0)
    assert_close(torch.logit(t.double()).std().item(), 2.0, atol=0.03, rtol=0)


def test_no_steps_is_refused():
    with pytest.raises(ValueError, match="at least one step"):
        diffusion.integrate(linear, lambda x, t: x, torch.ones(1, 1), steps=0)


# --------------------------------------------------------------------------- networks that know the time


def test_clocks_tell_all_times_apart():
    e = time_embedding(torch.linspace(0, 1, 200), 32)
    assert e.shape == (200, 32)
    assert torch.cdist(e, e).fill_diagonal_(9).min() > 0.05
    with pytest.raises(ValueError, match="must be even"):
        time_embedding(torch.zeros(1), 7)


def test_timed_blocks_start_as_the_identity():
    net, h = TimedMLP(3, width=16, depth=2), torch.randn(5, 16)
    for block in net.blocks:
        assert torch.equal(block(h, torch.randn(5, 128)), h)


# ------------------------------------------------------------------------------------ the flow on codes


class Points(nn.Module):
    """A first stage that does nothing: its codes are the points themselves, known to within `noise`."""

    shape, z = (2, 1, 1), 2

    def __init__(self, noise=1e-4):
        super().__init__()
        self.weight, self.noise = nn.Parameter(torch.ones(1)), noise

    def encode(self, x):
        return x, torch.full_like(x, 2 * math.log(self.noise))

    def decode(self, z):
        return z[:, :, None, None]


def test_prepare_standardises_what_the_posterior_draws():
    x = torch.randn(50_000, 2) * torch.tensor([3.0, 0.2]) + torch.tensor([5.0, -1.0])
    flow = LatentFlow(Points(noise=0.5))
    flow.prepare(x)
    assert_close(flow.mean, torch.tensor([5.0, -1.0]), atol=0.05, rtol=0)
    assert_close(flow.std, torch.tensor([9.25, 0.29]).sqrt(), atol=0.02, rtol=0)


def test_the_flow_recovers_a_gaussian():
    A = torch.tensor([[1.0, 0.0], [0.8, 0.3]])
    x = torch.randn(4_000, 2) @ A.T + torch.tensor([2.0, -1.0])
    _, flow = train(LatentFlow(Points(), width=64, depth=2), x, steps=300, batch=256, lr=5e-3, threads=1)
    z = flow.code(torch.randn(4_000, 2))
    assert_close(z.mean(0), torch.tensor([2.0, -1.0]), atol=0.08, rtol=0)
    assert_close(z.T.cov(), A @ A.T, atol=0.12, rtol=0)


def test_the_flow_finds_every_part_of_a_mixture():
    x = data.load("toy:mixture").x
    _, flow = train(LatentFlow(Points(), width=64, depth=2), x, steps=400, batch=256, lr=5e-3, threads=1)
    z = flow.code(torch.randn(2_000, 2))
    angle = torch.arange(8) * math.pi / 4
    distance, part = torch.cdist(z, 0.75 * torch.stack([angle.cos(), angle.sin()], 1)).min(1)
    assert (distance < 0.2).float().mean() > 0.5  # of a Gaussian as wide, 0.2
    assert part.bincount(minlength=8).min() > 125  # of 250


def test_the_first_stage_stays_as_it_was():
    first = ConvVAE((1, 8, 8), z=4, widths=(8, 16))
    before = {key: value.clone() for key, value in first.state_dict().items()}
    flow = LatentFlow(first, width=16, depth=1)
    x = torch.rand(64, 1, 8, 8) * 2 - 1
    history, ema = train(flow, x, steps=20, batch=32, lr=1e-2, threads=1)
    assert {"flow/loss"} <= set(history[-1])
    for key, value in ema.first.state_dict().items():
        assert torch.equal(value, before[key]), key
    flow.train()
    assert flow.net.training and not any(part.training for part in flow.first.modules())


def test_noise_of_a_code_length_becomes_a_picture_the_same_one_each_time():
    flow = LatentFlow(ConvVAE((1, 8, 8), z=4, widths=(8, 16)), width=16, depth=1)
    eps = torch.randn(3, 4)
    assert torch.equal(flow.decode(flow.code(eps)), flow.decode(flow.code(eps)))
    assert flow.sample(3).shape == (3, 1, 8, 8)


def test_noise_is_where_a_code_came_from():
    torch.manual_seed(0)
    flow = LatentFlow(ConvVAE((1, 8, 8), z=4, widths=(8, 16)), width=16, depth=1).eval()
    nn.init.normal_(flow.net.leave.weight, std=0.3)
    flow.mean += 0.5
    flow.std *= 2
    eps = torch.randn(5, 4)
    z = flow.code(eps, steps=80)
    assert not torch.allclose(z, eps * 2 + 0.5, atol=0.1)
    assert_close(flow.noise(z, steps=80), eps, atol=2e-3, rtol=2e-3)


def test_a_guess_of_the_code_becomes_the_velocity_that_leads_there():
    w, eps, t = torch.randn(5, 6), torch.randn(5, 6), torch.tensor([0.02, 0.05, 0.3, 0.9, 1.0])
    x_t = diffusion.add_noise(linear, w, eps, t)
    towards = TowardsCode(1, 8, 1)
    towards.net = Answer(w)
    v = towards(x_t, t)
    assert_close(v[1:], (eps - w)[1:], atol=1e-5, rtol=1e-4)  # a right guess is the right velocity
    assert_close(v[0], 0.02 / 0.05 * (eps - w)[0], atol=1e-5, rtol=1e-4)  # and close to the data it stays bounded


class Answer(nn.Module):
    def __init__(self, answer):
        super().__init__()
        self.answer = answer

    def forward(self, *_):
        return self.answer


def test_a_wish_is_hinted_at_the_entrance():
    towards, seen = TowardsCode(3, 8, 1), []
    towards.net.register_forward_hook(lambda net, given, out: seen.append(given))
    x_t, t, wish = torch.randn(2, 3), torch.full((2,), 0.5), torch.randn(2, 128)
    towards(x_t, t, wish)  # nothing yet: the hint starts at zero
    nn.init.normal_(towards.hint.weight)
    towards(x_t, t, wish)
    towards(x_t, t)
    assert torch.equal(seen[0][0], x_t) and torch.equal(seen[2][0], x_t)
    assert_close(seen[1][0], x_t + wish @ towards.hint.weight.T)
    assert all(torch.equal(given[2], wish) for given in seen[:2]) and seen[2][2] is None


def test_a_flow_on_grids_learns_and_hears():
    first = SpatialVAE((1, 16, 16), channels=2, width=8, blocks=1, patch=4)
    flow = grid_flow(first, width=8, depth=1, sizes=(2, 3), guidance=2.0)
    x = torch.rand(64, 1, 16, 16) * 2 - 1
    y = torch.stack([torch.randint(0, 2, (64,)), torch.randint(0, 3, (64,))], 1)
    history, ema = train(flow, x, y, steps=5, batch=16, lr=1e-3, threads=1)
    assert history[-1]["flow/loss"] > 0
    eps = torch.randn(3, flow.z)
    one, other = (ema.code(eps, y=torch.tensor([[0, k]] * 3)) for k in (0, 2))
    assert one.shape == (3, 2 * 4 * 4) and not torch.equal(one, other)
    assert ema.sample(2).shape == (2, 1, 16, 16)
