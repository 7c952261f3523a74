"""The interview room: the question bank on the pages of the book.

* A page that has a file in `book/interview/` ends with its self-test and its questions, folded. They are put in when
  Sphinx reads the page, so that a notebook stays the notebook.
* ``{interview} NAME`` and ``{self-test} NAME``: one chapter's questions or self-test, by the name of its file.
* ``{interview-all}``: every question, with a filter. Its anchors (`#q026`) are the questions' lasting addresses, and
  ``{ref}`words <q026>` `` links to them from anywhere.
* ``{self-tests}``: every self-test. ``{bank-count}``: how large the bank is, in a sentence.

A broken entry of the bank stops the build with its file, id and reason. What the pages do in a browser is in
`folds.js` (formulas are typeset when their fold opens; an address opens its fold), `filter.js` and `selftest.js`;
without JavaScript all of it is there to read.
"""

import hashlib
import html
import json
from functools import cache
from pathlib import Path

from docutils import nodes
from docutils.parsers.rst import Directive
from docutils.statemachine import StringList
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.locale import get_translation

from genimg_lib import bank as banks

DIFFICULTY = {1: "●○○", 2: "●●○", 3: "●●●"}
ROOT = Path(__file__).resolve().parents[2]
translated = get_translation("genimg")


def _(words: str) -> str:
    """The words in the book's language."""
    return str(translated(words))


@cache
def load_bank() -> banks.Bank:
    try:
        return banks.load()
    except (banks.BankError, FileNotFoundError) as error:
        raise ExtensionError(str(error)) from None


def asked_words(stars: int) -> str:
    return {0: _("own addition"), 1: _("seen"), 2: _("asked often"), 3: _("asked most often")}[stars]


# --- folds: <details> as nodes ------------------------------------------------------------------------------


class fold(nodes.General, nodes.Element):
    """A <details>; its first child is a fold_title. `data`: attributes for the scripts."""


class fold_title(nodes.General, nodes.Element):
    """The <summary>: always to be seen. `before`, `after`: HTML around it, which the search does not index."""


def visit_fold(self, node):
    node["start"] = len(self.body)
    data = "".join(f' data-{key}="{html.escape(str(value))}"' for key, value in node.get("data", {}).items())
    self.body.append(self.starttag(node, "details").rstrip().removesuffix(">") + data + ">\n")


def depart_fold(self, node):
    """Formulas that are hidden wait: `folds.js` typesets them when the fold opens, at the width that they then have."""
    self.body.append("</details>\n")
    start = next(i for i in range(node["start"], len(self.body)) if "</summary>" in self.body[i])
    for i in range(start, len(self.body)):
        self.body[i] = self.body[i].replace('class="math ', 'class="math-later ')


def visit_title(self, node):
    self.body.append(f"<summary>{node.get('before', '')}<span class='fold-text'>")


def depart_title(self, node):
    self.body.append(f"</span>{node.get('after', '')}</summary>\n")


def skip(self, node):
    """Other writers see the content in the open."""


# --- what the directives share ------------------------------------------------------------------------------


class FromBank(Directive):
    """A directive that turns Markdown of the bank into nodes."""

    @property
    def env(self):
        return self.state.document.settings.env

    def depends_on_the_bank(self) -> banks.Bank:
        for path in banks.folder().glob("*.yml"):
            self.env.note_dependency(str(path))
        return load_bank()

    def chapter(self) -> banks.Chapter:
        for chapter in load_bank().chapters:
            if chapter.name == self.arguments[0]:
                self.env.note_dependency(str(banks.folder() / f"{chapter.name}.yml"))
                return chapter
        raise ExtensionError(f"{self.env.docname}: the bank has no file {self.arguments[0]}.yml")

    def markdown(self, text: str) -> list[nodes.Node]:
        box = nodes.Element()
        self.state.nested_parse(StringList(text.split("\n"), source=self.env.docname), 0, box)
        return box.children

    def inline(self, text: str) -> list[nodes.Node]:
        """A paragraph's content, without the paragraph."""
        parsed = self.markdown(text)
        return parsed[0].children if len(parsed) == 1 and isinstance(parsed[0], nodes.paragraph) else parsed

    def label(self, words: str) -> nodes.paragraph:
        return nodes.paragraph("", words, classes=["fold-label"])

    def points(self, entries: list[list[nodes.Node]]) -> nodes.bullet_list:
        items = (nodes.list_item("", nodes.paragraph("", "", *entry)) for entry in entries)
        return nodes.bullet_list("", *items)

    def fold(self, title: str, content: list[nodes.Node], classes=(), before="", after="", **attributes) -> fold:
        box = fold("", fold_title("", *self.inline(title), before=before, after=after), *content, **attributes)
        box["classes"] += list(classes)
        return box


