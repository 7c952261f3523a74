"""The checks of 02_vae, continued: two ways to quantise a latent."""

import math

import torch

from genimg_lib.checks.compare import Misfit, both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient, parts


@once
def nearest(ze, codebook):
    """Index of the nearest code, one row and one code at a time."""
    return torch.tensor([min(range(len(codebook)), key=lambda k: float((row - codebook[k]).norm())) for row in ze])


@question(
    "vq_straight_through",
    points=4,
    title="Vector quantisation with a straight-through gradient",
    read="notebooks/discrete_latents",
    hints=(
        "Three parts: find the nearest code, say how far off it is, and let the gradient pass the lookup.",
        "The two loss terms have the same value. They differ in which of the two sides stands still: "
        "the codebook term moves the codes, the commitment term moves the encoder.",
        "For the straight-through output write ze plus a difference through which no gradient flows: in the "
        "forward pass it lands on the code, in the backward pass only ze is left.",
    ),
)
class VQStraightThrough:
    """VQ-VAE's quantiser   (van den Oord et al. 2017, eq. 1 to 3)"""

    def inputs(self, draw):
        lengths = torch.linspace(0.4, 2.5, 7, dtype=draw.dtype)[torch.randperm(7, generator=draw.generator)]
        codebook, ze = draw(7, 3) * lengths[:, None] + 1, draw(300, 3) * 2 + 1
        nearest, second = torch.cdist(ze.double(), codebook.double()).topk(2, largest=False).values.T
        ze = ze[second - nearest > 0.1]  # no near ties
        code = torch.cdist(ze, codebook).argmin(1)
        unit = torch.nn.functional.normalize(codebook, dim=1)
        wrong = [(ze @ codebook.T).argmax(1), (ze @ unit.T).argmax(1)]
        wrong += [torch.cdist(ze, codebook, p=p).argmin(1) for p in (1.0, math.inf)]
        misled = [(found != code).nonzero()[:2, 0] for found in wrong]  # two rows for each wrong measure of distance
        ze = ze[torch.cat([*misled, torch.arange(len(ze))]).tolist()]
        ze = ze[[i for i, row in enumerate(ze.tolist()) if row not in ze[:i].tolist()][:12]]
        return {"plain": dict(ze=ze, codebook=codebook), "heavy": dict(ze=ze, codebook=codebook, beta=2.0)}

    def probe(answer, ze, codebook, **beta):
        result = answer(ze.requires_grad_(), codebook.requires_grad_(), **beta)
        count = len(result) if isinstance(result, tuple | list) else 1
        zq, idx, loss, *_ = parts(result, 3)
        along = 1 + torch.arange(ze.numel(), dtype=ze.dtype).reshape(ze.shape) / 5
        through = gradient(zq, ze, codebook, along=along)
        moved = gradient(loss, ze, codebook)
        return dict(zq=zq, idx=idx, loss=loss, through=list(through), moved=list(moved), count=count)

    @once
    def want(self, ze, codebook, beta=0.25):
        """Loss and its two gradients, term by term."""
        idx = nearest(ze, codebook)
        off = ze - codebook[idx]
        moved = torch.zeros_like(codebook)
        for row, k in zip(off, idx, strict=True):
            moved[k] -= 2 * row / off.numel()
        return (1 + beta) * (off**2).mean(), 2 * beta * off / off.numel(), moved

    @prop("the nearest code", weight=2, cause="smallest Euclidean distance to each code; return (zq, idx, loss)")
    def code(self, got, given):
        ze, codebook = given["plain"].values()
        idx, mine, count = nearest(ze, codebook), got["plain"]["idx"], got["plain"]["count"]
        unit = torch.nn.functional.normalize(codebook, dim=1)
        return both(
            holds(count == 3, f"expected three results, (zq, idx, loss), got {count}"),
            holds(not torch.is_tensor(mine) or not mine.is_floating_point(), "expected idx to be integers, got floats"),
            explained(close(mine, idx), mine, lambda: {
                "the largest dot product prefers long codes": (ze @ codebook.T).argmax(1),
                "the angle alone does not tell the distance": (ze @ unit.T).argmax(1),
                "these are the farthest codes": torch.cdist(ze, codebook).argmax(1),
            }),
            close(got["plain"]["zq"], codebook[idx]),
        )  # fmt: skip

    @prop("loss value", cause="mean squared distance, once for the codebook and beta times for the commitment")
    def loss(self, got, given):
        outcomes = []
        for case, beta in (("plain", 0.25), ("heavy", 2.0)):
            mine, want = got[case]["loss"], self.want(**given[case])[0]
            outcomes.append(explained(close(mine, want), mine, {
                "a sum over the D numbers of a row: take the mean of all": 3 * want,
                "a sum over everything: take the mean": 36 * want,
                "the commitment term is missing": want / (1 + beta),
                "only the commitment term is there: is the other taken after zq became ze?": want * beta / (1 + beta),
                "beta is 0.25 when it is not given": 2 * want / (1 + beta),
            }))  # fmt: skip
        return both(*outcomes)

    @prop(
        "zq passes its gradient to ze unchanged",
        cause="ze + (zq − ze) with the gradient of the bracket stopped",
    )
    def through(self, got, given):
        ze, codebook = given["plain"].values()
        along = 1 + torch.arange(ze.numel(), dtype=ze.dtype).reshape(ze.shape) / 5
        to_ze, to_codes = got["plain"]["through"]
        return both(
            holds(not close(got["plain"]["zq"], ze).passed, "zq is still ze: nothing was quantised"),
            close(to_ze, along),
            holds(not tensor(to_codes, codebook).any(), "and none of it may reach the codebook"),
        )

    @prop(
        "each loss term moves its own side",
        cause="codebook term: stop the gradient of ze; commitment: of the code",
    )
    def sides(self, got, given):
        for case in ("plain", "heavy"):
            _, to_ze, to_codes = self.want(**given[case])
            beta, (mine, codes) = given[case].get("beta", 0.25), got[case]["moved"]
            outcome = both(
                explained(close(mine, to_ze), mine, {
                    "nothing was stopped: both terms pull at ze": to_ze * (1 + beta) / beta,
                    "beta belongs to the term that moves ze": to_ze / beta,
                }),
                close(codes, to_codes),
            )  # fmt: skip
            if not outcome.passed:
                return outcome
        return outcome


