"""What XO's scheduler does on a clock-change night: double starts, and the start storm (dst-nights.md)."""

from __future__ import annotations

from datetime import datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import ClockChangeOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.due import Storm, next_storm, storm_free
from guard.mechanics.zones import zone_or_utc
from guard.units import format_duration

RUNS_TWICE = Code(
    id="RUNS_TWICE",
    title="XO starts this due time twice",
    why="On a night when the clocks change XO starts a schedule inside the changed hour twice: in spring once an hour early and "
    "once after the gap, in autumn at both passes of the hour. The second start may find the job running.",
    do="Move the schedule out of the hours between 01:00 and 03:59 local time, or give it the zone UTC.",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)
DST_STORM = Code(
    id="DST_STORM",
    title="XO would start this schedule thousands of times",
    why="With two or more times inside the hour that the clocks skip, XO's scheduler computes a next start in the past and "
    "starts again and again within seconds, until xo-server runs out of memory and dies.",
    do="Before that night, change the schedule to one of the expressions named in the finding, or give it the zone UTC.",
    certainty=(Certainty.CERTAIN, Certainty.TREND),
    harm=(Harm.PRODUCTION,),
    clears=(ClearedBy.TIME,),
)


def evaluate(view: View, options: ClockChangeOptions) -> list[Finding]:
    """A storm on the due night itself, one ahead, or a double start."""
    due = view.run.due
    if due.storm is not None:
        return [_storm(view, due.storm, Level.BLOCK)]
    ahead = next_storm(due.cron, due.zone, due.at, due.at + timedelta(days=options.look_ahead_days))
    findings = [_storm(view, ahead, Level.WARN)] if ahead is not None else []
    if len(due.starts) > 1:
        findings.append(_twice(view))
    return findings


def storm_sentence(cron: str, zone: str, storm: Storm, now: datetime) -> str:
    """What a storm is, when, and what avoids it."""
    away = f", in {format_duration((storm.first - now).total_seconds())}" if storm.first > now else ""
    whenever = "" if storm.reached else ", if xo-server is restarted or the schedule is saved then"
    return (
        f"from {storm.first:%a %d %b %Y %H:%M} to {storm.last:%H:%M} UTC{away}, XO would start {cron!r} ({zone}) again "
        f"and again until it dies{whenever}. {_advice(cron, zone, now)}"
    )


def _advice(cron: str, zone: str, now: datetime) -> str:
    safe = storm_free(cron, zone, now)
    return f"Change it to {' or '.join(repr(one) for one in safe) or 'another hour'}, or to the zone UTC, before that night."


def _scope(view: View) -> Scope:
    """The schedule that fires: of a member, the one of its sequence."""
    fired = view.estate.schedule_by_id.get(view.run.due.via) or view.run.schedule
    return Scope(ScopeKind.SCHEDULE, fired.id, fired.name)


def _storm(view: View, storm: Storm, level: Level) -> Finding:
    due = view.run.due
    advice = _advice(due.cron, due.zone, view.now)
    told = storm_sentence(due.cron, due.zone, storm, view.now)
    return Finding(
        code=DST_STORM.id,
        check="clock_change",
        level=level,
        certainty=Certainty.CERTAIN if storm.reached else Certainty.TREND,
        harm=Harm.PRODUCTION,
        scope=_scope(view),
        summary=(told[0].upper() + told[1:]).removesuffix(f" {advice}"),
        facts=(
            Fact(name="first", value=storm.first.isoformat(), unit="", source="XO's scheduler", observed_at=None),
            Fact(name="last", value=storm.last.isoformat(), unit="", source="XO's scheduler", observed_at=None),
            view.fact("cron", due.cron, "", PartName.SCHEDULES),
        ),
        remedy=advice,
        clears=Clears(ClearedBy.TIME, storm.last + timedelta(minutes=1)),
    )


def _twice(view: View) -> Finding:
    due = view.run.due
    zone = zone_or_utc(due.zone)
    told = " and ".join(one.astimezone(zone).strftime("%H:%M %Z") for one in due.starts)
    return Finding(
        code=RUNS_TWICE.id,
        check="clock_change",
        level=Level.WARN,
        certainty=Certainty.CERTAIN,
        harm=Harm.NONE,
        scope=_scope(view),
        summary=f"The clocks change that night: XO starts {due.cron!r} ({due.zone}) {len(due.starts)} times, at {told}.",
        facts=(
            Fact(name="starts", value=len(due.starts), unit="starts", source="XO's scheduler", observed_at=None),
            view.fact("cron", due.cron, "", PartName.SCHEDULES),
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
