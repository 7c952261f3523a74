"""What the answers of book/interview/gan.yml state and a computer can check."""

import math

import numpy as np
import torch
import torch.nn.functional as F
from scipy.optimize import linprog
from scipy.stats import wasserstein_distance
from torch import nn
from torch.testing import assert_close

from genimg_lib import gan


def two_distributions(seed=0, n=7):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(n)), rng.dirichlet(np.ones(n))


def kl(p, q):
    p, q = np.broadcast_arrays(p, q)
    held = p > 0
    return float((p[held] * np.log(p[held] / q[held])).sum())


def jsd(p, q):
    return (kl(p, (p + q) / 2) + kl(q, (p + q) / 2)) / 2


def value(p, q, d):
    return float((p * np.log(d) + q * np.log1p(-d)).sum())


def q044():
    """At q = p the best critic says 1/2, V = -log 4 = -1.386, and the summed cross-entropy is 1.386."""
    p, _ = two_distributions()
    assert math.isclose(value(p, p, p / (p + p)), -math.log(4))
    assert round(-math.log(4), 3) == -1.386
    zero = torch.zeros(8)
    assert math.isclose(gan.logistic_critic(zero, zero).item(), math.log(4), rel_tol=1e-6)
    assert math.isclose(gan.non_saturating(zero).item(), math.log(2), rel_tol=1e-6)


def q045():
    """D* = p / (p + q) maximises V, V(D*) = -log 4 + 2 JSD, and disjoint supports give 0, the largest value."""
    for seed in range(5):
        p, q = two_distributions(seed)
        best = p / (p + q)
        assert math.isclose(value(p, q, best), -math.log(4) + 2 * jsd(p, q))
        rng = np.random.default_rng(seed)
        for _ in range(50):
            other = np.clip(best + 0.2 * rng.standard_normal(len(p)), 1e-6, 1 - 1e-6)
            assert value(p, q, other) <= value(p, q, best)
        assert 0 <= jsd(p, q) <= math.log(2)
    p, q = np.array([0.5, 0.5, 0.0, 0.0]), np.array([0.0, 0.0, 0.3, 0.7])
    assert math.isclose(jsd(p, q), math.log(2))
    assert math.isclose(-math.log(4) + 2 * jsd(p, q), 0, abs_tol=1e-12)


def q046():
    """At logit -10 the saturating slope is 4.5e-5 and the other -0.99995; and E grad(-log D*) = grad(KL - 2 JSD)."""
    logit = torch.tensor([-10.0], dtype=torch.float64, requires_grad=True)
    (flat,) = torch.autograd.grad(gan.saturating(logit), logit)
    (steep,) = torch.autograd.grad(gan.non_saturating(logit), logit)
    assert f"{-flat.item():.1e}" == "4.5e-05" and f"{-steep.item():.5f}" == "0.99995"

    p = torch.tensor(two_distributions()[0])
    theta = torch.randn(7, dtype=torch.float64, generator=torch.Generator().manual_seed(0)).requires_grad_()
    q = theta.softmax(0)
    critic = (p / (p + q)).detach()
    (used,) = torch.autograd.grad((q * -critic.log()).sum(), theta, retain_graph=True)
    m = (p + q) / 2
    js = ((p * (p / m).log()).sum() + (q * (q / m).log()).sum()) / 2
    (claimed,) = torch.autograd.grad((q * (q / p).log()).sum() - 2 * js, theta, retain_graph=True)
    assert_close(used, claimed)
    (minimax,) = torch.autograd.grad((q * (1 - critic).log()).sum(), theta, retain_graph=True)
    (of_js,) = torch.autograd.grad(2 * js, theta)
    assert_close(minimax, of_js)


def q047():
    """Of 24 draws from 400 equally likely pictures two agree half of the time; a fixed critic wants one point."""

    def repeated(draws, pictures):
        return 1 - math.prod(1 - i / pictures for i in range(draws))

    assert repeated(23, 400) < 0.5 < repeated(24, 400) < 0.52
    critic = torch.tensor([0.1, 2.0, -1.0, 0.7], dtype=torch.float64)
    theta = torch.zeros(4, dtype=torch.float64, requires_grad=True)
    for _ in range(400):
        (slope,) = torch.autograd.grad((theta.softmax(0) * F.softplus(-critic)).sum(), theta)
        theta = (theta - 2 * slope).detach().requires_grad_()
    assert theta.softmax(0)[1] > 0.95, "the best answer to a fixed critic is its favourite point, and nothing else"


