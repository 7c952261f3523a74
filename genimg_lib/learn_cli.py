"""The learner's commands: watch, progress, next, hint, reset."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genimg_lib.checks import core
from genimg_lib.grade import masters, progress

out, err = Console(), Console(stderr=True)

Id = Annotated[str, typer.Argument(help="a question's id; `genimg progress` lists them")]
Seed = Annotated[int, typer.Option(help="draws the inputs; 0 is that of the notebook's own check")]
Timeout = Annotated[float, typer.Option(min=0.1, max=86_400, help="seconds for a cell or a question")]
Level = Annotated[str | None, typer.Option(help="bwrap, lockdown or none; the strongest that works if left out")]


def add(app: typer.Typer) -> None:
    """Hang the commands under `genimg`."""
    for command in (watch, hint, reset):
        app.command()(command)
    app.command("progress")(progress_)
    app.command("next")(next_)


def say_level(level: str, why: str) -> None:
    """A fall-back is never silent."""
    if level != "bwrap":
        what = "answers run without a sandbox" if level == "none" else "the sandbox is Landlock and seccomp alone"
        err.print(f"[yellow]genimg:[/yellow] {what}" + (f" ({escape(why)})" if why else ""), highlight=False)


def watch(
    path: Annotated[Path | None, typer.Argument(help="a notebook or a folder; ./exercises if left out")] = None,
    timeout: Timeout = 10.0,
    seed: Seed = 0,
    level: Level = None,
):
    """Grade again on every save, and say what changed. Ctrl-C ends it."""
    from genimg_lib.grade.watch import Watcher, notebooks, saves

    place = path or progress.home()
    if not place.exists():
        raise FileNotFoundError(f"there is no {place}")
    if not notebooks(place):
        raise FileNotFoundError(f"no exercise notebook in {place}; `genimg reset --all` brings them")
    folder = place if place.is_dir() else place.parent
    with Watcher(lambda text: out.print(text, highlight=False, soft_wrap=True), seed, timeout, level) as watcher:
        say_level(watcher.sandbox.level, watcher.sandbox.why)

        def look(paths):
            known = progress.Progress.read(folder)
            for entry in watcher.look(paths):
                known.record(entry["questions"])
            save(known)

        look(notebooks(place))
        out.print(f"[dim]watching {place}; save a notebook to grade it, Ctrl-C ends[/dim]", highlight=False)
        for changed in saves(place):
            look(changed)


def progress_():
    """How far you are: a table of all questions."""
    folder = progress.home()
    known, written = progress.Progress.read(folder), progress.touched(folder)
    table = Table("notebook", "question", "", "difficulty", "points", "state", "hints", box=None, header_style="bold")
    got = most = 0.0
    for name, master in masters.load().items():
        for place, (id, question) in enumerate(master.questions.items()):
            row, points = known.row(id), core.find(id).points
            got, most = got + row.score, most + points
            state = state_of(known, id, written)
            mark = "[green]✓[/green]" if known.done(id) else "[red]✗[/red]" if row.tried else "[dim]○[/dim]"
            score = f"{row.score:g} of {points:g}" if row.tried else f"[dim]{points:g}[/dim]"
            hints = str(row.hints or "")
            table.add_row("" if place else name, id, mark, "●" * question.difficulty, score, state, hints)
    out.print(table)
    solved = sum(known.done(id) for id in core.QUESTIONS)
    out.print(f"\n{got:g} of {most:g} points, {solved} of {len(core.QUESTIONS)} questions solved", highlight=False)
    waiting = [id for id in core.QUESTIONS if state_of(known, id, written) == "written, not graded"]
    if waiting:
        out.print(f"{len(waiting)} written but not graded: `genimg grade {folder}` or `genimg watch`", highlight=False)


def state_of(known, id: str, written: set[str]) -> str:
    row = known.row(id)
    if known.done(id):
        return "solved"
    if row.tried:
        return "tried"
    return "written, not graded" if id in written else "again" if row.round > 1 else ""


def next_():
    """The question to do next: the easiest that is not solved yet, in the course's order."""
    folder = progress.home()
    known, written = progress.Progress.read(folder), progress.touched(folder)
    left = [id for id in progress.order() if not known.done(id)]
    if not left:
        out.print("Everything is solved. `genimg reset ID` gives you a question to write again from nothing.")
        return
    id = left[0]
    asked, book = core.find(id), masters.owners()[id]
    handed = masters.load()[book].questions[id]
    state = state_of(known, id, written)
    out.print(f"[bold]{asked.title}[/bold] ({id}){f' · {state}' if state else ''}", highlight=False)
    out.print(f"{'●' * handed.difficulty}{'○' * (3 - handed.difficulty)} · {handed.minutes} minutes · "
              f"{asked.points:g} points", highlight=False)  # fmt: skip
    out.print(f"open {folder / f'{book}.ipynb'}, and read {asked.read} first", highlight=False, soft_wrap=True)
    out.print(f"[dim]{len(left)} of {len(core.QUESTIONS)} questions are left[/dim]", highlight=False)


def hint(
    id: Id,
    step: Annotated[int | None, typer.Option(min=1, max=3, help="this one of the three, instead of the next")] = None,
):
    """The next hint of three; which you have read is kept with your progress."""
    question = core.find(id)
    try:
        known = progress.Progress.read(progress.home())
    except FileNotFoundError:
        known = None
    number = step or min(3, known.row(id).hints + 1 if known else 1)
    out.print(f"Hint {number} of 3. {question.hints[number - 1]}", highlight=False, markup=False)
    if known:
        known.hinted(id, number)
        save(known)


def reset(
    id: Annotated[str | None, typer.Argument(help="a question's id, or a notebook's name")] = None,
    all_: Annotated[bool, typer.Option("--all", help="every question of every notebook")] = False,
):
    """Put a question back as it was handed out; what you had is kept beside it under a number."""
    if bool(id) == all_:
        raise ValueError("name one question or notebook, or --all: `genimg reset gaussian_kl`")
    try:
        folder = progress.home()
    except FileNotFoundError:
        folder = Path("exercises")
    books = masters.load()
    ids = progress.order() if all_ else list(books[id].questions) if id in books else [core.find(id).id]
    for said in progress.reset(folder, ids):
        out.print(escape(said), highlight=False, soft_wrap=True)
    known = progress.Progress.read(folder)
    for one in ids:
        if one in known.rows:
            known.restart(one)
    save(known)


def record(result: dict) -> None:
    """Results of the learner's own notebooks count as progress."""
    try:
        folder = progress.home()
    except FileNotFoundError:
        return
    known = progress.Progress.read(folder)
    for entry in result["submissions"]:
        path = Path(entry["path"])
        for place in (path, folder / path.name):
            own = entry["notebook"] and place.exists() and place.resolve() == (folder / path.name).resolve()
            if own and path.name == f"{entry['notebook']}.ipynb" and entry["student"] in ("", folder.absolute().name):
                known.record(entry["questions"])
    save(known)


def save(known) -> None:
    if not (known.rows or known.others):
        return
    try:
        known.save()
    except OSError as error:
        err.print(f"[yellow]genimg:[/yellow] progress could not be written to {known.folder / progress.FILE} "
                  f"({error.strerror})", highlight=False, soft_wrap=True)  # fmt: skip
