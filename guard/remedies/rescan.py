"""Waking a coalesce: an SR whose chains keep VMs from being saved is scanned (failure-modes.md 3.1, 3.4; xapi-storage.md 3).

SM starts its collector when a disk is deleted, and at the end of each scan. Where it died, nothing but a scan wakes it. The
scan locks the SR, and the merges after it read and write there: so it keeps away from every run on that SR.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import msgspec

from guard.checks.chain import CHAIN_UNHEALTHY
from guard.checks.coalesce_stuck import COALESCE_STUCK
from guard.checks.view import policy_fact
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Sr, XapiTask
from guard.finding import Fact, Finding, Scope, ScopeKind
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result, Wanted
from guard.mechanics.chain import ChainIndex
from guard.mechanics.coalescing import is_collecting, queues, rate_of
from guard.remedies.scene import NEAR, SOON, Need, Scene
from guard.units import format_duration, plural, some_of

AT_WORK = timedelta(hours=1)
"""Where a merge was seen so lately, the collector lives although no task of it shows (XCP-ng 8.2 has none)."""
GIVEN_UP = timedelta(hours=6)
"""What has not moved by then, the scan did not wake."""
_NOT_BY_SCAN: Mapping[str, str] = {
    "gc": "coalesce is switched off there",
    "coalesce": "coalesce is switched off there",
    "plugged_on_master": "the pool's master has it unplugged",
    "merge_needs": "it has no room for a merge",
}
"""Facts of COALESCE_STUCK that a scan does not change, and why."""


def wanted(scene: Scene) -> Iterator[Wanted]:
    """One for each SR with VMs that must wait for their chains."""
    for sr_id, needs in _needed(scene).items():
        sr = scene.estate.sr_by_id.get(sr_id)
        if sr is not None:
            yield _wanted(scene, sr, needs)


def _needed(scene: Scene) -> dict[str, list[Need]]:
    """SR id -> the runs with a VM whose chain there is too long, or whose coalesces there do not come."""
    found: dict[str, list[Need]] = {}
    for need in scene.needs:
        stuck = [one for one in need.against(COALESCE_STUCK.id) if any(fact.name == "waited" for fact in one.facts)]
        for sr in dict.fromkeys(_sr_of(scene, one) for one in (*need.against(CHAIN_UNHEALTHY.id), *stuck)):
            found.setdefault(sr, []).append(need)
    return found


def _of_sr(scene: Scene, need: Need, sr_id: str) -> list[Finding]:
    """What the two checks say of an SR."""
    return [one for one in need.against(CHAIN_UNHEALTHY.id, COALESCE_STUCK.id) if _sr_of(scene, one) == sr_id]


def _sr_of(scene: Scene, finding: Finding) -> str:
    """The id of the SR that a finding of the two is about, '' for none."""
    if finding.scope.kind is ScopeKind.SR:
        return finding.scope.id
    vdi = scene.estate.vdi_by_id.get(next((str(fact.value) for fact in finding.facts if fact.name == "disk"), ""))
    return (vdi.sr or "") if vdi is not None else ""


def _wanted(scene: Scene, sr: Sr, needs: list[Need]) -> Wanted:
    estate = scene.estate
    at, latest = _when(scene, sr, needs)
    count, least = scene.waiting_on_sr.get(sr.id, (0, 0))
    rate = rate_of(estate.observations, sr.id)
    tolerance = _tolerance(scene, sr, needs)
    long = too_long(estate, sr.id, tolerance)
    facts = [
        scene.fact("waiting", count, "VDIs", PartName.VDI_UNMANAGED),
        scene.fact("too_long", long, "chains", PartName.VDIS),
        policy_fact("tolerance", tolerance, "VDIs"),
        scene.fact("waiting_bytes", least, "bytes", PartName.VDIS),
    ]
    expected = None
    if rate is not None and PartName.OBSERVATIONS in estate.parts:
        facts += [
            scene.fact("coalesce_rate", round(rate.pairs_per_hour, 2), "VDIs/h", PartName.OBSERVATIONS),
            scene.fact("coalesce_rate_slow", round(rate.slow_pairs_per_hour, 2), "VDIs/h", PartName.OBSERVATIONS),
            scene.fact("coalesce_bytes", round(rate.bytes_per_hour), "bytes/h", PartName.OBSERVATIONS),
        ]
        # SM takes one pair of an SR after the other; what XO tolerates may be left
        queue = max(1, count - tolerance) if long else count
        expected = at + timedelta(hours=queue / rate.slow_pairs_per_hour)
    vms = dict.fromkeys(
        one.scope.name for need in needs for one in need.against(CHAIN_UNHEALTHY.id) if one.scope.kind is ScopeKind.VM
    )
    who = f" and keep {some_of(vms)} from being saved" if vms else ""
    return Wanted(
        kind=RemedyKind.RESCAN,
        scope=Scope(ScopeKind.SR, sr.id, sr.name_label),
        at=at,
        latest=latest,
        reason=f"{plural(count, 'un-coalesced VDI')} {'waits' if count == 1 else 'wait'} on {sr.name_label}{who}",
        runs=tuple(need.run for need in needs),
        pool=sr.pool or "",
        before=tuple(facts),
        expected_at=expected,
        aside=_aside(scene, sr, needs, at, latest),
    )


def _when(scene: Scene, sr: Sr, needs: list[Need]) -> tuple[datetime, datetime]:
    """(when it is scanned, until when): for the first run that a scan can still come an hour before, away from all others."""
    counting = [need for need in needs if need.enforced] or needs
    earliest, last = scene.now, scene.last(RemedyKind.RESCAN, sr.id)
    if last is not None:
        earliest = max(earliest, last.at + scene.policy.rescan_again)
    if any(need.waits for need in counting):
        at = _free(scene, sr, earliest)
        return at, min([at + SOON, *_close(scene, sr, at)])
    at, latest = earliest, earliest
    for due in sorted({need.run.due for need in counting}):
        at = _free(scene, sr, max(earliest, due - scene.policy.look_ahead))
        latest = min([due - NEAR, *_close(scene, sr, at)])
        if at <= latest:
            break
    return at, latest


def _aside(scene: Scene, sr: Sr, needs: list[Need], at: datetime, latest: datetime) -> str:
    estate = scene.estate
    if not scene.policy.rescan:
        return "the policy says [remedies] rescan = false"
    if sr.id not in scene.waiting_on_sr:
        return "nothing waits there now"
    if not scene.is_connected(sr.pool or ""):
        return "XO is not connected to its pool"
    if scene.is_rolling(sr.pool or ""):
        return "a rolling pool update or reboot goes on"
    if any(is_collecting(task, sr.id) for task in estate.xapi_tasks):
        return "a coalesce is at work there now"
    seen = estate.observations.collected.get(sr.id) if estate.observations is not None else None
    if seen is not None and timedelta() <= scene.now - seen < AT_WORK:
        return f"a coalesce was seen at work there {format_duration((scene.now - seen).total_seconds())} ago"
    told = (fact.name for need in needs for one in _of_sr(scene, need, sr.id) for fact in one.facts)
    why = next((_NOT_BY_SCAN[name] for name in told if name in _NOT_BY_SCAN), "")
    if why:
        return f"a scan does not help: {why}"
    if sr.in_maintenance_mode is True:
        return "it is in maintenance mode"
    if not any(need.enforced for need in needs):
        return "the policy says observe for what needs it"
    if at > latest:
        return "no hour is free of runs on it before then"
    if any(is_scanning(task, sr.id) for task in estate.xapi_tasks):
        return "a scan goes on"
    return ""


def _free(scene: Scene, sr: Sr, earliest: datetime) -> datetime:
    """The first moment from ``earliest`` on that is an hour away from every run there."""
    at = earliest
    if sr.id in scene.free_again:
        at = max(at, scene.free_again[sr.id])
    for due in scene.dues_on_sr.get(sr.id, ()):
        if due - NEAR < at < due + NEAR:
            at = due + NEAR
    return at


def _close(scene: Scene, sr: Sr, at: datetime) -> list[datetime]:
    """When the runs due after ``at`` come too near for a scan."""
    return [due - NEAR for due in scene.dues_on_sr.get(sr.id, ()) if due > at]


def is_scanning(task: XapiTask, sr_id: str) -> bool:
    """Whether a task of XAPI is a scan of this SR, or one of which it is not told what it scans."""
    if task.status != "pending" or "SR.scan" not in task.name_label:
        return False
    told = f"{task.applies_to or ''} {task.name_description}".strip()
    return not told or sr_id in told


def _tolerance(scene: Scene, sr: Sr, needs: list[Need]) -> int:
    """How many un-coalesced VDIs XO tolerates in a chain, as the check had it."""
    told = (
        fact.value
        for need in needs
        for one in _of_sr(scene, need, sr.id)
        for fact in one.facts
        if fact.name == "tolerance"
    )
    return next((one for one in told if isinstance(one, int)), 1)


def too_long(estate: Estate, sr_id: str, tolerance: int) -> int:
    """How many disks on an SR have more un-coalesced VDIs in their chain than XO tolerates."""
    chains = ChainIndex(estate)
    return sum(1 for vdi in estate.vdis if vdi.sr == sr_id and len(chains.chain(vdi.id).uncoalesced) > tolerance)


def seen_again(remedy: Remedy, estate: Estate, now: datetime) -> Remedy:
    """The remedy with how many nodes wait there now; ``effect_at``: when guard first saw no chain too long any more, or where
    none was, nothing that waits.
    """
    seen = estate.observations
    if remedy.result is Result.FAILED or remedy.effect_at is not None or seen is None or seen.looked_at <= remedy.at:
        return remedy
    told = {fact.name: fact.value for fact in remedy.before}
    before, tolerance = told.get("waiting"), told.get("tolerance")
    long = too_long(estate, remedy.scope.id, tolerance) if isinstance(tolerance, int) and told.get("too_long") else None
    left = queues(seen).get(remedy.scope.id, 0)
    part = estate.parts[PartName.OBSERVATIONS]
    rate = rate_of(seen, remedy.scope.id)
    after = [Fact(name="left", value=left, unit="VDIs", source=part.source, observed_at=part.read_at)]
    if long is not None:
        after.append(msgspec.structs.replace(after[0], name="too_long", value=long, unit="chains"))
    if rate is not None:
        after.append(
            msgspec.structs.replace(after[0], name="coalesce_rate", value=round(rate.pairs_per_hour, 2), unit="VDIs/h")
        )
    # once they got fewer it helped, also where the next run leaves new ones
    fewer = remedy.effect is Effect.HELPED or (isinstance(before, int) and left < before)
    return msgspec.structs.replace(
        remedy,
        after=tuple(after),
        effect=Effect.HELPED if fewer else Effect.PENDING if now < remedy.at + GIVEN_UP else Effect.NOTHING,
        effect_at=now if fewer and (left if long is None else long) == 0 else None,
    )
