"""guard start through the command line, on a living simulated XO over real sockets, with the daemon that watches it."""

from __future__ import annotations

import asyncio
import io
from datetime import UTC, datetime, timedelta

import pytest
from guard.cli import clock
from guard.cli.main import main
from guard.cli.who import person
from guard.daemon.compose import LEDGER
from guard.daemon.news import News
from guard.errors import LedgerError
from guard.gate.watch import Watch
from guard.ledger.sqlite import SqliteLedger, open_beside, open_ledger, read_ledger
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, Decided, End, GaveUp, Seen, Started, Starter, Starting
from guard.policy.load import load
from guard.simulator.faults import Faults, Hang, HttpStatus, RpcFailure
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.simulator.world import GIB, World
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.ledger.opening import INSTANCE

TOKEN = "simulated-token"
NOW = datetime(2026, 11, 24, 14, 0, 0, tzinfo=UTC)
WHY = ("--reason", "the new disk is in")


class Place:
    """One pool with web-01, db-01, db-02 in "nightly", a smart job, a mirror, a metadata job, a sequence."""

    def __init__(self, folder):
        self.world = World(lambda: NOW)
        self.faults = Faults()
        pool = self.world.add_pool("paris")
        self.world.add_host(pool, "xcp-1")
        sr = self.world.add_sr(pool, "NFS", "nfs", size=100 * GIB)
        nas = self.world.add_repository("nas", size=1000 * GIB, available=900 * GIB)
        vault = self.world.add_repository("vault", size=1000 * GIB, available=900 * GIB)

        def vm(name, **more):
            made = self.world.add_vm(pool, name, **more)
            self.world.add_disk(made, sr, GIB // 4)
            return made

        self.vms = {name: vm(name) for name in ("web-01", "db-01", "db-02", "twin")}
        self.vms["other twin"] = vm("twin")
        self.vms |= {
            "kept out": vm("kept out", tags=["smart", "xo:no-bak"]),
            "smart-01": vm("smart-01", tags=["smart"]),
        }
        taken = [self.vms[name] for name in ("web-01", "db-01", "db-02")]
        self.job = self.world.add_job("nightly", vms=taken, remotes=[nas])
        self.schedule = self.world.add_schedule(self.job, "0 2 * * *", name="every night")
        self.smart_job = self.world.add_job("smart", vms={"tags": {"__or": [["smart"]]}}, remotes=[nas])
        self.smart = self.world.add_schedule(self.smart_job, "0 3 * * *", name="smart night")
        self.twins_job = self.world.add_job("twins", vms=[self.vms["twin"], self.vms["other twin"]], remotes=[nas])
        self.twins = self.world.add_schedule(self.twins_job, "0 4 * * *", name="same")
        empty = self.world.add_job("empty", vms={"tags": {"__or": [["nobody"]]}}, remotes=[nas])
        self.empty = self.world.add_schedule(empty, "0 4 * * *", name="same")
        mirror = self.world.add_job("mirror", type="mirrorBackup", remotes=[vault], sourceRemote=nas["id"])
        self.mirror = self.world.add_schedule(mirror, "0 5 * * *", name="mirror night")
        metadata = self.world.add_job("metadata", type="metadataBackup", remotes=[nas], pools={"id": pool["id"]})
        self.world.add_schedule(metadata, "0 6 * * *", name="metadata night")
        self.world.add_sequence("chain of jobs", [self.schedule, self.smart], cron="0 7 * * *")
        self.live = Live(self.world)
        self.state, self.policy, self.token = folder / "state", folder / "guard.toml", folder / "token"
        self.state.mkdir()
        self.token.write_text(TOKEN + "\n")
        self.token.chmod(0o600)
        self.url = ""

    def now(self):
        return self.live.now()

    def write_policy(self, more=""):
        self.policy.write_text(f'[xo]\nurl = "{self.url}"\ntoken_file = "{self.token}"\nzone = "utc"\n{more}')

    def open(self):
        return open_ledger(self.state / LEDGER, xo=self.url, clock=self.now, instance=INSTANCE, ballast_bytes=65_536)

    def guard(self, *words, env=None):
        """(exit code, stdout with its folds undone, stderr)"""
        out, err = io.StringIO(), io.StringIO()
        there = ["--config", str(self.policy), "--state", str(self.state)]
        code = main([*words, *there], out, err, {"SUDO_USER": "alice"} if env is None else env)
        return code, " ".join(out.getvalue().split()), err.getvalue()

    def start(self, *words, env=None):
        return self.guard("start", *words, env=env)

    def stories(self):
        """The stories by hand, each with its events."""
        with read_ledger(self.state / LEDGER, xo=self.url, clock=self.now) as ledger:
            found = asyncio.run(ledger.between(NOW - timedelta(days=2), NOW + timedelta(days=2)))
        return [(fold(key, events), events) for key, events in found.items() if key.via == BY_HAND]

    def only(self):
        ((run, events),) = self.stories()
        return run, events

    def asked(self, method="backupNg.runJob"):
        """What XO was asked to run."""
        return [one.params for one in self.world.writes if one.method == method]

    def watching(self):
        """A daemon on the same ledger: (ledger, watch, what it told)."""
        told = []

        async def tell(message):
            told.append(message)

        made, policy = XoSettings(url=self.url), load(self.policy.read_text(), file="g.toml")
        ledger = self.open()
        xo = WritingXo(lambda: made, lambda: Token(TOKEN), clock=self.now)
        watch = Watch(
            ledger,
            xo,
            News(tell, lambda: UTC),
            clock=self.now,
            policy_of=lambda: policy,
            instance=ledger.instance,
        )
        return ledger, watch, told


@pytest.fixture
def place(tmp_path, monkeypatch):
    made = Place(tmp_path)
    monkeypatch.setattr(clock, "now", made.now)
    with running(made.world, made.faults) as made.url:
        made.write_policy()
        made.open().close()
        yield made


@pytest.fixture(scope="module")
def calm(tmp_path_factory):
    """One for all tests that start nothing."""
    made = Place(tmp_path_factory.mktemp("calm"))
    with pytest.MonkeyPatch.context() as patch, running(made.world, made.faults) as made.url:
        patch.setattr(clock, "now", made.now)
        made.write_policy()
        made.open().close()
        yield made
        assert (made.world.starts, made.stories()) == ([], [])


# --- what is started


def test_a_run_in_whose_way_nothing_stands_is_started_whole(place):
    code, out, err = place.start("every night")
    assert (code, err) == (0, "")
    assert out.startswith("START nightly / every night, as if it were due now 3 VMs, nothing stands in the way")
    assert "Started all of it (3 VMs): XO runs it since Tue 24 Nov 14:00 UTC (log " in out
    assert place.asked() == [{"id": place.job["id"], "schedule": place.schedule["id"]}]


def test_its_story_holds_the_verdict_who_started_it_and_the_run(place):
    place.start(place.schedule["id"])
    run, events = place.only()
    assert [type(event) for event in events] == [Seen, Decided, Starting, Started]
    assert (run.key.schedule, run.key.due) == (place.schedule["id"], NOW)
    assert (run.seen.schedule_name, run.seen.job_name, run.seen.late) == ("every night", "nightly", False)
    assert (run.intents[0].starting.vms, run.intents[0].starting.reason) == (None, "Started by hand by alice.")
    (attempt,) = run.attempts
    assert (attempt.started.by, attempt.started.attempt) == (Starter.GUARD, 1)
    assert attempt.started.run in place.world.logs


def test_who_started_it_is_the_user_or_the_account_guard_runs_as(place):
    place.start("every night", env={"USER": "bob"})
    place.live.advance(NOW + timedelta(hours=1))
    place.start("every night", env={})
    assert [run.intents[0].starting.reason for run, _ in place.stories()] == [
        "Started by hand by bob.",
        f"Started by hand by {person({})}.",
    ]


def test_a_job_that_has_only_one_schedule_may_be_named_in_its_place(place):
    code, out, _ = place.start("nightly")
    assert (code, out.startswith("START nightly / every night, as if it were due now")) == (0, True)
    assert place.asked() == [{"id": place.job["id"], "schedule": place.schedule["id"]}]


def test_vms_on_hold_are_left_out_and_the_others_are_started(place):
    place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
    code, out, err = place.start("every night")
    assert (code, err) == (2, "")
    assert "START SOME nightly / every night" in out
    assert "- block ON_HOLD: 1 VM of this run is held by alice (vm:db-01)" in out
    assert "Left out: db-01: ON_HOLD." in out
    assert "Started 2 of 3 VMs (web-01, db-02)" in out
    wanted = [place.vms["web-01"]["id"], place.vms["db-02"]["id"]]
    assert place.asked() == [{"id": place.job["id"], "schedule": place.schedule["id"], "vms": wanted}]
    run, events = place.only()
    assert [type(event) for event in events] == [Seen, Decided, GaveUp, Starting, Started]
    (given,) = run.given_up
    assert (given.whole, given.end, given.code, [one.name for one in given.vms]) == (
        False,
        End.REFUSED,
        "ON_HOLD",
        ["db-01"],
    )
    assert [one.deadline for one in given.vms] == [None]


def test_where_everything_is_held_nothing_is_started_nor_written(place):
    place.guard("hold", "all", "--until", "4 h", "--reason", "move")
    code, out, err = place.start("every night")
    assert (code, err) == (2, "")
    assert out.startswith("HELD BACK nightly / every night")
    assert out.endswith("Nothing was started: ON_HOLD.")
    assert "Left out: web-01, db-01, db-02: ON_HOLD." in out
    assert (place.asked(), place.stories()) == ([], [])


def test_a_dry_run_tells_the_same_and_writes_nothing(place):
    place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
    code, told, err = place.start("every night", "--dry-run")
    assert (code, err, place.asked(), place.stories()) == (2, "", [], [])
    assert told.endswith("Would start 2 of 3 VMs (web-01, db-02). Nothing was started or written.")
    _, done, _ = place.start("every night")
    assert done.split("Facts are")[0] == told.split("Facts are")[0]
    place.guard("unhold", "vm:db-01")
    place.live.advance(NOW + timedelta(hours=1))
    assert place.start("every night", "--dry-run")[0] == 0


def test_a_disabled_schedule_is_started_all_the_same(place):
    place.world.schedules[place.schedule["id"]]["enabled"] = False
    assert place.start("every night")[0] == 0
    assert len(place.asked()) == 1
    assert not place.world.schedules[place.schedule["id"]]["enabled"]


def test_a_mirror_job_is_started_whole(place):
    code, out, err = place.start("mirror night")
    assert (code, err) == (0, "")
    assert "Started all of it: XO runs it" in out
    assert [set(one) for one in place.asked("mirrorBackup.runJob")] == [{"id", "schedule"}]


def test_a_held_mirror_job_is_not_started(place):
    place.guard("hold", "repository:nas", "--until", "4 h", "--reason", "move")
    assert place.start("mirror night")[0] == 0  # a hold counts for what is written to
    place.live.advance(NOW + timedelta(hours=1))
    place.guard("hold", "repository:vault", "--until", "4 h", "--reason", "move")
    code, out, _ = place.start("mirror night")
    assert code == 2
    assert out.endswith("Nothing was started: ON_HOLD.")
    code, out, _ = place.start("mirror night", "--override", "ON_HOLD", *WHY)
    assert code == 0
    assert "Overridden: ON_HOLD, which would keep back the whole run." in out


# --- the VMs


def test_only_the_vms_asked_for_are_judged_and_started(place):
    place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
    ids = [place.vms["web-01"]["id"], place.vms["db-02"]["id"]]
    code, out, err = place.start("every night", "--vms", f"web-01,{ids[1]}")
    assert (code, err) == (0, "")
    assert "db-01" not in out
    assert "Started 2 of 2 VMs (web-01, db-02)" in out
    assert [one["vms"] for one in place.asked()] == [ids]
    assert place.only()[0].intents[0].starting.reason == "Started by hand by alice, 2 VMs chosen."


def test_all_vms_asked_for_by_name_are_an_explicit_list(place):
    place.start("every night", "--vms", "web-01", "--vms", "db-01, db-02")
    assert [len(one["vms"]) for one in place.asked()] == [3]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ("every night", "--vms", "smart-01"),
            "--vms 'smart-01': nightly does not take it: its id is not in the job's list",
        ),
        (
            ("smart night", "--vms", "kept out"),
            "--vms 'kept out': smart does not take it: it carries the tag xo:no-bak",
        ),
        (
            ("smart night", "--vms", "smart-01,web-01"),
            "--vms 'web-01': smart does not take it: its tags [] does not match",
        ),
        (("every night", "--vms", "web-1"), "--vms 'web-1': XO has no VM of that id or name; did you mean 'web-01' or"),
        (("every night", "--vms", "xyz"), "--vms 'xyz': XO has no VM of that id or name; guard match "),
        (("mirror night", "--vms", "web-01"), "--vms: mirror is a mirror job; it has no VMs to choose from"),
        (("every night", "--vms", " , "), "--vms names no VM; without --vms all that the job takes are meant"),
    ],
)
def test_a_vm_that_the_job_does_not_take_is_an_error_and_nothing_is_started(calm, words, said):
    code, out, err = calm.start(*words)
    assert (code, out) == (1, "")
    assert err.startswith(f"guard: {said}")
    assert (calm.asked(), calm.stories()) == ([], [])


