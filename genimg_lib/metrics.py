"""How good are the pictures? Distances between two sets of pictures, in more than one feature space.

One feature space lies: it cannot see what its features drop. Scores here are taken in two, fixed random convolutions
(texture and layout) and the pixels' principal components (colour and shape), and with two kinds of measure: how far the
two clouds are from each other, and how much of the real cloud is reached.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel
from genimg_lib.nets import mlp

SPACES = ("random", "pca")


def frechet_distance(a: Tensor, b: Tensor) -> Tensor:
    """Squared Fréchet distance of the Gaussians fitted to two clouds of features a: (N, D), b: (M, D).

    |mu_a − mu_b|² + Tr(C_a + C_b − 2 (C_a C_b)^(1/2))   (Heusel et al. 2017, sec. 4), unbiased covariances.
    The trace of the root is the sum of the singular values of X_a X_bᵀ, with X the centred clouds over √(N − 1): no
    matrix root is taken, and rank-deficient covariances are no trouble.
    """
    if a.ndim != 2 or b.ndim != 2 or a.shape[1] != b.shape[1]:
        raise ValueError(f"expected two clouds (N, D) and (M, D), got {tuple(a.shape)} and {tuple(b.shape)}")
    if min(len(a), len(b)) < 2:
        raise ValueError(f"a covariance needs at least 2 samples, got {len(a)} and {len(b)}")
    a, b = a.double(), b.double()
    mean_a, mean_b = a.mean(0), b.mean(0)
    xa, xb = (a - mean_a) / (len(a) - 1) ** 0.5, (b - mean_b) / (len(b) - 1) ** 0.5
    root = torch.linalg.svdvals(factor(xa) @ factor(xb).mT).sum()
    return (mean_a - mean_b).square().sum() + xa.square().sum() + xb.square().sum() - 2 * root


def factor(x: Tensor) -> Tensor:
    """A square factor R with RᵀR = xᵀx, so that thousands of samples cost no more than D."""
    return torch.linalg.qr(x, mode="r").R


def kid(a: Tensor, b: Tensor) -> Tensor:
    """Kernel distance: the unbiased squared MMD with the kernel (x·y / D + 1)³   (Bińkowski et al. 2018, sec. 4).

    a: (N, D), b: (M, D). Its expectation does not depend on N and M; it may come out slightly negative.
    """
    a, b = a.double(), b.double()
    dim = a.shape[1]

    def kernel(x, y):
        return (x @ y.mT / dim + 1) ** 3

    def within(x):
        k = kernel(x, x)
        return (k.sum() - k.diagonal().sum()) / (len(x) * (len(x) - 1))

    return within(a) + within(b) - 2 * kernel(a, b).mean()


def kth_radius(x: Tensor, k: int) -> Tensor:
    """Distance from each of x: (N, D) to its k-th nearest neighbour, itself not counted: (N,)."""
    if not 1 <= k < len(x):
        raise ValueError(f"expected 1 <= k < {len(x)} samples, got k = {k}")
    return torch.cdist(x, x).kthvalue(k + 1, dim=1).values


def precision_recall(real: Tensor, fake: Tensor, k: int = 3) -> tuple[float, float]:
    """Share of fakes inside the real cloud, and of reals inside the fake cloud   (Kynkäänniemi et al. 2019, eq. 1)."""
    distance = torch.cdist(fake, real)
    precision = (distance <= kth_radius(real, k)).any(1).float().mean()
    recall = (distance.mT <= kth_radius(fake, k)).any(1).float().mean()
    return precision.item(), recall.item()


def coverage(real: Tensor, fake: Tensor, k: int = 5) -> float:
    """Share of reals with a fake among their k nearest: how much of it is reached   (Naeem et al. 2020, eq. 4)."""
    return (torch.cdist(real, fake).min(1).values <= kth_radius(real, k)).float().mean().item()


def nearest(x: Tensor, pool: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest picture of `pool` to each of x, in pixels: (distances (N,), indices (N,))."""
    least = torch.cdist(x.flatten(1), pool.flatten(1)).min(1)
    return least.values, least.indices


