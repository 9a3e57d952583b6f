"""When XO's configuration gets the timeout file, for how long, when it is taken back, and when it is put back."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from guard.estate.workaround import OwnFile, Setting, State, Trouble
from guard.estate.xapi_records import HostFacts
from guard.lifecycle.remedy import Effect, ForRun, RemedyKind, Result
from guard.mechanics.xo_config import OWN_FILE
from guard.remedies import timeout
from tests.builders import (
    DUE,
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_pool_facts,
    make_proxy,
    make_schedule,
    make_vm,
)
from tests.checks.nights import CUT, TIMED_OUT, fine, lost, night, nights
from tests.remedies.scenes import DAY, HOUR, MINUTE, done, policy, scene

SOON = 15 * MINUTE
BAD = lost(TIMED_OUT)
TWICE = nights(BAD, BAD)
HERE = policy('xo_config = "/etc/xo-server"')
DEFAULT = State(folder="/etc/xo-server", looked_at=NOW)
RUN = ForRun(schedule="schedule", name="schedule", due=LAST_NIGHT)


def world(logs=None, state=DEFAULT, **more):
    return make_estate(**{"logs": TWICE if logs is None else logs, "workaround": state} | more)


def wanted(estate=None, **more):
    return list(timeout.wanted(scene(estate or world(), **{"rules": HERE} | more)))


def only(*args, **more):
    (found,) = wanted(*args, **more)
    return found


def standing(until=NOW + 29 * DAY, state="intact", value_ms=1_800_000, written_at=NOW - DAY, **more):
    own = OwnFile(state=state, value_ms=value_ms, until=until, written_at=written_at, **more)
    held = Setting(value_ms=value_ms, file=OWN_FILE)
    return State(folder="/etc/xo-server", looked_at=NOW, own=own, in_force=held)


def wrote(at, result=Result.DONE, **more):
    return done("timeout_file", "xo", at, result, **{"runs": (RUN,)} | more)


def took_back(at, result=Result.DONE, **more):
    return done("timeout_file_back", "xo", at, result, **more)


# --- written


def test_without_timeouts_nothing_is_written():
    assert wanted(world(logs=[])) == []
    assert wanted(world(logs=nights(BAD, fine()))) == []
    assert wanted(world(logs=nights(lost(CUT), lost(CUT)))) == []


def test_two_timeouts_in_the_last_five_runs_have_it_written_a_quarter_of_an_hour_before_the_run_for_thirty_days():
    found = only()
    assert (found.kind, found.scope.id, found.aside, found.steps) == (RemedyKind.TIMEOUT_FILE, "xo", "", ())
    assert (found.at, found.latest) == (DUE - SOON, DUE)
    assert found.until == found.at + 30 * DAY
    assert found.reason.startswith("vm: XO waited too long for the host in 2 of its last 2 runs")
    assert [(one.value, one.unit, one.source, one.observed_at) for one in found.before] == [
        (300_000, "ms", "XO's own default", NOW)
    ]
    assert [one.due for one in found.runs] == [DUE]


def test_the_limit_that_holds_so_far_is_told_with_its_file():
    held = State(folder="/etc/xo-server", looked_at=NOW, in_force=Setting(value_ms=600_000, file="config.toml"))
    (fact,) = only(world(state=held)).before
    assert (fact.value, fact.source) == (600_000, "/etc/xo-server/config.toml")


def test_that_a_host_looks_overloaded_is_no_evidence():
    busy = make_pool_facts(hosts={"host": HostFacts(address="192.0.2.1", name="host")})
    assert wanted(world(logs=[], pool_facts=[busy])) == []


def test_several_vms_are_told_as_several_in_one_file():
    logs = [night(ago, lost(TIMED_OUT, "vm"), lost(TIMED_OUT, "other")) for ago in (0, 1)]
    vms = [make_vm(one, container="pool", power_state="Halted") for one in ("vm", "other")]
    found = only(world(logs=logs, vms=vms, jobs=[make_job(vms={"id": {"__or": ["vm", "other"]}})]))
    assert "vm: XO waited" in found.reason
    assert "other: XO waited" in found.reason
    assert len(found.runs) == 1


@pytest.mark.parametrize(
    ("state", "why"),
    [
        (None, "guard does not run on XO's machine, or [remedies] xo_config is not set"),
        (State(folder="/e", looked_at=NOW, problem="it is not there"), "it is not there"),
        (
            State(folder="/e", looked_at=NOW, broken=(Trouble(file="config.b.toml", why="no TOML"),)),
            "config.b.toml there cannot be read (no TOML), and XO would not start with it",
        ),
        (standing(state="edited"), f"somebody edited /etc/xo-server/{OWN_FILE} since, so guard leaves it alone"),
        (
            State(folder="/e", looked_at=NOW, own=OwnFile(state="unreadable", why="it is a link")),
            f"/e/{OWN_FILE}: it is a link",
        ),
        (
            State(folder="/e", looked_at=NOW, in_force=Setting(value_ms=1_800_000, file="config.toml")),
            "config.toml says 30 min already",
        ),
        (
            State(folder="/e", looked_at=NOW, in_force=Setting(value_ms=0, file="config.toml")),
            "config.toml says no limit already",
        ),
    ],
)
def test_where_it_must_not_or_need_not_be_written_that_is_told(state, why):
    assert only(world(state=state)).aside == why


@pytest.mark.parametrize(
    "held",
    [
        Setting(value_ms=1_799_999, file="config.toml"),
        Setting(value_ms=None, file="config.toml"),
        Setting(value_ms=3_600_000, file="config.toml", usable=False),
    ],
)
def test_a_smaller_limit_or_none_that_xo_can_use_is_not_enough(held):
    assert only(world(state=State(folder="/e", looked_at=NOW, in_force=held))).aside == ""


def test_a_guard_on_another_machine_says_exactly_what_to_put_where():
    found = only(rules=policy('timeout = "20 min"'))
    assert found.aside == "guard does not run on XO's machine, or [remedies] xo_config is not set"
    assert found.steps[0].startswith(f"Put this into /etc/xo-server/{OWN_FILE} on that machine;")
    assert found.steps[1:3] == ("[xapiOptions]", "httpInactivityTimeout = 1200000")
    assert "why it is slow" in found.steps[3]


def test_the_policy_can_forbid_it_and_watched_schedules_only_tell_it():
    off = policy('xo_config = "/e"\ntimeout_file = false')
    assert only(rules=off).aside == "the policy says [remedies] timeout_file = false"
    watched = policy('xo_config = "/e"', gate="observe")
    assert only(rules=watched).aside == "the policy says observe for what needs it"


def test_the_first_run_that_guard_acts_on_decides_when():
    schedules = [make_schedule(), make_schedule("early", cron="30 23 * * *")]
    assert only(world(schedules=schedules)).latest == DUE - HOUR / 2
    rules = policy('xo_config = "/e"', more='[[schedule]]\nname = "early"\ngate = "observe"\n')
    assert only(world(schedules=schedules), rules=rules).latest == DUE


def test_what_was_refused_is_tried_again_after_an_hour():
    refused = wrote(NOW - 59 * MINUTE, Result.FAILED, text="the disk is full")
    assert only(past=[refused]).aside == "guard tried less than an hour ago: the disk is full"
    assert only(past=[wrote(NOW - HOUR, Result.FAILED)]).aside == ""


def test_a_run_that_waits_for_it_gets_it_at_once():
    (need,) = scene(world(), rules=HERE).needs
    late = scene(world(schedules=[]), now=DUE + MINUTE, rules=HERE, waiting=[dataclasses.replace(need, waits=True)])
    (found,) = timeout.wanted(late)
    assert (found.at, found.latest, found.aside) == (DUE + MINUTE, DUE + MINUTE + SOON, "")


# --- a proxy


def test_runs_through_a_proxy_are_told_what_to_put_there_and_nothing_is_pretended():
    jobs = [make_job(proxy="p1"), make_job("second", proxy="p2"), make_job("third", proxy="p1")]
    schedules = [make_schedule(), make_schedule("s2", job="second"), make_schedule("s3", job="third")]
    logs = [night(ago, BAD, schedule=s, job=j) for ago in (0, 1) for s, j in (("schedule", "job"), ("s2", "second"))]
    found = wanted(world(logs=logs, jobs=jobs, schedules=schedules, proxies=[make_proxy("p1", name="Lyon")]))
    found.sort(key=lambda one: one.scope.id)
    assert [(one.scope.kind.value, one.scope.id, one.scope.name) for one in found] == [
        ("proxy", "p1", "the configuration of proxy Lyon"),
        ("proxy", "p2", "the configuration of proxy p2"),
    ]
    assert [len(one.runs) for one in found] == [2, 1]
    for one in found:
        assert one.aside == "the run goes through an XO proxy, which has its own configuration"
        assert one.steps[0].startswith(f"Put this into /etc/xo-proxy/{OWN_FILE} on that machine")
        assert one.until is None


def test_xo_s_own_file_is_taken_back_although_a_proxy_still_needs_one():
    logs = [*TWICE]
    found = wanted(
        world(logs=logs, state=standing(until=NOW - HOUR), jobs=[make_job(proxy="p1")]),
        past=[wrote(NOW - 30 * DAY), took_back(NOW - 60 * DAY)],
    )
    assert [one.kind for one in found] == [RemedyKind.TIMEOUT_FILE_BACK, RemedyKind.TIMEOUT_FILE]


# --- what it was written for is no reason to write it again


def test_while_it_stands_the_old_timeouts_want_nothing_more():
    assert wanted(world(state=standing()), past=[wrote(NOW - HOUR)]) == []


def test_a_timeout_in_spite_of_it_is_told():
    found = only(world(state=standing(written_at=NOW - 3 * DAY)), past=[wrote(NOW - 3 * DAY)])
    assert found.aside == f"{OWN_FILE} says 30 min already"


def test_one_that_a_person_deleted_stays_deleted_until_it_happens_again():
    assert wanted(past=[wrote(NOW - HOUR)]) == []
    assert only(past=[wrote(LAST_NIGHT - HOUR)]).aside == ""


def test_once_it_was_taken_back_one_timeout_puts_it_back_for_ninety_days():
    logs = nights(BAD, fine(), fine())
    found = only(world(logs=logs), past=[wrote(NOW - 40 * DAY), took_back(NOW - 2 * DAY)])
    assert found.until == found.at + 90 * DAY
    assert found.reason == (
        "vm timed out again on 2026-11-24 00:00 UTC, after the file was taken back on 2026-11-22 (Body Timeout Error)."
    )
    assert wanted(world(logs=logs), past=[took_back(NOW - HOUR)]) == []
    assert wanted(world(logs=logs), past=[took_back(NOW - 2 * DAY, Result.FAILED)]) == []


def test_what_happened_before_it_was_taken_back_does_not_put_it_back():
    assert wanted(past=[took_back(NOW - HOUR)]) == []


def test_a_recurrence_of_a_vm_that_the_job_does_not_take_any_more_is_none():
    logs = [night(0, lost(TIMED_OUT, "gone")), night(1, fine())]
    assert wanted(world(logs=logs), past=[took_back(NOW - 2 * DAY)]) == []


def test_a_recurrence_with_many_timeouts_is_told_by_them():
    found = only(past=[took_back(NOW - 10 * DAY)])
    assert found.reason.startswith("vm: XO waited too long for the host in 2 of")
    assert found.until == found.at + 90 * DAY


# --- taken back


def back(logs=(), until=NOW - HOUR, estate=None, **more):
    found = wanted(estate or world(logs=list(logs), state=standing(until=until)), **more)
    return [(one.kind, one.aside) for one in found]


BACK = RemedyKind.TIMEOUT_FILE_BACK
NOT_YET = "it waits for a good run of what it was for"


def good(ended, schedule="schedule", **more):
    return make_log(start=ended - HOUR, seconds=3600, schedule=schedule, **more)


def test_it_stands_until_its_day():
    assert back([good(NOW)], until=NOW + MINUTE) == []


def test_it_is_taken_back_right_after_a_good_run():
    assert back([good(NOW - 30 * MINUTE)]) == [(BACK, "")]
    (found,) = wanted(world(logs=[good(NOW - 30 * MINUTE)], state=standing(until=NOW - HOUR)))
    assert (found.at, found.latest) == (NOW, NOW + SOON)
    assert found.reason == "It was to be taken back on 2026-11-24."
    assert found.before[0].value == 1_800_000


@pytest.mark.parametrize(
    "logs",
    [
        [],
        [good(NOW - 25 * HOUR)],
        [good(NOW - 400 * DAY)],
        [good(NOW - 30 * MINUTE, status="failure")],
        [good(NOW - 40 * MINUTE), good(NOW - 30 * MINUTE, status="failure", id="later")],
        [good(NOW - 30 * MINUTE, status="pending")],
    ],
)
def test_without_a_good_run_as_the_last_one_it_stands(logs):
    assert back(logs) == [(BACK, NOT_YET)]


def test_only_runs_of_what_it_was_written_for_count_where_they_are_still_there():
    past = [wrote(NOW - 30 * DAY)]
    two = {"schedules": [make_schedule(), make_schedule("other")], "state": standing(until=NOW - HOUR)}
    assert back(estate=world(logs=[good(NOW - 30 * MINUTE, "other")], **two), past=past) == [(BACK, NOT_YET)]
    assert back(estate=world(logs=[good(NOW - 30 * MINUTE)], **two), past=past) == [(BACK, "")]
    gone = [wrote(NOW - 30 * DAY, runs=(ForRun(schedule="gone", name="gone", due=NOW - 30 * DAY),))]
    assert back(estate=world(logs=[good(NOW - 30 * MINUTE, "other")], **two), past=gone) == [(BACK, "")]


def test_while_a_run_goes_on_it_stands():
    estate = world(logs=[good(NOW)], state=standing(until=NOW - HOUR), jobs=[make_job(runId="run")])
    assert back(estate=estate) == [(BACK, "job runs")]


def test_one_that_could_not_be_taken_back_is_tried_again_the_next_night():
    refused = took_back(NOW - 19 * HOUR, Result.FAILED, text="read-only")
    assert back([good(NOW)], past=[refused]) == [(BACK, "guard tried tonight: read-only")]
    assert back([good(NOW)], past=[took_back(NOW - 20 * HOUR, Result.FAILED)]) == [(BACK, "")]


def test_what_was_taken_back_after_the_folder_was_looked_at_is_not_taken_back_once_more():
    assert back([good(NOW)], past=[took_back(NOW)]) == []


@pytest.mark.parametrize("state", [None, DEFAULT, standing(until=None), standing(until=NOW - HOUR, state="edited")])
def test_what_is_not_guard_s_own_or_has_no_end_is_never_taken_back(state):
    assert wanted(world(logs=[good(NOW)], state=state)) == []


def test_it_is_taken_back_also_where_the_policy_does_not_allow_it_any_more():
    rules = policy('xo_config = "/etc/xo-server"\ntimeout_file = false')
    assert back([good(NOW)], rules=rules) == [(BACK, "")]


# --- what came of it


def first_run(*logs, remedy=None, **more):
    remedy = remedy or wrote(NOW)
    return remedy, timeout.seen_again(remedy, make_estate(logs=list(logs), **more), NOW + DAY)


def test_the_first_run_after_it_tells_whether_it_helped():
    _, told = first_run(make_log(fine(), start=DUE), make_log(BAD, start=DUE + HOUR, status="failure"))
    assert (told.effect, told.effect_at) == (Effect.HELPED, NOW + DAY)
    assert [(one.name, one.value) for one in told.after] == [("first_run_after", "success")]
    _, told = first_run(make_log(BAD, start=DUE, status="failure"), make_log(fine(), start=DUE + HOUR))
    assert told.effect is Effect.NOTHING


def test_a_run_that_failed_of_something_else_leaves_it_to_the_next():
    _, told = first_run(make_log(lost(CUT), start=DUE, status="failure"), make_log(fine(), start=DUE + HOUR))
    assert told.effect is Effect.HELPED


@pytest.mark.parametrize(
    "logs",
    [
        [],
        [make_log(fine(), start=NOW - HOUR)],
        [make_log(fine(), start=DUE, schedule="other")],
        [make_log(start=DUE, status="pending")],
        [make_log(lost(CUT), start=DUE, status="failure")],
    ],
)
def test_until_then_nothing_is_told(logs):
    remedy, told = first_run(*logs)
    assert told is remedy


def test_what_failed_or_is_settled_and_logs_that_could_not_be_read_tell_nothing():
    log = make_log(fine(), start=DUE)
    for remedy, told in (
        first_run(log, remedy=wrote(NOW, Result.FAILED)),
        first_run(log, remedy=wrote(NOW, effect=Effect.HELPED)),
        first_run(log, reading={"logs": {"ok": False}}),
    ):
        assert told is remedy


def test_what_xo_shall_wait_is_told_to_it_in_milliseconds():
    assert timeout.milliseconds(timedelta(minutes=30)) == 1_800_000
