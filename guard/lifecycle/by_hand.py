"""guard start: what a person asked for, held against the facts by what the gate itself asks. Pure.

The run is judged as if it were due now. Its story is one of its own, at no due time.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from guard.assess import Situation, look_again
from guard.checks import CODES
from guard.checks.chain import CHAIN_UNHEALTHY
from guard.decision.named import schedules_of_job
from guard.decision.verdict import Action, Held, Verdict
from guard.errors import UsageError
from guard.estate.estate import Estate, PartName, require
from guard.estate.xo_records import Job, Schedule
from guard.finding import Level
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import AnyEvent, Decided, End, GaveUp, Seen
from guard.mechanics.due import DueTime
from guard.mechanics.selection import Selector, left_out_because
from guard.mechanics.zones import resolve
from guard.policy.codes import POLICY_CODES
from guard.policy.schema import Policy
from guard.units import plural, some_of

STARTABLE = ("backup", "mirrorBackup")
HOLDING = frozenset(CODES) | {code.id for code in POLICY_CODES}
"""The codes that can hold a start back."""

CHAIN_BYPASS = "bypassVdiChainsCheck"
"""XO's setting, since 5.37, with which it takes a snapshot whatever waits in the VM's chains (failure-modes.md 3.1). guard
sends it for ``--override CHAIN_UNHEALTHY``, and for nothing else.
"""

NEVER_OVERRIDDEN = {
    "SETTINGS_MISSING": "XO itself would crash at the start",
    "JOB_RUNNING": "XO runs a job once at a time and would log a failure",
    "JOB_STUCK": "XO runs a job once at a time and would log a failure",
    "REPOSITORY_DISABLED": "where it holds a run, XO refuses the whole run",
    "NO_VM_MATCHES": "there is no VM to start",
}
"""Codes against which no start comes to anything: code -> why."""


@dataclass(frozen=True)
class Wish:
    """What a person asked for. ``vms``: names or ids, () for all the job takes; ``overridden``: codes; ``by``: who."""

    schedule: str
    vms: tuple[str, ...] = ()
    overridden: tuple[str, ...] = ()
    reason: str = ""
    by: str = "somebody"


@dataclass(frozen=True)
class Judged:
    """A wish held against the facts. ``zone``: that of the schedule; ``vms``: ids of the VMs in question, with ``names``.

    ``lifted``: overridden code -> the ids of the VMs that would be left out if it were not, () for the whole run; a code
    whose overriding changes nothing is not in it. ``facts_at``: when XO was read. ``unchecked``: the ids of the VMs that
    start although XO's own chain check would skip them: it is switched off for them.
    """

    wish: Wish
    schedule: Schedule
    job: Job
    zone: str
    vms: tuple[str, ...]
    names: Mapping[str, str]
    verdict: Verdict
    lifted: Mapping[str, tuple[str, ...]]
    facts_at: datetime
    at: datetime
    unchecked: tuple[str, ...] = ()

    @property
    def settings(self) -> Mapping[str, Mapping[str, int | bool]]:
        """What of the job's settings is different in this run: as the verdict says, and of each VM whose chain a person said
        shall not matter. A VM's own settings are the narrowest, and win (xo-api.md 3.1.2).
        """
        return {**self.verdict.settings, **{vm: {CHAIN_BYPASS: True} for vm in self.unchecked}}

    @property
    def starts(self) -> bool:
        """Whether there is anything to start. A job without a VM would "succeed" without a backup."""
        has_any = bool(self.vms) or self.job.type != "backup"
        return has_any and self.verdict.action in (Action.START, Action.START_SOME)

    @property
    def start_vms(self) -> tuple[str, ...] | None:
        """What XO is to be given: None for all the job takes."""
        if self.verdict.action is Action.START and not self.wish.vms:
            return None
        return self.verdict.start_vms

    @property
    def held(self) -> tuple[Held, ...]:
        """The VMs that are not started."""
        return self.verdict.held

    @property
    def is_whole(self) -> bool:
        return self.starts and not self.held


@dataclass(frozen=True)
class Done:
    """What a start came to. ``run``: its story, None where nothing was asked of XO; ``error``: why, or what is unknown."""

    run: DueRun | None = None
    error: str = ""


# --- what is meant


def known_codes(codes: Iterable[str]) -> tuple[str, ...]:
    """The codes of ``--override`` as guard writes them, each once. Raises UsageError."""
    found = tuple(dict.fromkeys(code.strip().upper() for code in codes if code.strip()))
    for code in found:
        if code not in HOLDING:
            near = difflib.get_close_matches(code, sorted(HOLDING), n=3, cutoff=0.5)
            meant = f"; did you mean {' or '.join(near)}?" if near else "; guard explain lists the codes"
            raise UsageError(f"--override {code}: no code of that name holds a start back{meant}")
        if code in NEVER_OVERRIDDEN:
            raise UsageError(f"--override {code}: this cannot be overridden: {NEVER_OVERRIDDEN[code]}")
    return found


def find_schedule(estate: Estate, wanted: str) -> tuple[Schedule, Job]:
    """The schedule of that id or name, or the only one of the job of that id or name; with its job.

    Raises UsageError naming what there is, XoError.
    """
    require(estate, PartName.SCHEDULES, PartName.JOBS)
    by_id = estate.schedule_by_id.get(wanted)
    found = [by_id] if by_id is not None else [one for one in estate.schedules if one.name == wanted]
    if not found:
        of_job = schedules_of_job(wanted, estate)
        found = list(of_job) if len(of_job) == 1 else []
    if len(found) > 1:
        raise UsageError(f"{wanted!r}: {len(found)} schedules have that name; give the id: {_listed(estate, found)}")
    if not found:
        raise UsageError(f"{wanted!r}: XO has no schedule of that id or name{_instead(estate, wanted)}")
    schedule = found[0]
    if schedule.job_id in estate.call_job_by_id:
        raise UsageError(
            f"{wanted!r} is a sequence, or another call job of XO's: guard start takes the schedule of a backup or mirror "
            "job; start the sequence's members one by one, or the sequence in XO"
        )
    job = estate.job_by_id.get(schedule.job_id or "")
    if job is None:
        raise UsageError(
            f"{wanted!r}: XO has no job {schedule.job_id or '(none)'} for this schedule: nothing can start"
        )
    if job.type not in STARTABLE:
        raise UsageError(
            f"{wanted!r} belongs to {job.name}, a job of type {job.type}: guard starts backup and mirror jobs only; start "
            "it in XO"
        )
    return schedule, job


def find_vms(estate: Estate, job: Job, wanted: Sequence[str]) -> tuple[str, ...]:
    """The ids of VMs given by name or id; each must be one that the job takes now. Raises UsageError, XoError.

    XO uses an explicit list as it is, so its own rules are held against it here (xo-api.md 5.1).
    """
    if wanted and job.type != "backup":
        raise UsageError(f"--vms: {job.name} is a mirror job; it has no VMs to choose from, XO starts it whole")
    taken = _taken(estate, job)
    return tuple(dict.fromkeys(_find_vm(estate, job, taken, one) for one in wanted))


def _find_vm(estate: Estate, job: Job, taken: Sequence[str], wanted: str) -> str:
    if wanted in taken:
        return wanted
    named = [vm for vm in estate.vms if wanted in (vm.id, vm.name)]
    inside = [vm for vm in named if vm.id in taken]
    if len(inside) == 1:
        return inside[0].id
    if inside:
        ids = ", ".join(vm.id for vm in inside)
        raise UsageError(f"--vms {wanted!r}: {job.name} takes {len(inside)} VMs of that name; give the id: {ids}")
    if named:
        why = left_out_because(job, named[0], estate.vm_properties.get(named[0].id, {}))
        raise UsageError(
            f"--vms {wanted!r}: {job.name} does not take it: {why}; guard match {job.id} tells all it takes"
        )
    near = difflib.get_close_matches(wanted, [estate.vm_by_id[vm].name for vm in taken if vm in estate.vm_by_id], n=3)
    meant = (
        f"; did you mean {' or '.join(map(repr, near))}?" if near else f"; guard match {job.id} tells all the job takes"
    )
    raise UsageError(f"--vms {wanted!r}: XO has no VM of that id or name{meant}")


def _instead(estate: Estate, wanted: str) -> str:
    of_job = schedules_of_job(wanted, estate)
    if of_job:
        return f"; that is a job, with {_listed(estate, of_job)}"
    near = difflib.get_close_matches(wanted, dict.fromkeys(one.name for one in estate.schedules), n=3)
    return f"; did you mean {' or '.join(map(repr, near))}?" if near else ""


def _listed(estate: Estate, schedules: Sequence[Schedule]) -> str:
    def told(one: Schedule) -> str:
        job = estate.job_by_id.get(one.job_id or "")
        return f"{one.id} ({one.name}{f' of {job.name}' if job is not None else ''})"

    return some_of(map(told, schedules), 5)


# --- the verdict


def judge(estate: Estate, policy: Policy, wish: Wish, situation: Situation, now: datetime) -> Judged:
    """What would become of the run if it were due now. Raises UsageError, XoError."""
    schedule, job = find_schedule(estate, wish.schedule)
    chosen = find_vms(estate, job, wish.vms)
    taken = _taken(estate, job)
    vms = chosen or taken
    zone = _zone(schedule, policy)
    due = DueTime(schedule_id=schedule.id, job_id=job.id, at=now, starts=(now,), cron=schedule.cron, zone=zone)

    def asked(overridden: frozenset[str]) -> Verdict:
        out = frozenset(taken).difference(vms)
        said = replace(situation, overridden=overridden)
        (found,) = look_again(estate, policy, [(due, out)], now=now, situation=said)
        if found is None:
            raise ValueError("the schedule and its job were just found")
        return found[1]

    overridden = frozenset(wish.overridden)
    verdict = asked(overridden)
    lifted: dict[str, tuple[str, ...]] = {}
    unchecked: tuple[str, ...] = ()
    for code in wish.overridden:
        before = asked(overridden - {code})
        kept = _kept_back(before, verdict)
        if kept is not None:
            lifted[code] = kept
        if code == CHAIN_UNHEALTHY.id:
            unchecked = _beyond_tolerance(before, verdict)
    names = {vm: estate.vm_by_id[vm].name if vm in estate.vm_by_id else vm for vm in vms}
    return Judged(
        wish, schedule, job, zone, vms, names, _without_waits(verdict), lifted, estate.taken_at, now, unchecked
    )


def _taken(estate: Estate, job: Job) -> tuple[str, ...]:
    """The ids of all VMs that a job takes now, those of an id list that XO does not show included."""
    if job.type != "backup":
        return ()
    require(estate, PartName.VMS)
    selection = Selector(estate).select(job)
    return tuple(dict.fromkeys((*selection.ids, *selection.unknown)))


def _without_waits(verdict: Verdict) -> Verdict:
    """Nothing waits for a start by hand: what is left out now is left out."""
    held = tuple(msgspec.structs.replace(one, deadline=None) for one in verdict.held)
    return msgspec.structs.replace(verdict, held=held, deadline=None, clears="")


def _kept_back(before: Verdict, now: Verdict) -> tuple[str, ...] | None:
    """The VMs that start now and did not before; () for a whole run without VMs of its own, None for no difference."""
    still = {one.vm for one in now.held}
    vms = tuple(one.vm for one in before.held if one.vm not in still)
    if vms:
        return vms
    return () if before.action is not Action.START and now.action is Action.START else None


def _beyond_tolerance(before: Verdict, now: Verdict) -> tuple[str, ...]:
    """The VMs that start now and that XO would skip: where guard could not read a chain, XO's own check stays."""
    found = (one for one in before.findings if one.code == CHAIN_UNHEALTHY.id and one.level is Level.BLOCK)
    skipped = {vm for one in found for vm in one.holds}
    return tuple(vm for vm in now.start_vms if vm in skipped)


