"""What of a due run's story a person accepted, so that nobody is told of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import pytest
from guard.decision.verdict import Action, Held
from guard.finding import Accepted, Level, Scope, ScopeKind
from guard.lifecycle.accepted import (
    about,
    alarm_is_accepted,
    is_accepted_outcome,
    loop_without_accepted,
    loud_causes,
    loud_findings,
    loud_held,
    predicted,
    still_there,
    without_accepted,
)
from guard.lifecycle.events import End, GaveUp
from guard.lifecycle.loop import Loop, SwitchedOff
from guard.policy.accept_schema import AcceptRule
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import after, alarmed, attempt_ended, decided, ended, finding, seen, started, story

AT = after(hours=1)
WORD = Accepted(until=AT + timedelta(days=1), shown="2026-11-26", reason="known")
OVER = Accepted(until=AT, shown="2026-11-25", reason="known")


def entry(scope="all", *, code="CHAIN_UNHEALTHY", ends=AT + timedelta(days=1)):
    return AcceptRule(code=code, scope=scope, until="2026-11-26", reason="known", ends=ends)


def held(vm="vm", *codes, deadline=None):
    return Held(vm=vm, name="web", codes=codes or ("CHAIN_UNHEALTHY",), deadline=deadline)


def failed(*findings):
    return story(seen(), decided(*findings), started(), attempt_ended(status="failure"))


def outcome_of(run):
    return run.attempts[0].ended.outcome


# --- causes


@pytest.mark.parametrize(
    ("scope", "is_known"),
    [("all", True), ("vm:vm", True), ("job:nightly", True), ("schedule:schedule", True), ("vm:other", False)],
)
def test_a_cause_is_accepted_by_an_entry_that_names_its_vm_or_its_run(scope, is_known):
    run = failed()
    assert (loud_causes(run, outcome_of(run), (entry(scope),), AT) == ()) is is_known
    assert is_accepted_outcome(run, outcome_of(run), (entry(scope),), AT) is is_known


def test_a_cause_is_accepted_by_the_repository_that_missed_its_copy():
    run = failed()
    nas = Scope(ScopeKind.REPOSITORY, "r", "nas")
    (cause,) = outcome_of(run).causes
    lost = replace(outcome_of(run), causes=(replace(cause, target=nas),))
    assert is_accepted_outcome(run, lost, (entry("repository:nas"),), AT)
    assert not is_accepted_outcome(run, lost, (entry("repository:usb"),), AT)


def test_a_cause_of_the_whole_run_is_about_no_vm():
    run = failed()
    (cause,) = outcome_of(run).causes
    whole = replace(outcome_of(run), causes=(replace(cause, scope=Scope(ScopeKind.JOB, "job", "nightly")),))
    assert not is_accepted_outcome(run, whole, (entry("vm:vm"),), AT)
    assert is_accepted_outcome(run, whole, (entry("job:job"),), AT)


@pytest.mark.parametrize(
    ("found", "is_known"),
    [
        (finding(accepted=WORD), True),
        (finding(accepted=WORD, holds=()), True),
        (finding(accepted=WORD, holds=("other",)), False),
        (finding(accepted=OVER), False),
        (finding("SR_NO_SPACE", accepted=WORD), False),
        (finding(), False),
    ],
)
def test_a_cause_whose_prediction_was_accepted_is_accepted_as_long_as_that_holds(found, is_known):
    run = failed(found)
    assert is_accepted_outcome(run, outcome_of(run), (), AT) is is_known


NAS, USB = Scope(ScopeKind.REPOSITORY, "r", "nas"), Scope(ScopeKind.REPOSITORY, "u", "usb")


@pytest.mark.parametrize(
    ("scope", "target", "is_known"),
    [
        (NAS, NAS, True),
        (USB, NAS, False),
        (USB, None, True),
        (Scope(ScopeKind.JOB, "job", "nightly"), NAS, True),
        (Scope(ScopeKind.VM, "vm", "web"), NAS, True),
        (Scope(ScopeKind.VM, "db", "db"), None, False),
    ],
)
def test_what_was_accepted_of_one_repository_or_vm_hides_no_failure_of_another(scope, target, is_known):
    run = failed(finding(accepted=WORD, holds=(), scope=scope))
    (cause,) = outcome_of(run).causes
    lost = replace(outcome_of(run), causes=(replace(cause, target=target),))
    assert is_accepted_outcome(run, lost, (), AT) is is_known


def test_a_failure_without_a_cause_is_never_accepted():
    run = failed()
    assert not is_accepted_outcome(run, replace(outcome_of(run), causes=()), (entry(),), AT)


# --- what was decided


def test_what_stands_in_the_way_and_is_not_accepted_is_loud():
    loud, unsure = finding(), finding("SR_UNKNOWN", level=Level.UNKNOWN)
    told = finding("CHAIN_TOO_LONG", level=Level.WARN)
    run = story(seen(), decided(loud, unsure, told, finding(accepted=WORD), finding("NO_SLOT", accepted=OVER)))
    assert [one.code for one in loud_findings(run, AT)] == ["CHAIN_UNHEALTHY", "SR_UNKNOWN", "NO_SLOT"]
    assert loud_findings(story(seen()), AT) == ()


def test_a_vm_is_silent_when_all_that_holds_it_is_accepted():
    run = story(seen(), decided(finding(accepted=WORD), finding("SR_NO_SPACE")))
    known, both, bare = (
        held(),
        held("vm", "CHAIN_UNHEALTHY", "SR_NO_SPACE"),
        Held(vm="x", name="x", codes=(), deadline=None),
    )
    other = held("other")
    assert loud_held(run, (known, both, bare, other), AT) == (both, bare, other)


# --- alarms


def test_an_alarm_is_accepted_by_its_code():
    run = story(seen(), decided(), started(), alarmed())
    assert alarm_is_accepted(run, run.alarms[0], (entry(code="JOB_STUCK"),), AT)
    assert not alarm_is_accepted(run, run.alarms[0], (entry(code="RUN_REFUSED"),), AT)


ONE = (held(),)


def refused(*findings, vms=ONE):
    given = GaveUp(at=AT, vms=vms, whole=True, end=End.REFUSED, code="CHAIN_UNHEALTHY", reason="Held.")
    return story(seen(), decided(*findings, action=Action.REFUSE), given, alarmed("RUN_REFUSED"))


@pytest.mark.parametrize(
    ("run", "entries", "is_known"),
    [
        (refused(finding()), (), False),
        (refused(finding(accepted=WORD)), (), True),
        (refused(finding(accepted=WORD), vms=(held(), held("db"))), (), False),
        (refused(finding()), (entry("vm:web", code="RUN_REFUSED"),), True),
        (refused(finding(), vms=(held(), held("db", "SR_NO_SPACE"))), (entry("vm:vm", code="RUN_REFUSED"),), False),
        (refused(finding(holds=(), accepted=WORD), vms=()), (), True),
        (refused(finding(holds=(), accepted=WORD), finding("NO_SLOT"), vms=()), (), False),
        (refused(vms=()), (), False),
        (story(seen(), decided(finding(accepted=WORD)), alarmed("RUN_REFUSED")), (), False),
    ],
    ids=["loud", "known", "one of two", "by code", "by code, one of two", "whole", "whole, one of two", "bare", "given"],
)  # fmt: skip
def test_a_refusal_is_accepted_when_all_that_its_vms_are_refused_for_is(run, entries, is_known):
    assert alarm_is_accepted(run, run.alarms[0], entries, AT) is is_known


# --- for monitoring


def test_monitoring_sees_no_accepted_alarm_and_an_accepted_failure_as_if_it_had_gone_well():
    run = story(
        seen(), decided(), started(), started("2", 60), alarmed(), alarmed("NO"), attempt_ended(status="failure")
    )
    calm = without_accepted(run, (entry(), entry(code="JOB_STUCK")), AT)
    assert [one.code for one in calm.alarms] == ["NO"]
    assert [one.ended.outcome.status if one.ended else "" for one in calm.attempts] == ["success", ""]
    assert without_accepted(run, (), AT) == run


def test_monitoring_sees_no_schedule_whose_being_off_is_accepted():
    off = [SwitchedOff(schedule=one, name=f"{one} nightly", at=DUE) for one in ("s1", "s2")]
    loop = Loop(at=AT, switched_off=tuple(off))
    calm = loop_without_accepted(loop, (entry("schedule:s1 nightly", code="SCHEDULE_DISABLED"),), AT)
    assert calm.switched_off == (off[1],)


def test_a_story_is_about_its_schedule_its_sequence_and_its_job():
    found = about(story(seen()))
    assert (found.schedule, found.job) == (("schedule", "schedule", ""), ("job", "nightly"))


def test_a_vm_held_by_two_findings_with_one_code_is_told_while_one_of_them_is_not_accepted():
    sr1, sr2 = Scope(ScopeKind.SR, "sr1", "fast"), Scope(ScopeKind.SR, "sr2", "slow")
    known, loud = finding(accepted=WORD, scope=sr1), finding(scope=sr2)
    run = story(seen(), decided(known, loud))
    assert loud_held(run, ONE, AT) == ONE
    assert loud_held(story(seen(), decided(known, finding(accepted=WORD, scope=sr2))), ONE, AT) == ()
    assert loud_held(story(seen(), decided(known, finding(scope=sr2, holds=("db",)))), ONE, AT) == ()


# --- what still stands when an entry ends


def own(one):
    return Accepted(until=one.ends, shown=one.until, reason=one.reason)


def test_what_an_entry_accepted_and_the_last_decision_or_run_of_a_schedule_shows_is_still_there():
    one = entry()
    night = timedelta(days=1)
    old = story(seen(), decided(finding(accepted=own(one), summary="Old.")))
    new = replace_key(story(seen(), decided(finding(accepted=own(one), summary="New."))), due=DUE + night)
    assert still_there([new, old, story(seen())], one) == ("New.",)
    assert still_there([new, old], entry(code="SR_NO_SPACE")) == ()  # with the same end and reason
    lost = failed()
    assert still_there([lost], one)[0].startswith("vm: CHAIN_UNHEALTHY: ")
    assert still_there([lost], entry("vm:other")) == ()
    well = replace_key(story(seen(), decided(), started(), attempt_ended()), due=DUE + night)
    assert still_there([lost, well], one) == ()
    assert still_there([lost, replace_key(story(seen(), started()), due=DUE + night)], one) != ()


def replace_key(run, **changes):
    return dataclasses.replace(run, key=replace(run.key, **changes))


def test_an_accepted_alarm_is_still_there_as_long_as_its_run_goes_on():
    stuck = story(seen(), decided(), started(), alarmed())
    assert still_there([stuck], entry(code="JOB_STUCK")) == ("Nothing moved for 30 min.",)
    assert still_there([stuck], entry("schedule:other", code="JOB_STUCK")) == ()
    assert still_there([stuck], entry()) == ()
    over = story(seen(), decided(), started(), alarmed(), attempt_ended(), ended())
    assert still_there([over], entry(code="JOB_STUCK")) == ()


# --- what was predicted


@pytest.mark.parametrize(
    ("found", "is_told"),
    [
        (finding(), True),
        (finding(level=Level.WARN), True),
        (finding(holds=()), True),
        (finding(level=Level.OK), False),
        (finding("SR_NO_SPACE"), False),
        (finding(holds=("other",)), False),
        (finding(holds=(), scope=Scope(ScopeKind.VM, "other", "db")), False),
    ],
)
def test_a_cause_was_predicted_by_a_finding_of_its_code_about_its_vm_or_its_run(found, is_told):
    run = failed(found)
    (cause,) = outcome_of(run).causes
    assert predicted(run, cause) == (found if is_told else None)


def test_a_cause_of_a_whole_run_was_predicted_by_what_is_about_that():
    whole = finding(holds=(), scope=Scope(ScopeKind.JOB, "job", "nightly"))
    run = failed(whole)
    cause = replace(outcome_of(run).causes[0], scope=Scope(ScopeKind.JOB, "job", "nightly"))
    assert predicted(run, cause) == whole
    assert predicted(failed(finding()), cause) is None


def test_of_two_repositories_the_finding_of_the_one_that_missed_its_copy_is_meant():
    nas, usb = (Scope(ScopeKind.REPOSITORY, one, one) for one in ("nas", "usb"))
    found = [finding("REPOSITORY_NO_SPACE", holds=(), scope=one) for one in (nas, usb)]
    run = failed(*found)
    cause = replace(outcome_of(run).causes[0], code="REPOSITORY_NO_SPACE", target=usb)
    assert predicted(run, cause) == found[1]


def test_without_a_prediction_nothing_was_predicted():
    run = story(seen(), started(), attempt_ended(status="failure"))
    assert predicted(run, outcome_of(run).causes[0]) is None
