"""What follows from the last look that is remembered: what a guard that died may not have told, and what is over now."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.gate.match import LONGEST_SEQUENCE
from guard.gate.ports import Teller
from guard.lifecycle.due_run import apply, fold
from guard.lifecycle.events import BY_HAND, Seen
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.loop import Loop

TOLD_WITHIN = timedelta(days=3)  # a run that lasts longer has told more than its end


async def tell_again(ledger: Ledger, teller: Teller, before: Loop | None, now: datetime, ahead: timedelta) -> None:
    """What an earlier process recorded in a look that it did not finish: it may have died before it was told.

    Told twice, it has the same key. ``ahead``: how far beyond now due times may be entered.
    """
    since = before.at if before is not None else now - LONGEST_SEQUENCE
    unread = since if before is None or before.unread_since is None else min(since, before.unread_since)
    near = await ledger.between(unread - TOLD_WITHIN, now + ahead)
    keys = {*near, *await ledger.open_runs()}
    for key in sorted(keys):
        run = None
        for event in near.get(key) or await ledger.load(key):
            run = apply(key, run, event)
            if event.at > since and not isinstance(event, Seen):
                await teller.happened(run, event)


async def tell_over(ledger: Ledger, teller: Teller, before: Loop | None, now: datetime, *, acts: bool) -> None:
    """What of the last look is over: XO could not be read, guard stood aside. ``acts``: nothing keeps guard from acting."""
    if before is None:
        return
    if before.unread_since is not None:
        near = await ledger.between(before.unread_since, now)
        runs = [fold(key, events) for key, events in near.items() if key.via != BY_HAND]
        due = [run for run in runs if run is not None]
        await teller.read_again(since=before.unread_since, last=before.at, at=now, due=due)
    if before.stands_aside and acts:
        await teller.acts_again(before.stands_aside, at=now)
