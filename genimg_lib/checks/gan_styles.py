"""Checks of 03_gan, continued: adaptive instance normalisation and modulated weights."""

import torch

from genimg_lib.checks.compare import arrives, both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient


def moments(x, axes, eps=1e-5, **kind):
    return x.mean(axes, keepdim=True), (x.var(axes, keepdim=True, **kind) + eps).sqrt()


def adain_by_axes(content, style, axes=(2, 3), eps=1e-5, correction=0):
    """The formula with its choices left open: the truth and its neighbours."""
    (m, s), (a, b) = (moments(x.double(), axes, eps, correction=correction) for x in (content, style))
    return (content - m) / s * b + a


@once
def adain_slowly(content, style):
    """One channel of one sample at a time, with plain sums."""
    out = torch.empty_like(content, dtype=torch.float64)
    for b in range(content.shape[0]):
        for c in range(content.shape[1]):
            x, y = content[b, c].double(), style[b, c].double()
            mx, my = x.sum() / x.numel(), y.sum() / y.numel()
            vx, vy = ((x - mx) ** 2).sum() / x.numel(), ((y - my) ** 2).sum() / y.numel()
            out[b, c] = (x - mx) / (vx + 1e-5) ** 0.5 * (vy + 1e-5) ** 0.5 + my
    return out


@question(
    "adain", points=2, title="Adaptive instance normalisation", read="notebooks/style_transfer",
    hints=(
        "Two steps: give every channel of every content image mean 0 and deviation 1, then the style's "
        "deviation and mean.",
        "Instance normalisation takes its statistics over height and width alone, never over the batch or "
        "the channels. keepdim saves the broadcasting.",
        "Biased means dividing by N. The eps is added to the variance, under the root, for content and "
        "for style.",
    ),
)  # fmt: skip
class AdaIN:
    """sigma(style) (content − mu(content)) / sigma(content) + mu(style)   (Huang & Belongie 2017, eq. 8)"""

    def inputs(self, draw):
        def images(b, c, h, w, spread=1.0, middle=1.0):
            return draw(b, c, h, w) * spread * draw.uniform(b, c, 1, 1, low=0.6, high=2.0) + middle * draw(b, c, 1, 1)

        flat = torch.tensor([0.5, -1.25, 2.0], dtype=draw.dtype).view(1, 3, 1, 1).expand(2, 3, 4, 4).clone()
        return {
            "plain": dict(content=images(3, 4, 5, 4), style=images(3, 4, 3, 6) + 1),
            # means near 0: mean(x²) - mean(x)² in float32 is no mistake of the learner's
            "faint": dict(content=images(2, 3, 5, 6, 2e-3, 0.03), style=images(2, 3, 4, 7, 3e-3, 0.03)),
            "one pixel": dict(content=images(2, 3, 4, 5), style=images(2, 3, 1, 1)),
            "flat": dict(content=flat, style=images(2, 3, 5, 3) + 3),
        }

    def probe(answer, content, style):
        along = torch.linspace(-1, 2, content.numel(), dtype=content.dtype).view_as(content) ** 3
        out = answer(content.requires_grad_(), style.requires_grad_())
        return dict(out=out, grads=gradient(out, content, style, along=along))

    @prop("takes the style's mean and deviation, per sample and channel", weight=2,
          cause="statistics over the last two axes only; normalise the content, then scale "
                "and shift by the style")  # fmt: skip
    def value(self, got, given):
        x, y, mine = given["plain"]["content"], given["plain"]["style"], got["plain"]["out"]
        (m, s), (a, b) = moments(x, (2, 3), correction=0), moments(y, (2, 3), correction=0)
        return explained(close(mine, adain_slowly(x, y).to(x), rtol=2e-4, atol=1e-4), mine, lambda: {
            "unbiased deviations: divide by N, not by N − 1": adain_by_axes(x, y, correction=1),
            "the statistics run over the batch too": adain_by_axes(x, y, (0, 2, 3)),
            "the statistics run over the channels too": adain_by_axes(x, y, (1, 2, 3)),
            "the style's mean is missing": (x - m) / s * b,
            "the content's mean was not removed": x / s * b + a,
            "the content was not normalised at all": x * b + a,
            "the style's deviation is unbiased: divide by N, not by N − 1":
                (x - m) / s * y.std((2, 3), keepdim=True) + a,
            "the content's deviation is unbiased: divide by N, not by N − 1":
                (x - m) / x.std((2, 3), keepdim=True) * b + a,
            "the content's deviation was not divided out": (x - m) * b + a,
            "the style's deviation is missing": (x - m) / s + a,
            "mean and deviation of the style are swapped": (x - m) / s * a + b,
            "variances in place of deviations: take the roots": (x - m) / s**2 * b**2 + a,
            "multiplied by the style's variance: take its root": (x - m) / s * b**2 + a,
            "normalised with the style's statistics: the roles are swapped": (x - a) / b * s + m,
        })  # fmt: skip

    @prop("eps inside both roots",
          cause="sqrt(var + 1e-5) for content and style, biased variance; not std + eps")  # fmt: skip
    def faint(self, got, given):
        x, y, mine = given["faint"]["content"], given["faint"]["style"], got["faint"]["out"]
        (m, s), (a, b) = moments(x, (2, 3), correction=0), moments(y, (2, 3), correction=0)
        bare = [z.std((2, 3), correction=0, keepdim=True) for z in (x, y)]
        rtol, atol = (2e-3, 2e-5) if x.dtype == torch.float32 else (1e-6, 1e-8)
        return explained(close(mine, adain_slowly(x, y).to(x), rtol=rtol, atol=atol), mine, lambda: {
            "eps is missing, or stands outside the roots": (x - m) / (bare[0] + 1e-5) * (bare[1] + 1e-5) + a,
            "the content's root has its eps, the style's has none": (x - m) / s * bare[1] + a,
            "eps outside the content's root, none in the style's": (x - m) / (bare[0] + 1e-5) * bare[1] + a,
            "the style's root has its eps, the content's has none": (x - m) / bare[0] * b + a,
        })  # fmt: skip

    @prop("a style of one pixel", weight=0.5,
          cause="its biased deviation is sqrt(eps); an unbiased one divides by 0")  # fmt: skip
    def one_pixel(self, got, given):
        x, y = given["one pixel"]["content"], given["one pixel"]["style"]
        return close(got["one pixel"]["out"], adain_slowly(x, y).to(x))

    @prop("a flat channel takes the style's mean", weight=0.5,
          cause="0/0 without eps; the style's mean is added last")  # fmt: skip
    def flat(self, got, given):
        x, y = given["flat"]["content"], given["flat"]["style"]
        return close(got["flat"]["out"], adain_slowly(x, y).to(x), atol=2e-3)

    @prop("gradient reaches content and style",
          cause="the statistics are part of the graph: no detach, no no_grad")  # fmt: skip
    def graph(self, got, given):
        x, y = given["plain"]["content"], given["plain"]["style"]
        along = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).view_as(x) ** 3
        with torch.enable_grad():
            mine = x.double().requires_grad_(), y.double().requires_grad_()
            want = torch.autograd.grad((adain_by_axes(*mine) * along).sum(), mine)
        (by_x, by_y), (want_x, want_y) = got["plain"]["grads"], (w.to(x) for w in want)
        return both(
            arrives(by_x, want_x, "content", rtol=1e-3, atol=1e-4),
            arrives(by_y, want_y, "style", rtol=1e-3, atol=1e-4),
        )


