"""Answers to 07: right ones in other forms, wrong ones that people write."""

import copy
import math

import torch
from torch import nn
from torch.nn import functional as F

from tests.corpus import right, wrong

# --- repaint_merge --------------------------------------------------------------------------------------


@right("repaint_merge")
def merged_by_arithmetic(x_unknown, x0, mask, ab, eps):
    mask = mask.to(x0.dtype)
    return mask * (math.sqrt(ab) * x0 + math.sqrt(1 - ab) * eps) + (1 - mask) * x_unknown


@right("repaint_merge")
def merged_by_where(x_unknown, x0, mask, ab, eps):
    return torch.where(mask > 0.5, ab**0.5 * x0 + (1 - ab) ** 0.5 * eps, x_unknown)


@right("repaint_merge")
def merged_in_a_copy(x_unknown, x0, mask, ab, eps):
    out, known = x_unknown.clone(), mask.bool().expand_as(x0)
    out[known] = math.sqrt(ab) * x0[known] + math.sqrt(1 - ab) * eps[known]
    return out


@wrong("repaint_merge", caught_by="known pixels are noised to level ab")
def merged_with_clean_pixels(x_unknown, x0, mask, ab, eps):
    return mask * x0 + (1 - mask) * x_unknown


@wrong("repaint_merge", caught_by="unknown pixels stay as they were sampled")
def merged_with_the_mask_turned(x_unknown, x0, mask, ab, eps):
    return merged_by_arithmetic(x_unknown, x0, 1 - mask, ab, eps)


@wrong("repaint_merge", caught_by="known pixels are noised to level ab")
def merged_without_roots(x_unknown, x0, mask, ab, eps):
    return mask * (ab * x0 + (1 - ab) * eps) + (1 - mask) * x_unknown


@wrong("repaint_merge", caught_by="at ab = 1 the known pixels are x0's own")
def merged_with_levels_swapped(x_unknown, x0, mask, ab, eps):
    return merged_by_arithmetic(x_unknown, x0, mask, 1 - ab, eps)


@wrong("repaint_merge", caught_by="unknown pixels stay as they were sampled")
def merged_with_noise_everywhere(x_unknown, x0, mask, ab, eps):
    return math.sqrt(ab) * (mask * x0 + (1 - mask) * x_unknown) + math.sqrt(1 - ab) * eps


@wrong("repaint_merge", caught_by="leaves its inputs alone")
def merged_into_the_sample(x_unknown, x0, mask, ab, eps):
    known = mask.bool().expand_as(x0)
    x_unknown[known] = (math.sqrt(ab) * x0 + math.sqrt(1 - ab) * eps)[known]
    return x_unknown


@wrong("repaint_merge", caught_by="known pixels are noised to level ab")
def merged_with_the_noise_not_scaled(x_unknown, x0, mask, ab, eps):
    return mask * (math.sqrt(ab) * x0 + eps) + (1 - mask) * x_unknown


# --- gram_matrix ----------------------------------------------------------------------------------------


@right("gram_matrix")
def gram_by_einsum(f):
    return torch.einsum("bihw,bjhw->bij", f, f) / f[0].numel()


@right("gram_matrix")
def gram_by_bmm(f):
    B, C, H, W = f.shape
    rows = f.reshape(B, C, H * W)
    return torch.bmm(rows, rows.transpose(1, 2)).div(C * H * W)


@right("gram_matrix")
def gram_by_a_loop(f):
    return torch.stack([x.flatten(1) @ x.flatten(1).T / x.numel() for x in f])


@wrong("gram_matrix", caught_by="value, not centred")
def gram_centred(f):
    return gram_by_einsum(f - f.mean((2, 3), keepdim=True))


@wrong("gram_matrix", caught_by="larger pictures weigh the same")
def gram_over_channels_only(f):
    return torch.einsum("bihw,bjhw->bij", f, f) / f.shape[1]


@wrong("gram_matrix", caught_by="value, not centred")
def gram_over_pixels_only(f):
    return torch.einsum("bihw,bjhw->bij", f, f) / (f.shape[2] * f.shape[3])


@wrong("gram_matrix", caught_by="one (C, C) matrix a sample")
def gram_mixes_the_batch(f):
    rows = f.transpose(0, 1).flatten(1)
    return (rows @ rows.T / f.numel()).expand(len(f), -1, -1)


@wrong("gram_matrix", caught_by="one (C, C) matrix a sample")
def gram_of_one_long_matrix(f):
    B, C, H, W = f.shape
    rows = f.reshape(B * C, H * W)
    return rows @ rows.T / (C * H * W)


