"""The question bank: interview questions with answers, rubrics and pitfalls, as data.

    bank = load()                      # every chapter of book/interview
    bank["Q026"].question
    bank.select(chapters=["vae"], difficulties=[1, 2])

`python -m genimg_lib.bank FILE…` checks files while they are written (all of the bank without FILE).
"""

import sys
from collections import Counter
from collections.abc import Collection
from dataclasses import dataclass
from functools import cached_property
from importlib.metadata import PackageNotFoundError, files
from pathlib import Path

from genimg_lib._bank_schema import KINDS, Known, Reader, apart

__all__ = ["KINDS", "Bank", "BankError", "Chapter", "Item", "Known", "Quiz", "checkout", "folder", "load"]


class BankError(ValueError):
    """The bank has faults; `faults` holds each as "file, id: reason"."""

    def __init__(self, faults: list[str]):
        self.faults = faults
        super().__init__(
            f"the question bank has {len(faults)} fault{'s' * (len(faults) != 1)}:\n"
            + "\n".join(f"  {f}" for f in faults)
        )


@dataclass(frozen=True)
class Pitfall:
    """What a candidate says, and why it is wrong."""

    says: str
    because: str


@dataclass(frozen=True)
class FollowUp:
    """What is asked next, with a short answer."""

    ask: str
    answer: str


@dataclass(frozen=True)
class Item:
    """One interview question. Texts are Markdown with $maths$; `asked` counts 0 to 3 stars."""

    id: str
    chapter: str
    page: str
    difficulty: int
    kind: str
    asked: int
    question: str
    answer: str
    more: str
    points: tuple[str, ...]
    pitfalls: tuple[Pitfall, ...]
    follow_ups: tuple[FollowUp, ...]
    lists: tuple[str, ...] = ()
    refs: tuple[str, ...] = ()
    see: tuple[str, ...] = ()
    article: int | None = None
    computed: str | None = None

    @property
    def anchor(self) -> str:
        """The fragment of its address on a page: q026."""
        return self.id.lower()

    @property
    def exercises(self) -> list[str]:
        """The ids of the exercises that practise it."""
        return [target.removeprefix("exercise:") for target in self.see if target.startswith("exercise:")]

    @property
    def pages(self) -> list[str]:
        """The pages that show it."""
        return [target for target in self.see if not target.startswith("exercise:")]


@dataclass(frozen=True)
class Option:
    """One answer to choose, with why it is right or wrong."""

    text: str
    because: str
    right: bool = False


@dataclass(frozen=True)
class Quiz:
    """One multiple-choice question with four options, one of them right."""

    id: str
    chapter: str
    question: str
    options: tuple[Option, ...]


@dataclass(frozen=True)
class Chapter:
    """One file: the questions that stand at the end of one page. `name` is the file's, without its suffix."""

    name: str
    title: str
    page: str
    items: tuple[Item, ...]
    quiz: tuple[Quiz, ...]


@dataclass(frozen=True)
class Bank:
    """All chapters, in the order of the book."""

    chapters: tuple[Chapter, ...]

    @cached_property
    def items(self) -> dict[str, Item]:
        return {item.id: item for chapter in self.chapters for item in chapter.items}

    @cached_property
    def titles(self) -> dict[str, str]:
        """From a chapter's name to its title."""
        return {chapter.name: chapter.title for chapter in self.chapters}

    def __getitem__(self, id: str) -> Item:
        if id not in self.items:
            raise ValueError(
                f"no question {id!r}; there are {len(self.items)}, such as {', '.join(list(self.items)[:3])}"
            )
        return self.items[id]

    def select(
        self,
        chapters: Collection[str] = (),
        difficulties: Collection[int] = (),
        kinds: Collection[str] = (),
        asked: int = 0,
        article: bool = False,
    ) -> list[Item]:
        """The items that meet every wish, in the order of the book. An empty wish admits all.

        chapters: names of files. asked: at least so many stars. article: only the article's nine questions.
        """
        for name, wished, there in (
            ("chapter", chapters, self.titles), ("difficulty", difficulties, (1, 2, 3)), ("kind", kinds, KINDS),
        ):  # fmt: skip
            for value in wished:
                if value not in there:
                    raise ValueError(f"no {name} {value!r}; choose among {', '.join(map(str, there))}")
        return [
            item
            for item in self.items.values()
            if (not chapters or item.chapter in chapters)
            and (not difficulties or item.difficulty in difficulties)
            and (not kinds or item.kind in kinds)
            and item.asked >= asked
            and (item.article is not None or not article)
        ]


