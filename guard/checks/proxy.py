"""Proxies that jobs run on, and whether XO reaches them (failure-modes.md 4.2; xo-api.md 3.11 and 5.4)."""

from __future__ import annotations

from datetime import timedelta

from msgspec import UNSET

from guard.checks.check import Check
from guard.checks.options import ProxyOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Proxy, Vm
from guard.finding import Certainty, ClearedBy, Clears, Code, Fact, Finding, Harm, Level, Scope, ScopeKind

PROXY_UNREACHABLE = Code(
    id="PROXY_UNREACHABLE",
    title="XO could not reach the proxy of the job",
    why="The job runs on a proxy, and that is off, has no address, or does not answer. No VM is attempted then.",
    do="In XO, open Proxies: check its state, start its VM, and look at its address and certificate.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)

_SOON = timedelta(minutes=30)
"""A proxy that does not answer now may be back for a run hours away: it restarts for updates."""


def evaluate(view: View, options: ProxyOptions) -> list[Finding]:
    """One finding where XO just could not reach the job's proxy, its VM is off, or no answer came. It is about every VM."""
    del options
    identity = view.run.job.proxy
    if not identity:
        return []
    part = view.estate.parts[PartName.PROXIES]
    if not view.knows(PartName.PROXIES):
        why = part.error or "the token's user is no administrator"
        return [_finding(view, Proxy(id=identity, name=identity), Level.UNKNOWN, f"could not be asked about: {why}")]
    proxy = view.estate.proxy_by_id.get(identity)
    if proxy is None:  # a job that was changed while guard read XO
        return [_finding(view, Proxy(id=identity, name=identity), Level.UNKNOWN, "was not asked about.")]
    if proxy.healthy:  # UNSET is falsy
        return []
    vm = view.estate.vm_by_id.get(proxy.vm or "")
    if vm is not None and vm.power_state in ("Halted", "Paused", "Suspended"):
        state = view.fact("power_state", vm.power_state, "", PartName.VMS)
        return [_finding(view, proxy, Level.BLOCK, f"is off: its VM {vm.name} is {vm.power_state}.", state, vm)]
    if proxy.healthy is UNSET:
        return [_finding(view, proxy, Level.UNKNOWN, f"gave XO no answer in time: {proxy.error}.")]
    told = f" ({proxy.error})" if proxy.error else ""
    level = Level.BLOCK if view.run.due.at - view.now <= _SOON else Level.WARN
    healthy = view.fact("healthy", value=False, unit="", part=PartName.PROXIES)
    return [_finding(view, proxy, level, f"cannot be reached by XO{told}.", healthy)]


def _finding(view: View, proxy: Proxy, level: Level, what: str, *facts: Fact | Vm) -> Finding:
    job = view.run.job
    off = next((one for one in facts if isinstance(one, Vm)), None)
    name = proxy.name or proxy.id
    remedy = f"Start VM {off.name}." if off is not None else f"In XO, open Proxies and look at the state of {name}."
    fails = " No VM of it would be backed up." if level is Level.BLOCK else ""
    return Finding(
        code=PROXY_UNREACHABLE.id,
        check="proxy",
        level=level,
        certainty=Certainty.TREND if level is Level.UNKNOWN else Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.PROXY, proxy.id, name),
        summary=f"Job {job.name} runs on proxy {name}, which {what}{fails}",
        facts=tuple(one for one in facts if isinstance(one, Fact)),
        remedy=remedy,
        clears=Clears(ClearedBy.PERSON if off is not None else ClearedBy.TIME),
    )


CHECK = Check(
    name="proxy",
    title="Proxies",
    codes=(PROXY_UNREACHABLE,),
    needs={PartName.JOBS: timedelta(minutes=10)},
    options=ProxyOptions,
    evaluate=evaluate,
    job_types=frozenset({"backup", "mirrorBackup"}),
)
