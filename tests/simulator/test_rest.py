"""What the REST face does that no recording shows."""

from __future__ import annotations

import base64
import gzip

import httpx
import pytest
from guard.simulator.world import VmOutcome
from tests.simulator.faces import TOKEN, get
from tests.simulator.worlds import NOW, minutes, small_world


def basic(text: str, scheme: str = "Basic") -> dict[str, str]:
    return {"authorization": f"{scheme} {base64.b64encode(text.encode()).decode()}"}


@pytest.mark.parametrize(
    ("cookies", "headers", "status"),
    [
        ({"authenticationToken": "simulated-token"}, {}, 200),
        ({"token": "simulated-token"}, {}, 200),
        ({"authenticationToken": "wrong"}, {}, 401),
        ({}, basic("admin@example.org:simulated-password"), 200),
        ({}, basic("admin@example.org:wrong"), 401),
        ({}, {"authorization": "Bearer simulated-token"}, 401),
        ({}, {}, 401),
        (TOKEN, basic("admin@example.org:simulated-password"), 400),
    ],
)
def test_credentials_are_taken_as_xo_takes_them(cookies: dict, headers: dict, status: int) -> None:
    assert get(small_world().world, "/vms", cookies=cookies, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/ping", "/docs/swagger.json"])
def test_some_routes_need_no_credentials(path: str) -> None:
    assert get(small_world().world, path, cookies=None).status_code == 200


def test_a_user_without_rights_sees_empty_lists_and_no_object() -> None:
    small = small_world()
    small.world.add_user("reader@example.org", "reader", permission="none")
    cookies = {"authenticationToken": "reader"}
    listed = get(small.world, "/vms?fields=*", cookies=cookies)
    assert (listed.status_code, listed.json()) == (200, [])
    assert get(small.world, f"/vms/{small.thin['id']}", cookies=cookies).status_code == 403


def test_a_pool_xo_has_lost_takes_its_objects_along() -> None:
    small = small_world()
    small.world.disconnect(small.world.server_of(small.pool), "connecting", error={"code": "ETIMEDOUT"})
    for collection in ("pools", "hosts", "srs", "vms", "vdis", "vbds", "pbds"):
        assert get(small.world, f"/{collection}").json() == []
    assert get(small.world, f"/vms/{small.thin['id']}").status_code == 404
    (server,) = get(small.world, "/servers?fields=*").json()
    assert (server["status"], "poolId" in server, server["error"]) == ("connecting", False, {"code": "ETIMEDOUT"})
    small.world.connect(small.world.server_of(small.pool))
    assert len(get(small.world, "/vms").json()) == 2


def test_fields_reach_into_objects_and_skip_what_is_missing() -> None:
    small = small_world()
    (row,) = get(small.world, "/vms?fields=id,memory.size,nope,boot.nope.deep&filter=tags:prod").json()
    assert row == {"id": small.thick["id"], "memory": {"size": 2**31}, "href": f"/rest/v0/vms/{small.thick['id']}"}


def test_a_limit_on_logs_keeps_the_oldest() -> None:
    small = small_world()
    for hours in (3, 1, 2):
        small.world.add_run(small.schedule, NOW + minutes(60 * hours), NOW + minutes(60 * hours + 1), {})
    rows = get(small.world, "/backup-logs?fields=start&limit=1").json()
    assert [row["start"] for row in rows] == [round((NOW + minutes(60)).timestamp() * 1000)]


def test_json_above_one_kilobyte_is_compressed_and_ndjson_never_is() -> None:
    world = small_world().world
    assert get(world, "/vms?fields=*").headers["content-encoding"] == "gzip"
    assert "content-encoding" not in get(world, "/vms?fields=*&ndjson=true").headers
    assert "content-encoding" not in get(world, "/vms").headers
    plain = get(world, "/vms?fields=*", headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text.startswith('[\n  {\n    "addresses"')
    assert gzip.compress(plain.content) != plain.content


@pytest.mark.parametrize("query", ["ndjson=1", "ndjson=", "limit=abc", "limit="])
def test_a_query_xo_does_not_understand_is_refused_with_an_object(query: str) -> None:
    answer = get(small_world().world, f"/vms?{query}")
    assert answer.status_code == 422
    assert list(answer.json()["error"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(("limit", "count"), [("0", 0), ("1", 1), ("-1", 2), ("7", 2)])
def test_a_limit_counts_rows_and_a_negative_one_is_none(limit: str, count: int) -> None:
    assert len(get(small_world().world, f"/vms?limit={limit}").json()) == count


def test_a_single_object_comes_whole_and_without_href() -> None:
    small = small_world()
    assert get(small.world, f"/vms/{small.thin['id']}?fields=id").json() == small.thin


def test_running_jobs_can_be_filtered() -> None:
    small = small_world()
    assert get(small.world, "/backup-jobs?filter=runId?").json() == []
    log = small.world.start_run(small.schedule)
    rows = get(small.world, "/backup-jobs?filter=runId?&fields=runId").json()
    assert [row["runId"] for row in rows] == [log["id"]]


def test_a_disabled_repository_is_not_healthy() -> None:
    small = small_world()
    off = small.world.add_repository("off", enabled=False)
    answer = get(small.world, f"/backup-repositories/{off['id']}/health")
    assert (answer.status_code, answer.json()) == (500, {"error": "remote is disabled"})


def test_logs_can_be_asked_for_by_start() -> None:
    small = small_world()
    early = small.world.add_run(small.schedule, NOW, NOW, {small.thin["id"]: VmOutcome()})
    late = small.world.add_run(small.schedule, NOW + minutes(5), NOW + minutes(6), {})
    rows = get(small.world, f"/backup-logs?filter=start:>{early['start']}").json()
    assert rows == [f"/rest/v0/backup-logs/{late['id']}"]


def test_only_reading_is_offered() -> None:
    small = small_world()
    answer: httpx.Response = get(small.world, f"/schedules/{small.schedule['id']}/actions/run")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
