"""Follow-up runs: VMs whose run is over and whose cause passes get one more start, inside the deadline. Pure.

The intent is recorded once per due time, when its story would end; from then on guard answers for these VMs as it does
for those that were deferred: they are judged anew until they may start. XO holds no fallback for them and no schedule is
taken from it: where guard is gone, the follow-up is not made, and the VMs' next due time covers them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from guard.decision.verdict import Held
from guard.finding import ScopeKind
from guard.lifecycle.claiming import RETRY, Rules, Scene
from guard.lifecycle.due_run import DueRun, FollowUp
from guard.lifecycle.events import End, FollowingUp, GaveUp, Started, Starter
from guard.lifecycle.follow_up_causes import FollowedBy, followed_by
from guard.lifecycle.next_step import STARTED_LATE, Evaluate, Record, Wait
from guard.lifecycle.resolution import Resolution, earliest, not_followed_yet
from guard.mechanics.zones import zone_or_utc
from guard.outcomes.outcome import Outcome
from guard.units import format_time, some_of

SPARE = timedelta(minutes=5)
"""A follow-up is to be over so long before XO starts the job again."""
FRESH = timedelta(minutes=2)
"""Nothing is started on facts older than this."""


@dataclass(frozen=True)
class Chances:
    """What the policy and XO's setup say of a follow-up. ``why_not``: why there is none, '' when there may be.

    ``transfers``: after a failed transfer too. ``proxied``: the job runs on a proxy of XO. ``waits_for``: what has to be
    over first, ''. ``aside``: why guard starts nothing of this schedule by its own hand now, ''. ``next_start``: when XO
    starts the job next, None where that is far or cannot be told. ``usual_s``: how long a run usually takes in seconds, None
    where nothing tells.
    """

    why_not: str = ""
    transfers: bool = False
    proxied: bool = False
    waits_for: str = ""
    aside: str = ""
    next_start: datetime | None = None
    usual_s: float | None = None


NONE = Chances(why_not="nothing went wrong")


@dataclass(frozen=True)
class StartAgain:
    """Have XO run it for these VMs."""

    vms: tuple[str, ...]
    reason: str


def went_wrong(run: DueRun) -> bool:
    """Whether any of its runs ended in anything but a success: only then there may be something to follow up."""
    return any(one.ended is not None and one.ended.outcome.status != "success" for one in run.attempts)


def intent(run: DueRun, scene: Scene, chances: Chances) -> Record | Wait | None:
    """The intent to follow up what is about to end; a wait where it is too early to tell; None where there is nothing to."""
    if chances.why_not or run.follow_up is not None or run.is_asked_by_hand or run.is_sequence:
        return None
    vms = tuple(_followed(run, chances))
    if not vms or not scene.is_read or _is_off(scene) or chances.aside or scene.bypass:
        return None
    if scene.now >= (deadline := deadline_of(run)) or _too_near(run, scene.now, chances):
        return None
    if chances.waits_for:
        return Wait(min(deadline, scene.now + RETRY))
    codes = ", ".join(dict.fromkeys(code for one in vms for code in one.codes))
    reason = f"{some_of(one.name for one in vms)}: {codes}."
    return Record((FollowingUp(at=scene.now, vms=vms, reason=reason),))


def deadline_of(run: DueRun) -> datetime:
    """Until when VMs of this due time may be started, by the last decision."""
    verdict = run.decided.verdict if run.decided is not None else None
    last = verdict.deadline if verdict is not None else None
    return last if last is not None else run.seen.expected_at + STARTED_LATE


def _followed(run: DueRun, chances: Chances) -> Iterator[Held]:
    """The VMs that came to nothing in all of these runs, for causes that pass."""
    deadline = deadline_of(run)
    for vm, (name, codes, transferred) in _lost(run).items():
        follows = followed_by(codes, transferred=transferred)
        at_proxy = chances.proxied and "RUN_INTERRUPTED" in codes  # it may well go on there, and XO does not show it
        wanted = follows is FollowedBy.START or (follows is FollowedBy.FULL and chances.transfers)
        if wanted and not at_proxy:
            yield Held(vm=vm, name=name, codes=codes, deadline=deadline)


def _lost(run: DueRun) -> dict[str, tuple[str, tuple[str, ...], bool]]:
    """VM -> name, codes, whether its transfer had begun; of all that no run of this due time saved."""
    names = {one.vm: one.name for one in (run.decided.verdict.held if run.decided is not None else ())}
    found: dict[str, tuple[str, tuple[str, ...], bool]] = {}
    saved: set[str] = set()
    ended = [(one.started, one.ended.outcome) for one in run.attempts if one.ended is not None]
    for started, outcome in ended:
        of_run = _codes_of_run(outcome)
        for one in outcome.vms:
            if one.status == "success":
                saved.add(one.vm.id)
            codes = tuple(dict.fromkeys(cause.code for cause in one.causes)) or of_run
            transferred = bool(one.targets) or (one.vm.id in found and found[one.vm.id][2])
            found[one.vm.id] = (one.vm.name or one.vm.id, codes, transferred)
        for vm in outcome.unattempted or (() if outcome.vms else _meant_for(run, started)):
            found.setdefault(vm, (names.get(vm, vm), of_run, False))
    return {vm: told for vm, told in found.items() if vm not in saved}


def _codes_of_run(outcome: Outcome) -> tuple[str, ...]:
    """Why VMs were lost with the whole run, not each for itself."""
    return tuple(dict.fromkeys(one.code for one in outcome.causes if one.scope.kind is not ScopeKind.VM))


def _meant_for(run: DueRun, started: Started) -> tuple[str, ...]:
    """What a run would have taken that came to no VM at all: those it was asked for, else what its job took when it was
    decided.
    """
    asked = next((one.starting.vms for one in run.intents if one.run == started.run), started.vms)
    if asked is not None and started.by is not Starter.FALLBACK:
        return asked
    given = {one.vm for each in run.given_up for one in each.vms}
    return tuple(vm for vm in (run.decided.vms if run.decided is not None else ()) if vm not in given)


# --- once it is meant


def next_of_follow_up(
    run: DueRun,
    follow_up: FollowUp,
    found: Resolution,
    scene: Scene,
    rules: Rules,
    chances: Chances,
    look_every: timedelta,
) -> StartAgain | Wait | Evaluate | Record | None:
    """Start, wait or give up; None when nothing is left to be done about it."""
    if found.is_over:
        return None
    deadline = found.waits_until or scene.now
    soon = Wait(scene.now + look_every)
    if run.running:
        return soon
    given = _given_up_whole(run, follow_up, found, scene, chances, deadline)
    if given is not None:
        return given
    if chances.aside or scene.bypass or scene.rolling or scene.running or chances.waits_for or _is_off(scene):
        return Wait(min(deadline, soon.until))
    first = min((earliest(follow_up, one) for one in not_followed_yet(run, follow_up)), default=scene.now)
    if scene.now < first:
        return Wait(min(first, deadline, soon.until))
    decided = run.decided
    if decided is None or decided is follow_up.before.decided:
        return Evaluate()
    if found.give_up:
        return _given_up(scene.now, found, decided.verdict.sentence)
    ago = scene.now - decided.at
    if ago >= rules.recheck_every or (scene.changed and ago >= RETRY):
        return Evaluate()
    until = min(deadline, decided.at + rules.recheck_every, soon.until)
    if found.start is None:
        return Wait(until)
    failed = run.intents[-1].failed if len(run.intents) > len(follow_up.before.intents) else None
    if failed is not None and scene.now < failed.at + RETRY:
        return Wait(min(failed.at + RETRY, until))
    return StartAgain(found.start, follow_up.intent.reason) if ago < FRESH else Evaluate()


def _given_up_whole(
    run: DueRun, follow_up: FollowUp, found: Resolution, scene: Scene, chances: Chances, deadline: datetime
) -> Record | None:
    """The end of all that waits, where it can be started no more."""
    if chances.why_not:
        return _gave_up(scene.now, found, End.REFUSED, f"No follow-up: {chances.why_not}.")
    if scene.record is None:
        return _gave_up(scene.now, found, End.REFUSED, f"Schedule {run.seen.schedule_name} is gone.")
    if scene.next_began:
        told = "The schedule's next due time came first and covers the VMs that waited."
        return _gave_up(scene.now, found, End.COVERED, told)
    if chances.next_start is not None and _too_near(run, scene.now, chances):
        at = format_time(chances.next_start, zone_or_utc(run.seen.zone))
        told = (
            f"XO starts the job again at {at}, before a follow-up would be over; that run covers the VMs that waited."
        )
        return _gave_up(scene.now, found, End.COVERED, told)
    if scene.now >= deadline:
        return _gave_up(scene.now, found, End.EXPIRED, _why_not_gone(run, follow_up))
    return None


def _is_off(scene: Scene) -> bool:
    """Whether somebody switched the schedule off: a person, or a rolling update, which switches it on again."""
    return scene.record is None or not scene.record.enabled


def _too_near(run: DueRun, now: datetime, chances: Chances) -> bool:
    """Whether a follow-up would still go on when XO starts the job again: that run must not find it running."""
    if chances.next_start is None:
        return False
    lasted = [one.ended.outcome.times.duration_s or 0 for one in run.attempts if one.ended is not None]
    seconds = chances.usual_s if chances.usual_s is not None else max(lasted, default=0)
    return now + timedelta(seconds=seconds) + SPARE >= chances.next_start


def _why_not_gone(run: DueRun, follow_up: FollowUp) -> str:
    told = "The deadline passed before a follow-up could start."
    if run.decided is None or run.decided is follow_up.before.decided:
        return told
    return f"{told} {run.decided.verdict.sentence}"


def _given_up(now: datetime, found: Resolution, sentence: str) -> Record:
    """What must not be started, or left the job; the others go on."""
    refused = any(one.codes for one in found.give_up)
    text = sentence if refused else "No longer among the VMs of the job."
    codes = [code for one in found.give_up for code in one.codes]
    return Record(
        (
            GaveUp(
                at=now,
                vms=found.give_up,
                whole=False,
                end=End.REFUSED if refused else End.COVERED,
                code=codes[0] if codes else "",
                reason=text,
            ),
        )
    )


def _gave_up(now: datetime, found: Resolution, end: End, reason: str) -> Record:
    return Record((GaveUp(at=now, vms=(*found.wait, *found.give_up), whole=True, end=end, reason=reason),))
