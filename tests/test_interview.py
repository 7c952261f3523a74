"""The mock interview: what it asks, how it scores, how it is left and resumed, what its report says."""

import json
import os
import re
import sys
import time
from datetime import date
from pathlib import Path

import pytest
from rich.console import Console

from genimg_lib import bank as banks
from genimg_lib import cli, interview
from genimg_lib._interview_report import for_terminal, readable, report, write_new

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(scope="module")
def bank():
    return banks.load()


class Person:
    """Says one line after the other; an exception in the list is raised. The clock runs a minute a line."""

    def __init__(self, *lines):
        self.lines, self.now, self.asked = list(lines), 0.0, []

    def ask(self, prompt):
        self.now += 60
        self.asked.append(prompt)
        line = self.lines.pop(0) if self.lines else EOFError()
        if isinstance(line, BaseException):
            raise line
        return line

    def clock(self):
        return self.now


def state_of(ids, minutes=60, keyboard=None):
    wishes = {"minutes": minutes, "topics": [], "level": None, "seed": 0}
    return {"version": 1, "settings": wishes, "ids": list(ids), "keyboard": keyboard, "answers": [], "elapsed": 0.0}


def hold(bank, state, person, path):
    console = Console(width=100, record=True, file=open(os.devnull, "w"))
    with console.file:
        session = interview.Session(bank, state, path, console, person.ask, person.clock)
        over = session.run()
    return over, console.export_text()


def spoken(bank, n=1):
    """Questions that are answered in words."""
    return [item for item in bank.items.values() if item.kind == "concept"][:n]


def marks(item, word="y"):
    """One answer: an empty line (said aloud), a mark for each point, Enter for the follow-up."""
    return ["", *[word] * len(item.points), ""]


def test_the_time_is_filled_and_not_more(bank):
    for minutes in (3, 10, 30, 60, 120):
        ids, _ = interview.choose(bank, minutes, [], None, 0, False)
        takes = sum(interview.MINUTES[bank[id].kind] for id in ids)
        assert minutes - 2 <= takes <= minutes and len(set(ids)) == len(ids)


def test_a_seed_chooses(bank):
    first = interview.choose(bank, 60, ["vae", "gan"], 2, 5, True)
    assert first == interview.choose(bank, 60, ["vae", "gan"], 2, 5, True)
    assert any(first != interview.choose(bank, 60, ["vae", "gan"], 2, seed, True) for seed in range(6, 12))
    assert {bank[id].chapter for id in first[0]} <= {"vae", "gan"}
    assert all(bank[id].difficulty <= 2 for id in first[0])
    assert all(bank[id].difficulty >= 2 for id in interview.choose(bank, 60, [], 3, 0, True)[0])


def test_what_is_asked_often_is_asked_more(bank):
    drawn = [bank[id].asked for seed in range(40) for id in interview.choose(bank, 15, [], None, seed, False)[0]]
    everywhere = [item.asked for item in bank.items.values()]
    assert sum(drawn) / len(drawn) > 1.2 * sum(everywhere) / len(everywhere)


def test_one_question_is_written_and_none_in_a_short_interview(bank):
    for seed in range(5):
        ids, keyboard = interview.choose(bank, 60, ["keyboard"], None, seed, True)
        assert ids[-1] == keyboard and interview.can_be_written(bank[keyboard])
        kinds = [bank[id].kind for id in ids[:-1]]
        assert 55 <= interview.WRITTEN + sum(interview.MINUTES[kind] for kind in kinds) <= 60
        assert interview.choose(bank, 15, ["keyboard"], None, seed, True)[1] is None
        assert interview.choose(bank, 60, ["keyboard"], None, seed, False)[1] is None  # no checkout


def test_wishes_that_nothing_meets(bank):
    with pytest.raises(ValueError, match="no chapter 'vea'; choose among"):
        interview.choose(bank, 30, ["vea"], None, 0, True)


