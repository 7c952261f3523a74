"""`genimg doctor`: what is present on this machine, what is missing, and what each absence costs."""

import importlib.util
import os
import platform
import shutil
import sys
from collections.abc import Iterator
from dataclasses import dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from genimg_lib._later import later

torch, recipes, shards = later("torch"), later("genimg_lib.recipes"), later("genimg_lib._shards")

out = Console()


@dataclass(frozen=True)
class Finding:
    """One thing looked at. needed: without it the course does not work; else `cost` says what is lost."""

    what: str
    present: bool
    found: str
    cost: str
    needed: bool = False


def package(name: str) -> bool:
    return importlib.util.find_spec(name) is not None


def device() -> tuple[bool, str]:
    """Whether torch finds something faster than the processor, and what."""
    if torch.cuda.is_available():
        return True, torch.cuda.get_device_name()
    if torch.backends.mps.is_available():
        return True, "Apple's GPU (MPS)"
    return False, f"{os.cpu_count()} processor cores"


def sandbox() -> tuple[bool, str]:
    """Whether the strongest sandbox of the grader works, and what takes its place."""
    path = shutil.which("bwrap")
    weaker = "Landlock and seccomp, where the kernel has them" if sys.platform == "linux" else "none"
    return path is not None, path or weaker


def look() -> Iterator[Finding]:
    """Look at this machine, one thing after the other. Reads nothing from the network."""
    version = platform.python_version()
    yield Finding("Python 3.11 or newer", sys.version_info >= (3, 11), version, "nothing here runs", needed=True)
    yield Finding("torch", True, torch.__version__, "nothing here runs", needed=True)
    fast, name = device()
    yield Finding("GPU", fast, name, "`genimg weights` takes a night instead of minutes; nothing else needs one")
    cache = shards.cache_folder()
    drawn = cache.exists() and any(cache.glob("faces/*/*.npz"))
    yield Finding("drawn faces", drawn, str(cache), "the first use draws them: a few minutes, once")
    shipped = [r.name for r in recipes.RECIPES.values() if r.patience]
    missing = [name for name in shipped if not (recipes.WEIGHTS / f"{name}.safetensors").is_file()]
    found = f"{len(shipped) - len(missing)} of {len(shipped)}" + (f"; not {', '.join(missing)}" if missing else "")
    yield Finding("shipped weights", not missing, found, "those recipes must be trained first: `genimg train NAME`")
    jupyter = package("jupyterlab") and package("ipykernel")
    yield Finding("JupyterLab", jupyter, "", "notebooks open only elsewhere, in VS Code or Colab, say")
    safe, level = sandbox()
    yield Finding("bubblewrap", safe, level, "answers of other people run behind a weaker wall: grade your own only")
    yield Finding("jupyter-book", package("jupyter_book"), "", "the website cannot be built here")
    npm = shutil.which("npm") or shutil.which("npm", path=os.path.dirname(sys.executable))
    web = bool(npm) and package("onnx") and package("onnxscript")
    yield Finding("npm and onnx", web, npm or "", "a site built here has stills for the demos of trained models")
    chromium = shutil.which("chromium") or shutil.which("chromium-browser")
    yield Finding("chromium", bool(chromium), chromium or "", "the tests that walk the website are skipped")


def doctor() -> None:
    """Say what is present, what is missing, and what each absence costs."""
    findings = list(look())
    table = Table("", "what", "found", "without it", box=None, header_style="bold")
    for one in findings:
        mark = "[green]✓[/green]" if one.present else "[red]✗[/red]" if one.needed else "[yellow]○[/yellow]"
        table.add_row(mark, one.what, escape(one.found), "" if one.present else one.cost)
    out.print(table)
    missing = [one.what for one in findings if not one.present]
    if any(one.needed and not one.present for one in findings):
        raise ValueError("something is missing that everything here needs: see the red crosses above")
    out.print(f"\nYou can read, run, attempt and grade. Missing, but not needed: {', '.join(missing) or 'nothing'}.")
