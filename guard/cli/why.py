"""guard why."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import TextIO

from guard.cli import clock, source
from guard.cli.state import look_at_ledger
from guard.daemon.compose import KEPT, zone_of
from guard.errors import UsageError
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import AnyEvent
from guard.lifecycle.ledger import Ledger
from guard.views.remedies import of_run, remedy_document, remedy_lines
from guard.views.story import story_document, story_text
from guard.views.text import json_line

_NEAR = timedelta(minutes=1)
AHEAD = timedelta(hours=12)  # so long before a due time may a remedy for it be, at most
_WINDOWS = (timedelta(days=2), timedelta(days=14), timedelta(days=100), KEPT)
_AHEAD = timedelta(minutes=3)  # a due time is entered a minute and a half before it comes


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stderr
    policy = source.read_policy(arguments.config)
    due = source.parse_time(arguments.due, option="DUE") if arguments.due is not None else None
    with look_at_ledger(arguments.state, env, policy) as ledger:
        stories = asyncio.run(_find(ledger, arguments.schedule, due, clock.now()))
        since = min((run.key.due for run, _ in stories), default=clock.now()) - AHEAD
        remedies = asyncio.run(ledger.remedies(since)) if stories else ()
    if not stories:
        when = f" due at {arguments.due}" if due is not None else ""
        raise UsageError(
            f"{arguments.schedule!r}: the ledger has no due time of a schedule or job of that id or name{when}. guard daemon "
            "enters one about a minute before it is due"
        )
    for run, events in stories:
        if arguments.json:
            document = story_document(run, events, clock.now())
            document["remedies"] = [remedy_document(one) for one in of_run(remedies, run.key.schedule, run.key.due)]
            stdout.write(json_line(document))
        else:
            stdout.write(story_text(run, events, zone_of(policy)))
            lines = remedy_lines(of_run(remedies, run.key.schedule, run.key.due), zone_of(policy))
            if lines:
                stdout.write("What guard did so that it can start:\n" + "\n".join(lines) + "\n")
    return 0


async def _find(
    ledger: Ledger, wanted: str, due: datetime | None, now: datetime
) -> list[tuple[DueRun, tuple[AnyEvent, ...]]]:
    """The stories of that schedule: of one due time, or of the latest that has come; else of the one to come.

    Of a due time those of that very moment, where there are none those within a minute of it.
    """
    if due is not None:
        found = await _between(ledger, wanted, due - _NEAR, due + _NEAR)
        return [one for one in found if one[0].key.due == due] or found
    ahead: list[tuple[DueRun, tuple[AnyEvent, ...]]] = []
    last = now + _AHEAD
    for back in _WINDOWS:  # the latest is nearly always of the last days; a year of nights need not be read for it
        found = await _between(ledger, wanted, now - back, last)
        come = [one for one in found if one[0].key.due <= now]
        if come:
            return come[-1:]
        ahead, last = ahead or found, now - back
    return ahead[-1:]


async def _between(
    ledger: Ledger, wanted: str, first: datetime, last: datetime
) -> list[tuple[DueRun, tuple[AnyEvent, ...]]]:
    found = []
    for key, events in (await ledger.between(first, last)).items():
        run = fold(key, events)
        if run is not None and wanted in (key.schedule, run.seen.schedule_name, run.seen.job, run.seen.job_name):
            found.append((run, events))
    return found
