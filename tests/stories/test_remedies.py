"""What guard does by itself before a run, and what comes of it: pools, SRs and XO's configuration, in driven time."""

from __future__ import annotations

import tomllib
from datetime import timedelta

import pytest
from guard.lifecycle.events import AttemptEnded
from guard.lifecycle.remedy import Effect, RemedyKind, Result
from guard.simulator.live import Live
from guard.simulator.storage import MIB
from guard.simulator.world import GIB, World
from guard.xo.client import XoSettings
from tests.stories.acting import Enforcing
from tests.stories.in_process import URL, InProcess
from tests.stories.small_world import EVENING, happens
from tests.virtual_time import run as finished

MIDNIGHT = EVENING.replace(hour=0, minute=0, second=0) + timedelta(days=1)
DUE = MIDNIGHT + timedelta(hours=2)
MORNING = MIDNIGHT + timedelta(hours=8)
LONG_AGO = EVENING - timedelta(days=400)
FILE = "config.zz-backup-guard.toml"


class Company:
    """One pool, one SR, one VM that is saved at two; ``guard`` acts."""

    def __init__(self, tmp_path, *, cron="0 2 * * *", mode="delta", more=""):
        world = World(lambda: EVENING)
        self.pool = world.add_pool("paris")
        self.host = world.add_host(self.pool, "xcp-1")
        self.sr = world.add_sr(self.pool, "SAN", "nfs", size=500 * GIB)
        self.vm = world.add_vm(self.pool, "web", host=self.host)
        self.disk = world.add_disk(self.vm, self.sr, size=20 * GIB, usage=1 * GIB)
        self.nas = world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
        job = world.add_job("nightly", vms=[self.vm], remotes=[self.nas], mode=mode)
        self.schedule = world.add_schedule(
            job, cron, timezone="Etc/UTC", name="nightly", settings={"exportRetention": 3}
        )
        self.server = next(iter(world.servers.values()))
        self.world, self.live, self.path, self.more = world, Live(world), tmp_path / "ledger", more

    def watched(self, more=""):
        self.guard = Enforcing(self.live, self.path, more=self.more + more)
        return self.guard

    def until(self, moment):
        self.guard.run(moment)

    def remedies(self, kind=None):
        found = finished(self.guard.ledger.remedies(LONG_AGO))
        return [one for one in found if kind is None or one.kind is kind]

    def outcomes(self):
        return [
            event.outcome.status
            for events in self.guard.stories().values()
            for event in events
            if isinstance(event, AttemptEnded)
        ]

    def writes(self):
        return [one.method for one in self.world.writes]


@pytest.fixture
def company(tmp_path):
    return Company(tmp_path)


# --- nothing to help


def test_a_night_without_trouble_writes_nothing_and_reads_xo_a_few_times_more(company):
    guard = company.watched()
    company.until(MORNING)
    assert company.outcomes() == ["success"]
    assert company.writes() == []
    assert company.remedies() == []
    assert (
        guard.xo.calls["estate"] <= 14
    )  # every half hour of the four before, a quarter of an hour before, and to decide


def test_a_guard_that_only_watches_remedies_nothing_and_reads_no_more_than_it_must(company, tmp_path):
    company.world.disconnect(company.server, "disconnected", enabled=True, error={"code": "ECONNRESET"})
    guard = company.watched('[[schedule]]\nname = "nightly"\ngate = "observe"\n')
    company.until(MORNING)
    assert company.remedies() == []
    assert company.writes() == []
    assert guard.xo.calls["estate"] <= 4


# --- a lost pool


def lost_at(company, when):
    happens(
        company.live,
        when,
        lambda: company.world.disconnect(company.server, "disconnected", enabled=True, error={"code": "ECONNRESET"}),
    )


def test_a_pool_that_xo_lost_is_reconnected_before_its_run_which_saves_all(company):
    company.watched()
    lost_at(company, DUE - timedelta(minutes=50))
    company.until(MORNING)
    (remedy,) = company.remedies()
    assert (remedy.kind, remedy.result, remedy.effect) == (RemedyKind.RECONNECT, Result.DONE, Effect.HELPED)
    assert DUE - timedelta(minutes=15) <= remedy.at < DUE - timedelta(minutes=10)
    assert [fact.value for fact in remedy.before + remedy.after] == ["disconnected", "connected"]
    assert company.outcomes() == ["success"]
    assert company.writes() == ["server.enable"]


