"""Checks of 03_gan, continued: spectral normalisation."""

import torch

from genimg_lib.checks.compare import both, close, explained, holds, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient


def spectral_norm(matrix):
    return torch.linalg.svdvals(matrix.double())[0]


def too_small(W, sigma, mine):
    """The mistake of stopping power iteration early, where `mine` is W divided by a little less than sigma."""
    if not isinstance(mine, torch.Tensor) or mine.shape != W.shape:
        return {}
    used = (W.double().norm() / mine.detach().double().norm()).item()
    words = f"you divided by {used:.4g}, and sigma is {sigma:.4g}: power iteration stopped too early?"
    return {words: W / used} if 0.3 * sigma < used < sigma else {}


@question(
    "spectral_normalize", points=3, title="Spectral normalisation of a weight", read="notebooks/stable_gans",
    hints=(
        "The largest singular value is the most that a matrix can stretch a vector. First make the kernel "
        "a matrix: which axis is the output?",
        "Power iteration: v from Wᵀu, u from Wv, each divided by its length, again and again; then sigma "
        "= uᵀWv. A round shrinks the error of u by (second/first)², 0.64 at worst: how many rounds will do?",
        "u and v may be found outside the graph; the weight that you divide may not. An exact routine of "
        "torch.linalg is allowed too.",
    ),
)  # fmt: skip
class SpectralNormalize:
    """W / sigma_max(W), W seen as (o, i·k·k)   (Miyato et al. 2018, sec. 2.1)"""

    def inputs(self, draw):
        def matrix(o, n, ratio, first, flat=False):
            rank = min(o, n)
            left, right = torch.linalg.qr(draw(o, rank))[0], torch.linalg.qr(draw(n, rank))[0]
            steps = torch.arange(rank, dtype=draw.dtype)
            values = first * ratio ** (steps.clamp(max=1) if flat else steps)
            return left @ torch.diag(values) @ right.T

        return {
            "wide": dict(W=matrix(5, 8, 0.6, 3.0), along=draw(5, 8)),
            "tall": dict(W=matrix(9, 4, 0.6, 5.0), along=draw(9, 4)),
            "kernel": dict(W=matrix(4, 27, 0.7, 2.5).reshape(4, 3, 3, 3), along=draw(4, 3, 3, 3)),
            "small": dict(W=matrix(6, 20, 0.5, 0.02).reshape(6, 5, 2, 2), along=draw(6, 5, 2, 2)),
            "slow": dict(W=matrix(12, 10, 0.8, 4.0, flat=True), along=draw(12, 10)),
            "slower": dict(W=matrix(40, 50, 0.8, 1.5, flat=True), along=draw(40, 50)),
        }

    def probe(answer, W, along):
        out = answer(W.requires_grad_())
        return dict(out=out, grad=gradient(out, W, along=along))

    @prop("matrices, wide and tall", weight=1.5,
          cause="divide by the largest singular value, the square root of the largest "
                "eigenvalue of W Wᵀ")  # fmt: skip
    def matrices(self, got, given):
        outcomes = []
        for case in ("wide", "tall"):
            W, mine = given[case]["W"], got[case]["out"]
            s = torch.linalg.svdvals(W.double())
            outcomes.append(explained(close(mine, W / s[0], rtol=1e-3, atol=1e-6), mine, {
                "divided by the Frobenius norm": W / W.norm(),
                "divided by the squared singular value: the root is missing": W / s[0] ** 2,
                "divided by the smallest singular value": W / s[-1],
                "divided by the sum of the singular values": W / s.sum(),
                "divided by the largest absolute entry": W / W.abs().max(),
                "divided by the largest row sum (the infinity norm)": W / W.abs().sum(1).max(),
                "divided by the largest column sum (the 1-norm)": W / W.abs().sum(0).max(),
                "each row was divided by its own norm": W / W.norm(dim=1, keepdim=True),
                "each column was divided by its own norm": W / W.norm(dim=0, keepdim=True),
                "multiplied by sigma instead of divided": W * s[0],
                "nothing was divided": W,
                **too_small(W, s[0], mine),
            }))  # fmt: skip
        return both(*outcomes)

    @prop("kernels are seen as (o, i·k·k)", weight=1.5,
          cause="flatten all axes but the first, and give the kernel its shape back at the "
                "end")  # fmt: skip
    def kernels(self, got, given):
        W, mine = given["kernel"]["W"], got["kernel"]["out"]
        slices = torch.linalg.matrix_norm(W, 2)
        return explained(close(mine, W / spectral_norm(W.flatten(1)), rtol=1e-3, atol=1e-6), mine, lambda: {
            "sigma of the (o·i, k·k) view": W / spectral_norm(W.flatten(0, 1).flatten(1)),
            "sigma of the (o·i·k, k) view": W / spectral_norm(W.flatten(0, 2)),
            "sigma of the (i, o·k·k) view: o is the first axis": W / spectral_norm(W.transpose(0, 1).flatten(1)),
            "each k×k slice was divided by its own sigma": W / slices[..., None, None],
            "the largest sigma of the k×k slices": W / slices.max(),
            "divided by the Frobenius norm": W / W.norm(),
            "each output's kernel was divided by its own norm": W / W.flatten(1).norm(dim=1)[:, None, None, None],
        })  # fmt: skip

    @prop("small weights are scaled up",
          cause="the result always has sigma 1: no max(1, sigma), and no eps that a small "
                "weight can feel")  # fmt: skip
    def small(self, got, given):
        W = given["small"]["W"]
        return close(got["small"]["out"], W / spectral_norm(W.flatten(1)), rtol=1e-3, atol=1e-6)

    @prop("within 1e-3 when the second singular value is 0.8 of the first",
          cause="too few rounds of power iteration from a fresh start: each shrinks "
                "the error of u to 0.64 of what it was, so take a few dozen")  # fmt: skip
    def slow(self, got, given):
        outcomes = []
        for case in ("slow", "slower"):
            W, mine = given[case]["W"], got[case]["out"]
            sigma = spectral_norm(W)
            outcomes.append(explained(close(mine, W / sigma, rtol=1e-3, atol=1e-6), mine, too_small(W, sigma, mine)))
        return both(*outcomes)

    @prop("the graph to W is kept", cause="divide W itself: detach at most u, v or sigma, and use no W.data")
    def graph(self, got, given):
        outcomes = []
        for case in ("wide", "kernel"):
            W, along = given[case]["W"].double(), given[case]["along"].double()
            grad = tensor(got[case]["grad"], W)
            u, s, v = torch.linalg.svd(W.flatten(1), full_matrices=False)
            through = torch.outer(u[:, 0], v[0]).view_as(W) * (along * W).sum() / s[0] ** 2
            errors = [(grad - want).norm() / want.norm() for want in (along / s[0], along / s[0] - through)]
            outcomes.append(holds(min(errors) < 0.02, "the gradient that reaches W is wrong"))
        return both(*outcomes)
