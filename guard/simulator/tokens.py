"""XO's authentication tokens: made, pushed on, listed, deleted and run out, as a real xo-server does it (xo-api.md 1.2).

A world's first token never runs out, nor does one of ``add_user``. ::

    keep(world, "simulated-token", expires=NOW + timedelta(days=30))    # from now on it does
    keep(world, "by-hand", user=world.users[...], client="guard-0011")  # another one
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from guard.simulator.rpc_protocol import SERVER_ERROR, JsonValue, Method, RpcError, Session
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

DEFAULT_VALIDITY = timedelta(days=30)
LONGEST_VALIDITY = timedelta(days=365.25 / 2)
SHORTEST_VALIDITY = timedelta(seconds=60)
_FOR_GOOD = datetime(9999, 1, 1, tzinfo=UTC)
_UNITS = {"ms": 1, "s": 1000, "m": 60_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000}


def keep(
    world: World,
    token: str,
    *,
    expires: datetime | None = None,
    created: datetime | None = None,
    client: str | None = None,
    description: str | None = None,
    user: XoObject | None = None,
) -> XoObject:
    """A token's record as XO keeps it, of the user the token has, else of ``user``. ``expires`` None: never."""
    if user is not None:
        world.tokens[token] = user["id"]
    record: XoObject = {
        **({"client": {"id": client}} if client is not None else {}),
        "created_at": _ms(created or world.now()),
        **({"description": description} if description is not None else {}),
        "id": token,
        "user_id": world.tokens[token],
        "expiration": _ms(expires or _FOR_GOOD),
    }
    world.token_records[token] = record
    return record


def user_of(world: World, token: str) -> str | None:
    """The id of the user whose token this is; None for one that is unknown, or has run out."""
    return None if is_over(world, token) else world.tokens.get(token)


def is_over(world: World, token: str) -> bool:
    """Whether XO knew this token and it has run out."""
    record = world.token_records.get(token)
    return record is not None and int(record["expiration"]) <= world.milliseconds()


class RpcTokens:
    """The methods of one world by which a user manages tokens of its own."""

    def __init__(self, world: World) -> None:
        self.world = world

    def methods(self) -> dict[str, Method]:
        create = ("description?", "expiresIn?", "client?")
        return {
            "token.create": Method(self._create, permission="", params=create, writes=True),
            "token.deleteOwn": Method(self._delete, permission="", params=("tokens?", "pattern?"), writes=True),
            "user.getAuthenticationTokens": Method(lambda session, _p: self._own(session), permission=""),
        }

    def _create(self, session: Session, params: XoObject) -> str:
        """The same client of the same user gets the token it has, its end moved; without a client it is always a new one."""
        expires = self.world.now() + _validity(params.get("expiresIn"))
        client, described = params.get("client"), params.get("description")
        if client is not None:
            for record in self._own(session):
                if record.get("client", {}).get("id") == client["id"]:
                    record["expiration"] = _ms(expires)
                    record["description"] = described
                    return str(record["id"])
        user = session.user or {}
        token = self.world.new_id("token", user["id"])
        keep(
            self.world,
            token,
            expires=expires,
            client=None if client is None else client["id"],
            description=described,
            user=user,
        )
        return token

    def _own(self, session: Session) -> list[XoObject]:
        """What has run out is not listed, and gone for good."""
        user_id = (session.user or {})["id"]
        for token in [token for token in self.world.token_records if is_over(self.world, token)]:
            self._forget(token)
        own = [token for token, owner in self.world.tokens.items() if owner == user_id]
        return [self.world.token_records.get(token) or keep(self.world, token) for token in own]

    def _delete(self, session: Session, params: XoObject) -> JsonValue:
        """Those that are not the user's own are passed over."""
        for record in self._own(session):
            if record["id"] in params["tokens"]:
                self._forget(record["id"])
        return None

    def _forget(self, token: str) -> None:
        self.world.tokens.pop(token, None)
        self.world.token_records.pop(token, None)


def _validity(asked: JsonValue) -> timedelta:
    """``expiresIn``: milliseconds, or a text such as "30 d". Raises RpcError as XO does for what is too short or too long."""
    if asked is None:
        return DEFAULT_VALIDITY
    if isinstance(asked, str):
        number, _, unit = asked.strip().partition(" ")
        if not number.isdecimal() or unit not in _UNITS:
            raise _refused(f"not a valid duration: {asked}")
        lasts = timedelta(milliseconds=int(number) * _UNITS[unit])
    else:
        lasts = timedelta(milliseconds=asked)
    if lasts < SHORTEST_VALIDITY:
        raise _refused(f"invalid expiresIn duration: {asked}")
    if lasts > LONGEST_VALIDITY:
        raise _refused(f"too high expiresIn duration: {asked}")
    return lasts


def _refused(why: str) -> RpcError:
    return RpcError(SERVER_ERROR, why, {"message": why, "name": "Error", "stack": ""})


def _ms(moment: datetime) -> int:
    return round(moment.timestamp() * 1000)
