"""The exercises on the site: every question in the table, three folded hints each, no answer where it is asked."""

import json
import re
from pathlib import Path

import pytest

from genimg_lib.checks.core import load_all
from tests.test_site import ROOT, address, browser, phone, site, soups  # noqa: F401

QUESTIONS = load_all()
NOTEBOOKS = sorted(path.stem for path in (ROOT / "exercises").glob("*.ipynb"))

pytestmark = pytest.mark.site


def squeezed(text: str) -> str:
    """Letters and digits alone: a page has other quotation marks and dashes than its source."""
    return re.sub(r"\W+", "", text)


def cells(path: Path) -> list[dict]:
    return [cell | {"text": "".join(cell["source"])} for cell in json.loads(path.read_text("utf-8"))["cells"]]


def test_the_table_lists_every_question(site, soups):  # noqa: F811
    table = soups[site / "book/practice/overview.html"].select_one(".questions table")
    rows = {row.select_one("code").text: row for row in table.select("tbody tr")}
    assert list(rows) and set(rows) == set(QUESTIONS)
    for id, row in rows.items():
        question, fields = QUESTIONS[id], [cell.text for cell in row.select("td")]
        anchor = f"exercises/{question.notebook}.html#exercise-{id.replace('_', '-')}"
        assert row.select_one("a")["href"].endswith(anchor)
        assert re.fullmatch("●+○*", fields[2]) and len(fields[2]) == 3, id
        assert 5 <= int(fields[3]) <= 60, id
        assert float(fields[4]) == question.points, id


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_three_folded_hints_follow_each_check(site, soups, name):  # noqa: F811
    page = soups[site / f"exercises/{name}.html"]
    for id in (id for id, question in QUESTIONS.items() if question.notebook == name):
        anchor = id.replace("_", "-")
        section = page.find(id=f"exercise-{anchor}").find_parent("section")
        folds = section.select(".hints details")
        assert not any(fold.has_attr("open") for fold in folds)
        shown = [squeezed(fold.select_one(".sd-summary-content").text) for fold in folds]
        assert shown == [squeezed(hint) for hint in QUESTIONS[id].hints], id
        assert section.select_one(f'a[href="../solutions/{name}.html#solution-{anchor}"]'), id


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_an_exercise_does_not_show_its_solution(site, soups, name):  # noqa: F811
    page = squeezed(soups[site / f"exercises/{name}.html"].select_one("article").text)
    asked = squeezed("\n".join(cell["text"] for cell in cells(ROOT / f"exercises/{name}.ipynb")))
    lines = [line for cell in cells(ROOT / f"solutions/{name}.ipynb") for line in cell["text"].split("\n")]
    secrets = [line for line in lines if len(squeezed(line)) > 15 and squeezed(line) not in asked]
    assert len(secrets) > 20
    assert not [line for line in secrets if squeezed(line) in page]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_a_solution_is_behind_a_click(site, soups, name):  # noqa: F811
    page = soups[site / f"solutions/{name}.html"]
    assert page.select_one("article .admonition.warning")
    assert not page.select("article details[open]")
    for id in (id for id, question in QUESTIONS.items() if question.notebook == name):
        anchor = id.replace("_", "-")
        section = page.find(id=f"solution-{anchor}").find_parent("section")
        assert section.select_one(f'a[href="../exercises/{name}.html#exercise-{anchor}"]'), id
        # Folded: the question, the code, the explanation. Only the check itself is in the open.
        assert len(section.select("details.sd-dropdown")) == 2 and section.select("details.hide"), id
        in_the_open = [code.text for code in section.select("div.cell_input") if not code.find_parent("details")]
        assert all(text.strip().startswith("check(") for text in in_the_open), id


def test_pictures_are_described_in_words(site, soups):  # noqa: F811
    for name in NOTEBOOKS:
        for image in soups[site / f"exercises/{name}.html"].select("article .cell_output img"):
            assert " " in image["alt"] and ".png" not in image["alt"], name


@pytest.mark.browser
def test_a_click_sorts_the_table(phone, address):  # noqa: F811
    tab, faults = phone
    faults.clear()
    tab.goto(f"{address}book/practice/overview.html", wait_until="load")
    minutes = "[...document.querySelectorAll('.questions tbody td:nth-child(4)')].map(c => Number(c.textContent))"
    in_order = tab.evaluate(minutes)
    head = tab.locator(".questions th button").nth(3)
    head.click()
    assert tab.evaluate(minutes) == sorted(in_order)
    head.click()
    assert tab.evaluate(minutes) == sorted(in_order, reverse=True)
    tab.locator(".questions th button").nth(1).click()
    assert tab.evaluate(minutes) == in_order
    assert not faults, faults
