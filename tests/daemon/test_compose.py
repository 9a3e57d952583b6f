"""The daemon's parts put together: the policy in force, the lease and the pruning, and a whole daemon on loopback."""

from __future__ import annotations

import asyncio
from datetime import UTC, timedelta
from zoneinfo import ZoneInfo

import pytest
from guard.daemon.compose import (
    KEPT,
    LEDGER,
    Kept,
    PolicyInForce,
    Shell,
    is_running,
    limits_of,
    only_one,
    run_daemon,
    zone_of,
)
from guard.daemon.last_policy import POLICY_XO, LastPolicy
from guard.daemon.loop import Flags
from guard.daemon.news import News
from guard.errors import LedgerError, PolicyError
from guard.gate.watch import LOOP
from guard.ledger.last_resort import LastResort
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.events import Released, ReleasedHow, RunKey
from guard.lifecycle.loop import Loop
from guard.policy.last_good import policy_of
from guard.policy.load import load
from guard.simulator.serve import running
from tests.builders import DUE
from tests.ledger.opening import INSTANCE, opened
from tests.lifecycle.stories import KEY, after, claiming, decided, ended, released, seen
from tests.xo.test_client import NOW, small_world

TEXT = '[xo]\nurl = "https://xo.example"\n'


def policy(more="", text=TEXT):
    return load(text + more, file="g.toml")


def shell(clock=lambda: DUE, env=None, logged=None):
    return Shell(
        clock=clock,
        monotonic_us=lambda: 1,
        env=env or {},
        instance=INSTANCE,
        holder="here",
        log=(logged if logged is not None else []).append,
    )


# --- the policy


def test_a_reload_replaces_the_policy_as_a_whole():
    answers = [policy(), policy("zone = 'Europe/Paris'\n")]
    in_force = PolicyInForce(lambda: answers.pop(0))
    assert zone_of(in_force.policy) == UTC
    used = []
    in_force.reload(used.append)
    assert used == [in_force.policy]
    assert zone_of(in_force.policy) == ZoneInfo("Europe/Paris")
    assert in_force.xo().url == "https://xo.example"


def test_a_bad_policy_or_another_xo_leaves_the_old_one_in_force():
    good = policy()
    answers = [
        lambda: good,
        lambda: load("[xo]\nurll = 1\n", file="g.toml"),
        lambda: policy(text='[xo]\nurl="https://b"\n'),
    ]
    in_force = PolicyInForce(lambda: answers.pop(0)())
    used = []
    with pytest.raises(PolicyError):
        in_force.reload(used.append)
    with pytest.raises(LedgerError, match="a ledger belongs to one XO"):
        in_force.reload(used.append)
    assert (in_force.policy is good, used) == (True, [])


def test_a_policy_that_something_else_cannot_use_stays_out():
    answers = [policy(), policy("zone = 'Europe/Paris'\n")]
    in_force = PolicyInForce(lambda: answers.pop(0))

    def refuse(fresh):
        raise PolicyError("its secret cannot be read")

    with pytest.raises(PolicyError, match="its secret"):
        in_force.reload(refuse)
    assert zone_of(in_force.policy) == UTC


@pytest.mark.parametrize(
    ("more", "zone"),
    [
        ("", "UTC"),
        ('zone = "Asia/Tokyo"\n', "Asia/Tokyo"),
        ('zone = "Asia/Tokyo"\n[notify]\nzone = "Europe/Paris"\n', "Europe/Paris"),
    ],
)
def test_messages_and_the_digest_are_in_the_zone_of_their_section_else_in_xos(more, zone):
    made = policy(more)
    assert str(zone_of(made)) == zone
    assert limits_of(made).zone == zone_of(made)


def test_the_queues_limits_are_the_policys():
    made = limits_of(policy('[notify]\nretry_first = "2 min"\ntime_limit = "7 s"\ndigest_at = "06:30"\n'))
    assert (made.retry_first, made.time_limit_s, made.digest_at.hour) == (timedelta(minutes=2), 7.0, 6)


# --- what goes round a look


class Quiet:
    """A watch and a queue at once, that only count."""

    def __init__(self, loop):
        self.loop, self.messages = loop, []

    async def tick(self):
        return self.loop

    async def tell(self, message):
        self.messages.append(message)


