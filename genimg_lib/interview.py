"""`genimg interview`: a timed mock interview in the terminal, scored by you against the rubric, resumable."""

import importlib.util
import json
import os
import random
import shutil
import sys
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markdown import Markdown
from rich.panel import Panel

from genimg_lib._interview_report import for_terminal, report, write_new
from genimg_lib.bank import Bank, Item, Known, checkout, load

MINUTES = {"concept": 3, "derivation": 5, "coding": 5, "debugging": 5, "design": 7}
WRITTEN = 12  # minutes of a question that is written and checked
LEVELS = {1: (1,), 2: (1, 2), 3: (2, 3)}
DOTS = {1: "●○○", 2: "●●○", 3: "●●●"}
STATE, REPORT = Path("runs/interview/state.json"), Path("interview.md")


class Stopped(Exception):
    """The person leaves; the state is on disk."""


def can_be_written(item: Item) -> bool:
    """It has an exercise, and is asked for code."""
    return bool(item.exercises) and item.kind in ("coding", "debugging")


def choose(
    bank: Bank, minutes: int, topics: list[str], level: int | None, seed: int, exercises: bool
) -> tuple[list[str], str | None]:
    """Questions that fill the time, and the one of them to be written at the keyboard (None: no time for one).

    What is asked often is more likely, the easier comes first, the written one last; a seed asks the same questions.
    exercises: there is a checkout whose exercises can be opened.
    """
    pool = bank.select(chapters=topics, difficulties=LEVELS[level] if level else ())
    if not pool:
        raise ValueError("no question fits; take more topics or another level")
    rng = random.Random(seed)
    drawn = sorted(pool, key=lambda item: rng.random() ** (1 / (1 + item.asked)), reverse=True)
    chosen, left, keyboard = [], minutes, None
    for item in drawn:
        written = can_be_written(item) and exercises and keyboard is None and minutes >= 20
        takes = WRITTEN if written else MINUTES[item.kind]
        if takes <= left:
            chosen.append(item)
            left -= takes
            keyboard = item.id if written else keyboard
    chosen = chosen or drawn[:1]
    return [i.id for i in sorted(chosen, key=lambda item: (item.id == keyboard, item.difficulty))], keyboard


