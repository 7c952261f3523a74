"""How fast, how small and how right the grader is, side by side with nbgrader and otter-grader in one run.

    .venv/bin/python benchmarks/grading.py                     # everything, 10 to 20 minutes
    .venv/bin/python benchmarks/grading.py speed class corpus  # or some of it

nbgrader and otter-grader get environments of their own, made here once with venv and pip (the network is needed for
that). One that cannot be made is skipped, and said so. All three run the same checks on the same ten notebooks.
"""

import argparse
import copy
import importlib.metadata
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))

from genimg_lib import grade  # noqa: E402
from genimg_lib.grade import export, notebook, sandbox  # noqa: E402
from genimg_lib.grade.session import grade_submission  # noqa: E402
from tests import hostile  # noqa: E402
from tests.hostile.files import FILES  # noqa: E402

BOOK, QUESTIONS = "06_evaluation", ("frechet_distance", "kid", "knn_precision_recall")
PEERS = {"nbgrader": "nbgrader==0.9.6", "otter": "otter-grader==7.0.0"}
MANY, FAULTY, DEADLINE = 500, 25, 10.0
FAULTS = {"hang": "while True:\n    pass\n", "crash": "import os\nos.abort()\n", "broken": None}


def solved(number: int, first: str = "") -> dict:
    """A solved notebook of three questions; `number` makes its file differ from the others'."""
    book = copy.deepcopy(json.loads((ROOT / "solutions" / f"{BOOK}.ipynb").read_text(encoding="utf-8")))
    for cell in book["cells"]:
        cell.pop("outputs", None) if cell["cell_type"] != "code" else cell.update(outputs=[], execution_count=None)
        marks = cell["metadata"].get("nbgrader", {})
        if marks.get("grade_id") == QUESTIONS[0]:
            cell["source"] = f"# student {number}\n{first}" + "".join(cell["source"])
    return book


def run(command, folder=None, path="") -> tuple[float, int]:
    """Seconds of a command, and the peak of its memory with its children's (bytes, shared pages divided)."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PATH": path + os.environ["PATH"]}
    start, peak = time.monotonic(), 0
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(list(map(str, command)), cwd=folder, env=environment, stdout=said, stderr=said)
        watcher = Peak(process.pid)
        status = process.wait()
        seconds, peak = time.monotonic() - start, watcher.end()
        if status not in (0, 1):
            said.seek(0)
            raise RuntimeError(said.read().decode(errors="replace")[-800:])
    return seconds, peak


class Peak(threading.Thread):
    """Looks at the memory of a process and all below it, five times a second."""

    def __init__(self, pid: int):
        super().__init__(daemon=True)
        self.pid, self.most, self.ended = pid, 0, threading.Event()
        self.start()

    def run(self):
        import psutil

        while not self.ended.wait(0.2):
            try:
                top = psutil.Process(self.pid)
                family = [top, *top.children(recursive=True)]
            except psutil.Error:
                continue
            self.most = max(self.most, sum(map(memory, family)))

    def end(self) -> int:
        self.ended.set()
        self.join()
        return self.most


def memory(process) -> int:
    try:
        return process.memory_full_info().pss
    except Exception:  # it has ended meanwhile, or this system has no such number
        return 0


# --- speed


def genimg(folder: Path, *options) -> tuple[float, int]:
    return run([sys.executable, "-m", "genimg_lib.cli", "grade", folder, *options], ROOT)


def environment(peer: str, folder: Path) -> Path:
    """The commands of a peer's environment, made where it is missing."""
    place = folder / peer
    if not (place / "bin" / peer).exists():
        print(f"· making an environment for {peer} in {place}")
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        torch = importlib.metadata.version("torch").partition("+")[0]
        needs = [PEERS[peer], f"torch=={torch}", "numpy", "scipy", "matplotlib", "ipykernel"]
        subprocess.run([place / "bin/pip", "install", "-q", *needs], check=True)
    subprocess.run([place / "bin/pip", "install", "-q", "--no-deps", "-e", ROOT], check=True)
    return place / "bin"


