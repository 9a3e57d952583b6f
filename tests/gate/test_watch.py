"""The watch over whole nights: every due time ends exactly once, whatever XO, guard and the clock do."""

from __future__ import annotations

import dataclasses
from contextlib import suppress
from datetime import UTC, timedelta

import msgspec
import pytest
from guard.daemon.news import News
from guard.errors import ConflictError, LedgerError, PolicyError, XoAuthError
from guard.gate.ports import XoReads
from guard.gate.watch import LOOKED_LIKE, Watch
from guard.lifecycle.events import Alarmed, Ended, RunKey, Seen
from guard.policy.load import load
from guard.policy.schema import default_policy
from tests.builders import (
    DUE,
    make_job,
    make_log,
    make_schedule,
    make_sequence,
    make_server,
    make_transfer,
    make_vm_task,
)
from tests.gate.night import EVENING, FOUND_LATE, GOOD, LOOK, MISSED_LATE, SILENT, Night, Told, after, history, word
from tests.outcomes.tables import failed_vm, said
from tests.virtual_time import run as finished

MORNING = after(hours=1)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
TONIGHT, TOMORROW = ("schedule", 0, ""), ("schedule", 86400, "")


@pytest.fixture
def night(tmp_path):
    """Every test is also one of this: each due time that is over ended once, and XO was only read."""
    made = Night(tmp_path)
    yield made
    for events in made.stories().values():
        assert [isinstance(event, Ended) for event in events].count(True) <= 1
        assert [isinstance(event, Seen) for event in events].count(True) == 1
    assert {name for name, _ in made.xo.calls} <= {"estate", "setup", "logs"}
    made.ledger.close()


def test_the_watching_half_of_the_gate_has_no_way_to_write_to_xo():
    assert {name for name in vars(XoReads) if not name.startswith("_")} == {
        "estate",
        "setup",
        "logs",
        "rolling_updates",
    }


# --- one night


def test_a_healthy_night_is_seen_predicted_and_watched_to_its_end(night):
    run_id = night.xo.will_run(after(1))
    night.go(MORNING)
    run = night.only()
    assert night.tales() == {TONIGHT: GOOD}
    assert (run.seen.job, run.seen.job_name, run.seen.schedule_name) == ("job", "job", "schedule")
    assert (run.seen.cron, run.seen.zone, run.seen.late) == ("0 0 * * *", "utc", False)
    assert (run.seen.expected_at, run.seen.starts) == (DUE, (DUE,))
    assert DUE - timedelta(seconds=90) <= run.seen.at < DUE - timedelta(seconds=60)
    assert (run.decided.at, run.decided.facts_at, run.decided.vms) == (after(-60), after(-60), ("vm",))
    (attempt,) = run.attempts
    assert (attempt.started.run, attempt.started.began) == (run_id, after(1))
    assert attempt.ended.outcome.vms[0].status == "success"
    assert [word(event) for _, event in night.told.events] == GOOD[1:]
    assert (night.told.switched, night.told.unreads) == ([], [])


def test_a_night_with_a_failure_tells_its_cause(night):
    night.xo.will_run(DUE, failed_vm(said("unhealthy VDI chain")), status="failure")
    night.go(MORNING)
    assert night.tales() == {TONIGHT: [*GOOD[:3], "AttemptEnded failure", GOOD[4]]}
    assert [one.code for one in night.only().attempts[0].ended.outcome.causes] == ["CHAIN_UNHEALTHY"]


def test_a_foreseen_trouble_is_in_the_prediction(night):
    night.xo.records = {"servers": [make_server(status="disconnected")]}
    night.go(DUE)
    decided = night.only().decided
    assert decided.verdict.action != "start"
    assert "POOL_DISCONNECTED" in {one.code for one in decided.verdict.findings}


def test_a_night_without_a_run_is_an_alarm_after_seventy_seconds(night):
    night.go(after(60))
    assert night.tales() == {TONIGHT: ["Seen", "Decided start"]}
    night.go(after(70), every=timedelta(seconds=5))
    assert night.tales() == {TONIGHT: SILENT}
    night.go(MORNING)
    assert night.tales() == {TONIGHT: SILENT}


def test_with_guards_clock_ahead_a_run_is_missed_only_when_xos_own_clock_says_so(night):
    night.xo.behind = timedelta(minutes=10)
    night.go(after(minutes=10, seconds=60))
    assert night.tales() == {TONIGHT: ["Seen", "Decided start"]}
    night.go(after(minutes=11, seconds=15), every=timedelta(seconds=5))
    assert night.tales() == {TONIGHT: SILENT}
    assert night.told.ahead == timedelta(minutes=10)


def test_clocks_a_few_seconds_apart_are_the_same(night):
    night.xo.behind = timedelta(seconds=5)
    night.go(after(70), every=timedelta(seconds=5))
    assert (night.tales(), night.told.ahead) == ({TONIGHT: SILENT}, timedelta())


def test_every_look_is_over_for_the_teller_also_one_that_breaks(night):
    night.go(EVENING + LOOK)
    looks = night.told.looks
    night.xo.will_run(EVENING + LOOK)
    night.watch = night.another_watch(Broken(night.ledger))
    with pytest.raises(LedgerError):
        night.go(after(60))
    assert night.told.looks > looks


def test_the_next_due_time_of_all_schedules_is_found_near_and_far(night):
    night.xo.schedules = [make_schedule("noon", cron="0 12 * * *"), make_schedule("hourly", cron="30 * * * *")]
    near = night.tick()
    assert (near.next_due, near.next_due_of) == (after(minutes=30), "job / hourly")
    night.xo.schedules = [make_schedule("daily"), make_schedule("noon", cron="0 12 * * *")]
    assert night.tick().next_due == DUE
    night.xo.schedules = [make_schedule("yearly", cron="0 0 1 1 *")]
    never = night.tick()
    assert (never.next_due, never.next_due_of) == (None, "")


