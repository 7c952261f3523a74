"""Moving pictures in a notebook."""

import base64
import re

import pytest
import torch
from PIL import Image

from genimg_lib import plot


def test_a_moving_picture_carries_its_file_and_its_words(tmp_path):
    path = tmp_path / "walk.gif"
    frames = [Image.fromarray(plot.tile(torch.full((1, 3, 4, 4), v))) for v in (-1.0, 1.0)]
    frames[0].save(path, save_all=True, append_images=frames[1:], duration=100, loop=0)
    said = plot.moving(path, 'a "face"').data
    assert base64.b64decode(re.search(r"base64,([^\"]+)\"", said)[1]) == path.read_bytes()
    assert 'alt="a &quot;face&quot;"' in said and "image/gif" in said
    with pytest.raises(ValueError, match="expected a .gif"):
        plot.moving(tmp_path / "walk.mp4", "")
