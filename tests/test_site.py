"""The built website: every page is there, every link leads somewhere, nothing comes from another host.

The site is GENIMG_SITE (a folder of HTML, fresh from `python book/build.py --fresh`), or is built here.
"""

import functools
import http.server
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pytest
import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
TOC = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
PAGES = runpy.run_path(str(ROOT / "book" / "build.py"))["pages"](TOC)
MEASURE = runpy.run_path(str(ROOT / "book" / "measure.py"))
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# Quiet: without these flags the browser itself looks for updates on the network.
FLAGS = (
    "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking "
    "--disable-component-update --disable-sync"
).split()

pytestmark = pytest.mark.site


@pytest.fixture(scope="module")
def site(tmp_path_factory) -> Path:
    if folder := os.environ.get("GENIMG_SITE"):
        return (ROOT / folder).resolve()
    out = tmp_path_factory.mktemp("site")
    command = [sys.executable, ROOT / "book" / "build.py", "--fresh", "--out", out]
    done = subprocess.run(command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    assert done.returncode == 0, done.stdout
    return out / "_build" / "html"


@pytest.fixture(scope="module")
def soups(site) -> dict[Path, BeautifulSoup]:
    files = [f for f in site.rglob("*.html") if "_static" not in f.parts]
    return {file: BeautifulSoup(file.read_text(encoding="utf-8"), "html.parser") for file in files}


def test_every_page_of_the_contents_is_built(site):
    assert len(PAGES) > 30
    missing = [page for page in PAGES if not (site / f"{page}.html").is_file()]
    assert not missing


def test_every_internal_link_leads_somewhere(site, soups):
    ids = {file: {tag["id"] for tag in soup.find_all(id=True)} for file, soup in soups.items()}
    broken = []
    for file, soup in soups.items():
        if file == site / "404.html":
            continue  # shown at any depth, it links by full paths: see the test of what search engines need
        for tag in soup.find_all(["a", "img", "script", "link", "source"]):
            url = tag.get("href") or tag.get("src") or ""
            parts = urlsplit(url)
            if not url or parts.scheme or url.startswith("//"):
                continue
            target = (file.parent / unquote(parts.path)).resolve() if parts.path else file
            if not target.exists() or not target.is_relative_to(site):
                broken.append(f"{file.relative_to(site)}: {url} does not exist")
            elif parts.fragment and target in ids and unquote(parts.fragment) not in ids[target]:
                broken.append(f"{file.relative_to(site)}: {url} has no such anchor")
    assert not broken, "\n".join(broken)


def test_the_pages_ask_nothing_of_other_hosts(site, soups):
    for file, soup in soups.items():
        for tag in soup.find_all(["script", "img", "iframe", "source", "link"]):
            url = tag.get("src") or tag.get("href") or ""
            if tag.name == "link" and set(tag.get("rel", [])) & {"canonical", "author", "license"}:
                continue
            assert not re.match(r"(https?:)?//", url), f"{file.relative_to(site)}: {tag}"
        text = file.read_text(encoding="utf-8")
        for name in ("unpkg.com", "cdnjs", "jsdelivr", "fontawesome.js", "thebe"):
            assert name not in text.lower(), f"{file.relative_to(site)} mentions {name}"


def test_every_picture_and_page_is_described(site, soups):
    for file, soup in soups.items():
        for image in soup.select("article img"):
            assert image.get("alt"), f"{file.relative_to(site)}: {image}"
        if str(file.relative_to(site)).removesuffix(".html") in PAGES:
            assert soup.find("meta", attrs={"name": "description"})["content"], file


def test_search_engines_and_previews_find_their_way(site, soups):
    """A sitemap with every page, a favicon, a preview with a picture that exists, and a page for lost visitors."""
    sitemap = (site / "sitemap.xml").read_text(encoding="utf-8")
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    base = (os.environ.get("GENIMG_BASEURL") or config["html"]["baseurl"]).rstrip("/") + "/"
    for page in PAGES:
        soup = soups[site / f"{page}.html"]
        assert f"<loc>{base}{page}.html</loc>" in sitemap, page
        icon = soup.find("link", rel="icon")["href"]
        assert ((site / page).parent / icon).resolve().is_file(), page
        assert soup.find("meta", property="og:title")["content"] and soup.find("meta", property="og:description"), page
        picture = soup.find("meta", property="og:image")["content"]
        assert picture.startswith(base) and (site / picture.removeprefix(base)).is_file(), f"{page}: {picture}"
    lost = soups[site / "404.html"]
    assert lost.find("a")["href"] == urlsplit(base).path and lost.html["lang"]


def test_no_page_is_heavy(site, soups):
    weights = {page: MEASURE["weight"](site, page, soups[site / f"{page}.html"]) for page in PAGES}
    heavy = {page: size for page, size in weights.items() if size > MEASURE["HEAVY"]}
    assert not heavy, heavy
    assert min(weights.values()) > 50_000, "what every page loads is counted"


# --- in a browser -------------------------------------------------------------------------------------------


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing: the tests read the browser's own reports."""


@pytest.fixture(scope="module")
def address(site):
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def browser():
    if not CHROMIUM:
        pytest.skip("no chromium (Debian: apt install chromium): no browser walks the pages")
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


PHONE, DESKTOP = {"width": 360, "height": 740}, {"width": 1280, "height": 900}


def watched(context, address):
    """A page, and the list in which it reports what it should not do."""
    tab, faults = context.new_page(), []
    tab.set_default_timeout(180_000)  # a slow machine is no fault

    def on_request(sent):
        if not sent.url.startswith((address, "data:", "blob:")):
            faults.append(f"asks {sent.url}")

    def on_console(line):
        if line.type in ("error", "warning"):
            faults.append(f"logs {line.text}")

    def on_response(got):
        if got.status >= 400:
            faults.append(f"{got.status} {got.url}")

    tab.on("request", on_request)
    tab.on("pageerror", lambda error: faults.append(f"raises {error}"))
    tab.on("console", on_console)
    tab.on("response", on_response)
    return tab, faults


@pytest.fixture(params=["light", "dark"], scope="module")
def phone(request, browser, address):
    """A page on a phone, and its faults."""
    context = browser.new_context(viewport=PHONE, color_scheme=request.param)
    yield watched(context, address)
    context.close()


@pytest.mark.browser
@pytest.mark.parametrize("page", PAGES)
def test_a_page_on_a_phone(phone, address, page):
    tab, faults = phone
    faults.clear()
    tab.goto(f"{address}{page}.html", wait_until="load")
    tab.evaluate("() => window.MathJax?.startup?.promise")
    width = tab.evaluate("document.documentElement.scrollWidth")
    assert width <= 360, f"{page} is {width} pixels wide on a phone of 360"
    loaded = "[...document.images].every(i => i.loading === 'lazy' || i.naturalWidth > 0)"
    assert tab.evaluate(loaded), "a picture is missing"
    assert tab.locator("mjx-merror, .MathJax_Error").count() == 0, "a formula does not parse"
    formulas, typeset = tab.locator("article .math").count(), tab.locator("mjx-container").count()
    assert formulas <= typeset, f"{typeset} of {formulas} formulas are typeset"
    assert not faults, faults


@pytest.mark.browser
def test_search_finds_a_word(phone, address):
    tab, faults = phone
    faults.clear()
    tab.goto(f"{address}search.html?q=reparameterization", wait_until="load")
    tab.wait_for_selector("#search-results li a")
    assert not faults, faults
