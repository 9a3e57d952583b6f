"""What guard did itself, as a person reads it a month later and as a machine does."""

from __future__ import annotations

from datetime import UTC

import msgspec
import pytest
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import ReleasedHow, Releasing, Starter, Starting
from guard.views.deeds import HOW, STARTED_BY, Deed, deed_document, deed_sentence
from guard.views.story import story_document, story_text
from tests.lifecycle.stories import KEY, after, decided, ended, finding, held, seen, started
from tests.lifecycle.test_events import ACTED, FOLLOWED

DEEDS = [one for one in (*ACTED, FOLLOWED) if isinstance(one, Deed)]


@pytest.mark.parametrize("event", DEEDS, ids=lambda one: type(one).__name__)
def test_every_deed_has_a_sentence_and_a_document(event):
    assert deed_sentence(event, UTC)
    assert isinstance(deed_document(event), dict)


def test_every_end_of_a_claim_and_every_starter_has_its_words():
    assert set(HOW) == set(ReleasedHow)
    assert set(STARTED_BY) == set(Starter)


def test_a_start_of_everything_says_so_and_many_vms_are_counted():
    everything = Starting(at=after(), attempt=1, vms=None, known=())
    assert deed_sentence(everything, UTC) == "attempt 1: asks XO to start all VMs"
    assert deed_document(everything)["vms"] is None
    (gave_up,) = [one for one in ACTED if type(one).__name__ == "GaveUp"]
    many = type(gave_up)(at=after(), vms=(held(),) * 7, whole=False, end=gave_up.end, reason="On hold.")
    assert "and 2 more" in deed_sentence(many, UTC)
    nobody = type(gave_up)(at=after(), vms=(), whole=True, end=gave_up.end, reason="On hold.")
    assert deed_sentence(nobody, UTC) == "refused: the run: On hold."
    assert deed_document(Releasing(at=after())) == {}


def test_what_is_different_in_that_run_alone_is_told():
    settings = {"": {"concurrency": 2}, "vm1": {"bypassVdiChainsCheck": True}}
    start = Starting(at=after(), attempt=1, vms=None, known=(), settings=settings)
    assert deed_sentence(start, UTC) == (
        "attempt 1: asks XO to start all VMs, for this run alone with concurrency = 2; bypassVdiChainsCheck = true (vm1)"
    )
    assert deed_document(start)["settings"] == settings
    assert "settings" not in deed_document(Starting(at=after(), attempt=1, vms=None, known=()))


def test_a_follow_up_tells_who_waits_for_what_and_until_when():
    assert deed_sentence(FOLLOWED, UTC) == (
        "follow-up: 1 VM to be started once more when the cause is gone, until Wed 25 Nov 04:00 UTC at most: "
        "web: CHAIN_UNHEALTHY."
    )
    told = {"vms": [{"id": "vm", "name": "web", "codes": ["CHAIN_UNHEALTHY"]}], "reason": "web: CHAIN_UNHEALTHY."}
    assert deed_document(FOLLOWED) == told
    endless = msgspec.structs.replace(FOLLOWED, vms=(msgspec.structs.replace(held(), deadline=None),))
    assert "until" not in deed_sentence(endless, UTC)


def test_a_story_of_deeds_is_told_from_the_claim_to_the_end():
    events = [seen(), decided(finding(), held=[held()]), *ACTED, ended()]
    run = fold(KEY, events)
    text = story_text(run, events, UTC)
    assert "claims the schedule" in text
    assert "guard started it; XO runs it since" in text
    kinds = [one["event"] for one in story_document(run, events, after())["events"]]
    assert kinds[:5] == ["seen", "decided", "claiming", "switchingoff", "claimed"]


def test_a_decision_that_guard_acts_on_and_one_it_leaves_to_xo_read_differently():
    acting = msgspec.structs.replace(decided(), acts=True)
    aside = msgspec.structs.replace(decided(), aside="a rolling pool update goes on")
    for event, words in ((acting, "guard will start"), (aside, "it is left to XO: a rolling pool update goes on.")):
        events = [seen(), event, started()]
        assert words in story_text(fold(KEY, events), events, UTC)
