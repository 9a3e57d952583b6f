"""XO's extra rules around the pattern matcher, and why a VM is left out."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from guard.estate.estate import Estate, XoIdentity
from guard.estate.xo_records import Job, Vm
from guard.mechanics.selection import (
    Selector,
    left_out_because,
    listed_ids,
    named_pools,
    named_tags,
    opted_out,
    pattern_keys,
)

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def vm(identity, **more):
    return msgspec.convert(
        {
            "id": identity,
            "power_state": "Running",
            "tags": ["prod"],
            "$pool": "p1",
            "blockedOperations": {},
            "other": {},
        }
        | more,
        Vm,
    )


def job(vms, identity="j"):
    return msgspec.convert({"id": identity, "vms": vms}, Job)


def select(pattern, *vms, extra=None):
    estate = Estate(
        xo=XoIdentity(url="", version="5.207.2", admin=True), taken_at=NOW, parts={}, vms=vms, vm_properties=extra or {}
    )
    return Selector(estate).select(job(pattern))


def smart(*tags, **more):
    return {"tags": {"__or": [[tag] for tag in tags]}, **more}


def test_an_id_list_is_used_as_it_is_and_unknown_ids_are_told():
    found = select({"id": {"__or": ["a", "gone"]}}, vm("a", tags=["xo:no-bak"]))
    assert (found.smart, found.ids, found.unknown) == (False, ("a",), ("gone",))


@pytest.mark.parametrize(
    ("pattern", "ids"),
    [
        ({"id": "a"}, ("a",)),
        ({"id": {"__or": []}}, ()),
        ({"id": {"__or": ["a", 1]}}, None),
        ({"id": {"__not": "a"}}, None),
        ({"id": "a", "type": "VM"}, None),
        ({}, None),
        ("a", None),
    ],
)
def test_only_a_single_id_key_makes_an_id_list(pattern, ids):
    assert listed_ids(pattern) == ids


def test_a_smart_job_takes_what_matches_in_groups():
    found = select(smart("prod"), vm("a"), vm("b", tags=["db"]), vm("c"))
    assert (found.smart, found.ids) == (True, ("a", "c"))


def test_a_plain_tag_list_matches_nothing_as_on_a_real_xo():
    assert select({"tags": [["prod"]]}, vm("a")).ids == ()


def test_no_bak_and_own_replicas_are_left_out_of_smart_jobs():
    replica = vm("r", blockedOperations={"start": "no"}, other={"xo:backup:job": "j"})
    foreign = vm("f", blockedOperations={"start": "no"}, other={"xo:backup:job": "other"})
    assert select({}, replica, foreign, vm("n", tags=["xo:no-bak=why"]), vm("x", tags=["xo:no-bakery"])).ids == (
        "f",
        "x",
    )


def test_a_pattern_may_ask_for_properties_beyond_the_usual_ones():
    extra = {"a": {"resourceSet": "s1"}}
    assert select({"resourceSet": "s1"}, vm("a"), vm("b"), extra=extra).ids == ("a",)


def test_every_known_property_can_be_asked_for():
    pattern = {
        "id": {"__or": ["a"]},
        "uuid": "a",
        "name_label": "web",
        "$container": "h",
        "$poolId": "p1",
        "type": "VM",
    }
    assert select(pattern, vm("a", name_label="web", **{"$container": "h"}), vm("b")).ids == ("a",)


def test_a_malformed_operator_is_an_error_of_the_job_not_a_crash():
    assert "throws" in select({"tags": {"__or": "prod"}}, vm("a")).error


def test_the_keys_of_a_pattern_are_found_through_operators():
    assert pattern_keys({"__or": [{"tags": 1}, {"__not": {"power_state": 2}}]}) == {"tags", "power_state"}
    assert pattern_keys("x") == frozenset()


@pytest.mark.parametrize(
    ("wanted", "pools"),
    [
        ("p", ("p",)),
        ({"__or": ["p", "q"]}, ("p", "q")),
        ({"__and": [{"__or": ["p"]}, {"__not": {"__or": ["q"]}}]}, ("p",)),
        ({"__and": "broken"}, ()),
        (None, ()),
    ],
)
def test_only_positively_named_pools_count(wanted, pools):
    assert named_pools({"$pool": wanted}) == pools
    assert named_pools("x") == ()


def test_tags_below_not_are_not_asked_for():
    pattern = {"tags": {"__and": [{"__or": [["prod"], ["db"]]}, {"__not": {"__or": [["test"]]}}]}}
    assert named_tags(pattern) == {"prod", "db"}
    assert named_tags("x") == frozenset()


@pytest.mark.parametrize(
    ("pattern", "candidate", "said"),
    [
        ({"id": {"__or": ["b"]}}, vm("a"), "not in the job's list"),
        ({"id": {"__or": ["a"]}}, vm("a"), ""),
        ({"power_state": "Halted"}, vm("a"), 'its power_state "Running" does not match "Halted"'),
        ({"resourceSet": "x"}, vm("a"), "no property resourceSet"),
        ({}, vm("a", blockedOperations={"start": ""}, other={"xo:backup:job": "j"}), "replica"),
        ({}, vm("a", tags=["xo:no-bak"]), "xo:no-bak"),
        ({}, vm("a"), ""),
    ],
)
def test_the_first_rule_that_leaves_a_vm_out_is_named(pattern, candidate, said):
    reason = left_out_because(job(pattern), candidate, {})
    assert (said in reason) if said else reason == ""


def test_a_vm_without_tags_has_not_opted_out():
    assert not opted_out(msgspec.convert({"id": "a"}, Vm))


def test_jobs_that_look_at_the_same_properties_share_one_grouping_of_the_vms():
    estate = Estate(
        xo=XoIdentity(url="", version="", admin=True),
        taken_at=NOW,
        parts={},
        vms=(vm("a", tags=["prod"]), vm("b", tags=["test"]), vm("c", tags=["prod"])),
    )
    selector = Selector(estate)
    for tag, ids in (("prod", ("a", "c")), ("test", ("b",)), ("none", ())):
        assert selector.select(job({"tags": [tag]})).ids == ids


def deep(inner, key="__not"):
    for _ in range(900):
        inner = {key: inner}
    return inner


def test_a_pattern_that_guard_cannot_follow_is_undecided():
    found = select({"tags": deep("x")}, vm("a", tags=["x"]))
    assert (found.ids, found.undecided) == ((), True)
    assert found.error == "guard cannot follow its pattern: it is nested too deeply, or too long"
    assert select({"tags": {"__or": "prod"}}, vm("a")).undecided is False


def test_the_keys_and_tags_of_a_pattern_without_end_are_those_near_its_top():
    assert pattern_keys(deep({"tags": 1})) == frozenset()
    assert named_tags({"tags": {"__and": ["near", deep("far", "__or")]}}) == {"near"}


@pytest.mark.parametrize("part", [{"__or": "prod"}, deep("x")])
def test_why_a_vm_is_left_out_can_be_asked_of_a_pattern_that_cannot_be_held_against_it(part):
    assert "its tags cannot be held against the pattern" in left_out_because(
        job({"tags": part}), vm("a", tags=["x"]), {}
    )
