"""The records of the simulated pool master: the shapes that xapi-storage.md describes, and XO's own for the same things."""

from __future__ import annotations

import base64
import zlib

import pytest
from guard.simulator.vm_refusals import CHAIN_LIMIT
from guard.simulator.world import GIB
from guard.simulator.xapi import XapiFace
from guard.simulator.xapi_query import condition
from guard.simulator.xapi_wire import NULL, XapiError, ref_of, uuid_of
from tests.simulator.worlds import NOW, small_world
from tests.simulator.xapi_ways import face_of, ref, refused, told

MIB = 1024**2


def test_a_chain_is_read_off_the_parents_in_sm_config() -> None:
    small = small_world()
    bases = small.world.add_base_copies(small.thick_disk, 3)
    disks = told(face_of(small.world), "VDI.get_all_records")
    by_uuid = {record["uuid"]: record for record in disks.values()}
    chain, uuid = [], small.thick_disk["id"]
    while uuid:
        chain.append(by_uuid[uuid])
        uuid = by_uuid[uuid]["sm_config"].get("vhd-parent")
    assert [node["managed"] for node in chain] == [True, False, False, False]
    assert chain[-1]["uuid"] == bases[0]["id"]
    assert {node["parent"] for node in chain} == {NULL}, "out of use in XAPI"
    assert len(chain) < CHAIN_LIMIT


def test_an_inner_node_on_lvm_tells_its_blocks_and_a_chain_adds_up() -> None:
    small = small_world()
    disk = small.world.add_disk(small.thick, small.lvm, 64 * MIB, data=20 * MIB)
    small.world.snapshot(small.thick)
    small.world.write(disk, 8 * MIB)
    small.world.snapshot(small.thick)
    disks = {record["uuid"]: record for record in told(face_of(small.world), "VDI.get_all_records").values()}
    upper = disks[disks[disk["id"]]["sm_config"]["vhd-parent"]]
    root = disks[upper["sm_config"]["vhd-parent"]]
    maps = [zlib.decompress(base64.b64decode(node["sm_config"]["vhd-blocks"])) for node in (root, upper)]
    counts = [sum(byte.bit_count() for byte in found) for found in maps]
    assert counts == [10, 4], "blocks of 2 MiB"
    together = sum((one | other).bit_count() for one, other in zip(*maps, strict=True))
    assert together == 14, "a delta of new blocks overlaps nothing"
    assert "vhd-blocks" not in disks[disk["id"]]["sm_config"], "leaves keep none"
    assert all("vhd-blocks" not in one["sm_config"] for one in disks.values() if one["SR"] == ref(small.nfs))


def test_an_attached_disk_names_its_host() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    config = told(face_of(small.world), "VDI.get_sm_config", ref(small.thick_disk))
    assert config[f"host_{ref(host)}"] == "RW"
    small.thick["power_state"] = "Halted"
    assert f"host_{ref(host)}" not in told(face_of(small.world), "VDI.get_sm_config", ref(small.thick_disk))


def test_a_format_is_told_where_the_world_has_one() -> None:
    small = small_world()
    disk = small.world.add_disk(small.thin, small.nfs, GIB, image_format="qcow2")
    assert told(face_of(small.world), "VDI.get_sm_config", ref(disk))["image-format"] == "qcow2"


def test_what_only_xapi_knows_comes_from_the_worlds_author() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    face = face_of(small.world)
    face.extra[small.thick_disk["id"]] = {"sm_config": {"paused": "true", "vdi_type": None}, "on_boot": "reset"}
    face.extra[small.pool["id"]] = {"restrictions": {"restrict_cbt": "true"}}
    face.extra[host["id"]] = {"data_sources": {"loadavg": 14.5}}
    face.extra[host["controlDomain"]] = {"data_sources": {"memory_internal_free": 90_000}}
    disk = told(face, "VDI.get_record", ref(small.thick_disk))
    assert disk["sm_config"]["paused"] == "true"
    assert "vdi_type" not in disk["sm_config"]
    assert disk["on_boot"] == "reset"
    restrictions = told(face, "pool.get_restrictions", ref(small.pool))
    assert restrictions["restrict_cbt"] == "true"
    assert restrictions["restrict_pci_device_for_auto_update"] == "false"
    assert told(face, "host.query_data_source", ref(host), "loadavg") == 14.5
    assert told(face, "VM.query_data_source", ref_of(host["controlDomain"]), "memory_internal_free") == 90_000
    assert refused(face, "host.query_data_source", ref(host), "nothing")[0] == "INTERNAL_ERROR"
    assert "data_sources" not in told(face, "host.get_record", ref(host))
    small.thick["power_state"] = "Halted"
    assert refused(face, "VM.query_data_source", ref(small.thick), "cpu_usage")[0] == "VM_BAD_POWER_STATE"
    host["power_state"] = "Halted"
    assert refused(face, "host.query_data_source", ref(host), "loadavg") == ["HOST_OFFLINE", ref(host)]


