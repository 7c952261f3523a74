"""Normalizing flows: bijections, their volumes, and densities that add up to one."""

import math

import pytest
import torch
from torch import nn
from torch.testing import assert_close

from genimg_lib import data, flow
from genimg_lib.flow import ActNorm, Coupling, CouplingFlow, Logit, Mix, Squeeze
from genimg_lib.latent import CodeCoupling
from genimg_lib.nets import mlp
from genimg_lib.train import train
from genimg_lib.vae import ConvVAE


@pytest.fixture(autouse=True)
def seed():
    torch.manual_seed(0)


def shaken(module):
    """The same module with no parameter at a special value such as zero, in double precision."""
    for p in module.parameters():
        p.data.add_(0.3 * torch.randn_like(p))
    return module.double()


LAYERS = {
    "coupling, vectors": (lambda: Coupling(mlp((3, 16, 6))), (6,)),
    "coupling, odd": (lambda: Coupling(mlp((3, 16, 4))), (5,)),
    "coupling, pictures": (lambda: Coupling(nn.Conv2d(2, 4, 3, padding=1)), (4, 2, 3)),
    "mix, vectors": (lambda: Mix(5), (5,)),
    "mix, pictures": (lambda: Mix(3), (3, 2, 2)),
    "actnorm, vectors": (lambda: ActNorm(4), (4,)),
    "actnorm, pictures": (lambda: ActNorm(2), (2, 3, 2)),
    "swap": (flow.Swap, (5,)),
    "squeeze": (Squeeze, (2, 4, 2)),
    "logit": (Logit, (1, 3, 3)),
    "a stack of points": (lambda: flow.point_flow(depth=3, width=8), (2,)),
    "a stack of vectors": (lambda: flow.vector_flow(5, depth=3, width=8), (5,)),
    "a stack of pictures": (lambda: flow.picture_flow((1, 4, 4), depths=(1, 2), width=8), (1, 4, 4)),
}


@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_inverts_and_counts_its_volume_as_autograd_does(name):
    make, shape = LAYERS[name]
    layer, x = shaken(make()), torch.rand(4, *shape, dtype=torch.float64) * 0.8 + 0.1
    y, logdet = layer(x)
    assert y[0].numel() == x[0].numel() and logdet.shape == (4,)
    assert_close(layer.inverse(y), x)
    for i in range(4):
        jacobian = torch.autograd.functional.jacobian(lambda v: layer(v[None])[0].flatten(), x[i])
        assert_close(torch.linalg.slogdet(jacobian.view(x[i].numel(), -1)).logabsdet, logdet[i])


def test_half_of_a_coupling_layer_passes_and_the_scale_is_bounded():
    layer, x = Coupling(mlp((3, 8, 6)), bound=0.5), torch.randn(50, 6)
    for p in layer.parameters():
        p.data.mul_(100)
    y, logdet = layer(x)
    assert torch.equal(y[:, :3], x[:, :3]) and (y[:, 3:] - x[:, 3:]).abs().min() > 0
    assert logdet.abs().max() <= 3 * 0.5


def test_a_new_flow_turns_and_stretches_nothing():
    model, x = flow.vector_flow(6, depth=4, width=8), torch.randn(10, 6)
    z, logdet = model(x)
    assert_close(z.norm(dim=1), x.norm(dim=1))
    assert_close(logdet, torch.zeros(10), atol=1e-5, rtol=0)


def test_a_linear_flow_is_a_multivariate_normal():
    model = shaken(CouplingFlow([ActNorm(3), Mix(3), ActNorm(3)], (3,)))
    start = model.inverse(torch.zeros(1, 3, dtype=torch.float64))[0].detach()
    A = torch.autograd.functional.jacobian(lambda z: model.inverse(z[None])[0], torch.zeros(3, dtype=torch.float64))
    reference, x = torch.distributions.MultivariateNormal(start, A @ A.T), torch.randn(20, 3, dtype=torch.float64)
    assert_close(model.log_prob(x), reference.log_prob(x))


