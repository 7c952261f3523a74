"""Right and wrong answers to the questions of 02_vae."""

import math

import torch
import torch.nn.functional as F
from torch.distributions import Bernoulli, Independent, Normal, kl_divergence

from tests.corpus import right, wrong

# gaussian_kl


@right("gaussian_kl")
def by_distributions(mu, logvar):
    q = Independent(Normal(mu, torch.exp(0.5 * logvar)), 1)
    return kl_divergence(q, Independent(Normal(torch.zeros_like(mu), torch.ones_like(mu)), 1))


@right("gaussian_kl")
def by_loops(mu, logvar):
    out = []
    for m, s in zip(mu, logvar, strict=True):
        out.append(sum(0.5 * (v.exp() + u * u - 1 - v) for u, v in zip(m, s, strict=True)))
    return torch.stack(out)


@right("gaussian_kl")
def by_einsum(mu, logvar):
    square = torch.einsum("bz,bz->b", mu, mu)
    return (square + (torch.expm1(logvar) - logvar).sum(-1)) / 2


@wrong("gaussian_kl", caught_by="value")
def without_the_half(mu, logvar):
    return (logvar.exp() + mu**2 - 1 - logvar).sum(1)


@wrong("gaussian_kl", caught_by="zero at the prior and nowhere else")
def without_the_minus_one(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - logvar).sum(1)


@wrong("gaussian_kl", caught_by="value")
def takes_logvar_for_log_sigma(mu, logvar):
    return 0.5 * ((2 * logvar).exp() + mu**2 - 1 - 2 * logvar).sum(1)


@wrong("gaussian_kl", caught_by="value")
def takes_logvar_for_the_variance(mu, logvar):
    var = logvar.abs() + 1e-6
    return 0.5 * (var + mu**2 - 1 - var.log()).sum(1)


@wrong("gaussian_kl", caught_by="one number a sample")
def mean_over_latents(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).mean(1)


@wrong("gaussian_kl", caught_by="one number a sample")
def one_number_for_the_batch(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum()


@wrong("gaussian_kl", caught_by="one number a sample")
def sums_over_the_batch(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(0)


@wrong("gaussian_kl", caught_by="one number a sample")
def squeezes(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).squeeze().sum(-1)


@wrong("gaussian_kl", caught_by="value")
def the_other_way_round(mu, logvar):
    return 0.5 * ((-logvar).exp() * (1 + mu**2) - 1 + logvar).sum(1)


@wrong("gaussian_kl", caught_by="value")
def a_wrong_sign(mu, logvar):
    return -0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)


@wrong("gaussian_kl", caught_by="gradient reaches mu and logvar")
def cuts_logvar(mu, logvar):
    logvar = logvar.detach()
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)


@wrong("gaussian_kl", caught_by="gradient reaches mu and logvar")
def through_numpy(mu, logvar):
    m, s = mu.detach().numpy(), logvar.detach().numpy()
    return torch.from_numpy(0.5 * (torch.from_numpy(s).exp().numpy() + m**2 - 1 - s).sum(1))


@wrong("gaussian_kl", caught_by="holds far from the prior")
def with_an_epsilon_in_the_log(mu, logvar):
    var = logvar.exp()
    return 0.5 * (var + mu**2 - 1 - (var + 1e-3).log()).sum(1)


@wrong("gaussian_kl", caught_by="leaves its inputs alone")
def in_place(mu, logvar):
    kl = 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)
    mu.data.mul_(2)
    return kl


# reparameterize


@right("reparameterize")
def by_normal(mu, logvar, eps):
    return torch.addcmul(mu, torch.sqrt(torch.exp(logvar)), eps)


@right("reparameterize")
def by_columns(mu, logvar, eps):
    columns = [mu[:, j] + math.e ** (logvar[:, j] / 2) * eps[:, j] for j in range(mu.shape[1])]
    return torch.stack(columns, dim=1)


@right("reparameterize")
def by_diagonal_matrices(mu, logvar, eps):
    return mu + torch.einsum("bij,bj->bi", torch.diag_embed((logvar / 2).exp()), eps)


@wrong("reparameterize", caught_by="value")
def spread_is_the_variance(mu, logvar, eps):
    return mu + logvar.exp() * eps