def test_a_look_renews_the_lease_and_gives_a_sign_of_life(tmp_path):
    quiet = Quiet(Loop(at=DUE))
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger, opened(tmp_path / LEDGER, clock=lambda: DUE) as other:
        asyncio.run(
            Kept(quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell()).tick()
        )
        with pytest.raises(LedgerError, match="is held by here until 2026-11-25 00:05:00"):
            asyncio.run(other.lease("there", after(60)))
    (alive,) = quiet.messages
    assert (alive.tier, alive.event, alive.schedule, alive.at) == ("record", "success", None, DUE)


def test_a_look_that_could_not_read_xo_is_no_sign_of_life(tmp_path):
    quiet = Quiet(Loop(at=DUE, xo_error="No XO answers"))
    with opened(tmp_path / LEDGER) as ledger:
        assert asyncio.run(
            Kept(quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell()).tick()
        ).xo_error
    assert quiet.messages == []


def test_a_guard_whose_lease_another_has_does_not_look(tmp_path):
    quiet = Quiet(Loop(at=DUE))
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger, opened(tmp_path / LEDGER, clock=lambda: DUE) as other:
        asyncio.run(other.lease("there", after(60)))
        with pytest.raises(LedgerError, match="is held by there"):
            asyncio.run(
                Kept(quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell()).tick()
            )


def test_a_ledger_that_takes_nothing_for_five_minutes_is_paged_once(tmp_path):
    quiet, now = Quiet(Loop(at=DUE)), [DUE]
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger, opened(tmp_path / LEDGER, clock=lambda: DUE) as other:
        asyncio.run(other.lease("there", after(hours=5)))
        kept = Kept(
            quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell(lambda: now[0])
        )
        told = []
        for seconds in (0, 299, 300, 330, 9000):
            now[0] = after(seconds)
            with pytest.raises(LedgerError):
                asyncio.run(kept.tick())
            told.append(len(quiet.messages))
        asyncio.run(other.release())
        for seconds in (9030, 9060):
            now[0] = after(seconds)
            asyncio.run(kept.tick())
    assert told == [0, 0, 1, 1, 1]
    page, *rest = [one for one in quiet.messages if one.code is not None]
    assert [(one.tier, one.code, one.at) for one in rest] == [("digest", "LEDGER_UNWRITABLE", after(9030))]
    assert (page.tier, page.code, page.at) == ("page", "LEDGER_UNWRITABLE", DUE)
    assert "is held by there" in page.text


def test_a_ledger_without_its_reserve_is_told_by_a_look(tmp_path):
    quiet = Quiet(Loop(at=DUE))
    with opened(tmp_path / LEDGER, ballast_bytes=2**62) as ledger:  # no disk has room for it
        asyncio.run(
            Kept(quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell()).tick()
        )
    assert [message.code for message in quiet.messages] == ["LEDGER_DISK_FULL", None]


def test_old_due_runs_are_pruned_at_the_first_look_and_then_once_a_day(tmp_path):
    now = [DUE]
    quiet = Quiet(Loop(at=DUE))

    def left(ledger):
        return len(asyncio.run(ledger.between(DUE - 2 * KEPT, DUE)))

    async def add(ledger, number):
        due = DUE - KEPT - timedelta(days=1 + number)
        await ledger.append(RunKey("schedule", due), 0, seen(due=due), ended(at=due))

    with opened(tmp_path / LEDGER, clock=lambda: now[0]) as ledger:
        kept = Kept(
            quiet, ledger, LastResort(ledger, print), quiet, News(quiet.tell, lambda: UTC), shell(lambda: now[0])
        )
        counts = []
        for number, hours in enumerate((0, 23, 24)):
            now[0] = after(hours=hours)
            asyncio.run(add(ledger, number))
            asyncio.run(kept.tick())
            counts.append(left(ledger))
    assert counts == [0, 1, 0]


# --- one daemon per folder


def test_a_second_daemon_on_the_same_folder_is_refused_until_the_first_has_ended(tmp_path):
    with only_one(tmp_path), pytest.raises(LedgerError, match="another guard daemon uses it"), only_one(tmp_path):
        pass
    with only_one(tmp_path):
        pass


