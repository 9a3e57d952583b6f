"""Guard's httpInactivityTimeout file in XO's configuration folder: whole or not at all, and never in a person's way."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import tomllib
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path

import msgspec
import pytest
from guard.errors import XoConfigBusyError, XoConfigError, XoConfigRefusedError
from guard.estate.workaround import OwnFile, Setting
from guard.mechanics.xo_config import OWN_FILE, PAGE_FILE
from guard.remedies import timeout_file
from guard.remedies.timeout_file import TEMPORARY, apply, revert
from guard.remedies.timeout_plan import KEPT_AS
from guard.remedies.timeout_text import check, one_line, read_back, render
from guard.remedies.xo_folder import MOST_BYTES, look
from tests.remedies.folders import NOW, REASON, WANTED, as_nobody, content, mount, own, sets, unmount


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "xo-server"
    made.mkdir()
    (made / "config.toml").write_text("[http]\nport = 80\n")
    return made


@pytest.fixture
def open_folder():
    """One of root's that others can look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory(prefix="guard-test-", dir="/tmp") as made:
        Path(made).chmod(0o755)
        yield Path(made)


def refused(folder, saying, wanted=WANTED, **options):
    """That guard refuses, and leaves everything as it is."""
    before = content(folder)
    with pytest.raises(XoConfigRefusedError, match=saying):
        apply(folder, wanted, NOW, **options)
    assert content(folder) == before


# --- written, read back, taken back


def test_the_file_holds_the_one_key_and_says_why_until_when_and_for_whom(folder):
    done = apply(folder, WANTED, NOW)
    text = own(folder).read_text()
    assert tomllib.loads(text) == {"xapiOptions": {"httpInactivityTimeout": 1_800_000}}
    for told in (
        f"# reason: {REASON}\n",
        "# asked by: guard\n",
        "# until: 2026-04-01T12:00:00Z\n",
        "all runs of this XO",
    ):
        assert told in text
    assert (done.plan.action, done.plan.text) == ("write", text)
    assert done.sentence.endswith("File verified.")
    assert "in force" not in done.sentence
    assert (done.before.own.state, done.before.in_force) == ("absent", Setting())
    assert done.after.own == OwnFile(
        state="intact", value_ms=1_800_000, until=WANTED.until, reason=REASON, written_at=NOW, by="guard"
    )
    assert done.after.in_force == Setting(value_ms=1_800_000, file=OWN_FILE)
    assert sorted(content(folder)) == ["config.toml", OWN_FILE]


def test_the_diff_of_the_plan_shows_what_changes(folder):
    first = apply(folder, WANTED, NOW).plan.diff
    assert first.startswith(f"--- /dev/null\n+++ {own(folder)}\n@@ -0,0 ")
    assert [line for line in first.splitlines()[3:] if not line.startswith("+")] == []
    second = apply(folder, WANTED._replace(value_ms=3_600_000), NOW).plan.diff
    assert "-httpInactivityTimeout = 1800000\n" in second
    assert "+httpInactivityTimeout = 3600000\n" in second
    assert f" # reason: {REASON}\n" in second
    assert revert(folder, NOW).plan.diff.splitlines()[1] == "+++ /dev/null"


def test_the_file_may_be_read_by_all_whatever_the_umask(folder):
    before = os.umask(0o077)
    try:
        apply(folder, WANTED, NOW)
    finally:
        os.umask(before)
    assert own(folder).stat().st_mode & 0o7777 == 0o644


def test_asked_twice_it_is_written_once(folder):
    apply(folder, WANTED, NOW)
    inode = own(folder).stat().st_ino
    done = apply(folder, WANTED._replace(by="somebody else"), NOW + timedelta(days=1))
    assert (done.plan.action, done.plan.diff, own(folder).stat().st_ino) == ("nothing", "", inode)


def test_another_end_or_reason_is_written_anew(folder):
    apply(folder, WANTED, NOW)
    later = WANTED.until + timedelta(days=60)
    assert apply(folder, WANTED._replace(until=later), NOW).after.own.until == later
    assert apply(folder, WANTED._replace(until=later, reason="x"), NOW).after.own.reason == "x"


