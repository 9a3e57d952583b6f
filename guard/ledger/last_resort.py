"""What guard holds in XO is brought to its end although the ledger takes nothing: the journal is the record then.

A full or failing disk must not keep a schedule switched off, nor lose the run that guard took from XO. While the ledger
cannot be written and something is claimed, the events of those due runs live in memory and, before anything follows from
them, as one line each in the journal. Nothing else is begun meanwhile: whatever else would be written is refused as if
somebody had written first, and looked at again once the ledger takes writes. A guard that dies in this state finds the
claims in its ledger as they were, and the runs in XO.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from functools import partial

import msgspec

from guard.errors import ConflictError, LedgerUnwritableError
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import AnyEvent, Claiming, Ended, RunKey
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.remedy import Remedy


class LastResort:
    """guard.lifecycle.ledger.Ledger around another one. ``journal`` takes one line, durable when it returns.

    ``trouble``: why the ledger cannot be written, '' while it can.
    """

    def __init__(self, ledger: Ledger, journal: Callable[[str], None]) -> None:
        self._ledger, self._journal = ledger, journal
        self._kept: dict[
            RunKey, tuple[int, list[AnyEvent]]
        ] = {}  # the number of the last event in the ledger, those since
        self._claimed: frozenset[RunKey] = frozenset()
        self.trouble = ""

    async def begin(self, trouble: str) -> bool:
        """The ledger cannot be written; whether that has to be gone on with, because something is claimed."""
        runs = [await self._run(key) for key in await self.open_runs()]
        self._claimed = _claimed(run for run in runs if run is not None)
        if self._claimed:
            self.trouble = trouble
        return bool(self._claimed)

    async def flush(self) -> None:
        """The ledger can be written again, as far as one can tell: write what was kept. Raises LedgerError.

        What somebody else wrote meanwhile (guard release) stands.
        """
        for key, (after_seq, events) in list(self._kept.items()):
            try:
                await self._ledger.append(key, after_seq, *events)
            except ConflictError as error:
                self._journal(f"what was kept is dropped: {error}")
            del self._kept[key]
        self.trouble = ""

    async def append(self, key: RunKey, after_seq: int, *events: AnyEvent) -> int:
        """See Ledger. Raises ConflictError for what is not recorded while the ledger cannot be written."""
        if not self.trouble:
            try:
                return await self._ledger.append(key, after_seq, *events)
            except LedgerUnwritableError as error:
                if not await self.begin(str(error)):
                    raise
        return await self._keep(key, after_seq, events)

    async def _keep(self, key: RunKey, after_seq: int, events: tuple[AnyEvent, ...]) -> int:
        last, since = self._kept.get(key) or (len(await self._ledger.load(key)), [])
        if key not in self._claimed or any(isinstance(event, Claiming) for event in events):
            raise ConflictError(f"nothing is recorded of {key.schedule}, due {key.due}: {self.trouble}")
        if after_seq != last + len(since):
            raise ConflictError(f"{key.schedule}, due {key.due}: its event {after_seq} is not the last one")
        for number, event in enumerate(events, after_seq + 1):
            line = {"schedule": key.schedule, "due": key.due, "via": key.via, "seq": number, "event": event}
            self._journal(f"in place of the ledger: {msgspec.json.encode(line).decode()}")
        self._kept[key] = last, [*since, *events]
        return after_seq + len(events)

    async def load(self, key: RunKey) -> tuple[AnyEvent, ...]:
        """See Ledger."""
        return (*await self._ledger.load(key), *self._since(key))

    async def open_runs(self) -> tuple[RunKey, ...]:
        """See Ledger."""
        found = await self._ledger.open_runs()
        return tuple(key for key in found if not any(isinstance(event, Ended) for event in self._since(key)))

    async def between(self, first: datetime, last: datetime) -> Mapping[RunKey, tuple[AnyEvent, ...]]:
        """See Ledger."""
        found = await self._ledger.between(first, last)
        return {key: (*events, *self._since(key)) for key, events in found.items()}

    async def processed_through(self) -> Mapping[str, datetime]:
        """See Ledger."""
        return await self._ledger.processed_through()

    async def mark(self, marks: Mapping[str, datetime]) -> None:
        """See Ledger. Left out while the ledger cannot be written: the due times are entered afterwards."""
        await self._unless_full(partial(self._ledger.mark, marks))

    async def remember(self, name: str, value: bytes) -> None:
        """See Ledger. Left out while the ledger cannot be written: there will be a newer one."""
        await self._unless_full(partial(self._ledger.remember, name, value))

    async def recall(self, name: str) -> bytes | None:
        """See Ledger."""
        return await self._ledger.recall(name)

    async def put_remedy(self, remedy: Remedy) -> None:
        """See Ledger. Raises LedgerUnwritableError while it cannot be written: what is not recorded is not done."""
        if self.trouble:
            raise LedgerUnwritableError(self.trouble)
        await self._ledger.put_remedy(remedy)

    async def remedies(self, first: datetime) -> tuple[Remedy, ...]:
        """See Ledger."""
        return await self._ledger.remedies(first)

    async def _unless_full(self, write: Callable[[], Awaitable[None]]) -> None:
        """What can be left out. Raises LedgerError where nothing is claimed."""
        if not self.trouble:
            try:
                await write()
            except LedgerUnwritableError as error:
                if not await self.begin(str(error)):
                    raise

    def _since(self, key: RunKey) -> list[AnyEvent]:
        return self._kept[key][1] if key in self._kept else []

    async def _run(self, key: RunKey) -> DueRun | None:
        return fold(key, await self.load(key))


def _claimed(runs: Iterable[DueRun]) -> frozenset[RunKey]:
    """Those that hold a schedule, and the members of a sequence that does."""
    ordered = tuple(runs)
    held = [run.key for run in ordered if run.has_claim]
    above = {(key.schedule, key.due) for key in held}
    return frozenset(held) | {run.key for run in ordered if (run.key.via, run.key.due) in above}
