"""XO's own report on VDI chains, faults included (xo-api.md 4.2): not what a backup checks, only what XO shows.

Every node above and including a disk counts when it has exactly one child of any kind, and disks that share an
ancestor share one counter, so a healthy disk may show its sibling's number.
"""

from __future__ import annotations

from guard.simulator.collector import DISK_TYPES
from guard.simulator.shapes import XoObject
from guard.simulator.world import World


class _Chain:
    """The counter that everything below one root shares."""

    def __init__(self) -> None:
        self.count = 0
        self.missing: str | None = None


def writable(sr: XoObject) -> bool:
    """XO's idea of an SR that can hold disks (packages/xo-server/src/utils.mjs)."""
    return sr["content_type"] != "iso" and bool(sr["size"])


def chains_of(world: World, sr: XoObject) -> XoObject:
    """What ``sr.getVdiChainsInfo`` answers for one SR."""
    nodes = {item["id"]: item for kind in DISK_TYPES for item in world.visible(kind) if item["$SR"] == sr["id"]}
    children: dict[str, int] = {}
    for node in nodes.values():
        if "parent" in node:
            children[node["parent"]] = children.get(node["parent"], 0) + 1
    chains: dict[str, _Chain] = {}
    disks = [identity for identity, node in nodes.items() if node["type"] == "VDI"]
    unhealthy, unknown_parents = {}, {}
    for disk in disks:
        chain = _follow(disk, nodes, children, chains)
        if chain.missing is not None:
            unknown_parents[disk] = chain.missing
        elif chain.count:
            unhealthy[disk] = chain.count
    return {
        "vdisWithUnknownVhdParent": unknown_parents,
        "unhealthyVdis": unhealthy,
        "nUnhealthyVdis": sum(unhealthy.values()),
    }


def _follow(identity: str, nodes: dict[str, XoObject], children: dict[str, int], chains: dict[str, _Chain]) -> _Chain:
    """The shared counter of a node's chain, raised for every node met for the first time."""
    path = []
    while identity not in chains:
        path.append(identity)
        parent = nodes.get(identity, {}).get("parent")
        if parent is None:
            chain = _Chain()
            chain.missing = None if identity in nodes else identity
            break
        identity = parent
    else:
        chain = chains[identity]
    for node in reversed(path):
        chains[node] = chain
        chain.count += children.get(node) == 1
    return chain
