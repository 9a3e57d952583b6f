"""Entries of the policy that do nothing are told by each look, and worked out only when something changed."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
import pytest
from guard.gate import idle
from guard.gate.idle import IdleEntries
from guard.policy.load import load
from tests.builders import NOW, make_estate, make_schedule
from tests.gate.night import Night

SCHEDULE = '[xo]\nurl = "http://x"\n[[schedule]]\nname = "nightlyy"\ngate = "enforce"\n'
POLICY = load(SCHEDULE, file="g.toml")
LIMITED = load(SCHEDULE + '[[limit]]\nslots = 1\nper = "sr"\nname = "NFS"\n', file="g.toml")


@pytest.fixture
def asked(monkeypatch):
    """How often it was worked out."""
    found = []

    def counted(policy, estate):
        found.append(estate)
        return tuple(f"{rule.name} for {len(estate.schedules)}" for rule in policy.schedules)

    monkeypatch.setattr(idle, "idle_schedules", counted)
    return found


def later(estate, minutes):
    """The same, read later."""
    read_at = NOW + timedelta(minutes=minutes)
    parts = {name: msgspec.structs.replace(part, read_at=read_at) for name, part in estate.parts.items()}
    return dataclasses.replace(estate, parts=parts)


def test_the_same_xo_read_again_costs_nothing(asked):
    entries, estate = IdleEntries(), make_estate()
    for minute in range(5):
        assert entries.told(POLICY, later(estate, minute), None) == ("nightlyy for 1",)
    assert len(asked) == 1


def test_a_new_schedule_another_policy_and_another_whole_reading_are_looked_at_anew(asked):
    entries, estate = IdleEntries(), make_estate()
    entries.told(POLICY, estate, None)
    two = make_estate(schedules=[make_schedule(), make_schedule("two")])
    assert entries.told(POLICY, two, None) == ("nightlyy for 2",)
    other = load('[xo]\nurl = "http://x"\n[[schedule]]\nname = "weekly"\n', file="g.toml")
    assert entries.told(other, two, None) == ("weekly for 2",)
    entries.told(other, two, make_estate())
    assert len(asked) == 4


def test_limits_are_held_against_the_last_whole_reading():
    setup = dataclasses.replace(make_estate(), srs=(), parts={})
    assert IdleEntries().told(LIMITED, setup, None) == ()
    (told,) = IdleEntries().told(LIMITED, setup, make_estate())
    assert told.startswith("limit[1] of the policy")


def test_the_look_leaves_them_for_guard_status(tmp_path):
    night = Night(tmp_path, policy=POLICY)
    (told,) = night.tick().idle_entries
    night.ledger.close()
    assert 'name = "nightlyy"' in told
