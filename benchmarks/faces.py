"""Quality over training seconds: four of the course's recipes and three peers, on the same faces and machine.

    .venv/bin/python benchmarks/faces.py                    # whatever is missing (hours), then the report
    .venv/bin/python benchmarks/faces.py gan dcgan --seeds 0
    .venv/bin/python benchmarks/faces.py --report           # no training: the report from the results there are
    .venv/bin/python benchmarks/faces.py --quick            # a trial of minutes, which writes no report

The clock is the CPU-seconds of one thread, and where other work on the machine stretches them, a fixed piece of work
that is timed every second says by how much and they are corrected (`faces_peers.Clock`).
Our recipes slow down towards a planned end, so each budget is a run of its own, with the steps that fit it. A peer is
one run, sampled at each point. Sampling is not counted. Peers train in an environment of their own, made here once
with venv and pip (the network is needed for that); one that cannot be made is skipped, and said so.
"""

import argparse
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from functools import cache
from pathlib import Path

import numpy as np
import platformdirs
import torch

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from faces_peers import Clock, probe  # noqa: E402

from genimg_lib import data, metrics, recipes  # noqa: E402
from genimg_lib.train import train  # noqa: E402

CACHE = Path(platformdirs.user_cache_dir("genimg")) / "benchmarks" / "faces"
RESULTS = ROOT / "benchmarks" / "faces.json"
OURS = {
    "gan": ("comic-gan",),
    "vae": ("comic-vae",),
    "flow": ("comic-flow",),
    "two-stage": ("comic-vae", "comic-latent"),
}
POINTS = dict.fromkeys(OURS, (10, 20, 40, 80)) | {
    "dcgan": (20, 40, 80, 160, 320), "lucidrains": (80, 160), "diffusers": (80, 160)
}  # fmt: skip
PACKAGES = ["denoising-diffusion-pytorch==2.3.4", "diffusers==0.42.1"]
# what they import; left to pip alone, they bring a torchvision that does not fit the torch here
NEEDS = ["accelerate==1.15.0", "einops==0.8.2", "ema-pytorch==0.8.3", "numpy", "scipy", "pillow", "tqdm"]
WARM, TRIAL = 4, 24  # steps that warm up, and steps in all, of the trial that tells how many fit a budget
SAMPLES, SEEDS, SHOWN = 500, (0, 1, 2), 12  # samples that are scored; repetitions; pictures kept of each


@cache
def spaces() -> dict[str, tuple]:
    """Of each feature space: the features, fitted on all held-out faces, and those of these faces."""
    real = data.load("comic", 32, split="test").x
    found = {space: metrics.Features(real, space) for space in metrics.SPACES}
    return {space: (features, features(real)) for space, features in found.items()}


def score(fake: torch.Tensor) -> dict[str, float]:
    """Fréchet distance to the held-out faces in percent of their own spread, in both feature spaces."""
    return {
        space: round(metrics.frechet_distance(real, features(fake)).item(), 2)
        for space, (features, real) in spaces().items()
    }


def prepare(folder: Path, n: int | None = None) -> Path:
    """The training faces as an array that the peers can read: uint8 (N, 3, 32, 32) in `folder`/faces.npy."""
    path = folder / "faces.npy"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        np.save(path, to_bytes(data.load("comic", 32, n).x))
    return path


def to_bytes(x: torch.Tensor) -> np.ndarray:
    """Pictures in [-1, 1] as uint8."""
    return ((x.clamp(-1, 1) + 1) * 127.5).round().to(torch.uint8).cpu().numpy()


