"""What the daemon does now: text, guard.status/1, and the one line for monitoring."""

from __future__ import annotations

import json
import re
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import msgspec
import pytest
from guard.lifecycle.events import Alarmed, End, RunKey
from guard.lifecycle.loop import Loop, Progress, SwitchedOff
from guard.views.status import Lately, lately, nagios, off_text, standing, status_document, status_text
from guard.views.text import cells
from tests.builders import DUE, GIB
from tests.lifecycle.stories import after, alarmed, attempt_ended, ended, seen, started, story

NOW = after(3600)
RUNNING = Progress(schedule="schedule", job_name="nightly", run="1", began=DUE, vms=3, vms_done=1, sent_bytes=3 * GIB)
IDLE = Loop(at=after(3590), next_due=after(days=1))
BUSY = msgspec.structs.replace(IDLE, running=(RUNNING,))
BLIND = msgspec.structs.replace(IDLE, xo_error="No XO answers", unread_since=after(1800))
STUCK = story(seen(), started(), alarmed(text="Nothing moved for 30 min."))
UNKNOWN_NOW = (
    "GUARD UNKNOWN - the last look is 5 min old; then 1 alarm: Nothing moved for 30 min."
    "|age=301s;300 running=0 alarms=1 bad=0"
)
NASTY = "\x1b[31m|\u202eデータ\n" * 30


def text(loop, *alarms):
    return status_text(loop, alarms, NOW, ZoneInfo("Europe/Paris"))


def document(loop, *alarms):
    return json.loads(msgspec.json.encode(status_document(loop, alarms, NOW)))


def test_before_the_first_look_there_is_nothing_to_tell():
    assert text(None) == "The daemon has not looked at XO yet.\n"
    assert document(None) == {
        "schema": "guard.status/1",
        "looked_at": None,
        "age_s": None,
        "xo_error": None,
        "next_due": None,
        "next_due_of": None,
        "running": None,
        "claims": [],
        "fallbacks": [],
        "deferrals": [],
        "brakes": [],
        "changed": [],
        "alarms": [],
        "standing": [],
        "unwatched": [],
        "idle_entries": [],
        "last_day": {"over": 0, "bad": 0},
        "channels": [],
    }
    assert nagios(None, (), NOW) == (3, "GUARD UNKNOWN - the daemon has not looked at XO yet")


@pytest.mark.parametrize(
    ("loop", "alarms", "lines"),
    [
        (IDLE, (), ["Nothing runs.", "Next due: Thu 26 Nov 01:00 CET.", "Last look 10 s ago."]),
        (
            Loop(at=NOW),
            (),
            ["Nothing runs.", "Nothing is due within two days.", "Last look 0.0 s ago."],
        ),
        (
            BUSY,
            (),
            [
                "Running for 60 min: nightly, 1 of 3 VMs done, 3.0 GiB sent",
                "Next due: Thu 26 Nov 01:00 CET.",
                "Last look 10 s ago.",
            ],
        ),
        (
            BLIND,
            (STUCK,),
            [
                "XO cannot be read since Wed 25 Nov 01:30 CET: No XO answers",
                "What runs is unknown.",
                "Next due: Thu 26 Nov 01:00 CET.",
                "Alarm JOB_STUCK: Nothing moved for 30 min.",
                "Last look 10 s ago.",
            ],
        ),
        (
            msgspec.structs.replace(BLIND, unread_since=None, next_due=None),
            (),
            [
                "XO cannot be read: No XO answers",
                "What runs is unknown.",
                "What is due is unknown.",
                "Last look 10 s ago.",
            ],
        ),
    ],
    ids=["idle", "nothing due", "running", "an alarm, and XO away", "XO away since nobody knows"],
)
def test_a_person_reads_what_runs_what_is_next_and_what_is_wrong(loop, alarms, lines):
    assert text(loop, *alarms).splitlines() == lines


def test_names_from_outside_reach_no_terminal_and_no_line_is_longer_than_80_columns():
    loop = Loop(at=NOW, xo_error=NASTY, running=(msgspec.structs.replace(RUNNING, job_name=NASTY),))
    told = text(loop, story(seen(), alarmed(NASTY, NASTY)))
    assert max(map(cells, told.splitlines())) <= 80
    assert not any(mark in told for mark in ("\x1b", "\u202e"))


