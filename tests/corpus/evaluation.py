"""Right and wrong answers to 06_evaluation."""

import numpy as np
import scipy.linalg
import torch

from tests.corpus import right, wrong

# --- frechet_distance -----------------------------------------------------------------------------------

FRECHET = "frechet_distance"
FEW = "fewer samples than dimensions"
MOVED = "moving a set by c costs ‖c‖²"
LIMITS = "0 for the same set in another order, tr C · (a − 1)² for one stretched by a"


def root(C):
    values, vectors = torch.linalg.eigh(C)
    return vectors @ torch.diag(values.clamp(min=0).sqrt()) @ vectors.T


def covariances(X, Y):
    return torch.cov(X.T), torch.cov(Y.T)


def gap(X, Y):
    return (X.mean(0) - Y.mean(0)).square().sum()


@right(FRECHET)
def by_symmetric_roots(X, Y):
    A, B = covariances(X, Y)
    half = root(A)
    return gap(X, Y) + A.trace() + B.trace() - 2 * root(half @ B @ half).trace()


@right(FRECHET)
def by_eigenvalues_of_the_product(X, Y):
    A, B = covariances(X, Y)
    cross = torch.linalg.eigvals(A @ B).real.clamp(min=0).sqrt().sum()
    return gap(X, Y) + torch.trace(A) + torch.trace(B) - 2 * cross


@right(FRECHET)
def by_scipy(X, Y):
    x, y = X.detach().double().numpy(), Y.detach().double().numpy()
    A, B = np.cov(x, rowvar=False), np.cov(y, rowvar=False)
    half, other = (scipy.linalg.sqrtm(C + 1e-10 * np.eye(len(C))).real for C in (A, B))
    cross = np.linalg.svd(half @ other, compute_uv=False).sum()
    return ((x.mean(0) - y.mean(0)) ** 2).sum() + np.trace(A) + np.trace(B) - 2 * cross


@right(FRECHET)
def by_singular_values_of_the_data(X, Y):
    a = (X - X.mean(0, keepdim=True)) / (len(X) - 1) ** 0.5
    b = (Y - Y.mean(0, keepdim=True)) / (len(Y) - 1) ** 0.5
    return float(gap(X, Y) + (a**2).sum() + (b**2).sum() - 2 * torch.linalg.matrix_norm(a @ b.mT, "nuc"))


@right(FRECHET)
def by_an_offset_on_the_diagonal(X, Y):
    A, B = (C.double() + 1e-12 * torch.eye(len(C)) for C in covariances(X, Y))
    values = torch.linalg.eigvals(A @ B)
    return (gap(X, Y) + A.trace() + B.trace() - 2 * values.sqrt().real.sum()).to(X.dtype)


def frechet(X, Y, A=None, B=None, mean=None, cross=None):
    own = covariances(X, Y)
    A, B = own[0] if A is None else A, own[1] if B is None else B
    half = root(A)
    cross = root(half @ B @ half).trace() if cross is None else cross
    return (gap(X, Y) if mean is None else mean) + A.trace() + B.trace() - 2 * cross


@wrong(FRECHET, caught_by="value")
def divides_by_n(X, Y):
    return frechet(X, Y, torch.cov(X.T, correction=0), torch.cov(Y.T, correction=0))


@wrong(FRECHET, caught_by="value")
def takes_the_root(X, Y):
    return frechet(X, Y).clamp(min=0).sqrt()


@wrong(FRECHET, caught_by=MOVED)
def forgets_to_square_the_means(X, Y):
    return frechet(X, Y, mean=(X.mean(0) - Y.mean(0)).norm())


@wrong(FRECHET, caught_by=MOVED)
def averages_the_means(X, Y):
    return frechet(X, Y, mean=(X.mean(0) - Y.mean(0)).square().mean())


@wrong(FRECHET, caught_by="value")
def forgets_the_two(X, Y):
    A, B = covariances(X, Y)
    half = root(A)
    return frechet(X, Y, cross=root(half @ B @ half).trace() / 2)


@wrong(FRECHET, caught_by="value")
def roots_entry_by_entry(X, Y):
    A, B = covariances(X, Y)
    return frechet(X, Y, cross=(A @ B).clamp(min=0).sqrt().trace())


