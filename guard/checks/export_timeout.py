"""Hosts that kept XO waiting too long in past runs (failure-modes.md 3.12; xo-api.md 7)."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import ExportTimeoutOptions
from guard.checks.repeated import ENOUGH_VMS, Repeated, figures, gathered, of_vm, who_and_when
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.forecast import most_bytes
from guard.mechanics.host_load import Sign, signs
from guard.mechanics.past import Repeats
from guard.mechanics.xo_config import XO_DEFAULT_MS
from guard.units import GIB, format_bytes, format_duration, plural

EXPORT_TIMEOUT = Code(
    id="EXPORT_TIMEOUT",
    title="The host kept XO waiting too long during a transfer",
    why="Within XO's time limit (5 minutes without a byte, unless configured) the host sent nothing: its dom0 is overloaded, "
    "it had trouble attaching the disk, or a compressed full of a mostly empty disk is silent for long.",
    do="Run it again at a quieter time, with fewer VMs at once (concurrency). Look at the load and memory of dom0. As a "
    "workaround let XO wait longer: guard workaround apply, or by hand [xapiOptions] httpInactivityTimeout = 1800000 (30 min, "
    "never below 300000) in /etc/xo-server/config.zz-backup-guard.toml; config.httpInactivityTimeout.toml, the name in XO's "
    "documentation, loses to a config.toml that has the key too. Full backups with zstd: use a delta job instead.",
    page_section="Error: HTTP connection has timed out",
    certainty=(Certainty.TREND,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)

MUCH_EMPTY = 100 * GIB
"""So much of zeros, compressed, keeps a host silent for minutes."""
_REMEDY = (
    "Find out why the host answers slowly: load and memory of its dom0, trouble attaching disks, too many exports at once "
    "(concurrency). Until then XO may wait longer: guard workaround apply, or by hand httpInactivityTimeout = 1800000 below "
    "[xapiOptions] in /etc/xo-server/config.zz-backup-guard.toml (milliseconds, never below 300000); without the cause it comes "
    "back."
)


def evaluate(view: View, options: ExportTimeoutOptions) -> list[Finding]:
    """By host where several VMs on it timed out, else by VM, else by schedule where it hit one VM after the other; then the
    hosts that look overloaded now, where a pool tells.
    """
    found = _repeated(view, options)
    return [*found, *_loaded(view, {vm for one in found for vm in one.holds})]


def _repeated(view: View, options: ExportTimeoutOptions) -> list[Finding]:
    repeats = view.outlook.repeats(EXPORT_TIMEOUT.id, options.runs)
    if not repeats.by_vm:
        return []
    found = list(_of_hosts(view, repeats, options.times))
    told = {vm for one in found for vm in one.holds}
    rest = {vm: repeats.by_vm[vm] for vm in view.vms if vm in repeats.by_vm and vm not in told}
    often = {vm: recent for vm, recent in rest.items() if len(recent.failures) >= options.times}
    found += [of_vm(view, vm, recent) for vm, recent in often.items()]
    schedule = view.run.schedule
    by_turns = {
        vm: recent
        for vm, recent in rest.items()
        if vm not in often and any(one.schedule == schedule.id for one in recent.failures)
    }
    if by_turns:
        scope = Scope(ScopeKind.SCHEDULE, schedule.id, schedule.name)
        together = gathered(scope, tuple(by_turns), list(by_turns.values()))
        found += [together] if len(together.failures) >= options.times else []
    return [_finding(view, options, one) for one in found]


def _loaded(view: View, told: Collection[str]) -> Iterator[Finding]:
    """Hosts of the run's VMs beyond the rules of thumb; ``told``: VMs whose findings say so already."""
    if not view.knows(PartName.POOL_FACTS):
        return
    there: dict[str, list[str]] = {}
    for vm in view.vms:
        host = view.outlook.host_of(vm)
        if host is not None and vm not in told:
            there.setdefault(host.id, []).append(vm)
    for host_id, vms in there.items():
        found = _signs(view, host_id, vms)
        if found:
            name = view.estate.host_by_id[host_id].name_label or host_id
            yield Finding(
                code=EXPORT_TIMEOUT.id,
                check="export_timeout",
                level=Level.WARN,
                certainty=Certainty.TREND,
                harm=Harm.NONE,
                scope=Scope(ScopeKind.HOST, host_id, name),
                holds=tuple(vms),
                summary=f"Host {name} may answer too slowly for the exports of {plural(len(vms), 'VM')}: its "
                f"{'; its '.join(one.text for one in found)}.",
                facts=tuple(view.fact(one.name, one.value, one.unit, PartName.POOL_FACTS) for one in found),
                remedy=_REMEDY,
                clears=Clears(ClearedBy.TIME),
            )


def _signs(view: View, host_id: str, vms: Collection[str]) -> tuple[Sign, ...]:
    facts = view.estate.host_facts.get(host_id)
    if facts is None:
        return ()
    used = dict.fromkeys(vdi.sr for vm in vms for _, vdi in view.outlook.disks(vm) if vdi.sr)
    return signs(host_id, facts, view.estate.sr_facts, used)


