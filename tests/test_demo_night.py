"""The demo's nights. guard acts: judged by the simulated XO's own starts and its schedules. guard watches: its predictions."""

from __future__ import annotations

import copy
import io
import re
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from guard.cli import demo_night
from guard.cli.demo import show
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import End
from guard.lifecycle.remedy import Effect, RemedyKind
from guard.lifecycle.report import make_report
from guard.mechanics.fallback import FallbackKind, read_name
from guard.notify.message import Tier
from guard.outcomes.score import Tally
from guard.simulator.demo import DEMO_NOW, awaken, build
from tests.stories.driven import Guarded

ONE_OCLOCK = datetime(2027, 3, 28, 0, tzinfo=UTC)  # 01:00 CET
AFTER_THE_GAP = datetime(
    2027, 3, 28, 1, 30, tzinfo=UTC
)  # 03:30 CEST, the first minute at which XO's next date is ahead
PAGED = Counter(
    {"media: RUN_REFUSED": 1, "photos: RUN_REFUSED": 1, "unsaved: RUN_REFUSED": 1, "retired: REPOSITORY_DISABLED": 1}
)


class Screen(io.StringIO):
    """What is told, and what XO shows at the moment at which guard is killed."""

    def __init__(self, live):
        super().__init__()
        self.live, self.off, self.fallbacks = live, [], []

    def write(self, text):
        if "guard is killed" in text:
            world = self.live.world
            self.off = [one["name"] for one in world.schedules.values() if not one["enabled"]]
            self.fallbacks = [found for one in world.call_jobs.values() if (found := read_name(one["name"]))]
        return super().write(text)


class Night:
    """One night with everything that is known of it."""

    def __init__(self):
        self.live = awaken(build(lambda: DEMO_NOW))
        self.world = self.live.world
        self.before = copy.deepcopy((self.world.schedules, self.world.call_jobs))
        self.screen, self.err = Screen(self.live), io.StringIO()
        self.morning = show(self.live, self.screen, self.err, {})
        self.out = self.screen.getvalue()
        self.ids = {one["name"]: one["id"] for one in self.world.schedules.values()}
        self.runs = [run for run in self.morning.runs if not run.is_sequence]

    def starts(self, name):
        """Those of the night: the next evening is another story."""
        until = self.morning.until
        return [one for one in self.world.starts if one.schedule_id == self.ids[name] and one.at < until]

    def started(self, name):
        """(who started it, the names of the VMs asked for; () for the job's own), in order."""
        vms = self.world.objects["VM"]
        return [
            (one.origin, tuple(vms[vm]["name_label"] if vm in vms else "gone" for vm in one.vms or ()))
            for one in self.starts(name)
        ]

    def remedies(self, kind):
        return [one for one in self.morning.remedies if one.kind is kind]

    def run(self, name):
        return next(run for run in self.runs if run.key.schedule == self.ids[name])


@pytest.fixture(scope="module")
def night():
    return Night()


def test_every_due_time_of_the_plan_has_one_end_and_the_report_counts_them(night):
    planned = int(re.search(r"^(\d+) runs due within 24 h", night.out, re.MULTILINE)[1])
    assert len(night.runs) == planned == 35
    assert [run.seen.schedule_name for run in night.runs if run.ended is None] == []
    told = re.search(
        r"35 due times from Sat 27 Mar 19:00 CET to Sun 28 Mar 20:05 CEST: ([^.]+)\.", " ".join(night.out.split())
    )
    ends = Counter(run.ended.end.value for run in night.runs)
    assert sorted(told[1].split(", ")) == sorted(f"{count} {end}" for end, count in ends.items())


def test_the_runs_that_the_report_counts_are_those_of_xo(night):
    first, last = (1000 * one.timestamp() for one in (DEMO_NOW, night.morning.until))
    statuses = Counter(log["status"] for log in night.world.logs.values() if first <= log["start"] < last)
    counted = ", ".join(f"{count} {status}" for status, count in sorted(statuses.items()))
    assert f"XO's runs: {counted}." in " ".join(night.out.split())


def test_a_run_starts_in_part_and_the_vm_left_out_follows_once_its_chain_has_coalesced(night):
    assert night.started("web nightly") == [("rpc", ("web-1", "web-3", "web-4")), ("rpc", ("web-2",))]
    first, second = night.starts("web nightly")
    assert timedelta() <= first.at - ONE_OCLOCK < timedelta(seconds=1)
    assert timedelta(minutes=5) < second.at - ONE_OCLOCK < timedelta(hours=1)
    assert [night.world.logs[one.run_id]["status"] for one in (first, second)] == ["success", "success"]


