"""05 Diffusion, first part: the schedule, noising, what a network predicts."""

import math

import torch

from genimg_lib.checks.compare import both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient, parts

DIFFUSION = "notebooks/diffusion"


def rows(ab, like):
    """One number a sample, (B,) -> (B, 1, ...), to meet a batch of any rank."""
    return ab.reshape(-1, *[1] * (like.ndim - 1))


# mutates: no tensor goes in, so there is nothing to leave alone
@question("cosine_alpha_bar", points=2, mutates=True, title="The cosine noise schedule", read=DIFFUSION, hints=(
    "Write the ideal curve f first, at the T + 1 times 0, 1/T, ..., 1. How much signal is left after step 1?",
    "A beta is what one step takes away: compare f at two neighbouring times. Which beta reaches 1, and why "
    "is that bad?",
    "T betas from T + 1 values of f; clip them; then alpha_bar is a running product, so that the clip is in it.",
))  # fmt: skip
class CosineAlphaBar:
    """alpha_bar_t = prod (1 - beta), beta_t = min(1 - f(t + 1) / f(t), 0.999)   (Nichol & Dhariwal 2021)"""

    def inputs(self, draw):
        return {
            "short": dict(T=draw.integer(9, 14), s=None),
            "long": dict(T=1000, s=None),
            "offset": dict(T=draw.integer(15, 20), s=0.1),
        }

    def probe(answer, T, s):
        return dict(ab=answer(T) if s is None else answer(T, s))

    @once
    def want(self, T, s):
        s = 0.008 if s is None else s
        f = [math.cos((i / T + s) / (1 + s) * math.pi / 2) ** 2 for i in range(T + 1)]
        kept, product = [], 1.0
        for now, after in zip(f[:-1], f[1:], strict=True):
            product *= 1 - min(1 - after / now, 0.999)
            kept.append(product)
        return torch.tensor(kept, dtype=torch.float64)

    def near(self, got, given, name, cut=slice(None)):
        want = self.want(**given[name])
        ab = tensor(got[name]["ab"], want)
        return close(ab[cut], want[cut], rtol=1e-3, atol=2e-6, dtype=False)

    @prop("the first entry has seen one step", 1, cause="alpha_bar[0] is 1 - beta[0], a little less than 1: "
          "the curve has T + 1 times, and the product has T entries")  # fmt: skip
    def first(self, got, given):
        return both(*(self.near(got, given, name, slice(0, 1)) for name in ("short", "long")))

    @prop("the curve", 2, cause="f(t) = cos squared of ((t/T + s) / (1 + s)) * pi/2, divided by its own value at 0")
    def curve(self, got, given):
        return both(*(self.near(got, given, name, slice(0, -1)) for name in ("short", "long")))

    @prop("the last beta is clipped", 1, cause="f ends at 0, so the last beta would be 1: clip the betas at 0.999, "
          "and rebuild alpha_bar from the clipped ones")  # fmt: skip
    def clipped(self, got, given):
        for name in ("short", "long"):
            want = self.want(**given[name])
            ab = tensor(got[name]["ab"], want)
            last = close(ab[-1] / ab[-2], 0.001, rtol=0.02, dtype=False)
            if not last.passed:
                return holds(False, f"alpha_bar[-1] / alpha_bar[-2]: {last.message}")
            curve = self.near(got, given, name)
            if not curve.passed:
                return curve
        return holds(True, "")

    @prop("s is an argument", 1, cause="use the s that was passed in, in both places: (t/T + s) / (1 + s)")
    def offset(self, got, given):
        return self.near(got, given, "offset")


