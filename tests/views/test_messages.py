"""What a message says of each event of a due run: the reason with its numbers, the remedy, and what guard does next."""

from __future__ import annotations

from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.decision.verdict import Action, Held
from guard.finding import Accepted, Harm, Level
from guard.lifecycle.events import BY_HAND, Decided, End, FollowingUp, GaveUp, RunKey, Starter, Starting
from guard.outcomes.alarms import XO_DID_NOT_FIRE
from guard.policy.accept_schema import AcceptRule
from guard.policy.codes import EVERY_CODE
from guard.policy.tiers_schema import STATES
from guard.views.message_parts import MOST_LINES, MOST_REASON, MOST_REMEDIES, Context, Told, composed, cut
from guard.views.messages import told_of
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import KEY, after, alarmed, attempt_ended, decided, ended, finding, seen, started, story

NAME = "nightly / schedule"
PARIS = ZoneInfo("Europe/Paris")
CHAIN = EVERY_CODE["CHAIN_UNHEALTHY"].do
ALL_AGAIN = "Next: guard does nothing more for this due time; the next one takes these VMs again. Earlier: `guard start schedule`."
BEGUN = (seen(), decided(), started())
DEADLINE = after(hours=6)
WORD = Accepted(until=after(days=9), shown="2026-12-04", reason="known")


def told(*events, key=KEY, **policy):
    """The message of the last event of a story."""
    return told_of(story(*events, key=key), events[-1], Context(zone=PARIS, **policy))


def lines(*events, **more):
    return told(*events, **more).text.splitlines()


def acting(*findings, at=None, **of_verdict):
    """A decision that guard acts on; the run may wait until 06:00 UTC."""
    found = decided(*findings, **of_verdict)
    return replace(found, acts=True, verdict=replace(found.verdict, deadline=DEADLINE), at=at or found.at)


def held(vm="vm", *codes, deadline=DEADLINE, harm=Harm.NONE):
    return Held(vm=vm, name=f"{vm} name", codes=codes or ("CHAIN_UNHEALTHY",), deadline=deadline, harm=harm)


def given(*vms, end=End.REFUSED, whole=True, code="CHAIN_UNHEALTHY", reason="1 of 1 VM held (web): CHAIN_UNHEALTHY."):
    return GaveUp(at=after(hours=6), vms=vms, whole=whole, end=end, code=code, reason=reason)


# --- the parts


def test_a_message_is_its_reason_then_details_then_what_to_do_then_what_guard_does():
    assert (
        composed("Why.", ["A", "B"], to_do=["Do."], then="guard waits.") == "Why.\nA\nB\nTo do: Do.\nNext: guard waits."
    )
    assert composed("Why.") == "Why."


def test_a_message_names_so_many_causes_and_remedies_and_counts_the_rest():
    found = composed("Why.", map(str, range(MOST_LINES + 2)), to_do=[f"do {one}" for one in range(MOST_REMEDIES + 1)])
    assert found.splitlines()[MOST_LINES + 1] == "and 2 more; guard why lists them."
    assert found.splitlines()[-1] == "To do: and 1 more; guard why lists them."
    assert composed("Why.", map(str, range(MOST_LINES)), to_do=["a", "", "a"]).splitlines()[-2:] == ["9", "To do: a"]


def test_what_xo_says_over_pages_is_one_line_of_bounded_length():
    assert cut("a\nb  c") == "a b c"
    assert len(cut("x" * 9999)) == MOST_REASON
    assert cut("x" * MOST_REASON) == "x" * MOST_REASON


def test_the_code_of_a_message_is_the_one_that_stands_for_all_else_the_first():
    assert Told("refused", "", "", ("A", "B"), umbrella="C").code == "C"
    assert (Told("refused", "", "", ("A", "B")).code, Told("start", "", "").code) == ("A", "")


# --- runs


def test_a_run_that_began():
    found = told(*BEGUN)
    assert (found.state, found.title) == ("start", f"{NAME} began")
    assert (
        found.text == "XO started it: XO runs it since Wed 25 Nov 01:00 CET.\nNext: guard watches the run to its end."
    )


def test_a_run_of_some_vms_that_a_person_chose():
    some = replace(started(), vms=("a", "b"), by=Starter.XO)
    assert lines(seen(), decided(), some)[-1] == "Next: guard watches 2 VMs to its end."


