"""How long what is held may wait: a run as a whole, and each of its VMs. Pure.

A run waits until ``max_defer`` after its due time, by default 6 hours or half the time to the schedule's next due time
where that is less, and no longer than its windows let it start. A VM moreover waits only until its last good backup gets
too old, but for an hour at least; that does not count where only a person can clear what holds the VM, since an earlier
start would meet the same.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec

from guard.decision.windows import opening
from guard.estate.xo_records import Schedule
from guard.finding import ClearedBy, Finding
from guard.mechanics.due import DueTime, due_times
from guard.mechanics.history import quantiles
from guard.mechanics.outlook import ExpectedRun
from guard.policy.resolve import Effective

LONGEST_WAIT = timedelta(hours=6)
SHORTEST_BY_AGE = timedelta(hours=1)
ENOUGH_BACKUPS = 3
USUAL_INTERVALS = 3  # so many may pass between two good backups of a VM
_LOOK_AHEAD = (timedelta(hours=1), 2 * LONGEST_WAIT)  # a next due time beyond does not shorten the wait


def interval_after(due: DueTime, schedule: Schedule) -> timedelta | None:
    """The time to the next due time of what fires this one; None when it is 12 hours or more, or cannot be told."""
    if not due.cron:
        return None
    begin = due.sequence_at or due.at
    fired = msgspec.structs.replace(schedule, cron=due.cron)
    for reach in _LOOK_AHEAD:
        later = due_times(fired, zone=due.zone, after=begin, until=begin + reach)
        if later:
            return later[0].at - begin
    return None


def run_deadline(run: ExpectedRun, policy: Effective, interval: timedelta | None) -> datetime:
    """Until when a due run may wait as a whole. ``interval``: to the next due time of its schedule, None: 12 h or more.

    Windows count as they are from the due time on: the stretch it lies in, else the next one.
    """
    usual = LONGEST_WAIT if interval is None else min(LONGEST_WAIT, interval / 2)
    last = run.due.at + (usual if policy.max_defer is None else policy.max_defer)
    if run.due.storm is not None:  # its honest start comes after the gap of the clocks
        last = max(last, run.due.storm.last + SHORTEST_BY_AGE)
    if not policy.windows:
        return last
    latest = opening(policy.windows, run.due.at).latest_start(run.seconds.p90)
    return last if latest is None else min(last, latest)


def vm_deadlines(
    held: Mapping[str, Sequence[Finding]],
    *,
    due: datetime,
    deadline: datetime,
    backups: Mapping[str, Sequence[int]],
    max_backup_age: timedelta | None,
) -> dict[str, datetime]:
    """Until when each held VM may wait. ``held``: VM id -> what holds it; ``deadline``: of the whole run.

    ``backups``: VM id -> when its good backups began (ms epoch), oldest first; of a VM without any nothing is known, and
    the run's deadline is its own.
    """
    found = {}
    for vm, reasons in held.items():
        known = backups.get(vm, ())
        oldest = _oldest_allowed(known, max_backup_age)
        by_person = all(one.clears.by is ClearedBy.PERSON for one in reasons)
        if oldest is None or by_person:
            found[vm] = deadline
            continue
        too_old = datetime.fromtimestamp(known[-1] / 1000, UTC) + oldest
        found[vm] = min(deadline, max(too_old, due + SHORTEST_BY_AGE))
    return found


def _oldest_allowed(backups: Sequence[int], max_backup_age: timedelta | None) -> timedelta | None:
    """The age at which a VM's last good backup is too old; None where that cannot be told."""
    if not backups:
        return None
    if max_backup_age is not None:
        return max_backup_age
    if len(backups) < ENOUGH_BACKUPS:
        return None
    usual = quantiles([later - earlier for earlier, later in pairwise(backups)]).p50 or 0
    return timedelta(milliseconds=USUAL_INTERVALS * usual)
