"""Trained networks as ONNX files, for a web page or another language: small enough to load on a click.

Two cuts. `export_whole`: one file, noise and wishes in, pictures out. `export_model`, for the web page: one guess of
the clean thing, predict(x_t, t, y), and the decoder of a first stage; the walk from noise to data stays a loop of a few
lines wherever it runs. Weights are stored as 16-bit floats and computed with as 32-bit ones: half the size, and the
pictures differ by less than a shade.
"""

import copy
import importlib
import logging
import warnings
from pathlib import Path

import torch
from torch import Tensor, nn

from genimg_lib.diffusion import Diffusion, Predict, guided
from genimg_lib.gan import GAN
from genimg_lib.latent import CodeGAN, ConditionalCodeGAN, LatentFlow, SecondStage
from genimg_lib.model import GenerativeModel
from genimg_lib.vae import VAE


class Unchecked(nn.Module):
    """`nets.Attributes` without its questions about the values, which no graph can ask."""

    def __init__(self, attributes: nn.Module):
        super().__init__()
        self.table, self.sizes = attributes.table, attributes.sizes
        self.register_buffer("firsts", attributes.firsts)

    def forward(self, y: Tensor, n: int) -> Tensor:
        """y: (n, A) integers, −1 for anything -> (n, dim)."""
        return self.table(self.firsts + y.long()).sum(dim=1)


class Guess(nn.Module):
    """predict(x_t, t, y) of a model that takes wishes, as a plain module: y is (n, A), int32."""

    def __init__(self, model: LatentFlow | Diffusion):
        super().__init__()
        self.model = copy.deepcopy(model)
        self.model.wish = Unchecked(model.wish)
        if isinstance(model, SecondStage):
            self.model.first = nn.Identity()  # the guess of a code has no use for pictures

    def forward(self, x_t: Tensor, t: Tensor, y: Tensor) -> Tensor:
        return self.model.predict(x_t, t, y)


class Decode(nn.Module):
    """Codes w (n, z) -> pictures (n, C, H, W) in [-1, 1]. The codes of a second stage are standardised."""

    def __init__(self, model: SecondStage | VAE):
        super().__init__()
        second = isinstance(model, SecondStage)
        self.decoder = copy.deepcopy(model.first.decoder if second else model.decoder)
        self.register_buffer("mean", model.mean.clone() if second else torch.zeros(model.z))
        self.register_buffer("std", model.std.clone() if second else torch.ones(model.z))

    def forward(self, w: Tensor) -> Tensor:
        return self.decoder(w * self.std + self.mean).clamp(-1, 1)


class Whole(nn.Module):
    """A model as one graph: noise (n, z) and, where it takes wishes, y (n, A) int32 -> pictures (n, C, H, W).

    A sampler's loop is unrolled into the graph. Raises ValueError for a model that draws otherwise.
    """

    def __init__(self, model: GenerativeModel):
        super().__init__()
        if not isinstance(model, GAN | VAE | LatentFlow | CodeGAN):
            raise ValueError(
                f"expected a GAN, a VAE, or a flow or GAN on codes, got {type(model).__name__}: its passes are too "
                "many for one graph; `onnx_export.export_model` writes one pass of a diffusion that takes wishes"
            )
        self.model = copy.deepcopy(model)
        ear = self.model.game.generator if isinstance(model, ConditionalCodeGAN) else self.model
        self.sizes = getattr(getattr(ear, "wish", None), "sizes", ())
        if self.sizes:
            ear.wish = Unchecked(ear.wish)

    def example(self, n: int, seed: int = 0) -> dict[str, Tensor]:
        """Inputs by name: the noise that `sample` draws after this seed, and wishes of which half are left open."""
        torch.manual_seed(seed)
        inputs = {"noise": torch.randn(n, self.model.z)}
        if self.sizes:
            y = torch.stack([torch.arange(n) % size for size in self.sizes], dim=1)
            inputs["y"] = torch.where(torch.arange(len(self.sizes)) % 2 == 0, y, -1).int()
        return inputs

    def forward(self, noise: Tensor, y: Tensor | None = None) -> Tensor:
        model = self.model
        if isinstance(model, GAN):
            return model.generator(noise)
        if isinstance(model, LatentFlow):
            predict = guided(model.predict, y, model.guidance) if self.sizes else model.predict
            code = walk(predict, noise, model.steps) * model.std + model.mean
            return model.first.decode(code).clamp(-1, 1)
        if isinstance(model, CodeGAN):
            code = model.code(noise, y) if self.sizes else model.code(noise)
            return model.first.decode(code).clamp(-1, 1)
        return model.decode(noise).clamp(-1, 1)


