"""Snapshots over XAPI: what they do to the world, and every refusal of XAPI and of the storage, on both sides of its limit."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
import XenAPI
from guard.simulator.live import Live
from guard.simulator.world import GIB
from guard.simulator.xapi import Fault, XapiFace
from guard.simulator.xapi_wire import NULL, ref_of
from tests.simulator.worlds import Small, small_world
from tests.simulator.xapi_ways import INSUFFICIENT, Client, asked, face_of, ref, refused, signed_in, told

MIB = 1024**2


def test_a_snapshot_is_in_both_faces_at_once() -> None:
    small = small_world()
    small.thick["other"]["xo:x"] = "1"
    face = face_of(small.world)
    taken = told(face, "VM.snapshot", ref(small.thick), "by hand")
    (identity,) = small.thick["snapshots"]
    xo = small.world.get("VM-snapshot", identity)
    assert (ref(xo), xo["name_label"]) == (taken, "by hand")
    record = told(face, "VM.get_record", taken)
    assert record["is_a_snapshot"] is True
    assert record["is_a_template"] is True, "until its taker says otherwise"
    assert record["snapshot_of"] == ref(small.thick)
    assert record["other_config"] == {"xo:x": "1"}
    assert record["power_state"] == "Halted"
    frozen = told(face, "VDI.get_record", told(face, "VBD.get_VDI", record["VBDs"][0]))
    assert frozen["snapshot_of"] == ref(small.thick_disk)
    assert frozen["is_a_snapshot"] is True
    assert told(face, "VDI.get_snapshots", ref(small.thick_disk)) == [ref_of(frozen["uuid"])]


def test_an_async_snapshot_ends_with_a_reference_in_its_task() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        record = await client.task("VM.snapshot", ref(small.thick), "late")
        (identity,) = small.thick["snapshots"]
        assert record["status"] == "success"
        assert record["name_label"] == "Async.VM.snapshot"
        assert record["result"] == f"<value>{ref_of(identity)}</value>"
        await client.call("task.destroy", ref_of(record["uuid"]))
        assert await client.call("task.get_all") == []

    asked(face_of(small.world), ask)


def test_an_async_call_that_is_refused_ends_its_task_with_the_error_and_leaves_no_trace() -> None:
    small = small_world()
    face = face_of(small.world)
    face.faults["VM.snapshot"] = [Fault(error=INSUFFICIENT)]

    async def ask(client: Client) -> None:
        record = await client.task("VM.snapshot", ref(small.thick), "late")
        assert (record["status"], record["error_info"]) == ("failure", INSUFFICIENT)
        assert small.thick["snapshots"] == []
        assert (await client.task("VM.snapshot", ref(small.thick), "again"))["status"] == "success"

    asked(face, ask)


def test_a_task_that_hangs_stays_pending_and_can_be_cancelled() -> None:
    small = small_world()
    face = face_of(small.world)
    face.faults["VM.snapshot"] = [Fault(hangs=True)]

    async def ask(client: Client) -> None:
        task = await client.call("Async.VM.snapshot", ref(small.thick), "never")
        token = (await client.call("event.from", ["task"], "", 1.0))["token"]
        assert (await client.call("event.from", ["task"], token, 20.0))["events"] == []
        assert await client.call("task.get_status", task) == "pending"
        await client.call("task.cancel", task)
        assert await client.call("task.get_status", task) == "cancelled"

    asked(face, ask)


def test_a_task_that_was_cancelled_stays_so_whatever_comes_of_the_call() -> None:
    small = small_world()

    async def ask(client: Client) -> None:
        task = await client.call("Async.VM.snapshot", ref(small.thick), "late")
        await client.call("task.cancel", task)
        await asyncio.sleep(1)
        assert await client.call("task.get_status", task) == "cancelled"

    asked(face_of(small.world), ask)


def test_disks_that_are_left_out_are_not_snapshotted() -> None:
    small = small_world()
    second = small.world.add_disk(small.thick, small.nfs, GIB, name="[NOBAK] scratch")
    face = face_of(small.world)
    taken = told(face, "VM.snapshot", ref(small.thick), "x", [ref(second)])
    (frozen,) = small.world.disks_of(small.world.get("VM-snapshot", small.thick["snapshots"][0]))
    assert frozen["$snapshot_of"] == small.thick_disk["id"]
    assert len(told(face, "VM.get_VBDs", taken)) == 1
    assert len(small.thick["$VBDs"]) == 2
    assert second["snapshots"] == []


def test_a_guest_has_written_until_the_moment_of_its_snapshot() -> None:
    small = small_world()
    live = Live(small.world)
    live.guests.set_rate(small.thin, MIB)
    face = face_of(small.world)
    live.timeline.advance(live.now() + timedelta(minutes=1))
    told(face, "VM.snapshot", ref(small.thin), "x")
    base = told(face, "VDI.get_record", ref_of(small.thin_disk["parent"]))
    assert base["physical_utilisation"] == 5 * GIB + 60 * MIB


# --- the storage's own refusals


@pytest.mark.parametrize(("free", "refusal"), [(44 * MIB, []), (43 * MIB, INSUFFICIENT)])
def test_a_thick_sr_needs_what_is_written_and_24_mib(free: int, refusal: list[str]) -> None:
    small = small_world()
    vm = small.world.add_vm(small.pool, "exact")
    small.world.add_disk(vm, small.lvm, GIB, data=20 * MIB)
    small.lvm["physical_usage"] = small.lvm["size"] - free
    face = face_of(small.world)
    before = dict(small.lvm)
    if refusal:
        assert refused(face, "VM.snapshot", ref(vm), "x") == refusal
        assert (small.lvm, vm["snapshots"]) == (before, [])
    else:
        assert told(face, "VM.snapshot", ref(vm), "x").startswith("OpaqueRef:")


def test_a_full_file_sr_refuses_while_it_writes() -> None:
    small = small_world()
    small.nfs["physical_usage"] = small.nfs["size"]
    assert refused(face_of(small.world), "VM.snapshot", ref(small.thin), "x")[0] == "SR_BACKEND_FAILURE_81"


@pytest.mark.parametrize("nodes", [29, 30])
def test_a_chain_of_30_nodes_takes_no_snapshot(nodes: int) -> None:
    small = small_world()
    small.world.add_base_copies(small.thin_disk, nodes - 1)
    face = face_of(small.world)
    assert told(face, "VM.assert_operation_valid", ref(small.thin), "snapshot") == "", "XAPI itself sees no chain"
    if nodes < 30:
        assert told(face, "VM.snapshot", ref(small.thin), "x")
    else:
        error = ["SR_BACKEND_FAILURE_109", "", "The snapshot chain is too long", ""]
        assert refused(face, "VM.snapshot", ref(small.thin), "x") == error
        assert small.thin["snapshots"] == []


@pytest.mark.parametrize("config", [{"type": "raw"}, {"vdi_type": "aio"}, {"image-format": "raw"}])
def test_a_raw_volume_is_refused_by_the_driver_not_by_xapi(config: dict[str, str]) -> None:
    small = small_world()
    face = face_of(small.world)
    face.extra[small.thick_disk["id"]] = {"sm_config": config}
    assert "snapshot" in told(face, "VDI.get_allowed_operations", ref(small.thick_disk))
    error = ["UNIMPLEMENTED_IN_SM_BACKEND", ref(small.lvm)]
    assert refused(face, "VM.snapshot", ref(small.thick), "x") == error


def test_a_volume_that_is_still_paused_is_refused() -> None:
    small = small_world()
    face = face_of(small.world)
    face.extra[small.thick_disk["id"]] = {"sm_config": {"paused": "true"}}
    assert refused(face, "VM.snapshot", ref(small.thick), "x")[0] == "SR_BACKEND_FAILURE_82"


# --- what XAPI sees of the disks


@pytest.mark.parametrize("sr_type", ["udev", "iso"])
def test_an_sr_without_snapshots_is_named(sr_type: str) -> None:
    small = small_world()
    removable = small.world.add_sr(small.pool, "Removable", sr_type)
    disk = small.world.add_disk(small.thick, removable, GIB)
    face = face_of(small.world)
    assert told(face, "VM.assert_operation_valid", ref(small.thick), "snapshot") == ""
    assert "snapshot" not in told(face, "VDI.get_allowed_operations", ref(disk))
    assert refused(face, "VM.snapshot", ref(small.thick), "x") == ["SR_OPERATION_NOT_SUPPORTED", ref(removable)]


@pytest.mark.parametrize(
    ("facts", "code"),
    [
        ({"sharable": True}, "VDI_IS_SHARABLE"),
        ({"on_boot": "reset"}, "VDI_ON_BOOT_MODE_INCOMPATIBLE_WITH_OPERATION"),
        ({"type": "cbt_metadata"}, "VDI_INCOMPATIBLE_TYPE"),
        ({"current_operations": {"OpaqueRef:t": "resize"}}, "OTHER_OPERATION_IN_PROGRESS"),
        ({"current_operations": {"OpaqueRef:t": "copy"}}, "OPERATION_NOT_ALLOWED"),
    ],
)
def test_a_disk_can_be_in_the_way(facts: dict[str, object], code: str) -> None:
    small = small_world()
    face = face_of(small.world)
    face.extra[small.thick_disk["id"]] = facts
    assert "snapshot" not in told(face, "VDI.get_allowed_operations", ref(small.thick_disk))
    assert refused(face, "VM.snapshot", ref(small.thick), "x")[0] == code


def test_an_sr_that_is_nowhere_attached_is_named() -> None:
    small = small_world()
    small.world.unplug(small.nfs)
    face = face_of(small.world)
    assert refused(face, "VM.snapshot", ref(small.thin), "x") == ["SR_HAS_NO_PBDS", ref(small.nfs)]
    assert told(face, "VM.snapshot", ref(small.thick), "x")


def test_no_host_may_see_all_the_disks() -> None:
    small = small_world()
    second = small.world.add_host(small.pool, "xcp-2")
    first = small.world.hosts_of(small.pool)[0]
    vm = small.world.add_vm(small.pool, "halted", power_state="Halted")
    for host in (first, second):
        sr = small.world.add_sr(small.pool, f"local of {host['name_label']}", "ext", host=host)
        small.world.add_disk(vm, sr, GIB)
    assert refused(face_of(small.world), "VM.snapshot", ref(vm), "x") == ["NO_HOSTS_AVAILABLE"]


def test_a_cd_from_a_dead_sr_is_in_the_way_an_empty_drive_is_not() -> None:
    small = small_world()
    iso = small.world.add_sr(small.pool, "ISOs", "iso")
    image = small.world.add_disk(small.world.add_vm(small.pool, "holder", power_state="Halted"), iso, GIB)
    small.world.add_cd(small.thin)
    small.world.add_cd(small.thick, image)
    face = face_of(small.world)
    assert told(face, "VM.snapshot", ref(small.thick), "fine")
    small.world.unplug(iso)
    assert told(face, "VM.snapshot", ref(small.thin), "fine too")
    assert refused(face, "VM.snapshot", ref(small.thick), "x") == ["SR_HAS_NO_PBDS", ref(iso)]


# --- what XAPI sees of the VM


def blocked(small: Small, _face: XapiFace) -> None:
    small.thick["blockedOperations"]["snapshot"] = "not now"


def with_usb(small: Small, _face: XapiFace) -> None:
    small.world.add_vusb(small.thick)


def migrating(small: Small, _face: XapiFace) -> None:
    small.thick["current_operations"]["OpaqueRef:t"] = "pool_migrate"


def upgrading(small: Small, _face: XapiFace) -> None:
    small.pool["otherConfig"]["rolling_upgrade_in_progress"] = "OpaqueRef:master"


def template(small: Small, face: XapiFace) -> None:
    face.extra[small.thick["id"]] = {"is_a_template": True}


@pytest.mark.parametrize(
    ("state", "error"),
    [
        (blocked, ["OPERATION_BLOCKED", "vm", "not now"]),
        (with_usb, ["VM_HAS_VUSBS", "vm"]),
        (migrating, ["OTHER_OPERATION_IN_PROGRESS", "VM", "vm", "pool_migrate", "OpaqueRef:t"]),
        (upgrading, ["NOT_SUPPORTED_DURING_UPGRADE"]),
        (template, ["VM_IS_TEMPLATE", "vm", "snapshot"]),
    ],
    ids=lambda value: getattr(value, "__name__", ""),
)
def test_oracle_list_and_call_agree_about_a_vm(state, error: list[str]) -> None:
    small = small_world()
    face, vm = face_of(small.world), ref(small.thick)
    assert "snapshot" in told(face, "VM.get_allowed_operations", vm)
    assert told(face, "VM.assert_operation_valid", vm, "snapshot") == ""
    state(small, face)
    wanted = [vm if part == "vm" else part for part in error]
    assert "snapshot" not in told(face, "VM.get_allowed_operations", vm)
    assert refused(face, "VM.assert_operation_valid", vm, "snapshot") == wanted
    assert refused(face, "VM.snapshot", vm, "x") == wanted
    assert small.thick["snapshots"] == []


def test_two_snapshots_may_run_side_by_side_and_nothing_else() -> None:
    small = small_world()
    face, vm = face_of(small.world), ref(small.thick)
    small.thick["current_operations"]["OpaqueRef:t"] = "snapshot"
    assert set(told(face, "VM.get_allowed_operations", vm)) == {"snapshot", "checkpoint"}


def test_a_snapshot_and_a_control_domain_take_no_snapshot() -> None:
    small = small_world()
    (host,) = small.world.hosts_of(small.pool)
    face = face_of(small.world)
    taken = told(face, "VM.snapshot", ref(small.thick), "x")
    assert refused(face, "VM.snapshot", taken, "y") == ["VM_IS_SNAPSHOT", taken, "snapshot"]
    assert refused(face, "VM.snapshot", ref_of(host["controlDomain"]), "y")[0] == "OPERATION_NOT_ALLOWED"
    assert refused(face, "VM.assert_operation_valid", taken, "no such")[0] == "OPERATION_NOT_ALLOWED"


def test_the_published_client_gets_the_oracles_error_with_its_parameters() -> None:
    small = small_world()
    small.world.add_vusb(small.thick)
    with signed_in(face_of(small.world)) as xenapi:
        with pytest.raises(XenAPI.Failure) as failed:
            xenapi.VM.assert_operation_valid(ref(small.thick), "snapshot")
        assert failed.value.details == ["VM_HAS_VUSBS", ref(small.thick)]
        xenapi.VM.assert_operation_valid(ref(small.thin), "snapshot")


# --- checkpoints


def test_a_checkpoint_keeps_the_memory_on_the_suspend_sr() -> None:
    small = small_world()
    face = face_of(small.world)
    before = small.lvm["physical_usage"]
    small.lvm["size"] = 200 * GIB
    taken = told(face, "VM.checkpoint", ref(small.thin), "with memory")
    record = told(face, "VM.get_record", taken)
    assert record["power_state"] == "Suspended"
    needed = int(2 * GIB * 1.2 * 1.05) + 100 * MIB
    assert told(face, "VDI.get_virtual_size", record["suspend_VDI"]) == needed
    assert small.lvm["physical_usage"] == before + needed
    told(face, "VM.hard_shutdown", taken)
    assert told(face, "VM.get_suspend_VDI", taken) == NULL
    assert small.lvm["physical_usage"] == before


@pytest.mark.parametrize("spare", [0, 1])
def test_a_checkpoint_needs_room_for_the_memory(spare: int) -> None:
    small = small_world()
    needed = int(2 * GIB * 1.2 * 1.05) + 100 * MIB
    small.lvm["physical_usage"] = small.lvm["size"] - needed + spare
    face = face_of(small.world)
    if spare:
        assert refused(face, "VM.checkpoint", ref(small.thin), "x") == ["SR_SUSPEND_SPACE_INSUFFICIENT", ref(small.lvm)]
        assert small.thin["snapshots"] == []
    else:
        assert told(face, "VM.checkpoint", ref(small.thin), "x")


@pytest.mark.parametrize("spare", [0, MIB])
def test_memory_and_disks_of_a_checkpoint_share_the_room_of_their_sr(spare: int) -> None:
    small = small_world()
    vm = small.world.add_vm(small.pool, "both", memory=GIB)
    small.world.add_disk(vm, small.lvm, GIB, data=20 * MIB)
    memory = int(GIB * 1.2 * 1.05) + 100 * MIB
    small.lvm["physical_usage"] = small.lvm["size"] - memory - 44 * MIB + spare
    used = small.lvm["physical_usage"]
    face = face_of(small.world)
    if spare:
        assert refused(face, "VM.checkpoint", ref(vm), "x") == INSUFFICIENT
        assert (small.lvm["physical_usage"], vm["snapshots"]) == (used, [])
    else:
        told(face, "VM.checkpoint", ref(vm), "x")
        assert small.lvm["physical_usage"] == used + memory + 36 * MIB


def test_a_checkpoint_needs_a_running_vm_a_suspend_sr_and_no_device_of_the_host() -> None:
    small = small_world()
    face = face_of(small.world)
    del small.pool["suspendSr"]
    assert refused(face, "VM.checkpoint", ref(small.thin), "x") == ["VM_NO_SUSPEND_SR", ref(small.thin)]
    face.extra[small.thin["id"]] = {"attached_PCIs": ["OpaqueRef:pci"]}
    assert refused(face, "VM.checkpoint", ref(small.thin), "x") == ["VM_HAS_PCI_ATTACHED", ref(small.thin)]
    assert told(face, "VM.snapshot", ref(small.thin), "devices do not matter to a plain snapshot")
    face.extra[small.thin["id"]] = {"VGPUs": ["OpaqueRef:vgpu"]}
    assert refused(face, "VM.checkpoint", ref(small.thin), "x") == ["VM_HAS_VGPU", ref(small.thin)]
    small.thin["power_state"] = "Halted"
    error = ["VM_BAD_POWER_STATE", ref(small.thin), "running, paused, suspended", "halted"]
    assert refused(face, "VM.checkpoint", ref(small.thin), "x") == error
