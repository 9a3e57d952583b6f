"""Hosts that kept XO waiting (failure-modes.md 3.12): by host, by VM, by schedule, and what ends it."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.check import Effect
from guard.checks.export_timeout import CHECK
from guard.checks.run import run_checks
from guard.estate.workaround import OwnFile, Setting, State
from guard.estate.xapi_records import HostFacts, SrFacts
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    make_due,
    make_estate,
    make_host,
    make_job,
    make_pool_facts,
    make_schedule,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    read,
)
from tests.checks.nights import CUT, TIMED_OUT, fine, lost, night, nights, retried, told, view_of
from tests.outcomes.tables import node, said

BAD = lost(TIMED_OUT)
TWICE = nights(BAD, fine(), BAD)
TEXTS = [
    said("HTTP connection has timed out"),
    node("UND_ERR_HEADERS_TIMEOUT", "Headers Timeout Error"),
    node("UND_ERR_BODY_TIMEOUT", "Body Timeout Error"),
]
ANYWHERE = {"container": "pool"}


def said_of(logs, options=None, **world):
    return told(CHECK, options, logs=logs, **world)


def vms(*ids, **xo):
    """A job of these VMs."""
    return {"vms": [make_vm(one, **xo) for one in ids], "jobs": [make_job(vms={"id": {"__or": list(ids)}})]}


def test_a_healthy_past_says_nothing():
    assert said_of([]) == []
    assert said_of(nights(fine(), fine())) == []


def test_a_vm_that_timed_out_twice_in_its_last_five_runs_is_told_with_its_figures():
    (finding,) = said_of(TWICE)
    assert (finding.code, finding.check) == ("EXPORT_TIMEOUT", "export_timeout")
    assert (finding.certainty, finding.harm) == (Certainty.TREND, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        "vm: XO waited too long for the host in 2 of its last 3 runs, last on Tue 24 Nov 00:00 UTC (Body Timeout Error)."
    )
    assert facts(finding) == {
        "failures": read(2, "failures", "logs"),
        "vms": read(1, "VMs", "logs"),
        "failed_runs": read(2, "runs", "logs"),
        "last_at": read("2026-11-24T00:00:00+00:00", "", "logs"),
        "times": (2, "failures", "policy", None),
        "runs": (5, "runs", "policy", None),
        "host_now": read("host", "", "vms"),
    }
    for needed in ("dom0", "guard workaround apply", "1800000", "never below 300000", "comes back"):
        assert needed in finding.remedy


def test_it_only_warns_unless_the_policy_says_block():
    view = view_of(logs=TWICE)
    assert CHECK.options().effect is Effect.WARN
    levels = {
        effect: [one.level for one in run_checks([CHECK], view, {"export_timeout": CHECK.options(effect=effect)})]
        for effect in Effect
    }
    assert levels == {Effect.WARN: [Level.WARN], Effect.BLOCK: [Level.BLOCK], Effect.OFF: []}


@pytest.mark.parametrize("first", TEXTS)
@pytest.mark.parametrize("second", TEXTS)
def test_the_three_texts_of_a_timeout_count_together(first, second):
    assert len(said_of(nights(lost(first), lost(second)))) == 1


@pytest.mark.parametrize(
    ("runs", "options", "is_told"),
    [
        ([BAD, fine()], None, False),
        ([BAD, lost(CUT)], None, False),
        ([BAD, fine(), fine(), fine(), BAD], None, True),
        ([BAD, fine(), fine(), fine(), fine(), BAD], None, False),
        ([BAD, fine(), fine(), fine(), fine(), BAD], {"runs": 6}, True),
        ([fine(), fine(), BAD, BAD], None, True),
        ([fine(), fine(), fine(), BAD, BAD], None, False),
        ([BAD, BAD], {"times": 3}, False),
        ([BAD], {"times": 1}, True),
        ([retried(TIMED_OUT), fine(), retried(TIMED_OUT)], None, True),
        ([retried(TIMED_OUT), fine(), fine(), fine(), BAD], None, True),
    ],
    ids=[
        "once",
        "once, and broken off once",
        "the fifth run",
        "the sixth run",
        "the policy looks further back",
        "two good runs",
        "three good runs",
        "the policy asks for three",
        "the policy asks for one",
        "made good by a retry",
        "good runs before one that a retry made good",
    ],
)
def test_both_sides_of_every_threshold(runs, options, is_told):
    assert bool(said_of(nights(*runs), options)) is is_told


def test_without_logs_of_tasks_nothing_is_known():
    blind = [night(ago, tasks=UNSET, status="failure") for ago in range(4)]
    assert said_of(blind) == []


def test_an_outlook_that_nobody_told_of_the_past_says_nothing():
    assert list(CHECK.evaluate(make_view(make_estate(logs=TWICE)), CHECK.options())) == []


# By host


def test_two_vms_of_one_host_make_the_host_suspect_for_all_that_are_there():
    logs = [night(0, lost(TIMED_OUT, "a"), fine("b"), fine("c")), night(1, fine("a"), lost(TIMED_OUT, "b"), fine("c"))]
    hosts = [make_host(), make_host("other")]
    world = vms("a", "b", "c", "d")
    world["vms"][3] = make_vm("d", container="other")
    (finding,) = said_of(logs, hosts=hosts, **world)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.HOST, "host", "host"), ("a", "b", "c"))
    assert finding.summary == (
        "XO waited too long for the host 2 times in the last 2 runs of 2 VMs on host (a, b), last on Tue 24 Nov 00:00 UTC "
        "(Body Timeout Error)."
    )
    assert (facts(finding)["vms"], facts(finding)["failed_runs"]) == (read(2, "VMs", "logs"), read(2, "runs", "logs"))


def test_a_run_without_a_vm_on_that_host_has_nothing_to_fear_of_it():
    world = {"vms": [make_vm("a"), make_vm("b"), make_vm("far", **ANYWHERE)]}
    jobs = [make_job(vms={"id": {"__or": ["a", "b"]}}), make_job("away", vms={"id": "far"})]
    logs = [night(ago, lost(TIMED_OUT, "a"), lost(TIMED_OUT, "b")) for ago in range(2)]
    away = {
        "due": make_due("away-schedule", "away"),
        "schedules": [make_schedule(), make_schedule("away-schedule", job="away")],
    }
    assert said_of(logs, jobs=jobs, **world, **away) == []
    assert len(said_of(logs, jobs=jobs, **world)) == 1


def test_two_vms_that_together_stay_below_the_policys_number_make_no_host_suspect():
    logs = [night(0, lost(TIMED_OUT, "a"), lost(TIMED_OUT, "b"))]
    assert said_of(logs, {"times": 3}, **vms("a", "b")) == []


def test_a_vm_beside_the_suspect_host_is_told_for_itself_and_a_host_without_a_name_by_its_id():
    world = vms("a", "b", "c")
    world["vms"][2] = make_vm("c", **ANYWHERE)
    logs = [night(ago, lost(TIMED_OUT, "a"), lost(TIMED_OUT, "b"), lost(TIMED_OUT, "c")) for ago in range(2)]
    host, alone = said_of(logs, hosts=[make_host(name_label="")], **world)
    assert (host.scope, host.holds) == (Scope(ScopeKind.HOST, "host", "host"), ("a", "b"))
    assert (alone.scope.kind, alone.holds) == (ScopeKind.VM, ("c",))
    assert facts(alone)["host_now"] == read(None, "", "vms")


# By schedule


def test_vms_that_time_out_by_turns_make_their_schedule_suspect():
    logs = [night(0, lost(TIMED_OUT, "a"), fine("b"), fine("c")), night(1, fine("a"), lost(TIMED_OUT, "b"), fine("c"))]
    (finding,) = said_of(logs, **vms("a", "b", "c", **ANYWHERE))
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SCHEDULE, "schedule", "schedule"), ("a", "b"))
    assert "2 times in the last 2 runs of 2 VMs of schedule (a, b)" in finding.summary


def test_by_turns_but_in_another_schedule_or_only_once_is_nothing():
    world = vms("a", "b", **ANYWHERE)
    both = [make_schedule(), make_schedule("weekly")]
    weekly = [night(0, lost(TIMED_OUT, "a"), schedule="weekly"), night(1, lost(TIMED_OUT, "b"), schedule="weekly")]
    assert said_of(weekly, schedules=both, **world) == []
    assert said_of([night(0, lost(TIMED_OUT, "a"), fine("b"))], **world) == []


# What is known beside it


def empty_disk(size=500, used=40, **sr):
    return {
        "vdis": [make_vdi(size=size * GIB, usage=used * GIB)],
        "vbds": [make_vbd()],
        "srs": [make_sr(**sr)],
        "jobs": [make_job(mode="full", compression="zstd")],
    }


def test_a_compressed_full_of_mostly_empty_disks_is_named_as_a_risk():
    (finding,) = said_of(TWICE, **empty_disk())
    assert facts(finding)["empty"] == read(460 * GIB, "bytes", "vdis")
    assert finding.summary.endswith(
        "(Body Timeout Error). vm is sent whole and compressed although 460.0 GiB of its disks are empty: while the host "
        "compresses zeros it sends nothing; a delta job does not have that."
    )


@pytest.mark.parametrize(
    "world",
    [
        {"jobs": [make_job(mode="full")]},
        {"jobs": [make_job(mode="full", compression="")]},
        {"jobs": [make_job(compression="zstd")]},
        empty_disk(size=139),
        empty_disk(allocationStrategy="thick"),
        empty_disk() | {"srs": []},
        empty_disk() | {"vdis": [make_vdi(size=UNSET)]},
    ],
    ids=["not compressed", "compressed by nothing", "a delta", "little is empty", "thick", "no SR", "no size"],
)
def test_without_that_risk_nothing_is_said_of_it(world):
    (finding,) = said_of(TWICE, **(empty_disk() | world))
    assert "empty" not in facts(finding)


def test_the_emptiest_of_several_vms_is_named():
    world = vms("a", "b") | {
        "vdis": [make_vdi("da", size=300 * GIB), make_vdi("db", size=900 * GIB)],
        "vbds": [make_vbd("a", "da"), make_vbd("b", "db")],
    }
    world["jobs"] = [make_job(vms={"id": {"__or": ["a", "b"]}}, mode="full", compression="native")]
    logs = [night(ago, lost(TIMED_OUT, "a"), lost(TIMED_OUT, "b")) for ago in range(2)]
    (finding,) = said_of(logs, **world)
    assert "b is sent whole and compressed although 898.0 GiB" in finding.summary


def test_a_single_run_is_told_as_such():
    (finding,) = said_of(nights(BAD), {"times": 1})
    assert finding.summary.startswith(
        "vm: XO waited too long for the host in its last run, last on Tue 24 Nov 00:00 UTC ("
    )


def test_old_nights_are_told_in_the_zone_of_the_schedule():
    (finding,) = said_of(TWICE, due=make_due(zone="Europe/Paris"))
    assert f"last on {(LAST_NIGHT + timedelta(hours=1)):%a %d %b %H:%M} CET" in finding.summary


# --- what the pool tells of its hosts now

LOADED = make_pool_facts(hosts={"host": HostFacts(loadavg=30.0, dom0_vcpus=4, tapdisks_low_on_memory=2)})


def test_a_host_that_is_overloaded_now_is_told_for_all_its_vms_even_without_a_past():
    (finding,) = said_of([], pool_facts=[LOADED], **vms("a", "b"))
    assert (finding.code, finding.level, finding.certainty) == ("EXPORT_TIMEOUT", Level.WARN, Certainty.TREND)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.HOST, "host", "host"), ("a", "b"))
    assert facts(finding) == {
        "load": read(30.0, "", "pool_facts"),
        "tapdisks_low_on_memory": read(2, "processes", "pool_facts"),
    }
    assert finding.clears == Clears(ClearedBy.TIME)
    assert "its control domain has a load of 30.0 on 4 vCPUs; its disk processes are short" in finding.summary


def test_a_past_of_timeouts_and_the_load_of_now_are_one_finding():
    (finding,) = said_of(TWICE, pool_facts=[LOADED])
    assert finding.scope.kind is ScopeKind.VM
    assert "On host now, its control domain has a load of 30.0 on 4 vCPUs." in finding.summary
    assert facts(finding)["load"] == read(30.0, "", "pool_facts")


def test_the_latency_of_the_srs_in_use_counts():
    slow = make_pool_facts(hosts={"host": HostFacts()}, srs={"sr": SrFacts(name="SAN", latency_us={"host": 90_000.0})})
    (finding,) = said_of([], pool_facts=[slow])
    assert "SR SAN takes 90 ms" in finding.summary


@pytest.mark.parametrize(
    "world",
    [
        {"pool_facts": [make_pool_facts(hosts={"host": HostFacts(loadavg=1.0, dom0_vcpus=4)})]},
        {"pool_facts": [make_pool_facts(hosts={"other": HostFacts(loadavg=90.0, dom0_vcpus=4)})]},
        {"pool_facts": [LOADED], "vms": [make_vm(container="pool", power_state="Halted")]},
        {"pool_facts": [LOADED], "reading": {"pool_facts": {"ok": False}}},
    ],
    ids=["a quiet host", "another host", "a VM on no host", "pools that were not read"],
)
def test_without_such_signs_nothing_is_said(world):
    assert said_of([], **world) == []
    assert all("now, its" not in one.summary for one in said_of(TWICE, **world))


def test_a_host_without_a_name_is_told_by_its_id():
    (finding,) = said_of([], pool_facts=[LOADED], hosts=[make_host(name_label="")])
    assert finding.scope.name == "host"


# --- guard's own file has XO wait longer

OWN = "config.zz-backup-guard.toml"


def stands(written_at=LAST_NIGHT + timedelta(hours=1), state="intact", **held):
    setting = Setting(**{"value_ms": 1_800_000, "file": OWN} | held)
    own = OwnFile(state=state, value_ms=1_800_000, written_at=written_at)
    return {"workaround": State(folder="/etc/xo-server", looked_at=NOW, own=own, in_force=setting)}


def levels(**world):
    """With effect = block."""
    view = view_of(logs=TWICE, **world)
    return [one.level for one in run_checks([CHECK], view, {"export_timeout": CHECK.options(effect=Effect.BLOCK)})]


def test_once_the_file_stands_the_run_is_not_held_back_any_more_and_says_why():
    (finding,) = said_of(TWICE, **stands())
    assert finding.level is Level.WARN
    assert finding.summary.endswith(f"Since then XO waits for 30 min ({OWN}), so that this run is not held back.")
    assert facts(finding)["limit"] == read(1_800_000, "ms", "workaround")
    assert levels(**stands()) == [Level.WARN]
    assert levels() == [Level.BLOCK]


def test_no_limit_at_all_is_longer_too():
    (finding,) = said_of(TWICE, **stands(value_ms=0, file="config.toml"))
    assert "Since then XO waits without a limit (config.toml)" in finding.summary


@pytest.mark.parametrize(
    "world",
    [
        stands(written_at=LAST_NIGHT - timedelta(hours=1)),  # it happened in spite of it
        stands(written_at=None),
        stands(state="edited"),
        stands(state="absent"),
        stands(value_ms=300_000),
        stands(value_ms=None),
        stands(usable=False),
        {"workaround": None},
        stands() | {"jobs": [make_job(proxy="proxy")]},
        stands() | {"reading": {"workaround": {"ok": False}}},
    ],
)
def test_what_does_not_surely_have_xo_wait_longer_since_changes_nothing(world):
    (finding,) = said_of(TWICE, **world)
    assert (finding.level, "Since then" in finding.summary) == (Level.BLOCK, False)
