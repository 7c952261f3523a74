"""08 Debug the VAE, the second half: a decoder that hears z, ends at the right size, and a loss with both terms."""

import torch

from genimg_lib.checks.compare import both, close, explained, holds, once, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.living import alive, follow
from genimg_lib.checks.tools import Noise, Sizes, gradient, life, parts, redraw

BROKEN = "book/practice/broken_code"
UNTOUCHED = {
    "dbg_wire_decoder": "09338ec1625aefec5741b93045e6c02e2a1f2ceaca98cb364860a55394f8f293",
    "dbg_decoder_size": "b9b3ad9d6c4f74c100dcd21162835dc98898e3f302c37a446de58b9a5813e5cf",
    "dbg_missing_kl": "b87f371b4b666e08c78ad2f3a1c2c28ebbb7904095f2c404dbb9807339845c7f",
}


@question("dbg_wire_decoder", points=3, title="Wire the decoder to z", read=BROKEN,
          untouched=UNTOUCHED["dbg_wire_decoder"], hints=(
    "Follow one picture through forward with a finger. Does every line use what the line before made?",
    "What goes into the decoder? What should go into it, and how many numbers is that?",
    "The picture that comes out must be a function of a sampled z, and of nothing else. Then the loss can reach mu "
    "and logvar through z.",
))  # fmt: skip
class WireDecoder:
    """x -> (mu, logvar) -> z -> reconstruction   (Kingma & Welling 2014, fig. 1 and sec. 3)"""

    def inputs(self, draw):
        return {"pictures": dict(x=draw.uniform(5, 1, 28, 28), z=draw(5, 2))}

    def probe(answer, x, z):
        vae = answer().to(x.dtype)
        found = parts(vae(x), 3)
        count, shapes = len(found), [tuple(p.shape) if isinstance(p, torch.Tensor) else type(p).__name__ for p in found]
        if shapes[1:3] != [(5, 2), (5, 2)]:
            shapes = ", ".join(str(s) for s in shapes if s != "NoneType")
            raise TypeError(f"expected (reconstruction, mu, logvar), mu and logvar of shape (5, 2); got {shapes}")
        encode = lambda x: torch.cat(parts(vae(x), 3)[1:3], dim=1)  # noqa: E731
        got = dict(count=count, encoded=life(encode, x, vae), decoded=life(vae.decode, z, vae), noisy=[], wants=[])
        for value in (0.8, 0.0):
            with Noise(value):
                recon, mu, logvar = parts(vae(x), 3)[:3]
            got["noisy"].append(recon)
            got["wants"].append(vae.decode(mu + value * torch.exp(logvar / 2)))
            if value:
                weights = [p for p in vae.parameters() if p.requires_grad]
                pulls = [torch.autograd.grad(out.sum(), weights, retain_graph=True, materialize_grads=True)
                         if out.requires_grad else [torch.zeros_like(p) for p in weights]
                         for out in (mu, logvar, recon)]  # fmt: skip
                reach = [[bool(g.abs().sum() > 0) for g in pull] for pull in pulls]
        passes = [parts(vae(x), 3)[0] for _ in range(2)]
        recon, mu, logvar = parts(vae(x), 3)[:3]
        eps = None  # the noise in z, from its two gradients: dz/dlogvar = eps exp(logvar / 2) / 2, dz/dmu = 1
        if all(isinstance(p, torch.Tensor) and p.requires_grad for p in (recon, mu, logvar)):
            along = torch.linspace(-1, 2, recon.numel(), dtype=recon.dtype).reshape(recon.shape)
            by_mu, by_logvar = torch.autograd.grad((recon * along).sum(), (mu, logvar), allow_unused=True)
            if by_mu is not None and by_logvar is not None:
                eps = 2 * by_logvar / (by_mu * torch.exp(logvar / 2))
        columns = []
        for std in (0.05, 0.1, 0.2):  # a clamp on logvar may hold the large ones
            redraw(vae, std)
            columns.append(encode(x).detach())
        return got | dict(passes=passes, reach=reach, eps=eps, columns=torch.stack(columns))

    def picture(self, got):
        count, shape = got["pictures"]["count"], (5, 1, 28, 28)
        three = holds(count == 3, f"expected three results (reconstruction, mu, logvar), got {count}")
        shapes = [tensor(r, shape) for r in got["pictures"]["noisy"]]
        return both(three, holds(shapes, ""), alive(got["pictures"]["decoded"], shape, "decode(z)"))

    def wired(self, got, i):
        want, recon = got["pictures"]["wants"][i], got["pictures"]["noisy"][i]
        same = close(recon, want, rtol=1e-3, atol=1e-5)
        says = f"it is not decode(mu + exp(logvar / 2) eps): {same.message}"
        return both(self.picture(got), holds(same.passed, says))

    @prop("mu and logvar come from the picture", cause="the encoder reads x, and forward returns its two heads, "
          "second and third")  # fmt: skip
    def encoded(self, got, given):
        encoded = got["pictures"]["encoded"]
        return both(self.picture(got), alive(encoded, (5, 4), "(mu, logvar)"), follow(got["pictures"]["columns"], 5))

    @prop("decode needs z alone", cause="decode(z) takes (B, 2) and gives (B, 1, 28, 28): no input of its own, no "
          "noise")
    def decoded(self, got, given):
        return self.picture(got)

    @prop("the reconstruction is decode(z)", 2, cause="forward: encode, sample z = mu + exp(logvar / 2) eps, return "
          "decode(z): not decode(x), and not x itself")  # fmt: skip
    def recon(self, got, given):
        return both(self.wired(got, 1), self.wired(got, 0))

    @prop("two passes differ", cause="z is drawn anew in every forward: decode(mu) alone is an autoencoder")
    def differ(self, got, given):
        first, second = (tensor(r, (5, 1, 28, 28)) for r in got["pictures"]["passes"])
        again = holds((first - second).abs().max() > 1e-6, "two passes gave the same picture")
        return both(self.wired(got, 1), again, self.own_noise(got["pictures"]["eps"]))

    def own_noise(self, eps):
        """Every number of z has noise of its own, as far as the gradients show it."""
        if eps is None or not torch.isfinite(eps).all():
            return holds(True, "")
        rows, columns = (eps - eps[:1]).abs().max(), (eps[:, 0] - eps[:, 1]).abs().max()
        return both(holds(rows > 1e-3, "all samples of the batch share one noise"),
                    holds(columns > 1e-3, "both numbers of z share one noise"))  # fmt: skip

    @prop("gradient reaches the encoder through z", cause="sample z without detach, so that the reconstruction "
          "teaches the encoder too")  # fmt: skip
    def grads(self, got, given):
        mu, logvar, recon = (torch.tensor(r) for r in got["pictures"]["reach"])
        lost = int(((mu | logvar) & ~recon).sum())
        says = f"{lost} of the encoder's tensors get no gradient from the reconstruction"
        some = holds((mu | logvar).any(), "no weight moves mu or logvar")
        return both(self.wired(got, 1), some, holds(not lost, says))


