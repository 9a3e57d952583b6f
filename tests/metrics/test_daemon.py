"""The daemon with [metrics]: what it tells of its looks, of an XO that goes and comes, of a ledger that fails; reloads."""

from __future__ import annotations

import asyncio
import socket
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from guard.daemon import gather
from guard.daemon import metrics as module
from guard.daemon.compose import LEDGER, PolicyInForce, run_daemon
from guard.daemon.gather import COVERAGE_EVERY, Gatherer, Sources
from guard.daemon.loop import Flags
from guard.daemon.metrics import Metrics
from guard.errors import LedgerUnwritableError, PolicyError
from guard.gate.watch import LOOKED_LIKE
from guard.lifecycle.channels import ChannelStatus
from guard.lifecycle.events import End, RunKey
from guard.lifecycle.loop import Loop, SwitchedOff
from guard.lifecycle.token import TOKEN
from guard.meter import Meter
from guard.policy.accept_schema import AcceptRule
from guard.policy.load import load
from guard.simulator.faults import Faults, HttpStatus
from guard.simulator.serve import running
from guard.simulator.world import GIB
from msgspec.structs import replace
from prometheus_client.parser import text_string_to_metric_families
from tests.builders import DUE, make_estate, make_log, make_schedule, make_transfer, make_vm_task
from tests.daemon.test_compose import shell
from tests.ledger.opening import opened
from tests.lifecycle.stories import KEY, after, alarmed, attempt_ended, decided, ended, finding, seen, started
from tests.metrics.asking import ask, free_port
from tests.xo.test_client import NOW, small_world

SECRET = "simulated-token"


def policy(port=None, url="https://xo.example", more=""):
    listen = f'[metrics]\nlisten = "127.0.0.1:{port}"\n' if port else ""
    return load(f'[xo]\nurl = "{url}"\n{more}{listen}', file="g.toml")


def values(text):
    """(family, labels' values in the order of the labels' names) -> value."""
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


class House:
    """Metrics over a ledger of its own, with a clock, an estate and a watch that a test moves."""

    def __init__(self, ledger, file, port):
        self.now, self.seconds, self.estate, self.trouble, self.logged = DUE, 1000.0, None, "", []
        self.policy, self.loop, self.error, self.ledger = policy(port), Loop(at=DUE), None, ledger
        self.channels = (ChannelStatus(name="mail", sent=2),)
        sources = Sources(
            ledger=ledger,
            file=file,
            latest=lambda: self.estate,
            trouble=lambda: self.trouble,
            channels=self._channels,
            policy=lambda: self.policy,
        )
        self.port = port
        self.sources = sources
        self.metrics = Metrics(sources, Meter(lambda: self.seconds), clock=lambda: self.now, log=self.logged.append)
        self.watched = self.metrics.around(self)

    async def _channels(self):
        if isinstance(self.channels, Exception):
            raise self.channels
        return self.channels

    async def tick(self):
        self.seconds += 2
        if self.error is not None:
            raise self.error
        return self.loop

    async def let_go(self):
        return True

    async def looked(self):
        """One look, and the figures that come of it."""
        before = self.metrics._figures
        with suppress(LedgerUnwritableError):
            await self.watched.tick()
        async with asyncio.timeout(20):
            while self.metrics._figures is before:  # noqa: ASYNC110  threads take part
                await asyncio.sleep(0.005)
        status, _, text = await ask(self.port, "/metrics")
        assert status == 200
        return values(text)


def in_house(tmp_path, work):
    async def both():
        port = free_port()
        with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
            house = House(ledger, tmp_path / LEDGER, port)
            with house.metrics as metrics:
                metrics.use(house.policy)
                return await work(house)

    return asyncio.run(both())


# --- alive and ready


def test_before_the_first_look_guard_is_neither_alive_nor_ready(tmp_path):
    async def work(house):
        house.seconds += 7
        return await ask(house.port, "/livez"), await ask(house.port, "/readyz")

    for status, _, text in in_house(tmp_path, work):
        assert (status, text) == (503, "the first look is not over yet; guard started 7.0 s ago\n")


