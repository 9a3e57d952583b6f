"""VDI-chain risk: what must be said before XO's chain protection speaks (failure-modes.md 3.1-3.2, 8.1; xo-api.md 4.1)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.chain import CHECK
from guard.checks.run import run_checks
from guard.estate.estate import PartName
from guard.estate.observations import Observations, Progress, Waiting
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_base_copy,
    make_estate,
    make_job,
    make_log,
    make_snapshot,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    make_xapi_task,
    read,
)


def waiting(count, disk="disk", **xo):
    """A disk on base copies of which ``count`` wait for a coalesce; the last one only holds the live leaf."""
    bases = [
        make_base_copy(f"{disk}-b{at}", parent=f"{disk}-b{at - 1}" if at else UNSET, sr=xo.get("sr", "sr"))
        for at in range(count + 1)
    ]
    return {"vdis": [make_vdi(disk, parent=bases[-1].id, **xo)], "vdi_unmanaged": bases}


def together(*worlds):
    """Several disks of the VM "vm"."""
    disks = [disk for world in worlds for disk in world["vdis"]]
    bases = [base for world in worlds for base in world["vdi_unmanaged"]]
    return {"vdis": disks, "vdi_unmanaged": bases, "vbds": [make_vbd(vdi=disk.id) for disk in disks]}


def pruned(generations, *, job="job", schedule="schedule", vm="vm", **xo):
    """One snapshot per night, newest last: each shares a base copy with what came after it."""
    parents = [UNSET, *(f"b{night}" for night in range(generations))]
    bases = [make_base_copy(f"b{night}", parent=parents[night]) for night in range(generations)]
    snapshots = [
        make_snapshot(
            f"s{night}",
            parent=f"b{night}",
            job=job,
            schedule=schedule,
            vm=vm,
            taken=LAST_NIGHT - timedelta(days=generations - night - 1),
        )
        for night in range(generations)
    ]
    return {"vdis": [make_vdi(parent=parents[-1])], "vdi_unmanaged": bases, "vdi_snapshots": snapshots} | xo


def deep(nodes):
    """A chain of this many nodes in which nothing waits: every base copy has its snapshot."""
    return pruned(nodes - 1, job=None)


def job_with(mode="delta", **settings):
    return [make_job(mode=mode, settings={"schedule": {"exportRetention": 7} | settings})]


def said(world, **options):
    return found(CHECK, make_view(make_estate(**world)), **options)


def test_a_healthy_estate_has_nothing_to_say():
    assert said({}) == []
    assert said(pruned(1)) == []


@pytest.mark.parametrize(
    ("chain", "blocked"),
    [
        ({"vdis": [make_vdi()]}, (False, False, False)),
        (pruned(1, job=None), (False, False, False)),
        (waiting(0), (False, False, False)),
        (waiting(1), (True, False, False)),
        (waiting(2), (True, True, False)),
        (
            waiting(2) | {"vdi_snapshots": [make_snapshot("s", job=None, parent="disk-b2")]},
            (True, True, False),
        ),
        (
            {
                "vdis": [make_vdi(parent="p"), make_vdi("a1", parent="a")],
                "vdi_unmanaged": [make_base_copy("p"), make_base_copy("a", parent="p")],
                "vbds": [make_vbd(), make_vbd(vdi="a1")],
            },
            (False, False, False),
        ),
    ],
    ids=["leaf", "base-leaf+snapshot", "b-leaf", "b-b-leaf", "b-b-b-leaf", "b-b-b-leaf+snapshot", "siblings"],
)
def test_the_chains_measured_with_xos_own_function_are_judged_as_xo_judges_them(chain, blocked):
    assert tuple(bool(said(chain, tolerance=tolerance)) for tolerance in (0, 1, 2)) == blocked


def test_the_tolerance_is_one_unless_the_policy_says_otherwise():
    assert said(waiting(1)) == []
    assert [one.level for one in said(waiting(2))] == [Level.BLOCK]


def test_a_chain_beyond_the_tolerance_is_told_with_its_figures():
    (finding,) = said(waiting(2))
    assert (finding.code, finding.check) == ("CHAIN_UNHEALTHY", "chain")
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.clears == Clears(ClearedBy.TIME)
    assert facts(finding) == {
        "uncoalesced": read(2, "VDIs", "vdis"),
        "uncoalesced_in_run": read(2, "VDIs", "vdis"),
        "depth": read(4, "VDIs", "vdis"),
        "disk": read("disk", "", "vdis"),
        "tolerance": (1, "VDIs", "policy", None),
    }
    assert finding.summary == "vm: 2 un-coalesced VDIs in the chain of disk disk on sr; XO tolerates 1."


def test_the_count_is_per_disk_and_not_summed_over_the_disks_of_a_vm():
    assert said(together(waiting(1, "one"), waiting(1, "two"))) == []


def test_the_worst_disk_of_a_vm_is_the_one_named():
    (finding,) = said(together(waiting(2, "one"), waiting(3, "two"), waiting(0, "three")))
    assert (facts(finding)["disk"][0], facts(finding)["uncoalesced"][0]) == ("two", 3)


def test_the_disk_and_its_sr_are_named_as_in_xo():
    (finding,) = said(waiting(2, name_label="root") | {"srs": [make_sr(name_label="NFS store")]})
    assert "in the chain of disk root on NFS store;" in finding.summary
    assert finding.remedy == "Wait for the coalesce on NFS store; if nothing moves, rescan that SR in XO."


def test_a_disk_without_a_name_on_an_sr_xo_does_not_show_is_named_by_its_id():
    (finding,) = said(waiting(2, name_label="", sr="elsewhere"))
    assert "disk disk on unknown SR;" in finding.summary


def test_a_cd_drive_counts_because_xo_walks_every_vbd():
    world = together(waiting(2, "cd"))
    assert said(world | {"vbds": [make_vbd(vdi="cd", is_cd_drive=True)]}) != []


def test_a_disk_left_out_of_the_backup_counts_because_xo_walks_every_vbd():
    assert said(waiting(2, name_label="scratch [NOBAK]")) != []


def test_a_child_in_another_sr_makes_no_coalesce():
    bases = [make_base_copy("b0", sr="other"), make_base_copy("b1", parent="b0"), make_base_copy("b2", parent="b1")]
    assert said({"vdis": [make_vdi(parent="b2")], "vdi_unmanaged": bases}, tolerance=1) == []
    assert len(said({"vdis": [make_vdi(parent="b2")], "vdi_unmanaged": bases}, tolerance=0)) == 1


def test_a_parent_xo_does_not_show_ends_the_walk_silently():
    bases = [make_base_copy("b1", parent="gone"), make_base_copy("b2", parent="b1")]
    assert said({"vdis": [make_vdi(parent="b2")], "vdi_unmanaged": bases}) == []


def test_a_vm_without_disks_or_with_an_unseen_one_has_no_chain():
    assert said({"vbds": []}) == []
    assert said({"vbds": [make_vbd(vdi="unseen")], "vdis": []}) == []
    assert said({"vbds": [make_vbd(vdi=UNSET, is_cd_drive=True)]}) == []


def test_each_vm_has_its_own_finding_and_the_healthy_ones_are_not_held():
    bad, worse, good = waiting(2, "one"), waiting(3, "two"), waiting(0, "three")
    world = together(bad, worse, good) | {
        "vms": [make_vm("a"), make_vm("b"), make_vm("c")],
        "vbds": [make_vbd("a", "one"), make_vbd("b", "two"), make_vbd("c", "three")],
        "jobs": [make_job(vms={"id": {"__or": ["a", "b", "c"]}})],
    }
    assert [(one.scope.id, one.holds) for one in said(world)] == [("a", ("a",)), ("b", ("b",))]
    rest = make_view(make_estate(**world), vms=("b", "c"))
    assert [one.scope.id for one in found(CHECK, rest)] == ["b"]


@pytest.mark.parametrize(
    ("settings", "judged"),
    [
        ({"": {"bypassVdiChainsCheck": True}, "schedule": {}}, False),
        ({"schedule": {"bypassVdiChainsCheck": True}}, False),
        ({"schedule": {}, "vm": {"bypassVdiChainsCheck": True}}, False),
        ({"schedule": {}, "other": {"bypassVdiChainsCheck": True}}, True),
        ({"": {"bypassVdiChainsCheck": True}, "schedule": {"bypassVdiChainsCheck": False}}, True),
        ({"schedule": {"bypassVdiChainsCheck": True}, "vm": {"bypassVdiChainsCheck": False}}, True),
    ],
)
def test_a_bypass_in_the_effective_settings_of_the_vm_ends_the_check(settings, judged):
    assert bool(said(waiting(2) | {"jobs": [make_job(settings=settings)]})) is judged


@pytest.mark.parametrize(
    ("mode", "power_state", "settings", "judged"),
    [
        ("delta", "Running", {}, True),
        ("delta", "Halted", {}, True),
        ("full", "Running", {}, True),
        ("full", "Running", {"offlineBackup": True}, False),
        ("full", "Halted", {}, False),
        ("full", "Suspended", {}, False),
        ("full", "Paused", {}, False),
        ("full", UNSET, {}, False),
        ("full", "Halted", {"snapshotRetention": 1}, True),
        ("full", "Halted", {"unconditionalSnapshot": True}, True),
        ("full", "Running", {"offlineBackup": True, "unconditionalSnapshot": True}, True),
    ],
)
def test_only_a_vm_that_is_snapshotted_needs_a_healthy_chain(mode, power_state, settings, judged):
    world = waiting(2) | {"vms": [make_vm(power_state=power_state)], "jobs": job_with(mode, **settings)}
    assert bool(said(world)) is judged


def halted_full(*vbds, **world):
    """A halted VM of a full job: no snapshot, so no chain check, unless a NOBAK disk asks for one."""
    return (
        waiting(2)
        | {"vms": [make_vm(power_state="Halted", container="pool")], "jobs": job_with("full")}
        | {"vbds": [make_vbd(attached=False), *vbds]}
        | world
    )


def test_a_halted_full_job_takes_no_snapshot_and_so_needs_no_chain():
    assert said(halted_full()) == []


def test_a_nobak_disk_makes_a_halted_full_job_take_a_snapshot():
    unhealthy = waiting(2)
    disks = [*unhealthy["vdis"], make_vdi("scratch", name_label="scratch [NOBAK]")]
    assert len(said(halted_full(make_vbd(vdi="scratch"), vdis=disks))) == 1


def test_a_mounted_cd_makes_no_halted_full_job_take_a_snapshot():
    disks = [*waiting(2)["vdis"], make_vdi("iso", sr="iso-sr")]
    assert said(halted_full(make_vbd(vdi="iso", is_cd_drive=True), vdis=disks)) == []


def test_a_snapshot_the_run_deletes_first_counts_before_it_is_deleted():
    (finding,) = said(pruned(3))
    assert (finding.level, finding.certainty) == (Level.BLOCK, Certainty.LIKELY)
    told = facts(finding)
    assert (told["uncoalesced"][0], told["uncoalesced_in_run"][0], told["depth"][0]) == (0, 2, 4)
    assert "0 un-coalesced VDIs, 2 once the run has deleted its own old snapshots in the chain" in finding.summary


@pytest.mark.parametrize(
    ("mode", "generations", "retention", "blocked"),
    [
        ("delta", 1, 0, False),
        ("delta", 2, 0, False),
        ("delta", 3, 0, True),
        ("delta", 3, 1, True),
        ("delta", 3, 2, False),
        ("delta", 4, 2, True),
        ("delta", 4, 4, False),
        ("full", 2, 0, False),
        ("full", 3, 0, True),
        ("full", 3, 3, False),
    ],
)
def test_what_the_run_deletes_first_follows_the_retention_of_each_mode(mode, generations, retention, blocked):
    world = pruned(generations, jobs=job_with(mode, snapshotRetention=retention))
    assert bool(said(world)) is blocked


def test_the_retention_of_the_vm_itself_overrules_that_of_the_schedule():
    kept = {"schedule": {"snapshotRetention": 0}, "vm": {"snapshotRetention": 3}}
    assert said(pruned(3, jobs=[make_job(settings=kept)])) == []
    dropped = {"schedule": {"snapshotRetention": 3}, "vm": {"snapshotRetention": 0}}
    assert len(said(pruned(3, jobs=[make_job(settings=dropped)]))) == 1


def test_snapshots_of_a_schedule_taken_out_of_the_job_fall_under_retention_nothing():
    keeping = job_with(snapshotRetention=9)
    assert len(said(pruned(3, schedule="gone", jobs=keeping))) == 1
    assert said(pruned(3, jobs=keeping)) == []


@pytest.mark.parametrize("foreign", [{"job": None}, {"job": "other"}, {"vm": "other"}], ids=["person", "job", "vm"])
def test_a_run_does_not_delete_snapshots_that_are_not_its_own(foreign):
    assert said(pruned(3, **foreign)) == []


def crowded_beside(calm):
    """A disk whose chain the run's own pruning spoils, beside another one."""
    crowded = pruned(3)
    return crowded | {
        "vdis": [*calm["vdis"], *crowded["vdis"]],
        "vdi_unmanaged": [*calm["vdi_unmanaged"], *crowded["vdi_unmanaged"]],
        "vbds": [make_vbd(vdi="calm"), make_vbd()],
    }


