"""Which pages were sent of a schedule: one that says the same again night after night becomes a line of the digest.

A page is the same when its state, its codes and its VMs are. After a week it is sent again, and a due time that ends without
it makes an end of it. The ledger keeps this, so that a restart wakes nobody.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Protocol

import msgspec

from guard.errors import LedgerError

AGAIN = timedelta(days=7)
PAGED = "paged"


class Memory(Protocol):
    """Where it is kept: the ledger. Raises LedgerError."""

    async def remember(self, name: str, value: bytes) -> None: ...

    async def recall(self, name: str) -> bytes | None: ...


class Page(msgspec.Struct, frozen=True, kw_only=True):
    """The page of one state of one schedule. ``due``: of the run it was sent for; ``last``: of the last one that said so."""

    schedule: str
    state: str
    mark: tuple[str, ...]
    at: datetime
    due: datetime
    last: datetime


class Paged:
    """What was paged. Without a memory, or while it fails, only this process knows."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory
        self._pages: dict[tuple[str, str], Page] | None = None
        self._changed = False

    async def since(
        self, schedule: str, state: str, mark: tuple[str, ...], due: datetime, at: datetime
    ) -> datetime | None:
        """When this very thing was paged for an earlier due time, less than a week ago; None: it is to be paged now."""
        pages = await self._known()
        page = pages.get((schedule, state))
        if page is not None and page.mark == mark and page.due < due and at - page.at < AGAIN:
            pages[schedule, state] = msgspec.structs.replace(page, last=max(page.last, due))
            self._changed = True
            return page.at
        if page is None or page.mark != mark or page.due < due:
            pages[schedule, state] = Page(schedule=schedule, state=state, mark=mark, at=at, due=due, last=due)
            self._changed = True
        return None

    async def over(self, schedule: str, due: datetime) -> None:
        """A due time has ended: what it did not say is not the same as before."""
        pages = await self._known()
        for key, page in list(pages.items()):
            if page.schedule == schedule and page.last < due:
                del pages[key]
                self._changed = True

    async def keep(self) -> None:
        """Once the pages are with the queue: not before, or a guard that dies in between would never send them."""
        if self._memory is None or not self._changed or self._pages is None:
            return
        try:
            await self._memory.remember(PAGED, msgspec.json.encode(tuple(self._pages.values())))
        except LedgerError:
            return  # what the ledger lacks is told elsewhere
        self._changed = False

    async def _known(self) -> dict[tuple[str, str], Page]:
        if self._pages is None:
            told = None
            if self._memory is not None:
                try:
                    told = await self._memory.recall(PAGED)
                except LedgerError:
                    return {}  # read at the next one; until then nothing is taken for a repetition
            self._pages = {(one.schedule, one.state): one for one in _read(told)}
        return self._pages


def _read(told: bytes | None) -> tuple[Page, ...]:
    try:
        return msgspec.json.decode(told, type=tuple[Page, ...]) if told else ()
    except msgspec.MsgspecError:  # a newer guard wrote it: at worst a page is sent once more
        return ()
