"""Identities of the adversarial game."""

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.testing import assert_close

from genimg_lib import data, gan, penalties
from genimg_lib.nets import Attributes, mlp
from genimg_lib.train import train


def test_at_the_optimal_critic_the_value_is_jensen_shannon():
    """V(G, D*) = −log 4 + 2 JSD(p ‖ q)   (Goodfellow et al. 2014, thm. 1), on a discrete space."""
    p, q = torch.tensor([0.1, 0.2, 0.7]), torch.tensor([0.5, 0.3, 0.2])
    logits = (p / q).log()  # D* = p / (p + q) as a logit
    value = -(p * F.softplus(-logits)).sum() - (q * F.softplus(logits)).sum()
    m = (p + q) / 2
    jsd = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    assert_close(value, -math.log(4) + 2 * jsd)


def test_the_critics_loss_is_cross_entropy():
    real, fake = torch.randn(2, 6, 1).unbind()
    want = F.binary_cross_entropy_with_logits(real, torch.ones(6, 1)) + F.binary_cross_entropy_with_logits(
        fake, torch.zeros(6, 1)
    )
    assert_close(gan.logistic_critic(real, fake), want)


@pytest.mark.parametrize("logit", [-20.0, -1.0, 0.0, 3.0])
def test_only_the_non_saturating_loss_pulls_when_the_critic_is_sure(logit):
    """d/dl log(1 − σ(l)) = −σ(l) and d/dl (−log σ(l)) = σ(l) − 1: at l → −∞ the first is 0, the second −1."""
    logit = torch.tensor([logit], requires_grad=True)
    sigma = torch.sigmoid(logit).item()
    assert_close(torch.autograd.grad(gan.saturating(logit), logit)[0].item(), -sigma)
    assert_close(torch.autograd.grad(gan.non_saturating(logit), logit)[0].item(), sigma - 1)


def test_hinge_stops_pushing_what_is_already_beyond_the_margin():
    real, fake = torch.tensor([2.0, 0.5], requires_grad=True), torch.tensor([-3.0, 0.0], requires_grad=True)
    loss = gan.hinge_critic(real, fake)
    assert_close(loss.item(), (0 + 0.5) / 2 + (0 + 1) / 2)
    gr, gf = torch.autograd.grad(loss, (real, fake))
    assert gr.tolist() == [0, -0.5] and gf.tolist() == [0, 0.5]
    assert_close(gan.hinge_generator(fake).item(), 1.5)


def test_every_layer_of_the_critic_is_one_lipschitz():
    """After its power iterations settle, each weight matrix has largest singular value one (Miyato et al. 2018)."""
    critic = gan.Critic()
    for _ in range(60):
        critic(torch.randn(2, 3, 32, 32))
    critic.eval()
    layers = [m for m in critic.modules() if isinstance(m, nn.Conv2d | nn.Linear)]
    assert len(layers) == 7
    for layer in layers:
        assert_close(torch.linalg.matrix_norm(layer.weight.flatten(1), 2).item(), 1.0, atol=0.02, rtol=0)


def test_the_whole_head_sees_how_much_a_batch_varies():
    torch.manual_seed(0)
    critic = gan.Critic().eval()
    x = torch.randn(4, 3, 32, 32)
    alone, together = critic(x[:1].expand(4, -1, -1, -1)), critic(x)
    assert_close(alone[0, :64], together[0, :64])  # a patch does not depend on its neighbours in the batch
    assert not torch.allclose(alone[0, 64:], together[0, 64:])


def test_pixel_shuffle_starts_without_a_checkerboard():
    conv = nn.Conv2d(5, 12, 3, padding=1, bias=False)
    gan.icnr_(conv.weight)
    y = F.pixel_shuffle(conv(torch.randn(2, 5, 4, 4)), 2)
    assert_close(y[..., ::2, ::2].repeat_interleave(2, -1).repeat_interleave(2, -2), y)


def test_the_generator_reaches_white_and_reads_its_latent_everywhere():
    torch.manual_seed(0)
    generator = gan.Generator()
    z = torch.randn(6, 64)
    assert generator(z * 0 + 50).abs().max() == 1
    norm = gan.ConditionalNorm(8, 64)
    h = torch.randn(6, 8, 4, 4)
    assert not torch.allclose(norm(h, z), norm(h, -z))


def test_the_faces_come_in_two_sizes():
    assert gan.face_gan(28, 1).sample(2).shape == (2, 1, 28, 28)
    with pytest.raises(ValueError, match="expected a size of 28 or 32, got 64"):
        gan.face_gan(64)