@question("q_sample", points=1, title="Noise a picture to step t in one jump", read=DIFFUSION, hints=(
    "How much of the picture's variance is left at step t, and how much must the noise bring so that the sum is 1?",
    "alpha_bar[t] has shape (B,). What does PyTorch line it up with when it meets (B, C, H, W)?",
    "Give the (B,) coefficients one trailing axis of length 1 for every further axis of x0, whatever its rank.",
))  # fmt: skip
class QSample:
    """x_t = sqrt(alpha_bar_t) x_0 + sqrt(1 - alpha_bar_t) eps   (Ho et al. 2020, eq. 4)"""

    def inputs(self, draw):
        def case(*shape):
            B = shape[0]
            ab = draw.uniform(9, low=0.05, high=0.95).sort(descending=True).values
            t = torch.randperm(9, generator=draw.generator)[:B]
            return dict(x0=draw(*shape), t=t, eps=draw(*shape), alpha_bar=ab)

        return {"images": case(3, 2, 5, 4), "vectors": case(5, 3), "numbers": case(4),
                "video": case(2, 3, 2, 4, 5), "as wide as the batch": case(4, 3, 5, 4)}  # fmt: skip

    def probe(answer, x0, t, eps, alpha_bar):
        xt = answer(x0.requires_grad_(), t, eps.requires_grad_(), alpha_bar)
        along = torch.linspace(-1, 2, x0.numel(), dtype=x0.dtype).reshape(x0.shape)
        return dict(xt=xt, grads=list(gradient(xt, x0, eps, along=along)))

    def want(self, x0, t, eps, alpha_bar):
        return torch.stack([math.sqrt(alpha_bar[k]) * x + math.sqrt(1 - alpha_bar[k]) * e
                            for x, k, e in zip(x0, t.tolist(), eps, strict=True)])  # fmt: skip

    @prop("value for images", 2, cause="the coefficients are square roots of alpha_bar[t] and of 1 - alpha_bar[t]: "
          "variances add, standard deviations do not")  # fmt: skip
    def value(self, got, given):
        case, mine = given["images"], got["images"]["xt"]
        x0, eps, ab = case["x0"], case["eps"], rows(case["alpha_bar"][case["t"]], case["x0"])
        first = case["alpha_bar"][case["t"][0]]
        return explained(close(mine, self.want(**case)), mine, lambda: {
            "the roots are missing": ab * x0 + (1 - ab) * eps,
            "1 - sqrt(alpha_bar) is not sqrt(1 - alpha_bar)": ab.sqrt() * x0 + (1 - ab.sqrt()) * eps,
            "signal and noise are swapped": (1 - ab).sqrt() * x0 + ab.sqrt() * eps,
            "every sample has the first one's t": first.sqrt() * x0 + (1 - first).sqrt() * eps,
            "this is the mean: the noise is missing": ab.sqrt() * x0,
        })  # fmt: skip

    @prop("any rank", cause="count x0's axes instead of writing (-1, 1, 1, 1)")
    def rank(self, got, given):
        names = ("vectors", "numbers", "video")
        return both(*(close(got[name]["xt"], self.want(**given[name])) for name in names))

    @prop("every sample by its own t", cause="(B,) lines up with the last axis, and where the width equals B nothing "
          "complains: reshape the coefficients to (B, 1, ..., 1)")  # fmt: skip
    def own(self, got, given):
        name = "as wide as the batch"
        case, mine = given[name], got[name]["xt"]
        ab = case["alpha_bar"][case["t"]]  # (B,), lined up with the width
        return explained(close(mine, self.want(**case)), mine, lambda: {
            "every column has a t of its own": ab.sqrt() * case["x0"] + (1 - ab).sqrt() * case["eps"],
        })  # fmt: skip

    @prop("gradients reach x0 and eps", cause="stay in torch and differentiable: no .data, no detach, no numpy")
    def grads(self, got, given):
        x0, t, ab = (given["images"][name] for name in ("x0", "t", "alpha_bar"))
        along = torch.linspace(-1, 2, x0.numel(), dtype=x0.dtype).reshape(x0.shape)
        wants = rows(ab[t].sqrt(), x0) * along, rows((1 - ab[t]).sqrt(), x0) * along
        return both(*(close(g, want) for g, want in zip(got["images"]["grads"], wants, strict=True)))


