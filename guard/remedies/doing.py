"""Doing one remedy: the intent into the ledger, then the one call, then what came of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

import msgspec

from guard.errors import XoAnswerError, XoConfigError, XoConfigHelperError, XoError, XoNotSentError
from guard.finding import Fact
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result, Wanted
from guard.policy.remedies_schema import RemediesSection
from guard.remedies.ports import RemedyTeller, RemedyXo, TimeoutFile
from guard.remedies.timeout import milliseconds
from guard.units import format_bytes, whole_ms


class Doer:
    """``timeout_file`` None: the policy names no folder of XO's."""

    def __init__(
        self,
        xo: RemedyXo,
        ledger: Ledger,
        teller: RemedyTeller,
        *,
        clock: Callable[[], datetime],
        timeout_file: Callable[[], TimeoutFile | None],
    ) -> None:
        self._xo, self._ledger, self._teller, self._clock = xo, ledger, teller, clock
        self._timeout_file = timeout_file

    async def do(self, wanted: Wanted, policy: RemediesSection) -> Remedy:
        """Raises LedgerError, before XO is asked where the intent cannot be written."""
        begun = whole_ms(self._clock())
        remedy = Remedy(
            kind=wanted.kind,
            scope=wanted.scope,
            at=begun,
            reason=wanted.reason,
            runs=wanted.runs,
            pool=wanted.pool,
            before=wanted.before,
            expected_at=wanted.expected_at,
            until=wanted.until,
        )
        await self._ledger.put_remedy(remedy)
        try:
            remedy = await self._call(remedy, policy)
        except XoConfigHelperError as error:  # it may have written, and its answer was lost
            remedy = _with(remedy, Result.UNKNOWN, f"Nobody knows whether it was done: {error}")
        except (XoNotSentError, XoAnswerError, XoConfigError) as error:
            remedy = _with(remedy, Result.FAILED, str(error), effect=Effect.NOTHING)
        except XoError as error:
            remedy = _with(remedy, Result.UNKNOWN, f"Nobody knows whether it was done: {error}")
        remedy = msgspec.structs.replace(remedy, ended_at=self._clock())
        await self._ledger.put_remedy(remedy)
        await self._teller.remedied(remedy)
        return remedy

    async def _call(self, remedy: Remedy, policy: RemediesSection) -> Remedy:
        match remedy.kind:
            case RemedyKind.RESCAN:
                return await self._asked(remedy, self._xo.scan_sr(remedy.scope.id), "XO scanned it.")
            case RemedyKind.RECONNECT:
                return await self._asked(remedy, self._xo.connect_server(remedy.scope.id), "XO connected to it.")
            case RemedyKind.PLUG:
                return await self._asked(remedy, self._xo.plug_pbd(remedy.scope.id), "XO plugged it.")
            case RemedyKind.PROBE:
                return await self._probed(remedy, policy)
            case _:  # written, or taken back
                return await self._file(remedy, policy)

    @staticmethod
    async def _asked(remedy: Remedy, call: Awaitable[None], told: str) -> Remedy:
        await call
        return _with(remedy, Result.DONE, told)

    async def _probed(self, remedy: Remedy, policy: RemediesSection) -> Remedy:
        limit_s = policy.probe_limit.total_seconds()
        found = await self._xo.test_repository(remedy.scope.id, limit_s=limit_s)
        if found is None:
            return _with(remedy, Result.UNKNOWN, f"XO did not finish within {limit_s:g} s, which tells nothing.")
        if not found.success:
            told = f"XO could not {found.step or 'use it'}: {found.error}"
            return _with(remedy, Result.DONE, told, effect=Effect.NOTHING)
        rates = [
            Fact(name=name, value=rate, unit="bytes/s", source="remote.test", observed_at=self._clock())
            for name, rate in (("write_rate", found.write_rate), ("read_rate", found.read_rate))
            if rate is not None
        ]
        speed = f" at {format_bytes(round(found.write_rate))}/s" if found.write_rate is not None else ""
        done = _with(remedy, Result.DONE, f"XO wrote and read a file there{speed}.", effect=Effect.HELPED)
        return msgspec.structs.replace(done, after=tuple(rates), effect_at=self._clock())

    async def _file(self, remedy: Remedy, policy: RemediesSection) -> Remedy:
        file = self._timeout_file()
        if file is None:
            return _with(remedy, Result.FAILED, "The policy names no folder of XO's any more.", effect=Effect.NOTHING)
        if remedy.kind is RemedyKind.TIMEOUT_FILE_BACK:
            done = await file.revert()
            return _with(remedy, Result.DONE, done.sentence, effect=Effect.HELPED)
        if remedy.until is None:
            raise TypeError("a file without an end is never written")
        done = await file.apply(milliseconds(policy.timeout), remedy.until, remedy.reason)
        return _with(remedy, Result.DONE, done.sentence)


def given_up(remedy: Remedy) -> Remedy:
    """A remedy that was begun by a guard that died before it recorded what came of it."""
    return _with(remedy, Result.UNKNOWN, "guard ended before it recorded what came of it.")


def _with(remedy: Remedy, result: Result, text: str, *, effect: Effect | None = None) -> Remedy:
    return msgspec.structs.replace(remedy, result=result, text=text, effect=effect or remedy.effect)
