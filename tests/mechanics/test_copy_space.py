"""Whole new disks on an SR, by the byte (xapi-storage.md 1; failure-modes.md 3.3, 4.4)."""

from __future__ import annotations

import pytest
from guard.mechanics.copy_space import (
    first_replica,
    memory_image,
    memory_need,
    new_disk,
    next_replica,
    summed,
)
from guard.mechanics.snapshot_space import Need
from guard.units import GIB, KIB, MIB

FULL = 107_592_286_208  # the LVM volume of a disk of 100 GiB
LINSTOR = 107_588_227_072
BASE_20 = 21_525_168_128  # a leaf with 20 GiB, deflated
HEADER = 217_088
BITMAPS = 51_200 * 4096
QCOW2_RESERVE = 2_151_677_952


def sizes(way, sr_type, provisioning, data=20 * GIB, size=100 * GIB):
    found = way(sr_type=sr_type, provisioning=provisioning, size=size, data=data)
    return None if found is None else (found.lower, found.expected, found.upper)


@pytest.mark.parametrize(
    ("sr_type", "provisioning", "data", "expected"),
    [
        ("lvm", "thick", None, (FULL, FULL, FULL)),
        ("lvmoiscsi", "thin", 20 * GIB, (FULL, FULL, FULL)),
        ("linstor", "thick", None, (LINSTOR, LINSTOR, LINSTOR)),
        ("linstor", "thin", 20 * GIB, (0, 20 * GIB + 8 * MIB, LINSTOR)),
        ("linstor", "thin", 900 * GIB, (0, LINSTOR, LINSTOR)),
        ("linstor", "thin", None, (0, None, LINSTOR)),
        ("linstor", "unknown", 20 * GIB, (0, None, LINSTOR)),
        ("nfs", "thin", 20 * GIB, (0, 20 * GIB + HEADER, 100 * GIB + HEADER + BITMAPS)),
        ("ext", "thin", None, (0, None, 100 * GIB + HEADER + BITMAPS)),
        ("zfs-vol", "unknown", 900 * GIB, (0, 100 * GIB + HEADER + BITMAPS, 100 * GIB + HEADER + BITMAPS)),
        ("gfs2", "thin", 20 * GIB, None),
    ],
)
def test_a_new_disk_needs_its_whole_size_where_sm_lays_it_out_at_once(sr_type, provisioning, data, expected):
    assert sizes(new_disk, sr_type, provisioning, data) == expected


def test_above_the_limit_of_vhd_a_disk_is_a_qcow2_image():
    assert sizes(new_disk, "lvm", "thick", size=2040 * GIB)[0] == 2_194_719_899_648
    larger = 2040 * GIB + 4 * MIB
    assert sizes(new_disk, "lvm", "thick", size=larger)[0] == larger + QCOW2_RESERVE


def test_a_first_replica_is_created_filled_and_snapshotted():
    found = first_replica(sr_type="lvm", provisioning="thick", size=100 * GIB, data=20 * GIB)
    assert (found.lower, found.expected, found.upper) == (FULL, FULL + BASE_20 + 8 * MIB, 2 * FULL + 8 * MIB)
    assert found.transient == 8 * MIB
    assert sizes(first_replica, "lvm", "thick", None)[1] is None
    assert sizes(first_replica, "linstor", "unknown")[1] is None
    assert sizes(first_replica, "nfs", "thin")[1] == 20 * GIB + 3 * HEADER
    assert sizes(first_replica, "gfs2", "thin") is None


def test_a_later_replica_on_a_thick_sr_needs_the_delta_and_sixteen_mib():
    found = next_replica(sr_type="lvm", provisioning="thick", size=100 * GIB, data=20 * GIB)
    assert (found.lower, found.expected, found.upper) == (8 * MIB, BASE_20 + 8 * MIB, FULL + 8 * MIB)
    assert summed([found]).expected == BASE_20 + 16 * MIB
    assert sizes(next_replica, "linstor", "thick")[1] == 2 * LINSTOR


def test_a_later_replica_on_a_thin_sr_needs_its_bytes():
    assert sizes(next_replica, "nfs", "thin")[:2] == (2 * HEADER, 20 * GIB + 2 * HEADER)
    assert sizes(next_replica, "zfs-vol", "unknown")[1] == 20 * GIB
    assert sizes(next_replica, "nfs", "thin", None)[1] is None
    assert sizes(next_replica, "linstor", "unknown")[1] is None
    assert sizes(next_replica, "gfs2", "thin") is None
    found = sizes(next_replica, "nfs", "thin", 900 * GIB)
    assert found[1] == found[2]


def test_a_thin_lvm_volume_is_inflated_while_it_is_written_to_so_nothing_is_expected():
    assert sizes(next_replica, "lvm", "thin")[1] is None


def test_the_image_of_a_memory_is_larger_than_the_memory():
    assert memory_image(8 * GIB) == 10_928_175_185
    found = memory_need(sr_type="lvm", provisioning="thick", static_max=8 * GIB)
    assert found.lower == 10_955_522_048


def test_journals_are_needed_once_and_what_is_not_known_leaves_the_sum_open():
    known = Need(lower=1 * KIB, expected=2 * KIB, upper=3 * KIB, transient=100)
    guess = Need(lower=1 * KIB, expected=None, upper=3 * KIB)
    assert summed([known, known]) == Need(lower=2 * KIB, expected=4 * KIB + 100, upper=6 * KIB + 100)
    assert summed([known, guess]).expected is None
    assert summed([]) == Need(lower=0, expected=0, upper=0)
