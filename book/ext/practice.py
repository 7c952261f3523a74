"""The exercises as pages: hints folded under each check, solutions behind a click, a table of all questions.

Exercises and solutions stay plain notebooks. What a page adds is put in when Sphinx reads it, so that the file
a reader downloads is the notebook itself.

* `exercises/NN_x.ipynb`: after each check, its three hints (from `genimg_lib.checks`), each folded, and a link.
* `solutions/NN_x.ipynb`: the question, the code and its explanation, each folded.
* ``{questions}``: a table of all of them, with topic, difficulty, minutes and points.
"""

import inspect
import json
import re
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx.errors import ExtensionError

ROOT = Path(__file__).resolve().parents[2]
EFFORT = re.compile(r"^\*difficulty (●+○*) · (\d+) minutes · ([\d.]+) points?\*$", re.M)
TITLE = re.compile(r"^# Exercises (\d+): (.+)$", re.M)
# The title of a fold: the Markdown of a heading, without its marks.
HEADING = re.compile(r"^#+ +(.+)$")


def questions_of(notebook: dict) -> dict[str, str]:
    """From a cell's id to (question, role): statement, answer, check, explained or picture."""
    cells = {}
    for cell in notebook["cells"]:
        mark = cell["metadata"].get("nbgrader", {})
        if mark.get("solution"):
            name = mark["grade_id"]
            stem = name.replace("_", "-")
            cells[stem] = name, "answer"
            for role in ("statement", "check", "explained", "picture"):
                cells[f"{stem}-{role}"] = name, role
    return cells


def text_of(cell: dict) -> str:
    return "".join(cell["source"])


def markdown(id: str, text: str) -> dict:
    return {"cell_type": "markdown", "id": id, "metadata": {}, "source": text}


def plain(text: str) -> str:
    """Markdown that shows the text as it is: a formula in a hint is no emphasis."""
    return re.sub(r"([\\`*_{}\[\]<>#$~|^:])", r"\\\1", text)


def fold(title: str, body: str) -> str:
    return f"::::::{{dropdown}} {title}\n{body}\n::::::\n"


def without_headings(text: str) -> str:
    """Headings as bold lines: a fold cannot hold sections. Lines inside code fences stay."""
    lines, fenced = [], False
    for line in text.split("\n"):
        fenced ^= line.startswith("```")
        heading = None if fenced else HEADING.match(line)
        lines.append(f"**{heading[1]}**" if heading else line)
    return "\n".join(lines)


def hide_code(cell: dict, show: str, hide: str) -> None:
    cell["metadata"]["tags"] = [*cell["metadata"].get("tags", []), "hide-input"]
    cell["metadata"].setdefault("mystnb", {}).update(code_prompt_show=show, code_prompt_hide=hide)


def describe_picture(cell: dict) -> None:
    """The cell's first comment says what it draws: the words for who cannot see it."""
    comment = text_of(cell).split("\n")[0].removeprefix("# ")
    cell["metadata"].setdefault("mystnb", {})["image"] = {"alt": comment}


def link_reading(cell: dict, docname: str, env) -> None:
    """In a verdict, make the page to read a link."""
    for output in cell["outputs"]:
        html = "".join(output.get("data", {}).get("text/html", ""))
        if html:
            output["data"]["text/html"] = re.sub(r"<i>([\w/]+)</i>", lambda m: reading(m[1], docname, env), html)


def reading(page: str, docname: str, env) -> str:
    if page not in env.found_docs:
        return f"<i>{page}</i>"
    return f'<a href="{env.app.builder.get_relative_uri(docname, page)}">{page}</a>'


def exercise_page(notebook: dict, docname: str, env) -> dict:
    """An exercise as a page: a box how to attempt it, anchors, hints under each check."""
    from genimg_lib.checks.core import load_all

    judged, roles, cells = load_all(), questions_of(notebook), []
    for cell in notebook["cells"]:
        question, role = roles.get(cell["id"], (None, None))
        if role == "statement":
            cell["source"] = f"(exercise-{question.replace('_', '-')})=\n{text_of(cell)}"
        elif role == "picture":
            hide_code(cell, "Show the code of this picture", "Hide the code of this picture")
            describe_picture(cell)
        elif role == "check":
            link_reading(cell, docname, env)
        cells.append(cell)
        if cell["id"] == "intro":
            cells.append(markdown("attempt", attempt_box(docname)))
        elif role == "check":
            env.note_dependency(inspect.getfile(type(judged[question].spec)))
            hints = [fold(f"Hint {n} of 3", plain(h)) for n, h in enumerate(judged[question].hints, 1)]
            link = f"{{ref}}`The solution, explained <solution-{question.replace('_', '-')}>`"
            text = "\n".join(["::::::::{div} hints", *hints, "::::::::", "", link])
            cells.append(markdown(f"{cell['id']}-hints", text))
    return notebook | {"cells": cells}


def attempt_box(docname: str) -> str:
    return (
        ":::{admonition} To attempt it\n:class: tip\n"
        f"On this page you read. To write, run `make lab` and open `{docname}.ipynb`: there the cells run and the "
        "check answers. *Run this page*, above, has the same notebook to download, and says {ref}`where else it runs "
        "<elsewhere>`. The hints are folded below each check, "
        f"and the [solutions](../solutions/{docname.split('/')[1]}.ipynb) are on a page of their own.\n:::"
    )


