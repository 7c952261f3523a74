"""The page on broken code: each card's test fails on its broken lines and passes on its repair."""

import re
from pathlib import Path

import pytest

from genimg_lib.checks.article import PROGRAMS

PAGE = Path(__file__).resolve().parent.parent / "book" / "practice" / "broken_code.md"
TEXT = PAGE.read_text(encoding="utf-8")


def blocks(text: str) -> list[str]:
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


SHARED = blocks(TEXT.partition("\n## ")[0])
CARDS = {
    card.partition("\n")[0]: blocks(card)
    for part in TEXT.split("\n## ")[1:]
    for card in part.split("\n### ")[1:]
}  # fmt: skip


def run(*sources: str) -> None:
    exec(compile("\n".join([*SHARED, *sources]), "<card>", "exec"), {"__name__": "card"})


def test_the_cards_are_found():
    assert len(SHARED) == 1 and len(CARDS) >= 12
    assert all(len(found) == 3 for found in CARDS.values()), "a card is: broken lines, a test, the repair"


@pytest.mark.parametrize("card", CARDS)
def test_a_cards_test_catches_the_fault_and_nothing_else(card):
    broken, proof, repair = CARDS[card]
    with pytest.raises((AssertionError, NameError, TypeError, AttributeError, RuntimeError)):
        run(broken, proof)
    run(repair, proof)


def test_no_card_shows_a_line_that_is_graded():
    plain = {"import torch", "from torch import nn", "super().__init__()", "class VAE(nn.Module):", "return model",
             "class Decoder(nn.Module):", "class Generator(nn.Module):", "pass"}  # fmt: skip
    graded = {line.strip() for program in PROGRAMS.values() for line in program.splitlines() if line.strip()}
    shown = {line.strip() for found in CARDS.values() for text in found for line in text.splitlines()}
    common = {line for line in shown & graded - plain if not line.startswith("def ")}
    assert not common, common
