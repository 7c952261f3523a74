"""Pictures from rules: affine transforms by inverse mapping, and noise that looks like nature.

Nothing here is learned. `genimg_lib.drawing` draws comic faces, `genimg_lib.texture` quilts textures.
Coordinates of a transform: x = column, y = row (down), the origin is the centre of pixel (0, 0).
"""

import math

import torch
from torch import Tensor

from genimg_lib.drawing import draw_face, random_face
from genimg_lib.model import GenerativeModel

# ---------------------------------------------------------------------------------------- transforms


def _matrix(*rows) -> Tensor:
    return torch.tensor(rows, dtype=torch.float64)


def translation(dx: float, dy: float) -> Tensor:
    """Move right by dx and down by dy pixels (3×3, float64). Compose with `@`: the right one acts first."""
    return _matrix((1, 0, dx), (0, 1, dy), (0, 0, 1))


def scaling(sx: float, sy: float | None = None) -> Tensor:
    """Stretch by sx along x and by sy (default sx) along y, away from pixel (0, 0)."""
    return _matrix((sx, 0, 0), (0, sx if sy is None else sy, 0), (0, 0, 1))


def shear(kx: float, ky: float = 0.0) -> Tensor:
    """x moves by kx·y and y by ky·x."""
    return _matrix((1, kx, 0), (ky, 1, 0), (0, 0, 1))


def rotation(degrees: float) -> Tensor:
    """Turn about pixel (0, 0), clockwise on the screen, because y points down."""
    c, s = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    return _matrix((c, -s, 0), (s, c, 0), (0, 0, 1))


def about_centre(A: Tensor, height: int, width: int) -> Tensor:
    """A with the picture's centre c = ((width − 1)/2, (height − 1)/2) kept in place: T(c) A T(−c)."""
    cx, cy = (width - 1) / 2, (height - 1) / 2
    return translation(cx, cy) @ A @ translation(-cx, -cy)


def rotation_about_centre(degrees: float, height: int, width: int) -> Tensor:
    """Turn a height × width picture about its centre, clockwise on the screen."""
    return about_centre(rotation(degrees), height, width)


def affine_warp(x: Tensor, A, mode: str = "nearest", fill: float = -1.0) -> Tensor:
    """Move the picture x by A: every output pixel asks A⁻¹ where it comes from (inverse mapping).

    x: (..., H, W), for example (C, H, W) or (B, C, H, W), floating point. A: 3×3, maps an input point
    (x, y, 1) to its output point, last row 0 0 1. mode: "nearest", or "bilinear" (the mean of four
    neighbours, weighted by closeness). What comes from outside is `fill` (−1 is black); at the border
    bilinear mixes with it. Returns x's shape and type. Raises ValueError for a wrong shape or mode and for
    a matrix that is not affine or has no inverse.
    """
    A = torch.as_tensor(A, dtype=torch.float64, device="cpu")
    if x.ndim < 2 or not x.is_floating_point():
        raise ValueError(f"expected a float picture (..., H, W), got {tuple(x.shape)} {x.dtype}; try x.float()")
    if A.shape != (3, 3) or not torch.equal(A[2], torch.tensor([0, 0, 1], dtype=torch.float64)):
        raise ValueError(f"A must be 3×3 with last row 0 0 1, got {A.tolist()}; try rotation or translation")
    if not A.isfinite().all():
        raise ValueError(f"A must be finite, got {A.tolist()}")
    det = torch.linalg.det(A).item()
    if abs(det) <= 1e-12 * A[:2, :2].abs().max().item() ** 2:
        raise ValueError(f"A has no inverse (determinant {det:.3g}): it flattens the picture to a line or point")
    h, w = x.shape[-2:]
    rows, cols = torch.meshgrid(torch.arange(h), torch.arange(w), indexing="ij")
    out = torch.stack([cols, rows, torch.ones_like(rows)]).reshape(3, -1).double()
    u, v, _ = torch.linalg.inv(A) @ out

    def pixel(c: Tensor, r: Tensor) -> Tensor:
        inside = ((c >= 0) & (c < w) & (r >= 0) & (r < h)).to(x.device)
        index = (r.clamp(0, h - 1) * w + c.clamp(0, w - 1)).long().to(x.device)
        return torch.where(inside, x.flatten(-2)[..., index], fill)

    if mode == "nearest":
        y = pixel((u + 0.5).floor(), (v + 0.5).floor())
    elif mode == "bilinear":
        c, r = u.floor(), v.floor()
        a, b = (u - c).to(x), (v - r).to(x)
        top = (1 - a) * pixel(c, r) + a * pixel(c + 1, r)
        bottom = (1 - a) * pixel(c, r + 1) + a * pixel(c + 1, r + 1)
        y = (1 - b) * top + b * bottom
    else:
        raise ValueError(f'mode {mode!r} is unknown; choose "nearest" or "bilinear"')
    return y.reshape(x.shape)


