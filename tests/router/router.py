"""The published REST router as a process of its own, on loopback (router.mjs).

Without Node 20 or npm its tests are skipped, loudly; under CI that is a failure.
"""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.npm import require_npm_project

HERE = Path(__file__).parent


def require_router() -> None:
    require_npm_project(HERE, "REST router", "THE PUBLISHED REST ROUTER WAS NOT COMPARED")


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
