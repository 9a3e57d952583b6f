"""Other changes over XAPI: what XO's backups write, and removals in the parts in which XO makes them."""

from __future__ import annotations

import pytest
from guard.simulator.live import Live
from guard.simulator.world import GIB
from guard.simulator.xapi_wire import NULL, ref_of
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import Client, asked, face_of, ref, refused, told


def test_what_a_backup_writes_on_vms_and_disks_is_kept_where_xo_shows_it() -> None:
    small = small_world()
    vm, disk = ref(small.thick), ref(small.thick_disk)

    async def ask(client: Client) -> None:
        await client.call("VM.add_to_other_config", vm, "xo:backup:job", "j")
        await client.call("VDI.add_to_other_config", disk, "xo:backup:job", "j")
        await client.call("VM.add_to_blocked_operations", vm, "pool_migrate", "during backup")
        await client.call("VM.set_name_label", vm, "new name")
        await client.call("VM.add_tags", vm, "seen")
        await client.call("VM.remove_tags", vm, "prod")
        await client.call("SR.add_to_other_config", ref(small.lvm), "gc", "false")
        await client.call("pool.add_to_other_config", ref(small.pool), "xo:barrier:1", "2")

    asked(face_of(small.world), ask)
    assert small.thick["other"] == small.thick_disk["other_config"] == {"xo:backup:job": "j"}
    assert small.thick["blockedOperations"] == {"pool_migrate": "during backup"}
    assert (small.thick["name_label"], small.thick["tags"]) == ("new name", ["seen"])
    assert small.lvm["other_config"] == {"gc": "false"}
    assert small.pool["otherConfig"] == {"xo:barrier:1": "2"}


def test_an_entry_is_added_once_and_removed_as_often_as_you_like() -> None:
    small = small_world()
    face, vm = face_of(small.world), ref(small.thick)
    told(face, "VM.add_to_other_config", vm, "k", "v")
    error = ["MAP_DUPLICATE_KEY", "VM", "other_config", vm, "k"]
    assert refused(face, "VM.add_to_other_config", vm, "k", "w") == error
    for _ in range(2):
        assert told(face, "VM.remove_from_other_config", vm, "k") == ""
    assert told(face, "VM.get_other_config", vm) == {}


def test_what_only_xapi_has_can_be_set_too() -> None:
    small = small_world()
    face = face_of(small.world)
    taken = told(face, "VM.snapshot", ref(small.thick), "x")
    told(face, "VM.set_is_a_template", taken, False)
    assert told(face, "VM.get_is_a_template", taken) is False
    assert told(face, "VM.get_is_a_template", told(face, "VM.snapshot", ref(small.thick), "y")) is True
    told(face, "VM.set_platform", ref(small.thick), {"nomigrate": "true"})
    assert told(face, "VM.get_platform", ref(small.thick)) == {"nomigrate": "true"}
    assert refused(face, "VM.checkpoint", ref(small.thick), "x") == ["VM_IS_IMMOBILE", ref(small.thick)]


def test_entries_that_a_worlds_author_added_can_be_removed_over_xapi() -> None:
    small = small_world()
    small.thick_disk["other_config"]["b"] = "2"
    face, disk = face_of(small.world), ref(small.thick_disk)
    face.extra[small.thick_disk["id"]] = {"other_config": {"a": "1"}}
    assert told(face, "VDI.get_other_config", disk) == {"a": "1", "b": "2"}
    told(face, "VDI.remove_from_other_config", disk, "a")
    assert told(face, "VDI.get_other_config", disk) == {"b": "2"}
    told(face, "VDI.set_sm_config", disk, {"c": "3"})
    assert told(face, "VDI.get_sm_config", disk) == {"c": "3"}


def test_a_snapshot_goes_in_parts_and_ends_as_if_it_had_gone_at_once() -> None:
    apart, at_once = small_world(), small_world()
    for small in (apart, at_once):
        small.world.snapshot(small.thick)
    at_once.world.delete_snapshot(at_once.world.get("VM-snapshot", at_once.thick["snapshots"][0]))
    face = face_of(apart.world)
    taken = ref_of(apart.thick["snapshots"][0])
    disks = [told(face, "VBD.get_VDI", drive) for drive in told(face, "VM.get_VBDs", taken)]
    told(face, "VM.destroy", taken)
    assert apart.thick["snapshots"] == []
    assert told(face, "VDI.get_VBDs", disks[0]) == []
    told(face, "VDI.destroy", disks[0])
    assert apart.world.objects == at_once.world.objects


