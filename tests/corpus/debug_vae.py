"""Answers to 08: repairs in other forms, and repairs that leave a fault or bring a new one."""

import torch
from torch import nn
from torch.nn import functional as F

from tests.corpus import right, wrong

# --- dbg_latent_heads -----------------------------------------------------------------------------------


@right("dbg_latent_heads")
class Encoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(28 * 28, 64)
        self.mu, self.logvar = nn.Linear(64, 2), nn.Linear(64, 2)

    def forward(self, x):
        h = F.relu(self.hidden(x.flatten(1)))
        return self.mu(h), self.logvar(h)


@right("dbg_latent_heads")
class EncoderWithOneLinearSplit(nn.Module):
    def __init__(self):
        super().__init__()
        self.net = nn.Sequential(nn.Flatten(), nn.Linear(784, 32), nn.Tanh(), nn.Linear(32, 4))

    def forward(self, x):
        return self.net(x).chunk(2, dim=1)


@right("dbg_latent_heads")
class EncoderOfConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(1, 4, 3, 2, 1), nn.BatchNorm2d(4), nn.ReLU(), nn.Conv2d(4, 8, 3, 2, 1), nn.LeakyReLU(0.2)
        )
        self.heads = nn.ModuleList([nn.LazyLinear(2), nn.LazyLinear(2)])

    def forward(self, x):
        h = self.body(x).flatten(1)
        return [self.heads[0](h), self.heads[1](h).clamp(-10, 10)]


@wrong("dbg_latent_heads", caught_by="any sign")
class EncoderWithReluOnTheHeads(Encoder):
    def forward(self, x):
        mu, logvar = super().forward(x)
        return F.relu(mu), F.relu(logvar)


@wrong("dbg_latent_heads", caught_by="any sign")
class EncoderWithSoftplusForLogvar(Encoder):
    def forward(self, x):
        mu, logvar = super().forward(x)
        return mu, F.softplus(logvar)


@wrong("dbg_latent_heads", caught_by="two separate heads")
class EncoderWithOneHead(Encoder):
    def forward(self, x):
        mu, _ = super().forward(x)
        return mu, mu


@wrong("dbg_latent_heads", caught_by="two separate heads")
class EncoderWithLogvarAfterMu(Encoder):
    def __init__(self):
        super().__init__()
        self.logvar = nn.Linear(2, 2)

    def forward(self, x):
        mu = self.mu(F.relu(self.hidden(x.flatten(1))))
        return mu, self.logvar(mu)


@wrong("dbg_latent_heads", caught_by="mu and logvar, (B, 2) each")
class EncoderNeverFlattened(Encoder):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(28, 64)

    def forward(self, x):
        h = F.relu(self.hidden(x))
        return self.mu(h), self.logvar(h)


@wrong("dbg_latent_heads", caught_by="the whole picture counts")
class EncoderOfOneRow(Encoder):
    def __init__(self):
        super().__init__()
        self.hidden = nn.Linear(28, 64)

    def forward(self, x):
        h = F.relu(self.hidden(x[:, 0, 14]))
        return self.mu(h), self.logvar(h)


@wrong("dbg_latent_heads", caught_by="mu and logvar, (B, 2) each")
class EncoderOfRandomNumbers(Encoder):
    def forward(self, x):
        return torch.randn(len(x), 2).to(x), torch.randn(len(x), 2).to(x)


@wrong("dbg_latent_heads", caught_by="two separate heads")
class EncoderWithRandomLogvar(Encoder):
    def forward(self, x):
        return super().forward(x)[0], torch.randn(len(x), 2).to(x)


@wrong("dbg_latent_heads", caught_by="mu and logvar, (B, 2) each")
class EncoderOfOneTensor(Encoder):
    def forward(self, x):
        return torch.cat(super().forward(x), 1)


# --- dbg_sampling_args ----------------------------------------------------------------------------------


@right("dbg_sampling_args")
def sampled_by_randn(args):
    mu, logvar = args
    return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


