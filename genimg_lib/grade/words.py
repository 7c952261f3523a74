"""What an answer says, and how it ends, in words fit for a report."""

import re
import signal
import unicodedata

LONGEST = 300  # characters of an answer's own words


def said(text) -> str:
    """An answer's own words, fit for a report: clean, and without the long numbers that inputs are."""
    return clean(re.sub(r"\d+\.\d{3,}(e[-+]?\d+)?", "…", text[: 4 * LONGEST])) if type(text) is str else ""


def clean(text: str, longest: int = LONGEST) -> str:
    """One line without controls and without what turns the direction of writing, cut where it is too long."""
    hidden = {"Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp"}
    kept = "".join(" " if unicodedata.category(c) in hidden else c for c in text[: 4 * longest])
    text = " ".join(kept.split())
    return text if len(text) <= longest else text[:longest] + " …"


def ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return "ended the process that ran it (exit, quit or os._exit?)"
    name = signal.Signals(-status).name if -status in set(signal.Signals) else f"signal {-status}"
    words = {"SIGSEGV": "crashed the process: a wild pointer, or a recursion without end",
             "SIGKILL": "was killed: did it take all the memory?", "SIGSYS": "was stopped by the sandbox",
             "SIGXFSZ": "wrote a file too large", "SIGXCPU": "took all the time it was given"}  # fmt: skip
    return words.get(name, "ended the process that ran it") + f" ({name})"
