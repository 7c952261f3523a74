"""The three programs to read: shown as they are stored, with a truth that agrees with itself."""

import ast
from pathlib import Path

import nbformat
import pytest

from genimg_lib.checks.article import CLASSES, FAULTS, PROGRAMS, numbered
from genimg_lib.checks.core import judge, load_all

SOLUTION = Path(__file__).parent.parent / "solutions" / "09_debug_gan.ipynb"


@pytest.mark.parametrize("program", PROGRAMS)
def test_the_statement_shows_the_program_with_its_line_numbers(program):
    statement = "\n".join(c.source for c in nbformat.read(SOLUTION, 4).cells if c.cell_type == "markdown")
    assert f"```text\n{numbered(program)}\n```" in statement
    assert all(f"| `{name}` | {meaning} |" in statement for name, meaning in CLASSES.items())
    assert f"**{len(FAULTS)} faults**" in statement


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_is_python_that_nobody_ran(program):
    ast.parse(PROGRAMS[program])


def test_every_fault_has_a_place_and_every_class_a_fault():
    kinds = {kind for _, _, places in FAULTS for _, kind in places}
    assert kinds == set(CLASSES)
    assert all(places for _, _, places in FAULTS)


def test_the_score_is_f1_times_the_points():
    question = load_all()["find_the_faults"]
    right = sorted((program, *sorted(places)[0]) for program, _, places in FAULTS)
    assert len(set(right)) == len(right), "one place stands for two faults"
    half = right[: len(right) // 2]
    recall, noise = len(half) / len(right), [("vae", 1, "wrong size")] * 1
    precision = len(half) / (len(half) + 1)
    f1 = 2 * precision * recall / (precision + recall)
    assert judge(question, lambda: set(half + noise)).score == round(4 * f1, 2)
    assert judge(question, set(right)).score == 4.0
    assert judge(question, lambda: "everything").score == 0
    assert judge(question, lambda: 7).score == 0
    assert judge(question, lambda: {("vae", 10**9, "wrong size"), (None, "x", ())}).score == 0
    assert judge(question, lambda: set()).status == "not_started"


class Unequal(str):
    """A text that equals nothing, not even itself, so that no set notices a repetition."""

    __eq__, __ne__, __hash__ = lambda self, other: False, lambda self, other: True, object.__hash__
    __str__ = lambda self: self  # noqa: E731


def test_a_fault_counts_once_however_often_it_is_named():
    question = load_all()["find_the_faults"]
    known = [(program, *sorted(places)[0]) for program, _, places in FAULTS[:1]]
    noise = [(program, n, "left out") for program in PROGRAMS for n in range(1, 100)]
    again = [(Unequal(program), n, kind) for program, n, kind in known] * 2000
    assert judge(question, known + noise + again).score == judge(question, known + noise).score < 1