# --- questions ----------------------------------------------------------------------------------------------


def chip(shown: str, said: str, name: str) -> str:
    """A mark in a question's head: what the eye sees, and what is read aloud."""
    if shown == said:
        return f'<span class="chip {name}">{shown}</span> '
    shown, said = html.escape(shown), html.escape(said)
    words = f'<span class="visually-hidden">{said}</span>'
    return f'<span class="chip {name}" title="{said}"><span aria-hidden="true">{shown}</span>{words}</span> '


def chips(item: banks.Item) -> str:
    marks = chip(DIFFICULTY[item.difficulty], _("difficulty %d of 3") % item.difficulty, "difficulty")
    marks += chip(_(item.kind), _(item.kind), "kind")
    if item.asked:
        marks += chip("★" * item.asked, asked_words(item.asked), "asked")
    if item.article:
        marks += chip(_("article"), _("one of the article's nine questions"), "article")
    return f' <span class="chips">{marks}</span>'


class Interview(FromBank):
    """The questions of one chapter, folded."""

    required_arguments = 1

    def run(self):
        return [self.item(item) for item in self.chapter().items]

    def item(self, item: banks.Item) -> fold:
        content = [self.label(_("In a minute")), *self.markdown(item.answer)]
        content.append(self.fold(_("The full answer"), self.markdown(item.more), classes=["inner"]))
        content += [self.label(_("A good answer")), self.points([self.inline(point) for point in item.points])]
        wrong = []
        for pitfall in item.pitfalls:
            says = nodes.strong("", "", nodes.Text("“"), *self.inline(pitfall.says), nodes.Text("”"))
            wrong.append([says, nodes.Text(" "), *self.inline(pitfall.because)])
        content += [self.label(_("Common wrong answers")), self.points(wrong)]
        content.append(self.label(_("Asked next")))
        content += [self.fold(f.ask, self.markdown(f.answer), classes=["inner", "next"]) for f in item.follow_ups]
        content.append(self.sources(item))
        data = {"chapter": item.chapter, "difficulty": item.difficulty, "kind": item.kind, "asked": item.asked,
                "article": int(item.article is not None)}  # fmt: skip
        before = f'<span class="fold-id">{item.id}</span> '
        return self.fold(item.question, content, ["question"], before, chips(item), ids=[item.anchor], data=data)

    def sources(self, item: banks.Item) -> nodes.container:
        """References, where it is shown, its exercise, and its own address."""
        lines = []
        if item.refs:
            lines.append(f"{_('Sources:')} {{cite}}`{','.join(item.refs)}`")
        shown = [f"{{doc}}`/{page}`" for page in item.pages if page != self.env.docname]
        if shown:
            lines.append(f"{_('Shown in:')} {', '.join(shown)}")
        tried = [f"{{ref}}`exercise-{id.replace('_', '-')}`" for id in item.exercises]
        if tried:
            lines.append(f"{_('To practise:')} {', '.join(tried)}")
        lines.append(f"{{ref}}`{_('Link to this question')} <{item.anchor}>`")
        return nodes.container("", *self.markdown("  \n".join(lines)), classes=["fold-sources"])


