"""Identities of the penalties, limits of the slopes, and views that only move or dim what is there."""

import copy
import math

import pytest
import torch
from scipy.stats import wasserstein_distance
from torch import nn
from torch.testing import assert_close

from genimg_lib import gan, penalties
from genimg_lib.nets import mlp


class Linear(nn.Module):
    """D(x) = w · x: its slope is w everywhere."""

    def __init__(self, w):
        super().__init__()
        self.w = nn.Parameter(torch.tensor(w, dtype=torch.float64))

    def forward(self, x):
        return (x.flatten(1) @ self.w)[:, None]


class Bowl(nn.Module):
    """D(x) = ‖x‖² / 2: its slope at x is x."""

    def forward(self, x):
        return x.flatten(1).square().sum(1, keepdim=True) / 2


@pytest.fixture
def clouds():
    return torch.randn(2, 7, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).unbind()


def test_a_linear_critic_has_one_slope(clouds):
    critic = Linear([2.0, -1.0, 2.0])  # of length 3
    assert_close(penalties.slopes(critic, clouds[0]), critic.w.detach().expand(7, 3))
    assert_close(penalties.r1(critic, *clouds).item(), 4.5)
    assert_close(penalties.r2(critic, *clouds).item(), 4.5)
    assert_close(penalties.gradient_penalty(critic, *clouds).item(), 4.0)


def test_each_penalty_looks_where_it_should(clouds):
    real, fake = clouds
    assert_close(penalties.r1(Bowl(), real, fake), real.square().sum(1).mean() / 2)
    assert_close(penalties.r2(Bowl(), real, fake), fake.square().sum(1).mean() / 2)


@pytest.mark.parametrize("length", [1.0, 3.0])
def test_wgan_gp_looks_along_the_whole_line(length):
    """From 0 to a point at distance c a bowl's slope is u·c: E (u c − 1)² = c²/3 − c + 1. One u serves a sample."""
    torch.manual_seed(0)
    end = torch.tensor([0.6, 0.8], dtype=torch.float64).mul(length).expand(40_000, 2)
    value = penalties.gradient_penalty(Bowl(), 0 * end, end).item()
    assert_close(value, length**2 / 3 - length + 1, atol=0.02, rtol=0)


def test_r1_is_the_limit_of_differences(clouds):
    """Σ_i ((D(x + h e_i) − D(x − h e_i)) / 2h)² → ‖∇D(x)‖² as h → 0, with an error of order h²."""
    torch.manual_seed(0)
    critic, x = mlp((3, 16, 1), nn.Tanh).double(), clouds[0]
    errors = []
    for h in (1e-2, 1e-3):
        steps = h * torch.eye(3, dtype=torch.float64)
        with torch.no_grad():
            differences = (critic(x[:, None] + steps) - critic(x[:, None] - steps)) / (2 * h)
        errors.append(abs(differences.square().sum((1, 2)).mean() / 2 - penalties.r1(critic, *clouds)).item())
    assert errors[0] < 1e-4 and errors[1] < errors[0] / 50


def test_a_penalty_teaches_the_critic_and_leaves_the_pictures_alone(clouds):
    critic = Linear([2.0, -1.0, 2.0])
    real, fake = (x.clone().requires_grad_() for x in clouds)
    (grad,) = torch.autograd.grad(penalties.r1(critic, real, fake), critic.w)
    assert_close(grad, critic.w.detach())  # of ‖w‖² / 2
    penalties.gradient_penalty(critic, real, fake).backward()
    assert real.grad is None and fake.grad is None


def test_the_logits_of_one_picture_count_as_their_mean():
    double = nn.Linear(2, 2, bias=False)
    double.weight.data = torch.tensor([[2.0, 0.0], [0.0, 2.0]])
    assert_close(penalties.slopes(double, torch.randn(5, 2)), torch.ones(5, 2))


