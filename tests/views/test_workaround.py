"""The httpInactivityTimeout workaround in words."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.estate.workaround import OwnFile, Plan, Setting, State, Trouble, Unsure
from guard.mechanics.xo_config import OWN_FILE
from guard.views.workaround import (
    ROOT_CAUSE,
    by_hand_revert_text,
    by_hand_text,
    done_text,
    plan_text,
    setting_text,
    state_text,
    value_text,
)

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
PARIS = ZoneInfo("Europe/Paris")
INTACT = OwnFile(
    state="intact",
    value_ms=1_800_000,
    until=NOW + timedelta(days=30),
    reason="2 timeouts in the last 5 runs of nightly.",
    written_at=NOW,
    by="guard",
)
OURS = Setting(value_ms=1_800_000, file=OWN_FILE)


def state(**fields):
    return State(**{"folder": "/etc/xo-server", "looked_at": NOW} | fields)


def told(**fields):
    """The text in one line."""
    return " ".join(state_text(state(**fields), PARIS).split())


def test_a_file_of_guards_is_told_as_verified_with_its_end_and_what_holds_and_what_nobody_can_know():
    assert state_text(
        state(own=INTACT, in_force=OURS, elsewhere=Setting(value_ms=600_000, file="config.toml")), PARIS
    ) == (
        "/etc/xo-server/config.zz-backup-guard.toml: file verified, httpInactivityTimeout\n"
        "  = 1800000 (30 min), until 01 Apr 2026 14:00 CEST, written 02 Mar 2026 13:00\n"
        "  CET, asked by guard: 2 timeouts in the last 5 runs of nightly.\n"
        "httpInactivityTimeout by the load order of /etc/xo-server:\n"
        "  config.zz-backup-guard.toml sets 1800000 (30 min).\n"
        "Without guard's file: config.toml sets 600000 (10 min).\n"
        "It is for all runs of this XO that start while it stands; runs that go on keep\n"
        "the value they started with.\n"
        "It hides the cause: a host (its dom0) that answers too slowly, overloaded, short\n"
        "of memory, or with trouble attaching the disk. Find that, or the errors come\n"
        "back.\n"
        "XO reads the folder anew by itself, within a second. Guard verifies the file;\n"
        "which value XO has loaded, and what is set in the home of XO's user, no\n"
        "interface shows.\n"
    )


def test_it_is_never_said_that_a_value_is_in_force():
    assert "in force" not in told(own=INTACT, in_force=OURS)


def test_without_a_file_of_guards_the_advice_is_left_out():
    text = told()
    assert "config.zz-backup-guard.toml: none. " in text
    assert "no file sets it, so XO's own 300000 (5 min) holds." in text
    assert "hides the cause" not in text


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        (OwnFile(state="unreadable", why="is a symbolic link"), ": is a symbolic link, so guard leaves it alone."),
        (
            OwnFile(state="edited", value_ms=5, until=NOW),
            "leaves it alone; httpInactivityTimeout = 5 (0.0 s), until 02 Mar 2026 13:00 CET.",
        ),
        (OwnFile(state="edited"), "leaves it alone; no httpInactivityTimeout that guard can read."),
    ],
)
def test_a_file_that_is_not_as_guard_wrote_it_is_told_as_what_it_is(own, expected):
    assert expected in told(own=own)


def test_a_file_whose_time_of_writing_is_not_known_says_so():
    own = OwnFile(state="intact", value_ms=400_000, until=NOW, by="x", reason="y")
    assert "written at a time nobody knows, asked by x: y." in told(own=own, in_force=OURS)


def test_what_overrides_is_broken_or_cannot_be_read_is_named():
    text = told(
        own=INTACT,
        in_force=Setting(value_ms=600_000, file="config.zzz.toml"),
        broken=(Trouble(file="config.b.toml", why="is no TOML (line 3)"),),
        unsure=(
            Unsure(file="config.yaml", why="w", names_it=True, later=False),
            Unsure(file="config.zzz.yaml", why="w", names_it=False, later=True),
            Unsure(file="config.é.toml", why="w", names_it=False, later=None),
        ),
    )
    for expected in (
        "config.zzz.toml is read after guard's file and overrides it.",
        "/etc/xo-server/config.b.toml: is no TOML (line 3); XO reads nothing anew, and would not start, until it is mended.",
        "config.yaml: names httpInactivityTimeout, and is read before guard's file; guard cannot tell its value (w).",
        "config.zzz.yaml: may set httpInactivityTimeout, and is read after guard's file; guard cannot",
        "config.é.toml: may set httpInactivityTimeout; guard cannot tell its value (w).",
    ):
        assert expected in text


def test_a_folder_that_cannot_be_looked_at_and_one_that_is_not_named_are_told():
    assert told(problem="/x: there is no such folder") == "/x: there is no such folder"
    assert "names no [remedies] xo_config" in told(folder=None)


@pytest.mark.parametrize(
    ("setting", "expected"),
    [
        (Setting(), "no file sets it, so XO's own 300000 (5 min) holds"),
        (Setting(file="a", value_ms=0), "a sets 0 (no limit)"),
        (Setting(file="a"), "a takes it back to XO's own 300000 (5 min)"),
        (
            Setting(file="a", usable=False),
            "a sets something that is no whole number of milliseconds, which XO cannot use",
        ),
    ],
)
def test_each_kind_of_setting_has_its_words(setting, expected):
    assert setting_text(setting) == expected


def test_a_value_has_its_unit_beside_it():
    assert (value_text(1_800_000), value_text(0)) == ("1800000 (30 min)", "0 (no limit)")


def test_a_dry_run_shows_the_diff_and_what_is_moved():
    plan = Plan(action="write", sentence="s.", diff="--- /dev/null\n+++ /x\n+a\x1b[0m\n", moved=("one", "two"))
    assert plan_text(plan, "/etc/xo-server") == (
        "Would do: s.\n--- /dev/null\n+++ /x\n+a\N{REPLACEMENT CHARACTER}[0m\nrename /etc/xo-server/one -> two\n"
    )
    assert plan_text(Plan(action="nothing", sentence="s."), "/x") == "Nothing to do: s.\n"


def test_what_was_written_is_told_with_whom_it_is_for_and_what_it_hides():
    written = " ".join(done_text("s.", written=True).split())
    assert written.startswith("s. It is for all runs of this XO")
    assert ROOT_CAUSE in written
    assert done_text("s.", written=False) == "s.\n"


def test_by_hand_the_file_is_printed_whole_with_the_places_for_xo_and_its_proxies():
    text = by_hand_text("# é\n[xapiOptions]\nhttpInactivityTimeout = 1800000\n", NOW, PARIS)
    assert "\n\n# é\n[xapiOptions]\nhttpInactivityTimeout = 1800000\n\n" in text
    told = " ".join(text.split())
    for expected in (
        "make /etc/xo-server/config.zz-backup-guard.toml with this content",
        "as /etc/xo-proxy/config.zz-backup-guard.toml",
        "read the folder anew by themselves",
        "Delete it by 02 Mar 2026 13:00 CET: guard cannot.",
    ):
        assert expected in told


def test_by_hand_it_is_taken_back_by_deleting_the_file():
    told = " ".join(by_hand_revert_text().split())
    assert "On XO's machine delete /etc/xo-server/config.zz-backup-guard.toml" in told
    assert "/etc/xo-proxy" in told
