"""What the demos stand on: their scripts, the still picture of each, and the numbers that its script reads.

All of it is computed by the library when the site is built: nothing here is drawn by hand.
"""

import base64
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
from matplotlib.figure import Figure

from genimg_lib import data, diffusion, texture
from genimg_lib.gan import logistic_critic, non_saturating

BOTH = {"-light": "only-light", "-dark": "only-dark"}
COLOURS = {
    "-light": {"paper": "#f7faf9", "ink": "#24302e", "line": "#b9cbc7", "real": "#1b659f", "fake": "#b84a12"},
    "-dark": {"paper": "#131c1b", "ink": "#dfe8e6", "line": "#35504c", "real": "#6cb2f0", "fake": "#f2995f"},
}


@dataclass(frozen=True)
class Demo:
    """make(folder) writes still-NAME*.png and `files`, which the scripts need; inputs() are what they come from."""

    scripts: Sequence[str]
    make: Callable[[Path], None]
    size: tuple[int, int] = (800, 400)
    themes: dict | None = None
    files: Sequence[str] = ()
    inputs: Callable[[], list[Path]] = list


def panels(n: int, colours: dict, size=(8.0, 4.0)) -> tuple[Figure, list]:
    """n empty squares side by side."""
    figure = plt.figure(figsize=size, dpi=100, facecolor=colours["paper"])
    axes = figure.subplots(1, n, squeeze=False)[0]
    figure.subplots_adjust(0.01, 0.01, 0.99, 0.9, wspace=0.04)
    for axis in axes:
        axis.set(xticks=[], yticks=[], xlim=(-1.25, 1.25), ylim=(-1.25, 1.25), aspect="equal", facecolor=colours["paper"])
        for spine in axis.spines.values():
            spine.set_color(colours["line"])
    return figure, list(axes)


def save(figure: Figure, path: Path) -> None:
    figure.savefig(path, pil_kwargs={"optimize": True})
    plt.close(figure)


# --- the GAN game -------------------------------------------------------------------------------------------


