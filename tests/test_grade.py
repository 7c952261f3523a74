"""`genimg grade` as an instructor meets it: what goes in, what comes out, how it goes on after an interruption."""

import csv
import io
import json
import multiprocessing
import os
import shutil
import stat
import threading
import xml.etree.ElementTree as ET
import zipfile
from pathlib import Path

import pytest

from genimg_lib import grade, grade_cli
from genimg_lib.grade import layouts, masters, pool, report, sandbox, session, store

ROOT = Path(__file__).parent.parent
SOLVED = (ROOT / "solutions/02_vae.ipynb").read_text(encoding="utf-8")
HANDED = (ROOT / "exercises/02_vae.ipynb").read_text(encoding="utf-8")
SEAMS = (ROOT / "solutions/04_likelihood.ipynb").read_text(encoding="utf-8")
WRONG = SOLVED.replace("mu + torch.exp(0.5 * logvar) * eps", "mu + logvar.exp() * eps")
ODD = ["<script>alert(1)<_script>", 'O\'Brien & "Sons"', "new\nline", "Łukasz 佐藤", "=1+1", "-rf", "a b", "a_b", "A b"]


class Pretended:
    """A sandbox in which nothing runs."""

    level, why = "bwrap", ""

    def close(self):
        pass


def pretend_one(id: str, done: bool = True) -> dict:
    value = {"name": "value", "status": "pass", "message": ""}
    return {"id": id, "status": "pass" if done else "not_started", "score": 2.0 * done, "max_score": 2.0, "message": "",
            "properties": [value]}  # fmt: skip


def pretend(submission, seed) -> dict:
    """An entry as a session makes it: every answered question passes."""
    answered = {cell.question for cell in submission.cells}
    rows = [pretend_one(id, id in answered) for id in submission.names]
    return {"path": submission.path, "notebook": submission.notebook, "status": "graded", "questions": rows,
            "score": sum(r["score"] for r in rows), "max_score": 2.0 * len(rows), "level": "bwrap", "seed": seed,
            "flags": list(submission.flags)}  # fmt: skip


@pytest.fixture
def graded(monkeypatch):
    """Grading without running anything; the paths that were graded, in a list."""
    seen = []

    def collect(sandbox, submission, seed, timeout):
        seen.append(submission.path)
        return lambda: pretend(submission, seed)

    monkeypatch.setattr(sandbox, "open_sandbox", lambda level=None: Pretended())
    monkeypatch.setattr(session, "collect", collect)
    monkeypatch.setattr(pool, "THREADS", 99)  # another process would know nothing of this
    return seen


def put(path, text=SOLVED):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


def packed(path, entries, links=()):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, data in entries:
            archive.writestr(name, data)
        for name, target in links:
            info = zipfile.ZipInfo(name)
            info.external_attr = (stat.S_IFLNK | 0o777) << 16
            archive.writestr(info, target)
    return path


def everything(folder) -> dict:
    return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


# --- the real thing -----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "submissions"
    put(folder / "alice/02_vae.ipynb")
    put(folder / "bob/02_vae.ipynb", WRONG)
    put(folder / "carol/02_vae (1).ipynb", HANDED)
    put(folder / "dave/02_vae.ipynb", "{")
    return folder


def test_a_class_is_graded_and_the_same_seed_gives_the_same_bytes(genimg, class_folder, tmp_path):
    status, said = genimg("grade", class_folder, "--out", "one", "--json", "one.json", "--jobs", 2)
    assert status == 1 and "4 notebooks of 4 students" in said and "1 could not be graded" in said, said
    result = json.loads((tmp_path / "one.json").read_text())
    assert result["version"] == 1
    rows = {entry["path"]: entry for entry in result["submissions"]}
    assert list(rows) == ["alice/02_vae.ipynb", "bob/02_vae.ipynb", "carol/02_vae (1).ipynb", "dave/02_vae.ipynb"]
    alice, bob, carol, dave = rows.values()
    assert alice["status"] == "graded" and alice["score"] == alice["max_score"] == 14.0
    assert bob["score"] < 14 and {q["id"]: q["status"] for q in bob["questions"]}["reparameterize"] == "fail"
    assert {q["status"] for q in carol["questions"]} == {"not_started"} and carol["score"] == 0
    assert dave["status"] == "invalid" and "JSON" in dave["message"] and dave["max_score"] == 14.0
    assert {"level", "seed", "flags"} <= set(alice)
    assert {"id", "status", "score", "max_score", "message", "properties"} <= set(alice["questions"][0])

    genimg("grade", class_folder, "--out", "two", "--json", "two.json", "--jobs", 1)
    assert everything(tmp_path / "one") == everything(tmp_path / "two")
    assert (tmp_path / "one.json").read_bytes() == (tmp_path / "two.json").read_bytes()
    genimg("grade", class_folder / "bob", "--json", "three.json", "--seed", 5)
    other = json.loads((tmp_path / "three.json").read_text())["submissions"][0]
    assert other["seed"] == 5 and other["questions"][1]["message"] != bob["questions"][1]["message"]


