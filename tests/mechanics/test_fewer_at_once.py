"""How few VMs at once make their snapshots fit, with figures worked out by hand (failure-modes.md 8.2; xapi-storage.md 3)."""

from __future__ import annotations

import pytest
from guard.mechanics.fewer_at_once import (
    QUIET_S,
    Pace,
    PastRun,
    lasts_s,
    most_slots,
    owning_at_once,
    past_runs,
    room_for,
)
from guard.mechanics.history import History, Transfer
from guard.mechanics.snapshot_space import disk_need, total
from guard.units import GIB, MIB
from hypothesis import assume, given, settings
from hypothesis import strategies as st


def pace(**changes):
    """Hours of transfer four at a time, merges of one minute."""
    return Pace(**{"shortest": {4: 7200.0}, "usual": 4, "merge_s": 60.0, "queue": 0, "disks": 1} | changes)


def vm(written=20, *, size=100, disks=1):
    """The needs of a VM whose disks hold so many GiB; None: nobody knows."""
    one = disk_need(sr_type="lvm", size=size * GIB, written=None if written is None else written * GIB)
    return [one] * disks


@pytest.mark.parametrize(
    ("slots", "changes", "owning"),
    [
        # one at a time a transfer takes a quarter: 1800 s, the lag is 300 + 60
        (1, {}, 2),
        (4, {}, 8),
        # two disks each: the lag is 300 + 4 * 2 * 60 = 780 s, at 7200 s apart
        (4, {"disks": 2}, 8),
        # 900 s apart at one a time, the lag is 300 + 9 * 60 + 60 = 900 s
        (1, {"shortest": {4: 3600.0}, "queue": 9}, 2),
        (1, {"shortest": {4: 3600.0}, "queue": 10}, 3),
        # 100 s apart, the lag is 360 s: one is transferred, and four wait for the collector
        (1, {"shortest": {4: 400.0}}, 5),
        # the collector needs as long as a transfer, and just keeps up
        (1, {"merge_s": 1800.0}, 3),
        (1, {"merge_s": 1800.1}, None),
        (1, {"shortest": {4: 0.0}}, None),
        # what was transferred one at a time gets no faster, and with more at once it is not taken to get slower
        (1, {"shortest": {1: 360.0}}, 2),
        (1, {"shortest": {1: 359.0}}, 3),
        (2, {"shortest": {1: 420.0}}, 4),
        (2, {"shortest": {1: 419.0}}, 6),
        # of several past runs the one that leaves least counts
        (1, {"shortest": {4: 7200.0, 1: 359.0}}, 3),
        (1, {"shortest": {4: 1400.0, 1: 7200.0}}, 3),
    ],
)
def test_each_slot_owns_what_it_transfers_and_what_the_collector_has_not_come_to(slots, changes, owning):
    assert owning_at_once(slots, pace(**changes)) == owning


def night(*spans, run="run", job="job", target="repo"):
    """History of one run that sent VMs from so many to so many seconds."""
    return {
        (job, f"vm{number}", target): (
            Transfer(schedule="s", start=1000 * begin, size=1, seconds=end - begin, full=True, run=run),
        )
        for number, (begin, end) in enumerate(spans)
    }


@pytest.mark.parametrize(
    ("spans", "seconds", "at_once"),
    [
        ([(100, 200)], 100, 1),
        ([(100, 200), (100, 300)], 200, 2),
        ([(100, 200), (200, 300)], 200, 1),
        ([(100, 201), (200, 300)], 200, 2),
        ([(100, 400), (150, 200), (210, 250), (240, 500)], 400, 3),
        ([(100, 100)], 0, 1),
    ],
)
def test_the_past_tells_how_many_were_transferred_at_once_and_how_long_it_took(spans, seconds, at_once):
    found = past_runs(History(transfers=night(*spans)), "job")
    assert found == {"run": PastRun(seconds=seconds, at_once=at_once)}


def test_other_jobs_tell_nothing_and_two_targets_are_one_run():
    others = night((0, 900), job="other")
    both = night((0, 50), (20, 60)) | night((0, 80), target="two")
    assert past_runs(History(transfers=others | both), "job") == {"run": PastRun(seconds=80, at_once=2)}
    assert past_runs(History(), "job") == {}


