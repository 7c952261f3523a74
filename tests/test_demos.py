"""The live demos: their numbers agree with torch and with the library, and they answer to mouse and keyboard."""

import json

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import diffusion, gan, texture
from tests.test_site import ROOT, address, browser, site, soups  # noqa: F401

SCRIPTS = ROOT / "book" / "assets" / "demos"
PAGE = "book/demos.html"


@pytest.fixture(scope="module")
def tab(browser):  # noqa: F811
    """A bare page that has the demos' own code, and none of the site."""
    context = browser.new_context(offline=True)
    page = context.new_page()
    page.set_content("<!doctype html><title>demos</title>")
    page.evaluate("window.genimgDemos = { start: {}, parts: {}, data: {} }; 0")
    for name in ("kit.js", "gan-nets.js", "paths.js", "quilting.js"):
        page.add_script_tag(content=(SCRIPTS / name).read_text(encoding="utf-8"))
    yield page
    context.close()


# --- the GAN game's own backward pass, against torch ---------------------------------------------------------


def players():
    """Two small nets in torch, in double precision, and their numbers for the page."""
    torch.manual_seed(0)
    nets = [nn.Sequential(nn.Linear(m, 7), nn.LeakyReLU(0.2), nn.Linear(7, 5), nn.LeakyReLU(0.2), nn.Linear(5, n))
            for m, n in ((3, 2), (2, 1))]  # fmt: skip
    nets = [net.double() for net in nets]
    return nets, [[[p.flatten().tolist() for p in net.parameters()][i::2] for i in (0, 1)] for net in nets]


BUILD = """
  const { Net, Adam, criticLoss, generatorLoss } = genimgDemos.parts.gan;
  const make = (sizes, [weights, biases]) => {
    const net = new Net(sizes, genimgDemos.parts.random(1));
    net.weights = weights.map((w) => Float64Array.from(w));
    net.biases = biases.map((b) => Float64Array.from(b));
    return net;
  };
  const generator = make([3, 7, 5, 2], given.nets[0]), critic = make([2, 7, 5, 1], given.nets[1]);
  const lists = (net) => net.gradients.map((g) => [...g]);
"""


def by_layer(net: nn.Module, values) -> list:
    """Gradients in the page's order: the weights, then the biases."""
    flat = [value.flatten().tolist() for value in values]
    return flat[0::2] + flat[1::2]


def close(mine, theirs):
    for a, b in zip(mine, theirs, strict=True):
        assert_close(torch.tensor(a), torch.tensor(b), rtol=1e-9, atol=1e-12)


@pytest.mark.browser
@pytest.mark.parametrize("gamma", [0.0, 0.7])
def test_the_critics_gradients_are_torchs(tab, gamma):
    (generator, critic), numbers = players()
    real, fake = torch.randn(6, 2).double().requires_grad_(), torch.randn(6, 2).double()
    on_real = critic(real)
    (slope,) = torch.autograd.grad(on_real.sum(), real, create_graph=True)
    loss = gan.logistic_critic(on_real, critic(fake)) + gamma / 2 * slope.square().sum(1).mean()
    given = {"nets": numbers, "real": real.flatten().tolist(), "fake": fake.flatten().tolist(), "gamma": gamma}
    got = tab.evaluate(
        "(given) => {" + BUILD + """
        const { loss } = criticLoss(critic, Float64Array.from(given.real), Float64Array.from(given.fake), given.gamma);
        return { loss, gradients: lists(critic) }; }""",
        given,
    )  # fmt: skip
    assert got["loss"] == pytest.approx(loss.item(), rel=1e-10)
    # The last layer's bias has no part in the slope: torch gives no gradient to it from there, and zero is right.
    close(got["gradients"], by_layer(critic, torch.autograd.grad(loss, list(critic.parameters()))))


