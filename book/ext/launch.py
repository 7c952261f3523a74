"""Where a notebook's page can be run: a download always, Binder and Colab where the repository's address is known.

* The address is `repository_url` in _config.yml, or GENIMG_REPOSITORY in the environment, and nowhere else. While it is
  empty no page shows a link that would lead nowhere.
* Colab opens a notebook alone, without the library: the line that installs it stands under the links, and
  ``{colab-setup}`` shows it anywhere. A notebook itself never holds it.
* ``{if-published}``: what is shown only where there is an address. ``{if-unpublished}``: only where there is none.
"""

import html
import os
from pathlib import Path
from urllib.parse import quote, urlsplit

from docutils import nodes
from docutils.parsers.rst import Directive
from sphinx.errors import ConfigError
from sphinx.locale import get_translation


def _(words: str) -> str:
    """The words in the book's language."""
    return str(get_translation("genimg")(words))


def set_repository(app, config) -> None:
    """One address for every link to the repository."""
    options = config.html_theme_options
    address = os.environ.get("GENIMG_REPOSITORY", options.get("repository_url") or "").strip().rstrip("/")
    options["repository_url"] = address.removesuffix(".git")
    if address:
        places(address, options["repository_branch"], "x.ipynb")


def places(address: str, branch: str, file: str) -> dict[str, str]:
    """Where a file of the repository can be run: the name of the service, and the address that opens the file there."""
    parts = urlsplit(address)
    owner, _slash, name = parts.path.strip("/").rpartition("/")
    if parts.scheme not in ("http", "https") or not parts.netloc or not owner or not name:
        raise ConfigError(
            f"repository_url is {address!r}, expected something like https://github.com/owner/name, or nothing"
        )
    host = parts.netloc.removeprefix("www.")
    if host == "github.com":
        where = f"gh/{owner}/{name}"
    elif host == "gitlab.com":
        where = f"gl/{quote(f'{owner}/{name}', safe='')}"
    else:
        where = f"git/{quote(address, safe='')}"
    found = {"Binder": f"https://mybinder.org/v2/{where}/{quote(branch, safe='')}?urlpath=lab/tree/{quote(file)}"}
    if host == "github.com":  # Colab opens notebooks of GitHub only
        found["Colab"] = f"https://colab.research.google.com/github/{owner}/{name}/blob/{branch}/{quote(file)}"
    return found


def install_line(options: dict) -> str:
    """What makes the library importable on Colab."""
    return f"!pip install -q git+{options['repository_url']}@{options['repository_branch']}"


def box(options: dict, file: str, download: str) -> str:
    """The box under a notebook's title."""
    name = html.escape(Path(file).name)
    links = [f'<a href="{html.escape(download)}" download="{name}">{_("Download the notebook")}</a>']
    note = ""
    if options["repository_url"]:
        found = places(options["repository_url"], options["repository_branch"], file)
        links += [f'<a href="{html.escape(url)}">{_("Open on %s") % service}</a>' for service, url in found.items()]
        if "Colab" in found:
            words = html.escape(_("Colab first needs this line, in a cell of its own:"))
            note = f"<p>{words} <code>{html.escape(install_line(options))}</code></p>"
    else:
        note = f"<p>{html.escape(_('On your own machine: make lab opens it with all that it needs.'))}</p>"
    rows = "".join(f"<li>{link}</li>" for link in links)
    return f'<details class="run-here"><summary>{_("Run this page")}</summary><ul>{rows}</ul>{note}</details>'


def add_box(app, pagename, templatename, context, doctree) -> None:
    """Under the title of every notebook's page. Only HTML: the search would find these words on every page."""
    path = Path(app.env.doc2path(pagename)) if doctree else None
    if path is None or path.suffix != ".ipynb":
        return
    file = path.relative_to(app.srcdir).as_posix()
    download = context["pathto"](f"_sources/{context['sourcename']}", 1)
    head, title, rest = context["body"].partition("</h1>")
    context["body"] = head + title + box(app.config.html_theme_options, file, download) + rest


class ColabSetup(Directive):
    """The cell that makes the library importable on Colab."""

    def run(self):
        code = install_line(self.state.document.settings.env.config.html_theme_options)
        return [nodes.literal_block(code, code, language="text")]


class IfPublished(Directive):
    """Its content, where the repository has an address."""

    has_content = True
    wanted = True

    def run(self):
        options = self.state.document.settings.env.config.html_theme_options
        if bool(options["repository_url"]) != self.wanted:
            return []
        content = nodes.Element()
        self.state.nested_parse(self.content, self.content_offset, content)
        return content.children


class IfUnpublished(IfPublished):
    """Its content, where the repository has none yet."""

    wanted = False


def setup(app):
    app.add_directive("colab-setup", ColabSetup)
    app.add_directive("if-published", IfPublished)
    app.add_directive("if-unpublished", IfUnpublished)
    app.connect("config-inited", set_repository)
    app.connect("html-page-context", add_box)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
