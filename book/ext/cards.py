"""The question bank as HTML snippets, and as a deck for Anki.

python book/ext/cards.py [--out FILE.apkg]

A note's identity comes from its question's id, and the ids of the deck and of the note type are fixed: to import a
newer deck updates the cards and keeps what Anki knows about your recall. The same bank gives the same file, byte by
byte.
"""

import argparse
import html
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

from markdown_it import MarkdownIt
from mdit_py_plugins.dollarmath import dollarmath_plugin

from genimg_lib import bank as banks

ROOT = Path(__file__).resolve().parents[2]
# Drawn once, then fixed: Anki knows a deck and a note type by these numbers.
DECK_ID, MODEL_ID = 1_927_450_613, 1_640_283_957
DECK_NAME = "Image generation: interview questions"
DECK_FILE = "genimg-interview.apkg"
KINDS = {1: "easy", 2: "medium", 3: "hard"}
ASKED = {0: "own addition", 1: "seen", 2: "asked often", 3: "asked most"}


def parser(inline: str, display: str) -> MarkdownIt:
    """A Markdown parser whose formulas come out between the given tags, for MathJax to read."""
    made = MarkdownIt("commonmark").enable("table")
    made.use(dollarmath_plugin, allow_labels=False)

    def math(template, open_, close):
        def rule(tokens, i, *_):
            text = tokens[i].content.strip()
            if "\\\\" in text and "\\begin{" not in text:
                text = f"\\begin{{aligned}}{text}\\end{{aligned}}"
            return template.format(open_ + html.escape(text, False) + close)

        return rule

    made.renderer.rules["math_inline"] = math(inline, r"\(", r"\)")
    made.renderer.rules["math_block"] = math(display, r"\[", r"\]")
    return made


SITE = parser('<span class="math">{}</span>', '<div class="math">{}</div>')
ANKI = parser("{}", "{}\n")


def points(item: banks.Item, md: MarkdownIt) -> str:
    return "<ul>" + "".join(f"<li>{md.renderInline(point)}</li>" for point in item.points) + "</ul>"


def pitfalls(item: banks.Item, md: MarkdownIt) -> str:
    rows = (f"<li><b>“{md.renderInline(p.says)}”</b> {md.renderInline(p.because)}</li>" for p in item.pitfalls)
    return f"<ul>{''.join(rows)}</ul>"


def follow_ups(item: banks.Item, md: MarkdownIt) -> str:
    rows = (f"<li><b>{md.renderInline(f.ask)}</b> {md.renderInline(f.answer)}</li>" for f in item.follow_ups)
    return f"<ul>{''.join(rows)}</ul>"


# --- Anki ---------------------------------------------------------------------------------------------------

FIELDS = ("Id", "Question", "Answer", "Points", "Full answer", "Wrong answers", "Follow-ups", "Chapter", "Link")
FRONT = '<div class="head">{{Id}} · {{Chapter}}</div><div class="question">{{Question}}</div>'
BACK = """{{FrontSide}}<hr id="answer">
<div class="answer">{{Answer}}</div>
<h2>A good answer</h2>{{Points}}
<details><summary>The full answer</summary>{{Full answer}}</details>
<details><summary>Common wrong answers</summary>{{Wrong answers}}</details>
<details><summary>What is asked next</summary>{{Follow-ups}}</details>
{{#Link}}<p class="link"><a href="{{Link}}">On the site</a></p>{{/Link}}"""
STYLE = """.card { font-family: system-ui, sans-serif; font-size: 18px; line-height: 1.5; }
.card { max-width: 42rem; margin: auto; }
.head { font-size: 14px; opacity: 0.7; } .question { font-size: 21px; margin: 0.5rem 0; }
h2 { font-size: 17px; margin: 1rem 0 0.3rem; } summary { cursor: pointer; padding: 0.4rem 0; font-weight: 600; }
table { border-collapse: collapse; } td, th { border: 1px solid #999; padding: 0.2rem 0.5rem; }"""


