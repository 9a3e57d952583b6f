"""Effective settings of a job: XO's order of precedence, later wins.

Code defaults, then job.settings[''], [schedule id], [VM id], and inside the writer of one target [repository or SR id]
(@xen-orchestra/backups _runners/_Abstract.mjs, VmsXapi.mjs; xo-api.md 3.1.2). The TOML defaults of xo-server
(``[backups.defaultSettings]``) stand between the code and the job, but no API shows them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from guard.estate.xo_records import Job


class Settings(msgspec.Struct, frozen=True, kw_only=True, rename="camel"):
    """The settings that decide about chains, space and time. Retentions count backups; ``concurrency`` 0 = no limit."""

    export_retention: int = 0
    copy_retention: int = 0
    snapshot_retention: int = 0
    full_interval: int = 0
    concurrency: int = 2
    bypass_vdi_chains_check: bool = False
    offline_backup: bool = False
    offline_snapshot: bool = False
    checkpoint_snapshot: bool = False
    unconditional_snapshot: bool = False
    delete_first: bool = False
    distribute_backups: bool = False
    distribute_replications: bool = False
    prefer_nbd: bool = False
    cbt_destroy_snapshot_data: bool = False
    max_export_rate: int = 0
    health_check_sr: str | None = None
    health_check_vms_with_tags: tuple[str, ...] = ()
    long_term_retention: dict[str, Any] | None = None
    timezone: str | None = None


_NAMES = frozenset(Settings.__struct_encode_fields__)


def settings_key_exists(job: Job, schedule_id: str) -> bool:
    """Whether ``settings[schedule id]`` is there; without it XO crashes at start (backups-ng/index.mjs:243)."""
    return isinstance(job.settings, dict) and isinstance(job.settings.get(schedule_id), dict)


def effective(job: Job, schedule_id: str, vm_id: str = "", target_id: str = "") -> Settings:
    """The settings in force for one schedule, and for one VM and one target where given.

    ``concurrency`` and ``healthCheckSr`` are read by XO before the VM's own settings are merged, so a VM's do not count.
    A value of the wrong type is ignored, and the next weaker one stands.
    """
    merged: dict[str, Any] = {}
    layers = job.settings if isinstance(job.settings, dict) else {}
    for key in ("", schedule_id, vm_id, target_id):
        layer = layers.get(key) if key or key == "" else None
        if not isinstance(layer, dict) or (key == "" and merged):
            continue
        for name, value in layer.items():
            if name in _NAMES and not (key == vm_id != "" and name in ("concurrency", "healthCheckSr")):
                _take(merged, name, value)
    return msgspec.convert(merged, Settings)


def _take(merged: dict[str, Any], name: str, value: Any) -> None:  # noqa: ANN401  any JSON value XO stored
    try:
        msgspec.convert({name: value}, Settings)
    except msgspec.ValidationError:
        return
    merged[name] = value


def takes_snapshot(job: Job, settings: Settings, power_state: str | None, *, has_nobak_disk: bool) -> bool:
    """Whether XO snapshots this VM in a run: always in delta mode, in full mode as FullXapi.mjs:18-47 decides."""
    if job.mode != "full":
        return True
    running = power_state == "Running" and not settings.offline_backup
    return running or settings.snapshot_retention != 0 or settings.unconditional_snapshot or has_nobak_disk


def takes_memory(settings: Settings, tags: Collection[str]) -> bool:
    """Whether a snapshot is a checkpoint: by the job, or by the VM's tag (_AbstractXapi.mjs:82)."""
    return settings.checkpoint_snapshot or "xo-memory-backup" in tags


def is_offline(settings: Settings, tags: Collection[str]) -> bool:
    """Whether XO shuts a running VM down first: by the job, or by the VM's tag (_AbstractXapi.mjs)."""
    return settings.offline_backup or settings.offline_snapshot or "xo-offline-backup" in tags
