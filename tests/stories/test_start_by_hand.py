"""guard start beside a daemon in driven time: whatever becomes of the command, the daemon tells what came of it."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.daemon.by_hand import look, start
from guard.decision.brakes import Brake
from guard.lifecycle.by_hand import Wish
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, End, Starter
from guard.outcomes.alarms import START_UNCERTAIN
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from guard.views.start import begun
from tests.gate.night import word
from tests.stories.acting import Enforcing, starts_of
from tests.stories.driven import Guarded
from tests.virtual_time import run as finished

EVENING = datetime(2026, 11, 23, 20, 0, 20, tzinfo=UTC)
DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
FORENOON = datetime(2026, 11, 24, 9, tzinfo=UTC)


class Died(BaseException):
    """The command is gone."""


def two_vms(begin=EVENING):
    """A world with VMs "a" and "b" in one nightly job."""
    world = World(lambda: begin)
    pool = world.add_pool("paris")
    sr = world.add_sr(pool, "NFS", "nfs", size=500 * GIB)
    vms = [world.add_vm(pool, name) for name in ("a", "b")]
    for vm in vms:
        world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
    job = world.add_job("nightly", vms=vms, remotes=[world.add_repository("nas", size=1000 * GIB, available=900 * GIB)])
    return Live(world), world.add_schedule(job, "0 2 * * *", name="nightly")


def by_hand(guarded, **wish):
    """What guard start does, beside this guard."""

    async def both():
        judged = await look(guarded.ledger, guarded.xo, guarded.policy, Wish(schedule="nightly", **wish), guarded.clock)
        return await start(guarded.ledger, guarded.xo, judged, guarded.clock)

    return finished(both())


def dies(guarded, *, asked):
    """The command dies at its call: before XO heard of it, or when XO has it."""

    def lose(name):
        if name != "start":
            return ""
        guarded.xo.lose = lambda _: ""
        if asked:
            guarded.live.jobs.run_schedule(next(iter(guarded.live.world.schedules.values())), "rpc")
        raise Died

    guarded.xo.lose = lose
    with pytest.raises(Died):
        by_hand(guarded)


def the_one(guarded):
    """The story by hand: (folded, in words)."""
    ((key, events),) = [one for one in guarded.stories().items() if one[0].via == BY_HAND]
    return fold(key, events), [word(event) for event in events]


def due_story(guarded):
    ((key, events),) = [one for one in guarded.stories().items() if one[0].due == DUE]
    return fold(key, events)


@pytest.fixture
def guarded(tmp_path):
    live, _ = two_vms()
    made = Guarded(live, tmp_path / "ledger")
    made.run(EVENING + timedelta(minutes=10))
    yield made
    made.close()


def test_it_is_watched_to_its_end_and_the_night_goes_on_as_ever(guarded):
    assert begun(by_hand(guarded).run) is not None
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Starting", "Started", "AttemptEnded success", "Ended ran"]
    assert run.attempts[0].started.by is Starter.GUARD
    assert due_story(guarded).ended.end is End.OBSERVED
    assert (len(guarded.live.world.starts), guarded.ear.alarms) == (2, [])


def test_a_command_that_died_before_it_asked_xo_ends_as_missed_without_an_alarm(guarded):
    dies(guarded, asked=False)
    guarded.run(EVENING + timedelta(minutes=14))
    assert the_one(guarded)[1] == ["Seen", "Decided start", "Starting"]
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Starting", "Ended missed"]
    assert run.ended.reason == "guard start died before it recorded XO's answer, and XO shows no run of it."
    assert guarded.ear.alarms == []


def test_a_command_that_died_when_xo_had_it_leaves_a_run_that_is_found(guarded):
    dies(guarded, asked=True)
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Starting", "Started", "AttemptEnded success", "Ended ran"]
    assert (run.attempts[0].started.by, run.attempts[0].started.attempt) == (Starter.GUARD, 1)
    assert guarded.ear.alarms == []


def test_a_command_that_died_before_its_intent_started_nothing(guarded):
    seen, runs_of = [], guarded.xo.runs_of

    async def once(job, since):
        seen.append(job)
        if len(seen) == 2:
            guarded.xo.runs_of = runs_of
            raise Died
        return await runs_of(job, since)

    guarded.xo.runs_of = once
    with pytest.raises(Died):
        by_hand(guarded)
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Ended missed"]
    assert run.ended.reason == "guard start ended before it asked XO, so nothing was started."
    assert guarded.ear.alarms == []


def test_a_lost_answer_to_which_no_run_shows_ends_as_missed_without_an_alarm(guarded):
    guarded.xo.lose = lambda name: "hang" if name == "start" else ""
    done = by_hand(guarded)
    assert begun(done.run) is None
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Starting", "Doubted", f"Ended {START_UNCERTAIN.id}"]
    assert run.ended.reason == "XO's answer to guard start was lost, and XO shows no run of it."
    assert guarded.ear.alarms == []


@pytest.mark.parametrize(
    ("fate", "told"), [("refused", "XO refuses start"), ("unsent", "Nothing was sent to XO: start was lost on its way")]
)
def test_what_xo_did_not_start_ends_as_missed_and_says_why(guarded, fate, told):
    guarded.xo.lose = lambda name: fate if name == "start" else ""
    by_hand(guarded)
    guarded.xo.lose = lambda name: ""
    guarded.run(FORENOON)
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Starting", "NotStarted", "Ended missed"]
    assert run.ended.reason == f"guard start came to nothing: {told}"
    assert guarded.ear.alarms == []


@pytest.mark.parametrize("before", [2, 20, 60])
def test_what_xo_starts_at_a_due_time_is_not_the_run_of_a_command_that_died(tmp_path, before):
    live, schedule = two_vms(DUE - timedelta(minutes=5))
    guarded = Guarded(live, tmp_path / "ledger")
    guarded.run(DUE - timedelta(seconds=before))
    dies(guarded, asked=False)
    guarded.run(FORENOON)
    assert the_one(guarded)[1] == ["Seen", "Decided start", "Starting", "Ended missed"]
    assert due_story(guarded).ended.end is End.OBSERVED
    assert len(starts_of(live, schedule)) == 1


@pytest.mark.parametrize("after", [45, 60])
def test_a_run_by_hand_shortly_after_a_due_time_is_not_that_due_times(tmp_path, after):
    live, schedule = two_vms(DUE - timedelta(minutes=5))
    live.rates.jobs[schedule["jobId"]] = GIB
    guarded = Guarded(live, tmp_path / "ledger")
    guarded.run(DUE + timedelta(seconds=after))
    by_hand(guarded)
    guarded.run(FORENOON)
    run, _ = the_one(guarded)
    assert (run.ended.end, len(run.attempts)) == (End.RAN, 1)
    assert [one.started.run for one in due_story(guarded).attempts] != [run.attempts[0].started.run]
    assert len(due_story(guarded).attempts) == 1


def meanwhile(guarded, name, number, happens):
    """Something happens right before the command asks XO for the ``number``-th time."""
    asked, ask = [], getattr(guarded.xo, name)

    async def wrapped(*given):
        asked.append(given)
        if len(asked) == number:
            happens()
        return await ask(*given)

    setattr(guarded.xo, name, wrapped)


def test_a_schedule_that_is_deleted_while_guard_looks_is_not_started(guarded):
    meanwhile(guarded, "setup", 1, guarded.live.world.schedules.clear)
    done = by_hand(guarded)
    assert done.error == "The schedule or its job was changed or deleted while guard looked; run it again."
    assert (done.run, guarded.live.world.starts, guarded.stories()) == (None, [], {})


@pytest.mark.parametrize(("name", "number"), [("setup", 1), ("runs_of", 1)])
def test_a_job_that_begins_to_run_while_guard_looks_is_not_asked_for(guarded, name, number):
    schedule = next(iter(guarded.live.world.schedules.values()))
    meanwhile(guarded, name, number, lambda: guarded.live.jobs.run_schedule(schedule, "rpc"))
    done = by_hand(guarded)
    assert done.error == "Job nightly runs by now, and XO runs a job once at a time (JOB_RUNNING)."
    assert (done.run, len(guarded.live.world.starts)) == (None, 1)


def test_a_run_that_goes_on_for_days_and_is_in_no_list_of_the_last_one_counts(guarded):
    schedule = next(iter(guarded.live.world.schedules.values()))
    meanwhile(guarded, "setup", 1, lambda: guarded.live.jobs.run_schedule(schedule, "rpc"))

    async def nothing(job, since):
        return ()

    guarded.xo.runs_of = nothing
    assert by_hand(guarded).error == "Job nightly runs by now, and XO runs a job once at a time (JOB_RUNNING)."
    assert len(guarded.live.world.starts) == 1


def test_a_run_that_was_just_over_is_not_taken_for_this_one(guarded):
    schedule = next(iter(guarded.live.world.schedules.values()))
    guarded.live.jobs.run_schedule(schedule, "rpc")
    (log,) = guarded.live.world.logs.values()
    while log["status"] == "pending":
        guarded.live.advance(guarded.live.now() + timedelta(seconds=1))
    log["start"] = int((guarded.live.now() - timedelta(seconds=2)).timestamp() * 1000)
    assert begun(by_hand(guarded).run) is not None
    assert len(guarded.live.world.starts) == 2


def test_a_job_that_begins_to_run_at_the_very_last_is_not_asked_for_and_the_story_says_so(guarded):
    schedule = next(iter(guarded.live.world.schedules.values()))
    meanwhile(guarded, "runs_of", 2, lambda: guarded.live.jobs.run_schedule(schedule, "rpc"))
    done = by_hand(guarded)
    assert (begun(done.run), done.error) == (None, "The job began to run before guard could start it.")
    guarded.run(FORENOON)
    assert len(guarded.live.world.starts) == 2  # that one, and the night's
    run, tale = the_one(guarded)
    assert tale == ["Seen", "Decided start", "Started", "AttemptEnded success", "Ended observed"]
    assert run.ended.reason == "Another run of the job was first."
    runs = [one.started.run for key, story in guarded.stories().items() for one in fold(key, story).attempts]
    assert len(runs) == len(set(runs)) == 2


def test_an_xo_that_goes_away_at_the_very_last_was_not_asked(guarded):
    meanwhile(guarded, "runs_of", 2, guarded.live.stop_xo)
    done = by_hand(guarded)
    assert (begun(done.run), done.run.intents, "No XO answers" in done.error) == (None, (), True)
    guarded.live.start_xo()
    guarded.run(FORENOON)
    assert the_one(guarded)[1][-1] == "Ended missed"
    assert guarded.ear.alarms == []


# --- beside a due time that waits


def on_hold(until):
    return Brake(kind="hold", scope="all", until=until, reason="", since=EVENING, by="ann")


def waiting(tmp_path):
    """A guard that holds all of the nightly run back from 02:00 to 02:40."""
    live, schedule = two_vms()
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.brake(on_hold(DUE + timedelta(minutes=40)))
    guarded.run(DUE + timedelta(minutes=10))
    assert starts_of(live, schedule) == []
    return guarded, live, schedule


@pytest.mark.parametrize("restarted", [False, True])
def test_some_vms_started_by_hand_stand_for_no_more_than_themselves(tmp_path, restarted):
    guarded, live, schedule = waiting(tmp_path)
    by_hand(guarded, vms=("a",), overridden=("ON_HOLD",), reason="now")
    guarded.run(DUE + timedelta(minutes=25))
    assert the_one(guarded)[0].ended.end is End.RAN
    if restarted:
        guarded.start()
    guarded.run(FORENOON)
    names = {vm["id"]: vm["name_label"] for vm in live.world.objects["VM"].values()}
    assert [[names[vm] for vm in one.vms] for one in starts_of(live, schedule)] == [["a"], ["b"]]
    assert due_story(guarded).ended.end is End.RAN


def test_all_of_it_started_by_hand_stands_for_a_run_that_waits(tmp_path):
    guarded, live, schedule = waiting(tmp_path)
    by_hand(guarded, overridden=("ON_HOLD",), reason="now")
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    assert due_story(guarded).ended.end is End.LEFT_TO_XO
    assert the_one(guarded)[0].ended.end is End.RAN


def test_in_observe_mode_a_start_by_hand_pages_nobody_about_the_gate(tmp_path):
    live, _ = two_vms()
    guarded = Guarded(live, tmp_path / "ledger")
    live.world.version = "5.999.0"
    guarded.run(EVENING + timedelta(minutes=10))
    by_hand(guarded)
    guarded.run(FORENOON)
    assert guarded.ear.asides == []
