"""VMs that no enabled schedule takes, and the nearest reason of each."""

from __future__ import annotations

import pytest
from guard.coverage.routes import routes, taken
from guard.coverage.uncovered import Why, gaps
from guard.estate.estate import PartName
from guard.mechanics.outlook import Outlook
from guard.policy.load import load
from tests.builders import (
    GIB,
    NOW,
    UNSET,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_server,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
)

XO = '[xo]\nurl = "https://xo"\n'


def found(estate, text=""):
    outlook, ways = Outlook(estate, NOW), routes(estate, NOW)
    return gaps(outlook, load(XO + text, file="p"), ways, taken(outlook, ways.working))


def world(vm, *jobs, schedules=None, **more):
    """VM "vm" is covered; ``vm`` is the one in question, beside which the given jobs are there."""
    own = [make_schedule(), *(make_schedule(f"{job.id}'s", job=job.id) for job in jobs)]
    return make_estate(vms=[make_vm(), vm], jobs=[make_job(), *jobs], schedules=schedules or own, **more)


def reason(estate, text=""):
    (one,) = found(estate, text).uncovered
    return one.why, one.reason, one.job


def smart(id_, pattern):
    return make_job(id_, vms=pattern)


def test_a_covered_vm_is_no_gap_and_the_counts_add_up():
    told = found(make_estate())
    assert (told.vms, told.covered, told.uncovered, told.on_purpose, told.replicas) == (1, 1, (), (), 0)


def test_a_vm_that_no_job_takes_says_so_with_its_disks():
    disks = {"vbds": [make_vbd(), make_vbd("lone", "other")], "vdis": [make_vdi(), make_vdi("other", size=3 * GIB)]}
    estate = world(make_vm("lone"), **disks)
    assert reason(estate) == (Why.NO_JOB, "no job takes it", "")
    (one,) = found(estate).uncovered
    assert (one.vm, one.pool, one.disk_bytes) == ("lone", "pool", 3 * GIB)


@pytest.mark.parametrize(
    "more",
    [
        {"vbds": [make_vbd("lone", "gone")]},
        {"vbds": [make_vbd("lone", "odd")], "vdis": [make_vdi("odd", size=UNSET)]},
        {"reading": {PartName.VDIS: {"ok": False, "error": "no"}}},
    ],
)
def test_a_disk_that_is_not_known_makes_the_size_unknown(more):
    (one,) = found(world(make_vm("lone"), **more)).uncovered
    assert one.disk_bytes is None


def test_a_job_whose_schedules_are_disabled_is_the_nearest_reason():
    job = make_job("idle", vms={"id": "lone"})
    off = [make_schedule(), make_schedule("night", job="idle", enabled=False)]
    assert reason(world(make_vm("lone"), job, schedules=off)) == (
        Why.IDLE_SCHEDULE,
        "job idle takes it, and its schedule night is disabled",
        "idle",
    )
    two = [*off, make_schedule("day", job="idle", cron="0 0 * * wed")]
    assert reason(world(make_vm("lone"), job, schedules=two))[1].endswith("night is disabled and 1 more do not run")


def test_a_job_without_a_schedule_comes_after_one_with_an_idle_schedule():
    bare, idle = make_job("bare", vms={"id": "lone"}), make_job("idle", vms={"id": "lone"})
    only = [make_schedule()]
    assert reason(world(make_vm("lone"), bare, schedules=only)) == (
        Why.NO_SCHEDULE,
        "job bare takes it, and has no schedule",
        "bare",
    )
    both = [make_schedule(), make_schedule("night", job="idle", enabled=False)]
    assert reason(world(make_vm("lone"), bare, idle, schedules=both))[0] is Why.IDLE_SCHEDULE


def test_a_vm_that_a_job_saved_before_tells_what_changed():
    log = make_log(make_vm_task("lone", make_transfer(1)), job="tagged", schedule="tagged's")
    older = make_log(make_vm_task("lone", make_transfer(1)), job="gone", schedule="gone's")
    estate = world(make_vm("lone", tags=["dev"]), smart("tagged", {"tags": {"__or": [["prod"]]}}), logs=[log, older])
    why, text, job = reason(estate)
    assert (why, job) == (Why.NO_LONGER, "tagged")
    assert text.startswith('job tagged saved it until 24 Nov and leaves it out now: its tags ["dev"] does not match')