def test_the_document_has_every_figure():
    told = document(BUSY, STUCK)
    assert told == {
        "schema": "guard.status/1",
        "looked_at": "2026-11-25T00:59:50+00:00",
        "age_s": 10.0,
        "xo_error": None,
        "next_due": "2026-11-26T00:00:00+00:00",
        "next_due_of": None,
        "running": [
            {
                "schedule": "schedule",
                "job": "nightly",
                "run": "1",
                "began": "2026-11-25T00:00:00+00:00",
                "vms": 3,
                "vms_done": 1,
                "sent_bytes": 3 * GIB,
            }
        ],
        "claims": [],
        "fallbacks": [],
        "deferrals": [],
        "brakes": [],
        "changed": [],
        "alarms": [
            {
                "schedule": "schedule",
                "due": "2026-11-25T00:00:00+00:00",
                "code": "JOB_STUCK",
                "text": "Nothing moved for 30 min.",
                "earlier": 0,
            }
        ],
        "standing": [],
        "unwatched": [],
        "idle_entries": [],
        "last_day": {"over": 0, "bad": 0},
        "channels": [],
    }
    assert document(Loop(at=NOW)) == document(None) | {"looked_at": NOW.isoformat(), "age_s": 0.0, "running": []}
    blind = document(msgspec.structs.replace(BUSY, xo_error="No XO answers"))
    assert (blind["xo_error"], blind["running"]) == ("No XO answers", None)


@pytest.mark.parametrize(
    ("loop", "alarms", "code", "line"),
    [
        (IDLE, (), 0, "GUARD OK - 0 runs going on|age=10s;300 running=0 alarms=0 bad=0"),
        (BUSY, (), 0, "GUARD OK - 1 run going on|age=10s;300 running=1 alarms=0 bad=0"),
        (BLIND, (), 1, "GUARD WARNING - XO cannot be read: No XO answers|age=10s;300 running=U alarms=0 bad=0"),
        (
            BLIND,
            (STUCK,),
            2,
            "GUARD CRITICAL - 1 alarm: Nothing moved for 30 min.|age=10s;300 running=U alarms=1 bad=0",
        ),
        (
            BUSY,
            (STUCK, story(seen(), alarmed("XO_DID_NOT_FIRE"))),
            2,
            "GUARD CRITICAL - 2 alarms: Nothing moved for 30 min.|age=10s;300 running=1 alarms=2 bad=0",
        ),
        (
            Loop(at=NOW - timedelta(seconds=300)),
            (),
            0,
            "GUARD OK - 0 runs going on|age=300s;300 running=0 alarms=0 bad=0",
        ),
        (
            Loop(at=NOW - timedelta(seconds=301)),
            (STUCK,),
            3,
            UNKNOWN_NOW,
        ),
    ],
    ids=["idle", "running", "XO away", "an alarm goes first", "two alarms", "just fresh enough", "stale"],
)
def test_monitoring_gets_a_code_and_one_line(loop, alarms, code, line):
    assert nagios(loop, alarms, NOW) == (code, line)


@pytest.mark.parametrize(
    ("loop", "alarms"),
    [(IDLE, (story(seen(), alarmed(text=NASTY)),)), (msgspec.structs.replace(BLIND, xo_error=NASTY), ())],
    ids=["an alarm's text", "XO's words"],
)
def test_nothing_from_outside_breaks_the_line_or_its_perfdata(loop, alarms):
    _, line = nagios(loop, alarms, NOW)
    assert line.isprintable()
    assert line.count("|") == 1
    assert re.fullmatch(r"age=\d+s;300 running=(\d+|U) alarms=\d+ bad=0", line.partition("|")[2])


def test_a_daemon_that_looks_no_more_is_told_first():
    lines = text(Loop(at=NOW - timedelta(seconds=301))).splitlines()
    assert lines[0] == "guard daemon does not look: its last look is 5 min old. What follows was so"
    assert text(Loop(at=NOW - timedelta(seconds=300))).startswith("Nothing runs.")


