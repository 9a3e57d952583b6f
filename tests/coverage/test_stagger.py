"""Another time for a schedule that collides, and what it would change."""

from __future__ import annotations

import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from guard.coverage import stagger as module
from guard.coverage.collisions import collisions, places, related, sharing
from guard.coverage.stagger import shifted, stagger
from guard.coverage.timetable import timetable
from guard.mechanics.cron import parse, to_minute, xo_next
from guard.mechanics.outlook import Outlook
from guard.policy.load import load
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.builders import (
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_sequence,
    make_transfer,
    make_vm,
    make_vm_task,
)
from tests.npm import require_npm_project

ORACLES = Path(__file__).parents[1] / "oracles"
XO = '[xo]\nurl = "https://xo"\n'


def past(schedule, job, vms, minutes, runs=5):
    begins = [LAST_NIGHT - timedelta(days=day) for day in range(runs)]
    return [
        make_log(
            *(make_vm_task(vm, make_transfer(1, start=begin)) for vm in vms),
            job=job,
            schedule=schedule,
            start=begin,
            seconds=60 * minutes,
        )
        for begin in begins
    ]


def world(*rows, **more):
    """Rows of (schedule, cron, minutes, VMs, job): each schedule with five runs of that length in the past."""
    jobs = {job: vms for _, _, _, vms, job in rows}
    vms = dict.fromkeys(vm for one in jobs.values() for vm in one)
    given_ = {
        "vms": [make_vm(vm) for vm in vms],
        "jobs": [make_job(job, vms={"id": {"__or": list(own)}}) for job, own in jobs.items()],
        "schedules": [make_schedule(name, job=job, cron=cron) for name, cron, _, _, job in rows],
        "logs": [log for name, _, minutes, own, job in rows for log in past(name, job, own, minutes)],
    }
    return make_estate(**(given_ | more))


def found(estate, text=""):
    policy, outlook = load(XO + text, file="p"), Outlook(estate, NOW)
    table = timetable(outlook, policy)
    where = places(table.lines, estate, outlook.file_systems, policy.limits)
    return stagger(table, policy, estate, where, UTC)


def crons(told):
    return {one.schedule: one.suggested for one in told.suggestions}


def reasons(told):
    return [(one.schedules, one.place, one.reason) for one in told.no_slot]


SHARED = ("small", "0 1 * * *", 30, ("a",), "one"), ("large", "0 1 * * *", 60, ("a", "b"), "two")


def test_the_schedule_with_less_work_moves_to_the_nearest_free_time_and_the_effect_is_told():
    told = found(world(*SHARED))
    assert crons(told) == {"small": "30 0 * * *"}
    (one,) = told.suggestions
    assert (one.cron, one.zone, one.minutes) == ("0 1 * * *", "utc", -30)
    assert (one.before.collisions, one.after.collisions) == (7, 0)
    assert (one.before.shared, one.after.shared) == (7, 0)
    assert (one.before.exports, one.after.exports) == (3, 2)
    assert {one.before.night_end.hour, one.after.night_end.hour} == {2}
    assert (told.before, told.after, told.no_slot, told.left) == (one.before, one.after, (), 0)


def test_nothing_is_suggested_where_nothing_collides():
    told = found(world(SHARED[0], ("large", "0 3 * * *", 60, ("a", "b"), "two")))
    assert (told.suggestions, told.no_slot) == ((), ())


def test_what_a_first_suggestion_clears_needs_no_second_one():
    third = ("third", "10 1 * * *", 10, ("a",), "three")
    told = found(world(*SHARED, third))
    assert told.after.collisions == 0
    assert set(crons(told)) == {"small", "third"}