@pytest.mark.parametrize(
    ("pattern", "vm", "text"),
    [
        ({"tags": {"__not": {"__or": [["dev"], ["test"]]}}}, {"tags": ["dev"]}, "its tags dev"),
        ({"$pool": {"__and": [{"__not": {"__or": ["lyon"]}}]}}, {"pool": "lyon"}, "its $pool lyon"),
        ({"power_state": "Running"}, {"power_state": "Halted"}, 'its power_state "Halted"'),
    ],
)
def test_a_job_that_excludes_a_vm_by_name_tells_by_what(pattern, vm, text):
    estate = world(make_vm("lone", **vm), smart("nightly", pattern))
    assert reason(estate) == (Why.LEFT_OUT, f"job nightly leaves it out by {text}", "nightly")


@pytest.mark.parametrize(
    ("pattern", "vm"),
    [
        ({"tags": {"__or": [["prod"]]}}, {"tags": ["dev"]}),  # one of many tags that it has not
        (
            {"tags": {"__not": {"__or": [["dev"]]}}, "power_state": "Running"},
            {"tags": ["dev"], "power_state": "Halted"},
        ),
        ({"power_state": "Running"}, {"power_state": UNSET}),
    ],
)
def test_a_job_that_misses_a_vm_by_more_than_one_rule_is_not_near(pattern, vm):
    assert reason(world(make_vm("lone", **vm), smart("nightly", pattern)))[0] is Why.NO_JOB


def test_a_pattern_that_xo_throws_on_is_told_where_no_other_reason_is_near():
    broken = smart("broken", {"tags": {"__or": "x"}})
    assert reason(world(make_vm("lone"), broken)) == (
        Why.BROKEN_PATTERN,
        "job broken may be meant to take it, and XO throws on its pattern",
        "broken",
    )


def test_the_tag_of_xo_and_those_of_the_policy_leave_a_vm_out_on_purpose():
    for tags, text, tag in (
        (["xo:no-bak=later"], "", "xo:no-bak"),
        (["x", "no-backup"], '[coverage]\nignore_tags = ["no-backup"]\n', "no-backup"),
    ):
        told = found(world(make_vm("lone", tags=tags)), text)
        assert ([one.tag for one in told.on_purpose], told.uncovered) == ([tag], ())
    assert [one.vm for one in found(world(make_vm("lone", tags=["no-backup"]))).uncovered] == ["lone"]


def test_a_vm_on_an_id_list_is_covered_whatever_its_tags():
    told = found(make_estate(vms=[make_vm(tags=["xo:no-bak"])]))
    assert (told.covered, told.on_purpose) == (1, ())


def test_replicas_that_a_backup_job_made_are_no_gap():
    marks = {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": "job"}}
    told = found(world(make_vm("copy", **marks)))
    assert (told.vms, told.replicas, told.uncovered) == (1, 1, ())
    started = marks | {"blockedOperations": {}}
    assert [one.vm for one in found(world(make_vm("copy", **started))).uncovered] == ["copy"]


@pytest.mark.parametrize("part", ["jobs", "schedules", "call_jobs", "vms"])
def test_a_list_that_was_not_read_whole_makes_the_gaps_unknown(part):
    cut = found(world(make_vm("lone"), reading={PartName(part): {"complete": False}}))
    assert (cut.uncovered, part in cut.why_unknown) == ((), True)
    unread = found(world(make_vm("lone"), reading={PartName(part): {"ok": False, "error": "XO answered 500"}}))
    assert unread.why_unknown == "XO answered 500"


def nested(levels):
    """A pattern of so many levels; guard follows 64 of them."""
    return {"__not": nested(levels - 1)} if levels else "x"


def test_a_pattern_that_guard_cannot_follow_leaves_it_unknown_which_vms_are_covered():
    told = found(world(make_vm("lone"), smart("odd", {"tags": nested(100)})))
    assert told.uncovered == ()
    assert told.why_unknown.startswith("job odd: guard cannot follow its pattern")


@pytest.mark.parametrize("wanted", [{"__or": "x"}, nested(100)])
def test_a_part_of_a_pattern_that_xo_never_comes_to_does_not_end_the_search_for_a_reason(wanted):
    pattern = {"$pool": "gone", "tags": wanted}
    assert reason(world(make_vm("lone", tags=["a"]), smart("odd", pattern))) == (Why.NO_JOB, "no job takes it", "")


def test_servers_that_xo_lost_are_named_since_their_vms_are_in_no_count():
    lost = make_server("lost", status="disconnected", error={"code": "EHOSTUNREACH"})
    servers = [
        make_server(),
        lost,
        make_server("by a person", status="disconnected", enabled=False),
        make_server("second of a pool", status="disconnected", error={"connectedServerId": "server"}),
    ]
    assert found(make_estate(servers=servers)).away == (lost,)
