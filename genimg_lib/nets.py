"""Building blocks: perceptrons, residual convolutions, and networks that are told the time and the wish."""

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


def mlp(sizes: Sequence[int], act: type[nn.Module] = nn.SiLU) -> nn.Sequential:
    """Linear layers of the given sizes with `act` between, none at the end: (..., sizes[0]) -> (..., sizes[-1])."""
    layers = []
    for m, n in zip(sizes, sizes[1:], strict=False):
        layers += [nn.Linear(m, n), act()]
    return nn.Sequential(*layers[:-1])


def n_weights(net: nn.Module) -> int:
    """How many numbers the net learns."""
    return sum(p.numel() for p in net.parameters() if p.requires_grad)


# -------------------------------------------------------------------------------- residual convolutions


class ResBlock(nn.Module):
    """h + conv(SiLU(norm(h))): (B, C, H, W) -> the same. One convolution; small pictures need no more.

    GroupNorm looks at one picture at a time, so the batch size changes nothing (Wu & He 2018).
    """

    def __init__(self, channels: int, groups: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)

    def forward(self, h: Tensor) -> Tensor:
        return h + self.conv(F.silu(self.norm(h)))


class Down(nn.Module):
    """Half the height and width, other channels: every 2×2 block becomes one pixel. H and W must be even."""

    def __init__(self, channels: int, out: int, groups: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels)
        self.conv = nn.Conv2d(channels, out, 2, stride=2)

    def forward(self, h: Tensor) -> Tensor:
        return self.conv(F.silu(self.norm(h)))


class Up(nn.Module):
    """Twice the height and width, other channels: mix the channels while the picture is small, then repeat pixels.

    A 3×3 convolution should follow; repeating first leaves no checkerboard, which a transposed convolution may
    (Odena et al. 2016).
    """

    def __init__(self, channels: int, out: int, groups: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels)
        self.conv = nn.Conv2d(channels, out, 1)

    def forward(self, h: Tensor) -> Tensor:
        return F.interpolate(self.conv(F.silu(self.norm(h))), scale_factor=2)


# ------------------------------------------------------------------------- networks that know the time