def q048():
    """The minibatch statistic of a collapsed batch is zero and that of a varied one is not."""
    varied = torch.randn(8, 16, generator=torch.Generator().manual_seed(0))
    assert varied[:1].expand(8, -1).std(0, unbiased=False).mean() == 0
    assert varied.std(0, unbiased=False).mean() > 0.5


def small_game():
    torch.manual_seed(0)
    return nn.Linear(2, 3), nn.Linear(3, 1), torch.randn(5, 3), torch.randn(5, 2)


def q050():
    """Without detach the critic's loss reaches G; without zero_grad G's turn leaves its gradient in D."""
    G, D, real, z = small_game()
    gan.logistic_critic(D(real), D(G(z).detach())).backward()
    assert all(w.grad is None for w in G.parameters())
    gan.logistic_critic(D(real), D(G(z))).backward()
    assert all(w.grad.abs().sum() > 0 for w in G.parameters())

    G, D, real, z = small_game()
    gan.non_saturating(D(G(z))).backward()
    left = D.weight.grad.clone()
    assert left.abs().sum() > 0
    gan.logistic_critic(D(real), D(G(z).detach())).backward()
    mixed = D.weight.grad.clone()
    D.zero_grad()
    gan.logistic_critic(D(real), D(G(z).detach())).backward()
    assert_close(mixed - left, D.weight.grad)

    G, D, real, z = small_game()
    gan.non_saturating(D(G(z).detach())).backward()
    assert all(w.grad is None for w in G.parameters()), "detached in its own turn, the generator learns nothing"


def q051():
    """A second sigmoid keeps the critic's loss above 1.006; one wrong range is told by the darkest pixel alone."""
    real, fake = torch.tensor([[50.0]]), torch.tensor([[-50.0]])
    twice = gan.logistic_critic(torch.sigmoid(real), torch.sigmoid(fake)).item()
    assert round(twice, 3) == 1.006
    assert_close(twice, math.log(1 + math.exp(-1)) + math.log(2))
    assert gan.logistic_critic(real, fake) < 1e-6
    u = torch.rand(100, 64, generator=torch.Generator().manual_seed(0))
    in_0_1, in_minus_1_1 = u, 2 * u.flip(0) - 1
    assert (in_0_1.min(1).values >= 0).all() and (in_minus_1_1.min(1).values < 0).all()


def q052():
    """Two points at distance theta: W1 = theta whatever it is; primal and dual agree on a random case."""
    for theta in (0.1, 1.0, 5.0):
        assert math.isclose(wasserstein_distance([0.0], [theta]), theta)
        assert math.isclose(0.0 - (-theta), theta), "the critic f(x) = -x reaches it"
    rng = np.random.default_rng(1)
    x, (p, q) = rng.uniform(size=(5, 2)), two_distributions(3, 5)
    cost = np.linalg.norm(x[:, None] - x[None], axis=-1)
    n = len(x)
    rows = np.concatenate([np.kron(np.eye(n), np.ones(n)), np.kron(np.ones(n), np.eye(n))])
    primal = linprog(cost.ravel(), A_eq=rows, b_eq=np.concatenate([p, q])).fun
    slopes = np.array([np.eye(n)[i] - np.eye(n)[j] for i in range(n) for j in range(n) if i != j])
    bound = np.array([cost[i, j] for i in range(n) for j in range(n) if i != j])
    dual = -linprog(-(p - q), A_ub=slopes, b_ub=bound, bounds=(-5, 5)).fun
    assert math.isclose(primal, dual, rel_tol=1e-6) and primal > 0.01


