"""Texture synthesis by image quilting (Efros & Freeman 2001): a big texture sewn from patches of a small one.

Blocks are laid in raster order, overlapping. Each is chosen among the source's patches that agree best with
what already lies there, and the two are joined along the path where they differ least.
"""

import numpy as np
import torch
from torch import Tensor


def min_error_seam(E) -> Tensor:
    """The cheapest top-to-bottom path through E, one column a row, neighbours at most one column apart.

    M[i, j] = E[i, j] + min(M[i−1, j−1], M[i−1, j], M[i−1, j+1]), then back from the smallest M of the last
    row: O(H·W) instead of trying all of the about W·3^(H−1) paths. E: (H, W), not NaN. Returns int64 (H,);
    of tied paths the one ending furthest left.
    """
    E = np.asarray(E, dtype=np.float64)
    if E.ndim != 2 or E.size == 0 or np.isnan(E).any():
        raise ValueError(f"expected errors (H, W) without NaN, got shape {E.shape}")
    height, width = E.shape
    M = np.full((height, width + 2), np.inf)  # a wall on either side
    M[0, 1:-1] = E[0]
    for i in range(1, height):
        above = M[i - 1]
        M[i, 1:-1] = E[i] + np.minimum(np.minimum(above[:-2], above[1:-1]), above[2:])
    seam = np.empty(height, dtype=np.int64)
    seam[-1] = M[-1].argmin()
    for i in range(height - 2, -1, -1):
        seam[i] = seam[i + 1] - 1 + M[i, seam[i + 1] - 1 : seam[i + 1] + 2].argmin()
    return torch.from_numpy(seam - 1)


class PatchDistance:
    """Squared distance of one patch to every patch of a source, by FFT.

    SSD(i, j) = sum_p mask(p) (source(p + (i, j)) − patch(p))²
              = mask ⋆ source² − 2 (mask · patch) ⋆ source + sum(mask · patch²)
    and each ⋆ (correlation) is a product of spectra: O(N log N) for a source of N pixels, whatever the size
    of the patch. source: array (C, H, W).
    """

    def __init__(self, source: np.ndarray):
        self.shape = source.shape[-2:]
        source = np.asarray(source, dtype=np.float64)
        self.spectrum = np.fft.rfft2(source)
        self.square = np.fft.rfft2((source**2).sum(0))
        self.known = {}

    def __call__(self, patch: np.ndarray, mask: np.ndarray) -> np.ndarray:
        """patch: (C, h, w), mask: (h, w) of 0 and 1; returns (H − h + 1, W − w + 1)."""
        h, w = mask.shape
        mask = mask.astype(np.float64)
        key = (h, w, mask.tobytes())
        if key not in self.known:  # quilting knows three masks only: left, top, both
            self.known[key] = self.square * np.fft.rfft2(mask, self.shape).conj()
        cross = (self.spectrum * np.fft.rfft2(patch * mask, self.shape).conj()).sum(0)
        ssd = np.fft.irfft2(self.known[key] - 2 * cross, self.shape) + (mask * patch**2).sum()
        return ssd[: self.shape[0] - h + 1, : self.shape[1] - w + 1].clip(min=0)  # beyond, it wraps around


def _choose(ssd: np.ndarray, tolerance: float, slack: float, generator: torch.Generator) -> tuple[int, int]:
    """One of the patches at most (1 + tolerance) times as far as the best one; slack is rounding error."""
    good = np.flatnonzero(ssd <= (1 + tolerance) * ssd.min() + slack)
    return divmod(int(good[torch.randint(len(good), (), generator=generator).item()]), ssd.shape[1])


def _without_what_follows(ssd: np.ndarray, follows: list[tuple[int, int]], near: int = 2) -> np.ndarray:
    """Distances with infinity at and around the patches that only continue a neighbour in the source.

    Nothing fits a piece better than what followed it, so they would win every time, and the quilt would be
    a copy of the source.
    """
    free = ssd.copy()
    for i, j in follows:
        free[max(i - near, 0) : i + near + 1, max(j - near, 0) : j + near + 1] = np.inf
    return free if np.isfinite(free).any() else ssd


def quilt(
    texture: Tensor,
    size: int | tuple[int, int],
    block: int,
    overlap: int,
    generator: torch.Generator,
    tolerance: float = 0.1,
    join: str = "seam",
) -> Tensor:
    """A texture of `size` pixels (an int, or height and width) sewn from blocks of `texture` (C, H, W).

    block: side of a block in pixels, about the size of the largest thing in the texture. overlap: pixels
    shared by neighbours, about block / 6. tolerance: 0.1 draws among the patches up to 10% worse than the
    best, leaving out those that only continue the source; 0 takes the best, whatever it is. join: "seam"
    cuts along the cheapest path, "overlap" lays well-fitting blocks edge to edge, "random" lays any block.
    Every output pixel is a pixel of the source.
    Returns (C, height, width). Raises ValueError for sizes that do not fit.
    """
    if texture.ndim != 3:
        raise ValueError(f"expected one texture (C, H, W), got {tuple(texture.shape)}; take one with texture[0]")
    if not 0 < overlap <= block // 2 or block > min(texture.shape[-2:]):
        raise ValueError(
            f"need 0 < overlap <= block / 2 and block <= the texture's sides, got block={block}, "
            f"overlap={overlap}, texture {tuple(texture.shape[-2:])}"
        )
    if join not in ("seam", "overlap", "random"):
        raise ValueError(f'join {join!r} is unknown; choose "seam", "overlap" or "random"')
    height, width = (size, size) if isinstance(size, int) else size
    source = texture.detach().cpu().numpy()
    distance, step, scale = PatchDistance(source), block - overlap, max(float((source**2).mean()), 1e-12)
    placed = {}  # where in the source each block is from
    down, across = (max(1, -(-(n - overlap) // step)) for n in (height, width))
    canvas = np.zeros((len(source), down * step + overlap, across * step + overlap), dtype=source.dtype)
    for row in range(down):
        for col in range(across):
            there = canvas[:, row * step : row * step + block, col * step : col * step + block]
            mask = np.zeros((block, block))
            mask[:, :overlap] = col > 0
            mask[:overlap] = np.maximum(mask[:overlap], row > 0)
            if join == "random" or not mask.any():
                ssd = np.zeros([n - block + 1 for n in source.shape[1:]])
            else:
                ssd = distance(there, mask)
            if tolerance > 0:
                left, above = placed.get((row, col - 1)), placed.get((row - 1, col))
                follows = [(left[0], left[1] + step)] if left else []
                follows += [(above[0] + step, above[1])] if above else []
                ssd = _without_what_follows(ssd, follows)
            i, j = placed[row, col] = _choose(ssd, tolerance, 1e-9 * scale * max(mask.sum(), 1), generator)
            new = source[:, i : i + block, j : j + block]
            take = np.ones((block, block), dtype=bool)
            error = ((new - there) ** 2).sum(0)
            if join == "seam" and col > 0:
                take &= np.arange(block) >= min_error_seam(error[:, :overlap]).numpy()[:, None]
            if join == "seam" and row > 0:
                take &= (np.arange(block) >= min_error_seam(error[:overlap].T).numpy()[:, None]).T
            there[:, take] = new[:, take]
    return torch.from_numpy(canvas[:, :height, :width].copy()).to(texture)
