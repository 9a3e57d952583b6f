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

_CHAIN = "VDI chain protection"
_LOCK = "Error: Lock file is already being held"
_NOT_SUPPORTED = "Error: SR_OPERATION_NOT_SUPPORTED"
_NO_XAPI = "Error: no XAPI associated to <UUID>"

# -- the disk, its chain and its SR -----------------------------------------------------------------------------------

CHAIN_TOO_LONG = Code(
    id="CHAIN_TOO_LONG",
    title="The snapshot chain of a disk has reached its limit of 30",
    why="The host refuses a snapshot when 30 images already hang together below a disk (SR_BACKEND_FAILURE_109). Many kept "
    "or manual snapshots lead there, and so does a replica, where every transfer adds one on the target.",
    do="Delete snapshots of the VM that nobody needs, lower the snapshot or copy retention of its jobs, then rescan the SR "
    "(Rescan all disks) and let the coalesce finish. Moving the disk to another SR and back flattens the chain too.",
    page_section=_CHAIN,
)
SNAPSHOT_UNSUPPORTED = Code(
    id="SNAPSHOT_UNSUPPORTED",
    title="A disk of the VM cannot be snapshotted",
    why="One disk is in RAW format, on a removable or ISO SR, resets at boot, or the host cannot snapshot what the VM has "
    "(a vTPM on an old host). XAPI then refuses the snapshot of the whole VM.",
    do="Detach the removable device or disk and run the backup again. A disk whose data the backup can do without may stay: "
    "put [NOBAK] in its name and XO leaves it out. A RAW disk has to be copied into a new disk in another format.",
    page_section=_NOT_SUPPORTED,
)
USB_ATTACHED = Code(
    id="USB_ATTACHED",
    title="A USB device is passed through to the VM",
    why="XAPI takes no snapshot of a running VM that has a USB device of the host (VM_HAS_VUSBS). Waiting does not help.",
    do="Detach the device from the VM (VM > Advanced in XO) and start the backup again, or let the job take its snapshot "
    "with the VM shut down (offline snapshot): XO then detaches the device and attaches it again.",
    page_section=_NOT_SUPPORTED,
)
PASSTHROUGH_ATTACHED = Code(
    id="PASSTHROUGH_ATTACHED",
    title="A PCI device or a GPU is passed through to the VM",
    why="The memory of a VM with a PCI device or a virtual GPU cannot be saved, so a backup with RAM is refused "
    "(VM_HAS_PCI_ATTACHED, VM_HAS_VGPU).",
    do="Turn off the backup of memory for this VM: take the tag xo-memory-backup off, or the checkpoint option out of the "
    "job. Otherwise detach the device, or back the VM up offline.",
    page_section=_NOT_SUPPORTED,
)
SNAPSHOT_BLOCKED = Code(
    id="SNAPSHOT_BLOCKED",
    title="An operation that the backup needs is blocked on the VM",
    why="Somebody blocked snapshot, checkpoint or clean shutdown on the VM, or destroy on one of its snapshots "
    "(OPERATION_BLOCKED). XAPI refuses it until it is unblocked.",
    do="Find out why it was blocked, then remove the block: VM > Advanced in XO, or on the host "
    "xe vm-param-remove uuid=<VM> param-name=blocked-operations param-key=snapshot. For a snapshot that may not be deleted, "
    "unblock destroy on the snapshot.",
)
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
SR_UNKNOWN = Code(
    id="SR_UNKNOWN",
    title="XO does not show a target SR of the job",
    why="XO looks the SRs of a replication up at the start. One it does not find is dropped and every VM misses that copy: "
    "the SR was forgotten, or its pool is not connected.",
    do="Search the UUID in XO. Reconnect its pool (Settings > Servers), or take the SR out of the job.",
    page_section=_NO_XAPI,
)
DISK_UNREADABLE = Code(
    id="DISK_UNREADABLE",
    title="The host could not read or write a disk",
    why="The host reported an I/O error on a disk (VDI_IO_ERROR), or the disk is not there. The data on the SR may be "
    "damaged, or the SR is too slow for the copy beside the VMs. In a replication it is the disk of the target SR.",
    do="Run the backup of this VM once more. When it fails again, look for I/O errors in dmesg and /var/log/SMlog on the "
    "host, check the health of the storage, and try to copy the disk to another SR while it can still be read.",
    page_section="Error: VDI_IO_ERROR",
)

# -- the VM and its host ----------------------------------------------------------------------------------------------