def test_many_sandboxes_have_processes_and_one_that_is_killed_costs_nothing(class_folder):
    one = grade.grade([class_folder], jobs=1)
    before, killed = set(multiprocessing.active_children()), []

    def kill(entry):
        if entry["status"] == "graded" and not killed:
            killed.extend(set(multiprocessing.active_children()) - before)
            for child in killed:
                child.kill()

    many = grade.grade([class_folder], jobs=pool.THREADS + 1, on_result=kill)
    assert killed and many == one
    assert not set(multiprocessing.active_children()) - before


def test_one_s_own_notebook_is_explained_and_counts_as_progress(genimg, tmp_path):
    put(tmp_path / "exercises/02_vae.ipynb", WRONG)
    status, said = genimg("grade", "exercises/02_vae.ipynb")
    assert status == 1 and "✗ reparameterize" in said and "Likely cause" in said and "genimg hint" in said
    assert "gaussian_kl round=1 score=2/2" in (tmp_path / "exercises/progress.txt").read_text()
    put(tmp_path / "exercises/02_vae.ipynb")
    assert genimg("grade", "exercises/02_vae.ipynb")[0] == 0


def test_a_class_is_not_graded_without_a_sandbox_unasked(genimg, class_folder):
    status, said = genimg("grade", class_folder, "--level", "none")
    assert status == 2 and "--unsafe" in said and "4 people" in said
    status, said = genimg("grade", class_folder / "carol", "--level", "none")
    assert status == 1 and "without a sandbox" in said


# --- what goes in -------------------------------------------------------------------------------------------


def whose(*paths) -> dict:
    return {one.shown: (one.student, one.assignment) for one in layouts.find(paths)}


def test_layouts_of_folders(tmp_path):
    skipped = ["bob/.ipynb_checkpoints/02_vae-checkpoint.ipynb", "bob/__MACOSX/._02_vae.ipynb", ".h/02_vae.ipynb"]
    for name in ["alice/02_vae.ipynb", "bob/deep/er/02_vae.ipynb", "alice/notes.txt", "eve/notes.txt", *skipped]:
        put(tmp_path / "submissions" / name)
    wanted = {"alice/02_vae.ipynb": ("alice", ""), "bob/deep/er/02_vae.ipynb": ("bob", ""), "eve": ("eve", "")}
    assert whose(tmp_path / "submissions") == wanted
    assert [owner for owner, _ in whose(tmp_path).values()] == ["alice", "bob", "eve"]
    assert [one.problem for one in layouts.find([tmp_path / "submissions"])] == ["", "", "holds no notebook"]


def test_the_layout_of_nbgrader(tmp_path):
    for student in ("alice", "bob"):
        for assignment in ("ps1", "ps2"):
            put(tmp_path / "submitted" / student / assignment / "02_vae.ipynb")
    wanted = [(s, a) for s in ("alice", "bob") for a in ("ps1", "ps2")]
    assert list(whose(tmp_path / "submitted").values()) == list(whose(tmp_path).values()) == wanted


def test_layouts_of_downloads(tmp_path):
    names = {
        "Ana Lopez_12345_assignsubmission_file_/02_vae.ipynb": "Ana Lopez_12345",
        "Ana Lopez_777_assignsubmission_file_/02_vae.ipynb": "Ana Lopez_777",
        "Bo Li_99_assignsubmission_file_/02_vae.ipynb": "Bo Li",
        "alice_LATE_123_456_02_vae.ipynb": "alice",
        "carol_124_457_02_vae-2.ipynb": "carol",
        "dave_LATE_123_02_vae.ipynb": "dave",
        "erin_02_vae.ipynb": "erin",
        "submission_31/02_vae.ipynb": "submission_31",
    }
    for name in names:
        put(tmp_path / "down" / name)
    found = {one.shown: one for one in layouts.find([tmp_path / "down"])}
    assert {name: one.student for name, one in found.items()} == names
    assert {one.student for one in found.values() if one.late} == {"alice", "dave"}


