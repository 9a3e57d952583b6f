"""Holds and bypasses that a person set: what a scope names, and what it holds of a run."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.decision.brakes import Brake, bypassed, holding, in_force, on_hold, read_brakes
from guard.errors import LedgerError
from guard.finding import ClearedBy, Harm, ScopeKind
from guard.policy.scopes import parse_scope
from tests.builders import (
    DUE,
    NOW,
    make_due,
    make_estate,
    make_job,
    make_pool,
    make_repository,
    make_schedule,
    make_sequence,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
)

HOUR = timedelta(hours=1)


def brake(scope="all", *, kind="hold", until=None, reason="patch day", by="ann"):
    return Brake(kind=kind, scope=scope, until=until, reason=reason, since=NOW, by=by)


def site(**changes):
    """Two pools with an SR each; the job takes "web" with a disk on the first, "db" on the second, and "gone"."""
    return make_estate(
        **{
            "pools": [make_pool("p1", name_label="Lyon"), make_pool("p2", name_label="Nice")],
            "srs": [make_sr("sr1", pool="p1", name_label="fast"), make_sr("sr2", pool="p2", name_label="slow")],
            "vms": [make_vm("v1", pool="p1", name_label="web"), make_vm("v2", pool="p2", name_label="db")],
            "vbds": [make_vbd("v1", "d1"), make_vbd("v2", "d2"), make_vbd("v2", "lost"), make_vbd("v1", "cd", is_cd_drive=True)],
            "vdis": [make_vdi("d1", sr="sr1"), make_vdi("d2", sr="sr2"), make_vdi("cd", sr="sr2")],
            "jobs": [
                make_job(name="all VMs", vms={"id": {"__or": ["v1", "v2", "gone"]}}, srs={"id": {"__or": ["sr3", "sr9"]}})
            ],
            "repositories": [make_repository(name="nas")],
            "schedules": [make_schedule(name="nightly")],
        }
        | changes
    )  # fmt: skip


def held(scope, estate=None, due=None, at=DUE, **more):
    estate = estate or site()
    run = make_view(estate, due=due).run
    return [vms for _, vms in holding([brake(scope, **more)], at, run, estate)]


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        ("all", ("all", "")),
        (" pool : Lyon 2 ", ("pool", "Lyon 2")),
        ("schedule:a:b", ("schedule", "a:b")),
        ("vm:5f", ("vm", "5f")),
    ],
)
def test_a_scope_is_a_kind_and_a_name(text, parsed):
    assert parse_scope(text) == parsed


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        ("", "'' names no kind of thing; expected \"all\", or one of schedule, job, pool"),
        ("host:h", "'host:h' names no kind of thing"),
        ("Pool:Lyon", "names no kind of thing"),
        ("pool", "'pool' does not say which pool; expected"),
        ("vm: ", "does not say which vm"),
        ("all:x", 'expected "all" alone'),
    ],
)
def test_a_scope_that_is_none_is_told_with_what_would_be_right(text, wrong):
    with pytest.raises(ValueError, match=r".") as caught:
        parse_scope(text)
    assert wrong in str(caught.value)


def test_a_brake_is_in_force_until_its_end():
    short, long = brake(until=DUE), brake()
    assert in_force([short, long], DUE - timedelta(seconds=1)) == (short, long)
    assert in_force([short, long], DUE) == (long,)


@pytest.mark.parametrize(
    ("scope", "vms"),
    [
        ("all", [()]),
        ("schedule:nightly", [()]),
        ("schedule:schedule", [()]),
        ("schedule:other", []),
        ("job:all VMs", [()]),
        ("job:job", [()]),
        ("job:x", []),
        ("repository:nas", [()]),
        ("repository:repo", [()]),
        ("repository:x", []),
        ("vm:web", [("v1",)]),
        ("vm:v2", [("v2",)]),
        ("vm:gone", [("gone",)]),
        ("vm:x", []),
        ("pool:Lyon", [("v1",)]),
        ("pool:p2", [("v2",)]),
        ("pool:x", []),
        ("sr:fast", [("v1",)]),
        ("sr:sr2", [("v2",)]),
        ("sr:sr3", [()]),
        ("sr:x", []),
    ],
)
def test_a_hold_holds_what_its_scope_names(scope, vms):
    assert held(scope) == vms


def test_an_sr_that_replicas_go_to_is_known_by_name_too():
    estate = site(srs=[make_sr("sr3", name_label="copies")])
    assert held("sr:copies", estate) == [()]


def test_a_repository_or_a_pool_that_xo_does_not_show_is_held_by_its_id():
    estate = site(repositories=[], pools=[], vms=[make_vm("v1", pool="p1"), make_vm("v2", pool="")])
    assert (held("repository:repo", estate), held("pool:p1", estate)) == ([()], [("v1",)])


def test_a_hold_on_a_sequence_holds_its_members():
    estate = site(
        call_jobs=[make_sequence("schedule")],
        schedules=[make_schedule(name="nightly"), make_schedule("seq", job="sequence-job", name="chain")],
    )
    for scope in ("schedule:chain", "schedule:seq", "schedule:nightly"):
        assert held(scope, estate, make_due(via="seq", sequence_at=DUE)) == [()]
    assert held("schedule:chain", estate) == []


def test_a_bypass_and_a_hold_that_has_ended_hold_nothing():
    assert (held("all", kind="bypass"), held("all", until=DUE)) == ([], [])
    assert held("all", until=DUE + HOUR) == [()]


@pytest.mark.parametrize(
    ("scope", "found"),
    [
        ("all", True),
        ("schedule:schedule", True),
        ("schedule:nightly", True),
        ("job:job", True),
        ("job:all VMs", True),
        ("job:x", False),
        ("pool:Lyon", False),
        ("vm:web", False),
        ("repository:nas", False),
    ],
)
def test_a_bypass_is_for_whole_schedules(scope, found):
    one = brake(scope, kind="bypass")
    schedule = make_schedule(name="nightly")
    assert bypassed([brake(), one], DUE, schedule=schedule, job_name="all VMs") is (one if found else None)


def test_a_bypass_ends():
    one = brake(kind="bypass", until=DUE)
    assert bypassed([one], DUE, schedule=make_schedule(), job_name="job") is None


def test_a_hold_of_all_is_told_with_who_set_it_until_when_and_why():
    found = on_hold(brake(until=DUE + HOUR), (), make_view(site()).run)
    assert found.summary == "This run is held by ann (all), until Wed 25 Nov 01:00 UTC: patch day."
    assert (found.code, found.check, found.harm, found.holds) == ("ON_HOLD", "policy", Harm.PRODUCTION, ())
    assert (found.scope.kind, found.clears.by, found.clears.eta) == (ScopeKind.XO, ClearedBy.TIME, DUE + HOUR)


def test_a_hold_of_some_vms_counts_them_and_may_have_no_end_and_no_reason():
    run = make_view(site()).run
    one = on_hold(brake("pool:Lyon", reason=""), ("v1",), run)
    assert one.summary == "1 VM of this run is held by ann (pool:Lyon), until somebody ends it."
    assert (one.scope.kind, one.scope.name, one.holds, one.clears.eta) == (ScopeKind.POOL, "Lyon", ("v1",), None)
    two = on_hold(brake("sr:fast", reason="move. "), ("v1", "v2"), run)
    assert two.summary == "2 VMs of this run are held by ann (sr:fast), until somebody ends it: move."


@pytest.mark.parametrize("told", [None, b""])
def test_a_ledger_without_brakes_has_none(told):
    assert read_brakes(told) == ()


def test_brakes_come_back_from_the_ledger_as_they_were_set():
    known = (Brake(kind="hold", scope="all", until=None, reason="why", since=NOW, by="ann"),)
    assert read_brakes(msgspec.json.encode(known)) == known


def test_brakes_that_a_newer_guard_wrote_are_an_error_and_not_none():
    with pytest.raises(LedgerError, match="cannot be read"):
        read_brakes(b'[{"kind": "pause"}]')
