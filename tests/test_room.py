"""The interview room on the site: questions at the end of chapters, a filter, self-tests, flashcards offline."""

import json
import re
from pathlib import Path

import pytest

from genimg_lib import bank as banks
from tests.test_site import ROOT, address, browser, phone, site, soups  # noqa: F401

BANK = banks.load()
QUESTIONS, TESTS, DRILL = (f"book/interview/{name}.html" for name in ("questions", "self_tests", "drill"))
PAGES = {chapter.page for chapter in BANK.chapters}
BY_ASKED = sorted(BANK.items.values(), key=lambda item: (-item.asked, item.difficulty))

pytestmark = pytest.mark.site


def squeezed(text: str) -> str:
    """Letters and digits alone: a page has other quotation marks and dashes than its source, and typeset formulas."""
    return re.sub(r"\W+", "", text)


def words_of(markdown: str) -> str:
    """What of a text stands on a page letter by letter: all but formulas and links."""
    return squeezed(re.sub(r"\$[^$]+\$", "", markdown))


@pytest.mark.parametrize("page", sorted(PAGES))
def test_a_chapter_ends_with_its_questions(site, soups, page):  # noqa: F811
    soup = soups[site / f"{page}.html"]
    items = [item for chapter in BANK.chapters if chapter.page == page for item in chapter.items]
    folds = soup.select("article details.question")
    assert [fold["id"] for fold in folds] == [item.anchor for item in items]
    for fold, item in zip(folds, items, strict=True):
        assert not fold.has_attr("open")
        title = fold.find("summary").select_one(".fold-text")
        for formula in title.select(".math"):
            formula.extract()
        assert squeezed(title.text) == words_of(item.question), item.id
        assert len(fold.select(":scope > ul > li")) == len(item.points) + len(item.pitfalls)
        assert len(fold.select("details.next")) == len(item.follow_ups)
        assert len(fold.select(".fold-sources a[href*='bibliography.html#']")) == len(item.refs), item.id
        for id in item.exercises:
            assert fold.select_one(f".fold-sources a[href$='#exercise-{id.replace('_', '-')}']"), item.id
        for node in fold.select(".math-later, code, pre"):
            node.extract()
        assert "$" not in fold.text.replace("\\$", ""), f"{item.id}: half a formula"
        assert "**" not in fold.text, f"{item.id}: half an emphasis"


def test_one_page_has_all(site, soups):  # noqa: F811
    folds = soups[site / QUESTIONS].select("details.question")
    assert [fold["id"] for fold in folds] == [item.anchor for item in BANK.items.values()]
    for fold, item in zip(folds, BANK.items.values(), strict=True):
        data = {name: fold[f"data-{name}"] for name in ("chapter", "difficulty", "kind", "asked", "article")}
        assert data == {"chapter": item.chapter, "difficulty": str(item.difficulty), "kind": item.kind,
                        "asked": str(item.asked), "article": str(int(item.article is not None))}  # fmt: skip


def test_the_search_knows_every_question(site):  # noqa: F811
    index = (site / "searchindex.js").read_text(encoding="utf-8")
    entries = index[index.index('"indexentries"') :]
    missing = [id for id in BANK.items if f'"{id.lower()}": [[' not in entries]
    assert not missing
    # Words of an answer lead to its chapter and to the page of all questions.
    terms, names = index[index.index('"terms"') :], json.loads(re.search(r'"docnames": (\[.*?\])', index)[1])
    pages = json.loads(re.search(r'"reinforc": (\[.*?\])', terms)[1])
    assert {"book/interview/questions", BANK["Q027"].page} <= {names[page] for page in pages}


def test_every_test_has_its_reasons(site, soups):  # noqa: F811
    soup = soups[site / TESTS]
    for chapter in BANK.chapters:
        for quiz in chapter.quiz:
            options = soup.select(f"#{quiz.id} details.option")
            assert ["right" in option["class"] for option in options] == [option.right for option in quiz.options]
            for fold, option in zip(options, quiz.options, strict=True):
                verdict = "Right." if option.right else "Wrong."
                assert fold.select_one("p strong").text == verdict and not fold.has_attr("open")
        on_page = soups[site / f"{chapter.page}.html"].select(f"#self-test-{chapter.name} .asked")
        assert len(on_page) == len(chapter.quiz)


