"""What guard start says: found, left out, overridden, and what came of it."""

from __future__ import annotations

import dataclasses
from datetime import UTC
from zoneinfo import ZoneInfo

import pytest
from guard.decision.verdict import Action, Held
from guard.finding import Level
from guard.lifecycle.by_hand import Done, Judged, Wish
from guard.lifecycle.due_run import fold
from guard.lifecycle.events import BY_HAND, Decided, Doubted, NotStarted, RunKey, Started, Starter, Starting
from guard.views.start import begun, done_lines, facts_line, judged_lines, nothing_lines, would_lines
from guard.views.text import cells
from tests.builders import DUE, make_job, make_schedule
from tests.lifecycle.stories import RUN, after, finding, seen, verdict

MANY = tuple(f"vm{number}" for number in range(8))


def judged(found=None, vms=("vm",), *, lifted=None, names=None, job=None, unchecked=(), **wish):
    return Judged(
        wish=Wish("schedule", **wish),
        schedule=make_schedule(),
        job=job or make_job(),
        zone="utc",
        vms=vms,
        names=names or {vm: vm.upper() for vm in vms},
        verdict=found or verdict(),
        lifted=lifted or {},
        facts_at=after(-12),
        at=DUE,
        unchecked=unchecked,
    )


def held(vm, *codes):
    return Held(vm=vm, name=vm.upper(), codes=codes, deadline=None)


def text(lines):
    assert max(map(cells, lines)) <= 80
    return " ".join(" ".join(lines).split())


def done(*events, error=""):
    made = Decided(at=DUE, facts_at=DUE, vms=("vm",), verdict=verdict(), acts=True)
    return Done(fold(RunKey("schedule", DUE, BY_HAND), (seen(), made, *events)), error)


DOUBT = "Nobody can tell yet whether XO started all of it (1 VM):"
LOOK = "Look in XO before you start it again; guard daemon looks for the run too. How it ends: guard why schedule."
ASKED = Starting(at=DUE, attempt=1, vms=None, known=())
BEGAN = Started(at=after(2), run=RUN, began=after(1), by=Starter.GUARD, attempt=1)


def test_every_finding_but_those_in_order_is_told_with_its_remedy():
    found = verdict(finding(level=Level.WARN), finding("SR_NO_SPACE", level=Level.OK))
    assert judged_lines(judged(found)) == [
        "START  job / schedule, as if it were due now",
        "  Nothing stands in its way.",
        "    - warn CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1.",
        "      > Wait for the coalesce.",
    ]


def test_a_verdict_in_the_words_of_a_finding_is_told_once():
    said = verdict(finding(), action=Action.REFUSE)
    said = type(said)(
        **{name: getattr(said, name) for name in said.__struct_fields__} | {"sentence": finding().summary}
    )
    assert text(judged_lines(judged(said))).count("2 uncoalesced copies") == 1


def test_the_words_are_styled_by_what_they_are():
    styled = judged_lines(judged(verdict(finding())), lambda word, kind: f"<{kind}>{word}")
    assert styled[0] == "<start>START  job / schedule, as if it were due now"
    assert "    - <block>block CHAIN_UNHEALTHY: web: 2 uncoalesced copies, XO tolerates 1." in styled


def test_who_is_left_out_is_told_by_name_for_each_set_of_codes():
    some = [held("a", "ON_HOLD"), held("b", "ON_HOLD"), held("c", "CHAIN_UNHEALTHY", "SR_NO_SPACE")]
    lines = judged_lines(judged(verdict(action=Action.START_SOME, held=some), ("a", "b", "c", "d")))
    assert lines[0].startswith("START SOME  job / schedule")
    assert lines[-2:] == ["Left out: A, B: ON_HOLD.", "Left out: C: CHAIN_UNHEALTHY, SR_NO_SPACE."]


@pytest.mark.parametrize(
    ("lifted", "told"),
    [
        ({}, "Overridden: ON_HOLD, which changes nothing here."),
        ({"ON_HOLD": ()}, "Overridden: ON_HOLD, which would keep back the whole run."),
        ({"ON_HOLD": ("vm1",)}, "Overridden: ON_HOLD, which would keep back 1 VM (VM1)."),
        (
            {"ON_HOLD": MANY},
            "Overridden: ON_HOLD, which would keep back 8 VMs (VM0, VM1, VM2, VM3, VM4 and 3 more).",
        ),
    ],
)
def test_what_an_override_changes_is_told(lifted, told):
    assert told in text(judged_lines(judged(None, MANY, lifted=lifted, overridden=("ON_HOLD",))))


def test_what_xo_is_told_for_this_run_alone_is_told_with_what_it_does_to_the_chain():
    found = verdict()
    found = type(found)(
        **{name: getattr(found, name) for name in found.__struct_fields__} | {"settings": {"": {"concurrency": 2}}}
    )
    one = judged(found, ("a", "b"), unchecked=("b",), overridden=("CHAIN_UNHEALTHY",))
    told = text(judged_lines(one))
    assert "For this run alone XO is given: concurrency = 2; bypassVdiChainsCheck = true (B)." in told
    assert "takes the snapshot although coalesces wait in the chain, which gets one copy longer" in told
    assert "a chain of more than 30 (The Snapshot Chain is too Long: no snapshot at all)" in told
    assert "SR_BACKEND_FAILURE_44" in told
    assert "The next run is checked as ever." in told


