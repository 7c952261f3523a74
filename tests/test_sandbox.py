"""The sandbox's parts: what a filter answers, which paths are open, levels and their fall-backs, lost workers."""

import platform
import re
import struct
import time
from pathlib import Path

import pytest
import torch

from genimg_lib.checks import core
from genimg_lib.grade import lockdown, notebook, sandbox, server, session
from genimg_lib.grade.links import Gone, Overdue
from tests import hostile

LINUX = platform.system() == "Linux" and platform.machine() in lockdown.MACHINES
ALLOW, KILL, EPERM, ENOSYS = lockdown.ALLOW, lockdown.KILL, lockdown.EPERM, lockdown.ENOSYS
PID = 4711
only_linux = pytest.mark.skipif(not LINUX, reason="seccomp's tables are for Linux on x86_64 and aarch64")


# --- the filter, run by a few lines of BPF, so that both architectures are tested on either ----------------------


def answer(code: bytes, arch: int, number: int, *arguments: int) -> int:
    """What a seccomp program answers to a call."""
    record = struct.pack("<iIQ6Q", number, arch, 0, *arguments, *[0] * (6 - len(arguments)))
    at = value = 0
    while True:
        kind, yes, no, k = struct.unpack_from("HBBI", code, 8 * at)
        at += 1
        if kind == lockdown.LOAD:
            value = struct.unpack_from("<I", record, k)[0]
        elif kind == lockdown.ANSWER:
            return k
        else:
            true = {lockdown.EQUAL: value == k, lockdown.ABOVE: value > k, lockdown.ANY: bool(value & k)}[kind]
            at += yes if true else no


@pytest.fixture(params=list(lockdown.MACHINES))
def machine(request, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: request.param)
    monkeypatch.setattr(platform, "system", lambda: "Linux")
    arch = lockdown.MACHINES[request.param][1]
    known = lockdown.numbers(lockdown.DENIED) | lockdown.numbers(lockdown.JUDGED)
    code = lockdown.program(PID)
    return lambda name, *arguments: answer(code, arch, known.get(name, name), *arguments)


def test_what_is_denied_is_denied(machine):
    for name in lockdown.numbers(lockdown.DENIED):
        assert machine(name) == EPERM, name
    for name in ("socket", "connect", "execve", "ptrace", "bpf", "mount", "memfd_create", "chmod", "fchmodat"):
        assert name in lockdown.DENIED


@pytest.mark.parametrize(
    "name, arguments, expected",
    [
        ("kill", (PID, 9), ALLOW), ("kill", (1, 9), EPERM), ("kill", (0, 9), EPERM), ("kill", (2**32 - 1, 9), EPERM),
        ("tgkill", (PID, PID, 6), ALLOW), ("tgkill", (1, 1, 9), EPERM), ("rt_sigqueueinfo", (1, 9), EPERM),
        ("clone", (0x10000 | 0x100, 0), ALLOW), ("clone", (17, 0), EPERM), ("clone", (0x4100, 0), EPERM),
        ("clone3", (0, 0), ENOSYS), (451, (), ENOSYS), (0x40000039, (), ENOSYS), (2**31 - 1, (), ENOSYS),
        ("socketpair", (1, 1), ALLOW), ("socketpair", (2, 1), EPERM),
        ("prctl", (15,), ALLOW), ("prctl", (1, 0), EPERM), ("prctl", (38, 0), EPERM),
        ("fcntl", (3, 8, 1), EPERM), ("fcntl", (3, 10, 9), EPERM), ("fcntl", (3, 3), ALLOW),
        ("ioctl", (0, 0x5401), ALLOW), ("ioctl", (0, 0x5412), EPERM),
        ("mmap", (0, 99, 3, 0x22), ALLOW), ("mmap", (0, 99, 3, 0x21), EPERM), ("mmap", (0, 99, 1, 0x01), ALLOW),
        ("mmap", (0, 99, 3, 0x23), EPERM), ("mmap", (0, 99, 3, 0x122), EPERM), ("mmap", (0, 99, 3, 0x20022), ALLOW),
        ("prlimit64", (0, 2, 0, 12345), ALLOW), ("prlimit64", (0, 2, 99), EPERM), ("prlimit64", (0, 2, 2**40), EPERM),
        ("prlimit64", (1, 2, 0), EPERM),
    ],
)  # fmt: skip
def test_what_an_argument_decides(machine, name, arguments, expected):
    assert machine(name, *arguments) == expected