def test_a_downloaded_notebook_has_no_added_questions(site):  # noqa: F811
    notebooks = [ROOT / f"{page}.ipynb" for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]
    assert notebooks
    for path in notebooks:
        assert (site / "_sources" / path.relative_to(ROOT)).read_bytes() == path.read_bytes()


def test_the_deck_can_be_downloaded(site, soups):  # noqa: F811
    pytest.importorskip("genanki")
    room = site / "book/interview_room.html"
    link = soups[room].select_one("article a[download]")
    assert (room.parent / link["href"]).resolve().stat().st_size > 10_000


def test_the_plans_lead_somewhere_and_say_their_hours(site, soups):  # noqa: F811
    plans = soups[site / "book/interview/plans.html"].select(".plan")
    assert len(plans) == 3
    for plan in plans:
        assert re.match(r"\s*\d+½? h in all\.", plan.text)
        lines = [line for line in plan.select("li") if "questions (" in line.text]
        assert len(lines) >= 3
        for line in lines:
            assert len(line.select("a")) == int(re.search(r"(\d+) questions", line.text)[1])
        for line in plan.select("li"):
            assert line.select("a"), line.text


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.fixture
def tab(browser):  # noqa: F811
    """A page of a fresh browser profile without a network, and what it should not do."""
    context = browser.new_context(viewport={"width": 360, "height": 740}, offline=True, accept_downloads=True)
    page = context.new_page()
    page.faults = []
    page.on("pageerror", lambda error: page.faults.append(str(error)))
    page.on("console", lambda line: line.type == "error" and page.faults.append(line.text))
    yield page
    assert not page.faults
    context.close()


def open_file(page, path: Path, query: str = "") -> None:
    """Open a page as a file, as from an unpacked folder, and wait until it is typeset."""
    page.goto(path.as_uri() + query, wait_until="load")
    page.evaluate("() => window.MathJax?.startup?.promise")


def progress(page) -> dict:
    return json.loads(page.evaluate("localStorage.getItem('genimg.drill.1')") or '{"cards": {}}')["cards"]


def front(page) -> str:
    return page.locator(".drill-head").inner_text().split(" · ")[0]


@pytest.mark.browser
def test_the_drill_by_keyboard_without_a_network(site, tab):  # noqa: F811
    open_file(tab, site / DRILL)
    assert front(tab) == BY_ASKED[0].id
    assert f"{len(BANK.items)} new" in tab.locator(".drill-state").inner_text()
    tab.keyboard.press("2")  # nothing to judge yet
    assert not progress(tab) and tab.locator(".drill-back").is_hidden()
    tab.keyboard.press("Space")
    assert tab.locator(".drill-back").is_visible() and tab.locator(".drill-flip").is_hidden()
    assert tab.evaluate("document.activeElement.className") == "drill-back"
    for point in BY_ASKED[0].points:
        assert words_of(point)[:30] in squeezed(tab.locator(".drill-back ul").inner_text())
    tab.keyboard.press("ArrowLeft")
    missed = BY_ASKED[0].id
    assert progress(tab)[missed]["box"] == 0 and missed in tab.locator("[aria-live]").first.inner_text()
    seen = []
    for _ in range(4):
        seen.append(front(tab))
        tab.keyboard.press("Enter")
        tab.keyboard.press("2")
    assert seen == [item.id for item in BY_ASKED[1:4]] + [missed]  # it returns after three others
    assert [progress(tab)[id]["box"] for id in seen] == [1, 1, 1, 1]
    assert "4 known" in tab.locator(".drill-state").inner_text()
    tab.reload()
    assert front(tab) == BY_ASKED[4].id and len(progress(tab)) == 4
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.browser
def test_the_drill_by_touch(browser, site):  # noqa: F811
    context = browser.new_context(viewport={"width": 360, "height": 740}, has_touch=True, offline=True)
    page = context.new_page()
    open_file(page, site / DRILL)
    first = front(page)
    page.locator(".drill-front").tap()
    assert page.locator(".drill-back").is_visible()
    page.evaluate(
        """() => {
          const card = document.querySelector(".drill-card");
          const at = (x) => [new Touch({ identifier: 1, target: card, clientX: x, clientY: 300 })];
          card.dispatchEvent(new TouchEvent("touchstart", { touches: at(60), changedTouches: at(60) }));
          card.dispatchEvent(new TouchEvent("touchend", { touches: [], changedTouches: at(250) }));
        }"""
    )
    assert progress(page)[first]["box"] == 1 and front(page) != first
    page.locator(".drill-flip").tap()
    page.locator(".drill-missed").tap()
    assert sorted(card["box"] for card in progress(page).values()) == [0, 1]
    context.close()


