"""Checks of 06_evaluation: the Fréchet distance and the kernel distance."""

import torch

from genimg_lib.checks.compare import both, close, explained, once
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import number


@once
def frechet(X, Y, biased=False):
    """The distance without a matrix root: tr (Cx Cy)^(1/2) is the sum of the singular values of Xc Ycᵀ, scaled."""
    X, Y = X.double(), Y.double()
    a, b = X - X.mean(0), Y - Y.mean(0)
    n, m = (len(X), len(Y)) if biased else (len(X) - 1, len(Y) - 1)
    cross = torch.linalg.svdvals(a @ b.T).sum() / (n * m) ** 0.5
    return (X.mean(0) - Y.mean(0)).square().sum() + a.square().sum() / n + b.square().sum() / m - 2 * cross


def root(C):
    """The symmetric root of a covariance."""
    values, vectors = torch.linalg.eigh(C)
    return (vectors * values.clamp(min=0).sqrt()) @ vectors.T


def same_distance(got, want, mistakes, like, loose=1.0):
    """Equal up to what an eigenvalue solver in that precision can promise: roots of rounding errors are large."""
    rtol = (5e-3 if like.dtype == torch.float32 else 1e-4) * loose
    return explained(close(got, want, rtol=rtol, atol=rtol), got, mistakes)


@question(
    "frechet_distance", points=3, title="The Fréchet distance behind FID", read="notebooks/judging",
    hints=(
        "Fit a Gaussian to each set: a mean and a covariance over the rows, divided by N − 1. Then one "
        "formula with two terms: means, and covariances.",
        "tr (Cx Cy)^(1/2) needs only eigenvalues: those of the product Cx Cy are real and not negative, "
        "up to rounding. Rounding makes some a little negative: what does a root do with them?",
        "With fewer samples than dimensions a covariance is singular, so Cholesky and inverses fail. The "
        "symmetric root of one covariance, from its eigenvalues, always exists.",
    ),
)  # fmt: skip
class FrechetDistance:
    """‖μx − μy‖² + tr(Cx + Cy − 2 (Cx Cy)^(1/2))   (Heusel et al. 2017, eq. 6)"""

    def inputs(self, draw):
        few = draw(9, 4) @ draw(4, 4) + draw(4)
        return {
            "plain": dict(X=draw(9, 4) @ draw(4, 4) * 1.5, Y=draw(14, 4) @ draw(4, 4) + 1),
            "few": dict(X=draw(5, 12) + 0.5, Y=draw(8, 12) * 1.7),
            "shift": dict(X=few, Y=few + draw(4) * 2),
            "same": dict(X=few, Y=few.flip(0).clone()),
            "stretch": dict(X=few, Y=few * 3),
        }

    def probe(answer, X, Y):
        return dict(distance=number(answer(X, Y)))

    @prop("value", weight=2,
          cause="the squared distance of the means, plus tr(Cx + Cy − 2 (Cx Cy)^(1/2)) with a "
                "matrix root")  # fmt: skip
    def value(self, got, given):
        X, Y = given["plain"]["X"].double(), given["plain"]["Y"].double()
        mine, want = got["plain"]["distance"], frechet(X, Y)
        A, B, gap = torch.cov(X.T), torch.cov(Y.T), (X.mean(0) - Y.mean(0)).square().sum()
        traces = A.trace() + B.trace()
        cross = (gap + traces - want) / 2
        return same_distance(mine, want, lambda: {
            "biased covariances: divide by N − 1": frechet(X, Y, biased=True),
            "this is its root: the distance is asked for squared": want.sqrt(),
            "the mean term is not squared": want - gap + gap.sqrt(),
            "the mean term is missing": want - gap,
            "a mean over the dimensions in the mean term: sum the squares": want - gap + gap / X.shape[1],
            "the covariance term is missing": gap,
            "the factor 2 before the root is missing": gap + traces - cross,
            "the root is missing: (Cx Cy) itself": gap + traces - 2 * (A @ B).trace(),
            "a root of each entry in place of a matrix root": gap + traces - 2 * (A * B).abs().sqrt().trace(),
            "a root of each entry of the product in place of a matrix root":
                gap + traces - 2 * (A @ B).clamp(min=0).sqrt().trace(),
            "tr(Cx^(1/2) Cy^(1/2)): right only when the covariances commute":
                gap + traces - 2 * (root(A) @ root(B)).trace(),
            "only the diagonals of the covariances were used":
                gap + (A.diagonal().sqrt() - B.diagonal().sqrt()).square().sum(),
            "the squared difference of the covariances in place of the trace term": gap + (A - B).square().sum(),
            "the features are not centred: second moments in place of covariances":
                gap + (X.T @ X).trace() / (len(X) - 1) + (Y.T @ Y).trace() / (len(Y) - 1)
                - 2 * torch.linalg.svdvals(X @ Y.T).sum() / ((len(X) - 1) * (len(Y) - 1)) ** 0.5,
        }, given["plain"]["X"])  # fmt: skip

    @prop("fewer samples than dimensions", weight=1.5,
          cause="a singular covariance has zero eigenvalues, and rounding makes them a little "
                "negative: clamp before the root, and use no Cholesky and no inverse")  # fmt: skip
    def few(self, got, given):
        X, Y = given["few"]["X"], given["few"]["Y"]
        return same_distance(got["few"]["distance"], frechet(X, Y), lambda: {
            "biased covariances: divide by N − 1": frechet(X, Y, biased=True),
        }, X, loose=3)  # fmt: skip

    @prop("moving a set by c costs ‖c‖²",
          cause="equal covariances cancel: what is left is the squared distance of the means")  # fmt: skip
    def shift(self, got, given):
        X, Y = given["shift"]["X"], given["shift"]["Y"]
        c, mine = (Y[0] - X[0]).double(), got["shift"]["distance"]
        return same_distance(mine, c.square().sum(), {"this is ‖c‖: square it": c.norm()}, X)

    @prop("0 for the same set in another order, tr C · (a − 1)² for one stretched by a",
          cause="check the trace term: for equal covariances the root is C itself")  # fmt: skip
    def limits(self, got, given):
        X, Y = given["stretch"]["X"], given["stretch"]["Y"]
        scale = X.double().var(0).sum().item()
        tolerance = (2e-3 if X.dtype == torch.float32 else 1e-5) * scale
        return both(
            close(got["same"]["distance"], 0.0, atol=tolerance),
            same_distance(got["stretch"]["distance"], frechet(X, Y), {}, X),
        )


