"""Grade notebooks that anybody may have written: `grade(paths)` gives every one its true score.

notebook and magics read a submission, layouts finds them and whose they are, masters holds what was handed out;
session judges one with the help of a sandbox (server, links, worker, lockdown, wire, words); pool deals them out;
entries, report, html and store make of the results what people and machines read; progress and watch are the
learner's.
"""

import warnings
from contextlib import closing

__all__ = ["Interrupted", "grade"]


class Interrupted(KeyboardInterrupt):
    """Ctrl-C while grading; `result` holds what was graded by then."""

    def __init__(self, result: dict):
        super().__init__()
        self.result = result


def grade(paths, *, seed=0, timeout=10.0, jobs=None, level=None, unsafe=False, done=None, on_result=None,
          on_open=None, sandbox=None, scheduler="") -> dict:  # fmt: skip
    """Grade notebooks, class folders and zip files (or what `layouts.find` found in them).

    timeout: seconds a cell or a question may take. jobs: sandboxes at once; None: as many as pay, see `pool`.
    level: "bwrap", "lockdown" or "none"; None takes the strongest that works.
    unsafe: a class may be graded at the level "none". done: {key: entry} of results to take over, see `key`.
    on_result: called with each entry as it comes; on_open: with the level and why none stronger, before the first.
    sandbox: an open one to use, and to leave open. scheduler: address of Dask's, to grade on its workers.
    Returns {"version", "seed", "level", "submissions": [entry, …]} in the order of the paths.
    Raises ValueError where the call was wrong, Interrupted on Ctrl-C.
    """
    # here, since torch comes with them: whoever wants `server` alone does not wait for it
    from genimg_lib.grade import layouts
    from genimg_lib.grade.entries import report_of
    from genimg_lib.grade.pool import Work

    found = [one for path in paths for one in ([path] if isinstance(path, layouts.Found) else layouts.find([path]))]
    entries: dict[int, dict] = {}
    work = Work(found, seed, timeout, level, unsafe, done or {}, sandbox, on_open)
    if scheduler:
        from genimg_lib.grade.cluster import ClusterWork

        work = ClusterWork(found, seed, timeout, level, unsafe, done or {}, None, on_open)
        work.address = scheduler
    try:
        with warnings.catch_warnings():  # the filters belong to the process: no thread may find them strict
            warnings.simplefilter("ignore")
            with closing(work.results(jobs)) as results:
                for index, entry in results:
                    entries[index] = entry
                    if on_result:
                        on_result(entry)
    except KeyboardInterrupt:
        raise Interrupted(report_of(entries, seed, work.level)) from None
    return report_of(entries, seed, work.level)
