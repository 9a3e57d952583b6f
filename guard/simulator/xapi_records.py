"""One pool's tables as XAPI holds them, computed from the world each time they are asked for.

XO's shape is the truth for all it holds. What only XAPI has comes from ``extra``: by uuid, a record's further or
different fields; in a map (``sm_config``, ``other_config``) single entries, where None takes one away. ::

    extra[disk["id"]] = {"sm_config": {"paused": "true"}, "on_boot": "reset"}
    extra[host["id"]] = {"data_sources": {"loadavg": 14.5}}      # what query_data_source answers, no field of a record
    extra[pool["id"]] = {"restrictions": {"restrict_cbt": "true"}}

``host_metrics``, ``VM_metrics``, ``VM_guest_metrics`` and the control domains have no object of XO behind them: their
uuids are ``uuid_of(class, owner's id)`` and ``host["controlDomain"]``. Classes without a record in any world (``VIF``
and others) are listed and empty.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from guard.simulator import xapi_rules, xapi_shapes, xapi_vm_shapes
from guard.simulator.shapes import XoObject
from guard.simulator.vm_refusals import NO_SNAPSHOT_TYPES
from guard.simulator.world import World
from guard.simulator.xapi_wire import Record, Value, XapiError, ref_of, uuid_of

KINDS: dict[str, tuple[str, ...]] = {
    "pool": ("pool",),
    "host": ("host",),
    "SR": ("SR",),
    "PBD": ("PBD",),
    "VM": ("VM", "VM-snapshot", "VM-template"),
    "VBD": ("VBD",),
    "VDI": ("VDI", "VDI-snapshot", "VDI-unmanaged"),
    "network": ("network",),
    "task": ("task",),
    "message": ("message",),
    "SM": ("SM",),
    "VUSB": ("VUSB",),
}
"""Class of XAPI -> XO's types of it."""
OWNED = {"host_metrics": "host", "VM_metrics": "VM", "VM_guest_metrics": "VM"}
EMPTY = ("VIF", "PIF", "VTPM", "GPU_group", "VGPU", "PGPU", "PCI", "USB_group", "bond", "blob", "console", "crashdump")
CLASSES = (*KINDS, *OWNED, *EMPTY)

Builder = Callable[["Tables", XoObject], Record]
BUILDERS: dict[str, Builder] = {
    "pool": xapi_shapes.pool,
    "host": xapi_shapes.host,
    "SR": xapi_shapes.sr,
    "PBD": xapi_shapes.pbd,
    "VM": xapi_vm_shapes.vm,
    "VBD": xapi_shapes.vbd,
    "VDI": xapi_shapes.vdi,
    "network": xapi_shapes.network,
    "task": xapi_shapes.task,
    "message": xapi_shapes.message,
    "SM": xapi_shapes.sm,
    "VUSB": xapi_shapes.vusb,
    "host_metrics": xapi_shapes.host_metrics,
    "VM_metrics": xapi_vm_shapes.vm_metrics,
    "VM_guest_metrics": xapi_vm_shapes.vm_guest_metrics,
}
NAMED = {"name_label": "name_label", "name_description": "name_description"}
BUSY = {"current_operations": "current_operations"}
TAGGED = {"tags": "tags"}
CONFIGURED = {"other_config": "other_config"}
XO_KEYS: dict[str, dict[str, str]] = {
    "pool": NAMED | BUSY | TAGGED | {"other_config": "otherConfig"},
    "host": NAMED | BUSY | TAGGED | {"other_config": "otherConfig"},
    "SR": NAMED | BUSY | TAGGED | CONFIGURED | {"sm_config": "sm_config"},
    "PBD": {"other_config": "otherConfig"},
    "VM": NAMED
    | BUSY
    | TAGGED
    | {
        "other_config": "other",
        "blocked_operations": "blockedOperations",
        "xenstore_data": "xenStoreData",
        "has_vendor_device": "hasVendorDevice",
    },
    "VBD": BUSY | CONFIGURED,
    "VDI": NAMED | BUSY | TAGGED | CONFIGURED | {"cbt_enabled": "cbt_enabled", "xenstore_data": "xenstore_data"},
    "network": NAMED | BUSY | TAGGED | CONFIGURED,
    "task": NAMED | BUSY | CONFIGURED | {"status": "status", "progress": "progress", "result": "result"},
    "message": {},
    "SM": NAMED | CONFIGURED,
    "VUSB": BUSY | CONFIGURED,
}
"""Fields that XO keeps as they are -> XO's key."""
MAPS = frozenset({"other_config", "blocked_operations", "xenstore_data", "sm_config", "current_operations"})


def xo_key(cls: str, field: str) -> str | None:
    """XO's key for a field, if XO keeps it."""
    return XO_KEYS.get(cls, {}).get(field)