def test_another_architectures_calls_kill(machine):
    assert answer(lockdown.program(PID), 0x40000003, 1) == KILL


@pytest.mark.parametrize("column, header", [(1, "x86_64-linux-gnu/asm/unistd_64.h"), (2, "asm-generic/unistd.h")])
def test_the_tables_agree_with_the_kernels_headers(column, header):
    file = Path("/usr/include") / header
    if not file.exists():
        pytest.skip("no kernel headers here")
    text = file.read_text()
    known = {name: int(number) for name, number in re.findall(r"#define __NR(?:3264)?_(\w+)\s+(\d+)", text)}
    for entry in (lockdown.DENIED + lockdown.JUDGED).split():
        name, number = entry.split(":")[0], entry.split(":")[column]
        assert number == "-" or known[name] == int(number), name
        assert number != "-" or name not in known or column == 2, name


# --- paths --------------------------------------------------------------------------------------------------


def test_what_is_hidden_is_not_among_the_readable(tmp_path, monkeypatch):
    site = tmp_path / "lib" / "site-packages"
    for name in ("torch/a.py", "numpy/b.py", "genimg_lib/checks/c.py", "deep/er/secret/d.py", "deep/er/open/e.py"):
        hostile.write(site / name, b"")
    (site / "link").symlink_to(site / "genimg_lib")
    monkeypatch.setattr(server, "packages", lambda: [str(site)])
    monkeypatch.setattr(server, "SYSTEM", ())
    trees, listed = server.readable({site / "genimg_lib", site / "deep" / "er" / "secret", tmp_path})
    ours = sorted(str(tree.relative_to(site)) for tree in trees if tree.is_relative_to(site))
    assert ours == ["deep/er/open", "numpy", "torch"]
    assert sorted(listed) == [site, site / "deep", site / "deep" / "er"]


def test_the_checkout_and_the_users_folder_are_not_readable():
    trees, _ = server.readable(server.private())
    for place in (server.LIBRARY, hostile.ROOT / "solutions", hostile.ROOT / "tests", Path.home(), Path("/etc")):
        assert not [tree for tree in trees if place == tree or tree in place.parents], place


# --- levels -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def box():
    with sandbox.open_sandbox() as found:
        yield found if found.level != "none" else pytest.skip(found.why)


def soon(seconds=60.0):
    return time.monotonic() + seconds


def run(worker, source, deadline=None):
    return worker.ask({"op": "cell", "source": source, "label": "test"}, deadline or soon())


def test_a_level_is_one_of_three():
    with pytest.raises(ValueError, match="choose from bwrap, lockdown, none"):
        sandbox.open_sandbox("docker")


def test_a_fall_back_says_why(monkeypatch):
    monkeypatch.setattr(sandbox.shutil, "which", lambda name: None)
    monkeypatch.setattr(lockdown, "missing", lambda: "no Landlock here (test)")
    with pytest.raises(ValueError, match="bubblewrap .* is not installed"):
        sandbox.open_sandbox("bwrap")
    with pytest.raises(ValueError, match="no Landlock here"):
        sandbox.open_sandbox("lockdown")
    with sandbox.open_sandbox() as found:
        assert found.level == "none"
        assert found.why.startswith("no bwrap: bubblewrap") and "no lockdown: no Landlock" in found.why


@only_linux
def test_a_level_that_can_be_broken_does_not_count(monkeypatch, box):
    monkeypatch.setattr(server, "private", set)
    usual = server.packages()
    monkeypatch.setattr(server, "packages", lambda: [*usual, str(server.LIBRARY)])
    with pytest.raises(ValueError, match="the library's files can be read"):
        sandbox.open_sandbox(box.level)