def checkout() -> Path | None:
    """The root of the checkout that this module belongs to; None where the library is installed without one."""
    root = Path(__file__).resolve().parent.parent
    return root if (root / "book" / "interview").is_dir() and (root / "_toc.yml").is_file() else None


def folder() -> Path:
    """Where the bank's files are: in the checkout, or among the files installed with the library."""
    if root := checkout():
        return root / "book" / "interview"
    try:
        installed = [f.locate() for f in files("genimg") or () if f.match("share/genimg/interview/*.yml")]
    except PackageNotFoundError:
        installed = []
    for path in installed:
        if Path(path).is_file():
            return Path(path).resolve().parent
    raise FileNotFoundError(
        "the question bank is not installed beside genimg_lib: install genimg with pip, or run from its checkout"
    )


def load(source: Path | None = None) -> Bank:
    """The bank, every file checked; raises BankError with all faults at once.

    source: a folder of *.yml files; the one of this course if left out.
    """
    paths = sorted((source or folder()).glob("*.yml"))
    if not paths:
        raise FileNotFoundError(f"no question bank: {source or folder()} holds no *.yml file")
    readers = read(paths)
    faults = [fault for reader in readers.values() for fault in reader.faults]
    if faults:
        raise BankError(faults)
    chapters = [build(path.stem, reader.content) for path, reader in readers.items()]
    if root := checkout():
        order = {page: n for n, page in enumerate(Known(root).pages)}
        chapters.sort(key=lambda chapter: (order[chapter.page], chapter.name))
    return Bank(tuple(chapters))


def read(paths: list[Path]) -> dict[Path, Reader]:
    """Read files and note, in each, also the ids that stand twice among them."""
    root = checkout()
    known = Known(root) if root else None
    readers = {path: Reader(path, known) for path in paths}
    seen: dict[str, list[Reader]] = {}
    for reader in readers.values():
        content = reader.content or {}
        for entry in [*(content.get("items") or ()), *(content.get("quiz") or ())]:
            if isinstance(entry, dict) and "id" in entry:
                seen.setdefault(str(entry["id"]), []).append(reader)
    for id, holders in seen.items():
        for n, reader in enumerate(holders):
            if len(holders) > 1 and reader not in holders[:n]:
                others = ", ".join(sorted({r.file for r in holders} - {reader.file})) or "the same file"
                reader.faults.append(f"{reader.file}, {id}: the id stands twice, also in {others}")
    return readers


def build(name: str, content: dict) -> Chapter:
    """A checked file as objects."""
    page = content["page"]
    items = [
        Item(
            **{key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()
               if key not in ("answer", "more", "pitfalls", "follow_ups")},
            chapter=name,
            page=page,
            answer=apart(entry["answer"]),
            more=apart(entry["more"]),
            pitfalls=tuple(Pitfall(**pitfall) for pitfall in entry["pitfalls"]),
            follow_ups=tuple(FollowUp(**follow_up) for follow_up in entry["follow_ups"]),
        )
        for entry in content["items"]
    ]  # fmt: skip
    quiz = [
        Quiz(entry["id"], name, entry["question"], tuple(Option(**option) for option in entry["options"]))
        for entry in content.get("quiz", [])
    ]
    return Chapter(name, content["title"], page, tuple(items), tuple(quiz))


def main(words: list[str]) -> int:
    """Check the files named, or all; status 0 when there is no fault, 2 otherwise."""
    named = [Path(word) for word in words]
    for path in named:
        if not path.is_file():
            print(f"{path} does not exist")
            return 2
    every = {path.resolve(): path for path in [*sorted(folder().glob("*.yml")), *named]}
    readers = {path.resolve(): reader for path, reader in read(list(every.values())).items()}
    wanted = [readers[path.resolve()] for path in named] or list(readers.values())
    for reader in wanted:
        for fault in reader.faults:
            print(fault)
        if not reader.faults:
            items = reader.content["items"]
            kinds = ", ".join(f"{n} {kind}" for kind, n in Counter(item["kind"] for item in items).items())
            print(f"{reader.file}: {len(items)} questions ({kinds}), {len(reader.content.get('quiz', []))} quiz: good")
    return 2 if any(reader.faults for reader in wanted) else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
