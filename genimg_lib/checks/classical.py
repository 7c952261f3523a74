"""The checks of 01_classical: principal components and a warp; `classical_seam` has the cheapest seam."""

import math
from functools import partial

import numpy as np
import torch

from genimg_lib.checks.compare import both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question


def reconstruct(X, k):
    """PCA by numpy's eigenvectors of the covariance matrix."""
    x = X.double().numpy()
    mean = x.mean(0)
    _, vectors = np.linalg.eigh((x - mean).T @ (x - mean))
    kept = vectors[:, ::-1][:, :k]  # eigh sorts upwards
    return torch.from_numpy((x - mean) @ kept @ kept.T + mean).to(X.dtype)


@question(
    "pca_reconstruct",
    points=3,
    title="PCA: compress and reconstruct",
    read="notebooks/distributions",
    hints=(
        "Think of the cloud of points: first move its centre to the origin, last move it back.",
        "The principal directions are the right singular vectors of the centred matrix, or the eigenvectors of "
        "its covariance. Mind in which order your function returns them, and as rows or as columns.",
        "With the k directions as the columns of V, centred times V gives k coordinates a sample, and times V "
        "transposed brings them back to D numbers.",
    ),
)
class PCAReconstruct:
    """Project on the k leading principal directions and come back   (Pearson 1901; Hotelling 1933)"""

    def inputs(self, draw):
        turn = torch.linalg.qr(draw(6, 6).double()).Q.to(draw.dtype)
        X = draw(30, 6) * torch.tensor([6.0, 3.5, 2.0, 1.1, 0.6, 0.3], dtype=draw.dtype) @ turn + 3 * draw(6)
        few = draw(5, 9) * 0.7 ** torch.arange(9, dtype=draw.dtype) + 4
        cases = {f"k = {k}": dict(X=X, k=k) for k in (1, 2, 4, 6)}
        return cases | {"moved": dict(X=X + 5 * draw(6), k=2), "few": dict(X=few, k=2)}

    def probe(answer, X, k):
        return dict(out=answer(X, k))

    @prop("value", weight=2, cause="centre, project on the k directions of largest variance, add the mean back")
    def value(self, got, given):
        outcomes = []
        for case in ("k = 1", "k = 2", "k = 4"):
            X, k = given[case].values()
            mine, want, mean, std = got[case]["out"], reconstruct(X, k), X.mean(0), X.std(0)
            raw = torch.linalg.svd(X).Vh[:k]
            outcomes.append(
                explained(
                    close(mine, want, rtol=1e-3, atol=1e-4),
                    mine,
                    {
                        "the mean was not added back": want - mean,
                        "the cloud was not centred": X @ raw.T @ raw,
                        "these are the directions of least variance": X - reconstruct(X, 6 - k) + mean,
                        "one direction too many": reconstruct(X, k + 1),
                        "one direction too few": reconstruct(X, k - 1),
                        "centred by one number: take a mean for each column": reconstruct_about(X, k, X.mean()),
                        "centred by rows: take a mean for each column": reconstruct_about(
                            X, k, X.mean(1, keepdim=True)
                        ),
                        "divided by the standard deviation: that is the PCA of other data": reconstruct(
                            (X - mean) / std, k
                        )
                        * std
                        + mean,
                    },
                )
            )
        return both(*outcomes)  # fmt: skip

    @prop("exactly k directions are left", cause="keep k directions, of unit length, and drop the others")
    def rank(self, got, given):
        for k in (1, 2, 4):
            X, out = given[f"k = {k}"]["X"], tensor(got[f"k = {k}"]["out"], (30, 6))
            sizes = torch.linalg.svdvals(out - out.mean(0))
            rank = int((sizes > 1e-3 * torch.linalg.svdvals(X.double() - X.double().mean(0))[0]).sum())
            if rank != k:
                return holds(False, f"for k = {k} the centred result has rank {rank}")
        return holds(True, "")

    @prop("all D directions give X back, fewer do not", cause="the directions must be orthonormal and complete")
    def complete(self, got, given):
        X = given["k = 6"]["X"]
        return both(
            close(got["k = 6"]["out"], X, rtol=1e-3, atol=1e-3),
            holds(not close(got["k = 2"]["out"], X, rtol=1e-3).passed, "k = 2 gave X itself: nothing was dropped"),
        )

    @prop("moving the cloud moves the result", cause="take the mean of each column away first and add it back last")
    def moved(self, got, given):
        there, here = (tensor(got[case]["out"], (30, 6)) for case in ("moved", "k = 2"))
        way = (given["moved"]["X"] - given["k = 2"]["X"]).double()
        return both(
            close(there - here, way, rtol=1e-3, atol=1e-3),
            holds(not close(here, given["k = 2"]["X"], rtol=1e-3).passed, "the result is X itself"),
        )

    @prop("fewer samples than dimensions", cause="directions live in the D columns, whatever N is")
    def few(self, got, given):
        return close(got["few"]["out"], reconstruct(**given["few"]), rtol=1e-3, atol=1e-4)


def reconstruct_about(X, k, centre):
    """Leading directions about a centre that is not the mean: a mistake, for its value."""
    V = torch.linalg.svd(X - centre, full_matrices=False).Vh[:k].T
    return (X - centre) @ V @ V.T + centre


def sources(A, height, width):
    """For each output pixel (row by row) the input coordinates (x, y), in exact-enough arithmetic."""
    back = np.linalg.inv(A.double().numpy())
    return [[back @ (x, y, 1) for x in range(width)] for y in range(height)]


@once
def warp(img, A):
    """Inverse mapping, one pixel at a time."""
    height, width = img.shape
    out = torch.zeros_like(img)
    for row, line in enumerate(sources(A, height, width)):
        for column, (x, y, _) in enumerate(line):
            x, y = round(x), round(y)
            if 0 <= x < width and 0 <= y < height:
                out[row, column] = img[y, x]
    return out


