"""Proxies that jobs run on, and rolling updates: what is asked, what is not, and what an answer that never comes leaves."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from guard.estate.estate import PartName
from guard.estate.xo_records import Proxy, XoTask
from guard.simulator.faults import Faults, Hang, RpcFailure
from guard.simulator.world import World
from msgspec import UNSET
from tests.xo.watched import Watched, read

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)
PATH, HEALTH = "/rest/v0/proxies", "proxy.checkHealth"


def world_of(*reachable):
    """One job per proxy, and a proxy that no job runs on."""
    world = World(lambda: NOW)
    world.add_proxy("spare")
    proxies = [world.add_proxy(f"proxy-{n}", reachable=one) for n, one in enumerate(reachable)]
    for proxy in proxies:
        world.add_job(f"job of {proxy['name']}", proxy=proxy["id"])
        world.add_job(f"second job of {proxy['name']}", proxy=proxy["id"])
    world.add_job("job of none")
    return world, proxies


def with_faults(world, **faults):
    planted = Faults()
    for where, fault in faults.items():
        planted.plant({"names": PATH, "health": HEALTH}[where], fault)
    return Watched(world, planted)


def asked(app):
    return [one.path for one in app.requests if one.path == PATH], [one for one in app.calls if one["method"] == HEALTH]


def test_where_no_job_runs_on_a_proxy_none_is_asked_about():
    app = Watched(world_of()[0])
    found = read(app, NOW)
    assert (found.proxies, asked(app)) == ((), ([], []))
    part = found.parts[PartName.PROXIES]
    assert (part.usable, part.source) == (True, "not asked: no job runs on a proxy")


def test_each_used_proxy_is_asked_about_once_and_its_address_with_the_token_never():
    world, (well, away) = world_of(True, False)
    app = Watched(world)
    found = read(app, NOW)
    assert found.proxy_by_id == {
        well["id"]: Proxy(id=well["id"], name="proxy-0", vm=well["vmUuid"], version="0.29.60", healthy=True),
        away["id"]: Proxy(id=away["id"], name="proxy-1", vm=away["vmUuid"], healthy=False, error="fetch failed"),
    }
    paths, calls = asked(app)
    assert (len(paths), [one["params"]["id"] for one in calls]) == (1, [well["id"], away["id"]])
    assert "url" not in next(one for one in app.requests if one.path == PATH).query["fields"].split(",")
    assert found.parts[PartName.PROXIES].source == "GET /rest/v0/proxies, proxy.checkHealth"


def test_names_that_never_come_leave_the_ids_and_nothing_else_unknown():
    world, (proxy,) = world_of(True)
    found = read(with_faults(world, names=Hang()), NOW, call_timeout_s=3)
    assert found.proxies == (Proxy(id=proxy["id"], name=proxy["id"], healthy=True),)
    assert all(part.usable for part in found.parts.values())


@pytest.mark.parametrize("body", ["[{", '{"id":"p"}', '[{"id":5}]'])
def test_names_of_another_shape_leave_the_ids(body):
    world, (proxy,) = world_of(True)
    found = read(Watched(world, instead={PATH: body}), NOW)
    assert [(one.name, one.healthy) for one in found.proxies] == [(proxy["id"], True)]


def test_a_health_that_guard_gave_up_on_is_not_known_and_makes_nothing_else_unknown():
    world, _ = world_of(True)
    found = read(with_faults(world, health=Hang()), NOW, call_timeout_s=3)
    (proxy,) = found.proxies
    assert (proxy.name, proxy.healthy) == ("proxy-0", UNSET)
    assert "did not answer proxy.checkHealth within 3 s" in proxy.error
    assert all(part.usable for part in found.parts.values())


def test_an_error_is_no_answer_about_the_health_either():
    world, _ = world_of(True)
    (proxy,) = read(with_faults(world, health=RpcFailure(-32000, "out of memory")), NOW).proxies
    assert proxy.healthy is UNSET
    assert "out of memory" in proxy.error


def test_a_proxy_that_is_gone_is_not_healthy():
    world, (proxy,) = world_of(True)
    del world.proxies[proxy["id"]]
    (found,) = read(Watched(world), NOW).proxies
    assert (found.id, found.healthy) == (proxy["id"], False)
    assert "no such proxy" in found.error


def test_a_token_that_may_not_ask_makes_the_part_unknown():
    world, _ = world_of(True)
    found = read(with_faults(world, health=RpcFailure(2, "not enough permissions")), NOW)
    assert not found.parts[PartName.PROXIES].ok
    assert found.parts[PartName.VMS].ok


# --- rolling updates


def tasks_asked(app):
    return [one.query for one in app.requests if one.path == "/rest/v0/tasks"]


def pool_of(world):
    pool = world.add_pool("paris")
    return pool, world.add_host(pool, "xcp-1")


def rolling(world, pool, status="pending"):
    task = {
        "id": f"t-{status}",
        "status": status,
        "properties": {"name": "Rolling pool update", "objectId": pool["id"]},
    }
    world.xo_tasks[task["id"]] = task
    other = {"id": "other", "status": "pending", "properties": {"name": "backup run", "params": {"secret": "s"}}}
    world.xo_tasks["other"] = other


def test_while_every_host_runs_xo_is_not_asked_for_its_tasks():
    world = World(lambda: NOW)
    rolling(world, pool_of(world)[0])
    app = Watched(world)
    found = read(app, NOW)
    assert (found.xo_tasks, tasks_asked(app)) == ((), [])
    part = found.parts[PartName.XO_TASKS]
    assert (part.usable, part.source) == (True, "not asked: every host runs and every server is connected")


@pytest.mark.parametrize("change", [{"enabled": False}, {"power_state": "Halted"}, {"power_state": "Unknown"}])
def test_a_host_out_of_service_makes_guard_ask_and_only_rolling_tasks_are_kept(change):
    world = World(lambda: NOW)
    pool, host = pool_of(world)
    host.update(change)
    rolling(world, pool)
    rolling(world, pool, "success")
    app = Watched(world)
    found = read(app, NOW)
    properties = {"name": "Rolling pool update", "objectId": pool["id"]}
    assert found.xo_tasks == (XoTask(id="t-pending", status="pending", properties=properties),)
    assert tasks_asked(app) == [{"fields": "id,status,properties", "filter": "status:pending"}]
    assert found.parts[PartName.XO_TASKS].source == "GET /rest/v0/tasks"


@pytest.mark.parametrize(("enabled", "times"), [(True, 1), (False, 0)])
def test_a_server_that_is_away_makes_guard_ask_unless_a_person_switched_it_off(enabled, times):
    world = World(lambda: NOW)
    world.disconnect(world.server_of(pool_of(world)[0]), enabled=enabled)
    app = Watched(world)
    read(app, NOW)
    assert len(tasks_asked(app)) == times


def test_without_the_hosts_a_rolling_update_cannot_be_ruled_out():
    world = World(lambda: NOW)
    pool_of(world)
    app = Watched(world, instead={"/rest/v0/hosts": "[{"})
    assert not read(app, NOW).parts[PartName.HOSTS].ok
    assert len(tasks_asked(app)) == 1


def test_tasks_that_cannot_be_read_are_unknown():
    world = World(lambda: NOW)
    pool_of(world)[1]["enabled"] = False
    found = read(Watched(world, instead={"/rest/v0/tasks": "[{"}), NOW)
    assert not found.parts[PartName.XO_TASKS].ok


@pytest.mark.parametrize(
    ("error", "text"),
    [
        ({"message": "connect to https://token@p.example/ failed"}, "connect to https://p.example/ failed"),
        ("502 Bad Gateway", "502 Bad Gateway"),
        (None, ""),
        ({"code": 5}, ""),
    ],
)
def test_the_reason_is_told_without_the_token_of_the_address(error, text, monkeypatch):
    world, _ = world_of(False)
    app = Watched(world)
    health = app._rpc.methods[HEALTH]
    told = {"success": False, "error": error}
    monkeypatch.setitem(app._rpc.methods, HEALTH, replace(health, call=lambda _session, _params: told))
    assert [(one.healthy, one.error) for one in read(app, NOW).proxies] == [(False, text)]


def test_a_health_of_another_shape_is_not_known(monkeypatch):
    world, _ = world_of(True)
    app = Watched(world)
    health = app._rpc.methods[HEALTH]
    monkeypatch.setitem(app._rpc.methods, HEALTH, replace(health, call=lambda _session, _params: "fine"))
    (proxy,) = read(app, NOW).proxies
    assert proxy.healthy is UNSET
    assert "not the expected shape" in proxy.error
