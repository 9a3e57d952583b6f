"""From what guard knows to the figures of metrics.py: loop, schedules, what is held, storage. Nothing is read for them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from guard.agenda import make_agenda
from guard.coverage.good import last_good as last_copies
from guard.coverage.good import reach
from guard.coverage.repositories import days_until_full
from guard.coverage.routes import routes, taken
from guard.decision.verdict import Action
from guard.estate.estate import Estate
from guard.estate.xo_records import Schedule, Sr
from guard.finding import Level
from guard.lifecycle.channels import ChannelStatus
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import End
from guard.lifecycle.loop import STANDS, Loop
from guard.lifecycle.report import score_of
from guard.mechanics.due import due_times, sequence_members
from guard.mechanics.fallback import is_fallback
from guard.mechanics.outlook import Outlook
from guard.mechanics.versions import is_tested
from guard.meter import Timing, Traffic
from guard.outcomes.alarms import RUN_REFUSED, SCHEDULE_DISABLED, START_UNCERTAIN, XO_DID_NOT_FIRE
from guard.outcomes.score import Tally, tally
from guard.policy.codes import ON_HOLD
from guard.policy.schema import Policy
from guard.views.channels import DIGEST
from guard.views.doings import Doings
from guard.views.metrics import Figures, Sample
from guard.views.status import standing

WINDOW = timedelta(days=30)
"""How far back predictions are held against outcomes."""
_AHEAD = (timedelta(hours=1), timedelta(days=1), timedelta(days=8), timedelta(days=63), timedelta(days=732))
_RESULTS = ("hit", "miss", "false_alarm", "wrong_cause")
_NO_DISKS = frozenset({"iso", "udev"})


@dataclass(frozen=True)
class Looks:
    """The looks since guard started. ``by_result``: read, unread, unrecorded. ``last_at``: when the last one was over.
    ``writable``: the ledger took it.
    """

    by_result: Mapping[str, int] = field(default_factory=lambda: {"read": 0, "unread": 0, "unrecorded": 0})
    took: Timing = field(default_factory=Timing)
    last_at: datetime | None = None
    writable: bool = True


@dataclass(frozen=True)
class RunFacts:
    """What figures need of a due run after it is over. ``run``: without its findings, VMs and outcomes.

    ``good_at``: when the last of its runs began that went well; ``saved``: VM id -> when the last one began that left a good
    backup of it, which a mirror's copy is not.
    """

    run: DueRun
    predicted_at: datetime | None
    action: str
    tallies: Mapping[str, Tally]
    good_at: datetime | None
    saved: Mapping[str, datetime]


def facts_of(run: DueRun) -> RunFacts:
    """Of one due run as it stands."""
    score = None if run.is_sequence else score_of(run)
    good = [one.started.began for one in run.attempts if one.ended and one.ended.outcome.status == "success"]
    return RunFacts(
        run=replace(
            run,
            decided=None,
            intents=(),
            follow_up=None,
            attempts=tuple(replace(one, ended=None) for one in run.attempts),
        ),
        predicted_at=run.decided.at if run.decided is not None else None,
        action=run.decided.verdict.action.value if run.decided is not None else "",
        tallies=tally([score] if score is not None else ()),
        good_at=max(good, default=None),
        saved={
            vm.vm.id: one.started.began
            for one in run.attempts
            if one.ended is not None
            for vm in one.ended.outcome.vms
            if vm.status == "success" and any(target.written and target.full is not None for target in vm.targets)
        },
    )


def loop_figures(loop: Loop | None, looks: Looks) -> Figures:
    """What the last look left behind; of XO nothing before one could be read or not."""
    found: dict[str, list[Sample]] = {
        "guard_loop_looks_total": [((result,), count) for result, count in looks.by_result.items()],
        "guard_loop_look_duration_seconds": [((), looks.took)],
        "guard_ledger_writable": [((), float(looks.writable))],
    }
    if looks.last_at is not None:
        found["guard_loop_last_look_timestamp_seconds"] = [((), looks.last_at.timestamp())]
    if loop is None:
        return found
    found["guard_xo_readable"] = [((), float(not loop.xo_error))]
    found["guard_schedules_unwatched"] = [((), float(len(loop.unwatched)))]
    if loop.wake is not None:
        found["guard_loop_wake_timestamp_seconds"] = [((), loop.wake.timestamp())]
    if not loop.xo_error:
        found["guard_runs_running"] = [((), float(len(loop.running) + loop.more_running))]
    elif loop.unread_since is not None:
        found["guard_xo_unread_since_timestamp_seconds"] = [((), loop.unread_since.timestamp())]
    return found


def traffic_figures(traffic: Traffic, writes: Iterable[str]) -> Figures:
    """``writes``: the methods that are counted from 0 on, so that the first write shows as a rise."""
    counted = dict.fromkeys(writes, 0) | dict(traffic.writes)
    return {
        "guard_call_duration_seconds": list(traffic.calls.items()),
        "guard_call_errors_total": list(traffic.errors.items()),
        "guard_xo_writes_total": [((method,), count) for method, count in counted.items()],
    }


def held_figures(open_runs: Sequence[DueRun], doings: Doings) -> Figures:
    """What waits, what is held, and what guard has in XO at this moment."""
    held: Counter[tuple[str, ...]] = Counter()
    for run in open_runs:
        if run.decided is None:
            continue
        verdict, gate = run.decided.verdict, "enforce" if run.decided.acts else "observe"
        for vm in verdict.held:
            held.update((code, gate) for code in vm.codes)
        if not verdict.held and verdict.action not in (Action.START, Action.START_SOME):
            whole = {one.code for one in verdict.findings if one.level is Level.BLOCK and not one.holds}
            held.update({(code, gate): len(run.decided.vms) for code in whole})
    waiting = Counter((code,) for one in doings.deferrals for code in one.codes)
    brakes = Counter(one.kind for one in doings.brakes)
    return {
        "guard_deferrals": list(waiting.items()),
        "guard_held_vms": list(held.items()),
        "guard_claims": [((), float(len(doings.claimed)))],
        "guard_fallbacks": [((), float(len(doings.fallbacks)))],
        "guard_brakes": [((kind,), float(brakes[kind])) for kind in ("hold", "bypass")],
    }


def story_figures(facts: Sequence[RunFacts], loop: Loop | None, names: Mapping[str, str], now: datetime) -> Figures:
    """What the due runs of the last weeks tell. ``names``: schedule id -> what it is called."""

    def called(schedule: str, otherwise: str) -> tuple[str, str]:
        return schedule, names.get(schedule, otherwise)

    alarms: Counter[tuple[str, ...]] = Counter()
    for run in standing((one.run for one in facts), now):
        alarms.update((*called(run.key.schedule, name_of(run)), code) for code in _calling(run))
    for off in loop.switched_off if loop is not None else ():
        alarms[*called(off.schedule, off.name), SCHEDULE_DISABLED.id] += 1
    ends = Counter(one.run.ended.end for one in facts if one.run.ended is not None and now - one.run.ended.at < STANDS)
    scores: dict[str, list[int]] = {}
    for one in facts:
        for code, counts in one.tallies.items():
            found = scores.setdefault(code, [0, 0, 0, 0])
            for at, count in enumerate((counts.hits, counts.misses, counts.false_alarms, counts.wrong_causes)):
                found[at] += count
    newest: dict[str, RunFacts] = {}
    for one in sorted((one for one in facts if one.predicted_at is not None), key=lambda one: one.run.key.due):
        if not names or one.run.key.schedule in names:  # of a schedule that is gone nothing is to be done
            newest[one.run.key.schedule] = one
    labels = {schedule: called(schedule, name_of(one.run)) for schedule, one in newest.items()}
    return {
        "guard_alarms": list(alarms.items()),
        "guard_due_times": [((end.value,), float(ends[end])) for end in End],
        "guard_predictions": [
            ((code, result), float(count))
            for code, counts in scores.items()
            for result, count in zip(_RESULTS, counts, strict=True)
        ],
        "guard_schedule_verdict": [
            ((*labels[schedule], action.value), float(one.action == action.value))
            for schedule, one in newest.items()
            for action in Action
        ],
        "guard_schedule_prediction_timestamp_seconds": [
            (labels[schedule], one.predicted_at.timestamp())
            for schedule, one in newest.items()
            if one.predicted_at is not None
        ],
    }


def _calling(run: DueRun) -> frozenset[str]:
    """The alarms of a due run that call for somebody: not what a start has made up for, nor what a person holds."""
    over = {XO_DID_NOT_FIRE.id, START_UNCERTAIN.id} if run.attempts else set()
    refused_for = {code for given in run.given_up for vm in given.vms for code in vm.codes or (given.code,)}
    refused_for |= {given.code for given in run.given_up if not given.vms}
    if refused_for == {ON_HOLD.id}:
        over.add(RUN_REFUSED.id)
    return run.alarm_codes - over


def name_of(run: DueRun) -> str:
    """What its schedule is called, by its own story."""
    return f"{run.seen.job_name} / {run.seen.schedule_name}"


def names_of(estate: Estate) -> dict[str, str]:
    """Id -> what it is called, of every schedule that runs backups: a job's, or a sequence's."""
    found = {}
    for schedule in estate.schedules:
        job, call = estate.job_by_id.get(schedule.job_id or ""), estate.call_job_by_id.get(schedule.job_id or "")
        if job is not None:
            found[schedule.id] = f"{job.name} / {schedule.name}"
        elif call is not None and not is_fallback(call) and sequence_members(call):
            found[schedule.id] = f"{call.name} / {schedule.name}"
    return found


def schedule_figures(
    schedules: Sequence[Schedule],
    names: Mapping[str, str],
    next_due: Mapping[str, datetime],
    facts: Iterable[RunFacts],
    logged: Mapping[str, datetime],
) -> Figures:
    """``schedules``: as of the last look. ``logged``: schedule id -> its last good run by XO's logs."""
    good = dict(logged)
    for one in facts:
        schedule = one.run.key.schedule
        if one.good_at is not None:
            good[schedule] = max(one.good_at, good.get(schedule, one.good_at))
    known = [one for one in schedules if one.id in names]
    return {
        "guard_schedule_enabled": [((one.id, names[one.id]), float(one.enabled)) for one in known],
        "guard_schedule_next_due_timestamp_seconds": [
            ((one.id, names[one.id]), next_due[one.id].timestamp()) for one in known if one.id in next_due
        ],
        "guard_schedule_last_good_timestamp_seconds": [
            ((one.id, names[one.id]), good[one.id].timestamp()) for one in known if one.id in good
        ],
    }


