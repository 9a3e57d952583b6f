"""The daemon's eye on its own token: against the simulated XO on loopback, hour by hour in driven time."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from datetime import UTC, timedelta

import pytest
from guard.daemon.token_watch import TokenWatch
from guard.errors import LedgerError, PolicyError
from guard.lifecycle.loop import Loop
from guard.lifecycle.token import TOKEN as DOCUMENT
from guard.lifecycle.token import read_token_state
from guard.policy.load import load
from guard.simulator.faults import Faults, Hang, Html, RpcFailure
from guard.simulator.serve import Simulator, serve
from guard.simulator.tokens import keep
from guard.xo.client import XoSettings
from guard.xo.renew import TokenXo
from guard.xo.token import Token
from tests.simulator.worlds import NOW, small_world

OWN = "simulated-token"
DAY, HOUR = timedelta(days=1), timedelta(hours=1)


class Remembering:
    """What of the ledger is needed; ``full``: it takes nothing."""

    def __init__(self):
        self.value, self.full = None, False

    async def recall(self, name):
        assert name == DOCUMENT
        return self.value

    async def remember(self, name, value):
        assert name == DOCUMENT
        if self.full:
            raise LedgerError("the disk is full")
        self.value = value


class Place:
    """A small world at a time of its own, and a daemon's TokenWatch in front of it. ``days`` are left of its token."""

    def __init__(self, days, *, renews, client="guard-0011", made=0.0):
        self.world, self.faults, self.now = small_world().world, Faults(), NOW
        self.world.now = lambda: self.now
        self.record = keep(
            self.world, OWN, created=NOW - made * DAY, expires=NOW + days * DAY, client=client, description="mine"
        )
        self.policy = load(
            f'[xo]\nurl = "https://xo.example"\nrenew_token = {str(renews).lower()}\n', file="guard.toml"
        )
        self.ledger, self.messages, self.logged = Remembering(), [], []
        self.token, self.next_due, self.xo_error = Token(OWN), None, ""

    async def tell(self, message):
        self.messages.append(message)

    @asynccontextmanager
    async def watching(self, timeout_s=30.0):
        async with serve(Simulator(self.world, self.faults)) as url:
            settings = XoSettings(url=url, call_timeout_s=timeout_s)
            watch = TokenWatch(
                TokenXo(lambda: settings, lambda: self.token, clock=lambda: self.now),
                lambda: self.token,
                self.ledger,
                self.tell,
                clock=lambda: self.now,
                policy_of=lambda: self.policy,
                zone=lambda: UTC,
                log=self.logged.append,
            )
            yield watch
            await watch.end()

    def live(self, hours, *, every=1, **options):
        """So many hours go by, with a look in each."""

        async def go():
            async with self.watching(**options) as watch:
                for _ in range(0, hours, every):
                    await self.look(watch)
                    self.now += every * HOUR

        asyncio.run(go())
        return self

    async def look(self, watch):
        watch.look(Loop(at=self.now, next_due=self.next_due, xo_error=self.xo_error))
        await watch.settled()

    @property
    def state(self):
        return read_token_state(self.ledger.value)

    @property
    def told(self):
        return [(message.tier.value, message.title) for message in self.messages]

    def writes(self):
        return [write.method for write in self.world.writes]


def test_a_token_is_read_once_a_day_and_nothing_is_written():
    place = Place(100, renews=False)
    requests = []
    place.faults.count = lambda: requests.append(place.now)
    place.live(50)
    assert sorted(set(requests)) == [NOW, NOW + 24 * HOUR, NOW + 48 * HOUR]
    assert place.state.expires_at == NOW + 100 * DAY
    assert place.state.facts.user == "admin@example.org"
    assert (place.writes(), place.told, place.logged) == ([], [], [])


def test_nothing_of_the_token_is_in_what_is_remembered_told_or_logged():
    place = Place(2, renews=True, made=170).live(3)
    assert place.writes() == ["token.create"]
    everything = b"".join([place.ledger.value, repr(place.messages).encode(), repr(place.logged).encode()])
    assert OWN.encode() not in everything


