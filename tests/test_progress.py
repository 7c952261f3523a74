"""The learner's commands: progress that survives and merges, the next question, hints, reset, watch."""

import json
import shutil
from pathlib import Path

import pytest

from genimg_lib.checks.core import load_all
from genimg_lib.grade import masters, progress, watch

ROOT = Path(__file__).parent.parent
QUESTIONS = load_all()
PASSED = {"id": "gaussian_kl", "status": "pass", "score": 2.0, "max_score": 2.0}
FAILED = {"id": "gaussian_kl", "status": "fail", "score": 0.5, "max_score": 2.0}


@pytest.fixture
def genimg(genimg, tmp_path):
    """Run `genimg WORDS…` beside a fresh exercises/; returns (exit status, what it said)."""
    shutil.copytree(ROOT / "exercises", tmp_path / "exercises", ignore=shutil.ignore_patterns("progress.txt"))
    return genimg


def solve(path, id, source):
    """Write an answer into a notebook, as a learner would."""
    book = json.loads(path.read_text(encoding="utf-8"))
    for cell in book["cells"]:
        if masters.grade_id(cell) == id:
            cell["source"] = source
    path.write_text(json.dumps(book), encoding="utf-8")


def text_of(folder) -> str:
    return (folder / progress.FILE).read_text(encoding="utf-8")


# --- the file -----------------------------------------------------------------------------------------------


def test_progress_is_a_sorted_line_a_question_and_reads_back(tmp_path):
    known = progress.Progress.read(tmp_path)
    known.record([{**PASSED, "id": "reparameterize", "score": 1.0}, FAILED, {**PASSED, "status": "not_started"}])
    known.hinted("gaussian_kl", 2)
    known.save()
    lines = text_of(tmp_path).splitlines()
    assert lines[1:] == [
        "gaussian_kl round=1 score=0.5/2 hints=2 tried",
        "reparameterize round=1 score=1/1 hints=0 tried",
    ]
    again = progress.Progress.read(tmp_path)
    assert again.rows == known.rows and again.text() == text_of(tmp_path)


def test_the_best_score_of_a_round_stays_and_a_reset_starts_another():
    known = progress.Progress(Path("."))
    known.record([PASSED])
    known.record([FAILED])
    assert known.done("gaussian_kl")
    known.restart("gaussian_kl")
    assert known.row("gaussian_kl") == progress.Row(round=2) and not known.done("gaussian_kl")


def test_two_machines_merge_by_keeping_all_lines(tmp_path):
    lines = [
        "gaussian_kl round=1 score=2/2 hints=0 tried", "gaussian_kl round=1 score=0.5/2 hints=3 tried",
        "kid round=2 score=0/3 hints=0", "kid round=1 score=3/3 hints=1 tried", "a line of next year's version",
        "<<<<<<< HEAD", "=======", ">>>>>>> other",
    ]  # fmt: skip
    texts = []
    for order in (lines, lines[::-1], lines + lines):
        (tmp_path / progress.FILE).write_text("\n".join(order), encoding="utf-8")
        known = progress.Progress.read(tmp_path)
        assert known.row("gaussian_kl") == progress.Row(1, 2.0, True, 3) and known.row("kid") == progress.Row(2)
        texts.append(known.text())
    assert len(set(texts)) == 1 and "next year's" in texts[0] and "HEAD" not in texts[0]
    attributes = (ROOT / ".gitattributes").read_text()
    assert "exercises/progress.txt" in attributes and "merge=union" in attributes


def test_a_file_of_anything_is_survived(tmp_path):
    (tmp_path / progress.FILE).write_bytes(
        b"\xff\x00 gaussian_kl round=99999 score=1e9/2\ngaussian_kl round=1 score=9/2 hints=1"
    )
    known = progress.Progress.read(tmp_path)
    assert known.row("gaussian_kl").score == 2.0 and len(known.others) == 1