def test_a_value_that_stands_is_never_lowered_unless_the_policy_allows_less(folder):
    apply(folder, WANTED._replace(value_ms=3_600_000), NOW)
    assert apply(folder, WANTED._replace(reason="y"), NOW).after.own.value_ms == 3_600_000
    assert apply(folder, WANTED, NOW, most_ms=2_000_000).after.own.value_ms == 2_000_000


def test_taken_back_nothing_of_it_is_left(folder):
    before = content(folder)
    apply(folder, WANTED, NOW)
    done = revert(folder, NOW)
    assert content(folder) == before
    assert (done.plan.action, done.before.own.state, done.after.own.state) == ("remove", "intact", "absent")
    assert revert(folder, NOW).plan.action == "nothing"


def test_the_end_is_told_in_utc_whatever_zone_it_was_given_in(folder):
    given = WANTED._replace(until=WANTED.until.astimezone(timezone(timedelta(hours=5, minutes=30))))
    assert apply(folder, given, NOW).after.own.until == WANTED.until
    assert apply(folder, given, NOW).plan.action == "nothing"


def test_an_end_with_parts_of_a_second_stands_as_wanted_too(folder):
    exact = WANTED._replace(until=WANTED.until + timedelta(microseconds=345678))
    apply(folder, exact, NOW)
    assert apply(folder, exact, NOW).plan.action == "nothing"


# --- bounds


@pytest.mark.parametrize("value", [-1, 0, 299_999, 300_000, 7_200_001, 21_600_001])
def test_no_value_at_or_below_xos_own_limit_or_above_the_longest_is_ever_written(folder, value):
    refused(folder, f"= {value}: guard writes more than 300000 ms", WANTED._replace(value_ms=value), most_ms=7_200_000)


def test_not_even_a_policy_allows_more_than_six_hours(folder):
    refused(folder, "at most 21600000 ms", WANTED._replace(value_ms=21_600_001), most_ms=10**9)


@pytest.mark.parametrize(
    "until", [NOW, NOW - timedelta(days=1), NOW + timedelta(days=401), (NOW + timedelta(days=1)).replace(tzinfo=None)]
)
def test_an_end_that_has_come_or_is_too_far_or_has_no_zone_is_refused(folder, until):
    refused(folder, "the end", WANTED._replace(until=until))


@pytest.mark.parametrize(
    "reason", ["", "  ", "a\nb", "a\rb", "a\x1b[2J", "a\u2028b", "a\u202eb", "\ud800", "x" * 501, "a\tb", "a\x00"]
)
def test_a_reason_that_could_leave_its_comment_is_refused_and_made_one_line_by_guard_itself(folder, reason):
    refused(folder, "the reason must be one line", WANTED._replace(reason=reason))
    if reason.strip():
        check(WANTED._replace(reason=one_line(reason)), NOW)


# --- what else is in the folder


@pytest.mark.parametrize(
    ("name", "value"), [("config.toml", 1_800_000), ("config.toml", 7_200_000), (PAGE_FILE, 1_800_000)]
)
def test_where_enough_is_set_elsewhere_nothing_is_written_and_guard_says_where(folder, name, value):
    (folder / name).write_text(sets(value))
    before = content(folder)
    done = apply(folder, WANTED, NOW)
    assert (done.plan.action, content(folder)) == ("nothing", before)
    assert f"{name} sets {value} (" in done.sentence


def test_no_limit_counts_as_larger(folder):
    (folder / "config.toml").write_text(sets(0))
    done = apply(folder, WANTED, NOW)
    assert (done.plan.action, own(folder).exists()) == ("nothing", False)
    assert "no limit" in done.sentence


def test_guards_file_makes_way_for_an_equal_or_larger_value_that_a_person_set(folder):
    apply(folder, WANTED, NOW)
    (folder / "config.toml").write_text(sets(3_600_000))
    done = apply(folder, WANTED, NOW)
    assert (done.plan.action, own(folder).exists(), done.after.in_force.value_ms) == ("remove", False, 3_600_000)


@pytest.mark.parametrize("value", [200_000, 600_000, '"30 min"', -5])
def test_a_smaller_or_useless_value_before_guards_file_is_overridden(folder, value):
    (folder / "config.toml").write_text(sets(value))
    done = apply(folder, WANTED, NOW)
    assert (done.plan.action, done.after.in_force.file, done.after.elsewhere.file) == ("write", OWN_FILE, "config.toml")


