"""What a person had guard start: what is meant, what stands in its way, what is recorded, and how its story ends."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.assess import Situation
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.errors import UsageError, XoAnswerError, XoAuthError
from guard.estate.estate import PartName
from guard.finding import Level
from guard.lifecycle.by_hand import (
    HOLDING,
    NEVER_OVERRIDDEN,
    Wish,
    find_schedule,
    first_events,
    judge,
    known_codes,
    told_reason,
)
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import (
    BY_HAND,
    AttemptEnded,
    Decided,
    Doubted,
    End,
    Ended,
    GaveUp,
    NotStarted,
    RunKey,
    Seen,
    Started,
    Starter,
    Starting,
)
from guard.lifecycle.next_step import LogSeen, Observed, Record, Wait, next_step
from guard.lifecycle.report import make_report
from guard.lifecycle.resolution import resolve
from guard.outcomes.alarms import START_UNCERTAIN
from guard.policy.load import load
from guard.views.doings import NOTHING, doings
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    NOW,
    make_base_copy,
    make_estate,
    make_job,
    make_pbd,
    make_schedule,
    make_sequence,
    make_sr,
    make_vbd,
    make_vdi,
    make_vm,
)
from tests.checks.test_fewer_at_once import world as crowded
from tests.lifecycle.stories import RUN, after, held, result, seen, verdict

KEY = RunKey("schedule", DUE, BY_HAND)
LEAD, LOOK = timedelta(seconds=60), timedelta(seconds=30)
MADE = Decided(at=DUE, facts_at=DUE, vms=("vm",), verdict=verdict(), acts=True)
ASKED = Starting(at=DUE, attempt=1, vms=None, known=("old",), reason="Started by hand by ann.")
BEGUN = Started(at=after(1), run=RUN, began=after(1), by=Starter.GUARD, attempt=1)
LEFT_OUT = GaveUp(at=DUE, vms=(held(),), whole=False, end=End.REFUSED, code="CHAIN_UNHEALTHY", reason="1 VM held.")
REFUSED = NotStarted(at=after(2), attempt=1, error="XO says no.")
LOST = Doubted(at=after(30), attempt=1, error="XO did not answer.")
DONE = AttemptEnded(at=after(600), run=RUN, outcome=result())


def story(*events):
    return fold(KEY, (seen(), *events))


def at(seconds, *logs, read=True):
    now = after(seconds)
    return Observed(now=now, logs_at=now if read else None, logs=logs)


def missed(seconds, reason, code=""):
    return Record((Ended(at=after(seconds), end=End.MISSED, code=code, reason=reason),))


NO_RUN = "guard start died before it recorded XO's answer, and XO shows no run of it."
NO_ANSWER = "XO's answer to guard start was lost, and XO shows no run of it."
NOT_ASKED = "guard start ended before it asked XO, so nothing was started."
LIFE = [
    ("asked: it looks again", story(MADE, ASKED), at(20), Wait(after(50))),
    ("its run is there before it was recorded", story(MADE, ASKED), at(20, LogSeen(RUN, after(1), None)),
     Record((Started(at=after(20), run=RUN, began=after(1), by=Starter.GUARD, attempt=1),))),
    ("asked, and nothing shows for less than a call may take", story(MADE, ASKED), at(299), Wait(after(329))),
    ("asked, and nothing shows", story(MADE, ASKED), at(300), missed(300, NO_RUN)),
    ("asked, and XO cannot be read", story(MADE, ASKED), at(9000, read=False), Wait(after(9030))),
    ("never asked", story(MADE), at(69), Wait(after(70))),
    ("never asked, and settled", story(MADE), at(70), missed(70, NOT_ASKED)),
    ("the answer was lost", story(MADE, ASKED, LOST), at(99), Wait(after(129))),
    ("the answer was lost, and nothing shows", story(MADE, ASKED, LOST), at(100), missed(100, NO_ANSWER, START_UNCERTAIN.id)),
    ("refused", story(MADE, ASKED, REFUSED), at(70), missed(70, "guard start came to nothing: XO says no.")),
    ("it goes on", story(MADE, ASKED, BEGUN), at(600, LogSeen(RUN, after(1), None)), Wait(after(630))),
    ("it ended", story(MADE, ASKED, BEGUN), at(600, LogSeen(RUN, after(1), result())), Record((DONE,))),
    ("it is over", story(MADE, ASKED, BEGUN, DONE), at(630), Record((Ended(at=after(630), end=End.RAN),))),
    ("it is over though XO is down again", story(MADE, ASKED, BEGUN, DONE), at(630, read=False),
     Record((Ended(at=after(630), end=End.RAN),))),
    ("it is over, and some were left out", story(MADE, LEFT_OUT, ASKED, BEGUN, DONE), at(630),
     Record((Ended(at=after(630), end=End.RAN_IN_PART, code="CHAIN_UNHEALTHY", reason="1 VM held."),))),
    ("somebody else's run was first", story(MADE, Started(at=DUE, run=RUN, began=DUE), DONE), at(630),
     Record((Ended(at=after(630), end=End.OBSERVED, reason="Another run of the job was first."),))),
]  # fmt: skip


@pytest.mark.parametrize(("run", "observed", "expected"), [row[1:] for row in LIFE], ids=[row[0] for row in LIFE])
def test_the_life_of_a_start_by_hand(run, observed, expected):
    assert next_step(run, observed, lead=LEAD, look_every=LOOK) == expected


def test_a_run_by_hand_that_guard_did_not_start_is_observed_as_ever():
    found = fold(KEY, (seen(late=True), Started(at=DUE, run=RUN, began=DUE), DONE))
    expected = Record((Ended(at=after(630), end=End.OBSERVED),))
    assert next_step(found, at(630), lead=LEAD, look_every=LOOK) == expected


def test_the_report_counts_it_and_not_as_what_guard_would_have_held():
    some = Decided(at=DUE, facts_at=DUE, vms=("vm",), verdict=verdict(action=Action.START_SOME), acts=True)
    run = fold(KEY, (seen(), some, LEFT_OUT, ASKED, BEGUN, DONE, Ended(at=after(630), end=End.RAN_IN_PART)))
    report = make_report([run], DUE, after(hours=1))
    assert (report.ends, report.would_have, report.schedules[0].would_hold) == ({"ran_in_part": 1}, {}, 0)


# --- the verdict and its record


def policy(text=""):
    return load(f'xo.url = "https://xo"\n{text}', file="policy")


def two_vms(**more):
    """VMs "vm" and "db" in one job; the chain of db's disk is too long where ``bad``."""
    world = {
        "jobs": [make_job(vms={"id": {"__or": ["vm", "db"]}})],
        "vms": [make_vm(), make_vm("db", name_label="database")],
        "vbds": [make_vbd(), make_vbd("db", "db-disk")],
        "vdis": [make_vdi(), make_vdi("db-disk")],
    }
    return make_estate(**world | more)


