"""Small worlds for tests: XO's own JSON, decoded by guard's own records.

Every builder takes XO's names and values: ``UNSET`` leaves a field out, as XO does, and a name the record does not know
raises. The defaults fit together into one healthy world: pool, server, host, SR "sr" with the disk "disk" of VM "vm", which
schedule "schedule" of job "job" sends to repository "repo".
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
from guard.checks import CODES
from guard.checks.view import View
from guard.estate import xo_records as records
from guard.estate.estate import Estate, Part, PartName, XoIdentity
from guard.estate.local_disks import LocalDisk
from guard.estate.xapi_records import PoolFacts
from guard.finding import Level
from guard.mechanics.due import DueTime
from guard.mechanics.outlook import Outlook
from msgspec import UNSET

NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)
DUE = datetime(2026, 11, 25, 0, 0, tzinfo=UTC)
LAST_NIGHT = DUE - timedelta(days=1)
GIB = 1024**3


def ms(moment):
    """A time as XO's own milliseconds."""
    return round(moment.timestamp() * 1000)


def decode(record, xo):
    """XO's JSON text through the real decoder of a record."""
    shown = {name: value for name, value in xo.items() if value is not UNSET}
    unknown = shown.keys() - set(record.__struct_encode_fields__)
    if unknown:
        raise TypeError(f"{record.__name__} has no field {', '.join(sorted(unknown))}")
    return msgspec.json.decode(msgspec.json.encode(shown), type=record)


def make_pool(id_="pool", /, **xo) -> records.Pool:
    """A pool; its master is "host"."""
    return decode(records.Pool, {"id": id_, "name_label": id_, "master": "host"} | xo)


def make_host(id_="host", /, *, pool="pool", **xo) -> records.Host:
    """A host that runs."""
    return decode(
        records.Host, {"id": id_, "name_label": id_, "$pool": pool, "enabled": True, "power_state": "Running"} | xo
    )


def make_server(id_="server", /, *, pool="pool", status="connected", **xo) -> records.Server:
    """XO's connection to a pool; like XO it tells the pool only while connected."""
    known = {"poolId": pool, "poolNameLabel": pool} if status == "connected" else {}
    base = {"id": id_, "label": id_, "host": "192.0.2.1", "enabled": True, "status": status}
    return decode(records.Server, base | known | xo)


def make_sr(id_="sr", /, *, pool="pool", **xo) -> records.Sr:
    """A shared, thin SR with ample room."""
    where = {"$pool": pool, "$container": pool, "shared": True, "inMaintenanceMode": False, "content_type": "user"}
    space = {"SR_type": "nfs", "allocationStrategy": "thin", "size": 1000 * GIB, "physical_usage": 100 * GIB}
    return decode(records.Sr, {"id": id_, "name_label": id_, "other_config": {}, "sm_config": {}} | where | space | xo)


def make_pbd(sr="sr", host="host", **xo) -> records.Pbd:
    """The plug of an SR on a host."""
    return decode(records.Pbd, {"id": f"{sr}@{host}", "SR": sr, "host": host, "attached": True} | xo)


def make_vm(id_="vm", /, *, pool="pool", container="host", **xo) -> records.Vm:
    """A running VM."""
    base = {"id": id_, "name_label": id_, "power_state": "Running", "tags": [], "$pool": pool, "$container": container}
    return decode(records.Vm, base | {"blockedOperations": {}, "other": {}} | xo)


def make_vbd(vm="vm", vdi="disk", **xo) -> records.Vbd:
    """A disk's place in a VM."""
    base = {"id": f"{vm}/{vdi}", "VM": vm, "VDI": vdi, "is_cd_drive": False, "attached": True}
    return decode(records.Vbd, base | xo)


def make_vdi(id_="disk", /, *, sr="sr", **xo) -> records.Vdi:
    """A disk without a parent."""
    base = {"id": id_, "name_label": id_, "$SR": sr, "size": 10 * GIB, "usage": 2 * GIB, "image_format": "vhd"}
    return decode(records.Vdi, base | {"cbt_enabled": False, "missing": False, "other_config": {}} | xo)


def make_snapshot(
    id_, /, *, of="disk", job="job", schedule="schedule", vm="vm", taken=LAST_NIGHT, marks=None, **xo
) -> records.Vdi:
    """A snapshot VDI with the marks of a job whose export went well; ``job=None``: one that a person took."""
    mine = {"xo:backup:job": job, "xo:backup:schedule": schedule, "xo:backup:vm": vm, "xo:backup:exported": "true"}
    mine |= {"xo:backup:datetime": taken.strftime("%Y%m%dT%H:%M:%SZ"), "xo:backup:deltaChainLength": "1"}
    base = {
        "$snapshot_of": of,
        "snapshot_time": ms(taken) // 1000,
        "other_config": (mine if job else {}) | (marks or {}),
    }
    return make_vdi(id_, **(base | xo))


