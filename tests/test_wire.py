"""The frames between grader and sandbox: what goes in comes out, and whatever else comes in is one WireError.

`mutated` and `survives` also serve benchmarks/fuzz_wire.py, which does the same a million times.
"""

import io
import json
import math
import random

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from genimg_lib.checks.core import judge, load_all, run_here
from genimg_lib.checks.tools import CUT, same
from genimg_lib.grade import wire
from genimg_lib.grade.wire import Foreign, WireError, dumps, read
from tests import corpus


def sent(value):
    return read(io.BytesIO(dumps(value)).read)


def equal(a, b) -> bool:
    """Equal in type and value, NaN equal to NaN, -0.0 not to 0.0."""
    if isinstance(a, torch.Tensor):
        return isinstance(b, torch.Tensor) and a.dtype == b.dtype and a.shape == b.shape and raw(a) == raw(b)
    if type(a) is not type(b):
        return False
    if isinstance(a, list | tuple):
        return len(a) == len(b) and all(map(equal, a, b))
    if isinstance(a, dict):
        return list(a) == list(b) and all(equal(a[key], b[key]) for key in a)
    return a == b and str(a) == str(b) if not isinstance(a, set) and a == a else a == b or a != a and b != b


def raw(x):
    return x.contiguous().reshape(-1).view(torch.uint8).tolist() if x.numel() else []


@st.composite
def tensors(draw):
    shape = draw(st.lists(st.integers(0, 4), max_size=4))
    dtype = draw(st.sampled_from(list(wire.DTYPES.values())))
    values = torch.randn(shape, generator=torch.Generator().manual_seed(draw(st.integers(0, 99)))) * 5
    return values.bool() if dtype is torch.bool else values.abs().to(dtype)


words = st.text(max_size=8).filter(lambda text: "\0" not in text)
atoms = st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats() | words | tensors()
atoms |= st.complex_numbers(allow_nan=False) | st.sets(st.integers(0, 9) | words, max_size=3)
values = st.recursive(
    atoms,
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.lists(inner, max_size=3).map(tuple)
        | st.dictionaries(words | st.integers(0, 9), inner, max_size=3)
    ),
    max_leaves=12,
)


@settings(max_examples=300, deadline=None)
@given(values)
def test_what_goes_in_comes_out(value):
    assert equal(sent(value), value)


def test_every_probes_inputs_survive_the_way():
    for question in load_all().values():
        for dtype in (torch.float32, torch.float64):
            given = question.inputs(0, dtype)
            assert same(sent(given), given) and list(sent(given)) == list(given)


def by_wire(question, answer, given):
    return sent(run_here(question, answer, sent(given)))


@pytest.mark.slow
@pytest.mark.parametrize("id", sorted(load_all()))
def test_no_verdict_changes_on_the_way(id):
    """The grader says of an answer, word for word, what the notebook's check says."""
    corpus.load()
    for answer in corpus.RIGHT.get(id, [])[:1] + [row[0] for row in corpus.WRONG.get(id, [])[:4]]:
        direct, sent_about = (judge(load_all()[id], answer, run=run) for run in (run_here, by_wire))
        assert direct.to_dict() == sent_about.to_dict(), answer.__name__


def test_tensors_come_out_plain():
    class Odd(torch.Tensor):
        pass

    leaf = torch.ones(2, requires_grad=True)
    views = torch.ones(4, 2)[::2].T, torch.ones(1).expand(3, 3), torch.complex(torch.ones(2), torch.ones(2)).conj()
    for value in (leaf * 2, torch.nn.Parameter(torch.ones(2)), *views, torch.tensor(3.0), torch.empty(0, 7)):
        got = sent(value)
        assert type(got) is torch.Tensor and not got.requires_grad and got.shape == value.shape
        assert got.is_contiguous() and torch.equal(got, value.detach())
    got = sent(torch.tensor([True, False]))
    assert got.dtype == torch.bool and got.tolist() == [True, False]
    got.fill_(True)
    assert sent(CUT) == CUT
    assert isinstance(sent(torch.ones(2).as_subclass(Odd)), Foreign)


def test_a_bool_is_what_is_not_zero():
    text = json.dumps({"t": ["bool", [3]]}).encode()
    assert wire.loads(text, bytes([0, 2, 255])).tolist() == [False, True, True]