def test_of_several_disks_the_one_whose_chain_the_pruning_spoils_is_named():
    (finding,) = said(crowded_beside(waiting(0, "calm")))
    told = facts(finding)
    assert (told["disk"][0], told["uncoalesced"][0], told["uncoalesced_in_run"][0]) == ("disk", 0, 2)


def test_the_two_counts_of_a_finding_are_those_of_the_disk_it_names():
    (finding,) = said(crowded_beside(waiting(1, "calm")))
    told = facts(finding)
    assert (told["disk"][0], told["uncoalesced"][0], told["uncoalesced_in_run"][0]) == ("disk", 0, 2)


@pytest.mark.parametrize(
    ("task", "task_is_told"),
    [
        ({"name_description": "Garbage collection of SR sr"}, True),
        ({"applies_to": "sr"}, True),
        ({"applies_to": ["x", "sr"]}, True),
        ({"applies_to": "other"}, False),
        ({}, False),
        ({"applies_to": "sr", "name_label": "SR.scan"}, False),
        ({"applies_to": "sr", "status": "success"}, False),
    ],
)
def test_a_coalesce_at_work_on_that_sr_is_told(task, task_is_told):
    (finding,) = said(waiting(2) | {"xapi_tasks": [make_xapi_task(**task)]})
    assert finding.summary.endswith(" A coalesce is at work there now." if task_is_told else "XO tolerates 1.")


