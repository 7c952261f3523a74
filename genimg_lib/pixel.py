"""Autoregressive models: a picture written symbol by symbol, each one guessed from those before it."""

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from genimg_lib.model import GenerativeModel, Losses

# ----------------------------------------------------------------------------------- looking back only


class MaskedConv2d(nn.Conv2d):
    """A convolution that sees only what raster order has written: the rows above, and its own row to the left.

    kind: "A" hides the place itself, for the first layer, whose input is the picture; "B" shows it, for the others
    (van den Oord et al. 2016, sec. 3.4). size: odd.
    """

    def __init__(self, channels: int, out: int, size: int, kind: str):
        if size % 2 == 0 or kind not in ("A", "B"):
            raise ValueError(f'expected an odd size and the kind "A" or "B", got {size} and {kind!r}')
        super().__init__(channels, out, size, padding=size // 2)
        seen = torch.arange(size * size) < size * size // 2 + (kind == "B")
        self.register_buffer("mask", seen.view(size, size).float(), persistent=False)

    def forward(self, h: Tensor) -> Tensor:
        return F.conv2d(h, self.weight * self.mask, self.bias, padding=self.padding)


class CausalBlock(nn.Module):
    """Attention to oneself and what came before, then a perceptron, both residual (Vaswani et al. 2017, sec. 3.1).

    h (B, n, width) -> the same, and the keys and values that later symbols will want to look at. past: the keys and
    values of earlier symbols, each (B, heads, m, width / heads); then only the new symbols are computed.
    """

    def __init__(self, width: int, heads: int):
        super().__init__()
        self.heads = heads
        self.norms = nn.ModuleList(nn.LayerNorm(width) for _ in range(2))
        self.qkv, self.out = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 4 * width), nn.GELU(), nn.Linear(4 * width, width))

    def forward(self, h: Tensor, past: tuple[Tensor, Tensor] | None = None):
        q, k, v = self.qkv(self.norms[0](h)).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        if past is not None:
            k, v = torch.cat([past[0], k], dim=2), torch.cat([past[1], v], dim=2)
        new, known = q.shape[2], k.shape[2]
        later = torch.ones(new, known, dtype=torch.bool, device=h.device).triu(known - new + 1)  # row: who looks
        scores = (q @ k.mT / q.shape[3] ** 0.5).masked_fill(later, -math.inf)
        mixed = scores.softmax(dim=3).to(v.dtype) @ v
        h = h + self.out(mixed.transpose(1, 2).flatten(2))
        return h + self.mlp(self.norms[1](h)), (k, v)


class CausalTransformer(nn.Module):
    """symbols (B, n) int64 in 0 … codes, where `codes` itself says "begin" -> logits (B, n, codes) of what comes next.

    Each place of the grid (rows, columns) has a learned vector for its row and one for its column.
    """

    def __init__(self, codes: int, grid: tuple[int, int], width: int, depth: int, heads: int):
        super().__init__()
        self.grid = grid
        self.embed = nn.Embedding(codes + 1, width)
        self.row, self.column = (nn.Parameter(0.02 * torch.randn(n, width)) for n in grid)
        self.blocks = nn.ModuleList(CausalBlock(width, heads) for _ in range(depth))
        self.leave = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, codes))
        nn.init.normal_(self.embed.weight, std=0.02)

    def forward(self, symbols: Tensor, past: list | None = None) -> tuple[Tensor, list]:
        """Logits, and the memory to hand in as `past` with the next symbols."""
        first = past[0][0].shape[2] if past else 0
        place = (self.row[:, None] + self.column).flatten(0, 1)[first : first + symbols.shape[1]]
        h, memory = self.embed(symbols) + place, []
        for i, block in enumerate(self.blocks):
            h, kept = block(h, past[i] if past else None)
            memory.append(kept)
        return self.leave(h).float(), memory


# ------------------------------------------------------------------------------------------ the model


