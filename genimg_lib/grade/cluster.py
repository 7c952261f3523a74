"""Grade on a cluster: `genimg grade PATH… --scheduler ADDRESS`, on Dask's distributed scheduler (`genimg[cluster]`).

This machine reads the files, sends the cells, and puts the results together, so that the report is the one it would
have made itself. A worker needs genimg and a sandbox, no shared disk: a plugin opens the sandboxes once a worker, and
what a worker held when it died another grades. What comes back is JSON as text.
"""

import asyncio
import hashlib
import json
import platform
import threading
import time
import uuid
from concurrent.futures import Future, InvalidStateError
from dataclasses import asdict
from pathlib import Path

import torch

from genimg_lib.checks.core import load_all
from genimg_lib.grade import pool, sandbox
from genimg_lib.grade.entries import rules
from genimg_lib.grade.notebook import Cell, Submission

try:
    import distributed
    from distributed import Client, WorkerPlugin, get_worker
except ImportError:  # an optional extra
    distributed, WorkerPlugin = None, object

ANSWER = 10  # seconds for a scheduler to answer
NOBODY = 300  # seconds without a single worker, after which what is left is given up
LOOK = 5  # seconds between two looks for workers
GONE = "the scheduler has gone, or all its workers have"


class Station(WorkerPlugin):
    """The sandboxes of one worker process: the first is opened when it joins, others by threads that need them."""

    def __init__(self, name: str, level: str | None):
        self.name, self.level = name, level

    async def setup(self, worker) -> None:
        load_all()
        try:
            first = await asyncio.to_thread(sandbox.open_sandbox, self.level)
        except ValueError as error:
            raise ValueError(f"{worker.address}: {error}") from None
        self.boxes = pool.Threads(first, worker.state.nthreads, own=True)

    def teardown(self, worker) -> None:
        if hasattr(self, "boxes"):
            self.boxes.__exit__()


def described(name: str, dask_worker) -> dict:
    """What the worker that runs this is."""
    first = dask_worker.plugins[name].boxes.first
    return {"level": first.level, "why": first.why, "versions": versions()}


def versions() -> dict[str, str]:
    """What must be equal on every machine for a report to be the same everywhere."""
    parts = b"".join(path.read_bytes() for path in sorted(Path(pool.__file__).parent.glob("*.py")))
    return {"genimg": f"{rules()[:8]}-{hashlib.sha256(parts).hexdigest()[:8]}", "torch": torch.__version__,
            "Python": platform.python_version().rpartition(".")[0], "distributed": distributed.__version__}  # fmt: skip


def packed(submission: Submission) -> str:
    return json.dumps(asdict(submission))


def graded(name: str, text: str, seed: int, timeout: float) -> str:
    """One submission graded on a worker, JSON in and out."""
    fields = json.loads(text)
    cells = tuple(Cell(**cell) for cell in fields.pop("cells"))
    submission = Submission(cells=cells, **{**fields, "flags": tuple(fields["flags"])})
    return json.dumps(get_worker().plugins[name].boxes.run(submission, seed, timeout))


class ClusterWork(pool.Work):
    """The submissions of one call, dealt out to the workers of a scheduler instead of this machine's processes."""

    address = ""

    def results(self, jobs: int | None):
        if jobs:
            raise ValueError("--jobs is for this machine; a cluster grades with every worker it has")
        with Cluster(self.address) as cluster:
            self.level, self.why = cluster.agreed(self.asked)
            self.refuse_unsafe()
            self.on_open(self.level, self.why)
            yield from self.dealt(cluster, max(16, 2 * sum(cluster.client.nthreads().values())))


