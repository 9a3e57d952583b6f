"""Figures of a host beyond the limits from which it is known to answer slowly (xapi-storage.md 6)."""

from __future__ import annotations

import pytest
from guard.estate.xapi_records import HostFacts, SrFacts
from guard.mechanics.host_load import signs
from guard.units import MIB


@pytest.mark.parametrize(
    ("facts", "names"),
    [
        ({"loadavg": 8.1, "dom0_vcpus": 4}, ["load"]),
        ({"loadavg": 8.0, "dom0_vcpus": 4}, []),
        ({"loadavg": 80.0}, []),
        ({"dom0_vcpus": 1}, []),
        ({"dom0_memory_free_bytes": 256 * MIB - 1}, ["dom0_memory_free"]),
        ({"dom0_memory_free_bytes": 0}, ["dom0_memory_free"]),
        ({"dom0_memory_free_bytes": 256 * MIB}, []),
        ({"tapdisks_low_on_memory": 1}, ["tapdisks_low_on_memory"]),
        ({"tapdisks_low_on_memory": 0}, []),
        ({}, []),
    ],
)
def test_each_figure_has_its_limit_and_one_that_was_not_told_is_no_sign(facts, names):
    assert [one.name for one in signs("host", HostFacts(**facts), {}, ())] == names


@pytest.mark.parametrize(
    ("latency", "used", "told"),
    [
        ({"host": 50_001.0}, ["sr"], ["SR SAN takes 50 ms for an I/O"]),
        ({"host": 50_000.0}, ["sr"], []),
        ({"other": 90_000.0}, ["sr"], []),
        ({"host": 90_000.0}, ["elsewhere"], []),
        ({"host": 90_000.0}, [], []),
    ],
)
def test_the_latency_counts_of_srs_in_use_on_that_very_host(latency, used, told):
    srs = {"sr": SrFacts(name="SAN", latency_us=latency)}
    assert [one.text for one in signs("host", HostFacts(), srs, used)] == told


def test_an_sr_without_a_name_is_told_by_its_id():
    (one,) = signs("host", HostFacts(), {"sr": SrFacts(latency_us={"host": 80_000.0})}, ["sr"])
    assert one.text.startswith("SR sr takes 80 ms")