def still_of_gan(folder: Path) -> None:
    """Two moments of a game on eight Gaussians: near the start, and when every place is reached."""
    from genimg_lib.nets import mlp

    torch.manual_seed(0)
    points = data.load("toy:mixture").x
    players = [mlp(sizes, lambda: torch.nn.LeakyReLU(0.2)) for sizes in ((4, 64, 64, 2), (2, 64, 64, 1))]
    generator, critic = players
    for_generator, for_critic = (torch.optim.Adam(p.parameters(), 2e-3, betas=(0.0, 0.9)) for p in players)
    z, moments = torch.randn(400, 4), []
    axis = torch.linspace(-1.25, 1.25, 120)
    field = torch.stack(torch.meshgrid(axis, axis, indexing="xy"), -1).view(-1, 2)
    for step in range(1_201):
        if step in (60, 1_200):
            with torch.no_grad():
                moments.append((step, generator(z), torch.sigmoid(critic(field)).view(120, 120)))
        real = points[torch.randint(len(points), (128,))].requires_grad_()
        on_real = critic(real)
        (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
        loss = logistic_critic(on_real, critic(generator(torch.randn(128, 4)).detach()))
        for_critic.zero_grad()
        (loss + 0.05 * slope.square().sum(1).mean()).backward()
        for_critic.step()
        for_generator.zero_grad()
        non_saturating(critic(generator(torch.randn(128, 4)))).backward()
        for_generator.step()
    for suffix, colours in COLOURS.items():
        figure, axes = panels(2, colours)
        for axis, (step, fake, belief) in zip(axes, moments, strict=True):
            tint = plt.matplotlib.colors.LinearSegmentedColormap.from_list(
                "tint", [colours["fake"], colours["paper"], colours["real"]]
            )
            axis.imshow(belief, extent=(-1.25, 1.25, -1.25, 1.25), origin="lower", cmap=tint, vmin=-0.4, vmax=1.4)
            axis.scatter(*points[:300].T, s=5, marker="s", color=colours["real"])
            axis.scatter(*fake.T, s=9, color=colours["fake"], edgecolor=colours["paper"], linewidth=0.3)
            axis.set_title(f"after {step:,} turns", color=colours["ink"], fontsize=11)
        save(figure, folder / f"still-gan{suffix}.png")


# --- the denoiser -------------------------------------------------------------------------------------------


def still_of_denoiser(folder: Path) -> None:
    """The walks of 160 points from noise to eight clusters, after 0, 6 and 12 of 12 steps; the guess is exact."""
    torch.manual_seed(1)
    angle = torch.arange(8) * torch.pi / 4
    centres, s = 0.75 * torch.stack([angle.cos(), angle.sin()], 1), 0.05

    def predict(x_t, t):
        """E[x0 | x_t] for equally likely Gaussians around the centres."""
        alpha, sigma = diffusion.linear.alpha(t)[:, None, None], diffusion.linear.sigma(t)[:, None, None]
        off, spread = x_t[:, None] - alpha * centres, (alpha * s) ** 2 + sigma**2
        share = (-off.square().sum(2, keepdim=True) / (2 * spread)).softmax(1)
        return (share * (centres + alpha * s**2 / spread * off)).sum(1)

    walks = torch.stack(list(diffusion.journey(diffusion.linear, predict, torch.randn(160, 2))))
    for suffix, colours in COLOURS.items():
        figure, axes = panels(3, colours, (9, 3.3))
        for axis, k in zip(axes, (0, 6, 12), strict=True):
            axis.set(xlim=(-1.9, 1.9), ylim=(-1.9, 1.9))
            axis.scatter(*centres.T, s=16, marker="s", color=colours["real"])
            axis.plot(*walks[: k + 1].permute(2, 0, 1), color=colours["fake"], linewidth=0.5, alpha=0.35)
            axis.scatter(*walks[k].T, s=6, color=colours["fake"])
            axis.set_title(f"t = {1 - k / 12:g}", color=colours["ink"], fontsize=11)
        save(figure, folder / f"still-denoiser{suffix}.png")


# --- the texture lab ----------------------------------------------------------------------------------------

TEXTURES, SIDE = ("brick", "grass", "gravel"), 96


def still_of_texture(folder: Path) -> None:
    """Brick laid three ways from blocks of one small piece; and the pieces themselves as text for the script."""
    textures = data.load("textures", 256)
    names = list(textures.attributes.values())[0]
    pieces = {}
    for name in TEXTURES:
        x = textures.x[[names[int(label[0])] for label in textures.y].index(name)].mean(0, keepdim=True)
        pieces[name] = x[:, :SIDE, :SIDE]
    figure, axes = panels(4, {"paper": "#ffffff", "line": "#b9cbc7"}, (9, 2.7))
    brick = pieces["brick"]
    laid = [texture.quilt(brick, 160, 32, 8, torch.Generator().manual_seed(1), join=join) for join in JOINS]
    for axis, picture, title in zip(axes, [brick, *laid], ("the piece", *JOINS), strict=True):
        axis.set(xlim=(0, picture.shape[2]), ylim=(picture.shape[1], 0))
        axis.imshow(picture[0], cmap="gray", vmin=-1, vmax=1)
        axis.set_title(title, color="#24302e", fontsize=11)
    save(figure, folder / "still-texture.png")
    rows = {}
    for name, piece in pieces.items():
        grey = ((piece[0] + 1) * 127.5).round().clamp(0, 255).to(torch.uint8)
        rows[name] = {"side": SIDE, "grey": base64.b64encode(grey.numpy().tobytes()).decode()}
    (folder / "textures.js").write_text(f"genimgDemos.data.textures = {json.dumps(rows)};\n", encoding="utf-8")


JOINS = ("random", "overlap", "seam")

DEMOS = {
    "gan": Demo(["kit.js", "gan-nets.js", "gan.js"], still_of_gan, themes=BOTH),
    "denoiser": Demo(["kit.js", "paths.js", "denoiser.js"], still_of_denoiser, (900, 330), themes=BOTH),
    "texture": Demo(["kit.js", "quilting.js", "textures.js", "texture.js"], still_of_texture, (900, 270),
                    files=["textures.js"]),
}  # fmt: skip
