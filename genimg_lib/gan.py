"""The generative adversarial network: a generator that makes faces and a critic that learns to tell.

Small on purpose: on a CPU many cheap steps beat few dear ones, so both nets are narrow and the critic is the cheaper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genimg_lib.model import GenerativeModel, Losses


def hinge_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E max(0, 1 − D(x)) + E max(0, 1 + D(G(z)))   (Miyato et al. 2018, eq. 16)."""
    return F.relu(1 - real).mean() + F.relu(1 + fake).mean()


def hinge_generator(fake: Tensor) -> Tensor:
    """−E D(G(z))   (Miyato et al. 2018, eq. 17)."""
    return -fake.mean()


def saturating(fake: Tensor) -> Tensor:
    """E log(1 − sigmoid(D(G(z)))), the minimax loss of the generator   (Goodfellow et al. 2014, eq. 1)."""
    return -F.softplus(fake).mean()


def non_saturating(fake: Tensor) -> Tensor:
    """−E log sigmoid(D(G(z))): the same fixed point, strong gradients early   (Goodfellow et al. 2014, sec. 3)."""
    return F.softplus(-fake).mean()


def logistic_critic(real: Tensor, fake: Tensor) -> Tensor:
    """−E log sigmoid(D(x)) − E log(1 − sigmoid(D(G(z)))), from logits   (Goodfellow et al. 2014, eq. 1)."""
    return F.softplus(-real).mean() + F.softplus(fake).mean()


class GAN(GenerativeModel):
    """Two players: `critic` sees pictures and gives logits, `generator` turns latents z: (B, D) into pictures.

    critic_loss(real, fake) and generator_loss(fake) are functions of the critic's logits.
    """

    def __init__(self, generator, critic, shape, z: int = 64, critic_loss=hinge_critic, generator_loss=hinge_generator):
        super().__init__()
        self.generator, self.critic, self.shape, self.z = generator, critic, shape, z
        self.critic_loss, self.generator_loss = critic_loss, generator_loss

    def turns(self):
        return {"critic": (self.critic, self.loss_of_critic), "generator": (self.generator, self.loss_of_generator)}

    def loss_of_critic(self, x: Tensor, y=None) -> Losses:
        """The critic's turn. The fakes are kept with their graph: one pass of the generator serves both turns."""
        self.fake = self.generator(torch.randn(len(x), self.z, device=x.device))
        real, fake = self.critic(x), self.critic(self.fake.detach())
        return {"loss": self.critic_loss(real, fake), "real": real.mean(), "fake": fake.mean()}

    def loss_of_generator(self, x: Tensor, y=None) -> Losses:
        """The generator's turn, against the critic as it stands: in eval mode its spectral norms hold still."""
        self.critic.eval().requires_grad_(False)  # nor does its share of the backward pass have to be computed
        loss = self.generator_loss(self.critic(self.fake))
        self.critic.requires_grad_(True)
        del self.fake
        return {"loss": loss}

    def loss(self, x: Tensor, y=None) -> Losses:
        """The value of the game for a batch: the critic's loss (each player's own is in `turns`)."""
        terms = self.loss_of_critic(x, y)
        del self.fake
        return terms

    @torch.no_grad()
    def sample(self, n: int, y=None) -> Tensor:
        """n pictures (n, C, H, W) in [-1, 1] from fresh latents."""
        self.eval()
        return self.decode(torch.randn(n, self.z, device=self.device))

    def decode(self, z: Tensor) -> Tensor:
        """Pictures of given latents z: (B, D), in chunks so that thousands fit in memory."""
        return torch.cat([self.generator(part) for part in z.split(250)])


class ConditionalNorm(nn.Module):
    """Batch norm whose gain and bias are read from z, so that the latent speaks at every depth (BigGAN, sec. 3)."""

    def __init__(self, channels: int, z: int):
        super().__init__()
        self.norm = nn.BatchNorm2d(channels, affine=False)
        self.style = nn.Linear(z, 2 * channels)
        nn.init.normal_(self.style.weight, std=0.02)
        nn.init.zeros_(self.style.bias)

    def forward(self, h: Tensor, z: Tensor) -> Tensor:
        gain, bias = self.style(z)[:, :, None, None].chunk(2, dim=1)
        return self.norm(h) * (1 + gain) + bias