@question("to_x0_eps", points=2, title="Three things a network may predict", read=DIFFUSION, hints=(
    "There is one equation, x_t = sqrt(ab) x0 + sqrt(1 - ab) eps. Two of its three letters are known. Solve it.",
    "For v there is a second equation. Two equations, two unknowns: the pair (x0, eps) is turned by an angle.",
    "With cos = sqrt(ab) and sin = sqrt(1 - ab), x_t and v are (x0, eps) rotated. Undo a rotation by its transpose.",
))  # fmt: skip
class ToX0Eps:
    """Recover (x0, eps) from x_t and a prediction of eps, x0 or v   (Salimans & Ho 2022, sec. 4)"""

    def inputs(self, draw):
        def case(kind):
            ab = draw.uniform(1, low=0.15, high=0.4).item()
            return dict(xt=draw(3, 2, 4, 5), out=draw(3, 2, 4, 5), alpha_bar=ab, kind=kind)

        return {kind: case(kind) for kind in ("eps", "x0", "v")}

    def probe(answer, xt, out, alpha_bar, kind):
        pair = answer(xt, out.requires_grad_(), alpha_bar, kind)
        first, second = parts(pair, 2)[:2]
        return dict(count=len(parts(pair, 2)), x0=first, eps=second,
                    grads=[gradient(first, out), gradient(second, out)])  # fmt: skip

    def solve(self, xt, out, alpha_bar, kind):
        """(x0, eps) by a linear solve of the definitions: the slow and obvious way."""
        a, s = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
        second = {"eps": [0.0, 1.0], "x0": [1.0, 0.0], "v": [-s, a]}[kind]
        matrix = torch.tensor([[a, s], second], dtype=torch.float64)
        known = torch.stack([xt.double().flatten(), out.double().flatten()])
        x0, eps = torch.linalg.solve(matrix, known).to(xt.dtype).reshape(2, *xt.shape)
        return x0, eps

    def kind(self, got, given, kind):
        got, case, (x0, eps) = got[kind], given[kind], self.solve(**given[kind])
        if got["count"] != 2:
            return holds(False, f"expected two results (x0, eps), got {got['count']}")
        xt, out, a, s = case["xt"], case["out"], math.sqrt(case["alpha_bar"]), math.sqrt(1 - case["alpha_bar"])
        slips = {"a sign is turned": a * xt + s * out, "the two roots are swapped": s * xt - a * out}
        slips |= {"sqrt(ab) must divide": xt - s * out} if kind == "eps" else {}
        for name, want, other in (("x0", x0, eps), ("eps", eps, x0)):
            mistakes = {"the pair is in the other order": other} | (slips if name == "x0" else {})
            same = explained(close(got[name], want), got[name], mistakes)
            if not same.passed:
                return holds(False, f"{name}: {same.message}")
        return holds(True, "")

    @prop("the network predicts eps", cause="x0 = (x_t - sqrt(1 - ab) eps) / sqrt(ab); return (x0, eps), in "
          "this order")
    def from_eps(self, got, given):
        return self.kind(got, given, "eps")

    @prop("the network predicts x0", cause="eps = (x_t - sqrt(ab) x0) / sqrt(1 - ab): divide by the noise's "
          "coefficient")
    def from_x0(self, got, given):
        return self.kind(got, given, "x0")

    @prop("the network predicts v", 2, cause="v = sqrt(ab) eps - sqrt(1 - ab) x0: watch which root goes with which, "
          "and the signs")  # fmt: skip
    def from_v(self, got, given):
        return self.kind(got, given, "v")

    @prop("gradient reaches the prediction", cause="this runs inside a loss: keep the graph to the network's output")
    def grads(self, got, given):
        out = given["v"]["out"]
        a, s = math.sqrt(given["v"]["alpha_bar"]), math.sqrt(1 - given["v"]["alpha_bar"])
        b, r = math.sqrt(given["eps"]["alpha_bar"]), math.sqrt(1 - given["eps"]["alpha_bar"])
        pairs = [*zip(got["v"]["grads"], (-s, a), strict=True), (got["eps"]["grads"][0], -r / b)]
        return both(*(close(g, torch.full_like(out, want)) for g, want in pairs))


import genimg_lib.checks.diffusion_steps  # noqa: E402, F401  (this notebook's other questions, in its order)