@pytest.mark.parametrize("value", [200_000, 600_000, '"30 min"'])
def test_a_file_read_after_guards_that_sets_less_is_named_and_nothing_is_written(folder, value):
    (folder / "config.zzz.toml").write_text(sets(value))
    refused(folder, r"config\.zzz\.toml is read after guard's file and overrides it")


def test_a_later_file_that_sets_enough_is_enough(folder):
    (folder / "config.zzz.toml").write_text(sets(3_600_000))
    assert apply(folder, WANTED, NOW).plan.action == "nothing"


def test_a_later_file_without_the_key_or_with_an_ending_xo_ignores_does_not_matter(folder):
    (folder / "config.zzz.toml").write_text("[xapiOptions]\nmaxUncoalescedVdis = 2\n")
    (folder / "config.zzzz.toml.bak").write_text(sets(1))
    assert apply(folder, WANTED, NOW).after.in_force.file == OWN_FILE


@pytest.mark.parametrize(
    "text", ["[xapiOptions\n", "a = 1\na = 2\n", "\ufeff[http]\n", 'a = [1, "b"]\n', "a = " + "[" * 9000]
)
def test_a_broken_file_is_named_and_nothing_is_written(folder, text):
    (folder / "config.broken.toml").write_text(text)
    refused(folder, r"config\.broken\.toml (is no TOML|has a list)")


def test_what_a_broken_file_holds_is_not_repeated(folder):
    (folder / "config.broken.toml").write_text("password = sesame\n")
    with pytest.raises(XoConfigRefusedError) as told:
        apply(folder, WANTED, NOW)
    assert "line 1" in str(told.value)
    assert "sesame" not in str(told.value)


def test_a_broken_file_whose_name_is_no_utf_8_can_be_told_and_written_down(folder):
    (folder / os.fsdecode(b"config.\xfcber.toml")).write_text("[")
    (folder / os.fsdecode(b"config.\xfcber.yaml")).write_text("xapiOptions:")
    state = look(folder, NOW)
    assert "config.\N{REPLACEMENT CHARACTER}ber.toml" in msgspec.json.encode(state).decode()
    assert (len(state.broken), len(state.unsure)) == (1, 1)


def test_a_folder_a_pipe_and_a_link_that_leads_nowhere_are_broken_too(folder):
    (folder / "config.d").mkdir()
    os.mkfifo(folder / "config.pipe.toml")
    (folder / "config.old").symlink_to("nowhere")
    (folder / "config.round").symlink_to("config.round")
    assert [one.file for one in look(folder, NOW).broken] == [
        "config.d",
        "config.old",
        "config.pipe.toml",
        "config.round",
    ]
    with pytest.raises(XoConfigRefusedError, match="would not start, until that is mended"):
        apply(folder, WANTED, NOW)


def test_with_a_broken_file_beside_it_guards_file_can_still_be_taken_back(folder):
    apply(folder, WANTED, NOW)
    (folder / "config.broken.toml").write_text("[")
    assert revert(folder, NOW).plan.action == "remove"
    assert not own(folder).exists()


# --- files that XO reads and guard cannot


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.yaml", "xapiOptions:\n  httpInactivityTimeout: 7200000\n"),
        ("config.json", "{xapiOptions: {httpInactivityTimeout: 7200000}} // JSON5"),
        ("config.é.toml", sets(7_200_000)),
    ],
)
def test_where_such_a_file_names_the_key_guard_does_not_risk_to_lower_it(folder, name, text):
    (folder / name).write_text(text)
    refused(folder, f"{name}: names httpInactivityTimeout, and guard cannot tell")


@pytest.mark.parametrize("name", ["config.zzz.yaml", "config.zzz.json5"])
def test_one_that_is_read_later_may_override_and_is_named(folder, name):
    (folder / name).write_text("xapiOptions: # and so on\n")
    done = apply(folder, WANTED, NOW)
    assert f"{name}, which guard cannot read, may override it" in done.sentence
    assert done.after.unsure[0].later is True


@pytest.mark.parametrize("text", ["http:\n  port: 80\n", "# httpInactivityTimeout, without its section\n", ""])
def test_one_that_cannot_touch_the_setting_does_not_matter(folder, text):
    (folder / "config.zzz.yaml").write_text(text)
    assert look(folder, NOW).unsure == ()


