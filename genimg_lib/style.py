"""Style transfer: the places of one picture's features, the statistics of another's. No downloaded weights.

A feature map says what is where. Its Gram matrix forgets the where. So a picture is sought whose feature maps are
like the content's, place by place, and whose Gram matrices are like the style's (Gatys et al. 2015). Which features?
Random filters at several scales carry far for textures. A small autoencoder, trained on the two pictures themselves,
also has the way back from features to pixels, which AdaIN needs. VGG's features know objects: `vgg_features`.
"""

import importlib
from collections.abc import Callable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

Features = Callable[[Tensor], list[Tensor]]


def gram(f: Tensor) -> Tensor:
    """Which channels fire together, wherever: G = f fᵀ / (C·H·W)   (Gatys et al. 2015; scaled as Johnson et al. 2016).

    f: (B, C, H, W) -> (B, C, C). Not centred. Any shuffling of the places leaves it as it is.
    """
    rows = f.flatten(2)
    return rows @ rows.mT / f[0].numel()


def adain(content: Tensor, style: Tensor, eps: float = 1e-5) -> Tensor:
    """The content's features with the style's mean and deviation in every channel   (Huang & Belongie 2017, eq. 8).

    content: (B, C, H, W), style: (B, C, h, w) of any size; returns (B, C, H, W).
    """
    mean, std = style.mean((2, 3), keepdim=True), style.var((2, 3), unbiased=False, keepdim=True).add(eps).sqrt()
    return F.instance_norm(content, eps=eps) * std + mean