def test_a_server_that_somebody_switched_off_stays_off(company):
    company.watched()
    happens(
        company.live,
        DUE - timedelta(minutes=50),
        lambda: company.world.disconnect(company.server, "disconnected", enabled=False),
    )
    company.until(DUE)
    assert company.remedies() == []
    assert "server.enable" not in company.writes()


def test_a_server_that_somebody_switches_off_while_a_round_goes_on_is_not_switched_on_again(company):
    """What is read for the round is seconds old when it comes to the call; the gate's last look is newer."""
    other = company.world.add_pool("lyon")
    company.watched()
    lost_at(company, DUE - timedelta(minutes=50))
    away = next(one for one in company.world.servers.values() if one["label"] == other["name_label"])
    happens(
        company.live, DUE - timedelta(minutes=50), lambda: company.world.disconnect(away, "disconnected", enabled=True)
    )
    connect, asked = company.guard.xo.connect_server, []

    async def first_comes_a_person(identity, **limit):
        asked.append(identity)
        for server in company.world.servers.values():
            if server["id"] not in asked:
                server["enabled"] = False
        await company.guard.watch.tick()
        await connect(identity, **limit)

    company.guard.xo.connect_server = first_comes_a_person
    company.until(DUE)
    assert len(asked) == 1


def test_a_reconnect_that_fails_is_told_in_one_sentence_and_tried_once_an_hour_at_most(company):
    company.watched()
    lost_at(company, DUE - timedelta(minutes=50))
    company.live.planted.refuse(company.server, "EHOSTUNREACH")
    company.until(DUE + timedelta(minutes=50))
    (remedy, *_) = company.remedies()
    assert (remedy.result, remedy.effect) == (Result.FAILED, Effect.NOTHING)
    assert "EHOSTUNREACH" in remedy.text
    assert "\n" not in remedy.text
    assert company.writes().count("server.enable") <= 2


# --- an SR that is not plugged


def unplugged(company, when):
    (pbd,) = [company.world.get("PBD", one) for one in company.sr["$PBDs"]]
    happens(company.live, when, lambda: pbd.update(attached=False))
    return pbd


def test_a_pbd_that_came_off_is_plugged_before_the_run_which_saves_all(company):
    company.live.advance(DUE + timedelta(hours=1))  # it was saved there once
    company.watched()
    pbd = unplugged(company, DUE + timedelta(hours=22))
    company.until(DUE + timedelta(days=1, hours=2))
    (remedy,) = company.remedies()
    assert (remedy.kind, remedy.result, remedy.effect) == (RemedyKind.PLUG, Result.DONE, Effect.HELPED)
    assert [fact.value for fact in remedy.before + remedy.after] == [False, True]
    assert pbd["attached"] is True
    assert company.writes() == ["pbd.connect"]
    assert company.outcomes()[-1] == "success"


def test_a_plug_that_fails_is_one_clear_sentence_and_tried_once_an_hour_at_most(company):
    company.live.advance(DUE + timedelta(hours=1))
    company.watched()
    pbd = unplugged(company, DUE + timedelta(hours=22))
    company.live.planted.refuse(pbd, "SR_BACKEND_FAILURE_73")
    company.until(DUE + timedelta(days=1, minutes=50))
    (remedy, *_) = company.remedies()
    assert (remedy.result, remedy.effect) == (Result.FAILED, Effect.NOTHING)
    assert "SR_BACKEND_FAILURE_73" in remedy.text
    assert company.writes().count("pbd.connect") <= 2


def test_an_sr_on_which_nothing_was_ever_saved_may_be_unplugged_on_purpose_and_stays_so(company):
    company.watched()
    unplugged(company, DUE - timedelta(hours=2))
    company.until(DUE)
    assert company.remedies() == []
    assert "pbd.connect" not in company.writes()


# --- a coalesce that sleeps


def with_stuck_chain(company, *, pair_takes=timedelta(minutes=20)):
    """The chain of the disk waits for three merges that nobody begins."""
    company.live.collector.fall_asleep(company.sr)
    company.world.add_base_copies(company.disk, 5, usage=100 * MIB)
    company.live.collector.rates[company.sr["id"]] = 100 * MIB / pair_takes.total_seconds()


def test_a_stuck_chain_is_woken_by_one_scan_four_hours_before_and_is_healthy_at_its_run(company):
    company.watched()
    with_stuck_chain(company)
    company.until(MORNING)
    (remedy,) = company.remedies()
    assert (remedy.kind, remedy.result, remedy.effect) == (RemedyKind.RESCAN, Result.DONE, Effect.HELPED)
    assert DUE - timedelta(hours=4) <= remedy.at <= DUE - timedelta(hours=3, minutes=55)
    assert company.writes() == ["sr.scan"]
    assert company.outcomes() == ["success"]
    assert next(fact.value for fact in remedy.before if fact.name == "waiting") > 1
    assert next(fact.value for fact in remedy.after if fact.name == "left") == 0
    assert remedy.effect_at is not None and remedy.effect_at < DUE