def nbgrader(folder: Path, commands: Path, ten: list[dict]) -> float:
    export.nbgrader(folder)
    path = f"{commands}{os.pathsep}"
    run([commands / "nbgrader", "generate_assignment", BOOK, "--create"], folder, path)
    for number, book in enumerate(ten):
        hostile.write(folder / "submitted" / f"student{number}" / BOOK / f"{BOOK}.ipynb", book)
    seconds, _ = run([commands / "nbgrader", "autograde", BOOK, "--create"], folder, path)
    run([commands / "nbgrader", "export", "--to", "grades.csv"], folder, path)
    rows = (folder / "grades.csv").read_text().splitlines()
    if len([row for row in rows if row.startswith(BOOK) and row.split(",")[7] == row.split(",")[10]]) != len(ten):
        raise RuntimeError("nbgrader did not give every notebook full marks")
    return seconds


def otter(folder: Path, commands: Path, ten: list[dict]) -> float:
    """One `otter run` a notebook: its batch command wants Docker."""
    (folder / "tests").mkdir()
    for id in QUESTIONS:
        code = f">>> from genimg_lib.checks import check\n>>> check({id!r}, {id}).status\n'pass'"
        test = {"name": id, "points": 1, "suites": [{"type": "doctest", "cases": [{"code": code, "hidden": False}]}]}
        (folder / "tests" / f"{id}.py").write_text(f"OK_FORMAT = True\ntest = {test!r}\n")
    path = f"{commands}{os.pathsep}"
    run([commands / "otter", "generate", "-t", "tests", "--no-environment", "-o", "autograder.zip"], folder, path)
    total = 0.0
    for number, book in enumerate(ten):
        hostile.write(folder / f"s{number}" / f"{BOOK}.ipynb", book)
        command = ["run", "-a", "autograder.zip", "-o", f"s{number}", "--no-logo", f"s{number}/{BOOK}.ipynb"]
        total += run([commands / "otter", *command], folder, path)[0]
        made = json.loads((folder / f"s{number}" / "results.json").read_text())
        if sum(test.get("score", 0) for test in made["tests"]) != len(QUESTIONS):
            raise RuntimeError(f"otter did not give full marks: {str(made)[:500]}")
    return total


def opened(folder: Path) -> float:
    """Seconds for a class once everything is imported and the sandbox has graded one notebook."""
    with sandbox.open_sandbox() as box:
        grade.grade([next(folder.rglob("*.ipynb"))], sandbox=box)
        start = time.monotonic()
        result = grade.grade([folder], sandbox=box)
        seconds = time.monotonic() - start
    if any(row["score"] != row["max_score"] for row in result["submissions"]):
        raise RuntimeError("not full marks")
    return seconds


def speed(place: Path, environments: Path) -> None:
    ten, rows = [solved(number) for number in range(10)], []
    for number, book in enumerate(ten):
        hostile.write(place / "ten" / "submissions" / f"student{number}" / f"{BOOK}.ipynb", book)
    rows.append(("genimg grade, ten notebooks, start included", genimg(place / "ten" / "submissions")[0] / 10))
    rows.append(("genimg grade, the ten, sandbox already open", opened(place / "ten" / "submissions") / 10))
    for number in range(200):
        target = place / "warm" / "submissions" / f"student{number}" / f"{BOOK}.ipynb"
        hostile.write(target, solved(number))
    rows.append(("genimg grade, 200 notebooks, start included", genimg(place / "warm" / "submissions")[0] / 200))
    for peer, measure in (("nbgrader", nbgrader), ("otter", otter)):
        folder = place / peer
        folder.mkdir()
        try:
            rows.append((PEERS[peer].replace("==", " "), measure(folder, environment(peer, environments), ten) / 10))
        except (OSError, RuntimeError, subprocess.CalledProcessError, ValueError) as error:
            print(f"! {peer} was skipped: {str(error).strip()[-600:]}")
    than, base = next((row for row in rows if row[0].startswith("nbgrader")), rows[-1])
    print(f"\n| three questions a notebook | seconds a submission | submissions a minute | times {than} |")
    print("|---|---|---|---|")
    for name, seconds in rows:
        print(f"| {name} | {seconds:.3f} | {60 / seconds:,.0f} | {base / seconds:.1f} |")


