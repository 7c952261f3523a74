"""05 Diffusion, third part: guidance, straight paths and their sampler, a conditioned block."""

import torch

from genimg_lib.checks.compare import both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import parts

DIFFUSION, FLOW = "notebooks/diffusion", "notebooks/flow_matching"


@question("cfg_predict", points=2, title="Classifier-free guidance", read=FLOW, hints=(
    "Two predictions, with the condition and without. Which way does their difference point?",
    "Start at the unconditional one and walk along the difference. How far must you walk to arrive at the other?",
    "To save time stack both questions into one batch: then x and t double as well, and the halves come back "
    "in order.",
))  # fmt: skip
class CfgPredict:
    """uncond + w (cond - uncond)   (Ho & Salimans 2022; here w = 1 is conditional)"""

    def inputs(self, draw):
        null = draw(1, 5).repeat(3, 1)
        same = dict(x=draw(3, 2, 4, 5), t=draw.uniform(3), weight=draw(5, 2), c=draw(3, 5), null=null)
        labels = dict(same, weight=draw(7, 2), c=draw.integers(0, 6, 3), null=torch.full((3,), 6))
        return {"none": dict(same, w=0.0), "plain": dict(same, w=1.0), "strong": dict(same, w=4.5),
                "against": dict(same, w=-0.7), "labels": dict(labels, w=2.5)}  # fmt: skip

    def probe(answer, x, t, weight, c, null, w):
        seen = []

        def model(x, t, c):
            seen.append(len(x))
            told = weight[c] if c.dtype == torch.int64 else c @ weight
            told = told[:, :, None, None]
            return torch.tanh(x * told + t.reshape(-1, 1, 1, 1) * x.flip(3)) + told

        out = answer(model, x, t, c, null, w)
        return dict(out=out, seen=seen)

    @once
    def want(self, x, t, weight, c, null, w):
        def one(i, c):
            told = weight[c[i]] if c.dtype == torch.int64 else (c[i][:, None] * weight).sum(0)
            told = told[:, None, None]
            return torch.tanh(x[i] * told + t[i] * x[i].flip(2)) + told

        return torch.stack([(1 - w) * one(i, null) + w * one(i, c) for i in range(len(x))])

    @prop("w = 1 is conditional", cause="uncond + w · (cond - uncond); the paper's own w is one less: "
          "(1 + w) cond - w uncond is another convention")  # fmt: skip
    def plain(self, got, given):
        case, mine = given["plain"], got["plain"]["out"]
        return explained(close(mine, self.want(**case)), mine, lambda: {
            "this is (1 + w) cond - w uncond, the paper's own w": self.want(**case | {"w": 2.0}),
            "this is the unconditional one: are the halves swapped?": self.want(**case | {"w": 0.0}),
        })  # fmt: skip

    @prop("w = 0 is unconditional", cause="at w = 0 the condition must have no say")
    def none(self, got, given):
        return close(got["none"]["out"], self.want(**given["none"]))

    @prop("w beyond 1 goes further", 2, cause="walk from uncond past cond; check which half of a doubled "
          "batch is which")
    def strong(self, got, given):
        return both(close(got["strong"]["out"], self.want(**given["strong"])),
                    close(got["against"]["out"], self.want(**given["against"])))  # fmt: skip

    @prop("labels as conditions", cause="c and null may be whole numbers of shape (B,): do not mix or average them")
    def labels(self, got, given):
        return close(got["labels"]["out"], self.want(**given["labels"]))

    @prop("at most two evaluations a sample", cause="one prediction with c, one with null, each once")
    def cost(self, got, given):
        right = close(got["strong"]["out"], self.want(**given["strong"]))
        most = max(sum(got[name]["seen"]) for name in given) / 3
        return both(right, holds(most <= 2, f"the model saw each sample {most:g} times"))


