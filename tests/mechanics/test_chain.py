"""XO's chain rule on hand-made chains (the table of the API facts), depth, and what a run's own pruning adds."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from guard.estate.estate import Estate, XoIdentity
from guard.estate.xo_records import Job, Vdi
from guard.mechanics.chain import MOST_NODES, ChainIndex
from guard.mechanics.retention import has_base, kept_backups, removed_first
from guard.mechanics.settings import effective

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def index(**nodes):
    """``name=(kind, parent)``: kind b (base copy), l (leaf) or s (snapshot); one SR unless a third item names another."""
    groups = {"b": [], "l": [], "s": []}
    for name, (kind, parent, *sr) in nodes.items():
        record = {"id": name, "$SR": sr[0] if sr else "sr"} | ({"parent": parent} if parent else {})
        groups[kind].append(msgspec.convert(record, Vdi))
    return ChainIndex(
        Estate(
            xo=XoIdentity(url="", version="", admin=True),
            taken_at=NOW,
            parts={},
            vdis=tuple(groups["l"]),
            vdi_snapshots=tuple(groups["s"]),
            vdi_unmanaged=tuple(groups["b"]),
        )
    )


@pytest.mark.parametrize(
    ("nodes", "count", "depth"),
    [
        ({"leaf": ("l", None)}, 0, 1),
        ({"b1": ("b", None), "leaf": ("l", "b1"), "snap": ("s", "b1")}, 0, 2),
        ({"b1": ("b", None), "leaf": ("l", "b1")}, 0, 2),
        ({"b1": ("b", None), "b2": ("b", "b1"), "leaf": ("l", "b2")}, 1, 3),
        ({"b1": ("b", None), "b2": ("b", "b1"), "b3": ("b", "b2"), "leaf": ("l", "b3")}, 2, 4),
        ({"b1": ("b", None), "b2": ("b", "b1"), "b3": ("b", "b2"), "leaf": ("l", "b3"), "snap": ("s", "b3")}, 2, 4),
        ({"p": ("b", None), "a": ("b", "p"), "a1": ("l", "a"), "leaf": ("l", "p")}, 0, 2),
        ({"b1": ("b", None, "other"), "b2": ("b", "b1"), "leaf": ("l", "b2")}, 0, 3),
        ({"b1": ("b", "leaf"), "leaf": ("l", "b1")}, 0, 2),
    ],
)
def test_only_unmanaged_nodes_with_one_unmanaged_child_count(nodes, count, depth):
    chain = index(**nodes).chain("leaf")
    assert (len(chain.uncoalesced), chain.depth, chain.missing_parent) == (count, depth, "")


def test_a_parent_xo_does_not_show_ends_the_walk_and_is_told():
    chain = index(leaf=("l", "gone")).chain("leaf")
    assert (chain.uncoalesced, chain.depth, chain.missing_parent) == ((), 1, "gone")


def test_deleting_a_snapshot_makes_its_base_wait_for_a_coalesce():
    nodes = {"b1": ("b", None), "snap": ("s", "b1"), "b2": ("b", "b1"), "leaf": ("l", "b2")}
    assert index(**nodes).chain("leaf").uncoalesced == ()
    assert index(**nodes).chain("leaf", removed={"snap"}).uncoalesced == ("b1",)


def snapshot(name, schedule="s", when="1", vm="vm", job="j", **marks):
    other = {"xo:backup:job": job, "xo:backup:vm": vm, "xo:backup:schedule": schedule, "xo:backup:datetime": when}
    return msgspec.convert({"id": name, "other_config": other | marks}, Vdi)


def removed(mode, retention, *snapshots):
    job = msgspec.convert({"id": "j", "mode": mode, "settings": {"s": {"snapshotRetention": retention}}}, Job)
    return removed_first(job, "vm", snapshots, lambda schedule: effective(job, schedule, "vm"))


def test_a_delta_run_keeps_the_newest_snapshot_and_each_schedules_retention():
    three = [snapshot(name, when=name) for name in ("1", "2", "3")]
    assert removed("delta", 0, *three) == {"1", "2"}
    assert removed("delta", 2, *three) == {"1"}
    assert removed("delta", 1, snapshot("0", "gone", "0"), *three) == {"0", "1", "2"}


def test_a_full_run_without_retention_deletes_all_job_snapshots_first():
    assert removed("full", 0, snapshot("1"), snapshot("2", when="2")) == {"1", "2"}


def test_snapshots_of_people_other_jobs_and_other_vms_stay():
    foreign = [snapshot("a", job="x"), snapshot("b", vm="x"), msgspec.convert({"id": "c"}, Vdi)]
    assert removed("full", 0, *foreign) == frozenset()
    assert removed("delta", 0) == frozenset()


def test_a_base_is_an_exported_snapshot_of_this_job_that_is_no_copy():
    job = msgspec.convert({"id": "j"}, Job)
    exported = {"xo:backup:exported": "true"}
    older = snapshot("1", when="1", **exported, **{"xo:backup:deltaChainLength": "7"})
    newest = snapshot("2", when="2", **exported, **{"xo:backup:deltaChainLength": "8"})
    assert has_base(job, "vm", [newest, older]) == (True, 8)
    assert has_base(job, "vm", [snapshot("1"), snapshot("2", **exported, **{"xo:copy_of": "x"})]) == (False, 0)
    assert has_base(job, "vm", [snapshot("1", **exported, **{"xo:backup:deltaChainLength": "x"})]) == (True, 0)


@pytest.mark.parametrize(
    ("settings", "kept"),
    [
        ({"s": {"exportRetention": 7}}, 14),
        ({"s": {"exportRetention": 7}, "r1": {"exportRetention": 0}}, 7),
        ({"s": {"exportRetention": 7}, "v": {"exportRetention": 0}}, 0),
        ({"s": {"exportRetention": 7}, "v": {"exportRetention": 0}, "r2": {"exportRetention": 2}}, 2),
        ({"s": {"copyRetention": 2, "snapshotRetention": 1}}, 3),
        ({"s": {}, "sr": {"copyRetention": 4}}, 4),
        ({"s": {"longTermRetention": {"daily": {"retention": 7}}}}, 2),
        ({}, 0),
    ],
)
def test_what_is_kept_of_a_vm_is_told_by_the_settings_of_each_target(settings, kept):
    job = Job(id="j", settings=settings)
    assert kept_backups(job, "s", "v", ["r1", "r2"], ["sr"]) == kept


def test_what_claims_to_be_longer_than_any_chain_is_not_walked_to_its_end():
    nodes = {f"b{one}": ("b", f"b{one + 1}") for one in range(3 * MOST_NODES)}
    chain = index(leaf=("l", "b0"), **nodes).chain("leaf")
    assert (chain.depth, len(chain.uncoalesced)) == (MOST_NODES, MOST_NODES - 2)