def test_a_disk_in_use_is_not_destroyed() -> None:
    small = small_world()
    face = face_of(small.world)
    error = ["VDI_IN_USE", ref(small.thick_disk), "destroy"]
    assert refused(face, "VDI.destroy", ref(small.thick_disk)) == error
    (drive,) = told(face, "VDI.get_VBDs", ref(small.thick_disk))
    assert refused(face, "VBD.destroy", drive)[0] == "OPERATION_NOT_ALLOWED"
    told(face, "VBD.unplug", drive)
    told(face, "VBD.destroy", drive)
    assert small.thick["$VBDs"] == []
    used = small.lvm["physical_usage"]
    told(face, "VDI.destroy", ref(small.thick_disk))
    assert small.lvm["physical_usage"] == used - small.thick_disk["usage"]
    assert refused(face, "VDI.get_uuid", ref(small.thick_disk))[0] == "HANDLE_INVALID"


def test_a_snapshot_disk_left_in_the_control_domain_is_in_use() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    snapshot = small.world.snapshot(small.thick)
    (frozen,) = small.world.disks_of(snapshot)
    drive = small.world.get("VBD", frozen["$VBDs"][0]) | {"attached": True, "VM": host["controlDomain"]}
    left = small.world.add_object("VBD", small.pool["id"], drive, "left over")
    frozen["$VBDs"].append(left["id"])
    face = face_of(small.world)
    assert refused(face, "VDI.destroy", ref(frozen)) == ["VDI_IN_USE", ref(frozen), "destroy"]
    told(face, "VBD.unplug_force", ref(left))
    assert told(face, "VDI.destroy", ref(frozen)) == ""


def test_other_operations_and_a_detached_sr_keep_a_disk() -> None:
    small = small_world()
    (frozen,) = small.world.disks_of(small.world.snapshot(small.thick))
    face = face_of(small.world)
    frozen["current_operations"]["OpaqueRef:t"] = "copy"
    assert refused(face, "VDI.destroy", ref(frozen))[0] == "OTHER_OPERATION_IN_PROGRESS"
    frozen["current_operations"].clear()
    small.world.unplug(small.lvm)
    assert refused(face, "VDI.destroy", ref(frozen)) == ["SR_HAS_NO_PBDS", ref(small.lvm)]
    assert refused(face, "SR.scan", ref(small.lvm)) == ["SR_HAS_NO_PBDS", ref(small.lvm)]
    told(face, "PBD.plug", ref_of(small.lvm["$PBDs"][0]))
    assert told(face, "VDI.destroy", ref(frozen)) == ""


def test_changed_block_tracking_lets_the_data_of_a_snapshot_go() -> None:
    small = small_world()
    face = face_of(small.world)
    told(face, "VM.snapshot", ref(small.thick), "without")
    (frozen,) = small.world.disks_of(small.world.get("VM-snapshot", small.thick["snapshots"][0]))
    assert refused(face, "VDI.data_destroy", ref(frozen)) == ["VDI_NO_CBT_METADATA", ref(frozen)]
    frozen["cbt_enabled"] = True
    used = small.lvm["physical_usage"]
    told(face, "VDI.data_destroy", ref(frozen))
    record = told(face, "VDI.get_record", ref(frozen))
    assert (record["type"], record["physical_utilisation"]) == ("cbt_metadata", 0)
    assert "vhd-parent" not in record["sm_config"]
    assert small.lvm["physical_usage"] < used
    small.thick["power_state"] = "Halted"
    told(face, "VDI.enable_cbt", ref(small.thick_disk))
    assert small.thick_disk["cbt_enabled"] is True
    told(face, "VDI.disable_cbt", ref(small.thick_disk))
    assert small.thick_disk["cbt_enabled"] is False
    assert refused(face, "VDI.enable_cbt", ref(frozen))[0] == "OPERATION_NOT_ALLOWED"


def test_removing_a_disk_and_scanning_wake_the_collector() -> None:
    small = small_world()
    live = Live(small.world)
    snapshot = small.world.snapshot(small.thick)
    (frozen,) = small.world.disks_of(snapshot)
    face = face_of(small.world)
    assert told(face, "VDI.destroy", ref(frozen)) == ""
    (task,) = told(face, "task.get_all_records").values()
    assert task["name_label"] == "Garbage Collection"
    live.collector.switch_off(small.nfs)
    assert told(face, "SR.scan", ref(small.nfs)) == ""
    assert len(told(face, "task.get_all")) == 1
    small.world.add_base_copies(small.thin_disk, 2)
    live.collector.switch_on(small.nfs)
    assert len(told(face, "task.get_all")) == 2