def test_a_name_that_two_vms_of_the_job_have_asks_for_the_id(place):
    code, _, err = place.start(place.twins["id"], "--vms", "twin")
    assert code == 1
    assert "--vms 'twin': twins takes 2 VMs of that name; give the id: " in err
    assert place.vms["twin"]["id"] in err
    assert place.vms["other twin"]["id"] in err
    assert place.start(place.twins["id"], "--vms", place.vms["twin"]["id"])[0] == 0


def test_a_name_that_one_vm_of_the_job_has_is_that_one(place):
    (pool,) = place.world.objects["pool"].values()
    place.world.add_vm(pool, "web-01")
    assert place.start("every night", "--vms", "web-01")[0] == 0
    assert [one["vms"] for one in place.asked()] == [[place.vms["web-01"]["id"]]]


def test_a_job_that_takes_no_vm_is_not_started(place):
    code, out, _ = place.start(place.empty["id"])
    assert code == 2
    assert out.endswith("Nothing was started: NO_VM_MATCHES.")
    assert place.asked() == []


# --- overriding


def test_an_overridden_code_holds_nothing_and_the_story_tells_the_reason(place):
    place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
    code, out, err = place.start("every night", "--override", "on_hold", *WHY)
    assert (code, err) == (0, "")
    assert "- warn ON_HOLD: 1 VM of this run is held by alice" in out
    assert "Overridden: ON_HOLD, which would keep back 1 VM (db-01)." in out
    assert ["vms" in one for one in place.asked()] == [False]
    run, _ = place.only()
    assert run.intents[0].starting.reason == "Started by hand by alice, against ON_HOLD: the new disk is in"