def test_a_coalesce_is_never_told_of_an_sr_xo_does_not_show():
    world = waiting(2, sr="unseen") | {"srs": [make_sr()], "xapi_tasks": [make_xapi_task(applies_to="unseen")]}
    (finding,) = said(world)
    assert "coalesce is at work" not in finding.summary


@pytest.mark.parametrize(
    ("blocked", "remedy", "fact"),
    [
        (
            {"other_config": {"gc": "false"}},
            "On the pool master: xe sr-param-remove uuid=sr param-name=other-config param-key=gc; then rescan sr in XO.",
            {"gc": read("false", "", "srs")},
        ),
        (
            {"other_config": {"coalesce": "false"}},
            "On the pool master: xe sr-param-remove uuid=sr param-name=other-config param-key=coalesce; then rescan sr in XO.",
            {"coalesce": read("false", "", "srs")},
        ),
        (
            {"sm_config": {"gc_no_space": "123"}},
            "Free space on sr, then rescan it in XO.",
            {"gc_no_space": read(True, "", "srs")},
        ),
    ],
)
def test_where_the_sr_never_coalesces_only_a_person_clears_it(blocked, remedy, fact):
    (finding,) = said(waiting(2) | {"srs": [make_sr(**blocked)]})
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary.endswith("XO tolerates 1. Waiting does not help there: see COALESCE_STUCK.")
    assert finding.remedy == remedy
    assert fact.items() <= facts(finding).items()


