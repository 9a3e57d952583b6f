"""How a night went, as the head of the digest: a sign of life, and what ends soon. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from types import MappingProxyType

from guard.decision.accept import ending
from guard.lifecycle.accepted import alarm_is_accepted, is_accepted_outcome
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import End
from guard.lifecycle.loop import Loop
from guard.lifecycle.report import UNSTARTED
from guard.outcomes.alarms import START_UNCERTAIN, XO_DID_NOT_FIRE
from guard.policy.accept_schema import AcceptRule
from guard.units import format_bytes, format_time, plural
from guard.views.status import off_text

MOST_NOTES = 5
_NOTHING: Mapping[str, int] = MappingProxyType({})
_MADE_UP_FOR = frozenset({XO_DID_NOT_FIRE.id, START_UNCERTAIN.id})
"""Alarms of a run that goes on which guard itself sees to; where it could not, the run's end says so."""


@dataclass(frozen=True)
class Night:
    """What came of the due runs that ended since the last digest. ``known``: of those that went wrong, for accepted causes
    alone. ``covered``: by another run, so nothing was lost. ``open``: not over yet; ``wrong_so_far``: of these, where a run
    of XO's failed already, or an alarm stands.
    """

    since: datetime
    due: int = 0
    well: int = 0
    covered: int = 0
    known: int = 0
    wrong: int = 0
    vms: int = 0
    sent_bytes: int = 0
    open: int = 0
    wrong_so_far: int = 0

    @property
    def is_quiet(self) -> bool:
        """Whether nothing went wrong that nobody knew."""
        return not (self.wrong or self.wrong_so_far)


def night_of(runs: Iterable[DueRun], since: datetime, until: datetime, accepts: Sequence[AcceptRule]) -> Night:
    """``runs``: all that may have ended in (since, until]; a sequence counts by its members."""
    counts: Counter[str] = Counter()
    for run in runs:
        if run.is_sequence or (run.ended is not None and not since < run.ended.at <= until):
            continue
        if run.ended is None:
            counts["open"] += run.key.due <= until
            counts["wrong_so_far"] += _went(run, accepts, until) == "wrong" or _is_alarmed(run, accepts, until)
            continue
        counts["due"] += 1
        counts[_went(run, accepts, until)] += 1
        ended = [one.ended.outcome for one in run.attempts if one.ended is not None]
        counts["vms"] += len({one.vm.id for each in ended for one in each.vms if one.status == "success"})
        counts["sent_bytes"] += sum(one.sent_bytes for one in ended)
    return Night(since=since, **counts)


def _went(run: DueRun, accepts: Sequence[AcceptRule], at: datetime) -> str:
    end = run.ended.end if run.ended is not None else None
    if end is End.COVERED:
        return "covered"
    bad = [one.ended.outcome for one in run.attempts if one.ended is not None and one.ended.outcome.status != "success"]
    if end in UNSTARTED:
        return "wrong"
    if not bad:
        return "well"
    return "known" if all(is_accepted_outcome(run, one, accepts, at) for one in bad) else "wrong"


def _is_alarmed(run: DueRun, accepts: Sequence[AcceptRule], at: datetime) -> bool:
    calling = (one for one in run.alarms if one.code not in _MADE_UP_FOR)
    return any(not alarm_is_accepted(run, one, accepts, at) for one in calling)


def night_title(night: Night, loop: Loop | None, paged: Mapping[str, int] = _NOTHING) -> str:
    """``loop``: the last look; ``paged``: code -> pages sent since the last digest. No night is called quiet in which a
    schedule was off, due times were unknown, or a person was paged.
    """
    runs = plural(night.due, "due run")
    so_far = f", {night.wrong_so_far} that {'goes' if night.wrong_so_far == 1 else 'go'} on did not so far"
    wrong = f"{night.wrong} did not go well{so_far if night.wrong_so_far else ''}"
    if loop is not None and loop.xo_error:
        return f"XO cannot be read: {runs} ended{'' if night.is_quiet else f', {wrong}'}"
    beside = _beside(loop)
    if not night.is_quiet:
        return f"{runs}: {wrong}{beside}"
    if paged:
        beside += f"; {plural(sum(paged.values()), 'page')} meanwhile"
    return f"{_well(night)}{beside}" if beside else f"Quiet night: {_well(night)}"


def _beside(loop: Loop | None) -> str:
    """What is wrong though no run shows it."""
    off = len(loop.switched_off) if loop is not None else 0
    told = f"; {plural(off, 'schedule')} {'is' if off == 1 else 'are'} off" if off else ""
    return told + ("; not all due times are watched" if loop is not None and loop.unwatched else "")


def _well(night: Night) -> str:
    runs = plural(night.due, "due run")
    if not night.due:
        return "no due run ended"
    known = f", {night.known} failed for accepted causes" if night.known else ""
    covered = f", {night.covered} covered by other runs" if night.covered else ""
    all_of = "" if known or covered else "all "
    well = f"{night.well} went well" if known or covered else f"{all_of}went well"
    return f"{runs}, {well}{covered}{known}"


def night_text(
    night: Night,
    accepts: Sequence[AcceptRule],
    loop: Loop | None,
    now: datetime,
    zone: tzinfo,
    paged: Mapping[str, int] = _NOTHING,
) -> str:
    """A line for the runs, for what was paged (code -> how often), for what comes next, and for each [[accept]] entry that
    ends soon.
    """
    since = format_time(night.since, zone)
    saved = f"{plural(night.vms, 'VM')} backed up, {format_bytes(night.sent_bytes)} sent"
    lines = [f"Since {since}: {plural(night.due, 'due run')} ended, {saved}."]
    if paged:
        lines.append(f"Paged meanwhile: {', '.join(_often(code, often) for code, often in paged.items())}.")
    if night.open:
        lines.append(f"Going on or waiting: {plural(night.open, 'due run')}.")
    if loop is not None and loop.xo_error:
        lines.append(f"XO cannot be read: {loop.xo_error}")
    elif loop is not None and loop.next_due is not None:
        whose = f", {loop.next_due_of}" if loop.next_due_of else ""
        lines.append(f"Next due: {format_time(loop.next_due, zone)}{whose}.")
    if loop is not None:
        notes = [off_text(one) for one in loop.switched_off] + [f"Not watched: {one}" for one in loop.unwatched]
        more = len(notes) - MOST_NOTES
        lines += notes[:MOST_NOTES] + [f"And {more} more; guard status lists them."] * (more > 0)
    lines += accept_lines(accepts, now)
    return "\n".join(lines)


def _often(code: str, often: int) -> str:
    told = code or "without a known cause"
    return told if often == 1 else f"{often} x {told}"


def accept_lines(accepts: Sequence[AcceptRule], now: datetime) -> list[str]:
    """The entries that end within a week."""
    return [f"accept of {one.code} for {one.scope} ends on {one.until}: {one.reason}" for one in ending(accepts, now)]
