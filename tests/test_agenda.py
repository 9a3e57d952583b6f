"""Which runs are due: schedules, sequences, and what kept some from being told (xo-api.md 6, dst-nights.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard import agenda as agenda_module
from guard.agenda import Note, make_agenda
from guard.estate.estate import PartName
from msgspec import UNSET
from tests.builders import DUE, NOW, make_estate, make_job, make_schedule, make_sequence

MINUTE = timedelta(minutes=1)
SPRING = datetime(2027, 3, 28, tzinfo=UTC)
AUTUMN = datetime(2027, 10, 31, tzinfo=UTC)


def agenda(*, after=NOW, until=None, zone=None, lasts=None, **world):
    until = after + timedelta(days=1) if until is None else until
    seconds = {schedule: 60 * minutes for schedule, minutes in (lasts or {}).items()}
    return make_agenda(make_estate(**world), after=after, until=until, local_zone=zone, seconds_of=seconds.get)


def starts(found, since=DUE):
    """(schedule, minutes after a time) of each due time, in order of time."""
    return sorted(
        ((one.schedule_id, (one.at - since) // MINUTE) for one in found.dues), key=lambda one: (one[1], one[0])
    )


def sequence(*members, at=0, lost=(), **xo):
    """Members "a" to "d" with a job each, disabled as XO's form leaves them, and a sequence over some of them."""
    names = [name for name in "abcd" if name not in lost]
    return {
        "jobs": [make_job(f"{name}-job") for name in names],
        "call_jobs": [make_sequence(*members)],
        "schedules": [
            make_schedule("sequence", job="sequence-job", **({"cron": f"0 {at} * * *"} | xo)),
            *(make_schedule(name, job=f"{name}-job", enabled=False) for name in names),
        ],
    }


def test_an_enabled_schedule_is_due_at_its_times_and_a_disabled_one_never():
    found = agenda(schedules=[make_schedule(cron="0 */8 * * *"), make_schedule("off", enabled=False)])
    assert starts(found) == [("schedule", 0), ("schedule", 480), ("schedule", 960)]
    assert (found.notes, [one.schedule.id for one in found.firings]) == ((), ["schedule"])
    assert found.firings[0].dues == found.dues
    assert (found.firings[0].zone, found.firings[0].members) == ("utc", ())


def test_the_first_moment_is_out_and_the_last_one_in():
    times = {"schedules": [make_schedule(cron="0 * * * *")]}
    assert starts(agenda(after=DUE, until=DUE + 120 * MINUTE, **times)) == [("schedule", 60), ("schedule", 120)]


# Sequences


def test_members_come_one_after_another_by_their_usual_durations():
    found = agenda(lasts={"a": 30, "b": 45, "c": 10}, **sequence("a", "b", "c"))
    assert starts(found) == [("a", 0), ("b", 30), ("c", 75)]
    assert {(one.via, one.sequence_at, one.cron, one.zone) for one in found.dues} == {
        ("sequence", DUE, "0 0 * * *", "utc")
    }
    assert [one.job_id for one in found.dues] == ["a-job", "b-job", "c-job"]
    assert [one.starts for one in found.dues] == [(DUE,), (DUE + 30 * MINUTE,), (DUE + 75 * MINUTE,)]
    assert (found.firings[0].members, found.notes) == (("a", "b", "c"), ())


def test_a_member_of_unknown_duration_takes_no_time():
    assert starts(agenda(lasts={"b": 45}, **sequence("a", "b", "c"))) == [("a", 0), ("b", 0), ("c", 45)]


def test_a_schedule_may_come_twice_in_a_sequence():
    assert starts(agenda(lasts={"a": 30, "b": 5}, **sequence("a", "b", "a"))) == [("a", 0), ("b", 30), ("a", 35)]


def test_members_still_to_come_of_a_sequence_that_began_before_are_due():
    # it began at 21:00, an hour before
    found = agenda(lasts={"a": 50, "b": 40, "c": 30}, **sequence("a", "b", "c", at=21))
    assert starts(found, NOW)[:1] == [("c", 30)]
    assert found.dues[0].sequence_at == NOW - 60 * MINUTE


def test_a_member_that_comes_at_the_first_moment_itself_is_not_due():
    found = agenda(until=NOW + 60 * MINUTE, lasts={"a": 60, "b": 20}, **sequence("a", "b", "c", at=21))
    assert starts(found, NOW) == [("c", 20)]


def test_members_of_the_last_turn_that_come_after_the_end_are_not_due():
    found = agenda(until=DUE + 30 * MINUTE, lasts={"a": 30, "b": 1}, **sequence("a", "b", "c"))
    assert starts(found) == [("a", 0), ("b", 30)]


