"""What is measured of guard's own calls, and that every method it sends is known as a reading or a writing one."""

from __future__ import annotations

import ast
import asyncio
import json
import re
import threading
from pathlib import Path

import httpx
import pytest
from guard.errors import (
    LedgerError,
    PoolAuthError,
    PoolError,
    XoAnswerError,
    XoAuthError,
    XoBootingError,
    XoError,
    XoNotSentError,
    XoTimeoutError,
    XoTooOldError,
    XoUnreachableError,
)
from guard.http import Http, operation_of, tls_context
from guard.meter import BOUNDS_S, MOST_OPERATIONS, Meter, Timing, Traffic, Way, timed
from guard.simulator.faults import RpcFailure
from guard.simulator.xapi import XapiFace, serving_xapi
from guard.xapi.pools import read_pools
from guard.xapi.session import PoolSession
from guard.xo.client import read_estate
from guard.xo.methods import READS, WRITES
from guard.xo.rpc import Rpc
from guard.xo.token import Token
from tests.simulator.worlds import small_world
from tests.xapi.house import NOW, settings_of
from tests.xo.test_rpc import TLS, listening, reply
from tests.xo.watched import TOKEN
from tests.xo.writing import Place

XO = Path(__file__).parents[2] / "guard" / "xo"
METHOD = re.compile(r"[a-z][A-Za-z]+\.[a-z][A-Za-z]+")
NO_METHODS = {"memory.static"}  # a field of VMs