def hold(scope):
    return Situation(brakes=(Brake("hold", scope, NOW + timedelta(hours=4), "why", NOW, "ann"),))


def judged(estate, situation=None, rules="", **wish):
    return judge(estate, policy(rules), Wish(schedule="schedule", **wish), situation or Situation(), NOW)


def test_nothing_of_what_is_left_out_waits():
    found = judged(two_vms(), hold("vm:db"))
    assert (found.verdict.action, found.start_vms) == (Action.START_SOME, ("vm",))
    assert [(one.vm, one.deadline) for one in found.held] == [("db", None)]
    assert (found.verdict.deadline, found.verdict.clears) == (None, "")
    events = first_events(found, NOW)
    assert [type(one) for one in events] == [Seen, Decided, GaveUp]
    run = fold(RunKey("schedule", NOW, BY_HAND), (*events, ASKED))
    assert resolve(run, NOW).waits_until is None
    assert doings([run], NOW) == NOTHING


def test_a_whole_start_records_no_more_than_its_verdict():
    found = judged(two_vms())
    assert (found.start_vms, found.is_whole) == (None, True)
    first, second = first_events(found, NOW)
    assert (first.expected_at, first.starts, first.zone, second.vms, second.acts) == (
        NOW,
        (NOW,),
        "utc",
        ("vm", "db"),
        True,
    )


def test_an_overridden_finding_is_told_as_a_warning():
    found = judged(two_vms(), hold("vm:db"), overridden=("ON_HOLD",), reason="now")
    assert (found.verdict.action, found.start_vms, found.lifted) == (Action.START, None, {"ON_HOLD": ("db",)})
    assert [(one.code, one.level, one.holds) for one in found.verdict.findings if one.code == "ON_HOLD"] == [
        ("ON_HOLD", Level.WARN, ())
    ]


