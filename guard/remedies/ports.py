"""What the remedies need of the world, as Protocols; daemon/compose.py says who gives it."""

from __future__ import annotations

from datetime import datetime
from typing import Protocol

from guard.estate.workaround import Done, State
from guard.lifecycle.remedy import Remedy


class Probe(Protocol):
    """What XO answered to ``remote.test``. ``step``: where it failed; rates in bytes per second."""

    @property
    def success(self) -> bool: ...

    @property
    def step(self) -> str: ...

    @property
    def error(self) -> str: ...

    @property
    def write_rate(self) -> float | None: ...

    @property
    def read_rate(self) -> float | None: ...


class RemedyXo(Protocol):
    """The writes of the remedies. Each raises XoNotSentError, XoAnswerError or another XoError, as those of GateXo do."""

    async def scan_sr(self, sr_id: str) -> None:
        """``sr.scan``; returns when the scan is over."""
        ...

    async def connect_server(self, server_id: str) -> None:
        """``server.enable``."""
        ...

    async def plug_pbd(self, pbd_id: str) -> None:
        """``pbd.connect``."""
        ...

    async def test_repository(self, repository_id: str, *, limit_s: float) -> Probe | None:
        """``remote.test``; None where it took longer than ``limit_s``, which tells nothing."""
        ...


class TimeoutFile(Protocol):
    """guard's file in XO's configuration. Raises XoConfigError."""

    async def look(self) -> State: ...

    async def apply(self, value_ms: int, until: datetime, reason: str) -> Done: ...

    async def revert(self) -> Done: ...


class RemedyTeller(Protocol):
    """Where news of remedies goes. Never fails, and never waits for the outside."""

    async def remedied(self, remedy: Remedy) -> None:
        """A remedy is over, or its effect was seen."""
        ...

    async def stands(self, state: State, *, at: datetime) -> None:
        """guard's file in XO's configuration had to be put back, and still stands."""
        ...
