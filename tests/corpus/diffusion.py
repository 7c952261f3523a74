"""Answers to 05: right ones in other forms, wrong ones that people write."""

import math

import torch
from torch import nn
from torch.nn import functional as F

from tests.corpus import right, wrong

# --- cosine_alpha_bar -----------------------------------------------------------------------------------


@right("cosine_alpha_bar")
def cosine_by_tensors(T, s=0.008):
    t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2) ** 2
    betas = (1 - f[1:] / f[:-1]).clamp(max=0.999)
    return torch.cumprod(1 - betas, 0)


@right("cosine_alpha_bar")
def cosine_by_a_loop_in_float32(T, s=0.008):
    def f(t):
        return math.cos((t + s) / (1 + s) * math.pi / 2) ** 2 / math.cos(s / (1 + s) * math.pi / 2) ** 2

    out, ab = torch.empty(T), 1.0
    for i in range(T):
        ab *= max(f((i + 1) / T) / f(i / T), 0.001)
        out[i] = ab
    return out


@wrong("cosine_alpha_bar", caught_by="the last beta is clipped")
def cosine_never_clips(T, s=0.008):
    t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2) ** 2
    return f[1:] / f[0]


@wrong("cosine_alpha_bar", caught_by="the first entry has seen one step")
def cosine_starts_at_one(T, s=0.008):
    t = torch.arange(T, dtype=torch.float64) / T
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2) ** 2
    return f / f[0]


@wrong("cosine_alpha_bar", caught_by="the curve")
def cosine_forgets_the_square(T, s=0.008):
    t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2)
    return torch.cumprod(1 - (1 - f[1:] / f[:-1]).clamp(max=0.999), 0)


@wrong("cosine_alpha_bar", caught_by="s is an argument")
def cosine_fixes_s(T, s=0.008):
    return cosine_by_tensors(T, 0.008)


@wrong("cosine_alpha_bar", caught_by="the last beta is clipped")
def cosine_clips_alpha_bar_instead(T, s=0.008):
    t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2) ** 2
    return (f[1:] / f[0]).clamp(min=0.001)


@wrong("cosine_alpha_bar", caught_by="the curve")
def cosine_returns_the_betas(T, s=0.008):
    t = torch.linspace(0, 1, T + 1, dtype=torch.float64)
    f = torch.cos((t + s) / (1 + s) * torch.pi / 2) ** 2
    return (1 - f[1:] / f[:-1]).clamp(max=0.999)


@wrong("cosine_alpha_bar", caught_by="the curve")
def cosine_by_linear_betas(T, s=0.008):
    return torch.cumprod(1 - torch.linspace(1e-4, 0.02, T, dtype=torch.float64), 0)


# --- q_sample -------------------------------------------------------------------------------------------


@right("q_sample")
def noise_by_views(x0, t, eps, alpha_bar):
    ab = alpha_bar[t].view(-1, *[1] * (x0.dim() - 1))
    return ab**0.5 * x0 + (1 - ab) ** 0.5 * eps


@right("q_sample")
def noise_by_a_loop(x0, t, eps, alpha_bar):
    return torch.stack([alpha_bar[t[i]].sqrt() * x0[i] + (1 - alpha_bar[t[i]]).sqrt() * eps[i]
                        for i in range(len(x0))])  # fmt: skip


@right("q_sample")
def noise_by_einsum(x0, t, eps, alpha_bar):
    ab = alpha_bar.gather(0, t)
    return torch.einsum("b,b...->b...", ab.sqrt(), x0) + torch.einsum("b,b...->b...", (1 - ab).sqrt(), eps)


@wrong("q_sample", caught_by="value for images")
def noise_without_roots(x0, t, eps, alpha_bar):
    ab = alpha_bar[t].view(-1, *[1] * (x0.dim() - 1))
    return ab * x0 + (1 - ab) * eps


@wrong("q_sample", caught_by="value for images")
def noise_with_one_minus_the_root(x0, t, eps, alpha_bar):
    ab = alpha_bar[t].view(-1, *[1] * (x0.dim() - 1))
    return ab.sqrt() * x0 + (1 - ab.sqrt()) * eps


@wrong("q_sample", caught_by="any rank")
def noise_for_images_only(x0, t, eps, alpha_bar):
    ab = alpha_bar[t].view(-1, 1, 1, 1)
    return ab.sqrt() * x0 + (1 - ab).sqrt() * eps


