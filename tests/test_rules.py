"""Rules: transforms, noise, quilting and drawn faces, proved by identities and by slow, obvious references."""

from dataclasses import replace
from itertools import product

import pytest
import torch
from torch.testing import assert_close

from genimg_lib import drawing, rules, texture


def seeded(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def picture(*shape: int, seed: int = 0) -> torch.Tensor:
    return torch.rand(shape, generator=seeded(seed)) * 2 - 1


# ---------------------------------------------------------------------------------------- transforms


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
@pytest.mark.parametrize("shape", [(3, 7, 5), (2, 3, 7, 5), (7, 5)])
def test_the_identity_changes_nothing(mode, shape):
    x = picture(*shape)
    assert torch.equal(rules.affine_warp(x, torch.eye(3), mode), x)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_four_quarter_turns_are_the_identity_and_one_is_rot90(mode):
    x = picture(3, 9, 9)
    quarter = rules.rotation_about_centre(90, 9, 9)
    once = rules.affine_warp(x, quarter, mode)
    assert_close(once, x.rot90(-1, (-2, -1)))  # clockwise on the screen
    for _ in range(3):
        once = rules.affine_warp(once, quarter, mode)
    assert_close(once, x)


@pytest.mark.parametrize("mode", ["nearest", "bilinear"])
def test_translation_moves_right_and_down_and_fills(mode):
    x = picture(2, 3, 6, 8)
    y = rules.affine_warp(x, rules.translation(2, 1), mode, fill=0.25)
    assert torch.equal(y[..., 1:, 2:], x[..., :-1, :-2])
    assert (y[..., 0, :] == 0.25).all() and (y[..., :2] == 0.25).all()


def test_integer_scaling_repeats_and_shear_slides_rows():
    x = picture(3, 6, 8)
    assert torch.equal(rules.affine_warp(x, rules.scaling(2, 1))[..., ::2], x[..., :4])
    y = rules.affine_warp(x, rules.shear(1), fill=0)
    assert torch.equal(y[:, 3, 3:], x[:, 3, :-3]) and (y[:, 3, :3] == 0).all()


def test_composition_is_the_matrix_product_and_inverse_undoes():
    A = rules.rotation_about_centre(25, 6, 8) @ rules.scaling(1.2, 0.7) @ rules.shear(0.3, 0.1)
    assert_close(A @ torch.linalg.inv(A), torch.eye(3, dtype=torch.float64))
    x = picture(3, 6, 8)
    right, down = rules.translation(1, 0), rules.translation(0, 2)
    assert torch.equal(rules.affine_warp(rules.affine_warp(x, right), down), rules.affine_warp(x, down @ right))
    back = rules.affine_warp(rules.affine_warp(x, right), torch.linalg.inv(right))
    assert torch.equal(back[..., :-1], x[..., :-1])
    centre = torch.tensor([3.5, 2.5, 1.0], dtype=torch.float64)
    assert_close(rules.rotation_about_centre(37, 6, 8) @ centre, centre)


def test_bilinear_is_exact_on_a_ramp_where_nothing_comes_from_outside():
    rows, cols = torch.meshgrid(torch.arange(12.0), torch.arange(16.0), indexing="ij")
    x = (0.3 * cols - 0.2 * rows + 1)[None].double()
    A = rules.about_centre(rules.rotation(20) @ rules.scaling(2.5, 2), 12, 16)
    u, v, _ = torch.linalg.inv(A) @ torch.stack([cols, rows, torch.ones_like(rows)]).reshape(3, -1).double()
    expected = (0.3 * u - 0.2 * v + 1).reshape(1, 12, 16)
    assert_close(rules.affine_warp(x, A, "bilinear"), expected)


def test_the_type_is_kept_and_the_gradient_flows():
    x = picture(1, 4, 5).double().requires_grad_()
    y = rules.affine_warp(x, rules.translation(0.5, 0), "bilinear")
    assert y.dtype == torch.float64
    y.sum().backward()
    assert_close(x.grad.sum(), torch.tensor(4 * 4 + 4 * 0.5, dtype=torch.float64))


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(A=rules.scaling(1, 0)), "no inverse"),
        (dict(A=torch.eye(2)), "3×3"),
        (dict(A=[[1, 0, 0], [0, 1, 0], [0.1, 0, 1]]), "last row"),
        (dict(A=rules.translation(float("nan"), 0)), "finite"),
        (dict(x=torch.ones(1, 4, 4, dtype=torch.uint8)), "float"),
        (dict(x=torch.ones(4)), "float picture"),
        (dict(mode="cubic"), "bilinear"),
    ],
)
def test_a_wrong_warp_says_what_is_wrong(change, message):
    with pytest.raises(ValueError, match=message):
        rules.affine_warp(**(dict(x=torch.zeros(1, 4, 4), A=torch.eye(3), mode="nearest") | change))


# --------------------------------------------------------------------------------------------- noise


