"""Features that XO's plan refused the last time (failure-modes.md 4.2)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.xo_feature import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Level, ScopeKind
from guard.outcomes.past import past_failures
from tests.builders import LAST_NIGHT, facts, found, make_estate, make_job, make_log, make_view, make_vm_task, read

REFUSED = {"message": "feature Unauthorized", "code": 26}


def said(*logs, **world):
    estate = make_estate(logs=logs, **world)
    return found(CHECK, make_view(estate, past=lambda: past_failures(estate.logs)))


def refused(result=None, **more):
    return make_log(status="failure", result=result or REFUSED, **more)


def test_a_job_that_was_never_refused_has_nothing_to_say():
    assert said() == []
    assert said(make_log(make_vm_task())) == []


@pytest.mark.parametrize(
    ("result", "text"),
    [
        (REFUSED, "feature Unauthorized"),
        ({"message": "no valid proxy license"}, "no valid proxy license"),
    ],
)
def test_a_job_that_xo_refused_the_last_time_is_warned_of(result, text):
    (finding,) = said(refused(result))
    assert (finding.code, finding.level, finding.certainty) == ("XO_FEATURE_REFUSED", Level.WARN, Certainty.LIKELY)
    assert (finding.scope.kind, finding.scope.id, finding.holds) == (ScopeKind.JOB, "job", ())
    assert facts(finding) == {"last_at": read(LAST_NIGHT.isoformat(timespec="seconds"), "", "logs")}
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert text in finding.summary


def test_a_run_after_it_that_was_not_refused_ends_it():
    before = refused(start=LAST_NIGHT - timedelta(days=1))
    assert said(before, make_log(make_vm_task())) == []
    assert said(before, make_log(make_vm_task(status="failure"), status="failure")) == []


def test_a_run_that_still_goes_on_does_not_tell_yet():
    later = make_log(start=LAST_NIGHT + timedelta(hours=1), status="pending")
    assert len(said(refused(), later)) == 1


def test_another_jobs_refusal_does_not_matter():
    jobs = [make_job(), make_job("other")]
    assert said(refused(job="other"), jobs=jobs) == []
    assert len(said(refused(), make_log(job="other", start=LAST_NIGHT + timedelta(hours=1)), jobs=jobs)) == 1
