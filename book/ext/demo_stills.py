"""What the demos stand on: their scripts, the still picture of each, and the numbers that its script reads.

All of it is computed by the library when the site is built: nothing here is drawn by hand.
"""

import base64
import importlib.util
import json
import re
import runpy
import shutil
import types
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import matplotlib.pyplot as plt
import torch
import yaml
from matplotlib.figure import Figure
from PIL import Image

from genimg_lib import _drawn, data, diffusion, onnx_export, plot, recipes, texture
from genimg_lib.gan import logistic_critic, non_saturating

ROOT = Path(__file__).resolve().parents[2]
runtime = types.SimpleNamespace(**runpy.run_path(str(ROOT / "book" / "runtime.py")))
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
        axis.set(xticks=[], yticks=[], xlim=(-1.25, 1.25), ylim=(-1.25, 1.25))
        axis.set(aspect="equal", facecolor=colours["paper"])
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

# --- trained models -----------------------------------------------------------------------------------------

LATENT, PIXELS, MAP = "comic-latent-cond", "comic-flow", "digits-map"
RUNTIME = [f"ort/{name}" for name in runtime.FILES]
PHRASES = ROOT / "genimg_lib" / "phrases.yml"
FILLERS = "a an and the with without of who is person man woman girl boy face someone portrait hair eyes".split()
# A few wishes that a face of 32 pixels shows well, by attribute and value.
SHOWN = [("hair_color", "red"), ("hair_color", "black"), ("hair_color", "light blue"), ("hair_length", "long"),
         ("skin_color", "dark"), ("glasses", "variant01"), ("details", "mustache")]  # fmt: skip


def weights_of(*names: str) -> list[Path]:
    """What a trained demo comes from: the shipped weights, the export, and the words that it understands."""
    library = ROOT / "genimg_lib"
    weights = [library / "weights" / f"{name}.safetensors" for name in names]
    return [*weights, library / "onnx_export.py", *([PHRASES] if PHRASES.is_file() else [])]


def export(recipe: str, folder: Path, name: str) -> None:
    """The network of a recipe, and what runs it; without the packages or without npm nothing is written."""
    if any(importlib.util.find_spec(name) is None for name in ("onnx", "onnxscript")) or not runtime.present():
        return
    (folder / "ort").mkdir(exist_ok=True)
    for file in runtime.FILES:
        shutil.copyfile(runtime.folder() / file, folder / "ort" / file)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about its own parts
        onnx_export.export_model(recipes.load(recipe, NOWHERE), folder, name)


NOWHERE = Path("no-runs")  # the shipped weights, whatever the reader trained


def phrases() -> list[tuple[str, str, str, list[str]]]:
    """(attribute, concept, phrase, values): what can be said about a face, from the library's list of phrases."""
    if not PHRASES.is_file():
        return [(name, value, f"{value} hair" if name == "hair_color" else value, [value])
                for name, values in _drawn.attributes("comic").items()
                for value in values if not value.startswith(("variant", "long0", "long1", "long2", "short"))
                and value != "none"]  # fmt: skip
    rows = []
    for name, concepts in yaml.safe_load(PHRASES.read_text(encoding="utf-8")).items():
        for concept, entry in concepts.items():
            hair = [f"{word} hair" for word in entry.get("hair", [])]
            for phrase in entry.get("adjective", []) + entry.get("with", []) + hair:
                rows.append((name, str(concept), re.sub("^(a|an|the) ", "", str(phrase)), entry.get("is", [concept])))
    return rows


def still_of_faces(folder: Path) -> None:
    """Thirty-two faces by the shipped generator, each row with one wish."""
    model, attributes = recipes.load(LATENT, NOWHERE), _drawn.attributes("comic")
    wanted = [("hair_color", "red"), ("glasses", "variant01"), ("hair_color", "light blue"), ("details", "mustache")]
    y = torch.full((32, len(attributes)), -1)
    for row, (name, value) in enumerate(wanted):
        y[8 * row : 8 * row + 8, list(attributes).index(name)] = attributes[name].index(value)
    torch.manual_seed(3)
    sheet = Image.fromarray(plot.tile(model.sample(32, y), columns=8))
    sheet.resize((sheet.width * 3, sheet.height * 3), Image.Resampling.BICUBIC).quantize(192).save(
        folder / "still-faces.png", optimize=True
    )
    values = {name: list(map(str, names)) for name, names in attributes.items()}
    rows = [(n, c, p, [values[n].index(v) for v in vs if v in values[n]]) for n, c, p, vs in phrases() if n in values]
    concepts = {name: {c: vs for n, c, _, vs in rows if n == name and vs} for name in values}
    about = {"attributes": values, "concepts": concepts, "phrases": [[p, n, vs] for n, _, p, vs in rows if vs],
             "fillers": FILLERS, "guidance": model.guidance, "steps": model.steps, "z": model.z,
             "size": model.shape[-1]}  # fmt: skip
    (folder / "faces-data.js").write_text(f"genimgDemos.data.faces = {json.dumps(about)};\n", encoding="utf-8")
    export(LATENT, folder, "faces")


