"""The daemon's eye on its own XO token: read once a day, renewed in time where the policy says so, told before it ends.

All of it goes beside the looks and may fail as it likes: no look waits for it, and no run depends on it. Renewing is the
one write to XO that guard makes in observe mode too, and only with ``[xo] renew_token = true``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import datetime, timedelta, tzinfo
from typing import Protocol

import msgspec

from guard.errors import GuardError, LedgerError
from guard.lifecycle.loop import Loop
from guard.lifecycle.token import (
    TOKEN,
    Notice,
    TokenFacts,
    TokenState,
    is_fresh,
    may_try,
    not_renewed,
    notice,
    noticed,
    read_token_state,
    renewed,
    seen,
    unseen,
    wants_reading,
    wants_renewal,
)
from guard.notify.message import Event, Message, Tier
from guard.outcomes.alarms import TOKEN_EXPIRES
from guard.policy.schema import Policy
from guard.views.token import notice_text, notice_title, renewed_text
from guard.xo.renew import TokenXo
from guard.xo.token import Token


class Remembers(Protocol):
    """What of the ledger is needed."""

    async def remember(self, name: str, value: bytes) -> None: ...

    async def recall(self, name: str) -> bytes | None: ...


class TokenWatch:
    """``look`` after each look of the gate's; ``end`` when the daemon stops. ``token_of``: the token in use."""

    def __init__(
        self,
        xo: TokenXo,
        token_of: Callable[[], Token],
        ledger: Remembers,
        tell: Callable[[Message], Awaitable[None]],
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
        zone: Callable[[], tzinfo],
        log: Callable[[str], None],
    ) -> None:
        self._xo, self._token_of, self._ledger, self._tell = xo, token_of, ledger, tell
        self._clock, self._policy_of, self._zone, self._log = clock, policy_of, zone, log
        self._task: asyncio.Task[None] | None = None
        self._read_with: Token | None = None
        self._next_due: datetime | None = None
        self._last_due: datetime | None = None
        self._said = ""

    def look(self, loop: Loop) -> None:
        """Begins what there is to do, unless the last one still goes on. Returns at once. Raises nothing."""
        self._note_due(loop)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._do(xo_answers=not loop.xo_error))

    async def settled(self) -> None:
        """Returns when what ``look`` began is over."""
        if self._task is not None:
            await asyncio.gather(self._task, return_exceptions=True)

    async def end(self) -> None:
        """Breaks off what goes on; XO may have taken a renewal all the same, which the next reading shows."""
        if self._task is not None:
            self._task.cancel()
            await self.settled()

    async def _do(self, *, xo_answers: bool) -> None:
        """Raises nothing: whatever fails here is tried again, and costs no look."""
        try:
            before = read_token_state(await self._ledger.recall(TOKEN))
            after = await self._step(before, xo_answers=xo_answers)
            if after != before:
                await self._ledger.remember(TOKEN, msgspec.json.encode(after))
            self._said = ""
        except LedgerError:
            return  # the looks tell of a ledger that takes nothing
        except GuardError as error:
            self._say(f"guard's XO token could not be looked after: {error}")
        except Exception as error:  # noqa: BLE001  a bug in what only watches a token must not end the daemon
            self._say(f"a bug of guard's while it looked after its XO token: {type(error).__name__}")

    def _say(self, trouble: str) -> None:
        """Once, as it may go on for days of looks."""
        if trouble != self._said:
            self._log(f"warning: {trouble}")
        self._said = trouble

    async def _step(self, state: TokenState, *, xo_answers: bool) -> TokenState:
        xo, now = self._policy_of().xo, self._clock()
        token = self._token_of()
        is_another = token != self._read_with  # a new process, or a new file
        if xo_answers and (is_another or wants_reading(state, now, renews=xo.renew_token, valid_for=xo.renew_for)):
            self._read_with = token
            state = await self._read(state)
        now = self._clock()
        wanted = wants_renewal(state, now, renews=xo.renew_token, valid_for=xo.renew_for)
        if xo_answers and wanted and is_fresh(state, now) and may_try(state, now, self._dues()):
            state = await self._renew(state, xo.renew_for)
        told = notice(state, self._clock(), renews=xo.renew_token)
        # what was read long ago may be over: a person may have renewed it meanwhile. An XO that does not answer cannot tell
        if told is None or not (is_fresh(state, self._clock()) or not xo_answers or state.error):
            return state
        await self._tell_notice(state, told, renews=xo.renew_token)
        return noticed(state, told)

    async def _read(self, state: TokenState) -> TokenState:
        try:
            facts = await self._xo.facts()
        except GuardError as error:
            return unseen(state, str(error), self._clock())
        if facts.expires_at is None:
            return unseen(state, facts.why, self._clock())
        return seen(state, facts, self._clock())

    async def _renew(self, state: TokenState, valid_for: timedelta) -> TokenState:
        facts = state.facts
        if facts is None:
            return state
        try:
            given = await self._xo.make(facts.client, facts.description, valid_for)
            fresh = await self._xo.facts()
        except GuardError as error:
            return not_renewed(state, str(error), self._clock())
        wrong = _wrong(facts, fresh, is_same=given == self._token_of())
        if wrong:
            return not_renewed(state, wrong, self._clock())
        after = renewed(state, fresh, self._clock())
        self._log("renewed guard's XO token (token.create); the token stays the same")
        title, text = renewed_text(after, self._zone())
        await self._tell(Message(tier=Tier.DIGEST, event=Event.LOG, title=title, text=text, at=self._clock()))
        return after

    async def _tell_notice(self, state: TokenState, told: Notice, *, renews: bool) -> None:
        now = self._clock()
        await self._tell(
            Message(
                tier=Tier.PAGE if told.is_page else Tier.DIGEST,
                event=Event.ALARM if told.is_page else Event.LOG,
                title=notice_title(state, told, now),
                text=notice_text(state, told, now, self._zone(), renews=renews),
                at=now,
                code=TOKEN_EXPIRES.id,
            )
        )

    def _note_due(self, loop: Loop) -> None:
        """The due time that has just passed counts too: its run begins, and guard may be about to act on it."""
        if self._next_due is not None and self._next_due != loop.next_due and self._next_due <= loop.at:
            self._last_due = self._next_due
        self._next_due = loop.next_due

    def _dues(self) -> tuple[datetime, ...]:
        return tuple(due for due in (self._last_due, self._next_due) if due is not None)


def _wrong(before: TokenFacts, after: TokenFacts, *, is_same: bool) -> str:
    """What is wrong with a renewal that XO took; '' for nothing."""
    if not is_same:
        return "XO made another token instead of pushing the end of this one on; run guard token renew"
    if after.expires_at is None:
        return f"XO took the renewal, and until when the token is valid is unknown: {after.why}"
    if before.expires_at is not None and after.expires_at <= before.expires_at:
        return "XO took the renewal, and the token's end is where it was"
    return ""
