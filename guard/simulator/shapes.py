"""What XO's objects look like when nothing special has happened to them: the same keys and types as the real ones.

Every function returns one fresh dictionary. Sizes are bytes, times of pool objects are epoch seconds. Keys that XO
leaves out (a CD drive's ``VDI``, an ISO SR's ``allocationStrategy``) are left out here too.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from typing import Any

XoObject = dict[str, Any]

THICK_TYPES = frozenset({"lvm", "lvmoiscsi", "lvmohba", "lvmofcoe"})
"""SR types whose volumes take their whole size when created."""

THICK_IN_XO = (
    *("hba", "iscsi", "rawhba", "rawiscsi", "udev"),
    *("lvhd", "lvhdofcoe", "lvhdohba", "lvhdoiscsi"),
    *("ocfs", "ocfsohba", "ocfsoiscsi"),
)
ALLOCATION_STRATEGIES = {
    **dict.fromkeys((*THICK_TYPES, *THICK_IN_XO), "thick"),
    **dict.fromkeys(("ext", "file", "nfs", "shm", "smb", "xosan", "zfs"), "thin"),
    "linstor": "thin",  # XO reads it from the PBD's ``provisioning``
}
"""XO's table (packages/xo-server/src/xapi-object-to-xo.mjs); a type that is missing here has no strategy in XO."""

GIB = 1024**3


def pool(name: str) -> XoObject:
    return {
        "auto_poweron": False,
        "current_operations": {},
        "HA_enabled": False,
        "haRebootVmOnInternalShutdown": False,
        "haSrs": [],
        "tags": [],
        "name_description": "simulated pool",
        "name_label": name,
        "migrationCompression": False,
        "otherConfig": {},
        "cpus": {"cores": 0, "sockets": 0},
        "zstdSupported": True,
        "vtpmSupported": True,
        "platform_version": "3.4.0",
    }


def host(name: str, address: str, control_domain: str, started: int) -> XoObject:
    return {
        "CPUs": {
            "cpu_count": "16",
            "socket_count": "2",
            "vendor": "GenuineIntel",
            "modelname": "Intel(R) Xeon(R) Silver 4110",
            "speed": "2100.000",
            "threads_per_core": "2",
        },
        "address": address,
        "bios_strings": {"system-manufacturer": "Simulated"},
        "build": "cloud",
        "chipset_info": {"iommu": True},
        "enabled": True,
        "controlDomain": control_domain,
        "cpus": {"cores": 16, "sockets": 2},
        "current_operations": {},
        "hostname": name,
        "iscsiIqn": f"iqn.2024-01.example:{name}",
        "zstdSupported": True,
        "license_params": {"restrict_zstd_export": "false", "expiry": "20991231T23:59:59Z", "sku_type": "xcp-ng"},
        "license_server": {},
        "license_expiry": 4102444799,
        "logging": {},
        "name_description": "",
        "name_label": name,
        "memory": {"usage": 24 * GIB, "size": 64 * GIB},
        "multipathing": False,
        "otherConfig": {"boot_time": str(started), "agent_start_time": str(started + 60)},
        "patches": [],
        "powerOnMode": "",
        "power_state": "Running",
        "residentVms": [control_domain],
        "startTime": started,
        "supplementalPacks": [],
        "agentStartTime": started + 60,
        "rebootRequired": False,
        "tags": [],
        "version": "8.3.0",
        "productBrand": "XCP-ng",
        "hvmCapable": True,
        "certificates": [],
        "PIFs": [],
        "$PIFs": [],
        "PCIs": [],
        "$PCIs": [],
        "PGPUs": [],
        "$PGPUs": [],
        "$PBDs": [],
    }


def network(name: str) -> XoObject:
    return {
        "automatic": False,
        "bridge": "xenbr0",
        "current_operations": {},
        "defaultIsLocked": False,
        "MTU": 1500,
        "name_description": "",
        "name_label": name,
        "other_config": {},
        "tags": [],
        "PIFs": [],
        "VIFs": [],
        "nbd": False,
        "insecureNbd": False,
        "isBonded": False,
    }


def sm(sr_type: str) -> XoObject:
    names = {"lvm": "Local LVM", "ext": "Local EXT3"}
    return {
        "name_description": "SR plugin",
        "name_label": names.get(sr_type, sr_type.upper()),
        "SM_type": sr_type,
        "configuration": {},
        "vendor": "Citrix Systems Inc",
        "features": {"VDI_SNAPSHOT": 1},
        "driver_filename": f"/opt/xensource/sm/{sr_type.upper()}SR",
        "required_cluster_stack": [],
        "supported_image_formats": [],
    }


def sr(name: str, sr_type: str, size: int, *, shared: bool, container: str) -> XoObject:
    """``container``: the pool's id of a shared SR, the host's id of a local one."""
    shape: XoObject = {
        "content_type": "iso" if sr_type == "iso" else "user",
        "physical_usage": 0,
        "current_operations": {},
        "inMaintenanceMode": False,
        "name_description": "",
        "name_label": name,
        "size": size,
        "shared": shared,
        "SR_type": sr_type,
        "tags": [],
        "usage": 0,
        "VDIs": [],
        "other_config": {},
        "sm_config": {},
        "$container": container,
        "$PBDs": [],
    }
    if sr_type in ALLOCATION_STRATEGIES:
        shape["allocationStrategy"] = ALLOCATION_STRATEGIES[sr_type]
    return shape


def pbd(sr_id: str, host_id: str, sr_type: str) -> XoObject:
    config = {"device": "/dev/disk/by-id/scsi-simulated"}
    return {
        "attached": True,
        "host": host_id,
        "SR": sr_id,
        "device_config": {"provisioning": "thin"} if sr_type == "linstor" else config,
        "otherConfig": {},
    }