@question("rf_pair", points=1, title="A training pair for rectified flow", read=FLOW, hints=(
    "Draw a line from a noise sample to a picture. Where are you after the fraction t of the way?",
    "The target is the velocity along that line. Does it depend on t?",
    "t has one number a sample: give it trailing axes before it multiplies x0 and x1. And mind where data sits here.",
))  # fmt: skip
class RfPair:
    """x_t = (1 - t) x0 + t x1, target x1 - x0; x0 noise, x1 data   (Liu et al. 2023, eq. 1)"""

    def inputs(self, draw):
        def case(*shape):
            return dict(x0=draw(*shape), x1=draw(*shape) + 1, t=draw.uniform(shape[0], low=0.05, high=0.4))

        ends = dict(case(4, 3, 2, 5), t=torch.tensor([0.0, 1.0, 0.0, 1.0], dtype=draw.dtype))
        return {"images": case(3, 2, 5, 4), "ends": ends, "vectors": case(5, 3), "numbers": case(4),
                "as wide as the batch": case(4, 3, 5, 4)}  # fmt: skip

    def probe(answer, x0, x1, t):
        pair = parts(answer(x0, x1, t), 2)
        return dict(count=len(pair), xt=pair[0], target=pair[1])

    def path(self, x0, x1, t):
        return torch.stack([a + k * (b - a) for a, b, k in zip(x0, x1, t.tolist(), strict=True)])

    @prop("noise at t = 0, data at t = 1", cause="x0 is the noise and t = 0 its time: x_t = (1 - t) x0 + t x1")
    def ends(self, got, given):
        x0, x1 = given["ends"]["x0"], given["ends"]["x1"]
        return close(got["ends"]["xt"], torch.stack([x0[0], x1[1], x0[2], x1[3]]))

    @prop("the straight line between", cause="the weights 1 - t and t are not squared, rooted or swapped")
    def between(self, got, given):
        case, mine = given["images"], got["images"]["xt"]
        t = case["t"].reshape(-1, 1, 1, 1)
        return explained(close(mine, self.path(**case)), mine, lambda: {
            "time is turned round": t * case["x0"] + (1 - t) * case["x1"],
            "roots belong to diffusion, not here": (1 - t).sqrt() * case["x0"] + t.sqrt() * case["x1"],
        })  # fmt: skip

    @prop("the target is the velocity", cause="d x_t / dt along the line: x1 - x0, from noise to data, whatever t")
    def target(self, got, given):
        count = got["images"]["count"]
        want = given["images"]["x1"] - given["images"]["x0"]
        mine, case = got["images"]["target"], given["images"]
        return both(holds(count == 2, f"expected two results (x_t, target), got {count}"),
                    explained(close(mine, want), mine, lambda: {
                        "it points from data to noise": -want,
                        "this is what is left of the way": case["x1"] - self.path(**case),
                        "this is the picture": case["x1"],
                    }))  # fmt: skip

    @prop("any rank, every sample by its own t", cause="reshape t to (B, 1, ..., 1), one 1 for every further axis")
    def rank(self, got, given):
        names = ("vectors", "numbers", "as wide as the batch")
        return both(*(close(got[name]["xt"], self.path(**given[name])) for name in names))


@question("euler_sample", points=2, title="Integrate a velocity field with Euler", read=FLOW, hints=(
    "Each of the n steps asks the field where to go, at the place and the time where the step begins.",
    "n steps of length 1/n: at which n times is the field asked? Is t = 1 one of them?",
    "v wants one time a sample, a tensor of shape (B,), in x's dtype and on its device. And do not write into x.",
))  # fmt: skip
class EulerSample:
    """x <- x + v(x, t) / n at t = 0, 1/n, ..., (n - 1)/n   (Liu et al. 2023, sec. 2; Lipman et al. 2023)"""

    def inputs(self, draw):
        n = draw.integer(4, 8)
        return {"images": dict(x=draw(3, 2, 4, 5), speed=draw(5) + 2, n=n),
                "vectors": dict(x=draw(4, 5), speed=draw(5), n=n),
                "one step": dict(x=draw(3, 5), speed=draw(5) + 2, n=1)}  # fmt: skip

    def probe(answer, x, speed, n):
        times, shapes = [], []

        def v(x, t):
            times.append(t.clone() if isinstance(t, torch.Tensor) else t)  # the answer may go on with its own t
            shapes.append(tuple(t.shape) if isinstance(t, torch.Tensor) else type(t).__name__)
            t = t.reshape(-1, *[1] * (x.ndim - 1)) if isinstance(t, torch.Tensor) else t
            return speed * (1 + t) ** 2 - 0.7 * x * t

        out = answer(v, x, n)
        times = [float(t.double().mean()) if torch.is_tensor(t) else float(t) for t in times]
        return dict(out=out, shapes=shapes, times=times)

    def walk(self, x, speed, n, times=None, h=None):
        x, speed, dtype, h = x.double(), speed.double(), x.dtype, h or 1 / n
        for t in times or [i / n for i in range(n)]:
            x = x + (speed * (1 + t) ** 2 - 0.7 * x * t) * h
        return x.to(dtype)

    @prop("value after n steps", 2, cause="x + v(x, t) / n, with t where the step begins, n times")
    def value(self, got, given):
        case, mine = given["images"], got["images"]["out"]
        n, wrong = case["n"], lambda times, h: self.walk(**case, times=times, h=h)
        left = [i / n for i in range(n)]
        first = explained(close(mine, self.walk(**case)), mine, lambda: {
            "v was asked at the right ends": wrong([t + 1 / n for t in left], 1 / n),
            "v was asked at the middles": wrong([t + 0.5 / n for t in left], 1 / n),
            "linspace(0, 1, n) ends at 1": wrong([i / (n - 1) for i in range(n)], 1 / n),
            "n + 1 steps were taken": wrong([*left, 1.0], 1 / n),
            "the step length 1/n is missing": wrong(left, 1.0),
            "the steps go backwards": wrong(left, -1 / n),
        })  # fmt: skip
        return both(first, close(got["vectors"]["out"], self.walk(**given["vectors"])))

    @prop("asked at 0, 1/n, ..., (n - 1)/n", cause="n steps have n left ends: the field is never asked at t = 1, "
          "and never twice at one time")
    def times(self, got, given):
        n, times = given["images"]["n"], got["images"]["times"]
        if len(times) != n:
            return holds(False, f"expected {n} evaluations for n = {n}, got {len(times)}")
        times = torch.tensor(times, dtype=torch.float64)
        return both(close(times, torch.arange(n, dtype=torch.float64) / n, rtol=1e-5, atol=1e-6), self.one(got, given))

    @prop("t is one number a sample", cause="build t with torch.full((B,), ...), in x's dtype, not a Python float")
    def shape(self, got, given):
        shapes = set(got["images"]["shapes"])
        found = ", ".join(map(str, shapes)) or "no call"
        return both(holds(shapes == {(3,)}, f"expected t of shape (3,), got {found}"),
                    close(got["images"]["out"], self.walk(**given["images"])))  # fmt: skip

    @prop("one step goes all the way", cause="for n = 1 the step has length 1: x + v(x, 0)")
    def one(self, got, given):
        return close(got["one step"]["out"], given["one step"]["x"] + given["one step"]["speed"])