@once
def demodulated(W, s):
    """One sample and one output channel at a time."""
    samples = []
    for style in s:
        rows = []
        for kernel in W:
            scaled = torch.stack([weight * channel for weight, channel in zip(style, kernel, strict=True)])
            rows.append(scaled / scaled.pow(2).sum().sqrt())
        samples.append(torch.stack(rows))
    return torch.stack(samples)


@question(
    "modulated_weight", points=3, title="Modulated, demodulated convolution weights",
    read="notebooks/stable_gans",
    hints=(
        "Every sample of the batch gets its own kernel, so the result has one axis more than W. Where do "
        "W and s each need an axis of length 1?",
        "The style scales input channels: a feature map times s is the same as the kernel's slice for it "
        "times s. Write down the axis that s and W share.",
        "Demodulation makes each output channel's kernel unit length: the sum of squares runs over input "
        "channels and both kernel axes, for each sample.",
    ),
)  # fmt: skip
class ModulatedWeight:
    """w' = s_i W, w'' = w' / sqrt(sum over i, k, k of w'²)   (Karras et al. 2020, sec. 2.2, eqs. 1–3)"""

    def inputs(self, draw):
        return {
            "plain": dict(W=draw(5, 4, 3, 3), s=draw(2, 4) + 1, along=draw(2, 5, 4, 3, 3)),
            "square": dict(W=draw(4, 4, 3, 3) * 2, s=draw(4, 4) - 0.5, along=draw(4, 4, 4, 3, 3)),
            "strong": dict(W=draw(3, 6, 1, 1), s=draw(5, 6) * 40, along=draw(5, 3, 6, 1, 1)),
            "weak": dict(W=draw(3, 4, 3, 3), s=draw.uniform(2, 4, low=0.015, high=0.03), along=draw(2, 3, 4, 3, 3)),
        }

    def probe(answer, W, s, along):
        out = answer(W.requires_grad_(), s.requires_grad_())
        return dict(out=out, grads=gradient(out, W, s, along=along))

    @prop("unit length per sample and output channel", weight=2,
          cause="the sum of squares runs over input channels and both kernel axes (the last "
                "three), after modulation")  # fmt: skip
    def value(self, got, given):
        outcomes = []
        for case in ("square", "plain"):
            W, s, mine = given[case]["W"].double(), given[case]["s"].double(), got[case]["out"]
            w = W[None] * s[:, None, :, None, None]
            root = {axes: w.pow(2).sum(axes, keepdim=True).sqrt() for axes in ((3, 4), (2,), (1, 2, 3, 4), (1, 3, 4))}
            swapped = (
                {"s scaled the output channels": demodulated(W, torch.ones_like(s)) * s.sign()[:, :, None, None, None]}
                if case == "square"
                else {}
            )
            outcomes.append(explained(close(mine, demodulated(W, s).to(given[case]["W"]), rtol=1e-4), mine, {
                "modulated, but never demodulated": w,
                "W was never modulated": demodulated(W, torch.ones_like(s)),
                "the sign of s is lost": demodulated(W, s.abs()),
                "one added to s: here it scales as it comes": demodulated(W, s + 1),
                "all samples share one style": demodulated(W, s.mean(0, keepdim=True).expand_as(s)),
                "batch and output channels are merged: keep both axes": demodulated(W, s).flatten(0, 1),
                "demodulated over the kernel axes alone": w / root[3, 4],
                "demodulated over input channels alone": w / root[2,],
                "one length for all output channels of a sample": w / root[1, 2, 3, 4],
                "one length for each input channel: sum over input channels, keep the outputs": w / root[1, 3, 4],
                "one length for the whole batch": w / w.pow(2).sum((0, 2, 3, 4), keepdim=True).sqrt(),
                "divided by the squared length: take the root": w / w.pow(2).sum((2, 3, 4), keepdim=True),
                "the mean of the squares, not their sum": w / w.pow(2).mean((2, 3, 4), keepdim=True).sqrt(),
                "divided by the deviation: StyleGAN2 does not centre": w / w.std((2, 3, 4), keepdim=True),
                "the length was taken before modulation": w / W.flatten(1).norm(dim=1)[None, :, None, None, None],
                **swapped,
            }))  # fmt: skip
        return both(*outcomes)

    @prop("modulates the input channels", weight=1.5,
          cause="s belongs to the axis of input channels, the second of W: s[b, i] scales "
                "W[:, i]")  # fmt: skip
    def direction(self, got, given):
        outcomes = []
        for case in ("plain", "square", "strong"):
            want = demodulated(given[case]["W"].double(), given[case]["s"].double())
            mine = tensor(got[case]["out"], want)
            cosine = torch.nn.functional.cosine_similarity(mine.flatten(2), want.flatten(2), dim=2)
            words = f"some kernel does not point along s[b, i] · W[o, i]: a cosine of {cosine.min():.2f}, not 1"
            outcomes.append(holds((cosine > 0.999).all(), words))
        return both(*outcomes)

    @prop("a style forty times as strong changes no length", weight=0.5,
          cause="the length comes from the modulated weight of the same sample")  # fmt: skip
    def strong(self, got, given):
        W, s = given["strong"]["W"], given["strong"]["s"]
        strong = close(got["strong"]["out"], demodulated(W.double(), s.double()).to(W), rtol=1e-4)
        W, s = given["weak"]["W"], given["weak"]["s"]
        weak = close(got["weak"]["out"], demodulated(W.double(), s.double()).to(W), rtol=1e-4)
        return both(strong, holds(weak.passed, f"a weak style does: is the eps too large? ({weak.message})"))

    @prop("gradient reaches W and s",
          cause="the length is part of the graph: no detach and no no_grad around it")  # fmt: skip
    def graph(self, got, given):
        W, s, along = (given["plain"][name] for name in ("W", "s", "along"))
        with torch.enable_grad():
            mine = W.double().requires_grad_(), s.double().requires_grad_()
            want = torch.autograd.grad((demodulated(*mine) * along).sum(), mine)
        (by_w, by_s), (want_w, want_s) = got["plain"]["grads"], (w.to(W) for w in want)
        return both(
            arrives(by_w, want_w, "W", rtol=1e-3, atol=1e-5),
            arrives(by_s, want_s, "s", rtol=1e-3, atol=1e-5),
        )
