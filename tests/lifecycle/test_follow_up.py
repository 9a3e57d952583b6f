"""Follow-ups, rule by rule: which VMs, when they are meant, when they start, and when they are given up."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from guard.decision.verdict import Action, Held, Verdict
from guard.errors import LedgerError
from guard.lifecycle.acting import Start, next_act
from guard.lifecycle.claiming import RETRY, Rules, Scene
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import (
    AttemptEnded,
    Decided,
    Doubted,
    End,
    Ended,
    FollowingUp,
    GaveUp,
    NotStarted,
    ReleasedHow,
    RunKey,
    Standby,
    Started,
    Starter,
    Starting,
)
from guard.lifecycle.follow_up import FRESH, NONE, SPARE, Chances, intent, went_wrong
from guard.lifecycle.follow_up_causes import UNSEEN_FOR
from guard.lifecycle.next_step import Evaluate, LogSeen, Observed, Record, Wait
from guard.lifecycle.resolution import Resolution, expected_standby, is_ours, out_of, resolve
from guard.lifecycle.turn import Turn
from guard.outcomes.outcome import outcome
from tests.builders import DUE, make_log, make_schedule, make_transfer, make_vm_task
from tests.lifecycle.stories import KEY, after, claiming, released, seen
from tests.outcomes.tables import export, failed_vm, node, said, task

LEAD, LOOK = timedelta(seconds=60), timedelta(seconds=30)
RULES = Rules(claim_always=False, on_uncertain="start", recheck_every=timedelta(minutes=10))
DEADLINE = after(hours=4)
ON = make_schedule(name="every night", cron="0 0 * * *", enabled=True)
MAY = Chances()
OVER = after(minutes=30)
CHAIN, LOCK = said("unhealthy VDI chain"), node("ELOCKED", "Lock file is already being held")
TIMEOUT = node("UND_ERR_BODY_TIMEOUT", "Body Timeout Error")


def cut(error=TIMEOUT):
    """The VM's transfer broke off with this error."""
    return failed_vm(error, task("snapshot", status="success"), export(task("transfer", result=error), result=error))


def good(id_="good"):
    return make_vm_task(id_, make_transfer(5))


def decided(*held, start=("good", "vm"), action=Action.START, at=None, deadline=DEADLINE):
    verdict = Verdict(
        action=action,
        sentence="So it is.",
        clears="",
        start_vms=tuple(start),
        held=held,
        findings=(),
        unknown=False,
        deadline=deadline,
    )
    made = at or after(-55)
    return Decided(at=made, facts_at=made, vms=("good", "vm"), verdict=verdict)


def ran(*tasks, run="1", status="failure", over=OVER, vms=None, began=DUE, **log):
    """A run of XO's, and its end."""
    ended = outcome(make_log(*tasks, start=began, status=status, id=run, **log))
    return Started(at=began, run=run, began=began, vms=vms), AttemptEnded(at=over, run=run, outcome=ended)


def run_of(*events):
    return fold(KEY, (seen(), *events))


def scene(now=OVER, record=ON, **more):
    return Scene(now=now, is_read=True, xo_now=now, record=record, **more)


def meant(run, chances=MAY, **of_scene):
    """The VMs that are to be followed up, by name and codes; None where nothing is meant."""
    found = intent(run, scene(**of_scene), chances)
    if not isinstance(found, Record):
        return found
    (event,) = found.events
    assert isinstance(event, FollowingUp)
    return {one.vm: one.codes for one in event.vms}


SKIPPED = (decided(), *ran(good(), failed_vm(CHAIN)))


# --- which VMs


def test_a_run_in_which_all_went_well_is_no_question():
    assert not went_wrong(run_of(decided(), *ran(good(), good("vm"), status="success")))
    assert went_wrong(run_of(*SKIPPED))


@pytest.mark.parametrize(
    ("failed", "codes"),
    [
        (failed_vm(CHAIN, task("snapshot", result=CHAIN)), ("CHAIN_UNHEALTHY",)),
        (failed_vm(LOCK), ("REPOSITORY_LOCKED",)),
        (failed_vm(said("no XAPI associated to vm")), ("VM_UNKNOWN",)),
        (failed_vm(said("cannot backup a VM currently being migrated")), ("VM_MIGRATING",)),
    ],
)
def test_a_vm_that_failed_before_its_snapshot_of_what_passes_is_meant_and_the_good_one_is_not(failed, codes):
    assert meant(run_of(decided(), *ran(good(), failed))) == {"vm": codes}


