"""Plans of worlds that are odd in one way each: the demo world, bent, read through the client."""

from __future__ import annotations

import asyncio
import dataclasses
import gzip
from datetime import timedelta

import msgspec
import pytest
from guard.assess import make_plan
from guard.checks import ALL
from guard.checks.run import run_checks
from guard.checks.view import View
from guard.decision.verdict import Action
from guard.errors import CaptureError
from guard.estate.capture import from_bytes, to_bytes, without_secrets
from guard.estate.estate import PartName
from guard.finding import Level
from guard.mechanics.outlook import Outlook
from guard.policy.load import load
from guard.policy.schema import CHECK_OPTIONS, default_policy
from guard.simulator.demo import DEMO_NOW, TOKEN, build
from guard.simulator.serve import running
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token

LOCAL = load('xo.url = "https://xo"\nxo.zone = "Europe/Paris"\n', file="p")


def read(bend=lambda world: None):
    world = build(lambda: DEMO_NOW)
    bend(world)
    with running(world) as url:
        return asyncio.run(read_estate(XoSettings(url=url), Token(TOKEN), clock=lambda: DEMO_NOW))


@pytest.fixture(scope="module")
def estate():
    return read()


def planned(estate, policy=None):
    return make_plan(estate, policy or default_policy(), now=DEMO_NOW, start=DEMO_NOW, within=timedelta(hours=24))


def with_schedule(estate, name, **changes):
    """The estate with one schedule changed."""
    schedules = tuple(msgspec.structs.replace(one, **changes) if one.name == name else one for one in estate.schedules)
    return dataclasses.replace(estate, schedules=schedules)


def with_job(estate, name, **changes):
    jobs = tuple(msgspec.structs.replace(one, **changes) if one.name == name else one for one in estate.jobs)
    return dataclasses.replace(estate, jobs=jobs)


def notes_of(plan):
    return [note.text for note in plan.notes]


def run_of(plan, name):
    return next(one for one in plan.runs if one.run.schedule.name == name)


def findings(estate, schedule):
    return {one.code: one for one in run_of(planned(estate), schedule).verdict.findings}


def test_a_cron_xo_would_choke_on_is_a_note_not_a_crash(estate):
    plan = planned(with_schedule(estate, "mail nightly", cron="0 2 * * wed"))
    assert any("choke" in text and "wen" in text for text in notes_of(plan))


def test_a_local_zone_is_unknown_until_the_policy_tells_it(estate):
    bent = with_schedule(estate, "mail nightly", timezone="local")
    assert any("set [xo] zone" in text for text in notes_of(planned(bent)))
    assert run_of(planned(bent, LOCAL), "mail nightly").verdict.action is Action.START


def test_a_schedule_of_an_unknown_job_is_told(estate):
    bent = with_schedule(estate, "mail nightly", job_id="gone")
    assert any("does not exist in XO" in text for text in notes_of(planned(bent)))


def test_a_call_job_that_is_no_sequence_is_left_out_and_a_lost_member_ends_its_sequence(estate):
    other = tuple(msgspec.structs.replace(one, method="vm.start") for one in estate.call_jobs)
    assert "step one" not in [
        one.run.schedule.name for one in planned(dataclasses.replace(estate, call_jobs=other)).runs
    ]
    for lost, left in (("step one", []), ("step two", ["step one"])):
        schedules = tuple(one for one in estate.schedules if one.name != lost)
        plan = planned(dataclasses.replace(estate, schedules=schedules))
        assert [one.run.schedule.name for one in plan.runs if one.run.due.via] == left
        assert [note.unknown for note in plan.notes if "XO stops it at the member" in note.text] == [True]


def checked(estate, check, policy=None, **changes):
    """The findings of one check, changed, on the healthy mail job."""
    outlook = Outlook(estate, DEMO_NOW)
    run = run_of(planned(estate), "mail nightly").run
    options = {name: kind() for name, kind in CHECK_OPTIONS.items()} | (policy or {})
    view = View(outlook, run, run.selection.ids)
    return run_checks([dataclasses.replace(check, **changes)], view, options)


def crash(view, options):
    raise RuntimeError("boom")