@pytest.mark.browser
@pytest.mark.parametrize("saturating", [False, True])
def test_the_generators_gradients_are_torchs(tab, saturating):
    (generator, critic), numbers = players()
    z = torch.randn(6, 3).double()
    fake = generator(z)
    loss = (gan.saturating if saturating else gan.non_saturating)(critic(fake))
    (push,) = torch.autograd.grad(loss, fake, retain_graph=True)
    given = {"nets": numbers, "z": z.flatten().tolist(), "saturating": saturating}
    got = tab.evaluate(
        "(given) => {" + BUILD + """
        const said = generatorLoss(generator, critic, Float64Array.from(given.z), given.saturating);
        return { loss: said.loss, pull: [...said.pull], gradients: lists(generator), other: lists(critic).flat() }; }""",
        given,
    )  # fmt: skip
    assert got["loss"] == pytest.approx(loss.item(), rel=1e-10)
    close([got["pull"]], [(-6 * push).flatten().tolist()])
    close(got["gradients"], by_layer(generator, torch.autograd.grad(loss, list(generator.parameters()))))
    assert not any(got["other"]), "the critic learns nothing in the generator's turn"


@pytest.mark.browser
def test_three_steps_of_adam_are_torchs(tab):
    (generator, critic), numbers = players()
    z = torch.randn(6, 3).double()
    adam = torch.optim.Adam(generator.parameters(), 0.01, betas=(0.0, 0.9))
    for _ in range(3):
        adam.zero_grad()
        gan.non_saturating(critic(generator(z))).backward()
        adam.step()
    got = tab.evaluate(
        "(given) => {" + BUILD + """
        const adam = new Adam(generator, 0.01, [0.0, 0.9]);
        for (let i = 0; i < 3; i += 1) {
          generatorLoss(generator, critic, Float64Array.from(given.z), false);
          adam.step();
        }
        return generator.parameters.map((p) => [...p]); }""",
        {"nets": numbers, "z": z.flatten().tolist()},
    )  # fmt: skip
    for mine, theirs in zip(got, by_layer(generator, generator.parameters()), strict=True):
        assert_close(torch.tensor(mine), torch.tensor(theirs), rtol=1e-5, atol=1e-7)


# --- the denoiser, against the library -----------------------------------------------------------------------

CENTRES, S = [[0.7, 0.1], [-0.4, 0.6], [-0.3, -0.8]], 0.1


def exact(path):
    """E[x0 | x_t] by brute force: Bayes' rule on a fine grid of x0."""
    axis = torch.linspace(-1.6, 1.6, 321, dtype=torch.float64)
    grid = torch.stack(torch.meshgrid(axis, axis, indexing="ij"), -1).view(-1, 2)
    centres = torch.tensor(CENTRES, dtype=torch.float64)
    prior = torch.logsumexp(-torch.cdist(grid, centres) ** 2 / (2 * S**2), 1)

    def predict(x_t, t):
        alpha, sigma = path.alpha(t)[:, None], path.sigma(t)[:, None]
        fit = -(torch.cdist(x_t, grid * alpha[:1]) ** 2) / (2 * sigma**2)  # all rows share one t
        return (prior + fit).softmax(1) @ grid

    return predict


@pytest.mark.browser
@pytest.mark.parametrize("name", ["linear", "cosine", "ddpm"])
def test_the_guess_is_the_posterior_mean(tab, name):
    torch.manual_seed(0)
    x = torch.randn(5, 2).double()
    for t in (0.9, 0.5, 0.2):
        got = tab.evaluate(
            """([name, centres, s, points, t]) => {
            const { PATHS, posteriorMean } = genimgDemos.parts.paths;
            return points.map((x) => posteriorMean(PATHS[name], centres, s, x, t)); }""",
            [name, CENTRES, S, x.tolist(), t],
        )
        want = exact(getattr(diffusion, name))(x, torch.full((5,), t, dtype=torch.float64))
        assert_close(torch.tensor(got, dtype=torch.float64), want, rtol=1e-4, atol=1e-4)


@pytest.mark.browser
@pytest.mark.parametrize("name", ["linear", "cosine", "ddpm"])
@pytest.mark.parametrize("sampler", ["heun", "ddim"])
def test_the_walks_are_the_librarys(tab, name, sampler):
    """With a guess that both sides can compute in one line, every station agrees."""
    torch.manual_seed(0)
    x = torch.randn(4, 2).double()
    stations = diffusion.journey(
        getattr(diffusion, name), lambda x_t, t: torch.tanh(2 * x_t) - t[:, None] / 3, x, 7, getattr(diffusion, sampler)
    )
    got = tab.evaluate(
        """([name, sampler, points]) => {
        const { PATHS, journey, steps } = genimgDemos.parts.paths;
        const predict = (x, t) => x.map((v) => Math.tanh(2 * v) - t / 3);
        return points.map((x) => journey(PATHS[name], predict, x, 7, steps[sampler])); }""",
        [name, sampler, x.tolist()],
    )
    want = torch.stack(list(stations), 1)
    assert_close(torch.tensor(got, dtype=torch.float64), want, rtol=1e-5, atol=1e-6)


