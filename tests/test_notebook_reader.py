"""The reader of submissions: whatever lies in a file, it answers with cells to run or with a reason, never an error."""

import copy
import importlib.util
import json
import os
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from genimg_lib.checks.core import load_all
from genimg_lib.grade import masters, notebook
from genimg_lib.grade.magics import without_magics

ROOT = Path(__file__).parent.parent
spec = importlib.util.spec_from_file_location("make_exercises", ROOT / "solutions" / "make_exercises.py")
make = importlib.util.module_from_spec(spec)
spec.loader.exec_module(make)

SOLVED = json.loads((ROOT / "solutions/02_vae.ipynb").read_text(encoding="utf-8"))
HANDED = json.loads((ROOT / "exercises/02_vae.ipynb").read_text(encoding="utf-8"))
VAE = ["gaussian_kl", "reparameterize", "elbo_loss", "vq_straight_through", "fsq_quantize"]


def book(source=SOLVED):
    return copy.deepcopy(source)


def cell(of, id):
    return next(c for c in of["cells"] if masters.grade_id(c) == id)


def code(source, **more):
    return {"cell_type": "code", "metadata": {}, "outputs": [], "execution_count": None, "source": source, **more}


def parse(made, name="02_vae.ipynb"):
    return notebook.parse(json.dumps(made).encode(), name)


def answered(submission):
    return [c.question for c in submission.cells if c.question]


# --- masters ------------------------------------------------------------------------------------------------


def test_the_masters_are_what_the_generator_makes():
    assert masters.FILE.read_text(encoding="utf-8") == make.masters(), "run `make exercises`"


def test_the_masters_hold_every_question_with_its_name_and_no_solution():
    found = {id: q for master in masters.load().values() for id, q in master.questions.items()}
    assert set(found) == set(load_all())
    assert found["adaln_zero"].name == "AdaLNZero" and found["gaussian_kl"].name == "gaussian_kl"
    assert all(1 <= q.difficulty <= 3 and q.minutes >= 3 for q in found.values())
    for master in masters.load().values():
        assert len(master.setup) == 1 and all(master.untouched(id, q.source) for id, q in master.questions.items())


# --- which cells --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", sorted(masters.load()))
def test_a_solution_answers_everything_and_an_exercise_nothing(name):
    ids = list(masters.load()[name].questions)
    solved = notebook.read(ROOT / "solutions" / f"{name}.ipynb", ROOT)
    assert (solved.status, solved.notebook, solved.flags) == ("graded", name, ())
    assert answered(solved) == ids == list(solved.names) and solved.path == f"solutions/{name}.ipynb"
    handed = notebook.read(ROOT / "exercises" / f"{name}.ipynb", ROOT)
    assert (handed.status, handed.notebook, handed.flags, answered(handed)) == ("graded", name, (), [])


def test_what_runs_is_the_master_s_setup_then_the_learner_s_cells_without_checks_and_outputs():
    made = book()
    made["cells"][1]["source"] = "import evil"
    cell(made, "gaussian_kl_check")["source"] = "boom()"
    made["cells"].append(code(["helper = 1\n", "other = 2"]))
    made["cells"].append({"cell_type": "markdown", "metadata": {}, "source": "# words"})
    read = parse(made)
    assert read.cells[0].source == masters.load()["02_vae"].setup[0]
    assert [c.source for c in read.cells if not c.question][1:] == ["import evil", "helper = 1\nother = 2"]
    assert not any("boom" in c.source or "words" in c.source or "check(" in c.source for c in read.cells)


def test_points_and_types_come_from_the_master():
    made = book()
    cell(made, "gaussian_kl_check")["metadata"]["nbgrader"]["points"] = 612
    cell(made, "gaussian_kl")["cell_type"] = "markdown"
    read = parse(made)
    assert answered(read) == VAE and "gaussian_kl: its cell was no code cell any more" in read.flags[0]


def test_of_two_cells_for_one_question_the_last_counts():
    made = book()
    second = copy.deepcopy(cell(made, "gaussian_kl"))
    second["source"] = "def gaussian_kl(mu, logvar):\n    return 0"
    made["cells"].append(second)
    read = parse(made)
    assert [c.source for c in read.cells if c.question == "gaussian_kl"] == [second["source"]]
    assert read.flags == ("two cells named gaussian_kl: the last counts",)


def test_a_missing_cell_is_not_started_and_named():
    made = book()
    made["cells"].remove(cell(made, "elbo_loss"))
    read = parse(made)
    assert answered(read) == [id for id in VAE if id != "elbo_loss"] and list(read.names) == VAE
    assert read.flags == ("elbo_loss: its cell is missing",)


