"""How a night went, as the head of the digest: a sign of life, and what ends soon. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from guard.decision.accept import ending
from guard.lifecycle.accepted import is_accepted_outcome
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import End
from guard.lifecycle.loop import Loop
from guard.lifecycle.report import UNSTARTED
from guard.policy.accept_schema import AcceptRule
from guard.units import format_bytes, format_time, plural


@dataclass(frozen=True)
class Night:
    """What came of the due runs that ended since the last digest. ``known``: of those that went wrong, for accepted causes
    alone. ``covered``: by another run, so nothing was lost. ``open``: not over yet; ``wrong_so_far``: of these, where a run
    of XO's failed already.
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
            counts["wrong_so_far"] += _went(run, accepts, until) == "wrong"
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


def night_title(night: Night, loop: Loop | None) -> str:
    """``loop``: the last look."""
    runs = plural(night.due, "due run")
    if loop is not None and loop.xo_error:
        return f"XO cannot be read: {runs} ended"
    if not night.is_quiet:
        so_far = f", {night.wrong_so_far} that {'goes' if night.wrong_so_far == 1 else 'go'} on did not so far"
        return f"{runs}: {night.wrong} did not go well{so_far if night.wrong_so_far else ''}"
    if not night.due:
        return "Quiet night: no due run ended"
    known = f", {night.known} failed for accepted causes" if night.known else ""
    covered = f", {night.covered} covered by other runs" if night.covered else ""
    all_of = "" if known or covered else "all "
    well = f"{night.well} went well" if known or covered else f"{all_of}went well"
    return f"Quiet night: {runs}, {well}{covered}{known}"


def night_text(night: Night, accepts: Sequence[AcceptRule], loop: Loop | None, now: datetime, zone: tzinfo) -> str:
    """A line for the runs, for what comes next, and for each [[accept]] entry that ends soon."""
    since = format_time(night.since, zone)
    saved = f"{plural(night.vms, 'VM')} backed up, {format_bytes(night.sent_bytes)} sent"
    lines = [f"Since {since}: {plural(night.due, 'due run')} ended, {saved}."]
    if night.open:
        lines.append(f"Going on or waiting: {plural(night.open, 'due run')}.")
    if loop is not None and loop.xo_error:
        lines.append(f"XO cannot be read: {loop.xo_error}")
    elif loop is not None and loop.next_due is not None:
        lines.append(f"Next due: {format_time(loop.next_due, zone)}.")
    lines += accept_lines(accepts, now)
    return "\n".join(lines)


def accept_lines(accepts: Sequence[AcceptRule], now: datetime) -> list[str]:
    """The entries that end within a week."""
    return [f"accept of {one.code} for {one.scope} ends on {one.until}: {one.reason}" for one in ending(accepts, now)]