class Cluster:
    """A scheduler as a pool that takes submissions and gives futures; ValueError says why it cannot be one."""

    def __init__(self, address: str):
        if distributed is None:
            raise ValueError("--scheduler needs Dask: pip install 'genimg[cluster]', here and on every worker")
        self.address, self.name = address, ""
        self.tasks: dict[Future, object] = {}
        self.closing, self.gone = threading.Event(), False
        try:
            self.client = Client(address, timeout=ANSWER, set_as_default=False, name="genimg")
        except (OSError, ValueError, TypeError) as error:  # what answers there, if anything, is no scheduler like ours
            said = str(error).strip().splitlines()[-1:] or [type(error).__name__]
            raise ValueError(f"no scheduler of Dask {distributed.__version__} answers at {address} ({said[0][:200]}); "
                             "start one with `dask scheduler`, add workers with `dask worker`") from None  # fmt: skip

    def __enter__(self) -> "Cluster":
        threading.Thread(target=self.look, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.closing.set()
        if self.client.status == "running":
            self.client.cancel(list(self.tasks.values()))
            self.dismiss()
        self.client.close()

    def agreed(self, asked: str | None) -> tuple[str, str]:
        """Open the sandboxes, at one level: the weakest of the strongest that each worker has; and why that one."""
        level, why = asked, ""
        for _ in sandbox.LEVELS:
            workers = self.enlist(level)
            least = max(sorted(workers), key=lambda address: sandbox.LEVELS.index(workers[address]["level"]))
            level, why = workers[least]["level"], why or workers[least]["why"]
            if all(worker["level"] == level for worker in workers.values()):
                return level, why
            why = f"on the worker {least}: {why}"
            self.dismiss()
        raise ValueError("the workers come and go with different sandboxes; choose one with --level")

    def enlist(self, level: str | None) -> dict[str, dict]:
        """Open a sandbox on every worker, of now and to come; what each worker is, by its address."""
        self.name = f"genimg-{uuid.uuid4().hex}"  # somebody else may be grading on the same workers
        try:
            self.client.register_plugin(Station(self.name, level))
        except (ImportError, AttributeError, OSError, ValueError) as error:
            raise ValueError(f"a worker cannot grade ({error}): each needs this version of genimg") from None
        workers = self.client.run(described, self.name)
        if not workers:
            raise ValueError(f"the scheduler has no workers; add some with `dask worker {self.address} --nthreads 1`")
        for address in sorted(workers):
            refuse_versions(address, workers[address]["versions"])
        return workers

    def dismiss(self) -> None:
        """Close the sandboxes on every worker."""
        if self.name:
            self.client.unregister_worker_plugin(self.name)
            self.name = ""

    def submit(self, submission: Submission, seed: int, timeout: float) -> Future:
        future = Future()
        if self.gone or self.client.status != "running":
            settle(future, RuntimeError(GONE))
            return future
        task = self.client.submit(graded, self.name, packed(submission), seed, timeout,
                                  key=f"{self.name}-{uuid.uuid4().hex}", pure=False)  # fmt: skip
        self.tasks[future] = task
        task.add_done_callback(lambda task: self.came(future, task))
        return future

    def came(self, future: Future, task) -> None:
        """Hand on what a task has come to; in a thread of the client's."""
        try:
            settle(future, json.loads(task.result(timeout=ANSWER)))
        except Exception as error:  # whatever a worker raised, and all of Dask's own
            settle(future, RuntimeError(f"on the cluster: {type(error).__name__}: {error}"[:300]))
        self.tasks.pop(future, None)

    def look(self) -> None:
        """Give up what nobody is left to grade, so that the grading ends; in a thread of its own."""
        seen = time.monotonic()
        while not self.closing.wait(LOOK):
            if self.client.status == "running" and self.client.scheduler_info()["workers"]:
                seen = time.monotonic()
            self.gone = self.client.status != "running" or time.monotonic() - seen > NOBODY
            for future in list(self.tasks) if self.gone else ():
                settle(future, RuntimeError(GONE))


def settle(future: Future, result) -> None:
    """Give a future its result or its exception; the first one counts."""
    try:
        (future.set_exception if isinstance(result, Exception) else future.set_result)(result)
    except InvalidStateError:
        return


def refuse_versions(address: str, theirs: dict[str, str]) -> None:
    """ValueError where a worker would not make the report that this machine makes."""
    other = [f"{part} {theirs.get(part)} there, {mine} here" for part, mine in versions().items()
             if theirs.get(part) != mine]  # fmt: skip
    if other:
        raise ValueError(f"the worker {address} has other versions ({'; '.join(other)}): install the same on each")
