"""08 Debug the VAE: five programs that do not run, or run and do not learn."""

import torch

from genimg_lib.checks.compare import both, close, holds, tensor
from genimg_lib.checks.core import prop, question
from genimg_lib.checks.living import alive, follow
from genimg_lib.checks.tools import gradient, life, parts, redraw

BROKEN = "book/practice/broken_code"
UNTOUCHED = {
    "dbg_latent_heads": "3e5fde8896bf9cebddf5139720e6290e209a338048c62879fa3cb515d27bdd58",
    "dbg_sampling_args": "bd0f758da3ca52b204be236e001a152cd6d866c72a3f6f6d527660019fc4123e",
}


@question("dbg_latent_heads", points=2, title="Repair the encoder's heads", read=BROKEN,
          untouched=UNTOUCHED["dbg_latent_heads"], hints=(
    "Run it on a batch and read the first error. What does a Linear act on: which axis?",
    "Look at the last lines. Which numbers may a mean be? Which may a log-variance be? And what does ReLU leave of "
    "them?",
    "How many different functions of the picture does the encoder compute, and how many should it?",
))  # fmt: skip
class LatentHeads:
    """mu and logvar are two linear heads on one hidden layer   (Kingma & Welling 2014, app. C.2)"""

    def inputs(self, draw):
        return {"pictures": dict(x=draw.uniform(6, 1, 28, 28))}

    def probe(answer, x):
        encoder = answer().to(x.dtype).eval()
        found = parts(encoder(x), 2)
        if not all(isinstance(head, torch.Tensor) and head.ndim == 2 for head in found[:2]):
            kinds = [tuple(p.shape) if isinstance(p, torch.Tensor) else type(p).__name__ for p in found]
            raise TypeError(f"expected two results (mu, logvar), each (B, 2), got {', '.join(map(str, kinds))}")
        if not (found[0].requires_grad and found[1].requires_grad):
            raise RuntimeError("mu or logvar has no graph to the weights: a detach, .data or no_grad cuts it")
        got = dict(count=len(found), mu=found[0], logvar=found[1])
        got |= life(lambda x: torch.cat(parts(encoder(x), 2)[:2], dim=1), x, encoder)
        weights = [p for p in encoder.parameters() if p.requires_grad]
        low, high, seen, own = [], [], torch.zeros(28, 28), torch.zeros(2)
        for _ in range(16):
            redraw(encoder)
            x = x.detach().requires_grad_()
            mu, logvar = parts(encoder(x), 2)[:2]
            out = torch.cat([mu, logvar], dim=1).detach()
            low.append(out.amin(0))
            high.append(out.amax(0))
            seen += gradient(out.new_tensor(1.0) * (mu.sum() + logvar.sum() * 0.7), x).abs().sum((0, 1))
            pulls = [torch.cat([g.flatten() for g in torch.autograd.grad(
                head.sum(), weights, retain_graph=True, materialize_grads=True)]) for head in (mu, logvar)]
            own += torch.stack([((a != 0) & (b == 0)).sum() for a, b in (pulls, pulls[::-1])])
        got["columns"] = []
        for std in (0.05, 0.1, 0.2):  # a clamp on logvar may hold the large ones
            redraw(encoder, std)
            got["columns"].append(torch.cat(parts(encoder(x), 2)[:2], dim=1).detach())
        got["columns"] = torch.stack(got["columns"])
        return got | dict(low=torch.stack(low).amin(0), high=torch.stack(high).amax(0), seen=seen, own=own)

    def living(self, got):
        count = got["pictures"]["count"]
        shapes = [tensor(got["pictures"][name], (6, 2)) for name in ("mu", "logvar")]
        return both(holds(count == 2 and shapes, f"expected two results (mu, logvar), got {count}"),
                    alive(got["pictures"], (6, 4), "(mu, logvar)"))  # fmt: skip

    @prop("mu and logvar, (B, 2) each", cause="flatten the picture, then one hidden layer, then a head for each")
    def shapes(self, got, given):
        return self.living(got)

    @prop("any sign", 2, cause="no activation after the heads: a ReLU there forbids negative means, and every "
          "variance below 1")  # fmt: skip
    def sign(self, got, given):
        low, high = tensor(got["pictures"]["low"], (4,)), tensor(got["pictures"]["high"], (4,))
        names = ("mu", "mu", "logvar", "logvar")
        never = [f"{n} is never {s}" for s, bad in (("negative", low >= 0), ("positive", high <= 0))
                 for n, b in zip(names, bad.tolist(), strict=True) if b]  # fmt: skip
        return both(self.living(got), holds(not never, f"whatever the weights, {', '.join(dict.fromkeys(never))}"))

    @prop("two separate heads", 2, cause="mu and logvar need weights of their own: two Linears, or one split in two")
    def heads(self, got, given):
        own = got["pictures"]["own"].tolist()
        return both(self.living(got), follow(got["pictures"]["columns"], 6),
                    holds(min(own) > 0, "every weight that moves mu moves logvar: they are one head"))  # fmt: skip

    @prop("the whole picture counts", cause="flatten all 28 x 28 pixels into one row a sample before the first Linear")
    def whole(self, got, given):
        share = (tensor(got["pictures"]["seen"], (28, 28)) > 0).double().mean().item()
        return both(self.living(got), holds(share > 0.8, f"only {share:.0%} of the pixels have any influence"))


