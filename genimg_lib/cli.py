"""The command `genimg`: list, train, sample, score, data. Exit status 0 done, 1 it failed, 2 the call was wrong."""

import gc
import sys

from genimg_lib.grade import server

server.ahead(sys.argv[1:])  # the sandbox takes seconds to start; what follows is imported meanwhile
gc.disable()  # what imports make is there to stay

import json  # noqa: E402
import warnings  # noqa: E402
from pathlib import Path  # noqa: E402
from typing import Annotated  # noqa: E402

import typer  # noqa: E402
from rich.console import Console  # noqa: E402
from rich.markup import escape  # noqa: E402
from rich.table import Table  # noqa: E402

from genimg_lib import _files, doctor, draw_cli, edit_cli, export_cli, grade_cli, interview, learn_cli  # noqa: E402
from genimg_lib._later import later  # noqa: E402

datasets, own, plot, recipes, together = map(
    later, (f"genimg_lib.{name}" for name in ("data", "own", "plot", "recipes", "together"))
)
gc.enable()

app = typer.Typer(no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__)
out, err = Console(), Console(stderr=True)
RUNS = Path("runs")

Name = Annotated[str, typer.Argument(help="a recipe; `genimg list` shows them")]
Force = Annotated[bool, typer.Option(help="replace a file that exists")]
Seed = Annotated[int, typer.Option(help="the same seed gives the same pictures")]


def fail(message: str, status: int = 2):
    """Say what is wrong in one red line and leave."""
    err.print(f"[red]genimg:[/red] {message}", highlight=False, soft_wrap=True)
    raise typer.Exit(status)


@app.command("list")
def list_():
    """The recipes and the data sets, with what each is."""
    table = Table("recipe", "data", "steps", "weights", "what", box=None, header_style="bold")
    yours = [recipes.own_recipe(path) for path in sorted(RUNS.glob("*/recipe.json"))]
    for recipe in [*recipes.RECIPES.values(), *yours]:
        try:
            here = "your run" if RUNS in recipes.weights_of(recipe.name, RUNS).parents else "shipped"
        except FileNotFoundError:
            here = "–" if recipe.steps else "none needed"
        table.add_row(recipe.name, f"{recipe.data} {recipe.size}", f"{recipe.steps:,}", here, recipe.about)
    out.print(table)
    table = Table("data", "what", "licence", box=None, header_style="bold")
    for name, source in datasets.SOURCES.items():
        table.add_row(name, source.what, source.licence)
    out.print()
    out.print(table)


@app.command()
def train(
    name: Annotated[str, typer.Argument(help="a recipe; `genimg list` shows them")] = "",
    data_: Annotated[str, typer.Option("--data", help="folder:PATH, to train on your own pictures")] = "",
    size: Annotated[int | None, typer.Option(help="pixels a side of your own pictures: 32 or 64")] = None,
    steps: Annotated[int | None, typer.Option(min=1, help="instead of the recipe's own")] = None,
    resume: Annotated[bool, typer.Option(help="continue an interrupted run")] = False,
    seed: Seed = 0,
    threads: Annotated[int | None, typer.Option(min=1, help="instead of the count measured to be faster")] = None,
):
    """Train a recipe into runs/NAME, or with --data folder:PATH on your own pictures; Ctrl-C saves, --resume continues.

    With --data the name may be left out: the project's two-stage model is trained.
    """
    out.quiet = together.rank() > 0
    if data_:
        return train_own(name or own.PROJECT, data_, size, steps, resume, seed=seed, threads=threads)
    if size:
        fail("--size is for your own pictures: add --data folder:PATH")
    if not name:
        fail("name a recipe, `genimg list` shows them, or your own pictures: --data folder:PATH")
    recipe = recipes.get(name, RUNS)
    if not recipe.steps:
        fail(f"{name} has nothing to learn; `genimg sample {name}` draws at once")
    stop_at_earlier_run(recipe, resume)
    if recipe.first:
        recipes.weights_of(recipe.first, RUNS)
    out.print(f"{name}: {steps or recipe.steps:,} steps of {recipe.batch} pictures of {recipe.data}")
    train_stage(recipe, f"genimg train {name}", steps, resume, seed=seed, threads=threads)


def stop_at_earlier_run(recipe, resume: bool):
    """An earlier run is never overwritten."""
    if (RUNS / recipe.name / "checkpoint.pt").exists() and not resume:
        fail(f"{RUNS / recipe.name} holds an earlier run; add --resume to continue it, or move the folder away")


def train_stage(recipe, command: str, steps: int | None, resume: bool, **options):
    """Train one recipe into its folder and say how it went; `command` is what continues it."""
    steps = steps or recipe.steps
    history, _ = recipes.fit(recipe, RUNS / recipe.name, steps=steps, resume=resume, runs=RUNS, **options)
    if len(history) < steps:
        fail(f"stopped after {len(history):,} of {steps:,} steps; `{command} --resume` continues", 1)
    last = {key: round(value, 3) for key, value in history[-1].items() if key != "step"}
    out.print(f"done: {last}; `genimg sample {recipe.name}` shows what it learned")


