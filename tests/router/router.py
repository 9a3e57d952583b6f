"""The published REST router as a process of its own, on loopback (router.mjs).

Without Node 20 or npm its tests are skipped, loudly; under CI that is a failure.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

HERE = Path(__file__).parent


def require_router() -> None:
    reason = _missing()
    if reason and os.environ.get("CI"):
        pytest.fail(f"the REST router is missing under CI: {reason}")
    if reason:
        pytest.skip(f"THE PUBLISHED REST ROUTER WAS NOT COMPARED: {reason}")


def _missing() -> str:
    if not shutil.which("node") or not shutil.which("npm"):
        return "node or npm is not installed"
    version = subprocess.run(["node", "--version"], capture_output=True, text=True, check=True).stdout
    if int(version.lstrip("v").split(".")[0]) < 20:
        return f"node {version.strip()} is older than 20"
    # npm writes this file last, so an install that was cut short has none
    done = HERE / "node_modules" / ".package-lock.json"
    if not done.exists() or done.stat().st_mtime < (HERE / "package-lock.json").stat().st_mtime:
        installed = subprocess.run(
            ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
            cwd=HERE,
            capture_output=True,
            text=True,
            check=False,
        )
        if installed.returncode:
            return f"npm ci failed: {installed.stderr[-300:]}"
        done.touch()
    return ""


@contextmanager
def running_router(world: Mapping[str, Any], scratch: Path) -> Iterator[str]:
    """The router's URL, in front of the objects of ``house.dump``; what it logs goes to ``scratch``.

    Raises RuntimeError, with the end of its log, where it does not start.
    """
    file, noise = scratch / "world.json", scratch / "router.log"
    file.write_text(json.dumps(world))
    with noise.open("wb") as log:
        process = subprocess.Popen(
            ["node", "router.mjs", str(file)], cwd=HERE, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log
        )
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            if not line:
                raise RuntimeError(f"the router did not start: {noise.read_text()[-2000:]}")
            yield f"http://127.0.0.1:{json.loads(line)['port']}"
        finally:
            process.kill()
            process.communicate()