class TokenWriter(GenerativeModel):
    """p(s) = Π_i p(s_i | s_1 … s_{i−1}) over the tokens of a trained first stage, which turns them into pictures.

    first: a model with tokenize(x) -> (B, h, w), decode(tokens), `codes`, `grid` and `shape` (`vq.TokenAutoencoder`);
    it stays frozen. Tokens are written in raster order.
    """

    def __init__(
        self, first: GenerativeModel, width: int = 128, depth: int = 3, heads: int = 4, temperature: float = 1.0
    ):
        super().__init__()
        self.first = first.eval().requires_grad_(False)
        self.shape, self.grid, self.codes = first.shape, first.grid, first.codes
        self.temperature, self.length = temperature, math.prod(first.grid)
        self.net = CausalTransformer(self.codes, self.grid, width, depth, heads)

    def train(self, mode: bool = True):
        """Training mode for the writer alone: the first stage stays as it was learnt."""
        super().train(mode)
        self.first.eval()
        return self

    def turns(self):
        """Only the writer learns."""
        return {"writer": (self.net, self.loss)}

    def prepare(self, x: Tensor) -> Tensor:
        """Every picture as its tokens, once: (N, C, H, W) -> (N, h, w) int64."""
        return self.first.tokenize(x)

    def begin(self, n: int) -> Tensor:
        """n times the symbol that stands before the first token: (n, 1)."""
        return torch.full((n, 1), self.codes, device=self.device)

    def logits(self, tokens: Tensor) -> Tensor:
        """The logits of every token given those before it, all in one pass: (B, h, w) -> (B, h·w, codes)."""
        if tokens.shape[1:] != self.grid or tokens.is_floating_point():
            raise ValueError(
                f"expected tokens (B, {self.grid[0]}, {self.grid[1]}) of whole numbers, got {tuple(tokens.shape)} of "
                f"{tokens.dtype}; `prepare` turns pictures into tokens"
            )
        return self.net(torch.cat([self.begin(len(tokens)), tokens.flatten(1)[:, :-1]], dim=1))[0]

    def log_prob(self, tokens: Tensor) -> Tensor:
        """log p(s) = Σ_i log p(s_i | s_<i), exact, in nats: (B, h, w) -> (B,)."""
        return -F.cross_entropy(self.logits(tokens).mT, tokens.flatten(1), reduction="none").sum(1)

    def loss(self, tokens: Tensor, y=None) -> Losses:
        """Cross-entropy in nats a token, and the same in bits: −log p(s) of tokens (B, h, w), over their number."""
        nats = -self.log_prob(tokens).mean() / self.length
        return {"loss": nats, "bits": nats.detach() / math.log(2)}

    @torch.no_grad()
    def write(self, n: int, temperature: float | None = None, start: Tensor | None = None) -> Tensor:
        """Draw n sentences (n, h, w), one token after the other: p_i ∝ exp(logits / temperature).

        start: (n, m) tokens that are given; the writer goes on from there. What earlier tokens left in memory is kept,
        so a new token costs one step, not a new reading of all.
        """
        temperature = self.temperature if temperature is None else temperature
        if temperature <= 0:
            raise ValueError(f"expected a temperature above 0, got {temperature}; 0.01 takes the likeliest")
        tokens = torch.empty(n, 0, dtype=torch.int64, device=self.device) if start is None else start
        new, memory = torch.cat([self.begin(n), tokens], dim=1), None
        while tokens.shape[1] < self.length:
            logits, memory = self.net(new, memory)
            new = torch.multinomial((logits[:, -1] / temperature).softmax(1), 1)
            tokens = torch.cat([tokens, new], dim=1)
        return tokens.view(n, *self.grid)

    @torch.no_grad()
    def sample(self, n: int, y=None) -> Tensor:
        """Write n sentences and let the first stage draw them."""
        return torch.cat([self.first.decode(self.write(min(500, n - i))) for i in range(0, n, 500)])
