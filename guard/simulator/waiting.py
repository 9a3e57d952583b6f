"""Waiting in an event loop for what another thread may let happen."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress


def awaited() -> tuple[asyncio.Future[None], Callable[[], None]]:
    """A future of the running loop, and what is called when it is done, from any thread and as often as one likes."""
    loop = asyncio.get_running_loop()
    future: asyncio.Future[None] = loop.create_future()

    def tell() -> None:
        with suppress(RuntimeError):  # the loop is closed: nobody waits any more
            loop.call_soon_threadsafe(lambda: None if future.done() else future.set_result(None))

    return future, tell
