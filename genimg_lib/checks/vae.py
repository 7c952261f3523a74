"""The checks of 02_vae: the KL term, the reparameterised sample and the ELBO; `vae_codes` has the quantisers."""

import torch
import torch.nn.functional as F
from torch.distributions import Normal, kl_divergence

from genimg_lib.checks.compare import both, close, explained, holds, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient

CUT_CAUSE = "a detach, .data, .item() or no_grad stands between the result and its inputs"


def kl_of(mu, logvar):
    """KL to the prior, one number a sample, by torch.distributions."""
    q = Normal(mu, logvar.exp().sqrt())
    return kl_divergence(q, Normal(torch.zeros_like(mu), torch.ones_like(mu))).sum(1)


@question(
    "gaussian_kl",
    points=2,
    title="The KL divergence of a Gaussian to the prior",
    read="notebooks/vae",
    hints=(
        "Both Gaussians have independent coordinates. What does that do to the KL of the whole vector?",
        "For one coordinate the KL has four terms: the variance, the squared mean, the log-variance and "
        "a constant. It must be 0 when the mean is 0 and the variance is 1: that fixes the signs and the constant.",
        "Half of (variance + squared mean − log-variance − 1), summed over the latent axis only. The "
        "network gives the log-variance: exponentiate it once, nowhere else.",
    ),
)
class GaussianKL:
    """KL(N(mu, diag exp(logvar)) || N(0, I)) in nats   (Kingma & Welling 2014, app. B)"""

    def inputs(self, draw):
        mu, logvar = draw(5, 3), draw(5, 3) * 0.7 - 0.5
        mu[0], logvar[0] = 0, 0  # this sample sits on the prior
        far = dict(mu=draw(4, 7) * 5, logvar=draw.uniform(4, 7, low=-18, high=5))
        one = dict(mu=draw(1, 6), logvar=draw(1, 6))
        return {
            "plain": dict(mu=mu, logvar=logvar),
            "far": far,
            "one": one,
            "flat": dict(mu=draw(6, 1), logvar=draw(6, 1)),
        }

    def probe(answer, mu, logvar):
        kl = answer(mu.requires_grad_(), logvar.requires_grad_())
        along = 1 + torch.arange(len(mu), dtype=mu.dtype)  # a weight a sample: they must not mix
        grad_mu, grad_logvar = gradient(kl, mu, logvar, along=along)
        return dict(kl=kl, mu=grad_mu, logvar=grad_logvar)

    @prop("value", weight=2, cause="half of (variance + mu² − logvar − 1); exp(logvar) is the variance")
    def value(self, got, given):
        mu, logvar = given["plain"].values()
        mine, want, z = got["plain"]["kl"], kl_of(mu, logvar), mu.shape[1]
        return explained(close(mine, want), mine, lambda: {
            "the half is missing": 2 * want,
            "the −1 is missing": want + z / 2,
            "the sign is wrong": -want,
            "a mean over the latents: take the sum": want / z,
            "logvar was taken for log sigma": kl_of(mu, 2 * logvar),
            "that is the KL the other way round": ((1 + mu**2) * (-logvar).exp() - 1 + logvar).sum(1) / 2,
            "the squared mean is missing": kl_of(0 * mu, logvar),
        })  # fmt: skip

    @prop(
        "zero at the prior and nowhere else",
        cause="a constant or a sign is off: at mu = 0, logvar = 0 the KL is 0",
    )
    def zero(self, got, given):
        kl = tensor(got["plain"]["kl"], (5,))
        return both(
            holds(kl[0].abs() < 1e-5, f"at the prior itself expected 0, got {kl[0].item():.5g}"),
            holds((kl[1:] > 1e-3).all(), "away from the prior the KL must be positive"),
        )

    @prop("one number a sample", cause="sum over the latent axis (dim=1) and keep the batch")
    def samples(self, got, given):
        return both(*(close(got[case]["kl"], kl_of(**given[case])) for case in ("one", "flat")))

    @prop("holds far from the prior", cause="work with logvar itself, not with the log of its exponential")
    def far(self, got, given):
        return close(got["far"]["kl"], kl_of(**given["far"]))

    @prop("gradient reaches mu and logvar", cause=CUT_CAUSE)
    def gradients(self, got, given):
        mu, logvar = given["plain"].values()
        along = 1 + torch.arange(len(mu), dtype=mu.dtype)[:, None]
        return both(
            close(got["plain"]["mu"], along * mu),
            close(got["plain"]["logvar"], along * (logvar.exp() - 1) / 2),
        )


