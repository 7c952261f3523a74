"""Frames between the grader and the sandbox: JSON of tagged values, then the raw bytes of the tensors. Never pickle.

A frame is two lengths (4 bytes each, big-endian), that many bytes of JSON, that many bytes of tensors. In the JSON
a number, a string, a truth value and null stand for themselves; everything else is an object with one key: "l" list,
"u" tuple, "s" set, "d" pairs of a dict, "c" complex, "t" [dtype, shape] of the next tensor, "?" a kind that cannot
travel. Who reads trusts nothing: whatever is odd about a frame is one WireError.

This file runs on both sides. In the sandbox it stands alone, with torch.
"""

import json
import math
import struct

import torch

LENGTHS = struct.Struct(">II")
MAX_JSON, MAX_BYTES = 4 << 20, 32 << 20  # of a frame's two halves
MAX_DEPTH, MAX_NODES, MAX_DIMS = 32, 100_000, 12
MAX_HASHED = 1_000  # members of sets and keys of dicts: values of one hash take time by the square
WHOLE = 2**63  # an int is below this, either way
DTYPES = {
    str(dtype).removeprefix("torch."): dtype
    for dtype in (torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.uint8, torch.int8, torch.int16,
                  torch.int32, torch.int64, torch.bool, torch.complex64, torch.complex128)
}  # fmt: skip
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class WireError(ValueError):
    """A frame that no honest sender makes, or a value too large to send."""


class Foreign:
    """What stands in for a value that cannot travel: only its type's name did."""


def foreign(name: str, module: str = "", iterator: bool = False) -> Foreign:
    """An object whose type says what the original was, so that a verdict can name it."""
    members = {"__module__": "numpy" if module == "numpy" else __name__}
    return type(clean(name)[:60] or "object", (Foreign,), members | ({"__next__": None} if iterator else {}))()


def clean(text: str) -> str:
    """Without what UTF-8 cannot hold, and without NUL, which no type's name holds."""
    return text.encode("utf-8", "replace").decode("utf-8").replace("\0", "")


# --- writing


def dumps(value) -> bytes:
    """One frame; WireError for a value too deep, too long or too large."""
    pieces: list[bytes] = []
    text = json.dumps(Packer(pieces).pack(value, 0), separators=(",", ":")).encode("ascii")
    size = sum(map(len, pieces))
    if len(text) > MAX_JSON or size > MAX_BYTES:
        raise WireError(f"too large to send: {len(text) + size:,} bytes")
    return b"".join([LENGTHS.pack(len(text), size), text, *pieces])


class Packer:
    def __init__(self, pieces: list):
        self.pieces, self.nodes, self.size, self.hashed = pieces, 0, 0, 0

    def pack(self, value, depth: int):
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise WireError("too large to send: lists in lists without end" if depth > MAX_DEPTH else
                            f"too large to send: more than {MAX_NODES:,} values")  # fmt: skip
        kind = type(value)
        if value is None or kind is bool or kind is float:
            return value
        if kind is int:
            return value if -WHOLE <= value < WHOLE else {"?": ["huge int", "", False]}
        if kind is str:
            if len(value) > MAX_JSON:
                raise WireError(f"too large to send: a string of {len(value):,} characters")
            return value
        if kind is complex:
            return {"c": [value.real, value.imag]}
        if kind in (torch.Tensor, torch.nn.Parameter):
            return self.tensor(value)
        if issubclass(kind, dict):
            pairs = self.few(list(dict.items(value)))
            return {"d": [[self.pack(key, depth + 1), self.pack(item, depth + 1)] for key, item in pairs]}
        for base, tag in ((list, "l"), (tuple, "u"), (set, "s"), (frozenset, "s")):
            if issubclass(kind, base):
                items = list(base.__iter__(value))
                items = sorted(self.few(items), key=repr) if tag == "s" else items
                return {tag: [self.pack(item, depth + 1) for item in items]}
        for base in (bool, int, float, str):  # an enum's member, say; numpy's float stays numpy's
            if issubclass(kind, base) and kind.__module__ != "numpy":
                return self.pack(base.__str__(value) if base is str else base(value), depth + 1)
        module = str(kind.__module__)
        return {"?": [str(kind.__name__)[:60], "numpy" if module == "numpy" else "", hasattr(kind, "__next__")]}

    def few(self, items: list) -> list:
        self.hashed += len(items)
        if self.hashed > MAX_HASHED:
            raise WireError(f"too large to send: sets and dicts of more than {MAX_HASHED:,} values")
        return items

    def tensor(self, value):
        """Raw bytes; what has none of its own kind (sparse, quantised, on another device …) goes as a name."""
        if value.layout is not torch.strided or value.device.type != "cpu" or value.dtype not in NAMES:
            return {"?": [f"{value.layout} Tensor on {value.device.type}".replace("torch.", "")[:60], "", False]}
        self.size += value.numel() * value.element_size()  # before an expanded view becomes real
        if value.ndim > MAX_DIMS or self.size > MAX_BYTES:
            raise WireError(f"too large to send: a tensor of shape {tuple(value.shape)}"[:200])
        flat = value.detach().resolve_conj().resolve_neg().contiguous().reshape(-1)
        self.pieces.append(flat.view(torch.uint8).numpy().tobytes() if flat.numel() else b"")
        return {"t": [NAMES[value.dtype], list(value.shape)]}


