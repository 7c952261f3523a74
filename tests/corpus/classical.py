"""Right and wrong answers to the questions of 01_classical."""

import numpy as np
import torch
import torch.nn.functional as F

from tests.corpus import right, wrong

# pca_reconstruct


@right("pca_reconstruct")
def by_svd(X, k):
    mean = X.mean(0, keepdim=True)
    U, S, Vh = torch.linalg.svd(X - mean, full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k] + mean


@right("pca_reconstruct")
def by_covariance(X, k):
    mean = X.mean(0)
    V = torch.linalg.eigh(torch.cov((X - mean).T)).eigenvectors[:, -k:]
    return torch.einsum("nd,dk,ek->ne", X - mean, V, V) + mean


@right("pca_reconstruct")
def by_numpy(X, k):
    x = X.numpy().astype(np.float64)
    centred = x - x.mean(axis=0)
    _, _, vh = np.linalg.svd(centred)
    return torch.from_numpy(sum(np.outer(centred @ v, v) for v in vh[:k]) + x.mean(axis=0)).to(X.dtype)


@right("pca_reconstruct")
def by_deflation(X, k):
    mean, rest, out = X.double().mean(0), X.double() - X.double().mean(0), 0
    for _ in range(k):
        v = torch.ones(X.shape[1], dtype=torch.float64) / 3
        for _ in range(400):
            v = rest.T @ (rest @ v)
            v = v / v.norm()
        part = torch.outer(rest @ v, v)
        rest, out = rest - part, out + part
    return (out + mean).to(X.dtype)


@wrong("pca_reconstruct", caught_by="moving the cloud moves the result")
def without_centring(X, k):
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k]


@wrong("pca_reconstruct", caught_by="moving the cloud moves the result")
def mean_not_added_back(X, k):
    U, S, Vh = torch.linalg.svd(X - X.mean(0), full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k]


@wrong("pca_reconstruct", caught_by="value")
def centred_by_rows(X, k):
    mean = X.mean(1, keepdim=True)
    U, S, Vh = torch.linalg.svd(X - mean, full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k] + mean


@wrong("pca_reconstruct", caught_by="value")
def centred_by_one_number(X, k):
    U, S, Vh = torch.linalg.svd(X - X.mean(), full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k] + X.mean()


@wrong("pca_reconstruct", caught_by="value")
def smallest_directions(X, k):
    mean = X.mean(0)
    V = torch.linalg.eigh(torch.cov(X.T)).eigenvectors[:, :k]
    return (X - mean) @ V @ V.T + mean


@wrong("pca_reconstruct", caught_by="value")
def eigenvectors_as_rows(X, k):
    mean = X.mean(0)
    V = torch.linalg.eigh(torch.cov(X.T)).eigenvectors.flip(0)[:k].T
    return (X - mean) @ V @ V.T + mean


@wrong("pca_reconstruct", caught_by="value")
def columns_of_vh(X, k):
    mean = X.mean(0)
    V = torch.linalg.svd(X - mean, full_matrices=True).Vh[:, :k]
    return (X - mean) @ V @ V.T + mean


@wrong("pca_reconstruct", caught_by="value")
def standardised(X, k):
    mean, std = X.mean(0), X.std(0)
    U, S, Vh = torch.linalg.svd((X - mean) / std, full_matrices=False)
    return (U[:, :k] * S[:k] @ Vh[:k]) * std + mean


@wrong("pca_reconstruct", caught_by="exactly k directions are left")
def one_direction_too_many(X, k):
    mean = X.mean(0)
    U, S, Vh = torch.linalg.svd(X - mean, full_matrices=False)
    return U[:, : k + 1] * S[: k + 1] @ Vh[: k + 1] + mean


@wrong("pca_reconstruct", caught_by="value")
def the_first_columns(X, k):
    out = X.mean(0).repeat(len(X), 1)
    out[:, :k] = X[:, :k]
    return out