@pytest.mark.parametrize(
    "failed",
    [
        failed_vm(said("something new")),
        failed_vm(node("VM_HAS_VUSBS")),
        failed_vm(said("all targets have failed, step: x", errors=[LOCK, said("remote is disabled")])),
    ],
)
def test_a_vm_that_needs_a_person_is_not(failed):
    assert meant(run_of(decided(), *ran(good(), failed))) is None


def test_after_a_failed_transfer_it_is_meant_by_policy_alone():
    run = run_of(decided(), *ran(good(), cut()))
    assert meant(run) is None
    assert meant(run, Chances(transfers=True)) == {"vm": ("EXPORT_TIMEOUT",)}


def test_a_cause_that_came_first_after_the_transfer_had_begun_counts_as_a_failed_transfer():
    run = run_of(decided(), *ran(good(), cut(LOCK)))
    assert meant(run) is None
    assert meant(run, Chances(transfers=True)) == {"vm": ("REPOSITORY_LOCKED",)}


def test_what_any_run_of_the_due_time_saved_is_not_meant():
    again = ran(good("vm"), run="2", status="success", vms=("vm",), began=after(minutes=10))
    assert meant(run_of(*SKIPPED, *again)) is None


def test_the_last_failure_of_a_vm_counts():
    again = ran(failed_vm(node("VM_HAS_VUSBS")), run="2", vms=("vm",), began=after(minutes=10))
    assert meant(run_of(*SKIPPED, *again)) is None
    first = ran(failed_vm(node("VM_HAS_VUSBS")))
    then = ran(failed_vm(CHAIN), run="2", vms=("vm",), began=after(minutes=10))
    assert meant(run_of(decided(), *first, *then)) == {"vm": ("CHAIN_UNHEALTHY",)}


def test_a_transfer_of_an_earlier_run_is_not_forgotten():
    then = ran(failed_vm(LOCK), run="2", vms=("vm",), began=after(minutes=10))
    assert meant(run_of(decided(), *ran(cut()), *then)) is None


def test_a_run_that_came_to_no_vm_is_meant_for_what_it_was_decided_for():
    assert meant(run_of(decided(), *ran(result=said("no VMs match this pattern"), status="skipped"))) == {
        "good": ("NO_VM_MATCHES",),
        "vm": ("NO_VM_MATCHES",),
    }
    assert meant(run_of(*ran(result=said("no VMs match this pattern"), status="skipped"))) is None


def test_a_run_that_was_asked_for_some_and_came_to_none_is_meant_for_these():
    asked = Starting(at=DUE, attempt=1, vms=("vm",), known=())
    begun, over = ran(result=said("no connection found for object x"))
    begun = msgspec.structs.replace(begun, by=Starter.GUARD, attempt=1)
    assert meant(run_of(decided(), asked, begun, over)) == {"vm": ("HEALTH_CHECK_SR_MISSING",)}


def test_what_was_given_up_before_its_run_is_not_meant():
    given = GaveUp(at=after(-1), vms=(held("good"),), whole=False, end=End.REFUSED)
    assert meant(run_of(decided(), given, *ran(result=said("no connection found for object x")))) == {
        "vm": ("HEALTH_CHECK_SR_MISSING",)
    }


def test_a_run_that_xo_refused_because_the_job_was_running_is_not_followed_up():
    assert meant(run_of(decided(), *ran(result=said("the job (x) is already running")))) is None


def test_of_an_interrupted_run_those_are_meant_that_it_never_came_to():
    """The first VM's transfer was under way; the second had not begun."""
    under_way = make_vm_task("good", make_transfer(5, status="pending"), status="pending")
    run = run_of(
        decided(), *ran(under_way, status="interrupted", infos=[{"message": "vms", "data": {"vms": ["good", "vm"]}}])
    )
    assert meant(run) == {"vm": ("RUN_INTERRUPTED",)}
    assert meant(run, Chances(transfers=True)) == {"good": ("RUN_INTERRUPTED",), "vm": ("RUN_INTERRUPTED",)}
    assert meant(run, Chances(proxied=True)) is None  # it may go on there, and XO does not show it


def test_a_run_whose_end_is_not_known_is_not_followed_up():
    begun, over = ran(failed_vm(CHAIN))
    gone = msgspec.structs.replace(over.outcome, status="unknown", vms=(), causes=())
    assert meant(run_of(decided(), begun, msgspec.structs.replace(over, outcome=gone))) is None


