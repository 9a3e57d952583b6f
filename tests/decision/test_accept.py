"""What a person accepted: which findings and alarms an entry covers, and which entries do nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.assess import make_plan
from guard.decision.accept import (
    About,
    accepting,
    as_accepted,
    ended,
    ending,
    in_force,
    is_by,
    with_accepted,
)
from guard.decision.verdict import Action
from guard.finding import Accepted, Level, Scope, ScopeKind
from guard.policy.accept_schema import AcceptRule
from guard.policy.schema import default_policy
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
from tests.lifecycle.stories import finding, verdict

HOUR, DAY = timedelta(hours=1), timedelta(days=1)


def entry(scope="all", *, code="CHAIN_UNHEALTHY", ends=DUE + DAY, until="2026-11-26", reason="known"):
    return AcceptRule(code=code, scope=scope, until=until, reason=reason, ends=ends)


def site(**changes):
    """The job takes "web" with a disk on SR "fast" in Lyon, and "db" with one each on "fast" and "slow" in Nice."""
    return make_estate(
        **{
            "pools": [make_pool("p1", name_label="Lyon"), make_pool("p2", name_label="Nice")],
            "srs": [make_sr("sr1", pool="p1", name_label="fast"), make_sr("sr2", pool="p2", name_label="slow")],
            "vms": [make_vm("v1", pool="p1", name_label="web"), make_vm("v2", pool="p2", name_label="db")],
            "vbds": [make_vbd("v1", "d1"), make_vbd("v2", "d2"), make_vbd("v2", "d3")],
            "vdis": [make_vdi("d1", sr="sr1"), make_vdi("d2", sr="sr1"), make_vdi("d3", sr="sr2")],
            "jobs": [make_job(name="all VMs", vms={"id": {"__or": ["v1", "v2"]}})],
            "repositories": [make_repository(name="nas")],
            "schedules": [make_schedule(name="nightly")],
        }
        | changes
    )


def marked(rule, *findings, estate=None, at=DUE, due=None):
    estate = estate or site()
    run = make_view(estate, due=due).run
    found = with_accepted(verdict(*findings), (rule,), at, run, estate)
    return [one.accepted is not None for one in found.findings]


VM, DB = Scope(ScopeKind.VM, "v1", "web"), Scope(ScopeKind.VM, "v2", "db")
FAST, NAS = Scope(ScopeKind.SR, "sr1", "fast"), Scope(ScopeKind.REPOSITORY, "repo", "nas")
JOB, XO = Scope(ScopeKind.JOB, "job", "all VMs"), Scope(ScopeKind.XO, "xo", "XO")
DISK = Scope(ScopeKind.VDI, "d1", "disk")
ABOUT = {
    "web": finding(scope=VM, holds=("v1",)),
    "web, only told": finding(scope=VM, holds=()),
    "a disk of web": finding(scope=DISK, holds=("v1",)),
    "db": finding(scope=DB, holds=("v2",)),
    "fast": finding(scope=FAST, holds=("v1", "v2")),
    "fast, only told": finding(scope=FAST, holds=()),
    "nas": finding(scope=NAS, holds=()),
    "the job": finding(scope=JOB, holds=()),
    "XO": finding(scope=XO, holds=()),
}
WEB = {"web", "web, only told", "a disk of web"}
VMS = WEB | {"db"}


@pytest.mark.parametrize(
    ("scope", "covered"),
    [
        ("all", set(ABOUT)),
        ("schedule:nightly", set(ABOUT)),
        ("schedule:schedule", set(ABOUT)),
        ("schedule:weekly", set()),
        ("job:all VMs", set(ABOUT)),
        ("job:job", set(ABOUT)),
        ("job:other", set()),
        ("vm:web", WEB),
        ("vm:v1", WEB),
        ("vm:db", {"db"}),
        ("vm:other", set()),
        ("pool:Lyon", WEB),
        ("pool:p2", {"db"}),
        ("sr:fast", VMS | {"fast", "fast, only told"}),
        ("sr:slow", {"db"}),  # not what is about another SR, though a VM of it has a disk here
        ("repository:nas", set(ABOUT)),  # all of the run is written there
        ("repository:other", set()),
    ],
)
def test_a_scope_covers_what_is_about_it_or_lies_within_it(scope, covered):
    found = marked(entry(scope), *ABOUT.values())
    assert {name for name, is_marked in zip(ABOUT, found, strict=True) if is_marked} == covered


def test_what_is_about_another_repository_is_not_covered_by_one_that_the_run_writes_to_too():
    other = finding(scope=Scope(ScopeKind.REPOSITORY, "r2", "usb"), holds=())
    assert marked(entry("repository:nas"), other) == [False]


def test_a_sequence_names_its_members():
    sequence = make_sequence("schedule", id_="seq-job")
    estate = site(
        call_jobs=[sequence],
        schedules=[make_schedule(name="nightly"), make_schedule("seq", job="seq-job", name="chain")],
    )
    through = make_due(via="seq")
    assert marked(entry("schedule:chain"), finding(), estate=estate, due=through) == [True]


def test_only_its_own_code_is_covered_and_only_until_it_ends():
    assert marked(entry(code="SR_NO_SPACE"), finding()) == [False]
    assert marked(entry(), finding(), at=DUE + DAY - timedelta(seconds=1)) == [True]
    assert marked(entry(), finding(), at=DUE + DAY) == [False]


def test_what_covers_a_finding_is_written_beside_it():
    run = make_view(site()).run
    found = with_accepted(verdict(finding()), (entry(),), DUE, run, site())
    (accepted,) = (one.accepted for one in found.findings)
    assert accepted == Accepted(until=DUE + DAY, shown="2026-11-26", reason="known")
    assert is_by(accepted, entry())
    assert not is_by(accepted, entry(reason="another one"))
    assert not is_by(None, entry())


def test_an_accepted_unknown_counts_as_known_and_another_one_does_not():
    run = make_view(site()).run
    known, other = finding(level=Level.UNKNOWN), finding("SR_UNKNOWN", level=Level.UNKNOWN)
    assert with_accepted(verdict(known), (entry(),), DUE, run, site()).unknown is False
    assert with_accepted(verdict(known, other), (entry(),), DUE, run, site()).unknown is True


def test_without_an_entry_in_force_a_verdict_is_left_alone():
    run, found = make_view(site()).run, verdict(finding())
    assert with_accepted(found, (), DUE, run, site()) is found
    assert with_accepted(found, (entry(ends=DUE),), DUE, run, site()) is found


def test_an_accepted_block_still_holds_its_vm():
    held = site(
        vms=[make_vm("v1", pool="p1", name_label="web", blockedOperations={"snapshot": "no"})], vbds=[], vdis=[]
    )
    found = {}
    for accepts in ((), (entry("vm:web", code="SNAPSHOT_BLOCKED"),)):
        policy = msgspec.structs.replace(default_policy(), accepts=accepts)
        plan = make_plan(held, policy, now=NOW, start=NOW, within=timedelta(days=1))
        found[bool(accepts)] = plan.runs[0].verdict
    with_word, without = found[True], found[False]
    assert "SNAPSHOT_BLOCKED" in [one.code for one in without.findings if one.level is Level.BLOCK]
    assert with_word.held == without.held != ()
    assert with_word.action is without.action is not Action.START
    assert [one.code for one in with_word.findings if one.accepted] == ["SNAPSHOT_BLOCKED"]


def test_a_plan_says_which_entries_do_nothing():
    rules = (
        entry(ends=NOW, until="2026-11-01"),
        entry("vm:gone"),
        entry("vm:web"),
        entry("sr:sr1"),
        entry("all"),
    )
    policy = msgspec.structs.replace(default_policy(), accepts=rules)
    plan = make_plan(site(), policy, now=NOW, start=NOW, within=timedelta(days=1))
    assert [one.text for one in plan.notes if "accept[" in one.text] == [
        "accept[1] of the policy (CHAIN_UNHEALTHY for all) ended on 2026-11-01 and does nothing any more.",
        "accept[2] of the policy (CHAIN_UNHEALTHY for vm:gone): XO shows no vm of that name or id.",
    ]


def test_entries_are_in_force_until_they_end_and_named_a_week_before():
    near, far, over = entry(ends=NOW + 6 * DAY), entry(ends=NOW + 8 * DAY), entry(ends=NOW)
    assert in_force((near, far, over), NOW) == (near, far)
    assert ended((near, far, over), NOW) == (over,)
    assert ending((far, entry(ends=NOW + 7 * DAY), near, over), NOW) == (near, entry(ends=NOW + 7 * DAY))


@pytest.mark.parametrize(
    ("scope", "about", "covered"),
    [
        ("all", About(), True),
        ("schedule:s", About(schedule=("s", "nightly")), True),
        ("schedule:nightly", About(schedule=("s", "nightly")), True),
        ("schedule:j", About(schedule=("s",), job=("j",)), False),
        ("job:j", About(schedule=("s",), job=("j",)), True),
        ("vm:web", About(vms=(("v1", "web"),)), True),
        ("vm:web", About(vms=(("v1", "web"), ("v2", "db"))), False),
        ("vm:web", About(scopes=(VM,)), True),
        ("vm:web", About(), False),
        ("sr:fast", About(scopes=(VM, FAST), vms=(("v1", "web"),)), True),
        ("sr:slow", About(scopes=(VM, FAST)), False),
        ("repository:nas", About(scopes=(NAS,)), True),
    ],
)
def test_what_a_story_tells_is_covered_by_its_names(scope, about, covered):
    assert (accepting((entry(scope),), DUE, "CHAIN_UNHEALTHY", about) is not None) is covered


def test_what_a_story_tells_is_covered_by_an_entry_of_its_code_that_is_in_force():
    assert accepting((entry(),), DUE, "SR_NO_SPACE", About()) is None
    assert accepting((entry(ends=DUE),), DUE, "CHAIN_UNHEALTHY", About()) is None
    assert accepting((entry(),), DUE, "CHAIN_UNHEALTHY", About()) == as_accepted(entry())