def test_of_several_that_are_due_at_once_the_first_is_named_and_a_schedule_without_a_job_by_its_own_name(night):
    night.xo.schedules = [make_schedule(str(number)) for number in range(3)]
    assert night.tick().next_due_of == "job / 0 and 2 more"
    night.xo.schedules = [make_schedule("late", cron="0 12 * * *"), make_schedule("lost", job="gone")]
    assert night.tick().next_due_of == "lost"


def test_who_looks_only_when_a_look_is_due_has_every_nights_story(night):
    for day in range(3):
        night.xo.will_run(DUE + day * DAY)
    night.doze(DUE + 2 * DAY + timedelta(hours=1))
    assert list(night.tales().values()) == [GOOD] * 3


def test_a_clock_change_night_on_which_xo_starts_twice_is_one_story_of_two_runs(tmp_path):
    first, second = after(), after(3600)  # 02:30 in Paris on the night the clocks go back: 00:30 and 01:30 UTC
    first, second = (moment.replace(month=10, day=25, minute=30) for moment in (first, second))
    night = Night(tmp_path, now=first - timedelta(minutes=5))
    night.xo.schedules = [make_schedule(cron="30 2 * * *", timezone="Europe/Paris")]
    night.xo.will_run(first, seconds=600)
    night.xo.will_run(second, seconds=600)
    night.go(second + timedelta(hours=1))
    (tale,) = night.tales().values()
    assert tale == [*GOOD[:4], "Started", "AttemptEnded success", "Ended observed"]
    assert night.only().seen.starts == (first, second)


def test_xos_already_running_is_this_due_times_outcome_beside_the_run_that_goes_on(night):
    night.xo.schedules = [make_schedule(cron="0 0,1 * * *")]
    long = night.xo.will_run(DUE, seconds=3 * 3600)
    refused = night.xo.will_run(
        after(3600), make_vm_task(), seconds=0, status="failure", result=said("the job (job) is already running")
    )
    night.go(after(hours=4))
    runs = {key.due: [one.started.run for one in run.attempts] for key, run in night.runs().items()}
    assert runs == {DUE: [long], after(3600): [refused]}


def test_a_schedule_of_every_minute_has_one_run_per_story(night):
    night.xo.schedules = [make_schedule(cron="* * * * *")]
    for minute in range(-9, 1):
        night.xo.will_run(after(60 * minute + 1), seconds=20)
    night.go(after(-220), every=timedelta(seconds=10))
    told = {round((key.due - DUE).total_seconds() / 60): [one.started.began for one in run.attempts]
            for key, run in night.runs().items()}  # fmt: skip
    for minute in range(-8, -5):
        assert told[minute] == [after(60 * minute + 1)]


# --- XO away


@pytest.mark.parametrize(
    ("ran", "tale"), [(True, FOUND_LATE), (False, MISSED_LATE)], ids=["XO ran it meanwhile", "XO did not fire"]
)
def test_xo_away_over_the_due_time_is_entered_late_and_settled_when_it_is_back(night, ran, tale):
    night.xo.is_down(after(minutes=-5), after(hours=5))
    if ran:
        night.xo.will_run(DUE)
    night.go(after(hours=5, seconds=-30))
    assert night.tales() == {}
    night.go(after(hours=5, minutes=1))
    assert night.tales() == {TONIGHT: tale}


def test_xo_away_after_it_was_predicted_leaves_the_due_time_open_until_xo_is_back(night):
    night.xo.is_down(after(-10), after(hours=5))
    night.go(after(hours=4))
    assert night.tales() == {TONIGHT: ["Seen", "Decided start"]}
    night.xo.will_run(after(2))
    night.go(after(hours=5, minutes=1))
    assert night.tales() == {TONIGHT: GOOD}


def test_while_xo_is_away_the_loop_and_the_teller_know_why_and_since_when(night):
    night.xo.is_down(EVENING + timedelta(seconds=60), DUE)
    assert night.go(after(-60)).xo_error == "No XO answers"
    loop = night.remembered()
    assert (loop.unread_since, loop.at, loop.wake) == (EVENING + timedelta(seconds=60), after(-60), after(-30))
    assert {(error, since) for error, since, _ in night.told.unreads} == {("No XO answers", loop.unread_since)}
    assert night.told.unreads[-1][2] == after(-60)
    assert night.told.reads_again == []
    loop = night.go(DUE)
    assert (loop.xo_error, loop.unread_since) == ("", None)
    ((since, last, at, due),) = night.told.reads_again
    assert (since, last, at, due) == (EVENING + timedelta(seconds=60), after(-30), DUE, [])


def test_what_was_due_while_xo_was_away_is_told_with_its_return_and_why_nobody_saw_it(night):
    night.xo.is_down(after(-200), after(100))
    night.go(after(200))
    ((_, last, at, due),) = night.told.reads_again
    assert (last, due) == (at - timedelta(seconds=30), [night.only().key])
    (alarm,) = [event for _, event in night.told.events if isinstance(event, Alarmed)]
    assert "guard could not read XO at that time" in alarm.text


@pytest.mark.parametrize("error", [XoAuthError("refused the token"), PolicyError("token: others may read it")])
def test_a_token_that_cannot_be_used_any_more_is_xo_unread_not_the_end(night, error):
    night.tick()
    night.xo.error = error
    night.xo.is_down(night.now, after(days=1))
    assert night.tick().xo_error == str(error)
    night.xo.is_down(after(-90), DUE)
    night.xo.outages.pop(0)
    night.tick(after(-45))
    assert night.tales() == {}