@wrong("q_sample", caught_by="every sample by its own t")
def noise_without_axes(x0, t, eps, alpha_bar):
    return alpha_bar[t].sqrt() * x0 + (1 - alpha_bar[t]).sqrt() * eps


@wrong("q_sample", caught_by="every sample by its own t")
def noise_by_the_first_t(x0, t, eps, alpha_bar):
    return alpha_bar[t[0]].sqrt() * x0 + (1 - alpha_bar[t[0]]).sqrt() * eps


@wrong("q_sample", caught_by="gradients reach x0 and eps")
def noise_without_a_graph(x0, t, eps, alpha_bar):
    return noise_by_views(x0, t, eps, alpha_bar).detach()


@wrong("q_sample", caught_by="value for images")
def noise_swapped(x0, t, eps, alpha_bar):
    return noise_by_views(eps, t, x0, alpha_bar)


# --- to_x0_eps ------------------------------------------------------------------------------------------


@right("to_x0_eps")
def back_by_cases(xt, out, alpha_bar, kind):
    a, s = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    if kind == "eps":
        return (xt - s * out) / a, out
    if kind == "x0":
        return out, (xt - a * out) / s
    return a * xt - s * out, s * xt + a * out


@right("to_x0_eps")
def back_through_x0(xt, out, alpha_bar, kind):
    a, s = math.sqrt(alpha_bar), math.sqrt(1 - alpha_bar)
    x0 = {"eps": lambda: (xt - s * out) / a, "x0": lambda: out, "v": lambda: a * xt - s * out}[kind]()
    return [x0, (xt - a * x0) / s]


@wrong("to_x0_eps", caught_by="the network predicts v")
def back_with_the_sign_turned(xt, out, alpha_bar, kind):
    a, s = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    return (a * xt + s * out, s * xt - a * out) if kind == "v" else back_by_cases(xt, out, alpha_bar, kind)


@wrong("to_x0_eps", caught_by="the network predicts v")
def back_with_roots_swapped(xt, out, alpha_bar, kind):
    a, s = alpha_bar**0.5, (1 - alpha_bar) ** 0.5
    return (s * xt - a * out, a * xt + s * out) if kind == "v" else back_by_cases(xt, out, alpha_bar, kind)


@wrong("to_x0_eps", caught_by="the network predicts eps")
def back_without_roots(xt, out, alpha_bar, kind):
    return back_by_cases(xt, out, alpha_bar**2, kind)


@wrong("to_x0_eps", caught_by="the network predicts x0")
def back_in_the_other_order(xt, out, alpha_bar, kind):
    x0, eps = back_by_cases(xt, out, alpha_bar, kind)
    return eps, x0


@wrong("to_x0_eps", caught_by="the network predicts eps")
def back_to_x0_alone(xt, out, alpha_bar, kind):
    return back_by_cases(xt, out, alpha_bar, kind)[0]


@wrong("to_x0_eps", caught_by="the network predicts eps")
def back_without_dividing(xt, out, alpha_bar, kind):
    s = (1 - alpha_bar) ** 0.5
    return (xt - s * out, out) if kind == "eps" else back_by_cases(xt, out, alpha_bar, kind)


@wrong("to_x0_eps", caught_by="gradient reaches the prediction")
def back_without_a_graph(xt, out, alpha_bar, kind):
    return back_by_cases(xt, out.detach(), alpha_bar, kind)


# --- ddpm_step ------------------------------------------------------------------------------------------


