"""Identities of the VAE, checked against torch.distributions and a model that can be solved on paper."""

import math

import pytest
import torch
from torch.distributions import Laplace, MultivariateNormal, Normal, kl_divergence
from torch.testing import assert_close

from genimg_lib import vae
from genimg_lib.train import train


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# ---------------------------------------------------------------------------------------- the equations


def test_the_kl_agrees_with_torch():
    mu, logvar = torch.randn(7, 3), torch.randn(7, 3)
    want = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(0.0, 1.0)).sum(1)
    assert_close(vae.gaussian_kl(mu, logvar), want)


def test_a_code_that_says_nothing_costs_nothing():
    assert vae.gaussian_kl(torch.zeros(2, 5), torch.zeros(2, 5)).tolist() == [0, 0]


def test_the_log_density_agrees_with_torch():
    x, mu, logvar = torch.randn(3, 4, 5).unbind()
    assert_close(vae.log_normal(x, mu, logvar), Normal(mu, (logvar / 2).exp()).log_prob(x).sum(-1))


def test_reparameterized_draws_have_the_mean_and_deviation_asked_for():
    mu, logvar = torch.tensor([[1.0, -2.0]]), torch.tensor([[0.6, -1.4]])
    z = vae.reparameterize(mu.expand(200_000, -1), logvar.expand(200_000, -1))
    assert_close(z.mean(0), mu[0], atol=0.01, rtol=0)
    assert_close(z.std(0), (logvar[0] / 2).exp(), atol=0.01, rtol=0)


def test_gradients_pass_through_the_draw():
    """dz/dmu = 1 and dz/dlogvar = (z − mu) / 2."""
    mu, logvar = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    z = vae.reparameterize(mu, logvar)
    d_mu, d_logvar = torch.autograd.grad(z.sum(), (mu, logvar))
    assert_close(d_mu, torch.ones(4, 3))
    assert_close(d_logvar, ((z - mu) / 2).detach())


def test_the_gradient_is_that_of_the_expectation():
    """E[z²] = mu² + exp(logvar): the mean of pathwise gradients must be 2 mu and exp(logvar)."""
    mu, logvar = torch.tensor([[0.7]], requires_grad=True), torch.tensor([[-0.5]], requires_grad=True)
    z = vae.reparameterize(mu.expand(400_000, 1), logvar.expand(400_000, 1))
    d_mu, d_logvar = torch.autograd.grad((z**2).mean(), (mu, logvar))
    assert_close(d_mu.item(), 1.4, atol=0.01, rtol=0)
    assert_close(d_logvar.item(), math.exp(-0.5), atol=0.01, rtol=0)


def test_the_pixel_cost_is_a_gaussian_times_a_laplace():
    x, x_hat = torch.rand(2, 5, 3, 4, 6).mul(2).sub(1).unbind()
    e = (x - x_hat).flatten(1)
    gauss, laplace = Normal(0.0, math.sqrt(0.03)), Laplace(0.0, 0.12)
    at = [(d.log_prob(torch.zeros(())) - d.log_prob(e)).sum(1) for d in (gauss, laplace)]
    assert_close(vae.pixel_cost(x, x_hat), at[0] + at[1])
    assert not vae.pixel_cost(x, x).any()


# ------------------------------------------------- a VAE that can be solved: x = W z + b + noise, z ~ N(0, I)


class Linear:
    """Columns of W are orthogonal, so that the true posterior is diagonal and q can be exactly it."""

    def __init__(self, sigma=0.5):
        self.W = torch.linalg.qr(torch.randn(5, 2, dtype=torch.float64)).Q * torch.tensor([2.0, 0.7])
        self.b = torch.randn(5, dtype=torch.float64)
        self.sigma = sigma
        cov = self.W @ self.W.T + sigma**2 * torch.eye(5)
        self.x = MultivariateNormal(self.b, cov).sample((6,))
        self.log_p = MultivariateNormal(self.b, cov).log_prob(self.x)
        precision = (self.W**2).sum(0) / sigma**2 + 1
        self.mu = (self.x - self.b) @ self.W / sigma**2 / precision
        self.logvar = -precision.log().expand_as(self.mu)

    def log_w(self, mu, logvar, k):
        """(K, B): log p(x | z) + log p(z) − log q(z | x) for draws z ~ q."""
        mu, logvar = mu.expand(k, *mu.shape), logvar.expand(k, *logvar.shape)
        z = vae.reparameterize(mu, logvar)
        noise = torch.full_like(self.x, 2 * math.log(self.sigma))
        log_x = vae.log_normal(self.x, z @ self.W.T + self.b, noise)
        log_z = vae.log_normal(z, torch.zeros_like(z), torch.zeros_like(z))
        return log_x + log_z - vae.log_normal(z, mu, logvar)


def test_with_the_true_posterior_every_single_draw_gives_log_p():
    model = Linear()
    assert_close(model.log_w(model.mu, model.logvar, 3), model.log_p.expand(3, -1))


def test_the_elbo_falls_short_by_the_kl_to_the_true_posterior():
    model = Linear()
    mu, logvar = model.mu + 0.3, model.logvar + 0.5
    gap = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(model.mu, (model.logvar / 2).exp())).sum(1)
    elbo = model.log_w(mu, logvar, 100_000).mean(0)
    assert (elbo < model.log_p).all()
    assert_close(elbo, model.log_p - gap, atol=0.02, rtol=0)


