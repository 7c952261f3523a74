"""nbgrader itself takes the notebooks: it makes an assignment of solutions/, and marks what comes back.

Its pins clash with the book's, so it lives in an environment of its own, and this test is skipped where none is named:

    python3 -m venv /tmp/nbgrader-env
    /tmp/nbgrader-env/bin/pip install nbgrader==0.9.6 torch==2.13.0 numpy scipy matplotlib
    /tmp/nbgrader-env/bin/pip install --no-deps -e .
    GENIMG_NBGRADER=/tmp/nbgrader-env/bin pytest -s tests/test_nbgrader.py        # about 20 s a notebook

GENIMG_NOTEBOOKS="01_classical 02_vae" marks only these.
"""

import csv
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
BIN = os.environ.get("GENIMG_NBGRADER", "")

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        not (Path(BIN) / "nbgrader").exists(), reason="GENIMG_NBGRADER names no folder with nbgrader in it"
    ),
]


def nbgrader(course, *arguments):
    """Run one nbgrader command in the course's folder; its log is shown when it fails."""
    environment = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [str(Path(BIN) / "nbgrader"), *arguments], cwd=course, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return done.stdout + done.stderr


def notebooks(folder) -> list[Path]:
    wanted = os.environ.get("GENIMG_NOTEBOOKS", "").split()
    return [path for path in sorted(folder.glob("*.ipynb")) if not wanted or path.stem in wanted]


def hand_in(course, student, source):
    """Put a student's notebooks where nbgrader looks for them."""
    target = course / "submitted" / student / "genimg"
    target.mkdir(parents=True)
    for path in notebooks(source):
        shutil.copy(path, target)


def test_full_marks_for_the_solutions_and_none_for_what_is_untouched(tmp_path):
    (tmp_path / "nbgrader_config.py").write_text('c = get_config()\nc.CourseDirectory.course_id = "genimg"\n')
    source = tmp_path / "source" / "genimg"
    source.mkdir(parents=True)
    for path in notebooks(ROOT / "solutions"):
        shutil.copy(path, source)

    nbgrader(tmp_path, "generate_assignment", "genimg", "--create")
    released = tmp_path / "release" / "genimg"
    assert [p.name for p in notebooks(released)] == [p.name for p in notebooks(source)]

    hand_in(tmp_path, "right", ROOT / "solutions")
    hand_in(tmp_path, "untouched", released)
    hand_in(tmp_path, "untouched_ours", ROOT / "exercises")
    nbgrader(tmp_path, "autograde", "genimg")
    nbgrader(tmp_path, "export", "--to", "grades.csv")

    grades = (tmp_path / "grades.csv").read_text(encoding="utf-8").splitlines()
    rows = {row["student_id"]: row for row in csv.DictReader(grades)}
    marks = {student: (float(row["score"]), float(row["max_score"])) for student, row in rows.items()}
    print(f"\n{len(notebooks(source))} notebooks: {marks}")
    full = marks["right"][1]
    assert full > 0
    assert marks == {"right": (full, full), "untouched": (0, full), "untouched_ours": (0, full)}
