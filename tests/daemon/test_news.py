"""What is told of what happened: pages for what must be acted on, the digest for what a person may like to know."""

from __future__ import annotations

import asyncio
from datetime import timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.daemon.news import News
from guard.decision.verdict import Action
from guard.estate.workaround import OwnFile, State
from guard.finding import Scope, ScopeKind
from guard.lifecycle.events import End
from guard.lifecycle.loop import SwitchedOff
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result
from guard.notify.message import Message
from msgspec.structs import replace
from tests.builders import DUE
from tests.lifecycle.stories import after, alarmed, attempt_ended, decided, ended, seen, started, story

NAME = "nightly / schedule"


class Wire:
    """News and what it tells."""

    def __init__(self):
        self.messages = []
        self.news = News(self._tell, lambda: ZoneInfo("Europe/Paris"))

    async def _tell(self, message):
        self.messages.append(message)

    def happened(self, *events):
        return self.hears(self.news.happened(story(*events), events[-1]))

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


FAILED = (
    "Due Wed 25 Nov 01:00 CET: it ended as failure after 30 min: 0 of 1 VM backed up, 0 B sent; CHAIN_UNHEALTHY.\n"
    "vm: CHAIN_UNHEALTHY: unhealthy VDI chain"
)
BEGUN = (seen(), decided(), started())


@pytest.mark.parametrize(
    ("events", "tier", "event", "title", "text", "code"),
    [
        (BEGUN, "record", "start", f"{NAME} began", "XO runs it since Wed 25 Nov 01:00 CET.", None),
        (
            (*BEGUN, attempt_ended()),
            "record",
            "success",
            f"{NAME} succeeded",
            "it ended as success after 30 min: 1 of 1 VM backed up, 5 B sent.",
            None,
        ),
        (
            (*BEGUN, attempt_ended(status="failure")),
            "digest",
            "fail",
            f"{NAME}: failure",
            FAILED,
            "CHAIN_UNHEALTHY",
        ),
        ((*BEGUN, alarmed()), "page", "alarm", f"{NAME}: JOB_STUCK", "Nothing moved for 30 min.", "JOB_STUCK"),
        (
            (seen(), ended(End.MISSED, code="SCHEDULE_DISABLED", reason="It was disabled.")),
            "digest",
            "fail",
            f"{NAME}: missed",
            "It was disabled.",
            "SCHEDULE_DISABLED",
        ),
        (
            (seen(), decided(action=Action.START_SOME, sentence="1 VM of 2 is held.")),
            "digest",
            "log",
            f"{NAME}: start_some",
            "Due Wed 25 Nov 01:00 CET, enforced guard would start some of it: 1 VM of 2 is held.",
            None,
        ),
    ],
    ids=["begun", "success", "failure", "alarm", "missed", "would hold"],
)
def test_an_event_is_one_message(events, tier, event, title, text, code):
    (message,) = Wire().happened(*events)
    assert message == Message(
        tier=tier, event=event, title=title, text=text, at=events[-1].at, schedule="schedule", due=DUE, code=code
    )


@pytest.mark.parametrize("events", [(seen(),), (seen(), decided()), (*BEGUN, attempt_ended(), ended())])
def test_what_is_as_it_should_be_is_no_message(events):
    assert Wire().happened(*events) == []


def test_a_failure_without_a_cause_has_no_code():
    failed = attempt_ended(status="failure")
    bare = replace(failed, outcome=replace(failed.outcome, causes=()))
    (message,) = Wire().happened(*BEGUN, bare)
    assert (message.code, message.text.endswith("sent.\n")) == (None, True)


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
    assert message.text == "Since Wed 25 Nov 01:00 CET guard cannot read XO: No XO answers"
    later = DUE + timedelta(days=1)
    wire.unread(later, later + timedelta(hours=1))
    assert len(wire.messages) == 2


def test_a_lost_reserve_of_the_ledger_is_paged_once_until_it_was_there_again():
    wire = Wire()
    told = []
    for held in (True, False, False, True, False):
        asyncio.run(wire.news.disk_full(held=held, at=DUE))
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
    assert {(one.tier, one.code) for one in wire.messages} == {("page", "CLOCKS_DIFFERENT")}


@pytest.mark.parametrize("count", [3, 4, 21])
def test_many_pages_of_one_look_with_one_cause_are_one_page(count):
    wire = Wire()
    off = [
        wire.news.switched_off(SwitchedOff(schedule=f"s{number}", name=f"nightly {number}", at=DUE))
        for number in range(count)
    ]
    pages = wire.hears(*off, wire.news.clocks(timedelta(hours=1), at=DUE))
    assert len(pages) == (4 if count == 3 else 2)
    assert pages[-1].code == "CLOCKS_DIFFERENT"
    if count > 3:
        together = pages[0]
        assert (together.title, together.code, together.schedule) == (
            f"{count} times SCHEDULE_DISABLED",
            "SCHEDULE_DISABLED",
            None,
        )
        lines = together.text.splitlines()
        assert lines[0] == "  Schedule nightly 0 is disabled"
        assert lines[-1].startswith("The first one: Schedule nightly 0 was on and is off now")
        assert ("  and 1 more; all of them: guard status" in lines) is (count == 21)
        assert len(lines) == min(count, 21) + 1


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
    assert message.text == "guard scanned SAN. XO said so.\nWhy: 3 wait"


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
