"""Whether the snapshots of a run that do not all fit on an SR do so with fewer VMs at once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence

from guard.checks.coalesce_reasons import reasons
from guard.checks.options import SrSpaceOptions
from guard.checks.sr_figures import provisioning_of
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr, Vdi
from guard.mechanics.coalescing import rate_of
from guard.mechanics.fewer_at_once import UNKNOWN_MERGE_S, Pace, most_slots, past_runs
from guard.mechanics.history import KEPT_SAMPLES
from guard.mechanics.outlook import ExpectedRun, repository_ids, target_sr_ids
from guard.mechanics.snapshot_space import LVM_TYPES, Need

FITS = "fits_with_concurrency"
"""Name of the fact that says with how many VMs at once they fit."""


def at_once(run: ExpectedRun) -> int:
    """How many of its VMs the job backs up at once."""
    vms = max(1, len(run.selection.ids))
    return min(run.settings.concurrency or vms, vms)


def concurrency_that_fits(
    view: View, options: SrSpaceOptions, sr: Sr, needs: Mapping[str, Sequence[Need]], left: int
) -> int | None:
    """The most VMs at once with which they fit, at most as many as the job has; None where that does not help, or cannot be
    told. ``needs``: by VM id, those of its disks there; ``left``: free bytes.
    """
    if not _is_given_back(view, sr, needs):
        return None
    pace = _pace(view, sr, needs)
    return None if pace is None else most_slots([*needs.values()], pace, left / (1 + options.margin_percent / 100))


def _is_given_back(view: View, sr: Sr, needs: Mapping[str, Sequence[Need]]) -> bool:
    """Whether the SR gives all back once a snapshot is deleted, as it did after the run before (mechanics/fewer_at_once.py).

    A disk that is alone in its chain although its VM was backed up shows that it did.
    """
    if view.run.job.mode != "full" or sr.sr_type not in LVM_TYPES or provisioning_of(sr) != "thick":
        return False
    if any(not one.proven for disks in needs.values() for one in disks) or reasons(view, sr, {}):
        return False
    for vm in needs:
        if view.outlook.settings_of(view.run, vm).snapshot_retention or view.takes_memory(vm):
            return False
        if any(vdi.parent or vdi.id in view.estate.snapshots_of_vdi for vdi in _disks(view, vm, sr)):
            return False
    return True


def _disks(view: View, vm: str, sr: Sr) -> list[Vdi]:
    return [vdi for _, vdi in view.outlook.disks(vm) if vdi.sr == sr.id]


def _pace(view: View, sr: Sr, needs: Mapping[str, Sequence[Need]]) -> Pace | None:
    """None where not every VM has a past of such transfers."""
    job = view.run.job
    targets = (*repository_ids(job), *target_sr_ids(job))
    runs = past_runs(view.outlook.history, job.id)
    shortest: dict[int, float] = {}
    for vm in needs:
        known = [one for to in targets for one in view.outlook.history.transfers_to(job.id, vm, [to])[-KEPT_SAMPLES:]]
        if not known:
            return None
        for one in known:
            together = runs[one.run].at_once
            shortest[together] = min(one.seconds, shortest.get(together, one.seconds))
    rate = rate_of(view.estate.observations, sr.id) if view.knows(PartName.OBSERVATIONS) else None
    return Pace(
        shortest=shortest,
        usual=at_once(view.run),
        merge_s=UNKNOWN_MERGE_S if rate is None else 3600 / rate.slow_pairs_per_hour,
        queue=_queue(view, sr),
        disks=max(len(disks) for disks in needs.values()),
    )


def _queue(view: View, sr: Sr) -> int:
    """Base copies there that the collector will turn to: with one child, or none."""
    vdis = view.estate.vdi_by_id
    children = Counter(vdi.parent for vdi in vdis.values() if vdi.parent and vdi.sr == sr.id)
    return sum(1 for node in view.estate.unmanaged_ids if vdis[node].sr == sr.id and children[node] <= 1)
