"""Checks of 03_gan: the losses, and the value of the game at the optimal critic."""

import math

import torch

from genimg_lib.checks.compare import arrives, both, close, explained, holds
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient, number, parts


def softplus(x):
    """log(1 + exp(x)) without overflow, in float64."""
    x = x.double()
    return x.clamp(min=0) + torch.log1p(torch.exp(-x.abs()))


@question(
    "gan_losses", points=2, title="The two losses of a GAN, from logits", read="notebooks/gan",
    hints=(
        "D is a classifier: real is class 1, fake is class 0. Write its cross-entropy with log sigmoid, "
        "then G's.",
        "−log sigmoid(x) and −log(1 − sigmoid(x)) are both softplus, of −x and of x. Which is which?",
        "Non-saturating: G labels its fakes as real and minimises that cross-entropy. Never take a "
        "sigmoid first: at −800 it is exactly 0, and its logarithm is −infinity.",
    ),
)  # fmt: skip
class GanLosses:
    """d = E softplus(−real) + E softplus(fake), g = E softplus(−fake)   (Goodfellow et al. 2014, sec. 3)"""

    def inputs(self, draw):
        signs = torch.tensor([[1.0], [-1.0], [1.0], [-1.0], [1.0]], dtype=draw.dtype)
        return {
            "plain": dict(real=draw(7, 1) * 2 + 0.7, fake=draw(7, 1) * 2 - 1.2),
            "sure": dict(real=signs * 800, fake=-signs * 800 + draw(5, 1)),
        }

    def probe(answer, real, fake):
        result = parts(answer(real.requires_grad_(), fake.requires_grad_()), 2)
        d, g = result[:2]
        d_real, d_fake = gradient(d, real, fake)
        return dict(d=d, g=g, count=len(result), d_real=d_real, d_fake=d_fake, g_fake=gradient(g, fake))

    @prop("the critic's loss", weight=2,
          cause="softplus(−real) and softplus(fake), each a mean over the batch, then added: "
                "not halved")  # fmt: skip
    def critic(self, got, given):
        real, fake = given["plain"]["real"], given["plain"]["fake"]
        a, b = softplus(-real).mean(), softplus(fake).mean()
        want, mine = (a + b).to(real), got["plain"]["d"]
        return both(
            holds(got["plain"]["count"] == 2, f"expected two losses, got {got['plain']['count']} values"),
            explained(close(mine, want), mine, lambda: {
                "half of the loss: this course does not halve it": (a + b) / 2,
                "a sum over the batch: take the mean": (a + b) * len(real),
                "the two signs are the wrong way round": softplus(real).mean() + softplus(-fake).mean(),
                "the minus sign is missing": -(a + b),
                "the two losses came in the wrong order: the critic's first": softplus(-fake).mean(),
                "these are Wasserstein's losses: a classifier's have a logarithm": fake.mean() - real.mean(),
                "only the real half is there": a,
                "only the fake half is there": b,
                "the logits went through a sigmoid twice":
                    softplus(-torch.sigmoid(real)).mean() + softplus(torch.sigmoid(fake)).mean(),
            }),
        )  # fmt: skip

    @prop("the generator's loss is the non-saturating one", weight=2,
          cause="G maximises log D(fake): softplus(−fake)")  # fmt: skip
    def generator(self, got, given):
        fake, mine = given["plain"]["fake"], got["plain"]["g"]
        return explained(close(mine, softplus(-fake).mean().to(fake)), mine, lambda: {
            "this is minus the critic's loss: G sees no real picture, and its part must not saturate":
                -softplus(-given["plain"]["real"]).mean() - softplus(fake).mean(),
            "this is the saturating loss, E log(1 − D(fake))": -softplus(fake).mean(),
            "this is the critic's loss on fakes, so G would help D": softplus(fake).mean(),
            "the minus sign is missing": -softplus(-fake).mean(),
            "half of the loss": softplus(-fake).mean() / 2,
            "a sum over the batch: take the mean": softplus(-fake).sum(),
        })  # fmt: skip

    @prop("finite and right at logits of ±800",
          cause="log(sigmoid(−800)) is log(0): use softplus, logsigmoid or a cross-entropy "
                "that takes logits")  # fmt: skip
    def sure(self, got, given):
        real, fake = given["sure"]["real"], given["sure"]["fake"]
        d = softplus(-real).mean() + softplus(fake).mean()
        return both(close(got["sure"]["d"], d.to(real)), close(got["sure"]["g"], softplus(-fake).mean().to(real)))

    @prop("the critic learns from real and from fake",
          cause="keep the graph from the result back to its inputs: the caller detaches the "
                "fakes, not the loss")  # fmt: skip
    def critic_gradient(self, got, given):
        outcomes = []
        for case in ("plain", "sure"):
            real, fake = given[case]["real"], given[case]["fake"]
            outcomes += [
                arrives(got[case]["d_real"], -torch.sigmoid(-real) / len(real), "the real logits"),
                arrives(got[case]["d_fake"], torch.sigmoid(fake) / len(fake), "the fake logits"),
            ]
        return both(*outcomes)

    @prop("the generator still learns when the critic is sure",
          cause="the gradient of g by a fake's logit is −sigmoid(−fake)/B: near −1/B where D "
                "has won, where the saturating loss gives 0")  # fmt: skip
    def generator_gradient(self, got, given):
        fakes = {case: given[case]["fake"] for case in given}
        return both(
            *(arrives(got[c]["g_fake"], -torch.sigmoid(-f) / len(f), "the fake logits") for c, f in fakes.items())
        )


