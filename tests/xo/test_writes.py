"""What guard has XO do, on loopback: each call done, refused, lost, or never sent."""

from __future__ import annotations

import inspect
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.errors import PolicyError, XoAnswerError, XoError, XoNotSentError, XoTimeoutError, XoUnreachableError
from guard.gate.ports import GateXo, XoReads
from guard.mechanics.fallback import FallbackKind
from guard.simulator.faults import Cut, Hang, HttpStatus, RpcFailure
from guard.xo.token import Token
from guard.xo.writes import WritingXo, _logs_in
from tests.stories.small_world import EVENING
from tests.xo.writing import DUE, Place

AWAY = "http://127.0.0.1:9"


@pytest.fixture
def place():
    return Place()


WRITES = {
    "set_enabled": ("schedule.set", lambda place, xo: xo.set_enabled(place.nightly["id"], False)),
    "put_fallback": ("job.create", lambda place, xo: xo.put_fallback(place.fallback())),
    "move_fallback": ("schedule.set", lambda place, xo: xo.move_fallback(place.job["id"], "5 1 1 0 *")),
    "drop_fallback": ("job.delete", lambda place, xo: xo.drop_fallback("a job")),
    "start": ("backupNg.runJob", lambda place, xo: place.start(xo)),
    "run_sequence": ("schedule.runSequence", lambda place, xo: xo.run_sequence([place.nightly["id"]], ())),
}
READS = {
    "schedule": ("schedule.getAll", lambda place, xo: xo.schedule(place.nightly["id"])),
    "fallbacks": ("job.getAll", lambda _place, xo: xo.fallbacks()),
    "runs_of": ("backupNg.getLogs", lambda place, xo: xo.runs_of(place.job["id"], EVENING)),
}
CALLS = WRITES | READS
every_write = pytest.mark.parametrize(("method", "ask"), WRITES.values(), ids=WRITES)
every_call = pytest.mark.parametrize(("method", "ask"), CALLS.values(), ids=CALLS)


def test_guards_xo_is_all_that_the_gate_asks_for():
    for protocol in (XoReads, GateXo):
        for name, asked in inspect.getmembers(protocol, inspect.isfunction):
            if not name.startswith("_"):
                assert inspect.signature(getattr(WritingXo, name)) == inspect.signature(asked)
    own = {name for name, asked in vars(GateXo).items() if inspect.isfunction(asked) and not name.startswith("_")}
    assert own == set(CALLS)


# --- what can go wrong with every call


@every_call
def test_an_xo_that_is_away_was_sent_nothing(place, method, ask):
    with pytest.raises(XoNotSentError, match="Nothing was sent to XO: No XO opens"):
        place.ask(lambda xo: ask(place, xo), url=AWAY)


@every_call
def test_an_xo_that_refuses_the_token_was_sent_nothing(place, method, ask):
    with pytest.raises(XoNotSentError, match="Nothing was sent"):
        place.ask(lambda xo: ask(place, xo), token_of=lambda: Token("wrong"))
    assert place.calls(method) == []


@every_call
def test_a_token_that_cannot_be_read_sends_nothing(place, method, ask):
    def unreadable():
        raise PolicyError("the token file is gone")

    with pytest.raises(XoNotSentError, match="the token file is gone"):
        place.ask(lambda xo: ask(place, xo), token_of=unreadable)


@every_call
@pytest.mark.parametrize("where", ["/api/", "session.signIn"])
def test_an_xo_that_hangs_before_the_call_was_sent_nothing(place, method, ask, where):
    place.plant(where, Hang())
    with pytest.raises(XoNotSentError):
        place.ask(lambda xo: ask(place, xo), call_timeout_s=0.1)
    assert place.calls(method) == []
    assert place.world.writes == []


@every_call
@pytest.mark.parametrize("code", [-32000, 10], ids=["any error", "parameters"])
def test_a_refusal_is_xos_answer(place, method, ask, code):
    with pytest.raises(XoAnswerError, match="planted fault") as told:
        place.plant(method, RpcFailure(code)).ask(lambda xo: ask(place, xo))
    assert told.value.code == code
    assert place.world.writes == []


@every_write
@pytest.mark.parametrize("code", [2, 5, 8])
def test_a_write_that_the_token_may_not_is_refused_and_not_in_doubt(place, method, ask, code):
    with pytest.raises(XoAnswerError, match="give the token's user the right"):
        place.plant(method, RpcFailure(code)).ask(lambda xo: ask(place, xo))