def test_a_vm_that_another_code_holds_too_stays_out(place):
    place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
    place.live.collector.switch_off(place.world.sr_of(place.world.disks_of(place.vms["db-01"])[0]))
    place.world.add_base_copies(place.world.disks_of(place.vms["db-01"])[0], 4)
    code, out, _ = place.start("every night", "--override", "ON_HOLD", *WHY)
    assert code == 2
    assert "Overridden: ON_HOLD, which changes nothing here." in out
    assert "Left out: db-01: CHAIN_UNHEALTHY." in out
    assert [len(one["vms"]) for one in place.asked()] == [2]
    place.live.advance(NOW + timedelta(hours=1))
    code, out, _ = place.start("every night", "--override", "ON_HOLD,CHAIN_UNHEALTHY", *WHY)
    assert (code, "Started all of it (3 VMs)" in out) == (0, True)


def test_a_chain_that_is_overridden_is_passed_over_by_xo_too_for_that_vm_in_this_run(place):
    place.live.collector.switch_off(place.world.sr_of(place.world.disks_of(place.vms["db-01"])[0]))
    place.world.add_base_copies(place.world.disks_of(place.vms["db-01"])[0], 4)
    words = ("every night", "--override", "CHAIN_UNHEALTHY", *WHY)
    code, dry, _ = place.start(*words, "--dry-run")
    told = "For this run alone XO is given: bypassVdiChainsCheck = true (db-01)."
    assert (code, place.asked(), told in dry) == (0, [], True)
    assert "which gets one copy longer" in dry
    code, out, _ = place.start(*words)
    assert (code, told in out) == (0, True)
    assert [one["settings"] for one in place.asked()] == [{place.vms["db-01"]["id"]: {"bypassVdiChainsCheck": True}}]
    place.live.advance(NOW + timedelta(hours=1))
    statuses = [task["status"] for log in place.world.logs.values() for task in log["tasks"]]
    assert statuses == ["success"] * 3
    _, why, _ = place.guard("why", "every night")
    vm = place.vms["db-01"]["id"]
    assert f"asks XO to start all VMs, for this run alone with bypassVdiChainsCheck = true ({vm})" in why
    assert "bypassVdiChainsCheck" not in str(place.job["settings"])