def next_dues(estate: Estate, now: datetime, local_zone: str | None) -> dict[str, datetime]:
    """Schedule id -> when XO fires it next, of the enabled ones whose zone is known."""
    agenda = make_agenda(
        estate, after=now, until=now + _AHEAD[0], local_zone=local_zone, seconds_of=lambda _schedule: None
    )
    found: dict[str, datetime] = {}
    for firing in agenda.firings:
        for within in _AHEAD:
            dues = due_times(firing.schedule, zone=firing.zone, after=now, until=now + within)[:1]
            if dues:
                found[firing.schedule.id] = dues[0].at
                break
    return found


def last_good(estate: Estate) -> dict[str, datetime]:
    """Schedule id -> when its last run began that went well for all its VMs, by XO's logs."""
    found: dict[str, datetime] = {}
    for log in estate.logs:
        if log.status == "success" and log.began is not None and log.schedule_id:
            found[log.schedule_id] = max(log.began, found.get(log.schedule_id, log.began))
    return found


def estate_figures(estate: Estate, accepted: Iterable[str]) -> Figures:
    """What a whole reading shows of XO and of storage. ``accepted``: versions that the policy takes for tested."""
    tested = str(is_tested(estate.xo.version, tuple(accepted))).lower()
    return {
        "guard_xo_info": [((estate.xo.version, tested), 1.0)],
        "guard_estate_read_timestamp_seconds": [((), estate.taken_at.timestamp())],
        **_sr_figures(estate),
        **_repository_figures(estate),
    }


