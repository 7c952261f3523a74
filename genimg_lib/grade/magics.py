"""IPython's own lines, taken out of a cell without parsing or running it: the lines around keep their numbers."""

import re

OURS = re.compile(r"[ \t]*(?:[%!?]|[\w.*]++\?\??[ \t]*(?:#.*)?$|[\w, ]++=[ \t]*(?:!|%{1,2}[A-Za-z]))")
TIMED = re.compile(r"(?P<kept>[ \t]*(?:[\w, ]++=[ \t]*)?)%time[ \t]+(?=\S)")
BODY_IS_PYTHON = re.compile(r"%%(?:time|timeit|capture|prun)\b")
TOKEN = re.compile(r"""#.*|(?P<quote>\"\"\"|'''|"|')|(?P<open>[\[({])|(?P<close>[\])}])|[^][(){}#"'\\]++|\\.|\\$""")
TO_THE_END = {
    quote: re.compile(
        rf"(?:[^\\{quote[0]}]++|\\." + (rf"|{quote[0]}(?!{quote[1:]})" if quote[1:] else "") + rf")*+(?P<end>{quote})?"
    )
    for quote in ('"""', "'''", '"', "'")
}


def without_magics(source: str) -> tuple[str, str]:
    """The source with every line that only IPython understands made a `pass`, and the first such line.

    A % or ! within brackets, strings or a continued line is Python's own; `%time f()` is f(). Of a cell that
    starts with `%%bash` or the like nothing is left to run.
    """
    lines, first = source.split("\n"), ""
    top = next((i for i, line in enumerate(lines) if line.strip()), 0)
    if lines[top].startswith("%%") and not BODY_IS_PYTHON.match(lines[top]):
        return "\n".join(f"# {line}" if line.strip() else line for line in lines), lines[top]
    quote, depth, joined, magic = "", 0, False, False
    for number, line in enumerate(lines):
        if magic or not (quote or depth or joined) and OURS.match(line):
            first = first or line.strip()
            indent = line[: len(line) - len(line.lstrip())]
            timed = TIMED.match(line) if not magic else None
            lines[number] = timed["kept"] + line[timed.end() :] if timed else "#" if magic else f"{indent}pass"
            magic = line.rstrip().endswith("\\") and not timed
            continue
        at, joined = 0, False
        while at < len(line):
            if quote:
                found = TO_THE_END[quote].match(line, at)
                if found["end"]:
                    at, quote = found.end(), ""
                    continue
                quote = quote if len(quote) == 3 or line[found.end() :] == "\\" else ""
                break
            token = TOKEN.match(line, at)
            at, quote = token.end(), token["quote"] or ""
            depth = max(0, depth + bool(token["open"]) - bool(token["close"]))
            joined = token[0] == "\\" and at == len(line)
        if len(quote) == 1 and not line.endswith("\\"):
            quote = ""  # a string that ends with its line, unclosed: Python will say so
    return ("\n".join(lines), first) if first else (source, "")
