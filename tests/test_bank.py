"""The question bank: a broken entry is named with file, id and reason; the bank itself has none."""

import copy
import importlib
import re
import tomllib
from pathlib import Path

import pytest
import yaml

from genimg_lib import bank
from genimg_lib.checks.core import load_all

ROOT = Path(__file__).resolve().parent.parent
GOOD = yaml.safe_load("""
title: Variational autoencoders
page: notebooks/vae
items:
- id: Q026
  difficulty: 2
  kind: derivation
  asked: 3
  lists: [e, a]
  question: What is the ELBO, and what is $a < b$?
  answer: ANSWER
  more: |
    The full answer, with $x < y$ and code:
    ```python
    # no heading: a comment
    print(x < y > z)
    ```
    and two dollars: \\$2.
  points: [One., Two., Three.]
  pitfalls: [{says: It is an upper bound., because: A KL is never negative.}]
  follow_ups: [{ask: "Why?", answer: Because.}]
  refs: [kingma2014vae]
  see: [notebooks/vae, "exercise:gaussian_kl"]
quiz: []
""")
GOOD["items"][0]["answer"] = "word " * 80
GOOD["quiz"] = [
    {
        "id": f"vae-{n}",
        "question": "Which?",
        "options": [{"text": f"{k}", "because": "So."} | ({"right": True} if k == n % 4 else {}) for k in range(4)],
    }
    for n in range(1, 6)
]


def write(folder: Path, content, name="vae.yml") -> Path:
    path = folder / name
    path.write_text(content if isinstance(content, str) else yaml.safe_dump(content), encoding="utf-8")
    return path


def faults(folder: Path) -> list[str]:
    with pytest.raises(bank.BankError) as caught:
        bank.load(folder)
    return caught.value.faults


def test_a_good_file_loads(tmp_path):
    write(tmp_path, GOOD)
    loaded = bank.load(tmp_path)
    item = loaded["Q026"]
    assert (item.chapter, item.page, item.anchor) == ("vae", "notebooks/vae", "q026")
    assert item.exercises == ["gaussian_kl"] and item.pages == ["notebooks/vae"]
    assert item.pitfalls[0].because == "A KL is never negative."
    assert [option.right for option in loaded.chapters[0].quiz[0].options] == [False, True, False, False]