@wrong("pca_reconstruct", caught_by="all D directions give X back, fewer do not")
def forgets_the_singular_values(X, k):
    mean = X.mean(0)
    U, _, Vh = torch.linalg.svd(X - mean, full_matrices=False)
    return U[:, :k] @ Vh[:k] + mean


@wrong("pca_reconstruct", caught_by="value")
def returns_the_codes(X, k):
    V = torch.linalg.svd(X - X.mean(0), full_matrices=False).Vh[:k].T
    return (X - X.mean(0)) @ V


@wrong("pca_reconstruct", caught_by="leaves its inputs alone")
def centres_in_place(X, k):
    mean = X.mean(0)
    X -= mean
    U, S, Vh = torch.linalg.svd(X, full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k] + mean


@wrong("pca_reconstruct", caught_by="fewer samples than dimensions")
def basis_of_the_samples(X, k):
    mean = X.mean(0)
    if len(X) < X.shape[1]:
        return X[:k].mean(0).repeat(len(X), 1)
    U, S, Vh = torch.linalg.svd(X - mean, full_matrices=False)
    return U[:, :k] * S[:k] @ Vh[:k] + mean


# affine_warp


@right("affine_warp")
def warp_by_loops(img, A):
    H, W = img.shape
    back, out = torch.linalg.inv(A), torch.zeros_like(img)
    for y in range(H):
        for x in range(W):
            u, v, _ = (back @ torch.tensor([x, y, 1], dtype=A.dtype)).tolist()
            u, v = round(u), round(v)
            if 0 <= u < W and 0 <= v < H:
                out[y, x] = img[v, u]
    return out


@right("affine_warp")
def warp_by_a_grid(img, A):
    H, W = img.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1).to(A.dtype)
    u, v, _ = torch.linalg.solve(A, points).round().long()
    inside = (u >= 0) & (u < W) & (v >= 0) & (v < H)
    return (img[v.clamp(0, H - 1), u.clamp(0, W - 1)] * inside).reshape(H, W)


@right("affine_warp")
def warp_by_grid_sample(img, A):
    H, W = img.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    at = torch.stack([x, y, torch.ones_like(x)], -1).double() @ torch.linalg.inv(A.double()).T
    grid = torch.stack([2 * at[..., 0] / (W - 1) - 1, 2 * at[..., 1] / (H - 1) - 1], -1)
    return F.grid_sample(img.double()[None, None], grid[None], mode="nearest", align_corners=True)[0, 0].to(img.dtype)


@right("affine_warp")
def warp_in_a_frame_of_zeros(img, A):
    H, W = img.shape
    framed = F.pad(img, (1, 1, 1, 1))
    index = torch.stack(torch.meshgrid(torch.arange(W), torch.arange(H), indexing="xy"), -1).to(A.dtype)
    back = A.inverse()
    at = torch.floor(index @ back[:2, :2].T + back[:2, 2] + 0.5).long()
    return framed[at[..., 1].clamp(-1, H) + 1, at[..., 0].clamp(-1, W) + 1]


def looked_up(img, M, round_=torch.round, centre=(0, 0), swap=False, clamp=False):
    """Inverse mapping through M, with the mistake asked for."""
    H, W = img.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    x, y = x - centre[0], y - centre[1]
    points = torch.stack([y, x, torch.ones_like(x)] if swap else [x, y, torch.ones_like(x)]).reshape(3, -1)
    u, v, _ = M @ points.to(M.dtype)
    u, v = (v, u) if swap else (u, v)
    u, v = round_(u + centre[0]).long(), round_(v + centre[1]).long()
    inside = (u >= 0) & (u < W) & (v >= 0) & (v < H) | torch.tensor(clamp)
    return (img[v.clamp(0, H - 1), u.clamp(0, W - 1)] * inside).reshape(H, W)


@wrong("affine_warp", caught_by="a shift goes the right way")
def looks_up_by_a(img, A):
    return looked_up(img, A)


