"""The checks of 01_classical, continued: the cheapest seam."""

import itertools
import math

from genimg_lib.checks.compare import Outcome, both, holds, once
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import whole_numbers


def cost(E, seam) -> float:
    return sum(float(E[row, column]) for row, column in enumerate(seam))


@once
def cheapest(E) -> float:
    """The lowest cost, by trying every seam from every start: 3^(H-1) · W of them."""
    (height, width), E = E.shape, E.tolist()
    best = math.inf
    for start in range(width):
        for steps in itertools.product((-1, 0, 1), repeat=height - 1):
            seam = list(itertools.accumulate(steps, initial=start))
            if 0 <= min(seam) and max(seam) < width:
                best = min(best, sum(line[column] for line, column in zip(E, seam, strict=True)))
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
        def carved(height, width, seam, around=0.0):
            E = draw.uniform(height, width, low=1.0, high=2.0) + around
            for row, column in enumerate(seam):
                E[row, column] = 0.3 + 0.1 * (E[row, column] - around)
            return E

        trap = carved(6, 5, [4, 3, 3, 2, 2, 1])
        trap[0, 0], trap[1, :2] = 0.01, 9  # the cheapest start leads nowhere
        steps = carved(6, 4, [3, 2, 1, 0, 1, 2])
        ties = draw.integers(1, 3, 6, 4).to(draw.dtype)
        for row, column in enumerate([0, 1, 2, 3, 2, 1]):
            ties[row, column] = 0
        large = carved(6, 6, [2, 3, 4, 5, 4, 4], around=3) * 1e5  # no number is big enough to stand for infinity
        large[:, 0], large[4, 4] = 0.9e5, 2.6e5  # one dear step is better than many that are not cheap
        row = draw.uniform(1, 6, low=1.0, high=2.0)
        row[0, 4] = 0.5
        return {
            "drawn": dict(E=draw.uniform(7, 5)), "wide": dict(E=draw.uniform(4, 9)), "steps": dict(E=steps),
            "trap": dict(E=trap), "edges": dict(E=carved(6, 4, [0, 0, 1, 2, 3, 3])), "ties": dict(E=ties),
            "wrap": dict(E=carved(6, 4, [0, 0, 0, 3, 3, 3], 3)), "large": dict(E=large),
            "wrap left": dict(E=carved(6, 4, [3, 3, 3, 0, 0, 0], 3)), "row": dict(E=row),
            "column": dict(E=draw.uniform(5, 1)),
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
            if paid > least * (1 + 1e-5) + 1e-5:
                return Outcome(False, f"the seam costs {paid:.5g}, the cheapest {least:.5g}")
        return Outcome(True)

    @prop("a connected seam", cause="one column a row, top to bottom; neighbours differ by at most 1")
    def connected(self, got, given):
        E, seam = given["steps"]["E"], got["steps"]["seam"]
        outcome = both(is_seam(seam, E), *(is_seam(got[c]["seam"], given[c]["E"]) for c in ("drawn", "wrap")))
        straight = E.sum(0).min()
        return both(outcome, holds(outcome.passed and cost(E, seam) < straight - 0.1, "a straight cut is as cheap"))

    @prop("the cheapest", weight=2, cause="cost to a pixel = its own + the least of the three above it")
    def value(self, got, given):
        return self.best(got, given, "drawn", "wide", "ties", "large")

    @prop("not fooled by a cheap start", cause="greedy steps cannot look ahead: fill the whole table first")
    def trap(self, got, given):
        return self.best(got, given, "trap")

    @prop(
        "right at the edges",
        cause="the first column has no left neighbour: index −1 or roll comes out on the other side",
    )
    def edges(self, got, given):
        return self.best(got, given, "edges", "wrap", "wrap left")

    @prop("one row, one column", cause="with one row the seam is its minimum; with one column it is straight")
    def thin(self, got, given):
        return self.best(got, given, "row", "column")
