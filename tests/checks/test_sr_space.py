"""SR headroom: SM's own arithmetic, and what the past tells of it (failure-modes.md 3.3, 8; xapi-storage.md 1; xo-api.md 3.7)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.run import run_checks
from guard.checks.sr_space import CHECK
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_snapshot,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

MIB = 1024**2
HOUR = timedelta(hours=1)

# a thick snapshot of a disk of 100 GiB, as the storage facts work it out (xapi-storage.md 1.1)
FULL = 107_592_286_208  # its volume
LOWER = 25_165_824  # an empty leaf
AFTER_20_GIB = 21_541_945_344  # 20 GiB written since the last snapshot
NET_20_GIB = 21_533_556_736  # what of it stays once the journals are gone
AFTER_2_GIB = 2_176_843_776
UPPER = 107_609_063_424  # all of it written
FILE_SR = 434_176  # on a file SR, whatever was written
LINSTOR_THICK = 215_176_454_144
LINSTOR_THIN = 16 * MIB
QCOW2 = 111_685_926_912

SILENT = {"warn_free_percent": 0, "warn_thick_used_percent": 100}  # the page's rules of thumb


def said(due=None, *others, options=SILENT, rest=None, **world):
    """What is said; ``others``: the due times of other runs, ``rest``: the VMs still in question."""
    return found(CHECK, make_view(make_estate(**world), due=due, runs=others, vms=rest), **options)


def levels(**world):
    return [(one.level, one.certainty) for one in said(**world)]


def sr(free, id_="sr", /, *, sr_type="lvm", **xo):
    """An SR of 10 TiB with so many bytes left; XO's word for a driver's allocation comes with it."""
    told = {"lvm": "thick", "lvmoiscsi": "thick", "linstor": "unknown"}.get(sr_type, "thin")
    size = 10_000 * GIB
    return make_sr(
        id_, **({"SR_type": sr_type, "allocationStrategy": told, "size": size} | {"physical_usage": size - free} | xo)
    )


def disk(vm="vm", **xo):
    """The one disk of a VM, of 100 GiB, its volume inflated."""
    return make_vdi(f"{vm}-disk", **({"size": 100 * GIB, "usage": FULL} | xo))


def vms(*names, disks=None, **job):
    """A job of these VMs, each with such a disk and a delta base."""
    ids = {"id": {"__or": list(names)}}
    return {
        "jobs": [make_job(**{"vms": ids} | job)],
        "vms": [make_vm(name) for name in names],
        "vbds": [make_vbd(name, f"{name}-disk") for name in names],
        "vdis": disks or [disk(name) for name in names],
        "vdi_snapshots": [make_snapshot(f"{name}-snap", of=f"{name}-disk", vm=name) for name in names],
    }


def night(target="repo", *, full=False, job="job", schedule="schedule", **sizes):
    """A past run that sent these sizes in GiB, VM by VM."""
    tasks = (make_vm_task(vm, make_transfer(gib * GIB, target, full=full)) for vm, gib in sizes.items())
    return make_log(*tasks, job=job, schedule=schedule, start=LAST_NIGHT, id=f"{schedule}-{target}")


def tight(free, gib=20, **sr_xo):
    """One VM on a thick SR; its last deltas moved so many GiB."""
    return vms("vm") | {"srs": [sr(free, **sr_xo)], "logs": [night(vm=gib)] if gib else []}


def test_a_healthy_estate_has_nothing_to_say():
    assert said(options={}) == []


# One VM against the free space


@pytest.mark.parametrize(
    ("gib", "free", "expected"),
    [
        (20, AFTER_20_GIB, []),
        (20, AFTER_20_GIB - 1, [(Level.BLOCK, Certainty.LIKELY)]),
        (2, AFTER_2_GIB, []),
        (2, AFTER_2_GIB - 1, [(Level.BLOCK, Certainty.LIKELY)]),
        (20, LOWER, [(Level.BLOCK, Certainty.LIKELY)]),
        (20, LOWER - 1, [(Level.BLOCK, Certainty.CERTAIN)]),
        (None, UPPER, []),
        (None, UPPER - 1, [(Level.UNKNOWN, Certainty.TREND)]),
        (None, LOWER, [(Level.UNKNOWN, Certainty.TREND)]),
        (None, LOWER - 1, [(Level.BLOCK, Certainty.CERTAIN)]),
        (500, UPPER, []),
        (500, UPPER - 1, [(Level.BLOCK, Certainty.LIKELY)]),
    ],
)
def test_a_thick_snapshot_needs_what_was_written_since_the_last_and_sixteen_mib(gib, free, expected):
    assert levels(**tight(free, gib)) == expected


def test_too_little_space_is_told_with_its_figures():
    (finding,) = said(**tight(10 * GIB))
    assert (finding.code, finding.check, finding.harm) == ("SR_NO_SPACE", "sr_space", Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "sr", "sr"), ("vm",))
    assert finding.summary == (
        "sr: 10.0 GiB free, the snapshots of this run need 20.1 GiB (at most 100.2 GiB); 1 VM held."
    )
    assert facts(finding) == {
        "free": read(10 * GIB, "bytes", "srs"),
        "need_at_least": read(LOWER, "bytes", "vdis"),
        "need_expected": read(AFTER_20_GIB, "bytes", "logs"),
        "need_at_most": read(UPPER, "bytes", "vdis"),
        "other_runs": read(0, "bytes", "vdis"),
    }
    assert "Free at least 10.1 GiB on sr" in finding.remedy
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_what_cannot_be_told_is_told_with_its_bounds():
    (finding,) = said(**tight(10 * GIB, None))
    assert finding.summary == (
        "sr: how much was written since the last snapshot (between 24.0 MiB and 100.2 GiB needed, 10.0 GiB free) cannot be "
        "told for 1 VM."
    )
    assert (finding.holds, finding.harm, finding.clears) == (("vm",), Harm.NONE, Clears(ClearedBy.TIME))


@pytest.mark.parametrize(
    ("sr_type", "config", "harm", "needs"),
    [
        ("lvm", {}, Harm.NONE, AFTER_20_GIB),
        ("lvm", {"allocation": "thick"}, Harm.NONE, AFTER_20_GIB),
        ("lvm", {"allocation": "thin"}, Harm.PRODUCTION, AFTER_20_GIB),
        ("nfs", {}, Harm.PRODUCTION, FILE_SR),
        ("ext", {}, Harm.PRODUCTION, FILE_SR),
        ("linstor", {"provisioning": "thick"}, Harm.NONE, LINSTOR_THICK),
        ("linstor", {"provisioning": "thin"}, Harm.PRODUCTION, LINSTOR_THIN),
    ],
)
def test_a_thick_sr_refuses_a_snapshot_and_a_thin_one_that_fills_up_hurts_its_guests(sr_type, config, harm, needs):
    assert said(**tight(needs, sr_type=sr_type, sm_config=config)) == []
    (finding,) = said(**tight(needs - 1, sr_type=sr_type, sm_config=config))
    assert (finding.level, finding.harm) == (Level.BLOCK, harm)


def test_a_detached_disk_of_a_thin_lvm_sr_needs_no_room_for_its_whole_size():
    world = tight(LOWER, None, sm_config={"allocation": "thin"})
    assert said(**world | {"vbds": [make_vbd("vm", "vm-disk", attached=False)]}) == []
    assert levels(**world) == [(Level.UNKNOWN, Certainty.TREND)]


@pytest.mark.parametrize(("strategy", "needs"), [("thick", LINSTOR_THICK), ("thin", LINSTOR_THIN)])
def test_what_xo_knows_of_a_linstor_sr_counts_where_its_own_configuration_is_silent(strategy, needs):
    world = {"sr_type": "linstor", "allocationStrategy": strategy, "sm_config": UNSET}
    assert said(**tight(needs, **world)) == []
    assert levels(**tight(needs - 1, **world)) == [(Level.BLOCK, Certainty.LIKELY)]


@pytest.mark.parametrize("strategy", ["unknown", UNSET])
@pytest.mark.parametrize(
    ("free", "expected"), [(LINSTOR_THICK, []), (LINSTOR_THICK - 1, [Level.UNKNOWN]), (0, [Level.UNKNOWN])]
)
def test_a_linstor_sr_of_unknown_provisioning_is_unknown_unless_a_thick_snapshot_fits(strategy, free, expected):
    findings = said(**tight(free, sr_type="linstor", allocationStrategy=strategy, sm_config={}))
    assert [one.level for one in findings] == expected


def test_an_lvm_sr_is_thick_unless_it_says_otherwise():
    (finding,) = said(**tight(0, allocationStrategy=UNSET, sm_config={}))
    assert finding.harm is Harm.NONE


def test_a_qcow2_disk_on_lvm_needs_its_whole_size():
    world = vms("vm", disks=[disk(image_format="qcow2")]) | {"logs": [night(vm=1)]}
    assert said(**world, srs=[sr(QCOW2)]) == []
    assert len(said(**world, srs=[sr(QCOW2 - 1)])) == 1


def test_without_an_image_format_a_disk_is_a_vhd():
    world = vms("vm", disks=[disk(image_format=UNSET)]) | {"logs": [night(vm=20)]}
    assert said(**world, srs=[sr(AFTER_20_GIB)]) == []


def test_changed_block_tracking_costs_one_more_extent():
    world = vms("vm", disks=[disk(cbt_enabled=True)]) | {"logs": [night(vm=20)]}
    assert said(**world, srs=[sr(AFTER_20_GIB + 4 * MIB)]) == []
    assert len(said(**world, srs=[sr(AFTER_20_GIB + 4 * MIB - 1)])) == 1


def test_a_volume_that_is_not_inflated_must_grow_first():
    for usage, more in ((FULL - GIB, GIB), (UNSET, 0)):
        world = vms("vm", disks=[disk(usage=usage)]) | {"logs": [night(vm=20)]}
        assert said(**world, srs=[sr(AFTER_20_GIB + more)]) == []
        assert len(said(**world, srs=[sr(AFTER_20_GIB + more - 1)])) == 1


# What cannot be told


@pytest.mark.parametrize(
    "figures",
    [
        {"size": 0, "physical_usage": 0},
        {"size": -1, "physical_usage": -1},
        {"size": UNSET},
        {"physical_usage": UNSET},
        {"physical_usage": -1},
    ],
)
def test_an_sr_without_figures_is_unknown_and_never_full(figures):
    (finding,) = said(options={}, srs=[make_sr(**figures)])
    assert (finding.level, finding.holds) == (Level.UNKNOWN, ("vm",))
    assert finding.summary == "sr: its free space cannot be told for 1 VM."


def test_an_empty_sr_has_all_its_space():
    assert said(options={}, srs=[make_sr(physical_usage=0)]) == []


def test_an_sr_that_xo_does_not_show_is_unknown():
    (finding,) = said(vdis=[make_vdi(sr="elsewhere")])
    assert (finding.level, finding.scope) == (Level.UNKNOWN, Scope(ScopeKind.SR, "elsewhere", "elsewhere"))


@pytest.mark.parametrize("vdis", [[], [make_vdi(sr=UNSET)]], ids=["no disk", "no SR"])
def test_a_disk_that_xo_does_not_show_is_unknown(vdis):
    (finding,) = said(vdis=vdis)
    assert (finding.level, finding.holds) == (Level.UNKNOWN, ("vm",))
    assert finding.summary == "SR: what the snapshot of a disk needs that XO does not show cannot be told for 1 VM."


def test_a_disk_without_a_size_or_on_an_unknown_driver_is_unknown():
    for world in ({"vdis": [make_vdi(size=UNSET)]}, {"srs": [make_sr(SR_type="gfs2")]}):
        (finding,) = said(**world)
        assert (finding.level, finding.holds) == (Level.UNKNOWN, ("vm",))
        assert "what a snapshot needs on a" in finding.summary


def test_a_vm_whose_need_is_unknown_does_not_hide_the_others():
    world = vms("a", "b", disks=[disk("a", size=UNSET), disk("b")])
    findings = said(**world, srs=[sr(AFTER_20_GIB - 1)], logs=[night(b=20)])
    assert [(one.level, one.holds) for one in findings] == [(Level.UNKNOWN, ("a",)), (Level.BLOCK, ("b",))]


def test_a_vm_without_a_past_does_not_hide_that_the_known_ones_exceed_the_space():
    world = vms("new", "known") | {"logs": [night(known=20)]}
    # the new one takes at least its empty leaf: 8 MiB, and SM counts one more base of 8 MiB while it checks
    enough = AFTER_20_GIB + 8 * MIB
    (finding,) = said(**world, srs=[sr(enough - 1)])
    assert (finding.level, finding.certainty, finding.holds) == (Level.BLOCK, Certainty.LIKELY, ("known",))
    assert facts(finding)["need_expected"][0] is None
    (finding,) = said(**world, srs=[sr(enough + 8 * MIB)])
    assert (finding.level, finding.holds) == (Level.UNKNOWN, ("new",))


# What is snapshotted


def test_a_disk_left_out_of_the_backup_needs_nothing():
    world = tight(AFTER_20_GIB)
    scratch = make_vdi("scratch", size=900 * GIB, name_label="scratch [NOBAK]")
    assert (
        said(**world | {"vdis": [disk(), scratch], "vbds": [make_vbd("vm", "vm-disk"), make_vbd("vm", "scratch")]})
        == []
    )


def test_a_cd_and_an_empty_drive_need_nothing():
    world = tight(AFTER_20_GIB)
    drives = [make_vbd("vm", "iso", is_cd_drive=True), make_vbd("vm", UNSET, is_cd_drive=True, id="empty")]
    assert said(**world | {"vbds": [*world["vbds"], *drives]}) == []


@pytest.mark.parametrize(
    ("power_state", "settings", "snapshot"),
    [
        ("Running", {}, True),
        ("Halted", {}, False),
        (UNSET, {}, False),
        ("Halted", {"snapshotRetention": 1}, True),
        ("Running", {"offlineBackup": True}, False),
    ],
)
def test_a_vm_of_a_full_job_that_is_not_snapshotted_needs_nothing(power_state, settings, snapshot):
    world = vms("vm", mode="full", settings={"schedule": {"exportRetention": 7} | settings})
    world |= {"vms": [make_vm(power_state=power_state)], "srs": [sr(0)]}
    assert bool(said(options={}, **world)) is snapshot


def test_a_vm_that_xo_does_not_show_needs_nothing_here():
    assert said(rest=("gone",), srs=[sr(0)]) == []


def test_a_vm_that_is_held_already_needs_nothing():
    world = vms("a", "b") | {"srs": [sr(AFTER_20_GIB)], "logs": [night(a=20, b=20)]}
    assert [one.holds for one in said(**world)] == [("a",)]
    assert said(rest=("b",), **world) == []


# What the past tells


@pytest.mark.parametrize(
    ("compression", "known"), [(UNSET, True), ("", True), (None, True), ("zstd", False), ("native", False)]
)
def test_a_full_job_has_written_what_its_last_full_backup_held_unless_that_was_compressed(compression, known):
    world = vms("vm", mode="full", compression=compression)
    logs = [night(full=True, vm=20)]
    assert said(**world, logs=logs, srs=[sr(UPPER)]) == []
    assert levels(**world, logs=logs, srs=[sr(AFTER_20_GIB - 1)]) == [
        (Level.BLOCK, Certainty.LIKELY) if known else (Level.UNKNOWN, Certainty.TREND)
    ]
    assert bool(said(**world, logs=logs, srs=[sr(AFTER_20_GIB)])) is not known


def test_compression_says_nothing_of_a_delta_job():
    world = vms("vm", compression="zstd")
    assert said(**world, logs=[night(vm=20)], srs=[sr(AFTER_20_GIB)]) == []


def test_any_target_tells_how_much_was_written():
    both = {"id": {"__or": ["repo", "repo2"]}}
    for job in ({"remotes": both}, {"srs": {"id": "repo2"}}, {"remotes": UNSET, "srs": {"id": "repo2"}}):
        world = vms("vm", **job) | {"logs": [night("repo2", vm=20)]}
        assert said(**world, srs=[sr(AFTER_20_GIB)]) == []
        assert levels(**world, srs=[sr(AFTER_20_GIB - 1)]) == [(Level.BLOCK, Certainty.LIKELY)]


def test_what_a_vm_has_written_is_shared_among_its_disks_by_their_size():
    world = vms("vm") | {
        "vdis": [disk(), make_vdi("data", sr="files", size=300 * GIB)],
        "vbds": [make_vbd("vm", "vm-disk"), make_vbd("vm", "data")],
        "vdi_snapshots": [make_snapshot("s1", of="vm-disk"), make_snapshot("s2", of="data")],
        "logs": [night(vm=80)],
    }
    files = sr(GIB, "files", sr_type="ext")
    assert said(**world, srs=[sr(AFTER_20_GIB), files]) == []
    (finding,) = said(**world, srs=[sr(AFTER_20_GIB - 1), files])
    assert finding.scope.id == "sr"


# Several VMs


def test_the_disks_of_a_run_are_added_up_because_deleted_snapshots_give_nothing_back_meanwhile():
    world = vms("a", "b", "c", settings={"schedule": {"exportRetention": 7, "concurrency": 1}})
    logs = [night(a=20, b=20, c=20)]
    enough = 3 * NET_20_GIB + 8 * MIB
    assert said(**world, logs=logs, srs=[sr(enough)]) == []
    (finding,) = said(**world, logs=logs, srs=[sr(enough - 1)])
    assert (finding.holds, finding.certainty) == (("a",), Certainty.LIKELY)


def test_the_vms_with_the_largest_need_are_held_until_the_rest_fits():
    world = vms("a", "b", "c") | {"logs": [night(a=2, b=60, c=20)]}
    held = {
        free: [one.holds for one in said(**world, srs=[sr(round(free * GIB))])]
        for free in (83, 82, 22.2, 22, 2.1, 2, 0.03)
    }
    assert held == {
        83: [],
        82: [("b",)],
        22.2: [("b",)],
        22: [("b", "c")],
        2.1: [("b", "c")],
        2: [("b", "c", "a")],
        0.03: [("b", "c", "a")],
    }


def test_a_sum_of_bare_minimums_that_does_not_fit_is_certain():
    world = vms("a", "b") | {"srs": [sr(32 * MIB - 1)]}
    (finding,) = said(**world)
    assert (finding.level, finding.certainty, finding.holds) == (Level.BLOCK, Certainty.CERTAIN, ("a",))
    # the figures are those of both
    assert "the snapshots of this run need 32.0 MiB" in finding.summary
    assert [one.level for one in said(**world | {"srs": [sr(32 * MIB)]})] == [Level.UNKNOWN]


def test_a_vm_that_can_never_fit_is_held_and_the_rest_is_judged_without_it():
    world = vms("big", "small", disks=[disk("big", image_format="qcow2"), disk("small")])
    logs = [night(big=1, small=20)]
    (finding,) = said(**world, logs=logs, srs=[sr(AFTER_20_GIB)])
    # the rule for QCOW2 is known from a branch of SM only
    assert (finding.certainty, finding.holds) == (Certainty.LIKELY, ("big",))
    assert "the snapshots of big need 104.0 GiB" in finding.summary
    findings = said(**world, logs=logs, srs=[sr(AFTER_20_GIB - 1)])
    assert [(one.certainty, one.holds) for one in findings] == [
        (Certainty.LIKELY, ("big",)),
        (Certainty.LIKELY, ("small",)),
    ]


def test_vms_that_can_never_fit_are_told_with_their_sum():
    world = vms("a", "b", disks=[disk("a", image_format="qcow2"), disk("b", image_format="qcow2")])
    (finding,) = said(**world, srs=[sr(GIB)])
    assert (finding.certainty, finding.holds) == (Certainty.LIKELY, ("a", "b"))
    assert "the snapshots of 2 VMs need 208.0 GiB" in finding.summary
    assert facts(finding)["need_expected"][0] == 2 * QCOW2 - 8 * MIB


def test_each_sr_is_judged_on_its_own():
    world = vms("a", "b", disks=[disk("a"), disk("b", sr="two")]) | {"logs": [night(a=20, b=20)]}
    findings = said(**world, srs=[sr(0), sr(0, "two")])
    assert [(one.scope.id, one.holds) for one in findings] == [("sr", ("a",)), ("two", ("b",))]


# Other runs on the SR


def beside(*, job="other", vm="vm2", gib=20, seconds=1800, settings=None, disk_of=None):
    """A second job with a VM of its own on the same SR; both VMs write 20 GiB between snapshots."""
    world = vms("vm", vm)
    schedule = f"{job}-schedule"
    other = make_job(job, vms={"id": vm}, settings={schedule: {"exportRetention": 7} | (settings or {})})
    tasks = make_vm_task(vm, make_transfer(gib * GIB)) if gib else make_vm_task(vm)
    past = make_log(tasks, job=job, schedule=schedule, seconds=seconds, id=f"{job}-log")
    snapshots = [make_snapshot("s1", of="vm-disk"), make_snapshot("s2", of=f"{vm}-disk", vm=vm, job=job)]
    return world | {
        "jobs": [make_job(), other],
        "schedules": [make_schedule(), make_schedule(schedule, job=job)],
        "logs": [night(vm=20), past],
        "vdi_snapshots": snapshots,
        "vdis": [disk(), disk_of or disk(vm)],
    }


def others_bytes(*dues, **world):
    """The bytes that go to other runs, at a run that does not fit; and what clears it."""
    (finding,) = said(make_due(), *dues, **world | {"srs": [sr(LOWER)]})
    return facts(finding)["other_runs"][0]


def other_due(at=DUE, job="other"):
    return make_due(f"{job}-schedule", job, at=at)


def test_the_snapshots_of_another_run_at_that_time_take_their_share():
    world = beside()
    assert said(make_due(), other_due(), **world, srs=[sr(2 * AFTER_20_GIB)]) == []
    (finding,) = said(make_due(), other_due(), **world, srs=[sr(2 * NET_20_GIB)])
    assert (finding.level, finding.holds, finding.certainty) == (Level.BLOCK, ("vm",), Certainty.LIKELY)
    assert "20.1 GiB go to other runs at that time (other)" in finding.summary
    assert finding.clears == Clears(ClearedBy.TIME)
    assert facts(finding)["other_runs"] == read(AFTER_20_GIB, "bytes", "vdis")
    assert said(make_due(), **world, srs=[sr(2 * NET_20_GIB)]) == []


def test_a_job_keeps_one_snapshot_of_a_vm_however_often_it_runs_meanwhile():
    dues = [other_due(DUE + timedelta(minutes=minute)) for minute in (0, 5, 10, 15)]
    assert others_bytes(*dues, **beside()) == others_bytes(dues[0], **beside()) == AFTER_20_GIB


@pytest.mark.parametrize(
    ("at", "seconds", "counts"),
    [
        (DUE - HOUR, 1800, False),
        (DUE - HOUR, 3600, True),
        (DUE - HOUR, 7200, True),
        (DUE, 1800, True),
        (DUE + timedelta(minutes=30), 1800, True),
        (DUE + timedelta(minutes=31), 1800, False),
    ],
)
def test_another_run_counts_while_both_go_on(at, seconds, counts):
    # this job's own past run took 30 minutes
    assert (others_bytes(other_due(at), **beside(seconds=seconds)) > 0) is counts


@pytest.mark.parametrize(("minutes", "counts"), [(-1, False), (0, True), (60, True), (61, False)])
def test_without_a_past_a_run_is_taken_to_last_an_hour_and_the_other_no_time(minutes, counts):
    world = beside() | {"logs": [], "srs": [sr(LOWER)]}
    (finding,) = said(make_due(), other_due(DUE + timedelta(minutes=minutes)), **world)
    assert finding.level is (Level.BLOCK if counts else Level.UNKNOWN)


def test_another_schedule_of_the_same_job_or_the_same_vms_takes_no_second_share():
    world = beside()
    weekly = [make_schedule(), make_schedule("weekly")]
    assert others_bytes(make_due("weekly"), **world | {"schedules": weekly}) == 0
    both = [make_job(vms={"id": {"__or": ["vm", "vm2"]}}), world["jobs"][1]]
    (finding,) = said(make_due(), other_due(), **world | {"jobs": both, "srs": [sr(AFTER_20_GIB)]})
    assert facts(finding)["other_runs"][0] == 0


def test_another_run_without_a_past_takes_at_least_its_empty_leaves():
    assert others_bytes(other_due(), **beside(gib=None)) == LOWER


def test_another_run_on_another_sr_or_of_unknown_need_takes_nothing_that_is_known():
    assert others_bytes(other_due(), **beside(disk_of=disk("vm2", sr="two"))) == 0
    assert others_bytes(other_due(), **beside(disk_of=disk("vm2", size=UNSET))) == 0


# The page's own rules


@pytest.mark.parametrize(
    ("sr_type", "free", "rules"),
    [
        ("nfs", 300, []),
        ("nfs", 299, ["less than 30 % free"]),
        ("nfs", 1000, []),
        ("lvm", 500, []),
        ("lvm", 499, ["a thick SR more than 50 % used"]),
        ("lvm", 300, ["a thick SR more than 50 % used"]),
        ("lvm", 299, ["less than 30 % free", "a thick SR more than 50 % used"]),
    ],
)
def test_the_page_warns_below_thirty_percent_and_of_a_thick_sr_more_than_half_full(sr_type, free, rules):
    store = make_sr(SR_type=sr_type, size=1000 * GIB, physical_usage=(1000 - free) * GIB)
    findings = said(options={}, srs=[store])
    assert [(one.level, one.certainty, one.harm) for one in findings] == [
        (Level.WARN, Certainty.TREND, Harm.NONE)
    ] * bool(rules)
    for finding in findings:
        assert finding.summary.endswith(f"the troubleshooting page warns of {' and of '.join(rules)}.")


def test_a_page_rule_is_told_with_its_figures():
    store = make_sr(SR_type="lvm", size=1000 * GIB, physical_usage=701 * GIB)
    (finding,) = said(options={}, srs=[store])
    assert finding.summary.startswith("sr: 30 % free (299.0 GiB of 1000.0 GiB)")
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "sr", "sr"), ("vm",))
    assert facts(finding) == {
        "free": read(299 * GIB, "bytes", "srs"),
        "free_share": read(29.9, "%", "srs"),
        "warn_free": (30.0, "%", "policy", None),
        "warn_used": (50.0, "%", "policy", None),
    }


@pytest.mark.parametrize(
    ("options", "warned"),
    [
        ({"warn_free_percent": 40}, False),
        ({"warn_free_percent": 40.1}, True),
        ({"warn_thick_used_percent": 60}, False),
        ({"warn_thick_used_percent": 59.9}, True),
    ],
)
def test_the_policy_sets_both_rules(options, warned):
    store = make_sr(SR_type="lvm", size=1000 * GIB, physical_usage=600 * GIB)
    assert bool(said(options=SILENT | options, srs=[store])) is warned


def test_a_rule_of_thumb_and_a_snapshot_that_does_not_fit_are_told_beside_each_other():
    findings = said(options={}, **tight(10 * GIB))
    assert [one.level for one in findings] == [Level.BLOCK, Level.WARN]


@pytest.mark.parametrize("part", [PartName.SRS, PartName.VMS, PartName.VBDS, PartName.VDIS])
@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"ok": False, "error": "x"}, False),
        ({"complete": False}, False),
        ({"read_at": NOW - timedelta(minutes=10)}, True),
        ({"read_at": NOW - timedelta(minutes=11)}, False),
    ],
)
def test_without_fresh_and_whole_lists_the_space_is_unknown(part, change, known):
    view = make_view(make_estate(reading={part: change}))
    findings = run_checks([CHECK], view, {"sr_space": CHECK.options()})
    assert [(one.code, one.level) for one in findings] == ([] if known else [("SR_NO_SPACE", Level.UNKNOWN)])
