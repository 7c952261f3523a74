import gzip
import os
import signal
import struct
import subprocess
import sys
import time
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from genimg_lib import _drawn, _files, _shards, data

ROOT = Path(__file__).resolve().parent.parent


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    """An empty cache of the test's own, with four faces in a shard."""
    folder = tmp_path / "cache"
    monkeypatch.setenv("GENIMG_CACHE", str(folder))
    monkeypatch.setattr(_shards, "SHARD", 4)
    return folder


def comic(n=3, split="train"):
    return data.load("comic", 16, n=n, split=split)


def pixels(x):
    """[-1, 1] -> the bytes that it came from."""
    return x.add(1).mul(127.5).round().byte().numpy()


def shards(folder):
    """Names of all files in the cache, hidden and half ones included."""
    return sorted(path.name for path in folder.rglob("*") if path.is_file())


# ---------------------------------------------------------------------------------------------- the call
def test_every_set_says_what_it_is_and_whose():
    assert {name.partition(":")[0] for name in data.names()} == set(data._MAKERS)
    for source in data.SOURCES.values():
        assert all(source)
    for name, licence in {"comic": "CC BY 4.0", "manga": "CC0 1.0"}.items():
        meta = _drawn.definition(_drawn.LOOKS[name].style)["meta"]
        assert meta["license"]["name"] == data.SOURCES[name].licence == licence
        assert meta["creator"]["name"] in data.SOURCES[name].source


@pytest.mark.parametrize(
    ("name", "hint"),
    [("comics", "'comic'"), ("Manga", "'manga'"), ("toy:moon", "'toy:moons'"), ("digits:3", "'digits'")],
)
def test_a_wrong_name_gets_the_nearest_right_one(name, hint):
    with pytest.raises(ValueError, match=f"Did you mean {hint}"):
        data.load(name)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name": 3}, "is a string"),
        ({"name": "nothing alike"}, "There are: comic"),
        ({"name": "digits", "split": "valid"}, "'train' or 'test'"),
        ({"name": "digits", "n": 0}, "n is a whole number"),
        ({"name": "digits", "n": True}, "n is a whole number"),
        ({"name": "digits", "size": 28.0}, "size is a whole number"),
        ({"name": "digits", "n": 4_001}, "has 4,000 pictures"),
        ({"name": "comic", "size": 8}, "16 to 128"),
        ({"name": "manga", "size": 256}, "16 to 128"),
        ({"name": "photos", "split": "test"}, "no test split"),
        ({"name": "toy", "size": 32}, "leave size out"),
        ({"name": "folder"}, "which folder"),
    ],
)
def test_a_wrong_argument_is_explained(arguments, message):
    with pytest.raises(ValueError, match=message):
        data.load(**arguments)


def test_columns_by_name():
    faces = comic()
    assert torch.equal(faces.column("hair_color"), faces.y[:, list(faces.attributes).index("hair_color")])
    assert torch.equal(faces.column("hairColor"), faces.column("hair_color"))
    with pytest.raises(ValueError, match="Did you mean 'glasses'"):
        faces.column("glases")
    assert repr(faces).startswith("Dataset('comic': 3 of 3x16x16 in [-1, 1]; attributes: hair (45), ")


def test_warm_draws_what_the_notebooks_use(monkeypatch):
    asked = []
    monkeypatch.setattr(data, "load", lambda name, size, split: asked.append((name, size, split)))
    data.warm()
    pairs = [(name, size) for name, size, _ in asked]
    assert pairs == [("comic", 32), ("comic", 32), ("manga", 28), ("manga", 28)]
    assert [split for *_, split in asked] == ["train", "test"] * 2
    looks = [(look.size, look.train, look.test) for look in _drawn.LOOKS.values()]
    assert looks == [(32, 8_000, 2_000), (28, 5_000, 1_000)]


# ---------------------------------------------------------------------------------------------- drawn faces
@pytest.mark.parametrize(("name", "channels"), [("comic", 3), ("manga", 1)])
def test_drawn_faces(name, channels):
    faces = data.load(name, 16, n=5)
    assert faces.x.shape == (5, channels, 16, 16) and faces.x.dtype == torch.float32
    assert faces.y.shape == (5, len(faces.attributes)) and faces.y.dtype == torch.int64
    assert faces.x.max() == 1 and -1 <= faces.x.min() < 0
    assert all(faces.y[:, k].max() < len(v) for k, v in enumerate(faces.attributes.values()))
    again = data.load(name, 16, n=5)
    assert torch.equal(faces.x, again.x) and torch.equal(faces.y, again.y)


