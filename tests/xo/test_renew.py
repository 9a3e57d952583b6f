"""What XO tells of guard's token, and a new life for it: against the simulated XO, and against answers it never gives."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.errors import PolicyError, XoAnswerError, XoAuthError, XoError, XoNotSentError, XoUnreachableError
from guard.simulator.faults import Cut, Faults, Html, RpcFailure
from guard.simulator.serve import serve
from guard.simulator.tokens import keep
from guard.xo.client import XoSettings
from guard.xo.renew import TokenXo, client_id
from guard.xo.token import Token
from tests.simulator.worlds import NOW, small_world
from tests.xo.watched import TOKEN, Watched

DAY = timedelta(days=1)
LISTED = "user.getAuthenticationTokens"


class Place:
    """A small world whose answers can be replaced: ``rpc``: method -> the result given in place of the true one."""

    def __init__(self):
        self.world, self.faults = small_world().world, Faults()
        self.app = Watched(self.world, self.faults)
        self.user = next(iter(self.world.users.values()))

    def answer(self, method, result):
        methods = self.app._rpc.methods
        methods[method] = type(methods[method])(lambda _session, _params: result, permission="", params=("*",))

    def ask(self, question, token=TOKEN, token_of=None):
        async def talk():
            async with serve(self.app) as url:
                settings = XoSettings(url=url)
                xo = TokenXo(lambda: settings, token_of or (lambda: Token(token)), clock=lambda: NOW)
                return await question(xo)

        return asyncio.run(talk())

    def facts(self, token=TOKEN):
        return self.ask(lambda xo: xo.facts(), token)

    def called(self, method):
        return [one["params"] for one in self.app.calls if one["method"] == method]


@pytest.fixture
def place():
    return Place()


def test_xo_tells_whose_the_token_is_when_it_ends_and_which_client_made_it(place):
    keep(place.world, TOKEN, created=NOW - DAY, expires=NOW + 29 * DAY, client="w574r066b5", description="laptop")
    told = place.facts()
    assert (told.user, told.admin) == ("admin@example.org", True)
    assert (told.created_at, told.expires_at) == (NOW - DAY, NOW + 29 * DAY)
    assert (told.client, told.description, told.why, told.is_guards) == ("w574r066b5", "laptop", "", False)
    assert place.world.writes == []


def test_a_user_that_is_no_administrator_is_told(place):
    place.world.add_user("reader@example.org", "reader-token", permission="none")
    assert place.facts("reader-token").admin is False


def test_a_token_that_shares_its_client_with_another_is_not_alone(place):
    keep(place.world, TOKEN, expires=NOW + DAY, client="guard-1")
    assert place.facts().is_guards
    keep(place.world, "another-token", expires=NOW + DAY, client="guard-1", user=place.user)
    assert not place.facts().is_guards


def test_a_token_made_without_a_client_is_alone_whatever_others_there_are(place):
    keep(place.world, TOKEN, expires=NOW + DAY)
    keep(place.world, "another-token", expires=NOW + DAY, user=place.user)
    assert (place.facts().alone, place.facts().client) == (True, "")


@pytest.mark.parametrize(
    "fault",
    [RpcFailure(-32601, "method not found"), RpcFailure(2, "not enough permissions"), RpcFailure(-32000, "no handler")],
)
def test_an_xo_that_does_not_list_tokens_leaves_the_end_unknown(place, fault):
    place.faults.plant(LISTED, fault)
    told = place.facts()
    assert (told.user, told.expires_at) == ("admin@example.org", None)
    assert fault.message in told.why


@pytest.mark.parametrize(
    "listed",
    [
        [],
        [{"id": "another"}],
        [{"id": TOKEN}],
        [{"id": TOKEN, "expiration": None}],
        [{"id": TOKEN, "expiration": 1e300}],
        [{"id": TOKEN, "expiration": -1e300, "client": {"id": 7}, "description": 7}],
    ],
)
def test_a_list_that_tells_no_end_of_this_token_leaves_it_unknown(place, listed):
    place.answer(LISTED, listed)
    told = place.facts()
    assert (told.expires_at, told.why) == (None, "XO does not tell when its tokens end")


@pytest.mark.parametrize("listed", [None, "x", [{"id": 7}], [{"expiration": 1}], [{"id": TOKEN, "client": "x"}]])
def test_a_list_of_another_shape_leaves_it_unknown_and_is_not_repeated(place, listed):
    place.answer(LISTED, listed)
    told = place.facts()
    assert told.expires_at is None
    assert "has not the expected shape" in told.why
    assert TOKEN not in told.why


@pytest.mark.parametrize("user", ["x", 7, [], {"id": 7}])
def test_a_user_of_another_shape_is_an_error(place, user):
    place.answer("session.getUser", user)
    with pytest.raises(XoAnswerError, match=r"session\.getUser has not the expected shape"):
        place.facts()


def test_a_user_with_a_name_in_place_of_a_mail_address_is_told_by_it(place):
    place.answer("session.getUser", {"id": "u1", "name": "guard", "permission": "admin"})
    assert place.facts().user == "guard"
    place.answer("session.getUser", {"id": "u1", "email": 7})
    assert (place.facts().user, place.facts().admin) == ("u1", False)


def test_a_refused_token_is_the_known_error(place):
    with pytest.raises(XoAuthError, match="refused the token"):
        place.facts("wrong")


def test_a_given_token_is_asked_about_in_place_of_the_one_in_use(place):
    keep(place.world, "another-token", expires=NOW + 3 * DAY, user=place.user)
    assert place.ask(lambda xo: xo.facts(Token("another-token"))).expires_at == NOW + 3 * DAY


# --- a new life


def make(place, client="guard-1", description="guard on here", days=180):
    return place.ask(lambda xo: xo.make(client, description, days * DAY))


def test_the_token_of_guards_own_client_is_pushed_on_and_stays_the_same(place):
    keep(place.world, TOKEN, created=NOW - 150 * DAY, expires=NOW + 30 * DAY, client="guard-1", description="mine")
    assert make(place, description="mine").reveal() == TOKEN
    told = place.facts()
    assert (told.expires_at, told.created_at, told.description) == (NOW + 180 * DAY, NOW - 150 * DAY, "mine")


def test_without_one_of_this_client_another_token_is_made_of_the_same_user(place):
    made = make(place)
    told = place.facts(made.reveal())
    assert (told.user, told.client, told.expires_at) == ("admin@example.org", "guard-1", NOW + 180 * DAY)
    assert told.is_guards
    assert place.facts().user == "admin@example.org"  # the old one works on
    assert make(place).reveal() == made.reveal()  # a try that broke off is taken up where it was


def test_a_description_that_is_empty_is_not_sent(place):
    make(place, description="")
    assert place.called("token.create") == [{"client": {"id": "guard-1"}, "expiresIn": 180 * 86_400_000}]


def test_a_life_longer_than_xo_allows_is_refused_with_what_to_set(place):
    with pytest.raises(
        XoAnswerError, match=r"allows no token of 200 d; ask for less with --valid-for or \[xo\] renew_for"
    ):
        make(place, days=200)


def test_another_refusal_is_told_as_it_is(place):
    place.faults.plant("token.create", RpcFailure(2, "not enough permissions"))
    with pytest.raises(XoAnswerError, match="not enough permissions"):
        make(place)


@pytest.mark.parametrize("answer", [7, "", "two words", {"id": "x"}, "n\u00fcn"])
def test_an_answer_that_is_no_token_is_told_without_it(place, answer):
    place.answer("token.create", answer)
    with pytest.raises(XoError, match=r"took token\.create and gave back no token") as caught:
        make(place)
    assert not isinstance(caught.value, XoAnswerError)


@pytest.mark.parametrize(("fault", "kind"), [(Cut(), XoUnreachableError)])
def test_a_lost_answer_is_not_a_refusal(place, fault, kind):
    place.faults.plant("token.create", fault)
    with pytest.raises(kind) as caught:
        make(place)
    assert not isinstance(caught.value, (XoNotSentError, XoAnswerError))


def test_where_nobody_can_sign_in_nothing_was_sent(place):
    place.faults.plant("/api/", Html())
    with pytest.raises(XoNotSentError):
        make(place)


def test_a_token_that_cannot_be_read_is_not_sent(place):
    def unreadable():
        raise PolicyError("the file is gone")

    with pytest.raises(XoNotSentError, match="the file is gone"):
        place.ask(lambda xo: xo.make("guard-1", "", DAY), token_of=unreadable)


def test_another_token_of_the_same_user_is_deleted(place):
    keep(place.world, "another-token", expires=NOW + DAY, user=place.user)
    place.ask(lambda xo: xo.delete(Token("another-token")))
    assert set(place.world.tokens) == {TOKEN}
    place.ask(lambda xo: xo.delete(Token("another-token")))  # nothing for one that is gone


# --- the client's id


def test_the_client_id_is_the_same_on_every_try_and_another_elsewhere():
    one = client_id("xo-guard", "/etc/guard/xo-token")
    assert one == client_id("xo-guard", "/etc/guard/xo-token")
    assert one.startswith("guard-")
    assert len(one) == 22
    assert len({one, client_id("other", "/etc/guard/xo-token"), client_id("xo-guard", "/etc/guard/paris-token")}) == 3