@pytest.mark.parametrize("text", ['"xapi\\x4fptions": {}\n', "xapiOptions: *anchor\n"])
def test_one_that_might_spell_it_otherwise_is_unsure_and_keeps_nothing_from_being_written(folder, text):
    (folder / "config.yaml").write_text(text)
    assert [one.names_it for one in look(folder, NOW).unsure] == [False]
    assert apply(folder, WANTED, NOW).plan.action == "write"


def test_a_file_far_too_large_and_one_that_guard_may_not_read_are_unsure(open_folder):
    (open_folder / "config.a.toml").write_text("#" * (MOST_BYTES + 1))
    (open_folder / "config.b.toml").write_text("a = 1\n")
    (open_folder / "config.b.toml").chmod(0)
    told = as_nobody(lambda: [(one.file, one.why) for one in look(open_folder, NOW).unsure])
    assert told == "[('config.a.toml', 'too large to be a configuration'), ('config.b.toml', 'Permission denied')]"


def test_a_name_whose_order_is_not_known_does_not_matter_where_the_file_does_not_touch_the_setting(folder):
    (folder / "config.é.toml").write_text("[http]\n")
    assert look(folder, NOW).unsure == ()


def test_a_file_that_vanishes_while_the_folder_is_read_is_as_if_it_had_not_been(folder, monkeypatch):
    really = os.listdir
    calls = []

    def listed(where):
        calls.append(where)
        return [*really(where), "config.gone.toml"][: None if len(calls) == 1 else -1]

    monkeypatch.setattr(os, "listdir", listed)
    assert (look(folder, NOW).broken, len(calls)) == ((), 2)


def test_a_folder_of_a_thousand_such_files_is_not_taken_for_xos(folder):
    for count in range(1001):
        (folder / f"config.{count}.toml").touch()
    with pytest.raises(XoConfigError, match=r"holds 1002 files config\.\*"):
        apply(folder, WANTED, NOW)


def test_an_error_of_the_disk_while_a_file_is_read_makes_it_unsure(folder, monkeypatch):
    def fail(*_):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, "read", fail)
    assert [(one.file, one.why) for one in look(folder, NOW).unsure] == [("config.toml", "Input/output error")]


# --- the file that XO's documentation names


def test_without_consent_the_pages_file_stays_and_guards_wins_where_it_sets_more(folder):
    (folder / PAGE_FILE).write_text(sets(600_000))
    done = apply(folder, WANTED, NOW)
    assert (done.plan.moved, (folder / PAGE_FILE).read_text()) == (None, sets(600_000))
    assert (done.before.page_file, done.after.in_force.file) == (Setting(value_ms=600_000, file=PAGE_FILE), OWN_FILE)


@pytest.mark.parametrize(("theirs", "expected"), [(3_600_000, 3_600_000), (1_800_000, 1_800_000), (600_000, 1_800_000)])
def test_with_consent_the_larger_value_is_guards_and_the_persons_file_is_kept_where_xo_does_not_read_it(
    folder, theirs, expected
):
    text = f"# XOA Support - Work-around\n{sets(theirs)}"
    (folder / PAGE_FILE).write_text(text)
    done = apply(folder, WANTED, NOW, adopt=True)
    assert (done.plan.moved, KEPT_AS in done.sentence) == ((PAGE_FILE, KEPT_AS), True)
    assert done.after.own.value_ms == done.after.in_force.value_ms == expected
    assert (content(folder)[KEPT_AS], (folder / PAGE_FILE).exists()) == (text, False)
    revert(folder, NOW)
    assert (look(folder, NOW).in_force, content(folder)[KEPT_AS]) == (Setting(), text)


def test_a_second_file_that_is_taken_over_never_replaces_the_first(folder):
    for value in (600_000, 700_000):
        (folder / PAGE_FILE).write_text(sets(value))
        done = apply(folder, WANTED, NOW, adopt=True)
    assert f"{KEPT_AS}.2" in done.sentence
    assert (content(folder)[KEPT_AS], content(folder)[f"{KEPT_AS}.2"]) == (sets(600_000), sets(700_000))


