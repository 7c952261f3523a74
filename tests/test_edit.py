"""Editing: known pixels stay, projections project, means win in squared error, statistics are the ones asked for."""

import math

import numpy as np
import pytest
import torch
from skimage.metrics import peak_signal_noise_ratio
from torch.testing import assert_close

from genimg_lib import edit, restore, style
from genimg_lib.diffusion import cosine, ddpm, heun, linear


class Pixels:
    """An exact denoiser of Gaussian pictures of two pixels, correlated 0.9, with deviation 0.3."""

    cov = 0.09 * torch.tensor([[1.0, 0.9], [0.9, 1.0]])

    def __init__(self, path):
        self.path = path

    def eval(self):
        return self

    def guess(self, y=None):
        def exact(x_t, t):
            a, s = self.path.alpha(t[0]), self.path.sigma(t[0])
            return x_t @ (a * self.cov @ torch.linalg.inv(a**2 * self.cov + s**2 * torch.eye(2))).mT

        return exact


# --- masks


def test_masks_hide_what_they_say():
    centre = edit.centre_mask(20, 30, 0.5)
    assert (~centre).sum() == 10 * 15 and not centre[5:15, 8:22].any()
    for side, kept in (("left", np.s_[:, :15]), ("right", np.s_[:, 15:]), ("top", np.s_[:10]), ("bottom", np.s_[10:])):
        half = edit.half_mask(20, 30, side)
        assert half[kept].all() and half.sum() == 300
    strokes = [edit.stroke_mask(20, 30, torch.Generator().manual_seed(seed)) for seed in (0, 0, 1)]
    assert torch.equal(strokes[0], strokes[1]) and not torch.equal(strokes[0], strokes[2])
    assert 0 < (~strokes[0]).sum() < 300
    with pytest.raises(ValueError, match="left, right, top, bottom"):
        edit.half_mask(4, 4, "middle")


def test_cutting_out_keeps_the_white_of_an_eye():
    x = torch.ones(2, 3, 16, 16)
    x[:, :, 4:12, 4:12] = -1
    x[:, :, 7:9, 7:9] = 1  # white, and no way to the border
    x[1, :, 4:8, 7] = 1  # but here there is one
    drawn = edit.cut_out(x)
    assert drawn.shape == (2, 1, 16, 16) and drawn[0].sum() == 64 and drawn[1].sum() == 64 - 4 - 3
    assert not edit.cut_out(torch.ones(1, 3, 5, 5)).any() and edit.cut_out(-torch.ones(1, 3, 5, 5)).all()


@pytest.mark.parametrize("fill", [edit.biharmonic, edit.exemplar_fill, lambda x, m: edit.inpaint(Pixels(linear), x, m)])
def test_masks_that_do_not_fit_are_refused(fill):
    x = torch.zeros(3, 16, 16)
    for mask, why in ((torch.ones(16, 16), "bool"), (torch.ones(8, 8, dtype=torch.bool), "sides"),
                      (torch.zeros(16, 16, dtype=torch.bool), "nothing is known")):  # fmt: skip
        with pytest.raises(ValueError, match=why):
            fill(x, mask)


# --- holes without a model


