"""09 Debug the GAN: four programs to repair, and three to read."""

import torch
from torch.nn.functional import leaky_relu, softplus

from genimg_lib.checks.article import CLASSES, FAULTS, PROGRAMS
from genimg_lib.checks.compare import Outcome, both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.living import alive
from genimg_lib.checks.tools import Sizes, gradient, life, parts, redraw

BROKEN = "book/practice/broken_code"
UNTOUCHED = {
    "dbg_generator_shapes": "5bf3cb251d2d7dca99831ad3276d2727d7470ca69deb012dff08c3085d466b14",
    "dbg_pair_sizes": "3743f519b1d024a7e3d79e74832a1e9560b5f8f438ffb192ac7202a13d392f66",
    "dbg_gan_step": "919d9e75b6c4bd9f6eac5ef908080cb22f34d8cc034f36d022a2b6deceed725e",
}


@question("dbg_generator_shapes", points=2, title="Repair the generator's shapes", read=BROKEN,
          untouched=UNTOUCHED["dbg_generator_shapes"], hints=(
    "Count the numbers before the last reshape and after it. What does -1 in a view do when they do not fit?",
    "One layer holds nearly all of the weights. Is it the kind of layer that makes a picture larger?",
    "From 7 to 28 is two doublings. Convolutions refine what each doubling leaves, and tanh ends in the right range.",
))  # fmt: skip
class GeneratorShapes:
    """z -> 7 x 7 -> 14 x 14 -> 28 x 28 in [-1, 1]   (Radford et al. 2016, sec. 3)"""

    def inputs(self, draw):
        return {"hundred": dict(z=draw(6, 100)), "forty": dict(z=draw(6, 40))}

    def probe(answer, z):
        G = (answer() if z.shape[1] == 100 else answer(z.shape[1])).to(z.dtype).eval()
        got = life(G, z, G)
        with torch.no_grad(), Sizes(len(z)) as sizes:
            G(z)
        got["pull"], got["alone"] = gradient(G(z.requires_grad_()), z), torch.cat([G(z[:3]), G(z[3:])])
        count, low, high = sum(p.numel() for p in G.parameters()), [], []
        for _ in range(4 if count < 4_000_000 else 1):  # each redraw of tens of millions takes a second
            redraw(G, 0.7)
            out = G(3 * z).detach()
            low.append(float(out.min()))
            high.append(float(out.max()))
        return got | dict(sizes=sizes.seen, low=min(low), high=max(high), weights=count)

    def living(self, got, name):
        out, pull = alive(got[name], (6, 1, 28, 28), "the picture"), tensor(got[name]["pull"])
        whole, halves = (tensor(got[name][key], (6, 1, 28, 28)) for key in ("out", "alone"))
        same = torch.allclose(whole, halves, rtol=1e-3, atol=1e-4)
        return both(out, holds(pull.abs().sum() > 0, "no gradient arrives at z"),
                    holds(same, "a picture changes with the others in its batch"))  # fmt: skip

    @prop("(B, 1, 28, 28) from (B, 100)", cause="one picture a sample: Linear to C · 7 · 7, reshape, two doublings, "
          "one channel out; a view with -1 may hide a batch of another size")  # fmt: skip
    def shape(self, got, given):
        return self.living(got, "hundred")

    @prop("grows by upsampling, twice", 2, cause="a dense layer cannot enlarge: Upsample or ConvTranspose2d, 7 -> 14 "
          "-> 28")
    def grows(self, got, given):
        seen = [h for h, w in got["hundred"]["sizes"] if h == w]
        steps = sum(size > max(seen[:i]) for i, size in enumerate(seen) if i)
        gone = " -> ".join(map(str, seen))
        return both(self.living(got, "hundred"), holds(steps >= 2, f"the sizes on the way: {gone}"))

    @prop("in [-1, 1], and using it", cause="end in tanh, right after a linear layer: a sigmoid, or a ReLU before the "
          "tanh, never goes below 0, and without tanh nothing bounds the pixels")  # fmt: skip
    def span(self, got, given):
        low, high = got["hundred"]["low"], got["hundred"]["high"]
        says = f"with large weights the pixels lie in [{low:.2g}, {high:.2g}]"
        return both(self.living(got, "hundred"), holds(-1 <= low < -0.9 and 0.9 < high <= 1, says))

    @prop("fewer than two million weights", cause="6272 x 6272 is 39 million: the dense layer between has to go")
    def light(self, got, given):
        count = got["hundred"]["weights"]
        return both(self.living(got, "hundred"), holds(count < 2_000_000, f"it has {count:,} weights"))

    @prop("any latent size", cause="build the first Linear from the argument z: 100 is its default, not a constant")
    def latent(self, got, given):
        return self.living(got, "forty")


