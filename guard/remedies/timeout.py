"""When XO shall wait longer for hosts, and when no longer (xo-api.md 7; failure-modes.md 3.12).

The evidence is that of the check export_timeout: so many timeouts in so many runs of a VM, a host or a schedule. Once the
file was taken back, a single one puts it back, for longer. It changes nothing about why the host is slow.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import msgspec

from guard.checks.export_timeout import EXPORT_TIMEOUT
from guard.estate.estate import Estate, PartName
from guard.estate.workaround import State
from guard.estate.xo_records import BackupLog, moment
from guard.finding import Fact, Finding, Scope, ScopeKind
from guard.lifecycle.remedy import Effect, ForRun, Remedy, RemedyKind, Result, Wanted
from guard.mechanics.past import PastFailure
from guard.outcomes.past import past_failures
from guard.remedies.scene import SOON, Need, Scene
from guard.units import format_duration, some_of

GOOD = "success"
_FILE = "config.zz-backup-guard.toml"


def wanted(scene: Scene) -> Iterator[Wanted]:
    """The file written, or taken back; at most one of the two."""
    needs = [(need, one) for need in scene.needs if not need.waits for one in _evidence(scene, need)]
    own = [(need, text) for need, text in needs if not need.job.proxy]
    if own:
        yield _write(scene, own)
    else:
        yield from _back(scene)
    through = [(need, text) for need, text in needs if need.job.proxy]
    if through:
        yield _of_proxy(scene, through)


def _evidence(scene: Scene, need: Need) -> list[str]:
    """Sentences that say why, with their numbers."""
    told = [one.summary for one in need.against(EXPORT_TIMEOUT.id) if _is_of_the_past(one)]
    back = scene.last_done(RemedyKind.TIMEOUT_FILE_BACK)
    if told or back is None:
        return told
    again = [one for one in _timeouts(scene) if one.vm in need.vms and _start(one) > back.at]
    if not again:
        return []
    newest = max(again, key=lambda one: one.start)
    vm = scene.estate.vm_by_id.get(newest.vm)
    who = vm.name if vm is not None else newest.vm
    when = f"{_start(newest):%Y-%m-%d %H:%M} UTC, after the file was taken back on {back.at:%Y-%m-%d}"
    return [f"{who} timed out again on {when} ({newest.text})."]


def _is_of_the_past(finding: Finding) -> bool:
    """Timeouts that happened; that a host looks overloaded is no evidence."""
    return any(fact.name == "failures" for fact in finding.facts)


def _timeouts(scene: Scene) -> list[PastFailure]:
    return [one for one in past_failures(scene.estate.logs) if one.code == EXPORT_TIMEOUT.id]


def _start(failure: PastFailure) -> datetime:
    return datetime.fromtimestamp(failure.start / 1000, UTC)


def _write(scene: Scene, needs: list[tuple[Need, str]]) -> Wanted:
    policy, state = scene.policy, scene.estate.workaround
    enforced = [need for need, _ in needs if need.enforced]
    first = min(need.run.due for need in enforced or [need for need, _ in needs])
    at = max(scene.now, first - SOON)
    days = policy.timeout_days if scene.last_done(RemedyKind.TIMEOUT_FILE_BACK) is None else policy.timeout_days_again
    wanted_ms = milliseconds(policy.timeout)
    aside = _aside(scene, state, wanted_ms)
    if not aside and not enforced:
        aside = "the policy says observe for what needs it"
    return Wanted(
        kind=RemedyKind.TIMEOUT_FILE,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=at,
        latest=first,
        reason=" ".join(dict.fromkeys(text for _, text in needs)),
        runs=_runs(needs),
        before=_facts(scene, state),
        until=at + timedelta(days=days),
        aside=aside,
        steps=() if policy.xo_config is not None else _steps("/etc/xo-server", wanted_ms),
    )


def _aside(scene: Scene, state: State | None, wanted_ms: int) -> str:
    policy = scene.policy
    if not policy.timeout_file:
        return "the policy says [remedies] timeout_file = false"
    if policy.xo_config is None or state is None:
        return "guard does not run on XO's machine, or [remedies] xo_config is not set"
    if state.problem:
        return state.problem
    if state.broken:
        return f"{state.broken[0].file} there cannot be read ({state.broken[0].why}), and XO would not start with it"
    held = state.in_force
    if held.usable and held.file is not None and (held.value_ms == 0 or (held.value_ms or 0) >= wanted_ms):
        told = "no limit" if held.value_ms == 0 else format_duration((held.value_ms or 0) / 1000)
        return f"{held.file} says {told} already"
    last = scene.last(RemedyKind.TIMEOUT_FILE, "xo")
    if last is not None and last.result is Result.FAILED and scene.now - last.at < timedelta(hours=1):
        return f"guard tried less than an hour ago: {last.text}"
    return ""


def _of_proxy(scene: Scene, needs: list[tuple[Need, str]]) -> Wanted:
    """A proxy has a configuration of its own, on its own machine."""
    first = min(need.run.due for need, _ in needs)
    return Wanted(
        kind=RemedyKind.TIMEOUT_FILE,
        scope=Scope(ScopeKind.PROXY, str(needs[0][0].job.proxy), "the proxy's configuration"),
        at=max(scene.now, first - SOON),
        latest=first,
        reason=" ".join(dict.fromkeys(text for _, text in needs)),
        runs=_runs(needs),
        aside="the run goes through an XO proxy, which has its own configuration",
        steps=_steps("/etc/xo-proxy", milliseconds(scene.policy.timeout)),
    )


def _steps(folder: str, value_ms: int) -> tuple[str, ...]:
    return (
        f"Put this into {folder}/{_FILE} on that machine; XO takes it over within a second, for runs that start then:",
        "[xapiOptions]",
        f"httpInactivityTimeout = {value_ms}",
        "Take it away again when the host answers as it should: it hides why it is slow.",
    )


def _runs(needs: list[tuple[Need, str]]) -> tuple[ForRun, ...]:
    return tuple(dict.fromkeys(need.run for need, _ in needs))


def _facts(scene: Scene, state: State | None) -> tuple[Fact, ...]:
    if state is None:
        return ()
    return (
        Fact(
            name="limit",
            value=state.in_force.value_ms if state.in_force.file is not None else 300_000,
            unit="ms",
            source=f"{state.folder}/{state.in_force.file}" if state.in_force.file is not None else "XO's own default",
            observed_at=state.looked_at,
        ),
    )


def milliseconds(value: timedelta) -> int:
    """As XO's configuration has it."""
    return value // timedelta(milliseconds=1)