def test_guard_restarted_while_xo_is_away_still_finds_the_run_of_long_before(night):
    night.xo.will_run(DUE)
    night.go(after(minutes=-5))
    night.xo.is_down(after(minutes=-5), after(hours=5))
    night.go(after(hours=3), every=timedelta(minutes=10))
    night.restart()
    night.go(after(hours=5, minutes=2))
    assert night.tales() == {TONIGHT: FOUND_LATE}


def test_a_run_by_hand_during_an_outage_over_which_guard_restarted_is_found(night):
    night.tick(after(minutes=55))
    night.xo.is_down(after(hours=1), after(hours=5))
    night.xo.will_run(after(hours=2, seconds=7))
    night.go(after(hours=3), every=timedelta(minutes=10))
    night.restart()
    night.go(after(hours=5, minutes=2))
    assert night.tales() == {("schedule", 7207, "by hand"): FOUND_LATE}


# --- guard away


def test_guard_away_over_three_nights_enters_each_late_and_finds_what_xo_ran(night):
    night.xo.will_run(DUE)
    night.xo.will_run(DUE + 2 * DAY)
    night.tick()
    night.restart()
    night.tick(after(days=2, hours=7))
    assert night.tales() == {TONIGHT: FOUND_LATE, TOMORROW: MISSED_LATE, ("schedule", 2 * 86400, ""): FOUND_LATE}


def test_guard_away_for_ten_minutes_over_the_due_time_takes_the_run_that_goes_on(night):
    night.xo.will_run(DUE)
    night.tick(after(-100))
    night.restart()
    night.tick(after(500))
    assert night.tales() == {TONIGHT: ["Seen late", "Started"]}
    night.go(MORNING)
    assert night.tales() == {TONIGHT: FOUND_LATE}


def test_guard_restarted_within_a_run_goes_on_with_its_story(night):
    night.xo.will_run(DUE)
    night.go(after(600))
    night.restart()
    night.go(MORNING)
    assert night.tales() == {TONIGHT: GOOD}


def test_logs_that_do_not_reach_back_to_a_due_time_say_nothing_of_it(night):
    class Forgetful:
        def __getattr__(self, name):
            return getattr(night.ledger, name)

        async def remember(self, name, value):
            raise LedgerError("the disk is full")

    night.watch = night.another_watch(Forgetful())
    with pytest.raises(LedgerError):
        night.tick()
    night.xo.will_run(DUE)
    night.restart()
    night.tick(after(hours=7))
    assert night.tales() == {TONIGHT: ["Seen late"]}
    night.tick(after(hours=7, seconds=30))
    assert night.tales() == {TONIGHT: FOUND_LATE}


def test_a_due_time_from_before_guard_first_saw_the_schedule_is_none_of_its_own(night):
    night.xo.will_run(DUE, seconds=7200)
    night.tick(after(60))
    night.go(after(600))
    assert night.tales() == {}


def test_a_schedule_made_later_is_watched_from_then_on(night):
    night.go(after(-300))
    night.xo.schedules.append(make_schedule("new", cron="59 23 * * *"))
    night.go(after(100))
    assert night.tales()["new", -60, ""][0] == "Seen"


@pytest.mark.parametrize(
    ("before", "now"),
    [
        ({"cron": "0 3 * * *"}, {"cron": "0 5 * * *"}),
        ({"enabled": False}, {"enabled": True}),
        ({"timezone": "Asia/Tokyo"}, {"timezone": "Europe/Paris"}),
    ],
    ids=["its time was changed", "it was switched on", "its zone was changed"],
)
def test_what_a_schedule_changed_while_guard_was_away_would_have_brought_is_not_called_missed(night, before, now):
    night.xo.schedules = [make_schedule(**before)]
    night.tick()
    night.restart()
    night.xo.schedules = [make_schedule(**now)]
    night.tick(after(hours=7))
    assert night.tales() == {}
    night.doze(after(hours=29, seconds=100))
    assert list(night.tales()) != []


def test_a_schedule_renamed_while_guard_was_away_still_owes_its_due_time(night):
    night.tick()
    night.restart()
    night.xo.schedules = [make_schedule(name="renamed")]
    night.tick(after(hours=7))
    assert night.tales() == {TONIGHT: MISSED_LATE}


# --- nothing is lost, nothing is doubled


class DeadError(Exception):
    """The process was killed."""


class Dying:
    """A ledger whose process dies right after its n-th append: whatever is asked later finds it dead."""

    def __init__(self, ledger, appends):
        self._ledger, self.left = ledger, appends

    def __getattr__(self, name):
        if self.left <= 0:
            raise DeadError
        return getattr(self._ledger, name)

    async def append(self, key, after_seq, *events):
        if self.left <= 0:
            raise DeadError
        last = await self._ledger.append(key, after_seq, *events)
        self.left -= 1
        if self.left == 0:
            raise DeadError
        return last


TIMES = [after(seconds) for seconds in (-300, -80, -50, -20, 0, 20, 71, 100, 130, 400, 700, 1000, 1900, 2500, 9000)]


NO_OVERLAP = load('[xo]\nurl = "https://xo.example"\n[checks.overlap]\neffect = "off"\n', file="g.toml")


def job_named(name):
    """A job for the schedule of that name."""
    return make_job(name, settings={name: {"exportRetention": 7}})


def script(night):
    """A night with a bit of everything."""
    night.policy = NO_OVERLAP
    night.xo.jobs = [make_job(), *map(job_named, ("silent", "first", "second", "hand"))]
    members = [make_schedule(one, job=one, enabled=False) for one in ("first", "second")]
    night.xo.call_jobs = [make_sequence("first", "second")]
    night.xo.schedules = [
        make_schedule(),
        make_schedule("silent", job="silent"),
        make_schedule("sequence", job="sequence-job"),
        make_schedule("hand", job="hand", cron="0 12 * * *"),
        *members,
    ]
    night.xo.will_run(DUE, failed_vm(said("unhealthy VDI chain")), status="failure")
    night.xo.will_run(after(1), job="first", schedule="first", seconds=300)
    night.xo.will_run(after(301), job="second", schedule="second", seconds=300)
    night.xo.sequences_run["sequence-job"] = (DUE, after(602))
    night.xo.will_run(after(410), job="hand", schedule="hand", seconds=60)


