"""What the mechanics' numbers mean: one module per check, listed here by hand."""

from __future__ import annotations

from collections.abc import Mapping

from guard.checks import chain, clock_change, connectivity, job_settings, overlap, repository, selection, sr_space
from guard.checks.check import Check
from guard.finding import Code

ALL: tuple[Check, ...] = (
    connectivity.CHECK,
    selection.CHECK,
    job_settings.CHECK,
    clock_change.CHECK,
    overlap.CHECK,
    repository.CHECK,
    chain.CHECK,
    sr_space.CHECK,
)

CODES: Mapping[str, Code] = {code.id: code for check in ALL for code in check.codes}