def test_a_run_that_went_well():
    found = told(*BEGUN, attempt_ended())
    assert (found.state, found.title) == ("success", f"{NAME} succeeded")
    assert found.text.splitlines() == [
        "it ended as success after 30 min: 1 of 1 VM backed up, 5 B sent.",
        "Next: nothing is left to be done for this due time.",
    ]


def test_a_run_that_failed_says_why_what_to_do_and_that_guard_does_nothing_more():
    found = told(*BEGUN, attempt_ended(status="failure"))
    assert (found.state, found.codes, found.title) == ("failure", ("CHAIN_UNHEALTHY",), f"{NAME}: failure")
    assert found.text.splitlines() == [
        "Due Wed 25 Nov 01:00 CET: it ended as failure after 30 min: 0 of 1 VM backed up, 0 B sent; CHAIN_UNHEALTHY.",
        "vm: CHAIN_UNHEALTHY: unhealthy VDI chain",
        f"To do: {CHAIN}",
        ALL_AGAIN,
    ]


def test_where_guard_acts_it_says_until_when_it_starts_once_more():
    failed = (seen(), acting(), started(), attempt_ended(status="failure"))
    assert lines(*failed)[-1] == (
        "Next: what XO had not begun to save, guard starts once more as soon as its cause is gone, until Wed 25 Nov 07:00 CET "
        "at most."
    )
    assert lines(*failed, follow_up=False)[-1] == ALL_AGAIN


def test_a_follow_up_is_not_promised_after_the_deadline_nor_for_what_it_does_not_follow():
    late = attempt_ended(status="failure", at=DEADLINE)
    assert lines(seen(), acting(), started(), late)[-1] == ALL_AGAIN
    person = attempt_ended(status="failure", says="something nobody knows")
    assert lines(seen(), acting(), started(), person)[-1] == ALL_AGAIN


def test_a_run_that_saved_nothing_for_what_only_a_person_clears_is_told_apart():
    found = told(*BEGUN, attempt_ended(status="failure", says="something nobody knows"))
    assert (found.state, found.codes) == ("failure_of_all", ("UNCLASSIFIED",))
    assert found.mark == ("UNCLASSIFIED", "vm")


def test_one_that_saved_some_vms_is_a_common_failure():
    failed = attempt_ended(status="failure", says="something nobody knows")
    good = replace(attempt_ended().outcome.vms[0], status="success")
    some = replace(failed, outcome=replace(failed.outcome, vms=(*failed.outcome.vms, good)))
    assert told(*BEGUN, some).state == "failure"


@pytest.mark.parametrize("status", ["interrupted", "skipped", "unknown"])
def test_other_ends_of_a_run_have_xos_own_word(status):
    found = told(*BEGUN, attempt_ended(status=status))
    assert found.state == (status if status in STATES else "failure")
    assert found.title == f"{NAME}: {status}"


def test_a_failure_without_a_cause_needs_a_person():
    failed = attempt_ended(status="failure")
    bare = replace(failed, outcome=replace(failed.outcome, causes=()))
    found = told(*BEGUN, bare)
    assert (found.state, found.codes, found.code) == ("failure_of_all", (), "")


def test_accepted_causes_are_left_out_and_a_run_that_failed_of_nothing_else_is_silent():
    entry = AcceptRule(code="CHAIN_UNHEALTHY", until="2026-12-04", reason="known", ends=after(days=9))
    failed = attempt_ended(status="failure")
    alone = told(*BEGUN, failed, accepts=(entry,))
    assert (alone.silent, alone.codes) == (True, ())
    other = replace(failed.outcome.causes[0], code="UNCLASSIFIED", text="odd")
    both = replace(failed, outcome=replace(failed.outcome, causes=(*failed.outcome.causes, other)))
    found = told(*BEGUN, both, accepts=(entry,))
    assert (found.silent, found.codes) == (False, ("UNCLASSIFIED",))
    assert "unhealthy VDI chain" not in found.text


# --- alarms


