"""What steadies a critic: penalties on its slope, and a view of the pictures that it cannot learn by heart.

A penalty is a function of (critic, real, fake) that returns a scalar; `gan.GAN` takes pairs of a weight and a penalty.
A view is a function of pictures that returns pictures; `Seen` puts views before a critic. A critic's logits of one
picture, a patch each, count as their mean. The slope at one picture is the derivative in that picture: a critic that
also looks at the batch passes a little of its slope on to the neighbours.
"""

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm


def slopes(critic: nn.Module, x: Tensor) -> Tensor:
    """∇ₓD(x), one row a sample and with a graph, so that a penalty on it can be minimised: x (B, ...) -> (B, D)."""
    x = x.detach().requires_grad_()
    with torch.autocast(x.device.type, enabled=False):  # a slope is a difference of close numbers: full precision
        logits = critic(x).flatten(1).mean(dim=1)
        (grad,) = torch.autograd.grad(logits.sum(), x, create_graph=True)
    return grad.flatten(1)


def r1(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """½ E ‖∇D(x)‖² at real pictures: flat where the data are   (Mescheder et al. 2018, eq. 9, with gamma = 1)."""
    return slopes(critic, real).square().sum(dim=1).mean() / 2


def r2(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """½ E ‖∇D(G(z))‖²: the same at the fakes   (Mescheder et al. 2018, eq. 10, with gamma = 1)."""
    return r1(critic, fake, real)


def gradient_penalty(critic: nn.Module, real: Tensor, fake: Tensor) -> Tensor:
    """E (‖∇D(x̂)‖ − 1)² at x̂ = u·x + (1 − u)·G(z), one u ~ U[0, 1] a sample   (Gulrajani et al. 2017, eq. 3)."""
    u = torch.rand(len(real), *[1] * (real.ndim - 1), device=real.device, dtype=real.dtype)
    length = (slopes(critic, torch.lerp(fake, real, u)).square().sum(dim=1) + 1e-12).sqrt()  # the root's slope at 0
    return (length - 1).square().mean()


def spectral(net: nn.Module) -> nn.Module:
    """The same net with every linear and convolutional weight divided by its largest singular value, one power
    iteration a training step   (Miyato et al. 2018, alg. 1). A kernel (o, i, k, k) counts as a matrix (o, i·k·k).
    """
    for layer in [layer for layer in net.modules() if isinstance(layer, nn.Linear | nn.Conv2d)]:
        spectral_norm(layer)
    return net


# ----------------------------------------------------------------------------------------- views (DiffAugment)


def colour(x: Tensor) -> Tensor:
    """Another brightness, saturation and contrast for each picture (B, C, H, W), drawn as in Zhao et al. 2020."""
    light, grey, contrast = torch.rand(3, len(x), 1, 1, 1, device=x.device)
    x = x + light - 0.5
    x = torch.lerp(x.mean(dim=1, keepdim=True), x, 2 * grey)
    return torch.lerp(x.mean(dim=(1, 2, 3), keepdim=True), x, contrast + 0.5)


def translation(x: Tensor, most: float = 0.125, fill: float = 0.0) -> Tensor:
    """Each picture (B, C, H, W) moved by up to `most` of its side in either direction; `fill` where nothing was."""
    n, side = len(x), x.shape[-1]
    reach = round(most * side)
    padded = nn.functional.pad(x, [reach] * 4, value=fill)
    down, right = torch.randint(2 * reach + 1, (2, n, 1), device=x.device)
    rows, columns = down + torch.arange(x.shape[-2], device=x.device), right + torch.arange(side, device=x.device)
    picture = torch.arange(n, device=x.device)[:, None, None]
    return padded.movedim(1, -1)[picture, rows[:, :, None], columns[:, None]].movedim(-1, 1)


def cutout(x: Tensor, side: float = 0.5) -> Tensor:
    """A square of `side` of the picture (B, C, H, W) emptied (0), at a random place, partly outside as it may be."""
    height, width = x.shape[-2:]
    centre = torch.rand(2, len(x), 1, device=x.device)
    rows = (torch.arange(height, device=x.device) - centre[0] * height).abs() < side * height / 2
    columns = (torch.arange(width, device=x.device) - centre[1] * width).abs() < side * width / 2
    return x * ~(rows[:, None, :, None] & columns[:, None, None, :])


class Seen(nn.Module):
    """A critic that sees everything, real and fake, in the generator's turn too, through random views: they are
    differentiable, so the generator still learns   (DiffAugment; Zhao et al. 2020, eqs. 4-6).
    """

    def __init__(self, critic: nn.Module, views=(colour, translation, cutout)):
        super().__init__()
        self.critic, self.views = critic, tuple(views)

    def forward(self, x: Tensor) -> Tensor:
        for view in self.views:
            x = view(x)
        return self.critic(x)
