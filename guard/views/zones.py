"""Times in sentences that were made before anybody asked: from the zone of their schedule into that of the reader. Pure.

Checks, decisions and alarms are sentences in the ledger, with times as the schedule's own zone shows them (the zone that
XO starts it by). A message or ``guard status`` has one zone for all ([notify] zone).
"""

from __future__ import annotations

import re
from dataclasses import replace
from datetime import datetime, tzinfo

from msgspec.structs import replace as renewed

from guard.decision.verdict import Verdict
from guard.finding import Finding
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import (
    Alarmed,
    AnyEvent,
    Claiming,
    Decided,
    Ended,
    FollowingUp,
    GaveUp,
    Released,
    Starting,
)
from guard.mechanics.zones import zone_or_utc
from guard.units import format_time

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_TIME = re.compile(
    rf"\b(?:Mon|Tue|Wed|Thu|Fri|Sat|Sun) (\d\d) ({'|'.join(_MONTHS)}) (\d\d):(\d\d) (?:[A-Z]{{2,5}}|[+-]\d{{2,4}})",
    re.ASCII,
)


def text_in_zone(text: str, written: tzinfo, zone: tzinfo, near: datetime) -> str:
    """Each time that ``format_time`` printed as of the zone ``written``, as ``zone`` shows it.

    Such a time has no year: the instant meant is the one nearest to ``near``. What is no time of ``written`` stays.
    """

    def shown(found: re.Match[str]) -> str:
        day, month, hour, minute = found.groups()
        times = (
            datetime(year, 1 + _MONTHS.index(month), int(day), int(hour), int(minute), tzinfo=written, fold=fold)
            for year in (near.year - 1, near.year, near.year + 1)
            for fold in (0, 1)
            if _is_a_day(year, 1 + _MONTHS.index(month), int(day)) and int(hour) < 24 and int(minute) < 60
        )
        meant = [one for one in times if format_time(one, written) == found[0]]
        return format_time(min(meant, key=lambda one: abs(one - near)), zone) if meant else found[0]

    return _TIME.sub(shown, text)


def _is_a_day(year: int, month: int, day: int) -> bool:
    try:
        datetime(year, month, day)  # noqa: DTZ001  only whether the date exists
    except ValueError:
        return False
    return True


def run_in_zone(run: DueRun, zone: tzinfo) -> DueRun:
    """A due run with what its decision, its alarms and its end say in ``zone``."""
    return replace(
        run,
        decided=_decided(run.decided, run, zone) if run.decided is not None else None,
        alarms=tuple(renewed(one, text=_said(one.text, run, zone)) for one in run.alarms),
        given_up=tuple(renewed(one, reason=_said(one.reason, run, zone)) for one in run.given_up),
        ended=renewed(run.ended, reason=_said(run.ended.reason, run, zone)) if run.ended is not None else None,
    )


def event_in_zone(event: AnyEvent, run: DueRun, zone: tzinfo) -> AnyEvent:
    """An event of a due run with what it says in ``zone``."""
    match event:
        case Decided():
            return _decided(event, run, zone)
        case Alarmed():
            return renewed(event, text=_said(event.text, run, zone))
        case GaveUp() | FollowingUp() | Ended() | Claiming() | Starting() | Released():
            return renewed(event, reason=_said(event.reason, run, zone))
    return event


def verdict_in_zone(verdict: Verdict, written: tzinfo, zone: tzinfo, near: datetime) -> Verdict:
    """A verdict with what it and its findings say in ``zone``."""

    def said(text: str) -> str:
        return text_in_zone(text, written, zone, near)

    def found(one: Finding) -> Finding:
        return renewed(one, summary=said(one.summary), remedy=said(one.remedy))

    return renewed(
        verdict,
        sentence=said(verdict.sentence),
        clears=said(verdict.clears),
        findings=tuple(found(one) for one in verdict.findings),
    )


def _decided(event: Decided, run: DueRun, zone: tzinfo) -> Decided:
    return renewed(event, verdict=verdict_in_zone(event.verdict, zone_or_utc(run.seen.zone), zone, run.key.due))


def _said(text: str, run: DueRun, zone: tzinfo) -> str:
    return text_in_zone(text, zone_or_utc(run.seen.zone), zone, run.key.due)