def test_the_score_is_the_rubric(bank, tmp_path):
    first, second = spoken(bank, 2)
    half = ["I think it is a bound.", "so it is below.", "", "y", "h", *["n"] * (len(second.points) - 2), ""]
    person = Person(*marks(first), *half)
    state = state_of([first.id, second.id])
    over, shown = hold(bank, state, person, tmp_path / "state.json")
    assert over and not person.lines
    assert [a["score"] for a in state["answers"]] == [1.0, 1.5 / len(second.points)]
    assert state["answers"][1]["typed"] == "I think it is a bound.\nso it is below."
    assert state["answers"][0]["seconds"] == 60 * len(marks(first))
    assert f"1.5 of {len(second.points)} points" in shown and "In a minute" in shown
    # The rubric comes after the answer, and the model answer after the rubric.
    assert shown.index("Type your answer") < shown.index("What a good answer contains") < shown.index("In a minute")


def test_an_unclear_mark_is_asked_again(bank, tmp_path):
    [item] = spoken(bank)
    person = Person("", "maybe", "", "yes", *["no"] * (len(item.points) - 1), "")
    state = state_of([item.id])
    assert hold(bank, state, person, tmp_path / "s.json")[0]
    assert state["answers"][0]["points"] == [1.0] + [0.0] * (len(item.points) - 1)


def test_a_skipped_question_scores_nothing(bank, tmp_path):
    [item] = spoken(bank)
    state = state_of([item.id])
    assert hold(bank, state, Person("s", ""), tmp_path / "s.json")[0]
    assert state["answers"][0]["status"] == "skipped" and state["answers"][0]["score"] == 0


@pytest.mark.parametrize("leave", ["q", EOFError(), KeyboardInterrupt()], ids=["q", "end of input", "Ctrl-C"])
def test_left_and_resumed(bank, tmp_path, leave):
    first, second = spoken(bank, 2)
    path = tmp_path / "runs" / "state.json"
    state = state_of([first.id, second.id])
    over, _ = hold(bank, state, Person(*marks(first), "", "y", leave), path)
    assert not over and len(state["answers"]) == 1
    kept = interview.resumed(path, bank)
    assert kept == json.loads(path.read_text()) and kept["elapsed"] > 60
    person = Person(*marks(second))
    over, shown = hold(bank, kept, person, path)
    assert over and [a["id"] for a in kept["answers"]] == [first.id, second.id]
    assert "Question 2 of 2" in shown
    assert kept["elapsed"] > state["elapsed"]  # the clock goes on where it stopped


def test_time_runs_out(bank, tmp_path):
    items = spoken(bank, 3)
    state = state_of([item.id for item in items], minutes=4)  # the first answer takes longer
    over, shown = hold(bank, state, Person(*marks(items[0])), tmp_path / "s.json")
    assert over and len(state["answers"]) == 1 and "Time is up." in shown
    text = report(bank, state, date(2026, 1, 2))
    assert "1 of 3 questions reached" in text
    assert all(f"- {item.id}: " in text.split("## Not reached")[1] for item in items[1:])


def test_a_damaged_state_is_named(bank, tmp_path):
    path = tmp_path / "s.json"
    with pytest.raises(ValueError, match="no interview to resume"):
        interview.resumed(path, bank)
    for text in ("{", "[]", '{"answers": [{}]}'):
        path.write_text(text)
        with pytest.raises(ValueError, match="cannot be read .* delete it"):
            interview.resumed(path, bank)
    state = state_of(["Q998", spoken(bank)[0].id])  # a question that the bank no longer has
    path.write_text(json.dumps(state))
    assert interview.resumed(path, bank)["ids"] == [spoken(bank)[0].id]


# --- at the keyboard ----------------------------------------------------------------------------------------


@pytest.fixture
def written(bank):
    return next(item for item in bank.items.values() if interview.can_be_written(item))


