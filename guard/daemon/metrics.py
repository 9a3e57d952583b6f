"""Whether the daemon is alive, and its figures: what answers GET /livez, /readyz and /metrics.

A look only leaves behind what came of it; a task beside the loop then gathers the figures (gather.py). Where no address is
set nothing is gathered at all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

import guard
from guard.daemon.gather import Gatherer, Sources, apart
from guard.daemon.loop import Looks
from guard.errors import LedgerError
from guard.lifecycle.loop import Loop
from guard.meter import Meter
from guard.policy.schema import Policy
from guard.units import format_duration
from guard.views import figures
from guard.views.figures import Looks as LooksTold
from guard.views.metrics import CONTENT_TYPE, Figures, exposition
from guard.views.status import STALE
from guard.views.text import clean
from guard.xo.methods import WRITES

if TYPE_CHECKING:
    from guard.daemon.server import Server

_PLAIN = "text/plain"


@dataclass(frozen=True)
class Pulse:
    """The last look: when it was over by the monotonic clock, and what it left. ``error``: why the ledger failed it."""

    at_s: float
    loop: Loop | None
    error: str = ""


class Metrics:
    """``around`` the watch it hears of every look; ``use`` an address and the figures are gathered and served there.

    ``with Metrics(...)`` inside a running event loop: with its end all of that ends, at once.
    """

    def __init__(
        self, sources: Sources, meter: Meter, *, clock: Callable[[], datetime], log: Callable[[str], None]
    ) -> None:
        self._sources, self._meter, self._clock, self._log = sources, meter, clock, log
        self._began_s = meter.monotonic()
        self._policy_at = clock()
        self._pulse: Pulse | None = None
        self._looks = LooksTold()
        self._figures: Figures = {}
        self._text: tuple[Figures, asyncio.Future[bytes]] | None = None
        self._server: Server | None = None
        self._gatherer = Gatherer(sources, clock)
        self._gathering: asyncio.Task[None] | None = None
        self._looked = asyncio.Event()
        self._trouble = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._server is not None:
            self._server.use(None)
        self._stop()

    def use(self, policy: Policy) -> None:
        """What a policy that comes into force says of it. Raises PolicyError where guard cannot listen there; then
        everything stays as it was.
        """
        listen = policy.metrics.listen
        if self._server is None and listen is not None:
            # only here: an HTTP server takes memory that a guard without metrics can do without
            from guard.daemon.server import Server

            self._server = Server({"/metrics": self._metrics, "/livez": self._livez, "/readyz": self._readyz})
        if self._server is not None:
            self._server.use(listen)
        self._policy_at = self._clock()
        if listen is None:
            self._stop()
        elif self._gathering is None:
            self._looked.set()
            self._gathering = asyncio.create_task(self._gather())

    def _stop(self) -> None:
        if self._gathering is not None:
            self._gathering.cancel()
            self._gathering = None

    def around(self, looks: Looks) -> Looks:
        """The same looks, each told to the figures."""
        return _Told(looks, self._meter.monotonic, self._after)

    def _after(self, loop: Loop | None, error: str, took_s: float) -> None:
        """A look is over; ``error``: why the ledger failed it."""
        result = "unrecorded" if loop is None else "unread" if loop.xo_error else "read"
        counts = self._looks.by_result
        self._looks = LooksTold(
            by_result={**counts, result: counts[result] + 1},
            took=self._looks.took.and_one(took_s),
            last_at=self._clock(),
            writable=not error and not self._sources.trouble(),
        )
        known = self._pulse.loop if self._pulse is not None else None
        self._pulse = Pulse(self._meter.monotonic(), loop or known, error)
        self._looked.set()

    # --- what is served

    async def _metrics(self) -> tuple[int, str, bytes]:
        """One text for each gathering, however many ask for it."""
        if self._text is None or self._text[0] is not self._figures:
            most = self._sources.policy().metrics.most_series
            made = asyncio.ensure_future(apart(exposition, self._figures, most))
            self._text = self._figures, made
        return 200, CONTENT_TYPE, await asyncio.shield(self._text[1])

    async def _livez(self) -> tuple[int, str, bytes]:
        good, text = self._alive()
        return (200 if good else 503), _PLAIN, f"{text}\n".encode()

    async def _readyz(self) -> tuple[int, str, bytes]:
        good, text = self._alive()
        pulse = self._pulse
        if good and pulse is not None:
            wrong = pulse.error or (pulse.loop.xo_error if pulse.loop is not None else "")
            good, text = not wrong, clean(wrong) or f"{text}, and read XO"
        return (200 if good else 503), _PLAIN, f"{text}\n".encode()

    def _alive(self) -> tuple[bool, str]:
        now_s = self._meter.monotonic()
        if self._pulse is None:
            return False, f"the first look is not over yet; guard started {format_duration(now_s - self._began_s)} ago"
        age_s = now_s - self._pulse.at_s
        if age_s > STALE.total_seconds():
            return False, f"guard does not look: its last look is {format_duration(age_s)} old"
        return True, f"ok: the last look is {format_duration(age_s)} old"

    # --- what is gathered

    async def _gather(self) -> None:
        """For ever, once after each look; what could not be gathered is logged once."""
        while True:
            await self._looked.wait()
            self._looked.clear()
            gathered, trouble = await self._gatherer.gather(self._pulse.loop if self._pulse is not None else None)
            self._figures = {**gathered, **self._own()}
            if trouble and trouble != self._trouble:
                self._log(f"warning: some figures for /metrics could not be gathered: {trouble}")
            self._trouble = trouble

    def _own(self) -> Figures:
        """What is at hand at any time."""
        loop = self._pulse.loop if self._pulse is not None else None
        found: Figures = {
            "guard_build_info": [((guard.__version__,), 1.0)],
            "guard_policy_reload_success_timestamp_seconds": [((), self._policy_at.timestamp())],
            "guard_ledger_ballast_held": [((), float(self._sources.ledger.ballast_held))],
            "guard_ledger_size_bytes": [((), float(_size(self._sources.file)))],
        }
        return {
            **figures.loop_figures(loop, self._looks),
            **figures.traffic_figures(self._meter.traffic(), WRITES),
            **found,
        }


class _Told:
    """Looks that tell how they went."""

    def __init__(
        self, looks: Looks, monotonic: Callable[[], float], after: Callable[[Loop | None, str, float], None]
    ) -> None:
        self._looks, self._monotonic, self._after = looks, monotonic, after

    async def tick(self) -> Loop:
        began = self._monotonic()
        try:
            loop = await self._looks.tick()
        except LedgerError as error:
            self._after(None, str(error), self._monotonic() - began)
            raise
        self._after(loop, "", self._monotonic() - began)
        return loop

    async def let_go(self) -> bool:
        return await self._looks.let_go()


def _size(file: Path) -> int:
    """Bytes of the ledger with its journal, as far as they are there."""
    total = 0
    for name in (file.name, f"{file.name}-wal"):
        with suppress(OSError):
            total += file.with_name(name).stat().st_size
    return total
