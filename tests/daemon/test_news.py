"""What is told of what happened: pages for what must be acted on, the digest for what a person may like to know."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.daemon.news import News
from guard.decision.verdict import Action
from guard.estate.workaround import OwnFile, State
from guard.finding import Level, Scope, ScopeKind
from guard.lifecycle.events import End, GaveUp, RunKey
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result
from guard.notify.message import Event, Message, Tier
from guard.policy.accept_schema import AcceptRule
from guard.policy.schema import default_policy
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import (
    KEY,
    after,
    alarmed,
    attempt_ended,
    decided,
    ended,
    finding,
    held,
    seen,
    started,
    story,
)

NAME = "nightly / schedule"


class Wire:
    """News and what it tells."""

    def __init__(self, *, memory=None, **policy):
        self.messages = []
        known = replace(default_policy(), **policy)
        self.news = News(self._tell, lambda: ZoneInfo("Europe/Paris"), lambda: known, memory)

    async def _tell(self, message):
        self.messages.append(message)

    def happened(self, *events, key=KEY):
        return self.hears(self.news.happened(story(*events, key=key), events[-1]))

    def unread(self, since, at):
        self.hears(self.news.unread("No XO answers", since=since, at=at))

    def hears(self, *news):
        """What was told once the look is over in which all this happened."""

        async def look():
            for one in news:
                await one
            await self.news.looked()

        asyncio.run(look())
        return self.messages


BEGUN = (seen(), decided(), started())
LOST = attempt_ended(status="failure", says="something nobody knows")
REFUSED = (
    seen(),
    decided(finding(), action=Action.REFUSE),
    GaveUp(at=after(30), vms=(held(),), whole=True, end=End.REFUSED, code="CHAIN_UNHEALTHY", reason="Held."),
    alarmed("RUN_REFUSED"),
)
NOT_FIRED = (seen(), decided(), alarmed("XO_DID_NOT_FIRE", "XO started no run."))


@pytest.mark.parametrize(
    ("events", "tier", "event", "title", "code"),
    [
        (BEGUN, "record", "start", f"{NAME} began", None),
        ((*BEGUN, attempt_ended()), "record", "success", f"{NAME} succeeded", None),
        ((*BEGUN, attempt_ended(status="failure")), "digest", "fail", f"{NAME}: failure", "CHAIN_UNHEALTHY"),
        ((*BEGUN, LOST), "page", "fail", f"{NAME}: failure", "UNCLASSIFIED"),
        ((*BEGUN, alarmed()), "page", "alarm", f"{NAME}: JOB_STUCK", "JOB_STUCK"),
        (REFUSED, "page", "alarm", f"{NAME}: RUN_REFUSED", "RUN_REFUSED"),
        (
            (*REFUSED, ended(End.REFUSED, code="CHAIN_UNHEALTHY")),
            "record",
            "fail",
            f"{NAME}: refused",
            "CHAIN_UNHEALTHY",
        ),
        (NOT_FIRED, "digest", "alarm", f"{NAME}: XO_DID_NOT_FIRE", "XO_DID_NOT_FIRE"),
        (
            (*NOT_FIRED, ended(End.MISSED, code="XO_DID_NOT_FIRE")),
            "page",
            "fail",
            f"{NAME}: missed",
            "XO_DID_NOT_FIRE",
        ),
        (
            (seen(), ended(End.MISSED, code="SCHEDULE_DISABLED")),
            "digest",
            "fail",
            f"{NAME}: missed",
            "SCHEDULE_DISABLED",
        ),
        (
            (seen(), decided(finding(), action=Action.START_SOME, held=[held()])),
            "digest",
            "log",
            f"{NAME}: start_some",
            "CHAIN_UNHEALTHY",
        ),
    ],
)
def test_an_event_is_one_message(events, tier, event, title, code):
    (message,) = Wire().happened(*events)
    assert (message.tier, message.event, message.title, message.code) == (tier, event, title, code)
    assert (message.at, message.schedule, message.due) == (events[-1].at, "schedule", DUE)
    assert "\nNext: " in message.text


@pytest.mark.parametrize("events", [(seen(),), (seen(), decided()), (*BEGUN, attempt_ended(), ended())])
def test_what_is_as_it_should_be_is_no_message(events):
    assert Wire().happened(*events) == []


def test_a_failure_without_a_cause_has_no_code():
    failed = attempt_ended(status="failure")
    bare = replace(failed, outcome=replace(failed.outcome, causes=()))
    (message,) = Wire().happened(*BEGUN, bare)
    assert (message.code, message.tier) == (None, "page")


def test_a_schedule_that_was_switched_off_is_a_page():
    wire = Wire()
    (message,) = wire.hears(wire.news.switched_off(SwitchedOff(schedule="s1", name="nightly", at=DUE)))
    assert (message.tier, message.event, message.code) == ("page", "alarm", "SCHEDULE_DISABLED")
    assert (message.title, message.schedule, message.at) == ("Schedule nightly is disabled", "s1", DUE)
    assert "guard did not do it" in message.text


def test_an_xo_that_cannot_be_read_is_paged_once_per_outage_and_only_when_it_is_longer_than_a_restart():
    wire = Wire()
    for seconds in (0, 30, 299):
        wire.unread(DUE, after(seconds))
    assert wire.messages == []
    for seconds in (300, 330, 9000):
        wire.unread(DUE, after(seconds))
    (message,) = wire.messages
    assert (message.tier, message.code, message.at, message.schedule) == ("page", "XO_UNREADABLE", DUE, None)
    assert message.text.startswith("Since Wed 25 Nov 01:00 CET guard cannot read XO: No XO answers\n")
    later = DUE + timedelta(days=1)
    wire.unread(later, later + timedelta(hours=1))
    assert len(wire.messages) == 2


def recovered(told, *, since=DUE, last=300, at=330, due=(), **policy):
    """What is told at the end of an outage."""
    wire = Wire(**policy)
    wire.hears(wire.news.read_again(since=since, last=after(last), at=after(at), due=due))
    return [getattr(one, told) for one in wire.messages]


def test_the_end_of_an_outage_that_was_paged_is_told_in_the_digest():
    wire = Wire()
    wire.unread(DUE, after(300))
    wire.hears(wire.news.read_again(since=DUE, last=after(300), at=after(330), due=[story(seen())]))
    message = wire.messages[1]
    assert (message.tier, message.event, message.code, message.at) == ("digest", "log", "XO_UNREADABLE", after(330))
    assert message.title == "XO can be read again: XO_UNREADABLE is over"
    assert message.text.startswith("From Wed 25 Nov 01:00 CET to Wed 25 Nov 01:05 CET (6 min) guard could not read XO.")
    wire.unread(DUE, after(900))  # it went away again at once, and XO's own word on since when is the same
    assert [one.tier for one in wire.messages] == ["page", "digest", "page"]


def test_the_end_of_an_outage_that_nobody_was_told_of_is_told_to_nobody():
    assert recovered("tier", last=299) == []
    assert recovered("tier", tiers={"XO_UNREADABLE": "record"}) == []
    assert recovered("tier", accepts=(AcceptRule(code="XO_UNREADABLE", until="x", reason="r", ends=after(999)),)) == []


@pytest.mark.parametrize(
    ("tiers", "tier"),
    [
        ({}, "digest"),
        ({"recovered": "page"}, "page"),
        ({"recovered": "record"}, "record"),
        ({"XO_UNREADABLE": "page"}, "digest"),
        ({"trouble": "digest"}, "digest"),
    ],
)
def test_the_policy_says_how_an_end_is_told_by_its_state_alone(tiers, tier):
    assert recovered("tier", tiers=tiers) == [tier]


def test_the_end_of_the_ledgers_trouble_is_told_where_the_trouble_was():
    wire = Wire()
    wire.hears(wire.news.written_again(since=DUE, at=after(400)))
    assert wire.messages == []
    wire.hears(wire.news.unwritten("full", since=DUE, at=after(300)), wire.news.written_again(since=DUE, at=after(400)))
    assert [one.title for one in wire.messages] == [
        "guard's ledger cannot be written",
        "guard's ledger can be written again: LEDGER_UNWRITABLE is over",
    ]


def test_that_guard_acts_again_says_since_when_it_did_not():
    wire = Wire()
    wire.hears(wire.news.stands_aside("never tested", at=DUE))
    wire.hears(wire.news.acts_again("never tested", at=after(3600)))
    assert (wire.messages[1].tier, wire.messages[1].code) == ("digest", "GATE_STANDS_ASIDE")
    assert wire.messages[1].text.splitlines()[0] == (
        "From Wed 25 Nov 01:00 CET to Wed 25 Nov 02:00 CET guard left every start to XO: never tested. That is so no longer."
    )


def test_pages_are_counted_by_code_until_the_digest_says_so():
    wire = Wire()
    off = [
        wire.news.switched_off(SwitchedOff(schedule=f"s{number}", name=f"nightly {number}", at=DUE))
        for number in range(4)
    ]
    wire.hears(*off, wire.news.clocks(timedelta(seconds=40), at=DUE))
    wire.unread(DUE, after(300))
    assert asyncio.run(wire.news.meanwhile.counts()) == {"SCHEDULE_DISABLED": 4, "XO_UNREADABLE": 1}
    asyncio.run(wire.news.meanwhile.begin_anew())
    assert asyncio.run(wire.news.meanwhile.counts()) == {}


def test_a_lost_reserve_of_the_ledger_is_paged_once_until_it_was_there_again():
    wire = Wire()
    told = []
    for is_held in (True, False, False, True, False):
        asyncio.run(wire.news.disk_full(held=is_held, at=DUE))
        told.append(len(wire.messages))
    assert told == [0, 1, 1, 1, 2]
    assert {(one.tier, one.event, one.code, one.schedule) for one in wire.messages} == {
        ("page", "alarm", "LEDGER_DISK_FULL", None)
    }


def test_clocks_that_differ_are_paged_once_until_they_agree_again():
    wire = Wire()
    told = [
        len(wire.hears(wire.news.clocks(timedelta(seconds=ahead), at=DUE)))
        for ahead in (0, 29, 30, 40, 16, 14, 29, -31)
    ]
    assert told == [0, 0, 1, 1, 1, 1, 1, 2]
    assert [one.text.partition(".")[0] for one in wire.messages] == [
        "guard's clock is 30 s ahead of XO's",
        "guard's clock is 31 s behind XO's",
    ]
    assert {(one.tier, one.code) for one in wire.messages} == {("digest", "CLOCKS_DIFFERENT")}


@pytest.mark.parametrize("count", [3, 4, 21])
def test_many_pages_of_one_look_with_one_cause_are_one_page(count):
    wire = Wire()
    off = [
        wire.news.switched_off(SwitchedOff(schedule=f"s{number}", name=f"nightly {number}", at=DUE))
        for number in range(count)
    ]
    pages = wire.hears(*off, wire.news.stands_aside("never tested", at=DUE))
    assert len(pages) == (4 if count == 3 else 2)
    assert pages[-1].code == "GATE_STANDS_ASIDE"
    if count > 3:
        together = pages[0]
        assert (together.title, together.code, together.schedule) == (
            f"{count} times SCHEDULE_DISABLED",
            "SCHEDULE_DISABLED",
            None,
        )
        lines = together.text.splitlines()
        assert lines[0] == "  Schedule nightly 0 is disabled"
        assert "The first one: Schedule nightly 0 was on and is off now" in together.text
        assert ("  and 1 more; all of them: guard status" in lines) is (count == 21)
        assert sum(line.startswith("  ") for line in lines) == min(count, 21)


def test_pages_put_together_still_reach_each_schedules_health_check():
    wire = Wire()
    keys = [RunKey(f"s{number}", DUE) for number in range(4)]
    runs = [story(*BEGUN, attempt_ended(status="failure", says="something nobody knows"), key=key) for key in keys]
    page, *rest = wire.hears(*(wire.news.happened(run, run.attempts[0].ended) for run in runs))
    assert (page.tier, page.event, page.title) == ("page", "alarm", "4 times UNCLASSIFIED")
    assert [(one.tier, one.event, one.schedule) for one in rest] == [("record", "fail", key.schedule) for key in keys]


def test_pages_without_a_code_that_are_put_together_have_a_title_that_can_be_read():
    wire = Wire()
    bare = replace(LOST, outcome=replace(LOST.outcome, causes=()))
    runs = [story(*BEGUN, bare, key=RunKey(f"s{number}", DUE)) for number in range(4)]
    page = wire.hears(*(wire.news.happened(run, bare) for run in runs))[0]
    assert (page.title, page.code) == ("4 times the same, of no known cause", None)


def test_runs_put_together_have_their_due_times_in_the_zone_of_messages():
    wire = Wire()
    runs = [story(*BEGUN, LOST, key=RunKey(f"s{number}", DUE)) for number in range(4)]
    page = wire.hears(*(wire.news.happened(run, LOST) for run in runs))[0]
    assert page.text.splitlines()[0] == f"  {NAME}: failure, due Wed 25 Nov 01:00 CET"


def test_what_is_no_page_is_told_at_once():
    wire = Wire()
    asyncio.run(wire.news.happened(story(*BEGUN), BEGUN[-1]))
    assert len(wire.messages) == 1


# --- remedies

MINUTE = timedelta(minutes=1)


def remedied(kind=RemedyKind.RESCAN, result=Result.DONE, effect=Effect.PENDING, **more):
    wire = Wire()
    remedy = Remedy(
        kind=kind,
        scope=Scope(ScopeKind.SR, "sr", "SAN"),
        at=DUE,
        reason="3 wait",
        result=result,
        effect=effect,
        text="XO said so.",
        **more,
    )
    (message,) = wire.hears(wire.news.remedied(remedy))
    return message


def test_a_remedy_is_for_the_digest_with_its_reason():
    message = remedied(ended_at=DUE + MINUTE)
    assert (message.tier, message.event, message.code, message.at) == ("digest", "log", None, DUE + MINUTE)
    assert message.title == "Remedy: scan SAN"
    assert message.text.startswith("guard scanned SAN. XO said so.\nWhy: 3 wait\nNext: ")


@pytest.mark.parametrize(
    ("told", "event"),
    [
        ({"effect": Effect.HELPED, "effect_at": DUE + MINUTE}, "log"),
        ({"effect": Effect.NOTHING}, "fail"),
        ({"result": Result.FAILED, "effect": Effect.NOTHING}, "fail"),
        ({"result": Result.UNKNOWN}, "fail"),
    ],
)
def test_one_that_did_not_help_or_that_nobody_knows_of_is_told_as_a_failure(told, event):
    assert (remedied(**told).tier, remedied(**told).event) == ("digest", event)


def test_it_is_told_as_of_when_its_effect_was_seen_else_of_when_it_ended_or_began():
    assert remedied(ended_at=DUE + MINUTE, effect_at=DUE + 2 * MINUTE).at == DUE + 2 * MINUTE
    assert remedied(ended_at=DUE + MINUTE).at == DUE + MINUTE
    assert remedied().at == DUE


def test_a_probe_that_went_well_is_only_kept_and_one_that_did_not_is_told():
    assert remedied(RemedyKind.PROBE, effect=Effect.HELPED).tier == "record"
    assert (remedied(RemedyKind.PROBE, effect=Effect.NOTHING).tier, remedied(RemedyKind.PROBE).tier) == (
        "digest",
        "digest",
    )
    assert remedied(RemedyKind.RESCAN, effect=Effect.HELPED).tier == "digest"


def test_a_workaround_that_still_stands_is_for_the_digest():
    wire = Wire()
    own = OwnFile(state="intact", value_ms=1_800_000, until=DUE, reason="vm timed out.")
    stands = State(folder="/etc/xo-server", looked_at=DUE, own=own)
    (message,) = wire.hears(wire.news.stands(stands, at=DUE))
    assert (message.tier, message.event, message.title) == (
        "digest",
        "log",
        "The httpInactivityTimeout workaround still stands",
    )
    assert "look at the load and the memory of its dom0" in message.text


# --- one look, several nights


def night(number, *events):
    """The same story so many nights later."""
    later = timedelta(days=number)
    moved = [replace(one, at=one.at + later) for one in events]
    return moved, RunKey("schedule", DUE + later)


def pages(wire):
    return [one.at for one in wire.messages if one.tier is Tier.PAGE]


def test_a_refusal_that_stays_the_same_is_paged_the_first_night_and_after_a_week_and_else_is_for_the_digest():
    wire = Wire()
    for number in range(9):
        events, key = night(number, *REFUSED)
        wire.happened(*events, key=key)
    assert [(at - REFUSED[-1].at).days for at in pages(wire)] == [0, 7]
    assert {one.tier for one in wire.messages} == {"page", "digest"}
    assert wire.messages[1].text.endswith(
        "\nThe same since Wed 25 Nov 10:00 CET, when it was paged; it is paged again when it changes, or a week later."
    )


def test_a_schedule_that_nobody_starts_night_after_night_is_paged_the_first_night_and_after_a_week():
    wire = Wire()
    missed = (*NOT_FIRED, ended(End.MISSED, at=after(hours=9), code="XO_DID_NOT_FIRE", reason="XO was down."))
    for number in range(9):
        events, key = night(number, *missed)
        wire.happened(*events, key=key)
    assert [(at - missed[-1].at).days for at in pages(wire)] == [0, 7]
    assert [one.title for one in wire.messages] == ["nightly / schedule: missed"] * 9


def test_a_night_without_it_makes_the_next_one_a_page_again_and_one_that_another_run_covers_does_not():
    for end, often in ((End.RAN, 2), (End.COVERED, 1)):
        wire = Wire()
        for number, events in enumerate((REFUSED, (seen(), decided(), ended(end)), REFUSED)):
            moved, key = night(number, *events)
            wire.happened(*moved, key=key)
        assert len(pages(wire)) == often


def test_two_kinds_of_alarm_do_not_take_each_other_for_a_repetition():
    wire = Wire()
    for number, code in enumerate(("JOB_STUCK", "SCHEDULE_LEFT_OFF", "JOB_STUCK")):
        moved, key = night(number, seen(), alarmed(code))
        wire.happened(*moved, key=key)
    assert [one.tier for one in wire.messages] == ["page", "page", "digest"]


def test_what_xo_did_not_fire_is_one_message_however_it_goes_on():
    wire = Wire()
    story_so_far, whole = story(*NOT_FIRED), (*NOT_FIRED, ended(End.MISSED, code="XO_DID_NOT_FIRE"))
    happened = wire.news.happened
    (only,) = wire.hears(happened(story_so_far, whole[-2]), happened(story(*whole), whole[-1]))
    assert (only.tier, only.event, only.title) == ("page", "fail", f"{NAME}: missed")
    other = Wire()
    done = (*NOT_FIRED, started(seconds=90), attempt_ended(), ended(End.RAN))
    told = other.hears(other.news.happened(story_so_far, done[2]), other.news.happened(story(*done), done[-1]))
    assert [(one.tier, one.event) for one in told] == [("digest", "alarm")]


def test_a_deferral_that_is_judged_anew_and_says_the_same_is_told_once():
    wire = Wire()
    defers = [decided(finding(), action=Action.DEFER, held=[held()], facts_age=age) for age in (1, 2, 3)]
    other = decided(finding("SR_NO_SPACE"), action=Action.DEFER, held=[held()])
    events = [seen()]
    for one in (*defers, other):
        events.append(one)
        wire.happened(*events)
    assert [one.code for one in wire.messages] == ["CHAIN_UNHEALTHY", "SR_NO_SPACE"]
    wire.happened(*events, ended(End.COVERED))
    wire.happened(seen(), defers[0])
    assert len(wire.messages) == 3


def test_what_a_run_ended_as_it_should_is_told_only_where_the_policy_asks_for_it():
    over = (*BEGUN, attempt_ended(), ended(End.OBSERVED))
    assert Wire().happened(*over) == []
    (message,) = Wire(tiers={"observed": "digest"}).happened(*over)
    assert (message.tier, message.event, message.title) == ("digest", "log", f"{NAME}: observed")


def test_the_policy_says_what_is_a_page():
    (failed,) = Wire(tiers={"failure": "page"}).happened(*BEGUN, attempt_ended(status="failure"))
    (calm,) = Wire(tiers={"UNCLASSIFIED": "digest"}).happened(*BEGUN, LOST)
    (refused,) = Wire(tiers={"RUN_REFUSED": "record"}).happened(*REFUSED)
    assert (failed.tier, calm.tier, refused.tier) == ("page", "digest", "record")
    wire = Wire(tiers={"trouble": "record", "switched_off": "digest"})
    off = wire.news.switched_off(SwitchedOff(schedule="s1", name="nightly", at=DUE))
    assert [one.tier for one in wire.hears(wire.news.stands_aside("x", at=DUE), off)] == ["record", "digest"]


def test_a_run_by_hand_pages_nobody():
    (message,) = Wire().happened(*BEGUN, LOST, key=RunKey("schedule", DUE, "by hand"))
    assert message.tier == "digest"


# --- what is accepted


def accepted(code, scope="all"):
    return {"accepts": (AcceptRule(code=code, scope=scope, until="2026-12-04", reason="known", ends=after(days=9)),)}


@pytest.mark.parametrize(
    ("code", "events"),
    [
        ("UNCLASSIFIED", (*BEGUN, LOST)),
        ("JOB_STUCK", (*BEGUN, alarmed())),
        ("RUN_REFUSED", REFUSED),
        ("XO_DID_NOT_FIRE", NOT_FIRED),
        ("XO_DID_NOT_FIRE", (*NOT_FIRED, ended(End.MISSED, code="XO_DID_NOT_FIRE"))),
    ],
)
def test_what_is_accepted_is_told_to_nobody(code, events):
    (message,) = Wire(**accepted(code)).happened(*events)
    assert message.tier == "record"
    (other,) = Wire(**accepted(code, "schedule:another")).happened(*events)
    assert other.tier != "record"


def test_a_schedule_whose_being_off_is_accepted_is_told_to_nobody():
    for scope, tier in (("schedule:nightly", "record"), ("schedule:weekly", "page")):
        wire = Wire(**accepted("SCHEDULE_DISABLED", scope))
        (message,) = wire.hears(wire.news.switched_off(SwitchedOff(schedule="s1", name="nightly", at=DUE)))
        assert message.tier == tier


def test_that_an_accept_ended_is_told_although_it_was_accepted_until_then():
    entry = accepted("JOB_STUCK")["accepts"][0]
    for still, tier in (((), "digest"), (("it is stuck",), "page")):
        wire = Wire(**accepted("JOB_STUCK"))
        (message,) = wire.hears(wire.news.accept_ended(entry, still, at=DUE))
        assert (message.tier, message.event, message.code) == (tier, "alarm", "JOB_STUCK")


def test_a_message_made_elsewhere_has_the_tier_of_its_code_or_of_guards_troubles():
    made = Message(tier=Tier.PAGE, event=Event.ALARM, title="t", text="x", at=DUE, code="XO_UNREADABLE")
    for policy, tier in (
        ({}, "page"),
        ({"tiers": {"trouble": "digest"}}, "digest"),
        ({"tiers": {"trouble": "digest", "XO_UNREADABLE": "record"}}, "record"),
        (accepted("XO_UNREADABLE"), "record"),
        (accepted("XO_UNREADABLE", "schedule:s"), "page"),
    ):
        wire = Wire(**policy)
        assert [one.tier for one in wire.hears(wire.news.relay(made))] == [tier]


@pytest.mark.parametrize(
    ("code", "tiers", "tier"),
    [
        ("TOKEN_EXPIRES", {"trouble": "page"}, "digest"),
        ("TOKEN_EXPIRES", {"trouble": "record"}, "record"),
        ("TOKEN_EXPIRES", {"TOKEN_EXPIRES": "page"}, "page"),
        (None, {"trouble": "page"}, "digest"),
        (None, {"trouble": "record"}, "digest"),
    ],
)
def test_writing_down_the_default_for_guards_troubles_makes_no_page_of_what_was_for_the_digest(code, tiers, tier):
    made = Message(tier=Tier.DIGEST, event=Event.LOG, title="guard renewed its XO token", text="x", at=DUE, code=code)
    wire = Wire(tiers=tiers)
    assert [one.tier for one in wire.hears(wire.news.relay(made))] == [tier]


class Kept(dict):
    """What outlives a restart."""

    async def recall(self, name):
        return self.get(name)

    async def remember(self, name, value):
        self[name] = value


def test_an_outage_is_paged_once_also_across_a_restart_and_the_next_one_again():
    memory, told = Kept(), []
    for since, hours in ((DUE, 1), (DUE, 2), (after(hours=3), 4)):
        wire = Wire(memory=memory)
        wire.unread(since, after(hours=hours))
        told += wire.messages
    assert [(one.tier, one.at) for one in told] == [("page", DUE), ("page", after(hours=3))]


def test_standing_aside_for_the_same_reason_is_paged_once_also_across_a_restart():
    memory, told = Kept(), []
    for hours, reason in enumerate(("a", "a", "b")):
        wire = Wire(memory=memory)
        told += wire.hears(wire.news.stands_aside(reason, at=after(hours=hours)))
    assert [one.tier for one in told] == ["page", "digest", "page"]


def test_what_a_prediction_warns_of_is_in_the_digest_once_a_day_whichever_run_showed_it():
    wire = Wire()
    low = finding("XO_DISK_LOW", level=Level.WARN, holds=(), scope=Scope(ScopeKind.XO, "/var", "XO"))
    deep = finding("CHAIN_TOO_LONG", level=Level.WARN, holds=())
    other = RunKey("other", DUE)
    wire.happened(seen(), decided(low, deep, action=Action.START))
    wire.happened(seen(), decided(low, action=Action.START), key=other)
    assert [(one.tier, one.title) for one in wire.messages] == [("digest", "XO_DISK_LOW: XO")]
    tomorrow = RunKey("other", DUE + timedelta(days=1))
    wire.happened(seen(due=tomorrow.due), decided(low, due=tomorrow.due, action=Action.START), key=tomorrow)
    assert [one.at for one in wire.messages] == [DUE - timedelta(seconds=55), tomorrow.due - timedelta(seconds=55)]
