"""The command `genimg grade`: a notebook, a class folder or a zip file in, a table and reports out."""

import json
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from genimg_lib import grade as grading
from genimg_lib.grade import layouts, report, store
from genimg_lib.learn_cli import Level, Seed, Timeout, err, out, record, say_level


def grade(
    paths: Annotated[list[Path], typer.Argument(help="notebooks, zip files, or the folder of a class")],
    json_: Annotated[str, typer.Option("--json", metavar="FILE", help="write the results; - for the terminal")] = "",
    out_: Annotated[Path | None, typer.Option("--out", metavar="DIR", help="write every report: HTML, CSV, …")] = None,
    jobs: Annotated[int | None, typer.Option(min=1, max=256, help="sandboxes at once; else as many as pay")] = None,
    timeout: Timeout = 10.0,
    seed: Seed = 0,
    level: Level = None,
    unsafe: Annotated[bool, typer.Option("--unsafe", help="grade a class even where no sandbox works")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="take over what --out DIR has of these files")] = False,
    force: Annotated[bool, typer.Option("--force", help="replace files that are not this command's")] = False,
    scheduler: Annotated[str, typer.Option(metavar="ADDRESS", help="grade on a Dask cluster: its scheduler")] = "",
    site: Annotated[str, typer.Option(envvar="GENIMG_BASEURL", help="the book's address, for links in reports")] = "",
):
    """Grade notebooks: a table, and with --out a folder of reports. Exit status 0: full marks for all, 1: not."""
    found = layouts.find(paths)
    if not found:
        raise ValueError(f"no notebook in {', '.join(map(str, paths))}; expected submissions/STUDENT/NOTEBOOK.ipynb, "
                         "a zip file of such, or notebooks themselves")  # fmt: skip
    if resume and not out_:
        raise ValueError("--resume goes on from what --out DIR holds: name that folder too")
    check_json(json_, force)
    kept = None
    if out_:
        store.check_folder(out_, force)
        kept = store.Kept(out_, seed, timeout)
    result, stopped = run(found, kept, dict(seed=seed, timeout=timeout, jobs=jobs, level=level, unsafe=unsafe,
                                            scheduler=scheduler,
                                            done=kept.load() if kept and resume else {}))  # fmt: skip
    if json_ != "-" and result["submissions"]:
        show(result)
    record(result)
    failed = write(result, json_, out_, kept, force, site) if result["submissions"] else False
    if stopped:
        resumed = f"`--out {out_} --resume`" if out_ else "with --out DIR an interrupted grading can be resumed"
        err.print(f"[red]genimg:[/red] stopped after {len(result['submissions'])} of {len(found)}; "
                  + (f"go on with the same command and {resumed}" if out_ else resumed), highlight=False)  # fmt: skip
    graded = [entry for entry in result["submissions"] if entry["status"] == "graded"]
    full = len(graded) == len(found) and all(entry["score"] >= entry["max_score"] for entry in graded)
    raise typer.Exit(2 if failed or not graded and not stopped else 0 if full else 1)


def run(found: list, kept, options: dict) -> tuple[dict, bool]:
    """Grade with a progress bar; what Ctrl-C leaves, and whether it came."""
    columns = (
        TextColumn("grading"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[last]}"),
    )
    with Progress(*columns, console=err, transient=True, disable=not err.is_terminal) as bar:
        task = bar.add_task("grading", total=len(found), last="")

        def came(entry: dict) -> None:
            bar.update(task, advance=1, last=escape(report.line(entry["path"])[-40:]))
            if kept:
                kept.add(entry)

        try:
            return grading.grade(found, **options, on_result=came, on_open=say_level), False
        except grading.Interrupted as interrupt:
            return interrupt.result, True


def show(result: dict) -> None:
    """One person's notebooks question by question; a class as a table and a sentence."""
    entries = result["submissions"]
    sheet = report.Sheet.of(result)
    if len(sheet.students) == 1 and len(entries) <= 12:
        for entry in entries:
            score = f"{report.points(entry['score'])} of {report.points(entry['max_score'])} points"
            name = escape(report.line(entry["path"]))
            out.print(f"[bold]{name}[/bold] · {score}", highlight=False, soft_wrap=True)
            if entry["status"] != "graded":
                out.print(f"  [red]✗[/red] {escape(report.line(entry['message']))}", highlight=False, soft_wrap=True)
            for line in [
                *report.details(entry),
                *(f"[yellow]![/yellow] {escape(report.line(f))}" for f in entry["flags"]),
            ]:
                out.print(f"  {line}", highlight=False, soft_wrap=True)
        return
    out.print(report.table(result))
    shares = [sheet.share(student) for student in sheet.students]
    lost = sum(entry["status"] != "graded" for entry in entries)
    mean = f"{100 * sum(shares) / len(shares):.0f}% of all points on average" if shares else ""
    out.print(f"\n{len(entries)} notebooks of {len(shares)} students: {mean}"
              + (f", [red]{lost} could not be graded[/red]" if lost else ""), highlight=False)  # fmt: skip
    if result["seed"] == 0:
        out.print("Seed 0 draws what the notebook's own check draws; for marks that count, give a --seed of your own.",
                  style="dim", highlight=False)  # fmt: skip


def check_json(target: str, force: bool) -> None:
    """--json replaces results of ours, and nothing else unasked."""
    path = Path(target)
    if not target or target == "-" or force or not path.exists():
        if target not in ("", "-") and not path.absolute().parent.is_dir():
            raise FileNotFoundError(f"the folder {path.parent} does not exist; create it first")
        return
    try:
        old = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else None
        ours = isinstance(old, dict) and {"version", "submissions"} <= set(old)
    except (OSError, ValueError):
        ours = False
    if not ours:
        raise FileExistsError(f"{path} exists and holds no results of ours; choose another name or add --force")


def write(result: dict, json_: str, out_: Path | None, kept, force: bool, site: str) -> bool:
    """Write what was asked for; whether something could not be written, which is said, never raised."""
    failed = []
    if json_ == "-":
        print(report.as_json(result), end="")
    elif json_:
        try:
            store.write(Path(json_), report.as_json(result))
        except OSError as error:
            failed.append(f"{json_} could not be written ({error.strerror or error}): the results are printed instead")
            print(report.as_json(result), end="")
    if out_:
        try:
            if kept.broken:
                raise OSError(0, kept.broken)
            kept.tidy()
            store.write_files(out_, store.files(result, site), force)
            err.print(f"reports: {out_ / 'index.html'}", highlight=False, soft_wrap=True)
        except FileExistsError as error:
            failed.append(str(error))
        except OSError as error:
            failed.append(f"the reports in {out_} could not all be written ({error.strerror or error}); make room and "
                          "run the same command with --resume")  # fmt: skip
    for message in failed:
        err.print(f"[red]genimg:[/red] {escape(message)}", highlight=False, soft_wrap=True)
    return bool(failed)