VENDOR_DEVICE_UNLICENSED = Code(
    id="VENDOR_DEVICE_UNLICENSED",
    title="The VM has a vendor device that its host's licence does not allow",
    why="The VM was made on a XenServer with a paid licence and asks for the Windows Update device; a free edition refuses "
    "to create a copy of it (LICENSE_RESTRICTION, PCI_device_for_auto_update).",
    do="With the VM halted, on the host: xe vm-param-set has-vendor-device=false uuid=<VM_UUID>. Windows may then need its "
    "drivers from another source.",
    page_section="LICENSE_RESTRICTION",
)
PLATFORM_TOO_OLD = Code(
    id="PLATFORM_TOO_OLD",
    title="The host does not speak what the backup needs",
    why="A delta backup or a replication asks the host for something that XenServer offers since 6.5. An older host, or one "
    "that fails in the middle of its answer, sends what is no HTTP.",
    do="Upgrade the pool, or change the job to full backups. On a recent host, restart its toolstack (xe-toolstack-restart) "
    "when no task is running, then try again.",
    page_section="Parse Error",
)
VM_MIGRATING = Code(
    id="VM_MIGRATING",
    title="The VM was being migrated",
    why="XO does not back up a VM that moves to another host or SR, and does not try it again in the same run.",
    do="Nothing, when it was a single migration: run the backup of this VM once it has ended. When a load balancer moves VMs "
    "every night, keep it out of the backup window.",
)
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
OWN_REPLICA = Code(
    id="OWN_REPLICA",
    title="The job was told to back up a replica it made itself",
    why="XO refuses a VM that this very job created on its target. It gets there by a list of VMs, or a replica whose "
    "start was never allowed.",
    do="Take the replica out of the job's list. To keep using it as a VM of its own, make a copy and back that up.",
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
NEXT_RUN_FULL = Code(
    id="NEXT_RUN_FULL",
    title="The base of a delta is gone, so a full is needed",
    why="The snapshot, archive or replica on which the delta builds was deleted. Today's XO makes a full by itself; older "
    "ones failed, and a few cases still do.",
    do="When the run failed: delete the job's own snapshot on the source VM, so that the next run starts with a full. Make "
    "sure that the repository has the room and the night the hours for it. A mirror job: run the source's job first.",
    page_section="Could not find the base VM",
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
REPOSITORY_MISCONFIGURED = Code(
    id="REPOSITORY_MISCONFIGURED",
    title="A backup repository is set up in a way the job cannot use",
    why="Repository and job belong to different proxies, the encryption key is wrong or of the wrong length, a new key "
    "meets a folder that is not empty, or a distributed job mixes storages with and without a size.",
    do="Compare the proxy of the job with that of the repository. Check the encryption key: a repository that holds "
    "backups cannot get another one; make a new repository with an empty folder for it.",
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
HEALTH_CHECK_SR_MISSING = Code(
    id="HEALTH_CHECK_SR_MISSING",
    title="The SR for the health checks is not there",
    why="XO opens the health check SR before any VM. When it does not find it, the whole run fails and no VM is backed up.",
    do="Edit the schedule in XO and choose another SR for the health check, or reconnect the pool of this one "
    "(Settings > Servers). Then start the job again.",
    page_section=_NO_XAPI,
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
JOB_MISCONFIGURED = Code(
    id="JOB_MISCONFIGURED",
    title="Two settings of the job do not go together",
    why="XO accepts them when the job is saved and refuses them in the run: an offline backup with snapshots to keep, or a "
    "long-term retention without a time zone or with a number that is not positive.",
    do="Edit the job in XO: take one of the two settings out, or give the schedule a time zone and a positive retention.",
)
UNCLASSIFIED = Code(
    id="UNCLASSIFIED",
    title="guard does not know this error",
    why="No rule of guard's fits its code or its text, so nothing is claimed about it. The text is XO's own, unshortened.",
    do="Read the text. Look at the log of xo-server and of the host at that time; then please report the text, so that the "
    "next version knows it.",
)

OWN: tuple[Code, ...] = (
    CHAIN_TOO_LONG,
    SNAPSHOT_UNSUPPORTED,
    USB_ATTACHED,
    PASSTHROUGH_ATTACHED,
    SNAPSHOT_BLOCKED,
    SNAPSHOT_STUCK,
    SR_FAILURE,
    SR_UNKNOWN,
    DISK_UNREADABLE,
    VENDOR_DEVICE_UNLICENSED,
    PLATFORM_TOO_OLD,
    VM_MIGRATING,
    VM_BUSY,
    VM_BAD_POWER_STATE,
    VM_HAS_NO_DISKS,
    OWN_REPLICA,
    EXPORT_TIMEOUT,
    EXPORT_INCOMPLETE,
    EXPORT_TOO_LONG,
    NETWORK_LOST,
    NEXT_RUN_FULL,
    REPOSITORY_LOCKED,
    REPOSITORY_MISCONFIGURED,
    REPOSITORY_IMMUTABLE,
    HEALTH_CHECK_FAILED,
    HEALTH_CHECK_SR_MISSING,
    RUN_INTERRUPTED,
    WORKER_DIED,
    XO_FEATURE_REFUSED,
    PROXY_UNREACHABLE,
    JOB_MISCONFIGURED,
    UNCLASSIFIED,
    *ALARMS,
)

ALL_CODES: Mapping[str, Code] = {**CODES, **{code.id: code for code in OWN}}
