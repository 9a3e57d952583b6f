"""The text of /metrics: every family, its labels made harmless, and never more series than allowed."""

from __future__ import annotations

import re

import pytest
from guard.meter import BOUNDS_S, Timing
from guard.views.metrics import DROPPED, FAMILIES, MOST_CHARACTERS, Kind, bounded, exposition, reference
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

BY_NAME = {one.name: one for one in FAMILIES}
UNITS = re.compile(r"_(seconds|bytes|ratio|total|info|vdis)$")
PLAIN = {
    *("guard_ledger_writable", "guard_ledger_ballast_held", "guard_xo_readable", "guard_schedule_enabled"),
    *("guard_schedule_verdict", "guard_runs_running", "guard_schedules_unwatched", "guard_alarms", "guard_due_times"),
    *("guard_predictions", "guard_deferrals", "guard_held_vms", "guard_claims", "guard_fallbacks", "guard_brakes"),
    *("guard_notify_waiting", DROPPED),
}
"""Counts of things, and yes or no: they have no unit."""


def parsed(figures, most=1000):
    """Name of a series -> [(labels, value)]."""
    found = {}
    for family in text_string_to_metric_families(exposition(figures, most).decode()):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def without_dropped(figures, most=1000):
    return {name: series for name, series in parsed(figures, most).items() if name != DROPPED}


@pytest.mark.parametrize("family", FAMILIES, ids=lambda one: one.name)
def test_a_family_is_named_with_its_unit_as_prometheus_wants_it(family):
    assert re.fullmatch(r"guard(_[a-z]+)+", family.name)
    assert (UNITS.search(family.name) is not None) != (family.name in PLAIN)
    assert family.name.endswith("_total") == (family.kind is Kind.COUNTER)
    assert family.help.endswith(".")
    assert family.things <= len(family.labels)
    assert not {"le", "job", "instance"} & set(family.labels)


def test_no_name_is_there_twice():
    assert len(BY_NAME) == len(FAMILIES)


def test_without_figures_nothing_is_told_of_any_family():
    assert without_dropped({}) == {}
    assert without_dropped({"guard_claims": ()}) == {}


def test_gauges_counters_and_histograms_are_told_as_they_are():
    timing = Timing().and_one(0.3).and_one(700)
    found = parsed(
        {
            "guard_claims": [((), 2.0)],
            "guard_xo_writes_total": [(("sr.scan",), 3)],
            "guard_call_duration_seconds": [(("rest", "vms"), timing)],
        }
    )
    assert found["guard_claims"] == [({}, 2.0)]
    assert found["guard_xo_writes_total"] == [({"method": "sr.scan"}, 3.0)]
    labels = {"way": "rest", "operation": "vms"}
    assert found["guard_call_duration_seconds_sum"] == [(labels, 700.3)]
    assert found["guard_call_duration_seconds_count"] == [(labels, 2.0)]
    buckets = {one["le"]: value for one, value in found["guard_call_duration_seconds_bucket"]}
    assert len(buckets) == len(BOUNDS_S) + 1
    assert (buckets["0.25"], buckets["0.5"], buckets["600.0"], buckets["+Inf"]) == (0, 1, 1, 2)


def test_nothing_is_left_in_a_registry_of_the_process():
    before = {family.name for family in REGISTRY.collect()}
    exposition({"guard_claims": [((), 2.0)]}, 10)
    assert {family.name for family in REGISTRY.collect()} == before


def test_names_from_xo_cannot_break_the_text():
    nasty = 'a"} 1\nevil_metric{x="\\'
    found = parsed({"guard_sr_size_bytes": [(("id", nasty + "x" * 500), 1.0), (("\x1b[31m", "\u202e"), 2.0)]})
    assert set(found) == {"guard_sr_size_bytes", DROPPED}
    names = [labels["sr"] for labels, _ in found["guard_sr_size_bytes"]]
    assert all(len(name) <= MOST_CHARACTERS and "\n" not in name and "\u202e" not in name for name in names)
    assert any(name.startswith('a"} 1\N{REPLACEMENT CHARACTER}evil') for name in names)