# --- reading


def read(receive):
    """The value of the next frame; `receive(n)` gives exactly n bytes."""
    length, size = LENGTHS.unpack(receive(LENGTHS.size))
    if length > MAX_JSON or size > MAX_BYTES:
        raise WireError(f"a frame of {length + size:,} bytes")
    return loads(receive(length), receive(size))


def loads(text: bytes, body: bytes):
    """The value of one frame; WireError for anything that `dumps` would not have written."""
    try:
        value = json.loads(text.decode("ascii"))
        unpacker = Unpacker(body)
        value = unpacker.unpack(value, 0)
    except WireError:
        raise
    except (ValueError, TypeError, KeyError, RecursionError, OverflowError, RuntimeError, MemoryError) as error:
        raise WireError(f"a frame that cannot be read ({type(error).__name__})") from None
    if unpacker.at != len(body):
        raise WireError("bytes that belong to no tensor")
    return value


class Unpacker:
    def __init__(self, body: bytes):
        self.body, self.at, self.nodes, self.hashed = body, 0, 0, 0

    def unpack(self, node, depth: int):
        self.nodes += 1
        if depth > MAX_DEPTH or self.nodes > MAX_NODES:
            raise WireError("too deep or too many values")
        if type(node) is str:
            return clean(node)
        if type(node) is int and not -WHOLE <= node < WHOLE:
            raise WireError("an int without end")
        if node is None or type(node) in (bool, int, float):
            return node
        if type(node) is not dict or len(node) != 1:
            raise WireError("an untagged value")
        ((tag, held),) = node.items()
        if type(held) is not list:
            raise WireError("a tag without its list")
        self.hashed += len(held) if tag in ("s", "d") else 0
        if self.hashed > MAX_HASHED:
            raise WireError("too many members of sets and keys of dicts")
        if tag in ("l", "u", "s"):
            items = [self.unpack(item, depth + 1) for item in held]
            return items if tag == "l" else tuple(items) if tag == "u" else set(items)
        if tag == "d":
            pairs = {self.unpack(key, depth + 1): self.unpack(item, depth + 1) for key, item in held}
            if len(pairs) != len(held):
                raise WireError("a key twice")
            return pairs
        if tag == "c":
            return complex(*(expect(part, float, int) for part in held))
        if tag == "t":
            return self.tensor(*held)
        if tag == "?":
            name, module, iterator = held
            return foreign(expect(name, str), expect(module, str), expect(iterator, bool))
        raise WireError("an unknown tag")

    def tensor(self, name, shape):
        dtype = DTYPES[expect(name, str)]
        if len(expect(shape, list)) > MAX_DIMS or not all(type(n) is int and 0 <= n <= MAX_BYTES for n in shape):
            raise WireError("a shape that is none")
        if math.prod(n or 1 for n in shape) > MAX_BYTES:
            raise WireError("a shape too large")
        raw = torch.uint8 if dtype is torch.bool else dtype
        size = math.prod(shape) * raw.itemsize
        piece = bytearray(self.body[self.at : self.at + size])  # a copy: aligned, and writable
        if len(piece) != size:
            raise WireError("a tensor without its bytes")
        self.at += size
        flat = torch.frombuffer(piece, dtype=raw) if size else torch.empty(0, dtype=raw)
        return (flat != 0 if dtype is torch.bool else flat).reshape(shape)


def expect(value, *kinds):
    if type(value) not in kinds:
        raise WireError("a value of the wrong kind")
    return value
