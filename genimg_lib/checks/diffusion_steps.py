"""05 Diffusion, second part: DDPM's and DDIM's step."""

import math

from genimg_lib.checks.compare import both, close, explained, tensor
from genimg_lib.checks.core import prop, question

DIFFUSION = "notebooks/diffusion"


def posterior(xt, x0, alpha, ab_prev):
    """Mean and variance of q(x_{t-1} | x_t, x_0) by Bayes: a Gaussian prior times a Gaussian likelihood."""
    prior, seen = 1 / (1 - ab_prev), alpha / (1 - alpha)
    mean = (prior * math.sqrt(ab_prev) * x0 + math.sqrt(alpha) / (1 - alpha) * xt) / (prior + seen)
    return mean, 1 / (prior + seen)


@question("ddpm_step", points=3, title="One ancestral step", read=DIFFUSION, hints=(
    "Two pieces: a mean, which moves x_t a little towards the data, and fresh noise. What happens to the "
    "noise at t = 0?",
    "You need alpha_t (one step) and alpha_bar_t (all steps so far). Which one divides eps, which one "
    "divides the whole?",
    "The variance of q(x_{t-1} | x_t, x_0) is smaller than beta_t, by the ratio of the noise left after the step and "
    "before it. With nothing before step 0, alpha_bar is 1 there.",
))  # fmt: skip
class DdpmStep:
    """x_{t-1} = (x_t - beta / sqrt(1 - ab) eps) / sqrt(alpha) + sqrt(beta~) z   (Ho et al. 2020, eq. 7)"""

    def inputs(self, draw):
        T = 7
        same = dict(xt=draw(3, 2, 4, 5), eps=draw(3, 2, 4, 5), betas=draw.uniform(T, low=0.1, high=0.6))
        z = draw(3, 2, 4, 5)
        times = {"middle": 3, "second": 1, "last": 0, "first": T - 1}
        return {name: dict(same, t=t, z=z) for name, t in times.items()} | {"quiet": dict(same, t=3, z=0 * z)}

    def probe(answer, xt, eps, t, betas, z):
        return dict(x=answer(xt, eps, t, betas, z))

    def step(self, xt, eps, t, betas, z):
        keep = (1 - betas.double()).tolist()
        ab, ab_prev = math.prod(keep[: t + 1]), math.prod(keep[:t])
        x0 = (xt.double() - math.sqrt(1 - ab) * eps.double()) / math.sqrt(ab)
        mean, variance = (x0, 0.0) if t == 0 else posterior(xt.double(), x0, keep[t], ab_prev)
        return mean.to(xt.dtype), (math.sqrt(variance) * z.double()).to(xt.dtype)

    @prop("the mean", 2, cause="divide by sqrt(alpha_t), and scale eps by beta_t / sqrt(1 - "
          "alpha_bar_t): one root holds one step, the other all steps so far")  # fmt: skip
    def mean(self, got, given):
        case, mine = given["quiet"], got["quiet"]["x"]
        xt, eps, beta = case["xt"], case["eps"], case["betas"][case["t"]]
        ab = (1 - case["betas"]).cumprod(0)[case["t"]]
        inner = xt - beta / (1 - ab).sqrt() * eps
        return explained(close(mine, self.step(**case)[0], rtol=1e-3, atol=1e-5), mine, lambda: {
            "alpha_bar_t divides it all, where alpha_t belongs": inner / ab.sqrt(),
            "the division by sqrt(alpha_t) is missing": inner,
            "eps is scaled by the root of beta_t": (xt - (beta / (1 - ab)).sqrt() * eps) / (1 - beta).sqrt(),
            "this is the prediction of x0": (xt - (1 - ab).sqrt() * eps) / ab.sqrt(),
        })  # fmt: skip

    @prop("the posterior variance", 2, cause="multiply z by the root of beta_t (1 - alpha_bar_{t-1}) / (1 - "
          "alpha_bar_t); a variance needs its root, and beta_t alone is the other choice of the paper")  # fmt: skip
    def noise(self, got, given):
        loud, quiet = (tensor(got[name]["x"], given[name]["xt"]) for name in ("middle", "quiet"))
        want = self.step(**given["middle"])[1].double()
        second = close(got["second"]["x"], sum(self.step(**given["second"])), rtol=1e-3, atol=1e-5)
        case, noise = given["middle"], loud - quiet
        beta, z = case["betas"][case["t"]].double(), case["z"].double()
        return both(explained(close(noise, want, rtol=1e-3, atol=1e-5), noise, lambda: {
            "this is beta_t's root: the other variance": beta.sqrt() * z,
            "beta_t itself is no deviation": beta * z,
            "the variance is not rooted": (want / z) ** 2 * z,
            "z plays no part": 0 * z,
            "z is not scaled": z,
        }), second)  # fmt: skip

    @prop("no noise at t = 0", cause="the last step returns the mean; and index t - 1 = -1 is the end of the "
          "table in Python")
    def last(self, got, given):
        mine, want = got["last"]["x"], self.step(**given["last"])[0]
        beta, z = given["last"]["betas"][0], given["last"]["z"]
        ab = (1 - given["last"]["betas"]).cumprod(0)
        return explained(close(mine, want, rtol=1e-3, atol=1e-5), mine, lambda: {
            "noise of variance beta_0 was added": want + beta.sqrt() * z,
            "index -1 was read, and its noise added": want + (beta * (1 - ab[-1]) / (1 - ab[0])).sqrt() * z,
        })  # fmt: skip

    @prop("from pure noise", cause="alpha_bar_t is the product of all (1 - betas) up to and including t")
    def start(self, got, given):
        return close(got["first"]["x"], sum(self.step(**given["first"])), rtol=1e-3, atol=1e-5)


