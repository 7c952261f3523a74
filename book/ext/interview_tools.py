"""The interview room's tools on the site: the drill, the deck for Anki, the study plans.

* ``{drill}``: flashcards with spaced repetition (`drill.js`, `leitner.js`). Its body holds every word that the page
  shows, as YAML, so that a translation finds them on the page. The cards are in the page itself: it works offline, and
  opened as a file.
* ``{anki-deck} words``: a link to the deck, which the build writes where genanki is installed.
* ``{plan}``: days with what to read, attempt and answer, as YAML. A page is named by the end of its name
  (`vae`, `concepts/overview`), so that it may move. The hours are computed.
"""

import html
import importlib.util
import json
import re
from functools import cache
from pathlib import Path

import cards
import yaml
from docutils import nodes
from interview import DIFFICULTY, ROOT, FromBank, _, load_bank
from practice import all_questions
from sphinx.errors import ExtensionError

from genimg_lib import bank as banks

WORDS_A_MINUTE = 120  # of a text with formulas
MINUTES_A_CELL = 2
MINUTES_A_QUESTION = 4  # think, speak for a minute, compare with the rubric, read on
TIME = re.compile(r"\*\*Time[:.]\*\*[^.]{0,20}?(\d+) minutes")

# --- the drill ----------------------------------------------------------------------------------------------

SPOKEN = ("state", "done", "none", "next", "again", "exported", "imported", "unreadable", "sure", "forgotten",
          "unkept", "damaged")  # fmt: skip
STANDING = ("chapter", "difficulty", "all", "flip", "missed", "knew", "good", "full", "progress", "export", "import",
            "reset", "noscript")  # fmt: skip


class Drill(FromBank):
    """The flashcards, with every card in the page."""

    has_content = True

    def run(self):
        bank = self.depends_on_the_bank()
        words = yaml.safe_load("\n".join(self.content))
        wrong = set(SPOKEN + STANDING) ^ set(words)
        if wrong:
            raise ExtensionError(f"{self.env.docname}: drill: missing or unknown words: {', '.join(sorted(wrong))}")
        rows = json.dumps([self.card(item, bank, words) for item in in_order(bank)], ensure_ascii=False)
        page = self.skeleton(bank, {name: html.escape(text) for name, text in words.items()})
        page = page.replace("SPOKEN", html.escape(json.dumps({name: words[name] for name in SPOKEN})))
        rows = rows.replace("</", "<\\/")
        return [nodes.raw("", page.replace("CARDS", rows), format="html")]

    def card(self, item: banks.Item, bank: banks.Bank, words: dict) -> dict:
        marks = [item.id, bank.titles[item.chapter], DIFFICULTY[item.difficulty]]
        marks += ["★" * item.asked] if item.asked else []
        back = (
            f'{cards.SITE.render(item.answer)}<p class="fold-label">{html.escape(words["good"])}</p>'
            f"{cards.points(item, cards.SITE)}"
            f'<p><a href="questions.html#{item.anchor}">{html.escape(words["full"])}</a></p>'
        )
        return {"id": item.id, "chapter": item.chapter, "difficulty": item.difficulty, "head": " · ".join(marks),
                "front": cards.SITE.renderInline(item.question), "back": back}  # fmt: skip

    def skeleton(self, bank: banks.Bank, w: dict) -> str:
        chapters = "".join(f'<option value="{n}">{html.escape(t)}</option>' for n, t in bank.titles.items())
        grades = "".join(f'<option value="{n}">{dots}</option>' for n, dots in DIFFICULTY.items())
        return f"""<div class="drill" data-words="SPOKEN">
<noscript><p>{w["noscript"]}</p></noscript>
<div class="drill-room" hidden>
<form class="drill-form">
<label>{w["chapter"]} <select name="chapter"><option value="">{w["all"]}</option>{chapters}</select></label>
<label>{w["difficulty"]} <select name="difficulty"><option value="">{w["all"]}</option>{grades}</select></label>
</form>
<p class="drill-state"></p>
<div class="drill-card">
<div class="drill-head"></div>
<div class="drill-front" tabindex="-1"></div>
<div class="drill-back" tabindex="-1" hidden></div>
</div>
<div class="drill-buttons">
<button type="button" class="drill-flip" aria-keyshortcuts="Space">{w["flip"]}</button>
<button type="button" class="drill-missed" aria-keyshortcuts="1 ArrowLeft" hidden>{w["missed"]}</button>
<button type="button" class="drill-knew" aria-keyshortcuts="2 ArrowRight" hidden>{w["knew"]}</button>
</div>
<p class="drill-note" role="status" aria-live="polite"></p>
<details class="inner"><summary>{w["progress"]}</summary><div class="drill-buttons">
<button type="button" class="drill-export">{w["export"]}</button>
<button type="button" class="drill-import">{w["import"]}</button>
<input type="file" class="drill-file" accept=".json,application/json" hidden aria-label="{w["import"]}">
<button type="button" class="drill-reset">{w["reset"]}</button>
</div></details>
</div>
<script type="application/json" class="drill-cards">CARDS</script>
</div>"""


