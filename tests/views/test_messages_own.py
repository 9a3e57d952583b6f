"""guard's own troubles, its remedies and ended [[accept]] entries as messages: reason, remedy, what guard does next."""

from __future__ import annotations

from datetime import UTC, timedelta

import pytest
from guard.estate.workaround import OwnFile, State
from guard.finding import Scope, ScopeKind
from guard.lifecycle.events import End
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result
from guard.policy.accept_schema import AcceptRule
from guard.policy.codes import EVERY_CODE
from guard.views import messages_own as own
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import after, alarmed, decided, ended, seen, started, story

TROUBLES = {
    "XO_UNREADABLE": (
        own.unread("No XO answers", DUE, UTC),
        "Since Wed 25 Nov 00:00 UTC guard cannot read XO: No XO answers",
    ),
    "LEDGER_UNWRITABLE": (
        own.unwritten("disk full", DUE, UTC),
        "Since Wed 25 Nov 00:00 UTC guard can record nothing, and watches no run: disk full",
    ),
    "LEDGER_DISK_FULL": (own.disk_full(), EVERY_CODE["LEDGER_DISK_FULL"].why),
    "CLOCKS_DIFFERENT": (own.clocks(timedelta(seconds=40)), "guard's clock is 40 s ahead of XO's."),
    "GATE_STANDS_ASIDE": (own.stands_aside("never tested"), "guard leaves every start to XO: never tested."),
}


@pytest.mark.parametrize("code", TROUBLES)
def test_a_trouble_of_guards_own_says_why_what_to_do_and_what_guard_does_next(code):
    found, reason = TROUBLES[code]
    assert (found.state, found.code, found.mark[0]) == ("trouble", code, code)
    first, do, then = found.text.splitlines()
    assert (first, do) == (" ".join(reason.split()), f"To do: {' '.join(EVERY_CODE[code].do.split())}")
    assert then.startswith(("Next: guard", "Next: XO"))


def test_while_something_is_claimed_a_dead_ledger_says_that_guard_brings_it_to_its_end():
    found = own.last_resort("disk full", DUE, UTC)
    assert found.text.splitlines()[0] == "Since Wed 25 Nov 00:00 UTC the ledger takes nothing: disk full"
    assert found.text.splitlines()[-1].startswith("Next: guard brings to its end what it holds in XO")


def test_a_clock_that_is_behind_is_told_as_such():
    assert own.clocks(timedelta(seconds=-31)).text.startswith("guard's clock is 31 s behind XO's.")


def test_two_reasons_to_stand_aside_are_two_things():
    assert own.stands_aside("a").mark != own.stands_aside("b").mark


@pytest.mark.parametrize(("deleted", "word"), [(False, "disabled"), (True, "deleted")])
def test_a_schedule_that_was_switched_off_or_deleted(deleted, word):
    found = own.switched_off(SwitchedOff(schedule="s1", name="nightly", at=DUE, deleted=deleted))
    assert (found.state, found.code, found.title) == (
        "switched_off",
        "SCHEDULE_DISABLED",
        f"Schedule nightly is {word}",
    )
    assert ("guard leaves it off" in found.text) is not deleted
    assert f"To do: {EVERY_CODE['SCHEDULE_DISABLED'].do}" in found.text


def remedy(kind=RemedyKind.RESCAN, result=Result.DONE, effect=Effect.PENDING):
    scope = Scope(ScopeKind.SR, "sr", "SAN")
    return Remedy(kind=kind, scope=scope, at=DUE, reason="3 wait", result=result, effect=effect, text="XO said so.")


@pytest.mark.parametrize(
    ("given", "state", "then"),
    [
        (remedy(), "remedy", "guard looks whether it helped"),
        (remedy(effect=Effect.HELPED), "remedy", "guard judges the due runs by what it sees."),
        (
            remedy(effect=Effect.NOTHING),
            "remedy_failed",
            "guard judges the due runs as things are; a person has to look",
        ),
        (remedy(result=Result.FAILED), "remedy_failed", "guard looks whether it helped"),
        (remedy(result=Result.UNKNOWN), "remedy_failed", "guard looks whether it helped"),
        (remedy(RemedyKind.PROBE, effect=Effect.HELPED), "probe", "guard judges"),
        (remedy(RemedyKind.PROBE, effect=Effect.NOTHING), "remedy_failed", "guard judges"),
        (remedy(RemedyKind.PROBE), "remedy", "guard looks"),
    ],
)
def test_a_remedy_says_why_what_came_of_it_and_what_follows(given, state, then):
    found = own.remedied(given, UTC)
    assert found.state == state
    assert "Why: 3 wait" in found.text.splitlines()
    assert found.text.splitlines()[-1].startswith(f"Next: {then}")