def test_a_disabled_sequence_runs_nothing():
    assert agenda(**sequence("a", enabled=False)).dues == ()


@pytest.mark.parametrize(
    ("call", "known"),
    [({"method": "vm.start"}, False), ({"paramsVector": UNSET}, False), ({}, True)],
    ids=["another call", "no members", "sequence"],
)
def test_a_call_job_that_is_no_sequence_is_no_business_of_guards(call, known):
    found = agenda(**sequence("a") | {"call_jobs": [make_sequence("a", **call)]})
    assert (bool(found.dues), bool(found.firings), found.notes) == (known, known, ())


@pytest.mark.parametrize(
    ("name", "counts"),
    [
        ("guard[0a1b]: start a 2026-11-25T00:00:00Z", False),
        ("guard[0a1b]: release a 2026-11-25T00:00:00Z", False),
        ("guard[0a1b]: start a soon", True),
        ("all night", True),
    ],
)
def test_what_guard_put_into_xo_as_a_fallback_is_neither_a_sequence_nor_a_due_time(name, counts):
    found = agenda(**sequence("a") | {"call_jobs": [make_sequence("a", name=name)]})
    assert (bool(found.dues), bool(found.firings), found.notes) == (counts, counts, ())


def test_a_member_may_be_a_call_job_of_which_there_is_no_backup_to_plan():
    world = sequence("a", "b", "c")
    world["jobs"] = [job for job in world["jobs"] if job.id != "b-job"]
    world["call_jobs"] = [*world["call_jobs"], make_sequence(id_="b-job", method="vm.start")]
    found = agenda(lasts={"a": 5, "b": 10}, **world)
    assert (starts(found), found.notes) == ([("a", 0), ("c", 15)], ())


@pytest.mark.parametrize("loss", ["schedule", "job"])
def test_a_missing_member_ends_the_sequence_because_xo_throws_when_its_turn_comes(loss):
    world = sequence("a", "b", "c", "d", lost=("c",) if loss == "schedule" else ())
    if loss == "job":
        world["jobs"] = [job for job in world["jobs"] if job.id != "c-job"]
    found = agenda(lasts={"a": 5}, **world)
    assert starts(found) == [("a", 0), ("b", 5)]
    text = "Sequence sequence: XO stops it at the member c, which does not exist or has lost its job."
    assert found.notes == (Note(text, unknown=True, schedule="sequence"),)


def test_a_member_without_any_job_ends_the_sequence():
    world = sequence("a", lost=("a",))
    world["schedules"].append(make_schedule("a", job=UNSET, enabled=False))
    found = agenda(**world)
    assert (found.dues, len(found.notes)) == ((), 1)


def test_a_broken_sequence_that_is_not_due_makes_nothing_unknown():
    assert agenda(until=NOW + 60 * MINUTE, **sequence("a", "b", lost=("a",))).notes == ()


@pytest.mark.parametrize("part", [PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS])
def test_a_member_missing_from_a_list_that_is_not_whole_is_not_told_to_be_gone(part):
    found = agenda(reading={part: {"complete": False}}, **sequence("a", "b", "c", lost=("b",)))
    assert starts(found) == [("a", 0)]
    (note,) = found.notes
    assert (note.unknown, "filtered" in note.text) == (True, True)


def test_the_double_start_of_a_sequence_is_carried_to_its_members():
    found = agenda(
        after=AUTUMN - timedelta(hours=6),
        lasts={"a": 10},
        **sequence("a", "b", cron="30 2 * * *", timezone="Europe/Paris"),
    )
    assert [(one.schedule_id, [(start - AUTUMN) // MINUTE for start in one.starts]) for one in found.dues] == [
        ("a", [30, 90]),
        ("b", [40, 100]),
    ]
    assert all(one.zone == "Europe/Paris" and one.cron == "30 2 * * *" for one in found.dues)


def test_the_storm_of_a_sequence_is_carried_to_its_members():
    found = agenda(
        after=SPRING - timedelta(hours=6),
        until=SPRING + timedelta(hours=2),
        **sequence("a", "b", cron="0,30 2 * * *", timezone="Europe/Paris"),
    )
    assert [(one.schedule_id, one.storm.first) for one in found.dues] == [("a", SPRING), ("b", SPRING)]


# What cannot be told


@pytest.mark.parametrize(
    ("part", "told"),
    [(PartName.SCHEDULES, "schedules"), (PartName.JOBS, "jobs"), (PartName.CALL_JOBS, "sequences")],
)
@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"ok": False, "error": "XO answered 500."},
            "The {} could not be read, so runs may be missing here. XO answered 500.",
        ),
        (
            {"complete": False},
            "XO may have filtered its list of {} (the token's user is no administrator): runs may be missing here.",
        ),
    ],
)
def test_a_list_that_was_not_read_whole_may_hide_runs(part, told, change, text):
    found = agenda(reading={part: change})
    assert found.notes == (Note(text.format(told), unknown=True),)
    assert starts(found) == [("schedule", 0)]


