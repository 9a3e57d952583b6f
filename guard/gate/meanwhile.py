"""A reading of XO may take minutes; what is claimed has its second all the same."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

T = TypeVar("T")


async def meanwhile(
    work: Coroutine[Any, Any, T],
    keep: Callable[[], Awaitable[datetime | None]],
    first: datetime | None,
    clock: Callable[[], datetime],
) -> T:
    """What ``work`` returns; until it does, ``keep`` is called at ``first`` and then whenever it says (None: not again).

    Raises what either raises; ``work`` is broken off then.
    """
    task = asyncio.ensure_future(work)
    wake = first
    try:
        while True:
            left = None if wake is None else max(0.0, (wake - clock()).total_seconds())
            done, _ = await asyncio.wait({task}, timeout=left)
            if done:
                return task.result()
            wake = await keep()
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