def still_of_noisy(folder: Path) -> None:
    """Four faces at five moments of the walk by the shipped network: what it sees above, what it guesses below."""
    model, attributes = recipes.load(PIXELS, NOWHERE), _drawn.attributes("comic")
    torch.manual_seed(5)
    guess = model.guess()
    stations = list(diffusion.journey(model.path, guess, torch.randn(4, *model.shape), 8))
    shown = []
    for k in (0, 2, 4, 6, 8):
        t = torch.full((4,), max(1 - k / 8, 1e-3))
        with torch.no_grad():
            shown.append((stations[k].clamp(-1, 1), guess(stations[k], t) if k < 8 else stations[k]))
    sheet = torch.cat([torch.cat([x[i], x0[i]], 1) for i in (0, 1) for x, x0 in shown], 2)
    picture = Image.fromarray(plot.to_rgb(sheet[None])[0])
    picture.resize((picture.width * 3, picture.height * 3), Image.Resampling.BICUBIC).quantize(192).save(
        folder / "still-noisy.png", optimize=True
    )
    names = list(attributes)
    wishes = [[f"{names.index(n)}:{attributes[n].index(v)}", LABELS.get((n, v), f"{v} {n.split('_')[0]}")]
              for n, v in SHOWN]  # fmt: skip
    about = {"wishes": wishes, "width": len(names), "guidance": model.guidance, "steps": model.steps,
             "size": model.shape[-1]}  # fmt: skip
    (folder / "noisy-data.js").write_text(f"genimgDemos.data.noisy = {json.dumps(about)};\n", encoding="utf-8")
    export(PIXELS, folder, "noisy")


def still_of_map(folder: Path) -> None:
    """The digits that the decoder draws on a grid of codes; and where held-out digits lie, for the script."""
    model, edge = recipes.load(MAP, NOWHERE), 2.6
    axis = torch.linspace(-edge, edge, 14)
    grid = torch.stack(torch.meshgrid(axis.flip(0), axis, indexing="ij")[::-1], -1).view(-1, 2)
    held = data.load("digits", model.shape[-1], 400, split="test")
    with torch.no_grad():
        sheet = Image.fromarray(plot.tile(model.decode(grid).clamp(-1, 1), columns=14, gap=0))
        codes = model.encode(held.x)[0]
    sheet.convert("L").resize((588, 588), Image.Resampling.BICUBIC).quantize(32).save(
        folder / "still-map.png", optimize=True
    )
    rows = [[round(x, 2), round(y, 2), int(label[0])] for (x, y), label in zip(codes.tolist(), held.y, strict=True)]
    about = {"edge": edge, "size": model.shape[-1], "codes": rows}
    (folder / "map-data.js").write_text(f"genimgDemos.data.map = {json.dumps(about)};\n", encoding="utf-8")
    export(MAP, folder, "map")


LABELS = {("glasses", "variant01"): "sunglasses", ("details", "mustache"): "mustache"}

DEMOS = {
    "gan": Demo(["kit.js", "gan-nets.js", "gan.js"], still_of_gan, themes=BOTH),
    "denoiser": Demo(["kit.js", "paths.js", "denoiser.js"], still_of_denoiser, (900, 330), themes=BOTH),
    "texture": Demo(["kit.js", "quilting.js", "textures.js", "texture.js"], still_of_texture, (900, 270),
                    files=["textures.js"]),
    "faces": Demo(["kit.js", "runtime.js", "faces-data.js", "faces.js"], still_of_faces, (816, 408),
                  files=["faces-data.js", "faces-guess.onnx", "faces-decode.onnx", *RUNTIME],
                  inputs=lambda: weights_of(LATENT)),
    "map": Demo(["kit.js", "runtime.js", "map-data.js", "map.js"], still_of_map, (588, 588),
                files=["map-data.js", "map-decode.onnx", *RUNTIME], inputs=lambda: weights_of(MAP)),
    "noisy": Demo(["kit.js", "runtime.js", "noisy-data.js", "noisy.js"], still_of_noisy, (960, 192),
                  files=["noisy-data.js", "noisy-guess.onnx", *RUNTIME], inputs=lambda: weights_of(PIXELS)),
}  # fmt: skip
