"""What of [metrics] no type can tell."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable

from guard.policy.metrics_schema import MetricsSection

Report = Callable[[str, object, str], None]
_EXAMPLE = 'expected an address and a port from 1 to 65535, such as "127.0.0.1:9478" or "[::1]:9478"'
_LISTEN = re.compile(r"(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):(?P<port>\d{1,5})", re.ASCII)


def check_metrics(metrics: MetricsSection, report: Report) -> None:
    """``report(key path, value, what would be right)`` for every problem."""
    if metrics.listen is None:
        if metrics.allow_remote:
            report("metrics.allow_remote", True, "does nothing without listen; expected both")
        return
    try:
        host, _ = address_of(metrics.listen)
    except ValueError:
        report("metrics.listen", metrics.listen, _EXAMPLE)
        return
    if not ipaddress.ip_address(host).is_loopback and not metrics.allow_remote:
        report(
            "metrics.listen",
            metrics.listen,
            "other machines can reach it; expected an address of this machine alone, such as 127.0.0.1, or "
            "allow_remote = true",
        )


def address_of(listen: str) -> tuple[str, int]:
    """``"[::1]:9478"`` -> ("::1", 9478). Raises ValueError for what is no address with a port; names are none."""
    found = _LISTEN.fullmatch(listen)
    if found is None:
        raise ValueError(_EXAMPLE)
    host, port = found["six"] or found["four"], int(found["port"])
    if ipaddress.ip_address(host).version != (6 if found["six"] else 4) or not 0 < port < 65536:
        raise ValueError(_EXAMPLE)
    return host, port