@wrong(FRECHET, caught_by="value")
def multiplies_entry_by_entry(X, Y):
    A, B = covariances(X, Y)
    return frechet(X, Y, cross=(A * B).abs().sqrt().trace())


@wrong(FRECHET, caught_by="value")
def supposes_that_they_commute(X, Y):
    A, B = covariances(X, Y)
    return frechet(X, Y, cross=(root(A) @ root(B)).trace())


@wrong(FRECHET, caught_by="value")
def looks_at_diagonals(X, Y):
    return gap(X, Y) + (X.std(0) - Y.std(0)).square().sum()


@wrong(FRECHET, caught_by="value")
def forgets_the_root(X, Y):
    A, B = covariances(X, Y)
    return frechet(X, Y, cross=(A @ B).trace())


@wrong(FRECHET, caught_by="value")
def forgets_to_centre(X, Y):
    A, B = X.T @ X / (len(X) - 1), Y.T @ Y / (len(Y) - 1)
    return frechet(X, Y, A, B)


@wrong(FRECHET, caught_by=FEW)
def uses_cholesky(X, Y):
    A, B = covariances(X, Y)
    L = torch.linalg.cholesky(A)
    return frechet(X, Y, cross=root(L.T @ B @ L).trace())


@wrong(FRECHET, caught_by=FEW)
def roots_of_negative_rounding(X, Y):
    A, B = covariances(X, Y)
    return gap(X, Y) + A.trace() + B.trace() - 2 * torch.linalg.eigvals(A @ B).real.sub(1e-9).sqrt().sum()


@wrong(FRECHET, caught_by=FEW)
def takes_rows_for_features(X, Y):
    A, B = torch.cov(X), torch.cov(Y)
    n = min(len(A), len(B))
    return gap(X, Y) + A.trace() + B.trace() - 2 * (root(A[:n, :n]) @ root(B[:n, :n])).trace()


@wrong(FRECHET, caught_by="value")
def takes_lower_eigenvalues_of_an_asymmetric_product(X, Y):
    A, B = covariances(X, Y)
    return frechet(X, Y, cross=torch.linalg.eigvalsh(A @ B).clamp(min=0).sqrt().sum())


@wrong(FRECHET, caught_by="value")
def compares_means_only(X, Y):
    return gap(X, Y)


@wrong(FRECHET, caught_by="value")
def compares_covariances_by_norm(X, Y):
    A, B = covariances(X, Y)
    return gap(X, Y) + (A - B).square().sum()


# --- kid ------------------------------------------------------------------------------------------------

WIDE = "the dot product is divided by D"
BELOW = "a set against itself falls below zero"
EQUAL = "as many of one as of the other"


def kernel(A, B, scale=None, degree=3, shift=1):
    return (A @ B.T / (A.shape[1] if scale is None else scale) + shift) ** degree


def off_diagonal(K):
    return (K.sum() - K.diagonal().sum()) / (len(K) * (len(K) - 1))


@right("kid")
def by_sums(X, Y):
    return off_diagonal(kernel(X, X)) + off_diagonal(kernel(Y, Y)) - 2 * kernel(X, Y).mean()


@right("kid")
def by_a_mask(X, Y):
    def within(A):
        K = torch.einsum("id,jd->ij", A, A).div(A.size(1)).add(1).pow(3)
        return K[~torch.eye(len(A), dtype=torch.bool)].mean()

    return within(X) + within(Y) - 2 * torch.einsum("id,jd->ij", X, Y).div(X.size(1)).add(1).pow(3).mean()


@right("kid")
def by_loops(X, Y):
    def k(a, b):
        return (float(a @ b) / len(a) + 1) ** 3

    n, m = len(X), len(Y)
    xx = sum(k(X[i], X[j]) for i in range(n) for j in range(n) if i != j) / (n * (n - 1))
    yy = 2 * sum(k(Y[i], Y[j]) for i in range(m) for j in range(i)) / (m * (m - 1))
    return xx + yy - 2 * sum(k(x, y) for x in X for y in Y) / (n * m)


@right("kid")
def by_one_big_matrix(X, Y):
    Z, n, m = torch.cat([X, Y]), len(X), len(Y)
    K = kernel(Z, Z)
    K = K - torch.diag(K.diagonal())
    w = torch.cat([torch.full((n,), 1.0 / n), torch.full((m,), -1.0 / m)]).to(X)
    weights = torch.outer(w, w)
    weights[:n, :n] *= n / (n - 1)
    weights[n:, n:] *= m / (m - 1)
    return (weights * K).sum()


