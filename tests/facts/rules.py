"""What the answers on transforms and textures state in numbers, computed."""

import math
from itertools import product

import numpy as np
import torch
import torch.nn.functional as F

from genimg_lib import rules
from genimg_lib.texture import min_error_seam


def hits(A, size=128):
    """How often each output pixel of the middle is hit when every input pixel is pushed to its rounded target."""
    row, col = torch.meshgrid(*(torch.arange(size, dtype=torch.float64),) * 2, indexing="ij")
    x, y, _ = (A @ torch.stack([col, row, torch.ones_like(row)]).flatten(1)).round().long()
    inside = (x >= 0) & (x < size) & (y >= 0) & (y < size)
    count = torch.bincount((y * size + x)[inside], minlength=size * size).view(size, size)
    return count[32:96, 32:96]


def q021():
    """Pushing leaves 36% holes when enlarging by 1.25, about 8% in a pure rotation; at least 1 − 1/det."""
    larger = hits(rules.about_centre(rules.rotation(20) @ rules.scaling(1.25), 128, 128))
    assert abs((larger == 0).double().mean() - 0.36) < 0.01 and abs(1 - 1 / 1.25**2 - 0.36) < 1e-12
    turned = hits(rules.rotation_about_centre(20, 128, 128))
    empty, twice = (turned == 0).double().mean(), (turned > 1).double().mean()
    assert abs(empty - 0.08) < 0.01 and abs(empty - twice) < 0.01
    doubled = hits(rules.scaling(2), 256)
    assert abs((doubled == 0).double().mean() - 0.75) < 1e-9


def q022():
    """T(c) R T(−c), written out; four quarter turns; the shift of a wrong centre is √2 |sin(theta / 2)| pixels."""
    height, width, degrees = 9, 14, 33.0
    C, S = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
    cx, cy = (width - 1) / 2, (height - 1) / 2
    written = torch.tensor([[C, -S, cx - C * cx + S * cy], [S, C, cy - S * cx - C * cy], [0, 0, 1]]).double()
    A = rules.rotation_about_centre(degrees, height, width)
    assert torch.allclose(A, written, atol=1e-6)
    centre = torch.tensor([cx, cy, 1]).double()
    assert torch.allclose(A @ centre, centre)
    assert torch.allclose(torch.linalg.inv(A), rules.rotation_about_centre(-degrees, height, width))
    picture = torch.rand(1, 8, 8)
    quarter = rules.rotation_about_centre(90, 8, 8)
    assert torch.allclose(torch.linalg.matrix_power(quarter, 4), torch.eye(3).double(), atol=1e-12)
    assert torch.equal(rules.affine_warp(picture, quarter), picture.rot90(-1, (1, 2)))
    for degrees, pixels in [(10, 0.12), (90, 1), (180, 1.41)]:
        R = rules.rotation(degrees)[:2, :2]
        shift = ((torch.eye(2).double() - R) @ torch.tensor([0.5, 0.5]).double()).norm().item()
        assert abs(shift - math.sqrt(2) * abs(math.sin(math.radians(degrees / 2)))) < 1e-12
        assert abs(shift - pixels) < 6e-3


def q023():
    """Stripes halved: skipping invents a constant, antialiasing says grey; bilinear reads 4 of 16; bicubic leaves."""
    stripes = torch.where(torch.arange(64) % 2 == 0, 1.0, -1.0).expand(1, 1, 64, 64)
    skipped = F.interpolate(stripes, (64, 32), mode="nearest")
    assert (skipped == 1).all()
    clean = F.interpolate(stripes, (64, 32), mode="bilinear", antialias=True)
    assert clean[..., 2:-2].abs().max() < 1e-6
    x = torch.rand(1, 1, 32, 32, requires_grad=True)
    F.interpolate(x, (8, 8), mode="bilinear", align_corners=False).sum().backward()
    assert abs((x.grad != 0).double().mean() - 4 / 16) < 1e-9
    edge = torch.where(torch.arange(8) < 4, -1.0, 1.0).expand(1, 1, 8, 8)
    assert F.interpolate(edge, 32, mode="bicubic", align_corners=False).abs().max() > 1.05
    assert F.interpolate(edge, 32, mode="bilinear", align_corners=False).abs().max() == 1
    third = torch.where(torch.arange(48) % 3 == 0, 1.0, -1.0)
    again = third[::2]  # period 3 skipped by 2 has period 3 in the small picture: 6 in the large one
    assert torch.equal(again[:-3], again[3:]) and not torch.equal(again[:-1], again[1:])


def q024():
    """The recursion finds the cheapest path, greedy does not; more than 10^30 paths against 1,280 cells."""
    rng = np.random.default_rng(0)
    for _ in range(20):
        E = rng.random((5, 4))
        best = min(
            sum(E[i, j] for i, j in enumerate(path))
            for path in product(range(4), repeat=5)
            if all(abs(a - b) <= 1 for a, b in zip(path, path[1:], strict=False))
        )
        seam = min_error_seam(E).numpy()
        assert abs(E[np.arange(5), seam].sum() - best) < 1e-12
    trap = np.array([[0, 1.0, 1], [9, 9, 0], [9, 9, 0]])  # greedy starts left at 0 and pays 9
    assert trap[np.arange(3), min_error_seam(trap).numpy()].sum() == 1
    paths = [1] * 20
    for _ in range(63):
        walled = [0, *paths, 0]
        paths = [sum(walled[j : j + 3]) for j in range(20)]
    assert sum(paths) > 10**29 and 64 * 20 == 1_280
    assert sum(paths) > 10**30


def q025():
    """A quarter turn with probability p maps orientations by a matrix with eigenvalues 1 and 1 − p: singular at 1."""
    for p in (0.3, 0.8, 1.0):
        T = (1 - p) * np.eye(4) + p / 4 * np.ones((4, 4))
        assert np.allclose(np.sort(np.linalg.eigvalsh(T)), [1 - p] * 3 + [1])
        upright, lying = np.eye(4)[:2]
        assert np.allclose(T @ upright, T @ lying) == (p == 1)
        assert (T @ upright).argmax() == 0