@wrong("gram_matrix", caught_by="value, not centred")
def gram_with_rows_read_wrongly(f):
    B, C, H, W = f.shape
    rows = f.permute(0, 2, 3, 1).reshape(B, C, H * W)
    return rows @ rows.transpose(1, 2) / (C * H * W)


@wrong("gram_matrix", caught_by="gradient reaches the features")
def gram_without_a_graph(f):
    return gram_by_einsum(f.detach())


@wrong("gram_matrix", caught_by="value, not centred")
def gram_as_cosines(f):
    rows = F.normalize(f.flatten(2), dim=2)
    return rows @ rows.mT


# --- lora_linear ----------------------------------------------------------------------------------------


@right("lora_linear")
class LoRALinear(nn.Module):
    def __init__(self, base, r, alpha):
        super().__init__()
        self.base = base.requires_grad_(False)
        self.A = nn.Parameter(torch.randn(r, base.in_features) / math.sqrt(base.in_features))
        self.B = nn.Parameter(torch.zeros(base.out_features, r))
        self.scale = alpha / r

    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A), self.B)

    @torch.no_grad()
    def merge(self):
        merged = copy.deepcopy(self.base)
        merged.weight += self.scale * self.B @ self.A
        return merged


@right("lora_linear")
class LoRAWithTheOtherZero(nn.Module):
    """A starts at zero and B at random; the base is kept as buffers."""

    def __init__(self, base, r, alpha):
        super().__init__()
        self.register_buffer("W", base.weight.detach().clone())
        self.register_buffer("b", None if base.bias is None else base.bias.detach().clone())
        self.A = nn.Parameter(torch.zeros(r, base.in_features))
        self.B = nn.Parameter(torch.randn(base.out_features, r))
        self.r, self.alpha = r, alpha

    def weight(self):
        return self.W + (self.alpha / self.r) * (self.B @ self.A)

    def forward(self, x):
        return F.linear(x, self.weight(), self.b)

    def merge(self):
        out = nn.Linear(*self.W.T.shape, bias=self.b is not None).to(self.W.dtype)
        out.weight.data = self.weight().detach().clone()
        if self.b is not None:
            out.bias.data = self.b.clone()
        return out


@wrong("lora_linear", caught_by="starts equal to the base")
class LoRABothRandom(LoRALinear):
    def __init__(self, base, r, alpha):
        super().__init__(base, r, alpha)
        nn.init.normal_(self.B)


@wrong("lora_linear", caught_by="learns from the first step")
class LoRABothZero(LoRALinear):
    def __init__(self, base, r, alpha):
        super().__init__(base, r, alpha)
        nn.init.zeros_(self.A)


@wrong("lora_linear", caught_by="adds alpha / r · B A x")
class LoRAScaledByAlpha(LoRALinear):
    def __init__(self, base, r, alpha):
        super().__init__(base, r, alpha)
        self.scale = alpha


@wrong("lora_linear", caught_by="only A and B train")
class LoRAWithTheBaseTraining(LoRALinear):
    def __init__(self, base, r, alpha):
        super().__init__(base, r, alpha)
        base.requires_grad_(True)


@wrong("lora_linear", caught_by="only A and B train")
class LoRAWithTheBiasTraining(LoRALinear):
    def __init__(self, base, r, alpha):
        super().__init__(base, r, alpha)
        if base.bias is not None:
            base.bias.requires_grad_(True)


@wrong("lora_linear", caught_by="merging changes nothing")
class LoRAMergedIntoTheBase(LoRALinear):
    @torch.no_grad()
    def merge(self):
        self.base.weight += self.scale * self.B @ self.A
        return self.base


@wrong("lora_linear", caught_by="merge gives one plain Linear")
class LoRAMergedWithoutScale(LoRALinear):
    @torch.no_grad()
    def merge(self):
        merged = copy.deepcopy(self.base)
        merged.weight += self.B @ self.A
        return merged


@wrong("lora_linear", caught_by="merge gives one plain Linear")
class LoRAMergedWithoutBias(LoRALinear):
    @torch.no_grad()
    def merge(self):
        merged = nn.Linear(self.base.in_features, self.base.out_features, bias=False)
        merged.weight = nn.Parameter(self.base.weight + self.scale * self.B @ self.A)
        return merged