def test_two_series_that_look_alike_are_one_or_prometheus_would_refuse_all():
    sizes = [(("id", "a\n"), 1.0), (("id", "a\r"), 2.0)]
    dues = [(("id", "a\n"), 7.0), (("id", "a\r"), 5.0)]
    found = parsed({"guard_sr_size_bytes": sizes, "guard_schedule_next_due_timestamp_seconds": dues})
    assert [value for _, value in found["guard_sr_size_bytes"]] == [3.0]
    assert [value for _, value in found["guard_schedule_next_due_timestamp_seconds"]] == [5.0]


def test_operations_that_look_alike_stay_one_histogram():
    one = Timing().and_one(1)
    found = parsed({"guard_call_duration_seconds": [(("rest", "a\n"), one), (("rest", "a\r"), Timing())]})
    assert [value for _, value in found["guard_call_duration_seconds_count"]] == [1.0]


def schedules(count, value=lambda number: float(number)):
    return [((f"{number:03}", f"s{number}"), value(number)) for number in range(count)]


def test_what_is_too_many_is_added_up_under_other_and_counted():
    found = parsed({"guard_schedule_enabled": schedules(30, lambda _: 1.0)}, most=10)
    series = found["guard_schedule_enabled"]
    assert len(series) == 10
    assert series[-1] == ({"schedule_id": "other", "schedule": "other"}, 21.0)
    assert [labels["schedule_id"] for labels, _ in series[:9]] == [f"{number:03}" for number in range(9)]
    assert found[DROPPED] == [({"family": "guard_schedule_enabled"}, 21.0)]


def test_of_times_the_earliest_stands_for_the_rest():
    figures = {"guard_schedule_next_due_timestamp_seconds": schedules(30, lambda number: 1000.0 - number)}
    assert parsed(figures, most=10)["guard_schedule_next_due_timestamp_seconds"][-1][1] == 971.0


def test_a_thing_is_told_whole_or_not_at_all():
    verdicts = ("start", "start_some", "defer", "refuse", "skip")
    figures = {
        "guard_schedule_verdict": [
            ((f"{number:03}", "s", one), float(one == "defer")) for number in range(9) for one in verdicts
        ]
    }
    series = parsed(figures, most=17)["guard_schedule_verdict"]
    by_id = {}
    for labels, value in series:
        by_id.setdefault(labels["schedule_id"], {})[labels["verdict"]] = value
    assert set(by_id) == {"000", "001", "other"}
    assert all(set(one) == set(verdicts) for one in by_id.values())
    assert by_id["other"]["defer"] == 7.0
    assert by_id["other"]["start"] == 0.0


def test_families_that_fit_say_that_nothing_was_dropped():
    assert parsed({"guard_schedule_enabled": schedules(10)}, most=10)[DROPPED] == [
        ({"family": "guard_schedule_enabled"}, 0.0)
    ]


def test_labels_that_name_no_thing_are_bounded_too():
    codes = [((f"CODE_{number:03}",), 1.0) for number in range(500)]
    series = parsed({"guard_deferrals": codes}, most=20)["guard_deferrals"]
    assert len(series) == 20
    assert series[-1] == ({"code": "other"}, 481.0)


def test_more_codes_than_series_are_still_bounded_by_the_codes():
    alarms = [(("id", f"s{number}", f"CODE_{number % 40}"), 1.0) for number in range(80)]
    series = parsed({"guard_alarms": alarms}, most=10)["guard_alarms"]
    assert len(series) == 40
    assert {labels["schedule"] for labels, _ in series} == {"other"}


@given(
    st.lists(st.tuples(st.text(max_size=4), st.text(max_size=4)), max_size=60),
    st.integers(min_value=10, max_value=40),
)
def test_whatever_the_names_are_sums_are_kept_and_bounds_hold(names, most):
    figures = {"guard_sr_free_bytes": [(labels, 1.0) for labels in names]}
    told = dict(bounded(figures, most))
    if names:
        samples = told[BY_NAME["guard_sr_free_bytes"]]
        assert len(samples) <= most
        assert sum(value for _, value in samples) == len(names)
        assert len({labels for labels, _ in samples}) == len(samples)
        assert exposition(figures, most).decode().count("\nguard_sr_free_bytes{") == len(samples)


def test_the_table_for_the_docs_holds_every_family():
    lines = reference().splitlines()
    assert len(lines) == len(FAMILIES) + 2
    assert "| `guard_call_duration_seconds` | histogram | `way`, `operation` | How long" in reference()
