"""The look ahead: when a round reads XO, what it does then, what it leaves alone, and how it comes through trouble."""

from __future__ import annotations

import asyncio
import dataclasses
from datetime import timedelta

import msgspec
import pytest
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.errors import LedgerError, LedgerUnwritableError, XoUnreachableError
from guard.estate.estate import PartName
from guard.estate.workaround import OwnFile, State
from guard.finding import Fact, Level, Scope, ScopeKind
from guard.lifecycle.events import RunKey
from guard.lifecycle.remedy import Effect, RemedyKind, Result
from guard.remedies.doing import Doer
from guard.remedies.round import Ahead, Rounds
from tests.builders import (
    DUE,
    NOW,
    make_estate,
    make_host,
    make_job,
    make_pbd,
    make_pool,
    make_schedule,
    make_sequence,
    make_server,
    make_sr,
    make_vbd,
    make_vm,
)
from tests.ledger.opening import opened
from tests.lifecycle.stories import decided, finding, held, seen, story
from tests.remedies.scenes import DAY, HOUR, MINUTE, chain, done, policy
from tests.virtual_time import run as driven

SOON = 15 * MINUTE
LOST = {
    "jobs": [make_job(vms={"id": {"__or": ["vm", "away"]}})],
    "servers": [make_server(), make_server("lost", status="disconnected", error={"code": "ECONNRESET"})],
}
STUCK = chain()


class Evening:
    """One guard's look ahead. ``world``: what XO shows, by name; ``writes``: (what, on what, when) of it."""

    def __init__(self, folder, world=None, rules=None):
        self.world, self.rules = world or {}, rules or policy()
        self.ledger = opened(folder / "ledger.sqlite")
        self.reads, self.writes, self.told, self.wakes = [], [], [], []
        self.error, self.takes, self.offset = None, timedelta(), timedelta()
        self.runs, self.brakes, self.untrusted, self.latest = (), (), "", None
        self.lost_for_good = False
        doer = Doer(self, self.ledger, self, clock=self.clock, timeout_file=lambda: None)
        self.rounds = Rounds(self.ledger, self, doer, clock=self.clock, policy_of=lambda: self.rules)

    def clock(self):
        return asyncio.get_running_loop().now() + self.offset

    # --- XO

    def shown(self):
        estate = make_estate(reading={name: {"read_at": self.clock()} for name in PartName}, **self.world)
        return dataclasses.replace(estate, taken_at=self.clock())

    async def read_whole(self):
        self.reads.append(self.clock())
        if self.error is not None:
            raise self.error
        return self.shown()

    async def scan_sr(self, sr_id):
        await self._asked("scan", sr_id)

    async def connect_server(self, server_id):
        await self._asked("connect", server_id)
        if not self.lost_for_good:
            self.world = {**self.world, "servers": [make_server(), make_server(server_id, pool="far")]}

    async def plug_pbd(self, pbd_id):
        await self._asked("plug", pbd_id)

    async def _asked(self, what, target):
        self.writes.append((what, target, self.clock()))
        await asyncio.sleep(self.takes.total_seconds())

    async def stands(self, state, *, at):
        self.told.append(("stands", state.own.value_ms, at))

    async def remedied(self, remedy):
        self.told.append((remedy.kind.value, remedy.result.value, remedy.effect.value))

    # --- the gate

    def ahead(self):
        return Ahead(
            setup=self.shown(),
            runs=self.runs,
            brakes=self.brakes,
            untrusted=self.untrusted,
            latest=self.latest,
            lead=timedelta(seconds=60),
            as_found=lambda estate: estate,
        )

    def go(self, start, until, every=timedelta(seconds=30), then=None):
        """Look again and again; ``then``: what a test does at each look."""

        async def looks():
            end = until if until > start else until + 2 * DAY  # the test sets the clock back
            while asyncio.get_running_loop().now() < end:
                if then is not None:
                    then(self)
                self.wakes.append(self.rounds.look(self.ahead(), self.read_whole))
                await asyncio.sleep(every.total_seconds())
            await self.rounds.end()

        driven(looks(), start)
        return self

    def remedies(self):
        return asyncio.run(self.ledger.remedies(NOW - 400 * DAY))

    def has(self, *remedies):
        for one in remedies:
            asyncio.run(self.ledger.put_remedy(one))
        return self


@pytest.fixture
def evening(tmp_path):
    def made(world=None, **more):
        return Evening(tmp_path, world, **more)

    return made


def at(*moments):
    return [DUE - one for one in moments]


# --- when XO is read