def test_a_workaround_that_still_stands_says_how_to_take_it_away():
    own_file = OwnFile(state="intact", value_ms=1_800_000, until=DUE, reason="vm timed out.")
    found = own.stands(State(folder="/etc/xo-server", looked_at=DUE, own=own_file), UTC)
    assert (found.state, found.text.splitlines()[-1]) == ("standing", "Next: guard reminds of it once a week.")


def test_an_accept_that_ended_says_whether_what_it_was_about_is_still_there():
    entry = AcceptRule(code="NEXT_RUN_FULL", scope="vm:web", until="2027-03-31", reason="disk ordered", ends=DUE)
    over = own.accept_ended(entry, ())
    assert (over.state, over.code, over.title) == (
        "accept_ended",
        "NEXT_RUN_FULL",
        "Accepted until 2027-03-31: NEXT_RUN_FULL for vm:web",
    )
    assert over.text.splitlines() == [
        "The [[accept]] entry has ended, and no run of the last week showed it. Its reason was: disk ordered",
        "To do: Take the entry out of the policy.",
        "Next: guard tells of NEXT_RUN_FULL again like of any other; the entry does nothing any more.",
    ]
    still = own.accept_ended(entry, ("web: its next run is full.",))
    assert still.state == "accept_ended_stands"
    assert still.text.splitlines()[:3] == [
        "The [[accept]] entry has ended, and it is still there. Its reason was: disk ordered",
        "web: its next run is full.",
        "To do: Mend it, or give the entry a later end with a reason.",
    ]


# --- the end of a trouble

MISSED = (seen(), alarmed("XO_DID_NOT_FIRE"), ended(End.MISSED, code="XO_DID_NOT_FIRE"))


def test_the_end_of_an_outage_says_how_long_it_was_and_what_became_of_what_was_due_meanwhile():
    runs = [
        story(*MISSED),
        story(seen(), decided(), started()),
        story(seen()),
        story(seen(), ended(End.OBSERVED)),
        story(replace(seen(), members=("a", "b"))),  # a sequence is told by its members
    ]
    found = own.read_again(DUE, after(360), runs, UTC)
    assert (found.state, found.codes, found.title) == ("recovered", (), "XO can be read again: XO_UNREADABLE is over")
    assert found.text.splitlines() == [
        "From Wed 25 Nov 00:00 UTC to Wed 25 Nov 00:06 UTC (6 min) guard could not read XO. 4 due times fell into it:",
        "nightly / schedule, due Wed 25 Nov 00:00 UTC: missed (XO_DID_NOT_FIRE).",
        "nightly / schedule, due Wed 25 Nov 00:00 UTC: XO runs it.",
        "nightly / schedule, due Wed 25 Nov 00:00 UTC: not settled yet.",
        "nightly / schedule, due Wed 25 Nov 00:00 UTC: observed.",
        "Next: guard watches and predicts again; what XO's logs show of that time is judged by them.",
    ]
    nothing = own.read_again(DUE, after(360), (), UTC)
    assert nothing.text.splitlines()[0].endswith("guard could not read XO. No due time fell into it.")


def test_the_end_of_the_other_troubles_says_what_was_so_until_when():
    written = own.written_again(DUE, after(7200), UTC)
    assert written.text.startswith(
        "From Wed 25 Nov 00:00 UTC to Wed 25 Nov 02:00 UTC (2 h) guard's ledger could not be"
    )
    acts = own.acts_again("never tested", None, after(7200), UTC)
    assert acts.text.startswith("Until Wed 25 Nov 02:00 UTC guard left every start to XO: never tested. That is so no")
    assert acts.text.splitlines()[1] == "Next: guard acts on what is due, where the policy says enforce."
    assert {one.state for one in (written, acts)} == {"recovered"}
