"""The whole book as one PDF, printed by Chromium from the built website.

python book/pdf.py [--site FOLDER] [--out FILE] [PAGE ...]     after `make book`; every page unless some are named

Its parts: a title page, a table of contents with page numbers, and every chapter that is complete, answers unfolded and
formulas typeset. Links inside the book lead to its pages, those to what it leaves out (flashcards, downloads) are plain
words. Questions that the website shows twice stand once. Nothing is fetched from other hosts.
"""

import argparse
import functools
import html
import http.server
import re
import shutil
import sys
import threading
from datetime import date
from pathlib import Path
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

ROOT = Path(__file__).resolve().parent.parent
LEFT_OUT = {"index", "book/interview/drill"}
TWICE = ".question[id], .self-test[id]"  # a chapter ends with its questions; the interview room has them all again
REMOVED = (
    "script, noscript, form, button, .headerlink, .run-here, .term-notes, .demo-room, .demo-note, .toggle-button, "
    ".bank-filter, .score, .try-it, .tries, .prev-next-area, .sd-tab-set > input"
)
LOOK = """
@page { size: A4; margin: 19mm 18mm 21mm; }
@page { @bottom-center { content: counter(page); font: 9pt sans-serif; color: #52605e; } }
@page :first { @bottom-center { content: ""; } }
@media print {
  html[data-theme] .only-dark { display: none !important; }
  .bd-article, .contents { break-before: page; }
  .cover { text-align: center; padding-top: 22mm; }
  .cover h1 { font-size: 30pt; letter-spacing: -0.015em; color: #17635d; margin: 0; }
  .cover p { font-size: 13pt; margin: 6mm 0; color: #52605e; }
  .cover img { width: 100%; border-radius: 4mm; margin: 10mm 0; }
  .contents h2 { margin: 6mm 0 1mm; font-size: 12pt; break-after: avoid; color: #17635d; }
  .contents ol { list-style: none; margin: 0; padding: 0; }
  .contents li { display: flex; gap: 2mm; line-height: 1.55; break-inside: avoid; }
  .contents li.below { padding-left: 6mm; }
  .contents a { color: inherit; text-decoration: none; }
  .contents .dots { flex: 1; border-bottom: 1px dotted #b9cbc7; margin-bottom: 1.4mm; }
  .part { margin: 0 0 2mm; color: #a2431f; font-weight: 600; }
}
"""

FILL = "(of) => { for (const n of document.querySelectorAll('.number')) n.textContent = of[n.dataset.of]; }"


def rows(toc: dict) -> list[tuple[str, str, int]]:
    """(page, caption of its part, depth) in reading order."""
    found = []

    def walk(entry, caption, depth):
        if "file" in entry:
            found.append((re.sub(r"\.(md|ipynb)$", "", entry["file"]), caption, depth))
        for key in ("chapters", "sections"):
            for below in entry.get(key, []):
                walk(below, caption, depth + ("file" in entry))

    for part in toc["parts"]:
        walk(part, part["caption"], 0)
    return found


def read(site: Path, wanted: list[tuple[str, str, int]]) -> dict[str, BeautifulSoup]:
    """The articles of the pages, each question once."""
    articles, seen = {}, set()
    for page, _caption, _depth in wanted:
        soup = BeautifulSoup((site / f"{page}.html").read_text(encoding="utf-8"), "html.parser")
        article = soup.select_one("article.bd-article")
        if page in LEFT_OUT:
            continue
        again = {part["id"]: part for part in article.select(TWICE)}
        for name in again.keys() & seen:
            again[name].extract()
        for section in article.select("section.chapter"):
            if not section.select(TWICE):
                section.extract()
        if again.keys() <= seen and page.startswith("book/interview/") and again:
            continue  # all of it stood before
        seen |= again.keys()
        articles[page] = article
    return articles


