"""Snapshot bytes against the worked examples of the storage facts (SM's own arithmetic)."""

from __future__ import annotations

import pytest
from guard.mechanics.snapshot_space import META, THIN, disk_need, lvm_base, lvm_full, total, vhd_header
from guard.units import GIB, MIB
from hypothesis import given, settings
from hypothesis import strategies as st

QCOW2_RESERVE = 2_151_677_952  # SM lays out the metadata of 16 TiB, whatever the size of the disk


@pytest.mark.parametrize(
    ("gib", "full"), [(10, 10_766_778_368), (100, 107_592_286_208), (500, 537_927_876_608), (2040, 2_194_719_899_648)]
)
def test_a_fully_inflated_lvm_volume_has_the_size_sm_gives_it(gib, full):
    assert lvm_full(gib * GIB) == full


def test_the_fixed_parts_are_those_of_a_2_tib_disk():
    assert (META, THIN, vhd_header(100 * GIB)) == (4_329_472, 8_388_608, 217_088)
    assert lvm_base(20 * GIB) == 21_525_168_128


def need(**given):
    one = disk_need(**{"sr_type": "lvm", "size": 100 * GIB, **given})
    assert one is not None
    return total([one])


def test_a_thick_snapshot_needs_the_data_in_the_leaf_and_16_mib():
    found = need(usage=lvm_full(100 * GIB), written=20 * GIB)
    assert (found.lower, found.expected, found.upper) == (25_165_824, 21_541_945_344, 107_609_063_424)


def test_a_later_delta_snapshot_needs_little():
    assert need(usage=lvm_full(100 * GIB), written=2 * GIB).expected == 2_176_843_776


def test_without_history_a_thick_snapshot_has_bounds_but_no_expectation():
    found = need(usage=None, written=None)
    assert (found.lower, found.expected) == (24 * MIB, None)


def test_n_empty_disks_need_eight_mib_each_and_sixteen_once():
    one = disk_need(sr_type="lvmoiscsi", size=100 * GIB, usage=lvm_full(100 * GIB), written=0)
    for count in (1, 2, 5):
        assert total([one] * count).lower == count * 8 * MIB + 16 * MIB


def test_a_disk_with_changed_block_tracking_needs_one_more_extent():
    without, with_log = (disk_need(sr_type="lvm", size=GIB, written=0, cbt=cbt) for cbt in (False, True))
    assert with_log.upper - without.upper == 4 * MIB


def test_a_thin_detached_disk_needs_24_mib():
    assert need(usage=lvm_base(20 * GIB), provisioning="thin", attached=False).expected == 25_165_824


def test_a_thin_attached_disk_inflates_like_a_thick_one():
    thin, thick = (need(provisioning=kind, attached=True, written=GIB) for kind in ("thin", "thick"))
    assert thin == thick


def test_qcow2_on_lvm_needs_the_whole_size():
    assert need(image_format="qcow2").expected == 111_685_926_912


@pytest.mark.parametrize("sr_type", ["ext", "nfs", "smb", "xfs", "zfs", "largeblock"])
def test_a_file_sr_needs_two_empty_headers(sr_type):
    found = need(sr_type=sr_type)
    assert (found.lower, found.expected, found.upper) == (434_176, 434_176, 434_176)