@pytest.mark.parametrize("kept", ["metadata gone", "ids gone too", "one cell answers two"])
def test_answers_are_found_where_the_marks_were_lost(kept):
    made = book()
    for c in made["cells"]:
        c["metadata"] = {}
        if kept != "metadata gone":
            c.pop("id", None)
    if kept == "one cell answers two":
        first = next(c for c in made["cells"] if "def gaussian_kl" in "".join(c["source"]))
        second = next(c for c in made["cells"] if "def reparameterize" in "".join(c["source"]))
        first["source"] = "".join(first["source"]) + "\n" + "".join(second["source"])
        made["cells"].remove(second)
    read = parse(made, "alice_02_vae (1).ipynb")
    assert read.notebook == "02_vae" and answered(read) == VAE and any("lost its mark" in f for f in read.flags)


def test_an_answer_written_beside_its_cell_counts():
    made = book(HANDED)
    made["cells"].append(code("def gaussian_kl(mu, logvar):\n    return mu.sum(1)"))
    read = parse(made)
    assert answered(read) == ["gaussian_kl"] and "beside the one meant for it" in read.flags[0]


# --- which notebook -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name", ["02_vae.ipynb", "02_vae (1).ipynb", "a/b/alice_02_vae.ipynb", "Untitled.ipynb", "02_vae-Copy1.ipynb"]
)
def test_a_renamed_notebook_is_known_by_its_questions(name):
    read = parse(book(), name)
    assert (read.notebook, read.flags, read.path) == ("02_vae", (), name)


def test_a_wrong_name_is_said():
    assert parse(book(), "03_gan.ipynb").flags == ("the name says 03_gan, the questions are those of 02_vae",)


def test_another_version_is_named_and_graded_by_what_is_known():
    made = book()
    cell(made, "elbo_loss")["metadata"]["nbgrader"]["grade_id"] = "elbo_of_old"
    read = parse(made)
    assert read.notebook == "02_vae" and any("another version" in f and "elbo_of_old" in f for f in read.flags)
    foreign = book()
    foreign["cells"].append(code("x = 1", metadata={"nbgrader": {"grade_id": "kid"}}))
    assert any("another notebook" in f and "kid" in f for f in parse(foreign).flags)


# --- what cannot be graded ----------------------------------------------------------------------------------

