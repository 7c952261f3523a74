"""What the answers in book/interview/keyboard.yml state; the code that they print is taken from there and run."""

import copy
import math
import re
from functools import cache
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
import yaml
from torch import nn
from torch.testing import assert_close

from genimg_lib import metrics


@cache
def _items():
    path = Path(__file__).parents[2] / "book" / "interview" / "keyboard.yml"
    return {item["id"]: item for item in yaml.safe_load(path.read_text(encoding="utf-8"))["items"]}


def _code(id):
    """Run the Python blocks of an answer one after the other; what they define."""
    names = {"torch": torch, "nn": nn, "F": F, "math": math, "copy": copy}
    for block in re.findall(r"```python\n(.*?)```", _items()[id]["more"], re.S):
        exec(block, names)
    torch.manual_seed(0)
    return names


def q108():
    loss = _code("Q108")["vae_loss"]
    mu, logvar = torch.randn(5, 3), torch.randn(5, 3)
    x, logits = torch.rand(5, 1, 4, 6), torch.randn(5, 1, 4, 6)
    q, p = torch.distributions.Normal(mu, (logvar / 2).exp()), torch.distributions.Normal(0.0, 1.0)
    kl = torch.distributions.kl_divergence(q, p).sum(1)
    recon = -(x * F.logsigmoid(logits) + (1 - x) * F.logsigmoid(-logits)).sum((1, 2, 3))
    assert_close(loss(x, logits, mu, logvar, 2.0), (recon + 2 * kl).mean())
    small = loss(torch.zeros(1, 1, 1, 2), torch.zeros(1, 1, 1, 2), torch.ones(1, 1), torch.zeros(1, 1))
    assert abs(small.item() - 1.886) < 1e-3
    assert 28 * 28 == 784 and 784 / 16 == 49
    assert loss(torch.ones(1, 1, 1, 1), torch.full((1, 1, 1, 1), 200.0), mu[:1] * 0, mu[:1] * 0) == 0
    assert abs(torch.sigmoid(torch.tensor(1.0)) - 0.731) < 1e-3


def q109():
    names = _code("Q109")
    x = torch.rand(4, 1, 28, 28)
    broken = names["Broken"]()
    with pytest.raises(RuntimeError, match="1792"):
        broken(x)
    with pytest.raises(TypeError, match="logvar"):
        broken.sample([torch.zeros(4, 2), torch.zeros(4, 2)])
    with pytest.raises(NameError, match="K"):
        names["sampling"](torch.zeros(4, 2), torch.zeros(4, 2))
    assert broken.dense(x).shape == (4, 1, 28, 64) and 28 * 64 == 1792
    assert names["loss"](lambda x: x, x) == 0
    model = names["VAE"]()
    logits, mu, logvar = model(x)
    assert logits.shape == x.shape and mu.shape == logvar.shape == (4, 2)
    assert not torch.equal(model(x)[0], logits)
    assert mu.min() < 0 or logvar.min() < 0
    first = names["vae_loss"](x, logits, mu, logvar)
    first.backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in model.parameters())
    optimizer = torch.optim.Adam(model.parameters(), 1e-3)
    for _ in range(20):
        optimizer.zero_grad()
        loss = names["vae_loss"](x, *model(x))
        loss.backward()
        optimizer.step()
    assert loss < 0.99 * first


def q110():
    names = _code("Q110")
    broken = names["BrokenG"]()
    assert 7 * 7 * 128 == 6272 == 8 * 784
    assert round(sum(p.numel() for p in broken.second.parameters()) / 1e6, 1) == 39.3
    assert broken(torch.randn(4, 100)).shape == (32, 1, 28, 28)
    assert names["BrokenD"]()(torch.randn(4, 1, 28, 28)).shape == (4, 1, 28, 1)
    with pytest.raises(NameError, match="denoise_gan"):
        names["assemble"]()
    G, D = names["G"], names["D"]
    assert G(torch.randn(4, 100)).shape == (4, 1, 28, 28) and D(G(torch.randn(4, 100))).shape == (4, 1)
    before = [p.clone() for p in (*G.parameters(), *D.parameters())]
    opt_g, opt_d = (torch.optim.Adam(net.parameters(), 1e-3) for net in (G, D))
    losses = names["step"](G, D, opt_g, opt_d, torch.rand(8, 1, 28, 28) * 2 - 1)
    assert all(map(math.isfinite, losses))
    assert not any(torch.equal(a, b) for a, b in zip(before, (*G.parameters(), *D.parameters()), strict=True))