def join(site: Path, articles: dict[str, BeautifulSoup]) -> None:
    """Make ids of many pages the ids of one, and links between pages links within it."""
    number = {page: f"p{n}" for n, page in enumerate(articles)}
    ids = {page: {tag["id"] for tag in article.select("[id]")} for page, article in articles.items()}
    asked = {tag["id"]: page for page, article in articles.items() for tag in article.select(TWICE)}
    for page, article in articles.items():
        for useless in article.select(REMOVED):
            useless.decompose()
        for fold in article.select("details"):
            fold["open"] = ""
        for formula in article.select(".math-later"):
            formula["class"] = ["math" if name == "math-later" else name for name in formula["class"]]
        for tag in article.select("[src]"):
            del tag["loading"]
            if not urlsplit(tag["src"]).scheme:
                tag["src"] = address_of(site, page, tag["src"])
        for link in article.select("a[href]"):
            target = inside(site, page, link["href"], number, ids, asked)
            here, _dash, anchor = (target or "").partition("-")
            if anchor and here == f"#{number[page]}" and link.find_parent(id=anchor):
                link.decompose()  # it leads to where it stands
            elif target is None:
                link.name = "span"
                del link["href"]
            else:
                link["href"] = target
        for tag in article.select("[id]"):
            tag["id"] = f"{number[page]}-{tag['id']}"
        for tag in article.select("[aria-labelledby], [aria-describedby], [for], [name]"):
            for name in ("aria-labelledby", "aria-describedby", "for", "name"):
                del tag[name]
        article["id"] = number[page]


def address_of(site: Path, page: str, url: str) -> str:
    """A file's address as seen from the site's root."""
    return ((site / page).parent / unquote(urlsplit(url).path)).resolve().relative_to(site).as_posix()


def inside(site, page, url, number, ids, asked) -> str | None:
    """Where a link leads in the book: an anchor, an address elsewhere, or nothing."""
    parts = urlsplit(url)
    if parts.scheme:
        return url
    name = re.sub(r"\.html$", "", address_of(site, page, url)) if parts.path else page
    anchor = unquote(parts.fragment)
    if name in number and (not anchor or anchor in ids[name]):
        return f"#{number[name]}-{anchor}" if anchor else f"#{number[name]}"
    if anchor in asked:  # a question, which stands at the end of its chapter
        return f"#{number[asked[anchor]]}-{anchor}"
    return f"#{number[name]}" if name in number else None


def book(site: Path, articles: dict[str, BeautifulSoup], wanted, config: dict) -> str:
    """The book as one page of HTML."""
    heads = [article.find_parent("html").head for article in articles.values()]
    parts = [str(tag) for head in heads for tag in head.select("link[rel=stylesheet], script")]
    parts = [re.sub(r'"(\.\./)+', '"', part) for part in parts if "<link" in part or "mathjax" in part.lower()]
    head = "".join(dict.fromkeys(parts))
    contents, chapters, last = "", "", None
    for page, caption, depth in wanted:
        if page not in articles:
            continue
        article = articles[page]
        title = html.escape(re.sub(r"\s+", " ", article.h1.text).strip())
        if caption != last:
            contents += f"{'</ol>' if last else ''}<h2>{html.escape(caption)}</h2><ol>"
            article.insert(0, BeautifulSoup(f'<p class="part">{html.escape(caption)}</p>', "html.parser"))
            last = caption
        place = f'href="#{article["id"]}"'
        contents += (
            f'<li class="{"below" if depth else "top"}"><a {place}>{title}</a><span class="dots"></span>'
            f'<a {place} class="number" data-of="{article["id"]}">000</a></li>'
        )
        chapters += str(article)
    title, name = html.escape(config["title"]), html.escape(config["author"])
    cover = (
        f'<section class="cover"><h1>{title}</h1><p>Principles, algorithms and code</p>'
        f'<img src="_static/faces.png" alt="Faces made by the code of this book"><p>{name}</p>'
        f"<p>{date.today():%B %Y}</p></section>"
    )
    return (
        f'<!doctype html><html lang="en" data-theme="light" data-mode="light"><head><meta charset="utf-8">'
        f"<title>{title}</title>{head}<style>{LOOK}</style></head><body>{cover}"
        f'<section class="contents"><h1>Contents</h1>{contents}</ol></section>'
        f'<main class="bd-main"><div class="bd-content"><div class="bd-article-container">{chapters}</div></div></main>'
        "</body></html>"
    )


