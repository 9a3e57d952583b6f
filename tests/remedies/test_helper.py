"""The root helper over a real socket, in a thread and as a process of its own, and those who ask it."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
import threading
from contextlib import contextmanager
from pathlib import Path

import msgspec
import pytest
from guard.errors import XoConfigBusyError, XoConfigError, XoConfigHelperError, XoConfigRefusedError
from guard.estate.workaround import State
from guard.policy.remedies_schema import RemediesSection
from guard.remedies import helper, timeout_file
from guard.remedies.helper import MOST_BYTES, Answer, Apply, Revert, serve
from guard.remedies.helper_client import ask
from guard.remedies.timeout_text import render
from guard.remedies.workaround import Workaround
from guard.remedies.xo_folder import look
from tests.remedies.folders import NOW, REASON, WANTED, content, own, sets

PROGRAM = "import sys\nfrom datetime import datetime\nfrom guard.remedies import helper\n"
AT_NOW = PROGRAM + f"sys.exit(helper.run(sys.argv[1:], lambda: datetime.fromisoformat({NOW.isoformat()!r})))"
GOOD = Apply(value_ms=1_800_000, until=WANTED.until, reason=REASON)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "etc"
    made.mkdir()
    (made / "config.toml").write_text("[http]\n")
    return made


@contextmanager
def listening(path, handle):
    """A socket as systemd keeps it with Accept=yes: ``handle`` gets each connection, one after another."""
    server = socket.socket(socket.AF_UNIX)
    server.bind(str(path))
    server.listen(8)

    def accept():
        while True:
            try:
                connection, _ = server.accept()
            except OSError:
                return
            with connection:
                handle(connection)

    thread = threading.Thread(target=accept)
    thread.start()
    try:
        yield str(path)
    finally:
        server.shutdown(socket.SHUT_RDWR)
        server.close()
        thread.join()


@pytest.fixture
def asked(tmp_path, folder):
    with listening(tmp_path / "guard.sock", lambda connection: serve(connection, folder, lambda: NOW)) as path:
        yield path


def raw(folder, request, *, end=True):
    """The helper's answer to these very bytes."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(request)
        if end:
            ours.shutdown(socket.SHUT_WR)
        serve(theirs, folder, lambda: NOW)
        theirs.close()
        return msgspec.json.decode(ours.makefile("rb").readline(), type=Answer)


# --- what it does


def test_it_writes_the_file_and_takes_it_back_as_asked_over_the_socket(asked, folder):
    done = asyncio.run(ask(asked, GOOD))
    by = f"user {os.getuid()}, through guard-workaround-helper"
    assert own(folder).read_text() == render(WANTED._replace(by=by), NOW)
    assert (done.ok, done.action, done.path) == (True, "write", str(own(folder)))
    assert asyncio.run(ask(asked, GOOD)).action == "nothing"
    assert asyncio.run(ask(asked, Revert())).action == "remove"
    assert sorted(content(folder)) == ["config.toml"]


def test_as_a_process_of_its_own_it_answers_on_the_connection_it_is_given(tmp_path, folder):
    codes = []

    def handle(connection):
        child = [sys.executable, "-c", AT_NOW, str(folder)]
        codes.append(subprocess.run(child, stdin=connection, timeout=30, check=False).returncode)

    with listening(tmp_path / "guard.sock", handle) as path:
        assert asyncio.run(ask(path, GOOD)).action == "write"
        with pytest.raises(XoConfigRefusedError, match="guard writes more than 300000 ms"):
            asyncio.run(ask(path, Apply(value_ms=1, until=WANTED.until, reason="x")))
    assert codes == [0, 2]
    assert look(folder, NOW).own.state == "intact"