def test_without_fork_an_answer_is_still_graded_and_stopped(tmp_path):
    answers = hostile.HONEST | {"elbo_loss": "import time\ndef elbo_loss(*a):\n    time.sleep(999)"}
    path = hostile.write(tmp_path / "02_vae.ipynb", hostile.notebook(answers))
    with sandbox.open_sandbox("none") as found:
        row = session.grade_submission(found, notebook.read(path, tmp_path), 0, 10.0)
    assert row["level"] == "none" and row["score"] == 3.0
    assert [q["status"] for q in row["questions"]] == ["pass", "pass", "timeout", "not_started", "not_started"]


# --- workers ------------------------------------------------------------------------------------------------


def test_a_worker_is_fresh_and_a_lost_one_is_said_to_be(box):
    first = box.start()
    assert run(first, "import random, torch\nleft = random.random(), torch.rand(1)").keys() == {"n"}
    assert run(first, "1 / 0")["raised"] == "ZeroDivisionError"
    with pytest.raises(Overdue):
        run(first, "while True: pass", soon(0.5))
    first.end()
    second = box.start()
    assert run(second, "left")["raised"] == "NameError"
    with pytest.raises(Gone):
        run(second, "import os; os.kill(os.getpid(), 15)")
    assert second.end(gone=True) == -15


def test_every_worker_starts_from_the_same_seed_in_an_empty_folder(box):
    draw = "import random, numpy, torch\nraise ValueError((random.random(), numpy.random.rand(), torch.rand(1).item()))"
    said = []
    for module in ("wave", "", "turtledemo"):
        box.warm(module)
        worker = box.start()  # the next one waits by now, in the same folder
        said.append(run(worker, draw)["message"])
        assert run(worker, "import os\nassert not os.listdir()\nopen('torch.py', 'w').close()").keys() == {"n"}
        worker.end()
    assert len(set(said)) == 1 and said[0].startswith("(0.844421851525")  # as random.seed(0) draws


def test_the_fork_server_starts_again(box):
    assert box.warm("wave")
    box.server.kill()
    assert box.control.recv(1) == b""  # bwrap is gone at once, what it started a moment later
    worker = box.start()
    assert run(worker, "import sys\nassert 'wave' in sys.modules").keys() == {"n"}
    worker.end()
    assert not box.warm("no_such_module")


def test_a_notebook_runs_as_a_notebook_does(box):
    worker = box.start()
    source = """
import asyncio, dataclasses, pickle
from genimg_lib.checks import check, hint
await asyncio.sleep(0)
@dataclasses.dataclass
class Point:
    x: int
assert pickle.loads(pickle.dumps(Point(1))) == Point(1) and __name__ == "__main__"
check("anything", Point), hint("anything"), display(1), print("x"), show(1)
"""
    assert run(worker, source).keys() == {"n"}
    assert run(worker, "from genimg_lib import vae")["raised"] in ("ImportError", "ModuleNotFoundError")
    assert run(worker, "x = (\n1 +")["number"] in (1, 2)
    worker.end()


def test_drawing_and_magics_beside_an_answer_do_nothing_and_hold_nothing(box):
    worker = box.start()
    source = """
import sys
import genimg_lib.recipes
from genimg_lib import data, plot
from genimg_lib.plot import grid
get_ipython().run_line_magic("matplotlib", "inline")
from IPython import get_ipython as shell
from IPython.display import HTML, clear_output
shell().run_line_magic("time", ""), clear_output(wait=True), HTML("<b>")
grid(data.load("faces").x[:4], title="some")
for picture in plot.anything(1): raise ValueError
model = genimg_lib.recipes.load("comic-vae")
assert not any(hasattr(m, "__file__") for name, m in sys.modules.items() if name.startswith("genimg_lib"))
"""
    assert run(worker, source).keys() == {"n"}
    for wanted in ("vae", "metrics", "grade", "checks.core"):
        assert run(worker, f"import genimg_lib.{wanted}")["raised"] in ("ImportError", "ModuleNotFoundError")
    worker.end()