def test_more_importance_samples_tighten_the_bound():
    model = Linear()
    mu, logvar = model.mu + 0.3, model.logvar + 0.5
    one, ten, many = (
        torch.stack([vae.importance_bound(model.log_w(mu, logvar, k)) for _ in range(600)]).mean(0)
        for k in (1, 10, 300)
    )
    assert (one < ten).all() and (ten < model.log_p).all()
    assert_close(many, model.log_p, atol=0.02, rtol=0)


# ------------------------------------------------------------------------------------------ the network


def squares(n=256):
    """Two kinds of 8×8 pictures: a white square on black, left or right, with a little noise."""
    x = torch.full((n, 1, 8, 8), -1.0)
    x[: n // 2, :, 2:6, 1:4] = 1
    x[n // 2 :, :, 2:6, 4:7] = 1
    return (x + 0.05 * torch.randn_like(x)).clamp(-1, 1)


def small(beta=1.0, kind=vae.ConvVAE):
    return kind((1, 8, 8), z=2, beta=beta, widths=(8, 16))


def test_it_learns_two_kinds_of_pictures_and_tells_them_apart():
    x = squares()
    _, model = train(small(), x, steps=150, batch=32, lr=5e-3, threads=1)
    assert (model.reconstruct(x) - x).square().mean() < 0.02
    near = torch.cdist(model.sample(64).flatten(1), torch.stack([x[:128].mean(0), x[128:].mean(0)]).flatten(1))
    assert 8 < (near.argmin(1) == 0).sum() < 56


def test_a_huge_beta_collapses_the_posterior():
    """All codes become the prior's, and the decoder answers with the mean picture."""
    x = squares()
    _, model = train(small(beta=1_000.0), x, steps=150, batch=32, lr=5e-3, threads=1)
    assert vae.gaussian_kl(*model.encode(x)).mean() < 0.05
    assert_close(model.reconstruct(x).std(0), torch.zeros(1, 8, 8), atol=0.1, rtol=0)


def test_the_loss_is_what_its_terms_say():
    x = squares(16)
    for beta in (0.0, 0.25, 4.0):
        terms = small(beta).loss(x)
        assert_close(terms["loss"], terms["pixels"] + beta * terms["kl"])


def test_an_autoencoder_draws_no_lots():
    model, x = small(kind=vae.ConvAutoencoder), squares(16)
    assert torch.equal(model.loss(x)["loss"], model.loss(x)["loss"])


@pytest.mark.parametrize("shape", [(3, 32, 32), (1, 28, 28), (3, 64, 48)])
def test_codes_and_pictures_have_their_shapes(shape):
    model = vae.ConvVAE(shape, z=5, widths=(8, 16))
    mu, logvar = model.encode(torch.zeros(3, *shape))
    assert mu.shape == logvar.shape == (3, 5)
    assert model.decode(mu).shape == (3, *shape)


def test_a_spatial_code_tells_of_its_own_neighbourhood():
    model = vae.SpatialVAE((3, 32, 32), channels=2, width=8, blocks=1, patch=4).eval()
    x = torch.zeros(1, 3, 32, 32)
    other = x.clone()
    other[..., :4, :4] = 1  # changes the first place, and what two 3×3 convolutions see of it: no further than 2 places
    mu, mu_other = (model.encode(picture)[0].view(2, 8, 8) for picture in (x, other))
    assert model.z == 2 * 8 * 8 and model.decode(mu.view(1, -1)).shape == x.shape
    changed = (mu - mu_other).abs().amax(0)
    near, far = changed[:3, :3].mean(), changed[3:, 3:].mean()
    assert near > 3 * far  # group norm whispers a little to everybody


def test_the_fine_brush_sees_across_patches_and_the_broad_one_does_not():
    paint = vae.Painter(8, 3, 4, fine=8)
    h = torch.zeros(1, 8, 3, 3)
    other = h.clone()
    other[..., 1, 1] = 1
    changed = {name: (brush(h) - brush(other)).abs().sum((0, 1)) for name, brush in paint.named_children()}
    assert changed["broad"].shape == changed["fine"].shape == (12, 12)
    outside = torch.ones(12, 12, dtype=torch.bool)
    outside[4:8, 4:8] = False
    assert changed["broad"][~outside].any() and not changed["broad"][outside].any() and changed["fine"][outside].any()
    assert_close(paint(other), paint.broad(other) + paint.fine(other))


def test_an_error_counts_where_the_focus_is():
    model = vae.SpatialVAE((1, 8, 8), channels=1, width=8, blocks=1, patch=4, focus=(0, 2, 4, 8), weight=10.0)
    assert model.weight.sum() == 64 + 9 * 8 and (model.weight[:2, 4:] == 10).all()
    x, x_hat = torch.zeros(1, 1, 8, 8), torch.zeros(1, 1, 8, 8)
    x_hat[..., 1, 5] = 1
    inside = vae.pixel_cost(x, x_hat, weight=model.weight)
    assert_close(inside, 10 * vae.pixel_cost(x, x_hat.flip(-1)))
    assert_close(vae.pixel_cost(x, x_hat.flip(-1), weight=model.weight), vae.pixel_cost(x, x_hat))


def test_errors_teach():
    for patch in (8, 7):
        with pytest.raises(ValueError, match=f"even patch that divides 28×28 pixels, got patch={patch}"):
            vae.SpatialVAE((1, 28, 28), patch=patch)
    with pytest.raises(ValueError, match="25×25 is no multiple of 8; load the pictures at such a size"):
        vae.ConvVAE((1, 25, 25))
    with pytest.raises(ValueError, match=r"expected pictures \(B, 1, 8, 8\), got \(2, 1, 9, 9\); build the model"):
        small().encode(torch.zeros(2, 1, 9, 9))