def icnr_(weight: Tensor, factor: int = 2) -> None:
    """Initialise a conv before PixelShuffle so that it starts as nearest-neighbour upsampling: no checkerboard."""
    base = torch.empty(weight.shape[0] // factor**2, *weight.shape[1:])
    nn.init.kaiming_normal_(base)
    weight.data.copy_(base.repeat_interleave(factor**2, dim=0))


def enlarge(x, size: int):
    """Pictures (B, C, h, h) resized to size × size; nothing yet stays nothing."""
    return F.interpolate(x, size=size, mode="bilinear", align_corners=False) if isinstance(x, Tensor) else x


class Generator(nn.Module):
    """z: (B, z) → pictures: features at base × base, a transposed convolution for each further width, a PixelShuffle.

    widths (128, 64, 48) from base 4 give 4 → 8 → 16 → 32 pixels. Coarse pictures at the two smallest sizes are added
    to the result: the rough layout is learned early and the fine layers need only correct it.
    """

    def __init__(self, z: int = 64, channels: int = 3, base: int = 4, widths=(128, 64, 48)):
        super().__init__()
        first, last = widths[0], widths[-1]
        self.base, self.first = base, first
        self.start = nn.Linear(z, first * base * base)
        ups = [nn.ConvTranspose2d(a, b, 4, 2, 1) for a, b in zip(widths, widths[1:], strict=False)]
        convs = [nn.Conv2d(first, first, 3, padding=1), *ups, nn.Conv2d(last, last, 3, padding=1)]
        self.convs = nn.ModuleList(convs)
        self.norms = nn.ModuleList(ConditionalNorm(n, z) for n in (first, first, *widths[1:], last))
        self.skips = nn.ModuleList(nn.Conv2d(n, channels, 1) for n in widths[:2])
        self.out = nn.Conv2d(last, 4 * channels, 3, padding=1)
        icnr_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, z: Tensor) -> Tensor:
        h = self.start(z).view(-1, self.first, self.base, self.base)
        h, coarse = F.leaky_relu(self.norms[0](h, z), 0.2), 0.0
        for i, (conv, norm) in enumerate(zip(self.convs, self.norms[1:], strict=True)):
            h = F.leaky_relu(norm(conv(h), z), 0.2)
            if i < 2:
                coarse = enlarge(coarse, h.shape[-1]) + self.skips[i](h)
        x = F.pixel_shuffle(self.out(h), 2)
        x = x + enlarge(coarse, x.shape[-1])
        return (1.1 * torch.tanh(x)).clamp(-1, 1)  # reaches exact white, which the paper of a drawing is


class Critic(nn.Module):
    """Pictures (B, C, S, S) → logits (B, P): one for each of (S/4)² patches, and P's last for the whole picture.

    Every layer is spectrally normalised (Miyato et al. 2018). The patch head watches texture; the global head, which
    also sees how much the batch varies (Karras et al. 2018, sec. 3), watches the face and the diversity.
    """

    def __init__(self, size: int = 32, channels: int = 3, widths=(16, 24, 48, 96)):
        super().__init__()
        a, b, c, d = widths
        self.body = nn.Sequential(
            spectral_norm(nn.Conv2d(channels, a, 3, padding=1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(a, b, 4, 2, 1)), nn.LeakyReLU(0.2),
            spectral_norm(nn.Conv2d(b, c, 4, 2, 1)), nn.LeakyReLU(0.2),
        )  # fmt: skip
        self.patch = spectral_norm(nn.Conv2d(c, 1, 1))
        self.down = nn.Sequential(spectral_norm(nn.Conv2d(c, d, 4, 2, 1)), nn.LeakyReLU(0.2))
        self.whole = nn.Sequential(
            spectral_norm(nn.Conv2d(d + 1, d, 3, padding=1)), nn.LeakyReLU(0.2), nn.Flatten(),
            spectral_norm(nn.Linear(d * (size // 8) ** 2, 1)),
        )  # fmt: skip

    def forward(self, x: Tensor) -> Tensor:
        h = self.body(x)
        patches = self.patch(h).flatten(1)
        h = self.down(h)
        spread = (h.var(0, unbiased=False) + 1e-8).sqrt().mean().expand(len(h), 1, *h.shape[2:])
        whole = self.whole(torch.cat([h, spread], dim=1))
        return torch.cat([patches, whole.expand(-1, patches.shape[1])], dim=1)  # both heads weigh the same


def face_gan(size: int = 32, channels: int = 3, z: int = 64) -> GAN:
    """The course's GAN for small faces: 32×32 in colour or 28×28 in grey."""
    if size not in (28, 32):
        raise ValueError(f"expected a size of 28 or 32, got {size}")
    base, widths = (7, (64, 32)) if size == 28 else (4, (128, 64, 48))
    return GAN(Generator(z, channels, base, widths), Critic(size, channels), (channels, size, size), z)
