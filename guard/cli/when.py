"""guard when."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, timedelta
from typing import TextIO

from guard.cli import clock, source
from guard.errors import UsageError
from guard.estate.xo_records import Schedule
from guard.mechanics.cron import CronError, parse
from guard.mechanics.due import DueTime, due_times, storm_free
from guard.mechanics.zones import resolve
from guard.views.when import when_text

_LOOKS_LIKE_CRON = frozenset("0123456789*@")


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    if not 1 <= arguments.count <= 100:
        raise UsageError(f"--count {arguments.count}: expected 1 to 100")
    now = clock.now()
    schedule = Schedule(id="", cron=arguments.expression, timezone=arguments.zone)
    if arguments.expression[:1] not in _LOOKS_LIKE_CRON:
        estate, _, now = source.read(arguments, stderr, env)
        found = [one for one in estate.schedules if arguments.expression in (one.id, one.name)]
        if len(found) != 1:
            raise UsageError(f"{arguments.expression!r}: {len(found)} schedules have that id or name; expected one")
        schedule = found[0]
    zone_name = arguments.zone or schedule.zone
    zone = resolve(zone_name)
    if zone is None or zone_name == "local":
        raise UsageError(f"unknown zone {zone_name!r}; expected a name such as Europe/Paris, with --zone")
    start = source.parse_time(arguments.start) if arguments.start else now
    dues: list[DueTime] = []
    try:
        parse(schedule.cron)
        for days in (2, 40, 400, 5 * 366):  # a look ahead that grows only where dates are rare
            dues = list(
                due_times(schedule, zone=zone_name, after=start, until=start.astimezone(UTC) + timedelta(days=days))
            )
            if len(dues) >= arguments.count:
                break
        safer = storm_free(schedule.cron, zone_name, start)
    except CronError as error:
        raise UsageError(f"XO cannot run this expression: {error}") from None
    stdout.write(when_text(schedule.cron, zone_name, zone, dues[: arguments.count], safer))
    return 0