def test_value_noise_hits_the_lattice_and_gradient_noise_is_zero_there():
    heights = torch.rand(4, 4, generator=seeded(1)) * 2 - 1
    assert torch.equal(rules.value_noise(32, 4, seeded(1))[::8, ::8], heights)
    assert_close(rules.gradient_noise(32, 4, seeded(1))[::8, ::8], torch.zeros(4, 4))


@pytest.mark.parametrize("noise", [rules.value_noise, rules.gradient_noise])
def test_noise_is_in_range_seeded_smooth_and_tileable(noise):
    x = noise(64, 4, seeded(2))
    assert x.shape == (64, 64) and -1 <= x.min() < -0.3 and 0.3 < x.max() <= 1
    assert torch.equal(x, noise(64, 4, seeded(2))) and not torch.equal(x, noise(64, 4, seeded(3)))
    inside, across = (x[:, 1:] - x[:, :-1]).abs().max(), (x[:, 0] - x[:, -1]).abs().max()
    assert across <= inside < 0.3


def test_finer_octaves_are_weaker_and_the_sum_stays_in_range():
    x = rules.fractal_noise(128, 2, 5, seeded(4))
    assert x.abs().max() <= 1
    power = torch.fft.rfft2(x).abs()[:64, :64] ** 2
    rows, cols = torch.meshgrid(torch.arange(64), torch.arange(64), indexing="ij")
    radius = torch.maximum(rows, cols)
    bands = [power[(radius >= 2**k) & (radius < 2 ** (k + 1))].mean() for k in range(1, 6)]
    assert all(fine < coarse for coarse, fine in zip(bands, bands[1:], strict=False))


def test_one_octave_is_the_noise_itself_and_too_many_are_refused():
    assert torch.equal(rules.fractal_noise(32, 4, 1, seeded(5)), rules.gradient_noise(32, 4, seeded(5)))
    with pytest.raises(ValueError, match="octaves"):
        rules.fractal_noise(32, 4, 4, seeded())
    with pytest.raises(ValueError, match="lattice"):
        rules.value_noise(8, 9, seeded())


# ------------------------------------------------------------------------------------------ quilting


def cheapest(E: torch.Tensor) -> float:
    height, width = E.shape
    paths = product(range(width), repeat=height)
    legal = (p for p in paths if all(abs(a - b) <= 1 for a, b in zip(p, p[1:], strict=False)))
    return min(sum(E[i, j].item() for i, j in enumerate(path)) for path in legal)


@pytest.mark.parametrize("shape", [(5, 4), (4, 5), (1, 4), (4, 1), (6, 2)])
def test_the_seam_is_as_cheap_as_the_best_of_all_paths(shape):
    for seed in range(5):
        E = torch.rand(shape, generator=seeded(seed), dtype=torch.float64)
        seam = texture.min_error_seam(E)
        assert seam.diff().abs().le(1).all() and ((seam >= 0) & (seam < shape[1])).all()
        assert E[torch.arange(shape[0]), seam].sum().item() == pytest.approx(cheapest(E))


def test_the_seam_looks_ahead_where_a_greedy_walk_would_not():
    E = [[0.0, 1.0, 1.0], [9.0, 9.0, 0.0], [9.0, 9.0, 0.0]]
    assert texture.min_error_seam(E).tolist() == [1, 2, 2]
    with pytest.raises(ValueError, match="NaN"):
        texture.min_error_seam([[float("nan")]])


def test_distances_by_fft_equal_distances_by_loops():
    source, patch = picture(3, 13, 17).numpy(), picture(3, 4, 5, seed=1).numpy()
    mask = (torch.rand(4, 5, generator=seeded(2)) < 0.6).numpy()
    slow = torch.empty(10, 13)
    for i, j in product(range(10), range(13)):
        slow[i, j] = float((((source[:, i : i + 4, j : j + 5] - patch) ** 2) * mask).sum())
    assert_close(torch.from_numpy(texture.PatchDistance(source)(patch, mask)).float(), slow)


@pytest.mark.parametrize("join", ["seam", "overlap", "random"])
def test_every_pixel_of_a_quilt_is_a_pixel_of_the_source(join):
    x = picture(3, 24, 30)
    y = texture.quilt(x, (37, 53), 10, 3, seeded(), join=join)
    assert y.shape == (3, 37, 53) and y.dtype == x.dtype
    known = {tuple(p) for p in x.flatten(1).T.tolist()}
    assert {tuple(p) for p in y.flatten(1).T.tolist()} <= known
    assert torch.equal(y, texture.quilt(x, (37, 53), 10, 3, seeded(), join=join))


def test_a_periodic_texture_is_continued_without_an_error():
    x = picture(1, 6, 8).repeat(1, 5, 4)
    y = texture.quilt(x, 50, 14, 4, seeded(), tolerance=0)
    assert_close(y[:, 6:], y[:, :-6])
    assert_close(y[:, :, 8:], y[:, :, :-8])