# --- next, progress, hint -----------------------------------------------------------------------------------


def test_the_order_is_from_easy_to_hard_and_holds_everything():
    order = progress.order()
    hard = {id: q.difficulty for master in masters.load().values() for id, q in master.questions.items()}
    assert sorted(order) == sorted(QUESTIONS) and [hard[id] for id in order] == sorted(hard.values())
    assert order[:2] == ["gaussian_kl", "reparameterize"]


def test_next_names_the_question_and_its_file(genimg, tmp_path):
    status, said = genimg("next")
    assert status == 0 and "gaussian_kl" in said and "exercises/02_vae.ipynb" in said and "8 minutes" in said
    known = progress.Progress.read(tmp_path / "exercises")
    known.record([PASSED])
    known.save()
    assert "reparameterize" in genimg("next")[1]
    for question in QUESTIONS.values():
        known.record([{"id": question.id, "status": "pass", "score": question.points}])
    known.save()
    assert "Everything is solved" in genimg("next")[1]


def test_progress_shows_every_question_and_what_is_written_but_not_graded(genimg, tmp_path):
    solve(tmp_path / "exercises/02_vae.ipynb", "gaussian_kl", "def gaussian_kl(mu, logvar):\n    return mu")
    status, said = genimg("progress")
    assert status == 0 and all(id in said for id in QUESTIONS)
    assert "0 of 41" in said or f"0 of {len(QUESTIONS)}" in said
    assert "1 written but not graded" in said and not (tmp_path / "exercises" / progress.FILE).exists()


def test_hints_come_one_after_the_other_and_are_remembered(genimg, tmp_path):
    hints = QUESTIONS["gaussian_kl"].hints
    for number in (1, 2, 3, 3):
        status, said = genimg("hint", "gaussian_kl")
        assert status == 0 and f"Hint {number} of 3" in said and hints[number - 1][:40] in said
    assert "hints=3" in text_of(tmp_path / "exercises")
    assert "Hint 1 of 3" in genimg("hint", "gaussian_kl", "--step", 1)[1]
    status, said = genimg("hint", "gausian_kl")
    assert status == 2 and "did you mean 'gaussian_kl'" in said


def test_without_notebooks_the_way_to_them_is_named(genimg, tmp_path):
    shutil.rmtree(tmp_path / "exercises")
    for command in ("progress", "next", "watch"):
        status, said = genimg(command)
        assert status == 2 and "genimg reset --all" in said
    assert genimg("hint", "gaussian_kl")[0] == 0 and not list(tmp_path.iterdir())
    status, said = genimg("reset", "--all")
    assert status == 0 and len(list((tmp_path / "exercises").glob("*.ipynb"))) == 9
    for path in (tmp_path / "exercises").glob("*.ipynb"):
        fresh, ours = (json.loads(p.read_text(encoding="utf-8")) for p in (path, ROOT / "exercises" / path.name))
        assert [c["source"] for c in fresh["cells"]] == [c["source"] for c in ours["cells"]]


# --- reset --------------------------------------------------------------------------------------------------


def test_reset_restores_one_cell_and_keeps_what_was_there(genimg, tmp_path):
    path = tmp_path / "exercises/02_vae.ipynb"
    for id in ("gaussian_kl", "elbo_loss"):
        solve(path, id, f"def {id}():\n    return 'mine'")
    mine = path.read_bytes()
    status, said = genimg("reset", "gaussian_kl")
    assert status == 0 and "02_vae.ipynb.backup-1" in said
    assert (tmp_path / "exercises/02_vae.ipynb.backup-1").read_bytes() == mine
    assert progress.touched(tmp_path / "exercises") == {"elbo_loss"}
    assert "as handed out already" in genimg("reset", "gaussian_kl")[1]
    assert len(list((tmp_path / "exercises").glob("*backup*"))) == 1
    solve(path, "gaussian_kl", "second try = 2")
    genimg("reset", "02_vae")
    assert len(list((tmp_path / "exercises").glob("*backup*"))) == 2
    assert progress.touched(tmp_path / "exercises") == set()