def test_a_whole_run_is_deferred_until_its_chain_has_coalesced(night):
    (start,) = night.starts("legacy nightly")
    assert start.origin == "rpc"
    assert timedelta(minutes=5) < start.at - (ONE_OCLOCK + timedelta(minutes=15)) < timedelta(hours=1)
    assert night.world.logs[start.run_id]["status"] == "success"
    assert "legacy-1 waits until 03:15 at most" in night.out


def test_what_would_do_harm_is_refused_with_its_numbers_and_xo_starts_none_of_it(night):
    assert night.starts("photos nightly") == []
    assert night.started("media nightly") == [("rpc", ("media-1", "media-3"))]
    assert night.run("photos nightly").ended.end is End.REFUSED
    assert night.run("media nightly").ended.end is End.RAN_IN_PART
    told = " ".join(night.out.split())
    assert "refused: photos-1: Backup repository usb-drawer: 12.0 GiB free, this run is expected to write" in told
    assert "refused: media-2: Backup repository usb-box: 45.0 GiB free" in told


def test_what_xo_was_down_for_is_started_soon_after_it_is_back(night):
    back = DEMO_NOW + demo_night.XO_IS_BACK
    (start,) = night.starts("erp nightly")
    assert start.origin == "rpc"
    assert timedelta() <= start.at - back <= timedelta(minutes=2)
    assert night.world.logs[start.run_id]["status"] == "success"


def test_guard_is_killed_inside_a_claim_and_xo_starts_the_run_and_takes_its_schedule_back_by_itself(night):
    files = night.ids["files nightly"]
    due = ONE_OCLOCK + timedelta(minutes=30)
    assert "files nightly" in night.screen.off
    assert {kind for _, kind, schedule, _ in night.screen.fallbacks if schedule == files} == set(FallbackKind)
    assert night.started("files nightly") == [("sequence", ())]
    (start,) = night.starts("files nightly")
    assert timedelta() <= start.at - (due + timedelta(minutes=3)) < timedelta(seconds=1)
    first = next(one for one in night.world.own_writes if one.method == "schedule.set" and one.params["id"] == files)
    assert first.params["enabled"] is True
    assert start.at < first.at < DEMO_NOW + demo_night.GUARD_IS_BACK
    assert night.run("files nightly").ended.end is End.LEFT_TO_XO


def test_a_schedule_that_would_kill_xo_starts_once_and_only_when_the_clocks_have_changed(night):
    (start,) = night.starts("storm")
    assert AFTER_THE_GAP <= start.at < AFTER_THE_GAP + timedelta(hours=1)
    assert start.origin == "rpc"


@pytest.mark.parametrize("name", ["staging nightly", "branch nightly", "retired nightly", "archive nightly"])
def test_what_does_not_clear_and_would_do_no_harm_is_started_once_at_its_deadline(night, name):
    (start,) = night.starts(name)
    assert start.origin == "rpc"
    assert timedelta() <= start.at - (night.run(name).key.due + timedelta(hours=1)) < timedelta(minutes=1)


@pytest.mark.parametrize(
    ("name", "started"),
    [
        ("warehouse evening", [("cron", ())]),  # the first of two is covered by the run that goes on
        ("local nightly", [("rpc", ("local-1",)), ("rpc", ("local-2",)), ("cron", ())]),
        ("listed nightly", [("rpc", ("listed-1",)), ("rpc", ("gone",))]),
        ("twin A", [("cron", ())]),
        ("twin B", []),
        ("half past two", [("cron", ()), ("cron", ())]),
        ("every two hours", [("cron", ()), ("cron", ())]),
        ("unsaved nightly", []),
        *((f"{name} nightly", [("cron", ())]) for name in ("mail", "dns", "print", "wiki", "shops", "two copies")),
        *((f"{name} nightly", [("cron", ())]) for name in ("no figures", "offsite")),
        ("number", [("cron", ())]),
        ("metadata", [("cron", ())]),
        ("step one", [("sequence", ())]),
        ("step two", [("sequence", ())]),
    ],
)
def test_no_vm_is_started_twice_for_a_due_time_and_none_is_lost(night, name, started):
    assert night.started(name) == started


def test_xo_is_left_as_it_was(night):
    assert (night.world.schedules, night.world.call_jobs) == night.before
    wrote = len(night.world.writes)
    told = " ".join(night.out.split())
    assert wrote > 0
    by_guard = sum(1 for one in night.world.starts if one.origin == "rpc")
    assert f"guard wrote to XO {wrote} times and had it start {by_guard} runs; XO's fallbacks started" in told
    assert "Left in XO: 0 schedules disabled, 0 fallbacks." in told


