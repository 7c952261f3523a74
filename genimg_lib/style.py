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
    """Two layers of fixed random filters on each level of a pyramid: x (B, 3, H, W) -> a list of feature maps.

    Random filters see edges and blobs of every direction and colour; each level of the pyramid sees them twice as large
    (Ustyuzhaninov et al. 2016 make textures so). They know no eye from a window.
    """

    def __init__(self, levels: int = 4, width: int = 48, side: int = 5, seed: int = 0):
        super().__init__()
        self.levels = levels
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            self.first = nn.Conv2d(3, width, side, padding=side // 2, padding_mode="reflect")
            self.second = nn.Conv2d(width, width, 3, padding=1, padding_mode="reflect")
            for layer in (self.first, self.second):
                nn.init.kaiming_normal_(layer.weight)
                nn.init.normal_(layer.bias, std=0.3)
        self.requires_grad_(False)

    def forward(self, x: Tensor) -> list[Tensor]:
        maps = []
        for level in range(self.levels):
            h = F.relu(self.first(x))
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


def train_autoencoder(pictures: list[Tensor], steps: int = 300, side: int = 64, batch: int = 16, seed: int = 0):
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


def gatys(
    content: Tensor, style: Tensor, features: Features, strength: float = 1.0, steps: int = 150, seed: int = 0,
    keep: float = 1.0, watch: Callable[[int, float], None] | None = None,
) -> Tensor:  # fmt: skip
    """The picture that has the content's features in their places and the style's Gram matrices   (Gatys et al. 2015).

    Minimises keep · content loss + strength · style loss over the pixels, by Adam from the content. The content loss is
    the squared difference of the last two feature maps and of the blurred grey picture; each loss is divided by its own
    size for the content picture, so that weights of 1 mean the same for any features.
    content: (1, 3, H, W), style: (1, 3, h, w) in [-1, 1]; returns (1, 3, H, W). strength 0 returns the content.
    """
    if content.shape[:2] != (1, 3) or style.shape[:2] != (1, 3):
        raise ValueError(f"expected two pictures (1, 3, H, W), got {tuple(content.shape)} and {tuple(style.shape)}")
    if strength == 0:
        return content.clone()
    with torch.no_grad():
        goals, places = [gram(f) for f in features(style)], features(content)
        start = [gram(f) for f in places]
        scales = [(a - b).square().sum().clamp(min=1e-12) for a, b in zip(start, goals, strict=True)]
        spreads = [f.var().clamp(min=1e-12) for f in places]
    x = content.clone().requires_grad_(True)
    adam = torch.optim.Adam([x], 0.03, (0.9, 0.99))
    for step in range(steps):
        maps = features(x)
        far = sum((gram(f) - g).square().sum() / s for f, g, s in zip(maps, goals, scales, strict=True)) / len(maps)
        moved = sum((f - p).square().mean() / v for f, p, v in list(zip(maps, places, spreads, strict=True))[-2:]) / 2
        rough = (x[..., 1:, :] - x[..., :-1, :]).abs().mean() + (x[..., 1:] - x[..., :-1]).abs().mean()
        loss = strength * far + 0.1 * keep * moved + 0.01 * rough
        adam.param_groups[0]["lr"] = 0.03 * min(1, 2 * (1 - step / steps))
        adam.zero_grad()
        loss.backward()
        adam.step()
        with torch.no_grad():
            x.clamp_(-1, 1)
        if watch:
            watch(step, far.item())
    return x.detach()


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