def test_guard_is_alive_for_five_minutes_after_a_look(tmp_path):
    async def work(house):
        await house.watched.tick()
        told = []
        for age in (0, 300, 300.5):
            house.seconds = 1002 + age
            told.append((await ask(house.port, "/livez"))[::2] + (await ask(house.port, "/readyz"))[::2])
        return told

    young, old, dead = in_house(tmp_path, work)
    text = "ok: the last look is 0.0 s old"
    assert young == (200, f"{text}\n", 200, f"{text}, and read XO\n")
    assert (old[0], old[2]) == (200, 200)
    text = "guard does not look: its last look is 5 min old\n"
    assert dead == (503, text, 503, text)


def test_guard_is_alive_and_not_ready_while_xo_cannot_be_read(tmp_path):
    async def work(house):
        house.loop = Loop(at=DUE, xo_error="No XO answers\nat https://xo", unread_since=DUE)
        await house.watched.tick()
        return (await ask(house.port, "/livez"))[0], (await ask(house.port, "/readyz"))[::2]

    assert in_house(tmp_path, work) == (200, (503, "No XO answers\N{REPLACEMENT CHARACTER}at https://xo\n"))


def test_a_look_that_the_ledger_failed_was_a_look_and_says_nothing_of_xo(tmp_path):
    async def work(house):
        house.error = LedgerUnwritableError("the disk is full")
        found = await house.looked()
        live, ready = (await ask(house.port, "/livez"))[0], (await ask(house.port, "/readyz"))[::2]
        house.error = None
        return found, live, ready, await house.looked(), (await ask(house.port, "/readyz"))[0]

    failed, live, ready, good, ready_again = in_house(tmp_path, work)
    assert (live, ready, ready_again) == (200, (503, "the disk is full\n"), 200)
    assert failed["guard_loop_looks_total", "unrecorded"] == 1
    assert failed["guard_ledger_writable",] == 0
    assert ("guard_xo_readable",) not in failed
    assert failed["guard_loop_last_look_timestamp_seconds",] == DUE.timestamp()
    assert (good["guard_loop_looks_total", "read"], good["guard_ledger_writable",]) == (1, 1)


def test_what_a_look_raises_and_letting_go_go_through(tmp_path):
    async def work(house):
        house.error = LedgerUnwritableError("the disk is full")
        with pytest.raises(LedgerUnwritableError):
            await house.watched.tick()
        return await house.watched.let_go()

    assert in_house(tmp_path, work) is True


# --- figures


def test_figures_are_there_before_xo_was_read_and_absent_where_nothing_is_known(tmp_path):
    found = in_house(tmp_path, House.looked)
    assert found["guard_loop_look_duration_seconds_sum",] == 2
    assert found["guard_ledger_size_bytes",] > 4096
    assert found["guard_policy_reload_success_timestamp_seconds",] == DUE.timestamp()
    assert found["guard_xo_writes_total", "schedule.set"] == 0
    assert found["guard_notify_sent_total", "mail"] == 2
    families = {name for name, *_ in found}
    assert not {
        one for one in families if one.startswith(("guard_sr", "guard_repo", "guard_schedule_", "guard_stalest"))
    }
    assert "guard_xo_token_expiry_timestamp_seconds" not in families


def test_a_ledger_with_trouble_is_not_writable_though_looks_go_on(tmp_path):
    async def work(house):
        house.trouble = "the disk is full"
        return await house.looked()

    assert in_house(tmp_path, work)["guard_ledger_writable",] == 0


def test_schedules_are_as_the_last_look_saw_them_and_their_stories_as_the_ledger_tells(tmp_path):
    async def work(house):
        house.estate = make_estate()
        await house.ledger.append(KEY, 0, seen(), decided(finding()))
        first = await house.looked()
        off = msgspec.json.encode({"schedules": [make_schedule(enabled=False)]})
        await house.ledger.remember(LOOKED_LIKE, off)
        await house.ledger.append(KEY, 2, started(), attempt_ended(), ended())
        house.now = after(3600)
        return first, await house.looked()

    first, second = in_house(tmp_path, work)
    named = ("job / schedule", "schedule")
    assert (first["guard_schedule_enabled", *named], second["guard_schedule_enabled", *named]) == (1, 0)
    assert first["guard_schedule_verdict", *named, "start"] == 1
    assert first["guard_schedule_verdict", *named, "refuse"] == 0
    due = ("guard_schedule_next_due_timestamp_seconds", *named)
    assert first[due] == (DUE + timedelta(days=1)).timestamp()
    assert due not in second
    assert second["guard_schedule_last_good_timestamp_seconds", *named] == DUE.timestamp()
    assert second["guard_predictions", "CHAIN_UNHEALTHY", "false_alarm"] == 1
    assert second["guard_due_times", "observed"] == 1


