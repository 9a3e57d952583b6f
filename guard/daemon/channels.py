"""The queue in the daemon: what waits is sent, and how each channel fares outlives the process and is logged."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from guard.errors import LedgerError
from guard.lifecycle.channels import ChannelStatus, read_channels, write_channels
from guard.lifecycle.ledger import Ledger
from guard.notify.queue import Queue
from guard.views.channels import failing_long, failing_text

CHANNELS = "channels"  # what is remembered in the ledger


async def known_channels(ledger: Ledger) -> tuple[ChannelStatus, ...]:
    """What an earlier process counted. Raises LedgerError."""
    return read_channels(await ledger.recall(CHANNELS))


class Sender:
    """``pump`` in place of the queue's own. ``log`` takes one line, when a channel's state changes: with a single channel
    nobody else could be told that it fails.
    """

    def __init__(
        self, queue: Queue, ledger: Ledger, *, clock: Callable[[], datetime], log: Callable[[str], None]
    ) -> None:
        self._queue, self._ledger = queue, ledger
        self._clock, self._log = clock, log
        self._kept = b""
        self._failing: frozenset[str] = frozenset()

    async def pump(self) -> None:
        """Send what is due, then keep what came of it. Raises nothing."""
        await self._queue.pump(self._clock())
        await self.keep()

    async def keep(self) -> None:
        """A ledger that takes no writes loses figures alone, and is told elsewhere."""
        channels = await self._queue.status()
        self._say(channels)
        document = write_channels(channels)
        if document != self._kept:
            with suppress(LedgerError):
                await self._ledger.remember(CHANNELS, document)
                self._kept = document

    def _say(self, channels: tuple[ChannelStatus, ...]) -> None:
        now = self._clock()
        long = {one.name: one for one in failing_long(channels, now)}
        for name in sorted(long.keys() - self._failing):
            self._log(f"warning: {failing_text(long[name], now)}")
        for name in sorted(self._failing - long.keys()):
            self._log(f"messages get through by {name} again")
        self._failing = frozenset(long)