def test_code_is_graded(bank, written, tmp_path, monkeypatch):
    shares = [(0.25, "exp(logvar) is the variance"), (1.0, ""), (1.0, "")]
    graded = []
    monkeypatch.setattr(interview, "grade_one", lambda path, id: graded.append((path, id)) or shares[len(graded) - 1])
    state = state_of([written.id], keyboard=written.id)
    over, shown = hold(bank, state, Person("", "t", "", ""), tmp_path / "s.json")
    assert over and state["answers"][0] | {"seconds": 0} == {
        "id": written.id, "status": "graded", "score": 1.0, "points": [], "typed": "", "seconds": 0,
    }  # fmt: skip
    assert "exp(logvar) is the variance" in shown and "gives 25 %" in shown
    [(copy, id), _] = graded
    assert id == written.exercises[0] and copy.parent == tmp_path
    assert copy.read_bytes() == (ROOT / "exercises" / copy.name).read_bytes()
    # What was written stays when the question comes again.
    copy.write_text("mine")
    hold(bank, state_of([written.id], keyboard=written.id), Person("", ""), tmp_path / "s.json")
    assert copy.read_text() == "mine"


def test_without_a_grader_you_judge(bank, written, tmp_path, monkeypatch):
    monkeypatch.setattr(interview.importlib.util, "find_spec", lambda name: None)
    state = state_of([written.id], keyboard=written.id)
    over, shown = hold(bank, state, Person("", "h", ""), tmp_path / "s.json")
    assert over and state["answers"][0]["score"] == 0.5 and "judge it yourself" in shown


@pytest.mark.slow
def test_the_real_grader_judges(tmp_path):
    pytest.importorskip("genimg_lib.grade")
    path = tmp_path / "02_vae.ipynb"
    path.write_bytes((ROOT / "exercises/02_vae.ipynb").read_bytes())
    assert interview.grade_one(path, "gaussian_kl")[0] == 0
    path.write_bytes((ROOT / "solutions/02_vae.ipynb").read_bytes())
    assert interview.grade_one(path, "gaussian_kl")[0] == 1
    path.write_text("no notebook")
    assert interview.grade_one(path, "gaussian_kl")[0] is None


# --- the report ---------------------------------------------------------------------------------------------


def test_the_report_says_what_to_study(bank, tmp_path, monkeypatch):
    monkeypatch.setenv("GENIMG_BASEURL", "https://example.org/genimg")
    good, weak = spoken(bank, 2)
    state = state_of([good.id, weak.id])
    words = ["a > b | c", "", "n", *["y"] * (len(weak.points) - 1), ""]
    hold(bank, state, Person(*marks(good), *words), tmp_path / "s.json")
    text = report(bank, state, date(2026, 1, 2))
    assert text.startswith("# Mock interview, 2026-01-02\n")
    study = text.split("## What to study")[1].split("## What you wrote")[0]
    assert f"### {weak.id} · " in study and f"### {good.id}" not in study
    assert f"- {weak.points[0]}\n" in study and f"- {weak.points[1]}\n" not in study
    assert f"(https://example.org/genimg/{weak.page}.html#{weak.anchor})" in study
    assert f"(https://example.org/genimg/{weak.page}.html)" in study
    assert "> a > b | c" in text


def test_links_lead_to_files_without_an_address(bank, tmp_path, monkeypatch):
    monkeypatch.delenv("GENIMG_BASEURL", raising=False)
    [item] = spoken(bank)
    state = state_of([item.id])
    hold(bank, state, Person("s", ""), tmp_path / "s.json")
    links = re.findall(r"\]\(file://([^)#]+)", report(bank, state, date(2026, 1, 2)))
    assert links and all(Path(link).is_file() for link in links)


def test_a_report_replaces_nothing(tmp_path):
    names = [write_new(tmp_path / "interview.md", f"{n}").name for n in range(3)]
    assert names == ["interview.md", "interview-2.md", "interview-3.md"]
    assert (tmp_path / "interview.md").read_text() == "0"


@pytest.mark.parametrize(
    "formula, words",
    [
        (r"\hat x_0 = \frac{x_t - \sigma_t \epsilon}{\alpha_t}", "x̂_0 = (x_t - σ_t ε)/(α_t)"),
        (r"\mathrm{KL}(q \,\|\, p(z \mid x)) \ge 0", "KL(q ‖ p(z | x)) ≥ 0"),
        (r"\sqrt{1 - \bar\alpha_t}", "√(1 - ᾱ_t)"),
        (r"\tfrac12 \mathbb{E}[\log D(x)]", "1/2 E[log D(x)]"),
    ],
)
def test_formulas_are_readable_in_a_terminal(formula, words):
    import unicodedata

    assert unicodedata.normalize("NFC", readable(formula)) == unicodedata.normalize("NFC", words)


