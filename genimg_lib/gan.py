"""The generative adversarial network: a generator that makes faces and a critic that learns to tell.

Small on purpose: on a CPU many cheap steps beat few dear ones, so both nets are narrow and the critic is the cheaper.
"""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import Attributes


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


def wasserstein_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E D(G(z)) − E D(x): over all 1-Lipschitz D its minimum is −W₁   (Arjovsky et al. 2017, eq. 2).

    The bound on the slope comes from elsewhere: `penalties`. The generator's loss is that of the hinge, −E D(G(z)).
    """
    return fake.mean() - real.mean()


def paired_critic(real: Tensor, fake: Tensor) -> Tensor:
    """E softplus(D(G(z)) − D(x)): a real picture has to look more real than a fake   (Huang et al. 2024, sec. 2)."""
    return F.softplus(fake - real).mean()


class GAN(GenerativeModel):
    """Two players: `critic` sees pictures and gives logits, `generator` turns latents z: (B, D) into pictures.

    critic_loss(real, fake) and generator_loss(fake) are functions of the critic's logits. penalties: pairs of a weight
    and a function of (critic, real, fake), added to the critic's loss (`genimg_lib.penalties`).
    """

    def __init__(
        self, generator, critic, shape, z: int = 64, critic_loss=hinge_critic, generator_loss=hinge_generator,
        penalties=(),
    ):  # fmt: skip
        super().__init__()
        self.generator, self.critic, self.shape, self.z = generator, critic, shape, z
        self.critic_loss, self.generator_loss, self.penalties = critic_loss, generator_loss, tuple(penalties)

    def turns(self):
        return {"critic": (self.critic, self.loss_of_critic), "generator": (self.generator, self.loss_of_generator)}

    def loss_of_critic(self, x: Tensor, y=None) -> Losses:
        """The critic's turn. The fakes are kept with their graph: one pass of the generator serves both turns."""
        self.fake = self.make(torch.randn(len(x), self.z, device=x.device), y)
        real, fake = self.judge(x, y), self.judge(self.fake.detach(), y)
        terms = {"loss": self.critic_loss(real, fake), "real": real.mean(), "fake": fake.mean()}
        for weight, penalty in self.penalties:
            terms[penalty.__name__] = penalty(lambda x: self.judge(x, y), x, self.fake.detach().float())
            terms["loss"] = terms["loss"] + weight * terms[penalty.__name__]
        return terms

    def loss_of_generator(self, x: Tensor, y=None) -> Losses:
        """The generator's turn, against the critic as it stands: in eval mode its spectral norms hold still."""
        self.critic.eval().requires_grad_(False)  # nor does its share of the backward pass have to be computed
        loss = self.score_of_generator(x, y)
        self.critic.requires_grad_(True)
        del self.fake
        return {"loss": loss}

    def score_of_generator(self, x: Tensor, y) -> Tensor:
        """What the generator minimises, from the fakes of the critic's turn and the pictures x they compete with."""
        return self.generator_loss(self.judge(self.fake, y))

    def make(self, z: Tensor, y=None) -> Tensor:
        """The generator's pictures of latents z: (B, D)."""
        return self.generator(z)

    def judge(self, x: Tensor, y=None) -> Tensor:
        """The critic's logits of pictures x: (B, C, H, W)."""
        return self.critic(x)

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


class PairedGAN(GAN):
    """The game on pairs, the relativistic one: the generator wants its fakes to look more real than real pictures do.

    Its loss is the critic's with the roles exchanged   (Jolicoeur-Martineau 2019; Huang et al. 2024, sec. 2).
    """

    def score_of_generator(self, x: Tensor, y) -> Tensor:
        return self.critic_loss(self.judge(self.fake, y), self.judge(x, y))


class ConditionalGAN(GAN):
    """The game with wishes y: (B, A): generator(z, y) draws what is asked for, critic(x, y) judges picture and wish
    together, is it real *and* does it fit   (Mirza & Osindero 2014, eq. 2).

    In every fourth row of a batch some of the wishes are forgotten, −1 for anything, for both players alike.
    """

    forget = 0.25

    def loss_of_critic(self, x: Tensor, y=None) -> Losses:
        """The critic's turn: each fake goes with the wish it was made for, and meets a picture with this wish."""
        self.wish = y
        if y is not None:
            forgetful = torch.rand(len(y), 1, device=y.device) < self.forget
            self.wish = torch.where(forgetful, Attributes.drop(y), y)
        return super().loss_of_critic(x, self.wish)

    def score_of_generator(self, x: Tensor, y) -> Tensor:
        return super().score_of_generator(x, self.wish)

    def make(self, z: Tensor, y=None) -> Tensor:
        return self.generator(z, y)

    def judge(self, x: Tensor, y=None) -> Tensor:
        return self.critic(x, y)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n pictures (n, C, H, W) of the wishes y: (n, A), −1 for anything; or of anything at all."""
        self.eval()
        return self.make(torch.randn(n, self.z, device=self.device), y)


class Projection(nn.Module):
    """ψ(h) + v_y · h: features h (B, F) and wishes y (B, A) → logits (B, 1)   (Miyato & Koyama 2018, eq. 4).

    ψ is linear here. v_y sums a vector for each attribute: right where, given the picture, the attributes' log ratios
    add up.
    """

    def __init__(self, features: int, sizes):
        super().__init__()
        self.plain, self.wish = spectral_norm(nn.Linear(features, 1)), Attributes(sizes, features)
        nn.init.normal_(self.wish.table.weight, std=0.1)  # at first the picture alone is judged

    def forward(self, h: Tensor, y: Tensor | None) -> Tensor:
        return self.plain(h) + (h * self.wish(y, len(h))).sum(dim=1, keepdim=True)


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