def q111():
    names = _code("Q111")
    alpha_bar = names["alpha_bar"]
    assert abs(alpha_bar[0] - 0.9999) < 1e-6 and 3.9e-5 < alpha_bar[-1] < 4.2e-5
    x0, seen = torch.randn(4000, 1, 4, 5), []

    def zero(x_t, t):
        seen.append((x_t, t))
        return torch.zeros_like(x_t)

    assert abs(names["ddpm_loss"](zero, x0, alpha_bar) - 1) < 0.02
    x_t, t = seen[0]
    assert t.shape == (4000,) and t.unique().numel() > 500
    assert abs(x_t.var() - 1) < 0.02

    def knows(x_t, t):
        ab = alpha_bar[t].view(-1, 1, 1, 1)
        return (x_t - ab.sqrt() * x0) / (1 - ab).sqrt()

    assert names["ddpm_loss"](knows, x0, alpha_bar) < 1e-5


def q112():
    sample = _code("Q112")["ddim_cfg"]
    alpha_bar = (1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64)).cumprod(0)
    calls = []

    def model(x, t, c):
        calls.append((len(x), t[0].item()))
        ab = alpha_bar[t].view(-1, 1, 1, 1)
        return (x - ab.sqrt() * c.view(-1, 1, 1, 1)) / (1 - ab).sqrt()

    x = torch.randn(3, 1, 4, 5, dtype=torch.float64)
    cond, null = torch.ones(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    for w, steps in ((1.0, 50), (4.0, 50), (1.0, 2), (0.0, 7)):
        assert_close(sample(model, x, cond, null, alpha_bar, steps, w), torch.full_like(x, w))
    assert calls[0] == (6, 999) and calls[49] == (6, 0) and len(calls) == 50 + 50 + 2 + 7


def q113():
    names = _code("Q113")
    x = torch.randn(2000, dtype=torch.float64)

    def point(x, t):
        return (x - 3) / t

    for steps in (1, 2, 7):
        assert_close(names["euler"](point, x, steps), torch.full_like(x, 3))

    def gaussian(x, t):
        """E[eps - x0 | x_t] for x0 ~ N(2, 0.5²)."""
        a, var = 1 - t, (1 - t) ** 2 * 0.25 + t**2
        rest = x - 2 * a
        return t * rest / var - (2 + a * 0.25 * rest / var)

    grid = torch.tensor([-1.0, 0.0, 1.0], dtype=torch.float64)
    spread = {}
    for steps in (1, 10, 100):
        out = names["euler"](gaussian, grid, steps)
        assert_close(out[1], torch.tensor(2.0, dtype=torch.float64))
        spread[steps] = (out[2] - out[0]).item() / 2
    assert abs(spread[1]) < 1e-12 and round(spread[10], 2) == 0.43 and round(spread[100], 2) == 0.49
    x0 = torch.randn(4000, 2, 3)
    loss = names["flow_loss"](lambda x_t, t: torch.zeros_like(x_t), x0)
    assert abs(loss - 2) < 0.06


def q114():
    names = _code("Q114")
    embed = names["time_embedding"]
    t = torch.tensor([0.0, 1.0, 10.0, 11.0, 500.0])
    e = embed(t, 128)
    assert e.shape == (5, 128)
    assert_close(e.square().sum(1), torch.full((5,), 64.0))
    assert_close(e[0] @ e[1], e[2] @ e[3])
    assert abs(F.cosine_similarity(e[0], e[1], dim=0) - 0.97) < 0.005
    assert F.cosine_similarity(e[0], e[4], dim=0) < 0.6
    block, x, c = names["Block"](8, 6), torch.randn(3, 5, 8), torch.randn(3, 6)
    assert torch.equal(block(x, c), x)
    block(x, c).square().sum().backward()
    assert block.steer.weight.grad.abs().sum() > 0


def q115():
    LoRA = _code("Q115")["LoRALinear"]
    base, x = nn.Linear(6, 4), torch.randn(7, 6)
    lora = LoRA(base, r=2, alpha=3.0)
    assert torch.equal(lora(x), base(x))
    lora(x).square().sum().backward()
    assert lora.B.grad.abs().sum() > 0 and base.weight.grad is None
    nn.init.normal_(lora.B)
    assert_close(lora.merge()(x), lora(x))
    assert_close(lora(x) - base(x), 1.5 * x @ lora.A.T @ lora.B.T)
    dead = LoRA(nn.Linear(6, 4), 2, 3.0)
    nn.init.zeros_(dead.A)
    dead(x).square().sum().backward()
    assert dead.A.grad.abs().sum() == dead.B.grad.abs().sum() == 0
    assert 8 * (768 + 768) == 12_288 and 768 * 768 == 589_824 and 12_288 / 589_824 < 0.021
    widths = [320] * 5 + [640] * 5 + [1280] * 6
    assert sum(14 * d + 2 * 768 for d in widths) == 199_296 and 4 * 199_296 == 797_184
    assert round(797_184 * 4 / 1e6, 1) == 3.2


def q116():
    fid = _code("Q116")["fid"]
    x, y = torch.randn(200, 8) @ torch.randn(8, 8), torch.randn(150, 8)
    assert_close(fid(x, y), metrics.frechet_distance(x, y))
    assert abs(fid(x, x)) < 1e-9
    assert_close(fid(x, x + 2.0), torch.tensor(32.0, dtype=torch.float64), atol=1e-4, rtol=0)
    assert_close(fid(x, 3 * (x - x.mean(0)) + x.mean(0)), 4 * torch.cov(x.double().T).trace(), rtol=1e-4, atol=0)
    few, many = torch.randn(5, 8), torch.randn(400, 8)
    assert_close(fid(few, many), metrics.frechet_distance(few, many), atol=1e-5, rtol=1e-5)
    cx, cy = torch.cov(x.double().T), torch.cov(y.double().T)

    def root(c):
        values, vectors = torch.linalg.eigh(c)
        return vectors * values.clamp(min=0).sqrt() @ vectors.T

    product_of_roots = (root(cx) @ root(cy)).trace()
    true = torch.linalg.eigvals(cx @ cy).real.clamp(min=0).sqrt().sum()
    assert abs(product_of_roots - true) > 0.01


def q117():
    names = _code("Q117")
    up = names["shapes"](names["up"], torch.randn(2, 100))
    assert up == [(2, 6272), (2, 128, 7, 7), (2, 64, 14, 14), (2, 1, 28, 28)]
    down = names["shapes"](names["down"], torch.randn(2, 1, 28, 28))
    assert down == [(2, 64, 14, 14), (2, 128, 7, 7), (2, 6272), (2, 1)]
    x = torch.randn(1, 4, 7, 7)
    for sizes, n in (
        ((4, 2, 1), 14), ((3, 2, 1), 13), ((3, 2, 1, 1), 14), ((2, 2), 14), ((5, 2, 2, 1), 14), ((3, 2), 15),
    ):  # fmt: skip
        assert nn.ConvTranspose2d(4, 1, *sizes)(x).shape[-1] == n
    assert nn.Conv2d(4, 1, 3, 2, 1)(x).shape[-1] == 4
    assert nn.PixelShuffle(2)(x).shape == (1, 1, 14, 14)
    assert sum(p.numel() for p in nn.ConvTranspose2d(128, 64, 4).parameters()) == 131_136
    for kernel, counts in ((4, {2.0}), (3, {1.0, 2.0})):
        layer = nn.ConvTranspose1d(1, 1, kernel, 2, bias=False)
        nn.init.ones_(layer.weight)
        inner = layer(torch.ones(1, 1, 20))[0, 0, 4:-4]
        assert set(inner.tolist()) == counts


def q118():
    names = _code("Q118")
    assert names["overflow"].isinf() and names["epsilon"] == 0 and names["square"].isinf()
    assert names["naive"].isnan().any() and names["safe"].isfinite().all() and names["masked"].isnan().all()
    half, brain = torch.finfo(torch.float16), torch.finfo(torch.bfloat16)
    assert half.max == 65504 and abs(math.log(65504) - 11.09) < 1e-3
    assert torch.tensor(6.0e-8, dtype=torch.float16) > 0 and torch.tensor(2.9e-8, dtype=torch.float16) == 0
    assert round(half.eps, 5) == 0.00098 and round(brain.eps, 4) == 0.0078 and brain.max > 3.3e38
    assert torch.tensor(256.0, dtype=torch.bfloat16) + 1 == 256
    assert torch.tensor(12.0).exp() > 162_000 and torch.tensor(-12.0, dtype=torch.float16).exp() > 0
    assert 300**2 > 65504

    class Overflow(nn.Module):
        def forward(self, x):
            return x.exp()

    net = nn.Sequential(nn.Identity(), Overflow(), nn.Identity())
    assert names["first_bad"](net, torch.full((2,), 100.0)) == "1"
    assert names["first_bad"](net, torch.zeros(2)) is None


def q119():
    names = _code("Q119")
    diagnose, z = names["diagnose"], torch.randn(16, 3)

    def players():
        G, D = nn.Linear(3, 4), nn.Linear(4, 1)
        return G, D, torch.optim.Adam(G.parameters(), 1e-2)

    def result(step, G, D, optimizer):
        return diagnose(G, optimizer, lambda: step(G, D, optimizer, z))

    good = result(names["good_step"], *players())
    assert good == {"error": "", "trainable": True, "owned": True, "gradient": True, "moved": True}
    cut = result(names["cut_step"], *players())
    assert cut == good | {"gradient": False, "moved": False}
    assert result(names["wiped_step"], *players()) == good | {"gradient": False, "moved": False}
    G, D, optimizer = players()
    G.requires_grad_(False)
    frozen = result(names["good_step"], G, D, optimizer)
    assert not frozen["trainable"] and not frozen["moved"]
    G, D, _ = players()
    foreign = result(names["good_step"], G, D, torch.optim.Adam(D.parameters(), 1e-2))
    assert foreign == good | {"owned": False, "moved": False}
    logit = torch.tensor(-20.0, requires_grad=True)
    torch.log(1 - torch.sigmoid(logit)).backward()
    assert abs(logit.grad) < 1e-8


def q120():
    names = _code("Q120")
    encoder = nn.Sequential(nn.Flatten(), nn.Linear(16, 4))
    mu = names["codes"](lambda x: encoder(x).chunk(2, dim=1), torch.randn(1200, 1, 4, 4))
    assert mu.shape == (1200, 2) and not mu.requires_grad
    full, holed = torch.randn(5000, 2), torch.randn(5000, 2)
    holed = holed[holed[:, 0].abs() > 1]
    assert names["empty_share"](full) < 0.05 < 0.3 < names["empty_share"](holed)
    mean, var = 0.8 * torch.randn(200_000), 0.36
    z = mean + var**0.5 * torch.randn(200_000)
    assert abs(mean.var() + var - 1) < 0.01 and abs(z.var() - 1) < 0.01


def a6():
    names = _code("A6")
    faces = torch.rand(20, 1, 28, 28) * 2 - 1
    G, history = names["train"](faces, steps=2, batch=4)
    with torch.no_grad():
        pictures = G(torch.randn(3, 64))
    assert pictures.shape == (3, 1, 28, 28) and pictures.abs().max() <= 1
    assert abs(history[0][0] - 2 * math.log(2)) < 0.3 and abs(history[0][1] - math.log(2)) < 0.3
    assert names["make_discriminator"]()(pictures).shape == (3, 1)
