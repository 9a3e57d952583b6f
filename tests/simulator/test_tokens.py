"""XO's tokens as the simulator keeps them: made, pushed on, listed, deleted, run out."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
import websockets
from guard.simulator import tokens
from guard.simulator.serve import Simulator, serve
from guard.simulator.tokens import keep
from tests.simulator.faces import TOKEN, call, get
from tests.simulator.worlds import NOW, small_world

DAY = timedelta(days=1)
DAY_MS = 86_400_000


def ms(moment):
    return round(moment.timestamp() * 1000)


@pytest.fixture
def world():
    return small_world().world


def listed(world, token=TOKEN["authenticationToken"]):
    return call(world, ("user.getAuthenticationTokens", {}), token=token)[-1]["result"]


def test_the_same_client_gets_the_same_token_with_a_later_end(world):
    made = {"client": {"id": "guard-1"}, "expiresIn": 10 * DAY_MS, "description": "first"}
    later = {"client": {"id": "guard-1"}, "expiresIn": 20 * DAY_MS, "description": "second"}
    _, first, second = call(world, ("token.create", made), ("token.create", later))
    assert first["result"] == second["result"] != "simulated-token"
    (record,) = [one for one in listed(world) if one["id"] == first["result"]]
    assert (record["expiration"], record["description"]) == (ms(NOW + 20 * DAY), "second")
    assert record["client"] == {"id": "guard-1"}


def test_without_a_client_every_token_is_a_new_one_and_lives_thirty_days(world):
    _, first, second = call(world, ("token.create", {}), ("token.create", {}))
    assert first["result"] != second["result"]
    ends = [one["expiration"] for one in listed(world) if one["id"] in (first["result"], second["result"])]
    assert ends == [ms(NOW + 30 * DAY)] * 2


def test_another_user_with_the_same_client_gets_a_token_of_its_own(world):
    world.add_user("other@example.org", "other-token")
    params = {"client": {"id": "guard-1"}}
    mine = call(world, ("token.create", params))[-1]["result"]
    theirs = call(world, ("token.create", params), token="other-token")[-1]["result"]
    assert mine != theirs
    assert {one["id"] for one in listed(world, "other-token")} == {"other-token", theirs}


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (59_999, "invalid expiresIn duration: 59999"),
        (183 * DAY_MS, f"too high expiresIn duration: {183 * DAY_MS}"),
        ("soon", "not a valid duration: soon"),
    ],
)
def test_a_life_too_short_too_long_or_none_is_refused_in_xos_words(world, asked, said):
    answer = call(world, ("token.create", {"expiresIn": asked}))[-1]
    assert (answer["error"]["code"], answer["error"]["message"]) == (-32000, said)


def test_a_life_may_be_told_in_words(world):
    made = call(world, ("token.create", {"expiresIn": "2 d"}))[-1]["result"]
    assert [one["expiration"] for one in listed(world) if one["id"] == made] == [ms(NOW + 2 * DAY)]


def test_only_own_tokens_are_deleted_and_a_deleted_one_is_refused(world):
    world.add_user("other@example.org", "other-token")
    made = call(world, ("token.create", {}))[-1]["result"]
    assert call(world, ("token.deleteOwn", {"tokens": [made, "other-token"]}))[-1]["result"] is True
    assert call(world, token=made)[0]["error"]["code"] == 3
    assert call(world, token="other-token")[0]["result"]["email"] == "other@example.org"


def test_a_token_that_has_run_out_is_refused_by_both_faces_and_listed_no_more(world):
    keep(world, "old", expires=NOW, user=next(iter(world.users.values())))
    assert call(world, token="old")[0]["error"] == {"message": "invalid credentials", "code": 3}
    assert get(world, "/servers", cookies={"authenticationToken": "old"}).status_code == 401
    assert [one["id"] for one in listed(world)] == ["simulated-token"]


def test_a_world_s_first_token_never_runs_out(world):
    (record,) = listed(world)
    assert record["expiration"] > ms(NOW + 1000 * 365 * DAY)


def test_a_socket_whose_token_runs_out_is_closed_at_the_next_message(world):
    now = [NOW]
    world.now = lambda: now[0]
    keep(world, "short", expires=NOW + DAY, user=next(iter(world.users.values())))

    async def talk():
        async with (
            serve(Simulator(world)) as url,
            websockets.connect(f"{url.replace('http', 'ws')}/api/") as socket,
        ):

            async def ask(number, method, **params):
                await socket.send(json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}))
                return json.loads(await socket.recv())

            await ask(1, "session.signIn", token="short")
            assert "result" in await ask(2, "job.getAll")
            now[0] = NOW + DAY
            with pytest.raises(websockets.ConnectionClosed):
                await ask(3, "job.getAll")

    asyncio.run(talk())


def test_every_method_that_changes_a_token_is_recorded_as_a_write(world):
    methods = tokens.RpcTokens(world).methods()
    assert {name for name, method in methods.items() if method.writes} == {"token.create", "token.deleteOwn"}
