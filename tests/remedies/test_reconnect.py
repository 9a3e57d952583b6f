"""When a server that XO lost is reconnected, when it is left to XO or to a person, and what came of it."""

from __future__ import annotations

import dataclasses

import pytest
from guard.lifecycle.remedy import Effect, RemedyKind, Result
from guard.remedies import reconnect
from msgspec import UNSET
from tests.builders import (
    DUE,
    NOW,
    make_estate,
    make_job,
    make_pool_facts,
    make_schedule,
    make_server,
    make_xo_task,
)
from tests.remedies.scenes import DAY, HOUR, MINUTE, done, policy, scene

SOON = 15 * MINUTE
JOB = make_job(vms={"id": {"__or": ["vm", "away"]}})


def lost(id_="lost", **more):
    return make_server(id_, **{"status": "disconnected", "error": {"code": "ECONNRESET"}} | more)


def world(*servers, **more):
    """A job that lists a VM of a pool which XO does not show."""
    return make_estate(**{"jobs": [JOB], "servers": [make_server(), *(servers or (lost(),))]} | more)


def only(**more):
    (found,) = reconnect.wanted(scene(**more))
    return found


def test_a_connected_server_is_left_alone():
    assert list(reconnect.wanted(scene())) == []


def test_a_lost_server_that_a_run_misses_is_reconnected_a_quarter_of_an_hour_before_it():
    found = only(estate=world())
    assert (found.kind, found.scope.id, found.aside) == (RemedyKind.RECONNECT, "lost", "")
    assert (found.at, found.latest) == (DUE - SOON, DUE)
    assert found.reason == "XO is not connected to lost (ECONNRESET), and schedule needs its pool"
    assert [(one.name, one.value) for one in found.before] == [("status", "disconnected")]
    assert [one.due for one in found.runs] == [DUE]


def test_nearer_than_that_it_is_reconnected_at_once():
    assert only(estate=world(), now=DUE - MINUTE).at == DUE - MINUTE


def test_an_error_that_xo_tells_in_other_ways_is_told_as_far_as_it_goes():
    assert "(gone away)" in only(estate=world(lost(error={"message": "gone away"}))).reason
    assert only(estate=world(lost(error="odd"))).reason.startswith("XO is not connected to lost, and")
    assert only(estate=world(lost(error=UNSET))).reason.startswith("XO is not connected to lost, and")


def test_one_that_no_run_misses_is_left_alone():
    assert list(reconnect.wanted(scene(make_estate(servers=[make_server(), lost()])))) == []


def test_a_pool_of_which_xo_still_shows_the_vms_is_missed_although_no_server_tells_its_name_any_more():
    stale = make_estate(servers=[lost()])
    assert only(estate=stale).scope.id == "lost"
    told = make_estate(servers=[lost(poolId="pool")])
    assert only(estate=told).pool == "pool"
    other = make_estate(servers=[lost(poolId="other")])
    assert list(reconnect.wanted(scene(other))) == []


def test_a_pool_that_no_server_ever_had_is_nothing_to_reconnect():
    job = make_job(vms={"power_state": "Running", "$pool": {"id": "never"}})
    assert list(reconnect.wanted(scene(make_estate(jobs=[job])))) == []


def test_several_runs_are_told_as_several_and_the_first_decides():
    schedules = [make_schedule(), make_schedule("early", cron="30 23 * * *")]
    found = only(estate=world(schedules=schedules))
    assert found.at == DUE - HOUR / 2 - SOON
    assert found.reason.endswith("early, schedule need its pool")
    rules = policy(more='[[schedule]]\nname = "early"\ngate = "observe"\n')
    assert only(estate=world(schedules=schedules), rules=rules).at == DUE - SOON


@pytest.mark.parametrize(
    ("server", "why"),
    [
        (lost(enabled=False), "somebody switched it off in XO"),
        (
            lost(error={"code": "SESSION_AUTHENTICATION_FAILED"}),
            "XO is refused there: its password, or another server of the same pool, stands in the way",
        ),
        (
            lost(error={"connectedServerId": "server"}),
            "XO is refused there: its password, or another server of the same pool, stands in the way",
        ),
        (lost(status="connecting"), "XO is connecting to it"),
    ],
)
def test_what_a_person_must_see_to_or_xo_is_at_is_left_to_them(server, why):
    # the second one may be the pool's: without it VMs that are missing count as deleted
    found = {one.scope.id: one.aside for one in reconnect.wanted(scene(world(server, lost("second"))))}
    assert found == {"lost": why, "second": ""}