def test_files_and_several_folders_are_told_apart(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("mon/alice/02_vae.ipynb", "tue/alice/02_vae.ipynb", "zoe/02_vae.ipynb"):
        put(tmp_path / name)
    found = whose("mon", "tue", "zoe/02_vae.ipynb", "mon")
    assert list(found) == ["mon/alice/02_vae.ipynb", "tue/alice/02_vae.ipynb", "zoe/02_vae.ipynb"]
    assert found["zoe/02_vae.ipynb"] == ("zoe", "")


def test_zip_files(tmp_path):
    inner = packed(tmp_path / "inner.zip", [("work/02_vae.ipynb", SOLVED)]).read_bytes()
    outer = packed(tmp_path / "class.zip", [
        ("hw/alice/02_vae.ipynb", SOLVED), ("hw/bob/deep/02_vae.ipynb", SOLVED), ("hw/carol/mine.zip", inner),
        ("__MACOSX/hw/alice/._02_vae.ipynb", b"x"), ("hw/alice/.ipynb_checkpoints/02_vae.ipynb", SOLVED),
    ])  # fmt: skip
    found = layouts.find([outer])
    assert [one.student for one in found] == ["alice", "bob", "carol"]
    assert [one.read().status for one in found] == ["graded"] * 3 and found[2].read().path == found[2].shown
    shutil.copytree(tmp_path, tmp_path.parent / "folder", ignore=shutil.ignore_patterns("inner.zip"))
    assert [one.student for one in layouts.find([tmp_path.parent / "folder"])] == ["alice", "bob", "carol"]


def test_hostile_zip_files(tmp_path, monkeypatch):
    path = packed(
        tmp_path / "class.zip",
        [("../../evil/02_vae.ipynb", SOLVED), ("/etc/02_vae.ipynb", SOLVED), ("C:\\x\\02_vae.ipynb", SOLVED),
         ("alice/02_vae.ipynb", SOLVED), ("bomb/02_vae.ipynb", bytes(30_000_000)), ("bad/x.zip", b"PK no")],
        links=[("link/02_vae.ipynb", "/etc/passwd")],
    )  # fmt: skip
    before = everything(tmp_path)
    said = {one.shown: one.read() for one in layouts.find([path])}
    assert [name for name, read in said.items() if read.status == "graded"] == ["alice/02_vae.ipynb"]
    reasons = " ".join(read.message for read in said.values())
    assert all(word in reasons for word in ("out of the zip", "link", "more than 20 MiB", "no zip file"))
    assert not any(".." in name or name.startswith("/") for name in said) and everything(tmp_path) == before
    monkeypatch.setattr(layouts, "MOST_BYTES", 1000)
    assert "unpack to more" in layouts.find([path])[0].read().message
    path.write_bytes(b"PK\x03\x04 nonsense")
    assert "no zip file" in layouts.find([path])[0].read().message


def test_a_zip_in_a_zip_holds_so_many_notebooks_and_no_more(tmp_path):
    inner = packed(tmp_path / "x.zip", [(f"{i}.ipynb", "{}") for i in range(layouts.MOST_OF_ONE + 1)]).read_bytes()
    path = packed(tmp_path / "class.zip", [("alice/02_vae.ipynb", SOLVED), ("mallory/x.zip", inner)])
    alice, mallory = (one.read() for one in layouts.find([path]))
    assert alice.status == "graded" and "101 notebooks" in mallory.message


def test_an_unreadable_file_makes_no_assignment_of_the_class():
    def entry(student, notebook, status):
        return {"student": student, "path": f"{student}/{notebook}.ipynb", "notebook": notebook, "status": status,
                "assignment": "", "score": 0.0, "max_score": 17.0}  # fmt: skip

    of = [entry("alice", "02_vae", "graded"), entry("bob", "03_gan", "invalid"), entry("bob", "02_vae", "invalid")]
    sheet = report.Sheet.of({"submissions": of})
    assert list(sheet.assignments) == ["02_vae"] and sheet.strays == [of[1]]


@pytest.mark.parametrize("sign", "=+-@＝＋－＠")
def test_a_name_is_no_formula(sign):
    assert report.cell(f"{sign}1+2").startswith("'")


def test_a_zip_entry_that_lies_about_its_size(tmp_path):
    path = packed(tmp_path / "a.zip", [("alice/02_vae.ipynb", bytes(25_000_000))])
    data = bytearray(path.read_bytes())
    for mark, at in ((b"PK\x01\x02", 24), (b"PK\x03\x04", 22)):
        where = data.find(mark) + at
        data[where : where + 4] = (1000).to_bytes(4, "little")
    path.write_bytes(data)
    (found,) = layouts.find([path])
    assert found.read().status == "invalid"


@pytest.mark.parametrize("damage", ["data", "checksum", "size", "method"])
def test_a_damaged_zip_in_a_class_s_zip_costs_its_student_alone(damage, tmp_path):
    inner = packed(tmp_path / "x.zip", [("02_vae.ipynb", SOLVED)]).read_bytes()
    path = packed(tmp_path / "class.zip", [("alice/02_vae.ipynb", SOLVED), ("mallory/x.zip", inner),
                                           ("zoe/02_vae.ipynb", SOLVED)])  # fmt: skip
    with zipfile.ZipFile(path) as archive:
        start = archive.getinfo("mallory/x.zip").header_offset
    data = bytearray(path.read_bytes())
    entry = data.rindex(b"mallory/x.zip") - 46  # in the table at the end
    at, value = {"data": (start + 30 + len("mallory/x.zip"), b"\xff" * 9), "checksum": (entry + 16, b"\0\0\0\0"),
                 "size": (entry + 24, b"\x09\0\0\0"), "method": (entry + 10, b"\x63\0")}[damage]  # fmt: skip
    data[at : at + len(value)] = value
    path.write_bytes(data)
    said = {one.student: one.read().status for one in layouts.find([path])}
    assert said == {"alice": "graded", "mallory": "invalid", "zoe": "graded"}


def test_what_cannot_be_graded_at_all(genimg, graded, tmp_path):
    (tmp_path / "empty").mkdir()
    for words, message in ((["empty"], "no notebook in empty"), (["nowhere"], "there is no nowhere"),
                           (["empty", "--resume"], "no notebook")):  # fmt: skip
        status, said = genimg("grade", *words)
        assert status == 2 and message in said and "Traceback" not in said, said
    put(tmp_path / "other.ipynb", '{"nbformat": 4, "cells": []}')
    status, said = genimg("grade", "other.ipynb")
    assert status == 2 and "none of our questions" in said
    put(tmp_path / "alice/02_vae.ipynb")
    status, said = genimg("grade", "alice", "--resume")
    assert status == 2 and "--out" in said


def test_an_unknown_level_is_refused(genimg, tmp_path):
    put(tmp_path / "alice/02_vae.ipynb")
    status, said = genimg("grade", "alice", "--level", "cage")
    assert status == 2 and "bwrap, lockdown, none" in said


# --- what comes out -----------------------------------------------------------------------------------------


@pytest.fixture
def odd_class(tmp_path):
    for name in ODD:
        put(tmp_path / "class" / name / "02_vae.ipynb", SOLVED if name != "a b" else HANDED)
    return tmp_path / "class"


def test_reports_of_people_with_odd_names(genimg, graded, odd_class, tmp_path):
    status, said = genimg("grade", odd_class, "--out", "out", "--json", "-")
    assert status == 1 and json.loads(said[: said.rindex("}") + 1])["version"] == 1
    out = tmp_path / "out"
    pages = sorted(p.name for p in (out / "students").iterdir())
    assert len(pages) == len(ODD) == len({page.casefold() for page in pages})
    assert all(not set(page) & set("<>\"'\n&/\\:*?|") for page in pages)
    for page in [out / "index.html", *(out / "students").iterdir()]:
        text = page.read_text(encoding="utf-8")
        assert "<script>alert" not in text and "http:" not in text and "https:" not in text
        assert "default-src 'none'" in text and "prefers-color-scheme: dark" in text
    rows = list(csv.DictReader(io.StringIO((out / "grades.csv").read_text(encoding="utf-8"))))
    assert len(rows) == len(ODD) and tuple(rows[0]) == report.COLUMNS
    by_name = {row["student_id"]: row for row in rows}
    assert "'=1+1" in by_name and "'-rf" in by_name and "new⏎line" in by_name
    assert (by_name["a b"]["score"], by_name["a_b"]["score"], by_name["a_b"]["max_score"]) == ("0", "10", "10")
    suites = ET.parse(out / "junit.xml").getroot()
    assert len(suites) == len(ODD) and len(suites.findall(".//skipped")) == 5
    scores = [json.loads(p.read_text())["score"] for p in sorted((out / "gradescope").iterdir())]
    assert sorted(scores) == [0.0] + [10.0] * (len(ODD) - 1)


def test_a_report_tells_what_only_neighbours_explain(genimg, graded, tmp_path):
    put(tmp_path / "c/alice/02_vae.ipynb")
    put(tmp_path / "c/bob/02_vae.ipynb")
    put(tmp_path / "c/bob/second/02_vae.ipynb", HANDED)
    put(tmp_path / "c/carol/04_likelihood.ipynb", SEAMS)
    genimg("grade", "c", "--out", "out")
    alice, bob, second, carol = json.loads((tmp_path / "out/report.json").read_text())["submissions"]
    assert alice["flags"] == ["byte for byte the file of bob/02_vae.ipynb"] and not carol["flags"]
    assert bob["flags"][-1] == second["flags"][-1] == "handed in 02_vae more than once: the best counts"
    text = {str(path.relative_to("out")): path.read_text() for path in Path("out").rglob("*.*") if path.is_file()}
    assert "byte for byte the file of bob" in text["index.html"]
    own = text["students/alice.html"] + text["gradescope/alice.json"]
    assert "byte for byte the file of somebody else" in own and "bob" not in own
    assert json.loads(text["gradescope/bob.json"])["score"] == bob["score"], "two files of one notebook count once"
    rows = csv.DictReader((tmp_path / "out/grades.csv").read_text().splitlines())
    got = {(row["student_id"], row["assignment"]): float(row["score"]) for row in rows}
    vae, likelihood = {"alice": 10, "bob": 10, "carol": 0}, {"alice": 0, "bob": 0, "carol": 4}
    assert {student: got[student, "02_vae"] for student in vae} == vae
    assert {student: got[student, "04_likelihood"] for student in likelihood} == likelihood


def test_hostile_messages_are_harmless_everywhere():
    bad = "</p><img onerror=x>\x1b[31m\ud800\u202e"
    value = {"name": "value", "status": "fail", "message": "<b>&\x00"}
    asked = {**pretend_one("gaussian_kl"), "status": "error", "score": 0.0, "message": bad, "properties": [value]}
    entry = {"path": "a/<i>.ipynb", "notebook": "02_vae", "status": "graded", "score": 0.0, "max_score": 2.0}
    entry |= {"student": "<i>", "assignment": "", "sha256": "", "flags": ["[red]<u>"], "questions": [asked]}
    made = store.files({"version": 1, "seed": 0, "level": "bwrap", "submissions": [entry]})
    for name, text in made.items():
        if name.endswith(".html"):
            assert not any(bad in text for bad in ("<img", "<i>", "<u>", "<b>&", "\x1b", "\x00", "\ud800", "\u202e")), (
                name
            )
        elif name.endswith(".xml"):
            ET.fromstring(text.encode())
        elif name.endswith(".json"):
            json.loads(text.encode("utf-8", "backslashreplace"))
    console = io.StringIO()
    from rich.console import Console

    Console(file=console, width=100).print(report.table({"submissions": [entry]}), *report.details(entry))
    assert "\x1b" not in console.getvalue() and "[red]<u>" in console.getvalue()


# --- interruption, and disks --------------------------------------------------------------------------------


@pytest.fixture
def ten(tmp_path):
    for i in range(10):
        put(tmp_path / f"c/s{i}/02_vae.ipynb", SOLVED.replace("nbformat_minor", f"nbformat_minor{i}"))
    return tmp_path / "c"


def test_an_interrupted_grading_goes_on_where_it_stopped(genimg, graded, ten, tmp_path, monkeypatch):
    real = session.collect

    def impatient(box, submission, seed, timeout):
        if len(graded) == 4:
            raise KeyboardInterrupt
        return real(box, submission, seed, timeout)

    monkeypatch.setattr(session, "collect", impatient)
    status, said = genimg("grade", ten, "--out", "out", "--jobs", 1)
    assert status == 1 and "stopped after 4 of 10" in said and "--resume" in said and "Traceback" not in said
    assert len(json.loads((tmp_path / "out/report.json").read_text())["submissions"]) == 4
    monkeypatch.setattr(session, "collect", real)
    with open(tmp_path / "out" / store.KEPT, "a") as file:
        file.write('["cut off')
    graded.clear()
    status, said = genimg("grade", ten, "--out", "out", "--resume")
    assert status == 0 and len(graded) == 6
    genimg("grade", ten, "--out", "whole")
    assert everything(tmp_path / "out") == everything(tmp_path / "whole")
    graded.clear()
    genimg("grade", ten, "--out", "out", "--resume", "--seed", 3)
    assert len(graded) == 10, "another seed is another grading"


def test_an_early_ctrl_c_leaves_an_earlier_report_alone(genimg, graded, ten, tmp_path, monkeypatch):
    genimg("grade", ten, "--out", "out")
    before = everything(tmp_path / "out")

    def impatient(level=None):
        raise KeyboardInterrupt

    monkeypatch.setattr(sandbox, "open_sandbox", impatient)
    status, said = genimg("grade", ten, "--out", "out")
    assert status == 1 and "stopped after 0 of 10" in said and everything(tmp_path / "out") == before


def test_a_changed_file_is_graded_again(genimg, graded, ten):
    genimg("grade", ten, "--out", "out")
    put(ten / "s3/02_vae.ipynb", HANDED)
    graded.clear()
    genimg("grade", ten, "--out", "out", "--resume")
    assert graded == ["s3/02_vae.ipynb"]


def test_foreign_files_are_not_replaced(genimg, graded, ten, tmp_path):
    put(tmp_path / "full/thesis.tex", "years")
    status, said = genimg("grade", ten, "--out", "full")
    assert status == 2 and "--force" in said and everything(tmp_path / "full") == {"thesis.tex": b"years"}
    put(tmp_path / "mine.json", '{"a": 1}')
    status, said = genimg("grade", ten, "--json", "mine.json")
    assert status == 2 and (tmp_path / "mine.json").read_text() == '{"a": 1}'
    genimg("grade", ten, "--out", "out")
    (tmp_path / "out/grades.csv").write_text("my own remarks")
    status, said = genimg("grade", ten, "--out", "out")
    assert status == 2 and "grades.csv" in said and (tmp_path / "out/grades.csv").read_text() == "my own remarks"
    assert genimg("grade", ten, "--out", "out", "--force")[0] == 0


def test_what_an_older_report_left_goes(genimg, graded, ten, tmp_path):
    genimg("grade", ten, "--out", "out")
    put(tmp_path / "out/students/mine.html", "keep")
    shutil.rmtree(ten / "s3")
    genimg("grade", ten, "--out", "out")
    left = {p.name for p in (tmp_path / "out/students").iterdir()}
    assert left == {"mine.html", *(f"s{i}.html" for i in range(10) if i != 3)}


def test_a_full_disk_loses_nothing_that_was_graded(genimg, graded, ten, tmp_path, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(store, "write", full)
    status, said = genimg("grade", ten, "--out", "out", "--json", "all.json")
    assert status == 2 and said.count("No space left") == 2 and "s9/02_vae.ipynb" in said and "Traceback" not in said
    monkeypatch.undo()
    monkeypatch.chdir(tmp_path)
    kept = store.Kept(tmp_path / "out", 0, 10.0).load()
    assert len(kept) == 10


def test_a_disk_that_fills_while_grading(genimg, graded, ten, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    status, said = genimg("grade", ten, "--out", "out")
    assert status == 2 and "No space left" in said and "10 notebooks of 10 students" in said


def test_a_folder_without_rights(genimg, graded, ten, tmp_path):
    put(tmp_path / "file")
    status, said = genimg("grade", ten, "--out", "file")
    assert status == 2 and "needs a folder" in said
    status, said = genimg("grade", ten, "--json", "no/such/place.json")
    assert status == 2 and "does not exist" in said
    status, said = genimg("grade", ten, "--out", "/proc/genimg")
    assert status == 2 and "Traceback" not in said


def test_a_sandbox_that_breaks_costs_nobody_points(genimg, graded, ten, monkeypatch):
    real, broken = session.collect, []

    def fragile(box, submission, seed, timeout):
        if submission.path == "s2/02_vae.ipynb" and not broken:
            broken.append(box)
            raise OSError("cannot fork")
        return real(box, submission, seed, timeout)

    monkeypatch.setattr(session, "collect", fragile)
    assert genimg("grade", ten)[0] == 0
    monkeypatch.setattr(session, "collect", lambda *_: (_ for _ in ()).throw(OSError("cannot fork")))
    status, said = genimg("grade", ten, "--out", "out")
    assert status == 2 and "grade it again" in said
    assert not store.Kept(Path("out"), 0, 10.0).load(), "what failed here is graded again by --resume"


def test_a_submission_that_hangs_does_not_hold_up_a_small_class(graded, ten, monkeypatch):
    """Ten notebooks get one sandbox, and another as soon as one waits for long."""
    others, real, boxes = threading.Event(), session.collect, []

    def collect(box, submission, seed, timeout):
        boxes.append(box)
        if submission.path == "s0/02_vae.ipynb":
            assert others.wait(60), "nobody else was graded meanwhile"
        else:
            others.set()
        return real(box, submission, seed, timeout)

    monkeypatch.setattr(session, "collect", collect)
    monkeypatch.setattr(pool, "PATIENCE", 0.01)
    monkeypatch.setattr(pool.os, "cpu_count", lambda: 2)
    rows = grade.grade([ten])["submissions"]
    assert [row["status"] for row in rows] == ["graded"] * 10 and len(set(map(id, boxes))) == 2


def test_a_weaker_level_is_said_aloud(genimg, graded, ten, monkeypatch):
    monkeypatch.setattr(Pretended, "level", "lockdown")
    monkeypatch.setattr(Pretended, "why", "no bwrap: it is not installed")
    status, said = genimg("grade", ten)
    assert status == 0 and "Landlock and seccomp alone (no bwrap: it is not installed)" in said


def test_jobs_and_order_do_not_matter(graded, ten):
    one, four = (grade.grade([ten], jobs=jobs) for jobs in (1, 4))
    assert one == four and len(graded) == 20
    assert [entry["path"] for entry in one["submissions"]] == [f"s{i}/02_vae.ipynb" for i in range(10)]


def test_the_help_names_what_there_is(genimg):
    status, said = genimg("grade", "--help")
    assert status == 0 and all(f"--{word}" in said for word in
                               "json out jobs timeout seed level unsafe resume force site".split())  # fmt: skip
    assert grade_cli.grade.__doc__ and masters.load()


# --- in a browser -------------------------------------------------------------------------------------------


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_reports_in_a_browser(genimg, graded, odd_class, tmp_path, scheme):
    """No script of a student runs, nothing is fetched, nothing scrolls sideways; sorting and searching work."""
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    if not chromium:
        pytest.skip("no chromium (Debian: apt install chromium)")
    from playwright.sync_api import sync_playwright

    genimg("grade", odd_class, "--out", "out")
    said = []
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=["--no-sandbox"])
        page = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme).new_page()
        page.on("dialog", lambda dialog: (said.append("a dialog"), dialog.dismiss()))
        page.on("console", lambda message: said.append(message.text))
        page.on("pageerror", lambda error: said.append(str(error)))
        page.on("request", lambda request: said.append(request.url) if not request.url.startswith("file:") else None)
        page.goto((tmp_path / "out/index.html").as_uri())
        names = page.locator("tbody tr td:first-child")
        assert names.count() == len(ODD)
        page.locator("th").nth(1).click()  # the most points first
        assert names.last.inner_text() == "a b"
        page.locator("th").nth(1).click()
        assert names.first.inner_text() == "a b"
        page.fill("input", "SCRIPT")
        assert page.locator("tbody tr:visible td:first-child").all_inner_texts() == ["<script>alert(1)<_script>"]
        for link in [a.get_attribute("href") for a in page.locator("tbody a").all()]:
            page.goto((tmp_path / "out/index.html").as_uri().replace("index.html", link))
            assert page.locator("h1").inner_text() and page.locator("section.question").count() == 5
            assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), link
        browser.close()
    assert not said