def test_the_density_of_a_bent_flow_integrates_to_one():
    model = flow.vector_flow(2, depth=3, width=16)
    for p in model.parameters():
        p.data.add_(0.1 * torch.randn_like(p))
    axis = torch.linspace(-20, 20, 1_001)
    with torch.no_grad():
        mass = model.log_prob(torch.cartesian_prod(axis, axis)).exp().sum() * (axis[1] - axis[0]) ** 2
    assert_close(mass.item(), 1.0, atol=2e-3, rtol=0)
    samples = model.sample(4_000)
    assert samples.abs().max() < 20 and not samples.requires_grad


def test_actnorm_starts_with_mean_zero_and_deviation_one():
    model = flow.vector_flow(3, depth=2, width=8)
    model.prepare(torch.randn(500, 3) * torch.tensor([0.1, 5.0, 2.0]) + 7)
    z, _ = model(torch.randn(4_000, 3) * torch.tensor([0.1, 5.0, 2.0]) + 7)
    assert_close(z.mean(0), torch.zeros(3), atol=0.15, rtol=0)
    assert_close(z.std(0), torch.ones(3), atol=0.15, rtol=0)


def test_training_finds_the_entropy_of_a_gaussian():
    scale = torch.tensor([[1.0, 0.0], [0.8, 0.3]])
    truth = torch.distributions.MultivariateNormal(torch.tensor([2.0, -1.0]), scale_tril=scale)
    x, unseen = truth.sample((4_000,)), truth.sample((4_000,))
    _, ema = train(flow.vector_flow(2, depth=2, width=8), x, steps=150, batch=128, lr=1e-2, threads=1)
    assert_close(-ema.log_prob(unseen).mean(), truth.entropy(), atol=0.06, rtol=0)


# ------------------------------------------------------------------------------------------------ pixels


def test_noise_stays_in_its_bin_and_is_rounded_away_again():
    x = torch.arange(256).view(1, 1, 16, 16) / 127.5 - 1
    v = flow.dequantize(x)
    assert_close((v * 256).floor().view(-1), torch.arange(256.0))
    assert_close(flow.quantize(v), x)
    many = flow.dequantize(torch.ones(1, 1, 1_000, 1_000))  # 255 and nearly 1 must not become 256
    assert (many * 256).floor().min() == (many * 256).floor().max() == 255
    assert 0 <= v.min() and v.max() < 1 and not torch.equal(v, flow.dequantize(x))
    assert flow.quantize(torch.tensor([0.0, 1.0])).tolist() == [-1, 1]


def test_a_flow_of_even_pixels_costs_eight_bits():
    class Even(CouplingFlow):
        def log_prob(self, x):  # the uniform density on the unit cube
            return x.new_zeros(len(x))

    x = data.load("digits", 16, n=4).x
    assert_close(Even([Logit()], (1, 16, 16)).bits(x), torch.full((4,), 8.0))


def test_pictures_survive_the_way_to_noise_and_back():
    model, x = flow.picture_flow((1, 16, 16), depths=(2, 2), width=8), data.load("digits", 16, n=5).x
    for p in model.parameters():
        p.data.add_(0.05 * torch.randn_like(p))
    model.prepare(x)
    with torch.no_grad():
        z, _ = model.double()(flow.dequantize(x.double()))
        assert z.shape == (5, 256)
        assert_close(model.decode(z), x.double())


def test_a_batch_of_another_shape_is_refused():
    with pytest.raises(ValueError, match=r"expected a batch of \(2,\), got \(4, 3\)"):
        flow.vector_flow(2)(torch.zeros(4, 3))
    with pytest.raises(ValueError, match="no multiple of 4"):
        flow.picture_flow((1, 10, 10))
    with pytest.raises(ValueError, match="two halves"):
        flow.vector_flow(1)


def test_a_flow_on_codes_gives_back_the_codes_it_was_given():
    model = CodeCoupling(ConvVAE((1, 8, 8), z=4, widths=(8, 16)), depth=2, width=8)
    codes = model.prepare(torch.rand(64, 1, 8, 8) * 2 - 1)
    w = model.draw(codes)
    with torch.no_grad():
        eps, _ = model.flow(w)
    assert_close(model.code(eps), w * model.std + model.mean, atol=1e-4, rtol=1e-4)
    assert math.isfinite(model.loss(codes)["loss"].item())
