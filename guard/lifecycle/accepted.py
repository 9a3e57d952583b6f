"""What of a due run's story a person accepted ([[accept]] of the policy), so that nobody is told of it. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime, timedelta

import msgspec

from guard.decision.accept import About, accepting, is_by
from guard.decision.verdict import Held
from guard.finding import Finding, Level, Scope, ScopeKind
from guard.lifecycle.due_run import Attempt, DueRun
from guard.lifecycle.events import Alarmed
from guard.lifecycle.loop import Loop
from guard.outcomes.alarms import RUN_REFUSED, SCHEDULE_DISABLED
from guard.outcomes.causes import Cause
from guard.outcomes.outcome import Outcome
from guard.policy.accept_schema import AcceptRule

_A_MOMENT = timedelta(microseconds=1)


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
    if accepting(entries, at, cause.code, _about_cause(run, cause)) is not None:
        return True
    vm = cause.scope.id if cause.scope.kind is ScopeKind.VM else ""
    words = [one for one in _words(run, at) if _is_word_on(one, cause.code, vm)]
    return any(_is_same_thing(one.scope, cause.target) for one in words)


def predicted(run: DueRun, cause: Cause) -> Finding | None:
    """The finding by which the last decision foretold this very cause; None where it did not."""
    vm = cause.scope.id if cause.scope.kind is ScopeKind.VM else ""
    told = (one for one in _findings(run) if one.level is not Level.OK and _is_word_on(one, cause.code, vm))
    return next((one for one in told if _is_same_thing(one.scope, cause.target)), None)


def _about_cause(run: DueRun, cause: Cause) -> About:
    scopes = [one for one in (cause.scope, cause.target) if one is not None]
    names = [(cause.scope.id, cause.scope.name)] if cause.scope.kind is ScopeKind.VM else []
    return about(run, scopes, names)


def _is_word_on(finding: Finding, code: str, vm: str) -> bool:
    """Whether a finding is about this code of this VM, '' for the whole run."""
    if finding.code != code:
        return False
    if finding.holds:
        return vm in finding.holds
    return finding.scope.kind is not ScopeKind.VM or finding.scope.id == vm


def _is_same_thing(found: Scope, target: Scope | None) -> bool:
    """Whether what was predicted of a repository or SR is about the one that missed its copy, where the log tells that."""
    return target is None or found.kind is not target.kind or found.id == target.id


def _words(run: DueRun, at: datetime) -> list[Finding]:
    """What of the last decision is accepted; mostly nothing."""
    return [one for one in _findings(run) if _is_known(one, at)]


def _is_known(finding: Finding, at: datetime) -> bool:
    """Whether a person accepted it, for so long."""
    return finding.accepted is not None and at < finding.accepted.until


def _findings(run: DueRun) -> tuple[Finding, ...]:
    return run.decided.verdict.findings if run.decided is not None else ()


def loud_findings(run: DueRun, at: datetime) -> tuple[Finding, ...]:
    """What of the last decision may hold something and is not accepted."""
    return tuple(one for one in _findings(run) if one.level in (Level.BLOCK, Level.UNKNOWN) and not _is_known(one, at))


def loud_warnings(run: DueRun, at: datetime) -> tuple[Finding, ...]:
    """What the last decision only warns of and is not accepted."""
    return tuple(one for one in _findings(run) if one.level is Level.WARN and not _is_known(one, at))


def loud_held(run: DueRun, held: Iterable[Held], at: datetime) -> tuple[Held, ...]:
    """The VMs that are held for something that is not accepted."""
    words, loud = _words(run, at), loud_findings(run, at)
    return tuple(
        one
        for one in held
        if not words
        or not one.codes
        or not all(any(_is_word_on(each, code, one.vm) for each in words) for code in one.codes)
        or any(_is_word_on(each, code, one.vm) for each in loud for code in one.codes)
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
    return bool(standing) and all(_is_known(one, at) for one in standing)


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


def still_there(runs: Iterable[DueRun], entry: AcceptRule) -> tuple[str, ...]:
    """What an entry that ends accepted up to then and is still there, as sentences: findings of each schedule's last
    decision, causes of its last run that ended, alarms of what goes on.
    """
    ordered = sorted(runs, key=lambda run: run.key.due)
    judged = {run.key.schedule: run for run in ordered if run.decided is not None}
    over = {run.key.schedule: run for run in ordered if any(one.ended is not None for one in run.attempts)}
    told = [
        one.summary
        for run in judged.values()
        for one in _findings(run)
        if one.code == entry.code and is_by(one.accepted, entry)
    ]
    at = entry.ends - _A_MOMENT
    for run in over.values():
        last = [one.ended.outcome for one in run.attempts if one.ended is not None][-1]
        told += [
            f"{one.scope.name or one.scope.id}: {one.code}: {one.text}"
            for one in last.causes
            if accepting((entry,), at, one.code, _about_cause(run, one)) is not None
        ]
    told += [
        alarm.text
        for run in ordered
        if run.ended is None
        for alarm in run.alarms
        if alarm.code == entry.code and alarm_is_accepted(run, alarm, (entry,), at)
    ]
    return tuple(dict.fromkeys(told))


def loop_without_accepted(loop: Loop, entries: Sequence[AcceptRule], at: datetime) -> Loop:
    """The last look as monitoring shall see it."""
    off = tuple(
        one
        for one in loop.switched_off
        if accepting(entries, at, SCHEDULE_DISABLED.id, About(schedule=(one.schedule, one.name))) is None
    )
    return msgspec.structs.replace(loop, switched_off=off)
