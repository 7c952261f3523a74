"""Paths from data to noise, the ways back, and the model that walks them. Everything consumes the prediction of x0.

A path mixes data x0 and noise eps: x_t = alpha(t) x0 + sigma(t) eps, t = 0 is data, t = 1 is noise. Whoever can
guess x0 from (x_t, t) knows where the path leads, so one function `predict(x_t, t) -> x0`, with t of shape (B,),
is all that a sampler needs, whatever a network was trained to output.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import Attributes, UNet

Predict = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class Path:
    """How much data, alpha(t), and how much noise, sigma(t), x_t holds, with their derivatives in t."""

    alpha: Callable
    sigma: Callable
    d_alpha: Callable
    d_sigma: Callable


#: Flow matching: a straight line at constant speed (Lipman et al. 2023; Liu et al. 2023).
linear = Path(alpha=lambda t: 1 - t, sigma=lambda t: t, d_alpha=lambda t: -torch.ones_like(t), d_sigma=torch.ones_like)

#: A quarter circle, alpha² + sigma² = 1: the variance of standardised data never changes.
cosine = Path(
    alpha=lambda t: torch.cos(math.pi / 2 * t),
    sigma=lambda t: torch.sin(math.pi / 2 * t),
    d_alpha=lambda t: -math.pi / 2 * torch.sin(math.pi / 2 * t),
    d_sigma=lambda t: math.pi / 2 * torch.cos(math.pi / 2 * t),
)


def _log_signal(t):
    """log alpha of DDPM: −1/2 ∫ beta, with beta rising in a straight line from 0.1 to 20 in the unit of time."""
    return -0.05 * t - 4.975 * t**2


#: DDPM's own schedule in the limit of many steps: betas on a straight line (Ho et al. 2020; Song et al. 2021, app. B).
#: It too keeps alpha² + sigma² = 1. At t = 1 a trace of the picture is left, alpha = 0.0066.
ddpm = Path(
    alpha=lambda t: torch.exp(_log_signal(t)),
    sigma=lambda t: torch.sqrt(-torch.expm1(2 * _log_signal(t))),
    d_alpha=lambda t: -(0.05 + 9.95 * t) * torch.exp(_log_signal(t)),
    d_sigma=lambda t: (0.05 + 9.95 * t) * torch.exp(2 * _log_signal(t)) / torch.sqrt(-torch.expm1(2 * _log_signal(t))),
)


def per_sample(t: Tensor, x: Tensor) -> Tensor:
    """t: (B,) with ones appended, so that it broadcasts over x: (B, ...)."""
    return t.view(-1, *[1] * (x.ndim - 1))


def add_noise(path: Path, x0: Tensor, eps: Tensor, t: Tensor) -> Tensor:
    """x_t = alpha(t) x0 + sigma(t) eps. x0, eps: (B, ...); t: (B,); returns (B, ...)."""
    t = per_sample(t, x0)
    return path.alpha(t) * x0 + path.sigma(t) * eps


def logit_normal(n: int, mean: float = 0.0, std: float = 1.0, device=None) -> Tensor:
    """n times t = sigmoid(N(mean, std²)): most in the middle, where guessing is hardest (Esser et al. 2024)."""
    return torch.sigmoid(mean + std * torch.randn(n, device=device))


def velocity(path: Path, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """dx_t/dt = alpha'(t) x0 + sigma'(t) eps, the noise being what x_t holds beside x0: eps = (x_t − alpha x0) / sigma.

    x_t, x0: (B, ...); t: (B,), all above 0; returns (B, ...).
    """
    t = per_sample(t, x_t)
    eps = (x_t - path.alpha(t) * x0) / path.sigma(t)
    return path.d_alpha(t) * x0 + path.d_sigma(t) * eps


KINDS = ("x0", "eps", "v")


def to_x0(path: Path, kind: str, out: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The picture behind x_t, from a prediction `out` of the picture ("x0"), of the noise ("eps") or of dx_t/dt ("v").

    x_t = alpha x0 + sigma eps and v = alpha' x0 + sigma' eps are two equations in two unknowns. From eps one divides by
    alpha, which is nothing at t = 1: noise alone does not say what it hides, so alpha counts as 0.01 at least.
    On the `cosine` path v is π/2 times the v of Salimans & Ho (2022). out, x_t: (B, ...); t: (B,); returns (B, ...).
    """
    if kind not in KINDS:
        raise ValueError(f"expected a prediction of one of {KINDS}, got {kind!r}")
    if kind == "x0":
        return out
    t = per_sample(t, x_t)
    alpha, sigma = path.alpha(t), path.sigma(t)
    if kind == "eps":
        return (x_t - sigma * out) / alpha.clamp(min=0.01)
    d_alpha, d_sigma = path.d_alpha(t), path.d_sigma(t)
    return (d_sigma * x_t - sigma * out) / (d_sigma * alpha - d_alpha * sigma)


