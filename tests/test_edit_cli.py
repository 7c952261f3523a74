"""The editing commands: on pictures of every odd kind, in one line; what is known stays as it is."""

import numpy as np
import pytest
import torch
from PIL import Image

from genimg_lib import data, edit_cli, plot, recipes


@pytest.fixture
def photo(tmp_path):
    ramp = np.arange(64, dtype=np.uint8)
    down, right = np.meshgrid(ramp, ramp, indexing="ij")
    pixels = np.stack([2 * down, 3 * right, 0 * down + 90])
    Image.fromarray(pixels.transpose(1, 2, 0)).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


@pytest.fixture
def run(genimg, monkeypatch):
    for console in (edit_cli.out, edit_cli.err):
        monkeypatch.setattr(console, "_width", 300)
        monkeypatch.setattr(console, "_file", None)

    def checked(*words):
        status, said = genimg(*words)
        assert "Traceback" not in said
        return status, said

    return checked


@pytest.fixture
def small_models(monkeypatch):
    """The models untrained: files and sizes are tested here, looks elsewhere."""
    torch.manual_seed(0)
    monkeypatch.setattr(recipes, "load", lambda name, runs=None: recipes.get(name).build().eval())


def pixels(path):
    with Image.open(path) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize("by", ["smooth", "copy", "faces"])
def test_inpaint_changes_the_hole_alone(run, photo, tmp_path, by, small_models):
    status, said = run("inpaint", photo, "--box", "20,24,12,10", "--by", by, "--patch", 7, "--out", "new.png")
    assert status == 0 and "120 pixels filled" in said
    hole = np.zeros((64, 64), bool)
    hole[24:34, 20:32] = True
    before, after = pixels(photo), pixels(tmp_path / "new.png")
    assert np.array_equal(before[~hole], after[~hole])


def test_a_mask_says_the_same_as_a_box(run, photo, tmp_path):
    mask = np.zeros((64, 64), np.uint8)
    mask[24:34, 20:32] = 255
    Image.fromarray(mask).save(tmp_path / "mask.png")
    assert run("inpaint", photo, "--mask", "mask.png", "--by", "smooth", "--out", "a.png")[0] == 0
    assert run("inpaint", photo, "--box", "20,24,12,10", "--by", "smooth", "--out", "b.png")[0] == 0
    assert np.array_equal(pixels(tmp_path / "a.png"), pixels(tmp_path / "b.png"))


@pytest.mark.parametrize("words, why", [
    ((), "where the hole is"), (("--box", "1,2,3"), "four whole numbers"), (("--box", "60,0,10,10"), "does not lie"),
    (("--box", "0,0,64,64"), "the whole picture"), (("--box", "0,0,4,4", "--by", "magic"), "copy, smooth, faces"),
    (("--box", "0,0,4,4", "--patch", "8"), "odd patch"), (("--mask", "none.png"), "no file"),
])  # fmt: skip
def test_a_hole_that_cannot_be_is_refused(run, photo, tmp_path, words, why):
    status, said = run("inpaint", photo, *words, "--out", "new.png")
    assert status == 2 and why in said and not (tmp_path / "new.png").exists()


def odd_pictures(folder):
    plain = Image.fromarray(np.random.default_rng(0).integers(0, 255, (32, 32, 3), np.uint8))
    plain.convert("CMYK").save(folder / "cmyk.jpg")
    plain.convert("RGBA").save(folder / "alpha.png")
    plain.save(folder / "moves.gif", save_all=True, append_images=[plain.rotate(90)])
    plain.resize((8, 8)).save(folder / "tiny.png")
    (folder / "text.png").write_text("no picture")
    (folder / "cut.png").write_bytes((folder / "alpha.png").read_bytes()[:700])
    return {"cmyk.jpg": "CMYK", "alpha.png": "transparent", "moves.gif": "animated", "tiny.png": "at least 16",
            "text.png": "cannot be read", "cut.png": "cannot be read", "missing.png": "no file"}  # fmt: skip


def test_odd_pictures_are_refused_in_one_line(run, tmp_path, photo):
    for name, why in odd_pictures(tmp_path).items():
        convert = () if name != "cut.png" else ("--convert",)
        for words in (("inpaint", name, "--box", "2,2,4,4"), ("enhance", name), ("style", name, photo),
                      ("style", photo, name), ("walk", photo, name)):  # fmt: skip
            status, said = run(*words, *convert, "--out", "new.png")
            assert status == 2 and why in said and name in said and len(said.strip().splitlines()) == 1, (words, said)
            assert not (tmp_path / "new.png").exists()


