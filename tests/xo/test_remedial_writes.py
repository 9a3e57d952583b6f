"""What guard has XO put right, on loopback: done, refused, lost, never sent, or not done in time."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import msgspec
import pytest
from guard.errors import PolicyError, XoAnswerError, XoError, XoNotSentError, XoTimeoutError, XoUnreachableError
from guard.simulator.faults import Cut, Hang, RpcFailure
from guard.xo.remedial_writes import ProbeResult, _result_in
from guard.xo.token import Token
from tests.xo.writing import Place, until

AWAY = "http://127.0.0.1:9"
LIMIT = 0.5


class Broken(Place):
    """The small world with a pool that XO has lost, an SR that is unplugged, and a collector that sleeps."""

    def __init__(self):
        super().__init__()
        kinds = self.world.objects
        self.sr, self.away = kinds["SR"].values()
        self.pbd = self.world.get("PBD", self.sr["$PBDs"][0])
        self.server = next(one for one in self.world.servers.values() if one["label"] == "lyon")
        self.nas = next(iter(self.world.repositories.values()))

    def lose(self):
        self.world.disconnect(self.server, "disconnected", error={"code": "SESSION_AUTHENTICATION_FAILED"})
        return self

    def later(self, question, seconds=60, **settings):
        """Ask, and let the world's time go by once XO has been asked."""

        async def both(xo):
            asking = asyncio.ensure_future(question(xo))
            await until(lambda: self.world.writes or asking.done())
            self.live.advance(timedelta(seconds=seconds))
            return await asking

        return self.ask(both, **settings)


@pytest.fixture
def place():
    return Broken()


CALLS = {
    "scan_sr": ("sr.scan", lambda place, xo: xo.scan_sr(place.sr["id"], limit_s=LIMIT)),
    "connect_server": ("server.enable", lambda place, xo: xo.connect_server(place.lose().server["id"], limit_s=LIMIT)),
    "plug_pbd": ("pbd.connect", lambda place, xo: xo.plug_pbd(place.pbd["id"], limit_s=LIMIT)),
    "test_repository": ("remote.test", lambda place, xo: xo.test_repository(place.nas["id"], limit_s=LIMIT)),
}
every_call = pytest.mark.parametrize(("method", "ask"), CALLS.values(), ids=CALLS)
every_other_call = pytest.mark.parametrize(("method", "ask"), list(CALLS.values())[:3], ids=list(CALLS)[:3])


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
    with pytest.raises(XoNotSentError, match=rf"not ready for {method} within 0\.5 s"):
        place.ask(lambda xo: ask(place, xo))
    assert place.world.writes == []


@every_call
@pytest.mark.parametrize("code", [-32000, 10, 2, 5, 8])
def test_a_refusal_is_xos_answer_also_where_the_right_is_missing(place, method, ask, code):
    with pytest.raises(XoAnswerError, match="planted fault"):
        place.plant(method, RpcFailure(code)).ask(lambda xo: ask(place, xo))
    assert place.world.writes == []


@every_call
def test_a_connection_that_is_lost_over_a_call_leaves_it_in_doubt(place, method, ask):
    place.live.scans.seconds[place.sr["id"]] = 0.0
    with pytest.raises(XoUnreachableError, match="in the middle of") as told:
        place.plant(method, Cut()).ask(lambda xo: ask(place, xo))
    assert not isinstance(told.value, XoNotSentError)
    assert len(place.calls(method)) == 1


@every_other_call
def test_a_call_that_is_not_answered_in_time_is_in_doubt_and_sent_once(place, method, ask):
    with pytest.raises(XoTimeoutError, match=rf"did not answer {method} within 0\.5 s; it may still be at it"):
        place.ask(lambda xo: ask(place, xo), call_timeout_s=0.1)
    assert len(place.calls(method)) == 1


def test_a_call_may_take_longer_than_others_are_given(place):
    async def slow(xo):
        asking = asyncio.ensure_future(xo.scan_sr(place.sr["id"], limit_s=20))
        await until(lambda: place.world.writes)
        await asyncio.sleep(0.4)
        place.live.advance(timedelta(minutes=1))
        return await asking

    assert place.ask(slow, call_timeout_s=0.2) is None


# --- what they do