@question("ddim_step", points=3, title="The step that needs no noise", read=DIFFUSION, hints=(
    "Predict x0 first. Then ask what a picture at the new noise level is made of.",
    "At eta = 0 all the noise of the new level is the old noise, rescaled. With eta > 0 a part of it is drawn fresh.",
    "The variances of old and fresh noise must add up to 1 - ab_prev. So the old noise's variance is what "
    "sigma² leaves.",
))  # fmt: skip
class DdimStep:
    """sqrt(ab') x0 + sqrt(1 - ab' - sigma²) eps + sigma z   (Song et al. 2021, eq. 12 and 16)"""

    def inputs(self, draw):
        ab = draw.uniform(1, low=0.2, high=0.4).item()
        prev = draw.uniform(1, low=0.6, high=0.8).item()
        same = dict(xt=draw(3, 2, 4, 5), eps=draw(3, 2, 4, 5), ab=ab, ab_prev=prev, z=draw(3, 2, 4, 5))
        return {"sure": dict(same, eta=0.0), "half": dict(same, eta=0.6), "full": dict(same, eta=1.0),
                "to the picture": dict(same, eta=0.8, ab_prev=1.0),
                "large": dict(same, eta=0.0, xt=same["xt"] * 6)}  # fmt: skip

    def probe(answer, xt, eps, ab, ab_prev, eta, z):
        return dict(x=answer(xt, eps, ab, ab_prev, eta, z))

    def step(self, xt, eps, ab, ab_prev, eta, z):
        xt, eps, z, dtype = xt.double(), eps.double(), z.double(), xt.dtype
        x0 = (xt - math.sqrt(1 - ab) * eps) / math.sqrt(ab)
        variance = 0.0 if ab_prev == 1 else eta**2 * posterior(xt, x0, ab / ab_prev, ab_prev)[1]
        kept = math.sqrt(1 - ab_prev - variance)
        return (math.sqrt(ab_prev) * x0 + kept * eps + math.sqrt(variance) * z).to(dtype)

    @prop("eta = 0 draws nothing", 2, cause="at eta = 0: sqrt(ab_prev) x0 + sqrt(1 - ab_prev) eps, and z "
          "plays no part")
    def sure(self, got, given):
        return close(got["sure"]["x"], self.step(**given["sure"]), rtol=1e-3, atol=1e-5)

    @prop("eta = 1 is the DDPM step", cause="sigma = eta · sqrt((1 - ab_prev) / (1 - ab)) · sqrt(1 - ab / ab_prev); "
          "at eta = 1 the result must be DDPM's mean plus its posterior noise")  # fmt: skip
    def full(self, got, given):
        xt, eps, ab, prev, z = (given["full"][name] for name in ("xt", "eps", "ab", "ab_prev", "z"))
        x0 = (xt.double() - math.sqrt(1 - ab) * eps.double()) / math.sqrt(ab)
        mean, variance = posterior(xt.double(), x0, ab / prev, prev)
        want = (mean + math.sqrt(variance) * z.double()).to(xt.dtype)
        mine, more = got["full"]["x"], math.sqrt(1 - prev) - math.sqrt(1 - prev - variance)
        return explained(close(mine, want, rtol=1e-3, atol=1e-5), mine, lambda: {
            "the old noise must make room for the fresh: 1 - ab_prev - sigma²": want + more * eps,
            "eta has no effect": math.sqrt(prev) * x0.to(xt) + math.sqrt(1 - prev) * eps,
            "the fresh noise is missing": want - math.sqrt(variance) * z,
        })  # fmt: skip

    @prop("eta between", cause="eta scales sigma, not sigma²; and sigma² must leave the old noise's share")
    def half(self, got, given):
        case, mine = given["half"], got["half"]["x"]
        return explained(close(mine, self.step(**case), rtol=1e-3, atol=1e-5), mine, lambda: {
            "eta scales the variance here": self.step(**case | {"eta": math.sqrt(case["eta"])}),
            "eta was squared once too often": self.step(**case | {"eta": case["eta"] ** 2}),
        })  # fmt: skip

    @prop("a step to ab_prev = 1 lands on x0", cause="x0 = (x_t - sqrt(1 - ab) eps) / sqrt(ab)")
    def home(self, got, given):
        return close(got["to the picture"]["x"], self.step(**given["to the picture"]), rtol=1e-3, atol=1e-5)

    @prop("nothing is clipped", cause="the contract has no clipping: x0 may leave [-1, 1] here")
    def large(self, got, given):
        return close(got["large"]["x"], self.step(**given["large"]), rtol=1e-3, atol=1e-4)


import genimg_lib.checks.diffusion_flow  # noqa: E402, F401  (this notebook's other questions, in its order)
