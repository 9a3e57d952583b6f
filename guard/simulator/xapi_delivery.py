"""An export on its way: the task it belongs to, and how it is cut, lost or left by its client."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import Receive, Send

from guard.simulator.faults import until_gone
from guard.simulator.xapi_calls import Calls
from guard.simulator.xapi_exports import body
from guard.simulator.xapi_faults import Fault
from guard.simulator.xapi_records import Tables
from guard.simulator.xapi_wire import XapiError

IO_ERROR = XapiError("VDI_IO_ERROR", "Device I/O errors")
"""What the task of an export ends with whatever it was that stopped it (xapi-storage.md 6)."""


class Delivery:
    """Sends the exports of one pool. ``changed`` is told whenever a task has ended."""

    def __init__(self, tables: Tables, calls: Calls, changed: Callable[[], None]) -> None:
        self._tables = tables
        self._calls = calls
        self._changed = changed

    async def answer(self, request: Request, path: str, fault: Fault, send: Send) -> None:
        """Send the export that was asked for, as the fault wants it (one without anything spoils nothing)."""
        query, status = request.query_params, fault.status
        refused: XapiError | None = None
        content: Iterator[bytes] = iter(())
        with self._tables.world.turn():
            if status:
                refused = XapiError(*(fault.error or ["INTERNAL_ERROR", f"HTTP {status}"]))
            else:
                try:
                    content = body(self._tables, path, query)
                except XapiError as error:
                    status, refused = 500, error
        task = query.get("task_id", "")
        if refused is not None:
            self._end(task, refused)
            await Response("", status)(request.scope, request.receive, send)
        elif fault.lost:
            await self._lose(content, fault, send)
            if fault.error:
                self._end(task, XapiError(*fault.error))
        elif fault.cut_after is not None:
            await self._cut(content, fault.cut_after, send)
            self._end(task, XapiError(*fault.error) if fault.error else IO_ERROR)
        else:
            self._end(task, None if await self._whole(content, request.receive, send) else IO_ERROR)

    def _end(self, task: str, error: XapiError | None) -> None:
        with self._tables.world.turn():
            self._calls.end_task(task, error=error)
        self._changed()

    async def _whole(self, content: Iterator[bytes], receive: Receive, send: Send) -> bool:
        """Whether the client stayed to the end."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        gone = asyncio.ensure_future(until_gone(receive))
        try:
            async for piece in self._pieces(content, None):
                await send({"type": "http.response.body", "body": piece, "more_body": True})
                await asyncio.sleep(0)  # a fast reader never makes the sender wait, and others have a turn too
                if gone.done():
                    return False
        finally:
            gone.cancel()
        await send({"type": "http.response.body", "body": b"", "more_body": False})
        return True

    async def _cut(self, content: Iterator[bytes], limit: int, send: Send) -> None:
        """To its client the body has just this length."""
        start = b"".join([piece async for piece in self._pieces(content, limit)])
        headers = [(b"content-length", str(len(start)).encode())]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": start, "more_body": False})

    async def _lose(self, content: Iterator[bytes], fault: Fault, send: Send) -> None:
        """Leaving with more to come makes the server close the connection."""
        await send({"type": "http.response.start", "status": 200, "headers": []})
        async for piece in self._pieces(content, fault.cut_after or 0):
            await send({"type": "http.response.body", "body": piece, "more_body": True})

    async def _pieces(self, content: Iterator[bytes], limit: int | None) -> AsyncIterator[bytes]:
        left = limit
        while left is None or left > 0:
            with self._tables.world.turn():
                piece = next(content, None)
            if piece is None:
                return
            if left is not None:
                piece = piece[:left]
                left -= len(piece)
            yield piece
