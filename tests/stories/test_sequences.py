"""Nights in which guard acts on a sequence: XO goes through what passes, guard takes out what does not, in order."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import pytest
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End, Starter
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from tests.stories.acting import Enforcing, left_behind, starts_of
from tests.stories.small_world import EVENING, happens

DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
FORENOON = datetime(2026, 11, 24, 11, tzinfo=UTC)
MINUTES = 20


class Chain:
    """A sequence of three members, a job each; the middle one has two VMs. Each takes some twenty minutes."""

    def __init__(self, *names: str) -> None:
        world = World(lambda: EVENING)
        self.pool = world.add_pool("paris")
        self.nas = world.add_repository("nas", size=9000 * GIB, available=8000 * GIB)
        self.srs, self.vms, self.members = {}, {}, {}
        for name in names or ("first", "middle", "last"):
            sr = self.srs[name] = world.add_sr(self.pool, f"{name} SR", "nfs", size=500 * GIB)
            found = [world.add_vm(self.pool, f"{name} {number}") for number in range(2 if name == "middle" else 1)]
            for vm in found:
                world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
            job = world.add_job(name, vms=found, remotes=[self.nas])
            self.vms[name] = found
            self.members[name] = world.add_schedule(job, "0 0 1 jan *", name=name, enabled=False)
        job, self.sequence = world.add_sequence("sequence", list(self.members.values()), cron="0 2 * * *")
        self.live = Live(world)
        for schedule in self.members.values():
            self.live.rates.jobs[schedule["jobId"]] = GIB / (60 * MINUTES)

    def blocked(self, name, vm=0):
        """A VM whose chain has to coalesce, and nothing does."""
        (disk,) = self.live.world.disks_of(self.vms[name][vm])
        self.live.collector.switch_off(self.srs[name])
        self.live.world.add_base_copies(disk, 4)

    def clears(self, name, after):
        happens(self.live, DUE + after, lambda: self.live.collector.switch_on(self.srs[name]))

    def order(self):
        """The members in the order in which XO began them, with who had it do so."""
        of = {schedule["id"]: name for name, schedule in self.members.items()}
        return [(of[one.schedule_id], one.origin) for one in self.live.world.starts if one.schedule_id in of]

    def overlap(self):
        """Members that ran at the same time."""
        logs = sorted(
            (log for log in self.live.world.logs.values() if log["scheduleId"] in self._ids()),
            key=lambda log: log["start"],
        )
        return [(a["jobId"], b["jobId"]) for a, b in pairwise(logs) if b["start"] < a.get("end", a["start"])]

    def _ids(self):
        return {schedule["id"] for schedule in self.members.values()}

    def left_behind(self):
        mine = {schedule["name"] for schedule in self.members.values()}
        return [name for name in left_behind(self.live) if name not in mine]


def ends_of(guarded, chain):
    stories = guarded.stories()
    names = {schedule["id"]: name for name, schedule in chain.members.items()} | {chain.sequence["id"]: "sequence"}
    return {names[key.schedule]: fold(key, events).ended.end for key, events in stories.items()}


def methods(chain):
    return [one.method for one in chain.live.world.writes]


def test_a_sequence_whose_members_all_pass_is_left_to_xo_without_a_write(tmp_path):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert methods(chain) == []
    assert chain.order() == [("first", "sequence"), ("middle", "sequence"), ("last", "sequence")]
    assert set(ends_of(guarded, chain).values()) == {End.LEFT_TO_XO}


def test_its_firing_is_confirmed_by_its_first_members_start(tmp_path):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always", trusted=False)
    guarded.run(FORENOON)
    assert methods(chain) == []
    guarded.run(FORENOON + timedelta(days=1))
    assert "schedule.runSequence" in methods(chain)


def test_with_claim_always_xo_runs_it_at_guards_word_in_one_call(tmp_path):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert methods(chain).count("schedule.runSequence") == 1
    assert [name for name, _ in chain.order()] == ["first", "middle", "last"]
    assert set(ends_of(guarded, chain).values()) == {End.RAN}
    assert chain.sequence["enabled"]
    assert chain.left_behind() == []
    assert chain.overlap() == []


def test_a_member_that_has_to_wait_is_taken_out_and_started_alone_when_it_may(tmp_path):
    chain = Chain()
    chain.blocked("first")
    chain.clears("first", timedelta(minutes=10))
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["middle", "last", "first"]
    assert chain.overlap() == []
    assert ends_of(guarded, chain) == {"sequence": End.RAN, "first": End.RAN, "middle": End.RAN, "last": End.RAN}
    assert chain.sequence["enabled"]
    assert chain.left_behind() == []


def test_a_member_that_starts_in_part_has_its_turn_between_the_others(tmp_path):
    chain = Chain()
    chain.blocked("middle", vm=1)
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    names = [name for name, _ in chain.order()]
    assert names[:3] == ["first", "middle", "last"]
    middle = starts_of(chain.live, chain.members["middle"])
    assert middle[0].vms == (chain.vms["middle"][0]["id"],)
    assert chain.overlap() == []
    assert chain.left_behind() == []
    assert chain.sequence["enabled"]


def test_a_member_that_cannot_run_at_all_is_refused_and_the_others_go_on(tmp_path):
    chain = Chain()
    job = chain.live.world.jobs[chain.members["middle"]["jobId"]]
    job["settings"].pop(chain.members["middle"]["id"], None)
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "last"]
    assert ends_of(guarded, chain) == {
        "sequence": End.RAN_IN_PART,
        "first": End.RAN,
        "middle": End.REFUSED,
        "last": End.RAN,
    }
    assert chain.left_behind() == []


def test_when_xo_dies_in_the_middle_guard_goes_on_with_what_is_left(tmp_path):
    chain = Chain()
    happens(chain.live, DUE + timedelta(minutes=5), lambda: chain.live.restart_xo(timedelta(minutes=2)))
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "middle", "last"]
    assert set(ends_of(guarded, chain).values()) == {End.RAN}
    assert chain.overlap() == []


def test_when_a_sequence_of_xos_own_breaks_off_guard_goes_on_with_what_is_left(tmp_path):
    chain = Chain()
    happens(chain.live, DUE + timedelta(minutes=5), lambda: chain.live.restart_xo(timedelta(minutes=2)))
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "middle", "last"]
    ends = ends_of(guarded, chain)
    assert (ends["first"], ends["middle"], ends["last"]) == (End.LEFT_TO_XO, End.RAN, End.RAN)


def test_when_guard_is_gone_for_good_xos_fallback_runs_the_whole_sequence(tmp_path):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    assert not chain.sequence["enabled"]
    guarded.close()
    chain.live.advance(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "middle", "last"]
    assert chain.sequence["enabled"]


@pytest.mark.parametrize("away", [timedelta(minutes=4), timedelta(minutes=30), timedelta(hours=3)])
def test_a_guard_that_comes_back_finds_what_xos_fallback_began(tmp_path, away):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    guarded.close()
    chain.live.advance(DUE + away)
    guarded.start()
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "middle", "last"]
    assert set(ends_of(guarded, chain).values()) == {End.LEFT_TO_XO}
    for schedule in chain.members.values():
        assert guarded.run_of(schedule).attempts[0].started.by is Starter.FALLBACK
    assert chain.left_behind() == []


def test_a_guard_that_dies_between_two_members_leaves_a_fallback_for_the_one_to_come(tmp_path):
    chain = Chain()
    chain.blocked("middle", vm=1)
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(DUE + timedelta(minutes=5))
    guarded.close()
    chain.live.advance(FORENOON)
    assert sorted(name for name, _ in chain.order()) == ["first", "last", "middle"]
    assert chain.sequence["enabled"]


def test_a_person_who_runs_a_member_by_hand_is_not_run_over(tmp_path):
    chain = Chain()
    happens(
        chain.live,
        DUE + timedelta(minutes=1),
        lambda: chain.live.jobs.run_schedule(chain.members["last"], "rpc"),
    )
    guarded = Enforcing(chain.live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert len(starts_of(chain.live, chain.members["last"])) <= 2
    assert chain.left_behind() == []
    assert chain.sequence["enabled"]


def test_a_sequence_with_a_member_that_is_gone_is_left_to_xo(tmp_path):
    chain = Chain()
    chain.blocked("first")
    del chain.live.world.schedules[chain.members["last"]["id"]]
    guarded = Enforcing(chain.live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert methods(chain) == []
