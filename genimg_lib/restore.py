"""Pictures from worse pictures: a diffusion model that sees a small or colourless version while it denoises.

Where a worse version of every training picture can be made, no clever sampler is needed: the network gets it as
further channels (SR3; Saharia et al. 2022), and what it learns is p(picture | worse version).
"""

from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor

from genimg_lib.diffusion import Diffusion, Predict, add_noise, error_weight, integrate, logit_normal
from genimg_lib.model import Losses
from genimg_lib.nets import UNet

EXAMPLES = 64  # worse versions that a model keeps, to have something to draw from when nobody gives it one


def shrink(x: Tensor, by: int = 4) -> Tensor:
    """Means of by×by pixels: (B, C, H, W) -> (B, C, H/by, W/by)."""
    return F.avg_pool2d(x, by)


def repeat(x: Tensor, by: int = 4) -> Tensor:
    """Each pixel by×by times: (B, C, H, W) -> (B, C, by·H, by·W). `shrink` undoes it exactly."""
    return F.interpolate(x, scale_factor=by)


def consistent(x: Tensor, small: Tensor) -> Tensor:
    """The picture nearest to x whose shrunken version is `small`: x + A⁺(small − A x)   (DDNM; Wang et al. 2023).

    A shrinks, its pseudo-inverse A⁺ repeats. What A sees is replaced, what it does not see is kept. Values may leave
    [-1, 1] where x was far off. x: (B, C, H, W), small: (B, C, h, w) with H a multiple of h.
    """
    by = x.shape[-1] // small.shape[-1]
    return x + repeat(small - shrink(x, by), by)


def line_art(x: Tensor, ink: float = 0.7) -> Tensor:
    """Dark lines where neighbouring colours differ, white elsewhere: (B, C, H, W) -> (B, 1, H, W) in [-1, 1]."""
    p = F.pad(x, (0, 1, 0, 1), mode="replicate")
    step = (p[..., :-1, 1:] - x).square() + (p[..., 1:, :-1] - x).square()
    return 1 - 2 * (ink * step.sum(1, keepdim=True).sqrt()).clamp(0, 1)


class Restorer(Diffusion):
    """p(picture | worse version of it): a denoiser that also sees the worse version.

    size: pixels a side. worsen: (B, 3, size, size) -> what is known of them, (B, 1 or 3, h, w), h a divisor of size.
    exact: what is known is the shrunken picture, and every guess is made to agree with it (`consistent`).
    Other settings as in `Diffusion`.
    """

    def __init__(
        self, size: int, worsen: Callable[[Tensor], Tensor], exact: bool = False, width: int = 64,
        patch: int = 4, times=(1.0, 1.5), **settings,
    ):  # fmt: skip
        known, settings = worsen(torch.zeros(1, 3, size, size)), {"shift": 3.0} | settings
        super().__init__(UNet(3 + known.shape[1], width, patch=patch), (3, size, size), times=times, **settings)
        self.worsen, self.exact = worsen, exact
        self.register_buffer("examples", known.expand(EXAMPLES, -1, -1, -1).clone())

    def prepare(self, x: Tensor) -> Tensor:
        """Keeps what is known of the first few pictures, for `sample`."""
        kept = self.worsen(x[:EXAMPLES])
        self.examples[: len(kept)] = kept
        return x

    def predict(self, x_t: Tensor, t: Tensor, known: Tensor) -> Tensor:
        """The mean of the pictures that x_t and `known` leave possible: (B, 3, H, W).

        What is known, enlarged smoothly, is the first guess, and the net corrects it, before the tanh: where nothing is
        to be done it has nothing to say, so flat colours stay flat and black lines black.
        """
        size = x_t.shape[-2:]
        out = self.net(torch.cat([x_t, repeat(known, size[1] // known.shape[-1])], 1), t)[:, :3].float()
        smooth = F.interpolate(known, size, mode="bilinear", align_corners=False)
        x0 = 1.1 * (out + torch.atanh(smooth.clamp(-1, 1) / 1.1)).tanh()
        return consistent(x0, known) if self.exact else x0

    def loss(self, x: Tensor, y: Tensor | None = None) -> Losses:
        """As in `Diffusion`, with the worse version of each picture shown."""
        t, eps = logit_normal(len(x), *self.times, device=x.device), torch.randn_like(x)
        error = (self.predict(add_noise(self.path, x, eps, t), t, self.worsen(x)) - x).square().flatten(1).mean(1)
        return {"loss": (error_weight(self.path, self.space, t) * error).mean()}

    def guess_from(self, known: Tensor) -> Predict:
        """What a sampler asks."""
        return lambda x_t, t: self.predict(x_t, t, known).clamp(-1, 1)

    @torch.no_grad()
    def restore(self, known: Tensor, steps: int | None = None, noise: Tensor | None = None) -> Tensor:
        """One of the pictures that `known`: (B, c, h, w) leaves possible, drawn with `noise`: (B, 3, H, W)."""
        self.eval()
        known = known.to(self.device)
        noise = torch.randn(len(known), *self.shape, device=self.device) if noise is None else noise
        parts = [
            integrate(self.path, self.guess_from(a), b, steps or self.steps, self.step, self.shift)
            for a, b in zip(known.split(50), noise.split(50), strict=True)
        ]
        return torch.cat(parts)

    def mean(self, known: Tensor, noise: Tensor | None = None) -> Tensor:
        """The mean of all pictures that `known` leaves possible: at t = 1 the noise says nothing, so one step is it."""
        return self.restore(known, 1, noise)

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n pictures restored from the examples kept, in turn."""
        return self.restore(self.examples[torch.arange(n, device=self.device) % EXAMPLES])