def test_a_member_of_a_sequence_never_moves_and_two_of_them_have_no_free_time():
    jobs = [make_job("one", vms={"id": "a"}), make_job("two", vms={"id": "a"})]
    alone = world(
        *SHARED,
        schedules=[
            make_schedule("small", job="one", enabled=False),
            make_schedule("large", job="two", cron="0 1 * * *"),
            make_schedule("night", job="sequence-job", cron="0 1 * * *"),
        ],
        call_jobs=[make_sequence("small")],
    )
    assert set(crons(found(alone))) == {"large"}
    both = world(
        *SHARED,
        jobs=jobs,
        schedules=[
            make_schedule("small", job="one", enabled=False),
            make_schedule("large", job="two", enabled=False),
            make_schedule("first", job="sequence-job", cron="0 1 * * *"),
            make_schedule("second", job="other-sequence", cron="0 1 * * *"),
        ],
        call_jobs=[make_sequence("small"), make_sequence("large", id_="other-sequence")],
    )
    ((schedules, place, why),) = reasons(found(both))
    assert (set(schedules), place) == ({"small", "large"}, "")
    assert why == "small: it is a member of a sequence; large: it is a member of a sequence"


def test_a_schedule_that_meets_itself_has_no_other_time():
    told = found(world(("often", "0 0,1 * * *", 90, ("a",), "one")))
    assert reasons(told) == [(("often",), "", "it is due again before its run has ended, at any time of the day")]


def test_a_schedule_that_meets_itself_can_still_leave_another_alone():
    rows = ("often", "0 0,1 * * *", 90, ("a",), "one"), ("large", "30 1 * * *", 200, ("a", "b"), "two")
    told = found(world(*rows))
    assert set(crons(told)) == {"often"}
    assert (told.before.collisions, told.after.collisions) == (14, 7)
    assert [one[0] for one in reasons(told)] == [("often",)]


def test_where_every_time_is_taken_it_says_so():
    rows = ("small", "0 1 * * *", 30, ("a",), "one"), ("all day", "0 * * * *", 59, ("a", "b"), "two")
    told = found(world(*rows))
    assert told.suggestions == ()
    assert reasons(told) == [
        (("small", "all day"), "", "small: no free time within 12 h; all day: no free time within 12 h")
    ]


def test_times_that_cannot_move_together_are_left_and_the_other_schedule_moves():
    told = found(world(("quarters", "0,15 1 * * *", 5, ("a",), "one"), ("large", "0 1 * * *", 60, ("a", "b"), "two")))
    assert set(crons(told)) == {"large"}
    stuck = found(world(("quarters", "0,15 1 * * *", 5, ("a",), "one"), ("odd", "5,20 1 * * *", 30, ("a",), "two")))
    assert "quarters: its times cannot be moved together" in reasons(stuck)[0][2]


def test_a_run_of_unknown_length_is_given_an_hour():
    rows = ("small", "0 1 * * *", 30, ("a",), "one"), ("new", "0 1 * * *", 60, ("a", "b"), "two")
    estate = world(*rows, logs=past("small", "one", ("a",), 30))
    assert crons(found(estate)) == {"new": "30 1 * * *"}


def test_a_time_outside_the_policys_windows_is_no_free_one():
    window = '[[window]]\ncron = "0 1 * * *"\nduration = "3 h"\nschedule = "small"\n'
    assert crons(found(world(*SHARED), window)) == {"small": "0 2 * * *"}
    short = window.replace("3 h", "70 min")
    assert crons(found(world(*SHARED), short)) == {"large": "30 1 * * *"}  # no run of the small one ends in time


def test_a_time_that_the_clocks_skip_or_repeat_is_no_free_one():
    rows = (
        ("small", "0 1 * * *", 30, ("a",), "one"),
        ("large", "0 1 * * *", 90, ("a", "b"), "two"),
        ("early", "0 0 * * *", 59, ("a", "b"), "two"),
    )

    def suggested(zone):
        schedules = [make_schedule(name, job=job, cron=cron, timezone=zone) for name, cron, _, _, job in rows]
        return crons(found(world(*rows, schedules=schedules)))

    assert suggested("utc") == {"small": "30 2 * * *"}
    # in Paris 02:30 is skipped in spring and comes twice in autumn
    assert suggested("Europe/Paris") == {"small": "30 23 * * *"}