def test_labels_come_from_the_style_not_from_the_sample():
    parts = _drawn.definition("adventurer")["components"]
    found = comic(1).attributes
    assert found == comic(6).attributes == comic(2, "test").attributes
    assert found["hair"] == tuple(parts["hair"]["variants"])
    assert found["glasses"] == ("none", *parts["glasses"]["variants"])
    assert found["hair_color"][:4] == ("none", "black", "platinum", "blonde")
    assert found["skin_color"] == ("light", "tan", "brown", "dark")
    assert found["hair_length"] == ("long", "short")
    assert data.load("manga", 16, n=1).attributes["mood"] == ("happy", "sad")


def test_labels_say_what_is_drawn():
    codes = {
        colour: {readable: code for code, readable in names.items()} | {"none": ""}
        for colour, names in _drawn.LOOKS["comic"].colours.items()
    }
    for number in range(40):
        svg, row = _drawn.design("comic", "train", number)
        named = name_values(row)
        assert codes["skin_color"][named["skin_color"]] in svg
        assert codes["hair_color"][named["hair_color"]] in svg
        assert named["hair"].startswith(named["hair_length"])


def name_values(row):
    return {k: values[i] for (k, values), i in zip(_drawn.attributes("comic").items(), row, strict=True)}


def test_a_bald_head_has_no_hair_colour():
    from dicebear import Avatar

    options = {"seed": "a", "hairVariant": ["short19"], "glassesProbability": 0}
    row = _drawn.labels("comic", Avatar(_drawn._style("adventurer"), options).to_json()["options"])
    named = name_values(row)
    assert (named["hair"], named["hair_color"], named["glasses"]) == ("short19", "none", "none")


def test_box_shrink_is_the_mean_of_each_block():
    picture = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)
    small = _drawn.box_shrink(picture, 4)
    for i in range(2):
        for j in range(3):
            block = picture[4 * i : 4 * i + 4, 4 * j : 4 * j + 4].reshape(16, 3)
            assert np.abs(small[i, j] - block.mean(0)).max() <= 0.5
    assert (_drawn.box_shrink(np.full((4, 4, 1), 255, np.uint8), 4) == 255).all()


def test_no_face_is_in_both_splits():
    rows = {split: [_drawn.design("manga", split, k)[1] for k in range(60)] for split in ("train", "test")}
    assert not {tuple(row) for row in rows["train"]} & {tuple(row) for row in rows["test"]}


# ---------------------------------------------------------------------------------------------- shards
def test_shards_are_read_back_and_extended(cache, monkeypatch):
    few, many = comic(6), comic(10)
    assert shards(cache) == ["train-000000.npz", "train-000004.npz", "train-000008.npz"]
    assert torch.equal(few.x, many.x[:6]) and torch.equal(few.y, many.y[:6])
    monkeypatch.setattr(_shards, "draw", None)  # whoever draws now, fails
    assert torch.equal(comic(10).x, many.x) and torch.equal(comic(3).x, many.x[:3])


