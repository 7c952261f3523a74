"""Checks of 06_evaluation, continued: precision and recall by nearest neighbours."""

import torch

from genimg_lib.checks.compare import Outcome, both, close, holds, once
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import number, parts


def squares(A, B):
    """Squared distances; exact for the grids that the inputs are drawn on."""
    return (A.double()[:, None] - B.double()[None]).square().sum(-1)


def radii(centres, k, itself=False):
    """Squared distance of every centre to its k-th other centre."""
    found = []
    for i, row in enumerate(squares(centres, centres).tolist()):
        found.append(sorted(row if itself else row[:i] + row[i + 1 :])[k - 1])
    return torch.tensor(found, dtype=torch.float64)


@once
def share_inside(centres, points, k):
    """The share of points inside at least one ball around a centre, reaching to the centre's k-th neighbour."""
    return (squares(points, centres) <= radii(centres, k)).any(1).double().mean()


def balls(hit):
    """Both numbers of a rule `hit(centres, points, k)` that says which points count."""
    return lambda R, F, k: (hit(R, F, k).double().mean(), hit(F, R, k).double().mean())


def within(radius):
    return balls(lambda A, B, k: (squares(B, A) <= radius(A, k)).any(1))


MISTAKES = {
    "precision and recall are swapped": lambda R, F, k: (share_inside(F, R, k), share_inside(R, F, k)),
    "a point counted as its own neighbour": within(lambda A, k: radii(A, k, itself=True)),
    "one neighbour too far": within(lambda A, k: radii(A, min(k + 1, len(A) - 1))),
    "k is ignored: always the nearest": within(lambda A, k: radii(A, 1)),
    "< in place of ≤": balls(lambda A, B, k: (squares(B, A) < radii(A, k)).any(1)),
    "a point must lie in every ball here: one is enough":
        balls(lambda A, B, k: (squares(B, A) <= radii(A, k)).all(1)),
    "this is the share of balls with a point inside (coverage), not of points inside":
        balls(lambda A, B, k: (squares(B, A) <= radii(A, k)).any(0)),
    "a share of all pairs: ask any over the balls, then average over the points":
        balls(lambda A, B, k: squares(B, A) <= radii(A, k)),
    "each radius belongs to the point that is judged: it belongs to the ball's centre":
        balls(lambda A, B, k: (squares(B, A) <= radii(B, k)[:, None]).any(1)),
    "one radius for all, the mean of them": within(lambda A, k: radii(A, k).sqrt().mean() ** 2),
    "one radius for all, the largest of them": within(lambda A, k: radii(A, k).max()),
    "distances compared with squared radii": within(lambda A, k: radii(A, k) ** 2),
    "both numbers are precision": lambda R, F, k: (share_inside(R, F, k),) * 2,
    "points at distance 0 were left out, not the point itself":
        within(lambda A, k: squares(A, A).masked_fill(squares(A, A) == 0, float("inf")).sort(1).values[:, k - 1]),
}  # fmt: skip


def mistaken(got, given) -> str:
    """The one mistake that explains both numbers of every case, as an ending of a message; "" without one."""
    for clause, rule in MISTAKES.items():
        pairs = [
            (got[case][name], want)
            for case in given
            for name, want in zip(("precision", "recall"), rule(**given[case]), strict=True)
        ]
        if all(close(mine, want, rtol=1e-4).passed for mine, want in pairs):
            return f": {clause}"
    return ""


@question(
    "knn_precision_recall", points=3, title="Precision and recall by nearest neighbours", read="notebooks/judging",
    hints=(
        "A set of points becomes a region: the union of a ball around each point, as large as the "
        "distance to its k-th neighbour in the same set. Precision asks which fakes lie in the real "
        "region.",
        "In a matrix of distances of a set to itself the diagonal is zero: each point is its own nearest. "
        "Either take it away or count one further.",
        "Each centre has its own radius: compare a distance with the radius of that centre, along the "
        "right axis, then ask any over centres and mean over points. Recall is the same with the roles "
        "exchanged.",
    ),
)  # fmt: skip
class KNNPrecisionRecall:
    """Precision: the share of F inside R's balls; recall: of R inside F's   (Kynkäänniemi et al. 2019, eq. 2)"""

    def inputs(self, draw):
        def grid(x):  # coordinates in 64ths: squared distances are exact, whichever formula computes them
            return (x * 64).round() / 64

        def case(shared, only_real, only_fake, d, k):
            far = 12.0
            R = torch.cat([draw(shared, d), draw(only_real, d) + far])
            F = torch.cat([draw(shared + 3, d) * 1.3, draw(only_fake, d) - far])
            return dict(R=grid(R[torch.randperm(len(R), generator=draw.generator)]), F=grid(F), k=k)

        def line(*places):  # the same numbers on a slanted line, where distances are five times as large
            return (torch.tensor(places, dtype=draw.dtype) + offset)[:, None] * torch.tensor(
                [3.0, 4.0], dtype=draw.dtype
            )

        offset = draw.integer(1, 9)
        return {
            "plain": case(31, 19, 15, 3, 3),
            "nearest": case(22, 9, 14, 2, 1),
            "wide": case(23, 16, 21, 5, 5),
            "ties": dict(R=line(0, 2, 10, 14), F=line(4, 6, 6.5, 19, 40), k=1),
            "twins": dict(R=line(0, 0, 10, 12, 30), F=line(3, 11, 0.5, 20, -4), k=1),
        }

    def probe(answer, R, F, k):
        result = parts(answer(R, F, k), 2)
        given = sum(value is not None for value in result)
        return dict(precision=number(result[0]), recall=number(result[1]), count=given)

    def compare(self, got, given, which, *cases):
        outcomes = []
        for case in cases:
            R, F, k = (given[case][name] for name in ("R", "F", "k"))
            want = share_inside(R, F, k) if which == "precision" else share_inside(F, R, k)
            outcomes.append(close(got[case][which], want))
        outcome = both(*outcomes)
        return outcome if outcome.passed else Outcome(False, outcome.message + mistaken(got, given))

    @prop("precision", weight=1.5,
          cause="the share of fakes inside at least one ball around a real sample; each ball "
                "has its own radius, the distance to that sample's k-th other real one")  # fmt: skip
    def precision(self, got, given):
        pair = holds(got["plain"]["count"] == 2, f"expected (precision, recall), got {got['plain']['count']} values")
        return both(pair, self.compare(got, given, "precision", "plain", "wide", "nearest"))

    @prop("recall", weight=1.5,
          cause="the same with the roles exchanged: balls around fakes, the share of real "
                "samples inside")  # fmt: skip
    def recall(self, got, given):
        return self.compare(got, given, "recall", "plain", "wide", "nearest")

    @prop("k = 1: the nearest other point",
          cause="a point is not its own neighbour: with k = 1 no radius is 0 here")  # fmt: skip
    def nearest(self, got, given):
        return both(*(self.compare(got, given, which, "nearest") for which in ("precision", "recall")))

    @prop("on the edge is inside", weight=0.5, cause="a distance equal to the radius counts: ≤, not <")
    def ties(self, got, given):
        return both(*(self.compare(got, given, which, "ties") for which in ("precision", "recall")))

    @prop("a twin is a neighbour", weight=0.5,
          cause="leave out the point itself by its index, not by its distance: another sample "
                "at distance 0 is a neighbour like any other")  # fmt: skip
    def twins(self, got, given):
        return both(*(self.compare(got, given, which, "twins") for which in ("precision", "recall")))
