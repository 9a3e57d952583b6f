"""The codes that no check owns yet, and all codes together.

One code space for what is predicted and what a log shows (architecture.md 1). A code moves to a check once one predicts
it; those of alarms.py stay there, as only the daemon can see them. Facts behind the sentences: failure-modes.md 3 and 4,
and XO's backup troubleshooting page.
"""

from __future__ import annotations

from collections.abc import Mapping

from guard.checks import CODES
from guard.finding import Code
from guard.outcomes.alarms import ALARMS

_LOCK = "Error: Lock file is already being held"

# -- the disk, its chain and its SR -----------------------------------------------------------------------------------

SNAPSHOT_STUCK = Code(
    id="SNAPSHOT_STUCK",
    title="An old snapshot of the job cannot be removed",
    why="Before it takes a new snapshot XO deletes the old one. Its disk is still plugged in the control domain "
    "(VDI_IN_USE), or somebody detached or reattached a disk of it by hand.",
    do="In XO, Dashboard > Health, disconnect disks that are attached to a control domain, when no backup is running. "
    "Delete the odd snapshot of the job by hand; the next run is then a full.",
)
SR_FAILURE = Code(
    id="SR_FAILURE",
    title="The SR refused an operation",
    why="The storage driver of the host answered with an SR_BACKEND_FAILURE that has no cause of its own in guard: a disk "
    "left paused, an SR that is broken or cannot be reached, a snapshot that failed half-way.",
    do="Look at /var/log/SMlog on the pool master at the time of the failure. Make sure the SR is connected on every host, "
    "rescan it, and run the backup again; when it fails again, the storage needs a person.",
)

# -- the VM and its host ----------------------------------------------------------------------------------------------

VM_BUSY = Code(
    id="VM_BUSY",
    title="Another operation kept the VM or its host busy",
    why="XAPI does one thing at a time with a VM, and queues only so many tasks (OTHER_OPERATION_IN_PROGRESS, "
    "TOO_MANY_PENDING_TASKS).",
    do="Wait for the other operation: see Tasks in XO. When nothing is running there, the task is left over: "
    "xe task-list on the pool master, and restart the toolstack when no other task is at work.",
)
VM_BAD_POWER_STATE = Code(
    id="VM_BAD_POWER_STATE",
    title="The VM is not in the power state that the backup needs",
    why="A paused VM cannot be exported without a snapshot, and an offline backup needs a VM that shuts down when asked: "
    "that takes guest tools that answer.",
    do="Look at the VM's state now: an offline backup may have left it halted. Start, resume or shut it down by hand, "
    "and install or update its guest tools.",
)
VM_HAS_NO_DISKS = Code(
    id="VM_HAS_NO_DISKS",
    title="The VM has no disk to back up",
    why="XO skips a VM when nothing is left to copy: it has no disk, or every disk is marked [NOBAK].",
    do="Take the VM out of the job, or take [NOBAK] out of the name of the disk that should be copied.",
)

# -- the transfer -----------------------------------------------------------------------------------------------------

EXPORT_TIMEOUT = Code(
    id="EXPORT_TIMEOUT",
    title="The host kept XO waiting too long during a transfer",
    why="Within XO's time limit (5 minutes without a byte, unless configured) the host sent nothing: its dom0 is overloaded, "
    "it had trouble attaching the disk, or a compressed full of a mostly empty disk is silent for long.",
    do="Run it again at a quieter time, with fewer VMs at once (concurrency). Look at the load and memory of dom0. As a "
    "workaround create /etc/xo-server/config.httpInactivityTimeout.toml with [xapiOptions] and below it "
    "httpInactivityTimeout = 1800000 (30 min); never below 300000. Full backups with zstd: use a delta job instead.",
    page_section="Error: HTTP connection has timed out",
)
EXPORT_INCOMPLETE = Code(
    id="EXPORT_INCOMPLETE",
    title="The transfer of a disk broke off or arrived damaged",
    why="The host stopped sending before the end, answered with an error, or what arrived is no whole disk image: a "
    "connection cut, a read error on the host, a restart of the toolstack.",
    do="Run the backup of this VM again: that is a full, as the failed transfer cost the delta base. When it repeats, look "
    "for errors of that time in /var/log/SMlog and /var/log/xensource.log on the host, and check disk and network.",
    page_section="Error: Expected values to be strictly equal",
)
EXPORT_TOO_LONG = Code(
    id="EXPORT_TOO_LONG",
    title="An export ran longer than the 24 h a host allows",
    why="XAPI destroys a task after 24 hours, and the export with it.",
    do="Make the export shorter: split the disks over more VMs or jobs, use delta backups with NBD, raise maxExportRate, "
    "or find out what is slow between host and backup repository.",
)
NETWORK_LOST = Code(
    id="NETWORK_LOST",
    title="A network connection was refused or broke",
    why="The connection between XO and a host, a backup repository or a proxy could not be opened, or broke in the middle. "
    "The log does not tell which side ended it.",
    do="Run it again. When it repeats, check from the XO machine that the address in the error answers, and look for "
    "restarts, firewalls with idle limits, and address conflicts on the way.",
)