def from_x0(path: Path, kind: str, x0: Tensor, x_t: Tensor, t: Tensor) -> Tensor:
    """The other way: what a prediction of the given kind says when x0 is the picture. Same shapes; t above 0."""
    if kind == "x0":
        return x0
    if kind == "v":
        return velocity(path, x_t, x0, t)
    t = per_sample(t, x_t)
    return (x_t - path.alpha(t) * x0) / path.sigma(t)


def error_weight(path: Path, space: str, t: Tensor, least: float = 0.05) -> Tensor:
    """What a squared error in x0 is worth when errors are counted in another space: t (B,) -> (B,).

    The three predictions differ by known factors, so their losses differ by a weight alone: 1 for x0, the ratio of
    signal to noise alpha²/sigma² for eps, (sigma' alpha/sigma − alpha')² for v. sigma counts as `least` at least: the
    weights grow without bound where no noise is left, and the last fine grains are not worth it.
    """
    alpha, sigma = path.alpha(t), path.sigma(t).clamp(min=least)
    if space == "x0":
        return torch.ones_like(t)
    if space == "eps":
        return (alpha / sigma).square()
    near = torch.where(path.sigma(t) < least, torch.full_like(t, least), t)  # sigma' may have no limit at t = 0
    return (path.d_sigma(near) * alpha / sigma - path.d_alpha(near)).square()


def score(path: Path, x_t: Tensor, x0: Tensor, t: Tensor) -> Tensor:
    """The gradient of log p_t at x_t, when x0 is the mean of the pictures behind it: −eps / sigma (Vincent 2011).

    x_t, x0: (B, ...); t: (B,), all above 0; returns (B, ...).
    """
    return -from_x0(path, "eps", x0, x_t, t) / path.sigma(per_sample(t, x_t))