@wrong("affine_warp", caught_by="no holes when it grows")
def pushes_pixels_forward(img, A):
    H, W = img.shape
    out = torch.zeros_like(img)
    for y in range(H):
        for x in range(W):
            u, v, _ = (A @ torch.tensor([x, y, 1], dtype=A.dtype)).round().long().tolist()
            if 0 <= u < W and 0 <= v < H:
                out[v, u] = img[y, x]
    return out


@wrong("affine_warp", caught_by="x is the column, y is the row")
def rows_for_x(img, A):
    return looked_up(img, A.inverse(), swap=True)


@wrong("affine_warp", caught_by="round first, then fill with 0 outside")
def floors(img, A):
    return looked_up(img, A.inverse(), torch.floor)


@wrong("affine_warp", caught_by="round first, then fill with 0 outside")
def truncates(img, A):
    return looked_up(img, A.inverse(), torch.trunc)


@wrong("affine_warp", caught_by="round first, then fill with 0 outside")
def repeats_the_edge(img, A):
    return looked_up(img, A.inverse(), clamp=True)


@wrong("affine_warp", caught_by="turn, zoom and shear at once")
def turns_about_the_centre(img, A):
    return looked_up(img, A.inverse(), centre=(5, 3))


@wrong("affine_warp", caught_by="a shift goes the right way")
def forgets_the_shift(img, A):
    B = A.clone()
    B[:2, 2] = 0
    return looked_up(img, B.inverse())


@wrong("affine_warp", caught_by="turn, zoom and shear at once")
def transposes_for_inverse(img, A):
    B = A.clone()
    B[:2, :2] = A[:2, :2].T
    B[:2, 2] = -B[:2, :2] @ A[:2, 2]
    return looked_up(img, B)


@wrong("affine_warp", caught_by="turn, zoom and shear at once")
def subtracts_the_shift_last(img, A):
    B = A.inverse()
    B[:2, 2] = -A[:2, 2]
    return looked_up(img, B)


@wrong("affine_warp", caught_by="round first, then fill with 0 outside")
def mixes_neighbours(img, A):
    H, W = img.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    at = torch.stack([x, y, torch.ones_like(x)], -1).to(A.dtype) @ A.inverse().T
    grid = torch.stack([2 * at[..., 0] / (W - 1) - 1, 2 * at[..., 1] / (H - 1) - 1], -1)
    return F.grid_sample(img[None, None], grid[None], align_corners=True)[0, 0]


@wrong("affine_warp", caught_by="round first, then fill with 0 outside")
def outside_before_rounding(img, A):
    H, W = img.shape
    y, x = torch.meshgrid(torch.arange(H), torch.arange(W), indexing="ij")
    u, v, _ = A.inverse() @ torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1).to(A.dtype)
    inside = (u >= 0) & (u <= W - 1) & (v >= 0) & (v <= H - 1)
    u, v = u.round().long().clamp(0, W - 1), v.round().long().clamp(0, H - 1)
    return (img[v, u] * inside).reshape(H, W)


# min_error_seam


@right("min_error_seam")
def seam_by_a_table(E):
    H, W = E.shape
    total = [row[:] for row in E.tolist()]
    for y in range(1, H):
        for x in range(W):
            total[y][x] += min(total[y - 1][max(0, x - 1) : x + 2])
    seam = [min(range(W), key=total[-1].__getitem__)]
    for y in range(H - 2, -1, -1):
        near = range(max(0, seam[-1] - 1), min(W, seam[-1] + 2))
        seam.append(min(near, key=total[y].__getitem__))
    return seam[::-1]


@right("min_error_seam")
def seam_from_below(E):
    H, W = E.shape
    least, step = E[-1].clone(), []
    for y in range(H - 2, -1, -1):
        walled = F.pad(least[None, None], (1, 1), value=float("inf"))[0, 0]
        best = torch.stack([walled[:-2], walled[1:-1], walled[2:]]).min(0)
        least, step = E[y] + best.values, [best.indices - 1] + step
    seam = [least.argmin()]
    for move in step:
        seam.append(seam[-1] + move[seam[-1]])
    return tuple(seam)


