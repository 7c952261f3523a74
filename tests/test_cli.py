"""The command as a user meets it: what it prints, what it writes, how it fails."""

import csv
import json
import signal
import subprocess
import sys

import pytest
import torch
from PIL import Image

from genimg_lib import recipes


def png_size(path):
    with Image.open(path) as picture:
        return picture.size


def test_list_names_every_recipe_and_data_set(genimg):
    status, said = genimg("list")
    assert status == 0
    assert all(name in said for name in recipes.RECIPES)
    assert all(name in said for name in ("comic", "digits", "CC BY 4.0"))


def test_help_names_the_commands(genimg):
    status, said = genimg("--help")
    assert status == 0 and all(word in said for word in ("list", "train", "sample", "score", "data"))


def test_train_resume_sample_and_score(genimg, tmp_path):
    status, said = genimg("train", "manga-gan", "--steps", 6, "--threads", 1)
    assert status == 0 and "6 steps" in said
    facts = json.loads((tmp_path / "runs/manga-gan/manga-gan.json").read_text())
    assert facts["steps"] == 6 and len(facts["sha256"]) == 64

    status, said = genimg("train", "manga-gan", "--steps", 6)
    assert status == 2 and "--resume" in said  # an earlier run is never overwritten
    status, said = genimg("train", "manga-gan", "--steps", 9, "--resume", "--threads", 1)
    assert status == 0
    assert json.loads((tmp_path / "runs/manga-gan/manga-gan.json").read_text())["steps"] == 9

    assert genimg("sample", "manga-gan", "--n", 6, "--out", "a.png", "--seed", 4)[0] == 0
    assert genimg("sample", "manga-gan", "--n", 6, "--out", "b.png", "--seed", 4)[0] == 0
    assert genimg("sample", "manga-gan", "--n", 6, "--out", "c.png", "--seed", 5)[0] == 0
    a, b, c = ((tmp_path / f"{name}.png").read_bytes() for name in "abc")
    assert a == b != c
    assert png_size(tmp_path / "a.png") == (2 * (4 * 30 - 2), 2 * (2 * 30 - 2))

    status, said = genimg("score", "manga-gan", "--n", 100, "--json")
    assert status == 0
    scores = json.loads(said)
    assert scores["frechet random"] > 0 and 0 <= scores["coverage pca"] <= 1


def test_drawn_faces_need_no_training(genimg, tmp_path):
    status, said = genimg("train", "drawn-faces")
    assert status == 2 and "nothing to learn" in said
    assert genimg("sample", "drawn-faces", "--n", 2, "--out", "faces.png", "--scale", 1)[0] == 0
    assert png_size(tmp_path / "faces.png") == (66, 32)


@pytest.mark.parametrize(
    "words, hint",
    [
        (["train", "comicgan"], "did you mean 'comic-gan'"),
        (["sample", "manga-gann"], "did you mean 'manga-gan'"),
        (["sample", "manga-gan"], "genimg train manga-gan"),
        (["score", "digits-vae"], "genimg train digits-vae"),
        (["sample", "drawn-faces", "--out", "x.txt"], "x.png"),
        (["sample", "drawn-faces", "--out", "nowhere/x.png"], "does not exist"),
        (["sample", "drawn-faces", "--n", "0"], "--n"),
        (["data", "comix", "--out", "d"], "comic"),
        (["data", "folder:missing", "--out", "d"], "missing"),
        (["data", "toy:moons", "--out", "d"], "points"),
        (["paint"], "paint"),
    ],
)
def test_a_mistake_gets_a_line_that_helps_and_status_two(genimg, words, hint, tmp_path):
    if recipes.WEIGHTS.joinpath(f"{words[1] if len(words) > 1 else ''}.safetensors").exists() and "train" in hint:
        pytest.skip("these weights ship")
    status, said = genimg(*words)
    assert status == 2 and hint in said and "Traceback" not in said
    assert not list(tmp_path.iterdir())  # and leaves nothing behind


def test_an_output_never_replaces_a_file_unasked(genimg, tmp_path):
    (tmp_path / "mine.png").write_bytes(b"precious")
    status, said = genimg("sample", "drawn-faces", "--n", 1, "--out", "mine.png")
    assert status == 2 and "--force" in said
    assert (tmp_path / "mine.png").read_bytes() == b"precious"
    assert genimg("sample", "drawn-faces", "--n", 1, "--out", "mine.png", "--force")[0] == 0
    assert png_size(tmp_path / "mine.png") == (64, 64)


def test_data_writes_pictures_and_their_attributes(genimg, tmp_path):
    assert genimg("data", "digits", "--out", "digits", "--n", 5)[0] == 0
    rows = list(csv.DictReader((tmp_path / "digits/attributes.csv").read_text().splitlines()))
    assert [row["file"] for row in rows] == [f"{i:05d}.png" for i in range(5)]
    assert {row["digit"] for row in rows} <= set("0123456789")
    assert png_size(tmp_path / "digits/00000.png") == (28, 28)
    status, said = genimg("data", "digits", "--out", "digits", "--n", 5)
    assert status == 2 and "not an empty folder" in said


def test_truncated_weights_are_named(genimg, tmp_path):
    folder = tmp_path / "runs/manga-gan"
    torch.manual_seed(0)
    path = recipes.save_weights("manga-gan", recipes.get("manga-gan").build(), folder, {"steps": 0})
    path.write_bytes(path.read_bytes()[:1000])
    status, said = genimg("sample", "manga-gan", "--out", "x.png")
    assert status == 2 and "does not hold the weights of 'manga-gan'" in said
    assert not (tmp_path / "x.png").exists()


def test_ctrl_c_saves_and_says_how_to_go_on(genimg, monkeypatch, tmp_path):
    from genimg_lib import train

    real, calls = train.ema_update, []

    def interrupted(*args):
        calls.append(1)
        if len(calls) == 4:
            signal.raise_signal(signal.SIGINT)
        real(*args)

    monkeypatch.setattr(train, "ema_update", interrupted)
    status, said = genimg("train", "manga-gan", "--steps", 8, "--threads", 1)
    assert status == 1 and "--resume" in said
    monkeypatch.setattr(train, "ema_update", real)
    assert genimg("train", "manga-gan", "--steps", 8, "--resume", "--threads", 1)[0] == 0


def test_a_command_starts_without_what_it_does_not_need():
    """`genimg grade` waits for every import: pictures, models and plots are not for it."""
    heavy = ("matplotlib", "skimage", "genimg_lib.recipes", "genimg_lib.plot", "genimg_lib.style", "genimg_lib.data")
    said = f"import sys, genimg_lib.cli; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", said], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