def looked_up(img, M, rounding=torch.round, about=(0.0, 0.0), clamp=False):
    """A look-up through any matrix and with any rounding: the known mistakes, for their values."""
    height, width = img.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([x.flatten() - about[0], y.flatten() - about[1], torch.ones(height * width)]).double()
    x, y, _ = M.double() @ points
    x, y = rounding(x + about[0]).long(), rounding(y + about[1]).long()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    found = img[y.clamp(0, height - 1), x.clamp(0, width - 1)]
    return (found if clamp else found * inside).reshape(height, width)


def mistakes(img, A) -> dict:
    """What the usual mistakes make of a picture."""
    back, swap, alone, apart = A.double().inverse(), torch.eye(3).double()[[1, 0, 2]], A.double(), A.double().inverse()
    alone[:2, 2], apart[:2, 2] = 0, -A[:2, 2].double()
    return {
        "that is a look-up by A itself: use its inverse": looked_up(img, A),
        "x and y are swapped": looked_up(img, swap @ back @ swap),
        "source coordinates were rounded down: take the nearest": looked_up(img, back, torch.floor),
        "source coordinates were cut towards 0: take the nearest": looked_up(img, back, torch.trunc),
        "the edge was repeated: outside is 0": looked_up(img, back, clamp=True),
        "it was warped about the centre: the origin is pixel (0, 0)": looked_up(img, back, about=(5, 3)),
        "the shift is missing": looked_up(img, alone.inverse()),
        "the shift must be turned back, too: invert the whole matrix": looked_up(img, apart),
        "the transpose is the inverse of a pure turn only": looked_up(img, transposed(A.double())),
    }


def transposed(A):
    B = A.clone()
    B[:2, :2] = A[:2, :2].T
    B[:2, 2] = -B[:2, :2] @ A[:2, 2]
    return B


def safe(A, height, width) -> bool:
    """No source coordinate so near a half that rounding could decide it."""
    at = np.array(sources(A, height, width))[..., :2]
    return bool((np.abs(at - np.floor(at) - 0.5) > 5e-3).all())


def affine(angle, zoom_x, zoom_y, shear, shift_x, shift_y):
    c, s = math.cos(angle), math.sin(angle)
    turned = [[zoom_x * c, shear - zoom_y * s, shift_x], [zoom_x * s, zoom_y * c, shift_y], [0.0, 0.0, 1.0]]
    return torch.tensor(turned, dtype=torch.float64)


@question(
    "affine_warp",
    points=3,
    title="Warp a picture by an affine map",
    read="notebooks/rules",
    hints=(
        "Which pixel should you loop over so that every output pixel gets exactly one value: input or output?",
        "For each output pixel ask where it comes from. That is the inverse of A, applied to (x, y, 1), and x is "
        "the column.",
        "Round the source coordinates first, then ask whether they are inside: −0.4 rounds to 0, which is inside. "
        "Index the picture as [row, column], that is [y, x].",
    ),
)
class AffineWarp:
    """out(x', y') = img(round(A^-1 (x', y', 1))), 0 outside   (inverse mapping)"""

    def inputs(self, draw):
        img = draw.uniform(7, 11, low=0.2, high=2.0) * (1 - 2 * draw.integers(0, 2, 7, 11))  # any sign, never 0
        eye = affine(0, 1, 1, 0, 0, 0)

        def case(make):
            A = next(A for A in (make() for _ in range(1000)) if safe(A, 7, 11)).to(draw.dtype)
            return dict(img=img, A=A)

        def some(low, high):
            return draw.uniform(1, low=low, high=high).item()

        return {
            "still": dict(img=img, A=eye.to(draw.dtype)),
            "shift": case(lambda: affine(0, 1, 1, 0, 3, 1)),
            "part": case(lambda: affine(0, 1, 1, 0, some(-2.45, -2.05), some(1.05, 1.45))),
            "turn": case(lambda: affine(some(0.3, 0.6), 1, 1, 0, some(1, 3), some(-2, 0))),
            "grow": case(lambda: affine(0, some(1.7, 2.2), some(1.3, 1.6), 0, some(-3, 0), some(-2, 0))),
            "bend": case(lambda: affine(some(-0.3, -0.1), some(0.6, 0.9), some(1.1, 1.4), some(0.3, 0.6), 1.1, 0.3)),
        }

    def probe(answer, img, A):
        return dict(out=answer(img, A))

    def compare(self, got, given, *cases):
        pairs = [(got[case]["out"], given[case]) for case in cases]
        return both(*(explained(close(mine, warp(**case)), mine, partial(mistakes, **case)) for mine, case in pairs))

    @prop("a shift goes the right way", cause="A maps input to output: look up each output pixel by its inverse")
    def shift(self, got, given):
        return self.compare(got, given, "shift", "still")

    @prop("round first, then fill with 0 outside", cause="take the nearest pixel, then ask whether it is inside")
    def part(self, got, given):
        return self.compare(got, given, "part")

    @prop("no holes when it grows", cause="go through the output's pixels and look each up in the input")
    def grow(self, got, given):
        return self.compare(got, given, "grow")

    @prop("x is the column, y is the row", cause="A acts on (x, y, 1), but the picture is indexed [y, x]")
    def turn(self, got, given):
        return self.compare(got, given, "turn")

    @prop("turn, zoom and shear at once", cause="use the whole inverse matrix, its shift included")
    def bend(self, got, given):
        return self.compare(got, given, "bend")


from genimg_lib.checks import classical_seam  # noqa: E402, F401  the third question of this notebook
