"""The ledger's last resort: the contract of every ledger, and what it keeps when the one below takes no writes."""

from __future__ import annotations

import contextlib
import json

import pytest
from guard.errors import ConflictError, LedgerUnwritableError
from guard.ledger.last_resort import LastResort
from guard.lifecycle.events import Alarmed, End, Ended, Released, ReleasedHow, RunKey, Starting
from tests.builders import DUE
from tests.contract.ledger_suite import LedgerSuite, awaited
from tests.ledger.opening import opened
from tests.lifecycle.stories import KEY, after, claimed, claiming, seen

OTHER = RunKey("other", DUE)


@pytest.fixture
def another(tmp_path):
    with contextlib.ExitStack() as close:
        yield lambda **changes: LastResort(close.enter_context(opened(tmp_path / "ledger.db", **changes)), print)


class TestLastResort(LedgerSuite):
    """The contract of every ledger."""


class Full:
    """A ledger that takes no writes while ``is_full``."""

    def __init__(self, ledger):
        self._ledger, self.is_full = ledger, False

    def __getattr__(self, name):
        if self.is_full and name in ("append", "mark", "remember"):

            async def refused(*_arguments):
                raise LedgerUnwritableError("the disk is full")

            return refused
        return getattr(self._ledger, name)


@pytest.fixture
def below(tmp_path):
    with opened(tmp_path / "ledger.db") as ledger:
        yield Full(ledger)


@pytest.fixture
def journal():
    return []


@pytest.fixture
def resort(below, journal):
    return LastResort(below, journal.append)


def starting():
    return Starting(at=after(1), attempt=1, vms=None, known=())


async def claimed_and_full(resort, below, *more):
    await resort.append(KEY, 0, seen(), claiming(), claimed())
    await resort.append(OTHER, 0, seen(name="other"), *more)
    below.is_full = True


@awaited
async def test_without_a_claim_the_error_is_the_ledgers_own(resort, below, journal):
    await resort.append(OTHER, 0, seen())
    below.is_full = True
    for attempt in (resort.append(OTHER, 1, starting()), resort.mark({"other": DUE}), resort.remember("loop", b"{}")):
        with pytest.raises(LedgerUnwritableError):
            await attempt
    assert (resort.trouble, journal) == ("", [])


@awaited
async def test_what_happens_to_a_claimed_run_is_kept_and_journaled(resort, below, journal):
    await claimed_and_full(resort, below)
    assert await resort.append(KEY, 3, starting()) == 4
    assert resort.trouble == "the disk is full"
    line = json.loads(journal[0].removeprefix("in place of the ledger: "))
    assert (line["schedule"], line["seq"], line["event"]["kind"]) == (KEY.schedule, 4, "starting")
    assert (await resort.load(KEY))[-1] == starting()
    assert (await resort.between(after(-1), after(1)))[KEY][-1] == starting()
    assert len(await below.load(KEY)) == 3


@awaited
async def test_an_order_that_cannot_be_is_a_conflict_as_ever(resort, below):
    await claimed_and_full(resort, below)
    await resort.append(KEY, 3, starting())
    with pytest.raises(ConflictError, match="its event 3 is not the last one"):
        await resort.append(KEY, 3, starting())


@awaited
async def test_of_nothing_else_anything_is_recorded_and_nothing_new_is_claimed(resort, below, journal):
    await claimed_and_full(resort, below)
    for key, seq, event in ((OTHER, 1, starting()), (OTHER, 1, claiming()), (RunKey("new", DUE), 0, seen())):
        with pytest.raises(ConflictError):
            await resort.append(key, seq, event)
    await resort.mark({"new": DUE})
    await resort.remember("loop", b"{}")
    assert (await resort.processed_through(), await resort.recall("loop"), journal) == ({}, None, [])


@awaited
async def test_a_run_that_ended_meanwhile_is_open_no_more(resort, below):
    await claimed_and_full(resort, below)
    over = (Released(at=after(4), how=ReleasedHow.ENABLED), Ended(at=after(9), end=End.RAN))
    await resort.append(KEY, 3, *over)
    assert (await resort.open_runs(), set(await below.open_runs())) == ((OTHER,), {KEY, OTHER})


@awaited
async def test_when_the_ledger_takes_writes_again_it_gets_all_that_was_kept(resort, below):
    await claimed_and_full(resort, below)
    await resort.append(KEY, 3, starting())
    await resort.append(KEY, 4, Alarmed(at=after(5), code="X", text="x"))
    with pytest.raises(LedgerUnwritableError):
        await resort.flush()
    below.is_full = False
    await resort.flush()
    assert (resort.trouble, [type(one).__name__ for one in await below.load(KEY)][3:]) == ("", ["Starting", "Alarmed"])
    assert await resort.append(KEY, 5, Released(at=after(6), how=ReleasedHow.ENABLED)) == 6


@awaited
async def test_what_guard_release_wrote_meanwhile_stands(resort, below, journal):
    await claimed_and_full(resort, below)
    await resort.append(KEY, 3, starting())
    below.is_full = False
    given_back = Released(at=after(2), how=ReleasedHow.ENABLED)
    await below.append(KEY, 3, given_back)
    await resort.flush()
    assert (await resort.load(KEY))[3:] == (given_back,)
    assert "what was kept is dropped" in journal[-1]


@awaited
async def test_a_members_events_are_kept_while_its_sequence_is_held(resort, below):
    member = RunKey("member", DUE, KEY.schedule)
    await resort.append(KEY, 0, seen(), claiming(), claimed())
    await resort.append(member, 0, seen(name="member"))
    below.is_full = True
    assert await resort.append(member, 1, starting()) == 2


@awaited
async def test_once_nothing_is_held_any_more_the_ledgers_error_is_told_again(resort, below):
    await claimed_and_full(resort, below)
    await resort.append(KEY, 3, Released(at=after(4), how=ReleasedHow.ENABLED))
    assert not await resort.begin("the disk is full")
