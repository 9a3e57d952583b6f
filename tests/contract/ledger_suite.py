"""What any ledger must do (guard.lifecycle.ledger.Ledger), held against one by subclassing ``LedgerSuite``.

The subclass's module gives the fixture ``another``: a function that opens one more handle to the same store, as a
second process or the same one after a restart would.
"""

from __future__ import annotations

import asyncio
import functools
import random
from datetime import UTC, datetime, timedelta, timezone

import pytest
from guard.decision.verdict import Action, Held, Verdict
from guard.errors import ConflictError, LedgerError
from guard.finding import Certainty, ClearedBy, Clears, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.lifecycle.events import Alarmed, AttemptEnded, Decided, End, Ended, RunKey, Seen, Started
from guard.lifecycle.remedy import ForRun, Remedy, RemedyKind, Result
from guard.outcomes.causes import Cause
from guard.outcomes.failures import Place
from guard.outcomes.outcome import Outcome, TargetOutcome, Times, VmOutcome

DUE = datetime(2026, 3, 2, 1, 30, tzinfo=UTC)
KEY = RunKey("nightly", DUE)


def awaited(test):
    """Runs an async test to its end on an event loop of its own; the fixtures stay those of the test."""

    @functools.wraps(test)
    def run(*arguments, **fixtures):
        return asyncio.run(test(*arguments, **fixtures))

    return run


def seen(**changes):
    fields = {
        "at": DUE - timedelta(minutes=15),
        "job": "job-1",
        "job_name": "Nightly",
        "schedule_name": "every night",
        "cron": "30 1 * * *",
        "zone": "UTC",
        "expected_at": DUE,
        "starts": (DUE,),
    }
    return Seen(**{**fields, **changes})


def decided(vms=2, **changes):
    """A verdict as a due run of ``vms`` VMs has one: the last VM is held for its chain."""
    ids = tuple(f"vm-{number:05}" for number in range(vms))
    finding = Finding(
        code="CHAIN_LONG",
        check="chain",
        level=Level.BLOCK,
        certainty=Certainty.LIKELY,
        harm=Harm.PRODUCTION,
        scope=Scope(ScopeKind.VM, ids[-1], "the last"),
        holds=(ids[-1],),
        summary="The chain of the last VM is 29 long, 30 is XAPI's limit.",
        facts=(Fact(name="length", value=29, unit="VHDs", source="XO REST", observed_at=DUE),),
        remedy="Rescan the SR.",
        clears=Clears(ClearedBy.TIME, DUE + timedelta(hours=2)),
    )
    verdict = Verdict(
        action=Action.START_SOME,
        sentence="1 VM is held.",
        clears="coalescing",
        start_vms=ids[:-1],
        held=(Held(vm=ids[-1], name="the last", codes=("CHAIN_LONG",), deadline=DUE + timedelta(hours=4)),),
        findings=(finding,),
        unknown=False,
    )
    fields = {"at": DUE - timedelta(minutes=1), "facts_at": DUE - timedelta(minutes=2), "vms": ids, "verdict": verdict}
    return Decided(**{**fields, **changes})


def started(run="1772415000000"):
    return Started(at=DUE + timedelta(seconds=3), run=run, began=DUE + timedelta(milliseconds=12))


def alarmed(text="no progress for 30 min", code="JOB_STUCK"):
    return Alarmed(at=DUE + timedelta(hours=9), code=code, text=text)


def ended(end=End.OBSERVED, **changes):
    return Ended(at=DUE + timedelta(hours=1), end=end, **changes)