def test_the_gan_adds_its_penalties_by_weight():
    torch.manual_seed(0)
    plain = gan.GAN(mlp((2, 8, 2)), mlp((2, 8, 1)), (2,), 2)
    both = copy.deepcopy(plain)
    both.penalties = ((3.0, penalties.r1), (5.0, penalties.r2))
    x = torch.randn(9, 2)
    rows = []
    for game in (plain, both):
        torch.manual_seed(1)
        rows.append(game.loss_of_critic(x))
    without, row = rows
    assert_close(row["r1"], penalties.r1(both.critic, x, both.fake))
    assert_close(row["loss"], without["loss"] + 3 * row["r1"] + 5 * row["r2"])
    row["loss"].backward()
    assert all(p.grad is None for p in both.generator.parameters())


def test_spectral_normalisation_agrees_with_svd():
    torch.manual_seed(0)
    raw = nn.Sequential(nn.Conv2d(3, 8, 3), nn.Flatten(), nn.Linear(8 * 9, 4))
    nn.init.normal_(raw[0].weight, std=2.0)
    net = penalties.spectral(copy.deepcopy(raw))
    for _ in range(100):
        net(torch.zeros(1, 3, 5, 5))
    net.eval()
    for i in (0, 2):
        before, after = (torch.linalg.svdvals(n[i].weight.detach().flatten(1)) for n in (raw, net))
        assert_close(after, before / before[0], atol=1e-3, rtol=0)  # one number a layer: the ratios stay


# ------------------------------------------------------------------------------------------------------- losses


def test_the_best_bounded_critic_measures_the_earth_movers_distance():
    """On a line f' = sign(F_fake − F_real) is the best 1-Lipschitz critic; minus its loss is W₁ (Kantorovich)."""
    torch.manual_seed(0)
    real, fake = torch.randn(40).double(), 1.5 * torch.randn(40).double() + 0.7
    edges = torch.cat([real, fake]).sort().values
    share = [(x[:, None] <= edges[:-1]).double().mean(0) for x in (real, fake)]
    heights = torch.cat([torch.zeros(1), ((share[1] - share[0]).sign() * edges.diff()).cumsum(0)])
    scores = [heights[torch.searchsorted(edges, x)] for x in (real, fake)]
    want = wasserstein_distance(real, fake)
    assert_close(-gan.wasserstein_critic(*scores).item(), want)
    for shrink in (0.5, -1.0):  # any other critic with this bound finds less
        assert -gan.wasserstein_critic(*(shrink * s for s in scores)).item() < want


def test_a_trained_critic_comes_close_to_it():
    torch.manual_seed(0)
    real, fake = torch.randn(256, 1) - 1, 0.5 * torch.randn(256, 1) + 1.5
    critic = mlp((1, 32, 32, 1))
    adam = torch.optim.Adam(critic.parameters(), 1e-2)
    for _ in range(200):
        loss = gan.wasserstein_critic(critic(real), critic(fake))
        adam.zero_grad()
        (loss + 10 * penalties.gradient_penalty(critic, real, fake)).backward()
        adam.step()
    want = wasserstein_distance(real[:, 0], fake[:, 0])
    slope = 1 + want / (2 * 10)  # where −slope·W₁ + 10 (slope − 1)² is least: the penalty lets it go a little too far
    assert_close(-loss.item(), slope * want, rtol=0.03, atol=0)


def test_only_the_difference_counts_in_a_paired_game():
    real, fake = torch.randn(2, 50, 1, dtype=torch.float64).unbind()
    assert_close(gan.paired_critic(real + 7, fake + 7), gan.paired_critic(real, fake))
    assert_close(gan.paired_critic(real, real).item(), math.log(2))
    both = gan.paired_critic(real, fake) - gan.paired_critic(fake, real)  # softplus(d) − softplus(−d) = d
    assert_close(both, (fake - real).mean())


def test_in_a_paired_game_the_players_want_the_opposite():
    torch.manual_seed(0)
    game = gan.PairedGAN(mlp((2, 8, 2)), mlp((2, 8, 1)), (2,), 2, gan.paired_critic)
    x = torch.randn(9, 2)
    game.loss_of_critic(x)
    fake = game.fake.detach()
    want = nn.functional.softplus(game.critic(x) - game.critic(fake)).mean()
    assert_close(game.loss_of_generator(x)["loss"], want)