@pytest.mark.browser
def test_the_drill_typesets_its_formulas(site, tab):  # noqa: F811
    chapter = max(BANK.chapters, key=lambda c: sum("$" in item.answer for item in c.items)).name
    open_file(tab, site / DRILL, f"?chapter={chapter}")
    assert tab.locator("select[name=chapter]").input_value() == chapter
    first = next(item for item in BY_ASKED if item.chapter == chapter)
    assert front(tab) == first.id
    for _ in range(3):
        tab.keyboard.press("Space")
        formulas = tab.locator(".drill-card .math").count()
        tab.wait_for_function(f"document.querySelectorAll('.drill-card mjx-container').length === {formulas}")
        assert tab.locator("mjx-merror").count() == 0
        tab.keyboard.press("2")


@pytest.mark.browser
def test_progress_is_saved_forgotten_and_read_again(site, tab, tmp_path):  # noqa: F811
    open_file(tab, site / DRILL)
    for key in ("2", "1", "2"):
        tab.keyboard.press("Space")
        tab.keyboard.press(key)
    before = progress(tab)
    tab.locator(".drill details summary").click()
    with tab.expect_download() as download:
        tab.locator(".drill-export").click()
    file = tmp_path / download.value.suggested_filename
    download.value.save_as(file)
    assert json.loads(file.read_text())["cards"] == before and len(before) == 3

    tab.once("dialog", lambda dialog: dialog.dismiss())
    tab.locator(".drill-reset").click()
    assert progress(tab) == before
    tab.once("dialog", lambda dialog: dialog.accept())
    tab.locator(".drill-reset").click()
    assert progress(tab) == {} and front(tab) == BY_ASKED[0].id

    note = tab.locator(".drill-note")
    for text in ("{", "[]", '{"version": 2, "cards": {}}', '{"version": 1, "cards": {"Q001": {"box": 99}}}'):
        bad = tmp_path / "bad.json"
        bad.write_text(text)
        tab.set_input_files(".drill-file", bad)
        tab.wait_for_function("document.querySelector('.drill-note').textContent.includes('Nothing was changed')")
        assert progress(tab) == {}
        tab.evaluate("document.querySelector('.drill-note').textContent = ''")
    tab.set_input_files(".drill-file", file)
    tab.wait_for_function("document.querySelector('.drill-note').textContent.startsWith('3 cards')")
    assert progress(tab) == before and "3 cards" in note.inner_text()


@pytest.mark.browser
def test_a_damaged_progress_is_set_aside(site, tab):  # noqa: F811
    open_file(tab, site / DRILL)
    tab.evaluate("localStorage.setItem('genimg.drill.1', '{oh')")
    tab.reload()
    assert "set aside" in tab.locator(".drill-note").inner_text() and front(tab) == BY_ASKED[0].id
    assert tab.evaluate("localStorage.getItem('genimg.drill.1.damaged')") == "{oh"


