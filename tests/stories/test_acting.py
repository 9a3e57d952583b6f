"""Nights in which guard acts: what others do meanwhile is theirs, and whatever is away comes back to one start."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.lifecycle.events import End, ReleasedHow, Starter
from guard.lifecycle.in_force import TOO_OFTEN
from guard.outcomes.alarms import SCHEDULE_LEFT_OFF
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from guard.views.log import line_of
from tests.stories.acting import Enforcing, left_behind, starts_of
from tests.stories.small_world import EVENING, happens, small_world

DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
FORENOON = datetime(2026, 11, 24, 9, tzinfo=UTC)


def one_job(start=EVENING, cron="0 2 * * *", zone=None, **more):
    """A world with one VM and one schedule."""
    world = World(lambda: start)
    pool = world.add_pool("paris")
    sr = world.add_sr(pool, "NFS", "nfs", size=500 * GIB)
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    vm = world.add_vm(pool, "vm")
    world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
    job = world.add_job("nightly", vms=[vm], remotes=[nas])
    schedule = world.add_schedule(job, cron, timezone=zone, name="nightly", **more)
    return Live(world), schedule


def with_chain(live):
    """The only VM's chain needs to coalesce, and nothing does."""
    (vm,) = live.world.objects["VM"].values()
    (disk,) = live.world.disks_of(vm)
    sr = live.world.sr_of(disk)
    live.collector.switch_off(sr)
    live.world.add_base_copies(disk, 4)
    return sr


def test_a_healthy_week_in_enforce_writes_nothing_to_xo(tmp_path):
    live = small_world(long_minutes=20)
    guarded = Enforcing(live, tmp_path / "ledger", trusted=False)
    guarded.run(EVENING + timedelta(days=7))
    ends = {run.end for run in (events[-1] for events in guarded.stories().values()) if hasattr(run, "end")}
    assert live.world.writes == []
    assert ends == {End.LEFT_TO_XO}