def test_an_unknown_that_the_policy_holds_for_can_be_overridden():
    blind = two_vms(reading={PartName.VDIS: {"ok": False, "error": "gone"}})
    rules = '[defaults]\non_unknown = "refuse"\n'
    as_it_is = judged(blind, rules=rules)
    codes = tuple(dict.fromkeys(code for one in as_it_is.held for code in one.codes))
    assert (as_it_is.starts, set(codes) <= HOLDING) == (False, True)
    found = judged(blind, rules=rules, overridden=codes, reason="now")
    assert (found.starts, found.held) == (True, ())


def test_a_vm_that_two_codes_hold_needs_both_overridden():
    worn = [make_base_copy(f"b{at}", parent=f"b{at - 1}" if at else UNSET) for at in range(3)]
    estate = two_vms(vdis=[make_vdi(), make_vdi("db-disk", parent="b2")], vdi_unmanaged=worn)
    found = judged(estate, hold("vm:db"), overridden=("ON_HOLD",), reason="now")
    assert [(one.vm, one.codes) for one in found.held] == [("db", ("CHAIN_UNHEALTHY",))]
    assert found.lifted == {}
    both = judged(estate, hold("vm:db"), overridden=("ON_HOLD", "CHAIN_UNHEALTHY", "NO_SLOT"), reason="now")
    assert (both.held, both.lifted) == ((), {"ON_HOLD": ("db",), "CHAIN_UNHEALTHY": ("db",)})
    assert both.settings == {"db": {"bypassVdiChainsCheck": True}}


# --- settings for this run alone


def worn(**more):
    """Two VMs; the chain of "db" is one that XO skips."""
    copies = [make_base_copy(f"b{at}", parent=f"b{at - 1}" if at else UNSET) for at in range(3)]
    return two_vms(vdis=[make_vdi(), make_vdi("db-disk", parent="b2")], vdi_unmanaged=copies, **more)


def test_xo_is_told_to_pass_over_the_chain_of_the_vm_that_a_person_lets_in_and_of_no_other():
    found = judged(worn(), overridden=("CHAIN_UNHEALTHY",), reason="now")
    assert (found.start_vms, found.unchecked) == (None, ("db",))
    assert found.settings == {"db": {"bypassVdiChainsCheck": True}}
    assert found.verdict.settings == {}
    (_, decided) = first_events(found, NOW)
    assert decided.verdict.settings == {}


@pytest.mark.parametrize("wish", [{}, {"overridden": ("ON_HOLD",), "reason": "now"}, {"vms": ("vm",)}])
def test_without_that_code_xo_s_chain_check_stays(wish):
    assert judged(worn(), **wish).settings == {}


def test_a_vm_that_is_not_asked_for_or_stays_out_gets_no_setting():
    override = {"overridden": ("CHAIN_UNHEALTHY",), "reason": "now"}
    assert judged(worn(), vms=("vm",), **override).settings == {}
    assert judged(worn(), hold("vm:db"), **override).settings == {}
    assert judged(two_vms(), **override).settings == {}


def test_where_guard_cannot_read_the_chains_xo_s_own_check_stays():
    blind = worn(reading={PartName.VDIS: {"ok": False, "error": "gone"}})
    found = judged(blind, rules='[defaults]\non_unknown = "refuse"\n', overridden=tuple(sorted(HOLDING)), reason="now")
    assert (found.starts, found.settings) == (True, {})


def test_what_the_verdict_changes_goes_along_with_it():
    copies = [make_base_copy(f"b{at}", parent=f"b{at - 1}" if at else UNSET) for at in range(3)]
    full = crowded()
    disks = [one for one in full["vdis"] if one.id != "vm0-disk"]
    ill = make_vdi("vm0-disk", size=100 * GIB, usage=107_592_286_208, parent="b2", sr="sr2")
    away = [make_base_copy(one.id, parent=one.parent, sr="sr2") for one in copies]
    estate = make_estate(
        **full
        | {"vdis": [*disks, ill], "vdi_unmanaged": away}
        | {"srs": [*full["srs"], make_sr("sr2")], "pbds": [make_pbd(), make_pbd("sr2")]}
        | {"schedules": [make_schedule(cron="0 12 * * *")]}
    )
    rules = "[remedies]\nlower_concurrency = true\n"
    found = judged(estate, rules=rules, overridden=("CHAIN_UNHEALTHY",), reason="now")
    assert found.settings == {"": {"concurrency": 1}, "vm0": {"bypassVdiChainsCheck": True}}