@pytest.mark.browser
def test_the_boxes(tab):
    """The pure part: what comes next, and when."""
    tab.goto("about:blank")
    tab.add_script_tag(path=ROOT / "book/assets/leitner.js")
    got = tab.evaluate(
        """() => {
          const L = leitner;
          const noon = new Date(2026, 0, 10, 12).getTime();
          const days = (time) => (time - new Date(2026, 0, 10).getTime()) / L.DAY;
          const known = (n) => {
            let p = L.empty();
            for (let i = 0; i < n; i++) p = L.grade(p, "a", true, noon);
            return p.cards.a;
          };
          const frozen = Object.freeze({ version: 1, cards: Object.freeze({}) });
          const p = L.grade(L.grade(frozen, "a", true, noon), "b", false, noon);
          const evening = new Date(2026, 0, 10, 23, 59).getTime();
          const bad = (text) => {
            try { L.parse(text); return "fine"; } catch (error) { return "refused"; }
          };
          const card = (box) => ({ box, due: 9, last: 1, seen: 1, missed: 0 });
          const old = { version: 1, cards: { a: card(5), c: card(1) } };
          const missedAgain = L.grade({ version: 1, cards: { a: known(3) } }, "a", false, noon).cards.a;
          const merged = L.merge(p, old);
          return {
            waits: [1, 2, 3, 4, 5, 6].map((n) => days(known(n).due)),
            again: [missedAgain.box, missedAgain.due - noon, missedAgain.seen, missedAgain.missed],
            next: [
              L.next(L.empty(), ["a", "b", "c"], noon),           // all new: their order
              L.next(p, ["a", "b", "c"], noon),                   // b was missed and is due
              L.next(p, ["a", "b", "c"], noon, ["a", "b"]),       // but it was just asked: a new one
              L.next(p, ["a", "b"], noon, ["a", "b"]),            // nothing else: the missed one
              L.next(p, ["a"], evening),                          // known: not today
              L.next(p, ["a"], evening + 60000),                  // but from the first minute of tomorrow
              L.next(L.grade(p, "c", false, noon - 5), ["a", "b", "c"], noon), // the longest overdue first
            ],
            count: L.count(p, ["a", "b", "c"], noon),
            merged: [merged.cards.a.box, merged.cards.c.box],
            round: JSON.stringify(L.parse(JSON.stringify(p))) === JSON.stringify(p),
            bad: ["", "3", "null", '{"version":1,"cards":[]}', '{"version":1,"cards":{"a":null}}',
                  JSON.stringify({ version: 1, cards: { a: card(6) } })].map(bad),
          };
        }"""
    )
    assert got["waits"] == [1, 3, 7, 21, 60, 60]
    assert got["again"] == [0, 0, 4, 1]
    assert got["next"] == ["a", "b", "c", "b", None, "a", "c"]
    assert {k: got["count"][k] for k in ("all", "due", "fresh", "known")} == dict(all=3, due=1, fresh=1, known=1)
    assert got["merged"] == [1, 1] and got["round"] and set(got["bad"]) == {"refused"}


def shown(page) -> list[str]:
    return page.evaluate(
        "[...document.querySelectorAll('details.question')].filter(q => q.offsetParent).map(q => q.id)"
    )


@pytest.mark.browser
def test_the_filter(site, tab):  # noqa: F811
    open_file(tab, site / QUESTIONS)
    assert len(shown(tab)) == len(BANK.items)
    tab.locator("select[name=difficulty]").select_option("3")
    assert shown(tab) == [item.anchor for item in BANK.select(difficulties=[3])]
    tab.locator("select[name=asked]").focus()
    tab.keyboard.press("ArrowDown")  # by keyboard: asked most often
    assert shown(tab) == [item.anchor for item in BANK.select(difficulties=[3], asked=3)]
    assert f"of {len(BANK.items)} questions" in tab.locator(".bank-filter output").inner_text()
    tab.locator(".bank-filter button").click()
    tab.wait_for_function(f"document.querySelectorAll('details.question:not([hidden])').length === {len(BANK.items)}")
    tab.locator("input[name=article]").check()
    assert shown(tab) == [item.anchor for item in BANK.select(article=True)]
    tab.locator(".bank-filter button").click()
    tab.locator("input[name=words]").fill("posterior collapse")
    found = shown(tab)
    assert BANK["Q030"].anchor in found and len(found) < len(BANK.items) / 4
    open_file(tab, site / QUESTIONS, "?chapter=vae&kind=derivation")
    assert shown(tab) == [item.anchor for item in BANK.select(chapters=["vae"], kinds=["derivation"])]
    assert tab.locator("select[name=kind]").input_value() == "derivation"


@pytest.mark.browser
def test_the_search_hands_its_words_to_the_filter(browser, address):  # noqa: F811
    page = browser.new_context().new_page()
    page.goto(f"{address}search.html?q=reparameterization+REINFORCE", wait_until="load")
    page.locator("#search-results a[href*='interview/questions']").first.click()
    page.wait_for_selector(".bank-filter:not([hidden])")
    assert page.locator("input[name=words]").input_value() == "reparameterization REINFORCE"
    assert BANK["Q027"].anchor in shown(page) and len(shown(page)) < len(BANK.items) / 4
    page.context.close()


