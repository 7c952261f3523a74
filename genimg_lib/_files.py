"""Pictures from the user's disk: any folder of image files, and Fashion-MNIST's IDX files."""

import gzip
import hashlib
import os
import struct
import warnings
import zlib
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

DEBIAN_FASHION = Path("/usr/share/datasets/fashion-mnist")
GARMENTS = (
    "T-shirt", "trouser", "pullover", "dress", "coat", "sandal", "shirt", "sneaker", "bag", "ankle boot",
)  # fmt: skip
LARGEST = 100_000_000  # pixels once decoded: a larger picture would fill a laptop's memory and is left out
HELD_OUT = 0.1  # the share of a folder that is its test split
TOP = "(top)"  # the label of pictures beside the sub-folders


# ---------------------------------------------------------------------------------------------- one picture
def to_pillow(picture):
    """(H, W) or (C, H, W) uint8 -> Pillow image, "L" or "RGB"."""
    if picture.ndim == 3:
        picture = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(picture))


def read_picture(path, size):
    """One image file -> (3, size, size) uint8: upright by EXIF, on white where transparent, first frame.

    Grey, palette, CMYK and 16-bit files become RGB; 32-bit ones are stretched to their own range.
    Raises whatever Pillow raises for a file that it cannot read, ValueError for one that is too large.
    """
    with warnings.catch_warnings():  # LARGEST decides here
        warnings.simplefilter("ignore", Image.DecompressionBombWarning)
        image = Image.open(path)
    with image:
        image.draft(image.mode, (2 * size, 2 * size))  # a JPEG may decode straight to an eighth of its size
        if image.width * image.height > LARGEST:
            raise ValueError(f"{image.width}x{image.height} is more than {LARGEST:,} pixels: shrink it first")
        upright = ImageOps.exif_transpose(image)
        return square(_rgb(upright), size)


def check_out(path, force, endings=None):
    """Say before the work what would go wrong after it: an ending of no picture, or not one of `endings`; a file that
    stands there; no folder."""
    known = endings or {end for end, kind in Image.registered_extensions().items() if kind in Image.SAVE}
    if path.suffix.lower() not in known:
        what = " or ".join(endings) if endings else "a picture that can be written"
        best = path.with_suffix(endings[0] if endings else ".png")
        raise ValueError(f"--out {path} has no ending of {what}; try {best}")
    if path.exists() and not force:
        raise FileExistsError(f"{path} exists; choose another name or add --force")
    if not path.absolute().parent.is_dir():
        raise FileNotFoundError(f"the folder {path.parent} does not exist; create it first")


def _rgb(image):
    if image.mode[0] in "IF":  # one channel of 16 or 32 bits, which convert("RGB") would cut off at 255
        values = np.nan_to_num(np.asarray(image, np.float64))
        low, high = (0, 65535) if image.mode.startswith("I;16") else (values.min(), values.max())
        values = 255 * (values - low) / max(high - low, 1e-12)
        image = Image.fromarray(np.rint(values).astype(np.uint8))
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        image = Image.alpha_composite(white, image)
    return image.convert("RGB")


def square(image, size):
    """The largest centred square, resampled with antialiasing: (C, size, size) uint8."""
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    image = image.crop((left, top, left + side, top + side))  # first, so that no pixel from outside leaks in
    pixels = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


# ---------------------------------------------------------------------------------------------- IDX
def read_idx(path):
    """The array of bytes in an IDX file, packed by gzip or not (the format of MNIST and its successors).

    A header of big-endian integers: 0x0000 08 <number of axes>, then the length of each axis; then the bytes.
    Raises ValueError, naming the file, where magic number or length do not fit.
    """
    raw = Path(path).read_bytes()
    try:
        content = gzip.decompress(raw) if raw[:2] == b"\x1f\x8b" else raw
    except (OSError, EOFError, zlib.error) as error:
        raise ValueError(f"{path} cannot be unpacked ({error}); fetch it again") from error
    if len(content) < 4 or content[:3] != b"\0\0\x08":
        raise ValueError(f"{path} is no IDX file of bytes: it starts {content[:4].hex()}, expected 000008..")
    axes = content[3]
    header = 4 + 4 * axes
    if len(content) < header:
        raise ValueError(f"{path} ends inside its header of {header} bytes; fetch it again")
    shape = struct.unpack(f">{axes}I", content[4:header])
    expected = header + int(np.prod(shape, dtype=np.int64))
    if len(content) != expected:
        raise ValueError(f"{path} has {len(content):,} bytes, but its header {shape} asks for {expected:,}")
    return np.frombuffer(content, np.uint8, offset=header).reshape(shape)