def test_qcow2_on_a_file_sr_needs_two_metadata_areas_that_grow_with_the_disk():
    found = need(sr_type="ext", image_format="qcow2")
    assert (found.lower, found.upper) == (2 * 128 * 1024, 2 * (128 * 1024 + 8 * 100 * GIB // 65536))


def test_thick_linstor_needs_two_volumes_and_thin_only_headers():
    thick, thin = (need(sr_type="linstor", provisioning=kind) for kind in ("thick", "thin"))
    assert thick.expected == 215_176_454_144
    assert thin.expected == 2 * THIN
    assert thin.upper == thick.upper


def test_a_native_zfs_snapshot_needs_nothing_and_an_unknown_driver_is_unknown():
    assert need(sr_type="zfs-vol").upper == 0
    assert disk_need(sr_type="gfs2", size=GIB) is None


@pytest.mark.parametrize("usage", [None, lvm_base(0), lvm_base(20 * GIB), lvm_full(100 * GIB)])
@pytest.mark.parametrize("written", [None, 0, 20 * GIB])
def test_a_thin_detached_disk_needs_two_empty_nodes_whatever_it_holds(usage, written):
    found = need(usage=usage, written=written, provisioning="thin", attached=False)
    assert (found.lower, found.known, found.expected, found.upper) == (25_165_824,) * 4


def test_thin_detached_disks_need_their_nodes_each_and_the_journals_once():
    one = disk_need(sr_type="lvm", size=100 * GIB, provisioning="thin", attached=False)
    found = total([one] * 3)
    assert (found.lower, found.upper) == (3 * 8 * MIB + 16 * MIB, 3 * 16 * MIB + 8 * MIB)


def test_without_room_for_the_log_of_changed_blocks_a_snapshot_still_succeeds():
    found = need(provisioning="thin", attached=False, cbt=True)
    assert (found.lower, found.expected, found.upper) == (24 * MIB, 28 * MIB, 28 * MIB)
    inflated = need(written=20 * GIB, usage=lvm_full(100 * GIB), cbt=True)
    assert (inflated.lower, inflated.expected) == (24 * MIB, 21_541_945_344 + 4 * MIB)
    qcow2 = need(image_format="qcow2", cbt=True)
    assert (qcow2.lower, qcow2.expected) == (111_685_926_912, 111_685_926_912 + 4 * MIB)


def test_a_thick_detached_disk_needs_as_much_as_an_attached_one():
    detached, attached = (need(written=GIB, attached=one) for one in (False, True))
    assert detached == attached


def test_a_leaf_that_is_not_inflated_must_grow_to_its_whole_size_first():
    full = lvm_full(100 * GIB)
    grown, whole = (need(usage=usage, written=0) for usage in (full - 4 * GIB, full))
    assert (grown.lower - whole.lower, grown.expected - whole.expected) == (4 * GIB, 4 * GIB)
    assert grown.upper == whole.upper


def test_a_volume_larger_than_it_should_be_takes_nothing_off():
    full = lvm_full(100 * GIB)
    assert need(usage=full + GIB, written=0) == need(usage=full, written=0)


def test_no_more_is_expected_than_can_be_needed():
    found = need(written=900 * GIB)
    assert found.expected == found.upper == 107_609_063_424


def test_qcow2_on_lvm_needs_its_whole_size_at_least_because_nothing_is_deflated():
    for written in (None, 0, 50 * GIB):
        found = need(image_format="qcow2", written=written)
        assert (found.lower, found.known, found.expected, found.upper) == (111_685_926_912,) * 4


def test_qcow2_on_a_thin_detached_disk_needs_two_sets_of_metadata():
    found = need(image_format="qcow2", provisioning="thin", attached=False)
    assert found.lower == found.upper == 2 * QCOW2_RESERVE + 8 * MIB
    assert need(image_format="qcow2", provisioning="thin", attached=True).upper == 111_685_926_912


@pytest.mark.parametrize("provisioning", ["unknown", ""])
def test_linstor_of_unknown_provisioning_has_an_upper_bound_only(provisioning):
    found = need(sr_type="linstor", provisioning=provisioning)
    assert (found.lower, found.known, found.expected, found.upper) == (0, 0, None, 215_176_454_144)


@pytest.mark.parametrize("sr_type", ["lvmohba", "lvmofcoe", "lvmoiscsi"])
def test_all_lvm_drivers_follow_one_rule(sr_type):
    assert need(sr_type=sr_type, written=GIB) == need(written=GIB)


def test_the_known_part_of_a_sum_takes_each_disk_at_what_is_expected_or_else_at_its_least():
    told, untold = (disk_need(sr_type="lvm", size=100 * GIB, written=written) for written in (20 * GIB, None))
    found = total([told, untold])
    assert found.expected is None
    assert found.known == 21_541_945_344 + 8 * MIB
    assert total([told]).known == total([told]).expected == 21_541_945_344
    assert found.lower <= found.known <= found.upper


def test_the_sum_of_nothing_is_nothing():
    found = total([])
    assert (found.lower, found.known, found.expected, found.upper) == (0, 0, 0, 0)


NEEDS = st.builds(
    disk_need,
    sr_type=st.sampled_from(["lvm", "nfs", "linstor", "zfs-vol"]),
    size=st.integers(1, 4000).map(lambda gib: gib * GIB),
    usage=st.none() | st.integers(0, 4000).map(lambda gib: gib * GIB),
    image_format=st.sampled_from(["vhd", "qcow2"]),
    provisioning=st.sampled_from(["thick", "thin", "unknown"]),
    attached=st.booleans(),
    written=st.none() | st.integers(0, 4000 * GIB),
    cbt=st.booleans(),
)


@settings(deadline=None)  # the machine may be busy
@given(st.lists(NEEDS, max_size=5), NEEDS)
def test_bounds_never_cross_and_one_more_disk_never_needs_less(needs, more):
    before, after = total(needs), total([*needs, more])
    for found in (before, after):
        assert 0 <= found.lower <= found.known <= found.upper
        assert found.expected in (None, found.known)
    assert before.lower <= after.lower
    assert before.known <= after.known
    assert before.upper <= after.upper
