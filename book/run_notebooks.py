"""Run notebooks from top to bottom and store their outputs, so that a second run changes nothing.

    python book/run_notebooks.py notebooks/vae.ipynb ...

No timings are stored, pictures are reduced to 256 colours where that makes them smaller (80 where a notebook would else
be too large), a cell without an id gets one from its place, and a notebook that fails is left as it was.
"""

import base64
import io
import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from PIL import Image

LARGEST = 1_000_000  # bytes of a notebook; with many pictures they get by with fewer colours


def smaller(png: str, colours: int) -> str:
    """The same picture as a PNG of at most so many colours, or the PNG that came if that one is smaller."""
    before = base64.b64decode(png)
    after = io.BytesIO()
    picture = Image.open(io.BytesIO(before)).convert("RGBA")
    flat = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture).convert("RGB")
    flat.quantize(colours, method=Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).save(after, "PNG", optimize=True)
    return base64.b64encode(min(before, after.getvalue(), key=len)).decode()


def tidy(book) -> None:
    """Take out of a notebook what another run or another machine would change."""
    book.nbformat, book.nbformat_minor = 4, max(5, book.nbformat_minor)
    book.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
        **{key: value for key, value in book.metadata.items() if key not in ("kernelspec", "language_info")},
    }
    for place, cell in enumerate(book.cells):
        cell.setdefault("id", f"cell-{place:02d}")
        cell.metadata.pop("execution", None)
    shown = [output.data for cell in book.cells for output in cell.get("outputs", []) if "data" in output]
    for colours in (256, 80):
        if colours == 256 or len(nbformat.writes(book).encode()) > LARGEST:
            for data in shown:
                if "image/png" in data:
                    data["image/png"] = smaller(data["image/png"], colours)


def main(paths: list[str]) -> int:
    if not paths:
        print(__doc__)
        return 2
    os.environ["TQDM_DISABLE"] = "1"  # no progress bars in stored outputs
    failed = 0
    for path in map(Path, paths):
        book = nbformat.read(path, as_version=4)
        start = time.perf_counter()
        try:
            where = {"metadata": {"path": str(path.resolve().parent)}}
            NotebookClient(book, timeout=1800, record_timing=False, resources=where).execute()
        except CellExecutionError as error:
            print(f"{path}: {error}")
            failed += 1
            continue
        tidy(book)
        nbformat.validate(book)
        nbformat.write(book, path)
        seconds, size = time.perf_counter() - start, path.stat().st_size
        print(f"{path}: ran in {seconds:.0f} s, {size / 1e6:.2f} MB")
    return min(failed, 1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
