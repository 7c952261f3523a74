"""Quantisers by their identities: who is nearest, who gets which gradient, what collapses and what cannot."""

import itertools

import pytest
import torch
from torch.testing import assert_close

from genimg_lib.train import train
from genimg_lib.vq import FSQ, TokenAutoencoder, VectorQuantizer, nearest_code, perplexity, straight_through


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def vectors(n=200, dim=3):
    return torch.randn(n, dim, 1, 1)


# ---------------------------------------------------------------------------------------- the equations


def test_the_nearest_code_is_the_one_at_the_least_distance():
    z_e, codebook = torch.randn(300, 5), torch.randn(17, 5) * torch.linspace(0.3, 3, 17)[:, None]
    assert torch.equal(nearest_code(z_e, codebook), torch.cdist(z_e, codebook).argmin(1))


def test_straight_through_has_the_value_of_one_and_the_gradient_of_the_other():
    z_e, z_q = torch.randn(4, 3, requires_grad=True), torch.randn(4, 3, requires_grad=True)
    out = straight_through(z_e, z_q)
    assert_close(out, z_q)
    (2 * out).sum().backward()
    assert_close(z_e.grad, torch.full((4, 3), 2.0))
    assert z_q.grad is None


def test_perplexity_counts_the_codes_that_are_used_equally():
    assert_close(perplexity(torch.arange(12), 12), 12.0)
    assert_close(perplexity(torch.arange(12) % 3, 12), 3.0)
    assert_close(perplexity(torch.zeros(2, 4, 4, dtype=torch.int64), 12), 1.0)
    tokens = torch.tensor([0] * 5 + [1] * 3 + [2] * 2)
    entropy = torch.distributions.Categorical(torch.tensor([0.5, 0.3, 0.2], dtype=torch.float64)).entropy()
    assert_close(perplexity(tokens, 12), entropy.exp().item())


# ------------------------------------------------------------------------------------------ the codebook


def test_each_term_of_the_loss_moves_its_own_side():
    """‖sg[z_e] − e‖² moves the codes, beta ‖z_e − sg[e]‖² the vectors, and the decoder's gradient the vectors alone."""
    vq = VectorQuantizer(6, 3, beta=0.4, ema=False)
    z_e = vectors(10).requires_grad_()
    z_q, tokens, loss = vq(z_e)
    off = (z_e - z_q).detach()
    assert_close(loss, 1.4 * off.square().mean())
    moved, learned = torch.autograd.grad(loss, (z_e, vq.codebook), retain_graph=True)
    assert_close(moved, 0.4 * 2 * off / off.numel())
    expected = torch.zeros(6, 3).index_add_(0, tokens.flatten(), -2 * off[:, :, 0, 0] / off.numel())
    assert_close(learned, expected)
    along = torch.randn_like(z_q)
    passed, none = torch.autograd.grad(z_q, (z_e, vq.codebook), along, allow_unused=True)
    assert_close(passed, along)
    assert none is None


def test_without_memory_the_running_mean_is_one_step_of_k_means():
    vq, z_e = VectorQuantizer(4, 3), vectors()
    vq.decay = 0.0
    _, tokens, _ = vq.train()(z_e)
    for k in range(4):
        mine = z_e[tokens.flatten() == k].flatten(1)
        assert len(mine)
        assert_close(vq.codebook[k], mine.mean(0))


def test_running_means_find_the_middles_of_clusters():
    middles = torch.tensor([[3.0, 0.0], [-3.0, 0.0], [0.0, 3.0]])
    vq = VectorQuantizer(3, 2, restart=0.5).train()
    for _ in range(600):
        vq((middles[torch.randint(3, (60,))] + 0.1 * torch.randn(60, 2))[:, :, None, None])
    nearest = torch.cdist(middles, vq.codebook).min(1)
    assert sorted(nearest.indices.tolist()) == [0, 1, 2] and nearest.values.max() < 0.1


@pytest.mark.parametrize("ema", [True, False])
def test_a_dead_code_wakes_up_at_a_vector_of_the_batch(ema):
    vq, z_e = VectorQuantizer(4, 3, ema=ema, restart=0.1), vectors()
    with torch.no_grad():
        vq.codebook[2] = 1_000.0  # nobody's nearest
        if ema:
            vq.sums[2] = 1_000.0
    for _ in range(300):
        vq.train()(z_e)
        if (vq.codebook[2] < 999).all():
            break
    assert (vq.codebook[2] - z_e.flatten(1)).norm(dim=1).min() < 1e-4
    other = VectorQuantizer(4, 3, ema=ema)
    with torch.no_grad():
        other.codebook[2] = 1_000.0
        if ema:
            other.sums[2] = 1_000.0
    for _ in range(1_500):
        other.train()(z_e)
    assert (other.codebook[2] > 990).all(), "without restart nobody fetches it"


