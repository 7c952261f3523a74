"""07 Editing and systems: inpainting, style, adapters, averaged weights."""

import math

import torch

from genimg_lib.checks.compare import both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.tools import gradient


@question("repaint_merge", points=1, title="Inpainting: keep what is known", read="notebooks/inpainting", hints=(
    "At this moment of sampling everything is noisy. How noisy must the known pixels be to fit in?",
    "You know the clean picture x0. There is a formula that jumps from x0 to any noise level.",
    "Noise x0 to level ab with the given eps; then choose, pixel by pixel, between that and x_unknown.",
))  # fmt: skip
class RepaintMerge:
    """m · (sqrt(ab) x0 + sqrt(1 - ab) eps) + (1 - m) · x_unknown   (Lugmayr et al. 2022, eq. 8)"""

    def inputs(self, draw):
        def case(ab, dtype=None):
            mask = (draw.uniform(3, 1, 4, 5) < 0.4).to(dtype or draw.dtype)
            mask[:, :, 0, 0], mask[:, :, 0, 1] = 1, 0
            return dict(x_unknown=draw(3, 2, 4, 5), x0=draw(3, 2, 4, 5), mask=mask, ab=ab, eps=draw(3, 2, 4, 5))

        ab = draw.uniform(1, low=0.2, high=0.4).item()
        return {"noisy": case(ab), "clean": case(1.0), "other mask": case(0.7, torch.float32)}

    def probe(answer, x_unknown, x0, mask, ab, eps):
        return dict(x=answer(x_unknown, x0, mask, ab, eps))

    @once
    def want(self, x_unknown, x0, mask, ab, eps):
        out = x_unknown.clone()
        for b, _, i, j in (mask == 1).nonzero().tolist():
            out[b, :, i, j] = math.sqrt(ab) * x0[b, :, i, j] + math.sqrt(1 - ab) * eps[b, :, i, j]
        return out

    def split(self, got, given, name):
        """The answer and the truth at the known pixels, then at the unknown ones."""
        case = given[name]
        want, known = self.want(**case), case["mask"].expand_as(case["x0"]) == 1
        x = tensor(got[name]["x"], want).to(want)
        return (x[known], want[known]), (x[~known], want[~known]), case["x_unknown"][known]

    @prop("known pixels are noised to level ab", 2, cause="sqrt(ab) x0 + sqrt(1 - ab) eps where the mask is 1: "
          "clean pixels beside noisy ones are nothing the network has ever seen")  # fmt: skip
    def known(self, got, given):
        known, *_ = self.split(got, given, "noisy")
        case = given["noisy"]
        at, ab, mine = case["mask"].expand_as(case["x0"]) == 1, case["ab"], known[0]
        x0, eps, was = (case[name][at] for name in ("x0", "eps", "x_unknown"))
        return explained(close(*known), mine, lambda: {
            "these are x0's clean pixels": x0,
            "the roots are missing": ab * x0 + (1 - ab) * eps,
            "these are x_unknown's: is the mask turned round?": was,
            "eps is not scaled": math.sqrt(ab) * x0 + eps,
            "signal and noise are swapped": math.sqrt(1 - ab) * x0 + math.sqrt(ab) * eps,
        })  # fmt: skip

    @prop("unknown pixels stay as they were sampled", cause="where the mask is 0, x_unknown passes through")
    def unknown(self, got, given):
        known, unknown, was = self.split(got, given, "noisy")
        kept = holds(not torch.allclose(known[0], was), "the known pixels were left as in x_unknown")
        return both(close(*unknown), kept)

    @prop("at ab = 1 the known pixels are x0's own", cause="both coefficients depend on ab: no noise is left")
    def clean(self, got, given):
        known, unknown, _ = self.split(got, given, "clean")
        return both(close(*known), close(*unknown))

    @prop("a float32 mask for any picture", cause="let arithmetic broadcast (B, 1, H, W) over the channels, and keep "
          "the picture's dtype")  # fmt: skip
    def other(self, got, given):
        return close(got["other mask"]["x"], self.want(**given["other mask"]))


