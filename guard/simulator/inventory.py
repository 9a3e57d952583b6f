"""The pool side of the world: what XAPI would tell XO about pools, hosts, SRs and VMs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from datetime import datetime
from uuid import NAMESPACE_OID, uuid5

from guard.simulator import shapes
from guard.simulator.shapes import GIB, XoObject


class Inventory:
    """Objects by type and id, in XO's shape, and the builders that add them.

    ``now`` is the world's clock. Builders take the dictionaries that other builders returned.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now
        self.objects: dict[str, dict[str, XoObject]] = {}
        self.servers: dict[str, XoObject] = {}
        self._names_used: dict[str, int] = {}
        self._hidden_pools: set[str] = set()
        self._pool_of_server: dict[str, str] = {}  # kept while XO has lost the pool
        self._usage_given: set[str] = set()  # SRs whose physical usage already counts the disks that are added
        self.on_vdi_deleted: Callable[[XoObject], None] = lambda _sr: None  # SM starts its collector then
        self._written: dict[str, int] = {}  # VDI id -> bytes its guest wrote to a thick leaf; absent: all of it

    # --- identity and clock

    def new_id(self, kind: str, *names: object) -> str:
        """A version 5 UUID of the names: the same world has the same ids every time."""
        key = "/".join([kind, *map(str, names)])
        count = self._names_used.get(key, 0)
        self._names_used[key] = count + 1
        return str(uuid5(NAMESPACE_OID, f"{key}#{count}" if count else key))

    def seconds(self, at: datetime | None = None) -> int:
        return int((at or self.now()).timestamp())

    def milliseconds(self, at: datetime | None = None) -> int:
        return round((at or self.now()).timestamp() * 1000)

    # --- objects

    def add_object(self, kind: str, pool_id: str, shape: XoObject, *names: object, id: str | None = None) -> XoObject:  # noqa: A002 - XO's own word
        """Put a pool object into the world: gives it id, uuid, type, pool and XAPI reference."""
        identity = id or self.new_id(kind, pool_id, *names)
        shape |= {
            "id": identity,
            "type": kind,
            "uuid": identity,
            "$pool": pool_id,
            "$poolId": pool_id,
            "_xapiRef": f"OpaqueRef:{uuid5(NAMESPACE_OID, identity)}",
        }
        self.objects.setdefault(kind, {})[identity] = shape
        return shape

    def remove_object(self, found: XoObject) -> None:
        del self.objects[found["type"]][found["id"]]

    def get(self, kind: str, identity: str) -> XoObject:
        """The object as it is, connected or not. Raises KeyError."""
        return self.objects[kind][identity]

    def visible(self, kind: str) -> list[XoObject]:
        """What XO shows of one type: nothing of a pool it is not connected to."""
        found = self.objects.get(kind, {}).values()
        if not self._hidden_pools:
            return list(found)
        return [item for item in found if item["$pool"] not in self._hidden_pools]

    def visible_of_all_types(self) -> Iterable[XoObject]:
        for kind in self.objects:
            yield from self.visible(kind)

    def find(self, kind: str, identity: str) -> XoObject | None:
        found = self.objects.get(kind, {}).get(identity)
        return None if found is None or found["$pool"] in self._hidden_pools else found

    # --- pools, servers and hosts

    def add_pool(self, name: str, connected: bool = True) -> XoObject:
        """A pool, the server entry XO reaches it by (``server_of``), and its first network."""
        identity = self.new_id("pool", name)
        pool = self.add_object("pool", identity, shapes.pool(name), id=identity)
        server: XoObject = {
            "host": f"{name}.example",
            "label": name,
            "username": "root",
            "poolNameDescription": pool["name_description"],
            "poolNameLabel": name,
            "poolMembersAddresses": [],
            "enabled": True,
            "allowUnauthorized": False,
            "readOnly": False,
            "id": self.new_id("server", name),
        }
        self.servers[server["id"]] = server
        self._pool_of_server[server["id"]] = identity
        self.add_object("network", identity, shapes.network("Pool-wide network associated with eth0"), name)
        self.connect(server) if connected else self.disconnect(server)
        return pool

    def server_of(self, pool: XoObject) -> XoObject:
        return next(server for server in self.servers.values() if self._pool_of_server[server["id"]] == pool["id"])

    def pool_of(self, server: XoObject) -> str:
        """The id of the pool behind a server, connected or not."""
        return self._pool_of_server[server["id"]]

    def connect(self, server: XoObject, *, objects: bool = True) -> None:
        """XO reaches the pool: all its objects are there again, or will be with the first events (``objects`` False)."""
        pool = self.get("pool", self._pool_of_server[server["id"]])
        server.pop("error", None)
        server |= {"enabled": True, "status": "connected", "poolId": pool["id"]}
        if "master" in pool:
            server["master"] = pool["master"]
        if objects:
            self._hidden_pools.discard(pool["id"])

    def disconnect(
        self, server: XoObject, status: str = "disconnected", enabled: bool = True, error: object = None
    ) -> None:
        """XO loses the pool: ``poolId`` goes and every object of the pool vanishes from all lists.

        ``status``: disconnected or connecting. ``error``: the object XO keeps of the last failure.
        """
        server |= {"status": status, "enabled": enabled}
        for key in ("poolId", "master"):
            server.pop(key, None)
        if error is not None:
            server["error"] = error
        self._hidden_pools.add(self._pool_of_server[server["id"]])

    def add_host(self, pool: XoObject, name: str, power_state: str = "Running", enabled: bool = True) -> XoObject:
        """A host; the first of a pool is its master. It is plugged into the pool's shared SRs."""
        address = f"192.0.2.{len(self.objects.get('host', {})) % 250 + 1}"
        dom0 = self.new_id("VM-controller", pool["id"], name)
        host = self.add_object("host", pool["id"], shapes.host(name, address, dom0, self.seconds() - 86400 * 30), name)
        host |= {"power_state": power_state, "enabled": enabled}
        pool["cpus"] = {"cores": pool["cpus"]["cores"] + 16, "sockets": pool["cpus"]["sockets"] + 2}
        server = self.server_of(pool)
        server["poolMembersAddresses"].append(address)
        if "master" not in pool:
            pool["master"] = host["id"]
            if server["status"] == "connected":
                server["master"] = host["id"]
        for sr in self.objects.get("SR", {}).values():
            if sr["$pool"] == pool["id"] and sr["shared"]:
                self._plug(sr, host)
        return host

    def hosts_of(self, pool: XoObject) -> list[XoObject]:
        return [host for host in self.objects.get("host", {}).values() if host["$pool"] == pool["id"]]

    # --- storage repositories

    def add_sr(
        self,
        pool: XoObject,
        name: str,
        SR_type: str = "lvm",  # noqa: N803 - XO's own word
        size: int = 1000 * GIB,
        physical_usage: int | None = None,
        shared: bool | None = None,
        host: XoObject | None = None,
    ) -> XoObject:
        """A storage repository with its PBDs, all attached.

        ``physical_usage`` given: what XO reports now, disks that are added later are taken to be part of it.
        None: grows with every disk. ``shared`` None: as usual for the type. ``host``: where a local SR is.
        """
        if shared is None:
            shared = SR_type in {"nfs", "smb", "iso", "lvmoiscsi", "lvmohba", "lvmofcoe", "linstor", "cephfs"}
        hosts = self.hosts_of(pool) or [self.add_host(pool, f"{pool['name_label']}-host-1")]
        members = hosts if shared else [host or hosts[0]]
        container = pool["id"] if shared else members[0]["id"]
        sr = self.add_object("SR", pool["id"], shapes.sr(name, SR_type, size, shared=shared, container=container), name)
        if physical_usage is not None:
            sr["physical_usage"] = physical_usage
            self._usage_given.add(sr["id"])
        drivers = {sm["SM_type"] for sm in self.objects.get("SM", {}).values() if sm["$pool"] == pool["id"]}
        if SR_type not in drivers:
            self.add_object("SM", pool["id"], shapes.sm(SR_type), SR_type)
        for member in members:
            self._plug(sr, member)
        for role in ("default_SR", "suspendSr", "crashDumpSr"):
            if SR_type != "iso":
                pool.setdefault(role, sr["id"])
        return sr

    def _plug(self, sr: XoObject, host: XoObject) -> XoObject:
        shape = shapes.pbd(sr["id"], host["id"], sr["SR_type"])
        pbd = self.add_object("PBD", sr["$pool"], shape, sr["name_label"], host["name_label"])
        sr["$PBDs"].append(pbd["id"])
        host["$PBDs"].append(pbd["id"])
        return pbd

    def unplug(self, sr: XoObject, host: XoObject | None = None) -> None:
        """Detach the SR from one host, or from all."""
        for identity in sr["$PBDs"]:
            pbd = self.get("PBD", identity)
            if host is None or pbd["host"] == host["id"]:
                pbd["attached"] = False

    # --- VMs

    def add_vm(
        self,
        pool: XoObject,
        name: str,
        tags: Iterable[str] = (),
        power_state: str = "Running",
        host: XoObject | None = None,
        memory: int = 2 * GIB,
        **properties: object,
    ) -> XoObject:
        """A VM without disks. ``host``: where it runs, the pool's master unless told. ``properties``: any XO key."""
        hosts = self.hosts_of(pool) or [self.add_host(pool, f"{pool['name_label']}-host-1")]
        home = host or hosts[0]
        started = self.seconds() - 86400
        shape = shapes.vm(name, power_state, home["id"], pool["id"], memory, started)
        vm = self.add_object("VM", pool["id"], shape, name)
        vm["tags"] = list(tags)
        vm |= properties
        if power_state == "Running":
            home["residentVms"].append(vm["id"])
        return vm

    def add_cd(self, vm: XoObject, vdi: XoObject | None = None) -> XoObject:
        """A CD drive, empty unless a VDI is given. Returns the VBD."""
        return self._add_vbd(vm, vdi, 3, cd_drive=True)

    def _add_vbd(self, vm: XoObject, vdi: XoObject | None, position: int, *, cd_drive: bool = False) -> XoObject:
        attached = vm["power_state"] == "Running" and not (cd_drive and vdi is None)
        inside = None if vdi is None else vdi["id"]
        shape = shapes.vbd(vm["id"], position, attached=attached, cd_drive=cd_drive, vdi_id=inside)
        vbd = self.add_object("VBD", vm["$pool"], shape, vm["id"], position)
        vm["$VBDs"].append(vbd["id"])
        if vdi is not None:
            vdi["$VBDs"].append(vbd["id"])
        return vbd

    def add_vusb(self, vm: XoObject, attached: bool = True) -> XoObject:
        """A USB device passed through to the VM."""
        shape = {"vm": vm["id"], "currentlyAttached": attached, "usbGroup": self.new_id("USB_group", vm["id"])}
        return self.add_object("VUSB", vm["$pool"], shape, vm["id"])

    # --- XAPI tasks and messages

    def add_xapi_task(
        self, pool: XoObject, name_label: str, applies_to: XoObject | None = None, progress: float = 0.5
    ) -> XoObject:
        """A task of XAPI, e.g. ``Garbage Collection`` of an SR."""
        shape: XoObject = {
            "allowedOperations": [],
            "created": self.seconds(),
            "current_operations": {},
            "finished": None,
            "name_description": "",
            "name_label": name_label,
            "progress": progress,
            "result": "",
            "status": "pending",
            "$host": pool.get("master"),
        }
        if applies_to is not None:
            shape["applies_to"] = applies_to["id"]
        task = self.add_object("task", pool["id"], shape, name_label, self.seconds())
        task["xapiRef"] = task["_xapiRef"]
        return task

    def add_message(self, about: XoObject, name: str, body: str = "") -> XoObject:
        """A message of XAPI about one object."""
        shape = {"body": body, "name": name, "time": self.seconds(), "$object": about["id"]}
        return self.add_object("message", about["$pool"], shape, about["id"], name)