def attempt_ended(run="1772415000000"):
    """A run of one VM to one repository that failed for want of room."""
    vm, target = Scope(ScopeKind.VM, "vm-00000", "web"), Scope(ScopeKind.REPOSITORY, "br-1", "Größe")
    times = Times(1_772_415_000_012, 1_772_418_600_345)
    why = Cause(
        run=run,
        scope=vm,
        code="REPOSITORY_SPACE",
        transient=False,
        waiting_helps=True,
        text="ENOSPC: no space left on device",
        place=Place.TRANSFER,
        target=target,
    )
    copy = TargetOutcome(
        target=target, status="failure", times=times, written=False, sent_bytes=0, full=None, causes=(why,)
    )
    web = VmOutcome(vm=vm, status="failure", times=times, attempts=2, sent_bytes=0, targets=(copy,), causes=(why,))
    outcome = Outcome(
        run=run,
        job=Scope(ScopeKind.JOB, "job-1", "Nightly"),
        schedule="nightly",
        status="failure",
        times=times,
        sent_bytes=2**60,
        vms=(web,),
        unattempted=("vm-00001",),
        causes=(why,),
    )
    return AttemptEnded(at=DUE + timedelta(hours=1), run=run, outcome=outcome)


def day(number, schedule="nightly", via=""):
    return RunKey(schedule, DUE + timedelta(days=number), via)


async def append_somehow(ledger, key, event):
    """Append behind whatever is there, as often as it takes; what each loser of the race has to do."""
    while True:
        try:
            return await ledger.append(key, len(await ledger.load(key)), event)
        except ConflictError:
            await asyncio.sleep(0)


def remedy(**changes):
    fields = {
        "kind": RemedyKind.RESCAN,
        "scope": Scope(ScopeKind.SR, "sr-1", "Fast SR"),
        "at": DUE - timedelta(hours=4),
        "reason": "3 VDIs wait there",
        "runs": (ForRun(schedule="nightly", name="every night", due=DUE),),
        "before": (Fact(name="waiting", value=3, unit="VDIs", source="XO", observed_at=DUE - timedelta(hours=4)),),
    }
    return Remedy(**{**fields, **changes})