@question("gram_matrix", points=1, title="Style as a Gram matrix", read="notebooks/style_transfer", hints=(
    "Style forgets where things are. Which sum runs over all places, and what remains?",
    "Entry (i, j) says how much channels i and j fire together: a dot product over all pixels.",
    "Lay each sample out as C rows of H · W numbers; then it is a matrix times its own transpose, for each sample.",
))  # fmt: skip
class GramMatrix:
    """G[b, i, j] = sum over pixels of f[b, i] f[b, j], over C H W   (Gatys et al. 2015; Johnson et al. 2016, eq. 4)"""

    def inputs(self, draw):
        f = draw(2, 3, 4, 5) + 0.7
        return {"plain": dict(f=f), "doubled": dict(f=f.repeat_interleave(2, 2)), "flipped": dict(f=f.flip(3)),
                "other": dict(f=torch.cat([draw(1, 3, 4, 5), f[1:]]))}  # fmt: skip

    def probe(answer, f):
        G = answer(f.requires_grad_())
        size = f.shape[1]
        along = torch.linspace(-1, 2, len(f) * size * size, dtype=f.dtype).reshape(len(f), size, size)
        return dict(G=G, grad=gradient(G, f, along=along))

    def gram(self, f):
        B, C, H, W = f.shape
        G = torch.zeros(B, C, C, dtype=f.dtype)
        for i in range(C):
            for j in range(C):
                G[:, i, j] = (f[:, i] * f[:, j]).sum((1, 2)) / (C * H * W)
        return G

    @prop("one (C, C) matrix a sample", cause="the batch axis stays: (B, C, C), every sample with itself alone")
    def batch(self, got, given):
        want = self.gram(**given["other"])
        first, second = tensor(got["other"]["G"], want), tensor(got["plain"]["G"], want)
        mixed = holds(torch.allclose(first[1], second[1]), "a change of sample 0 changed the matrix of sample 1")
        ratio = first[0] / want[0]
        apart = holds(torch.allclose(ratio, ratio[0, 0], rtol=1e-3) and ratio[0, 0].abs() > 1e-9,
                      "the entries are not in proportion to f f^T")  # fmt: skip
        return both(mixed, apart, holds(not torch.allclose(first[0], second[0]), "the matrix ignores its sample"))

    @prop("value, not centred", 2, cause="sum of products, divided by C · H · W; subtract no mean")
    def value(self, got, given):
        f, mine, want = given["plain"]["f"], got["plain"]["G"], self.gram(**given["plain"])
        C, places = f.shape[1], f[0, 0].numel()
        return explained(close(mine, want), mine, lambda: {
            "it is divided by H · W, and not by C": want * C,
            "it is divided by C, and not by H · W": want * places,
            "it is not divided at all": want * C * places,
            "it is divided by the batch as well": want / len(f),
            "the mean was subtracted": self.gram(f - f.mean((2, 3), keepdim=True)),
        })  # fmt: skip

    @prop("larger pictures weigh the same", cause="divide by the number of pixels too: C · H · W, not C alone")
    def size(self, got, given):
        want = self.gram(**given["doubled"])
        return both(close(got["doubled"]["G"], want), close(got["flipped"]["G"], self.gram(**given["flipped"])))

    @prop("gradient reaches the features", cause="the style loss changes pixels through this: keep the graph")
    def grad(self, got, given):
        f = given["plain"]["f"].double()
        B, C, H, W = f.shape
        along = torch.linspace(-1, 2, B * C * C, dtype=torch.float64).reshape(B, C, C)
        want = torch.einsum("bij,bjhw->bihw", along + along.mT, f) / (C * H * W)
        return close(got["plain"]["grad"], want.to(given["plain"]["f"]))


