"""guard plan."""

from __future__ import annotations

import asyncio
import difflib
import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TextIO

from guard.assess import Situation, make_plan
from guard.cli import clock, source
from guard.cli.colour import style_for
from guard.cli.state import ledger_path
from guard.decision.brakes import Brake, in_force, read_brakes
from guard.decision.named import schedules_of_job
from guard.errors import LedgerError, UsageError
from guard.estate.estate import Estate, PartName, require
from guard.gate.watch import BRAKES
from guard.ledger.sqlite import SqliteLedger, read_ledger
from guard.lifecycle.remedy import Remedy
from guard.mechanics.zones import zone_or_utc
from guard.remedies.choose import wanted
from guard.remedies.round import KEPT_IN_VIEW
from guard.remedies.scene import scene_of
from guard.units import format_time, parse_duration
from guard.views.documents import plan_document
from guard.views.plan import plan_text
from guard.views.text import json_line

_FURTHEST = timedelta(days=400)


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    began = time.monotonic()
    try:
        within = parse_duration(arguments.within)
    except ValueError as error:
        raise UsageError(f"--within {arguments.within!r}: expected {error}") from None
    if not timedelta() < within <= _FURTHEST:
        raise UsageError(f"--within {arguments.within!r}: expected more than 0 s, and at most {_FURTHEST.days} d")
    estate, policy, now = source.read(arguments, stderr, env)
    start = source.parse_time(arguments.start) if arguments.start is not None else now
    only = _asked_for(arguments.schedule, estate) if arguments.schedule is not None else None
    is_live = arguments.estate is None and not arguments.demo
    past, brakes = _by_ledger(arguments, estate, now, env) if is_live or arguments.state is not None else ((), ())
    said = Situation(brakes=brakes)
    plan = make_plan(estate, policy, now=now, start=start, within=within, only=only, situation=said)
    # a remedy keeps away from all runs, those that were not asked for too
    whole = plan
    if only is not None:
        whole = make_plan(estate, policy, now=now, start=start, within=within, situation=said)
    found = wanted(scene_of(whole, policy, past=past))
    asked = {(one.run.schedule.id, one.run.due.at) for one in plan.runs}
    remedies = [one for one in found if any((run.schedule, run.due) in asked for run in one.runs) or not one.runs]
    if arguments.json:
        stdout.write(json_line(plan_document(plan, remedies, brakes)))
    else:
        took, origin = time.monotonic() - began, ""
        if arguments.estate is not None:
            origin = (
                f"From the capture {Path(arguments.estate).name}, and for {format_time(now, UTC)}, when it was taken:"
            )
        style = style_for(stdout, env)
        given = policy.notify.zone or policy.xo.zone
        messages_in = zone_or_utc(given) if given is not None else None
        stdout.write(
            plan_text(
                plan,
                took_s=took,
                origin=origin,
                style=style,
                remedies=remedies,
                brakes=brakes,
                messages_in=messages_in,
            )
        )
    return 2 if arguments.exit_code and not plan.is_whole else 0


def _by_ledger(
    arguments: Namespace, estate: Estate, now: datetime, env: Mapping[str, str]
) -> tuple[tuple[Remedy, ...], tuple[Brake, ...]]:
    """What the daemon did, as it does not do it again at once, and the brakes in force: where it has a ledger here that can
    be read. One that was asked for must be there.
    """

    async def read(ledger: SqliteLedger) -> tuple[tuple[Remedy, ...], tuple[Brake, ...]]:
        brakes = read_brakes(await ledger.recall(BRAKES))
        return await ledger.remedies(now - KEPT_IN_VIEW), in_force(brakes, now)

    try:
        with read_ledger(ledger_path(arguments.state, env), xo=estate.xo.url, clock=clock.now) as ledger:
            return asyncio.run(read(ledger))
    except LedgerError:
        if arguments.state is not None:
            raise
        return (), ()


def _asked_for(wanted: str, estate: Estate) -> str:
    """The schedule that ``--schedule`` means: by its id or name, else the only one of the job of that id or name.

    Raises UsageError that tells what it may have meant, XoError.
    """
    if any(wanted in (one.id, one.name) for one in estate.schedules):
        return wanted
    require(estate, PartName.SCHEDULES)
    of_job = schedules_of_job(wanted, estate)
    if len(of_job) == 1:
        return of_job[0].id
    told = f"--schedule {wanted!r}: XO has no schedule of that id or name"
    if of_job:
        raise UsageError(f"{told}; that is a job, with {', '.join(repr(one.name) for one in of_job)}")
    near = difflib.get_close_matches(wanted, [one.name for one in estate.schedules], n=1)
    raise UsageError(told + (f"; did you mean {near[0]!r}?" if near else ""))
