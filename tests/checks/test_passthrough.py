"""USB, PCI and GPU devices of a VM (failure-modes.md 3.10; XAPI's VM_HAS_VUSBS, VM_HAS_PCI_ATTACHED, VM_HAS_VGPU)."""

from __future__ import annotations

import pytest
from guard.checks.passthrough import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level
from tests.builders import facts, found, make_estate, make_job, make_view, make_vm, make_vusb, read

USB = {"vusbs": [make_vusb()]}
KEPT = {"exportRetention": 7}


def said(settings=None, mode="delta", **world):
    jobs = [make_job(mode=mode, settings={"schedule": KEPT | (settings or {})})]
    return found(CHECK, make_view(make_estate(jobs=jobs, **world)))


def test_a_vm_without_devices_has_nothing_to_say():
    assert said() == []


def test_a_usb_device_makes_the_snapshot_of_a_running_vm_fail():
    (finding,) = said(**USB)
    assert (finding.code, finding.level, finding.certainty) == ("USB_ATTACHED", Level.BLOCK, Certainty.CERTAIN)
    assert (finding.holds, finding.clears) == (("vm",), Clears(ClearedBy.PERSON))
    assert facts(finding) == {"usb_devices": read(1, "devices", "vusbs")}


@pytest.mark.parametrize(
    ("settings", "vm"),
    [
        ({"offlineSnapshot": True}, {}),
        ({"offlineBackup": True}, {}),
        ({}, {"tags": ["xo-offline-backup"]}),
        ({}, {"power_state": "Halted", "container": "pool"}),
    ],
)
def test_a_vm_that_is_down_for_its_snapshot_gives_its_usb_device_back(settings, vm):
    assert said(settings, vms=[make_vm(**vm)], **USB) == []


def test_another_vms_device_does_not_matter():
    assert said(vusbs=[make_vusb(vm="other")]) == []


@pytest.mark.parametrize("device", [{"attachedPcis": ["0000:03:00.0"]}, {"VGPUs": ["gpu"]}])
@pytest.mark.parametrize(
    ("settings", "tags", "codes"),
    [
        ({}, [], []),
        ({"checkpointSnapshot": True}, [], ["PASSTHROUGH_ATTACHED"]),
        ({}, ["xo-memory-backup"], ["PASSTHROUGH_ATTACHED"]),
    ],
)
def test_a_pci_or_gpu_device_stands_in_the_way_of_a_backup_with_memory_only(device, settings, tags, codes):
    findings = said(settings, vms=[make_vm(tags=tags, **device)])
    assert [one.code for one in findings] == codes
    assert [facts(one) for one in findings] == [{"devices": read(1, "devices", "vms")}] * len(codes)