def test_the_rate_that_was_learned_is_told_beside_the_time_it_took_and_outlives_guard(company):
    company.watched()
    with_stuck_chain(company, pair_takes=timedelta(minutes=40))
    company.until(DUE - timedelta(minutes=30))
    company.guard.start()  # a new process
    company.until(MORNING)
    company.live.collector.fall_asleep(company.sr)
    company.world.add_base_copies(company.disk, 4, usage=100 * MIB)
    company.until(MORNING + timedelta(hours=22))
    first, second = company.remedies(RemedyKind.RESCAN)
    assert first.expected_at is None
    assert next(fact.value for fact in first.after if fact.name == "coalesce_rate") == pytest.approx(1.5, rel=0.4)
    assert second.expected_at is not None
    assert next(fact.value for fact in second.before if fact.name == "coalesce_rate") == pytest.approx(1.5, rel=0.4)


def test_no_scan_comes_within_an_hour_of_a_run_on_that_sr(company):
    job = company.world.add_job("hourly", vms=[company.vm], remotes=[company.nas])
    company.world.add_schedule(job, "10 * * * *", timezone="Etc/UTC", name="hourly", settings={"exportRetention": 3})
    company.watched()
    with_stuck_chain(company)
    company.until(DUE)
    assert "sr.scan" not in company.writes()


def test_a_scan_that_is_refused_is_one_clear_sentence_and_not_tried_again_for_hours(company):
    company.watched()
    with_stuck_chain(company)
    company.live.planted.refuse(company.sr, "SR_BACKEND_FAILURE_40")
    company.until(DUE)
    (remedy,) = company.remedies()
    assert (remedy.result, remedy.effect) == (Result.FAILED, Effect.NOTHING)
    assert "SR_BACKEND_FAILURE_40" in remedy.text
    assert company.writes().count("sr.scan") == 1


def test_a_guard_that_dies_while_xo_scans_does_not_scan_again_when_it_is_back(company):
    company.live.scans.seconds[company.sr["id"]] = 900.0
    guard = company.watched()
    with_stuck_chain(company)
    company.until(DUE - timedelta(hours=4) + timedelta(seconds=100))
    guard.start()
    company.until(DUE - timedelta(hours=2))
    assert company.writes().count("sr.scan") == 1
    (remedy,) = company.remedies()
    assert remedy.result in (Result.UNKNOWN, Result.DONE)


# --- hosts that keep XO waiting


class WithConfig(Company):
    """XO and guard on one machine; the export of the VM is silent for twelve minutes each time."""

    def __init__(self, tmp_path, **options):
        self.folder = tmp_path / "xo-server"
        self.folder.mkdir()
        (self.folder / "config.toml").write_text("[http]\nlisten = 80\n")
        more = f'[remedies]\nxo_config = "{self.folder}"\ntimeout_days = 2\ntimeout_days_again = 5\n'
        super().__init__(tmp_path, mode="full", more=more, **options)
        self.live.config.folder = self.folder
        self.live.planted.silence(self.vm, 720)

    def says(self):
        path = self.folder / FILE
        return tomllib.loads(path.read_text()) if path.exists() else None


def test_what_timed_out_twice_is_started_with_the_workaround_and_succeeds(tmp_path):
    company = WithConfig(tmp_path)
    company.watched()
    company.until(DUE + timedelta(days=2, hours=3))
    assert company.outcomes() == ["failure", "failure", "success"]
    (remedy,) = company.remedies()
    assert (remedy.kind, remedy.result, remedy.effect) == (RemedyKind.TIMEOUT_FILE, Result.DONE, Effect.HELPED)
    assert company.says() == {"xapiOptions": {"httpInactivityTimeout": 1_800_000}}
    assert DUE + timedelta(days=2, minutes=-15) <= remedy.at < DUE + timedelta(days=2)


