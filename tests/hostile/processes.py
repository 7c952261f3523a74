"""Answers that reach for other processes, files and the network."""

from tests.hostile import ROOT, answer, body

answer("fork bomb", body("while True: os.fork()"), status="error", says="PermissionError", flag="another program")
answer("fork, and answer twice", body("os.fork()"), status="error", says="PermissionError")
answer("a shell", body("if os.system('id') == 0: return None"), flag="another program")
answer("a program", body("import subprocess\nsubprocess.run(['/bin/sh', '-c', 'id'])"), status="error",
       flag="another program")  # fmt: skip
answer("multiprocessing", body("from multiprocessing import Process\nProcess(target=print).start()"),
       status="error")  # fmt: skip
answer("exec", body("os.execv(sys.executable or '/bin/sh', ['x'])"), status="error")
answer("vfork by hand", body("import ctypes\nlibc = ctypes.CDLL(None)\nassert libc.syscall(435, 0, 0) < 0\n"
       "assert libc.syscall(58) < 0 and libc.syscall(57) < 0\nassert libc.syscall(56, 17, 0, 0, 0, 0) < 0"),
       status="fail")  # fmt: skip
answer("kill the parent", body("os.kill(os.getppid(), 9)"), status="error", says="PermissionError", flag="signal")
answer("kill everybody", body("os.kill(-1, 9)"), status="error", says="PermissionError", flag="signal")
answer("kill the group", body("os.killpg(os.getpgid(0), 9)"), status="error", says="PermissionError")
answer("kill every number", body("""
died = 0
for pid in range(1, 40000):
    if pid != os.getpid():
        try:
            os.kill(pid, 9)
            died += 1
        except OSError:
            pass
assert not died, died
"""), status="fail", flag="signal")  # fmt: skip
answer("a signal through fcntl", body("import fcntl\nr, w = os.pipe()\nfcntl.fcntl(r, fcntl.F_SETOWN, os.getppid())"),
       status="error", says="PermissionError")  # fmt: skip
answer("trace the parent", body("""
import ctypes
libc = ctypes.CDLL(None, use_errno=True)
for pid in (os.getppid(), 1):
    assert libc.ptrace(16, pid, 0, 0) < 0
    assert libc.process_vm_readv(pid, 0, 0, 0, 0, 0) < 0
"""), status="fail")  # fmt: skip
answer("limits of its own making", body("import resource\nresource.setrlimit(resource.RLIMIT_DATA, (-1, -1))"),
       status="error")  # fmt: skip
answer("a processor of its own", body("os.sched_setaffinity(0, {0})"), status="error", says="PermissionError")
answer("threads on every core", body("torch.set_num_threads(64)\nx = torch.randn(500, 500)\n(x @ x).sum()"),
       status="fail", rest=None)  # fmt: skip
answer("namespaces and mounts", body("""
import ctypes
libc = ctypes.CDLL(None)
assert libc.unshare(0x10000000) < 0 and libc.mount(b"x", b"/", b"tmpfs", 0, 0) < 0
assert libc.umount2(b"/", 2) < 0 and libc.chroot(b".") < 0
assert libc.prctl(38, 0, 0, 0, 0) < 0 and libc.prctl(1, 0, 0, 0, 0) < 0
"""), status="fail")  # fmt: skip
answer("new system calls", body("""
import ctypes
libc = ctypes.CDLL(None)
for number in (317, 321, 323, 425, 426, 427, 428, 430, 442, 451, 462, 470, 500, 0x40000000 + 57, 0x40000000 + 41):
    assert libc.syscall(number, 0, 0, 0, 0, 0) < 0, number
"""), status="fail")  # fmt: skip

# --- network
answer("network", body("import socket\nsocket.create_connection(('127.0.0.1', 22))"), status="error", flag="network")
answer("network, by name", body("import urllib.request\nurllib.request.urlopen('http://example.org', timeout=5)"),
       status="error", flag="network")  # fmt: skip
answer("a socket of this machine", body("import socket\nsocket.socket(socket.AF_UNIX).connect('/run/docker.sock')"),
       status="error", says="PermissionError", flag="network")  # fmt: skip