# --------------------------------------------------------------------------------------------- noise
# A lattice of random values (or slopes) every few pixels, and a smooth rule for what lies between. The
# lattice is a ring: the right edge meets the left and the bottom the top, so the picture tiles the plane.


def _cells(size: int, cells: int) -> tuple[Tensor, Tensor]:
    """For `size` pixels across `cells` cells: the cell of each pixel, and where in it, from 0 to 1."""
    if not 1 <= cells <= size:
        raise ValueError(f"expected 1 to {size} lattice cells across {size} pixels, got {cells}")
    place = torch.arange(size) * cells / size
    return place.long(), place - place.long()


def _fade(t: Tensor) -> Tensor:
    """6t⁵ − 15t⁴ + 10t³: 0 to 1, its first two derivatives 0 at both ends: no cell shows (Perlin 2002)."""
    return t * t * t * (t * (6 * t - 15) + 10)


def _blend(corner, size: int, cells: int) -> Tensor:
    """Fade between the four corners of each cell; corner(rows, columns, dy, dx) gives a corner's say."""
    i, f = _cells(size, cells)
    far = (i + 1) % cells
    r, r1, dy = i[:, None], far[:, None], f[:, None]
    c, c1, dx = i[None], far[None], f[None]
    top = torch.lerp(corner(r, c, dy, dx), corner(r, c1, dy, dx - 1), _fade(dx))
    bottom = torch.lerp(corner(r1, c, dy - 1, dx), corner(r1, c1, dy - 1, dx - 1), _fade(dx))
    return torch.lerp(top, bottom, _fade(dy))


def value_noise(size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Random heights on a cells × cells lattice, smoothly joined: (size, size) in [−1, 1], tileable."""
    heights = torch.rand(cells, cells, generator=generator) * 2 - 1
    return _blend(lambda r, c, dy, dx: heights[r, c], size, cells)


def gradient_noise(size: int, cells: int, generator: torch.Generator) -> Tensor:
    """Perlin's noise: random slopes on a cells × cells lattice, height 0 there: (size, size) in [−1, 1].

    A corner's say is slope · (offset from the corner) (Perlin 1985, with the fade of 2002). Slopes have
    length √2, which is what makes 1 the highest possible value. Tileable.
    """
    angle = torch.rand(cells, cells, generator=generator) * 2 * math.pi
    slope_x, slope_y = math.sqrt(2) * angle.cos(), math.sqrt(2) * angle.sin()
    return _blend(lambda r, c, dy, dx: slope_x[r, c] * dx + slope_y[r, c] * dy, size, cells)


def fractal_noise(
    size: int, cells: int, octaves: int, generator: torch.Generator, gain: float = 0.5, noise=gradient_noise
) -> Tensor:
    """A sum of octaves, each twice as fine and `gain` times as strong: (size, size) in [−1, 1], tileable.

    sum_k gain^k · noise_k(2^k · cells) / sum_k gain^k, known as fractal Brownian motion. Octaves finer than
    two pixels a cell would only be aliasing: they raise ValueError.
    """
    if octaves < 1 or cells * 2 ** (octaves - 1) * 2 > size:
        raise ValueError(f"{octaves} octaves from {cells} cells do not fit {size} pixels: a cell needs 2 at least")
    total = sum(gain**k * noise(size, cells * 2**k, generator) for k in range(octaves))
    return total / sum(gain**k for k in range(octaves))


class DrawnFaces(GenerativeModel):
    """A generator that learns nothing: random parameters, then the rules of `drawing`. It keeps the contract."""

    def __init__(self, size: int = 32):
        super().__init__()
        self.shape = (3, size, size)
        self.register_buffer("where", torch.zeros(()))  # no weights, but a device like every model

    def turns(self):
        """Nobody plays: there is nothing to learn."""
        return {}

    def sample(self, n: int, y=None) -> Tensor:
        """n random faces (n, 3, size, size) in [-1, 1]; torch's seed decides which."""
        generator = torch.Generator().manual_seed(int(torch.randint(2**31, ())))
        faces = [draw_face(random_face(generator), self.shape[-1]) for _ in range(n)]
        return torch.stack(faces).clamp(-1, 1).to(self.where.device)
