"""What the daemon does now: for a person, as a document, and as one line for Nagios-like monitoring."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta, tzinfo
from typing import Any

from guard.lifecycle.due_run import DueRun
from guard.lifecycle.loop import Loop
from guard.units import format_bytes, format_duration, format_time, plural
from guard.views.text import clean, wrap

STALE = timedelta(minutes=5)  # the loop looks every half minute; a reading of a large XO may take two
STANDS = timedelta(hours=24)  # how long the alarm of a missed due time is shown, unless a run came since
OK, WARNING, CRITICAL, UNKNOWN = 0, 1, 2, 3


def standing(runs: Iterable[DueRun]) -> tuple[DueRun, ...]:
    """The due runs whose alarms still call for a person, by due time: open ones, and missed ones without a run since.

    A due time that XO did not fire is over as soon as it is known; nobody would ever see its alarm.
    """
    ordered = sorted(runs, key=lambda run: run.key.due)
    ran = {run.key.schedule: run.key.due for run in ordered if run.attempts}
    return tuple(
        run
        for run in ordered
        if run.alarms
        and (run.ended is None or (not run.attempts and ran.get(run.key.schedule, run.key.due) <= run.key.due))
    )


def status_text(loop: Loop | None, alarmed: tuple[DueRun, ...], now: datetime, zone: tzinfo) -> str:
    """Running with progress, next due, alarms, age of the last look."""
    if loop is None:
        return "The daemon has not looked at XO yet.\n"
    lines: list[str] = []
    if loop.xo_error:
        since = f" since {format_time(loop.unread_since, zone)}" if loop.unread_since is not None else ""
        lines += wrap(f"XO cannot be read{since}: {loop.xo_error}", "  ", first="")
    for one in loop.running:
        took = format_duration((now - one.began).total_seconds())
        done = f"{one.vms_done} of {plural(one.vms, 'VM')} done, {format_bytes(one.sent_bytes)} sent"
        text = f"Running for {took}: {one.job_name}, {done}"
        lines += wrap(text, "  ", first="")
    if not loop.running:
        lines.append("What runs is unknown." if loop.xo_error else "Nothing runs.")
    if loop.next_due is not None:
        lines.append(f"Next due: {format_time(loop.next_due, zone)}.")
    else:
        lines.append("What is due is unknown." if loop.xo_error else "Nothing is due within two days.")
    for run in alarmed:
        for alarm in run.alarms:
            lines += wrap(f"Alarm {alarm.code}: {alarm.text}", "  ", first="")
    lines.append(f"Last look {format_duration(max(0.0, (now - loop.at).total_seconds()))} ago.")
    return "\n".join(lines) + "\n"


def status_document(loop: Loop | None, alarmed: tuple[DueRun, ...], now: datetime) -> dict[str, Any]:
    """The document ``guard.status/1``."""
    return {
        "schema": "guard.status/1",
        "looked_at": loop.at.isoformat() if loop is not None else None,
        "age_s": round((now - loop.at).total_seconds(), 3) if loop is not None else None,
        "xo_error": loop.xo_error or None if loop is not None else None,
        "next_due": loop.next_due.isoformat() if loop is not None and loop.next_due is not None else None,
        "running": [
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
        "alarms": [
            {"schedule": run.key.schedule, "due": run.key.due.isoformat(), "code": alarm.code, "text": alarm.text}
            for run in alarmed
            for alarm in run.alarms
        ],
    }


def nagios(loop: Loop | None, alarmed: tuple[DueRun, ...], now: datetime) -> tuple[int, str]:
    """(exit code, one line with perfdata): 0 OK, 1 warning, 2 critical, 3 unknown (Monitoring Plugins guidelines)."""
    if loop is None:
        return UNKNOWN, "GUARD UNKNOWN - the daemon has not looked at XO yet"
    age = (now - loop.at).total_seconds()
    alarms = [alarm for run in alarmed for alarm in run.alarms]
    perfdata = f"|age={age:.0f}s;{STALE.total_seconds():.0f} running={len(loop.running)} alarms={len(alarms)}"
    if age > STALE.total_seconds():
        return UNKNOWN, f"GUARD UNKNOWN - the last look is {format_duration(age)} old{perfdata}"
    if alarms:
        return CRITICAL, clean(f"GUARD CRITICAL - {plural(len(alarms), 'alarm')}: {alarms[0].text}").replace(
            "|", "/"
        ) + perfdata
    if loop.xo_error:
        return WARNING, clean(f"GUARD WARNING - XO cannot be read: {loop.xo_error}").replace("|", "/") + perfdata
    return OK, f"GUARD OK - {plural(len(loop.running), 'run')} going on{perfdata}"
