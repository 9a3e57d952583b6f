"""The policy's [metrics] section as a typed struct."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta


class MetricsSection(msgspec.Struct, frozen=True, kw_only=True):
    """Figures for Prometheus, and whether guard is alive, over HTTP. Off until listen is set."""

    listen: Annotated[
        str | None,
        Meta(
            description='Address and port for GET /metrics, /livez and /readyz, such as "127.0.0.1:9478" or "[::1]:9478".'
        ),
    ] = None
    allow_remote: Annotated[
        bool,
        Meta(
            description="Let listen name an address that other machines reach. There is neither TLS nor a password: whoever "
            "reaches it reads the names of schedules, SRs and repositories."
        ),
    ] = False
    most_series: Annotated[
        int,
        Meta(
            ge=10,
            le=100_000,
            description='So many series of one figure at most; the rest is put together under the name "other".',
        ),
    ] = 2000
