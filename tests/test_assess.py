"""From due runs to verdicts: the fixpoint, what a plan looks at beside its own runs, and what it says beside them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.assess import Situation, assess, look_again, make_plan
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.estate.estate import PartName
from guard.finding import Harm, Level
from guard.policy.load import load
from guard.policy.resolve import effective
from guard.policy.schema import default_policy
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    make_base_copy,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_pbd,
    make_repository,
    make_repository_info,
    make_schedule,
    make_sequence,
    make_snapshot,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
)

MINUTE = timedelta(minutes=1)
HOUR = timedelta(hours=1)
SPRING = datetime(2027, 3, 28, tzinfo=UTC)


def policy(text=""):
    return load(f'xo.url = "https://xo"\n{text}', file="policy")


def plan(*, now=NOW, start=None, hours=24, only=None, rules="", **world):
    return make_plan(
        make_estate(**world),
        policy(rules),
        now=now,
        start=now if start is None else start,
        within=timedelta(hours=hours),
        only=only,
    )


def actions(found):
    """(schedule, hour and minute, verdict) of each run."""
    return [(one.run.schedule.id, f"{one.run.due.at:%H:%M}", one.verdict.action) for one in found.runs]


def codes(run):
    return [(one.code, one.level) for one in run.verdict.findings]


def texts(found):
    return [note.text for note in found.notes]


def past(minutes, schedule="schedule", job="job", *, runs=5, vm="vm", size=GIB):
    return [
        make_log(
            make_vm_task(vm, make_transfer(size, full=True)),
            job=job,
            schedule=schedule,
            start=LAST_NIGHT - timedelta(days=night),
            seconds=60 * minutes,
            id=f"{schedule}-{night}",
        )
        for night in range(runs)
    ]


def test_a_healthy_estate_starts_whole():
    found = plan()
    assert actions(found) == [("schedule", "00:00", Action.START)]
    assert (found.is_whole, found.notes, codes(found.runs[0])) == (True, (), [])
    assert (found.now, found.start, found.until) == (NOW, NOW, NOW + timedelta(days=1))
    assert found.runs[0].verdict.start_vms == ("vm",)


def test_the_default_policy_says_the_same():
    found = make_plan(make_estate(), default_policy(), now=NOW, start=NOW, within=timedelta(hours=24))
    assert actions(found) == [("schedule", "00:00", Action.START)]


# The fixpoint


def unhealthy(vm):
    """The base copies of a VM's disk of which two wait for a coalesce."""
    return [make_base_copy(f"{vm}-b{at}", parent=f"{vm}-b{at - 1}" if at else UNSET) for at in range(3)]


def crowd(*names, ill=(), free=0):
    """VMs with a disk of 100 GiB each on a thick SR, each of which writes 20 GiB between two backups."""
    used = 10_000 * GIB - free
    return {
        "jobs": [make_job(vms={"id": {"__or": list(names)}})],
        "vms": [make_vm(name) for name in names],
        "vbds": [make_vbd(name, f"{name}-disk") for name in names],
        "vdis": [
            make_vdi(
                f"{name}-disk", size=100 * GIB, usage=107_592_286_208, parent=f"{name}-b2" if name in ill else UNSET
            )
            for name in names
        ],
        "vdi_unmanaged": [base for name in ill for base in unhealthy(name)],
        "vdi_snapshots": [make_snapshot(f"{name}-s", of=f"{name}-disk", vm=name) for name in names],
        "srs": [make_sr(SR_type="lvm", allocationStrategy="thick", size=10_000 * GIB, physical_usage=used)],
        "logs": [make_log(*(make_vm_task(name, make_transfer(20 * GIB)) for name in names))],
    }


def test_a_vm_held_for_its_chain_frees_room_on_the_sr_for_the_rest():
    found = plan(**crowd("a", "b", "c", ill=["a"], free=41 * GIB)).runs[0].verdict
    assert (found.action, found.start_vms) == (Action.START_SOME, ("b", "c"))
    assert [(one.vm, one.codes) for one in found.held] == [("a", ("CHAIN_UNHEALTHY",))]
    # without an ill one among them somebody has to wait for the room
    found = plan(**crowd("a", "b", "c", free=41 * GIB)).runs[0].verdict
    assert [(one.vm, one.codes) for one in found.held] == [("a", ("SR_NO_SPACE",))]