@wrong("lora_linear", caught_by="only A and B train")
class NoAdapterAtAll(LoRALinear):
    def forward(self, x):
        return self.base(x) + 0 * (self.A.sum() + self.B.sum())


@wrong("lora_linear", caught_by="adds alpha / r · B A x")
class RandomNumbers(LoRALinear):
    def forward(self, x):
        return torch.randn(*x.shape[:-1], self.base.out_features, dtype=x.dtype) + 0 * self.A.sum()


# --- ema_update -----------------------------------------------------------------------------------------


@right("ema_update")
@torch.no_grad()
def averaged_by_lerp(ema, model, decay):
    for p_ema, p in zip(ema.parameters(), model.parameters(), strict=True):
        p_ema.lerp_(p, 1 - decay)
    for b_ema, b in zip(ema.buffers(), model.buffers(), strict=True):
        b_ema.copy_(b)


@right("ema_update")
def averaged_by_state(ema, model, decay):
    names = {name for name, _ in model.named_parameters()}
    old = {name: value.clone() for name, value in ema.state_dict().items()}
    new = {name: decay * old[name] + (1 - decay) * value if name in names else value
           for name, value in model.state_dict().items()}  # fmt: skip
    ema.load_state_dict(new)


@right("ema_update")
def averaged_through_data(ema, model, decay):
    theirs = dict(model.named_parameters())
    for name, p in ema.named_parameters():
        p.data = p.data * decay + theirs[name].data * (1 - decay)
    for mine, their in zip(ema.buffers(), model.buffers(), strict=True):
        mine.data = their.detach().clone()


@wrong("ema_update", caught_by="parameters are averaged")
@torch.no_grad()
def averaged_with_decay_turned(ema, model, decay):
    averaged_by_lerp(ema, model, 1 - decay)


@wrong("ema_update", caught_by="buffers are copied")
@torch.no_grad()
def averaged_without_buffers(ema, model, decay):
    for p_ema, p in zip(ema.parameters(), model.parameters(), strict=True):
        p_ema.mul_(decay).add_(p, alpha=1 - decay)


@wrong("ema_update", caught_by="buffers are copied")
@torch.no_grad()
def averaged_buffers_too(ema, model, decay):
    for mine, their in zip(ema.state_dict().values(), model.state_dict().values(), strict=True):
        mine.copy_(decay * mine + (1 - decay) * their)


@wrong("ema_update", caught_by="the ema keeps its own memory")
@torch.no_grad()
def averaged_with_shared_buffers(ema, model, decay):
    for p_ema, p in zip(ema.parameters(), model.parameters(), strict=True):
        p_ema.lerp_(p, 1 - decay)
    for b_ema, b in zip(ema.buffers(), model.buffers(), strict=True):
        b_ema.data = b.data


@wrong("ema_update", caught_by="the model is untouched")
@torch.no_grad()
def averaged_into_the_model(ema, model, decay):
    for p_ema, p in zip(ema.parameters(), model.parameters(), strict=True):
        p.mul_(1 - decay).add_(p_ema, alpha=decay)
        p_ema.copy_(p)
    for b_ema, b in zip(ema.buffers(), model.buffers(), strict=True):
        b_ema.copy_(b)


@wrong("ema_update", caught_by="in place, without a graph")
def averaged_into_new_parameters(ema, model, decay):
    for mine, their in zip(ema.modules(), model.modules(), strict=True):
        for name, p in their.named_parameters(recurse=False):
            setattr(mine, name, nn.Parameter(decay * getattr(mine, name).data + (1 - decay) * p.data))
        for name, b in their.named_buffers(recurse=False):
            getattr(mine, name).copy_(b)


@wrong("ema_update", caught_by="parameters are averaged")
def averaged_in_a_copy(ema, model, decay):
    averaged_by_lerp(copy.deepcopy(ema), model, decay)


@wrong("ema_update", caught_by="the model is untouched")
def nothing_moves(ema, model, decay):
    return None


@wrong("lora_linear", caught_by="learns from the first step")
class LoRAWithADetached(LoRALinear):
    def forward(self, x):
        return self.base(x) + self.scale * F.linear(F.linear(x, self.A.detach()), self.B)


@wrong("ema_update", caught_by="the model is untouched")
def averaged_and_the_model_frozen(ema, model, decay):
    averaged_by_lerp(ema, model, decay)
    model.requires_grad_(False)


@wrong("ema_update", caught_by="the model is untouched")
def averaged_and_the_model_in_eval_mode(ema, model, decay):
    averaged_by_lerp(ema, model.eval(), decay)
