"""Normalizing flows: bend a Gaussian into the data, invertibly, and keep account of the volume."""

import math

import torch
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import mlp

LEVELS = 256  # the values a stored pixel can take


# ------------------------------------------------------------------------------------------- the layers
#
# Every layer is a bijection with two methods: forward(x) -> (y, logdet), from data towards noise, logdet (B,) the log
# of |det ∂y/∂x|, one number a sample; and inverse(y) -> x. The variables stand on axis 1: (B, D) or (B, C, H, W).


def places(x: Tensor) -> int:
    """How many places a picture has, H·W; 1 for vectors."""
    return math.prod(x.shape[2:])


class Coupling(nn.Module):
    """The affine coupling layer: one half passes, and tells a network how to scale and shift the other.

    y_a = x_a,   y_b = x_b · exp(s(x_a)) + t(x_a),   log |det| = Σ s      (Dinh et al. 2017, eqs. 4–6)

    net: the half that passes -> (s, t) stacked on axis 1; it is never inverted, so it may be anything. |s| stays below
    `bound`: one wild scale would blow up the whole stack.
    """

    def __init__(self, net: nn.Module, bound: float = 2.0):
        super().__init__()
        self.net, self.bound = net, bound

    def scale_shift(self, x_a: Tensor) -> tuple[Tensor, Tensor]:
        s, t = self.net(x_a).chunk(2, dim=1)
        return self.bound * torch.tanh(s / self.bound), t

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        x_a, x_b = x.chunk(2, dim=1)
        s, t = self.scale_shift(x_a)
        return torch.cat([x_a, x_b * s.exp() + t], dim=1), s.flatten(1).sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        y_a, y_b = y.chunk(2, dim=1)
        s, t = self.scale_shift(y_a)
        return torch.cat([y_a, (y_b - t) * (-s).exp()], dim=1)


