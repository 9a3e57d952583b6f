"""Odd records of XAPI: a field that is not as it should be is unknown, and costs the others nothing."""

from __future__ import annotations

import base64
import xmlrpc.client
import zlib
from datetime import UTC, datetime

import pytest
from guard.estate.xapi_records import HostFacts, SrFacts, VdiFacts, VmFacts
from guard.xapi import shapes
from guard.xapi.blocks import BLOCK_BYTES, bitmap, held_bytes
from msgspec import UNSET

ODD = [None, [], {}, 5, "", "x", True, 1.5, ["x"], {"x": 5}]


def packed(bits: bytes) -> str:
    return base64.b64encode(zlib.compress(bits)).decode()


@pytest.mark.parametrize(
    "answer", [None, "", [], 5, {"OpaqueRef:1": "x"}, {"OpaqueRef:1": {}}, {"OpaqueRef:1": {"uuid": 5}}]
)
def test_what_is_no_table_has_no_rows(answer):
    assert shapes.rows(answer) == {}


@pytest.mark.parametrize(
    ("value", "number"),
    [
        *[("12", 12), (12, 12), (12.9, 12), ("0", 0)],
        *((odd, UNSET) for odd in ("-1", "x", "", None, True, float("nan"), float("inf"), "9" * 5000)),
    ],
)
def test_whole_numbers_come_as_texts_and_none_is_below_zero(value, number):
    assert shapes.whole(value) == number


@pytest.mark.parametrize(
    ("value", "number"),
    [
        ("0.5", 0.5),
        (3, 3.0),
        (float("nan"), UNSET),
        ("inf", UNSET),
        (-1.0, UNSET),
        ("x", UNSET),
        (None, UNSET),
        (False, UNSET),
    ],
)
def test_figures_are_finite_and_not_below_zero(value, number):
    assert shapes.real(value) == number


@pytest.mark.parametrize(
    ("value", "moment"),
    [
        (xmlrpc.client.DateTime("20261124T20:00:00Z"), datetime(2026, 11, 24, 20, tzinfo=UTC)),
        (xmlrpc.client.DateTime("2026-11-24T20:00:00Z"), datetime(2026, 11, 24, 20, tzinfo=UTC)),
        (xmlrpc.client.DateTime("19700101T00:00:00Z"), UNSET),
        (xmlrpc.client.DateTime("yesterday"), UNSET),
        ("1795550400", datetime(2026, 11, 24, 20, tzinfo=UTC)),
        ("1795550400.5", datetime(2026, 11, 24, 20, 0, 0, 500000, tzinfo=UTC)),
        ("0", UNSET),
        ("99999999999", UNSET),
        ("soon", UNSET),
        (None, UNSET),
    ],
)
def test_times_are_those_of_this_century(value, moment):
    assert shapes.moment(value) == moment


@pytest.mark.parametrize("odd", ODD)
def test_a_record_that_is_odd_in_every_field_is_still_a_record(odd):
    keys = (
        *("name_label", "address", "enabled", "software_version", "live", "VCPUs_at_startup", "type", "shared"),
        *("other_config", "sm_config", "allowed_operations", "current_operations", "physical_size", "managed"),
        *(
            "physical_utilisation",
            "virtual_allocation",
            "is_a_snapshot",
            "created",
            "progress",
            "name",
            "cls",
            "timestamp",
        ),
        *("obj_uuid", "name_description"),
    )
    row = dict.fromkeys(keys, odd) | {"uuid": "u"}
    assert isinstance(shapes.host_facts(row, row, row), HostFacts)
    assert isinstance(shapes.sr_facts(row, UNSET), SrFacts)
    assert isinstance(shapes.vm_facts(row), VmFacts)
    assert isinstance(shapes.vdi_facts(row, "sr", {}, {}, UNSET), VdiFacts)
    assert (shapes.gc_task(row).id, shapes.message(row).id) == ("u", "u")
    assert shapes.sr_of_task(row, {"OpaqueRef:sr": "sr-1"}) == ""
    assert shapes.block_maps([row]) == {}


def test_a_record_without_any_field_is_unknown_in_all_of_them():
    row = {"uuid": "u"}
    assert shapes.host_facts(row, {}, {}) == HostFacts()
    assert shapes.sr_facts(row, UNSET) == SrFacts()
    assert shapes.vm_facts(row) == VmFacts()
    assert shapes.vdi_facts(row, UNSET, {}, {}, UNSET) == VdiFacts()


@pytest.mark.parametrize("written", ["false", "False", "FALSE"])
def test_a_switch_is_off_however_false_is_written(written):
    assert shapes.sr_facts({"uuid": "u", "other_config": {"gc": written}}, UNSET).gc is False


# --- vhd-blocks


def test_blocks_of_a_map_are_counted():
    assert bitmap(packed(b"\x80\x01")) == b"\x80\x01"
    assert held_bytes(b"\x80\x01") == 2 * BLOCK_BYTES


def test_blocks_that_two_nodes_share_count_once_also_where_one_disk_has_grown():
    assert held_bytes(b"\xc0", b"\x60") == 3 * BLOCK_BYTES
    assert held_bytes(b"\x80", b"\x80\x01") == 2 * BLOCK_BYTES


@pytest.mark.parametrize(
    "kept",
    [
        "",
        "skipped",
        "????",
        "AAAA",
        base64.b64encode(zlib.compress(b"\xff" * 99)[:-5]).decode(),
        packed(bytes(9 * 1024**2)),
        "é",
    ],
)
def test_what_is_no_map_of_blocks_is_none(kept):
    assert bitmap(kept) is None


def test_the_blocks_of_a_qcow2_node_are_of_another_size_and_not_counted():
    row = {"uuid": "u", "sm_config": {"image-format": "qcow2", "vhd-blocks": packed(b"\xff")}}
    assert shapes.block_maps([row]) == {}
    row["sm_config"] = {"vdi_type": "vhd", "vhd-blocks": "skipped"}
    assert shapes.block_maps([row]) == {}
    row["sm_config"] = {"vhd-blocks": packed(b"\xff")}
    assert shapes.block_maps([row]) == {"u": b"\xff"}