# --- a class


def many(place: Path) -> None:
    folder, kinds = place / "many" / "submissions", list(FAULTS) * FAULTY
    hanging = 0
    for number in range(MANY):
        fault = kinds[number // (MANY // FAULTY)] if number % (MANY // FAULTY) == 7 else ""
        hanging += fault == "hang"
        book = "{" if fault == "broken" else solved(number, FAULTS.get(fault, ""))
        hostile.write(folder / f"student{number:03}" / f"{BOOK}.ipynb", book)
    result = place / "many.json"
    seconds, peak = genimg(folder, "--json", result, "--timeout", DEADLINE)
    rows = json.loads(result.read_text())["submissions"]
    full = sum(row["status"] == "graded" and row["score"] == row["max_score"] for row in rows)
    allowed = 60 + hanging * DEADLINE
    print(f"\n| {MANY} notebooks, {FAULTY} of them faulty ({hanging} hang) | |\n|---|---|")
    print(f"| seconds, and a minute plus a deadline each | {seconds:.0f} of {allowed:.0f} |")
    print(f"| results; full marks | {len(rows)}; {full} of the {MANY - FAULTY} honest ones |")
    print(f"| peak memory, all processes | {peak / 2**20:,.0f} MiB |")


# --- the corpus


def corpus(place: Path) -> None:
    print("\n| hostile and faulty submissions | as deserved |\n|---|---|")
    for level in ("bwrap", "lockdown"):
        try:
            box = sandbox.open_sandbox(level)
        except ValueError as error:
            print(f"| {level} | skipped: {error} |")
            continue
        with box:
            right, wrong = 0, []
            for case in hostile.load():
                answers = {"gaussian_kl": case.source, "reparameterize": hostile.HONEST["reparameterize"]}
                path = hostile.write(place / level / "02_vae.ipynb", hostile.notebook(answers))
                row = grade_submission(box, notebook.read(path, path.parent), 0, 1.5 if case.quick else 60.0)
                score = {asked["id"]: asked["score"] for asked in row["questions"]}
                good = score["gaussian_kl"] == case.score and case.rest in (None, score["reparameterize"])
                right, wrong = right + good, wrong + [case.name] * (not good)
            for name, (content, status, points) in FILES.items():
                path = hostile.write(place / level / "02_vae.ipynb", content)
                row = grade_submission(box, notebook.read(path, path.parent), 0, 60.0)
                good = (row["status"], row["score"]) == (status, points)
                right, wrong = right + good, wrong + [name] * (not good)
        named = f": not {', '.join(wrong)}" if wrong else ""
        print(f"| {level} | {right} of {right + len(wrong)}{named} |", flush=True)


def machine() -> str:
    model = ""
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
    load = f", load {os.getloadavg()[0]:.1f} at the start" if hasattr(os, "getloadavg") else ""
    version = importlib.metadata.version
    return (f"{os.cpu_count()} cores {model}{load}; {platform.system()} {platform.release()}, "
            f"Python {platform.python_version()}, torch {version('torch')}")  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("parts", nargs="*", help="speed, class, corpus; all if left out")
    cache = Path(platformdirs.user_cache_dir("genimg")) / "benchmarks"
    parser.add_argument("--environments", type=Path, default=cache, help="the folder of nbgrader's and otter's")
    asked = parser.parse_args()
    print(machine(), flush=True)
    place = Path(tempfile.mkdtemp(prefix="genimg-benchmark-"))
    parts = asked.parts or ["speed", "class", "corpus"]
    try:
        for part in parts:
            folder = place / part
            folder.mkdir()
            {"speed": lambda at: speed(at, asked.environments), "class": many, "corpus": corpus}[part](folder)
            sys.stdout.flush()
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
