"""What of a due run's story a person accepted ([[accept]] of the policy), so that nobody is told of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

import msgspec

from guard.decision.accept import About, accepting
from guard.decision.verdict import Held
from guard.finding import Finding, Level, Scope, ScopeKind
from guard.lifecycle.due_run import Attempt, DueRun
from guard.lifecycle.events import Alarmed
from guard.lifecycle.loop import Loop
from guard.outcomes.alarms import RUN_REFUSED, SCHEDULE_DISABLED
from guard.outcomes.causes import Cause
from guard.outcomes.outcome import Outcome
from guard.policy.accept_schema import AcceptRule


def about(run: DueRun, scopes: Iterable[Scope] = (), vms: Iterable[tuple[str, ...]] = ()) -> About:
    """What is told of a due run, by its story's names."""
    return About(
        schedule=(run.key.schedule, run.seen.schedule_name, run.key.via),
        job=(run.seen.job, run.seen.job_name),
        scopes=tuple(scopes),
        vms=tuple(vms),
    )


def loud_causes(run: DueRun, outcome: Outcome, entries: Sequence[AcceptRule], at: datetime) -> tuple[Cause, ...]:
    """Why a run failed, without what was accepted: by an entry, or in its prediction."""
    return tuple(one for one in outcome.causes if not _is_accepted_cause(run, one, entries, at))


def _is_accepted_cause(run: DueRun, cause: Cause, entries: Sequence[AcceptRule], at: datetime) -> bool:
    scopes = [one for one in (cause.scope, cause.target) if one is not None]
    is_vm = cause.scope.kind is ScopeKind.VM
    names = [(cause.scope.id, cause.scope.name)] if is_vm else []
    if accepting(entries, at, cause.code, about(run, scopes, names)) is not None:
        return True
    vm = cause.scope.id if is_vm else ""
    return any(_is_word_on(one, cause.code, vm) for one in _words(run, at))


def _is_word_on(finding: Finding, code: str, vm: str) -> bool:
    """Whether an accepted finding is about this code of this VM, '' for the whole run."""
    return finding.code == code and (not finding.holds or vm in finding.holds)


def _words(run: DueRun, at: datetime) -> list[Finding]:
    """What of the last decision is accepted; mostly nothing."""
    return [one for one in _findings(run) if one.accepted is not None and at < one.accepted.until]


def _findings(run: DueRun) -> tuple[Finding, ...]:
    return run.decided.verdict.findings if run.decided is not None else ()


def loud_findings(run: DueRun, at: datetime) -> tuple[Finding, ...]:
    """What of the last decision may hold something and is not accepted."""
    return tuple(
        one
        for one in _findings(run)
        if one.level in (Level.BLOCK, Level.UNKNOWN) and (one.accepted is None or at >= one.accepted.until)
    )


def loud_held(run: DueRun, held: Iterable[Held], at: datetime) -> tuple[Held, ...]:
    """The VMs that are held for something that is not accepted."""
    words = _words(run, at)
    return tuple(
        one
        for one in held
        if not words
        or not one.codes
        or not all(any(_is_word_on(each, code, one.vm) for each in words) for code in one.codes)
    )


def alarm_is_accepted(run: DueRun, alarm: Alarmed, entries: Sequence[AcceptRule], at: datetime) -> bool:
    """Whether nobody is to be told of an alarm: by its code, or, of a refusal, by what all of its VMs are refused for."""
    given = run.given_up[-1].vms if run.given_up and alarm.code == RUN_REFUSED.id else ()
    if accepting(entries, at, alarm.code, about(run, vms=((one.vm, one.name) for one in given))) is not None:
        return True
    if alarm.code != RUN_REFUSED.id or not run.given_up:
        return False
    if given:
        return not loud_held(run, given, at)
    standing = [one for one in _findings(run) if one.level is Level.BLOCK]
    return bool(standing) and not any(one.accepted is None or at >= one.accepted.until for one in standing)


def is_accepted_outcome(run: DueRun, outcome: Outcome, entries: Sequence[AcceptRule], at: datetime) -> bool:
    """Whether a run failed for accepted causes alone."""
    return bool(outcome.causes) and not loud_causes(run, outcome, entries, at)


def without_accepted(run: DueRun, entries: Sequence[AcceptRule], at: datetime) -> DueRun:
    """The run as monitoring shall see it: without alarms that are accepted, and what failed for accepted causes alone as if
    it had gone well.
    """
    alarms = tuple(one for one in run.alarms if not alarm_is_accepted(run, one, entries, at))
    return replace(run, alarms=alarms, attempts=tuple(_calmed(run, one, entries, at) for one in run.attempts))


def _calmed(run: DueRun, attempt: Attempt, entries: Sequence[AcceptRule], at: datetime) -> Attempt:
    if attempt.ended is None or not is_accepted_outcome(run, attempt.ended.outcome, entries, at):
        return attempt
    calm = msgspec.structs.replace(attempt.ended.outcome, status="success")
    return replace(attempt, ended=msgspec.structs.replace(attempt.ended, outcome=calm))


def loop_without_accepted(loop: Loop, entries: Sequence[AcceptRule], at: datetime) -> Loop:
    """The last look as monitoring shall see it."""
    off = tuple(
        one
        for one in loop.switched_off
        if accepting(entries, at, SCHEDULE_DISABLED.id, About(schedule=(one.schedule, one.name))) is None
    )
    return msgspec.structs.replace(loop, switched_off=off)
