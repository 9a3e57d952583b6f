"""A run of a VM backup job in driven time, in XO's order of steps (failure-modes.md 1 and 6, xo-api.md 3.1 and 5.1).

VMs and targets are chosen first; an error there ends the job. Then the VMs go through as many slots as the job's
``concurrency`` says (2; 0 is all at once), and those that failed again at the end while retries are left.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.mechanics.pattern import matches
from guard.simulator.log_tasks import failing
from guard.simulator.runs import targets_of
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Steps
from guard.simulator.vm_backup import Target, VmBackup

if TYPE_CHECKING:
    from guard.simulator.jobs import Run
    from guard.simulator.live import Live

FORK = 0.85
"""Seconds until the backup worker is there: 0.6 to 1.2 s were seen."""
LOOK = 0.007
"""Seconds until a job-level error is written: 5 to 10 ms were seen."""


class JobError(Exception):
    """Ends the whole run. ``result``: the error as XO logs it; ``seconds``: after which the log ends."""

    def __init__(self, result: XoObject, seconds: float = LOOK) -> None:
        super().__init__(result["message"])
        self.result = result
        self.seconds = seconds


def backup(live: Live, run: Run) -> Steps:
    """The whole run. Raises JobError for what ends the job."""
    vms = chosen_vms(live, run)
    if run.settings.get(run.schedule["id"]) is None:
        raise JobError(failing("TypeError", "Cannot read properties of undefined (reading 'healthCheckSr')"))
    targets = chosen_targets(live, run)
    proxy = run.job.get("proxy")
    live.config.reload()
    run.inactivity = live.config.http_inactivity if proxy is None else live.config.of_proxy(proxy)
    yield FORK
    note_missing_srs(live, run)
    targets = [target for target in targets if is_opened(live, run, target)]
    settings = run.settings.get("", {}) | run.settings[run.schedule["id"]]
    health_check = settings.get("healthCheckSr")
    if health_check is not None and live.world.find("SR", health_check) is None:
        raise JobError(failing("Error", f"no XAPI associated to {health_check}"))
    if not targets and not settings.get("snapshotRetention"):
        return
    run.log["infos"] = [{"data": {"vms": vms}, "message": "vms"}]
    waiting = [VmBackup(live, run, identity, targets) for identity in vms]
    failed: list[VmBackup] = []
    slots = settings.get("concurrency", 2) or len(vms)
    while waiting:
        workers = [live.timeline.spawn(work_off(waiting, failed), live.xo) for _ in range(min(slots, len(waiting)))]
        yield from workers
        waiting, failed = failed, []


def work_off(waiting: list[VmBackup], failed: list[VmBackup]) -> Steps:
    """One slot: takes VMs until none is left; those to be tried again are put aside for the second pass."""
    while waiting:
        vm = waiting.pop(0)
        yield from vm.steps()
        if vm.retry:
            failed.append(vm)


# --- which VMs


def listed_ids(pattern: XoObject) -> list[str] | None:
    """The ids of a plain list, or None for a smart pattern (packages/xo-server/src/xo-mixins/backups-ng, 6.1)."""
    if list(pattern) != ["id"]:
        return None
    inside = pattern["id"]
    if isinstance(inside, str):
        return [inside]
    if isinstance(inside, dict) and list(inside) == ["__or"] and isinstance(inside["__or"], list):
        return list(inside["__or"])
    return None


def chosen_vms(live: Live, run: Run) -> list[str]:
    """``vms`` of the call, else the listed ids, else what the smart pattern matches. Raises JobError."""
    pattern = run.job["vms"]
    listed = run.vms if run.vms is not None else listed_ids(pattern)
    if listed is not None:
        return list(listed)
    try:
        found = [vm["id"] for vm in live.world.visible_of_all_types() if is_chosen(vm, pattern, run.job["id"])]
    except TypeError as error:
        raise JobError(failing("TypeError", str(error))) from None
    if found:
        return found
    note_missing_pools(live, run, pattern)
    data = {"jobId": run.job["id"], "runJobId": run.log["id"], "scheduleId": run.schedule["id"]}
    raise JobError(failing("XoError", "no VMs match this pattern", code=27, data=data))


def is_chosen(vm: XoObject, pattern: XoObject, job_id: str) -> bool:
    """Matched, not a replica this very job made, and not tagged ``xo:no-bak``."""
    if not matches({"type": "VM", **pattern}, vm):
        return False
    if "start" in vm.get("blockedOperations", {}) and vm.get("other", {}).get("xo:backup:job") == job_id:
        return False
    return all(tag.split("=")[0] != "xo:no-bak" for tag in vm.get("tags", []))


def note_missing_pools(live: Live, run: Run, pattern: XoObject) -> None:
    """Pools of the pattern that XO does not know are failed tasks of the log, and make its status failure."""
    for identity in pool_ids(pattern.get("$pool")):
        if live.world.find("pool", identity) is None:
            task = live.tasks.open(run.log, "missing pool", {"type": "pool", "id": identity})
            task["id"] = str(task["start"])
            error = failing("XoError", f"no such object {identity}", code=1, data={"id": identity})
            live.tasks.close(task, error=error)


def pool_ids(pattern: object) -> list[str]:
    """The pools a pattern asks for; those it excludes are not looked at."""
    if isinstance(pattern, str):
        return [pattern]
    if not isinstance(pattern, dict):
        return []
    return [one for key in ("__or", "__and") for part in pattern.get(key, []) for one in pool_ids(part)]


# --- which targets


def chosen_targets(live: Live, run: Run) -> list[Target]:
    """Enabled repositories and visible SRs. A disabled one among several is dropped without a word (4.1)."""
    errors: XoObject = {}
    found: list[Target] = []
    wanted = targets_of(run.job)
    for kind, identity in wanted:
        if kind == "SR":
            sr = live.world.find("SR", identity)
            found += [] if sr is None else [Target(kind, sr)]
            continue
        repository = live.world.repositories.get(identity)
        if repository is None:
            errors[identity] = {"code": 1, "data": {"id": identity, "type": "remote"}}
        elif not repository["enabled"]:
            errors[identity] = {}
        elif repository.get("proxy") != run.job.get("proxy"):
            raise JobError(failing("Error", _other_proxy(repository, run.job.get("proxy"))))
        else:
            found.append(Target(kind, repository))
    remotes = [identity for kind, identity in wanted if kind == "remote"]
    if remotes and len(errors) == len(remotes):
        raise JobError(failing("Error", "couldn't instantiate any remote", errors=errors))
    return found


def note_missing_srs(live: Live, run: Run) -> None:
    """The worker's failed task for each target SR that XO does not know; the rest goes on (failure-modes.md 3.16)."""
    for kind, identity in targets_of(run.job):
        if kind == "SR" and live.world.find("SR", identity) is None:
            task = live.tasks.open(run.log, "get SR record", {"id": identity, "type": "SR"})
            live.tasks.close(task, error=failing("Error", f"no XAPI associated to {identity}"))