@question("dbg_decoder_size", points=2, title="Make the decoder end at 28 x 28", read=BROKEN,
          untouched=UNTOUCHED["dbg_decoder_size"], hints=(
    "Write the size after every layer on paper. Where does it start, and can doubling from there ever meet 28?",
    "28 is 4 · 7. How many doublings is that, and what must the first reshape give?",
    "The loss takes logits. Which layer at the end makes them something else?",
))  # fmt: skip
class DecoderSize:
    """7 -> 14 -> 28 by two upsamplings   (the mirror of an encoder that halves twice)"""

    def inputs(self, draw):
        return {"sixteen": dict(z=draw(6, 16)), "five": dict(z=draw(6, 5))}

    def probe(answer, z):
        decoder = (answer() if z.shape[1] == 16 else answer(z.shape[1])).to(z.dtype).eval()
        got = life(decoder, z, decoder)
        with torch.no_grad(), Sizes(len(z)) as sizes:
            decoder(z)
        low, high = [], []
        for _ in range(6):
            redraw(decoder, 0.7)
            out = decoder(3 * z).detach()
            low.append(float(out.min()))
            high.append(float(out.max()))
        z.requires_grad_()
        return got | dict(sizes=sizes.seen, low=min(low), high=max(high), pull=gradient(decoder(z), z))

    def living(self, got, name):
        out = alive(got[name], (6, 1, 28, 28), "the picture")
        pull = tensor(got[name]["pull"])
        return both(out, holds((pull.abs().sum(0) > 0).all(), "some of z's numbers have no influence on the picture"))

    @prop("(B, 1, 28, 28) from (B, 16)", cause="Linear to C · 7 · 7 numbers, reshape to (B, C, 7, 7), two doublings, "
          "one channel out")  # fmt: skip
    def shape(self, got, given):
        return self.living(got, "sixteen")

    @prop("goes 7 -> 14 -> 28", cause="doubling from 8 passes 28: start at 7, and upsample twice on the way")
    def sizes(self, got, given):
        seen = got["sixteen"]["sizes"]
        gone = " -> ".join(f"{h}x{w}" for h, w in seen)
        return both(self.living(got, "sixteen"),
                    holds(all([n, n] in seen for n in (7, 14, 28)), f"the sizes on the way: {gone}"))  # fmt: skip

    @prop("logits: any sign, any size", cause="no sigmoid, tanh or ReLU at the end: binary_cross_entropy_with_logits "
          "has the sigmoid in it")  # fmt: skip
    def logits(self, got, given):
        low, high = got["sixteen"]["low"], got["sixteen"]["high"]
        says = f"with large weights the output stays in [{low:.2g}, {high:.2g}]"
        return both(self.living(got, "sixteen"), holds(low < -1.5 and high > 1.5, says))

    @prop("any latent size", cause="build the first Linear from the argument z: 16 is its default, not a constant")
    def latent(self, got, given):
        return self.living(got, "five")


