"""Right and wrong answers to 03_gan: normalised weights and styles."""

import torch
import torch.nn.functional as F

from tests.corpus import right, wrong

# --- spectral_normalize ---------------------------------------------------------------------------------

SPECTRAL = "spectral_normalize"
MATRICES = "matrices, wide and tall"
KERNELS = "kernels are seen as (o, i·k·k)"
SMALL = "small weights are scaled up"
SLOW = "within 1e-3 when the second singular value is 0.8 of the first"
KEPT = "the graph to W is kept"


def power(matrix, rounds, start=None):
    with torch.no_grad():
        u = torch.randn(matrix.shape[0], dtype=matrix.dtype) if start is None else start
        for _ in range(rounds):
            v = F.normalize(matrix.T @ u, dim=0)
            u = F.normalize(matrix @ v, dim=0)
    return u, v


@right(SPECTRAL)
def by_svd(W):
    return W / torch.linalg.svdvals(W.flatten(1))[0]


@right(SPECTRAL)
def by_power_iteration(W):
    m = W.reshape(W.shape[0], -1)
    u, v = power(m, 60)
    return W / (u @ m @ v)


@right(SPECTRAL)
def by_a_constant_sigma(W):
    return W / torch.linalg.matrix_norm(W.detach().flatten(1), 2)


@right(SPECTRAL)
def by_eigenvalues(W):
    m = W.flatten(start_dim=1)
    return W / torch.linalg.eigvalsh(m @ m.T)[-1].sqrt()


@right(SPECTRAL)
def by_power_iteration_inside_the_graph(W):
    m = W.flatten(1)
    v = torch.ones(m.shape[1], dtype=W.dtype)
    for _ in range(80):
        v = F.normalize(m.T @ (m @ v), dim=0)
    return W / (m @ v).norm()


@wrong(SPECTRAL, caught_by=SLOW)
def one_round(W):
    m = W.flatten(1)
    u, v = power(m, 1)
    return W / (u @ m @ v)


@wrong(SPECTRAL, caught_by=SLOW)
def five_rounds_from_a_random_start(W):
    m = W.flatten(1)
    u, v = power(m, 5)
    return W / (u @ m @ v)


@wrong(SPECTRAL, caught_by=SLOW)
def three_rounds_from_ones(W):
    m = W.flatten(1)
    u, v = power(m, 3, torch.ones(len(m), dtype=m.dtype))
    return W / (u @ m @ v)


@wrong(SPECTRAL, caught_by=MATRICES)
def by_frobenius(W):
    return W / W.norm()


@wrong(SPECTRAL, caught_by=MATRICES)
def by_squared_sigma(W):
    m = W.flatten(1)
    return W / torch.linalg.eigvalsh(m @ m.T)[-1]


@wrong(SPECTRAL, caught_by=MATRICES)
def by_the_largest_entry(W):
    return W / W.abs().max()


@wrong(SPECTRAL, caught_by=MATRICES)
def each_row_by_itself(W):
    return F.normalize(W.flatten(1), dim=1).view_as(W)


@wrong(SPECTRAL, caught_by=MATRICES)
def by_the_smallest(W):
    return W / torch.linalg.svdvals(W.flatten(1))[-1]


@wrong(SPECTRAL, caught_by=KERNELS)
def slices_by_themselves(W):
    if W.ndim == 2:
        return by_svd(W)
    return W / torch.linalg.matrix_norm(W, 2)[..., None, None]


@wrong(SPECTRAL, caught_by=KERNELS)
def view_with_inputs_first(W):
    return W / torch.linalg.svdvals(W.transpose(0, 1).flatten(1))[0]


@wrong(SPECTRAL, caught_by=KERNELS)
def view_of_all_but_the_last(W):
    return W / torch.linalg.svdvals(W.reshape(-1, W.shape[-1]))[0]


@wrong(SPECTRAL, caught_by=KERNELS)
def returns_the_matrix(W):
    return by_svd(W).flatten(1)


@wrong(SPECTRAL, caught_by=SMALL)
def only_shrinks(W):
    return W / torch.linalg.svdvals(W.flatten(1))[0].clamp(min=1)


@wrong(SPECTRAL, caught_by=SMALL)
def adds_a_heavy_eps(W):
    return W / (torch.linalg.svdvals(W.flatten(1))[0] + 1e-3)


@wrong(SPECTRAL, caught_by=KEPT)
def detaches_the_weight(W):
    return by_svd(W.detach())


@wrong(SPECTRAL, caught_by=KEPT)
def divides_without_a_graph(W):
    with torch.no_grad():
        return by_svd(W)


@wrong(SPECTRAL, caught_by="leaves its inputs alone")
def divides_in_place(W):
    out = by_svd(W)
    W.data.copy_(out)
    return out