def changed() -> int:
    """When the bank last changed, in seconds. Anki updates a note only where the new one is younger.

    SOURCE_DATE_EPOCH where it is set; the commit that last touched the bank; without git the youngest file's time.
    """
    if epoch := os.environ.get("SOURCE_DATE_EPOCH"):
        return int(epoch)
    folder = banks.folder()
    youngest = max(int(path.stat().st_mtime) for path in folder.glob("*.yml"))
    try:
        git = ["git", "-C", str(folder)]
        dirty = subprocess.run([*git, "status", "--porcelain", "."], capture_output=True, text=True, check=True).stdout
        last = subprocess.run(
            [*git, "log", "-1", "--format=%ct", "."], capture_output=True, text=True, check=True
        ).stdout
    except (OSError, subprocess.CalledProcessError):
        return youngest
    return youngest if dirty.strip() or not last.strip() else int(last)


def note(genanki, model, item: banks.Item, title: str, site: str):
    page = f"{site}book/interview/questions.html#{item.anchor}" if site else ""
    tags = [item.chapter, KINDS[item.difficulty], item.kind, ASKED[item.asked].replace(" ", "-")]
    if item.article:
        tags.append("article")
    fields = [
        item.id,
        ANKI.renderInline(item.question),
        ANKI.render(item.answer),
        points(item, ANKI),
        ANKI.render(item.more),
        pitfalls(item, ANKI),
        follow_ups(item, ANKI),
        html.escape(title),
        page,
    ]
    return genanki.Note(
        model=model, fields=fields, guid=genanki.guid_for("genimg", item.id), tags=[f"genimg::{t}" for t in tags]
    )


def write_deck(bank: banks.Bank, path: Path, site: str = "", timestamp: int | None = None) -> Path:
    """Write the bank as an Anki package. site: the address that the cards link to, ending in /; none if empty.

    Needs genanki (ImportError without it). Atomic: an interrupted run leaves no half file.
    """
    import genanki

    model = genanki.Model(
        MODEL_ID, "genimg interview question", fields=[{"name": name} for name in FIELDS],
        templates=[{"name": "Answer aloud", "qfmt": FRONT, "afmt": BACK}], css=STYLE,
    )  # fmt: skip
    deck = genanki.Deck(DECK_ID, DECK_NAME, "Say the answer aloud, then tick the points.")
    for item in sorted(bank.items.values(), key=lambda item: item.id):
        deck.add_note(note(genanki, model, item, bank.titles[item.chapter], site))
    with TemporaryDirectory() as folder:
        raw = Path(folder) / "raw.apkg"
        genanki.Package(deck).write_to_file(raw, timestamp=float(changed() if timestamp is None else timestamp))
        half = path.with_name(path.name + ".part")
        # The same entries with a fixed date: a package that differs only where the bank does.
        with zipfile.ZipFile(raw) as source, zipfile.ZipFile(half, "w", zipfile.ZIP_DEFLATED) as target:
            for name in sorted(source.namelist()):
                entry = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
                entry.compress_type = zipfile.ZIP_DEFLATED
                target.writestr(entry, source.read(name))
        half.replace(path)
    return path


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--out", type=Path, default=ROOT / "_build" / DECK_FILE, help="the package to write")
    options.add_argument("--site", default=os.environ.get("GENIMG_BASEURL", ""), help="the address that cards link to")
    chosen = options.parse_args()
    try:
        bank = banks.load()
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        write_deck(bank, chosen.out, chosen.site and chosen.site.rstrip("/") + "/")
    except ImportError:
        print("This needs genanki: pip install genanki")
        return 2
    except (banks.BankError, FileNotFoundError) as error:
        print(error)
        return 2
    print(f"  {len(bank.items)} cards → {chosen.out}. In Anki: File, Import. A later deck updates these cards.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
