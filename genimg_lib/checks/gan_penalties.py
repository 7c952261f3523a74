"""Checks of 03_gan, continued: the two penalties on a critic's gradient."""

import math

import torch

from genimg_lib.checks.compare import arrives, both, close, explained
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import Critic, gradient


def critic_gradient(x, first, bias, second):
    """d(score of a sample)/d(that sample) of `Critic`, by the chain rule: (B, n)."""
    slope = 1 - torch.tanh(x.flatten(1) @ first + bias) ** 2
    return (slope * second[:, 0]) @ first.T


def critic_case(draw, shape, hidden, column, strength=1.0, **more):
    """Weights of a critic whose gradients have norms on both sides of one, and a batch of the given shape."""
    n = math.prod(shape[1:])
    weights = dict(first=draw(n, hidden) / n**0.5, bias=draw(hidden) * 0.5, second=draw(hidden, 1) * strength)
    return dict(real=draw(*shape), **weights, column=column, **more)


def by_weights(value, first, bias, second):
    """d(value(first, bias, second))/d(each), by autograd."""
    with torch.enable_grad():
        mine = [w.double().requires_grad_() for w in (first, bias, second)]
        return torch.autograd.grad(value(*mine), mine)


def weights_of(case):
    return case["first"].double(), case["bias"].double(), case["second"].double()


def mixed(case):
    """The points u·real + (1 − u)·fake, sample by sample."""
    rows = zip(case["u"], case["real"], case["fake"], strict=True)
    return torch.stack([u * r + (1 - u) * f for u, r, f in rows]).double()


def wgan_gp(x, *weights):
    return ((critic_gradient(x, *weights).pow(2).sum(1).sqrt() - 1) ** 2).mean()


@question(
    "gradient_penalty", points=3, title="WGAN-GP's gradient penalty", read="notebooks/stable_gans",
    hints=(
        "Three steps: mix real and fake with one u a sample, ask autograd for dD/dx at the mix, compare "
        "norms with 1.",
        "u has shape (B,); reshape it to (B, 1, 1, …) before it meets an image. The norm runs over every "
        "axis but the first. Summing D's outputs gives each sample its own gradient, since no sample sees "
        "another.",
        "The penalty is itself minimised over D's weights, so autograd must record how the gradient was "
        "computed: look at the arguments of torch.autograd.grad.",
    ),
)  # fmt: skip
class GradientPenalty:
    """E (‖∇ D(u real + (1 − u) fake)‖₂ − 1)²   (Gulrajani et al. 2017, eq. 3)"""

    def inputs(self, draw):
        def case(shape, hidden, column, strength):
            u = draw.uniform(shape[0], low=0.05, high=0.95)
            return critic_case(draw, shape, hidden, column, strength, fake=draw(*shape) + 1, u=u)

        def reaching(longest, case):  # the steepest of its gradients has this length
            norms = critic_gradient(mixed(case), *weights_of(case)).norm(dim=1)
            return dict(case, second=(case["second"] * (longest / norms.max())).to(draw.dtype))

        return {
            "images": case((4, 3, 5, 4), 6, True, 0.5),
            "vectors": reaching(1.8, case((6, 5), 5, False, 0.6)),
            "gentle": reaching(0.7, case((5, 2, 3, 6), 4, True, 0.2)),
        }

    def probe(answer, real, fake, u, first, bias, second, column):
        critic = Critic(first, bias, second, column)
        penalty = answer(critic, real, fake, u)
        return dict(penalty=penalty, grads=gradient(penalty, critic.first, critic.bias, critic.second))

    @prop("value", weight=2,
          cause="one u a sample; the mix must ask for a gradient; the norm over all axes but the "
                "first; the mean of (norm − 1)² at the end")  # fmt: skip
    def value(self, got, given):
        case, mine = given["images"], got["images"]["penalty"]
        w, x, (u, real, fake) = (
            weights_of(case),
            mixed(case),
            (case[n].double() for n in ("u", "real", "fake")),
        )
        g = critic_gradient(x, *w).view_as(x)
        norm = g.flatten(1).norm(dim=1)
        swapped = torch.stack([a * f + (1 - a) * r for a, r, f in zip(u, real, fake, strict=True)])
        return explained(close(mine, ((norm - 1) ** 2).mean().to(case["u"])), mine, lambda: {
            "u and 1 − u are swapped: u weighs real": wgan_gp(swapped, *w),
            "one u is shared by the whole batch": wgan_gp(u[0] * real + (1 - u[0]) * fake, *w),
            "u met the last axis of the images: reshape it to (B, 1, 1, 1)": wgan_gp(u * real + (1 - u) * fake, *w),
            "the gradient was taken at real, not between real and fake": wgan_gp(real, *w),
            "the gradient was taken at fake, not between real and fake": wgan_gp(fake, *w),
            "the norm ran over the batch as well": (g.norm() - 1) ** 2,
            "the norm ran over axis 1 alone": ((g.norm(dim=1) - 1) ** 2).mean(),
            "the norm ran over the last axis alone": ((g.norm(dim=-1) - 1) ** 2).mean(),
            "D's scores were averaged, so every gradient is B times too small: sum them":
                ((norm / len(u) - 1) ** 2).mean(),
            "a sum over the batch: take the mean": ((norm - 1) ** 2).sum(),
            "the mean norm was compared with one: square first, then average": (norm.mean() - 1) ** 2,
            "the squared norm was compared with one: the root is missing": ((norm**2 - 1) ** 2).mean(),
            "only norms above one are punished here": ((norm - 1).clamp(min=0) ** 2).mean(),
            "this carries a factor lambda of 10": 10 * ((norm - 1) ** 2).mean(),
            "the square is missing": (norm - 1).mean(),
            "an absolute value instead of a square": (norm - 1).abs().mean(),
            "this is R1's E‖∇‖²: subtract one from the norm first": (norm**2).mean(),
        })  # fmt: skip

    @prop("vectors, and a critic that returns (B,)",
          cause="x may have any rank, and D may return (B,) or (B, 1): sum its scores, do not "
                "index them")  # fmt: skip
    def vectors(self, got, given):
        case = given["vectors"]
        return close(got["vectors"]["penalty"], wgan_gp(mixed(case), *weights_of(case)).to(case["u"]))

    @prop("a gradient shorter than one costs too", weight=0.5,
          cause="(norm − 1)² is two-sided: no clamp and no relu")  # fmt: skip
    def gentle(self, got, given):
        case = given["gentle"]
        return close(got["gentle"]["penalty"], wgan_gp(mixed(case), *weights_of(case)).to(case["u"]))

    @prop("differentiable in the critic's weights", weight=1.5,
          cause="the gradient must keep its own graph: create_graph=True, and no detach after "
                "it")  # fmt: skip
    def trains(self, got, given):
        outcomes = []
        for case in ("images", "vectors"):
            x, weights = mixed(given[case]), weights_of(given[case])
            want = by_weights(lambda *w, x=x: wgan_gp(x, *w), *weights)
            outcomes += [
                arrives(g, v.to(given[case]["u"]), "D's weights") for g, v in zip(got[case]["grads"], want, strict=True)
            ]
        return both(*outcomes)


