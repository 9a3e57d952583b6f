"""[remedies] lower_concurrency: fewer VMs at once in one run, and no other setting of any verdict."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from guard.assess import Situation, assess, look_again, make_plan
from guard.checks.fewer_at_once import FITS
from guard.decision.concurrency import CONCURRENCY, fewer_at_once
from guard.decision.decide import decide
from guard.decision.verdict import Action
from guard.finding import Certainty, ClearedBy, Clears, Fact, Finding, Harm, Level, Scope, ScopeKind
from guard.lifecycle.by_hand import CHAIN_BYPASS, HOLDING
from guard.mechanics.fewer_at_once import PastRun
from guard.policy.load import load
from guard.policy.resolve import effective
from hypothesis import given
from hypothesis import strategies as st
from msgspec import UNSET
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    make_base_copy,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_sequence,
    make_transfer,
    make_vdi,
    make_view,
    make_vm_task,
)
from tests.checks.test_fewer_at_once import NAMES, observed, world

ON = "[remedies]\nlower_concurrency = true\n"


def policy(text=ON):
    return load(f'xo.url = "https://xo"\n{text}', file="policy")


def plan(rules=ON, **changes):
    (one,) = make_plan(
        make_estate(**world(**changes)), policy(rules), now=NOW, start=NOW, within=timedelta(hours=12)
    ).runs
    return one.verdict


def told(verdict):
    return [(one.code, one.level) for one in verdict.findings if one.scope.kind is ScopeKind.SR]


def test_a_run_is_started_whole_with_fewer_vms_at_once_where_the_policy_says_so():
    found = plan()
    assert (found.action, found.start_vms, found.held, found.harm) == (Action.START, NAMES, (), Harm.NONE)
    assert found.settings == {"": {"concurrency": 1}}
    assert found.sentence == "8 VMs start with concurrency 1 instead of 4 for this run; 2 warnings."
    first, second = [one for one in found.findings if one.scope.kind is ScopeKind.SR]
    assert first.summary == (
        "sr: 70.0 GiB free, and all snapshots of this run together need 160.4 GiB; with 1 VM at once in place of 4 they fit, "
        "as that SR gives back what deleted ones took. The run may last up to 8 h."
    )
    assert (first.level, first.certainty, first.holds) == (Level.WARN, Certainty.LIKELY, ())
    assert second.level is Level.WARN


def test_by_default_vms_are_held_as_ever():
    found = plan("")
    assert (found.action, found.start_vms, found.settings) == (Action.START_SOME, NAMES[5:], {})
    assert "concurrency" not in found.sentence


def test_a_job_that_has_no_more_at_once_is_started_as_it_is():
    found = plan(settings={"": {"concurrency": 1}, "schedule": {}})
    assert (found.action, found.settings) == (Action.START, {})
    assert found.sentence.startswith("8 VMs, nothing stands in the way;")
    assert next(one.summary.partition("; ")[2] for one in found.findings if one.scope.kind is ScopeKind.SR) == (
        "with 1 VM at once they fit, as that SR gives back what deleted ones took."
    )


@pytest.mark.parametrize(
    ("settings", "key"),
    [
        ({"": {"concurrency": 4}, "schedule": {"concurrency": 3}}, "schedule"),
        ({"schedule": {"concurrency": None}}, "schedule"),
        ({"": {}, "schedule": {}}, ""),
    ],
)
def test_the_setting_is_put_where_xo_lets_it_win(settings, key):
    assert plan(settings=settings).settings == {key: {"concurrency": 1}}


def test_a_job_without_settings_is_refused_as_ever():
    found = plan(jobs=[make_job(mode="full", vms={"id": {"__or": list(NAMES)}}, settings=UNSET)])
    assert (found.action, found.settings) == (Action.REFUSE, {"": {"concurrency": 1}})
    assert "XO would crash" in found.clears


def test_a_member_of_a_sequence_is_started_by_xo_without_settings_and_has_none():
    found = plan(
        schedules=[make_schedule(enabled=False), make_schedule("seq", job="sequence-job")],
        call_jobs=[make_sequence("schedule")],
    )
    assert (found.action, found.settings) == (Action.START_SOME, {})


def test_what_is_held_for_another_reason_stays_out_and_the_rest_starts_with_fewer():
    chain = [make_base_copy(f"b{at}", parent=f"b{at - 1}" if at > 1 else UNSET) for at in range(1, 4)]
    disks = [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208) for name in NAMES[1:]]
    ill = make_vdi("vm0-disk", size=100 * GIB, usage=107_592_286_208, parent="b3")
    found = plan(vdis=[*disks, ill], vdi_unmanaged=chain, observations=observed(60, 3600))
    assert (found.action, found.start_vms) == (Action.START_SOME, NAMES[1:])
    assert found.settings == {"": {"concurrency": 1}}
    assert found.sentence == (
        "1 of 8 VMs held (vm0): CHAIN_UNHEALTHY. The others start with concurrency 1 instead of 4 for this run."
    )


def test_why_it_is_lowered_is_said_beside_a_vm_that_can_never_fit():
    disks = [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208) for name in NAMES[1:]]
    disks.append(make_vdi("vm0-disk", size=100 * GIB, usage=10 * GIB))
    found = plan(vdis=disks)
    assert (found.action, [one.vm for one in found.held]) == (Action.START_SOME, ["vm0"])
    assert told(found) == [("SR_NO_SPACE", Level.BLOCK), ("SR_NO_SPACE", Level.WARN)]
    assert "concurrency 1 instead of 4" in found.sentence


def test_what_a_person_overrides_is_no_reason_for_a_setting():
    estate = make_estate(**world())
    ((_, found),) = look_again(
        estate,
        policy(),
        [(make_due(), frozenset())],
        now=NOW,
        situation=Situation(overridden=frozenset({"SR_NO_SPACE"})),
    )
    assert (found.action, found.settings) == (Action.START, {})


# --- the findings


def space(slots, *, level=Level.BLOCK, harm=Harm.NONE, code="SR_NO_SPACE", sr="sr", expected=7):
    figures = [("free", 5), ("need_expected", expected), ("need_at_most", 9), (FITS, slots)]
    return Finding(
        code=code,
        check="sr_space",
        level=level,
        certainty=Certainty.LIKELY,
        harm=harm,
        scope=Scope(ScopeKind.SR, sr, sr),
        holds=("vm0",),
        summary="Too little room.",
        facts=tuple(Fact(name=name, value=value, unit="", source="", observed_at=None) for name, value in figures),
        remedy="Free some.",
        clears=Clears(ClearedBy.PERSON),
    )


def past():
    return [PastRun(seconds=7200, at_once=4)]


def run():
    return make_view(make_estate(**world())).run


def test_of_several_srs_the_tightest_counts():
    one, other, third = space(3), space(2, sr="two", expected=None), space(1, level=Level.WARN)
    found, fewer = fewer_at_once([one, other, third], run(), past=past)
    assert (fewer.slots, fewer.usual, fewer.settings) == (2, 4, {"": {"concurrency": 2}})
    assert [item.level for item in found] == [Level.WARN] * 3
    assert fewer.said == tuple(found[:2])
    told = "with 2 VMs at once in place of 4 they fit, as that SR gives back what deleted ones took. The run may last up to 4 h."
    assert [item.summary for item in found[:2]] == [
        f"sr: 5 B free, and all snapshots of this run together need 7 B; {told}",
        f"two: 5 B free, and all snapshots of this run together need 9 B; {told}",
    ]


@pytest.mark.parametrize(
    "finding",
    [space(1, harm=Harm.PRODUCTION), space(1, level=Level.UNKNOWN), space(1, code="REPOSITORY_NO_SPACE"), space(None)],
    ids=["would hurt a guest", "unknown", "another thing", "no figure"],
)
def test_nothing_else_is_a_reason(finding):
    assert fewer_at_once([finding], run(), past=past) == ([finding], None)


# --- the time it takes


HELD = (Action.START_SOME, {})
FEWER = (Action.START, {"": {"concurrency": 1}})


@pytest.mark.parametrize(
    ("cron", "expected"),
    # the past runs took two hours with four at once: up to eight with one
    [("0 0 * * *", FEWER), ("0 0,9 * * *", FEWER), ("0 0,8 * * *", HELD), ("0 * * * *", HELD)],
)
def test_a_run_that_may_last_into_the_next_one_is_left_as_it_is(cron, expected):
    estate = make_estate(**world(schedules=[make_schedule(cron=cron)]))
    found = make_plan(estate, policy(), now=NOW, start=NOW + timedelta(minutes=1), within=timedelta(hours=2)).runs[-1]
    assert (found.verdict.action, found.verdict.settings) == expected


@pytest.mark.parametrize(("cron", "expected"), [("0 8 * * *", HELD), ("1 8 * * *", FEWER)])
def test_so_is_one_that_may_last_into_another_schedule_of_its_job(cron, expected):
    settings = {"": {"concurrency": 4}, "schedule": {"exportRetention": 7}, "later": {"exportRetention": 7}}
    schedules = [make_schedule(), make_schedule("later", cron=cron)]
    estate = make_estate(**world(settings=settings, schedules=schedules))
    found = make_plan(estate, policy(), now=NOW, start=NOW, within=timedelta(hours=3)).runs[0].verdict
    assert (found.action, found.settings) == expected


@pytest.mark.parametrize(("duration", "expected"), [("479 min", HELD), ("8 h", FEWER)])
def test_so_is_one_that_may_last_beyond_its_window(duration, expected):
    window = f'[[window]]\nkind = "allow"\ncron = "0 0 * * *"\nduration = "{duration}"\nzone = "utc"\n'
    found = plan(ON + window)
    assert (found.action, found.settings) == expected


def test_windows_are_nothing_to_a_run_that_lasts_no_longer():
    window = '[[window]]\nkind = "allow"\ncron = "0 0 * * *"\nduration = "1 min"\nzone = "utc"\n'
    found = plan(ON + window, settings={"": {"concurrency": 1}, "schedule": {}})
    assert (found.action, found.settings) == (Action.START, {})


def test_one_whose_length_no_past_tells_is_left_as_it_is():
    assert fewer_at_once([space(2)], run(), past=tuple)[1] is None
    by_no_cron = make_view(make_estate(**world()), due=make_due(cron="")).run
    assert fewer_at_once([space(2)], by_no_cron, past=past)[1] is None
    assert fewer_at_once([space(4)], run(), past=tuple)[1].settings == {}


def test_what_the_past_tells_is_asked_only_where_it_matters():
    def asked():
        raise AssertionError("asked for nothing")

    assert fewer_at_once([space(None)], run(), past=asked)[1] is None


def test_a_run_that_was_lowered_before_tells_how_long_the_next_one_takes():
    """Nobody is held again the night after, because the runs with one VM at once are as long as they are."""
    names = NAMES
    lowered = [
        make_transfer(20 * GIB, full=True, seconds=1200, start=LAST_NIGHT + timedelta(seconds=1200 * at))
        for at in range(8)
    ]
    logs = [
        make_log(
            *(make_vm_task(name, one) for name, one in zip(names, lowered, strict=True)), start=LAST_NIGHT, id="lowered"
        )
    ]
    found = plan(logs=logs)
    assert (found.action, found.settings) == FEWER
    assert "The run may last up to 2 h 40 min." in found.findings[-2].summary


# --- no other setting, ever


FIGURES = tuple(
    Fact(name=name, value=GIB, unit="bytes", source="", observed_at=None)
    for name in ("free", "need_expected", "need_at_most")
)
FINDINGS = st.builds(
    Finding,
    code=st.sampled_from(sorted(HOLDING)),
    check=st.just("any"),
    level=st.sampled_from(Level),
    certainty=st.sampled_from(Certainty),
    harm=st.sampled_from(Harm),
    scope=st.builds(Scope, st.sampled_from(ScopeKind), st.just("x"), st.just("x")),
    holds=st.lists(st.sampled_from(NAMES), max_size=3, unique=True).map(tuple),
    summary=st.just("told"),
    facts=st.lists(
        st.builds(
            Fact,
            name=st.sampled_from([FITS, CHAIN_BYPASS]),
            value=st.integers(1, 4) | st.none(),
            unit=st.just(""),
            source=st.just(""),
            observed_at=st.none(),
        ),
        max_size=4,
    ).map(lambda made: (*made, *FIGURES)),
    remedy=st.just("act"),
    clears=st.just(Clears(ClearedBy.TIME)),
)


@given(st.lists(FINDINGS, max_size=6), st.sampled_from(["start", "defer", "refuse"]), st.booleans())
def test_no_verdict_ever_switches_off_a_check_of_xo(findings, on_unknown, lowers):
    told, fewer = fewer_at_once(findings, run(), past=past) if lowers else (findings, None)
    held = {vm: (one,) for one in told if one.level is Level.BLOCK for vm in one.holds}
    found = decide(
        vms=NAMES,
        names={},
        findings=told,
        held=held,
        deadlines={},
        deadline=datetime(2026, 11, 25, 4, tzinfo=UTC),
        on_unknown=on_unknown,
        overlap="skip",
        zone=UTC,
        fewer=fewer,
    )
    changed = {name for one in found.settings.values() for name in one}
    assert changed <= {CONCURRENCY}
    assert not any(name in NAMES for name in found.settings)
    assert all(1 <= one[CONCURRENCY] < 4 for one in found.settings.values())


def test_the_policy_may_be_one_of_every_schedule():
    view = make_view(make_estate(**world()))
    rules = effective(policy(), schedule_id="schedule", schedule_name="s", job_name="j", tags=())
    assert assess(view.outlook, view.run, rules, UTC).settings == {"": {"concurrency": 1}}