EXPECTED = {
    TONIGHT: ["Seen", "Decided start", "Started", "AttemptEnded failure", "Ended observed"],
    ("silent", 0, ""): SILENT,
    ("first", 0, "sequence"): GOOD,
    ("second", 0, "sequence"): GOOD,
    ("hand", 410, "by hand"): FOUND_LATE,
}
APPENDS = 24


def test_the_scripted_night_has_this_many_appends(night):
    script(night)
    counted = Dying(night.ledger, 1000)
    night.watch = night.another_watch(counted)
    for moment in TIMES:
        night.tick(moment)
    assert night.tales() == EXPECTED
    assert 1000 - counted.left <= APPENDS


@pytest.mark.parametrize("appends", range(1, APPENDS + 1))
def test_a_process_that_dies_after_any_append_leaves_the_same_stories(night, appends):
    script(night)
    dying = Dying(night.ledger, appends)
    night.watch = night.another_watch(dying)
    for moment in TIMES:
        try:
            night.tick(moment)
        except DeadError:
            night.restart()
            night.tick(moment)
    assert night.tales() == EXPECTED
    written = {repr((key, event)) for key, events in night.stories().items() for event in events[1:]}
    assert {repr(one) for one in night.told.events} == written


@pytest.mark.parametrize("appends", range(1, APPENDS + 1))
def test_a_process_that_dies_and_comes_back_after_the_night_ends_every_due_time_once(night, appends):
    script(night)
    night.watch = night.another_watch(Dying(night.ledger, appends))
    for moment in TIMES:
        try:
            night.tick(moment)
        except DeadError:
            break
    night.restart()
    night.tick(TIMES[-1])
    night.tick(TIMES[-1] + LOOK)
    tales = night.tales()
    assert set(tales) == set(EXPECTED)
    assert all(tale[-1].startswith("Ended") for tale in tales.values())
    assert {key: tale[-1] for key, tale in tales.items()} == {key: tale[-1] for key, tale in EXPECTED.items()}


class DyingAtAnyWrite:
    """A ledger whose process dies right after its n-th write of any kind."""

    def __init__(self, ledger, writes):
        self._ledger, self.left = ledger, writes

    def __getattr__(self, name):
        asked = getattr(self._ledger, name)

        async def call(*values):
            if self.left <= 0:
                raise DeadError
            answer = await asked(*values)
            self.left -= name in ("append", "mark", "remember")
            if self.left <= 0:
                raise DeadError
            return answer

        return call


@pytest.mark.parametrize("writes", range(1, 16))
def test_a_page_that_waits_for_the_end_of_its_look_is_not_lost_when_the_process_dies(night, writes):
    """The schedule "silent" is missed, "odd" is switched off, in one look."""
    pages, dying = [], DyingAtAnyWrite(night.ledger, 1000)

    async def tell(message):
        if message.tier == "page" and dying.left > 0:  # the dead tell nothing
            pages.append(message.code)

    on = [make_schedule("silent"), make_schedule("odd", cron="0 12 * * *")]
    night.xo.schedules = on
    night.told = News(tell, lambda: UTC)
    night.restart()
    night.go(after(60))
    dying = DyingAtAnyWrite(night.ledger, writes)
    night.xo.schedules = [on[0], make_schedule("odd", cron="0 12 * * *", enabled=False)]
    night.watch = night.another_watch(dying)
    with suppress(DeadError):
        night.go(after(seconds=120))
    dying.left = 1000
    night.told = News(tell, lambda: UTC)
    night.restart()
    night.go(after(seconds=180))
    assert set(pages) == {"XO_DID_NOT_FIRE", "SCHEDULE_DISABLED"}


class Interrupted:
    """A ledger at whose n-th append another guard gets in first."""

    def __init__(self, ledger, appends, other):
        self._ledger, self.left, self._other = ledger, appends, other

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    async def append(self, key, after_seq, *events):
        self.left -= 1
        if self.left == 0:
            await self._other()
        return await self._ledger.append(key, after_seq, *events)


@pytest.mark.parametrize("appends", range(1, APPENDS + 1))
def test_two_guards_on_one_ledger_write_every_story_once_and_tell_every_event_once(night, appends):
    script(night)
    with night.open() as theirs:
        other = night.another_watch(theirs)
        night.watch = night.another_watch(Interrupted(night.ledger, appends, other.tick))
        for moment in TIMES:
            night.tick(moment)
            finished(other.tick())
    assert night.tales() == EXPECTED
    written = [(key, event) for key, events in night.stories().items() for event in events[1:]]
    assert sorted(map(repr, night.told.events)) == sorted(map(repr, written))


def test_a_tick_broken_off_by_the_ledger_reads_the_logs_again(night):
    night.xo.will_run(DUE)
    night.go(after(-30))
    night.watch = night.another_watch(Broken(night.ledger))
    night.now = after(20)
    with pytest.raises(LedgerError, match="the disk is full"):
        night.tick()
    night.tick(after(25))
    assert night.tales() == {TONIGHT: GOOD[:3]}


class Broken:
    """A ledger that fails at its first append."""

    def __init__(self, ledger):
        self._ledger, self.failed = ledger, False

    def __getattr__(self, name):
        return getattr(self._ledger, name)

    async def append(self, key, after_seq, *events):
        if not self.failed:
            self.failed = True
            raise LedgerError("the disk is full")
        return await self._ledger.append(key, after_seq, *events)


