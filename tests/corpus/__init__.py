"""The judge on trial: right answers in unusual forms, and wrong ones with the property that must catch each.

One module a notebook, named like its module of checks. A learner never needs to look in here.
"""

import importlib.util

from genimg_lib.checks.core import NOTEBOOKS

RIGHT: dict[str, list] = {}  # question id -> answers that deserve full marks
WRONG: dict[str, list] = {}  # question id -> (answer, name of the property that must fail)


def right(id: str):
    """Register an answer that must pass with full points."""

    def register(answer):
        RIGHT.setdefault(id, []).append(answer)
        return answer

    return register


def wrong(id: str, caught_by: str):
    """Register an answer that must not pass, and the property that must be among those it fails."""

    def register(answer):
        WRONG.setdefault(id, []).append((answer, caught_by))
        return answer

    return register


def load() -> None:
    """Fill RIGHT and WRONG from every module of the corpus."""
    for module in NOTEBOOKS.values():
        if importlib.util.find_spec(f"tests.corpus.{module}"):
            importlib.import_module(f"tests.corpus.{module}")
