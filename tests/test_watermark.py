"""The invisible mark: found where it is, not where it is not, with p-values that mean what they say."""

import numpy as np
import pytest
import torch
from torch.testing import assert_close

from genimg_lib import data, edit, watermark


@pytest.fixture(scope="module")
def photos():
    return data.load("photos", 128).x


def test_the_cosine_transform_is_scipys_and_has_an_inverse():
    from scipy.fft import dctn

    x = torch.randn(2, 3, 12, 20, generator=torch.Generator().manual_seed(0))
    want = dctn(x.double().numpy(), axes=(2, 3), norm="ortho")
    assert_close(watermark.frequencies(x).double(), torch.from_numpy(want), atol=1e-5, rtol=1e-5)
    assert_close(watermark.picture_of(watermark.frequencies(x)), x, atol=1e-5, rtol=1e-5)


def test_the_secret_is_the_keys_and_lies_in_the_band():
    secret = watermark.signs(3, (3, 64, 32))
    assert torch.equal(secret, watermark.signs(3, (3, 64, 32)))
    both = (secret != 0) & (watermark.signs(4, (3, 64, 32)) != 0)
    assert (both == (secret != 0)).all()  # the band is everybody's, the signs are not
    same = (secret == watermark.signs(4, (3, 64, 32)))[both].double().mean()
    assert 0.45 < same < 0.55 and set(secret.unique().tolist()) == {-1, 0, 1}
    assert secret[:, 0, 0].abs().sum() == 0 and secret[:, -1, -1].abs().sum() == 0


def test_p_values_are_binomial_tails():
    assert watermark.p_value(41, 48) == pytest.approx(3.1e-7, rel=0.02)  # the 48 bits of Stable Signature
    assert watermark.p_value(0, 10) == 1 and watermark.p_value(10, 10) == pytest.approx(2**-10)
    assert_close(torch.from_numpy(watermark.p_value(torch.tensor([5, 9]), 9)), torch.tensor([0.5, 2**-9]).double())
    assert watermark.p_value(10, 10, looks=100) == pytest.approx(100 * 2**-10) and watermark.p_value(5, 10, 9) == 1


def test_it_is_found_with_the_key_and_hard_to_see(photos):
    marked = watermark.embed(photos, key=7)
    assert marked.shape == photos.shape and marked.abs().max() <= 1
    assert (edit.psnr(marked, photos) > 36).all()
    assert (watermark.detect(marked, 7) < 1e-100).all()
    assert (watermark.detect(photos, 7) > 1e-3).all() and (watermark.detect(marked, 8) > 1e-3).all()
    assert watermark.detect(marked[0], 7) == watermark.detect(marked, 7)[0]  # one picture as well as many


def test_wrong_keys_give_uniform_p_values(photos):
    X = watermark.frequencies(photos[1, :, :64, :64])
    n = int(watermark.signs(0, X.shape).abs().sum())
    found = np.array([watermark.p_value(((X * watermark.signs(k, X.shape)) > 0).sum().item(), n) for k in range(600)])
    for level in (0.5, 0.1, 0.02):
        assert abs((found < level).mean() - level) < 4 * (level * (1 - level) / 600) ** 0.5


def test_no_frequency_moves_further_than_allowed(photos):
    x = 0.5 * photos  # so that nothing is clamped
    moved = watermark.frequencies(watermark.embed(x, 7, strength=0.05)) - watermark.frequencies(x)
    assert 0.1 < moved.abs().max() < 0.15 + 1e-4
    outside = watermark.signs(7, tuple(x.shape[1:])) == 0
    assert moved[:, outside].abs().max() < 1e-4


def test_what_it_survives_and_what_not(photos):
    marked = watermark.embed(photos, key=7)
    torch.manual_seed(0)
    survives = {
        "jpeg": watermark.jpeg(marked, 90),
        "noise": marked + 0.1 * torch.randn_like(marked),
        "small": edit.resize(edit.resize(marked, 64), 128),
    }
    for name, x in survives.items():
        assert (watermark.detect(x, 7) < 1e-6).all(), name
    for x in (marked.flip(3), edit.resize(marked[..., 6:-6, 6:-6], 128)):
        assert (watermark.detect(x, 7) > 1e-4).all()


@pytest.mark.parametrize("channels", [1, 3])
def test_jpeg_loses_more_at_a_lower_quality(photos, channels):
    x = photos[:, :channels]
    good, poor = watermark.jpeg(x, 95), watermark.jpeg(x, 10)
    assert good.shape == poor.shape == x.shape and good.dtype == torch.float32
    assert (edit.psnr(good, x) > edit.psnr(poor, x) + 3).all() and (edit.psnr(good, x) > 30).all()