@right("dbg_sampling_args")
def sampled_by_a_distribution(args):
    return torch.distributions.Normal(args[0], args[1].exp().sqrt()).rsample()


@right("dbg_sampling_args")
def sampled_in_steps(args):
    (mu, logvar), out = args, []
    for m, v in zip(mu.T, logvar.T, strict=True):
        out.append(torch.addcmul(m, torch.empty_like(m).normal_(), torch.exp(0.5 * v)))
    return torch.stack(out, 1)


@wrong("dbg_sampling_args", caught_by="the spread is exp(logvar / 2)")
def sampled_with_the_variance(args):
    mu, logvar = args
    return mu + torch.exp(logvar) * torch.randn_like(mu)


@wrong("dbg_sampling_args", caught_by="the spread is exp(logvar / 2)")
def sampled_with_logvar_itself(args):
    mu, logvar = args
    return mu + logvar / 2 * torch.randn_like(mu)


@wrong("dbg_sampling_args", caught_by="fresh noise for every number")
def sampled_with_one_noise_for_the_batch(args):
    mu, logvar = args
    return mu + torch.exp(logvar / 2) * torch.randn(1, mu.shape[1]).to(mu)


@wrong("dbg_sampling_args", caught_by="fresh noise for every number")
def sampled_with_one_noise_for_a_row(args):
    mu, logvar = args
    return mu + torch.exp(logvar / 2) * torch.randn(len(mu), 1).to(mu)


@wrong("dbg_sampling_args", caught_by="fresh noise for every number")
def sampled_with_a_fixed_seed(args):
    mu, logvar = args
    generator = torch.Generator().manual_seed(0)
    return mu + torch.exp(logvar / 2) * torch.randn(mu.shape, generator=generator).to(mu)


@wrong("dbg_sampling_args", caught_by="the centre is mu")
def sampled_from_rand(args):
    mu, logvar = args
    return mu + torch.exp(logvar / 2) * torch.rand_like(mu)


@wrong("dbg_sampling_args", caught_by="gradient reaches mu and logvar")
def sampled_without_a_graph(args):
    return torch.distributions.Normal(args[0], torch.exp(args[1] / 2)).sample()


@wrong("dbg_sampling_args", caught_by="the centre is mu")
def sampled_with_two_parameters(mu, logvar):
    return mu + torch.exp(logvar / 2) * torch.randn_like(mu)


@wrong("dbg_sampling_args", caught_by="the spread is exp(logvar / 2)")
def sampled_not_at_all(args):
    return args[0] + 0 * args[1]


@wrong("dbg_sampling_args", caught_by="the centre is mu")
def sampled_from_the_prior(args):
    return torch.randn_like(args[0]) + 0 * (args[0] + args[1])


# --- dbg_wire_decoder -----------------------------------------------------------------------------------


@right("dbg_wire_decoder")
class VAE(nn.Module):
    def __init__(self):
        super().__init__()
        self.enc = nn.Linear(784, 32)
        self.mu, self.logvar = nn.Linear(32, 2), nn.Linear(32, 2)
        self.dec = nn.Sequential(nn.Linear(2, 32), nn.ReLU(), nn.Linear(32, 784))

    def decode(self, z):
        return self.dec(z).view(-1, 1, 28, 28)

    def encode(self, x):
        h = F.relu(self.enc(x.flatten(1)))
        return self.mu(h), self.logvar(h)

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar / 2) * torch.randn_like(mu)), mu, logvar


@right("dbg_wire_decoder")
class VAEOfConvolutions(nn.Module):
    def __init__(self):
        super().__init__()
        self.encoder = nn.Sequential(nn.Conv2d(1, 4, 4, 2, 1), nn.BatchNorm2d(4), nn.SiLU(), nn.Flatten())
        self.head = nn.Linear(4 * 14 * 14, 4)
        self.decoder = nn.Sequential(
            nn.Linear(2, 4 * 49), nn.Unflatten(1, (4, 7, 7)), nn.SiLU(), nn.Upsample(scale_factor=2),
            nn.Conv2d(4, 4, 3, padding=1), nn.SiLU(), nn.ConvTranspose2d(4, 1, 4, 2, 1), nn.Sigmoid(),
        )  # fmt: skip

    def decode(self, z):
        return self.decoder(z)

    def forward(self, x):
        mu, logvar = self.head(self.encoder(x)).split(2, dim=1)
        z = torch.distributions.Normal(mu, (0.5 * logvar).exp()).rsample()
        return [self.decoder(z), mu, logvar]