def test_a_dry_run_tells_that_xo_keeps_its_own_check_where_no_chain_is_too_long(place):
    _, out, _ = place.start("every night", "--override", "CHAIN_UNHEALTHY", *WHY, "--dry-run")
    assert "XO's own chain check stays on" in out


def test_what_an_overridden_vm_takes_from_the_others_counts(place):
    """A held VM gives its share of a full SR back to the rest; once it is started it does not."""
    sr = place.world.sr_of(place.world.disks_of(place.vms["db-01"])[0])
    place.live.collector.switch_off(sr)
    place.world.add_base_copies(place.world.disks_of(place.vms["db-01"])[0], 4)
    sr["physical_usage"] = sr["size"]
    _, as_it_is, _ = place.start("every night", "--dry-run")
    _, overridden, _ = place.start("every night", "--override", "CHAIN_UNHEALTHY", *WHY, "--dry-run")
    assert "db-01: CHAIN_UNHEALTHY" in as_it_is
    assert "db-01" in overridden.split("Left out:")[1].split(": SR_NO_SPACE")[0]


def test_an_override_that_keeps_nothing_back_says_so(place):
    code, out, _ = place.start("every night", "--override", "SR_NO_SPACE", *WHY)
    assert (code, "Overridden: SR_NO_SPACE, which changes nothing here." in out) == (0, True)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("--override", "ON_HOLD"), "--override needs --reason TEXT: why, for those who see it later"),
        (("--override", "ON_HOLD", "--reason", " "), "--reason is empty: say why, for those who see it later"),
        (WHY, "--reason goes with --override CODE"),
        (("--override", " , ", *WHY), "--override names no code; expected one such as ON_HOLD"),
        (
            ("--override", "CHAIN_UNHEALTY", *WHY),
            "--override CHAIN_UNHEALTY: no code of that name holds a start back; did you mean CHAIN_UNHEALTHY or CHAIN_TOO_LONG?",
        ),
        (
            ("--override", "xyz", *WHY),
            "--override XYZ: no code of that name holds a start back; guard explain lists the codes",
        ),
        (
            ("--override", "SETTINGS_MISSING", *WHY),
            "--override SETTINGS_MISSING: this cannot be overridden: XO itself would crash at the start",
        ),
        (
            ("--override", "ON_HOLD,JOB_RUNNING", *WHY),
            "--override JOB_RUNNING: this cannot be overridden: XO runs a job once at a time and would log a failure",
        ),
        (
            ("--override", "REPOSITORY_DISABLED", *WHY),
            "--override REPOSITORY_DISABLED: this cannot be overridden: where it holds a run, XO refuses the whole run",
        ),
        (
            ("--override", "NO_VM_MATCHES", *WHY),
            "--override NO_VM_MATCHES: this cannot be overridden: there is no VM to start",
        ),
    ],
)
def test_what_cannot_be_overridden_is_one_sentence_and_xo_is_not_asked(calm, words, said):
    asked = calm.faults.requests
    assert calm.start("every night", *words) == (1, "", f"guard: {said}\n")
    assert calm.faults.requests == asked