def test_the_smooth_filling_continues_a_plane():
    x = torch.stack(torch.meshgrid(torch.linspace(-1, 1, 16), torch.linspace(-1, 1, 16), indexing="ij"))
    known = edit.centre_mask(16, 16, 0.4)
    filled = edit.biharmonic(x, known)
    assert torch.equal(filled[:, known], x[:, known])
    assert_close(filled, x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("calm", [0.0, 0.05])
def test_copying_restores_a_periodic_pattern(calm):
    i, j = torch.meshgrid(torch.arange(40), torch.arange(48), indexing="ij")
    x = torch.stack([torch.sin(2 * math.pi * i / 8), torch.cos(2 * math.pi * j / 8)])
    known = edit.centre_mask(40, 48, 0.25)
    filled = edit.exemplar_fill(x, known, 11, calm=calm)
    assert torch.equal(filled[:, known], x[:, known])
    if not calm:
        assert_close(filled, x, atol=1e-5, rtol=0)
    values = set(map(tuple, x.flatten(1).T.tolist()))
    assert set(map(tuple, filled.flatten(1).T.tolist())) <= values  # nothing is mixed


def test_copying_stays_within_reach():
    x = torch.zeros(1, 30, 60)
    x[..., 30:] = 0.5
    x += torch.rand(x.shape, generator=torch.Generator().manual_seed(0)) * 0.01
    known = torch.ones(30, 60, dtype=torch.bool)
    known[12:18, 8:14] = False
    assert (edit.exemplar_fill(x, known, 5, reach=10) < 0.1)[:, ~known].all()
    with pytest.raises(ValueError, match="odd patch"):
        edit.exemplar_fill(x, known, 4)
    with pytest.raises(ValueError, match="known as a whole"):
        edit.exemplar_fill(x, known, 31)


# --- holes with a model


@pytest.mark.parametrize("path", [linear, cosine, ddpm])
def test_going_back_up_gives_the_right_amount_of_picture_and_noise(path):
    torch.manual_seed(0)
    s, t = torch.full((20_000,), 0.3), torch.full((20_000,), 0.6)
    x_s = path.alpha(s)[:, None] * 0.7 + path.sigma(s)[:, None] * torch.randn(20_000, 1)
    x_t = edit.back_up(path, x_s, s, t)
    assert_close(x_t.mean(), 0.7 * path.alpha(t[0]), atol=0.02, rtol=0)
    assert_close(x_t.std(), path.sigma(t[0]), atol=0.02, rtol=0)


@pytest.mark.parametrize("path", [linear, cosine])
def test_resampling_makes_the_filling_hear_of_the_rest(path):
    """Given 0.6, the other pixel is N(0.54, 0.09·0.19): RePaint comes near with rounds, and not without."""
    torch.manual_seed(0)
    x, known = torch.tensor([0.6, 0.0]).expand(1_000, 1, 1, 2), torch.tensor([[True, False]])
    once, often = (edit.inpaint(Pixels(path), x, known, 60, rounds) for rounds in (1, 10))
    assert torch.equal(often[..., 0], x[..., 0])
    assert once[..., 1].mean() + 0.08 < often[..., 1].mean() < 0.58
    assert often[..., 1].mean() > 0.45


def test_what_is_seen_is_kept_and_the_rest_is_drawn():
    """The sum is known; the difference is N(0, 0.018) whatever the sum, and few ancestral steps vary it too little."""
    torch.manual_seed(0)
    known = torch.full((2_000, 1, 1, 1), 0.3)
    drawn = edit.null_space(
        Pixels(linear), known, lambda x: x.mean(-1, keepdim=True), lambda y: y.expand(-1, 1, 1, 2), 40
    )
    assert_close(drawn.mean(-1, keepdim=True), known, atol=1e-5, rtol=0)
    difference = drawn[..., 0] - drawn[..., 1]
    assert abs(difference.mean()) < 0.02 and 0.3 < difference.var() / 0.018 < 1.2


# --- noise


@pytest.mark.parametrize("path", [linear, cosine, ddpm])
def test_the_level_of_a_noise(path):
    for noise in (0.05, 0.5, 3.0):
        t = torch.tensor(edit.level_of(path, noise), dtype=torch.float64)
        assert_close((path.sigma(t) / path.alpha(t)).item(), noise, atol=1e-6, rtol=1e-6)
    with pytest.raises(ValueError, match="above 0"):
        edit.level_of(path, 0)


def test_the_deviation_of_the_noise_is_found_on_a_ramp_with_an_edge():
    torch.manual_seed(0)
    x = torch.linspace(-0.5, 0.5, 64).expand(3, 64, 64).clone()
    x[:, 30:] += 0.4
    assert edit.noise_of(x) < 1e-4
    assert_close(edit.noise_of(x + 0.2 * torch.randn_like(x)), 0.2, atol=0.01, rtol=0)


def test_one_step_is_the_mean_and_many_are_a_draw():
    """The mean has the least error; the steps' errors of a perfect draw are twice as large: 3 dB."""
    torch.manual_seed(0)
    model, noise = Pixels(linear), 0.3
    clean = (torch.randn(20_000, 2) @ torch.linalg.cholesky(model.cov).mT).view(-1, 1, 1, 2)
    noisy = clean + noise * torch.randn_like(clean)
    mean = edit.denoise(model, noisy, noise, 1)
    right = noisy @ torch.linalg.solve(model.cov + noise**2 * torch.eye(2), model.cov)
    assert_close(mean, right.clamp(-1, 1), atol=1e-4, rtol=0)
    draw = edit.denoise(model, noisy, noise, 40, heun)
    assert (mean - clean).square().mean() < 0.95 * (draw - clean).square().mean()


def test_a_sketch_is_kept_at_little_strength_and_forgotten_at_full():
    torch.manual_seed(0)
    x = torch.tensor([0.5, 0.4]).expand(500, 1, 1, 2)
    near, far = (edit.sdedit(Pixels(linear), x, strength, 20) for strength in (0.02, 1.0))
    assert (near - x).abs().mean() < 0.05 and abs(far.mean()) < 0.06
    with pytest.raises(ValueError, match="strength"):
        edit.sdedit(Pixels(linear), x, 0)


def test_psnr_agrees_with_scikit_image_and_ssim_of_itself_is_one():
    torch.manual_seed(0)
    x, y = torch.rand(2, 3, 3, 16, 16) * 2 - 1
    theirs = [peak_signal_noise_ratio(a.numpy(), b.numpy(), data_range=2) for a, b in zip(y, x, strict=True)]
    assert_close(edit.psnr(x, y), torch.tensor(theirs, dtype=torch.float32))
    assert_close(edit.ssim(x, x), torch.ones(3))
    assert (edit.ssim(x, y) < 0.5).all()


# --- restoring


def test_consistent_is_a_projection_onto_what_is_known():
    torch.manual_seed(0)
    x, small = torch.randn(2, 3, 16, 16), torch.randn(2, 3, 4, 4)
    fixed = restore.consistent(x, small)
    assert_close(restore.shrink(fixed), small)
    assert_close(restore.consistent(fixed, small), fixed)
    other = restore.consistent(torch.randn_like(x), small)
    assert (fixed - x).square().sum() <= (other - x).square().sum()  # the nearest one
    assert_close(restore.shrink(restore.repeat(small)), small)


def test_line_art_is_white_on_flat_and_dark_at_edges():
    x = torch.full((1, 3, 8, 8), -0.5)
    assert (restore.line_art(x) == 1).all()
    x[..., 4:] = 0.9
    lines = restore.line_art(x)
    assert (lines[..., 3] < -0.5).all() and (lines[..., :3] == 1).all() and (lines[..., 4:] == 1).all()


@pytest.mark.parametrize("exact", [True, False])
def test_a_restorer_sees_what_is_known(exact):
    torch.manual_seed(0)
    model = restore.Restorer(16, restore.shrink, exact=exact, width=8)
    known, noise = torch.rand(2, 3, 4, 4) - 0.5, torch.randn(2, 3, 16, 16)
    first, other = model.restore(known, 2, noise), model.restore(known.flip(0), 2, noise)
    assert first.shape == (2, 3, 16, 16) and not torch.equal(first, other)
    if exact:
        x_t, t = torch.randn(2, 3, 16, 16), torch.full((2,), 0.5)
        assert_close(restore.shrink(model.predict(x_t, t, known)), known, atol=1e-5, rtol=1e-5)
    x = torch.rand(5, 3, 16, 16) * 2 - 1
    assert model.prepare(x) is x
    assert_close(model.examples[:5], restore.shrink(x))


def test_a_silent_net_gives_what_is_known_enlarged_smoothly():
    torch.manual_seed(0)
    model = restore.Restorer(16, restore.line_art, width=8)
    for last in (model.net.leave[2].weight, model.net.leave[2].bias):
        torch.nn.init.zeros_(last)
    lines, x_t = torch.rand(2, 1, 16, 16) * 2 - 1, torch.randn(2, 3, 16, 16)
    assert_close(model.predict(x_t, torch.ones(2), lines), lines.expand(-1, 3, -1, -1))


# --- style


def test_a_gram_matrix_forgets_the_places_and_matches_a_loop():
    torch.manual_seed(0)
    f = torch.randn(2, 4, 5, 6)
    mixed = f.flatten(2)[..., torch.randperm(30)].view_as(f)
    assert_close(style.gram(mixed), style.gram(f))
    assert_close(style.gram(f)[1, 2, 3], (f[1, 2] * f[1, 3]).sum() / 120)


def test_adain_gives_the_statistics_of_the_style():
    torch.manual_seed(0)
    content, other = torch.randn(1, 4, 9, 9), 3 * torch.randn(1, 4, 5, 7) + 2
    out = style.adain(content, other)
    assert_close(out.mean((2, 3)), other.mean((2, 3)), atol=1e-4, rtol=1e-4)
    assert_close(out.std((2, 3), unbiased=False), other.std((2, 3), unbiased=False), atol=1e-3, rtol=1e-3)
    order = content[0, 0].flatten().argsort()
    assert torch.equal(out[0, 0].flatten().argsort(), order)  # the layout is the content's


def test_colours_are_handed_on_with_their_covariance():
    torch.manual_seed(0)
    content, other = torch.rand(1, 3, 16, 20) - 0.5, 0.2 * torch.randn(1, 3, 30, 30) + 0.1
    other[:, 1] += other[:, 0]
    got = style.colours_of(other, content)
    assert got.shape == content.shape
    for statistic in (lambda x: x.mean(1), torch.cov):
        assert_close(statistic(got.flatten(2)[0]), statistic(other.flatten(2)[0]), atol=1e-2, rtol=0)
    assert_close(style.colours_of(content, content), content, atol=1e-5, rtol=0)


def test_random_features_are_the_same_each_time_and_see_several_scales():
    x = torch.rand(1, 3, 64, 64)
    maps, again = style.RandomFeatures(levels=3, width=8)(x), style.RandomFeatures(levels=3, width=8)(x)
    assert len(maps) == 6 and all(torch.equal(a, b) for a, b in zip(maps, again, strict=True))
    assert [m.shape[-1] for m in maps] == [64, 32, 32, 16, 16, 8]


def test_gatys_comes_nearer_to_the_style_and_strength_0_is_the_content():
    torch.manual_seed(0)
    content, other = torch.rand(1, 3, 32, 32) * 0.2, (torch.rand(1, 3, 40, 40) > 0.5).float() * 2 - 1
    net, far = style.RandomFeatures(levels=2, width=8), []
    made = style.gatys(content, other, net, steps=15, watch=lambda step, loss: far.append(loss))
    assert abs(far[0] - 1) < 1e-4 and far[-1] < 0.5 and made.abs().max() <= 1  # 1 is where it starts
    assert torch.equal(style.gatys(content, other, net, strength=0), content)
    wide = torch.rand(1, 3, 80, 40)  # has more levels than the style
    assert style.gatys(wide, other, style.RandomFeatures(levels=3, width=8), steps=1).shape == wide.shape
    with pytest.raises(ValueError, match="two pictures"):
        style.gatys(content[0], other, net)


def test_the_autoencoder_learns_its_pictures_and_adain_strength_0_is_a_round_trip():
    torch.manual_seed(0)
    x = torch.rand(3, 1, 1).expand(3, 64, 66).clone()
    x[:, ::2] = -0.5
    net = style.train_autoencoder([x], steps=40, side=32, batch=4)
    assert (net.decode(net(x[None, :, :, :64])[-1]) - x[:, :, :64]).abs().mean() < 0.5 * (x - x.mean()).abs().mean()
    assert style.adain_transfer(net, x[None], x[None]).shape == (1, 3, 64, 64)
    with pytest.raises(ValueError, match="at least 64"):
        style.train_autoencoder([x[:, :40]])


def test_vgg_without_torchvision_says_what_to_do(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "torchvision.models", None)
    with pytest.raises(ImportError, match="RandomFeatures"):
        style.vgg_features()
