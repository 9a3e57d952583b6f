"""Compares the shape of two JSON values: which keys, which types, at which place."""

from __future__ import annotations

from typing import Any

MAPS = {
    "addresses",
    "bios_strings",
    "blockedOperations",
    "current_operations",
    "device_config",
    "license_params",
    "other",
    "otherConfig",
    "other_config",
    "settings",
    "sm_config",
    "xenStoreData",
    "unhealthyVdis",
    "error",
    "result",
    "params",
    "vdisWithUnknownVhdParent",
    "configuration",
    "features",
    "license_server",
    "logging",
}
"""Properties whose keys are data, not structure: their type is compared, their keys are not."""

KINDS = {bool: "boolean", int: "number", float: "number", str: "string", list: "array", dict: "object"}


class Shape:
    """What was seen at every place: how often, and with which types. A place is a path like ``[].memory.size``."""

    def __init__(self, *values: Any) -> None:
        self.seen: dict[str, int] = {}
        self.kinds: dict[str, set[str]] = {}
        for value in values:
            self._walk("", value)

    def _walk(self, place: str, value: Any) -> None:
        self.seen[place] = self.seen.get(place, 0) + 1
        self.kinds.setdefault(place, set()).add("null" if value is None else KINDS[type(value)])
        if isinstance(value, list):
            for item in value:
                self._walk(f"{place}[]{item_name(item)}", item)
        elif isinstance(value, dict) and place.rpartition(".")[2] not in MAPS:
            for key, item in value.items():
                self._walk(f"{place}.{key}", item)

    def always(self, place: str) -> bool:
        """Whether the key is in every object that could have it."""
        return self.seen[place] == self.seen[place.rpartition(".")[0]]


def item_name(item: Any) -> str:
    """Tasks and infos of logs are told apart by their message: each kind has keys of its own."""
    return f"<{item['message']}>" if isinstance(item, dict) and isinstance(item.get("message"), str) else ""


def differences(recorded: Any, simulated: Any) -> set[str]:
    """Every place where the simulated value has another shape, as short sentences."""
    real, ours = Shape(recorded), Shape(simulated)
    found = set()
    for place in ours.seen:
        parent = place.rpartition(".")[0]
        if place not in real.seen:
            if parent in real.seen and not place.endswith("]"):
                found.add(f"extra {place}")
        elif not ours.kinds[place] <= real.kinds[place]:
            found.add(f"type of {place}: {sorted(ours.kinds[place])} instead of {sorted(real.kinds[place])}")
    for place in real.seen:
        parent, _, key = place.rpartition(".")
        if key.endswith(("]", ">")) or parent not in ours.seen or not real.always(place):
            continue  # how many elements an array has is no question of shape
        if ours.seen.get(place, 0) < ours.seen[parent]:
            found.add(f"missing {place}")
    return found