def test_root_without_any_power_of_roots_can_do_it(tmp_path, folder):
    setpriv = shutil.which("setpriv")
    if setpriv is None or os.geteuid() != 0:
        pytest.skip("needs root and setpriv")
    bare = [setpriv, "--bounding-set=-all", "--inh-caps=-all", "--no-new-privs"]
    caps = subprocess.run([*bare, "grep", "CapEff", "/proc/self/status"], capture_output=True, text=True, check=True)
    assert int(caps.stdout.split()[1], 16) == 0

    def handle(connection):
        subprocess.run([*bare, sys.executable, "-c", AT_NOW, str(folder)], stdin=connection, timeout=30, check=True)

    with listening(tmp_path / "guard.sock", handle) as path:
        assert asyncio.run(ask(path, GOOD)).action == "write"
        assert asyncio.run(ask(path, Revert())).action == "remove"


def test_the_console_script_is_this_program(folder):
    program = Path(sys.executable).with_name("guard-workaround-helper")
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(b'{"do":"revert"}\n')
        assert subprocess.run([str(program), str(folder)], stdin=theirs, timeout=30, check=False).returncode == 0
        answer = msgspec.json.decode(ours.makefile("rb").readline(), type=Answer)
    assert (answer.ok, answer.action) == (True, "nothing")


@pytest.mark.parametrize("arguments", [[], ["etc"], ["/etc/xo-server", "/root"], ["--help"]])
def test_without_its_one_argument_it_does_nothing(arguments):
    done = subprocess.run([sys.executable, "-c", AT_NOW, *arguments], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr.count("\n"), "usage: guard-workaround-helper FOLDER" in done.stderr) == (
        1,
        1,
        True,
    )


def test_without_a_connection_it_does_nothing(folder):
    done = subprocess.run(
        [sys.executable, "-c", AT_NOW, str(folder)],
        input='{"do":"revert"}\n',
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, "standard input is no connection" in done.stderr) == (1, True)


def test_when_nobody_waits_for_the_answer_it_ends_with_one_sentence(folder):
    ours, theirs = socket.socketpair()
    with theirs:
        ours.close()
        done = subprocess.run(
            [sys.executable, "-c", AT_NOW, str(folder)], stdin=theirs, capture_output=True, text=True, check=False
        )
    assert (done.returncode, done.stderr.count("\n")) == (1, 1)
    assert "the answer could not be given" in done.stderr


def test_it_loads_nothing_that_speaks_to_a_network_starts_programs_or_keeps_a_ledger():
    told = subprocess.run(
        [sys.executable, "-c", "import sys, guard.cli.workaround_helper; print(*sorted(sys.modules))"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()
    heavy = (
        "asyncio",
        "httpx",
        "ssl",
        "sqlite3",
        "subprocess",
        "websockets",
        "tenacity",
        "XenAPI",
        "rich",
        "starlette",
        "ctypes",
    )
    assert [one for one in told if one in heavy] == []
    assert {one for one in told if one.startswith("guard.")} == {
        "guard.cli",
        "guard.cli.clock",
        "guard.cli.workaround_helper",
        "guard.errors",
        "guard.estate",
        "guard.estate.workaround",
        "guard.mechanics",
        "guard.mechanics.xo_config",
        "guard.remedies",
        "guard.remedies.helper",
        "guard.remedies.timeout_file",
        "guard.remedies.timeout_plan",
        "guard.remedies.timeout_text",
        "guard.remedies.xo_folder",
        "guard.units",
        "guard.views",
        "guard.views.text",
        "guard.views.workaround",
    }


# --- what it refuses


def request(**changed):
    fields = {"do": "apply", "value_ms": 1_800_000, "until": "2026-04-01T12:00:00Z", "reason": "slow host"} | changed
    return json.dumps({key: value for key, value in fields.items() if value is not None}).encode() + b"\n"


def test_the_request_as_it_is_described_is_taken(folder):
    assert raw(folder, request()).action == "write"


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"\n",
        b"{\n",
        b"null\n",
        b"[]\n",
        b'{"do":"revert"}',  # without its end
        b'{"do":"revert"}\n{"do":"revert"}\n',
        b'{"do":"revert","reason":"x"}\n',
        b'{"do":"look"}\n',
        b'{"do":"revert","do":"remove"}\n',
        b"\xff\xfe\n",
        b"[" * 4000 + b"\n",
        b'{"do":"revert"' + b" " * MOST_BYTES + b"}\n",
        b" " * 100_000,
        request(do=None),
        request(do="adopt"),
        request(value_ms=None),
        request(until=None),
        request(reason=None),
        request(folder="/root"),
        request(path="/etc/shadow"),
        request(value_ms="1800000"),
        request(value_ms=1_800_000.5),
        request(value_ms=True),
        request(until="tomorrow"),
        request(until=1_900_000_000),
        request(reason=5),
        request(reason=["a"]),
    ],
)
def test_what_is_no_request_is_not_understood_and_nothing_is_written(folder, sent):
    before = content(folder)
    answer = raw(folder, sent)
    assert (answer.ok, answer.error, content(folder)) == (False, "request", before)


