"""What the answers in book/interview/responsibility.yml state and a computer can check."""

from math import comb

import torch


def q149():
    """A detector right 99 % of the time, one upload in a thousand a deepfake: 9 % of its alarms are right."""
    share, right, wrong = 0.001, 0.99, 0.01
    alarm_is_right = right * share / (right * share + wrong * (1 - share))
    assert round(100 * alarm_is_right) == 9
    assert round(1_000_000 * (1 - share) * wrong) == 9_990


def _tail(n, k):
    return sum(comb(n, i) for i in range(k, n + 1)) / 2**n


def q150():
    """How many of 48 bits must agree for a false alarm below one in a million; a ring survives what keeps it a ring."""
    assert _tail(48, 41) < 1e-6 < _tail(48, 40)
    assert 3.1e-7 < _tail(48, 41) < 3.2e-7
    assert round(100 * 41 / 48) == 85
    torch.manual_seed(0)
    noise = torch.randn(64, 64, dtype=torch.float64)
    spectrum = torch.fft.fftshift(torch.fft.fft2(noise))
    ys, xs = torch.meshgrid(torch.arange(64) - 32, torch.arange(64) - 32, indexing="ij")
    ring = ((ys**2 + xs**2).double().sqrt() - 8).abs() < 1
    spectrum[ring] = 150.0
    marked = torch.fft.ifft2(torch.fft.ifftshift(spectrum)).real

    def strength(picture):
        return torch.fft.fftshift(torch.fft.fft2(picture)).abs()[ring].mean().item()

    assert strength(marked) > 1.5 * strength(noise)
    for change in (lambda x: x.flip(1), lambda x: x.rot90(), lambda x: x.roll((5, 9), (0, 1))):
        assert abs(strength(change(marked)) / strength(marked) - 1) < 0.1


def q151():
    """The size of the attack, and its yield."""
    assert 350_000 * 500 == 175_000_000
    assert round(100 * 109 / 350_000, 2) == 0.03
    assert round(175_000_000 / 109 / 1e6, 1) == 1.6
