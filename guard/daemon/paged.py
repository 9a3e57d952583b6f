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
PAGED, MEANWHILE = "paged", "paged_meanwhile"


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

    async def when(self, schedule: str, state: str) -> datetime | None:
        """When a state of a schedule was paged the last time."""
        page = (await self._known()).get((schedule, state))
        return page.at if page is not None else None

    async def forget(self, schedule: str, state: str) -> None:
        """It is over: the next one is a page again."""
        if (await self._known()).pop((schedule, state), None) is not None:
            self._changed = True

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


class Meanwhile:
    """How many pages were sent since the last digest, by code: the digest says so, that nobody has to add them up."""

    def __init__(self, memory: Memory | None = None) -> None:
        self._memory = memory
        self._kept: dict[str, int] | None = None
        self._fresh: dict[str, int] = {}  # not yet in the ledger

    def paged(self, code: str, often: int) -> None:
        """``often``: how many pages; ``code``: '' for no known cause."""
        self._fresh[code] = self._fresh.get(code, 0) + often

    async def counts(self) -> dict[str, int]:
        """Code -> pages, in the order of the first ones."""
        known = dict(await self._known())
        for code, often in self._fresh.items():
            known[code] = known.get(code, 0) + often
        return known

    async def keep(self) -> None:
        """Once the pages are with the queue."""
        if self._fresh:
            await self._remember(await self.counts())

    async def begin_anew(self) -> None:
        """They were told."""
        if await self.counts():
            await self._remember({})

    async def _remember(self, counts: dict[str, int]) -> None:
        if self._memory is not None:
            try:
                await self._memory.remember(MEANWHILE, msgspec.json.encode(counts))
            except LedgerError:
                return  # what the ledger lacks is told elsewhere
        self._kept, self._fresh = counts, {}

    async def _known(self) -> dict[str, int]:
        if self._kept is None:
            if self._memory is None:
                return {}
            try:
                told = await self._memory.recall(MEANWHILE)
            except LedgerError:
                return {}  # read at the next one
            self._kept = _read_counts(told)
        return self._kept


def _read_counts(told: bytes | None) -> dict[str, int]:
    try:
        return msgspec.json.decode(told, type=dict[str, int]) if told else {}
    except msgspec.MsgspecError:  # a newer guard wrote it
        return {}


def _read(told: bytes | None) -> tuple[Page, ...]:
    try:
        return msgspec.json.decode(told, type=tuple[Page, ...]) if told else ()
    except msgspec.MsgspecError:  # a newer guard wrote it: at worst a page is sent once more
        return ()
