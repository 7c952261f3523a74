"""An invisible mark: the signs of a picture's middle frequencies are nudged towards a secret row of coin flips.

Nobody who does not know the key can make a picture's signs agree with it but by chance, and chance is counted exactly:
each of n signs agrees with probability 1/2. So detection is a test with a p-value, whatever the picture.
"""

import io

import numpy as np
import torch
from PIL import Image
from scipy.fft import dctn, idctn
from scipy.special import bdtrc
from torch import Tensor

BAND = (0.12, 0.8)  # of the highest frequency: below, the eye sees it; above, JPEG and smaller copies forget it


def frequencies(x: Tensor) -> Tensor:
    """The orthonormal cosine transform of each channel, (..., H, W) -> the same   (Ahmed et al. 1974)."""
    return torch.from_numpy(dctn(x.numpy(), axes=(-2, -1), norm="ortho"))


def picture_of(X: Tensor) -> Tensor:
    """The inverse of `frequencies`."""
    return torch.from_numpy(idctn(X.numpy(), axes=(-2, -1), norm="ortho"))


def signs(key: int, shape: tuple[int, int, int]) -> Tensor:
    """The secret of a key for pictures of a shape (C, H, W): +1 or −1 in the band, 0 outside."""
    _, height, width = shape
    row, column = torch.arange(height)[:, None] / height, torch.arange(width) / width
    reach = (row**2 + column**2).sqrt()
    flips = torch.randint(2, shape, generator=torch.Generator().manual_seed(key)) * 2 - 1
    return flips * ((reach >= BAND[0]) & (reach < BAND[1]))


def embed(x: Tensor, key: int, strength: float = 0.04) -> Tensor:
    """Pictures (..., C, H, W) in [-1, 1] with the mark of a key.

    A frequency of the band whose sign is wrong, or weak, is set to the key's sign times `strength`, if it need not move
    further than three times that. Most frequencies of a picture are small; the large ones, its look, stay.
    """
    X, secret = frequencies(x), signs(key, tuple(x.shape[-3:]))
    agrees = X * secret  # positive where the sign is the key's
    move = (secret != 0) & (agrees < strength) & (agrees > -2 * strength)
    return picture_of(torch.where(move, strength * secret, X)).clamp(-1, 1)


def agreement(x: Tensor, key: int) -> tuple[Tensor, int]:
    """How many signs of each picture (..., C, H, W) agree with the key's, and out of how many."""
    secret = signs(key, tuple(x.shape[-3:]))
    same = (frequencies(x) * secret > 0).flatten(-3).sum(-1)
    return same, int(secret.abs().sum())


def p_value(same, n: int, looks: int = 1) -> np.ndarray:
    """The chance that at least `same` of n fair coins agree: P(Binomial(n, 1/2) ≥ same), exactly.

    looks: how often was looked, at other places or with other keys; the best of them is at most so many times likelier.
    """
    return np.minimum(1.0, looks * bdtrc(np.asarray(same, float) - 1, n, 0.5))


def detect(x: Tensor, key: int, looks: int = 1) -> np.ndarray:
    """The p-value of each picture (..., C, H, W): how likely so much agreement is in a picture without the mark."""
    return p_value(*agreement(x, key), looks)


def jpeg(x: Tensor, quality: int) -> Tensor:
    """Pictures (N, C, H, W) in [-1, 1], C = 1 or 3, through a JPEG file of a quality from 1 to 95 and back."""
    back = []
    for picture in ((x.clamp(-1, 1) + 1) * 127.5).round().byte():
        file = io.BytesIO()
        array = picture.movedim(0, 2).numpy()
        Image.fromarray(array.squeeze(2) if len(picture) == 1 else array).save(file, "JPEG", quality=quality)
        pixels = np.array(Image.open(file)).reshape(array.shape)
        back.append(torch.from_numpy(pixels).movedim(2, 0))
    return torch.stack(back).float() / 127.5 - 1