def test_a_schedule_whose_firing_was_never_confirmed_is_left_to_xo(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always", trusted=False)
    guarded.run(FORENOON)
    assert live.world.writes == []
    guarded.run(FORENOON + timedelta(days=1))
    assert guarded.run_of(schedule).ended.end is End.RAN
    assert [one.origin for one in starts_of(live, schedule)] == ["cron", "rpc"]


def test_an_enforced_schedule_that_fires_too_often_is_told_to_be_left_to_xo_also_where_it_starts_whole(tmp_path):
    live, schedule = one_job(cron="*/3 * * * *")
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(EVENING + timedelta(minutes=10))
    found = guarded.run_of(schedule).decided
    assert (found.verdict.action, found.acts, found.aside) == (Action.START, False, TOO_OFTEN)
    assert f"guard would start it whole: {found.verdict.sentence} It is left to XO: {TOO_OFTEN}." in (
        line_of(guarded.run_of(schedule), found).message
    )


def test_a_run_guard_starts_itself_begins_within_the_second(tmp_path):
    live, schedule = one_job()
    Enforcing(live, tmp_path / "ledger", claim="always").run(FORENOON)
    (start,) = starts_of(live, schedule)
    assert timedelta() <= start.at - DUE < timedelta(seconds=1)
    assert left_behind(live) == []


@pytest.mark.parametrize("late", [timedelta(seconds=5), timedelta(seconds=-2)], ids=["before", "after"])
def test_a_schedule_that_xo_switches_off_late_is_given_back_and_its_run_started_once(tmp_path, late):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.xo.lose = lambda name: "hang" if name == "set_enabled" and live.now() < DUE - late else ""
    read, done = guarded.xo.schedule, []

    async def switched_off_first(identity):
        if live.now() >= DUE - late and not done:
            done.append(live.set_schedule({"id": identity, "enabled": False}))
        return await read(identity)

    guarded.xo.schedule = switched_off_first
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    assert left_behind(live) == []


def test_fallbacks_that_take_xo_past_the_due_time_leave_the_schedule_on(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    put = guarded.xo.put_fallback

    async def slowly(fallback):
        await put(fallback)
        live.advance(timedelta(seconds=40))

    guarded.xo.put_fallback = slowly
    guarded.run(FORENOON)
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]
    assert not any(one.method == "schedule.set" and not one.params.get("enabled") for one in live.world.writes)
    assert guarded.run_of(schedule).ended.end is End.LEFT_TO_XO
    assert left_behind(live) == []


def two_vms():
    """Two VMs of one job, each with a chain that has to coalesce, on an SR of its own."""
    world = World(lambda: EVENING)
    pool = world.add_pool("paris")
    nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
    vms, srs = [], []
    for name in ("one", "two"):
        srs.append(world.add_sr(pool, f"{name} SR", "nfs", size=500 * GIB))
        vms.append(world.add_vm(pool, name))
        world.add_disk(vms[-1], srs[-1], 4 * GIB, usage=1 * GIB)
    job = world.add_job("nightly", vms=vms, remotes=[nas])
    schedule = world.add_schedule(job, "0 2 * * *", name="nightly")
    live = Live(world)
    for sr, vm in zip(srs, vms, strict=True):
        live.collector.switch_off(sr)
        live.world.add_base_copies(live.world.disks_of(vm)[0], 4)
    return live, schedule, vms, srs


def test_a_vm_that_a_person_starts_by_hand_meanwhile_is_done_and_the_other_one_still_waits(tmp_path):
    live, schedule, vms, srs = two_vms()
    guarded = Enforcing(live, tmp_path / "ledger")
    by_hand = DUE + timedelta(minutes=5)
    happens(live, by_hand, lambda: live.jobs.run_schedule(schedule, "rpc", vms=[vms[0]["id"]]))
    for minute, sr in zip((3, 30), srs, strict=True):
        happens(live, DUE + timedelta(minutes=minute), lambda sr=sr: live.collector.switch_on(sr))
    guarded.must_look.append(by_hand + timedelta(seconds=1))
    guarded.run(FORENOON)
    assert [one.vms for one in starts_of(live, schedule)] == [(vms[0]["id"],), (vms[1]["id"],)]
    (events,) = [events for key, events in guarded.stories().items() if not key.via]
    assert events[-1].end is End.RAN


def test_a_schedule_that_a_person_changes_while_it_is_claimed_stays_as_the_person_left_it(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    happens(live, DUE - timedelta(seconds=20), lambda: live.set_schedule({"id": schedule["id"], "name": "mine"}))
    guarded.must_look.append(DUE - timedelta(seconds=19))
    guarded.run(FORENOON)
    run = guarded.run_of(schedule)
    assert run.claim.released.how is ReleasedHow.TOUCHED
    assert (schedule["enabled"], schedule["name"]) == (False, "mine")
    assert SCHEDULE_LEFT_OFF.id in {code for _, code in guarded.ear.alarms}
    assert len(starts_of(live, schedule)) == 1


def test_a_stale_form_that_enables_a_claimed_schedule_ends_the_claim(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    happens(live, DUE - timedelta(seconds=20), lambda: live.set_schedule({"id": schedule["id"], "enabled": True}))
    guarded.must_look.append(DUE - timedelta(seconds=19))
    guarded.run(FORENOON)
    assert guarded.run_of(schedule).claim.released.how is ReleasedHow.BY_OTHERS
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]
    assert left_behind(live) == []


def test_a_stale_form_saved_behind_guards_back_leads_to_one_start(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    happens(live, DUE - timedelta(seconds=2), lambda: live.set_schedule({"id": schedule["id"], "enabled": True}))
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    assert left_behind(live) == []


def test_nothing_is_claimed_during_a_rolling_pool_update(tmp_path):
    live, schedule = one_job()
    (pool,) = live.world.objects["pool"].values()
    happens(live, DUE - timedelta(minutes=30), lambda: live.start_rpu(pool, timedelta(hours=3)))
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert live.world.writes == []
    assert schedule["enabled"]


def test_a_rolling_update_of_another_pool_keeps_guard_from_claiming_too(tmp_path):
    live, schedule = one_job()
    other = live.world.add_pool("lyon")
    happens(live, DUE - timedelta(minutes=30), lambda: live.start_rpu(other, timedelta(hours=3)))
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert live.world.writes == []
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]
    assert guarded.run_of(schedule).ended.end is End.LEFT_TO_XO


def test_when_guard_is_gone_for_good_xo_starts_what_was_claimed_and_enables_it(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    assert not schedule["enabled"]
    guarded.close()
    live.advance(FORENOON)
    (start,) = starts_of(live, schedule)
    assert start.at - DUE < timedelta(minutes=4)
    assert schedule["enabled"]


def test_when_guard_is_gone_for_good_xo_starts_what_was_deferred(tmp_path):
    live, schedule = one_job()
    with_chain(live)
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(DUE + timedelta(minutes=5))
    assert schedule["enabled"]
    guarded.close()
    live.advance(FORENOON)
    (start,) = starts_of(live, schedule)
    assert start.at - DUE == timedelta(minutes=63, milliseconds=5)


def test_a_deferred_run_starts_when_its_chain_has_coalesced(tmp_path):
    live, schedule = one_job()
    sr = with_chain(live)
    happens(live, DUE + timedelta(minutes=12), lambda: live.collector.switch_on(sr))
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(FORENOON)
    run = guarded.run_of(schedule)
    assert (run.ended.end, run.attempts[0].ended.outcome.status) == (End.RAN, "success")
    assert left_behind(live) == []


def test_a_guard_that_was_frozen_over_two_due_times_wakes_to_what_xo_did(tmp_path):
    live, schedule = one_job(cron="0 2,3 * * *")
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    live.advance(timedelta(minutes=80))
    guarded.run(FORENOON)
    by = {key.due: events for key, events in guarded.stories().items()}
    assert len(by) == 2
    assert [one.origin for one in starts_of(live, schedule)] == ["sequence", "cron"]
    assert left_behind(live) == []


def test_the_fallback_is_told_as_what_started_it(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    live.advance(timedelta(minutes=20))
    guarded.run(FORENOON)
    run = guarded.run_of(schedule)
    assert (run.ended.end, run.attempts[0].started.by) == (End.LEFT_TO_XO, Starter.FALLBACK)


def test_an_xo_that_is_away_at_the_due_time_is_asked_when_it_is_back(tmp_path):
    live, schedule = one_job()
    happens(live, DUE - timedelta(seconds=10), live.stop_xo)
    happens(live, DUE + timedelta(minutes=9), live.start_xo)
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    assert guarded.run_of(schedule).ended.end is End.RAN
    assert left_behind(live) == []


def test_a_schedule_that_xo_did_not_fire_is_armed_anew_and_started(tmp_path):
    live, schedule = one_job()
    happens(live, DUE - timedelta(minutes=5), lambda: live.scheduler.disarm(schedule["id"]))
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(FORENOON)
    (start,) = starts_of(live, schedule)
    assert timedelta(seconds=60) < start.at - DUE < timedelta(minutes=3)
    assert live.scheduler.armed(schedule["id"])
    assert guarded.run_of(schedule).ended.end is End.RAN


def test_a_guard_with_a_lower_id_goes_first_and_the_other_only_watches(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    name = f"guard[0000000000000000]: start other {DUE:%Y-%m-%dT%H:%M:%SZ}"
    job = live.world.add_call_job(name, "schedule.runSequence", [{"schedules": ["other"]}])
    live.world.add_schedule(job, "3 2 24 10 *", name=name)
    guarded.run(FORENOON)
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]
    assert live.world.writes == []
    assert len(guarded.ear.asides) == 1


def test_an_xo_server_that_was_never_tested_is_only_watched_and_that_is_told_once(tmp_path):
    live, schedule = one_job()
    live.world.version = "5.300.0"
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert live.world.writes == []
    assert ["5.300.0" in reason for reason, _ in guarded.ear.asides] == [True]
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]


@pytest.mark.parametrize(("kind", "end", "starts"), [("hold", End.REFUSED, 0), ("bypass", End.LEFT_TO_XO, 1)])
def test_a_hold_keeps_a_run_from_starting_and_a_bypass_leaves_it_to_xo(tmp_path, kind, end, starts):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    until = DUE + timedelta(days=1)
    guarded.brake(Brake(kind=kind, scope="all", until=until, reason="restore", since=EVENING, by="anna"))
    guarded.run(FORENOON)
    assert guarded.run_of(schedule).ended.end is end
    assert len(starts_of(live, schedule)) == starts
    assert left_behind(live) == []


def test_a_schedule_that_would_storm_is_claimed_over_the_gap_and_started_once(tmp_path):
    start = datetime(2027, 3, 27, 23, 30, tzinfo=UTC)
    live, schedule = one_job(start, cron="0,30 2 * * *", zone="Europe/Paris")
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(datetime(2027, 3, 28, 8, tzinfo=UTC))
    assert live.down == ""
    assert len(starts_of(live, schedule)) == 1
    assert left_behind(live) == []


def test_nothing_is_claimed_while_xo_backs_up_its_own_configuration(tmp_path):
    live, schedule = one_job()
    nas = next(iter(live.world.repositories.values()))
    archive = live.world.add_job("config", type="metadataBackup", remotes=[nas], xoMetadata=True)
    live.world.add_schedule(archive, "0 2 * * *", name="config")
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(FORENOON)
    assert live.world.writes == []
    assert [one.origin for one in starts_of(live, schedule)] == ["cron"]


def test_a_ledger_from_yesterday_starts_nothing_twice(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(minutes=30))
    guarded.ledger.close()
    guarded.ledger = None
    kept = {file.name: file.read_bytes() for file in tmp_path.iterdir() if file.is_file()}
    guarded.start()
    guarded.run(DUE + timedelta(minutes=30))
    guarded.close()
    for file in tmp_path.iterdir():
        file.unlink()
    for name, content in kept.items():
        (tmp_path / name).write_bytes(content)
    guarded.start()
    guarded.run(FORENOON)
    assert len(starts_of(live, schedule)) == 1
    assert left_behind(live) == []


def test_a_metadata_job_that_xo_did_not_fire_is_told_and_not_started(tmp_path):
    live, _ = one_job()
    nas = next(iter(live.world.repositories.values()))
    (pool,) = live.world.objects["pool"].values()
    job = live.world.add_job("databases", type="metadataBackup", remotes=[nas], pools={"id": pool["id"]})
    schedule = live.world.add_schedule(job, "30 2 * * *", name="databases")
    happens(live, DUE, lambda: live.scheduler.disarm(schedule["id"]))
    guarded = Enforcing(live, tmp_path / "ledger")
    guarded.run(FORENOON)
    assert guarded.run_of(schedule).ended.end is End.MISSED
    assert starts_of(live, schedule) == []


@pytest.mark.parametrize("why", ["untested", "bypass"])
def test_guard_that_stands_aside_starts_nothing_that_xo_did_not_fire(tmp_path, why):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger")
    if why == "untested":
        live.world.version = "5.300.0"
    else:
        guarded.brake(Brake(kind="bypass", scope="all", until=None, reason="trouble", since=EVENING, by="anna"))
    happens(live, DUE - timedelta(minutes=5), lambda: live.scheduler.disarm(schedule["id"]))
    guarded.run(FORENOON)
    assert guarded.run_of(schedule).ended.end is End.MISSED
    assert live.world.writes == []


def test_a_hold_that_is_set_after_the_decision_still_keeps_a_claimed_run_from_starting(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    until = DUE + timedelta(days=1)
    guarded.brake(Brake(kind="hold", scope="all", until=until, reason="restore", since=DUE, by="anna"))
    guarded.run(FORENOON)
    assert starts_of(live, schedule) == []
    assert guarded.run_of(schedule).ended.end is End.REFUSED
    assert left_behind(live) == []


def test_a_waiting_run_whose_schedule_is_deleted_comes_to_an_end(tmp_path):
    live, schedule = one_job()
    with_chain(live)
    guarded = Enforcing(live, tmp_path / "ledger")

    def delete():
        live.scheduler.disarm(schedule["id"])
        del live.world.schedules[schedule["id"]]

    happens(live, DUE + timedelta(minutes=5), delete)
    guarded.run(FORENOON)
    assert guarded.run_of(schedule).ended.end is End.EXPIRED
    assert left_behind(live) == []


def reads_slowly(guarded, first, last):
    """Whole readings that begin between these moments take four minutes."""
    estate = guarded.xo.estate

    async def slow():
        found = await estate()
        if first <= guarded.live.now() < last:
            for _ in range(4 * 240):
                guarded.live.advance(timedelta(seconds=0.25))
                await asyncio.sleep(0.25)
        return found

    guarded.xo.estate = slow


def test_what_is_claimed_starts_within_the_second_while_xo_is_read_for_minutes(tmp_path):
    live, due_at_two = one_job()
    world = live.world
    (pool,) = world.objects["pool"].values()
    sr = world.add_sr(pool, "slow", "nfs", size=500 * GIB)
    vm = world.add_vm(pool, "waits")
    disk = world.add_disk(vm, sr, 4 * GIB, usage=1 * GIB)
    live.collector.switch_off(sr)
    world.add_base_copies(disk, 4)
    job = world.add_job("waits", vms=[vm], remotes=list(world.repositories.values()))
    waits = world.add_schedule(job, "51 1 * * *", name="waits")
    more = 'recheck_every = "570 s"\n[[schedule]]\nname = "nightly"\nclaim = "always"\n'
    guarded = Enforcing(live, tmp_path / "ledger", more=more)
    reads_slowly(guarded, DUE - timedelta(seconds=50), DUE)
    guarded.run(FORENOON)
    (start,) = starts_of(live, due_at_two)
    assert (start.origin, timedelta() <= start.at - DUE < timedelta(seconds=1)) == ("rpc", True)
    assert guarded.run_of(due_at_two).ended.end is End.RAN
    assert len(starts_of(live, waits)) == 1
    assert left_behind(live) == []


def test_a_guard_that_comes_back_and_needs_minutes_to_read_xo_starts_what_it_holds_at_its_second(tmp_path):
    live, schedule = one_job()
    guarded = Enforcing(live, tmp_path / "ledger", claim="always")
    guarded.run(DUE - timedelta(seconds=30))
    assert not schedule["enabled"]
    guarded.start()
    reads_slowly(guarded, DUE - timedelta(seconds=50), DUE)
    guarded.run(FORENOON)
    (start,) = starts_of(live, schedule)
    assert (start.origin, timedelta() <= start.at - DUE < timedelta(seconds=1)) == ("rpc", True)
    assert left_behind(live) == []
