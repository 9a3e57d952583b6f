"""Why each try to back a VM up since its last good backup came to nothing."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.coverage.attempts import KEPT, KEPT_OF_MANY, MANY, attempts_of, key_of
from guard.coverage.stale import Age, StaleVm
from guard.decision.verdict import Action
from guard.finding import Scope, ScopeKind
from guard.lifecycle.events import End
from tests.builders import (
    DUE,
    LAST_NIGHT,
    NOW,
    make_estate,
    make_job,
    make_log,
    make_schedule,
    make_transfer,
    make_vm_task,
)
from tests.lifecycle import stories
from tests.outcomes.tables import export, failed_vm, node, said, task

NIGHT = timedelta(days=1)
FAR = Scope(ScopeKind.REPOSITORY, "far", "far")


def stale(vm="vm", last_good=None, target=None, schedules=("schedule",)):
    return StaleVm(
        vm=vm,
        name=vm,
        pool="pool",
        age=Age.TOO_OLD,
        last_good=last_good,
        limit=None,
        schedules=schedules,
        target=target,
    )


def tries(*logs, of=None, held=(), **world):
    one = of or stale()
    return attempts_of(make_estate(logs=list(logs), **world), [one], held)[key_of(one)]


def told(*logs, **more):
    return [(one.at, one.status, one.codes, one.reason) for one in tries(*logs, **more).newest]


def failed(start=LAST_NIGHT, says="unhealthy VDI chain", **more):
    return make_log(failed_vm(said(says)), start=start, status="failure", **more)


def test_each_failure_since_is_told_with_its_code_and_xos_words_newest_first():
    before = LAST_NIGHT - NIGHT
    assert told(failed(before), failed(says="Body Timeout Error")) == [
        (LAST_NIGHT, "failure", ("EXPORT_TIMEOUT",), "Body Timeout Error"),
        (before, "failure", ("CHAIN_UNHEALTHY",), "unhealthy VDI chain"),
    ]


def test_what_was_before_the_last_good_backup_is_not_told():
    good = stale(last_good=LAST_NIGHT)
    assert told(failed(LAST_NIGHT - NIGHT), failed(LAST_NIGHT), of=good) == []
    assert len(told(failed(LAST_NIGHT + timedelta(minutes=1)), of=good)) == 1


def test_a_skipped_vm_and_one_that_was_interrupted_were_tried():
    skipped = make_log(failed_vm(said("unhealthy VDI chain")) | {"status": "skipped"}, status="skipped")
    cut = make_log(make_vm_task(status="pending"), start=LAST_NIGHT - NIGHT, status="interrupted")
    assert [(status, codes) for _, status, codes, _ in told(skipped, cut)] == [
        ("skipped", ("CHAIN_UNHEALTHY",)),
        ("interrupted", ("RUN_INTERRUPTED",)),
    ]


def test_a_run_that_failed_as_a_whole_was_a_try_for_every_vm_its_job_takes_now():
    whole = make_log(status="failure", result=said("feature Unauthorized"))
    assert told(whole) == [(LAST_NIGHT, "failure", ("XO_FEATURE_REFUSED",), "feature Unauthorized")]
    other = make_log(job="other", status="failure", result=said("feature Unauthorized"))
    assert told(other) == []
    assert told(whole, of=stale(schedules=("gone",))) == []


def test_a_log_that_lost_its_tasks_and_a_run_that_went_well_without_the_vm_are_no_tries():
    assert told(make_log(status="failure")) == []
    assert told(make_log(make_vm_task("other", make_transfer(1)))) == []


def test_a_vm_that_a_run_named_and_never_came_to_was_tried():
    named = [{"message": "vms", "data": {"vms": ["other", "vm"]}}]
    run = make_log(make_vm_task("other"), status="interrupted", infos=named)
    assert [(status, codes) for _, status, codes, _ in told(run)] == [("interrupted", ("RUN_INTERRUPTED",))]
    mixed = make_log(failed_vm(said("x"), id_="other"), status="failure", infos=named)
    assert told(mixed) == [(LAST_NIGHT, "failure", (), "the run ended before this VM's turn")]
    going = make_log(make_vm_task("other", status="pending"), status="pending", infos=named)
    assert told(going) == [(LAST_NIGHT, "pending", (), "it goes on")]


def test_a_run_at_work_goes_on_and_a_snapshot_alone_is_no_backup():
    assert told(make_log(make_vm_task(status="pending"), status="pending")) == [
        (LAST_NIGHT, "pending", (), "it goes on")
    ]
    alone = "a snapshot only: nothing was copied to a target"
    assert told(make_log(make_vm_task())) == [(LAST_NIGHT, "success", (), alone)]
    empty = make_vm_task("vm", export(status="success"))
    assert told(make_log(empty)) == [(LAST_NIGHT, "success", (), "the log tells of no transfer")]


def test_a_failure_without_a_cause_says_that_xo_gives_none():
    odd = make_log(make_vm_task(status="failure", tasks=[]), status="failure")
    ((_, status, codes, _),) = told(odd)
    assert (status, codes) == ("failure", ("UNCLASSIFIED",))


def test_on_one_target_only_what_went_wrong_there_is_told():
    lost = export(task("transfer", result=node("ENOSPC")), data={"type": "remote", "id": "far"})
    partly = make_log(make_vm_task("vm", make_transfer(1), lost))
    ((_, status, codes, reason),) = told(partly, of=stale(target=FAR))
    assert (status, codes, "ENOSPC" in reason) == ("failure", ("REPOSITORY_NO_SPACE",), True)
    silent = make_log(make_vm_task("vm", make_transfer(1)))
    assert told(silent, of=stale(target=FAR)) == [
        (LAST_NIGHT, "failure", (), "XO made no copy there, and says nothing of it")
    ]
    whole = failed()
    assert told(whole, of=stale(target=FAR))[0][2] == ("CHAIN_UNHEALTHY",)


def test_restores_and_mirrors_are_no_tries():
    jobs = [make_job(), make_job("mirror", type="mirrorBackup")]
    assert told(failed(message="restore"), failed(job="mirror"), jobs=jobs) == []


def test_only_the_newest_are_told_and_all_are_counted():
    logs = [failed(NOW - timedelta(hours=hours)) for hours in range(1, KEPT + 4)]
    found = tries(*logs)
    assert (len(found.newest), found.count, found.newest[0].at) == (KEPT, KEPT + 3, NOW - timedelta(hours=1))


def test_of_many_stale_vms_fewer_tries_are_told():
    many = [stale(f"vm-{number}") for number in range(MANY + 1)]
    refused = said("feature Unauthorized")
    logs = [make_log(start=NOW - timedelta(hours=hours), status="failure", result=refused) for hours in range(1, 8)]
    found = attempts_of(make_estate(logs=logs), many)
    assert {(len(one.newest), one.count) for one in found.values()} == {(KEPT_OF_MANY, 7)}


def test_every_vm_of_a_large_run_gets_its_own_cause():
    many = [stale(f"vm-{number}") for number in range(250)]
    run = make_log(*(failed_vm(said("unhealthy VDI chain"), id_=one.vm) for one in many), status="failure")
    found = attempts_of(make_estate(logs=[run]), many)
    assert {one.newest[0].codes for one in found.values()} == {("CHAIN_UNHEALTHY",)}


def story(*, acts=True, end=End.REFUSED, findings=True, more=()):
    found = [stories.finding()] if findings else []
    said_so = stories.decided(*found, action=Action.REFUSE, sentence="Everything waits.", held=[stories.held()])
    events = [stories.seen(), msgspec.structs.replace(said_so, acts=acts), *more]
    return stories.story(*events, *([stories.ended(end)] if end else []))


def test_a_due_run_in_which_guard_held_the_vm_was_a_try_that_xo_does_not_know_of():
    one = stale()
    found = attempts_of(make_estate(schedules=[make_schedule()]), [one], [story()])[key_of(one)]
    assert [(tried.at, tried.status, tried.codes) for tried in found.newest] == [(DUE, "held", ("CHAIN_UNHEALTHY",))]
    assert found.newest[0].reason.startswith("web: 2 uncoalesced copies")
    (bare,) = tries(held=[story(findings=False)]).newest
    assert bare.reason == "Everything waits."


@pytest.mark.parametrize(
    "told_by",
    [
        story(acts=False),
        story(end=None),
        story(more=(stories.started(), stories.attempt_ended())),
        stories.story(stories.seen(), stories.ended()),
    ],
)
def test_what_guard_only_watched_or_what_a_run_shows_is_no_try_of_guards(told_by):
    assert tries(held=[told_by]).newest == ()


def test_what_guard_held_before_the_last_good_backup_is_not_told():
    assert tries(of=stale(last_good=DUE), held=[story()]).newest == ()
    assert tries(of=stale(vm="other"), held=[story()]).newest == ()
