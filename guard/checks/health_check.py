"""Health checks that cannot succeed: XO waits for guest tools that the VM has not (failure-modes.md 4.4)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import HealthCheckOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.units import plural, some_of

HEALTH_CHECK_FAILED = Code(
    id="HEALTH_CHECK_FAILED",
    title="The backup was written, but its health check failed",
    why="XO restored the backup and started the VM, and it did not report back in time: no guest tools, not enough memory "
    "on the host, a slow start, or a script inside it that failed. XO counts the VM as failed.",
    do="The backup itself is there. Install or update the guest tools of the VM, give the check more time "
    "(healthCheckTimeout) or a host with free memory. Then restore it once by hand to see it start.",
    certainty=(Certainty.LIKELY,),
    clears=(ClearedBy.PERSON,),
)
_OPTED_OUT = "xo:no-health-check"


def evaluate(view: View, options: HealthCheckOptions) -> list[Finding]:
    """One warning for all VMs that run now without guest tools and whose restored copy XO will wait for.

    XO checks every VM of the schedule but those that carry the tag, and where the schedule names tags only VMs that carry
    one of them (@xen-orchestra/backups _Abstract.mjs). The backup is written before, so nothing is held.
    """
    del options
    if not view.run.settings.health_check_sr:
        return []
    without = [vm for vm in view.vms if view.estate.vm_by_id[vm].pv_drivers_detected is False and _is_tried(view, vm)]
    if not without:
        return []
    job = view.run.job
    return [
        Finding(
            code=HEALTH_CHECK_FAILED.id,
            check="health_check",
            level=Level.WARN,
            certainty=Certainty.LIKELY,
            harm=Harm.NONE,
            scope=Scope(ScopeKind.JOB, job.id, job.name),
            holds=tuple(without),
            summary=f"{plural(len(without), 'VM')} of this run ({some_of(map(view.vm_name, without))}) "
            f"{'runs' if len(without) == 1 else 'run'} without guest tools, and the health check waits for them in vain: "
            "XO will count the VM as failed although its backup is there.",
            facts=(view.fact("vms_without_tools", len(without), "VMs", PartName.VMS),),
            remedy=f"Install the guest tools, or give these VMs the tag {_OPTED_OUT}.",
            clears=Clears(ClearedBy.PERSON),
        )
    ]


def _is_tried(view: View, vm_id: str) -> bool:
    vm = view.estate.vm_by_id[vm_id]
    tags = vm.tags or ()
    wanted = view.outlook.settings_of(view.run, vm_id).health_check_vms_with_tags
    opted_out = any(tag.startswith(_OPTED_OUT) for tag in tags)
    return vm.power_state == "Running" and not opted_out and (not wanted or not set(wanted).isdisjoint(tags))


CHECK = Check(
    name="health_check",
    title="Health checks",
    codes=(HEALTH_CHECK_FAILED,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.JOBS)},
    options=HealthCheckOptions,
    evaluate=evaluate,
)
