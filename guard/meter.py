"""What guard measures of its own calls: how long each took, what failed, and what it wrote to XO.

Nothing here is global: a meter is made where the parts meet and passed to what calls out; the clock is passed in. Pools
are asked in threads of their own, so every change is made under a lock.
"""

from __future__ import annotations

import threading
from bisect import bisect_left
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum

from guard.errors import (
    GuardError,
    PoolAnswerError,
    PoolAuthError,
    PoolTimeoutError,
    PoolUnreachableError,
    XoAnswerError,
    XoAuthError,
    XoBootingError,
    XoTimeoutError,
    XoTooOldError,
    XoUnreachableError,
)

BOUNDS_S = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0)
"""Upper bounds of the histograms' buckets, in seconds: from an answer on the same machine to a look that hangs."""
MOST_OPERATIONS = 100
"""Operations of one way that are told apart; there are about twenty."""
OTHER = "other"
KINDS: Mapping[type[GuardError], str] = {
    XoUnreachableError: "unreachable",
    XoTimeoutError: "timeout",
    XoAuthError: "refused",
    XoBootingError: "booting",
    XoTooOldError: "too_old",
    XoAnswerError: "answer",
    PoolUnreachableError: "unreachable",
    PoolTimeoutError: "timeout",
    PoolAuthError: "refused",
    PoolAnswerError: "answer",
}
"""What kind of failure an error is; any other counts as ``other``."""


class Way(StrEnum):
    """How guard asks: XO's REST, XO's JSON-RPC, a pool's XAPI."""

    REST = "rest"
    RPC = "rpc"
    XAPI = "xapi"


@dataclass(frozen=True)
class Timing:
    """Durations: how many fell into each bucket of ``BOUNDS_S`` and how many were longer than all; their sum in seconds."""

    counts: tuple[int, ...] = (0,) * (len(BOUNDS_S) + 1)
    sum_s: float = 0.0

    def and_one(self, seconds: float) -> Timing:
        """With one more."""
        at = bisect_left(BOUNDS_S, seconds)
        return Timing((*self.counts[:at], self.counts[at] + 1, *self.counts[at + 1 :]), self.sum_s + seconds)


@dataclass(frozen=True)
class Traffic:
    """All that was measured since the meter was made.

    ``calls``: by way and operation. ``errors``: by party at fault and kind. ``writes``: by JSON-RPC method.
    """

    calls: Mapping[tuple[str, str], Timing] = field(default_factory=dict)
    errors: Mapping[tuple[str, str], int] = field(default_factory=dict)
    writes: Mapping[str, int] = field(default_factory=dict)


class Meter:
    """``monotonic`` gives seconds that never go back."""

    def __init__(self, monotonic: Callable[[], float]) -> None:
        self.monotonic = monotonic
        self._lock = threading.Lock()
        self._calls: dict[tuple[str, str], Timing] = {}
        self._errors: dict[tuple[str, str], int] = {}
        self._writes: dict[str, int] = {}

    def took(self, way: Way, operation: str, seconds: float) -> None:
        """One call is over, well or badly."""
        with self._lock:
            key = (way.value, operation)
            if key not in self._calls and sum(1 for one, _ in self._calls if one == way.value) >= MOST_OPERATIONS:
                key = (way.value, OTHER)
            self._calls[key] = self._calls.get(key, Timing()).and_one(seconds)

    def failed(self, error: GuardError) -> None:
        """One call came to nothing."""
        kind = next((KINDS[one] for one in type(error).__mro__ if one in KINDS), OTHER)
        with self._lock:
            self._errors[error.party, kind] = self._errors.get((error.party, kind), 0) + 1

    def wrote(self, method: str) -> None:
        """One call was sent that may change something in XO."""
        with self._lock:
            self._writes[method] = self._writes.get(method, 0) + 1

    def traffic(self) -> Traffic:
        """What was measured up to now."""
        with self._lock:
            return Traffic(dict(self._calls), dict(self._errors), dict(self._writes))


@contextmanager
def timed(meter: Meter | None, way: Way, operation: str) -> Iterator[None]:
    """Measure the call inside. One that was broken off from outside took as long as somebody wanted, and is left out."""
    if meter is None:
        yield
        return
    began = meter.monotonic()
    try:
        yield
    except GuardError as error:
        meter.took(way, operation, meter.monotonic() - began)
        meter.failed(error)
        raise
    meter.took(way, operation, meter.monotonic() - began)
