"""What guard sees of coalesces from look to look: waiting pairs, collections at work, and the rate of an SR."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.mechanics.coalescing import KEPT_PROGRESS, is_collecting, observe, queues, rate_of
from tests.builders import GIB, NOW, make_base_copy, make_estate, make_sr, make_vdi, make_xapi_task

HOUR = timedelta(hours=1)


def chain(*bases, sr="sr", disk="disk", usage=2 * GIB):
    """Base copies from the root up to the disk, each the parent of the next."""
    copies = [
        make_base_copy(name, sr=sr, usage=usage, **({"parent": bases[at - 1]} if at else {}))
        for at, name in enumerate(bases)
    ]
    return copies, make_vdi(disk, sr=sr, **({"parent": bases[-1]} if bases else {}))


def world(*bases, more=((), ()), **parts):
    copies, disk = chain(*bases)
    return make_estate(vdi_unmanaged=[*copies, *more[0]], vdis=[disk, *more[1]], **parts)


def test_a_first_look_claims_nothing_it_did_not_see():
    seen = observe(None, world("a", "b", "c"), NOW)
    assert (seen.since, seen.looked_at) == (NOW, NOW)
    assert {node: (one.child, one.since, one.bytes) for node, one in seen.waiting.items()} == {
        "a": ("b", NOW, 2 * GIB),
        "b": ("c", NOW, 2 * GIB),
    }
    assert seen.progress == {}
    assert seen.collected == {}


def test_a_pair_that_stays_keeps_its_first_time():
    first = observe(None, world("a", "b", "c"), NOW)
    second = observe(first, world("a", "b", "c"), NOW + HOUR)
    assert {one.since for one in second.waiting.values()} == {NOW}
    assert (second.since, second.looked_at) == (NOW, NOW + HOUR)


def test_a_node_with_another_child_waits_anew():
    first = observe(None, world("a", "b", "c"), NOW)
    second = observe(first, world("a", "c", "d"), NOW + HOUR)
    assert second.waiting["a"].since == NOW + HOUR


def test_merges_count_while_others_of_that_sr_keep_waiting():
    other = chain("x", "y", "z", disk="other")
    more = (other[0], [other[1]])
    first = observe(None, world("a", "b", "c", more=more), NOW)
    second = observe(first, world("a", "c", more=more), NOW + HOUR)  # b went into a
    (step,) = second.progress["sr"]
    assert (step.pairs, step.bytes, step.seconds) == (1, 2 * GIB, 3600)
    rate = rate_of(second, "sr")
    assert (rate.pairs_per_hour, rate.slow_pairs_per_hour, rate.bytes_per_hour, rate.samples) == (1, 1, 2 * GIB, 1)


def test_where_nothing_is_left_waiting_nobody_can_tell_how_long_it_took():
    first = observe(None, world("a", "b", "c"), NOW)
    assert observe(first, world("a"), NOW + HOUR).progress == {}


def test_the_slow_end_is_the_rate_that_nine_of_ten_looks_beat():
    more = chain("x", "y", "z", disk="other")
    more = (more[0], [more[1]])
    seen, at = None, NOW
    for minutes in (60, 30, 120, 60, 60, 60, 60, 60, 60, 240, 60):
        seen = observe(seen, world("a", "b", "c", more=more), at)
        seen = observe(seen, world("a", "c", more=more), at + timedelta(minutes=minutes))
        at += timedelta(minutes=minutes)
    rate = rate_of(seen, "sr")
    assert (rate.pairs_per_hour, rate.slow_pairs_per_hour, rate.samples) == (1, 0.5, 11)


def test_only_the_newest_steps_are_kept():
    more = chain("x", "y", "z", disk="other")
    more = (more[0], [more[1]])
    seen = None
    for step in range(KEPT_PROGRESS + 5):
        seen = observe(seen, world("a", "b", "c", more=more), NOW + step * HOUR)
        seen = observe(seen, world("a", "c", more=more), NOW + step * HOUR + HOUR / 2)
    assert len(seen.progress["sr"]) == KEPT_PROGRESS


@pytest.mark.parametrize("part", ["vdis", "vdi_snapshots", "vdi_unmanaged", "srs"])
def test_a_look_that_did_not_read_the_disks_adds_nothing(part):
    first = observe(None, world("a", "b", "c"), NOW)
    blind = world(reading={part: {"ok": False}})
    assert observe(first, blind, NOW + HOUR) is first
    assert observe(None, blind, NOW) is None


def test_an_sr_that_xo_no_longer_shows_is_forgotten_and_nothing_of_it_counts_as_merged():
    gone = chain("x", "y", "z", sr="far", disk="other")
    first = observe(
        None,
        world("a", "b", "c", more=(gone[0], [gone[1]]), srs=[make_sr(), make_sr("far")], xapi_tasks=[task("far")]),
        NOW,
    )
    assert "far" in first.collected
    second = observe(first, world("a", "b", "c"), NOW + HOUR)
    assert second.collected == {}
    assert second.progress == {}
    assert queues(second) == {"sr": 2}


def beside(bases=("x", "y", "z"), disk="other"):
    """Another disk of that SR, whose chain waits on."""
    copies, leaf = chain(*bases, disk=disk)
    return copies, [leaf]


def test_a_deleted_disk_takes_its_chain_along_and_that_is_no_merge():
    both = make_estate(vdi_unmanaged=[*chain("a", "b", "c")[0], *beside()[0]], vdis=[chain("c")[1], *beside()[1]])
    first = observe(None, both, NOW)
    for left in ((), ("a",), ("a", "b")):  # its base copies go one by one, from the leaf down
        copies = [one for one in chain("a", "b", "c")[0] if one.id in left]
        second = observe(first, make_estate(vdi_unmanaged=[*copies, *beside()[0]], vdis=beside()[1]), NOW + HOUR)
        assert (second.progress, second.collected) == ({}, {})


def test_two_merges_between_two_looks_both_count():
    first = observe(None, world("a", "b", "c", "d", more=beside()), NOW)
    second = observe(first, world("a", "d", more=beside()), NOW + HOUR)  # b into a, then c into a
    assert [one.pairs for one in second.progress["sr"]] == [2]


def test_a_merge_shows_a_collector_at_work_where_xapi_shows_no_task():
    first = observe(None, world("a", "b", "c", more=beside()), NOW)
    assert observe(first, world("a", "c", more=beside()), NOW + HOUR).collected == {"sr": NOW + HOUR}


def test_a_chain_that_leads_back_to_itself_ends():
    copies = [make_base_copy("a", parent="b"), make_base_copy("b", parent="a")]
    first = observe(None, make_estate(vdi_unmanaged=copies), NOW)
    assert set(first.waiting) == {"a", "b"}
    assert observe(first, world(), NOW + HOUR).collected == {}


def test_a_merge_that_takes_several_looks_is_as_slow_as_it_is():
    seen = observe(None, world("a", "b", "c", more=beside()), NOW)
    for minutes in (15, 30, 45):
        seen = observe(seen, world("a", "b", "c", more=beside()), NOW + timedelta(minutes=minutes))
    seen = observe(seen, world("a", "c", more=beside()), NOW + HOUR)
    assert rate_of(seen, "sr").pairs_per_hour == 1


def test_idle_hours_before_a_collection_began_do_not_make_it_slow():
    seen = observe(None, world("a", "b", "c", more=beside()), NOW)
    seen = observe(seen, world("a", "b", "c", more=beside()), NOW + 9 * HOUR)
    seen = observe(seen, world("a", "b", "c", more=beside(), xapi_tasks=[task("sr")]), NOW + 10 * HOUR)
    seen = observe(seen, world("a", "c", more=beside(), xapi_tasks=[task("sr")]), NOW + 11 * HOUR)
    assert rate_of(seen, "sr").pairs_per_hour == 0.5


def task(sr, **more):
    return make_xapi_task(name_description=f"Garbage collection for SR {sr}", **more)


def test_a_collection_at_work_is_remembered_with_its_time():
    first = observe(None, world("a", "b", "c", xapi_tasks=[task("sr")]), NOW)
    second = observe(first, world("a", "b", "c"), NOW + HOUR)
    third = observe(second, world("a", "b", "c", reading={"xapi_tasks": {"ok": False}}), NOW + 2 * HOUR)
    assert [one.collected for one in (first, second, third)] == [{"sr": NOW}] * 3


@pytest.mark.parametrize(
    ("one", "at_work"),
    [
        (task("sr"), True),
        (make_xapi_task(applies_to="sr"), True),
        (task("other"), False),
        (task("sr", status="success"), False),
        (task("sr", name_label="SR.scan"), False),
    ],
)
def test_a_collector_is_known_by_its_name_and_its_sr(one, at_work):
    assert is_collecting(one, "sr") is at_work


def test_a_clock_that_was_set_back_measures_no_rate():
    more = chain("x", "y", "z", disk="other")
    more = (more[0], [more[1]])
    first = observe(None, world("a", "b", "c", more=more), NOW)
    assert observe(first, world("a", "c", more=more), NOW - HOUR).progress == {}


def test_an_sr_that_was_never_seen_at_it_has_no_rate():
    assert rate_of(None, "sr") is None
    assert rate_of(observe(None, world("a", "b", "c"), NOW), "sr") is None
    assert queues(None) == {}


def test_nodes_without_figures_count_as_no_bytes():
    copies = [make_base_copy("a"), make_base_copy("b", parent="a"), make_base_copy("c", parent="b")]
    copies[1] = type(copies[1])(id="b", parent="a", sr="sr")
    seen = observe(None, make_estate(vdi_unmanaged=copies, vdis=[make_vdi(parent="c")]), NOW)
    assert seen.waiting["a"].bytes == 0