@question("dbg_pair_sizes", points=3, title="Make generator and discriminator fit", read=BROKEN,
          untouched=UNTOUCHED["dbg_pair_sizes"], hints=(
    "Write the size of the picture after every layer of G, then before every layer of D. Where do they disagree "
    "first?",
    "A 3 x 3 convolution without padding loses two pixels. And how many doublings lead from 4 to size?",
    "Let one number decide both: the count of doublings in G is the count of halvings in D. And does the loss want "
    "probabilities, or logits?",
))  # fmt: skip
class PairSizes:
    """D(G(noise)) is (B, 1) for every size and number of channels   (Radford et al. 2016, sec. 3)"""

    def inputs(self, draw):
        cases = {"64 in colour": (64, 3), "64 in grey": (64, 1), "32 in colour": (32, 3), "32 in grey": (32, 1)}
        return {name: dict(size=size, channels=channels, pictures=draw.uniform(3, channels, size, size, low=-1))
                for name, (size, channels) in cases.items()}  # fmt: skip

    def probe(answer, size, channels, pictures):
        pair = answer() if (size, channels) == (64, 3) else answer(size, channels)
        G, D = pair.G.to(pictures.dtype).eval(), pair.D.to(pictures.dtype).eval()
        noise = torch.randn(3, pair.z, dtype=pictures.dtype)
        if (size == 64) == (channels == 3):
            got = dict(fakes=life(G, noise, G), scores=life(D, pictures, D))
        else:
            with torch.no_grad():
                got = dict(fakes=dict(out=G(noise)), scores=dict(out=D(pictures)))
        got |= dict(logits=None, reach=[], low=0.0, high=0.0)
        if size == 32:
            weights = [p for p in G.parameters() if p.requires_grad]
            got["logits"] = D(G(noise))
            pulls = gradient(got["logits"], *weights) if len(weights) > 1 else []
            got["reach"] = [bool(g.abs().sum() > 0) if isinstance(g, torch.Tensor) else False for g in pulls]
            seen = gradient(D(pictures.requires_grad_()), pictures)
            got["channels"] = seen.abs().sum((0, 2, 3)) if isinstance(seen, torch.Tensor) else seen
            with torch.no_grad():
                for _ in range(20 if channels == 1 else 0):  # until logits of both signs have come, mostly two or three
                    redraw(D, 0.5)
                    out = D(30 * pictures)
                    got["low"] = min(got["low"], float(out.min()))
                    got["high"] = max(got["high"], float(out.max()))
                    if got["low"] < -1.5 and got["high"] > 1.5:
                        break
        else:
            with torch.no_grad():
                got["logits"] = D(G(noise))
        return got

    def fits(self, got, given, names):
        for name in names:
            shape = (3, given[name]["channels"], given[name]["size"], given[name]["size"])
            tensor(got[name]["logits"], (3, 1))
            tensor(got[name]["fakes"]["out"], shape)
            ok = holds(True, "")
            if "turned" in got[name]["fakes"]:
                ok = both(alive(got[name]["fakes"], shape, "G(noise)"), alive(got[name]["scores"], (3, 1), "D(x)"))
            if not ok.passed:
                return holds(False, f"{name}: {ok.message}")
        return holds(True, "")

    @prop("64 x 64 in colour, by default", cause="G must end at exactly the size that D starts from, channels "
          "included")
    def default(self, got, given):
        return self.fits(got, given, ["64 in colour"])

    @prop("32 and 64, grey and colour", 2, cause="compute the doublings, the halvings and the last Linear from size, "
          "and the first and last convolution from channels")  # fmt: skip
    def every(self, got, given):
        seen = tensor(got["32 in colour"]["channels"], (3,))
        some = holds(len(set((seen > 0).tolist())) == 1, "D does not look at every channel")
        return both(self.fits(got, given, given), some)

    @prop("D returns logits", cause="no sigmoid in D: softplus and binary_cross_entropy_with_logits bring their own")
    def logits(self, got, given):
        low, high = got["32 in grey"]["low"], got["32 in grey"]["high"]
        says = f"with large weights D stays in [{low:.2g}, {high:.2g}]"
        return both(self.fits(got, given, ["32 in grey"]), holds(low < -1.5 and high > 1.5, says))

    @prop("D's gradient reaches G", cause="G's picture must enter D as it is: no detach, no rounding, no numpy "
          "between")
    def reach(self, got, given):
        reach = got["32 in colour"]["reach"]
        says = f"{len(reach) - sum(reach)} of G's {len(reach)} tensors get no gradient from D(G(noise))"
        fits = self.fits(got, given, ["32 in grey", "32 in colour"])
        return both(fits, holds(reach and sum(reach) > 0.7 * len(reach), says))


