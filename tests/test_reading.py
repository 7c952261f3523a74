"""Reading comforts: words explained in place, pages on paper, one PDF, where a notebook runs, ways to the demos."""

import os
import re
import runpy
import subprocess
import sys

import pytest
import yaml
from bs4 import BeautifulSoup

from tests.test_site import CHROMIUM, DESKTOP, PAGES, PHONE, ROOT, address, browser, site, soups, watched  # noqa: F401

sys.path.insert(0, str(ROOT / "book" / "ext"))
import demos
import launch
import terms

PDF = runpy.run_path(str(ROOT / "book" / "pdf.py"))
CHAPTER = "notebooks/gan"
CONFIG = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))


# --- words --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("The latent, and latents", ["latent", "latent"]),
        ("Mode\ncollapse", ["Mode\ncollapse"]),
        ("a GAN or gan_losses", ["GAN"]),
        ("translatent mode-collapse", []),
        ("flow matching", ["flow matching"]),
        ("autoencoders", ["autoencoder"]),
    ],
)
def test_a_word_is_found_whole_in_the_singular_and_the_plural(text, found):
    names = ["latent", "Mode collapse", "GAN", "Flow", "Flow matching", "Autoencoder", "Code"]
    assert terms.pattern(names).findall(text) == found


@pytest.mark.site
def test_the_first_mention_of_a_word_is_explained(site, soups):  # noqa: F811
    explained = 0
    for page in PAGES:
        soup = soups[site / f"{page}.html"]
        links = soup.select("article a.term")
        notes = {note["data-term"]: note for note in soup.select(".term-notes [data-term]")}
        anchors = [link["href"].rpartition("#")[2] for link in links]
        assert set(anchors) == set(notes), page
        for link in links:
            assert not link.find_parent(["h1", "h2", "h3", "pre", "code", "summary"]), f"{page}: {link}"
        if page not in terms.BARE:
            assert len(anchors) == len(set(anchors)), f"{page} explains a word twice"
        for note in notes.values():
            assert len(note.text.split()) > 5 and not note.select("a, [id]"), f"{page}: {note}"
        explained += len(anchors) > 2
    assert explained > 30
    for word in ("generator", "critic", "mode collapse"):
        assert soups[site / f"{CHAPTER}.html"].find("a", class_="term", string=re.compile(word, re.I)), word


@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def chapter(request, browser, address):  # noqa: F811
    viewport, scheme = request.param
    context = browser.new_context(viewport=viewport, color_scheme=scheme, has_touch=viewport is PHONE)
    tab, faults = watched(context, address)
    tab.goto(f"{address}{CHAPTER}.html", wait_until="load")
    yield tab
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert not faults
    context.close()


def inside(tab) -> bool:
    """Is the meaning within the screen, from left to right?"""
    box = tab.locator("#term-tip").bounding_box()
    return box["x"] >= 0 and box["x"] + box["width"] <= tab.viewport_size["width"]


@pytest.mark.site
@pytest.mark.browser
def test_a_meaning_appears_for_the_keyboard_the_pointer_and_the_finger(chapter):
    tip, links = chapter.locator("#term-tip"), chapter.locator("article a.term")
    assert tip.is_hidden()
    links.nth(1).scroll_into_view_if_needed()
    links.nth(0).focus()
    chapter.keyboard.press("Shift+Tab")
    chapter.keyboard.press("Tab")  # the browser knows now that keys are in use
    assert chapter.evaluate("document.activeElement.matches('a.term')") and tip.is_visible() and inside(chapter)
    assert links.nth(0).get_attribute("aria-describedby") == "term-tip"
    said = tip.inner_text()
    chapter.keyboard.press("Escape")
    assert tip.is_hidden() and links.nth(0).get_attribute("aria-describedby") is None
    last = links.nth(3)
    last.scroll_into_view_if_needed()
    address_before = chapter.url
    if chapter.viewport_size == PHONE:
        last.tap()
    else:
        last.hover()
    tip.wait_for(state="visible")
    assert tip.inner_text() != said and inside(chapter) and chapter.url == address_before


# --- paper --------------------------------------------------------------------------------------------------