def r1(gamma, x, *weights):
    return gamma / 2 * critic_gradient(x, *weights).pow(2).sum(1).mean()


@question(
    "r1_penalty", points=2, title="The R1 penalty on real images", read="notebooks/stable_gans",
    hints=(
        "The gradient is taken with respect to the images, so the images must be watched by autograd "
        "first.",
        "E‖∇D‖² is a sum over everything in one image and a mean over images. A mean over all elements "
        "divides by C·H·W too much.",
        "D is trained on this number. Which argument of torch.autograd.grad keeps the gradient "
        "differentiable?",
    ),
)  # fmt: skip
class R1Penalty:
    """gamma/2 · E‖∇ D(real)‖²   (Mescheder, Geiger, Nowozin 2018, eq. 9)"""

    def inputs(self, draw):
        return {
            "images": critic_case(draw, (4, 3, 5, 6), 6, True, gamma=3.0 + draw.integer(0, 5)),
            "vectors": critic_case(draw, (6, 5), 4, False, gamma=0.3),
        }

    def probe(answer, real, gamma, first, bias, second, column):
        critic = Critic(first, bias, second, column)
        penalty = answer(critic, real, gamma)
        return dict(penalty=penalty, grads=gradient(penalty, critic.first, critic.bias, critic.second))

    @prop("value", weight=2,
          cause="real must ask for a gradient; gamma/2 times the squared length of each image's "
                "gradient, averaged over images")  # fmt: skip
    def value(self, got, given):
        case, mine = given["images"], got["images"]["penalty"]
        g, gamma = critic_gradient(case["real"].double(), *weights_of(case)), case["gamma"]
        squared = g.pow(2).sum(1)
        score = torch.tanh(case["real"].double().flatten(1) @ case["first"].double() + case["bias"])
        score = score @ case["second"].double()
        return explained(close(mine, (gamma / 2 * squared.mean()).to(case["real"])), mine, lambda: {
            "gamma in front instead of gamma/2": gamma * squared.mean(),
            "gamma is missing": squared.mean() / 2,
            "a mean over pixels: sum within an image, average over images": gamma / 2 * g.pow(2).mean(),
            "a sum over the batch: take the mean": gamma / 2 * squared.sum(),
            "D's scores were averaged before the gradient: sum them": gamma / 2 * squared.mean() / len(g) ** 2,
            "the length is not squared": gamma / 2 * squared.sqrt().mean(),
            "the mean length was squared: square first, then average": gamma / 2 * squared.sqrt().mean() ** 2,
            "this is WGAN-GP's (length − 1)²: R1 pulls towards zero": gamma / 2 * ((squared.sqrt() - 1) ** 2).mean(),
            "this punishes D's scores, not their gradient": gamma / 2 * score.pow(2).mean(),
        })  # fmt: skip

    @prop("vectors, another gamma, and a critic that returns (B,)",
          cause="x may have any rank and D may return (B,) or (B, 1): sum its scores; gamma/2 "
                "stands in front")  # fmt: skip
    def vectors(self, got, given):
        case = given["vectors"]
        return close(got["vectors"]["penalty"], r1(0.3, case["real"].double(), *weights_of(case)).to(case["real"]))

    @prop("differentiable in the critic's weights", weight=1.5,
          cause="the gradient must keep its own graph: create_graph=True, and no detach after "
                "it")  # fmt: skip
    def trains(self, got, given):
        outcomes = []
        for name, case in given.items():
            x = case["real"].double()
            want = by_weights(lambda *w, x=x, case=case: r1(case["gamma"], x, *w), *weights_of(case))
            outcomes += [
                arrives(g, v.to(case["real"]), "D's weights") for g, v in zip(got[name]["grads"], want, strict=True)
            ]
        return both(*outcomes)
