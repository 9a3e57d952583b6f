"""What the mechanics' numbers mean: one module per check, listed here by hand."""

from __future__ import annotations

from collections.abc import Mapping

from guard.checks import (
    blocked_operations,
    chain,
    chain_depth,
    clock_change,
    connectivity,
    disk_missing,
    job_settings,
    next_full,
    overlap,
    passthrough,
    platform,
    repository,
    repository_proxy,
    selection,
    snapshot_support,
    sr_space,
    target_srs,
    vendor_device,
    vm_state,
)
from guard.checks.check import Check
from guard.finding import Code

ALL: tuple[Check, ...] = (
    connectivity.CHECK,
    selection.CHECK,
    job_settings.CHECK,
    clock_change.CHECK,
    overlap.CHECK,
    repository.CHECK,
    repository_proxy.CHECK,
    target_srs.CHECK,
    platform.CHECK,
    vm_state.CHECK,
    disk_missing.CHECK,
    snapshot_support.CHECK,
    passthrough.CHECK,
    blocked_operations.CHECK,
    vendor_device.CHECK,
    next_full.CHECK,
    chain_depth.CHECK,
    chain.CHECK,
    sr_space.CHECK,
)

CODES: Mapping[str, Code] = {code.id: code for check in ALL for code in check.codes}
