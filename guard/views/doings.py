"""What guard holds and has changed in XO at this moment, by the ledger: in words and as documents."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Any

from guard.decision.brakes import Brake, in_force
from guard.lifecycle.due_run import Claim, ClaimState, DueRun
from guard.lifecycle.resolution import expected_standby, is_ours, resolve
from guard.mechanics.fallback import Fallback, FallbackKind, at_minutes
from guard.units import format_time, plural, some_of
from guard.views.brakes import brake_document, brake_text
from guard.views.text import wrap

_MOST_NAMES = 5
STATES = {
    ClaimState.PLACING: "is being switched off in XO",
    ClaimState.HELD: "is off in XO",
    ClaimState.RELEASING: "is being switched on again in XO",
    ClaimState.RELEASED: "is XO's again",
}
DROP_UNDO = "delete the job of that name in XO, or guard release --all without the daemon"


@dataclass(frozen=True)
class Deferral:
    """What waits of a due run: ``vms`` by name, () for all of it; ``codes``: why. ``next_check`` None: not known."""

    run: DueRun
    vms: tuple[str, ...]
    codes: tuple[str, ...]
    deadline: datetime
    next_check: datetime | None


@dataclass(frozen=True)
class Expected:
    """A fallback that by the ledger is in XO; ``at``: when it acts first."""

    run: DueRun
    fallback: Fallback
    at: datetime


@dataclass(frozen=True)
class Doings:
    """``claimed``: the due runs whose schedule guard may have off."""

    claimed: tuple[DueRun, ...] = ()
    fallbacks: tuple[Expected, ...] = ()
    deferrals: tuple[Deferral, ...] = ()
    brakes: tuple[Brake, ...] = ()


NOTHING = Doings()


def doings(
    runs: Iterable[DueRun],
    now: datetime,
    *,
    brakes: Sequence[Brake] = (),
    instance: str = "",
    recheck_of: Callable[[DueRun], timedelta] | None = None,
) -> Doings:
    """``runs``: the open ones; ``instance``: this guard's name in XO; ``recheck_of``: how often a run is judged anew."""
    ordered = sorted((run for run in runs if run.ended is None), key=lambda run: run.key)
    return Doings(
        claimed=tuple(run for run in ordered if run.has_claim),
        fallbacks=tuple(one for run in ordered for one in _fallbacks(run, now, instance)),
        deferrals=tuple(one for run in ordered if (one := _deferral(run, now, recheck_of)) is not None),
        brakes=in_force(brakes, now),
    )


def _fallbacks(run: DueRun, now: datetime, instance: str) -> list[Expected]:
    claim = run.claim
    found: list[Expected] = []

    def add(kind: FallbackKind, minutes: Sequence[datetime]) -> None:
        due = run.key.due.astimezone(UTC)
        made = Fallback(kind=kind, schedule=run.key.schedule, due=due, cron=at_minutes(minutes), instance=instance)
        found.append(Expected(run, made, minutes[0]))

    answers = run.has_claim or is_ours(run)
    if answers and run.standbys and expected_standby(run, now) is not None:
        add(FallbackKind.START, run.standbys[-1:])
    if claim is not None and claim.stands:
        add(FallbackKind.RELEASE, claim.intent.release_at)
    return found


def _deferral(run: DueRun, now: datetime, recheck_of: Callable[[DueRun], timedelta] | None) -> Deferral | None:
    if run.decided is None or not (run.has_claim or is_ours(run)):
        return None
    waits = resolve(run, now)
    if waits.waits_until is None:
        return None
    codes = [code for one in waits.wait for code in one.codes] or [one.code for one in run.decided.verdict.findings]
    check = None if recheck_of is None else min(run.decided.at + recheck_of(run), waits.waits_until)
    return Deferral(run, tuple(one.name for one in waits.wait), tuple(dict.fromkeys(codes)), waits.waits_until, check)


# --- in words


