"""`genimg train --data folder:PATH`: every stage on the reader's own pictures, and what can go wrong."""

import json
import signal

import numpy as np
import pytest
import torch
from PIL import Image

from genimg_lib import own, recipes

FEW = ("--steps", 2, "--threads", 1)


def paint(folder, n, seed=0):
    """n small pictures: a light square somewhere on a dark ground."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(seed)
    for i in range(n):
        picture = np.full((40, 40, 3), 30, np.uint8)
        top, left = rng.integers(0, 25, 2)
        picture[top : top + 15, left : left + 15] = rng.integers(100, 255, 3)
        Image.fromarray(picture).save(folder / f"{seed}-{i:03d}.png")
    return folder


@pytest.fixture
def cats(tmp_path):
    return paint(tmp_path / "cats", 40)


def test_the_project_is_trained_in_two_stages_and_found_by_its_name(genimg, cats, tmp_path):
    status, said = genimg("train", "--data", "folder:cats", "--size", 32, *FEW)
    assert status == 0, said
    first, last = "comic-grid-vae-cats-32", "comic-grid-flow-cats-32"
    assert said.index(f"{first}: 2 steps of 16, about") < said.index(f"{last}: 2 steps of") < said.index("done: ")
    facts = json.loads((tmp_path / f"runs/{last}/recipe.json").read_text())
    assert facts["recipe"] == "comic-grid-flow" and facts["size"] == 32 and facts["sizes"] == []

    row = recipes.get(last, tmp_path / "runs")
    assert (row.first, row.batch, row.patience) == (first, facts["pictures"], 0)  # fewer than a batch of the recipe
    model = recipes.load(last, tmp_path / "runs")
    assert model.shape == (3, 32, 32) and model.wish is None
    trained = recipes.load(first, tmp_path / "runs").state_dict()
    assert all(torch.allclose(value, trained[key], atol=1e-3) for key, value in model.first.state_dict().items())

    assert genimg("sample", last, "--n", 2, "--out", "a.png", "--scale", 1)[0] == 0
    with Image.open(tmp_path / "a.png") as sheet:
        assert sheet.size == (66, 32)
    assert all(name in genimg("list")[1] for name in (first, last))
    status, said = genimg("score", last)
    assert status == 2 and "held out" in said
    status, said = genimg("train", "--data", "folder:cats", "--size", 32, *FEW)
    assert status == 2 and "--resume" in said


def test_sub_folders_become_wishes(genimg, tmp_path):
    for seed, kind in enumerate(("black", "white")):
        paint(tmp_path / "cats" / kind, 20, seed)
    assert genimg("train", "comic-flow", "--data", "folder:cats", *FEW)[0] == 0
    model = recipes.load("comic-flow-cats-32", tmp_path / "runs")
    assert model.wish.sizes == (2,)
    assert model.sample(2, torch.tensor([[0], [1]])).shape == (2, 3, 32, 32)


def test_a_stage_that_was_stopped_goes_on_and_a_finished_one_stays(genimg, cats, tmp_path, monkeypatch):
    from genimg_lib import train

    words = ("train", "comic-latent", "--data", "folder:cats", *FEW)
    real, calls = train.ema_update, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 16 + 2 + 1:  # both timings, the first stage, and a step of the second
            signal.raise_signal(signal.SIGINT)
        real(*args)

    monkeypatch.setattr(train, "ema_update", interrupted)
    status, said = genimg(*words)
    assert status == 1 and "train comic-latent --data folder:cats --size 32 --resume" in said
    monkeypatch.setattr(train, "ema_update", real)
    path = tmp_path / "runs/comic-vae-cats-32/comic-vae-cats-32.safetensors"
    before = path.read_bytes()
    status, said = genimg(*words)
    assert status == 2 and "--resume" in said
    status, said = genimg(*words, "--resume")
    assert status == 0 and path.read_bytes() == before
    assert genimg("sample", "comic-latent-cats-32", "--n", 1)[0] == 0


@pytest.mark.parametrize(
    "words, hint",
    [
        (["--data", "cats"], "folder:PATH"),
        (["--data", "folder:dogs"], "there is no folder"),
        (["--data", "folder:few"], "holds 5 pictures to learn from; expected at least"),
        (["--data", "folder:broken"], "can be read"),
        (["--data", "folder:cats", "--size", "48"], "--size is 32 or 64"),
        (["--data", "folder:cats", "--size", "big"], "--size"),
        (["--size", "32"], "--data folder:PATH"),
        ([], "genimg list"),
        (["comic-gan", "--data", "folder:cats", "--size", "64"], "got 64"),
        (["comic-tokens", "--data", "folder:cats"], "cannot be trained on a folder; these can: comic-vae"),
        (["drawn-faces", "--data", "folder:cats"], "cannot be trained on a folder"),
        (["comic-gam", "--data", "folder:cats"], "did you mean 'comic-gan'"),
    ],
)
def test_a_mistake_gets_one_line_and_leaves_nothing(genimg, words, hint, cats, tmp_path):
    paint(tmp_path / "few", 5)
    for i in range(3):
        (paint(tmp_path / "broken", 0) / f"{i}.png").write_bytes(b"no picture")
    status, said = genimg("train", *words)
    assert status == 2 and hint in said and "Traceback" not in said
    assert not (tmp_path / "runs").exists()


def test_unreadable_pictures_are_named_and_left_out(genimg, cats, tmp_path):
    for i in range(12):  # most of them on the training side
        (cats / f"bad{i}.png").write_bytes(b"no picture")
    status, said = genimg("train", "comic-gan", "--data", "folder:cats", *FEW)
    assert status == 0 and said.count("cannot be read, left out") == 1 and "bad" in said


def test_damaged_files_are_named_and_nothing_is_overwritten(genimg, cats, tmp_path):
    runs = tmp_path / "runs"
    words = ("train", "comic-latent", "--data", "folder:cats", *FEW)
    assert genimg(*words)[0] == 0
    path = runs / "comic-vae-cats-32/comic-vae-cats-32.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    status, said = genimg("sample", "comic-latent-cats-32")
    assert status == 2 and "does not hold the weights of 'comic-vae-cats-32'" in said

    elsewhere = paint(tmp_path / "other/cats", 30)
    status, said = genimg(words[0], words[1], "--data", f"folder:{elsewhere}", "--resume", *FEW)
    assert status == 2 and f"belongs to folder:{cats}" in said

    note = runs / "comic-latent-cats-32/recipe.json"
    note.write_text(note.read_text()[:20])
    status, said = genimg("sample", "comic-latent-cats-32")
    assert status == 2 and "does not describe a run" in said and "Traceback" not in said
    assert genimg(*words, "--resume")[0] == 2 and note.stat().st_size == 20


@pytest.mark.parametrize("name", [row.name for row in recipes.RECIPES.values() if own.takes_pictures(row)])
def test_every_recipe_that_takes_pictures_follows_their_size_and_labels(name):
    told = {"data": "folder:/somewhere/My cats!", "size": 32, "sizes": (3,), "pictures": 1_000}
    first = recipes.RECIPES[name].first
    rows = [recipes.own_row(link, **told) for link in (first, name) if link]
    model = own.untrained(rows)[-1]
    assert model.shape == (3, 32, 32) and rows[-1].name == f"{name}-My-cats-32"
    assert rows[-1].first == (rows[0].name if first else None)
    assert all(part.sizes == (3,) for part in model.modules() if type(part).__name__ == "Attributes")


@pytest.mark.parametrize(
    "seconds, said", [(0.4, "a second"), (59, "59 seconds"), (100, "2 minutes"), (7000, "1.9 hours")]
)
def test_durations_are_said_as_one_says_them(seconds, said):
    assert own.duration(seconds) == said
