"""guard when."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta
from typing import TextIO

from guard.cli import clock, source
from guard.errors import UsageError
from guard.estate.estate import Estate, PartName, require
from guard.estate.xo_records import Schedule
from guard.mechanics.cron import CronError, parse
from guard.mechanics.due import DueTime, due_times, storm_free
from guard.mechanics.zones import resolve
from guard.views.when import when_text

_LOOK_AHEAD_DAYS = (2, 40, 400, 5 * 366)  # further only where dates are rare


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    if not 1 <= arguments.count <= 100:
        raise UsageError(f"--count {arguments.count}: expected 1 to 100")
    now, local_zone = clock.now(), None
    schedule = Schedule(id="", cron=arguments.expression)
    if not _is_expression(arguments):
        estate, policy, now = source.read(arguments, stderr, env)
        require(estate, PartName.SCHEDULES)
        schedule, local_zone = _named(estate, arguments.expression), policy.xo.zone
    zone_name = _zone_name(arguments.zone, schedule, local_zone)
    start = source.parse_time(arguments.start) if arguments.start is not None else now
    dues: list[DueTime] = []
    try:
        for days in _LOOK_AHEAD_DAYS:
            dues = list(due_times(schedule, zone=zone_name, after=start, until=start + timedelta(days=days)))
            if len(dues) >= arguments.count:
                break
        safer = storm_free(schedule.cron, zone_name, start)
    except CronError as error:
        raise UsageError(f"XO cannot run this expression: {error}") from None
    zone = resolve(zone_name)
    assert zone is not None  # noqa: S101  _zone_name gives none that is not known
    stdout.write(when_text(schedule.cron, zone_name, zone, dues[: arguments.count], safer))
    return 0


def _is_expression(arguments: Namespace) -> bool:
    """Whether the words are cron: they parse, or look it and no place to find a schedule of that name is given."""
    words: str = arguments.expression
    try:
        parse(words)
    except CronError:
        asked_for = arguments.demo or arguments.estate is not None or arguments.config is not None
        return not asked_for and (words.startswith("@") or len(words.split()) == 5)
    return True


def _named(estate: Estate, wanted: str) -> Schedule:
    found = [one for one in estate.schedules if wanted in (one.id, one.name)]
    if len(found) != 1:
        told = "no schedule has" if not found else f"{len(found)} schedules have"
        raise UsageError(f"{wanted!r}: {told} that id or name, and it is no cron expression of XO's")
    return found[0]


def _zone_name(asked: str | None, schedule: Schedule, local_zone: str | None) -> str:
    """The zone to compute in: the one asked for, else the schedule's as XO takes it."""
    name = asked or schedule.zone
    if name == "local":
        if local_zone is None:
            raise UsageError(
                "the zone is XO's own (local), which no API shows; give --zone, or set [xo] zone in the policy"
            )
        return local_zone
    if resolve(name) is None:
        if asked is not None:
            raise UsageError(f"unknown zone {name!r}; expected a name such as Europe/Paris, with --zone")
        return "utc"  # as XO does
    return name