# -- backup repositories ----------------------------------------------------------------------------------------------

REPOSITORY_LOCKED = Code(
    id="REPOSITORY_LOCKED",
    title="Another process holds the VM's folder on the backup repository",
    why="Another run, a merge of older backups or a mirror works on the same VM there; after a transfer that was cut the "
    "lock stays for about half a minute, or until the worker ends.",
    do="Wait until the other run or the merge has ended, then run it again; never delete the lock. Leave more time between "
    "jobs with the same VMs, and check that the repository keeps up: merges of slow storage run into the next job.",
    page_section=_LOCK,
)
REPOSITORY_IMMUTABLE = Code(
    id="REPOSITORY_IMMUTABLE",
    title="Retention must delete a backup that is protected",
    why="The storage keeps files immutable for longer than the job's retention, so deleting or merging the oldest backup is "
    "refused (EPERM). The new backup may be there all the same.",
    do="Raise the retention of the schedule until it covers the protection, or shorten the protection. Without immutable "
    "storage, look at owner and rights of the files on the share.",
)

# -- health checks ----------------------------------------------------------------------------------------------------

HEALTH_CHECK_FAILED = Code(
    id="HEALTH_CHECK_FAILED",
    title="The backup was written, but its health check failed",
    why="XO restored the backup and started the VM, and it did not report back in time: no guest tools, not enough memory "
    "on the host, a slow start, or a script inside it that failed. XO counts the VM as failed.",
    do="The backup itself is there. Install or update the guest tools of the VM, give the check more time "
    "(healthCheckTimeout) or a host with free memory. Then restore it once by hand to see it start.",
)

# -- XO itself, its job and its proxy ---------------------------------------------------------------------------------

RUN_INTERRUPTED = Code(
    id="RUN_INTERRUPTED",
    title="XO was restarted during the run",
    why="The run lives in xo-server. When it stops or dies, the run ends where it was and is not taken up again.",
    do="Start the job again. Look for the reason of the restart (journalctl -u xo-server): an update, a crash, too little "
    "memory. Leftover snapshots go with the next run.",
)
WORKER_DIED = Code(
    id="WORKER_DIED",
    title="XO's backup worker died",
    why="The process that does the backup ended by itself, mostly because the machine ran out of memory (SIGKILL).",
    do="Look at the end of the log (journalctl -u xo-server, dmesg for the out-of-memory killer). Give the XO machine more "
    "memory or lower the concurrency of the job, then start it again.",
)
XO_FEATURE_REFUSED = Code(
    id="XO_FEATURE_REFUSED",
    title="XO's plan or licence does not allow what the job does",
    why="The appliance checks its plan before a run (feature Unauthorized), and the licence of a proxy (no valid proxy "
    "license).",
    do="In XO, look at the licences page: renew or bind the licence, or take the feature out of the job.",
)
PROXY_UNREACHABLE = Code(
    id="PROXY_UNREACHABLE",
    title="XO could not reach the proxy of the job",
    why="The job runs on a proxy, and that is off, has no address, or does not answer. No VM was attempted.",
    do="In XO, open Proxies: check its state, start its VM, and look at its address and certificate.",
)
UNCLASSIFIED = Code(
    id="UNCLASSIFIED",
    title="guard does not know this error",
    why="No rule of guard's fits its code or its text, so nothing is claimed about it. The text is XO's own, unshortened.",
    do="Read the text. Look at the log of xo-server and of the host at that time; then please report the text, so that the "
    "next version knows it.",
)

OWN: tuple[Code, ...] = (
    SNAPSHOT_STUCK,
    SR_FAILURE,
    VM_BUSY,
    VM_BAD_POWER_STATE,
    VM_HAS_NO_DISKS,
    EXPORT_TIMEOUT,
    EXPORT_INCOMPLETE,
    EXPORT_TOO_LONG,
    NETWORK_LOST,
    REPOSITORY_LOCKED,
    REPOSITORY_IMMUTABLE,
    HEALTH_CHECK_FAILED,
    RUN_INTERRUPTED,
    WORKER_DIED,
    XO_FEATURE_REFUSED,
    PROXY_UNREACHABLE,
    UNCLASSIFIED,
    *ALARMS,
)

ALL_CODES: Mapping[str, Code] = {**CODES, **{code.id: code for code in OWN}}