def time_embedding(t: Tensor, dim: int, longest: float = 4.0, shortest: float = 0.004) -> Tensor:
    """Clock hands: cos and sin of 2π t / period, periods from `longest` to `shortest`, evenly spaced in logarithm.

    t: (B,) in [0, 1]; returns (B, dim), dim even. A slow hand tells early from late, a fast one 0.50 from 0.51
    (Vaswani et al. 2017, sec. 3.5, for positions).
    """
    if dim % 2:
        raise ValueError(f"dim must be even, a cosine and a sine for each period; got {dim}, try {dim + 1}")
    k = torch.linspace(0, 1, dim // 2, device=t.device, dtype=t.dtype)
    angle = 2 * math.pi * t[:, None] / (longest * (shortest / longest) ** k)
    return torch.cat([angle.cos(), angle.sin()], dim=1)


def modulate(h: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """h·(1 + scale) + shift: what the condition does to a normalised layer (FiLM; adaLN in DiT)."""
    return h * (1 + scale) + shift


class TimedBlock(nn.Module):
    """Residual perceptron block steered by a condition: h (B, width), c (B, condition) -> (B, width).

    h + gate · MLP(norm(h)·(1 + scale) + shift), where (shift, scale, gate) = linear(SiLU(c)) start at zero, so that
    every block starts as the identity (adaLN-Zero; Peebles & Xie 2023, sec. 3.2).
    """

    def __init__(self, width: int, condition: int):
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.mlp = mlp([width, width, width])
        self.steer = nn.Linear(condition, 3 * width)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate = self.steer(F.silu(c)).chunk(3, dim=1)
        return h + gate * self.mlp(modulate(self.norm(h), shift, scale))


class TimedMLP(nn.Module):
    """`depth` timed blocks between two linear maps: x_t (B, D), t (B,), extra (B, condition) or None -> (B, D).

    `extra` is added to the embedding of the time: a class, a prompt, whatever else the net should know.
    """

    def __init__(self, dim: int, width: int = 512, depth: int = 4, condition: int = 128):
        super().__init__()
        self.clock = mlp([64, condition, condition])
        self.enter = nn.Linear(dim, width)
        self.blocks = nn.ModuleList(TimedBlock(width, condition) for _ in range(depth))
        self.norm = nn.LayerNorm(width)
        self.leave = nn.Linear(width, dim)

    def forward(self, x_t: Tensor, t: Tensor, extra: Tensor | None = None) -> Tensor:
        c = self.clock(time_embedding(t, 64))
        if extra is not None:
            c = c + extra
        h = self.enter(x_t)
        for block in self.blocks:
            h = block(h, c)
        return self.leave(self.norm(h))


# ----------------------------------------------------------------------------------------- conditions


class Attributes(nn.Module):
    """What is asked for, as one vector: the sum of an embedding for each attribute. y: (B, A) int64 -> (B, dim).

    sizes: how many values each attribute has. A value of −1 means "anything" and has an embedding of its own: without
    it there would be nothing to guide away from (Ho & Salimans 2022, sec. 3.2).
    """

    def __init__(self, sizes: Sequence[int], dim: int):
        super().__init__()
        self.sizes = tuple(sizes)
        firsts = [sum(self.sizes[:i]) + i + 1 for i in range(len(self.sizes))]  # the row before each is its "anything"
        self.register_buffer("firsts", torch.tensor(firsts), persistent=False)
        self.table = nn.Embedding(sum(self.sizes) + len(self.sizes), dim)
        nn.init.normal_(self.table.weight, std=0.3)  # small, so that learning soon tells them apart

    def forward(self, y: Tensor | None, n: int) -> Tensor:
        """y: (n, A), or None for n times anything -> (n, dim)."""
        if y is None:
            y = torch.full((n, len(self.sizes)), -1, device=self.firsts.device)
        if y.shape != (n, len(self.sizes)):
            raise ValueError(
                f"expected y of shape {(n, len(self.sizes))}, a value for each attribute, got {(*y.shape,)}"
            )
        if (y < -1).any() or (y >= torch.tensor(self.sizes, device=y.device)).any():
            raise ValueError(f"expected values from -1, for anything, to below {self.sizes}, got {y.amin()}…{y.amax()}")
        return self.table(self.firsts + y).sum(dim=1)

    @staticmethod
    def drop(y: Tensor, joint: float = 0.1, whole: float = 0.45) -> Tensor:
        """y: (B, A) with some values forgotten, −1: all of them in a share `joint` of the rows, none in a share
        `whole`, and in the others each one with a chance that is drawn anew for every row, often small.

        So one network learns p(x), p(x | y), and p(x | any part of y): "red hair, whatever the rest".
        """
        chance, fate = torch.rand(2, len(y), 1, device=y.device)
        chance = torch.where(fate < joint, 1.0, torch.where(fate < joint + whole, 0.0, chance.square()))
        return torch.where(torch.rand(y.shape, device=y.device) < chance, -1, y)


# ---------------------------------------------------------------------------------------------- U-Net


class SteeredBlock(nn.Module):
    """A residual convolution steered by a condition: h (B, C, H, W), c (B, condition) -> (B, C, H, W).

    h + gate · conv(SiLU(norm(h)·(1 + scale) + shift)); (shift, scale, gate) = linear(SiLU(c)) start at zero, as in
    `TimedBlock`: every block starts as the identity.
    """

    def __init__(self, channels: int, condition: int, groups: int = 8):
        super().__init__()
        self.norm = nn.GroupNorm(math.gcd(groups, channels), channels, affine=False)
        self.conv = nn.Conv2d(channels, channels, 3, padding=1)
        self.steer = nn.Linear(condition, 3 * channels)
        nn.init.zeros_(self.steer.weight)
        nn.init.zeros_(self.steer.bias)

    def forward(self, h: Tensor, c: Tensor) -> Tensor:
        shift, scale, gate = self.steer(F.silu(c))[:, :, None, None].chunk(3, dim=1)
        return h + gate * self.conv(F.silu(modulate(self.norm(h), shift, scale)))


class Attention(nn.Module):
    """Every place looks at every other: h (B, C, H, W) -> the same, residual (Vaswani et al. 2017, sec. 3.2).

    A convolution sees three pixels; this lets the left eye agree with the right one. Its cost grows with (H·W)², so
    it stands where the picture is smallest.
    """

    def __init__(self, channels: int, heads: int = 4):
        super().__init__()
        self.heads = heads
        self.norm = nn.GroupNorm(math.gcd(8, channels), channels)
        self.qkv, self.out = nn.Conv2d(channels, 3 * channels, 1), nn.Conv2d(channels, channels, 1)

    def forward(self, h: Tensor) -> Tensor:
        qkv = self.qkv(self.norm(h)).flatten(2).unflatten(1, (3, self.heads, -1)).mT  # (B, 3, heads, H·W, C/heads)
        mixed = F.scaled_dot_product_attention(*qkv.unbind(1))
        return h + self.out(mixed.mT.flatten(1, 2).view_as(h))


class UNet(nn.Module):
    """Down to where the whole face is in sight, and up again with the details handed across (Ho et al. 2020, app. B).

    x_t (B, C, H, W), t (B,), extra (B, condition) or None -> (B, C, H, W). patch: pixels a side folded into channels at
    the entrance, which makes everything patch² times cheaper. width · mult[i] channels on level i, each half as wide
    and high as the one before; `blocks` convolutions a level and direction; attention at the lowest.
    """

    def __init__(self, channels: int, width: int = 96, mult=(1, 2), blocks: int = 2, patch: int = 4, condition=128):
        super().__init__()
        widths, folded = [width * m for m in mult], channels * patch**2
        self.shrink = patch * 2 ** (len(mult) - 1)
        self.clock = mlp([64, condition, condition])
        self.enter = nn.Sequential(nn.PixelUnshuffle(patch), nn.Conv2d(folded, width, 3, padding=1))
        self.down = nn.ModuleList(self.level(w, blocks, condition) for w in widths)
        self.narrow = nn.ModuleList(Down(a, b) for a, b in zip(widths, widths[1:], strict=False))
        self.look = Attention(widths[-1])
        self.up = nn.ModuleList(self.level(w, blocks, condition) for w in widths)
        self.grow = nn.ModuleList(Up(b, a) for a, b in zip(widths, widths[1:], strict=False))
        self.merge = nn.ModuleList(nn.Conv2d(2 * w, w, 1) for w in widths[:-1])
        out = nn.Conv2d(width, folded, 3, padding=1)
        self.leave = nn.Sequential(nn.GroupNorm(8, width), nn.SiLU(), out, nn.PixelShuffle(patch))

    @staticmethod
    def level(width: int, blocks: int, condition: int) -> nn.ModuleList:
        return nn.ModuleList(SteeredBlock(width, condition) for _ in range(blocks))

    def forward(self, x_t: Tensor, t: Tensor, extra: Tensor | None = None) -> Tensor:
        if x_t.shape[-1] % self.shrink or x_t.shape[-2] % self.shrink:
            raise ValueError(
                f"this U-Net shrinks a picture {self.shrink} times, and {x_t.shape[-2]}×{x_t.shape[-1]} is no multiple "
                f"of {self.shrink}; load the pictures at such a size, or build it with a smaller patch"
            )
        c = self.clock(time_embedding(t, 64))
        c = c if extra is None else c + extra
        h, skips = self.enter(x_t), []
        for i, level in enumerate(self.down):
            h = self.narrow[i - 1](h) if i else h
            for block in level:
                h = block(h, c)
            skips.append(h)
        h = self.look(h)
        for i in reversed(range(len(self.up))):
            if i < len(self.up) - 1:
                h = self.merge[i](torch.cat([self.grow[i](h), skips[i]], dim=1))
            for block in self.up[i]:
                h = block(h, c)
        return self.leave(h)
