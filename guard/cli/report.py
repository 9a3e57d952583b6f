"""guard report."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from contextlib import suppress
from datetime import datetime
from typing import TextIO

import msgspec

from guard.cli import clock, source
from guard.cli.state import look_at_ledger
from guard.daemon.compose import zone_of
from guard.daemon.workaround import workaround_lines
from guard.errors import UsageError
from guard.gate.watch import LOOP
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.loop import Loop
from guard.lifecycle.report import make_report
from guard.units import parse_duration
from guard.views.report import report_document, report_text
from guard.views.text import json_line


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stderr
    policy = source.read_policy(arguments.config)
    now = clock.now()
    since = _since(arguments.since, now)
    with look_at_ledger(arguments.state, env, policy) as ledger:
        runs = asyncio.run(_read(ledger, since, now))
        remedies = asyncio.run(ledger.remedies(since))
        last_look = asyncio.run(ledger.recall(LOOP))
    report = make_report(runs, since, now, policy)
    idle = msgspec.json.decode(last_look, type=Loop).idle_entries if last_look else ()
    if arguments.json:
        stdout.write(json_line(report_document(report, remedies, idle)))
    else:
        standing = asyncio.run(workaround_lines(policy, zone_of(policy), clock.now))
        stdout.write(report_text(report, zone_of(policy), remedies, standing, idle))
    return 0


def _since(text: str, now: datetime) -> datetime:
    """A time, or how long ago."""
    with suppress(ValueError, OverflowError):
        return now - parse_duration(text)
    try:
        return source.parse_time(text, option="--since")
    except UsageError as error:
        raise UsageError(f'{error}, or a duration such as "7 d", "12 h", "90 min"') from None


async def _read(ledger: Ledger, since: datetime, until: datetime) -> list[DueRun]:
    found = await ledger.between(since, until)
    runs = (fold(key, events) for key, events in found.items())
    return [run for run in runs if run is not None]