def test_xo_is_read_each_half_hour_of_the_four_before_a_due_time(evening):
    night = evening().go(DUE - 6 * HOUR, DUE + 2 * HOUR)
    halves = [4 * HOUR - one * 30 * MINUTE for one in range(8)]
    assert night.reads == at(*halves)
    assert night.wakes[0] == DUE - 5.5 * HOUR  # by then the due time is in view
    assert night.rounds.trouble == ""
    assert night.told == []


def test_a_pool_that_is_lost_meanwhile_is_looked_at_a_quarter_of_an_hour_before(evening):
    night = evening()

    def loses(night):
        if night.clock() == DUE - 20 * MINUTE:
            night.world = LOST

    night.go(DUE - 6 * HOUR, DUE, then=loses)
    assert night.reads[-2:] == at(30 * MINUTE, SOON)
    assert [one[2] for one in night.writes] == at(SOON)


def test_the_policy_says_how_long_before(evening):
    assert evening(rules=policy('look_ahead = "2 h"')).go(DUE - 6 * HOUR, DUE - 2 * HOUR + MINUTE).reads == at(2 * HOUR)


def test_a_guard_that_starts_within_that_time_looks_at_once(evening):
    assert evening().go(DUE - 50 * MINUTE, DUE - 40 * MINUTE).reads == at(50 * MINUTE)


def test_due_times_minute_by_minute_are_not_read_for_one_by_one(evening):
    schedules = [make_schedule(f"s{one}", cron=f"{one} 0 * * *") for one in range(60)]
    night = evening({"schedules": schedules}).go(DUE - 5 * HOUR, DUE + HOUR)
    assert len([one for one in night.reads if one < DUE - SOON]) == 8
    assert [one for one in night.reads if one >= DUE] == []  # nobody reads XO whole in the minutes before a due time


def test_without_a_due_time_in_view_it_looks_again_when_more_of_the_day_is(evening):
    night = evening({"schedules": []}).go(NOW, NOW + MINUTE)
    assert (night.reads, night.wakes[0]) == ([], NOW + 30 * MINUTE)


def test_where_guard_may_not_act_nothing_is_read(evening):
    assert evening(rules=policy(gate="observe")).go(DUE - HOUR, DUE).wakes == [None] * 120
    stranger = evening(LOST)
    stranger.untrusted = "xo-server 9 was never tested with guard"
    assert (stranger.go(DUE - HOUR, DUE).reads, stranger.writes) == ([], [])


def test_schedules_that_are_only_watched_are_not_read_for(evening):
    rules = policy(more='[[schedule]]\nname = "schedule"\ngate = "observe"\n')
    schedules = [make_schedule(), make_schedule("far", cron="0 12 * * *")]
    assert evening({"schedules": schedules}, rules=rules).go(DUE - 5 * HOUR, DUE).reads == []


def test_shortly_before_a_due_time_only_what_the_gate_has_just_read_is_used(evening):
    night = evening(LOST).go(DUE - 2 * MINUTE, DUE)
    assert (night.reads, night.wakes[0]) == ([], DUE + MINUTE)

    def read_by_the_gate(night):
        night.latest = night.latest or night.shown()

    known = evening(LOST).go(DUE - 2 * MINUTE, DUE, then=read_by_the_gate)
    assert known.reads == []
    assert [one[:2] for one in known.writes] == [("connect", "lost")]


def test_a_clock_that_is_set_back_does_not_stop_it(evening):
    night = evening()

    def set_back(night):
        if night.reads and not night.offset:
            night.offset = -2 * DAY

    night.go(DUE - 4 * HOUR, DUE - 2 * DAY - 3 * HOUR, then=set_back)
    night.offset = timedelta()
    again = DUE - 2 * DAY - 4 * HOUR + timedelta(seconds=30)
    assert night.reads == [DUE - 4 * HOUR, again, again + 30 * MINUTE]


# --- what it does


def test_a_remedy_is_done_at_its_own_time(evening):
    night = evening(LOST).go(DUE - 4 * HOUR, DUE + HOUR)
    assert night.writes == [("connect", "lost", DUE - SOON)]
    (remedy,) = night.remedies()
    assert (remedy.kind, remedy.result, remedy.effect) == (RemedyKind.RECONNECT, Result.DONE, Effect.HELPED)
    assert night.told == [("reconnect", "done", "pending"), ("reconnect", "done", "helped")]


def test_what_came_of_it_is_seen_also_where_nothing_more_is_due_that_night(evening):
    night = evening(LOST).go(DUE - 20 * MINUTE, DUE + HOUR)
    assert night.remedies()[0].effect_at == DUE + SOON
    assert night.reads == at(20 * MINUTE, SOON, -SOON)