@pytest.mark.parametrize(
    "text",
    [
        sets(0),
        sets(7_200_001),
        sets('"30 min"'),
        sets(600_000) + "x = 1\n",
        "[http]\n" + sets(600_000),
        "[xapiOptions]\n",
    ],
)
def test_a_file_that_sets_more_than_guard_may_or_anything_else_is_not_taken_over(folder, text):
    (folder / PAGE_FILE).write_text(text)
    done = apply(folder, WANTED, NOW, adopt=True, most_ms=7_200_000)
    assert (done.plan.moved, (folder / PAGE_FILE).read_text()) == (None, text)


def test_a_link_in_its_place_is_not_taken_over(folder, tmp_path):
    (tmp_path / "elsewhere.toml").write_text(sets(600_000))
    (folder / PAGE_FILE).symlink_to(tmp_path / "elsewhere.toml")
    assert apply(folder, WANTED, NOW, adopt=True).plan.moved is None


def test_when_it_cannot_be_moved_away_guards_file_stands_and_the_error_says_so(folder, monkeypatch):
    (folder / PAGE_FILE).write_text(sets(600_000))
    monkeypatch.setattr(timeout_file, "_MOST_COPIES", 1)
    with pytest.raises(XoConfigError, match=r"is written; config\.httpInactivityTimeout\.toml could not be moved away"):
        apply(folder, WANTED, NOW, adopt=True)
    assert look(folder, NOW).in_force.file == OWN_FILE


# --- a person's hand


