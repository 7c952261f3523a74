"""What grading found, as a table for the terminal, JSON, nbgrader's CSV, JUnit's XML and Gradescope's JSON.

Nothing here holds a time or a path of this machine: the same results give the same bytes. What comes out of a
submission (names, messages) passes through `clean` before anybody sees it.
"""

import csv
import io
import json
import re
import xml.etree.ElementTree as ET
from dataclasses import dataclass, field

from rich.markup import escape
from rich.table import Table

from genimg_lib.checks.core import QUESTIONS

CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")
MARK = {"pass": "✓", "fail": "✗", "error": "!", "timeout": "…", "not_started": "○"}
COLOUR = {"pass": "green", "fail": "red", "error": "red", "timeout": "red", "not_started": "dim"}
COLUMNS = ("assignment", "duedate", "timestamp", "student_id", "last_name", "first_name", "email", "raw_score",
           "late_submission_penalty", "score", "max_score")  # fmt: skip


def clean(text) -> str:
    """Text without control characters, invisible turns of direction and halves of characters; newlines stay."""
    return CONTROL.sub("�", str(text).replace("\r", ""))


def line(text) -> str:
    """The same on one line."""
    return clean(text).replace("\n", "⏎").replace("\t", " ")


def points(score: float) -> str:
    return f"{round(score, 2):g}"


# --- whose points -------------------------------------------------------------------------------------------


@dataclass
class Sheet:
    """The class: what each student has for each assignment. Of two hand-ins of one notebook the better counts."""

    assignments: dict[str, dict[str, float]] = field(default_factory=dict)  # assignment -> notebook -> points
    students: dict[str, dict[str, dict[str, dict]]] = field(default_factory=dict)  # -> assignment -> notebook -> entry
    strays: list[dict] = field(default_factory=list)  # entries of no known notebook

    @classmethod
    def of(cls, result: dict) -> "Sheet":
        sheet = cls()
        # one student's unreadable file makes no assignment of the whole class
        handed_in = {e["notebook"] for e in result["submissions"] if e["status"] != "invalid"}
        for entry in sorted(result["submissions"], key=lambda e: (e["student"].casefold(), e["student"], e["path"])):
            mine = sheet.students.setdefault(entry["student"], {})
            if not entry["notebook"] or entry["status"] == "invalid" and entry["notebook"] not in handed_in:
                sheet.strays.append(entry)
                continue
            assignment = entry["assignment"] or entry["notebook"]
            sheet.assignments.setdefault(assignment, {})[entry["notebook"]] = entry["max_score"]
            books = mine.setdefault(assignment, {})
            if entry["notebook"] not in books or books[entry["notebook"]]["score"] < entry["score"]:
                books[entry["notebook"]] = entry
        sheet.assignments = {name: sheet.assignments[name] for name in sorted(sheet.assignments)}
        return sheet

    def score(self, student: str, assignment: str) -> float:
        return sum(entry["score"] for entry in self.students[student].get(assignment, {}).values())

    def most(self, assignment: str) -> float:
        return sum(self.assignments[assignment].values())

    def total(self, student: str) -> float:
        return sum(self.score(student, assignment) for assignment in self.assignments)

    def share(self, student: str) -> float:
        """What a student has of all points of the class's assignments, 0 to 1; not handed in counts as 0."""
        return self.total(student) / (sum(map(self.most, self.assignments)) or 1)


# --- for people ---------------------------------------------------------------------------------------------


def table(result: dict) -> Table:
    """A row a submission."""
    rows = Table("submission", "points", "questions", "said", box=None, header_style="bold")
    for entry in result["submissions"]:
        if entry["status"] != "graded":
            rows.add_row(escape(line(entry["path"])), "–", "[red]invalid[/red]", escape(line(entry["message"])))
            continue
        marks = "".join(f"[{COLOUR[q['status']]}]{MARK[q['status']]}[/]" for q in entry["questions"])
        flags = escape(line("; ".join(entry["flags"]))[:160])
        score = f"{points(entry['score'])} of {points(entry['max_score'])}"
        rows.add_row(escape(line(entry["path"])), score, marks, flags)
    return rows


