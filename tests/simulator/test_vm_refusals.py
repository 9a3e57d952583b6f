"""What stands in the way of a snapshot in the simulated pool, and that guard's classifier gives it the code it predicts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest
from guard.estate.xo_records import BackupLog
from guard.outcomes.causes import causes
from tests.simulator.living import MIB, Small


def _usb(small: Small) -> None:
    small.world.add_vusb(small.web)


def _blocked(small: Small) -> None:
    small.web["blockedOperations"]["snapshot"] = "ask first"


def _missing(small: Small) -> None:
    small.web_disk["missing"] = True


def _raw(small: Small) -> None:
    small.web_disk["image_format"] = "raw"


def _removable(small: Small) -> None:
    small.nfs["SR_type"] = "udev"


def _deep(small: Small) -> None:
    small.world.add_base_copies(small.web_disk, 30, usage=MIB)
    small.live.tolerance = 99


def _replica(small: Small) -> None:
    small.web |= {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": small.job["id"]}}


REFUSED: list[tuple[Callable[[Small], None], str]] = [
    (_usb, "USB_ATTACHED"),
    (_blocked, "SNAPSHOT_BLOCKED"),
    (_missing, "DISK_UNREADABLE"),
    (_raw, "SNAPSHOT_UNSUPPORTED"),
    (_removable, "SNAPSHOT_UNSUPPORTED"),
    (_deep, "CHAIN_TOO_LONG"),
    (_replica, "OWN_REPLICA"),
]


def _codes(log: object) -> list[str]:
    return [one.code for one in causes(msgspec.convert(log, BackupLog))]


@pytest.mark.parametrize(("plant", "code"), REFUSED, ids=[plant.__name__[1:] for plant, _ in REFUSED])
def test_the_run_fails_for_what_was_planted(plant: Callable[[Small], None], code: str) -> None:
    small = Small()
    plant(small)
    assert _codes(small.run()) == [code]


def test_a_halted_vm_gives_its_usb_device_back_for_the_snapshot() -> None:
    small = Small()
    _usb(small)
    small.web["power_state"] = "Halted"
    assert _codes(small.run()) == []


def test_a_disk_that_is_left_out_by_its_name_stands_in_nobodys_way() -> None:
    small = Small()
    _raw(small)
    small.world.add_disk(small.web, small.nfs, 20 * MIB)
    small.web_disk["name_label"] = "[NOBAK] raw"
    assert _codes(small.run()) == []


def test_a_health_check_on_an_sr_that_is_gone_ends_the_run_before_any_vm() -> None:
    small = Small()
    small.job["settings"][small.schedule["id"]]["healthCheckSr"] = "gone"
    log = small.run()
    assert (log["status"], _codes(log)) == ("failure", ["HEALTH_CHECK_SR_MISSING"])
    assert [one for one in log.get("tasks", []) if one["message"] == "backup VM"] == []


def test_a_target_sr_that_is_gone_is_a_failed_task_and_the_other_target_gets_its_copy() -> None:
    small = Small()
    small.job["srs"] = {"id": "gone"}
    log = small.run()
    assert (log["status"], _codes(log)) == ("failure", ["SR_UNKNOWN"])
    assert [one["status"] for one in log["tasks"] if one["message"] == "backup VM"] == ["success"]