def test_a_run_by_hand_that_a_broken_ledger_kept_out_is_entered_at_the_next_look(night):
    night.xo.schedules = [make_schedule(cron="0 12 * * *")]
    night.tick()
    night.xo.is_down(EVENING + LOOK, after(minutes=10))
    night.go(after(minutes=9))
    night.xo.will_run(after(minutes=2, seconds=30), seconds=60)
    night.watch._ledger = Broken(night.ledger)
    with pytest.raises(LedgerError):
        night.tick(after(minutes=11))
    night.go(after(minutes=13))
    assert night.tales() == {("schedule", 150, "by hand"): FOUND_LATE}


def test_a_slow_look_leaves_no_gap_between_two_looks(night):
    night.xo.schedules = [make_schedule(cron="* * * * *")]
    night.creep = timedelta(seconds=1.7)  # each time guard reads the clock
    night.go(after(-200), every=timedelta(seconds=11))
    minutes = {key.due for key in night.stories()}
    first = min(minutes)
    assert minutes == {first + timedelta(minutes=one) for one in range(len(minutes))}
    assert max(minutes) > after(-200)


def test_an_open_due_run_without_events_is_a_damaged_ledger(night):
    class Odd:
        def __getattr__(self, name):
            return getattr(night.ledger, name)

        async def open_runs(self):
            return (RunKey("ghost", DUE),)

    night.watch = night.another_watch(Odd())
    with pytest.raises(LedgerError, match=r"lists ghost, due 2026-11-25 00:00:00\+00:00, as open and holds no event"):
        night.tick()


# --- switched off, changed, deleted


def test_a_schedule_that_is_switched_off_is_told_once(night):
    night.tick()
    night.xo.schedules = [make_schedule(enabled=False, name="nightly")]
    night.go(after(hours=3), every=timedelta(minutes=5))
    assert night.told.switched == [("nightly", "schedule", EVENING)]
    assert night.tales() == {}


def test_a_schedule_that_was_switched_off_is_in_the_loop_until_it_is_on_again(night):
    def off(loop):
        return [(one.schedule, one.name) for one in loop.switched_off]

    night.tick()
    night.xo.schedules = [make_schedule(enabled=False)]
    assert off(night.tick()) == off(night.tick(after(60))) == [("schedule", "schedule")]
    night.xo.is_down(after(90), after(180))
    assert off(night.tick(after(120))) == [("schedule", "schedule")]
    night.xo.schedules = [make_schedule()]
    assert off(night.tick(after(200))) == []
    night.xo.schedules = [make_schedule(enabled=False)]
    assert off(night.tick(after(300))) == off(night.tick(after(300) + 9 * DAY)) == [("schedule", "schedule")]


def test_a_schedule_that_was_deleted_is_told_and_in_the_loop_for_a_day(night):
    night.tick()
    night.xo.schedules = []
    (gone,) = night.tick(after(60)).switched_off
    assert (gone.schedule, gone.deleted, [name for name, *_ in night.told.switched]) == ("schedule", True, ["schedule"])
    assert night.tick(after(60) + DAY - LOOK).switched_off == (gone,)
    assert night.tick(after(60) + DAY).switched_off == ()


def test_a_schedule_whose_due_times_nobody_can_tell_is_in_the_loop(night):
    night.xo.schedules = [make_schedule(timezone="local"), make_schedule("bad", cron="* * * * * * *")]
    assert len(night.tick().unwatched) == 2
    night.policy = default_policy()
    night.xo.schedules = [make_schedule()]
    assert night.tick().unwatched == ()


def test_a_run_that_began_long_before_guard_is_counted_though_its_log_is_not_read(night):
    night.xo.will_run(EVENING - HOUR, seconds=2 * 3600)
    loop = night.tick()
    assert (loop.running, loop.more_running) == ((), 1)


@pytest.mark.parametrize("absurd", [10**18, -5, 0])
def test_a_log_with_an_absurd_time_is_watched_without_it(night, absurd):
    night.xo.will_run(DUE, make_vm_task("vm", make_transfer(5, start=DUE), start=absurd))
    night.go(MORNING)
    assert night.tales()[TONIGHT][-1] == "Ended observed"


def test_a_schedule_that_is_edited_to_fire_within_a_minute_owes_that_due_time(night):
    night.tick()
    night.xo.schedules = [make_schedule(cron="51 23 * * *")]
    night.go(EVENING + timedelta(minutes=3), every=timedelta(seconds=10))
    assert [tale[-1] for tale in night.tales().values()] == ["Ended XO_DID_NOT_FIRE"]


def test_a_schedule_switched_off_while_guard_was_away_is_told(night):
    night.tick()
    night.restart()
    night.xo.schedules = [make_schedule(enabled=False)]
    night.tick(after(hours=3))
    assert [one[1] for one in night.told.switched] == ["schedule"]


def test_a_schedule_that_never_was_on_is_no_news(night):
    night.xo.schedules = [make_schedule(enabled=False)]
    night.go(after(-300))
    night.xo.schedules.append(make_schedule("new", enabled=False))
    night.go(DUE)
    assert night.told.switched == []


@pytest.mark.parametrize(
    "changed",
    [[make_schedule(enabled=False)], [make_schedule(cron="0 5 * * *")], []],
    ids=["off", "changed", "deleted"],
)
def test_a_due_time_whose_schedule_went_away_before_it_is_missed_without_an_alarm(night, changed):
    night.go(after(-50))
    night.xo.schedules = changed
    night.go(after(120))
    assert night.tales() == {TONIGHT: ["Seen", "Decided start", "Ended SCHEDULE_DISABLED"]}


