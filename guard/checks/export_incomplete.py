"""Transfers that broke off again and again, and full backups that may not be whole (failure-modes.md 3.13)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from guard.checks.check import Check
from guard.checks.options import ExportIncompleteOptions
from guard.checks.repeated import Repeated, figures, of_srs_and_vms, who_and_when
from guard.checks.view import View, policy_fact
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.history import KEPT_SAMPLES, Transfer, percentile
from guard.mechanics.outlook import repository_ids
from guard.mechanics.zones import zone_or_utc
from guard.units import format_bytes, format_time, plural, some_of

EXPORT_INCOMPLETE = Code(
    id="EXPORT_INCOMPLETE",
    title="The transfer of a disk broke off or arrived damaged",
    why="The host stopped sending before the end, answered with an error, or what arrived is no whole disk image: a "
    "connection cut, a read error on the host, a restart of the toolstack. A full backup (XVA) that was cut off counts as "
    "good: there only its size tells, or a warning of a later run.",
    do="Run the backup of this VM again: that is a full, as the failed transfer cost the delta base. When it repeats, look "
    "for errors of that time in /var/log/SMlog and /var/log/xensource.log on the host, and check disk and network.",
    page_section="Error: Expected values to be strictly equal",
    certainty=(Certainty.LIKELY, Certainty.TREND),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)

_RESTORE_ONCE = "Restore that backup once to see whether it is whole, and keep the older ones until you know."
EARLIER_FULLS = 3
"""With fewer, nothing tells what a full of this VM usually takes."""


def evaluate(view: View, options: ExportIncompleteOptions) -> list[Finding]:
    """Repeated failures by SR or VM, then each VM with a full that XO suspects, or whose newest one is far too small."""
    again = of_srs_and_vms(view, EXPORT_INCOMPLETE.id, options.times, options.runs)
    suspects = view.outlook.suspected_archives
    suspected = {vm: names for vm in view.vms if (names := suspects.get((view.run.job.id, vm)))}
    return [
        *(_repeated(view, options, one) for one in again),
        *(_suspected(view, vm, names) for vm, names in suspected.items()),
        *_too_small(view, options, (vm for vm in view.vms if vm not in suspected)),
    ]


def _repeated(view: View, options: ExportIncompleteOptions, one: Repeated) -> Finding:
    return Finding(
        code=EXPORT_INCOMPLETE.id,
        check="export_incomplete",
        level=Level.WARN,
        certainty=Certainty.TREND,
        harm=Harm.NONE,
        scope=one.scope,
        holds=one.holds,
        summary=who_and_when(view, one, "a transfer broke off or arrived damaged") + ".",
        facts=figures(view, one, options.times, options.runs),
        remedy="Look for errors of that time in /var/log/SMlog and /var/log/xensource.log on the host, and check the storage "
        "and the network between the host and XO.",
        clears=Clears(ClearedBy.PERSON),
    )


def _suspected(view: View, vm_id: str, names: tuple[str, ...]) -> Finding:
    return Finding(
        code=EXPORT_INCOMPLETE.id,
        check="export_incomplete",
        level=Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, view.vm_name(vm_id)),
        holds=(vm_id,),
        summary=f"{view.vm_name(vm_id)}: XO itself takes {plural(len(names), 'full backup')} of it for broken "
        f"({some_of(name or 'unnamed' for name in names)}): the file does not end as an XVA does. XO keeps it and counts the "
        "run as good.",
        facts=(view.fact("suspected", len(names), "backups", PartName.LOGS),),
        remedy=_RESTORE_ONCE,
        clears=Clears(ClearedBy.TIME),
    )


def _too_small(view: View, options: ExportIncompleteOptions, vms: Iterable[str]) -> Iterator[Finding]:
    """One finding per VM: XO does not heed whether an XVA is whole when it has written it (FS/abstract.js:701)."""
    share = options.small_percent / 100
    for vm_id in vms:
        for target in repository_ids(view.run.job):
            last, usual, samples = _fulls(view, vm_id, target)
            if last is None or usual is None or last.size >= share * usual:
                continue
            most = view.outlook.bytes_of(view.run, vm_id, target).most
            if most is not None and most < share * usual:
                continue  # the VM itself has become so small
            yield _small(view, options, vm_id, target, last, usual, samples)
            break


def _fulls(view: View, vm_id: str, target: str) -> tuple[Transfer | None, float | None, int]:
    """The newest full of this schedule in the job's present mode, the median of those before it, and how many these are.

    In delta mode XO checks each disk after the transfer, and a disk that is new makes a full of the small rest.
    """
    run = view.run
    if run.job.mode != "full":
        return None, None, 0
    sent = view.outlook.history.transfers_to(run.job.id, vm_id, (target,))
    fulls = [
        one for one in sent if one.full and one.size > 0 and one.mode == "full" and one.schedule == run.schedule.id
    ]
    if len(fulls) <= EARLIER_FULLS:
        return None, None, 0
    earlier = [one.size for one in fulls[-1 - KEPT_SAMPLES : -1]]
    return fulls[-1], percentile(earlier, 50), len(earlier)


def _small(
    view: View, options: ExportIncompleteOptions, vm_id: str, target: str, last: Transfer, usual: float, samples: int
) -> Finding:
    name, record = view.vm_name(vm_id), view.estate.repository_by_id.get(target)
    made = format_time(datetime.fromtimestamp(last.start / 1000, UTC), zone_or_utc(view.run.due.zone))
    return Finding(
        code=EXPORT_INCOMPLETE.id,
        check="export_incomplete",
        level=Level.WARN,
        certainty=Certainty.LIKELY,
        harm=Harm.NONE,
        scope=Scope(ScopeKind.VM, vm_id, name),
        holds=(vm_id,),
        summary=f"{name}: the full backup of {made} on {record.name if record is not None else target} has "
        f"{format_bytes(last.size)}, usually {format_bytes(int(usual))} (median of {plural(samples, 'earlier one')}): it may be "
        "incomplete; XO counts the run as good all the same.",
        facts=(
            view.fact("last_full", last.size, "bytes", PartName.LOGS),
            view.fact("usual_full", usual, "bytes", PartName.LOGS),
            view.fact("samples", samples, "transfers", PartName.LOGS),
            policy_fact("small_percent", options.small_percent, "%"),
        ),
        remedy=f"{_RESTORE_ONCE} It is in order when much was deleted in the VM since, a disk was taken out, or compression was "
        "switched on.",
        clears=Clears(ClearedBy.TIME),
    )


CHECK = Check(
    name="export_incomplete",
    title="Transfers that broke off",
    codes=(EXPORT_INCOMPLETE,),
    needs={PartName.LOGS: timedelta(hours=1), PartName.VMS: timedelta(minutes=10)},
    options=ExportIncompleteOptions,
    evaluate=evaluate,
)
