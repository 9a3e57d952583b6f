"""Why a run failed: the one ordered classifier of what XO leaves in its backup logs (failure-modes.md 5).

``RULES`` are tried in order and the first that fits names the code: what an error's own code says comes before what its
message says, and a place alone decides last. Order is a property of the whole table, so it stands in one piece. What no
rule fits stays ``UNCLASSIFIED``, with XO's words in full.
"""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from guard.checks.blocked_operations import SNAPSHOT_BLOCKED
from guard.checks.chain import CHAIN_UNHEALTHY
from guard.checks.chain_depth import CHAIN_TOO_LONG
from guard.checks.connectivity import POOL_DISCONNECTED, SR_DETACHED, VM_UNKNOWN
from guard.checks.disk_missing import DISK_UNREADABLE
from guard.checks.disk_paused import SR_FAILURE
from guard.checks.disk_size import DISK_TOO_LARGE
from guard.checks.export_incomplete import EXPORT_INCOMPLETE
from guard.checks.export_timeout import EXPORT_TIMEOUT
from guard.checks.export_too_long import EXPORT_TOO_LONG
from guard.checks.health_check import HEALTH_CHECK_FAILED
from guard.checks.host_placement import NO_HOST_SEES_DISKS
from guard.checks.immutable import REPOSITORY_IMMUTABLE
from guard.checks.job_settings import JOB_MISCONFIGURED, SETTINGS_MISSING
from guard.checks.next_full import NEXT_RUN_FULL
from guard.checks.overlap import JOB_RUNNING
from guard.checks.passthrough import PASSTHROUGH_ATTACHED, USB_ATTACHED
from guard.checks.platform import PLATFORM_TOO_OLD
from guard.checks.proxy import PROXY_UNREACHABLE
from guard.checks.repository import REPOSITORY_DISABLED, REPOSITORY_NO_SPACE, REPOSITORY_UNREACHABLE
from guard.checks.repository_lock import REPOSITORY_LOCKED
from guard.checks.repository_proxy import REPOSITORY_MISCONFIGURED
from guard.checks.selection import NO_VM_MATCHES
from guard.checks.snapshot_stuck import SNAPSHOT_STUCK
from guard.checks.snapshot_support import SNAPSHOT_UNSUPPORTED
from guard.checks.sr_figures import SR_NO_SPACE
from guard.checks.target_srs import HEALTH_CHECK_SR_MISSING, SR_UNKNOWN
from guard.checks.vendor_device import VENDOR_DEVICE_UNLICENSED
from guard.checks.vm_state import OWN_REPLICA, VM_BAD_POWER_STATE, VM_BUSY, VM_HAS_NO_DISKS, VM_MIGRATING
from guard.checks.xo_feature import XO_FEATURE_REFUSED
from guard.estate.xo_records import BackupLog
from guard.finding import Code, Scope
from guard.outcomes import codes
from guard.outcomes.failures import Failure, Place, failures, job_scope, replaced


class Cause(msgspec.Struct, frozen=True, kw_only=True):
    """One reason why a run, a VM or one copy of a VM was lost.

    ``run``: the log's id. ``text``: XO's own words in full. ``transient``: the state passes without anybody's hand.
    ``waiting_helps``: a later try may well succeed (section 5's action D). ``target``: the repository or SR that missed its
    copy, where the log tells.
    """

    run: str
    scope: Scope
    code: str
    transient: bool
    waiting_helps: bool
    text: str
    place: Place
    target: Scope | None = None


class Rule(msgspec.Struct, frozen=True):
    """One row: the code it names, and what an error must have. All that is given must fit.

    ``ids``: the whole code (or error name) of the error. ``says``: found in its message. ``at``: its places. ``when``: any
    other condition.
    """

    code: Code
    ids: re.Pattern[str] | None = None
    says: re.Pattern[str] | None = None
    at: frozenset[Place] | None = None
    when: Callable[[Failure], bool] | None = None

    def fits(self, failure: Failure) -> bool:
        """Whether this row is about such a failure."""
        error = failure.error
        return (
            (self.ids is None or any(self.ids.fullmatch(one) for one in (error.code, error.name)))
            and (self.says is None or self.says.search(error.message) is not None)
            and (self.at is None or failure.place in self.at)
            and (self.when is None or self.when(failure))
        )


def _rule(code: Code, *at: Place, ids: str = "", says: str = "", when: Callable[[Failure], bool] | None = None) -> Rule:
    return Rule(
        code,
        ids=re.compile(ids) if ids else None,
        says=re.compile(says, re.IGNORECASE) if says else None,
        at=frozenset(at) or None,
        when=when,
    )


