"""What the checks of SR space have in common: their code, and an SR's figures (failure-modes.md 3.3; xo-api.md 3.7)."""

from __future__ import annotations

from guard.estate.xo_records import Sr
from guard.finding import Certainty, ClearedBy, Code, Harm
from guard.mechanics.snapshot_space import LVM_TYPES

SR_NO_SPACE = Code(
    id="SR_NO_SPACE",
    title="An SR has too little free space for the snapshots or copies of a run",
    why="A snapshot on a thick (LVM) SR needs the data written since the last snapshot plus 16 MiB, at worst the whole "
    "virtual size; a new replica or a health check needs the whole disk, a snapshot with memory the VM's memory besides. "
    "SM refuses with SR_BACKEND_FAILURE_44. Freed space only returns after a coalesce, which itself needs room: hence the "
    "page's rules of 30 % free, and 50 % on a thick SR.",
    do="Free space on the SR: delete old snapshots and orphaned VDIs, let coalesces finish (rescan the SR), move disks to "
    "another SR, or spread the VMs over more schedules. A thin SR (ext, NFS) needs far less for a snapshot.",
    page_section="SR_BACKEND_FAILURE_44",
    certainty=(Certainty.CERTAIN, Certainty.LIKELY, Certainty.TREND),
    harm=(Harm.NONE, Harm.PRODUCTION),
    clears=(ClearedBy.TIME, ClearedBy.PERSON),
)


def free_bytes(sr: Sr | None) -> int | None:
    """Free bytes; None where XO has no figures, which it shows as a size of 0 or -1 (xo-api.md 3.7)."""
    if sr is None or not isinstance(sr.size, int) or not isinstance(sr.physical_usage, int):
        return None
    return sr.size - sr.physical_usage if sr.size > 0 and sr.physical_usage >= 0 else None


def provisioning_of(sr: Sr) -> str:
    """thick, thin or unknown: what the SR's own configuration says, else what XO derives from its driver.

    ``allocation`` on LVM, ``provisioning`` on LINSTOR (SM LVHDSR.py:166-181, LinstorSR.py:338-367).
    """
    key = "provisioning" if sr.sr_type == "linstor" else "allocation"
    told = (sr.sm_config or {}).get(key) or sr.allocation_strategy
    return told or ("thick" if sr.sr_type in LVM_TYPES else "unknown")


def harm_of(sr: Sr) -> Harm:
    """What running out of space does: a thick SR refuses and hurts nobody, a full thin one stops its guests' writes."""
    return Harm.NONE if provisioning_of(sr) == "thick" else Harm.PRODUCTION
