"""Pools older than XenServer 6.5, which know no delta (failure-modes.md 3.5)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import PlatformOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.units import plural

PLATFORM_TOO_OLD = Code(
    id="PLATFORM_TOO_OLD",
    title="The host does not speak what the backup needs",
    why="A delta backup or a replication asks the host for something that XenServer offers since 6.5. An older host, or one "
    "that fails in the middle of its answer, sends what is no HTTP.",
    do="Upgrade the pool, or change the job to full backups. On a recent host, restart its toolstack (xe-toolstack-restart) "
    "when no task is running, then try again.",
    page_section="Parse Error",
    certainty=(Certainty.CERTAIN,),
    clears=(ClearedBy.PERSON,),
)

_FIRST = (6, 5)


def evaluate(view: View, options: PlatformOptions) -> list[Finding]:
    """One finding per pool that a delta or a replication cannot be taken from."""
    del options
    if view.run.job.mode != "delta":
        return []
    too_old = _too_old(view)
    by_pool: dict[str, list[str]] = {}
    for vm_id in view.vms:
        home = view.estate.vm_by_id[vm_id].pool
        if home and home in too_old:
            by_pool.setdefault(home, []).append(vm_id)
    findings = []
    for pool_id, vms in by_pool.items():
        name, version = view.pool_name(pool_id), too_old[pool_id]
        findings.append(
            Finding(
                code=PLATFORM_TOO_OLD.id,
                check="platform",
                level=Level.BLOCK,
                certainty=Certainty.CERTAIN,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.POOL, pool_id, name),
                holds=tuple(vms),
                summary=f"Pool {name} has a host of version {version}; deltas need XenServer 6.5 or later, so "
                f"{plural(len(vms), 'VM')} cannot be backed up by this job.",
                facts=(view.fact("version", version, "", PartName.HOSTS),),
                remedy=f"Upgrade pool {name}, or back its VMs up with a full job.",
                clears=Clears(ClearedBy.PERSON),
            )
        )
    return findings


def _too_old(view: View) -> dict[str, str]:
    """Pool id -> the lowest version of its hosts, where that is too old. One that is no version tells nothing."""
    lowest: dict[str, tuple[tuple[int, int], str]] = {}
    for host in view.estate.hosts:
        version = host.version or ""
        numbers = version.split(".")[:2]
        if host.pool and len(numbers) == len(_FIRST) and all(part.isdecimal() for part in numbers):
            own = ((int(numbers[0]), int(numbers[1])), version)
            lowest[host.pool] = min(own, lowest.get(host.pool, own))
    return {pool: version for pool, (numbers, version) in lowest.items() if numbers < _FIRST}


CHECK = Check(
    name="platform",
    title="Age of the pools",
    codes=(PLATFORM_TOO_OLD,),
    needs={part: timedelta(minutes=10) for part in (PartName.HOSTS, PartName.VMS)},
    options=PlatformOptions,
    evaluate=evaluate,
)