def test_a_pool_that_does_not_answer_guard_either_is_left_alone():
    silent = make_pool_facts("lost", answered=False)
    assert only(estate=world(pool_facts=[silent])).aside == "the pool does not answer guard either"
    refused = make_pool_facts("lost", answered=False, refused=True)
    assert only(estate=world(pool_facts=[refused])).aside == ""
    alive = make_pool_facts("lost")
    assert only(estate=world(pool_facts=[alive])).aside == ""
    elsewhere = make_pool_facts("other", answered=False, address="192.0.2.7")
    assert only(estate=world(pool_facts=[elsewhere])).aside == ""


def test_a_server_whose_address_is_no_address_is_no_crash():
    silent = make_pool_facts("lost", answered=False)
    assert only(estate=world(lost(host="[::1"), pool_facts=[silent])).aside == ""


def test_without_facts_of_pools_xo_s_word_is_enough():
    found = world()
    asked = dataclasses.replace(found, parts={name: part for name, part in found.parts.items() if name != "pool_facts"})
    assert only(estate=asked).aside == ""


def test_nothing_is_reconnected_while_a_pool_is_updated_host_by_host():
    assert only(estate=world(xo_tasks=[make_xo_task()])).aside == "a rolling pool update or reboot goes on"
    assert (
        only(estate=world(xo_tasks=[make_xo_task(objectId="away")])).aside == "a rolling pool update or reboot goes on"
    )
    assert only(estate=world(xo_tasks=[make_xo_task(objectId="pool")])).aside == ""  # that one is still shown


def test_the_policy_can_forbid_it_and_watched_schedules_only_tell_it():
    assert (
        only(estate=world(), rules=policy("reconnect = false")).aside == "the policy says [remedies] reconnect = false"
    )
    found = only(estate=world(), rules=policy(gate="observe"))
    assert (found.aside, found.at) == ("the policy says observe for what needs it", DUE - SOON)


def test_it_is_tried_once_an_hour_whatever_came_of_it():
    for result in Result:
        found = only(estate=world(), past=[done("reconnect", "lost", NOW - 59 * MINUTE, result)])
        assert found.aside == "guard tried 59 min ago; once an hour is enough"
    assert only(estate=world(), past=[done("reconnect", "lost", NOW - HOUR)]).aside == ""
    assert only(estate=world(), past=[done("reconnect", "server", NOW)]).aside == ""
    assert "0 s ago" in only(estate=world(), past=[done("reconnect", "lost", NOW + MINUTE)]).aside
    assert only(estate=world(), past=[done("reconnect", "lost", NOW + DAY)]).aside == ""  # the clock was set back


def test_for_a_run_that_waits_it_is_done_at_once_and_not_only_at_that_very_moment():
    (need,) = scene(world()).needs
    late = scene(world(), now=DUE + MINUTE, waiting=[dataclasses.replace(need, waits=True)])
    (found,) = reconnect.wanted(late)
    assert (found.at, found.latest, found.aside) == (DUE + MINUTE, DUE + MINUTE + SOON, "")
    left = scene(world(), now=DUE + MINUTE, waiting=[dataclasses.replace(need, waits=True, enforced=False)])
    (found,) = reconnect.wanted(left)
    assert found.aside == "the policy says observe for what needs it"


def test_a_run_of_a_pool_by_name_misses_the_server_that_is_away():
    job = make_job(vms={"$pool": {"id": "away"}})
    assert only(estate=world(jobs=[job])).aside == ""


# --- what came of it


def again(status, *, after=MINUTE, read=MINUTE, **more):
    remedy = done("reconnect", "lost", NOW, before=only(estate=world()).before, **more)
    servers = [lost(status=status)] if status else []
    estate = make_estate(servers=servers, reading={"servers": {"read_at": NOW + read}})
    return remedy, reconnect.seen_again(remedy, estate, NOW + after)


def test_a_server_that_is_connected_now_was_helped():
    _, told = again("connected")
    assert (told.effect, told.effect_at) == (Effect.HELPED, NOW + MINUTE)
    assert [(one.name, one.value, one.observed_at) for one in told.after] == [("status", "connected", NOW + MINUTE)]


def test_one_that_is_not_is_given_a_quarter_of_an_hour():
    assert again("connecting")[1].effect is Effect.PENDING
    assert again("disconnected", after=SOON)[1].effect is Effect.NOTHING
    assert again("disconnected", after=SOON, result=Result.OPEN)[1].effect is Effect.PENDING
    assert again("connected", after=SOON, result=Result.UNKNOWN)[1].effect is Effect.HELPED


def test_what_was_read_before_it_or_is_settled_or_gone_tells_nothing():
    for remedy, told in (
        again("connected", read=0 * MINUTE),
        again("connected", effect=Effect.NOTHING),
        again(None),
    ):
        assert told is remedy