class InterviewAll(Interview):
    """Every question, a section a chapter, below a form that `filter.js` brings to life."""

    required_arguments = 0

    def run(self):
        bank, found = self.depends_on_the_bank(), [nodes.raw("", self.form(), format="html")]
        for chapter in bank.chapters:
            # Not the chapter's own name: a page's other sections may have it.
            section = nodes.section("", nodes.title("", chapter.title), ids=[f"chapter-{chapter.name}"])
            section["classes"].append("chapter")
            words = _("%d questions; they also stand at the end of") % len(chapter.items)
            section += self.markdown(f"{words} {{doc}}`/{chapter.page}`.")
            for item in chapter.items:
                box = self.item(item)
                box["names"].append(item.anchor)
                self.state.document.note_explicit_target(box)
                # The site's search leads from Q026 straight to it, and from other words to this page, filtered.
                entry = ("single", item.id, item.anchor, "", None)
                section += [addnodes.index(entries=[entry]), box]
            found.append(section)
        return found

    def form(self) -> str:
        def options(pairs, none):
            return "".join(f'<option value="{v}">{html.escape(t)}</option>' for v, t in [("", none), *pairs])

        bank = load_bank()
        choices = {
            "chapter": (_("Chapter"), options(bank.titles.items(), _("all"))),
            "difficulty": (_("Difficulty"), options([(n, DIFFICULTY[n]) for n in (1, 2, 3)], _("all"))),
            "kind": (_("Kind"), options([(kind, _(kind)) for kind in banks.KINDS], _("all"))),
            "asked": (_("Asked"), options([(n, "★" * n + f" {asked_words(n)}") for n in (3, 2, 1)], _("all"))),
        }
        fields = "".join(
            f'<label>{words} <select name="{name}">{chosen}</select></label>'
            for name, (words, chosen) in choices.items()
        )
        words = html.escape(_("only the article’s questions"))
        shown = html.escape(_("{shown} of {all} questions"))
        return (
            f'<form class="bank-filter" role="search" hidden data-shown="{shown}">'
            f'<label class="words">{_("Words")} <input type="search" name="words" autocomplete="off"></label>{fields}'
            f'<label class="check"><input type="checkbox" name="article" value="1"> {words}</label>'
            f'<button type="reset">{_("Show all")}</button><output aria-live="polite"></output></form>'
        )


# --- self-tests ---------------------------------------------------------------------------------------------


class SelfTest(FromBank):
    """The multiple-choice questions of one chapter. Each option is a fold: it opens on why it is right or wrong."""

    required_arguments = 1

    def run(self):
        return [self.test(self.chapter())]

    def test(self, chapter: banks.Chapter) -> nodes.container:
        box = nodes.container(classes=["self-test"], ids=[f"self-test-{chapter.name}"])
        for n, quiz in enumerate(chapter.quiz, 1):
            asked = nodes.container(classes=["asked"], ids=[quiz.id])
            asked += nodes.paragraph("", "", nodes.strong("", f"{n}. "), *self.inline(quiz.question))
            for option in quiz.options:
                verdict = nodes.strong("", _("Right.") if option.right else _("Wrong."))
                why = nodes.paragraph("", "", verdict, nodes.Text(" "), *self.inline(option.because))
                classes = ["option", "right" if option.right else "wrong"]
                asked += self.fold(option.text, [why], classes)
            box += asked
        words = html.escape(_("{right} of {done} right at the first try, {all} questions"))
        again = html.escape(_("Start again"))
        score = f'<p class="score" hidden data-words="{words}"><output aria-live="polite"></output> '
        box += nodes.raw("", f'{score}<button type="button">{again}</button></p>', format="html")
        return box


class SelfTests(SelfTest):
    """Every chapter's self-test, a section each."""

    required_arguments = 0

    def run(self):
        found = []
        for chapter in self.depends_on_the_bank().chapters:
            if chapter.quiz:
                section = nodes.section("", nodes.title("", chapter.title), ids=[f"chapter-{chapter.name}"])
                section += self.markdown(f"{_('The chapter:')} {{doc}}`/{chapter.page}`.")
                section += self.test(chapter)
                found.append(section)
        return found


