"""The checks of 01_classical: principal components, a warp, and the cheapest seam."""

import itertools
import math

import numpy as np
import torch

from genimg_lib.checks.compare import Outcome, both, close, holds, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import whole_numbers


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
    read="book/concepts/distributions",
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
        return both(*(close(got[case]["out"], reconstruct(**given[case]), rtol=1e-3, atol=1e-4)
                      for case in ("k = 1", "k = 2", "k = 4")))  # fmt: skip

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


def sources(A, height, width):
    """For each output pixel (row by row) the input coordinates (x, y), in exact-enough arithmetic."""
    back = np.linalg.inv(A.double().numpy())
    return [[back @ (x, y, 1) for x in range(width)] for y in range(height)]


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
        img = draw.uniform(7, 11, low=0.2, high=1.0)
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
        return both(*(close(got[case]["out"], warp(**given[case])) for case in cases))

    @prop("a shift goes the right way", cause="A maps input to output: look up each output pixel by its inverse")
    def shift(self, got, given):
        return self.compare(got, given, "shift", "still")

    @prop("x is the column, y is the row", cause="swap nothing: A acts on (x, y, 1), the picture is indexed [y, x]")
    def axes(self, got, given):
        return self.compare(got, given, "turn")

    @prop("no holes when it grows", cause="go through the output's pixels, not the input's")
    def grow(self, got, given):
        return self.compare(got, given, "grow")

    @prop(
        "round first, then fill with 0 outside", cause="nearest pixel by rounding, not floor; no clamping to the edge"
    )
    def edges(self, got, given):
        return self.compare(got, given, "part")

    @prop("turn, zoom and shear at once", cause="use the whole inverse matrix, its shift included")
    def bend(self, got, given):
        return self.compare(got, given, "bend")


def cost(E, seam) -> float:
    return sum(float(E[row, column]) for row, column in enumerate(seam))


def cheapest(E) -> float:
    """The lowest cost, by trying every seam from every start: 3^(H-1) · W of them."""
    height, width = E.shape
    best = math.inf
    for start in range(width):
        for steps in itertools.product((-1, 0, 1), repeat=height - 1):
            seam = list(itertools.accumulate(steps, initial=start))
            if 0 <= min(seam) and max(seam) < width:
                best = min(best, cost(E, seam))
    return best


def is_seam(seam, E) -> Outcome:
    """H whole numbers, inside the picture, each at most one column from the last."""
    height, width = E.shape
    if not isinstance(seam, list) or not all(type(column) is int for column in seam):
        kind = seam if isinstance(seam, str) else type(seam).__name__
        return Outcome(False, f"expected a list of {height} ints, got {kind}")
    if len(seam) != height:
        return Outcome(False, f"expected {height} columns, one a row, got {len(seam)}")
    outside = [column for column in seam if not 0 <= column < width]
    if outside:
        return Outcome(False, f"column {outside[0]} is outside 0 to {width - 1}")
    jump = next((row for row in range(1, height) if abs(seam[row] - seam[row - 1]) > 1), None)
    return Outcome(
        jump is None, "" if jump is None else f"row {jump} is {abs(seam[jump] - seam[jump - 1])} columns off"
    )


@question(
    "min_error_seam",
    points=3,
    title="The cheapest seam",
    read="notebooks/rules",
    hints=(
        "The best seam to a pixel goes through the best seam to one of the three pixels above it.",
        "Fill a table of the cheapest cost from the top to each pixel, row by row. At the left and right edge "
        "only two pixels are above.",
        "The seam ends at the smallest entry of the last row. Walk back up: in each row take the cheapest of the "
        "neighbours above, then reverse what you collected.",
    ),
)
class MinErrorSeam:
    """Dynamic programming over rows   (Efros & Freeman 2001, sec. 2.1)"""

    def inputs(self, draw):
        def carved(height, width, seam):
            E = draw.uniform(height, width, low=1.0, high=2.0)
            for row, column in enumerate(seam):
                E[row, column] = 0.3 + 0.1 * E[row, column]
            return E

        trap = carved(6, 5, [4, 3, 3, 2, 2, 1])
        trap[0, 0], trap[1, :2] = 0.01, 9  # the cheapest start leads nowhere
        steps = carved(6, 4, [3, 2, 1, 0, 1, 2])
        ties = draw.integers(1, 3, 6, 4).to(draw.dtype)
        for row, column in enumerate([0, 1, 2, 3, 2, 1]):
            ties[row, column] = 0
        row = draw.uniform(1, 6, low=1.0, high=2.0)
        row[0, 4] = 0.5
        return {
            "drawn": dict(E=draw.uniform(7, 5)), "wide": dict(E=draw.uniform(4, 9)), "steps": dict(E=steps),
            "trap": dict(E=trap), "edges": dict(E=carved(6, 4, [0, 0, 1, 2, 3, 3])), "ties": dict(E=ties),
            "wrap": dict(E=carved(6, 4, [0, 0, 0, 3, 3, 3])), "row": dict(E=row), "column": dict(E=draw.uniform(5, 1)),
        }  # fmt: skip

    def probe(answer, E):
        return dict(seam=whole_numbers(answer(E)))

    def best(self, got, given, *cases):
        for case in cases:
            E, seam = given[case]["E"], got[case]["seam"]
            outcome = is_seam(seam, E)
            if not outcome.passed:
                return outcome
            least, paid = cheapest(E), cost(E, seam)
            if paid > least + 1e-5:
                return Outcome(False, f"the seam costs {paid:.5g}, the cheapest {least:.5g}")
        return Outcome(True)

    @prop("a connected seam", cause="one column a row, top to bottom; neighbours differ by at most 1")
    def connected(self, got, given):
        E, seam = given["steps"]["E"], got["steps"]["seam"]
        outcome = both(is_seam(seam, E), *(is_seam(got[c]["seam"], given[c]["E"]) for c in ("drawn", "wrap")))
        straight = E.sum(0).min()
        return both(outcome, holds(outcome.passed and cost(E, seam) < straight, "a straight cut would be cheaper"))

    @prop("the cheapest", weight=2, cause="cost to a pixel = its own + the least of the three above it")
    def value(self, got, given):
        return self.best(got, given, "drawn", "wide", "ties")

    @prop("not fooled by a cheap start", cause="greedy steps cannot look ahead: fill the whole table first")
    def trap(self, got, given):
        return self.best(got, given, "trap")

    @prop(
        "right at the edges",
        cause="the first column has no left neighbour: index −1 or roll comes out on the other side",
    )
    def edges(self, got, given):
        return self.best(got, given, "edges", "wrap")

    @prop("one row, one column", cause="with one row the seam is its minimum; with one column it is straight")
    def thin(self, got, given):
        return self.best(got, given, "row", "column")
