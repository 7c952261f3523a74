"""Grade again whenever a notebook is saved, and say what has changed since the last time."""

from collections.abc import Callable, Iterable
from pathlib import Path

from genimg_lib import grade
from genimg_lib.grade import layouts, masters
from genimg_lib.grade.report import COLOUR, MARK, details, points
from genimg_lib.grade.sandbox import open_sandbox


def saves(place: Path) -> Iterable[set[Path]]:
    """The notebooks that each save changes, for ever; ends on Ctrl-C. place: a notebook or a folder."""
    from watchfiles import Change, watch

    folder = place if place.is_dir() else place.parent

    def wanted(change, path: str) -> bool:
        path = Path(path)
        one = place.is_dir() and path.suffix == ".ipynb" and not path.name.startswith((".", "~"))
        return change != Change.deleted and (one or path.name == place.name)

    for changes in watch(folder, watch_filter=wanted, recursive=False, raise_interrupt=False):
        yield {folder / Path(path).name for _, path in changes}


def notebooks(place: Path) -> list[Path]:
    """What is watched: one notebook, or those of the course in a folder."""
    if not place.is_dir():
        return [place]
    return [path for name in masters.load() if (path := place / f"{name}.ipynb").exists()]


class Watcher:
    """The last result of each notebook, and one warm sandbox for the next."""

    def __init__(self, say: Callable[[str], None], seed: int = 0, timeout: float = 10.0, level: str | None = None):
        self.say, self.seed, self.timeout = say, seed, timeout
        self.last: dict[Path, dict] = {}
        self.sandbox = open_sandbox(level)

    def __enter__(self) -> "Watcher":
        return self

    def __exit__(self, *_):
        self.sandbox.close()

    def look(self, paths: Iterable[Path]) -> list[dict]:
        """Grade these notebooks and say what is new; returns their entries."""
        entries = []
        for path in sorted(paths):
            if not path.exists():
                continue  # saved under another name, or on its way back
            (entry,) = grade.grade(
                [layouts.single(path)], seed=self.seed, timeout=self.timeout, sandbox=self.sandbox
            )["submissions"]  # fmt: skip
            self.tell(path, entry)
            self.last[path] = entry
            entries.append(entry)
        return entries

    def tell(self, path: Path, entry: dict) -> None:
        if entry["status"] != "graded":
            self.say(f"[red]✗[/red] {path.name}: {entry['message']}")
            return
        before = {asked["id"]: asked for asked in self.last.get(path, {}).get("questions", [])}
        first = path not in self.last
        changed = [asked for asked in entry["questions"] if differs(before.get(asked["id"]), asked, first)]
        self.say(f"[bold]{path.name}[/bold] · {points(entry['score'])} of {points(entry['max_score'])}"
                 + ("" if changed or first else " · nothing changed"))  # fmt: skip
        for asked in changed:
            old = before.get(asked["id"])
            head, *rest = details({**entry, "questions": [asked]})
            was = (
                f"  [dim]was [/dim][{COLOUR[old['status']]}]{MARK[old['status']]}[/] [dim]{points(old['score'])}[/dim]"
            )
            self.say(f"  {head}{was if old else ''}")
            for line in rest:
                self.say(f"  {line}")


def differs(old: dict | None, new: dict, first: bool) -> bool:
    """Whether a question has news: on the first look every answer has, later what is not as it was."""
    if first:
        return new["status"] != "not_started"
    return old is None or any(old[key] != new[key] for key in ("status", "score", "message", "properties"))
