"""The variational autoencoder: a code for every picture, and a picture for (almost) every code."""

import math

import torch
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import Down, ResBlock, Up

# ---------------------------------------------------------------------------------------- the equations


def reparameterize(mu: Tensor, logvar: Tensor) -> Tensor:
    """Draw z ~ N(mu, diag(exp(logvar))) so that gradients reach mu and logvar.

    z = mu + exp(logvar / 2) * eps,   eps ~ N(0, I)      (Kingma & Welling 2014, sec. 2.4)

    mu, logvar: (B, D); returns (B, D).
    """
    return mu + torch.exp(0.5 * logvar) * torch.randn_like(mu)


def gaussian_kl(mu: Tensor, logvar: Tensor) -> Tensor:
    """KL(N(mu, diag(exp(logvar))) ‖ N(0, I)) in nats, one number a sample: the price of a code.

    KL = 1/2 Σ_j (mu_j² + exp(logvar_j) − 1 − logvar_j)      (Kingma & Welling 2014, app. B)

    mu, logvar: (B, D); returns (B,).
    """
    return 0.5 * (mu**2 + logvar.exp() - 1 - logvar).sum(dim=1)


def log_normal(x: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    """log N(x; mu, diag(exp(logvar))) in nats, summed over the last axis: (..., D) -> (...)."""
    return -0.5 * ((x - mu) ** 2 * (-logvar).exp() + logvar + math.log(2 * math.pi)).sum(dim=-1)


def importance_bound(log_w: Tensor) -> Tensor:
    """log of the mean weight, log 1/K Σ_k w_k ≤ log p(x) on average, tighter as K grows (Burda et al. 2016, eq. 8).

    log_w: (K, B) of log p(x, z_k) − log q(z_k | x), z_k ~ q; returns (B,) in nats. K = 1 is the ELBO.
    """
    return torch.logsumexp(log_w, dim=0) - math.log(len(log_w))


def pixel_cost(x: Tensor, x_hat: Tensor, scale: float = 0.06, weight: Tensor | float = 1.0) -> Tensor:
    """What a wrong picture costs, one number a sample: Σ (squared error + 1/2 absolute error) / scale over the pixels.

    Up to a constant this is −log p(x | z) of a density exp(−(e² + |e|/2) / scale) in the error e of a pixel: a
    Gaussian of variance scale / 2, sharpened at its peak, because flat comic colours are often exactly right.
    x, x_hat: (B, C, H, W); weight: (H, W), how often each pixel counts; returns (B,).
    """
    e = x - x_hat
    return ((e.square() + 0.5 * e.abs()) * weight).flatten(1).sum(dim=1) / scale


# ------------------------------------------------------------------------------------------ the network


class VAE(GenerativeModel):
    """q(z | x) is a diagonal Gaussian, the prior N(0, I), the decoder guesses the picture.

    A kind of VAE sets `shape`, the code's length `z`, `beta`, the weight of the KL (Higgins et al. 2017; 1 is the
    ELBO), the networks `encoder` (B, C, H, W) -> (B, 2 z) or twice a grid's channels, and `decoder` (B, z) -> pictures.
    """

    shape: tuple[int, int, int]
    z: int
    beta: float
    weight: Tensor | float  # how often a pixel's error counts

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Where z is likely to be, given x: mean and log-variance of q(z | x), each (B, z)."""
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"expected pictures (B, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}; "
                f"build the model with shape={tuple(x.shape[1:])} or load the data at another size"
            )
        mu, logvar = self.encoder(x).float().chunk(2, dim=1)
        return mu.flatten(1), logvar.flatten(1)

    def decode(self, z: Tensor) -> Tensor:
        """The picture a code stands for: (B, z) -> (B, C, H, W), not clamped."""
        return self.decoder(z).float()

    def reconstruct(self, x: Tensor) -> Tensor:
        """x through the mean of its code and back, clamped to [-1, 1]."""
        return self.decode(self.encode(x)[0]).clamp(-1, 1)

    def loss(self, x: Tensor, y=None) -> Losses:
        """−ELBO with the KL weighted by beta, in nats a picture: {"loss", "pixels", "kl"}."""
        mu, logvar = self.encode(x)
        pixels = pixel_cost(x, self.decode(reparameterize(mu, logvar)), weight=self.weight).mean()
        kl = gaussian_kl(mu, logvar).mean()
        return {"loss": pixels + self.beta * kl, "pixels": pixels, "kl": kl}

    @torch.no_grad()
    def sample(self, n: int, y=None) -> Tensor:
        """Decode n codes drawn from the prior."""
        return self.decode(torch.randn(n, self.z, device=self.device)).clamp(-1, 1)


class ConvVAE(VAE):
    """A VAE with one code for the whole picture.

    shape: (C, H, W) of a picture. z: length of a code. widths: channels from the finest level to the coarsest, each
    half as wide and high as the one before. patch: pixels a side that are folded into channels at the entrance, which
    makes everything patch² times cheaper. H and W must be multiples of patch · 2^(len(widths) − 1).
    """

    def __init__(self, shape=(3, 32, 32), z: int = 64, beta: float = 0.25, widths=(48, 96, 192), patch: int = 2):
        super().__init__()
        c, height, width = self.shape = tuple(shape)
        shrink = patch * 2 ** (len(widths) - 1)
        if height % shrink or width % shrink:
            raise ValueError(
                f"widths={tuple(widths)} with patch={patch} shrink a picture {shrink} times, and {height}×{width} "
                f"is no multiple of {shrink}; load the pictures at such a size, or name one width fewer"
            )
        self.z, self.beta, self.weight = z, beta, 1.0
        coarse = (widths[-1], height // shrink, width // shrink)
        n, folded = math.prod(coarse), c * patch**2

        down = [nn.PixelUnshuffle(patch), nn.Conv2d(folded, widths[0], 3, padding=1)]
        for m, k in zip(widths, widths[1:], strict=False):
            down += [Down(m, k), ResBlock(k)]
        self.encoder = nn.Sequential(*down, nn.SiLU(), nn.Flatten(), nn.Linear(n, 2 * z))

        up = [nn.Linear(z, n), nn.Unflatten(1, coarse), ResBlock(widths[-1])]
        for m, k in zip(widths[::-1], widths[-2::-1], strict=False):
            up += [Up(m, k), ResBlock(k)]
        up += [nn.SiLU(), nn.Conv2d(widths[0], folded, 3, padding=1), nn.PixelShuffle(patch)]
        self.decoder = nn.Sequential(*up)


class ConvAutoencoder(ConvVAE):
    """The same network without probability: no noise, no prior, only reconstruction. Its codes may lie anywhere."""

    def loss(self, x: Tensor, y=None) -> Losses:
        """The cost of the reconstruction: {"loss"}."""
        return {"loss": pixel_cost(x, self.decode(self.encode(x)[0])).mean()}


class Painter(nn.Module):
    """Features of patches to pixels, (B, width, H / patch, W / patch) -> (B, channels, H, W), with two brushes.

    The broad one fills each patch from its own features, which leaves a grain. The fine one works at half the picture's
    resolution and sees its neighbours, but alone finds the colours late. Comic faces of 32 pixels after 600 steps, one
    run each: one broad brush, 3×3 wide, 23.0 dB and 72% of hair colours read as they were; both 24.2 dB and 88%.
    """

    def __init__(self, width: int, channels: int, patch: int, fine: int):
        super().__init__()
        self.broad = nn.Sequential(nn.Conv2d(width, channels * patch**2, 1), nn.PixelShuffle(patch))
        self.fine = nn.Sequential(
            nn.Conv2d(width, fine * (patch // 2) ** 2, 1), nn.PixelShuffle(patch // 2), ResBlock(fine),
            nn.GroupNorm(math.gcd(8, fine), fine), nn.SiLU(), nn.Conv2d(fine, 4 * channels, 3, padding=1),
            nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, h: Tensor) -> Tensor:
        return self.broad(h) + self.fine(h)


class SpatialVAE(VAE):
    """A VAE whose code is itself a small picture: one place of `channels` numbers for every patch of the picture.

    What stands in the code at a place is about that place, so a mouth need not fight with the hair for the numbers of
    one vector (Rombach et al. 2022, sec. 3.1). shape: (C, H, W), multiples of `patch`, which is even. width: channels
    of the `blocks` residual convolutions on each side. fine: channels of the `Painter`'s fine brush. focus: (top,
    bottom, left, right) in pixels, where an error counts `weight` times: a square of the picture that the eye goes to.
    """

    def __init__(
        self, shape=(3, 64, 64), channels: int = 8, beta: float = 1.0, width: int = 128, blocks: int = 3,
        patch: int = 8, fine: int = 48, focus: tuple[int, int, int, int] | None = None, weight: float = 10.0,
    ):  # fmt: skip
        super().__init__()
        c, height, width_px = self.shape = tuple(shape)
        if height % patch or width_px % patch or patch % 2:
            raise ValueError(
                f"expected an even patch that divides {height}×{width_px} pixels, got patch={patch}; try another patch "
                "or size"
            )
        self.grid, self.beta, folded = (channels, height // patch, width_px // patch), beta, c * patch**2
        self.z = math.prod(self.grid)
        top, bottom, left, right = focus or (0, 0, 0, 0)
        self.register_buffer("weight", torch.ones(height, width_px), persistent=False)
        self.weight[top:bottom, left:right] = weight
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(patch), nn.Conv2d(folded, width, 3, padding=1), *(ResBlock(width) for _ in range(blocks)),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, 2 * channels, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Unflatten(1, self.grid), nn.Conv2d(channels, width, 3, padding=1),
            *(ResBlock(width) for _ in range(blocks)), nn.GroupNorm(8, width), nn.SiLU(),
            Painter(width, c, patch, fine),
        )  # fmt: skip
