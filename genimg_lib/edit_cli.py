"""The commands `genimg inpaint | enhance | style | walk`: the editing chapters on your own pictures."""

from __future__ import annotations  # so that torch need not be imported for its name

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import numpy as np
import typer
from PIL import Image, ImageOps, UnidentifiedImageError
from rich.console import Console

from genimg_lib import _files
from genimg_lib._later import later

if TYPE_CHECKING:
    from torch import Tensor

torch = later("torch")
edit, plot, recipes, restore, style = map(
    later, ("genimg_lib.edit", "genimg_lib.plot", "genimg_lib.recipes", "genimg_lib.restore", "genimg_lib.style")
)

out, err = Console(), Console(stderr=True)
RUNS = Path("runs")
LEAST, LARGEST_HOLE = 16, 60_000  # pixels a side; pixels that copying fills in about a minute

Picture = Annotated[Path, typer.Argument(help="a picture file")]
Out = Annotated[Path, typer.Option("--out", help="where to write: a picture file")]
Force = Annotated[bool, typer.Option("--force", help="replace a file that exists")]
Convert = Annotated[bool, typer.Option("--convert", help="first frame, white behind transparency, CMYK to RGB")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same picture")]


def add(app: typer.Typer) -> None:
    """Hang the commands under `genimg`."""
    for command in (inpaint, enhance, walk):
        app.command()(command)
    app.command("style")(style_)


# ---------------------------------------------------------------------------------------------- files


def check_kind(path: Path, image: Image.Image, convert: bool) -> None:
    """ValueError for a picture too large, too small, or of a kind that --convert must allow."""
    width, height = image.size
    if width * height > _files.LARGEST:
        raise ValueError(f"{path} has {width}×{height} pixels, more than {_files.LARGEST:,}; shrink it first")
    if min(width, height) < LEAST:
        raise ValueError(f"{path} has {width}×{height} pixels; at least {LEAST} a side are needed")
    frames = getattr(image, "n_frames", 1)
    odd = {f"is animated, {frames} frames": frames > 1, "is CMYK, colours for print": image.mode == "CMYK",
           "has transparent parts": image.has_transparency_data}  # fmt: skip
    for what in (what for what, so in odd.items() if so and not convert):
        raise ValueError(f"{path} {what}: edits would lose that; add --convert to go on with it as plain RGB")


def read(path: Path, convert: bool = False) -> Image.Image:
    """The picture in a file, RGB and upright. ValueError, in one line, for what would not survive the editing."""
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    try:
        with warnings.catch_warnings():  # the limit below decides
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            file = Image.open(path)
        with file as image:
            check_kind(path, image, convert)
            return _files._rgb(ImageOps.exif_transpose(image))
    except Image.DecompressionBombError as error:
        raise ValueError(f"{path} has more pixels than memory is for; shrink it first") from error
    except (UnidentifiedImageError, OSError, SyntaxError, EOFError) as error:
        raise ValueError(f"{path} cannot be read as a picture: {error}") from error


def to_tensor(image: Image.Image) -> Tensor:
    """RGB -> (1, 3, H, W) in [-1, 1]."""
    return torch.from_numpy(np.asarray(image.convert("RGB")).copy()).movedim(-1, 0)[None].float() / 127.5 - 1


def write(x: Tensor, path: Path) -> None:
    """(3, H, W) in [-1, 1] to a file."""
    Image.fromarray(plot.to_rgb(x)).save(path)


def fit(image: Image.Image, longest: int) -> Image.Image:
    """Not longer than `longest` pixels on any side."""
    small = image.copy()
    small.thumbnail((longest, longest), Image.Resampling.LANCZOS)
    return small


def face(image: Image.Image, size: int) -> Tensor:
    """The centred square as the face models want it: (1, 3, size, size)."""
    if image.width != image.height:
        out.print("the face models work on squares: the centred one is taken", highlight=False)
    return torch.from_numpy(_files.square(image, size).copy())[None].float() / 127.5 - 1


def one_of(word: str, words: str, option: str) -> str:
    if word not in words.split():
        raise ValueError(f"{option} is one of {', '.join(words.split())}, not {word!r}")
    return word


# ----------------------------------------------------------------------------------------------- inpaint


def hole_of(image: Image.Image, mask: Path | None, box: str | None) -> Tensor:
    """What is known of the picture, bool (H, W): not white in the mask's file, or outside "left,top,width,height"."""
    if (mask is None) == (box is None):
        raise ValueError("say where the hole is: --mask FILE, white where to fill, or --box LEFT,TOP,WIDTH,HEIGHT")
    if mask:
        hole = torch.from_numpy(np.asarray(read(mask, convert=True).convert("L")).copy()) > 127
        if hole.shape != (image.height, image.width):
            sizes = f"{hole.shape[1]}×{hole.shape[0]} pixels, the picture {image.width}×{image.height}"
            raise ValueError(f"{mask} has {sizes}; draw the mask on a copy of the picture")
    else:
        try:
            left, top, width, height = (int(n) for n in box.split(","))
        except ValueError:
            raise ValueError(f"--box is four whole numbers, LEFT,TOP,WIDTH,HEIGHT, not {box!r}") from None
        if min(left, top) < 0 or min(width, height) < 1 or left + width > image.width or top + height > image.height:
            raise ValueError(f"the box {box} does not lie in the picture of {image.width}×{image.height} pixels")
        hole = torch.zeros(image.height, image.width, dtype=torch.bool)
        hole[top : top + height, left : left + width] = True
    if not hole.any() or hole.all():
        raise ValueError(f"the hole is {'empty' if not hole.any() else 'the whole picture'}; white pixels are filled")
    return ~hole


def fill(x: Tensor, known: Tensor, by: str, patch: int) -> Tensor:
    """The hole of a picture (3, H, W), filled from the neighbourhood alone."""
    if by == "copy" and int((~known).sum()) > LARGEST_HOLE:
        raise ValueError(f"the hole has {int((~known).sum()):,} pixels; up to {LARGEST_HOLE:,} are copied in a minute: "
                         "shrink the picture, or take --by smooth")  # fmt: skip
    around, where = 8 * patch, (~known).nonzero()
    top, left = (where.amin(0) - around).clamp(min=0).tolist()
    bottom, right = (where.amax(0) + around + 1).tolist()
    near = (..., slice(top, bottom), slice(left, right))
    done = x.clone()
    if by == "smooth":
        done[near] = edit.biharmonic(x[near], known[near])
    else:
        done[near] = edit.exemplar_fill(x[near], known[near], patch, reach=6 * patch, calm=0.05)
    return done


def inpaint(
    picture: Picture, out_: Out,
    mask: Annotated[Path | None, typer.Option(help="a picture of the same size, white where to fill")] = None,
    box: Annotated[str | None, typer.Option(help="LEFT,TOP,WIDTH,HEIGHT in pixels, instead of a mask")] = None,
    by: Annotated[str, typer.Option(help="copy patches, smooth, or faces: the model of comic faces")] = "copy",
    patch: Annotated[int, typer.Option(min=3, max=61, help="side of a copied patch, odd")] = 11,
    seed: Seed = 0, convert: Convert = False, force: Force = False,
):  # fmt: skip
    """Fill a hole in a picture. Everything outside it stays as it is."""
    one_of(by, "copy smooth faces", "--by")
    _files.check_out(out_, force)
    image = read(picture, convert)
    known, x = hole_of(image, mask, box), to_tensor(image)[0]
    if by == "faces":
        whole = torch.nn.functional.interpolate((~known).float()[None, None], (32, 32), mode="area")[0, 0] == 0
        torch.manual_seed(seed)
        new = edit.inpaint(recipes.load("comic-diffusion", RUNS), edit.resize(x[None], 32), whole)
        x = edit.resize(new, tuple(known.shape))[0]
    else:
        x = fill(x, known, by, patch)
    new = np.where(known[..., None].numpy(), np.asarray(image), plot.to_rgb(x))
    Image.fromarray(new).save(out_)
    lossy = "" if out_.suffix.lower() in (".png", ".bmp", ".tif", ".tiff") else " (this format is lossy; PNG is not)"
    out.print(f"{int((~known).sum()):,} pixels filled → {out_}{lossy}", highlight=False)


# ---------------------------------------------------------------------------------------- enhance, style, walk


def clean(x: Tensor, noise: float | None) -> Tensor:
    """A photograph (3, H, W) without its noise: means over patches that look alike, wherever they are."""
    from skimage.restoration import denoise_nl_means

    pixels = ((x + 1) / 2).movedim(0, -1).double().numpy()
    sigma = (edit.noise_of(x) if noise is None else noise) / 2
    done = denoise_nl_means(pixels, patch_size=5, patch_distance=6, h=0.8 * sigma, sigma=sigma, channel_axis=-1)
    return torch.from_numpy(done).movedim(-1, 0).float() * 2 - 1


def enhance(
    picture: Picture, out_: Out,
    task: Annotated[str, typer.Option(help="denoise, enlarge or colour")] = "denoise",
    by: Annotated[str, typer.Option(help="photo, or faces: the models of comic faces")] = "photo",
    noise: Annotated[float | None, typer.Option(min=0.01, max=2, help="its deviation, pixels in [-1, 1]")] = None,
    seed: Seed = 0, convert: Convert = False, force: Force = False,
):  # fmt: skip
    """Remove noise, enlarge, or colour line art."""
    one_of(task, "denoise enlarge colour", "--task")
    one_of(by, "photo faces", "--by")
    if by == "photo" and task == "colour":
        raise ValueError("colouring needs a model of what is coloured; only one of comic faces is here: --by faces")
    _files.check_out(out_, force)
    image = read(picture, convert)
    torch.manual_seed(seed)
    if by == "photo" and task == "enlarge":
        done = to_tensor(image.resize((2 * image.width, 2 * image.height), Image.Resampling.LANCZOS))
        said = "twice as large by Lanczos: sharp, and nothing invented"
    elif by == "photo":
        done, said = clean(to_tensor(image)[0], noise)[None], "noise removed by non-local means"
    elif task == "denoise":
        x, noise = face(image, 32), noise or 0.3
        done = edit.denoise(recipes.load("comic-diffusion", RUNS), x, noise)
        said = f"as a face of 32 pixels, noise of {noise:g} removed"
    elif task == "enlarge":
        done = recipes.load("comic-superres", RUNS).restore(face(image, 16)).clamp(-1, 1)
        said = "shrunk to 16 pixels, drawn at 64: a face that fits, details are invented"
    else:
        x = face(image, 32)
        colourful = (x.amax(1) - x.amin(1)).mean() > 0.05
        lines = restore.line_art(x) if colourful else x.mean(1, keepdim=True)
        painted = recipes.load("comic-colour", RUNS).restore(lines).clamp(-1, 1)
        small = restore.shrink(edit.sdedit(recipes.load("comic-diffusion", RUNS), painted, 0.3), 2)
        done = recipes.load("comic-superres", RUNS).restore(small).clamp(-1, 1)
        said = "lines coloured at 32 pixels, drawn at 64"
    write(done[0], out_)
    out.print(f"{said} → {out_}", highlight=False)


def style_(
    content: Picture, style_picture: Annotated[Path, typer.Argument(metavar="STYLE", help="whose style")], out_: Out,
    by: Annotated[str, typer.Option(help="gatys: a search, a minute; adain: one pass")] = "gatys",
    features: Annotated[str, typer.Option(help="random, trained or vgg")] = "random",
    strength: Annotated[float, typer.Option(min=0, max=10, help="1 as in the chapter; adain up to 1")] = 1.0,
    size: Annotated[int, typer.Option(min=64, max=1024, help="longest side of the result in pixels")] = 256,
    steps: Annotated[int, typer.Option(min=1, max=5_000, help="of the search, on each of three sizes")] = 40,
    seed: Seed = 0, convert: Convert = False, force: Force = False,
):  # fmt: skip
    """Paint one picture in the manner of another."""
    one_of(by, "gatys adain", "--by")
    one_of(features, "random trained vgg", "--features")
    if by == "adain" and strength > 1:
        raise ValueError(f"with --by adain the strength goes up to 1, the style's own statistics; not {strength:g}")
    _files.check_out(out_, force)
    x, y = (to_tensor(fit(read(path, convert), size)) for path in (content, style_picture))
    if min(*x.shape[-2:], *y.shape[-2:]) < 64:
        raise ValueError("both pictures must be at least 64 pixels on their shorter side, once no longer than --size")
    if by == "adain":
        done = style.adain_transfer(style.train_autoencoder([x[0], y[0]], seed=seed), x, y, strength)
    else:
        net = {"random": style.RandomFeatures, "vgg": vgg,
               "trained": lambda: style.train_autoencoder([x[0], y[0]], seed=seed)}[features]()  # fmt: skip
        done = style.gatys(x, y, net, strength, steps)
    write(done[0], out_)
    out.print(f"{content.name} in the manner of {style_picture.name} → {out_}", highlight=False)


def vgg():
    """VGG's features, or in one line why not."""
    try:
        return style.vgg_features()
    except ImportError as error:
        raise ValueError(str(error)) from error


def walk(
    first: Picture, second: Annotated[Path, typer.Argument(help="where the walk ends")], out_: Out,
    frames: Annotated[int, typer.Option(min=2, max=200, help="pictures on the way, both ends included")] = 12,
    scale: Annotated[int, typer.Option(min=1, max=16, help="enlarge every pixel")] = 2,
    convert: Convert = False, force: Force = False,
):  # fmt: skip
    """Walk from one comic face to another, through the noise that makes faces; a .gif moves, else it is a strip."""
    _files.check_out(out_, force)
    x = torch.cat([face(read(path, convert), 64) for path in (first, second)])
    flow = recipes.load("comic-grid-flow", RUNS)
    with torch.no_grad():
        codes, kept = flow.first.encode(x)[0], edit.psnr(flow.first.reconstruct(x), x)
        noise = flow.noise(codes, steps=40)
    strip = plot.walk(lambda eps: flow.decode(flow.code(eps, steps=40)), noise[:1], noise[1:], frames)
    if out_.suffix.lower() == ".gif":
        big = restore.repeat(torch.cat([strip, strip.flip(0)]).clamp(-1, 1), scale)
        pictures = [Image.fromarray(picture) for picture in plot.to_rgb(big)]
        pictures[0].save(out_, save_all=True, append_images=pictures[1:], duration=100, loop=0)
    else:
        plot.save(strip, out_, scale, columns=min(frames, 12))
    out.print(f"{frames} faces → {out_}", highlight=False)
    for path, dB in zip((first, second), kept.tolist(), strict=True):
        if dB < 15:
            err.print(f"[yellow]genimg:[/yellow] {path.name} is not like a comic face: its code keeps {dB:.0f} dB"
                      " of it, so the walk starts or ends elsewhere", highlight=False, soft_wrap=True)  # fmt: skip
