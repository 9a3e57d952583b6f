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
from guard.mechanics.xo_config import OWN_FILE, XO_DEFAULT_MS
from guard.outcomes.past import past_failures
from guard.remedies.reconnect import when
from guard.remedies.scene import SOON, Need, Scene
from guard.units import format_duration, some_of

GOOD = "success"
LATELY = timedelta(hours=24)
REFUSED_AGAIN = timedelta(hours=1)
KEPT_AGAIN = timedelta(hours=20)
"""What could not be taken back is tried again the next night, not each half hour."""


def wanted(scene: Scene) -> Iterator[Wanted]:
    """The file written, or taken back; at most one of the two."""
    needs = [(need, one) for need in scene.needs for one in _evidence(scene, need)]
    own = [(need, text) for need, text in needs if not need.job.proxy]
    if own:
        yield _write(scene, own)
    else:
        yield from _back(scene)
    for proxy in dict.fromkeys(need.job.proxy for need, _ in needs if need.job.proxy):
        yield _of_proxy(scene, str(proxy), [(need, text) for need, text in needs if need.job.proxy == proxy])


def _evidence(scene: Scene, need: Need) -> list[str]:
    """Sentences that say why, with their numbers. What guard wrote it for is no reason to write it again: it was taken back
    since, or a person deleted it.
    """
    wrote, back = scene.last_done(RemedyKind.TIMEOUT_FILE), scene.last_done(RemedyKind.TIMEOUT_FILE_BACK)
    since = max((one.at for one in (wrote, back) if one is not None), default=None)
    if need.job.proxy:
        since = back = None
    told = [f"{one.summary}{_host(one)}" for one in need.against(EXPORT_TIMEOUT.id) if _is_newer(one, since)]
    again = [] if back is None else [one for one in scene.failures if _is_again(one, need, since or back.at)]
    if told or back is None or not again:
        return told
    newest = again[-1]
    vm = scene.estate.vm_by_id.get(newest.vm)
    who = vm.name if vm is not None else newest.vm
    when = f"{_start(newest):%Y-%m-%d %H:%M} UTC, after the file was taken back on {back.at:%Y-%m-%d}"
    return [f"{who} timed out again on {when} ({newest.text})."]


def _host(finding: Finding) -> str:
    """Which host is slow, where the sentence itself does not name it."""
    name = next((str(fact.value) for fact in finding.facts if fact.name == "host_now" and fact.value), "")
    return f" It runs on {name}." if name and finding.scope.kind is ScopeKind.VM else ""


def _is_newer(finding: Finding, since: datetime | None) -> bool:
    """Timeouts that happened, the last one after ``since``; that a host looks overloaded is no evidence."""
    last = next((str(fact.value) for fact in finding.facts if fact.name == "last_at"), "")
    return bool(last) and (since is None or datetime.fromisoformat(last) > since)


def _is_again(failure: PastFailure, need: Need, since: datetime) -> bool:
    return failure.code == EXPORT_TIMEOUT.id and failure.vm in need.vms and _start(failure) > since


def _start(failure: PastFailure) -> datetime:
    return datetime.fromtimestamp(failure.start / 1000, UTC)