@wrong("reparameterize", caught_by="without variance z is mu")
def spread_is_logvar(mu, logvar, eps):
    return mu + logvar * eps


@wrong("reparameterize", caught_by="value")
def forgets_mu(mu, logvar, eps):
    return (logvar / 2).exp() * eps


@wrong("reparameterize", caught_by="the spread comes from eps alone")
def own_noise(mu, logvar, eps):
    return mu + (logvar / 2).exp() * torch.randn_like(mu)


@wrong("reparameterize", caught_by="gradient reaches mu and logvar")
def cuts_the_spread(mu, logvar, eps):
    return mu + (logvar / 2).exp().detach() * eps


@wrong("reparameterize", caught_by="gradient reaches mu and logvar")
def samples_without_a_gradient(mu, logvar, eps):
    with torch.no_grad():
        return mu + (logvar / 2).exp() * eps


@wrong("reparameterize", caught_by="leaves its inputs alone")
def eps_in_place(mu, logvar, eps):
    return eps.mul_((logvar / 2).exp()).add_(mu)


@wrong("reparameterize", caught_by="without variance z is mu")
def adds_a_floor(mu, logvar, eps):
    return mu + ((logvar / 2).exp() + 1e-2) * eps


@wrong("reparameterize", caught_by="value")
def root_taken_twice(mu, logvar, eps):
    return mu + (logvar / 2).exp().sqrt() * eps


@wrong("reparameterize", caught_by="value")
def returns_the_mean(mu, logvar, eps):
    return mu


# elbo_loss


@right("elbo_loss")
def elbo_by_loops(x, logits, mu, logvar, beta=1.0):
    total = 0
    for i in range(len(x)):
        nll = F.binary_cross_entropy_with_logits(logits[i], x[i], reduction="sum")
        total = total + nll + beta * 0.5 * (logvar[i].exp() + mu[i] ** 2 - 1 - logvar[i]).sum()
    return total / len(x)


@right("elbo_loss")
def elbo_by_softplus(x, logits, mu, logvar, beta=1.0):
    nll = (F.softplus(logits) - x * logits).flatten(1).sum(1)
    kl = -0.5 * torch.sum(1 + logvar - mu.pow(2) - logvar.exp(), dim=1)
    return (nll + beta * kl).mean(0)


@right("elbo_loss")
def elbo_by_distributions(x, logits, mu, logvar, beta=1.0):
    nll = -Bernoulli(logits=logits, validate_args=False).log_prob(x).sum((1, 2, 3))
    kl = kl_divergence(Normal(mu, (logvar / 2).exp()), Normal(torch.zeros_like(mu), 1.0)).sum(-1)
    return torch.mean(nll + beta * kl)


def elbo_terms(x, logits, mu, logvar):
    nll = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((1, 2, 3))
    return nll, 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)


@wrong("elbo_loss", caught_by="sum over the pixels")
def mean_over_pixels(x, logits, mu, logvar, beta=1.0):
    _, kl = elbo_terms(x, logits, mu, logvar)
    return F.binary_cross_entropy_with_logits(logits, x) + beta * kl.mean()


@wrong("elbo_loss", caught_by="mean over the batch")
def sum_over_the_batch(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll + beta * kl).sum()


@wrong("elbo_loss", caught_by="value")
def only_the_reconstruction(x, logits, mu, logvar, beta=1.0):
    return elbo_terms(x, logits, mu, logvar)[0].mean()


