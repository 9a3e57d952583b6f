"""The npm projects beside the tests: whether they can be asked, and their packages installed where they are not."""

from __future__ import annotations

import fcntl
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest


def require_npm_project(folder: Path, what: str, otherwise: str) -> None:
    """Skip the test, loudly, where the packages of ``folder`` cannot be had; under CI that is a failure.

    ``what``: what they are, for the failure; ``otherwise``: what did not happen without them, for the skip.
    """
    reason = _missing(folder)
    if reason and os.environ.get("CI"):
        pytest.fail(f"the {what} is missing under CI: {reason}")
    if reason:
        pytest.skip(f"{otherwise}: {reason}")


def _missing(folder: Path) -> str:
    if not shutil.which("node") or not shutil.which("npm"):
        return "node or npm is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"node {version.strip()} is older than 20"
    # npm writes this file last, so an install that was cut short has none
    done = folder / "node_modules" / ".package-lock.json"
    with alone(folder / "package-lock.json"):
        if not done.exists() or done.stat().st_mtime < (folder / "package-lock.json").stat().st_mtime:
            installed = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                capture_output=True,
                text=True,
                check=False,
            )
            if installed.returncode:
                return f"npm ci failed: {installed.stderr[-300:]}"
            done.touch()
    return ""


@contextmanager
def alone(file: Path) -> Iterator[None]:
    """The tests run in several processes, and npm cannot bear another one in its folder."""
    with file.open("rb") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
