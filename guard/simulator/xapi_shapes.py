"""XAPI's records of storage and compute objects, made from XO's shapes. Sizes are bytes; integers are integers.

Each function takes the tables (``xapi_records.Tables``) and the object in XO's shape and returns one fresh record.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from guard.simulator.shapes import THICK_TYPES, XoObject
from guard.simulator.vhd import block_map
from guard.simulator.vm_refusals import NO_SNAPSHOT_TYPES
from guard.simulator.xapi_wire import NEVER, NULL, Record, ref_of, uuid_of

if TYPE_CHECKING:
    from guard.simulator.xapi_records import Tables

API_MINOR = {"8.3": 21, "8.2": 15, "8.1": 14, "8.0": 12, "7.6": 11, "7.1": 6, "7.0": 5, "6.5": 3, "6.2": 0}
"""Product version -> minor of API 2.x (xapi-storage.md 7)."""
XAPI_BUILD = {"8.3": "24.19.2", "8.2": "1.249.41", "8.1": "1.214.1", "8.0": "1.160.1", "7.6": "1.110.1"}
RESTRICTIONS = (
    *("restrict_pci_device_for_auto_update", "restrict_cbt", "restrict_rbac", "restrict_vgpu", "restrict_hotfix_apply"),
    *("restrict_storage_xen_motion", "restrict_checkpoint", "restrict_pool_size", "restrict_zstd_export"),
)
"""Features a licence can take away; an XCP-ng pool has them all."""


def time_of(seconds: float | None) -> datetime:
    return NEVER if seconds is None else datetime.fromtimestamp(seconds, UTC)


def refs(identities: list[str]) -> list[str]:
    return [ref_of(identity) for identity in identities]


def link(identity: str | None) -> str:
    return ref_of(identity) if identity else NULL


def pool(_tables: Tables, o: XoObject) -> Record:
    return {
        "master": link(o.get("master")),
        "default_SR": link(o.get("default_SR")),
        "suspend_image_SR": link(o.get("suspendSr")),
        "crash_dump_SR": link(o.get("crashDumpSr")),
        "ha_enabled": o["HA_enabled"],
        "ha_statefiles": [],
        "restrictions": dict.fromkeys(RESTRICTIONS, "false"),
        "allowed_operations": ["cluster_create", "ha_enable"],
        "gui_config": {},
        "live_patching_disabled": False,
        "policy_no_vendor_device": False,
    }


def host(tables: Tables, o: XoObject) -> Record:
    series = ".".join(o["version"].split(".")[:2])
    return {
        "address": o["address"],
        "hostname": o["hostname"],
        "enabled": o["enabled"],
        "metrics": ref_of(uuid_of("host_metrics", o["id"])),
        "control_domain": ref_of(o["controlDomain"]),
        "resident_VMs": refs(o["residentVms"]),
        "PBDs": refs(o["$PBDs"]),
        "PIFs": [],
        "host_CPUs": [],
        "API_version_major": 2,
        "API_version_minor": API_MINOR.get(series, 21),
        "API_version_vendor": "XenSource",
        "software_version": {
            "product_brand": o["productBrand"],
            "product_version": o["version"],
            "product_version_text": series,
            "platform_name": "XCP",
            "platform_version": tables.pool.get("platform_version", "3.4.0"),
            "xapi_build": XAPI_BUILD.get(series, "24.19.2"),
        },
        "license_params": o["license_params"],
        "edition": o["license_params"].get("sku_type", ""),
        "cpu_info": o["CPUs"],
        "memory_overhead": 512 * 1024**2,
        "allowed_operations": ["vm_migrate", "provision", "vm_resume", "evacuate", "vm_start"],
        "suspend_image_sr": NULL,
        "crash_dump_sr": NULL,
        "local_cache_sr": NULL,
        "capabilities": ["xen-3.0-x86_64", "hvm-3.0-x86_64"],
        "patches": [],
        "multipathing": o["multipathing"],
    }


def host_metrics(_tables: Tables, o: XoObject) -> Record:
    total = int(o["memory"]["size"])
    return {
        "live": o["power_state"] == "Running",
        "memory_total": total,
        "memory_free": total - int(o["memory"]["usage"]),
        "last_updated": time_of(o["startTime"]),
    }


def pbd(_tables: Tables, o: XoObject) -> Record:
    return {
        "host": ref_of(o["host"]),
        "SR": ref_of(o["SR"]),
        "device_config": o["device_config"],
        "currently_attached": o["attached"],
    }


def sr(tables: Tables, o: XoObject) -> Record:
    free = ["scan", "update", "vdi_create", "vdi_destroy", "vdi_resize", "vdi_clone", "plug", "unplug"]
    if tables.takes_snapshots(o):
        free.append("vdi_snapshot")
    return {
        "allowed_operations": [] if o["current_operations"] else free,
        "VDIs": refs(o["VDIs"]),
        "PBDs": refs(o["$PBDs"]),
        "virtual_allocation": o["usage"],
        "physical_utilisation": o["physical_usage"],
        "physical_size": o["size"],
        "type": o["SR_type"],
        "content_type": o["content_type"],
        "shared": o["shared"],
        "clustered": False,
        "is_tools_sr": False,
        "introduced_by": NULL,
    }


def sm(_tables: Tables, o: XoObject) -> Record:
    kept = {name for name in o["features"] if name != "VDI_SNAPSHOT" or o["SM_type"] not in NO_SNAPSHOT_TYPES}
    features = {name: version for name, version in o["features"].items() if name in kept}
    return {
        "type": o["SM_type"],
        "vendor": o["vendor"],
        "features": features,
        "capabilities": sorted(features),
        "configuration": o["configuration"],
        "driver_filename": o["driver_filename"],
        "required_cluster_stack": o["required_cluster_stack"],
        "supported_image_formats": o["supported_image_formats"],
    }


def vdi(tables: Tables, o: XoObject) -> Record:
    sr_object = tables.world.get("SR", o["$SR"])
    managed = o["type"] != "VDI-unmanaged"
    return {
        "virtual_size": o["size"],
        "physical_utilisation": o["usage"],
        "type": o["VDI_type"],
        "SR": ref_of(o["$SR"]),
        "VBDs": refs(o["$VBDs"]),
        "location": o["id"],
        "sharable": False,
        "read_only": not managed,
        "managed": managed,
        "missing": o["missing"],
        "on_boot": "persist",
        "allow_caching": False,
        "sm_config": _sm_config(tables, o, sr_object),
        "is_a_snapshot": o["type"] == "VDI-snapshot",
        "snapshot_of": link(o.get("$snapshot_of")),
        "snapshot_time": time_of(o.get("snapshot_time")),
        "snapshots": refs(o["snapshots"]),
        "parent": NULL,  # long out of use: the chain is in sm_config
        "crash_dumps": [],
        "metadata_of_pool": NULL,
        "is_tools_iso": False,
    }


def _sm_config(tables: Tables, o: XoObject, sr_object: XoObject) -> dict[str, str]:
    """What SM keeps with a disk: its parent, its format, the hosts it is attached on, and on LVM which blocks an inner
    node has (xapi-storage.md 1.1, 2 and 3.2)."""
    config: dict[str, str] = {}
    if "parent" in o:
        config["vhd-parent"] = o["parent"]
    if "image_format" in o:
        config["image-format"] = o["image_format"]
    if sr_object["SR_type"] in THICK_TYPES:
        config["vdi_type"] = "vhd"
        if o["type"] == "VDI-unmanaged":
            config["vhd-blocks"] = block_map(tables.world, o)
    for drive in tables.drives_of(o):
        owner = tables.world.objects.get("VM", {}).get(drive["VM"])
        if drive["attached"] and owner is not None and owner["power_state"] == "Running":
            config[f"host_{ref_of(owner['$container'])}"] = "RO" if drive["read_only"] else "RW"
    return config


def vbd(_tables: Tables, o: XoObject) -> Record:
    return {
        "VM": ref_of(o["VM"]),
        "VDI": link(o.get("VDI")),
        "device": o["device"] or "",
        "userdevice": o["position"],
        "bootable": o["bootable"],
        "mode": "RO" if o["read_only"] else "RW",
        "type": "CD" if o["is_cd_drive"] else "Disk",
        "unpluggable": True,
        "empty": "VDI" not in o,
        "currently_attached": o["attached"],
        "allowed_operations": [],
        "qos_algorithm_type": "",
        "qos_algorithm_params": {},
        "status_code": 0,
        "status_detail": "",
    }


def vusb(_tables: Tables, o: XoObject) -> Record:
    return {
        "VM": ref_of(o["vm"]),
        "USB_group": ref_of(o["usbGroup"]),
        "currently_attached": o["currentlyAttached"],
        "allowed_operations": [],
    }


def network(_tables: Tables, o: XoObject) -> Record:
    return {"bridge": o["bridge"], "MTU": o["MTU"], "VIFs": [], "PIFs": [], "purpose": [], "managed": True}


def task(_tables: Tables, o: XoObject) -> Record:
    return {
        "created": time_of(o["created"]),
        "finished": time_of(o["finished"]),
        "status": o["status"],
        "progress": float(o["progress"]),
        "result": o["result"],
        "type": "<none/>",
        "error_info": [],
        "backtrace": "()",
        "resident_on": link(o.get("$host")),
        "subtask_of": NULL,
        "subtasks": [],
        "allowed_operations": o["allowedOperations"],
        "other_config": {"applies_to": ref_of(o["applies_to"])} if "applies_to" in o else {},
    }


def message(tables: Tables, o: XoObject) -> Record:
    about = tables.kind_of(o["$object"])
    return {
        "name": o["name"],
        "body": o["body"],
        "timestamp": time_of(o["time"]),
        "cls": about,
        "obj_uuid": o["$object"],
        "priority": 3,
    }
