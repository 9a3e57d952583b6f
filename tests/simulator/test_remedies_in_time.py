"""What a client may have XO put right: scans, connections, plugs, tests of repositories, in driven time."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from guard.simulator.faults import Faults
from guard.simulator.jobs import Run
from guard.simulator.rpc import RpcApi
from guard.simulator.rpc_protocol import RpcError, Session
from guard.simulator.rpc_writes import error_of
from guard.simulator.vm_snapshots import is_unhealthy
from guard.simulator.world import GIB, World
from tests.simulator.living import MIB, Small

METHODS = {"sr.scan": "SR", "pbd.connect": "PBD", "server.enable": "xenServer", "server.disable": "xenServer"}


class Asked(Small):
    """The small world, its schedule off, and an admin's socket."""

    def __init__(self) -> None:
        super().__init__()
        self.schedule["enabled"] = False
        self.rpc, self.session = RpcApi(self.live.world, Faults()), Session()
        self.rpc.call(self.session, "session.signIn", {"token": "simulated-token"})
        self.server = self.world.server_of(self.pool)
        self.pbd = self.world.get("PBD", self.nfs["$PBDs"][0])

    def begin(self, method: str, found: dict[str, Any]) -> Run:
        """Ask, and wait for nothing."""
        begun = self.rpc.call(self.session, method, {"id": found["id"]})
        assert isinstance(begun, Run)
        return begun

    def ask(self, method: str, found: dict[str, Any]) -> tuple[Any, float]:
        """The answer, a result or the body of an error, and the seconds it took."""
        began = self.live.now()
        try:
            call = self.rpc.call(self.session, method, {"id": found["id"]})
        except RpcError as refused:
            return refused.body, 0.0
        if not isinstance(call, Run):
            return call, 0.0
        for _ in range(20_000):
            if call.ended:
                break
            self.live.advance(timedelta(seconds=0.5))
        assert call.ended
        seconds = (self.live.now() - began).total_seconds()
        return (call.result if call.error is None else error_of(call.error).body), seconds

    def tasks(self, name: str) -> list[dict[str, Any]]:
        return [one for one in self.world.objects.get("task", {}).values() if one["name_label"] == name]

    def bases(self) -> int:
        return sum(1 for one in self.world.objects.get("VDI-unmanaged", {}).values() if one["$SR"] == self.nfs["id"])


@pytest.fixture
def small() -> Asked:
    return Asked()


# --- all of them


@pytest.mark.parametrize(("method", "kind"), METHODS.items(), ids=METHODS)
def test_what_xo_does_not_know_is_refused_as_recorded_for_schedules(small: Asked, method: str, kind: str) -> None:
    body, _ = small.ask(method, {"id": "nope"})
    word = "object" if kind in {"SR", "PBD"} else kind
    assert (body["code"], body["message"]) == (1, f"no such {word} nope")
    assert body["data"] == {"id": "nope", "type": [kind] if word == "object" else kind}


@pytest.mark.parametrize("method", [*METHODS, "remote.test"])
def test_an_unknown_parameter_is_refused_and_nothing_is_done(small: Asked, method: str) -> None:
    with pytest.raises(RpcError, match="invalid parameters"):
        small.rpc.call(small.session, method, {"id": small.nfs["id"], "force": True})
    assert small.world.writes == []


def test_every_one_of_them_is_a_write_and_asks_for_an_admin(small: Asked) -> None:
    asked = {
        "sr.scan": small.nfs,
        "pbd.connect": small.pbd,
        "remote.test": small.nas,
        "server.disable": small.server,
        "server.enable": small.server,
    }
    for method, found in asked.items():
        small.ask(method, found)
        with pytest.raises(RpcError, match="not enough permissions"):
            small.rpc.call(Session(), method, {"id": found["id"]})
    assert [(one.by, one.method, one.params) for one in small.world.writes] == [
        ("rpc", method, {"id": found["id"]}) for method, found in asked.items()
    ]


