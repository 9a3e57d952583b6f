"""How many jobs may work on one thing at once, and who takes the slots."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.decision.limits import goes_on, no_slots
from guard.finding import Certainty, ClearedBy, Harm, Level, ScopeKind
from guard.outcomes.codes import ALL_CODES
from guard.policy.codes import EVERY_CODE, POLICY_CODES
from guard.policy.schema import LimitRule
from guard.views.explain import codes_text, explain_text
from tests.builders import (
    DUE,
    NOW,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_pool,
    make_repository,
    make_schedule,
    make_sequence,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
)

HOUR = timedelta(hours=1)
MINUTE = timedelta(minutes=1)
BEGAN = NOW - timedelta(minutes=10)
SAME = {"remotes": {"id": "repo"}}


def site(*jobs, logs=(), **more):
    """The own job takes VM "vm" on "sr" in "pool"; VM "vm2" is on "sr2" in "pool2"."""
    return make_estate(
        **{
            "jobs": [make_job(srs={"id": "copies"}), *jobs],
            "pools": [make_pool(), make_pool("pool2", name_label="Nice")],
            "srs": [make_sr(), make_sr("sr2", pool="pool2", name_label="slow")],
            "vms": [make_vm(), make_vm("vm2", pool="pool2")],
            "vbds": [make_vbd(), make_vbd("vm2", "disk2")],
            "vdis": [make_vdi(), make_vdi("disk2", sr="sr2")],
            "repositories": [make_repository(name="nas"), make_repository("repo2", name="cloud")],
            "schedules": [make_schedule(), *(make_schedule(f"{job.id}-s", job=job.id) for job in jobs)],
            "logs": logs,
        }
        | more
    )


def past(job, minutes, *, schedule=None):
    return [
        make_log(
            make_vm_task("vm"),
            job=job,
            schedule=schedule or f"{job}-s",
            start=NOW - timedelta(days=day),
            seconds=60 * minutes,
            id=f"{job}-{day}",
        )
        for day in range(1, 6)
    ]


def at_work(job, schedule=None, began=BEGAN):
    return make_log(job=job, schedule=schedule or f"{job}-s", start=began, status="pending", id=f"{job}-run")


def found(estate, *limits, at=NOW, busy=(), due=None):
    view = make_view(estate, due=due or make_due(at=at), runs=busy)
    started = [one for one in view.outlook.runs if one.due in busy]
    return no_slots(limits, view, started, at)


def limit(per, slots=1, name="*"):
    return LimitRule(per=per, slots=slots, name=name)


def running(id_="other", **xo):
    return make_job(id_, **({"runId": f"{id_}-run"} | SAME | xo))


def test_without_a_limit_or_without_others_at_work_there_is_a_slot():
    assert found(site(running(), logs=[at_work("other")])) == []
    for per in ("repository", "sr", "pool", "xo"):
        assert found(site(make_job("idle")), limit(per)) == []


@pytest.mark.parametrize(
    ("per", "name", "other", "thing"),
    [
        ("repository", "*", {}, "nas"),
        ("repository", "n?s", {}, "nas"),
        ("repository", "cloud", {}, None),
        ("repository", "*", {"remotes": {"id": "repo2"}}, None),
        ("sr", "*", {}, "sr"),
        ("sr", "*", {"vms": {"id": "vm2"}}, None),
        ("sr", "*", {"vms": {"id": "vm2"}, "srs": {"id": "copies"}}, "copies"),
        ("pool", "*", {}, "pool"),
        ("pool", "Nice", {}, None),
        ("pool", "*", {"vms": {"id": "vm2"}}, None),
        ("xo", "*", {"vms": {"id": "vm2"}, "remotes": {"id": "repo2"}}, "XO"),
        ("xo", "*", {"type": "metadataBackup"}, "XO"),
    ],
)
def test_a_job_at_work_takes_a_slot_of_each_thing_it_works_on(per, name, other, thing):
    told = found(site(running(**other), logs=[at_work("other")]), limit(per, name=name))
    assert [one.scope.name for one in told] == ([thing] if thing else [])
    assert all(one.scope.kind is ScopeKind(per) for one in told)


def test_things_that_xo_does_not_show_go_by_their_ids():
    estate = site(running(), logs=[at_work("other")], repositories=[], srs=[], pools=[])
    told = found(estate, limit("repository"), limit("sr"), limit("pool"), limit("pool", name="p"))
    assert [one.scope.name for one in told] == ["repo", "sr", "pool"]


def test_the_finding_names_the_limit_who_is_at_work_and_when_a_slot_is_free():
    jobs = [running("a"), running("b"), running("c"), running("d")]
    logs = [*past("a", 60), *past("b", 120), *past("c", 30), at_work("a"), at_work("b"), at_work("c"), at_work("d")]
    (one,) = found(site(*jobs, logs=logs), limit("repository", 2))
    assert one.summary == (
        "Limit of 2 jobs at once on repository nas: 4 at work (a, b, c and 1 more); one is free about "
        "Tue 24 Nov 23:50 UTC."
    )
    assert (one.code, one.check, one.level, one.certainty, one.harm) == (
        "NO_SLOT",
        "policy",
        Level.BLOCK,
        Certainty.CERTAIN,
        Harm.NONE,
    )
    assert (one.holds, one.clears.by, one.clears.eta) == ((), ClearedBy.TIME, BEGAN + 2 * HOUR)
    assert {fact.name: fact.value for fact in one.facts} == {"slots": 2, "taken": 4}
    assert found(site(*jobs, logs=logs), limit("repository", 5)) == []


def test_when_the_ends_of_those_at_work_cannot_be_told_neither_can_the_slot():
    (one,) = found(site(running(), logs=[at_work("other")]), limit("xo"))
    assert one.summary == "Limit of 1 job at once on XO: 1 at work (other)."
    assert one.clears.eta is None


@pytest.mark.parametrize(
    ("minutes", "later", "taken"),
    [(60, 40, True), (60, 50, False), (None, 60, True), (None, 61, False)],
)
def test_what_runs_now_takes_a_slot_until_its_end_or_for_an_hour_when_that_cannot_be_told(minutes, later, taken):
    logs = [*(past("other", minutes) if minutes else []), at_work("other")]
    assert bool(found(site(running(), logs=logs), limit("xo"), at=NOW + later * MINUTE)) is taken


def test_a_job_does_not_stand_in_its_own_way():
    estate = site(jobs=[make_job(runId="job-run")], logs=[at_work("job", "schedule")])
    assert found(estate, limit("xo")) == []


def in_turn(**changes):
    """The schedule of the own job comes after that of "other" in a sequence."""
    return site(
        running(),
        call_jobs=[make_sequence("other-s", "schedule")],
        schedules=[make_schedule(), make_schedule("other-s", job="other"), make_schedule("seq", job="sequence-job")],
        **changes,
    )


@pytest.mark.parametrize(
    ("due", "log", "taken"),
    [
        ({"via": "seq", "sequence_at": BEGAN}, {}, False),
        ({"via": "seq", "sequence_at": NOW}, {}, True),
        ({"via": "seq"}, {}, True),
        ({"via": "gone", "sequence_at": BEGAN}, {}, True),
        ({}, {}, True),
        ({"via": "seq", "sequence_at": BEGAN}, {"schedule": "own"}, True),
    ],
)
def test_an_earlier_member_of_the_same_turn_ends_before_this_one_starts(due, log, taken):
    estate = in_turn(logs=[at_work("other", **log)])
    assert bool(found(estate, limit("xo"), due=make_due(at=NOW, **due))) is taken


def test_a_running_member_whose_log_was_not_read_takes_a_slot():
    assert found(in_turn(), limit("xo"), due=make_due(at=NOW, via="seq", sequence_at=BEGAN))


def test_runs_that_start_at_the_same_time_take_slots_and_a_job_takes_one_only():
    other = make_due("other-s", "other", at=NOW)
    twice = make_due("other-s", "other", at=NOW - MINUTE)
    estate = site(make_job("other"), logs=past("other", 30))
    assert [one.scope.name for one in found(estate, limit("repository"), busy=[other])] == ["nas"]
    assert found(estate, limit("repository", 2), busy=[other, twice]) == []
    assert found(estate, limit("repository"), busy=[make_due(at=NOW - MINUTE)]) == []


def test_runs_of_the_same_turn_of_a_sequence_do_not_meet():
    turn = {"via": "seq", "sequence_at": NOW}
    other = make_due("other-s", "other", at=NOW, **turn)
    estate = site(make_job("other"))
    assert found(estate, limit("xo"), busy=[other], due=make_due(at=NOW, **turn)) == []
    assert len(found(estate, limit("xo"), busy=[other], due=make_due(at=NOW, via="seq", sequence_at=DUE))) == 1


@pytest.mark.parametrize(
    ("minutes", "later", "goes"),
    [(30, 0, True), (30, 29, True), (30, 30, False), (0, 0, True), (None, 59, True), (None, 60, False)],
)
def test_a_started_run_goes_on_as_long_as_usual_or_an_hour(minutes, later, goes):
    logs = past("job", minutes, schedule="schedule") if minutes is not None else []
    view = make_view(site(logs=logs))
    assert goes_on(view.run, DUE + later * MINUTE) is goes


def test_the_codes_of_the_policy_are_explained_beside_all_others():
    assert {one.id for one in POLICY_CODES} == {"ON_HOLD", "OUTSIDE_WINDOW", "NO_SLOT"}
    assert not {one.id for one in POLICY_CODES} & ALL_CODES.keys()
    assert EVERY_CODE.keys() == ALL_CODES.keys() | {one.id for one in POLICY_CODES}
    assert max(map(len, codes_text(EVERY_CODE).splitlines())) <= 80


@pytest.mark.parametrize("code", POLICY_CODES, ids=[one.id for one in POLICY_CODES])
def test_a_code_of_the_policy_says_why_and_what_to_do(code):
    assert max(map(len, explain_text(code).splitlines())) <= 80
    assert code.why.endswith(".")
    assert code.do.endswith(".")
    assert code.title[-1] not in ".!?"
