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
        ({}, {"authorization": "Basic"}, 400),
        ({}, {"authorization": basic("admin@example.org:simulated-password")["authorization"].rstrip("=")}, 200),
        ({"authenticationToken": "", "token": "simulated-token"}, {}, 401),
    ],
)
def test_credentials_are_taken_as_xo_takes_them(cookies: dict, headers: dict, status: int) -> None:
    assert get(small_world().world, "/vms", cookies=cookies, headers=headers).status_code == status


@pytest.mark.parametrize("path", ["/ping", "/docs/swagger.json"])
def test_some_routes_need_no_credentials(path: str) -> None:
    assert get(small_world().world, path, cookies=None).status_code == 200


@pytest.mark.parametrize("path", ["/ping", "/docs/swagger.json", "/nothing"])
def test_a_bad_token_is_refused_even_where_none_is_needed(path: str) -> None:
    assert get(small_world().world, path, cookies={"token": "wrong"}).status_code == 401


def test_a_user_without_rights_sees_empty_lists_and_no_object() -> None:
    small = small_world()
    small.world.add_user("reader@example.org", "reader", permission="none")
    cookies = {"authenticationToken": "reader"}
    listed = get(small.world, "/vms?fields=*", cookies=cookies)
    assert (listed.status_code, listed.json()) == (200, [])
    refused = get(small.world, f"/vms/{small.thin['id']}", cookies=cookies)
    missing = {"objectId": small.thin["id"], "action": "read", "resource": "vm"}
    assert (refused.status_code, refused.json()["data"]) == (403, {"missingPrivileges": [missing]})
    assert get(small.world, "/vms/unknown", cookies=cookies).status_code == 404


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


def test_fields_reach_into_arrays_and_texts_too() -> None:
    small = small_world()
    asked = "tags[0],tags.length,memory.dynamic.1,name_label.length,['id']"
    (row,) = get(small.world, f"/vms?fields={asked}&filter=tags:prod").json()
    assert row == {
        "id": small.thick["id"],
        "tags": ["prod"],
        "memory": {"dynamic": [None, 2**31]},
        "name_label": {"length": 8},
        "href": f"/rest/v0/vms/{small.thick['id']}",
    }


def test_no_fields_at_all_leave_the_href() -> None:
    small = small_world()
    assert get(small.world, "/vms?fields=&filter=tags:prod").json() == [{"href": f"/rest/v0/vms/{small.thick['id']}"}]


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


@pytest.mark.parametrize(
    "query",
    [
        "ndjson=1",
        "ndjson=",
        "limit=abc",
        "limit=",
        "limit=.",
        "limit=Infinity",
        "fields=a&fields=b",
        "filter=a&filter=b",
    ],
)
def test_a_query_xo_does_not_understand_is_refused_with_an_object(query: str) -> None:
    answer = get(small_world().world, f"/vms?{query}")
    assert answer.status_code == 422
    assert list(answer.json()["error"]) == [query.partition("=")[0]]


@pytest.mark.parametrize(
    ("limit", "count"), [("0", 0), ("1", 1), ("1.", 1), ("-1", 2), ("7", 2), ("1.5", 2), ("e0", 2)]
)
def test_a_limit_counts_rows_and_one_that_never_counts_down_to_nothing_is_none(limit: str, count: int) -> None:
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


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/vms/", 200),
        ("/VMS", 200),
        ("//vms", 404),
        ("/vms//", 404),
        ("/vms%2F", 404),
        ("/vms/%E0%A4", 500),
        ("/vms/50%", 500),
    ],
)
def test_a_path_is_read_as_express_reads_it(path: str, status: int) -> None:
    assert get(small_world().world, path).status_code == status


def test_an_unknown_path_is_shown_without_harm() -> None:
    assert "Cannot GET /rest/v0/%3Cb%3E&amp;&#39;%C3%B6<" in get(small_world().world, "/%3Cb%3E&'ö").text


def test_a_call_job_is_a_job_and_no_backup_job() -> None:
    small = small_world()
    job, _ = small.world.add_sequence("weekend", [small.schedule])
    assert get(small.world, f"/backup-jobs/{job['id']}").json()["data"]["type"] == "backup-job"


def test_only_reading_is_offered() -> None:
    small = small_world()
    answer: httpx.Response = get(small.world, f"/schedules/{small.schedule['id']}/actions/run")
    assert (answer.status_code, answer.headers["content-type"]) == (404, "text/html; charset=utf-8")
