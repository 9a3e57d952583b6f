"""SRs whose coalesces do not come, and why (failure-modes.md 3.4; xapi-storage.md 3 and 10)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.coalesce_stuck import CHECK
from guard.estate.observations import Observations, Waiting
from guard.estate.xapi_records import VdiFacts
from guard.finding import Certainty, ClearedBy, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_base_copy,
    make_estate,
    make_host,
    make_job,
    make_log,
    make_message,
    make_pbd,
    make_pool,
    make_pool_facts,
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

HOUR = timedelta(hours=1)
COPIES = [make_base_copy("a"), make_base_copy("b", parent="a", usage=3 * GIB), make_base_copy("c", parent="b")]
CHAIN = {"vdi_unmanaged": COPIES, "vdis": [make_vdi(parent="c")]}


def said(now=NOW, **world):
    return found(CHECK, make_view(make_estate(**CHAIN | world), now=now))


def only(**world):
    (finding,) = said(**world)
    return finding


def test_chains_that_wait_their_turn_are_no_finding():
    assert said() == []


@pytest.mark.parametrize("key", ["gc", "coalesce"])
def test_an_sr_with_coalesce_switched_off_is_certain_to_be_stuck(key):
    finding = only(srs=[make_sr(other_config={key: "false"})])
    assert (finding.code, finding.level, finding.certainty) == ("COALESCE_STUCK", Level.WARN, Certainty.CERTAIN)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "sr", "sr"), ("vm",))
    assert facts(finding) == {"waiting": read(2, "VDIs", "vdi_unmanaged"), key: read("false", "", "srs")}
    assert "2 un-coalesced VDIs of 1 VM of this run (vm) wait there. Coalesce is switched off there" in finding.summary
    assert finding.clears.by is ClearedBy.PERSON


def test_it_is_told_before_anything_waits():
    finding = only(srs=[make_sr(other_config={"gc": "false"})], vdi_unmanaged=[], vdis=[make_vdi()])
    assert finding.summary.startswith("sr: 1 VM of this run. Coalesce is switched off")


def test_leaf_coalesce_alone_costs_space_and_is_a_tendency():
    assert only(srs=[make_sr(other_config={"leaf-coalesce": "false"})]).certainty is Certainty.TREND


@pytest.mark.parametrize("config", [{"gc": "true"}, {"coalesce": "true"}, {"leaf-coalesce": "true"}, UNSET])
def test_switches_that_are_on_say_nothing(config):
    assert said(srs=[make_sr(other_config=config)]) == []


def test_a_shared_sr_that_the_master_has_unplugged_is_coalesced_by_nobody():
    plugs = [make_pbd(attached=False), make_pbd(host="other")]
    finding = only(pbds=plugs)
    assert finding.certainty is Certainty.CERTAIN
    assert facts(finding)["plugged_on_master"] == read(False, "", "pbds")
    assert "master, host, which alone" in finding.summary
    assert "master, host, which" in only(pbds=plugs, hosts=[make_host(name_label="")]).summary


@pytest.mark.parametrize(
    "world",
    [
        {"pbds": [make_pbd(), make_pbd(host="other", attached=False)]},
        {"pbds": [make_pbd(attached=UNSET)]},
        {"pbds": [make_pbd(attached=False)], "srs": [make_sr(shared=False)]},
        {"pbds": [make_pbd(attached=False)], "pools": [make_pool(master=UNSET)]},
        {"pbds": [make_pbd(attached=False)], "pools": []},
    ],
    ids=["another host", "not known", "a local SR", "no master known", "no pool shown"],
)
def test_other_plugs_do_not_matter_here(world):
    assert said(**world) == []


def test_a_collector_that_found_no_room_is_told_by_its_mark_and_by_its_message():
    marked = only(srs=[make_sr(sm_config={"gc_no_space": "OpaqueRef:1"})])
    assert (marked.certainty, facts(marked)["gc_no_space"]) == (Certainty.LIKELY, read(True, "", "srs"))
    told = only(messages=[make_message("old", at=NOW - 9 * HOUR), make_message(at=NOW - 3 * HOUR)])
    assert "3 h ago (SM_GC_NO_SPACE)" in told.summary
    assert facts(told)["sm_gc_no_space_at"] == read((NOW - 3 * HOUR).isoformat(), "", "messages")


@pytest.mark.parametrize(
    "message", [make_message(at=NOW - 49 * HOUR), make_message(sr="other"), make_message(time=UNSET)]
)
def test_old_messages_and_those_of_others_say_nothing(message):
    assert said(messages=[message]) == []


PLUGGED = {"vdi_snapshots": [make_snapshot("snap")], "vbds": [make_vbd(), make_vbd("dom0", "snap")]}


def test_snapshots_that_a_control_domain_still_holds_keep_the_chain_long():
    finding = only(**PLUGGED)
    assert (finding.certainty, facts(finding)["plugged_snapshots"]) == (Certainty.LIKELY, read(1, "VDIs", "vbds"))
    assert "1 snapshot there is still plugged" in finding.summary


def test_while_a_run_goes_on_it_holds_them_with_good_reason():
    running = make_log(status="pending", start=NOW - HOUR)
    assert said(**PLUGGED, jobs=[make_job(runId=running.id)], logs=[running]) == []


def test_snapshots_held_on_another_sr_do_not_matter():
    assert said(**PLUGGED | {"vdi_snapshots": [make_snapshot("snap", **{"$SR": "far"})]}) == []


def free(amount):
    return [make_sr(size=1000 * GIB, physical_usage=1000 * GIB - amount)]


def test_an_sr_without_room_for_the_smallest_merge_is_a_tendency_by_bounds():
    finding = only(srs=free(GIB))
    assert finding.certainty is Certainty.TREND
    assert facts(finding)["merge_needs"] == read(2 * GIB, "bytes", "vdis")
    assert "needs up to 2.0 GiB" in finding.summary
    assert said(srs=free(2 * GIB)) == []


def test_with_the_blocks_of_both_nodes_it_is_likely():
    told = make_pool_facts(vdis={"b": VdiFacts(merged_bytes=5 * GIB), "c": VdiFacts(merged_bytes=8 * GIB)})
    finding = only(srs=free(GIB), pool_facts=[told])
    assert finding.certainty is Certainty.LIKELY
    assert facts(finding)["merge_needs"][2] == "XO's pool_facts"
    assert "needs 3.0 GiB" in finding.summary


@pytest.mark.parametrize(
    "world",
    [
        {"srs": [make_sr(size=UNSET)]},
        {"srs": free(0), "vdi_unmanaged": [COPIES[0], make_base_copy("b", parent="a", usage=UNSET)]},
        {"srs": free(0), "vdi_unmanaged": [COPIES[0], make_base_copy("b", parent="a", size=UNSET)]},
    ],
)
def test_without_figures_nothing_is_claimed_of_room(world):
    chain = {"vdis": [make_vdi(parent="b")]} if "vdi_unmanaged" in world else {}
    assert said(**world, **chain) == []


def test_a_parent_without_figures_is_taken_by_the_bound():
    copies = [make_base_copy("a", usage=UNSET), COPIES[1]]
    told = make_pool_facts(vdis={"b": VdiFacts(merged_bytes=GIB)})
    finding = only(srs=free(GIB), vdi_unmanaged=copies, vdis=[make_vdi(parent="b")], pool_facts=[told])
    assert facts(finding)["merge_needs"] == read(3 * GIB, "bytes", "vdis")


def looks(waited, collected=None, child="b", **more):
    """What guard has seen: the pair (a, b) waiting for so long."""
    first = NOW - waited
    waiting = {"a": Waiting(sr="sr", child=child, bytes=GIB, since=first)}
    seen = {"sr": collected} if collected is not None else {}
    return {"observations": Observations(since=first, looked_at=NOW, waiting=waiting, collected=seen)} | more


@pytest.mark.parametrize(
    ("waited", "certainty"),
    [
        (timedelta(minutes=59), None),
        (timedelta(minutes=60), Certainty.TREND),
        (timedelta(hours=6), Certainty.LIKELY),
    ],
)
def test_the_same_pair_after_an_hour_without_a_collection_is_a_tendency_and_after_six_likely(waited, certainty):
    assert [one.certainty for one in said(**looks(waited))] == ([certainty] if certainty else [])


def test_how_long_they_waited_is_told():
    finding = only(**looks(3 * HOUR, collected=NOW - 5 * HOUR))
    assert "1 node there has waited for 3 h as guard saw it" in finding.summary
    assert facts(finding)["waited"] == read(3 * 3600, "s", "observations")
    assert facts(finding)["collection_seen_at"] == read((NOW - 5 * HOUR).isoformat(), "", "observations")


@pytest.mark.parametrize(
    "world",
    [
        looks(9 * HOUR, collected=NOW - HOUR + timedelta(minutes=1)),
        looks(9 * HOUR, child="z"),
        looks(9 * HOUR, reading={"observations": {"ok": False}}),
        {"observations": None},
    ],
    ids=["a collection was seen", "another pair", "not usable", "no looks"],
)
def test_what_moves_or_was_not_seen_is_not_stuck(world):
    assert said(**world) == []


def test_a_collection_that_died_is_missed_an_hour_after_it_was_seen():
    finding = only(**looks(9 * HOUR, collected=NOW - 2 * HOUR))
    assert (finding.certainty, facts(finding)["waited"]) == (Certainty.TREND, read(2 * 3600, "s", "observations"))
    assert only(**looks(9 * HOUR, collected=NOW - 8 * HOUR)).certainty is Certainty.LIKELY


def test_only_nodes_that_waited_for_an_hour_are_told_to_have_waited():
    waiting = {
        "a": Waiting(sr="sr", child="b", bytes=GIB, since=NOW - 2 * HOUR),
        "b": Waiting(sr="sr", child="c", bytes=GIB, since=NOW - HOUR / 2),
    }
    seen = Observations(since=NOW - 2 * HOUR, looked_at=NOW, waiting=waiting)
    assert "1 node there has waited for 2 h" in only(observations=seen).summary


def test_a_merge_at_work_already_holds_its_room():
    task = make_xapi_task(applies_to="sr")
    assert said(srs=free(GIB), xapi_tasks=[task]) == []
    assert len(said(srs=free(GIB), xapi_tasks=[make_xapi_task(applies_to="other")])) == 1


def skipped(nights_ago, vm="vm"):
    task = make_vm_task(vm, status="skipped", snapshot="skipped", result={"message": "unhealthy VDI chain"})
    return make_log(task, start=LAST_NIGHT - timedelta(days=nights_ago), status="skipped")


@pytest.mark.parametrize(("nights", "told"), [(1, False), (2, True)])
def test_vms_that_xo_skipped_in_two_runs_in_a_row_show_that_waiting_does_not_help(nights, told):
    found = said(logs=[skipped(night) for night in range(nights)])
    assert [one.certainty for one in found] == [Certainty.LIKELY] * told
    for one in found:
        assert facts(one)["skipped_in_a_row"] == read(2, "runs", "logs")
        assert "XO skipped vm for that in the last 2 runs: waiting has not helped." in one.summary


def test_a_vm_whose_chain_is_merged_by_now_was_helped_by_waiting():
    assert said(logs=[skipped(0), skipped(1)], vdi_unmanaged=[], vdis=[make_vdi()]) == []


def test_chains_count_as_xo_counts_them_with_cds_and_disks_left_out_of_the_backup():
    off = [make_sr(), make_sr("far", other_config={"gc": "false"})]
    copies = [make_base_copy(one.id, parent=one.parent, sr="far") for one in COPIES]
    disks = {"vdis": [make_vdi(), make_vdi("cd", sr="far", parent="c")], "vdi_unmanaged": copies}
    empty = make_vbd(vdi=UNSET, is_cd_drive=True)
    finding = only(srs=off, vbds=[make_vbd(), make_vbd(vdi="cd", is_cd_drive=True), empty], **disks)
    assert (finding.scope.id, facts(finding)["waiting"][0]) == ("far", 2)
    calm = {"vdis": [make_vdi(), make_vdi("cd", sr="far")], "vdi_unmanaged": []}
    assert said(srs=off, vbds=[make_vbd(), make_vbd(vdi="cd", is_cd_drive=True)], **calm) == []


def test_nodes_that_vms_share_count_once():
    vms = {"vms": [make_vm(), make_vm("twin")], "vbds": [make_vbd(), make_vbd("twin", "other")]}
    disks = {"vdis": [make_vdi(parent="c"), make_vdi("other", parent="c")]}
    jobs = [make_job(vms={"id": {"__or": ["vm", "twin"]}})]
    finding = only(srs=[make_sr(other_config={"gc": "false"})], jobs=jobs, **vms, **disks)
    assert (facts(finding)["waiting"][0], finding.holds) == (2, ("vm", "twin"))


def test_every_reason_is_told_the_surest_first():
    srs = [make_sr(other_config={"gc": "false"}, sm_config={"gc_no_space": "x"})]
    finding = only(srs=srs, **looks(9 * HOUR))
    assert finding.certainty is Certainty.CERTAIN
    assert (
        finding.summary.index("switched off") < finding.summary.index("found no room") < finding.summary.index("waited")
    )


@pytest.mark.parametrize(
    "world",
    [
        {"jobs": [make_job(mode="full")], "vms": [make_vm(power_state="Halted")]},
        {"vdis": [make_vdi(**{"$SR": UNSET})], "vdi_unmanaged": []},
    ],
    ids=["no snapshot is taken", "a disk on no SR"],
)
def test_runs_that_leave_nothing_there_do_not_mind(world):
    assert said(srs=[make_sr(other_config={"gc": "false"})], **world) == []


def test_an_sr_that_xo_does_not_show_says_nothing():
    assert said(srs=[]) == []


def test_vms_that_wait_are_named_rather_than_all_of_the_sr():
    vms = {"vms": [make_vm(), make_vm("calm")], "vbds": [make_vbd(), make_vbd("calm", "quiet")]}
    vms["jobs"] = [make_job(vms={"id": {"__or": ["vm", "calm"]}})]
    disks = {"vdis": [make_vdi(parent="c"), make_vdi("quiet")]}
    assert only(srs=[make_sr(other_config={"gc": "false"})], **vms, **disks).holds == ("vm",)
