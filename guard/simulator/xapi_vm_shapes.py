"""XAPI's records of VMs, their snapshots and metrics, and the control domains, made from XO's shapes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from guard.simulator import shapes
from guard.simulator.shapes import GIB, XoObject
from guard.simulator.xapi_shapes import link, refs, time_of
from guard.simulator.xapi_wire import NULL, Record, ref_of, uuid_of

if TYPE_CHECKING:
    from guard.simulator.xapi_records import Tables

SNAPSHOT_TYPES = frozenset({"VM-snapshot"})
DOM0_VCPUS = 16


def control_domain(host: XoObject, pool: XoObject) -> XoObject:
    """The control domain of a host, which XO's side of the world has no object for, in XO's shape."""
    label = f"Control domain on host: {host['name_label']}"
    shape = shapes.vm(label, "Running", host["id"], pool["id"], 4 * GIB, host["startTime"])
    identity = host["controlDomain"]
    return shape | {
        "id": identity,
        "uuid": identity,
        "type": "VM-controller",
        "$pool": pool["id"],
        "CPUs": {"max": DOM0_VCPUS, "number": DOM0_VCPUS},
    }


def vm(tables: Tables, o: XoObject) -> Record:
    is_snapshot = o["type"] in SNAPSHOT_TYPES
    running = o["power_state"] in {"Running", "Paused"}
    memory = o["memory"]
    return {
        "power_state": o["power_state"],
        "is_a_template": o["type"] == "VM-template" or is_snapshot,
        "is_a_snapshot": is_snapshot,
        "is_control_domain": o["type"] == "VM-controller",
        "is_default_template": False,
        "is_vmss_snapshot": False,
        "snapshot_of": link(o.get("$snapshot_of")),
        "snapshots": refs(o["snapshots"]),
        "snapshot_time": time_of(o.get("snapshot_time")),
        "snapshot_info": {},
        "snapshot_metadata": "",
        "transportable_snapshot_id": "",
        "parent": NULL,
        "children": [],
        "VBDs": refs(o["$VBDs"]) + refs(tables.foreign_drives(o)),
        "VIFs": [],
        "VGPUs": refs(o.get("$VGPUs") or []),
        "VTPMs": [],
        "VUSBs": refs(tables.usb_of(o)),
        "attached_PCIs": [],
        "consoles": [],
        "crash_dumps": [],
        "resident_on": link(o["$container"]) if running and o["$container"] != o["$pool"] else NULL,
        "scheduled_to_be_resident_on": NULL,
        "affinity": link(o.get("affinityHost")),
        "suspend_VDI": NULL,
        "suspend_SR": NULL,
        "guest_metrics": ref_of(uuid_of("VM_guest_metrics", o["id"])) if has_guest(o) else NULL,
        "metrics": ref_of(uuid_of("VM_metrics", o["id"])),
        "platform": {"device-model": "qemu-upstream-compat", "vga": o["vga"]},
        "memory_static_max": memory["static"][1],
        "memory_static_min": memory["static"][0],
        "memory_dynamic_max": memory["dynamic"][1],
        "memory_dynamic_min": memory["dynamic"][0],
        "memory_target": memory["dynamic"][1],
        "memory_overhead": 20 * 1024**2,
        "VCPUs_max": o["CPUs"]["max"],
        "VCPUs_at_startup": o["CPUs"]["number"],
        "VCPUs_params": {},
        "HVM_boot_policy": "BIOS order",
        "HVM_boot_params": o["boot"],
        "HVM_shadow_multiplier": 1.0,
        "PV_args": "",
        "PV_bootloader": "",
        "PV_kernel": "",
        "PV_ramdisk": "",
        "actions_after_crash": "restart",
        "actions_after_reboot": "restart",
        "actions_after_shutdown": "destroy",
        "domain_type": "hvm",
        "domid": 0 if o["type"] == "VM-controller" else -1,
        "has_vendor_device": o["hasVendorDevice"],
        "hardware_platform_version": 0,
        "ha_restart_priority": o["high_availability"],
        "start_delay": o["startDelay"],
        "shutdown_delay": 0,
        "order": 0,
        "version": 0,
        "user_version": 1,
        "recommendations": "",
        "appliance": NULL,
        "snapshot_schedule": NULL,
        "protection_policy": NULL,
        "generation_id": "",
        "NVRAM": {},
        "bios_strings": o["bios_strings"],
        "requires_reboot": False,
        "reference_label": "",
    }


def has_guest(o: XoObject) -> bool:
    """Whether the guest's tools have told something."""
    return bool(o.get("managementAgentDetected"))


def vm_metrics(_tables: Tables, o: XoObject) -> Record:
    return {
        "memory_actual": o["memory"]["size"],
        "VCPUs_number": o["CPUs"]["number"],
        "start_time": time_of(o["startTime"]),
        "install_time": time_of(o["installTime"]),
        "last_updated": time_of(o["startTime"]),
        "state": ["running"] if o["power_state"] == "Running" else [],
        "hvm": True,
        "nested_virt": False,
        "nomigrate": False,
    }


def vm_guest_metrics(_tables: Tables, o: XoObject) -> Record:
    tools = o.get("xenTools") or {}
    return {
        "PV_drivers_detected": bool(o.get("pvDriversDetected")),
        "PV_drivers_up_to_date": bool(o.get("pvDriversUpToDate")),
        "PV_drivers_version": {"major": str(tools.get("major", 0)), "minor": str(tools.get("minor", 0))},
        "os_version": dict(o["os_version"] or {}),
        "networks": {key.replace("ipv4/0", "ip"): address for key, address in o["addresses"].items()},
        "live": o["power_state"] == "Running",
        "can_use_hotplug_vbd": "yes",
        "can_use_hotplug_vif": "yes",
        "last_updated": time_of(o["startTime"]),
    }