def q053():
    """With BatchNorm one sample's score depends on the others, with LayerNorm not; the best critic has slope 1."""
    torch.manual_seed(0)
    x = torch.randn(4, 6, dtype=torch.float64, requires_grad=True)
    for norm, mixes in ((nn.BatchNorm1d(6), True), (nn.LayerNorm(6), False)):
        critic = nn.Sequential(nn.Linear(6, 6), norm, nn.Tanh(), nn.Linear(6, 1)).double()
        (slope,) = torch.autograd.grad(critic(x)[0].sum(), x)
        assert (slope[1:].abs().max() > 1e-4) == mixes
    # the best 1-Lipschitz critic of two points has slope 1 everywhere between them
    a, b = torch.tensor([0.0, 0.0]), torch.tensor([3.0, 4.0])
    best = lambda v: -(v - a).norm(dim=-1)  # noqa: E731
    between = (a + torch.linspace(0.1, 0.9, 9)[:, None] * (b - a)).requires_grad_()
    (slope,) = torch.autograd.grad(best(between).sum(), between)
    assert_close(slope.norm(dim=1), torch.ones(9))
    assert_close(best(a) - best(b), torch.tensor(5.0))


def q054():
    """Power iteration finds sigma, the product bounds the slope, a 3x3 conv may stretch 3 times its matrix's sigma."""
    torch.manual_seed(0)
    W = torch.randn(6, 9, dtype=torch.float64)
    u = torch.randn(6, dtype=torch.float64)
    for _ in range(200):
        v = F.normalize(W.T @ u, dim=0)
        u = F.normalize(W @ v, dim=0)
    assert_close(u @ W @ v, torch.linalg.matrix_norm(W, 2))

    layers = [torch.randn(8, 8, dtype=torch.float64) for _ in range(3)]
    layers = [w / torch.linalg.matrix_norm(w, 2) for w in layers]

    def net(x):
        for w in layers:
            x = F.leaky_relu(x @ w.T, 0.2)
        return x

    x, y = torch.randn(2, 500, 8, dtype=torch.float64)
    assert ((net(x) - net(y)).norm(dim=1) <= (x - y).norm(dim=1)).all()

    kernel = torch.ones(1, 1, 3, 3, dtype=torch.float64)
    assert_close(torch.linalg.matrix_norm(kernel.flatten(1), 2).item(), 3.0)
    flat = torch.ones(1, 1, 20, 20, dtype=torch.float64)
    middle = F.conv2d(flat, kernel)
    assert_close(middle / flat[..., 1:-1, 1:-1], torch.full_like(middle, 9.0))


def dirac(penalty, steps=6000, h=0.05, n=1):
    """The Dirac game: data at 0, one fake at theta, critic psi * x, non-saturating; returns the last |theta|s."""
    theta, psi, seen = 1.0, 1.0, []
    for _ in range(steps):
        for _ in range(n):
            psi += h * (-theta / (1 + math.exp(-psi * theta)) - penalty(psi))
        theta += h * psi / (1 + math.exp(psi * theta))
        seen.append(abs(theta))
    return seen[-1000:]


def q055():
    """R1 brings the Dirac game to rest, a one-centred penalty does not; lazily, 16 times the weight every 16th step."""
    assert max(dirac(lambda psi: psi)) < 1e-6
    assert max(dirac(lambda psi: 2 * (abs(psi) - 1) * math.copysign(1, psi))) > 0.1
    gamma, slope = 10.0, 0.3
    every_step = sum(gamma / 2 * slope**2 for _ in range(64))
    lazy = sum(16 * gamma / 2 * slope**2 for step in range(64) if step % 16 == 0)
    assert math.isclose(every_step, lazy)


def slope_of(loss, at):
    logit = torch.tensor([at], dtype=torch.float64, requires_grad=True)
    (slope,) = torch.autograd.grad(loss(logit), logit)
    return slope.item()


def q056():
    """The generator's slopes in the fake's logit l: hinge and WGAN -1, LSGAN l - 1, relativistic -sigma(r - l)."""
    real = 1.5
    for at in (-4.0, 0.0, 3.0):
        assert slope_of(gan.hinge_generator, at) == -1
        assert math.isclose(slope_of(lambda fake: ((fake - 1) ** 2 / 2).mean(), at), at - 1)
        sigma = 1 / (1 + math.exp(-at))
        assert math.isclose(slope_of(gan.non_saturating, at), sigma - 1)
        relativistic = slope_of(lambda fake: F.softplus(real - fake).mean(), at)
        assert math.isclose(relativistic, -1 / (1 + math.exp(at - real)))
    beyond = torch.tensor([2.0], requires_grad=True)
    (slope,) = torch.autograd.grad(gan.hinge_critic(beyond, torch.tensor([-2.0])), beyond)
    assert slope.item() == 0, "beyond the margin the hinge critic stops pushing"