@pytest.mark.site
@pytest.mark.browser
def test_a_page_on_paper(browser, address):  # noqa: F811
    """No navigation, folds open with their formulas typeset, code that is wrapped, nothing wider than the sheet."""
    context = browser.new_context(viewport={"width": 700, "height": 1000}, color_scheme="dark")
    tab, faults = watched(context, address)
    tab.goto(f"{address}{CHAPTER}.html", wait_until="load")
    tab.evaluate("() => window.MathJax?.startup?.promise")
    assert tab.locator("article .math-later").count() > 10
    tab.emulate_media(media="print")
    tab.evaluate("window.dispatchEvent(new Event('beforeprint'))")
    for name in (".bd-sidebar-primary", ".bd-header", ".bd-header-article", ".prev-next-area", ".run-here", ".copybtn"):
        assert not any(part.is_visible() for part in tab.locator(name).all()), name
    assert tab.locator("article h1").is_visible()
    assert tab.locator("article .math-later").count() == 0
    assert tab.locator("article .math").count() <= tab.locator("article mjx-container").count()
    hidden = "[...document.querySelectorAll('article details.question > p')].filter((p) => !p.offsetHeight).length"
    assert tab.locator("article details.question").count() > 5 and tab.evaluate(hidden) == 0
    wide = "[...document.querySelectorAll('article pre, article img')].filter((p) => p.scrollWidth > 702).length"
    assert tab.evaluate(wide) == 0 and tab.evaluate("document.documentElement.scrollWidth") <= 700
    assert tab.evaluate("document.documentElement.dataset.theme") == "light"
    tab.emulate_media(media="screen")
    tab.evaluate("window.dispatchEvent(new Event('afterprint'))")
    assert tab.evaluate("document.documentElement.dataset.theme") == "dark"
    assert tab.locator("article details.question[open]").count() == 0
    assert not faults
    context.close()


@pytest.mark.site
@pytest.mark.browser
def test_the_book_of_two_pages(site, tmp_path):  # noqa: F811
    if not CHROMIUM:
        pytest.skip("no chromium (Debian: apt install chromium): nothing prints the book")
    out = tmp_path / "book.pdf"
    command = [sys.executable, ROOT / "book" / "pdf.py", "--site", site, "--out", out, "book/notation", CHAPTER]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    assert done.stdout.startswith("  2 chapters on ")
    pdf = out.read_bytes()
    pages = int(re.search(r"on (\d+) pages", done.stdout)[1])
    starts = PDF["starts"](pdf)
    # A title page, the contents, the notation, the chapter: each begins on a page of its own.
    assert starts["p0"] == 3 and 3 < starts["p1"] < pages
    assert pdf.count(b"/Subtype /Link") >= 6 and pdf.count(b"/Type /Outlines") == 1
    assert re.search(rb"/Dest /p1\b", pdf), "the contents link to the chapter"


def test_a_page_that_the_book_does_not_have(tmp_path):
    (tmp_path / "index.html").write_text("<title>x</title>", encoding="utf-8")
    command = [sys.executable, ROOT / "book" / "pdf.py", "--site", tmp_path, "--out", tmp_path / "x.pdf"]
    asked = subprocess.run([*command, "no/page"], text=True, capture_output=True)
    assert asked.returncode == 2 and ("no page no/page" in asked.stdout or not CHROMIUM)
    (tmp_path / "index.html").unlink()
    empty = subprocess.run(command, text=True, capture_output=True)
    assert empty.returncode == 2 and ("run `make book` first" in empty.stdout or not CHROMIUM)


