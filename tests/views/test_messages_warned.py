"""What a prediction only warns of, as messages."""

from __future__ import annotations

from guard.decision.verdict import Action
from guard.finding import Accepted, Level, Scope, ScopeKind
from guard.views.messages_warned import warned
from tests.lifecycle.stories import after, decided, finding, seen, story

SHRUNK = finding(
    "SELECTION_SHRUNK",
    level=Level.WARN,
    holds=(),
    scope=Scope(ScopeKind.JOB, "j", "shops"),
    summary="shops takes 3 VMs; its last run took 9.",
    remedy="Look at the tags.",
)
DISK = finding("XO_DISK_LOW", level=Level.WARN, holds=(), scope=Scope(ScopeKind.XO, "/var", ""), summary="5 % free.")


def told(*findings, action=Action.START):
    event = decided(*findings, action=action)
    return warned(story(seen(), event), event)


def test_each_warning_is_told_with_its_figures_what_to_do_and_what_comes_next():
    (one, other) = told(SHRUNK, DISK)
    assert (one.state, one.title, one.codes) == ("warn", "SELECTION_SHRUNK: shops", ("SELECTION_SHRUNK",))
    assert one.text == (
        "shops takes 3 VMs; its last run took 9.\nTo do: Look at the tags.\n"
        "Next: guard starts its runs all the same; guard plan shows it as long as it is so."
    )
    assert other.title == "XO_DISK_LOW: /var"


def test_what_holds_or_is_unknown_is_no_warning_and_what_was_accepted_is_told_to_nobody():
    known = Accepted(until=after(days=1), shown="2026-11-26", reason="known")
    assert told(finding(), finding(level=Level.UNKNOWN), finding(level=Level.OK)) == ()
    assert told(finding("XO_DISK_LOW", level=Level.WARN, holds=(), accepted=known)) == ()


def test_of_a_run_that_does_not_start_whole_only_that_is_told():
    assert told(finding(), DISK, action=Action.DEFER) == ()
