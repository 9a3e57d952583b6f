"""How XO keeps its connections to pools, and what of a pool is alive (xo-api.md 3.5; failure-modes.md 4.3)."""

from __future__ import annotations

from collections.abc import Iterable
from urllib.parse import urlsplit

from guard.estate.xapi_records import PoolFacts
from guard.estate.xo_records import Host, Server


def reconnects(server: Server) -> bool:
    """Whether XO connects to it again by itself: not to one that is disabled, refuses the password or is a duplicate."""
    told = server.error if isinstance(server.error, dict) else {}
    return server.enabled and told.get("code") != "SESSION_AUTHENTICATION_FAILED" and "connectedServerId" not in told


def address_of(server: Server) -> str | None:
    """Where XO looks for the pool, without scheme and port; None for what is no address."""
    try:
        return urlsplit(f"//{server.host.rpartition('://')[2]}").hostname
    except ValueError:  # half an IPv6 address
        return None


def pool_told(server: Server, facts: Iterable[PoolFacts]) -> PoolFacts | None:
    """What the pool of a server told guard, or that it told nothing; None where the policy has no [[pool]] for it."""
    address = address_of(server)
    return next(
        (told for told in facts if address in {told.address, *(host.address for host in told.hosts.values())}), None
    )


def is_live(host: Host | None) -> bool:
    """Whether storage may be used on a host; what XO does not tell counts as well."""
    return host is None or (host.enabled is not False and host.power_state != "Halted")


def is_up(host: Host | None) -> bool:
    """Whether XAPI may take a snapshot on a host: a disabled one too, as it only looks whether the host is alive."""
    return host is None or host.power_state != "Halted"
