"""Two stages: an autoencoder makes the codes, a flow learns where they lie (Rombach et al. 2022)."""

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from genimg_lib import diffusion
from genimg_lib.flow import vector_flow
from genimg_lib.gan import GAN, ConditionalGAN, Projection
from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import Attributes, TimedMLP, mlp
from genimg_lib.vae import reparameterize


class SecondStage(GenerativeModel):
    """A generator of codes behind a trained first stage, which stays frozen and turns them into pictures.

    first: a model with encode(x) -> (mu, logvar), decode(z), the length of a code `z`, and `shape` (`vae.VAE`).
    Codes are standardised, w = (z − mean) / std for each coordinate, so that data and noise are of one size.
    """

    def __init__(self, first: GenerativeModel):
        super().__init__()
        self.first = first.eval().requires_grad_(False)
        self.shape, self.z = first.shape, first.z
        self.register_buffer("mean", torch.zeros(self.z))
        self.register_buffer("std", torch.ones(self.z))

    def train(self, mode: bool = True):
        """Training mode for the second stage alone: the first stays as it was learnt."""
        super().train(mode)
        self.first.eval()
        return self

    @torch.no_grad()
    def prepare(self, x: Tensor) -> Tensor:
        """Encode the whole data set once, and set mean and std: x (N, C, H, W) -> (N, 2z), mu beside logvar."""
        codes = torch.cat([torch.cat(self.first.encode(part.to(self.device)), dim=1) for part in x.split(500)])
        mu, logvar = codes.chunk(2, dim=1)
        self.mean.copy_(mu.mean(dim=0))
        self.std.copy_((mu.var(dim=0) + logvar.exp().mean(dim=0)).sqrt())  # of z ~ q, by the law of total variance
        return codes

    def draw(self, codes: Tensor) -> Tensor:
        """A standardised draw from q(z | x): codes (B, 2z) from `prepare` -> (B, z)."""
        return (reparameterize(*codes.chunk(2, dim=1)) - self.mean) / self.std

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The first stage's picture of a code: (B, z) -> (B, C, H, W) in [-1, 1]."""
        return self.first.decode(z).clamp(-1, 1)

    def code(self, eps: Tensor) -> Tensor:
        """The code z that the second stage makes of the noise eps; both (B, z)."""
        raise NotImplementedError

    def sample(self, n: int, y=None) -> Tensor:
        """Noise to code by the second stage, code to picture by the first."""
        return self.decode(self.code(torch.randn(n, self.z, device=self.device)))


