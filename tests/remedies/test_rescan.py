"""When an SR is scanned to wake a coalesce: for whom, how long before, how far from every run, how often; and what came of it."""

from __future__ import annotations

import dataclasses
from datetime import timedelta

import msgspec
import pytest
from guard.estate.observations import Observations, Progress, Waiting
from guard.lifecycle.remedy import Effect, RemedyKind, Result
from guard.remedies import rescan
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    NOW,
    make_estate,
    make_job,
    make_pbd,
    make_pool,
    make_schedule,
    make_server,
    make_sr,
    make_vbd,
    make_vdi,
    make_vm,
    make_xapi_task,
    make_xo_task,
    ms,
)
from tests.remedies.scenes import DAY, HOUR, MINUTE, chain, done, policy, saved, scene

CHAIN = chain()
TWO_JOBS = {
    "vms": [make_vm(), make_vm("other")],
    "vbds": [make_vbd(), make_vbd("other", "its")],
    "jobs": [make_job(), make_job("second", vms={"id": "other"})],
}


def world(**more):
    return make_estate(**CHAIN | more)


def wanted(*args, **more):
    return list(rescan.wanted(scene(world(**more), *args)))


def only(**more):
    (found,) = rescan.wanted(scene(**more))
    return found


def two(other_cron, estate=None, **more):
    """A healthy VM on the same SR, which another job saves at another time."""
    schedules = [make_schedule(), make_schedule("its", job="second", cron=other_cron)]
    vdis = [*CHAIN["vdis"], make_vdi("its")]
    return world(**TWO_JOBS | {"vdis": vdis, "schedules": schedules} | more)


def seen(*, looked_at=NOW, waiting=("disk-0", "disk-1", "disk-2"), since=NOW - 8 * HOUR, collected=None, rate=()):
    return Observations(
        since=since,
        looked_at=looked_at,
        waiting={one: Waiting(sr="sr", child=f"disk-{int(one[-1]) + 1}", bytes=GIB, since=since) for one in waiting},
        collected={"sr": collected} if collected else {},
        progress={"sr": tuple(rate)} if rate else {},
    )


# --- which SRs


def test_a_healthy_sr_is_never_scanned():
    assert list(rescan.wanted(scene())) == []


def test_an_sr_whose_chain_keeps_a_vm_from_being_saved_is_scanned_at_once_where_its_run_is_less_than_four_hours_away():
    found = only(estate=world())
    assert (found.kind, found.scope.id, found.pool, found.aside) == (RemedyKind.RESCAN, "sr", "pool", "")
    assert (found.at, found.latest) == (NOW, DUE - HOUR)
    assert found.reason == "3 un-coalesced VDIs wait on sr and keep vm from being saved"
    assert [(one.schedule, one.due) for one in found.runs] == [("schedule", DUE)]
    assert [(one.name, one.value, one.unit) for one in found.before] == [
        ("waiting", 3, "VDIs"),
        ("too_long", 1, "chains"),
        ("tolerance", 1, "VDIs"),
        ("waiting_bytes", 6 * GIB, "bytes"),
    ]
    assert found.expected_at is None


def test_four_hours_before_is_as_early_as_it_gets_and_the_policy_can_change_that():
    assert only(estate=world(), now=DUE - 4 * HOUR - 20 * MINUTE).at == DUE - 4 * HOUR
    early = only(estate=world(), now=DUE - 8 * HOUR, within=9 * HOUR, rules=policy('look_ahead = "6 h"'))
    assert early.at == DUE - 6 * HOUR


def test_an_sr_that_is_told_as_stuck_is_scanned_also_where_no_vm_must_wait_yet():
    found = only(estate=make_estate(**chain(2), observations=seen(waiting=("disk-0",))))
    assert (found.aside, found.reason) == ("", "1 un-coalesced VDI waits on sr")


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"srs": [make_sr(other_config={"gc": "false"})]}, "coalesce is switched off there"),
        ({"srs": [make_sr(other_config={"coalesce": "false"})]}, "coalesce is switched off there"),
        ({"pbds": [make_pbd(attached=False), make_pbd(host="two")]}, "the pool's master has it unplugged"),
    ],
)
def test_what_no_scan_changes_is_no_reason_to_scan(more, why):
    assert only(estate=world(**more)).aside == f"a scan does not help: {why}"


def test_what_no_scan_changes_is_seen_also_where_the_check_that_tells_it_is_off():
    rules = policy(more='[checks.coalesce_stuck]\neffect = "off"\n')
    found = only(estate=world(srs=[make_sr(other_config={"gc": "false"})]), rules=rules)
    assert found.aside == "a scan does not help: coalesce is switched off there"