def _at_login(failure: Failure) -> bool:
    """XO was opening its session with the pool: its calls tell, else that the VM's task has no first step."""
    return failure.error.call.startswith("session.") or (failure.place is Place.VM and not failure.begun)


def _on_proxy(failure: Failure) -> bool:
    return failure.proxied and failure.place is Place.JOB


def _about_vendor_device(failure: Failure) -> bool:
    """LICENSE_RESTRICTION names the restricted feature; a bare one is taken for the one the page knows."""
    return not failure.error.params or "PCI_device_for_auto_update" in failure.error.params


_NET = "ECONNREFUSED|ECONNRESET|ETIMEDOUT|ENOTFOUND|EAI_AGAIN|ENETUNREACH|EPIPE|UND_ERR_SOCKET|UND_ERR_CONNECT_TIMEOUT"
_NET_OR_HOST = f"{_NET}|EHOSTUNREACH"
_NET_SAYS = "^fetch failed|^other side closed|^socket hang up"
_GONE = "^no XAPI associated to |^no such (object|pool|remote|SR|VM) |^no connection found for object"
_STORED = (Place.ADAPTER, Place.REPOSITORY)

_BY_CODE = (
    # the disk and its SR; what has a number of its own before what has only a number
    _rule(CHAIN_TOO_LONG, ids="SR_BACKEND_FAILURE_109"),
    _rule(SR_NO_SPACE, ids="SR_BACKEND_FAILURE_(44|81|180)|SR_SUSPEND_SPACE_INSUFFICIENT|SR_FULL"),
    _rule(
        SNAPSHOT_UNSUPPORTED,
        ids="SR_OPERATION_NOT_SUPPORTED|UNIMPLEMENTED_IN_SM_BACKEND|SR_BACKEND_FAILURE_38|VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION",
    ),
    _rule(SNAPSHOT_UNSUPPORTED, ids="NOT_IMPLEMENTED", says="VTPM"),
    _rule(DISK_UNREADABLE, ids="VDI_IO_ERROR|VDI_MISSING|SR_BACKEND_FAILURE_(46|117)"),
    _rule(SR_DETACHED, ids="SR_HAS_NO_PBDS|HOST_OFFLINE"),
    _rule(SR_FAILURE, ids=r"SR_BACKEND_FAILURE(_\d+)?"),
    _rule(DISK_TOO_LARGE, ids="VDI_TOO_LARGE"),
    _rule(NO_HOST_SEES_DISKS, Place.VM, Place.SNAPSHOT, ids="NO_HOSTS_AVAILABLE|VM_REQUIRES_SR"),
    _rule(SNAPSHOT_STUCK, ids="VDI_IN_USE"),
    # the VM and its host
    _rule(USB_ATTACHED, ids="VM_HAS_VUSBS"),
    _rule(PASSTHROUGH_ATTACHED, ids="VM_HAS_PCI_ATTACHED|VM_HAS_VGPU"),
    _rule(VENDOR_DEVICE_UNLICENSED, ids="LICENSE_RESTRICTION", when=_about_vendor_device),
    _rule(VM_MIGRATING, ids="OTHER_OPERATION_IN_PROGRESS", says="migrate"),
    _rule(VM_BUSY, ids="OTHER_OPERATION_IN_PROGRESS|TOO_MANY_PENDING_TASKS"),
    _rule(SNAPSHOT_BLOCKED, ids="OPERATION_BLOCKED|OPERATION_NOT_ALLOWED"),
    _rule(HEALTH_CHECK_FAILED, ids="HOST_NOT_ENOUGH_FREE_MEMORY"),
    _rule(VM_BAD_POWER_STATE, ids="VM_BAD_POWER_STATE|VM_MISSING_PV_DRIVERS|VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT"),
    _rule(PLATFORM_TOO_OLD, ids="HPE_.*|HTTPParserError"),
    # XO's own numbers: feature unauthorized, no VM matches (xo-common)
    _rule(XO_FEATURE_REFUSED, ids="XO_26"),
    _rule(NO_VM_MATCHES, ids="XO_27"),
    # the backup repository
    _rule(REPOSITORY_NO_SPACE, ids="ENOSPC|EDQUOT|QuotaExceeded|.*StorageFull"),
    _rule(REPOSITORY_LOCKED, ids="ELOCKED"),
    _rule(REPOSITORY_MISCONFIGURED, ids=".*BAD_DECRYPT"),
    _rule(REPOSITORY_UNREACHABLE, Place.ADAPTER, ids="EPERM"),  # a mount refused, not a file protected
    _rule(REPOSITORY_IMMUTABLE, ids="EPERM"),
    _rule(REPOSITORY_UNREACHABLE, ids="ESTALE|EROFS|EACCES|EIO"),
    # the network; the same codes mean another thing at another place
    _rule(EXPORT_TIMEOUT, ids="UND_ERR_(HEADERS|BODY)_TIMEOUT"),
    _rule(POOL_DISCONNECTED, ids="HOST_IS_SLAVE|SESSION_AUTHENTICATION_FAILED"),
    _rule(REPOSITORY_UNREACHABLE, *_STORED, ids=_NET_OR_HOST),
    _rule(POOL_DISCONNECTED, ids=_NET_OR_HOST, when=_at_login),
    _rule(POOL_DISCONNECTED, Place.SR, Place.POOL, ids=_NET_OR_HOST),
    _rule(PROXY_UNREACHABLE, ids=_NET_OR_HOST, when=_on_proxy),
    _rule(EXPORT_INCOMPLETE, Place.TRANSFER, ids="UND_ERR_SOCKET"),  # undici only reads from hosts
    _rule(REPOSITORY_UNREACHABLE, ids="EHOSTUNREACH"),
    _rule(codes.NETWORK_LOST, ids=_NET),
)