def test_a_last_look_in_the_future_is_no_look_of_now():
    ahead = Loop(at=NOW + timedelta(hours=1))
    assert text(ahead).splitlines()[0] == "The last look lies 60 min ahead: the clock was set back. What follows was so"
    code, line = nagios(ahead, (), NOW)
    assert (code, line.startswith("GUARD UNKNOWN - the last look lies 60 min ahead")) == (3, True)
    assert nagios(Loop(at=NOW + timedelta(seconds=60)), (), NOW)[0] == 0


def test_what_is_not_watched_and_what_else_runs_is_told():
    loop = msgspec.structs.replace(IDLE, unwatched=("Schedule x: its zone is unknown.",), more_running=2)
    assert text(loop).splitlines() == [
        "2 more runs began before guard looked; how far is unknown.",
        "Next due: Thu 26 Nov 01:00 CET.",
        "Not watched: Schedule x: its zone is unknown.",
        "Last look 10 s ago.",
    ]
    assert nagios(loop, (), NOW) == (
        1,
        "GUARD WARNING - not watched: Schedule x: its zone is unknown.|age=10s;300 running=2 alarms=0 bad=0",
    )
    assert document(loop)["unwatched"] == ["Schedule x: its zone is unknown."]


def test_a_deleted_schedule_is_told_as_such():
    assert "it was deleted, or guard's token may not see it" in off_text(
        SwitchedOff(schedule="s", name="weekly", at=DUE, deleted=True)
    )


def test_what_was_found_more_than_a_day_ago_is_over():
    old = silent(0)
    assert standing([old], old.ended.at + timedelta(hours=24)) == ()
    assert standing([old], old.ended.at + timedelta(hours=23)) == (old,)
    assert lately([old], old.ended.at + timedelta(hours=24)) == Lately()


def test_a_due_time_that_was_over_before_the_last_look_is_not_called_next():
    assert "What is due is unknown." in text(msgspec.structs.replace(BLIND, next_due=BLIND.at - timedelta(seconds=1)))


def test_a_schedule_that_was_switched_off_is_an_alarm():
    off = msgspec.structs.replace(IDLE, switched_off=(SwitchedOff(schedule="s", name="weekly", at=after(60)),))
    assert (
        text(off).splitlines()[2] == "Alarm SCHEDULE_DISABLED: Schedule weekly was on and is off now; guard did not do"
    )
    assert [(one["code"], one["schedule"], one["due"]) for one in document(off)["alarms"]] == [
        ("SCHEDULE_DISABLED", "s", None)
    ]
    code, line = nagios(off, (), NOW)
    assert (code, line.partition(";")[0]) == (2, "GUARD CRITICAL - 1 alarm: Schedule weekly was on and is off now")


def test_alarms_of_one_kind_are_one_line_and_the_newest_comes_first():
    def missed(minute, name):
        due = DUE + timedelta(minutes=minute)
        alarm = Alarmed(at=due, code="XO_DID_NOT_FIRE", text=f"{name} {minute}.")
        return story(seen(due=due), alarm, key=RunKey(name, due))

    alarms = (missed(1, "a"), missed(2, "b"), missed(3, "a"), missed(4, "a"))
    assert text(IDLE, *alarms).splitlines()[2:4] == [
        "Alarm XO_DID_NOT_FIRE: a 4. (2 earlier ones of this schedule stand too)",
        "Alarm XO_DID_NOT_FIRE: b 2.",
    ]
    assert nagios(IDLE, alarms, NOW)[1].startswith("GUARD CRITICAL - 2 alarms: a 4.|")


def test_one_earlier_alarm_is_told_as_one():
    alarms = tuple(
        story(
            seen(due=DUE + timedelta(minutes=minute)),
            Alarmed(at=DUE + timedelta(minutes=minute), code="XO_DID_NOT_FIRE", text=f"a {minute}."),
            key=RunKey("a", DUE + timedelta(minutes=minute)),
        )
        for minute in (1, 2)
    )
    assert "Alarm XO_DID_NOT_FIRE: a 2. (1 earlier one of this schedule stands too)" in text(IDLE, *alarms).splitlines()