class BankCount(FromBank):
    """How large the bank is."""

    def run(self):
        bank = self.depends_on_the_bank()
        words = _("%d questions in %d chapters, and %d multiple-choice questions.") % (
            len(bank.items), len(bank.chapters), sum(len(chapter.quiz) for chapter in bank.chapters),
        )  # fmt: skip
        return [nodes.paragraph("", words)]


# --- the end of a chapter -----------------------------------------------------------------------------------


def ending(docname: str) -> str:
    """What a page of the book gets at its end: Markdown, or "" where the bank has nothing for it."""
    found = []
    chapters = [chapter for chapter in load_bank().chapters if chapter.page == docname]
    for chapter in chapters:
        more = f": {chapter.title}" if len(chapters) > 1 else ""
        if chapter.quiz:
            found += [f"## {_('Test yourself')}{more}", _("Choose an answer: it says why it is right or wrong."),
                      f"```{{self-test}} {chapter.name}\n```"]  # fmt: skip
        room = "{doc}`/book/interview_room`"
        found += [
            f"## {_('Interview questions')}{more}",
            _("Say your answer aloud, then open the question and compare. {room} has all of them, flashcards and a "
              "mock interview.").format(room=room),
            f"```{{interview}} {chapter.name}\n```",
        ]  # fmt: skip
    return "\n\n".join(found)


def add_ending(app, docname: str, source: list[str]) -> None:
    text = ending(docname)
    if not text:
        return
    if Path(app.env.doc2path(docname)).suffix == ".ipynb":
        notebook = json.loads(source[0])
        cell = {"cell_type": "markdown", "id": "interview-room", "metadata": {}, "source": text}
        source[0] = json.dumps(notebook | {"cells": [*notebook["cells"], cell]})
    else:
        source[0] = f"{source[0].rstrip()}\n\n{text}\n"


def changed_pages(app, env, added, changed, removed) -> list[str]:
    """The pages whose questions changed since the last build, those that lost them too."""
    now: dict[str, str] = {}
    for chapter in load_bank().chapters:
        text = now.get(chapter.page, "") + repr(chapter)
        now[chapter.page] = hashlib.sha256(text.encode()).hexdigest()
    before = getattr(env, "genimg_bank", {})
    env.genimg_bank = now
    return [page for page in now.keys() | before.keys() if now.get(page) != before.get(page) and page in env.found_docs]


SCRIPTS = {"question": ["folds.js"], "self-test": ["folds.js", "selftest.js"], "bank-filter": ["filter.js"]}


def add_scripts(app, pagename, templatename, context, doctree) -> None:
    """Only the pages that need a script load it."""
    names = []
    for name, scripts in SCRIPTS.items():
        if f'class="{name}' in context.get("body", "") or f'class="docutils container {name}' in context.get(
            "body", ""
        ):
            names += scripts
    for name in dict.fromkeys(names):
        app.add_js_file(name, loading_method="defer")


def setup(app):
    load_bank.cache_clear()
    html_writer = {"html": (visit_fold, depart_fold)}
    others = {name: (skip, skip) for name in ("latex", "text", "man", "texinfo")}
    app.add_node(fold, **html_writer, **others)
    app.add_node(fold_title, html=(visit_title, depart_title), **others)
    for name, directive in {"interview": Interview, "interview-all": InterviewAll, "self-test": SelfTest,
                            "self-tests": SelfTests, "bank-count": BankCount}.items():  # fmt: skip
        app.add_directive(name, directive)
    app.add_css_file("interview.css")
    app.connect("builder-inited", lambda app: load_bank() and None)
    app.connect("env-get-outdated", changed_pages)
    app.connect("source-read", add_ending, priority=600)
    app.connect("html-page-context", add_scripts)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