def test_a_list_that_plans_do_not_rest_on_makes_no_note():
    assert agenda(reading={PartName.LOGS: {"ok": False, "error": "x"}}).notes == ()


@pytest.mark.parametrize(("job", "shown"), [("gone", "gone"), (UNSET, "(none)")])
def test_a_schedule_whose_job_does_not_exist_fails_at_every_start(job, shown):
    found = agenda(schedules=[make_schedule(job=job)])
    text = f"Schedule schedule: its job {shown} does not exist in XO; every start fails."
    assert (found.dues, found.notes) == ((), (Note(text, unknown=True, schedule="schedule"),))


def test_a_schedule_whose_job_does_not_exist_is_told_only_while_it_is_due():
    assert agenda(until=NOW + 60 * MINUTE, schedules=[make_schedule(job="gone")]).notes == ()


@pytest.mark.parametrize("part", [PartName.JOBS, PartName.CALL_JOBS])
@pytest.mark.parametrize("change", [{"ok": False, "error": "x"}, {"complete": False}])
def test_a_job_missing_from_a_list_that_is_not_whole_is_not_told_to_be_gone(part, change):
    found = agenda(schedules=[make_schedule(job="gone")], reading={part: change})
    assert ["does not exist" in note.text for note in found.notes] == [False]


@pytest.mark.parametrize("cron", ["*/0 * * * *", "0 2 * * wed", "0 0 31 1 *", "nonsense"])
def test_a_cron_xo_would_choke_on_is_unknown(cron):
    found = agenda(schedules=[make_schedule(cron=cron), make_schedule("good")])
    (note,) = found.notes
    assert note.text.startswith(f"Schedule schedule: XO itself would choke on its cron {cron!r}: ")
    assert (note.unknown, note.schedule, starts(found)) == (True, "schedule", [("good", 0)])
    assert [one.schedule.id for one in found.firings] == ["good"]


# Zones


def test_without_a_zone_xo_uses_utc_and_there_is_nothing_to_note():
    assert (starts(agenda(schedules=[make_schedule(timezone=None)])), agenda().notes) == ([("schedule", 0)], ())


def test_a_zone_xo_does_not_know_leaves_the_schedule_in_utc_and_is_no_unknown():
    found = agenda(schedules=[make_schedule(timezone="Mars/Olympus")])
    text = "Schedule schedule: XO does not know the zone 'Mars/Olympus' and uses UTC."
    assert found.notes == (Note(text, unknown=False, schedule="schedule"),)
    assert (starts(found), found.dues[0].zone) == ([("schedule", 0)], "utc")


def test_the_zone_of_xos_own_machine_is_unknown_until_the_policy_tells_it():
    local = {"schedules": [make_schedule(timezone="local")]}
    found = agenda(**local)
    text = "Schedule schedule: its zone is XO's own (local), which no API shows; set [xo] zone in the policy."
    assert (found.dues, found.firings, found.notes) == ((), (), (Note(text, unknown=True, schedule="schedule"),))
    told = agenda(zone="Europe/Paris", **local)
    assert (starts(told), told.notes) == ([("schedule", -60)], ())
    assert told.dues[0].zone == "Europe/Paris"


def test_a_zone_of_its_own_is_not_that_of_xos_machine():
    assert starts(agenda(zone="Europe/Paris", schedules=[make_schedule(timezone="Asia/Tokyo")])) == [("schedule", 900)]


def test_schedules_that_would_run_more_often_than_anybody_can_look_at_are_left_out_and_told(monkeypatch):
    monkeypatch.setattr(agenda_module, "MOST_DUES", 1445)
    every_minute = make_schedule("busy", cron="* * * * *")
    found = agenda(
        schedules=[make_schedule("a"), every_minute, make_schedule("b", cron="*/10 * * * *"), make_schedule("c")]
    )
    assert {one.schedule_id for one in found.dues} == {"a", "busy"}
    assert found.notes == (
        Note("More than 1445 runs are due by then; left out are those of b, c. Ask for a shorter time.", unknown=True),
    )


def test_the_members_of_a_sequence_count_as_often_as_they_run(monkeypatch):
    monkeypatch.setattr(agenda_module, "MOST_DUES", 2)
    found = agenda(**sequence("a", "b", "a"))
    assert (found.dues, [note.unknown for note in found.notes]) == ((), [True])
