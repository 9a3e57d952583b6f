"""Which PBDs are plugged for which VMs, when that is left to a person, and what came of it."""

from __future__ import annotations

import pytest
from guard.lifecycle.remedy import Effect, RemedyKind, Result
from guard.remedies import plug
from tests.builders import (
    DUE,
    NOW,
    make_estate,
    make_host,
    make_job,
    make_pbd,
    make_pool,
    make_server,
    make_sr,
    make_vbd,
    make_vdi,
    make_vm,
    make_xo_task,
)
from tests.remedies.scenes import HOUR, MINUTE, done, policy, saved, scene

SOON = 15 * MINUTE
AWAY = [make_pbd(attached=False)]


def world(**more):
    return make_estate(**{"pbds": AWAY, "logs": [saved()]} | more)


def only(**more):
    (found,) = plug.wanted(scene(**more))
    return found


def targets(**more):
    return [one.scope.id for one in plug.wanted(scene(world(**more)))]


def test_what_is_plugged_is_left_alone():
    assert list(plug.wanted(scene())) == []


def test_a_pbd_that_is_not_plugged_where_a_run_needs_it_is_plugged_a_quarter_of_an_hour_before():
    found = only(estate=world())
    assert (found.kind, found.scope.id, found.scope.name) == (RemedyKind.PLUG, "sr@host", "sr on host")
    assert (found.at, found.latest, found.aside, found.pool) == (DUE - SOON, DUE, "", "pool")
    assert found.reason == "sr is not plugged on host, and schedule needs it"
    assert [(one.name, one.value) for one in found.before] == [("attached", False)]


def test_a_running_vm_needs_it_on_its_own_host_and_nowhere_else():
    hosts = [make_host(), make_host("two")]
    pbds = [make_pbd(attached=False), make_pbd(host="two", attached=False)]
    assert targets(hosts=hosts, pbds=pbds) == ["sr@host"]
    assert targets(hosts=hosts, pbds=pbds, vms=[make_vm(container="two")]) == ["sr@two"]
    assert targets(hosts=hosts, pbds=[make_pbd(host="two", attached=False)]) == []


def test_halted_vms_need_it_on_one_host_the_master_before_others():
    hosts = [make_host("one"), make_host("two"), make_host("three")]
    pbds = [make_pbd(host=one.id, attached=False) for one in hosts]
    halted = [make_vm(power_state="Halted", container="pool")]
    assert targets(hosts=hosts, pbds=pbds, vms=halted, pools=[make_pool(master="two")]) == ["sr@two"]
    assert targets(hosts=hosts, pbds=pbds, vms=halted, pools=[make_pool(master="gone")]) == ["sr@one"]
    assert targets(hosts=hosts, pbds=pbds, vms=halted, pools=[]) == ["sr@one"]


def test_a_halted_vm_is_served_where_a_running_one_needs_it():
    hosts = [make_host("one"), make_host("two")]
    pbds = [make_pbd(host=one.id, attached=False) for one in hosts]
    vms = [make_vm("a", container="two"), make_vm("b", power_state="Halted", container="pool")]
    disks = {"vbds": [make_vbd("a", "da"), make_vbd("b", "db")], "vdis": [make_vdi("da"), make_vdi("db")]}
    job = make_job(vms={"id": {"__or": ["a", "b"]}})
    found = list(plug.wanted(scene(world(hosts=hosts, pbds=pbds, vms=vms, jobs=[job], logs=[saved("a")], **disks))))
    assert [(one.scope.id, len(one.runs), one.aside) for one in found] == [("sr@two", 1, "")]


@pytest.mark.parametrize("host", [make_host(enabled=False), make_host(power_state="Halted")])
def test_a_host_that_is_not_there_is_not_asked_to_plug_anything(host):
    assert targets(hosts=[host]) == []


def test_a_host_that_xo_does_not_show_goes_by_its_id():
    assert only(estate=world(hosts=[])).scope.name == "sr on host"


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"srs": [make_sr(inMaintenanceMode=True)]}, "somebody put it into maintenance mode"),
        ({"xo_tasks": [make_xo_task()]}, "a rolling pool update or reboot goes on"),
        ({"logs": []}, "no VM on it was ever saved as far as XO's logs tell, so it may be unplugged on purpose"),
        (
            {"logs": [saved("other")]},
            "no VM on it was ever saved as far as XO's logs tell, so it may be unplugged on purpose",
        ),
    ],
)
def test_what_may_be_unplugged_with_good_reason_stays_so(more, why):
    assert only(estate=world(**more)).aside == why


def test_what_xo_still_shows_of_a_pool_that_it_lost_is_left_alone():
    # as a rule the lost pool is told in its place
    rules = policy(more='[checks.connectivity]\neffect = "warn"\n')
    found = only(estate=world(servers=[make_server(status="disconnected")]), rules=rules)
    assert found.aside == "XO is not connected to its pool"


def test_the_policy_can_forbid_it_and_watched_schedules_only_tell_it():
    assert only(estate=world(), rules=policy("plug = false")).aside == "the policy says [remedies] plug = false"
    assert only(estate=world(), rules=policy(gate="observe")).aside == "the policy says observe for what needs it"


def test_it_is_tried_once_an_hour():
    found = only(estate=world(), past=[done("plug", "sr@host", NOW - 30 * MINUTE, Result.FAILED)])
    assert found.aside == "guard tried 30 min ago; once an hour is enough"
    assert only(estate=world(), past=[done("plug", "sr@host", NOW - HOUR)]).aside == ""


def test_an_sr_that_xo_does_not_show_is_nothing_to_plug():
    need = scene(world())
    assert list(plug.wanted(type(need)(make_estate(srs=[]), NOW, need.policy, need.needs, need.dues))) == []


# --- what came of it


def again(attached, *, after=MINUTE, read=MINUTE, **more):
    remedy = done("plug", "sr@host", NOW, before=only(estate=world()).before, **more)
    pbds = [make_pbd(attached=attached)] if attached is not None else []
    estate = make_estate(pbds=pbds, reading={"pbds": {"read_at": NOW + read}})
    return remedy, plug.seen_again(remedy, estate, NOW + after)


def test_one_that_is_attached_now_was_helped():
    _, told = again(True)
    assert (told.effect, told.effect_at) == (Effect.HELPED, NOW + MINUTE)
    assert [(one.name, one.value) for one in told.after] == [("attached", True)]


def test_one_that_is_not_is_given_a_quarter_of_an_hour():
    assert again(False)[1].effect is Effect.PENDING
    assert again(False, after=SOON)[1].effect is Effect.NOTHING
    assert again(False, after=SOON, result=Result.OPEN)[1].effect is Effect.PENDING


def test_what_was_read_before_it_or_is_settled_or_gone_tells_nothing():
    for remedy, told in (again(True, read=0 * MINUTE), again(True, effect=Effect.NOTHING), again(None)):
        assert told is remedy
