"""Which causes a follow-up is for: one table of all codes, each with its reason. Pure.

A VM's backup takes its steps in this order (failure-modes.md 1): its folder is locked and cleaned on each repository,
migration is blocked, old snapshots go, the chain is checked, the snapshot is taken, then comes the transfer. What fails
before the snapshot costs nothing to try again. What fails after it has cost the delta base (8.3).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from datetime import timedelta
from enum import StrEnum


class FollowedBy(StrEnum):
    """What follows a VM that failed of a code.

    ``start``: one more start, when the cause is gone. ``full``: the same, by policy alone, since the next backup is a full
    one. ``person``: nothing, as time clears it for nobody. ``nothing``: no VM of a run ever fails of it.
    """

    START = "start"
    FULL = "full"
    PERSON = "person"
    NOTHING = "nothing"


_START = {
    "CHAIN_UNHEALTHY": "the chain is checked right before the snapshot, and the host coalesces by itself",
    "REPOSITORY_LOCKED": "the folder is locked first of all, and whoever holds the lock lets it go",
    "REPOSITORY_UNREACHABLE": "the repository is opened before anything else; a share or a network comes back",
    "POOL_DISCONNECTED": "XO signs in to the pool first; it reconnects, or guard has it do so",
    "VM_UNKNOWN": "XO looks the VM up first; a lost pool brings it back",
    "SR_UNKNOWN": "XO looks the target SR up first; a lost pool brings it back",
    "HEALTH_CHECK_SR_MISSING": "XO looks that SR up before any VM; a lost pool brings it back",
    "NO_VM_MATCHES": "the VMs are chosen first; a lost pool brings them back",
    "SR_DETACHED": "XAPI refuses the snapshot; a PBD is plugged again, by guard too",
    "NO_HOST_SEES_DISKS": "XAPI refuses the snapshot; a host or a PBD comes back",
    "SR_NO_SPACE": "the SR refuses the snapshot; what it coalesces makes room",
    "VM_MIGRATING": "XO refuses the VM at once, and a migration ends",
    "VM_BUSY": "XAPI refuses the snapshot, and the other operation ends",
    "NETWORK_LOST": "a connection that is refused at first is there again later",
    "RUN_INTERRUPTED": "XO was restarted, and never takes up what it had not begun",
}
_FULL = {
    "EXPORT_TIMEOUT": "the host kept XO waiting in the transfer",
    "EXPORT_INCOMPLETE": "the transfer broke off",
    "REPOSITORY_NO_SPACE": "the repository filled up in the transfer; merges and retention make room",
}
_PERSON = {
    "SETTINGS_MISSING": "the job's settings",
    "JOB_MISCONFIGURED": "the job's settings",
    "XO_FEATURE_REFUSED": "XO's plan or licence",
    "PROXY_UNREACHABLE": "XO does not see whether the run goes on at the proxy",
    "JOB_RUNNING": "the run that was on its way covers it, and policy says what becomes of overlaps",
    "REPOSITORY_DISABLED": "somebody switched it off",
    "REPOSITORY_IMMUTABLE": "retention against immutability",
    "REPOSITORY_MISCONFIGURED": "the repository's settings",
    "HEALTH_CHECK_FAILED": "the backup is there; why it does not start a person must see",
    "PLATFORM_TOO_OLD": "the host's version",
    "OWN_REPLICA": "the job's list",
    "VM_BAD_POWER_STATE": "the VM's state or its guest tools",
    "VM_HAS_NO_DISKS": "the VM's disks",
    "DISK_UNREADABLE": "the disk or its storage",
    "SR_FAILURE": "the storage said something that no rule of guard's knows to pass",
    "SNAPSHOT_UNSUPPORTED": "the kind of disk",
    "DISK_TOO_LARGE": "the size of the disk",
    "SNAPSHOT_STUCK": "an old snapshot",
    "USB_ATTACHED": "the device",
    "PASSTHROUGH_ATTACHED": "the device",
    "SNAPSHOT_BLOCKED": "somebody blocked it",
    "VENDOR_DEVICE_UNLICENSED": "the device or the licence",
    "NEXT_RUN_FULL": "the base of the delta",
    "EXPORT_TOO_LONG": "a second try takes as long again",
    "CHAIN_TOO_LONG": "retention, or a clone of the disk",
    "WORKER_DIED": "XO's memory",
    "UNCLASSIFIED": "nobody knows what it needs",
}
_NOTHING = frozenset(
    (
        # told before a run, or of the run as such; a log names what came of it
        *("SELECTION_SHRUNK", "ROLLING_UPDATE", "RUNS_TWICE", "DST_STORM", "JOB_STUCK", "RUN_OVERLAP", "XO_DISK_LOW"),
        *("REPOSITORY_ON_XO_DISK", "ENCRYPTION_LIMIT", "SNAPSHOT_REFUSED", "COALESCE_STUCK"),
        # guard's own words, and the policy's
        *("XO_DID_NOT_FIRE", "SCHEDULE_DISABLED", "START_UNCERTAIN", "SCHEDULE_LEFT_OFF", "RUN_REFUSED", "RUN_EXPIRED"),
        *("GATE_STANDS_ASIDE", "XO_UNREADABLE", "CLOCKS_DIFFERENT", "LEDGER_DISK_FULL", "LEDGER_UNWRITABLE"),
        *("NOTIFY_FAILING", "NOTIFY_DROPPED", "TOKEN_EXPIRES", "ON_HOLD", "OUTSIDE_WINDOW", "NO_SLOT"),
    )
)
SORTED: Mapping[str, tuple[FollowedBy, str]] = {
    **{code: (FollowedBy.START, why) for code, why in _START.items()},
    **{code: (FollowedBy.FULL, why) for code, why in _FULL.items()},
    **{code: (FollowedBy.PERSON, why) for code, why in _PERSON.items()},
    **dict.fromkeys(_NOTHING, (FollowedBy.NOTHING, "no VM of a run fails of it")),
}
"""Code -> what follows, and why. ``start`` holds as long as no transfer had begun; after that it is ``full``."""

UNSEEN = frozenset(
    (
        *("NETWORK_LOST", "REPOSITORY_UNREACHABLE", "REPOSITORY_LOCKED", "VM_BUSY", "RUN_INTERRUPTED"),
        *("POOL_DISCONNECTED", "VM_UNKNOWN", "SR_UNKNOWN", "HEALTH_CHECK_SR_MISSING", "NO_VM_MATCHES"),
        *_FULL,
    )
)
"""Causes whose end no check surely sees, or not at once."""
UNSEEN_FOR = timedelta(minutes=10)
"""So long such a cause gets before the next start: XO shows a pool it lost for five minutes more (xo-api.md 3.5)."""


def followed_by(codes: Collection[str], *, transferred: bool) -> FollowedBy:
    """What follows a VM that failed of all of these; ``transferred``: its transfer had begun. A code that a newer guard
    wrote needs a person.
    """
    found = {SORTED.get(code, (FollowedBy.PERSON, ""))[0] for code in codes} or {FollowedBy.PERSON}
    if not found <= {FollowedBy.START, FollowedBy.FULL}:
        return FollowedBy.PERSON
    return FollowedBy.FULL if transferred or FollowedBy.FULL in found else FollowedBy.START