@pytest.mark.parametrize(
    ("runs", "slots", "seconds"),
    [
        ([], 1, None),
        ([(600, 4)], 4, 600),
        ([(600, 4)], 1, 2400),
        ([(600, 4)], 3, 800),
        ([(600, 4), (700, 1)], 1, 700),
        ([(600, 4), (700, 1), (800, 2)], 2, 800),
    ],
)
def test_a_run_lasts_as_those_with_no_more_at_once_or_longer_in_proportion(runs, slots, seconds):
    assert lasts_s([PastRun(seconds=one, at_once=many) for one, many in runs], slots) == seconds


def test_the_room_is_that_of_the_largest_and_once_more_for_a_merge():
    vms = [vm(2), vm(60), vm(20)]
    base = {written: total(vm(written)).known for written in (2, 20, 60)}
    assert room_for(1, vms) == 2 * base[60]
    journals_and_an_empty_base = 8 * MIB  # once for all of them
    assert room_for(2, vms) == 2 * base[60] + base[20] - journals_and_an_empty_base
    assert room_for(9, vms) == 2 * base[60] + base[20] + base[2] - 2 * journals_and_an_empty_base
    assert room_for(3, []) == 0


def test_a_disk_of_which_nothing_is_known_counts_as_full():
    assert room_for(1, [vm(None)]) == 2 * total(vm(None)).upper
    assert room_for(1, [vm(None), vm(99)]) == 2 * total(vm(None)).upper


@pytest.mark.parametrize(
    ("free", "slots"),
    [
        # eight own space with four at once, six with three, four with two, two with one; and one more for the merge
        (9 * 20.1, 4),
        (7 * 20.1, 3),
        (6.9 * 20, 2),
        (5 * 20.1, 2),
        (4.9 * 20, 1),
        (3 * 20.1, 1),
        (2.9 * 20, None),
    ],
)
def test_the_most_that_fit_are_told(free, slots):
    assert most_slots([vm()] * 12, pace(), free * GIB) == slots


def test_no_more_than_there_are_vms_and_no_more_than_the_job_has():
    assert most_slots([vm()] * 2, pace(), 1000 * GIB) == 2
    assert most_slots([vm()] * 9, pace(usual=3), 1000 * GIB) == 3


def test_a_collector_that_cannot_keep_up_leaves_nothing_to_count_on():
    assert most_slots([vm()] * 12, pace(merge_s=1801.0), 10_000 * GIB) is None


@settings(deadline=None)  # the machine may be busy
@given(
    transfers=st.lists(st.integers(100, 4000), min_size=1, max_size=12),
    slots=st.integers(1, 4),
    merge=st.integers(1, 300),
    disks=st.integers(1, 3),
    queue=st.integers(0, 5),
    quiet=st.floats(0, QUIET_S),
)
def test_no_run_ever_owns_more_than_foretold(transfers, slots, merge, disks, queue, quiet):
    """Acted out second by second: slots that take one VM after the other, and one collector for all their disks."""
    foretold = owning_at_once(
        slots, Pace(shortest={slots: min(transfers)}, usual=slots, merge_s=merge, queue=queue, disks=disks)
    )
    assume(foretold is not None)
    assert most_owning(transfers, slots, merge, disks, queue, quiet) <= foretold


def most_owning(transfers, slots, merge, disks, queue, quiet):
    free_at = [0.0] * slots
    spans = []
    for seconds in transfers:
        slot = min(range(slots), key=free_at.__getitem__)
        spans.append((free_at[slot], free_at[slot] + seconds))
        free_at[slot] += seconds
    idle_at, kicked = quiet + queue * merge if queue else 0.0, bool(queue)
    owned = []
    for begin, deleted in sorted(spans, key=lambda one: one[1]):
        # asleep, it is woken by the deletion and waits; at work, it comes to this one after the others
        begins = idle_at if kicked and deleted < idle_at else deleted + quiet
        idle_at, kicked = begins + disks * merge, True
        owned.append((begin, idle_at))
    return max(sum(1 for begin, end in owned if begin <= at < end) for at, _ in owned)
