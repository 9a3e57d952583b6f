"""XO's order of precedence of job settings."""

from __future__ import annotations

import msgspec
import pytest
from guard.estate.xo_records import Job
from guard.mechanics.settings import Settings, effective, settings_key_exists, takes_snapshot


def job(settings=None, **more):
    return msgspec.convert({"id": "j", "settings": settings or {}, **more}, Job)


def test_the_defaults_are_those_of_the_runner():
    assert effective(msgspec.convert({"id": "j"}, Job), "s") == Settings()


def test_later_layers_win_job_then_schedule_then_vm_then_target():
    one = job(
        {
            "": {"exportRetention": 1, "snapshotRetention": 1, "fullInterval": 1, "deleteFirst": True},
            "s": {"exportRetention": 2, "snapshotRetention": 2, "fullInterval": 2},
            "vm": {"snapshotRetention": 3, "fullInterval": 3},
            "r": {"fullInterval": 4},
        }
    )
    found = effective(one, "s", "vm", "r")
    assert (found.delete_first, found.export_retention, found.snapshot_retention, found.full_interval) == (
        True,
        2,
        3,
        4,
    )


def test_a_vm_cannot_change_the_concurrency_or_the_health_check_sr():
    found = effective(job({"": {"concurrency": 4}, "vm": {"concurrency": 9, "healthCheckSr": "x"}}), "s", "vm")
    assert (found.concurrency, found.health_check_sr) == (4, None)


def test_a_value_of_the_wrong_type_leaves_the_weaker_one_standing():
    assert effective(job({"": {"concurrency": 4}, "s": {"concurrency": "many", "nonsense": 1}}), "s").concurrency == 4


def test_a_layer_that_is_no_object_is_ignored():
    assert effective(job({"s": None}), "s") == Settings()


def test_the_schedules_entry_must_be_an_object_to_exist():
    assert settings_key_exists(job({"s": {}}), "s")
    assert not settings_key_exists(job({"s": None}), "s")
    assert not settings_key_exists(msgspec.convert({"id": "j"}, Job), "s")


@pytest.mark.parametrize(
    ("mode", "settings", "power_state", "nobak", "expected"),
    [
        ("delta", {}, "Halted", False, True),
        ("full", {}, "Halted", False, False),
        ("full", {}, "Running", False, True),
        ("full", {"offlineBackup": True}, "Running", False, False),
        ("full", {"snapshotRetention": 1}, "Halted", False, True),
        ("full", {"unconditionalSnapshot": True}, "Halted", False, True),
        ("full", {}, "Halted", True, True),
    ],
)
def test_a_snapshot_is_taken_as_the_runner_decides(mode, settings, power_state, nobak, expected):
    one = job({"": settings}, mode=mode)
    assert takes_snapshot(one, effective(one, "s"), power_state, has_nobak_disk=nobak) is expected