@pytest.mark.parametrize(
    ("code", "then"),
    [
        (
            "JOB_STUCK",
            "guard goes on watching it, and tells how it ends; it stops no run. Until then XO starts this job",
        ),
        ("SCHEDULE_LEFT_OFF", "guard leaves it off. Nothing of it is due, or backed up, until somebody enables it."),
        ("RUN_EXPIRED", "guard does nothing more for this due time; the next one takes these VMs again."),
        ("OF_A_NEWER_GUARD", "guard goes on with this due time."),
        ("START_UNCERTAIN", "guard starts it again, at the latest at Wed 25 Nov 07:00 CET."),
    ],
)
def test_an_alarm_says_what_a_person_does_and_what_guard_does_next(code, then):
    found = told(*BEGUN, alarmed(code, "Figures."))
    assert (found.state, found.code) == ("expired" if code == "RUN_EXPIRED" else "alarm", code)
    first, *_, last = found.text.splitlines()
    assert (first, last.startswith(f"Next: {then}")) == ("Figures.", True)
    assert (f"To do: {EVERY_CODE[code].do}" in found.text) if code in EVERY_CODE else ("To do" not in found.text)


def test_a_doubtful_start_that_is_left_at_that_by_policy_is_one_that_nobody_starts():
    doubt = given(end=End.MISSED, code="START_UNCERTAIN", reason="XO's answer was lost.")
    found = told(seen(), decided(), doubt, alarmed("START_UNCERTAIN"))
    assert found.state == "missed"
    assert found.text.splitlines()[-1] == (
        'Next: guard does nothing more for this due time, by on_uncertain = "skip". By hand: `guard start schedule`.'
    )


def test_what_xo_did_not_fire_guard_starts_itself():
    found = told(seen(), acting(), alarmed(XO_DID_NOT_FIRE.id, "XO started no run."))
    assert (found.state, found.code) == ("rescued", "XO_DID_NOT_FIRE")
    assert found.text.splitlines() == [
        "XO started no run.",
        "Next: guard sets the schedule's timer anew and starts the run itself, at the latest at Wed 25 Nov 07:00 CET.",
    ]


def test_a_refusal_names_its_vms_with_figures_the_remedy_and_how_to_start_against_it():
    block = finding(summary="web: 2 uncoalesced copies, XO tolerates 1.", holds=("vm",))
    other = finding("NO_SLOT", remedy="Raise the limit.", holds=("else",))
    found = told(seen(), acting(block, other, action=Action.REFUSE), given(held()), alarmed("RUN_REFUSED"))
    assert (found.state, found.codes, found.umbrella) == ("refused", ("CHAIN_UNHEALTHY",), "RUN_REFUSED")
    assert found.mark == ("CHAIN_UNHEALTHY", "vm")
    assert found.text.splitlines() == [
        "Due Wed 25 Nov 01:00 CET, not started: vm name. 1 of 1 VM held (web): CHAIN_UNHEALTHY.",
        "To do: Wait for the coalesce.",
        (
            "Next: guard does nothing more for this due time; the next one is judged anew. To start against it: `guard start "
            "schedule --override CHAIN_UNHEALTHY --reason TEXT`."
        ),
    ]


def test_a_refusal_names_a_handful_of_vms_and_none_that_is_accepted():
    block = finding(holds=("vm",), accepted=WORD)
    many = [held(f"v{one}", "SR_NO_SPACE") for one in range(9)]
    found = told(seen(), acting(block, action=Action.REFUSE), given(held(), *many), alarmed("RUN_REFUSED"))
    assert "not started: v0 name, v1 name, v2 name, v3 name, v4 name and 4 more." in found.text
    assert (found.codes, found.silent) == (("SR_NO_SPACE",), False)
    assert told(seen(), acting(block), given(held()), alarmed("RUN_REFUSED")).silent is True


def test_a_refusal_of_a_run_without_vms_is_for_what_blocks_it():
    block = finding("SETTINGS_MISSING", holds=(), remedy="Set a retention.")
    found = told(seen(name="mirror it"), acting(block, action=Action.REFUSE), given(code=""), alarmed("RUN_REFUSED"))
    assert found.codes == ("SETTINGS_MISSING",)
    assert "not started: all of it." in found.text
    assert found.text.endswith("is judged anew. Once it is mended: `guard start 'mirror it'`.")


def test_an_alarm_of_a_refusal_without_its_story_is_told_as_it_is():
    found = told(seen(), decided(), alarmed("RUN_REFUSED", "Not started."))
    assert (found.state, found.text.splitlines()[0]) == ("refused", "Not started.")