@pytest.mark.parametrize(
    ("timezone", "rules", "zone"),
    [
        (None, "", "utc"),
        ("Europe/Paris", "", "Europe/Paris"),
        ("local", "", "utc"),
        ("local", 'xo.zone = "Europe/Paris"\n', "Europe/Paris"),
        ("Mars/Base", "", "utc"),
    ],
)
def test_the_schedule_s_zone_is_the_one_xo_fires_it_in(timezone, rules, zone):
    estate = two_vms(schedules=[make_schedule(timezone=timezone)])
    assert judged(estate, rules=rules).zone == zone


def test_a_vm_that_xo_does_not_show_is_named_by_its_id():
    estate = two_vms(jobs=[make_job(vms={"id": {"__or": ["vm", "gone"]}})])
    found = judged(estate, vms=("gone",))
    assert (found.vms, found.names) == (("gone",), {"gone": "gone"})


@pytest.mark.parametrize(
    ("wish", "told"),
    [
        (Wish("s"), "Started by hand by somebody."),
        (Wish("s", vms=("a",), by="ann"), "Started by hand by ann, 1 VM chosen."),
        (
            Wish("s", overridden=("ON_HOLD", "NO_SLOT"), reason="it is urgent", by="ann"),
            "Started by hand by ann, against ON_HOLD, NO_SLOT: it is urgent",
        ),
    ],
)
def test_the_reason_says_who_and_against_what(wish, told):
    assert told_reason(wish) == told


# --- what is meant


def test_codes_are_taken_in_any_case_and_once():
    assert known_codes((" on_hold", "ON_HOLD", "no_slot ")) == ("ON_HOLD", "NO_SLOT")


def test_every_code_that_cannot_be_overridden_is_one_that_holds():
    assert set(NEVER_OVERRIDDEN) < HOLDING
    for code in NEVER_OVERRIDDEN:
        with pytest.raises(UsageError, match="this cannot be overridden"):
            known_codes((code,))


def test_of_many_schedules_of_one_name_the_first_are_told():
    estate = make_estate(schedules=[make_schedule(f"s{number}", name="same") for number in range(7)])
    with pytest.raises(
        UsageError, match=r"7 schedules have that name; give the id: s0 \(same of job\), .* and 2 more$"
    ):
        judge(estate, policy(), Wish(schedule="same"), Situation(), NOW)


def test_a_sequences_own_name_is_told_as_such():
    estate = make_estate(
        schedules=[make_schedule(), make_schedule("seq", job="sequence-job")], call_jobs=[make_sequence("schedule")]
    )
    for wanted in ("seq", "sequence-job"):
        with pytest.raises(UsageError, match=f"^'{wanted}' is a sequence, or another call job"):
            judge(estate, policy(), Wish(schedule=wanted), Situation(), NOW)


def test_a_job_that_has_only_one_schedule_may_be_named_in_its_place():
    estate = make_estate(
        jobs=[make_job(name="nightly"), make_job("j2", name="often")],
        schedules=[make_schedule(name="a"), make_schedule("s2", name="b"), make_schedule("s3", job="j2", name="c")],
    )
    assert find_schedule(estate, "often")[0].id == find_schedule(estate, "j2")[0].id == "s3"
    with pytest.raises(UsageError, match=r"that is a job, with schedule \(a of nightly\), s2 \(b of nightly\)$"):
        find_schedule(estate, "nightly")


@pytest.mark.parametrize(
    ("part", "how", "error", "told"),
    [
        (PartName.SCHEDULES, {"ok": False, "error": "gone"}, XoAnswerError, "XO's schedules could not be read: gone"),
        (PartName.JOBS, {"complete": False}, XoAuthError, "the token's user is no administrator"),
        (PartName.VMS, {"ok": False, "error": "gone"}, XoAnswerError, "XO's vms could not be read: gone"),
    ],
)
def test_a_list_that_is_not_whole_is_not_started_from(part, how, error, told):
    with pytest.raises(error, match=told):
        judged(two_vms(reading={part: how}))