def in_order(bank: banks.Bank) -> list[banks.Item]:
    """What is asked most comes first, and of that the easier."""
    return sorted(bank.items.values(), key=lambda item: (-item.asked, item.difficulty))


# --- the deck -----------------------------------------------------------------------------------------------


class AnkiDeck(FromBank):
    """A link to the deck; where genanki is missing, how to get it."""

    required_arguments = 1
    final_argument_whitespace = True

    def run(self):
        self.depends_on_the_bank()
        if not importlib.util.find_spec("genanki"):
            words = _("This site was built without genanki. `pip install genanki` and `make anki` write the deck.")
            return self.markdown(words)
        up = "../" * self.env.docname.count("/")
        link = f'<a href="{up}_static/{cards.DECK_FILE}" download>{html.escape(self.arguments[0])}</a>'
        return [nodes.paragraph("", "", nodes.raw("", link, format="html"))]


def write_deck(app, error) -> None:
    if error is None and app.builder.format == "html" and importlib.util.find_spec("genanki"):
        cards.write_deck(load_bank(), Path(app.outdir) / "_static" / cards.DECK_FILE, app.config.html_baseurl)


# --- study plans --------------------------------------------------------------------------------------------


@cache
def pages() -> list[str]:
    return banks.Known(ROOT).pages


def page_of(name: str) -> str:
    """The one page whose name ends so."""
    found = [page for page in pages() if f"/{page}".endswith(f"/{name}")]
    if len(found) != 1:
        raise ExtensionError(f"plan: expected one page of _toc.yml that ends in {name!r}, found {found or 'none'}")
    return found[0]


def minutes_of(page: str) -> int:
    """What a chapter says it takes; where it says nothing, the time to read it and two minutes a cell of code."""
    notebook, code = ROOT / f"{page}.ipynb", 0
    if notebook.is_file():
        cells = json.loads(notebook.read_text(encoding="utf-8"))["cells"]
        text = "\n".join("".join(cell["source"]) for cell in cells if cell["cell_type"] == "markdown")
        code = sum(cell["cell_type"] == "code" for cell in cells)
    else:
        text = (ROOT / f"{page}.md").read_text(encoding="utf-8")
    if said := TIME.search(text):
        return int(said[1])
    return max(5, 5 * round((len(text.split()) / WORDS_A_MINUTE + MINUTES_A_CELL * code) / 5))


def hours(minutes: int) -> str:
    """To the half hour; what is shorter, in minutes."""
    if minutes < 60:
        return f"{minutes} min"
    halves = round(minutes / 30)
    return f"{halves // 2}{'½' if halves % 2 else ''} h"