@wrong("kid", caught_by="value")
def keeps_the_diagonal(X, Y):
    return kernel(X, X).mean() + kernel(Y, Y).mean() - 2 * kernel(X, Y).mean()


@wrong("kid", caught_by="value")
def takes_the_diagonal_from_the_sum_only(X, Y):
    xx, yy = kernel(X, X), kernel(Y, Y)
    return (xx.sum() - xx.trace()) / len(X) ** 2 + (yy.sum() - yy.trace()) / len(Y) ** 2 - 2 * kernel(X, Y).mean()


@wrong("kid", caught_by="value")
def divides_by_n_times_n_minus_one_only(X, Y):
    n, m = len(X), len(Y)
    return kernel(X, X).sum() / (n * (n - 1)) + kernel(Y, Y).sum() / (m * (m - 1)) - 2 * kernel(X, Y).mean()


@wrong("kid", caught_by=WIDE)
def forgets_d(X, Y):
    return off_diagonal(kernel(X, X, 1)) + off_diagonal(kernel(Y, Y, 1)) - 2 * kernel(X, Y, 1).mean()


@wrong("kid", caught_by=WIDE)
def divides_by_the_count(X, Y):
    n, m = len(X), len(Y)
    return off_diagonal(kernel(X, X, n)) + off_diagonal(kernel(Y, Y, m)) - 2 * kernel(X, Y, n).mean()


@wrong("kid", caught_by="value")
def squares_the_kernel(X, Y):
    return (
        off_diagonal(kernel(X, X, degree=2)) + off_diagonal(kernel(Y, Y, degree=2)) - 2 * kernel(X, Y, degree=2).mean()
    )


@wrong("kid", caught_by="value")
def forgets_the_one(X, Y):
    return off_diagonal(kernel(X, X, shift=0)) + off_diagonal(kernel(Y, Y, shift=0)) - 2 * kernel(X, Y, shift=0).mean()


@wrong("kid", caught_by="value")
def counts_the_cross_term_once(X, Y):
    return off_diagonal(kernel(X, X)) + off_diagonal(kernel(Y, Y)) - kernel(X, Y).mean()


@wrong("kid", caught_by=BELOW)
def clamps_at_zero(X, Y):
    return by_sums(X, Y).clamp(min=0)


@wrong("kid", caught_by=BELOW)
def takes_the_absolute_value(X, Y):
    return by_sums(X, Y).abs()


@wrong("kid", caught_by="value")
def takes_kids_root(X, Y):
    return by_sums(X, Y).clamp(min=0).sqrt()


@wrong("kid", caught_by=EQUAL)
def leaves_the_diagonal_out_of_the_cross_term(X, Y):
    K = kernel(X, Y)
    cross = off_diagonal(K) if len(X) == len(Y) else K.mean()
    return off_diagonal(kernel(X, X)) + off_diagonal(kernel(Y, Y)) - 2 * cross


@wrong("kid", caught_by="value")
def cuts_to_the_smaller_set(X, Y):
    n = min(len(X), len(Y))
    return by_sums(X[:n], Y[:n])


@wrong("kid", caught_by="value")
def uses_a_gaussian_kernel(X, Y):
    def k(A, B):
        return torch.exp(-(torch.cdist(A, B) ** 2) / 2 / A.shape[1])

    return off_diagonal(k(X, X)) + off_diagonal(k(Y, Y)) - 2 * k(X, Y).mean()


# --- knn_precision_recall -------------------------------------------------------------------------------

KNN = "knn_precision_recall"
ANOTHER = "k = 1: the nearest other point"
EDGE = "on the edge is inside"
TWIN = "a twin is a neighbour"


def radii(A, k):
    return torch.cdist(A, A).sort(dim=1).values[:, k]


def inside(centres, points, k):
    return (torch.cdist(points, centres) <= radii(centres, k)).any(1).to(points.dtype).mean()


@right(KNN)
def by_sorting(R, F, k):
    return inside(R, F, k), inside(F, R, k)


