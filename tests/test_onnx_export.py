"""One ONNX file from noise to pictures: as the original draws, and a plain word where something is missing."""

import numpy as np
import pytest
import torch

from genimg_lib import onnx_export, recipes
from genimg_lib.latent import LatentFlow
from genimg_lib.vae import ConvVAE


def small_flow(sizes=()):
    torch.manual_seed(0)
    first = ConvVAE((3, 8, 8), z=6, widths=(8, 8), patch=2)
    model = LatentFlow(first, width=16, depth=1, steps=2, sizes=sizes, guidance=1.5)
    for weight in model.parameters():
        torch.nn.init.normal_(weight, std=0.2)  # those that start at zero would hide what comes before them
    model.mean.copy_(torch.randn(6))
    return model.eval()


@pytest.mark.parametrize("name", ["comic-gan", "comic-vae", "comic-latent-cond", "comic-gan-cond"])
def test_the_graph_draws_what_the_model_draws(name, tmp_path):
    model = recipes.load(name, tmp_path)
    net = onnx_export.Whole(model)
    inputs = net.example(3, seed=5)
    torch.manual_seed(5)
    want = model.sample(3, inputs["y"].long()) if net.sizes else model.sample(3)
    with torch.no_grad():
        torch.testing.assert_close(net(*inputs.values()), want)
    assert net.sizes == (() if name in ("comic-gan", "comic-vae") else recipes.comic_sizes())


def test_what_draws_in_many_passes_is_refused(tmp_path):
    for name in ("comic-flow", "comic-tokens", "drawn-faces"):
        with pytest.raises(ValueError, match="expected a GAN, a VAE, or a flow or GAN on codes"):
            onnx_export.Whole(recipes.load(name, tmp_path))


def test_a_missing_package_is_named(tmp_path, monkeypatch, genimg):
    monkeypatch.setitem(__import__("sys").modules, "onnxruntime", None)
    with pytest.raises(ImportError, match="onnxruntime is not installed, and ONNX files need it: pip install"):
        onnx_export.parity(small_flow(), tmp_path / "x.onnx")
    monkeypatch.setitem(__import__("sys").modules, "onnx", None)
    status, said = genimg("export", "onnx", "comic-gan", "--out", "x.onnx")
    assert status == 2 and "pip install onnx" in said and not list(tmp_path.iterdir())


def test_the_command_replaces_nothing_and_knows_its_ending(genimg, tmp_path):
    (tmp_path / "x.onnx").write_bytes(b"mine")
    status, said = genimg("export", "onnx", "comic-gan", "--out", "x.onnx")
    assert status == 2 and "--force" in said and (tmp_path / "x.onnx").read_bytes() == b"mine"
    status, said = genimg("export", "onnx", "comic-gan", "--out", "x.pt")
    assert status == 2 and ".onnx" in said
    assert genimg("export", "onnx", "comic-flow", "--out", "y.onnx")[0] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["x.onnx"]


@pytest.mark.slow
@pytest.mark.parametrize("sizes", [(), (3, 2)])
def test_an_unrolled_flow_agrees_with_torch_in_every_batch(sizes, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    onnxruntime = pytest.importorskip("onnxruntime")
    model = small_flow(sizes)
    model.load_state_dict({key: value.half().float() for key, value in model.state_dict().items()})  # as shipped
    path = onnx_export.export_whole(model, tmp_path / "flow.onnx")
    for n in (1, 5):
        assert onnx_export.parity(model, path, n) < 0.01
    if sizes:
        session, inputs = onnxruntime.InferenceSession(path), onnx_export.Whole(model).example(4)
        feeds = {key: value.numpy() for key, value in inputs.items()}
        other = feeds | {"y": np.full_like(feeds["y"], -1)}
        assert np.abs(session.run(None, feeds)[0] - session.run(None, other)[0]).max() > 1e-4
    with torch.no_grad():
        model.first.decoder[-2].bias += 0.2  # another model than the file's
    assert onnx_export.parity(model, path) > 1


@pytest.mark.slow
def test_the_command_exports_and_compares(genimg, tmp_path):
    pytest.importorskip("onnxscript", reason="the extra `web` is not installed")
    pytest.importorskip("onnxruntime")
    status, said = genimg("export", "onnx", "comic-gan", "--out", "gan.onnx")
    assert status == 0 and "noise (n, 64) in" in said and "differ by at most 0.0" in said
    assert (tmp_path / "gan.onnx").stat().st_size < 1_500_000
