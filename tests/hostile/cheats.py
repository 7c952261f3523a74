"""Answers that want points without the answer: patched comparisons, lying objects, forged replies, peeking."""

from tests.hostile import HONEST, KL, answer, body

# --- patches
answer("torch says yes", body("return mu", """
yes = lambda *a, **k: torch.tensor(True)
torch.allclose = torch.equal = torch.isclose = torch.Tensor.allclose = torch.Tensor.equal = yes
torch.Tensor.__eq__ = torch.Tensor.isclose = yes
"""), rest=None)  # fmt: skip
answer("torch draws no numbers", body("return mu.sum(1)", "torch.randn = torch.rand = lambda *a, **k: torch.zeros(a)"),
       rest=None)  # fmt: skip
answer("autograd says what it likes", body("return mu.sum(1)", """
torch.autograd.grad = lambda out, wrt, **k: [torch.zeros_like(w) for w in wrt]
"""), rest=None)  # fmt: skip
answer("builtins say yes", body("return mu", """
import builtins
builtins.isinstance = lambda *a: True
builtins.abs = builtins.len = builtins.max = lambda *a: 0
builtins.all = builtins.any = builtins.bool = lambda *a: True
"""), rest=None)  # fmt: skip
answer("no builtins", body("return mu", "__builtins__.__dict__.clear()"), rest=None)
answer("an import hook", body("import statistics\nreturn mu", """
class Finder:
    def find_spec(self, name, path, target=None):
        raise SystemExit
sys.meta_path.insert(0, Finder())
"""), rest=None)  # fmt: skip
answer("a trace", body("return mu", """
def trace(frame, event, argument):
    for name in frame.f_locals:
        if name in ("passed", "score", "status"):
            frame.f_locals[name] = True
    return trace
sys.settrace(trace)
import threading
threading.settrace(trace)
"""), rest=None)  # fmt: skip
answer("the probe's tools, patched", body("return mu.sum(1)", """
import gc
for thing in gc.get_objects():
    if type(thing) is dict and "run_probe" in thing and "gradient" in thing:
        thing["gradient"] = lambda out, *wrt, **k: tuple(wrt)
        thing["same"] = lambda a, b: True
"""), rest=None)  # fmt: skip
answer("run_probe, replaced", body("return mu.sum(1)", """
import gc
for thing in gc.get_objects():
    if type(thing) is dict and "run_probe" in thing:
        thing["run_probe"] = lambda *a: {"plain": {"got": {"kl": torch.zeros(5), "mu": torch.zeros(5, 3)}}}
"""), rest=None)  # fmt: skip
answer("struct, json and os.write, replaced", body("return mu.sum(1)", """
import struct, json
json.dumps = lambda *a, **k: '{"status": "pass", "score": 2}'
os.write = lambda fd, data: len(data)
struct.pack = lambda *a: b""
"""), status=None, rest=None, quick=True)  # fmt: skip
answer("open and print, replaced", "import builtins\nbuiltins.open = builtins.print = None\n" + HONEST["gaussian_kl"],
       score=2.0)  # fmt: skip
answer("a check of its own", """
def check(*args):
    return 2.0
hint = check
def gaussian_kl(mu, logvar):
    return check()
""")
answer("no garbage, no limits", body("import gc\ngc.disable()\ngc.freeze()\nsys.setrecursionlimit(50)"), rest=None)

# --- peeking
answer("the frames above", body("""
frame, seen = sys._getframe(), []
while frame is not None:
    seen += [v for n, v in list(frame.f_locals.items()) + list(frame.f_globals.items())
             if n.lower() in ("want", "expected", "answer", "truth", "solution", "verdict", "question")]
    frame = frame.f_back
tensors = [v for v in seen if isinstance(v, torch.Tensor) and v.shape == mu.shape[:1]]
return tensors[0]
"""), status="error", says="IndexError")  # fmt: skip
answer("everything alive", body("""
import gc
found = [t for t in gc.get_objects() if type(t) is torch.Tensor and t.shape == mu.shape[:1] and t.is_floating_point()]
return found[0]
"""))  # fmt: skip
answer("the verdict's own code", body("""
import gc
for thing in gc.get_objects():
    if callable(thing) and getattr(thing, "__name__", "") in ("kl_of", "judge", "grade_submission"):
        return thing(mu, logvar)
raise LookupError
"""), status="error", says="LookupError")  # fmt: skip
answer("the inputs, given back", body("return mu[:, 0]"))