@pytest.mark.parametrize(
    "sr",
    [
        {"other_config": {"gc": "true", "coalesce": "true"}},
        {"other_config": {"leaf-coalesce": "false"}},
        {"other_config": UNSET, "sm_config": UNSET},
    ],
)
def test_an_sr_that_coalesces_clears_it_by_time(sr):
    (finding,) = said(waiting(2) | {"srs": [make_sr(**sr)]})
    assert finding.clears == Clears(ClearedBy.TIME)


@pytest.mark.parametrize("idle_chain", [2, 3])
def test_of_several_disks_beyond_the_tolerance_one_that_never_coalesces_decides(idle_chain):
    world = together(waiting(3, "slow"), waiting(idle_chain, "idle", sr="off"))
    (finding,) = said(world | {"srs": [make_sr(), make_sr("off", other_config={"gc": "false"})]})
    assert (facts(finding)["disk"][0], facts(finding)["uncoalesced"][0]) == ("idle", idle_chain)
    assert finding.clears.by is ClearedBy.PERSON


def test_an_sr_that_never_coalesces_does_not_matter_to_a_disk_within_the_tolerance():
    world = together(waiting(2, "slow"), waiting(1, "idle", sr="off"))
    (finding,) = said(world | {"srs": [make_sr(), make_sr("off", other_config={"gc": "false"})]})
    assert (facts(finding)["disk"][0], finding.clears.by) == ("slow", ClearedBy.TIME)


def skipped(nights_ago, **log):
    result = {"message": "unhealthy VDI chain"}
    task = make_vm_task(status="skipped", snapshot="skipped", result=result)
    return make_log(task, start=LAST_NIGHT - timedelta(days=nights_ago), status="skipped", **log)


