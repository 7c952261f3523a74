"""Editing with what the models know: filling holes, removing noise, and the scores to judge it by.

Masks are bool, True where a pixel is known. Known pixels come back with the same bits.
"""

from collections.abc import Callable

import numpy as np
import torch
import torch.nn.functional as F
from scipy.ndimage import binary_propagation, generate_binary_structure
from torch import Tensor

from genimg_lib.diffusion import Diffusion, Path, Predict, add_noise, ancestral, heun, integrate, per_sample
from genimg_lib.texture import PatchDistance

# ------------------------------------------------------------------------------------------------ masks


def centre_mask(height: int, width: int, share: float = 0.5) -> Tensor:
    """Known but for a box in the middle with `share` of each side: bool (H, W)."""
    known = torch.ones(height, width, dtype=torch.bool)
    h, w = round(height * share), round(width * share)
    top, left = (height - h) // 2, (width - w) // 2
    known[top : top + h, left : left + w] = False
    return known


def half_mask(height: int, width: int, side: str = "left") -> Tensor:
    """Known on one side only, "left", "right", "top" or "bottom": bool (H, W)."""
    row, column = torch.arange(height)[:, None], torch.arange(width)[None]
    kept = {"left": column < width // 2, "right": column >= width // 2,
            "top": row < height // 2, "bottom": row >= height // 2}  # fmt: skip
    if side not in kept:
        raise ValueError(f"the side that stays is one of {', '.join(kept)}, not {side!r}")
    return kept[side].expand(height, width).clone()


def stroke_mask(height: int, width: int, generator: torch.Generator, strokes: int = 4, thick: float = 0.1) -> Tensor:
    """Known but for `strokes` straight scribbles across, `thick` of the shorter side wide: bool (H, W)."""
    place = torch.stack(torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij"), -1).float()
    known = torch.ones(height, width, dtype=torch.bool)
    for _ in range(strokes):
        a, b = torch.rand(2, 2, generator=generator) * torch.tensor([height - 1.0, width - 1.0])
        along = ((place - a) @ (b - a) / (b - a).square().sum().clamp(min=1e-9)).clamp(0, 1)
        known &= (place - a - along[..., None] * (b - a)).norm(dim=-1) > thick * min(height, width) / 2
    return known


def cut_out(x: Tensor, paper: float = 0.85) -> Tensor:
    """Where a drawing is, without the white paper around it: the white that reaches the border is paper, the white of
    an eye is not. x: (B, C, H, W); pixels whose channels all exceed `paper` count as white. Returns bool (B, 1, H, W).
    """
    white = x.amin(1) > paper
    border = white.clone()
    border[:, 1:-1, 1:-1] = False
    cross = generate_binary_structure(2, 1)[None]  # a pixel's four neighbours, within its own picture
    return ~torch.from_numpy(binary_propagation(border.numpy(), cross, white.numpy()))[:, None]


def _mask_for(x: Tensor, known: Tensor) -> Tensor:
    if known.dtype != torch.bool or known.shape[-2:] != x.shape[-2:]:
        raise ValueError(
            f"expected a bool mask with the picture's sides {tuple(x.shape[-2:])}, True where it is known; "
            f"got {str(known.dtype).removeprefix('torch.')} {tuple(known.shape)}"
        )
    if not known.any():
        raise ValueError("nothing is known of this picture: the mask covers all of it; leave some pixels")
    return known


# ------------------------------------------------------------------------------- holes, without a model


def biharmonic(x: Tensor, known: Tensor) -> Tensor:
    """Fills the hole with the smoothest surface that meets its edge: Δ² x = 0 in it, by scikit-image.

    x: (C, H, W), known: bool (H, W); returns (C, H, W).
    """
    from skimage.restoration import inpaint_biharmonic

    smooth = inpaint_biharmonic(x.movedim(0, -1).double().numpy(), (~_mask_for(x, known)).numpy(), channel_axis=-1)
    return torch.where(known, x, torch.from_numpy(smooth).movedim(-1, 0).to(x.dtype).clamp(-1, 1))


def exemplar_fill(x: Tensor, known: Tensor, patch: int = 9, reach: int | None = None, calm: float = 0.0) -> Tensor:
    """Fills the hole with patches copied from the known part, strong edges first   (Criminisi et al. 2004).

    Of all places on the hole's border the one with the highest priority is next: how much of its patch is known and
    trusted, times how strongly an edge runs into the hole there. The known patch that agrees best, by squared
    difference (`texture.PatchDistance`, by FFT), gives the missing pixels. With calm > 0, of all whose pixels differ by
    about `calm` at most, the one whose new pixels are nearest to the patch's mean colour: half a wall agrees too with
    the wall beside a flag, and a photograph would be filled with pieces of flag. A texture wants 0.
    x: (C, H, W), known: bool (H, W), patch: odd, in pixels; reach: how many pixels away a patch may come from, None for
    anywhere: what lies near is more likely the same thing. Every new pixel is a pixel of x. Returns (C, H, W).
    """
    half, source = patch // 2, x.detach().double().numpy()
    have = _mask_for(x, known).numpy().copy()
    whole = np.lib.stride_tricks.sliding_window_view(have, (patch, patch)).all((2, 3)) if _fits(x, patch) else None
    if whole is None or not whole.any():
        raise ValueError(f"no patch of {patch}×{patch} pixels is known as a whole; take a smaller patch, or hole")
    rows, columns = np.ogrid[: whole.shape[0], : whole.shape[1]]
    distance, canvas, trust = PatchDistance(source), np.where(have, source, 0.0), have.astype(float)
    while not have.all():
        row, column = _next_place(canvas.mean(0), have, trust, patch)
        top = min(max(row - half, 0), have.shape[0] - patch)
        left = min(max(column - half, 0), have.shape[1] - patch)
        window = np.s_[top : top + patch, left : left + patch]
        mine = have[window]
        distance.known.clear()  # masks never repeat here
        ssd = np.where(whole, distance(canvas[:, *window], mine), np.inf)
        if reach is not None:
            far = np.maximum(abs(rows - top), abs(columns - left)) > reach
            ssd = ssd if np.isinf(ssd[~far]).all() else np.where(far, np.inf, ssd)
        i, j = _choose(source, canvas[:, *window], mine, ssd, calm)
        canvas[:, *window] = np.where(mine, canvas[:, *window], source[:, i : i + patch, j : j + patch])
        trust[window] = np.where(mine, trust[window], trust[window].mean())
        have[window] = True
    return torch.where(known, x, torch.from_numpy(canvas).to(x.dtype))


def _choose(source: np.ndarray, patch: np.ndarray, mine: np.ndarray, ssd: np.ndarray, calm: float) -> tuple[int, int]:
    """The nearest patch, or the calmest of those nearly as near: its row and column in the source."""
    if not calm:
        return np.unravel_index(ssd.argmin(), ssd.shape)
    near = np.argwhere(ssd <= ssd.min() + calm**2 * mine.sum() * len(source))
    near = near[np.argsort(ssd[tuple(near.T)], kind="stable")[:200]]
    mean, side = patch[:, mine].mean(1, keepdims=True), len(mine)
    restless = [((source[:, i : i + side, j : j + side][:, ~mine] - mean) ** 2).sum() for i, j in near]
    return tuple(near[int(np.argmin(restless))])


def _fits(x: Tensor, patch: int) -> bool:
    if patch < 3 or patch % 2 == 0:
        raise ValueError(f"expected an odd patch of at least 3 pixels, got {patch}")
    return patch <= min(x.shape[-2:])


def _next_place(grey: np.ndarray, have: np.ndarray, trust: np.ndarray, patch: int) -> tuple[int, int]:
    """The place on the hole's border with the largest confidence · data term (Criminisi et al. 2004, eq. 1)."""
    from scipy.ndimage import binary_dilation, binary_erosion, maximum_filter, uniform_filter

    border = ~have & binary_dilation(have)
    inner = binary_erosion(have, np.ones((3, 3)), border_value=1)  # a gradient there uses known pixels only
    down, right = (g * inner for g in np.gradient(grey))
    size = np.hypot(down, right)
    strongest = (maximum_filter(size, patch) == size) & (size > 0)
    normal_down, normal_right = np.gradient(uniform_filter(have.astype(float), 3))
    length = np.maximum(np.hypot(normal_down, normal_right), 1e-9)
    places = np.argwhere(border)
    confidence = uniform_filter(trust, patch, mode="nearest")
    best, chosen = -1.0, tuple(places[0])
    for i, j in places:
        window = np.s_[max(i - patch // 2, 0) : i + patch // 2 + 1, max(j - patch // 2, 0) : j + patch // 2 + 1]
        peak = np.argmax(size[window] * strongest[window])
        gd, gr = down[window].flat[peak], right[window].flat[peak]
        edge = abs(-gr * normal_down[i, j] + gd * normal_right[i, j]) / length[i, j]  # along the edge, into the hole
        priority = confidence[i, j] * (edge + 0.1)
        if priority > best:
            best, chosen = priority, (int(i), int(j))
    return chosen


# ------------------------------------------------------------------------------------ holes, with a model


def back_up(path: Path, x_s: Tensor, s: Tensor, t: Tensor) -> Tensor:
    """Noise x_s from time s to t > s, so that it is distributed as x_t: (alpha_t/alpha_s) x_s + fresh noise.

    The fresh noise has the variance that is missing, sigma_t² − (alpha_t/alpha_s)² sigma_s². x_s: (B, ...); s, t: (B,).
    """
    s, t = per_sample(s, x_s), per_sample(t, x_s)
    ratio = path.alpha(t) / path.alpha(s)
    fresh = (path.sigma(t) ** 2 - (ratio * path.sigma(s)) ** 2).clamp(min=0).sqrt()
    return ratio * x_s + fresh * torch.randn_like(x_s)


def settle(path: Path, predict: Predict, x: Tensor, steps: int, rounds: int, pin: Callable | None = None) -> Tensor:
    """From noise x at t = 1 to a sample at t = 0, where each step from t to s is taken `rounds` times: down to s, back
    up to t, down again   (resampling; Lugmayr et al. 2022, alg. 1).

    What is known reaches the guess late; with every round the rest gets to hear of it. pin(x_s, s), if given, puts it
    in place after each step. The last step, to s = 0, is taken once. x: (B, ...); returns the same shape.
    """
    times = torch.linspace(1, 0, steps + 1, device=x.device)
    for t, s in zip(times, times[1:], strict=False):
        t, s = t.expand(len(x)), s.expand(len(x))
        for again in range(rounds if s.any() else 1):
            x = back_up(path, x, s, t) if again else x
            x = ancestral(path, predict, x, t, s)
            x = pin(x, s) if pin else x
    return x


@torch.no_grad()
def inpaint(
    model: Diffusion, x: Tensor, known: Tensor, steps: int = 20, rounds: int = 5, y: Tensor | None = None
) -> Tensor:
    """Fills holes by a diffusion model that was never trained for it   (RePaint; Lugmayr et al. 2022, alg. 1).

    After each step from t to s the known pixels, noised to level s, are put in place of the sample's own; and every
    step is taken `rounds` times (`settle`).
    x: (B, C, H, W) in [-1, 1]; known: bool, (H, W) or (B, 1, H, W); y: wishes (B, A) or None. Returns (B, C, H, W).
    """
    model.eval()
    known = _mask_for(x, known)

    def put_back(x_s: Tensor, s: Tensor) -> Tensor:
        return torch.where(known, add_noise(model.path, x, torch.randn_like(x), s), x_s)

    sample = settle(model.path, model.guess(y), torch.randn_like(x), steps, rounds, put_back)
    return torch.where(known, x, sample.clamp(-1, 1))


@torch.no_grad()
def null_space(
    model: Diffusion, known: Tensor, see: Callable, back: Callable, steps: int = 20, rounds: int = 3
) -> Tensor:
    """Draws pictures x with see(x) = known, for a linear `see`   (range and null space; Wang et al. 2023, alg. 1).

    Every guess of x0 is replaced by x0 + back(known − see(x0)), where `back` is the pseudo-inverse of `see`: what is
    seen becomes right, what is not seen stays the model's. Every step is taken `rounds` times (`settle`).
    known: (B, ...), back(known): (B, C, H, W). The result agrees with `known`; values may leave [-1, 1] slightly.
    """
    model.eval()
    guess = model.guess()

    def predict(x_t: Tensor, t: Tensor) -> Tensor:
        x0 = guess(x_t, t)
        return x0 + back(known - see(x0))

    return settle(model.path, predict, torch.randn_like(back(known)), steps, rounds)


# --------------------------------------------------------------------------------------------------- noise


def noise_of(x: Tensor) -> float:
    """The deviation of the noise in a picture (C, H, W): the median of what no smooth surface and no edge along an
    axis leaves, second differences both ways (the kernel of Immerkær 1996; its noise is 6 times as large)."""
    twice = x.diff(n=2, dim=-1).diff(n=2, dim=-2)
    return twice.abs().median().item() / 0.6745 / 6


def level_of(path: Path, noise: float) -> float:
    """The time t at which noise and signal stand as `noise` to 1: sigma(t) / alpha(t) = noise, by bisection."""
    if not 0 < noise < 100:
        raise ValueError(f"expected a deviation of the noise above 0, for pictures in [-1, 1], got {noise}")
    low, high = torch.tensor(0.0, dtype=torch.float64), torch.tensor(1.0, dtype=torch.float64)
    for _ in range(50):
        t = (low + high) / 2
        low, high = (t, high) if path.sigma(t) < noise * path.alpha(t) else (low, t)
    return t.item()


@torch.no_grad()
def descend(model: Diffusion, x_t: Tensor, t: float, steps: int = 8, y: Tensor | None = None, step=heun) -> Tensor:
    """The way down from time t to 0, in equal steps: x_t (B, C, H, W) -> pictures. One step is the mean guess."""
    model.eval()
    return integrate(model.path, model.guess(y), x_t, steps, step, start=t).clamp(-1, 1)


def denoise(model: Diffusion, noisy: Tensor, noise: float, steps: int = 8, step=heun) -> Tensor:
    """Removes Gaussian noise of deviation `noise`: the picture is already on the way down, at the noise's own level.

    y = x + noise·eps becomes alpha(t) y = alpha(t) x + sigma(t) eps, where sigma(t) / alpha(t) = noise. steps = 1 gives
    the mean of the pictures that may hide behind y, more steps one of them. noisy: (B, C, H, W), not clamped.
    """
    t = level_of(model.path, noise)
    return descend(model, model.path.alpha(torch.tensor(t)) * noisy, t, steps, step=step)


def sdedit(model: Diffusion, x: Tensor, strength: float, steps: int = 8, y: Tensor | None = None) -> Tensor:
    """From a sketch to a picture: noise it to t = strength, and walk down   (SDEdit; Meng et al. 2022, alg. 1).

    strength near 0 keeps the sketch, 1 forgets it. x: (B, C, H, W) in [-1, 1].
    """
    if not 0 < strength <= 1:
        raise ValueError(f"expected a strength above 0 (keeps the sketch) and up to 1 (forgets it), got {strength}")
    t = torch.full((len(x),), float(strength), device=x.device)
    return descend(model, add_noise(model.path, x, torch.randn_like(x), t), strength, steps, y)


# -------------------------------------------------------------------------------------------------- scores


def psnr(x: Tensor, truth: Tensor) -> Tensor:
    """Peak signal to noise in dB, 10 log10(2² / mean squared error), a picture: (B, C, H, W) twice -> (B,)."""
    return 10 * torch.log10(4 / (x - truth).square().flatten(1).mean(1).clamp(min=1e-10))


def ssim(x: Tensor, truth: Tensor) -> Tensor:
    """Structural similarity (Wang et al. 2004), a picture, at most 1; windows of 7 pixels, by scikit-image: (B,)."""
    from skimage.metrics import structural_similarity

    pairs = zip(x.numpy(), truth.numpy(), strict=True)
    return torch.tensor([structural_similarity(a, b, channel_axis=0, data_range=2.0) for a, b in pairs])


def resize(x: Tensor, size: int | tuple[int, int], how: str = "bicubic") -> Tensor:
    """Pictures at another size, antialiased: (B, C, H, W) -> (B, C, h, w), in [-1, 1]."""
    return F.interpolate(x, size, mode=how, align_corners=False, antialias=True).clamp(-1, 1)