def test_an_sr_in_maintenance_is_left_alone():
    assert only(estate=world(srs=[make_sr(inMaintenanceMode=True)])).aside == "it is in maintenance mode"


def test_an_sr_of_a_pool_that_xo_has_lost_is_left_alone():
    lost = make_server(status="disconnected")
    assert only(estate=world(servers=[lost])).aside == "XO is not connected to its pool"


def test_nothing_is_scanned_while_a_pool_is_updated_host_by_host():
    assert only(estate=world(xo_tasks=[make_xo_task()])).aside == "a rolling pool update or reboot goes on"
    assert only(estate=world(xo_tasks=[make_xo_task(name="Backup")])).aside == ""
    assert only(estate=world(xo_tasks=[make_xo_task(status="success")])).aside == ""
    this, other = (make_xo_task(objectId=one) for one in ("pool", "far"))
    two = [make_pool(), make_pool("far")]
    assert only(estate=world(xo_tasks=[this], pools=two)).aside == "a rolling pool update or reboot goes on"
    assert only(estate=world(xo_tasks=[other], pools=two)).aside == ""


def test_chains_that_only_the_run_itself_will_make_too_long_are_no_reason_to_scan_yet():
    scene_now = scene(world())
    empty = dataclasses.replace(scene_now.estate, vdi_unmanaged=())
    (found,) = rescan.wanted(dataclasses.replace(scene_now, estate=empty))
    assert found.aside == "nothing waits there now"


def test_the_policy_can_forbid_scans():
    assert only(estate=world(), rules=policy("rescan = false")).aside == "the policy says [remedies] rescan = false"


def test_of_a_schedule_that_guard_only_watches_it_is_told_what_would_help():
    assert only(estate=world(), rules=policy(gate="observe")).aside == "the policy says observe for what needs it"


def test_an_sr_or_a_disk_that_xo_does_not_show_is_not_scanned():
    assert list(rescan.wanted(scene(world(srs=[])))) == []
    gone = dataclasses.replace(scene(world()), estate=make_estate(vdis=[]))
    assert list(rescan.wanted(gone)) == []


# --- coalesce and scans at work


def test_an_sr_where_a_coalesce_is_at_work_is_left_alone():
    task = make_xapi_task(applies_to="sr")
    assert only(estate=world(xapi_tasks=[task])).aside == "a coalesce is at work there now"


def test_an_sr_where_a_coalesce_was_seen_at_work_within_the_hour_is_left_alone():
    found = only(estate=world(observations=seen(collected=NOW - 59 * MINUTE)))
    assert found.aside == "a coalesce was seen at work there 59 min ago"
    assert only(estate=world(observations=seen(collected=NOW - 60 * MINUTE))).aside == ""
    assert only(estate=world(observations=seen(collected=NOW + DAY))).aside == ""  # the clock was set back


@pytest.mark.parametrize(
    ("task", "is_one"),
    [
        ({"name_label": "Async.SR.scan", "applies_to": "sr"}, True),
        ({"name_label": "SR.scan", "name_description": "scan of sr"}, True),
        ({"name_label": "SR.scan"}, True),
        ({"name_label": "SR.scan", "applies_to": "other"}, False),
        ({"name_label": "SR.scan", "status": "success"}, False),
        ({"name_label": "VM.snapshot"}, False),
    ],
)
def test_no_scan_is_begun_during_another_of_the_same_sr(task, is_one):
    assert only(estate=world(xapi_tasks=[make_xapi_task(**task)])).aside == ("a scan goes on" if is_one else "")


# --- away from runs


def test_a_scan_keeps_an_hour_away_from_a_run_of_any_job_on_that_sr_before_and_after():
    assert only(estate=two("30 22 * * *")).aside == "no hour is free of runs on it before then"
    assert only(estate=two("0 23 * * *")).at == NOW
    assert only(estate=two("59 22 * * *")).aside == "no hour is free of runs on it before then"
    early = only(estate=two("0 21 * * *"), now=DUE - 4 * HOUR)
    assert (early.at, early.latest) == (DUE - 4 * HOUR, DUE - 4 * HOUR)
    later = only(estate=two("30 20 * * *"), now=DUE - 4 * HOUR)
    assert (later.at, later.latest) == (DUE - 2.5 * HOUR, DUE - HOUR)


def test_a_scan_that_could_not_be_begun_in_time_is_not_begun_near_the_next_run():
    found = only(estate=two("30 21 * * *"), now=DUE - 4 * HOUR)
    assert (found.at, found.latest) == (DUE - 4 * HOUR, DUE - 3.5 * HOUR)


