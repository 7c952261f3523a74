"""Pictures as sentences: an autoencoder whose code is a small grid of symbols from a finite alphabet."""

import math

import torch
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import ResBlock

# ---------------------------------------------------------------------------------------- the equations


def nearest_code(z_e: Tensor, codebook: Tensor) -> Tensor:
    """The index of the code nearest to each vector   (van den Oord et al. 2017, eq. 1).

    k = argmin_j ‖z_e − e_j‖² = argmin_j (‖e_j‖² − 2 z_e·e_j), since ‖z_e‖² is the same for every j.
    z_e: (N, D), codebook: (K, D); returns (N,) int64.
    """
    return (codebook.square().sum(1) - 2 * z_e @ codebook.T).argmin(1)


def straight_through(z_e: Tensor, z_q: Tensor) -> Tensor:
    """z_q forwards, the gradient of z_e backwards: z_e + sg[z_q − z_e]   (van den Oord et al. 2017, sec. 3.2)."""
    return z_e + (z_q - z_e).detach()


def perplexity(tokens: Tensor, codes: int) -> float:
    """The effective number of codes, exp(−Σ_j p_j log p_j) with p_j the share of tokens that are j: 1 … `codes`."""
    share = tokens.flatten().bincount(minlength=codes).double() / tokens.numel()
    return torch.special.entr(share).sum().exp().item()


# --------------------------------------------------------------------------------------- two quantisers


class Quantizer(nn.Module):
    """Vectors → the nearest of finitely many: z_e (B, dim, H, W) -> (z_q alike, tokens (B, H, W) int64, loss).

    `usage` (codes,) is the running average of how many tokens of a batch each code gets.
    """

    def __init__(self, codes: int, dim: int, decay: float = 0.99):
        super().__init__()
        self.codes, self.dim, self.decay = codes, dim, decay
        self.register_buffer("usage", torch.ones(codes))

    def lookup(self, tokens: Tensor) -> Tensor:
        """The vectors of some tokens: (B, H, W) -> (B, dim, H, W)."""
        raise NotImplementedError

    def count(self, tokens: Tensor) -> Tensor:
        """How many of the tokens are each code, (codes,); while training, `usage` remembers it."""
        n = tokens.flatten().bincount(minlength=self.codes).to(self.usage)
        if self.training:
            self.usage.lerp_(n, 1 - self.decay)
        return n