@question(
    "reparameterize",
    points=1,
    title="The reparameterisation trick",
    read="notebooks/vae",
    hints=(
        "A standard normal number times something, plus something, is normal with any mean and spread.",
        "What eps is multiplied with is a standard deviation. The network gives the log of a variance.",
        "The root of exp(logvar) is exp of half of logvar. Use torch functions on mu and logvar, so that "
        "autograd can follow, and write to a new tensor.",
    ),
)
class Reparameterize:
    """z = mu + exp(logvar / 2) * eps   (Kingma & Welling 2014, sec. 2.4)"""

    def inputs(self, draw):
        plain = dict(mu=draw(6, 3), logvar=draw(6, 3) - 1, eps=draw(6, 3))
        thin = dict(mu=draw(4, 5), logvar=draw(4, 5), eps=draw(4, 5))
        thin["logvar"][:, 1:3] = -60
        still = dict(plain, eps=torch.zeros_like(plain["eps"]))
        return {"plain": plain, "twice": dict(plain, eps=2 * plain["eps"]), "still": still, "thin": thin}

    def probe(answer, mu, logvar, eps):
        z = answer(mu.requires_grad_(), logvar.requires_grad_(), eps)
        along = 1 + torch.arange(mu.numel(), dtype=mu.dtype).reshape(mu.shape) / 7
        grad_mu, grad_logvar = gradient(z, mu, logvar, along=along)
        return dict(z=z, mu=grad_mu, logvar=grad_logvar)

    @prop("value", weight=2, cause="the given eps is multiplied with the root of the variance exp(logvar)")
    def value(self, got, given):
        mu, logvar, eps = given["plain"].values()
        mine, sigma = got["plain"]["z"], logvar.exp().sqrt()
        return explained(close(mine, mu + sigma * eps), mine, lambda: {
            "exp(logvar) is the variance, not its root": mu + logvar.exp() * eps,
            "logvar itself is no spread": mu + logvar * eps,
            "mu is missing": sigma * eps,
            "this is the mean: nothing was added": mu,
            "eps was not used": mu + sigma,
            "the root was taken twice": mu + sigma.sqrt() * eps,
        })  # fmt: skip

    @prop("the spread comes from eps alone", cause="use the eps that is given: draw no noise of your own")
    def eps(self, got, given):
        z, twice, still = (tensor(got[case]["z"], (6, 3)) for case in ("plain", "twice", "still"))
        mu, _, eps = given["plain"].values()
        return both(
            close(still, mu.double(), rtol=1e-5, atol=1e-5),
            close(twice - still, 2 * (z - still), rtol=1e-4, atol=1e-4),
            holds(((z - still) * eps >= 0).all() and (z != still).any(), "z − mu must have eps' sign"),
        )

    @prop("without variance z is mu", cause="as logvar falls, exp(logvar / 2) must go to 0")
    def thin(self, got, given):
        z, mu, eps = tensor(got["thin"]["z"], (4, 5)), given["thin"]["mu"].double(), given["thin"]["eps"]
        wide = (z - mu)[:, [0, 3, 4]]
        return both(
            close(z[:, 1:3], mu[:, 1:3], rtol=1e-5, atol=1e-5),
            holds((wide * eps[:, [0, 3, 4]] > 0).all(), "where there is variance z must move with eps"),
        )

    @prop("gradient reaches mu and logvar", cause=CUT_CAUSE)
    def gradients(self, got, given):
        mu, logvar, eps = given["plain"].values()
        along = 1 + torch.arange(mu.numel(), dtype=mu.dtype).reshape(mu.shape) / 7
        return both(
            close(got["plain"]["mu"], along),
            close(got["plain"]["logvar"], along * eps * logvar.exp().sqrt() / 2),
        )


def bits(x, logits):
    """Bernoulli cross-entropy of every pixel in nats: stable, and not by torch's own function for it."""
    return -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits))


def elbo(x, logits, mu, logvar, beta=1.0):
    each = [bits(a, b).sum() + beta * k for a, b, k in zip(x, logits, kl_of(mu, logvar), strict=True)]
    return torch.stack(each).mean()


