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

from guard.assess import Plan, make_plan
from guard.cli import source
from guard.cli.colour import style_for
from guard.cli.state import look_at_ledger
from guard.errors import LedgerError, UsageError
from guard.estate.estate import PartName, require
from guard.lifecycle.remedy import Remedy
from guard.policy.schema import Policy
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
    plan = make_plan(estate, policy, now=now, start=start, within=within, only=arguments.schedule)
    if arguments.schedule is not None and not plan.runs and arguments.schedule not in _known(plan):
        require(estate, PartName.SCHEDULES)
        raise UsageError(f"--schedule {arguments.schedule!r}: {_unknown(arguments.schedule, plan)}")
    is_live = arguments.estate is None and not arguments.demo
    # a remedy keeps away from all runs, those that were not asked for too
    whole = plan if arguments.schedule is None else make_plan(estate, policy, now=now, start=start, within=within)
    found = wanted(scene_of(whole, policy, past=_done(policy, now, env) if is_live else ()))
    asked = {(one.run.schedule.id, one.run.due.at) for one in plan.runs}
    remedies = [one for one in found if any((run.schedule, run.due) in asked for run in one.runs) or not one.runs]
    if arguments.json:
        stdout.write(json_line(plan_document(plan, remedies)))
    else:
        took, origin = time.monotonic() - began, ""
        if arguments.estate is not None:
            origin = (
                f"From the capture {Path(arguments.estate).name}, and for {format_time(now, UTC)}, when it was taken:"
            )
        style = style_for(stdout, env)
        stdout.write(plan_text(plan, took_s=took, origin=origin, style=style, remedies=remedies))
    return 2 if arguments.exit_code and not plan.is_whole else 0


def _done(policy: Policy, now: datetime, env: Mapping[str, str]) -> tuple[Remedy, ...]:
    """What the daemon did, where it has a ledger here that can be read: it does not do it again at once."""
    try:
        with look_at_ledger(None, env, policy) as ledger:
            return asyncio.run(ledger.remedies(now - KEPT_IN_VIEW))
    except LedgerError:
        return ()


def _unknown(wanted: str, plan: Plan) -> str:
    """That there is no such schedule; with those of the job whose name it is, else with what it may have meant."""
    jobs = {job.id for job in plan.estate.jobs if wanted in (job.id, job.name)}
    of_job = [one.name for one in plan.estate.schedules if one.job_id in jobs]
    told = "XO has no schedule of that id or name"
    if of_job:
        return f"{told}; that is a job, with {', '.join(map(repr, of_job))}"
    near = difflib.get_close_matches(wanted, [one.name for one in plan.estate.schedules], n=1)
    return told + (f"; did you mean {near[0]!r}?" if near else "")


def _known(plan: Plan) -> set[str]:
    return {text for one in plan.estate.schedules for text in (one.id, one.name)}