def test_a_tiny_gan_finds_all_eight_modes():
    """The ring of Gaussians: without momentum the game spreads over every mode, and stays on them."""
    torch.manual_seed(0)
    ring = data.load("toy:mixture", n=2_000)
    model = gan.GAN(mlp((2, 64, 64, 2), nn.ReLU), mlp((2, 64, 64, 1), nn.ReLU), (2,), 2,
                    gan.logistic_critic, gan.non_saturating)  # fmt: skip
    _, ema = train(model, ring.x, steps=1_000, batch=128, lr=2e-3, betas=(0.0, 0.99), ema_decay=0.98, threads=1)
    points = ema.decode(torch.randn(1_000, 2, generator=torch.Generator().manual_seed(2)))
    modes = torch.stack([ring.x[ring.column("component") == k].mean(0) for k in range(8)])
    distance, mode = torch.cdist(points, modes).min(1)
    assert (distance < 0.2).float().mean() > 0.8
    assert torch.bincount(mode, minlength=8).min() > 30


# ------------------------------------------------------------------------------------------------------ with wishes


class Asked(nn.Module):
    """A generator of points: noise and wish, side by side."""

    def __init__(self, sizes, out=2):
        super().__init__()
        self.wish, self.net = Attributes(sizes, 8), mlp((2 + 8, 32, out), nn.ReLU)

    def forward(self, z, y):
        return self.net(torch.cat([z, self.wish(y, len(z))], dim=1))


class Told(nn.Module):
    """A critic of points by projection."""

    def __init__(self, sizes):
        super().__init__()
        self.body, self.head = mlp((2, 32, 32), nn.ReLU), gan.Projection(32, sizes)

    def forward(self, x, y):
        return self.head(F.relu(self.body(x)), y)


def test_projection_is_a_plain_score_and_an_inner_product_for_each_wish():
    torch.manual_seed(0)
    layer = gan.Projection(5, (3, 2)).eval()
    h, y = torch.randn(4, 5), torch.tensor([[0, 1], [2, 0], [-1, 1], [-1, -1]])
    assert_close(layer(h, y) - layer.plain(h), (h * layer.wish(y, 4)).sum(1, keepdim=True))
    assert_close(layer(h, None), layer(h, torch.full((4, 2), -1)))
    # Between two wishes the score differs by a linear function of the features.
    other = y.roll(1, 0)
    assert_close(layer(2 * h, y) - layer(2 * h, other), 2 * (layer(h, y) - layer(h, other)))


def test_both_players_hear_the_same_wish_and_the_wish_matters():
    torch.manual_seed(0)
    game = gan.ConditionalGAN(Asked((8,)), Told((8,)), (2,), 2)
    heard = []
    for part in (game.generator, game.critic):
        part.register_forward_pre_hook(lambda _, given: heard.append(given[1]))
    x, y = torch.randn(40, 2), torch.arange(40)[:, None] % 8
    game.loss_of_critic(x, y)
    game.loss_of_generator(x, y)
    assert len(heard) == 4 and all(torch.equal(heard[0], other) for other in heard)  # made, real, fake, fake again
    forgotten = (heard[0] < 0).float().mean().item()
    assert 0 < forgotten < 1 and ((heard[0] == y) | (heard[0] == -1)).all()
    z = torch.randn(40, 2)
    assert not torch.allclose(game.make(z, y), game.make(z, y.roll(1, 0)))
    assert not torch.allclose(game.judge(x, y), game.judge(x, y.roll(1, 0)))


def test_a_tiny_conditional_game_puts_points_where_they_are_asked_for():
    torch.manual_seed(0)
    ring = data.load("toy:mixture", n=2_000)
    game = gan.ConditionalGAN(
        Asked((8,)), Told((8,)), (2,), 2, gan.logistic_critic, gan.non_saturating, [(0.3, penalties.r1)]
    )
    _, ema = train(game, ring.x, ring.y, steps=500, batch=128, lr=5e-3, betas=(0.0, 0.99), ema_decay=0.98, threads=1)
    modes = torch.stack([ring.x[ring.column("component") == k].mean(0) for k in range(8)])
    y = torch.arange(400)[:, None] % 8
    right = torch.cdist(ema.sample(400, y), modes).argmin(1) == y[:, 0]
    assert right.float().mean() > 0.8  # one in eight by chance
