"""What a network costs: weights, arithmetic, memory. By formula layer by layer, and measured, to check the formula.

A multiplication and the addition that follows are two operations (FLOPs). Many papers count the pair once and write
"Gflops" all the same; their numbers are half of these. Give the network and its inputs on `torch.device("meta")`, where
tensors have a shape and no contents: then a model of any size is counted at once, on any machine.
"""

from collections import Counter

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils.flop_counter import FlopCounterMode

from genimg_lib.nets import Attention

KINDS = ("convolution", "linear", "attention")


def conv_flops(c_in: int, c_out: int, height: int, width: int, kernel: int = 3) -> int:
    """A convolution that makes c_out channels of height × width: each number is a sum of c_in · kernel² products."""
    return 2 * c_out * height * width * c_in * kernel**2


def linear_flops(m: int, n: int, tokens: int = 1) -> int:
    """A matrix of m × n for each of the tokens: n sums of m products."""
    return 2 * tokens * m * n


def attention_flops(tokens: int, width: int) -> int:
    """The two products of attention, QKᵀ and its result with V: tokens² sums of `width` products, each. All heads."""
    return 2 * 2 * tokens**2 * width


def dit_flops(tokens: int, width: int, depth: int, ratio: int = 4) -> dict[str, int]:
    """The blocks of a diffusion transformer for one picture and one call, by kind (Peebles & Xie 2023, sec. 3.2).

    A block, for each token: queries, keys, values (3 matrices of width²), attention's way out (1), a perceptron
    (2 · ratio); and once a picture 6 matrices that turn the condition into shifts, scales and gates.
    """
    linear = linear_flops(width, (4 + 2 * ratio) * width, tokens) + linear_flops(width, 6 * width)
    return {"linear": depth * linear, "attention": depth * attention_flops(tokens, width)}


def dit_weights(width: int, depth: int, ratio: int = 4) -> int:
    """The blocks' weights, biases left out: (4 + 2 · ratio + 6) · width² each, 18 width² as published."""
    return depth * (4 + 2 * ratio + 6) * width**2


def by_formula(net: nn.Module, *inputs: Tensor) -> dict[str, int]:
    """FLOPs of one forward pass by the three formulas above, from the shapes that go through the layers, by kind.

    Knows Conv2d, ConvTranspose2d, Linear and `nets.Attention`. Everything else, norms and additions, is a few
    operations a number and not counted, here nor by `measured_flops`.
    """
    flops, hooks = Counter(dict.fromkeys(KINDS, 0)), []

    def note(layer, given, out):
        if isinstance(layer, nn.Conv2d):
            flops["convolution"] += 2 * out.numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.ConvTranspose2d):  # each number that comes in goes to many, not the other way round
            flops["convolution"] += 2 * given[0].numel() * layer.weight[0].numel()
        elif isinstance(layer, nn.Linear):
            flops["linear"] += 2 * out.numel() * layer.in_features
        else:
            flops["attention"] += len(out) * attention_flops(out.shape[2] * out.shape[3], out.shape[1])

    for layer in net.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d | nn.Linear | Attention):
            hooks.append(layer.register_forward_hook(note))
    try:
        with torch.no_grad():
            net(*inputs)
    finally:
        for hook in hooks:
            hook.remove()
    return dict(flops)


def measured_flops(net: nn.Module, *inputs: Tensor, backward: bool = False) -> int:
    """FLOPs that PyTorch counts when the net really runs; with the backward pass of the sum of its output, if asked."""
    with FlopCounterMode(display=False) as counter, torch.set_grad_enabled(backward):
        out = net(*inputs)
        if backward:
            out.sum().backward()
    net.zero_grad(set_to_none=True)
    return counter.get_total_flops()


def kept_bytes(net: nn.Module, *inputs: Tensor) -> int:
    """Bytes that a forward pass keeps for the backward pass: activations, each counted once, weights and inputs not."""
    known = {t.untyped_storage()._cdata for t in (*net.parameters(), *net.buffers(), *inputs)}
    kept = {}

    def keep(t: Tensor) -> Tensor:
        storage = t.untyped_storage()
        if storage._cdata not in known:
            kept[storage._cdata] = storage
        return t

    with torch.enable_grad(), saved_tensors_hooks(keep, lambda t: t):
        out = net(*inputs)
        total = sum(storage.nbytes() for storage in kept.values())
    del out
    return total


def state_bytes(
    weights: int, *, mixed: bool = False, ema: bool = True, processes: int = 1, stage: int = 0
) -> dict[str, float]:
    """Bytes each process holds to train `weights` numbers with Adam, activations not among them.

    fp32: 4 for a weight, 4 for its gradient, 8 for Adam's two moments, 4 for the average. mixed: bf16 for the first
    two, and a master copy in fp32. stage: what the processes share out, 0 nothing, 1 what only the optimiser needs, 2
    the gradients too, 3 the weights too (ZeRO, Rajbhandari et al. 2020, sec. 5; FSDP is stage 3).
    """
    if stage not in (0, 1, 2, 3):
        raise ValueError(f"expected a stage of 0, 1, 2 or 3, got {stage}")
    small = 2 if mixed else 4
    parts = {"weights": (small, 3), "gradients": (small, 2), "moments": (8, 1)}
    if mixed:
        parts["master copy"] = (4, 1)
    if ema:
        parts["average"] = (4, 1)
    return {name: weights * n / (processes if stage >= since else 1) for name, (n, since) in parts.items()}