def walk(predict: Predict, x: Tensor, steps: int) -> Tensor:
    """`diffusion.integrate` on the linear path, x (n, z), with times that are plain numbers.

    A graph cannot ask a tensor whether this is the last step, where t = 0 and Heun's second look does not exist.
    """
    for i in range(steps):
        t, s = 1 - i / steps, 1 - (i + 1) / steps
        v = (x - predict(x, x.new_full((x.shape[0],), t))) / t
        ahead = x + (s - t) * v
        if i + 1 < steps:
            v = (v + (ahead - predict(ahead, x.new_full((x.shape[0],), s))) / s) / 2
            ahead = x + (s - t) * v
        x = ahead
    return x


def wanted(name: str):
    """A package of the extra `web`, or an ImportError that says how to get it."""
    try:
        return importlib.import_module(name)
    except ImportError as error:
        raise ImportError(f"{name} is not installed, and ONNX files need it: pip install {name}") from error


def export_whole(model: GenerativeModel, path: Path) -> Path:
    """Write a model as one ONNX file, from noise to pictures: see `Whole` for its inputs; the output is "out"."""
    net = Whole(model)
    return export(net, net.example(2), path)


def parity(model: GenerativeModel, path: Path, n: int = 4, seed: int = 0) -> float:
    """How far the pictures of a file of `export_whole` are from those of `model.sample`, at most, in shades of 255.

    The same seed gives both the same noise. Needs onnxruntime (ImportError, saying so, without it).
    """
    session = wanted("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    net = Whole(model)
    inputs = net.example(n, seed)
    torch.manual_seed(seed)
    want = model.sample(n, inputs["y"].long()) if net.sizes else model.sample(n)
    try:
        (got,) = session.run(None, {name: value.numpy() for name, value in inputs.items()})
    except Exception as error:  # the runtime has its own kinds
        raise ValueError(f"{path} does not run on {n} pictures: {error}") from error
    return 127.5 * (torch.from_numpy(got) - want).abs().max().item()


@torch.no_grad()
def export(net: nn.Module, example: dict[str, Tensor], path: Path) -> Path:
    """Write a network as an ONNX file with 16-bit weights, for batches of any size.

    example: a batch of each input by name, of two samples at least; the output is called "out". Needs the packages of
    the extra `web` (ImportError without them).
    """
    onnx, _ = wanted("onnx"), wanted("onnxscript")
    batch = torch.export.Dim("n", min=1, max=256)
    logging.getLogger("torch.onnx").setLevel(logging.ERROR)  # it reports every library that is not installed
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of the exporter, about its own parts
        program = torch.onnx.export(
            net.eval(), tuple(example.values()), dynamo=True, verbose=False, input_names=list(example),
            output_names=["out"], dynamic_shapes=tuple({0: batch} for _ in example),
        )  # fmt: skip
    model = halve(program.model_proto)
    onnx.checker.check_model(model)
    path.write_bytes(model.SerializeToString())
    return path


def halve(model, least: int = 256):
    """Store each weight of at least `least` numbers as 16-bit floats behind a cast back to 32 bits."""
    from onnx import TensorProto, helper, numpy_helper

    graph, casts = model.graph, []
    for i, weight in enumerate(graph.initializer):
        values = numpy_helper.to_array(weight)
        if weight.data_type == TensorProto.FLOAT and values.size >= least:
            name = weight.name
            graph.initializer[i].CopyFrom(numpy_helper.from_array(values.astype("float16"), f"{name}.half"))
            casts.append(helper.make_node("Cast", [f"{name}.half"], [name], to=TensorProto.FLOAT))
    nodes = casts + list(graph.node)
    del graph.node[:], graph.value_info[:], model.metadata_props[:]
    graph.node.extend(nodes)
    for node in graph.node:
        del node.metadata_props[:]
        node.doc_string = ""
    return model


def export_model(model: GenerativeModel, folder: Path, name: str) -> list[Path]:
    """Write NAME-guess.onnx for a model with wishes, NAME-decode.onnx for one with codes; returns their paths.

    Inputs of the guess: x_t, t (n,), y (n, A) int32. Of the decoder: w. ValueError for any other model.
    """
    if isinstance(model, VAE):
        return [export(Decode(model), {"w": torch.randn(2, model.z)}, folder / f"{name}-decode.onnx")]
    if not isinstance(model, LatentFlow | Diffusion) or model.wish is None:
        raise ValueError(f"expected a VAE, or a flow or diffusion that takes wishes, got {type(model).__name__}")
    shape = (model.z,) if isinstance(model, SecondStage) else model.shape
    y = torch.zeros(2, len(model.wish.sizes), dtype=torch.int32)
    example = {"x_t": torch.randn(2, *shape), "t": torch.full((2,), 0.5), "y": y}
    made = [export(Guess(model), example, folder / f"{name}-guess.onnx")]
    if isinstance(model, SecondStage):
        made.append(export(Decode(model), {"w": torch.randn(2, model.z)}, folder / f"{name}-decode.onnx"))
    return made