def game_value(p, q):
    """V(G, D*) cell by cell, in plain Python."""
    total = 0.0
    for a, b in zip(p.tolist(), q.tolist(), strict=True):
        total += a * math.log(a / (a + b)) if a > 0 else 0.0
        total += b * math.log(b / (a + b)) if b > 0 else 0.0
    return total


@question(
    "value_at_optimal_d", points=2, title="The value of the game at the optimal critic", read="notebooks/gan",
    hints=(
        "For one cell, maximise p log D + q log(1 − D) over D: set the derivative to zero. What is D*?",
        "Put D* = p/(p + q) back: two expectations, one under p and one under q. Check it by hand with p "
        "= q: −log 4.",
        "0 · log 0 is NaN for a computer and 0 here. Sum only where the weight is positive, or use xlogy.",
    ),
)  # fmt: skip
class ValueAtOptimalD:
    """V(G, D*) = sum p log(p/(p + q)) + q log(q/(p + q)) = 2 JSD(p, q) − log 4   (Goodfellow et al. 2014, sec. 4.1)"""

    def inputs(self, draw):
        def simplex(k, zeros=()):
            weights = draw.uniform(k, low=0.1, high=1.0) ** 2
            weights[list(zeros)] = 0
            return weights / weights.sum()

        p = simplex(5)
        return {
            "plain": dict(p=simplex(6), q=simplex(6)),
            "holes": dict(p=simplex(7, (0, 3, 5)), q=simplex(7, (1, 3))),
            "equal": dict(p=p, q=p.clone()),
            "disjoint": dict(p=simplex(6, (0, 2, 3)), q=simplex(6, (1, 4, 5))),
        }

    def probe(answer, p, q):
        return dict(value=number(answer(p, q)))

    @prop("value", weight=2,
          cause="E_p log D* + E_q log(1 − D*) with D* = p/(p + q), natural logarithms, summed")  # fmt: skip
    def value(self, got, given):
        p, q, mine = given["plain"]["p"].double(), given["plain"]["q"].double(), got["plain"]["value"]
        want = game_value(p, q)
        m = (p + q) / 2
        return explained(close(mine, want, rtol=1e-4, atol=1e-5), mine, lambda: {
            "this is the Jensen–Shannon divergence: double it and subtract log 4": (want + math.log(4)) / 2,
            "this is 2 JSD: the −log 4 is missing": want + math.log(4),
            "in bits: use the natural logarithm": want / math.log(2),
            "a mean over the cells: the probabilities already weigh them, so sum": want / len(p),
            "the sign is wrong: both logarithms are negative": -want,
            "half of the value: nothing is halved": want / 2,
            "D* = q/(p + q) here: it is the share of the data": (p * (q / m / 2).log() + q * (p / m / 2).log()).sum(),
            "log D* in both terms: the second is log(1 − D*)": ((p + q) * (p / m / 2).log()).sum(),
            "the terms are not weighed by p and q": ((p / m / 2).log() + (q / m / 2).log()).sum(),
            "this is KL(p, q)": (p * (p / q).log()).sum(),
        })  # fmt: skip

    @prop("empty cells: 0 · log 0 = 0", weight=1.5,
          cause="leave out a term whose own weight is 0, and only that term")  # fmt: skip
    def holes(self, got, given):
        p, q, mine = given["holes"]["p"], given["holes"]["q"], got["holes"]["value"]
        kept = (p > 0) & (q > 0)
        return explained(close(mine, game_value(p, q), rtol=1e-4, atol=1e-5), mine, lambda: {
            "you renormalised what was left after dropping cells":
                game_value(p[kept] / p[kept].sum(), q[kept] / q[kept].sum()),
        })  # fmt: skip

    @prop("−log 4 when p = q, 0 when they never meet",
          cause="at p = q D* is 1/2 everywhere; when p and q never meet D* is 1 or 0 and "
                "never wrong")  # fmt: skip
    def limits(self, got, given):
        return both(
            close(got["equal"]["value"], -math.log(4), rtol=1e-4, atol=1e-5),
            close(got["disjoint"]["value"], 0.0, atol=1e-5),
        )


# This notebook's other questions, in its order.
import genimg_lib.checks.gan_penalties  # noqa: E402, I001
import genimg_lib.checks.gan_layers  # noqa: E402
import genimg_lib.checks.gan_styles  # noqa: E402, F401