@every_call
def test_a_connection_that_is_lost_over_a_call_leaves_it_in_doubt(place, method, ask):
    with pytest.raises(XoUnreachableError, match="in the middle of") as told:
        place.plant(method, Cut()).ask(lambda xo: ask(place, xo))
    assert not isinstance(told.value, XoNotSentError)
    assert len(place.calls(method)) == 1


@every_call
def test_a_call_that_is_never_answered_is_in_doubt(place, method, ask):
    place.plant("/rest/v0/backup-jobs", HttpStatus(500))
    with pytest.raises(XoTimeoutError, match=r"0\.5 s"):
        place.plant(method, Hang()).ask(lambda xo: ask(place, xo), call_timeout_s=0.5)
    assert len(place.calls(method)) == 1


# --- schedules


def test_one_schedule_is_the_record_that_the_setup_shows(place):
    async def both(xo):
        return await xo.setup(), await xo.schedule(place.nightly["id"])

    setup, one = place.ask(both)
    assert one == setup.schedule_by_id[place.nightly["id"]]
    assert (one.cron, one.enabled, one.job_id) == ("0 2 * * *", True, place.job["id"])


def test_a_schedule_that_is_gone_is_none(place):
    assert place.ask(lambda xo: xo.schedule("gone")) is None


def test_a_schedule_is_switched_off_and_on_again(place):
    async def switched(xo):
        shown = []
        for enabled in (False, True):
            await xo.set_enabled(place.nightly["id"], enabled)
            shown.append((await xo.schedule(place.nightly["id"])).enabled)
            shown.append(place.live.scheduler.armed(place.nightly["id"]))
        return shown

    assert place.ask(switched) == [False, False, True, True]
    assert place.calls("schedule.set")[0] == {"id": place.nightly["id"], "enabled": False}


def test_a_schedule_that_is_gone_is_not_switched(place):
    with pytest.raises(XoAnswerError, match="no such schedule gone") as told:
        place.ask(lambda xo: xo.set_enabled("gone", True))
    assert told.value.code == 1


# --- fallbacks


def test_a_fallback_is_put_listed_and_dropped(place):
    start, release = place.fallback(), place.fallback(FallbackKind.RELEASE, minute=9)

    async def protocol(xo):
        await xo.put_fallback(start)
        await xo.put_fallback(release)
        listed = await xo.fallbacks()
        for one in listed:
            await xo.drop_fallback(one.job_id)
        return listed, await xo.fallbacks()

    schedules = set(place.world.schedules)
    listed, left = place.ask(protocol)
    assert [(one.fallback, one.armed) for one in listed] == [(start, True), (release, True)]
    assert left == ()
    assert set(place.world.schedules) == schedules
    vector = {"type": "crossProduct", "items": [{"type": "set", "values": [{"schedules": [place.nightly["id"]]}]}]}
    assert place.calls("job.create")[0] == {
        "job": {
            "type": "call",
            "key": "genericTask",
            "method": "schedule.runSequence",
            "name": start.name,
            "paramsVector": vector,
        }
    }
    timer = {"jobId": listed[0].job_id, "cron": "5 2 24 10 *", "enabled": True, "name": start.name, "timezone": "UTC"}
    assert place.calls("schedule.create")[0] == timer


def test_fallbacks_fire_at_their_minutes_without_guard(place):
    async def put(xo):
        await xo.put_fallback(place.fallback())
        await xo.put_fallback(place.fallback(FallbackKind.RELEASE, minute=9))
        await xo.set_enabled(place.nightly["id"], False)

    place.ask(put)
    place.live.advance(DUE + timedelta(minutes=8))
    (run,) = (one for one in place.world.starts if one.schedule_id == place.nightly["id"])
    assert (run.origin, f"{run.at:%H:%M}") == ("sequence", "02:05")
    assert place.nightly["enabled"] is False
    place.live.advance(DUE + timedelta(minutes=10))
    assert place.nightly["enabled"] is True