def details(entry: dict) -> list[str]:
    """What a learner reads of one submission: a line a question, and what went wrong. With rich's marks."""
    lines = []
    for asked in entry["questions"]:
        status = asked["status"]
        score = f"{points(asked['score'])} of {points(asked['max_score'])}"
        lines.append(f"[{COLOUR[status]}]{MARK[status]}[/] {asked['id']} · {score}")
        if status in ("error", "timeout"):
            lines.append(f"    {escape(line(asked['message']))}")
        if status not in ("pass", "not_started"):
            lost = [p for p in asked["properties"] if p["status"] != "pass"]
            lines += [f"    ✗ {escape(line(p['name']))}: {escape(line(p['message']))}" for p in lost
                      if p["message"] not in ("", asked["message"])]  # fmt: skip
            if cause := likely(asked):
                lines.append(f"    Likely cause: {escape(cause)}")
            lines.append(f"    Next: genimg hint {asked['id']}, or read {QUESTIONS[asked['id']].read}")
    return lines


def likely(asked: dict) -> str:
    """The likeliest mistake behind a lost question, in our words; "" where nothing was lost."""
    if asked["status"] not in ("fail", "error"):
        return ""
    causes = {rule.name: rule.cause for rule in QUESTIONS[asked["id"]].rules}
    lost = (causes.get(p["name"], "") for p in asked["properties"] if p["status"] != "pass")
    return next((cause for cause in lost if cause), "")


# --- for machines -------------------------------------------------------------------------------------------


def as_json(result: dict) -> str:
    return json.dumps(result, indent=1, ensure_ascii=False) + "\n"


def as_csv(result: dict) -> str:
    """nbgrader's columns: a row a student and assignment; what was not handed in has 0 points."""
    sheet, out = Sheet.of(result), io.StringIO()
    rows = csv.writer(out, lineterminator="\n")
    rows.writerow(COLUMNS)
    for assignment in sheet.assignments:
        for student in sheet.students:
            score = points(sheet.score(student, assignment))
            rows.writerow([cell(assignment), "", "", cell(student), "", "", "", score, 0, score,
                           points(sheet.most(assignment))])  # fmt: skip
    return out.getvalue()


def cell(text: str) -> str:
    """A name that no spreadsheet takes for a formula."""
    text = line(text)
    return f"'{text}" if text[:1] in tuple("=+-@＝＋－＠") else text


def as_junit(result: dict) -> str:
    """A suite a submission, a case a question; partial points are failures that say how many."""
    top = ET.Element("testsuites", name="genimg")
    for entry in result["submissions"]:
        suite = ET.SubElement(top, "testsuite", name=line(entry["path"]))
        if entry["status"] != "graded":
            case = ET.SubElement(suite, "testcase", name="can be graded", classname=line(entry["path"]))
            ET.SubElement(case, "error", message=line(entry["message"]))
        for asked in entry["questions"]:
            case = ET.SubElement(suite, "testcase", name=asked["id"], classname=line(entry["path"]))
            kind = {"fail": "failure", "not_started": "skipped", "pass": ""}.get(asked["status"], "error")
            if kind:
                score = f"{points(asked['score'])} of {points(asked['max_score'])} points. "
                ET.SubElement(case, kind, message=score + line(asked["message"]))
        kinds = [child.tag for case in suite for child in case]
        for name, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped")):
            suite.set(name, str(kinds.count(tag)))
        suite.set("tests", str(len(suite)))
    ET.indent(top)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(top, encoding="unicode") + "\n"


def best(entries: list[dict]) -> list[dict]:
    """One entry a notebook, the better of several; what belongs to no notebook stays."""
    found = {}
    for entry in entries:
        place = entry.get("assignment", ""), entry["notebook"] or entry["path"]
        if place not in found or worth(entry) > worth(found[place]):
            found[place] = entry
    return list(found.values())


def worth(entry: dict) -> tuple[float, bool]:
    return entry["score"], entry["status"] == "graded"


def as_gradescope(entries: list[dict]) -> str:
    """results.json of Gradescope's autograder for one student: of two files of one notebook the better counts."""
    tests, counted = [], best(entries)
    for entry in counted:
        if entry["status"] != "graded":
            tests.append({"name": line(entry["path"]), "score": 0.0, "max_score": entry["max_score"],
                          "status": "failed", "output": clean(entry["message"])})  # fmt: skip
        for asked in entry["questions"]:
            lines = [clean(asked["message"])] if asked["message"] else []
            lines += [f"Likely cause: {cause}" for cause in [likely(asked)] if cause]
            tests.append({"name": f"{entry['notebook']}: {QUESTIONS[asked['id']].title}", "score": asked["score"],
                          "max_score": asked["max_score"],
                          "status": "passed" if asked["status"] == "pass" else "failed",
                          "output": "\n".join(lines) or asked["status"].replace("_", " ")})  # fmt: skip
    score = round(sum(entry["score"] for entry in counted), 2)
    return as_json({"score": score, "visibility": "visible", "tests": tests})
