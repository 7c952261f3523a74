"""`genimg draw`: a sentence becomes faces."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genimg_lib import _files
from genimg_lib._later import later

torch = later("torch")
plot, recipes, training, words = map(
    later, ("genimg_lib.plot", "genimg_lib.recipes", "genimg_lib.train", "genimg_lib.words")
)
out = Console()
MODELS = {32: "comic-latent-cond", 64: "comic-grid-flow"}  # who draws, by pixels a side


def listener():
    """The text encoder with the weights that ship with the course."""
    return recipes.fill(words.TextEncoder(), recipes.WEIGHTS / "words.safetensors")


def ship() -> Path:
    """Train the text encoder on 20,000 sentences and store its weights; its score is taken on 2,000 others."""
    sentences, y = words.corpus(20_000)
    torch.manual_seed(0)
    _, ema = training.train(words.TextEncoder(), words.encode(sentences), y, steps=800, batch=256, lr=4e-3)
    others, asked = words.corpus(2_000, seed=1)
    right = (words.concepts_of(ema(words.encode(others)), ema.sizes) == asked).all(dim=1).float().mean().item()
    facts = {"steps": 800, "sentences": len(sentences), "whole sentences right": round(right, 3)}
    return recipes.save_weights("words", ema, recipes.WEIGHTS, facts)


def faces(model, wish: dict[str, str], n: int, seed: int = 0):
    """n faces of a wish by a conditional model: (n, 3, H, W). The same seed gives the same faces."""
    torch.manual_seed(seed)
    return model.sample(n, words.to_labels(wish, n)).cpu()


def draw(
    sentence: Annotated[str, typer.Argument(help="what to draw, in English or Chinese")] = "",
    out_: Annotated[Path, typer.Option("--out", help="a PNG file")] = Path("drawn.png"),
    n: Annotated[int, typer.Option(min=1, max=1_000, help="how many faces")] = 8,
    seed: Annotated[int, typer.Option(help="the same seed gives the same faces")] = 0,
    size: Annotated[int, typer.Option(help="pixels a side, 32 or 64")] = 64,
    scale: Annotated[int | None, typer.Option(min=1, max=16, help="enlarge every pixel")] = None,
    words_: Annotated[bool, typer.Option("--words", help="list what can be asked for, and draw nothing")] = False,
    force: Annotated[bool, typer.Option(help="replace a file that exists")] = False,
):
    """Draw comic faces from words: genimg draw "a smiling woman with long green hair and glasses"."""
    if words_:
        for attribute, named in words.concepts().items():
            out.print(f"{attribute.replace('_', ' ')}: {', '.join(named)}", highlight=False)
        return
    if size not in MODELS:
        raise ValueError(f"--size is {' or '.join(map(str, MODELS))} pixels a side; came {size}")
    _files.check_out(out_, force)
    wish = listener().wish(sentence)
    plot.save(faces(recipes.load(MODELS[size]), wish, n, seed), out_, scale or 128 // size)
    heard = ", ".join(f"{a.replace('_', ' ')}: {c}" for a, c in wish.items()) or "nothing in particular"
    out.print(f"heard {heard}; {n} faces → {out_}", highlight=False, soft_wrap=True)
