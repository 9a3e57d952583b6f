"""A policy's [xo] section as the client's settings."""

from __future__ import annotations

from pathlib import Path

from guard.policy.schema import Policy
from guard.xo.client import XoSettings


def xo_settings(policy: Policy) -> XoSettings:
    """Where XO is and how long to wait for it."""
    xo = policy.xo
    return XoSettings(
        url=xo.url,
        ca_file=Path(xo.ca_file) if xo.ca_file else None,
        server_name=xo.server_name,
        verify=xo.verify,
        call_timeout_s=xo.call_timeout.total_seconds(),
        total_timeout_s=xo.total_timeout.total_seconds(),
        history_days=xo.history_days,
        read_archives=xo.read_archives,
        local_paths=xo.local_paths,
    )
