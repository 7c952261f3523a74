"""Right and wrong answers to 04_likelihood."""

import numpy as np
import torch

from tests.corpus import right, wrong

# --- pixelcnn_mask --------------------------------------------------------------------------------------

ROWS = "rows above are seen, rows below are not"
OWN_ROW = "in the row of the centre, the left is seen and the right is not"
CENTRE = "A hides the centre, B shows it"
LATER = "a masked convolution never sees what comes later"
SINGLE = "k = 1: A sees nothing, B sees itself"


@right("pixelcnn_mask")
def by_slices(k, kind):
    mask = torch.zeros(k, k)
    mask[: k // 2] = 1
    mask[k // 2, : k // 2 + (kind == "B")] = 1
    return mask


@right("pixelcnn_mask")
def by_counting(k, kind):
    return (torch.arange(k * k) < k * k // 2 + (kind == "B")).view(k, k).to(torch.float64)


@right("pixelcnn_mask")
def as_truth_values(k, kind):
    place = torch.arange(k * k).reshape(k, k)
    return place <= place[k // 2, k // 2] if kind == "B" else place < place[k // 2, k // 2]


@right("pixelcnn_mask")
def as_whole_numbers(k, kind):
    c = k // 2
    return torch.tensor(
        [[int((i, j) < (c, c) or ((i, j) == (c, c) and kind == "B")) for j in range(k)] for i in range(k)]
    )


@right("pixelcnn_mask")
def by_taking_away(k, kind):
    mask = torch.ones(k, k)
    mask[k // 2 + 1 :] = 0
    mask[k // 2, k // 2 + 1 :] = 0
    if kind == "A":
        mask[k // 2, k // 2] = 0
    return mask


@wrong("pixelcnn_mask", caught_by=CENTRE)
def swaps_the_kinds(k, kind):
    return by_slices(k, "B" if kind == "A" else "A")


@wrong("pixelcnn_mask", caught_by=CENTRE)
def always_hides(k, kind):
    return by_slices(k, "A")


@wrong("pixelcnn_mask", caught_by=CENTRE)
def asks_for_small_letters(k, kind):
    return by_slices(k, "B" if kind == "b" else "A")


@wrong("pixelcnn_mask", caught_by=ROWS)
def transposes(k, kind):
    return by_slices(k, kind).T


@wrong("pixelcnn_mask", caught_by=ROWS)
def upside_down(k, kind):
    return by_slices(k, kind).flip(0, 1)


@wrong("pixelcnn_mask", caught_by=OWN_ROW)
def sees_its_whole_row(k, kind):
    mask = by_slices(k, kind)
    mask[k // 2, k // 2 + 1 :] = 1
    return mask


@wrong("pixelcnn_mask", caught_by=OWN_ROW)
def hides_its_whole_row(k, kind):
    mask = by_slices(k, kind)
    mask[k // 2, : k // 2] = 0
    return mask


@wrong("pixelcnn_mask", caught_by=OWN_ROW)
def looks_to_the_right(k, kind):
    return by_slices(k, kind).flip(1)


@wrong("pixelcnn_mask", caught_by=ROWS)
def is_a_triangle(k, kind):
    return torch.tril(torch.ones(k, k), diagonal=-1 if kind == "A" else 0)


@wrong("pixelcnn_mask", caught_by=ROWS)
def hides_only_the_centre(k, kind):
    mask = torch.ones(k, k)
    if kind == "A":
        mask[k // 2, k // 2] = 0
    return mask


@wrong("pixelcnn_mask", caught_by=ROWS)
def inverts_the_mask(k, kind):
    return 1 - by_slices(k, kind)


@wrong("pixelcnn_mask", caught_by=ROWS)
def sees_only_up_and_left(k, kind):
    mask = torch.zeros(k, k)
    mask[: k // 2 + 1, : k // 2 + 1] = 1
    mask[k // 2, k // 2] = float(kind == "B")
    return mask


@wrong("pixelcnn_mask", caught_by=ROWS)
def a_row_too_many(k, kind):
    mask = by_slices(k, kind)
    mask[: k // 2 + 1] = 1
    mask[k // 2 + 1 : k // 2 + 2] = 1
    return mask


@wrong("pixelcnn_mask", caught_by=ROWS)
def in_numpy(k, kind):
    return np.array(by_slices(k, kind))


@wrong("pixelcnn_mask", caught_by=SINGLE)
def forgets_the_smallest(k, kind):
    return by_slices(k, kind) if k > 1 else torch.ones(1, 1)


@wrong("pixelcnn_mask", caught_by=ROWS)
def sees_everything(k, kind):
    return torch.ones(k, k)


@wrong("pixelcnn_mask", caught_by=ROWS)
def sees_nothing(k, kind):
    return torch.zeros(k, k)


@wrong("pixelcnn_mask", caught_by=LATER)
def knows_three_alone(k, kind):
    mask = torch.zeros(k, k)
    mask[:1] = 1
    mask[1:2, : 1 + (kind == "B")] = 1
    return mask


# --- affine_coupling ------------------------------------------------------------------------------------

COUPLING = "affine_coupling"
LOGDET = "log-determinant: one number a sample"
UNDOES = "the inverse undoes it"
MINUS = "the inverse's log-determinant is −sum s"
TRAINED = "the net can be trained"


@right(COUPLING)
def by_chunks(x, net, inverse=False):
    a, b = x.chunk(2, dim=1)
    s, t = net(a)
    if inverse:
        return torch.cat([a, (b - t) * torch.exp(-s)], dim=1), -s.sum(dim=1)
    return torch.cat([a, b * torch.exp(s) + t], dim=1), s.sum(dim=1)


@right(COUPLING)
def by_halves_in_a_list(x, net, inverse=False):
    d = x.size(-1) // 2
    s, t = net(x[:, :d])
    out = x.clone()
    out[:, d:] = (x[:, d:] - t) / s.exp() if inverse else torch.addcmul(t, x[:, d:], s.exp())
    return [out, (-1) ** inverse * torch.einsum("bd->b", s)]


@right(COUPLING)
def one_sample_at_a_time(x, net, inverse=False):
    rows, logdets = [], []
    for one in x:
        a, b = one.split(len(one) // 2)
        s, t = (v[0] for v in net(a[None]))
        rows.append(torch.cat([a, (b - t) / s.exp() if inverse else b * s.exp() + t]))
        logdets.append(-s.sum() if inverse else s.sum())
    return torch.stack(rows), torch.stack(logdets)


@right(COUPLING)
def by_log_of_the_scale(x, net, inverse=False):
    a, b = torch.tensor_split(x, 2, dim=-1)
    s, t = net(a)
    scale = torch.exp(s)
    y = (b - t) / scale if inverse else scale * b + t
    logdet = scale.prod(dim=-1).log()
    return torch.hstack((a, y)), -logdet if inverse else logdet


def layer(forward, backward=None, logdet=lambda s: s.sum(1), back=None):
    """A coupling layer with its steps exchanged for mistaken ones; each step sees (a, b, s, t)."""
    backward = backward or (lambda a, b, s, t: torch.cat([a, (b - t) * (-s).exp()], 1))
    back = back or (lambda s: -logdet(s))

    def coupling(x, net, inverse=False):
        a, b = x.chunk(2, dim=1)
        s, t = net(a)
        return (backward if inverse else forward)(a, b, s, t), (back if inverse else logdet)(s)

    return coupling


def fine(a, b, s, t):
    return torch.cat([a, b * s.exp() + t], 1)


MISTAKES = {
    "forgets_exp": ("forward", layer(lambda a, b, s, t: torch.cat([a, b * s + t], 1))),
    "shifts_first": ("forward", layer(lambda a, b, s, t: torch.cat([a, (b + t) * s.exp()], 1))),
    "moves_both_halves": ("forward", layer(lambda a, b, s, t: torch.cat([a * s.exp() + t, b * s.exp() + t], 1))),
    "puts_the_moved_half_first": ("forward", layer(lambda a, b, s, t: torch.cat([b * s.exp() + t, a], 1))),
    "returns_one_half": ("forward", layer(lambda a, b, s, t: b * s.exp() + t)),
    "squashes_s": ("forward", layer(lambda a, b, s, t: torch.cat([a, b * s.tanh().exp() + t], 1))),
    "forgets_the_shift": ("forward", layer(lambda a, b, s, t: torch.cat([a, b * s.exp()], 1))),
    "swaps_s_and_t": ("forward", layer(lambda a, b, s, t: torch.cat([a, b * t.exp() + s], 1))),
    "averages_the_logs": (LOGDET, layer(fine, logdet=lambda s: s.mean(1))),
    "sums_over_the_batch": (LOGDET, layer(fine, logdet=lambda s: s.sum(0))),
    "one_logdet_for_all": (LOGDET, layer(fine, logdet=lambda s: s.sum())),
    "a_logdet_an_element": (LOGDET, layer(fine, logdet=lambda s: s)),
    "sums_the_scales": (LOGDET, layer(fine, logdet=lambda s: s.exp().sum(1))),
    "keeps_an_axis": (LOGDET, layer(fine, logdet=lambda s: s.sum(1, keepdim=True))),
    "turns_the_logdets_round": (LOGDET, layer(fine, logdet=lambda s: -s.sum(1))),
    "one_sign_for_both": (MINUS, layer(fine, back=lambda s: s.sum(1))),
    "divides_first": (UNDOES, layer(fine, lambda a, b, s, t: torch.cat([a, b * (-s).exp() - t], 1))),
    "ignores_inverse": (UNDOES, layer(fine, fine)),
    "multiplies_back": (UNDOES, layer(fine, lambda a, b, s, t: torch.cat([a, (b - t) * s.exp()], 1))),
    "cuts_the_scale": (TRAINED, layer(lambda a, b, s, t: torch.cat([a, b * s.detach().exp() + t], 1))),
    "cuts_the_logdet": (TRAINED, layer(fine, logdet=lambda s: s.detach().sum(1))),
}
for name, (caught_by, mistake) in MISTAKES.items():
    mistake.__name__ = name
    wrong(COUPLING, caught_by=caught_by)(mistake)


@wrong(COUPLING, caught_by="forward")
def gives_the_net_the_second_half(x, net, inverse=False):
    a, b = x.chunk(2, dim=1)
    s, t = net(b)
    return torch.cat([(a - t) * (-s).exp() if inverse else a * s.exp() + t, b], 1), (-s if inverse else s).sum(1)


@wrong(COUPLING, caught_by="forward")
def conditions_on_what_it_moves(x, net, inverse=False):
    a, b = x.chunk(2, dim=1)
    s, t = net(b)
    return torch.cat([a, (b - t) * (-s).exp() if inverse else b * s.exp() + t], 1), (-s if inverse else s).sum(1)


@wrong(COUPLING, caught_by="forward")
def takes_every_other_column(x, net, inverse=False):
    a, b = x[:, ::2], x[:, 1::2]
    s, t = net(a)
    out = x.clone()
    out[:, 1::2] = (b - t) * (-s).exp() if inverse else b * s.exp() + t
    return out, (-s if inverse else s).sum(1)


@wrong(COUPLING, caught_by="leaves its inputs alone")
def writes_into_x(x, net, inverse=False):
    d = x.shape[1] // 2
    s, t = net(x[:, :d].clone())
    x[:, d:] = (x[:, d:] - t).detach() * (-s).exp().detach() if inverse else (x[:, d:] * s.exp() + t).detach()
    return x, (-s if inverse else s).sum(1)


@wrong(COUPLING, caught_by=LOGDET)
def returns_y_alone(x, net, inverse=False):
    return by_chunks(x, net, inverse)[0]


# --- affine_coupling, seen by an adversary --------------------------------------------------------------


@right("affine_coupling")
def by_matrices(x, net, inverse=False):
    first, second = torch.split(x, x.shape[-1] // 2, dim=-1)
    s, t = net(first)
    J = torch.diag_embed(s.exp())
    logdet = torch.linalg.slogdet(J).logabsdet
    if inverse:
        return torch.cat((first, torch.linalg.solve(J, (second - t)[..., None])[..., 0]), -1), -logdet
    return torch.cat((first, torch.bmm(J, second[..., None])[..., 0] + t), -1), logdet


def coupling(x, net, inverse, squash=lambda s: s):
    first, second = x.chunk(2, 1)
    s, t = net(first)
    s = squash(s)
    moved = (second - t) * (-s).exp() if inverse else second * s.exp() + t
    return torch.cat([first, moved], 1), -s.sum(1) if inverse else s.sum(1)


@wrong("affine_coupling", caught_by="forward")
def clamps_large_scales(x, net, inverse=False):
    return coupling(x, net, inverse, lambda s: s.clamp(-5, 5))


@wrong("affine_coupling", caught_by="the net can be trained")
def the_net_sees_a_copy_without_a_graph(x, net, inverse=False):
    return coupling(x, lambda first: net(first.detach()), inverse)


@wrong("affine_coupling", caught_by="the net can be trained")
def no_gradient_on_the_way_back(x, net, inverse=False):
    y, logdet = coupling(x, net, inverse)
    return (y.detach(), logdet.detach()) if inverse else (y, logdet)