@question("dbg_gan_step", points=4, mutates=True, title="Repair one training step of a GAN", read=BROKEN,
          untouched=UNTOUCHED["dbg_gan_step"], hints=(
    "Two turns. Before each: whose gradients are still there from the last one? After each: who has moved?",
    "In D's turn the pictures are data. What keeps their loss from flowing back into the network that painted them?",
    "G's turn asks the D that has just learned. Which loss still has a slope when D is sure that the fake is fake?",
))  # fmt: skip
class GanStep:
    """D: E softplus(-D(x)) + E softplus(D(G(z))), then G: E softplus(-D(G(z)))   (Goodfellow et al. 2014, alg. 1)"""

    def inputs(self, draw):
        same = dict(real=draw(4, 1, 3, 5) + 0.5, z=draw(4, 3), g1=draw(6, 3), g2=draw(15, 6), d1=draw(5, 15) / 2,
                    d2=draw(1, 5), lr=0.3)  # fmt: skip
        return {"fresh": dict(same, times=1, stale=0.0), "stale": dict(same, times=1, stale=0.8),
                "twice": dict(same, times=2, stale=0.0)}  # fmt: skip

    def probe(answer, real, z, g1, g2, d1, d2, lr, times, stale):
        nn = torch.nn
        G = nn.Sequential(nn.Linear(3, 6), nn.Tanh(), nn.Linear(6, 15, bias=False), nn.Unflatten(1, (1, 3, 5)))
        D = nn.Sequential(nn.Flatten(), nn.Linear(15, 5), nn.LeakyReLU(0.2), nn.Linear(5, 1, bias=False))
        G, D, events = G.to(real.dtype), D.to(real.dtype), []
        with torch.no_grad():
            for layer, value in ((G[0], g1), (G[2], g2), (D[1], d1), (D[3], d2)):
                layer.weight.copy_(value)
                if layer.bias is not None:
                    layer.bias.fill_(0.1)
        opt_g, opt_d = torch.optim.SGD(G.parameters(), lr / 2), torch.optim.SGD(D.parameters(), lr)
        for p in (*G.parameters(), *D.parameters()):
            p.grad = torch.full_like(p, stale) if stale else None
        G[2].weight.register_post_accumulate_grad_hook(lambda p: events.append("G gets a gradient"))
        opt_d.register_step_pre_hook(lambda *_: events.append("D steps"))
        opt_g.register_step_pre_hook(lambda *_: events.append("G steps"))
        untouched = real.clone(), z.clone()
        for _ in range(times):
            losses = parts(answer(G, D, opt_g, opt_d, real, z), 2)
        alone = torch.equal(untouched[0], real) and torch.equal(untouched[1], z)
        weights = [layer.weight.detach().clone() for layer in (G[0], G[2], D[1], D[3])]
        kinds = ["float" if isinstance(loss, float) else type(loss).__name__ for loss in losses]
        losses = [float(loss) if isinstance(loss, float) else loss for loss in losses]
        return dict(losses=losses[:2], kinds=kinds, weights=weights, events=events, alone=alone)

    @once
    def play(self, real, z, g1, g2, d1, d2, lr, times, stale):
        """Both losses of the last step and the weights after it, by autograd on bare weights; and two mistakes."""
        g, d = [g1.double(), torch.full((6,), 0.1).double(), g2.double()], [d1.double(), None, d2.double()]
        d[1], real, z = torch.full((5,), 0.1).double(), real.double(), z.double()

        def G(g):
            return torch.tanh(z @ g[0].T + g[1]) @ g[2].T

        def D(d, x):
            return leaky_relu(x.flatten(1) @ d[0].T + d[1], 0.2) @ d[2].T

        with torch.enable_grad():
            for _ in range(times):
                old, fake = d, G(g).detach()
                leaf = [w.detach().requires_grad_() for w in d]
                d_loss = softplus(-D(leaf, real)).mean() + softplus(D(leaf, fake)).mean()
                d = [w - lr * s for w, s in zip(leaf, torch.autograd.grad(d_loss, leaf), strict=True)]
                leaf = [w.detach().requires_grad_() for w in g]
                d = [w.detach() for w in d]
                g_loss = softplus(-D(d, G(leaf))).mean()
                stale_g, saturating = softplus(-D(old, G(leaf))).mean(), -softplus(D(d, G(leaf))).mean()
                g = [w - lr / 2 * s for w, s in zip(leaf, torch.autograd.grad(g_loss, leaf), strict=True)]
        mistakes = {"that is G's loss by D as it was before its step": stale_g,
                    "that is the saturating loss, log(1 - D)": saturating}  # fmt: skip
        return d_loss, g_loss, [g[0], g[2], d[0], d[2]], mistakes

    def weights(self, got, given, name, part):
        _, _, wants, _ = self.play(**given[name])
        pairs = zip(got[name]["weights"][part], wants[part], strict=True)
        return both(*(close(w, want.detach().to(w), rtol=1e-3, atol=1e-5) for w, want in pairs))

    def loss(self, got, given, i):
        mine, kinds = got["fresh"]["losses"][i], got["fresh"]["kinds"]
        two = holds(len(kinds) == 2, f"expected two losses (d_loss, g_loss), got {len(kinds)}")
        kind = holds(kinds[i] == "float", f"expected a float, got a {kinds[i]}: take .item() of the loss")
        truth = self.play(**given["fresh"])
        want = truth[i].detach().to(given["fresh"]["real"])
        mistakes = truth[3] if i else {"that is half of it: do not halve": want / 2}
        mistakes = {clause: value.detach() for clause, value in mistakes.items()}
        return both(two, kind, explained(close(mine, want, rtol=2e-4), mine, mistakes))

    @prop("d_loss", cause="the mean of softplus(-D(real)) plus the mean of softplus(D(fake)), not halved, as a float")
    def d_loss(self, got, given):
        return self.loss(got, given, 0)

    @prop("g_loss, by the updated D", cause="first opt_d.step(), then score the fakes again, and take "
          "softplus(-score)")
    def g_loss(self, got, given):
        return self.loss(got, given, 1)

    @prop("D has learned from real and fake", 2, cause="one backward through d_loss, then opt_d.step(), before G's "
          "turn; D must not move in G's turn")  # fmt: skip
    def d_moved(self, got, given):
        alone = holds(got["fresh"]["alone"], "you changed real or z")
        return both(self.weights(got, given, "fresh", slice(2, 4)), alone)

    @prop("G has learned from the new D", 2, cause="G follows softplus(-D(G(z))) with D already updated, and without "
          "detach")
    def g_moved(self, got, given):
        return self.weights(got, given, "fresh", slice(0, 2))

    @prop("the fakes are detached in D's turn", cause="G(z).detach(), or no_grad around G, while D learns: G has no "
          "part in it")
    def detached(self, got, given):
        before = [event for event in got["fresh"]["events"][:1] if event != "D steps"]
        says = "before D's step, G gets a gradient" if "G gets a gradient" in before else "D does not step first"
        return both(self.weights(got, given, "fresh", slice(2, 4)), holds(not before, says))

    @prop("gradients are cleared before each turn", cause="zero_grad before each backward: gradients add up, and G's "
          "turn leaves some in D as well")  # fmt: skip
    def cleared(self, got, given):
        return both(*(self.weights(got, given, name, slice(0, 4)) for name in ("stale", "twice")))


