"""The [coverage] section: what guard coverage tells of."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta


class CoverageSection(msgspec.Struct, frozen=True, kw_only=True):
    """What guard coverage takes for a gap: VMs without a backup, old backups, and full repositories."""

    ignore_tags: Annotated[
        tuple[str, ...],
        Meta(
            description='VMs with one of these tags are left out on purpose, like those with xo:no-bak: ["no-backup"].'
        ),
    ] = ()
    max_age: Annotated[
        timedelta | None,
        Meta(
            description="A VM's last good backup may get this old. Default: max_backup_age of its schedule, else twice the longest "
            "time between two due times of it, and 26 h at least."
        ),
    ] = None
    full_within_days: Annotated[
        int, Meta(ge=1, le=3650, description="A backup repository that is full within so many days counts as a gap.")
    ] = 14
