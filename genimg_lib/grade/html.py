"""The reports as pages: one for the class, one a student. Each is one file, works offline, in light and dark.

Everything that comes out of a submission is cleaned and escaped where it is written, and a content security policy
forbids scripts but the one below, so that a name such as <script> stays a name.
"""

import base64
import hashlib
from collections import Counter
from html import escape
from pathlib import Path
from urllib.parse import quote

from genimg_lib.checks.core import QUESTIONS
from genimg_lib.grade.report import MARK, Sheet, clean, likely, line, points

HERE = Path(__file__).parent
WORDS = {"pass": "all properties hold", "fail": "not yet", "error": "raised an error",
         "timeout": "stopped before it ended", "not_started": "not started"}  # fmt: skip
LEVELS = {
    "bwrap": "bubblewrap, Landlock and seccomp",
    "lockdown": "Landlock and seccomp, without bubblewrap",
    "none": "no sandbox: the answers ran with the rights of whoever graded them",
}


def text(value) -> str:
    """Anything from a submission, for one line of a page."""
    return escape(line(value))


def page(title: str, body: str, script: str = "") -> str:
    """A whole page, its style and its script inside."""
    mark = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    allowed = f"script-src 'sha256-{mark}'; " if script else ""
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; {allowed}style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>
{(HERE / "page.css").read_text(encoding="utf-8")}</style>
</head>
<body>
<main>
{body}
</main>
{f"<script>{script}</script>" if script else ""}
</body>
</html>
"""


def figure(number, words: str) -> str:
    return f"<div><b>{number}</b><span>{words}</span></div>"


def percent(share: float) -> str:
    return f"{100 * share:.0f}%"


def footer(result: dict) -> str:
    level = LEVELS.get(result["level"], result["level"])
    return f"<footer>Graded by genimg with seed {result['seed']}. The answers ran behind: {escape(level)}.</footer>"


# --- the class ----------------------------------------------------------------------------------------------


def class_page(result: dict, sheet: Sheet, names: dict[str, str]) -> str:
    """The class at a glance: figures, distribution, hardest questions, what is worth a look, everybody."""
    entries, students = result["submissions"], list(sheet.students)
    shares = [sheet.share(student) for student in students]
    mean = sum(shares) / len(shares) if shares else 0.0
    full = sum(share > 0.9999 for share in shares)
    unusable = sum(entry["status"] != "graded" for entry in entries)
    figures = [
        figure(len(students), "student" if len(students) == 1 else "students"),
        figure(len(entries), "notebook" if len(entries) == 1 else "notebooks"),
        figure(percent(mean), "of all points, on average"),
        figure(full, "with full marks"),
        figure(unusable, "could not be graded"),
    ]
    body = [
        f"<h1>Class report</h1><p class='soft'>{text(', '.join(sheet.assignments))}</p>",
        f"<div class='figures'>{''.join(figures)}</div>",
        distribution(shares),
        hardest(entries),
        worth_a_look(entries, names),
        everybody(sheet, names),
        footer(result),
    ]
    return page("Class report", "\n".join(body), (HERE / "page.js").read_text(encoding="utf-8"))


def distribution(shares: list[float]) -> str:
    """How many students have how much, in tenths of all points."""
    counts = Counter(min(9, int(10 * share + 1e-9)) for share in shares)
    most = max(counts.values(), default=1)
    bars = "".join(
        f"<div>{counts[i]}<i style='height:{85 * counts[i] / most:.1f}%'></i></div>" if counts[i] else "<div></div>"
        for i in range(10)
    )
    axis = "".join(f"<span>{10 * i}–{10 * i + 10}</span>" for i in range(10))
    said = f"students by tenths of all points: {', '.join(str(counts[i]) for i in range(10))}"
    return (
        f"<h2>Distribution</h2><div class='card'><div class='small soft'>students by percent of all points</div>"
        f"<div class='bars' role='img' aria-label='{said}'>{bars}</div><div class='axis'>{axis}</div></div>"
    )


def hardest(entries: list[dict], most: int = 12) -> str:
    """The questions with the fewest points, and how their answers fared."""
    asked: dict[str, list[dict]] = {}
    for entry in entries:
        for question in entry["questions"]:
            asked.setdefault(question["id"], []).append(question)
    if not asked:
        return ""
    share = {id: sum(q["score"] for q in rows) / sum(q["max_score"] for q in rows) for id, rows in asked.items()}
    rows = []
    for id in sorted((id for id in asked if share[id] < 1), key=lambda id: (share[id], id))[:most]:
        counts = Counter(question["status"] for question in asked[id])
        lost = Counter(p["name"] for q in asked[id] if q["status"] in ("fail", "error")
                       for p in q["properties"] if p["status"] != "pass")  # fmt: skip
        often = min(lost, key=lambda name: (-lost[name], name), default="")
        often = f"<br><span class='small soft'>most often lost: {text(often)}</span>" if often else ""
        said = ", ".join(f"{counts[status]} {status.replace('_', ' ')}" for status in MARK if counts[status])
        parts = "".join(f"<i class='{s}' style='flex:{counts[s]}'></i>" for s in MARK if counts[s])
        rows.append(f"<div>{escape(QUESTIONS[id].title)} <code class='soft'>{id}</code>{often}</div>"
                    f"<div class='stack' role='img' title='{said}' aria-label='{said}'>{parts}</div>"
                    f"<div>{percent(share[id])}</div>")  # fmt: skip
    if not rows:
        return ""
    key = "".join(f"<span><i class='{status}'></i>{status.replace('_', ' ')}</span>" for status in MARK)
    return (f"<h2>Hardest questions</h2><div class='card'><div class='hard'>{''.join(rows)}</div>"
            f"<div class='key'>{key}</div></div>")  # fmt: skip


def worth_a_look(entries: list[dict], names: dict[str, str]) -> str:
    """What could not be graded, and what was odd."""
    cards = []
    for entry in entries:
        said = [f"could not be graded: {entry['message']}"] if entry["status"] != "graded" else []
        said += entry["flags"]
        if said:
            items = "".join(f"<li>{text(flag)}</li>" for flag in said)
            cards.append(f"<div class='card'><h3>{link(entry['student'], names)} <code class='soft'>"
                         f"{text(entry['path'])}</code></h3><ul class='flags'>{items}</ul></div>")  # fmt: skip
    return f"<h2>Worth a look</h2>{''.join(cards)}" if cards else ""


def link(student: str, names: dict[str, str]) -> str:
    return f"<a href='students/{quote(names[student])}.html'>{text(student) or '(no name)'}</a>"


def everybody(sheet: Sheet, names: dict[str, str]) -> str:
    """A table of everybody, to sort and to search."""
    head = "".join(f"<th><button>{text(a)}<br>{points(sheet.most(a))}</button></th>" for a in sheet.assignments)
    rows = []
    for student in sheet.students:
        cells = []
        for assignment in sheet.assignments:
            score = sheet.score(student, assignment)
            there = assignment in sheet.students[student]
            kind = "full" if score >= sheet.most(assignment) > 0 else "" if there else "gone"
            shown = points(score) if there else "–"
            cells.append(f"<td class='{kind}' data-value='{points(score)}'>{shown}</td>")
        total = sheet.total(student)
        cells += [f"<td data-value='{points(total)}'>{points(total)}</td>",
                  f"<td data-value='{sheet.share(student):.4f}'>{percent(sheet.share(student))}</td>"]  # fmt: skip
        rows.append(f"<tr><td>{link(student, names)}</td>{''.join(cells)}</tr>")
    most = points(sum(map(sheet.most, sheet.assignments)))
    return (f"<h2>Everybody</h2><input type='search' placeholder='find a student' aria-label='find a student'>"
            f"<div class='wide'><table><thead><tr><th><button>student</button></th>{head}"
            f"<th><button>points<br>{most}</button></th><th><button>percent</button></th></tr></thead>"
            f"<tbody>{''.join(rows)}</tbody></table></div>"
            f"<p class='small soft'>– not handed in, which counts as 0. Click a heading to sort.</p>")  # fmt: skip


# --- a student ----------------------------------------------------------------------------------------------


def student_page(student: str, entries: list[dict], sheet: Sheet, result: dict, site: str = "") -> str:
    """What a student reads: every question with its verdict, the likely cause, hints and where to read on."""
    got, most = sum(e["score"] for e in entries), sum(e["max_score"] for e in entries)
    share = got / most if most else 0.0
    turn = 2 * 3.14159265 * 45
    arc = (f"<circle class='got' cx='50' cy='50' r='45' transform='rotate(-90 50 50)' "
           f"stroke-dasharray='{turn * share:.1f} {turn:.1f}'/>") if share else ""  # fmt: skip
    ring = (f"<svg class='ring' viewBox='0 0 100 100' role='img' aria-label='{percent(share)}'>"
            f"<circle cx='50' cy='50' r='45'/>{arc}<text x='50' y='50'>{percent(share)}</text></svg>")  # fmt: skip
    body = [f"<div class='top'>{ring}<div><h1>{text(student) or '(no name)'}</h1>"
            f"<p class='soft'>{points(got)} of {points(most)} points</p></div></div>"]  # fmt: skip
    for entry in sorted(entries, key=lambda e: (e["notebook"] or "~", e["path"])):
        body.append(submission(entry, site))
    return page(f"{line(student)}: {points(got)} of {points(most)} points", "\n".join([*body, footer(result)]))


def submission(entry: dict, site: str) -> str:
    score = f"{points(entry['score'])} of {points(entry['max_score'])} points"
    head = f"<h2>{text(entry['notebook'] or 'Unknown notebook')} · {score}</h2>"
    head += f"<p class='small soft'><code>{text(entry['path'])}</code></p>"
    if entry["flags"]:
        head += f"<ul class='flags'>{''.join(f'<li>{text(flag)}</li>' for flag in entry['flags'])}</ul>"
    if entry["status"] != "graded":
        return head + f"<div class='card question error'>This file could not be graded: {text(entry['message'])}.</div>"
    return head + "".join(question(asked, site) for asked in entry["questions"])


def question(asked: dict, site: str) -> str:
    """One verdict as a card."""
    about, status = QUESTIONS[asked["id"]], asked["status"]
    score = f"<b>{points(asked['score'])}</b> of {points(asked['max_score'])}"
    parts = [f"<header><h3><span class='mark'>{MARK[status]}</span> {escape(about.title)}</h3>"
             f"<span>{WORDS[status]} · {score}</span></header>"]  # fmt: skip
    if status in ("error", "timeout") and asked["message"]:
        parts.append(f"<p class='message'>{escape(clean(asked['message']))}</p>")
    if status == "pass":
        count = len(asked["properties"])
        parts.append(f"<details class='small'><summary>{count} properties</summary>{props(asked)}</details>")
    elif status != "not_started":
        parts.append(props(asked))
    if cause := likely(asked):
        parts.append(f"<p class='cause'><b>Likely cause:</b> {escape(cause)}</p>")
    if status != "pass":
        hints = ""
        for i in (3, 2, 1):  # one inside the other: the second shows once the first is read
            hints = f"<details><summary>Hint {i} of 3</summary><p>{escape(about.hints[i - 1])}</p>{hints}</details>"
        where = f"<a href='{escape(site.rstrip('/'))}/{quote(about.read)}.html'>{escape(about.read)}</a>"
        parts.append(f"{hints}<p class='small soft'>To read: {where if site else escape(about.read)} · "
                     f"<code>{asked['id']}</code></p>")  # fmt: skip
    return f"<section class='card question {status}'>{''.join(parts)}</section>"


def props(asked: dict) -> str:
    return f"<ul class='props'>{''.join(prop(row, asked['message']) for row in asked['properties'])}</ul>"


def prop(row: dict, above: str) -> str:
    """One property; what the card has said already is not said again."""
    good = row["status"] == "pass"
    said = f" — {text(row['message'])}" if row["message"] and row["message"] != above else ""
    kind, mark = ("good", "✓") if good else ("bad", "✗")
    return f"<li class='{kind}'><span class='mark'>{mark}</span>{text(row['name'])}{said}</li>"
