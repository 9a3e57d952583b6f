"""Pools that answer what no XAPI would: a reading ends with fewer facts, never with a crash."""

from __future__ import annotations

import random

import pytest
from guard.errors import PoolAnswerError
from guard.estate.xapi_records import Dom0Vbd
from guard.xapi.facts import read_facts
from msgspec import UNSET
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import face_of, told
from tests.xapi.house import NOW

POOL = {"OpaqueRef:p": {"uuid": "pool-1", "master": "OpaqueRef:h", "restrictions": {}}}
DOM0 = {"uuid": "dom0-1", "resident_on": "OpaqueRef:h", "VCPUs_at_startup": "4"}
SR = {"uuid": "sr-1", "VDIs": ["OpaqueRef:v"]}
ODD = [
    None,
    "",
    "x",
    7,
    True,
    0.5,
    [],
    [[]],
    {},
    {"OpaqueRef:x": None},
    {"OpaqueRef:x": {"uuid": "u"}},
    {"x": {"uuid": 5}},
]


class Scripted:
    """A session whose pool answers each method with one value, whatever is asked."""

    time_is_up = False

    def __init__(self, answers, default=None):
        self.answers, self.default = answers, default

    def call(self, method, *_params):
        return self.answers.get(method, self.default)


def facts(answers, default=None, **more):
    asked = {"ask_vms": ["vm-1"], "ask_srs": ["sr-1"]} | more
    return read_facts(Scripted(answers, default), label="odd", address="192.0.2.1", read_at=NOW, **asked)


@pytest.mark.parametrize("answer", [odd for odd in ODD if odd != {"OpaqueRef:x": {"uuid": "u"}}])
def test_a_pool_without_a_record_of_itself_is_no_pool(answer):
    with pytest.raises(PoolAnswerError, match=r"Pool odd \(192\.0\.2\.1\) says that it has no pool record"):
        facts({"pool.get_all_records": answer})


@pytest.mark.parametrize("odd", ODD)
def test_a_pool_that_answers_everything_oddly_has_still_answered(odd):
    found = facts({"pool.get_all_records": POOL}, odd)
    assert (found.answered, found.pool_id, found.master) == (True, "pool-1", UNSET)


def test_a_control_domain_is_found_on_its_host_where_the_host_does_not_name_it():
    host = {"uuid": "host-1"}
    found = facts(
        {
            "pool.get_all_records": POOL,
            "host.get_all_records": {"OpaqueRef:h": host},
            "VM.get_all_records_where": {"OpaqueRef:d": DOM0},
            "VM.query_data_source": "2048",
        }
    )
    assert (found.hosts["host-1"].dom0, found.hosts["host-1"].dom0_vcpus) == ("dom0-1", 4)
    assert found.hosts["host-1"].dom0_memory_free_bytes == 2048 * 1024
    assert found.hosts["host-1"].live is UNSET


def test_drives_of_others_than_control_domains_hold_no_disk_there():
    drives = {
        "OpaqueRef:1": {"uuid": "vbd-1", "VM": "OpaqueRef:d", "VDI": "OpaqueRef:v"},
        "OpaqueRef:2": {"uuid": "vbd-2", "VM": "OpaqueRef:other", "VDI": "OpaqueRef:v"},
    }
    found = facts(
        {
            "pool.get_all_records": POOL,
            "host.get_all_records": {"OpaqueRef:h": {"uuid": "host-1"}},
            "VM.get_all_records_where": {"OpaqueRef:d": DOM0},
            "SR.get_all_records": {"OpaqueRef:s": SR},
            "VBD.get_all_records_where": drives,
            "VDI.get_all_records_where": {"OpaqueRef:v": {"uuid": "vdi-1"}},
        },
        ask_vms=[],
    )
    assert found.vdis["vdi-1"].dom0_vbds == (Dom0Vbd(id="vbd-1", host="host-1"),)


@pytest.mark.parametrize("seed", range(40))
def test_whatever_a_pool_leaves_out_or_gets_wrong_it_is_read_to_the_end(seed):
    """Answers of a simulated pool, with values taken out and replaced at random."""
    chance = random.Random(seed)
    small = small_world()
    small.world.add_base_copies(small.thick_disk, 2)
    small.world.add_message(small.lvm, "SM_GC_NO_SPACE")
    small.world.add_xapi_task(small.pool, "Garbage Collection", small.lvm)
    tables = {
        f"{cls}.get_all_records{where}": told(face_of(small.world), f"{cls}.get_all_records")
        for cls, where in [("host", ""), ("host_metrics", ""), ("SR", "")]
        + [(cls, "_where") for cls in ("VM", "task", "message", "VBD", "VDI", "PBD")]
    }
    for rows in tables.values():
        for row in rows.values():
            for key in [key for key in row if chance.random() < 0.3]:
                if chance.random() < 0.5:
                    del row[key]
                else:
                    row[key] = chance.choice(ODD)
    found = facts(tables | {"pool.get_all_records": POOL}, chance.choice(ODD), ask_vms=[small.thick["id"]])
    assert (found.answered, found.gaps) == (True, ())