def test_a_run_whose_schedule_is_deleted_is_watched_to_its_end(night):
    night.xo.will_run(DUE)
    night.go(after(300))
    night.xo.schedules = []
    night.go(MORNING)
    assert night.tales() == {TONIGHT: GOOD}


def test_nothing_to_watch_is_nothing_to_do(night):
    night.xo.schedules = []
    loop = night.go(DUE)
    assert (night.tales(), loop.next_due, loop.running, loop.xo_error) == ({}, None, (), "")
    assert loop.wake == DUE + timedelta(minutes=5)


# --- by hand


def test_a_run_by_hand_is_a_story_of_its_own(night):
    by_hand = night.xo.will_run(EVENING + timedelta(seconds=45), seconds=120)
    night.go(after(-120))
    assert night.tales() == {("schedule", -555, "by hand"): FOUND_LATE}
    (attempt,) = night.only().attempts
    assert attempt.started.run == by_hand
    assert night.only().seen.starts == (EVENING + timedelta(seconds=45),)


def test_a_run_by_hand_is_entered_once_whatever_restarts(night):
    night.xo.will_run(EVENING + timedelta(seconds=45), seconds=7200)
    for seconds in range(-540, -120, 60):
        night.restart()
        night.tick(after(seconds))
    assert night.tales() == {("schedule", -555, "by hand"): ["Seen late", "Started"]}


def test_runs_by_hand_from_before_guard_was_there_are_not_told(night):
    night.xo.will_run(EVENING - timedelta(seconds=45), seconds=60)
    night.tick()
    assert night.tales() == {}


def test_a_run_right_at_its_due_time_is_nobodys_hand_even_when_it_was_due_before_guard_came(night):
    night.tick(after(60))
    night.xo.will_run(DUE)
    night.go(after(600))
    assert night.tales() == {}


@pytest.mark.parametrize(
    "odd",
    [{"schedule": "gone"}, {"job": "gone"}, {"start": msgspec.UNSET, "id": "1"}],
    ids=["of no known schedule", "of no known job", "without a begin"],
)
def test_a_log_that_cannot_be_placed_is_left_alone(night, odd):
    start = odd.pop("start", None)
    log = make_log(make_vm_task(), start=after(-500), **odd)
    night.xo.runs.append(log if start is None else msgspec.structs.replace(log, start=start))
    night.go(after(-120))
    assert night.tales() == {}


def test_a_run_that_was_told_is_not_told_again_when_its_schedule_no_longer_explains_it(night):
    night.xo.jobs.append(job_named("long"))
    night.policy = NO_OVERLAP
    night.xo.schedules.append(make_schedule("long", job="long"))
    night.xo.will_run(DUE, job="long", schedule="long", seconds=9000)
    night.xo.will_run(after(1), seconds=60)
    night.go(after(300))
    night.xo.schedules = [make_schedule(cron="0 5 * * *"), night.xo.schedules[1]]
    night.restart()
    night.go(after(900))
    assert night.tales() == {TONIGHT: GOOD, ("long", 0, ""): GOOD[:3]}


# --- sequences


def sequence(night, *members, usual_s=600):
    night.policy = NO_OVERLAP
    night.xo.jobs = [job_named(one) for one in members]
    night.xo.call_jobs = [make_sequence(*members)]
    night.xo.schedules = [
        make_schedule("sequence", job="sequence-job"),
        *(make_schedule(one, job=one, enabled=False) for one in members),
    ]
    night.xo.past = [log for one in members for log in history(seconds=usual_s, schedule=one)]


def test_the_members_of_a_sequence_are_due_with_it_and_expected_one_after_the_other(night):
    sequence(night, "first", "second")
    night.xo.will_run(after(1), job="first", schedule="first", seconds=900)
    night.xo.sequences_run["sequence-job"] = (DUE, after(1203))
    night.xo.will_run(after(902), job="second", schedule="second", seconds=300)
    night.go(MORNING)
    assert night.tales() == {("first", 0, "sequence"): GOOD, ("second", 0, "sequence"): GOOD}
    expected = {key.schedule: (run.key.due, run.seen.expected_at) for key, run in night.runs().items()}
    assert expected == {"first": (DUE, DUE), "second": (DUE, after(600))}
    assert night.told.switched == []


def test_a_member_is_awaited_as_long_as_its_sequence_goes_on(night):
    sequence(night, "first", "second", usual_s=60)
    night.xo.will_run(DUE, job="first", schedule="first", seconds=3600)
    night.xo.sequences_run["sequence-job"] = (DUE, after(1830))
    night.go(after(1800))
    assert night.tales()["second", 0, "sequence"] == ["Seen", "Decided start"]
    night.go(after(1900))
    assert night.tales()["second", 0, "sequence"] == SILENT


def test_of_two_nights_of_a_sequence_each_has_its_own_runs(night):
    sequence(night, "first")
    for day in range(2):
        night.xo.will_run(DUE + day * DAY, job="first", schedule="first", seconds=300)
    night.doze(after(days=1, hours=1))
    assert night.tales() == {("first", 0, "sequence"): GOOD, ("first", 86400, "sequence"): GOOD}


def test_a_member_that_is_no_backup_is_not_awaited_and_one_that_does_not_exist_is(night):
    sequence(night, "first", "second")
    night.xo.call_jobs = [make_sequence("first", "second", "gone"), make_sequence(id_="second")]
    night.xo.jobs = [job_named("first")]
    night.xo.will_run(DUE, job="first", schedule="first", seconds=300)
    night.go(MORNING)
    assert set(night.tales()) == {("first", 0, "sequence"), ("gone", 0, "sequence")}
    (gone,) = [run for key, run in night.runs().items() if key.schedule == "gone"]
    assert (gone.seen.job, gone.seen.job_name, gone.seen.schedule_name) == ("", "(no job)", "gone")


