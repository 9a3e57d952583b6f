"""The httpInactivityTimeout workaround as one thing: looked at, planned, written, taken back.

By the policy guard writes itself (xo_config), asks its root helper (timeout_helper too), or, without xo_config, can only tell
a person what to put where.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path

from guard.errors import XoConfigError, XoConfigHelperError, XoConfigRefusedError
from guard.estate.workaround import Done, Plan, State
from guard.policy.remedies_schema import RemediesSection
from guard.remedies import timeout_file
from guard.remedies.helper import Apply, Revert
from guard.remedies.helper_client import ask
from guard.remedies.timeout_plan import plan_apply, plan_revert
from guard.remedies.timeout_text import Wanted, check, one_line, render
from guard.remedies.xo_folder import Looked, look, look_in, opened

_MS = timedelta(milliseconds=1)
_ELSEWHERE = (
    "the policy names no xo_config, so guard does not write to XO's configuration; guard workaround apply tells what to put "
    "where"
)


class Workaround:
    """``clock``: the instant, aware. ``by``: who asks, as guard's file tells it where guard writes itself."""

    def __init__(self, remedies: RemediesSection, *, clock: Callable[[], datetime], by: str = "guard") -> None:
        self._folder = Path(remedies.xo_config) if remedies.xo_config is not None else None
        self._helper = remedies.timeout_helper
        self._most_ms = remedies.longest_timeout // _MS
        self._adopt = (
            remedies.adopt_timeout_file and self._helper is None
        )  # the helper writes guard's file, nothing else
        self._clock = clock
        self._by = one_line(by)

    async def look(self) -> State:
        """Never raises; what could not be looked at is in ``State.problem``."""
        if self._folder is None:
            return State(folder=None, looked_at=self._clock())
        return await asyncio.to_thread(look, self._folder, self._clock())

    async def plan_apply(self, value_ms: int, until: datetime, reason: str) -> Plan:
        """What ``apply`` would do now, without doing it. Raises as it does."""
        now, wanted = self._clock(), self._wanted(value_ms, until, reason)
        found = await asyncio.to_thread(_looked, self._place(), now)
        return plan_apply(found, wanted, now, most_ms=self._most_ms, adopt=self._adopt)

    async def apply(self, value_ms: int, until: datetime, reason: str) -> Done:
        """``until`` aware, at most 400 days ahead; ``reason`` one line, with the schedules it is for; longer ones are cut.

        ``Done.plan.action`` "nothing": it stands already, or enough is set elsewhere. Holds for runs that start after it.

        Raises XoConfigRefusedError where guard leaves the folder alone (also without xo_config), XoConfigBusyError where
        another guard is at work there, XoConfigError where the file system refuses, XoConfigHelperError.
        """
        now, folder, wanted = self._clock(), self._place(), self._wanted(value_ms, until, reason)
        check(wanted, now, self._most_ms)
        if self._helper is None:
            return await asyncio.to_thread(
                timeout_file.apply, folder, wanted, now, most_ms=self._most_ms, adopt=self._adopt
            )
        request = Apply(value_ms=wanted.value_ms, until=wanted.until, reason=wanted.reason)
        return await self._asked(self._helper, request, folder)

    async def plan_revert(self) -> Plan:
        """What ``revert`` would do now. Raises as it does."""
        return plan_revert(await asyncio.to_thread(_looked, self._place(), self._clock()))

    async def revert(self) -> Done:
        """Remove guard's file where it is as guard wrote it. Runs that go on keep the value they started with.

        Raises as ``apply``.
        """
        folder = self._place()
        if self._helper is None:
            return await asyncio.to_thread(timeout_file.revert, folder, self._clock())
        return await self._asked(self._helper, Revert(), folder)

    def text(self, value_ms: int, until: datetime, reason: str) -> str:
        """The file's whole text, for a person to put where guard cannot. Raises XoConfigRefusedError."""
        now, wanted = self._clock(), self._wanted(value_ms, until, reason)
        check(wanted, now, self._most_ms)
        return render(wanted, now)

    def _wanted(self, value_ms: int, until: datetime, reason: str) -> Wanted:
        return Wanted(value_ms=value_ms, until=until, reason=one_line(reason), by=self._by)

    def _place(self) -> Path:
        if self._folder is None:
            raise XoConfigRefusedError(_ELSEWHERE)
        return self._folder

    async def _asked(self, helper: str, request: Apply | Revert, folder: Path) -> Done:
        """The helper sees more of the folder than guard's user may, so its word is what counts."""
        before = await self.look()
        answer = await ask(helper, request)
        elsewhere = Path(answer.path).parent
        if elsewhere != folder:
            raise XoConfigHelperError(
                f'{helper}: its unit works on {elsewhere}, and the policy names xo_config = "{folder}": {answer.sentence} '
                "Let both name the same folder"
            )
        found = await asyncio.to_thread(_looked_or_state, folder, self._clock())
        return Done(
            plan=Plan(action=answer.action, sentence=answer.sentence, text=found.own_text),
            sentence=answer.sentence,
            before=before,
            after=found.state,
        )


def _looked(folder: Path, now: datetime) -> Looked:
    with opened(folder) as descriptor:
        return look_in(descriptor, folder, now)


def _looked_or_state(folder: Path, now: datetime) -> Looked:
    try:
        return _looked(folder, now)
    except XoConfigError:
        return Looked(look(folder, now), None, {})
