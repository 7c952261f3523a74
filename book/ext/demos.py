"""Live demos: a picture, a sentence and a button. The scripts are loaded when the button is pressed.

``{demo} NAME``: its body holds every word that the demo shows, as YAML, so that a translation finds them on the page.
The scripts are in `book/assets/demos`; each names its words in a first-lines comment "Words: …", and the build stops
where a page's words and a script's differ. `CHAPTERS` says what belongs together: a chapter shows a box that leads to
its demo, and a demo names its chapters. The stills are made by the library (`demo_stills.py`) and kept in
`_build/demos` until the code or the weights they come from change. Without JavaScript, or where a model's runtime could
not be installed, the still and the sentence stand.
"""

import hashlib
import html
import json
import re
import shutil
from pathlib import Path

import demo_stills
import yaml
from docutils import nodes
from docutils.parsers.rst import Directive
from PIL import Image, ImageOps
from sphinx import addnodes
from sphinx.errors import ExtensionError
from sphinx.locale import get_translation
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "book" / "assets" / "demos"
STANDING = ("title", "text", "still", "start")  # still: what the picture shows, for those who do not see it
NAMED = re.compile(r"^/\* Words: (.*?)\*/", re.S | re.M)
CHAPTERS = {
    "faces": ["notebooks/project_control"],
    "gan": ["notebooks/gan", "notebooks/stable_gans"],
    "denoiser": ["notebooks/diffusion", "notebooks/flow_matching"],
    "noisy": ["notebooks/diffusion"],
    "map": ["notebooks/vae"],
    "texture": ["notebooks/rules"],
}
SMALL = (288, 160)  # the picture in a chapter's box, twice as many pixels as it is wide on the screen
log = logging.getLogger(__name__)


def _(words: str) -> str:
    """The words in the book's language."""
    return str(get_translation("genimg")(words))


def words_of(scripts) -> set[str]:
    """The words that scripts ask for."""
    found = set()
    for script in scripts:
        match = NAMED.search((SCRIPTS / script).read_text(encoding="utf-8")) if (SCRIPTS / script).is_file() else None
        found |= set(match[1].split()) if match else set()
    return found


class Demo(Directive):
    """One demo; see the module."""

    required_arguments = 1
    has_content = True

    def run(self):
        env = self.state.document.settings.env
        name = self.arguments[0]
        if name not in demo_stills.DEMOS:
            raise ExtensionError(f"{env.docname}: no demo {name!r}; there are {', '.join(demo_stills.DEMOS)}")
        demo = demo_stills.DEMOS[name]
        words = yaml.safe_load("\n".join(self.content))
        wrong = (words_of(demo.scripts) | set(STANDING)) ^ set(words)
        if wrong:
            raise ExtensionError(f"{env.docname}: demo {name}: missing or unknown words: {', '.join(sorted(wrong))}")
        folder = made(env.app)
        missing = [file for file in demo.files if not (folder / file).is_file()]
        env.note_dependency(str(Path(demo_stills.__file__)))
        for script in demo.scripts:
            env.note_dependency(str(SCRIPTS / script))
        known = env.genimg_demos = getattr(env, "genimg_demos", {})
        known[name] = {"page": env.docname, **{word: words[word] for word in STANDING}}
        start, end = self.page(env, name, demo, words, missing)
        return [nodes.raw("", start, format="html"), self.chapters(env, name), nodes.raw("", end, format="html")]

    def chapters(self, env, name: str) -> nodes.Node:
        """Where the book explains it."""
        line = nodes.paragraph("", "", nodes.Text(_("In the book:") + " "), classes=["demo-chapters"])
        for page in CHAPTERS[name]:
            line += nodes.Text(", ") if len(line) > 1 else nodes.Text("")
            line += addnodes.pending_xref(
                "", nodes.inline(classes=["xref", "std", "std-doc"]), refdomain="std", reftype="doc", refexplicit=False,
                reftarget=f"/{page}", refdoc=env.docname, refwarn=True,
            )  # fmt: skip
        return line

    def page(self, env, name: str, demo, words: dict, missing: list[str]) -> tuple[str, str]:
        """The HTML before and after the line that names the chapters."""
        up = "../" * env.docname.count("/")
        failed = _("It could not start ({why}). The picture above shows what it does.")
        spoken = words | {"loading": _("Loading …"), "failed": failed}
        pictures = stills(env.app, name, words["still"], up)
        if missing:
            why = _("It cannot run here: this site was built without the runtime for trained models.")
            action = f'<p class="demo-note">{html.escape(why)}</p>'
            data = ""
        else:
            action = (
                f'<button type="button" class="demo-start" hidden>{html.escape(words["start"])}</button>'
                f'<p class="demo-note" role="status"></p>'
                f"<noscript><p>{html.escape(_('This demo needs JavaScript.'))}</p></noscript>"
            )
            data = f' data-scripts="{html.escape(json.dumps(demo.scripts))}"'
        start = (
            f'<figure class="demo" id="demo-{name}" data-demo="{name}"{data} '
            f'data-words="{html.escape(json.dumps(spoken, ensure_ascii=False))}">'
            f'<div class="demo-still">{pictures}</div>'
            f"<figcaption><p>{html.escape(words['text'])}</p></figcaption>"
            f'{action}<div class="demo-room" hidden role="group" aria-label="{html.escape(words["title"])}"></div>'
        )
        return start, "</figure>"