def test_where_there_is_no_time_all_goes_well_at_once() -> None:
    world = World(lambda: Small().live.now())
    pool = world.add_pool("paris")
    sr, nas = world.add_sr(pool, "NFS", "nfs"), world.add_repository("nas")
    world.unplug(sr)
    world.disconnect(world.server_of(pool))
    rpc, session = RpcApi(world, Faults()), Session()
    rpc.call(session, "session.signIn", {"token": "simulated-token"})
    server = world.server_of(pool)
    assert rpc.call(session, "server.enable", {"id": server["id"]}) is True
    assert rpc.call(session, "pbd.connect", {"id": sr["$PBDs"][0]}) is True
    assert rpc.call(session, "sr.scan", {"id": sr["id"]}) is True
    assert rpc.call(session, "remote.test", {"id": nas["id"]})["success"] is True
    assert (server["status"], world.get("PBD", sr["$PBDs"][0])["attached"]) == ("connected", True)
    assert rpc.call(session, "server.disable", {"id": server["id"]}) is True
    assert (server["status"], server["enabled"]) == ("disconnected", False)


# --- scans


def test_a_scan_shows_its_task_and_marks_the_sr_and_is_answered_at_its_end(small: Asked) -> None:
    small.live.scans.seconds[small.nfs["id"]] = 90.0
    call = small.begin("sr.scan", small.nfs)
    small.live.advance(timedelta(seconds=89))
    (task,) = small.tasks("Async.SR.scan")
    assert (task["status"], small.nfs["current_operations"]) == ("pending", {task["_xapiRef"]: "scan"})
    assert not call.ended
    assert small.live.calls == [call]
    small.live.advance(timedelta(seconds=1))
    assert small.live.calls == []
    assert (call.result, call.error, small.tasks("Async.SR.scan"), small.nfs["current_operations"]) == (
        True,
        None,
        [],
        {},
    )


def test_a_second_scan_of_an_sr_waits_for_the_first_and_one_of_another_sr_does_not(small: Asked) -> None:
    calls = [small.begin("sr.scan", one) for one in (small.nfs, small.nfs, small.lvm)]
    small.live.advance(timedelta(seconds=25))
    assert [one.ended for one in calls] == [True, False, True]
    small.live.advance(timedelta(seconds=20))
    assert [one.ended for one in calls] == [True, True, True]


def test_a_scan_that_waits_two_hours_for_another_is_refused_as_xapi_does(small: Asked) -> None:
    small.live.planted.hang(small.nfs, times=1)
    small.begin("sr.scan", small.nfs)
    body, seconds = small.ask("sr.scan", small.nfs)
    assert (body["code"], body["data"]["code"]) == (-32000, "OTHER_OPERATION_IN_PROGRESS")
    assert body["data"]["params"][:3] == ["SR", small.nfs["_xapiRef"], "scan"]
    assert seconds == pytest.approx(7200, abs=2)


def test_a_snapshot_waits_until_its_sr_has_been_scanned(small: Asked) -> None:
    small.live.scans.seconds[small.nfs["id"]] = 300.0
    small.begin("sr.scan", small.nfs)
    log = small.run()
    (snapshot,) = [one for one in log["tasks"][0]["tasks"] if one["message"] == "snapshot"]
    assert log["status"] == "success"
    assert 295_000 < snapshot["end"] - snapshot["start"] < 305_000


def test_a_scan_that_sm_refuses_is_answered_with_its_error_and_wakes_nobody(small: Asked) -> None:
    small.world.add_base_copies(small.web_disk, 3)
    small.live.planted.refuse(small.nfs, "SR_BACKEND_FAILURE_40", times=1)
    body, _ = small.ask("sr.scan", small.nfs)
    assert body["message"].startswith("SR_BACKEND_FAILURE_40(, The SR scan failed  [opterr=uuid=")
    assert (body["code"], body["data"]["name"], body["data"]["code"]) == (-32000, "XapiError", "SR_BACKEND_FAILURE_40")
    assert body["data"]["task"]["name_label"] == "Async.SR.scan"
    assert small.tasks("Garbage Collection") == []
    assert small.ask("sr.scan", small.nfs)[0] is True


def test_an_sr_that_the_master_does_not_see_is_not_scanned(small: Asked) -> None:
    other = small.world.add_host(small.pool, "xcp-2")
    small.world.unplug(small.nfs, small.host)
    assert any(small.world.get("PBD", one)["attached"] for one in small.nfs["$PBDs"])
    body, _ = small.ask("sr.scan", small.nfs)
    assert body["data"]["code"] == "SR_HAS_NO_PBDS"
    small.world.unplug(small.nfs, other)
    small.ask("pbd.connect", small.pbd)
    assert small.ask("sr.scan", small.nfs)[0] is True