def test_the_file_is_gone_after_its_time_and_a_good_run_and_one_recurrence_puts_it_back_for_longer(tmp_path):
    company = WithConfig(tmp_path)
    company.watched()
    company.until(DUE + timedelta(days=3, hours=22))
    assert company.says() is not None
    company.until(DUE + timedelta(days=4, hours=3))  # two days after it was written, and a good run
    assert [one.result for one in company.remedies(RemedyKind.TIMEOUT_FILE_BACK)] == []
    company.until(DUE + timedelta(days=5, hours=1))
    back = company.remedies(RemedyKind.TIMEOUT_FILE_BACK)
    assert [one.result for one in back] == [Result.DONE]
    assert company.says() is None
    company.until(DUE + timedelta(days=6, hours=3))
    first, again = company.remedies(RemedyKind.TIMEOUT_FILE)
    assert again.at > back[0].at > first.at
    assert (first.until - first.at, again.until - again.at) == (timedelta(days=2), timedelta(days=5))
    assert company.says() is not None
    assert company.outcomes()[-1] == "success"


def test_a_file_that_a_person_edited_is_left_alone(tmp_path):
    company = WithConfig(tmp_path)
    company.watched()
    company.until(DUE + timedelta(days=2, hours=3))
    path = company.folder / FILE
    path.write_text(path.read_text().replace("1800000", "2400000"))
    company.until(DUE + timedelta(days=6))
    assert company.says() == {"xapiOptions": {"httpInactivityTimeout": 2_400_000}}
    assert company.remedies(RemedyKind.TIMEOUT_FILE_BACK) == []


def test_xo_that_restarts_between_the_file_and_the_run_starts_with_it(tmp_path):
    company = WithConfig(tmp_path)
    company.watched()
    happens(company.live, DUE + timedelta(days=2, minutes=-5), company.live.restart_xo)
    company.until(DUE + timedelta(days=2, hours=3))
    assert company.outcomes()[-1] == "success"


def test_a_broken_file_of_a_person_s_in_the_folder_is_named_and_nothing_is_written(tmp_path):
    company = WithConfig(tmp_path)
    company.watched()
    company.until(DUE + timedelta(days=1, hours=3))
    (company.folder / "config.mine.toml").write_text("[xapiOptions\n")
    company.until(DUE + timedelta(days=2, hours=3))
    assert company.says() is None
    assert company.outcomes()[-1] == "failure"


# --- probes


class Probing(Company):
    """The policy asks for probes, and XO tells which backups are protected; the VM has been saved before."""

    def __init__(self, tmp_path, **options):
        super().__init__(tmp_path, more='[remedies]\nprobe = true\nprobe_limit = "30 s"\n', **options)
        self.live.advance(DUE + timedelta(hours=1))

    def watched(self, more=""):
        xo = InProcess(self.live)
        xo._settings = lambda: XoSettings(url=URL, read_archives=True)
        self.guard = Enforcing(self.live, self.path, more=self.more + more, xo=xo)
        return self.guard

    def probed(self):
        self.watched()
        self.until(DUE + timedelta(days=1, hours=2))
        return self.remedies(RemedyKind.PROBE)


def test_a_repository_is_probed_by_a_real_write_once_a_night_and_nothing_else_is_written(tmp_path):
    company = Probing(tmp_path)
    (probe,) = company.probed()
    assert (probe.result, probe.effect) == (Result.DONE, Effect.HELPED)
    assert probe.text.startswith("XO wrote and read a file there at ")
    assert {fact.name for fact in probe.after} == {"write_rate", "read_rate"}
    assert company.writes() == ["remote.test"]


def test_a_probe_that_hangs_tells_nothing_and_the_run_goes_its_way(tmp_path):
    company = Probing(tmp_path)
    company.live.planted.hang(company.nas)
    company.watched()
    company.guard.xo.lose = lambda name: "hang" if name == "test_repository" else ""
    company.until(DUE + timedelta(days=1, hours=2))
    (probe,) = company.remedies(RemedyKind.PROBE)
    assert probe.result is Result.UNKNOWN
    assert company.outcomes()[-1] == "success"


def test_a_probe_that_cannot_write_is_told_and_xo_s_own_error_of_it_stands_against_the_run(tmp_path):
    company = Probing(tmp_path)
    company.live.planted.refuse(company.nas, "EIO")
    (probe,) = company.probed()
    assert (probe.result, probe.effect) == (Result.DONE, Effect.NOTHING)
    assert "EIO" in probe.text
    run = company.guard.run_of(company.schedule)
    assert "REPOSITORY_UNREACHABLE" in {one.code for one in run.decided.verdict.findings}


def test_where_xo_does_not_tell_which_backups_are_protected_nothing_is_probed(tmp_path):
    company = Probing(tmp_path)
    company.guard = Enforcing(company.live, company.path, more=company.more)
    company.until(DUE + timedelta(days=1, hours=2))
    assert company.remedies() == []