def make_base_copy(id_, /, **xo) -> records.Vdi:
    """An unmanaged VDI: what is left of a deleted snapshot, or holds what disk and snapshot share."""
    return make_vdi(id_, **({"name_label": "base copy"} | xo))


def make_repository(id_="repo", /, **xo) -> records.Repository:
    """A backup repository that worked when XO last tried."""
    return decode(records.Repository, {"id": id_, "name": id_, "enabled": True, "url": "nfs://192.0.2.9:/backup"} | xo)


def make_repository_info(size=1000 * GIB, used=100 * GIB, available=900 * GIB) -> records.RepositoryInfo:
    """Its figures from ``df``; UNSET as an object store leaves them out."""
    return decode(records.RepositoryInfo, {"size": size, "used": used, "available": available})


def make_local_disk(path="/", *, device=1, size=50 * GIB, available=30 * GIB) -> LocalDisk:
    """A disk of XO's own machine."""
    return LocalDisk(path=path, device=device, size=size, available=available)


def make_job(id_="job", /, **xo) -> records.Job:
    """A delta job of VM "vm" to "repo", with a retention of 7."""
    base = {"id": id_, "name": id_, "type": "backup", "mode": "delta", "vms": {"id": "vm"}, "remotes": {"id": "repo"}}
    return decode(records.Job, base | {"settings": {"schedule": {"exportRetention": 7}}} | xo)


def make_schedule(id_="schedule", /, *, job="job", **xo) -> records.Schedule:
    """A schedule at midnight UTC."""
    base = {"id": id_, "name": id_, "jobId": job, "cron": "0 0 * * *", "enabled": True}
    return decode(records.Schedule, base | xo)


def make_sequence(*members, id_="sequence-job", **xo) -> records.CallJob:
    """A job sequence of these schedules; its own schedule is a ``make_schedule`` with this job."""
    items = [{"type": "set", "values": [{"schedules": list(members)}]}]
    base = {"id": id_, "name": id_, "method": "schedule.runSequence"}
    return decode(records.CallJob, base | {"paramsVector": {"type": "crossProduct", "items": items}} | xo)


def make_xapi_task(id_="task", /, **xo) -> records.XapiTask:
    """XAPI's own task of a coalesce at work."""
    return decode(records.XapiTask, {"id": id_, "name_label": "Garbage Collection", "status": "pending"} | xo)


