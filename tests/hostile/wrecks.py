"""Answers that crash, hang, eat, flood or leave."""

from tests.hostile import HONEST, answer, body

# --- crashes
answer("segfault", body("import ctypes\nctypes.string_at(0)"), status="error", says="SIGSEGV")
answer("segfault while the cell runs", "import ctypes\nctypes.string_at(0)", status="error", says="SIGSEGV")
answer("abort", body("os.abort()"), status="error", says="SIGABRT")
answer("os._exit", body("os._exit(0)"), status="error", says="ended the process")
answer("exit", body("exit()"), status="error", says="SystemExit")
answer("exit in the cell", "exit(0)", status="error", says="SystemExit")
answer("KeyboardInterrupt", body("raise KeyboardInterrupt"), status="error", says="KeyboardInterrupt")
answer("GeneratorExit", body("raise GeneratorExit"), status="error", says="GeneratorExit")
answer("recursion", body("return gaussian_kl(mu, logvar)"), status="error", says="RecursionError")
answer("recursion without a limit", body("sys.setrecursionlimit(10**9)\nreturn repr(deep)", """
deep = []
for _ in range(10**5):
    deep = [deep]
"""), rest=None)  # fmt: skip
answer("exceptions that cannot be printed", body("raise Mute", """
class Mute(Exception):
    def __str__(self):
        raise Mute
    __repr__ = __str__
"""), status="error")  # fmt: skip
answer("an exception that never ends", body("raise Slow", """
class Slow(Exception):
    def __str__(self):
        while True:
            pass
"""), status="timeout", quick=True)  # fmt: skip
answer("a message of 100 MB", body("raise ValueError('x' * 100_000_000)"), status="error", says="xxx")
answer("a message that paints", body(r"raise ValueError('\x1b[2J\x07\u202e<script>alert(1)</script>\r\n' * 50)"),
       status="error")  # fmt: skip
answer("a message with the inputs", body("raise ValueError(str(mu.tolist()))"), status="error", says="…")
answer("a syntax error", "def gaussian_kl(mu, logvar:\n    pass", status="error", says="SyntaxError")
answer("a bomb for the parser", "x = " + "(" * 5000 + ")" * 5000, status="error")
answer("a bomb for the compiler", "x = " + "-" * 100_000 + "1", status="error")
answer("a constant without end", "x = " + "9" * 20_000, status="error")

# --- hangs
answer("loop", body("while True: pass"), status="timeout", quick=True, says="never ends")
answer("loop in the cell", "while True: pass", status="timeout", quick=True)
answer("sleep", body("import time\ntime.sleep(1000)"), status="timeout", quick=True)
answer("lock", body("import threading\nlock = threading.Lock()\nlock.acquire()\nlock.acquire()"), status="timeout",
       quick=True)  # fmt: skip
answer("loop in C", body("return sum(range(10**13))"), status="timeout", quick=True)
answer("a regular expression that never ends", body("import re\nre.match('(a+)+b', 'a' * 64)"), status="timeout",
       quick=True)  # fmt: skip
answer("waits for input", body("input()"), status="error", says="EOFError")
answer("stops itself", body("import signal\nos.kill(os.getpid(), signal.SIGSTOP)"), status="timeout", quick=True)
answer("deaf to every signal", body("while True: pass", """
import signal
for number in range(1, 65):
    try:
        signal.signal(number, signal.SIG_IGN)
    except (OSError, ValueError):
        pass
"""), status="timeout", quick=True)  # fmt: skip
answer("an alarm", body("import signal, time\nsignal.alarm(1)\ntime.sleep(5)"), status="error", says="SIGALRM")
answer("threads that outlive it", body("", """
import threading
def spin():
    while True:
        torch.manual_seed(1)
for _ in range(4):
    threading.Thread(target=spin).start()
"""))  # fmt: skip
answer("atexit and __del__", body("", """
import atexit
class Last:
    def __del__(self):
        while True:
            pass
keep = Last()
atexit.register(Last)
"""))  # fmt: skip

# --- memory
answer("memory, byte by byte", body("while True: kept.append(bytearray(1 << 25))", "kept = []"), rest=None,
       status="error")  # fmt: skip
answer("memory, at once", body("return torch.zeros(10**12)"), status="error")
answer("memory that is shared", body("import mmap\nreturn mmap.mmap(-1, 1 << 33)"), status="error")
answer("memory in files", body("""
for i in range(10**6):
    with open(f"f{i}", "wb") as file:
        file.write(bytes(1 << 24))
"""), status="error")  # fmt: skip
answer("memory of the kernel", body("import ctypes\nif ctypes.CDLL(None).memfd_create(b'x', 0) >= 0: return good",
       "good = 1\n" + HONEST["gaussian_kl"]), status="fail")  # fmt: skip
answer("ten thousand threads", body("import threading\nwhile True: threading.Thread(target=input).start()", """
import threading
stop = threading.Event()
input = stop.wait
"""), rest=None, quick=True)  # fmt: skip
answer("a string of 100 MB", body("return 'x' * 100_000_000"), status="error", says="too large")
answer("two thousand million numbers", body("return torch.zeros(1).expand(2**31)"), status="error", says="too large")
answer("an endless list", body("kl = []\nkl.append(kl)\nreturn kl"))
answer("a list of a million", body("return [0.0] * 10**6"))
answer("an endless generator", body("return iter(int, 1)"))
answer("an endless sequence", body("return Endless()", """
class Endless(list):
    def __len__(self): return 10**9
    def __iter__(self):
        while True: yield 0
"""))  # fmt: skip

# --- floods
answer("prints for ever", body("while True: print('x' * 10**6)"), status="timeout", quick=True)
answer("prints 200 MB", body("for _ in range(200): print('x' * 10**6, flush=True)"), status="fail")
answer("writes 200 MB to both outputs", body("for fd in (1, 2) * 200: os.write(fd, bytes(10**6))"),
       status="fail")  # fmt: skip
answer("closes its outputs", body("", "for fd in (0, 1, 2): os.close(fd)\nsys.stdout = sys.stderr = None"))
answer("closes every descriptor", body("os.closerange(0, 1000)"), status="error")
answer("two thousand files", body("for i in range(2000): open(f'f{i}', 'w').close()"))
answer("folders in folders", body("for i in range(300):\n    os.mkdir('d')\n    os.chdir('d')"))
answer("an honest answer with a noisy friend", HONEST["gaussian_kl"] + "while True:\n    print('x' * 10**5)", score=0.0,
       status="timeout", quick=True)  # fmt: skip
