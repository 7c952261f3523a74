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
LARGEST = 200_000_000  # pixels; a picture beyond is skipped: decoded, it would fill a laptop's memory


# ---------------------------------------------------------------------------------------------- one picture
def to_pillow(picture):
    """(H, W) or (C, H, W) uint8 -> Pillow image, "L" or "RGB"."""
    if picture.ndim == 3:
        picture = picture[0] if len(picture) == 1 else picture.transpose(1, 2, 0)
    return Image.fromarray(np.ascontiguousarray(picture))


def square(image, size):
    """The largest centred square, resampled with antialiasing: (C, size, size) uint8."""
    image = ImageOps.fit(image, (size, size), method=Image.Resampling.LANCZOS)
    pixels = np.asarray(image)
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
