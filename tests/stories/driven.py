"""A guard that watches a living world in driven time: its ledger a real file, XO in memory, nobody waits."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from guard.daemon.workaround import timeout_file
from guard.gate.watch import Watch
from guard.ledger.sqlite import SqliteLedger
from guard.lifecycle.events import Alarmed, AnyEvent, RunKey
from guard.lifecycle.remedy import Remedy
from guard.policy.load import load
from guard.policy.schema import Policy
from guard.simulator.live import Live
from tests.ledger.opening import hasty, opened
from tests.stories.in_process import URL, InProcess
from tests.stories.invariants import Diary, Stories, gaps, sequence_numbers, violations
from tests.virtual_time import run as finished

EVER = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
A_MOMENT, SOON = timedelta(seconds=1), timedelta(seconds=20)
MOST_TURNS = 200  # of the loop: more than a round needs that waits for nothing but the world
POLICY = load(f'[xo]\nurl = "{URL}"\nzone = "utc"\n', file="guard.toml")


class Ear:
    """guard.gate.ports.Teller that keeps what a person would be paged for."""

    def __init__(self) -> None:
        self.alarms: list[tuple[RunKey, str]] = []
        self.switched_off_at: list[tuple[str, datetime]] = []
        self.unread_since: set[datetime] = set()
        self.heard = self.looks = 0
        self.asides: list[tuple[str, datetime]] = []
        self.reads_again: list[tuple[datetime, datetime, datetime, list[RunKey]]] = []
        self.acts: list[tuple[str, datetime]] = []
        self.ahead = timedelta()
        self.remedies: list[Remedy] = []
        self.reminders: list[datetime] = []

    async def happened(self, run, event):
        self.heard += 1
        if isinstance(event, Alarmed):
            self.alarms.append((run.key, event.code))

    async def switched_off(self, off):
        self.switched_off_at.append((off.name, off.at))

    async def unread(self, error, *, since, at):
        self.unread_since.add(since)

    async def read_again(self, *, since, last, at, due):
        self.reads_again.append((since, last, at, [run.key for run in due]))

    async def clocks(self, ahead, *, at):
        self.ahead = ahead

    async def remedied(self, remedy):
        self.remedies.append(remedy)

    async def stands(self, state, *, at):
        self.reminders.append(at)

    async def stands_aside(self, reason, *, at):
        self.asides.append((reason, at))

    async def acts_again(self, reason, *, at):
        self.acts.append((reason, at))

    async def looked(self):
        self.looks += 1


class Guarded:
    """A world and its guard. ``shift``: how far guard's clock is ahead of the world's. ``ticks`` counts looks.

    ``must_look``: moments at which something happens that nothing foretells; the daemon, who looks twice a minute, sees
    it soon, so the watch is woken then.
    """

    def __init__(
        self,
        live: Live,
        path: Path,
        *,
        xo: Any = None,
        ledger_of: Callable[[SqliteLedger], Any] = hasty,
        policy: Policy = POLICY,
    ) -> None:
        self.live, self.path, self.policy = live, path, policy
        self.shift, self.ticks, self.first = timedelta(), 0, live.now()
        self.diary, self.ear = Diary(live), Ear()
        self.xo = xo or InProcess(live, self.clock)
        self.xo.remedies = policy.remedies
        self.must_look: list[datetime] = []
        self._ledger_of = ledger_of
        self.ledger: Any = None
        self.start()

    def clock(self) -> datetime:
        return self.live.now() + self.shift

    def start(self) -> None:
        """A new process on the same file."""
        self.close()
        self.ledger = self._ledger_of(opened(self.path, clock=self.clock, xo=URL))
        self.watch = Watch(
            self.ledger,
            self.xo,
            self.ear,
            clock=self.clock,
            policy_of=lambda: self.policy,
            instance=self.ledger.instance,
            timeout_file=lambda: timeout_file(self.policy.remedies, self.clock, "guard"),
        )

    def close(self) -> None:
        if self.ledger is not None:
            self.ledger.close()
        self.ledger = None

    async def go(self, until: datetime, each: Callable[[], None] = lambda: None) -> None:
        """Look and let the world go on, as far as the watch itself says nothing is to be seen; ``until`` is the world's."""
        while self.live.now() < until:
            each()
            loop = await self.watch.tick()
            self.ticks += 1
            await self._beside()
            soon = [moment for moment in self.must_look if moment > self.live.now()]
            wake = (loop.wake or until + self.shift) - self.shift
            self.live.advance(min(until, max(wake, self.live.now() + A_MOMENT), *soon))
        await self.watch.end()

    async def _beside(self) -> None:
        """What goes on beside the looks has its turn: nothing else here ever waits."""
        for _ in range(MOST_TURNS):
            if not self.watch.is_busy:
                return
            await asyncio.sleep(0)

    def run(self, until: datetime, **options: Any) -> None:
        finished(self.go(until, **options))

    def stories(self) -> dict[RunKey, tuple[AnyEvent, ...]]:
        return dict(finished(self.ledger.between(*EVER)))

    def violations(self, stories: Stories | None = None, **options: Any) -> list[str]:
        return violations(
            self.live.world,
            self.diary,
            self.stories() if stories is None else stories,
            first=self.first,
            last=self.live.now(),
            numbers=sequence_numbers(self.path),
            **options,
        )


class Archive:
    """What the retention takes from a ledger, kept in a file so that it is not in anybody's memory."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self.gaps: list[str] = []

    async def prune(self, guarded: Guarded, before: datetime) -> None:
        self.gaps += gaps(sequence_numbers(guarded.path))
        stories = await guarded.ledger.between(EVER[0], before)
        with self._path.open("ab") as file:
            for key, events in stories.items():
                file.write(msgspec.json.encode((key, events)) + b"\n")
        await guarded.ledger.prune(before)

    def stories(self) -> dict[RunKey, tuple[AnyEvent, ...]]:
        decoder = msgspec.json.Decoder(tuple[RunKey, tuple[AnyEvent, ...]])
        return dict(map(decoder.decode, self._path.read_bytes().splitlines()))


def resident() -> int:
    """Bytes of this process in memory."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def handles() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - names are enough
