"""The command `genimg export`: the exercises for nbgrader, Gradescope and GitHub Classroom."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from genimg_lib.grade import export

out = Console()
app = typer.Typer(no_args_is_help=True, help="The exercises for nbgrader, Gradescope or GitHub Classroom.")

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