def test_no_suggestion_shares_repositories_with_more_runs_or_exports_more_at_once():
    busy = tuple((f"busy {hour}", f"0 {hour} * * *", 30, (f"vm {hour}",), f"job {hour}") for hour in (0, 2, 3))
    told = found(world(*SHARED, *busy))
    assert told.after.collisions == 0
    assert told.after.shared <= told.before.shared
    assert told.after.exports <= told.before.exports


def test_what_crowds_a_place_beyond_the_policys_limit_is_moved_too():
    rows = ("small", "0 1 * * *", 30, ("a",), "one"), ("large", "0 1 * * *", 60, ("b",), "two")
    limit = '[[limit]]\nslots = 1\nper = "repository"\n'
    assert found(world(*rows)).suggestions == ()
    told = found(world(*rows), limit)
    assert crons(told) == {"small": "30 0 * * *"}
    assert (told.before.shared, told.after.shared, told.before.collisions) == (7, 0, 0)


def test_a_crowded_place_that_nobody_can_leave_says_who_was_tried():
    rows = ("small", "0,30 1 * * *", 20, ("a",), "one"), ("large", "0,30 1 * * *", 20, ("b",), "two")
    told = found(world(*rows), '[[limit]]\nslots = 1\nper = "repository"\n')
    assert reasons(told) == [
        (("large",), "repo", "its times cannot be moved together"),
        (("small",), "repo", "its times cannot be moved together"),
    ]


def test_a_time_that_would_pass_a_limit_is_no_free_one():
    rows = (*SHARED, ("other", "0 0 * * *", 60, ("c",), "three"))
    assert crons(found(world(*rows))) == {"small": "30 0 * * *"}
    assert crons(found(world(*rows), '[[limit]]\nslots = 1\nper = "repository"\n')) == {"small": "0 2 * * *"}


def test_beyond_so_many_suggestions_the_rest_is_counted(monkeypatch):
    monkeypatch.setattr(module, "MOST", 1)
    rows = [(f"s {n}{x}", f"0 {n} * * *", 30, (f"vm {n}",), f"job {n}{x}") for n in (1, 5) for x in "ab"]
    told = found(world(*rows))
    assert (len(told.suggestions), told.left) == (1, 1)
    assert told.after.collisions == 7


def test_beyond_so_many_searches_the_rest_is_counted_and_a_stuck_schedule_is_searched_once(monkeypatch):
    taken = [(f"all day {x}", "0 * * * *", 59, ("a", "b"), f"job {x}") for x in "xyz"]
    rows = (("small", "0 1 * * *", 30, ("a",), "one"), *taken)
    told = found(world(*rows))
    assert (told.suggestions, len(told.no_slot), told.left) == ((), 6, 0)
    monkeypatch.setattr(module, "MOST_SEARCHES", 2)
    told = found(world(*rows))
    assert (len(told.no_slot), told.left) == (1, 5)


@pytest.mark.parametrize(
    ("cron", "minutes", "wanted"),
    [
        ("0 1 * * *", 30, "30 1 * * *"),
        ("0 1 * * *", -30, "30 0 * * *"),
        ("30 23 * * *", 45, "15 0 * * *"),
        ("30 23 * * 1-5", 45, None),  # another day
        ("10 0 1 jan *", -15, None),
        ("0 2,14 * * wen", 75, "15 3,15 * * wen"),
        ("0 */6 * * *", 5, "5 0,6,12,18 * * *"),
        ("50 * * * *", 15, "5 * * * *"),
        ("50 * * * *", 65, None),
        ("0,30 1 * * *", 5, None),
        ("* 1 * * *", 5, None),
        ("@daily", 10, "10 0 * * *"),
    ],
)
def test_all_times_of_day_move_by_one_step_or_not_at_all(cron, minutes, wanted):
    assert shifted(cron, minutes) == wanted


