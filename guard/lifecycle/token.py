"""The life of guard's own XO token: what XO tells of it, when it is renewed, and when a person has to hear of it. Pure.

XO lets a token run out for good: then guard can neither read nor act, and its claims end by XO's fallbacks. A token can
be pushed on only by the client that made it (xo-api.md 1.2), so guard renews by itself the tokens that it made, and no
others. Nothing here, nor in the ledger, holds the token itself or a part of it.
"""

from __future__ import annotations

from datetime import datetime, timedelta

import msgspec

TOKEN = "token"  # noqa: S105  the name of the ledger's document
CLIENT = "guard-"
"""How the client id of a token that guard made begins."""
READ_EVERY = timedelta(hours=24)
READ_AGAIN = timedelta(hours=1)
"""So old may a reading be that something is done about, or told of; and so long passes between two tries."""
LEVELS: tuple[int, ...] = (14, 7, 3, 2, 1, 0)
"""Days left at which a person is told, once each."""
PAGED = timedelta(days=2)
"""From here on a page, where guard does not renew by itself."""
FAILING_PAGED = timedelta(days=3)
"""The same while guard's own renewals fail: there is one more way out then that a person has to know of."""
NEAR_DUE = timedelta(minutes=10)
"""So close to a due time nothing is renewed, as long as there are more days left than ``FAILING_PAGED``."""
_LONGEST_PAUSE = timedelta(hours=6)
_DAY = timedelta(days=1)


class TokenFacts(msgspec.Struct, frozen=True, kw_only=True):
    """What XO tells of the token that asks. ``expires_at`` None: XO does not tell, ``why`` says in which way.

    ``user``: its name; ``client``: the id of the client that made it, '' for a token made in XO's own form. ``alone``: no
    other token of this user has that client id, so that renewing means this one.
    """

    user: str
    admin: bool
    created_at: datetime | None = None
    expires_at: datetime | None = None
    client: str = ""
    description: str = ""
    alone: bool = True
    why: str = ""

    @property
    def is_guards(self) -> bool:
        """Whether guard made it, so that guard can push it on without another token coming of it."""
        return self.client.startswith(CLIENT) and self.alone


class TokenState(msgspec.Struct, frozen=True, kw_only=True):
    """The ledger's document ``token``: the last reading that told something, and what was done and told since.

    ``tried_read_at``: the last reading, whatever came of it; ``error``: why it told nothing, '' for one that did.
    ``failures``: renewals that failed one after another, ``failure``: the last one's reason. ``told``: the level of
    ``LEVELS`` that was told last, None for none.
    """

    facts: TokenFacts | None = None
    read_at: datetime | None = None
    tried_read_at: datetime | None = None
    error: str = ""
    renewed_at: datetime | None = None
    renewals: int = 0
    tried_at: datetime | None = None
    failures: int = 0
    failure: str = ""
    told: int | None = None
    told_failing: bool = False

    @property
    def expires_at(self) -> datetime | None:
        return self.facts.expires_at if self.facts is not None else None


def read_token_state(document: bytes | None) -> TokenState:
    """What the ledger remembers; an empty state for nothing, and for what another version of guard wrote."""
    if document is None:
        return TokenState()
    try:
        return msgspec.json.decode(document, type=TokenState)
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return TokenState()


def seen(state: TokenState, facts: TokenFacts, now: datetime) -> TokenState:
    """After a reading. Another end, or another token, is a new beginning: nothing was told of it yet."""
    same = state.facts is not None and _mark(state.facts) == _mark(facts)
    fresh = msgspec.structs.replace(
        state, facts=facts, read_at=now, tried_read_at=now, error=facts.why if facts.expires_at is None else ""
    )
    if same:
        return fresh
    return msgspec.structs.replace(fresh, told=None, failures=0, failure="", told_failing=False)


def unseen(state: TokenState, error: str, now: datetime) -> TokenState:
    """After a reading that told nothing."""
    return msgspec.structs.replace(state, tried_read_at=now, error=error)


def renewed(state: TokenState, facts: TokenFacts, now: datetime) -> TokenState:
    """After a renewal that XO took and shows."""
    return msgspec.structs.replace(
        seen(state, facts, now),
        renewed_at=now,
        renewals=state.renewals + 1,
        tried_at=now,
        failures=0,
        failure="",
        told=None,
        told_failing=False,
    )


