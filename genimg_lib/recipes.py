"""Named experiments, one row each: people write these rows, machines write the weights and the scores."""

import difflib
import hashlib
import inspect
import json
import platform
import re
import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save
from torch import nn

from genimg_lib import _drawn, data, diffusion, metrics, rules, together
from genimg_lib.flow import picture_flow
from genimg_lib.gan import face_gan
from genimg_lib.latent import CodeCoupling, CodeGAN, ConditionalCodeGAN, LatentFlow, grid_flow
from genimg_lib.model import GenerativeModel
from genimg_lib.pixel import TokenWriter
from genimg_lib.restore import Restorer, line_art, shrink
from genimg_lib.train import atomic, train
from genimg_lib.vae import ConvVAE, SpatialVAE
from genimg_lib.vq import FSQ, TokenAutoencoder

WEIGHTS = Path(__file__).parent / "weights"


@dataclass(frozen=True)
class Recipe:
    """One experiment. `settings` goes to `train.train`; `first` names the recipe of a first stage.

    Where `build` takes the `size` of a picture, or a second stage the `sizes` of the attributes, the recipe can be
    trained on the reader's own pictures (`own_row`).
    """

    name: str
    data: str
    size: int
    build: Callable[..., GenerativeModel]
    steps: int
    batch: int
    lr: float
    about: str
    settings: dict = field(default_factory=dict)
    first: str | None = None
    patience: int = 0  # steps of the weights that ship with the course, if any do
    base: str = ""  # the recipe that this one is on the reader's own pictures


ADAM_GAN = {"betas": (0.0, 0.99), "warmup": 0, "cooldown": 0.4, "ema_decay": 0.999}

ADAM_CODES = ADAM_GAN | {"ema_decay": 0.998, "clip": 10.0}


def comic_sizes() -> tuple[int, ...]:
    """How many values each attribute of a comic face has, in the order of its labels."""
    return tuple(len(values) for values in _drawn.attributes("comic").values())


def wishes(sizes) -> tuple[int, ...]:
    """The sizes of somebody's own attributes, () if there are none; those of the comic faces for None."""
    return comic_sizes() if sizes is None else tuple(sizes)


