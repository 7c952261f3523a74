"""Checks of 04_likelihood: the mask of a PixelCNN, and the affine coupling layer of a flow."""

import torch

from genimg_lib.checks.compare import arrives, both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient, parts


def visible(k, kind):
    """The mask, position by position in raster order."""
    rows = []
    for row in range(k):
        places = [row * k + column for column in range(k)]
        centre = (k // 2) * k + k // 2
        rows.append([1.0 if place < centre or (place == centre and kind == "B") else 0.0 for place in places])
    return torch.tensor(rows)


@question(
    "pixelcnn_mask", points=1, title="The mask of a PixelCNN", read="notebooks/discrete_latents",
    hints=(
        "Draw a 3 × 3 grid and cross out what has not been written yet when the centre's turn comes, in "
        "reading order.",
        "Three regions: the rows above, the row of the centre, the rows below. Only the middle one needs "
        "care, and only its centre depends on the kind.",
        "The first layer sees the picture itself, so it must not see the pixel it predicts: that is kind "
        "A. Later layers see features that already obey the rule.",
    ),
    mutates=True,  # two plain values go in: there is no tensor to leave alone
)  # fmt: skip
class PixelCNNMask:
    """1 where the kernel may look, in raster order; A hides the centre   (van den Oord et al. 2016, sec. 3.4)"""

    def inputs(self, draw):
        sizes = {"three": 3, "five": 5, "seven": 7, "one": 1}
        return {name: dict(k=k, picture=draw(1, 1, 9, 8), kernel=draw(1, 1, k, k)) for name, k in sizes.items()}

    def probe(answer, k, picture, kernel):
        return dict(A=answer(k, "A"), B=answer(k, "B"))

    @prop("rows above are seen, rows below are not",
          cause="raster order is the order of reading: the kernel sees all of the rows above "
                "its centre, and nothing of those below")  # fmt: skip
    def rows(self, got, given):
        outcomes = []
        for name in ("three", "five", "seven"):
            k = given[name]["k"]
            for kind in "AB":
                want = visible(k, kind)
                mine = tensor(got[name][kind], want)
                other = [row for row in range(k) if row != k // 2]
                outcomes.append(explained(close(mine[other], want[other].double()), mine, {
                    "the mask is transposed: rows come first": want.T,
                    "the mask is upside down": want.flip(0, 1),
                    "1 and 0 are swapped": 1 - want,
                            "this is a triangle of the matrix: raster order runs over whole rows":
                                torch.tril(torch.ones(k, k), -(kind == "A")),
                }))  # fmt: skip
        return both(*outcomes)

    @prop("in the row of the centre, the left is seen and the right is not",
          cause="of its own row the kernel sees only the columns before the centre")  # fmt: skip
    def own_row(self, got, given):
        outcomes = []
        for name in ("three", "five", "seven"):
            middle = given[name]["k"] // 2
            for kind in "AB":
                want = visible(given[name]["k"], kind)
                mine = tensor(got[name][kind], want)[middle]
                sides = [column for column in range(len(mine)) if column != middle]
                outcomes.append(close(mine[sides], want[middle][sides].double()))
        return both(*outcomes)

    @prop("A hides the centre, B shows it",
          cause="A is for the first layer, which must not see the pixel it predicts; B is for "
                "all others")  # fmt: skip
    def centre(self, got, given):
        outcomes = []
        for name in ("three", "five"):
            middle = given[name]["k"] // 2
            a, b = (tensor(got[name][kind], (given[name]["k"],) * 2)[middle, middle] for kind in "AB")
            words = f"expected 0 in A and 1 in B at the centre, got {a:g} and {b:g}"
            outcomes.append(holds(a == 0 and b == 1, words + (": the kinds are swapped" if a == 1 and b == 0 else "")))
        return both(*outcomes)

    @prop("a masked convolution never sees what comes later", weight=1.5,
          cause="put the mask on a kernel and change one pixel: outputs before it must stay, "
                "and with A its own output too")  # fmt: skip
    def causal(self, got, given):
        outcomes = []
        for name in ("three", "seven"):
            k, picture, kernel = given[name]["k"], given[name]["picture"].double(), given[name]["kernel"].double()
            for kind in "AB":
                mask = tensor(got[name][kind], (k, k))
                with torch.enable_grad():
                    x = picture.clone().requires_grad_()
                    out = torch.nn.functional.conv2d(x, kernel * mask, padding=k // 2)
                    seen = torch.autograd.grad(out[0, 0, 4, 4], x)[0][0, 0].flatten() != 0
                here = 4 * picture.shape[-1] + 4
                before = sum((max(0, 4 - k // 2) <= r <= 4) and abs(c - 4) <= k // 2 and r * 8 + c < here
                             for r in range(9) for c in range(8))  # fmt: skip
                late = seen[here + 1 :].any() or (kind == "A" and seen[here])
                outcomes.append(holds(not late, f"with kind {kind} the output sees a pixel that comes later"))
                words = (
                    f"with kind {kind} and k = {k} the output sees {int(seen[:here].sum())} of {before} pixels before"
                )
                outcomes.append(holds(seen[:here].sum() == before, words))
        return both(*outcomes)

    @prop("k = 1: A sees nothing, B sees itself", weight=0.5,
          cause="find the centre at k // 2, also when k is 1")  # fmt: skip
    def one(self, got, given):
        return both(close(got["one"]["A"], visible(1, "A")), close(got["one"]["B"], visible(1, "B")))


def coupling_net(first, w_s, w_t, b):
    """The network of the probe, once more: s and t from the first half."""
    return first @ w_s, first @ w_t + b


@once
def coupled(x, w_s, w_t, b, inverse=False):
    """One number at a time."""
    rows = []
    half = x.shape[1] // 2
    for sample in x:
        s, t = coupling_net(sample[:half], w_s, w_t, b)
        moved = [(v - t[j]) / s[j].exp() if inverse else v * s[j].exp() + t[j] for j, v in enumerate(sample[half:])]
        rows.append(torch.stack([*sample[:half], *moved]))
    return torch.stack(rows)


@once
def log_volume(x, weights, inverse=False):
    """log |det of the Jacobian| of each sample, from the Jacobian itself."""
    with torch.enable_grad():
        jacobians = [
            torch.autograd.functional.jacobian(lambda v: coupled(v[None], *weights, inverse=inverse)[0], sample)
            for sample in x
        ]
    return torch.linalg.slogdet(torch.stack(jacobians))[1]


@question(
    "affine_coupling", points=3, title="The affine coupling layer of Real NVP", read="notebooks/flows",
    hints=(
        "Split x along its last axis into two halves. One goes through the net and comes out untouched: "
        "what does that make of the inverse?",
        "The Jacobian is triangular, so its determinant is the product of its diagonal: d ones and d "
        "scales. Take the logarithm: what is left of exp?",
        "To invert, undo the last step first: subtract, then divide. s and t come from the half that "
        "never changed, so the net itself is never inverted.",
    ),
)  # fmt: skip
class AffineCoupling:
    """y1 = x1, y2 = x2 exp(s(x1)) + t(x1), log det = sum s(x1)   (Dinh et al. 2017, sec. 3.2, eqs. 4–6)"""

    def inputs(self, draw):
        def case(b, d, largest):  # the s of largest size has this size
            x, w_s, w_t, shift, along = draw(b, 2 * d) + 0.3, draw(d, d), draw(d, d), draw(d) + 1, draw(b, 2 * d)
            w_s = w_s * (largest / (x[:, :d] @ w_s).abs().max())
            return dict(x=x, w_s=w_s, w_t=w_t, b=shift, along=along)

        return {"plain": case(5, 3, 2.5), "square": case(4, 4, 8.0), "pair": case(6, 1, 2.0)}

    def probe(answer, x, w_s, w_t, b, along):
        x.requires_grad_(), w_s.requires_grad_(), w_t.requires_grad_()

        def net(first):
            return first @ w_s, first @ w_t + b

        result = parts(answer(x, net), 2)
        y, logdet = result[:2]
        back, back_logdet = parts(answer(x, net, inverse=True), 2)[:2]
        there = isinstance(y, torch.Tensor) and y.shape == x.shape
        again = parts(answer(y, net, inverse=True), 2)[0] if there else None
        return dict(y=y, logdet=logdet, pair=result[1] is not None, back=back, back_logdet=back_logdet, again=again,
                    by_y=gradient(y, x, w_s, w_t, along=along), by_logdet=gradient(logdet, x, w_s),
                    by_back=gradient(back, x, w_s, w_t, along=along))  # fmt: skip

    @prop("forward", weight=2,
          cause="keep the first half and give it to the net; the second half times exp(s), "
                "plus t; first half first")  # fmt: skip
    def forward(self, got, given):
        outcomes = []
        for name in ("square", "plain", "pair"):
            x, *weights = (given[name][key] for key in ("x", "w_s", "w_t", "b"))
            mine, (a, c) = got[name]["y"], x.chunk(2, dim=1)
            (s, t), (s2, t2) = coupling_net(a, *weights), coupling_net(c, *weights)
            outcomes.append(explained(close(mine, coupled(x, *weights)), mine, {
                "the net saw the second half": torch.cat([a, c * s2.exp() + t2], 1),
                "the halves are swapped: the first half passes, the second moves": torch.cat([a * s2.exp() + t2, c], 1),
                "the halves come back in the wrong order": torch.cat([c * s.exp() + t, a], 1),
                "the first half moved too": torch.cat([a * s.exp() + t, c * s.exp() + t], 1),
                "s without exp": torch.cat([a, c * s + t], 1),
                "the shift came before the scale": torch.cat([a, (c + t) * s.exp()], 1),
                "the shift is missing": torch.cat([a, c * s.exp()], 1),
                "this is the inverse": coupled(x, *weights, inverse=True),
                "s and t are swapped": torch.cat([a, c * t.exp() + s], 1),
                "exp(−s) in place of exp(s)": torch.cat([a, c * (-s).exp() + t], 1),
                "only the moved half came back": c * s.exp() + t,
                "s was squashed: here exp(s) takes s as it comes": torch.cat([a, c * torch.tanh(s).exp() + t], 1),
            }))  # fmt: skip
        return both(*outcomes)

    @prop("log-determinant: one number a sample", weight=1.5,
          cause="the sum of s over the d dimensions, for each sample")  # fmt: skip
    def logdet(self, got, given):
        outcomes = [holds(got["plain"]["pair"], "expected two values, (y, logdet), got one")]
        for name in ("plain", "square"):
            x, *weights = (given[name][key] for key in ("x", "w_s", "w_t", "b"))
            s, mine = coupling_net(x.chunk(2, dim=1)[0], *weights)[0], got[name]["logdet"]
            outcomes.append(explained(close(mine, log_volume(x.double(), [w.double() for w in weights]).to(x)), mine, {
                "a mean over the dimensions: a determinant is a product, its logarithm a sum": s.mean(1),
                "the sign is wrong": -s.sum(1),
                "summed over the batch: keep one number a sample": s.sum(0),
                "one number for the whole batch: keep one a sample": s.sum(),
                "averaged over the batch: keep one a sample": s.sum(1).mean(),
                "this is the sum of exp(s), not its logarithm": s.exp().sum(1),
                "this is the determinant: take its logarithm": s.sum(1).exp(),
                "one number an element: sum over the dimensions": s,
                "an axis of length one is left: (B, 1) instead of (B,)": s.sum(1, keepdim=True),
                "without its sign: a log-determinant may be negative": s.sum(1).abs(),
            }))  # fmt: skip
        return both(*outcomes)

    @prop("the inverse undoes it", weight=1.5,
          cause="subtract t, then divide by exp(s); s and t come from the first half of what "
                "came in, which is unchanged")  # fmt: skip
    def inverse(self, got, given):
        outcomes = []
        for name in ("plain", "pair"):
            x, *weights = (given[name][key] for key in ("x", "w_s", "w_t", "b"))
            mine, (a, c) = got[name]["back"], x.chunk(2, dim=1)
            s, t = coupling_net(a, *weights)
            outcomes.append(explained(close(mine, coupled(x, *weights, inverse=True)), mine, {
                "the forward pass once more": coupled(x, *weights),
                "divided before subtracting": torch.cat([a, c * (-s).exp() - t], 1),
                "subtracted, then multiplied": torch.cat([a, (c - t) * s.exp()], 1),
            }))  # fmt: skip
            outcomes.append(close(got[name]["again"], x, atol=2e-5 if x.dtype == torch.float32 else None))
        return both(*outcomes)

    @prop("the inverse's log-determinant is −sum s",
          cause="an inverse shrinks what the layer has stretched: minus the sum")  # fmt: skip
    def inverse_logdet(self, got, given):
        x, *weights = (given["plain"][key] for key in ("x", "w_s", "w_t", "b"))
        want = log_volume(x.double(), [w.double() for w in weights], inverse=True).to(x)
        mine = got["plain"]["back_logdet"]
        return explained(close(mine, want), mine, {"the sign was not turned for the inverse": -want})

    @prop("the net can be trained",
          cause="s, t and x stay in the graph, in y and in the log-determinant, there and back: no detach")  # fmt: skip
    def graph(self, got, given):
        *leaves, b, along = (given["plain"][key].double().clone() for key in ("x", "w_s", "w_t", "b", "along"))
        with torch.enable_grad():
            x, *w = (leaf.requires_grad_() for leaf in leaves)
            by_y = torch.autograd.grad((coupled(x, *w, b) * along).sum(), (x, *w))
            by_back = torch.autograd.grad((coupled(x, *w, b, inverse=True) * along).sum(), (x, *w))
            by_logdet = torch.autograd.grad(coupling_net(x[:, :3], *w, b)[0].sum(), (x, w[0]))
        mine, outcomes = got["plain"], []
        for name, wants in (("by_y", by_y), ("by_logdet", by_logdet), ("by_back", by_back)):
            for i, (g, want) in enumerate(zip(mine[name], wants, strict=True)):
                where = "the net's weights" if i else "x"
                outcomes.append(arrives(g, want.to(given["plain"]["x"]), where, rtol=1e-3, atol=1e-4))
        return both(*outcomes)
