"""What the state folder itself tells guard status."""

from __future__ import annotations

import pytest
from guard.views.status_folder import nagios, running_lines

FINE = (0, "GUARD OK - 0 runs going on|age=3s")


@pytest.mark.parametrize("runs", [True, None])
def test_a_daemon_that_runs_or_that_cannot_be_seen_changes_nothing(runs):
    assert (running_lines(runs), nagios(*FINE, runs, ())) == ([], FINE)


def test_an_unknown_state_is_not_said_to_be_unknown_twice():
    assert nagios(3, "GUARD UNKNOWN - the last look is 9 min old|age=540s", False, ()) == (
        3,
        "GUARD UNKNOWN - no daemon runs on this folder; the last look is 9 min old|age=540s",
    )


def test_what_is_worse_than_a_folder_that_others_may_read_stays_as_it_is():
    worse = 2, "GUARD CRITICAL - 1 alarm: x|age=3s"
    assert nagios(*worse, True, ("others may look",)) == worse


def test_a_folder_with_odd_letters_in_its_name_leaves_one_line_and_its_figures():
    code, line = nagios(*FINE, True, ("others may look into /a|b\n",))
    assert (code, line.count("|"), "\n" in line) == (1, 1, False)


def test_without_a_daemon_the_first_line_says_that_what_follows_is_of_the_past():
    assert " ".join(" ".join(running_lines(False)).split()) == (
        "No daemon runs on this folder (systemctl start guard). What follows was so when the last one looked."
    )


def test_without_a_daemon_monitoring_gets_what_stood_when_it_last_looked():
    assert nagios(2, "GUARD CRITICAL - 1 alarm: x|age=3s", False, ()) == (
        3,
        "GUARD UNKNOWN - no daemon runs on this folder; at the last look: CRITICAL - 1 alarm: x|age=3s",
    )