def starts(pdf: bytes) -> dict[str, int]:
    """On which page of a PDF written by Chromium each named place is."""
    objects = dict(re.findall(rb"\n(\d+) 0 obj\n(.*?)\nendobj", pdf, re.S))

    def leaves(key):
        body = objects[key]
        kids = re.search(rb"/Kids \[(.*?)\]", body, re.S) if b"/Type /Pages" in body else None
        return [leaf for kid in re.findall(rb"(\d+) 0 R", kids[1]) for leaf in leaves(kid)] if kids else [key]

    root = next(k for k, body in objects.items() if b"/Type /Pages" in body and b"/Parent" not in body)
    order = {key: n for n, key in enumerate(leaves(root), 1)}
    return {name.decode(): order[key] for name, key in re.findall(rb"/(p\d+) \[(\d+) 0 R /XYZ", pdf)}


class Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *args):
        """Say nothing."""


def print_book(site: Path, text: str, out: Path, chromium: str) -> tuple[int, list[str]]:
    """Write the PDF; returns its number of pages, and what went wrong on the way."""
    from playwright.sync_api import sync_playwright

    faults = []
    handler = functools.partial(Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, sync_playwright() as playwright:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        address = f"http://127.0.0.1:{server.server_port}/"
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox", "--disable-gpu"])
        tab = browser.new_page()
        tab.set_default_timeout(1_200_000)
        tab.on("pageerror", lambda error: faults.append(f"raises {error}"))
        tab.on("response", lambda got: got.status >= 400 and faults.append(f"{got.status} {got.url}"))
        here = f"{address}the-book.html"
        tab.route("**/*", lambda route: route.continue_() if route.request.url.startswith((address, "data:"))
                  else (faults.append(f"asks {route.request.url}"), route.abort()))  # fmt: skip
        tab.route(here, lambda route: route.fulfill(body=text, content_type="text/html; charset=utf-8"))
        tab.emulate_media(media="print", color_scheme="light")
        tab.goto(here, wait_until="load")
        tab.evaluate("() => window.MathJax?.startup?.promise")
        for fault in tab.locator("mjx-merror").all():
            faults.append(f"a formula does not parse: {fault.inner_text()[:80]}")
        missing = "[...document.images].filter((i) => !i.naturalWidth && i.offsetParent).map((i) => i.src)"
        faults += [f"no picture {src}" for src in tab.evaluate(missing)]
        options = {"prefer_css_page_size": True, "print_background": True, "outline": True, "tagged": True}
        numbers = starts(tab.pdf(**options))
        tab.evaluate(FILL, numbers)
        pdf = tab.pdf(**options)
        browser.close()
        server.shutdown()
    out.parent.mkdir(parents=True, exist_ok=True)
    out.write_bytes(pdf)
    return len(re.findall(rb"/Type /Page\n", pdf)), faults


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html", help="the built website")
    parser.add_argument("--out", type=Path, default=ROOT / "_build" / "genimg.pdf", help="the file to write")
    parser.add_argument("page", nargs="*", help="pages as _toc.yml names them (default: all)")
    options = parser.parse_args()
    chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome", "chrome"))), None)
    if not chromium:
        print("The PDF needs Chromium or Chrome, and there is none (Debian: apt install chromium).")
        return 2
    site = options.site.resolve()
    if not (site / "index.html").is_file():
        print(f"There is no website in {site}: run `make book` first.")
        return 2
    wanted = rows(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    unknown = set(options.page) - {page for page, _caption, _depth in wanted}
    if unknown:
        print(f"_toc.yml has no page {', '.join(sorted(unknown))}.")
        return 2
    wanted = [row for row in wanted if not options.page or row[0] in options.page]
    missing = [page for page, _caption, _depth in wanted if not (site / f"{page}.html").is_file()]
    if missing:
        print(f"The website in {site} has no page {', '.join(missing)}: build it anew with `make book`.")
        return 2
    config = yaml.safe_load((ROOT / "_config.yml").read_text(encoding="utf-8"))
    articles = read(site, wanted)
    join(site, articles)
    pages, faults = print_book(site, book(site, articles, wanted, config), options.out, chromium)
    for fault in faults:
        print(f"  {fault}")
    size = options.out.stat().st_size / 1e6
    print(f"  {len(articles)} chapters on {pages} pages, {size:.1f} MB: {options.out}")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
