"""A page that says the same again night after night is a line of the digest, also across a restart."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from guard.daemon.paged import MEANWHILE, PAGED, Meanwhile, Paged
from guard.errors import LedgerError
from tests.builders import DUE

DAY = timedelta(days=1)
MARK = ("SR_NO_SPACE", "vm")


class Kept:
    """A ledger's documents. ``broken``: it takes and gives nothing."""

    def __init__(self):
        self.kept, self.broken, self.writes = {}, False, 0

    async def remember(self, name, value):
        self._check()
        self.writes += 1
        self.kept[name] = value

    async def recall(self, name):
        self._check()
        return self.kept.get(name)

    def _check(self):
        if self.broken:
            raise LedgerError("the disk is full")


def since(paged, night, *, mark=MARK, state="refused", schedule="s", late=timedelta()):
    due = DUE + night * DAY
    return asyncio.run(paged.since(schedule, state, mark, due, due + late))


def over(paged, night, schedule="s"):
    asyncio.run(paged.over(schedule, DUE + night * DAY))


def test_the_first_night_pages_and_the_next_ones_say_since_when():
    paged = Paged()
    assert [since(paged, night) for night in range(4)] == [None, DUE, DUE, DUE]


def test_after_a_week_it_is_paged_again():
    paged = Paged()
    found = [since(paged, night) for night in range(9)]
    assert found == [None, *[DUE] * 6, None, DUE + 7 * DAY]


def test_other_codes_other_vms_another_state_or_another_schedule_are_no_repetition():
    paged = Paged()
    since(paged, 0)
    assert since(paged, 1, mark=("SR_NO_SPACE", "other")) is None
    assert since(paged, 2) is None  # it changed twice
    assert since(paged, 2, state="expired") is None
    assert since(paged, 2, schedule="t") is None


def test_a_due_time_that_ends_without_it_makes_an_end_of_it():
    paged = Paged()
    since(paged, 0)
    over(paged, 0)
    assert since(paged, 1) == DUE
    over(paged, 1)
    over(paged, 2, schedule="t")
    over(paged, 2)
    assert since(paged, 3) is None


def test_the_same_page_told_again_after_a_crash_is_a_page_still():
    paged = Paged()
    assert [since(paged, 0), since(paged, 0)] == [None, None]
    assert since(paged, -1) is None  # of an earlier one that was told late


def test_a_restart_wakes_nobody_again():
    ledger = Kept()
    paged = Paged(ledger)
    since(paged, 0)
    assert PAGED not in ledger.kept  # only once the page is with the queue
    asyncio.run(paged.keep())
    assert since(Paged(ledger), 1) == DUE
    asyncio.run(paged.keep())
    assert ledger.writes == 1  # nothing new


def test_a_ledger_that_fails_costs_the_memory_and_no_page():
    ledger = Kept()
    ledger.broken = True
    paged = Paged(ledger)
    assert [since(paged, 0), since(paged, 1)] == [None, None]
    ledger.broken = False
    assert [since(paged, 2), since(paged, 3)] == [None, DUE + 2 * DAY]
    ledger.broken = True
    asyncio.run(paged.keep())
    ledger.broken = False
    asyncio.run(paged.keep())
    assert since(Paged(ledger), 4) == DUE + 2 * DAY


def test_what_a_newer_guard_wrote_is_no_error():
    ledger = Kept()
    ledger.kept[PAGED] = b'{"pages": 1}'
    assert since(Paged(ledger), 0) is None


def test_without_a_memory_nothing_is_kept():
    paged = Paged()
    since(paged, 0)
    asyncio.run(paged.keep())
    assert since(Paged(), 1) is None


# --- how many pages since the last digest


def counts(meanwhile):
    return asyncio.run(meanwhile.counts())


def test_when_a_page_was_sent_is_known_by_its_schedule_and_state():
    paged = Paged(Kept())
    assert asyncio.run(paged.when("s", "refused")) is None
    since(paged, 0, late=timedelta(hours=1))
    assert asyncio.run(paged.when("s", "refused")) == DUE + timedelta(hours=1)


def test_pages_are_counted_in_the_order_of_the_first_ones_and_across_a_restart():
    kept = Kept()
    meanwhile = Meanwhile(kept)
    for code, often in (("XO_UNREADABLE", 1), ("", 2), ("XO_UNREADABLE", 3)):
        meanwhile.paged(code, often)
    asyncio.run(meanwhile.keep())
    again = Meanwhile(kept)
    again.paged("", 1)
    assert list(counts(again).items()) == [("XO_UNREADABLE", 4), ("", 3)]
    asyncio.run(again.keep())
    assert counts(Meanwhile(kept)) == {"XO_UNREADABLE": 4, "": 3}


def test_a_digest_begins_the_count_anew_and_nothing_is_written_for_nothing():
    kept = Kept()
    meanwhile = Meanwhile(kept)
    asyncio.run(meanwhile.keep())
    asyncio.run(meanwhile.begin_anew())
    assert kept.writes == 0
    meanwhile.paged("XO_UNREADABLE", 1)
    asyncio.run(meanwhile.begin_anew())
    assert (counts(meanwhile), counts(Meanwhile(kept))) == ({}, {})


def test_while_the_ledger_fails_pages_are_counted_all_the_same():
    kept = Kept()
    meanwhile = Meanwhile(kept)
    kept.broken = True
    meanwhile.paged("LEDGER_UNWRITABLE", 1)
    asyncio.run(meanwhile.keep())
    assert counts(meanwhile) == {"LEDGER_UNWRITABLE": 1}
    kept.broken = False
    asyncio.run(meanwhile.keep())
    assert counts(Meanwhile(kept)) == {"LEDGER_UNWRITABLE": 1}


def test_without_a_memory_this_process_counts():
    meanwhile = Meanwhile()
    meanwhile.paged("XO_UNREADABLE", 1)
    asyncio.run(meanwhile.keep())
    meanwhile.paged("XO_UNREADABLE", 1)
    assert counts(meanwhile) == {"XO_UNREADABLE": 2}


def test_a_count_that_a_newer_guard_wrote_begins_anew():
    kept = Kept()
    kept.kept[MEANWHILE] = b'["odd"]'
    assert counts(Meanwhile(kept)) == {}
