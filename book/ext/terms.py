"""The words of the glossary and the symbols of the notation, explained where a reader meets them.

* The first mention of a term in a page's text becomes a link to the glossary; so does a symbol of the notation's table
  that stands alone between dollar signs. ``{term}`word` `` makes such a link by hand, anywhere.
* Words that mean something else in everyday English are linked by hand only: the front matter of the page that explains
  them lists them under `by_hand`.
* Every page ends with the meanings of its own links, hidden, and `terms.js` shows one beside its link while the pointer
  or the keyboard's focus is there. Nothing is fetched. Without JavaScript the link still leads to the meaning.
"""

import hashlib
import re
from pathlib import Path

from docutils import nodes
from sphinx import addnodes

GLOSSARY, NOTATION = "book/glossary", "book/notation"
# Pages that explain the words, and pages of few words, where a link would be in the way.
BARE = {GLOSSARY, NOTATION, "index", "book/bibliography", "book/credits", "book/interview/drill",
        "book/interview/self_tests"}  # fmt: skip
CLOSED = (
    nodes.title, nodes.reference, nodes.literal, nodes.literal_block, nodes.caption, nodes.term, nodes.raw,
    nodes.rubric, nodes.math, nodes.citation, addnodes.pending_xref,
)  # fmt: skip
CLOSED_CLASSES = {"self-test", "sd-card", "tries", "lead", "bank-filter"}


def pattern(names) -> re.Pattern:
    """What finds any of the names, the longest first, in the singular or the plural."""
    rows = sorted(names, key=len, reverse=True)
    # An abbreviation is itself in capitals only; a word may start a sentence.
    rows = [
        r"\s+".join(re.escape(part) if part.isupper() else f"(?i:{re.escape(part)})" for part in name.split())
        for name in rows
    ]
    return re.compile(rf"(?<![\w-])({'|'.join(rows)})(?:es|s)?(?![\w-])")


class Meanings:
    """What the two pages say: names and symbols to (page, anchor), and anchors to their meaning."""

    def __init__(self, env):
        self.places: dict[str, tuple[str, str]] = {}
        self.symbols: dict[str, tuple[str, str]] = {}
        self.notes: dict[tuple[str, str], tuple[list, list]] = {}  # to (what it is called, what it means), as nodes
        self.same: dict[str, str] = {}  # a term's anchor to that of the entry's first term
        for page in (GLOSSARY, NOTATION):
            if page not in env.found_docs:
                continue
            by_hand = {name.strip().lower() for name in env.metadata[page].get("by_hand", "").split(",")}
            read = self.read_glossary if page == GLOSSARY else self.read_notation
            read(env.get_doctree(page), page, by_hand)
        self.found = pattern(self.places) if self.places else None

    def read_glossary(self, doctree, page, by_hand):
        for item in doctree.findall(nodes.definition_list_item):
            terms = list(item.findall(nodes.term))
            *_first, meaning = item.children
            for term in terms:
                anchor = term["ids"][0]
                self.notes[page, anchor] = (terms[0].children, meaning.children)
                self.same[anchor] = terms[0]["ids"][0]
                if term.astext().lower() not in by_hand:
                    self.places[term.astext()] = (page, self.same[anchor])

    def read_notation(self, doctree, page, by_hand):
        for row in doctree.findall(nodes.row):
            first, *_middle, last = row.children
            if not row["ids"]:
                continue
            self.notes[page, row["ids"][0]] = (first.children[0].children, last.children)
            for symbol in first.findall(nodes.math):
                if symbol.astext().lower() not in by_hand:
                    self.symbols[symbol.astext()] = (page, row["ids"][0])

    def place(self, name: str) -> tuple[str, str]:
        """Of a mention, however it is written."""
        name = " ".join(name.split())
        return next(place for known, place in self.places.items() if known.lower() == name.lower())


def meanings(app) -> Meanings:
    if not hasattr(app, "genimg_meanings"):
        app.genimg_meanings = Meanings(app.env)
    return app.genimg_meanings


def name_rows(app, doctree):
    """Anchors for the rows of the notation's first table."""
    if app.env.docname != NOTATION:
        return
    for table in list(doctree.findall(nodes.table))[:1]:
        for row in table.findall(nodes.row):
            symbols = [symbol.astext() for symbol in row.children[0].findall(nodes.math)]
            if symbols:
                row["ids"].append("symbol-" + "-".join(re.sub(r"\W+", "", symbol) for symbol in symbols))


def is_text(node: nodes.Node) -> bool:
    """Does it stand in a paragraph that is read, and not in a title, a link, code or a card?"""
    inside = False
    while node.parent is not None:
        node = node.parent
        if isinstance(node, CLOSED) or node.__class__.__name__ == "fold_title":
            return False
        if isinstance(node, nodes.Element) and CLOSED_CLASSES & set(node.get("classes", ())):
            return False
        inside |= isinstance(node, nodes.paragraph)
    return inside