def _zone(schedule: Schedule, policy: Policy) -> str:
    """The zone XO fires it in, as far as that can be known: it only says how times are told here."""
    if schedule.zone == "local":
        return policy.xo.zone or "utc"
    return schedule.zone if resolve(schedule.zone) is not None else "utc"


# --- what is recorded before XO is asked


def first_events(judged: Judged, at: datetime) -> tuple[AnyEvent, ...]:
    """What is recorded before XO is asked."""
    schedule, job, verdict = judged.schedule, judged.job, judged.verdict
    seen = Seen(
        at=at,
        job=job.id,
        job_name=job.name,
        schedule_name=schedule.name,
        cron=schedule.cron,
        zone=judged.zone,
        expected_at=at,
        starts=(at,),
    )
    decided = Decided(at=at, facts_at=judged.facts_at, vms=judged.vms, verdict=verdict, acts=True)
    if not judged.held:
        return seen, decided
    first = judged.held[0].codes
    given = GaveUp(
        at=at, vms=judged.held, whole=False, end=End.REFUSED, code=first[0] if first else "", reason=verdict.sentence
    )
    return seen, decided, given


def told_reason(wish: Wish) -> str:
    """Who, and against what: kept with the start."""
    told = f"Started by hand by {wish.by}"
    if wish.vms:
        told += f", {plural(len(wish.vms), 'VM')} chosen"
    if wish.overridden:
        return f"{told}, against {', '.join(wish.overridden)}: {wish.reason}"
    return f"{told}."
