"""Smart-mode patterns by hand: which values a pattern matches, and what makes XO's matcher throw."""

from __future__ import annotations

import pytest
from guard.mechanics.pattern import UndecidedError, matches

VM = {
    "id": "vm-1",
    "type": "VM",
    "power_state": "Running",
    "tags": ["prod", "web"],
    "$pool": "paris",
    "other": {"xo:backup:job": "j1"},
}


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        # the shapes XO's interface writes
        ({"type": "VM", "power_state": "Running"}, True),
        ({"type": "VM", "power_state": "Halted"}, False),
        ({"$pool": {"__or": ["lyon", "paris"]}}, True),
        ({"$pool": {"__not": {"__or": ["lyon", "paris"]}}}, False),
        ({"$pool": {"__and": [{"__or": ["paris"]}, {"__not": {"__or": ["lyon"]}}]}}, True),
        ({"tags": {"__or": [["prod"], ["db"]]}}, True),
        ({"tags": {"__or": [["db"], ["mail"]]}}, False),
        ({"tags": {"__not": {"__or": [["Continuous Replication"], ["Disaster Recovery"]]}}}, True),
        ({"tags": {"__and": [{"__or": [["prod"]]}, {"__not": {"__or": [["web"]]}}]}}, False),
        # and one that a person writes and that silently matches nothing
        ({"tags": [["prod"]]}, False),
        ({"tags": {"__or": ["prod"]}}, False),
    ],
)
def test_the_shapes_a_job_holds_select_by_state_pool_and_tags(pattern, matched):
    assert matches(pattern, VM) is matched


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        (["a", "b"], ["b", "c", "a"], True),
        (["a", "x"], ["a", "b"], False),
        (["a", "a"], ["a"], True),
        ([], ["a"], True),
        ([], [], True),
        (["a"], [], False),
        (["a"], "a", False),
        ([], {}, False),
        ([["a"]], [["b", "a"]], True),
    ],
)
def test_a_list_wants_each_part_in_some_element_and_one_element_may_serve_several(pattern, value, matched):
    assert matches(pattern, value) is matched


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        ({"__and": []}, "anything", True),
        ({"__or": []}, "anything", False),
        ({"__and": ["a", "a"]}, "a", True),
        ({"__and": ["a", "b"]}, "a", False),
        ({"__or": ["b", "a"]}, "a", True),
        ({"__not": "a"}, "a", False),
        ({"__not": "a"}, None, True),
        ({"__not": {"__not": "a"}}, "a", True),
    ],
)
def test_a_lone_operator_judges_the_value_itself(pattern, value, matched):
    assert matches(pattern, value) is matched


def test_an_operator_beside_another_key_is_an_ordinary_property():
    assert not matches({"__or": [{"tags": ["prod"]}], "type": "VM"}, VM)
    assert matches({"__or": ["x"], "a": 1}, {"__or": ["x"], "a": 1})


@pytest.mark.parametrize("operator", ["__and", "__or"])
@pytest.mark.parametrize("operand", ["prod", {"0": "prod"}, None, 1])
def test_an_operator_without_a_list_throws_as_in_xo(operator, operand):
    with pytest.raises(TypeError, match=f"{operator} needs a list"):
        matches({"tags": {operator: operand}}, VM)


def test_a_broken_operator_that_is_never_looked_at_does_not_throw():
    assert not matches({"power_state": "Halted", "tags": {"__or": "prod"}}, VM)
    assert matches({"__or": [{"power_state": "Running"}, {"tags": {"__or": "prod"}}]}, VM)


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        ({"other": {"xo:backup:job": "j1"}}, VM, True),
        ({"other": {"xo:backup:job": "j2"}}, VM, False),
        ({}, {}, True),
        ({}, [], True),
        ({}, None, False),
        ({}, "text", False),
        ({"a": 1}, "text", False),
        ({"a": None}, {"a": None}, True),
        ({"a": None}, {}, False),
    ],
)
def test_an_object_wants_every_property_there_and_matching(pattern, value, matched):
    assert matches(pattern, value) is matched


def test_a_negation_of_a_property_that_is_missing_is_false():
    assert not matches({"description": {"__not": "x"}}, VM)
    assert matches({"__not": {"description": "x"}}, VM)


@pytest.mark.parametrize("name", ["constructor", "toString", "__proto__", "hasOwnProperty"])
def test_what_every_javascript_object_inherits_counts_as_absent(name):
    assert not matches({name: {}}, VM)


@pytest.mark.parametrize(
    ("pattern", "matched"),
    [
        ({"0": "prod", "length": 2}, True),
        ({"1": "web"}, True),
        ({"1": "prod"}, False),
        ({"2": "prod"}, False),
        ({"length": 3}, False),
        ({"00": "prod"}, False),
        ({"-1": "web"}, False),
        ({"1.0": "web"}, False),
        ({"\u0660": "prod"}, False),
        ({"9999999999": "prod"}, False),
        ({"size": 2}, False),
    ],
)
def test_an_object_against_a_list_addresses_elements_by_plain_index_and_its_length(pattern, matched):
    assert matches(pattern, ["prod", "web"]) is matched


@pytest.mark.parametrize(
    ("pattern", "value", "matched"),
    [
        ("prod", "prod", True),
        ("prod", "Prod", False),
        ("pro*", "prod", False),
        ("1", 1, False),
        (1, 1.0, True),
        (1, True, False),
        (True, True, True),
        (False, 0, False),
        (True, "true", False),
        (None, None, True),
        (None, False, False),
        (None, "", False),
        ("prod", ["prod"], False),
        ("a", {"a": 1}, False),
        (2**53 + 1, 2**53, True),
        (10**400, 10**401, True),
        (-(10**400), 10**400, False),
        (-(10**400), -(10**401), True),
    ],
)
def test_a_scalar_wants_the_same_scalar_without_coercion_and_numbers_are_doubles(pattern, value, matched):
    assert matches(pattern, value) is matched


def test_a_pattern_deeper_or_larger_than_guard_follows_is_undecided_and_never_a_crash():
    deep: object = "x"
    for _ in range(900):
        deep = {"__not": deep}
    for pattern, value in ((deep, "x"), ([*map(str, range(2000)), "none"], list(map(str, range(2000))))):
        with pytest.raises(UndecidedError, match="too deeply, or too long"):
            matches(pattern, value)


def test_what_a_person_writes_is_followed_to_its_end():
    nested: object = "x"
    for _ in range(30):
        nested = {"__not": nested}
    assert matches(nested, "x") is True
    assert matches({"tags": {"__or": [[str(one)] for one in range(500)]}}, {"tags": ["499"]}) is True