@pytest.mark.parametrize(
    ("nights", "clears"),
    [((), ClearedBy.TIME), ((0,), ClearedBy.TIME), ((0, 1), ClearedBy.PERSON), ((0, 1, 2), ClearedBy.PERSON)],
)
def test_a_vm_that_was_skipped_twice_in_a_row_needs_a_person(nights, clears):
    (finding,) = said(waiting(2) | {"logs": [skipped(night) for night in nights]})
    assert finding.clears == Clears(clears)
    times = len(nights)
    if times < 2:
        assert "skipped_in_a_row" not in facts(finding)
        return
    assert finding.summary.endswith(" Waiting does not help there: see COALESCE_STUCK.")
    assert finding.remedy.startswith("Rescan sr in XO, look for coalesce errors in /var/log/SMlog on the pool master")
    assert facts(finding)["skipped_in_a_row"] == read(times, "runs", "logs")


def test_on_an_sr_that_xo_does_not_show_the_chain_itself_tells_why_waiting_does_not_help():
    logs = [skipped(0), skipped(1)]
    (finding,) = said(waiting(2, sr="unseen") | {"srs": [make_sr()], "logs": logs})
    assert finding.summary.endswith("XO skipped vm for that in the last 2 runs: waiting has not helped.")
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_a_chain_that_only_the_pruning_spoils_has_been_merged_since_it_was_skipped():
    (finding,) = said(pruned(3) | {"logs": [skipped(0), skipped(1)]})
    assert finding.clears == Clears(ClearedBy.TIME)


@pytest.mark.parametrize(
    "logs",
    [
        [make_log(make_vm_task()), skipped(1), skipped(2)],
        [skipped(0), make_log(make_vm_task(), start=LAST_NIGHT - timedelta(days=1)), skipped(2)],
        [skipped(0, job="other"), skipped(1)],
    ],
    ids=["backed up since", "backed up between", "by another job"],
)
def test_a_vm_that_was_not_skipped_in_both_of_its_newest_runs_may_clear_by_itself(logs):
    (finding,) = said(waiting(2) | {"logs": logs})
    assert finding.clears == Clears(ClearedBy.TIME)


NEEDED = (PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED)


@pytest.mark.parametrize("part", NEEDED)
@pytest.mark.parametrize(
    ("change", "known"),
    [
        ({"ok": False, "error": "XO answered 500"}, False),
        ({"complete": False}, False),
        ({"read_at": NOW - timedelta(minutes=10)}, True),
        ({"read_at": NOW - timedelta(minutes=10, seconds=1)}, False),
    ],
)
def test_without_fresh_and_whole_lists_the_chain_is_unknown_and_never_healthy(part, change, known):
    view = make_view(make_estate(reading={part: change}))
    findings = run_checks([CHECK], view, {"chain": CHECK.options()})
    assert [(one.code, one.level) for one in findings] == ([] if known else [("CHAIN_UNHEALTHY", Level.UNKNOWN)])


# --- when it clears, where guard has seen that SR coalesce

PROGRESS = (Progress(pairs=2, bytes=4 * GIB, seconds=3600), Progress(pairs=4, bytes=9 * GIB, seconds=3600))


def seen(waiting=(), progress=PROGRESS, sr="sr"):
    nodes = {one: Waiting(sr=sr, child="x", bytes=GIB, since=NOW) for one in waiting}
    return Observations(since=NOW, looked_at=NOW, waiting=nodes, progress={sr: progress})


def held(**more):
    (finding,) = found(CHECK, make_view(make_estate(**waiting(3) | more)))
    return finding


def test_it_clears_when_all_that_waits_on_the_sr_is_done_at_the_slow_end_of_its_rate():
    finding = held(observations=seen(waiting="abcdefg"))
    assert finding.clears == Clears(ClearedBy.TIME, NOW + timedelta(hours=6 / 2))
    told = facts(finding)
    assert told["coalesce_rate"] == read(2, "VDIs/h", "observations")
    assert told["coalesce_rate_slow"] == read(2, "VDIs/h", "observations")
    assert told["rate_samples"] == read(2, "looks", "observations")
    assert told["queue"] == read(6, "VDIs", "observations")


def test_the_queue_is_never_shorter_than_the_chain_itself():
    assert held(observations=seen()).clears == Clears(ClearedBy.TIME, NOW + timedelta(hours=(3 - 1) / 2))


@pytest.mark.parametrize(
    "world",
    [
        {},
        {"observations": seen(progress=())},
        {"observations": seen(sr="other")},
        {"observations": seen(), "reading": {"observations": {"ok": False}}},
    ],
    ids=["no looks", "never seen at it", "another SR", "not usable"],
)
def test_without_a_measured_rate_nobody_can_tell_when(world):
    assert held(**world).clears == Clears(ClearedBy.TIME)


def test_where_coalesce_is_stuck_no_time_is_told():
    finding = held(observations=seen(), srs=[make_sr(other_config={"gc": "false"})])
    assert finding.clears == Clears(ClearedBy.PERSON)