def _sr_figures(estate: Estate) -> dict[str, list[Sample]]:
    sizes = [((one.id, one.name_label), size, one.physical_usage) for one in estate.srs if (size := _size_of(one))]
    free = [(labels, size, max(0, size - used)) for labels, size, used in sizes if isinstance(used, int)]
    found: dict[str, list[Sample]] = {
        "guard_sr_size_bytes": [(labels, float(size)) for labels, size, _ in sizes],
        "guard_sr_free_bytes": [(labels, float(left)) for labels, _, left in free],
        "guard_sr_headroom_ratio": [(labels, left / size) for labels, size, left in free],
    }
    observed = estate.observations
    if observed is None or observed.looked_at < estate.taken_at:
        return found
    backlog: Counter[str] = Counter()
    waiting: Counter[str] = Counter()
    oldest: dict[str, datetime] = {}
    for one in observed.waiting.values():
        backlog[one.sr] += 1
        waiting[one.sr] += one.bytes
        oldest[one.sr] = min(one.since, oldest.get(one.sr, one.since))
    named = [labels for labels, _, _ in sizes]
    found["guard_sr_coalesce_backlog_vdis"] = [(labels, float(backlog[labels[0]])) for labels in named]
    found["guard_sr_coalesce_backlog_bytes"] = [(labels, float(waiting[labels[0]])) for labels in named]
    found["guard_sr_coalesce_oldest_timestamp_seconds"] = [
        (labels, oldest[labels[0]].timestamp()) for labels in named if labels[0] in oldest
    ]
    return found


