"""XO's configuration files, and what a run makes of httpInactivityTimeout (xo-api.md 7, failure-modes.md 3.12)."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from guard.simulator.config import BrokenConfigError, Config
from tests.simulator.living import MIB, Small, check_like, recorded, utc

MINUTES = 60.0
ORDER = (
    "config._a.toml",
    "config.-a.toml",
    "config.1.toml",
    "config.a.toml",
    "config.A.toml",
    "config.httpInactivityTimeout.toml",
    "config.toml",
    "config.z_a.toml",
    "config.z-auto.json",
    "config.z.toml",
    "config.Z.toml",
    "config.zauto.toml",
    "config.zz-backup-guard.toml",
)
"""As the real one sorts them (Node.js, ``localeCompare`` in English)."""


def put(folder: Path, name: str, milliseconds: float) -> Path:
    path = folder / name
    text = f'{{"xapiOptions": {{"httpInactivityTimeout": {milliseconds}}}}}'
    path.write_text(text if name.endswith("json") else f"[xapiOptions]\nhttpInactivityTimeout = {milliseconds}\n")
    return path


def read(folder: Path) -> float:
    config = Config()
    config.folder = folder
    return config.http_inactivity


# --- which file wins


def test_files_are_laid_over_one_another_in_the_order_of_the_real_one(tmp_path: Path) -> None:
    for number, name in enumerate(ORDER):
        put(tmp_path, name, 400_000 + number * 1000)
        assert read(tmp_path) == 400 + number
    for number, name in reversed(list(enumerate(ORDER))):
        assert read(tmp_path) == 400 + number
        (tmp_path / name).unlink()
    assert read(tmp_path) == 300


def test_a_later_file_without_the_key_leaves_it_and_one_that_is_no_config_counts_for_nothing(tmp_path: Path) -> None:
    put(tmp_path, "config.toml", 600_000)
    (tmp_path / "config.z.toml").write_text("[xapiOptions]\nmaxUncoalescedVdis = 2\n[http]\nport = 80\n")
    put(tmp_path, "config.zz.toml.tmp", 900_000)
    put(tmp_path, "other.toml", 900_000)
    put(tmp_path, ".config.toml", 900_000)
    assert read(tmp_path) == 600


def test_a_link_is_what_it_points_to(tmp_path: Path) -> None:
    put(tmp_path, "elsewhere.toml", 900_000)
    put(tmp_path, "elsewhere.txt", 1_200_000)
    (tmp_path / "config.a.toml").symlink_to(tmp_path / "elsewhere.toml")
    (tmp_path / "config.b.toml").symlink_to(tmp_path / "elsewhere.txt")
    assert read(tmp_path) == 900
    (tmp_path / "config.c.toml").symlink_to(tmp_path / "nowhere.toml")
    with pytest.raises(BrokenConfigError, match=r"config\.c\.toml"):
        read(tmp_path)


@pytest.mark.parametrize("text", ["[xapiOptions", "a = 1\na = 2\n", b"\xff"])
def test_a_file_that_is_no_toml_breaks_the_whole_configuration(tmp_path: Path, text: str | bytes) -> None:
    put(tmp_path, "config.toml", 600_000)
    (tmp_path / "config.a.toml").write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(BrokenConfigError, match=r"config\.a\.toml"):
        read(tmp_path)


@pytest.mark.parametrize("value", ['"30 minutes"', "true", "-1", "1.5"])
def test_a_value_that_was_never_tried_on_a_real_xo_is_not_made_up(tmp_path: Path, value: str) -> None:
    (tmp_path / "config.toml").write_text(f"[xapiOptions]\nhttpInactivityTimeout = {value}\n")
    with pytest.raises(NotImplementedError, match="never seen"):
        read(tmp_path)


def test_zero_is_no_limit_at_all(tmp_path: Path) -> None:
    put(tmp_path, "config.toml", 0)
    assert read(tmp_path) == float("inf")


# --- what XO does with them


def test_a_file_that_breaks_while_xo_runs_leaves_the_last_good_value_and_a_warning(tmp_path: Path) -> None:
    small = Small()
    small.live.config.folder = tmp_path
    put(tmp_path, "config.zz.toml", 1_800_000)
    small.live.advance(timedelta(seconds=10))
    (tmp_path / "config.toml").write_text("[xapiOptions")
    small.live.advance(timedelta(minutes=1))
    (warning,) = small.live.config.warnings
    assert "config.toml" in warning
    assert small.live.config.http_inactivity == 1800
    (tmp_path / "config.toml").unlink()
    (tmp_path / "config.zz.toml").unlink()
    small.live.advance(timedelta(seconds=10))
    assert small.live.config.http_inactivity == 300


def test_xo_does_not_start_with_a_broken_file_and_starts_once_it_is_gone(tmp_path: Path) -> None:
    small = Small()
    small.live.config.folder = tmp_path
    broken = tmp_path / "config.toml"
    broken.write_text("[xapiOptions")
    small.live.restart_xo(timedelta(minutes=1))
    small.live.advance(timedelta(hours=8))
    assert (small.live.down, small.logs()) == ("gone", [])
    broken.unlink()
    put(tmp_path, "config.zz.toml", 600_000)
    small.live.start_xo()
    small.live.advance(timedelta(minutes=1))
    assert (small.live.down, small.live.config.http_inactivity) == ("", 600)
    assert small.run()["status"] == "success"


def test_xo_does_not_look_at_its_files_while_it_is_down(tmp_path: Path) -> None:
    small = Small()
    small.live.config.folder = tmp_path
    small.live.stop_xo()
    put(tmp_path, "config.zz.toml", 600_000)
    small.live.advance(timedelta(hours=1))
    assert small.live.config.http_inactivity == 300
    small.live.start_xo()
    assert small.live.config.http_inactivity == 600


# --- silent hosts


def test_an_export_fails_when_its_host_is_silent_for_longer_than_xo_waits_and_else_only_takes_longer() -> None:
    small = Small()
    small.live.planted.silence(small.web, 720, before_headers=True)
    log = small.run()
    check_like(recorded("export_timeout"), log)
    assert 300_000 < log["end"] - log["start"] < 310_000
    small.live.config.http_inactivity = 30 * MINUTES
    small.live.advance(timedelta(minutes=1))
    log = small.run()
    check_like(recorded("export_timeout_with_workaround"), log)
    assert log["end"] - log["start"] > 720_000


@pytest.mark.parametrize(("seconds", "status"), [(299, "success"), (300, "success"), (301, "failure")])
def test_the_limit_itself_is_not_too_long(seconds: float, status: str) -> None:
    small = Small()
    small.live.planted.silence(small.web, seconds, after=0.3)
    assert small.run()["status"] == status


@pytest.mark.parametrize(
    ("before_headers", "replicated", "text"),
    [
        (True, False, "Headers Timeout Error"),
        (False, False, "Body Timeout Error"),
        (False, True, "HTTP connection has timed out"),
        (True, True, "Headers Timeout Error"),
    ],
)
def test_the_text_is_that_of_the_way_the_bytes_go(before_headers: bool, replicated: bool, text: str) -> None:
    small = Small()
    if replicated:
        small.job.pop("remotes")
        small.job["srs"] = {"id": small.lvm["id"]}
    small.live.planted.silence(small.host, 720, before_headers=before_headers)
    (vm,) = small.run()["tasks"]
    assert (vm["status"], vm["result"]["message"]) == ("failure", text)


def test_a_replication_stands_still_with_the_master_of_the_pool_it_is_written_to() -> None:
    small = Small()
    far = small.world.add_pool("lyon")
    master = small.world.add_host(far, "xcp-lyon")
    sr = small.world.add_sr(far, "Far", "nfs")
    small.job["srs"] = {"id": sr["id"]}
    small.live.planted.silence(master, 720)
    (vm,) = small.run()["tasks"]
    exports = {step["data"]["type"]: step["status"] for step in vm["tasks"] if step["message"] == "export"}
    assert exports == {"remote": "success", "SR": "failure"}


def test_a_run_keeps_the_value_it_began_with() -> None:
    small = Small()
    small.live.planted.silence(small.web, 720)
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=1))
    small.live.config.http_inactivity = 30 * MINUTES
    small.live.advance(timedelta(hours=1))
    assert run.log["status"] == "failure"
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(minutes=1))
    small.live.config.http_inactivity = 300
    small.live.advance(timedelta(hours=1))
    assert run.log["status"] == "success"


def test_a_file_written_before_its_due_time_is_in_force_for_the_run_that_xo_starts(tmp_path: Path) -> None:
    small = Small()
    small.live.config.folder = tmp_path
    small.live.planted.silence(small.web, 720)
    small.live.advance(utc(25, 1, 59, 59))
    put(tmp_path, "config.zz-backup-guard.toml", 1_800_000)
    small.live.advance(utc(25, 3))
    assert [log["status"] for log in small.logs()] == ["success"]
    (tmp_path / "config.zz-backup-guard.toml").unlink()
    small.live.advance(utc(26, 3))
    assert [log["status"] for log in small.logs()] == ["success", "failure"]


def test_a_job_on_a_proxy_knows_nothing_of_xos_files(tmp_path: Path) -> None:
    small = Small()
    proxy = small.world.add_proxy("branch")
    small.job["proxy"] = small.nas["proxy"] = proxy["id"]
    small.live.planted.silence(small.web, 720)
    small.live.config.http_inactivity = 30 * MINUTES
    assert small.run()["status"] == "failure"
    small.live.advance(timedelta(minutes=1))
    small.live.config.proxies[proxy["id"]] = 30 * MINUTES
    assert small.run()["status"] == "success"


def test_without_a_limit_a_host_that_never_answers_hangs_the_run() -> None:
    small = Small()
    small.live.config.http_inactivity = float("inf")
    small.live.planted.fail_exports(small.web, "Body Timeout Error")
    run = small.live.jobs.run_schedule(small.schedule, "rpc")
    small.live.advance(timedelta(days=1))
    assert run.log["status"] == "pending"


def test_a_planted_timeout_comes_when_the_run_has_waited_for_as_long_as_it_does() -> None:
    small = Small()
    small.live.config.http_inactivity = 20 * MINUTES
    small.live.planted.fail_exports(small.web, "Body Timeout Error")
    log = small.run()
    assert log["end"] - log["start"] > 1_200_000


def test_what_goes_over_nbd_knows_nothing_of_a_silent_export() -> None:
    small = Small()
    small.live.planted.silence(small.host, 720)
    small.job["settings"][""]["preferNbd"] = True
    assert small.run()["status"] == "failure"
    (network,) = small.world.objects["network"].values()
    network["nbd"] = True
    small.live.advance(timedelta(minutes=1))
    assert small.run()["status"] == "success"
    small.job["mode"] = "full"
    assert small.run()["status"] == "failure"


def test_a_silence_that_is_taken_back_is_over() -> None:
    small = Small()
    small.live.planted.silence(small.web, 720)
    small.live.planted.lift(small.web)
    assert small.run()["status"] == "success"


def full_or_delta(log: dict) -> list[bool]:
    return [step["data"]["isFull"] for step in log["tasks"][0]["tasks"] if step["message"] == "export"]


@pytest.mark.parametrize("before_headers", [True, False])
def test_a_transfer_that_failed_has_cost_the_base_and_the_next_run_is_a_full(before_headers: bool) -> None:
    small = Small()
    shown = []
    for silence in (0, 0, 720, 0, 0):
        small.live.planted.silence(small.web, silence, before_headers=before_headers)
        small.world.write(small.web_disk, 50 * MIB)
        log = small.run()
        shown.append((log["status"], *full_or_delta(log), len(small.web["snapshots"])))
        small.live.advance(timedelta(hours=1))
    assert shown == [
        ("success", True, 1),
        ("success", False, 1),
        ("failure", False, 1),
        ("success", True, 1),
        ("success", False, 1),
    ]