# --- decisions


def test_a_whole_start_is_no_message():
    assert told(seen(), decided()) is None


def test_a_deferral_says_how_often_guard_looks_and_what_it_does_at_the_latest():
    block = finding()
    found = told(
        seen(), acting(block, action=Action.DEFER, sentence="No VM is left.", clears="By itself.", held=[held()])
    )
    assert (found.state, found.codes, found.title) == ("defer", ("CHAIN_UNHEALTHY",), f"{NAME}: defer")
    assert found.text.splitlines() == [
        "Due Wed 25 Nov 01:00 CET, guard will defer it: No VM is left.",
        "CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "By itself.",
        "To do: Wait for the coalesce.",
        (
            "Next: guard judges it anew every 10 min; at Wed 25 Nov 07:00 CET at the latest it starts what is still held, so that "
            "XO's own log says why it fails. If guard is gone, XO's fallback starts the whole schedule at Wed 25 Nov 07:03 CET."
        ),
    ]


@pytest.mark.parametrize(
    ("harms", "then"),
    [
        ((Harm.PRODUCTION,), "it refuses what is still held, as starting would harm production, and pages."),
        ((Harm.REPOSITORY,), "it refuses what is still held, as starting would harm the repository, and pages."),
        (
            (Harm.REPOSITORY, Harm.PRODUCTION),
            "it refuses what is still held, as starting would harm production and the repository, and pages.",
        ),
        ((Harm.NONE, Harm.PRODUCTION), "it starts what harms nothing, refuses the others, and pages."),
    ],
)
def test_a_deferral_for_harm_says_that_xo_holds_no_fallback_for_it(harms, then):
    vms = [held(f"v{number}", harm=harm) for number, harm in enumerate(harms)]
    last = lines(seen(), acting(finding(), action=Action.DEFER, held=vms), recheck_every=timedelta(minutes=15))[-1]
    assert last == (
        f"Next: guard judges it anew every 15 min; at Wed 25 Nov 07:00 CET at the latest {then} XO holds no fallback for it: if "
        "guard is gone, it is not started."
    )


def test_a_deferral_of_what_was_started_in_part_holds_no_fallback_either():
    asked = Starting(at=after(1), attempt=1, vms=("db",), known=())
    run = replace(started(), attempt=1, by=Starter.GUARD)
    again = acting(finding(), action=Action.DEFER, held=[held()], at=after(600))
    last = lines(seen(), acting(), asked, run, again)[-1]
    assert last.endswith("XO holds no fallback for it: if guard is gone, it is not started.")


def test_a_run_without_vms_waits_until_its_own_deadline():
    last = lines(seen(), acting(finding(holds=()), action=Action.DEFER))[-1]
    assert "at Wed 25 Nov 07:00 CET at the latest it starts what is still held" in last
    bare = acting(finding(holds=()), action=Action.DEFER)
    bare = replace(bare, verdict=replace(bare.verdict, deadline=None))
    assert lines(seen(), bare)[-1] == "Next: guard judges it anew every 10 min."


def test_a_partial_start_says_who_starts_who_waits_and_who_is_refused():
    some = acting(finding(), action=Action.START_SOME, held=[held(), held("no", deadline=None, harm=Harm.PRODUCTION)])
    some = replace(some, verdict=replace(some.verdict, start_vms=("a", "b")))
    assert lines(seen(), some)[-1] == (
        "Next: guard starts 2 VMs at the due time. guard judges the others anew every 10 min; at Wed 25 Nov 07:00 CET at the "
        "latest it starts what is still held, so that XO's own log says why it fails. guard does not start no name for this due "
        "time, and tells it then."
    )


@pytest.mark.parametrize(
    ("action", "then"),
    [
        (Action.SKIP, "guard starts nothing; the other run covers this due time."),
        (Action.REFUSE, "guard does not start all of it for this due time, and tells it then."),
    ],
)
def test_a_skip_and_a_refusal_that_are_foreseen(action, then):
    found = told(seen(), acting(finding("JOB_RUNNING"), action=action))
    assert (found.state, found.text.splitlines()[-1]) == (action.value, f"Next: {then}")


