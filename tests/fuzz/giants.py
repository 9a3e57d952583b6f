"""Estates and logs that are right in every field, and far larger, deeper or more tangled than any real one."""

from __future__ import annotations

from tests.builders import (
    DUE,
    GIB,
    make_archive,
    make_base_copy,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_sequence,
    make_snapshot,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
    make_xapi_task,
    ms,
)
from tests.fuzz.mutate import nested


def _many_vms(n):
    ids = [f"vm{one}" for one in range(n)]
    disks = {
        "vms": [make_vm(one) for one in ids],
        "vbds": [make_vbd(one, f"disk-{one}") for one in ids],
        "vdis": [make_vdi(f"disk-{one}") for one in ids],
    }
    return make_estate(**disks, jobs=[make_job(vms={"id": {"__or": ids}})])


def _one_long_chain(n):
    """Every VDI is a disk of the VM, and the child of the one before: the first is the child of the last."""
    disks = [make_vdi(f"d{one}", parent=f"d{(one or n) - 1}") for one in range(n)]
    return make_estate(vdis=disks, vbds=[make_vbd("vm", one.id) for one in disks])


def _long_base(n):
    """One chain of base copies below as many disks."""
    bases = [make_base_copy(f"b{one}", parent=f"b{one + 1}") for one in range(n)]
    disks = [make_vdi(f"d{one}", parent=f"b{one}") for one in range(n)]
    return make_estate(vdis=disks, vdi_unmanaged=bases, vbds=[make_vbd("vm", one.id) for one in disks])


def _many_snapshots(n):
    shots = [make_snapshot(f"s{one}") for one in range(n)]
    return make_estate(vdi_snapshots=shots, jobs=[make_job(settings={"schedule": {"exportRetention": n // 2}})])


def _many_children(n):
    """One base copy with that many children."""
    return make_estate(
        vdi_unmanaged=[make_base_copy("base")],
        vdis=[make_vdi(), *(make_vdi(f"d{one}", parent="base") for one in range(n))],
    )


def _deep_pattern(n):
    return make_estate(jobs=[make_job(vms={"tags": nested(min(n, 900), "x", "__not")})])


def _deep_list_pattern(n):
    return make_estate(jobs=[make_job(vms={"tags": nested(min(n, 900), "x")})], vms=[make_vm(tags=["x"])])


def _wide_pattern(n):
    """A pattern of many parts against a VM of many tags: the work is their product, as in XO."""
    tags = [f"t{one}" for one in range(n // 20)]
    return make_estate(jobs=[make_job(vms={"tags": [*tags, "none"]})], vms=[make_vm(tags=tags)])


def _every_minute(n):
    schedules = [make_schedule(f"s{one}", cron="* * * * *") for one in range(max(1, n // 2000))]
    settings = {one.id: {"exportRetention": 1} for one in schedules}
    return make_estate(schedules=schedules, jobs=[make_job(settings=settings)])


def _sequence_of_itself(n):
    members = ["sequence", *("schedule" for _ in range(n // 10))]
    return make_estate(
        schedules=[make_schedule(enabled=False), make_schedule("sequence", job="sequence-job")],
        call_jobs=[make_sequence(*members)],
    )


def _many_logs(n):
    logs = [
        make_log(make_vm_task("vm", make_transfer(GIB)), start=DUE.replace(year=2026, month=11, day=1), id=f"{one}")
        for one in range(n // 4)
    ]
    return make_estate(logs=logs)


def _one_large_log(n):
    vms = [f"vm{one}" for one in range(n // 4)]
    error = {"code": "ENOSPC", "message": "ENOSPC: no space left"}
    tasks = [make_vm_task(one, make_transfer(GIB), status="failure", result=error) for one in vms]
    return make_estate(logs=[make_log(*tasks, status="failure")], vms=[make_vm(one) for one in vms])


def _many_archives(n):
    return make_estate(archives=[make_archive(id=f"a{one}") for one in range(n)])


def _many_tasks(n):
    return make_estate(xapi_tasks=[make_xapi_task(f"t{one}") for one in range(n)])


ESTATES = (
    *(_many_vms, _one_long_chain, _long_base, _many_snapshots, _many_children, _deep_pattern, _deep_list_pattern),
    *(_wide_pattern, _every_minute, _sequence_of_itself, _many_logs, _one_large_log, _many_archives, _many_tasks),
)


def _log(*tasks, **more):
    return {
        "id": "1",
        "jobId": "job",
        "jobName": "nightly",
        "start": ms(DUE),
        "status": "failure",
        "tasks": tasks,
    } | more


def _failed(one, **more):
    return {"message": "backup VM", "data": {"type": "VM", "id": f"vm{one}"}, "status": "failure"} | more


def _said(one):
    return {"message": f"odd {one}"}


LOGS = (
    lambda n: _log(*(_failed(one, result=_said(one)) for one in range(n))),
    lambda n: _log(*(_failed(1, result=_said(one)) for one in range(n))),
    lambda n: _log(
        _failed(1, result={"errors": [_said(one) for one in range(n)], "message": "all targets have failed"})
    ),
    lambda n: _log(
        _failed(
            1,
            result={"errors": [_said(one) for one in range(n)]},
            tasks=[{"message": "export", "status": "failure", "result": _said(n - one)} for one in range(n)],
        )
    ),
    lambda n: _log(_failed(1, result=nested(min(n, 50), [], "errors"))),
    lambda n: _log(nested(min(n, 20), [], "tasks"), result=_said("x" * (100 * n))),
    lambda n: _log(result=_said("\u4e2d" * (100 * n))),
    lambda n: _log(_failed(1, warnings=[{"data": {"isRetry": True, "error": f"e{one}"}} for one in range(n)])),
    lambda n: _log(infos=[{"message": "vms", "data": {"vms": [f"vm{one}" for one in range(n)]}}] * 20),
    lambda n: [_log(_failed(1, result=_said(1)), id=str(one)) for one in range(n)],
    lambda n: _log(*(_failed(one, result=_said(1)) for one in range(n))),
    lambda n: _log(
        result={"message": "couldn't instantiate any remote", "errors": {f"r{one}": _said(1) for one in range(n)}}
    ),
    lambda n: _log(_failed(1, warnings=[{"message": "the writer " + "a " * n + " has failed the step x"}])),
    lambda n: _log(*(_failed(one, tasks=[_export(other) for other in range(30)]) for one in range(n // 30))),
)
"""Each from a size; what they cost must grow no faster than that size."""


def _export(one):
    return {
        "message": "export",
        "status": "failure",
        "result": _said(one),
        "data": {"type": "remote", "id": f"r{one}"},
        "tasks": [{"message": "transfer", "status": "failure", "result": _said(one)}],
    }