def test_the_token_s_end_is_told_once_guard_knows_it(tmp_path):
    async def work(house):
        await house.ledger.remember(
            TOKEN, b'{"facts":{"user":"guard","admin":true,"expires_at":"2026-12-24T00:00:00Z"}}'
        )
        return await house.looked()

    assert in_house(tmp_path, work)["guard_xo_token_expiry_timestamp_seconds",] == 1798070400


def test_a_part_that_fails_costs_its_own_figures_and_is_logged_once(tmp_path):
    async def work(house):
        house.channels = KeyError("mail")
        found = [await house.looked(), await house.looked()]
        house.channels = ()
        return *found, await house.looked(), house.logged

    first, second, third, logged = in_house(tmp_path, work)
    for found in (first, second):
        assert not [one for one in found if one[0].startswith("guard_notify")]
        assert found["guard_claims",] == 0
    assert third["guard_claims",] == 0
    assert logged == ["warning: some figures for /metrics could not be gathered: a bug of guard's: KeyError: 'mail'"]


def test_a_ledger_that_cannot_be_read_costs_what_is_in_it_alone(tmp_path):
    async def work(house):
        house.estate = make_estate()

        async def failing():
            raise LedgerUnwritableError("cannot be read")

        house.ledger.open_runs = failing
        return await house.looked(), house.logged

    found, logged = in_house(tmp_path, work)
    assert ("guard_claims",) not in found
    assert found["guard_estate_read_timestamp_seconds",] > 0
    assert logged == ["warning: some figures for /metrics could not be gathered: cannot be read"]


