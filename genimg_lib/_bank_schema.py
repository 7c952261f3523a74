"""What an entry of the question bank must look like: every fault is named with its file, id and reason."""

import ast
import difflib
import json
import re
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import yaml

KINDS = ("concept", "derivation", "coding", "debugging", "design")
ANSWER_WORDS = 60, 150  # said in a minute: 70 to 140, with some slack for formulas
QUIZ_LENGTH = 5, 8

CHAPTER = {"title": str, "page": str, "items": list}
ITEM = {
    "id": str, "difficulty": int, "kind": str, "asked": int, "lists": list, "question": str, "answer": str,
    "more": str, "points": list, "pitfalls": list, "follow_ups": list, "refs": list, "see": list,
}  # fmt: skip
QUIZ = {"id": str, "question": str, "options": list}
OPTION = {"text": str, "because": str}
NAMES = {str: "text", int: "a whole number", list: "a list", bool: "true or false"}

CODE = re.compile(r"^```.*?^```|`[^`\n]+`", re.M | re.S)
MATHS = re.compile(r"\$\$.+?\$\$|(?<!\\)\$(?=\S).+?(?<![\\\s])\$", re.S)
FORBIDDEN = {
    "a heading": re.compile(r"^\s{0,3}#{1,6} ", re.M),
    "a directive": re.compile(r"^\s*(?:`{3,}|:{3,})\s*\{", re.M),
    "a role": re.compile(r"\{[\w:+-]+\}`"),
    "raw HTML": re.compile(r"</?[a-zA-Z][^<>]*>|<!--"),
}


def apart(text: str) -> str:
    """The text with an empty line before and after each displayed formula, as Markdown wants it."""
    lines, fenced, inside = [], False, False
    for line in text.split("\n"):
        fenced ^= line.lstrip().startswith("```")
        marks = 0 if fenced else line.count("$$")
        if marks and not inside and lines and lines[-1].strip():
            lines.append("")
        inside ^= marks % 2
        lines.append(line)
        if marks and not inside:
            lines.append("")
    return "\n".join(lines)


class Strict(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):
    """YAML in which a key that stands twice is an error and not a silent replacement."""

    def construct_mapping(self, node, deep=False):
        keys = [self.construct_object(key, deep=True) for key, _ in node.value]
        twice = sorted({str(key) for key in keys if keys.count(key) > 1})
        if twice:
            raise yaml.constructor.ConstructorError(None, None, f"{', '.join(twice)} stands twice", node.start_mark)
        return super().construct_mapping(node, deep)


@dataclass(frozen=True)
class Known:
    """What an entry may point to in a checkout: citations, pages, exercises, functions that compute an answer."""

    root: Path

    @cached_property
    def refs(self) -> set[str]:
        text = (self.root / "book" / "references.bib").read_text(encoding="utf-8")
        return set(re.findall(r"^@\w+\{([^,\s]+),", text, re.M))

    @cached_property
    def pages(self) -> list[str]:
        """The pages of the table of contents, in reading order."""
        text = (self.root / "_toc.yml").read_text(encoding="utf-8")
        return re.findall(r"^\s*(?:- file|root): *(\S+)", text, re.M)

    @cached_property
    def exercises(self) -> dict[str, str]:
        """From an exercise's id to its page: exercises/02_vae."""
        found = {}
        for path in sorted((self.root / "exercises").glob("*.ipynb")):
            for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
                mark = cell["metadata"].get("nbgrader", {})
                if mark.get("solution"):
                    found[mark["grade_id"]] = f"exercises/{path.stem}"
        return found

    def computes(self, target: str) -> str:
        """Why `tests/facts/vae.py::q026` is no function of that file; "" where it is one."""
        name, _, function = target.partition("::")
        path = self.root / name
        if not function or not name.startswith("tests/facts/"):
            return f"expected tests/facts/FILE.py::FUNCTION, got {target!r}"
        if not path.is_file():
            return f"{name} does not exist"
        tree = ast.parse(path.read_text(encoding="utf-8"))
        if not any(isinstance(node, ast.FunctionDef) and node.name == function for node in tree.body):
            return f"{name} defines no function {function}"
        return ""