@question("adaln_zero", points=4, title="A block that starts as the identity (adaLN-Zero)", read=DIFFUSION, hints=(
    "The block adds gate · f(...) to x. Which of the pieces must be zero at the start for the sum to be x?",
    "If the gate is zero, what is its gradient? And if f's last layer is zero too, what is it then?",
    "c is (B, d_cond) and x is (B, N, d). Where must an axis of length 1 go so that all tokens of a sample, "
    "and no others, see its condition?",
))  # fmt: skip
class AdalnZero:
    """x + gate · f((1 + scale) · LN(x) + shift), all three from one Linear of c   (Peebles & Xie 2023)"""

    def inputs(self, draw):
        # 5 and 7 conditions: no Linear inside f, of width d, d / 2, 4 d …, is taken for the one that reads c
        return {"start": dict(x=draw(3, 6, 8), c=draw(3, 5) + 0.5, weight=torch.zeros(0)),
                "trained": dict(x=draw(4, 4, 8), c=draw(4, 7), weight=draw(64, 7) * 0.7)}  # fmt: skip

    def probe(answer, x, c, weight):
        d_cond = c.shape[1]
        block = answer(x.shape[2], d_cond).to(x.dtype)
        linears = [m for m in block.modules() if isinstance(m, torch.nn.Linear) and m.in_features == d_cond]
        params = [p for m in linears for p in (m.weight, m.bias) if p is not None]
        tilt = torch.linspace(-1, 2, x.numel(), dtype=x.dtype).reshape(x.shape)

        def learned():
            out = block(x, c)
            if not params or not isinstance(out, torch.Tensor) or not out.requires_grad:
                return torch.zeros(0)
            weights = [m.weight for m in linears]
            found = torch.autograd.grad((out * tilt).sum(), weights, materialize_grads=True)
            return torch.cat([g.abs().sum(1) for g in found])

        got = dict(linears=len(linears), start=block(x, c).detach().clone(), rows=learned())
        with torch.no_grad():  # f as it is after some steps of training
            for p in block.parameters():
                if not any(p is q for q in params):
                    p.add_(0.3 * torch.randn_like(p))
        got["gates"] = rows = learned()
        with torch.no_grad():
            at = 0
            for m in linears:  # the gates alone open: shift and scale stay as they started, at zero
                gates = (rows[at : at + m.out_features] > 0).to(x.dtype)
                m.weight.copy_(0.5 * gates[:, None].expand_as(m.weight))
                if m.bias is not None:
                    m.bias.copy_(0.9 * gates)
                at += m.out_features
            got["open"] = block(x, c)
            if len(weight):
                for m in linears:
                    many = -(-m.out_features // len(weight))
                    m.weight.copy_(weight.repeat(many, 1)[: m.out_features])
                    if m.bias is not None:
                        m.bias.copy_(weight.repeat(many, 1)[: m.out_features, 0] + 0.3)
                other, moved = c.clone(), x.clone()
                other[1] = -other[1] + 1
                moved[2, 1] = moved[2, 1].flip(0) * 2 - 1
                got |= dict(out=block(x, c), other=block(x, other), moved=block(moved, c))
                got["scaled"] = block(3 * x + 2, c)
        got["all rows"] = learned()
        return got

    def trained(self, got, given, name):
        """An output of the block with weights in place, next to the plain one; both must be alive."""
        x = given["trained"]["x"]
        out, second = tensor(got["trained"]["out"], x), tensor(got["trained"][name], x)
        if not got["trained"]["linears"]:
            return holds(False, "found no nn.Linear(d_cond, ...) that could make shift, scale and gate"), out, second
        alive = (out - x.double()).abs().amax((1, 2)).min() > 1e-3
        return holds(alive, "with weights in place the block still returns x: nothing of f arrives"), out, second

    @prop("identity at initialisation", cause="set the Linear's weight and bias to zero (at least the gate's rows): "
          "the default initialisation is not zero")
    def identity(self, got, given):
        alive, *_ = self.trained(got, given, "out")
        starts = [close(got[name]["start"], given[name]["x"]) for name in given]
        return both(*starts, alive)

    @prop("the gate learns from the first step", 2, cause="with f zero as well, the product gate · f has no "
          "gradient at all: only the gate starts at zero, f starts as usual")
    def gate(self, got, given):
        alive, *_ = self.trained(got, given, "out")
        rows, later = (tensor(got["start"][name]) for name in ("rows", "gates"))
        says = "no weight of the Linear gets a gradient at initialisation"
        says += ", though it would with other weights in f: f is zero too" if (later > 1e-9).any() else ""
        return both(alive, holds((rows > 1e-9).any(), says))

    @prop("shift, scale and gate all act", cause="the Linear makes 3 · d numbers: chunk them in three and use each")
    def three(self, got, given):
        rows, late = tensor(got["trained"]["gates"]), tensor(got["trained"]["all rows"])
        gates = int((rows > 1e-9).sum())
        few = f"{gates} of the Linear's {len(late)} outputs act as gates, {int((late > 1e-9).sum())} act at all"
        return holds(gates and len(late) >= 3 * gates and (late > 1e-9).double().mean() > 0.9, few)

    @prop("f sees LN(x) where scale and shift are zero", cause="the factor is 1 + scale: with scale alone, f "
          "sees nothing of x at the start; and LN comes before the modulation")
    def plus_one(self, got, given):
        x = given["start"]["x"]
        part = tensor(got["start"]["open"], x) - x.double()
        spread = (part - part.mean(1, keepdim=True)).abs().max()
        alive, out, scaled = self.trained(got, given, "scaled")
        x = given["trained"]["x"].double()
        same = close(scaled - (3 * x + 2), out - x, rtol=2e-3, atol=2e-3, dtype=False)
        blind = holds(spread > 1e-4, "with shift and scale at zero, f's input does not depend on x")
        normal = holds(same.passed, f"scaling x changes what is added: f does not see LN(x) ({same.message})")
        return both(alive, blind, normal)

    @prop("c acts on its own sample", 2, cause="c's numbers are (B, d): they need an axis for the "
          "tokens, unsqueeze(1). Where B = N, nothing complains")
    def own(self, got, given):
        alive, out, other = self.trained(got, given, "other")
        moved = (out - other).abs().amax((1, 2)) > 1e-6
        says = f"a new condition for sample 1 changed the samples {moved.nonzero().flatten().tolist()}"
        everywhere = ((out - other).abs().amax(2)[1] > 1e-6).all()
        return both(alive, holds(moved.tolist() == [False, True, False, False], says),
                    holds(everywhere, "a sample's condition must reach all its tokens"))  # fmt: skip

    @prop("every token by itself", cause="LN is over the last axis, and f is token-wise: no token looks at another")
    def tokens(self, got, given):
        alive, out, moved = self.trained(got, given, "moved")
        changed = ((out - moved).abs().amax(2) > 1e-6).nonzero().tolist()
        return both(alive, holds(changed == [[2, 1]], f"a change of token [2, 1] changed {changed}"))