def test_a_run_whose_log_names_no_vm_yet_is_not_counted():
    begun = msgspec.structs.replace(RUNNING, vms=0, vms_done=0)
    told = text(msgspec.structs.replace(BUSY, running=(begun,)))
    assert "nightly, XO's log names no VM yet" in told
    assert "0 of 0" not in told


def test_what_is_due_next_is_named():
    loop = msgspec.structs.replace(IDLE, next_due_of="nightly / at two and 2 more")
    assert "Next due: Thu 26 Nov 01:00 CET, nightly / at two and 2 more." in text(loop).splitlines()
    assert document(loop)["next_due_of"] == "nightly / at two and 2 more"


def test_an_entry_of_the_policy_that_does_nothing_is_told():
    loop = msgspec.structs.replace(IDLE, idle_entries=("schedule[1] of the policy does nothing.",))
    assert "Note: schedule[1] of the policy does nothing." in text(loop).splitlines()
    assert document(loop)["idle_entries"] == ["schedule[1] of the policy does nothing."]
    assert nagios(loop, (), NOW)[0] == 0


def test_a_day_with_failures_is_told_and_a_warning():
    day = lately(
        [
            ran(0, "a", attempt_ended("0", status="failure"), ended()),
            ran(0, "b"),
            silent(0),
            ran(0, "c", attempt_ended("0"), ended()),
        ],
        NOW,
    )
    assert day == Lately(over=3, bad=2)
    lines = status_text(IDLE, (), NOW, UTC, day).splitlines()
    assert lines[-2] == "Last 24 h: 2 of 3 runs did not go well; guard report tells which."
    assert nagios(IDLE, (), NOW, day) == (
        1,
        "GUARD WARNING - 2 of 3 runs of the last 24 h did not go well|age=10s;300 running=0 alarms=0 bad=2",
    )
    assert status_document(IDLE, (), NOW, day)["last_day"] == {"over": 3, "bad": 2}


# --- which alarms stand


def silent(days, schedule="schedule"):
    due = DUE + timedelta(days=days)
    end = ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="It was down.")
    return story(seen(due=due), alarmed("XO_DID_NOT_FIRE"), end, key=RunKey(schedule, due))


def ran(days, schedule="schedule", *more):
    due = DUE + timedelta(days=days)
    run = str(days)
    return story(seen(due=due), started(run, due=due), *more, key=RunKey(schedule, due))


OVER = (attempt_ended("1"), ended())


@pytest.mark.parametrize(
    ("runs", "standing_"),
    [
        ([], []),
        ([STUCK], [STUCK]),
        ([story(seen(), started())], []),
        ([story(seen(), started("1"), alarmed(), *OVER)], []),
        ([silent(1), silent(0)], [silent(0), silent(1)]),
        ([silent(0), ran(1)], []),
        ([silent(0), ran(1, "schedule", *OVER)], []),
        ([silent(0), ran(1, "other", *OVER)], [silent(0)]),
        ([silent(1), ran(0)], [silent(1)]),
        ([silent(0), story(seen(due=after(days=1)), key=RunKey("schedule", after(days=1)))], [silent(0)]),
    ],
    ids=[
        "nothing",
        "a stuck run",
        "no alarm",
        "a stuck run that ended",
        "missed twice",
        "a run that goes on since",
        "a run that ended since",
        "another schedule ran since",
        "it ran before",
        "the next due time has come, and no run yet",
    ],
)
def test_an_alarm_stands_while_it_is_open_or_nothing_ran_since_it_was_missed(runs, standing_):
    assert standing(runs, NOW) == tuple(standing_)


def test_times_are_in_the_zone_asked_for():
    assert "Thu 26 Nov 00:00 UTC" in status_text(IDLE, (), NOW, UTC)


def test_a_sentence_that_was_made_in_another_zone_is_shown_in_that_of_the_status():
    made = story(seen(), started(), alarmed(text="It began at Wed 25 Nov 00:30 UTC and goes on."))
    assert "Alarm JOB_STUCK: It began at Wed 25 Nov 01:30 CET and goes on." in text(IDLE, made)