answer("netlink and packets", body("""
import socket
for family in (socket.AF_INET, socket.AF_INET6, socket.AF_NETLINK, socket.AF_PACKET, 38, 40):
    try:
        socket.socket(family, socket.SOCK_RAW)
    except OSError:
        continue
    raise AssertionError(family)
"""), status="fail", flag="network")  # fmt: skip

# --- files
answer("a solution read from its file", f"""
import json
for cell in json.load(open({str(ROOT / "solutions" / "02_vae.ipynb")!r}))["cells"]:
    if cell["cell_type"] == "code":
        exec("".join(cell["source"]))
""", status="error", flag="read a notebook")  # fmt: skip
answer("every notebook of the disk", """
import json, os
found = []
places = ["/"] + [os.path.expanduser("~"), os.getcwd(), "/home", "/root", "/tmp", "/usr", "/opt", "/mnt", "/srv"]
for place in dict.fromkeys(places):
    for folder, below, names in os.walk(place):
        below[:] = [name for name in below if folder.count("/") < 3]
        found += [os.path.join(folder, name) for name in names if name.endswith(".ipynb")]
for path in found:
    exec("".join("".join(c["source"]) for c in json.load(open(path))["cells"] if "def gaussian_kl" in str(c)))
""", status="error")  # fmt: skip
answer("the library, imported", body(f"""
sys.path.insert(0, {str(ROOT)!r})
for name in [name for name in sys.modules if name.startswith("genimg")]:
    del sys.modules[name]
from genimg_lib.checks.vae import kl_of
return kl_of(mu, logvar)
"""), status="error")  # fmt: skip
answer("the library, by the path that installed it", body("""
import glob, re
for name in [name for name in sys.modules if name.startswith("genimg")]:
    del sys.modules[name]
for folder in list(sys.path):
    for file in glob.glob(folder + "/*genimg*") + glob.glob(folder + "/*genimg*/*"):
        if os.path.isfile(file):
            for place in re.findall(r"/[^'\\"]*genimg_lib", open(file).read()):
                sys.path.insert(0, os.path.dirname(place))
from genimg_lib import vae
return vae.kl_to_prior(mu, logvar)
"""), status="error")  # fmt: skip
answer("the tests, read", body(f"return eval(open({__file__!r}).read())"), status="error")
answer("the machine's secrets", body("""
for path in ("/etc/passwd", "/etc/shadow", "/proc/1/environ", "/proc/self/mem", f"/proc/{os.getppid()}/environ",
             f"/proc/{os.getppid()}/mem", "/proc/kcore", "/root/.ssh/id_rsa", "/root/.bashrc", "/sys/kernel/notes"):
    try:
        open(path, "rb").read(1)
    except OSError:
        continue
    raise AssertionError(path)
"""), status="fail")  # fmt: skip
answer("links to everywhere", body("""
for index, target in enumerate(("/", "/etc", "/etc/passwd", "/proc/self/root", "..")):
    try:
        os.symlink(target, f"link{index}")
    except OSError:
        pass
seen = []
for index in range(5):
    for path in (f"link{index}/etc/passwd", f"link{index}/passwd", f"link{index}"):
        try:
            seen.append(open(path).read())
        except OSError:
            pass
assert not seen
"""), status="fail")  # fmt: skip
answer("writes everywhere", body("""
for folder in ("/", "/tmp", "/var/tmp", "/dev/shm", "/usr/lib", "/etc", "/run", *sys.path):
    for act in (lambda p: open(p, "w"), os.mkdir, os.mkfifo, lambda p: os.symlink("/", p)):
        try:
            act(folder + "/genimg-was-here")
        except OSError:
            continue
        raise AssertionError(folder)
"""), status="fail", flag="outside")  # fmt: skip
answer("permissions", body("""
for act in (lambda: os.chmod("/usr/lib", 0o777), lambda: os.chown("/usr/lib", 0, 0), lambda: os.utime("/usr/lib"),
            lambda: os.setxattr("/usr/lib", "user.x", b""), lambda: os.rename("/usr/lib", "/usr/lob"),
            lambda: os.truncate("/usr/lib/os-release", 0), lambda: os.setuid(0), lambda: os.nice(-5)):
    try:
        act()
    except OSError:
        continue
    raise AssertionError
"""), status="fail")  # fmt: skip