def test_a_lower_concurrency_alone_says_nothing_of_chains():
    found = verdict()
    found = type(found)(
        **{name: getattr(found, name) for name in found.__struct_fields__} | {"settings": {"": {"concurrency": 2}}}
    )
    assert judged_lines(judged(found))[-1] == "For this run alone XO is given: concurrency = 2."


def test_where_no_chain_would_be_skipped_xo_keeps_its_check_and_that_is_said():
    override = {"overridden": ("CHAIN_UNHEALTHY",)}
    stays = "XO's own chain check stays on: guard knows of no VM here that it would skip."
    assert text(judged_lines(judged(**override))).endswith(stays)
    mirror = judged(None, (), job=make_job(type="mirrorBackup"), **override)
    assert stays not in text(judged_lines(mirror))
    nothing = judged(verdict(action=Action.REFUSE, held=[held("vm", "ON_HOLD")]), **override)
    assert stays not in text(judged_lines(nothing))


def test_the_age_of_the_facts_is_told():
    assert facts_line(judged()) == "Facts are up to 12 s old."


@pytest.mark.parametrize(
    ("found", "vms", "codes"),
    [
        (verdict(action=Action.DEFER, held=[held("a", "ON_HOLD"), held("b", "NO_SLOT")]), ("a", "b"), "ON_HOLD, NO_SLOT"),
        (verdict(finding("ON_HOLD"), finding("SR_UNKNOWN", level=Level.UNKNOWN), action=Action.REFUSE), (), "ON_HOLD"),
        (verdict(finding("NO_VM_MATCHES", level=Level.UNKNOWN), action=Action.START), (), "NO_VM_MATCHES"),
        (verdict(finding("NO_VM_MATCHES", level=Level.WARN), action=Action.START), (), "NO_VM_MATCHES"),
    ],
)  # fmt: skip
def test_where_nothing_is_started_the_codes_say_why(found, vms, codes):
    one = judged(found, vms)
    assert not one.starts
    assert nothing_lines(one) == [f"Nothing was started: {codes}."]
    assert judged_lines(one)[0].startswith("HELD BACK  job / schedule")


def test_a_dry_run_says_what_it_would_start():
    assert text(would_lines(judged())) == "Would start all of it (1 VM). Nothing was started or written."


@pytest.mark.parametrize(
    ("outcome", "told"),
    [
        (
            done(ASKED, BEGAN),
            f"Started all of it (1 VM): XO runs it since Wed 25 Nov 00:00 UTC (log {RUN}). How it ends: guard why schedule.",
        ),
        (done(ASKED, NotStarted(at=after(1), attempt=1, error="XO says no.")), "Nothing was started: XO says no."),
        (done(error="The job began to run."), "Nothing was started: The job began to run."),
        (Done(error="It runs by now."), "Nothing was started: It runs by now."),
        (
            done(ASKED, Doubted(at=after(1), attempt=1, error="No answer")),
            f"{DOUBT} No answer. {LOOK}",
        ),
        (
            done(ASKED),
            f"{DOUBT} its answer was not recorded. {LOOK}",
        ),
    ],
)
def test_what_came_of_it_is_told(outcome, told):
    assert text(done_lines(judged(), outcome, UTC)) == told
    assert (begun(outcome.run) is not None) is told.startswith("Started")


def test_a_mirror_has_no_vms_to_count():
    mirror = judged(None, (), job=make_job(type="mirrorBackup"))
    assert text(would_lines(mirror)) == "Would start all of it. Nothing was started or written."


def test_of_many_vms_the_first_are_named():
    some = verdict(action=Action.START_SOME, held=[held("vm0", "ON_HOLD")])
    some = type(some)(**{name: getattr(some, name) for name in some.__struct_fields__} | {"start_vms": MANY[1:]})
    told = text(would_lines(judged(some, MANY, names={"vm1": "\x1b[31mred"})))
    assert told.startswith("Would start 7 of 8 VMs (\ufffd[31mred, vm2, vm3, vm4, vm5 and 2 more).")


def test_what_holds_it_is_told_in_the_zone_that_is_asked_for():
    found = judged(verdict(finding(summary="Held until Wed 25 Nov 06:00 UTC."), action=Action.DEFER))
    assert "Held until Wed 25 Nov 06:00 UTC." in text(judged_lines(found))
    assert "Held until Wed 25 Nov 07:00 CET." in text(judged_lines(found, zone=ZoneInfo("Europe/Paris")))


def test_the_command_that_tells_how_it_ends_names_the_schedule_as_the_person_did():
    found = dataclasses.replace(judged(), wish=Wish("every night"))
    assert text(done_lines(found, done(ASKED, BEGAN), UTC)).endswith("How it ends: guard why 'every night'.")
