"""Clock-change nights, as a real xo-server was seen to live through them (dst-nights.md)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.assess import make_plan
from guard.checks.clock_change import CHECK
from guard.checks.run import run_checks
from guard.decision.verdict import Action
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from guard.mechanics.due import due_times
from guard.policy.load import load
from tests.builders import facts, found, make_due, make_estate, make_job, make_schedule, make_sequence, make_view, read

PARIS = "Europe/Paris"
SPRING = datetime(2027, 3, 28, tzinfo=UTC)  # at 01:00 UTC 02:00 becomes 03:00 in Paris
AUTUMN = datetime(2027, 10, 31, tzinfo=UTC)  # at 01:00 UTC 03:00 becomes 02:00
STORM = "0,30 2 * * *"
UNREACHED = "30,55 2,4 * * 0"  # XO's timer goes past the bad minutes of this one
HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)


def night_of(cron, day, zone=PARIS):
    """The first due time of a schedule on the night of a day."""
    schedule = make_schedule(cron=cron)
    return due_times(schedule, zone=zone, after=day - 2 * HOUR, until=day + 4 * HOUR)[0]


def said(due, now=None, options=None, **world):
    world = {"schedules": [make_schedule(cron=due.cron, timezone=due.zone)]} | world
    view = make_view(make_estate(**world), due=due, now=now or due.at - HOUR)
    return found(CHECK, view, **(options or {}))


def before(days, cron=STORM, zone=PARIS, night=SPRING):
    """A due time so many days before a night."""
    return make_due(at=night - timedelta(days=days), cron=cron, zone=zone)


@pytest.mark.parametrize("cron", ["0 2 * * *", STORM])
@pytest.mark.parametrize("zone", [PARIS, "utc"])
def test_an_ordinary_night_is_silent(cron, zone):
    assert said(before(100, cron, zone)) == []


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
@pytest.mark.parametrize("cron", ["0 4 * * *", "0 3,4 * * *", "*/30 * * * *", "30 1 * * *"])
def test_a_schedule_outside_the_changed_hour_is_silent_on_the_night(cron, day):
    assert said(night_of(cron, day)) == []


@pytest.mark.parametrize("day", [SPRING, AUTUMN])
def test_a_schedule_in_utc_knows_no_such_night(day):
    assert said(night_of(STORM, day, "utc")) == []


# The storm on its night


@pytest.mark.parametrize(
    ("cron", "last"),
    [(STORM, 89), ("*/15 2 * * *", 104), ("15,30 2 * * *", 89), ("30,45 2 * * *", 104), ("0,30 2,14 * * *", 29)],
)
def test_a_storm_on_the_due_night_stands_in_the_way_until_its_last_minute_is_over(cron, last):
    (finding,) = said(night_of(cron, SPRING))
    assert (finding.code, finding.check, finding.level) == ("DST_STORM", "clock_change", Level.BLOCK)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.CERTAIN, Harm.PRODUCTION, ())
    assert finding.clears == Clears(ClearedBy.TIME, SPRING + (last + 1) * MINUTE)
    assert finding.scope == Scope(ScopeKind.SCHEDULE, "schedule", "schedule")


def test_a_storm_is_told_with_its_figures():
    (finding,) = said(night_of(STORM, SPRING), now=SPRING - 2 * HOUR)
    assert finding.summary == (
        "From Sun 28 Mar 2027 00:00 to 01:29 UTC, in 2 h, XO would start '0,30 2 * * *' (Europe/Paris) again and again until "
        "it dies."
    )
    assert finding.remedy == "Change it to '0,30 1 * * *' or '0,30 3 * * *', or to the zone UTC, before that night."
    told = facts(finding)
    assert told["cron"] == read(STORM, "", "schedules")
    assert told["first"] == ("2027-03-28T00:00:00+00:00", "", "XO's scheduler", None)
    assert told["last"] == ("2027-03-28T01:29:00+00:00", "", "XO's scheduler", None)


def test_in_the_midst_of_a_storm_it_is_not_ahead_any_more():
    (finding,) = said(night_of(STORM, SPRING), now=SPRING + 10 * MINUTE)
    assert "UTC, XO would start" in finding.summary


# The storm ahead


@pytest.mark.parametrize(("days", "options", "warned"), [
    (59, {}, True),
    (61, {}, False),
    (1, {"look_ahead_days": 1}, True),
    (2, {"look_ahead_days": 1}, False),
    (300, {"look_ahead_days": 400}, True),
])  # fmt: skip
def test_a_storm_ahead_is_a_warning_as_far_as_the_policy_looks(days, options, warned):
    findings = said(before(days), options=options)
    assert [(one.code, one.level) for one in findings] == ([("DST_STORM", Level.WARN)] if warned else [])
    for finding in findings:
        assert (finding.certainty, finding.harm) == (Certainty.CERTAIN, Harm.PRODUCTION)
        assert finding.clears.eta == SPRING + 90 * MINUTE


def test_the_night_after_a_storm_it_is_over():
    assert said(make_due(at=SPRING + timedelta(days=1), cron=STORM, zone=PARIS)) == []


def test_a_storm_that_xos_own_timer_does_not_reach_is_a_trend_and_says_when_it_would_happen():
    (finding,) = said(before(7, UNREACHED))
    assert (finding.code, finding.level, finding.certainty) == ("DST_STORM", Level.WARN, Certainty.TREND)
    assert "from sun 28 mar 2027 00:30 to 00:54 utc" in finding.summary.lower()
    assert finding.summary.endswith("until it dies, if xo-server is restarted or the schedule is saved then.")


def test_on_its_own_night_a_storm_that_is_not_reached_stands_in_nobodys_way():
    assert Level.BLOCK not in [one.level for one in said(night_of(UNREACHED, SPRING))]


# Double starts


@pytest.mark.parametrize(
    ("cron", "day", "times"),
    [
        ("0 2 * * *", SPRING, "01:00 CET and 03:00 CEST"),
        ("30 2 * * *", SPRING, "01:30 CET and 03:30 CEST"),
        ("0 2 * * *", AUTUMN, "02:00 CEST and 02:00 CET"),
        ("30 2 * * *", AUTUMN, "02:30 CEST and 02:30 CET"),
        (STORM, AUTUMN, "02:00 CEST and 02:00 CET"),
    ],
)
def test_a_due_time_in_the_changed_hour_is_started_twice(cron, day, times):
    (finding,) = said(night_of(cron, day))
    assert (finding.code, finding.check, finding.level) == ("RUNS_TWICE", "clock_change", Level.WARN)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.CERTAIN, Harm.NONE, ())
    assert finding.summary == f"The clocks change that night: XO starts {cron!r} (Europe/Paris) 2 times, at {times}."
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {
        "starts": (2, "starts", "XO's scheduler", None),
        "cron": read(cron, "", "schedules"),
    }


def test_a_double_start_and_the_storm_of_the_next_spring_are_both_told():
    findings = said(night_of(STORM, datetime(2026, 10, 25, tzinfo=UTC)), options={"look_ahead_days": 200})
    assert [(one.code, one.level) for one in findings] == [("DST_STORM", Level.WARN), ("RUNS_TWICE", Level.WARN)]


# Members of a sequence


def member_of(due):
    """The same due time as that of a member whose own schedule says something else."""
    world = {
        "schedules": [
            make_schedule("sequence", job="sequence-job", name="all night", cron=due.cron, timezone=PARIS),
            make_schedule("member", enabled=False, cron="0 0 * * *"),
        ],
        "call_jobs": [make_sequence("member")],
    }
    through = make_due(
        "member", at=due.at, cron=due.cron, zone=due.zone, starts=due.starts, storm=due.storm, via="sequence"
    )
    return said(through, **world)


@pytest.mark.parametrize(
    ("due", "code", "level"),
    [
        (night_of(STORM, SPRING), "DST_STORM", Level.BLOCK),
        (before(20), "DST_STORM", Level.WARN),
        (night_of("0 2 * * *", AUTUMN), "RUNS_TWICE", Level.WARN),
    ],
    ids=["storm", "storm ahead", "twice"],
)
def test_a_member_is_judged_by_the_cron_and_zone_of_its_sequence_and_told_of_it(due, code, level):
    (finding,) = member_of(due)
    assert (finding.code, finding.level) == (code, level)
    assert finding.scope == Scope(ScopeKind.SCHEDULE, "sequence", "all night")
    assert repr(due.cron) in finding.summary
    assert facts(finding)["cron"][0] == due.cron


def test_a_member_whose_sequence_xo_does_not_show_is_told_by_its_own_name():
    due = make_due(at=SPRING - timedelta(days=5), cron=STORM, zone=PARIS, via="gone")
    (finding,) = said(due)
    assert finding.scope.id == "schedule"


# Through a whole plan


def planned(rules="", days=0, **schedule):
    now = SPRING - timedelta(days=days, hours=4)
    estate = make_estate(
        schedules=[make_schedule(**({"cron": STORM, "timezone": PARIS} | schedule))],
        reading={name: {"read_at": now} for name in PartName},
    )
    policy = load(f'xo.url = "https://xo"\n{rules}', file="policy")
    return make_plan(estate, policy, now=now, start=now, within=timedelta(hours=8))


@pytest.mark.parametrize("zone", [PARIS, "local", "europe/paris"])
def test_a_storm_night_is_deferred_to_the_minute_after_wherever_the_zone_comes_from(zone):
    (run,) = planned('xo.zone = "Europe/Paris"', timezone=zone).runs
    assert (run.verdict.action, [one.code for one in run.verdict.findings]) == (Action.DEFER, ["DST_STORM"])
    assert "expected Sun 28 Mar 03:30 CEST" in run.verdict.clears


def test_a_run_that_may_wait_for_a_minute_only_still_waits_for_the_end_of_the_gap_because_that_is_its_honest_time():
    (run,) = planned('defaults.max_defer = "1 min"').runs
    assert run.verdict.action is Action.DEFER


@pytest.mark.parametrize("zone", [PARIS, "local"])
def test_a_storm_ahead_is_told_for_a_local_schedule_too(zone):
    found_runs = planned('xo.zone = "Europe/Paris"', days=20, timezone=zone).runs
    assert [[(one.code, one.level) for one in run.verdict.findings] for run in found_runs] == [
        [("DST_STORM", Level.WARN)]
    ] * 2


@pytest.mark.parametrize("job_type", ["backup", "mirrorBackup", "metadataBackup"])
def test_xo_starts_every_kind_of_job_the_same_way(job_type):
    due = night_of(STORM, SPRING)
    reading = {name: {"read_at": due.at} for name in PartName}
    view = make_view(make_estate(jobs=[make_job(type=job_type)], reading=reading), due=due, now=due.at)
    assert [one.code for one in run_checks([CHECK], view, {"clock_change": CHECK.options()})] == ["DST_STORM"]
