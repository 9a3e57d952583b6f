"""The wheel and the sdist of this tree, and the wheels that they need."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]


class Built(NamedTuple):
    wheel: Path
    sdist: Path


def build(folder: Path, source: Path = ROOT) -> Built:
    """Both, built into ``folder`` by the backend that is installed beside the tests."""
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", "--wheel", "--sdist", "--outdir", str(folder), str(source)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return Built(next(folder.glob("*.whl")), next(folder.glob("*.tar.gz")))


def wheelhouse(folder: Path, wheel: Path, *, python: str) -> Path:
    """``folder`` with every wheel that ``wheel`` needs on ``python`` ("3.11"), and those that build it from its source.

    pip's own settings say where from; with the folder at hand an installation needs no network.
    """
    done = subprocess.run(
        [
            *(sys.executable, "-m", "pip", "download", "--quiet", "--only-binary=:all:", f"--python-version={python}"),
            *(f"--dest={folder}", str(wheel), "hatchling"),
        ],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    (folder / wheel.name).unlink()  # it is the tree that is installed, or this wheel by its own name
    return folder