def vm(name: str, power_state: str, host_id: str, pool_id: str, memory: int, started: int) -> XoObject:
    """A VM as XO shows it; a running one has its guest tools' findings too.

    XO puts a VM that is on no host into its pool (until it has a disk on a local SR).
    """
    shape: XoObject = {
        "addresses": {},
        "affinityHost": host_id,
        "auto_poweron": False,
        "bios_strings": {},
        "blockedOperations": {},
        "boot": {"order": "cd", "firmware": "bios"},
        "CPUs": {"max": 2, "number": 2},
        "current_operations": {},
        "expNestedHvm": False,
        "isNestedVirtEnabled": False,
        "vulnerabilities": {"xsa468": False},
        "viridian": True,
        "high_availability": "",
        "isFirmwareSupported": True,
        "memory": {"dynamic": [memory, memory], "static": [memory, memory], "size": memory},
        "installTime": started,
        "name_description": "",
        "name_label": name,
        "needsVtpm": False,
        "other": {},
        "os_version": None,
        "power_state": power_state,
        "hasVendorDevice": False,
        "snapshots": [],
        "startDelay": 0,
        "startTime": started,
        "secureBoot": False,
        "tags": [],
        "VIFs": [],
        "VTPMs": [],
        "virtualizationMode": "hvm",
        "$container": pool_id if power_state == "Halted" else host_id,
        "$VBDs": [],
        "VGPUs": [],
        "$VGPUs": [],
        "xenStoreData": {},
        "vga": "cirrus",
        "videoram": 4,
        "coresPerSocket": 2,
    }
    if power_state == "Running":
        shape |= {
            "addresses": {"0/ipv4/0": "192.0.2.10"},
            "mainIpAddress": "192.0.2.10",
            "os_version": {"name": "Debian GNU/Linux 12", "distro": "debian", "uname": "6.1.0"},
            "xenTools": {"major": 7, "minor": 30, "version": 7.3},
            "managementAgentDetected": True,
            "pvDriversDetected": True,
            "pvDriversVersion": "7.30.0-12",
            "pvDriversUpToDate": True,
        }
    return shape


def vm_snapshot(of: XoObject, name: str, at: int) -> XoObject:
    """The snapshot of a VM: halted, without the tools' findings and without an id of its own yet."""
    guest_keys = {
        "mainIpAddress",
        "xenTools",
        "managementAgentDetected",
        "pvDriversDetected",
        "pvDriversVersion",
        "pvDriversUpToDate",
        "vulnerabilities",
        "id",
        "uuid",
        "type",
        "_xapiRef",
    }
    shape = {key: value for key, value in of.items() if key not in guest_keys}
    return shape | {
        "addresses": {},
        "blockedOperations": {},
        "current_operations": {},
        "installTime": None,
        "startTime": None,
        "name_label": name,
        "os_version": None,
        "other": {},
        "power_state": "Halted",
        "snapshots": [],
        "tags": list(of["tags"]),
        "$VBDs": [],
        "snapshot_time": at,
        "$snapshot_of": of["id"],
    }


def vbd(vm_id: str, position: int, *, attached: bool, cd_drive: bool = False, vdi_id: str | None = None) -> XoObject:
    """``vdi_id`` None is an empty drive."""
    shape: XoObject = {
        "attached": attached,
        "bootable": position == 0,
        "device": "xvd" + "abcdefghijklmnopqrstuvwxyz"[position % 26],
        "is_cd_drive": cd_drive,
        "position": str(position),
        "read_only": cd_drive,
        "VM": vm_id,
    }
    if vdi_id is not None:
        shape["VDI"] = vdi_id
    return shape


def vdi(name: str, sr_id: str, size: int, usage: int) -> XoObject:
    """Any kind of VDI: managed, snapshot or base copy, without its links."""
    return {
        "cbt_enabled": False,
        "missing": False,
        "name_description": "",
        "name_label": name,
        "size": size,
        "snapshots": [],
        "tags": [],
        "usage": usage,
        "VDI_type": "user",
        "current_operations": {},
        "other_config": {},
        "$SR": sr_id,
        "$VBDs": [],
    }


def archive(
    repository_id: str,
    vm_id: str,
    at: datetime,
    *,
    job_id: str,
    schedule_id: str,
    mode: str,
    size: int,
    disks: Iterable[str] = (),
    immutable: bool = False,
) -> XoObject:
    """A backup as XO lists it (backups/formatVmBackups). ``disks``: uuids of the VDIs it was made from, none for a full one."""
    folder = f"/xo-vm-backups/{vm_id}"
    name = at.strftime("%Y%m%dT%H%M%SZ")
    whole = mode == "full"
    uuids = () if whole else tuple(disks)
    return {
        "type": "xo-vm-backup",
        "backupRepository": repository_id,
        "disks": [
            {"id": f"{folder}/vdis/{job_id}/{uuid}/{name}.vhd", "name": f"disk of {vm_id}", "uuid": uuid}
            for uuid in uuids
        ],
        "id": f"{repository_id}{folder}/{name}.json",
        "isImmutable": immutable,
        "jobId": job_id,
        "mode": mode,
        "scheduleId": schedule_id,
        "size": size,
        "timestamp": round(at.timestamp() * 1000),
        "vm": {"uuid": vm_id, "name_description": "", "name_label": f"name of {vm_id}", "tags": []},
        "tags": [],
        **({} if whole else {"differencingVhds": 0, "dynamicVhds": len(uuids)}),
        "withMemory": False,
    }