def fashion(split):
    """((N, 1, 28, 28) uint8, (N, 1) int64) from $GENIMG_FASHION or where Debian's package puts it.

    Raises FileNotFoundError, saying how to get the files, and ValueError for files that are damaged.
    """
    place = Path(os.environ.get("GENIMG_FASHION") or DEBIAN_FASHION).expanduser()
    stem = {"train": "train", "test": "t10k"}[split]
    found = []
    for what in ("images-idx3-ubyte", "labels-idx1-ubyte"):
        choices = [place / f"{stem}-{what}{ending}" for ending in ("", ".gz")]
        found.append(next((path for path in choices if path.is_file()), None))
        if found[-1] is None:
            raise FileNotFoundError(
                f"Fashion-MNIST is not here: no {choices[1].name} (or without .gz) in {place}. On Debian and"
                " Ubuntu: apt install dataset-fashion-mnist. Elsewhere: fetch the four files named at"
                " https://github.com/zalandoresearch/fashion-mnist and set GENIMG_FASHION to their folder."
            )
    x, y = (read_idx(path) for path in found)
    if x.ndim != 3 or y.shape != x.shape[:1] or x.shape[1:] != (28, 28) or (y.size and y.max() > 9):
        raise ValueError(
            f"{found[0]} and {found[1]} do not belong together: pictures {x.shape}, labels {y.shape},"
            " expected (N, 28, 28) and (N,) of 0 to 9"
        )
    return x[:, None], y[:, None].astype(np.int64)


# ---------------------------------------------------------------------------------------------- folders
def pictures_in(top):
    """Paths, relative to `top`, of every file whose ending says picture; hidden ones are left out.

    Their order is mixed, but fixed: by a hash of the relative path, so that any first n is a fair sample.
    """
    endings = {ending for ending, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    found = []
    for place, folders, files in os.walk(top):
        folders[:] = [folder for folder in folders if not folder.startswith(".")]
        paths = [Path(place, file).relative_to(top) for file in files if not file.startswith(".")]
        found += [path for path in paths if path.suffix.lower() in endings]
    return sorted(found, key=_hash)


def _hash(path):
    return hashlib.sha256(os.fsencode(path.as_posix())).digest()


def folder(path, size, n, split):
    """(x (N, 3, size, size) uint8, y (N, A) int64, attributes) of a folder of pictures.

    Each picture is cropped to its centred square and resampled. Where there are sub-folders, their names are
    the values of the attribute "folder". About a tenth of the pictures, chosen by their names, is the test
    split. Broken files are left out and named in a UserWarning; nothing is ever written.
    """
    top = Path(path).expanduser()
    if not top.exists():
        raise FileNotFoundError(f"there is no folder {top}")
    if not top.is_dir():
        raise NotADirectoryError(f"{top} is a file; name the folder that holds it: folder:{top.parent}")
    every = pictures_in(top)
    if not every:
        raise FileNotFoundError(f"no picture in {top}: nothing there ends in .png, .jpg, .gif, .tif ...")
    held = {path for path in every if int.from_bytes(_hash(path)[-4:], "big") < HELD_OUT * 2**32}
    if len(held) == len(every):  # one or two pictures, all held out by chance: they are for training
        held = set()
    chosen = [path for path in every if (path in held) == (split == "test")]
    if not chosen:
        raise ValueError(f"{top} has only {len(every)} pictures, none of them held out: use split='train'")

    tops = sorted({path.parts[0] if len(path.parts) > 1 else TOP for path in every})
    attributes = {"folder": tuple(tops)} if tops != [TOP] else {}
    x, y, broken = [], [], []
    for path in chosen:
        if len(x) == n:
            break
        try:
            x.append(read_picture(top / path, size))
        except Exception as error:  # damaged files make decoders raise almost anything; all are named below
            broken.append(f"{path} ({error or type(error).__name__})")
        else:
            y.append([tops.index(path.parts[0] if len(path.parts) > 1 else TOP)] if attributes else [])
    named = "; ".join(broken[:10]) + (f"; and {len(broken) - 10} more" if len(broken) > 10 else "")
    if not x:
        raise ValueError(f"none of the {len(broken)} pictures in {top} ({split} split) can be read: {named}")
    if broken:
        warnings.warn(f"{len(broken)} of the files in {top} cannot be read, left out: {named}", stacklevel=4)
    return np.stack(x), np.array(y, np.int64).reshape(len(x), -1), attributes