@question("lora_linear", points=3, title="A LoRA adapter around a Linear", read="notebooks/at_scale", hints=(
    "W stays, a product of two thin matrices is added. Which of the two must be zero so that nothing changes at "
    "first?",
    "If both were zero neither would learn. And which tensors should an optimiser find when it asks for what trains?",
    "Shapes: x (…, in), A (r, in), B (out, r), scale alpha / r. Merging adds the product to a copy of W, once.",
))  # fmt: skip
class LoraLinear:
    """y = W x + b + (alpha / r) B A x   (Hu et al. 2022, sec. 4.1)"""

    def inputs(self, draw):
        same = dict(x=draw(4, 7), weight=draw(5, 7), r=3, alpha=8.0, A=draw(3, 7), B=draw(5, 3))
        return {"plain": dict(same, bias=draw(5)), "no bias": dict(same, bias=None),
                "rank 2": dict(same, bias=draw(5), r=2, A=draw(2, 7), B=draw(5, 2), x=draw(2, 4, 7))}  # fmt: skip

    def probe(answer, x, weight, bias, r, alpha, A, B):
        base = torch.nn.Linear(7, 5, bias=bias is not None).to(x.dtype)
        with torch.no_grad():
            base.weight.copy_(weight)
            if bias is not None:
                base.bias.copy_(bias)
        lora = answer(base, r, alpha).to(x.dtype)
        start = lora(x)
        (start * torch.linspace(-1, 2, start.numel(), dtype=x.dtype).reshape(start.shape)).sum().backward()
        got = dict(start=start, A=lora.A.detach().clone(), B=lora.B.detach().clone())
        got["learns"] = [float(p.grad.abs().sum()) if p.grad is not None else 0.0 for p in (lora.A, lora.B)]
        got["trains"] = sorted(name for name, p in lora.named_parameters() if p.requires_grad)
        got["numbers"] = sum(p.numel() for p in lora.parameters() if p.requires_grad)
        with torch.no_grad():
            lora.A.copy_(A)
            lora.B.copy_(B)
            got["out"] = lora(x)
        found = torch.autograd.grad(lora(x).sum(), (lora.A, lora.B), materialize_grads=True)
        got["fed"] = [bool(g.abs().sum() > 0) for g in found]
        with torch.no_grad():
            merged = lora.merge()
            got["kind"] = type(merged).__name__
            got["weight"] = getattr(merged, "weight", None)
            got["bias"] = getattr(merged, "bias", None)
            got["merged"] = merged(x)
            got["after"] = lora(x)
            got["again"] = lora.merge()(x)
        got["base"] = base.weight.detach().clone()
        return got

    @once
    def out(self, x, weight, bias, r, alpha, A, B):
        W = weight.double() + alpha / r * sum(torch.outer(b, a) for a, b in zip(A.double(), B.double().T, strict=True))
        y = torch.stack([W @ v for v in x.double().reshape(-1, 7)]).reshape(*x.shape[:-1], 5)
        return (y if bias is None else y + bias.double()).to(x.dtype)

    @prop("starts equal to the base", cause="start with B at zero, so that B A is zero; the bias belongs to the base")
    def start(self, got, given):
        outcomes = [close(got[name]["start"], self.out(**given[name] | {"alpha": 0.0})) for name in given]
        return both(*outcomes, self.moves(got, given))

    def moves(self, got, given):
        """The adapter is connected: A and B have the right shapes, and the output follows them."""
        for name, case in given.items():
            for key in "AB":
                tensor(got[name][key], case[key])
        same = torch.isclose(tensor(got["plain"]["out"]), tensor(got["plain"]["start"])).all()
        return holds(not same, "with other A and B the output is still the base's")

    @prop("adds alpha / r · B A x", 2, cause="scale by alpha / r, and mind the transposes: x A^T B^T for rows x; add "
          "the base's own output, bias included")  # fmt: skip
    def value(self, got, given):
        case, mine = given["plain"], got["plain"]["out"]
        first = explained(close(mine, self.out(**case)), mine, lambda: {
            "alpha is not divided by r": self.out(**case | {"alpha": case["alpha"] * case["r"]}),
            "the scale alpha / r is missing": self.out(**case | {"alpha": case["r"]}),
            "the bias is missing": self.out(**case | {"bias": None}),
            "this is the base alone": self.out(**case | {"alpha": 0.0}),
        })  # fmt: skip
        return both(first, *(close(got[name]["out"], self.out(**given[name])) for name in given))

    @prop("only A and B train", cause="freeze every parameter of the base, its bias too; A and B are nn.Parameters")
    def trains(self, got, given):
        for name, case in given.items():
            found = got[name]["trains"]
            want = case["A"].numel() + case["B"].numel()
            if {n.rsplit(".")[-1] for n in found} != {"A", "B"} or got[name]["numbers"] != want:
                return holds(False, f"these train: {', '.join(found) or 'nothing'}")
        return self.moves(got, given)

    @prop("learns from the first step", cause="with A and B both zero neither gets a gradient: draw A at random")
    def learns(self, got, given):
        fed = [sum(value > 0 for value in got[name]["learns"]) for name in given]
        later = all(all(got[name]["fed"]) for name in given)
        return both(holds(min(fed) >= 1, "neither A nor B gets a gradient at the start"),
                    holds(max(fed) == 1, "both A and B get a gradient at the start, so B A is not zero"),
                    holds(later, "with A and B filled, one of them gets no gradient: is it detached?"))  # fmt: skip

    @prop("merge gives one plain Linear", 2, cause="a new nn.Linear with W + alpha / r · B A and the base's bias (or "
          "none)")
    def merge(self, got, given):
        for name, case in given.items():
            mine, want = got[name], self.out(**case)
            one = holds(mine["kind"] == "Linear", f"expected an nn.Linear, got {mine['kind']}")
            bias = holds((mine["bias"] is None) == (case["bias"] is None), "the merged layer's bias is not the base's")
            outcome = both(one, close(mine["merged"], want), bias)
            if not outcome.passed:
                return outcome
        return holds(True, "")

    @prop("merging changes nothing", cause="write the sum to a copy: added into the base, the adapter would count "
          "twice")
    def still(self, got, given):
        want = self.out(**given["plain"])
        return both(*(close(got["plain"][name], want) for name in ("after", "again")),
                    close(got["plain"]["base"], given["plain"]["weight"]))  # fmt: skip