def test_one_text_is_made_for_all_who_ask(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr(module, "exposition", lambda *given: made.append(given) or b"guard_claims 0\n")

    async def work(house):
        async with asyncio.timeout(20):
            while not house.metrics._figures:  # noqa: ASYNC110  threads take part
                await asyncio.sleep(0.005)
        answers = await asyncio.gather(*(ask(house.port, "/metrics") for _ in range(10)))
        return {text for _, _, text in answers}

    assert in_house(tmp_path, work) == {"guard_claims 0\n"}
    assert len(made) == 1
    assert made[0][1] == 2000


# --- what is dear


class Fixed:
    """A gatherer over one ledger, without a server."""

    def __init__(self, ledger):
        self.now, self.estate, self.policy = DUE, None, policy()
        self.gatherer = Gatherer(
            Sources(ledger, None, lambda: self.estate, str, self._none, lambda: self.policy), lambda: self.now
        )

    async def _none(self):
        return ()

    async def gather(self, loop=None):
        found, trouble = await self.gatherer.gather(loop)
        assert trouble == ""
        return {(name, *labels): value for name, samples in found.items() for labels, value in samples}


def gathering(tmp_path, work):
    async def both():
        with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
            return await work(Fixed(ledger), ledger)

    return asyncio.run(both())


def with_log(start):
    return make_estate(logs=[make_log(make_vm_task("vm", make_transfer(GIB, start=start)), start=start)])


def test_all_logs_are_gone_through_at_most_every_ten_minutes_and_only_for_a_new_reading(tmp_path):
    async def work(fixed, _ledger):
        ages = []
        fixed.estate = with_log(DUE - timedelta(hours=10))
        for estate, minutes in (
            (fixed.estate, 0),
            (with_log(DUE - timedelta(hours=1)), 5),
            (None, 10),
        ):
            fixed.estate = estate or fixed.estate
            fixed.now = DUE + timedelta(minutes=minutes)
            ages.append((await fixed.gather())["guard_stalest_vm_age_seconds",] / 60)
        return ages

    assert timedelta(minutes=5) < COVERAGE_EVERY <= timedelta(minutes=10)
    assert gathering(tmp_path, work) == [600, 605, 70]


def test_a_clock_that_was_set_back_does_not_keep_old_figures(tmp_path):
    async def work(fixed, _ledger):
        fixed.estate = with_log(DUE - timedelta(hours=10))
        await fixed.gather()
        fixed.now, fixed.estate = DUE - timedelta(hours=1), with_log(DUE - timedelta(hours=2))
        return (await fixed.gather())["guard_stalest_vm_age_seconds",]

    assert gathering(tmp_path, work) == 3600


def test_stories_are_followed_from_look_to_look_and_forgotten_after_a_month(tmp_path):
    async def work(fixed, ledger):
        old = RunKey("old", DUE - timedelta(days=29))
        await ledger.append(
            old, 0, seen(due=old.due), decided(finding()), started(due=old.due), attempt_ended(), ended()
        )
        await ledger.append(KEY, 0, seen(), decided(finding()))
        counts = []

        async def count():
            found = await fixed.gather()
            counts.append(found.get(("guard_predictions", "CHAIN_UNHEALTHY", "false_alarm"), 0))

        await count()
        await ledger.append(KEY, 2, started(), attempt_ended(), ended())
        fixed.now = after(60)
        await count()
        # entered and ended between two looks
        quick = RunKey("quick", DUE + timedelta(seconds=30))
        await ledger.append(quick, 0, seen(), decided(finding()), started(), attempt_ended(), ended())
        fixed.now = after(120)
        await count()
        fixed.now = after(days=2)
        await count()
        return counts

    assert gathering(tmp_path, work) == [1, 2, 3, 2]


MISSED = (seen(), alarmed("XO_DID_NOT_FIRE"), ended(End.MISSED, at=after(hours=9)))
UNFIRED = ("guard_alarms", "schedule", "nightly / schedule", "XO_DID_NOT_FIRE")


def test_a_run_missed_while_guard_was_away_is_an_alarm_though_it_is_entered_hours_later(tmp_path):
    async def work(fixed, ledger):
        fixed.now = after(hours=9)
        await fixed.gather()  # as at the start, before the first look is over
        await ledger.append(KEY, 0, *MISSED)
        return await fixed.gather(Loop(at=fixed.now))

    found = gathering(tmp_path, work)
    assert found[UNFIRED] == 1
    assert found["guard_due_times", "missed"] == 1


def test_so_is_one_missed_while_xo_could_not_be_read_or_the_machine_slept(tmp_path):
    async def work(fixed, ledger):
        fixed.now = after(hours=-1)
        await fixed.gather(Loop(at=fixed.now))
        fixed.now = after(hours=9)
        await fixed.gather(Loop(at=fixed.now, xo_error="No XO answers", unread_since=DUE))
        await ledger.append(KEY, 0, *MISSED)
        blind = await fixed.gather(Loop(at=fixed.now, xo_error="No XO answers", unread_since=DUE))
        return blind, await fixed.gather(Loop(at=fixed.now))

    blind, found = gathering(tmp_path, work)
    assert UNFIRED not in blind
    assert found[UNFIRED] == 1


def test_what_was_looked_at_before_is_not_read_again_at_every_look(tmp_path):
    async def work(fixed, ledger):
        read, between = [], ledger.between

        async def counting(first, last):
            read.append(fixed.now - first)
            return await between(first, last)

        ledger.between = counting
        await fixed.gather(Loop(at=fixed.now))
        whole = len(read)
        for minutes in (1, 2):
            fixed.now = after(minutes=minutes)
            await fixed.gather(Loop(at=fixed.now))
        return whole, read[whole:]

    whole, later = gathering(tmp_path, work)
    assert whole >= 30
    assert len(later) == 2
    assert max(later) <= timedelta(hours=2)


def test_what_was_accepted_is_no_alarm_for_prometheus_either(tmp_path):
    async def work(fixed, ledger):
        await ledger.append(KEY, 0, seen(), started(), alarmed())
        off = (SwitchedOff(schedule="other", name="hourly", at=DUE), SwitchedOff(schedule="third", name="x", at=DUE))
        loop = Loop(at=DUE, switched_off=off)
        before = await fixed.gather(loop)
        entry = AcceptRule(code="JOB_STUCK", until="2026-11-30", reason="known", ends=after(days=5))
        hourly = replace(entry, code="SCHEDULE_DISABLED", scope="schedule:hourly")
        fixed.policy = replace(fixed.policy, accepts=(entry, hourly))
        return before, await fixed.gather(loop)

    before, later = gathering(tmp_path, work)
    told = [{(one[1], one[3]) for one in found if one[0] == "guard_alarms"} for found in (before, later)]
    assert told == [
        {("schedule", "JOB_STUCK"), ("other", "SCHEDULE_DISABLED"), ("third", "SCHEDULE_DISABLED")},
        {("third", "SCHEDULE_DISABLED")},
    ]


def test_a_bug_in_what_is_dear_is_not_met_again_at_every_look(tmp_path, monkeypatch):
    tries = []

    def fail(*_):
        tries.append(1)
        raise ZeroDivisionError

    monkeypatch.setattr(gather.figures, "coverage_of", fail)

    async def work(fixed, _ledger):
        fixed.estate = make_estate()
        _, trouble = await fixed.gatherer.gather(None)
        assert trouble == "a bug of guard's: ZeroDivisionError: "
        return await fixed.gather()

    found = gathering(tmp_path, work)
    assert len(tries) == 1
    assert found["guard_sr_size_bytes", "sr", "sr"] > 0
    assert not [key for key in found if key[0].startswith("guard_stalest")]


def test_an_open_story_that_is_gone_from_the_ledger_is_no_trouble(tmp_path):
    async def work(fixed, ledger):
        await ledger.append(KEY, 0, seen(), decided())
        assert (await fixed.gather())["guard_schedule_verdict", "schedule", "nightly / schedule", "start"] == 1

        async def none(*_):
            return ()

        ledger.open_runs = ledger.load = none
        return await fixed.gather()

    assert gathering(tmp_path, work)["guard_claims",] == 0


def test_a_day_that_cannot_be_read_is_tried_again_and_no_other(tmp_path):
    async def work(fixed, ledger):
        old = RunKey("old", DUE - timedelta(days=29))
        await ledger.append(old, 0, seen(due=old.due), decided(finding()), started(), attempt_ended(), ended())
        read, between, broken = [], ledger.between, [True]

        async def failing(first, last):
            read.append((DUE - first).days)
            if len(read) == 3 and broken[0]:
                raise LedgerUnwritableError("damaged")
            return await between(first, last)

        ledger.between = failing
        found, trouble = await fixed.gatherer.gather(None)
        assert (trouble, "guard_claims" in found) == ("damaged", False)
        assert len(found["guard_predictions"]) == 4
        broken[0] = False
        found, trouble = await fixed.gatherer.gather(None)
        assert trouble == ""
        assert len(found["guard_predictions"]) == 4
        return read

    days = gathering(tmp_path, work)
    assert days[:3] == [30, 29, 28]
    assert days[3:32] == list(range(28, -1, -1))
    assert len(days) <= 33


def test_a_vm_saved_since_the_last_reading_is_not_the_stalest(tmp_path):
    async def work(fixed, ledger):
        fixed.estate = with_log(DUE - timedelta(hours=20))
        before = (await fixed.gather())["guard_stalest_vm_age_seconds",]
        await ledger.append(KEY, 0, seen(), decided(), started(), attempt_ended(), ended())
        fixed.now = after(3600)
        return before, (await fixed.gather())["guard_stalest_vm_age_seconds",]

    assert gathering(tmp_path, work) == (72000, 3600)


# --- the whole daemon


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text(f"{SECRET}\n")
    path.chmod(0o600)
    return path


class Until(Flags):
    """Waits between looks for what a test does there, then asks to stop."""

    def __init__(self, work):
        super().__init__()
        self.work = work

    async def wait(self, seconds):
        del seconds
        if await self.work(self):
            self.ask_stop()


def daemon(tmp_path, policies, work, logged=None):
    """``policies``: texts of the policy, each as a reload finds it; ``work(flags)`` says when to stop."""
    given = iter(policies)
    in_force = PolicyInForce(lambda: load(next(given), file="g.toml"))
    made = shell(lambda: NOW, {}, logged)
    asyncio.run(run_daemon(in_force, tmp_path, lambda _: [], made, Until(work)))


def text_of(url, token, port=None):
    listen = f'[metrics]\nlisten = "127.0.0.1:{port}"\n' if port else ""
    return f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n{listen}'


async def figures_of(port, name):
    """The figures, once ``name`` is among them."""
    async with asyncio.timeout(20):
        while True:
            _, _, text = await ask(port, "/metrics")
            if f"\n{name}" in text:
                return text
            await asyncio.sleep(0.02)


def test_a_whole_daemon_tells_what_it_read_and_no_secret(tmp_path, token):
    port, told = free_port(), {}

    async def work(_flags):
        told["text"] = await figures_of(port, "guard_sr_size_bytes")
        told["live"] = (await ask(port, "/livez"))[0]
        told["ready"] = (await ask(port, "/readyz"))[0]
        return True

    with running(small_world()) as url:
        daemon(tmp_path, [text_of(url, token, port)], work)
    found = values(told["text"])
    assert (told["live"], told["ready"]) == (200, 200)
    assert found["guard_xo_readable",] == 1
    assert found["guard_call_duration_seconds_count", "vms", "rest"] == 1
    assert all(value == 0 for key, value in found.items() if key[0] == "guard_xo_writes_total")
    assert found["guard_estate_read_timestamp_seconds",] == NOW.timestamp()
    assert SECRET not in told["text"]
    with pytest.raises(ConnectionError):
        asyncio.run(ask(port, "/livez"))


def listening_here():
    """The inodes of the sockets on which this process listens."""
    mine = set()
    for one in Path("/proc/self/fd").iterdir():
        with suppress(OSError):  # the folder's own
            mine.add(str(one.readlink()).removeprefix("socket:[").removesuffix("]"))
    rows = [line.split() for line in Path("/proc/self/net/tcp").read_text().splitlines()[1:]]
    return {row[9] for row in rows if row[3] == "0A"} & mine


def test_a_daemon_without_metrics_opens_no_port(tmp_path, token):
    found = []

    async def work(_flags):
        found.append(listening_here())
        return True

    with running(small_world()) as url:
        before = listening_here()
        daemon(tmp_path, [text_of(url, token)], work)
        assert len(before) >= 1
        assert found == [before]
        daemon(tmp_path, [text_of(url, token, free_port())], work)
        assert len(found[1]) == len(before) + 1


def test_xo_that_cannot_be_read_shows_as_errors_and_as_not_ready(tmp_path, token):
    port, told = free_port(), {}

    async def work(_flags):
        told["text"] = await figures_of(port, "guard_xo_readable")
        told["ready"] = await ask(port, "/readyz")
        return True

    faults = Faults()
    faults.plant("/rest/v0/vms", HttpStatus(500, "broken"))
    faults.plant("/rest/v0/schedules", HttpStatus(500, "broken"))
    with running(small_world(), faults) as url:
        daemon(tmp_path, [text_of(url, token, port)], work)
    found = values(told["text"])
    assert found["guard_xo_readable",] == 0
    assert found["guard_call_errors_total", "answer", "XO"] >= 1
    assert told["ready"][0] == 503


def test_a_port_in_use_ends_the_daemon_at_its_start_and_gives_the_folder_back(tmp_path, token):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        text = text_of("https://xo.example", token, taken.getsockname()[1])
        with pytest.raises(PolicyError, match=r"\[metrics\] listen = .*another process listens on this port"):
            daemon(tmp_path, [text], lambda _: True)
    with opened(tmp_path / LEDGER, xo="https://xo.example", clock=lambda: NOW):
        pass


def test_a_reload_moves_the_port_and_one_that_is_in_use_leaves_everything_as_it_was(tmp_path, token):
    first, second = free_port(), free_port()
    logged, told = [], []
    with socket.socket() as taken, running(small_world()) as url:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        steps = [first, taken.getsockname()[1], second, None]
        texts = [text_of(url, token, port) for port in steps]

        async def answers(port):
            try:
                return (await ask(port, "/livez"))[0]
            except ConnectionError:
                return None

        async def work(flags):
            told.append((await answers(first), await answers(second)))
            flags.ask_reload()
            return len(told) == len(steps)

        daemon(tmp_path, texts, work, logged)
    assert told == [(200, None), (200, None), (None, 200), (None, None)]
    (refused,) = [line for line in logged if line.startswith("warning: the policy stays as it was")]
    assert "[metrics] listen" in refused
    assert logged.count("the policy was read anew") == 2


def test_metrics_that_a_reload_switches_on_are_gathered_from_then_on(tmp_path, token):
    port, told = free_port(), []
    with running(small_world()) as url:
        texts = [text_of(url, token), text_of(url, token, port)]

        async def work(flags):
            if not told:
                told.append("")
                flags.ask_reload()
                return False
            told.append(await figures_of(port, "guard_sr_size_bytes"))
            return True

        daemon(tmp_path, texts, work)
    assert "guard_schedule_enabled{" in told[1]