def test_what_does_not_help_is_looked_for_a_few_hours_and_then_left(evening):
    night = evening(LOST)
    night.lost_for_good = True
    night.go(DUE - 20 * MINUTE, DUE + 8 * HOUR)
    assert night.told == [("reconnect", "done", "pending"), ("reconnect", "done", "nothing")]
    assert len(night.reads) == 3


def test_an_sr_is_scanned_once_and_between_two_scans_of_one_pool_one_is_over(evening):
    two = {
        "srs": [make_sr(), make_sr("second")],
        "pbds": [make_pbd(), make_pbd("second")],
        "vms": [make_vm(), make_vm("other")],
        "vbds": [make_vbd(), make_vbd("other", "its")],
        "vdis": [*STUCK["vdis"], *chain(disk="its", sr="second")["vdis"]],
        "vdi_unmanaged": [*STUCK["vdi_unmanaged"], *chain(disk="its", sr="second")["vdi_unmanaged"]],
        "jobs": [make_job(vms={"id": {"__or": ["vm", "other"]}})],
    }
    night = evening(two)
    night.takes = 2 * MINUTE
    night.go(DUE - 5 * HOUR, DUE)
    assert night.writes == [
        ("scan", "sr", DUE - 4 * HOUR),
        ("scan", "second", DUE - 4 * HOUR + 2 * MINUTE),
    ]


def test_what_was_read_before_a_long_scan_is_read_again_before_the_next_one(evening):
    far = chain(disk="its", sr="second")
    two = {
        "pools": [make_pool(), make_pool("far", master="there")],
        "servers": [make_server(), make_server("second", pool="far")],
        "hosts": [make_host(), make_host("there", pool="far")],
        "srs": [make_sr(), make_sr("second", pool="far")],
        "pbds": [make_pbd(), make_pbd("second", "there")],
        "vms": [make_vm(), make_vm("other", pool="far", container="there")],
        "vbds": [make_vbd(), make_vbd("other", "its")],
        "vdis": [*STUCK["vdis"], *far["vdis"]],
        "vdi_unmanaged": [*STUCK["vdi_unmanaged"], *far["vdi_unmanaged"]],
        "jobs": [make_job(vms={"id": {"__or": ["vm", "other"]}})],
    }
    night = evening(two)
    night.takes = 6 * MINUTE
    night.go(DUE - 5 * HOUR, DUE - 3.5 * HOUR)
    assert [one[:2] for one in night.writes] == [("scan", "sr"), ("scan", "second")]
    assert night.reads[:2] == [DUE - 4 * HOUR, night.writes[1][2]]


def test_while_a_scan_may_still_go_on_no_other_is_begun_in_that_pool(evening):
    maybe = done("rescan", "other", DUE - 3.5 * HOUR, Result.UNKNOWN, pool="pool")
    night = evening(STUCK).has(maybe).go(DUE - 3.5 * HOUR + MINUTE, DUE)
    assert [one[:2] for one in night.writes] == [("scan", "sr")]
    assert night.writes[0][2] >= DUE - 3 * HOUR


def test_of_another_pool_it_may(evening):
    elsewhere = done("rescan", "other", DUE - 3.5 * HOUR, Result.UNKNOWN, pool="far")
    night = evening(STUCK).has(elsewhere).go(DUE - 3.5 * HOUR + MINUTE, DUE - 3 * HOUR)
    assert night.writes == [("scan", "sr", DUE - 3.5 * HOUR + MINUTE)]


def test_only_one_round_goes_on_at_a_time(evening):
    night = evening(LOST)
    night.takes = 5 * MINUTE
    busy = []
    night.go(DUE - SOON, DUE - SOON + 3 * MINUTE, then=lambda night: busy.append(night.rounds.is_busy))
    assert busy == [False, True, True, True, True, True]
    assert night.wakes[1] == DUE - SOON + timedelta(seconds=60)
    assert len(night.reads) == 1


def test_a_remedy_that_guard_s_end_breaks_off_stays_open_in_the_ledger_and_is_settled_by_the_next(evening, tmp_path):
    night = evening(LOST)
    night.takes = 5 * MINUTE
    night.go(DUE - SOON, DUE - SOON + MINUTE)
    (begun,) = night.remedies()
    assert (begun.result, night.told) == (Result.OPEN, [])
    night.ledger.close()
    later = Evening(tmp_path, LOST).go(DUE - 12 * MINUTE, DUE)
    (settled,) = later.remedies()
    assert (settled.result, settled.text) == (Result.UNKNOWN, "guard ended before it recorded what came of it.")
    assert (settled.ended_at, later.writes) == (DUE - 12 * MINUTE, [])