# --- when it is meant


@pytest.mark.parametrize(
    ("chances", "of_scene"),
    [
        (NONE, {}),
        (Chances(why_not="the policy does not ask for it"), {}),
        (Chances(aside="the clocks differ"), {}),
        (MAY, {"bypass": True}),
        (MAY, {"record": None}),
        (MAY, {"record": msgspec.structs.replace(ON, enabled=False)}),
        (MAY, {"now": DEADLINE}),
        (Chances(next_start=OVER + timedelta(minutes=30) + SPARE, usual_s=1800), {}),
        (Chances(next_start=OVER + timedelta(minutes=30) + SPARE), {}),  # the run itself took so long
    ],
)
def test_what_speaks_against_it_ends_the_story_without_a_word(chances, of_scene):
    assert meant(run_of(*SKIPPED), chances, **of_scene) is None


def test_a_next_due_time_that_leaves_room_is_no_reason_against_it():
    later = OVER + timedelta(minutes=31) + SPARE
    assert meant(run_of(*SKIPPED), Chances(next_start=later, usual_s=1800)) == {"vm": ("CHAIN_UNHEALTHY",)}


def test_while_xo_cannot_be_read_nothing_is_meant():
    assert intent(run_of(*SKIPPED), replace(scene(), is_read=False), MAY) is None


def test_while_the_sequence_goes_on_it_waits_and_no_longer_than_its_deadline():
    waits = Chances(waits_for="the sequence goes on")
    assert meant(run_of(*SKIPPED), waits) == Wait(OVER + RETRY)
    assert meant(run_of(*SKIPPED), waits, now=DEADLINE - timedelta(seconds=1)) == Wait(DEADLINE)


def test_without_a_decision_it_has_the_six_hours_that_any_late_start_has():
    run = run_of(*ran(good(), failed_vm(CHAIN)))
    (event,) = intent(run, scene(), MAY).events
    assert [one.deadline for one in event.vms] == [after(hours=6)]
    assert meant(run, now=after(hours=6)) is None


def test_what_a_person_had_guard_start_and_a_sequences_own_story_are_not_followed_up():
    by_hand = fold(RunKey("schedule", DUE, "by hand"), (seen(), *SKIPPED))
    assert intent(by_hand, scene(), MAY) is None
    own = fold(KEY, (msgspec.structs.replace(seen(), members=("schedule",)), *SKIPPED))
    assert intent(own, scene(), MAY) is None


def test_it_tells_who_and_why():
    (event,) = intent(run_of(*SKIPPED), scene(), MAY).events
    assert event.reason == "vm: CHAIN_UNHEALTHY."
    assert event.vms == (Held(vm="vm", name="vm", codes=("CHAIN_UNHEALTHY",), deadline=DEADLINE),)


# --- the story


def held(vm="vm", codes=("CHAIN_UNHEALTHY",), deadline=DEADLINE):
    return Held(vm=vm, name=vm, codes=codes, deadline=deadline)


def following(*vms, at=OVER):
    return FollowingUp(at=at, vms=vms or (held(),), reason="vm: CHAIN_UNHEALTHY.")


def followed(*events, **options):
    return run_of(*SKIPPED, following(**options), *events)


def judged(*held_vms, start=("vm",), action=None, at=None, **more):
    action = action or (Action.START if not held_vms else Action.START_SOME if start else Action.DEFER)
    return decided(*held_vms, start=start, action=action, at=at or OVER, **more)


def started_again(number=1, run="2", at=OVER, vms=("vm",)):
    asked = Starting(at=at, attempt=number, vms=vms, known=("1",))
    return asked, Started(at=at, run=run, began=at, by=Starter.GUARD, attempt=number)


def test_only_a_run_that_is_over_can_be_followed_up_and_only_once():
    with pytest.raises(LedgerError, match="its run is not over"):
        run_of(decided(), following())
    with pytest.raises(LedgerError, match="its run is not over"):
        run_of(decided(), ran(failed_vm(CHAIN))[0], following())
    with pytest.raises(LedgerError, match="its run is not over"):
        run_of(*SKIPPED, Starting(at=OVER, attempt=1, vms=("vm",), known=()), following())
    with pytest.raises(LedgerError, match="it was followed up already"):
        followed(following())


