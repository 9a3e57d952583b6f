"""What guard holds and changed in XO, in words and as documents."""

from __future__ import annotations

import json
from datetime import UTC, timedelta

import msgspec
import pytest
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.lifecycle.events import Releasing, Standby, Starter, Starting
from guard.lifecycle.loop import Loop
from guard.mechanics.fallback import Fallback, FallbackKind, Placed
from guard.views.brakes import brakes_line
from guard.views.doings import NOTHING, claim_undo, doings, doings_document, doings_lines
from guard.views.release import dry_run_lines, released_lines
from guard.views.status import status_document, status_text
from guard.views.text import cells
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import after, claimed, claiming, decided, ended, held, released, seen, started, story

INSTANCE = "00ff00ff"
BEFORE = after(-30)
LATER = after(hours=1)
WAITS = decided(action=Action.DEFER, held=(held(),), sentence="web waits.")
HELD = (seen(), WAITS, claiming(), claimed())
DEFERRED = (*HELD, Standby(at=after(1), start_at=after(hours=4, minutes=3)), Releasing(at=after(3)), released())
BRAKE = Brake(kind="hold", scope="pool:Lyon", until=after(hours=9), reason="disks", since=DUE, by="alice")
START = f"guard[{INSTANCE}]: start schedule 2026-11-25T00:00:00Z"
RELEASE = f"guard[{INSTANCE}]: release schedule 2026-11-25T00:00:00Z"


def told(*events, now=BEFORE, brakes=()):
    return doings([story(*events)], now, brakes=brakes, instance=INSTANCE, recheck_of=lambda _: timedelta(minutes=10))


def lines(*events, now=BEFORE, brakes=()):
    return " ".join(" ".join(doings_lines(told(*events, now=now, brakes=brakes), UTC)).split())


@pytest.mark.parametrize(
    "events",
    [(seen(),), (seen(), decided()), (seen(), WAITS), (seen(), WAITS, started()), (*DEFERRED, ended())],
    ids=["entered", "predicted", "predicted to wait, and left to XO", "left to XO and started", "over"],
)
def test_where_guard_holds_nothing_nothing_is_told(events):
    assert doings_lines(told(*events, now=LATER), UTC) == []
    assert told(*events, now=LATER) == NOTHING


def test_a_claim_is_told_with_since_when_until_when_and_how_to_undo_it():
    said = lines(*HELD)
    assert (
        "Claimed: nightly / schedule, due Wed 25 Nov 00:00 UTC: the schedule is off in XO since Tue 24 Nov 23:59 UTC, until"
        " it is due, by XO's fallback at Wed 25 Nov 00:05 UTC. Undo: guard bypass schedule:schedule --reason ..., without"
        " the daemon guard release, or enable it in XO." in said
    )


@pytest.mark.parametrize(
    ("events", "state"),
    [
        (HELD[:3], "is being switched off in XO since"),
        (HELD, "is off in XO since"),
        ((*HELD, Releasing(at=after(3))), "is being switched on again in XO since"),
    ],
)
def test_a_claim_is_told_in_each_of_its_states(events, state):
    assert state in lines(*events)


def test_both_fallbacks_of_a_claim_are_told_by_their_names_in_xo():
    said = lines(*HELD)
    assert f"In XO: {START} starts the schedule at Wed 25 Nov 00:03 UTC if guard is gone. Undo: delete the job" in said
    assert f"In XO: {RELEASE} enables the schedule at Wed 25 Nov 00:05 UTC if guard is gone." in said


def test_a_run_without_a_claim_has_none_to_be_told():
    with pytest.raises(ValueError, match="has no claim"):
        claim_undo(story(seen()))


def test_what_waits_is_told_with_its_codes_deadline_and_next_check_and_the_fallback_that_stands_by():
    said = lines(*DEFERRED, now=LATER)
    assert "Claimed" not in said
    assert (
        "Deferred: nightly / schedule, due Wed 25 Nov 00:00 UTC: 1 VM (web) for CHAIN_UNHEALTHY, until Wed 25 Nov 04:00 UTC"
        " at most, judged anew at Wed 25 Nov 00:09 UTC." in said
    )
    assert f"In XO: {START} starts the schedule at Wed 25 Nov 04:03 UTC if guard is gone" in said
    assert RELEASE not in said


def test_many_vms_that_wait_are_counted():
    many = tuple(replace(held(f"web-{number}"), vm=f"vm-{number}") for number in range(7))
    wait = decided(action=Action.DEFER, held=many)
    said = lines(seen(), wait, claiming(), claimed(), released(), now=LATER)
    assert "7 VMs (web-0, web-1, web-2, web-3, web-4 and 2 more) for CHAIN_UNHEALTHY" in said


def test_a_run_that_waits_as_a_whole_says_so():
    verdict = replace(decided().verdict, action=Action.DEFER, start_vms=(), deadline=after(hours=4))
    wait = replace(decided(), verdict=verdict)
    assert "due Wed 25 Nov 00:00 UTC: all of it, until Wed 25 Nov 04:00 UTC at most" in lines(
        seen(), wait, claiming(), claimed(), released(), now=LATER
    )


def test_once_started_nothing_waits_and_no_fallback_is_expected():
    begun = (
        seen(),
        decided(),
        claiming(),
        claimed(),
        Starting(at=after(1), attempt=1, vms=None, known=()),
        replace(started(seconds=1), by=Starter.GUARD, attempt=1),
        released(),
    )
    assert told(*begun, now=after(60)) == NOTHING


