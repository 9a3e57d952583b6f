"""One remedy done: written down before XO is asked, and again with what came of it, whatever that is."""

from __future__ import annotations

import asyncio

import pytest
from guard.errors import (
    LedgerError,
    XoAnswerError,
    XoConfigHelperError,
    XoConfigRefusedError,
    XoError,
    XoNotSentError,
    XoTimeoutError,
    XoUnreachableError,
)
from guard.estate.workaround import Done, Plan, State
from guard.finding import Fact, Scope, ScopeKind
from guard.lifecycle.remedy import Effect, RemedyKind, Result, Wanted
from guard.remedies.doing import Doer, given_up
from guard.xo.remedial_writes import ProbeResult
from msgspec.structs import replace
from tests.builders import DUE
from tests.ledger.opening import NOW, opened
from tests.remedies.scenes import DAY, done, policy

BEGUN = NOW.replace(microsecond=123_456)
CALLS = {
    RemedyKind.RESCAN: ("scan_sr", "XO scanned it."),
    RemedyKind.RECONNECT: ("connect_server", "XO connected to it."),
    RemedyKind.PLUG: ("plug_pbd", "XO plugged it."),
}


class Port:
    """XO, the file and the teller in one: a script of what they answer."""

    def __init__(self, answer=None):
        self.answer, self.calls, self.told = answer, [], []

    def __getattr__(self, name):
        async def call(*args, **more):
            self.calls.append((name, *args, *more.values()))
            if isinstance(self.answer, BaseException):
                raise self.answer
            return self.answer

        return call

    async def remedied(self, remedy):
        self.told.append(remedy)


class Bench:
    """A doer with a real ledger."""

    def __init__(self, folder, answer=None):
        self.ledger, self.port = opened(folder / "ledger.sqlite"), Port(answer)
        self.has_file = True

    def do(self, kind, **more):
        wanted = Wanted(
            kind=kind,
            scope=Scope(ScopeKind.SR, "it", "It"),
            at=NOW,
            latest=DUE,
            reason="because",
            runs=(),
            pool="pool",
            **more,
        )
        doer = Doer(
            self.port,
            self.ledger,
            self.port,
            clock=lambda: BEGUN,
            timeout_file=lambda: self.port if self.has_file else None,
        )
        return asyncio.run(doer.do(wanted, policy('probe_limit = "90 s"').remedies))

    def in_ledger(self):
        (found,) = asyncio.run(self.ledger.remedies(NOW - DAY))
        return found


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


@pytest.mark.parametrize("kind", CALLS)
def test_what_is_done_is_asked_of_xo_once_kept_and_told(bench, kind):
    call, told = CALLS[kind]
    remedy = bench.do(kind, before=(), expected_at=DUE)
    assert bench.port.calls == [(call, "it")]
    assert (remedy.result, remedy.text, remedy.effect) == (Result.DONE, told, Effect.PENDING)
    assert (remedy.at, remedy.ended_at) == (BEGUN.replace(microsecond=123_000), BEGUN)
    assert (remedy.reason, remedy.pool, remedy.expected_at) == ("because", "pool", DUE)
    assert bench.in_ledger() == remedy
    assert bench.port.told == [remedy]


@pytest.mark.parametrize(
    ("error", "result", "effect", "text"),
    [
        (XoNotSentError("Nothing was sent"), Result.FAILED, Effect.NOTHING, "Nothing was sent"),
        (XoAnswerError("SR_BACKEND_FAILURE_40"), Result.FAILED, Effect.NOTHING, "SR_BACKEND_FAILURE_40"),
        (XoTimeoutError("600 s"), Result.UNKNOWN, Effect.PENDING, "Nobody knows whether it was done: 600 s"),
        (XoUnreachableError("cut"), Result.UNKNOWN, Effect.PENDING, "Nobody knows whether it was done: cut"),
        (XoError("odd"), Result.UNKNOWN, Effect.PENDING, "Nobody knows whether it was done: odd"),
        (XoConfigHelperError("silent"), Result.UNKNOWN, Effect.PENDING, "Nobody knows whether it was done: silent"),
    ],
)
def test_what_xo_refused_failed_and_what_it_did_not_answer_nobody_knows(tmp_path, error, result, effect, text):
    bench = Bench(tmp_path, error)
    remedy = bench.do(RemedyKind.RESCAN)
    assert (remedy.result, remedy.effect, remedy.text) == (result, effect, text)
    assert bench.in_ledger() == remedy
    assert bench.port.told == [remedy]


def test_it_stands_in_the_ledger_before_xo_is_asked(tmp_path):
    bench = Bench(tmp_path, SystemExit("the machine is gone"))
    with pytest.raises(SystemExit):
        bench.do(RemedyKind.RESCAN)
    begun = bench.in_ledger()
    assert (begun.result, begun.ended_at, bench.port.calls) == (Result.OPEN, None, [("scan_sr", "it")])
    settled = given_up(begun)
    assert (settled.result, settled.text) == (Result.UNKNOWN, "guard ended before it recorded what came of it.")