def link(app, docname: str, place: tuple[str, str], shown: nodes.Node) -> nodes.reference:
    page, anchor = place
    address = f"{app.builder.get_relative_uri(docname, page)}#{anchor}"
    return nodes.reference("", "", shown, internal=True, refuri=address, classes=["term"])


def mark_mentions(app, doctree, docname):
    """Link the first mention of each term and symbol; know the links that were made by hand."""
    if app.builder.format != "html":
        return
    known, done = meanings(app), set()
    for made in doctree.findall(nodes.reference):
        if any("std-term" in child.get("classes", ()) for child in made.children if isinstance(child, nodes.Element)):
            made["classes"].append("term")
            if docname != GLOSSARY:
                _page, anchor = target(made, docname)
                done.add((GLOSSARY, known.same.get(anchor, anchor)))
    if docname not in BARE:
        for node in list(doctree.findall(lambda node: isinstance(node, nodes.Text | nodes.math))):
            if isinstance(node, nodes.math):
                place = known.symbols.get(node.astext())
                if place and place not in done and is_text(node):
                    done.add(place)
                    node.replace_self(link(app, docname, place, node.deepcopy()))
            elif known.found and is_text(node):
                mark_text(app, docname, node, known, done)
    parts = [node for place in notes_of(app, doctree, docname) for part in known.notes[place] for node in part]
    if any(list(node.findall(nodes.math)) for node in parts):
        app.env.get_domain("math").data["has_equations"][docname] = True  # or the page has no MathJax


def mark_text(app, docname, node, known, done):
    text, parts, start = node.astext(), [], 0
    for match in known.found.finditer(text):
        place = known.place(match[1])
        if place in done:
            continue
        done.add(place)
        parts += [nodes.Text(text[start : match.start()]), link(app, docname, place, nodes.Text(match[0]))]
        start = match.end()
    if parts:
        node.parent.replace(node, [part for part in [*parts, nodes.Text(text[start:])] if part.astext()])


def target(made: nodes.reference, docname: str) -> tuple[str, str]:
    """The page and the anchor that a term's link leads to."""
    page, _sharp, anchor = made.get("refuri", f"#{made.get('refid')}").partition("#")
    return (docname if not page else NOTATION if page.endswith("notation.html") else GLOSSARY), anchor


def notes_of(app, doctree, docname) -> list[tuple[str, str]]:
    """The meanings that a page's links need, in the order of the page."""
    notes = {}
    for made in doctree.findall(nodes.reference):
        if "term" in made["classes"]:
            notes[target(made, docname)] = True
    return [place for place in notes if place in meanings(app).notes]


def plain(node: nodes.Node) -> nodes.Node:
    """A copy without links, anchors and index entries: it stands on another page."""
    copy = node.deepcopy()
    if isinstance(copy, nodes.Element):
        copy["ids"] = []
        for inner in list(copy.findall(nodes.Element)):
            inner["ids"] = []
        for inner in list(copy.findall(lambda n: isinstance(n, addnodes.index | nodes.target))):
            inner.parent.remove(inner)
        for inner in list(copy.findall(lambda n: isinstance(n, nodes.reference | addnodes.pending_xref))):
            inner.replace_self(nodes.inline("", inner.astext()))
    return copy


def add_notes(app, pagename, templatename, context, doctree):
    """The meanings, at the end of the page and hidden."""
    shown = notes_of(app, doctree, pagename) if doctree else []
    if not shown:
        return
    known, rows = meanings(app), []
    for page, anchor in shown:
        name, meaning = known.notes[page, anchor]
        head = nodes.strong("", "", *(plain(node) for node in name if not isinstance(node, addnodes.index)))
        body = nodes.container("", nodes.paragraph("", "", head), *(plain(node) for node in meaning))
        rows.append(f'<div data-term="{anchor}">{app.builder.render_partial(body)["fragment"]}</div>')
    context["body"] += f'<div class="term-notes" aria-hidden="true">{"".join(rows)}</div>'
    app.add_js_file("terms.js", loading_method="defer")


def pages_to_write(app, env):
    """Where the two pages or this file changed, every page is written anew."""
    files = [Path(__file__), *(Path(env.doc2path(page)) for page in (GLOSSARY, NOTATION) if page in env.found_docs)]
    now = hashlib.sha256(b"".join(path.read_bytes() for path in files)).hexdigest()
    before, env.genimg_terms = getattr(env, "genimg_terms", None), now
    return [] if before == now else sorted(env.found_docs)


def setup(app):
    app.connect("doctree-read", name_rows)
    app.connect("env-updated", pages_to_write)
    app.connect("doctree-resolved", mark_mentions, priority=900)
    app.connect("html-page-context", add_notes)
    return {"version": "1", "parallel_read_safe": True, "parallel_write_safe": True}