def test_a_remedy_of_before_the_clock_was_set_back_neither_counts_nor_is_measured(evening):
    before = Fact(name="status", value="disconnected", unit="", source="s", observed_at=None)
    odd = done("reconnect", "lost", DUE + 300 * DAY, before=(before,))
    night = evening(LOST).has(odd).go(DUE - 20 * MINUTE, DUE)
    assert [one[:2] for one in night.writes] == [("connect", "lost")]
    assert odd in night.remedies()


# --- what a person said


def brake(kind, scope):
    return (Brake(kind=kind, scope=scope, until=None, reason="r", since=NOW, by="anna"),)


@pytest.mark.parametrize("scope", ["all", "schedule:schedule", "job:job"])
def test_where_guard_is_to_stand_aside_it_helps_nobody(evening, scope):
    night = evening(LOST)
    night.brakes = brake("bypass", scope)
    assert night.go(DUE - 20 * MINUTE, DUE).writes == []


@pytest.mark.parametrize("scope", ["all", "schedule:schedule", "vm:vm", "pool:pool", "sr:sr"])
def test_what_is_on_hold_is_not_helped_to_start(evening, scope):
    night = evening(STUCK)
    night.brakes = brake("hold", scope)
    assert night.go(DUE - 3 * HOUR, DUE - HOUR).writes == []


@pytest.mark.parametrize("said", ["bypass", "observe", "not allowed"])
def test_what_a_person_says_while_a_round_goes_on_holds_for_all_that_it_has_not_done_yet(evening, said):
    two = {**LOST, "servers": [*LOST["servers"], make_server("other", status="disconnected", error={"code": "E"})]}
    night = evening(two)
    night.takes, night.lost_for_good = 2 * MINUTE, True

    def says(night):
        if len(night.writes) == 1:
            night.brakes = brake("bypass", "all") if said == "bypass" else ()
            night.rules = {"observe": policy(gate="observe"), "not allowed": policy("reconnect = false")}.get(
                said, night.rules
            )

    night.go(DUE - SOON, DUE, then=says)
    assert [one[1] for one in night.writes] == ["lost"]


def test_another_hold_does_not_matter(evening):
    night = evening(STUCK)
    night.brakes = brake("hold", "vm:other")
    assert len(night.go(DUE - 3 * HOUR, DUE - HOUR).writes) == 1


SEQUENCE = {
    **LOST,
    "call_jobs": [make_sequence("schedule")],
    "schedules": [
        make_schedule(enabled=False, cron="0 12 * * *"),
        make_schedule("sequence", job="sequence-job"),
    ],
}


def test_a_sequence_counts_by_its_own_schedule(evening):
    own = policy(gate="observe", more='[[schedule]]\nname = "sequence"\ngate = "enforce"\n')
    assert len(evening(SEQUENCE, rules=own).go(DUE - 20 * MINUTE, DUE).writes) == 1


def test_a_sequence_that_is_left_to_xo_is_left_alone(evening):
    night = evening(SEQUENCE)
    night.brakes = brake("bypass", "schedule:sequence")
    assert night.go(DUE - 20 * MINUTE, DUE).writes == []


# --- runs that wait


def waiting(action=Action.DEFER, *, acts=True):
    told = finding("POOL_DISCONNECTED", holds=(), scope=Scope(ScopeKind.SERVER, "lost", "lost"), level=Level.BLOCK)
    verdict = decided(told, action=action, held=[] if action is Action.START else [held("vm")])
    return story(seen(), msgspec.structs.replace(verdict, acts=acts))


def test_a_run_that_waits_is_helped_by_what_the_gate_reads_once_for_each_reading(evening):
    night = evening({**LOST, "schedules": [make_schedule(enabled=False)]})
    night.runs = [waiting()]

    def read_by_the_gate(night):
        if night.latest is None or night.clock() - night.latest.taken_at >= 10 * MINUTE:
            night.latest = night.shown()

    night.go(DUE + MINUTE, DUE + 30 * MINUTE, then=read_by_the_gate)
    assert night.writes == [("connect", "lost", DUE + MINUTE)]
    assert night.reads == []


def test_a_run_that_waits_for_nobody_s_act_is_no_reason(evening):
    night = evening({**LOST, "schedules": [make_schedule(enabled=False)]})
    night.runs = [waiting(acts=False), waiting(Action.START)]
    night.go(DUE + MINUTE, DUE + 10 * MINUTE, then=lambda night: setattr(night, "latest", night.shown()))
    assert night.writes == []


