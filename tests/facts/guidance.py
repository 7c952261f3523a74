"""What the answers in book/interview/guidance.yml state and a computer can check."""

import math

import torch
from torch.testing import assert_close


def _mixture(x, means=(-2.0, 2.0), var=1.0):
    """log p(x, class) of two equally likely Gaussians: x (B,) -> (B, 2)."""
    m = torch.tensor(means, dtype=x.dtype)
    return math.log(0.5) - 0.5 * ((x[:, None] - m) ** 2 / var + math.log(2 * math.pi * var))


def _gradient(f, x):
    x = x.clone().requires_grad_()
    return torch.autograd.grad(f(x).sum(), x)[0]


def q092():
    """Bayes on scores; and the same in terms of eps, whose score is -eps / sigma."""
    t, x = 0.6, torch.linspace(-3, 3, 13, dtype=torch.float64)
    alpha, sigma, var = 1 - t, t, (1 - t) ** 2 + t**2
    means = (-2 * alpha, 2 * alpha)

    def joint(x):
        return _mixture(x, means, var)

    score = _gradient(lambda x: joint(x).logsumexp(1), x)
    classifier = _gradient(lambda x: (joint(x) - joint(x).logsumexp(1, keepdim=True))[:, 1], x)
    conditional = _gradient(lambda x: joint(x)[:, 1], x)
    assert_close(score + classifier, conditional)
    eps, eps_conditional = -sigma * score, -sigma * conditional
    assert_close(eps - sigma * classifier, eps_conditional)


def q093():
    """Both conventions, the implicit classifier, and eps, x0 and v guided alike."""
    torch.manual_seed(0)
    uncond, cond, x_t, w = *torch.randn(3, 50, dtype=torch.float64), 4.0
    guided = uncond + w * (cond - uncond)
    paper = w - 1
    assert_close(guided, (1 + paper) * cond - paper * uncond)
    assert_close(uncond + 1.0 * (cond - uncond), cond)
    assert 7.5 - 1 == 6.5
    alpha, sigma = 0.8, 0.6

    def x0(eps):
        return (x_t - sigma * eps) / alpha

    def v(eps):
        return alpha * eps - sigma * x0(eps)

    for kind in (x0, v):
        assert_close(kind(guided), kind(uncond) + w * (kind(cond) - kind(uncond)))
    _the_tilted_density_is_another()


def _the_tilted_density_is_another():
    """Noising p(x) p(c|x)^w is not what the guided scores describe at a noise level: the two densities differ."""
    x = torch.linspace(-12, 12, 1201, dtype=torch.float64)
    dx, w, sigma = x[1] - x[0], 3.0, 1.5

    def tilted(var):
        joint = _mixture(x, var=var)
        log = joint.logsumexp(1) + w * (joint[:, 1] - joint.logsumexp(1))
        p = log.exp()
        return p / (p.sum() * dx)

    clean = tilted(0.5)
    kernel = torch.exp(-0.5 * ((x[:, None] - x) / sigma) ** 2) / (sigma * math.sqrt(2 * math.pi))
    noised_then = kernel @ clean * dx
    guided = tilted(0.5 + sigma**2)
    assert abs(noised_then.sum() * dx - 1) < 1e-6
    assert (noised_then - guided).abs().sum() * dx / 2 > 0.1


def q094():
    """One pixel leaves the range; the three repairs bring it back."""
    assert_close(torch.tensor(0.2 + 7.5 * (0.8 - 0.2)), torch.tensor(4.7))
    torch.manual_seed(0)
    uncond = 0.3 * torch.randn(1000)
    cond = uncond + 0.2 * torch.randn(1000)
    guided = uncond + 7.5 * (cond - uncond)
    assert guided.std() > 3 * cond.std()
    rescaled = guided * (cond.std() / guided.std())
    assert_close(rescaled.std(), cond.std())
    mixed = 0.7 * rescaled + 0.3 * guided
    assert cond.std() < mixed.std() < guided.std()
    s = guided.abs().quantile(0.995).clamp(min=1)
    dynamic = guided.clamp(-s, s) / s
    assert dynamic.abs().max() <= 1
    static = guided.clamp(-1, 1)
    assert (static.abs() == 1).float().mean() > 0.3 > 0.05 > (dynamic.abs() == 1).float().mean()


def q095():
    """A negative prompt takes the seat of the empty one: no effect at w = 1; equal prompts cancel."""
    torch.manual_seed(0)
    positive, negative, empty = torch.randn(3, 20, dtype=torch.float64)

    def guided(positive, negative, w):
        return negative + w * (positive - negative)

    assert_close(guided(positive, negative, 1.0), guided(positive, empty, 1.0))
    assert not torch.allclose(guided(positive, negative, 7.5), guided(positive, empty, 7.5))
    assert_close(guided(positive, negative, 7.5) - guided(positive, empty, 7.5), -6.5 * (negative - empty))
    assert_close(guided(positive, positive, 7.5), positive)


def q096():
    """Shapes of cross-attention in Stable Diffusion 1 at its finest level, and of joint attention at 1024 pixels."""
    latents, text = torch.randn(1, 64 * 64, 320), torch.randn(1, 77, 768)
    to_q, to_k = torch.nn.Linear(320, 320, bias=False), torch.nn.Linear(768, 320, bias=False)
    attention = (to_q(latents) @ to_k(text).mT / 320**0.5).softmax(-1)
    assert attention.shape == (1, 4096, 77)
    assert_close(attention.sum(-1), torch.ones(1, 4096))
    assert round(4096**2 / (4096 * 77)) == 53
    assert (1024 // 8 // 2) ** 2 == 4096 and 4096 + 77 + 77 == 4250 and 768 + 1280 == 2048
    shuffled = text[:, torch.randperm(77)]
    values = torch.nn.Linear(768, 320, bias=False)
    out = attention @ values(text)
    again = (to_q(latents) @ to_k(shuffled).mT / 320**0.5).softmax(-1) @ values(shuffled)
    assert_close(out, again, atol=1e-5, rtol=1e-4)


def q097():
    """75 words' worth of tokens; SDXL's joined width; SD3's drop rate; the weight of a T5-XXL encoder in fp16."""
    assert 77 - 2 == 75
    assert 768 + 1280 == 2048
    assert abs(0.464**3 - 0.1) < 1e-3
    assert 9.3 < 4.7e9 * 2 / 1e9 < 9.5
