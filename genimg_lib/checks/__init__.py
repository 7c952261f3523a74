"""The exercises' checks: `check("id", answer)` in a notebook, `hint("id")` for the next hint."""

from genimg_lib.checks.core import QUESTIONS, check, hint, judge, load_all

__all__ = ["QUESTIONS", "check", "hint", "judge", "load_all"]
