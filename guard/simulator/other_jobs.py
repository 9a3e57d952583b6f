"""Runs of metadata and mirror jobs (metadata_backup.json; failure-modes.md 4.4). Mirror logs were never recorded."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.simulator.engine import JobError, mount_error
from guard.simulator.log_tasks import failing
from guard.simulator.repository import NO_SPACE, Archive, RepositoryFullError, Shelf
from guard.simulator.runs import targets_of
from guard.simulator.shapes import XoObject
from guard.simulator.timeline import Steps

if TYPE_CHECKING:
    from guard.simulator.jobs import Run
    from guard.simulator.live import Live

METADATA_SIZE = 256 * 1024
BOOT = 0.05


def metadata(live: Live, run: Run) -> Steps:
    """XO's own configuration and each pool's database, to every repository. A bad repository is a failed task."""
    yield BOOT
    job_id = run.job["id"]
    subjects: list[tuple[str, XoObject]] = []
    if run.job.get("xoMetadata"):
        subjects.append(("XO metadata backup", {"type": "xo"}))
    pools = targets_of({"remotes": run.job.get("pools", {})})
    for identity in [one for _, one in pools]:
        pool = live.world.find("pool", identity)
        if pool is not None:
            master = live.world.objects["host"].get(pool.get("master", ""), {})
            records = {"pool": {"uuid": pool["uuid"]}, "poolMaster": {"uuid": master.get("uuid", "")}}
            subjects.append((f"metadata backup for the pool ({identity})", {"id": identity, "type": "pool", **records}))
    for words, data in subjects:
        task = live.tasks.open(run.log, f"Starting {words}. ({job_id})", data)
        for _, remote_id in targets_of(run.job):
            words_here = f"Starting {words} for the remote ({remote_id}). ({job_id})"
            inner = live.tasks.open(task, words_here, {"id": remote_id, "type": "remote"})
            yield BOOT
            live.tasks.close(inner, error=trouble(live, remote_id))
        live.tasks.close(task)


def trouble(live: Live, remote_id: str) -> XoObject | None:
    """What keeps a small file from being written, or None when it is written."""
    repository = live.world.repositories.get(remote_id)
    if repository is None or not repository["enabled"]:
        return failing("Error", "remote is disabled" if repository else f"no such remote {remote_id}")
    shelf = live.shelf(remote_id)
    if shelf.error is not None:
        return mount_error(shelf.error)
    try:
        shelf.take(METADATA_SIZE)
    except RepositoryFullError:
        return dict(NO_SPACE)
    return None


def mirror(live: Live, run: Run) -> Steps:
    """Copy the newest archive of every VM on the source repository to each target that lacks it."""
    source = live.world.repositories.get(run.job.get("sourceRemote", ""))
    if source is None or not source["enabled"] or live.shelf(source["id"]).error is not None:
        raise JobError(failing("Error", "couldn't instantiate source remote"))
    yield BOOT
    newest = {archive.vm_id: archive for archive in live.shelf(source["id"]).archives}
    for vm_id, archive in newest.items():
        task = live.tasks.open(run.log, "backup VM", {"id": vm_id, "type": "VM"})
        for _, remote_id in targets_of(run.job):
            yield from copy_archive(live, task, archive, live.shelf(remote_id))
        live.tasks.close(task)


def copy_archive(live: Live, task: XoObject, archive: Archive, shelf: Shelf) -> Steps:
    if archive in shelf.archives:
        task.setdefault("infos", []).append({"message": "No new data to upload for this VM"})
        return
    export = live.tasks.open(task, "export", {"id": shelf.record["id"], "type": "remote"})
    transfer = live.tasks.open(export, "transfer")
    yield archive.size / live.rates.default_host_rate
    error: XoObject | None = None
    try:
        shelf.take(archive.size)
        shelf.archives.append(archive)
    except RepositoryFullError:
        error = dict(NO_SPACE)
    live.tasks.close(transfer, {"size": archive.size}, error)
    live.tasks.close(export, error=error)