@pytest.mark.browser
def test_a_fresh_step_has_the_posteriors_moments(tab):
    """DDPM's step from a known guess: mean and deviation over many draws are those of the library's."""
    t, s, x, path = 0.8, 0.6, 0.5, diffusion.cosine
    got = np.array(tab.evaluate(
        """([t, s, x]) => {
        const { PATHS, steps } = genimgDemos.parts.paths;
        const random = genimgDemos.parts.random(3);
        return Array.from({ length: 20000 }, () => steps.ancestral(PATHS.cosine, () => [0.3], [x], t, s, random)[0]); }""",
        [t, s, x],
    ))  # fmt: skip
    torch.manual_seed(0)
    many = torch.full((20_000, 1), x)
    times = [torch.full((20_000,), value) for value in (t, s)]
    want = diffusion.ancestral(path, lambda x_t, t: torch.full_like(x_t, 0.3), many, *times)
    assert got.mean() == pytest.approx(want.mean().item(), abs=0.02)
    assert got.std() == pytest.approx(want.std().item(), rel=0.03)


# --- the texture lab, against the library --------------------------------------------------------------------


@pytest.mark.browser
def test_the_cut_is_the_librarys(tab):
    errors = np.random.default_rng(0).random((12, 7))
    got = tab.evaluate("(e) => genimgDemos.parts.quilting.seam(e.flat(), e[0].length, e.length)", errors.tolist())
    assert got == texture.min_error_seam(errors).tolist()


@pytest.mark.browser
def test_the_distances_are_the_librarys(tab):
    source, canvas = np.random.default_rng(1).random((2, 20, 20)).astype(np.float32)
    got = tab.evaluate(
        """([source, canvas]) => {
        const picture = (rows) => ({ width: 20, height: 20, channels: 1, data: Float32Array.from(rows.flat()) });
        const mask = (i, j) => j < 2 || i < 3;
        return [...genimgDemos.parts.quilting.distances(picture(source), picture(canvas), 5, 4, 8, mask).sums]; }""",
        [source.tolist(), canvas.tolist()],
    )
    mask = np.zeros((8, 8))
    mask[:, :2] = mask[:3] = 1
    want = texture.PatchDistance(source[None])(canvas[None, 5:13, 4:12], mask)
    np.testing.assert_allclose(got, want.ravel(), rtol=1e-4, atol=1e-5)


@pytest.mark.browser
@pytest.mark.parametrize("join", ["seam", "overlap", "random"])
def test_a_quilt_is_made_of_the_piece(tab, join):
    """A piece whose every pixel is another number: each block in the quilt lies as it lay there."""
    got = tab.evaluate(
        """(join) => {
        const source = { width: 24, height: 24, channels: 1, data: Float32Array.from({ length: 576 }, (_, n) => n) };
        const { Quilt } = genimgDemos.parts.quilting;
        const random = genimgDemos.parts.random(4);
        const quilt = new Quilt(source, { size: 40, block: 10, overlap: 3, join, tolerance: 0.1, random });
        while (!quilt.done) quilt.lay();
        return { pixels: [...quilt.canvas.data], side: quilt.canvas.width, placed: quilt.placed, across: quilt.across }; }""",
        join,
    )
    pixels = np.array(got["pixels"]).reshape(got["side"], got["side"])
    assert got["side"] >= 40 and len(got["placed"]) == got["across"] ** 2
    for n, (i, j) in enumerate(got["placed"]):
        top, left = n // got["across"] * 7, n % got["across"] * 7
        inner = pixels[top + 3 : top + 7, left + 3 : left + 7]  # no other block reaches here
        assert (inner == 24 * (i + 3 + np.arange(4))[:, None] + j + 3 + np.arange(4)).all()
