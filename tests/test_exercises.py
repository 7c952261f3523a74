"""The notebooks: solutions pass, exercises are what the generator makes of them, and nothing solved slips in."""

import importlib.util
import re
from pathlib import Path

import matplotlib
import nbformat
import pytest

from genimg_lib.checks import core

ROOT = Path(__file__).parent.parent
NOTEBOOKS = sorted(path.stem for path in (ROOT / "solutions").glob("*.ipynb"))

spec = importlib.util.spec_from_file_location("make_exercises", ROOT / "solutions" / "make_exercises.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)


def cells(folder, name):
    """The cells of a notebook by their grade_id."""
    notebook = nbformat.read(ROOT / folder / f"{name}.ipynb", as_version=4)
    return {c.metadata.nbgrader.grade_id: c for c in notebook.cells if "nbgrader" in c.metadata}


def after_running(folder, name) -> dict:
    """The names a notebook defines: its setup cell and its answer cells, run in order."""
    notebook = nbformat.read(ROOT / folder / f"{name}.ipynb", as_version=4)
    code = [c for c in notebook.cells if c.cell_type == "code"]
    names = {"__name__": "__main__"}
    with matplotlib.rc_context({"backend": "agg"}):
        for cell in [code[0], *(c for c in code[1:] if make.is_answer(c))]:
            exec(compile(cell.source, f"{folder}/{name}", "exec"), names)
    return names


def asked_in(name):
    return {id: question for id, question in core.load_all().items() if question.notebook == name}


def answer_to(id, cell, names):
    """What the check cell `check("id", object)` would judge."""
    called = re.fullmatch(r'check\("(\w+)", (\w+)\)', cell.source.strip())
    assert called and called[1] == id, f"expected the one line check({id!r}, …), got: {cell.source}"
    return names[called[2]]


def test_every_notebook_is_there():
    assert set(NOTEBOOKS) == set(core.NOTEBOOKS)
    assert {q.notebook for q in core.load_all().values()} == set(core.NOTEBOOKS)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_the_exercise_is_what_the_generator_makes(name):
    solution, exercise = (make.read(ROOT / folder / f"{name}.ipynb") for folder in ("solutions", "exercises"))
    assert make.bare(exercise) == make.bare(make.exercise_of(solution)), "run `make exercises`"


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_question_has_its_cells(name):
    for folder in ("solutions", "exercises"):
        found = cells(folder, name)
        questions = asked_in(name)
        assert set(found) == {*questions, *(f"{id}_check" for id in questions)}, f"{folder}/{name}"
        for id, question in questions.items():
            answer, check = found[id], found[f"{id}_check"]
            kinds = {"schema_version": 3, "task": False, "cell_type": "code"}
            assert dict(answer.metadata.nbgrader) == {
                **kinds, "grade_id": id, "solution": True, "grade": False, "locked": False,
            }  # fmt: skip
            assert dict(check.metadata.nbgrader) == {
                **kinds, "grade_id": f"{id}_check", "solution": False, "grade": True, "locked": True,
                "points": question.points,
            }  # fmt: skip
            assert make.BEGIN in answer.source and make.END in answer.source


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_every_solution_passes(name):
    found, names = cells("solutions", name), after_running("solutions", name)
    for id, question in asked_in(name).items():
        verdict = core.judge(question, answer_to(id, found[f"{id}_check"], names))
        assert verdict.status == "pass", str(verdict)


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_no_exercise_is_started(name):
    found, names = cells("exercises", name), after_running("exercises", name)
    for id, question in asked_in(name).items():
        if question.untouched:
            assert core.digest(found[id].source) == question.untouched, f'untouched="{core.digest(found[id].source)}"'
            assert core.judge(question, answer_to(id, found[f"{id}_check"], names)).status in ("fail", "error")
        else:
            answer = answer_to(id, found[f"{id}_check"], names)
            assert core.judge(question, answer).status == "not_started", id


@pytest.mark.parametrize("folder, status", [("solutions", "pass"), ("exercises", "not started")])
@pytest.mark.parametrize("name", NOTEBOOKS)
def test_stored_outputs_are_the_verdicts(name, folder, status):
    found = cells(folder, name)
    for id, question in asked_in(name).items():
        (output,) = found[f"{id}_check"].outputs
        points = float(question.points) if folder == "solutions" else 0.0
        assert output.data["text/plain"] == str(points), id
        assert ("all properties hold" if status == "pass" else status) in output.data["text/html"]


@pytest.mark.parametrize("name", NOTEBOOKS)
def test_nothing_of_the_solution_stays(name):
    solution, exercise = (make.read(ROOT / folder / f"{name}.ipynb") for folder in ("solutions", "exercises"))
    kept = "\n".join(cell.source for cell in exercise.cells)
    for cell in solution.cells:
        if make.is_answer(cell) and "genimg" not in cell.metadata:
            region = cell.source.split(make.BEGIN)[1].split(make.END)[0].strip()
            assert region not in kept
        if "solution-only" in cell.metadata.get("tags", []):
            assert cell.source not in kept
    assert all("genimg" not in cell.metadata for cell in exercise.cells)


def test_a_region_becomes_a_stub_with_its_indentation():
    source = 'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    y = x\n    return y\n    ### END SOLUTION'
    stub = 'def f(x):\n    """Doc."""\n    ### BEGIN SOLUTION\n    raise NotImplementedError\n    ### END SOLUTION'
    assert make.without_solution(source) == stub
    assert make.without_solution(stub) == stub


def test_flawed_code_is_handed_out_in_place_of_the_solution():
    source = "### BEGIN SOLUTION\nx = 1\n### END SOLUTION\nprint(x)"
    assert make.without_solution(source, "x = 2\n") == "### BEGIN SOLUTION\nx = 2\n### END SOLUTION\nprint(x)"


@pytest.mark.parametrize("source", [f"{make.BEGIN}\nx", f"x\n{make.END}", f"{make.BEGIN}\n{make.BEGIN}\n{make.END}"])
def test_marks_that_do_not_pair_are_refused(source):
    with pytest.raises(ValueError, match="stands"):
        make.without_solution(source)


@pytest.mark.slow
def test_an_endless_loop_is_interrupted_and_the_notebook_goes_on():
    from nbclient import NotebookClient

    sources = [
        "from genimg_lib.checks import check",
        "def gaussian_kl(mu, logvar):\n    while True:\n        pass",
        'check("gaussian_kl", gaussian_kl)',
        "print('still here')",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(source) for source in sources])
    client = NotebookClient(notebook, timeout=20, interrupt_on_timeout=True, kernel_name="python3")
    client.execute()
    (verdict,), (after,) = notebook.cells[2].outputs, notebook.cells[3].outputs
    assert verdict.data["text/plain"] == "0.0" and "stopped before it ended" in verdict.data["text/html"]
    assert after.text == "still here\n"