def test_a_token_of_guards_is_renewed_in_time_and_that_is_told_and_counted():
    place = Place(61, renews=True, made=119).live(48)
    assert place.writes() == ["token.create"]
    assert place.record["expiration"] > (NOW + 180 * DAY).timestamp() * 1000
    assert (place.state.renewals, place.state.failures) == (1, 0)
    assert place.state.expires_at - place.state.renewed_at == 180 * DAY
    assert place.record["description"] == "mine"
    assert place.told == [("digest", "guard renewed its XO token")]
    assert place.logged == ["renewed guard's XO token (token.create); the token stays the same"]


def test_a_year_of_renewals_keeps_the_token_alive_and_pages_nobody():
    place = Place(30, renews=True, made=10).live(24 * 400, every=12)
    assert place.writes() == ["token.create"] * 4
    assert {tier for tier, _ in place.told} == {"digest"}
    assert place.state.renewals == 4


@pytest.mark.parametrize(("renews", "client"), [(False, "guard-0011"), (True, None), (True, "w574r066b5")])
def test_without_the_policy_or_for_a_token_of_others_it_is_told_in_time_and_never_renewed(renews, client):
    place = Place(15, renews=renews, client=client).live(24 * 15 - 1)
    assert place.writes() == []
    runs_out = "guard's XO token runs out in"
    assert place.told == [
        ("digest", f"{runs_out} 14 days"),
        ("digest", f"{runs_out} 7 days"),
        ("digest", f"{runs_out} 3 days"),
        ("page", f"{runs_out} 2 days"),
        ("page", f"{runs_out} 1 day"),
    ]
    assert {message.code for message in place.messages} == {"TOKEN_EXPIRES"}


def test_a_token_that_ran_out_is_paged_once_although_xo_tells_no_more():
    place = Place(0.5, renews=False).live(24)
    assert place.told == [
        ("page", "guard's XO token runs out in 12 h"),
        ("page", "guard's XO token has run out"),
    ]


def test_a_person_who_renewed_meanwhile_is_not_told_of_the_old_end():
    place = Place(14.5, renews=False)

    async def go():
        async with place.watching() as watch:
            await place.look(watch)
            place.record["expiration"] += 100 * 86_400_000
            place.now += 13 * HOUR
            await place.look(watch)

    asyncio.run(go())
    assert place.told == []
    assert place.state.expires_at == NOW + 114.5 * DAY


def test_renewals_that_fail_are_tried_at_longer_intervals_told_once_and_paged_near_the_end():
    place = Place(6, renews=True, made=170)
    place.faults.plant("token.create", RpcFailure(2, "not enough permissions"))
    calls = []
    place.faults.count = lambda: calls.append(place.now)
    place.live(24 * 5 + 12)
    assert place.told == [
        ("digest", "guard could not renew its XO token"),
        ("page", "guard's XO token runs out in 3 days"),
        ("page", "guard's XO token runs out in 2 days"),
        ("page", "guard's XO token runs out in 1 day"),
    ]
    assert "not enough permissions" in place.messages[0].text
    assert 20 <= place.state.failures <= 25  # 1, 2, 4, then every 6 hours of five and a half days
    place.faults.lift("token.create")
    place.live(7)
    assert (place.state.failures, place.told[-1]) == (0, ("digest", "guard renewed its XO token"))


def test_nothing_is_renewed_in_the_minutes_around_a_due_time():
    place = Place(50, renews=True, made=130)

    async def go():
        async with place.watching() as watch:
            place.next_due = NOW + timedelta(minutes=5)
            await place.look(watch)
            place.now, place.next_due = NOW + timedelta(minutes=6), NOW + DAY
            await place.look(watch)  # the due time that has just passed counts too
            assert place.writes() == []
            place.now = NOW + timedelta(minutes=16)
            await place.look(watch)

    asyncio.run(go())
    assert place.writes() == ["token.create"]


