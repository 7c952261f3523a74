"""A verdict: data for the grader, a page for the learner, a bare number for nbgrader and nbval."""

from dataclasses import dataclass
from html import escape

HEAD = {
    "pass": ("✓", "all properties hold", "#1a7f4b"),
    "fail": ("✗", "not yet", "#b3261e"),
    "error": ("!", "your answer raised an error", "#b3261e"),
    "timeout": ("…", "stopped before it ended", "#b3261e"),
    "not_started": ("○", "not started", "#6b7280"),
}


@dataclass(frozen=True)
class Property:
    name: str
    status: str  # "pass" or "fail"
    message: str
    weight: float
    cause: str = ""
    share: float | None = None  # of the weight; None: all of it or nothing

    @property
    def earned(self) -> float:
        return self.weight * (self.share if self.share is not None else self.status == "pass")


@dataclass(frozen=True)
class Verdict:
    """What an answer deserves and why: `repr` is the points, `print` the text, a notebook shows HTML."""

    id: str
    title: str
    status: str
    score: float
    max_score: float
    message: str
    properties: tuple[Property, ...]
    read: str

    @classmethod
    def of(cls, question, status: str, properties, message: str = "") -> "Verdict":
        weights = sum(p.weight for p in properties)
        share = sum(p.earned for p in properties) / weights
        score = 0.0 if status == "not_started" else round(share * question.points, 2)
        first = next((p for p in properties if p.status != "pass"), None)
        if not message and status == "fail":
            message = f"{first.name}: {first.message}"
        return cls(question.id, question.title, status, score, float(question.points), message,
                   tuple(properties), question.read)  # fmt: skip

    def to_dict(self) -> dict:
        """The question's entry in the machine-readable result."""
        rows = [{"name": p.name, "status": p.status, "message": p.message} for p in self.properties]
        return {"id": self.id, "status": self.status, "score": self.score, "max_score": self.max_score,
                "message": self.message, "properties": rows}  # fmt: skip

    def __repr__(self):
        return str(float(self.score))

    def advice(self) -> str:
        first = next((p for p in self.properties if p.status != "pass" and p.cause), None)
        return first.cause if first and self.status in ("fail", "error") else ""

    def __str__(self):
        mark, words, _ = HEAD[self.status]
        lines = [f"{mark} {self.id}: {words} · {self.score:g} of {self.max_score:g} points"]
        if self.status in ("error", "timeout"):
            lines.append(f"  {self.message}")
        if self.status != "not_started":
            for p in self.properties:
                mark = "✓" if p.status == "pass" else "✗"
                lines.append(f"  {mark} {p.name}" + (f" — {p.message}" if p.message else ""))
        if self.advice():
            lines.append(f"  Likely cause: {self.advice()}")
        if self.status != "pass":
            lines.append(f'  Next: hint("{self.id}"), or read {self.read}')
        return "\n".join(lines)

    def _repr_html_(self):
        mark, words, colour = HEAD[self.status]
        head = (f'<b>{mark} {escape(self.title)}</b> · {words} · '
                f"<b>{self.score:g}</b> of {self.max_score:g} points")  # fmt: skip
        body = ""
        if self.status in ("error", "timeout"):
            body += f"<p style='margin:.4em 0'>{escape(self.message)}</p>"
        if self.status != "not_started":
            rows = "".join(
                f"<li>{'✓' if p.status == 'pass' else '✗'} {escape(p.name)}"
                + (f" — {escape(p.message)}" if p.message else "") + "</li>"
                for p in self.properties
            )  # fmt: skip
            body += f"<ul style='list-style:none;margin:.4em 0;padding-left:.6em'>{rows}</ul>"
        if self.advice():
            body += f"<p style='margin:.4em 0'><b>Likely cause:</b> {escape(self.advice())}</p>"
        if self.status != "pass":
            body += (f"<p style='margin:.4em 0'>Next: <code>hint(\"{escape(self.id)}\")</code>, "
                     f"or read <i>{escape(self.read)}</i>.</p>")  # fmt: skip
        return f"<div style='border-left:4px solid {colour};padding:.3em .8em'>{head}{body}</div>"
