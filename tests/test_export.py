"""The doors of other tools: what is exported is complete, replaces nothing, and scores as `genimg grade` does.

nbgrader itself runs where GENIMG_NBGRADER names the folder of its commands (see test_nbgrader.py).
"""

import base64
import csv
import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
import yaml

from genimg_lib import grade
from genimg_lib.grade import export, masters, report, sandbox
from tests import hostile

ROOT = Path(__file__).parent.parent
NBGRADER = Path(os.environ.get("GENIMG_NBGRADER", "")) / "nbgrader"
SOLVED = (ROOT / "solutions/02_vae.ipynb").read_text(encoding="utf-8")
PARTLY = SOLVED.replace("mu + torch.exp(0.5 * logvar) * eps", "mu + logvar.exp() * eps").replace(
    "codebook[idx]", "codebook[idx].detach()"
)
EMPTY = (ROOT / "exercises/02_vae.ipynb").read_text(encoding="utf-8")


def everything(folder):
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def put(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("kind, target", [("nbgrader", "new"), ("classroom", "new"), ("gradescope", "new.zip")])
def test_an_export_replaces_nothing_unasked(genimg, tmp_path, kind, target):
    place = tmp_path / target
    assert genimg("export", kind, place)[0] == 0
    first = everything(tmp_path)
    status, said = genimg("export", kind, place)
    assert status == 2 and "exists" in said and "--force" in said and "Traceback" not in said
    mine = tmp_path / "new" / "source" / "mine.txt"
    put(mine, "mine")
    assert genimg("export", kind, place, "--force")[0] == 0
    mine.unlink()
    assert everything(tmp_path) == first  # the same bytes, whenever it is made


def test_a_file_where_a_folder_should_be(genimg, tmp_path):
    put(tmp_path / "file", "mine")
    for kind in ("nbgrader", "classroom"):
        status, said = genimg("export", kind, tmp_path / "file", "--force")
        assert status == 2 and "is a file" in said
    status, said = genimg("export", "gradescope", tmp_path / "file")
    assert status == 2 and "zip" in said and (tmp_path / "file").read_text() == "mine"
    status, said = genimg("export", "gradescope", tmp_path / "no" / "x.zip")
    assert status == 2 and "create it first" in said
    status, said = genimg("export", "gradescope", tmp_path / "x.zip", "--notebook", "02_vea")
    assert status == 2 and "02_vae" in said and not (tmp_path / "x.zip").exists()


def test_nothing_exported_holds_a_solution(tmp_path):
    export.nbgrader(tmp_path / "n")
    export.classroom(tmp_path / "c")
    zipfile.ZipFile(export.gradescope(tmp_path / "g.zip")).extractall(tmp_path / "g")
    words = [b"torch.exp(0.5 * logvar) * eps"]
    assert all(word.decode() in SOLVED for word in words)
    for name, data in everything(tmp_path).items():
        if name.endswith(".ipynb") or "masters" in name:
            assert not [word for word in words if word in data], name
        assert b"{" + b"notebooks}" not in data and b"@TORCH@" not in data or name.endswith((".py", ".yml", ".sh"))


def test_a_course_hands_out_the_exercises_as_they_are(tmp_path):
    export.nbgrader(tmp_path)
    for name, book in masters.books().items():
        assert json.loads((tmp_path / "source" / name / f"{name}.ipynb").read_text(encoding="utf-8")) == book
    said = (tmp_path / "README.md").read_text(encoding="utf-8")
    assert not re.search(r"\{\w+\}", said) and "nbgrader autograde" in said


@pytest.mark.slow
@pytest.mark.skipif(not NBGRADER.exists(), reason="GENIMG_NBGRADER names no folder with nbgrader in it")
def test_nbgrader_and_genimg_agree(tmp_path):
    """The commands of the course's README, and the two tables of grades side by side."""
    export.nbgrader(tmp_path)

    def nbgrader(*words):
        environment = {**os.environ, "PATH": f"{NBGRADER.parent}{os.pathsep}{os.environ['PATH']}"}
        done = subprocess.run([NBGRADER, *words], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout[-2000:] + done.stderr[-3000:]

    nbgrader("db", "student", "import", "students.csv")
    for name in ("02_vae", "09_debug_gan"):
        nbgrader("generate_assignment", name, "--create")
        released = (tmp_path / "release" / name / f"{name}.ipynb").read_text(encoding="utf-8")
        sources = ["".join(cell["source"]) for cell in json.loads(released)["cells"]]
        assert sources == ["".join(cell["source"]) for cell in masters.books()[name]["cells"]]
        put(tmp_path / "submitted" / "untouched" / name / f"{name}.ipynb", released)
    for student, text in (("right", SOLVED), ("partly", PARTLY), ("untouched_ours", EMPTY)):
        put(tmp_path / "submitted" / student / "02_vae" / "02_vae.ipynb", text)
    solved = (ROOT / "solutions/09_debug_gan.ipynb").read_text(encoding="utf-8")
    put(tmp_path / "submitted" / "right" / "09_debug_gan" / "09_debug_gan.ipynb", solved)
    for name in ("02_vae", "09_debug_gan"):
        nbgrader("autograde", name, "--create")
    nbgrader("export", "--to", "grades.csv")

    def scores(text):
        return {(row["student_id"], row["assignment"]): (float(row["score"]), float(row["max_score"]))
                for row in csv.DictReader(text.splitlines())
                if row["student_id"] in ("right", "untouched") or row["assignment"] == "02_vae"}  # fmt: skip

    theirs = scores((tmp_path / "grades.csv").read_text(encoding="utf-8"))
    ours = scores(report.as_csv(grade.grade([tmp_path / "submitted"])))
    print(f"\n{ours}")
    assert theirs == ours
    assert 0 < ours["partly", "02_vae"][0] < ours["right", "02_vae"][0] == ours["right", "02_vae"][1]


# --- Gradescope


@pytest.fixture(scope="module")
def autograder(tmp_path_factory):
    """The zip file laid out as on Gradescope: source/, submission/, results/."""
    folder = tmp_path_factory.mktemp("autograder")
    path = export.gradescope(folder / "autograder.zip", ["02_vae"], seed=5)
    with zipfile.ZipFile(path) as archive:
        modes = {info.filename: info.external_attr >> 16 for info in archive.infolist()}
        archive.extractall(folder / "source")
    assert modes["setup.sh"] & 0o111 and modes["run_autograder"] & 0o111
    (folder / "results").mkdir()
    return folder


def test_the_autograder_is_whole(autograder):
    names = set(everything(autograder / "source"))
    assert {"setup.sh", "run_autograder", "settings.sh", "requirements.txt", "library/pyproject.toml"} <= names
    for wanted in ("cli.py", "grade/masters.json", "grade/worker.py", "checks/core.py", "grade/page.css"):
        assert f"library/genimg_lib/{wanted}" in names
    assert not [name for name in names if "weights/" in name or "solutions" in name or name.endswith(".pyc")]
    pins = dict(line.split("==") for line in (autograder / "source/requirements.txt").read_text().splitlines())
    assert pins["torch"].count(".") == 2 and "+" not in pins["torch"] and "distributed" not in pins
    for script in ("setup.sh", "run_autograder"):
        assert subprocess.run(["bash", "-n", autograder / "source" / script]).returncode == 0


@pytest.mark.slow
def test_the_autograder_writes_gradescopes_results(autograder):
    try:
        sandbox.open_sandbox("lockdown").close()
    except ValueError as error:
        pytest.skip(str(error))
    place = autograder / "submission"
    hostile.write(place / "02_vae.ipynb", hostile.notebook(hostile.HONEST))
    hostile.write(place / "again" / "02_vae (1).ipynb", hostile.notebook(hostile.HONEST))  # counts once
    script = autograder / "source" / "run_autograder"
    done = subprocess.run(["bash", script, autograder, sys.executable], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    made = json.loads((autograder / "results/results.json").read_text(encoding="utf-8"))
    assert made["score"] == 3.0 and len(made["tests"]) == 5
    assert {test["name"]: test["score"] for test in made["tests"] if test["status"] == "passed"} == {
        "02_vae: The KL divergence of a Gaussian to the prior": 2.0, "02_vae: The reparameterisation trick": 1.0,
    }  # fmt: skip
    assert sum(test["max_score"] for test in made["tests"]) == 14.0


def test_what_counts_on_gradescope(tmp_path, monkeypatch):
    """Of two files of one notebook the better, 0 for a missing one, nothing for one that was not asked for."""
    def entry(notebook, score, path):
        asked = {"id": "gaussian_kl", "status": "pass", "score": score, "max_score": 2.0, "message": "",
                 "properties": []}  # fmt: skip
        return {"path": path, "notebook": notebook, "status": "graded", "score": score, "max_score": 14.0,
                "questions": [asked], "flags": []}  # fmt: skip

    rows = [entry("02_vae", 1.0, "a"), entry("02_vae", 2.0, "b"), entry("02_vae", 0.0, "c"), entry("03_gan", 9.0, "d")]
    monkeypatch.setattr(grade, "grade", lambda paths, **options: {"submissions": rows})
    made = export.results(tmp_path, ["02_vae", "04_likelihood"], 0, "lockdown")
    assert made["score"] == 2.0
    assert [(test["score"], test["status"]) for test in made["tests"]] == [(2.0, "passed"), (0.0, "failed")]
    assert "not handed in" in made["tests"][1]["output"] and made["tests"][1]["max_score"] > 0
    assert export.results(tmp_path, [], 0, "lockdown")["score"] == 11.0


def test_without_a_sandbox_no_results_are_written(tmp_path, monkeypatch, capsys):
    def impossible(level=None):
        raise ValueError(f"level {level!r} does not work here: no Landlock here")

    monkeypatch.setattr(sandbox, "open_sandbox", impossible)
    hostile.write(tmp_path / "submission" / "02_vae.ipynb", hostile.notebook(hostile.HONEST))
    assert export.main([str(tmp_path / "submission"), str(tmp_path / "results.json")]) == 2
    assert "no Landlock" in capsys.readouterr().out and not (tmp_path / "results.json").exists()


# --- GitHub Classroom


def test_the_workflow_reports_points(tmp_path, monkeypatch):
    """Its Python, run on results, writes what Classroom's reporter reads."""
    export.classroom(tmp_path, "https://example.org/x")
    text = (tmp_path / ".github/workflows/classroom.yml").read_text(encoding="utf-8")
    steps = yaml.safe_load(text)["jobs"]["run-autograding-tests"]["steps"]
    assert "git+https://example.org/x" in text and "@TORCH@" not in text and "@REPOSITORY@" not in text
    source = re.search(r"<<'EOF'\n(.*)EOF\n", next(step["run"] for step in steps if step.get("id") == "genimg"), re.S)
    asked = {"id": "gaussian_kl", "status": "fail", "score": 1.5, "max_score": 2.0, "message": "é", "properties": []}
    put(tmp_path / "result.json", json.dumps({"submissions": [{"path": "a.ipynb", "questions": [asked]}]}))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_OUTPUT", "output")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", "summary")
    exec(compile(source[1], "workflow", "exec"), {})
    name, _, value = (tmp_path / "output").read_text().strip().partition("=")
    made = json.loads(base64.b64decode(value))
    assert name == "result" and made["version"] == 1 and made["max_score"] == 2.0 and made["status"] == "fail"
    assert made["tests"][0]["score"] == 1.5 and made["tests"][0]["message"] == "é"
    assert "1.5 of 2 points" in (tmp_path / "summary").read_text()