@question(
    "elbo_loss",
    points=3,
    title="The negative ELBO",
    read="notebooks/vae",
    hints=(
        "Two terms: how badly the decoder explains x, and how far the encoder strays from the prior.",
        "The ELBO is a sum over everything that belongs to one picture: all its pixels, all its latents. "
        "Only the pictures of the batch are averaged.",
        "Let torch take the cross-entropy from the logits in one call that ends in _with_logits: a sigmoid "
        "followed by a log overflows at ±200. Sum it, add beta times the summed KL, divide by B.",
    ),
)
class ElboLoss:
    """beta-ELBO with a Bernoulli decoder   (Kingma & Welling 2014, sec. 2.3 and app. C.1)"""

    def inputs(self, draw):
        x, logits, mu, logvar = draw.uniform(6, 2, 3, 5), draw(6, 2, 3, 5) * 2, draw(6, 4), draw(6, 4) - 0.5
        plain = dict(x=x, logits=logits, mu=mu, logvar=logvar)
        hard = dict(plain, x=x.round(), logits=200 * logits.sign())
        wide = dict(plain, x=torch.cat([x, x], 3), logits=torch.cat([logits, logits], 3))
        split = {
            name: {k: v[part] for k, v in plain.items()} for name, part in (("two", slice(2)), ("four", slice(2, 6)))
        }
        return {
            "plain": plain,
            "heavy": dict(plain, beta=2.5),
            "light": dict(plain, beta=0.0),
            "hard": hard,
            "wide": wide,
            **split,
        }

    def probe(answer, x, logits, mu, logvar, **beta):
        loss = answer(x, logits.requires_grad_(), mu.requires_grad_(), logvar.requires_grad_(), **beta)
        grads = gradient(loss, logits, mu, logvar)
        return dict(loss=loss, grads=list(grads))

    @prop(
        "value",
        weight=2,
        cause="cross-entropy summed over pixels + KL summed over latents, mean over the batch",
    )
    def value(self, got, given):
        case, mine = given["plain"], got["plain"]["loss"]
        x, logits, mu, logvar = case.values()
        nll, kl, want = bits(x, logits).sum() / 6, kl_of(mu, logvar).mean(), elbo(**case)
        return explained(close(mine, want), mine, lambda: {
            "a mean over the pixels: take the sum": nll / 30 + kl,
            "a mean over pixels and latents: take the sums": nll / 30 + kl / 4,
            "a mean over the latents: take the sum": nll + kl / 4,
            "a sum over the batch: take the mean": 6 * want,
            "the KL is missing": nll,
            "the reconstruction is missing": kl,
            "this is the ELBO itself: minimise its negative": -want,
            "the KL was subtracted": nll - kl,
            "the logits went through a sigmoid twice": bits(x, logits.sigmoid()).sum() / 6 + kl,
            "squared error: a Bernoulli decoder has a cross-entropy": ((logits.sigmoid() - x) ** 2).sum() / 6 + kl,
            "beta must be 1 when it is not given": nll + kl / 2,
        })  # fmt: skip

    @prop("mean over the batch", cause="add up everything of one picture first, then average over pictures")
    def batch(self, got, given):
        six, two, four = (tensor(got[case]["loss"], ()) for case in ("plain", "two", "four"))
        return both(
            close(six, (2 * two + 4 * four) / 6, rtol=1e-4),
            holds((two - four).abs() > 1e-3, "different pictures must have different losses"),
        )

    @prop("sum over the pixels", cause="a mean over pixels shrinks the reconstruction against the KL")
    def pixels(self, got, given):
        once, twice = (tensor(got[case]["loss"], ()) for case in ("plain", "wide"))
        x, logits = given["plain"]["x"].double(), given["plain"]["logits"].double()
        return close(twice - once, bits(x, logits).sum() / 6, rtol=1e-4, atol=1e-3)

    @prop("beta weighs the KL alone", cause="beta multiplies the KL, and is 1 when not given")
    def beta(self, got, given):
        heavy, light = (tensor(got[case]["loss"], ()) for case in ("heavy", "light"))
        mu, logvar = given["plain"]["mu"].double(), given["plain"]["logvar"].double()
        return close(heavy - light, 2.5 * kl_of(mu, logvar).mean(), rtol=1e-4, atol=1e-3)

    @prop(
        "right for logits of ±200",
        cause="log(sigmoid(logit)) overflows or is clipped: use the with_logits form",
    )
    def hard(self, got, given):
        x, logits = given["hard"]["x"], given["hard"]["logits"]
        slope = close(got["hard"]["grads"][0], (logits.sigmoid() - x) / 6)
        slope = holds(slope.passed, f"the gradient there: {slope.message}")
        return both(close(got["hard"]["loss"], elbo(**given["hard"])), slope)

    @prop("gradient reaches logits, mu and logvar", cause=CUT_CAUSE)
    def gradients(self, got, given):
        x, logits, mu, logvar = given["plain"].values()
        want = ((logits.sigmoid() - x) / 6, mu / 6, (logvar.exp() - 1) / 12)
        return both(*(close(g, w) for g, w in zip(got["plain"]["grads"], want, strict=True)))


from genimg_lib.checks import vae_codes  # noqa: E402, F401  the other two questions of this notebook