@pytest.mark.parametrize(
    "value, name, module",
    [
        (np.zeros(2), "ndarray", "numpy"),
        (np.float64(2), "float64", "numpy"),
        (object(), "object", "genimg_lib.grade.wire"),
        ((i for i in ()), "generator", "genimg_lib.grade.wire"),
        (torch.zeros(2).to_sparse(), "sparse_coo Tensor on cpu", "genimg_lib.grade.wire"),
        (torch.zeros(2, device="meta"), "strided Tensor on meta", "genimg_lib.grade.wire"),
        (2**63, "huge int", "genimg_lib.grade.wire"),
        (range(3), "range", "genimg_lib.grade.wire"),
        (b"bytes", "bytes", "genimg_lib.grade.wire"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_what_cannot_travel_is_named(value, name, module):
    got = sent([value])[0]
    assert isinstance(got, Foreign) and type(got).__name__ == name and type(got).__module__ == module
    assert hasattr(got, "__next__") == hasattr(value, "__next__")


def test_what_is_nearly_plain_becomes_plain():
    import collections
    import enum

    point = collections.namedtuple("point", "x y")(1, 2)
    member = enum.IntEnum("E", "a b")["b"]
    got = sent([point, torch.Size([2, 3]), collections.OrderedDict(a=1), member, frozenset([1])])
    assert got == [(1, 2), (2, 3), {"a": 1}, 2, {1}]
    assert [type(x) for x in got] == [tuple, tuple, dict, int, set]


def deep(depth):
    value = []
    for _ in range(depth):
        value = [value]
    return value


@pytest.mark.parametrize(
    "value",
    [deep(100), [0] * (wire.MAX_NODES + 1), "x" * (wire.MAX_JSON + 1), torch.zeros(1).expand(2**40),
     torch.zeros(wire.MAX_BYTES // 4 + 1), [torch.zeros(wire.MAX_BYTES // 8)] * 3, torch.zeros([1] * 13),
     set(range(2000)), [dict.fromkeys(range(600))] * 2],
    ids=["deep", "many", "long", "expanded", "large", "large together", "dimensions", "a set", "dicts"],
)  # fmt: skip
def test_what_is_too_large_is_not_sent(value):
    with pytest.raises(WireError, match="too large"):
        dumps(value)


ODD = {  # JSON, bytes
    "no JSON": (b"{", b""),
    "no ASCII": ('"é"'.encode(), b""),
    "brackets": (b"[" * 50_000, b""),
    "a bare list": (b"[1]", b""),
    "two tags": (b'{"l": [], "u": []}', b""),
    "no tag": (b"{}", b""),
    "an unknown tag": (b'{"x": []}', b""),
    "a tag without a list": (b'{"l": 3}', b""),
    "a key twice": (b'{"d": [["a", 1], ["a", 2]]}', b""),
    "half a pair": (b'{"d": [["a"]]}', b""),
    "a list as key": (b'{"d": [[{"l": []}, 1]]}', b""),
    "a set of one hash": (
        json.dumps({"s": [{"c": [-1000003.0 * k, float(k)]} for k in range(2000)]}).encode(), b""),
    "keys of one hash": (
        json.dumps({"d": [[{"c": [-1000003.0 * k, float(k)]}, 0] for k in range(2000)]}).encode(), b""),
    "a list in a set": (b'{"s": [{"l": []}]}', b""),
    "a large int": (str(2**63).encode(), b""),
    "a huge int": (b"9" * 5000, b""),
    "an unknown dtype": (b'{"t": ["object", [1]]}', b"x" * 8),
    "a dtype of no kind": (b'{"t": [["float32"], [1]]}', b"x" * 4),
    "negative sizes": (b'{"t": ["float32", [-1, -1]]}', b"x" * 4),
    "sizes as floats": (b'{"t": ["float32", [1.0]]}', b"x" * 4),
    "sizes as truths": (b'{"t": ["float32", [true]]}', b"x" * 4),
    "a shape of zero and many": (b'{"t": ["float32", [0, 30000000, 30000000]]}', b""),
    "too many sizes": (b'{"t": ["float32", [1,1,1,1,1,1,1,1,1,1,1,1,1]]}', b"x" * 4),
    "too few bytes": (b'{"t": ["float32", [2]]}', b"x" * 7),
    "too many bytes": (b'{"t": ["float32", [2]]}', b"x" * 9),
    "bytes for nothing": (b"1", b"x"),
    "a complex of three": (b'{"c": [1, 2, 3]}', b""),
    "a complex of words": (b'{"c": ["1", 2]}', b""),
    "a kind without a name": (b'{"?": [1, "", false]}', b""),
    "words for a kind": (b'{"?": ["a", "b"]}', b""),
}


@pytest.mark.parametrize("text, body", ODD.values(), ids=ODD)
def test_an_odd_frame_is_one_error(text, body):
    with pytest.raises(WireError):
        wire.loads(text, body)


@pytest.mark.parametrize("lengths", [(wire.MAX_JSON + 1, 0), (0, wire.MAX_BYTES + 1), (2**32 - 1, 2**32 - 1)])
def test_a_frame_that_would_be_too_long_is_not_awaited(lengths):
    asked = []

    def receive(count):
        asked.append(count)
        return wire.LENGTHS.pack(*lengths)

    with pytest.raises(WireError):
        read(receive)
    assert asked == [wire.LENGTHS.size]


def test_a_foreign_name_holds_no_surprises():
    got = wire.loads(json.dumps({"?": ["\ud800\0<b>" * 50, "numpy", True]}).encode(), b"")
    assert type(got).__module__ == "numpy" and len(type(got).__name__) <= 60 and "\0" not in type(got).__name__
    assert wire.loads(json.dumps({"?": ["", "os", False]}).encode(), b"").__class__.__module__ == wire.__name__


# --- mutated frames -----------------------------------------------------------------------------------------

SAMPLES = [
    {"n": 3, "replies": {"plain": {"got": {"kl": torch.randn(5), "mu": torch.randn(5, 3)}, "changed": ["mu"]}}},
    {"n": 2**59, "replies": {"a": {"raised": "ValueError", "message": "x", "line": "y", "returned": "None"}}},
    [1.5, None, True, math.inf, -(2**62), "é", {1, 2}, (1, 2), {"a": {3: []}}, 1 + 2j, torch.ones(2) > 0, object()],
    torch.zeros(0, 3, dtype=torch.float64),
]
WORDS = [b"[", b"]", b"{", b"}", b'"', b",", b"0", b"-", b"9" * 20, b"e9", b"null", b"true", b"NaN", b'{"l":[]}',
         b'"t"', b'"bool"', b'"complex128"', b"\\ud800", b"\xff", b"\0"]  # fmt: skip


def mutated(rng: random.Random, frames: list[bytes]) -> bytes:
    """A frame with a few bytes changed, cut, doubled, swapped for words of its grammar, or joined to another."""
    frame = bytearray(rng.choice(frames))
    for _ in range(rng.randint(1, 4)):
        at = rng.randrange(len(frame) + 1)
        what = rng.randrange(7)
        if what == 0 and at < len(frame):
            frame[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(frame):
            frame[at] = rng.randrange(256)
        elif what == 2:
            del frame[at : at + rng.randint(1, 8)]
        elif what == 3:
            frame[at:at] = rng.choice(WORDS)
        elif what == 4:
            frame[at:at] = frame[at : at + rng.randint(1, 30)]
        elif what == 5:
            frame[at : at + rng.randint(1, 4)] = rng.choice(WORDS)
        else:
            other = rng.choice(frames)
            frame[at:] = other[rng.randrange(len(other)) :]
    if rng.random() < 0.7 and len(frame) > 8:  # else nearly every mutant dies of its lengths
        cut = frame.rfind(b"}") + 1 or len(frame)
        frame[:8] = wire.LENGTHS.pack(max(0, cut - 8), len(frame) - max(8, cut))
    return bytes(frame)


class Ended(Exception):
    """There is no more to read: here what a closed socket is there."""


def survives(frame: bytes) -> bool:
    """Whether a frame is still one; anything but a value, an end or a WireError escapes."""
    file = io.BytesIO(frame)

    def receive(count: int) -> bytes:
        data = file.read(count)
        if len(data) < count:
            raise Ended
        return data

    try:
        dumps(read(receive))  # what was read is plain, and small enough to be sent again
    except (WireError, Ended):
        return False
    return True


def test_no_mutant_of_twenty_thousand_does_harm():
    rng, frames = random.Random(0), [dumps(sample) for sample in SAMPLES]
    alive = sum(survives(mutated(rng, frames)) for _ in range(20_000))
    assert 200 < alive < 18_000, "mutants that all die, or all live, prove nothing"