# --- trouble


def test_an_xo_that_cannot_be_read_is_read_again_after_five_minutes(evening):
    night = evening(LOST)
    night.error = XoUnreachableError("No XO answers")

    def comes_back(night):
        if night.clock() >= DUE - 12 * MINUTE:
            assert night.rounds.trouble == "No XO answers"
            night.error = None

    def only_once(night):
        if night.error is not None:
            comes_back(night)

    night.go(DUE - SOON, DUE, then=only_once)
    assert night.reads == at(SOON, 10 * MINUTE)
    assert night.writes == [("connect", "lost", DUE - 10 * MINUTE)]
    assert night.rounds.trouble == ""


def test_an_estate_that_makes_it_stumble_does_not_end_the_gate(evening):
    night = evening(LOST)
    night.error = RuntimeError("odd")
    night.go(DUE - 50 * MINUTE, DUE)
    assert night.rounds.trouble == "RuntimeError: odd"
    assert len(night.reads) == 3


def broken(night, error):
    async def refuses(remedy):
        raise error

    night.ledger.put_remedy = refuses
    return night


def test_while_the_ledger_takes_nothing_nothing_is_done_and_the_gate_goes_on(evening):
    night = broken(evening(LOST), LedgerUnwritableError("the disk is full")).go(DUE - SOON, DUE)
    assert (night.writes, night.rounds.trouble) == ([], "the disk is full")


def test_a_ledger_that_is_damaged_is_the_gate_s_to_tell(evening):
    night = broken(evening(LOST), LedgerError("it is damaged"))
    with pytest.raises(LedgerError, match="it is damaged"):
        night.go(DUE - SOON, DUE)
    assert (night.writes, night.rounds.trouble) == ([], "it is damaged")


def test_a_run_of_a_job_that_is_gone_is_no_crash(evening):
    night = evening({"schedules": [make_schedule(enabled=False)], "jobs": []})
    run = waiting()
    night.runs = [run, story(seen(), key=RunKey("schedule", DUE))]
    night.go(DUE + MINUTE, DUE + 5 * MINUTE, then=lambda night: setattr(night, "latest", night.shown()))
    assert (night.writes, night.rounds.trouble) == ([], "")


# --- a reminder


def standing(state="intact", written_at=NOW - 6 * DAY):
    own = OwnFile(state=state, value_ms=1_800_000, until=NOW + 80 * DAY, written_at=written_at)
    return {"workaround": State(folder="/etc/xo-server", looked_at=NOW, own=own)}


def put_back():
    return [
        done("timeout_file", "xo", NOW - 60 * DAY),
        done("timeout_file_back", "xo", NOW - 20 * DAY),
        done("timeout_file", "xo", NOW - 6 * DAY, until=NOW + 80 * DAY),
    ]


def reminders(night):
    return [one for one in night.told if one[0] == "stands"]


def test_a_file_that_had_to_be_put_back_is_reminded_of_once_a_week(evening):
    night = evening(standing()).has(*put_back())
    night.go(DUE - HOUR, DUE)
    assert reminders(night) == []  # it was put back less than a week ago
    night.go(DUE + DAY, DUE + DAY + HOUR + MINUTE)
    night.go(DUE + 2 * DAY - HOUR, DUE + 2 * DAY)
    assert len(reminders(night)) == 1
    night.go(DUE + 9 * DAY - HOUR, DUE + 9 * DAY)
    assert len(reminders(night)) == 2


def test_one_that_was_never_taken_back_or_is_not_guard_s_any_more_is_not(evening, tmp_path):
    first = evening(standing(written_at=NOW - 20 * DAY)).has(put_back()[0])
    assert reminders(first.go(DUE - HOUR, DUE)) == []
    edited = evening(standing("edited", written_at=NOW - 20 * DAY)).has(*put_back())
    assert reminders(edited.go(DUE - HOUR, DUE)) == []
    failed = done("timeout_file", "xo", NOW - HOUR, Result.FAILED)
    (tmp_path / "other").mkdir()
    gone = Evening(tmp_path / "other", standing(written_at=NOW - 20 * DAY)).has(*put_back()[:2], failed)
    assert reminders(gone.go(DUE - HOUR, DUE)) == []


def test_without_a_time_in_the_file_the_week_begins_now(evening):
    night = evening(standing(written_at=None)).has(*put_back())
    assert reminders(night.go(DUE - HOUR, DUE)) == []
