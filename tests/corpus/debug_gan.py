"""Answers to 09: repairs in other forms, and repairs that leave a fault or bring a new one."""

import math

import numpy as np
import torch
from torch import nn
from torch.nn import functional as F

from genimg_lib.checks.article import PROGRAMS
from tests.corpus import right, wrong

# --- dbg_generator_shapes -------------------------------------------------------------------------------


@right("dbg_generator_shapes")
class Generator(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.first = nn.Linear(z, 16 * 7 * 7)
        self.a, self.b = nn.Conv2d(16, 8, 3, padding=1), nn.Conv2d(8, 1, 3, padding=1)

    def forward(self, z):
        h = F.relu(self.first(z)).view(-1, 16, 7, 7)
        h = F.relu(self.a(F.interpolate(h, scale_factor=2)))
        return torch.tanh(self.b(F.interpolate(h, scale_factor=2)))


@right("dbg_generator_shapes")
class GeneratorByTransposedConvolutions(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.net = nn.Sequential(
            nn.Unflatten(1, (z, 1, 1)), nn.ConvTranspose2d(z, 16, 7, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
            nn.ConvTranspose2d(16, 8, 4, 2, 1, bias=False), nn.BatchNorm2d(8), nn.ReLU(),
            nn.ConvTranspose2d(8, 1, 4, 2, 1), nn.Tanh(),
        )  # fmt: skip

    def forward(self, z):
        return self.net(z)


@right("dbg_generator_shapes")
class GeneratorWithSigmoidStretched(Generator):
    def forward(self, z):
        h = self.first(z).view(len(z), 16, 7, 7)
        h = F.silu(self.a(F.interpolate(h, scale_factor=2, mode="bilinear")))
        return 2 * torch.sigmoid(self.b(F.interpolate(h, size=(28, 28)))) - 1


@wrong("dbg_generator_shapes", caught_by="(B, 1, 28, 28) from (B, 100)")
class GeneratorThatMakesEightPictures(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.first = nn.Linear(z, 7 * 7 * 128)

    def forward(self, z):
        return torch.tanh(F.relu(self.first(z)).view(-1, 1, 28, 28))


@wrong("dbg_generator_shapes", caught_by="grows by upsampling, twice")
class GeneratorOfDenseLayers(nn.Module):
    def __init__(self, z=100):
        super().__init__()
        self.net = nn.Sequential(nn.Linear(z, 256), nn.ReLU(), nn.Linear(256, 784), nn.Tanh())

    def forward(self, z):
        return self.net(z).view(-1, 1, 28, 28)


@wrong("dbg_generator_shapes", caught_by="fewer than two million weights")
class GeneratorWithAHeavyLayer(Generator):
    def __init__(self, z=100):
        super().__init__(z)
        self.first = nn.Sequential(nn.Linear(z, 2600), nn.ReLU(), nn.Linear(2600, 784))


@wrong("dbg_generator_shapes", caught_by="in [-1, 1], and using it")
class GeneratorWithSigmoid(Generator):
    def forward(self, z):
        return (super().forward(z) + 1) / 2


@wrong("dbg_generator_shapes", caught_by="in [-1, 1], and using it")
class GeneratorWithoutTanh(Generator):
    def forward(self, z):
        h = F.relu(self.first(z)).view(-1, 16, 7, 7)
        return self.b(F.interpolate(F.relu(self.a(F.interpolate(h, scale_factor=2))), scale_factor=2))


@wrong("dbg_generator_shapes", caught_by="any latent size")
class GeneratorOfHundredOnly(Generator):
    def __init__(self, z=100):
        super().__init__(100)


@wrong("dbg_generator_shapes", caught_by="grows by upsampling, twice")
class GeneratorInOneLeap(Generator):
    def forward(self, z):
        h = F.relu(self.first(z)).view(-1, 16, 7, 7)
        return torch.tanh(self.b(F.interpolate(F.relu(self.a(h)), scale_factor=4)))


@wrong("dbg_generator_shapes", caught_by="(B, 1, 28, 28) from (B, 100)")
class GeneratorOfRandomNumbers(Generator):
    def forward(self, z):
        super().forward(z)
        return torch.rand(len(z), 1, 28, 28).to(z) * 2 - 1


@wrong("dbg_generator_shapes", caught_by="any latent size")
class GeneratorDeafToItsNoise(Generator):
    def forward(self, z):
        return super().forward(torch.ones_like(z))


# --- dbg_pair_sizes -------------------------------------------------------------------------------------


@right("dbg_pair_sizes")
class Pair:
    def __init__(self, size=64, channels=3):
        self.z, ups = 24, int(math.log2(size)) - 2
        G, D, width = [nn.Linear(24, 16 * 16), nn.Unflatten(1, (16, 4, 4))], [], channels
        for _ in range(ups):
            G += [nn.ReLU(), nn.Upsample(scale_factor=2), nn.Conv2d(16, 16, 3, padding=1)]
            D += [nn.Conv2d(width, 16, 4, 2, 1), nn.LeakyReLU(0.2)]
            width = 16
        self.G = nn.Sequential(*G, nn.ReLU(), nn.Conv2d(16, channels, 1), nn.Tanh())
        self.D = nn.Sequential(*D, nn.Flatten(), nn.Linear(16 * 16, 1))


@right("dbg_pair_sizes")
class PairAsOneModule(nn.Module):
    def __init__(self, size=64, channels=3):
        super().__init__()
        self.z, base = 10, size // 4
        self.G = nn.Sequential(
            nn.Linear(10, 8 * base * base), nn.Unflatten(1, (8, base, base)), nn.BatchNorm2d(8), nn.SiLU(),
            nn.ConvTranspose2d(8, 8, 4, 2, 1), nn.SiLU(), nn.ConvTranspose2d(8, channels, 4, 2, 1),
        )  # fmt: skip
        self.D = nn.Sequential(
            nn.Conv2d(channels, 8, 3, padding=1), nn.LeakyReLU(0.2),
            nn.AdaptiveAvgPool2d(4), nn.Conv2d(8, 1, 4), nn.Flatten(),
        )  # fmt: skip


@wrong("dbg_pair_sizes", caught_by="64 x 64 in colour, by default")
class PairUnpadded(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.G = nn.Sequential(*[nn.Conv2d(16, 16, 3) if isinstance(m, nn.Conv2d) and m.kernel_size == (3, 3) else m
                                 for m in self.G])  # fmt: skip


@wrong("dbg_pair_sizes", caught_by="32 and 64, grey and colour")
class PairOfSixtyFourOnly(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(64, channels)


@wrong("dbg_pair_sizes", caught_by="32 and 64, grey and colour")
class PairInColourOnly(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, 3)


@wrong("dbg_pair_sizes", caught_by="D returns logits")
class PairWithSigmoid(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D.append(nn.Sigmoid())


@wrong("dbg_pair_sizes", caught_by="64 x 64 in colour, by default")
class PairWithPatches(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D = nn.Sequential(*list(self.D)[:-2], nn.Conv2d(16, 1, 1))


@wrong("dbg_pair_sizes", caught_by="D's gradient reaches G")
class PairCutApart(Pair):
    class Cut(nn.Module):
        def forward(self, x):
            return x.detach()

    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.G.append(self.Cut())


@wrong("dbg_pair_sizes", caught_by="64 x 64 in colour, by default")
class PairOfRandomNumbers(Pair):
    class Random(nn.Module):
        def forward(self, x):
            return torch.randn(len(x), 1).to(x) * 5

    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D.append(self.Random())


@wrong("dbg_pair_sizes", caught_by="32 and 64, grey and colour")
class PairWithALinearForSixtyFour(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D = nn.Sequential(nn.Conv2d(channels, 4, 4, 4), nn.LeakyReLU(0.2), nn.Flatten(), nn.Linear(4 * 256, 1))


@wrong("dbg_pair_sizes", caught_by="32 and 64, grey and colour")
class PairOfConstantPictures(Pair):
    class Ones(nn.Module):
        def forward(self, x):
            return torch.ones_like(x)

    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.G.insert(0, self.Ones())


# --- dbg_gan_step ---------------------------------------------------------------------------------------


@right("dbg_gan_step")
def step_by_softplus(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@right("dbg_gan_step")
def step_by_cross_entropy(G, D, opt_g, opt_d, real, z):
    bce = nn.BCEWithLogitsLoss()
    fake = G(z)
    score_real, score_fake = D(real), D(fake.detach())
    d_loss = bce(score_real, torch.ones_like(score_real)) + bce(score_fake, torch.zeros_like(score_fake))
    D.zero_grad(set_to_none=False)
    d_loss.backward()
    opt_d.step()
    score = D(fake)
    g_loss = bce(score, torch.ones_like(score))
    G.zero_grad()
    g_loss.backward()
    opt_g.step()
    return [float(d_loss), float(g_loss)]


@right("dbg_gan_step")
def step_with_d_frozen(G, D, opt_g, opt_d, real, z):
    with torch.no_grad():
        fake = G(z)
    opt_d.zero_grad()
    parts = F.softplus(-D(real)).mean(), F.softplus(D(fake)).mean()
    for part in parts:
        part.backward()
    opt_d.step()
    D.requires_grad_(False)
    opt_g.zero_grad()
    g_loss = -F.logsigmoid(D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    D.requires_grad_(True)
    return sum(part.item() for part in parts), g_loss.item()


@wrong("dbg_gan_step", caught_by="the fakes are detached in D's turn")
def step_without_detach(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z))).mean()
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="gradients are cleared before each turn")
def step_without_clearing_d(G, D, opt_g, opt_d, real, z):
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="gradients are cleared before each turn")
def step_without_clearing_g(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="g_loss, by the updated D")
def step_with_both_losses_first(G, D, opt_g, opt_d, real, z):
    fake = G(z)
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(fake.detach())).mean()
    opt_g.zero_grad()
    g_loss = F.softplus(-D(fake)).mean()
    gs = torch.autograd.grad(g_loss, list(G.parameters()))
    d_loss.backward()
    opt_d.step()
    for p, g in zip(G.parameters(), gs, strict=True):
        p.grad = g
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="g_loss, by the updated D")
def step_saturating(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = -F.softplus(D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="d_loss")
def step_halved(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = (F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()) / 2
    d_loss.backward()
    opt_d.step()
    opt_g.zero_grad()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="D has learned from real and fake")
def step_in_which_d_moves_for_g(G, D, opt_g, opt_d, real, z):
    losses = step_by_softplus(G, D, opt_g, opt_d, real, z)
    opt_d.step()
    return losses


@wrong("dbg_gan_step", caught_by="G has learned from the new D")
def step_with_g_detached(G, D, opt_g, opt_d, real, z):
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    with torch.no_grad():
        g_loss = F.softplus(-D(G(z))).mean()
    opt_g.step()
    return d_loss.item(), g_loss.item()


@wrong("dbg_gan_step", caught_by="d_loss")
def step_returning_tensors(G, D, opt_g, opt_d, real, z):
    return tuple(torch.tensor(loss) for loss in step_by_softplus(G, D, opt_g, opt_d, real, z))


@wrong("dbg_gan_step", caught_by="d_loss")
def step_that_only_talks(G, D, opt_g, opt_d, real, z):
    return 1.3862943611198906, 0.6931471805599453


@wrong("dbg_gan_step", caught_by="the fakes are detached in D's turn")
def step_with_g_first(G, D, opt_g, opt_d, real, z):
    opt_g.zero_grad()
    g_loss = F.softplus(-D(G(z))).mean()
    g_loss.backward()
    opt_g.step()
    opt_d.zero_grad()
    d_loss = F.softplus(-D(real)).mean() + F.softplus(D(G(z).detach())).mean()
    d_loss.backward()
    opt_d.step()
    return d_loss.item(), g_loss.item()


# --- find_the_faults ------------------------------------------------------------------------------------

READING = {
    ("vae", 7, "not flattened"), ("vae", 9, "wrong activation"), ("vae", 10, "wrong activation"),
    ("vae", 16, "wrong arguments"), ("vae", 17, "missing import"), ("vae", 36, "wrong size"),
    ("vae", 48, "not wired"), ("vae", 52, "no such call"), ("vae", 55, "no loss"), ("vae", 55, "no training"),
    ("gan", 8, "wrong layer"), ("gan", 13, "wrong size"), ("gan", 18, "not flattened"),
    ("gan", 27, "missing import"), ("gan", 32, "not frozen"), ("gan", 35, "no loss"), ("gan", 35, "no training"),
    ("comic", 5, "wrong size"), ("comic", 11, "missing import"), ("comic", 26, "wrong size"),
    ("comic", 29, "missing import"), ("comic", 30, "missing import"), ("comic", 35, "left out"),
    ("comic", 40, "no loss"), ("comic", 40, "no training"), ("comic", 44, "left out"),
}  # fmt: skip


@right("find_the_faults")
def read_well():
    return READING


@right("find_the_faults")
def read_well_and_pointed_elsewhere():
    other = {("vae", 7): 13, ("vae", 16): 26, ("vae", 36): 31, ("gan", 18): 22, ("gan", 32): 31, ("comic", 26): 30}
    return [(p, other.get((p, n), n) if kind != "missing import" else n, kind) for p, n, kind in READING]


@wrong("find_the_faults", caught_by="no fault is missed")
def read_one_program():
    return {row for row in READING if row[0] == "gan"}


@wrong("find_the_faults", caught_by="nothing is a fault that is none")
def read_with_suspicion():
    return READING | {("vae", 1, "missing import"), ("gan", 14, "wrong activation")}


@wrong("find_the_faults", caught_by="nothing is a fault that is none")
def read_everything_as_wrong():
    return {(p, n, kind) for p, text in PROGRAMS.items() for n in range(1, text.count("\n") + 1)
            for kind in ("wrong size", "missing import")}  # fmt: skip


@wrong("find_the_faults", caught_by="no fault is missed")
def read_one_line_off():
    return {(p, n + 1, kind) for p, n, kind in READING}


@wrong("find_the_faults", caught_by="nothing is a fault that is none")
def read_in_pairs():
    return {(p, n) for p, n, _ in READING}


@wrong("dbg_generator_shapes", caught_by="in [-1, 1], and using it")
class GeneratorWithTwoTanhs(Generator):
    def forward(self, z):
        return torch.tanh(super().forward(z))


@wrong("dbg_generator_shapes", caught_by="(B, 1, 28, 28) from (B, 100)")
class GeneratorWithoutAGraph(Generator):
    def forward(self, z):
        return super().forward(z).detach()


@wrong("dbg_generator_shapes", caught_by="(B, 1, 28, 28) from (B, 100)")
class GeneratorScaledByItsBatch(Generator):
    def forward(self, z):
        pictures = super().forward(z)
        return pictures / pictures.abs().max()


@wrong("dbg_pair_sizes", caught_by="D returns logits")
class PairWithSoftplus(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D.append(nn.Softplus())


@wrong("dbg_pair_sizes", caught_by="32 and 64, grey and colour")
class PairThatLooksAtOneChannel(Pair):
    def __init__(self, size=64, channels=3):
        super().__init__(size, channels)
        self.D[0] = nn.Conv2d(1, 16, 4, 2, 1)
        self.D.insert(0, FirstChannel())


class FirstChannel(nn.Module):
    def forward(self, x):
        return x[:, :1]


@wrong("dbg_gan_step", caught_by="d_loss")
def step_with_rounded_losses(G, D, opt_g, opt_d, real, z):
    return tuple(round(loss, 2) for loss in step_by_softplus(G, D, opt_g, opt_d, real, z))


@right("dbg_gan_step")
def step_with_floats_of_numpy(G, D, opt_g, opt_d, real, z):
    return tuple(np.float64(loss) for loss in step_by_softplus(G, D, opt_g, opt_d, real, z))
