"""Paintings: the seed decides, the palette is kept, panes are where the nearest point says."""

import pytest
import torch

from genimg_lib import paintings

MADE = [paintings.marble, paintings.strokes, paintings.glass]


@pytest.mark.parametrize("paint", MADE)
def test_the_seed_decides_and_values_are_those_of_a_picture(paint):
    a, again, other = paint(48, 1), paint(48, 1), paint(48, 2)
    assert a.shape == (3, 48, 48) and a.abs().max() <= 1
    assert torch.equal(a, again) and not torch.equal(a, other)


def test_colours_are_read_and_wrong_ones_refused():
    assert torch.equal(paintings.colours(["ff0000", "0000FF"]), torch.tensor([[1.0, -1, -1], [-1, -1, 1]]))
    for word in ("red", "12345g", "#ff000"):
        with pytest.raises(ValueError, match="hexadecimal"):
            paintings.colours([word])


def test_marble_has_the_colours_of_its_palette_and_blends_of_neighbours():
    x = paintings.marble(64, 0, ["000000", "ffffff"])
    assert torch.allclose(x[0], x[1]) and torch.allclose(x[0], x[2])  # grey
    assert ((x.abs() > 0.99).float().mean() > 0.7) and (x[0] < -0.9).any() and (x[0] > 0.9).any()


def test_lead_lies_between_panes_and_not_at_their_points():
    generator = torch.Generator().manual_seed(3)
    points = (64 * torch.rand(12, 2, generator=generator)).round().long().clamp(0, 63)
    x = paintings.glass(64, 3, panes=12)
    dark = (x < -0.85).all(0)
    assert 0.02 < dark.float().mean() < 0.5
    assert dark[points[:, 0], points[:, 1]].float().mean() < 0.35


def test_strokes_take_the_brightness_of_the_palette():
    day, night = paintings.strokes(48, 0, ["dddddd"] * 2), paintings.strokes(48, 0, ["222222"] * 2)
    assert day.mean() > 0.5 and night.mean() < -0.5
