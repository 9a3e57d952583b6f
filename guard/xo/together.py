"""Several questions at once, none of which outlives the others' failure."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Iterable
from typing import Any


async def gathered(readings: Iterable[Awaitable[Any]]) -> list[Any]:
    """All results; on the first error the others are cancelled and awaited before it goes up."""
    tasks = [asyncio.ensure_future(one) for one in readings]
    try:
        return list(await asyncio.gather(*tasks))
    except BaseException:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        raise