@question("dbg_missing_kl", points=2, title="Give the VAE its loss", read=BROKEN,
          untouched=UNTOUCHED["dbg_missing_kl"], hints=(
    "Two terms make the negative ELBO. Which of them is here, and which parameters would nobody miss?",
    "A mean over pixels weighs the reconstruction 784 times less than a sum does. What is summed, what is averaged?",
    "The KL of a Gaussian to N(0, I) has a closed form in mu and logvar. Its value is 0 at mu = 0, logvar = 0.",
))  # fmt: skip
class MissingKL:
    """-ELBO = E[-log p(x | z)] + KL(q(z | x) || N(0, I))   (Kingma & Welling 2014, eq. 3 and app. B)"""

    def inputs(self, draw):
        def case(size=1.0, spread=1.0):
            return dict(x=draw.uniform(5, 2, 4, 6), logits=draw(5, 2, 4, 6) * size + 0.5,
                        mu=draw(5, 3) * spread, logvar=draw(5, 3) * spread)  # fmt: skip

        plain = case()
        twice = {name: value.repeat(2, *[1] * (value.ndim - 1)) for name, value in plain.items()}
        return {"plain": plain, "at the prior": case(spread=0.0), "extreme": case(200.0), "twice": twice,
                "far": dict(plain, mu=plain["mu"] + 3, logvar=plain["logvar"] - 2),
                "wide": dict(plain, mu=plain["mu"] - 1, logvar=plain["logvar"] + 1)}  # fmt: skip

    def probe(answer, x, logits, mu, logvar):
        for leaf in (logits, mu, logvar):
            leaf.requires_grad_()
        loss = answer(x, logits, mu, logvar)
        return dict(loss=loss, grads=list(gradient(loss, logits, mu, logvar)))

    def terms(self, x, logits, mu, logvar):
        normal = torch.distributions.Normal
        x, logits, mu, logvar = (v.double() for v in (x, logits, mu, logvar))
        nats = -x * torch.nn.functional.logsigmoid(logits) - (1 - x) * torch.nn.functional.logsigmoid(-logits)
        kl = torch.distributions.kl_divergence(normal(mu, (logvar / 2).exp()), normal(0.0, 1.0))
        return nats.flatten(1).sum(1), kl.sum(1)

    @once
    def want(self, case):
        return sum(self.terms(**case)).mean().to(case["x"])

    @prop("the reconstruction, summed over the pixels", 2, cause="binary cross-entropy from the logits: sum over a "
          "picture's pixels, mean over the batch")  # fmt: skip
    def pixels(self, got, given):
        want, mine = self.want(given["at the prior"]), got["at the prior"]["loss"]
        case = given["at the prior"]
        return explained(close(mine, want), mine, lambda: {
            "a mean over the pixels: take their sum": want / 48,
            "a mean over the channels: they are pixels too, take the sum": want / 2,
            "a sum over the batch: take the mean": want * 5,
            "this is a squared error": ((case["logits"].sigmoid() - case["x"]) ** 2).sum() / 5,
        })  # fmt: skip

    @prop("the KL, summed over the latents", 2, cause="add KL(q || N(0, I)): -1/2 of the sum of 1 + logvar - mu² - "
          "exp(logvar), over the latents")  # fmt: skip
    def kl(self, got, given):
        return both(self.grows(got, given, "far"), self.grows(got, given, "wide"))

    def grows(self, got, given, to):
        far, plain = (tensor(got[name]["loss"], ()) for name in (to, "plain"))
        want = self.want(given[to]).double() - self.want(given["plain"]).double()
        mine = (far - plain).to(given["far"]["x"].dtype)
        same = close(mine, want.to(given["far"]["x"]), rtol=1e-3)
        says = "with other mu and logvar the loss changes by another amount: " + same.message
        return explained(holds(same.passed, says), mine, lambda: {
            "there is no KL": 0 * want,
            "the KL has the wrong sign": -want,
            "a mean over the latents: take their sum": want / 3,
            "a sum over the batch: take the mean": want * 5,
            "the half is missing": want * 2,
        })  # fmt: skip

    @prop("the mean over the batch", cause="divide by the number of samples, once, for both terms")
    def batch(self, got, given):
        return both(*(close(got[name]["loss"], self.want(given[name])) for name in ("twice", "plain")))

    @prop("finite for extreme logits", cause="sigmoid, then log, rounds to log 0: use the form that takes logits")
    def extreme(self, got, given):
        return close(got["extreme"]["loss"], self.want(given["extreme"]))

    @prop("gradient reaches logits, mu and logvar", cause="no item(), no detach: this scalar is what backward starts "
          "from")
    def grads(self, got, given):
        case, leaves = given["plain"], ("logits", "mu", "logvar")
        with torch.enable_grad():
            mine = {name: value.double().requires_grad_(name in leaves) for name, value in case.items()}
            wants = torch.autograd.grad(sum(self.terms(**mine)).mean(), [mine[name] for name in leaves])
        pairs = zip(got["plain"]["grads"], wants, strict=True)
        return both(*(close(g, want.to(case["x"]), atol=1e-6) for g, want in pairs))
