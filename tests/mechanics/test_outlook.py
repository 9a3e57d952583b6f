"""What is computed once per plan: expected runs, what they meet, disks and bytes."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.estate.estate import PartName
from guard.mechanics.forecast import UNKNOWN
from guard.mechanics.history import Quantiles
from guard.mechanics.occupancy import RunningNow
from guard.mechanics.outlook import DISK_PARTS, Outlook, is_nobak, repository_ids, target_sr_ids
from guard.mechanics.past import HEALTH_CHECK, PastFailure, Recent, Repeats
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
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
    make_vm,
    make_vm_task,
    ms,
)

MINUTE = timedelta(minutes=1)


def outlook(now=NOW, **world):
    return Outlook(make_estate(**world), now)


def past(minutes, schedule="schedule", runs=5):
    return [
        make_log(
            schedule=schedule, start=LAST_NIGHT - timedelta(days=night), seconds=60 * minutes, id=f"{schedule}-{night}"
        )
        for night in range(runs)
    ]


# Expected runs


def test_a_due_time_becomes_a_run_with_its_vms_settings_and_duration():
    run = outlook(logs=past(30)).expect(make_due())
    assert (run.schedule.id, run.job.id, run.selection.ids, run.selection.smart) == ("schedule", "job", ("vm",), False)
    assert (run.settings.export_retention, run.settings.concurrency) == (7, 2)
    assert run.seconds == Quantiles(p50=1800, p90=1800, samples=5)
    assert run.ends == DUE + 30 * MINUTE


def test_without_a_past_nobody_knows_when_a_run_ends():
    assert outlook().expect(make_due()).ends is None


@pytest.mark.parametrize("due", [make_due("gone"), make_due(job="gone")], ids=["schedule", "job"])
def test_without_its_schedule_or_its_backup_job_a_due_time_has_no_run(due):
    assert outlook().expect(due) is None


@pytest.mark.parametrize("job_type", ["mirrorBackup", "metadataBackup"])
def test_only_a_backup_job_selects_vms(job_type):
    assert outlook(jobs=[make_job(type=job_type)]).expect(make_due()).selection.ids == ()


def test_the_vms_of_a_job_are_selected_once():
    shared = outlook(schedules=[make_schedule(), make_schedule("weekly")])
    assert shared.expect(make_due()).selection is shared.expect(make_due("weekly")).selection


def test_runs_are_kept_by_due_time_then_by_name():
    schedules = [make_schedule("1", name="b"), make_schedule("2", name="a"), make_schedule("3", name="a")]
    shared = outlook(schedules=schedules)
    dues = [make_due("1"), make_due("3"), make_due("2"), make_due("1", at=DUE - MINUTE)]
    shared.runs = [shared.expect(due) for due in dues]
    assert [(run.schedule.id, run.due.at == DUE) for run in shared.runs] == [
        ("1", False),
        ("2", True),
        ("3", True),
        ("1", True),
    ]


# What runs meet


def planned(shared, *dues):
    runs = [shared.expect(due) for due in dues]
    shared.runs = runs
    return runs


def test_a_run_meets_another_of_its_job_only():
    jobs = [make_job(), make_job("other")]
    schedules = [make_schedule(), make_schedule("weekly"), make_schedule("theirs", job="other")]
    shared = outlook(jobs=jobs, schedules=schedules, logs=past(70))
    first, second, theirs = planned(
        shared, make_due(), make_due("weekly", at=DUE + 60 * MINUTE), make_due("theirs", "other", at=DUE + MINUTE)
    )
    assert shared.meets(first, 5) == (False, None)
    assert shared.meets(second, 5) == (True, first)
    assert shared.meets(theirs, 5) == (False, None)
    assert shared.meets(second, 6) == (False, None)


def test_what_runs_meet_is_forgotten_with_the_runs():
    shared = outlook(logs=past(70))
    first, second = planned(shared, make_due(), make_due(at=DUE + 60 * MINUTE))
    assert shared.meets(second, 5) == (True, first)
    shared.runs = [second]
    assert shared.meets(second, 5) == (False, None)


def going_on(since, schedule="schedule"):
    return make_log(make_vm_task(), schedule=schedule, start=since, status="pending", id="run")


def test_a_run_meets_the_one_that_goes_on_now():
    since = NOW - 30 * MINUTE
    shared = outlook(jobs=[make_job(runId="run")], logs=[*past(60), going_on(since)])
    early, late = planned(shared, make_due(at=NOW + 29 * MINUTE), make_due(at=NOW + 30 * MINUTE))
    assert shared.meets(early, 5) == (True, None)
    assert shared.meets(late, 5) == (False, None)


def since_half_an_hour(ends_in, samples, schedule="schedule", longest=None):
    """A run of which no task began yet; ``longest`` in minutes."""
    since = NOW - 30 * MINUTE
    usual = None if longest is None else longest * MINUTE
    return RunningNow(since, ends_in and NOW + ends_in * MINUTE, samples, schedule, moved=since, longest=usual)


@pytest.mark.parametrize(
    ("logs", "expected"),
    [
        ([*past(60), going_on(NOW - 30 * MINUTE)], since_half_an_hour(30, 5, longest=60)),
        ([*past(30), going_on(NOW - 30 * MINUTE)], since_half_an_hour(None, 5, longest=30)),
        ([going_on(NOW - 30 * MINUTE)], since_half_an_hour(None, 0)),
        (
            [*past(60), *past(90, "weekly", 2), going_on(NOW - 30 * MINUTE, "weekly")],
            since_half_an_hour(60, 2, "weekly", longest=90),
        ),
        (past(60), RunningNow(None, None, 0)),
    ],
    ids=["its end", "past its end", "no past", "its own schedule", "no log"],
)
def test_a_run_that_goes_on_ends_by_the_past_of_the_schedule_in_its_log(logs, expected):
    assert outlook(jobs=[make_job(runId="run")], logs=logs).running == {"job": expected}


def test_a_job_that_does_not_run_is_not_running_whatever_a_log_says():
    assert outlook(logs=[going_on(NOW - 30 * MINUTE)]).running == {}


# Settings


def test_a_vms_own_settings_come_over_those_of_the_run():
    settings = {"schedule": {"exportRetention": 7}, "vm": {"exportRetention": 3}}
    shared = outlook(jobs=[make_job(settings=settings)])
    run = shared.expect(make_due())
    assert shared.settings_of(run, "vm").export_retention == 3
    assert shared.settings_of(run, "other") is run.settings


def test_a_job_without_settings_has_none_for_a_vm_either():
    shared = outlook(jobs=[make_job(settings=UNSET)])
    run = shared.expect(make_due())
    assert shared.settings_of(run, "vm") is run.settings


# Disks


DRIVES = {
    "vbds": [
        make_vbd(),
        make_vbd(vdi="scratch"),
        make_vbd(vdi="unseen"),
        make_vbd(vdi="iso", is_cd_drive=True),
        make_vbd(vdi=UNSET, id="empty"),
        make_vbd("other", "disk2"),
    ],
    "vdis": [make_vdi(), make_vdi("scratch", name_label="[NOBAK] scratch"), make_vdi("iso"), make_vdi("disk2")],
}


def test_a_snapshot_covers_the_disks_that_are_no_cd_and_not_left_out():
    shared = outlook(**DRIVES)
    assert [vdi.id for _, vdi in shared.disks("vm")] == ["disk"]
    assert [vdi and vdi.id for _, vdi in shared.drives("vm")] == ["disk", "scratch", None]
    assert shared.disks("nobody") == shared.drives("nobody") == ()


@pytest.mark.parametrize(
    ("name", "cd", "nobak"),
    [("x [NOBAK] y", False, True), ("x [nobak]", False, False), ("NOBAK", False, False), ("[NOBAK]", True, False)],
)
def test_a_disk_is_left_out_by_the_mark_in_its_name(name, cd, nobak):
    vdi = make_vdi(name_label=name)
    assert is_nobak(vdi) is ("[NOBAK]" in name)
    assert outlook(vdis=[vdi], vbds=[make_vbd(is_cd_drive=cd)]).has_nobak_disk("vm") is nobak


def test_a_disk_that_xo_does_not_show_bears_no_mark():
    assert not outlook(vdis=[]).has_nobak_disk("vm")


# Bytes


def night(size, *, full=False, target="repo", schedule="schedule"):
    return make_log(make_vm_task("vm", make_transfer(size, target, full=full)), schedule=schedule)


def bytes_of(*targets, **world):
    shared = outlook(**world)
    return shared.bytes_of(shared.expect(make_due()), "vm", *targets or ("repo",))


def test_a_vm_with_a_base_sends_a_delta_and_one_without_a_full():
    logs = [make_log(make_vm_task("vm", make_transfer(5), make_transfer(50, full=True)))]
    delta = bytes_of(logs=logs, vdi_snapshots=[make_snapshot("s")])
    assert (delta.expected, delta.full, delta.most) == (5, False, 2 * GIB)
    full = bytes_of(logs=logs)
    assert (full.expected, full.full) == (50, True)


def test_bytes_are_told_per_target():
    logs = [night(5, target="repo")]
    snapshots = [make_snapshot("s")]
    assert bytes_of("repo", logs=logs, vdi_snapshots=snapshots).samples == 1
    assert bytes_of("repo2", logs=logs, vdi_snapshots=snapshots).samples == 0


def test_where_a_vm_goes_to_one_of_several_targets_its_newest_transfer_tells_wherever_it_went():
    logs = [
        make_log(make_vm_task("vm", make_transfer(size * GIB, target, full=True, start=start)), start=start)
        for size, target, start in [(5, "repo", LAST_NIGHT - timedelta(days=1)), (3, "repo2", LAST_NIGHT)]
    ]
    for targets in (("repo", "repo2"), ("repo2", "repo")):
        told = bytes_of(*targets, logs=logs)
        assert (told.expected, told.high, told.samples) == (3 * GIB, 5 * GIB, 2)


@pytest.mark.parametrize(("settings", "full"), [({}, False), ({"fullInterval": 2}, True), ({"fullInterval": 3}, False)])
def test_the_full_interval_of_the_vm_makes_a_full(settings, full):
    job = make_job(settings={"schedule": {}, "vm": settings})
    assert bytes_of(jobs=[job], vdi_snapshots=[make_snapshot("s")]).full is full


def test_the_disk_left_out_and_the_cd_are_no_part_of_it_and_one_unseen_has_no_size():
    drives = DRIVES | {"vbds": [vbd for vbd in DRIVES["vbds"] if vbd.vdi != "unseen"]}
    assert bytes_of(**drives).most == 2 * GIB
    assert bytes_of(**DRIVES).most is None


def test_a_new_disk_without_a_base_makes_the_whole_transfer_a_full():
    world = {"vbds": [make_vbd(), make_vbd(vdi="new")], "vdis": [make_vdi(), make_vdi("new")]}
    assert bytes_of(**world, vdi_snapshots=[make_snapshot("s")]).full is True


@pytest.mark.parametrize("part", DISK_PARTS)
@pytest.mark.parametrize("change", [{"ok": False, "error": "x"}, {"complete": False}])
def test_without_the_whole_lists_of_disks_and_snapshots_bytes_are_unknown(part, change):
    world = {"logs": [night(5, full=True)], "reading": {part: change}}
    assert not outlook(**world).disks_are_known
    assert bytes_of(**world) == UNKNOWN


def test_other_lists_do_not_matter_to_bytes():
    assert outlook(reading={PartName.SRS: {"ok": False, "error": "x"}}).disks_are_known


def test_bytes_are_computed_once_for_each_schedule_vm_and_target():
    shared = outlook(vms=[make_vm()])
    run = shared.expect(make_due())
    assert shared.bytes_of(run, "vm", "repo") is shared.bytes_of(run, "vm", "repo")


# Targets


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [({"id": "a"}, ("a",)), ({"id": {"__or": ["a", "b"]}}, ("a", "b")), (UNSET, ()), ({"id": {"__or": []}}, ())],
)
def test_targets_are_those_the_job_lists(pattern, ids):
    assert repository_ids(make_job(remotes=pattern)) == ids
    assert target_sr_ids(make_job(srs=pattern)) == ids


# Failures of past runs


def failed(vm, night, code="C", target="", place="transfer"):
    start = ms(LAST_NIGHT - timedelta(days=night))
    known = {"schedule": "schedule", "job": "job", "place": place, "target": target, "text": "broke"}
    return PastFailure(run=f"{vm}-{night}", start=start, vm=vm, code=code, **known)


def failed_runs(*failures):
    return [
        make_log(make_vm_task(one.vm, status="failure"), start=LAST_NIGHT, id=one.run) for one in failures if one.vm
    ]


def test_the_past_is_asked_once_and_only_when_somebody_wants_to_know():
    asked = []

    def past_failures():
        asked.append(1)
        return [failed("a", 0), failed("b", 0, "D"), failed("a", 1)]

    shared = Outlook(make_estate(), NOW, past_failures)
    shared.expect(make_due())
    assert asked == []
    assert shared.past_failures == {"C": (failed("a", 0), failed("a", 1)), "D": (failed("b", 0, "D"),)}
    assert (shared.repeats("C", 5), shared.repeats("C", 3), asked) == (Repeats(), Repeats(), [1])


def test_an_outlook_that_was_told_nothing_knows_of_no_failure():
    assert (outlook().past_failures, outlook().repeats("C", 5)) == ({}, Repeats())


def test_repeats_are_found_by_vm_by_the_host_they_are_read_from_and_by_the_sr_of_their_disks_or_replicas():
    failures = [
        failed("a", 0),
        failed("b", 0),
        failed("c", 0, target="dr"),
        failed("gone", 0),
        failed("d", 0, target="repo"),
        failed("e", 0, target="repo", place=HEALTH_CHECK),
    ]
    estate = make_estate(
        vms=[make_vm("a"), make_vm("b", container="pool"), make_vm("c"), make_vm("d", container=UNSET), make_vm("e")],
        srs=[make_sr(), make_sr("other"), make_sr("dr")],
        vdis=[
            make_vdi("da"),
            make_vdi("da2", sr="other"),
            make_vdi("db"),
            make_vdi("dc"),
            make_vdi("dd", sr=UNSET),
            make_vdi("de"),
        ],
        vbds=[
            make_vbd("a", "da"),
            make_vbd("a", "da2"),
            make_vbd("b", "db"),
            make_vbd("c", "dc"),
            make_vbd("d", "dd"),
            make_vbd("e", "de"),
        ],
        logs=failed_runs(*failures),
    )
    shared = Outlook(estate, NOW, lambda: failures)
    found = shared.repeats("C", 5)
    assert found.by_vm == {one.vm: Recent((one,), 1) for one in failures}
    assert found.by_host == {"host": ("a",)}
    assert found.by_sr == {"other": ("a",), "sr": ("a", "b"), "dr": ("c",)}
    assert shared.repeats("C", 5) is found