def _write(scene: Scene, needs: list[tuple[Need, str]]) -> Wanted:
    policy, state = scene.policy, scene.estate.workaround
    enforced = [need for need, _ in needs if need.enforced]
    at, latest = when(scene, [need for need, _ in needs])
    days = policy.timeout_days if scene.last_done(RemedyKind.TIMEOUT_FILE_BACK) is None else policy.timeout_days_again
    wanted_ms = milliseconds(policy.timeout)
    aside = _aside(scene, state, wanted_ms)
    if not aside and not enforced:
        aside = "the policy says observe for what needs it"
    return Wanted(
        kind=RemedyKind.TIMEOUT_FILE,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=at,
        latest=latest,
        reason=" ".join(dict.fromkeys(text for _, text in needs)),
        runs=_runs(needs),
        before=_facts(state),
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
    if state.own.state == "edited":
        return f"somebody edited {state.folder}/{OWN_FILE} since, so guard leaves it alone"
    if state.own.state == "unreadable":
        return f"{state.folder}/{OWN_FILE}: {state.own.why}"
    held = state.in_force
    if held.usable and held.file is not None and (held.value_ms == 0 or (held.value_ms or 0) >= wanted_ms):
        told = "no limit" if held.value_ms == 0 else format_duration((held.value_ms or 0) / 1000)
        return f"{held.file} says {told} already"
    last = scene.last(RemedyKind.TIMEOUT_FILE, "xo")
    if last is not None and last.result is Result.FAILED and scene.now - last.at < REFUSED_AGAIN:
        return f"guard tried less than an hour ago: {last.text}"
    return ""


def _of_proxy(scene: Scene, proxy: str, needs: list[tuple[Need, str]]) -> Wanted:
    """A proxy has a configuration of its own, on its own machine."""
    at, latest = when(scene, [need for need, _ in needs])
    known = next((one.name for one in scene.estate.proxies if one.id == proxy), "")
    return Wanted(
        kind=RemedyKind.TIMEOUT_FILE,
        scope=Scope(ScopeKind.PROXY, proxy, f"the configuration of proxy {known or proxy}"),
        at=at,
        latest=latest,
        reason=" ".join(dict.fromkeys(text for _, text in needs)),
        runs=_runs(needs),
        aside="the run goes through an XO proxy, which has its own configuration",
        steps=_steps("/etc/xo-proxy", milliseconds(scene.policy.timeout)),
    )


def _steps(folder: str, value_ms: int) -> tuple[str, ...]:
    return (
        f"Put this into {folder}/{OWN_FILE} on that machine; XO takes it over within a second, for runs that start then:",
        "[xapiOptions]",
        f"httpInactivityTimeout = {value_ms}",
        "Take it away again when the host answers as it should: it hides why it is slow.",
    )


def _runs(needs: list[tuple[Need, str]]) -> tuple[ForRun, ...]:
    return tuple(dict.fromkeys(need.run for need, _ in needs))


def _facts(state: State | None) -> tuple[Fact, ...]:
    if state is None:
        return ()
    return (
        Fact(
            name="limit",
            value=state.in_force.value_ms if state.in_force.file is not None else XO_DEFAULT_MS,
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
    done = scene.last_done(RemedyKind.TIMEOUT_FILE_BACK)
    if done is not None and done.at >= state.looked_at:
        return
    applied = scene.last_done(RemedyKind.TIMEOUT_FILE)
    runs = applied.runs if applied is not None else ()
    yield Wanted(
        kind=RemedyKind.TIMEOUT_FILE_BACK,
        scope=Scope(ScopeKind.XO, "xo", "XO's configuration"),
        at=scene.now,
        latest=scene.now + SOON,
        reason=f"It was to be taken back on {state.own.until:%Y-%m-%d}.",
        runs=runs,
        before=_facts(state),
        aside=_not_yet(scene, state.own.written_at or state.own.until, {run.schedule for run in runs}),
    )


def _not_yet(scene: Scene, written_at: datetime, schedules: set[str]) -> str:
    """Only right after a good run, and while nothing runs: what goes on keeps the limit that it began with."""
    tried = scene.last(RemedyKind.TIMEOUT_FILE_BACK, "xo")
    if tried is not None and tried.result is Result.FAILED and scene.now - tried.at < KEPT_AGAIN:
        return f"guard tried tonight: {tried.text}"
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
    if last is None or not _is_good(last, written_at, scene.now):
        return "it waits for a good run of what it was for"
    return ""


def _is_good(log: BackupLog, written_at: datetime, now: datetime) -> bool:
    """Whether it went well while the file stood, and is the newest of what it was for: no older than a day."""
    ended = moment(log.end)
    began_with_it = log.began is not None and log.began >= written_at
    return log.status == GOOD and began_with_it and ended is not None and now - ended < LATELY


def seen_again(remedy: Remedy, estate: Estate, now: datetime) -> Remedy:
    """The remedy with how the first run after it went that tells, of the schedules that it was for."""
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
    timed_out = {one.run for one in past_failures(after) if one.code == EXPORT_TIMEOUT.id}
    telling = [log for log in after if log.status == GOOD or log.id in timed_out]
    if not telling:  # what failed for another cause, or was broken off, does not tell
        return remedy
    first = min(telling, key=lambda log: log.start or 0)
    fact = Fact(
        name="first_run_after",
        value=first.status,
        unit="",
        source=estate.parts[PartName.LOGS].source,
        observed_at=estate.parts[PartName.LOGS].read_at,
    )
    effect = Effect.NOTHING if first.id in timed_out else Effect.HELPED
    return msgspec.structs.replace(remedy, after=(fact,), effect=effect, effect_at=now)