def test_a_lost_pool_is_reconnected_before_its_run_which_is_then_left_to_xo(night):
    (remedy,) = night.remedies(RemedyKind.RECONNECT)
    assert (remedy.scope.name, remedy.effect) == ("lyon", Effect.HELPED)
    (start, *_) = night.starts("lyon nightly")
    assert start.origin == "cron"
    assert remedy.at < start.at
    assert night.world.logs[start.run_id]["status"] == "success"


def test_a_sleeping_coalesce_is_woken_and_its_learned_rate_is_told_beside_the_time_it_took(night):
    (remedy,) = night.remedies(RemedyKind.RESCAN)
    assert (remedy.scope.name, remedy.effect) == ("NFS old", Effect.HELPED)
    assert night.run("legacy nightly").key.due - remedy.at <= timedelta(hours=4)
    assert abs(remedy.effect_at - remedy.expected_at) < timedelta(minutes=15)
    told = " ".join(night.out.split())
    assert "Expected by the learned rate: Sun 28 Mar 01:15 CET; seen done: Sun 28 Mar 01:24 CET." in told
    assert "coalesce rate 0.5 VDIs/h" in told


def test_what_timed_out_twice_is_started_with_the_workaround_and_succeeds_and_the_file_is_gone_after_its_day(night):
    (wrote,) = night.remedies(RemedyKind.TIMEOUT_FILE)
    (start, *_) = night.starts("no figures nightly")
    assert wrote.at < start.at
    assert (start.origin, wrote.effect) == ("cron", Effect.HELPED)
    log = night.world.logs[start.run_id]
    assert log["status"] == "success"
    assert log["end"] - log["start"] > 12 * 60_000  # longer than XO waits by itself
    told = " ".join(night.out.split())
    assert "The httpInactivityTimeout workaround stands until Sun 28 Mar 22:10 CEST" in told
    assert night.out.index("The next evening.") < night.out.index("guard took httpInactivityTimeout out of")


def test_a_person_is_paged_once_for_each_thing_to_act_on(night):
    pages = [one for one in night.morning.told if one.tier is Tier.PAGE]
    assert Counter(f"{one.title.partition(' /')[0]}: {one.code}" for one in pages) == PAGED
    assert f"Paged: {len(pages)}. For the morning's digest:" in night.out


def test_the_tour_stays_within_80_columns_and_says_what_happens(night):
    lines = [*night.out.splitlines(), *night.err.getvalue().splitlines()]
    assert not [line for line in lines if len(line) > 80 and " " in line.strip()]
    assert 'gate = "enforce"' in night.err.getvalue()
    for moment in ("22:58:00  *** XO dies.", "01:29:30  *** guard is killed", "01:40:00  *** guard is back."):
        assert moment in night.out


@pytest.fixture(scope="module")
def watched(tmp_path_factory):
    """The report of the same night without troubles of XO's and guard's, in observe mode; its world."""
    live = awaken(build(lambda: DEMO_NOW))
    storm = next(one for one in live.world.schedules.values() if one["name"] == "storm")
    live.set_schedule({"id": storm["id"], "cron": "0,30 3 * * *"})  # or XO would die of it
    guarded = Guarded(live, tmp_path_factory.mktemp("watched") / "ledger")
    end = DEMO_NOW + demo_night.LASTS
    guarded.run(end)
    runs = [fold(key, events) for key, events in guarded.stories().items()]
    guarded.close()
    return make_report(runs, DEMO_NOW, end), live.world


def test_where_guard_only_watches_each_due_time_is_observed_and_nothing_is_written(watched):
    report, world = watched
    assert (report.due, report.ends, report.open) == (36, {"observed": 36}, 0)
    assert world.writes == []


def test_where_guard_only_watches_every_prediction_came_true_and_nothing_came_unpredicted(watched):
    report, _ = watched
    assert {code: one for code, one in report.tallies.items() if one != Tally(hits=one.hits)} == {}
    assert report.tallies.keys() >= {
        "CHAIN_UNHEALTHY",
        "JOB_RUNNING",
        "NO_VM_MATCHES",
        "POOL_DISCONNECTED",
        "REPOSITORY_DISABLED",
        "REPOSITORY_NO_SPACE",
        "REPOSITORY_UNREACHABLE",
        "RUN_OVERLAP",
        "SETTINGS_MISSING",
        "SR_DETACHED",
        "SR_NO_SPACE",
        "VM_UNKNOWN",
    }
