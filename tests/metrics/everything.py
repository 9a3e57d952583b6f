"""A figure of every family, for what has to be tried on all of them."""

from __future__ import annotations

from guard.meter import Timing
from guard.views.metrics import FAMILIES, Figures, Kind


def every_figure(things: int = 1) -> Figures:
    """So many series of each family that has labels, one of the others."""
    return {
        one.name: [
            (
                tuple(f"{label}-{number}" for label in one.labels),
                Timing().and_one(0.5) if one.kind is Kind.HISTOGRAM else float(number),
            )
            for number in range(things if one.labels else 1)
        ]
        for one in FAMILIES
    }