def test_looking_changes_nothing():
    vq = VectorQuantizer(5, 3, restart=10.0).eval()
    before = {key: value.clone() for key, value in vq.state_dict().items()}
    vq(vectors())
    assert all(torch.equal(value, before[key]) for key, value in vq.state_dict().items())


# ------------------------------------------------------------------------------------------------- FSQ


@pytest.mark.parametrize("L", [3, 4, 5, 6, 8])
def test_fsq_has_exactly_l_levels_and_keeps_zero(L):
    z = torch.linspace(-9, 9, 4_001)[:, None, None, None]
    z_q, tokens, loss = FSQ((L,))(z)
    levels = (z_q.flatten() * (L // 2)).unique()
    assert_close(levels, torch.arange(L, dtype=torch.float32) - L // 2)
    assert torch.equal(tokens.unique(), torch.arange(L)) and loss == 0
    assert (tokens.flatten().diff() >= 0).all()
    bounded = FSQ((L,)).reach * torch.tanh(FSQ((L,)).shift) - FSQ((L,)).offset
    assert_close(bounded, torch.zeros_like(bounded), atol=1e-6, rtol=0)


def test_every_tuple_has_a_number_of_its_own():
    fsq, levels = FSQ((4, 3, 5)), (4, 3, 5)
    digits = torch.tensor(list(itertools.product(*map(range, levels))))
    half = torch.tensor(levels) // 2
    z_q = ((digits - half) / half)[:, :, None, None]
    assert torch.equal((digits * torch.tensor([1, 4, 12])).sum(1).sort().values, torch.arange(60))
    tokens = (digits * torch.tensor([1, 4, 12])).sum(1)[:, None, None]
    assert_close(fsq.lookup(tokens), z_q)


@pytest.mark.parametrize("quantizer", [FSQ((8, 5, 4)), VectorQuantizer(40, 3)], ids=["fsq", "vq"])
def test_the_token_tells_the_vector(quantizer):
    z_q, tokens, _ = quantizer.eval()(torch.randn(6, 3, 4, 5) * 2)
    assert tokens.shape == (6, 4, 5) and 0 <= tokens.min() and tokens.max() < quantizer.codes
    assert_close(quantizer.lookup(tokens), z_q)


def test_fsq_passes_the_gradient_of_its_bound():
    fsq, z_e = FSQ((8, 5)), torch.randn(50, 2, 1, 1, requires_grad=True)
    fsq(z_e)[0].sum().backward()
    slope = fsq.reach * (1 - torch.tanh(z_e + fsq.shift) ** 2) / (fsq.levels // 2)[:, None, None]
    assert_close(z_e.grad, slope.detach())


# ------------------------------------------------------------------------------------------ the network


def two_faces(n=64):
    """Pictures of 8×8 whose left and right half are each black, grey or white."""
    halves = torch.randint(3, (n, 2)).float() - 1
    return halves.repeat_interleave(4, 1)[:, None, None, :].expand(n, 1, 8, 8).contiguous()


@pytest.mark.parametrize("quantizer", [FSQ((3, 3)), VectorQuantizer(8, 4, restart=0.5)], ids=["fsq", "vq"])
def test_it_learns_to_say_what_it_saw(quantizer):
    model = TokenAutoencoder(quantizer, (1, 8, 8), width=16, blocks=1)
    x = two_faces()
    before = (model.reconstruct(x) - x).square().mean()
    _, ema = train(model, x, steps=150, batch=32, lr=5e-3, ema_decay=0.9, threads=1)
    assert (ema.reconstruct(x) - x).square().mean() < 0.1 * before
    tokens = ema.tokenize(x)
    assert tokens.shape == (64, 2, 2)
    assert_close(ema.reconstruct(x), ema.decode(tokens))
    assert_close(ema.decoder(ema.encode(x)[0]).clamp(-1, 1), ema.decode(tokens), atol=1e-5, rtol=1e-5)


def test_wrong_sizes_are_told():
    with pytest.raises(ValueError, match="does not divide"):
        TokenAutoencoder(FSQ(), (3, 30, 30))
    with pytest.raises(ValueError, match="expected pictures"):
        TokenAutoencoder(FSQ(), (1, 8, 8), width=8).loss(torch.zeros(2, 3, 8, 8))
    with pytest.raises(ValueError, match="at least 3 levels"):
        FSQ((8, 2))
