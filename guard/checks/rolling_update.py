"""Rolling pool updates and reboots that go on (failure-modes.md 4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import RollingUpdateOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import XoTask
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.units import plural, some_of

ROLLING_UPDATE = Code(
    id="ROLLING_UPDATE",
    title="A pool is updated or rebooted host by host",
    why="XO empties one host after the other and restarts it: VMs migrate, and their backup fails meanwhile. XO starts no "
    "rolling update while a backup runs, but nothing in it keeps a backup from starting during one.",
    do="Nothing: guard starts these backups once it has ended. When it hangs, look at Tasks in XO.",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME,),
)

_SOON = timedelta(hours=1)
_LATER = timedelta(hours=6)
"""It takes half an hour per host or more, for moving their VMs; of a run after that nothing is said."""


def evaluate(view: View, options: RollingUpdateOptions) -> list[Finding]:
    """One finding per pool, for the run's VMs there; the pool is taken from XO's task, and is any where it does not tell."""
    del options
    rolling = [task for task in view.estate.xo_tasks if task.is_rolling and task.status == "pending"]
    if not rolling or view.run.due.at - view.now > _LATER:
        return []
    concerned = pools_of(rolling, view.estate.pool_by_id)
    by_pool: dict[str, list[str]] = {}
    for vm_id in view.vms:
        pool = view.estate.vm_by_id[vm_id].pool
        if pool and (concerned is None or pool in concerned):
            by_pool.setdefault(pool, []).append(vm_id)
    return [_finding(view, pool, vms, len(rolling)) for pool, vms in by_pool.items()]


def pools_of(rolling: Iterable[XoTask], known: Iterable[str]) -> frozenset[str] | None:
    """The pools of the tasks; None where one names none that XO shows."""
    ids = frozenset(known)
    found = [
        ids.intersection(value for value in task.properties.values() if isinstance(value, str))
        for task in rolling
        if isinstance(task.properties, dict)
    ]
    return frozenset().union(*found) if all(found) else None


def _finding(view: View, pool: str, vms: list[str], tasks: int) -> Finding:
    name = view.pool_name(pool)
    soon = view.run.due.at - view.now <= _SOON
    return Finding(
        code=ROLLING_UPDATE.id,
        check="rolling_update",
        level=Level.BLOCK if soon else Level.WARN,
        certainty=Certainty.LIKELY if soon else Certainty.TREND,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.POOL, pool, name),
        holds=tuple(vms),
        summary=f"Pool {name} is being updated or rebooted host by host; {plural(len(vms), 'VM')} of this run "
        f"({some_of(map(view.vm_name, vms))}) may migrate, and cannot be backed up meanwhile.",
        facts=(view.fact("rolling_tasks", tasks, "tasks", PartName.XO_TASKS),),
        remedy="Nothing: guard takes these VMs up once it has ended.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="rolling_update",
    title="Rolling pool updates",
    codes=(ROLLING_UPDATE,),
    needs={part: timedelta(minutes=10) for part in (PartName.VMS, PartName.POOLS, PartName.XO_TASKS)},
    options=RollingUpdateOptions,
    evaluate=evaluate,
)