class VectorQuantizer(Quantizer):
    """A learned codebook of `codes` vectors   (van den Oord et al. 2017).

    beta: weight of the commitment. ema: the codes are running means of the vectors that chose them (appendix A.1)
    instead of learning from the codebook loss. restart: a code that gets fewer tokens than this a batch, on average,
    is moved to a random vector of the batch (Dhariwal et al. 2020, sec. 3.1); 0 never does.
    """

    def __init__(self, codes: int = 512, dim: int = 16, beta: float = 0.25, ema: bool = True, restart: float = 0.0):
        super().__init__(codes, dim)
        self.beta, self.ema, self.restart = beta, ema, restart
        start = torch.randn(codes, dim)
        if ema:
            self.register_buffer("codebook", start)
            self.register_buffer("sums", start.clone())  # codebook · usage, always
        else:
            self.codebook = nn.Parameter(start)

    def forward(self, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss is (‖sg[z_e] − e‖² + beta ‖z_e − sg[e]‖²) / dim (eq. 3), without its first term under `ema`."""
        flat = z_e.movedim(1, -1).flatten(0, -2)  # (B·H·W, dim)
        index = nearest_code(flat, self.codebook)
        e = self.codebook[index]
        loss = self.beta * (flat - e.detach()).square().mean()
        if not self.ema:
            loss = loss + (flat.detach() - e).square().mean()
        n = self.count(index)
        if self.training:
            with torch.no_grad():
                self.learn(flat, index, n)
        tokens = index.view(len(z_e), *z_e.shape[2:])
        z_q = e.view(*tokens.shape, self.dim).movedim(-1, 1)
        return straight_through(z_e, z_q), tokens, loss

    def learn(self, flat: Tensor, index: Tensor, n: Tensor) -> None:
        """What gradients do not do: move the codes to their running means, and wake the dead ones."""
        if self.ema:
            self.sums.lerp_(torch.zeros_like(self.sums).index_add_(0, index, flat), 1 - self.decay)
            alive = self.usage > 1e-4  # the mean of nothing is noise
            self.codebook[alive] = self.sums[alive] / self.usage[alive, None]
        dead = (self.usage < self.restart).nonzero()[:, 0]
        if len(dead):
            fresh = flat[torch.randint(len(flat), (len(dead),), device=flat.device)]
            self.codebook[dead], self.usage[dead] = fresh, 1.0
            if self.ema:
                self.sums[dead] = fresh

    def lookup(self, tokens: Tensor) -> Tensor:
        return self.codebook[tokens].movedim(-1, 1)


class FSQ(Quantizer):
    """Finite scalar quantisation: round each of a few numbers to one of its levels   (Mentzer et al. 2024, sec. 3.1).

    q = round(h tanh(z_e + s) − o), h = (L − 1)(1 − 0.001)/2, o = 1/2 for even L and 0 for odd, s = atanh(o / h), so
    that 0 stays 0 (the paper's code has tan, about the same). The alphabet is the grid of all Π L tuples: nothing in it
    is learned, so nothing in it can die. Vectors are handed on as q / ⌊L / 2⌋, in [−1, 1].
    """

    def __init__(self, levels=(8, 8, 8)):
        super().__init__(math.prod(levels), len(levels))
        if min(levels) < 3:
            raise ValueError(f"expected at least 3 levels for each number, got {tuple(levels)}; try (8, 5, 5, 5)")
        level = torch.tensor(levels)
        self.register_buffer("levels", level, persistent=False)
        self.register_buffer("places", torch.cat([level.new_ones(1), level.cumprod(0)[:-1]]), persistent=False)
        half, offset = (level - 1) * (1 - 1e-3) / 2, (1 - level % 2) / 2
        for name, value in {"reach": half, "offset": offset, "shift": torch.atanh(offset / half)}.items():
            self.register_buffer(name, value[:, None, None], persistent=False)

    def forward(self, z_e: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """The loss is 0: the bound keeps the encoder near the grid, and there is no codebook to teach."""
        bounded = self.reach * torch.tanh(z_e + self.shift) - self.offset
        q = bounded.round()
        digits = q.long() + (self.levels // 2)[:, None, None]  # 0 … L − 1
        tokens = (digits * self.places[:, None, None]).sum(1)  # a number in mixed radix
        self.count(tokens)
        return straight_through(bounded, q) / (self.levels // 2)[:, None, None], tokens, z_e.new_zeros(())

    def lookup(self, tokens: Tensor) -> Tensor:
        digits = tokens[:, None] // self.places[:, None, None] % self.levels[:, None, None]
        half = (self.levels // 2)[:, None, None]
        return (digits - half) / half


# ------------------------------------------------------------------------------------------ the network


class TokenAutoencoder(GenerativeModel):
    """An autoencoder with a quantiser in the middle: a VQ-VAE, or with `FSQ` its simpler cousin.

    Every `patch`·`patch` square of the picture is folded into one place, and every place becomes one token, so a
    picture is a grid of (H / patch) × (W / patch) tokens. width: channels; blocks: residual convolutions on each side,
    which let a token know of its neighbours.
    """

    def __init__(self, quantizer: Quantizer, shape=(3, 32, 32), width: int = 96, blocks: int = 3, patch: int = 4):
        super().__init__()
        c, height, width_px = self.shape = tuple(shape)
        if height % patch or width_px % patch:
            raise ValueError(f"patch={patch} does not divide {height}×{width_px} pixels; try another patch or size")
        self.quantizer, self.codes = quantizer, quantizer.codes
        self.grid, folded = (height // patch, width_px // patch), c * patch**2
        self.encoder = nn.Sequential(
            nn.PixelUnshuffle(patch), nn.Conv2d(folded, width, 3, padding=1), *(ResBlock(width) for _ in range(blocks)),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, quantizer.dim, 1),
        )  # fmt: skip
        self.decoder = nn.Sequential(
            nn.Conv2d(quantizer.dim, width, 3, padding=1), *(ResBlock(width) for _ in range(blocks)),
            nn.GroupNorm(8, width), nn.SiLU(), nn.Conv2d(width, folded, 3, padding=1), nn.PixelShuffle(patch),
        )  # fmt: skip

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """x (B, C, H, W) -> what the quantiser makes of the encoder's vectors: z_q (B, dim, h, w), tokens, loss."""
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"expected pictures (B, {', '.join(map(str, self.shape))}), got {tuple(x.shape)}; "
                f"build the model with shape={tuple(x.shape[1:])} or load the data at another size"
            )
        z_e = self.encoder(x).float()
        with torch.autocast(x.device.type, enabled=False):  # the nearest of two close codes needs all digits
            return self.quantizer(z_e)

    @torch.no_grad()
    def tokenize(self, x: Tensor) -> Tensor:
        """The sentence of each picture: (B, C, H, W) -> (B, h, w) int64 in 0 … codes − 1."""
        return torch.cat([self.encode(part.to(self.device))[1] for part in x.split(500)])

    @torch.no_grad()
    def decode(self, tokens: Tensor) -> Tensor:
        """The picture of each sentence: (B, h, w) -> (B, C, H, W) in [-1, 1]."""
        parts = tokens.to(self.device).split(500)
        return torch.cat([self.decoder(self.quantizer.lookup(part)).float().clamp(-1, 1) for part in parts])

    def reconstruct(self, x: Tensor) -> Tensor:
        """x as tokens and back, in [-1, 1]."""
        return self.decode(self.tokenize(x))

    def loss(self, x: Tensor, y=None) -> Losses:
        """{"loss", "pixels", "quantizer"}: the mean of e² + |e|/2 over pixels with error e, and the quantiser's own."""
        z_q, _, own = self.encode(x)
        e = self.decoder(z_q).float() - x
        pixels = (e.square() + 0.5 * e.abs()).mean()
        return {"loss": pixels + own, "pixels": pixels, "quantizer": own}

    @torch.no_grad()
    def sample(self, n: int, y=None) -> Tensor:
        """Decode tokens drawn one by one from their frequencies, blind to each other: what a second stage must beat."""
        return self.decode(torch.multinomial(self.quantizer.usage, n * math.prod(self.grid), True).view(n, *self.grid))
