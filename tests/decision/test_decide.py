"""From findings to the five verdicts."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.decision.decide import decide, new_holds
from guard.decision.verdict import Action
from guard.finding import Certainty, ClearedBy, Clears, Finding, Harm, Level, Scope, ScopeKind

DUE = datetime(2026, 11, 25, 1, tzinfo=UTC)


def finding(
    code="CHAIN_UNHEALTHY", *, level=Level.BLOCK, harm=Harm.NONE, by=ClearedBy.TIME, eta=None, holds=(), kind="vm"
):
    return Finding(
        code=code,
        check="chain",
        level=level,
        certainty=Certainty.CERTAIN,
        harm=harm,
        scope=Scope(ScopeKind(kind), "x", "x"),
        holds=holds,
        summary=f"{code} told.",
        remedy="act",
        clears=Clears(by, eta),
    )


def verdict(*findings, vms=("a", "b"), on_unknown="start", overlap="skip", deadlines=None):
    held = {}
    for one in findings:
        if one.level is not Level.WARN and not (one.level is Level.UNKNOWN and on_unknown == "start"):
            for vm in one.holds:
                held[vm] = (*held.get(vm, ()), one)
    return decide(
        vms=vms,
        names={"a": "web"},
        findings=findings,
        held=held,
        deadlines=deadlines or {},
        deadline=DUE + timedelta(hours=4),
        on_unknown=on_unknown,
        overlap=overlap,
        zone=UTC,
    )


def test_nothing_in_the_way_starts_the_whole_run():
    found = verdict(finding(level=Level.WARN), finding(level=Level.UNKNOWN))
    assert (found.action, found.start_vms, found.held, found.unknown) == (Action.START, ("a", "b"), (), True)
    assert found.sentence == "2 VMs, nothing stands in the way; 1 warning, 1 unknown."
    assert verdict().sentence == "2 VMs, nothing stands in the way."


def test_a_held_vm_makes_it_start_some():
    found = verdict(finding(holds=("a",)))
    assert (found.action, found.start_vms) == (Action.START_SOME, ("b",))
    assert found.held[0].deadline == DUE + timedelta(hours=4)
    assert found.sentence == "1 of 2 VMs held (web): CHAIN_UNHEALTHY."
    assert found.clears == "Clears by itself; the wait ends at Wed 25 Nov 05:00 UTC."


def test_all_vms_held_without_harm_defers():
    found = verdict(finding(holds=("a", "b")))
    assert (found.action, found.start_vms) == (Action.DEFER, ())
    assert found.sentence == "No VM is left to start; held are web, b: CHAIN_UNHEALTHY."


def test_harm_that_only_a_person_clears_refuses():
    found = verdict(finding("REPOSITORY_NO_SPACE", harm=Harm.REPOSITORY, by=ClearedBy.PERSON, holds=("a", "b")))
    assert found.action is Action.REFUSE
    assert [one.deadline for one in found.held] == [None, None]
    assert found.clears == "Clears when a person acts; starting it as it is would do harm (repository)."


def test_a_whole_run_with_harm_that_ends_in_time_is_deferred_and_one_that_does_not_is_refused():
    for hours, action in ((1, Action.DEFER), (5, Action.REFUSE)):
        one = finding("DST_STORM", harm=Harm.PRODUCTION, eta=DUE + timedelta(hours=hours), kind="schedule")
        assert verdict(one).action is action


def test_a_whole_run_without_harm_is_deferred_with_all_its_vms():
    found = verdict(finding("NO_VM_MATCHES", by=ClearedBy.REMEDY, eta=DUE + timedelta(minutes=5)))
    assert (found.action, [one.vm for one in found.held]) == (Action.DEFER, ["a", "b"])
    assert found.sentence == "NO_VM_MATCHES told."
    assert found.clears.startswith("Clears with the remedy, expected Wed 25 Nov 01:05 UTC")


@pytest.mark.parametrize(("overlap", "action"), [("skip", Action.SKIP), ("one_later", Action.DEFER)])
def test_an_overlap_is_skipped_or_run_later_by_policy(overlap, action):
    found = verdict(finding("JOB_RUNNING", kind="job"), overlap=overlap)
    assert found.action is action
    assert (found.clears == "The other run covers this due time; nothing is lost.") is (action is Action.SKIP)


@pytest.mark.parametrize(
    ("on_unknown", "action"), [("start", Action.START), ("defer", Action.DEFER), ("refuse", Action.REFUSE)]
)
def test_an_unknown_does_what_the_policy_says(on_unknown, action):
    assert verdict(finding(level=Level.UNKNOWN), on_unknown=on_unknown).action is action


def test_each_vm_waits_until_its_own_deadline_and_the_sentence_tells_the_first_and_the_last():
    own = {"a": DUE + timedelta(hours=1)}
    found = verdict(finding(holds=("a", "b")), deadlines=own)
    assert {one.vm: one.deadline for one in found.held} == {"a": own["a"], "b": DUE + timedelta(hours=4)}
    assert found.clears == "Clears by itself; the waits end from Wed 25 Nov 02:00 UTC to Wed 25 Nov 05:00 UTC."
    assert found.deadline == DUE + timedelta(hours=4)


def test_harm_that_ends_after_a_vms_own_deadline_refuses_that_vm_alone():
    late = finding("SR_NO_SPACE", harm=Harm.PRODUCTION, eta=DUE + timedelta(hours=2), holds=("a", "b"))
    found = verdict(late, deadlines={"a": DUE + timedelta(hours=1)})
    assert {one.vm: one.deadline for one in found.held} == {"a": None, "b": DUE + timedelta(hours=4)}
    assert found.clears.endswith("1 VM will not be started before, that would do harm (production).")


def test_the_worst_harm_of_what_holds_a_vm_is_told():
    mild, bad = finding(holds=("a", "b")), finding("SR_NO_SPACE", harm=Harm.PRODUCTION, holds=("a",))
    found = verdict(mild, bad)
    assert ({one.vm: one.harm for one in found.held}, found.harm) == (
        {"a": Harm.PRODUCTION, "b": Harm.NONE},
        Harm.PRODUCTION,
    )
    assert (verdict().harm, verdict(finding(level=Level.WARN, harm=Harm.PRODUCTION)).harm) == (Harm.NONE, Harm.NONE)


def test_the_harm_of_an_unknown_fact_counts_as_none():
    found = verdict(finding(level=Level.UNKNOWN, harm=Harm.PRODUCTION, holds=("a",)), on_unknown="defer")
    assert (found.held[0].harm, found.harm) == (Harm.NONE, Harm.NONE)


def test_a_run_of_nothing_waits_until_the_deadline_of_the_run():
    found = verdict(finding("RUN_OVERLAP", kind="job"), vms=(), overlap="one_later")
    assert (found.action, found.held, found.deadline) == (Action.DEFER, (), DUE + timedelta(hours=4))
    assert found.clears.endswith("the wait ends at Wed 25 Nov 05:00 UTC.")


def test_a_run_with_which_xo_would_crash_is_refused_at_once_whatever_else_holds_it():
    crash = finding("SETTINGS_MISSING", by=ClearedBy.PERSON, kind="job")
    found = verdict(finding("JOB_RUNNING", kind="job"), crash)
    assert (found.action, found.sentence) == (Action.REFUSE, "SETTINGS_MISSING told.")
    assert found.clears == "Clears when a person acts; XO would crash at the start as it is."
    assert [one.deadline for one in found.held] == [None, None]


@pytest.mark.parametrize("level", [Level.WARN, Level.UNKNOWN])
def test_settings_that_are_only_odd_or_not_known_do_not_refuse(level):
    assert verdict(finding("SETTINGS_MISSING", by=ClearedBy.PERSON, kind="job", level=level)).action is Action.START


def test_more_than_three_held_vms_are_counted():
    assert "a, b, c and 1 more" in verdict(finding(holds=tuple("abcd")), vms=tuple("abcde")).sentence.replace(
        "web", "a"
    )


def test_single_vms_are_held_before_shared_things_and_those_one_at_a_time():
    chain = finding(holds=("a",))
    sr, repository = (finding("SR_NO_SPACE", holds=("b",), kind=kind) for kind in ("sr", "repository"))
    assert new_holds([sr, chain, repository], {}, "start") == (chain,)
    assert new_holds([sr, chain, repository], {"a": ()}, "start") == (sr,)
    assert new_holds([sr, chain, repository], {"a": (), "b": ()}, "start") == ()