def _of_hosts(view: View, repeats: Repeats, times: int) -> Iterator[Repeated]:
    """The hosts of this run's VMs on which several VMs timed out; the others there wait for the same dom0."""
    slow = {host: vms for host, vms in repeats.by_host.items() if len(vms) >= ENOUGH_VMS}
    there: dict[str, list[str]] = {}
    for vm in view.vms if slow else ():
        host = view.outlook.host_of(vm)
        if host is not None and host.id in slow:
            there.setdefault(host.id, []).append(vm)
    for host_id, holds in there.items():
        scope = Scope(ScopeKind.HOST, host_id, view.estate.host_by_id[host_id].name_label or host_id)
        together = gathered(scope, tuple(holds), [repeats.by_vm[vm] for vm in slow[host_id]])
        if len(together.failures) >= times:
            yield together


def _finding(view: View, options: ExportTimeoutOptions, one: Repeated) -> Finding:
    host = view.outlook.host_of(one.last.vm)
    risks = [*_known_risks(view, one.holds), *_of_the_host(view, one)]
    text = who_and_when(view, one, "XO waited too long for the host")
    since = _waits_longer_since(view, one)
    if since:
        risks.append(since)
    return Finding(
        code=EXPORT_TIMEOUT.id,
        check="export_timeout",
        # a whole host or schedule does not wait for what hit some of its VMs
        level=Level.BLOCK if one.scope.kind is ScopeKind.VM and not since else Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=one.scope,
        holds=one.holds,
        summary=" ".join(f"{sentence}." for sentence in (text, *(sentence for sentence, _ in risks))),
        facts=(
            *figures(view, one, options.times, options.runs),
            view.fact("host_now", host.name_label if host is not None else None, "", PartName.VMS),
            *(fact for _, fact in risks),
        ),
        remedy=_REMEDY,
        clears=Clears(ClearedBy.PERSON),
    )


def _known_risks(view: View, vms: tuple[str, ...]) -> list[tuple[str, Fact]]:
    """What else is known to make a host silent: a sentence and a fact for each."""
    empty = [(vm, size) for vm in vms if (size := _compressed_zeros(view, vm)) >= MUCH_EMPTY]
    if not empty:
        return []
    vm, size = max(empty, key=lambda one: one[1])
    text = (
        f"{view.vm_name(vm)} is sent whole and compressed although {format_bytes(size)} of its disks are empty: while the host "
        "compresses zeros it sends nothing; a delta job does not have that"
    )
    return [(text, view.fact("empty", size, "bytes", PartName.VDIS))]


def _of_the_host(view: View, one: Repeated) -> list[tuple[str, Fact]]:
    """What its pool tells now of the host that kept XO waiting."""
    host = view.outlook.host_of(one.last.vm)
    if host is None or not view.knows(PartName.POOL_FACTS):
        return []
    found = _signs(view, host.id, one.holds)
    name = host.name_label or host.id
    return [
        (f"On {name} now, its {sign.text}", view.fact(sign.name, sign.value, sign.unit, PartName.POOL_FACTS))
        for sign in found
    ]


def _waits_longer_since(view: View, one: Repeated) -> tuple[str, Fact] | None:
    """That guard's own file has XO wait longer, and stands since the last of these timeouts."""
    state = view.estate.workaround if view.knows(PartName.WORKAROUND) else None
    if state is None or view.run.job.proxy or state.own.state != "intact" or state.own.written_at is None:
        return None
    held = state.in_force
    is_longer = held.value_ms == 0 or (held.value_ms or 0) > XO_DEFAULT_MS
    if not held.usable or not is_longer or state.own.written_at.timestamp() * 1000 < one.last.start:
        return None
    waits = "without a limit" if held.value_ms == 0 else f"for {format_duration((held.value_ms or 0) / 1000)}"
    text = f"Since then XO waits {waits} ({held.file}), so that this run is not held back"
    return text, view.fact("limit", held.value_ms, "ms", PartName.WORKAROUND)


def _compressed_zeros(view: View, vm_id: str) -> int:
    """Empty bytes of a VM's disks on thin SRs, where they are sent whole and compressed; on others the use does not tell."""
    job = view.run.job
    if job.mode != "full" or not job.compression:
        return 0
    total = 0
    for _, vdi in view.outlook.disks(vm_id):
        sr = view.estate.sr_by_id.get(vdi.sr or "")
        used = most_bytes((vdi,), view.estate.vdi_by_id)
        if sr is not None and sr.allocation_strategy == "thin" and isinstance(vdi.size, int) and used is not None:
            total += vdi.size - used
    return total


CHECK = Check(
    name="export_timeout",
    title="Hosts that kept XO waiting",
    codes=(EXPORT_TIMEOUT,),
    needs={PartName.LOGS: timedelta(hours=1), PartName.VMS: timedelta(minutes=10)},
    options=ExportTimeoutOptions,
    evaluate=evaluate,
)