def from_bytes(x: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(x).float() / 127.5 - 1


# --- ours


@cache
def unit(folder: Path) -> float:
    """CPU-seconds of the clock's fixed piece of work at this machine's best: measured once, then kept."""
    path = folder / "unit.json"
    if not path.exists():
        path.write_text(json.dumps(min(probe() for _ in range(200))))
    return json.loads(path.read_text())


def run_recipe(name: str, steps: int, seed: int, clock: Clock, first=None):
    """Train a recipe for `steps` steps by the clock, everything counted but reading the data.

    Returns (averaged model, the clock's seconds up to the end of each step).
    """
    recipe, ds, marks = recipes.get(name), data.load("comic", 32), []
    clock.skip()
    torch.manual_seed(seed)
    model = recipe.build(first) if recipe.first else recipe.build()
    settings = {"batch": recipe.batch, "lr": recipe.lr} | recipe.settings
    _, ema = train(
        model, ds.x, ds.y, steps=steps, seed=seed, threads=1, **settings,
        watch=lambda step, _: marks.append(clock.tick(close=step in (WARM, steps))),
    )  # fmt: skip
    return ema, marks


def plan(stages: tuple[str, ...], budget: float, reference: float) -> list[int]:
    """The steps of each stage that fit a budget: all stages' own steps, times the same factor."""
    first, cost = None, 0.0
    for name in stages:
        first, marks = run_recipe(name, TRIAL, 0, Clock(reference), first)
        a_step = (marks[-1] - marks[WARM - 1]) / (TRIAL - WARM)
        cost, budget = cost + recipes.get(name).steps * a_step, budget - max(0.0, marks[WARM - 1] - WARM * a_step)
    return [max(1, round(recipes.get(name).steps * budget / cost)) for name in stages]


def run_ours(model: str, seed: int, points, samples: int, reference: float):
    """Rows of our model, one training a point, each with its samples."""
    for point in points:
        ema, clock, steps = None, Clock(reference), plan(OURS[model], point, reference)
        for name, count in zip(OURS[model], steps, strict=True):
            ema, _ = run_recipe(name, count, seed, clock, ema)
        torch.manual_seed(seed)
        row = {"budget": point, "seconds": round(clock.seconds, 2), "raw": round(clock.raw, 2), "steps": sum(steps)}
        yield row, ema.sample(samples)


# --- peers


def environment(folder: Path) -> Path:
    """The Python of the peers' environment, made where it is missing, with the very torch that we train with."""
    place = folder / "env"
    python = place / ("Scripts/python.exe" if os.name == "nt" else "bin/python")
    if not (place / "ready").exists():
        print(f"· making the peers' environment in {place}", flush=True)
        subprocess.run([sys.executable, "-m", "venv", place], check=True)
        fixed = folder / "constraints.txt"
        fixed.write_text(f"torch=={importlib.metadata.version('torch')}\n")
        pip = [python, "-m", "pip", "install", "-q", "-c", fixed]
        subprocess.run([*pip, "torch", PACKAGES[1], *NEEDS], check=True)
        subprocess.run([*pip, "--no-deps", PACKAGES[0]], check=True)
        (place / "ready").touch()
    return python


def run_peer(model: str, seed: int, points, samples: int, folder: Path):
    """Rows of a peer, from one training in its own environment, each with its samples."""
    command = [environment(folder), ROOT / "benchmarks" / "faces_peers.py", model, prepare(folder)]
    with tempfile.TemporaryDirectory() as place:
        command += [place, "--seed", seed, "--samples", samples, "--unit", unit(folder), "--points", *points]
        quiet = {**os.environ, "OMP_NUM_THREADS": "1", "TQDM_DISABLE": "1", "HF_HUB_OFFLINE": "1"}
        with subprocess.Popen(list(map(str, command)), env=quiet, text=True, stdout=subprocess.PIPE) as process:
            for line in process.stdout:
                if line.startswith("{"):
                    row = json.loads(line)
                    yield row, from_bytes(np.load(row.pop("samples")))
    if process.returncode:
        raise RuntimeError(f"{model} ended with status {process.returncode}: what it said is above")


# --- results


def load_rows(folder: Path) -> list[dict]:
    """The results so far; of a point measured twice, the later one."""
    path, rows = folder / "results.jsonl", {}
    for line in path.read_text(encoding="utf-8").splitlines() if path.exists() else []:
        row = json.loads(line)
        rows[row["model"], row["seed"], row["budget"]] = row
    return [rows[key] for key in sorted(rows, key=lambda key: (list(POINTS).index(key[0]), *key[1:]))]


def measure(model: str, seed: int, points, samples: int, folder: Path) -> None:
    """Run a model with a seed to every point that has no result yet, and append a line for each."""
    done = {row["budget"] for row in load_rows(folder) if (row["model"], row["seed"]) == (model, seed)}
    if model in OURS:
        rows = run_ours(model, seed, [point for point in points if point not in done], samples, unit(folder))
    elif done.issuperset(points):
        return
    else:
        rows = run_peer(model, seed, points, samples, folder)
    for row, fake in rows:
        np.save(folder / f"{model}-{seed}-{row['budget']:g}.npy", to_bytes(fake[:SHOWN]))
        row = {"model": model, "seed": seed, **row, **score(fake)}
        with open(folder / "results.jsonl", "a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        print(json.dumps(row), flush=True)


def floor(samples: int) -> dict[str, float]:
    """What real faces score: as many training faces, against the held-out ones."""
    return score(data.load("comic", 32).x[:samples])


def machine() -> dict:
    """What the numbers were measured on."""
    model = platform.processor() or platform.machine()
    if Path("/proc/cpuinfo").exists():
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        model = next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), model)
    return {
        "machine": f"{os.cpu_count()} cores {model}, one thread a run, shared with other work",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "versions": ", ".join([f"torch {torch.__version__}", *(name.replace("==", " ") for name in PACKAGES)]),
        "date": time.strftime("%Y-%m-%d"),
    }


