"""Follow-ups in driven time: what XO skipped or failed before its snapshot is started once more when the cause is gone."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from itertools import pairwise

import msgspec
import pytest
from guard.decision.brakes import Brake
from guard.lifecycle import follow_up, resolution
from guard.lifecycle.events import AttemptEnded, Decided, End, FollowingUp, GaveUp, Starting
from guard.lifecycle.follow_up_causes import FollowedBy
from guard.simulator.live import Live
from guard.simulator.world import GIB, World
from tests.stories.acting import Enforcing, left_behind, starts_of
from tests.stories.invariants import again_without_reason
from tests.stories.small_world import EVENING, happens
from tests.stories.test_sequences import Chain, ends_of

DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)
FORENOON = datetime(2026, 11, 24, 9, tzinfo=UTC)
TOO_LATE = DUE - timedelta(seconds=5)
"""After the last look before the due time: what happens now nobody foretells."""
DEFER = '[[schedule]]\nname = "nightly"\nmax_defer = "4 h"\n'


class Company:
    """A job of two VMs, each on an SR of its own: one is always well, of the other the test decides."""

    def __init__(self, path, cron="0 2 * * *", more="", policy=DEFER, **options):
        world = World(lambda: EVENING)
        self.paris, self.lyon = world.add_pool("paris"), world.add_pool("lyon")
        self.nas = world.add_repository("nas", size=1000 * GIB, available=options.pop("available", 900) * GIB)
        self.vms, self.srs = [], []
        for pool, name in ((self.paris, "well"), (self.lyon, "ill")):
            self.srs.append(world.add_sr(pool, f"{name} SR", "nfs", size=500 * GIB))
            self.vms.append(world.add_vm(pool, name))
            world.add_disk(self.vms[-1], self.srs[-1], 4 * GIB, usage=1 * GIB)
        self.job = world.add_job("nightly", vms=self.vms, remotes=[self.nas], **options)
        self.schedule = world.add_schedule(self.job, cron, name="nightly")
        self.live, self.ill = Live(world), self.vms[1]
        self.guarded = Enforcing(self.live, path, more=f"{policy}{more}")

    @property
    def shelf(self):
        return self.live.shelf(self.nas["id"])

    def happens(self, at, action):
        """The daemon looks twice a minute, so it sees that soon."""
        happens(self.live, at, action)
        self.guarded.must_look.append(at + timedelta(seconds=1))

    def gets_long_chain(self, until):
        """Right before the run; the SR coalesces from ``until`` on (None: never)."""

        def grow():
            self.live.collector.switch_off(self.srs[1])
            (disk,) = self.live.world.disks_of(self.ill)
            self.live.world.add_base_copies(disk, 4)

        self.happens(TOO_LATE, grow)
        if until is not None:
            self.happens(until, lambda: self.live.collector.switch_on(self.srs[1]))

    def starts(self):
        """(who, minutes after the due time, VMs) of each start."""
        return [
            (one.origin, round((one.at - DUE).total_seconds() / 60), one.vms)
            for one in starts_of(self.live, self.schedule)
        ]

    def events(self):
        (events,) = [
            events
            for key, events in self.guarded.stories().items()
            if key.due == DUE and key.schedule == self.schedule["id"]
        ]
        return events

    def statuses(self):
        return [one.outcome.status for one in self.events() if isinstance(one, AttemptEnded)]

    def given_up(self):
        return [one for one in self.events() if isinstance(one, GaveUp)]

    def follow_ups(self):
        return [one for one in self.events() if isinstance(one, FollowingUp)]

    def end(self):
        return self.events()[-1].end

    def judged_again(self):
        return [one for one in self.events() if isinstance(one, Decided) and one.at > DUE]


@pytest.fixture
def company(tmp_path):
    """Makes one; at the end no VM of it may have been started again without a reason."""
    made = []

    def make(**options):
        made.append(Company(tmp_path / "ledger", **options))
        return made[-1]

    yield make
    for here in made:
        assert again_without_reason(here.live.world, here.guarded.stories()) == []


def test_a_vm_whose_chain_was_unhealthy_is_backed_up_once_it_has_coalesced_after_40_minutes(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=40))
    here.guarded.run(FORENOON)
    (first, second) = here.starts()
    assert first == ("cron", 0, None)
    assert second[0] == "rpc"
    assert 45 <= second[1] <= 65  # the collector waits for five minutes, and guard looks every ten
    assert second[2] == (here.ill["id"],)
    assert here.statuses() == ["skipped", "success"]
    (intent,) = here.follow_ups()
    assert [(one.name, one.codes) for one in intent.vms] == [("ill", ("CHAIN_UNHEALTHY",))]
    assert here.end() is End.LEFT_TO_XO
    assert left_behind(here.live) == []


def test_a_vm_whose_folder_was_locked_is_backed_up_once_the_lock_is_gone(company):
    here = company()
    here.happens(TOO_LATE, lambda: here.shelf.lock(here.ill["id"]))
    here.happens(DUE + timedelta(minutes=8), lambda: here.shelf.unlock(here.ill["id"]))
    here.guarded.run(FORENOON)
    assert [(origin, vms) for origin, _, vms in here.starts()] == [("cron", None), ("rpc", (here.ill["id"],))]
    assert here.starts()[1][1] >= 10  # nobody sees such a lock go: it gets its time
    assert here.statuses() == ["failure", "success"]


def test_a_vm_of_a_lost_pool_is_backed_up_once_xo_has_the_pool_again(company):
    here = company()
    (server,) = [one for one in here.live.world.servers.values() if one["label"] == "lyon"]
    here.happens(TOO_LATE, lambda: here.live.lose_pool(server))
    here.happens(DUE + timedelta(minutes=30), lambda: here.live.regain_pool(server))
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert 30 <= here.starts()[1][1] <= 42
    assert here.statuses() == ["failure", "success"]


def test_a_vm_that_was_migrating_is_backed_up_when_it_has_arrived(company):
    here = company()
    here.happens(TOO_LATE, lambda: here.ill["current_operations"].update(task="migrate_send"))
    here.happens(DUE + timedelta(minutes=25), here.ill["current_operations"].clear)
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert 25 <= here.starts()[1][1] <= 36
    assert here.statuses() == ["failure", "success"]


def test_a_cause_that_stays_is_given_up_at_the_deadline_and_wakes_nobody(company):
    here = company()
    here.gets_long_chain(until=None)
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    (given,) = here.given_up()
    assert (given.end, [one.name for one in given.vms]) == (End.EXPIRED, ["ill"])
    assert timedelta(hours=4) <= given.at - DUE <= timedelta(hours=4, minutes=1)
    assert here.end() is End.LEFT_TO_XO
    assert here.guarded.ear.alarms == []


def test_the_next_due_time_comes_first_and_its_run_finds_the_job_free(company):
    here = company(cron="0 2,3 * * *")
    here.gets_long_chain(until=DUE + timedelta(minutes=50))
    here.guarded.run(DUE + timedelta(hours=2))
    (given,) = here.given_up()
    assert given.end is End.COVERED
    assert given.at < DUE + timedelta(hours=1)
    assert here.end() is End.LEFT_TO_XO
    assert not any(
        one["result"]["message"].endswith("already running") for one in here.live.world.logs.values() if "result" in one
    )


def test_a_follow_up_that_the_next_due_time_leaves_no_room_for_is_not_even_meant(company):
    here = company(cron="0,30 2 * * *")
    here.live.rates.jobs[here.job["id"]] = GIB / (60 * 26)
    here.gets_long_chain(until=DUE + timedelta(minutes=1))
    here.guarded.run(DUE + timedelta(minutes=29))
    assert here.follow_ups() == []
    assert here.end() is End.LEFT_TO_XO


@pytest.mark.parametrize(
    "policy", ["[remedies]\nfollow_up = false\n", '[[schedule]]\nname = "nightly"\ngate = "observe"\n']
)
def test_without_the_policys_word_nothing_is_followed_up(company, policy):
    here = company(more=policy)
    here.gets_long_chain(until=DUE + timedelta(minutes=5))
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert here.follow_ups() == []
    assert here.live.world.writes == []


# --- after a failed transfer


def test_a_failed_transfer_is_not_followed_up_by_default(company):
    here = company()
    here.live.planted.fail_exports(here.ill, "Body Timeout Error")
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert here.follow_ups() == []


def full_of(log, vm):
    """Whether the export of a VM was a full one."""
    (task,) = [one for one in log["tasks"] if one["data"].get("id") == vm["id"]]
    (export,) = [one for one in task["tasks"] if one["message"] == "export"]
    return export["data"]["isFull"]


TRANSFERS = "[remedies]\nfollow_up_transfers = true\n"


def test_by_policy_a_failed_transfer_is_followed_up_by_a_full_backup(company):
    here = company(more=TRANSFERS, mode="delta")
    here.guarded.run(DUE + timedelta(hours=12))  # a first night, so that there is a base
    here.live.planted.fail_exports(here.ill, "Body Timeout Error")
    here.guarded.run(FORENOON + timedelta(days=1))
    starts = starts_of(here.live, here.schedule)
    assert [one.vms for one in starts] == [None, None, (here.ill["id"],)]
    first, failed, again = (here.live.world.logs[one.run_id] for one in starts)
    assert [full_of(one, here.ill) for one in (first, failed, again)] == [True, False, True]
    assert again["status"] == "success"
    judged = [
        event
        for key, events in here.guarded.stories().items()
        if key.due == DUE + timedelta(days=1)
        for event in events
        if isinstance(event, Decided) and event.at > key.due
    ]
    assert any(one.code == "NEXT_RUN_FULL" for one in judged[0].verdict.findings)


def test_a_full_backup_for_which_there_is_no_room_is_not_made(company):
    here = company(more=TRANSFERS, mode="delta")
    here.guarded.run(DUE + timedelta(hours=12))
    info = here.live.world.repository_info[here.nas["id"]]

    def full():
        here.live.planted.fail_exports(here.ill, "Body Timeout Error")
        info["available"] = GIB // 4

    here.happens(TOO_LATE + timedelta(days=1), full)
    here.guarded.run(FORENOON + timedelta(days=1))
    assert [one.origin for one in starts_of(here.live, here.schedule)] == ["cron", "cron"]
    key, events = max(here.guarded.stories().items())
    assert key.due == DUE + timedelta(days=1)
    (given,) = [one for one in events if isinstance(one, GaveUp)]
    assert (given.end, given.code) == (End.REFUSED, "REPOSITORY_NO_SPACE")
    assert events[-1].end is End.LEFT_TO_XO


# --- others


def test_while_a_person_holds_it_nothing_is_followed_up_and_afterwards_it_is(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=5))
    hold = Brake(kind="hold", scope="all", until=DUE + timedelta(hours=2), reason="work", since=DUE, by="me")
    here.guarded.run(DUE + timedelta(minutes=4))
    here.guarded.brake(hold)
    here.guarded.run(FORENOON)
    ((_, first, _), (_, second, _)) = here.starts()
    assert (first, second >= 120) == (0, True)


def test_while_guard_is_bypassed_nothing_is_followed_up(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=5))
    bypass = Brake(kind="bypass", scope="all", until=None, reason="work", since=DUE, by="me")
    here.guarded.run(DUE + timedelta(minutes=4))
    here.guarded.brake(bypass)
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert [one.end for one in here.given_up()] == [End.EXPIRED]


def test_during_a_rolling_update_nothing_is_followed_up(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=5))
    here.happens(DUE + timedelta(minutes=6), lambda: here.live.start_rpu(here.paris, timedelta(hours=1)))
    here.guarded.run(FORENOON)
    assert [minute >= 66 for _, minute, _ in here.starts()] == [False, True]
    assert here.statuses() == ["skipped", "success"]


def test_a_schedule_that_a_person_switches_off_is_not_followed_up(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=30))
    off = {"id": here.schedule["id"], "enabled": False}
    here.happens(DUE + timedelta(minutes=20), lambda: here.live.set_schedule(off))
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert [one.end for one in here.given_up()] == [End.EXPIRED]


def test_a_schedule_that_a_person_deletes_is_not_followed_up(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=30))
    here.happens(DUE + timedelta(minutes=20), lambda: here.live.world.schedules.pop(here.schedule["id"]))
    here.guarded.run(DUE + timedelta(minutes=30))
    assert [one.end for one in here.given_up()] == [End.REFUSED]
    assert here.end() is End.LEFT_TO_XO


def test_a_run_that_a_person_starts_meanwhile_covers_what_waited(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=30))
    here.happens(
        DUE + timedelta(minutes=37), lambda: here.live.jobs.run_schedule(here.schedule, "rest", vms=[here.ill["id"]])
    )
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron", "rest"]
    assert here.end() is End.LEFT_TO_XO


def test_a_run_of_another_vm_that_a_person_starts_meanwhile_covers_nothing(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=30))
    well = [here.vms[0]["id"]]
    here.happens(DUE + timedelta(minutes=20), lambda: here.live.jobs.run_schedule(here.schedule, "rest", vms=well))
    here.guarded.run(FORENOON)
    assert [(origin, vms) for origin, _, vms in here.starts()] == [
        ("cron", None),
        ("rest", tuple(well)),
        ("rpc", (here.ill["id"],)),
    ]


# --- interrupted runs


def one_after_the_other(company, **more):
    """XO is restarted while it is at the first VM, and has not begun with the second."""
    here = company(settings={"": {"concurrency": 1}}, **more)
    here.live.rates.jobs[here.job["id"]] = GIB / (60 * 10)
    here.happens(DUE + timedelta(minutes=4), here.live.restart_xo)
    return here


def test_an_interrupted_run_is_not_followed_up_while_xos_mark_is_on_one_of_its_vms(company):
    here = one_after_the_other(company)
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    (again, *_) = here.judged_again()
    assert "RUN_INTERRUPTED" in {one.code for one in again.verdict.findings}
    assert [one.end for one in here.given_up()] == [End.EXPIRED]


def test_an_interrupted_run_whose_marks_are_gone_is_followed_up_for_what_it_never_came_to(company):
    here = one_after_the_other(company)
    here.happens(DUE + timedelta(minutes=40), here.vms[0]["blockedOperations"].clear)
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert here.starts()[1][1] >= 40
    assert here.statuses() == ["interrupted", "success"]


def test_an_interrupted_run_of_a_proxy_is_not_followed_up(company):
    here = one_after_the_other(company)
    here.happens(DUE + timedelta(minutes=5), lambda: here.job.update(proxy="a-proxy"))
    here.happens(DUE + timedelta(minutes=40), here.vms[0]["blockedOperations"].clear)
    here.guarded.run(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert here.follow_ups() == []


# --- guard dies, answers are lost


class Killed(BaseException):
    """kill -9."""


def test_a_guard_that_dies_after_the_intent_follows_up_when_it_is_back(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    here.guarded.run(DUE + timedelta(minutes=10))
    assert len(here.follow_ups()) == 1
    here.guarded.close()
    here.live.advance(DUE + timedelta(minutes=50))
    here.guarded.start()
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert here.statuses() == ["skipped", "success"]
    assert len(here.follow_ups()) == 1


def test_a_guard_that_is_gone_for_good_leaves_nothing_behind(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    here.guarded.run(DUE + timedelta(minutes=10))
    here.live.advance(FORENOON)
    assert [origin for origin, _, _ in here.starts()] == ["cron"]
    assert left_behind(here.live) == []
    here.guarded.start()
    here.guarded.run(FORENOON + timedelta(minutes=5))
    assert [one.end for one in here.given_up()] == [End.EXPIRED]
    assert here.end() is End.LEFT_TO_XO


@pytest.mark.parametrize("asked", [True, False], ids=["after the call", "before the call"])
def test_a_guard_that_dies_at_the_call_starts_it_once(company, asked):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    start = here.guarded.xo.start

    async def dies(*arguments, **named):
        if asked:
            await start(*arguments, **named)
        raise Killed

    here.guarded.xo.start = dies
    with pytest.raises(Killed):
        here.guarded.run(FORENOON)
    assert isinstance(here.events()[-1], Starting)
    here.guarded.xo.start = start
    here.guarded.start()
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert here.statuses() == ["skipped", "success"]


@pytest.mark.parametrize("fate", ["lost", "unsent", "refused"])
def test_an_answer_that_does_not_come_is_settled_and_the_vm_started_once(company, fate):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    left = [fate]
    here.guarded.xo.lose = lambda name: left.pop() if name == "start" and left else ""
    here.guarded.run(FORENOON)
    assert [vms for _, _, vms in here.starts()] == [None, (here.ill["id"],)]
    assert here.statuses() == ["skipped", "success"]


# --- what it costs


def test_a_night_without_trouble_is_not_read_once_more_and_nothing_is_written(company, tmp_path):
    here = company()
    here.guarded.run(FORENOON)
    with_it = dict(here.guarded.xo.calls)
    other = Company(tmp_path / "other", more="[remedies]\nfollow_up = false\n")
    other.guarded.run(FORENOON)
    assert with_it == dict(other.guarded.xo.calls)
    assert here.live.world.writes == []


def test_what_waits_is_judged_anew_as_often_as_the_policy_says_and_no_longer_than_it_waits(company):
    here = company()
    here.gets_long_chain(until=DUE + timedelta(minutes=40))
    here.guarded.run(FORENOON)
    times = [one.at for one in here.judged_again()]
    assert all(later - earlier >= timedelta(minutes=10) for earlier, later in pairwise(times))
    assert times[-1] <= here.guarded.run_of(here.schedule).attempts[1].started.at


# --- sequences


@pytest.mark.parametrize("claim", ["when_needed", "always"])
def test_a_member_of_a_sequence_is_followed_up_once_all_of_the_sequence_is_over(tmp_path, claim):
    chain = Chain()
    guarded = Enforcing(
        chain.live, tmp_path / "ledger", claim=claim, more='[[schedule]]\nname = "*"\nmax_defer = "6 h"\n'
    )
    happens(chain.live, DUE + timedelta(minutes=1), lambda: chain.blocked("middle", vm=1))
    chain.clears("middle", timedelta(minutes=30))
    guarded.run(FORENOON)
    order = chain.order()
    assert [name for name, _ in order] == ["first", "middle", "last", "middle"]
    assert order[3] == ("middle", "rpc")
    assert chain.live.world.starts[-1].vms == (chain.vms["middle"][1]["id"],)
    assert chain.overlap() == []
    assert set(ends_of(guarded, chain).values()) == {End.LEFT_TO_XO if claim == "when_needed" else End.RAN}
    assert chain.left_behind() == []


def test_of_two_members_each_is_followed_up_for_itself(tmp_path):
    chain = Chain()
    guarded = Enforcing(chain.live, tmp_path / "ledger", more='[[schedule]]\nname = "*"\nmax_defer = "6 h"\n')
    for name, minutes in (("first", 120), ("middle", 90)):
        happens(chain.live, TOO_LATE, lambda name=name: chain.blocked(name))
        chain.clears(name, timedelta(minutes=minutes))
    guarded.run(FORENOON)
    assert [name for name, _ in chain.order()] == ["first", "middle", "last", "middle", "first"]
    assert [one.vms for one in chain.live.world.starts[-2:]] == [
        (chain.vms[name][0]["id"],) for name in ("middle", "first")
    ]
    assert set(ends_of(guarded, chain).values()) == {End.LEFT_TO_XO}


# --- the invariants see what they are there to see


def test_a_follow_up_for_what_needs_a_person_is_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(follow_up, "followed_by", lambda codes, transferred: FollowedBy.START)
    here = Company(tmp_path / "ledger")
    here.live.planted.fail_snapshots(
        here.ill, {"code": "VM_HAS_VUSBS", "message": "VM_HAS_VUSBS()", "name": "XapiError"}
    )
    here.guarded.run(FORENOON)
    assert len(here.starts()) == 2
    (wrong,) = again_without_reason(here.live.world, here.guarded.stories())
    assert wrong.endswith("was followed up, and XO's log of its first time has no cause for that")


def test_a_vm_that_is_followed_up_twice_is_seen(tmp_path, monkeypatch):
    here = Company(tmp_path / "ledger")
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    rest = resolution.not_followed_yet
    for module in (resolution, follow_up):
        monkeypatch.setattr(module, "not_followed_yet", lambda run, one: rest(run, one) or one.intent.vms)
    here.guarded.run(DUE + timedelta(minutes=50))
    assert len(here.starts()) > 2
    assert any("was followed up " in one for one in again_without_reason(here.live.world, here.guarded.stories()))


def test_a_vm_that_was_not_meant_and_a_second_intent_are_seen(tmp_path):
    here = Company(tmp_path / "ledger")
    here.gets_long_chain(until=DUE + timedelta(minutes=20))
    here.guarded.run(FORENOON)
    stories = here.guarded.stories()
    key = here.guarded.run_of(here.schedule).key
    other = (here.vms[0]["id"],)
    events = tuple(
        msgspec.structs.replace(one, vms=other) if isinstance(one, Starting) else one for one in stories[key]
    )
    told = again_without_reason(here.live.world, {key: events})
    assert [one.partition("was ")[2] for one in told] == [
        "started again, and nothing of that was meant",
        "followed up, and XO's log of its first time has no cause for that",
    ]
    (meant,) = here.follow_ups()
    at = events.index(meant)
    assert len(again_without_reason(here.live.world, {key: (*events[: at + 1], meant)})) > 0
