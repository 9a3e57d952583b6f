"""Snapshot bytes against the worked examples of the storage facts (SM's own arithmetic)."""

from __future__ import annotations

import pytest
from guard.mechanics.snapshot_space import META, THIN, disk_need, lvm_base, lvm_full, total, vhd_header
from guard.units import GIB, MIB


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


def test_qcow2_on_a_file_sr_needs_two_metadata_areas():
    assert need(sr_type="ext", image_format="qcow2").upper == 2 * (128 * 1024 + 8 * 100 * GIB // 65536)


def test_thick_linstor_needs_two_volumes_and_thin_only_headers():
    thick, thin = (need(sr_type="linstor", provisioning=kind) for kind in ("thick", "thin"))
    assert thick.expected == 215_176_454_144
    assert thin.expected == 2 * THIN
    assert thin.upper == thick.upper


def test_a_native_zfs_snapshot_needs_nothing_and_an_unknown_driver_is_unknown():
    assert need(sr_type="zfs-vol").upper == 0
    assert disk_need(sr_type="gfs2", size=GIB) is None
