"""Past failures as data: every recorded log, what a retry made good, and what a log without its tasks cannot tell."""

from __future__ import annotations

import msgspec
import pytest
from guard.mechanics.past import HEALTH_CHECK, PastFailure
from guard.outcomes.failures import Place
from guard.outcomes.past import past_failures
from msgspec import UNSET
from tests.builders import GIB, LAST_NIGHT, make_log, make_transfer, make_vm_task, ms
from tests.checks.nights import CUT, TIMED_OUT, fine, lost, night, retried
from tests.outcomes.tables import at_job, at_transfer, node, said, task
from tests.outcomes.test_causes import RECORDED, lost_writer, recorded, retry_of

WEB_02 = "a92fc668-987b-50da-8e32-6d940013772b"


def codes(*logs):
    return [(one.vm, one.code, one.made_good) for one in past_failures(logs)]


@pytest.mark.parametrize("name", sorted(RECORDED.keys() - {"retry_then_success"}))
def test_every_recorded_log_tells_the_codes_of_its_causes(name):
    assert [one.code for one in past_failures(recorded(name))] == RECORDED[name]


def test_the_recorded_timeout_of_an_export_is_a_failure_of_its_vm():
    (one,) = past_failures(recorded("export_timeout"))
    assert one == PastFailure(
        run="1795387499372",
        start=1795387499372,
        schedule="9d1d1b03-f093-4207-b555-89265d944b2c",
        job="2be7caea-32f7-415a-9a78-7bee7a1c5369",
        vm=WEB_02,
        code="EXPORT_TIMEOUT",
        place="vm",
        target="",
        text="Headers Timeout Error",
    )


def test_the_recorded_retry_that_helped_leaves_its_first_failure():
    (one,) = past_failures(recorded("retry_then_success"))
    assert (one.vm, one.code, one.place, one.made_good) == (WEB_02, "SR_NO_SPACE", "snapshot", True)


@pytest.mark.parametrize(
    "error",
    [
        said("HTTP connection has timed out"),
        node("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error"),
        node("UND_ERR_BODY_TIMEOUT", "Body Timeout Error"),
    ],
    ids=["PUT", "headers", "body"],
)
def test_the_three_texts_of_a_timeout_are_known_with_their_target(error):
    (one,) = past_failures([at_transfer(error)])
    assert (one.vm, one.code, one.place, one.target) == ("vm", "EXPORT_TIMEOUT", "transfer", "repo")
    assert (one.run, one.start, one.schedule, one.job) == (
        f"{ms(LAST_NIGHT)}:schedule",
        ms(LAST_NIGHT),
        "schedule",
        "job",
    )


def test_failures_come_oldest_run_first_and_runs_that_went_well_leave_none():
    shown = [night(0, lost(CUT), fine("other")), night(2, fine()), night(1, fine(), lost(TIMED_OUT, "other"))]
    assert codes(*shown) == [("other", "EXPORT_TIMEOUT", False), ("vm", "EXPORT_INCOMPLETE", False)]


def test_an_attempt_that_a_retry_made_good_is_a_failure_all_the_same():
    assert codes(night(0, retried(TIMED_OUT))) == [("vm", "EXPORT_TIMEOUT", True)]


def test_where_the_sub_tasks_hide_it_the_retry_itself_tells_why():
    hidden = make_vm_task(
        "vm", task("export", status="success"), make_transfer(GIB), warnings=[retry_of("Headers Timeout Error")]
    )
    assert codes(night(0, hidden)) == [("vm", "EXPORT_TIMEOUT", True)]


def test_a_retry_that_does_not_tell_why_tells_nothing():
    assert codes(night(0, make_vm_task("vm", make_transfer(GIB), warnings=[retry_of(None)]))) == []


def test_what_failed_again_in_the_same_way_is_told_once_and_another_reason_beside_it():
    again = lost(TIMED_OUT) | {"warnings": [retry_of("Body Timeout Error")]}
    assert codes(night(0, again)) == [("vm", "EXPORT_TIMEOUT", False)]
    otherwise = lost(TIMED_OUT) | {"warnings": [retry_of(CUT["message"])]}
    assert codes(night(0, otherwise)) == [("vm", "EXPORT_TIMEOUT", False), ("vm", "EXPORT_INCOMPLETE", True)]


def test_a_copy_lost_by_a_vm_that_ended_well_is_a_failure():
    shown = make_vm_task("vm", make_transfer(GIB), warnings=[lost_writer("Lock file is already being held")])
    assert codes(night(0, shown)) == [("vm", "REPOSITORY_LOCKED", False)]


def test_a_failed_run_of_the_whole_job_is_a_failure_of_no_vm():
    assert codes(at_job(said("feature Unauthorized"))) == [("", "XO_FEATURE_REFUSED", False)]


@pytest.mark.parametrize("tasks", [UNSET, []])
def test_a_log_without_tasks_and_without_an_error_tells_nothing(tasks):
    assert codes(make_log(status="failure", tasks=tasks)) == []


def test_a_log_without_a_time_tells_nothing():
    assert codes(msgspec.structs.replace(night(0, lost(CUT)), start=UNSET)) == []


def test_mechanics_and_outcomes_name_the_place_of_a_restore_alike():
    assert Place.HEALTH_CHECK.value == HEALTH_CHECK