class LedgerSuite:
    """Every ledger passes these."""

    @awaited
    async def test_an_unknown_due_run_has_no_events(self, another):
        ledger = another()
        assert await ledger.load(KEY) == ()
        assert await ledger.open_runs() == ()
        assert await ledger.between(DUE, DUE + timedelta(days=1)) == {}

    @awaited
    async def test_events_come_back_equal_in_their_order_also_through_another_handle(self, another):
        ledger, events = another(), (seen(), decided(), started(), alarmed(), attempt_ended(), ended())
        assert await ledger.append(KEY, 0, *events[:2]) == 2
        assert await ledger.append(KEY, 2, *events[2:3]) == 3
        assert await ledger.append(KEY, 3, *events[3:]) == 6
        assert await ledger.load(KEY) == events
        assert await another().load(KEY) == events

    @awaited
    async def test_the_same_event_may_happen_twice(self, another):
        ledger = another()
        assert await ledger.append(KEY, 0, seen(), alarmed(), alarmed()) == 3
        assert await ledger.append(KEY, 3, alarmed()) == 4
        assert len(await ledger.load(KEY)) == 4

    @awaited
    async def test_no_events_change_nothing(self, another):
        ledger = another()
        assert await ledger.append(KEY, 0) == 0
        assert await ledger.open_runs() == ()

    @pytest.mark.parametrize("after_seq", [0, 1, 3, 17, -1])
    @awaited
    async def test_an_append_behind_anything_but_the_last_event_is_a_conflict_and_changes_nothing(
        self, another, after_seq
    ):
        ledger = another()
        await ledger.append(KEY, 0, seen(), decided())
        with pytest.raises(ConflictError, match="nightly"):
            await ledger.append(KEY, after_seq, started(), ended())
        assert await ledger.load(KEY) == (seen(), decided())
        assert await ledger.open_runs() == (KEY,)

    @awaited
    async def test_an_append_behind_events_that_are_not_there_is_a_conflict(self, another):
        ledger = another()
        with pytest.raises(ConflictError):
            await ledger.append(KEY, 1, started())
        assert await ledger.load(KEY) == ()

    @awaited
    async def test_the_same_key_twice_is_a_conflict_whether_or_not_it_came_through_a_sequence(self, another):
        ledger, other = another(), another()
        for key in (KEY, RunKey("nightly", DUE, "seq-1")):
            await ledger.append(key, 0, seen())
            with pytest.raises(ConflictError):
                await other.append(key, 0, seen())

    @awaited
    async def test_two_sequences_and_the_schedule_itself_are_three_due_runs(self, another):
        ledger = another()
        keys = [RunKey("nightly", DUE, via) for via in ("", "seq-1", "seq-2")]
        for key in keys:
            await ledger.append(key, 0, seen(job=key.via))
        assert [(await ledger.load(key))[0].job for key in keys] == ["", "seq-1", "seq-2"]
        assert await ledger.open_runs() == tuple(keys)

    @awaited
    async def test_a_due_time_is_an_instant_whatever_zone_it_is_told_in(self, another):
        ledger = another()
        await ledger.append(KEY, 0, seen())
        elsewhere = RunKey("nightly", DUE.astimezone(timezone(timedelta(hours=5, minutes=45))))
        assert await ledger.load(elsewhere) == (seen(),)
        with pytest.raises(ConflictError):
            await ledger.append(elsewhere, 0, seen())

    @awaited
    async def test_open_runs_are_those_without_an_end_by_due_time(self, another):
        ledger = another()
        for number in random.Random(3).sample(range(20), 20):
            await ledger.append(day(number), 0, seen())
        for number in range(0, 20, 2):
            await ledger.append(day(number), 1, ended())
        assert await ledger.open_runs() == tuple(day(number) for number in range(1, 20, 2))
        await ledger.append(day(0), 2, alarmed())
        assert day(0) not in await ledger.open_runs()

    @awaited
    async def test_a_due_run_may_be_seen_and_ended_at_once(self, another):
        ledger = another()
        await ledger.append(KEY, 0, seen(late=True), ended(End.MISSED, code="XO_DID_NOT_FIRE", reason="Nobody did."))
        assert await ledger.open_runs() == ()

    @awaited
    async def test_between_has_its_first_instant_and_not_its_last_by_due_time_with_all_events(self, another):
        ledger = another()
        for number in random.Random(4).sample(range(10), 10):
            for schedule in ("b", "a"):
                await ledger.append(day(number, schedule), 0, seen(job=f"{number}{schedule}"), ended())
        found = await ledger.between(DUE + timedelta(days=2), DUE + timedelta(days=5))
        assert list(found) == [day(number, schedule) for number in (2, 3, 4) for schedule in ("a", "b")]
        assert found[day(3, "b")] == (seen(job="3b"), ended())
        assert await ledger.between(DUE, DUE) == {}

    @awaited
    async def test_marks_move_forward_and_never_back(self, another):
        ledger = another()
        assert await ledger.processed_through() == {}
        await ledger.mark({"a": DUE, "b": DUE})
        await ledger.mark({"a": DUE - timedelta(seconds=1), "b": DUE + timedelta(seconds=1)})
        await ledger.mark({})
        assert await another().processed_through() == {"a": DUE, "b": DUE + timedelta(seconds=1)}

    @awaited
    async def test_a_mark_never_claims_more_than_it_was_given(self, another):
        ledger, at = another(), DUE + timedelta(microseconds=1_999)
        await ledger.mark({"a": at})
        assert DUE <= (await ledger.processed_through())["a"] <= at

    @awaited
    async def test_documents_are_kept_by_name_the_last_one_wins(self, another):
        ledger = another()
        assert await ledger.recall("loop") is None
        await ledger.remember("loop", b"1")
        await ledger.remember("loop", b"\x00\xff not text")
        await ledger.remember("empty", b"")
        assert await another().recall("loop") == b"\x00\xff not text"
        assert await another().recall("empty") == b""
        assert await another().recall("Loop") is None

    @awaited
    async def test_an_event_that_cannot_be_written_takes_the_whole_append_with_it(self, another):
        ledger = another()
        await ledger.append(KEY, 0, seen())
        with pytest.raises((LedgerError, ValueError)):
            await ledger.append(KEY, 1, started(), alarmed(text="half a pair: \ud83d"), ended())
        assert await ledger.load(KEY) == (seen(),)
        assert await ledger.append(KEY, 1, started()) == 2

    @awaited
    async def test_of_two_who_write_at_once_one_wins_and_the_other_looks_anew(self, another):
        one, two = another(), another()
        await one.append(KEY, 0, seen())
        results = await asyncio.gather(
            one.append(KEY, 1, started("mine"), alarmed()),
            two.append(KEY, 1, started("yours"), alarmed()),
            return_exceptions=True,
        )
        assert sorted(type(result) for result in results if result != 3) == [ConflictError]
        events = await one.load(KEY)
        assert events == await two.load(KEY)
        assert [type(event) for event in events] == [Seen, Started, Alarmed]

    @awaited
    async def test_many_writers_lose_nothing_and_overwrite_nothing(self, another):
        handles = [another() for _ in range(4)]
        texts = [f"{writer}.{number}" for writer in range(4) for number in range(8)]
        await asyncio.gather(*(append_somehow(handles[int(text[0])], KEY, alarmed(text)) for text in texts))
        assert sorted(event.text for event in await handles[0].load(KEY)) == sorted(texts)

    @awaited
    async def test_names_of_every_script_and_kind_come_back_as_they_were(self, another):
        ledger = another()
        names = [
            "Größe €",
            "夜間バックアップ",
            "🐘" * 20,
            'a"b\\c',
            "tab\tline\nreturn\r",
            "nul\x00inside",
            "'; --",
            "\u202e",
            " ",
        ]
        for name in names:
            key = RunKey(name, DUE, name)
            await ledger.append(key, 0, seen(schedule_name=name, job_name=name))
            await ledger.mark({name: DUE})
            await ledger.remember(name, name.encode())
        other = another()
        assert set(await other.open_runs()) == {RunKey(name, DUE, name) for name in names}
        assert set(await other.processed_through()) == set(names)
        for name in names:
            assert await other.load(RunKey(name, DUE, name)) == (seen(schedule_name=name, job_name=name),)
            assert await other.recall(name) == name.encode()

    @awaited
    async def test_a_verdict_on_twenty_thousand_vms_and_a_text_of_megabytes_fit(self, another):
        ledger, huge = another(), (decided(20_000), alarmed("x" * 5_000_000))
        await ledger.append(KEY, 0, *huge)
        assert await another().load(KEY) == huge

    @pytest.mark.parametrize("year", [1970, 2026, 9999])
    @awaited
    async def test_due_times_of_any_year_keep_their_order(self, another, year):
        ledger = another()
        due = datetime(year, 12, 31, 23, 59, 59, 999_000, tzinfo=UTC)
        await ledger.append(RunKey("a", due), 0, seen())
        await ledger.append(RunKey("a", due - timedelta(milliseconds=1)), 0, seen())
        assert [key.due for key in await ledger.open_runs()] == [due - timedelta(milliseconds=1), due]

    # --- remedies

    @awaited
    async def test_a_remedy_is_there_for_the_next_one_who_opens_the_ledger(self, another):
        await another().put_remedy(remedy())
        assert await another().remedies(DUE - timedelta(hours=4)) == (remedy(),)
        assert await another().remedies(DUE) == ()

    @awaited
    async def test_what_came_of_a_remedy_replaces_what_was_written_before_it(self, another):
        ledger = another()
        await ledger.put_remedy(remedy())
        done = remedy(result=Result.DONE, ended_at=DUE, text="XO scanned it")
        await ledger.put_remedy(done)
        assert await ledger.remedies(DUE - timedelta(days=1)) == (done,)

    @awaited
    async def test_remedies_of_one_moment_are_kept_apart_by_kind_and_object(self, another):
        ledger = another()
        other_sr = remedy(scope=Scope(ScopeKind.SR, "sr-2", "Slow SR"))
        plug = remedy(kind=RemedyKind.PLUG)
        earlier = remedy(at=DUE - timedelta(hours=5))
        for one in (other_sr, plug, remedy(), earlier):
            await ledger.put_remedy(one)
        assert await ledger.remedies(DUE - timedelta(days=1)) == (earlier, plug, remedy(), other_sr)
