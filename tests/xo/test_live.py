"""XO as the daemon reads it, look by look, on loopback."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from guard.errors import XoAnswerError, XoAuthError, XoTimeoutError, XoUnreachableError
from guard.estate.estate import ON_REQUEST, PartName
from guard.simulator.faults import Faults, Hang, HttpStatus, RpcFailure
from guard.simulator.live import Live
from guard.simulator.serve import serve
from guard.simulator.world import GIB, VmOutcome, World
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.token import Token
from msgspec import UNSET
from tests.xo.watched import TOKEN, Watched

NOW = datetime(2026, 11, 24, 20, tzinfo=UTC)


class Place:
    """One VM, its nightly job, a sequence around it, and runs."""

    def __init__(self):
        self.world = world = World(lambda: NOW)
        self.pool = pool = world.add_pool("paris")
        world.add_host(pool, "xcp-1")
        self.vm = world.add_vm(pool, "web")
        world.add_disk(self.vm, world.add_sr(pool, "nfs", "nfs", size=1000 * GIB), size=GIB)
        nas = world.add_repository("nas", size=1000 * GIB)
        self.job = world.add_job("nightly", vms=[self.vm], remotes=[nas])
        self.schedule = world.add_schedule(self.job, "0 3 * * *", "Europe/Paris")

    def ran(self, hours):
        start = NOW - timedelta(hours=hours)
        done = {self.vm["id"]: VmOutcome(sizes=GIB, is_full=True)}
        return self.world.add_run(self.schedule, start, start + timedelta(minutes=5), done)


def read(app, ask, token=TOKEN, **settings):
    """What ``ask`` gets of the LiveXo in front of this application."""

    async def look():
        async with serve(app) as url:
            xo = LiveXo(lambda: XoSettings(url=url, **settings), lambda: Token(token), clock=lambda: NOW)
            return await ask(xo)

    return asyncio.run(look())


def paths(app):
    return [request.path for request in app.requests]


def with_fault(where, fault, place=None):
    faults = Faults()
    faults.plant(where, fault)
    return Watched((place or Place()).world, faults)


# --- setup


def test_the_setup_is_schedules_jobs_and_servers_in_three_requests_and_xos_time():
    app = Watched(Place().world)
    estate = read(app, lambda xo: xo.setup())
    assert [one.cron for one in estate.schedules] == ["0 3 * * *"]
    assert [(one.name, one.run_id) for one in estate.jobs] == [("nightly", UNSET)]
    assert [(one.name, one.status) for one in estate.servers] == [("paris", "connected")]
    assert estate.call_jobs == ()
    parts = {PartName.SCHEDULES, PartName.JOBS, PartName.SERVERS, PartName.CALL_JOBS}
    assert (estate.taken_at, set(estate.parts)) == (NOW, parts)
    assert paths(app) == ["/rest/v0/schedules", "/rest/v0/backup-jobs", "/rest/v0/servers", "/rest/v0/ping"]
    assert (app.sockets, app.calls) == ([], [])


def test_the_setup_is_taken_at_the_time_of_xos_own_clock():
    place = Place()
    place.world.now = lambda: NOW + timedelta(hours=3)
    assert read(Watched(place.world), lambda xo: xo.setup()).taken_at == NOW + timedelta(hours=3)


@pytest.mark.parametrize("body", ["{}", '{"timestamp":"now"}', '{"timestamp":99999999999999999}', "pong"])
def test_a_time_of_xos_that_is_none_is_refused(body):
    app = Watched(Place().world, instead={"/rest/v0/ping": body})
    with pytest.raises(XoAnswerError, match="ping has not the expected shape"):
        read(app, lambda xo: xo.setup())


def test_call_jobs_are_asked_for_only_where_a_schedule_has_one():
    place = Place()
    place.world.add_sequence("weekend", [place.schedule], cron="0 1 * * 6")
    app = Watched(place.world)
    estate = read(app, lambda xo: xo.setup())
    assert [(one.name, one.method) for one in estate.call_jobs] == [("weekend", "schedule.runSequence")]
    assert [call["method"] for call in app.calls] == ["session.signIn", "job.getAll"]


def test_a_job_that_runs_shows_its_run():
    place = Place()
    log = place.world.start_run(place.schedule)
    estate = read(Watched(place.world), lambda xo: xo.setup())
    assert [one.run_id for one in estate.jobs] == [log["id"]]


def test_two_looks_use_one_tls_context():
    async def twice(xo):
        await xo.setup()
        first = xo._tls
        await xo.setup()
        return first, xo._tls

    first, second = read(Watched(Place().world), twice)
    assert first is second


# --- logs


def test_logs_are_those_since_a_time_with_their_tasks():
    place = Place()
    old, new = place.ran(30), place.ran(2)
    app = Watched(place.world)
    (log,) = read(app, lambda xo: xo.logs(NOW - timedelta(hours=24), ()))
    assert old["id"] != log.id == new["id"]
    assert [task.message for task in log.tasks] == ["backup VM"]
    assert log.began == NOW - timedelta(hours=2)
    assert len(paths(app)) == 2


def test_a_run_that_is_done_is_read_without_its_tasks():
    place = Place()
    done, new = place.ran(3), place.ran(2)
    logs = {
        log.id: log for log in read(Watched(place.world), lambda xo: xo.logs(NOW - timedelta(hours=24), {done["id"]}))
    }
    assert logs[done["id"]].tasks is UNSET
    assert logs[done["id"]].status == "success"
    assert logs[new["id"]].tasks is not UNSET


def test_without_a_new_run_the_list_alone_is_asked_for():
    place = Place()
    app = Watched(place.world)
    assert read(app, lambda xo: xo.logs(NOW, ())) == ()
    assert len(paths(app)) == 1


# --- rolling updates


def pending(identity, **properties):
    return {"id": identity, "status": "pending", "start": 0, "updatedAt": 0, "properties": properties}


def test_a_rolling_update_is_told_while_it_goes_on_and_no_longer():
    place = Place()
    live = Live(place.world)
    app = Watched(place.world)
    assert read(app, lambda xo: xo.rolling_updates()) is False
    live.start_rpu(place.pool, lasting=timedelta(hours=1))
    assert read(app, lambda xo: xo.rolling_updates()) is True
    live.advance(timedelta(hours=2))
    assert read(app, lambda xo: xo.rolling_updates()) is False
    assert app.requests[0].query == {"fields": "id,status,properties", "filter": "status:pending"}


@pytest.mark.parametrize(
    ("properties", "rolling"),
    [
        ({"name": "Rolling pool update"}, True),
        ({"name": "Rolling pool reboot"}, True),
        ({"name": "REST API: rolling pool update"}, True),
        ({"name": "REST API: rolling pool reboot"}, True),
        ({"name": "backup run"}, False),
        ({"name": 5}, False),
        ({}, False),
    ],
)
def test_a_rolling_update_or_reboot_is_known_by_its_name(properties, rolling):
    world = Place().world
    world.xo_tasks["a"] = pending("a", name="Schedule sequence")
    world.xo_tasks["b"] = pending("b", **properties)
    assert read(Watched(world), lambda xo: xo.rolling_updates()) is rolling


def test_a_task_without_properties_is_no_rolling_update():
    app = Watched(Place().world, instead={"/rest/v0/tasks": '[{"id": "a", "status": "pending"}]'})
    assert read(app, lambda xo: xo.rolling_updates()) is False


def test_tasks_that_cannot_be_read_are_no_answer():
    with pytest.raises(XoAnswerError, match="GET /rest/v0/tasks with 422"):
        read(with_fault("/rest/v0/tasks", HttpStatus(422, "no")), lambda xo: xo.rolling_updates())
    with pytest.raises(XoTimeoutError, match=r"Reading XO took longer than 0\.3 s"):
        read(with_fault("/rest/v0/tasks", Hang()), lambda xo: xo.rolling_updates(), total_timeout_s=0.3)


# --- the whole estate


def test_the_estate_is_the_one_a_plan_rests_on():
    estate = read(Watched(Place().world), lambda xo: xo.estate())
    assert set(estate.parts) == set(PartName) - ON_REQUEST | {PartName.OBSERVATIONS}
    assert [one.name for one in estate.vms] == ["web"]


def test_each_estate_holds_what_was_seen_of_coalesces_since_the_first():
    place = Place()
    disk = place.world.disks_of(next(iter(place.world.objects["VM"].values())))[0]
    place.world.add_base_copies(disk, 3)

    async def looks(xo):
        return [await xo.estate(), await xo.estate()]

    first, second = read(Watched(place.world), looks)
    assert first.observations.waiting.keys() == second.observations.waiting.keys() != set()
    assert {one.since for one in second.observations.waiting.values()} == {NOW}
    part = second.parts[PartName.OBSERVATIONS]
    assert (part.source, part.read_at, part.usable) == ("guard's own looks", NOW, True)


def test_an_estate_whose_disks_could_not_be_read_has_nothing_of_that():
    estate = read(with_fault("/rest/v0/vdis", HttpStatus(422, "no")), lambda xo: xo.estate())
    assert PartName.OBSERVATIONS not in estate.parts
    assert estate.observations is None


# --- errors


def sequence_place():
    place = Place()
    place.world.add_sequence("weekend", [place.schedule], cron="0 1 * * 6")
    return place


@pytest.mark.parametrize("where", ["/rest/v0/schedules", "/rest/v0/backup-jobs", "/rest/v0/servers", "/rest/v0/ping"])
def test_a_list_that_cannot_be_read_is_no_empty_one(where):
    with pytest.raises(XoAnswerError, match=f"GET {where} with 422"):
        read(with_fault(where, HttpStatus(422, "no")), lambda xo: xo.setup())
    app = Watched(Place().world, instead={where: '[{"id": 5}]'})
    with pytest.raises(XoAnswerError, match=f"GET {where} has not the expected shape"):
        read(app, lambda xo: xo.setup())


def test_logs_that_cannot_be_read_are_an_error_of_xos():
    with pytest.raises(XoAnswerError, match="GET /rest/v0/backup-logs with 422"):
        read(with_fault("/rest/v0/backup-logs", HttpStatus(422, "no")), lambda xo: xo.logs(NOW, ()))
    app = Watched(Place().world, instead={"/rest/v0/backup-logs": "{}"})
    with pytest.raises(XoAnswerError, match="GET /rest/v0/backup-logs has not the expected shape"):
        read(app, lambda xo: xo.logs(NOW, ()))


@pytest.mark.parametrize(
    ("fault", "kind"),
    [(RpcFailure(-32000, "broken"), XoAnswerError), (Hang(), XoTimeoutError)],
    ids=["an error", "no answer"],
)
def test_call_jobs_that_cannot_be_read_are_an_error_of_xos(fault, kind):
    app = with_fault("job.getAll", fault, sequence_place())
    with pytest.raises(kind):
        read(app, lambda xo: xo.setup(), call_timeout_s=0.3)


def test_call_jobs_of_another_shape_are_an_error_of_xos():
    place = sequence_place()
    for call in place.world.call_jobs.values():
        call["method"] = 5
    with pytest.raises(XoAnswerError, match=r"XO's answer to job\.getAll has not the expected shape"):
        read(Watched(place.world), lambda xo: xo.setup())


@pytest.mark.parametrize("ask", [lambda xo: xo.setup(), lambda xo: xo.logs(NOW, ())], ids=["setup", "logs"])
def test_a_token_that_xo_refuses_is_told_as_such(ask):
    with pytest.raises(XoAuthError):
        read(Watched(Place().world), ask, token="wrong")


@pytest.mark.parametrize(
    "ask", [lambda xo: xo.setup(), lambda xo: xo.logs(NOW, ()), lambda xo: xo.estate()], ids=["setup", "logs", "estate"]
)
def test_an_xo_that_is_away_is_told_as_such(ask):
    xo = LiveXo(lambda: XoSettings(url="http://127.0.0.1:9"), lambda: Token(TOKEN), clock=lambda: NOW)
    with pytest.raises(XoUnreachableError):
        asyncio.run(ask(xo))


@pytest.mark.parametrize(
    ("where", "place"),
    [("/rest/v0/schedules", Place), ("/rest/v0/backup-jobs", Place), ("job.getAll", sequence_place)],
)
def test_a_look_as_a_whole_has_a_time_limit(where, place):
    app = with_fault(where, Hang(), place())
    with pytest.raises(XoTimeoutError, match=r"Reading XO took longer than 0\.3 s"):
        read(app, lambda xo: xo.setup(), total_timeout_s=0.3)


def test_reading_logs_has_the_same_limit():
    with pytest.raises(XoTimeoutError, match=r"Reading XO took longer than 0\.3 s"):
        read(with_fault("/rest/v0/backup-logs", Hang()), lambda xo: xo.logs(NOW, ()), total_timeout_s=0.3)
