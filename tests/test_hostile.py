"""Hostile and faulty submissions at every level that this machine has: each gets what it deserves, its neighbour all.

One case: `pytest tests/test_hostile.py -k "segfault and bwrap"`.
"""

import json
import unicodedata
from functools import cache
from pathlib import Path

import pytest

from genimg_lib.grade import notebook, sandbox
from genimg_lib.grade.session import grade_submission
from tests import hostile
from tests.hostile.files import FILES, LINK

SECONDS, SHORT = 60.0, 1.5  # for what must end, on a busy machine; for what never ends
QUICK = {"segfault", "loop", "exit", "fork bomb", "network", "a solution read from its file", "torch says yes",
         "forged: zeros", "the frames above", "honest", "an answer twice", "no JSON"}  # fmt: skip  for `make check`


def cases(named):
    return [pytest.param(case, id=name.replace(" ", "-"), marks=() if name in QUICK else pytest.mark.slow)
            for name, case in named]  # fmt: skip


ANSWERS = cases((case.name, case) for case in hostile.load())
FOUND = cases((name, name) for name in FILES)


@cache
def opened(level):
    """One sandbox a level for all cases, as in a class: what one leaves behind, the next would meet."""
    try:
        return sandbox.open_sandbox(level)
    except ValueError as error:
        return str(error)


@pytest.fixture(params=["bwrap", "lockdown"])
def box(request):
    found = opened(request.param)
    return found if isinstance(found, sandbox.Sandbox) else pytest.skip(found)


@pytest.fixture(scope="module", autouse=True)
def closing():
    yield
    for level in ("bwrap", "lockdown"):
        if isinstance(opened(level), sandbox.Sandbox):
            opened(level).close()
    opened.cache_clear()


def graded(box, path, seconds=SECONDS):
    return grade_submission(box, notebook.read(path, path.parent), 0, seconds)


def scores(row):
    return {question["id"]: question["score"] for question in row["questions"]}


def neighbour(box, tmp_path):
    """An honest submission, graded; it must not notice what came before."""
    path = hostile.write(tmp_path / "neighbour" / "02_vae.ipynb", hostile.notebook(hostile.HONEST))
    row = graded(box, path)
    assert not Path("/tmp/genimg-was-here").exists()
    assert row["score"] == 3.0 and row["flags"] == [] and row["level"] == box.level
    assert {q["id"]: q["status"] for q in row["questions"]} == {
        "gaussian_kl": "pass", "reparameterize": "pass", "elbo_loss": "not_started",
        "vq_straight_through": "not_started", "fsq_quantize": "not_started",
    }  # fmt: skip


def fit_to_print(row, source=""):
    """Short, clean, and without a word of the grader's own that the answer did not bring along."""
    text = json.dumps(row, allow_nan=False)
    assert len(text) < 30_000
    for question in row["questions"]:
        words = question["message"] + "".join(p["message"] for p in question["properties"])
        assert not [c for c in words if unicodedata.category(c) in ("Cc", "Cf", "Cs")], ascii(words)
        assert not [word for word in ("genimg_lib", str(hostile.ROOT)) if word in words and word not in source], words


@pytest.mark.parametrize("case", ANSWERS)
def test_an_answer_gets_what_it_deserves_and_its_neighbour_too(case, box, tmp_path):
    answers = {"gaussian_kl": case.source, "reparameterize": hostile.HONEST["reparameterize"]}
    path = hostile.write(tmp_path / "02_vae.ipynb", hostile.notebook(answers))
    before = path.read_bytes()
    row = graded(box, path, SHORT if case.quick else SECONDS)
    judged = next(question for question in row["questions"] if question["id"] == "gaussian_kl")
    assert row["status"] == "graded" and judged["score"] == case.score, judged
    assert case.status in (None, judged["status"]) and case.says in judged["message"], judged
    assert case.rest is None or scores(row)["reparameterize"] == case.rest, row
    assert any(case.flag in flag for flag in row["flags"]) or not case.flag, row["flags"]
    fit_to_print(row, case.source)
    assert path.read_bytes() == before
    neighbour(box, tmp_path)