def levels(q, z) -> torch.Tensor:
    """The integers that came back, or a Misfit."""
    q = tensor(q, z)
    off = (q - q.round()).abs().max().item()
    if off > 1e-3:
        raise Misfit(f"expected integers, got {q[(q - q.round()).abs() > 1e-3][0].item():.5g}")
    return q.round()


@question(
    "fsq_quantize",
    points=4,
    title="Finite scalar quantisation",
    read="notebooks/discrete_latents",
    hints=(
        "First squeeze every number into an interval of length L − 1 or so, smoothly. Then round.",
        "An interval symmetric about 0 holds an odd number of integers. For an even L shift it by a half.",
        "Rounding has gradient 0. Keep the smooth value and add to it the rounding error, with the gradient "
        "of that error stopped: forwards an integer, backwards the smooth bound.",
    ),
)
class FSQQuantize:
    """Bound smoothly, round to L levels, straight-through   (Mentzer et al. 2024, sec. 3.1)"""

    def inputs(self, draw):
        sweep = torch.linspace(-9, 9, 2 * 3 * 301, dtype=torch.float64).to(draw.dtype)
        order = torch.randperm(len(sweep), generator=draw.generator)
        cases = {f"L = {L}": dict(z=sweep[order].reshape(2, 301, 3), L=L) for L in (3, 4, 5, 7, 8)}
        return cases | {
            "near": dict(z=draw.uniform(4, 5, 6, low=-3, high=3), L=3),
            "same": dict(z=sweep[::86], L=6),
        }

    def probe(answer, z, L):
        q = answer(z.requires_grad_(), L)
        flat = z.detach().flatten()
        apart = answer(flat[flat.abs() < 1][:, None], L)
        return dict(q=q, apart=apart, grad=gradient(q, z))

    def count(self, got, given, sizes):
        for L in sizes:
            found = levels(got[f"L = {L}"]["q"], given[f"L = {L}"]["z"]).unique()
            if len(found) != L or found[-1] - found[0] != L - 1:
                listed = ", ".join(f"{value:g}" for value in found[:12].tolist())
                return holds(False, f"for L = {L} expected {L} consecutive integers, got {len(found)}: {listed}")
        return holds(True, "")

    @prop(
        "exactly L levels for odd L",
        cause="the bound must reach from −(L − 1)/2 to (L − 1)/2, and stay there",
    )
    def odd(self, got, given):
        return self.count(got, given, (3, 5, 7))

    @prop(
        "exactly L levels for even L",
        cause="±(L − 1)/2 is a half here: shift the interval by a half before rounding",
    )
    def even(self, got, given):
        return self.count(got, given, (4, 8))

    @prop("levels never fall as z rises", cause="the bound must be monotone: tanh or a sigmoid")
    def monotone(self, got, given):
        for L in (5, 8):
            z, q = given[f"L = {L}"]["z"], levels(got[f"L = {L}"]["q"], given[f"L = {L}"]["z"])
            steps = q.flatten()[z.flatten().argsort()].diff()
            if (steps < 0).any() or not steps.any():
                return holds(False, f"for L = {L} a larger z got a lower level, or all got the same")
        return holds(True, "")

    @prop(
        "every number by itself",
        cause="work element by element, whatever the shape; no statistics of the batch",
    )
    def alone(self, got, given):
        z = given["near"]["z"]
        q = levels(got["near"]["q"], z)
        inner = q.flatten()[z.flatten().abs() < 1]
        return both(
            holds(len(q.unique()) == 3, "between −3 and 3 all three levels of L = 3 must occur"),
            close(tensor(got["near"]["apart"], inner[:, None].shape).round().flatten(), inner),
        )

    @prop(
        "gradient above 0 between −3 and 3",
        cause="rounding has gradient 0, a hard clamp too: bound smoothly, stop the rounding's",
    )
    def gradients(self, got, given):
        z = given["near"]["z"]
        q, grad = levels(got["near"]["q"], z), tensor(got["near"]["grad"], z)
        return both(
            holds(len(q.unique()) > 1, "expected more than one level"),
            holds(
                (grad > 0).all(),
                f"the gradient is 0 or less in {int((grad <= 0).sum())} of {grad.numel()} places",
            ),
        )
