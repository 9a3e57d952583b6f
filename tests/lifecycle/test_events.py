"""Events are kept for months: each survives JSON, and what an older guard wrote still decodes and folds."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from guard.decision.verdict import Action
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import (
    AnyEvent,
    Claimed,
    Claiming,
    Doubted,
    End,
    FollowingUp,
    GaveUp,
    NotStarted,
    Released,
    ReleasedHow,
    Releasing,
    RunKey,
    Standby,
    Started,
    Starter,
    Starting,
    SwitchingOff,
)
from tests.builders import make_schedule
from tests.lifecycle.stories import (
    DUE,
    after,
    alarmed,
    attempt_ended,
    decided,
    ended,
    fact,
    finding,
    held,
    seen,
    started,
)

FOUND = make_schedule(cron="0 0 * * *")
ACTED = [
    Claiming(at=after(-50), found=FOUND, start_at=after(180), release_at=(after(300), after(480)), reason="web waits."),
    SwitchingOff(at=after(-50)),
    Claimed(at=after(-49), held=msgspec.structs.replace(FOUND, enabled=False)),
    Standby(at=after(0), start_at=after(3780)),
    Starting(at=after(1), attempt=1, vms=("vm",), known=("1795478400000",), reason="1 of 2 VMs held."),
    Doubted(at=after(31), attempt=1, error="XO did not answer backupNg.runJob within 30 s"),
    NotStarted(at=after(110), attempt=1, error="No run of it showed.", sure=False),
    Starting(at=after(111), attempt=2, vms=("vm",), known=("1795478400000",)),
    Started(at=after(112), run="1795564911000", began=after(111), by=Starter.GUARD, attempt=2),
    Releasing(at=after(113)),
    Released(at=after(114), how=ReleasedHow.ENABLED),
    GaveUp(at=after(3700), vms=(held(),), whole=False, end=End.REFUSED, code="ON_HOLD", reason="On hold."),
]
FOLLOWED = FollowingUp(at=after(1830), vms=(held(),), reason="web: CHAIN_UNHEALTHY.")
RECORDED = Path(__file__).with_name("recorded_events.jsonl").read_text().splitlines()
EVERY = [
    seen(),
    seen(late=True, starts=(DUE, after(3600)), expected_at=after(5)),
    decided(),
    decided(finding(facts=(fact(), fact(value=None), fact(value=1.5))), action=Action.DEFER, held=[held()]),
    started(),
    alarmed(),
    attempt_ended(),
    attempt_ended(status="failure"),
    ended(),
    ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="Nobody started it."),
    *ACTED,
    FOLLOWED,
]


@pytest.mark.parametrize("event", EVERY, ids=lambda one: type(one).__name__)
def test_every_event_survives_json(event):
    assert msgspec.json.decode(msgspec.json.encode(event), type=AnyEvent) == event


def test_every_kind_of_event_has_a_case_here_and_in_the_recorded_log():
    kinds = {kind.__struct_config__.tag for kind in AnyEvent.__args__}
    assert {type(one).__struct_config__.tag for one in EVERY} == kinds
    assert {json.loads(line)["event"]["kind"] for line in RECORDED} == kinds


def test_what_holds_by_default_is_left_out_and_read_back():
    told = json.loads(msgspec.json.encode(ended()))
    assert told == {"kind": "ended", "at": "2026-11-25T00:30:30Z", "end": "observed"}
    assert "late" not in json.loads(msgspec.json.encode(seen()))


def recorded():
    """The stories of the recorded log: key -> events. The log is never written anew: an older guard made it."""
    found = {}
    for line in RECORDED:
        row = json.loads(line)
        key = RunKey(row["schedule"], datetime.fromisoformat(row["due"]), row["via"])
        found.setdefault(key, []).append(msgspec.json.decode(json.dumps(row["event"]), type=AnyEvent))
    return found


def test_an_old_event_log_still_folds_into_its_due_runs():
    runs = {key: fold(key, events) for key, events in recorded().items()}
    told = {
        (key.schedule, key.via): (
            run.seq,
            run.seen.late,
            run.decided and run.decided.verdict.action,
            [(one.started.run, one.ended and one.ended.outcome.status) for one in run.attempts],
            [one.code for one in run.alarms],
            run.ended and (run.ended.end, run.ended.code),
        )
        for key, run in runs.items()
    }
    assert told == {
        ("good", ""): (5, False, "start", [("1795564800000", "success")], [], (End.OBSERVED, "")),
        ("bad", ""): (6, False, "start_some", [("1795564800001", "failure")], ["JOB_STUCK"], (End.OBSERVED, "")),
        ("silent", "sequence"): (3, True, None, [], ["XO_DID_NOT_FIRE"], (End.MISSED, "XO_DID_NOT_FIRE")),
        ("acted", ""): (14, False, "start_some", [("1795564911000", None)], [], (End.RAN_IN_PART, "ON_HOLD")),
        ("open", ""): (2, False, None, [("1795564800002", None)], [], None),
        ("in a row", ""): (7, False, None, [], [], (End.RAN, "")),
        ("followed", ""): (
            *(8, False, "start", [("1795564800003", "skipped"), ("1795567200000", None)], []),
            None,
        ),
    }


def test_the_old_log_keeps_its_details():
    events = recorded()[RunKey("bad", datetime(2026, 11, 25, tzinfo=UTC))]
    run = fold(RunKey("bad", datetime(2026, 11, 25, tzinfo=UTC)), events)
    (found,) = run.decided.verdict.findings
    assert (found.code, found.holds, found.facts[0].value) == ("CHAIN_UNHEALTHY", ("vm",), 2)
    assert run.decided.verdict.held[0].deadline == datetime(2026, 11, 25, 4, tzinfo=UTC)
    (vm,) = run.attempts[0].ended.outcome.vms
    assert (vm.status, [one.code for one in vm.causes]) == ("failure", ["CHAIN_UNHEALTHY"])


def test_an_event_of_a_newer_guard_with_one_field_more_is_still_read():
    row = json.loads(msgspec.json.encode(started())) | {"proxy": "new in a later guard"}
    assert msgspec.json.decode(json.dumps(row), type=AnyEvent) == started()


@pytest.mark.parametrize("row", [{"kind": "paused", "at": "2026-11-25T00:00:00Z"}, {"kind": "started"}, {}])
def test_what_is_no_event_is_refused(row):
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(row), type=AnyEvent)


def test_a_recorded_follow_up_still_says_which_vms_were_started_again():
    key = RunKey("followed", datetime(2026, 11, 25, tzinfo=UTC))
    run = fold(key, recorded()[key])
    assert [(one.vm, one.codes) for one in run.follow_up.intent.vms] == [("vm", ("CHAIN_UNHEALTHY",))]
    assert (len(run.as_due.attempts), len(run.attempts)) == (1, 2)
