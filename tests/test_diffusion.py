"""Identities of paths, predictions and samplers on exact Gaussians, and what the networks must not mix up."""

import math
from functools import partial

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import data, diffusion
from genimg_lib.diffusion import KINDS, Diffusion, cosine, ddpm, linear
from genimg_lib.latent import LatentFlow
from genimg_lib.nets import Attention, Attributes, TimedMLP, UNet
from genimg_lib.train import train

PATHS = pytest.mark.parametrize("path", [linear, cosine, ddpm], ids=["linear", "cosine", "ddpm"])
KIND = pytest.mark.parametrize("kind", KINDS)


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def exact(path, s2):
    """The best guess of x0 when data is N(0, s2): linear in x_t."""

    def predict(x_t, t, y=None):
        a, s = path.alpha(t)[:, None], path.sigma(t)[:, None]
        return a * s2 / (a**2 * s2 + s**2) * x_t

    return predict


# -------------------------------------------------------------------------------------------- the paths


def test_ddpm_is_the_product_of_its_thousand_betas():
    betas = torch.linspace(1e-4, 0.02, 1_000, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    t = torch.arange(1, 1_001, dtype=torch.float64) / 1_000
    assert_close(ddpm.alpha(t), alpha_bar.sqrt(), atol=2e-3, rtol=0)
    assert_close(ddpm.alpha(t) ** 2 + ddpm.sigma(t) ** 2, torch.ones_like(t))


@PATHS
def test_derivatives_are_derivatives(path):
    t = torch.linspace(0.05, 0.95, 19, dtype=torch.float64).requires_grad_()
    for f, df in ((path.alpha, path.d_alpha), (path.sigma, path.d_sigma)):
        assert_close(df(t), torch.autograd.grad(f(t).sum(), t)[0])


@PATHS
def test_all_paths_lose_the_picture_steadily(path):
    t = torch.linspace(0.01, 1, 100)
    snr = path.alpha(t) ** 2 / path.sigma(t) ** 2
    assert (snr.diff() < 0).all() and snr[0] > 100 and snr[-1] < 1e-4


# ------------------------------------------------------------------------------- three views of one guess


@PATHS
@KIND
def test_every_kind_of_prediction_says_the_same(path, kind):
    x0, eps = torch.randn(2, 6, 3, 4, 4, dtype=torch.float64)
    t = torch.rand(6, dtype=torch.float64) * 0.8 + 0.1
    x_t = diffusion.add_noise(path, x0, eps, t)
    out = diffusion.from_x0(path, kind, x0, x_t, t)
    assert_close(diffusion.to_x0(path, kind, out, x_t, t), x0)
    truth = {"x0": x0, "eps": eps, "v": diffusion.velocity(path, x_t, x0, t)}
    assert_close(out, truth[kind])


def test_the_velocity_on_the_cosine_path_is_salimans_and_hos_v():
    x0, eps = torch.randn(2, 6, 5, dtype=torch.float64)
    t = torch.rand(6, dtype=torch.float64) * 0.8 + 0.1
    a, s = cosine.alpha(t)[:, None], cosine.sigma(t)[:, None]
    v = a * eps - s * x0
    assert_close(diffusion.velocity(cosine, a * x0 + s * eps, x0, t), math.pi / 2 * v)


@PATHS
@KIND
def test_an_error_in_x0_has_its_weight_in_every_space(path, kind):
    x0, eps, wrong = torch.randn(3, 6, 5, dtype=torch.float64)
    t = torch.rand(6, dtype=torch.float64) * 0.8 + 0.15
    x_t = diffusion.add_noise(path, x0, eps, t)
    error = [diffusion.from_x0(path, kind, x, x_t, t) for x in (x0, x0 + wrong)]
    squared = (error[1] - error[0]).square().sum(1)
    assert_close(squared, diffusion.error_weight(path, kind, t) * wrong.square().sum(1))


@PATHS
@KIND
def test_weights_stay_finite_where_no_noise_is_left(path, kind):
    weight = diffusion.error_weight(path, kind, torch.tensor([0.0, 1e-6, 1.0]))
    assert torch.isfinite(weight).all() and weight.max() < 5_000


def test_from_noise_alone_eps_says_nothing_and_nothing_explodes():
    x = torch.randn(2, 3)
    assert torch.isfinite(diffusion.to_x0(linear, "eps", x, x, torch.ones(2))).all()


def test_an_unknown_kind_is_refused():
    with pytest.raises(ValueError, match="one of"):
        diffusion.to_x0(linear, "noise", *torch.randn(2, 3, 4), torch.ones(3))
    with pytest.raises(ValueError, match="among"):
        Diffusion(nn.Identity(), (1, 8, 8), kind="z")


@PATHS
def test_the_score_is_the_gradient_of_the_log_density(path):
    s2, t = 0.3, torch.tensor([0.2, 0.5, 0.9], dtype=torch.float64)
    x_t = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    var = path.alpha(t)[:, None] ** 2 * s2 + path.sigma(t)[:, None] ** 2
    (gradient,) = torch.autograd.grad((-0.5 * x_t**2 / var).sum(), x_t)
    assert_close(diffusion.score(path, x_t, exact(path, s2)(x_t, t), t), gradient)


# ------------------------------------------------------------------------------------------- the samplers


@PATHS
def test_an_ancestral_step_is_the_posterior(path):
    """Precisions add: what x0 says about x_s, and what x_t says, are two Gaussians; the product is the posterior."""
    x_t, x0, t, s = (torch.full((1,), v, dtype=torch.float64) for v in (0.7, -0.4, 0.8, 0.3))
    draws = 200_000
    x_s = diffusion.ancestral(path, lambda x, t: x0.expand_as(x), *(v.expand(draws) for v in (x_t, t, s)))
    shrink = path.alpha(t) / path.alpha(s)
    step_var = path.sigma(t) ** 2 - shrink**2 * path.sigma(s) ** 2
    precision = 1 / path.sigma(s) ** 2 + shrink**2 / step_var
    mean = (path.alpha(s) * x0 / path.sigma(s) ** 2 + shrink * x_t / step_var) / precision
    assert_close(x_s.mean(), mean[0], atol=5e-3, rtol=0)
    assert_close(x_s.var(), 1 / precision[0], rtol=0.02, atol=0)


def test_an_ancestral_step_is_ddpms_formula():
    betas = torch.linspace(1e-3, 0.05, 20, dtype=torch.float64)
    alpha_bar = torch.cumprod(1 - betas, 0)
    index = diffusion.Path(lambda t: alpha_bar[t.long()].sqrt(), lambda t: (1 - alpha_bar[t.long()]).sqrt(), None, None)
    x_t, x0 = torch.randn(2, 4, 3, dtype=torch.float64)
    t, s = torch.full((4,), 12.0), torch.full((4,), 11.0)
    torch.manual_seed(1)
    got = diffusion.ancestral(index, lambda x, t: x0, x_t, t, s)
    torch.manual_seed(1)
    z = torch.randn_like(x_t)
    eps = (x_t - alpha_bar[12].sqrt() * x0) / (1 - alpha_bar[12]).sqrt()
    mean = (x_t - betas[12] / (1 - alpha_bar[12]).sqrt() * eps) / (1 - betas[12]).sqrt()
    assert_close(got, mean + (betas[12] * (1 - alpha_bar[11]) / (1 - alpha_bar[12])).sqrt() * z)


@PATHS
def test_without_fresh_noise_an_ancestral_step_is_ddim(path):
    x_t, x0 = torch.randn(2, 4, 3)
    t, s = torch.rand(4) * 0.5 + 0.5, torch.rand(4) * 0.5
    quiet = partial(diffusion.ancestral, eta=0.0)
    assert_close(quiet(path, lambda x, t: x0, x_t, t, s), diffusion.ddim(path, lambda x, t: x0, x_t, t, s))


@PATHS
@pytest.mark.parametrize("step", [diffusion.ancestral, diffusion.ddim, diffusion.euler, diffusion.heun])
def test_every_sampler_finds_the_spread_of_the_data(path, step):
    s2 = 0.3
    steps = 400 if path is ddpm else 200
    x = diffusion.integrate(path, exact(path, s2), torch.randn(20_000, 1, dtype=torch.float64), steps, step)
    assert_close(x.std().item(), s2**0.5, rtol=0.03, atol=0)


def test_a_journey_has_both_ends():
    noise = torch.randn(5, 2)
    stations = list(diffusion.journey(linear, exact(linear, 0.5), noise, 7, diffusion.euler))
    assert len(stations) == 8 and torch.equal(stations[0], noise)
    assert_close(stations[-1], diffusion.integrate(linear, exact(linear, 0.5), noise, 7, diffusion.euler))


def test_a_shift_spends_the_steps_near_noise():
    asked = []

    def predict(x, t):
        asked.append(t[0].item())
        return torch.zeros_like(x)

    for shift in (1.0, 3.0):
        diffusion.integrate(linear, predict, torch.randn(2, 2), 4, diffusion.euler, shift)
    assert_close(asked[:4], [1.0, 0.75, 0.5, 0.25])
    assert_close(asked[4:], [1.0, 0.9, 0.75, 0.5])
    exact_end = diffusion.integrate(linear, exact(linear, 0.5), torch.full((1, 1), 0.8), 400)
    assert_close(diffusion.integrate(linear, exact(linear, 0.5), torch.full((1, 1), 0.8), 400, shift=3.0), exact_end,
                 atol=1e-3, rtol=1e-3)  # fmt: skip


def test_a_model_samples_at_its_own_times():
    model = diffusion.face_flow(8, 1, width=16, steps=3, step=diffusion.euler).eval()
    noise = torch.randn(2, 1, 8, 8)
    with torch.no_grad():
        ends = [diffusion.integrate(linear, model.guess(), noise, 3, diffusion.euler, shift) for shift in (1.0, 3.0)]
        made = model.decode(noise)
    assert_close(made, ends[1].clamp(-1, 1))
    assert not torch.allclose(made, ends[0].clamp(-1, 1), atol=1e-3)


# --------------------------------------------------------------------------------------------- guidance


def told(x_t, t, y):
    """A guess that depends on the wish: 3 for wish 0, 5 for wish 1, 1 for anything."""
    return torch.ones_like(x_t) * torch.where(y < 0, 1, 3 + 2 * y).float()


def test_guidance_walks_from_anything_through_the_wish():
    x, t, y = torch.zeros(2, 1), torch.ones(2), torch.tensor([[0], [1]])
    for w, expected in ((0.0, [1.0, 1.0]), (1.0, [3.0, 5.0]), (2.0, [5.0, 9.0])):
        assert_close(diffusion.guided(told, y, w)(x, t), torch.tensor(expected)[:, None])


@PATHS
@KIND
def test_guiding_any_kind_of_prediction_is_the_same(path, kind):
    x_t, wish, free = torch.randn(3, 6, 4, dtype=torch.float64)
    t = torch.rand(6, dtype=torch.float64) * 0.8 + 0.1
    said = [diffusion.from_x0(path, kind, x0, x_t, t) for x0 in (wish, free)]
    guided = diffusion.to_x0(path, kind, said[1] + 3 * (said[0] - said[1]), x_t, t)
    assert_close(guided, free + 3 * (wish - free))


def test_a_plain_conditional_model_is_asked_once():
    asked = []

    def predict(x_t, t, y):
        asked.append(len(x_t))
        return x_t

    for w in (1.0, 2.0):
        diffusion.guided(predict, torch.zeros(4, 1, dtype=torch.int64), w)(torch.zeros(4, 1), torch.ones(4))
    assert asked == [4, 8]


# ----------------------------------------------------------------------------------------- the conditions


def test_attributes_add_up_and_never_share_a_row():
    wish = Attributes((3, 2), 8)
    every = [[a, b] for a in range(-1, 3) for b in range(-1, 2)]
    rows = wish.firsts + torch.tensor(every)
    assert set(rows[:, 0].tolist()) | set(rows[:, 1].tolist()) == set(range(len(wish.table.weight)))
    assert not set(rows[:, 0].tolist()) & set(rows[:, 1].tolist())
    assert_close(wish(None, 2), wish(torch.tensor([[-1, -1]] * 2), 2))
    assert_close(wish(torch.tensor([[2, 0]]), 1)[0], wish.table.weight[3] + wish.table.weight[5])


@pytest.mark.parametrize("y", [[[3, 0]], [[0, -2]], [[0, 0, 0]], [0, 0]])
def test_impossible_wishes_are_refused(y):
    with pytest.raises(ValueError, match="expected"):
        Attributes((3, 2), 8)(torch.tensor(y), 1)


def test_wishes_are_forgotten_jointly_or_one_by_one_or_not():
    """With u uniform a value goes with chance u²: E u² = 1/3; all three go with E u⁶ = 1/7, none with E (1 − u²)³."""
    y = Attributes.drop(torch.ones(50_000, 3, dtype=torch.int64), joint=0.2, whole=0.5)
    gone = (y == -1).float()
    assert_close(gone.mean().item(), 0.2 + 0.3 / 3, atol=0.01, rtol=0)
    assert_close(gone.prod(1).mean().item(), 0.2 + 0.3 / 7, atol=0.01, rtol=0)
    assert_close((1 - gone).prod(1).mean().item(), 0.5 + 0.3 * 16 / 35, atol=0.01, rtol=0)
    assert set(y.unique().tolist()) == {-1, 1}


# ------------------------------------------------------------------------------------------- the networks


def started(net):
    """The net with its zeros replaced: what it would hear, could it hear already."""
    for p in net.parameters():
        if not p.any():
            nn.init.normal_(p, std=0.3)
    return net


def test_the_unet_hears_time_and_wish_and_keeps_pictures_apart():
    net = started(UNet(1, width=16, blocks=1, patch=2, condition=32))
    x, t, c = torch.randn(3, 1, 16, 16), torch.tensor([0.2, 0.5, 0.8]), torch.randn(3, 32)
    with torch.no_grad():
        whole = net(x, t, c)
        assert whole.shape == x.shape
        alone = torch.cat([net(x[i : i + 1], t[i : i + 1], c[i : i + 1]) for i in range(3)])
        assert_close(whole, alone, atol=1e-4, rtol=1e-4)
        assert (net(x, t.flip(0), c) - whole)[0].abs().max() > 1e-3
        assert (net(x, t, c.flip(0)) - whole)[0].abs().max() > 1e-3


def test_a_unet_refuses_sizes_it_cannot_halve():
    with pytest.raises(ValueError, match="no multiple of 8"):
        UNet(1, width=16)(torch.zeros(1, 1, 28, 28), torch.zeros(1))


def test_attention_sees_far_and_knows_no_order():
    look = Attention(8, heads=2)
    h = torch.randn(1, 8, 4, 4)
    moved = h.clone()
    moved[0, :, 3, 3] += 1
    assert (look(moved) - look(h))[0, :, 0, 0].abs().max() > 1e-5
    order = torch.randperm(16)
    shuffled = look(h.flatten(2)[..., order].view(1, 8, 4, 4))
    assert_close(shuffled.flatten(2), look(h).flatten(2)[..., order], atol=1e-5, rtol=1e-5)


# -------------------------------------------------------------------------------------------- the models


class Plane(nn.Module):
    """Points in the plane dressed as pictures (B, 2, 1, 1), for a perceptron."""

    def __init__(self, condition=128):
        super().__init__()
        self.net = TimedMLP(2, 64, 2, condition)

    def forward(self, x_t, t, extra=None):
        return self.net(x_t.flatten(1), t, extra).view_as(x_t)


@pytest.mark.parametrize("kind, space", [("x0", "v"), ("eps", "eps"), ("v", "v")])
def test_the_loss_of_a_perfect_prediction_in_its_own_space_is_the_plain_one(kind, space):
    model = Diffusion(lambda x_t, t, extra: 0 * x_t, (1, 4, 4), kind=kind, space=space)
    x = torch.rand(4_000, 1, 4, 4) * 2 - 1
    torch.manual_seed(3)
    t, eps = diffusion.logit_normal(4_000, *model.times), torch.randn_like(x)
    x_t = diffusion.add_noise(linear, x, eps, t)
    plain = diffusion.from_x0(linear, space, x, x_t, t)
    said = diffusion.from_x0(linear, space, diffusion.to_x0(linear, kind, 0 * x, x_t, t), x_t, t)
    clear = t > 0.06  # below it sigma counts as 0.05
    weight = diffusion.error_weight(linear, space, t)
    error = (diffusion.to_x0(linear, kind, 0 * x, x_t, t) - x).square().flatten(1).mean(1)
    assert_close((weight * error)[clear], (said - plain).square().flatten(1).mean(1)[clear], rtol=1e-3, atol=1e-5)
    torch.manual_seed(3)
    assert_close(model.loss(x)["loss"], (weight * error).mean(), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("kind, path", [("x0", linear), ("eps", cosine), ("v", cosine)], ids=["x0", "eps", "v"])
def test_a_model_finds_the_mixture_and_obeys(kind, path):
    ds = data.load("toy:mixture")
    model = Diffusion(
        Plane(), (2, 1, 1), path=path, kind=kind, space=kind if kind != "x0" else "v", sizes=(8,), steps=16
    )
    _, ema = train(model, ds.x[:, :, None, None], ds.y, steps=500, batch=256, lr=5e-3, threads=1)
    angle = torch.arange(8) * math.pi / 4
    centres = 0.75 * torch.stack([angle.cos(), angle.sin()], 1)
    distance, part = torch.cdist(ema.sample(1_000).flatten(1), centres).min(1)
    assert (distance < 0.25).float().mean() > 0.5  # of a Gaussian as wide, 0.2
    assert part.bincount(minlength=8).min() > 50  # of 125
    y = torch.arange(8).repeat_interleave(40)[:, None]
    part = torch.cdist(ema.sample(320, y).flatten(1), centres).min(1).indices
    assert (part == y[:, 0]).float().mean() > 0.9


def test_the_same_noise_gives_the_same_picture_in_chunks_or_not():
    model = started(
        Diffusion(UNet(1, width=16, blocks=1, patch=2), (1, 8, 8), sizes=(3,), steps=2, guidance=2.0)
    ).eval()
    noise, y = torch.randn(300, 1, 8, 8), torch.randint(3, (300, 1))
    with torch.no_grad():
        whole = model.decode(noise, y)
        assert_close(whole[251:260], model.decode(noise[251:260], y[251:260]), atol=1e-4, rtol=1e-4)
        assert (model.decode(noise[:9], y[:9], w=1.0) - whole[:9]).abs().max() > 1e-4
    assert model.sample(2, y[:2]).abs().max() <= 1


def test_a_flow_on_codes_obeys():
    from tests.test_latent import Points

    ds = data.load("toy:mixture")
    flow = LatentFlow(Points(), width=64, depth=2, sizes=(8,))
    _, flow = train(flow, ds.x, ds.y, steps=400, batch=256, lr=5e-3, threads=1)
    angle = torch.arange(8) * math.pi / 4
    centres = 0.75 * torch.stack([angle.cos(), angle.sin()], 1)
    y = torch.arange(8).repeat_interleave(50)[:, None]
    part = torch.cdist(flow.sample(400, y).flatten(1), centres).min(1).indices
    assert (part == y[:, 0]).float().mean() > 0.9
    part = torch.cdist(flow.sample(800).flatten(1), centres).min(1).indices
    assert part.bincount(minlength=8).min() > 40  # of 100
