"""What a check is: a pure function from a view of one due run to findings, with its codes, needs and options."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Any

import msgspec

from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Code, Finding


class Effect(StrEnum):
    """What a policy lets a check do: hold runs, only warn, or stay silent."""

    BLOCK = "block"
    WARN = "warn"
    OFF = "off"


class Options(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Base of every check's own section ``[checks.<name>]`` of the policy."""

    effect: Annotated[
        Effect, msgspec.Meta(description="block: hold what this check blocks; warn: only report it; off: do not check.")
    ] = Effect.BLOCK


@dataclass(frozen=True)
class Check:
    """One check.

    ``needs`` maps each estate part to the age beyond which the check must not trust it. ``job_types`` are the XO job
    types it applies to. ``evaluate`` gets the view and an instance of ``options``.
    """

    name: str
    title: str
    codes: tuple[Code, ...]
    needs: Mapping[PartName, timedelta]
    options: type[Options]
    evaluate: Callable[[View, Any], Sequence[Finding]]
    job_types: frozenset[str] = frozenset({"backup"})
