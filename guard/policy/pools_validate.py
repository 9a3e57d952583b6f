"""What one value of a [[pool]] entry cannot tell alone: addresses, what is required, and what may be there only once."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable, Iterable
from datetime import timedelta
from pathlib import PurePosixPath
from urllib.parse import SplitResult, urlsplit

from guard.policy.pools_schema import PoolSection
from guard.units import format_duration

_Report = Callable[[str, object, str], None]
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,62}")
_HOST_NAME = re.compile(r"[A-Za-z0-9_]([A-Za-z0-9_.:-]{0,252}[A-Za-z0-9_])?")
_EXAMPLE = "such as https://192.0.2.10"
_LONGEST = timedelta(minutes=5)
_PORTS = {"http": 80, "https": 443}
_HIDDEN = "***"


def check_pools(pools: Iterable[tuple[str, PoolSection]], report: _Report) -> None:
    """``pools``: (key path, entry). Calls ``report(key path, value, what is wrong and what would be right)`` for every problem."""
    names: dict[str, str] = {}
    places: dict[tuple[str, int], str] = {}
    for path, pool in pools:
        _check_name(path, pool.name, names, report)
        _check_url(path, pool.url, places, report)
        if not pool.username.strip() or not pool.username.isprintable():
            report(f"{path}.username", pool.username, 'is required; expected a user of the pool, such as "guard"')
        _check_tls(path, pool, report)
        _check_times(path, pool, report)


def _check_name(path: str, name: str, names: dict[str, str], report: _Report) -> None:
    if not _NAME.fullmatch(name):
        right = 'is required; expected letters, digits, ".", "_" and "-", such as "paris"'
        report(f"{path}.name", name, right)
    elif name in names:
        report(f"{path}.name", name, f"is the name of {names[name]} too; expected a name of its own")
    else:
        names[name] = path


def _check_url(path: str, url: str, places: dict[tuple[str, int], str], report: _Report) -> None:
    def wrong(what: str) -> None:
        report(f"{path}.url", _HIDDEN if "@" in url else url, what)

    parts = _split(url)
    if parts is None or parts.scheme not in _PORTS or not parts.hostname:
        wrong(f"expected the address of the pool's master, {_EXAMPLE}")
        return
    if "@" in parts.netloc:
        wrong("holds credentials; expected a bare address, with username and password_file beside it")
    elif parts.path.strip("/") or parts.query or parts.fragment:
        wrong(f"holds a path; expected a bare address {_EXAMPLE}")
    elif parts.scheme == "http" and not _is_loopback(parts.hostname):
        wrong("would send the password unencrypted; expected https")
    place = parts.hostname, parts.port or _PORTS[parts.scheme]
    if place in places:
        wrong(f"is the address of {places[place]} too; expected one entry for each pool")
    places.setdefault(place, path)


def _check_tls(path: str, pool: PoolSection, report: _Report) -> None:
    for key in ("password_file", "ca_file"):
        file = getattr(pool, key)
        if file is not None and not PurePosixPath(file).is_absolute():
            report(f"{path}.{key}", file, "expected an absolute path")
    if pool.server_name is not None and not _HOST_NAME.fullmatch(pool.server_name):
        report(f"{path}.server_name", pool.server_name, "expected a host name, such as xcp-1.example.org")
    if not pool.verify and pool.ca_file is not None:
        report(f"{path}.verify", pool.verify, "contradicts ca_file; expected true, or no ca_file")


def _check_times(path: str, pool: PoolSection, report: _Report) -> None:
    for key in ("call_timeout", "total_timeout"):
        if getattr(pool, key) <= timedelta():
            report(f"{path}.{key}", "0 s", "expected more than 0 s")
    if pool.total_timeout > _LONGEST:
        shown = format_duration(pool.total_timeout.total_seconds())
        report(f"{path}.total_timeout", shown, 'expected at most "5 min": the facts of all pools are waited for')


def _split(url: str) -> SplitResult | None:
    """The parts of an address; None when it has a host or a port that cannot be."""
    try:
        parts = urlsplit(url)
        _ = parts.port  # raises for a port that cannot be
        (parts.hostname or "").encode("idna")
    except ValueError:
        return None
    return parts


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