def test_a_scan_goes_on_in_the_pool_when_xo_dies(small: Asked) -> None:
    small.live.collector.fall_asleep(small.nfs)
    small.world.add_base_copies(small.web_disk, 2)
    small.begin("sr.scan", small.nfs)
    small.live.stop_xo()
    assert small.live.calls == []
    small.live.advance(timedelta(hours=1))
    assert (small.nfs["current_operations"], small.bases()) == ({}, 0)


# --- a collector that sleeps


def test_a_collector_that_sleeps_wakes_by_no_deletion_but_by_a_scan(small: Asked) -> None:
    small.live.collector.rates[small.nfs["id"]] = 1.0 * MIB
    small.live.collector.fall_asleep(small.nfs)
    small.world.add_base_copies(small.web_disk, 3, usage=300 * MIB)
    small.web_disk["usage"] = 60 * MIB
    small.world.delete_snapshot(small.world.snapshot(small.db))
    small.world.delete_snapshot(small.world.snapshot(small.web))
    small.live.advance(timedelta(hours=5))
    assert (small.bases(), small.tasks("Garbage Collection")) == (4, [])
    assert is_unhealthy(small.world, small.web)
    assert small.ask("sr.scan", small.nfs)[0] is True
    assert len(small.tasks("Garbage Collection")) == 1
    counts = []
    for _ in range(60):
        counts.append(small.bases())
        small.live.advance(timedelta(minutes=1))
    assert counts[:5] == [4] * 5
    assert sorted(set(counts), reverse=True) == [4, 3, 2, 1, 0]
    assert not is_unhealthy(small.world, small.web)
    assert small.tasks("Garbage Collection") == []


def test_once_woken_it_wakes_by_itself_again(small: Asked) -> None:
    small.live.collector.fall_asleep(small.nfs)
    small.ask("sr.scan", small.nfs)
    small.world.delete_snapshot(small.world.snapshot(small.web))
    small.live.advance(timedelta(hours=1))
    assert small.bases() == 0


def test_a_host_that_restarts_ends_its_collector_in_the_middle_of_a_merge(small: Asked) -> None:
    small.live.collector.rates[small.nfs["id"]] = 1.0 * MIB
    small.world.add_base_copies(small.web_disk, 2, usage=500 * MIB)
    small.web_disk["usage"] = 60 * MIB
    before = small.nfs["physical_usage"]
    small.live.collector.kick(small.nfs)
    small.live.advance(timedelta(minutes=6))
    assert small.nfs["physical_usage"] > before
    small.live.collector.fall_asleep(small.nfs)
    assert (small.nfs["physical_usage"], small.tasks("Garbage Collection")) == (before, [])
    small.live.advance(timedelta(hours=5))
    assert small.bases() == 2
    small.ask("sr.scan", small.nfs)
    small.live.advance(timedelta(hours=1))
    assert small.bases() == 0


# --- servers


def lost(small: Asked) -> None:
    small.world.disconnect(small.server, "disconnected", error={"code": "SESSION_AUTHENTICATION_FAILED"})


def shown(small: Asked) -> tuple[str, bool]:
    """The server's status, and whether XO shows the pool's VMs."""
    return small.server["status"], bool(small.world.visible("VM"))


def test_a_server_that_is_enabled_is_connected_at_once_and_shows_its_objects_seconds_later(small: Asked) -> None:
    lost(small)
    call = small.begin("server.enable", small.server)
    assert shown(small) == ("connecting", False)
    small.live.advance(timedelta(seconds=1))
    assert (call.ended, call.error, shown(small)) == (True, None, ("connected", False))
    assert "error" not in small.server
    assert small.server["poolId"] == small.pool["id"]
    small.live.advance(timedelta(seconds=9))
    assert shown(small) == ("connected", True)


@pytest.mark.parametrize("status", ["connected", "connecting"])
def test_a_server_that_is_connected_or_connecting_is_refused_in_xos_words(small: Asked, status: str) -> None:
    if status == "connecting":
        small.world.disconnect(small.server, "connecting")
    body, seconds = small.ask("server.enable", small.server)
    assert (body["code"], body["message"], seconds) == (-32000, "the server is already connected", 0.0)
    assert small.server["status"] == status