def ddim_step(path: Path, x_t: Tensor, x0: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Move x_t from time t to s < t, keeping its noise: x_s = alpha(s) x0 + sigma(s) eps (Song et al. 2021, eq. 12).

    x_t, x0: (B, ...); t, s: (B,); returns (B, ...). On the linear path this is Euler's step.
    """
    t, s = per_sample(t, x_t), per_sample(s, x_t)
    eps = (x_t - path.alpha(t) * x0) / path.sigma(t)
    return path.alpha(s) * x0 + path.sigma(s) * eps


# ------------------------------------------------------------------------------------------- samplers
# One signature: (path, predict, x_t, t, s) -> x_s, one step from time t to s < t, both (B,).


def ddim(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Trust one guess of x0 for the whole step. One call of `predict`; error of order 1 in the step."""
    return ddim_step(path, x_t, predict(x_t, t), t, s)


def ancestral(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor, eta: float = 1.0) -> Tensor:
    """Trust the guess of x0, but swap a part of the noise for fresh noise (DDPM; Ho et al. 2020, alg. 2).

    eta = 1 draws from the true posterior of x_s given x_t and x0, eta = 0 is `ddim` (Song et al. 2021, eq. 16).
    """
    x0, t, s = predict(x_t, t), per_sample(t, x_t), per_sample(s, x_t)
    kept = path.alpha(t) / path.alpha(s) * path.sigma(s) / path.sigma(t)  # 1 would be: all of it
    fresh = eta * path.sigma(s) * (1 - kept**2).clamp(min=0).sqrt()
    eps = (x_t - path.alpha(t) * x0) / path.sigma(t)
    old = (path.sigma(s) ** 2 - fresh**2).clamp(min=0).sqrt()
    return path.alpha(s) * x0 + old * eps + fresh * torch.randn_like(x_t)


def euler(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Follow the velocity at t along a straight line. One call of `predict`; error of order 1 in the step."""
    return x_t + per_sample(s - t, x_t) * velocity(path, x_t, predict(x_t, t), t)


def heun(path: Path, predict: Predict, x_t: Tensor, t: Tensor, s: Tensor) -> Tensor:
    """Follow the mean of the velocities at both ends. Two calls; error of order 2 (Karras et al. 2022, alg. 1).

    At s = 0 no noise is left to divide by, and the step is `ddim`'s, which lands on the guess of x0.
    """
    x0 = predict(x_t, t)
    if not s.any():
        return ddim_step(path, x_t, x0, t, s)
    v, h = velocity(path, x_t, x0, t), per_sample(s - t, x_t)
    x_s = x_t + h * v
    return x_t + h * (v + velocity(path, x_s, predict(x_s, s), s)) / 2


@torch.no_grad()
def journey(
    path: Path, predict: Predict, x_1: Tensor, steps: int = 12, step=heun, shift: float = 1.0, start: float = 1.0
) -> Iterator[Tensor]:
    """Every station from noise x_1: (B, ...) at t = 1 to a sample at t = 0, both included: steps + 1 times (B, ...).

    The times are u = 1, …, 0 in equal steps, moved towards noise, where the large decisions fall, by a shift above 1:
    t = shift · u / (1 + (shift − 1) u)   (Esser et al. 2024, sec. 5.3.2). With a start below 1 the way begins there, at
    x_1 = x_t with t = start, and all times are `start` times as large.
    """
    if steps < 1:
        raise ValueError(f"expected at least one step from noise to data, got steps={steps}")
    times = torch.linspace(1, 0, steps + 1, device=x_1.device, dtype=x_1.dtype)
    times = start * shift * times / (1 + (shift - 1) * times)
    x = x_1
    yield x
    for t, s in zip(times, times[1:], strict=False):
        x = step(path, predict, x, t.expand(x.shape[0]), s.expand(x.shape[0]))  # a number that an export leaves open
        yield x


def integrate(
    path: Path, predict: Predict, x_1: Tensor, steps: int = 12, step=heun, shift: float = 1.0, start: float = 1.0
) -> Tensor:
    """Walk from noise x_1: (B, ...) at t = 1 to a sample at t = 0, in steps of the given kind: where `journey` ends."""
    return deque(journey(path, predict, x_1, steps, step, shift, start), maxlen=1)[0]


def guided(predict: Callable, y: Tensor, w: float) -> Predict:
    """Classifier-free guidance: away from the guess without the wish, through the one with it, and w times as far.

    x0 = x0(anything) + w (x0(y) − x0(anything))      (Ho & Salimans 2022, eq. 6, where w + 1 stands for this w)

    The two weights add up to 1, so guiding x0, eps or v is one and the same. predict(x_t, t, y) -> x0; w = 1 is the
    plain conditional model and costs one call, any other w two.
    """
    if w == 1:
        return lambda x_t, t: predict(x_t, t, y)

    def both(x_t: Tensor, t: Tensor) -> Tensor:
        n = x_t.shape[0]  # an export leaves it open, where chunk(2) would fix it
        x0 = predict(torch.cat([x_t, x_t]), torch.cat([t, t]), torch.cat([y, torch.full_like(y, -1)]))
        return x0[n:] + w * (x0[:n] - x0[n:])

    return both


# --------------------------------------------------------------------------------------------- the model


class Diffusion(GenerativeModel):
    """A denoiser trained at all noise levels, and a sampler: diffusion and flow matching, by the choice of the path.

    net(x_t, t, extra) predicts what `kind` says, "x0", "eps" or "v"; the loss counts errors in `space`. shape: of one
    picture. sizes: values of each attribute, empty for none; the net must take an `extra` of `condition` numbers.
    step, steps, shift: the sampler, how often, and at which times (`journey`). guidance: w of `guided` wherever
    attributes are asked for. times: mean and deviation of logit t in training. In pictures a colour is one decision for
    hundreds of pixels, whose mean shows it through nearly pure noise: t close to 1 must be learned well, and the
    sampler must not hurry there. Hence times above (0, 1), and a shift, in `face_flow`.
    """

    def __init__(
        self, net: nn.Module, shape, path: Path = linear, kind: str = "x0", space: str = "v", sizes=(),
        condition: int = 128, step=heun, steps: int = 8, guidance: float = 1.0, times=(0.5, 1.5), shift: float = 1.0,
    ):  # fmt: skip
        super().__init__()
        if kind not in KINDS or space not in KINDS:
            raise ValueError(f"expected kind and space among {KINDS}, got {kind!r} and {space!r}")
        self.net, self.shape, self.path, self.kind, self.space = net, tuple(shape), path, kind, space
        self.step, self.steps, self.shift, self.guidance, self.times = step, steps, shift, guidance, times
        self.wish = Attributes(sizes, condition) if sizes else None

    def predict(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The guess of the picture: x_t (B, C, H, W), t (B,), y (B, A) or None for anything -> (B, C, H, W).

        A mean of pictures lies in [-1, 1] too, so a net that predicts pictures speaks through a tanh: less speckle on
        paper. 1.1 times as far, for exact white must be within reach.
        """
        out = self.net(x_t, t, None if self.wish is None else self.wish(y, x_t.shape[0])).float()
        return to_x0(self.path, self.kind, 1.1 * out.tanh() if self.kind == "x0" else out, x_t, t)

    def loss(self, x: Tensor, y: Tensor | None = None) -> Losses:
        """E weight(t) ‖predict(x_t, t) − x‖² / numbers in x, t logit-normal   (Ho et al. 2020, eq. 14, for "eps")."""
        t, eps = logit_normal(len(x), *self.times, device=x.device), torch.randn_like(x)
        if self.wish is not None and y is not None:
            y = Attributes.drop(y)
        error = (self.predict(add_noise(self.path, x, eps, t), t, y) - x).square().flatten(1).mean(1)
        return {"loss": (error_weight(self.path, self.space, t) * error).mean()}

    def guess(self, y: Tensor | None = None, w: float | None = None) -> Predict:
        """What a sampler asks: the guided guess for the wish y, limited to [-1, 1] where pictures live."""
        w = self.guidance if w is None else w
        predict = self.predict if y is None else guided(self.predict, y, w)
        return lambda x_t, t: predict(x_t, t).clamp(-1, 1)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n pictures of the wishes y: (n, A), −1 for anything; or of anything at all."""
        self.eval()
        noise = torch.randn(n, *self.shape, device=self.device)
        return self.decode(noise, y)

    def decode(self, noise: Tensor, y: Tensor | None = None, w: float | None = None) -> Tensor:
        """The pictures that given noise (B, C, H, W) becomes, in chunks so that thousands fit in memory."""
        wishes = [None] * len(noise) if y is None else y.split(250)
        parts = [
            integrate(self.path, self.guess(wish, w), part, self.steps, self.step, self.shift)
            for part, wish in zip(noise.split(250), wishes, strict=False)
        ]
        return torch.cat(parts).clamp(-1, 1)


def face_flow(size: int = 32, channels: int = 3, path: Path = linear, width: int = 48, **settings) -> Diffusion:
    """The course's diffusion of small pictures: a U-Net on patches of 2×2 pixels that predicts the clean picture."""
    settings = {"times": (1.0, 1.5), "shift": 3.0} | settings
    return Diffusion(UNet(channels, width, (1, 2, 3), 1, patch=2), (channels, size, size), path, **settings)