class Swap(nn.Module):
    """The variables in reverse order, so that the next coupling layer changes what this one copied; log |det| = 0."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return x.flip(1), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return y.flip(1)


class Mix(nn.Module):
    """An invertible matrix on axis 1, the same at every place: y = W x, log |det| = H·W · log |det W|.

    A coupling layer changes one half; this deals the variables anew before the next one (the invertible 1×1
    convolution of Kingma & Dhariwal 2018, sec. 3.2). It starts as a random rotation.
    """

    def __init__(self, n: int):
        super().__init__()
        self.weight = nn.Parameter(torch.linalg.qr(torch.randn(n, n)).Q.contiguous())

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        logdet = places(x) * torch.linalg.slogdet(self.weight).logabsdet
        return torch.einsum("ij,bj...->bi...", self.weight, x), logdet.expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return torch.einsum("ij,bj...->bi...", torch.linalg.inv(self.weight), y)


class ActNorm(nn.Module):
    """A scale and a shift for each variable, y = (x + shift) · exp(scale)   (Kingma & Dhariwal 2018, sec. 3.1).

    `start` sets them so that what it is shown comes out with mean 0 and deviation 1; from then on they are learned.
    """

    def __init__(self, n: int):
        super().__init__()
        self.shift, self.scale = nn.Parameter(torch.zeros(n)), nn.Parameter(torch.zeros(n))

    def start(self, x: Tensor) -> None:
        values = x.transpose(0, 1).flatten(1)
        self.shift.data.copy_(-values.mean(1))
        self.scale.data.copy_(-(values.std(1) + 1e-6).log())

    def spread(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return tuple(p.view(-1, *[1] * (x.ndim - 2)) for p in (self.shift, self.scale))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        shift, scale = self.spread(x)
        return (x + shift) * scale.exp(), (places(x) * self.scale.sum()).expand(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        shift, scale = self.spread(y)
        return y * (-scale).exp() - shift


class Squeeze(nn.Module):
    """Every 2×2 block becomes one place with four times the channels; nothing is lost, log |det| = 0."""

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        return nn.functional.pixel_unshuffle(x, 2), x.new_zeros(len(x))

    def inverse(self, y: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(y, 2)


class Logit(nn.Module):
    """(0, 1) to the whole line: y = logit(a + (1 − 2a) x)   (Dinh et al. 2017, sec. 4.1).

    A Gaussian has no walls, pixels have two. The small a keeps black and white away from ±infinity.
    """

    def __init__(self, a: float = 0.01):
        super().__init__()
        self.a = a

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        y = torch.logit(self.a + (1 - 2 * self.a) * x)
        slope = math.log(1 - 2 * self.a) - nn.functional.logsigmoid(y) - nn.functional.logsigmoid(-y)
        return y, slope.flatten(1).sum(dim=1)

    def inverse(self, y: Tensor) -> Tensor:
        return ((torch.sigmoid(y) - self.a) / (1 - 2 * self.a)).clamp(0, 1)


# ------------------------------------------------------------------------------------------- the pixels


def dequantize(x: Tensor) -> Tensor:
    """A stored pixel k of 0 … 255, anywhere in its bin: (k + u) / 256, u uniform in [0, 1)   (Theis et al. 2016).

    x: (B, C, H, W) in [-1, 1]; returns the same shape in [0, 1). Without the noise a density may be infinite.
    """
    u = torch.rand_like(x).clamp(max=0.9999)  # nearer to 1, the sum would round up into the next bin
    return (((x + 1) * 127.5).round() + u) / LEVELS


def quantize(v: Tensor) -> Tensor:
    """The picture in [-1, 1] whose bins hold v: the way back from `dequantize`."""
    return (v * LEVELS).floor().clamp(0, LEVELS - 1) / 127.5 - 1


# ------------------------------------------------------------------------------------------- the model


class CouplingFlow(GenerativeModel):
    """A stack of bijections from data to N(0, I), and so an exact density.

    log p(x) = log N(f(x); 0, I) + Σ_layers log |det|      (the change of variables; Dinh et al. 2017, eq. 3)

    layers: bijections in order, data first. shape: (D,) of points, or (C, H, W) of pictures: those are dequantised on
    the way in and rounded on the way out.
    """

    def __init__(self, layers, shape):
        super().__init__()
        self.layers, self.shape = nn.ModuleList(layers), tuple(shape)
        self.dims = math.prod(self.shape)

    @property
    def of_pixels(self) -> bool:
        return len(self.shape) == 3

    @torch.no_grad()
    def prepare(self, x: Tensor) -> Tensor:
        """Start every `ActNorm` on the first 512 samples of x, so that the noise end begins with the right size."""
        h = x[:512].to(self.device)
        h = dequantize(h) if self.of_pixels else h
        for layer in self.layers:
            if isinstance(layer, ActNorm):
                layer.start(h)
            h, _ = layer(h)
        return x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The noise z behind x, and log |det ∂z/∂x|: (B, *shape) -> (B, dims), (B,). Pictures come dequantised."""
        if x.shape[1:] != self.shape:
            raise ValueError(
                f"expected a batch of {self.shape}, got {tuple(x.shape)}; build the flow for shape={tuple(x.shape[1:])}"
            )
        total = x.new_zeros(len(x))
        with torch.autocast(x.device.type, enabled=False):  # a determinant is a product of many numbers: keep 32 bits
            x = x.float() if x.dtype in (torch.bfloat16, torch.float16) else x
            for layer in self.layers:
                x, logdet = layer(x)
                total = total + logdet
        return x.flatten(1), total

    def inverse(self, z: Tensor) -> Tensor:
        """What lies behind the noise z: (B, dims) -> (B, *shape); pictures come dequantised, in [0, 1]."""
        y = z.view(len(z), *self.inner)
        for layer in reversed(self.layers):
            y = layer.inverse(y)
        return y

    @property
    def inner(self) -> tuple[int, ...]:
        """The shape at the noise end: pictures have been squeezed."""
        n = sum(isinstance(layer, Squeeze) for layer in self.layers)
        c, *sides = self.shape
        return (c * 4**n, *(side // 2**n for side in sides))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, exactly; x: (B, *shape), pictures dequantised in [0, 1] -> (B,)."""
        z, logdet = self(x)
        return logdet - 0.5 * z.square().sum(dim=1) - 0.5 * self.dims * math.log(2 * math.pi)

    def log_likelihood(self, x: Tensor) -> Tensor:
        """Of points: log p(x). Of pictures (B, C, H, W) in [-1, 1]: a draw of the bound on their log probability.

        log P(x) ≥ E_u [log p((k + u) / 256)] − dims · log 256, in nats   (Theis et al. 2016, sec. 3.1); (B,).
        """
        return self.log_prob(dequantize(x)) - self.dims * math.log(LEVELS) if self.of_pixels else self.log_prob(x)

    def bits(self, x: Tensor) -> Tensor:
        """Bits per dimension, −log2 P(x) / dims: what it would cost to store the picture; (B,)."""
        return -self.log_likelihood(x) / (self.dims * math.log(2))

    def loss(self, x: Tensor, y=None) -> Losses:
        """The negative log-likelihood in bits per dimension."""
        return {"loss": self.bits(x).mean()}

    def decode(self, z: Tensor) -> Tensor:
        """The sample that the noise z: (B, dims) stands for; pictures in [-1, 1]."""
        x = self.inverse(z)
        return quantize(x) if self.of_pixels else x

    @torch.no_grad()
    def sample(self, n: int, y=None, temperature: float = 1.0) -> Tensor:
        """n samples; a temperature below 1 draws the noise nearer to the middle: tidier and less varied."""
        return self.decode(temperature * torch.randn(n, self.dims, device=self.device))


# ----------------------------------------------------------------------------------- the usual two stacks


def silent(net: nn.Sequential) -> nn.Sequential:
    """The same network with its last layer at zero, so that a coupling starts as the identity."""
    nn.init.zeros_(net[-1].weight)
    nn.init.zeros_(net[-1].bias)
    return net


def point_flow(depth: int = 8, width: int = 64) -> CouplingFlow:
    """A flow of points in the plane: `depth` times couple, then swap the coordinates (Dinh et al. 2017, sec. 3.5)."""
    layers = [ActNorm(2)]
    for _ in range(depth):
        layers += [Coupling(silent(mlp((1, width, width, 2), nn.ReLU))), Swap()]
    return CouplingFlow([*layers, ActNorm(2)], (2,))


def vector_flow(dim: int, depth: int = 8, width: int = 64) -> CouplingFlow:
    """A flow of vectors (B, dim): `depth` times normalise, mix, couple with a perceptron of three layers."""
    half = dim // 2
    if half == 0:
        raise ValueError(f"a coupling layer needs two halves; got dim={dim}, try 2 or more")
    layers = []
    for _ in range(depth):
        net = mlp((dim - half, width, width, 2 * half))
        layers += [ActNorm(dim), Mix(dim), Coupling(silent(net))]
    return CouplingFlow([*layers, ActNorm(dim)], (dim,))


def picture_flow(shape=(1, 28, 28), depths=(4, 8), width: int = 64) -> CouplingFlow:
    """A flow of pictures (C, H, W): for each number in `depths` a squeeze and as many steps of normalise, mix, couple.

    H and W must be multiples of 2^len(depths).
    """
    c, height, width_of_picture = shape
    shrink = 2 ** len(depths)
    if height % shrink or width_of_picture % shrink:
        raise ValueError(
            f"{len(depths)} squeezes halve a side {len(depths)} times, and {height}×{width_of_picture} is no multiple "
            f"of {shrink}; load the pictures at such a size, or name fewer depths"
        )
    layers = [Logit()]
    for depth in depths:
        layers.append(Squeeze())
        c *= 4
        for _ in range(depth):
            net = nn.Sequential(
                nn.Conv2d(c // 2, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, width, 1), nn.SiLU(),
                nn.Conv2d(width, c, 3, padding=1),
            )  # fmt: skip
            layers += [ActNorm(c), Mix(c), Coupling(silent(net))]
    return CouplingFlow([*layers, ActNorm(c)], shape)
