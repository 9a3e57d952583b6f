"""Which VMs a job takes, and the rule that leaves each of the others out."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from guard.estate.estate import Estate, XoIdentity
from guard.estate.xo_records import Job, Vm
from guard.views.match import match_text
from guard.views.text import cells

PROD = {"tags": {"__or": [["prod"]]}}


def told(vms, *given, **more):
    estate = Estate(
        xo=XoIdentity(url="https://xo.example.org", version="5.207.2", admin=True),
        taken_at=datetime(2026, 11, 24, tzinfo=UTC),
        parts={},
        vms=given,
        **more,
    )
    return match_text(estate, Job(id="j", raw_name="nightly", vms=vms))


def vm(name, *tags, **more):
    return Vm(id=f"id-{name}", name_label=name, power_state="Running", tags=list(tags), **more)


def test_taken_vms_come_first_and_every_other_with_the_first_rule_against_it():
    text = told(
        {**PROD, "power_state": "Running"},
        vm("mail"),
        vm("web", "prod"),
        Vm(id="id-off", name_label="off", power_state="Halted", tags=["prod"]),
        vm("kept", "prod", "xo:no-bak=why"),
        vm("copy", "prod", blocked_operations={"start": "replica"}, other={"xo:backup:job": "j"}),
        Vm(id="id-bare", name_label="bare", power_state="Running"),
    )
    assert text == (
        "Job nightly takes 1 VM:\n"
        "  web  (id-web)\n"
        "It leaves out 5 VMs:\n"
        '  mail: its tags [] does not match {"__or":[["prod"]]}\n'
        '  off: its power_state "Halted" does not match "Running"\n'
        "  kept: it carries the tag xo:no-bak\n"
        "  copy: it is a replica made by this very job\n"
        "  bare: it has no property tags\n"
    )


def test_a_list_of_ids_tells_those_xo_does_not_show_and_names_nobody_twice():
    text = told({"id": {"__or": ["id-web", "gone", "id-web", "gone"]}}, vm("web"), vm("mail"))
    assert text == (
        "Job nightly takes 1 VM:\n"
        "  web  (id-web)\n"
        "  gone: listed, but XO does not show it\n"
        "It leaves out 1 VM:\n"
        "  mail: its id is not in the job's list\n"
    )


def test_a_job_that_takes_all_leaves_nobody_out():
    assert told(PROD, vm("web", "prod"), vm("mail", "prod")) == (
        "Job nightly takes 2 VMs:\n  web  (id-web)\n  mail  (id-mail)\n"
    )


def test_a_pattern_xo_throws_on_takes_nobody_and_says_why():
    text = told({"tags": {"__or": "prod"}}, vm("web", "prod"))
    assert text == (
        "Job nightly takes 0 VMs:\n"
        "  none: XO's pattern matcher throws on this pattern: __or needs a list in a\n"
        "      job's pattern\n"
    )


def test_properties_beyond_the_usual_ones_are_judged_as_xo_shows_them():
    text = told({"memory": 1}, vm("web"), vm("mail"), vm_properties={"id-web": {"memory": 1}, "id-mail": {"memory": 2}})
    assert "  web  (id-web)\n" in text
    assert "  mail: its memory 2 does not match 1\n" in text


def test_an_estate_without_vms_is_one_line():
    assert told(PROD) == "Job nightly takes 0 VMs:\n"


@pytest.mark.parametrize(
    "name", ["with a very long name of many words " * 5, "x" * 200, "データベース" * 30, "\x1b[31mred\nweb"]
)
def test_no_line_is_wider_than_80_columns_and_no_name_harms_the_terminal(name):
    text = told(PROD, vm(name, "prod"), vm(name + "!", "test"))
    assert max(map(cells, text.splitlines())) <= 80
    assert "\x1b" not in text
    assert [line[0] for line in text.splitlines() if line.startswith(("J", "I"))] == ["J", "I"]