_BY_TEXT = (
    # the three texts that make XO say skipped instead of failure
    _rule(CHAIN_UNHEALTHY, says="^unhealthy VDI chain$"),
    _rule(NO_VM_MATCHES, says="^no VMs match this pattern$"),
    _rule(VM_HAS_NO_DISKS, says="^no disks found$"),
    # XO, its job, its proxy
    _rule(XO_FEATURE_REFUSED, says="^feature Unauthorized$|^no valid proxy license"),
    _rule(JOB_RUNNING, says="is already running$"),
    _rule(SETTINGS_MISSING, says="^Cannot read propert.*healthCheckSr"),
    _rule(
        JOB_MISCONFIGURED,
        says="^timezone must (be )?defined for ltr|^retention .*must be a |^offlineBackup is not compatible",
    ),
    _rule(codes.WORKER_DIED, says="^worker exited with code "),
    _rule(PROXY_UNREACHABLE, says="^cannot get the proxy address|^no such proxy "),
    _rule(PROXY_UNREACHABLE, says=rf"{_NET_SAYS}|^[45]\d\d\b", when=_on_proxy),
    # what XO no longer finds: what that is depends on who asked
    _rule(REPOSITORY_DISABLED, says="^no such remote |^remote is disabled$|^couldn't instantiate "),
    _rule(REPOSITORY_DISABLED, *_STORED, says=_GONE),
    _rule(SR_UNKNOWN, Place.SR, Place.RESTORE, says=_GONE),
    _rule(HEALTH_CHECK_SR_MISSING, Place.JOB, Place.HEALTH_CHECK, says=_GONE),
    _rule(POOL_DISCONNECTED, Place.POOL, says=_GONE),
    _rule(POOL_DISCONNECTED, says="^no connection found for object"),
    _rule(VM_UNKNOWN, says="^no XAPI associated to |^no such (object|VM) "),
    # the backup repository
    _rule(
        REPOSITORY_MISCONFIGURED,
        says="linked to (a|the) proxy|^Remote directory must be empty|BAD_DECRYPT|unable to authenticate|"
        "^Either the algorithm|^an Aggregate remote can't use a mix|^Local remotes are disabled in proxies",
    ),
    _rule(REPOSITORY_NO_SPACE, says="no space left|disk quota exceeded|QuotaExceeded|StorageFull"),
    _rule(REPOSITORY_LOCKED, says="^Lock file is already being held"),
    _rule(
        REPOSITORY_UNREACHABLE,
        says=r"^timeout while getting the remote |exit code \d+: mount|^AggregatedRemoteWriter need at least one",
    ),
    _rule(REPOSITORY_UNREACHABLE, *_STORED, says=rf"^(operation timed out|timeout)$|{_NET_SAYS}"),
    # the VM and its snapshot
    _rule(VM_MIGRATING, says="currently being migrated$"),
    _rule(OWN_REPLICA, says="^cannot backup a VM created by this very job"),
    _rule(SNAPSHOT_BLOCKED, says="^forbidden operation"),
    _rule(SNAPSHOT_STUCK, says="^VM must be a snapshot|^VDI must be free|related to multiple VMs"),
    _rule(
        HEALTH_CHECK_FAILED,
        says=r"driver version through the Xen tools|\bnot started after |health check script failed",
    ),
    # the transfer
    _rule(
        EXPORT_TIMEOUT,
        says="^HTTP connection has timed out|^Export timeout$|^Timeout reached$|^(Headers|Body) Timeout Error$|"
        "^operation timed out$|^timeout$",
    ),
    _rule(EXPORT_TOO_LONG, says="^task has been destroyed before completion"),
    _rule(
        EXPORT_INCOMPLETE,
        says=r"^stream has ended |^Expected values to be strictly equal|checksum|"
        r"^A differential VHD must have a parent|^unexpected \d{3}\b",
    ),
    _rule(
        NEXT_RUN_FULL,
        says="could not find the base VM|^no validated target base for |^Missing vdi .*base for a delta",
    ),
    _rule(PLATFORM_TOO_OLD, says="^Parse Error|invalid HTTP header in response body"),
    # the network
    _rule(POOL_DISCONNECTED, says=_NET_SAYS, when=_at_login),
    _rule(EXPORT_INCOMPLETE, Place.TRANSFER, says="^other side closed"),
    _rule(codes.NETWORK_LOST, says=_NET_SAYS),
)