def test_where_guard_only_watches_it_says_who_starts():
    found = told(seen(), decided(finding(), action=Action.DEFER, sentence="Held."))
    assert found.text.splitlines()[0] == "Due Wed 25 Nov 01:00 CET, if it were enforced, guard would defer it: Held."
    assert found.text.endswith(
        "Next: XO starts it as it is, and guard watches: the policy does not say enforce for it."
    )
    aside = replace(decided(finding(), action=Action.DEFER), aside="a rolling pool update goes on")
    assert lines(seen(), aside)[-1] == "Next: guard leaves it to XO: a rolling pool update goes on."


def test_what_holds_is_told_an_unknown_only_where_it_does():
    unsure = finding("SR_UNKNOWN", level=Level.UNKNOWN)
    known = finding(accepted=WORD)
    holds = acting(unsure, action=Action.DEFER, held=[held("vm", "SR_UNKNOWN")])
    assert told(seen(), holds).codes == ("SR_UNKNOWN",)
    beside = told(seen(), acting(unsure, known, action=Action.START_SOME, held=[held()]))
    assert (beside.codes, beside.silent) == ((), True)
    assert told(seen(), acting(unsure, finding(), action=Action.DEFER, held=[held()])).codes == ("CHAIN_UNHEALTHY",)


def test_a_decision_for_accepted_findings_alone_is_silent():
    known = finding(accepted=WORD)
    assert told(seen(), acting(known, action=Action.DEFER, held=[held()])).silent is True
    assert told(seen(), acting(known, finding("NO_SLOT"), action=Action.DEFER, held=[held()])).silent is False


def test_the_rest_of_a_partial_start_says_the_same_as_when_it_was_decided():
    first = acting(finding(), action=Action.START_SOME, held=[held()])
    later = acting(finding(), action=Action.DEFER, held=[held()], at=after(600))
    assert told(seen(), first).mark == told(seen(), first, later).mark
    other = acting(finding(), action=Action.DEFER, held=[held("db")], at=after(600))
    assert told(seen(), first, other).mark != told(seen(), first).mark


# --- follow-ups and ends

FAILED = (seen(), acting(), started(), attempt_ended(status="failure"))
AGAIN = FollowingUp(at=after(1900), vms=(held(deadline=after(hours=3)),), reason="web: CHAIN_UNHEALTHY.")


def test_a_follow_up_says_how_long_it_is_tried():
    found = told(*FAILED, AGAIN)
    assert (found.state, found.codes) == ("follow_up", ("CHAIN_UNHEALTHY",))
    assert found.text.splitlines() == [
        "Due Wed 25 Nov 01:00 CET: web: CHAIN_UNHEALTHY.",
        "Next: guard judges them every 10 min and starts them when the cause is gone, until Wed 25 Nov 04:00 CET at most.",
    ]


def test_a_follow_up_that_does_not_come_is_told_too():
    found = told(*FAILED, AGAIN, given(held(), end=End.EXPIRED, reason="The deadline passed."))
    assert (found.state, found.text.splitlines()[0]) == (
        "follow_up",
        "Due Wed 25 Nov 01:00 CET, not started once more: vm name. The deadline passed.",
    )
    assert found.text.splitlines()[1:] == [f"To do: {CHAIN}", ALL_AGAIN]


def test_what_is_judged_or_given_up_on_the_way_is_told_by_its_alarm_alone():
    assert told(*FAILED, AGAIN, acting(finding(), action=Action.DEFER, at=after(2000))) is None
    assert told(seen(), acting(), given(held())) is None
    assert told(seen()) is None


@pytest.mark.parametrize(
    ("end", "state"),
    [
        (End.RAN, "ran"),
        (End.LEFT_TO_XO, "left_to_xo"),
        (End.OBSERVED, "observed"),
        (End.COVERED, "covered"),
    ],
)
def test_an_end_as_it_should_be_has_its_own_state(end, state):
    found = told(*BEGUN, attempt_ended(), ended(end))
    assert (found.state, found.title, found.silent) == (state, f"{NAME}: {end.value}", False)
    assert found.text == f"Due Wed 25 Nov 01:00 CET: {end.value}.\nNext: nothing is left to be done."


