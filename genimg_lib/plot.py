"""Pictures of pictures: grids, labelled rows, loss curves, latent walks, and the library's own source."""

import inspect
from base64 import b64encode
from html import escape
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import torch
from PIL import Image
from torch import Tensor

PIXELS = 80  # a figure's pixels per inch: notebooks stay small, faces stay sharp


def to_rgb(x: Tensor) -> np.ndarray:
    """Pictures (N, C, H, W) or (C, H, W) in [-1, 1], C = 1 or 3, as uint8 (..., H, W, 3)."""
    if x.ndim not in (3, 4) or x.shape[-3] not in (1, 3):
        raise ValueError(f"expected pictures (N, C, H, W) with 1 or 3 channels, got {tuple(x.shape)}")
    x = ((x.detach().cpu().float().clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8)
    x = x.expand(*x.shape[:-3], 3, *x.shape[-2:])
    return x.movedim(-3, -1).numpy()


def tile(x: Tensor, columns: int | None = None, gap: int = 2) -> np.ndarray:
    """N pictures (N, C, H, W) on one white sheet, row by row: uint8 (H', W', 3)."""
    if len(x) == 0:
        raise ValueError("expected at least one picture, got none")
    rgb = to_rgb(x)
    n, height, width, _ = rgb.shape
    columns = min(n, columns or int(np.ceil(np.sqrt(2 * n))))
    rows = -(-n // columns)
    sheet = np.full((rows * (height + gap) - gap, columns * (width + gap) - gap, 3), 255, np.uint8)
    for i, picture in enumerate(rgb):
        top, left = i // columns * (height + gap), i % columns * (width + gap)
        sheet[top : top + height, left : left + width] = picture
    return sheet


def save(x: Tensor, path, scale: int = 1, columns: int | None = None) -> None:
    """Write pictures (N, C, H, W) to a file as one sheet, every pixel `scale` times as large."""
    sheet = Image.fromarray(tile(x, columns))
    sheet.resize((sheet.width * scale, sheet.height * scale), Image.Resampling.NEAREST).save(path)


def grid(x: Tensor, columns: int | None = None, titles=None, scale: float = 1.0, ax=None):
    """Show pictures (N, C, H, W) as one sheet without axes; returns the matplotlib Axes.

    With `titles` (one a picture) every picture gets an axis of its own and its title above.
    """
    if titles is not None:
        columns = columns or min(len(x), 8)
        rows = -(-len(x) // columns)
        _, axes = plt.subplots(
            rows, columns, figsize=(1.3 * columns * scale, 1.5 * rows * scale), dpi=PIXELS, squeeze=False
        )
        for cell in axes.flat:
            cell.axis("off")
        for cell, picture, title in zip(axes.flat, to_rgb(x), titles, strict=False):
            cell.imshow(picture)
            cell.set_title(str(title), fontsize=9)
        plt.tight_layout()
        return axes
    sheet = tile(x, columns)
    if ax is None:
        width = min(10.0, sheet.shape[1] * 2 / PIXELS) * scale
        _, ax = plt.subplots(figsize=(width, width * sheet.shape[0] / sheet.shape[1]), dpi=PIXELS)
        ax.figure.subplots_adjust(0, 0, 1, 1)
    ax.imshow(sheet, interpolation="nearest")
    ax.axis("off")
    return ax


def rows(pictures: dict[str, Tensor], scale: float = 1.0):
    """Show {label: (N, C, H, W)} as one labelled row each, all with the same N; returns the Axes."""
    if len({len(x) for x in pictures.values()}) != 1:
        raise ValueError(f"expected rows of equal length, got {[len(x) for x in pictures.values()]}")
    sheets = {label: tile(x, columns=len(x)) for label, x in pictures.items()}
    width = 9.0 * scale
    heights = [width * s.shape[0] / s.shape[1] for s in sheets.values()]
    _, axes = plt.subplots(
        len(sheets), 1, figsize=(width, sum(heights) + 0.3 * len(sheets)), dpi=PIXELS,
        gridspec_kw={"height_ratios": heights}, squeeze=False,
    )  # fmt: skip
    for ax, (label, sheet) in zip(axes.flat, sheets.items(), strict=True):
        ax.imshow(sheet, interpolation="nearest")
        ax.set_title(label, loc="left", fontsize=10)
        ax.axis("off")
    plt.tight_layout(h_pad=0.4)
    return axes


def curves(history: list[dict], keys=None, smooth: int = 50, ax=None):
    """Show what training logged, averaged over a window of `smooth` steps; returns the Axes.

    history: rows {"step": int, "model/loss": float, ...} as `train.train` returns them.
    """
    keys = keys or [key for key in history[0] if key != "step"]
    if ax is None:
        _, ax = plt.subplots(figsize=(7, 2.8), dpi=PIXELS)
    steps = np.array([row["step"] for row in history])
    window = max(1, min(smooth, len(steps)))
    for key in keys:
        values = np.array([row[key] for row in history], float)
        ax.plot(steps[window - 1 :], np.convolve(values, np.ones(window) / window, "valid"), label=key)
    ax.set_xlabel("step")
    ax.legend(frameon=False)
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def walk(decode, z_from: Tensor, z_to: Tensor, steps: int = 8) -> Tensor:
    """Pictures on the straight line from z_from to z_to, both (N, D): (N·steps, C, H, W), row by row.

    decode maps (B, D) latents to pictures (B, C, H, W).
    """
    weights = torch.linspace(0, 1, steps).view(1, steps, 1)
    z = torch.lerp(z_from[:, None], z_to[:, None], weights)
    with torch.no_grad():
        return decode(z.flatten(0, 1))


def moving(path, alt: str):
    """An animated picture file in a notebook, moving; alt: what it shows, for those who cannot see it."""
    from IPython.display import HTML

    kind = Path(path).suffix.lstrip(".").lower()
    if kind not in ("gif", "png", "webp"):
        raise ValueError(f"expected a .gif, .png or .webp file, got {path}")
    data = b64encode(Path(path).read_bytes()).decode()
    return HTML(f'<img src="data:image/{kind};base64,{data}" alt="{escape(alt)}">')


def show(obj):
    """The library's own source of a function or class, highlighted, in a notebook."""
    from IPython.display import Code

    return Code(inspect.getsource(obj), language="python")
