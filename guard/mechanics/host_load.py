"""Signs that a host answers slowly, as its pool tells them (xapi-storage.md 6; the limits are rules of thumb)."""

from __future__ import annotations

from collections.abc import Collection, Mapping

import msgspec

from guard.estate.xapi_records import HostFacts, SrFacts
from guard.units import MIB, format_bytes, plural

MOST_LOAD_PER_VCPU = 2.0
LEAST_MEMORY = 256 * MIB
MOST_LATENCY_US = 50_000.0


class Sign(msgspec.Struct, frozen=True, kw_only=True):
    """One figure beyond its limit. ``text`` fits after "its"."""

    name: str
    value: float
    unit: str
    text: str


def signs(host_id: str, host: HostFacts, srs: Mapping[str, SrFacts], used: Collection[str]) -> tuple[Sign, ...]:
    """What of a host is beyond its limits now. ``used``: ids of the SRs whose latency there matters. A figure it did not
    tell is none.
    """
    found = []
    if host.loadavg and host.dom0_vcpus and host.loadavg > MOST_LOAD_PER_VCPU * host.dom0_vcpus:
        vcpus = plural(host.dom0_vcpus, "vCPU")
        text = f"control domain has a load of {host.loadavg:.1f} on {vcpus}"
        found.append(Sign(name="load", value=host.loadavg, unit="", text=text))
    if isinstance(host.dom0_memory_free_bytes, int) and host.dom0_memory_free_bytes < LEAST_MEMORY:
        text = f"control domain has {format_bytes(host.dom0_memory_free_bytes)} of memory left"
        found.append(Sign(name="dom0_memory_free", value=host.dom0_memory_free_bytes, unit="bytes", text=text))
    if host.tapdisks_low_on_memory:
        text = f"disk processes are short of memory ({host.tapdisks_low_on_memory})"
        found.append(
            Sign(name="tapdisks_low_on_memory", value=host.tapdisks_low_on_memory, unit="processes", text=text)
        )
    for id_ in used:
        sr = srs.get(id_)
        latency = sr.latency_us.get(host_id, 0.0) if sr is not None else 0.0
        if sr is not None and latency > MOST_LATENCY_US:
            text = f"SR {sr.name or id_} takes {latency / 1000:.0f} ms for an I/O"
            found.append(Sign(name="latency", value=latency, unit="us", text=text))
    return tuple(found)
