"""Calls of clients that take a while: answered when what they asked for has happened, or has failed."""

from __future__ import annotations

from collections.abc import Generator
from typing import TYPE_CHECKING, Any

from guard.simulator.jobs import Run
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Life, Steps

if TYPE_CHECKING:
    from guard.simulator.live import Live

Work = Generator[Any, None, Any]
"""A process whose return value is the answer."""


class CallError(Exception):
    """What a call is answered in place of a result. ``result``: the error as XO logs it."""

    def __init__(self, result: XoObject) -> None:
        super().__init__(result["message"])
        self.result = result


class Call(Run):
    """One such call. ``result`` or ``error`` once it has ended. ``life``: of whoever does the work; what XO does itself
    ends with it, what XAPI does goes on."""

    def __init__(self, live: Live, work: Work, life: Life) -> None:
        super().__init__({}, {}, None, {})
        self._live = live
        live.calls.append(self)
        live.timeline.spawn(self._act(work), life)

    def _act(self, work: Work) -> Steps:
        error: XoObject | None = None
        try:
            found = yield from work
            self.result = True if found is None else found
        except CallError as failed:
            error = failed.result
        if self in self._live.calls:
            self._live.calls.remove(self)
        self.end(error)