@question("ema_update", points=2, mutates=True, title="An average of the "
      "weights", read="notebooks/at_scale", hints=(
    "Two kinds of tensors live in a module. What moves by gradient steps, and what is merely counted or measured?",
    "An average of a counter makes no sense. And the ema model must keep its own memory: who else holds it?",
    "Walk both modules' parameters side by side, outside autograd, writing into the ema's own tensors.",
))  # fmt: skip
class EmaUpdate:
    """ema <- decay · ema + (1 - decay) · model for parameters; buffers copied   (Ho et al. 2020, app. B)"""

    def inputs(self, draw):
        same = {f"{who}_{name}": draw(*shape) for who in ("ema", "model")
                for name, shape in (("weight", (3, 4)), ("bias", (3,)), ("mean", (3,)))}  # fmt: skip
        counts = dict(ema_count=torch.tensor(4), model_count=torch.tensor(9))
        return {"once": dict(same, decay=0.9, times=1), "thrice": dict(same, decay=0.6, times=3),
                "counter": dict(same, **counts, decay=0.9, times=1)}  # fmt: skip

    def probe(answer, decay, times, **arrays):
        def build(who):
            inner = torch.nn.Linear(4, 3).to(arrays[f"{who}_weight"].dtype)
            inner.register_buffer("mean", arrays[f"{who}_mean"].clone())
            if "ema_count" in arrays:
                inner.register_buffer("count", arrays[f"{who}_count"].clone())
            with torch.no_grad():
                inner.weight.copy_(arrays[f"{who}_weight"])
                inner.bias.copy_(arrays[f"{who}_bias"])
            return torch.nn.Sequential(inner, torch.nn.ReLU())

        ema, model = build("ema"), build("model")
        names = [name for name in ("weight", "bias", "mean", "count") if f"ema_{name}" in arrays]
        first = ema[0].weight
        for _ in range(times):
            answer(ema, model, decay)
        learns = model.training and all(p.requires_grad for p in model.parameters())
        got = {f"ema_{name}": getattr(ema[0], name).detach().clone() for name in names}
        got |= {f"model_{name}": getattr(model[0], name).detach().clone() for name in names}
        got["same"], got["learns"] = ema[0].weight is first and ema[0].weight.grad_fn is None, learns
        with torch.no_grad():
            for name in names:
                getattr(model[0], name).add_(1)
        got |= {f"later_{name}": getattr(ema[0], name).detach().clone() for name in names}
        return got

    def mean(self, case, name):
        ema, model, decay = case[f"ema_{name}"].double(), case[f"model_{name}"].double(), case["decay"]
        for _ in range(case["times"]):
            ema = decay * ema + (1 - decay) * model
        return ema.to(case[f"ema_{name}"])

    def averaged(self, got, given, name="once"):
        return both(*(close(got[name][f"ema_{p}"], self.mean(given[name], p)) for p in ("weight", "bias")))

    @prop("parameters are averaged", 2, cause="decay belongs to the old average, 1 - decay to the model: with 0.999 "
          "the average moves slowly")  # fmt: skip
    def value(self, got, given):
        case, mine = given["once"], got["once"]["ema_weight"]
        ema, model, d = case["ema_weight"], case["model_weight"], case["decay"]
        first = explained(self.averaged(got, given), mine, lambda: {
            "decay and 1 - decay are swapped": (1 - d) * ema + d * model,
            "these are the model's own": model,
            "nothing has moved": ema,
        })  # fmt: skip
        return both(first, self.averaged(got, given, "thrice"))

    @prop("buffers are copied", cause="running means and counters are no weights: copy them as they are, after or "
          "beside the average")  # fmt: skip
    def buffers(self, got, given):
        case, d = given["once"], given["once"]["decay"]
        mine, ema, model = got["once"]["ema_mean"], case["ema_mean"], case["model_mean"]
        mean = explained(close(mine, model), mine, lambda: {
            "the buffer was averaged too": d * ema + (1 - d) * model,
            "the buffer was left as it was": ema,
        })  # fmt: skip
        return both(mean, close(got["counter"]["ema_count"], given["counter"]["model_count"]))

    @prop("the model is untouched", cause="write to the ema's tensors only: lerp_ and mul_ change their own tensor")
    def untouched(self, got, given):
        names = ("weight", "bias", "mean")
        left = [close(got["once"][f"model_{p}"], given["once"][f"model_{p}"]) for p in names]
        says = "the model was frozen, or put into eval mode: it has still to train"
        return both(*left, self.moved(got, given), holds(got["once"]["learns"], says))

    @prop("the ema keeps its own memory", cause="p_ema.data = p.data, or a buffer assigned, is the same memory under "
          "two names: copy values with copy_")  # fmt: skip
    def apart(self, got, given):
        names = ("weight", "bias", "mean")
        alone = [close(got["once"][f"later_{p}"], got["once"][f"ema_{p}"].clone()) for p in names]
        says = "after the update a change of the model changed the ema as well"
        return both(self.moved(got, given), holds(all(o.passed for o in alone), says))

    @prop("in place, without a graph", cause="update the Parameter that is there, under no_grad: a new one, or one "
          "with a history, is lost to whoever holds the old")  # fmt: skip
    def in_place(self, got, given):
        return both(holds(got["once"]["same"], "ema's weight is another Parameter now, or has a history"),
                    self.moved(got, given))  # fmt: skip

    def moved(self, got, given):
        same = torch.equal(got["once"]["ema_weight"], given["once"]["ema_weight"])
        return holds(not same, "the ema's weights did not move")
