"""Paintings by rules: marbled paper, brush strokes, stained glass. Colours from a palette, everything else from a seed.

They are pictures to look at, and styles to hand on (`style`). Each is (3, size, size) in [-1, 1].
"""

import math

import torch
import torch.nn.functional as F
from torch import Tensor

from genimg_lib.rules import fractal_noise

MARBLED = ("1b2a49", "e8c07d", "c8553d", "f4f1de", "588b8b")
NIGHT = ("0b1d51", "1f4e9c", "3f88c5", "9fd3e0", "f4d35e", "f2a541")
WINDOW = ("d62839", "f7b801", "2a9d8f", "277da1", "f3722c", "6a4c93", "90be6d")


def colours(palette) -> Tensor:
    """Colours as "rrggbb" -> (N, 3) in [-1, 1]."""
    for word in palette:
        if len(word) != 6 or set(word.lower()) - set("0123456789abcdef"):
            raise ValueError(f"a colour is six hexadecimal digits such as 'f4d35e', not {word!r}")
    return torch.tensor([[int(word[i : i + 2], 16) / 127.5 - 1 for i in (0, 2, 4)] for word in palette])


def _places(size: int) -> tuple[Tensor, Tensor]:
    return torch.meshgrid(torch.arange(size).float(), torch.arange(size).float(), indexing="ij")


def marble(size: int, seed: int, palette=MARBLED, bands: float = 3.0, warp: float = 0.6) -> Tensor:
    """Marbled paper: bands of colour along the heights of a smooth noise whose plane was stirred twice, by `warp` of
    half a side each time. bands: times the palette goes round from the lowest to the highest place."""
    generator, table = torch.Generator().manual_seed(seed), colours(palette)
    y, x = (2 * place / (size - 1) - 1 for place in _places(size))
    height = fractal_noise(size, 3, 2, generator)[None, None]
    for _ in range(2):
        stirred = (along + warp * fractal_noise(size, 2, 2, generator) for along in (x, y))
        height = F.grid_sample(height, torch.stack([*stirred], -1)[None], padding_mode="reflection", align_corners=True)
    place = (bands * height[0, 0]).remainder(1) * len(table)
    band = place.long() % len(table)
    edge = ((place - place.floor() - 0.85) / 0.15).clamp(0, 1)[..., None]  # the next colour begins softly
    return torch.lerp(table[band], table[(band + 1) % len(table)], edge).movedim(-1, 0)


def strokes(size: int, seed: int, palette=NIGHT, length: float = 15, width: float = 3.2) -> Tensor:
    """Short curved brush strokes along a smooth field of directions, each with its ridges of paint. The palette goes
    from dark to light, by a second smooth noise. length, width: half those of a stroke, in pixels."""
    generator, table = torch.Generator().manual_seed(seed), colours(palette)
    angle = fractal_noise(size, 2, 3, generator) * 2.2 * math.pi
    light = 1.6 * fractal_noise(size, 3, 3, generator) + 0.5
    picture, (rows, columns) = table[1][:, None, None].repeat(1, size, size), _places(size)
    reach, n = int(length) + 2, int(5.2 * size**2 / (length * width))
    centres, jitter = size * torch.rand(n, 2, generator=generator), torch.randn(n, 4, generator=generator)
    for (row, column), (lighter, *tint) in zip(centres.tolist(), jitter.tolist(), strict=True):
        i, j = int(row), int(column)
        window = slice(max(i - reach, 0), i + reach + 1), slice(max(j - reach, 0), j + reach + 1)
        down, right = rows[window] - row, columns[window] - column
        cos, sin = math.cos(angle[i, j]), math.sin(angle[i, j])
        along = right * cos + down * sin
        across = down * cos - right * sin - 0.02 * along**2  # bent like the swing of a wrist
        cover = 2 * (1 - (along / length) ** 4 - (across / width) ** 2).clamp(0, 0.5)
        shade = 0.12 * torch.sin(2 * across) - 0.18 * across / width
        colour = table[int(len(table) * min(max(light[i, j].item() + 0.12 * lighter, 0), 0.999))]
        paint = (colour + 0.12 * torch.tensor(tint))[:, None, None] + shade
        picture[:, *window] = torch.lerp(picture[:, *window], paint.clamp(-1, 1), cover)
    return picture


def glass(size: int, seed: int, palette=WINDOW, panes: int = 90, lead: float = 2.5) -> Tensor:
    """A stained-glass window: each place belongs to the nearest of `panes` random points, and is lead where the two
    nearest are within `lead` pixels of equally near."""
    generator, table = torch.Generator().manual_seed(seed), colours(palette)
    points = size * torch.rand(panes, 2, generator=generator)
    far = torch.cdist(torch.stack(_places(size), -1).flatten(0, 1), points).view(size, size, panes)
    nearest = far.topk(2, largest=False)
    chosen = table[torch.randint(len(table), (panes,), generator=generator)]
    chosen = chosen + 0.15 * torch.randn(panes, 3, generator=generator)
    picture = chosen[nearest.indices[..., 0]].movedim(-1, 0) + 0.25 * fractal_noise(size, 6, 3, generator)
    gap = nearest.values.diff(dim=-1)[..., 0]
    return torch.lerp(torch.full_like(picture, -0.9), picture, ((gap - lead) / 1.5).clamp(0, 1)).clamp(-1, 1)