def write_results(folder: Path, to: Path) -> dict:
    """Gather the results into one file, a line a row: {machine, ..., "real": {...}, "rows": [...]}."""
    found = {**machine(), "samples": SAMPLES, "real": floor(SAMPLES), "rows": load_rows(folder)}
    head = json.dumps({key: value for key, value in found.items() if key != "rows"}, indent=1)[:-2]
    rows = ",\n  ".join(json.dumps(row) for row in found["rows"])
    to.write_text(f'{head},\n "rows": [\n  {rows}\n ]\n}}\n', encoding="utf-8")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n\n")[0], epilog="It resumes: what has a result is not run again."
    )
    parser.add_argument("models", nargs="*", metavar="MODEL", help=f"{', '.join(POINTS)}; all if left out")
    parser.add_argument("--seeds", type=int, nargs="+", default=list(SEEDS))
    parser.add_argument("--points", type=float, nargs="+", help="CPU-seconds, instead of each model's own")
    parser.add_argument("--quick", action="store_true", help="one seed, two short points, few samples, no report")
    parser.add_argument("--report", action="store_true", help="train nothing: numbers, pictures and table only")
    parser.add_argument("--no-report", action="store_true", help="train only")
    parser.add_argument("--folder", type=Path, default=CACHE, help="where results and the environment are kept")
    asked = parser.parse_args()
    if unknown := [model for model in asked.models if model not in POINTS]:
        parser.error(f"no model {unknown[0]!r}: expected some of {', '.join(POINTS)}")
    torch.set_num_threads(1)
    asked.folder.mkdir(parents=True, exist_ok=True)
    seeds, results, samples = asked.seeds, asked.folder, SAMPLES
    if asked.quick:
        seeds, samples, results = [0], 100, Path(tempfile.mkdtemp(prefix="genimg-faces-"))
        (results / "env").symlink_to(asked.folder / "env")
        environment(asked.folder)
    for seed in [] if asked.report else seeds:
        for model in asked.models or POINTS:
            points = asked.points or ((2, 5) if asked.quick else POINTS[model])
            try:
                measure(model, seed, points, samples, results)
            except (OSError, RuntimeError, subprocess.CalledProcessError) as error:
                if model in OURS:
                    raise
                print(f"! {model} was skipped: {error}", flush=True)
    if not asked.quick and not asked.no_report:
        import faces_report

        faces_report.write(write_results(asked.folder, RESULTS), asked.folder)


if __name__ == "__main__":
    main()