@pytest.mark.parametrize("fault", [RpcFailure(-32601, "method not found"), RpcFailure(-32000, "no handler"), Html()])
def test_an_xo_that_does_not_tell_is_unknown_and_nothing_is_done_or_told(fault):
    place = Place(1, renews=True, made=170)
    place.faults.plant("user.getAuthenticationTokens", fault)
    place.live(25, timeout_s=0.2)
    assert (place.writes(), place.told, place.state.expires_at) == ([], [], None)
    assert place.state.error


def test_an_xo_that_cannot_be_read_is_not_asked_and_a_known_end_is_told_all_the_same():
    place = Place(14.5, renews=False).live(1)
    place.xo_error = "No XO answers"
    requests = []
    place.faults.count = lambda: requests.append(place.now)
    place.live(24)
    assert requests == []
    assert place.told == [("digest", "guard's XO token runs out in 14 days")]


def test_an_xo_that_hangs_delays_no_look_and_a_stop_does_not_wait_for_it():
    place = Place(100, renews=False)
    place.faults.plant("user.getAuthenticationTokens", Hang())

    async def go():
        async with place.watching(timeout_s=3600) as watch:
            began = asyncio.get_running_loop().time()
            for _ in range(3):
                watch.look(Loop(at=place.now))
            await asyncio.sleep(0)
            await watch.end()
            return asyncio.get_running_loop().time() - began

    assert asyncio.run(go()) < 5
    assert place.ledger.value is None


def test_a_token_of_another_file_is_read_at_once():
    place = Place(100, renews=False)
    user = next(iter(place.world.users.values()))
    keep(place.world, "another-token", expires=NOW + 20 * DAY, client="guard-0022", user=user)

    async def go():
        async with place.watching() as watch:
            await place.look(watch)
            place.token = Token("another-token")
            await place.look(watch)

    asyncio.run(go())
    assert (place.state.facts.client, place.state.expires_at) == ("guard-0022", NOW + 20 * DAY)


def test_an_xo_that_made_another_token_in_place_of_pushing_this_one_on_is_a_failure():
    place = Place(10, renews=True, made=170)

    async def go():
        async with place.watching() as watch:
            watch._xo.make = lambda *_: asyncio.sleep(0, Token("another-token"))
            await place.look(watch)

    asyncio.run(go())
    assert "made another token" in place.state.failure
    assert place.told == [("digest", "guard could not renew its XO token")]


@pytest.mark.parametrize(
    ("days", "failure"), [(10, "the token's end is where it was"), (None, "until when the token is valid is unknown")]
)
def test_a_renewal_that_xo_took_and_does_not_show_is_a_failure(days, failure):
    place = Place(10, renews=True, made=170)

    async def go():
        async with place.watching() as watch:
            await place.look(watch)  # of a watch that may not renew yet

    place.policy = load('[xo]\nurl = "https://xo.example"\n', file="guard.toml")
    asyncio.run(go())
    place.policy = load('[xo]\nurl = "https://xo.example"\nrenew_token = true\n', file="guard.toml")

    async def taken(*_):
        if days is None:
            place.faults.plant("user.getAuthenticationTokens", RpcFailure(-32601, "method not found"))
        return Token(OWN)

    async def again():
        async with place.watching() as watch:
            watch._xo.make = taken
            await place.look(watch)

    asyncio.run(again())
    assert failure in place.state.failure


def test_a_ledger_that_takes_nothing_costs_no_look():
    place = Place(100, renews=False)
    place.ledger.full = True
    place.live(2)
    assert (place.ledger.value, place.logged) == (None, [])


def test_a_token_that_cannot_be_read_and_a_bug_are_logged_and_end_nothing():
    place = Place(100, renews=False)

    async def go(token_of):
        async with place.watching() as watch:
            watch._token_of = token_of
            await place.look(watch)
            await place.look(watch)

    def unreadable():
        raise PolicyError("the token file is gone")

    def bug():
        raise ZeroDivisionError("hunter2")

    asyncio.run(go(unreadable))
    asyncio.run(go(bug))
    assert place.logged == [
        "warning: guard's XO token could not be looked after: the token file is gone",
        "warning: a bug of guard's while it looked after its XO token: ZeroDivisionError",
    ]
