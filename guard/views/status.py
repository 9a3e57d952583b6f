"""What the daemon does now: for a person, as a document, and as one line for Nagios-like monitoring."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from typing import Any

from guard.lifecycle.channels import ChannelStatus
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Alarmed
from guard.lifecycle.loop import STANDS, Loop, SwitchedOff
from guard.lifecycle.report import UNSTARTED
from guard.outcomes.alarms import SCHEDULE_DISABLED
from guard.units import format_bytes, format_duration, format_time, plural
from guard.views.channels import channel_documents, channel_lines, failing_long, failing_text
from guard.views.doings import NOTHING, Doings, doings_document, doings_lines
from guard.views.report import idle_lines
from guard.views.status_standing import Condition
from guard.views.text import clean, wrap
from guard.views.zones import run_in_zone

STALE = timedelta(minutes=5)  # the loop looks every half minute; a reading of a large XO may take two
FUTURE = timedelta(minutes=1)
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3


@dataclass(frozen=True)
class Lately:
    """The last day: how many due times are over, and how many of them did not go well (failed, skipped or missed)."""

    over: int = 0
    bad: int = 0


NOTHING_LATELY = Lately()


def standing(runs: Iterable[DueRun], now: datetime) -> tuple[DueRun, ...]:
    """The due runs whose alarms still call for a person, by due time: open ones, and missed ones without a run since that
    were found within the last day.

    A due time that XO did not fire is over as soon as it is known; nobody would ever see its alarm.
    """
    ordered = sorted(runs, key=lambda run: run.key.due)
    ran = {run.key.schedule: run.key.due for run in ordered if run.attempts}
    return tuple(
        run
        for run in ordered
        if run.alarms
        and (
            run.ended is None
            or (
                not run.attempts
                and ran.get(run.key.schedule, run.key.due) <= run.key.due
                and now - run.ended.at < STANDS
            )
        )
    )


def lately(runs: Iterable[DueRun], now: datetime) -> Lately:
    """What came of the due runs that were over within the last day, whenever they were due."""
    ends = [
        run.ended.end in UNSTARTED or any(one.ended and one.ended.outcome.status != "success" for one in run.attempts)
        for run in runs
        if run.ended is not None and now - run.ended.at < STANDS
    ]
    return Lately(over=len(ends), bad=sum(ends))


@dataclass(frozen=True)
class _Alarm:
    """The newest alarm of one schedule and code. ``earlier``: how many more stand."""

    schedule: str
    due: datetime | None
    code: str
    text: str
    at: datetime
    earlier: int = 0


def _alarms(loop: Loop, alarmed: Sequence[DueRun]) -> list[_Alarm]:
    """Newest first: what an administrator sees first is what is wrong now."""
    found: dict[tuple[str, str], list[tuple[DueRun, Alarmed]]] = {}
    for run in alarmed:
        for alarm in run.alarms:
            found.setdefault((run.key.schedule, alarm.code), []).append((run, alarm))
    alarms = [
        _Alarm(schedule, run.key.due, code, alarm.text, alarm.at, len(same) - 1)
        for (schedule, code), same in found.items()
        for run, alarm in same[-1:]
    ]
    alarms += [_Alarm(one.schedule, None, SCHEDULE_DISABLED.id, off_text(one), one.at) for one in loop.switched_off]
    return sorted(alarms, key=lambda one: one.at, reverse=True)


def off_text(off: SwitchedOff) -> str:
    """What is told of a schedule that was switched off."""
    if off.deleted:
        return (
            f"Schedule {off.name} was on, and XO lists it no longer: it was deleted, or guard's token may not see it."
        )
    return f"Schedule {off.name} was on and is off now; guard did not do it. Was it meant so, or left by a pool update?"


def status_text(
    loop: Loop | None,
    alarmed: tuple[DueRun, ...],
    now: datetime,
    zone: tzinfo,
    day: Lately = NOTHING_LATELY,
    acting: Doings = NOTHING,
    channels: Sequence[ChannelStatus] = (),
    stands: Sequence[Condition] = (),
) -> str:
    """Running with progress, next due, what guard holds, alarms, the last day, age of the last look."""
    if loop is None:
        return "\n".join(["The daemon has not looked at XO yet.", *doings_lines(acting, zone)]) + "\n"
    age = format_duration(max(0.0, (now - loop.at).total_seconds()))
    lines = _old_look_lines(loop, now)
    if loop.xo_error:
        since = f" since {format_time(loop.unread_since, zone)}" if loop.unread_since is not None else ""
        lines += wrap(f"XO cannot be read{since}: {loop.xo_error}", "  ", first="")
    for one in loop.running:
        took = format_duration((now - one.began).total_seconds())
        sent = f"{format_bytes(one.sent_bytes)} sent"
        done = f"{one.vms_done} of {plural(one.vms, 'VM')} done, {sent}" if one.vms else "XO's log names no VM yet"
        text = f"Running for {took}: {one.job_name}, {done}"
        lines += wrap(text, "  ", first="")
    if loop.more_running:
        lines.append(f"{plural(loop.more_running, 'more run')} began before guard looked; how far is unknown.")
    if not loop.running and not loop.more_running:
        lines.append("What runs is unknown." if loop.xo_error else "Nothing runs.")
    if loop.next_due is not None and loop.next_due >= loop.at:
        what = f", {loop.next_due_of}" if loop.next_due_of else ""
        lines += wrap(f"Next due: {format_time(loop.next_due, zone)}{what}.", "  ", first="")
    else:
        lines.append("What is due is unknown." if loop.xo_error else "Nothing is due within two days.")
    lines += doings_lines(acting, zone)
    for alarm in _alarms(loop, [run_in_zone(run, zone) for run in alarmed]):
        more = f" ({_earlier(alarm.earlier)} too)" if alarm.earlier else ""
        lines += wrap(f"Alarm {alarm.code}: {alarm.text}{more}", "  ", first="")
    for condition in stands:
        lines += wrap(f"{condition.code.id}: {condition.text}.", "  ", first="")
    for note in loop.unwatched:
        lines += wrap(f"Not watched: {note}", "  ", first="")
    lines += idle_lines(loop.idle_entries)
    if day.bad:
        lines.append(f"Last 24 h: {day.bad} of {plural(day.over, 'run')} did not go well; guard report tells which.")
    lines += channel_lines(channels, zone)
    lines.append(f"Last look {age} ago.")
    return "\n".join(lines) + "\n"


def _earlier(count: int) -> str:
    return "1 earlier one of this schedule stands" if count == 1 else f"{count} earlier ones of this schedule stand"


def _old_look_lines(loop: Loop, now: datetime) -> list[str]:
    """That what follows is not how it is now, where the last look is not of now."""
    ahead_s = (loop.at - now).total_seconds()
    lines: list[str] = []
    if loop.at - now > FUTURE:
        told = f"The last look lies {format_duration(ahead_s)} ahead: the clock was set back. What follows was so then."
        lines += wrap(told, "  ", first="")
    if now - loop.at > STALE:
        told = (
            f"guard daemon does not look: its last look is {format_duration(-ahead_s)} old. What follows was so then."
        )
        lines += wrap(told, "  ", first="")
    return lines


def status_document(
    loop: Loop | None,
    alarmed: tuple[DueRun, ...],
    now: datetime,
    day: Lately = NOTHING_LATELY,
    acting: Doings = NOTHING,
    channels: Sequence[ChannelStatus] = (),
    stands: Sequence[Condition] = (),
) -> dict[str, Any]:
    """The document ``guard.status/1``. ``running`` is null while XO cannot be read."""
    blind = loop is None or bool(loop.xo_error)
    return {
        "schema": "guard.status/1",
        "looked_at": loop.at.isoformat() if loop is not None else None,
        "age_s": round((now - loop.at).total_seconds(), 3) if loop is not None else None,
        "xo_error": loop.xo_error or None if loop is not None else None,
        "next_due": loop.next_due.isoformat() if loop is not None and loop.next_due is not None else None,
        "next_due_of": loop.next_due_of or None if loop is not None else None,
        "running": None
        if blind
        else [
            {
                "schedule": one.schedule,
                "job": one.job_name,
                "run": one.run,
                "began": one.began.isoformat(),
                "vms": one.vms,
                "vms_done": one.vms_done,
                "sent_bytes": one.sent_bytes,
            }
            for one in (loop.running if loop is not None else ())
        ],
        **doings_document(acting),
        "alarms": [
            {
                "schedule": one.schedule,
                "due": one.due.isoformat() if one.due is not None else None,
                "code": one.code,
                "text": one.text,
                "earlier": one.earlier,
            }
            for one in (_alarms(loop, alarmed) if loop is not None else ())
        ],
        "standing": [{"code": one.code.id, "text": one.text} for one in stands],
        "unwatched": list(loop.unwatched) if loop is not None else [],
        "idle_entries": list(loop.idle_entries) if loop is not None else [],
        "last_day": {"over": day.over, "bad": day.bad},
        "channels": channel_documents(channels),
    }


def nagios(
    loop: Loop | None,
    alarmed: tuple[DueRun, ...],
    now: datetime,
    day: Lately = NOTHING_LATELY,
    channels: Sequence[ChannelStatus] = (),
    stands: Sequence[Condition] = (),
) -> tuple[int, str]:
    """(exit code, one line with perfdata): 0 OK, 1 warning, 2 critical, 3 unknown (Monitoring Plugins guidelines)."""
    if loop is None:
        return UNKNOWN, "GUARD UNKNOWN - the daemon has not looked at XO yet"
    age = (now - loop.at).total_seconds()
    alarms = _alarms(loop, alarmed)
    running = "U" if loop.xo_error else str(len(loop.running) + loop.more_running)
    perfdata = f"|age={age:.0f}s;{STALE.total_seconds():.0f} running={running} alarms={len(alarms)} bad={day.bad}"
    told = f"{plural(len(alarms), 'alarm')}: {alarms[0].text}" if alarms else ""
    if age < -FUTURE.total_seconds():
        return (
            UNKNOWN,
            f"GUARD UNKNOWN - the last look lies {format_duration(-age)} ahead: the clock was set back{perfdata}",
        )
    if age > STALE.total_seconds():
        text = f"GUARD UNKNOWN - the last look is {format_duration(age)} old" + (f"; then {told}" if told else "")
        return UNKNOWN, _line(text) + perfdata
    if told:
        return CRITICAL, _line(f"GUARD CRITICAL - {told}") + perfdata
    if loop.xo_error:
        return WARNING, _line(f"GUARD WARNING - XO cannot be read: {loop.xo_error}") + perfdata
    if stands:
        return WARNING, _line(f"GUARD WARNING - {stands[0].code.id}: {stands[0].text}") + perfdata
    failing = failing_long(channels, now)
    if failing:
        return WARNING, _line(f"GUARD WARNING - {failing_text(failing[0], now)}") + perfdata
    if loop.unwatched:
        return WARNING, _line(f"GUARD WARNING - not watched: {loop.unwatched[0]}") + perfdata
    if day.bad:
        bad = f"{day.bad} of {plural(day.over, 'run')} of the last 24 h did not go well"
        return WARNING, f"GUARD WARNING - {bad}{perfdata}"
    return OK, f"GUARD OK - {plural(len(loop.running) + loop.more_running, 'run')} going on{perfdata}"


def _line(text: str) -> str:
    return clean(text).replace("|", "/")