class Reader:
    """Reads one file of the bank and collects its faults, each as "file, id: reason"."""

    def __init__(self, path: Path, known: Known | None):
        self.known, self.faults, self.where = known, [], ""
        inside = known and path.resolve().is_relative_to(known.root)
        self.file = str(path.resolve().relative_to(known.root).as_posix() if inside else path)
        self.content = self.parse(path)
        if self.content is not None:
            self.chapter()

    def fault(self, reason: str) -> None:
        self.faults.append(f"{self.file}{f', {self.where}' if self.where else ''}: {reason}")

    def parse(self, path: Path) -> dict | None:
        try:
            content = yaml.load(path.read_text(encoding="utf-8"), Strict)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f"line {mark.line + 1}: {error.problem}" if mark else str(error)
            self.fault(f"this is no YAML ({place}); text with ': ' or a leading special character needs quotes")
            return None
        if not isinstance(content, dict):
            self.fault("expected the keys title, page, items and quiz")
            return None
        return content

    def fields(self, entry, required: dict, optional: dict, what: str) -> bool:
        """Every required key is there with its type, no key is unknown; texts are checked as Markdown."""
        if not isinstance(entry, dict):
            self.fault(f"{what}: expected {', '.join(required)}, got {entry!r:.60}")
            return False
        good, known = True, required | optional
        for key in entry.keys() - known.keys():
            near = difflib.get_close_matches(str(key), known, 1)
            self.fault(f"{what}: unknown key {key!r}{f'; did you mean {near[0]!r}?' if near else ''}")
            good = False
        for key, kind in known.items():
            if key not in entry:
                if key in required:
                    self.fault(f"{what}: {key} is missing")
                    good = False
                continue
            value = entry[key]
            if type(value) is not kind:
                hint = "; put it in quotes" if kind is str and isinstance(value, int | float | bool) else ""
                self.fault(f"{what}: {key}: expected {NAMES[kind]}, got {value!r:.40}{hint}")
                good = False
            elif kind is str:
                good &= self.markdown(value, f"{what}: {key}")
        return good

    def markdown(self, text: str, what: str) -> bool:
        """Text that a page, a card and a terminal can all show."""
        before = len(self.faults)
        if not text.strip():
            self.fault(f"{what} is empty")
        bare = CODE.sub("", text)
        for name, pattern in FORBIDDEN.items():
            if found := pattern.search(text if name == "a directive" or name == "a role" else MATHS.sub("", bare)):
                self.fault(f"{what} holds {name}: {found[0].strip()!r:.50}")
        for shown in re.finditer(r"\$\$.+?\$\$", bare, re.S):
            line = bare[: shown.start()].rpartition("\n")[2] + bare[shown.end() :].partition("\n")[0]
            if line.strip():
                self.fault(
                    f"{what}: a formula between $$ wants lines of its own, beside it stands {line.strip()!r:.50}"
                )
        if len(re.findall(r"(?<!\\)\$", bare)) % 2:
            self.fault(f"{what}: a $ has no partner (a dollar sign itself is \\$)")
        return len(self.faults) == before

    def count(self, entries: list, low: int, high: int, what: str) -> None:
        if not low <= len(entries) <= high:
            self.fault(f"{what}: expected {low} to {high}, got {len(entries)}")

    def texts(self, entries: list, what: str) -> None:
        for n, text in enumerate(entries, 1):
            if not isinstance(text, str):
                self.fault(f"{what} {n}: expected text, got {text!r:.60}; put a text with ': ' in quotes")
            else:
                self.markdown(text, f"{what} {n}")

    def chapter(self) -> None:
        if not self.fields(self.content, CHAPTER, {"quiz": list}, "the file"):
            return
        page = self.content["page"]
        if self.known and page not in self.known.pages:
            self.fault(f"page: {page!r} is not in _toc.yml{self.near(page, self.known.pages)}")
        if not self.content["items"]:
            self.fault("items: expected at least one question")
        for n, item in enumerate(self.content["items"], 1):
            self.where = item.get("id") if isinstance(item, dict) else ""
            self.where = str(self.where or f"item {n}")
            self.item(item)
        self.where = ""
        if "quiz" in self.content:
            self.count(self.content["quiz"], *QUIZ_LENGTH, "quiz")
        for n, quiz in enumerate(self.content.get("quiz", []), 1):
            self.where = str((isinstance(quiz, dict) and quiz.get("id")) or f"quiz {n}")
            self.quiz(quiz)
        self.where = ""

    def near(self, name: str, names) -> str:
        close = difflib.get_close_matches(name, names, 1)
        return f"; did you mean {close[0]!r}?" if close else ""

    def item(self, item) -> None:
        if not self.fields(item, ITEM, {"article": int, "computed": str}, "the item"):
            return
        if not re.fullmatch(r"Q\d{3}|A[1-9]", item["id"]):
            self.fault(f"id: expected Q001 to Q999 or A1 to A9, got {item['id']!r}")
        for key, low, high in (("difficulty", 1, 3), ("asked", 0, 3), ("article", 1, 9)):
            if not low <= item.get(key, low) <= high:
                self.fault(f"{key}: expected {low} to {high}, got {item[key]}")
        if item["kind"] not in KINDS:
            self.fault(f"kind: expected one of {', '.join(KINDS)}, got {item['kind']!r}")
        words, (low, high) = len(item["answer"].split()), ANSWER_WORDS
        if not low <= words <= high:
            self.fault(f"answer: {words} words; what is said in a minute has 70 to 140")
        self.count(item["points"], 3, 5, "points")
        self.texts(item["points"], "point")
        for key, fields in (("pitfalls", ("says", "because")), ("follow_ups", ("ask", "answer"))):
            self.count(item[key], 1, 3, key)
            for n, entry in enumerate(item[key], 1):
                self.fields(entry, dict.fromkeys(fields, str), {}, f"{key} {n}")
        for key in ("lists", "refs", "see"):
            self.texts(item[key], key)
        if self.known:
            self.targets(item)

    def targets(self, item: dict) -> None:
        """What an item points to must exist."""
        for key in item["refs"]:
            if str(key) not in self.known.refs:
                self.fault(f"refs: {key!r} is not in book/references.bib{self.near(str(key), self.known.refs)}")
        for target in item["see"]:
            kind, _, name = str(target).rpartition("exercise:")
            names = self.known.pages if name == target else self.known.exercises
            if kind or name not in names:
                self.fault(f"see: {target!r} is no page of _toc.yml and no exercise:ID{self.near(name, names)}")
        if "computed" in item and (why := self.known.computes(item["computed"])):
            self.fault(f"computed: {why}")

    def quiz(self, quiz) -> None:
        if not self.fields(quiz, QUIZ, {}, "the quiz question"):
            return
        if not re.fullmatch(r"[a-z][a-z0-9-]*-\d+", quiz["id"]):
            self.fault(f"id: expected a name and a number such as vae-1, got {quiz['id']!r}")
        if len(quiz["options"]) != 4:
            self.fault(f"options: expected 4, got {len(quiz['options'])}")
        for n, option in enumerate(quiz["options"], 1):
            self.fields(option, OPTION, {"right": bool}, f"option {n}")
        right = sum(isinstance(option, dict) and option.get("right") is True for option in quiz["options"])
        if right != 1:
            self.fault(f"options: expected exactly one with 'right: true', got {right}")
        texts = [str(option.get("text")).strip() for option in quiz["options"] if isinstance(option, dict)]
        if len(set(texts)) < len(texts):
            self.fault("options: two of them say the same")
