"""`--scheduler`: the report of a cluster is the one of this machine, also where a worker is killed on the way."""

import asyncio
import json
import os
import signal
from concurrent.futures import Future

import pytest

from genimg_lib import cli, grade, learn_cli
from genimg_lib.grade import cluster, notebook
from tests import hostile

distributed = pytest.importorskip("distributed")

# Dask leaves loops and sockets to the garbage collector.
pytestmark = pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
SLOWLY = {**hostile.HONEST, "gaussian_kl": "import time\ntime.sleep(0.3)\n" + hostile.HONEST["gaussian_kl"]}


@pytest.fixture(scope="module")
def class_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("class") / "submissions"
    for number in range(10):
        hostile.write(folder / f"student{number}" / "02_vae.ipynb", hostile.notebook(SLOWLY))
    hostile.write(folder / "cut_off" / "02_vae.ipynb", "{")
    crash = {**hostile.HONEST, "gaussian_kl": "import ctypes\nctypes.string_at(0)"}
    hostile.write(folder / "crash" / "02_vae.ipynb", hostile.notebook(crash))
    return folder


@pytest.fixture(scope="module")
def two_workers():
    """A scheduler's address and the process ids of its two workers."""
    with distributed.LocalCluster(n_workers=2, threads_per_worker=1, processes=True, dashboard_address=None) as local:
        with distributed.Client(local.scheduler_address, set_as_default=False) as client:
            yield local.scheduler_address, lambda: list(client.run(os.getpid).values())


@pytest.mark.slow
def test_a_worker_killed_in_the_middle_changes_not_a_byte(two_workers, class_folder):
    address, pids = two_workers
    here, came = grade.grade([class_folder], seed=3, jobs=1), []
    before = pids()

    def on_result(entry):
        came.append(entry["path"])
        if len(came) == 3:
            os.kill(before[0], signal.SIGKILL)

    there = grade.grade([class_folder], seed=3, scheduler=address, on_result=on_result)
    assert before[0] not in pids()
    assert len(came) == len(set(came)) == 12  # nothing lost, and no result twice
    assert json.dumps(there) == json.dumps(here)
    assert sum(entry["score"] for entry in there["submissions"]) == 10 * 3 + 1


@pytest.mark.slow
def test_sandboxes_are_closed_when_the_grading_is_over(two_workers, class_folder):
    address, _ = two_workers
    grade.grade([class_folder / "cut_off"], scheduler=address)
    with distributed.Client(address, set_as_default=False) as client:
        left = client.run(lambda dask_worker: [name for name in dask_worker.plugins if "genimg" in name])
    assert len(left) == 2 and not any(left.values())


@pytest.mark.slow
def test_workers_of_other_versions_are_named(two_workers, class_folder, monkeypatch):
    monkeypatch.setattr(cluster, "versions", lambda: {"torch": "9.9"})
    with pytest.raises(ValueError, match=r"the worker tcp://\S+ has other versions \(torch 2\S+ there, 9.9 here\)"):
        grade.grade([class_folder], scheduler=two_workers[0])


@pytest.fixture
def genimg(monkeypatch, capsys):
    for console in (cli.out, cli.err, learn_cli.out, learn_cli.err):
        monkeypatch.setattr(console, "_file", None)

    def run(*words):
        monkeypatch.setattr("sys.argv", ["genimg", *map(str, words)])
        with pytest.raises(SystemExit) as leave:
            cli.main()
        return leave.value.code, capsys.readouterr().err

    return run


def test_a_scheduler_that_cannot_be_reached_is_one_line(genimg, class_folder, monkeypatch):
    monkeypatch.setattr(cluster, "ANSWER", 1)
    status, said = genimg("grade", class_folder, "--scheduler", "tcp://127.0.0.1:1")
    assert status == 2 and said.startswith("genimg: no scheduler of Dask") and "tcp://127.0.0.1:1" in said
    assert "dask scheduler" in said and "Traceback" not in said
    status, said = genimg("grade", class_folder, "--scheduler", "nowhere://x")
    assert status == 2 and "nowhere" in said and "Traceback" not in said


def test_without_dask_the_extra_is_named(genimg, class_folder, monkeypatch):
    monkeypatch.setattr(cluster, "distributed", None)
    status, said = genimg("grade", class_folder, "--scheduler", "tcp://127.0.0.1:1")
    assert status == 2 and "genimg[cluster]" in said


def test_jobs_are_of_this_machine(genimg, class_folder):
    status, said = genimg("grade", class_folder, "--scheduler", "tcp://127.0.0.1:1", "--jobs", 2)
    assert status == 2 and "--jobs" in said


def test_a_scheduler_without_workers_says_so(class_folder):
    async def serve():
        async with distributed.Scheduler(port=0, dashboard_address=":0", host="127.0.0.1") as scheduler:
            await asyncio.to_thread(look, scheduler.address)

    def look(address):
        with pytest.raises(ValueError, match="the scheduler has no workers; add some with `dask worker"):
            grade.grade([class_folder], scheduler=address)

    asyncio.run(serve())


class Pool:
    """A client whose workers have ended."""

    status = "closed"


def test_what_nobody_can_grade_is_said_not_lost(class_folder):
    pool = object.__new__(cluster.Cluster)
    pool.client, pool.gone, pool.tasks = Pool(), False, {}
    work = cluster.ClusterWork(grade.layouts.find([class_folder]), 0, 1.0, "bwrap", False, {})
    rows = dict(work.dealt(pool, 16))
    assert len(rows) == 12
    lost = [row for row in rows.values() if row.get("unfinished")]
    assert len(lost) == 11 and all("gone" in row["message"] and row["status"] == "invalid" for row in lost)


def test_a_submission_survives_the_journey(class_folder, monkeypatch):
    """What a worker grades is equal to what was read here, flags and names with their order included."""
    sent = notebook.read(class_folder / "crash" / "02_vae.ipynb", class_folder)
    got = []

    class Station:
        class boxes:
            run = staticmethod(lambda *task: got.append(task) or {"score": 1.0})

    monkeypatch.setattr(cluster, "get_worker", lambda: type("W", (), {"plugins": {"name": Station}}))
    assert json.loads(cluster.graded("name", cluster.packed(sent), 4, 2.0)) == {"score": 1.0}
    assert got == [(sent, 4, 2.0)] and list(got[0][0].names) == list(sent.names)


def test_the_first_result_counts():
    future = Future()
    cluster.settle(future, {"score": 1.0})
    cluster.settle(future, RuntimeError("late"))
    assert future.result() == {"score": 1.0}