def doings_lines(told: Doings, zone: tzinfo) -> list[str]:
    """Nothing where guard holds nothing, changed nothing, and nobody told it to."""
    lines: list[str] = []
    for run in told.claimed:
        lines += wrap(f"Claimed: {claim_text(run, zone)}. Undo: {claim_undo(run)}.", "  ", first="")
    for one in told.fallbacks:
        lines += wrap(f"In XO: {fallback_text(one, zone)}. Undo: {DROP_UNDO}.", "  ", first="")
    for waiting in told.deferrals:
        lines += wrap(f"Deferred: {deferral_text(waiting, zone)}.", "  ", first="")
    for brake in told.brakes:
        undo = f"guard un{brake.kind} {shlex.quote(brake.scope)}"
        lines += wrap(f"By hand: {brake_text(brake, zone)}. Undo: {undo}.", "  ", first="")
    return lines


def name_of(run: DueRun, zone: tzinfo) -> str:
    """The job, the schedule and the due time."""
    return f"{run.seen.job_name} / {run.seen.schedule_name}, due {format_time(run.key.due, zone)}"


def claim_text(run: DueRun, zone: tzinfo) -> str:
    """Where a claim stands, since when, and until when, without a full stop."""
    claim = _claim(run)
    until = f"until it is due, by XO's fallback at {format_time(claim.intent.release_at[0], zone)}"
    since = format_time(claim.intent.at, zone)
    return f"{name_of(run, zone)}: the schedule {STATES[claim.state]} since {since}, {until}"


def claim_undo(run: DueRun) -> str:
    """How a person gets the schedule back."""
    scope = shlex.quote(f"schedule:{_claim(run).intent.found.id}")
    return f"guard bypass {scope} --reason ..., without the daemon guard release, or enable it in XO"


def fallback_text(one: Expected, zone: tzinfo) -> str:
    """What a fallback will do, and when, without a full stop."""
    does = "starts the schedule" if one.fallback.kind is FallbackKind.START else "enables the schedule"
    return f"{one.fallback.name} {does} at {format_time(one.at, zone)} if guard is gone"


def deferral_text(one: Deferral, zone: tzinfo) -> str:
    """Who waits, why, until when and when guard looks again, without a full stop."""
    who = f"{plural(len(one.vms), 'VM')} ({some_of(one.vms, _MOST_NAMES)})" if one.vms else "all of it"
    check = f", judged anew at {format_time(one.next_check, zone)}" if one.next_check is not None else ""
    why = f" for {', '.join(one.codes)}" if one.codes else ""
    return f"{name_of(one.run, zone)}: {who}{why}, until {format_time(one.deadline, zone)} at most{check}"


def _claim(run: DueRun) -> Claim:
    if run.claim is None:
        raise ValueError("this due run has no claim")
    return run.claim


# --- as documents


def doings_document(told: Doings) -> dict[str, Any]:
    """Its part of ``guard.status/1``: ``claims``, ``fallbacks``, ``deferrals``, ``brakes``, and ``changed``: all that
    guard changed in XO, each with its undo.
    """
    changed = [
        {"what": f"schedule {_claim(run).intent.found.id} {STATES[_claim(run).state]}", "undo": claim_undo(run)}
        for run in told.claimed
    ]
    changed += [{"what": f"job {one.fallback.name}", "undo": DROP_UNDO} for one in told.fallbacks]
    return {
        "claims": [_claim_document(run, _claim(run)) for run in told.claimed],
        "fallbacks": [
            {
                "name": one.fallback.name,
                "kind": one.fallback.kind.value,
                "schedule": one.fallback.schedule,
                "due": one.fallback.due.isoformat(),
                "at": one.at.isoformat(),
            }
            for one in told.fallbacks
        ],
        "deferrals": [
            {
                "schedule": one.run.key.schedule,
                "due": one.run.key.due.isoformat(),
                "vms": list(one.vms),
                "codes": list(one.codes),
                "deadline": one.deadline.isoformat(),
                "next_check": one.next_check.isoformat() if one.next_check is not None else None,
            }
            for one in told.deferrals
        ],
        "brakes": [brake_document(one) for one in told.brakes],
        "changed": changed,
    }


def _claim_document(run: DueRun, claim: Claim) -> dict[str, Any]:
    return {
        "schedule": claim.intent.found.id,
        "name": claim.intent.found.name,
        "job": run.seen.job_name,
        "due": run.key.due.isoformat(),
        "state": claim.state.value,
        "since": claim.intent.at.isoformat(),
        "until": run.key.due.isoformat(),
        "enabled_by_xo_at": [one.isoformat() for one in claim.intent.release_at],
    }
