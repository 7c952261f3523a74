"""What the answers in book/interview/editing.yml state and a computer can check."""

import math

import torch
import torch.nn.functional as F
from torch.testing import assert_close


def _alpha_bar(steps=1000):
    return (1 - torch.linspace(1e-4, 0.02, steps, dtype=torch.float64)).cumprod(0)


def _repaint(n, rounds, stride=4):
    """RePaint on pairs with correlation 0.9, exact denoiser: the first number is known to be 2; mean of the second."""
    generator = torch.Generator().manual_seed(0)
    cov = torch.tensor([[1.0, 0.9], [0.9, 1.0]], dtype=torch.float64)
    levels = torch.cat([torch.ones(1, dtype=torch.float64), _alpha_bar()[stride - 1 :: stride]])

    def noise():
        return torch.randn(n, 2, generator=generator, dtype=torch.float64)

    x = noise()
    for i in range(len(levels) - 1, 0, -1):
        ab, less = levels[i], levels[i - 1]
        matrix = ab.sqrt() * cov @ torch.linalg.inv(ab * cov + (1 - ab) * torch.eye(2, dtype=torch.float64))
        for again in range(rounds):
            x0 = x @ matrix.T
            beta = 1 - ab / less
            mean = less.sqrt() * beta / (1 - ab) * x0 + (1 - beta).sqrt() * (1 - less) / (1 - ab) * x
            new = mean + (beta * (1 - less) / (1 - ab)).sqrt() * noise()
            new[:, 0] = less.sqrt() * 2 + (1 - less).sqrt() * noise()[:, 0]  # the known one, at the new level
            if again + 1 < rounds:
                x = (1 - beta).sqrt() * new + beta.sqrt() * noise()  # one step back up
        x = new
    return x[:, 1].mean().item()


def q139():
    """Channels; and what resampling buys: without it the filled-in half agrees too little with the known one."""
    assert 4 + 4 + 1 == 9 and 320 * 5 * 3 * 3 == 14_400
    once, often = _repaint(500, 1), _repaint(500, 10)
    assert abs(once - 1.27) < 0.1 and abs(often - 1.76) < 0.1


def q140():
    """How many steps run, and how much picture is left at strength 1."""

    def steps(n, strength):
        return min(int(n * strength), n)

    assert (steps(50, 0.75), steps(50, 0.8), steps(50, 1.0), steps(20, 0.3)) == (37, 40, 50, 6)
    sd = (1 - torch.linspace(0.00085**0.5, 0.012**0.5, 1000, dtype=torch.float64) ** 2).cumprod(0)
    assert abs(sd[-1].sqrt() - 0.068) < 1e-3
    assert abs(sd[499].sqrt() - 0.528) < 2e-3
    linear = 1 - 0.5
    assert linear == 0.5 and abs(sd[499].sqrt() / (1 - sd[499]).sqrt() - 0.62) < 0.01


def q141():
    """A sample from the posterior has twice the squared error of its mean: 3 dB."""
    torch.manual_seed(0)
    seen = torch.randn(200_000)
    truth, sample = 0.8 * seen + 0.6 * torch.randn(2, 200_000)
    mse_mean, mse_sample = (truth - 0.8 * seen).square().mean(), (truth - sample).square().mean()
    assert_close(mse_sample / mse_mean, torch.tensor(2.0), atol=0.03, rtol=0)
    assert abs(10 * math.log10(2) - 3.01) < 1e-3
    small = torch.rand(1, 1, 4, 4)
    one = F.interpolate(small, scale_factor=4)
    other = one.clone()
    other[..., 0, 0] += 0.3
    other[..., 1, 1] -= 0.3
    assert_close(F.avg_pool2d(one, 4), F.avg_pool2d(other, 4))
    assert 4 * 4 == 16 and not torch.equal(one, other)


def q142():
    """A Gram matrix does not know places; its diagonal and AdaIN's two numbers a channel."""
    torch.manual_seed(0)
    f = torch.randn(1, 5, 6, 7)

    def gram(f):
        flat = f.flatten(2)
        return flat @ flat.mT / flat[0].numel()

    mixed = f.flatten(2)[..., torch.randperm(42)].view_as(f)
    assert_close(gram(mixed), gram(f))
    mean, var = f.mean((2, 3)), f.var((2, 3), unbiased=False)
    assert_close(gram(f).diagonal(dim1=1, dim2=2) * 5, mean**2 + var)
    assert 512 * 513 // 2 == 131_328 and 2 * 512 == 1024
    style = 3 * torch.randn(1, 5, 4, 4) + 2
    out = F.instance_norm(f, eps=1e-10) * style.std((2, 3), unbiased=False, keepdim=True)
    out = out + style.mean((2, 3), keepdim=True)
    assert_close(out.mean((2, 3)), style.mean((2, 3)), atol=1e-4, rtol=1e-4)
    assert_close(out.std((2, 3), unbiased=False), style.std((2, 3), unbiased=False), atol=1e-3, rtol=1e-3)


def q143():
    """Both scales at 1 give the full condition; equal scales are ordinary guidance of both together."""
    torch.manual_seed(0)
    none, image, both = torch.randn(3, 9, dtype=torch.float64)

    def guided(s_image, s_text):
        return none + s_image * (image - none) + s_text * (both - image)

    assert_close(guided(1, 1), both)
    assert_close(guided(5, 5), none + 5 * (both - none))
    assert_close(guided(1, 7.5), image + 7.5 * (both - image))


def a9():
    """Bayes with a Gaussian prior: denoising is the prior pulling at the measurement."""
    prior_var, noise_var, y = 1.0, 0.25, 2.0
    x = torch.linspace(-6, 8, 14001, dtype=torch.float64)
    posterior = torch.exp(-(x**2) / (2 * prior_var) - (y - x) ** 2 / (2 * noise_var))
    mean = (x * posterior).sum() / posterior.sum()
    assert abs(mean - y * prior_var / (prior_var + noise_var)) < 1e-6
