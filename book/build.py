"""Build the website from the repository's root: every warning is an error, and every page must exist.

python book/build.py [--fresh] [--out FOLDER]     writes FOLDER/_build/html (default: the root)
"""

import argparse
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parent.parent


def pages(toc: dict) -> list[str]:
    """The pages that a table of contents names, in reading order, without their suffix."""
    found = [toc["root"]] if "root" in toc else []
    found += [toc["file"]] if "file" in toc else []
    for key in ("parts", "chapters", "sections"):
        for entry in toc.get(key, []):
            found += pages(entry)
    return [page.removesuffix(".md").removesuffix(".ipynb") for page in found]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fresh", action="store_true", help="start from nothing: warm rebuilds hide warnings"
    )
    parser.add_argument("--out", type=Path, default=ROOT, help="the folder that gets _build/")
    options = parser.parse_args()
    build = options.out.resolve() / "_build"
    if options.fresh:
        shutil.rmtree(build, ignore_errors=True)

    why_not = runpy.run_path(str(ROOT / "book" / "runtime.py"))["fetch"]()
    if why_not:
        print(f"  Two demos show a still only: {why_not}.")

    tool = Path(sys.executable).with_name("jupyter-book")
    command = [tool, "build", ROOT, "--path-output", options.out, "-W", "-n", "--keep-going", "-q"]
    done = subprocess.run(command, cwd=ROOT, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode:
        print(done.stdout[-8000:])
        print("The website has warnings or errors: see above.")
        return 1

    wanted = pages(yaml.safe_load((ROOT / "_toc.yml").read_text(encoding="utf-8")))
    missing = [page for page in wanted if not (build / "html" / f"{page}.html").is_file()]
    if missing:
        print(f"_toc.yml names pages that were not built: {', '.join(missing)}")
        return 1
    index = build / "html" / "index.html"
    print(f"  {len(wanted)} pages, no warnings. Open {index.as_uri()}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