@wrong(SPECTRAL, caught_by=MATRICES)
def iterates_without_normalising_u(W):
    m = W.flatten(1)
    u = torch.ones(m.shape[0], dtype=W.dtype)
    for _ in range(20):
        v = F.normalize(m.T @ u, dim=0)
        u = m @ v
    return W / (u @ m @ v)


# --- adain ----------------------------------------------------------------------------------------------

TAKES = "takes the style's mean and deviation, per sample and channel"
ROOTS = "eps inside both roots"
ONE = "a style of one pixel"
FLAT = "a flat channel takes the style's mean"
BOTH = "gradient reaches content and style"


def stats(x, axes=(2, 3), correction=0, eps=1e-5):
    return x.mean(axes, keepdim=True), (x.var(axes, keepdim=True, correction=correction) + eps).sqrt()


@right("adain")
def by_statistics(content, style):
    (m, s), (a, b) = stats(content), stats(style)
    return b * (content - m) / s + a


@right("adain")
def by_instance_norm(content, style):
    a, b = stats(style)
    return F.instance_norm(content, eps=1e-5) * b + a


@right("adain")
def by_a_loop_over_channels(content, style):
    out = torch.empty_like(content)
    for i in range(len(content)):
        for j in range(content.size(1)):
            x, y = content[i, j], style[i, j]
            root = torch.sqrt(((x - x.mean()) ** 2).mean() + 1e-5)
            out[i, j] = (x - x.mean()) / root * torch.sqrt(y.var(unbiased=False) + 1e-5) + y.mean()
    return out


@right("adain")
def by_flat_moments(content, style):
    x, y = content.flatten(2), style.flatten(2)
    vx, mx = torch.var_mean(x, 2, correction=0, keepdim=True)
    vy, my = torch.var_mean(y, 2, correction=0, keepdim=True)
    return torch.addcmul(my, x - mx, ((vy + 1e-5) / (vx + 1e-5)).sqrt()).view_as(content)


@wrong("adain", caught_by=TAKES)
def unbiased(content, style):
    (m, s), (a, b) = stats(content, correction=1), stats(style, correction=1)
    return b * (content - m) / s + a


@wrong("adain", caught_by=TAKES)
def over_the_batch(content, style):
    (m, s), (a, b) = stats(content, (0, 2, 3)), stats(style, (0, 2, 3))
    return b * (content - m) / s + a


@wrong("adain", caught_by=TAKES)
def over_the_channels(content, style):
    (m, s), (a, b) = stats(content, (1, 2, 3)), stats(style, (1, 2, 3))
    return b * (content - m) / s + a


@wrong("adain", caught_by=TAKES)
def swaps_the_roles(content, style):
    (m, s), (a, b) = stats(style), stats(content)
    return b * (content - m) / s + a


@wrong("adain", caught_by=TAKES)
def forgets_to_normalise(content, style):
    a, b = stats(style)
    return content * b + a


@wrong("adain", caught_by=TAKES)
def uses_variances(content, style):
    m, a = content.mean((2, 3), keepdim=True), style.mean((2, 3), keepdim=True)
    return (content - m) / stats(content)[1] ** 2 * stats(style)[1] ** 2 + a


@wrong("adain", caught_by=TAKES)
def forgets_the_styles_mean(content, style):
    (m, s), (_, b) = stats(content), stats(style)
    return b * (content - m) / s


@wrong("adain", caught_by=ROOTS)
def eps_outside(content, style):
    m, a = content.mean((2, 3), keepdim=True), style.mean((2, 3), keepdim=True)
    s, b = (x.std((2, 3), correction=0, keepdim=True) for x in (content, style))
    return (b + 1e-5) * (content - m) / (s + 1e-5) + a


@wrong("adain", caught_by=ROOTS)
def eps_in_the_content_only(content, style):
    (m, s), a = stats(content), style.mean((2, 3), keepdim=True)
    return (content - m) / s * style.std((2, 3), correction=0, keepdim=True) + a


@wrong("adain", caught_by=FLAT)
def no_eps(content, style):
    (m, s), (a, b) = stats(content, eps=0), stats(style, eps=0)
    return b * (content - m) / s + a


@wrong("adain", caught_by=ROOTS)
def batch_norms_eps(content, style):
    (m, s), (a, b) = stats(content, eps=1e-3), stats(style, eps=1e-3)
    return b * (content - m) / s + a


@wrong("adain", caught_by=ONE)
def the_default_deviation(content, style):
    (m, s), a = stats(content), style.mean((2, 3), keepdim=True)
    return (content - m) / s * style.std((2, 3), keepdim=True) + a


@wrong("adain", caught_by=BOTH)
def detaches_the_style(content, style):
    return by_statistics(content, style.detach())


@wrong("adain", caught_by=BOTH)
def statistics_without_a_graph(content, style):
    with torch.no_grad():
        (m, s), (a, b) = stats(content), stats(style)
    return b * (content - m) / s + a


