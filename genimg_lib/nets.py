"""Building blocks: perceptrons, residual convolutions, and networks that are told the time."""

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