def test_a_job_without_settings_for_the_schedule_is_not_started(place):
    place.world.jobs[place.job["id"]]["settings"].pop(place.schedule["id"], None)
    code, out, _ = place.start("every night")
    assert (code, out.endswith("Nothing was started: SETTINGS_MISSING.")) == (2, True)
    assert place.asked() == []


# --- which schedule


@pytest.mark.parametrize(
    ("wanted", "said"),
    [
        ("every nigth", "'every nigth': XO has no schedule of that id or name; did you mean 'every night'?"),
        ("zzz", "'zzz': XO has no schedule of that id or name\n"),
        ("same", "'same': 2 schedules have that name; give the id: "),
        ("chain of jobs", "'chain of jobs' is a sequence, or another call job of XO's: guard start takes the schedule"),
        (
            "metadata night",
            "'metadata night' belongs to metadata, a job of type metadataBackup: guard starts backup and",
        ),
    ],
)
def test_what_guard_cannot_start_is_told_with_what_there_is(calm, wanted, said):
    code, out, err = calm.start(wanted)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.startswith(f"guard: {said}")
    if wanted == "same":
        assert f"{calm.twins['id']} (same of twins)" in err
        assert f"{calm.empty['id']} (same of empty)" in err


def test_a_schedule_whose_job_is_gone_cannot_be_started(place):
    place.world.schedules[place.schedule["id"]]["jobId"] = "gone"
    code, _, err = place.start("every night")
    assert (code, err) == (1, "guard: 'every night': XO has no job gone for this schedule: nothing can start\n")