@right("min_error_seam")
def seam_by_recursion(E):
    H, W = E.shape
    known = {}

    def best(y, x):
        if (y, x) not in known:
            near = [best(y + 1, u) for u in (x - 1, x, x + 1) if 0 <= u < W] if y + 1 < H else [(0.0, [])]
            below, path = min(near, key=lambda found: found[0])
            known[y, x] = (E[y, x].item() + below, [x, *path])
        return known[y, x]

    return min((best(0, x) for x in range(W)), key=lambda found: found[0])[1]


@right("min_error_seam")
def seam_by_numpy(E):
    e = E.numpy().astype(np.float64)
    H, W = e.shape
    table, back = e.copy(), np.zeros((H, W), dtype=int)
    for y in range(1, H):
        for x in range(W):
            low = max(0, x - 1)
            back[y, x] = low + np.argmin(table[y - 1, low : x + 2])
            table[y, x] += table[y - 1, back[y, x]]
    seam = [table[-1].argmin()]
    for y in range(H - 1, 0, -1):
        seam.insert(0, back[y, seam[0]])
    return seam


@wrong("min_error_seam", caught_by="not fooled by a cheap start")
def greedy(E):
    H, W = E.shape
    seam = [int(E[0].argmin())]
    for y in range(1, H):
        near = range(max(0, seam[-1] - 1), min(W, seam[-1] + 2))
        seam.append(min(near, key=lambda x: E[y, x].item()))
    return seam


@wrong("min_error_seam", caught_by="a connected seam")
def least_of_each_row(E):
    return E.argmin(1).tolist()


@wrong("min_error_seam", caught_by="a connected seam")
def a_straight_cut(E):
    return [int(E.sum(0).argmin())] * len(E)


@wrong("min_error_seam", caught_by="right at the edges")
def wraps_around(E):
    H, W = E.shape
    total = E.clone()
    for y in range(1, H):
        up = total[y - 1]
        total[y] += torch.stack([up.roll(1), up, up.roll(-1)]).min(0).values
    seam = [int(total[-1].argmin())]
    for y in range(H - 2, -1, -1):
        near = [(seam[-1] + d) % W for d in (-1, 0, 1)]
        seam.append(min(near, key=lambda x: total[y, x].item()))
    return seam[::-1]


@wrong("min_error_seam", caught_by="the cheapest")
def bottom_up_order(E):
    return seam_by_a_table(E)[::-1]


@wrong("min_error_seam", caught_by="the cheapest")
def rows_for_columns(E):
    return seam_by_a_table(E.T)


@wrong("min_error_seam", caught_by="the cheapest")
def dearest(E):
    return seam_by_a_table(-E)


@wrong("min_error_seam", caught_by="right at the edges")
def keeps_off_the_edges(E):
    H, W = E.shape
    return [x + 1 for x in seam_by_a_table(E[:, 1:-1])] if W > 3 else seam_by_a_table(E)


@wrong("min_error_seam", caught_by="not fooled by a cheap start")
def only_down_and_right(E):
    H, W = E.shape
    total = E.clone()
    for y in range(1, H):
        total[y, 1:] += torch.minimum(total[y - 1, 1:], total[y - 1, :-1])
        total[y, 0] += total[y - 1, 0]
    seam = [int(total[-1].argmin())]
    for y in range(H - 2, -1, -1):
        near = range(max(0, seam[-1] - 1), seam[-1] + 1)
        seam.append(min(near, key=lambda x: total[y, x].item()))
    return seam[::-1]


@wrong("min_error_seam", caught_by="a connected seam")
def retraces_the_errors(E):
    H, W = E.shape
    seam = [int(E[-1].argmin())]
    for y in range(H - 2, -1, -1):
        near = range(max(0, seam[-1] - 2), min(W, seam[-1] + 3))
        seam.append(min(near, key=lambda x: E[y, x].item()))
    return seam[::-1]


@wrong("min_error_seam", caught_by="leaves its inputs alone")
def sums_in_place(E):
    seam = seam_by_a_table(E)
    for y in range(1, len(E)):
        E[y] += E[y - 1]
    return seam


