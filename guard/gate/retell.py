"""What a guard recorded and may not have told before it died is told again at its next start."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.gate.match import LONGEST_SEQUENCE
from guard.gate.ports import Teller
from guard.lifecycle.due_run import apply
from guard.lifecycle.events import Seen
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
