"""The daemon's loop: look, tell systemd, send what waits, sleep at most half a minute. Signals only raise flags.

It wakes at the very second the last look asked for: a claim is started and given back when its due time comes.

A look may take minutes where XO is large or hangs: systemd's watchdog is told meanwhile, and a stop breaks it off. That
is safe at any point, since the ledger is written in whole steps and a look begins from what is in it.
"""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime
from functools import partial
from typing import Protocol

from guard.daemon.systemd import Systemd
from guard.errors import GuardError, LedgerError
from guard.lifecycle.loop import Loop, Progress
from guard.units import format_time, plural

LONGEST_LOOK_S = (
    3600.0  # every reading of XO has its time limit; beyond this the look is stuck, and the watchdog ends it
)
LAST_WORDS_S = 5.0
SHORTEST_SLEEP_S = 0.05
LET_GO_S = 30.0  # so long a stop waits at most for claims to be given back; a due time may have to come first
LET_GO_EVERY_S = 1.0


class Looks(Protocol):
    """What the loop drives: the watch."""

    async def tick(self) -> Loop: ...

    async def let_go(self) -> bool:
        """Give back what is claimed, as far as it goes now; whether something is left. Raises LedgerError."""
        ...


class Flags:
    """What signals ask for; the loop acts on it when it comes by."""

    def __init__(self) -> None:
        self.stop = self.reload = False
        self._raised, self._stopped = asyncio.Event(), asyncio.Event()

    def install(self, loop: asyncio.AbstractEventLoop) -> None:
        """SIGTERM and SIGINT stop, SIGHUP reloads, SIGUSR1 has XO looked at now."""
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.ask_stop)
        loop.add_signal_handler(signal.SIGHUP, self.ask_reload)
        loop.add_signal_handler(signal.SIGUSR1, self.ask_look)

    def ask_stop(self) -> None:
        self.stop = True
        self._raised.set()
        self._stopped.set()

    def ask_reload(self) -> None:
        self.reload = True
        self._raised.set()

    def ask_look(self) -> None:
        self._raised.set()

    async def wait_for_stop(self) -> None:
        """Until asked to stop."""
        await self._stopped.wait()

    async def wait(self, seconds: float) -> None:
        """Until a flag is raised, or so long."""
        try:
            async with asyncio.timeout(seconds):
                await self._raised.wait()
        except TimeoutError:
            return
        self._raised.clear()


async def run(
    watch: Looks,
    flags: Flags,
    systemd: Systemd,
    *,
    send_news: Callable[[], Awaitable[None]],
    reload: Callable[[], None],
    log: Callable[[str], None],
    look_every_s: float,
    clock: Callable[[], datetime],
) -> None:
    """Until asked to stop; then what is claimed is given back. A ledger that cannot be written is tried again at the next
    look; a bad policy stays out.
    """
    said = trouble = ""
    is_ready, sending = False, _Sending(send_news)
    while not flags.stop:
        sleep_s = look_every_s
        if flags.reload:
            flags.reload = False
            systemd.reloading()
            try:
                reload()
            except GuardError as error:
                log(f"warning: the policy stays as it was: {error}")
            else:
                log("the policy was read anew")
            systemd.ready(said)
        try:
            loop = await _look(
                watch, flags, partial(systemd.alive, said or "reads XO for the first time"), look_every_s
            )
            if loop is None:
                break
            said, wrong = status_line(loop), loop.xo_error
            if loop.wake is not None:
                sleep_s = min(look_every_s, max((loop.wake - clock()).total_seconds(), SHORTEST_SLEEP_S))
        except LedgerError as error:
            said = wrong = str(error)
        sending.begin()
        if wrong != trouble:
            log(f"warning: {wrong}" if wrong else "XO can be read, and the ledger be written")
            trouble = wrong
        if not is_ready:
            systemd.ready(said)
            is_ready = True
        systemd.alive(said)
        await flags.wait(sleep_s)
    systemd.stopping()
    await _let_go(watch, log)
    sending.begin()  # what letting go had to tell, such as a schedule that stays off
    await sending.end()


async def _let_go(watch: Looks, log: Callable[[str], None]) -> None:
    """What is left after that long, XO's fallbacks give back; so do guard release and the next start."""
    try:
        async with asyncio.timeout(LET_GO_S):
            while True:
                if not await watch.let_go():
                    log("stops; guard holds nothing in XO")
                    return
                await asyncio.sleep(LET_GO_EVERY_S)
    except TimeoutError:
        left = "stops although not all schedules could be given back"
        log(f"warning: {left} within {LET_GO_S:g} s: see guard release --dry-run")
    except LedgerError as error:
        log(f"warning: stops, and whether all schedules were given back is not known: {error}")


class _Sending:
    """Messages go out beside the looks: a channel that hangs for a minute must not cost a prediction."""

    def __init__(self, send: Callable[[], Awaitable[None]]) -> None:
        self._send = send
        self._tasks: list[asyncio.Future[None]] = []

    def begin(self) -> None:
        """Send what waits, also while earlier messages are still on their way. Raises what an earlier one raised."""
        over, self._tasks = [one for one in self._tasks if one.done()], [one for one in self._tasks if not one.done()]
        for task in over:
            task.result()
        self._tasks.append(asyncio.ensure_future(self._send()))

    async def end(self) -> None:
        """Wait a little for the last messages; what is not sent by then waits in the ledger."""
        if self._tasks:
            _, late = await asyncio.wait(self._tasks, timeout=LAST_WORDS_S)
            for task in late:
                task.cancel()
            await asyncio.gather(*self._tasks, return_exceptions=True)


async def _look(watch: Looks, flags: Flags, alive: Callable[[], None], every_s: float) -> Loop | None:
    """One look; ``alive`` is called while it lasts. None when it was broken off to stop. Raises LedgerError."""
    look, stop = asyncio.ensure_future(watch.tick()), asyncio.ensure_future(flags.wait_for_stop())
    clock = asyncio.get_running_loop().time
    began = clock()
    try:
        while not (await asyncio.wait((look, stop), timeout=every_s, return_when=asyncio.FIRST_COMPLETED))[0]:
            if clock() - began < LONGEST_LOOK_S:
                alive()
        return await look if look.done() else None
    finally:
        for task in (look, stop):
            task.cancel()
        await asyncio.gather(look, stop, return_exceptions=True)


def _progress(run: Progress) -> str:
    return f"{run.vms_done} of {plural(run.vms, 'VM')}" if run.vms else "no VM in its log yet"


def status_line(loop: Loop) -> str:
    """One line of what goes on, for systemctl status and the journal; it changes only when something does."""
    if loop.xo_error:
        since = f" since {format_time(loop.unread_since, UTC)}" if loop.unread_since is not None else ""
        return f"XO cannot be read{since}: {loop.xo_error}"
    runs = ", ".join(f"{one.job_name} ({_progress(one)})" for one in loop.running) or "nothing runs"
    if loop.next_due is None:
        return f"{runs}; nothing is due within two days"
    return f"{runs}; next due {format_time(loop.next_due, UTC)}" + (f", {loop.next_due_of}" if loop.next_due_of else "")
