"""How fast transfers were, and so how long the next one takes (failure-modes.md 9.4)."""

from __future__ import annotations

from collections.abc import Sequence

from guard.mechanics.history import KEPT_SAMPLES, Quantiles, Transfer, quantiles


def throughput(samples: Sequence[Transfer], *, full: bool) -> Quantiles:
    """Bytes per second of the newest transfers of one kind; those that moved nothing, or took no time, tell nothing."""
    kind = [one for one in samples if one.full is full and one.size > 0 and one.seconds > 0]
    return quantiles([one.size / one.seconds for one in kind[-KEPT_SAMPLES:]])