class Session:
    """One interview: its state, the console, the person's words. `ask(prompt)` returns one line; EOFError ends it.

    clock: seconds, only differences count. The state is written after every answer, whole or not at all.
    """

    def __init__(self, bank: Bank, state: dict, path: Path, console: Console, ask: Callable, clock=time.monotonic):
        self.bank, self.state, self.path, self.console, self.ask, self.clock = bank, state, path, console, ask, clock
        self.before, self.start = state["elapsed"], clock()

    def elapsed(self) -> float:
        return self.before + self.clock() - self.start

    def save(self) -> None:
        self.state["elapsed"] = self.elapsed()
        self.path.parent.mkdir(parents=True, exist_ok=True)
        half = self.path.with_name(self.path.name + ".part")
        half.write_text(json.dumps(self.state, indent=1), encoding="utf-8")
        os.replace(half, self.path)

    def say(self, text: str = "", style: str = "") -> None:
        self.console.print(text, style=style, markup=False, highlight=False)

    def show(self, markdown: str) -> None:
        self.console.print(Markdown(for_terminal(markdown)))

    def line(self, prompt: str) -> str:
        """One line from the person; q, Ctrl-C and the end of the input keep the place."""
        try:
            words = self.ask(prompt).strip()
        except (EOFError, KeyboardInterrupt):
            raise Stopped from None
        if words.lower() == "q":
            raise Stopped
        return words

    def run(self) -> bool:
        """Ask until the questions or the minutes are used up; True when it is over, False when the person left."""
        ids, answers, limit = self.state["ids"], self.state["answers"], 60 * self.state["settings"]["minutes"]
        try:
            while len(answers) < len(ids):
                if self.elapsed() >= limit:
                    self.say("Time is up.", "bold")
                    break
                began = self.elapsed()
                answer = self.question(self.bank[ids[len(answers)]])
                answers.append(answer | {"seconds": round(self.elapsed() - began)})
                self.save()
        except Stopped:
            self.save()
            return False
        self.state["elapsed"] = self.elapsed()
        return True

    def question(self, item: Item) -> dict:
        n, total = len(self.state["answers"]) + 1, len(self.state["ids"])
        gone = f"{self.elapsed() / 60:.0f} of {self.state['settings']['minutes']} minutes gone"
        self.console.rule(f"Question {n} of {total} · {gone}")
        self.say(f"{self.bank.titles[item.chapter]} · {DOTS[item.difficulty]} · {item.kind}", "dim")
        self.console.print(Panel(Markdown(for_terminal(item.question)), padding=(1, 2)))
        notebook = self.notebook(item)
        if notebook:
            graded = self.at_the_keyboard(item, notebook)
            if graded is not None:
                self.answered(item)
                return graded
        self.say(
            "Type your answer and end with an empty line, or say it aloud and press Enter. s skips, q keeps your place."
        )
        typed = self.typed()
        skipped = typed.lower() == "s"
        marks = [] if skipped else self.rubric(item)
        self.answered(item)
        score = sum(marks) / len(marks) if marks else 0.0
        if marks:
            self.say(f"{sum(marks):g} of {len(marks)} points.", "bold")
        status = "skipped" if skipped else "scored"
        return {"id": item.id, "status": status, "score": score, "points": marks, "typed": "" if skipped else typed}

    def typed(self) -> str:
        lines = []
        while line := self.line("> "):
            lines.append(line)
            if len(lines) == 1 and line.lower() == "s":
                break
        return "\n".join(lines)

    def rubric(self, item: Item) -> list[float]:
        """Each point of the rubric: said (1), half (0.5) or not (0)."""
        self.say("What a good answer contains. Did yours? y yes, h half, n no", "bold")
        return [self.mark(n, point) for n, point in enumerate(item.points, 1)]

    def mark(self, n: int, point: str) -> float:
        self.show(f"{n}\\. {point}")
        while True:
            word = self.line("   y / h / n: ").lower()
            if word and "yes".startswith(word) or word == "half" or word == "h" or word and "no".startswith(word):
                return {"y": 1.0, "h": 0.5, "n": 0.0}[word[0]]
            self.say("   y, h or n; q keeps your place for later")

    def answered(self, item: Item) -> None:
        """The answer, the pitfalls, and what would be asked next."""
        self.console.print(Panel(Markdown(for_terminal(item.answer)), title="In a minute", padding=(1, 2)))
        for pitfall in item.pitfalls:
            self.show(f"- **Wrong: “{pitfall.says}”** {pitfall.because}")
        for follow_up in item.follow_ups[:1]:
            self.show(f"**Asked next:** {follow_up.ask}")
            self.line("Enter shows the answer ")
            self.show(follow_up.answer)

    # --- at the keyboard ------------------------------------------------------------------------------------

    def notebook(self, item: Item) -> Path | None:
        """A fresh copy of the exercise's notebook, beside the state; an earlier copy stays as it is."""
        root = checkout()
        if not root or item.id != self.state["keyboard"]:
            return None
        page = Known(root).exercises.get(item.exercises[0])
        if not page:
            return None
        copy = self.path.parent / f"{Path(page).name}.ipynb"
        copy.parent.mkdir(parents=True, exist_ok=True)
        if not copy.exists():
            shutil.copyfile(root / f"{page}.ipynb", copy)
        return copy

    def at_the_keyboard(self, item: Item, notebook: Path) -> dict | None:
        """Write code, then have it graded. None: answer in words instead."""
        id = item.exercises[0]
        self.say("This one is written. Open, in a second terminal:", "bold")
        self.say(f"  jupyter lab {notebook}")
        self.say(f"find the question {id}, write and save. Then press Enter here; s: answer in words instead.")
        while True:
            if self.line("Enter when it is saved ").lower() == "s":
                return None
            share, message = grade_one(notebook, id)
            if message:
                self.say(message)
            if share is not None and share < 1:
                self.say(f"The check gives {100 * share:.0f} %.", "bold")
                if self.line("Enter to go on, t to try again ").lower() == "t":
                    continue
            if share is None:
                share = self.mark(1, "Your code does what was asked, and you have run the check in the notebook.")
            return {"id": item.id, "status": "graded", "score": share, "points": [], "typed": ""}


