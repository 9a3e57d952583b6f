"""Which due runs guard acts on by the policy in force, whatever it said when they were due; and what it never acts on."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import timedelta

import msgspec

from guard.estate.xo_records import Schedule
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import BY_HAND
from guard.mechanics.due import due_times
from guard.policy.resolve import asks_for
from guard.policy.schema import Policy
from guard.units import format_duration

SHORTEST_INTERVAL = timedelta(minutes=30)
"""A schedule that fires more often is never claimed: there is no time to hold it and give it back between two of its runs."""
TOO_OFTEN = f"it fires more often than every {format_duration(SHORTEST_INTERVAL.total_seconds())}"
_A_MINUTE = timedelta(minutes=1)


def sequences_of(runs: Iterable[DueRun]) -> Mapping[str, DueRun]:
    """The last story of each sequence, by the id of its schedule."""
    return {run.key.schedule: run for run in sorted(runs, key=lambda run: run.key) if run.is_sequence}


def is_enforced(policy: Policy, run: DueRun, sequences: Mapping[str, DueRun]) -> bool | None:
    """Whether the policy says enforce; of a sequence's run, for the sequence. None where only XO could tell, since an entry
    that matches by a VM tag may, or the sequence is not known.
    """
    told_by = sequences.get(run.key.via) if run.key.via not in ("", BY_HAND) else run
    if told_by is None:
        return None
    seen, found, is_sure = told_by.seen, str(policy.defaults.gate), True
    for rule in policy.schedules:
        gate = rule.changes.get("gate")
        bare = msgspec.structs.replace(rule, tag=None)
        if gate is None or not asks_for(bare, told_by.key.schedule, seen.schedule_name, seen.job_name, ()):
            continue
        if rule.tag is None:
            found, is_sure = str(gate), True
        elif gate != found:
            is_sure = False
    return found == "enforce" if is_sure else None


def fires_too_often(run: DueRun) -> bool:
    """Whether another due time of what fires it is less than ``SHORTEST_INTERVAL`` away."""
    if run.key.via == BY_HAND:
        return False
    schedule = Schedule(id=run.fired_by, cron=run.seen.cron)
    near = run.key.due - SHORTEST_INTERVAL, run.key.due + SHORTEST_INTERVAL - _A_MINUTE
    found = due_times(schedule, zone=run.seen.zone, after=near[0], until=near[1])
    return any(one.at != run.key.due for one in found)


def left_to_xo(policy: Policy, runs: Iterable[DueRun]) -> tuple[str, ...]:
    """``"job / schedule"`` of what is enforced, and by its last due time fires too often for guard to act on it."""
    runs = sorted((run for run in runs if run.key.via != BY_HAND), key=lambda run: run.key)
    sequences = sequences_of(runs)
    last = {run.key.schedule: run for run in runs}
    return tuple(
        f"{run.seen.job_name} / {run.seen.schedule_name}"
        for run in last.values()
        if is_enforced(policy, run, sequences) and fires_too_often(run)
    )
