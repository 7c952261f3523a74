"""Scores agree with independent references and behave at the limits."""

import numpy as np
import pytest
import scipy.linalg
import torch
from torch.testing import assert_close
from torchmetrics.image.kid import poly_mmd

from genimg_lib import metrics


def clouds(n=300, m=200, d=8):
    g = torch.Generator().manual_seed(0)
    mix = torch.randn(d, d, generator=g)
    return torch.randn(n, d, generator=g) @ mix, torch.randn(m, d, generator=g) * 1.5 + 0.3


def test_frechet_distance_agrees_with_scipys_matrix_root():
    a, b = (x.double().numpy() for x in clouds())
    ca, cb = np.cov(a, rowvar=False), np.cov(b, rowvar=False)
    root = scipy.linalg.sqrtm(ca @ cb).real
    want = ((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(ca + cb - 2 * root)
    assert_close(metrics.frechet_distance(*clouds()).item(), want, rtol=1e-8, atol=0)


def test_frechet_distance_of_shifted_and_scaled_gaussians_is_the_formula():
    x = torch.randn(5_000, 3, generator=torch.Generator().manual_seed(1))
    assert metrics.frechet_distance(x, x).abs() < 1e-9
    assert_close(metrics.frechet_distance(x, x + 2).item(), 12.0)
    spread = x.double().var(0).sum().item()
    assert_close(metrics.frechet_distance(x, (x - x.mean(0)) * 3 + x.mean(0)).item(), 4 * spread, rtol=1e-5, atol=0)


def test_frechet_distance_takes_fewer_samples_than_dimensions():
    a, b = torch.randn(2, 20, 64, generator=torch.Generator().manual_seed(2)).unbind()
    ca, cb = (np.cov(x.double().numpy(), rowvar=False) for x in (a, b))
    root = np.sqrt(np.clip(np.linalg.eigvals(ca @ cb).real, 0, None)).sum()
    want = (a - b).double().mean(0).square().sum().item() + np.trace(ca) + np.trace(cb) - 2 * root
    assert_close(metrics.frechet_distance(a, b).item(), want, rtol=1e-5, atol=0)


def test_frechet_distance_refuses_clouds_that_do_not_match():
    with pytest.raises(ValueError, match=r"expected two clouds .* got \(5, 3\)"):
        metrics.frechet_distance(torch.zeros(5, 3), torch.zeros(5, 4))


def test_kid_agrees_with_torchmetrics():
    a, b = (x[:200].double() for x in clouds())
    k = [(x @ y.T / 8 + 1) ** 3 for x, y in ((a, a), (a, b), (b, b))]
    assert_close(metrics.kid(a, b), poly_mmd_reference(*k))
    assert_close(metrics.kid(a, b), torchmetrics_kid(a, b))


def poly_mmd_reference(kaa, kab, kbb):
    """The same estimate, term by term."""
    n = len(kaa)
    off = ~torch.eye(n, dtype=torch.bool)
    return kaa[off].sum() / (n * (n - 1)) + kbb[off].sum() / (n * (n - 1)) - 2 * kab.mean()


def torchmetrics_kid(a, b):
    return poly_mmd(a, b, degree=3, gamma=None, coef=1.0)


def test_kid_is_unbiased_where_frechet_is_not():
    g = torch.Generator().manual_seed(3)
    pairs = [torch.randn(2, 50, 6, generator=g).unbind() for _ in range(400)]
    kids = torch.stack([metrics.kid(a, b) for a, b in pairs])
    assert kids.mean().abs() < 3 * kids.std() / 20  # zero within three standard errors
    assert min(metrics.frechet_distance(a, b) for a, b in pairs[:50]) > 0.1  # never near its true value, zero


def test_coverage_and_precision_see_a_dropped_mode():
    g = torch.Generator().manual_seed(4)
    real = torch.randn(400, 2, generator=g) + torch.where(torch.arange(400) < 200, -20.0, 20.0)[:, None]
    one_mode = torch.randn(400, 2, generator=g) + 20
    assert metrics.coverage(real, real) == 1
    assert 0.4 < metrics.coverage(real, one_mode) <= 0.5
    precision, recall = metrics.precision_recall(real, one_mode)
    assert precision > 0.9 and recall < 0.55


def test_precision_counts_no_point_as_its_own_neighbour():
    line = torch.arange(10.0)[:, None]
    assert metrics.kth_radius(line, 1).tolist() == [1.0] * 10
    assert metrics.precision_recall(line, line + 0.9, k=1)[0] == 1.0
    assert metrics.precision_recall(line, line + 100, k=1) == (0.0, 0.0)


@pytest.mark.parametrize("space", metrics.SPACES)
def test_features_are_scaled_to_the_reals_and_see_blur_and_noise(space):
    g = torch.Generator().manual_seed(5)
    x = torch.nn.functional.interpolate(torch.rand(600, 3, 8, 8, generator=g) * 2 - 1, size=32)
    real, held_out = x[:300], x[300:]
    features = metrics.Features(real, space)
    assert_close(features(real).var(0).sum().item(), 100.0, rtol=1e-3, atol=0)
    floor = metrics.frechet(real, held_out, space)
    blurred = torch.nn.functional.avg_pool2d(held_out, 17, 1, 8)
    assert metrics.frechet(real, blurred, space) > 1.5 * floor
    assert metrics.frechet(real, held_out * 0, space) > 1.5 * floor


def test_features_know_their_spaces():
    with pytest.raises(ValueError, match="expected a feature space"):
        metrics.Features(torch.zeros(4, 1, 8, 8), "inception")


def test_nearest_finds_the_copy():
    pool = torch.randn(20, 1, 4, 4, generator=torch.Generator().manual_seed(6))
    distance, index = metrics.nearest(pool[[7, 3]] + 1e-4, pool)
    assert index.tolist() == [7, 3] and distance.max() < 1e-2


def test_the_classifier_learns_what_is_there_to_see():
    from genimg_lib.train import train

    g = torch.Generator().manual_seed(7)
    y = torch.randint(0, 3, (256, 2), generator=g)
    x = torch.randn(256, 1, 8, 8, generator=g) * 0.1
    x[:, 0, :, :4] += (y[:, 0, None, None] - 1) * 0.5
    x[:, 0, :, 4:] += (y[:, 1, None, None] - 1) * 0.5
    torch.manual_seed(0)
    classifier = metrics.Classifier((1, 8, 8), (3, 3))
    _, ema = train(classifier, x, y, steps=60, batch=64, lr=2e-3, ema_decay=0.9, threads=1)
    accuracy = metrics.attribute_accuracy(ema, x, y, ("left", "right"))
    assert set(accuracy) == {"left", "right"} and min(accuracy.values()) > 0.95


def smooth(n, seed, size=12):
    g = torch.Generator().manual_seed(seed)
    return torch.nn.functional.interpolate(torch.rand(n, 3, 4, 4, generator=g) * 2 - 1, size=size, mode="bilinear")


def test_a_moved_or_mirrored_copy_is_found():
    pool = smooth(40, 8)
    wide = torch.nn.functional.pad(pool[[7, 3]], (2,) * 4, mode="replicate")
    moved = torch.stack([wide[0].flip(-1)[:, 1:13, 4:16], wide[1][:, 4:16, 1:13]])
    plain, found = metrics.nearest(moved, pool)[0], metrics.nearest_moved(moved, pool)
    assert found[1].tolist() == [7, 3]
    assert (found[0] < 0.5 * plain).all()  # what differs is the border, where pixels were lost
    whole = metrics.nearest_moved(pool.flip(-1), pool, reach=0)
    assert whole[1].tolist() == list(range(40)) and whole[0].max() < 1e-3


def test_the_moved_search_is_the_least_over_every_move():
    x, pool = smooth(5, 9), smooth(30, 10)  # fewer pictures than components: the search in them is exact
    ways = []
    for way in (x, x.flip(-1)):
        wide = torch.nn.functional.pad(way, (1,) * 4, mode="replicate")
        ways += [wide[..., i : i + 12, j : j + 12] for i in range(3) for j in range(3)]
    want = torch.stack([torch.cdist(way.flatten(1), pool.flatten(1)).amin(1) for way in ways]).amin(0)
    assert_close(metrics.nearest_moved(x, pool, reach=1)[0], want, rtol=1e-4, atol=1e-4)


def test_the_copy_ratio_is_low_for_copies_alone():
    train, held_out, fresh = smooth(120, 11), smooth(120, 12), smooth(120, 13)
    thief = train[:60] + 0.02 * smooth(60, 14)
    assert metrics.copy_ratio(thief, train, held_out).max() < 0.3
    honest = metrics.copy_ratio(fresh, train, held_out)
    assert honest.min() > 0.4 and 0.8 < honest.median() < 1.2
    mirrored = thief.flip(-1)
    assert metrics.copy_ratio(mirrored, train, held_out).median() > 0.8
    assert metrics.copy_ratio(mirrored, train, held_out, metrics.nearest_moved).max() < 0.3


@pytest.mark.parametrize("hits, n", [(0, 300), (3, 24), (12, 24), (24, 24), (1, 1)])
def test_the_interval_of_a_share_is_scipys(hits, n):
    from scipy.stats import binomtest

    want = binomtest(hits, n).proportion_ci(method="wilson")
    assert_close(metrics.interval(hits, n), (want.low, want.high), rtol=1e-3, atol=1e-9)


def test_the_interval_refuses_impossible_counts():
    for hits, n in ((5, 4), (-1, 4), (0, 0)):
        with pytest.raises(ValueError, match="expected 0 <= hits <= n"):
            metrics.interval(hits, n)


def test_the_bootstrap_knows_the_error_of_a_difference_of_means():
    g = torch.Generator().manual_seed(15)
    a, b = torch.randn(400, 1, generator=g) * 2, torch.randn(100, 1, generator=g) + 3

    def apart(x, y):
        return y.mean() - x.mean()

    value, error = metrics.bootstrap(apart, a, b, n=300)
    assert_close(value, apart(a, b).item())
    assert_close(error, (4 / 400 + 1 / 100) ** 0.5, rtol=0.2, atol=0)
    assert metrics.bootstrap(apart, a, b, n=300) == (value, error)
