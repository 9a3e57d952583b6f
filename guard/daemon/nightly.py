"""Once a night: the head of the digest, also when nothing else is told, and what became of [[accept]] entries.

The head is put into the outbox beside what waits for the digest, a little before it is due, so that all of it is one
message. A guard that was away over the time of a digest tells the night when it is back.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime, time, timedelta, tzinfo

import msgspec

from guard.daemon.news import News
from guard.decision.accept import About, accepting
from guard.lifecycle.accepted import loop_without_accepted, still_there
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.loop import Loop
from guard.notify.digest import next_digest
from guard.notify.message import Event, Message, Tier, to_bytes
from guard.notify.ports import Outbox
from guard.notify.route import DIGEST
from guard.outcomes.alarms import SCHEDULE_DISABLED
from guard.policy.accept_schema import AcceptRule
from guard.policy.schema import Policy
from guard.views.nightly import accept_lines, night_of, night_text, night_title
from guard.views.status import off_text
from guard.views.zones import run_in_zone

NIGHTLY = "nightly"
AHEAD = timedelta(minutes=1)
LONGEST_RUN = timedelta(days=3)  # what ends tonight was due within so long
STANDS = timedelta(days=7)
FAR = timedelta(days=2)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """How far nights were told: ``digest``: the last one's time; ``until``: what ended by then was counted."""

    digest: datetime
    until: datetime
    accepts: datetime


class Nightly:
    """``look`` is called after each look at XO. Raises LedgerError."""

    def __init__(
        self,
        ledger: Ledger,
        outbox: Outbox,
        news: News,
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
        zone: Callable[[], tzinfo],
    ) -> None:
        self._ledger, self._outbox, self._news = ledger, outbox, news
        self._clock, self._policy_of, self._zone = clock, policy_of, zone
        self._told: Told | None = None

    async def look(self, loop: Loop | None) -> None:
        now = self._clock()
        told = self._told or _read(await self._ledger.recall(NIGHTLY))
        if (
            told is None or told.digest > now + FAR or told.accepts > now + FAR
        ):  # the first time, or the clock was set back
            told = Told(digest=now, until=now, accepts=now)
            await self._keep(told)
        self._told = told
        told = await self._accepts(told, now, loop)
        at = self._latest_digest(told.digest, now)
        if at is None:
            return
        await self._head(told, at, now, loop)
        await self._news.meanwhile.begin_anew()
        await self._keep(msgspec.structs.replace(told, digest=at, until=now))

    def _latest_digest(self, last: datetime, now: datetime) -> datetime | None:
        """The newest time of a digest since the last one that is here, or nearly; None for none."""
        policy, found = self._policy_of(), None
        at = next_digest(max(last, now - FAR), time.fromisoformat(policy.notify.digest_at), self._zone())
        while at <= now + AHEAD:
            found = at
            at = next_digest(at, time.fromisoformat(policy.notify.digest_at), self._zone())
        return found

    async def _head(self, told: Told, at: datetime, now: datetime, loop: Loop | None) -> None:
        policy = self._policy_of()
        is_unwatched = loop is not None and bool(loop.unwatched)  # nothing else tells that
        if not (policy.notify.quiet_digest or is_unwatched or accept_lines(policy.accepts, now)):
            return
        if loop is not None:
            loop = loop_without_accepted(loop, policy.accepts, now)
        night = night_of(await self._runs(told.until - LONGEST_RUN, now), told.until, now, policy.accepts)
        paged = await self._news.meanwhile.counts()
        message = Message(
            tier=Tier.DIGEST,
            event=Event.DIGEST,
            title=night_title(night, loop, paged),
            text=night_text(night, policy.accepts, loop, now, self._zone(), paged),
            at=now,
        )
        await self._outbox.put(DIGEST, to_bytes(message), at)

    async def _accepts(self, told: Told, now: datetime, loop: Loop | None) -> Told:
        """Each entry that ended since the last look is told once."""
        over = [one for one in self._policy_of().accepts if told.accepts < one.ends <= now]
        if not over:
            return told
        runs = [run_in_zone(run, self._zone()) for run in await self._runs(now - STANDS, now)]
        for entry in over:
            still = (*still_there(runs, entry), *_still_off(loop, entry))
            await self._news.accept_ended(entry, still, at=entry.ends)
        told = msgspec.structs.replace(told, accepts=now)
        await self._keep(told)
        return told

    async def _runs(self, first: datetime, now: datetime) -> list[DueRun]:
        stories = dict(await self._ledger.between(first, now + AHEAD))
        for key in await self._ledger.open_runs():
            stories.setdefault(key, await self._ledger.load(key))
        found = (fold(key, events) for key, events in stories.items())
        return [run for run in found if run is not None]

    async def _keep(self, told: Told) -> None:
        await self._ledger.remember(NIGHTLY, msgspec.json.encode(told))
        self._told = told


def _still_off(loop: Loop | None, entry: AcceptRule) -> tuple[str, ...]:
    """The schedules whose being off an entry accepted up to its end."""
    at = entry.ends - timedelta(microseconds=1)
    about = {one: About(schedule=(one.schedule, one.name)) for one in (loop.switched_off if loop is not None else ())}
    return tuple(
        off_text(one) for one, of in about.items() if accepting((entry,), at, SCHEDULE_DISABLED.id, of) is not None
    )


def _read(told: bytes | None) -> Told | None:
    try:
        return msgspec.json.decode(told, type=Told) if told else None
    except msgspec.MsgspecError:  # a newer guard wrote it: nights are counted from now on
        return None
