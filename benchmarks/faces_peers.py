"""Train one peer of `faces.py` in the peers' own environment. Not meant to be started by hand; it needs no genimg.

Each peer keeps its own network, loss, optimiser, averaging and sampler; only sizes are smaller, for a processor. The
pictures come as an array and what was sampled goes back as one, with the training seconds, as a line of JSON a point.
"""

import argparse
import json
import sys
import time
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import ModuleType

import numpy as np
import torch
import torch.nn.functional as F
from torch import nn

SAMPLING_STEPS = 15  # network evaluations a picture: as many as eight steps of Heun's method take


def half_precision():
    """bfloat16 where this processor multiplies it faster, by the same rule as the course's own loop."""
    return torch.autocast("cpu", torch.bfloat16, enabled=torch.cpu._is_avx512_bf16_supported())


class DCGAN:
    """PyTorch's DCGAN example, written anew from its description, with one layer fewer for 32×32 (ngf = ndf = 64).

    Convolutions with batch norm from N(0, 0.02) weights, binary cross-entropy, Adam 2e-4 (0.5, 0.999), batch 64; each
    step the critic learns from a real and a fake batch, then the generator from the same fakes. It has no averaging.
    """

    batch, size = 64, 64

    def __init__(self, steps: int):
        n = self.size
        up = self.block(nn.ConvTranspose2d, 100, 4 * n, 1, 0)
        up += self.block(nn.ConvTranspose2d, 4 * n, 2 * n) + self.block(nn.ConvTranspose2d, 2 * n, n)
        self.generator = nn.Sequential(*up, nn.ConvTranspose2d(n, 3, 4, 2, 1, bias=False), nn.Tanh())
        down = [nn.Conv2d(3, n, 4, 2, 1, bias=False), nn.LeakyReLU(0.2)]
        for wide in (2 * n, 4 * n):
            down += self.block(nn.Conv2d, wide // 2, wide)
        self.critic = nn.Sequential(*down, nn.Conv2d(4 * n, 1, 4, 1, 0, bias=False), nn.Flatten(0))
        for part in [*self.generator.modules(), *self.critic.modules()]:
            if isinstance(part, nn.Conv2d | nn.ConvTranspose2d):
                nn.init.normal_(part.weight, 0.0, 0.02)
            elif isinstance(part, nn.BatchNorm2d):
                nn.init.normal_(part.weight, 1.0, 0.02)
        self.learners = [
            torch.optim.Adam(net.parameters(), 2e-4, (0.5, 0.999)) for net in (self.critic, self.generator)
        ]

    @staticmethod
    def block(conv, a: int, b: int, stride: int = 2, padding: int = 1) -> list[nn.Module]:
        act = nn.ReLU() if conv is nn.ConvTranspose2d else nn.LeakyReLU(0.2)
        return [conv(a, b, 4, stride, padding, bias=False), nn.BatchNorm2d(b), act]

    def judged(self, x, real: bool):
        logits = self.critic(x)
        return F.binary_cross_entropy_with_logits(logits, torch.full_like(logits, float(real)))

    def step(self, x) -> None:
        of_critic, of_generator = self.learners
        of_critic.zero_grad()
        self.judged(x, True).backward()
        fake = self.generator(torch.randn(len(x), 100, 1, 1))
        self.judged(fake.detach(), False).backward()
        of_critic.step()
        of_generator.zero_grad()
        self.judged(fake, True).backward()
        of_generator.step()

    def sample(self, n: int):
        """As the example does: batch norm keeps using the statistics of the batch."""
        return self.generator(torch.randn(n, 100, 1, 1))


class Lucidrains:
    """denoising-diffusion-pytorch: its U-Net, GaussianDiffusion's defaults, and what its Trainer does around them.

    Adam 1e-4 (0.9, 0.99), batch 16, gradients clipped at 1, EMA 0.995 every 10 steps; dim 32, three levels. Its
    Trainer also mirrors pictures, which is left out: these faces all look the same way.
    """

    batch = 16

    def __init__(self, steps: int):
        stand_in("torchvision", "transforms", "utils")
        from denoising_diffusion_pytorch import GaussianDiffusion, Unet
        from ema_pytorch import EMA

        net = Unet(dim=32, dim_mults=(1, 2, 4))
        self.model = GaussianDiffusion(net, image_size=32, sampling_timesteps=SAMPLING_STEPS)
        self.learner = torch.optim.Adam(self.model.parameters(), 1e-4, (0.9, 0.99))
        self.ema = EMA(self.model, beta=0.995, update_every=10)

    def step(self, x) -> None:
        with half_precision():
            loss = self.model((x + 1) / 2)  # it wants [0, 1]
        loss.backward()
        nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.learner.step()
        self.learner.zero_grad()
        self.ema.update()

    def sample(self, n: int):
        """DDIM, its own."""
        with half_precision():
            return self.ema.ema_model.eval().sample(batch_size=n).float() * 2 - 1


class Diffusers:
    """The recipe of diffusers' example for unconditional pictures: UNet2D, DDPM with 1,000 steps, guess of the noise.

    AdamW 1e-4 (0.95, 0.999) with weight decay 1e-6, batch 16, gradients clipped at 1, EMA with power 3/4, a cosine
    schedule over the whole run. Smaller: channels 32, 64, 128, 128 for six levels from 128 to 512, and a warm-up of a
    tenth of the run where that is less than its 500 steps.
    """

    batch = 16

    def __init__(self, steps: int):
        from diffusers import DDPMScheduler, UNet2DModel
        from diffusers.optimization import get_scheduler
        from diffusers.training_utils import EMAModel

        self.net = UNet2DModel(
            sample_size=32, in_channels=3, out_channels=3, layers_per_block=2, block_out_channels=(32, 64, 128, 128),
            down_block_types=("DownBlock2D", "DownBlock2D", "AttnDownBlock2D", "DownBlock2D"),
            up_block_types=("UpBlock2D", "AttnUpBlock2D", "UpBlock2D", "UpBlock2D"),
        )  # fmt: skip
        self.noise = DDPMScheduler(num_train_timesteps=1000)
        self.learner = torch.optim.AdamW(self.net.parameters(), 1e-4, (0.95, 0.999), weight_decay=1e-6)
        self.steps, self.pace = (
            steps,
            get_scheduler("cosine", self.learner, num_warmup_steps=min(500, steps // 10), num_training_steps=steps),
        )
        self.ema = EMAModel(self.net.parameters(), decay=0.9999, use_ema_warmup=True, inv_gamma=1.0, power=0.75)

    def step(self, x) -> None:
        eps, t = torch.randn_like(x), torch.randint(0, 1000, (len(x),))
        with half_precision():
            guess = self.net(self.noise.add_noise(x, eps, t), t).sample
        F.mse_loss(guess.float(), eps).backward()
        nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.learner.step()
        if self.pace.last_epoch < self.steps:  # past its end a cosine would rise again
            self.pace.step()
        self.ema.step(self.net.parameters())
        self.learner.zero_grad()

    def sample(self, n: int):
        """DDIM, its own, with the averaged weights, which then make room for the trained ones again."""
        from diffusers import DDIMScheduler

        walk = DDIMScheduler.from_config(self.noise.config)
        walk.set_timesteps(SAMPLING_STEPS)
        self.ema.store(self.net.parameters())
        self.ema.copy_to(self.net.parameters())
        x = torch.randn(n, 3, 32, 32)
        for t in walk.timesteps:
            with half_precision():
                guess = self.net(x, t).sample
            x = walk.step(guess.float(), t, x).prev_sample
        self.ema.restore(self.net.parameters())
        return x


PEERS = {"dcgan": DCGAN, "lucidrains": Lucidrains, "diffusers": Diffusers}


def stand_in(package: str, *parts: str) -> None:
    """An empty package of that name: torchvision has no build beside this torch, and only picture files need it."""
    for name in (package, *(f"{package}.{part}" for part in parts)):
        module = ModuleType(name)
        module.__spec__, module.__path__ = ModuleSpec(name, None), []
        sys.modules[name] = module
    for part in parts:
        setattr(sys.modules[package], part, sys.modules[f"{package}.{part}"])


def batches(x: torch.Tensor, batch: int):
    """Shuffled batches for ever."""
    while True:
        for index in torch.randperm(len(x))[: len(x) // batch * batch].split(batch):
            yield x[index]


def probe() -> float:
    """CPU-seconds of a fixed piece of work, one convolution there and back: how fast this core is just now."""
    conv = nn.Conv2d(64, 64, 3, padding=1)
    x = torch.zeros(16, 64, 16, 16, requires_grad=True)
    started = time.process_time()
    conv(x).sum().backward()
    return time.process_time() - started


class Clock:
    """Training time in reference seconds: CPU-seconds, corrected for how much a busy machine stretches them.

    Every second or so a fixed piece of work is timed, which is not counted. `unit` is what that work takes at this
    machine's best; if it takes twice as long just now, two CPU-seconds count as one.
    """

    def __init__(self, unit: float):
        self.unit, self.raw, self.seconds, self.open = unit, 0.0, 0.0, 0.0
        self.mark = time.process_time()

    def tick(self, close: bool = False) -> float:
        """Count the time since the last tick or skip; returns the reference seconds up to the last probe."""
        self.open += time.process_time() - self.mark
        if self.open > 1.0 or close:
            self.raw, self.seconds = self.raw + self.open, self.seconds + self.open * self.unit / probe()
            self.open = 0.0
        self.mark = time.process_time()
        return self.seconds

    def skip(self) -> None:
        """Do not count the time since the last tick."""
        self.mark = time.process_time()


def pace(peer: str, x: torch.Tensor, unit: float, steps: int = 6) -> float:
    """Reference seconds of a step, on a model that is thrown away; the first two warm up and are not counted."""
    model, clock = PEERS[peer](1000), Clock(unit)
    for number, part in zip(range(steps + 2), batches(x, model.batch), strict=False):
        clock.skip() if number == 2 else clock.tick()
        model.step(part)
    return clock.tick(close=True) / steps


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=PEERS)
    parser.add_argument("faces", type=Path, help="the pictures: .npy, uint8 (N, 3, 32, 32)")
    parser.add_argument("out", type=Path, help="the folder for the samples")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--samples", type=int, default=500)
    parser.add_argument("--points", type=float, nargs="+", required=True, help="reference seconds at which to sample")
    parser.add_argument("--unit", type=float, required=True, help="CPU-seconds of the fixed piece of work, at best")
    asked = parser.parse_args()
    torch.set_num_threads(1)
    x = torch.from_numpy(np.load(asked.faces)).float() / 127.5 - 1
    steps = max(20, int(asked.points[-1] / pace(asked.peer, x, asked.unit)))
    torch.manual_seed(asked.seed)
    clock, done = Clock(asked.unit), 0
    model = PEERS[asked.peer](steps)
    feed = batches(x, model.batch)
    for point in asked.points:
        while clock.tick() < point:
            model.step(next(feed))
            done += 1
        state = torch.get_rng_state()
        with torch.no_grad():
            fake = torch.cat([model.sample(len(part)) for part in torch.arange(asked.samples).split(100)])
        torch.set_rng_state(state)
        name = asked.out / f"{asked.peer}-{asked.seed}-{point:g}.npy"
        np.save(name, ((fake.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).numpy())
        row = {"budget": point, "seconds": round(clock.seconds, 2), "raw": round(clock.raw, 2), "steps": done}
        print(json.dumps(row | {"samples": str(name)}), flush=True)
        clock.skip()


if __name__ == "__main__":
    main()
