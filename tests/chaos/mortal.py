"""Ports that die: after the crash every call on every port fails, so that nothing the code does on its way out counts."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any


class KilledError(BaseException):
    """The process is gone. No ``except Exception`` of the product sees it."""


class Fate:
    """When the process dies: ``strikes`` is asked for each call, by its number (from 1) and name.

    ``before`` the call, or after it, when it was done and nobody learned its answer. ``deaths`` counts.
    """

    def __init__(self, strikes: Callable[[int, str], bool], *, before: bool) -> None:
        self._strikes, self._before = strikes, before
        self.calls = self.deaths = 0
        self.is_dead = False
        self.names: list[str] = []

    def revive(self) -> None:
        self.is_dead = False

    def retire(self) -> None:
        """Nothing dies any more."""
        self.is_dead, self._strikes = False, lambda _number, _name: False

    async def meet(self, name: str, call: Callable[[], Any]) -> Any:
        if self.is_dead:
            raise KilledError(name)
        self.calls += 1
        self.names.append(name)
        strikes = self._strikes(self.calls, name)
        if strikes and self._before:
            self._die(name)
        answer = await call()
        if strikes:
            self._die(name)
        return answer

    def _die(self, name: str) -> None:
        self.is_dead = True
        self.deaths += 1
        raise KilledError(name)


class Mortal:
    """One port under a fate. Its plain methods (closing the file) are the system's, which always works."""

    def __init__(self, port: Any, fate: Fate, methods: frozenset[str]) -> None:
        self._port, self._fate, self._methods = port, fate, methods

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._port, name)
        if name not in self._methods:
            return found

        async def fated(*arguments: Any, **named: Any) -> Any:
            return await self._fate.meet(name, lambda: found(*arguments, **named))

        return fated


def methods_of(protocol: type) -> frozenset[str]:
    """What a port can be asked for."""
    return frozenset(name for name, what in vars(protocol).items() if inspect.iscoroutinefunction(what))