# --- where it cannot be recorded, or XO cannot be read


def test_without_a_ledger_nothing_is_started_and_what_to_do_is_told(place):
    for suffix in ("", "-wal", "-shm"):
        (place.state / f"{LEDGER}{suffix}").unlink(missing_ok=True)
    asked = place.faults.requests
    for more in ((), ("--dry-run",)):
        code, out, err = place.start("every night", *more)
        assert (code, out) == (1, "")
        assert err == f"guard: {place.state / LEDGER}: there is no ledger yet; guard daemon makes it\n"
    assert place.faults.requests == asked


def test_beside_a_daemon_that_holds_the_lease_it_is_recorded_all_the_same(place):
    ledger, _, _ = place.watching()
    with ledger:
        asyncio.run(ledger.lease("the daemon", NOW + timedelta(minutes=5)))
        assert place.start("every night")[0] == 0
        asyncio.run(ledger.remember("x", b"the daemon goes on"))
    assert len(place.stories()) == 1


@pytest.mark.parametrize("part", ["schedules", "backup-jobs", "vms"])
def test_a_list_that_xo_does_not_give_is_not_an_empty_one(place, part):
    place.faults.plant(f"/rest/v0/{part}", HttpStatus(500, "boom"))
    code, out, err = place.start("every night")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert "could not be read" in err
    assert place.stories() == []


def test_a_token_of_no_administrator_starts_nothing(place):
    (user,) = place.world.users.values()
    user["permission"] = "read"
    code, out, err = place.start("every night")
    assert (code, out) == (1, "")
    assert "the token's user is no administrator" in err


def test_a_token_that_cannot_be_read_is_told_before_all_else(place):
    place.token.unlink()
    code, out, err = place.start("every night")
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert str(place.token) in err


# --- a job that runs


def test_a_job_that_runs_is_not_started_again(place):
    place.live.jobs.run_schedule(place.schedule, "rpc")
    code, out, _ = place.start("every night")
    assert (code, out.endswith("Nothing was started: JOB_RUNNING.")) == (2, True)
    assert len(place.world.starts) == 1


def test_a_job_that_begins_to_run_while_guard_looks_is_not_started_again(place):
    def begins():
        place.live.jobs.run_schedule(place.schedule, "rpc")

    before = place.faults.requests
    place.start("every night", "--dry-run")
    place.faults.after(place.faults.requests - before, begins)
    code, out, err = place.start("every night")
    assert (code, err) == (2, "")
    assert out.startswith("START nightly")
    assert out.endswith("Nothing was started: Job nightly runs by now, and XO runs a job once at a time (JOB_RUNNING).")
    assert (len(place.world.starts), place.stories()) == (1, [])


# --- what XO answers


def test_a_refusal_is_recorded_and_told(place):
    place.faults.plant("backupNg.runJob", RpcFailure(10, "not today"))
    code, out, err = place.start("every night")
    assert (code, err) == (2, "")
    assert "Nothing was started: " in out
    assert "not today" in out.split("Nothing was started: ")[1]
    run, _ = place.only()
    assert run.intents[0].failed.sure
    assert run.ended is None


def test_an_answer_that_is_lost_is_a_doubt_that_the_daemon_settles(place):
    place.write_policy('call_timeout = "1 s"\n')
    place.faults.plant("backupNg.runJob", Hang())
    place.faults.plant("/rest/v0/backup-jobs", HttpStatus(503, "gone"), skip=2)
    code, out, _ = place.start("every night")
    assert code == 2
    assert "Nobody can tell yet whether XO started all of it (3 VMs): XO neither answered backupNg.runJob nor" in out
    assert "Look in XO before you start it again; guard daemon looks for the run too." in out
    run, _ = place.only()
    assert (len(run.intents[0].doubts), run.intents[0].is_open) == (1, True)
    place.faults.lift("/rest/v0/backup-jobs")
    ledger, watch, told = place.watching()
    with ledger:
        look_often(place, watch, NOW + timedelta(minutes=10))
    run, _ = place.only()
    assert ([one.started.by for one in run.attempts], run.ended.end) == ([Starter.GUARD], End.RAN)
    assert [one for one in told if one.tier.value == "page"] == []