def damage(path, how):
    raw = path.read_bytes()
    if how == "truncated":
        path.write_bytes(raw[: len(raw) // 2])
    elif how == "empty":
        path.write_bytes(b"")
    elif how == "no archive":
        path.write_bytes(b"not an archive" * 100)
    elif how == "a bit":
        path.write_bytes(raw[:300] + bytes([raw[300] ^ 1]) + raw[301:])
    else:
        with np.load(path) as shard:
            content = dict(shard)
        if how == "pixels":
            content["images"] = 255 - content["images"]
        elif how == "labels":
            content["labels"] = content["labels"][::-1]
        elif how == "version":
            content["version"] = np.array("another")
        elif how == "a part missing":
            del content["labels"]
        np.savez_compressed(path, **content)


@pytest.mark.parametrize(
    "how", ["truncated", "empty", "no archive", "a bit", "pixels", "labels", "version", "a part missing"]
)
def test_a_damaged_shard_is_drawn_again_and_said(how, cache, capsys):
    good = comic()
    path = next(cache.rglob("*.npz"))
    damage(path, how)
    again = comic()
    assert torch.equal(again.x, good.x) and torch.equal(again.y, good.y)
    said = capsys.readouterr().err
    assert said.count("again") == 1 and str(path) in said
    comic()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("place", ["savez_compressed", "replace"])
def test_ctrl_c_while_writing_leaves_no_half_file(place, cache, monkeypatch):
    def interrupted(file, *_, **__):
        if place == "savez_compressed":
            file.write(b"half")
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(np if place == "savez_compressed" else os, place, interrupted)
        with pytest.raises(KeyboardInterrupt):
            comic()
    assert shards(cache) == []
    assert len(comic()) == 3


def test_a_cut_off_render_goes_on_where_it_stopped(cache, monkeypatch):
    drawn, draw = [], _drawn.draw

    def until_six(*face):
        if len(drawn) == 6:
            raise KeyboardInterrupt
        drawn.append(face[-1])
        return draw(*face)

    monkeypatch.setattr(_shards, "draw", until_six)
    with pytest.raises(KeyboardInterrupt):
        comic(10)
    assert shards(cache) == ["train-000000.npz"]
    monkeypatch.setattr(_shards, "draw", lambda *face: (drawn.append(face[-1]), draw(*face))[1])
    assert len(comic(10)) == 10
    assert drawn == [0, 1, 2, 3, 4, 5, *range(4, 10)]


def test_a_cache_that_cannot_be_written(tmp_path, monkeypatch, capsys):
    good = comic()
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("GENIMG_CACHE", str(tmp_path / "file" / "below"))
    capsys.readouterr()
    assert torch.equal(comic().x, good.x)
    said = capsys.readouterr().err
    assert "cannot be written" in said and "GENIMG_CACHE" in said


def test_no_bar_where_stderr_is_no_terminal(capsys):
    comic()
    assert capsys.readouterr() == ("", "")


def test_without_a_setting_the_cache_is_the_users(monkeypatch):
    monkeypatch.delenv("GENIMG_CACHE")
    assert "genimg" in _shards.cache_folder().name


# A program as a reader writes it: no `if __name__ == "__main__"`, fed through stdin like a notebook's cell.
PROGRAM = """
import os, sys
from genimg_lib import _shards
_shards.SHARD, _shards.POOL_FROM, _shards.cores = int(sys.argv[1]), 1, lambda: 2
images, labels = _shards.render("comic", 16, "train", int(sys.argv[2]))
print(_shards.checksum(images, labels, ""))
"""


def start(program, *arguments):
    env = os.environ | {"PYTHONPATH": str(ROOT)}
    child = subprocess.Popen(
        [sys.executable, "-", *map(str, arguments)], env=env, text=True, start_new_session=True,
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    child.stdin.write(program)
    child.stdin.close()
    child.stdin = None
    return child


def test_workers_draw_the_same_without_a_main_guard(cache, tmp_path, monkeypatch):
    out, err = (child := start(PROGRAM, 4, 10)).communicate(timeout=100)
    assert (child.returncode, err) == (0, "")
    assert shards(cache) == ["train-000000.npz", "train-000004.npz", "train-000008.npz"]
    monkeypatch.setenv("GENIMG_CACHE", str(tmp_path / "other"))
    assert out.strip() == _shards.checksum(*_shards.render("comic", 16, "train", 10), "")


def test_a_worker_that_fails_says_why(cache):
    with pytest.raises(OSError, match="status 1(.|\n)*KeyError"), _shards.tqdm(disable=True) as bar:
        _shards._in_pool([(cache / "x.npz", "nonsense", 16, "train", 0, 1)], bar)


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_ctrl_c_stops_the_workers_and_leaves_whole_shards(cache):
    child = start(PROGRAM, 50, 5_000)
    deadline = time.monotonic() + 100
    while not list(cache.rglob("*.npz")) and time.monotonic() < deadline:
        time.sleep(0.02)
    child.send_signal(signal.SIGINT)  # to the parent alone, as a notebook's stop button does
    _, err = child.communicate(timeout=100)
    assert child.returncode != 0 and "KeyboardInterrupt" in err
    with pytest.raises(ProcessLookupError):  # nobody is left in its group
        os.killpg(child.pid, 0)
    found = [path for path in cache.rglob("*") if path.is_file()]
    assert found and all(len(_shards.read_shard(path)[0]) == 50 for path in found)


@pytest.mark.skipif(os.name != "posix", reason="sends a POSIX signal")
def test_a_killed_writer_leaves_nothing_that_loads(cache):
    kill = "import os; os.replace = lambda *_: os.kill(os.getpid(), 9)\n"
    child = start(kill + PROGRAM.replace("lambda: 2", "lambda: 1"), 4, 3)
    child.communicate(timeout=100)
    assert child.returncode == -signal.SIGKILL
    (part,) = shards(cache)
    assert part.endswith(".part")
    os.utime(next(cache.rglob("*.part")), (0, 0))  # long ago
    assert len(comic()) == 3
    assert shards(cache) == ["train-000000.npz"]


# ---------------------------------------------------------------------------------------------- shipped sets
def test_digits_are_split_by_class_and_padded():
    train, test, wide = data.load("digits"), data.load("digits", split="test"), data.load("digits", 32, n=7)
    assert (train.x.shape, test.x.shape) == ((4_000, 1, 28, 28), (1_000, 1, 28, 28))
    assert train.column("digit").bincount().tolist() == [400] * 10
    assert test.column("digit").bincount().tolist() == [100] * 10
    together = sorted(map(bytes, pixels(torch.cat([train.x, test.x]))))
    assert together == sorted(map(bytes, data._mnist()[0]))
    assert torch.equal(wide.x[:, :, 2:-2, 2:-2], train.x[:7]) and wide.x[:, :, :2].max() == -1
    assert data.load("digits", 14, n=2).x.shape == (2, 1, 14, 14)
    assert len(train.column("digit")[:40].unique()) == 10  # mixed


def test_photographed_faces():
    from skimage.data import lfw_subset

    train, test = data.load("faces"), data.load("faces", split="test")
    assert train.column("kind").bincount().tolist() == [80, 80] and len(test) == 40
    first = (train.x[0, 0].numpy() + 1) / 2
    source = np.abs(lfw_subset() - first).max((1, 2)).argmin()
    assert np.abs(lfw_subset()[source] - first).max() < 0.5 / 255 + 1e-6
    assert train.attributes["kind"][train.y[0, 0]] == ("face" if source < 100 else "not a face")
    assert data.load("faces", 32, n=3).x.shape == (3, 1, 32, 32)


def test_textures_and_photos():
    import skimage.data

    textures = data.load("textures")
    assert textures.attributes == {"picture": ("brick", "grass", "gravel")}
    for x, name in zip(textures.x, ("brick", "grass", "gravel"), strict=True):
        assert np.array_equal(pixels(x[0]), getattr(skimage.data, name)())
    assert data.load("textures", 64).x.mean().item() == pytest.approx(textures.x.mean().item(), abs=0.01)
    photos = data.load("photos", 100)
    centre = skimage.data.chelsea()[:, 75:375].mean((0, 1)) / 127.5 - 1
    assert photos.x.shape == (3, 3, 100, 100)
    assert np.allclose(photos.x[1].mean((1, 2)), centre, atol=0.01)


def test_points():
    for name in data._TOYS:
        train, test = data.load(name), data.load(name, n=50, split="test")
        assert train.x.shape == (4_000, 2) and train.x.abs().max() < 1.2
        assert torch.equal(data.load(name, n=50).x, train.x[:50])
        assert not torch.isin(test.x[:, 0], train.x[:, 0]).any()
        (values,) = train.attributes.values()
        assert train.y[:, 0].unique().tolist() == list(range(len(values)))
    assert torch.equal(data.load("toy").x, data.load("toy:mixture").x)


def test_points_lie_where_they_should():
    mixture = data.load("toy:mixture")
    angle = mixture.y[:, 0] * torch.pi / 4
    noise = mixture.x - 0.75 * torch.stack([angle.cos(), angle.sin()], 1)
    assert noise.std(0).tolist() == pytest.approx([0.05, 0.05], rel=0.05)
    squares = ((data.load("toy:checkerboard").x + 1) * 2).floor().long()
    assert (squares.sum(1) % 2 == 0).all() and len(squares.unique(dim=0)) == 8


# ---------------------------------------------------------------------------------------------- Fashion-MNIST
def idx(array):
    return bytes([0, 0, 8, array.ndim]) + struct.pack(f">{array.ndim}I", *array.shape) + array.tobytes()


@pytest.fixture
def clothes(tmp_path, monkeypatch):
    folder = tmp_path / "fashion"
    folder.mkdir()
    pictures = np.random.default_rng(0).integers(0, 256, (5, 28, 28), np.uint8)
    (folder / "train-images-idx3-ubyte.gz").write_bytes(gzip.compress(idx(pictures), mtime=0))
    (folder / "train-labels-idx1-ubyte").write_bytes(idx(np.array([9, 0, 1, 2, 3], np.uint8)))
    monkeypatch.setenv("GENIMG_FASHION", str(folder))
    return folder, pictures


def test_fashion_from_idx_files(clothes):
    fashion = data.load("fashion", n=4)
    assert np.array_equal(pixels(fashion.x[:, 0]), clothes[1][:4])
    assert fashion.attributes["garment"][fashion.column("garment")[0]] == "ankle boot"
    assert data.load("fashion", 32).x.shape == (5, 1, 32, 32)


def test_fashion_absent_says_how_to_get_it(clothes):
    with pytest.raises(FileNotFoundError, match="apt install dataset-fashion-mnist(.|\n)*GENIMG_FASHION"):
        data.load("fashion", split="test")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "no IDX file"),
        (b"\x89PNG0000", "starts 89504e47"),
        (b"\0\0\x08\x03\0\0", "inside its header"),
        (idx(np.zeros((2, 28, 28), np.uint8))[:-1], "1,583 bytes"),
        (gzip.compress(idx(np.zeros((2, 28, 28), np.uint8)), mtime=0)[:-12], "cannot be unpacked"),
        (idx(np.zeros((2, 28, 28), np.uint8)), "do not belong together"),
        (idx(np.zeros((5, 28, 27), np.uint8)), "do not belong together"),
    ],
)
def test_a_damaged_idx_file_is_named(content, message, clothes):
    (clothes[0] / "train-images-idx3-ubyte").write_bytes(content)
    with pytest.raises(ValueError, match=message) as error:
        data.load("fashion")
    assert "train-images-idx3-ubyte" in str(error.value)