# --- taken back


def _back(scene: Scene) -> Iterator[Wanted]:
    state = scene.estate.workaround
    if state is None or state.own.state != "intact" or state.own.until is None or scene.now < state.own.until:
        return
    applied = scene.last(RemedyKind.TIMEOUT_FILE, "xo")
    runs = applied.runs if applied is not None else ()
    yield Wanted(
        kind=RemedyKind.TIMEOUT_FILE_BACK,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=scene.now,
        latest=scene.now,
        reason=f"It was to be taken back on {state.own.until:%Y-%m-%d}.",
        runs=runs,
        before=_facts(scene, state),
        aside=_not_yet(scene, state.own.until, {run.schedule for run in runs}),
    )


def _not_yet(scene: Scene, until: datetime, schedules: set[str]) -> str:
    """Only right after a good run, and while nothing runs: what goes on keeps the limit that it began with."""
    going = [job.name for job in scene.estate.jobs if job.run_id]
    if going:
        return f"{some_of(going)} runs"
    known = {one.id for one in scene.estate.schedules}
    logs = [
        log
        for log in scene.estate.logs
        if (log.schedule_id in schedules or schedules.isdisjoint(known)) and log.status != "pending" and log.end
    ]
    last = max(logs, key=lambda one: one.end or 0, default=None)
    if last is None or not _is_good_after(last, until):
        return "it waits for a good run of what it was for"
    return ""


def _is_good_after(log: BackupLog, until: datetime) -> bool:
    ended = moment(log.end)
    return log.status == GOOD and ended is not None and ended >= until


def seen_again(remedy: Remedy, estate: Estate, now: datetime) -> Remedy:
    """The remedy with how the first run after it went, of the schedules that it was for."""
    if (
        remedy.effect is not Effect.PENDING
        or remedy.result is not Result.DONE
        or not estate.parts[PartName.LOGS].usable
    ):
        return remedy
    schedules = {run.schedule for run in remedy.runs}
    after = [
        log
        for log in estate.logs
        if log.schedule_id in schedules and log.began is not None and log.began > remedy.at and log.status != "pending"
    ]
    if not after:
        return remedy
    first = min(after, key=lambda log: log.start or 0)
    timed_out = any(one.code == EXPORT_TIMEOUT.id and one.run == first.id for one in past_failures([first]))
    fact = Fact(
        name="first_run_after",
        value=first.status,
        unit="",
        source=estate.parts[PartName.LOGS].source,
        observed_at=estate.parts[PartName.LOGS].read_at,
    )
    effect = Effect.NOTHING if timed_out else Effect.HELPED if first.status == GOOD else Effect.PENDING
    return msgspec.structs.replace(
        remedy, after=(fact,), effect=effect, effect_at=now if effect is not Effect.PENDING else None
    )