def test_a_folder_that_is_none_is_refused(tmp_path):
    with pytest.raises(LedgerError, match="the state folder cannot be used"), only_one(tmp_path / "none"):
        pass


def test_whether_a_daemon_runs_is_seen_as_often_as_one_asks_and_disturbs_none(tmp_path):
    assert is_running(tmp_path) is False
    with only_one(tmp_path):
        assert (is_running(tmp_path), is_running(tmp_path)) == (True, True)
    assert (is_running(tmp_path), is_running(tmp_path / "none")) == (False, None)


# --- letting go


class Holding(Quiet):
    """A watch that gives back what is claimed at its n-th tick."""

    lets_go = False

    def __init__(self, ledger, ticks):
        super().__init__(Loop(at=DUE))
        self.ledger, self.ticks, self.let_go_at = ledger, ticks, []
        self.ends = 0

    async def end(self):
        self.ends += 1

    async def tick(self):
        self.let_go_at.append(self.lets_go)
        self.ticks -= 1
        if self.ticks == 0:
            await self.ledger.append(KEY, 3, Released(at=after(-40), how=ReleasedHow.ENABLED))
        return self.loop


async def let_go(kept):
    found = []
    while not found or found[-1]:
        found.append(await kept.let_go())
    return found


def kept_with(ledger, watch, now=None):
    return Kept(
        watch, ledger, LastResort(ledger, print), watch, News(watch.tell, lambda: UTC), shell(lambda: now or after(-45))
    )


def test_letting_go_looks_until_no_claim_stands(tmp_path):
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
        asyncio.run(ledger.append(KEY, 0, seen(), decided(), claiming()))
        watch = Holding(ledger, ticks=3)
        assert asyncio.run(let_go(kept_with(ledger, watch))) == [True, True, False]
        assert watch.let_go_at == [True, True, True]


@pytest.mark.parametrize(
    ("events", "now"),
    [
        ((), after(-45)),
        ((seen(), decided()), after(-45)),
        ((seen(), decided(), claiming(), released(after(-40))), after(600)),
    ],
    ids=["no due run", "none claimed", "given back long ago"],
)
def test_letting_go_asks_xo_nothing_where_nothing_can_be_left(tmp_path, events, now):
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
        if events:
            asyncio.run(ledger.append(KEY, 0, *events))
        watch = Holding(ledger, ticks=1)
        assert asyncio.run(kept_with(ledger, watch, now).let_go()) is False
        assert watch.let_go_at == []


def test_letting_go_looks_once_more_while_the_fallback_of_a_claim_given_back_may_be_left(tmp_path):
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
        asyncio.run(ledger.append(KEY, 0, seen(), decided(), claiming(), released(after(-40))))
        watch = Holding(ledger, ticks=0)
        assert asyncio.run(kept_with(ledger, watch, after(-30)).let_go()) is False
        assert watch.let_go_at == [True]


def test_letting_go_goes_on_while_xo_cannot_be_read(tmp_path):
    with opened(tmp_path / LEDGER, clock=lambda: DUE) as ledger:
        asyncio.run(ledger.append(KEY, 0, seen(), decided(), claiming(), released(after(-40))))
        watch = Holding(ledger, ticks=0)
        watch.loop = Loop(at=DUE, xo_error="No XO answers")
        assert asyncio.run(kept_with(ledger, watch, after(-30)).let_go()) is True


# --- a whole daemon


def daemon(tmp_path, text, *, flags, env=None, logged=None, clock=lambda: NOW, routes_of=None):
    in_force = PolicyInForce(lambda: load(text, file="g.toml"))
    asyncio.run(run_daemon(in_force, tmp_path, routes_of or (lambda _: []), shell(clock, env, logged), flags))


@pytest.fixture
def token(tmp_path):
    path = tmp_path / "token"
    path.write_text("simulated-token\n")
    path.chmod(0o600)
    return path


class OneLook(Flags):
    """Asks to stop once the first look is over."""

    async def wait(self, seconds):
        assert seconds == 30
        self.ask_stop()


