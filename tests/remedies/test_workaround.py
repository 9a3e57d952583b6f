"""The workaround as the daemon and the command line use it, without the helper."""

from __future__ import annotations

import asyncio
import os
from datetime import timedelta

import msgspec
import pytest
from guard.errors import XoConfigError, XoConfigRefusedError
from guard.estate.workaround import Done, State
from guard.mechanics.xo_config import PAGE_FILE
from guard.policy.remedies_schema import RemediesSection
from guard.remedies.workaround import Workaround
from tests.remedies.folders import NOW, REASON, WANTED, content, own, sets

ASKED = (1_800_000, WANTED.until, REASON)


@pytest.fixture
def folder(tmp_path):
    made = tmp_path / "etc"
    made.mkdir()
    return made


def of(folder, **policy):
    return Workaround(RemediesSection(xo_config=str(folder), **policy), clock=lambda: NOW, by="anna\nbob")


def test_written_looked_at_and_taken_back(folder):
    workaround = of(folder)
    planned = asyncio.run(workaround.plan_apply(*ASKED))
    assert (planned.action, content(folder)) == ("write", {})
    done = asyncio.run(workaround.apply(*ASKED))
    assert done.plan == planned
    assert done.plan.text == own(folder).read_text() == workaround.text(*ASKED)
    assert done.after == asyncio.run(workaround.look())
    assert done.after.own.by == "anna bob"
    assert asyncio.run(workaround.plan_revert()).action == "remove"
    assert own(folder).exists()
    assert asyncio.run(workaround.revert()).after.own.state == "absent"


def test_what_was_done_can_be_kept_in_the_ledger_and_read_again(folder):
    (folder / "config.yaml").write_text("xapiOptions: 1\n")
    (folder / PAGE_FILE).write_text(sets(600_000))
    done = asyncio.run(of(folder, adopt_timeout_file=True).apply(*ASKED))
    assert done.plan.moved is not None
    assert msgspec.json.decode(msgspec.json.encode(done), type=Done) == done
    assert msgspec.json.decode(msgspec.json.encode(done.after), type=State) == done.after


def test_a_reason_that_came_from_names_in_xo_is_made_one_line(folder):
    done = asyncio.run(
        of(folder).apply(1_800_000, WANTED.until, "2 timeouts of \x1b[2Jdb\n[xapiOptions]\n" + "x" * 900)
    )
    assert len(done.after.own.reason) == 500
    assert done.after.own.reason.startswith("2 timeouts of \N{REPLACEMENT CHARACTER}[2Jdb [xapiOptions] xxx")
    assert done.after.in_force.value_ms == 1_800_000


def test_the_policys_longest_timeout_bounds_what_is_written(folder):
    with pytest.raises(XoConfigRefusedError, match="at most 3600000 ms"):
        asyncio.run(of(folder, longest_timeout=timedelta(hours=1)).apply(3_600_001, WANTED.until, REASON))
    assert content(folder) == {}


def test_without_a_folder_nothing_is_looked_at_and_nothing_done():
    workaround = Workaround(RemediesSection(), clock=lambda: NOW)
    assert asyncio.run(workaround.look()) == State(folder=None, looked_at=NOW)
    for work in (
        workaround.plan_apply(*ASKED),
        workaround.apply(*ASKED),
        workaround.plan_revert(),
        workaround.revert(),
    ):
        with pytest.raises(XoConfigRefusedError, match="names no xo_config"):
            asyncio.run(work)
    assert "httpInactivityTimeout = 1800000" in workaround.text(*ASKED)
    with pytest.raises(XoConfigRefusedError):
        workaround.text(1, WANTED.until, REASON)


def test_a_folder_that_is_missing_is_a_state_to_look_at_and_an_error_to_write(tmp_path):
    workaround = of(tmp_path / "nowhere")
    assert "no such folder" in asyncio.run(workaround.look()).problem
    for work in (
        workaround.plan_apply(*ASKED),
        workaround.apply(*ASKED),
        workaround.plan_revert(),
        workaround.revert(),
    ):
        with pytest.raises(XoConfigError, match="no such folder"):
            asyncio.run(work)


def test_the_loop_goes_on_while_the_disk_is_waited_for(folder, monkeypatch):
    async def both():
        loop, really = asyncio.get_running_loop(), os.fsync
        ticked = asyncio.Event()

        def slow(file):
            asyncio.run_coroutine_threadsafe(ticked.wait(), loop).result(5)
            really(file)

        monkeypatch.setattr(os, "fsync", slow)
        loop.call_soon(ticked.set)
        return await of(folder).apply(*ASKED)

    assert asyncio.run(both()).after.own.state == "intact"