BROKEN = {
    "no such reference": (lambda i: i.update(refs=["kingma2014"]), "refs: 'kingma2014' .*did you mean 'kingma2014vae'"),
    "no such page": (lambda i: i.update(see=["notebooks/vea"]), "see: 'notebooks/vea' .*did you mean 'notebooks/vae'"),
    "no such exercise": (lambda i: i.update(see=["exercise:gauss_kl"]), "see: .*did you mean 'gaussian_kl'"),
    "an id of another kind": (lambda i: i.update(id="B7"), "id: expected Q001"),
    "too hard": (lambda i: i.update(difficulty=4), "difficulty: expected 1 to 3, got 4"),
    "stars as text": (lambda i: i.update(asked="3"), "asked: expected a whole number, got '3'"),
    "a truth is no number": (lambda i: i.update(asked=True), "asked: expected a whole number, got True"),
    "an unknown kind": (lambda i: i.update(kind="theory"), "kind: expected one of concept, .* got 'theory'"),
    "a misspelt key": (lambda i: i.update(pitfals=[]), "unknown key 'pitfals'; did you mean 'pitfalls'"),
    "nothing in full": (lambda i: i.pop("more"), "more is missing"),
    "an empty text": (lambda i: i.update(more=" \n"), "more is empty"),
    "a speech": (lambda i: i.update(answer="word " * 200), "answer: 200 words"),
    "too little to tick": (lambda i: i.update(points=["One."]), "points: expected 3 to 5, got 1"),
    "a point that YAML made a mapping": (lambda i: i.update(points=["a", "b", {"c": "d"}]), "point 3: expected text"),
    "a pitfall without a reason": (lambda i: i.update(pitfalls=[{"says": "x"}]), "pitfalls 1: because is missing"),
    "a heading": (lambda i: i.update(more="## Answer\n\nyes"), "more holds a heading: '##"),
    "a directive": (lambda i: i.update(more="```{note}\nyes\n```"), "more holds a directive"),
    "a role": (lambda i: i.update(more="as {cite}`kingma2014vae`"), "more holds a role"),
    "raw HTML": (lambda i: i.update(more="a <b>bold</b> word"), "more holds raw HTML: '<b>'"),
    "half a formula": (lambda i: i.update(more="it costs $5"), r"more: a \$ has no partner"),
    "a formula beside words": (lambda i: i.update(more="so $$x$$ holds"), r"between \$\$ wants lines of its own"),
    "an article question of no number": (lambda i: i.update(article=10), "article: expected 1 to 9, got 10"),
    "a proof that is not there": (lambda i: i.update(computed="tests/facts/x.py::f"), "computed: .* does not exist"),
    "a proof elsewhere": (lambda i: i.update(computed="tests/test_bank.py::f"), "computed: expected tests/facts/"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_item_is_named(tmp_path, name):
    spoil, reason = BROKEN[name]
    content = copy.deepcopy(GOOD)
    spoil(content["items"][0])
    write(tmp_path, content)
    [fault] = faults(tmp_path)
    assert fault.startswith(f"{tmp_path / 'vae.yml'}, {content['items'][0]['id']}: ")
    assert re.search(reason, fault), fault


QUIZ = {
    "two are right": (lambda q: q["options"][0].update(right=True), "exactly one with 'right: true', got 2"),
    "three options": (lambda q: q["options"].pop(), "options: expected 4, got 3"),
    "no reason": (lambda q: q["options"][2].pop("because"), "option 3: because is missing"),
    "the same twice": (lambda q: q["options"][2].update(text="0"), "two of them say the same"),
    "an answer that YAML read as a number": (lambda q: q["options"][2].update(text=7), "text, got 7; put it in quotes"),
}


@pytest.mark.parametrize("name", QUIZ)
def test_a_broken_quiz_question_is_named(tmp_path, name):
    spoil, reason = QUIZ[name]
    content = copy.deepcopy(GOOD)
    spoil(content["quiz"][0])
    write(tmp_path, content)
    [fault] = faults(tmp_path)
    assert fault.startswith(f"{tmp_path / 'vae.yml'}, vae-1: ") and reason in fault


def test_displayed_formulas_stand_apart(tmp_path):
    content = copy.deepcopy(GOOD)
    content["items"][0]["more"] = "a\n$$x$$\nb\n$$\ny\n= z $$\n\nc"
    write(tmp_path, content)
    assert re.sub("\n{3,}", "\n\n", bank.load(tmp_path)["Q026"].more) == "a\n\n$$x$$\n\nb\n\n$$\ny\n= z $$\n\nc"


def test_all_faults_are_told_at_once(tmp_path):
    content = copy.deepcopy(GOOD)
    content["items"][0] |= {"difficulty": 0, "refs": ["nobody2020"]}
    content["page"] = "notebooks/nowhere"
    del content["quiz"][2:]
    write(tmp_path, content)
    write(tmp_path, "title: [unclosed\npage: x", "broken.yml")
    write(tmp_path, "title: a\ntitle: b\n", "twice.yml")
    told = "\n".join(faults(tmp_path))
    for reason in ("difficulty: expected", "'nobody2020'", "'notebooks/nowhere'", "quiz: expected 5 to 8, got 2"):
        assert reason in told
    assert re.search(r"broken\.yml: this is no YAML \(line \d", told)
    assert re.search(r"twice\.yml: .*title stands twice", told)


def test_an_id_stands_once(tmp_path):
    write(tmp_path, GOOD)
    other = copy.deepcopy(GOOD)
    other["quiz"] = []
    del other["quiz"]
    write(tmp_path, other, "again.yml")
    told = faults(tmp_path)
    assert len(told) == 2 and all("Q026: the id stands twice, also in" in fault for fault in told)


def test_the_command_checks_files(tmp_path, capsys):
    content = copy.deepcopy(GOOD)
    content["items"][0]["id"] = "Q999"
    content["quiz"] = [quiz | {"id": f"unheard-of-{n}"} for n, quiz in enumerate(content["quiz"])]
    assert bank.main([str(write(tmp_path, content))]) == 0
    assert "1 questions (1 derivation), 5 quiz: good" in capsys.readouterr().out
    content["items"][0]["asked"] = 4
    assert bank.main([str(write(tmp_path, content))]) == 2
    assert "vae.yml, Q999: asked: expected 0 to 3, got 4" in capsys.readouterr().out
    assert bank.main([str(tmp_path / "nothing.yml")]) == 2


def test_what_an_entry_may_point_to_is_what_there_is():
    known = bank.Known(ROOT)
    assert {id: q.notebook for id, q in load_all().items()} == {
        id: page.removeprefix("exercises/") for id, page in known.exercises.items()
    }
    assert len(known.refs) > 90 and known.pages[0] == "index" and "notebooks/vae" in known.pages


def test_installed_without_the_checkout(tmp_path, monkeypatch):
    class Installed:
        """What importlib.metadata says of a file."""

        def __init__(self, path):
            self.path = path

        def match(self, pattern):
            return self.path.match(pattern)

        def locate(self):
            return self.path

    share = tmp_path / "share" / "genimg" / "interview"
    share.mkdir(parents=True)
    held = [Installed(tmp_path / "genimg_lib" / "cli.py"), Installed(write(share, GOOD))]
    monkeypatch.setattr(bank, "checkout", lambda: None)
    monkeypatch.setattr(bank, "files", lambda name: held)
    assert bank.folder() == share.resolve() and list(bank.load().items) == ["Q026"]
    held.pop()
    with pytest.raises(FileNotFoundError, match="not installed .* run from its checkout"):
        bank.folder()
    # What setuptools installs there is the bank.
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert project["tool"]["setuptools"]["data-files"] == {"share/genimg/interview": ["book/interview/*.yml"]}


def test_wishes_that_nothing_meets_are_answered(tmp_path):
    write(tmp_path, GOOD)
    loaded = bank.load(tmp_path)
    assert loaded.select(chapters=["vae"], difficulties=[2], kinds=["derivation"], asked=3) == [loaded["Q026"]]
    assert loaded.select(difficulties=[1]) == loaded.select(article=True) == []
    for wish in ({"chapters": ["gan"]}, {"difficulties": [4]}, {"kinds": ["essay"]}):
        with pytest.raises(ValueError, match="choose among"):
            loaded.select(**wish)
    with pytest.raises(ValueError, match="no question 'Q001'"):
        loaded["Q001"]


# --- the bank itself ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> bank.Bank:
    return bank.load()


def test_the_bank_has_every_question(whole):
    assert {f"Q{n:03d}" for n in range(1, 153)} <= set(whole.items)
    assert {difficulty for item in whole.items.values() for difficulty in [item.difficulty]} == {1, 2, 3}
    assert {item.kind for item in whole.items.values()} == set(bank.KINDS)


# What the article asks, each with words that its question or answer must hold.
ARTICLE = {
    1: ("image generation", "kinds"),
    2: ("image generation", "recognition"),
    3: ("algorithms", "principle"),
    4: ("GAN", "discriminator"),
    5: ("variational autoencoder", "reconstruction"),
    6: ("GAN", "faces"),
    7: ("comic", "face"),
    8: ("field", "state|stand"),
    9: ("applied|applications|applies|used", "style|super-resolution|inpainting"),
}


@pytest.mark.parametrize("number", ARTICLE)
def test_the_articles_questions_are_there(whole, number):
    [item] = [item for item in whole.items.values() if item.article == number]
    for words in ARTICLE[number]:
        assert re.search(words, f"{item.question} {item.answer}", re.I), f"{item.id} says nothing of {words}"
    assert item in whole.select(article=True)


def test_every_chapter_has_a_self_test(whole):
    for chapter in whole.chapters:
        assert 5 <= len(chapter.quiz) <= 8, chapter.name


def test_the_right_option_does_not_give_itself_away(whole):
    quiz = [quiz for chapter in whole.chapters for quiz in chapter.quiz]
    places = [[option.right for option in one.options].index(True) for one in quiz]
    assert all(places.count(place) > len(quiz) / 8 for place in range(4)), "the right one stands too often in one place"
    longest = [max(one.options, key=lambda option: len(option.text)).right for one in quiz]
    assert sum(longest) < len(quiz) / 2, "the right one is too often the longest"


COMPUTED = sorted({item.computed for item in bank.load().items.values() if item.computed})


@pytest.mark.parametrize("target", COMPUTED)
def test_what_an_answer_states_can_be_computed(target):
    path, _, function = target.partition("::")
    module = importlib.import_module(path.removesuffix(".py").replace("/", "."))
    getattr(module, function)()


def test_every_computation_belongs_to_an_answer():
    """A function of tests/facts that no answer names would look as if it proved something."""
    for path in (ROOT / "tests" / "facts").glob("*.py"):
        for name in re.findall(r"^def ([aq]\d+\w*)\(\)", path.read_text(encoding="utf-8"), re.M):
            assert f"tests/facts/{path.name}::{name}" in COMPUTED, f"{path.name}: no answer names {name}"