def test_a_host_has_its_control_domain_its_metrics_and_its_version() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    face = face_of(small.world)
    record = told(face, "host.get_record", ref(host))
    domain = told(face, "VM.get_record", record["control_domain"])
    assert domain["is_control_domain"] is True
    assert domain["resident_on"] == ref(host)
    assert domain["VCPUs_at_startup"] == 16
    metrics = told(face, "host_metrics.get_record", record["metrics"])
    assert metrics["live"] is True
    assert metrics["memory_total"] - metrics["memory_free"] == host["memory"]["usage"]
    assert metrics["uuid"] == uuid_of("host_metrics", host["id"])
    assert record["software_version"]["product_version"] == "8.3.0"
    assert (record["API_version_major"], record["API_version_minor"]) == (2, 21)
    host["version"] = "6.2.0"
    assert told(face, "host.get_API_version_minor", ref(host)) == 0


def test_a_drive_of_the_control_domain_is_its_own() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    drive = small.world.get("VBD", small.thick["$VBDs"][0])
    drive |= {"VM": host["controlDomain"]}
    face = face_of(small.world)
    assert told(face, "VM.get_VBDs", ref_of(host["controlDomain"])) == [ref(drive)]
    assert told(face, "VM.get_is_control_domain", told(face, "VBD.get_VM", ref(drive))) is True


def test_a_task_of_the_collector_names_its_sr_and_a_message_its_object() -> None:
    small = small_world()
    task = small.world.add_xapi_task(small.pool, "Garbage Collection", small.lvm, progress=0.25)
    message = small.world.add_message(small.lvm, "SM_GC_NO_SPACE", "no room")
    face = face_of(small.world)
    record = told(face, "task.get_record", ref(task))
    assert record["other_config"] == {"applies_to": ref(small.lvm)}
    assert (record["status"], record["progress"]) == ("pending", 0.25)
    (found,) = told(face, "message.get_all_records_where", 'field "name"="SM_GC_NO_SPACE"').values()
    assert found == {
        "uuid": message["id"],
        "name": "SM_GC_NO_SPACE",
        "body": "no room",
        "cls": "SR",
        "obj_uuid": small.lvm["id"],
        "priority": 3,
        "timestamp": f"{NOW:%Y%m%dT%H:%M:%SZ}",
    }


def test_a_message_about_something_that_is_gone_has_no_class() -> None:
    small = small_world()
    message = small.world.add_message(small.thin, "VM_SHUTDOWN")
    small.world.remove_vm(small.thin)
    assert told(face_of(small.world), "message.get_record", ref(message))["cls"] == ""


def test_an_sr_and_its_driver_say_what_they_can() -> None:
    small = small_world()
    iso = small.world.add_sr(small.pool, "ISOs", "iso")
    face = face_of(small.world)
    drivers = {one["type"]: one for one in told(face, "SM.get_all_records").values()}
    assert "VDI_SNAPSHOT" in drivers["lvm"]["features"]
    assert "VDI_SNAPSHOT" not in drivers["iso"]["features"]
    assert "vdi_snapshot" in told(face, "SR.get_allowed_operations", ref(small.lvm))
    assert "vdi_snapshot" not in told(face, "SR.get_allowed_operations", ref(iso))
    small.lvm["current_operations"] = {"OpaqueRef:t": "scan"}
    assert told(face, "SR.get_allowed_operations", ref(small.lvm)) == []


def test_a_pool_is_blind_to_other_pools() -> None:
    small = small_world()
    other = small.world.add_pool("rome")
    small.world.add_vm(other, "far")
    names = [one["name_label"] for one in told(XapiFace(small.world, other), "VM.get_all_records").values()]
    assert sorted(names) == ["Control domain on host: rome-host-1", "far"]
    assert refused(XapiFace(small.world, other), "VM.get_record", ref(small.thick))[0] == "HANDLE_INVALID"