def test_tolerance_keeps_the_quilt_from_copying_the_source():
    x = torch.randperm(10 * 200, generator=seeded()).view(1, 10, 200) / 2000  # a pixel tells where it is from
    place = torch.empty(2000, dtype=torch.long)
    place[(x.flatten() * 2000).round().long()] = torch.arange(2000)

    def breaks(tolerance: float) -> int:
        y = texture.quilt(x, (10, 38), 10, 3, seeded(1), tolerance=tolerance)
        return (place[(y[0] * 2000).round().long()].diff(dim=1) != 1).sum().item()

    assert breaks(0.0) == 0  # what follows in the source always fits best
    assert breaks(0.1) >= 3 * 10


def test_a_flat_texture_stays_flat():
    assert (texture.quilt(torch.full((1, 12, 12), 0.5), 30, 6, 2, seeded()) == 0.5).all()


@pytest.mark.parametrize(
    "change, message",
    [
        (dict(block=40), "block=40"),
        (dict(overlap=0), "overlap=0"),
        (dict(overlap=7), "overlap=7"),
        (dict(texture=torch.zeros(1, 1, 20, 20)), "one texture"),
        (dict(join="glue"), "seam"),
    ],
)
def test_a_wrong_quilt_says_what_is_wrong(change, message):
    good = dict(texture=torch.zeros(1, 20, 20), size=30, block=10, overlap=3, generator=seeded())
    with pytest.raises(ValueError, match=message):
        texture.quilt(**(good | change))


# --------------------------------------------------------------------------------------------- faces


def ink_centre(face: drawing.Face, other: drawing.Face, size: int = 64) -> tuple[float, float]:
    """Row and column of the centre of what changed between two faces, in [0, 1]."""
    change = (drawing.draw_face(face, size) - drawing.draw_face(other, size)).abs().sum(0)
    assert change.max() > 0.2, "nothing changed"
    axis = (torch.arange(size) + 0.5) / size
    return (change.sum(1) @ axis / change.sum()).item(), (change.sum(0) @ axis / change.sum()).item()


def test_a_seed_decides_the_face_and_faces_differ():
    same = [drawing.random_face(seeded(7)) for _ in range(2)]
    assert same[0] == same[1]
    g = seeded()
    assert len({drawing.random_face(g) for _ in range(50)}) == 50


@pytest.mark.parametrize("hair", drawing.HAIR)
def test_every_hair_gives_a_finite_picture_in_range(hair):
    x = drawing.draw_face(drawing.Face(hair=hair), 48)
    assert x.shape == (3, 48, 48) and x.dtype == torch.float32 and x.isfinite().all() and x.abs().max() <= 1


@pytest.mark.parametrize(
    "change, rows",
    [
        (dict(smile=-1.0), (0.6, 0.8)),
        (dict(open=1.0), (0.6, 0.8)),
        (dict(brow=1.0), (0.35, 0.52)),
        (dict(gaze=1.0), (0.5, 0.6)),
        (dict(eyes="happy"), (0.45, 0.62)),
        (dict(glasses="sun"), (0.45, 0.65)),
        (dict(blush=1.0), (0.58, 0.72)),
        (dict(freckles=True), (0.58, 0.72)),
        (dict(hair="bald"), (0.0, 0.5)),
        (dict(hair_colour="pink"), (0.0, 0.5)),
        (dict(shirt="red"), (0.85, 1.0)),
    ],
)
def test_a_parameter_changes_its_own_part_of_the_face(change, rows):
    plain = drawing.Face(blush=0.0)
    row, column = ink_centre(plain, replace(plain, **change))
    assert rows[0] <= row <= rows[1] and 0.4 < column < 0.6


def test_a_smile_turns_the_corners_of_the_mouth_up():
    def corners_minus_middle(smile: float) -> float:
        x = drawing.draw_face(drawing.Face(smile=smile, blush=0.0), 128).mean(0)
        lips = (x < -0.2).float()[78:108]
        height = (lips * torch.arange(30)[:, None]).sum(0) / lips.sum(0).clamp(min=1)
        return (height[64 - 5 : 64 + 5].mean() - height[56 - 4 : 56].mean()).item()

    assert corners_minus_middle(1.0) > 1 > -1 > corners_minus_middle(-1.0)


def test_the_drawing_is_the_same_at_every_size():
    face = drawing.random_face(seeded(3))
    small, big = drawing.draw_face(face, 64), drawing.draw_face(face, 192)
    shrunk = torch.nn.functional.avg_pool2d(big, 3)
    assert (small - shrunk).abs().mean() < 0.03


def test_an_unknown_name_lists_the_known_ones():
    with pytest.raises(ValueError, match="curly"):
        drawing.Face(hair="mullet")
    with pytest.raises(ValueError, match="8"):
        drawing.draw_face(drawing.Face(), 4)