def test_a_ledger_that_fails_once_xo_was_asked_says_where_to_look(place, monkeypatch):
    append = SqliteLedger.append

    async def failing(ledger, key, after_seq, *events):
        if any(isinstance(event, Started) for event in events):
            raise LedgerError("the disk is full")
        return await append(ledger, key, after_seq, *events)

    monkeypatch.setattr(SqliteLedger, "append", failing)
    code, out, err = place.start("every night")
    assert (code, out) == (1, "")
    assert err == "guard: the disk is full. XO may have been asked all the same: look there whether nightly runs\n"
    assert len(place.world.starts) == 1


# --- the daemon beside it


def look_often(place, watch, until):
    """The daemon's looks, each half minute of the world's time."""
    while place.now() < until:
        asyncio.run(watch.tick())
        place.live.advance(place.now() + timedelta(seconds=30))


def test_the_daemon_watches_the_run_to_its_end_and_alarms_nobody(place):
    ledger, watch, told = place.watching()
    with ledger:
        asyncio.run(watch.tick())
        place.start("every night")
        look_often(place, watch, NOW + timedelta(hours=1))
    run, _ = place.only()
    assert (run.ended.end, run.attempts[0].ended.outcome.status) == (End.RAN, "success")
    assert [one for one in told if one.tier.value == "page"] == []


def test_what_was_left_out_ends_as_run_in_part(place):
    ledger, watch, _ = place.watching()
    with ledger:
        asyncio.run(watch.tick())
        place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
        place.start("every night")
        look_often(place, watch, NOW + timedelta(hours=1))
    run, _ = place.only()
    assert (run.ended.end, run.ended.code) == (End.RAN_IN_PART, "ON_HOLD")
    code, why, _ = place.guard("why", "every night")
    assert code == 0
    assert why.startswith("nightly / every night, started by hand through guard Tue 24 Nov 14:00 UTC")
    assert "refused: db-01: 1 of 3 VMs held (db-01): ON_HOLD." in why
    assert "attempt 1: asks XO to start 2 VMs Started by hand by alice." in why
    assert "guard started it; XO runs it since" in why
    assert "the wait ends" not in why
    _, report, _ = place.guard("report", "--since", "1 d")
    assert "nightly / every night, by hand through guard" in report
    assert "guard would not have started whole" not in report


def test_the_status_tells_of_nothing_that_waits_or_must_be_undone(place):
    place.live.rates.jobs[place.job["id"]] = GIB / 3600
    ledger, watch, _ = place.watching()
    with ledger:
        asyncio.run(watch.tick())
        place.guard("hold", "vm:db-01", "--until", "4 h", "--reason", "restore test")
        place.start("every night")
        place.guard("unhold", "vm:db-01")
        place.live.advance(NOW + timedelta(seconds=11))  # XO caches its list of logs for ten
        asyncio.run(watch.tick())
    code, out, _ = place.guard("status")
    assert code == 0
    assert "Deferred" not in out
    assert "In XO" not in out
    assert "Alarm" not in out
    assert "Running for" in out


def test_a_run_that_the_daemon_sees_before_it_is_recorded_is_told_once(place, monkeypatch):
    """The daemon's look falls between XO's answer and the command's own record of it."""
    append, looked = SqliteLedger.append, []

    async def slow(ledger, key, after_seq, *events):
        if not looked and any(isinstance(event, Started) for event in events):
            looked.append(True)
            daemon, watch, _ = place.watching()
            with daemon:
                await watch.tick()
                await watch.tick()
        return await append(ledger, key, after_seq, *events)

    first, watch, _ = place.watching()
    with first:
        asyncio.run(watch.tick())
    place.live.advance(NOW + timedelta(minutes=6))
    monkeypatch.setattr(SqliteLedger, "append", slow)
    code, out, err = place.start("every night")
    assert (code, err, looked) == (0, "", [True])
    assert "Started all of it (3 VMs): XO runs it since" in out
    run, _ = place.only()
    assert [one.started.attempt for one in run.attempts] == [1]


def test_an_ended_story_is_no_obstacle_to_the_next_start(place):
    with open_beside(place.state / LEDGER, xo=place.url, clock=place.now):
        assert place.start("every night")[0] == 0
        place.live.advance(NOW + timedelta(hours=1))
        assert place.start("every night")[0] == 0
    assert len(place.stories()) == 2