def test_a_scan_wakes_a_collector_that_sleeps() -> None:
    small = small_world()
    live = Live(small.world)
    live.collector.fall_asleep(small.nfs)
    small.world.add_base_copies(small.thin_disk, 2)
    live.collector.kick(small.nfs)
    face = face_of(small.world)
    assert told(face, "task.get_all") == []
    assert told(face, "SR.scan", ref(small.nfs)) == ""
    assert len(told(face, "task.get_all")) == 1


@pytest.mark.parametrize(
    ("state", "call", "after"),
    [
        ("Running", ("VM.clean_shutdown",), "Halted"),
        ("Running", ("VM.hard_shutdown",), "Halted"),
        ("Halted", ("VM.start", False, False), "Running"),
    ],
)
def test_a_vm_changes_its_state_and_its_drives_follow(state: str, call: tuple, after: str) -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    small.thick["power_state"] = state
    method, *rest = call
    face = face_of(small.world)
    assert told(face, method, ref(small.thick), *rest) == ""
    assert small.thick["power_state"] == after
    assert small.world.get("VBD", small.thick["$VBDs"][0])["attached"] is (after == "Running")
    assert host["residentVms"].count(small.thick["id"]) == (after == "Running")
    assert told(face, "VM.get_resident_on", ref(small.thick)) == (ref(host) if after == "Running" else NULL)
    assert refused(face, method, ref(small.thick), *rest)[0] == "VM_BAD_POWER_STATE"


def test_a_halted_vm_is_shown_where_its_local_disk_is_else_in_its_pool() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    face = face_of(small.world)
    for vm in (small.thick, small.thin):
        told(face, "VM.clean_shutdown", ref(vm))
    assert small.thick["$container"] == host["id"]
    assert small.thin["$container"] == small.pool["id"]
    told(face, "VM.start", ref(small.thin), False, False)
    assert small.thin["$container"] == host["id"]


def test_a_whole_vm_goes_and_its_disks_stay() -> None:
    small = small_world()
    face = face_of(small.world)
    assert refused(face, "VM.destroy", ref(small.thick))[0] == "VM_BAD_POWER_STATE"
    told(face, "VM.hard_shutdown", ref(small.thick))
    told(face, "VM.destroy", ref(small.thick))
    assert small.thick["id"] not in small.world.objects["VM"]
    assert small.thick_disk["$VBDs"] == []
    assert told(face, "VDI.destroy", ref(small.thick_disk)) == ""


def test_usb_devices_are_taken_off_and_put_back() -> None:
    small = small_world()
    device = small.world.add_vusb(small.thick)
    face, vm = face_of(small.world), ref(small.thick)
    group = told(face, "VUSB.get_USB_group", ref(device))
    told(face, "VUSB.destroy", ref(device))
    assert told(face, "VM.get_VUSBs", vm) == []
    again = told(face, "VUSB.create", vm, group, {})
    assert told(face, "VM.get_VUSBs", vm) == [again]
    assert told(face, "VUSB.get_USB_group", again) == group


def test_tasks_of_a_client_are_tasks_of_the_pool() -> None:
    small = small_world()
    face = face_of(small.world)
    task = told(face, "task.create", "Exporting", "a disk")
    (xo,) = small.world.objects["task"].values()
    assert (xo["name_label"], xo["name_description"], xo["status"]) == ("Exporting", "a disk", "pending")
    told(face, "task.set_progress", task, 0.5)
    told(face, "task.set_status", task, "cancelled")
    assert (xo["progress"], xo["status"]) == (0.5, "cancelled")
    told(face, "task.destroy", task)
    assert small.world.objects["task"] == {}
    assert refused(face, "task.destroy", task) == ["HANDLE_INVALID", "task", task]


def test_null_stands_for_what_is_not_there() -> None:
    small = small_world()
    vm = small.world.add_vm(small.pool, "bare", power_state="Halted", memory=GIB)
    small.world.add_cd(vm)
    face = face_of(small.world)
    (drive,) = told(face, "VM.get_VBDs", ref(vm))
    record = told(face, "VBD.get_record", drive)
    assert (record["VDI"], record["empty"], record["type"], record["mode"]) == (NULL, True, "CD", "RO")