@question("dbg_sampling_args", points=2, title="Repair the sampling layer", read=BROKEN,
          untouched=UNTOUCHED["dbg_sampling_args"], hints=(
    "Count the arguments that Lambda hands over, and the parameters that the function declares.",
    "One name in it comes from another library and was never imported. What is its counterpart in torch?",
    "The standard deviation is the root of the variance, and every number of z needs noise of its own.",
))  # fmt: skip
class SamplingArgs:
    """z = mu + exp(logvar / 2) eps, eps ~ N(0, I), drawn inside   (Kingma & Welling 2014, sec. 2.4)"""

    def inputs(self, draw):
        return {"many": dict(mu=2 * draw(2500, 3) + 1, logvar=draw.uniform(2500, 3, low=-3, high=2))}

    def probe(answer, mu, logvar):
        mu.requires_grad_()
        logvar.requires_grad_()
        z = answer([mu, logvar])
        return dict(z=z, again=answer([mu, logvar]), grads=list(gradient(z, mu, logvar)))

    def eps(self, got, given, name="z"):
        """The noise that must have been added: (z - mu) / exp(logvar / 2)."""
        case = given["many"]
        return (tensor(got["many"][name], case["mu"]) - case["mu"].double()) / (case["logvar"].double() / 2).exp()

    @prop("the spread is exp(logvar / 2)", 2, cause="exp(logvar) is the variance; its root is exp(logvar / 2), and "
          "the noise is normal, not uniform")  # fmt: skip
    def spread(self, got, given):
        eps, low = self.eps(got, given), given["many"]["logvar"] < -0.5
        for words, part in (("small", eps[low]), ("large", eps[~low])):
            if not 0.93 < part.std() < 1.07:
                return holds(False, f"for {words} logvar the spread is {part.std():.2f} times what it should be")
        return holds(0.6 < (eps.abs() < 1).double().mean() < 0.76, "the noise does not look normal")

    @prop("the centre is mu", cause="add the noise to mu, and let its own mean be 0: rand is not randn")
    def centre(self, got, given):
        eps = self.eps(got, given)
        off = eps.mean(0).abs().max().item()
        says = f"z is off mu by {off:.2f} deviations, with a spread of {eps.std():.2f}"
        return holds(off < 0.1 and eps.std() > 0.1, says)

    @prop("fresh noise for every number", cause="draw eps inside, in the shape of mu, at each call: not once a batch, "
          "a row or a column")  # fmt: skip
    def fresh(self, got, given):
        first, second = self.eps(got, given), self.eps(got, given, "again")
        if min(first.std(0).min(), second.std(0).min(), first.std(1).mean()) < 0.3:
            return holds(False, "rows or columns of a batch share their noise")
        table = torch.corrcoef(torch.cat([first, second], 1).T) - torch.eye(6, dtype=torch.float64)
        calm = both(self.spread(got, given), self.centre(got, given))
        return both(holds(table[:3, 3:].abs().max() < 0.1, "two calls draw the same noise"),
                    holds(table.abs().max() < 0.1, "the numbers of one z share their noise"), calm)  # fmt: skip

    @prop("gradient reaches mu and logvar", cause="z must be computed from mu and logvar, with eps outside the graph: "
          "no .data, no detach, no sample() of a distribution")  # fmt: skip
    def grads(self, got, given):
        mu, logvar = given["many"]["mu"], given["many"]["logvar"]
        first, second = got["many"]["grads"]
        want = (self.eps(got, given) * (logvar.double() / 2).exp() / 2).to(mu)
        alive = holds(self.eps(got, given).std() > 0.1, "z is mu: no noise arrives")
        return both(close(first, torch.ones_like(mu)), close(second, want, atol=1e-3, rtol=1e-3), alive)


from genimg_lib.checks import debug_vae_decoder  # noqa: E402, F401  the other three questions of this notebook
