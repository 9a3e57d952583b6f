"""guard plan."""

from __future__ import annotations

import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

import msgspec

from guard.assess import Plan, make_plan
from guard.cli import source
from guard.cli.colour import style_for
from guard.errors import UsageError
from guard.estate.estate import PartName
from guard.units import parse_duration
from guard.views.documents import plan_document
from guard.views.plan import plan_text

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
        source.require(estate, PartName.SCHEDULES)
        raise UsageError(f"--schedule {arguments.schedule!r}: XO has no schedule of that id or name")
    if arguments.json:
        stdout.write(msgspec.json.encode(plan_document(plan)).decode() + "\n")
    else:
        stdout.write(plan_text(plan, took_s=time.monotonic() - began, style=style_for(stdout, env)))
    return 2 if arguments.exit_code and not plan.is_whole else 0


def _known(plan: Plan) -> set[str]:
    return {text for one in plan.estate.schedules for text in (one.id, one.name)}