def test_what_holds_for_its_own_reasons_comes_before_what_is_shared():
    found = plan(**crowd("a", "b", "c", ill=["c"], free=21 * GIB)).runs[0].verdict
    assert found.start_vms == ("b",)
    assert {one.vm: one.codes for one in found.held} == {"c": ("CHAIN_UNHEALTHY",), "a": ("SR_NO_SPACE",)}


def test_a_vm_held_for_one_shared_thing_frees_room_on_the_other():
    world = crowd("a", "b", free=21 * GIB) | {"repository_info": {"repo": make_repository_info(available=25 * GIB)}}
    found = plan(**world).runs[0].verdict
    assert (found.start_vms, [one.vm for one in found.held]) == (("b",), ["a"])
    assert [len(one.codes) for one in found.held] == [1]


def test_a_finding_that_held_is_not_said_again_milder_of_the_same_thing():
    # once a is out, b fits; the rule of thumb about the same SR would only repeat what was told
    found = plan(**crowd("a", "b", free=21 * GIB)).runs[0]
    assert codes(found) == [("SR_NO_SPACE", Level.BLOCK)]
    alone = plan(**crowd("b", free=21 * GIB)).runs[0]
    assert codes(alone) == [("SR_NO_SPACE", Level.WARN)]


def test_the_same_code_about_another_thing_is_still_said():
    world = crowd("a", "b", free=21 * GIB) | {"pbds": [make_pbd(), make_pbd("two")]}
    world["srs"].append(make_sr("two", physical_usage=900 * GIB))
    world["vdis"].append(make_vdi("b-data", sr="two"))
    world["vbds"].append(make_vbd("b", "b-data"))
    world["vdi_snapshots"].append(make_snapshot("b-t", of="b-data", vm="b"))
    found = plan(**world).runs[0]
    assert [(one.scope.id, one.level) for one in found.verdict.findings if one.code == "SR_NO_SPACE"] == [
        ("sr", Level.BLOCK),
        ("two", Level.WARN),
    ]


def test_what_holds_the_whole_run_is_told_with_all_its_vms():
    world = crowd("a", "b", ill=["a"], free=900 * GIB) | {"repositories": [make_repository(enabled=False)]}
    found = plan(**world).runs[0].verdict
    assert (found.action, sorted(one.vm for one in found.held)) == (Action.DEFER, ["a", "b"])
    assert {"CHAIN_UNHEALTHY", "REPOSITORY_DISABLED"} <= {one.code for one in found.findings}


@pytest.mark.parametrize(
    ("on_unknown", "action"), [("start", Action.START), ("defer", Action.DEFER), ("refuse", Action.REFUSE)]
)
def test_an_unknown_does_what_the_policy_says(on_unknown, action):
    found = plan(rules=f'defaults.on_unknown = "{on_unknown}"', srs=[make_sr(size=0)])
    assert (found.runs[0].verdict.action, found.runs[0].verdict.unknown, found.is_whole) == (action, True, False)


def test_a_listed_vm_that_xo_does_not_show_is_in_question_too_because_xo_will_try_it():
    world = crowd("a", free=900 * GIB) | {"jobs": [make_job(vms={"id": {"__or": ["a", "gone"]}})]}
    found = plan(**world).runs[0].verdict
    assert (found.start_vms, [one.vm for one in found.held]) == (("a",), ["gone"])
    found = plan(rules='checks.connectivity.effect = "warn"', **world).runs[0].verdict
    assert (found.start_vms, found.held) == (("a", "gone"), ())


def test_assess_judges_one_run_of_an_outlook():
    view = make_view(make_estate())
    rules = effective(default_policy(), schedule_id="schedule", schedule_name="schedule", job_name="job", tags=())
    assert assess(view.outlook, view.run, rules, UTC).action is Action.START


# What a plan looks at beside its own runs


def hourly(minutes, **world):
    return {"schedules": [make_schedule(cron="0 * * * *")], "logs": past(minutes)} | world


def test_after_one_overlapped_run_the_next_one_starts():
    found = plan(hours=4, **hourly(70))
    skip, start = Action.SKIP, Action.START
    assert [action for _, _, action in actions(found)] == [start, skip, start, skip]