def grid_vae(size: int | None = None) -> SpatialVAE:
    """An 8×8 grid for pictures of a size; by default comic faces, whose eyes and mouths it looks at closely."""
    focus = None if size else (22, 50, 10, 42)
    size = size or 64
    return SpatialVAE((3, size, size), beta=(size / 32) ** 2, patch=size // 8, focus=focus)  # costs add up over pixels


RECIPES = {
    recipe.name: recipe
    for recipe in [
        #      name           data    size  build                                     steps  batch  lr    about
        Recipe("drawn-faces", "comic", 32, partial(rules.DrawnFaces, 32),                 0,  24, 0.0,
               "faces drawn by rules from random parameters: nothing is learned"),
        Recipe("digits-vae",  "digits", 28, partial(ConvVAE, (1, 28, 28), z=16, beta=1.0, widths=(32, 64)),
               1_500, 64, 2e-3, "a VAE of handwritten digits with 16 latents"),
        Recipe("digits-map",  "digits", 28, partial(ConvVAE, (1, 28, 28), z=2, beta=20.0, widths=(32, 64)),
               500, 64, 3e-3, "a VAE of handwritten digits with two latents: a map of all ten", patience=3_600),
        Recipe("digits-coupling", "digits", 16, partial(picture_flow, (1, 16, 16), depths=(4, 6), width=48),
               600, 32, 2e-3, "a normalizing flow of small handwritten digits: the exact likelihood of a picture",
               patience=2_000),
        Recipe("comic-vae",   "comic", 32, lambda size=32: ConvVAE((3, size, size), 64, 0.25, (96, 192), size // 8),
               1_250, 16, 3e-3, "a VAE of comic faces: sharp reconstructions, blurred fantasies", patience=12_000),
        Recipe("comic-latent", "comic", 32, LatentFlow,                                 700,  64, 1e-3,
               "a flow on the codes of comic-vae: the fantasies become faces", first="comic-vae", patience=6_000),
        Recipe("comic-code-gan", "comic", 32, CodeGAN,                                1_500,  64, 1e-3,
               "the GAN's game on the codes of comic-vae: the most varied faces a GAN makes here", ADAM_CODES,
               first="comic-vae"),
        Recipe("comic-coupling", "comic", 32, CodeCoupling,                              600,  64, 1e-3,
               "a normalizing flow on the codes of comic-vae: one pass, and an exact likelihood of codes",
               {"ema_decay": 0.998}, first="comic-vae", patience=3_000),
        Recipe("comic-gan-cond", "comic", 32, lambda first: ConditionalCodeGAN(first, comic_sizes()), 600, 64, 1e-3,
               "comic-code-gan that takes wishes: its critic judges the picture and the wish together", ADAM_CODES,
               first="comic-vae", patience=2_000),
        Recipe("comic-diffusion", "comic", 32, partial(diffusion.face_flow, path=diffusion.cosine), 600, 24, 2e-3,
               "diffusion on the pixels of comic faces, along the cosine path", patience=10_000),
        Recipe("comic-flow",  "comic", 32,
               lambda size=32, sizes=None: diffusion.face_flow(size, sizes=wishes(sizes), guidance=2.0),
               600, 24, 2e-3, "flow matching on the pixels of comic faces, with attributes to ask for",
               patience=10_000),
        Recipe("comic-latent-cond", "comic", 32,
               lambda first, sizes=None: LatentFlow(first, sizes=wishes(sizes), guidance=1.5),
               700, 128, 1e-3, "comic-latent that takes wishes: hair, skin, glasses and seven more", first="comic-vae",
               patience=6_000),
        Recipe("comic-grid-vae", "comic", 64, grid_vae,                               1_500,  16, 3e-3,
               "comic faces at 64 pixels as a grid of 8×8 places: eyes and mouths survive", patience=9_000),
        Recipe("comic-grid-flow", "comic", 64,
               lambda first, sizes=None: grid_flow(first, sizes=wishes(sizes), guidance=2.0),
               1_000, 256, 2e-3, "the project's own: a flow on the grids of comic-grid-vae, with wishes",
               first="comic-grid-vae", patience=16_000),
        Recipe("comic-fsq",   "comic", 32, lambda: TokenAutoencoder(FSQ((8, 6, 5))),    400,  16, 3e-3,
               "comic faces as 64 tokens of an alphabet of 240, and back", patience=3_000),
        Recipe("comic-tokens", "comic", 32, TokenWriter,                                 350, 16, 3e-3,
               "a transformer that writes the tokens of comic-fsq, one after the other", first="comic-fsq",
               patience=1_600),
        Recipe("manga-gan",   "manga", 28, partial(face_gan, 28, 1),                  1_200,  32, 1e-3,
               "the first GAN: small black-and-white faces", ADAM_GAN, patience=8_000),
        Recipe("comic-gan",   "comic", 32, partial(face_gan, channels=3),             1_300,  24, 1e-3,
               "a GAN of comic faces in colour: the sharpest eyes and mouths", ADAM_GAN, patience=12_000),
        Recipe("comic-superres", "comic", 64, partial(Restorer, 64, shrink, exact=True), 600, 16, 2e-3,
               "comic faces from 16 to 64 pixels a side: diffusion that sees the small picture", patience=5_000),
        Recipe("comic-colour", "comic", 32, partial(Restorer, 32, line_art),            600, 32, 2e-3,
               "line art of comic faces, coloured in", patience=1_200),
    ]
}  # fmt: skip


def get(name: str, runs: Path = Path("runs")) -> Recipe:
    """The recipe of a name, or of a run on your own pictures; ValueError with the nearest name for an unknown one."""
    if (runs / name / "recipe.json").is_file():
        return own_recipe(runs / name / "recipe.json")
    if name not in RECIPES:
        near = difflib.get_close_matches(name, RECIPES, 1, 0)
        raise ValueError(f"no recipe {name!r}; did you mean {near[0]!r}? `genimg list` shows all {len(RECIPES)}")
    return RECIPES[name]


def own_row(recipe: str, data: str, size: int, sizes=(), pictures: int = 2**31) -> Recipe:
    """A recipe for the reader's own pictures: data "folder:PATH", `sizes` of its attributes, how many there are."""
    base, place = RECIPES[recipe], re.sub(r"[^\w.-]+", "-", Path(data.removeprefix("folder:")).name).strip("-.")
    takes = inspect.signature(base.build).parameters
    told = {"size": size, "sizes": tuple(sizes)}
    return replace(
        base, name=f"{recipe}-{place}-{size}", base=recipe, data=data, size=size, patience=0,
        batch=min(base.batch, pictures),
        build=partial(base.build, **{key: value for key, value in told.items() if key in takes}),
        first=base.first and own_row(base.first, data, size).name,
    )  # fmt: skip


def own_recipe(path: Path) -> Recipe:
    """The row that a run on somebody's own pictures wrote down; ValueError for a damaged file."""
    try:
        return own_row(**json.loads(path.read_text(encoding="utf-8")))
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path} does not describe a run on your own pictures: {error}") from error


def pictures(recipe: Recipe, split: str = "train") -> data.Dataset:
    """The recipe's own data."""
    return data.load(recipe.data, recipe.size, split=split)


def build(recipe: Recipe, runs: Path) -> GenerativeModel:
    """The recipe's model, untrained; a second stage gets its first stage trained, from `runs` or as shipped."""
    if recipe.first is None:
        return recipe.build()
    return recipe.build(load(recipe.first, runs))


def weights_of(name: str, runs: Path = Path("runs")) -> Path:
    """Where the weights of a recipe are: your own run first, then what ships with the course."""
    for path in (runs / name / f"{name}.safetensors", WEIGHTS / f"{name}.safetensors"):
        if path.exists():
            return path
    raise FileNotFoundError(f"no weights of {name!r} yet: `genimg train {name}` makes them")


def load(name: str, runs: Path = Path("runs")) -> GenerativeModel:
    """A trained model, ready to sample: your own run if there is one, else the shipped weights."""
    recipe = get(name, runs)
    if not recipe.steps:
        return recipe.build().eval()
    path = weights_of(name, runs)
    known = facts_of(path).get("first")  # of the shipped first stage, where that is the one it was trained with
    if known is None:
        return fill(build(recipe, runs), path)
    if known != facts_of(WEIGHTS / f"{recipe.first}.safetensors").get("sha256"):
        raise ValueError(f"{path} was trained with another {recipe.first} than ships now: `genimg train {name}` anew")
    return fill(build(recipe, WEIGHTS), path)


def facts_of(path: Path) -> dict:
    """What stands beside a file of weights; {} if nothing does."""
    facts = path.with_suffix(".json")
    return json.loads(facts.read_text()) if facts.exists() else {}


def fill(model: nn.Module, path: Path):
    """The model with the weights of a file, ready to use; ValueError if the file is damaged or another model's."""
    try:
        facts = facts_of(path)
        if facts and facts["sha256"] != sha256(path.read_bytes()):
            raise ValueError("its checksum differs from the one beside it")
        state = {key: value.float() for key, value in load_file(path).items()}
        if "first" in facts:
            state |= {key: value for key, value in model.state_dict().items() if key.startswith("first.")}
        model.load_state_dict(state)
    except Exception as error:  # safetensors and torch each have their own kinds
        raise ValueError(f"{path} does not hold the weights of {path.stem!r}: {error}") from error
    return model.eval()


def fit(
    recipe: Recipe, run: Path, *, steps: int | None = None, resume: bool = False, runs: Path = Path("runs"), **options
):
    """Train a recipe into the folder `run`; returns (history, ema). Its weights and facts are written at the end."""
    torch.manual_seed(options.get("seed", 0))
    model = build(recipe, runs)
    with together.one_first():  # the others find the pictures drawn
        ds = pictures(recipe)
    steps, started = steps or recipe.steps, time.perf_counter()
    settings = {"steps": steps, "batch": recipe.batch, "lr": recipe.lr} | recipe.settings | options
    history, ema = train(model, ds.x, ds.y, run=run, resume=resume, **settings)
    if len(history) == steps and not together.rank():
        seconds = round(time.perf_counter() - started)
        save_weights(recipe.name, ema, run, {"steps": steps, "seconds": seconds})
    return history, ema


def save_weights(name: str, ema: GenerativeModel, folder: Path, facts: dict) -> Path:
    """Write NAME.safetensors (fp16) and NAME.json (checksum, steps, device …) atomically.

    A second stage holds its first. Where that is the shipped one, its checksum is written instead of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = ema.state_dict()
    first = name in RECIPES and RECIPES[name].first
    shipped = WEIGHTS / f"{first}.safetensors"
    if first and shipped.exists() and same(ema.first.state_dict(), load_file(shipped)):
        state = {key: value for key, value in state.items() if not key.startswith("first.")}
        facts = facts | {"first": facts_of(shipped)["sha256"]}
    blob = save(packed(state))
    device = platform.processor() or platform.machine() if ema.device.type == "cpu" else torch.cuda.get_device_name()
    facts = {"recipe": name, "sha256": sha256(blob), **facts, "device": device, "torch": torch.__version__}
    path = folder / f"{name}.safetensors"
    atomic(path, lambda file: file.write(blob))
    atomic(path.with_suffix(".json"), lambda file: file.write((json.dumps(facts, indent=1) + "\n").encode()))
    return path


def packed(state: dict) -> dict:
    """The state as a file of weights holds it: fp16."""
    return {key: value.half() if value.is_floating_point() else value for key, value in state.items()}


def same(state: dict, stored: dict) -> bool:
    """Whether a file of weights holds this state."""
    state = packed(state)
    return state.keys() == stored.keys() and all(torch.equal(state[key].cpu(), stored[key]) for key in stored)


def sha256(blob: bytes) -> str:
    return hashlib.sha256(blob).hexdigest()


def score(
    name: str, model: GenerativeModel, n: int = 2_000, seed: int = 0, runs: Path = Path("runs")
) -> dict[str, float]:
    """The scores of a recipe's model on held-out pictures: `metrics.score` of n samples."""
    real = pictures(get(name, runs), "test").x[:n]
    if len(real) < 100:
        raise ValueError(f"a score needs 100 pictures that were held out of the training, and there are {len(real)}")
    torch.manual_seed(seed)
    return metrics.score(real, model.sample(len(real)).cpu())


def ship(name: str, runs: Path = Path("runs")) -> Path:
    """Train a recipe with patience and write its weights, facts and scores where the course keeps them."""
    recipe = get(name)
    steps = recipe.patience or recipe.steps
    run = runs / "shipped" / name
    started = time.perf_counter()
    history, ema = fit(recipe, run, steps=steps, resume=(run / "checkpoint.pt").exists(), runs=runs / "shipped")
    if len(history) < steps:
        raise KeyboardInterrupt
    seconds = round(time.perf_counter() - started)
    samples = min(2_000, len(pictures(recipe, "test").x))
    facts = {"steps": steps, "seconds": seconds, "samples": samples, "scores": score(name, ema, samples)}
    return save_weights(name, ema, WEIGHTS, facts)
