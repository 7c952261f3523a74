"""What this book's site needs beyond Jupyter Book: nothing from other hosts, and an address.

* MathJax 3.2.2 comes from the PyPI package sphinx-mathjax-offline, is checked, and is copied into the site.
* `formulas.js`, before it: the keyboard reaches formulas that are wider than the screen.
* The scripts that a page would fetch elsewhere, or does not need, are taken out of the HTML.
* The address of the site is `html.baseurl` in _config.yml, or GENIMG_BASEURL in the environment.
"""

import hashlib
import os
import re
import shutil
from html import escape
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import urlsplit

from sphinx.errors import ExtensionError
from sphinx.locale import get_translation

MATHJAX = "sphinx-mathjax-offline"
# sha256 of MathJax 3.2.2's es5/tex-chtml.js: the same file in this package and in npm's mathjax@3.2.2.
MATHJAX_SHA256 = "0a6ded5abbce13331658dd239f34382abd06492c74b71b61e8caa8112ec55fa5"
MATHJAX_PARTS = ("tex-chtml.js", "output/chtml/fonts/woff-v2", "input/tex/extensions")

# The theme ships Font Awesome twice: as web fonts, which its style sheet uses, and as 1.5 MB of script.
UNWANTED = re.compile(
    r"""<script[^>]*src="[^"]*(?:fontawesome\.js|sphinx-thebe\.js|thebe@)[^"]*"[^>]*>\s*</script>\s*"""
    r"""|<script>\s*(?:const|let|var)\s+(?:THEBE_JS_URL|thebe_selector)\b.*?</script>\s*"""
    r"""|<script[^>]*type="text/x-thebe-config"[^>]*>.*?</script>\s*"""
    r"""|<link[^>]*href="[^"]*sphinx-thebe\.css[^"]*"[^>]*>\s*"""
    r"""|<!-- So that users can add custom icons -->\s*""",
    re.DOTALL,
)


def set_address(app, config):
    """One address for canonical links, previews and the sitemap."""
    address = os.environ.get("GENIMG_BASEURL") or config.html_baseurl
    config.html_baseurl = config.ogp_site_url = address.rstrip("/") + "/"
    config.mathjax_path = "mathjax/tex-chtml.js"


def copy_mathjax(app):
    """Copy MathJax into the site; refuse a file that is not the one this book was tested with."""
    source = Path(distribution(MATHJAX).locate_file(f"{MATHJAX}/static/mathjax"))
    found = hashlib.sha256((source / "tex-chtml.js").read_bytes()).hexdigest()
    if found != MATHJAX_SHA256:
        raise ExtensionError(
            f"{source / 'tex-chtml.js'} has sha256 {found}, expected {MATHJAX_SHA256}: reinstall {MATHJAX}"
        )
    target = Path(app.outdir) / "_static" / "mathjax"
    for part in MATHJAX_PARTS:
        (target / part).parent.mkdir(parents=True, exist_ok=True)
        if (source / part).is_dir():
            shutil.copytree(source / part, target / part, dirs_exist_ok=True)
        else:
            shutil.copyfile(source / part, target / part)


def add_reach(app, pagename, templatename, context, doctree):
    """Where MathJax is loaded, what lets the keyboard reach wide formulas is loaded before it."""
    if app.env.get_domain("math").has_equations(pagename):
        app.add_js_file("formulas.js", priority=400, loading_method="defer")


def clean_pages(app):
    """Take the unwanted scripts out of every page."""
    out = Path(app.outdir)
    for page in out.rglob("*.html"):
        if "_static" in page.parts:
            continue
        before = page.read_text(encoding="utf-8")
        after = UNWANTED.sub("", before)
        if after != before:
            page.write_text(after, encoding="utf-8")
    for name in ("fontawesome.js", "fontawesome.js.map", "bootstrap.js.map", "pydata-sphinx-theme.js.map"):
        (out / "_static" / "scripts" / name).unlink(missing_ok=True)


LOST = """<!doctype html>
<html lang="{lang}"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width">
<meta name="robots" content="noindex"><meta name="description" content="{title}"><title>{title}</title>
<style>:root {{ color-scheme: light dark; }} body {{ font: 1.1rem/1.6 system-ui, sans-serif; max-width: 34rem;
margin: 18vh auto; padding: 0 1rem; }} a {{ color: light-dark(#17635d, #7fd0c4); }}</style></head>
<body><main><h1>{title}</h1><p>{words}</p><p><a href="{home}">{back}</a></p></main></body></html>
"""


def write_404(app):
    """A page for addresses that lead nowhere. It may be shown at any depth, so its link has the site's full path."""
    page = LOST.format(
        lang=app.config.language, title=_("Nothing is here"), home=urlsplit(app.config.html_baseurl).path,
        words=_("This address leads to no page of the book. It may have moved: the search will find it."),
        back=_("To the front page"),
    )  # fmt: skip
    (Path(app.outdir) / "404.html").write_text(page, encoding="utf-8")


def write_sitemap(app):
    """The sitemap, with every page, those too that this build found up to date."""
    pages = (app.config.html_baseurl + app.builder.get_target_uri(page) for page in sorted(app.env.found_docs))
    rows = "".join(f"<url><loc>{escape(page)}</loc></url>" for page in pages)
    start = '<?xml version="1.0" encoding="utf-8"?>\n<urlset xmlns="http://www.sitemaps.org/schemas/sitemap/0.9">'
    (Path(app.outdir) / "sitemap.xml").write_text(f"{start}{rows}</urlset>\n", encoding="utf-8")


def _(words: str) -> str:
    """The words in the book's language."""
    return str(get_translation("genimg")(words))


def finish(app, error):
    if error is None and app.builder.format == "html":
        write_404(app)
        write_sitemap(app)
        copy_mathjax(app)
        clean_pages(app)


def setup(app):
    app.connect("config-inited", set_address, priority=900)
    app.connect("html-page-context", add_reach)
    app.connect("build-finished", finish, priority=900)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