class RandomFeatures(nn.Module):
    """Fixed random filters on each level of a pyramid: x (B, 3, H, W) -> a list of feature maps, two a level.

    Random filters see edges and blobs of every direction and colour (Ustyuzhaninov et al. 2016 make textures so). Half
    of them see differences only, not how bright it is. Each level of the pyramid sees everything twice as large. They
    know no eye from a window.
    """

    def __init__(self, levels: int = 3, width: int = 48, sides=(3, 7), seed: int = 0):
        super().__init__()
        self.levels, each = levels, width // len(sides)

        def conv(a, b, side):
            return nn.Conv2d(a, b, side, padding=side // 2, padding_mode="reflect")

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.ModuleList(conv(3, each, side) for side in sides)
            self.second = conv(each * len(sides), width, 3)
            for layer in (*self.first, self.second):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.normal_(layer.bias, std=0.3)
            for layer in self.first:
                layer.weight.data[::2] -= layer.weight.data[::2].mean((2, 3), keepdim=True)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for level in range(self.levels):
            h = F.relu(torch.cat([layer(x) for layer in self.first], 1))
            maps += [h, F.relu(self.second(F.avg_pool2d(h, 2)))]
            if min(x.shape[-2:]) < 24 or level == self.levels - 1:
                break
            x = F.avg_pool2d(x, 2)
        return maps


class Autoencoder(nn.Module):
    """Pixels to features at a quarter of the size, and back: what AdaIN changes, the decoder shows."""

    def __init__(self, width: int = 32):
        super().__init__()

        def conv(a, b, stride=1):
            return nn.Conv2d(a, b, 3, stride, 1, padding_mode="reflect")

        self.enter = nn.Sequential(conv(3, width), nn.ReLU())
        half = nn.Sequential(conv(width, width, 2), nn.ReLU(), conv(width, width), nn.ReLU())
        quarter = nn.Sequential(conv(width, 2 * width, 2), nn.ReLU(), conv(2 * width, 2 * width))
        self.down = nn.ModuleList([half, quarter])
        self.decoder = nn.Sequential(
            nn.ReLU(), conv(2 * width, 4 * width), nn.PixelShuffle(2), nn.ReLU(), conv(width, width), nn.ReLU(),
            conv(width, 4 * width), nn.PixelShuffle(2), nn.ReLU(), conv(width, 3),
        )  # fmt: skip

    def forward(self, x: Tensor) -> list[Tensor]:
        """Feature maps at full, half and a quarter of the size."""
        maps = [self.enter(x)]
        for level in self.down:
            maps.append(level(maps[-1]))
        return maps

    def decode(self, f: Tensor) -> Tensor:
        """The picture of a deepest map: (B, C, H, W) -> (B, 3, 4·H, 4·W)."""
        return self.decoder(f)


def train_autoencoder(pictures: list[Tensor], steps: int = 250, side: int = 64, batch: int = 4, seed: int = 0):
    """An autoencoder of random square pieces of the pictures, each (3, H, W); returns it, ready to use."""
    if min(min(x.shape[-2:]) for x in pictures) < side:
        raise ValueError(f"expected pictures of at least {side} pixels a side, got {[(*x.shape,) for x in pictures]}")
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        net = Autoencoder()
        adam = torch.optim.Adam(net.parameters(), 2e-3, (0.9, 0.99))
        for step in range(steps):
            x = torch.stack([_piece(pictures[i % len(pictures)], side) for i in range(batch)])
            loss = F.l1_loss(net.decode(net(x)[-1]), x)
            adam.param_groups[0]["lr"] = 2e-3 * min(1, (step + 1) / 20, 2 * (1 - step / steps))
            adam.zero_grad()
            loss.backward()
            adam.step()
    return net.eval().requires_grad_(False)


def _piece(x: Tensor, side: int) -> Tensor:
    top, left = (int(torch.randint(n - side + 1, ())) for n in x.shape[-2:])
    piece = x[:, top : top + side, left : left + side]
    return piece.flip(2) if torch.rand(()) < 0.5 else piece


@torch.no_grad()
def colours_of(style: Tensor, content: Tensor) -> Tensor:
    """The content with the mean and the covariance of the style's colours: x -> C_s^(1/2) C_c^(−1/2) (x − m_c) + m_s.

    Style transfer with the pixels themselves as features. Both (1, 3, H, W), of any sizes; returns the content's.
    """
    a, b = (x.flatten(2)[0].double() for x in (content, style))

    def power(rows: Tensor, exponent: float) -> Tensor:
        values, vectors = torch.linalg.eigh(torch.cov(rows))
        return vectors @ torch.diag(values.clamp(min=1e-6) ** exponent) @ vectors.mT

    mapped = power(b, 0.5) @ power(a, -0.5) @ (a - a.mean(1, keepdim=True)) + b.mean(1, keepdim=True)
    return mapped.view_as(content).clamp(-1, 1).to(content)


def gatys(
    content: Tensor, style: Tensor, features: Features, strength: float = 1.0, steps: int = 40, keep: float = 0.06,
    scales: int = 3, watch: Callable[[int, float], None] | None = None,
) -> Tensor:  # fmt: skip
    """The picture that has the content's layout and the Gram matrices of the style's features   (Gatys et al. 2015).

    Minimises strength · style loss + keep · content loss over the pixels, by L-BFGS from the content in the style's
    colours, on a small version first: there a stroke is a few pixels long, and found in a few steps. Before its Gram
    matrix is taken each channel is divided by its deviation in the style, so that fine grain counts as much as large
    blobs; each layer's loss is counted in units of what it is at the start. The content loss compares the last two
    feature maps and the grey picture, blurred. steps: of the search on each of the `scales`. watch(step, style loss).
    content: (1, 3, H, W), style: (1, 3, h, w) in [-1, 1]; returns (1, 3, H, W). strength 0 returns the content.
    """
    if content.shape[:2] != (1, 3) or style.shape[:2] != (1, 3):
        raise ValueError(f"expected two pictures (1, 3, H, W), got {tuple(content.shape)} and {tuple(style.shape)}")
    if strength == 0:
        return content.clone()
    x = content = colours_of(style, content)
    for scale in reversed(range(scales)):
        if scale and min(*content.shape[-2:], *style.shape[-2:]) < 32 * 2**scale:
            continue
        c, s = (_smaller(picture, 2**scale) for picture in (content, style))
        x = F.interpolate(x, c.shape[-2:], mode="bicubic", align_corners=False).clamp(-1, 1)
        x = _search(x, c, s, features, (strength, keep), steps, watch)
    return x


def _smaller(x: Tensor, by: int) -> Tensor:
    size = [max(1, n // by) for n in x.shape[-2:]]
    return x if by == 1 else F.interpolate(x, size, mode="bicubic", align_corners=False, antialias=True).clamp(-1, 1)


def _search(x: Tensor, content: Tensor, style: Tensor, features: Features, weights, steps: int, watch) -> Tensor:
    """`gatys` at one scale, from x."""
    side = max(1, min(content.shape[-2:]) // 32)

    def blur(picture: Tensor) -> Tensor:
        return F.avg_pool2d(picture.mean(1, keepdim=True), side)

    with torch.no_grad():
        goals, places, grey = features(style), features(content), blur(content)
        depth = min(len(goals), len(places))  # the smaller picture has fewer levels
        goals, places = goals[:depth], places[:depth]
        units = [f.std((2, 3), keepdim=True) + 1e-3 for f in goals]

        def grams(maps: list[Tensor]) -> list[Tensor]:
            return [gram(f / unit) for f, unit in zip(maps, units, strict=True)]

        goals, start = grams(goals), grams(places)
        sizes = [(a - b).square().sum().clamp(min=1e-12) for a, b in zip(start, goals, strict=True)]
        spreads = [f.var().clamp(min=1e-12) for f in places]
    x = x.clone().requires_grad_(True)
    search = torch.optim.LBFGS(
        [x], max_iter=steps, max_eval=steps * 5 // 4 + 1, history_size=15, line_search_fn="strong_wolfe",
        tolerance_change=0, tolerance_grad=0,
    )  # fmt: skip
    calls = iter(range(10**9))

    def loss() -> Tensor:
        maps = features(x)[:depth]
        far = sum((a - b).square().sum() / n for a, b, n in zip(grams(maps), goals, sizes, strict=True)) / len(maps)
        moved = (blur(x) - grey).square().mean() / grey.var().clamp(min=1e-6)
        moved += sum((f - p).square().mean() / v for f, p, v in list(zip(maps, places, spreads, strict=True))[-2:]) / 2
        rough = (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()
        beyond = (x.abs() - 1).clamp(min=0).square().mean()  # no colour of a picture
        total = weights[0] * far + weights[1] * moved + 0.02 * rough + 10 * beyond
        search.zero_grad()
        total.backward()
        if watch:
            watch(next(calls), far.item())
        return total

    search.step(loss)
    return x.detach().clamp(-1, 1)


@torch.no_grad()
def adain_transfer(net: Autoencoder, content: Tensor, style: Tensor, strength: float = 1.0) -> Tensor:
    """Encode both, give the content's deepest features the style's mean and deviation, decode: one pass, no search.

    content: (1, 3, H, W), style: (1, 3, h, w); strength mixes with the content's own features. H and W are cut to
    multiples of 4. Returns (1, 3, H, W).
    """
    height, width = (n // 4 * 4 for n in content.shape[-2:])
    f, g = net(content[..., :height, :width])[-1], net(style)[-1]
    return net.decode(torch.lerp(f, adain(f, g), strength)).clamp(-1, 1)


def vgg_features() -> Features:
    """Five feature maps of VGG-19, where torchvision is at hand; the ImportError says what to do if it is not."""
    try:
        models = importlib.import_module("torchvision.models")
    except ImportError as error:
        raise ImportError(
            "VGG's features need torchvision in the version that belongs to your torch: pip install torchvision; its "
            "weights (550 MB) are fetched on first use. Without it take RandomFeatures() or train_autoencoder(...)"
        ) from error
    net = models.vgg19(weights="IMAGENET1K_V1").features.eval().requires_grad_(False)
    mean, std = (torch.tensor(v).view(1, 3, 1, 1) for v in ((0.485, 0.456, 0.406), (0.229, 0.224, 0.225)))

    def features(x: Tensor) -> list[Tensor]:
        h, maps = ((x + 1) / 2 - mean) / std, []
        for place, layer in enumerate(net[:29]):
            h = F.relu(h) if isinstance(layer, nn.ReLU) else layer(h)
            if place in (1, 6, 11, 20, 22):  # relu1_1, 2_1, 3_1, 4_1 and 4_2
                maps.append(h)
        return maps

    return features