@pytest.mark.parametrize("gamma", [0.0, 0.3, 1.0])
def test_r1_turns_the_rotation_of_the_dirac_game_into_a_spiral(gamma):
    """Real at 0, fake at theta, D(x) = psi·x: eigenvalues −γ/2 ± √(γ²/4 − 1/4)   (Mescheder et al. 2018, thm. 4.1)."""

    def forces(state):
        theta, psi = state[:1, None], state[1]
        zero = torch.zeros(1, 1, dtype=torch.float64)
        critic_loss = gan.logistic_critic(psi * zero, psi * theta) + gamma * psi.square() / 2
        (pull_psi,) = torch.autograd.grad(critic_loss, state, create_graph=True)
        (pull_theta,) = torch.autograd.grad(gan.non_saturating(psi * theta), state, create_graph=True)
        return -torch.stack([pull_theta[0], pull_psi[1]])

    jacobian = torch.autograd.functional.jacobian(forces, torch.zeros(2, dtype=torch.float64))
    root = torch.sqrt(torch.tensor(gamma**2 / 4 - 0.25, dtype=torch.complex128))
    want = torch.stack([-gamma / 2 + root, -gamma / 2 - root])
    got = torch.linalg.eigvals(jacobian)
    order = got.imag.argsort(descending=True)
    assert_close(got[order], want, atol=1e-6, rtol=0)


# -------------------------------------------------------------------------------------------------------- views


@pytest.fixture
def pictures():
    return torch.rand(200, 3, 16, 16, generator=torch.Generator().manual_seed(2)) * 2 - 1


def test_translation_moves_and_invents_nothing(pictures):
    torch.manual_seed(0)
    moved = penalties.translation(pictures)
    offsets = set()
    for before, after in zip(pictures, moved, strict=True):
        wide = nn.functional.pad(before, [2] * 4)
        found = [(i, j) for i in range(5) for j in range(5) if torch.equal(wide[:, i : i + 16, j : j + 16], after)]
        assert len(found) == 1
        offsets.update(found)
    assert len(offsets) == 25  # every offset up to an eighth of the side is drawn


def test_cutout_empties_one_rectangle(pictures):
    torch.manual_seed(0)
    cut = penalties.cutout(pictures)
    gone = (cut == 0).all(1)
    assert torch.equal(cut[~gone[:, None].expand_as(cut)], pictures[~gone[:, None].expand_as(cut)])
    for hole in gone:
        assert hole.sum() == hole.any(0).sum() * hole.any(1).sum()  # a full rectangle
        assert hole.any(0).sum() <= 9 and hole.any(1).sum() <= 9
    assert gone.float().mean((1, 2)).max() > 0.24


def test_colour_keeps_what_it_says(pictures):
    """Saturation keeps each pixel's mean over the channels, contrast the picture's mean: brightness alone moves it."""
    torch.manual_seed(0)
    shift = (penalties.colour(pictures) - pictures).mean((1, 2, 3))
    assert shift.abs().max() <= 0.5 and shift.std() == pytest.approx(12**-0.5, abs=0.03)
    grey = pictures.mean(1, keepdim=True).expand_as(pictures)
    assert_close(penalties.colour(grey).std(1), torch.zeros(200, 16, 16), atol=1e-6, rtol=0)


def test_a_critic_behind_views_sees_views_always_and_passes_gradients(pictures):
    class Record(nn.Module):
        def forward(self, x):
            self.x = x
            return x.flatten(1).mean(1, keepdim=True)

    critic = penalties.Seen(Record())
    critic.eval()  # as in the generator's turn
    x = pictures.clone().requires_grad_()
    critic(x).sum().backward()
    assert not torch.equal(critic.critic.x, x) and x.grad.abs().sum() > 0
    bare = penalties.Seen(Record(), views=())
    assert_close(bare(pictures), pictures.flatten(1).mean(1, keepdim=True))
