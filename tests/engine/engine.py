"""The published backup engine as one long-lived process: JSON lines in and out (engine.mjs has the shape).

Without Node 20 or npm its tests are skipped, loudly; under CI that is a failure.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.npm import require_npm_project

HERE = Path(__file__).parent
LINE_LIMIT = 64 * 1024**2
RUN_SECONDS = 60.0
"""A run that takes longer hangs."""


def require_engine() -> None:
    require_npm_project(HERE, "backup engine", "THE REAL BACKUP ENGINE DID NOT JUDGE")


class EngineBrokenError(Exception):
    """The driver itself failed, not a run."""


class Engine:
    """The process. Runs may be asked for side by side; its clock is one and only goes forward."""

    def __init__(self, process: asyncio.subprocess.Process) -> None:
        self._process = process
        self._asked: dict[int, asyncio.Future[dict[str, Any]]] = {}
        self._count = 0

    async def run(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """The answer to one request. Raises EngineBrokenError, TimeoutError."""
        self._count += 1
        answer = self._asked[self._count] = asyncio.get_running_loop().create_future()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"id": self._count, **request}).encode() + b"\n")
        await self._process.stdin.drain()
        found = await asyncio.wait_for(answer, RUN_SECONDS)
        if "broken" in found:
            raise EngineBrokenError(found["broken"])
        return found

    async def listen(self) -> None:
        assert self._process.stdout is not None
        async for line in self._process.stdout:
            answer = json.loads(line)
            waiting = self._asked.pop(answer["id"])
            if not waiting.done():
                waiting.set_result(answer)
        for waiting in self._asked.values():
            if not waiting.done():
                waiting.set_exception(EngineBrokenError("the engine's process has ended"))


@asynccontextmanager
async def running_engine(now: datetime, stderr: Path) -> AsyncIterator[Engine]:
    """The engine with its clock set to ``now``; what it prints beside its answers goes to a file."""
    with stderr.open("wb") as noise:
        process = await asyncio.create_subprocess_exec(
            "node",
            "engine.mjs",
            str(round(now.timestamp() * 1000)),
            cwd=HERE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=noise,
            limit=LINE_LIMIT,
        )
        engine = Engine(process)
        listening = asyncio.create_task(engine.listen())
        try:
            yield engine
        finally:
            process.kill()
            await process.wait()
            await listening
