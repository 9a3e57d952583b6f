"""From what guard knows to figures: one table for each kind, and nothing where nothing is known."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.estate.estate import PartName
from guard.estate.observations import Observations, Waiting
from guard.finding import Level
from guard.lifecycle.channels import ChannelStatus
from guard.lifecycle.events import End, GaveUp, RunKey
from guard.lifecycle.loop import Loop, Progress, SwitchedOff
from guard.mechanics.fallback import Fallback, FallbackKind, at_minutes
from guard.meter import Timing, Traffic
from guard.policy.schema import default_policy
from guard.views import figures
from guard.views.doings import NOTHING, Deferral, Doings, Expected
from guard.views.figures import Coverage, Looks, facts_of
from guard.views.metrics import FAMILIES
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_repository_info,
    make_schedule,
    make_sequence,
    make_sr,
    make_transfer,
    make_vm,
    make_vm_task,
)
from tests.lifecycle.stories import (
    after,
    alarmed,
    attempt_ended,
    claimed,
    claiming,
    decided,
    ended,
    finding,
    held,
    seen,
    started,
    story,
)

KNOWN = {one.name: one for one in FAMILIES}
RUNNING = Progress(schedule="schedule", job_name="nightly", run="1", began=DUE, vms=3, vms_done=1, sent_bytes=3 * GIB)
LOOP = Loop(at=after(30), running=(RUNNING,), more_running=2, unwatched=("a", "b"), wake=after(60))
NAMES = {"schedule": "nightly / every night"}


def stamp(moment):
    return moment.timestamp()


def told(found):
    """Family -> {its labels: figure}; every one is a family, with as many labels as that has."""
    for name, samples in found.items():
        assert all(len(labels) == len(KNOWN[name].labels) for labels, _ in samples), name
        assert len({labels for labels, _ in samples}) == len(samples), name
    return {name: dict(samples) for name, samples in found.items() if samples}


# --- the loop


def test_before_the_first_look_there_are_only_counts():
    assert told(figures.loop_figures(None, Looks())) == {
        "guard_loop_looks_total": {("read",): 0, ("unread",): 0, ("unrecorded",): 0},
        "guard_loop_look_duration_seconds": {(): Timing()},
        "guard_ledger_writable": {(): 1.0},
    }


def test_a_look_that_read_xo_tells_of_runs_and_when_it_wakes():
    found = told(figures.loop_figures(LOOP, Looks({"read": 2}, Timing().and_one(1.5), after(31), writable=False)))
    assert found == {
        "guard_loop_looks_total": {("read",): 2},
        "guard_loop_look_duration_seconds": {(): Timing().and_one(1.5)},
        "guard_ledger_writable": {(): 0.0},
        "guard_loop_last_look_timestamp_seconds": {(): stamp(after(31))},
        "guard_loop_wake_timestamp_seconds": {(): stamp(after(60))},
        "guard_xo_readable": {(): 1.0},
        "guard_schedules_unwatched": {(): 2.0},
        "guard_runs_running": {(): 3.0},
    }


def test_while_xo_cannot_be_read_nobody_claims_to_know_what_runs():
    blind = msgspec.structs.replace(LOOP, xo_error="No XO answers", unread_since=after(-600), wake=None)
    found = told(figures.loop_figures(blind, Looks()))
    assert found["guard_xo_readable"] == {(): 0.0}
    assert found["guard_xo_unread_since_timestamp_seconds"] == {(): stamp(after(-600))}
    assert not {"guard_runs_running", "guard_loop_wake_timestamp_seconds"} & set(found)
    since_ever = msgspec.structs.replace(blind, unread_since=None)
    assert "guard_xo_unread_since_timestamp_seconds" not in told(figures.loop_figures(since_ever, Looks()))


def test_writes_are_counted_from_nought_on():
    traffic = Traffic({("rest", "vms"): Timing().and_one(1)}, {("XO", "timeout"): 2}, {"sr.scan": 3, "made.up": 1})
    assert told(figures.traffic_figures(traffic, ("sr.scan", "schedule.set"))) == {
        "guard_call_duration_seconds": {("rest", "vms"): Timing().and_one(1)},
        "guard_call_errors_total": {("XO", "timeout"): 2},
        "guard_xo_writes_total": {("sr.scan",): 3, ("schedule.set",): 0, ("made.up",): 1},
    }


# --- what guard holds


def test_what_waits_and_is_held_is_counted_by_code():
    of_two = held()
    watched = story(seen(), decided(finding(), action=Action.START_SOME, held=(of_two, of_two)))
    acting = replace(watched, decided=msgspec.structs.replace(watched.decided, acts=True))
    fallback = Fallback(
        kind=FallbackKind.START, schedule="schedule", due=DUE, cron=at_minutes([after(180)]), instance="0" * 12
    )
    doings = Doings(
        claimed=(acting,),
        fallbacks=(Expected(acting, fallback, after(180)), Expected(acting, fallback, after(300))),
        deferrals=(
            Deferral(acting, ("web",), ("CHAIN_UNHEALTHY", "NO_SLOT"), after(600), None),
            Deferral(watched, (), ("NO_SLOT",), after(600), None),
        ),
        brakes=(Brake(kind="hold", scope="all", until=None, reason="", since=DUE, by="me"),),
    )
    assert told(figures.held_figures((watched, acting), doings)) == {
        "guard_deferrals": {("CHAIN_UNHEALTHY",): 1, ("NO_SLOT",): 2},
        "guard_held_vms": {("CHAIN_UNHEALTHY", "observe"): 2, ("CHAIN_UNHEALTHY", "enforce"): 2},
        "guard_claims": {(): 1.0},
        "guard_fallbacks": {(): 2.0},
        "guard_brakes": {("hold",): 1.0, ("bypass",): 0.0},
    }


def test_a_run_that_waits_as_a_whole_holds_all_its_vms_by_what_blocks_the_whole():
    whole = finding("RUN_OVERLAP", holds=())
    warned = finding("EXPORT_TOO_LONG", level=Level.WARN, holds=())
    run = story(seen(), decided(whole, warned, finding("CHAIN_UNHEALTHY"), action=Action.DEFER))
    found = told(figures.held_figures((run,), NOTHING))
    assert found["guard_held_vms"] == {("RUN_OVERLAP", "observe"): 1}


def test_a_run_that_starts_whole_or_was_never_judged_holds_nothing():
    found = told(figures.held_figures((story(seen()), story(seen(), decided(finding()))), NOTHING))
    assert "guard_held_vms" not in found
    assert found["guard_claims"] == {(): 0.0}


# --- stories


def facts(*runs):
    return tuple(facts_of(run) for run in runs)


def test_the_newest_prediction_of_a_schedule_is_its_verdict():
    early = story(
        seen(due=LAST_NIGHT),
        decided(due=LAST_NIGHT, action=Action.REFUSE),
        key=RunKey("schedule", LAST_NIGHT),
    )
    late = story(seen(), decided(finding(), action=Action.DEFER))
    found = told(figures.story_figures(facts(late, early, story(seen())), None, NAMES, NOW))
    labels = ("schedule", "nightly / every night")
    assert found["guard_schedule_verdict"] == {
        (*labels, action.value): float(action is Action.DEFER) for action in Action
    }
    assert found["guard_schedule_prediction_timestamp_seconds"] == {labels: stamp(late.decided.at)}


def test_before_xo_was_read_whole_a_schedule_is_called_as_its_story_did():
    found = told(figures.story_figures(facts(story(seen(), decided())), None, {}, NOW))
    assert ("schedule", "nightly / schedule", "start") in found["guard_schedule_verdict"]


def test_a_schedule_that_is_gone_has_no_verdict_any_more():
    found = told(figures.story_figures(facts(story(seen(), decided())), None, {"other": "b"}, NOW))
    assert not {"guard_schedule_verdict", "guard_schedule_prediction_timestamp_seconds"} & set(found)


@pytest.mark.parametrize("code", ["XO_DID_NOT_FIRE", "START_UNCERTAIN"])
def test_what_a_start_made_up_for_is_no_alarm_any_more(code):
    def alarms(*more):
        return told(figures.story_figures(facts(story(seen(), alarmed(code), *more)), LOOP, NAMES, after(3600)))

    labels = ("schedule", "nightly / every night", code)
    assert alarms()["guard_alarms"] == {labels: 1}
    assert "guard_alarms" not in alarms(started())
    assert alarms(ended(End.MISSED))["guard_alarms"] == {labels: 1}


def given_up(*codes, code=""):
    vms = tuple(msgspec.structs.replace(held(), codes=codes) for _ in codes[:1])
    return GaveUp(at=after(5), vms=vms, whole=True, end=End.REFUSED, code=code)


@pytest.mark.parametrize(
    ("given", "is_alarm"),
    [
        (given_up("ON_HOLD"), False),
        (given_up(code="ON_HOLD"), False),
        (given_up("ON_HOLD", "SR_NO_SPACE"), True),
        (given_up("SR_NO_SPACE"), True),
        (given_up(code="SR_NO_SPACE"), True),
    ],
)
def test_what_a_person_holds_wakes_nobody_through_prometheus(given, is_alarm):
    run = story(seen(), decided(), given, alarmed("RUN_REFUSED"), ended(End.REFUSED))
    found = told(figures.story_figures(facts(run), LOOP, NAMES, after(3600)))
    assert ("guard_alarms" in found) is is_alarm


def test_predictions_are_held_against_outcomes_by_code():
    hit = story(seen(), decided(finding()), started(), attempt_ended(status="failure"), ended())
    false_alarm = story(seen(), decided(finding()), started(), attempt_ended(), ended(), key=RunKey("other", DUE))
    missed = story(seen(), decided(), started(), attempt_ended(status="failure"), ended(), key=RunKey("third", DUE))
    found = told(figures.story_figures(facts(hit, false_alarm, missed), None, NAMES, after(3600)))
    assert found["guard_predictions"] == {
        ("CHAIN_UNHEALTHY", "hit"): 1.0,
        ("CHAIN_UNHEALTHY", "miss"): 1.0,
        ("CHAIN_UNHEALTHY", "false_alarm"): 1.0,
        ("CHAIN_UNHEALTHY", "wrong_cause"): 0.0,
    }
    assert found["guard_due_times"] == {(end.value,): 3.0 if end is End.OBSERVED else 0.0 for end in End}
    assert set(told(figures.story_figures(facts(hit), None, NAMES, after(days=2)))["guard_due_times"].values()) == {0.0}


def test_a_run_that_guard_changed_and_a_sequence_itself_score_nothing():
    acted = story(seen(), decided(finding()), claiming(), claimed())
    sequence = story(msgspec.structs.replace(seen(), members=("a", "b")), decided(finding()))
    assert [one.tallies for one in facts(acted, sequence)] == [{}, {}]


def test_alarms_are_told_by_code_and_schedule_while_they_stand():
    stuck = story(seen(), started(), alarmed())
    off = SwitchedOff(schedule="other", name="hourly", at=NOW)
    loop = msgspec.structs.replace(LOOP, switched_off=(off,))
    found = told(figures.story_figures(facts(stuck), loop, NAMES, after(3600)))
    assert found["guard_alarms"] == {
        ("schedule", "nightly / every night", "JOB_STUCK"): 1,
        ("other", "hourly", "SCHEDULE_DISABLED"): 1,
    }
    over = story(seen(), started(), alarmed(), attempt_ended(), ended())
    assert "guard_alarms" not in told(figures.story_figures(facts(over), LOOP, NAMES, after(days=3)))


def test_what_is_kept_of_a_story_holds_no_findings_vms_or_outcomes():
    run = story(seen(), decided(finding()), started(), attempt_ended(), ended())
    kept = facts_of(run)
    assert kept.run.decided is None
    assert [one.ended for one in kept.run.attempts] == [None]
    assert (kept.action, kept.good_at, kept.saved) == ("start", DUE, {"vm": DUE})


def test_a_failed_run_and_a_mirrors_copy_save_no_vm():
    failed = facts_of(story(seen(), started(), attempt_ended(status="failure"), ended()))
    assert (failed.good_at, failed.saved, failed.predicted_at, failed.action) == (None, {}, None, "")
    going_on = facts_of(story(seen(), started()))
    assert (going_on.good_at, going_on.saved) == (None, {})
    run = story(seen(), started(), attempt_ended(), ended())
    (attempt,) = run.attempts
    outcome = attempt.ended.outcome
    (vm,) = outcome.vms
    copied = msgspec.structs.replace(vm, targets=tuple(msgspec.structs.replace(one, full=None) for one in vm.targets))
    of_mirror = msgspec.structs.replace(outcome, vms=(copied,))
    mirrored = replace(
        run, attempts=(replace(attempt, ended=msgspec.structs.replace(attempt.ended, outcome=of_mirror)),)
    )
    assert (facts_of(mirrored).good_at, facts_of(mirrored).saved) == (DUE, {})


# --- schedules


def test_a_schedule_has_a_name_where_it_runs_backups():
    own = make_schedule("sequence", job="calls")
    other = make_schedule("update", job="else")
    lost = make_schedule("lost", job="gone")
    fallback = Fallback(
        kind=FallbackKind.START, schedule="schedule", due=DUE, cron=at_minutes([after(180)]), instance="0123456789ab"
    )
    estate = make_estate(
        schedules=[make_schedule(name="every night"), own, other, lost, make_schedule("fb", job="fallback")],
        call_jobs=[
            make_sequence("schedule", id_="calls", name="chain"),
            make_sequence(id_="else", method="pool.update"),
            make_sequence("schedule", id_="fallback", name=fallback.name),
        ],
    )
    assert figures.names_of(estate) == {"schedule": "job / every night", "sequence": "chain / sequence"}


def test_schedules_tell_whether_they_are_on_when_they_are_due_and_when_they_went_well():
    schedules = [make_schedule(), make_schedule("off", enabled=False), make_schedule("unnamed")]
    names = {"schedule": "a", "off": "b"}
    good = story(seen(), started(), attempt_ended(), ended())
    logged = {"schedule": LAST_NIGHT, "off": LAST_NIGHT, "unnamed": NOW}
    found = told(figures.schedule_figures(schedules, names, {"schedule": DUE}, facts(good), logged))
    assert found == {
        "guard_schedule_enabled": {("schedule", "a"): 1.0, ("off", "b"): 0.0},
        "guard_schedule_next_due_timestamp_seconds": {("schedule", "a"): stamp(DUE)},
        "guard_schedule_last_good_timestamp_seconds": {
            ("schedule", "a"): stamp(DUE),
            ("off", "b"): stamp(LAST_NIGHT),
        },
    }
    failed = facts(story(seen(), started(), attempt_ended(status="failure"), ended()))
    newer = figures.schedule_figures(
        schedules, names, {}, (*failed, *facts(good)), {"schedule": NOW + timedelta(days=9)}
    )
    assert told(newer)["guard_schedule_last_good_timestamp_seconds"] == {
        ("schedule", "a"): stamp(NOW + timedelta(days=9))
    }


@pytest.mark.parametrize(
    ("cron", "due"),
    [
        ("*/5 * * * *", NOW + timedelta(minutes=5)),
        ("0 0 * * *", DUE),
        ("30 22 * * 6", datetime(2026, 11, 28, 22, 30, tzinfo=UTC)),
        ("0 3 1 jan *", datetime(2027, 1, 1, 3, tzinfo=UTC)),
        ("0 3 1 sep *", datetime(2027, 9, 1, 3, tzinfo=UTC)),
        ("0 3 31 feb *", None),
    ],
)
def test_the_next_due_time_is_found_however_far_it_is(cron, due):
    found = figures.next_dues(make_estate(schedules=[make_schedule(cron=cron)]), NOW, None)
    assert found == ({"schedule": due} if due else {})


def test_a_due_time_that_is_years_away_is_left_out():
    leap_day = make_estate(schedules=[make_schedule(cron="0 3 29 feb *")])
    assert figures.next_dues(leap_day, datetime(2028, 3, 1, tzinfo=UTC), None) == {}
    assert figures.next_dues(leap_day, NOW, None) == {"schedule": datetime(2028, 2, 29, 3, tzinfo=UTC)}


def test_a_schedule_that_is_off_or_whose_zone_is_unknown_has_no_next_due_time():
    schedules = [make_schedule(enabled=False), make_schedule("local", timezone="local")]
    assert figures.next_dues(make_estate(schedules=schedules), NOW, None) == {}
    assert figures.next_dues(make_estate(schedules=schedules), NOW, "Europe/Paris") == {
        "local": datetime(2026, 11, 24, 23, tzinfo=UTC)
    }


def test_the_last_good_run_of_a_schedule_is_the_newest_that_went_well():
    vm = make_vm_task("vm", make_transfer(GIB))
    estate = make_estate(
        logs=[
            make_log(vm, start=LAST_NIGHT),
            make_log(vm, start=LAST_NIGHT - timedelta(days=1)),
            make_log(vm, start=LAST_NIGHT + timedelta(hours=1), status="failure"),
            make_log(vm, start=LAST_NIGHT + timedelta(hours=2), schedule=UNSET),
        ]
    )
    assert figures.last_good(estate) == {"schedule": LAST_NIGHT}


# --- storage


def test_an_sr_tells_its_size_its_room_and_what_waits_to_be_merged():
    waiting = {
        "a": Waiting(sr="sr", child="b", bytes=5, since=LAST_NIGHT),
        "c": Waiting(sr="sr", child="d", bytes=7, since=LAST_NIGHT - timedelta(days=1)),
    }
    estate = make_estate(
        srs=[
            make_sr(size=1000, physical_usage=250),
            make_sr("over", size=100, physical_usage=130),
            make_sr("untold", size=100, physical_usage=UNSET),
            make_sr("no size", size=UNSET),
            make_sr("empty", size=0),
            make_sr("isos", content_type="iso"),
            make_sr("dvd", SR_type="udev"),
        ],
        observations=Observations(since=LAST_NIGHT, looked_at=NOW, waiting=waiting),
    )
    found = told(figures.estate_figures(estate, ()))
    assert found["guard_sr_size_bytes"] == {("sr", "sr"): 1000, ("over", "over"): 100, ("untold", "untold"): 100}
    assert found["guard_sr_free_bytes"] == {("sr", "sr"): 750, ("over", "over"): 0}
    assert found["guard_sr_headroom_ratio"] == {("sr", "sr"): 0.75, ("over", "over"): 0}
    assert found["guard_sr_coalesce_backlog_vdis"][("sr", "sr")] == 2
    assert found["guard_sr_coalesce_backlog_vdis"][("over", "over")] == 0
    assert found["guard_sr_coalesce_backlog_bytes"][("sr", "sr")] == 12
    assert found["guard_sr_coalesce_oldest_timestamp_seconds"] == {("sr", "sr"): stamp(LAST_NIGHT - timedelta(days=1))}


@pytest.mark.parametrize("observed", [None, Observations(since=LAST_NIGHT, looked_at=NOW - timedelta(hours=1))])
def test_a_backlog_that_this_reading_does_not_tell_is_absent(observed):
    found = told(figures.estate_figures(make_estate(observations=observed), ()))
    assert not [name for name in found if "coalesce" in name]


def test_a_repository_tells_what_xo_told_of_it():
    estate = make_estate(
        repositories=[make_repository(), make_repository("s3"), make_repository("unread")],
        repository_info={"repo": make_repository_info(), "s3": make_repository_info(UNSET, UNSET, UNSET)},
    )
    found = told(figures.estate_figures(estate, ()))
    assert found["guard_repository_size_bytes"] == {("repo", "repo"): 1000 * GIB}
    assert found["guard_repository_free_bytes"] == {("repo", "repo"): 900 * GIB}


def test_an_estate_tells_its_age_and_which_xo_it_is_of():
    found = told(figures.estate_figures(make_estate(), ()))
    assert found["guard_estate_read_timestamp_seconds"] == {(): stamp(NOW)}
    assert found["guard_xo_info"] == {("5.207.2", "true"): 1.0}
    other = replace(make_estate(), xo=msgspec.structs.replace(make_estate().xo, version="5.999.0"))
    assert told(figures.estate_figures(other, ()))["guard_xo_info"] == {("5.999.0", "false"): 1.0}
    assert told(figures.estate_figures(other, ("5.999.0",)))["guard_xo_info"] == {("5.999.0", "true"): 1.0}


# --- VMs and repositories, from the logs


def two_vms(**more):
    """VM "old" was saved two nights ago, "vm" last night."""
    night = LAST_NIGHT - timedelta(days=1)
    logs = [
        make_log(make_vm_task("old", make_transfer(GIB, start=night)), start=night),
        make_log(make_vm_task("vm", make_transfer(GIB))),
    ]
    given = {
        "vms": [make_vm(), make_vm("old", name_label="db")],
        "jobs": [make_job(vms={"id": {"__or": ["vm", "old"]}})],
    }
    return make_estate(logs=logs, **(given | more))


def test_the_stalest_vm_is_the_one_that_waited_longest():
    coverage = figures.coverage_of(two_vms(), default_policy(), NOW)
    assert coverage.vms == {"vm": ("vm", LAST_NIGHT), "old": ("db", LAST_NIGHT - timedelta(days=1))}
    found = told(figures.coverage_figures(coverage, {}, NOW + timedelta(hours=1)))
    assert found["guard_stalest_vm_info"] == {("old", "db"): 1.0}
    assert found["guard_stalest_vm_age_seconds"] == {(): 47 * 3600}


def test_a_run_that_ended_since_the_logs_were_read_counts():
    coverage = figures.coverage_of(two_vms(), default_policy(), NOW)
    found = told(figures.coverage_figures(coverage, {"old": NOW}, NOW + timedelta(hours=1)))
    assert found["guard_stalest_vm_info"] == {("vm", "vm"): 1.0}
    ahead = told(figures.coverage_figures(coverage, {"old": NOW, "vm": NOW}, NOW - timedelta(hours=1)))
    assert ahead["guard_stalest_vm_age_seconds"] == {(): 0.0}


def test_a_vm_without_a_good_backup_is_as_old_as_the_logs_at_least():
    estate = replace(two_vms(), logs=two_vms().logs[:1])
    coverage = figures.coverage_of(estate, default_policy(), NOW)
    assert coverage.vms["vm"] == ("vm", None)
    found = told(figures.coverage_figures(coverage, {}, NOW))
    assert found["guard_stalest_vm_age_seconds"] == {(): (NOW - (LAST_NIGHT - timedelta(days=1))).total_seconds()}


def test_without_logs_nobody_claims_to_know_which_vm_is_stale():
    coverage = figures.coverage_of(two_vms(reading={PartName.LOGS: {"ok": False}}), default_policy(), NOW)
    assert coverage.vms == {}
    assert told(figures.coverage_figures(coverage, {}, NOW)) == {}


def test_a_repository_that_fills_tells_how_long_it_has_left():
    full = {"repo": make_repository_info(1000 * GIB, 999 * GIB, 3 * GIB)}
    coverage = figures.coverage_of(two_vms(repository_info=full), default_policy(), NOW)
    assert set(coverage.full) == {("repo", "repo")}
    at = coverage.full["repo", "repo"]
    found = told(figures.coverage_figures(coverage, {}, NOW))
    assert found["guard_repository_until_full_seconds"] == {("repo", "repo"): (at - NOW).total_seconds()}
    over = told(figures.coverage_figures(Coverage({}, NOW, {("r", "r"): NOW}), {}, NOW + timedelta(days=1)))
    assert over["guard_repository_until_full_seconds"] == {("r", "r"): 0.0}


# --- channels


def test_channels_tell_how_they_fare_and_the_digest_only_what_waits():
    channels = (
        ChannelStatus(name="mail", sent=3, failed=2, dropped=1, waiting=4, failing_since=DUE),
        ChannelStatus(name="webhook"),
        ChannelStatus(name="digest", waiting=7),
    )
    assert told(figures.channel_figures(channels)) == {
        "guard_notify_sent_total": {("mail",): 3, ("webhook",): 0},
        "guard_notify_failed_total": {("mail",): 2, ("webhook",): 0},
        "guard_notify_dropped_total": {("mail",): 1, ("webhook",): 0},
        "guard_notify_waiting": {("mail",): 4, ("webhook",): 0, ("digest",): 7},
        "guard_notify_failing_since_timestamp_seconds": {("mail",): stamp(DUE)},
    }
