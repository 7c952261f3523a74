"""Live demos: a picture, a sentence and a button. The scripts are loaded when the button is pressed.

``{demo} NAME``: its body holds every word that the demo shows, as YAML, so that a translation finds them on the page.
The scripts are in `book/assets/demos`; each names its words in a first-lines comment "Words: …", and the build stops
where a page's words and a script's differ. The stills are made by the library (`demo_stills.py`) and kept in
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
from sphinx.errors import ExtensionError
from sphinx.locale import get_translation
from sphinx.util import logging

ROOT = Path(__file__).resolve().parents[2]
SCRIPTS = ROOT / "book" / "assets" / "demos"
STANDING = ("title", "text", "still", "start")  # still: what the picture shows, for those who do not see it
NAMED = re.compile(r"^/\* Words: (.*?)\*/", re.S | re.M)
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
        return [nodes.raw("", self.page(env, name, demo, words, missing), format="html")]

    def page(self, env, name: str, demo, words: dict, missing: list[str]) -> str:
        up = "../" * env.docname.count("/")
        failed = _("It could not start ({why}). The picture above shows what it does.")
        spoken = words | {"loading": _("Loading …"), "failed": failed}
        pictures = "".join(
            f'<img src="{up}_static/demos/still-{name}{suffix}.png" alt="{html.escape(words["still"])}" '
            f'class="{theme}" loading="lazy" width="{demo.size[0]}" height="{demo.size[1]}">'
            for suffix, theme in (demo.themes or {"": "one"}).items()
        )
        if not (made(env.app) / f"still-{name}{next(iter(demo.themes or ['']))}.png").is_file():
            pictures = ""
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
        return (
            f'<figure class="demo" id="demo-{name}" data-demo="{name}"{data} '
            f'data-words="{html.escape(json.dumps(spoken, ensure_ascii=False))}">'
            f'<div class="demo-still">{pictures}</div>'
            f"<figcaption><p>{html.escape(words['text'])}</p></figcaption>"
            f'{action}<div class="demo-room" hidden role="group" aria-label="{html.escape(words["title"])}"></div>'
            "</figure>"
        )


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
    app.connect("html-page-context", add_scripts)
    app.connect("build-finished", copy_made)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