# --- lying objects
answer("a tensor that is equal to all", body("return Liar(mu.sum(1))", """
class Liar(torch.Tensor):
    @classmethod
    def __torch_function__(cls, func, types, args=(), kwargs=None):
        return torch.tensor(True) if "eq" in str(func) or "close" in str(func) else args[0] if args else None
    def __eq__(self, other): return True
    __hash__ = None
"""))  # fmt: skip
answer("a class that lies", body("return Liar()", """
class Liar:
    __class__ = torch.Tensor
    requires_grad = False
    shape, ndim, dtype = (5,), 1, torch.float32
    def __getattr__(self, name): return lambda *a, **k: self
    def __eq__(self, other): return True
    __le__ = __lt__ = __gt__ = __ge__ = __sub__ = __rsub__ = __abs__ = __eq__
"""))  # fmt: skip
answer("a type whose name lies", body("return type('Tensor', (float,), {'__module__': 'torch'})(0)"))
answer("a metaclass that lies", body("return Odd()", """
class Meta(type):
    def __instancecheck__(cls, it): return True
    def __getattribute__(cls, name): raise SystemExit
class Odd(metaclass=Meta): pass
"""))  # fmt: skip
answer("an object that pickles badly", body("return Bomb()", """
class Bomb:
    def __reduce__(self): return os.system, ("touch /tmp/genimg-was-here",)
    def __reduce_ex__(self, version): return self.__reduce__()
    def __getstate__(self): return self.__reduce__()
"""))  # fmt: skip
answer("NaN everywhere", body("return mu.sum(1) * float('nan')"), status="fail")
answer("complex numbers", body("return torch.zeros(len(mu), dtype=torch.complex64)"))
answer("a nested tensor", body("return torch.nested.nested_tensor([torch.zeros(2), torch.zeros(3)])"))
answer("a sparse tensor", body("return torch.zeros(len(mu)).to_sparse()"))
answer("a tensor without numbers", body("return torch.zeros(2**40, device='meta')"))
answer("a quantised tensor", body("return torch.quantize_per_tensor(torch.zeros(len(mu)), 0.1, 0, torch.qint8)"))
answer("a tensor of a strange stride", body("return torch.zeros(1).as_strided((len(mu), 2**28), (0, 0))"))
answer("a tensor with no memory", body("t = torch.zeros(9)\nt.untyped_storage().resize_(0)\nreturn t"), rest=None)
answer("a tensor of empty sizes", body("return torch.empty(0, 2**40, 2**20)"))
answer("numbers as an enum", body("import enum\nreturn enum.IntEnum('E', 'a')['a']"))

# --- forged replies
FORGE = """
import gc
def forge(**reply):
    channel = next(o for o in gc.get_objects() if type(o).__name__ == "Channel")
    frame = sys._getframe()
    while "request" not in frame.f_locals:
        frame = frame.f_back
    channel.send({"n": frame.f_locals["request"]["n"], **reply})
"""
CASES = "{case: %s for case in ('plain', 'far', 'one', 'flat')}"
FORGED = {
    "a verdict": "status='pass', score=2.0, replies={'status': 'pass', 'score': 2.0}",
    "zeros": "replies=" + CASES % "{'got': dict(kl=torch.zeros(5), mu=torch.zeros(5, 3), logvar=torch.zeros(5, 3))}",
    "truth itself": "replies=" + CASES % "{'got': dict(kl=True, mu=True, logvar=True), 'changed': []}",
    "untouched": "replies=" + CASES % "{'raised': 'NotImplementedError', 'message': ''}",
    "nothing": "replies={}",
    "no cases": "replies={'plain': {'got': {}, 'changed': []}}",
    "lists": "replies=[1, 2, 3]",
    "numbers for words": "replies=" + CASES % "{'raised': 'x', 'message': 7, 'line': [1], 'returned': {}}",
    "inner lists": "replies=" + CASES % "{'got': {'kl': [[[[0]]]] * 9, 'mu': {1: 2}, 'logvar': (1,)}, 'changed': 3}",
    "infinities": "replies=" + CASES % "{'got': dict(kl=float('inf'), mu=10**18, logvar=-0.0), 'changed': ['mu'] * 99}",
    "odd tensors": "replies="
    + CASES % "{'got': dict(kl=torch.zeros(0, 9**9), mu=torch.ones(5, 3).bool(), logvar=torch.ones(5) * 1j)}",
    "long words": "replies=" + CASES % "{'raised': 'x' * 10**5, 'message': 'y' * 10**5, 'line': '<b>' * 10**5}",
    "a name defined elsewhere": "missing=True",
    "no function": "uncallable='<b>' * 1000",
    "an end": "ended='\\x1b[2J' * 50",
}  # fmt: skip
for name, reply in FORGED.items():
    answer(f"forged: {name}", body(f"forge({reply})", FORGE))
answer("forged: garbage on every descriptor", body("""
for fd in range(3, 128):
    try:
        os.write(fd, b"\\xff" * 4096)
    except OSError:
        pass
"""), status="error")  # fmt: skip
answer("forged: half a frame", body("""
for fd in range(3, 128):
    try:
        os.write(fd, (100).to_bytes(4, "big") + (1 << 20).to_bytes(4, "big"))
        os.write(fd, b" " * 100)
    except OSError:
        pass
"""), quick=True)  # fmt: skip
answer("forged: a frame too long", body("""
for fd in range(3, 128):
    try:
        os.write(fd, b"\\x7f\\xff\\xff\\xff" * 2)
    except OSError:
        pass
"""), status="error")  # fmt: skip
answer("forged: replies before the question", body("", FORGE + """
channel = next(o for o in gc.get_objects() if type(o).__name__ == "Channel")
for n in range(200):
    channel.send({"n": n, "replies": {}})
    channel.send({"flag": ["x"], "n": n})
    channel.send([n])
"""), rest=None)  # fmt: skip
answer("forged: a thread that answers for ever", body("return mu.sum(1)", """
import gc, threading
channel = next(o for o in gc.get_objects() if type(o).__name__ == "Channel")
def talk():
    while True:
        channel.send({"n": 1, "replies": {}})
threading.Thread(target=talk).start()
"""), rest=None, quick=True)  # fmt: skip
answer("forged: flags for ever", body("while True: channel.send({'flag': 'network'})", """
import gc
channel = next(o for o in gc.get_objects() if type(o).__name__ == "Channel")
"""), status="timeout", quick=True)  # fmt: skip
answer("right, and loud about it", f"print('x' * 10**6)\n{HONEST['gaussian_kl']}\ndel hint", score=2.0, status="pass")
answer("right, through a helper below", "def gaussian_kl(mu, logvar):\n    return helper(mu, logvar)\n", status="error")
answer("right, as a lambda with numpy", f"import numpy as np\ngaussian_kl = lambda mu, logvar: {KL}", score=2.0)