def test_where_it_is_too_late_for_the_first_run_it_is_done_for_the_next_one_that_it_can_help():
    schedules = [make_schedule(), make_schedule("again", cron="0 2 * * *")]
    found = only(estate=world(schedules=schedules), now=DUE - HOUR / 2, within=4 * HOUR)
    assert (found.at, found.latest, found.aside) == (DUE + HOUR, DUE + HOUR, "")


def test_a_run_to_another_sr_does_not_matter_and_a_replication_to_this_one_does():
    elsewhere = {"srs": [make_sr(), make_sr("far")], "vdis": [*CHAIN["vdis"], make_vdi("its", sr="far")]}
    assert only(estate=two("30 22 * * *", **elsewhere)).at == NOW
    jobs = [make_job(), make_job("second", vms={"id": "other"}, srs={"id": "sr"}, remotes=UNSET)]
    assert only(estate=two("30 22 * * *", **elsewhere, jobs=jobs)).aside == "no hour is free of runs on it before then"


def test_a_run_that_goes_on_there_puts_it_off_by_an_hour():
    jobs = [make_job(), make_job("second", vms={"id": "other"}, runId="run")]
    found = only(estate=two("0 12 * * *", jobs=jobs), now=DUE - 3 * HOUR)
    assert (found.at, found.aside) == (DUE - 2 * HOUR, "")


@pytest.mark.parametrize("ago", [59, 1, -1])
def test_a_run_that_ended_there_within_the_hour_puts_it_off_until_that_is_over(ago):
    now = NOW - HOUR
    at = now - ago * MINUTE
    log = saved(start=at - HOUR, seconds=3600)
    assert log.end == ms(at)
    assert only(estate=world(logs=[log]), now=now).at == at + HOUR
    assert only(estate=world(logs=[saved(start=now - 3 * HOUR, seconds=3600)]), now=now).at == now
    assert only(estate=world(logs=[saved(start=at - HOUR, seconds=3600, job="gone")]), now=now).at == now


# --- how often


@pytest.mark.parametrize("result", list(Result))
def test_the_same_sr_is_scanned_once_in_six_hours_whatever_came_of_it(result):
    before = [done("rescan", "sr", NOW - 5 * HOUR, result)]
    found = only(estate=world(), past=before)
    assert (found.at, found.latest, found.aside) == (NOW + HOUR, DUE - HOUR, "")
    late = only(estate=world(), past=[done("rescan", "sr", NOW - 4 * HOUR, result)])
    assert late.aside == "no hour is free of runs on it before then"
    again = only(estate=world(), past=[done("rescan", "sr", NOW - 4 * HOUR)], rules=policy('rescan_again = "4 h"'))
    assert (again.at, again.aside) == (NOW, "")


def test_scans_of_other_srs_and_other_remedies_do_not_count():
    before = [done("rescan", "far", NOW - HOUR), done("plug", "sr", NOW - HOUR)]
    assert only(estate=world(), past=before).at == NOW


def test_a_scan_of_a_time_that_is_yet_to_come_is_forgotten_as_the_clock_was_set_back_since():
    assert only(estate=world(), past=[done("rescan", "sr", NOW + DAY)]).at == NOW
    assert only(estate=world(), past=[done("rescan", "sr", NOW + 59 * MINUTE)]).at > NOW + 6 * HOUR


# --- runs that wait


def waits(now, **more):
    (need,) = scene(world(), now=DUE - HOUR).needs
    return scene(world(), now=now, waiting=[dataclasses.replace(need, waits=True, **more)], come=[(DUE, need.job)])


def test_for_a_run_that_waits_it_is_scanned_an_hour_after_the_due_time_and_not_only_at_that_very_moment():
    (found,) = rescan.wanted(waits(DUE + 10 * MINUTE))
    assert (found.at, found.latest, found.aside) == (DUE + HOUR, DUE + HOUR + 15 * MINUTE, "")
    (found,) = rescan.wanted(waits(DUE + 2 * HOUR))
    assert (found.at, found.latest, found.aside) == (DUE + 2 * HOUR, DUE + 2 * HOUR + 15 * MINUTE, "")


def test_a_run_that_waits_without_guard_s_say_is_no_reason():
    (found,) = rescan.wanted(waits(DUE + 2 * HOUR, enforced=False))
    assert found.aside == "the policy says observe for what needs it"


def test_that_scan_too_keeps_away_from_the_next_run():
    now = DUE + 2 * HOUR
    (need,) = scene(world(), now=DUE - HOUR).needs
    soon = scene(
        world(schedules=[make_schedule(cron="5 3 * * *")]), now=now, waiting=[dataclasses.replace(need, waits=True)]
    )
    (found,) = rescan.wanted(soon)
    assert (found.at, found.latest) == (now, now + 5 * MINUTE)


# --- when it should be through


