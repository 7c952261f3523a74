"""Comic and manga faces: one drawing and its labels, from DiceBear's styles.

A face is decided by (style, size, split, number) alone, so the same call gives the same pixels on every
machine with the same versions of the drawing libraries. No torch is imported here: workers start in a blink.
"""

import hashlib
import importlib.resources
import io
import json
import re
from functools import cache
from typing import NamedTuple

import numpy as np
from PIL import Image

OVERSAMPLE = 4  # draw at four times the size, then average: cleaner lines than drawing small
TEST_SHARE = 0.2  # the share of all possible faces that belongs to the test split
NONE = "none"

HAIR = {
    "#0e0e0e": "black", "#e5d7a3": "platinum", "#b9a05f": "blonde", "#796a45": "ash brown",
    "#85c2c6": "light blue", "#6a4e35": "brown", "#562306": "dark brown", "#afafaf": "grey",
    "#3eac2c": "green", "#dba3be": "pink", "#592454": "purple", "#ac6511": "caramel",
    "#cb6820": "ginger", "#ab2a18": "red",
}  # fmt: skip
SKIN = {"#f2d3b1": "light", "#ecad80": "tan", "#9e5622": "brown", "#763900": "dark"}


class Look(NamedTuple):
    """How one data set is drawn."""

    style: str  # DiceBear's name of the style
    channels: int
    size: int  # pixels a side when none is asked for
    train: int  # pictures when none are asked for
    test: int
    components: tuple  # attribute names of the parts, in column order
    colours: dict  # attribute name -> {hex: readable name}
    groups: dict  # attribute name -> the component whose variants ("long07", "sad03") carry it as a prefix
    frame: str = ""  # x, y, width, height to show in the drawing's units; "" shows all


LOOKS = {
    "comic": Look(
        "adventurer", 3, 32, 8_000, 2_000,
        ("hair", "eyes", "eyebrows", "mouth", "glasses", "details", "earrings"),
        {"hair_color": HAIR, "skin_color": SKIN}, {"hair_length": "hair"},
    ),
    "manga": Look(
        "lorelei", 1, 28, 5_000, 1_000,
        ("hair", "head", "eyes", "eyebrows", "nose", "mouth", "glasses", "beard", "freckles", "earrings",
         "hair_accessories"),
        {}, {"mood": "mouth"}, "54 0 868 868",  # the smallest square that holds every hair, beard and neck
    ),
}  # fmt: skip


def camel(name):
    """hair_accessories -> hairAccessories, DiceBear's spelling."""
    first, *rest = name.split("_")
    return first + "".join(word.capitalize() for word in rest)


@cache
def definition(style):
    """The style's own description: every part, every variant, every colour."""
    file = importlib.resources.files("dicebear_styles").joinpath(f"{style}.json")
    return json.loads(file.read_text("utf-8"))


@cache
def _style(style):
    from dicebear import Style

    return Style(definition(style))


@cache
def attributes(name):
    """dict: attribute -> all its values, read from the style: labels do not depend on what was drawn.

    A part that may be missing has "none" as its value 0; so has hair_color, for bald heads. Colours have
    readable names where HAIR and SKIN know them, and their hex code otherwise.
    """
    look, parts = LOOKS[name], definition(LOOKS[name].style)["components"]
    found = {}
    for part in look.components:
        optional = parts[camel(part)].get("probability", 100) < 100
        found[part] = ((NONE,) if optional else ()) + tuple(parts[camel(part)]["variants"])
    for colour, readable in look.colours.items():
        of = colour.removesuffix("_color")
        values = definition(look.style)["colors"][of]["values"]
        wearers = parts.get(of, {"variants": {}})["variants"].values()
        bare = any(f'"name": "{of}"' not in json.dumps(wearer) for wearer in wearers)
        found[colour] = ((NONE,) if bare else ()) + tuple(readable.get(value, value) for value in values)
    for group, part in look.groups.items():
        found[group] = tuple(sorted({value.rstrip("0123456789") for value in found[part]}))
    return found


def labels(name, options):
    """One integer an attribute, from the options that DiceBear resolved for a face."""
    look, row = LOOKS[name], []
    for attribute, values in attributes(name).items():
        if attribute in look.groups:
            value = options[camel(look.groups[attribute]) + "Variant"].rstrip("0123456789")
        elif attribute in look.colours:
            code = options.get(camel(attribute), [NONE])[0]
            value = look.colours[attribute].get(code, code)
        else:
            value = options.get(camel(attribute) + "Variant", NONE)
        row.append(values.index(value))
    return row


def design(name, split, number):
    """(svg, labels) of face `number` of a split.

    The labels themselves say which split a face belongs to, so no test face is ever drawn for training,
    however many are asked for: seeds are tried in turn until one falls on the right side.
    """
    from dicebear import Avatar

    for attempt in range(10_000):
        face = Avatar(_style(LOOKS[name].style), {"seed": f"{name}-{split}-{number}-{attempt}"}).to_json()
        row = labels(name, face["options"])
        draw = int.from_bytes(hashlib.sha256(repr(row).encode()).digest()[:4], "big") / 2**32
        if (draw < TEST_SHARE) == (split == "test"):
            return face["svg"], row
    raise RuntimeError(f"no {split} face in 10,000 seeds: {LOOKS[name].style!r} has too few variants")


def box_shrink(picture, factor):
    """Average every factor x factor block: (H, W, C) uint8 -> (H / factor, W / factor, C) uint8."""
    height, width, channels = picture.shape
    blocks = picture.reshape(height // factor, factor, width // factor, factor, channels)
    return np.rint(blocks.mean(axis=(1, 3))).astype(np.uint8)


def draw(name, size, split, number):
    """((C, size, size) uint8, labels) of one face, on white."""
    import resvg_py

    svg, row = design(name, split, number)
    if LOOKS[name].frame:
        svg = re.sub(r'viewBox="[^"]*"', f'viewBox="{LOOKS[name].frame}"', svg, count=1)
    side = size * OVERSAMPLE
    png = resvg_py.svg_to_bytes(
        svg_string=svg, width=side, height=side, background="white", skip_system_fonts=True
    )
    mode = "RGB" if LOOKS[name].channels == 3 else "L"
    picture = np.asarray(Image.open(io.BytesIO(png)).convert(mode)).reshape(side, side, -1)
    return box_shrink(picture, OVERSAMPLE).transpose(2, 0, 1), row