def made(app) -> Path:
    """The folder of what is computed for the demos, computed now where it is not there or out of date."""
    folder = Path(app.outdir).parent / "demos"
    folder.mkdir(parents=True, exist_ok=True)
    for name, demo in demo_stills.DEMOS.items():
        stamp = folder / f"{name}.stamp"
        if not all(path.is_file() for path in demo.inputs()):
            continue  # no weights, no picture: the page says so
        sources = [Path(demo_stills.__file__), *demo.inputs()]
        now = hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
        if stamp.is_file() and stamp.read_text() == now and all((folder / file).is_file() for file in demo.files):
            continue
        stamp.unlink(missing_ok=True)
        demo.make(folder)
        stamp.write_text(now)
    return folder


def stills(app, name: str, alt: str, up: str, small=False) -> str:
    """A demo's picture, for each mode; nothing where it could not be made."""
    demo, folder, found = demo_stills.DEMOS[name], made(app), ""
    width, height = SMALL if small else demo.size
    for suffix, theme in (demo.themes or {"": "one"}).items():
        picture = folder / f"still-{name}{suffix}.png"
        if not picture.is_file():
            continue
        picture = thumbnail(picture) if small else picture
        found += (
            f'<img src="{up}_static/demos/{picture.name}" alt="{html.escape(alt)}" class="{theme}" '
            f'loading="lazy" width="{width}" height="{height}">'
        )
    return found


def thumbnail(picture: Path) -> Path:
    """The middle of a still, small."""
    small = picture.with_name(f"small-{picture.name}")
    if not small.is_file() or small.stat().st_mtime < picture.stat().st_mtime:
        with Image.open(picture) as whole:
            ImageOps.fit(whole.convert("RGB"), SMALL).quantize(64).save(small, optimize=True)
    return small


def lead_to_demos(app, doctree, docname) -> None:
    """In a chapter, after what it promises: a box for each of its demos."""
    section = next(doctree.findall(nodes.section), None)
    known = getattr(app.env, "genimg_demos", {})
    names = [name for name, pages in CHAPTERS.items() if docname in pages and name in known]
    if app.builder.format != "html" or not names or section is None:
        return
    promise = [i for i, part in enumerate(section[:6]) if isinstance(part, nodes.Admonition)]
    first = [i for i, part in enumerate(section) if isinstance(part, nodes.paragraph)]
    at = (promise or first or [0])[0] + 1
    section.insert(at, [nodes.raw("", teaser(app, docname, name, known[name]), format="html") for name in names])


def teaser(app, docname: str, name: str, about: dict) -> str:
    address = f"{app.builder.get_relative_uri(docname, about['page'])}#demo-{name}"
    picture = stills(app, name, about["still"], "../" * docname.count("/"), small=True)
    first = html.escape(re.match(r".*?[.!?](?=\s|$)", about["text"])[0])
    return (
        f'<aside class="try-it">{picture}<p><strong>{html.escape(_("In your browser:"))} '
        f'<a href="{address}">{html.escape(about["title"])}</a>.</strong> {first}</p></aside>'
    )


def chapters_to_write(app, env, added, changed, removed) -> list[str]:
    """Where a page with demos changed, the chapters that lead to them change too."""
    pages = {about["page"] for about in getattr(env, "genimg_demos", {}).values()}
    touched = pages & (added | changed)
    return [page for pages in CHAPTERS.values() for page in pages if touched and page in env.found_docs]


def copy_made(app, error) -> None:
    """What was computed goes beside the scripts."""
    if error is None and app.builder.format == "html":
        target = Path(app.outdir) / "_static" / "demos"
        target.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made(app), target, ignore=shutil.ignore_patterns("*.stamp"), dirs_exist_ok=True)


def add_scripts(app, pagename, templatename, context, doctree) -> None:
    """Only the pages that have a demo load the button's script and the look."""
    if 'class="demo"' in context.get("body", ""):
        app.add_css_file("demos/demo.css")
        app.add_js_file("demos/demo.js", loading_method="defer")


def setup(app):
    app.add_directive("demo", Demo)
    app.connect("env-get-outdated", chapters_to_write)
    app.connect("doctree-resolved", lead_to_demos)
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy_made)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