def not_renewed(state: TokenState, failure: str, now: datetime) -> TokenState:
    """After a renewal that failed."""
    return msgspec.structs.replace(state, tried_at=now, failures=state.failures + 1, failure=failure)


def left(state: TokenState, now: datetime) -> timedelta | None:
    """Until the token runs out; None where that is unknown."""
    return None if state.expires_at is None else state.expires_at - now


def wants_reading(state: TokenState, now: datetime, *, renews: bool, valid_for: timedelta) -> bool:
    """Once a day; no older than ``READ_AGAIN`` where something is to be done or told, or the last one told nothing."""
    tried = state.tried_read_at
    if tried is not None and timedelta() <= now - tried < READ_AGAIN:
        return False
    if tried is None or state.error or not timedelta() <= now - tried < READ_EVERY:
        return True
    return wants_renewal(state, now, renews=renews, valid_for=valid_for) or level(state, now) is not None


def is_fresh(state: TokenState, now: datetime) -> bool:
    """Whether the last reading told something, and is young enough to go by."""
    return not state.error and state.read_at is not None and timedelta() <= now - state.read_at < READ_AGAIN


def wants_renewal(state: TokenState, now: datetime, *, renews: bool, valid_for: timedelta) -> bool:
    """Whether less than a third of its life is left, or less than a week (half of a life shorter than two weeks).

    Never for a token that guard did not make, and for one that has run out already.
    """
    facts, remaining = state.facts, left(state, now)
    if not renews or facts is None or not facts.is_guards or remaining is None or remaining <= timedelta():
        return False
    life = valid_for
    begun = state.renewed_at or facts.created_at
    if begun is not None and facts.expires_at is not None:
        life = min(life, max(facts.expires_at - begun, timedelta()))
    return remaining < max(life / 3, min(timedelta(days=7), life / 2))


def may_try(state: TokenState, now: datetime, dues: tuple[datetime, ...]) -> bool:
    """Whether a renewal may be tried now: an hour after the last one, after failures up to six; and not within
    ``NEAR_DUE`` of one of ``dues``, unless the end is near.
    """
    remaining = left(state, now)
    if (remaining is None or remaining > FAILING_PAGED) and any(abs(due - now) < NEAR_DUE for due in dues):
        return False
    pause = min(READ_AGAIN * 2 ** min(max(state.failures - 1, 0), 8), _LONGEST_PAUSE)
    return state.tried_at is None or not timedelta() <= now - state.tried_at < pause


def level(state: TokenState, now: datetime) -> int | None:
    """The level of ``LEVELS`` that is reached and was not told yet; None where there is none.

    What a clock that was days ahead made guard tell does not count once that clock is right again.
    """
    remaining = left(state, now)
    if remaining is None:
        return None
    reached = [days for days in LEVELS if remaining <= days * _DAY]
    told = state.told if state.told is not None and remaining <= (state.told + 1) * _DAY else None
    if not reached or (told is not None and told <= reached[-1]):
        return None
    return reached[-1]


class Notice(msgspec.Struct, frozen=True, kw_only=True):
    """What a person has to hear. ``days``: the level reached, None where only ``failing`` is told."""

    days: int | None
    is_page: bool
    failing: bool


def notice(state: TokenState, now: datetime, *, renews: bool) -> Notice | None:
    """What is to be told now, None for nothing. ``renews``: the policy lets guard renew.

    While guard's own renewals go well nothing is told; from the first that fails the digest tells it once, and the
    levels count again from ``FAILING_PAGED`` on, as pages.
    """
    reached = level(state, now)
    if not (renews and state.facts is not None and state.facts.is_guards):
        if reached is None:
            return None
        return Notice(days=reached, is_page=reached <= PAGED.days, failing=False)
    if reached is not None and reached <= FAILING_PAGED.days and (state.failures or reached == 0):
        return Notice(days=reached, is_page=True, failing=True)
    if state.failures and not state.told_failing:
        return Notice(days=None, is_page=False, failing=True)
    return None


def noticed(state: TokenState, told: Notice) -> TokenState:
    """After it was told."""
    return msgspec.structs.replace(
        state,
        told=state.told if told.days is None else told.days,
        told_failing=state.told_failing or told.failing,
    )


def _mark(facts: TokenFacts) -> tuple[object, ...]:
    return facts.created_at, facts.expires_at, facts.client