def test_reset_mends_what_is_broken_or_gone(genimg, tmp_path):
    folder = tmp_path / "exercises"
    (folder / "02_vae.ipynb").write_text("{ cut off")
    (folder / "03_gan.ipynb").unlink()
    book = json.loads((folder / "06_evaluation.ipynb").read_text(encoding="utf-8"))
    book["cells"] = [c for c in book["cells"] if masters.grade_id(c) not in ("kid", "kid_check")]
    book["cells"].append({"cell_type": "markdown", "metadata": {}, "id": "mine", "source": "my own notes"})
    (folder / "06_evaluation.ipynb").write_text(json.dumps(book), encoding="utf-8")
    status, said = genimg("reset", "--all")
    assert status == 0 and (folder / "02_vae.ipynb.backup-1").read_text() == "{ cut off"
    for name in masters.load():
        book = json.loads((folder / f"{name}.ipynb").read_text(encoding="utf-8"))
        assert {masters.grade_id(c) for c in book["cells"]} >= set(masters.load()[name].questions)
    assert "my own notes" in (folder / "06_evaluation.ipynb").read_text(encoding="utf-8")


def test_reset_starts_a_new_round_and_says_what_it_needs(genimg, tmp_path):
    known = progress.Progress.read(tmp_path / "exercises")
    known.record([PASSED])
    known.save()
    genimg("reset", "gaussian_kl")
    assert "gaussian_kl round=2 score=0/2" in text_of(tmp_path / "exercises")
    for words in (["reset"], ["reset", "gaussian_kl", "--all"], ["reset", "nonsense"]):
        status, said = genimg(*words)
        assert status == 2 and "Traceback" not in said


# --- watch --------------------------------------------------------------------------------------------------


def test_watch_grades_every_save_and_says_what_changed(genimg, tmp_path, monkeypatch):
    path = tmp_path / "exercises/04_likelihood.ipynb"
    wrong = "def pixelcnn_mask(k, kind):\n    return torch.ones(k, k)"
    right = json.loads((ROOT / "solutions/04_likelihood.ipynb").read_text(encoding="utf-8"))
    right = next("".join(c["source"]) for c in right["cells"] if masters.grade_id(c) == "pixelcnn_mask")

    def saves(place):
        for source in (wrong, right, right):
            solve(path, "pixelcnn_mask", source)
            yield {path.relative_to(tmp_path)}
        path.unlink()
        yield {path.relative_to(tmp_path)}

    monkeypatch.setattr(watch, "saves", saves)
    status, said = genimg("watch", "exercises/04_likelihood.ipynb")
    assert status == 0 and "watching" in said, said
    before, _, after = said.partition("✓ pixelcnn_mask")
    assert "✗ pixelcnn_mask" in before and "Likely cause" in before and "was ○ 0" in before
    assert "was ✗" in after and "nothing changed" in after
    assert "pixelcnn_mask round=1" in text_of(tmp_path / "exercises")


def test_saves_are_seen(tmp_path):
    import threading

    path = tmp_path / "02_vae.ipynb"
    path.write_text("{}")
    stop = threading.Event()

    def save():
        number = 0
        while not stop.wait(0.05):
            number += 1
            (tmp_path / "other.txt").write_text(str(number))
            path.write_text(str(number))

    writer = threading.Thread(target=save)
    writer.start()
    try:
        assert next(iter(watch.saves(tmp_path))) == {path}
    finally:
        stop.set()
        writer.join()


def test_progress_that_cannot_be_written_is_said(genimg, monkeypatch):
    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(progress, "write", full)
    status, said = genimg("hint", "gaussian_kl")
    assert status == 0 and "Hint 1 of 3" in said and "No space left" in said