@question("find_the_faults", points=4, mutates=True, takes_data=True, title="Find the faults by "
      "reading", read=BROKEN, hints=(
    "Read each program as Python would: name by name, then shape by shape, from the input to the output.",
    "Then read it as a trainer would: what is minimised, who moves, and who should not? An absence is a fault too.",
    "Every class in the table occurs at least once. Which ones have you not used yet?",
))  # fmt: skip
class FindTheFaults:
    """F1 = 2 · precision · recall / (precision + recall) of a set of (program, line, class)"""

    def inputs(self, draw):
        return {"faults": {}}

    def probe(answer):
        found = answer() if callable(answer) else answer
        if found is None or (isinstance(found, set | list | tuple | frozenset) and not found):
            raise NotImplementedError
        rows, odd = [], []
        for item in found:
            if isinstance(item, tuple | list) and len(item) == 3 and isinstance(item[1], int):
                rows.append([str(item[0]), int(item[1]), str(item[2])])
            else:
                odd.append(str(item)[:60])
        return dict(rows=sorted(map(list, {tuple(row) for row in rows})), odd=sorted(odd))

    def score(self, got):
        """(F1, faults found, answers that point at one, all answers)."""
        rows, odd = sorted({(p, n, kind) for p, n, kind in got["faults"]["rows"]}), got["faults"]["odd"]  # each once
        hits = [{i for i, (name, _, places) in enumerate(FAULTS) if name == p and (n, kind) in places}
                for p, n, kind in rows]  # fmt: skip
        found, right, total = set().union(*hits), sum(map(bool, hits)), len(rows) + len(odd)
        precision, recall = right / total, len(found) / len(FAULTS)
        f1 = 2 * precision * recall / (precision + recall) if found else 0.0
        return f1, found, [row for row, hit in zip(rows, hits, strict=True) if not hit], total

    @prop("no fault is missed", cause="read once more for what is not there: a loss, a loop, an import, a model left "
          "as a comment")  # fmt: skip
    def recall(self, got, given):
        f1, found, *_ = self.score(got)
        tally = [(name, [i for i, fault in enumerate(FAULTS) if fault[0] == name]) for name in PROGRAMS]
        says = ", ".join(f"{name} {len(found & set(all_of))} of {len(all_of)}" for name, all_of in tally)
        return Outcome(len(found) == len(FAULTS), f"found: {says}; F1 is {f1:.2f}", f1)

    @prop("nothing is a fault that is none", cause="a fault is one line and one class: check the line number against "
          "the listing and the class against the table")  # fmt: skip
    def precision(self, got, given):
        f1, _, wrong, total = self.score(got)
        odd, unknown = got["faults"]["odd"], [row for row in wrong if row[2] not in CLASSES or row[0] not in PROGRAMS]
        says = f"{len(wrong) + len(odd)} of {total} are not in the list of faults"
        if odd:
            says += f"; expected (program, line, class), got {odd[0]}"
        elif unknown:
            says += f"; no such program or class: {tuple(unknown[0])}"
        elif wrong:
            says += f", such as {tuple(wrong[0])}"
        return Outcome(not wrong and not odd, "" if not wrong and not odd else says, f1)