def grade_one(notebook: Path, id: str) -> tuple[float | None, str]:
    """The share of an exercise's points that a notebook earns, and a message; None where no grader can say."""
    if not importlib.util.find_spec("genimg_lib.grade"):
        return None, "The grader is not installed: judge it yourself."
    from genimg_lib.grade import grade

    try:
        [entry] = grade([notebook], unsafe=True)["submissions"]
    except (ValueError, OSError) as error:
        return None, f"The grader could not run ({error}): judge it yourself."
    if entry["status"] != "graded":
        return None, f"{entry.get('message', 'this notebook cannot be graded')} Judge it yourself."
    for question in entry["questions"]:
        if question["id"] == id:
            wrong = [p["message"] or p["name"] for p in question["properties"] if p["status"] != "pass"]
            told = question.get("message") or (wrong[0] if wrong else "")
            return question["score"] / question["max_score"], told
    return None, f"{notebook} has no question {id}: judge it yourself."


# --- the command --------------------------------------------------------------------------------------------


def resumed(path: Path, bank: Bank) -> dict:
    """The state of an interview that was left; questions that the bank no longer has are dropped."""
    try:
        state = json.loads(path.read_text(encoding="utf-8"))
        done = len(state["answers"])
        state["answers"] = [answer for answer in state["answers"] if answer["id"] in bank.items]
        ids = [answer["id"] for answer in state["answers"]] + state["ids"][done:]
        return state | {
            "ids": [id for id in ids if id in bank.items],
            "elapsed": float(state["elapsed"]),
            "keyboard": state["keyboard"],
        }
    except FileNotFoundError:
        raise ValueError(f"there is no interview to resume in {path}; leave out --resume to begin one") from None
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be read ({error}); delete it to begin anew") from None


def interview(
    minutes: Annotated[int, typer.Option(min=3, max=240, help="how long")] = 30,
    topics: Annotated[str, typer.Option(help="chapters, with commas; `list` names them; all if left out")] = "",
    level: Annotated[
        int | None, typer.Option(min=1, max=3, help="1 basics, 2 the usual, 3 hard; all if left out")
    ] = None,
    seed: Annotated[int, typer.Option(help="the same seed asks the same questions")] = 0,
    resume: Annotated[bool, typer.Option(help="go on with an interview that you left")] = False,
    out: Annotated[Path, typer.Option(help="the report, a new file")] = REPORT,
    state: Annotated[Path, typer.Option(help="where an unfinished interview is kept")] = STATE,
):
    """A timed mock interview in the terminal, with a report that says what to study."""
    console, bank = Console(), load()
    if topics == "list":
        for chapter in bank.chapters:
            console.print(
                f"{chapter.name:24s} {chapter.title}, {len(chapter.items)} questions", highlight=False, soft_wrap=True
            )
        return
    if not sys.stdin.isatty():
        raise ValueError("an interview needs a terminal, and the input is none; run it in one, without a pipe")
    if out != REPORT and out.exists():
        raise ValueError(f"{out} exists; choose another name for the report")
    if not out.parent.is_dir():
        raise ValueError(f"the folder {out.parent} does not exist; create it first")
    if resume:
        content = resumed(state, bank)
    elif state.exists():
        raise ValueError(f"{state} holds an unfinished interview; add --resume to go on, or delete it to begin anew")
    else:
        wished = [name.strip() for name in topics.split(",") if name.strip()]
        ids, keyboard = choose(bank, minutes, wished, level, seed, checkout() is not None)
        wishes = {"minutes": minutes, "topics": wished, "level": level, "seed": seed}
        content = {"version": 1, "settings": wishes, "ids": ids, "keyboard": keyboard, "answers": [], "elapsed": 0.0}
    console.print(f"{len(content['ids'])} questions, {content['settings']['minutes']} minutes. Good luck.")
    session = Session(bank, content, state, console, lambda prompt: console.input(prompt, markup=False))
    if not session.run():
        console.print(f"\nKept in {state}; `genimg interview --resume` goes on.", highlight=False, soft_wrap=True)
        raise typer.Exit(1)
    path = write_new(out, report(bank, content, date.today()))
    state.unlink(missing_ok=True)
    console.print(f"The report → {path}", highlight=False, soft_wrap=True)