def test_brakes_in_force_are_told_with_their_undo_and_others_are_not():
    over = replace(BRAKE, until=BEFORE)
    found = told(seen(), brakes=(BRAKE, over))
    assert found.brakes == (BRAKE,)
    said = " ".join(" ".join(doings_lines(found, UTC)).split())
    assert (
        said == "By hand: hold of pool:Lyon until Wed 25 Nov 09:00 UTC, by alice: disks. Undo: guard unhold pool:Lyon."
    )


def test_a_scope_with_a_space_is_quoted_where_a_person_would_copy_it():
    brake = replace(BRAKE, kind="bypass", scope="job:my job", until=None)
    assert "until guard unbypass 'job:my job', by alice: disks." in brakes_line([brake], UTC)
    assert brakes_line([], UTC) == "No hold and no bypass is in force."


def test_the_document_has_all_of_it_and_what_guard_changed_with_its_undo():
    document = json.loads(msgspec.json.encode(doings_document(told(*HELD, brakes=(BRAKE,)))))
    assert document["claims"] == [
        {
            "schedule": "schedule",
            "name": "every night",
            "job": "nightly",
            "due": "2026-11-25T00:00:00+00:00",
            "state": "held",
            "since": "2026-11-24T23:59:10+00:00",
            "until": "2026-11-25T00:00:00+00:00",
            "enabled_by_xo_at": [
                "2026-11-25T00:05:00+00:00",
                "2026-11-25T00:08:00+00:00",
                "2026-11-25T00:12:00+00:00",
            ],
        }
    ]
    assert [(one["name"], one["kind"], one["at"]) for one in document["fallbacks"]] == [
        (START, "start", "2026-11-25T00:03:00+00:00"),
        (RELEASE, "release", "2026-11-25T00:05:00+00:00"),
    ]
    assert document["deferrals"] == [
        {
            "schedule": "schedule",
            "due": "2026-11-25T00:00:00+00:00",
            "vms": ["web"],
            "codes": ["CHAIN_UNHEALTHY"],
            "deadline": "2026-11-25T04:00:00+00:00",
            "next_check": "2026-11-25T00:09:05+00:00",
        }
    ]
    assert [one["undo"] for one in document["brakes"]] == ["guard unhold pool:Lyon"]
    assert [one["what"] for one in document["changed"]] == [
        "schedule schedule is off in XO",
        f"job {START}",
        f"job {RELEASE}",
    ]
    assert all(one["undo"] for one in document["changed"])


def test_status_tells_it_before_the_alarms_and_also_before_the_first_look():
    acting = told(*HELD)
    loop = Loop(at=BEFORE, next_due=DUE)
    said = status_text(loop, (), BEFORE, UTC, acting=acting).splitlines()
    assert [line.split(":")[0] for line in said if not line.startswith(" ")] == [
        "Nothing runs.",
        "Next due",
        "Claimed",
        "In XO",
        "In XO",
        "Deferred",
        "Last look 0.0 s ago.",
    ]
    assert status_text(None, (), BEFORE, UTC, acting=acting).count("In XO: ") == 2
    assert len(status_document(loop, (), BEFORE, acting=acting)["claims"]) == 1
    assert max(map(cells, said)) <= 80


def test_names_from_outside_are_made_harmless():
    nasty = "\x1b[31m\u202e\n"
    wait = decided(action=Action.DEFER, held=(held(nasty),))
    found = doings_lines(told(seen(name=nasty), wait, claiming(), claimed()), UTC)
    assert all(line.isprintable() for line in found)


def placed(kind=FallbackKind.START, *, due=DUE, armed=True, cron="3 0 25 10 *"):
    own = Fallback(kind=kind, schedule="schedule", due=due, cron=cron, instance=INSTANCE)
    return Placed(job_id="1", fallback=own, armed=armed)


def flat(found):
    return " ".join(" ".join(found).split())


def test_a_dry_run_tells_fallbacks_as_they_are_in_xo_also_those_nobody_expects():
    stray = placed(due=after(days=-1), cron="3 0 24 10 *")
    said = flat(dry_run_lines(told(*HELD), (placed(), stray, placed(FallbackKind.RELEASE, armed=False, cron="")), UTC))
    assert f"In XO: {START} starts the schedule at Wed 25 Nov 00:03 UTC if guard is gone" in said
    assert "start schedule 2026-11-24T00:00:00Z starts the schedule at '3 0 24 10 *' (XO's cron, UTC). Undo: " in said
    alone = flat(dry_run_lines(NOTHING, (placed(FallbackKind.RELEASE, armed=False, cron=""),), UTC))
    assert "enables the schedule, never: it is not armed. Undo: " in alone
    assert dry_run_lines(NOTHING, (), UTC) == ["Nothing: guard holds nothing in XO."]
    assert dry_run_lines(NOTHING, None, UTC) == ["The ledger knows of nothing that guard changed in XO."]


def test_a_release_tells_what_became_of_each_claim_and_what_waits_on():
    before, gone = story(*HELD), story(*DEFERRED)
    said = flat(released_lines([(before, gone), (before, before)], [placed()], [], told(*DEFERRED, now=LATER), UTC))
    assert "due Wed 25 Nov 00:00 UTC: released: the schedule is enabled again." in said
    assert "still claimed: the schedule may be off in XO" in said
    assert f"Left in XO: {START} starts the schedule at Wed 25 Nov 04:03 UTC" in said
    assert "Waits for guard daemon: nightly / schedule" in said
