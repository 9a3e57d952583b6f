"""What leaves a pool: VHD streams, whole and differencing, raw disks, VMs as archives; and how they break."""

from __future__ import annotations

import io
import struct
import tarfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import pairwise

import httpx
import pytest
from guard.simulator.vhd import geometry
from guard.simulator.vm_snapshots import bytes_to_move
from guard.simulator.world import GIB, World, XoObject
from guard.simulator.xapi import Fault, XapiFace
from tests.simulator.worlds import NOW
from tests.simulator.xapi_ways import Client, asked, face_of, on_socket, ref

MIB = 1024**2
BLOCK = 2 * MIB


@dataclass
class Vhd:
    """A VHD stream taken apart by the published format, by a reader that knows nothing of the writer."""

    kind: int
    size: int
    uuid: bytes
    parent: bytes
    blocks: dict[int, bytes]


def checksum_holds(part: bytes, place: int) -> bool:
    (told,) = struct.unpack_from(">I", part, place)
    return told == ~(sum(part) - sum(part[place : place + 4])) & 0xFFFFFFFF


def read_vhd(body: bytes) -> Vhd:
    footer, header = body[:512], body[512:1536]
    assert (footer[:8], header[:8]) == (b"conectix", b"cxsparse")
    assert body[-512:] == footer, "the copy at the end"
    assert checksum_holds(footer, 64)
    assert checksum_holds(header, 36)
    (size,) = struct.unpack_from(">Q", footer, 48)
    table_offset, _version, entries, block_size = struct.unpack_from(">QIII", header, 16)
    assert block_size == BLOCK
    table = struct.unpack_from(f">{entries}I", body, table_offset)
    blocks = {}
    for index, sector in enumerate(table):
        if sector != 0xFFFFFFFF:
            assert body[sector * 512 : sector * 512 + 512] == b"\xff" * 512, "every sector of the block is there"
            blocks[index] = body[sector * 512 + 512 : sector * 512 + 512 + BLOCK]
    end = table_offset + -(-entries * 4 // 512) * 512 + len(blocks) * (512 + BLOCK) + 512
    assert len(body) == end
    (kind,) = struct.unpack_from(">I", footer, 60)
    return Vhd(kind, size, footer[68:84], header[40:56], blocks)


@dataclass
class Lab:
    world: World
    vm: XoObject
    disk: XoObject
    face: XapiFace

    def snapshot(self) -> XoObject:
        (frozen,) = self.world.disks_of(self.world.snapshot(self.vm))
        return frozen


def lab(sr_type: str = "lvm", size: int = 16 * MIB, data: int = 8 * MIB) -> Lab:
    world = World(lambda: NOW)
    pool = world.add_pool("paris")
    sr = world.add_sr(pool, "local", sr_type, size=100 * GIB)
    vm = world.add_vm(pool, "web")
    disk = world.add_disk(vm, sr, size, usage=None if sr_type == "lvm" else data + 256 * 1024, data=data)
    return Lab(world, vm, disk, face_of(world))


def exported(face: XapiFace, **query: str) -> bytes:
    async def ask(client: Client) -> bytes:
        answer = await client.export("/export_raw_vdi/", **query)
        assert answer.status_code == 200
        return answer.content

    return asked(face, ask)


@pytest.mark.parametrize("sr_type", ["lvm", "nfs"])
def test_a_full_export_holds_what_was_written(sr_type: str) -> None:
    one = lab(sr_type)
    frozen = one.snapshot()
    vhd = read_vhd(exported(one.face, vdi=ref(frozen), format="vhd"))
    assert (vhd.kind, vhd.size, len(vhd.blocks)) == (3, 16 * MIB, 4)
    assert vhd.uuid.hex() == frozen["id"].replace("-", "")


@pytest.mark.parametrize("sr_type", ["lvm", "nfs"])
def test_a_base_and_its_deltas_are_together_the_full_copy(sr_type: str) -> None:
    one = lab(sr_type)
    snapshots = [one.snapshot()]
    for amount in (4 * MIB, 0, 4 * MIB):
        one.world.write(one.disk, amount)
        snapshots.append(one.snapshot())
    together = read_vhd(exported(one.face, vdi=ref(snapshots[0]), format="vhd")).blocks
    for base, frozen in pairwise(snapshots):
        delta = read_vhd(exported(one.face, vdi=ref(frozen), base=ref(base), format="vhd"))
        assert delta.kind == 4
        assert delta.parent.hex() == base["id"].replace("-", "")
        together |= delta.blocks
    assert together == read_vhd(exported(one.face, vdi=ref(snapshots[-1]), format="vhd")).blocks


def test_a_delta_without_a_write_has_no_block() -> None:
    one = lab()
    base, frozen = one.snapshot(), one.snapshot()
    assert read_vhd(exported(one.face, vdi=ref(frozen), base=ref(base), format="vhd")).blocks == {}


def test_a_stream_is_as_long_as_the_simulated_backups_say() -> None:
    one = lab(size=64 * MIB, data=20 * MIB)
    older = one.world.snapshot(one.vm)
    one.world.write(one.disk, 8 * MIB)
    newer = one.world.snapshot(one.vm)
    (base,), (frozen,) = one.world.disks_of(older), one.world.disks_of(newer)
    assert len(exported(one.face, vdi=ref(frozen), format="vhd")) == bytes_to_move(one.world, newer, None)
    delta = exported(one.face, vdi=ref(frozen), base=ref(base), format="vhd")
    assert len(delta) == bytes_to_move(one.world, newer, older)


def test_a_delta_is_the_same_after_the_collector_has_worked_below_its_base() -> None:
    one = lab()
    first, base = one.snapshot(), one.snapshot()
    one.world.write(one.disk, 4 * MIB)
    frozen = one.snapshot()
    before = exported(one.face, vdi=ref(frozen), base=ref(base), format="vhd")
    one.world.delete_snapshot(one.world.get("VM-snapshot", one.vm["snapshots"][0]))
    assert first["id"] not in one.world.objects["VDI-snapshot"]
    assert one.world.coalesce(one.world.sr_of(one.disk)) >= 1
    after = exported(one.face, vdi=ref(frozen), base=ref(base), format="vhd")
    assert len(read_vhd(after).blocks) == len(read_vhd(before).blocks) == 2


def test_a_disk_that_ends_inside_a_block_has_a_whole_last_block() -> None:
    one = lab(size=5 * MIB, data=5 * MIB)
    vhd = read_vhd(exported(one.face, vdi=ref(one.snapshot()), format="vhd"))
    assert (vhd.size, sorted(vhd.blocks)) == (5 * MIB, [0, 1, 2])
    assert len(exported(one.face, vdi=ref(one.disk), format="raw")) == 5 * MIB


def test_a_raw_export_is_the_disk_with_zeros_where_nobody_wrote() -> None:
    one = lab()
    frozen = one.snapshot()
    raw = exported(one.face, vdi=ref(frozen), format="raw")
    blocks = read_vhd(exported(one.face, vdi=ref(frozen), format="vhd")).blocks
    for index in range(8):
        assert raw[index * BLOCK : (index + 1) * BLOCK] == blocks.get(index, bytes(BLOCK))
    assert all(any(block) for block in blocks.values())


@pytest.mark.parametrize(
    ("size", "expected"),
    [
        (4 * MIB, (120, 4, 17)),
        (40 * MIB, (963, 5, 17)),
        (127 * MIB, (1019, 15, 17)),
        (1024 * MIB, (2080, 16, 63)),
        (8 * GIB, (16644, 16, 63)),
        (127 * GIB, (65278, 16, 255)),
        (1000 * GIB, (65535, 16, 255)),
    ],
)
def test_the_geometry_is_that_of_the_specification(size: int, expected: tuple[int, int, int]) -> None:
    assert geometry(size // 512) == expected


# --- the task, and how an export fails


def with_task(face: XapiFace, path: str, **query: str) -> tuple[httpx.Response, dict]:
    async def ask(client: Client) -> tuple[httpx.Response, dict]:
        task = await client.call("task.create", "export", "")
        answer = await client.export(path, task_id=task, **query)
        return answer, await client.call("task.get_record", task)

    return asked(face, ask)


def test_an_export_ends_its_task() -> None:
    one = lab()
    answer, task = with_task(one.face, "/export_raw_vdi/", vdi=ref(one.snapshot()), format="vhd")
    assert answer.status_code == 200
    assert (task["status"], task["progress"], task["error_info"]) == ("success", 1, [])


def test_a_stranger_exports_nothing() -> None:
    one = lab()

    async def ask(client: Client) -> None:
        assert (await client.http.get("/export_raw_vdi/", params={"vdi": ref(one.disk)})).status_code == 401

    asked(one.face, ask)


@pytest.mark.parametrize(
    ("size", "form", "error"),
    [
        (2040 * GIB + 1, "vhd", "VDI_TOO_LARGE"),
        (16 * MIB, "qcow2", "IMPORT_INCOMPATIBLE_VERSION"),
    ],
)
def test_what_cannot_be_sent_fails_its_task(size: int, form: str, error: str) -> None:
    one = lab()
    one.disk["size"] = size
    answer, task = with_task(one.face, "/export_raw_vdi/", vdi=ref(one.disk), format=form)
    assert answer.status_code == 500
    assert (task["status"], task["error_info"][0]) == ("failure", error)


def test_a_disk_that_is_gone_is_not_sent() -> None:
    one = lab()
    answer, task = with_task(one.face, "/export_raw_vdi/", vdi="OpaqueRef:gone", format="vhd")
    assert answer.status_code == 500
    assert task["error_info"] == ["HANDLE_INVALID", "VDI", "OpaqueRef:gone"]


def test_a_planted_status_is_answered_once() -> None:
    one = lab()
    one.face.faults["/export_raw_vdi/"] = [Fault(status=500)]
    answer, task = with_task(one.face, "/export_raw_vdi/", vdi=ref(one.disk), format="vhd")
    assert (answer.status_code, task["status"]) == (500, "failure")
    answer, task = with_task(one.face, "/export_raw_vdi/", vdi=ref(one.disk), format="vhd")
    assert (answer.status_code, task["status"]) == (200, "success")


@contextmanager
def on_its_way(one: Lab, fault: Fault | None = None) -> Iterator[tuple[str, dict[str, str], Callable[[str], object]]]:
    """URL and query of an export over a socket, and a look at the fields of its task."""
    one.face.faults["/export_raw_vdi/"] = [] if fault is None else [fault]
    with on_socket(one.face) as (url, xenapi):
        (session,) = one.face.sessions
        task = xenapi.task.create("export", "")
        query = {"session_id": session, "vdi": ref(one.disk), "format": "vhd", "task_id": task}
        yield f"{url}/export_raw_vdi/", query, lambda field: xenapi.task.get_record(task)[field]


def test_a_stream_that_ends_early_looks_whole_to_http_and_fails_its_task() -> None:
    with on_its_way(lab(), Fault(cut_after=5000)) as (url, query, task):
        answer = httpx.get(url, params=query)
        assert len(answer.content) == 5000
        assert answer.content[:8] == b"conectix"
        assert task("error_info") == ["VDI_IO_ERROR", "Device I/O errors"]


def test_the_task_of_a_cut_export_ends_as_planted() -> None:
    with on_its_way(lab(), Fault(cut_after=100, error=["SR_BACKEND_FAILURE_46", "", "gone", ""])) as (url, query, task):
        httpx.get(url, params=query)
        assert task("error_info") == ["SR_BACKEND_FAILURE_46", "", "gone", ""]


@pytest.mark.parametrize("after", [0, 5000])
def test_a_lost_connection_is_an_error_to_http(after: int) -> None:
    with on_its_way(lab(), Fault(cut_after=after, lost=True)) as (url, query, task):
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(url, params=query)
        assert task("status") == "pending"


def test_an_export_that_hangs_sends_nothing() -> None:
    with on_its_way(lab(), Fault(hangs=True)) as (url, query, task):
        with pytest.raises(httpx.ReadTimeout):
            httpx.get(url, params=query, timeout=0.2)
        assert task("status") == "pending"


def test_a_client_that_leaves_in_the_middle_fails_the_task() -> None:
    with on_its_way(lab(size=512 * MIB, data=512 * MIB)) as (url, query, task):
        with httpx.stream("GET", url, params=query) as answer:
            next(answer.iter_bytes())
        until = time.monotonic() + 10
        while task("status") == "pending" and time.monotonic() < until:
            pass
        assert task("error_info") == ["VDI_IO_ERROR", "Device I/O errors"]


# --- whole VMs


def test_a_vm_leaves_as_an_archive_with_its_description_and_its_data() -> None:
    one = lab()
    one.vm["power_state"] = "Halted"
    one.vm["name_label"] = "a & b"
    answer, task = with_task(one.face, "/export/", ref=ref(one.vm), use_compression="false")
    assert task["status"] == "success"
    assert len(answer.content) % 512 == 0
    assert answer.content[-1024:] == bytes(1024)
    with tarfile.open(fileobj=io.BytesIO(answer.content)) as archive:
        names = archive.getnames()
        assert names[0] == "ova.xml"
        assert b"a &amp; b" in archive.extractfile("ova.xml").read()
        assert sum(member.size for member in archive if member.name.startswith("Ref:0/")) == 8 * MIB
        assert names[1:3] == ["Ref:0/00000000", "Ref:0/00000001"]


def test_a_running_vm_is_not_exported_its_snapshot_is() -> None:
    one = lab()
    answer, task = with_task(one.face, "/export/", uuid=one.vm["id"])
    assert (answer.status_code, task["error_info"][0]) == (500, "VM_BAD_POWER_STATE")
    snapshot = one.world.snapshot(one.vm)
    answer, task = with_task(one.face, "/export/", uuid=snapshot["id"])
    assert (answer.status_code, task["status"]) == (200, "success")
