"""The policy's windows at one instant: open or not, until when, and when the next one opens.

Without an allow window everything is allowed; a deny window wins over an allow window. A window lasts from the times of its
cron expression, in its zone, for its duration in real time: a night on which the clocks go back is an hour longer on the
wall. A time that the clocks skip opens at the first minute after the gap, one that comes twice opens both times, and
windows that overlap or touch are one stretch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache

from guard.checks.view import policy_fact
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun
from guard.mechanics.zones import zone_or_utc
from guard.policy.codes import OUTSIDE_WINDOW
from guard.policy.schema import WindowRule
from guard.units import format_time

_MINUTE = timedelta(minutes=1)
_MOST_LINKS = 1500  # of windows that pass into one another: more than the minutes of a day
_SIGHT = timedelta(days=3660)  # a little more than the longest window
_MOST_TRIES = 40  # openings of allow windows that deny windows cover


@dataclass(frozen=True)
class Opening:
    """What the windows say of one instant.

    ``opens``: when starting is allowed next, for an open one the instant itself; None: not within sight. ``closes``: when
    that stretch ends; None: it does not.
    """

    is_open: bool
    opens: datetime | None
    closes: datetime | None

    def latest_start(self, seconds: float | None) -> datetime | None:
        """The last moment at which a run of so many expected seconds (P90; None: unknown) ends inside the stretch.

        One that is longer than the stretch starts as soon as it may. None: no window ends.
        """
        if self.closes is None or self.opens is None:
            return None
        return max(self.opens, self.closes - timedelta(seconds=seconds or 0))


def opening(windows: Sequence[WindowRule], at: datetime) -> Opening:
    """``windows``: those for one schedule, each with its zone (Effective.windows)."""
    at = at.astimezone(UTC)
    allow = [one for one in windows if one.kind == "allow"]
    deny = [one for one in windows if one.kind == "deny"]
    opens = _next_open(allow, deny, at)
    if opens is None:
        return Opening(is_open=False, opens=None, closes=None)
    ends = [_until(allow, opens)] if allow else [None]
    ends += [_start(one.cron, one.zone or "utc", opens, before=False) for one in deny]
    return Opening(is_open=opens == at, opens=opens, closes=min((one for one in ends if one is not None), default=None))


def outside_window(windows: Sequence[WindowRule], run: ExpectedRun, at: datetime) -> Finding | None:
    """Why a run must not start at this instant, by the windows for its schedule; None when it may."""
    if not windows:
        return None
    found = opening(windows, at)
    if found.is_open:
        return None
    denied = [one for one in windows if one.kind == "deny" and _holds(one, at.astimezone(UTC))]
    told = denied or [one for one in windows if one.kind == "allow"]
    names = ", ".join(f'"{one.name or one.cron}"' for one in told)
    why = f"inside the deny window {names}" if denied else f"outside the allowed window {names}"
    zone = zone_or_utc(run.due.zone)
    until = format_time(found.opens, zone) if found.opens is not None else None
    return Finding(
        code=OUTSIDE_WINDOW.id,
        check="policy",
        level=Level.BLOCK,
        certainty=Certainty.CERTAIN,
        harm=Harm.PRODUCTION,  # a person said so: never started against it
        scope=Scope(ScopeKind.SCHEDULE, run.schedule.id, run.schedule.name),
        summary=f"{format_time(at, zone)} is {why}; "
        + (f"starting is allowed from {until}." if until else "no time at which it may start is in sight."),
        facts=(policy_fact("windows", names, "windows"),),
        remedy="Wait for the window, or change it in guard's policy.",
        clears=Clears(ClearedBy.TIME, found.opens),
    )


def _next_open(allow: Sequence[WindowRule], deny: Sequence[WindowRule], at: datetime) -> datetime | None:
    """The first instant from ``at`` on at which starting is allowed; None when none is in sight."""
    for _ in range(_MOST_TRIES):
        denied = _until(deny, at)
        if denied is None:
            return None
        if denied > at:
            at = denied
        elif not allow or any(_holds(one, at) for one in allow):
            return at
        else:
            at = min(_start(one.cron, one.zone or "utc", at, before=False) for one in allow)
    return None


def _until(windows: Sequence[WindowRule], at: datetime) -> datetime | None:
    """The end of the stretch that these windows cover without a gap from ``at`` on; ``at`` itself when none holds.

    None: no end is in sight.
    """
    longest_first = sorted(windows, key=lambda one: one.duration, reverse=True)
    horizon = at + _SIGHT
    for _ in range(_MOST_LINKS):
        later = next((end for one in longest_first if (end := _end(one, at)) > at), None)
        if later is None:
            return at
        if later > horizon:
            return None
        at = later
    return None


def _holds(window: WindowRule, at: datetime) -> bool:
    return _end(window, at) > at


def _end(window: WindowRule, at: datetime) -> datetime:
    """When the window that last opened at ``at`` or before ends."""
    minute = at.replace(second=0, microsecond=0) + _MINUTE
    return _start(window.cron, window.zone or "utc", minute, before=True) + window.duration


@lru_cache(maxsize=8192)
def _start(cron: str, zone: str, at: datetime, *, before: bool) -> datetime:
    """The last time of an expression before an instant, or the first one after it. UTC."""
    # takes as long to import as half of guard: only where a policy has windows
    from croniter import croniter  # type: ignore[import-untyped]  # it ships no types

    times = croniter(cron, at.astimezone(zone_or_utc(zone)), ret_type=datetime)
    found: datetime = times.get_prev() if before else times.get_next()
    return found.astimezone(UTC)
