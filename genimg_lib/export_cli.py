"""The command `genimg export`: the exercises for other graders, a trained model as an ONNX file, its model card."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genimg_lib import _files
from genimg_lib._later import later
from genimg_lib.grade import export

cards, onnx_export, recipes = map(later, ("genimg_lib.cards", "genimg_lib.onnx_export", "genimg_lib.recipes"))
out = Console()
app = typer.Typer(
    no_args_is_help=True,
    help="The exercises for nbgrader, Gradescope or GitHub Classroom; a trained model as an ONNX file; its model card.",
)
RUNS = Path("runs")

Name = Annotated[str, typer.Argument(help="a recipe; `genimg list` shows them")]
Folder = Annotated[Path, typer.Argument(help="a new folder")]
Force = Annotated[bool, typer.Option("--force", help="replace files that exist")]


@app.command()
def nbgrader(folder: Folder, force: Force = False):
    """A complete nbgrader course."""
    files = export.nbgrader(folder, force)
    out.print(f"{len(files)} files in {folder}; {folder / 'README.md'} has the commands", highlight=False)


@app.command()
def gradescope(
    target: Annotated[Path, typer.Argument(help="a zip file, or the folder for autograder.zip")],
    notebook: Annotated[list[str] | None, typer.Option(help="one that counts, such as 02_vae; all if left out")] = None,
    seed: Annotated[int, typer.Option(help="draws the inputs; 0 is that of the notebook's own check")] = 0,
    force: Force = False,
):
    """Gradescope's autograder as a zip file."""
    path = export.gradescope(target, notebook or (), seed, force)
    out.print(f"{path}: upload it as the assignment's autograder", highlight=False)


@app.command()
def classroom(
    folder: Folder,
    repository: Annotated[str, typer.Option(help="where genimg is installed from; left out, this one")] = "",
    force: Force = False,
):
    """A template repository for GitHub Classroom."""
    files = export.classroom(folder, repository, force)
    out.print(f"{len(files)} files in {folder}; {folder / 'README.md'} says how to use them", highlight=False)


@app.command()
def onnx(name: Name, out_: Annotated[Path, typer.Option("--out", help="an .onnx file")], force: Force = False):
    """A trained model as one ONNX file, noise in and pictures out, compared with the original."""
    _files.check_out(out_, force, (".onnx",))
    model = recipes.load(recipes.get(name, RUNS).name, RUNS)
    net = onnx_export.Whole(model)
    try:
        onnx_export.export_whole(model, out_)
    except ImportError as error:
        raise ValueError(str(error)) from error
    wishes = f" and y (n, {len(net.sizes)}) int32, −1 for anything" if net.sizes else ""
    shape = ", ".join(map(str, model.shape))
    out.print(f"{name}: noise (n, {model.z}){wishes} in, pictures (n, {shape}) in [-1, 1] out;"
              f" {out_.stat().st_size / 1e6:.1f} MB → {out_}", highlight=False, soft_wrap=True)  # fmt: skip
    try:
        far = onnx_export.parity(model, out_)
    except ImportError as error:
        out.print(f"not compared with the original: {error}", highlight=False, soft_wrap=True)
        return
    if far > 1:
        raise ValueError(f"{out_} draws other pictures than {name}: {far:.1f} shades of 255 apart; do not use it")
    out.print(f"onnxruntime's pictures and torch's differ by at most {far:.2f} shades of 255", highlight=False)


@app.command()
def card(name: Name, out_: Annotated[Path, typer.Option("--out", help="an .md file")], force: Force = False):
    """The model card of trained weights: data, scores, limits, licence, credits."""
    _files.check_out(out_, force, (".md",))
    out_.write_text(cards.card(name, RUNS), encoding="utf-8")
    out.print(f"the card of {name} → {out_}", highlight=False)
