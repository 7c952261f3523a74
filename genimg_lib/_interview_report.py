"""What a mock interview leaves behind: a report in Markdown that says what to study, and formulas for a terminal."""

import os
import re
import unicodedata
from datetime import date
from pathlib import Path

from genimg_lib.bank import Bank, Item, Known, checkout

GREEK = {name: chr(code) for name, code in {
    "alpha": 945, "beta": 946, "gamma": 947, "delta": 948, "epsilon": 949, "varepsilon": 949, "zeta": 950, "eta": 951,
    "theta": 952, "lambda": 955, "mu": 956, "nu": 957, "xi": 958, "pi": 960, "rho": 961, "sigma": 963, "tau": 964,
    "phi": 966, "varphi": 966, "chi": 967, "psi": 968, "omega": 969, "Gamma": 915, "Delta": 916, "Theta": 920,
    "Lambda": 923, "Sigma": 931, "Phi": 934, "Psi": 936, "Omega": 937,
}.items()}  # fmt: skip
SIGNS = GREEK | {
    "le": "≤", "leq": "≤", "ge": "≥", "geq": "≥", "ne": "≠", "neq": "≠", "approx": "≈", "sim": "~", "propto": "∝",
    "times": "×", "cdot": "·", "odot": "⊙", "pm": "±", "to": "→", "rightarrow": "→", "mapsto": "↦", "infty": "∞",
    "nabla": "∇", "partial": "∂", "sum": "Σ", "prod": "Π", "int": "∫", "in": "∈", "mid": "|", "|": "‖", "parallel": "‖",
    "ldots": "…", "dots": "…", "cdots": "…", "varnothing": "∅", "emptyset": "∅", "top": "ᵀ", "ell": "ℓ", "circ": "∘",
    ",": " ", ";": " ", ":": " ", "!": "", " ": " ", "quad": "  ", "qquad": "  ", "left": "", "right": "", "{": "{",
    "}": "}", "&": "&", "%": "%", "\\": ";", "big": "", "Big": "", "bigl": "", "bigr": "", "Bigl": "", "Bigr": "",
}  # fmt: skip
ACCENTS = {"hat": 0x302, "bar": 0x304, "tilde": 0x303, "dot": 0x307, "widehat": 0x302, "widetilde": 0x303}
WRAPPED = re.compile(
    r"\\(?:text|mathrm|mathbb|mathcal|mathbf|boldsymbol|operatorname|mathit)\*?\s*(?:\{([^{}]*)\}|(\w))"
)
MATHS = re.compile(r"\$\$(.+?)\$\$|(?<!\\)\$(.+?)(?<!\\)\$", re.S)


def readable(formula: str) -> str:
    r"""A TeX formula for a terminal: `\hat x = \frac{a}{\sigma_t}` becomes x̂ = (a)/(σ_t)."""
    text = " ".join(formula.split())
    for _ in range(4):  # nested braces, from the inside
        text = WRAPPED.sub(lambda m: m[1] or m[2] or "", text)
        text = re.sub(r"\\[dt]?frac\s*\{([^{}]*)\}\s*\{([^{}]*)\}", r"(\1)/(\2)", text)
        text = re.sub(r"\\[dt]?frac\s*(\d)\s*(\d)", r"\1/\2", text)
        text = re.sub(r"\\sqrt\s*(?:\{([^{}]*)\}|(\w))", lambda m: f"√({m[1] or m[2]})", text)
        text = re.sub(r"\\(hat|bar|tilde|dot|widehat|widetilde)\s*(?:\{([^{}]+)\}|(\\[a-zA-Z]+|\w))", accented, text)
        text = re.sub(r"\{(\w|\\[a-zA-Z]+)\}", r"\1", text)
    text = re.sub(r"\\([a-zA-Z]+|.)", lambda m: SIGNS.get(m[1], m[1]), text)
    return re.sub(r" +", " ", text).strip()


def accented(match: re.Match) -> str:
    letter = match[2] or match[3]
    letter = SIGNS.get(letter.removeprefix("\\"), letter)
    return unicodedata.normalize("NFC", letter[0] + chr(ACCENTS[match[1]])) + letter[1:]


def for_terminal(text: str) -> str:
    """Markdown whose formulas are words and signs, safe from Markdown's own marks."""
    return MATHS.sub(lambda m: re.sub(r"([\\`*_{}\[\]<>#|~])", r"\\\1", readable(m[1] or m[2])), text)


# --- links --------------------------------------------------------------------------------------------------