class Tables:
    """The records of one pool."""

    def __init__(self, world: World, pool: XoObject, extra: dict[str, Record]) -> None:
        self.world = world
        self.pool = pool
        self.extra = extra
        self._domains: dict[str, XoObject] = {}
        self._index: dict[str, tuple[str, str, XoObject]] = {}

    # --- which objects there are

    def entries(self, cls: str) -> Iterator[tuple[str, XoObject]]:
        """(uuid, object in XO's shape or its owner) of one class."""
        if cls in OWNED:
            for _identity, owner in self.entries(OWNED[cls]):
                if cls != "VM_guest_metrics" or xapi_vm_shapes.has_guest(owner):
                    yield uuid_of(cls, owner["id"]), owner
            return
        for kind in KINDS.get(cls, ()):
            for identity, found in list(self.world.objects.get(kind, {}).items()):
                if found["$pool"] == self.pool["id"]:
                    yield identity, found
        if cls == "VM":
            for host in self.world.hosts_of(self.pool):
                yield host["controlDomain"], self._domain(host)

    def _domain(self, host: XoObject) -> XoObject:
        if host["id"] not in self._domains:
            self._domains[host["id"]] = xapi_vm_shapes.control_domain(host, self.pool)
        return self._domains[host["id"]]

    def refs(self, cls: str) -> list[str]:
        return [ref_of(identity) for identity, _found in self.entries(cls)]

    def find(self, cls: str, ref: str) -> tuple[str, XoObject]:
        """(uuid, object in XO's shape or its owner). Raises XapiError for a reference to nothing."""
        found = self._index.get(ref)
        if found is None or not self._is_there(found[2]):
            self._index = {ref_of(i): (c, i, o) for c in (*KINDS, *OWNED) for i, o in self.entries(c)}
            found = self._index.get(ref)
        if found is None or found[0] != cls:
            raise XapiError("HANDLE_INVALID", cls, ref)
        return found[1], found[2]

    def _is_there(self, found: XoObject) -> bool:
        if found["type"] == "VM-controller":
            return found["$container"] in self.world.objects["host"]
        return self.world.objects.get(found["type"], {}).get(found["id"]) is found

    def object(self, cls: str, ref: str) -> XoObject:
        return self.find(cls, ref)[1]

    def by_uuid(self, cls: str, uuid: str) -> str:
        try:
            self.find(cls, ref_of(uuid))
        except XapiError:
            raise XapiError("UUID_INVALID", cls, uuid) from None
        return ref_of(uuid)

    # --- records

    def record(self, cls: str, ref: str) -> Record:
        return self._build(cls, *self.find(cls, ref))

    def all_records(self, cls: str) -> dict[str, Record]:
        return {ref_of(identity): self._build(cls, identity, found) for identity, found in self.entries(cls)}

    def _build(self, cls: str, identity: str, found: XoObject) -> Record:
        record: Record = {"uuid": identity}
        for field, key in XO_KEYS.get(cls, {"other_config": ""}).items():
            record[field] = _copied(found.get(key, _nothing(field)))
        for field, value in BUILDERS[cls](self, found).items():
            kind = type(value)
            if kind is not dict and kind is not list:
                record[field] = value
            else:
                record[field] = {**record.get(field, {}), **value} if kind is dict else list(value)
        more = self.extra.get(identity, {})
        for field, value in more.items():
            if field != "data_sources":
                record[field] = _overlaid(record.get(field), value)
        if "allowed_operations" not in more:
            self._allow(cls, ref_of(identity), found, record)
        return record

    def _allow(self, cls: str, ref: str, found: XoObject, record: Record) -> None:
        if cls == "VM":
            record["allowed_operations"] = [
                operation
                for operation in xapi_rules.IN_STATE.get(record["power_state"], ())
                if self.vm_refusal(ref, record, operation) is None
            ]
        elif cls == "VDI":
            able = self.takes_snapshots(self.world.get("SR", found["$SR"]))
            free = not record["current_operations"]
            snapshot = ["snapshot"] if xapi_rules.vdi_refusal(ref, record, snapshots=able) is None else []
            record["allowed_operations"] = snapshot + (["clone", "copy", "destroy", "update"] if free else [])

    def vm_refusal(self, ref: str, record: Record, operation: str) -> XapiError | None:
        """What stands in the way of an operation on a VM, by its record."""
        upgrading = "rolling_upgrade_in_progress" in self.pool["otherConfig"]
        return xapi_rules.vm_refusal(ref, record, operation, upgrading=upgrading)

    def takes_snapshots(self, sr: XoObject) -> bool:
        """Whether the SR's driver can snapshot at all."""
        drivers = [one for _identity, one in self.entries("SM") if one["SM_type"] == sr["SR_type"]]
        able = all("VDI_SNAPSHOT" in driver["features"] for driver in drivers)
        return able and sr["SR_type"] not in NO_SNAPSHOT_TYPES

    # --- links that XO's shape holds on one side only

    def drives_of(self, disk: XoObject) -> list[XoObject]:
        drives = self.world.objects.get("VBD", {})
        return [drives[identity] for identity in disk["$VBDs"] if identity in drives]

    def foreign_drives(self, vm: XoObject) -> list[str]:
        """Drives of a control domain: the domain has no object in the world that would list them."""
        if vm["type"] != "VM-controller":
            return []
        return [one["id"] for one in self.world.objects.get("VBD", {}).values() if one["VM"] == vm["id"]]

    def usb_of(self, vm: XoObject) -> list[str]:
        return [one["id"] for one in self.world.objects.get("VUSB", {}).values() if one["vm"] == vm["id"]]

    def kind_of(self, identity: str) -> str:
        """The class of the object with this uuid, empty when it is gone."""
        for cls, kinds in KINDS.items():
            if any(identity in self.world.objects.get(kind, {}) for kind in kinds):
                return cls
        return ""


def _nothing(field: str) -> Value:
    if field in MAPS:
        return {}
    return [] if field == "tags" else False if field in {"cbt_enabled", "has_vendor_device"} else ""


def _copied(value: Value) -> Value:
    """What is handed out must not change when the world does."""
    if isinstance(value, dict):
        return dict(value)
    return list(value) if isinstance(value, list) else value


def _overlaid(value: Value, more: Value) -> Value:
    if not isinstance(value, Mapping) or not isinstance(more, Mapping):
        return _copied(more)
    return {key: item for key, item in {**value, **more}.items() if item is not None}
