"""What the answers in book/interview/systems.yml state and a computer can check."""

import copy
import math

import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import train


def q144():
    """Little's law, the price of a picture and the disk for a million a day."""
    mean = 1_000_000 / 86_400
    peak = 3 * mean
    assert round(mean, 1) == 11.6 and round(peak) == 35
    busy = peak * 2.0
    assert round(busy) == 69 and round(busy / 0.7) == 99
    cents = 100 * 2.0 * 2.50 / 3600
    assert round(cents, 2) == 0.14 and round(cents / 0.5, 2) == 0.28
    assert 1_000_000 * 1e6 / 1e12 == 1.0
    assert 77 * 768 * 2 == 118_272


def q145():
    """What each option can give: Amdahl's law, guidance for a part of the steps, steps halved."""

    def amdahl(share, speed):
        return 1 / (1 - share + share / speed)

    assert round(amdahl(0.9, 2), 2) == 1.82 and round(amdahl(0.9, 1e9)) == 10
    assert round(100 / (50 + 20), 2) == 1.43
    assert 100 / 50 == 2 and round(amdahl(0.9, 100 / 50) * 1.0, 2) == 1.82
    times = {"text": 0.03, "loop": 2.7, "decode": 0.27}
    whole = sum(times.values())
    assert round(whole, 2) == 3.0 and round(times["loop"] / whole, 2) == 0.9
    few = times["text"] + times["loop"] * 4 / 100 + times["decode"]
    assert round(few, 2) == 0.41 and round(times["decode"] / few, 2) == 0.66


def q146():
    """Bytes of a model with a billion weights."""
    billion = 1e9
    fp32 = 4 + 4 + 4 + 4
    mixed = 2 + 2 + 4 + 4 + 4
    assert fp32 == mixed == 16 and fp32 * billion / 1e9 == 16 and (fp32 + 4) * billion / 1e9 == 20
    assert (fp32 + 4) / 8 == 2.5
    assert (4 + 4 + 1 + 1) == 10  # 8-bit moments
    d = math.sqrt(billion / (18 * 28))
    assert round(d) == 1409
    numbers = 1 + 1 + 3 + 1 + 1 + 1 + 4 + 4  # what a block keeps, in units of d numbers a token
    assert numbers == 16
    per_picture = 2 * numbers * d * 28 * 4096
    assert round(per_picture / 1e9, 1) == 5.2
    kept = 2 * d * 28 * 4096 + 2 * numbers * d * 4096
    assert round(kept / 1e9, 2) == 0.51
    assert (1 + 2 + 1) / (1 + 2) == 4 / 3
    model = nn.Linear(100, 100)
    optimizer = torch.optim.AdamW(model.parameters())
    model(torch.randn(2, 100)).sum().backward()
    optimizer.step()
    moments = sum(v.numel() for state in optimizer.state.values() for k, v in state.items() if k.startswith("exp_avg"))
    assert moments == 2 * sum(p.numel() for p in model.parameters())


def q147():
    """Half-lives, the weight of the first step, warm-up, and an average in bf16 that never moves."""

    def half_life(decay):
        return math.log(2) / -math.log(decay)

    assert round(half_life(0.9999)) == 6931 and round(half_life(0.999)) == 693
    assert round(1 / (1 - 0.9999)) == 10_000
    assert round(0.9999**1000, 3) == 0.905 and round(0.9999**2000, 2) == 0.82
    for steps in (5, 50, 500):  # step / (step + 10) as the decay: the first weights are gone after a few steps
        weight = math.prod(step / (step + 10) for step in range(1, steps + 1))
        assert weight < 1e-3
    average = torch.tensor(1.0, dtype=torch.bfloat16)
    for _ in range(1000):
        average = 0.9999 * average + 1e-4 * torch.tensor(2.0, dtype=torch.bfloat16)
    assert average == 1.0
    exact = 1.0
    for _ in range(1000):
        exact = 0.9999 * exact + 1e-4 * 2
    assert round(exact, 3) == 1.095
    live = nn.BatchNorm1d(3)
    ema = copy.deepcopy(live)
    live(torch.randn(20, 3) + 5)
    with torch.no_grad():
        live.weight.add_(1)
    train.ema_update(ema, live, 0.9)
    assert_close(ema.weight, torch.full((3,), 1.1))
    assert_close(ema.running_mean, live.running_mean)


def q148():
    """What fp16 and bf16 lose: small gradients, small updates, and time steps."""
    half, brain = torch.float16, torch.bfloat16
    gradient = torch.tensor(1e-8)
    assert gradient.to(half) == 0 and (gradient * 2**16).to(half) > 0
    assert_close((gradient * 2**16).to(half).float() / 2**16, gradient, rtol=1e-3, atol=0)
    assert torch.tensor(1.0, dtype=half) + 1e-4 == 1 and torch.tensor(1.0, dtype=brain) + 3e-3 == 1
    assert round(torch.finfo(half).eps, 5) == 0.00098 and round(torch.finfo(brain).eps, 4) == 0.0078
    times = torch.arange(1000)
    assert times.to(brain).unique().numel() == 507 and times.to(half).unique().numel() == 1000
    assert torch.tensor(999.0).to(brain) == 1000
    assert torch.finfo(half).max == 65504 and torch.tensor(70000.0).to(half).isinf()
    many = torch.full((4096,), 0.1, dtype=brain)
    naive = torch.tensor(0.0, dtype=brain)
    for value in many:
        naive = naive + value
    assert naive == 32 and abs(many.float().sum() - 410) < 1