class LatentFlow(SecondStage):
    """Flow matching on codes: the network guesses the velocity v = eps − w, and w = x_t − t·v (linear path).

    steps: of Heun's method in `sample`. sizes: values of each attribute, empty for a flow that takes no wishes.
    guidance: how far past the plain conditional guess, 1, to go where attributes are asked for. net: the network,
    (x_t (B, z), t (B,), extra (B, 128) or None) -> (B, z), where it is not a perceptron of this width and depth.
    """

    def __init__(
        self, first: GenerativeModel, width: int = 384, depth: int = 4, steps: int = 12, sizes=(),
        guidance: float = 1.0, net: nn.Module | None = None,
    ):  # fmt: skip
        super().__init__(first)
        self.steps, self.guidance = steps, guidance
        self.net = net or TimedMLP(self.z, width, depth)
        self.wish = Attributes(sizes, 128) if sizes else None

    def turns(self):
        """Only the flow's network, and its ear for wishes, learn."""
        learner = self.net if self.wish is None else nn.ModuleList([self.net, self.wish])
        return {"flow": (learner, self.loss)}

    def velocity(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The guess of eps − w: x_t (B, z), t (B,), y (B, A) or None for anything -> (B, z)."""
        return self.net(x_t, t, None if self.wish is None else self.wish(y, x_t.shape[0])).float()

    def loss(self, codes: Tensor, y=None) -> Losses:
        """Flow matching (Lipman et al. 2023, eq. 23): E ‖net(x_t, t) − (eps − w)‖² / z, w a standardised draw from q.

        codes: (B, 2z) from `prepare`.
        """
        w = self.draw(codes)
        eps, t = torch.randn_like(w), diffusion.logit_normal(len(w), device=w.device)
        y = None if self.wish is None or y is None else Attributes.drop(y)
        v = self.velocity(diffusion.add_noise(diffusion.linear, w, eps, t), t, y)
        return {"loss": (v - (eps - w)).square().mean()}

    def predict(self, x_t: Tensor, t: Tensor, y: Tensor | None = None) -> Tensor:
        """The guess of the standardised code behind x_t: (B, z), t: (B,) -> (B, z)."""
        return x_t - diffusion.per_sample(t, x_t) * self.velocity(x_t, t, y)

    def code(self, eps: Tensor, steps: int | None = None, y: Tensor | None = None, w: float | None = None) -> Tensor:
        """The code z that the flow carries the noise eps to, both (B, z), for the wishes y: (B, A) with guidance w."""
        predict = self.predict
        if y is not None and self.wish is not None:
            predict = diffusion.guided(self.predict, y, self.guidance if w is None else w)
        codes = diffusion.integrate(diffusion.linear, predict, eps, steps or self.steps)
        return codes * self.std + self.mean

    @torch.no_grad()
    def noise(self, z: Tensor, steps: int = 40) -> Tensor:
        """The noise eps that `code` carries to the codes z, both (B, z): the same way backwards, by Heun's method.

        The noise of real codes is much longer than a draw from N(0, I): what the flow itself makes lacks their finest
        grain. There and back meets the codes again all the same, up to the error of the steps.
        """
        x = (z - self.mean) / self.std
        times = torch.linspace(0, 1, steps + 1, device=z.device)[:, None].expand(-1, len(z))
        for t, s in zip(times, times[1:], strict=False):
            v, h = self.velocity(x, t), (s - t)[:, None]
            x = x + h * (v + self.velocity(x + h * v, s)) / 2
        return x

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n pictures of the wishes y: (n, A), −1 for anything; or of anything at all."""
        return self.decode(self.code(torch.randn(n, self.z, device=self.device), y=y))


class TowardsCode(nn.Module):
    """A velocity from a network that guesses the code itself: v = (x_t − net(x_t, t)) / t, with t at least `least`.

    The noise in x_t need not pass through the network, only what is known of the code; in many dimensions a narrow one
    learns this far sooner. The wish, extra: (B, 128), goes two ways: it steers the blocks, and `hint` makes a code of
    it that is added at the entrance. A face's code is nearly a sum over its attributes, and sums a linear map learns at
    once; the blocks are left with what is not a sum. All others (B, z), t: (B,).
    """

    def __init__(self, z: int, width: int, depth: int, least: float = 0.05):
        super().__init__()
        self.net, self.hint, self.least = TimedMLP(z, width, depth), nn.Linear(128, z), least
        nn.init.zeros_(self.hint.weight)
        nn.init.zeros_(self.hint.bias)

    def forward(self, x_t: Tensor, t: Tensor, extra: Tensor | None = None) -> Tensor:
        seen = x_t if extra is None else x_t + self.hint(extra)
        return (x_t - self.net(seen, t, extra).float()) / diffusion.per_sample(t, x_t).clamp(min=self.least)


def grid_flow(first: GenerativeModel, width: int = 384, depth: int = 4, **settings) -> LatentFlow:
    """A flow on the codes of a `vae.SpatialVAE`, many numbers with little to say: its network guesses the code."""
    return LatentFlow(first, net=TowardsCode(first.z, width, depth), **settings)


class CodeCoupling(SecondStage):
    """A normalizing flow on codes: one pass from noise to code, and an exact density of codes on the way back."""

    def __init__(self, first: GenerativeModel, depth: int = 8, width: int = 256):
        super().__init__(first)
        self.flow = vector_flow(self.z, depth, width)

    def turns(self):
        return {"flow": (self.flow, self.loss)}

    @torch.no_grad()
    def prepare(self, x: Tensor) -> Tensor:
        codes = super().prepare(x)
        self.flow.prepare(self.draw(codes[:512]))
        return codes

    def loss(self, codes: Tensor, y=None) -> Losses:
        """−log2 p(w) per dimension of a standardised draw w from q; codes: (B, 2z) from `prepare`."""
        return self.flow.loss(self.draw(codes))

    @torch.no_grad()
    def code(self, eps: Tensor) -> Tensor:
        """The code that the flow's inverse makes of the noise eps; both (B, z)."""
        return self.flow.inverse(eps) * self.std + self.mean


class CodeGAN(SecondStage):
    """The adversarial game on codes: the same two players, with vectors for pictures.

    A code has no edges and no paper to get wrong, the decoder sees to those, so small perceptrons suffice.
    """

    def __init__(self, first: GenerativeModel, width: int = 256):
        super().__init__(first)
        self.game = GAN(CodeGenerator(self.z, width), CodeCritic(self.z, width), (self.z,), self.z)

    def turns(self):
        return {
            "critic": (self.game.critic, self.loss),
            "generator": (self.game.generator, self.game.loss_of_generator),
        }

    def loss(self, codes: Tensor, y=None) -> Losses:
        """The critic's turn on codes (B, 2z) from `prepare`."""
        return self.game.loss_of_critic(self.draw(codes), y)

    @torch.no_grad()
    def code(self, eps: Tensor, y: Tensor | None = None) -> Tensor:
        """The generator's code for the noise eps; both (B, z)."""
        return self.game.make(eps, y) * self.std + self.mean


class ConditionalCodeGAN(CodeGAN):
    """The game on codes with wishes y: (B, A); sizes: how many values each attribute has."""

    def __init__(self, first: GenerativeModel, sizes, width: int = 256):
        super(CodeGAN, self).__init__(first)
        generator = ConditionalCodeGenerator(self.z, width, sizes)
        self.game = ConditionalGAN(generator, ConditionalCodeCritic(self.z, width, sizes), (self.z,), self.z)
        self.register_buffer("wishes", torch.full((512, len(sizes)), -1))  # the last that training has seen

    def loss(self, codes: Tensor, y=None) -> Losses:
        """The critic's turn on codes (B, 2z) from `prepare`; the wishes y: (B, A) are kept for `sample`."""
        if y is not None:
            self.wishes = torch.cat([y, self.wishes])[: len(self.wishes)]
        return super().loss(codes, y)

    @torch.no_grad()
    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """n pictures of the wishes y: (n, A), −1 for anything; where none are given, of wishes from the training."""
        if y is None:
            y = self.wishes[torch.randint(len(self.wishes), (n,), device=self.device)]
        return self.decode(self.code(torch.randn(n, self.z, device=self.device), y))


class CodeGenerator(nn.Module):
    """Noise (B, z) → standardised codes (B, z): two residual blocks, each behind a layer norm."""

    def __init__(self, z: int, width: int):
        super().__init__()
        self.enter, self.leave = nn.Linear(z, width), nn.Sequential(nn.LayerNorm(width), nn.Linear(width, z))
        self.blocks = nn.ModuleList(
            nn.Sequential(nn.LayerNorm(width), nn.LeakyReLU(0.2), mlp((width, width, width), lambda: nn.LeakyReLU(0.2)))
            for _ in range(2)
        )

    def forward(self, eps: Tensor) -> Tensor:
        h = self.enter(eps)
        for block in self.blocks:
            h = h + block(h)
        return self.leave(h)


class CodeCritic(nn.Module):
    """Codes (B, z) → logits (B, 1): four spectrally normalised layers that also see how much the batch varies."""

    def __init__(self, z: int, width: int):
        super().__init__()
        sizes = ((z, width), (width, width), (width + 1, width), (width, 1))
        self.layers = nn.ModuleList(spectral_norm(nn.Linear(m, n)) for m, n in sizes)

    def features(self, w: Tensor) -> Tensor:
        """What the last layer judges by: codes (B, z) → (B, width)."""
        first, second, third, _ = self.layers
        h = F.leaky_relu(second(F.leaky_relu(first(w), 0.2)), 0.2)
        spread = (h.var(0, unbiased=False) + 1e-8).sqrt().mean().expand(len(h), 1)
        return F.leaky_relu(third(torch.cat([h, spread], dim=1)), 0.2)

    def forward(self, w: Tensor) -> Tensor:
        return self.layers[-1](self.features(w))


class ConditionalCodeGenerator(CodeGenerator):
    """Noise (B, z) and wishes y (B, A) → standardised codes (B, z): the wish enters beside the noise."""

    def __init__(self, z: int, width: int, sizes, condition: int = 128):
        super().__init__(z, width)
        self.wish, self.enter = Attributes(sizes, condition), nn.Linear(z + condition, width)

    def forward(self, eps: Tensor, y: Tensor | None) -> Tensor:
        wish = self.wish(y, len(eps)) / len(self.wish.sizes) ** 0.5  # of the noise's size, however many are summed
        return super().forward(torch.cat([eps, wish], dim=1))


class ConditionalCodeCritic(CodeCritic):
    """Codes (B, z) and wishes y (B, A) → logits (B, 1), by projection."""

    def __init__(self, z: int, width: int, sizes):
        super().__init__(z, width)
        self.layers[-1] = Projection(width, sizes)

    def forward(self, w: Tensor, y: Tensor | None) -> Tensor:
        return self.layers[-1](self.features(w), y)