@pytest.mark.browser
def test_an_address_opens_its_question(site, tab):  # noqa: F811
    item = next(item for item in BANK.items.values() if "$" in item.answer and "$" in item.more)
    open_file(tab, site / QUESTIONS, f"?chapter=nothing&difficulty=9#{item.anchor}")
    fold = tab.locator(f"#{item.anchor}")
    assert fold.evaluate("fold => fold.open") and fold.bounding_box()["y"] < 300
    tab.wait_for_function(f"!document.querySelector('#{item.anchor} > p .math-later')")
    waiting = fold.locator(".inner .math-later").count()
    fold.locator(".inner").first.locator("summary").click()
    tab.wait_for_function(f"document.querySelectorAll('#{item.anchor} .inner .math-later').length < {waiting}")
    tab.wait_for_function(
        f"document.querySelectorAll('#{item.anchor} .inner[open] .math:not(:has(mjx-container))').length === 0"
    )
    assert tab.locator("mjx-merror").count() == 0
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360
    other = next(i for i in BANK.items.values() if i.difficulty != item.difficulty)
    tab.locator("select[name=difficulty]").select_option(str(item.difficulty))
    tab.evaluate(f"location.hash = '{other.anchor}'")  # a link to a question that the filter hides
    tab.wait_for_function(
        f"document.getElementById('{other.anchor}').open && !document.getElementById('{other.anchor}').hidden"
    )


@pytest.mark.browser
@pytest.mark.parametrize("page", sorted(PAGES))
def test_every_formula_of_the_bank_is_typeset(site, tab, page):  # noqa: F811
    open_file(tab, site / f"{page}.html")
    tab.evaluate("document.querySelectorAll('article details').forEach(fold => { fold.open = true; })")
    tab.wait_for_function("!document.querySelector('.math-later')")
    tab.wait_for_function("!document.querySelector('article details .math:not(:has(mjx-container))')", timeout=60_000)
    assert not tab.evaluate("[...document.querySelectorAll('mjx-merror')].map(e => e.parentElement.textContent)")
    assert tab.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.browser
def test_without_javascript_all_is_there_to_read(browser, site):  # noqa: F811
    context = browser.new_context(java_script_enabled=False, offline=True)
    page = context.new_page()
    page.goto((site / QUESTIONS).as_uri())
    assert page.locator("details.question").count() == len(BANK.items)
    assert page.locator(".bank-filter").is_hidden()
    first = next(iter(BANK.items.values()))
    page.locator(f"#{first.anchor} > summary").click()
    assert page.locator(f"#{first.anchor} .fold-label").first.is_visible()
    page.goto((site / TESTS).as_uri())
    page.locator("details.option > summary").first.click()
    assert page.locator("details.option p strong").first.is_visible() and page.locator(".score").first.is_hidden()
    page.goto((site / DRILL).as_uri())
    assert "JavaScript" in page.locator(".drill noscript").inner_text()
    context.close()


@pytest.mark.browser
def test_a_self_test_counts_the_first_try(site, tab):  # noqa: F811
    open_file(tab, site / TESTS)
    chapter = next(chapter for chapter in BANK.chapters if chapter.quiz)
    test = tab.locator(f"#self-test-{chapter.name}")
    right = [[option.right for option in quiz.options].index(True) for quiz in chapter.quiz]
    options = [test.locator(f"#{quiz.id} details.option > summary") for quiz in chapter.quiz]
    options[0].nth((right[0] + 1) % 4).focus()
    tab.keyboard.press("Enter")
    options[0].nth(right[0]).click()
    options[1].nth(right[1]).click()
    score = test.locator(".score output")
    tab.wait_for_function("document.querySelector('.score output').textContent.startsWith('1 of 2 right')")
    assert f"{len(chapter.quiz)} questions" in score.inner_text()
    assert test.locator("details.chosen.wrong").count() == 1 and test.locator("details.chosen.right").count() == 2
    test.locator(".score button").click()
    assert test.locator("details[open], details.chosen").count() == 0 and test.locator(".score").is_hidden()
