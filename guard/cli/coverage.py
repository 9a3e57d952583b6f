"""guard coverage."""

from __future__ import annotations

import asyncio
import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

import msgspec

from guard.cli import source
from guard.cli.state import look_at_ledger
from guard.coverage.report import make_coverage
from guard.errors import LedgerError, UsageError
from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.ledger import Ledger
from guard.policy.schema import Policy
from guard.units import format_time, parse_duration
from guard.views.coverage import coverage_text
from guard.views.coverage_document import coverage_document


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    began = time.monotonic()
    most = _max_age(arguments.max_age)
    estate, policy, now = source.read(arguments, stderr, env)
    if most is not None:
        policy = msgspec.structs.replace(policy, coverage=msgspec.structs.replace(policy.coverage, max_age=most))
    is_live = arguments.estate is None and not arguments.demo
    stories = _stories(arguments, policy, now, env) if is_live or arguments.state is not None else []
    coverage = make_coverage(estate, policy, now, stories)
    if arguments.json:
        stdout.write(msgspec.json.encode(coverage_document(coverage)).decode() + "\n")
    else:
        origin = ""
        if arguments.estate is not None:
            taken = format_time(now, UTC)
            origin = f"From the capture {Path(arguments.estate).name}, and for {taken}, when it was taken:"
        stdout.write(coverage_text(coverage, took_s=time.monotonic() - began, origin=origin))
    return 2 if arguments.exit_code and not coverage.is_whole else 0


def _max_age(text: str | None) -> timedelta | None:
    if text is None:
        return None
    try:
        most = parse_duration(text)
    except ValueError as error:
        raise UsageError(f"--max-age {text!r}: expected {error}") from None
    if most <= timedelta():
        raise UsageError(f'--max-age {text!r}: expected more than 0 s, such as "48 h"')
    return most


def _stories(arguments: Namespace, policy: Policy, now: datetime, env: Mapping[str, str]) -> list[DueRun]:
    """What the daemon held back, where it has a ledger that can be read; one that was asked for must be there."""
    since = now - timedelta(days=policy.xo.history_days)
    try:
        with look_at_ledger(arguments.state, env, policy) as ledger:
            return asyncio.run(_read(ledger, since, now))
    except LedgerError:
        if arguments.state is not None:
            raise
        return []


async def _read(ledger: Ledger, since: datetime, until: datetime) -> list[DueRun]:
    found = await ledger.between(since, until)
    runs = (fold(key, events) for key, events in found.items())
    return [run for run in runs if run is not None]