class LedgerRemoved(Flags):
    """Removes the ledger after the first look, and asks to stop after the second."""

    def __init__(self, path):
        super().__init__()
        self.path = path

    async def wait(self, seconds):
        assert seconds == 30
        if self.path.exists():
            self.path.unlink()
        else:
            self.ask_stop()


def test_a_daemon_whose_ledger_is_removed_says_so_at_its_next_look_and_ends_like_any_other(tmp_path, token):
    logged = []
    with running(small_world()) as url:
        text = f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n'
        daemon(tmp_path, text, flags=LedgerRemoved(tmp_path / LEDGER), logged=logged)
    trouble, end = logged
    assert trouble.startswith(
        f"warning: the ledger {tmp_path / LEDGER} was removed, moved or replaced while guard had it"
    )
    assert end == "stops; guard holds nothing in XO"


def test_a_daemon_looks_at_xo_remembers_it_and_gives_its_ledger_back(tmp_path, token):
    logged = []
    with running(small_world()) as url:
        text = f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n'
        daemon(tmp_path, text, flags=OneLook(), logged=logged)
        with read_ledger(tmp_path / LEDGER, xo=url, clock=lambda: NOW) as ledger:
            assert b'"xo_error":""' in asyncio.run(ledger.recall(LOOP))
        with opened(tmp_path / LEDGER, xo=url, clock=lambda: NOW) as ledger:
            asyncio.run(ledger.lease("another machine", NOW + timedelta(minutes=5)))
    assert logged == ["stops; guard holds nothing in XO"]


def test_a_daemon_remembers_where_xo_is_for_commands_that_meet_a_broken_policy(tmp_path, token):
    text = f'[xo]\nurl = "http://127.0.0.1:9"\ntoken_file = "{token}"\n[notify]\nzone = "Europe/Paris"\n'
    daemon(tmp_path, text, flags=OneLook())
    with read_ledger(tmp_path / LEDGER, xo=None, clock=lambda: NOW) as ledger:
        kept = policy_of(asyncio.run(ledger.recall(POLICY_XO)))
    assert (kept.xo, kept.notify.zone) == (load(text, file="g.toml").xo, "Europe/Paris")


def test_what_is_remembered_follows_a_reload_and_is_written_once_for_each_policy(tmp_path):
    in_force, written = [policy()], []

    class Counting:
        async def remember(self, name, value):
            written.append((name, policy_of(value).xo.zone))

    last = LastPolicy(Counting(), lambda: in_force[0])
    for zone in (None, None, "Europe/Paris", "Europe/Paris"):
        if zone is not None and in_force[0].xo.zone is None:
            in_force[0] = policy(f'zone = "{zone}"\n')
        asyncio.run(last.keep())
    assert written == [(POLICY_XO, None), (POLICY_XO, "Europe/Paris")]


class ReloadThenOneLook(OneLook):
    """Asks for a reload once the first look is over, and to stop after the second."""

    asked = False

    async def wait(self, seconds):
        if self.asked:
            self.ask_stop()
        self.asked = True
        self.ask_reload()


def test_a_reload_opens_the_channels_of_the_new_policy(tmp_path, token):
    opened_for = []
    text = f'[xo]\nurl = "http://127.0.0.1:9"\ntoken_file = "{token}"\n'
    daemon(tmp_path, text, flags=ReloadThenOneLook(), routes_of=lambda given: opened_for.append(given) or [])
    assert len(opened_for) == 2
    assert opened_for[0] is not opened_for[1]


def test_a_daemon_whose_xo_is_away_says_so_and_goes_on(tmp_path, token):
    logged = []
    daemon(tmp_path, f'[xo]\nurl = "http://127.0.0.1:9"\ntoken_file = "{token}"\n', flags=OneLook(), logged=logged)
    assert (len(logged), logged[1]) == (2, "stops; guard holds nothing in XO")
    assert "127.0.0.1:9" in logged[0]


def test_a_token_that_cannot_be_read_is_told_at_once(tmp_path):
    text = f'[xo]\nurl = "http://127.0.0.1:9"\ntoken_file = "{tmp_path}/none"\n'
    with pytest.raises(PolicyError, match="cannot be read"):
        daemon(tmp_path, text, flags=OneLook())