def test_a_scan_wakes_a_collector_that_sleeps(place):
    place.live.collector.fall_asleep(place.sr)
    vm = place.world.objects["VM"]
    place.world.add_base_copies(place.world.disks_of(next(iter(vm.values())))[0], 2)
    assert place.later(lambda xo: xo.scan_sr(place.sr["id"])) is None
    assert place.calls("sr.scan") == [{"id": place.sr["id"]}]
    assert [one["name_label"] for one in place.world.objects["task"].values()] == ["Garbage Collection"]


def test_a_scan_that_sm_refuses_tells_its_code(place):
    place.live.planted.refuse(place.sr, "SR_BACKEND_FAILURE_40")
    with pytest.raises(XoAnswerError, match="SR_BACKEND_FAILURE_40"):
        place.later(lambda xo: xo.scan_sr(place.sr["id"]))


def test_a_server_is_connected_and_one_that_is_already_is_refused(place):
    place.lose()
    assert place.later(lambda xo: xo.connect_server(place.server["id"])) is None
    assert place.server["status"] == "connected"
    with pytest.raises(XoAnswerError, match="the server is already connected"):
        place.ask(lambda xo: xo.connect_server(place.server["id"]))


@pytest.mark.parametrize("code", ["SESSION_AUTHENTICATION_FAILED", "EHOSTUNREACH"])
def test_a_connection_that_fails_tells_why(place, code):
    place.lose().live.planted.refuse(place.server, code)
    with pytest.raises(XoAnswerError, match=code):
        place.later(lambda xo: xo.connect_server(place.server["id"]))
    assert place.server["status"] == "disconnected"


def test_a_pbd_is_plugged_and_a_plug_that_fails_tells_why(place):
    place.world.unplug(place.sr)
    place.live.planted.refuse(place.pbd, "SR_BACKEND_FAILURE_73", times=1)
    with pytest.raises(XoAnswerError, match="NFS mount error"):
        place.later(lambda xo: xo.plug_pbd(place.pbd["id"]))
    place.world.writes.clear()
    assert place.later(lambda xo: xo.plug_pbd(place.pbd["id"])) is None
    assert place.pbd["attached"] is True


def test_a_repository_that_works_tells_its_rates(place):
    place.live.probes.rates[place.nas["id"]] = 2e6, 3e6
    assert place.later(lambda xo: xo.test_repository(place.nas["id"], limit_s=20)) == ProbeResult(
        success=True, write_rate=2e6, read_rate=3e6
    )


def test_a_repository_that_fails_its_test_tells_the_step_and_the_code(place):
    place.world.set_repository_space(place.nas, 10**9, 0)
    found = place.later(lambda xo: xo.test_repository(place.nas["id"], limit_s=20))
    assert found == ProbeResult(success=False, step="write", error="ENOSPC write")


def test_a_repository_that_hangs_is_unknown_when_the_time_is_over(place):
    place.live.planted.hang(place.nas)
    assert place.later(lambda xo: xo.test_repository(place.nas["id"], limit_s=LIMIT)) is None
    assert len(place.calls("remote.test")) == 1


def test_a_repository_that_xo_cannot_open_is_refused(place):
    place.nas["error"] = {"code": "ETIMEDOUT"}
    with pytest.raises(XoAnswerError, match="ETIMEDOUT"):
        place.ask(lambda xo: xo.test_repository(place.nas["id"], limit_s=20))


@pytest.mark.parametrize(
    ("answer", "found"),
    [
        (b'{"success": true}', ProbeResult(success=True)),
        (b'{"success": false, "step": "read", "file": "1.test", "error": {}}', ("read", "no reason given")),
        (
            b'{"success": false, "error": {"message": "output and input did not match"}}',
            ("", "output and input did not match"),
        ),
        (b'{"success": false, "step": "write", "error": "EIO"}', ("write", "EIO")),
        (b'{"success": false, "step": "write"}', ("write", "no reason given")),
    ],
)
def test_an_answer_may_lack_its_rates_and_the_words_of_its_error(answer, found):
    result = _result_in(msgspec.Raw(answer))
    assert result == (
        found if isinstance(found, ProbeResult) else ProbeResult(success=False, step=found[0], error=found[1])
    )


@pytest.mark.parametrize("answer", [b"true", b"{}", b'{"success": 1}', b"["])
def test_an_answer_in_another_shape_is_no_refusal(answer):
    with pytest.raises(XoError, match=r"remote\.test has not the expected shape") as told:
        _result_in(msgspec.Raw(answer))
    assert type(told.value) is XoError