def test_its_story_before_is_kept_and_guard_answers_for_it_from_then_on():
    run = followed(judged())
    assert run.as_due == run_of(*SKIPPED)
    assert (is_ours(run), is_ours(run.as_due)) == (True, False)
    assert run.as_due.as_due == run.as_due


def test_before_it_is_judged_anew_its_vms_wait():
    assert resolve(followed(), OVER) == Resolution(wait=(held(),), waits_until=DEADLINE)


def test_judged_anew_they_start_wait_or_are_given_up():
    both = (held("a"), held("b"), held("c"), held("d"))
    run = run_of(*SKIPPED, following(*both), judged(held("b"), held("c", deadline=None), start=("a", "another")))
    assert resolve(run, OVER) == Resolution(
        start=("a",),
        wait=(held("b"),),
        give_up=(held("c", deadline=None), held("d", codes=())),  # d is no longer among the VMs of the job
        waits_until=DEADLINE,
    )


def test_a_verdict_that_starts_nothing_starts_nothing_of_it():
    run = followed(judged(held(), start=(), action=Action.SKIP))
    assert resolve(run, OVER) == Resolution(wait=(held(),), waits_until=DEADLINE)


def test_at_the_deadline_nothing_is_started_any_more_whatever_the_harm():
    assert resolve(followed(judged()), DEADLINE) == Resolution(give_up=(held(),), waits_until=DEADLINE)
    earlier = after(hours=1)
    assert resolve(followed(judged(deadline=earlier)), earlier).give_up == (held(),)


def test_what_was_started_again_or_given_up_is_over():
    assert resolve(followed(judged(), *started_again()), OVER).is_over
    assert resolve(followed(GaveUp(at=OVER, vms=(held(),), whole=False, end=End.REFUSED)), OVER).is_over
    assert resolve(followed(GaveUp(at=OVER, vms=(), whole=True, end=End.EXPIRED)), OVER).is_over


def test_a_start_that_came_to_nothing_leaves_it_waiting():
    asked, _ = started_again()
    run = followed(judged(), asked, NotStarted(at=OVER, attempt=1, error="refused"))
    assert resolve(run, OVER).start == ("vm",)


@pytest.mark.parametrize(("vms", "over"), [(None, True), (("vm",), True), (("other",), False)])
def test_a_run_that_somebody_else_started_meanwhile_covers_its_vms(vms, over):
    run = followed(judged(), *ran(good("vm"), run="2", status="success", vms=vms, began=OVER))
    assert resolve(run, OVER).is_over is over


def test_a_run_that_xo_refused_meanwhile_covers_nobody():
    run = followed(judged(), *ran(run="2", result=said("the job (x) is already running"), began=OVER))
    assert resolve(run, OVER).start == ("vm",)


def test_to_the_judge_only_those_are_in_question_that_still_wait():
    a, b = held("a"), held("b")
    run = run_of(decided(), *ran(good(), failed_vm(CHAIN, id_="a"), failed_vm(CHAIN, id_="b")), following(a, b))
    assert out_of(run) == {"good", "vm"}
    run = fold(
        KEY,
        (
            seen(),
            decided(),
            *ran(good(), failed_vm(CHAIN, id_="a"), failed_vm(CHAIN, id_="b")),
            following(a, b),
            judged(b, start=("a",)),
            *started_again(vms=("a",)),
        ),
    )
    assert out_of(run) == {"good", "vm", "a"}
    assert out_of(run_of(*ran(good(), failed_vm(CHAIN)), following())) == {"good"}


def test_no_fallback_of_xos_is_for_it():
    member = RunKey("schedule", DUE, "sequence")
    events = (seen(), *SKIPPED, Standby(at=DUE, start_at=after(hours=2)), following(), judged())
    assert expected_standby(fold(member, events), OVER) is None


# --- the next step


def step(run, now=OVER, chances=MAY, logs=(), record=ON, **more):
    shown = scene(now, record, **more)
    told = Observed(now=now, logs_at=now, logs=tuple(logs))
    return next_act(run, told, shown, RULES, lead=LEAD, look_every=LOOK, chances=chances)


def given_up(run, now=OVER, chances=MAY, **of_scene):
    found = step(run, now, chances, **of_scene)
    assert isinstance(found, Record), found
    (event,) = found.events
    assert isinstance(event, GaveUp)
    return event.end, event.reason, [one.vm for one in event.vms], event.whole