@once
def mmd(X, Y, diagonal=False, scale=None, degree=3, shift=1.0):
    """The mean kernel within X, within Y and between them; a sample with itself counts where `diagonal` says so."""
    X, Y = X.double(), Y.double()
    scale = X.shape[1] if scale is None else scale

    def mean(A, B, within):
        kernel = (A @ B.T / scale + shift) ** degree
        if within and not diagonal:
            kernel.fill_diagonal_(0)
            return kernel.sum() / (len(A) * (len(A) - 1))
        return kernel.mean()

    return mean(X, X, True), mean(Y, Y, True), mean(X, Y, False)


def kernel_distance(X, Y, **kind):
    xx, yy, xy = mmd(X, Y, **kind)
    return xx + yy - 2 * xy


@question(
    "kid", points=2, title="The kernel distance KID, unbiased", read="notebooks/judging",
    hints=(
        "MMD² compares three averages of a kernel: pairs within X, pairs within Y, pairs across. Two come "
        "with a plus.",
        "Unbiased: a sample never meets itself, so the diagonal leaves both sum and count. How many "
        "ordered pairs of N different samples are there?",
        "Across, every x meets every y: N·M pairs, diagonal and all. The kernel's dot product is divided "
        "by the number of dimensions before the 1 is added.",
    ),
)  # fmt: skip
class KID:
    """MMD² with k(x, y) = (x·y/D + 1)³, unbiased   (Binkowski et al. 2018, sec. 3; Gretton's U-statistic)"""

    def inputs(self, draw):
        few = draw(5, 6) + 0.5
        return {
            "plain": dict(X=draw(9, 5) + 0.4, Y=draw(6, 5) * 1.3 - 0.3),
            "wide": dict(X=draw(4, 40), Y=draw(7, 40) + 0.5),
            "same": dict(X=few, Y=few.clone()),
            "equal counts": dict(X=draw(6, 3), Y=draw(6, 3) + 1),
        }

    def probe(answer, X, Y):
        return dict(distance=number(answer(X, Y)))

    @prop("value", weight=2,
          cause="mean kernel over pairs i ≠ j within X, the same within Y, minus twice the "
                "mean across")  # fmt: skip
    def value(self, got, given):
        X, Y = given["plain"]["X"], given["plain"]["Y"]
        mine, (xx, yy, xy) = got["plain"]["distance"], mmd(X, Y)
        kept, n, m = mmd(X, Y, diagonal=True), len(X), len(Y)
        return explained(close(mine, xx + yy - 2 * xy, rtol=1e-3, atol=1e-4), mine, lambda: {
            "biased: the pairs of a sample with itself are in": kept[0] + kept[1] - 2 * kept[2],
            "the diagonal left the count and not the sum":
                kept[0] * n / (n - 1) + kept[1] * m / (m - 1) - 2 * xy,
            "the diagonal left the sum and not the count": xx * (n - 1) / n + yy * (m - 1) / m - 2 * xy,
            "the dot product is not divided by D": kernel_distance(X, Y, scale=1),
            "divided by the root of D": kernel_distance(X, Y, scale=X.shape[1] ** 0.5),
            "degree 2 in place of 3": kernel_distance(X, Y, degree=2),
            "the 1 in the kernel is missing": kernel_distance(X, Y, shift=0.0),
            "the cross term is counted once, not twice": xx + yy - xy,
            "this is its root: KID is the squared MMD": (xx + yy - 2 * xy).clamp(min=0).sqrt(),
            "the distance of the means: a linear kernel": kernel_distance(X, Y, degree=1),
            "times 1000: some papers print it so": 1000 * (xx + yy - 2 * xy),
        })  # fmt: skip

    @prop("the dot product is divided by D", cause="D is the number of features, the last axis: (x·y/D + 1)³")
    def wide(self, got, given):
        X, Y, mine = given["wide"]["X"], given["wide"]["Y"], got["wide"]["distance"]
        return explained(close(mine, kernel_distance(X, Y), rtol=1e-3, atol=1e-4), mine, lambda: {
            "biased: the pairs of a sample with itself are in": kernel_distance(X, Y, diagonal=True),
            "the dot product is not divided by D": kernel_distance(X, Y, scale=1),
            "divided by N, the number of samples": kernel_distance(X, Y, scale=len(X)),
        })  # fmt: skip

    @prop("a set against itself falls below zero",
          cause="an unbiased estimate of zero is sometimes negative: no clamp, no absolute "
                "value, and the diagonal stays in the cross term")  # fmt: skip
    def below_zero(self, got, given):
        X, Y, mine = given["same"]["X"], given["same"]["Y"], got["same"]["distance"]
        want = kernel_distance(X, Y)
        return explained(close(mine, want, rtol=1e-3, atol=1e-4), mine, lambda: {
            "exactly 0: either it was clamped, or the cross term has lost its diagonal": torch.zeros(()),
            "its sign is gone": want.abs(),
        })  # fmt: skip

    @prop("as many of one as of the other", weight=0.5,
          cause="the cross term keeps its diagonal even when the counts agree: x_i and y_i "
                "are different samples")  # fmt: skip
    def equal_counts(self, got, given):
        X, Y, mine = given["equal counts"]["X"], given["equal counts"]["Y"], got["equal counts"]["distance"]
        xx, yy, xy = mmd(X, Y)
        paired = ((X * Y).double().sum(1) / X.shape[1] + 1) ** 3
        n = len(X)
        without = (xy * n * n - paired.sum()) / (n * (n - 1))
        return explained(close(mine, xx + yy - 2 * xy, rtol=1e-3, atol=1e-4), mine, lambda: {
            "the diagonal of the cross term was left out": xx + yy - 2 * without,
            "biased: the pairs of a sample with itself are in": kernel_distance(X, Y, diagonal=True),
        })  # fmt: skip


# This notebook's other question.
import genimg_lib.checks.evaluation_neighbours  # noqa: E402, F401
