"""Comic faces drawn from parameters: every picture is a list of shapes, painted back to front.

A shape is its signed distance: a function of the plane, negative inside, zero on the outline. Union is min,
intersection max, "a without b" max(a, −b). The canvas is the square [−1, 1]², y down, whatever its pixels.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

# fmt: off
SKINS = {"porcelain": "ffe3d3", "peach": "ffd0a8", "honey": "eeb47f", "olive": "d59a63", "brown": "a5673f",
         "deep": "6f4329"}
HAIR_COLOURS = {"black": "2b2630", "brown": "5f3a24", "chestnut": "94502a", "ginger": "d9692b",
                "blond": "f2c14e", "silver": "c9ccd6", "pink": "f283ab", "blue": "4a7fd0", "teal": "2fa7a0",
                "violet": "7d55b8"}
SHIRTS = {"red": "e4574f", "navy": "34497a", "mint": "6cc5a3", "mustard": "eeb338", "lilac": "a98bd6",
          "white": "f7f4ee"}
BACKDROPS = {"sky": "cfe8f7", "butter": "fdeebd", "rose": "fbd5d9", "sage": "d5e8cf", "lavender": "e2daf5",
             "sand": "f1e2cf"}
# fmt: on
EYES = ("round", "dot", "happy", "wink", "sleepy")
GLASSES = ("none", "round", "square", "sun")
INK = "2e2430"


def _rgb(colour) -> Tensor:
    if isinstance(colour, str):
        colour = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    return torch.as_tensor(colour, dtype=torch.float32)


def _mix(a, b, t: float) -> Tensor:
    return (1 - t) * _rgb(a) + t * _rgb(b)


def _ellipse(x, y, cx, cy, rx, ry) -> Tensor:
    """Distance to an ellipse, to first order (value over gradient): exact for a circle."""
    px, py = (x - cx) / rx, (y - cy) / ry
    k = (px**2 + py**2).sqrt()
    return k * (k - 1) / ((px / rx) ** 2 + (py / ry) ** 2).sqrt().clamp(min=1e-6)


def _box(x, y, cx, cy, hx, hy, r) -> Tensor:
    """A rectangle of half sizes hx, hy with corners rounded by r."""
    qx, qy = (x - cx).abs() - hx + r, (y - cy).abs() - hy + r
    return (qx.clamp(min=0) ** 2 + qy.clamp(min=0) ** 2).sqrt() + torch.maximum(qx, qy).clamp(max=0) - r


def _line(x, y, points, width) -> Tensor:
    """A polyline of rounded strokes."""
    best = torch.full_like(x, 9.0)
    for (ax, ay), (bx, by) in zip(points, points[1:], strict=False):
        dx, dy = bx - ax, by - ay
        t = (((x - ax) * dx + (y - ay) * dy) / (dx * dx + dy * dy)).clamp(0, 1)
        best = torch.minimum(best, ((x - ax - t * dx) ** 2 + (y - ay - t * dy) ** 2).sqrt())
    return best - width / 2


def _arc(x, y, cx, cy, half, bend, width) -> Tensor:
    """A stroke from (cx − half, cy) to (cx + half, cy) whose middle hangs lower by bend: a parabola."""
    ts = [i / 6 - 1 for i in range(13)]
    return _line(x, y, [(cx + half * t, cy + bend * (1 - t * t)) for t in ts], width)


def _polygon(x, y, points) -> Tensor:
    """Distance to the nearest edge, negative where a ray to the right crosses an odd number of edges."""
    closed = [*points, points[0]]
    inside = torch.zeros_like(x, dtype=torch.bool)
    for (ax, ay), (bx, by) in zip(closed, closed[1:], strict=False):
        if ay != by:
            inside ^= ((ay > y) != (by > y)) & (x < (bx - ax) * (y - ay) / (by - ay) + ax)
    return torch.where(inside, -1.0, 1.0) * _line(x, y, closed, 0.0)


def _union(*shapes) -> Tensor:
    return torch.stack(shapes).amin(0)


def _both(*shapes) -> Tensor:
    return torch.stack(shapes).amax(0)


def _cap(x, y, low=0.12) -> Tensor:
    return _both(_ellipse(x, y, 0, -0.02, 0.55, 0.57), y - low)


def _bumps(x, y, cx, cy, rx, ry, r, first, last, n) -> Tensor:
    angles = [math.radians(first + (last - first) * i / (n - 1)) for i in range(n)]
    return _union(*[_ellipse(x, y, cx + rx * math.cos(a), cy - ry * math.sin(a), r, r) for a in angles])


def _fringe(x, y) -> Tensor:
    return _both(_cap(x, y), -_ellipse(x, y, 0, 0.45, 0.52, 0.58))


def _swoop(x, y) -> Tensor:
    return _both(_cap(x, y), -_ellipse(x, y, 0.16, 0.32, 0.60, 0.56))


def _quiff(x, y) -> Tensor:
    sides = _both(_cap(x, y, 0.08), -_ellipse(x, y, 0, 0.36, 0.45, 0.55))
    return _union(sides, _ellipse(x, y, 0.02, -0.44, 0.44, 0.20), _ellipse(x, y, 0.30, -0.46, 0.25, 0.19))


def _parted(x, y) -> Tensor:
    left, right = _ellipse(x, y, -0.15, 0.30, 0.33, 0.60), _ellipse(x, y, 0.15, 0.30, 0.33, 0.60)
    return _both(_ellipse(x, y, 0, 0.02, 0.56, 0.61), y - 0.46, -_union(left, right))


def _spikes(x, y) -> Tensor:
    # outline: tips and dips from ear to ear, and back along the brow
    tips = [(-0.62, -0.20), (-0.56, -0.62), (-0.20, -0.80), (0.14, -0.84), (0.46, -0.68), (0.64, -0.26)]
    dips = [(-0.50, -0.30), (-0.30, -0.52), (-0.04, -0.58), (0.24, -0.54), (0.47, -0.36)]
    zigzag = [p for pair in zip(tips, [*dips, (0.53, 0.10)], strict=True) for p in pair]
    brow = [(0.40, 0.00), (0.32, -0.20), (0.16, -0.14), (0.04, -0.26), (-0.14, -0.14), (-0.28, -0.24)]
    return _polygon(x, y, [*zigzag, *brow, (-0.40, 0.00), (-0.53, 0.10)])


def _curls(x, y) -> Tensor:
    outer = _bumps(x, y, 0, -0.08, 0.46, 0.44, 0.17, -8, 188, 9)
    return _union(outer, _bumps(x, y, 0, -0.12, 0.26, 0.27, 0.15, 10, 170, 5))


def _cloud(x, y) -> Tensor:
    outline = _bumps(x, y, 0, -0.12, 0.56, 0.54, 0.2, -25, 205, 15)
    return _both(_union(outline, _ellipse(x, y, 0, -0.12, 0.6, 0.6)), -_ellipse(x, y, 0, 0.36, 0.46, 0.56))


def _nothing(x, y) -> Tensor:
    return torch.full_like(x, 9.0)


# style: (hair in front of the face, hair behind the head)
HAIR = {
    "bald": (_nothing, _nothing),
    "short": (_quiff, _nothing),
    "fringe": (_fringe, lambda x, y: _box(x, y, 0, 0.1, 0.58, 0.45, 0.3)),
    "long": (_parted, lambda x, y: _box(x, y, 0, 0.25, 0.62, 0.80, 0.5)),
    "spiky": (_spikes, _nothing),
    "curly": (_curls, _nothing),
    "afro": (_cloud, _nothing),
    "bun": (_swoop, lambda x, y: _ellipse(x, y, 0, -0.66, 0.22, 0.20)),
    "pigtails": (_fringe, lambda x, y: _ellipse(x.abs(), y, 0.70, 0.22, 0.18, 0.34)),  # |x| mirrors
}


@dataclass(frozen=True)
class Face:
    """What a face is made of. Names come from the tables above; numbers say their range."""

    skin: str = "peach"
    hair: str = "short"
    hair_colour: str = "brown"
    eyes: str = "round"
    glasses: str = "none"
    shirt: str = "navy"
    backdrop: str = "sky"
    smile: float = 0.6  # −1 sad … 1 happy
    open: float = 0.0  # 0 closed mouth … 1 wide open
    brow: float = 0.0  # −1 worried … 1 angry
    gaze: float = 0.0  # −1 left … 1 right
    blush: float = 0.5  # 0 none … 1 strong
    width: float = 1.0  # of the head, 0.9 … 1.1
    freckles: bool = False

    def __post_init__(self):
        tables = {"skin": SKINS, "hair": HAIR, "hair_colour": HAIR_COLOURS, "eyes": EYES, "glasses": GLASSES}
        tables |= {"shirt": SHIRTS, "backdrop": BACKDROPS}
        for field, table in tables.items():
            if getattr(self, field) not in table:
                raise ValueError(f"{field}={getattr(self, field)!r} is unknown; choose from {', '.join(table)}")


def random_face(generator: torch.Generator) -> Face:
    """A face drawn at random; the same generator state gives the same face."""

    def number(low: float, high: float) -> float:
        return low + (high - low) * torch.rand((), generator=generator).item()

    def one(table, odds=None) -> str:
        weights = torch.tensor(odds or [1.0] * len(table))
        return list(table)[torch.multinomial(weights, 1, generator=generator).item()]

    return Face(
        skin=one(SKINS),
        hair=one(HAIR, [0.4, 1, 1, 1, 1, 1, 1, 1, 1]),
        hair_colour=one(HAIR_COLOURS),
        eyes=one(EYES, [5, 2, 1.2, 0.8, 0.8]),
        glasses=one(GLASSES, [6, 1.5, 1, 0.7]),
        shirt=one(SHIRTS),
        backdrop=one(BACKDROPS),
        smile=number(-0.35, 1),
        open=max(0.0, number(-0.9, 1)),
        brow=number(-0.7, 0.6),
        gaze=number(-1, 1),
        blush=number(0, 1),
        width=number(0.92, 1.08),
        freckles=number(0, 1) < 0.2,
    )


def _draw_features(face: Face, x, y, paint, comic, line: float, skin: Tensor) -> None:
    """Cheeks, eyes, brows, nose and mouth."""
    for side in (-1, 1):
        paint(_ellipse(x, y, side * 0.28, 0.30, 0.11, 0.075), _mix(skin, "ef4d63", 0.75), 0.75 * face.blush)
        if face.freckles:
            for dx, dy in ((-0.06, 0), (0, 0.035), (0.06, 0)):
                paint(_ellipse(x, y, side * 0.27 + dx, 0.27 + dy, 0.016, 0.016), _mix(skin, "7a3416", 0.6))
        cx, cy = side * 0.19, 0.10
        if face.eyes == "happy" or (face.eyes == "wink" and side > 0):
            paint(_arc(x, y, cx, cy + 0.03, 0.09, -0.09, line * 1.35), INK)
        elif face.eyes == "dot":
            paint(_ellipse(x, y, cx + 0.015 * face.gaze, cy, 0.055, 0.075), INK)
            paint(_ellipse(x, y, cx + 0.015 * face.gaze + 0.02, cy - 0.03, 0.02, 0.02), "ffffff")
        else:
            white = _ellipse(x, y, cx, cy, 0.105, 0.125)
            comic(white, "ffffff")
            px = cx + 0.04 * face.gaze
            paint(_both(_ellipse(x, y, px, cy + 0.01, 0.065, 0.08), white), INK)
            paint(_ellipse(x, y, px + 0.025, cy - 0.025, 0.026, 0.026), "ffffff")
            if face.eyes == "sleepy":
                paint(_both(white - line / 2, y - cy + 0.005), _mix(skin, INK, 0.12))
                paint(_line(x, y, [(cx - 0.11, cy), (cx + 0.11, cy)], line), INK)
        inner, outer = cy - 0.21 + 0.045 * face.brow, cy - 0.21 - 0.045 * face.brow
        arch = (cx + side * 0.01, (inner + outer) / 2 - 0.02)
        brow = [(cx - side * 0.09, inner), arch, (cx + side * 0.10, outer)]
        paint(_line(x, y, brow, line * 1.5), _mix(HAIR_COLOURS[face.hair_colour], INK, 0.55))
    paint(_arc(x, y, 0, 0.255, 0.05, 0.03, line), _mix(skin, "5a2430", 0.6))
    bend, my, half = 0.11 * face.smile, 0.40, 0.13 + 0.04 * max(0.0, face.smile)
    if face.open > 0.05:
        ts = [i / 6 - 1 for i in range(13)]
        upper = [(half * t, my - 0.03 + 0.4 * bend * (1 - t * t)) for t in ts]
        lower = [(half * t, my - 0.03 + (bend + 0.05 + 0.13 * face.open) * (1 - t * t)) for t in reversed(ts)]
        mouth = _polygon(x, y, upper + lower[1:-1])
        comic(mouth, "8c2a3c")
        tongue = _ellipse(x, y, 0, my + bend + 0.06 + 0.10 * face.open, 0.10, 0.08)
        paint(_both(tongue, mouth + line / 2), "ee7682")
        paint(_both(mouth + line / 2, y - my - 0.015 - 0.4 * bend), "ffffff")
    else:
        paint(_arc(x, y, 0, my - bend / 2, half, bend, line * 1.25), "7a2434")


def _draw_glasses(face: Face, x, y, paint, line: float) -> None:
    if face.glasses == "none":
        return
    frame = "c98a2b" if face.glasses == "round" else INK
    for side in (-1, 1):
        lens = _ellipse(x, y, side * 0.20, 0.11, 0.165, 0.165)
        if face.glasses != "round":
            lens = _box(x, y, side * 0.20, 0.12, 0.165, 0.13, 0.06)
        if face.glasses == "sun":
            paint(lens, "33333f", 0.92)
            glint = _line(x, y, [(side * 0.20 - 0.09, 0.20), (side * 0.20 + 0.02, 0.03)], 0.04)
            paint(_both(glint, lens), "ffffff", 0.5)
        else:
            paint(lens, "ffffff", 0.16)
        paint(lens.abs() - line * 0.6, frame)
        paint(_line(x, y, [(side * 0.36, 0.09), (side * 0.48, 0.06)], line), frame)
    paint(_arc(x, y, 0, 0.10, 0.045, -0.03, line), frame)


def draw_face(face: Face, size: int = 64) -> Tensor:
    """Draw a face: (3, size, size) in [−1, 1], anti-aliased; the same drawing at every size from 8 pixels."""
    if size < 8:
        raise ValueError(f"size must be at least 8 pixels to hold a face, got {size}")
    axis = (torch.arange(size) + 0.5) * 2 / size - 1
    y, x = torch.meshgrid(axis, axis, indexing="ij")
    picture = _rgb(BACKDROPS[face.backdrop])[:, None, None].repeat(1, size, size)
    skin, hair = _rgb(SKINS[face.skin]), _rgb(HAIR_COLOURS[face.hair_colour])
    line = max(0.034, 1.6 / size)  # a stroke never thinner than 0.8 pixels, or it would break up

    def paint(shape: Tensor, colour, opacity: float = 1.0) -> None:
        cover = opacity * (0.5 - shape * size / 2).clamp(0, 1)  # one pixel wide ramp: anti-aliasing
        picture.lerp_(_rgb(colour)[:, None, None].expand_as(picture), cover)

    def comic(shape: Tensor, colour) -> None:
        paint(shape - line / 2, _mix(colour, INK, 0.82))
        paint(shape + line / 2, colour)

    front, behind = HAIR[face.hair]
    paint(_ellipse(x, y, 0, 0, 0.93, 0.93), _mix(BACKDROPS[face.backdrop], "ffffff", 0.45))
    comic(behind(x, y), _mix(hair, INK, 0.18))
    comic(_box(x, y, 0, 1.25, 0.62, 0.47, 0.35), SHIRTS[face.shirt])
    comic(_box(x, y, 0, 0.66, 0.17, 0.22, 0.16), _mix(skin, INK, 0.16))
    paint(_box(x, y, 0, 0.56, 0.17, 0.16, 0.1), _mix(skin, INK, 0.28))
    w = 0.47 * face.width
    for side in (-1, 1):
        comic(_ellipse(x, y, side * (w + 0.015), 0.12, 0.09, 0.12), skin)
        paint(_ellipse(x, y, side * (w + 0.02), 0.13, 0.045, 0.065), _mix(skin, "c0504a", 0.35))
    head = _union(_ellipse(x, y, 0, 0.0, w, 0.50), _ellipse(x, y, 0, 0.16, w * 0.95, 0.48))  # skull and jaw
    comic(head, skin)
    paint(_both(front(x, y - 0.055), head + line), _mix(skin, "7a3f4a", 0.28))  # the hair's shadow
    _draw_features(face, x, y, paint, comic, line, skin)
    comic(front(x, y), hair)
    gloss = _both(_arc(x, y, 0, -0.30, 0.36, -0.12, 0.05), front(x, y) + 0.05, 0.05 - (x + 0.12).abs())
    paint(gloss, _mix(hair, "ffffff", 0.45), 0.8)
    _draw_glasses(face, x, y, paint, line)
    return picture * 2 - 1