@wrong("min_error_seam", caught_by="a connected seam")
def returns_the_cost(E):
    return sum(E[y, x] for y, x in enumerate(seam_by_a_table(E)))


@wrong("min_error_seam", caught_by="one row, one column")
def starts_at_the_second_row(E):
    return [0] if len(E) == 1 else seam_by_a_table(E)


# the last two questions, seen by an adversary


@right("affine_warp")
def by_grid_sample(img, A):
    height, width = img.shape
    y, x = torch.meshgrid(torch.arange(height).double(), torch.arange(width).double(), indexing="ij")
    source = torch.stack([x, y, torch.ones_like(x)], -1) @ A.double().inverse().T
    at = torch.stack([(2 * source[..., 0].round() + 1) / width - 1, (2 * source[..., 1].round() + 1) / height - 1], -1)
    return F.grid_sample(img.double()[None, None], at[None], mode="nearest", align_corners=False)[0, 0].to(img.dtype)


def looked_up_right(img, A):
    height, width = img.shape
    y, x = torch.meshgrid(torch.arange(height), torch.arange(width), indexing="ij")
    points = torch.stack([x, y, torch.ones_like(x)]).reshape(3, -1).to(A.dtype)
    x, y, _ = torch.linalg.solve(A, points).round().long()
    inside = (x >= 0) & (x < width) & (y >= 0) & (y < height)
    return torch.where(inside, img[y.clamp(0, height - 1), x.clamp(0, width - 1)], 0).reshape(height, width)


@wrong("affine_warp", caught_by="a shift goes the right way")
def thinks_pictures_are_never_negative(img, A):
    return looked_up_right(img, A).clamp(min=0)


@wrong("affine_warp", caught_by="a shift goes the right way")
def clips_at_one(img, A):
    return looked_up_right(img, A).clamp(max=1)


@right("min_error_seam")
def by_dijkstra(E):
    import heapq

    costs = E.tolist()
    queue = [(cost, 0, column, (column,)) for column, cost in enumerate(costs[0])]
    heapq.heapify(queue)
    while queue:
        spent, row, column, seam = heapq.heappop(queue)
        if row == len(costs) - 1:
            return list(seam)
        for step in range(max(0, column - 1), min(len(costs[0]), column + 2)):
            heapq.heappush(queue, (spent + costs[row + 1][step], row + 1, step, (*seam, step)))


def seam_over(E, pad):
    """The usual programme with `pad` beyond both edges."""
    C, back = E[0], []
    for row in E[1:]:
        wide = F.pad(C, (1, 1), value=pad)
        least, which = torch.stack([wide[:-2], wide[1:-1], wide[2:]]).min(0)
        back.append(which - 1)
        C = row + least
    seam = [int(C.argmin())]
    for steps in reversed(back):
        seam.insert(0, min(max(seam[0] + int(steps[seam[0]]), 0), E.shape[1] - 1))
    return seam


@wrong("min_error_seam", caught_by="the cheapest")
def takes_a_thousand_for_infinity(E):
    return seam_over(E, 1000.0)


@wrong("min_error_seam", caught_by="the cheapest")
def half_precision(E):
    return seam_over(E.half(), float("inf"))


@wrong("min_error_seam", caught_by="the cheapest")
def squares_the_errors_once_more(E):
    return seam_over(E**2, float("inf"))


@wrong("min_error_seam", caught_by="right at the edges")
def index_minus_one_on_the_way_down(E):
    C = E.tolist()
    last = len(C[0]) - 1
    for i in range(1, len(C)):
        for j in range(last + 1):
            C[i][j] += min(C[i - 1][q] for q in (j - 1, j, min(j + 1, last)))
    seam = [min(range(last + 1), key=C[-1].__getitem__)]
    for i in range(len(C) - 2, -1, -1):
        seam.append(min(range(max(0, seam[-1] - 1), min(last, seam[-1] + 1) + 1), key=C[i].__getitem__))
    return seam[::-1]
