"""Where storage can be reached (failure-modes.md 4.3)."""

from __future__ import annotations

import pytest
from guard.mechanics.outlook import Outlook
from guard.mechanics.placement import cut_off_disk, serves
from msgspec import UNSET
from tests.builders import NOW, make_estate, make_host, make_pbd, make_sr, make_vdi, make_vm


def test_only_plugged_pbds_count():
    pbds = [make_pbd(), make_pbd(host="off", attached=False), make_pbd(host=UNSET, id="odd")]
    assert make_estate(pbds=pbds).hosts_of_sr["sr"] == {"host"}
    assert "elsewhere" not in make_estate().hosts_of_sr


@pytest.mark.parametrize(
    ("vm", "host", "reached"),
    [
        ({}, {}, True),
        ({"container": "host2"}, {}, False),
        ({"power_state": "Halted", "container": "pool"}, {}, True),
        ({"power_state": "Halted", "container": "pool"}, {"enabled": False}, False),
    ],
)
def test_a_running_vm_needs_its_own_host_and_a_halted_one_any_live_one(vm, host, reached):
    estate = make_estate(vms=[make_vm(**vm)], hosts=[make_host(**host)])
    assert serves(estate, estate.vms[0], estate.srs[0]) is reached
    cut = cut_off_disk(Outlook(estate, NOW), "vm")
    assert (cut is None) is reached


def test_maintenance_cuts_a_disk_off_and_what_xo_does_not_show_does_not():
    closed = make_estate(srs=[make_sr(inMaintenanceMode=True)])
    assert cut_off_disk(Outlook(closed, NOW), "vm") == make_vdi()
    assert cut_off_disk(Outlook(make_estate(vdis=[make_vdi(sr=UNSET)]), NOW), "vm") is None
