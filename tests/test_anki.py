"""The deck for Anki, opened as Anki opens it: a zip with a database. And the build that a broken entry stops."""

import dataclasses
import json
import re
import sqlite3
import zipfile
from contextlib import closing
from pathlib import Path

import pytest

from genimg_lib import bank as banks

ROOT = Path(__file__).resolve().parent.parent
BANK = banks.load()


@pytest.fixture
def cards(monkeypatch):
    pytest.importorskip("genanki")
    monkeypatch.syspath_prepend(ROOT / "book" / "ext")
    import cards

    return cards


def opened(path: Path, folder: Path) -> dict:
    """guid -> (note type, changed, tags, fields by name, decks), and what the collection says of decks and types."""
    with zipfile.ZipFile(path) as package:
        assert set(package.namelist()) == {"collection.anki2", "media"}
        package.extract("collection.anki2", folder)
    with closing(sqlite3.connect(folder / "collection.anki2")) as base:
        models, decks = (json.loads(text) for text in base.execute("select models, decks from col").fetchone())
        notes = base.execute("select id, guid, mid, mod, tags, flds from notes").fetchall()
        of = base.execute("select nid, did from cards").fetchall()
    found = {}
    for id, guid, model, changed, tags, fields in notes:
        names = [field["name"] for field in models[str(model)]["flds"]]
        row = dict(zip(names, fields.split("\x1f"), strict=True))
        found[guid] = (model, changed, tags.split(), row, {deck for note, deck in of if note == id})
    assert len(found) == len(notes), "two notes with one guid"
    return {"notes": found, "models": models, "decks": decks}


def test_a_card_for_every_question(cards, tmp_path):
    path = cards.write_deck(BANK, tmp_path / "deck.apkg", "https://example.org/genimg/", 1000)
    deck = opened(path, tmp_path)
    rows = {note[3]["Id"]: note for note in deck["notes"].values()}
    assert set(rows) == set(BANK.items)
    for id, (_, _, tags, row, decks) in rows.items():
        item = BANK[id]
        assert decks == {cards.DECK_ID}
        assert {f"genimg::{item.chapter}", f"genimg::{item.kind}"} < set(tags)
        assert row["Link"] == f"https://example.org/genimg/book/interview/questions.html#{item.anchor}"
        for name, text in row.items():
            bare = re.sub(r"<(code|pre)>.*?</\1>", "", text, flags=re.S)
            assert not re.search(r"(?<!\\)\$[^$]*\\", bare), f"{id}, {name}: a formula that Anki would not read"
            assert bare.count(r"\(") == bare.count(r"\)") and bare.count(r"\[") == bare.count(r"\]"), f"{id}, {name}"
        dollars = len(re.findall(r"(?<![\\$])\$(?!\$)", re.sub(r"```.*?```|`[^`]*`", "", item.answer, flags=re.S)))
        assert row["Answer"].count(r"\(") == dollars / 2, id


def test_a_newer_deck_updates_and_doubles_nothing(cards, tmp_path):
    first, *others = BANK.items.values()
    old = opened(cards.write_deck(BANK, tmp_path / "old.apkg", "", 1000), tmp_path)
    changed = dataclasses.replace(first, answer="A better answer.", difficulty=3)
    added = dataclasses.replace(others[0], id="Q999")
    chapters = [dataclasses.replace(BANK.chapters[0], items=(changed, added, *BANK.chapters[0].items[1:]))]
    newer = banks.Bank((*chapters, *BANK.chapters[1:]))
    new = opened(cards.write_deck(newer, tmp_path / "new.apkg", "", 2000), tmp_path)
    # Anki takes a note for the same where guid and note type are, and takes over the one that changed later.
    assert set(old["notes"]) < set(new["notes"]) and len(new["notes"]) == len(old["notes"]) + 1
    for guid, (model, then, _, row, decks) in old["notes"].items():
        after = new["notes"][guid]
        assert (model, row["Id"], decks) == (after[0], after[3]["Id"], after[4]) and then < after[1]
    assert any(note[3]["Answer"] == "<p>A better answer.</p>\n" for note in new["notes"].values())
    fields = [[f["name"] for f in deck["models"][str(cards.MODEL_ID)]["flds"]] for deck in (old, new)]
    assert fields[0] == fields[1] == list(cards.FIELDS)
    assert str(cards.DECK_ID) in old["decks"] and str(cards.DECK_ID) in new["decks"]