def _size_of(sr: Sr) -> int:
    """Bytes of an SR that holds disks; 0 of any other, and where XO does not tell."""
    holds_disks = sr.content_type not in _NO_DISKS and sr.sr_type not in _NO_DISKS
    return sr.size if holds_disks and isinstance(sr.size, int) else 0


def _repository_figures(estate: Estate) -> dict[str, list[Sample]]:
    sizes: list[Sample] = []
    free: list[Sample] = []
    for one in estate.repositories:
        info = estate.repository_info.get(one.id)
        if info is not None and isinstance(info.size, int):
            sizes.append(((one.id, one.name), float(info.size)))
        if info is not None and isinstance(info.available, int):
            free.append(((one.id, one.name), float(info.available)))
    return {"guard_repository_size_bytes": sizes, "guard_repository_free_bytes": free}


@dataclass(frozen=True)
class Coverage:
    """What only a walk through all logs tells, at the time ``at``.

    ``vms``: every VM that an enabled schedule takes -> its name, and when its last good backup began, None where the logs,
    which reach back to ``since``, hold none; () where no log tells. ``full``: (repository id, name) -> when it is full.
    """

    vms: Mapping[str, tuple[str, datetime | None]]
    since: datetime
    full: Mapping[tuple[str, str], datetime]


def coverage_of(estate: Estate, policy: Policy, now: datetime) -> Coverage:
    """Dear: all logs are gone through."""
    outlook = Outlook(estate, now)
    far, good = reach(estate, now), last_copies(outlook)
    taking = taken(outlook, routes(estate, now).working) if far is not None else ()
    names = {one.id: one.name for one in estate.repositories}
    return Coverage(
        vms={vm: (estate.vm_by_id[vm].name, max(good.get(vm, {}).values(), default=None)) for vm in taking},
        since=now - (far or timedelta()),
        full={
            (id_, names[id_]): now + timedelta(days=one.days)
            for one in days_until_full(estate, policy, now, outlook)
            if one.days is not None
            for id_ in one.ids
        },
    )


def coverage_figures(coverage: Coverage, saved: Mapping[str, datetime], now: datetime) -> Figures:
    """``saved``: VM id -> when a good backup of it began, by runs that ended since the logs were read."""
    found: dict[str, list[Sample]] = {
        "guard_repository_until_full_seconds": [
            (labels, max(0.0, (at - now).total_seconds())) for labels, at in coverage.full.items()
        ]
    }
    stalest: tuple[datetime, str, str] | None = None
    for vm, (name, logged) in coverage.vms.items():
        last = max(logged or coverage.since, saved.get(vm, coverage.since))
        if stalest is None or (last, name, vm) < stalest:
            stalest = last, name, vm
    if stalest is not None:
        last, name, vm = stalest
        found["guard_stalest_vm_age_seconds"] = [((), max(0.0, (now - last).total_seconds()))]
        found["guard_stalest_vm_info"] = [((vm, name), 1.0)]
    return found


def channel_figures(channels: Iterable[ChannelStatus]) -> Figures:
    """How each channel fares; ``digest`` is none, and only waits."""
    told = tuple(channels)
    real = [one for one in told if one.name != DIGEST]
    return {
        "guard_notify_sent_total": [((one.name,), one.sent) for one in real],
        "guard_notify_failed_total": [((one.name,), one.failed) for one in real],
        "guard_notify_dropped_total": [((one.name,), one.dropped) for one in real],
        "guard_notify_waiting": [((one.name,), one.waiting) for one in told],
        "guard_notify_failing_since_timestamp_seconds": [
            ((one.name,), one.failing_since.timestamp()) for one in real if one.failing_since is not None
        ],
    }