# ---------------------------------------------------------------------------------------------- own pictures
RED, BLUE = (255, 0, 0), (0, 0, 255)


def two_halves(width=40, height=40):
    """Left red, right blue."""
    image = Image.new("RGB", (width, height), BLUE)
    image.paste(RED, (0, 0, width // 2, height))
    return image


def test_every_kind_of_picture(tmp_path):
    kinds = {
        "grey.png": (Image.new("L", (9, 9), 100), (100, 100, 100)),
        "one bit.png": (Image.new("1", (9, 9), 1), (255, 255, 255)),
        "clear.png": (Image.new("RGBA", (9, 9), (0, 0, 0, 0)), (255, 255, 255)),
        "half clear.png": (Image.new("LA", (9, 9), (0, 128)), (127, 127, 127)),
        "palette.gif": (Image.new("RGB", (9, 9), RED).quantize(4), RED),
        "cmyk.tif": (Image.new("CMYK", (9, 9), (0, 255, 255, 0)), RED),
        "deep.png": (Image.fromarray(np.full((9, 9), 128 * 257, np.uint16)), (128, 128, 128)),
        "one pixel.png": (Image.new("RGB", (1, 1), BLUE), BLUE),
        "thin.bmp": (Image.new("RGB", (300, 1), BLUE), BLUE),
        "ending in capitals.PNG": (Image.new("RGB", (9, 9), RED), RED),
    }
    for name, (image, expected) in kinds.items():
        image.save(tmp_path / name)
        found = _files.read_picture(tmp_path / name, 8)
        assert found.shape == (3, 8, 8) and found.dtype == np.uint8
        assert found[:, 0, 0].tolist() == list(expected), name
    ramp = Image.fromarray(np.linspace(-3, 5, 81, dtype=np.float32).reshape(9, 9))
    ramp.save(tmp_path / "float.tif")
    assert _files.read_picture(tmp_path / "float.tif", 9)[0, [0, -1], [0, -1]].tolist() == [0, 255]
    clear = Image.new("P", (9, 9), 0)
    clear.putpalette([0, 0, 0, 9, 9, 9])
    clear.save(tmp_path / "clear palette.png", transparency=0)
    assert (_files.read_picture(tmp_path / "clear palette.png", 8) == 255).all()
    frames = [Image.new("RGB", (9, 9), RED), Image.new("RGB", (9, 9), BLUE)]
    frames[0].save(tmp_path / "moving.gif", save_all=True, append_images=frames[1:])
    assert _files.read_picture(tmp_path / "moving.gif", 8)[:, 0, 0].tolist() == list(RED)


def test_exif_rotation_and_the_centred_square(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 3  # upside down
    two_halves().save(tmp_path / "turned.png", exif=exif)
    assert _files.read_picture(tmp_path / "turned.png", 8)[:, 0, 0].tolist() == list(BLUE)
    wide = Image.new("RGB", (90, 30), "white")
    wide.paste(RED, (30, 0, 60, 30))
    wide.save(tmp_path / "wide.png")
    assert (_files.read_picture(tmp_path / "wide.png", 10) == np.array(RED).reshape(3, 1, 1)).all()


def test_shrinking_averages_instead_of_skipping_pixels(tmp_path):
    board = (np.indices((64, 64)).sum(0) % 2 * 255).astype(np.uint8)
    Image.fromarray(board).save(tmp_path / "board.png")
    assert np.abs(_files.read_picture(tmp_path / "board.png", 8).astype(int) - 127).max() <= 2


def test_sub_folders_are_labels_and_splits_are_disjoint(tmp_path):
    top = tmp_path / "mine"
    for k in range(60):
        place = top / ("cats", "dogs", ".hidden")[k % 3]
        place.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (4, 4), (k, 0, 0)).save(place / f"{k}.png")
    (top / "cats" / "notes.txt").write_text("no picture")
    before = sorted((path, path.stat().st_mtime_ns) for path in top.rglob("*"))
    train, test = data.load(f"folder:{top}", 4), data.load(f"folder:{top}", 4, split="test")
    assert train.attributes == test.attributes == {"folder": ("cats", "dogs")}
    red = [pixels(mine.x)[:, 0, 0, 0].tolist() for mine in (train, test)]
    assert not set(red[0]) & set(red[1])
    assert sorted(red[0] + red[1]) == [k for k in range(60) if k % 3 < 2]
    assert [k % 3 for k in red[0]] == train.column("folder").tolist()
    assert torch.equal(data.load(f"folder:{top}", 4, n=5).x, train.x[:5])
    assert len(train.column("folder")[:12].unique()) == 2  # mixed
    assert data.load(f"folder:{top}", n=1).x.shape == (1, 3, 64, 64)
    assert before == sorted((path, path.stat().st_mtime_ns) for path in top.rglob("*"))


def test_without_sub_folders_there_are_no_labels(tmp_path):
    two_halves().save(tmp_path / "a.png")
    mine = data.load(f"folder:{tmp_path}", 8)
    assert mine.attributes == {} and mine.y.shape == (1, 0)
    with pytest.raises(ValueError, match="no attribute"):
        mine.column("folder")
    with pytest.raises(ValueError, match="only 1 pictures"):
        data.load(f"folder:{tmp_path}", 8, split="test")


def test_broken_files_among_good_ones_are_named(tmp_path, monkeypatch):
    for k in range(8):
        two_halves().save(tmp_path / f"{k}.png")
    (tmp_path / "text.jpg").write_text("hello")
    (tmp_path / "empty.png").write_bytes(b"")
    whole = (tmp_path / "0.png").read_bytes()
    (tmp_path / "cut.png").write_bytes(whole[: len(whole) // 2])
    Image.new("RGB", (200, 100)).save(tmp_path / "huge.png")
    Image.new("RGB", (400, 400)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(_files, "LARGEST", 15_000)
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 15_000)
    readable, told = 0, ""
    for split in ("train", "test"):
        with warnings.catch_warnings(record=True) as said:
            warnings.simplefilter("always")
            readable += len(data.load(f"folder:{tmp_path}", 8, split=split))
        assert all(warning.category is UserWarning and warning.filename == __file__ for warning in said)
        told += "".join(str(warning.message) for warning in said)
    assert readable == 8
    for name in ("text.jpg", "empty.png", "cut.png", "huge.png (200x100 is more than", "bomb.png"):
        assert name in told


def test_a_large_jpeg_is_decoded_small(tmp_path, monkeypatch):
    two_halves(800, 800).save(tmp_path / "a.jpg")
    monkeypatch.setattr(_files, "LARGEST", 40_000)
    assert _files.read_picture(tmp_path / "a.jpg", 16).shape == (3, 16, 16)


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda top: None, FileNotFoundError, "there is no folder"),
        (lambda top: top.write_text("x"), NotADirectoryError, "is a file"),
        (lambda top: top.mkdir(), FileNotFoundError, "no picture in"),
        (lambda top: (top.mkdir(), (top / "a.txt").write_text("x")), FileNotFoundError, "no picture in"),
        (lambda top: (top.mkdir(), (top / "a.png").write_text("x")), ValueError, "none of the 1 .*a.png"),
    ],
)
def test_a_folder_without_pictures(make, error, message, tmp_path):
    make(tmp_path / "mine")
    with pytest.raises(error, match=message):
        data.load(f"folder:{tmp_path / 'mine'}")