@wrong("dbg_wire_decoder", caught_by="the reconstruction is decode(z)")
class VAEThatCopiesItsInput(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return x, mu, logvar


@wrong("dbg_wire_decoder", caught_by="two passes differ")
class VAEThatDecodesTheMean(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu), mu, logvar


@wrong("dbg_wire_decoder", caught_by="gradient reaches the encoder through z")
class VAEWithZDetached(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        z = mu + torch.exp(logvar / 2) * torch.randn_like(mu)
        return self.decode(z.detach()), mu, logvar


@wrong("dbg_wire_decoder", caught_by="the reconstruction is decode(z)")
class VAEThatDecodesThePrior(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(torch.randn_like(mu)), mu, logvar


@wrong("dbg_wire_decoder", caught_by="the reconstruction is decode(z)")
class VAEWithTheVarianceAsSpread(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar) * torch.randn_like(mu)), mu, logvar


@wrong("dbg_wire_decoder", caught_by="mu and logvar come from the picture")
class VAEInAnotherOrder(VAE):
    def forward(self, x):
        recon, mu, logvar = super().forward(x)
        return mu, logvar, recon


@wrong("dbg_wire_decoder", caught_by="the reconstruction is decode(z)")
class VAEWithAWayAround(VAE):
    def __init__(self):
        super().__init__()
        self.around = nn.Linear(784, 784)

    def forward(self, x):
        recon, mu, logvar = super().forward(x)
        return recon + self.around(x.flatten(1)).view_as(recon), mu, logvar


@wrong("dbg_wire_decoder", caught_by="decode needs z alone")
class VAEOfRandomNumbers(VAE):
    def decode(self, z):
        return torch.randn(len(z), 1, 28, 28).to(z)


@wrong("dbg_wire_decoder", caught_by="mu and logvar come from the picture")
class VAEWithAnEncoderOfNoise(VAE):
    def encode(self, x):
        return torch.randn(len(x), 2).to(x), torch.randn(len(x), 2).to(x)


@wrong("dbg_wire_decoder", caught_by="two passes differ")
class VAEWithOneNoiseForEver(VAE):
    def __init__(self):
        super().__init__()
        self.register_buffer("eps", torch.randn(1, 2))

    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar / 2) * self.eps), mu, logvar


# --- dbg_decoder_size -----------------------------------------------------------------------------------