@pytest.mark.parametrize(
    "edit",
    [
        lambda text: text.replace("1800000", "3600000"),
        lambda text: text + "x = 1\n",
        lambda text: text + "\n",
        lambda text: text.replace("# reason: 2", "# reason: 3"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "\n".join(line for line in text.splitlines() if "checksum" not in line),
        lambda text: text.replace("[xapiOptions]", "[xapiOptions"),
        lambda _: "",
        lambda _: sets(1_800_000),
    ],
)
def test_a_file_that_a_person_edited_is_neither_changed_nor_removed(folder, edit):
    apply(folder, WANTED, NOW)
    with own(folder).open("w", newline="") as file:
        file.write(edit(render(WANTED, NOW)))
    assert look(folder, NOW).own.state == "edited"
    refused(folder, "a person has edited it since guard wrote it")
    before = own(folder).read_bytes()
    with pytest.raises(XoConfigRefusedError, match="a person has edited it"):
        revert(folder, NOW)
    assert own(folder).read_bytes() == before


def test_of_an_edited_file_what_can_be_read_is_told(folder):
    text = render(WANTED, NOW).replace("1800000", "3600000")
    assert read_back(text) == OwnFile(
        state="edited", value_ms=3_600_000, until=WANTED.until, reason=REASON, written_at=NOW, by="guard"
    )
    assert read_back("# until: soon\nxapiOptions = 5").until is None


@pytest.mark.parametrize("by", ["symlink", "folder", "pipe", "large"])
def test_what_is_no_plain_file_in_its_place_is_left_alone(folder, tmp_path, by):
    target = tmp_path / "target"
    target.write_text(render(WANTED, NOW))
    match by:
        case "symlink":
            own(folder).symlink_to(target)
        case "folder":
            own(folder).mkdir()
        case "pipe":
            os.mkfifo(own(folder))
        case "large":
            own(folder).write_text("#" * (MOST_BYTES + 1))
    assert look(folder, NOW).own.state == "unreadable"
    for work in (lambda: apply(folder, WANTED, NOW), lambda: revert(folder, NOW)):
        with pytest.raises(XoConfigRefusedError, match=rf"{OWN_FILE}: is .*; guard leaves it alone"):
            work()
    assert own(folder).is_symlink() is (by == "symlink")
    assert target.read_text() == render(WANTED, NOW)


def test_a_symlink_in_place_of_the_temporary_file_is_not_followed_and_named(folder, tmp_path):
    target = tmp_path / "shadow"
    target.write_text("root:x\n")
    (folder / TEMPORARY).symlink_to(target)
    refused(folder, "is no plain file, so it is not guard's")
    assert target.read_text() == "root:x\n"


def test_a_hard_link_in_place_of_the_temporary_file_is_not_written_to(folder, tmp_path):
    (tmp_path / "shadow").write_text("root:x\n")
    (folder / TEMPORARY).hardlink_to(tmp_path / "shadow")
    refused(folder, "is no plain file, so it is not guard's")


def test_what_a_killed_guard_left_behind_is_cleared_away(folder):
    (folder / TEMPORARY).write_text("[xapiOpt")
    assert apply(folder, WANTED, NOW).plan.action == "write"
    assert not (folder / TEMPORARY).exists()


def test_a_change_in_the_moment_of_writing_is_noticed(folder, monkeypatch):
    really = os.rename

    def rename(source, target, **options):
        really(source, target, **options)
        own(folder).write_text("somebody else's\n")

    monkeypatch.setattr(os, "rename", rename)
    with pytest.raises(XoConfigBusyError, match="was changed by somebody else in the moment it was written"):
        apply(folder, WANTED, NOW)
    assert own(folder).read_text() == "somebody else's\n"


# --- the file system says no


def test_a_missing_folder_says_that_xo_is_elsewhere(tmp_path):
    with pytest.raises(XoConfigError, match="there is no such folder; is XO on another machine"):
        apply(tmp_path / "nowhere", WANTED, NOW)
    state = look(tmp_path / "nowhere", NOW)
    assert (state.own.state, "no such folder" in state.problem) == ("unreadable", True)


def test_a_file_in_place_of_the_folder_is_no_folder(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(XoConfigError, match="there is no such folder"):
        revert(tmp_path / "file", NOW)


def test_a_user_who_may_not_write_there_is_told_of_the_helper_and_changes_nothing(open_folder):
    apply(open_folder, WANTED, NOW)
    before = content(open_folder)

    def work():
        told = [look(open_folder, NOW).own.state]
        for change in (lambda: apply(open_folder, WANTED._replace(reason="x"), NOW), lambda: revert(open_folder, NOW)):
            try:
                change()
            except XoConfigError as error:
                told.append(str(error))
        return "\n".join(told)

    state, *told = as_nobody(work).splitlines()
    assert state == "intact"
    assert [("may not do that there" in one, "guard-workaround.socket" in one) for one in told] == [(True, True)] * 2
    assert content(open_folder) == before


def test_guards_file_owned_by_root_is_replaced_where_the_folder_is_guards(open_folder):
    apply(open_folder, WANTED, NOW)
    os.chown(open_folder, 65534, 65534)
    assert as_nobody(lambda: apply(open_folder, WANTED._replace(reason="x"), NOW).after.own.reason) == "x"
    assert own(open_folder).stat().st_uid == 65534


def test_guards_file_that_guard_may_not_read_is_left_alone(open_folder):
    apply(open_folder, WANTED, NOW)
    own(open_folder).chmod(0o600)
    os.chown(open_folder, 65534, 65534)

    def work():
        with pytest.raises(XoConfigRefusedError, match=r"cannot be read \(Permission denied\); guard leaves it alone"):
            apply(open_folder, WANTED, NOW)
        return look(open_folder, NOW).own.state

    assert as_nobody(work) == "unreadable"


def test_a_folder_that_may_not_be_listed_is_told(open_folder):
    open_folder.chmod(0o711)
    assert "may not do that there" in as_nobody(lambda: look(open_folder, NOW).problem)


def test_a_read_only_file_system_is_told_and_nothing_is_changed(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "guard-test", str(disk))
    try:
        apply(disk, WANTED, NOW)
        before = content(disk)
        mount("-o", "remount,ro", str(disk))
        for work in (lambda: apply(disk, WANTED._replace(reason="x"), NOW), lambda: revert(disk, NOW)):
            with pytest.raises(XoConfigError, match="its file system is read-only"):
                work()
        assert content(disk) == before
    finally:
        unmount(disk)


@pytest.mark.parametrize("has_one", [False, True])
def test_on_a_full_disk_the_temporary_file_is_removed_and_the_old_one_stays(tmp_path, has_one):
    disk = tmp_path / "disk"
    disk.mkdir()
    mount("-t", "tmpfs", "-o", "size=64k", "guard-test", str(disk))
    try:
        if has_one:
            apply(disk, WANTED, NOW)
        before = content(disk)
        with (disk / "filler").open("wb", buffering=0) as filler, pytest.raises(OSError, match="No space left"):
            while True:
                filler.write(b"x" * 4096)
        with pytest.raises(XoConfigError, match="nothing was changed: the disk is full"):
            apply(disk, WANTED._replace(reason="x"), NOW)
        (disk / "filler").unlink()
        assert content(disk) == before
        assert apply(disk, WANTED._replace(reason="x"), NOW).plan.action == "write"
    finally:
        unmount(disk)


@pytest.mark.parametrize("call", ["write", "fsync", "rename", "fchmod"])
def test_a_failure_at_any_step_leaves_what_was_there(folder, monkeypatch, call):
    apply(folder, WANTED, NOW)
    before = content(folder)

    def fail(*_, **__):
        raise OSError(errno.EIO, os.strerror(errno.EIO))

    monkeypatch.setattr(os, call, fail)
    with pytest.raises(XoConfigError, match="nothing was changed: Input/output error"):
        apply(folder, WANTED._replace(reason="x"), NOW)
    monkeypatch.undo()
    assert content(folder) == before


def test_writes_that_take_a_part_at_a_time_are_gone_on_with(folder, monkeypatch):
    really = os.write
    monkeypatch.setattr(os, "write", lambda file, data: really(file, bytes(data)[:7]))
    apply(folder, WANTED, NOW)
    monkeypatch.undo()
    assert own(folder).read_text() == render(WANTED, NOW)


# --- two guards, and one that is killed


def test_a_second_guard_at_the_same_moment_is_told_to_try_again(folder):
    lock = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for work in (lambda: apply(folder, WANTED, NOW), lambda: revert(folder, NOW)):
            with pytest.raises(XoConfigBusyError, match="another guard works there"):
                work()
    finally:
        os.close(lock)
    assert apply(folder, WANTED, NOW).plan.action == "write"


def test_many_guards_at_once_leave_one_whole_file(folder):
    told, gate = [], threading.Barrier(8)

    def work(count):
        gate.wait()
        for _ in range(20):
            try:
                apply(folder, WANTED._replace(reason=f"guard {count}"), NOW)
                told.append("done")
            except XoConfigBusyError:
                told.append("busy")

    threads = [threading.Thread(target=work, args=(count,)) for count in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert (len(told), "done" in told) == (160, True)
    assert look(folder, NOW).own.state == "intact"
    assert sorted(content(folder)) == ["config.toml", OWN_FILE]


WRITER = """
    import sys
    from datetime import UTC, datetime, timedelta
    from pathlib import Path
    from guard.remedies.timeout_file import apply, revert
    from guard.remedies.timeout_text import Wanted
    now = datetime(2026, 3, 2, 12, tzinfo=UTC)
    print("ready", flush=True)
    count = 0
    while True:
        count += 1
        wanted = Wanted(400_000 + count, now + timedelta(days=1), "r" * (count % 500 + 1), "guard")
        apply(Path(sys.argv[1]), wanted, now)
        if count % 5 == 0:
            revert(Path(sys.argv[1]), now)
"""


def test_killed_at_any_moment_it_leaves_a_whole_file_or_none(folder):
    seen = set()
    for _ in range(6):
        child = subprocess.Popen(
            [sys.executable, "-c", textwrap.dedent(WRITER), str(folder)], stdout=subprocess.PIPE, text=True
        )
        assert child.stdout.readline() == "ready\n"
        try:
            for _ in range(300):
                state = look(folder, NOW)
                assert (state.own.state, state.broken) in (("intact", ()), ("absent", ()))
                seen.add(state.own.state)
        finally:
            child.send_signal(signal.SIGKILL)
            child.communicate()
        assert look(folder, NOW).own.state in ("intact", "absent")
        assert apply(folder, WANTED._replace(reason="after the kill"), NOW).after.own.state == "intact"
        assert set(content(folder)) == {"config.toml", OWN_FILE}
    assert "intact" in seen


def test_a_look_writes_nothing_and_takes_no_lock(folder):
    lock = os.open(folder, os.O_RDONLY)
    fcntl.flock(lock, fcntl.LOCK_EX)
    try:
        assert look(folder, datetime.now(UTC)).problem == ""  # noqa: TID251  any time will do
    finally:
        os.close(lock)
    assert sorted(content(folder)) == ["config.toml"]
