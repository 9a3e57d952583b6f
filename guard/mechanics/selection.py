"""Which VMs a job takes: value-matcher plus XO's extra rules (backups-ng/index.mjs:66-185, failure-modes.md 6).

VMs are matched in groups of equal matched properties, so that 200 smart jobs over 10,000 VMs stay cheap.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from guard.estate.estate import Estate
from guard.estate.xo_records import Job, Vm
from guard.mechanics.pattern import MOST_LEVELS, UndecidedError, matches

MATCHED_FIELDS = {
    "name_label": "name_label",
    "power_state": "power_state",
    "tags": "tags",
    "$pool": "pool",
    "$poolId": "pool",
    "$container": "container",
    "blockedOperations": "blocked_operations",
    "other": "other",
}
"""What patterns look at in a ``Vm`` itself, by XO's name; all else is read for them (``vm_properties``)."""
_OPERATORS = ("__and", "__or", "__not")


class Selection(msgspec.Struct, frozen=True, kw_only=True):
    """What a job takes now. ``ids``: VMs in the estate; ``unknown``: ids of an id list that XO does not show.

    ``smart`` is False for an id list, which XO uses as it is. ``error`` tells why XO itself would throw, or, where
    ``undecided``, why guard cannot tell what XO takes.
    """

    smart: bool
    ids: tuple[str, ...]
    unknown: tuple[str, ...] = ()
    error: str = ""
    undecided: bool = False


def listed_ids(pattern: object, key: str = "id") -> tuple[str, ...] | None:
    """The ids of a plain id pattern ``{id: "x"}`` or ``{id: {__or: [...]}}``; None for any other pattern."""
    if not isinstance(pattern, dict) or list(pattern) != [key]:
        return None
    value = pattern[key]
    if isinstance(value, str):
        return (value,)
    if isinstance(value, dict) and list(value) == ["__or"] and isinstance(value["__or"], list):
        return tuple(value["__or"]) if all(isinstance(one, str) for one in value["__or"]) else None
    return None


def smart_pattern(job: Job) -> dict[str, Any]:
    """The predicate XO builds: type VM first, the job's own keys win."""
    own = job.vms if isinstance(job.vms, dict) else {}
    return {"type": "VM", **own}


def pattern_keys(pattern: object, level: int = 0) -> frozenset[str]:
    """The top-level properties a pattern looks at, through operators."""
    if not isinstance(pattern, dict) or level > MOST_LEVELS:
        return frozenset()
    if len(pattern) == 1:
        ((key, value),) = pattern.items()
        if key in _OPERATORS:
            members = value if isinstance(value, list) else [value]
            return frozenset().union(*(pattern_keys(member, level + 1) for member in members))
    return frozenset(pattern)


def named_pools(pattern: object) -> tuple[str, ...]:
    """Pool ids a smart pattern asks for positively (plain id, ``__or``, or inside a top-level ``__and``)."""
    wanted = pattern.get("$pool") if isinstance(pattern, dict) else None
    parts = wanted["__and"] if isinstance(wanted, dict) and list(wanted) == ["__and"] else [wanted]
    found: list[str] = []
    for part in parts if isinstance(parts, list) else []:
        members = part.get("__or", []) if isinstance(part, dict) else [part]
        found += [one for one in members if isinstance(one, str)]
    return tuple(found)


def named_tags(pattern: object) -> frozenset[str]:
    """Tags a smart pattern names anywhere under ``tags``, except below ``__not``."""
    found: set[str] = set()

    def walk(node: object, level: int = 0) -> None:
        if level > MOST_LEVELS:
            return
        if isinstance(node, str):
            found.add(node)
        elif isinstance(node, list):
            for member in node:
                walk(member, level + 1)
        elif isinstance(node, dict):
            for key, value in node.items():
                if key != "__not":
                    walk(value, level + 1)

    walk(pattern.get("tags") if isinstance(pattern, dict) else None)
    return frozenset(found)


