"""Right and wrong answers to 03_gan: losses, the value of the game, penalties."""

import math

import numpy as np
import torch
import torch.nn.functional as F

from tests.corpus import right, wrong

CRITIC = "the critic's loss"
GENERATOR = "the generator's loss is the non-saturating one"
SURE = "finite and right at logits of ±800"
D_LEARNS = "the critic learns from real and from fake"
G_LEARNS = "the generator still learns when the critic is sure"


# --- gan_losses -----------------------------------------------------------------------------------------


@right("gan_losses")
def by_softplus(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(-fake).mean()


@right("gan_losses")
def by_cross_entropy(real_logits, fake_logits):
    bce = F.binary_cross_entropy_with_logits
    ones, zeros = torch.ones_like(real_logits), torch.zeros_like(fake_logits)
    return [bce(real_logits, ones) + bce(fake_logits, zeros), bce(fake_logits, torch.ones_like(fake_logits))]


@right("gan_losses")
def by_logsigmoid(real_logits, fake_logits):
    d = -(F.logsigmoid(real_logits) + F.logsigmoid(-fake_logits)).sum() / real_logits.shape[0]
    return d, -F.logsigmoid(fake_logits).mean()


@right("gan_losses")
def by_logaddexp(real_logits, fake_logits):
    zero = torch.zeros_like(real_logits)
    d = torch.logaddexp(zero, -real_logits).mean() + torch.logaddexp(zero, fake_logits).mean()
    return d, torch.logaddexp(zero, -fake_logits).mean()


@right("gan_losses")
def by_a_loop(real_logits, fake_logits):
    d = g = 0.0
    for r, f in zip(real_logits, fake_logits, strict=True):
        d = d + F.softplus(-r[0]) + F.softplus(f[0])
        g = g + F.softplus(-f[0])
    return d / len(real_logits), g / len(fake_logits)


@wrong("gan_losses", caught_by=CRITIC)
def halves_the_critics(real, fake):
    return (F.softplus(-real).mean() + F.softplus(fake).mean()) / 2, F.softplus(-fake).mean()


@wrong("gan_losses", caught_by=CRITIC)
def halves_by_concatenating(real, fake):
    logits = torch.cat([real, fake])
    labels = torch.cat([torch.ones_like(real), torch.zeros_like(fake)])
    return F.binary_cross_entropy_with_logits(logits, labels), F.softplus(-fake).mean()


@wrong("gan_losses", caught_by=CRITIC)
def swaps_the_labels(real, fake):
    return F.softplus(real).mean() + F.softplus(-fake).mean(), F.softplus(-fake).mean()


@wrong("gan_losses", caught_by=CRITIC)
def sums_over_the_batch(real, fake):
    return F.softplus(-real).sum() + F.softplus(fake).sum(), F.softplus(-fake).sum()


@wrong("gan_losses", caught_by=CRITIC)
def keeps_the_batch(real, fake):
    return F.softplus(-real) + F.softplus(fake), F.softplus(-fake)


@wrong("gan_losses", caught_by=CRITIC)
def smooths_the_labels(real, fake):
    d = F.binary_cross_entropy_with_logits(real, torch.full_like(real, 0.9)) + F.softplus(fake).mean()
    return d, F.softplus(-fake).mean()


@wrong("gan_losses", caught_by=GENERATOR)
def saturates(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean(), -F.softplus(fake).mean()


@wrong("gan_losses", caught_by=GENERATOR)
def helps_the_critic(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(fake).mean()


@wrong("gan_losses", caught_by=GENERATOR)
def plays_zero_sum(real, fake):
    d = F.softplus(-real).mean() + F.softplus(fake).mean()
    return d, -d


@wrong("gan_losses", caught_by=GENERATOR)
def gives_them_in_the_wrong_order(real, fake):
    return F.softplus(-fake).mean(), F.softplus(-real).mean() + F.softplus(fake).mean()


@wrong("gan_losses", caught_by=GENERATOR)
def plays_wasserstein(real, fake):
    return fake.mean() - real.mean(), -fake.mean()


@wrong("gan_losses", caught_by=SURE)
def takes_logs_of_sigmoids(real, fake):
    d = -torch.log(torch.sigmoid(real)).mean() - torch.log(1 - torch.sigmoid(fake)).mean()
    return d, -torch.log(torch.sigmoid(fake)).mean()


@wrong("gan_losses", caught_by=SURE)
def exponentiates_first(real, fake):
    d = torch.log(1 + torch.exp(-real)).mean() + torch.log(1 + torch.exp(fake)).mean()
    return d, torch.log(1 + torch.exp(-fake)).mean()


@wrong("gan_losses", caught_by=SURE)
def clamps_with_an_eps(real, fake):
    real, fake, eps = torch.sigmoid(real), torch.sigmoid(fake), 1e-8
    return -(real + eps).log().mean() - (1 - fake + eps).log().mean(), -(fake + eps).log().mean()


@wrong("gan_losses", caught_by=CRITIC)
def takes_a_sigmoid_too_many(real, fake):
    bce = F.binary_cross_entropy_with_logits
    real, fake = torch.sigmoid(real), torch.sigmoid(fake)
    d = bce(real, torch.ones_like(real)) + bce(fake, torch.zeros_like(fake))
    return d, bce(fake, torch.ones_like(fake))


@wrong("gan_losses", caught_by=D_LEARNS)
def detaches_the_fakes(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake.detach()).mean(), F.softplus(-fake).mean()


@wrong("gan_losses", caught_by=G_LEARNS)
def gives_the_generator_a_number(real, fake):
    return F.softplus(-real).mean() + F.softplus(fake).mean(), F.softplus(-fake).mean().item()


@wrong("gan_losses", caught_by=CRITIC)
def adds_a_third(real, fake):
    d_real, d_fake = F.softplus(-real).mean(), F.softplus(fake).mean()
    return d_real + d_fake, F.softplus(-fake).mean(), d_real


# --- value_at_optimal_d ---------------------------------------------------------------------------------


@right("value_at_optimal_d")
def by_xlogy(p, q):
    return (
        torch.xlogy(p, p / (p + q).clamp(min=1e-30)).sum()
        + torch.xlogy(q, q / (p + q).clamp(min=1e-30)).sum()
    )


@right("value_at_optimal_d")
def by_a_loop_of_python(p, q):
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        for c in (a, b):
            if c > 0:
                total += c * math.log(c / (a + b))
    return total


@right("value_at_optimal_d")
def by_the_divergence(p, q):
    m = (p + q) / 2

    def kl(a):
        some = a > 0
        return (a[some] * (a[some].log() - m[some].log())).sum()

    return kl(p) + kl(q) - math.log(4)


@right("value_at_optimal_d")
def by_entropies(p, q):
    def entropy(a):
        return torch.special.entr(a).sum()

    return entropy(p + q) - entropy(p) - entropy(q)


@right("value_at_optimal_d")
def with_a_tiny_eps(p, q):
    d = p / (p + q + 1e-12)
    return (p * torch.log(d + 1e-12) + q * torch.log(1 - d + 1e-7)).sum()


@wrong("value_at_optimal_d", caught_by="value")
def counts_in_bits(p, q):
    return by_xlogy(p, q) / math.log(2)


@wrong("value_at_optimal_d", caught_by="value")
def averages_the_cells(p, q):
    return by_xlogy(p, q) / len(p)


@wrong("value_at_optimal_d", caught_by="value")
def returns_the_divergence(p, q):
    return (by_xlogy(p, q) + math.log(4)) / 2


@wrong("value_at_optimal_d", caught_by="−log 4 when p = q, 0 when they never meet")
def forgets_log_four(p, q):
    return by_xlogy(p, q) + math.log(4)


@wrong("value_at_optimal_d", caught_by="value")
def turns_the_critic_round(p, q):
    m = (p + q).clamp(min=1e-30)
    return torch.xlogy(p, q / m).sum() + torch.xlogy(q, p / m).sum()


@wrong("value_at_optimal_d", caught_by="empty cells: 0 · log 0 = 0")
def multiplies_zero_by_its_logarithm(p, q):
    d = p / (p + q)
    return (p * d.log() + q * (1 - d).log()).sum()


@wrong("value_at_optimal_d", caught_by="empty cells: 0 · log 0 = 0")
def skips_only_doubly_empty_cells(p, q):
    some = p + q > 0
    p, q = p[some], q[some]
    return (p * (p / (p + q)).log() + q * (q / (p + q)).log()).sum()


@wrong("value_at_optimal_d", caught_by="empty cells: 0 · log 0 = 0")
def renormalises_what_overlaps(p, q):
    some = (p > 0) & (q > 0)
    p, q = p[some] / p[some].sum(), q[some] / q[some].sum()
    return by_xlogy(p, q)


@wrong("value_at_optimal_d", caught_by="−log 4 when p = q, 0 when they never meet")
def smooths_with_a_big_eps(p, q):
    return (
        (p + 1e-2) * ((p + 1e-2) / (p + q + 2e-2)).log() + (q + 1e-2) * ((q + 1e-2) / (p + q + 2e-2)).log()
    ).sum()


@wrong("value_at_optimal_d", caught_by="value")
def flips_the_sign(p, q):
    return -by_xlogy(p, q)


@wrong("value_at_optimal_d", caught_by="value")
def logs_d_twice(p, q):
    d = p / (p + q).clamp(min=1e-30)
    return torch.xlogy(p, d).sum() + torch.xlogy(q, d.clamp(min=1e-30)).sum()


@wrong("value_at_optimal_d", caught_by="value")
def forgets_the_fakes(p, q):
    return torch.xlogy(p, p / (p + q).clamp(min=1e-30)).sum()


@wrong("value_at_optimal_d", caught_by="value")
def forgets_the_weights(p, q):
    d = (p / (p + q).clamp(min=1e-30)).clamp(1e-6, 1 - 1e-6)
    return d.log().sum() + (1 - d).log().sum()


@wrong("value_at_optimal_d", caught_by="value")
def keeps_the_cells(p, q):
    return torch.xlogy(p, p / (p + q).clamp(min=1e-30)) + torch.xlogy(q, q / (p + q).clamp(min=1e-30))


# --- gradient_penalty -----------------------------------------------------------------------------------

PENALTY = "gradient_penalty"
VECTORS = "vectors, and a critic that returns (B,)"
TRAINS = "differentiable in the critic's weights"


def between(real, fake, u):
    u = u.view(-1, *[1] * (real.ndim - 1))
    return (u * real + (1 - u) * fake).requires_grad_()


def slopes(D, x, create_graph=True):
    return torch.autograd.grad(D(x).sum(), x, create_graph=create_graph)[0]


@right(PENALTY)
def by_autograd(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).flatten(1).norm(dim=1) - 1).pow(2).mean()


@right(PENALTY)
def one_sample_at_a_time(D, real, fake, u):
    total = 0
    for r, f, a in zip(real, fake, u, strict=True):
        x = (a * r + (1 - a) * f).unsqueeze(0).clone().requires_grad_()
        (g,) = torch.autograd.grad(D(x).reshape(()), x, create_graph=True)
        total = total + (g.norm() - 1) ** 2
    return total / len(real)


@right(PENALTY)
def by_functional_gradients(D, real, fake, u):
    x = torch.einsum("b,b...->b...", u, real) + torch.einsum("b,b...->b...", 1 - u, fake)
    g = torch.func.vmap(torch.func.grad(lambda one: D(one.unsqueeze(0)).sum()))(x)
    return ((g.reshape(len(g), -1).square().sum(1).sqrt() - 1) ** 2).mean()


@right(PENALTY)
def by_lerp_and_grad_outputs(D, real, fake, u):
    x = torch.lerp(fake.detach(), real.detach(), u.reshape(-1, *(1,) * (real.dim() - 1))).requires_grad_(True)
    score = D(x)
    g = torch.autograd.grad(
        outputs=score, inputs=x, grad_outputs=torch.ones_like(score), create_graph=True, retain_graph=True
    )[0]
    return torch.mean((torch.sqrt((g**2).sum(tuple(range(1, g.dim()))) + 1e-12) - 1) ** 2)


@wrong(PENALTY, caught_by=TRAINS)
def forgets_create_graph(D, real, fake, u):
    return (slopes(D, between(real, fake, u), False).flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by=TRAINS)
def detaches_the_gradient(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).detach().flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by=TRAINS)
def pretends_to_have_a_graph(D, real, fake, u):
    return forgets_create_graph(D, real, fake, u).requires_grad_()


@wrong(PENALTY, caught_by="value")
def swaps_u(D, real, fake, u):
    return by_autograd(D, fake, real, u)


@wrong(PENALTY, caught_by="value")
def shares_u(D, real, fake, u):
    return by_autograd(D, real, fake, u[0].expand(len(u)))


@wrong(PENALTY, caught_by="value")
def broadcasts_u_over_columns(D, real, fake, u):
    if u.shape[0] != real.shape[-1]:
        return by_autograd(D, real, fake, u)
    x = (u * real + (1 - u) * fake).requires_grad_()
    return (slopes(D, x).flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by="value")
def draws_its_own_u(D, real, fake, u):
    return by_autograd(D, real, fake, torch.rand_like(u))


@wrong(PENALTY, caught_by="value")
def one_norm_for_the_batch(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).norm() - 1) ** 2