@pytest.mark.parametrize(
    "sent",
    [
        request(value_ms=300_000),
        request(value_ms=0),
        request(value_ms=-1),
        request(value_ms=10**30),
        request(value_ms=21_600_001),
        request(until="2026-03-02T12:00:00Z"),
        request(until="2027-04-07T12:00:00Z"),
        request(until="2026-04-01T12:00:00"),
        request(reason=""),
        request(reason="x" * 501),
        request(reason="a\n[xapiOptions]\nhttpInactivityTimeout = 1"),
        request(reason="a\u2028b"),
        request(reason="a\x1b[31m"),
        request(reason="a\x00"),
    ],
)
def test_what_is_out_of_bounds_is_refused_on_its_own_side_too(folder, sent):
    before = content(folder)
    answer = raw(folder, sent)
    assert (answer.ok, answer.error, content(folder)) == (False, "refused", before)


def test_the_longest_reason_of_the_widest_letters_fits_into_a_request(folder):
    reason = "\N{PILE OF POO}" * 250 + '"' * 250
    line = msgspec.json.encode(Apply(value_ms=1_800_000, until=WANTED.until, reason=reason)) + b"\n"
    assert len(line) <= MOST_BYTES
    assert raw(folder, line).ok
    assert look(folder, NOW).own.reason == reason


def test_one_who_sends_nothing_is_not_waited_for_long(folder, monkeypatch):
    monkeypatch.setattr(helper, "TIME_LIMIT_S", 0.05)
    assert raw(folder, b'{"do":', end=False).error == "request"


# --- who asks


def test_what_the_helper_refuses_or_cannot_do_is_raised_again_as_what_it_was(asked, folder, monkeypatch):
    (folder / "config.broken.toml").write_text("[")
    with pytest.raises(XoConfigRefusedError, match=r"config\.broken\.toml is no TOML"):
        asyncio.run(ask(asked, GOOD))
    (folder / "config.broken.toml").unlink()

    def busy(*_, **__):
        raise XoConfigBusyError("another guard works there")

    monkeypatch.setattr(timeout_file, "apply", busy)
    with pytest.raises(XoConfigBusyError):
        asyncio.run(ask(asked, GOOD))
    monkeypatch.undo()
    shutil.rmtree(folder)
    with pytest.raises(XoConfigError, match="no such folder") as told:
        asyncio.run(ask(asked, GOOD))
    assert type(told.value) is XoConfigError


def test_a_missing_socket_one_that_is_not_served_and_one_of_another_user_are_told_apart(tmp_path):
    with pytest.raises(XoConfigHelperError, match="no such socket; start guard-workaround.socket".replace(".", r"\.")):
        asyncio.run(ask(str(tmp_path / "none.sock"), GOOD))
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(tmp_path / "dead.sock"))
    with pytest.raises(XoConfigHelperError, match="nobody listens there"):
        asyncio.run(ask(str(tmp_path / "dead.sock"), GOOD))
    with pytest.raises(XoConfigHelperError, match="path too long"):
        asyncio.run(ask(str(tmp_path / ("x" * 200)), GOOD))