def _other_proxy(repository: XoObject, wanted: str | None) -> str:
    """What XO says of a repository that belongs to another proxy than the job (failure-modes.md 4.1)."""
    if wanted is None:
        return "The remote must not be linked to a proxy"
    return f"The remote {repository['name']} must be linked to the proxy {wanted}"


def is_opened(live: Live, run: Run, target: Target) -> bool:
    """Whether the worker can use a repository; one it cannot is a failed task of the log, and dropped."""
    error = live.shelf(target.id).error if target.kind == "remote" else None
    if error is None:
        return True
    task = live.tasks.open(run.log, "get remote adapter", {"id": target.id, "type": "remote"})
    live.tasks.close(task, error=mount_error(error))
    return False


def mount_error(error: object) -> XoObject:
    """The error of a failed mount, with the message that the repository's own record has lost."""
    if not isinstance(error, dict):
        return failing("Error", str(error))
    code = str(error.get("code", "Error"))
    words = {"ENOTDIR": "not a directory", "ETIMEDOUT": "connection timed out", "EACCES": "permission denied"}
    where = f", {error['syscall']}" if "syscall" in error else ""
    where += f" '{error['path']}'" if "path" in error else ""
    return {"message": f"{code}: {words.get(code, 'failed')}{where}", "name": "Error", **error}
