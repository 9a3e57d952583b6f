"""The calls a pool master answers: fields and records of every class by rule, the others from one table.

What is not known is refused as XAPI refuses it: MESSAGE_METHOD_UNKNOWN, MESSAGE_PARAMETER_COUNT_MISMATCH.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from guard.simulator.shapes import XoObject
from guard.simulator.xapi_effects import Effects
from guard.simulator.xapi_query import condition
from guard.simulator.xapi_records import CLASSES, OWNED, Tables, xo_key
from guard.simulator.xapi_wire import Record, Value, XapiError, ref_of, task_result

DATA_SOURCES: dict[str, dict[str, float]] = {
    "host": {
        "loadavg": 0.4,
        "cpu_avg": 0.1,
        "memory_free_kib": 40_000_000.0,
        "memory_total_kib": 67_108_864.0,
        "Tapdisks_in_low_memory_mode": 0.0,
    },
    "VM": {"cpu_usage": 0.05, "memory_internal_free": 2_000_000.0},
}
"""What ``query_data_source`` answers unless ``extra`` says otherwise; units in xapi-storage.md 6."""
WRITABLE: dict[str, frozenset[str]] = {
    "pool": frozenset({"name_label", "name_description", "other_config", "tags", "gui_config", "suspend_image_SR"}),
    "host": frozenset({"name_label", "name_description", "other_config", "tags", "suspend_image_sr"}),
    "SR": frozenset({"name_label", "name_description", "other_config", "tags", "sm_config"}),
    "PBD": frozenset({"other_config"}),
    "VM": frozenset(
        {
            *("name_label", "name_description", "other_config", "tags", "blocked_operations", "xenstore_data"),
            *("is_a_template", "has_vendor_device", "affinity", "platform", "HVM_boot_params", "bios_strings", "order"),
            *("user_version", "start_delay", "shutdown_delay", "suspend_VDI", "suspend_SR", "PV_args", "snapshot_time"),
            *("is_default_template", "ha_restart_priority", "actions_after_crash", "NVRAM", "VCPUs_params"),
        }
    ),
    "VBD": frozenset({"other_config", "bootable", "userdevice", "unpluggable", "mode"}),
    "VDI": frozenset(
        {
            *("name_label", "name_description", "other_config", "tags", "xenstore_data", "sm_config", "read_only"),
            *("sharable", "on_boot", "allow_caching", "missing", "managed"),
        }
    ),
    "network": frozenset({"name_label", "name_description", "other_config", "tags"}),
    "task": frozenset({"other_config", "status", "progress", "result", "error_info"}),
    "VUSB": frozenset({"other_config"}),
}
READING = re.compile(
    r"^(system|event|session)\.|\.(get_|assert_operation_valid$|query_data_source$|update_allowed_operations$)"
)
"""What a read-only role may call."""


@dataclass(frozen=True)
class Method:
    """``least`` and ``most``: how many parameters it takes, the session left out."""

    call: Callable[..., Value]
    least: int
    most: int


class Calls:
    """Everything but sessions, events and what is asynchronous about a call."""

    def __init__(self, tables: Tables) -> None:
        self.tables = tables
        self._effects = Effects(tables)
        self._methods = self._table()

    def _table(self) -> dict[str, Method]:
        do = self._effects
        nothing = Method(lambda _ref: "", 1, 1)
        return {
            "host.get_servertime": Method(lambda _host: self.tables.world.now(), 1, 1),
            "host.query_data_source": Method(self._host_source, 2, 2),
            "VM.query_data_source": Method(self._vm_source, 2, 2),
            "VM.assert_operation_valid": Method(do.assert_valid, 2, 2),
            "VM.update_allowed_operations": nothing,
            "VM.snapshot": Method(do.snapshot, 2, 3),
            "VM.checkpoint": Method(do.checkpoint, 2, 2),
            "VM.destroy": Method(do.destroy_vm, 1, 1),
            "VM.start": Method(lambda vm, _paused, _force: do.power(vm, "start", "Running"), 3, 3),
            "VM.clean_shutdown": Method(lambda vm: do.power(vm, "clean_shutdown", "Halted"), 1, 1),
            "VM.hard_shutdown": Method(lambda vm: do.power(vm, "hard_shutdown", "Halted"), 1, 1),
            "VDI.destroy": Method(do.destroy_vdi, 1, 1),
            "VDI.data_destroy": Method(do.destroy_data, 1, 1),
            "VDI.enable_cbt": Method(lambda vdi: do.track_changes(vdi, on=True), 1, 1),
            "VDI.disable_cbt": Method(lambda vdi: do.track_changes(vdi, on=False), 1, 1),
            "VBD.unplug": Method(do.unplug_drive, 1, 1),
            "VBD.unplug_force": Method(do.unplug_drive, 1, 1),
            "VBD.destroy": Method(do.destroy_drive, 1, 1),
            "PBD.plug": Method(lambda pbd: do.plug(pbd, on=True), 1, 1),
            "PBD.unplug": Method(lambda pbd: do.plug(pbd, on=False), 1, 1),
            "SR.scan": Method(do.scan, 1, 1),
            "SR.update": nothing,
            "VUSB.destroy": Method(do.destroy_usb, 1, 1),
            "VUSB.create": Method(do.create_usb, 3, 3),
            "task.create": Method(self._create_task, 2, 2),
            "task.cancel": Method(self._cancel_task, 1, 1),
            "task.destroy": Method(self._destroy_task, 1, 1),
        }

    def names(self) -> list[str]:
        """``system.listMethods``, as far as clients look at it."""
        return [*(f"{cls}.get_all_records" for cls in CLASSES), *self._methods]

    def call(self, method: str, args: list[Value]) -> Value:
        """The answer to a call; ``args`` without the session. Raises XapiError, for what nobody thought of too."""
        try:
            return self._dispatch(method, args)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise XapiError("INTERNAL_ERROR", f"{type(error).__name__}: {error}") from error

    def _dispatch(self, method: str, args: list[Value]) -> Value:
        known = self._methods.get(method)
        if known is not None:
            if not known.least <= len(args) <= known.most:
                raise XapiError("MESSAGE_PARAMETER_COUNT_MISMATCH", method, str(known.most), str(len(args)))
            return known.call(*args)
        cls, _, operation = method.partition(".")
        if cls not in CLASSES:
            raise XapiError("MESSAGE_METHOD_UNKNOWN", method)
        return self._by_rule(cls, operation, method, args)

    # --- records and fields

    def _by_rule(self, cls: str, operation: str, method: str, args: list[Value]) -> Value:
        tables = self.tables
        match operation, args:
            case "get_all", []:
                return tables.refs(cls)
            case "get_all_records", []:
                return tables.all_records(cls)
            case "get_all_records_where", [str(expression)]:
                wanted = condition(expression)
                return {ref: record for ref, record in tables.all_records(cls).items() if wanted(record)}
            case "get_record", [str(ref)]:
                return tables.record(cls, ref)
            case "get_by_uuid", [str(uuid)]:
                return tables.by_uuid(cls, uuid)
            case "get_by_name_label", [str(name)]:
                return [ref for ref, record in tables.all_records(cls).items() if record.get("name_label") == name]
        verb, _, field = operation.partition("_")
        if verb == "get" and len(args) == 1:
            record = tables.record(cls, args[0])
            if field in record:
                return record[field]
        elif len(args) in {2, 3}:
            return self._write(cls, operation, method, args)
        raise XapiError("MESSAGE_METHOD_UNKNOWN", method)

    def _write(self, cls: str, operation: str, method: str, args: list[Value]) -> Value:
        ref = args[0]
        for prefix, count in (("set_", 2), ("add_to_", 3), ("remove_from_", 2), ("add_", 2), ("remove_", 2)):
            field = operation.removeprefix(prefix)
            if field == operation or field not in WRITABLE.get(cls, ()) or len(args) != count:
                continue
            value = self.tables.record(cls, ref)[field]
            match prefix:
                case "set_":
                    value = args[1]
                case "add_to_":
                    if args[1] in value:
                        raise XapiError("MAP_DUPLICATE_KEY", cls, field, ref, args[1])
                    value[args[1]] = args[2]
                case "remove_from_":
                    value.pop(args[1], None)
                case "add_":
                    value = [*(item for item in value if item != args[1]), args[1]]
                case _:
                    value = [item for item in value if item != args[1]]
            self._put(cls, ref, field, value)
            return ""
        raise XapiError("MESSAGE_METHOD_UNKNOWN", method)

    def _put(self, cls: str, ref: str, field: str, value: Value) -> None:
        """Where XO keeps the field too, it is changed there: both see the same world."""
        identity, found = self.tables.find(cls, ref)
        key = None if cls in OWNED else xo_key(cls, field)
        more = self.tables.extra.setdefault(identity, {})
        if not isinstance(value, dict):
            if key is None:
                more[field] = value
            else:
                found[key] = value
                more.pop(field, None)
            return
        if key is not None:
            found[key] = dict(value)
        # entries that the builder or a world's author adds stay away once they were taken out
        more.pop(field, None)
        shown = self.tables.record(cls, ref)[field]
        if shown != value:
            more[field] = dict.fromkeys(shown) | value

    # --- load figures

    def _host_source(self, ref: str, name: str) -> Value:
        identity, host = self.tables.find("host", ref)
        if host["power_state"] != "Running":
            raise XapiError("HOST_OFFLINE", ref)
        return self._source("host", identity, name)

    def _vm_source(self, ref: str, name: str) -> Value:
        identity, vm = self.tables.find("VM", ref)
        if vm["power_state"] != "Running":
            raise XapiError("VM_BAD_POWER_STATE", ref, "running", vm["power_state"].lower())
        return self._source("VM", identity, name)

    def _source(self, cls: str, identity: str, name: str) -> Value:
        told = DATA_SOURCES[cls] | self.tables.extra.get(identity, {}).get("data_sources", {})
        if name not in told:
            raise XapiError("INTERNAL_ERROR", f"no data source {name}")
        return float(told[name])

    # --- tasks

    def _create_task(self, label: str, description: str) -> str:
        return ref_of(self.open_task(label, description)["id"])

    def open_task(self, label: str, description: str = "") -> XoObject:
        """A pending task of the pool, which XO shows too."""
        task = self.tables.world.add_xapi_task(self.tables.pool, label, progress=0)
        task |= {"name_description": description, "allowedOperations": ["cancel", "destroy"]}
        return task

    def end_task(self, ref: str, value: Value = "", error: XapiError | None = None) -> None:
        """A task ends with a value or an error, unless its client has cancelled or destroyed it meanwhile."""
        try:
            identity, task = self.tables.find("task", ref)
        except XapiError:
            return
        if task["status"] != "pending":
            return
        task |= {"finished": self.tables.world.seconds(), "progress": 1, "allowedOperations": ["destroy"]}
        if error is None:
            task |= {"status": "success", "result": task_result(value)}
        else:
            task["status"] = "failure"
            self._note_error(identity, error)

    def _note_error(self, identity: str, error: XapiError) -> None:
        more: Record = self.tables.extra.setdefault(identity, {})
        more["error_info"] = error.description

    def _cancel_task(self, ref: str) -> Value:
        task = self.tables.object("task", ref)
        if task["status"] == "pending":
            task |= {"status": "cancelled", "finished": self.tables.world.seconds()}
        return ""

    def _destroy_task(self, ref: str) -> Value:
        identity, task = self.tables.find("task", ref)
        self.tables.world.remove_object(task)
        self.tables.extra.pop(identity, None)
        return ""
