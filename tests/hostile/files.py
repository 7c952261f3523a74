"""Notebooks that are broken, foreign, edited or no notebooks at all, and what each deserves."""

import json

from tests.hostile import HONEST, ROOT, answer_cell, changed, notebook

FULL = 3.0  # what the two honest answers earn
WRONG = {"gaussian_kl": "def gaussian_kl(mu, logvar):\n    return mu.sum(1)\n"}


def twice(book):
    """The wrong answer first, then the honest one under the same id: the last counts."""
    cell = answer_cell(book)
    book["cells"].insert(0, {**cell, "id": "again", "source": WRONG["gaussian_kl"]})


def no_ids(book):
    for cell in book["cells"]:
        cell["metadata"] = {}


def points(book):
    for cell in book["cells"]:
        if "points" in cell["metadata"].get("nbgrader", {}):
            cell["metadata"]["nbgrader"]["points"] = 1000


def own_checks(book):
    for cell in book["cells"]:
        if cell["metadata"].get("nbgrader", {}).get("grade"):
            cell["source"] = "2.0"


def no_answer(book):
    book["cells"].remove(answer_cell(book))


def as_markdown(book):
    answer_cell(book)["cell_type"] = "markdown"


def magics(book):
    cell = answer_cell(book)
    cell["source"] = "%matplotlib inline\n!touch /tmp/genimg-was-here\n" + cell["source"] + "\n%timeit 1\n"


def helper_below(book):
    answer_cell(book)["source"] = "def gaussian_kl(mu, logvar):\n    return helper(mu, logvar)\n"
    book["cells"].append({"cell_type": "code", "id": "own", "metadata": {}, "outputs": [], "execution_count": None,
                          "source": HONEST["gaussian_kl"].replace("gaussian_kl", "helper")})  # fmt: skip


def own_cells_that_fail(book):
    sources = "1 / 0", "import nothing_like_it", "def (", "exit()", "get_ipython().system('id')"
    for index, source in enumerate(sources):
        book["cells"].insert(index, {"cell_type": "code", "id": f"own{index}", "metadata": {}, "outputs": [],
                                     "execution_count": None, "source": source})  # fmt: skip


def own_cell_that_ends_it(book):
    book["cells"].insert(1, {"cell_type": "code", "id": "own", "metadata": {}, "outputs": [],
                             "execution_count": None, "source": "import os\nos._exit(0)"})  # fmt: skip


def stored_outputs(book):
    for cell in book["cells"]:
        if cell["cell_type"] == "code":
            cell["outputs"] = [{"output_type": "execute_result", "data": {"text/plain": "2.0"}, "metadata": {},
                                "execution_count": 1}]  # fmt: skip


FILES = {  # name -> (the file's content, status of the submission, points)
    "empty": (b"", "invalid", 0),
    "no JSON": (b"{'cells': []", "invalid", 0),
    "cut off": (json.dumps(notebook(HONEST))[:5000], "invalid", 0),
    "no UTF-8": (b"\xff\xfe\x00" * 100, "invalid", 0),
    "brackets": (b"[" * 100_000, "invalid", 0),
    "no notebook": ({"version": 1}, "invalid", 0),
    "cells of the wrong kind": ({"cells": {"a": 1}, "nbformat": 4, "metadata": {}}, "invalid", 0),
    "another course": ({"cells": [], "nbformat": 4, "nbformat_minor": 5, "metadata": {}}, "invalid", 0),
    "a pickle": (b"\x80\x04\x95\x1f\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R.",
                 "invalid", 0),
    "honest": (changed(lambda book: None), "graded", FULL),
    "an answer twice": (changed(twice), "graded", FULL),
    "more points": (changed(points), "graded", FULL),
    "checks of its own": (changed(own_checks), "graded", FULL),
    "stored outputs": (changed(stored_outputs), "graded", FULL),
    "no ids": (changed(no_ids), "graded", FULL),
    "an answer deleted": (changed(no_answer), "graded", 1.0),
    "an answer as markdown": (changed(as_markdown), "graded", FULL),
    "magics": (changed(magics), "graded", FULL),
    "a helper below": (changed(helper_below), "graded", FULL),
    "cells of its own that fail": (changed(own_cells_that_fail), "graded", FULL),
    "a cell of its own that ends it": (changed(own_cell_that_ends_it), "graded", FULL),
    "untouched": (notebook({}), "graded", 0),
    "wrong": (notebook(WRONG), "graded", 0),
}  # fmt: skip
LINK = ROOT / "solutions" / "02_vae.ipynb"  # where a symlink points that is handed in
