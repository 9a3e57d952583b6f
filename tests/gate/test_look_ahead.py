"""The look ahead in the gate: beside the looks, only where guard may act, and what it has learned outlives it."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from guard.estate.observations import Observations
from guard.gate.watch import OBSERVED
from guard.policy.load import load
from tests.builders import DUE, make_job, make_server
from tests.gate.night import EVENING, Night, after
from tests.virtual_time import run as finished

ENFORCE = load('[xo]\nurl = "http://x"\n[defaults]\ngate = "enforce"\n', file="guard.toml")
SEEN = Observations(since=EVENING, looked_at=EVENING, begun={"sr": EVENING})
LOST = [make_server(), make_server("lost", status="disconnected", error={"code": "ECONNRESET"})]


@pytest.fixture
def night(tmp_path):
    made = Night(tmp_path, policy=ENFORCE)
    made.asked = []
    made.xo.jobs = [make_job(vms={"id": {"__or": ["vm", "away"]}})]
    made.xo.records = {"servers": LOST}

    async def connect(server):
        made.asked.append((server, made.now))

    async def no_update():
        return False

    made.xo.connect_server, made.xo.rolling_updates = connect, no_update
    return made


def look(night, *moments):
    """Looks in one loop, as the round goes on beside them; time moves on between."""

    async def looks():
        for moment in moments:
            night.now = moment
            loop = await night.watch.tick()
            for _ in range(100):
                await asyncio.sleep(0)
            assert not night.watch.is_busy
        await night.watch.end()
        return loop

    return finished(looks())


def test_what_helps_a_run_is_done_beside_the_looks_and_told(night):
    look(night, EVENING, after(-540))
    assert night.asked == [("lost", EVENING)]
    (remedy,) = finished(night.ledger.remedies(EVENING))
    assert [one.key for one in night.told.remedies] == [remedy.key]


def test_a_guard_that_only_watches_helps_nobody(night):
    night.policy = load('[xo]\nurl = "http://x"\n', file="guard.toml")
    look(night, EVENING, after(-540))
    assert night.asked == []


def test_a_guard_that_lets_go_begins_nothing_more(night):
    night.watch.lets_go = True
    look(night, EVENING, after(-540))
    assert night.asked == []


def test_with_clocks_that_differ_guard_only_watches(night):
    night.xo.behind = timedelta(seconds=11)
    look(night, EVENING, after(-540))
    assert night.asked == []


def test_an_xo_that_was_never_tested_is_only_watched(night, monkeypatch):
    monkeypatch.setattr("guard.gate.notes.is_tested", lambda version, accepted: False)
    look(night, EVENING, after(-540))
    assert night.asked == []


def test_a_remedy_that_cannot_be_looked_for_is_told_by_the_status_and_costs_the_gate_nothing(night):
    async def odd(server):
        raise RuntimeError("odd")

    night.xo.connect_server = odd
    loop = look(night, EVENING, after(-540), after(-60))
    assert any("RuntimeError: odd" in one for one in loop.unwatched)
    assert night.only().key.due == DUE


# --- what was learned of coalesces


class Learned:
    """XO's part of it."""

    def __init__(self, xo):
        self.adopted = []
        xo.observed, xo.adopt = None, self.adopted.append


def test_what_was_seen_outlives_the_process(night):
    learned = Learned(night.xo)
    night.tick()
    assert finished(night.ledger.recall(OBSERVED)) is None
    night.xo.observed = SEEN
    night.tick()
    assert msgspec.json.decode(finished(night.ledger.recall(OBSERVED)), type=Observations) == SEEN
    night.restart()
    night.xo.observed = None
    night.tick()
    assert learned.adopted == [SEEN]


def test_one_that_has_looked_already_goes_on_from_its_own(night):
    learned = Learned(night.xo)
    finished(night.ledger.remember(OBSERVED, msgspec.json.encode(SEEN)))
    night.xo.observed = SEEN
    night.tick()
    assert learned.adopted == []


def test_what_another_guard_kept_and_this_one_cannot_read_is_no_reason_to_end(night):
    learned = Learned(night.xo)
    finished(night.ledger.remember(OBSERVED, b'{"since": 1}'))
    night.tick()
    assert learned.adopted == []
