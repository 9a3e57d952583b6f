"""The traps of XO's interface (xo-api.md section 12), each by its number, as guard meets them when it reads and plans.

Numbers 2, 6 and 12 are about starting jobs, which reading does not do.
"""

from __future__ import annotations

import gzip
import io
import re
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from guard.assess import make_plan
from guard.cli.main import main
from guard.decision.verdict import Action
from guard.errors import XoAuthError, XoBootingError, XoUnreachableError
from guard.estate.capture import to_bytes
from guard.estate.estate import PartName
from guard.finding import Level
from guard.policy.schema import default_policy
from guard.simulator.faults import Faults, Html, HttpStatus, RpcFailure
from guard.simulator.world import GIB, VmOutcome, World
from guard.views.documents import plan_document
from tests.xo.watched import Watched, read

NOW = datetime(2027, 1, 31, 20, tzinfo=UTC)


class Place:
    """A world with two pools of one VM each, tagged alike, and one repository."""

    def __init__(self):
        self.world = World(lambda: NOW)
        self.pools, self.vms = [], []
        for name in ("paris", "lyon"):
            pool = self.world.add_pool(name)
            host = self.world.add_host(pool, f"xcp-{name}")
            vm = self.world.add_vm(pool, f"web-{name}", tags=["prod"], host=host)
            self.world.add_disk(vm, self.world.add_sr(pool, f"nfs-{name}", "nfs", size=1000 * GIB), size=GIB)
            self.pools.append(pool)
            self.vms.append(vm)
        self.nas = self.world.add_repository("nas", size=1000 * GIB)

    def job(self, vms=None, remotes=None, cron="0 2 * * *", **more):
        """A schedule named like its job, due within the night."""
        job = self.world.add_job("nightly", vms=self.vms[:1] if vms is None else vms, remotes=remotes or [self.nas])
        return self.world.add_schedule(job, cron, name="nightly", **more)

    def ran(self, schedule, vms, days=1):
        start = NOW - timedelta(days=days)
        outcomes = {vm["id"]: VmOutcome(sizes=GIB, is_full=True) for vm in vms}
        return self.world.add_run(schedule, start, start + timedelta(minutes=5), outcomes)


def plan(app):
    return make_plan(read(app, NOW), default_policy(), now=NOW, start=NOW, within=timedelta(hours=24))


def findings(planned):
    return {one.code: one for run in planned.runs for one in run.verdict.findings}


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (HttpStatus(500, "remote is disabled"), "GET /rest/v0/srs with 500: remote is disabled"),
        (HttpStatus(422, {"limit": {"message": "invalid float number"}}), "with 422: limit: invalid float number"),
        (Html(404), "GET /rest/v0/srs with 404: no JSON in the answer"),
    ],
)
def test_trap_1_an_error_is_text_an_object_or_a_web_page_and_is_told_in_its_own_words(fault, said):
    faults = Faults()
    faults.plant("/rest/v0/srs", fault)
    part = read(Watched(Place().world, faults), NOW).parts[PartName.SRS]
    assert (part.ok, said in part.error) == (False, True)


def test_trap_3_no_wait_no_limit_and_no_filter_that_matches_parts_of_words():
    place = Place()
    schedule = place.job()
    place.ran(schedule, place.vms[:1])
    app = Watched(place.world)
    read(app, NOW)
    asked = {name for one in app.requests for name in one.query}
    assert asked == {"fields", "filter"}
    words = [term for one in app.requests for term in re.findall(r"[^\s|()]+", one.query.get("filter", ""))]
    assert words
    assert all(re.fullmatch(r"start:>\d+|id:/\^[^/]+\$/", term) for term in words)


def test_trap_3_the_newest_of_many_logs_is_read_and_a_disconnected_server_is_not_taken_for_connected():
    place = Place()
    schedule = place.job()
    logs = [place.ran(schedule, place.vms[:1], days=day) for day in range(25, 0, -1)]
    place.world.disconnect(place.world.server_of(place.pools[1]), status="disconnected")
    found = read(Watched(place.world), NOW)
    newest = max(found.logs, key=lambda one: one.start)
    assert (newest.id, bool(newest.tasks)) == (logs[-1]["id"], True)
    assert sorted(one.status for one in found.servers) == ["connected", "disconnected"]


def test_trap_4_the_socket_is_opened_at_exactly_api_and_takes_frames_of_any_size_nobody_asked_for():
    place, faults = Place(), Faults()
    faults.announce = True
    faults.notification_bytes = 2_000_000  # twice what the library takes by default
    app = Watched(place.world, faults)
    assert len(read(app, NOW).vms) == 2
    assert app.sockets == [("/api/", b"")]


def test_trap_4_a_socket_that_closes_ends_the_reading_and_the_next_one_signs_in_again():
    place, faults = Place(), Faults()
    faults.after(2, faults.drop_connections)
    app = Watched(place.world, faults)
    with pytest.raises(XoUnreachableError, match="Try again in a minute"):
        read(app, NOW)
    assert len(read(app, NOW).vms) == 2
    assert [one["method"] for one in app.calls].count("session.signIn") == 2


def test_trap_5_months_count_from_0_and_a_schedule_without_a_zone_is_in_utc():
    place = Place()
    place.job(cron="0 2 1 1 *")
    (planned,) = plan(Watched(place.world)).runs
    assert planned.run.due.at == datetime(2027, 2, 1, 2, tzinfo=UTC)