def opted_out(vm: Vm) -> bool:
    """A tag whose part before ``=`` is exactly ``xo:no-bak``; smart jobs only."""
    return any(tag.split("=", 1)[0] == "xo:no-bak" for tag in vm.tags or ())


def own_replica(vm: Vm, job_id: str) -> bool:
    """A replica made by this very job: start blocked and marked with the job's id."""
    return "start" in (vm.blocked_operations or {}) and (vm.other or {}).get("xo:backup:job") == job_id


def as_xo(vm: Vm, extra: Mapping[str, Any], keys: frozenset[str]) -> dict[str, Any]:
    """The named properties of a VM as XO shows them; what XO left out is absent."""
    shown: dict[str, Any] = {}
    for key in keys:
        if key == "type":
            shown[key] = "VM"
        elif key in ("id", "uuid"):
            shown[key] = vm.id
        elif key in MATCHED_FIELDS:
            value = getattr(vm, MATCHED_FIELDS[key])
            if value is not msgspec.UNSET:
                shown[key] = value
        elif key in extra:
            shown[key] = extra[key]
    return shown


class Selector:
    """Answers selections over one estate, grouping its VMs once per set of matched properties."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate
        self._groups: dict[frozenset[str], list[tuple[dict[str, Any], list[Vm]]]] = {}

    def select(self, job: Job) -> Selection:
        """The VMs of one job, in the estate's order (XO's own order is unspecified)."""
        listed = listed_ids(job.vms)
        if listed is not None:
            known = self._estate.vm_by_id
            return Selection(
                smart=False,
                ids=tuple(vm for vm in listed if vm in known),
                unknown=tuple(vm for vm in listed if vm not in known),
            )
        pattern = smart_pattern(job)
        ids: list[str] = []
        try:
            for shown, members in self._grouped(pattern_keys(pattern)):
                if matches(pattern, shown):
                    ids += [vm.id for vm in members if not own_replica(vm, job.id) and not opted_out(vm)]
        except UndecidedError as error:
            return Selection(smart=True, ids=(), error=f"guard cannot follow its pattern: {error}", undecided=True)
        except TypeError as error:
            return Selection(smart=True, ids=(), error=f"XO's pattern matcher throws on this pattern: {error}")
        return Selection(smart=True, ids=tuple(ids))

    def _grouped(self, keys: frozenset[str]) -> list[tuple[dict[str, Any], list[Vm]]]:
        if keys not in self._groups:
            extras = self._estate.vm_properties
            groups: dict[bytes, tuple[dict[str, Any], list[Vm]]] = {}
            encode = msgspec.json.Encoder(order="deterministic").encode
            for vm in self._estate.vms:
                shown = as_xo(vm, extras.get(vm.id, {}), keys)
                groups.setdefault(encode(shown), (shown, []))[1].append(vm)
            self._groups[keys] = list(groups.values())
        return self._groups[keys]


def left_out_because(job: Job, vm: Vm, extra: Mapping[str, Any]) -> str:
    """The first rule that leaves a VM out of a job, as a sentence; '' when the job takes it."""
    listed = listed_ids(job.vms)
    if listed is not None:
        return "" if vm.id in listed else "its id is not in the job's list"
    pattern = smart_pattern(job)
    for key, wanted in pattern.items():
        shown = as_xo(vm, extra, frozenset({key}))
        try:
            fits = matches({key: wanted}, shown)
        except TypeError as error:
            return f"its {key} cannot be held against the pattern: {error}"
        if not fits:
            if key not in shown:
                return f"it has no property {key}"
            return f"its {key} {msgspec.json.encode(shown[key]).decode()} does not match {msgspec.json.encode(wanted).decode()}"
    if own_replica(vm, job.id):
        return "it is a replica made by this very job"
    if opted_out(vm):
        return "it carries the tag xo:no-bak"
    return ""