@right("dbg_decoder_size")
class Decoder(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.first = nn.Linear(z, 8 * 7 * 7)
        self.up1 = nn.ConvTranspose2d(8, 4, 4, stride=2, padding=1)
        self.up2 = nn.ConvTranspose2d(4, 1, 4, stride=2, padding=1)

    def forward(self, z):
        h = F.relu(self.first(z)).view(-1, 8, 7, 7)
        return self.up2(F.relu(self.up1(h)))


@right("dbg_decoder_size")
class DecoderByInterpolation(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.first, self.a, self.b = nn.Linear(z, 6 * 49), nn.Conv2d(6, 4, 3, padding=1), nn.Conv2d(4, 1, 3, padding=1)

    def forward(self, z):
        h = self.first(z).tanh().reshape(len(z), 6, 7, 7)
        h = F.gelu(self.a(F.interpolate(h, scale_factor=2, mode="bilinear")))
        return self.b(h.repeat_interleave(2, 2).repeat_interleave(2, 3))


@right("dbg_decoder_size")
class DecoderByPixelShuffle(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.net = nn.Sequential(
            nn.Linear(z, 98), nn.Unflatten(1, (2, 7, 7)), nn.Conv2d(2, 16, 3, padding=1), nn.PixelShuffle(2),
            nn.BatchNorm2d(4), nn.SiLU(), nn.Conv2d(4, 4, 3, padding=1), nn.PixelShuffle(2),
        )  # fmt: skip

    def forward(self, z):
        return self.net(z)


@wrong("dbg_decoder_size", caught_by="(B, 1, 28, 28) from (B, 16)")
class DecoderFromEight(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.first, self.out = nn.Linear(z, 64), nn.Conv2d(1, 1, 3, padding=1)

    def forward(self, z):
        h = F.interpolate(self.first(z).view(-1, 1, 8, 8), scale_factor=4)
        return self.out(h)


@wrong("dbg_decoder_size", caught_by="goes 7 -> 14 -> 28")
class DecoderCutToSize(DecoderFromEight):
    def forward(self, z):
        return super().forward(z)[:, :, 2:-2, 2:-2]


@wrong("dbg_decoder_size", caught_by="goes 7 -> 14 -> 28")
class DecoderInOneLinear(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.first = nn.Linear(z, 784)

    def forward(self, z):
        return self.first(z).view(-1, 1, 28, 28)


@wrong("dbg_decoder_size", caught_by="logits: any sign, any size")
class DecoderWithSigmoid(Decoder):
    def forward(self, z):
        return torch.sigmoid(super().forward(z))


@wrong("dbg_decoder_size", caught_by="logits: any sign, any size")
class DecoderWithTanh(Decoder):
    def forward(self, z):
        return torch.tanh(super().forward(z))


@wrong("dbg_decoder_size", caught_by="any latent size")
class DecoderOfSixteenOnly(Decoder):
    def __init__(self, z=16):
        super().__init__(16)


@wrong("dbg_decoder_size", caught_by="logits: any sign, any size")
class DecoderWithReluAtTheEnd(Decoder):
    def forward(self, z):
        return F.relu(super().forward(z))


@wrong("dbg_decoder_size", caught_by="goes 7 -> 14 -> 28")
class DecoderInOneLeap(nn.Module):
    def __init__(self, z=16):
        super().__init__()
        self.first, self.up = nn.Linear(z, 4 * 49), nn.ConvTranspose2d(4, 1, 4, stride=4)

    def forward(self, z):
        return self.up(self.first(z).view(-1, 4, 7, 7))


@wrong("dbg_decoder_size", caught_by="(B, 1, 28, 28) from (B, 16)")
class DecoderOfRandomNumbers(Decoder):
    def forward(self, z):
        super().forward(z)
        return torch.randn(len(z), 1, 28, 28).to(z) * 9


@wrong("dbg_decoder_size", caught_by="any latent size")
class DecoderOfConstants(Decoder):
    def forward(self, z):
        return super().forward(z * 0)


# --- dbg_missing_kl -------------------------------------------------------------------------------------


@right("dbg_missing_kl")
def loss_by_functions(x, logits, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum")
    kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())
    return (rec + kl) / x.shape[0]


@right("dbg_missing_kl")
def loss_by_distributions(x, logits, mu, logvar):
    d = torch.distributions
    rec = F.softplus(logits) - x * logits
    kl = d.kl_divergence(d.Normal(mu, torch.exp(logvar / 2)), d.Normal(torch.zeros_like(mu), torch.ones_like(mu)))
    return rec.flatten(1).sum(1).mean() + kl.sum(1).mean()


@wrong("dbg_missing_kl", caught_by="the KL, summed over the latents")
def loss_without_kl(x, logits, mu, logvar):
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)


@wrong("dbg_missing_kl", caught_by="the reconstruction, summed over the pixels")
def loss_with_a_mean_over_pixels(x, logits, mu, logvar):
    kl = -0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), 1).mean()
    return F.binary_cross_entropy_with_logits(logits, x) + kl


@wrong("dbg_missing_kl", caught_by="the KL, summed over the latents")
def loss_with_the_sign_turned(x, logits, mu, logvar):
    kl = 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), 1).mean()
    return F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x) + kl


