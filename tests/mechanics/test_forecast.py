"""Bytes of a next transfer: full or delta, from the past or from the disks (failure-modes.md 3.6, 9.3)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.mechanics.chain import MOST_NODES
from guard.mechanics.forecast import UNKNOWN, Bytes, forecast, most_bytes, next_is_full
from guard.mechanics.history import Transfer
from msgspec import UNSET
from tests.builders import GIB, LAST_NIGHT, make_base_copy, make_job, make_snapshot, make_vdi


def sent(*sizes, full=False, schedule="schedule"):
    return tuple(
        Transfer(schedule=schedule, start=at, size=size, seconds=1.0, full=full) for at, size in enumerate(sizes)
    )


# Full or delta


def chain(length, **marks):
    return make_snapshot("s", marks={"xo:backup:deltaChainLength": str(length)} | marks)


@pytest.mark.parametrize(
    ("mode", "disks", "interval", "full"),
    [
        ("delta", [[make_snapshot("s")]], 0, False),
        ("full", [[make_snapshot("s")]], 0, True),
        ("delta", [[]], 0, True),
        ("delta", [[make_snapshot("s")], []], 0, True),
        ("delta", [[make_snapshot("s", job="other")]], 0, True),
        ("delta", [[make_snapshot("s", vm="other")]], 0, True),
        ("delta", [[make_snapshot("s", job=None)]], 0, True),
        ("delta", [[make_snapshot("s", marks={"xo:copy_of": "x"})]], 0, True),
        ("delta", [[chain(5)]], 7, False),
        ("delta", [[chain(6)]], 7, True),
        ("delta", [[chain(50)]], 0, False),
        ("delta", [[chain(1)], [chain(6)]], 7, True),
        ("delta", [], 0, False),
    ],
)
def test_the_next_transfer_is_full_without_a_base_on_each_disk_or_when_the_interval_asks(mode, disks, interval, full):
    assert next_is_full(make_job(mode=mode), "vm", disks, interval) is full


def test_only_the_newest_base_tells_how_long_the_chain_is():
    old = make_snapshot("old", taken=LAST_NIGHT - timedelta(days=9), marks={"xo:backup:deltaChainLength": "9"})
    assert not next_is_full(make_job(), "vm", [[old, chain(1)]], 7)


# From the past


def test_a_full_is_as_large_as_the_newest_full():
    found = forecast(sent(30, 10, 20, full=True), full=True, schedule="schedule", most=99)
    assert found == Bytes(expected=20, high=30, most=99, full=True, samples=3, source="backup logs")


def test_a_full_that_grew_is_never_told_smaller_at_most_than_expected():
    found = forecast(sent(*[10] * 9, 50, full=True), full=True, schedule="schedule", most=99)
    assert (found.expected, found.high) == (50, 50)


def test_a_delta_is_as_large_as_deltas_were():
    found = forecast(sent(*range(1, 11)), full=False, schedule="schedule", most=99)
    assert found == Bytes(expected=5, high=9, most=99, full=False, samples=10, source="backup logs")


def test_deltas_tell_nothing_of_a_full_nor_fulls_of_a_delta():
    assert forecast(sent(5, full=True), full=False, schedule="schedule", most=99).expected is None
    assert forecast(sent(5), full=True, schedule="schedule", most=99).expected == 99


def test_transfers_of_the_schedule_come_before_those_of_its_job():
    both = (*sent(5), *sent(50, schedule="other"))
    assert forecast(both, full=False, schedule="schedule", most=None).expected == 5
    assert forecast(both, full=False, schedule="new", most=None).samples == 2


# From the disks


def test_a_full_never_sent_is_as_large_as_its_disks():
    found = forecast((), full=True, schedule="schedule", most=7)
    assert found == Bytes(expected=7, high=7, most=7, full=True, samples=0, source="physical size of the disks")


def test_a_delta_never_sent_is_bounded_by_its_disks_and_not_known():
    found = forecast((), full=False, schedule="schedule", most=7)
    assert found == Bytes(expected=None, high=None, most=7, full=False, samples=0, source="no delta in the backup logs")


def test_disks_without_a_byte_send_none():
    found = forecast((), full=False, schedule="schedule", most=0)
    assert (found.expected, found.high, found.full) == (0, 0, False)


def test_a_full_of_disks_without_a_size_is_not_known():
    found = forecast((), full=True, schedule="schedule", most=None)
    assert found == Bytes(expected=None, high=None, most=None, full=True, samples=0, source="a disk without a size")


def test_what_was_not_read_is_unknown_in_every_figure():
    assert (UNKNOWN.expected, UNKNOWN.high, UNKNOWN.most, UNKNOWN.full, UNKNOWN.samples) == (None, None, None, None, 0)


def allocated(*disks, others=()):
    return most_bytes(disks, {one.id: one for one in (*[disk for disk in disks if disk is not None], *others)})


@pytest.mark.parametrize(
    ("disks", "others", "expected"),
    [
        ([make_vdi(usage=2, size=10)], [], 2),
        ([make_vdi(usage=2, size=10), make_vdi("b", usage=3, size=10)], [], 5),
        ([make_vdi(usage=12, size=10)], [], 10),
        ([make_vdi(usage=UNSET, size=10)], [], 10),
        ([make_vdi(usage=2, size=10, parent="p")], [make_base_copy("p", usage=5)], 7),
        ([make_vdi(usage=2, size=10, parent="p")], [make_base_copy("p", usage=3, parent="q"), make_base_copy("q", usage=4)], 9),
        ([make_vdi(usage=2, size=10, parent="p")], [make_base_copy("p", usage=50)], 10),
        ([make_vdi(usage=2, size=10, parent="p")], [make_base_copy("p", usage=UNSET)], 10),
        ([make_vdi(usage=2, size=10, parent="gone")], [], 2),
        ([make_vdi(usage=2, size=10, parent="p")], [make_base_copy("p", usage=3, parent="disk")], 5),
        ([make_vdi(usage=2, size=UNSET)], [], None),
        ([make_vdi(usage=2, size=10), None], [], None),
        ([], [], 0),
    ],
    ids=["one", "two", "at most its size", "no usage", "base", "bases", "capped", "base without usage", "lost parent", "cycle",
         "no size", "not shown", "none"],
)  # fmt: skip
def test_a_full_sends_at_most_what_is_allocated_along_each_chain(disks, others, expected):
    assert allocated(*disks, others=others) == expected


def test_an_empty_disk_of_a_terabyte_sends_nothing():
    assert allocated(make_vdi(usage=0, size=1024 * GIB)) == 0


def test_a_chain_without_end_is_counted_as_far_as_any_chain_can_go():
    bases = [make_base_copy(f"b{one}", parent=f"b{one + 1}", usage=1) for one in range(1000)]
    assert allocated(make_vdi(usage=1, size=GIB, parent="b0"), others=bases) == MOST_NODES
