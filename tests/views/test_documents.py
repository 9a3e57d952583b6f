"""The plan as a document for programs: its shape, plain JSON values, times with their offset, ages in seconds."""

from __future__ import annotations

import dataclasses
import json
from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from guard.agenda import Note
from guard.decision.brakes import Brake
from guard.decision.verdict import Action
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Fact, Harm, Level, Scope, ScopeKind
from guard.lifecycle.remedy import RemedyKind, Wanted
from guard.views.documents import age_s, finding_document, plan_document
from msgspec import UNSET
from tests.views.plans import NOW, estate, finding, held, part, plan, run


def due(planned):
    (found,) = plan_document(plan(planned))["due"]
    return found


def with_due(planned, **changes):
    return dataclasses.replace(
        planned, run=dataclasses.replace(planned.run, due=dataclasses.replace(planned.run.due, **changes))
    )


def test_a_document_names_its_schema_its_time_and_the_xo_it_is_about():
    document = plan_document(plan())
    assert {name: document[name] for name in ("schema", "generated_at", "xo")} == {
        "schema": "guard.plan/1",
        "generated_at": "2026-11-24T20:00:00+00:00",
        "xo": {"version": "5.207.2", "url": "https://xo.example.org", "admin": True},
    }
    assert set(document) == {"schema", "generated_at", "xo", "sources", "notes", "due", "remedies", "brakes"}


def test_every_source_is_listed_in_the_order_of_names_with_its_age_and_an_error_where_there_is_one():
    parts = [part(PartName.HOSTS, ok=False, error="boom"), part(PartName.VMS, complete=False)]
    sources = plan_document(plan(estate=estate(parts=parts)))["sources"]
    assert [one["name"] for one in sources] == sorted(PartName)
    told = {one.pop("name"): one for one in sources}
    assert told["srs"] == {"ok": True, "complete": True, "age_s": 180.0}
    assert told["hosts"] == {"ok": False, "complete": True, "age_s": 180.0, "error": "boom"}
    assert told["vms"] == {"ok": True, "complete": False, "age_s": 180.0}


def test_notes_tell_whether_they_are_about_the_unknown_and_about_which_schedule():
    notes = (Note("Odd.", unknown=False), Note("Missing.", unknown=True, schedule="t"))
    assert plan_document(plan(notes=notes))["notes"] == [
        {"text": "Odd.", "unknown": False, "schedule": ""},
        {"text": "Missing.", "unknown": True, "schedule": "t"},
    ]


def test_a_run_is_told_whole():
    held_run = run(
        finding(),
        action=Action.DEFER,
        clears="Clears by itself.",
        seconds=(600.0, 1500.0, 7),
        held=[held()],
        bytes_p50=2.0,
        bytes_p90=3.0,
        bytes_samples=5,
    )
    found = due(held_run)
    assert [one["code"] for one in found.pop("findings")] == ["CHAIN_UNHEALTHY"]
    assert found == {
        "due": "2026-11-25T02:00:00+01:00",
        "starts": ["2026-11-25T02:00:00+01:00"],
        "via": None,
        "schedule": {"id": "t", "name": "at two"},
        "job": {"id": "j", "name": "nightly web", "type": "backup", "mode": "delta"},
        "verdict": "defer",
        "reason": "Said in one sentence.",
        "clears": "Clears by itself.",
        "start_vms": [],
        "settings": {},
        "held_vms": [{"id": "v", "name": "web", "codes": ["CHAIN_UNHEALTHY"]}],
        "expect": {
            "duration_s": {"p50": 600.0, "p90": 1500.0, "samples": 7},
            "bytes": {"p50": 2.0, "p90": 3.0, "samples": 5},
        },
    }


def test_what_is_not_known_is_null_and_never_a_guess():
    quiet = run(bytes_p50=None, bytes_p90=None, bytes_samples=0)
    quiet = dataclasses.replace(
        quiet, run=dataclasses.replace(quiet.run, job=msgspec.structs.replace(quiet.run.job, mode=UNSET))
    )
    found = due(quiet)
    assert found["expect"] == {
        "duration_s": {"p50": None, "p90": None, "samples": 0},
        "bytes": {"p50": None, "p90": None, "samples": 0},
    }
    assert (found["job"]["mode"], found["start_vms"], found["findings"]) == (None, ["v"], [])