# --- modulated_weight -----------------------------------------------------------------------------------

MODULATED = "modulated_weight"
INPUTS = "modulates the input channels"
UNIT = "unit length per sample and output channel"
REACHES = "gradient reaches W and s"


@right(MODULATED)
def by_broadcasting(W, s):
    w = W[None] * s[:, None, :, None, None]
    return w * torch.rsqrt(w.square().sum((2, 3, 4), keepdim=True) + 1e-8)


@right(MODULATED)
def by_einsum(W, s):
    w = torch.einsum("oikl,bi->boikl", W, s)
    return w / torch.einsum("boikl,boikl->bo", w, w).sqrt()[:, :, None, None, None]


@right(MODULATED)
def by_normalize(W, s):
    o, i, k, _ = W.shape
    w = W.view(1, o, i, k * k) * s.view(-1, 1, i, 1)
    return F.normalize(w.flatten(2), dim=2).view(len(s), o, i, k, k)


@right(MODULATED)
def one_kernel_at_a_time(W, s):
    out = []
    for style in s:
        kernels = [kernel * style[:, None, None] for kernel in W]
        out.append(torch.stack([kernel / kernel.norm() for kernel in kernels]))
    return torch.stack(out)


def modulate(W, s):
    return W[None] * s[:, None, :, None, None]


@wrong(MODULATED, caught_by=INPUTS)
def modulates_the_outputs(W, s):
    if W.shape[0] != W.shape[1]:
        s = F.pad(s, (0, max(0, W.shape[0] - W.shape[1])))[:, : W.shape[0]]
    w = W[None] * s[:, :, None, None, None]
    return w / w.square().sum((2, 3, 4), keepdim=True).sqrt().clamp(min=1e-8)


@wrong(MODULATED, caught_by=UNIT)
def never_demodulates(W, s):
    return modulate(W, s)


@wrong(MODULATED, caught_by=UNIT)
def kernel_axes_only(W, s):
    w = modulate(W, s)
    return w / w.square().sum((3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by=UNIT)
def one_length_a_sample(W, s):
    w = modulate(W, s)
    return w / w.square().sum((1, 2, 3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by=UNIT)
def per_input_channel(W, s):
    w = modulate(W, s)
    return w / w.square().sum((1, 3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by=UNIT)
def one_length_for_the_batch(W, s):
    w = modulate(W, s)
    return w / w.square().sum((0, 2, 3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by=UNIT)
def forgets_the_root_of_the_length(W, s):
    w = modulate(W, s)
    return w / w.square().sum((2, 3, 4), keepdim=True)


@wrong(MODULATED, caught_by=UNIT)
def mean_of_squares(W, s):
    w = modulate(W, s)
    return w / w.square().mean((2, 3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by=UNIT)
def by_the_deviation(W, s):
    w = modulate(W, s)
    return w / w.std((2, 3, 4), keepdim=True)


@wrong(MODULATED, caught_by="a style forty times as strong changes no length")
def demodulates_first(W, s):
    return modulate(W / W.flatten(1).norm(dim=1)[:, None, None, None], s)


@wrong(MODULATED, caught_by=INPUTS)
def adds_one_to_the_style(W, s):
    return by_broadcasting(W, s + 1)


@wrong(MODULATED, caught_by=INPUTS)
def drops_the_sign(W, s):
    return by_broadcasting(W, s.abs())


@wrong(MODULATED, caught_by=INPUTS)
def averages_the_styles(W, s):
    return by_broadcasting(W, s.mean(0, keepdim=True).expand_as(s))


@wrong(MODULATED, caught_by=INPUTS)
def forgets_to_modulate(W, s):
    return by_broadcasting(W, torch.ones_like(s))


@wrong(MODULATED, caught_by=UNIT)
def merges_batch_and_outputs(W, s):
    return by_broadcasting(W, s).flatten(0, 1)


@wrong(MODULATED, caught_by=REACHES)
def detaches_the_length(W, s):
    w = modulate(W, s)
    return w / w.detach().square().sum((2, 3, 4), keepdim=True).sqrt()


@wrong(MODULATED, caught_by="a style forty times as strong changes no length")
def modulated_with_a_large_eps(W, s):
    w = W[None] * s[:, None, :, None, None]
    return w / (w.square().sum((2, 3, 4), keepdim=True) + 1e-5).sqrt()


@right("adain")
def adain_by_moments(content, style):
    """The variance as the mean of the squares less the square of the mean."""
    x, y = content.flatten(2), style.flatten(2)
    (mx, my), (qx, qy) = ([z.mean(2, keepdim=True) for z in pair] for pair in ((x, y), (x * x, y * y)))
    spread = torch.sqrt(((qy - my * my).clamp(min=0) + 1e-5) / ((qx - mx * mx).clamp(min=0) + 1e-5))
    return ((x - mx) * spread + my).view_as(content)