class Clock:
    """Seconds that pass when a test says so."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock():
    return Clock()


@pytest.fixture
def meter(clock):
    return Meter(clock)


# --- the meter


def test_a_duration_falls_into_the_first_bucket_that_is_not_below_it():
    timing = Timing().and_one(0.01).and_one(0.0100001).and_one(0.0).and_one(10_000.0)
    assert len(timing.counts) == len(BOUNDS_S) + 1
    assert (timing.counts[0], timing.counts[1], timing.counts[-1], sum(timing.counts)) == (2, 1, 1, 4)
    assert timing.sum_s == pytest.approx(10_000.0200001)


def test_a_call_is_measured_whether_it_goes_well_or_badly(meter, clock):
    with timed(meter, Way.REST, "vms"):
        clock.now += 2
    with pytest.raises(XoTimeoutError), timed(meter, Way.REST, "vms"):
        clock.now += 30
        raise XoTimeoutError("late")
    told = meter.traffic()
    assert told.calls == {("rest", "vms"): Timing().and_one(2).and_one(30)}
    assert told.errors == {("XO", "timeout"): 1}


def test_a_call_that_was_broken_off_from_outside_is_not_measured(meter, clock):
    with pytest.raises(asyncio.CancelledError), timed(meter, Way.RPC, "backupNg.runJob"):
        clock.now += 20
        raise asyncio.CancelledError
    assert meter.traffic() == Traffic()


def test_without_a_meter_nothing_is_measured_and_errors_go_through():
    with pytest.raises(XoError), timed(None, Way.RPC, "x.y"):
        raise XoError("it failed")


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (XoUnreachableError(""), ("XO", "unreachable")),
        (XoNotSentError(""), ("XO", "unreachable")),
        (XoTimeoutError(""), ("XO", "timeout")),
        (XoAuthError(""), ("XO", "refused")),
        (XoBootingError(""), ("XO", "booting")),
        (XoTooOldError(""), ("XO", "too_old")),
        (XoAnswerError("", status=500), ("XO", "answer")),
        (XoError(""), ("XO", "other")),
        (PoolAuthError(""), ("pool", "refused")),
        (PoolError(""), ("pool", "other")),
        (LedgerError(""), ("ledger", "other")),
    ],
)
def test_errors_are_counted_by_party_and_kind_never_by_their_text(meter, error, kind):
    meter.failed(error)
    assert meter.traffic().errors == {kind: 1}


def test_operations_without_end_are_put_together_for_each_way_apart(meter):
    for number in range(MOST_OPERATIONS + 50):
        meter.took(Way.XAPI, f"made.up_{number}", 1.0)
    meter.took(Way.REST, "vms", 1.0)
    calls = meter.traffic().calls
    assert len([one for one in calls if one[0] == "xapi"]) == MOST_OPERATIONS + 1
    assert sum(calls["xapi", "other"].counts) == 50
    assert ("rest", "vms") in calls


def test_threads_lose_no_count(meter):
    def work():
        for _ in range(2000):
            meter.took(Way.XAPI, "VM.get_record", 0.001)
            meter.wrote("sr.scan")

    threads = [threading.Thread(target=work) for _ in range(4)]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    told = meter.traffic()
    assert sum(told.calls["xapi", "VM.get_record"].counts) == 8000
    assert told.writes == {"sr.scan": 8000}


def test_what_was_told_does_not_change_afterwards(meter):
    before = meter.traffic()
    meter.wrote("sr.scan")
    assert before == Traffic()


# --- where calls are made


def counts(meter):
    return {key: sum(one.counts) for key, one in meter.traffic().calls.items()}


@pytest.mark.parametrize(
    ("path", "operation"),
    [
        ("/rest/v0/vms", "vms"),
        ("/rest/v0/users/4711/authentication_tokens", "users"),
        ("/rest/v0/ping", "ping"),
        ("/other", "other"),
    ],
)
def test_the_operation_of_a_get_is_its_collection(path, operation):
    assert operation_of(path) == operation


def test_a_get_is_measured_once_with_its_tries_again(meter, clock):
    asked = []

    def answer(request):
        asked.append(request)
        clock.now += 1
        if len(asked) < 3:
            return httpx.Response(503)
        return httpx.Response(200, json=[], headers={"content-type": "application/json"})

    async def get():
        transport = httpx.MockTransport(answer)
        tls = tls_context(None, verify=True)
        async with Http(
            "https://xo", lambda: "t", tls=tls, timeout_s=5, retry_wait_s=0, transport=transport, meter=meter
        ) as http:
            await http.get("/rest/v0/vms")

    asyncio.run(get())
    assert (len(asked), counts(meter)) == (3, {("rest", "vms"): 1})
    assert meter.traffic().calls["rest", "vms"].sum_s == 3
    assert meter.traffic().errors == {}


def test_a_socket_and_its_calls_are_measured_and_only_writes_count_as_writes(meter):
    async def answer(connection):
        async for text in connection:
            request = json.loads(text)
            refused = request["method"] == "schedule.set"
            more = {"error": {"code": 5, "message": "no"}} if refused else {"result": 1}
            await reply(connection, request, **more)

    async def talk():
        async with listening(answer) as url, Rpc(url, tls=TLS, timeout_s=5, meter=meter) as rpc:
            await rpc.call("job.getAll")
            await rpc.call("sr.scan")
            await rpc.call("made.up")
            with pytest.raises(XoAuthError):
                await rpc.call("schedule.set")

    asyncio.run(talk())
    told = meter.traffic()
    assert counts(meter) == {("rpc", one): 1 for one in ("connect", "job.getAll", "sr.scan", "made.up", "schedule.set")}
    assert told.writes == {"sr.scan": 1, "made.up": 1, "schedule.set": 1}  # an unknown method is taken for a write
    assert told.errors == {("XO", "refused"): 1}


def test_a_socket_that_does_not_open_is_an_error_of_xo(meter):
    async def talk():
        async with Rpc("http://127.0.0.1:9", tls=TLS, timeout_s=5, meter=meter):
            raise AssertionError("nobody listens there")

    with pytest.raises(XoUnreachableError):
        asyncio.run(talk())
    assert meter.traffic().errors == {("XO", "unreachable"): 1}


def test_a_reading_of_a_pool_is_measured_call_by_call(meter):
    small = small_world()
    with serving_xapi(XapiFace(small.world, small.pool)) as url:
        asyncio.run(read_pools([settings_of(url)], clock=lambda: NOW, meter=meter))
    told = counts(meter)
    assert told["xapi", "session.login_with_password"] == 1
    assert told["xapi", "pool.get_all_records"] == 1
    assert all(way == "xapi" for way, _ in told)
    assert meter.traffic().writes == {}


def test_a_pool_that_is_away_is_counted(meter):
    settings = settings_of("http://127.0.0.1:9")

    async def read():
        return await read_pools([settings], clock=lambda: NOW, meter=meter)

    (facts,) = asyncio.run(read())
    assert not facts.answered
    assert meter.traffic().errors == {("pool", "unreachable"): 1}
    assert repr(PoolSession(settings)).count("password") == 0


def test_a_whole_reading_and_a_claim_are_measured(meter):
    place = Place()

    async def both(xo):
        xo._meter = meter
        await xo.estate()
        await xo.set_enabled(place.nightly["id"], False)
        await xo.put_fallback(place.fallback())

    place.ask(both)
    told = meter.traffic()
    assert told.writes == {"schedule.set": 1, "job.create": 1, "schedule.create": 1}
    assert sum(told.calls["rest", "vms"].counts) == 1
    assert sum(told.calls["rpc", "xo.getAllObjects"].counts) == 1
    assert told.errors == {}


def test_a_refused_write_was_sent_all_the_same(meter):
    place = Place().plant("schedule.set", RpcFailure(5, "not enough permissions"))

    async def write(xo):
        xo._meter = meter
        await xo.set_enabled(place.nightly["id"], False)

    with pytest.raises(XoAnswerError):
        place.ask(write)
    assert meter.traffic().writes == {"schedule.set": 1}


def test_reading_an_estate_without_a_meter_measures_nothing_anywhere():
    place = Place()

    async def read(xo):
        return await read_estate(xo._settings(), Token(TOKEN), clock=place.live.now)

    assert place.ask(read).vms


# --- which methods there are


def strings_of(tree):
    """(line, text) of every string that is no docstring."""
    docs = {
        id(one.value) for one in ast.walk(tree) if isinstance(one, ast.Expr) and isinstance(one.value, ast.Constant)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in docs:
            yield node.lineno, node.value


def sources():
    for file in sorted(XO.glob("*.py")):
        if file.name != "methods.py":
            yield file, ast.parse(file.read_text(encoding="utf-8"))


def test_every_method_name_in_the_code_is_known_as_a_read_or_a_write():
    named = {
        text: f"{file.name}:{line}"
        for file, tree in sources()
        for line, text in strings_of(tree)
        if METHOD.fullmatch(text) and text not in NO_METHODS
    }
    assert {text: where for text, where in named.items() if text not in READS | WRITES} == {}
    assert set(named) == READS | WRITES, "a method that nobody sends is in no set"
    assert READS.isdisjoint(WRITES)


FORWARDERS = {"call": 0, "sent": 1, "_sent": 1, "_done": 0, "_run": 0, "_begun": 2, "_call": 0}
"""Functions that send a method, and which of their arguments it is."""


def method_argument(call):
    name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
    if name not in FORWARDERS or len(call.args) <= FORWARDERS[name]:
        return None
    return call.args[FORWARDERS[name]]


def test_a_method_is_always_written_out_where_it_is_sent_or_handed_on():
    found = 0
    for file, tree in sources():
        for node in ast.walk(tree):
            argument = method_argument(node) if isinstance(node, ast.Call) else None
            if argument is None:
                continue
            found += 1
            is_written = isinstance(argument, ast.Constant) and argument.value in READS | WRITES
            is_handed_on = isinstance(argument, ast.Name) and argument.id == "method"
            is_of_a_table = isinstance(argument, ast.Subscript) and getattr(argument.value, "id", "") == "_RUN_METHODS"
            assert is_written or is_handed_on or is_of_a_table, f"{file.name}:{node.lineno}: {ast.unparse(node)}"
    assert found > 20


def test_only_the_socket_itself_sends_frames():
    senders = {
        file.name
        for file, tree in sources()
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and node.attr == "send"
    }
    assert senders == {"rpc.py"}