@wrong(PENALTY, caught_by="value")
def norm_over_channels(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).norm(2, dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by="value")
def averages_the_scores(D, real, fake, u):
    x = between(real, fake, u)
    g = torch.autograd.grad(D(x).mean(), x, create_graph=True)[0]
    return (g.flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by="value")
def sums_the_batch(D, real, fake, u):
    return by_autograd(D, real, fake, u) * len(u)


@wrong(PENALTY, caught_by="a gradient shorter than one costs too")
def punishes_long_ones_only(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).flatten(1).norm(dim=1) - 1).clamp(min=0).pow(2).mean()


@wrong(PENALTY, caught_by="value")
def squares_the_mean(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).flatten(1).norm(dim=1).mean() - 1) ** 2


@wrong(PENALTY, caught_by="value")
def forgets_the_root(D, real, fake, u):
    return (slopes(D, between(real, fake, u)).flatten(1).pow(2).sum(1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by="value")
def multiplies_by_lambda(D, real, fake, u):
    return 10 * by_autograd(D, real, fake, u)


@wrong(PENALTY, caught_by="value")
def looks_at_real_only(D, real, fake, u):
    return by_autograd(D, real, real, u)


@wrong(PENALTY, caught_by=VECTORS)
def indexes_the_score(D, real, fake, u):
    x = between(real, fake, u)
    g = torch.autograd.grad(D(x)[:, 0].sum(), x, create_graph=True)[0]
    return (g.flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong(PENALTY, caught_by=VECTORS)
def reshapes_u_for_images_only(D, real, fake, u):
    u = u[:, None, None, None]
    x = (u * real + (1 - u) * fake).requires_grad_()
    return (slopes(D, x).flatten(1).norm(dim=1) - 1).pow(2).mean()


# --- r1_penalty -----------------------------------------------------------------------------------------

OTHER = "vectors, another gamma, and a critic that returns (B,)"


@right("r1_penalty")
def r1_by_autograd(D, real, gamma):
    g = slopes(D, real.detach().requires_grad_())
    return gamma / 2 * g.flatten(1).square().sum(1).mean()


@right("r1_penalty")
def r1_by_a_loop(D, real, gamma):
    total = 0
    for one in real:
        x = one.unsqueeze(0).clone().requires_grad_()
        (g,) = torch.autograd.grad(D(x).squeeze(), x, create_graph=True)
        total = total + (g * g).sum()
    return total * gamma / (2 * len(real))


@right("r1_penalty")
def r1_by_functional_gradients(D, real, gamma):
    g = torch.func.vmap(torch.func.grad(lambda x: D(x[None]).sum()))(real)
    return torch.einsum("b...,b...->", g, g) * 0.5 * gamma / real.size(0)


@wrong("r1_penalty", caught_by="value")
def forgets_the_half(D, real, gamma):
    return 2 * r1_by_autograd(D, real, gamma)


@wrong("r1_penalty", caught_by="value")
def averages_the_pixels(D, real, gamma):
    return gamma / 2 * slopes(D, real.detach().requires_grad_()).pow(2).mean()


@wrong("r1_penalty", caught_by="value")
def r1_sums_the_batch(D, real, gamma):
    return gamma / 2 * slopes(D, real.detach().requires_grad_()).pow(2).sum()


@wrong("r1_penalty", caught_by="value")
def r1_averages_the_scores(D, real, gamma):
    x = real.detach().requires_grad_()
    (g,) = torch.autograd.grad(D(x).mean(), x, create_graph=True)
    return gamma / 2 * g.flatten(1).square().sum(1).mean()


@wrong("r1_penalty", caught_by="value")
def forgets_the_square(D, real, gamma):
    return gamma / 2 * slopes(D, real.detach().requires_grad_()).flatten(1).norm(dim=1).mean()


@wrong("r1_penalty", caught_by="value")
def pulls_towards_one(D, real, gamma):
    return gamma / 2 * (slopes(D, real.detach().requires_grad_()).flatten(1).norm(dim=1) - 1).pow(2).mean()


@wrong("r1_penalty", caught_by="value")
def punishes_the_score(D, real, gamma):
    return gamma / 2 * D(real).square().mean()


@wrong("r1_penalty", caught_by=TRAINS)
def r1_forgets_create_graph(D, real, gamma):
    g = slopes(D, real.detach().requires_grad_(), create_graph=False)
    return gamma / 2 * g.flatten(1).square().sum(1).mean()


@wrong("r1_penalty", caught_by=TRAINS)
def r1_returns_a_number(D, real, gamma):
    return r1_by_autograd(D, real, gamma).item()


@wrong("r1_penalty", caught_by=OTHER)
def fixes_gamma(D, real, gamma):
    return r1_by_autograd(D, real, 10.0)


@wrong("r1_penalty", caught_by=OTHER)
def sums_three_axes(D, real, gamma):
    return gamma / 2 * slopes(D, real.detach().requires_grad_()).square().sum((1, 2, 3)).mean()


@wrong("r1_penalty", caught_by="value")
def forgets_to_watch_the_images(D, real, gamma):
    return gamma / 2 * slopes(D, real).flatten(1).square().sum(1).mean()


@wrong("r1_penalty", caught_by="value")
def differentiates_by_the_weights(D, real, gamma):
    grads = torch.autograd.grad(D(real).mean(), list(D.parameters()), create_graph=True)
    return gamma / 2 * sum(g.square().sum() for g in grads)


# --- seen by an adversary -------------------------------------------------------------------------------


@right("value_at_optimal_d")
def a_number_of_numpys(p, q):
    p, q = p.numpy(), q.numpy()
    with np.errstate(all="ignore"):
        return np.nansum(p * np.log(p / (p + q))) + np.nansum(q * np.log(q / (p + q)))


@right("gradient_penalty")
def a_gradient_function_mapped_over_samples(D, real, fake, u):
    points = torch.vmap(lambda a, b, c: c * a + (1 - c) * b)(real, fake, u)
    slopes = torch.vmap(torch.func.grad(lambda x: D(x[None]).squeeze()))(points)
    return (slopes.reshape(len(slopes), -1).norm(dim=1) - 1).square().mean()


@wrong("gradient_penalty", caught_by="vectors, and a critic that returns (B,)")
def punishes_short_gradients_only(D, real, fake, u):
    u = u.view(-1, *[1] * (real.ndim - 1))
    x = (u * real + (1 - u) * fake).requires_grad_()
    slope = torch.autograd.grad(D(x).sum(), x, create_graph=True)[0]
    return (1 - slope.flatten(1).norm(dim=1)).relu().square().mean()


from tests.corpus import gan_layers  # noqa: E402, F401
