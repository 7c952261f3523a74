"""The benchmark of faces: what it prepares needs no peer, and the book shows what was measured."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from genimg_lib import data

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture
def scripts(monkeypatch):
    """The benchmark's modules, importable as they are when the script runs."""
    monkeypatch.setattr(sys, "path", [str(ROOT / "benchmarks"), *sys.path])
    import faces
    import faces_report

    return faces, faces_report


def test_help_needs_no_environment_of_the_peers(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "faces.py", "--help", "--folder", tmp_path / "nothing"]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    assert "--quick" in done.stdout
    assert not (tmp_path / "nothing").exists()


def test_an_unknown_model_ends_in_one_line(tmp_path):
    command = [sys.executable, ROOT / "benchmarks" / "faces.py", "dcgna", "--folder", tmp_path]
    done = subprocess.run(command, text=True, capture_output=True)
    assert done.returncode == 2
    assert "no model 'dcgna'" in done.stderr
    assert "Traceback" not in done.stderr


def test_the_peers_get_the_very_pictures_that_ours_train_on(tmp_path, scripts):
    faces, _ = scripts
    saved = np.load(faces.prepare(tmp_path, 40))
    assert saved.shape == (40, 3, 32, 32)
    assert saved.dtype == np.uint8
    torch.testing.assert_close(faces.from_bytes(saved), data.load("comic", 32, 40).x, rtol=0, atol=1 / 255)


def test_results_keep_the_later_of_two_measurements(tmp_path, scripts):
    faces, _ = scripts
    rows = [{"model": "vae", "seed": 0, "budget": 10, "random": score} for score in (3.0, 2.0)]
    rows.insert(1, {"model": "gan", "seed": 0, "budget": 10, "random": 1.0})
    (tmp_path / "results.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    assert faces.load_rows(tmp_path) == [rows[1], rows[2]]


def test_the_clock_corrects_seconds_that_a_busy_machine_stretches(scripts, monkeypatch):
    import faces_peers

    now = iter([0.0, 3.0, 3.5, 4.0, 6.0, 6.5])  # made; after 3 s; marked; skipped to; after 2 s; marked
    monkeypatch.setattr(faces_peers.time, "process_time", lambda: next(now))
    probes = iter([0.01, 0.02])  # idle, then twice as slow
    monkeypatch.setattr(faces_peers, "probe", lambda: next(probes))
    clock = faces_peers.Clock(0.01)
    assert clock.tick() == pytest.approx(3.0)
    clock.skip()
    assert clock.tick() == pytest.approx(3.0 + 2.0 / 2)
    assert clock.raw == pytest.approx(5.0)


def test_a_race_names_the_first_point_that_is_as_good(scripts):
    _, report = scripts

    def row(model, seed, seconds, random):
        return {"model": model, "seed": seed, "budget": seconds, "seconds": seconds, "random": random, "pca": 9.0}

    rows = [row("vae", 0, 10, 50.0), row("vae", 0, 20, 30.0), row("gan", 0, 20, 42.0), row("gan", 1, 20, 36.0),
            row("gan", 0, 40, 5.0), row("gan", 1, 40, 5.0),
            row("dcgan", 0, 80, 35.0), row("dcgan", 0, 160, 38.0)]  # fmt: skip
    random, pca = report.races({"rows": rows})
    assert (random["best"], random["at"]) == (35.0, 80)
    assert (random["ours"], random["seconds"]) == ("vae", 20)  # the GAN's mean of two seeds is 39 then
    assert (pca["ours"], pca["seconds"]) == ("vae", 10)


def test_the_page_shows_the_numbers_of_the_measurement(scripts):
    _, report = scripts
    found, page = report.read(), report.PAGE.read_text(encoding="utf-8")
    assert {row["model"] for row in found["rows"]} <= set(report.NAMES)
    for table in (report.race_table(found), report.score_table(found)):
        assert f"\n{table}\n" in page, "benchmarks/faces.json changed: python benchmarks/faces.py --report"
    for mode in report.COLOURS:
        assert (report.ASSETS / f"faces-seconds-{mode}.svg").stat().st_size < 200_000


def test_the_committed_points_lie_where_they_were_planned(scripts):
    _, report = scripts
    found = report.read()
    for row in found["rows"]:
        assert row["budget"] / 2 < row["seconds"] < 2 * row["budget"], row
        for space in report.SPACES:
            assert 0 < found["real"][space] < 10
            assert row[space] > 0, row