@right(KNN)
def by_kth_values_without_the_diagonal(R, F, k):
    def share(A, B):
        d = (A[:, None] - A[None]).norm(dim=-1)
        d.fill_diagonal_(float("inf"))
        radius = d.kthvalue(k, dim=1).values
        return ((B[:, None] - A[None]).norm(dim=-1) <= radius[None]).any(dim=1).double().mean().item()

    return [share(R, F), share(F, R)]


@right(KNN)
def by_loops_over_points(R, F, k):
    def squared(a, b):
        return sum((float(u) - float(v)) ** 2 for u, v in zip(a, b, strict=True))

    def share(A, B):
        radius = [sorted(squared(a, b) for j, b in enumerate(A) if j != i)[k - 1] for i, a in enumerate(A)]
        return sum(any(squared(b, a) <= r for a, r in zip(A, radius, strict=True)) for b in B) / len(B)

    return share(R, F), share(F, R)


@right(KNN)
def by_topk_of_squares(R, F, k):
    def squared(A, B):
        return (A**2).sum(1)[:, None] + (B**2).sum(1)[None] - 2 * A @ B.T

    def share(A, B):
        radius = squared(A, A).topk(k + 1, largest=False).values.max(1).values
        return (squared(A, B) <= radius[:, None]).max(0).values.float().mean()

    return share(R, F), share(F, R)


def two(share):
    return lambda R, F, k: (share(R, F, k), share(F, R, k))


def ball(centres, points, k, radius, compare=torch.le):
    return compare(torch.cdist(points, centres), radius).any(1).to(points.dtype).mean()


def judged_points_radius(A, B, k):
    return (torch.cdist(B, A) <= radii(B, k)[:, None]).any(1).to(A.dtype).mean()


def without_zeros(A):
    d = torch.cdist(A, A)
    return d.masked_fill(d == 0, float("inf"))


KNN_MISTAKES = {
    "swaps_the_two": ("precision", lambda R, F, k: (inside(F, R, k), inside(R, F, k))),
    "counts_itself": (ANOTHER, two(lambda A, B, k: ball(A, B, k, radii(A, k - 1)))),
    "goes_one_too_far": ("precision", two(lambda A, B, k: inside(A, B, min(k + 1, len(A) - 1)))),
    "leaves_the_edge_out": (EDGE, two(lambda A, B, k: ball(A, B, k, radii(A, k), torch.lt))),
    "masks_by_distance_zero": (TWIN, two(lambda A, B, k: ball(A, B, k, without_zeros(A).sort(1).values[:, k - 1]))),
    "takes_the_wrong_axis": ("precision", two(judged_points_radius)),
    "counts_the_balls": (
        "precision",
        two(lambda A, B, k: (torch.cdist(B, A) <= radii(A, k)).any(0).to(A.dtype).mean()),
    ),
    "asks_for_every_ball": (
        "precision",
        two(lambda A, B, k: (torch.cdist(B, A) <= radii(A, k)).all(1).double().mean()),
    ),
    "averages_the_radii": ("precision", two(lambda A, B, k: ball(A, B, k, radii(A, k).mean()))),
    "one_big_radius": ("precision", two(lambda A, B, k: ball(A, B, k, radii(A, k).max()))),
    "averages_over_pairs": ("precision", two(lambda A, B, k: (torch.cdist(B, A) <= radii(A, k)).double().mean())),
    "measures_by_city_blocks": (
        "precision",
        two(
            lambda A, B, k: (
                (torch.cdist(B, A, p=1) <= torch.cdist(A, A, p=1).sort(1).values[:, k]).any(1).double().mean()
            )
        ),
    ),
    "counts_instead_of_sharing": ("precision", two(lambda A, B, k: inside(A, B, k) * len(B))),
    "uses_squared_distances_once": ("precision", two(lambda A, B, k: ball(A, B, k, radii(A, k) ** 2))),
    "gives_precision_twice": ("recall", lambda R, F, k: (inside(R, F, k), inside(R, F, k))),
    "gives_precision_alone": ("recall", lambda R, F, k: inside(R, F, k)),
    "ignores_k": ("precision", two(lambda A, B, k: inside(A, B, 1))),
    "nearest_of_both_sets": (
        "precision",
        two(lambda A, B, k: ball(A, B, k, torch.cdist(A, torch.cat([A, B])).sort(1).values[:, k])),
    ),
}
for name, (caught_by, mistake) in KNN_MISTAKES.items():
    mistake.__name__ = name
    wrong(KNN, caught_by=caught_by)(mistake)