_BY_PLACE = (
    _rule(REPOSITORY_UNREACHABLE, Place.ADAPTER),
    _rule(HEALTH_CHECK_FAILED, Place.HEALTH_CHECK),
    _rule(EXPORT_INCOMPLETE, Place.TRANSFER, ids="ERR_ASSERTION"),
)

RULES: tuple[Rule, ...] = (*_BY_CODE, *_BY_TEXT, *_BY_PLACE)

TRANSIENT = frozenset(
    code.id
    for code in (
        CHAIN_UNHEALTHY,
        JOB_RUNNING,
        POOL_DISCONNECTED,
        REPOSITORY_UNREACHABLE,
        REPOSITORY_LOCKED,
        EXPORT_TIMEOUT,
        EXPORT_INCOMPLETE,
        codes.NETWORK_LOST,
        PROXY_UNREACHABLE,
        codes.RUN_INTERRUPTED,
        VM_BUSY,
        VM_MIGRATING,
    )
)
# A full SR or repository, a VM or SR that is not shown and a read error may clear by themselves, or need a person
WAITING_HELPS = TRANSIENT | {
    code.id
    for code in (
        NO_VM_MATCHES,
        REPOSITORY_NO_SPACE,
        NO_HOST_SEES_DISKS,
        SR_DETACHED,
        SR_NO_SPACE,
        VM_UNKNOWN,
        DISK_UNREADABLE,
        HEALTH_CHECK_SR_MISSING,
        SR_FAILURE,
        SR_UNKNOWN,
    )
}


def classify(failure: Failure) -> Code:
    """The code of the first rule that fits, else UNCLASSIFIED."""
    return next((rule.code for rule in RULES if rule.fits(failure)), codes.UNCLASSIFIED)


def causes(log: BackupLog) -> tuple[Cause, ...]:
    """Why a run failed, in the order of its log; empty for one that has lost nothing.

    A run of status interrupted has RUN_INTERRUPTED first. One that failed and whose log tells no error (XO drops the tasks
    of a log after 31 days) has one cause that is unclassified, with the status as its text.
    """
    found = []
    if log.status == "interrupted":
        found.append(_cause(log, codes.RUN_INTERRUPTED, job_scope(log), log.status))
    found += [_cause_of(log, failure) for failure in failures(log)]
    if not found and log.status in ("failure", "skipped"):
        found.append(_cause(log, codes.UNCLASSIFIED, job_scope(log), log.status))
    return tuple(dict.fromkeys(found))


def overcome(log: BackupLog) -> tuple[Cause, ...]:
    """Why XO tried VMs again, in the order of the log, whatever came of that."""
    return tuple(dict.fromkeys(_cause_of(log, failure) for failure in replaced(log)))


def _cause_of(log: BackupLog, failure: Failure) -> Cause:
    code, error = classify(failure), failure.error
    text = error.text
    if code is codes.UNCLASSIFIED and error.code and error.code not in text and not error.code.startswith("XO_"):
        text = f"{text} ({error.code})"
    return _cause(log, code, failure.scope, text, failure.place, failure.target)


def _cause(
    log: BackupLog, code: Code, scope: Scope, text: str, place: Place = Place.JOB, target: Scope | None = None
) -> Cause:
    return Cause(
        run=log.id,
        scope=scope,
        code=code.id,
        transient=code.id in TRANSIENT,
        waiting_helps=code.id in WAITING_HELPS,
        text=text,
        place=place,
        target=target,
    )