HOURS = st.lists(st.integers(0, 23), min_size=1, max_size=2, unique=True)
CRONS = st.builds(
    lambda minute, hours, day: f"{minute} {','.join(map(str, sorted(hours)))} * * {day}",
    st.sampled_from(["0", "7", "30", "0,30"]),
    HOURS,
    st.sampled_from(["*", "*", "*", "1-5", "sun", "wen,sat"]),
)
ROWS = st.lists(
    st.tuples(
        CRONS,
        st.integers(1, 300),
        st.sets(st.sampled_from("abc"), min_size=1),
        st.sampled_from(["one", "two", "three", "four"]),
    ),
    min_size=2,
    max_size=5,
)
ZONES = st.sampled_from(["utc", "Europe/Paris", "America/New_York", "Australia/Lord_Howe"])
LIMITS = st.sampled_from(["", '[[limit]]\nslots = 1\nper = "repository"\n', '[[limit]]\nslots = 2\nper = "xo"\n'])
SUGGESTED: list[tuple[str, str]] = []


def estate_of(rows, zone):
    vms = {}
    for _, _, own, job in rows:
        vms.setdefault(job, tuple(sorted(own)))
    named = [(f"s{number}", cron, minutes, vms[job], job) for number, (cron, minutes, _, job) in enumerate(rows)]
    schedules = [make_schedule(name, job=job, cron=cron, timezone=zone) for name, cron, _, _, job in named]
    return world(*named, schedules=schedules)


@settings(max_examples=60, deadline=None)
@given(rows=ROWS, zone=ZONES, limit=LIMITS)
def test_suggestions_never_make_it_worse_and_are_what_their_crons_give(rows, zone, limit):
    estate = estate_of(rows, zone)
    told = found(estate, limit)
    assert told.after.collisions <= told.before.collisions
    assert told.after.exports <= told.before.exports
    assert len(crons(told)) == len(told.suggestions)
    for one in told.suggestions:
        assert one.after.collisions <= one.before.collisions
        assert one.after.shared <= one.before.shared
        assert parse(one.suggested).expression == one.suggested
    SUGGESTED.extend((one.suggested, zone) for one in told.suggestions)
    # a person who sets them in XO gets what was promised
    set_in_xo = crons(told)
    changed = [msgspec.structs.replace(one, cron=set_in_xo.get(one.id, one.cron)) for one in estate.schedules]
    policy = load(XO + limit, file="p")
    table = timetable(
        Outlook(make_estate(vms=estate.vms, jobs=estate.jobs, schedules=changed, logs=estate.logs), NOW), policy
    )
    assert sum(one.times for one in collisions(table.lines, related(table.lines))) == told.after.collisions
    assert sharing(table.lines) == told.after.shared


@settings(max_examples=60, deadline=None)
@given(cron=CRONS, zone=ZONES, minutes=st.integers(-720, 720))
def test_a_moved_expression_names_as_many_times_of_the_same_days(cron, zone, minutes):
    moved = shifted(cron, minutes)
    if moved is None:
        return
    before, after = parse(cron), parse(moved)
    assert (before.date, before.month, before.day) == (after.date, after.month, after.day)
    assert len(before.hour) * len(before.minute) == len(after.hour) * len(after.minute)
    assert xo_next(moved, zone, NOW) > NOW


@pytest.mark.oracle
def test_xo_starts_what_is_suggested_when_guard_says_it_would():
    require_npm_project(ORACLES, "oracle", "THE SUGGESTED CRONS WERE NOT HELD AGAINST XO'S OWN CRON")
    sys.path.insert(0, str(ORACLES))
    from compare import differences
    from oracle import ask

    begin = to_minute(datetime(2027, 1, 1, tzinfo=UTC))
    told = set(SUGGESTED)
    told |= {(shifted(cron, step), "Europe/Paris") for cron in ("0 1 * * *", "0 2,14 * * wen") for step in (5, 45, -55)}
    questions = [
        {"op": "cron", "expression": cron, "zone": zone, "after": begin, "count": 400} for cron, zone in sorted(told)
    ]
    assert differences(questions, ask(questions)) == []