def solution_page(notebook: dict, docname: str, env) -> dict:
    """A solution as a page: first a warning, then for each question its statement, code and explanation, folded."""
    name, roles, cells = docname.split("/")[1], questions_of(notebook), []
    title = TITLE.search(text_of(notebook["cells"][0]))
    if not title:
        raise ExtensionError(f"{docname}: expected a first line like '# Exercises 2: autoencoders'")
    cells.append(markdown("intro", solution_intro(title, name)))
    for cell in notebook["cells"]:
        question, role = roles.get(cell["id"], (None, None))
        if role == "statement":
            cells.append(markdown(cell["id"], folded_statement(question, text_of(cell))))
        elif role == "answer":
            hide_code(cell, "Show the solution", "Hide the solution")
            cells.append(cell)
        elif role == "check":
            link_reading(cell, docname, env)
            cells.append(cell)
        elif role == "explained":
            first, _, rest = text_of(cell).partition("\n")
            heading = HEADING.match(first)[1].replace("The solution", "The solution explained")
            cells.append(markdown(cell["id"], fold(heading, without_headings(rest))))
        elif cell["id"] == "setup":
            hide_code(cell, "Show the imports", "Hide the imports")
            cells.append(cell)
    return notebook | {"cells": cells}


def solution_intro(title: re.Match, name: str) -> str:
    return (
        f"# Solutions {title[1]}: {title[2]}\n\n"
        f"The answers to [exercises {title[1]}](../exercises/{name}.ipynb). Each is explained: line by line where it "
        "is subtle, with what goes wrong and what interviewers ask next.\n\n"
        ":::{admonition} Try first\n:class: warning\n"
        "An answer that you have read feels like one that you know. Write yours, let the check judge it, spend the "
        "three hints. Then open a fold below.\n:::"
    )


def folded_statement(question: str, text: str) -> str:
    heading, _, body = text.partition("\n")
    effort = EFFORT.search(body)
    anchor = question.replace("_", "-")
    body = without_headings(body.replace(effort[0], "", 1))
    return (
        f"(solution-{anchor})=\n{heading}\n\n"
        f"{effort[0]} · {{ref}}`to attempt it, with hints <exercise-{anchor}>`\n\n" + fold("The question again", body)
    )


PAGES = {"exercises": exercise_page, "solutions": solution_page}


def read_page(app, docname: str, source: list[str]) -> None:
    make = PAGES.get(docname.split("/")[0])
    if make and Path(app.env.doc2path(docname)).suffix == ".ipynb":
        source[0] = json.dumps(make(json.loads(source[0]), docname, app.env))


def all_questions() -> list[dict]:
    """Every question in reading order: id, title, page, topic, difficulty (●●○), minutes, points."""
    from genimg_lib.checks.core import load_all

    judged, rows = load_all(), []
    for path in sorted((ROOT / "exercises").glob("*.ipynb")):
        notebook = json.loads(path.read_text(encoding="utf-8"))
        topic = TITLE.search(text_of(notebook["cells"][0]))[2]
        roles = questions_of(notebook)
        for cell in notebook["cells"]:
            question, role = roles.get(cell["id"], (None, None))
            if role != "statement":
                continue
            effort = EFFORT.search(text_of(cell))
            if not effort:
                raise ExtensionError(
                    f"exercises/{path.name}, {question}: expected a line like '*difficulty ●●○ · 8 minutes · 2 points*'"
                )
            rows.append({"id": question, "title": judged[question].title, "page": f"exercises/{path.stem}",
                         "topic": topic[0].upper() + topic[1:], "difficulty": effort[1],
                         "minutes": int(effort[2]), "points": effort[3]})  # fmt: skip
    missing = sorted(set(judged) - {row["id"] for row in rows})
    if missing:
        raise ExtensionError(f"exercises/ has no statement of {', '.join(missing)}: run `make exercises`")
    return rows


class Questions(Directive):
    """The table of all questions; `sort.js` lets a click on a column's head sort it."""

    def run(self):
        env = self.state.document.settings.env
        rows = all_questions()
        for path in (ROOT / "exercises").glob("*.ipynb"):
            env.note_dependency(str(path))
        lines = ["| Question | Topic | Difficulty | Minutes | Points |", "|---|---|---|--:|--:|"]
        for row in rows:
            link = f"{{ref}}`{row['title']} <exercise-{row['id'].replace('_', '-')}>`"
            topic = f"{{doc}}`{row['topic']} </{row['page']}>`"
            lines.append(
                f"| {link} `{row['id']}` | {topic} | {row['difficulty']} | {row['minutes']} | {row['points']} |"
            )
        box = nodes.container(classes=["questions"])
        self.state.nested_parse(StringList(lines, source=env.docname), 0, box)
        total = sum(row["minutes"] for row in rows)
        words = f"{len(rows)} questions, {round(total / 60)} hours together."
        return [box, nodes.paragraph(words, words)]


def add_sorting(app, pagename, templatename, context, doctree) -> None:
    if doctree and any("questions" in box["classes"] for box in doctree.findall(nodes.container)):
        app.add_js_file("sort.js", loading_method="defer")


def setup(app):
    app.add_directive("questions", Questions)
    app.connect("source-read", read_page)
    app.connect("html-page-context", add_sorting)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