def nearest_moved(x: Tensor, pool: Tensor, reach: int = 2, components: int = 64) -> tuple[Tensor, Tensor]:
    """As `nearest`, but each of x may first be mirrored and shifted by up to `reach` pixels along both axes.

    Which of the pool is nearest to a moved picture is decided on the pool's principal components, where a search over
    thousands is cheap; the distance that counts is the one in pixels. What a shift uncovers repeats the border.
    """
    flat = pool.flatten(1)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        axes = torch.pca_lowrank(flat, min(components, *flat.shape))[2]
    codes, side, height = flat @ axes, 2 * reach + 1, x.shape[-2]
    best, index = torch.full((len(x),), torch.inf), torch.zeros(len(x), dtype=torch.long)
    for way in (x, x.flip(-1)):
        wide = F.pad(way, (reach,) * 4, mode="replicate")
        for top, left in ((i // side, i % side) for i in range(side**2)):
            moved = wide[..., top : top + height, left : left + x.shape[-1]].flatten(1)
            near = torch.cdist(moved @ axes, codes).argmin(1)
            distance = (moved - flat[near]).norm(dim=1)
            index = torch.where(distance < best, near, index)
            best = torch.minimum(distance, best)
    return best, index


def copy_ratio(x: Tensor, train: Tensor, held_out: Tensor, search=nearest) -> Tensor:
    """How much nearer each of x is to what was trained on than to what was not: (N,), near 0 for a copy.

    The distance to the nearest training picture over that to the nearest held-out one. A face like many others is near
    to both, an odd one far from both; only a copy is near to the first alone. Pools of different sizes shift the ratio:
    compare with that of further held-out pictures. search: `nearest`, or `nearest_moved` against shifts and mirrors.
    """
    return search(x, train)[0] / search(x, held_out)[0].clamp(min=1e-6)


def interval(hits: int, n: int) -> tuple[float, float]:
    """Where the true share may lie, in 95 of 100 cases, if `hits` of n independent trials were hits (Wilson 1927).

    It stays within [0, 1], and zero hits leave room up to about 4 / n.
    """
    from scipy.stats import binomtest  # a quarter of a second to import, and few need it

    if not 0 <= hits <= n or n < 1:
        raise ValueError(f"expected 0 <= hits <= n and n >= 1, got {hits} of {n}")
    share = binomtest(hits, n).proportion_ci(method="wilson")
    return share.low, share.high


def bootstrap(distance, a: Tensor, b: Tensor, n: int = 50, seed: int = 0) -> tuple[float, float]:
    """A distance of two clouds (N, D), (M, D), and its standard error, by drawing both anew from themselves n times.

    A redrawn cloud holds some points twice and lacks others, which moves a distance upwards; so only the spread of the
    redrawn distances is used, not where they lie   (Efron 1979).
    """
    g = torch.Generator().manual_seed(seed)
    again = [
        float(distance(*(cloud[torch.randint(len(cloud), (len(cloud),), generator=g)] for cloud in (a, b))))
        for _ in range(n)
    ]
    return float(distance(a, b)), torch.tensor(again).std().item()


class Features:
    """Pictures → features, fitted on real pictures: standardised random convolutions, or the pixels' components.

    x: (N, C, H, W) → (N, D). The scale is set on the reals so that their total variance is 100: a Fréchet distance then
    reads as a percentage of how much real pictures differ among themselves.
    """

    def __init__(self, real: Tensor, space: str, components: int = 64):
        if space not in SPACES:
            raise ValueError(f"expected a feature space of {SPACES}, got {space!r}")
        self.net = random_convolutions(real.shape[1]) if space == "random" else nn.Flatten()
        raw = self.raw(real)
        self.mean = raw.mean(0)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the low-rank routine starts from random directions
            _, spread, self.axes = torch.pca_lowrank(raw, min(components, *raw.shape), niter=6)
        self.scale = (100 * (len(raw) - 1) / spread.square().sum()).sqrt()

    @torch.no_grad()
    def raw(self, x: Tensor) -> Tensor:
        return torch.cat([self.net(part) for part in x.float().split(500)])

    def __call__(self, x: Tensor) -> Tensor:
        return (self.raw(x) - self.mean) @ self.axes * self.scale


def random_convolutions(channels: int) -> nn.Module:
    """A fixed network of random 3×3 filters at three scales, each pooled to 2×2 means: it was never trained."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        layers = [nn.Conv2d(a, b, 3, 2, 1) for a, b in ((channels, 32), (32, 64), (64, 128))]
        for layer in layers:
            nn.init.kaiming_normal_(layer.weight)

    def net(x):
        maps = []
        for layer in layers:
            x = F.relu(layer(x))
            maps.append(F.adaptive_avg_pool2d(x, 2).flatten(1))
        return torch.cat(maps, dim=1)

    return net


class Classifier(GenerativeModel):
    """p(y | x) of every attribute: one small network, a head each. It trains by the same loop as the generators."""

    def __init__(self, shape, sizes):
        super().__init__()
        self.shape, self.sizes = shape, list(sizes)
        self.body = nn.Sequential(
            nn.PixelUnshuffle(2), nn.Conv2d(4 * shape[0], 48, 3, padding=1), nn.ReLU(),
            nn.Conv2d(48, 64, 3, 2, 1), nn.BatchNorm2d(64), nn.ReLU(),
            nn.Conv2d(64, 96, 3, 2, 1), nn.BatchNorm2d(96), nn.ReLU(), nn.Flatten(), nn.LazyLinear(256), nn.ReLU(),
        )  # fmt: skip
        self.head = mlp((256, sum(self.sizes)))
        self.body(torch.zeros(2, *shape))  # gives the lazy layer its size

    def forward(self, x: Tensor) -> list[Tensor]:
        """Logits of every attribute, a list of (B, values)."""
        return self.head(self.body(x)).split(self.sizes, dim=1)

    def loss(self, x: Tensor, y: Tensor):
        logits = self(x)
        return {"loss": sum(F.cross_entropy(a.float(), b) for a, b in zip(logits, y.T, strict=True))}

    @torch.no_grad()
    def predict(self, x: Tensor) -> Tensor:
        """The likeliest value of every attribute: (N, A)."""
        self.eval()
        parts = [torch.stack([a.argmax(1) for a in self(part)], dim=1) for part in x.split(500)]
        return torch.cat(parts)


def attribute_accuracy(classifier: Classifier, x: Tensor, y: Tensor, names) -> dict[str, float]:
    """Share of pictures x: (N, C, H, W) on which the classifier reads the attributes y: (N, A), by name."""
    right = (classifier.predict(x) == y).float().mean(0)
    return {name: round(share.item(), 3) for name, share in zip(names, right, strict=True)}


def score(real: Tensor, fake: Tensor) -> dict[str, float]:
    """The table of a model: Fréchet (percent of the reals' own spread), KID and coverage, each in both spaces.

    real: held-out pictures (N, C, H, W); fake: as many from the model. 2,000 each are enough to compare, 500 to watch.
    """
    table = {}
    for space in SPACES:
        features = Features(real, space)
        a, b = features(real), features(fake)
        table[f"frechet {space}"] = round(frechet_distance(a, b).item(), 2)
        table[f"kid {space}"] = round(kid(a, b).item(), 4)
        table[f"coverage {space}"] = round(coverage(a, b), 3)
    return table


def frechet(real: Tensor, fake: Tensor, space: str = "random") -> float:
    """Fréchet distance of two sets of pictures in one feature space, in percent of the reals' own spread."""
    features = Features(real, space)
    return frechet_distance(features(real), features(fake)).item()