def test_a_lost_connection_of_xo_changes_nothing_for_the_pool_itself() -> None:
    small = small_world()
    small.world.disconnect(small.world.server_of(small.pool))
    assert len(told(face_of(small.world), "SR.get_all")) == 2


def test_what_is_asked_for_is_a_copy() -> None:
    small = small_world()
    face = face_of(small.world)
    record = face.tables.record("VM", ref(small.thick))
    record["tags"].append("changed")
    record["other_config"]["changed"] = "true"
    assert small.thick["tags"] == ["prod"]
    assert small.thick["other"] == {}


def test_conditions_are_read_as_the_database_reads_them() -> None:
    small = small_world()
    small.world.snapshot(small.thick)
    face = face_of(small.world)

    def names(expression: str) -> list[str]:
        found = told(face, "VM.get_all_records_where", expression)
        return sorted(record["name_label"] for record in found.values())

    real = 'field "is_a_snapshot"="false" and field "is_control_domain" = "false"'
    assert names(real) == ["thick-01", "thin-01"]
    assert names(f'({real}) and not (field "name__label" = "thin-01")') == ["thick-01"]
    assert names('field "name__label"="thick-01" or field "name__label"=\'thin-01\'') == ["thick-01", "thin-01"]
    assert len(names("true")) == 4
    assert names("false") == []
    thick, thin = 'field "name__label"="thick-01"', 'field "name__label"="thin-01"'
    assert names(f"{thick} or {thin} and false") == []  # "and" does not bind closer than "or"
    assert names(f"{thick} or ({thin} and false)") == ["thick-01"]
    assert names(f"not {thick} or {real}") == names(f"not ({thick} or {real})")
    on_lvm = told(face, "VDI.get_all_records_where", f'field "SR" = "{ref(small.lvm)}"')
    assert {record["SR"] for record in on_lvm.values()} == {ref(small.lvm)}


@pytest.mark.parametrize(
    "expression",
    ["", "field name = 'x'", 'field "a" = ', "(true", "true true", 'field "a" "b"', "maybe", "true and", "~"],
)
def test_a_condition_that_is_none_is_refused(expression: str) -> None:
    with pytest.raises(XapiError, match="INTERNAL_ERROR"):
        condition(expression)


def test_a_field_that_the_database_does_not_know_by_that_name_is_refused() -> None:
    face = face_of(small_world().world)
    assert "missing field" in refused(face, "VM.get_all_records_where", 'field "name_label"="x"')[1]
    assert "missing field" in refused(face, "VM.get_all_records_where", 'field "nothing"="x"')[1]


def test_figures_with_unit_are_those_of_xo() -> None:
    small = small_world()
    face = face_of(small.world)
    sr = told(face, "SR.get_record", ref(small.lvm))
    assert sr["physical_size"] - sr["physical_utilisation"] == small.lvm["size"] - small.lvm["physical_usage"]
    assert sr["virtual_allocation"] == small.lvm["usage"]
    disk = told(face, "VDI.get_record", ref(small.thin_disk))
    assert (disk["virtual_size"], disk["physical_utilisation"]) == (20 * GIB, 5 * GIB)
    (pbd,) = told(face, "SR.get_PBDs", ref(small.lvm))
    assert told(face, "PBD.get_currently_attached", pbd) is True
    small.world.unplug(small.lvm)
    assert told(face, "PBD.get_currently_attached", pbd) is False


def test_a_running_guest_tells_about_itself_and_a_halted_one_does_not() -> None:
    small = small_world()
    halted = small.world.add_vm(small.pool, "off", power_state="Halted")
    face = face_of(small.world)
    guest = told(face, "VM_guest_metrics.get_record", told(face, "VM.get_guest_metrics", ref(small.thick)))
    assert guest["PV_drivers_detected"] is True
    assert guest["networks"] == {"0/ip": "192.0.2.10"}
    assert told(face, "VM.get_guest_metrics", ref(halted)) == NULL
    assert told(face, "VM.get_resident_on", ref(halted)) == NULL
    metrics = told(face, "VM_metrics.get_record", told(face, "VM.get_metrics", ref(small.thick)))
    assert metrics["memory_actual"] == 2 * GIB