def test_a_run_that_starts_twice_through_a_sequence_names_both_starts_in_its_own_zone_and_the_sequence():
    first = datetime(2027, 3, 28, 0, 30, tzinfo=UTC)
    found = due(with_due(run(), at=first, starts=(first, first + timedelta(hours=1)), via="sequence"))
    assert found["starts"] == ["2027-03-28T01:30:00+01:00", "2027-03-28T03:30:00+02:00"]
    assert (found["due"], found["via"]) == (found["starts"][0], "sequence")


def test_a_finding_is_told_whole_with_its_facts_by_name():
    one = finding(
        level=Level.UNKNOWN,
        certainty=Certainty.LIKELY,
        harm=Harm.REPOSITORY,
        scope=Scope(ScopeKind.REPOSITORY, "r", "nas"),
        facts=(
            Fact(name="available", value=5, unit="bytes", source="remote.getAllInfo", observed_at=None),
            Fact(name="enabled", value=True, unit="", source="GET /rest/v0/backup-repositories", observed_at=NOW),
        ),
        clears=Clears(ClearedBy.REMEDY, NOW + timedelta(hours=1)),
    )
    assert finding_document(one, NOW) == {
        "code": "CHAIN_UNHEALTHY",
        "check": "chain",
        "level": "unknown",
        "certainty": "likely",
        "harm": "repository",
        "scope": {"kind": "repository", "id": "r", "name": "nas"},
        "holds": ["v"],
        "summary": "web: 2 uncoalesced copies, XO tolerates 1.",
        "facts": {
            "available": {"value": 5, "unit": "bytes", "source": "remote.getAllInfo", "age_s": None},
            "enabled": {"value": True, "unit": "", "source": "GET /rest/v0/backup-repositories", "age_s": 0.0},
        },
        "remedy": "Wait for the coalesce.",
        "clears": {"by": "remedy", "eta": "2026-11-24T21:00:00+00:00"},
        "accepted": None,
    }
    assert finding_document(finding(), NOW)["clears"] == {"by": "time", "eta": None}


@pytest.mark.parametrize(
    ("observed", "age"),
    [(None, None), (NOW, 0.0), (NOW - timedelta(minutes=2), 120.0), (NOW - timedelta(microseconds=1501), 0.002)],
)
def test_an_age_is_in_seconds_to_the_millisecond_and_null_where_xo_stamps_nothing(observed, age):
    assert age_s(NOW, observed) == age


def test_a_document_is_plain_json_and_the_same_every_time():
    made = plan(run(finding(), action=Action.DEFER, held=[held()]), notes=(Note("x", unknown=True),))
    document = plan_document(made)
    assert json.loads(json.dumps(document)) == document == plan_document(made)


def test_what_is_different_in_the_run_alone_is_told_as_xo_gets_it():
    fewer = run()
    changed = msgspec.structs.replace(fewer.verdict, settings={"": {"concurrency": 2}})
    assert due(dataclasses.replace(fewer, verdict=changed))["settings"] == {"": {"concurrency": 2}}


# --- remedies


def test_a_document_tells_what_would_help_its_runs():
    wanted = Wanted(
        kind=RemedyKind.RESCAN,
        scope=Scope(ScopeKind.SR, "sr", "SAN"),
        at=NOW,
        latest=NOW,
        reason="3 wait",
        runs=(),
        aside="a scan goes on",
    )
    (told,) = plan_document(plan(), [wanted])["remedies"]
    assert (told["kind"], told["would_do"], told["aside"]) == ("rescan", False, "a scan goes on")
    assert plan_document(plan())["remedies"] == []


def test_a_document_tells_what_a_person_holds():
    brake = Brake(kind="bypass", scope="all", until=None, reason="disks", since=NOW, by="alice")
    (told,) = plan_document(plan(), brakes=[brake])["brakes"]
    assert (told["kind"], told["undo"]) == ("bypass", "guard unbypass all")
    assert plan_document(plan())["brakes"] == []