def q057():
    """Transposed convolution, stride 2: kernel 4 covers all inner pixels alike, kernel 3 unevenly, 1, 2 or 4 times."""
    h = torch.ones(1, 1, 8, 8)
    for kernel, counts in ((4, [4]), (3, [1, 2, 4])):
        covered = F.conv_transpose2d(h, torch.ones(1, 1, kernel, kernel), stride=2)
        assert covered[0, 0, 2:-2, 2:-2].unique().tolist() == counts


def q058():
    """Real labels of a give D* = a p / (p + q); smoothing fakes too adds b q; noise brings JSD below log 2."""
    p, q, a, b = 0.3, 0.05, 0.9, 0.1
    d = np.linspace(1e-4, 1 - 1e-4, 200_001)
    one_sided = p * (a * np.log(d) + (1 - a) * np.log(1 - d)) + q * np.log(1 - d)
    assert abs(d[one_sided.argmax()] - a * p / (p + q)) < 1e-4
    both = one_sided + q * b * (np.log(d) - np.log(1 - d))
    assert abs(d[both.argmax()] - (a * p + b * q) / (p + q)) < 1e-4

    x = np.linspace(-12, 13, 20_001)
    for sigma, near in ((0.1, True), (1.0, False)):
        density = [np.exp(-((x - m) ** 2) / (2 * sigma**2)) + 1e-300 for m in (0.0, 1.0)]
        noisy = jsd(*(g / g.sum() for g in density))
        assert (noisy > 0.999 * math.log(2)) == near
    assert noisy < 0.2 * math.log(2)


def q059():
    """Simultaneous steps stretch the distance by sqrt(1 + h^2/4); with R1 small steps shrink it."""
    spin = np.array([[0, 0.5], [-0.5, 0]])  # d(theta, psi)/dt near the equilibrium, f' = 1/2
    np.testing.assert_allclose(sorted(np.linalg.eigvals(spin).imag), [-0.5, 0.5], atol=1e-12)
    for h in (0.01, 0.1, 1.0):
        modulus = abs(np.linalg.eigvals(np.eye(2) + h * spin))
        np.testing.assert_allclose(modulus, math.sqrt(1 + h * h / 4))
        first = np.array([[1, 0], [-h / 2, 1]])  # psi moves
        then = np.array([[1, h / 2], [0, 1]])  # theta answers
        np.testing.assert_allclose(abs(np.linalg.eigvals(then @ first)), 1, atol=1e-12)
    theta, psi, h = 0.7, 0.4, 1e-6
    both = theta * psi
    for sigma, rate in ((1 / (1 + math.exp(-both)), 0), (1 / (1 + math.exp(both)), -2 * both * math.tanh(both / 2))):
        moved = (theta + h * psi * sigma) ** 2 + (psi - h * theta / (1 + math.exp(-both))) ** 2
        assert abs((moved - theta**2 - psi**2) / h - rate) < 1e-4
    for gamma in (0.1, 0.5, 0.9):
        damped = spin - np.diag([0, gamma])
        np.testing.assert_allclose(np.linalg.eigvals(damped).real, -gamma / 2)
        for h, shrinks in ((3.9 * gamma, True), (4.1 * gamma, False)):
            assert (max(abs(np.linalg.eigvals(np.eye(2) + h * damped))) < 1) == shrinks

    theta, psi = torch.tensor([0.0, 0.0], dtype=torch.float64, requires_grad=True).unbind()
    step_g = torch.autograd.grad(-F.softplus(-psi * theta), theta, create_graph=True)[0]
    step_d = torch.autograd.grad(-F.softplus(psi * theta), psi, create_graph=True)[0]
    for step, row in ((step_g, spin[0]), (step_d, spin[1])):
        slopes = torch.autograd.grad(step, (theta, psi), retain_graph=True)
        np.testing.assert_allclose([slope.item() for slope in slopes], row)


def q060():
    """The pairwise relativistic loss of D is softplus(fake - real): log 2 when the scores agree."""
    real, fake = torch.tensor([1.3], requires_grad=True), torch.tensor([1.3], requires_grad=True)
    loss = F.softplus(fake - real).mean()
    assert_close(loss.item(), math.log(2))
    to_real, to_fake = torch.autograd.grad(loss, (real, fake))
    assert to_real.item() == -0.5 and to_fake.item() == 0.5, "only the difference of the two scores matters"