def test_an_answer_below_an_import_for_pictures_counts_and_their_stand_in_earns_nothing(box, tmp_path):
    above = "from genimg_lib import plot\nget_ipython().run_line_magic('time', '')\n"
    answers = hostile.HONEST | {"gaussian_kl": above + hostile.HONEST["gaussian_kl"],
                                "reparameterize": above + "reparameterize = plot.reparameterize"}  # fmt: skip
    path = hostile.write(tmp_path / "02_vae.ipynb", hostile.notebook(answers))
    row = session.grade_submission(box, notebook.read(path, tmp_path), 0, 60.0)
    kl, sample, *_ = row["questions"]
    assert kl["score"] == kl["max_score"] and sample["score"] == 0


def test_one_thread_and_the_same_rounding_inside_as_outside(box):
    worker = box.start()
    x = torch.randn(64, 64, generator=torch.Generator().manual_seed(0))
    request = {"op": "probe", "name": "f", "takes_data": False, "given": [{"a": {"x": x}}],
               "probe": "def probe(answer, x):\n    return dict(y=answer(x))"}  # fmt: skip
    run(worker, "import torch\nassert torch.get_num_threads() == 1\ndef f(x): return (x @ x).softmax(0)")
    got = worker.ask(request, soon())["replies"][0]["a"]["got"]["y"]
    worker.end()
    assert torch.allclose(got, (x @ x).softmax(0), rtol=1e-6, atol=0)


@pytest.mark.slow
def test_every_right_answer_of_the_corpus_is_right_in_here(box):
    """The solutions, all notebooks: what travels keeps its value."""
    for path in sorted((hostile.ROOT / "solutions").glob("*.ipynb")):
        row = session.grade_submission(box, notebook.read(path, path.parent), 0, 60.0)
        assert row["score"] == row["max_score"] > 0 and row["flags"] == [], row


# --- what a worker says ---------------------------------------------------------------------------------------


def test_words_are_fit_for_a_report():
    said = session.said
    assert said("a\x1b[2J\n\u202e b\ud800c") == "a [2J b c" and said(7) == ""
    assert said("shapes (3x4) and 0.12345678 or 1.5e-3, -2.3456e-07") == "shapes (3x4) and … or 1.5e-3, -…"
    assert len(said("x" * 10**6)) < session.LONGEST + 5


def test_a_verdict_holds_no_more_words_than_a_report_can():
    question, rows = core.find("find_the_faults"), [["\x1b[31m" + "x" * 10**6, 1, "y\u202e" * 10**5]] * 3
    verdict = session.judged(question, 0, lambda *_: {"faults": {"got": {"rows": rows, "odd": []}, "changed": []}})
    for text in (verdict.message, *(p.message for p in verdict.properties)):
        assert len(text) < 700 and text.isprintable()
    assert verdict.score == 0


@pytest.mark.parametrize("replies", [None, [], "x", 3, {1: 2}])
def test_replies_of_the_wrong_kind_cost_the_question(replies):
    given = core.find("gaussian_kl").inputs(0, torch.float32)
    try:
        found = session.believed(replies, given)
    except session.Failed as failure:
        assert failure.status == "error"
    else:
        assert list(found) == list(given) and all("raised" in reply for reply in found.values())


def test_a_reply_without_its_list_of_changes_changed_everything():
    given = {"a": {"x": 1, "y": 2}}
    assert session.believed({"a": {"got": {}, "changed": 3}, "b": 4}, given) == {
        "a": {"got": {}, "changed": ["x", "y"]}
    }
    assert session.believed({"a": {"got": {}, "changed": ["y", "z", 3]}}, given)["a"]["changed"] == ["y"]
    assert session.believed({"a": {"got": 3}}, given)["a"].keys() == {"raised", "message"}