@pytest.mark.parametrize("name", FOUND)
def test_a_file_gets_what_it_deserves(name, box, tmp_path):
    content, status, points = FILES[name]
    row = graded(box, hostile.write(tmp_path / "02_vae.ipynb", content))
    assert (row["status"], row["score"]) == (status, points), row
    assert row["max_score"] in ((14.0,) if status == "graded" else (0.0, 14.0))
    assert bool(row.get("message")) == (status == "invalid")
    fit_to_print(row)
    neighbour(box, tmp_path)


def test_a_link_to_a_solution_is_no_submission(box, tmp_path):
    path = tmp_path / "02_vae.ipynb"
    path.symlink_to(LINK)
    assert graded(box, path)["status"] == "invalid"


def test_a_neighbours_file_is_out_of_reach(box, tmp_path):
    other = hostile.write(tmp_path / "neighbour" / "02_vae.ipynb", hostile.notebook(hostile.HONEST))
    before = other.read_bytes()
    source = f"""
import json, os, shutil
path = {str(other)!r}
done = []
for act in (lambda: open(path).read(), lambda: open(path, "a").write("x"), lambda: os.remove(path),
            lambda: os.rename(path, path + "x"), lambda: os.chmod(path, 0), lambda: os.truncate(path, 0),
            lambda: os.link(path, "mine"), lambda: os.utime(path), lambda: shutil.rmtree(os.path.dirname(path)),
            lambda: os.symlink("/", os.path.dirname(path) + "/link")):
    try:
        act()
        done.append(act)
    except OSError:
        continue
assert not done
def gaussian_kl(mu, logvar):
    raise NotImplementedError
"""
    path = hostile.write(tmp_path / "02_vae.ipynb", hostile.notebook({"gaussian_kl": source}))
    row = graded(box, path)
    assert row["score"] == 0 and row["questions"][0]["status"] == "not_started", row
    assert other.read_bytes() == before and sorted(p.name for p in other.parent.iterdir()) == [other.name]


def test_the_same_seed_gives_the_same_report(box, tmp_path):
    answers = {"gaussian_kl": hostile.HONEST["gaussian_kl"],
               "reparameterize": "import random\ndef reparameterize(mu, logvar, eps):\n"
               "    raise ValueError(f'{random.random()} {object()} {set(\"abc\")} {hash(\"a\")}')"}  # fmt: skip
    path = hostile.write(tmp_path / "02_vae.ipynb", hostile.notebook(answers))
    first, again = graded(box, path), graded(box, path)
    assert json.dumps(first) == json.dumps(again)
    other = grade_submission(box, notebook.read(path, tmp_path), 1, SECONDS)
    assert other["score"] == first["score"] and other["seed"] == 1


def test_a_worker_starts_with_nothing_of_the_last_one(box, tmp_path):
    leave = {"gaussian_kl": "import builtins, torch\nbuiltins.left = 1\nopen('left', 'w')\ngaussian_kl = lambda *a: 1"}
    look = "import builtins, os\nassert not hasattr(builtins, 'left') and not os.listdir('.')\n"
    graded(box, hostile.write(tmp_path / "a" / "02_vae.ipynb", hostile.notebook(leave)))
    source = look + hostile.HONEST["gaussian_kl"]
    row = graded(box, hostile.write(tmp_path / "b" / "02_vae.ipynb", hostile.notebook({"gaussian_kl": source})))
    assert scores(row)["gaussian_kl"] == 2.0, row


def test_many_cells_that_end_just_in_time_do_not_take_hours(box, tmp_path):
    book = hostile.notebook(hostile.HONEST)
    own = {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None}
    book["cells"][1:1] = [{**own, "id": f"own{i}", "source": f"import time\ntime.sleep(0.2)  # {i}"} for i in range(60)]
    row = graded(box, hostile.write(tmp_path / "02_vae.ipynb", book), 0.3)
    assert any("took too long" in flag for flag in row["flags"]), row
    neighbour(box, tmp_path)


def test_the_corpus_is_large_enough():
    assert len(ANSWERS) + len(FILES) >= 45 and len({case.values[0].name for case in ANSWERS}) == len(ANSWERS)
