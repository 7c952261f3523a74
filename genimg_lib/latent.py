"""Two stages: an autoencoder makes the codes, a flow learns where they lie (Rombach et al. 2022)."""

import torch
from torch import Tensor

from genimg_lib import diffusion
from genimg_lib.model import GenerativeModel, Losses
from genimg_lib.nets import TimedMLP
from genimg_lib.vae import reparameterize


class LatentFlow(GenerativeModel):
    """Flow matching on the codes of a trained first stage, which stays frozen.

    first: a model with encode(x) -> (mu, logvar), decode(z), the length of a code `z`, and `shape` (`vae.ConvVAE`).
    Codes are standardised, w = (z − mean) / std for each coordinate, so that data and noise are of one size.
    The network guesses the velocity v = eps − w; the samplers get w = x_t − t·v from it (linear path).
    steps: of Heun's method in `sample`.
    """

    def __init__(self, first: GenerativeModel, width: int = 384, depth: int = 4, steps: int = 12):
        super().__init__()
        self.first = first.eval().requires_grad_(False)
        self.shape, self.z, self.steps = first.shape, first.z, steps
        self.net = TimedMLP(self.z, width, depth)
        self.register_buffer("mean", torch.zeros(self.z))
        self.register_buffer("std", torch.ones(self.z))

    def train(self, mode: bool = True):
        """Training mode for the flow alone: the first stage stays as it was learnt."""
        super().train(mode)
        self.first.eval()
        return self

    def turns(self):
        """Only the flow's network learns."""
        return {"flow": (self.net, self.loss)}

    @torch.no_grad()
    def prepare(self, x: Tensor) -> Tensor:
        """Encode the whole data set once, and set mean and std: x (N, C, H, W) -> (N, 2z), mu beside logvar."""
        codes = torch.cat([torch.cat(self.first.encode(part.to(self.device)), dim=1) for part in x.split(500)])
        mu, logvar = codes.chunk(2, dim=1)
        self.mean.copy_(mu.mean(dim=0))
        self.std.copy_((mu.var(dim=0) + logvar.exp().mean(dim=0)).sqrt())  # of z ~ q, by the law of total variance
        return codes

    def loss(self, codes: Tensor, y=None) -> Losses:
        """Flow matching (Lipman et al. 2023, eq. 23): E ‖net(x_t, t) − (eps − w)‖² / z, w a standardised draw from q.

        codes: (B, 2z) from `prepare`.
        """
        w = (reparameterize(*codes.chunk(2, dim=1)) - self.mean) / self.std
        eps, t = torch.randn_like(w), diffusion.logit_normal(len(w), device=w.device)
        v = self.net(diffusion.add_noise(diffusion.linear, w, eps, t), t)
        return {"loss": (v.float() - (eps - w)).square().mean()}

    def predict(self, x_t: Tensor, t: Tensor) -> Tensor:
        """The guess of the standardised code behind x_t: (B, z), t: (B,) -> (B, z)."""
        return x_t - diffusion.per_sample(t, x_t) * self.net(x_t, t).float()

    def code(self, eps: Tensor, steps: int | None = None) -> Tensor:
        """The code z that the flow carries the noise eps to; both (B, z)."""
        w = diffusion.integrate(diffusion.linear, self.predict, eps, steps or self.steps)
        return w * self.std + self.mean

    @torch.no_grad()
    def decode(self, z: Tensor) -> Tensor:
        """The first stage's picture of a code: (B, z) -> (B, C, H, W) in [-1, 1]."""
        return self.first.decode(z).clamp(-1, 1)

    def sample(self, n: int, y=None) -> Tensor:
        """Noise to code by the flow, code to picture by the first stage."""
        return self.decode(self.code(torch.randn(n, self.z, device=self.device)))
