"""Which run belongs to which due time, what explains a run, and what its log tells."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.agenda import Firing
from guard.gate.match import belongs, explains, fires, log_seen, progress, sequence_runs
from guard.lifecycle.events import BY_HAND, RunKey
from tests.builders import (
    DUE,
    make_estate,
    make_log,
    make_schedule,
    make_sequence,
    make_transfer,
    make_vm_task,
    ms,
)
from tests.lifecycle.stories import after, seen, started, story

DAY = timedelta(days=1)


def due(at=DUE, via="", schedule="schedule", starts=None, *events):
    return story(seen(due=at, starts=starts), *events, key=RunKey(schedule, at, via))


def begun(seconds=0, schedule="schedule", **more):
    return make_log(start=after(seconds), schedule=schedule, **more)


# --- belongs


@pytest.mark.parametrize(
    ("seconds", "mine"), [(-6, False), (-5, True), (0, True), (3, True), (70, True), (71, False), (86400, False)]
)
def test_a_run_belongs_to_the_due_time_at_which_it_began(seconds, mine):
    assert belongs(due(), begun(seconds), [due()]) is mine


def test_a_run_of_another_schedule_or_without_a_begin_belongs_to_none():
    assert not belongs(due(), begun(schedule="other"), [])
    assert not belongs(due(), msgspec.structs.replace(begun(), start=msgspec.UNSET), [])
    assert not belongs(due(), msgspec.structs.replace(begun(), schedule_id=msgspec.UNSET), [])


@pytest.mark.parametrize(("seconds", "mine"), [(0, True), (1800, False), (3595, True), (3670, True), (3671, False)])
def test_where_xo_starts_twice_both_runs_belong(seconds, mine):
    run = due(DUE, "", "schedule", (DUE, after(3600)))
    assert belongs(run, begun(seconds), [run]) is mine


@pytest.mark.parametrize(("seconds", "owner"), [(0, 0), (54, 0), (55, 1), (60, 1), (130, 1)])
def test_of_two_due_times_a_minute_apart_the_nearer_one_has_the_run(seconds, owner):
    runs = [due(), due(after(60))]
    assert [belongs(run, begun(seconds), runs) for run in runs] == [owner == 0, owner == 1]


def test_neither_another_schedule_nor_a_sequence_takes_a_run_away():
    others = [due(after(60), schedule="other"), due(after(60), "sequence")]
    assert belongs(due(), begun(65), others)


def test_two_pairs_of_starts_within_one_another_keep_their_own_runs():
    first = due(DUE, "", "schedule", (DUE, after(3600)))
    second = due(after(1800), "", "schedule", (after(1800), after(5400)))
    owners = [[belongs(run, begun(at), [first, second]) for run in (first, second)] for at in (0, 1800, 3600, 5400)]
    assert owners == [[True, False], [False, True], [True, False], [False, True]]


def test_a_run_that_was_seen_belongs_however_late_it_began():
    run = story(seen(), started("odd", 5000))
    assert belongs(run, begun(5000, id="odd"), [run])


@pytest.mark.parametrize(
    ("seconds", "mine"),
    [(-6, False), (-5, True), (0, True), (20 * 3600, True), (86400 - 6, True), (86400 - 5, False)],
)
def test_a_member_begins_at_any_time_while_its_sequence_may_go_on(seconds, mine):
    run = due(via="sequence")
    assert belongs(run, begun(seconds), [run]) is mine


@pytest.mark.parametrize(("seconds", "owner"), [(3000, 0), (3594, 0), (3595, 1), (3600, 1), (9000, 1)])
def test_the_next_firing_of_the_sequence_takes_over(seconds, owner):
    runs = [due(via="sequence"), due(after(3600), via="sequence")]
    other = due(after(1800), via="another sequence")
    assert [belongs(run, begun(seconds), [*runs, other]) for run in runs] == [owner == 0, owner == 1]


@pytest.mark.parametrize(("seconds", "mine"), [(413, True), (414, False)])
def test_a_run_by_hand_is_known_by_its_very_begin(seconds, mine):
    assert belongs(due(after(413), BY_HAND), begun(seconds), []) is mine


# --- explains


@pytest.mark.parametrize(("seconds", "explained"), [(-6, False), (-5, True), (0, True), (70, True), (71, False)])
def test_a_firing_explains_the_runs_at_its_due_times(seconds, explained):
    assert explains(Firing(make_schedule(), "utc", ()), after(seconds)) is explained


@pytest.mark.parametrize(("seconds", "explained"), [(-5, True), (70, True), (3 * 3600, True), (86394, True)])
def test_a_sequence_explains_its_members_for_a_day(seconds, explained):
    firing = Firing(make_schedule(cron="0 0 25 * *"), "utc", (), ("member",))
    assert explains(firing, after(seconds)) is explained
    assert not explains(firing, after(86401))


@pytest.mark.parametrize(("minute", "explained"), [(0, True), (60, True), (30, False), (62, False)])
def test_both_starts_of_a_clock_change_night_are_explained(minute, explained):
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)  # 02:30 in Paris, and 02:30 once more
    firing = Firing(make_schedule(cron="30 2 * * *"), "Europe/Paris", ())
    assert explains(firing, first + timedelta(minutes=minute)) is explained


# --- what XO's setup says of it


@pytest.mark.parametrize(
    ("schedules", "still"),
    [
        ([make_schedule()], True),
        ([make_schedule(enabled=False)], False),
        ([make_schedule(cron="0 1 * * *")], False),
        ([], False),
    ],
)
def test_a_due_time_fires_while_its_schedule_is_as_it_was(schedules, still):
    assert fires(due(), make_estate(schedules=schedules)) is still


def test_a_member_fires_with_its_sequence_and_a_run_by_hand_whatever_its_schedule_does():
    off = make_schedule(enabled=False)
    assert fires(due(via="sequence"), make_estate(schedules=[off, make_schedule("sequence")]))
    assert not fires(due(via="sequence"), make_estate(schedules=[make_schedule()]))
    assert fires(due(via=BY_HAND), make_estate(schedules=[off]))


@pytest.mark.parametrize(
    ("via", "run_id", "goes_on"),
    [("sequence", "1", True), ("sequence", msgspec.UNSET, False), ("", "1", False), ("gone", "1", False)],
)
def test_a_sequence_goes_on_while_its_job_shows_a_run(via, run_id, goes_on):
    schedules = [make_schedule(), make_schedule("sequence", job="sequence-job")]
    estate = make_estate(schedules=schedules, call_jobs=[make_sequence("schedule", runId=run_id)])
    assert sequence_runs(due(via=via), estate) is goes_on


# --- what a log tells


def test_a_pending_log_has_no_outcome_and_an_ended_one_has():
    assert log_seen(make_log(start=DUE, status="pending")).outcome is None
    over = log_seen(make_log(make_vm_task(), start=DUE))
    assert (over.run, over.began, over.outcome.status) == (f"{ms(DUE)}:schedule", DUE, "success")


@pytest.mark.parametrize(
    ("tasks", "moved"),
    [
        ((), None),
        ([make_vm_task()], None),
        ([make_vm_task(start=ms(after(10)))], after(10)),
        ([make_vm_task(start=ms(after(10)), end=ms(after(50)))], after(50)),
        ([make_vm_task("vm", make_transfer(5, start=after(20), seconds=60), start=ms(after(10)))], after(80)),
    ],
)
def test_progress_is_the_last_begin_or_end_of_a_task(tasks, moved):
    assert log_seen(make_log(*tasks, start=DUE, status="pending")).progress_at == moved


def test_a_log_without_tasks_or_begin_is_still_read():
    bare = msgspec.structs.replace(make_log(), start=msgspec.UNSET, tasks=msgspec.UNSET)
    assert (log_seen(bare).began.year, log_seen(bare).progress_at) == (1970, None)
    assert progress(bare).began.year == 1970


def test_the_progress_of_a_run_counts_vms_and_bytes():
    done = make_vm_task("a", make_transfer(5), end=ms(after(60)))
    doing = make_vm_task("b", make_transfer(7), status="pending")
    named = [{"message": "vms", "data": {"vms": ["a", "b", "c"]}}]
    found = progress(make_log(done, doing, start=DUE, status="pending", infos=named, jobName="nightly"))
    assert (found.schedule, found.job_name, found.began) == ("schedule", "nightly", DUE)
    assert (found.vms, found.vms_done, found.sent_bytes) == (3, 1, 12)