DEEP = b'{"nbformat": 4, "cells": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
BROKEN = {
    "empty": (b" \n", "empty"),
    "zeros": (bytes(1000), "empty"),
    "cut off": (json.dumps(SOLVED).encode()[:5000], "not JSON"),
    "latin-1": ("é".encode("latin-1"), "UTF-8"),
    "picture": (b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "UTF-8"),
    "script": (b"def gaussian_kl(mu):\n    pass\n", "not JSON"),
    "number": (b"12", "no notebook"),
    "list": (b"[]", "no notebook"),
    "object": (b"{}", "no notebook"),
    "format 3": (b'{"nbformat": 3, "worksheets": []}', "format 4"),
    "cells no list": (b'{"nbformat": 4, "cells": {}}', "list of cells"),
    "no cells": (b'{"nbformat": 4, "cells": []}', "none of our questions"),
    "foreign": (json.dumps({"nbformat": 4, "cells": [code("x = 1")]}).encode(), "none of our questions"),
    "odd cells": (b'{"nbformat": 4, "cells": [1, null, "x", {}, {"source": 3, "cell_type": []}]}', "none of our"),
    "deep": (DEEP, "not JSON"),
    "twice": (b'{"nbformat": 4, "cells": [], "cells": []}', "stands twice"),
    "long number": (b'{"nbformat": ' + b"4" * 10_000 + b', "cells": []}', "not JSON"),
    "many parts": (b'{"nbformat": 4, "cells": [' + b"1," * 3_100_000 + b"1]}", "too many parts"),
    "many cells": (json.dumps({"nbformat": 4, "cells": [code("1")] * 2_100}).encode(), "cells"),
    "much text": (json.dumps({"nbformat": 4, "cells": [code("x" * 2_100_000)]}).encode(), "characters"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_a_file_that_cannot_be_graded_says_why(what, tmp_path):
    data, words = BROKEN[what]
    path = tmp_path / "02_vae.ipynb"
    path.write_bytes(data)
    read = notebook.read(path, tmp_path)
    assert read.status == "invalid" and words in read.message and not read.cells, read.message
    assert len(read.message) < 200 and str(tmp_path) not in read.message


def test_nan_in_an_output_and_a_byte_order_mark_are_forgiven():
    made = book()
    made["cells"][1]["outputs"] = [{"data": {"application/json": float("nan")}}]
    assert notebook.parse(b"\xef\xbb\xbf" + json.dumps(made).encode(), "x.ipynb").status == "graded"


def test_half_a_character_does_not_travel_on():
    made = book()
    cell(made, "gaussian_kl")["source"] = "def gaussian_kl(mu, logvar):\n    return '\ud800'"
    for c in parse(made).cells:
        c.source.encode()


def test_files_that_are_no_files(tmp_path, monkeypatch):
    (tmp_path / "alice").mkdir()
    good = tmp_path / "alice" / "02_vae.ipynb"
    good.write_text(json.dumps(SOLVED), encoding="utf-8")
    assert notebook.read(good, tmp_path).status == "graded"
    (tmp_path / "link.ipynb").symlink_to(good)
    (tmp_path / "bob").symlink_to(tmp_path / "alice")
    os.mkfifo(tmp_path / "pipe.ipynb")
    cases = {"link.ipynb": "link", "bob/02_vae.ipynb": "link", "pipe.ipynb": "regular", "alice": "regular"}
    cases |= {"none.ipynb": "cannot be read", "a\0b.ipynb": "cannot be read", "x/../alice/02_vae.ipynb": "leads out"}
    for name, words in cases.items():
        read = notebook.read(tmp_path / name, tmp_path)
        assert read.status == "invalid" and words in read.message, (name, read.message)
    monkeypatch.setattr(notebook, "LARGEST", 1000)
    assert "larger than" in notebook.read(good, tmp_path).message


# --- IPython's own lines ------------------------------------------------------------------------------------

LINES = {
    "%matplotlib inline": "pass",
    "!pip install 'torch": "pass",
    "    !ls {x}": "    pass",
    "len?": "pass",
    "?len": "pass",
    "torch.nn??": "pass",
    "files = !ls": "pass",
    "a, b = %sx ls": "pass",
    "%time x = 1": "x = 1",
    "y = %time f(3)": "y = f(3)",
    "%%time\nx = 1": "pass\nx = 1",
    "%%bash\nls\n": "# %%bash\n# ls\n",
    "!ls \\\n  -l\nx = 1": "pass\n#\nx = 1",
    "s = '''\n%no\n!no\n'''": None,
    'd = """a\n\\"""\n%no"""': None,
    "x = (7\n  % 2)": None,
    "x = 7 \\\n  % 2": None,
    "s = 'it''s' # don't (\n": None,
    "s = 'a\\\n%b'": None,
    "print('%d?' % 3)": None,
    "x = a if b else c  # why?": None,
}


@pytest.mark.parametrize("source", LINES)
def test_lines_for_ipython(source):
    made, first = without_magics(source)
    assert made == (source if LINES[source] is None else LINES[source]) and bool(first) == (LINES[source] is not None)
    assert made.count("\n") == source.count("\n")


def test_python_is_left_alone():
    for path in [*ROOT.glob("genimg_lib/**/*.py"), *ROOT.glob("tests/*.py")]:
        source = path.read_text(encoding="utf-8")
        assert without_magics(source) == (source, ""), path


def test_a_magic_is_named():
    made = book()
    made["cells"].append(code("%pip install torch\nx = 1"))
    read = parse(made)
    assert read.cells[-1].source == "pass\nx = 1" and "%pip install torch" in read.flags[0]


# --- fuzz ---------------------------------------------------------------------------------------------------


def sound(data: bytes) -> None:
    read = notebook.parse(data, "02_vae.ipynb")
    assert read.status in ("graded", "invalid") and (read.status == "graded") == (not read.message)
    assert read.status == "invalid" or (set(answered(read)) <= set(read.names) and read.notebook in masters.load())
    for c in read.cells:
        c.source.encode()
    json.dumps([read.flags, read.message]).encode()


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_any_bytes(data):
    sound(data)


SMALL = book()
SMALL["cells"] = [c for c in SMALL["cells"] if c["cell_type"] == "code"][:5]
BYTES = json.dumps(SMALL).encode()


@settings(max_examples=300, deadline=None)
@given(st.data())
def test_changed_bytes(data):
    made = bytearray(BYTES)
    for _ in range(data.draw(st.integers(1, 6))):
        at = data.draw(st.integers(0, len(made) - 1))
        what = data.draw(st.sampled_from(["set", "cut", "drop", "copy"]))
        if what == "set":
            made[at] = data.draw(st.integers(0, 255))
        elif what == "cut" and len(made) > 2:
            del made[at + 1 :]
        elif what == "drop":
            del made[at : at + data.draw(st.integers(1, 40))]
        else:
            made[at:at] = made[: data.draw(st.integers(0, 60))]
        made = made or bytearray(b" ")
    sound(bytes(made))


ANY = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=6,
)
CELL = st.fixed_dictionaries(
    {},
    optional={
        "cell_type": st.sampled_from(["code", "markdown", "raw", 3]) | ANY,
        "source": st.text(max_size=40) | st.lists(st.text(max_size=10), max_size=3) | ANY,
        "id": st.sampled_from(["gaussian-kl", "x"]) | ANY,
        "metadata": st.fixed_dictionaries(
            {"nbgrader": st.fixed_dictionaries({"grade_id": st.sampled_from([*VAE, "kid", "kid_check", ""]) | ANY})}
        )
        | ANY,
    },
)


@settings(max_examples=300, deadline=None)
@given(st.lists(CELL, max_size=6), st.sampled_from([4, 4, 4, 3, "4", None]))
def test_notebooks_of_odd_parts(cells, version):
    sound(json.dumps({"nbformat": version, "cells": cells}).encode())


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet="%!?\\\"'#([{}]) \nax=.", max_size=60))
def test_any_text_keeps_its_lines(source):
    made, first = without_magics(source)
    assert made.count("\n") == source.count("\n") and (first or made == source)