def test_links_between_pages_become_links_within_the_book(tmp_path):
    """Ids of two pages do not clash; a question that stands twice stands once; what is left out is no link."""
    pages = {
        "a": "<h1 id='top'>A</h1><a href='b.html#top'>b</a><a href='all.html#q1'>q</a><a href='gone.html'>gone</a>"
             "<a href='https://example.org'>out</a>"
             "<details class='question' id='q1'><p class='math-later'>x</p></details>",
        "b": "<h1 id='top'>B</h1><a href='a.html'>a</a><img src='_images/x.png' loading='lazy'>",
        "book/interview/all": "<h1>All</h1><section class='chapter'><p class='question' id='q1'></p></section>",
    }  # fmt: skip
    (tmp_path / "book/interview").mkdir(parents=True)
    for name, body in pages.items():
        text = f"<html><head></head><body><article class='bd-article'>{body}</article></body></html>"
        (tmp_path / f"{name}.html").write_text(text, encoding="utf-8")
    articles = PDF["read"](tmp_path, [(name, "Part", 0) for name in pages])
    assert list(articles) == ["a", "b"]
    PDF["join"](tmp_path, articles)
    links = {link.text: link.get("href") for link in articles["a"].select("a, span")}
    assert links == {"b": "#p1-top", "q": "#p0-q1", "gone": None, "out": "https://example.org"}
    assert articles["a"].details.has_attr("open") and articles["a"].select_one("p")["class"] == ["math"]
    assert articles["b"].h1["id"] == "p1-top" and not articles["b"].img.get("loading")


# --- where it runs ------------------------------------------------------------------------------------------


def test_a_notebook_opens_where_its_repository_is_known():
    file = "notebooks/gan.ipynb"
    assert launch.places("https://github.com/me/book", "main", file) == {
        "Binder": "https://mybinder.org/v2/gh/me/book/main?urlpath=lab/tree/notebooks/gan.ipynb",
        "Colab": "https://colab.research.google.com/github/me/book/blob/main/notebooks/gan.ipynb",
    }
    elsewhere = launch.places("https://gitlab.com/group/sub/book", "main", file)
    assert elsewhere == {
        "Binder": "https://mybinder.org/v2/gl/group%2Fsub%2Fbook/main?urlpath=lab/tree/notebooks/gan.ipynb"
    }
    (own,) = launch.places("https://git.example.org/me/book", "main", file).values()
    assert own.startswith("https://mybinder.org/v2/git/https%3A%2F%2Fgit.example.org%2Fme%2Fbook/main")
    for wrong in ("me/book", "https://github.com/book", "git@github.com:me/book"):
        with pytest.raises(launch.ConfigError, match="expected something like https://github.com"):
            launch.places(wrong, "main", file)


def test_a_page_says_where_it_runs():
    options = {"repository_url": "", "repository_branch": "main"}
    alone = BeautifulSoup(launch.box(options, "notebooks/gan.ipynb", "../x.ipynb"), "html.parser")
    assert [link["href"] for link in alone.select("a")] == ["../x.ipynb"]
    options["repository_url"] = "https://github.com/me/book"
    box = BeautifulSoup(launch.box(options, "notebooks/gan.ipynb", "../x.ipynb"), "html.parser")
    assert [link.text for link in box.select("a")] == ["Download the notebook", "Open on Binder", "Open on Colab"]
    assert box.code.text == "!pip install -q git+https://github.com/me/book@main"


@pytest.mark.site
def test_every_notebook_can_be_taken_home(site, soups):  # noqa: F811
    notebooks = [page for page in PAGES if (ROOT / f"{page}.ipynb").is_file()]
    assert len(notebooks) > 20
    options = CONFIG["sphinx"]["config"]["html_theme_options"]
    known = os.environ.get("GENIMG_REPOSITORY") or options["repository_url"]
    for page in notebooks:
        links = soups[site / f"{page}.html"].select("article details.run-here a")
        download = ((site / page).parent / links[0]["href"]).resolve()
        assert download.read_bytes() == (ROOT / f"{page}.ipynb").read_bytes(), page
        wanted = launch.places(known, "main", f"{page}.ipynb") if known else {}
        assert [link["href"] for link in links[1:]] == list(wanted.values())


# --- chapters and demos -------------------------------------------------------------------------------------


@pytest.mark.site
def test_chapters_and_demos_lead_to_each_other(site, soups):  # noqa: F811
    playground = soups[site / "book/demos.html"]
    assert set(demos.CHAPTERS) == {figure["data-demo"] for figure in playground.select("figure.demo")}
    for name, pages in demos.CHAPTERS.items():
        figure = playground.select_one(f"#demo-{name}")
        assert [a["href"] for a in figure.select(".demo-chapters a")] == [f"../{page}.html" for page in pages]
        for page in pages:
            links = [a["href"] for a in soups[site / f"{page}.html"].select("article aside.try-it a")]
            assert f"../book/demos.html#demo-{name}" in links, page
