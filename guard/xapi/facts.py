"""One reading of one pool, in a bounded number of calls: what matters most first, figures of load last.

Nine calls for any pool; two per hundred VMs asked about, and one more for each of them; one per SR that holds their disks; four
per host, and one per SR and host, of which there are at most ``MAX_FIGURES``. What a pool's version does not know,
or the user's role may not see, leaves that fact out and goes on. All of it may be asked by the role read-only.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from datetime import datetime
from typing import Any, Protocol

import msgspec
from msgspec import UNSET, UnsetType

from guard.errors import PoolAnswerError, PoolError, PoolUnreachableError
from guard.estate.xapi_records import (
    Dom0Vbd,
    GcTask,
    HostFacts,
    PoolFacts,
    PoolMessage,
    Refusal,
    SrFacts,
    VdiFacts,
    VmFacts,
)
from guard.xapi import queries, shapes
from guard.xapi.shapes import Row

MAX_FIGURES = 400
"""Calls for figures of load in one reading."""
MAX_MESSAGES = 100
MAX_TROUBLES = 2
"""Calls that may run into their time limit, or give no answer of XAPI, before the reading ends: a pool that hangs is not asked
for long.
"""
_KIB = 1024
_ORACLE = "VM.assert_operation_valid"
_NOT_ABOUT_THE_VM = frozenset(
    {
        *("MESSAGE_METHOD_UNKNOWN", "MESSAGE_PARAMETER_COUNT_MISMATCH", "INTERNAL_ERROR", "HANDLE_INVALID"),
        *("TOO_MANY_PENDING_TASKS", "HOST_STILL_BOOTING", "SESSION_INVALID", "HOST_IS_SLAVE"),
    }
)
"""Errors with which XAPI says nothing of the VM asked about."""
_SESSION_GONE = frozenset({"SESSION_INVALID", "HOST_IS_SLAVE"})
_FOR_GOOD = frozenset({"MESSAGE_METHOD_UNKNOWN", "RBAC_PERMISSION_DENIED"})
"""Errors after which a method is not called again."""
_LATENCY = "latency of SRs"


class Session(Protocol):
    """What a reading needs of ``PoolSession``."""

    def call(self, method: str, *params: str) -> Any: ...  # noqa: ANN401  any value of XAPI

    @property
    def time_is_up(self) -> bool: ...


class _EndedError(Exception):
    """The pool tells no more; what it told so far stands."""


def read_facts(
    session: Session,
    *,
    label: str,
    address: str,
    read_at: datetime,
    ask_vms: Collection[str] = (),
    ask_srs: Collection[str] = (),
) -> PoolFacts:
    """``ask_vms``: uuids of the VMs whose snapshot is in question; those of other pools do no harm. ``ask_srs``: uuids of SRs
    whose disks are wanted besides, such as targets of replication.

    Raises PoolError where the pool did not even say which one it is.
    """
    found = shapes.rows(session.call("pool.get_all_records"))
    if not found:
        raise PoolAnswerError(
            f"Pool {label} ({address}) says that it has no pool record; is it a host that just left one?"
        )
    (pool, *_) = found.values()
    reading = _Reading(session)
    reading.everything(ask_vms, ask_srs)
    return PoolFacts(
        label=label,
        address=address,
        read_at=read_at,
        answered=True,
        pool_id=pool["uuid"],
        master=reading.host_ids.get(shapes.ref(pool, "master"), UNSET),
        restrictions=shapes.texts(pool.get("restrictions")),
        hosts=reading.hosts,
        srs=reading.srs,
        vms=reading.vms,
        vdis=reading.vdis,
        messages=reading.messages,
        gaps=tuple(f"{what}: {why}" for what, why in reading.gaps.items()),
    )


class _Reading:
    def __init__(self, session: Session) -> None:
        self._session = session
        self._troubles = 0
        self._figures = 0
        self._refused: dict[str, str] = {}
        """Methods that are not called again -> why."""
        self.gaps: dict[str, str] = {}
        self.hosts: dict[str, HostFacts] = {}
        self.srs: dict[str, SrFacts] = {}
        self.vms: dict[str, VmFacts] = {}
        self.vdis: dict[str, VdiFacts] = {}
        self.messages: tuple[PoolMessage, ...] | UnsetType = UNSET
        self.host_ids: dict[str, str] = {}
        """Reference -> uuid, as the next two."""
        self._sr_ids: dict[str, str] = {}
        self._vm_ids: dict[str, str] = {}
        self._sr_of_disk: dict[str, str] = {}
        """References of disks -> of their SRs."""
        self._dom0s: dict[str, tuple[str, Row]] = {}
        """References of hosts -> reference and record of their control domains."""

    def everything(self, ask_vms: Collection[str], ask_srs: Collection[str]) -> None:
        try:
            self._read_hosts()
            self._read_srs()
            self._read_messages()
            self._read_vms(ask_vms)
            self._ask_oracle()
            disks = self._disks_of_vms()
            wanted = {self._sr_of_disk[disk] for disk in disks if disk in self._sr_of_disk}
            wanted |= {sr for sr, uuid in self._sr_ids.items() if uuid in set(ask_srs)}
            self._read_disks(wanted)
            self._read_load(wanted)
        except _EndedError:
            self.gaps["what comes after it"] = "the reading ended there"

    # --- asking

    def _ask(self, what: str, method: str, *params: str) -> Any:  # noqa: ANN401  any value of XAPI
        """The answer; None where there is none, which is noted. Raises _EndedError."""
        if method in self._refused:
            self.gaps.setdefault(what, self._refused[method])
            return None
        try:
            return self._session.call(method, *params)
        except PoolError as error:
            if what != _LATENCY or not _is_about_one_figure(error):
                self._note(what, method, error)
            return None

    def _note(self, what: str, method: str, error: PoolError) -> None:
        self.gaps.setdefault(what, str(error))
        code = error.details[0] if error.details else ""
        if code in _FOR_GOOD:
            self._refused[method] = str(error)
        self._troubles += not code
        if (
            isinstance(error, PoolUnreachableError)
            or code in _SESSION_GONE
            or self._troubles >= MAX_TROUBLES
            or self._session.time_is_up
        ):
            raise _EndedError

    def _table(self, what: str, method: str, *params: str) -> dict[str, Row] | None:
        answer = self._ask(what, method, *params)
        return None if answer is None else shapes.rows(answer)

    # --- hosts and SRs

    def _read_hosts(self) -> None:
        hosts = self._table("hosts", "host.get_all_records") or {}
        self.host_ids = shapes.uuids(hosts)
        metrics = self._table("hosts that are live", "host_metrics.get_all_records") or {}
        domains = self._table("control domains", "VM.get_all_records_where", queries.CONTROL_DOMAINS) or {}
        at_home = {shapes.ref(row, "resident_on"): domain for domain, row in domains.items()}
        for ref, row in hosts.items():
            domain = shapes.ref(row, "control_domain")
            domain = domain if domain in domains else at_home.get(ref, "")
            if domain:
                self._dom0s[ref] = domain, domains[domain]
            live = metrics.get(shapes.ref(row, "metrics"), {})
            self.hosts[row["uuid"]] = shapes.host_facts(row, live, domains.get(domain, {}))

    def _read_srs(self) -> None:
        srs = self._table("SRs", "SR.get_all_records") or {}
        self._sr_ids = shapes.uuids(srs)
        tasks = self._table("garbage collection at work", "task.get_all_records_where", queries.COLLECTIONS)
        at_work: dict[str, list[GcTask]] = {}
        for task in (tasks or {}).values():
            at_work.setdefault(shapes.sr_of_task(task, self._sr_ids), []).append(shapes.gc_task(task))
        for ref, row in srs.items():
            own = tuple(at_work.get(row["uuid"], ()))
            self.srs[row["uuid"]] = shapes.sr_facts(row, UNSET if tasks is None else own)
            disks = row.get("VDIs")
            self._sr_of_disk |= {str(disk): ref for disk in disks} if isinstance(disks, list) else {}

    def _read_messages(self) -> None:
        found = self._table("messages", "message.get_all_records_where", queries.any_of("name", queries.MESSAGES))
        if found is not None:
            told = sorted(map(shapes.message, found.values()), key=_when, reverse=True)
            self.messages = tuple(told[:MAX_MESSAGES])

    # --- VMs

    def _read_vms(self, wanted: Collection[str]) -> None:
        for some in queries.at_a_time(wanted):
            found = self._table("VMs", "VM.get_all_records_where", queries.any_of("uuid", some)) or {}
            self._vm_ids |= shapes.uuids(found)
            self.vms |= {row["uuid"]: shapes.vm_facts(row) for row in found.values()}

    def _disks_of_vms(self) -> set[str]:
        """References."""
        disks = set()
        for some in queries.at_a_time(self._vm_ids):
            found = self._table("disks of the VMs", "VBD.get_all_records_where", queries.disks_of(some)) or {}
            disks |= {shapes.ref(row, "VDI") for row in found.values()}
        return disks

    def _ask_oracle(self) -> None:
        """Those first whose record has no snapshot among what is allowed: the time may not be enough for all."""
        names = self.host_ids | self._sr_ids | self._vm_ids

        def allowed(vm: str) -> bool:
            return "snapshot" in (self.vms[self._vm_ids[vm]].allowed_operations or ())

        for ref in sorted(self._vm_ids, key=allowed):
            if _ORACLE in self._refused:
                return
            try:
                self._session.call(_ORACLE, ref, "snapshot")
                refusal = None
            except PoolAnswerError as error:
                code, *params = error.details or ("INTERNAL_ERROR",)
                if code in _NOT_ABOUT_THE_VM:
                    self._note("whether VMs can be snapshotted", _ORACLE, error)
                    continue
                refusal = Refusal(code=code, params=tuple(names.get(one, one) for one in params))
            except PoolError as error:
                self._note("whether VMs can be snapshotted", _ORACLE, error)
                continue
            uuid = self._vm_ids[ref]
            self.vms[uuid] = msgspec.structs.replace(self.vms[uuid], refusal=refusal)

    # --- disks

    def _read_disks(self, srs: Collection[str]) -> None:
        held = self._held_in_dom0()
        for sr in sorted(srs):
            name = self.srs[self._sr_ids[sr]].name
            found = self._table(f"disks of SR {name}", "VDI.get_all_records_where", queries.any_of("SR", (sr,))) or {}
            maps = shapes.block_maps(found.values())
            for ref, row in found.items():
                drives = UNSET if held is None else tuple(held.get(ref, ()))
                self.vdis[row["uuid"]] = shapes.vdi_facts(row, self._sr_ids[sr], self.host_ids, maps, drives)

    def _held_in_dom0(self) -> dict[str, list[Dom0Vbd]] | None:
        """References of disks -> attached VBDs of control domains; None where that is not known."""
        host_of = {domain: self.host_ids[host] for host, (domain, _) in self._dom0s.items()}
        if not host_of:
            return None
        found: dict[str, list[Dom0Vbd]] = {}
        for some in queries.at_a_time(host_of):
            what = "disks held in control domains"
            drives = self._table(what, "VBD.get_all_records_where", queries.attached_drives_of(some))
            if drives is None:
                return None
            for row in drives.values():
                host = host_of.get(shapes.ref(row, "VM"))
                if host is not None:
                    found.setdefault(shapes.ref(row, "VDI"), []).append(Dom0Vbd(id=row["uuid"], host=host))
        return found

    # --- load

    def _read_load(self, srs: Collection[str]) -> None:
        live = {ref for ref, uuid in self.host_ids.items() if self.hosts[uuid].live is not False}
        hung = {ref for ref in sorted(live) if not self._read_load_of(ref)}
        for some in queries.at_a_time(srs):
            pbds = self._table("hosts of SRs", "PBD.get_all_records_where", queries.plugged_into(some)) or {}
            for row in pbds.values():
                host, sr = shapes.ref(row, "host"), self._sr_ids.get(shapes.ref(row, "SR"))
                if host in live - hung and sr is not None:
                    self._read_latency_of(sr, host)

    def _read_load_of(self, host: str) -> bool:
        """Whether the host answered: the master passes such calls on, and waits for a host that hangs."""
        domain, row = self._dom0s.get(host, ("", {}))
        asked: list[tuple[str, Callable[[Any], Any], str, tuple[str, str]]] = [
            ("loadavg", shapes.real, "host.query_data_source", (host, "loadavg")),
            ("tapdisks_low_on_memory", shapes.whole, "host.query_data_source", (host, "Tapdisks_in_low_memory_mode")),
        ]
        if domain:
            free = (domain, "memory_internal_free")
            asked.append(("dom0_memory_free_bytes", _from_kib, "VM.query_data_source", free))
        found: dict[str, Any] = {}
        troubles = self._troubles
        for field, read, method, params in asked:
            found[field] = read(self._figure(field, method, *params))
            if self._troubles > troubles:
                return False
        metrics = shapes.ref(row, "metrics")
        if metrics:
            total = self._figure("dom0_memory_total_bytes", "VM_metrics.get_memory_actual", metrics)
            found["dom0_memory_total_bytes"] = shapes.whole(total)
        uuid = self.host_ids[host]
        self.hosts[uuid] = msgspec.structs.replace(self.hosts[uuid], **found)
        return True

    def _read_latency_of(self, sr: str, host: str) -> None:
        latency = shapes.real(self._figure(_LATENCY, "host.query_data_source", host, f"latency_{sr[:8]}"))
        if latency is not UNSET:
            known = self.srs[sr]
            told = {**known.latency_us, self.host_ids[host]: latency}
            self.srs[sr] = msgspec.structs.replace(known, latency_us=told)

    def _figure(self, what: str, method: str, *params: str) -> Any:  # noqa: ANN401  any value of XAPI
        self._figures += 1
        if self._figures > MAX_FIGURES:
            self.gaps["more figures of load"] = f"a reading asks for at most {MAX_FIGURES}"
            return None
        return self._ask(what, method, *params)


def _from_kib(value: object) -> int | UnsetType:
    number = shapes.real(value)
    return UNSET if number is UNSET else int(number * _KIB)


def _is_about_one_figure(error: PoolError) -> bool:
    """A host without such a data source: usual for the latency of an SR on which no disk is at work there."""
    return bool(error.details) and error.details[0] not in _FOR_GOOD | _SESSION_GONE


def _when(message: PoolMessage) -> float:
    return message.at.timestamp() if isinstance(message.at, datetime) else 0.0