def make_message(id_="message", /, *, sr="sr", at=NOW, **xo) -> records.Message:
    """What XAPI says when a coalesce found no room on an SR."""
    base = {"id": id_, "name": "SM_GC_NO_SPACE", "$object": sr, "time": ms(at) // 1000}
    return decode(records.Message, base | xo)


def make_vusb(id_="vusb", /, *, vm="vm", **xo) -> records.Vusb:
    """A USB device passed through to a VM."""
    return decode(records.Vusb, {"id": id_, "vm": vm, "currentlyAttached": True} | xo)


def make_archive(vm="vm", repository="repo", start=LAST_NIGHT, **xo) -> records.Archive:
    """A backup of a VM on a repository, made by the delta job."""
    base = {"id": f"{repository}/{vm}/{start:%Y%m%dT%H%M%SZ}", "backupRepository": repository, "vm": {"uuid": vm}}
    base |= {
        "jobId": "job",
        "scheduleId": "schedule",
        "mode": "delta",
        "size": GIB,
        "timestamp": ms(start),
        "disks": [],
    }
    return decode(records.Archive, base | xo)


def make_transfer(
    size, target="repo", *, full=False, start=LAST_NIGHT, seconds=60, kind="remote", status="success"
) -> dict:
    """JSON of an ``export`` with its ``transfer``, for ``make_vm_task``."""
    times = {"start": ms(start), "end": ms(start) + 1000 * seconds, "status": status}
    inner = {"message": "transfer", "result": {"size": size}} | times
    return {"message": "export", "data": {"type": kind, "id": target, "isFull": full}, "tasks": [inner]} | times


def make_vm_task(vm="vm", *exports, status="success", snapshot="success", **xo) -> dict:
    """JSON of a ``backup VM`` task, for ``make_log``."""
    taken = [{"message": "snapshot", "status": snapshot}]
    return {
        "message": "backup VM",
        "data": {"type": "VM", "id": vm},
        "status": status,
        "tasks": [*taken, *exports],
    } | xo


def make_log(
    *tasks, job="job", schedule="schedule", start=LAST_NIGHT, seconds=1800, status="success", **xo
) -> records.BackupLog:
    """The log of a run; it names the VMs of its tasks, and has no end while pending. A job's ``runId`` is such an id."""
    vms = [task["data"]["id"] for task in tasks if task["message"] == "backup VM"]
    base = {
        "id": f"{ms(start)}:{schedule}",
        "message": "backup",
        "jobId": job,
        "scheduleId": schedule,
        "start": ms(start),
    }
    base |= {"end": ms(start) + 1000 * seconds if status != "pending" else UNSET, "status": status, "tasks": tasks}
    base |= {"infos": [{"message": "vms", "data": {"vms": vms}}] if vms else UNSET}
    return decode(records.BackupLog, base | xo)


def make_proxy(id_="proxy", /, **xo) -> records.Proxy:
    """A proxy that XO reached when guard asked."""
    return decode(records.Proxy, {"id": id_, "name": id_, "vmUuid": "proxy-vm", "healthy": True} | xo)


def make_xo_task(id_="task", /, *, name="Rolling pool update", status="pending", **properties) -> records.XoTask:
    """A task of XO's own that goes on; ``properties``: more of those."""
    return decode(records.XoTask, {"id": id_, "status": status, "properties": {"name": name} | properties})


def make_pool_facts(pool="pool", *, answered=True, **xapi) -> PoolFacts:
    """What a pool itself told: by default nothing but that it is there."""
    base = {"label": pool, "address": "192.0.2.1", "read_at": NOW, "answered": answered}
    return PoolFacts(**(base | ({"pool_id": pool, "master": "host"} if answered else {"error": "no answer"}) | xapi))


def make_estate(*, reading=None, **records_of) -> Estate:
    """The healthy world with some parts' records replaced; ``reading``: part name -> changes to how it was read."""
    healthy = {"pools": [make_pool()], "hosts": [make_host()], "servers": [make_server()], "srs": [make_sr()]}
    healthy |= {"pbds": [make_pbd()], "vms": [make_vm()], "vbds": [make_vbd()], "vdis": [make_vdi()]}
    healthy |= {"jobs": [make_job()], "schedules": [make_schedule()], "repositories": [make_repository()]}
    healthy |= {"repository_info": {"repo": make_repository_info()}}
    parts = {
        name: Part(**{"name": name, "source": f"XO's {name.value}", "read_at": NOW} | (reading or {}).get(name, {}))
        for name in PartName
    }
    given = {key: tuple(one) if isinstance(one, list | tuple) else one for key, one in (healthy | records_of).items()}
    return Estate(xo=XoIdentity(url="https://xo", version="5.207.2", admin=True), taken_at=NOW, parts=parts, **given)


def make_due(schedule="schedule", job="job", *, at=DUE, cron="0 0 * * *", zone="utc", starts=None, **more) -> DueTime:
    """A due time; XO starts it once."""
    return DueTime(schedule_id=schedule, job_id=job, at=at, cron=cron, zone=zone, starts=starts or (at,), **more)


def make_view(estate, schedule="schedule", now=NOW, vms=None, runs=(), due=None, **outlook) -> View:
    """One due run as the plan sees it. ``vms``: those still in question; ``runs``: the due times of other runs."""
    shared = Outlook(estate, now, **outlook)
    if due is None:
        fired = estate.schedule_by_id[schedule]
        due = make_due(schedule, fired.job_id, cron=fired.cron, zone=fired.zone)
    own = shared.expect(due)
    others = [shared.expect(one) for one in runs]
    shared.runs = tuple(sorted([own, *others], key=lambda run: (run.due.at, run.schedule.name, run.schedule.id)))
    return View(shared, own, own.selection.ids if vms is None else tuple(vms))


def found(check, view, **options):
    """What one check says, with its options; a crash stays a crash. Each prediction is one its code declares."""
    said = list(check.evaluate(view, check.options(**options)))
    for finding in said:
        assert_declared(finding)
    return said


def assert_declared(finding):
    """How sure a prediction is, what it harms and what clears it are told by its code (docs/codes.md)."""
    if finding.level is not Level.UNKNOWN and finding.code in CODES:
        code = CODES[finding.code]
        assert finding.certainty in code.certainty
        assert finding.harm in code.harm
        assert finding.clears.by in code.clears


def facts(finding):
    """Fact name -> (value, unit, source, observed at)."""
    return {one.name: (one.value, one.unit, one.source, one.observed_at) for one in finding.facts}


def read(value, unit, part):
    """What ``facts`` tells of a figure read from one part of ``make_estate``."""
    return value, unit, f"XO's {PartName(part).value}", NOW