def test_an_end_without_a_start_says_why_and_what_to_do():
    found = told(seen(), decided(), ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="XO started no run."))
    assert (found.state, found.codes, found.mark) == ("missed", ("XO_DID_NOT_FIRE",), ("missed", "XO_DID_NOT_FIRE"))
    assert found.text.splitlines() == ["XO started no run.", f"To do: {XO_DID_NOT_FIRE.do}", ALL_AGAIN]
    assert lines(seen(), decided(), ended(End.MISSED))[0] == "Due Wed 25 Nov 01:00 CET."


@pytest.mark.parametrize(
    ("end", "code", "alarm", "silent"),
    [
        (End.REFUSED, "CHAIN_UNHEALTHY", "RUN_REFUSED", True),
        (End.RAN_IN_PART, "CHAIN_UNHEALTHY", "RUN_REFUSED", True),
        (End.EXPIRED, "RUN_EXPIRED", "RUN_EXPIRED", True),
        (End.MISSED, "START_UNCERTAIN", "START_UNCERTAIN", True),
        (End.MISSED, "XO_DID_NOT_FIRE", "XO_DID_NOT_FIRE", False),
        (End.REFUSED, "CHAIN_UNHEALTHY", "JOB_STUCK", False),
    ],
)
def test_an_end_that_its_alarm_told_is_not_told_again(end, code, alarm, silent):
    assert told(seen(), decided(), alarmed(alarm), ended(end, code=code)).silent is silent


def test_an_end_whose_code_is_accepted_is_silent():
    entry = AcceptRule(code="XO_DID_NOT_FIRE", until="2026-12-04", reason="known", ends=after(days=9))
    over = (seen(), decided(), ended(End.MISSED, code="XO_DID_NOT_FIRE"))
    assert (told(*over, accepts=(entry,)).silent, told(*over).silent) == (True, False)


def test_the_story_of_a_sequence_is_told_by_its_members():
    whole = replace(seen(), members=("a", "b"))
    assert told(whole, ended(End.MISSED, code="XO_DID_NOT_FIRE")) is None


def test_nothing_of_a_run_by_hand_is_urgent():
    by_hand = RunKey("schedule", DUE, BY_HAND)
    failed = attempt_ended(status="failure", says="something nobody knows")
    assert told(*BEGUN, failed, key=by_hand).urgent is False
    assert told(*BEGUN, failed).urgent is True
    assert told(seen(), key=by_hand) is None


def test_every_state_a_message_can_have_is_one_that_the_policy_knows():
    words = {one.value for one in (*End, *Action)} - {"start"}
    assert words | {"start"} <= set(STATES)
    assert isinstance(acting(), Decided)


# --- what the prediction said of it


def test_what_this_runs_own_prediction_said_to_do_takes_the_place_of_what_there_is_to_do_in_general():
    stuck = finding(remedy="Waiting does not help there: xe sr-param-remove.")
    found = lines(seen(), decided(stuck), started(), attempt_ended(status="failure"))
    assert [one for one in found if one.startswith("To do: ")] == [
        "To do: Waiting does not help there: xe sr-param-remove."
    ]
    of_another = finding(remedy="Not this one.", holds=("other",))
    assert f"To do: {CHAIN}" in lines(seen(), decided(of_another), started(), attempt_ended(status="failure"))


# --- times


def test_every_time_of_a_message_is_in_its_zone_whenever_its_sentences_were_made():
    at_six = "Wed 25 Nov 06:00 UTC"
    held_back = acting(
        finding(summary=f"Held until {at_six}.", remedy=f"Wait until {at_six}."),
        action=Action.DEFER,
        sentence="No VM is left to start.",
        clears=f"Clears by itself; the wait ends at {at_six}.",
        held=[held()],
    )
    refused = given(held(), reason=f"Held by root until {at_six}.")
    stories = [
        (seen(), held_back),
        (seen(), held_back, refused, alarmed("RUN_REFUSED", f"Not until {at_six}.")),
        (seen(), held_back, alarmed("RUN_EXPIRED", f"Not until {at_six}.")),
        (seen(), ended(End.MISSED, code="XO_DID_NOT_FIRE", reason=f"XO started no run, due at {at_six}.")),
    ]
    for events in stories:
        text = told(*events).text
        assert "UTC" not in text
        assert "Wed 25 Nov 07:00 CET" in text
