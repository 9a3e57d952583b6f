"""guard's own XO token: what XO tells of it, a new life for it, another one in its place (xo-api.md 1.2).

XO's list of a user's tokens holds the tokens themselves. They are compared here and go no further: what leaves this
module says when a token ends and who made it, never what it is.
"""

from __future__ import annotations

import hashlib
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
from msgspec import UNSET, UnsetType

from guard.errors import XoAnswerError, XoAuthError, XoError
from guard.http import refused
from guard.lifecycle.token import CLIENT, TokenFacts
from guard.xo.sending import SendingXo, sent
from guard.xo.token import Token

_ONE_MS = timedelta(milliseconds=1)
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_NOT_TOLD = "XO does not tell when its tokens end"


class _Client(msgspec.Struct, frozen=True):
    id: Any = None


class _Listed(msgspec.Struct, frozen=True):
    """One token of XO's list. ``id`` is the token itself; times are ms since the epoch."""

    id: str
    created_at: float | UnsetType | None = UNSET
    expiration: float | UnsetType | None = UNSET
    client: _Client | UnsetType | None = UNSET
    description: Any = None

    def __repr__(self) -> str:
        return "_Listed(***)"

    @property
    def client_id(self) -> str:
        found = self.client.id if isinstance(self.client, _Client) else None
        return found if isinstance(found, str) else ""


class _User(msgspec.Struct, frozen=True):
    """``session.getUser``. ``name`` came later than ``email``."""

    id: str = ""
    email: Any = None
    name: Any = None
    permission: Any = None


def client_id(machine: str, token_file: str) -> str:
    """The client id of a token that guard makes: the same on every try, or a try that broke off would leave a token.

    ``machine`` and ``token_file`` tell the guards of one XO apart: two that shared a token could not do without each other.
    """
    return CLIENT + hashlib.sha256(f"{machine}\0{token_file}".encode()).hexdigest()[:16]


class TokenXo(SendingXo):
    """One XO, asked about the token that guard signs in with. JSON-RPC alone: every XO that guard knows has it."""

    async def facts(self, token: Token | None = None) -> TokenFacts:
        """What XO tells of ``token``, else of the one in use. Only reads. Raises XoError, and XoAuthError for a refused one."""
        settings, own = self._access() if token is None else (self._settings(), token)
        try:
            async with self._signed_in(settings, own) as rpc:
                user = _user_in(await rpc.call("session.getUser"))
                try:
                    listed = _list_in(await rpc.call("user.getAuthenticationTokens"))
                except (XoAnswerError, XoAuthError) as error:
                    return _facts(user, None, (), str(error))
        except XoAuthError as error:
            raise refused(settings.url) from error
        mine = next((one for one in listed if Token(one.id) == own), None)
        return _facts(user, mine, listed, _NOT_TOLD)

    async def make(self, client: str, description: str, valid_for: timedelta) -> Token:
        """``token.create``: the token of this client, its end moved to ``valid_for`` from now; a new one where the client has
        none. XO makes no token shorter than a minute or longer than its ``maxTokenValidity``.

        Raises XoNotSentError, XoAnswerError for a refusal, XoError where nobody can tell.
        """
        params: dict[str, Any] = {"client": {"id": client}, "expiresIn": valid_for // _ONE_MS}
        if description:  # XO takes no empty one
            params["description"] = description
        async with self._opened() as rpc:
            try:
                answer = await sent(rpc, "token.create", params)
            except XoAnswerError as error:
                if "expiresIn" not in str(error):
                    raise
                told = "ask for less with --valid-for or [xo] renew_for, or raise authentication.maxTokenValidity in XO"
                raise XoAnswerError(f"{error}: XO allows no token of {valid_for.days} d; {told}") from error
        return Token(_token_in(answer))

    async def delete(self, old: Token) -> None:
        """``token.deleteOwn``, of one other token of the same user; nothing for one that is gone. Raises XoError."""
        async with self._opened() as rpc:
            await sent(rpc, "token.deleteOwn", {"tokens": [old.reveal()]})


def _facts(user: _User, mine: _Listed | None, listed: tuple[_Listed, ...], why: str) -> TokenFacts:
    name = next((one for one in (user.email, user.name, user.id) if isinstance(one, str) and one), "")
    admin = user.permission == "admin"
    if mine is None:
        return TokenFacts(user=name, admin=admin, why=why)
    ends = _time(mine.expiration)
    same = [one for one in listed if one.client_id and one.client_id == mine.client_id]
    return TokenFacts(
        user=name,
        admin=admin,
        created_at=_time(mine.created_at),
        expires_at=ends,
        client=mine.client_id,
        description=mine.description if isinstance(mine.description, str) else "",
        alone=len(same) < 2,
        why="" if ends is not None else why,
    )


def _time(ms: float | UnsetType | None) -> datetime | None:
    if not isinstance(ms, (int, float)) or isinstance(ms, bool):
        return None
    try:
        return _EPOCH + timedelta(milliseconds=ms)
    except (OverflowError, ValueError):
        return None


def _user_in(answer: msgspec.Raw) -> _User:
    try:
        return msgspec.json.decode(answer, type=_User)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise XoAnswerError(f"XO's answer to session.getUser has not the expected shape: {_place(error)}") from None


def _list_in(answer: msgspec.Raw) -> tuple[_Listed, ...]:
    try:
        return msgspec.json.decode(answer, type=tuple[_Listed, ...])
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        told = "XO's answer to user.getAuthenticationTokens has not the expected shape"
        raise XoAnswerError(f"{told}: {_place(error)}") from None


def _token_in(answer: msgspec.Raw) -> str:
    """Raises plain XoError: XO took it, and what came of it cannot be told."""
    try:
        token = msgspec.json.decode(answer, type=str)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        token = ""
    if not token or not token.isascii() or any(not char.isprintable() or char.isspace() for char in token):
        raise XoError("XO took token.create and gave back no token")
    return token


def _place(error: Exception) -> str:
    """Where it is wrong; an error's own text may hold bytes of a token."""
    return str(error) if isinstance(error, msgspec.ValidationError) else type(error).__name__