@right("ddpm_step")
def ddpm_as_the_paper(xt, eps, t, betas, z):
    alpha, ab = 1 - betas, torch.cumprod(1 - betas, 0)
    mean = (xt - betas[t] / (1 - ab[t]).sqrt() * eps) / alpha[t].sqrt()
    if t == 0:
        return mean
    return mean + (betas[t] * (1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z


@right("ddpm_step")
def ddpm_through_x0(xt, eps, t, betas, z):
    ab = torch.cat([torch.ones_like(betas[:1]), torch.cumprod(1 - betas, 0)])
    now, before, beta = ab[t + 1], ab[t], betas[t]
    x0 = (xt - (1 - now).sqrt() * eps) / now.sqrt()
    mean = before.sqrt() * beta / (1 - now) * x0 + (1 - beta).sqrt() * (1 - before) / (1 - now) * xt
    return mean + (beta * (1 - before) / (1 - now)).clamp(min=0).sqrt() * z


@wrong("ddpm_step", caught_by="the posterior variance")
def ddpm_with_beta(xt, eps, t, betas, z):
    mean = ddpm_as_the_paper(xt, eps, t, betas, torch.zeros_like(z))
    return mean + betas[t].sqrt() * z * (t > 0)


@wrong("ddpm_step", caught_by="no noise at t = 0")
def ddpm_always_noisy(xt, eps, t, betas, z):
    ab = torch.cumprod(1 - betas, 0)
    mean = ddpm_as_the_paper(xt, eps, t, betas, torch.zeros_like(z))
    return mean + (betas[t] * (1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z


@wrong("ddpm_step", caught_by="the posterior variance")
def ddpm_variance_for_deviation(xt, eps, t, betas, z):
    ab = torch.cumprod(1 - betas, 0)
    mean = ddpm_as_the_paper(xt, eps, t, betas, torch.zeros_like(z))
    return mean if t == 0 else mean + betas[t] * (1 - ab[t - 1]) / (1 - ab[t]) * z


@wrong("ddpm_step", caught_by="the mean")
def ddpm_divides_by_alpha_bar(xt, eps, t, betas, z):
    ab = torch.cumprod(1 - betas, 0)
    mean = (xt - betas[t] / (1 - ab[t]).sqrt() * eps) / ab[t].sqrt()
    return mean if t == 0 else mean + (betas[t] * (1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z


@wrong("ddpm_step", caught_by="the mean")
def ddpm_with_the_root_of_beta(xt, eps, t, betas, z):
    alpha, ab = 1 - betas, torch.cumprod(1 - betas, 0)
    mean = (xt - betas[t].sqrt() / (1 - ab[t]).sqrt() * eps) / alpha[t].sqrt()
    return mean if t == 0 else mean + (betas[t] * (1 - ab[t - 1]) / (1 - ab[t])).sqrt() * z


@wrong("ddpm_step", caught_by="the mean")
def ddpm_with_alpha_bar_up_to_t_excluded(xt, eps, t, betas, z):
    ab = torch.cumprod(1 - betas, 0)
    before = ab[t - 1] if t else torch.ones_like(ab[0]) * 0.99
    mean = (xt - betas[t] / (1 - before).sqrt() * eps) / (1 - betas[t]).sqrt()
    return mean if t == 0 else mean + (betas[t] * (1 - before) / (1 - ab[t])).sqrt() * z


@wrong("ddpm_step", caught_by="the posterior variance")
def ddpm_without_noise(xt, eps, t, betas, z):
    return ddpm_as_the_paper(xt, eps, t, betas, torch.zeros_like(z))


# --- ddim_step ------------------------------------------------------------------------------------------


def ddim_sigma(ab, ab_prev, eta):
    return eta * math.sqrt((1 - ab_prev) / (1 - ab)) * math.sqrt(1 - ab / ab_prev)


@right("ddim_step")
def ddim_as_the_paper(xt, eps, ab, ab_prev, eta, z):
    sigma = ddim_sigma(ab, ab_prev, eta)
    x0 = (xt - math.sqrt(1 - ab) * eps) / math.sqrt(ab)
    return math.sqrt(ab_prev) * x0 + math.sqrt(1 - ab_prev - sigma**2) * eps + sigma * z


@right("ddim_step")
def ddim_in_tensors(xt, eps, ab, ab_prev, eta, z):
    ab, prev = torch.tensor(ab, dtype=xt.dtype), torch.tensor(ab_prev, dtype=xt.dtype)
    x0 = (xt - (1 - ab).sqrt() * eps) / ab.sqrt()
    variance = eta**2 * (1 - prev) / (1 - ab) * (1 - ab / prev)
    return prev.sqrt() * x0 + (1 - prev - variance).clamp(min=0).sqrt() * eps + variance.sqrt() * z


@wrong("ddim_step", caught_by="eta = 1 is the DDPM step")
def ddim_keeps_all_the_old_noise(xt, eps, ab, ab_prev, eta, z):
    x0 = (xt - math.sqrt(1 - ab) * eps) / math.sqrt(ab)
    return math.sqrt(ab_prev) * x0 + math.sqrt(1 - ab_prev) * eps + ddim_sigma(ab, ab_prev, eta) * z


@wrong("ddim_step", caught_by="nothing is clipped")
def ddim_clips(xt, eps, ab, ab_prev, eta, z):
    sigma = ddim_sigma(ab, ab_prev, eta)
    x0 = ((xt - math.sqrt(1 - ab) * eps) / math.sqrt(ab)).clamp(-1, 1)
    return math.sqrt(ab_prev) * x0 + math.sqrt(1 - ab_prev - sigma**2) * eps + sigma * z


@wrong("ddim_step", caught_by="eta between")
def ddim_scales_the_variance(xt, eps, ab, ab_prev, eta, z):
    return ddim_as_the_paper(xt, eps, ab, ab_prev, math.sqrt(eta), z)


@wrong("ddim_step", caught_by="eta = 0 draws nothing")
def ddim_goes_nowhere(xt, eps, ab, ab_prev, eta, z):
    return ddim_as_the_paper(xt, eps, ab, ab, eta, z)


@wrong("ddim_step", caught_by="eta = 1 is the DDPM step")
def ddim_ignores_eta(xt, eps, ab, ab_prev, eta, z):
    return ddim_as_the_paper(xt, eps, ab, ab_prev, 0.0, z)


@wrong("ddim_step", caught_by="eta between")
def ddim_squares_sigma_once_too_often(xt, eps, ab, ab_prev, eta, z):
    sigma = ddim_sigma(ab, ab_prev, eta) ** 2
    x0 = (xt - math.sqrt(1 - ab) * eps) / math.sqrt(ab)
    return math.sqrt(ab_prev) * x0 + math.sqrt(1 - ab_prev - sigma**2) * eps + sigma * z


@wrong("ddim_step", caught_by="a step to ab_prev = 1 lands on x0")
def ddim_forgets_the_root(xt, eps, ab, ab_prev, eta, z):
    sigma = ddim_sigma(ab, ab_prev, eta)
    x0 = (xt - (1 - ab) * eps) / ab
    return math.sqrt(ab_prev) * x0 + math.sqrt(1 - ab_prev - sigma**2) * eps + sigma * z


# --- cfg_predict ----------------------------------------------------------------------------------------


@right("cfg_predict")
def guided_in_two_calls(model, x, t, c, null, w):
    with_c, without = model(x, t, c), model(x, t, null)
    return torch.lerp(without, with_c, w)


@right("cfg_predict")
def guided_in_one_batch(model, x, t, c, null, w):
    both = model(torch.cat([x, x]), torch.cat([t, t]), torch.cat([null, c]))
    uncond, cond = both.chunk(2)
    return (1 - w) * uncond + w * cond


@right("cfg_predict")
def guided_sparingly(model, x, t, c, null, w):
    if w == 1:
        return model(x, t, c)
    uncond = model(x, t, null)
    return uncond if w == 0 else uncond + w * (model(x, t, c) - uncond)


@wrong("cfg_predict", caught_by="w = 1 is conditional")
def guided_as_the_paper(model, x, t, c, null, w):
    return (1 + w) * model(x, t, c) - w * model(x, t, null)


@wrong("cfg_predict", caught_by="w = 1 is conditional")
def guided_with_halves_swapped(model, x, t, c, null, w):
    uncond, cond = model(torch.cat([x, x]), torch.cat([t, t]), torch.cat([c, null])).chunk(2)
    return uncond + w * (cond - uncond)


@wrong("cfg_predict", caught_by="w beyond 1 goes further")
def guided_by_a_mixed_condition(model, x, t, c, null, w):
    if w in (0, 1):
        return guided_in_two_calls(model, x, t, c, null, w)
    return model(x, t, null + w * (c - null))


@wrong("cfg_predict", caught_by="at most two evaluations a sample")
def guided_in_three_calls(model, x, t, c, null, w):
    return model(x, t, null) + w * (model(x, t, c) - model(x, t, null))


@wrong("cfg_predict", caught_by="w = 0 is unconditional")
def guided_from_the_wrong_end(model, x, t, c, null, w):
    cond, uncond = model(x, t, c), model(x, t, null)
    return cond + w * (cond - uncond)


@wrong("cfg_predict", caught_by="w beyond 1 goes further")
def guided_with_x_repeated_in_place_of_stacked(model, x, t, c, null, w):
    both = model(x.repeat_interleave(2, 0), t.repeat_interleave(2), torch.cat([null, c]))
    uncond, cond = both.chunk(2)
    return uncond + w * (cond - uncond)


# --- rf_pair --------------------------------------------------------------------------------------------


@right("rf_pair")
def straight_by_views(x0, x1, t):
    t = t.view(-1, *[1] * (x0.dim() - 1))
    return (1 - t) * x0 + t * x1, x1 - x0


@right("rf_pair")
def straight_by_a_loop(x0, x1, t):
    return [torch.stack([torch.lerp(a, b, k) for a, b, k in zip(x0, x1, t, strict=True)]), x1 - x0]


@right("rf_pair")
def straight_by_moving_axes(x0, x1, t):
    return (x0.movedim(0, -1) + t * (x1 - x0).movedim(0, -1)).movedim(-1, 0), -(x0 - x1)


@wrong("rf_pair", caught_by="noise at t = 0, data at t = 1")
def straight_with_time_turned(x0, x1, t):
    return straight_by_views(x0, x1, 1 - t)


@wrong("rf_pair", caught_by="the target is the velocity")
def straight_with_the_target_turned(x0, x1, t):
    return straight_by_views(x0, x1, t)[0], x0 - x1


@wrong("rf_pair", caught_by="any rank, every sample by its own t")
def straight_for_images_only(x0, x1, t):
    t = t.view(-1, 1, 1, 1)
    return (1 - t) * x0 + t * x1, x1 - x0


@wrong("rf_pair", caught_by="any rank, every sample by its own t")
def straight_without_axes(x0, x1, t):
    return (1 - t) * x0 + t * x1, x1 - x0


@wrong("rf_pair", caught_by="the straight line between")
def straight_with_diffusion_roots(x0, x1, t):
    t = t.view(-1, *[1] * (x0.dim() - 1))
    return (1 - t).sqrt() * x0 + t.sqrt() * x1, x1 - x0


@wrong("rf_pair", caught_by="the target is the velocity")
def straight_to_the_picture(x0, x1, t):
    return straight_by_views(x0, x1, t)[0], x1


@wrong("rf_pair", caught_by="the target is the velocity")
def straight_for_what_is_left(x0, x1, t):
    xt = straight_by_views(x0, x1, t)[0]
    return xt, x1 - xt


# --- euler_sample ---------------------------------------------------------------------------------------


@right("euler_sample")
def euler_by_a_loop(v, x, n):
    for i in range(n):
        x = x + v(x, torch.full((len(x),), i / n, dtype=x.dtype)) / n
    return x


@right("euler_sample")
def euler_by_adding_times(v, x, n):
    t, dt = torch.zeros(x.shape[0]), 1.0 / n
    while t[0] < 1 - dt / 2:
        x, t = torch.add(x, v(x, t.clone()), alpha=dt), t + dt
    return x


@wrong("euler_sample", caught_by="asked at 0, 1/n, ..., (n - 1)/n")
def euler_at_right_ends(v, x, n):
    for i in range(n):
        x = x + v(x, torch.full((len(x),), (i + 1) / n, dtype=x.dtype)) / n
    return x


@wrong("euler_sample", caught_by="asked at 0, 1/n, ..., (n - 1)/n")
def euler_by_linspace(v, x, n):
    for t in torch.linspace(0, 1, n, dtype=x.dtype):
        x = x + v(x, t.expand(len(x))) / n
    return x


@wrong("euler_sample", caught_by="value after n steps")
def euler_backwards(v, x, n):
    for i in range(n):
        x = x - v(x, torch.full((len(x),), 1 - i / n, dtype=x.dtype)) / n
    return x


@wrong("euler_sample", caught_by="t is one number a sample")
def euler_with_a_bare_time(v, x, n):
    for i in range(n):
        x = x + v(x, torch.tensor(i / n, dtype=x.dtype)) / n
    return x


@wrong("euler_sample", caught_by="value after n steps")
def euler_without_the_step_length(v, x, n):
    for i in range(n):
        x = x + v(x, torch.full((len(x),), i / n, dtype=x.dtype))
    return x


@wrong("euler_sample", caught_by="leaves its inputs alone")
def euler_in_place(v, x, n):
    for i in range(n):
        x += v(x, torch.full((len(x),), i / n, dtype=x.dtype)) / n
    return x


@wrong("euler_sample", caught_by="value after n steps")
def euler_by_midpoints(v, x, n):
    for i in range(n):
        x = x + v(x, torch.full((len(x),), (i + 0.5) / n, dtype=x.dtype)) / n
    return x


@wrong("euler_sample", caught_by="value after n steps")
def euler_from_the_start_only(v, x, n):
    start = x
    for i in range(n):
        x = x + v(start, torch.full((len(x),), i / n, dtype=x.dtype)) / n
    return x


# --- adaln_zero -----------------------------------------------------------------------------------------


@right("adaln_zero")
class AdaLNZero(nn.Module):
    def __init__(self, d, d_cond):
        super().__init__()
        self.norm = nn.LayerNorm(d, elementwise_affine=False)
        self.f = nn.Sequential(nn.Linear(d, 4 * d), nn.GELU(), nn.Linear(4 * d, d))
        self.mod = nn.Linear(d_cond, 3 * d)
        nn.init.zeros_(self.mod.weight)
        nn.init.zeros_(self.mod.bias)

    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return x + gate * self.f((1 + scale) * self.norm(x) + shift)


@right("adaln_zero")
class OnlyTheGateStartsAtZero(nn.Module):
    def __init__(self, d, d_cond):
        super().__init__()
        self.d = d
        self.layers = nn.ModuleDict({"c": nn.Linear(d_cond, 3 * d), "f": nn.Linear(d, d, bias=False)})
        with torch.no_grad():
            self.layers["c"].weight[:d] = 0
            self.layers["c"].bias[:d] = 0

    def forward(self, x, c):
        gate, scale, shift = (p[:, None] for p in self.layers["c"](c).split(self.d, -1))
        h = F.layer_norm(x, (self.d,), eps=1e-6)
        return x + gate * self.layers["f"](h + h * scale + shift)


@right("adaln_zero")
class WithoutBiasAndWithTheIdentityForF(nn.Module):
    def __init__(self, d, d_cond):
        super().__init__()
        self.norm, self.lin = nn.LayerNorm(d), nn.Linear(d_cond, 3 * d, bias=False)
        self.lin.weight.data.zero_()

    def forward(self, x, c):
        p = self.lin(c)[:, None].expand(-1, x.shape[1], -1)
        shift, scale, gate = p.chunk(3, -1)
        return torch.addcmul(x, gate, torch.tanh(self.norm(x) * (scale + 1) + shift))


@right("adaln_zero")
class ANarrowF(AdaLNZero):
    def __init__(self, d, d_cond):
        super().__init__(d, d_cond)
        self.f = nn.Sequential(nn.Linear(d, d // 2), nn.ReLU(), nn.Linear(d // 2, d), nn.Tanh())


@wrong("adaln_zero", caught_by="identity at initialisation")
class NothingIsZero(AdaLNZero):
    def __init__(self, d, d_cond):
        super().__init__(d, d_cond)
        self.mod.reset_parameters()


@wrong("adaln_zero", caught_by="the gate learns from the first step")
class GateAndFAreZero(AdaLNZero):
    def __init__(self, d, d_cond):
        super().__init__(d, d_cond)
        nn.init.zeros_(self.f[-1].weight)
        nn.init.zeros_(self.f[-1].bias)


@wrong("adaln_zero", caught_by="f sees LN(x) where scale and shift are zero")
class ScaleWithoutOne(AdaLNZero):
    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return x + gate * self.f(scale * self.norm(x) + shift)


@wrong("adaln_zero", caught_by="c acts on its own sample")
class ConditionOnTheWrongAxis(AdaLNZero):
    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).chunk(3, dim=-1)
        return x + gate * self.f((1 + scale) * self.norm(x) + shift)


@wrong("adaln_zero", caught_by="f sees LN(x) where scale and shift are zero")
class NoNorm(AdaLNZero):
    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return x + gate * self.f((1 + scale) * x + shift)


@wrong("adaln_zero", caught_by="shift, scale and gate all act")
class NoShift(AdaLNZero):
    def forward(self, x, c):
        _, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return x + gate * self.f((1 + scale) * self.norm(x))


@wrong("adaln_zero", caught_by="identity at initialisation")
class NoResidual(AdaLNZero):
    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return gate * self.f((1 + scale) * self.norm(x) + shift)


@wrong("adaln_zero", caught_by="every token by itself")
class NormOverTheTokens(AdaLNZero):
    def forward(self, x, c):
        shift, scale, gate = self.mod(F.silu(c)).unsqueeze(1).chunk(3, dim=-1)
        return x + gate * self.f((1 + scale) * F.layer_norm(x, x.shape[1:]) + shift)


@wrong("adaln_zero", caught_by="identity at initialisation")
class NothingAtAll(AdaLNZero):
    def forward(self, x, c):
        return x


@wrong("adaln_zero", caught_by="c acts on its own sample")
class RandomNumbers(AdaLNZero):
    def forward(self, x, c):
        return torch.randn_like(x)


@right("euler_sample")
def euler_with_one_clock(v, x, n):
    x, t = x.clone(), torch.zeros(len(x), dtype=x.dtype)
    for k in range(n):
        t.fill_(k / n)
        x += v(x, t) / n
    return x
