"""What classifier tests share: logs with one error at one place, and XO's texts of failure-modes.md as rows."""

from __future__ import annotations

from tests.builders import make_log, make_vm_task

REPO = {"type": "remote", "id": "repo"}
SR = {"type": "SR", "id": "sr", "name_label": "DR"}


def said(message, **more):
    """An Error as XO logs it."""
    return {"message": message, "name": "Error"} | more


def xapi(code, *params, **more):
    """A XapiError: its message is its code with its parameters."""
    text = f"{code}({', '.join(params)})"
    return said(text, code=code, params=list(params)) | {"name": "XapiError"} | more


def node(code, message=None, **more):
    """An error of Node's own."""
    return said(message or f"{code}: it went wrong", code=code, **more)


def task(message, *tasks, status="failure", **more):
    return {"message": message, "status": status, "tasks": list(tasks)} | more


def export(*tasks, data=REPO, **more):
    return task("export", *tasks, data=data, **more)


def failed_vm(error, *tasks, id_="vm", **more):
    """A VM whose backup failed with this error."""
    step = [task("clean-vm", status="success"), *tasks]
    return make_vm_task(id_, status="failure", result=error, tasks=step) | more


def at_job(error, **more):
    return make_log(status="failure", result=error, **more)


def at_proxy(error):
    return at_job(error, proxyId="proxy")


def at_vm(error):
    return make_log(failed_vm(error), status="failure")


def at_login(error):
    """XO could not open its session: the VM's task has no first step."""
    return make_log(failed_vm(error) | {"tasks": []}, status="failure")


def at_snapshot(error):
    return make_log(failed_vm(error, task("snapshot", result=error)), status="failure")


def at_transfer(error):
    return make_log(failed_vm(error, export(task("transfer", result=error), result=error)), status="failure")


def at_health_check(error):
    check = task("health check", task("transfer", result=error), result=error)
    sent = task("transfer", status="success", result={"size": 5})
    return make_log(failed_vm(error, export(sent, check, result=error)), status="failure")


def at_merge(error):
    return make_log(
        failed_vm(error, task("clean-vm", task("merge", result=error), result=error, data=REPO)), status="failure"
    )


def at_adapter(error):
    return make_log(task("get remote adapter", data=REPO, result=error), status="failure")


def at_sr(error):
    return make_log(task("get SR record", data=SR, result=error), status="failure")


def at_target_snapshot(error):
    sent = task("transfer", task("target snapshot", result=error), result=error)
    return make_log(failed_vm(error, export(sent, data=SR, result=error)), status="failure")


def at_pool(error):
    return make_log(task("missing pool", data={"type": "pool", "id": "pool"}, result=error), status="failure")


def at_restore(error):
    return make_log(
        task("transfer", result=error), status="failure", message="restore", data={"srId": "sr"}, result=error
    )


UUID = "11111111-2222-4333-8444-555555555555"