# --- policy


def test_a_reload_changes_the_next_prediction(night):
    night.xo.records = {"servers": [make_server(status="disconnected")]}
    night.policy = load('[xo]\nurl = "https://xo.example"\n[checks.connectivity]\neffect = "warn"\n', file="g.toml")
    night.go(after(60))
    assert night.tales()[TONIGHT][1] == "Decided start"
    night.policy = load('[xo]\nurl = "https://xo.example"\n', file="g.toml")
    night.tick(after(days=1, seconds=-60))
    assert night.tales()[TOMORROW][1] != "Decided start"


def test_a_schedule_in_xos_own_zone_is_watched_from_when_the_policy_tells_it(night):
    night.xo.schedules = [make_schedule(timezone="local", cron="0 1,2 * * *")]
    night.go(after(minutes=30))
    assert night.tales() == {}
    night.policy = load('[xo]\nurl = "https://xo.example"\nzone = "Europe/Paris"\n', file="g.toml")
    night.tick(after(minutes=35))
    night.tick(after(minutes=59))
    assert list(night.tales()) == [("schedule", 3600, "")]
    assert night.only().seen.zone == "Europe/Paris"


def test_while_nobody_can_tell_when_a_schedule_fires_its_runs_are_watched_as_such_and_never_twice(night):
    night.xo.schedules = [make_schedule(timezone="local")]
    night.xo.will_run(DUE)
    with_zone = load('[xo]\nurl = "https://xo.example"\nzone = "UTC"\n', file="g.toml")
    without, night.policy = night.policy, with_zone
    night.tick()
    night.policy = without
    night.go(after(hours=7), every=timedelta(minutes=5))
    night.policy = with_zone
    night.go(after(hours=7, minutes=1))
    assert night.tales() == {("schedule", 0, "by hand"): FOUND_LATE}


# --- the clock


def test_a_clock_that_leaps_over_the_due_time_enters_it_late(night):
    night.xo.will_run(DUE)
    night.go(after(-200))
    night.tick(after(hours=2))
    assert night.tales() == {TONIGHT: FOUND_LATE}


def test_a_clock_set_back_over_the_due_time_tells_nothing_twice(night):
    night.xo.will_run(DUE, seconds=60)
    night.go(after(200))
    night.tick(after(-900))
    night.go(after(600))
    assert night.tales() == {TONIGHT: GOOD}


def test_a_clock_set_back_within_a_run_still_sees_its_end(night):
    night.xo.will_run(DUE, seconds=1200)
    night.go(after(300))
    night.tick(after(-600))
    night.go(after(1300))
    assert night.tales() == {TONIGHT: GOOD}


def test_a_run_by_hand_after_the_clock_was_set_back_is_seen(night):
    night.go(after(hours=3), every=timedelta(minutes=4))
    begin = after(hours=1, seconds=40)
    night.xo.will_run(begin, seconds=60)
    night.tick(after(hours=1, seconds=10))
    night.go(after(hours=1, minutes=3))
    assert night.tales()["schedule", 3640, "by hand"] == FOUND_LATE


def test_with_the_clock_set_back_the_logs_are_still_read_every_few_minutes(night):
    night.go(after(hours=3), every=timedelta(minutes=4))
    night.tick(after(hours=2))
    assert night.reads("logs", since=after(hours=3))
    assert night.reads("logs")[-1] == after(hours=2)


# --- predicting


@pytest.mark.parametrize("error", [XoAuthError("refused the token"), PolicyError("token: cannot be read")])
def test_a_prediction_that_cannot_be_made_is_tried_again_until_the_due_time(night, error):
    night.tick()
    reading = night.xo.estate

    async def fails():
        if night.now < after(-20):
            raise error
        return await reading()

    night.xo.estate = fails
    for seconds in (-60, -40, -20):
        night.tick(after(seconds))
    assert night.only().decided.at == after(-20)


def test_a_prediction_that_is_ready_after_the_due_time_is_none(night):
    night.tick()
    night.tick(after(-80))
    reading = night.xo.estate

    async def slowly():
        found = await reading()
        night.now = after(3)
        return found

    night.xo.estate = slowly
    night.tick(after(-30))
    assert night.only().decided is None
    night.go(after(120))
    assert night.tales()[TONIGHT] == ["Seen", "Alarmed XO_DID_NOT_FIRE", "Ended XO_DID_NOT_FIRE"]


def test_a_due_time_that_the_plan_does_not_know_is_watched_without_a_prediction(night):
    night.xo.schedules = [make_schedule(job="gone")]
    night.go(DUE)
    assert night.tales() == {TONIGHT: ["Seen"]}
    assert night.only().seen.job_name == "(no job)"


def test_all_that_is_due_together_is_predicted_on_one_reading(night):
    night.xo.schedules.append(make_schedule("other", job="other"))
    night.xo.jobs.append(job_named("other"))
    night.tick()
    night.go(DUE)
    assert len(night.reads("estate", since=after(-60))) == 1
    assert all(tale[1].startswith("Decided") for tale in night.tales().values())


def test_somebody_else_who_predicts_first_is_not_contradicted(night):
    class Late:
        def __getattr__(self, name):
            return getattr(night.ledger, name)

        async def append(self, key, after_seq, *events):
            if after_seq:
                raise ConflictError("another guard wrote here too")
            return await night.ledger.append(key, after_seq, *events)

    night.watch = night.another_watch(Late())
    night.go(DUE)
    assert night.tales() == {TONIGHT: ["Seen"]}
    assert night.told.events == []


# --- stuck


