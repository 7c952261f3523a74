"""The calculator against PyTorch's own count, against tensors that exist, and against what papers published."""

import copy

import pytest
import torch
from torch import nn
from torch.utils.checkpoint import checkpoint

from genimg_lib import cost
from genimg_lib.diffusion import face_flow
from genimg_lib.nets import Attention, ResBlock, TimedMLP, mlp, n_weights
from genimg_lib.train import ema_update

TRANSPOSED = nn.ConvTranspose2d(6, 4, 4, stride=2, padding=1, groups=2)
NETS = {
    "a U-Net": lambda: (face_flow(32).net, torch.zeros(2, 3, 64, 32), torch.rand(2)),
    "a timed perceptron": lambda: (TimedMLP(24, 32, 2), torch.zeros(5, 24), torch.rand(5)),
    "a perceptron on tokens": lambda: (mlp([8, 32, 8]), torch.zeros(3, 7, 8)),
    "a strided convolution in groups": lambda: (nn.Conv2d(6, 4, 5, stride=2, groups=2), torch.zeros(2, 6, 17, 12)),
    "a transposed convolution in groups": lambda: (TRANSPOSED, torch.zeros(2, 6, 7, 5)),
    "attention": lambda: (Attention(16), torch.zeros(3, 16, 5, 4)),
}


@pytest.mark.parametrize("make", NETS.values(), ids=NETS.keys())
@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_the_formulas_are_what_pytorch_counts(make, device):
    net, *inputs = make()
    net, inputs = net.to(device), [x.to(device) for x in inputs]
    counted = cost.by_formula(net, *inputs)
    assert set(counted) == set(cost.KINDS)
    assert sum(counted.values()) == cost.measured_flops(net, *inputs) > 0


def test_the_layers_alone():
    assert cost.by_formula(nn.Conv2d(3, 8, 3, padding=1), torch.zeros(1, 3, 10, 12))["convolution"] == (
        cost.conv_flops(3, 8, 10, 12)
    )
    assert cost.by_formula(nn.Linear(5, 7), torch.zeros(1, 4, 5))["linear"] == cost.linear_flops(5, 7, tokens=4)
    assert cost.by_formula(Attention(16), torch.zeros(1, 16, 6, 5))["attention"] == cost.attention_flops(30, 16)


def test_the_hooks_are_gone_even_after_an_error():
    net = mlp([4, 4])
    with pytest.raises(RuntimeError):
        cost.by_formula(net, torch.zeros(1, 5))
    assert not net[0]._forward_hooks


def test_a_diffusion_transformer_costs_what_was_published():
    """DiT-XL/2: 119 and 525 Gflops at 256 and 512 pixels, multiplications counted; 675 million weights."""
    for tokens, published in ((256, 119e9), (1024, 525e9)):
        assert sum(cost.dit_flops(tokens, 1152, 28).values()) / 2 == pytest.approx(published, rel=0.005)
    assert cost.dit_weights(1152, 28) == pytest.approx(675e6, rel=0.01)


def test_attention_overtakes_the_rest_of_a_block_at_six_widths():
    width = 96
    few, even, many = (cost.dit_flops(tokens, width, 1) for tokens in (3 * width, 6 * width, 12 * width))
    assert even["attention"] == even["linear"] - cost.linear_flops(width, 6 * width)
    assert few["attention"] < few["linear"] and many["attention"] > many["linear"]


def test_backward_is_twice_forward():
    net, x = nn.Sequential(*(ResBlock(8) for _ in range(3))), torch.zeros(2, 8, 6, 6, requires_grad=True)
    assert cost.measured_flops(net, x, backward=True) == 3 * cost.measured_flops(net, x)
    assert all(p.grad is None for p in net.parameters())


class Kept(nn.Module):
    """x → sin(sin(x)) keeps two tensors; a Linear its input, which is known, so nothing more."""

    def __init__(self):
        super().__init__()
        self.linear = nn.Linear(10, 10)

    def forward(self, x):
        return self.linear(x).sin().sin()


@pytest.mark.parametrize("device", ["cpu", "meta"])
def test_what_is_kept_is_counted_once(device):
    net, x = Kept().to(device), torch.zeros(7, 10, device=device)
    assert cost.kept_bytes(net, x) == 2 * 7 * 10 * 4
    assert cost.kept_bytes(net, x.repeat(3, 1)) == 3 * cost.kept_bytes(net, x)


def test_a_checkpoint_keeps_less_and_computes_more():
    class Stack(nn.Module):
        def __init__(self, save):
            super().__init__()
            self.save = save
            self.parts = nn.ModuleList(nn.Sequential(*(ResBlock(8) for _ in range(4))) for _ in range(4))

        def forward(self, h):
            for part in self.parts:
                h = checkpoint(part, h, use_reentrant=False) if self.save else part(h)
            return h

    x = torch.randn(2, 8, 8, 8, requires_grad=True)
    plain, saving = Stack(False), Stack(True)
    assert cost.kept_bytes(saving, x) < cost.kept_bytes(plain, x) / 5
    forward = cost.measured_flops(plain, x)
    # three of four convolutions of a part are computed again: nobody needs the last one's output
    assert cost.measured_flops(saving, x, backward=True) == pytest.approx(3.75 * forward)


def test_the_state_is_the_one_that_training_holds():
    net = mlp([30, 40, 10])
    adam, ema = torch.optim.AdamW(net.parameters()), copy.deepcopy(net)
    net(torch.randn(4, 30)).sum().backward()
    adam.step()
    ema_update(ema, net, 0.9)
    held = {
        "weights": [*net.parameters()],
        "gradients": [p.grad for p in net.parameters()],
        "moments": [v for s in adam.state.values() for k, v in s.items() if k.startswith("exp_avg")],
        "average": [*ema.parameters()],
    }
    assert cost.state_bytes(n_weights(net)) == {k: sum(t.nbytes for t in ts) for k, ts in held.items()}


def test_stages_share_more_and_more():
    whole = cost.state_bytes(1_000, mixed=True, ema=False)
    assert sum(whole.values()) == sum(cost.state_bytes(1_000, ema=False).values()) == 16_000
    totals = [sum(cost.state_bytes(1_000, mixed=True, ema=False, processes=8, stage=s).values()) for s in range(4)]
    assert totals == [16_000, 4_000 + 12_000 / 8, 2_000 + 14_000 / 8, 2_000]
    with pytest.raises(ValueError, match="stage of 0, 1, 2 or 3, got 4"):
        cost.state_bytes(1, stage=4)
