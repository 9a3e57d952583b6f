"""What plan and story say of a finding that a person accepted."""

from __future__ import annotations

from datetime import UTC

from guard.finding import Accepted
from guard.views.findings import accepted_lines
from guard.views.plan import finding_lines, plain
from guard.views.story import story_text
from tests.lifecycle.stories import after, decided, finding, seen, story

WORD = Accepted(until=after(days=3), shown="2026-11-28", reason="a larger disk is ordered")


def test_an_accepted_finding_says_until_when_and_why_before_its_remedy():
    assert finding_lines(finding(accepted=WORD), plain) == [
        "    - block CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "      accepted until 2026-11-28: a larger disk is ordered",
        "      > Wait for the coalesce.",
    ]


def test_a_long_reason_is_folded():
    long = Accepted(until=after(days=3), shown="2026-11-28", reason="word " * 30)
    first, *rest = accepted_lines(finding(accepted=long), "      ")
    assert first.startswith("      accepted until 2026-11-28: word")
    assert all(line.startswith("        word") and len(line) <= 80 for line in rest)


def test_a_finding_that_nobody_accepted_says_nothing_of_it():
    assert accepted_lines(finding(), "      ") == []
    events = (seen(), decided(finding()))
    assert "accepted" not in story_text(story(*events), events, UTC)


def test_the_story_says_it_too():
    events = (seen(), decided(finding(accepted=WORD)))
    told = story_text(story(*events), events, UTC).splitlines()
    assert "        accepted until 2026-11-28: a larger disk is ordered" in told