# (where the text is from, place, error, code): failure-modes.md section 3 (f), in its order
SECTION_3 = [
    ("3.1", at_snapshot, said("unhealthy VDI chain"), "CHAIN_UNHEALTHY"),
    ("3.2", at_snapshot, xapi("SR_BACKEND_FAILURE_109", "", "The snapshot chain is too long", ""), "CHAIN_TOO_LONG"),
    ("3.2", at_target_snapshot, xapi("SR_BACKEND_FAILURE_109", "", "", ""), "CHAIN_TOO_LONG"),
    ("3.3", at_snapshot, xapi("SR_BACKEND_FAILURE_44", "", "There is insufficient space", ""), "SR_NO_SPACE"),
    ("3.3", at_transfer, said("SR_BACKEND_FAILURE_44(, There is insufficient space, )"), "SR_NO_SPACE"),
    ("3.3", at_snapshot, xapi("SR_BACKEND_FAILURE_81", "", "Failed to clone VDI", ""), "SR_NO_SPACE"),
    ("issue 5", at_snapshot, xapi("SR_BACKEND_FAILURE_180"), "SR_NO_SPACE"),
    ("issue 5", at_snapshot, xapi("SR_SUSPEND_SPACE_INSUFFICIENT", "sr"), "SR_NO_SPACE"),
    ("3.3", at_snapshot, xapi("SR_BACKEND_FAILURE_82", "", "Failed to snapshot VDI", ""), "SR_FAILURE"),
    ("3.3", at_snapshot, xapi("SR_BACKEND_FAILURE_46", "", "The VDI is not available", ""), "DISK_UNREADABLE"),
    ("3.3", at_snapshot, xapi("SR_BACKEND_FAILURE_47", "", "The SR is not available", ""), "SR_FAILURE"),
    ("3.5", at_vm, said("Parse Error: Expected HTTP/"), "PLATFORM_TOO_OLD"),
    ("3.5", at_vm, node("HPE_INVALID_CONSTANT", "Expected HTTP/"), "PLATFORM_TOO_OLD"),
    ("3.5", at_vm, said("Response does not match the HTTP/1.1 protocol", name="HTTPParserError"), "PLATFORM_TOO_OLD"),
    ("3.5", at_transfer, said("invalid HTTP header in response body"), "PLATFORM_TOO_OLD"),
    ("3.5", at_transfer, said("unexpected 500"), "EXPORT_INCOMPLETE"),
    ("3.6", at_vm, said("could not find the base VM"), "NEXT_RUN_FULL"),
    ("3.6", at_transfer, said(f"no validated target base for {UUID}"), "NEXT_RUN_FULL"),
    ("3.7", at_transfer, xapi("LICENSE_RESTRICTION", "PCI_device_for_auto_update"), "VENDOR_DEVICE_UNLICENSED"),
    ("3.7", at_transfer, xapi("LICENSE_RESTRICTION"), "VENDOR_DEVICE_UNLICENSED"),
    ("3.8", at_transfer, node("ENOSPC", "ENOSPC: no space left on device, write"), "REPOSITORY_NO_SPACE"),
    ("3.8", at_transfer, node("EDQUOT", "EDQUOT: disk quota exceeded, write"), "REPOSITORY_NO_SPACE"),
    ("3.8", at_transfer, said("disk quota exceeded"), "REPOSITORY_NO_SPACE"),
    ("3.8", at_transfer, node("XMinioStorageFull", "the drive is full"), "REPOSITORY_NO_SPACE"),
    ("3.8", at_transfer, node("QuotaExceeded", "bucket quota"), "REPOSITORY_NO_SPACE"),
    ("3.8", at_transfer, node("EIO", "EIO: i/o error, write"), "REPOSITORY_UNREACHABLE"),
    ("3.9", at_job, said("no VMs match this pattern", code=27, name="XoError"), "NO_VM_MATCHES"),
    ("3.9", at_job, said("no VMs match this pattern"), "NO_VM_MATCHES"),
    ("3.10", at_snapshot, xapi("SR_OPERATION_NOT_SUPPORTED", "OpaqueRef:1"), "SNAPSHOT_UNSUPPORTED"),
    ("3.10", at_snapshot, xapi("SR_BACKEND_FAILURE_38"), "SNAPSHOT_UNSUPPORTED"),
    ("3.10", at_snapshot, xapi("VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION"), "SNAPSHOT_UNSUPPORTED"),
    ("3.10", at_snapshot, xapi("VM_HAS_VUSBS", "OpaqueRef:1"), "USB_ATTACHED"),
    ("3.10", at_snapshot, xapi("VM_HAS_PCI_ATTACHED", "OpaqueRef:1"), "PASSTHROUGH_ATTACHED"),
    ("3.10", at_snapshot, xapi("VM_HAS_VGPU", "OpaqueRef:1"), "PASSTHROUGH_ATTACHED"),
    ("3.11", at_vm, node("ELOCKED", "Lock file is already being held", file="/x"), "REPOSITORY_LOCKED"),
    ("3.11", at_vm, said("Lock file is already being held"), "REPOSITORY_LOCKED"),
    ("3.12", at_vm, node("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, node("UND_ERR_BODY_TIMEOUT", "Body Timeout Error"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, said("Body Timeout Error"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, said("HTTP connection has timed out"), "EXPORT_TIMEOUT"),
    ("3.12", at_vm, said("Export timeout"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, said("Timeout reached"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, said("operation timed out", name="TimeoutError"), "EXPORT_TIMEOUT"),
    ("3.12", at_transfer, said("unexpected 503"), "EXPORT_INCOMPLETE"),
    ("3.12", at_transfer, node("ECONNRESET", "read ECONNRESET"), "NETWORK_LOST"),
    ("3.12", at_vm, said("connect ECONNREFUSED 192.0.2.1:443"), "NETWORK_LOST"),
    ("3.12", at_transfer, node("EHOSTUNREACH", "connect EHOSTUNREACH 192.0.2.9"), "REPOSITORY_UNREACHABLE"),
    ("3.12", at_transfer, node("UND_ERR_SOCKET", "other side closed"), "EXPORT_INCOMPLETE"),
    ("3.12", at_transfer, said("other side closed"), "EXPORT_INCOMPLETE"),
    ("3.13", at_transfer, said("Expected values to be strictly equal:\n\n1 !== 2\n"), "EXPORT_INCOMPLETE"),
    ("3.13", at_transfer, node("ERR_ASSERTION", "The expression evaluated to a falsy value"), "EXPORT_INCOMPLETE"),
    (
        "3.13",
        at_transfer,
        said("stream has ended with not enough data (actual: 3, expected: 512)"),
        "EXPORT_INCOMPLETE",
    ),
    (
        "3.13",
        at_transfer,
        said("stream has ended without data, was looking for 512 bytes"),
        "EXPORT_INCOMPLETE",
    ),
    ("3.13", at_merge, said("invalid header checksum 1, expected 2"), "EXPORT_INCOMPLETE"),
    ("3.13", at_merge, said("invalid footer checksum 1, expected 2"), "EXPORT_INCOMPLETE"),
    ("3.13", at_transfer, said("A differential VHD must have a parent"), "EXPORT_INCOMPLETE"),
    ("3.14", at_job, said(f"the job ({UUID}) is already running"), "JOB_RUNNING"),
    ("3.14", at_proxy, said("job is already running"), "JOB_RUNNING"),
    ("3.15", at_transfer, xapi("VDI_IO_ERROR", "Device I/O errors", url="/import_raw_vdi/"), "DISK_UNREADABLE"),
    ("3.15", at_transfer, xapi("VDI_MISSING", "sr", "vdi"), "DISK_UNREADABLE"),
    ("3.15", at_transfer, said("timeout"), "EXPORT_TIMEOUT"),
    ("3.15", at_transfer, xapi("SR_BACKEND_FAILURE_117"), "DISK_UNREADABLE"),
    ("3.16", at_login, said(f"no XAPI associated to {UUID}"), "VM_UNKNOWN"),
    ("3.16", at_login, said(f"no such object {UUID}"), "VM_UNKNOWN"),
    ("3.16", at_sr, said(f"no XAPI associated to {UUID}"), "SR_UNKNOWN"),
    ("3.16", at_job, said(f"no XAPI associated to {UUID}"), "HEALTH_CHECK_SR_MISSING"),
    ("3.16", at_job, said(f"no such object {UUID}"), "HEALTH_CHECK_SR_MISSING"),
    ("3.16", at_login, node("ECONNREFUSED", "connect ECONNREFUSED 192.0.2.1:443"), "POOL_DISCONNECTED"),
    ("3.16", at_login, node("EHOSTUNREACH", "connect EHOSTUNREACH 192.0.2.1:443"), "POOL_DISCONNECTED"),
    ("3.16", at_login, node("ETIMEDOUT", "connect ETIMEDOUT 192.0.2.1:443"), "POOL_DISCONNECTED"),
    ("3.16", at_login, xapi("HOST_IS_SLAVE", "192.0.2.2"), "POOL_DISCONNECTED"),
    ("3.16", at_login, xapi("SESSION_AUTHENTICATION_FAILED", "root"), "POOL_DISCONNECTED"),
    ("3.16", at_sr, node("ECONNREFUSED", "connect ECONNREFUSED 192.0.2.1:443"), "POOL_DISCONNECTED"),
]

SECTION_4 = [
    ("4.1", at_job, said("couldn't instantiate any remote"), "REPOSITORY_DISABLED"),
    ("4.1", at_job, said("couldn't instantiate source remote"), "REPOSITORY_DISABLED"),
    ("4.1", at_adapter, said("remote is disabled"), "REPOSITORY_DISABLED"),
    ("4.1", at_adapter, said(f"no such remote {UUID}"), "REPOSITORY_DISABLED"),
    ("4.1", at_adapter, said(f"no such object {UUID}"), "REPOSITORY_DISABLED"),
    ("4.1", at_job, said("The remote must not be linked to a proxy"), "REPOSITORY_MISCONFIGURED"),
    ("4.1", at_job, said("The remote nas must be linked to the proxy p1"), "REPOSITORY_MISCONFIGURED"),
    ("4.1", at_adapter, said(f"timeout while getting the remote {UUID}"), "REPOSITORY_UNREACHABLE"),
    (
        "4.1",
        at_adapter,
        said("Command failed with exit code 32: mount -o  -t nfs 192.0.2.9:/backup /run/xo-server/mounts/r"),
        "REPOSITORY_UNREACHABLE",
    ),
    ("4.1", at_adapter, node("EACCES", "EACCES: permission denied, open '/x/.keeper'"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_adapter, node("EROFS", "EROFS: read-only file system, open '/x/.keeper'"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_transfer, node("ESTALE", "ESTALE: stale file handle, open"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_adapter, node("EPERM", "EPERM: operation not permitted, mkdir"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_adapter, node("ECONNREFUSED", "connect ECONNREFUSED 192.0.2.9:9000"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_merge, said("operation timed out", name="TimeoutError"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_adapter, said("some text of a storage nobody knows"), "REPOSITORY_UNREACHABLE"),
    ("4.1", at_adapter, node("ERR_OSSL_EVP_BAD_DECRYPT", "error:1C800064"), "REPOSITORY_MISCONFIGURED"),
    (
        "4.1",
        at_adapter,
        said("Unsupported state or unable to authenticate data"),
        "REPOSITORY_MISCONFIGURED",
    ),
    ("4.1", at_adapter, said("Remote directory must be empty."), "REPOSITORY_MISCONFIGURED"),
    ("4.1", at_adapter, said("Either the algorithm x is not supported"), "REPOSITORY_MISCONFIGURED"),
    ("4.1", at_merge, node("EPERM", "EPERM: operation not permitted, unlink"), "REPOSITORY_IMMUTABLE"),
    (
        "4.1",
        at_vm,
        said("AggregatedRemoteWriter need at least one backup repository to work "),
        "REPOSITORY_UNREACHABLE",
    ),
    (
        "4.1",
        at_vm,
        said("an Aggregate remote can't use a mix of limited and unlimited storages"),
        "REPOSITORY_MISCONFIGURED",
    ),
    ("4.2", at_proxy, said("cannot get the proxy address"), "PROXY_UNREACHABLE"),
    ("4.2", at_job, said(f"no such proxy {UUID}"), "PROXY_UNREACHABLE"),
    ("4.2", at_proxy, said("fetch failed"), "PROXY_UNREACHABLE"),
    ("4.2", at_proxy, said("fetch failed", cause={"code": "ECONNREFUSED"}), "PROXY_UNREACHABLE"),
    ("4.2", at_proxy, said("502 Bad Gateway"), "PROXY_UNREACHABLE"),
    ("4.2", at_job, said("no valid proxy license"), "XO_FEATURE_REFUSED"),
    ("4.2", at_job, said("Local remotes are disabled in proxies"), "REPOSITORY_MISCONFIGURED"),
    ("4.2", at_job, said("feature Unauthorized", code=26, name="XoError"), "XO_FEATURE_REFUSED"),
    ("4.2", at_job, said("feature Unauthorized"), "XO_FEATURE_REFUSED"),
    (
        "4.2",
        at_job,
        said("Cannot read properties of undefined (reading 'healthCheckSr')", name="TypeError"),
        "SETTINGS_MISSING",
    ),
    ("4.2", at_vm, node("ERR_ASSERTION", "timezone must defined for ltr, got {}"), "JOB_MISCONFIGURED"),
    (
        "4.2",
        at_vm,
        node("ERR_ASSERTION", "retention  of type daily must be a positive number, got 0"),
        "JOB_MISCONFIGURED",
    ),
    (
        "4.2",
        at_vm,
        said("offlineBackup is not compatible with snapshotRetention"),
        "JOB_MISCONFIGURED",
    ),
    ("4.2", at_job, said("worker exited with code null and signal SIGKILL"), "WORKER_DIED"),
    ("4.3", at_vm, said("cannot backup a VM currently being migrated"), "VM_MIGRATING"),
    (
        "4.3",
        at_vm,
        xapi("OTHER_OPERATION_IN_PROGRESS", "VM", "OpaqueRef:1", "pool_migrate"),
        "VM_MIGRATING",
    ),
    ("4.3", at_vm, said("cannot backup a VM created by this very job"), "OWN_REPLICA"),
    ("4.3", at_snapshot, xapi("OPERATION_BLOCKED", "OpaqueRef:1", "true"), "SNAPSHOT_BLOCKED"),
    ("issue 5", at_snapshot, xapi("OPERATION_NOT_ALLOWED", "why not"), "SNAPSHOT_BLOCKED"),
    ("4.3", at_vm, said("forbidden operation: destroy is blocked: by hand"), "SNAPSHOT_BLOCKED"),
    ("4.3", at_snapshot, xapi("OTHER_OPERATION_IN_PROGRESS", "VM", "OpaqueRef:1", "clone"), "VM_BUSY"),
    ("4.3", at_snapshot, xapi("TOO_MANY_PENDING_TASKS"), "VM_BUSY"),
    ("4.3", at_snapshot, xapi("SR_HAS_NO_PBDS", "OpaqueRef:1"), "SR_DETACHED"),
    ("4.3", at_snapshot, xapi("HOST_OFFLINE", "OpaqueRef:1"), "SR_DETACHED"),
    ("4.3", at_vm, xapi("VDI_IN_USE", "OpaqueRef:1", "destroy"), "SNAPSHOT_STUCK"),
    ("4.3", at_snapshot, xapi("NO_HOSTS_AVAILABLE"), "NO_HOST_SEES_DISKS"),
    ("4.3", at_snapshot, xapi("VM_REQUIRES_SR", "OpaqueRef:1", "OpaqueRef:2"), "NO_HOST_SEES_DISKS"),
    ("4.4", at_transfer, xapi("VDI_TOO_LARGE", "2194719899648"), "DISK_TOO_LARGE"),
    ("4.3", at_vm, node("ERR_ASSERTION", "VM must be a snapshot"), "SNAPSHOT_STUCK"),
    ("4.3", at_vm, said("VDI must be free or attached to exactly one VM"), "SNAPSHOT_STUCK"),
    (
        "4.3",
        at_vm,
        said("_removeUnusedSnapshots don't handle vdi related to multiple VMs 1,2"),
        "SNAPSHOT_STUCK",
    ),
    ("4.3", at_vm, xapi("VM_MISSING_PV_DRIVERS", "OpaqueRef:1"), "VM_BAD_POWER_STATE"),
    ("4.3", at_vm, xapi("VM_FAILED_SHUTDOWN_ACKNOWLEDGMENT", "OpaqueRef:1"), "VM_BAD_POWER_STATE"),
    ("4.3", at_transfer, xapi("VM_BAD_POWER_STATE", "OpaqueRef:1", "halted", "paused"), "VM_BAD_POWER_STATE"),
    ("4.3", at_snapshot, xapi("NOT_IMPLEMENTED", "VTPM snapshot"), "SNAPSHOT_UNSUPPORTED"),
    ("4.3", at_transfer, said("task has been destroyed before completion"), "EXPORT_TOO_LONG"),
    (
        "4.4",
        at_health_check,
        said(
            "timeout reached while waiting for OpaqueRef:1 to report the driver version through the Xen tools. "
            "Please check or update the Xen tools."
        ),
        "HEALTH_CHECK_FAILED",
    ),
    ("4.4", at_vm, said(f"VM {UUID} not started after 600 second"), "HEALTH_CHECK_FAILED"),
    ("4.4", at_vm, said("Backup health check script failed with code 3"), "HEALTH_CHECK_FAILED"),
    ("4.4", at_vm, xapi("HOST_NOT_ENOUGH_FREE_MEMORY", "1", "2"), "HEALTH_CHECK_FAILED"),
    ("4.4", at_health_check, xapi("NO_HOSTS_AVAILABLE"), "HEALTH_CHECK_FAILED"),
    ("4.4", at_health_check, xapi("SR_BACKEND_FAILURE_44", "", "", ""), "SR_NO_SPACE"),
    ("4.4", at_health_check, said(f"no such object {UUID}"), "HEALTH_CHECK_SR_MISSING"),
    ("4.4", at_transfer, said(f"Missing vdi {UUID} which is a base for a delta"), "NEXT_RUN_FULL"),
    ("4.4", at_restore, said(f"no such object {UUID}"), "SR_UNKNOWN"),
    ("2", at_pool, said(f"no such object {UUID}", code=1, name="XoError"), "POOL_DISCONNECTED"),
    ("2", at_vm, said("no disks found"), "VM_HAS_NO_DISKS"),
]

# section 5: (class, an error it names, its codes)
SECTION_5 = [
    ("chain", at_snapshot, said("unhealthy VDI chain"), "CHAIN_UNHEALTHY"),
    ("chain30", at_snapshot, xapi("SR_BACKEND_FAILURE_109"), "CHAIN_TOO_LONG"),
    ("sr_space", at_snapshot, xapi("SR_BACKEND_FAILURE_44"), "SR_NO_SPACE"),
    ("sr_other", at_snapshot, xapi("SR_BACKEND_FAILURE_200"), "SR_FAILURE"),
    ("sr_other", at_snapshot, xapi("SR_HAS_NO_PBDS"), "SR_DETACHED"),
    ("sr_other", at_snapshot, xapi("HOST_OFFLINE"), "SR_DETACHED"),
    ("unsupported", at_snapshot, xapi("SR_OPERATION_NOT_SUPPORTED"), "SNAPSHOT_UNSUPPORTED"),
    ("unsupported", at_snapshot, xapi("VM_HAS_VUSBS"), "USB_ATTACHED"),
    ("unsupported", at_snapshot, xapi("VM_HAS_PCI_ATTACHED"), "PASSTHROUGH_ATTACHED"),
    ("license_xs", at_transfer, xapi("LICENSE_RESTRICTION"), "VENDOR_DEVICE_UNLICENSED"),
    ("license_xo", at_job, said("feature Unauthorized"), "XO_FEATURE_REFUSED"),
    ("license_xo", at_job, said("no valid proxy license"), "XO_FEATURE_REFUSED"),
    ("remote_space", at_transfer, said("write: no space left on device"), "REPOSITORY_NO_SPACE"),
    ("no_match", at_job, said("no VMs match this pattern"), "NO_VM_MATCHES"),
    ("lock", at_vm, node("ELOCKED"), "REPOSITORY_LOCKED"),
    ("running", at_job, said("the job (x) is already running"), "JOB_RUNNING"),
    ("timeout_http", at_transfer, node("UND_ERR_BODY_TIMEOUT"), "EXPORT_TIMEOUT"),
    ("truncated", at_transfer, said("stream has ended without data"), "EXPORT_INCOMPLETE"),
    ("vdi_io", at_transfer, xapi("VDI_IO_ERROR"), "DISK_UNREADABLE"),
    ("lost_pool", at_login, said("no XAPI associated to x"), "VM_UNKNOWN"),
    ("lost_pool", at_login, said("no connection found for object x"), "POOL_DISCONNECTED"),
    ("lost_pool", at_job, said("no connection found for object x"), "HEALTH_CHECK_SR_MISSING"),
    ("remote_down", at_adapter, said("timeout while getting the remote x"), "REPOSITORY_UNREACHABLE"),
    ("remote_down", at_vm, node("ESTALE"), "REPOSITORY_UNREACHABLE"),
    ("remote_down", at_vm, said("remote is disabled"), "REPOSITORY_DISABLED"),
    ("remote_cfg", at_job, said("The remote x must be linked to the proxy y"), "REPOSITORY_MISCONFIGURED"),
    ("remote_cfg", at_vm, said("error:1C800064:Provider routines::BAD_DECRYPT"), "REPOSITORY_MISCONFIGURED"),
    ("immutable", at_vm, node("EPERM"), "REPOSITORY_IMMUTABLE"),
    ("vm_busy", at_vm, said("cannot backup a VM currently being migrated"), "VM_MIGRATING"),
    ("vm_busy", at_vm, xapi("OTHER_OPERATION_IN_PROGRESS"), "VM_BUSY"),
    ("vm_busy", at_vm, xapi("OPERATION_BLOCKED"), "SNAPSHOT_BLOCKED"),
    ("snapshot_mess", at_vm, xapi("VDI_IN_USE"), "SNAPSHOT_STUCK"),
    ("health", at_vm, said("VM x not started after 60 second"), "HEALTH_CHECK_FAILED"),
    ("net", at_vm, node("ECONNREFUSED"), "NETWORK_LOST"),
    ("net", at_vm, node("UND_ERR_SOCKET"), "NETWORK_LOST"),
    ("net", at_vm, said("fetch failed"), "NETWORK_LOST"),
    ("net", at_login, said("fetch failed"), "POOL_DISCONNECTED"),
    ("task_24h", at_transfer, said("task has been destroyed before completion"), "EXPORT_TOO_LONG"),
    ("crash", at_job, said("worker exited with code 1 and signal null"), "WORKER_DIED"),
    ("old_base", at_vm, said("Could not find the base VM"), "NEXT_RUN_FULL"),
    ("parse", at_vm, said("Parse Error"), "PLATFORM_TOO_OLD"),
]

CLASSES = [
    "chain",
    "chain30",
    "sr_space",
    "sr_other",
    "unsupported",
    "license_xs",
    "license_xo",
    "remote_space",
    "no_match",
    "lock",
    "running",
    "timeout_http",
    "truncated",
    "vdi_io",
    "lost_pool",
    "remote_down",
    "remote_cfg",
    "immutable",
    "vm_busy",
    "snapshot_mess",
    "health",
    "net",
    "task_24h",
    "crash",
    "old_base",
    "parse",
]

ROWS = SECTION_3 + SECTION_4 + SECTION_5
