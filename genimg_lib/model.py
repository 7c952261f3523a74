"""The contract: all that the loop, the scores, the recipes and the demos know of a model."""

from collections.abc import Callable

from torch import Tensor, nn

Losses = dict[str, Tensor]  # {"loss": the scalar to minimise, ...: scalars to plot}
Turn = tuple[nn.Module, Callable[[Tensor, Tensor | None], Losses]]  # who learns, and from which loss


class GenerativeModel(nn.Module):
    """A model that learns from pictures and makes new ones.

    Pictures are float32 (B, C, H, W) in [-1, 1]; conditions `y` are int64 (B, A), one column an attribute.
    """

    shape: tuple[int, ...]  # (C, H, W) of one picture

    def loss(self, x: Tensor, y: Tensor | None = None) -> Losses:
        """The training loss of a batch x: (B, C, H, W), y: (B, A) or None; "loss" is what is minimised."""
        raise NotImplementedError

    def sample(self, n: int, y: Tensor | None = None) -> Tensor:
        """Draw n new pictures (n, C, H, W) in [-1, 1]; y: (n, A) where the model is conditional."""
        raise NotImplementedError

    def turns(self) -> dict[str, Turn]:
        """Who plays in one training step, in order. Most models play alone; a GAN plays critic, then generator."""
        return {"model": (self, self.loss)}

    def prepare(self, x: Tensor) -> Tensor:
        """What `loss` is fed with, from the whole data set, once. A second stage turns pictures into latents here."""
        return x

    @property
    def device(self):
        return next(self.parameters()).device