def test_where_the_story_would_end_the_follow_up_is_meant():
    (event,) = step(run_of(*SKIPPED)).events
    assert isinstance(event, FollowingUp)
    assert step(run_of(*SKIPPED), chances=NONE) == Record((Ended(at=OVER, end=End.LEFT_TO_XO),))


def test_a_run_that_guard_started_is_followed_up_once_its_claim_is_over():
    asked = Starting(at=DUE, attempt=1, vms=None, known=())
    begun, over = ran(good(), failed_vm(CHAIN))
    story = (decided(), claiming(), asked, msgspec.structs.replace(begun, by=Starter.GUARD, attempt=1), over)
    (event,) = step(run_of(*story, released())).events
    assert isinstance(event, FollowingUp)
    run = run_of(*story, released(), following(), judged(), *started_again(number=2))
    done = ran(good("vm"), run="2", status="success", began=OVER)[1]
    assert step(
        fold(KEY, (seen(), *story, released(), following(), judged(), *started_again(number=2), done))
    ) == Record((Ended(at=OVER, end=End.RAN),))
    assert isinstance(step(run), Wait)
    off = step(run_of(*story, released(how=ReleasedHow.TOUCHED)), record=msgspec.structs.replace(ON, enabled=False))
    assert off == Record((Ended(at=OVER, end=End.RAN),))


def test_it_is_judged_first_and_then_started_for_these_vms_alone():
    assert step(followed()) == Evaluate()
    assert step(followed(judged())) == Start(("vm",), "vm: CHAIN_UNHEALTHY.")


def test_without_a_decision_before_it_is_judged_too():
    assert step(run_of(*ran(good(), failed_vm(CHAIN)), following())) == Evaluate()


def test_what_waits_is_judged_anew_as_often_as_the_policy_says():
    waits = followed(judged(held(), start=()))
    assert step(waits) == Wait(OVER + LOOK)
    later = OVER + RULES.recheck_every
    assert step(waits, later - timedelta(seconds=10)) == Wait(later)
    assert step(waits, later) == Evaluate()
    assert step(waits, OVER + RETRY, changed=True) == Evaluate()
    assert step(waits, OVER + RETRY - timedelta(seconds=1), changed=True) == Wait(
        OVER + RETRY - timedelta(seconds=1) + LOOK
    )


def test_a_cause_whose_end_nobody_sees_has_its_time_and_is_then_judged_on_fresh_facts():
    locked = following(held(codes=("REPOSITORY_LOCKED",)))
    run, then = run_of(*SKIPPED, locked), OVER + UNSEEN_FOR
    assert step(run) == Wait(OVER + LOOK)  # nor is it judged before: that reads XO whole
    assert step(run, then - timedelta(seconds=1)) == Wait(then)
    assert step(run, then) == Evaluate()
    assert isinstance(step(run_of(*SKIPPED, locked, judged(at=then)), then), Start)


def test_a_cause_that_is_seen_does_not_wait_for_one_that_is_not():
    both = following(held("a"), held("b", codes=("REPOSITORY_LOCKED",)))
    run = run_of(*SKIPPED, both, judged(start=("a", "b")))
    assert resolve(run, OVER).start == ("a",)
    assert [one.vm for one in resolve(run, OVER).wait] == ["b"]
    assert step(run) == Start(("a",), "vm: CHAIN_UNHEALTHY.")
    assert resolve(run, OVER + UNSEEN_FOR).start == ("a", "b")


def test_nothing_is_started_on_old_facts():
    assert isinstance(step(followed(judged()), OVER + FRESH - timedelta(seconds=1)), Start)
    assert step(followed(judged()), OVER + FRESH) == Evaluate()


@pytest.mark.parametrize(
    "more",
    [
        {"bypass": True},
        {"rolling": True},
        {"running": "9"},
        {"record": msgspec.structs.replace(ON, enabled=False)},
        {"chances": Chances(aside="the clocks differ")},
        {"chances": Chances(waits_for="the sequence goes on")},
    ],
)
def test_meanwhile_nothing_is_started_nor_judged(more):
    assert step(followed(judged()), **more) == Wait(OVER + LOOK)
    assert step(followed(), **more) == Wait(OVER + LOOK)


def test_a_start_that_came_to_nothing_is_tried_again_after_a_minute():
    asked, _ = started_again()
    run = followed(judged(), asked, NotStarted(at=OVER, attempt=1, error="refused"))
    assert step(run) == Wait(OVER + LOOK)
    assert isinstance(step(run, OVER + RETRY), Start)