def test_a_fallback_whose_schedule_is_off_or_gone_is_not_armed(place):
    async def put(xo):
        await xo.put_fallback(place.fallback())
        (placed,) = await xo.fallbacks()
        (timer,) = (one for one in place.world.schedules.values() if one["jobId"] == placed.job_id)
        timer["enabled"] = False
        (off,) = await xo.fallbacks()
        del place.world.schedules[timer["id"]]
        (gone,) = await xo.fallbacks()
        return placed, off, gone

    placed, off, gone = place.ask(put)
    assert off == msgspec.structs.replace(placed, armed=False)
    assert (gone.armed, gone.fallback.cron) == (False, "")


def test_a_fallback_that_gets_no_schedule_leaves_no_job(place):
    calls = set(place.world.call_jobs)
    with pytest.raises(XoAnswerError, match=r"schedule\.create .* planted fault"):
        place.plant("schedule.create", RpcFailure(-32000)).ask(lambda xo: xo.put_fallback(place.fallback()))
    assert set(place.world.call_jobs) == calls
    assert len(place.calls("job.delete")) == 1


def test_a_job_that_cannot_be_deleted_again_shows_as_not_armed(place):
    place.plant("schedule.create", RpcFailure(-32000)).plant("job.delete", RpcFailure(-32000))

    async def put(xo):
        with pytest.raises(XoAnswerError, match=r"schedule\.create"):
            await xo.put_fallback(place.fallback())
        return await xo.fallbacks()

    assert [one.armed for one in place.ask(put)] == [False]


def test_a_fallback_whose_schedule_is_in_doubt_is_left_for_the_next_look(place):
    place.plant("schedule.create", Cut())

    async def put(xo):
        with pytest.raises(XoUnreachableError, match=r"in the middle of schedule\.create"):
            await xo.put_fallback(place.fallback())
        return await xo.fallbacks()

    assert [one.armed for one in place.ask(put)] == [True]
    assert place.calls("job.delete") == []


def test_an_answer_that_is_no_id_is_no_refusal(place):
    place.app._rpc.methods["job.create"] = without_an_id(place.app._rpc.methods["job.create"])
    with pytest.raises(XoError, match="gave back no id") as told:
        place.ask(lambda xo: xo.put_fallback(place.fallback()))
    assert not isinstance(told.value, XoAnswerError | XoUnreachableError)


def without_an_id(method):
    """The same method, with an object in place of its answer."""
    return type(method)(lambda _session, _params: {"id": "a"}, params=method.params, writes=True)


def test_dropping_a_fallback_that_is_gone_is_done(place):
    assert place.ask(lambda xo: xo.drop_fallback("gone")) is None
    assert place.calls("job.delete") == [{"id": "gone"}]


# --- logs of runs


def test_the_runs_of_a_job_are_those_since_a_moment_itself(place):
    place.live.advance(timedelta(days=3))
    began = sorted(log["start"] for log in place.world.logs.values() if log["jobId"] == place.job["id"])
    assert len(began) == 3
    since = datetime.fromtimestamp(began[1] / 1000, UTC)

    async def both(xo):
        return [
            [log.start for log in await xo.runs_of(place.job["id"], moment)]
            for moment in (since, since + timedelta(milliseconds=1))
        ]

    assert place.ask(both) == [began[1:], began[2:]]


def test_the_runs_of_a_job_are_xos_newest_with_their_tasks(place):
    async def runs(xo):
        first = await xo.runs_of(place.job["id"], EVENING)
        await xo.logs(EVENING, ())  # fills XO's cache
        place.live.jobs.run_schedule(place.nightly, "rpc")
        second = await xo.runs_of(place.job["id"], EVENING)
        place.live.advance(timedelta(minutes=30))
        return first, second, await xo.runs_of(place.job["id"], EVENING)

    first, (pending,), (ended,) = place.ask(runs)
    assert first == ()
    assert (pending.status, ended.status) == ("pending", "success")
    assert [task.message for task in ended.tasks] == ["backup VM"]
    assert all(call["_forceRefresh"] for call in place.calls("backupNg.getLogs"))


def test_logs_may_come_by_id_and_in_no_other_shape():
    listed, by_id = b'[{"id": "1", "start": 5}]', b'{"1": {"id": "1", "start": 5}}'
    assert _logs_in(msgspec.Raw(listed)) == _logs_in(msgspec.Raw(by_id))
    for other in (b"5", b'[{"id": 1}]', b'{"1": 5}', b"["):
        with pytest.raises(XoAnswerError, match=r"backupNg\.getLogs has not the expected shape"):
            _logs_in(msgspec.Raw(other))