def test_what_cannot_be_recorded_is_not_done(bench):
    async def full(remedy):
        raise LedgerError("the disk is full")

    bench.ledger.put_remedy = full
    with pytest.raises(LedgerError):
        bench.do(RemedyKind.RESCAN)
    assert bench.port.calls == []
    assert bench.port.told == []


# --- probes


def test_a_probe_that_went_well_tells_how_fast(tmp_path):
    bench = Bench(tmp_path, ProbeResult(success=True, write_rate=50e6, read_rate=80e6))
    remedy = bench.do(RemedyKind.PROBE)
    assert bench.port.calls == [("test_repository", "it", 90.0)]
    assert (remedy.result, remedy.effect, remedy.effect_at) == (Result.DONE, Effect.HELPED, BEGUN)
    assert remedy.text == "XO wrote and read a file there at 47.7 MiB/s."
    assert [(one.name, one.value, one.unit) for one in remedy.after] == [
        ("write_rate", 50e6, "bytes/s"),
        ("read_rate", 80e6, "bytes/s"),
    ]


def test_a_probe_of_which_xo_tells_no_rates_went_well_too(tmp_path):
    remedy = Bench(tmp_path, ProbeResult(success=True)).do(RemedyKind.PROBE)
    assert (remedy.text, remedy.after, remedy.effect) == ("XO wrote and read a file there.", (), Effect.HELPED)


def test_a_probe_that_failed_says_where_and_why(tmp_path):
    remedy = Bench(tmp_path, ProbeResult(success=False, step="write", error="EROFS")).do(RemedyKind.PROBE)
    assert (remedy.result, remedy.effect) == (Result.DONE, Effect.NOTHING)
    assert remedy.text == "XO could not write: EROFS"


def test_a_probe_that_failed_before_any_step_says_so(tmp_path):
    remedy = Bench(tmp_path, ProbeResult(success=False, error="no reason given")).do(RemedyKind.PROBE)
    assert remedy.text == "XO could not use it: no reason given"


def test_a_probe_that_takes_too_long_tells_nothing(bench):
    remedy = bench.do(RemedyKind.PROBE)
    assert (remedy.result, remedy.effect) == (Result.UNKNOWN, Effect.PENDING)
    assert remedy.text == "XO did not finish within 90 s, which tells nothing."


# --- the file

WRITTEN = Done(
    plan=Plan(action="write", sentence="s"),
    sentence="/etc/x: 30 min. File verified.",
    before=State(folder="/etc", looked_at=NOW),
    after=State(folder="/etc", looked_at=NOW),
)


def test_the_file_is_written_with_its_end_and_its_reason(tmp_path):
    bench = Bench(tmp_path, WRITTEN)
    remedy = bench.do(RemedyKind.TIMEOUT_FILE, until=DUE)
    assert bench.port.calls == [("apply", 1_800_000, DUE, "because")]
    assert (remedy.result, remedy.text, remedy.until) == (Result.DONE, "/etc/x: 30 min. File verified.", DUE)
    assert remedy.effect is Effect.PENDING


def test_the_file_is_taken_back(tmp_path):
    bench = Bench(tmp_path, WRITTEN)
    remedy = bench.do(RemedyKind.TIMEOUT_FILE_BACK)
    assert bench.port.calls == [("revert",)]
    assert (remedy.result, remedy.effect) == (Result.DONE, Effect.HELPED)


def test_a_folder_that_refuses_is_told_in_its_own_words(tmp_path):
    for kind in (RemedyKind.TIMEOUT_FILE, RemedyKind.TIMEOUT_FILE_BACK):
        folder = tmp_path / kind
        folder.mkdir()
        remedy = Bench(folder, XoConfigRefusedError("/etc/x: a person has edited it")).do(kind, until=DUE)
        assert (remedy.result, remedy.effect) == (Result.FAILED, Effect.NOTHING)
        assert remedy.text == "/etc/x: a person has edited it"


def test_a_policy_that_names_no_folder_any_more_is_told(bench):
    bench.has_file = False
    remedy = bench.do(RemedyKind.TIMEOUT_FILE, until=DUE)
    assert (remedy.result, bench.port.calls) == (Result.FAILED, [])
    assert remedy.text == "The policy names no folder of XO's any more."


def test_a_file_without_an_end_is_never_written(bench):
    with pytest.raises(TypeError, match="without an end"):
        bench.do(RemedyKind.TIMEOUT_FILE)
    assert bench.port.calls == []


def test_no_two_remedies_share_their_key():
    one = done("rescan", "sr", NOW)
    assert one.key == (NOW, "rescan", "sr")
    assert replace(one, before=(Fact(name="n", value=1, unit="", source="s", observed_at=None),)).key == one.key
