"""A recipe on the reader's own pictures: what it needs, where it is kept, how long it will take here."""

import copy
import inspect
import json
import time
from pathlib import Path

import torch

from genimg_lib import data, recipes
from genimg_lib.recipes import Recipe
from genimg_lib.train import atomic, train

PROJECT = "comic-grid-flow"  # what `genimg train --data folder:PATH` trains
SIZES, FEWEST = (32, 64), 24  # pixels a side; pictures to learn from


def stages(name: str, where: str, size: int | None, runs: Path) -> tuple[list[Recipe], dict, data.Dataset]:
    """The rows that `name` needs on the pictures of "folder:PATH", a first stage first; what `keep` writes down of
    them; and the pictures.

    Raises ValueError or FileNotFoundError with what is wrong, and writes nothing.
    """
    base = recipes.get(name, runs)
    if not where.startswith("folder:") or where == "folder:":
        raise ValueError(f"--data takes folder:PATH, a folder of your own pictures; came {where!r}")
    able = [row.name for row in recipes.RECIPES.values() if takes_pictures(row)]
    if name not in able:
        raise ValueError(f"{name} cannot be trained on a folder; these can: {', '.join(able)}")
    if size not in (None, *SIZES):
        raise ValueError(f"--size is {' or '.join(map(str, SIZES))} pixels a side; came {size}")
    place = Path(where.removeprefix("folder:")).expanduser().resolve()
    found = data.load(f"folder:{place}", size or base.size)
    if len(found) < FEWEST:
        raise ValueError(f"{place} holds {len(found)} pictures to learn from; expected at least {FEWEST}")
    facts = {"data": f"folder:{place}", "size": size or base.size, "pictures": len(found)}
    facts["sizes"] = [len(values) for values in found.attributes.values()]
    rows = [recipes.own_row(link, **facts) for link in (base.first, name) if link]
    for row in rows:
        kept = runs / row.name / "recipe.json"
        if kept.exists() and recipes.own_recipe(kept).data != row.data:
            raise ValueError(f"{kept.parent} belongs to {recipes.own_recipe(kept).data}; move that run away first")
    untrained(rows)  # a size that the model cannot have is found before anything is written
    return rows, facts, found


def takes_pictures(row: Recipe) -> bool:
    """Whether a recipe can be trained on somebody's own pictures: see `recipes.Recipe`."""
    return bool(row.steps) and ("sizes" if row.first else "size") in inspect.signature(row.build).parameters


def untrained(rows: list[Recipe]) -> list:
    """The model of each row, with random weights in every stage."""
    models = []
    for row in rows:
        models.append(row.build(*(copy.deepcopy(model) for model in models[-1:])))  # a second stage freezes its first
    return models


def keep(row: Recipe, facts: dict, runs: Path) -> None:
    """Write down in a run's folder what it is trained on, for `recipes.get`; what stands there already stays."""
    path = runs / row.name / "recipe.json"
    path.parent.mkdir(parents=True, exist_ok=True)
    if not path.exists():
        atomic(path, lambda file: file.write((json.dumps(facts | {"recipe": row.base}, indent=1) + "\n").encode()))


def seconds_a_step(rows: list[Recipe], found: data.Dataset, threads: int | None = None) -> list[float]:
    """What a step of each row takes on this machine, by the clock: six steps of an untrained model, after two."""
    seconds = []
    for row, model in zip(rows, untrained(rows), strict=True):
        x, y, clock = found.x[: 4 * row.batch], found.y[: 4 * row.batch], []
        train(
            model, x, y, steps=8, batch=row.batch, lr=row.lr, threads=threads or torch.get_num_threads(),
            watch=lambda *_, clock=clock: clock.append(time.perf_counter()), **row.settings,
        )  # fmt: skip
        seconds.append((clock[-1] - clock[1]) / (len(clock) - 2))
    return seconds


def duration(seconds: float) -> str:
    """A time as one says it: "40 seconds", "12 minutes", "3.5 hours"."""
    for unit, length, digits in (("hours", 3600, 1), ("minutes", 60, 0)):
        if seconds >= 1.5 * length:
            return f"{seconds / length:.{digits}f} {unit}"
    return "a second" if seconds < 1.5 else f"{seconds:.0f} seconds"