def test_while_a_part_of_it_runs_the_rest_waits_for_that():
    both = run_of(
        *SKIPPED, following(held("a"), held("b")), judged(held("b"), start=("a",)), *started_again(vms=("a",))
    )
    assert step(both, logs=[LogSeen(run="2", began=OVER, outcome=None)], running="2") == Wait(OVER + LOOK)


def test_a_lost_answer_is_settled_against_what_xo_shows_and_no_old_fallback_is_taken_for_the_starter():
    asked, begun = started_again(at=after(minutes=31))
    old = Standby(at=DUE, start_at=after(minutes=31))
    events = (
        *SKIPPED,
        old,
        following(),
        judged(at=after(minutes=31)),
        asked,
        Doubted(at=after(minutes=32), attempt=1, error="lost"),
    )
    shown = step(run_of(*events), after(minutes=32), new_runs=(("2", after(minutes=31)),))
    assert shown == Record((msgspec.structs.replace(begun, at=after(minutes=32), began=after(minutes=31)),))


@pytest.mark.parametrize(
    ("chances", "of_scene", "end", "says"),
    [
        (Chances(why_not="the job is gone"), {}, End.REFUSED, "No follow-up: the job is gone."),
        (MAY, {"record": None}, End.REFUSED, "Schedule schedule is gone."),
        (MAY, {"next_began": True}, End.COVERED, "next due time came first"),
        (Chances(next_start=OVER + SPARE, usual_s=60), {}, End.COVERED, "XO starts the job again at"),
        (MAY, {"now": DEADLINE}, End.EXPIRED, "The deadline passed before a follow-up could start."),
    ],
)
def test_what_can_be_started_no_more_is_given_up_with_a_sentence_and_no_alarm(chances, of_scene, end, says):
    told, reason, vms, whole = given_up(followed(), chances=chances, **of_scene)
    assert (told, vms, whole) == (end, ["vm"], True)
    assert says in reason


def test_what_was_judged_last_is_told_with_the_end_of_the_wait():
    _, reason, _, _ = given_up(followed(judged(held(), start=())), DEADLINE)
    assert reason.endswith("So it is.")


def test_what_must_not_be_started_is_given_up_at_once_and_the_rest_goes_on():
    refused = held("a", codes=("REPOSITORY_NO_SPACE",), deadline=None)
    run = run_of(*SKIPPED, following(held("a"), held("b")), judged(refused, held("b"), start=()))
    assert given_up(run) == (End.REFUSED, "So it is.", ["a"], False)


def test_what_left_the_job_is_given_up():
    assert given_up(followed(judged(start=()))) == (End.COVERED, "No longer among the VMs of the job.", ["vm"], False)


def test_however_a_follow_up_ends_the_due_time_ends_as_it_would_have_without_it():
    given = GaveUp(at=DEADLINE, vms=(held(),), whole=True, end=End.EXPIRED, reason="Too late.")
    assert step(followed(given), DEADLINE) == Record((Ended(at=DEADLINE, end=End.LEFT_TO_XO),))
    done = ran(good("vm"), run="2", status="success", began=OVER)[1]
    assert step(followed(judged(), *started_again(), done)) == Record((Ended(at=OVER, end=End.LEFT_TO_XO),))


def test_a_sequences_member_that_is_followed_up_gets_no_fallback_while_it_waits_its_time():
    turn = Turn(ours=True, has_come=False, since=OVER, begun=True)
    run = fold(
        RunKey("schedule", DUE, "sequence"),
        (seen(), *SKIPPED, following(held(codes=("REPOSITORY_LOCKED",))), judged()),
    )
    assert step(run, turn=turn) == Wait(OVER + LOOK)


def test_a_run_of_it_in_the_minute_of_an_old_fallback_is_guards_own():
    at = after(minutes=31)
    asked, begun = started_again(at=at)
    run = run_of(*SKIPPED, Standby(at=DUE, start_at=at), following(), judged(at=at), asked)
    told = step(run, at, logs=[LogSeen(run="2", began=at, outcome=None)])
    assert told == Record((begun,))
    chosen = step(followed(judged()), at, logs=[LogSeen(run="3", began=at, outcome=None, vms=("good",))])
    assert chosen == Record((Started(at=at, run="3", began=at, vms=("good",)),))