def test_a_run_without_progress_that_is_far_longer_than_usual_is_an_alarm(night):
    night.xo.will_run(DUE, seconds=12 * 3600)
    night.go(after(3 * 1800), every=timedelta(minutes=1))
    assert night.only().alarms == ()
    night.go(after(3 * 1800 + 360), every=timedelta(minutes=1))
    assert [one.code for one in night.only().alarms] == ["JOB_STUCK"]
    night.go(after(hours=13), every=timedelta(minutes=5))
    assert night.tales()[TONIGHT] == [*GOOD[:3], "Alarmed JOB_STUCK", *GOOD[3:]]


def test_with_fewer_than_five_samples_a_day_must_pass(night):
    night.xo.past = history(4)
    night.xo.will_run(DUE, seconds=30 * 3600)
    night.xo.schedules = [make_schedule(cron="0 0 25 * *")]
    night.go(after(hours=23, minutes=59), every=timedelta(minutes=5))
    assert night.only().alarms == ()
    night.go(after(hours=24, minutes=10), every=timedelta(minutes=5))
    assert [type(one) for one in night.only().alarms] == [Alarmed]


# --- what it costs, and what is left behind


def test_the_logs_are_read_only_when_something_is_awaited_or_moved_or_every_five_minutes(night):
    night.xo.will_run(DUE, seconds=1200)
    night.go(after(1500))
    read = [round((at - DUE).total_seconds()) for at in night.reads("logs")]
    assert [at for at in read if at < 0] == [-600, -300]
    awaited = [at for at in read if 0 <= at < 1200]
    assert awaited == [0, 300, 600, 900]
    assert [at for at in read if at >= 1200] == [1200, 1500]


def test_a_run_that_ended_is_asked_for_without_its_tasks(night):
    asked = []
    reading = night.xo.logs

    async def noted(since, done):
        asked.append(set(done))
        return await reading(since, done)

    night.xo.logs = noted
    run_id = night.xo.will_run(DUE, seconds=60)
    night.go(after(900))
    assert asked[0] == set()
    assert asked[-1] == {run_id}


class Slow:
    """An XO whose whole reading takes that long."""

    def __init__(self, night, takes):
        self._night, self.takes = night, takes

    def __getattr__(self, name):
        return getattr(self._night.xo, name)

    async def estate(self):
        read = await self._night.xo.estate()
        self._night.now += self.takes
        return read


@pytest.mark.parametrize("takes", [10, 45, 75, 200, 285])
def test_where_reading_xo_takes_long_it_begins_earlier_and_still_predicts(night, takes):
    night.watch = Watch(
        night.ledger, Slow(night, timedelta(seconds=takes)), night.told, clock=night.clock, policy_of=default_policy
    )
    night.xo.will_run(DUE)
    night.tick(EVENING - timedelta(minutes=10))
    night.go(after(minutes=40))
    assert night.tales() == {TONIGHT: GOOD}


def test_a_token_from_which_xo_hides_things_is_in_the_loop(night):
    class Filtered(Slow):
        async def estate(self):
            read = await super().estate()
            return dataclasses.replace(read, xo=msgspec.structs.replace(read.xo, admin=False))

    night.watch._looker._xo = Filtered(night, timedelta())
    assert night.tick().unwatched == ("what XO hides from the token's user, who is no administrator",)


def test_why_a_prediction_could_not_be_made_is_left_for_the_status(night):
    night.tick()
    night.watch._looker._xo = NoEstate(night.xo)
    assert night.go(after(-20)).unwatched == ("no prediction could be made: No XO answers",)
    night.watch._looker._xo = night.xo
    assert night.tick(after(-10)).unwatched == ()


class NoEstate:
    """An XO of which only the short lists can be read."""

    def __init__(self, xo):
        self._xo = xo

    def __getattr__(self, name):
        return getattr(self._xo, name)

    async def estate(self):
        raise self._xo.error


def test_what_goes_on_and_what_is_next_is_left_for_the_status(night):
    run_id = night.xo.will_run(DUE)
    loop = night.go(after(60))
    assert loop == night.remembered()
    (running,) = loop.running
    assert (running.run, running.schedule, running.began) == (run_id, "schedule", DUE)
    assert (running.vms, running.vms_done, running.sent_bytes) == (1, 0, 0)
    assert (loop.at, loop.next_due, loop.wake) == (after(60), DUE + DAY, after(70))
    assert night.go(after(1830)).running == ()


def test_when_nothing_is_awaited_the_wake_is_just_before_the_next_due_time_is_entered(night):
    night.xo.will_run(DUE, seconds=60)
    loop = night.go(after(300))
    assert loop.wake == DUE + DAY - timedelta(seconds=90)


def test_the_schedules_are_remembered_as_they_looked(night):
    night.tick()
    told = finished(night.ledger.recall(LOOKED_LIKE))
    assert [one["id"] for one in msgspec.json.decode(told)["schedules"]] == ["schedule"]


def test_a_transfer_that_was_sent_counts_as_progress(night):
    night.xo.past = []
    night.tick()
    sent = make_vm_task("vm", make_transfer(7, start=after(-400), seconds=10), status="pending")
    night.xo.runs.append(make_log(sent, start=after(-500), status="pending"))
    loop = night.tick(after(-390))
    assert [(one.vms, one.vms_done, one.sent_bytes) for one in loop.running] == [(1, 0, 7)]


def test_the_teller_of_a_second_guard_is_its_own(night):
    theirs = Told()
    with night.open() as ledger:
        other = night.another_watch(ledger, theirs)
        night.xo.will_run(DUE, seconds=60)
        night.tick(after(-80))
        night.tick(after(-50))
        night.now = after(100)
        finished(other.tick())
        night.tick()
    assert [word(event) for _, event in night.told.events] == ["Decided start"]
    assert [word(event) for _, event in theirs.events] == ["Started", "AttemptEnded success", "Ended observed"]