def test_a_huge_picture_is_refused_before_it_is_decoded(run, photo, monkeypatch):
    monkeypatch.setattr(edit_cli._files, "LARGEST", 4_000)
    status, said = run("enhance", photo, "--out", "new.png")
    assert status == 2 and "shrink it first" in said


def test_odd_pictures_can_be_converted(run, tmp_path):
    odd_pictures(tmp_path)
    for i, name in enumerate(("cmyk.jpg", "alpha.png", "moves.gif")):
        status, said = run("enhance", name, "--task", "enlarge", "--convert", "--out", f"{i}.png")
        assert status == 0, said
        assert pixels(tmp_path / f"{i}.png").shape == (64, 64, 3)


def test_nothing_is_overwritten_unasked(run, photo, tmp_path):
    (tmp_path / "mine.png").write_text("mine")
    for words in (("inpaint", photo, "--box", "2,2,4,4", "--by", "smooth"), ("enhance", photo, "--task", "enlarge")):
        status, said = run(*words, "--out", "mine.png")
        assert status == 2 and "--force" in said and (tmp_path / "mine.png").read_text() == "mine"
    assert run("enhance", photo, "--task", "enlarge", "--out", "mine.png", "--force")[0] == 0
    assert pixels(tmp_path / "mine.png").shape == (128, 128, 3)
    for name, why in (("new.xyz", "ending"), ("no/new.png", "create it first")):
        status, said = run("enhance", photo, "--out", name)
        assert status == 2 and why in said


def test_denoising_a_photograph_takes_noise_away(run, tmp_path):
    clean = np.full((48, 48, 3), 120.0)
    noisy = (clean + np.random.default_rng(0).normal(0, 20, clean.shape)).clip(0, 255).astype(np.uint8)
    Image.fromarray(noisy).save(tmp_path / "noisy.png")
    assert run("enhance", "noisy.png", "--out", "clean.png")[0] == 0
    assert pixels(tmp_path / "clean.png").std() < 0.5 * noisy.std()


@pytest.mark.parametrize("task, side", [("denoise", 32), ("enlarge", 64), ("colour", 64)])
def test_faces_come_out_at_the_models_size(run, photo, tmp_path, small_models, task, side):
    assert run("enhance", photo, "--task", task, "--by", "faces", "--out", "new.png")[0] == 0
    assert pixels(tmp_path / "new.png").shape == (side, side, 3)


def test_colouring_a_photograph_is_refused(run, photo):
    status, said = run("enhance", photo, "--task", "colour", "--out", "new.png")
    assert status == 2 and "--by faces" in said


@pytest.mark.parametrize("words", [("--by", "gatys", "--steps", 2), ("--by", "adain", "--strength", 0.5)])
def test_style_keeps_the_contents_size(run, photo, tmp_path, words, monkeypatch):
    monkeypatch.setattr(edit_cli.style.train_autoencoder, "__defaults__", (2, 64, 2, 0))
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (80, 100, 3), np.uint8)).save(tmp_path / "s.png")
    assert run("style", photo, "s.png", *words, "--out", "new.png")[0] == 0
    assert pixels(tmp_path / "new.png").shape == (64, 64, 3)


def test_style_says_what_it_cannot_do(run, photo, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision.models", None)
    for words, why in ((("--features", "vgg"), "torchvision"), (("--by", "adain", "--strength", 2), "up to 1"),
                       (("--by", "magic"), "gatys, adain")):  # fmt: skip
        status, said = run("style", photo, photo, *words, "--out", "new.png")
        assert status == 2 and why in said


def test_a_walk_is_a_strip_or_moves(run, photo, tmp_path):
    for name, x in zip("ab", data.load("comic", 64, split="test").x, strict=False):
        plot.save(x[None], tmp_path / f"{name}.png")
    status, said = run("walk", "a.png", "b.png", "--frames", 3, "--scale", 1, "--out", "strip.png")
    assert status == 0 and "not like a comic face" not in said
    strip = pixels(tmp_path / "strip.png")
    assert strip.shape == (64, 3 * 64 + 2 * 2, 3)
    for name, end in (("a", strip[:, :64]), ("b", strip[:, -64:])):  # it starts and ends where it was told to
        assert np.abs(end.astype(float) - pixels(tmp_path / f"{name}.png")).mean() < 8
    assert run("walk", "a.png", photo, "--frames", 3, "--out", "moves.gif")[0] == 0
    assert pixels(tmp_path / "moves.gif").shape == (128, 128, 3)


def test_a_walk_warns_of_what_it_cannot_draw(run, photo, tmp_path):
    status, said = run("walk", photo, photo, "--frames", 2, "--out", "strip.png")
    assert status == 0 and (tmp_path / "strip.png").exists()
    assert "photo.png is not like a comic face" in said
