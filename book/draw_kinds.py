"""Draw the map of kinds for the opening of Part 1, light and dark: book/assets/kinds-light.svg and kinds-dark.svg.

    python book/draw_kinds.py

The pictures in it are made by the library, from fixed seeds. Run it again when the shipped weights change.
"""

import base64
import io
from html import escape
from pathlib import Path

import torch
import torch.nn.functional as F
from PIL import Image

from genimg_lib import data, drawing, plot, recipes, rules, texture

ASSETS = Path(__file__).resolve().parent / "assets"
WIDTH, CARD, GAP, EDGE = 440, 118, 14, 26
COLOURS = {
    "light": {"text": "#1c2726", "quiet": "#52605e", "card": "#eef5f3", "line": "#cfdfdb", "strong": "#17635d"},
    "dark": {"text": "#e4ecea", "quiet": "#a9b8b5", "card": "#1d2a29", "line": "#35504c", "strong": "#7fd0c4"},
}
# title, the judge, the names that belong here; the groups say where the knowledge comes from
CARDS = [
    ("Rules", "a person decides what is right", "transforms · noise · texture · drawn faces"),
    ("Be likely", "judged by the probability of the data", "VAE · autoregressive · flow"),
    ("Do not be caught", "judged by a second network", "GAN and its family"),
    ("Undo the noise", "judged by the unspoiled picture", "diffusion · flow matching"),
]
GROUPS = [("written", 0, 1), ("learned from examples", 1, 4)]


def pictures() -> list[torch.Tensor]:
    """Six small pictures for each card, (6, 3, H, W)."""

    def seeded(seed):
        return torch.Generator().manual_seed(seed)

    faces = torch.stack([drawing.draw_face(drawing.random_face(seeded(s)), 64) for s in (3, 8, 12)])
    cat = F.interpolate(data.load("photos").x[1:2], 64, mode="area")
    cat = rules.affine_warp(cat, rules.rotation_about_centre(20, 64, 64), "bilinear", fill=1.0)
    noise = rules.fractal_noise(64, 2, 4, seeded(1)).mul(2).clamp(-1, 1).view(1, 1, 64, 64)
    gravel = texture.quilt(data.load("textures").x[2][:, 150:310, 150:310], 128, 52, 10, seeded(4))
    drawn = torch.cat([faces, cat, noise.expand(1, 3, 64, 64), F.avg_pool2d(gravel[None], 2).expand(1, 3, 64, 64)])
    shown = [drawn]
    for name in ("comic-vae", "comic-gan", "comic-latent"):
        torch.manual_seed(0)
        shown.append(recipes.load(name).sample(6))
    return shown


def embedded(x: torch.Tensor) -> str:
    """A picture (3, H, W) as a data address."""
    blob = io.BytesIO()
    Image.fromarray(plot.to_rgb(x)).save(blob, "PNG", optimize=True)
    return "data:image/png;base64," + base64.b64encode(blob.getvalue()).decode()


def top(card: int) -> int:
    return 8 + card * (CARD + GAP)


def draw(mode: str, shown: list[torch.Tensor]) -> str:
    """The whole map as SVG, in the colours of the light or of the dark page."""
    colour = COLOURS[mode]
    height = top(len(CARDS)) - GAP + 8
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}" '
        'font-family="ui-sans-serif, system-ui, Segoe UI, Roboto, DejaVu Sans, sans-serif">'
    ]
    for name, first, last in GROUPS:
        low, high = top(first), top(last) - GAP
        parts.append(f'<path d="M{EDGE - 3} {low} H{EDGE - 8} V{high} H{EDGE - 3}" fill="none" '
                     f'stroke="{colour["strong"]}" stroke-width="2"/>')  # fmt: skip
        parts.append(f'<text transform="translate({EDGE - 14} {(low + high) / 2}) rotate(-90)" text-anchor="middle" '
                     f'font-size="13" fill="{colour["strong"]}">{name}</text>')  # fmt: skip
    for k, (title, judge, names) in enumerate(CARDS):
        y, x0 = top(k), EDGE + 4
        parts.append(f'<rect x="{x0}" y="{y}" width="{WIDTH - x0 - 2}" height="{CARD}" rx="9" fill="{colour["card"]}" '
                     f'stroke="{colour["line"]}"/>')  # fmt: skip
        parts.append(f'<text x="{x0 + 12}" y="{y + 22}" font-size="16" font-weight="700" fill="{colour["text"]}">'
                     f'{escape(title)}<tspan font-weight="400" font-size="13" fill="{colour["quiet"]}">'
                     f'  {escape(judge)}</tspan></text>')  # fmt: skip
        for i, picture in enumerate(shown[k]):
            parts.append(f'<image x="{x0 + 12 + 62 * i}" y="{y + 31}" width="56" height="56" '
                         f'href="{embedded(picture)}"/>')  # fmt: skip
        parts.append(f'<text x="{x0 + 12}" y="{y + 107}" font-size="13.5" fill="{colour["strong"]}">'
                     f"{escape(names)}</text>")  # fmt: skip
    return "\n".join([*parts, "</svg>\n"])


def main():
    shown = pictures()
    for mode in COLOURS:
        path = ASSETS / f"kinds-{mode}.svg"
        path.write_text(draw(mode, shown), encoding="utf-8")
        print(f"{path.name}: {path.stat().st_size / 1000:.0f} kB")


if __name__ == "__main__":
    main()