def link(words: str, page: str, anchor: str = "") -> str:
    """A Markdown link to a page: on the site (GENIMG_BASEURL), in the site built here, or to the page's source."""
    root, fragment = checkout(), f"#{anchor}" if anchor else ""
    if base := os.environ.get("GENIMG_BASEURL"):
        return f"[{words}]({base.rstrip('/')}/{page}.html{fragment})"
    if root and (built := root / "_build" / "html" / f"{page}.html").is_file():
        return f"[{words}]({built.as_uri()}{fragment})"
    for suffix in (".ipynb", ".md"):
        if root and (source := root / f"{page}{suffix}").is_file():
            return f"[{words}]({source.as_uri()})"
    return f"{words} (`{page}`)"


def to_study(item: Item, exercises: dict[str, str]) -> list[str]:
    """Where an item is taught and practised, as links."""
    lines = [link(f"{item.id}, answered in full", item.page, item.anchor)]
    lines += [link(f"chapter `{page}`", page) for page in dict.fromkeys([*item.pages, item.page])]
    for id in item.exercises:
        if page := exercises.get(id):
            lines.append(link(f"exercise `{id}`", page, f"exercise-{id.replace('_', '-')}"))
    return lines


# --- the report ---------------------------------------------------------------------------------------------


def percent(answers: list[dict]) -> str:
    return f"{100 * sum(a['score'] for a in answers) / len(answers):.0f} %" if answers else "–"


def report(bank: Bank, state: dict, day: date) -> str:
    """The whole interview: scores, by topic, what to study (the weakest first), what was said."""
    wishes, answers = state["settings"], state["answers"]
    root = checkout()
    exercises = Known(root).exercises if root else {}
    lines = [
        f"# Mock interview, {day.isoformat()}", "",
        f"{wishes['minutes']} minutes, topics: {', '.join(wishes['topics']) or 'all'}, "
        f"level: {wishes['level'] or 'all'}, seed {wishes['seed']}. "
        f"{len(answers)} of {len(state['ids'])} questions reached in {state['elapsed'] / 60:.0f} minutes. "
        f"Your score: **{percent(answers)}** (your own judgement against the rubric, the check's for code).", "",
        "| | Question | Topic | Score | Minutes |", "|---|---|---|--:|--:|",
    ]  # fmt: skip
    for answer in answers:
        item = bank[answer["id"]]
        score = "skipped" if answer["status"] == "skipped" else f"{100 * answer['score']:.0f} %"
        question = " ".join(item.question.split()).replace("|", "\\|")
        lines.append(
            f"| {item.id} | {question} | {bank.titles[item.chapter]} | {score} | {answer['seconds'] / 60:.1f} |"
        )
    lines += ["", "## By topic", "", "| Topic | Questions | Score |", "|---|--:|--:|"]
    topics = dict.fromkeys(bank[answer["id"]].chapter for answer in answers)
    rows = {topic: [a for a in answers if bank[a["id"]].chapter == topic] for topic in topics}
    for topic, group in sorted(rows.items(), key=lambda row: sum(a["score"] for a in row[1]) / len(row[1])):
        lines.append(f"| {bank.titles[topic]} | {len(group)} | {percent(group)} |")
    weak = sorted((a for a in answers if a["score"] < 1), key=lambda a: (a["score"], -bank[a["id"]].asked))
    lines += ["", "## What to study, the weakest first", ""]
    if not weak:
        lines.append("Nothing was missed. Ask for a higher level, or more topics.")
    for answer in weak:
        item = bank[answer["id"]]
        lines += [f"### {item.id} · {' '.join(item.question.split())}", ""]
        missed = [p for p, mark in zip(item.points, answer["points"], strict=False) if mark < 1]
        if answer["status"] == "skipped":
            lines.append("You skipped it. A good answer contains:")
            missed = item.points
        elif answer["status"] == "graded":
            lines.append(f"The check gave {100 * answer['score']:.0f} %. A good answer contains:")
            missed = item.points
        else:
            lines.append("Missing or half there:")
        lines += ["", *(f"- {point}" for point in missed), "", f"Study: {'; '.join(to_study(item, exercises))}.", ""]
    typed = [answer for answer in answers if answer["typed"]]
    if typed:
        lines += ["## What you wrote", ""]
    for answer in typed:
        lines += [f"**{answer['id']}**", "", *(f"> {line}" for line in answer["typed"].split("\n")), ""]
    left = state["ids"][len(answers) :]
    if left:
        lines += ["## Not reached", "", *(f"- {id}: {' '.join(bank[id].question.split())}" for id in left), ""]
    return "\n".join(lines).rstrip() + "\n"


def write_new(path: Path, text: str) -> Path:
    """Write a file that must not exist yet; beside one that does, name-2, name-3 …"""
    for n in range(1, 1000):
        free = path if n == 1 else path.with_stem(f"{path.stem}-{n}")
        try:
            with free.open("x", encoding="utf-8") as file:
                file.write(text)
        except FileExistsError:
            continue
        return free
    raise FileExistsError(f"{path} and 998 files named like it exist; move some away")
