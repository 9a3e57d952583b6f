"""Disks beyond what the VHD format holds (xapi-storage.md 1.4 and 6; failure-modes.md 4.4)."""

from __future__ import annotations

from datetime import timedelta

from guard.checks.check import Check
from guard.checks.options import DiskSizeOptions
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.estate.xo_records import Sr, Vdi
from guard.finding import Certainty, ClearedBy, Clears, Code, Finding, Harm, Level, Scope, ScopeKind
from guard.mechanics.outlook import repository_ids, target_sr_ids
from guard.mechanics.snapshot_space import VHD_LIMIT
from guard.units import GIB

DISK_TOO_LARGE = Code(
    id="DISK_TOO_LARGE",
    title="A disk is too large for the VHD format",
    why="A host exports and creates VHD images of at most 2,040 GiB. A larger disk is a QCOW2 image (XCP-ng 8.3), which an "
    "SMB or XOSTOR (LINSTOR) SR does not take; exporting one as a VHD is refused (VDI_TOO_LARGE).",
    do="Keep a disk of that size on an SR that takes QCOW2, and replicate it to such an SR. What a VM can do without may be "
    "left out: put [NOBAK] in the disk's name. Several smaller disks in place of a large one are also faster to back up.",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY),
    clears=(ClearedBy.PERSON,),
)

_VHD_ONLY = frozenset({"linstor", "smb"})


def evaluate(view: View, options: DiskSizeOptions) -> list[Finding]:
    """Per VM: a VHD above the limit in a delta job, then the target and health-check SRs that take nothing but VHD."""
    del options
    findings = []
    for vm_id in view.vms:
        large = [vdi for _, vdi in view.outlook.disks(vm_id) if isinstance(vdi.size, int) and vdi.size > VHD_LIMIT]
        if large:
            findings += _of_vm(view, vm_id, large)
    return findings


def _of_vm(view: View, vm_id: str, large: list[Vdi]) -> list[Finding]:
    job, settings = view.run.job, view.run.settings
    exported = next((vdi for vdi in large if vdi.image_format == "vhd"), None)
    if job.mode != "full" and exported is not None and not settings.prefer_nbd:
        what = "the host refuses to export it as a VHD"
        return [_finding(view, vm_id, exported, None, what, Level.BLOCK, Certainty.CERTAIN)]
    targets = target_sr_ids(job)
    found = []
    for sr_id in dict.fromkeys((*targets, settings.health_check_sr or "")):
        sr = view.estate.sr_by_id.get(sr_id)
        if sr is not None and sr.sr_type in _VHD_ONLY:
            sole = targets == (sr_id,) and not repository_ids(job)
            use = "the replica" if sr_id in targets else "the health check's copy"
            what = f"{sr.name_label} takes VHD only, so {use} cannot be made there"
            level = Level.BLOCK if sole else Level.WARN
            found.append(_finding(view, vm_id, large[0], sr, what, level, Certainty.LIKELY))
    return found


def _finding(view: View, vm_id: str, vdi: Vdi, sr: Sr | None, what: str, level: Level, certainty: Certainty) -> Finding:
    name, disk, size = view.vm_name(vm_id), vdi.name_label or vdi.id, vdi.size or 0
    scope = Scope(ScopeKind.VM, vm_id, name) if sr is None else Scope(ScopeKind.SR, sr.id, sr.name_label)
    return Finding(
        code=DISK_TOO_LARGE.id,
        check="disk_size",
        level=level,
        certainty=certainty,
        harm=Harm.NONE,
        scope=scope,
        holds=(vm_id,),
        summary=f"{name}: disk {disk} has {size / GIB:,.0f} GiB, more than a VHD of 2,040 GiB; {what}.",
        facts=(
            view.fact("size", size, "bytes", PartName.VDIS),
            view.fact("image_format", vdi.image_format or "", "", PartName.VDIS),
            *((view.fact("sr_type", sr.sr_type, "", PartName.SRS),) if sr is not None else ()),
        ),
        remedy=f"Use an SR that takes QCOW2 for {disk}, or put [NOBAK] in its name if the backup can do without its data.",
        clears=Clears(ClearedBy.PERSON),
    )


CHECK = Check(
    name="disk_size",
    title="Disks too large for VHD",
    codes=(DISK_TOO_LARGE,),
    needs={part: timedelta(minutes=10) for part in (PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS)},
    options=DiskSizeOptions,
    evaluate=evaluate,
)
