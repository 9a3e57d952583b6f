"""What a span of due runs adds up to: ends, causes, how good the predictions were, and who may be trusted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta

import msgspec

from guard.decision.verdict import Action
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import BY_HAND, End, RunKey
from guard.lifecycle.in_force import TOO_OFTEN, fires_too_often, is_enforced, sequences_of
from guard.outcomes.score import RunScore, Tally, score_run, tally
from guard.policy.schema import Policy
from guard.units import plural

ENOUGH_RUNS = 7
ON_TIME = timedelta(seconds=60)
SEEN = frozenset({End.OBSERVED, End.LEFT_TO_XO, End.RAN, End.RAN_IN_PART})
UNSTARTED = frozenset({End.MISSED, End.REFUSED, End.EXPIRED, End.RAN_IN_PART})
"""Ends after which something that was due was not started."""
WOLF_FALSE_ALARMS = 2  # a code that was wrong more often than right, and more than once


class ScheduleRecord(msgspec.Struct, frozen=True, kw_only=True):
    """How one schedule fared. ``observed``: a run was seen, whoever started it.
    ``predicted``: runs guard had predicted and then saw end, without acting on them. ``on_time``: of its starts.

    ``not_ready``: why it is not offered for enforcement, '' when it is. ``enforced``: by the policy in force. ``left_to_xo``:
    why guard does not act on it all the same, '' where it does.
    """

    id: str
    name: str
    job_name: str
    due: int
    observed: int
    missed: int
    failed: int
    predicted: int
    false_blocks: int
    on_time: int
    would_hold: int
    not_ready: str
    enforced: bool = False
    left_to_xo: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """``causes``: code -> how many runs or VMs it cost. ``wolves``: codes that cry wolf. ``open``: not over yet.

    ``failed``: what went wrong, by due time.
    """

    since: datetime
    until: datetime
    due: int
    ends: Mapping[str, int]
    open: int
    statuses: Mapping[str, int]
    causes: Mapping[str, int]
    tallies: Mapping[str, Tally]
    schedules: tuple[ScheduleRecord, ...]
    would_have: Mapping[str, int]
    wolves: tuple[str, ...]
    failed: tuple[DueRun, ...]


def make_report(runs: Iterable[DueRun], since: datetime, until: datetime, policy: Policy | None = None) -> Report:
    """The report over due runs with since <= due < until; a sequence counts by its members. ``policy``: the one in force,
    which says what is enforced; None: their stories do.
    """
    runs = tuple(runs)
    sequences = sequences_of(runs)
    mine = sorted((run for run in runs if not run.is_sequence), key=lambda run: run.key)
    scores = {run.key: score_of(run) for run in mine}
    tallies = tally(score for score in scores.values() if score is not None)
    causes = Counter(
        cause.code for run in mine for one in run.attempts if one.ended for cause in one.ended.outcome.causes
    )
    by_schedule: dict[str, list[DueRun]] = {}
    for run in mine:
        by_schedule.setdefault(run.key.schedule, []).append(run)
    return Report(
        since=since,
        until=until,
        due=len(mine),
        ends=dict(Counter(run.ended.end.value for run in mine if run.ended is not None)),
        open=sum(1 for run in mine if run.ended is None),
        statuses=dict(Counter(one.ended.outcome.status for run in mine for one in run.attempts if one.ended)),
        causes=dict(causes.most_common()),
        tallies=tallies,
        schedules=tuple(_record(group, scores, policy, sequences) for group in by_schedule.values()),
        would_have=dict(
            Counter(
                run.decided.verdict.action.value
                for run in mine
                if run.decided is not None and not run.decided.aside and not _was_enforced(run)
            )
        ),
        wolves=tuple(
            code
            for code, one in tallies.items()
            if one.false_alarms >= WOLF_FALSE_ALARMS and one.false_alarms > one.hits
        ),
        failed=tuple(sorted((run for run in mine if _went_wrong(run)), key=lambda run: run.key.due)),
    )


def _was_enforced(run: DueRun) -> bool:
    """Whether guard acted on it, or would have if it had to."""
    return run.claim is not None or bool(run.intents) or (run.decided is not None and run.decided.acts)


def score_of(run: DueRun) -> RunScore | None:
    """Its prediction against its outcome.

    None where there is nothing to compare: no prediction, no run that ended, or one that guard itself changed.
    """
    if run.claim is not None or run.intents:
        return None
    outcomes = [one.ended.outcome for one in run.attempts if one.ended is not None]
    if run.decided is None or not outcomes:
        return None
    return score_run(run.decided.verdict.findings, outcomes)


def _went_wrong(run: DueRun) -> bool:
    badly = run.ended is not None and run.ended.end in UNSTARTED
    return badly or any(one.ended is not None and one.ended.outcome.status != "success" for one in run.attempts)


def _on_time(run: DueRun) -> bool:
    return any(abs(one.started.began - start) <= ON_TIME for one in run.attempts for start in run.seen.starts)


def _record(
    runs: Sequence[DueRun],
    scores: Mapping[RunKey, RunScore | None],
    policy: Policy | None,
    sequences: Mapping[str, DueRun],
) -> ScheduleRecord:
    last = runs[-1]
    due = ([run for run in runs if run.key.via != BY_HAND] or runs)[-1]
    enforced = is_enforced(policy, due, sequences) if policy is not None else None
    if enforced is None:
        enforced = any(_was_enforced(run) and not run.is_asked_by_hand for run in runs)
    left_to_xo = TOO_OFTEN if fires_too_often(due) else ""
    scored = [score for run in runs if (score := scores[run.key]) is not None]
    false_blocks = sum(1 for score in scored if score.false_block)
    started = [run for run in runs if run.attempts]
    on_time = sum(1 for run in started if _on_time(run))
    judged = [run.decided for run in runs if run.decided is not None and not run.is_asked_by_hand]
    held = sum(1 for one in judged if one.verdict.action is not Action.START)
    return ScheduleRecord(
        id=last.key.schedule,
        name=last.seen.schedule_name,
        job_name=last.seen.job_name,
        due=len(runs),
        observed=sum(1 for run in runs if run.ended is not None and run.ended.end in SEEN),
        missed=sum(1 for run in runs if run.ended is not None and run.ended.end is End.MISSED),
        failed=sum(1 for run in runs if _went_wrong(run)),
        predicted=len(scored),
        false_blocks=false_blocks,
        on_time=on_time,
        would_hold=held,
        not_ready=f"{left_to_xo}, and guard leaves such a schedule to XO"
        if left_to_xo
        else _not_ready(len(scored), false_blocks, len(started), on_time),
        enforced=enforced,
        left_to_xo=left_to_xo,
    )


def _not_ready(predicted: int, false_blocks: int, started: int, on_time: int) -> str:
    if predicted < ENOUGH_RUNS:
        return f"{predicted} of {ENOUGH_RUNS} runs predicted and seen"
    if false_blocks:
        return f"{plural(false_blocks, 'run')} would have been held for nothing"
    if on_time < started:
        return f"{started - on_time} of {plural(started, 'start')} did not come at the predicted time"
    return ""