@pytest.mark.parametrize(
    ("code", "message", "kept"),
    [
        (
            "SESSION_AUTHENTICATION_FAILED",
            "SESSION_AUTHENTICATION_FAILED(root, Authentication failure)",
            {"code": "SESSION_AUTHENTICATION_FAILED", "params": ["root", "Authentication failure"]},
        ),
        (
            "EHOSTUNREACH",
            "connect EHOSTUNREACH paris.example:443",
            {"errno": -113, "code": "EHOSTUNREACH", "syscall": "connect", "address": "paris.example", "port": 443},
        ),
    ],
)
def test_a_connection_that_fails_is_answered_and_kept_in_the_record_without_its_message(
    small: Asked, code: str, message: str, kept: dict[str, Any]
) -> None:
    lost(small)
    small.live.planted.refuse(small.server, code, times=1)
    body, _ = small.ask("server.enable", small.server)
    assert (body["code"], body["message"], body["data"]["code"]) == (-32000, message, code)
    assert kept.items() <= small.server["error"].items()
    assert "message" not in small.server["error"]
    assert (small.server["enabled"], shown(small)) == (True, ("disconnected", False))
    assert small.ask("server.enable", small.server)[0] is True


def test_a_pool_that_does_not_answer_is_told_after_a_while(small: Asked) -> None:
    lost(small)
    small.live.lose_pool(small.server)
    body, seconds = small.ask("server.enable", small.server)
    assert (body["data"]["code"], small.server["error"]["code"], seconds) == ("ETIMEDOUT", "ETIMEDOUT", 10.0)
    assert shown(small) == ("disconnected", False)


def test_a_server_that_is_disabled_shows_nothing_until_it_is_enabled(small: Asked) -> None:
    assert small.ask("server.disable", small.server)[0] is True
    assert (small.server["enabled"], shown(small)) == (False, ("disconnected", False))
    small.ask("server.enable", small.server)
    small.live.advance(timedelta(seconds=10))
    assert (small.server["enabled"], shown(small)) == (True, ("connected", True))


def test_a_server_that_is_disabled_while_it_connects_stays_so(small: Asked) -> None:
    lost(small)
    call = small.begin("server.enable", small.server)
    small.ask("server.disable", small.server)
    small.live.advance(timedelta(minutes=1))
    assert (call.ended, small.server["enabled"], shown(small)) == (True, False, ("disconnected", False))


def test_a_pool_that_went_away_unnoticed_and_is_disabled_is_never_shown_connecting(small: Asked) -> None:
    small.live.lose_pool(small.server)
    small.ask("server.disable", small.server)
    small.live.advance(timedelta(minutes=10))
    assert shown(small) == ("disconnected", False)


# --- plugs


def test_a_plug_attaches_the_sr_and_one_that_is_attached_stays_so(small: Asked) -> None:
    small.world.unplug(small.nfs)
    assert small.run()["tasks"][0]["result"]["code"] == "SR_HAS_NO_PBDS"
    for _ in range(2):
        assert small.ask("pbd.connect", small.pbd)[0] is True
        assert small.pbd["attached"] is True
    small.live.advance(timedelta(minutes=1))
    assert small.run()["status"] == "success"


def test_a_plug_that_fails_is_answered_with_xapis_error_and_leaves_it_off(small: Asked) -> None:
    small.world.unplug(small.nfs)
    small.live.planted.refuse(small.pbd, "SR_BACKEND_FAILURE_73", times=1)
    body, _ = small.ask("pbd.connect", small.pbd)
    assert body["data"]["params"] == ["", "NFS mount error [opterr=mount failed with return code 32]", ""]
    assert body["data"]["task"]["name_label"] == "Async.PBD.plug"
    assert (small.pbd["attached"], small.tasks("Async.PBD.plug")) == (False, [])
    small.host["power_state"] = "Halted"
    body, _ = small.ask("pbd.connect", small.pbd)
    assert (body["data"]["code"], body["data"]["params"]) == ("HOST_OFFLINE", [small.host["_xapiRef"]])