def train_own(name: str, where: str, size: int | None, steps: int | None, resume: bool, **options):
    """Train every stage of a recipe on a folder of pictures, a first stage first; say beforehand how long it takes."""
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        rows, facts, found = own.stages(name, where, size, RUNS)
    for warning in heard:
        out.print(f"[yellow]note:[/yellow] {escape(str(warning.message))}", highlight=False)
    todo = [row for row in rows if row is rows[-1] or not (RUNS / row.name / f"{row.name}.safetensors").exists()]
    for row in todo:
        stop_at_earlier_run(row, resume)
    out.print(f"{found.name}: {len(found):,} pictures; timing a few steps …", highlight=False)
    for row, seconds in zip(rows, own.seconds_a_step(rows, found, options["threads"]), strict=True):
        count = steps or row.steps
        if row in todo:
            out.print(f"{row.name}: {count:,} steps of {row.batch}, about {own.duration(count * seconds)} here")
    for row in todo:
        own.keep(row, facts, RUNS)
        again = resume and (RUNS / row.name / "checkpoint.pt").exists()
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", ".*cannot be read, left out")  # said above
            train_stage(row, f"genimg train {name} --data {where} --size {row.size}", steps, again, **options)


@app.command()
def sample(
    name: Name,
    n: Annotated[int, typer.Option(min=1, max=10_000, help="how many pictures")] = 64,
    out_: Annotated[Path, typer.Option("--out", help="a PNG file")] = Path("samples.png"),
    seed: Seed = 0,
    scale: Annotated[int, typer.Option(min=1, max=16, help="enlarge every pixel")] = 2,
    force: Force = False,
):
    """Draw N pictures by a trained recipe on one sheet."""
    import torch

    recipe = recipes.get(name, RUNS)
    _files.check_out(out_, force)
    model = recipes.load(recipe.name, RUNS)
    torch.manual_seed(seed)
    plot.save(model.sample(n), out_, scale)
    out.print(f"{n} pictures of {name} → {out_}")


@app.command()
def score(
    name: Name,
    n: Annotated[int, typer.Option(min=100, max=10_000, help="how many samples to judge by")] = 2_000,
    seed: Seed = 0,
    json_: Annotated[bool, typer.Option("--json", help="print JSON instead of a table")] = False,
):
    """Judge a trained recipe on held-out pictures, in two feature spaces."""
    model = recipes.load(recipes.get(name, RUNS).name, RUNS)
    scores = recipes.score(name, model, n, seed, RUNS)
    if json_:
        print(json.dumps(scores))
        return
    table = Table("score", name, "good is", box=None, header_style="bold")
    for key, value in scores.items():
        table.add_row(key, f"{value:g}", "high, at most 1" if key.startswith("coverage") else "low, at least 0")
    out.print(table)


@app.command()
def data(
    name: Annotated[str, typer.Argument(help="a data set, or folder:PATH for your own pictures")],
    out_: Annotated[Path, typer.Option("--out", help="a new folder")],
    n: Annotated[int, typer.Option(min=1, help="how many pictures")] = 100,
    size: Annotated[int | None, typer.Option(min=8, max=512, help="pixels a side")] = None,
    force: Force = False,
):
    """Write a data set as PNG files, with a table of its attributes."""
    from PIL import Image

    if out_.exists() and (not out_.is_dir() or any(out_.iterdir())) and not force:
        fail(f"{out_} exists and is not an empty folder; choose another or add --force")
    ds = datasets.load(name, size, n)
    if ds.x.ndim != 4:
        fail(f"{name} holds points, not pictures: load it in Python with data.load({name!r})")
    out_.mkdir(parents=True, exist_ok=True)
    names = list(ds.attributes)
    lines = [",".join(["file", *names])]
    for i, (picture, labels) in enumerate(zip(plot.to_rgb(ds.x), ds.y.tolist(), strict=True)):
        Image.fromarray(picture).save(out_ / f"{i:05d}.png")
        words = [str(ds.attributes[a][v]) for a, v in zip(names, labels, strict=True)]
        lines.append(",".join([f"{i:05d}.png", *words]))
    (out_ / "attributes.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    out.print(f"{len(ds):,} pictures of {name} → {out_}")


@app.command()
def weights(names: Annotated[list[str] | None, typer.Argument(help="recipes; all that ship if left out")] = None):
    """Train recipes with patience and store their weights and scores in the package (for those who keep the course)."""
    for name in names or [*(r.name for r in recipes.RECIPES.values() if r.patience), "words"]:
        out.print(f"{draw_cli.ship() if name == 'words' else recipes.ship(recipes.get(name).name, RUNS)}")


app.command()(draw_cli.draw)
app.command()(grade_cli.grade)
app.add_typer(export_cli.app, name="export")
learn_cli.add(app)
edit_cli.add(app)
app.command()(interview.interview)
app.command()(doctor.doctor)


def main():
    """Run the command; a user's mistake becomes one line, not a traceback."""
    try:
        app(prog_name="genimg")
    except (ValueError, FileNotFoundError, FileExistsError, PermissionError) as error:
        err.print(f"[red]genimg:[/red] {escape(str(error))}", highlight=False, soft_wrap=True)
        raise SystemExit(2) from None


if __name__ == "__main__":
    main()