def test_identities_never_change(cards, tmp_path):
    """Written down: who changes these numbers doubles the cards of everybody who has the deck."""
    deck = opened(cards.write_deck(BANK, tmp_path / "deck.apkg", "", 1000), tmp_path)
    assert (cards.DECK_ID, cards.MODEL_ID) == (1_927_450_613, 1_640_283_957)
    assert {guid for guid, note in deck["notes"].items() if note[3]["Id"] == "Q026"} == {"iH>Pxp3tI-"}


def test_the_same_bank_gives_the_same_file(cards, tmp_path, monkeypatch):
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000000")
    one, two = (cards.write_deck(BANK, tmp_path / f"{n}.apkg").read_bytes() for n in (1, 2))
    assert one == two
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "1700000001")
    assert cards.write_deck(BANK, tmp_path / "3.apkg").read_bytes() != one
    assert not list(tmp_path.glob("*.part"))


def test_formulas_for_anki(cards):
    shown = cards.ANKI.render("If $a < b$ costs \\$5,\n\n$$x \\\\ y$$\n\nand **bold**.")
    assert shown == (
        "<p>If \\(a &lt; b\\) costs $5,</p>\n\\[\\begin{aligned}x \\\\ y\\end{aligned}\\]\n"
        "<p>and <strong>bold</strong>.</p>\n"
    )


def test_a_broken_entry_stops_the_build(tmp_path, monkeypatch):
    from sphinx.errors import ExtensionError

    monkeypatch.syspath_prepend(ROOT / "book" / "ext")
    import interview as room

    source = ROOT / "book/interview/vae.yml"
    text = source.read_text(encoding="utf-8")
    spoilt = text.replace("difficulty: 2", "difficulty: 7", 1)
    assert spoilt != text
    (tmp_path / "vae.yml").write_text(spoilt, encoding="utf-8")
    monkeypatch.setattr(banks, "folder", lambda: tmp_path)
    room.load_bank.cache_clear()
    with pytest.raises(ExtensionError, match=r"vae\.yml, \w+: difficulty: expected 1 to 3, got 7"):
        room.load_bank()
    room.load_bank.cache_clear()


def test_the_plans_are_made_of_what_there_is(monkeypatch):
    monkeypatch.syspath_prepend(ROOT / "book" / "ext")
    import interview_tools as tools

    text = (ROOT / "book/interview/plans.md").read_text(encoding="utf-8")
    three, fortnight, expert = (
        tools.schedule(block, BANK) for block in re.findall(r"```\{plan\}\n(.*?)```", text, re.S)
    )
    assert (len(three), len(fortnight)) == (3, 14)
    for plan in (three, fortnight, expert):
        ids = [item.id for day in plan for item in day["ask"]]
        assert len(ids) == len(set(ids)) > 20
        tried = [id for day in plan for id, _ in day["attempt"]]
        assert len(tried) == len(set(tried))
        for day in plan:
            parts = sum(m for _, m in day["read"] + day["attempt"])
            assert day["minutes"] == parts + tools.MINUTES_A_QUESTION * len(day["ask"]) + day["drill"]
            assert day["minutes"] <= 8 * 60, f"{day['name']}: {tools.hours(day['minutes'])} is no day"
    for plan, stars in ((three, 3), (fortnight, 2)):
        most = {item.id for item in BANK.items.values() if item.asked >= stars}
        assert most <= {item.id for day in plan for item in day["ask"]}, "what is asked most is in the plan"
    assert [tools.hours(m) for m in (20, 60, 75, 100, 150)] == ["20 min", "1 h", "1 h", "1½ h", "2½ h"]


@pytest.mark.parametrize(
    "entry, reason",
    [
        ("read: [nowhere]", "one page of _toc.yml that ends in 'nowhere', found none"),
        ("read: [overview]", "one page of _toc.yml that ends in 'overview', found .*concepts"),
        ("attempt: [gauss]", "no exercise 'gauss'"),
        ("ask: {chapters: [nothing]}", "no chapter 'nothing'"),
        ("ask: {stars: 3}", "unexpected keyword"),
        ("lunch: 60", "unknown keys lunch"),
    ],
)
def test_a_plan_for_what_is_not_there(monkeypatch, entry, reason):
    from sphinx.errors import ExtensionError

    monkeypatch.syspath_prepend(ROOT / "book" / "ext")
    import interview_tools as tools

    with pytest.raises(ExtensionError, match=reason):
        tools.schedule(f"- name: Day 1\n  goal: x\n  {entry}\n", BANK)