def questions_of(wish: dict, bank: banks.Bank, before: set[str]) -> list[banks.Item]:
    """The questions of one day's wish (the arguments of Bank.select), without those of earlier days."""
    try:
        return [item for item in bank.select(**wish) if item.id not in before]
    except (TypeError, ValueError) as error:
        raise ExtensionError(f"plan: {error}") from None


def schedule(text: str, bank: banks.Bank) -> list[dict]:
    """The days of a plan: name, goal, read [(page, minutes)], attempt [(id, minutes)], ask [Item], minutes."""
    known = {row["id"]: row["minutes"] for row in all_questions()}
    days, before = [], set()
    for entry in yaml.safe_load(text):
        wrong = entry.keys() - {"name", "goal", "read", "attempt", "ask", "drill"}
        if wrong:
            raise ExtensionError(f"plan: unknown keys {', '.join(sorted(wrong))}")
        for id in entry.get("attempt", []):
            if id not in known:
                raise ExtensionError(f"plan: there is no exercise {id!r}")
        read = [(page, minutes_of(page)) for page in map(page_of, entry.get("read", []))]
        attempt = [(id, known[id]) for id in entry.get("attempt", [])]
        ask = questions_of(entry["ask"], bank, before) if "ask" in entry else []
        before |= {item.id for item in ask}
        minutes = sum(m for _, m in read + attempt) + MINUTES_A_QUESTION * len(ask) + entry.get("drill", 0)
        days.append({"name": entry["name"], "goal": entry["goal"], "read": read, "attempt": attempt, "ask": ask,
                     "drill": entry.get("drill", 0), "minutes": minutes})  # fmt: skip
    return days


class Plan(FromBank):
    """A plan: its hours, then each day."""

    has_content = True

    def run(self):
        bank = self.depends_on_the_bank()
        days = schedule("\n".join(self.content), bank)
        for path in [*ROOT.glob("notebooks/*.ipynb"), *ROOT.glob("exercises/*.ipynb")]:
            self.env.note_dependency(str(path))
        total = sum(day["minutes"] for day in days)
        lines = [f"**{_('%s in all.') % hours(total)}**", ""]
        for day in days:
            lines += [f"**{day['name']}. {day['goal']}** · {hours(day['minutes'])}", ""]
            if day["read"]:
                links = (f"{{doc}}`/{page}` ({m} min)" for page, m in day["read"])
                lines.append(f"- {_('Read and run:')} {', '.join(links)}")
            if day["attempt"]:
                links = (f"{{ref}}`exercise-{id.replace('_', '-')}` ({m} min)" for id, m in day["attempt"])
                lines.append(f"- {_('Attempt:')} {', '.join(links)}")
            if day["ask"]:
                links = ", ".join(f"{{ref}}`{item.id} <{item.anchor}>`" for item in day["ask"])
                words = _("Answer aloud, %d questions (%d min):") % (
                    len(day["ask"]), MINUTES_A_QUESTION * len(day["ask"]),
                )  # fmt: skip
                lines.append(f"- {words} {links}")
            if day["drill"]:
                lines.append(f"- {{doc}}`{_('Flashcards')} </book/interview/drill>` ({day['drill']} min)")
            lines.append("")
        return [nodes.container("", *self.markdown("\n".join(lines)), classes=["plan"])]


def prepare_drill(app, pagename, templatename, context, doctree) -> None:
    """The drill's scripts, and MathJax, of which Sphinx sees no need: the formulas are in the cards."""
    if 'class="drill"' in context.get("body", ""):
        app.env.get_domain("math").data["has_equations"][pagename] = True
        for name in ("leitner.js", "drill.js"):
            app.add_js_file(name, loading_method="defer")


def setup(app):
    pages.cache_clear()
    for name, directive in {"drill": Drill, "anki-deck": AnkiDeck, "plan": Plan}.items():
        app.add_directive(name, directive)
    app.connect("html-page-context", prepare_drill, priority=300)
    app.connect("build-finished", write_deck)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