@wrong("dbg_missing_kl", caught_by="finite for extreme logits")
def loss_by_sigmoid_and_log(x, logits, mu, logvar):
    p = torch.sigmoid(logits)
    rec = -(x * torch.log(p) + (1 - x) * torch.log(1 - p)).flatten(1).sum(1)
    return (rec - 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp(), 1)).mean()


@wrong("dbg_missing_kl", caught_by="the mean over the batch")
def loss_summed_over_the_batch(x, logits, mu, logvar):
    return loss_by_functions(x, logits, mu, logvar) * len(x)


@wrong("dbg_missing_kl", caught_by="the reconstruction, summed over the pixels")
def loss_by_squares(x, logits, mu, logvar):
    rec = F.mse_loss(torch.sigmoid(logits), x, reduction="sum")
    return (rec - 0.5 * torch.sum(1 + logvar - mu**2 - logvar.exp())) / len(x)


@wrong("dbg_missing_kl", caught_by="the KL, summed over the latents")
def loss_with_kl_averaged_over_latents(x, logits, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return rec - 0.5 * torch.mean(1 + logvar - mu**2 - logvar.exp())


@wrong("dbg_missing_kl", caught_by="the KL, summed over the latents")
def loss_with_logvar_as_sigma(x, logits, mu, logvar):
    rec = F.binary_cross_entropy_with_logits(logits, x, reduction="sum") / len(x)
    return rec - 0.5 * torch.sum(1 + 2 * logvar - mu**2 - (2 * logvar).exp(), 1).mean()


@wrong("dbg_missing_kl", caught_by="gradient reaches logits, mu and logvar")
def loss_as_a_number(x, logits, mu, logvar):
    return loss_by_functions(x, logits, mu, logvar).item()


@wrong("dbg_missing_kl", caught_by="the reconstruction, summed over the pixels")
def loss_with_a_mean_over_channels(x, logits, mu, logvar):
    nats = F.binary_cross_entropy_with_logits(logits, x, reduction="none").sum((2, 3))
    return nats.mean() + 0.5 * (logvar.exp() + mu**2 - 1 - logvar).sum(1).mean()


@wrong("dbg_latent_heads", caught_by="two separate heads")
class EncoderWithOneLogvarForAll(Encoder):
    def forward(self, x):
        mu, _ = super().forward(x)
        return mu, self.logvar.bias.expand(len(x), 2)


@wrong("dbg_latent_heads", caught_by="two separate heads")
class EncoderWithOverlappingHeads(nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = nn.Linear(784, 64), nn.Linear(64, 3)

    def forward(self, x):
        out = self.out(F.relu(self.hidden(x.flatten(1))))
        return out[:, :2], out[:, 1:]


@right("dbg_latent_heads")
class EncoderWithLogvarZeroAtFirst(Encoder):
    def __init__(self):
        super().__init__()
        nn.init.zeros_(self.logvar.weight)
        nn.init.zeros_(self.logvar.bias)


@wrong("dbg_wire_decoder", caught_by="two passes differ")
class VAEWithOneNoiseForTheBatch(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar / 2) * torch.randn(1, 2)), mu, logvar


@wrong("dbg_wire_decoder", caught_by="two passes differ")
class VAEWithOneNoiseForBothLatents(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        return self.decode(mu + torch.exp(logvar / 2) * torch.randn(len(x), 1)), mu, logvar


@wrong("dbg_wire_decoder", caught_by="mu and logvar come from the picture")
class VAEWithOneHead(VAE):
    def encode(self, x):
        mu, _ = super().encode(x)
        return mu, mu


@right("dbg_wire_decoder")
class VAEWithClampedLogvar(VAE):
    def encode(self, x):
        mu, logvar = super().encode(x)
        return mu, logvar.clamp(-10, 10)


@right("dbg_wire_decoder")
class VAEQuietInEvalMode(VAE):
    def forward(self, x):
        mu, logvar = self.encode(x)
        noise = torch.distributions.Normal(mu, (logvar / 2).exp())
        return [self.decode(noise.rsample() if self.training else mu), mu, logvar]
