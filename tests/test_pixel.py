"""A writer of tokens: nobody sees the future, probabilities add up to one, and memory changes nothing."""

import itertools
import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib.pixel import MaskedConv2d, TokenWriter
from genimg_lib.train import train


class Letters(nn.Module):
    """A first stage whose pictures are their tokens: the grey value k / codes is the token k."""

    def __init__(self, codes, grid):
        super().__init__()
        self.codes, self.grid, self.shape = codes, grid, (1, *grid)
        self.weight = nn.Parameter(torch.ones(1))

    def tokenize(self, x):
        return (x[:, 0] * self.codes).round().long()

    def decode(self, tokens):
        return tokens[:, None] / self.codes


def writer(codes=5, grid=(3, 4), **settings):
    return TokenWriter(Letters(codes, grid), **({"width": 16, "depth": 2, "heads": 2} | settings)).eval()


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


# ----------------------------------------------------------------------------------- looking back only


def test_a_token_is_guessed_from_those_before_it_and_from_all_of_them():
    model = writer()
    tokens = torch.randint(5, (1, 3, 4))
    logits = model.logits(tokens)
    for i in range(12):
        other = tokens.clone()
        other.view(-1)[i] = (other.view(-1)[i] + 1) % 5
        moved = (model.logits(other) - logits).abs().amax(2)[0] > 1e-7
        assert moved.tolist() == [j > i for j in range(12)]


def test_the_probabilities_of_all_sentences_add_up_to_one():
    model = writer(codes=3, grid=(2, 2))
    sentences = torch.tensor(list(itertools.product(range(3), repeat=4))).view(81, 2, 2)
    assert_close(model.log_prob(sentences).exp().sum(), torch.tensor(1.0))


def test_log_prob_is_the_sum_of_the_factors():
    model, tokens = writer(), torch.randint(5, (7, 3, 4))
    steps = torch.distributions.Categorical(logits=model.logits(tokens)).log_prob(tokens.flatten(1))
    assert_close(model.log_prob(tokens), steps.sum(1))
    loss = model.loss(tokens)
    assert_close(loss["loss"], -steps.mean())
    assert_close(loss["bits"], -steps.mean() / math.log(2))


def test_memory_gives_the_same_logits_as_reading_all_again():
    model = writer()
    symbols = torch.cat([model.begin(6), torch.randint(5, (6, 11))], dim=1)
    full, _ = model.net(symbols)
    first, memory = model.net(symbols[:, :5])
    parts = [first]
    for i in range(5, 12):
        step, memory = model.net(symbols[:, i : i + 1], memory)
        parts.append(step)
    assert_close(torch.cat(parts, dim=1), full)


# --------------------------------------------------------------------------------------------- writing


def test_what_is_written_is_as_frequent_as_it_is_probable():
    model = writer(codes=3, grid=(1, 3))
    model.net.leave[1].weight.data *= 8  # far from uniform
    sentences = torch.tensor(list(itertools.product(range(3), repeat=3))).view(27, 1, 3)
    p = model.log_prob(sentences).exp()
    assert p.max() > 2 / 27
    tokens = model.write(40_000).flatten(1)
    share = (tokens * torch.tensor([9, 3, 1])).sum(1).bincount(minlength=27) / 40_000
    assert_close(share, p.detach(), atol=0.01, rtol=0)


def test_cold_writers_repeat_themselves_and_hot_ones_babble():
    model = writer()
    cold, hot = model.write(300, temperature=1e-4), model.write(3_000, temperature=1e4)
    best, symbols = [], model.begin(1)
    for _ in range(12):
        best.append(model.net(symbols)[0][0, -1].argmax())
        symbols = torch.cat([symbols, best[-1].view(1, 1)], dim=1)
    assert (cold.flatten(1) == torch.stack(best)).all()
    assert_close(hot.flatten().bincount(minlength=5) / hot.numel(), torch.full((5,), 0.2), atol=0.01, rtol=0)
    with pytest.raises(ValueError, match="above 0"):
        model.write(1, temperature=0.0)


def test_a_given_start_is_kept():
    start = torch.randint(5, (4, 7))
    assert torch.equal(writer().write(4, start=start).flatten(1)[:, :7], start)


def test_it_learns_the_entropy_of_a_known_source():
    """Each token repeats the one before with probability 0.9: log 2 for the first, then H(0.1) each."""
    flips = (torch.rand(4_000, 16) < 0.1).long()
    flips[:, 0] = torch.randint(2, (4_000,))
    tokens = flips.cumsum(1) % 2
    model = writer(codes=2, grid=(4, 4), width=16)
    _, ema = train(model, (tokens.view(-1, 1, 4, 4) / 2), steps=200, batch=64, lr=1e-2, ema_decay=0.95, threads=1)
    known = math.log(2) + 15 * -(0.1 * math.log(0.1) + 0.9 * math.log(0.9))
    assert_close(-ema.log_prob(tokens.view(-1, 4, 4)).mean().item(), known, atol=0.15, rtol=0)
    written = ema.write(2_000).flatten(1)
    assert_close((written.diff().abs().float().mean()).item(), 0.1, atol=0.02, rtol=0)


def test_the_first_stage_stays_as_it_was():
    model = writer()
    x = torch.randint(5, (64, 1, 3, 4)) / 5
    _, ema = train(model, x, steps=3, batch=16, lr=1e-2, threads=1)
    assert torch.equal(ema.first.weight, torch.ones(1)) and not model.first.weight.requires_grad
    assert model.train().net.training and not model.first.training


def test_pictures_are_not_tokens():
    with pytest.raises(ValueError, match="`prepare` turns pictures into tokens"):
        writer().logits(torch.zeros(2, 3, 4))
    with pytest.raises(ValueError, match="`prepare` turns pictures into tokens"):
        writer().logits(torch.zeros(2, 4, 4, dtype=torch.int64))


# ---------------------------------------------------------------------------------- masked convolutions


@pytest.mark.parametrize("kind", ["A", "B"])
def test_a_masked_convolution_sees_the_rows_above_and_the_left(kind):
    conv, x = MaskedConv2d(1, 1, 5, kind), torch.randn(1, 1, 7, 7, requires_grad=True)
    conv(x)[0, 0, 3, 3].backward()
    seen = x.grad[0, 0] != 0
    expected = torch.zeros(7, 7, dtype=torch.bool)
    expected[1:3, 1:6] = True
    expected[3, 1:3] = True
    expected[3, 3] = kind == "B"
    assert torch.equal(seen, expected)


def test_masks_that_make_no_sense_are_refused():
    for size, kind in ((4, "A"), (3, "C")):
        with pytest.raises(ValueError, match="odd size"):
            MaskedConv2d(1, 1, size, kind)