def test_a_pool_that_xapi_is_gone_of_is_neither_scanned_nor_plugged(small: Asked) -> None:
    small.live.lose_pool(small.server)
    for method, found in (("sr.scan", small.nfs), ("pbd.connect", small.pbd)):
        assert small.ask(method, found)[0]["message"] == "other side closed"


# --- tests of repositories


def test_a_test_of_a_repository_takes_as_long_as_its_bytes_and_leaves_a_benchmark_and_no_file(small: Asked) -> None:
    before = dict(small.world.repository_info[small.nas["id"]])
    small.live.probes.rates[small.nas["id"]] = 1.0 * MIB, 2.0 * MIB
    answer, seconds = small.ask("remote.test", small.nas)
    assert answer == {"success": True, "writeRate": 1.0 * MIB, "readRate": 2.0 * MIB}
    assert seconds == 15.0
    assert small.world.repository_info[small.nas["id"]] == before
    assert [(one["writeRate"], one["readRate"]) for one in small.nas["benchmarks"]] == [(1.0 * MIB, 2.0 * MIB)]


def test_xo_keeps_fifty_benchmarks(small: Asked) -> None:
    for _ in range(53):
        small.ask("remote.test", small.nas)
    assert len(small.nas["benchmarks"]) == 50
    times = [one["timestamp"] for one in small.nas["benchmarks"]]
    assert times == sorted(times)


def test_a_repository_without_room_fails_the_test_and_is_not_broken_by_it(small: Asked) -> None:
    small.world.set_repository_space(small.nas, 10 * GIB, 5 * MIB)
    answer, _ = small.ask("remote.test", small.nas)
    assert (answer["success"], answer["step"], answer["file"].endswith(".test")) == (False, "write", True)
    assert answer["error"] == {"errno": -28, "code": "ENOSPC", "syscall": "write"} == small.nas["error"]
    assert small.world.repository_info[small.nas["id"]]["available"] == 5 * MIB
    small.world.set_repository_space(small.nas, 1000 * GIB, 900 * GIB)
    assert small.run()["status"] == "success"
    assert small.ask("remote.test", small.nas)[0]["success"] is True
    assert "error" not in small.nas


def test_a_write_error_is_told_without_its_message(small: Asked) -> None:
    small.live.planted.refuse(small.nas, "EIO", times=1)
    answer, _ = small.ask("remote.test", small.nas)
    assert (answer["success"], answer["error"]) == (False, {"errno": -5, "code": "EIO", "syscall": "write"})


def test_where_nothing_can_be_deleted_the_file_of_the_test_stays(small: Asked) -> None:
    small.world.add_archive(small.nas, small.web, small.schedule, small.live.now(), immutable=True)
    before = small.world.repository_info[small.nas["id"]]["available"]
    assert small.ask("remote.test", small.nas)[0]["success"] is True
    assert before - small.world.repository_info[small.nas["id"]]["available"] == 10 * MIB
    assert len(small.live.shelf(small.nas["id"]).files) == 1


def test_a_test_that_hangs_is_never_answered(small: Asked) -> None:
    small.live.planted.hang(small.nas)
    call = small.begin("remote.test", small.nas)
    small.live.advance(timedelta(days=1))
    assert not call.ended


def test_what_xo_cannot_open_is_refused_and_not_tested(small: Asked) -> None:
    small.nas["error"] = {"errno": -20, "code": "ENOTDIR", "syscall": "mkdir", "path": "/srv/file/nope"}
    assert small.ask("remote.test", small.nas)[0]["message"] == "ENOTDIR: not a directory, mkdir '/srv/file/nope'"
    small.vault["enabled"] = False
    assert small.ask("remote.test", small.vault)[0]["message"] == "remote is disabled"
    far = small.world.add_repository("far", proxy=small.world.add_proxy("far", reachable=False))
    assert small.ask("remote.test", far)[0]["message"] == "fetch failed"
    near = small.world.add_repository("near", proxy=small.world.add_proxy("near"))
    assert small.ask("remote.test", near)[0]["success"] is True
    assert small.ask("remote.test", {"id": "nope"})[0]["message"] == "no such remote nope"


def test_an_object_store_is_tested_like_any_other(small: Asked) -> None:
    bucket = small.world.add_repository("bucket", "s3://key@s3.example/b", size=None)
    assert small.ask("remote.test", bucket)[0]["success"] is True
