"""What XO's scheduler does on a clock-change night: double starts, and the start storm (dst-nights.md)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ClockChangeOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.due import Storm, next_storm, storm_free
from guard.units import format_duration

RUNS_TWICE = Code(
    id="RUNS_TWICE",
    title="XO starts this due time twice",
    why="On a night when the clocks change XO starts a schedule inside the changed hour twice: in spring once an hour early and "
    "once after the gap, in autumn at both passes of the hour. The second start may find the job running.",
    do="Move the schedule out of the hours between 01:00 and 03:59 local time, or give it the zone UTC.",
)
DST_STORM = Code(
    id="DST_STORM",
    title="XO would start this schedule thousands of times",
    why="With two or more times inside the hour that the clocks skip, XO's scheduler computes a next start in the past and "
    "starts again and again within seconds, until xo-server runs out of memory and dies.",
    do="Before that night, change the schedule to one of the expressions named in the finding, or give it the zone UTC.",
)


def evaluate(view: View, options: ClockChangeOptions) -> list[Finding]:
    """A storm on the due night itself, one ahead, or a double start."""
    due, schedule = view.run.due, view.run.schedule
    if due.storm is not None:
        return [_storm(view, due.storm, Level.BLOCK)]
    ahead = next_storm(schedule.cron, schedule.zone, due.at, due.at + timedelta(days=options.look_ahead_days))
    findings = [_storm(view, ahead, Level.WARN)] if ahead is not None else []
    if len(due.starts) > 1:
        findings.append(_twice(view))
    return findings


def _storm(view: View, storm: Storm, level: Level) -> Finding:
    schedule = view.run.schedule
    safe = storm_free(schedule.cron, schedule.zone, view.now)
    over = storm.last + timedelta(minutes=1)
    away = format_duration(max(0.0, (storm.first - view.now).total_seconds()))
    return Finding(
        code=DST_STORM.id,
        check="clock_change",
        level=level,
        certainty=Certainty.CERTAIN,
        harm=Harm.PRODUCTION,
        scope=Scope(ScopeKind.SCHEDULE, schedule.id, schedule.name),
        summary=f"From {storm.first:%a %d %b %Y %H:%M} UTC, in {away}, XO would start {schedule.cron!r} ({schedule.zone}) again "
        "and again until it dies.",
        facts=(
            Fact(name="first", value=storm.first.isoformat(), unit="", source="XO's scheduler", observed_at=None),
            Fact(name="last", value=storm.last.isoformat(), unit="", source="XO's scheduler", observed_at=None),
            view.fact("cron", schedule.cron, "", PartName.SCHEDULES),
        ),
        remedy=f"Change it to {' or '.join(repr(one) for one in safe) or 'another hour'}, or to the zone UTC, before that night.",
        clears=Clears(ClearedBy.TIME, over),
    )


def _twice(view: View) -> Finding:
    schedule, starts = view.run.schedule, view.run.due.starts
    told = " and ".join(f"{one:%H:%M} UTC" for one in starts)
    return Finding(
        code=RUNS_TWICE.id,
        check="clock_change",
        level=Level.WARN,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.SCHEDULE, schedule.id, schedule.name),
        summary=f"The clocks change that night: XO starts {schedule.cron!r} ({schedule.zone}) {len(starts)} times, at {told}.",
        facts=(
            Fact(name="starts", value=len(starts), unit="starts", source="XO's scheduler", observed_at=None),
            view.fact("cron", schedule.cron, "", PartName.SCHEDULES),
        ),
        remedy="Move the schedule out of the hours around the change, or give it the zone UTC.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="clock_change",
    title="Clock-change nights",
    codes=(RUNS_TWICE, DST_STORM),
    needs={PartName.SCHEDULES: timedelta(hours=1)},
    options=ClockChangeOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup", "metadataBackup"}),
)
