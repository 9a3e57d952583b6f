"""The estate's indexes: what belongs to what, and which lists may be trusted."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime

import pytest
from guard.estate.estate import Estate, Part, PartName, XoIdentity
from guard.estate.xo_records import CallJob, Job, Pbd, Pool, Repository, Schedule, Sr, Vbd, Vdi, Vm

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)
XO = XoIdentity(url="https://xo.example.org", version="5.207.2", admin=True)


def estate(**parts):
    return Estate(xo=XO, taken_at=NOW, parts={}, **parts)


@pytest.mark.parametrize(
    ("index", "part", "record"),
    [
        ("pool_by_id", "pools", Pool(id="x")),
        ("sr_by_id", "srs", Sr(id="x")),
        ("vm_by_id", "vms", Vm(id="x")),
        ("job_by_id", "jobs", Job(id="x")),
        ("call_job_by_id", "call_jobs", CallJob(id="x")),
        ("schedule_by_id", "schedules", Schedule(id="x")),
        ("repository_by_id", "repositories", Repository(id="x")),
    ],
)
def test_a_record_is_found_by_its_id_in_its_own_part(index, part, record):
    assert getattr(estate(**{part: (record,)}), index) == {"x": record}


def test_a_disk_is_found_by_its_id_whether_active_snapshot_or_base_copy():
    found = estate(vdis=(Vdi(id="a"),), vdi_snapshots=(Vdi(id="s"),), vdi_unmanaged=(Vdi(id="b"),))
    assert set(found.vdi_by_id) == {"a", "s", "b"}
    assert found.unmanaged_ids == {"b"}


def test_a_disk_that_changed_its_kind_between_two_readings_counts_as_the_managed_one():
    active, snapshot, base = (Vdi(id="d", name_label=name) for name in ("active", "snapshot", "base"))
    assert estate(vdis=(active,), vdi_snapshots=(snapshot,), vdi_unmanaged=(base,)).vdi_by_id["d"] is active
    assert estate(vdi_snapshots=(snapshot,), vdi_unmanaged=(base,)).vdi_by_id["d"] is snapshot


def test_the_drives_of_a_vm_are_those_that_hold_something_in_the_order_of_the_list():
    disk, cd = Vbd(id="1", vm="web", vdi="d"), Vbd(id="2", vm="web", vdi="iso", is_cd_drive=True)
    empty, stray = Vbd(id="3", vm="web", is_cd_drive=True), Vbd(id="4", vdi="d")
    other = Vbd(id="5", vm="db", vdi="e")
    found = estate(vbds=(cd, empty, disk, stray, other)).vbds_of_vm
    assert found == {"web": (cd, disk), "db": (other,)}


def test_the_snapshots_of_a_disk_leave_out_those_whose_disk_is_gone():
    first, second = Vdi(id="s1", snapshot_of="d"), Vdi(id="s2", snapshot_of="d")
    found = estate(vdi_snapshots=(first, Vdi(id="orphan"), second)).snapshots_of_vdi
    assert found == {"d": (first, second)}


def test_the_plugs_of_an_sr_leave_out_those_of_none():
    here, there = Pbd(id="1", sr="san", host="a"), Pbd(id="2", sr="san", host="b")
    assert estate(pbds=(here, Pbd(id="3"), there)).pbds_of_sr == {"san": (here, there)}


@pytest.mark.parametrize(
    ("state", "usable"),
    [({}, True), ({"ok": False, "error": "XO answered 500"}, False), ({"complete": False}, False)],
)
def test_only_a_list_read_whole_tells_that_something_does_not_exist(state, usable):
    assert Part(name=PartName.VMS, source="GET /rest/v0/vms", read_at=NOW, **state).usable is usable


def test_an_estate_cannot_be_changed_and_prints_short():
    found = estate(vms=tuple(Vm(id=str(number), name_label="x" * 1000) for number in range(1000)))
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.vms = ()
    assert "https://xo.example.org" in repr(found)
    assert "1000 VMs" in repr(found)
    assert len(repr(found)) < 200


def test_a_snapshot_is_plugged_when_something_that_is_no_vm_holds_it():
    snapshots = (Vdi(id="held"), Vdi(id="free"), Vdi(id="its own"))
    vbds = (
        Vbd(id="1", vm="dom0", vdi="held", attached=True),
        Vbd(id="2", vm="dom0", vdi="free", attached=False),
        Vbd(id="3", vm="v", vdi="its own", attached=True),
        Vbd(id="4", vm="dom0", attached=True),
    )
    assert estate(vdi_snapshots=snapshots, vbds=vbds, vms=(Vm(id="v"),)).plugged_snapshots == {"held"}
    assert estate(vdi_snapshots=snapshots).plugged_snapshots == frozenset()


def test_copies_and_replicas_are_found_by_where_they_lie():
    copy = {"xo:copy_of": "source"}
    vdis = (Vdi(id="a", sr="x", other_config=copy), Vdi(id="b", other_config=copy), Vdi(id="c", sr="x"))
    marks = {"xo:backup:job": "j", "xo:backup:schedule": "s", "xo:backup:vm": "v", "xo:backup:sr": "x"}
    vms = (
        Vm(id="newer", other={**marks, "xo:backup:datetime": "20261102T000000Z"}),
        Vm(id="older", other={**marks, "xo:backup:datetime": "20261101T000000Z"}),
        Vm(id="no replica", other={"xo:backup:job": "j"}),
        Vm(id="unknown"),
    )
    found = estate(vdis=vdis, vdi_snapshots=(Vdi(id="d", sr="y", other_config=copy),), vms=vms)
    assert found.copied_to == {"x": {"source"}, "y": {"source"}}
    assert found.replicas == {("j", "s", "v", "x"): ("older", "newer")}