@wrong("elbo_loss", caught_by="value")
def the_elbo_itself(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return -(nll + beta * kl).mean()


@wrong("elbo_loss", caught_by="value")
def kl_subtracted(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll - beta * kl).mean()


@wrong("elbo_loss", caught_by="beta weighs the KL alone")
def beta_on_everything(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return beta * (nll + kl).mean()


@wrong("elbo_loss", caught_by="beta weighs the KL alone")
def beta_forgotten(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll + kl).mean()


@wrong("elbo_loss", caught_by="beta weighs the KL alone")
def beta_on_the_reconstruction(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (beta * nll + kl).mean()


@wrong("elbo_loss", caught_by="value")
def another_default(x, logits, mu, logvar, beta=0.5):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll + beta * kl).mean()


@wrong("elbo_loss", caught_by="right for logits of ±200")
def sigmoid_then_log(x, logits, mu, logvar, beta=1.0):
    p = logits.sigmoid()
    nll = -(x * p.log() + (1 - x) * (1 - p).log()).sum((1, 2, 3))
    return (nll + beta * elbo_terms(x, logits, mu, logvar)[1]).mean()


@wrong("elbo_loss", caught_by="right for logits of ±200")
def sigmoid_then_clipped_entropy(x, logits, mu, logvar, beta=1.0):
    nll = F.binary_cross_entropy(logits.sigmoid(), x, reduction="none").sum((1, 2, 3))
    return (nll + beta * elbo_terms(x, logits, mu, logvar)[1]).mean()


@wrong("elbo_loss", caught_by="value")
def squared_error(x, logits, mu, logvar, beta=1.0):
    nll = ((logits.sigmoid() - x) ** 2).sum((1, 2, 3))
    return (nll + beta * elbo_terms(x, logits, mu, logvar)[1]).mean()


@wrong("elbo_loss", caught_by="value")
def mean_over_the_latents(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll + beta * kl / mu.shape[1]).mean()


@wrong("elbo_loss", caught_by="value")
def two_sigmoids(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits.sigmoid(), mu, logvar)
    return (nll + beta * kl).mean()


@wrong("elbo_loss", caught_by="gradient reaches logits, mu and logvar")
def a_python_number(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return (nll + beta * kl).mean().item()


@wrong("elbo_loss", caught_by="mean over the batch")
def one_loss_a_picture(x, logits, mu, logvar, beta=1.0):
    nll, kl = elbo_terms(x, logits, mu, logvar)
    return nll + beta * kl


# vq_straight_through


@right("vq_straight_through")
def vq_by_loops(ze, codebook, beta=0.25):
    rows = [torch.stack([((row - code) ** 2).sum() for code in codebook]).argmin() for row in ze]
    idx = torch.stack(rows)
    zq = torch.stack([codebook[k] for k in idx])
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return [ze + (zq - ze).detach(), idx, loss]


@right("vq_straight_through")
def vq_by_one_hot(ze, codebook, beta=0.25):
    d = ze.pow(2).sum(1, keepdim=True) - 2 * ze @ codebook.T + codebook.pow(2).sum(1)
    idx = torch.argmin(d, dim=-1)
    zq = F.one_hot(idx, len(codebook)).to(ze.dtype) @ codebook
    loss = ((zq - ze.detach()) ** 2).mean() + beta * ((zq.detach() - ze) ** 2).mean()
    return ze - ze.detach() + zq.detach(), idx.to(torch.int32), loss


class PassThrough(torch.autograd.Function):
    @staticmethod
    def forward(ctx, ze, zq):
        return zq.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


@right("vq_straight_through")
def vq_by_a_function_of_autograd(ze, codebook, beta=0.25):
    with torch.no_grad():
        idx = torch.cdist(ze, codebook, compute_mode="donot_use_mm_for_euclid_dist").min(1).indices
    zq = codebook.index_select(0, idx)
    loss = (zq - ze.detach()).square().mean() + beta * (zq.detach() - ze).square().mean()
    return PassThrough.apply(ze, zq.detach()), idx, loss


def vq(ze, codebook):
    idx = torch.cdist(ze, codebook).argmin(1)
    return codebook[idx], idx


@wrong("vq_straight_through", caught_by="the nearest code")
def by_dot_product(ze, codebook, beta=0.25):
    idx = (ze @ codebook.T).argmax(1)
    zq = codebook[idx]
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return ze + (zq - ze).detach(), idx, loss


@wrong("vq_straight_through", caught_by="the nearest code")
def by_direction(ze, codebook, beta=0.25):
    idx = (F.normalize(ze, dim=1) @ F.normalize(codebook, dim=1).T).argmax(1)
    zq = codebook[idx]
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return ze + (zq - ze).detach(), idx, loss


@wrong("vq_straight_through", caught_by="the nearest code")
def the_farthest_code(ze, codebook, beta=0.25):
    idx = torch.cdist(ze, codebook).argmax(1)
    zq = codebook[idx]
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return ze + (zq - ze).detach(), idx, loss


@wrong("vq_straight_through", caught_by="zq passes its gradient to ze unchanged")
def no_straight_through(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    return zq, idx, F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())


@wrong("vq_straight_through", caught_by="zq passes its gradient to ze unchanged")
def detached_lookup(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    return zq.detach(), idx, F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())


@wrong("vq_straight_through", caught_by="zq passes its gradient to ze unchanged")
def gradient_to_both(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return ze - ze.detach() + zq, idx, loss


@wrong("vq_straight_through", caught_by="each loss term moves its own side")
def nothing_stopped(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    return ze + (zq - ze).detach(), idx, (1 + beta) * F.mse_loss(zq, ze)


@wrong("vq_straight_through", caught_by="loss value")
def loss_after_the_straight_through(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    zq = ze + (zq - ze).detach()
    return zq, idx, (ze.detach() - ze).square().mean() + beta * (zq - ze).square().mean() + 0 * codebook.sum()


@wrong("vq_straight_through", caught_by="each loss term moves its own side")
def beta_on_the_codebook_term(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    loss = beta * F.mse_loss(zq, ze.detach()) + F.mse_loss(ze, zq.detach())
    return ze + (zq - ze).detach(), idx, loss


@wrong("vq_straight_through", caught_by="loss value")
def summed_over_elements(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    loss = (zq - ze.detach()).square().sum(1).mean() + beta * (ze - zq.detach()).square().sum(1).mean()
    return ze + (zq - ze).detach(), idx, loss


@wrong("vq_straight_through", caught_by="loss value")
def without_the_commitment(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    return ze + (zq - ze).detach(), idx, F.mse_loss(zq, ze.detach())


@wrong("vq_straight_through", caught_by="the nearest code")
def in_another_order(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    loss = F.mse_loss(zq, ze.detach()) + beta * F.mse_loss(ze, zq.detach())
    return ze + (zq - ze).detach(), loss, idx


@wrong("vq_straight_through", caught_by="loss value")
def only_two_results(ze, codebook, beta=0.25):
    zq, idx = vq(ze, codebook)
    return ze + (zq - ze).detach(), idx


# fsq_quantize


@right("fsq_quantize")
def by_a_shifted_tanh(z, L):
    half, offset = (L - 1) * (1 + 1e-3) / 2, 0.5 * (L % 2 == 0)
    bounded = torch.tanh(z + math.atanh(offset / half)) * half - offset
    return bounded + (bounded.round() - bounded).detach()


@right("fsq_quantize")
def by_a_sigmoid_from_zero(z, L):
    smooth = (L - 1) * torch.sigmoid(z)
    return smooth - smooth.detach() + smooth.detach().round()


class Rounded(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return torch.floor(x + 0.5)

    @staticmethod
    def backward(ctx, grad):
        return grad


@right("fsq_quantize")
def by_a_function_that_rounds(z, L):
    return Rounded.apply((torch.tanh(z) + 1) / 2 * (L - 1))


@right("fsq_quantize")
def with_equal_bins(z, L):
    inner = torch.sigmoid(2 * z) * (L - 1e-3) - 0.5 + 5e-4
    return inner + (inner.round() - inner).detach()


@wrong("fsq_quantize", caught_by="exactly L levels for even L")
def no_shift_for_even(z, L):
    bounded = torch.tanh(z) * (L - 1) * (1 + 1e-3) / 2
    return bounded + (bounded.round() - bounded).detach()


@wrong("fsq_quantize", caught_by="exactly L levels for odd L")
def one_level_too_many(z, L):
    bounded = torch.tanh(z) * L / 2
    return Rounded.apply(torch.sigmoid(z) * L) if L % 2 else Rounded.apply(bounded)


@wrong("fsq_quantize", caught_by="exactly L levels for odd L")
def floor_division(z, L):
    bounded = torch.tanh(z) * (L // 2 - 1)
    return bounded + (bounded.round() - bounded).detach()


@wrong("fsq_quantize", caught_by="gradient above 0 between −3 and 3")
def plain_rounding(z, L):
    return (torch.tanh(z) * (L - 1) / 2).round() if L % 2 else torch.round((L - 1) * torch.sigmoid(z))


@wrong("fsq_quantize", caught_by="gradient above 0 between −3 and 3")
def hard_clamp(z, L):
    bounded = ((z + 1) / 2).clamp(0, 1) * (L - 1)
    return bounded + (bounded.round() - bounded).detach()


@wrong("fsq_quantize", caught_by="gradient above 0 between −3 and 3")
def everything_detached(z, L):
    return ((L - 1) * torch.sigmoid(z)).round().detach()


@wrong("fsq_quantize", caught_by="exactly L levels for odd L")
def no_bound(z, L):
    return z + (z.round() - z).detach()


@wrong("fsq_quantize", caught_by="exactly L levels for odd L")
def forgets_to_round(z, L):
    return torch.tanh(z) * (L - 1) / 2


@wrong("fsq_quantize", caught_by="exactly L levels for odd L")
def scaled_to_one(z, L):
    bounded = torch.tanh(z) * (L - 1) / 2
    return (bounded + (bounded.round() - bounded).detach()) / (L // 2)


@wrong("fsq_quantize", caught_by="exactly L levels for even L")
def every_second_integer(z, L):
    bounded = torch.sigmoid(z) * (L - 1)
    return 2 * (bounded + (bounded.round() - bounded).detach())


@wrong("fsq_quantize", caught_by="levels never fall as z rises")
def sine_for_a_bound(z, L):
    bounded = (torch.sin(z) + 1) / 2 * (L - 1)
    return bounded + (bounded.round() - bounded).detach()


@wrong("fsq_quantize", caught_by="every number by itself")
def scaled_by_the_batch(z, L):
    bounded = (z - z.min()) / (z.max() - z.min()) * (L - 1)
    return bounded + (bounded.round() - bounded).detach()


# the same questions, seen by an adversary


def kl_sum(mu, logvar):
    return 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1)


@right("elbo_loss")
def by_a_softmax_of_two(x, logits, mu, logvar, beta=1.0):
    two, target = torch.stack([0 * logits, logits], 1), torch.stack([1 - x, x], 1)
    return F.cross_entropy(two, target, reduction="sum") / len(x) + beta * kl_sum(mu, logvar).mean()


@wrong("elbo_loss", caught_by="beta weighs the KL alone")
def takes_a_beta_of_zero_for_none(x, logits, mu, logvar, beta=1.0):
    return by_a_softmax_of_two(x, logits, mu, logvar, beta or 1.0)


@wrong("elbo_loss", caught_by="beta weighs the KL alone")
def takes_whole_betas_only(x, logits, mu, logvar, beta=1.0):
    return by_a_softmax_of_two(x, logits, mu, logvar, int(beta))


@wrong("elbo_loss", caught_by="right for logits of ±200")
def finite_but_its_gradient_is_not(x, logits, mu, logvar, beta=1.0):
    softplus = torch.where(logits > 50, logits, torch.log1p(logits.exp()))
    return (softplus - x * logits).sum() / len(x) + beta * kl_sum(mu, logvar).mean()


class Straight(torch.autograd.Function):
    @staticmethod
    def forward(ctx, ze, codes):
        return codes.clone()

    @staticmethod
    def backward(ctx, grad):
        return grad, None


def quantised(ze, codebook, beta, idx):
    codes = codebook[idx]
    loss = F.mse_loss(codes, ze.detach()) + beta * F.mse_loss(ze, codes.detach())
    return [Straight.apply(ze, codes.detach()), idx, loss]


@right("vq_straight_through")
def by_a_function_of_its_own(ze, codebook, beta=0.25):
    return quantised(ze, codebook, beta, (ze[:, None] - codebook).norm(dim=-1).argmin(-1).to(torch.int32).long())


@wrong("vq_straight_through", caught_by="the nearest code")
def nearest_by_the_sum_of_differences(ze, codebook, beta=0.25):
    return quantised(ze, codebook, beta, torch.cdist(ze, codebook, p=1).argmin(1))


@wrong("vq_straight_through", caught_by="the nearest code")
def nearest_by_the_largest_difference(ze, codebook, beta=0.25):
    return quantised(ze, codebook, beta, torch.cdist(ze, codebook, p=float("inf")).argmin(1))


@wrong("vq_straight_through", caught_by="the nearest code")
def indices_as_floats(ze, codebook, beta=0.25):
    zq, idx, loss = by_a_function_of_its_own(ze, codebook, beta)
    return zq, idx.to(ze.dtype), loss
