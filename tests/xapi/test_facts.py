"""What guard learns from a pool directly: each fact, and what becomes of those it cannot have."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.estate.xapi_records import Dom0Vbd, PoolFacts, Refusal
from guard.simulator.live import Live
from guard.simulator.world import GIB
from guard.simulator.xapi import Fault, serving_xapi
from guard.simulator.xapi_wire import ref_of
from guard.xapi import facts as module
from msgspec import UNSET
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import face_of
from tests.xapi.house import NOW, facts_of, read, settings_of

MIB = 1024**2
DENIED = ["RBAC_PERMISSION_DENIED", "x", "No permission in user session"]
UNKNOWN = ["MESSAGE_METHOD_UNKNOWN", "x"]


class Asked:
    """A small pool and its face."""

    def __init__(self):
        self.small = small_world()
        self.world = self.small.world
        self.face = face_of(self.world)
        (self.host,) = self.world.hosts_of(self.small.pool)

    def facts(self, *vms, **more) -> PoolFacts:
        """A reading that asks about these VMs, by default both."""
        asked = vms or (self.small.thick, self.small.thin)
        return facts_of(self.face, ask_vms=[vm["id"] for vm in asked], **more)

    def vm(self):
        return self.facts().vms[self.small.thick["id"]]

    def sr(self):
        return self.facts().srs[self.small.lvm["id"]]

    def disk(self):
        return self.facts().vdis[self.small.thick_disk["id"]]

    def denied(self, *methods, error=DENIED):
        for method in methods:
            self.face.faults[method] = [Fault(error=error, times=None)]


@pytest.fixture
def pool():
    return Asked()


def facts_in(pool, **limits) -> PoolFacts:
    """A reading with other time limits, in seconds."""
    with serving_xapi(pool.face) as url:
        (found,) = read(settings_of(url, **limits), ask_vms=[pool.small.thick["id"]])
    return found


# --- the pool and its hosts


def test_a_pool_tells_which_it_is_who_its_master_is_and_what_its_licence_restricts(pool):
    pool.face.extra[pool.small.pool["id"]] = {"restrictions": {"restrict_cbt": "true"}}
    found = pool.facts()
    assert (found.label, found.address, found.read_at) == ("paris", "127.0.0.1", NOW)
    assert (found.answered, found.error, found.gaps) == (True, "", ())
    assert (found.pool_id, found.master) == (pool.small.pool["id"], pool.host["id"])
    assert found.restrictions["restrict_cbt"] == "true"
    assert found.restrictions["restrict_pci_device_for_auto_update"] == "false"
    assert repr(found) == "<PoolFacts of paris: 2 VMs, 2 VDIs, read at 2026-11-24 20:00:00 UTC>"


def test_facts_survive_a_capture_as_they_are(pool):
    found = pool.facts()
    assert msgspec.json.decode(msgspec.json.encode(found), type=PoolFacts) == found


def test_nothing_that_is_told_is_a_reference(pool):
    live = Live(pool.world)
    pool.world.add_base_copies(pool.small.thick_disk, 2)
    live.collector.kick(pool.small.lvm)
    pool.small.thick["blockedOperations"]["snapshot"] = "by hand"
    assert b"OpaqueRef" not in msgspec.json.encode(pool.facts())


def test_a_host_tells_its_load_and_the_memory_of_its_control_domain(pool):
    pool.face.extra[pool.host["id"]] = {"data_sources": {"loadavg": 33.5, "Tapdisks_in_low_memory_mode": 2.0}}
    pool.face.extra[pool.host["controlDomain"]] = {"data_sources": {"memory_internal_free": 200_000.0}}
    (host,) = pool.facts().hosts.values()
    assert (host.name, host.enabled, host.live, host.xapi_build) == ("xcp-1", True, True, "24.19.2")
    assert (host.loadavg, host.dom0_vcpus, host.tapdisks_low_on_memory) == (33.5, 16, 2)
    assert (host.dom0_memory_free_bytes, host.dom0_memory_total_bytes) == (200_000 * 1024, 4 * GIB)
    assert host.dom0 == pool.host["controlDomain"]


def test_a_host_that_is_down_is_not_asked_for_its_load(pool):
    pool.host["power_state"] = "Halted"
    (host,) = pool.facts().hosts.values()
    assert (host.live, host.loadavg, host.dom0_memory_free_bytes) == (False, UNSET, UNSET)
    assert pool.face.calls["host.query_data_source"] == 0


def test_a_figure_that_was_not_measured_yet_is_unknown(pool):
    pool.face.extra[pool.host["id"]] = {"data_sources": {"loadavg": float("nan")}}
    (host,) = pool.facts().hosts.values()
    assert (host.loadavg, host.tapdisks_low_on_memory) == (UNSET, 0)


def test_a_host_that_does_not_answer_the_master_costs_the_others_nothing(pool):
    other = pool.world.add_host(pool.small.pool, "xcp-2")
    pool.face.faults["host.query_data_source"] = [Fault(hangs=True)]
    found = facts_in(pool, call_timeout_s=0.5, total_timeout_s=10.0)
    loads = {found.hosts[one["id"]].loadavg for one in (pool.host, other)}
    assert loads == {UNSET, 0.4}
    assert found.answered
    assert any(gap.startswith("loadavg: ") for gap in found.gaps)


# --- SRs


def test_an_sr_tells_its_room_and_what_it_allows(pool):
    sr = pool.sr()
    assert (sr.name, sr.type, sr.shared) == ("Local LVM", "lvm", False)
    assert (sr.physical_size, sr.physical_utilisation) == (100 * GIB, pool.small.lvm["physical_usage"])
    assert sr.virtual_allocation == pool.small.lvm["usage"]
    assert "vdi_snapshot" in sr.allowed_operations
    assert sr.current_operations == ()
    pool.small.lvm["current_operations"]["OpaqueRef:t"] = "scan"
    assert (pool.sr().current_operations, pool.sr().allowed_operations) == (("scan",), ())


@pytest.mark.parametrize(("key", "field"), [("gc", "gc"), ("coalesce", "coalesce"), ("leaf-coalesce", "leaf_coalesce")])
def test_a_collector_that_was_switched_off_is_seen(pool, key, field):
    assert getattr(pool.sr(), field) is True
    pool.small.lvm["other_config"][key] = "false"
    assert getattr(pool.sr(), field) is False
    pool.small.lvm["other_config"][key] = "true"
    assert getattr(pool.sr(), field) is True


def test_scans_by_itself_are_seen(pool):
    assert pool.sr().auto_scan is False
    pool.small.lvm["other_config"]["auto-scan"] = "true"
    assert pool.sr().auto_scan is True


def test_a_collection_at_work_is_seen_with_its_sr_and_its_progress(pool):
    live = Live(pool.world)
    pool.world.add_base_copies(pool.small.thick_disk, 2)
    live.collector.kick(pool.small.lvm)
    found = pool.facts()
    (task,) = found.srs[pool.small.lvm["id"]].gc_tasks
    assert (task.progress, task.created) == (0, NOW)
    assert found.srs[pool.small.nfs["id"]].gc_tasks == ()


def test_a_collection_is_told_by_its_description_where_it_names_no_sr(pool):
    task = pool.world.add_xapi_task(pool.small.pool, "Garbage Collection")
    task["name_description"] = f"Garbage collection for SR {pool.small.nfs['id']}"
    found = pool.facts()
    assert [one.id for one in found.srs[pool.small.nfs["id"]].gc_tasks] == [task["id"]]
    assert found.srs[pool.small.lvm["id"]].gc_tasks == ()


def test_a_collection_that_has_ended_and_other_tasks_are_none_at_work(pool):
    pool.world.add_xapi_task(pool.small.pool, "Garbage Collection", pool.small.lvm)["status"] = "success"
    pool.world.add_xapi_task(pool.small.pool, "VM.snapshot", pool.small.lvm)
    assert pool.sr().gc_tasks == ()


def test_a_collector_without_room_leaves_a_mark_and_a_message(pool):
    message = pool.world.add_message(pool.small.lvm, "SM_GC_NO_SPACE", "Unable to perform coalesce")
    pool.small.lvm["sm_config"]["gc_no_space"] = message["_xapiRef"]
    since = int((NOW - timedelta(hours=2)).timestamp())
    pool.small.lvm["sm_config"]["last-coalesce-error"] = str(since)
    found = pool.facts()
    assert found.srs[pool.small.lvm["id"]].gc_no_space is True
    assert found.srs[pool.small.lvm["id"]].last_coalesce_error_at == NOW - timedelta(hours=2)
    assert found.srs[pool.small.nfs["id"]].gc_no_space is False
    (told,) = found.messages
    assert (told.id, told.name, told.cls, told.object, told.at) == (
        message["id"],
        "SM_GC_NO_SPACE",
        "SR",
        pool.small.lvm["id"],
        NOW,
    )


def test_messages_that_tell_nothing_of_storage_are_not_read_and_the_newest_come_first(pool):
    pool.world.add_message(pool.small.thick, "VM_STARTED")
    for name, hour in (("Input/output error", 1), ("SM_GC_NO_SPACE", 3), ("VDI_CBT_SNAPSHOT_FAILED", 2)):
        pool.world.add_message(pool.small.lvm, name)["time"] += hour * 3600
    names = [message.name for message in pool.facts().messages]
    assert names == ["SM_GC_NO_SPACE", "VDI_CBT_SNAPSHOT_FAILED", "Input/output error"]


def test_only_the_newest_messages_are_kept(pool, monkeypatch):
    monkeypatch.setattr(module, "MAX_MESSAGES", 2)
    for hour in range(4):
        pool.world.add_message(pool.small.lvm, "SM_GC_NO_SPACE")["time"] += hour * 3600
    assert [message.at.hour for message in pool.facts().messages] == [23, 22]


def test_the_latency_of_an_sr_is_told_for_each_host_that_has_it(pool):
    prefix = pool.small.lvm["id"][:8]
    pool.face.extra[pool.host["id"]] = {"data_sources": {f"latency_{prefix}": 1234.5}}
    found = pool.facts()
    assert found.srs[pool.small.lvm["id"]].latency_us == {pool.host["id"]: 1234.5}
    assert found.srs[pool.small.nfs["id"]].latency_us == {}
    assert found.gaps == ()
    pool.world.unplug(pool.small.lvm)
    assert pool.sr().latency_us == {}


# --- VMs


def test_a_vm_that_can_be_snapshotted_is_refused_nothing(pool):
    vm = pool.vm()
    assert (vm.refusal, vm.current_operations) == (None, ())
    assert "snapshot" in vm.allowed_operations


def test_a_vm_that_was_not_asked_about_is_unknown(pool):
    assert set(pool.facts(pool.small.thin).vms) == {pool.small.thin["id"]}
    assert pool.facts(pool.small.pool).vms == {}
    assert facts_of(pool.face).vms == {}


def test_the_refusal_of_a_vm_with_a_usb_device_names_the_vm_by_its_uuid(pool):
    pool.world.add_vusb(pool.small.thick)
    assert pool.vm().refusal == Refusal(code="VM_HAS_VUSBS", params=(pool.small.thick["id"],))
    assert "snapshot" not in pool.vm().allowed_operations


def test_the_refusal_of_a_blocked_operation_tells_the_reason_somebody_gave(pool):
    pool.small.thick["blockedOperations"]["snapshot"] = "migration next week"
    assert pool.vm().refusal == Refusal(
        code="OPERATION_BLOCKED", params=(pool.small.thick["id"], "migration next week")
    )


def test_a_busy_vm_is_refused_and_tells_what_it_does(pool):
    pool.small.thick["current_operations"][ref_of("t")] = "pool_migrate"
    vm = pool.vm()
    assert vm.refusal.code == "OTHER_OPERATION_IN_PROGRESS"
    assert vm.refusal.params[:3] == ("VM", pool.small.thick["id"], "pool_migrate")
    assert vm.current_operations == ("pool_migrate",)


def test_a_pool_in_a_rolling_upgrade_refuses(pool):
    pool.small.pool["otherConfig"]["rolling_upgrade_in_progress"] = "true"
    assert pool.vm().refusal == Refusal(code="NOT_SUPPORTED_DURING_UPGRADE")


def test_vms_whose_record_already_refuses_are_asked_about_first(pool):
    pool.small.thick["blockedOperations"]["snapshot"] = "x"
    pool.face.faults["VM.assert_operation_valid"] = [Fault(skip=1, status=500, times=None)]
    found = pool.facts()
    assert found.vms[pool.small.thick["id"]].refusal.code == "OPERATION_BLOCKED"
    assert found.vms[pool.small.thin["id"]].refusal is UNSET


@pytest.mark.parametrize("code", ["HANDLE_INVALID", "INTERNAL_ERROR", "TOO_MANY_PENDING_TASKS", "HOST_STILL_BOOTING"])
def test_an_error_that_says_nothing_of_the_vm_is_no_refusal(pool, code):
    pool.denied("VM.assert_operation_valid", error=[code, "x"])
    found = pool.facts()
    assert {vm.refusal for vm in found.vms.values()} == {UNSET}
    assert len(found.gaps) == 1
    assert found.gaps[0].startswith("whether VMs can be snapshotted: Pool paris (127.0.0.1) answered")
    assert set(found.vdis) == {pool.small.thick_disk["id"], pool.small.thin_disk["id"]}


def test_hundreds_of_vms_are_asked_about_in_groups(pool):
    more = [pool.world.add_vm(pool.small.pool, f"vm-{number}") for number in range(230)]
    found = pool.facts(*more)
    assert set(found.vms) == {vm["id"] for vm in more}
    assert {vm.refusal for vm in found.vms.values()} == {None}
    assert pool.face.calls["VM.get_all_records_where"] == 1 + 3
    assert pool.face.calls["VM.get_all_records"] == 0


def test_what_is_no_uuid_never_comes_into_an_expression(pool):
    found = facts_of(pool.face, ask_vms=['" or true or field "uuid" = "', pool.small.thick["id"]])
    assert set(found.vms) == {pool.small.thick["id"]}


# --- disks


def test_a_disk_tells_its_format_its_chain_and_where_it_is_attached(pool):
    base, _ = pool.world.add_base_copies(pool.small.thick_disk, 2)
    found = pool.facts()
    disk = found.vdis[pool.small.thick_disk["id"]]
    assert (disk.sr, disk.parent) == (pool.small.lvm["id"], pool.small.thick_disk["parent"])
    assert (disk.image_format, disk.raw, disk.paused, disk.relinking) == ("vhd", False, False, False)
    assert (disk.managed, disk.is_a_snapshot, disk.gc_no_space) == (True, False, False)
    assert (disk.attached, disk.attached_to_unknown) == ({pool.host["id"]: "RW"}, False)
    assert (disk.allocated_bytes, disk.merged_bytes) == (UNSET, UNSET)  # SM keeps no map of a leaf
    assert "snapshot" in disk.allowed_operations
    assert (found.vdis[base["id"]].managed, found.vdis[base["id"]].parent) == (False, UNSET)


def test_base_copies_tell_how_much_data_they_hold_and_what_a_merge_will_hold(pool):
    lower, upper = pool.world.add_base_copies(pool.small.thick_disk, 2, usage=30 * MIB)
    found = pool.facts().vdis
    blocks = {one["id"]: found[one["id"]].allocated_bytes for one in (lower, upper)}
    assert blocks == {lower["id"]: 22 * MIB, upper["id"]: 22 * MIB}
    assert found[lower["id"]].merged_bytes is UNSET
    assert found[upper["id"]].merged_bytes == 44 * MIB


@pytest.mark.parametrize(
    ("kept", "image", "raw"),
    [
        ({"type": "raw"}, "raw", True),
        ({"vdi_type": "aio"}, "raw", True),
        ({"image-format": "raw"}, "raw", True),
        ({"image-format": "qcow2"}, "qcow2", False),
        ({"vdi_type": "qcow2"}, "qcow2", False),
        ({"vdi_type": None}, UNSET, UNSET),
    ],
)
def test_the_format_of_a_disk_is_what_sm_notes_and_unknown_where_it_notes_none(pool, kept, image, raw):
    pool.face.extra[pool.small.thick_disk["id"]] = {"sm_config": kept}
    assert (pool.disk().image_format, pool.disk().raw) == (image, raw)


def test_marks_that_the_collector_left_on_a_disk_are_seen(pool):
    marks = {"paused": "true", "relinking": "true", "gc_no_space": "OpaqueRef:m"}
    pool.face.extra[pool.small.thick_disk["id"]] = {"sm_config": marks, "other_config": {"leaf-coalesce": "offline"}}
    disk = pool.disk()
    assert (disk.paused, disk.relinking, disk.gc_no_space, disk.leaf_coalesce) == (True, True, True, "offline")


def test_a_disk_that_sm_notes_on_a_host_nobody_knows_is_told(pool):
    pool.face.extra[pool.small.thick_disk["id"]] = {"sm_config": {"host_OpaqueRef:gone": "RW"}}
    disk = pool.disk()
    assert disk.attached_to_unknown
    assert disk.attached == {pool.host["id"]: "RW"}


def test_a_disk_that_is_reset_at_boot_does_not_allow_a_snapshot(pool):
    pool.face.extra[pool.small.thick_disk["id"]] = {"on_boot": "reset"}
    assert "snapshot" not in pool.disk().allowed_operations
    pool.small.thin_disk["current_operations"]["OpaqueRef:t"] = "copy"
    assert pool.facts().vdis[pool.small.thin_disk["id"]].current_operations == ("copy",)


def test_a_snapshot_left_attached_to_a_control_domain_is_seen_with_its_host(pool):
    (frozen,) = pool.world.disks_of(pool.world.snapshot(pool.small.thick))
    shape = pool.world.get("VBD", frozen["$VBDs"][0]) | {"attached": True, "VM": pool.host["controlDomain"]}
    left = pool.world.add_object("VBD", pool.small.pool["id"], shape, "left over")
    frozen["$VBDs"].append(left["id"])
    found = pool.facts().vdis
    assert found[frozen["id"]].dom0_vbds == (Dom0Vbd(id=left["id"], host=pool.host["id"]),)
    assert found[frozen["id"]].is_a_snapshot
    assert found[pool.small.thick_disk["id"]].dom0_vbds == ()
    left["attached"] = False
    assert pool.facts().vdis[frozen["id"]].dom0_vbds == ()


def test_disks_are_read_of_the_srs_that_hold_the_vms_disks_and_of_those_asked_for(pool):
    assert {vdi.sr for vdi in pool.facts(pool.small.thin).vdis.values()} == {pool.small.nfs["id"]}
    more = pool.facts(pool.small.thin, ask_srs=[pool.small.lvm["id"], "another pool's"])
    assert {vdi.sr for vdi in more.vdis.values()} == {pool.small.nfs["id"], pool.small.lvm["id"]}
    assert facts_of(pool.face).vdis == {}


# --- what is not told


def test_a_read_only_account_may_ask_all_of_it(pool):
    pool.face.role = "read-only"
    found = pool.facts()
    assert found.gaps == ()
    assert {vm.refusal for vm in found.vms.values()} == {None}


def test_nothing_in_the_pool_is_changed(pool):
    before = msgspec.json.encode(pool.world.objects)
    pool.facts()
    assert msgspec.json.encode(pool.world.objects) == before
    assert not [call for call in pool.face.calls if not call.startswith("session.") and not _reads(call)]


def _reads(call):
    return ".get_" in call or call.endswith((".query_data_source", ".assert_operation_valid"))


@pytest.mark.parametrize("error", [DENIED, UNKNOWN])
@pytest.mark.parametrize(
    ("method", "gone"),
    [
        ("host.query_data_source", lambda found, _: [host.loadavg for host in found.hosts.values()]),
        ("VM.query_data_source", lambda found, _: [host.dom0_memory_free_bytes for host in found.hosts.values()]),
        ("VM_metrics.get_memory_actual", lambda found, _: [h.dom0_memory_total_bytes for h in found.hosts.values()]),
        ("host_metrics.get_all_records", lambda found, _: [host.live for host in found.hosts.values()]),
        ("VM.assert_operation_valid", lambda found, _: [vm.refusal for vm in found.vms.values()]),
        ("task.get_all_records_where", lambda found, _: [sr.gc_tasks for sr in found.srs.values()]),
        ("message.get_all_records_where", lambda found, _: [found.messages]),
        ("VBD.get_all_records_where", lambda found, _: [found.vdis.get(_.small.thick_disk["id"], UNSET)]),
        ("VDI.get_all_records_where", lambda found, _: [found.vdis.get(_.small.thick_disk["id"], UNSET)]),
        ("VM.get_all_records_where", lambda found, _: [found.vms.get(_.small.thick["id"], UNSET)]),
        ("SR.get_all_records", lambda found, _: [found.srs.get(_.small.lvm["id"], UNSET)]),
        ("host.get_all_records", lambda found, _: [found.hosts.get(_.host["id"], UNSET), found.master]),
        ("PBD.get_all_records_where", lambda found, _: [UNSET]),
    ],
)
def test_a_call_that_is_denied_or_unknown_leaves_out_its_facts_and_no_others(pool, method, gone, error):
    pool.denied(method, error=error)
    found = pool.facts()
    values = gone(found, pool)
    assert values
    assert set(map(id, values)) == {id(UNSET)}
    assert found.answered
    assert found.pool_id == pool.small.pool["id"]
    assert found.gaps
    assert pool.face.calls[method] == 1  # what is refused for good is not asked again
    assert pool.face.calls["session.logout"] == 1


def test_drives_of_control_domains_that_cannot_be_read_leave_disks_without_that_fact(pool):
    pool.face.faults["VBD.get_all_records_where"] = [Fault(skip=1, error=DENIED)]
    assert {disk.dom0_vbds for disk in pool.facts().vdis.values()} == {UNSET}


def test_without_its_pool_record_a_pool_has_not_answered(pool):
    pool.denied("pool.get_all_records")
    found = pool.facts()
    assert (found.answered, found.pool_id, found.hosts) == (False, UNSET, {})
    assert "does not let user root call pool.get_all_records" in found.error
    assert pool.face.calls["session.logout"] == 1
    assert repr(found) == "<PoolFacts of paris: no answer, read at 2026-11-24 20:00:00 UTC>"


def test_a_pool_that_stops_answering_in_the_middle_keeps_what_it_told(pool):
    pool.face.faults["VM.assert_operation_valid"] = [Fault(hangs=True, times=None)]
    found = facts_in(pool, call_timeout_s=0.5, total_timeout_s=10.0)
    assert found.answered
    assert set(found.srs) == {pool.small.lvm["id"], pool.small.nfs["id"]}
    assert found.vms[pool.small.thick["id"]].allowed_operations
    assert found.vms[pool.small.thick["id"]].refusal is UNSET
    assert "did not finish answering VM.assert_operation_valid in time" in found.gaps[0]


def test_two_calls_without_an_answer_end_a_reading(pool):
    for method in ("task.get_all_records_where", "message.get_all_records_where"):
        pool.face.faults[method] = [Fault(status=500)]
    found = pool.facts()
    assert [gap.partition(":")[0] for gap in found.gaps] == [
        "garbage collection at work",
        "messages",
        "what comes after it",
    ]
    assert (found.vms, found.messages) == ({}, UNSET)
    assert pool.face.calls["VM.assert_operation_valid"] == 0
    assert pool.face.calls["session.logout"] == 1


def test_a_lost_session_ends_a_reading_and_keeps_what_was_told(pool):
    pool.denied("VM.assert_operation_valid", error=["SESSION_INVALID", "x"])
    found = pool.facts()
    assert found.answered
    assert (len(found.srs), found.vdis) == (2, {})
    assert "forgot guard's session" in found.gaps[0]
    assert pool.face.calls["session.login_with_password"] == 1


def test_figures_of_load_are_bounded(pool, monkeypatch):
    monkeypatch.setattr(module, "MAX_FIGURES", 3)
    found = pool.facts()
    assert pool.face.calls["host.query_data_source"] + pool.face.calls["VM.query_data_source"] == 3
    assert found.gaps == ("more figures of load: a reading asks for at most 3",)


def test_a_reading_is_a_bounded_number_of_calls(pool):
    assert pool.facts().gaps == ()
    calls = pool.face.calls
    session, tables, per_hundred_vms, vms, srs, hosts, latencies = 2, 9, 2, 2, 2, 4, 2
    assert sum(calls.values()) == session + tables + per_hundred_vms + vms + srs + hosts + latencies
    whole = {"pool", "host", "host_metrics", "SR"}
    assert {call.partition(".")[0] for call in calls if call.endswith(".get_all_records")} == whole
