"""The load order of XO's configuration: case tables; tests/appconf holds the rules against the package itself."""

from __future__ import annotations

from datetime import date, datetime

import pytest
from guard.mechanics.xo_config import OWN_FILE, PAGE_FILE, InForce, can_order, format_of, in_force, is_read, order_key


def sets(value):
    return {"xapiOptions": {"httpInactivityTimeout": value}}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (PAGE_FILE, True),
        (OWN_FILE, True),
        ("config.", True),
        ("Config.toml", False),
        (".config.toml", False),
        ("config", False),
        ("my.config.toml", False),
    ],
)
def test_only_names_that_begin_with_config_and_a_dot_are_opened(name, expected):
    assert is_read(name) is expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("config.toml", "toml"),
        ("config.a.TOML", "toml"),
        ("config.json", "json"),
        ("config.Json5", "json"),
        ("config.yaml", "other"),
        ("config.cson", "other"),
        ("config.ini", "other"),
        ("config.yml", None),
        ("config.toml.new", None),
        ("config.toml~", None),
        ("config.toml\n", None),
        ("config.", None),
    ],
)
def test_the_ending_tells_how_a_file_is_read_and_unknown_ones_are_ignored(name, expected):
    assert format_of(name) == expected


def test_signs_come_before_digits_and_digits_before_letters_whose_case_counts_last():
    names = [
        "config.zz_.toml",
        "config.zz-backup-guard.json",
        OWN_FILE,
        "config.zz.toml",
        "config.ZZ.toml",
        "config.Zz1.toml",
        "config.zzz.toml",
    ]
    assert sorted(set(names), key=order_key) == names
    assert order_key(PAGE_FILE) < order_key("config.toml") < order_key(OWN_FILE)


@pytest.mark.parametrize("name", ["config.é.toml", "config.\t.toml", "config.\x7f"])
def test_names_with_other_signs_have_no_known_order(name):
    assert not can_order(name)
    with pytest.raises(KeyError):
        order_key(name)


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({}, InForce()),
        ({"config.toml": {}, "config.a.json": [1], "config.b.json": None}, InForce()),
        ({"config.toml": {"xapiOptions": {"maxUncoalescedVdis": 2}}}, InForce()),
        ({"config.toml": sets(600_000)}, InForce(600_000, "config.toml")),
        ({"config.toml": sets(0)}, InForce(0, "config.toml")),
        ({PAGE_FILE: sets(1_800_000), "config.toml": sets(400_000)}, InForce(400_000, "config.toml")),
        ({"config.toml": sets(400_000), OWN_FILE: sets(1_800_000)}, InForce(1_800_000, OWN_FILE)),
        ({OWN_FILE: sets(1_800_000), "config.zzz.toml": {"xapiOptions": {}}}, InForce(1_800_000, OWN_FILE)),
        # null is the default again, and so is a section that is no table
        ({"config.a.json": sets(400_000), "config.b.json": sets(None)}, InForce(None, "config.b.json")),
        ({"config.a.json": sets(400_000), "config.b.json": {"xapiOptions": None}}, InForce(None, "config.b.json")),
        ({"config.a.json": {"xapiOptions": 5}}, InForce()),
        ({"config.a.json": {"xapiOptions": 5}, "config.b.json": sets(7)}, InForce(7, "config.b.json")),
        ({"config.a.json": sets(400_000), "config.b.json": {"xapiOptions": [1]}}, InForce(400_000, "config.a.json")),
        ({"config.a.json": sets(9), "config.b.json": {"xapiOptions": date(2026, 1, 1)}}, InForce(9, "config.a.json")),
        # JavaScript has one kind of number
        ({"config.toml": sets(6e5)}, InForce(600_000, "config.toml")),
        ({"config.toml": sets(2**53 - 1)}, InForce(2**53 - 1, "config.toml")),
        ({"config.toml": sets(2**53)}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets(0.5)}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets(float("inf"))}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets(-1)}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets("30 min")}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets(True)}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets({"a": 1})}, InForce(None, "config.toml", usable=False)),
        ({"config.toml": sets(datetime(2026, 1, 1))}, InForce(None, "config.toml", usable=False)),  # noqa: DTZ001
    ],
)
def test_later_files_win_key_by_key(files, expected):
    assert in_force(files) == expected