def test_no_formula_of_the_bank_keeps_its_backslashes(bank):
    texts = [t for i in bank.items.values() for t in (i.question, i.answer, *i.points)]
    left = [m for text in texts for m in re.findall(r"\\[a-zA-Z]{2,}", for_terminal(text))]
    assert not left


# --- the command --------------------------------------------------------------------------------------------


def call(monkeypatch, capsys, *words):
    monkeypatch.setattr("sys.argv", ["genimg", "interview", *map(str, words)])
    try:
        cli.main()
        status = 0
    except SystemExit as leave:
        status = leave.code or 0
    said = capsys.readouterr()
    return status, said.out + said.err


def test_the_command_needs_a_terminal(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_file", None)
    status, said = call(monkeypatch, capsys)
    assert status == 2 and "needs a terminal" in said and said.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.fixture
def terminal(tmp_path, monkeypatch, capsys):
    """The command in an empty folder, with a person who skips every question."""
    monkeypatch.chdir(tmp_path)
    for console in (cli.out, cli.err):
        monkeypatch.setattr(console, "_file", None)
    monkeypatch.setattr(sys.stdin, "isatty", lambda: True)
    lines = []
    monkeypatch.setattr("builtins.input", lambda *_: lines.pop(0) if lines else "s")
    return lambda *words, say=(): (lines.__setitem__(slice(None), say), call(monkeypatch, capsys, *words))[1]


def test_the_command_from_first_to_last(terminal, tmp_path):
    status, said = terminal("--minutes", 9, "--topics", "gan", say=["", "q"])
    assert status == 1 and "--resume" in said
    assert (tmp_path / "runs/interview/state.json").is_file()
    status, said = terminal("--minutes", 9, "--topics", "gan")
    assert status == 2 and "unfinished interview" in said
    status, said = terminal("--resume")
    assert status == 0 and "interview.md" in said
    assert "skipped" in (tmp_path / "interview.md").read_text()
    assert not (tmp_path / "runs/interview/state.json").exists()
    status, said = terminal("--resume")
    assert status == 2 and "no interview to resume" in said
    before = (tmp_path / "interview.md").read_text()
    assert terminal("--minutes", 3, "--out", "interview-b.md")[0] == 0
    status, said = terminal("--minutes", 3, "--out", "interview-b.md")
    assert status == 2 and "exists" in said
    assert terminal("--minutes", 3)[0] == 0
    assert (tmp_path / "interview.md").read_text() == before and (tmp_path / "interview-2.md").is_file()


def test_the_command_names_the_topics(terminal):
    status, said = terminal("--topics", "list")
    assert status == 0 and "gan" in said and "vae" in said
    status, said = terminal("--topics", "gna")
    assert status == 2 and "choose among" in said


@pytest.mark.slow
@pytest.mark.skipif(not hasattr(os, "openpty"), reason="this system has no pseudo-terminals")
def test_in_a_real_terminal(tmp_path):
    import pty

    pid, terminal = pty.fork()
    if not pid:
        os.chdir(tmp_path)
        words = ["-m", "genimg_lib.cli", "interview", "--minutes", "3", "--topics", "gan", "--level", "1"]
        os.execv(sys.executable, [sys.executable, *words])
    said, replies, until = b"", [b"> ", b"shows the answer "], time.monotonic() + 120
    while replies and time.monotonic() < until:
        said += os.read(terminal, 65536)
        if replies[0] in said:
            os.write(terminal, b"s\n" if len(replies) == 2 else b"\n")
            said, replies = b"", replies[1:]
    while True:
        try:
            said += os.read(terminal, 65536)
        except OSError:  # Linux's way to say that the terminal was closed
            break
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0
    assert b"interview.md" in said and "# Mock interview" in (tmp_path / "interview.md").read_text()
