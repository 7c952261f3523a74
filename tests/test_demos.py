"""The live demos: their numbers agree with torch and with the library, and they answer to mouse and keyboard."""

import re
import warnings

import numpy as np
import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import diffusion, gan, onnx_export, recipes, texture
from tests.test_site import DESKTOP, PHONE, ROOT, address, browser, site, soups, watched  # noqa: F401

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
        return { loss: said.loss, pull: [...said.pull], gradients: lists(generator),
                 other: lists(critic).flat() }; }""",
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
        return Array.from({ length: 20000 }, () =>
          steps.ancestral(PATHS.cosine, () => [0.3], [x], t, s, random)[0]); }""",
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
        return { pixels: [...quilt.canvas.data], side: quilt.canvas.width, placed: quilt.placed,
                 across: quilt.across }; }""",
        join,
    )
    pixels = np.array(got["pixels"]).reshape(got["side"], got["side"])
    assert got["side"] >= 40 and len(got["placed"]) == got["across"] ** 2
    for n, (i, j) in enumerate(got["placed"]):
        top, left = n // got["across"] * 7, n % got["across"] * 7
        inner = pixels[top + 3 : top + 7, left + 3 : left + 7]  # no other block reaches here
        assert (inner == 24 * (i + 3 + np.arange(4))[:, None] + j + 3 + np.arange(4)).all()


# --- trained networks, against torch -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """The two generators of the page as ONNX files beside their models in torch."""
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    folder = tmp_path_factory.mktemp("onnx")
    models = {name: recipes.load(name, folder) for name in ("comic-latent-cond", "comic-flow")}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch's exporter, about its own parts
        for name, model in models.items():
            onnx_export.export_model(model, folder, name)
    return models, folder


@pytest.mark.slow
@pytest.mark.parametrize("name", ["comic-latent-cond", "comic-flow"])
def test_an_exported_guess_is_torchs(exported, name):
    onnxruntime = pytest.importorskip("onnxruntime")
    models, folder = exported
    model = models[name]
    torch.manual_seed(0)
    path = folder / f"{name}-guess.onnx"
    assert path.stat().st_size < 4_000_000
    x = torch.randn(5, *((model.z,) if hasattr(model, "z") else model.shape))
    t, y = torch.linspace(0.1, 1, 5), torch.randint(-1, 2, (5, len(model.wish.sizes)))
    with torch.no_grad():
        want = model.predict(x, t, y)
    feeds = {"x_t": x.numpy(), "t": t.numpy(), "y": y.int().numpy()}
    (got,) = onnxruntime.InferenceSession(path).run(None, feeds)
    assert_close(torch.from_numpy(got), want, rtol=1e-3, atol=1e-3)
    other = onnxruntime.InferenceSession(path).run(None, feeds | {"y": np.full_like(feeds["y"], -1)})[0]
    assert np.abs(other - got).max() > 0.01, "the wish is heard"


def test_what_takes_no_wishes_is_not_exported(tmp_path):
    with pytest.raises(ValueError, match="takes wishes, got DrawnFaces"):
        onnx_export.export_model(recipes.load("drawn-faces", tmp_path), tmp_path, "x")


# --- on the site: each demo by mouse and keyboard ------------------------------------------------------------

@pytest.fixture(params=[(DESKTOP, "light"), (PHONE, "dark")], ids=["desktop", "phone"])
def page(request, browser, address):  # noqa: F811
    """The playground on a desktop and on a phone, which does nothing that it should not."""
    viewport, scheme = request.param
    context = browser.new_context(viewport=viewport, color_scheme=scheme)
    (tab, faults), loaded = watched(context, address), []
    tab.on("response", lambda got: loaded.append(got.url))
    tab.goto(f"{address}{PAGE}", wait_until="load")
    assert not [url for url in loaded if url.endswith((".onnx", ".wasm", "kit.js"))], "loaded before the click"
    yield tab
    assert tab.evaluate("document.documentElement.scrollWidth") <= viewport["width"]
    assert not faults
    context.close()


def picture(demo, index=0) -> str:
    return demo.locator("canvas").nth(index).evaluate("c => c.toDataURL()")


def start(tab, name):
    """Start a demo by the keyboard; returns its figure."""
    demo = tab.locator(f"#demo-{name}")
    if not demo.get_attribute("data-scripts"):
        assert "without the runtime" in demo.locator(".demo-note").inner_text()
        assert demo.locator(".demo-still img").first.is_visible()
        pytest.skip("this site was built without onnxruntime-web (no npm)")
    demo.locator(".demo-start").focus()
    tab.keyboard.press("Enter")
    demo.locator(".demo-room").wait_for(state="visible", timeout=120_000)
    assert demo.locator(".demo-start").is_hidden() and demo.locator(".demo-still").is_hidden()
    assert tab.evaluate(f"document.querySelector('#demo-{name}').contains(document.activeElement)")
    return demo


def changes(tab, demo, act, index=0):
    """The picture is another one after `act`, and a time is shown."""
    before = picture(demo, index)
    act()
    tab.wait_for_function(
        "([id, index, before]) => document.querySelectorAll(`#${id} canvas`)[index].toDataURL() !== before",
        arg=[demo.get_attribute("id"), index, before], timeout=120_000,
    )  # fmt: skip
    assert re.search(r"\d ms", demo.inner_text())


def press(tab, control, *keys):
    control.focus()
    for key in keys:
        tab.keyboard.press(key)


@pytest.mark.site
@pytest.mark.browser
def test_the_gan_game_plays_and_breaks(page):
    demo = start(page, "gan")
    page.wait_for_function("/Turn [1-9]/.test(document.querySelector('#demo-gan').innerText)", timeout=120_000)
    press(page, demo.get_by_role("button", name="Pause"), "Space")
    changes(page, demo, demo.get_by_role("button", name="One turn").click)
    changes(page, demo, lambda: press(page, demo.get_by_role("combobox", name="Real points"), "m", "ArrowDown"))
    for switch in demo.get_by_role("checkbox").all():
        press(page, switch, "Space")
        assert switch.is_checked()
        changes(page, demo, demo.get_by_role("button", name="One turn").click)


@pytest.mark.site
@pytest.mark.browser
def test_the_denoiser_moves(page):
    demo = start(page, "denoiser")
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Time"), "End"))
    assert "t = 0, data" in demo.inner_text()
    changes(page, demo, lambda: demo.get_by_label("Path").select_option("cosine"))
    changes(page, demo, lambda: demo.get_by_label("Wish for").select_option("mouth"))
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Guidance"), "End"))
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Steps"), "Home"))
    changes(page, demo, demo.get_by_role("button", name="New noise").click)


@pytest.mark.site
@pytest.mark.browser
def test_the_texture_lab_lays_blocks(page):
    demo = start(page, "texture")
    changes(page, demo, lambda: press(page, demo.get_by_role("button", name="One block"), "Enter"))
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Block"), "End"))
    demo.get_by_label("Join").select_option("random")  # the first block is the same: only the second can show it
    changes(page, demo, demo.get_by_role("button", name="One block").click)
    demo.get_by_role("button", name="Lay all").click()
    done = "document.querySelector('#demo-texture').innerText.includes('whole picture')"
    page.wait_for_function(done, timeout=120_000)


@pytest.mark.site
@pytest.mark.browser
def test_the_face_machine_obeys(page):
    demo = start(page, "faces")
    demo.get_by_label("In words").fill("red hair on a bicycle")
    changes(page, demo, lambda: press(page, demo.get_by_label("In words"), "Enter"))
    assert "Understood: Hair colour." in demo.inner_text() and "Not understood: on, bicycle." in demo.inner_text()
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Walk"), "PageUp"))
    changes(page, demo, lambda: demo.get_by_label("Skin").select_option("3"))
    changes(page, demo, demo.get_by_role("button", name="New faces").click, 1)
    # The same numbers in torch: a code of the page's own noise, through the same steps.
    got = page.evaluate(
        """async () => {
        const { open, guided, walk } = genimgDemos.parts.runtime;
        const base = new URL("../_static/demos/", location.href);
        const x = Float32Array.from({ length: 64 }, (_, i) => Math.sin(7 * i * i + 1));
        const net = await open(base, "faces-guess.onnx");
        const stations = await walk(guided(net, [64], new Int32Array(10).fill(1), 1.5, false), x, 1, 12);
        return [...stations.at(-1).x]; }"""
    )
    model = recipes.load("comic-latent-cond")
    x = torch.tensor([[np.sin(7 * i * i + 1) for i in range(64)]], dtype=torch.float32)
    want = (model.code(x, 12, torch.ones(1, 10, dtype=torch.long), 1.5) - model.mean) / model.std
    assert_close(torch.tensor([got]), want, rtol=0.01, atol=0.01)


@pytest.mark.site
@pytest.mark.browser
def test_faces_come_out_of_noise(page):
    demo = start(page, "noisy")
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Time"), "End"))
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Steps"), "Home"))
    changes(page, demo, lambda: demo.get_by_label("Wish for").select_option(index=1))
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Guidance"), "End"))


@pytest.mark.site
@pytest.mark.browser
def test_the_map_shows_digits(page):
    demo = start(page, "map")
    board = demo.locator("canvas").first
    changes(page, demo, lambda: board.click(position={"x": 40, "y": 60}), 1)
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Across"), "End"), 1)
    changes(page, demo, lambda: press(page, demo.get_by_role("slider", name="Up"), "Home"), 1)
    changes(page, demo, demo.get_by_role("button", name="Anywhere").click, 1)


@pytest.mark.site
@pytest.mark.browser
def test_a_demo_that_cannot_load_says_so(browser, address):  # noqa: F811
    context = browser.new_context()
    tab = context.new_page()
    tab.route("**/gan.js", lambda route: route.abort())
    tab.goto(f"{address}{PAGE}", wait_until="load")
    demo = tab.locator("#demo-gan")
    demo.locator(".demo-start").click()
    tab.wait_for_function("document.querySelector('#demo-gan .demo-note').textContent.includes('could not start')")
    assert demo.locator(".demo-still img").first.is_visible() and demo.locator(".demo-start").is_enabled()
    context.close()


@pytest.mark.site
def test_every_demo_stands_without_javascript(site, soups):  # noqa: F811
    figures = soups[site / PAGE].select("figure.demo")
    assert [figure["data-demo"] for figure in figures] == ["faces", "gan", "denoiser", "noisy", "map", "texture"]
    for figure in figures:
        assert len(figure.select_one("figcaption").text) > 80
        for image in figure.select(".demo-still img"):
            assert len(image["alt"]) > 60 and ((site / PAGE).parent / image["src"]).resolve().is_file()