def test_a_plan_from_later_on_sees_the_runs_that_still_go_on_then():
    world = hourly(70)
    for minutes in (90, 150):
        whole = actions(plan(hours=6, **world))
        later = plan(start=NOW + minutes * MINUTE, hours=6 - minutes / 60, **world)
        assert actions(later) == whole[minutes // 60 :]


def test_a_plan_from_later_on_does_not_look_further_back_than_a_day_or_than_now():
    found = plan(start=NOW + timedelta(days=30), hours=24, schedules=[make_schedule(cron="0 * * * *")])
    assert len(found.runs) == 24
    assert found.runs[0].run.due.at == NOW + timedelta(days=30) + HOUR


def test_a_plan_of_the_past_starts_where_it_was_asked_to():
    found = plan(start=NOW - 3 * HOUR, hours=6, schedules=[make_schedule(cron="0 * * * *")])
    assert [at for _, at, _ in actions(found)] == ["20:00", "21:00", "22:00", "23:00", "00:00", "01:00"]


def test_where_a_plan_ends_does_not_change_what_it_says_of_the_runs_inside():
    world = {
        "jobs": [make_job(), make_job("other")],
        "schedules": [make_schedule(), make_schedule("late", job="other", cron="20 0 * * *")],
        "logs": [*past(30), *past(30, "late", "other")],
    }
    short, long = plan(hours=2, **world), plan(hours=24, **world)
    assert [one.run.schedule.id for one in short.runs] == ["schedule"]
    told = ("NEXT_RUN_FULL", Level.WARN)  # neither job left a snapshot in this world
    assert codes(short.runs[0]) == codes(long.runs[0]) == [("RUN_OVERLAP", Level.WARN), told]


def test_a_plan_ends_with_its_last_minute():
    found = plan(hours=2, **hourly(70))
    assert [at for _, at, _ in actions(found)] == ["23:00", "00:00"]


# Sequences


def in_sequence(*members, cron="0 0 * * *", **world):
    """A sequence of these schedules of the jobs "one" and "two", each with a VM of its own."""
    return {
        "jobs": [
            make_job("one", settings={"one-s": {"exportRetention": 7}}),
            make_job("two", vms={"id": "vm2"}, settings={"two-s": {"exportRetention": 7}}),
        ],
        "call_jobs": [make_sequence(*members)],
        "schedules": [
            make_schedule("seq", job="sequence-job", name="all night", cron=cron),
            make_schedule("one-s", job="one", name="first", enabled=False),
            make_schedule("two-s", job="two", name="second", enabled=False),
        ],
        "vms": [make_vm(), make_vm("vm2")],
        "logs": [*past(40, "one-s", "one"), *past(20, "two-s", "two", vm="vm2")],
    } | world


def test_the_members_of_a_sequence_come_by_their_median_durations():
    world = in_sequence("one-s", "two-s")
    slow = past(90, "one-s", "one", runs=1)
    world["logs"] = [*slow, *(log for log in world["logs"] if log.id != slow[0].id)]
    assert [(name, at) for name, at, _ in actions(plan(**world))] == [("one-s", "00:00"), ("two-s", "00:40")]


def test_a_member_that_a_sequence_has_still_to_reach_is_planned():
    found = plan(**in_sequence("one-s", "two-s", cron="30 21 * * *"), hours=2)
    assert [(name, at) for name, at, _ in actions(found)] == [("two-s", "22:10")]


@pytest.mark.parametrize(
    ("only", "expected"),
    [
        (None, ["one-s", "two-s"]),
        ("seq", ["one-s", "two-s"]),
        ("all night", ["one-s", "two-s"]),
        ("two-s", ["two-s"]),
        ("second", ["two-s"]),
        ("two", []),
        ("nothing", []),
    ],
)
def test_a_plan_can_be_asked_for_one_schedule_by_id_name_or_sequence(only, expected):
    assert [one.run.schedule.id for one in plan(only=only, **in_sequence("one-s", "two-s")).runs] == expected


def test_what_is_asked_for_alone_is_still_judged_beside_the_others():
    world = {"schedules": [make_schedule("a"), make_schedule("b")], "jobs": [make_job(settings={"a": {}, "b": {}})]}
    found = plan(only="b", **world)
    assert actions(found) == [("b", "00:00", Action.SKIP)]


def test_notes_of_other_schedules_are_left_out_and_those_about_all_are_kept():
    world = {
        "schedules": [
            make_schedule(timezone="Mars/One"),
            make_schedule("other", timezone="Mars/Two"),
            make_schedule("named", name="other", timezone="Mars/Three"),
        ],
        "reading": {PartName.CALL_JOBS: {"complete": False}},
    }
    shown = {}
    for only in (None, "schedule", "other", "named"):
        told = " ".join(texts(plan(only=only, **world)))
        shown[only] = [word for word in ("filtered", "One", "Two", "Three") if word in told]
    assert shown == {
        None: ["filtered", "One", "Two", "Three"],
        "schedule": ["filtered", "One"],
        "other": ["filtered", "Two", "Three"],
        "named": ["filtered", "Three"],
    }


def test_asked_for_a_member_a_plan_tells_that_its_sequence_never_reaches_it():
    found = plan(only="second", **in_sequence("gone", "two-s"))
    assert (found.runs, found.is_whole, len(found.notes)) == ((), False, 1)


# Whether a plan is whole


@pytest.mark.parametrize(
    ("world", "whole"),
    [
        ({}, True),
        ({"schedules": []}, True),
        ({"schedules": [make_schedule(timezone="Mars/Olympus")]}, True),
        ({"schedules": [make_schedule(timezone="local")]}, False),
        ({"schedules": [make_schedule(cron="nonsense")]}, False),
        ({"schedules": [make_schedule(job="gone")]}, False),
        ({"srs": [make_sr(physical_usage=800 * GIB)]}, True),
        ({"srs": [make_sr(size=-1)]}, False),
        ({"repositories": [make_repository(enabled=False)]}, False),
        (in_sequence("one-s", "gone"), False),
        (in_sequence("one-s", "two-s"), True),
    ],
    ids=[
        "healthy",
        "nothing due",
        "UTC",
        "local",
        "cron",
        "no job",
        "warning",
        "unknown",
        "deferred",
        "broken",
        "sequence",
    ],
)
def test_a_plan_is_whole_when_every_run_would_start_and_nothing_is_unknown(world, whole):
    assert plan(**world).is_whole is whole


@pytest.mark.parametrize("part", [PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS])
@pytest.mark.parametrize("change", [{"ok": False, "error": "x"}, {"complete": False}])
def test_a_plan_from_lists_that_are_not_whole_is_not_whole(part, change):
    found = plan(reading={part: change}, **{part.value: []})
    assert (found.is_whole, [note.unknown for note in found.notes]) == (False, [True])


# Bytes


@pytest.mark.parametrize(
    ("sizes", "p50", "p90", "samples"),
    [((5, 5, 5), 5, 5, 3), ((9, 1, 2), 9, 9, 3), ((2, 1, 9), 2, 9, 3)],
)
def test_the_bytes_of_a_run_are_told_by_the_newest_full_backups(sizes, p50, p90, samples):
    nights = enumerate(past(30, runs=1, size=gib * GIB)[0] for gib in sizes)
    logs = [msgspec.structs.replace(log, id=str(night), start=log.start - night) for night, log in nights]
    (run,) = plan(logs=logs).runs
    assert (run.bytes_p50, run.bytes_p90, run.bytes_samples) == (p50 * GIB, p90 * GIB, samples)


def test_bytes_are_summed_over_vms_and_targets():
    both = {"id": {"__or": ["repo", "repo2"]}}
    world = {
        "jobs": [make_job(vms={"id": {"__or": ["vm", "vm2"]}}, remotes=both, srs={"id": "sr"})],
        "vms": [make_vm(), make_vm("vm2")],
        "vbds": [make_vbd(), make_vbd("vm2", "disk2")],
        "vdis": [make_vdi(), make_vdi("disk2", usage=3 * GIB)],
        "repositories": [make_repository(), make_repository("repo2")],
    }
    (run,) = plan(**world).runs
    assert (run.bytes_p50, run.bytes_p90, run.bytes_samples) == (15 * GIB, 15 * GIB, 0)


def test_distributed_backups_write_each_vm_once_however_many_repositories_there_are():
    both = {"id": {"__or": ["repo", "repo2"]}}
    world = {
        "jobs": [make_job(remotes=both, settings={"": {"distributeBackups": True}})],
        "repositories": [make_repository(), make_repository("repo2")],
    }
    (run,) = plan(**world).runs
    once = plan().runs[0].bytes_p50
    assert once and run.bytes_p50 == once


@pytest.mark.parametrize(
    "world",
    [
        {"vdi_snapshots": [make_snapshot("s")]},
        {"jobs": [make_job(remotes=UNSET)]},
        {"jobs": [make_job(vms={"id": {"__or": []}})]},
        {"jobs": [make_job(type="metadataBackup")]},
    ],
    ids=["a delta without a past", "no target", "no VM", "metadata"],
)
def test_where_nothing_tells_there_are_no_bytes_and_never_zero(world):
    (run,) = plan(**world).runs
    assert (run.bytes_p50, run.bytes_p90) == (None, None)


# Zones, rules, and storms ahead


def test_a_run_is_told_in_the_zone_of_its_schedule():
    for zone, offset in (("Europe/Paris", 1), ("Mars/Olympus", 0), (UNSET, 0)):
        (run,) = plan(schedules=[make_schedule(timezone=zone)]).runs
        assert DUE.astimezone(run.zone).utcoffset() == offset * HOUR


def test_a_schedule_in_the_zone_of_xos_machine_is_planned_once_the_policy_tells_it():
    local = {"schedules": [make_schedule(timezone="local")]}
    assert plan(**local).runs == ()
    found = plan(rules='xo.zone = "Europe/Paris"', **local)
    assert actions(found) == [("schedule", "23:00", Action.START)]
    assert (found.notes, found.is_whole) == ((), True)


@pytest.mark.parametrize(
    ("match", "applies"),
    [
        ('name = "night*"', True),
        ('id = "schedule"', True),
        ('job = "jo?"', True),
        ('tag = "prod"', True),
        ('tag = "test"', False),
        ('job = "x"', False),
    ],
)
def test_the_rules_of_a_schedule_are_found_by_its_id_its_name_its_job_or_its_tags(match, applies):
    world = {
        "schedules": [make_schedule(name="nightly")],
        "jobs": [make_job(vms={"tags": {"__or": [["prod"]]}})],
        "vms": [make_vm(tags=["prod"])],
        "srs": [make_sr(size=0)],
    }
    found = plan(rules=f'[[schedule]]\n{match}\non_unknown = "defer"', **world)
    assert found.runs[0].verdict.action is (Action.DEFER if applies else Action.START)


def stormy(cron="0,30 2 * * 0", **world):
    """A schedule that is not due within a day of Monday 8 March, and runs into a storm on Sunday 28 March."""
    return {"schedules": [make_schedule(cron=cron, timezone="Europe/Paris")]} | world


def at_march(days=20, **more):
    """A plan so many days before the clocks change, of an estate read then."""
    now = SPRING - timedelta(days=days)
    parts = {name: {"read_at": now} for name in PartName}
    return plan(now=now, reading=parts, **more)


def test_a_storm_ahead_of_a_schedule_that_is_not_due_is_a_note_and_no_unknown():
    found = at_march(**stormy())
    (note,) = found.notes
    assert (found.runs, found.is_whole, note.unknown, note.schedule) == ((), True, False, "schedule")
    assert note.text.startswith("Schedule schedule: from Sun 28 Mar 2027 00:00 to 01:29 UTC, in 20 d, XO would start ")
    assert "Change it to '0,30 1 * * 0'" in note.text


def test_a_storm_ahead_of_a_schedule_that_is_due_is_its_finding_and_no_note():
    found = at_march(**stormy("0,30 2 * * *"))
    assert found.notes == ()
    assert [code for run in found.runs for code in codes(run)] == [("DST_STORM", Level.WARN)] * 2


@pytest.mark.parametrize(
    ("days", "rules", "told"),
    [
        (59, "", True),
        (61, "", False),
        (20, "checks.clock_change.look_ahead_days = 19", False),
        (20, "checks.clock_change.look_ahead_days = 20", True),
        (20, 'checks.clock_change.effect = "off"', False),
        (20, 'checks.clock_change.effect = "warn"', True),
    ],
)
def test_a_storm_is_told_as_far_ahead_as_the_policy_looks(days, rules, told):
    assert bool(at_march(days, rules=rules, **stormy()).notes) is told


def test_the_storm_of_a_sequence_is_told_once_and_of_the_sequence():
    world = in_sequence("one-s", "two-s", cron="0,30 2 * * 0")
    world["schedules"][0] = make_schedule("seq", job="sequence-job", cron="0,30 2 * * 0", timezone="Europe/Paris")
    assert [note.schedule for note in at_march(**world).notes] == ["seq"]


def test_rules_for_a_sequence_are_found_by_the_name_of_its_job():
    world = in_sequence("one-s")
    world["schedules"][0] = make_schedule("seq", job="sequence-job", cron="0,30 2 * * 0", timezone="Europe/Paris")
    rules = '[[schedule]]\njob = "sequence-*"\nchecks.clock_change.effect = "off"'
    assert at_march(rules=rules, **world).notes == ()


def test_the_storm_of_a_schedule_whose_job_is_gone_is_told_by_the_rules_for_all():
    (note,) = at_march(**stormy(), jobs=[]).notes
    assert "again and again" in note.text


def test_a_due_time_whose_job_is_no_backup_has_no_run():
    view = make_view(make_estate())
    assert view.outlook.expect(make_due("schedule", "call-job")) is None


# What a person and the policy say


def brake(scope="all", until=None):
    return Brake(kind="hold", scope=scope, until=until, reason="patch day", since=NOW, by="ann")


def held_plan(*brakes, now=NOW, rules="", **world):
    return make_plan(
        make_estate(**world),
        policy(rules),
        now=now,
        start=now,
        within=timedelta(hours=24),
        situation=Situation(brakes=brakes),
    )


def window(cron, hours, rest=""):
    return f'[[window]]\ncron = "{cron}"\nduration = "{hours} h"\n{rest}\n'


def test_a_held_run_waits_for_the_end_of_the_hold_and_is_refused_where_that_is_after_its_deadline():
    (run,) = held_plan(brake(until=DUE + HOUR)).runs
    assert (run.verdict.action, run.verdict.harm) == (Action.DEFER, Harm.PRODUCTION)
    assert [(one.codes, one.harm) for one in run.verdict.held] == [(("ON_HOLD",), Harm.PRODUCTION)]
    assert run.verdict.sentence.startswith("This run is held by ann (all)")
    assert held_plan(brake(until=DUE + 7 * HOUR)).runs[0].verdict.action is Action.REFUSE
    assert held_plan(brake()).runs[0].verdict.action is Action.DEFER


def test_a_hold_that_ends_before_the_due_time_holds_nothing_then():
    assert held_plan(brake(until=DUE)).is_whole


def test_a_vm_on_hold_is_held_whatever_the_checks_find_and_the_rest_is_judged_without_it():
    found = held_plan(brake("vm:a"), **crowd("a", "b", "c", ill=["a"], free=41 * GIB)).runs[0].verdict
    assert (found.action, found.start_vms) == (Action.START_SOME, ("b", "c"))
    assert [(one.vm, one.codes, one.harm) for one in found.held] == [("a", ("ON_HOLD",), Harm.PRODUCTION)]


def test_two_holds_on_one_vm_are_both_told():
    found = held_plan(brake("vm:a"), brake("pool:pool"), **crowd("a", "b", free=900 * GIB)).runs[0].verdict
    assert {one.vm: one.codes for one in found.held} == {"a": ("ON_HOLD",), "b": ("ON_HOLD",)}
    assert [one.scope.kind for one in found.findings if one.code == "ON_HOLD"] == ["vm", "pool"]


def test_outside_its_window_a_run_waits_for_the_next_one_that_comes_in_time():
    (run,) = plan(rules=window("0 2 * * *", 4)).runs
    assert (run.verdict.action, run.verdict.held[0].codes) == (Action.DEFER, ("OUTSIDE_WINDOW",))
    assert run.verdict.findings[0].clears.eta == DUE + 2 * HOUR
    assert plan(rules=window("0 8 * * *", 4)).runs[0].verdict.action is Action.REFUSE
    assert plan(rules=window("0 8 * * *", 4, 'job = "x"')).is_whole
    assert plan(rules=window("0 22 * * *", 4)).is_whole


def test_a_run_that_is_looked_at_after_its_due_time_is_judged_at_that_moment():
    estate = make_estate()
    rules = effective(
        policy(window("0 22 * * *", 4)), schedule_id="schedule", schedule_name="schedule", job_name="job", tags=()
    )
    for later, action in ((1, Action.START), (2, Action.REFUSE)):
        outlook = make_view(estate, now=DUE + later * HOUR)
        assert assess(outlook.outlook, outlook.run, rules, UTC).action is action


def test_a_window_ends_the_wait_before_max_defer_does():
    world = crowd("a", "b", ill=["a"], free=900 * GIB)
    found = plan(rules=window("0 22 * * *", 4), **world).runs[0].verdict
    assert (found.held[0].deadline, found.deadline) == (DUE + 90 * MINUTE, DUE + 90 * MINUTE)


def test_by_default_a_run_waits_six_hours_or_half_its_interval():
    world = crowd("a", "b", ill=["a"], free=900 * GIB) | {"logs": []}
    assert plan(**world).runs[0].verdict.held[0].deadline == DUE + 6 * HOUR
    hourly_runs = plan(**world | {"schedules": [make_schedule(cron="0 * * * *")]}).runs
    assert {one.verdict.held[0].deadline - one.run.due.at for one in hourly_runs} == {30 * MINUTE}


def test_a_vm_whose_last_good_backup_gets_too_old_waits_less_than_the_run():
    world = crowd("a", "b", ill=["a"], free=900 * GIB)
    found = plan(rules='defaults.max_backup_age = "26 h"', **world).runs[0].verdict
    assert (found.held[0].deadline, found.deadline) == (DUE + 2 * HOUR, DUE + 6 * HOUR)
    assert "the wait ends at Wed 25 Nov 02:00 UTC" in found.clears


def limited(slots=1, per="repository"):
    return f'[[limit]]\nslots = {slots}\nper = "{per}"\n'


def three(cron=("0 0 * * *",) * 3, minutes=30, ages=(1, 1, 1)):
    """Three jobs with a VM each to one repository; ``ages``: how many nights ago each was backed up last."""
    names = ("a", "b", "c")
    return {
        "jobs": [
            make_job(one, vms={"id": f"vm-{one}"}, settings={f"{one}-s": {"exportRetention": 7}}) for one in names
        ],
        "vms": [make_vm(f"vm-{one}") for one in names],
        "vbds": [],
        "vdis": [],
        "schedules": [make_schedule(f"{one}-s", job=one, cron=at) for one, at in zip(names, cron, strict=True)],
        "logs": [
            make_log(
                make_vm_task(f"vm-{one}", make_transfer(GIB, start=LAST_NIGHT - timedelta(days=age + night))),
                job=one,
                schedule=f"{one}-s",
                start=LAST_NIGHT - timedelta(days=age + night),
                seconds=60 * minutes,
                id=f"{one}-{night}",
            )
            for one, age in zip(names, ages, strict=True)
            for night in range(5)
        ],
    }


def slots(found):
    return {one.run.schedule.id[0]: one.verdict.action for one in found.runs}


def test_of_runs_due_in_one_minute_those_that_start_take_the_slots():
    start, defer = Action.START, Action.DEFER
    assert slots(plan(**three())) == {"a": start, "b": start, "c": start}
    found = plan(rules=limited(2), **three())
    assert [one.run.schedule.id for one in found.runs] == ["a-s", "b-s", "c-s"]
    assert slots(found) == {"a": start, "b": start, "c": defer}
    assert found.runs[2].verdict.findings[0].summary.startswith("Limit of 2 jobs at once on repository repo: 2 at work")
    assert slots(plan(rules=limited(3), **three())) == {"a": start, "b": start, "c": start}


@pytest.mark.parametrize(
    ("ages", "first"), [((1, 1, 2), "c"), ((1, 3, 2), "b"), ((2, 2, 2), "a")]
)  # fmt: skip
def test_whose_vms_wait_longest_for_a_good_backup_comes_first(ages, first):
    found = slots(plan(rules=limited(), **three(ages=ages)))
    assert [name for name, action in found.items() if action is Action.START] == [first]


def test_a_vm_without_any_good_backup_comes_first_and_a_run_without_vms_last():
    world = three()
    world["logs"] = [one for one in world["logs"] if one.job_id != "c"]
    world["jobs"] += [make_job("m", type="mirrorBackup", vms=UNSET, settings={"m-s": {"exportRetention": 7}})]
    world["schedules"] = [make_schedule("m-s", job="m", name="0"), *world["schedules"]]
    found = slots(plan(rules=limited(2, "xo"), **world))
    assert [name for name, action in found.items() if action is Action.START] == ["a", "c"]


def test_a_run_takes_its_slot_from_later_ones_as_long_as_it_usually_takes():
    cron = ("0 0 * * *", "20 0 * * *", "40 0 * * *")
    start, defer = Action.START, Action.DEFER
    assert slots(plan(rules=limited(), **three(cron))) == {"a": start, "b": defer, "c": start}


def test_what_is_asked_for_alone_finds_the_slots_that_the_others_leave():
    assert slots(plan(rules=limited(), only="b-s", **three())) == {"b": Action.DEFER}
    cron = ("0 0 * * *", "20 0 * * *", "0 12 * * *")
    later = plan(rules=limited(), start=DUE + 10 * MINUTE, hours=1, **three(cron))
    assert slots(later) == {"b": Action.DEFER}


def test_a_vm_on_hold_takes_no_slot_of_its_pool():
    world = three()
    world["jobs"][1] = make_job("b", vms={"id": {"__or": ["vm-b", "vm-a"]}}, settings={"b-s": {"exportRetention": 7}})
    world["vms"][1] = make_vm("vm-b", pool="pool2", container="pool2")
    rules = limited(1, "pool")
    assert held_plan(rules=rules, **world).runs[1].verdict.action is Action.DEFER
    assert [one.code for one in held_plan(brake("vm:vm-a"), rules=rules, **world).runs[1].verdict.findings].count(
        "NO_SLOT"
    ) == 0


def test_runs_that_the_caller_counts_as_started_take_slots_too():
    outlook = make_view(make_estate(**three()), "a-s", runs=[make_due("b-s", "b")]).outlook
    one, other = outlook.runs
    rules = effective(policy(limited()), schedule_id="a-s", schedule_name="a-s", job_name="a", tags=())
    assert assess(outlook, one, rules, UTC).action is Action.START
    assert assess(outlook, one, rules, UTC, Situation(busy=(other,))).action is Action.DEFER


# Looked at again after the due time


def again(*asked, now=NOW, rules="", **world):
    return look_again(make_estate(**world), policy(rules), asked, now=now)


def test_what_waits_is_judged_as_of_now_without_the_vms_that_are_out_of_it():
    world = crowd("a", "b", "c", ill=["b"], free=900 * GIB)
    ((vms, verdict),) = again((make_due(at=NOW - HOUR, cron="0 21 * * *"), frozenset({"a"})), **world)
    assert (vms, verdict.start_vms, [one.vm for one in verdict.held]) == (("b", "c"), ("c",), ["b"])
    assert verdict.deadline == NOW + 5 * HOUR


def test_what_is_looked_at_again_and_is_gone_has_no_verdict():
    found = again((make_due("gone"), frozenset()), (make_due(at=NOW - HOUR), frozenset()))
    assert (found[0], found[1][1].action) == (None, Action.START)


# What past runs foretell


def timed_out(nights=2):
    """Runs in which the host let XO wait too long for "vm"."""
    error = {"name": "BodyTimeoutError", "code": "UND_ERR_BODY_TIMEOUT", "message": "Body Timeout Error"}
    vm = make_vm_task(status="failure", result=error)
    return [
        make_log(vm, start=LAST_NIGHT - timedelta(days=night), status="failure", id=f"night-{night}")
        for night in range(nights)
    ]


def test_failures_that_repeat_are_told_by_the_plan_and_whenever_a_run_is_looked_at_again():
    (run,) = plan(logs=timed_out()).runs
    assert (codes(run), run.verdict.action) == ([("EXPORT_TIMEOUT", Level.WARN)], Action.START)
    ((_, verdict),) = again((make_due(at=NOW - HOUR), frozenset()), logs=timed_out())
    assert [one.code for one in verdict.findings] == ["EXPORT_TIMEOUT"]
    assert codes(plan(logs=timed_out(1)).runs[0]) == []


def test_the_policy_may_hold_a_vm_for_its_timeouts_until_the_deadline():
    (run,) = plan(logs=timed_out(), rules='[checks.export_timeout]\neffect = "block"\n').runs
    (held,) = run.verdict.held
    assert (run.verdict.action, held.codes, held.deadline is not None) == (Action.DEFER, ("EXPORT_TIMEOUT",), True)


def test_a_run_behind_one_that_hangs_waits_and_is_not_taken_for_covered():
    log = make_log(make_vm_task(status="pending"), start=NOW - 30 * HOUR, status="pending", id="run")
    world = {"jobs": [make_job(runId="run")], "logs": [log]}
    (run,) = plan(rules='[defaults]\noverlap = "skip"\n', **world).runs
    assert (codes(run), run.verdict.action) == ([("JOB_STUCK", Level.BLOCK)], Action.DEFER)