@pytest.mark.parametrize(
    ("told", "saying"),
    [
        (b"", "no answer, it must have failed"),
        (b"hello\n", "an answer guard cannot read"),
        (b"{}\n", "an answer guard cannot read"),
        (b"x" * 200_000, "is not guard's helper"),
        (
            b'{"ok":false,"path":"/x","sentence":"the request is not understood","error":"request"}\n',
            "is not understood",
        ),
    ],
)
def test_whatever_answers_there_is_one_clear_error(tmp_path, told, saying):
    def handle(connection):
        connection.recv(100)
        connection.sendall(told)

    with listening(tmp_path / "guard.sock", handle) as path, pytest.raises(XoConfigHelperError, match=saying):
        asyncio.run(ask(path, GOOD))


def test_one_that_never_answers_is_waited_for_no_longer_than_the_limit(tmp_path):
    with (
        listening(tmp_path / "guard.sock", lambda connection: connection.recv(10_000) and connection.recv(1)) as path,
        pytest.raises(
            XoConfigHelperError, match=r"no answer within 0\.05 s; what stands is told by guard workaround show"
        ),
    ):
        asyncio.run(ask(path, GOOD, limit_s=0.05))


def test_the_policy_chooses_the_helper_and_the_folder_is_looked_at_before_and_after(asked, folder):
    policy = RemediesSection(xo_config=str(folder), timeout_helper=asked)
    workaround = Workaround(policy, clock=lambda: NOW)
    done = asyncio.run(workaround.apply(1_800_000, WANTED.until, REASON))
    assert (done.plan.action, done.before.own.state, done.after.own.state) == ("write", "absent", "intact")
    assert "guard-workaround-helper" in done.after.own.by
    assert done.plan.text == own(folder).read_text()
    gone = asyncio.run(workaround.revert())
    assert (gone.plan.action, gone.before.own.state, gone.after.own.state) == ("remove", "intact", "absent")


def test_through_the_helper_the_policys_longest_timeout_holds_too_and_no_persons_file_is_taken_over(asked, folder):
    (folder / "config.httpInactivityTimeout.toml").write_text(sets(600_000))
    policy = RemediesSection(xo_config=str(folder), timeout_helper=asked, adopt_timeout_file=True)
    workaround = Workaround(policy, clock=lambda: NOW)
    with pytest.raises(XoConfigRefusedError, match="at most 7200000 ms"):
        asyncio.run(workaround.apply(7_200_001, WANTED.until, REASON))
    assert asyncio.run(workaround.plan_apply(1_800_000, WANTED.until, REASON)).moved is None
    asyncio.run(workaround.apply(1_800_000, WANTED.until, REASON))
    assert (folder / "config.httpInactivityTimeout.toml").exists()


def test_where_guard_may_not_look_the_helpers_word_counts(asked, folder, monkeypatch):
    def refused(place, _now=None):
        raise XoConfigError(f"{place}: cannot be read (Permission denied)")

    def blind(place, now):
        return State(folder=str(place), looked_at=now, problem=f"{place}: cannot be read (Permission denied)")

    monkeypatch.setattr("guard.remedies.workaround.look", blind)
    monkeypatch.setattr("guard.remedies.workaround._looked", refused)
    hidden = RemediesSection(xo_config=str(folder), timeout_helper=asked)
    done = asyncio.run(Workaround(hidden, clock=lambda: NOW).apply(1_800_000, WANTED.until, REASON))
    assert (done.plan.action, done.plan.text) == ("write", None)
    assert "Permission denied" in done.after.problem
    assert own(folder).exists()


def test_a_helper_that_works_on_another_folder_is_an_error_that_names_both(asked, folder):
    elsewhere = folder.parent / "elsewhere"
    section = RemediesSection(xo_config=str(elsewhere), timeout_helper=asked)
    with pytest.raises(XoConfigHelperError, match="Let both name the same folder") as told:
        asyncio.run(Workaround(section, clock=lambda: NOW).apply(1_800_000, WANTED.until, REASON))
    assert str(folder) in str(told.value)
    assert str(elsewhere) in str(told.value)
