"""Entries of the policy that nothing in XO answers to."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.assess import make_plan
from guard.decision.idle import idle_limits, idle_schedules
from guard.estate.estate import PartName
from guard.policy.load import load
from tests.builders import NOW, make_estate, make_job, make_pool, make_repository, make_schedule, make_sequence, make_sr

NO_JOB = make_schedule("lost", job="gone")
SEQUENCE = make_schedule("seq", name="all of them", job="sequence-job")
SMART = make_job(name="web", vms={"tags": {"__or": [["prod"]]}})


def policy(text):
    return load(f'[xo]\nurl = "http://x"\n{text}', file="g.toml")


def world(**more):
    given = {
        "jobs": [SMART],
        "schedules": [make_schedule(name="nightly", enabled=False), SEQUENCE, NO_JOB],
        "call_jobs": [make_sequence("schedule")],
        "pools": [make_pool(name_label="paris")],
        "srs": [make_sr(name_label="NFS old")],
        "repositories": [make_repository(name="nas")],
    }
    return make_estate(**(given | more))


SCHEDULE, WINDOW = "[[schedule]]\n{}\ngate = 'enforce'\n", "[[window]]\n{}\ncron = '0 22 * * *'\nduration = '8 h'\n"


@pytest.mark.parametrize(
    ("entry", "told"),
    [
        (SCHEDULE.format("name = 'nightlyy'"), 'schedule[1] of the policy (name = "nightlyy") does nothing: XO shows no '),
        (SCHEDULE.format("name = 'nightly'"), ""),
        (SCHEDULE.format("name = 'night*'"), ""),
        (SCHEDULE.format("name = 'all of them'"), ""),
        (SCHEDULE.format("id = 'lost'"), ""),
        (SCHEDULE.format("id = 'schedule'\njob = 'db'"), '(id = "schedule", job = "db")'),
        (SCHEDULE.format("job = 'web'\ntag = 'prod'"), ""),
        (SCHEDULE.format("tag = 'test'"), '(tag = "test")'),
        (WINDOW.format("schedule = 'nightlyy'"), 'window[1] of the policy (schedule = "nightlyy") does nothing: XO shows no '),
        (WINDOW.format("schedule = 'nightly'\njob = 'db'"), '(schedule = "nightly", job = "db")'),
        (WINDOW.format("tag = 'prod'"), ""),
        (WINDOW.format("tag = 'test'"), '(tag = "test")'),
        (WINDOW.format(""), ""),
    ],
)  # fmt: skip
def test_an_entry_that_is_for_no_schedule_of_xos_is_told_with_what_it_asks_for(entry, told):
    found = idle_schedules(policy(entry), world())
    assert len(found) == bool(told)
    assert all(told in one for one in found)


def test_a_window_for_all_schedules_is_never_idle_where_xo_has_none():
    assert idle_schedules(policy(WINDOW.format("")), world(schedules=[])) == ()


@pytest.mark.parametrize(
    ("per", "name", "told"),
    [
        ("repository", "nas", ""),
        ("repository", "na?", ""),
        ("repository", "nass", 'limit[1] of the policy (name = "nass") does nothing: XO shows no backup repository of that name.'),
        ("sr", "NFS*", ""),
        ("sr", "NFS", 'limit[1] of the policy (name = "NFS") does nothing: XO shows no SR of that name.'),
        ("pool", "paris", ""),
        ("pool", "lyon", 'limit[1] of the policy (name = "lyon") does nothing: XO shows no pool of that name.'),
    ],
)  # fmt: skip
def test_a_limit_on_things_of_a_name_that_none_has_is_told(per, name, told):
    found = idle_limits(policy(f"[[limit]]\nslots = 1\nper = '{per}'\nname = '{name}'\n"), world())
    assert "".join(found) == told


def test_a_limit_on_all_of_xo_is_for_something():
    assert idle_limits(policy("[[limit]]\nslots = 1\nper = 'xo'\n"), world()) == ()


@pytest.mark.parametrize("state", [{"ok": False}, {"complete": False}])
@pytest.mark.parametrize("part", [PartName.SCHEDULES, PartName.JOBS, PartName.CALL_JOBS, PartName.SRS])
def test_nothing_is_said_to_be_idle_where_xo_did_not_tell_all(part, state):
    entries = policy(SCHEDULE.format("name = 'nightlyy'") + "[[limit]]\nslots = 1\nper = 'sr'\nname = 'NFS'\n")
    estate = world(reading={part: state})
    told = (*idle_schedules(entries, estate), *idle_limits(entries, estate))
    assert [one.partition("[")[0] for one in told] == (["schedule"] if part is PartName.SRS else ["limit"])


def test_what_is_idle_is_a_note_of_the_plan_and_makes_nothing_unknown():
    entries = policy(SCHEDULE.format("name = 'nightlyy'") + "[[limit]]\nslots = 1\nper = 'sr'\nname = 'NFS'\n")
    plan = make_plan(world(), entries, now=NOW, start=NOW, within=timedelta(hours=4))
    told = [note for note in plan.notes if "does nothing" in note.text]
    assert [(note.text.partition("[")[0], note.unknown) for note in told] == [("schedule", False), ("limit", False)]