def test_a_check_that_crashes_is_unknown_and_says_so(estate):
    (finding,) = checked(estate, ALL[0], evaluate=crash)
    assert (finding.level, "RuntimeError: boom" in finding.summary) == (Level.UNKNOWN, True)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"ok": False, "error": "XO answered 500"}, "could not be read"),
        ({"complete": False}, "no administrator"),
        ({"read_at": DEMO_NOW - timedelta(hours=2)}, "2 h old"),
    ],
)
def test_a_part_that_is_missing_filtered_or_old_makes_its_checks_unknown(estate, change, said):
    part = msgspec.structs.replace(estate.parts[PartName.SERVERS], **change)
    bent = dataclasses.replace(estate, parts={**estate.parts, PartName.SERVERS: part})
    (finding,) = checked(bent, ALL[0])
    assert (finding.level, said in finding.summary) == (Level.UNKNOWN, True)


def test_a_retention_of_nothing_is_told_because_xo_would_report_a_success(estate):
    found = findings(with_job(estate, "mail", settings={s.id: {} for s in estate.schedules}), "mail nightly")
    assert (found["SETTINGS_MISSING"].level, "keeps nothing" in found["SETTINGS_MISSING"].summary) == (Level.WARN, True)


def test_a_bypassed_or_pruning_chain_is_seen_as_the_run_will_see_it(estate):
    settings = {s.id: {"exportRetention": 1, "bypassVdiChainsCheck": True} for s in estate.schedules}
    assert "CHAIN_UNHEALTHY" not in findings(with_job(estate, "legacy", settings=settings), "legacy nightly")


def test_an_sr_in_maintenance_or_attached_nowhere_holds_its_vms(estate):
    quiet = tuple(
        msgspec.structs.replace(one, in_maintenance_mode=True) if one.name_label == "NFS store" else one
        for one in estate.srs
    )
    assert "maintenance" in findings(dataclasses.replace(estate, srs=quiet), "mail nightly")["SR_DETACHED"].summary
    unplugged = tuple(msgspec.structs.replace(one, attached=False) for one in estate.pbds)
    assert "no host" in findings(dataclasses.replace(estate, pbds=unplugged), "mail nightly")["SR_DETACHED"].summary


def test_an_empty_id_list_and_a_broken_pattern_are_told_apart(estate):
    empty = findings(with_job(estate, "mail", vms={"id": {"__or": []}}), "mail nightly")["NO_VM_MATCHES"]
    assert (empty.level, "lists no VM" in empty.summary) == (Level.WARN, True)
    broken = findings(with_job(estate, "mail", vms={"tags": {"__or": "x"}}), "mail nightly")["NO_VM_MATCHES"]
    assert (broken.level, "throws" in broken.summary) == (Level.BLOCK, True)


def test_an_sr_without_figures_or_of_an_unknown_driver_is_unknown(estate):
    for changes in ({"size": msgspec.UNSET}, {"sr_type": "gfs2"}):
        srs = tuple(
            msgspec.structs.replace(one, **changes) if one.name_label == "NFS store" else one for one in estate.srs
        )
        found = findings(dataclasses.replace(estate, srs=srs), "mail nightly")["SR_NO_SPACE"]
        assert (found.level, "cannot be told" in found.summary) == (Level.UNKNOWN, True)


def test_a_first_snapshot_on_a_tight_thick_sr_has_bounds_but_no_certainty(estate):
    bent = dataclasses.replace(estate, logs=())
    assert findings(bent, "files nightly")["SR_NO_SPACE"].level in (Level.UNKNOWN, Level.WARN)


def test_a_nearly_full_repository_is_a_warning_even_when_the_run_fits(estate):
    nas = next(one for one in estate.repositories if one.name == "nas")
    info = {
        **estate.repository_info,
        nas.id: msgspec.structs.replace(estate.repository_info[nas.id], available=1000 * 2**30),
    }
    found = findings(dataclasses.replace(estate, repository_info=info), "mail nightly")["REPOSITORY_NO_SPACE"]
    assert (found.level, "5 % free" in found.summary) == (Level.WARN, True)


def test_the_policy_checks_of_a_full_job_without_figures_stay_unknown(estate):
    bent = with_job(dataclasses.replace(estate, logs=()), "mail", mode="full")
    assert run_of(planned(bent), "mail nightly").bytes_p50 is not None


def test_a_capture_of_another_schema_size_or_kind_is_refused(estate):
    with pytest.raises(CaptureError, match=r"guard\.capture/1"):
        from_bytes(gzip.compress(b'{"schema":"guard.capture/9"}'))
    with pytest.raises(CaptureError, match="no capture of guard"):
        from_bytes(gzip.compress(b"[]"))
    with pytest.raises(CaptureError, match="no whole capture"):
        from_bytes(to_bytes(estate)[:1000])
    assert without_secrets("s3://key:secret@host/bucket?a=b") == "s3://host/bucket"