def test_trap_5_wednesday_is_wen_and_wed_is_told_as_what_xo_itself_would_choke_on():
    place = Place()
    place.job(cron="0 2 * * wed")
    found = plan(Watched(place.world))
    assert found.runs == ()
    assert "wen" in repr(found.notes)


def test_trap_7_a_schedule_without_its_part_of_the_jobs_settings_is_told():
    place = Place()
    place.job(with_settings=False)
    assert "SETTINGS_MISSING" in findings(plan(Watched(place.world)))
    place = Place()
    place.job()
    assert "SETTINGS_MISSING" not in findings(plan(Watched(place.world)))


def test_trap_8_a_disabled_repository_among_several_is_told_though_xo_would_report_a_success():
    place = Place()
    off = place.world.add_repository("old-nas", enabled=False)
    place.job(remotes=[place.nas, off])
    found = plan(Watched(place.world))
    assert findings(found)["REPOSITORY_DISABLED"].level is Level.WARN
    assert found.runs[0].verdict.action is Action.START


def test_trap_8_free_space_is_asked_for_twice_and_never_given_an_age():
    place = Place()
    place.world.set_repository_space(place.nas, 1000 * GIB, GIB // 8)
    place.ran(place.job(), place.vms[:1])
    app = Watched(place.world)
    found = plan(app)
    methods = [one["method"] for one in app.calls]
    assert [at for at, name in enumerate(methods) if name == "remote.getAllInfo"] == [2, len(methods) - 1]
    (due,) = plan_document(found)["due"]
    (full,) = [one for one in due["findings"] if one["code"] == "REPOSITORY_NO_SPACE"]
    assert (full["facts"]["available"]["value"], full["facts"]["available"]["age_s"]) == (GIB // 8, None)


def test_trap_9_a_pool_that_went_away_is_told_when_a_smart_job_takes_fewer_vms():
    place = Place()
    schedule = place.job(vms={"tags": {"__or": [["prod"]]}})
    place.ran(schedule, place.vms)
    place.world.disconnect(place.world.server_of(place.pools[1]), status="connecting")
    found = findings(plan(Watched(place.world)))
    assert {"POOL_DISCONNECTED", "SELECTION_SHRUNK"} <= set(found)
    assert "lyon" in found["POOL_DISCONNECTED"].summary


def test_trap_9_vms_still_shown_of_a_pool_that_no_server_connects_are_not_trusted():
    place = Place()
    place.job(vms=place.vms)
    place.world.server_of(place.pools[1])["status"] = "connecting"  # its objects have not vanished yet
    (planned,) = plan(Watched(place.world)).runs
    assert (planned.verdict.action, [one.name for one in planned.verdict.held]) == (Action.START_SOME, ["web-lyon"])


def test_trap_10_no_secret_of_xo_is_asked_for_kept_or_told(tmp_path):
    place = Place()
    proxy = place.world.add_proxy("backup-proxy")
    place.world.add_repository(
        "cloud", "s3://key-secret:pw-secret@s3.example.org/b?encryptionKey=%22s-secret%22", size=None
    )
    place.world.add_repository("far", "nfs://nas.example.org:/b", proxy=proxy)
    place.world.add_call_job("new user", "user.create", [{"password": "pw-secret"}])
    place.vms[0]["other"]["vm-data/password"] = "pw-secret"
    for server in place.world.servers.values():
        server["username"] = "root-secret"
    place.job()
    app = Watched(place.world)
    found = read(app, NOW, token="simulated-token")
    capture = tmp_path / "estate"
    capture.write_bytes(to_bytes(found))
    asked = " ".join(f"{one.path} {one.query}" for one in app.requests)
    assert not [word for word in ("proxies", "username", "simulated-token") if word in asked]
    shown = _of_all_commands(capture)
    assert "web-paris" in shown
    assert not [word for word in ("secret", "simulated-token") if word in shown]


def _of_all_commands(capture):
    """The capture itself, unpacked, and what each command that reads it prints."""
    out = io.StringIO()
    for command in (("plan",), ("plan", "--json"), ("match", "nightly")):
        assert main((*command, "--estate", str(capture)), out, out, {}) == 0
    return out.getvalue() + gzip.decompress(capture.read_bytes()).decode()


@pytest.mark.parametrize("where", ["session.signIn", "/rest/v0/pools"])
def test_trap_10_no_error_repeats_the_token_not_even_in_a_traceback(where):
    faults = Faults()
    faults.plant(
        where, RpcFailure(3, "invalid credentials") if where[0] != "/" else HttpStatus(401, "invalid credentials")
    )
    with pytest.raises((XoAuthError, XoBootingError)) as caught:
        read(Watched(Place().world, faults), NOW)
    assert "simulated-token" not in "".join(traceback.format_exception(caught.value))


def test_trap_11_lists_are_asked_for_as_json_and_come_packed():
    place = Place()
    for number in range(20):
        place.world.add_vm(place.pools[0], f"vm-{number}")
    app = Watched(place.world)
    read(app, NOW)
    assert {one.headers["accept-encoding"] for one in app.requests} == {"gzip"}
    (vms,) = [one for one in app.requests if one.path == "/rest/v0/vms"]
    assert vms.answered["content-encoding"] == "gzip"
    assert vms.answered["content-type"].startswith("application/json")