def test_the_learned_rate_says_when_the_chains_should_be_short_enough():
    rate = [Progress(pairs=1, bytes=GIB, seconds=1800.0), Progress(pairs=1, bytes=GIB, seconds=1200.0)]
    found = only(estate=world(observations=seen(rate=rate)))
    assert {one.name: (one.value, one.unit) for one in found.before[4:]} == {
        "coalesce_rate": (2.0, "VDIs/h"),
        "coalesce_rate_slow": (2.0, "VDIs/h"),
        "coalesce_bytes": (2 * GIB, "bytes/h"),
    }
    assert found.expected_at == NOW + HOUR  # two of the three: XO tolerates one


def test_where_no_chain_is_too_long_the_learned_rate_says_when_all_of_it_is_merged():
    rate = [Progress(pairs=1, bytes=GIB, seconds=1800.0)]
    observations = seen(waiting=("disk-0",), rate=rate)
    found = only(estate=make_estate(**chain(2), observations=observations))
    assert (found.aside, found.expected_at) == ("", NOW + timedelta(minutes=30))


# --- what came of it


def measured(left, *, before=3, at=NOW, after=HOUR, **more):
    remedy = only(estate=world())
    remedy = done("rescan", "sr", at, before=remedy.before, **more)
    assert remedy.before[0].value == before
    observations = seen(looked_at=at + after, waiting=[f"disk-{one}" for one in range(left)])
    now_there = chain(left + 1) if left else {}
    return rescan.seen_again(remedy, make_estate(**now_there, observations=observations), at + after)


def test_fewer_that_wait_means_that_it_helped_and_no_chain_too_long_that_it_is_through():
    part = measured(2)
    assert (part.effect, part.effect_at, part.after[0].value) == (Effect.HELPED, None, 2)
    assert (part.after[0].name, part.after[0].source) == ("left", "XO's observations")
    for left in (1, 0):
        through = measured(left)
        assert (through.effect, through.effect_at, through.after[0].value) == (Effect.HELPED, NOW + HOUR, left)
        assert (through.after[1].name, through.after[1].value) == ("too_long", 0)


def test_where_no_chain_was_too_long_it_is_through_when_nothing_waits():
    before = only(estate=make_estate(**chain(2), observations=seen(waiting=("disk-0",)))).before
    remedy = done("rescan", "sr", NOW, before=before)
    told = rescan.seen_again(remedy, make_estate(observations=seen(looked_at=NOW + HOUR, waiting=())), NOW + HOUR)
    assert [(one.name, one.value) for one in told.after] == [("left", 0)]
    assert told.effect_at == NOW + HOUR


def test_as_many_as_before_is_no_effect_yet_and_after_six_hours_none():
    assert measured(3).effect is Effect.PENDING
    assert measured(3, after=6 * HOUR).effect is Effect.NOTHING


def test_once_it_helped_it_helped_also_when_the_next_run_leaves_new_ones():
    assert measured(3, after=7 * HOUR, effect=Effect.HELPED).effect is Effect.HELPED


def test_the_rate_learned_meanwhile_is_told():
    remedy = done("rescan", "sr", NOW, before=only(estate=world()).before)
    observations = seen(looked_at=NOW + HOUR, rate=[Progress(pairs=1, bytes=GIB, seconds=1800.0)])
    told = rescan.seen_again(remedy, make_estate(observations=observations), NOW + HOUR)
    assert [(one.name, one.value, one.unit) for one in told.after] == [
        ("left", 3, "VDIs"),
        ("too_long", 0, "chains"),
        ("coalesce_rate", 2.0, "VDIs/h"),
    ]


@pytest.mark.parametrize("more", [{"result": Result.FAILED}, {"effect_at": NOW, "effect": Effect.HELPED}])
def test_what_failed_or_is_through_is_not_measured_again(more):
    remedy = done("rescan", "sr", NOW, **{"before": only(estate=world()).before} | more)
    assert rescan.seen_again(remedy, make_estate(observations=seen(looked_at=NOW + HOUR)), NOW + HOUR) is remedy


def test_a_look_before_it_and_an_estate_without_looks_tell_nothing():
    remedy = done("rescan", "sr", NOW, before=only(estate=world()).before)
    assert rescan.seen_again(remedy, make_estate(observations=seen()), NOW + HOUR) is remedy
    assert rescan.seen_again(remedy, make_estate(), NOW + HOUR) is remedy


def test_one_whose_figures_are_lost_is_measured_all_the_same():
    told = rescan.seen_again(
        done("rescan", "sr", NOW), make_estate(observations=seen(looked_at=NOW + HOUR)), NOW + HOUR
    )
    assert (told.after[0].value, told.effect) == (3, Effect.PENDING)
    assert msgspec.json.decode(msgspec.json.encode(told), type=type(told)) == told
