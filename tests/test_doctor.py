"""`genimg doctor` says what is there, and what an absence costs."""

import pytest

from genimg_lib import doctor


def findings():
    return {one.what: one for one in doctor.look()}


def test_what_runs_this_test_is_found():
    found = findings()
    assert found["torch"].present and found["Python 3.11 or newer"].present
    assert all(one.cost for one in found.values())


def test_an_absence_has_its_cost(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("GENIMG_CACHE", str(tmp_path))
    monkeypatch.setattr(doctor.shutil, "which", lambda name, path=None: None)
    monkeypatch.setattr(doctor.recipes, "WEIGHTS", tmp_path)
    monkeypatch.setattr(doctor.out, "_width", 300)
    monkeypatch.setattr(doctor.out, "_file", None)
    doctor.doctor()
    said = capsys.readouterr().out
    assert "grade your own only" in said and "are skipped" in said and "must be trained first" in said
    assert "not needed" in said and "bubblewrap" in said.splitlines()[-1]
    assert not findings()["drawn faces"].present


def test_what_everything_needs_is_an_error(monkeypatch):
    monkeypatch.setattr(doctor.sys, "version_info", (3, 10))
    with pytest.raises(ValueError, match="red crosses"):
        doctor.doctor()
