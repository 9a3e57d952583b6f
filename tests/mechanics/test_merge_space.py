"""Bytes the next merge of two nodes needs (xapi-storage.md 3.2)."""

from __future__ import annotations

import pytest
from guard.mechanics.merge_space import merge_need
from guard.mechanics.snapshot_space import vhd_header
from guard.units import GIB, MIB
from msgspec import UNSET

SIZE = 100 * GIB


def need(sr_type="lvm", child=2 * GIB, parent=20 * GIB, merged=None):
    return merge_need(sr_type=sr_type, size=SIZE, child=child, parent=parent, merged=merged)


@pytest.mark.parametrize("merged", [None, UNSET])
def test_without_the_blocks_all_that_the_child_holds_is_the_bound(merged):
    found = need(merged=merged)
    assert (found.bytes, found.exact) == (2 * GIB, False)


def test_on_lvm_the_parent_grows_by_whole_extents_to_hold_both():
    found = need(merged=22 * GIB)
    assert found.exact
    assert found.bytes % (4 * MIB) == 0
    assert 2 * GIB + vhd_header(SIZE) <= found.bytes < 2 * GIB + vhd_header(SIZE) + 4 * MIB


def test_in_a_file_it_grows_by_what_is_new():
    assert need("nfs", merged=21 * GIB).bytes == GIB + vhd_header(SIZE)


def test_a_child_that_only_overwrites_needs_nothing():
    assert need("nfs", parent=30 * GIB, merged=20 * GIB).bytes == 0
