"""Smart-pattern matches: does the job still take the VMs it should (failure-modes.md 3.9, 6; xo-api.md 3.1.1)?"""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from guard.checks import ALL
from guard.checks.run import run_checks
from guard.checks.selection import CHECK
from guard.checks.view import View
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_estate,
    make_job,
    make_log,
    make_server,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

RUNNING = {"power_state": "Running"}


def said(pattern=RUNNING, *, options=None, **world):
    """What the check says of the healthy world, changed; ``pattern``: what the job takes."""
    return found(CHECK, make_view(make_estate(jobs=[make_job(vms=pattern)], **world)), **(options or {}))


def vms(names, **xo):
    return [make_vm(name, **xo) for name in names]


def took(names, **log):
    """The log of a run that took these VMs."""
    return make_log(*map(make_vm_task, names), **log)


def lost_server(**xo):
    return [make_server(), make_server("server-b", **{"status": "disconnected"} | xo)]


def test_a_healthy_estate_has_nothing_to_say():
    assert said() == []
    assert said(logs=[took(["vm"])]) == []
    assert said({"id": "vm"}, logs=[took(["vm"])]) == []


def test_a_smart_job_that_matches_nothing_is_skipped_by_xo_and_told_with_its_figures():
    (finding,) = said({"power_state": "Halted"}, vms=vms("abc"))
    assert (finding.code, finding.check) == ("NO_VM_MATCHES", "selection")
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ())
    assert facts(finding) == {
        "matching": read(0, "VMs", "vms"),
        "visible": read(3, "VMs", "vms"),
        "servers_not_connected": read(0, "servers", "servers"),
    }
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        'Job job matches none of 3 VMs. 3 VMs: its power_state "Running" does not match "Halted".'
    )
    assert finding.remedy == "See guard match 'job'; correct the pattern, or reconnect the pool."


@pytest.mark.parametrize(
    ("pattern", "vm", "reason"),
    [
        ({"power_state": "Halted"}, {}, 'its power_state "Running" does not match "Halted"'),
        ({"tags": {"__or": [["prod"]]}}, {"tags": ["test"]}, 'its tags ["test"] does not match {"__or":[["prod"]]}'),
        ({"tags": [["prod"]]}, {"tags": ["prod"]}, 'its tags ["prod"] does not match [["prod"]]'),
        ({"$pool": "pool-b"}, {}, 'its $pool "pool" does not match "pool-b"'),
        ({"mood": "good"}, {}, "it has no property mood"),
        (RUNNING, {"tags": ["xo:no-bak"]}, "it carries the tag xo:no-bak"),
        (RUNNING, {"tags": ["xo:no-bak=by hand"]}, "it carries the tag xo:no-bak"),
        (
            RUNNING,
            {"blockedOperations": {"start": "replica"}, "other": {"xo:backup:job": "job"}},
            "it is a replica made by this very job",
        ),
    ],
)
def test_the_rule_that_leaves_the_vms_out_is_told(pattern, vm, reason):
    (finding,) = said(pattern, vms=[make_vm(**vm)])
    assert (finding.level, f"1 VM: {reason}." in finding.summary) == (Level.BLOCK, True)


@pytest.mark.parametrize(
    "vm",
    [
        {"tags": ["xo:no-bakX"]},
        {"tags": ["XO:NO-BAK"]},
        {"blockedOperations": {"start": "x"}, "other": {"xo:backup:job": "another"}},
        {"blockedOperations": {}, "other": {"xo:backup:job": "job"}},
    ],
)
def test_what_only_looks_like_an_opt_out_or_an_own_replica_is_taken(vm):
    assert said(RUNNING, vms=[make_vm(**vm)]) == []


def test_an_id_list_takes_a_vm_that_opted_out():
    assert said({"id": "vm"}, vms=[make_vm(tags=["xo:no-bak"])]) == []


def test_the_three_most_frequent_reasons_are_told_most_frequent_first():
    pattern = {"power_state": "Running", "tags": {"__or": [["prod"]]}}
    world = [
        *vms("ab", tags=["prod", "xo:no-bak"]),
        *vms("cde", power_state="Halted"),
        *vms("f", tags=["test"]),
        *vms("g", tags=["dev"]),
    ]
    (finding,) = said(pattern, vms=world)
    told = finding.summary.removeprefix("Job job matches none of 7 VMs. ").split("; ")
    assert [reason.split(":")[0] for reason in told] == ["3 VMs", "2 VMs", "1 VM"]


def test_a_world_without_any_vm_is_told_in_a_whole_sentence():
    (finding,) = said(vms=[])
    assert finding.level is Level.BLOCK
    assert finding.summary == "Job job matches none of 0 VMs."


@pytest.mark.parametrize(
    ("pattern", "servers", "level", "names"),
    [
        (RUNNING, [make_server()], Level.BLOCK, ()),
        (RUNNING, lost_server(), Level.UNKNOWN, ("server-b",)),
        (RUNNING, lost_server(status="connecting"), Level.UNKNOWN, ("server-b",)),
        (RUNNING, lost_server(enabled=False), Level.BLOCK, ()),
        (RUNNING, [make_server("a", status=""), make_server("b", status="")], Level.UNKNOWN, ("a", "b")),
        ({"$pool": "pool"}, lost_server(), Level.BLOCK, ()),
        ({"$pool": "pool-b"}, lost_server(), Level.UNKNOWN, ("server-b",)),
        ({"$pool": {"__or": ["pool", "pool-b"]}}, lost_server(), Level.UNKNOWN, ("server-b",)),
    ],
)
def test_an_empty_selection_is_unknown_while_a_pool_that_may_hold_its_vms_is_lost(pattern, servers, level, names):
    (finding,) = said(pattern, vms=[make_vm(power_state="Halted", pool="pool-c")], servers=servers)
    assert (finding.code, finding.level) == ("NO_VM_MATCHES", level)
    assert facts(finding)["servers_not_connected"] == read(len(names), "servers", "servers")
    text = f"Job job matches no VM now, but XO is not connected to {', '.join(names)}: its VMs are unknown."
    assert (finding.summary == text) is bool(names)
    unsure = level is Level.UNKNOWN
    assert finding.certainty is (Certainty.TREND if unsure else Certainty.CERTAIN)
    assert finding.clears == Clears(ClearedBy.TIME if unsure else ClearedBy.PERSON)


def test_an_empty_selection_waits_for_a_person_where_xo_does_not_reconnect_by_itself():
    (finding,) = said(vms=[], servers=lost_server(error={"code": "SESSION_AUTHENTICATION_FAILED"}))
    assert (finding.level, finding.clears) == (Level.UNKNOWN, Clears(ClearedBy.PERSON))


@pytest.mark.parametrize("servers", [[make_server()], lost_server()])
def test_an_empty_id_list_is_a_success_without_a_backup_and_so_a_warning(servers):
    (finding,) = said({"id": {"__or": []}}, servers=servers)
    assert (finding.code, finding.level, finding.certainty) == ("NO_VM_MATCHES", Level.WARN, Certainty.CERTAIN)
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == "Job job lists no VM: XO would report a success without a backup."


@pytest.mark.parametrize("servers", [[make_server()], lost_server()])
@pytest.mark.parametrize("operator", ["__or", "__and"])
def test_a_pattern_on_which_xo_throws_fails_the_whole_job_whatever_pools_are_there(operator, servers):
    (finding,) = said({"tags": {operator: "prod"}}, servers=servers)
    assert (finding.code, finding.level, finding.certainty) == ("NO_VM_MATCHES", Level.BLOCK, Certainty.CERTAIN)
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary.startswith("Job job: XO's pattern matcher throws on this pattern")


def test_listed_vms_that_xo_does_not_show_are_no_empty_selection():
    assert said({"id": "gone"}) == []


def shrunk(before, now, **more):
    """The findings of a job that took ``before`` in its last runs and takes ``now``, all of them still visible."""
    halted = [name for name in before if name not in now]
    world = [*vms(now), *vms(halted, power_state="Halted")]
    return said(vms=world, **{"logs": [took(before)]} | more)


def test_vms_that_are_no_longer_taken_are_a_warning_with_its_figures():
    (finding,) = shrunk("abcde", "abcd")
    assert (finding.code, finding.check) == ("SELECTION_SHRUNK", "selection")
    assert (finding.level, finding.certainty, finding.harm) == (Level.WARN, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.JOB, "job", "job"), ())
    assert facts(finding) == {
        "last_runs": read(5, "VMs", "logs"),
        "still_taken": read(4, "VMs", "vms"),
        "shrunk": (0.0, "%", "policy", None),
    }
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        '1 of 5 VMs of the last runs is no longer taken (e). 1: its power_state "Halted" does not match "Running".'
    )
    assert finding.remedy == "See guard match 'job' for the rule that leaves each of them out."


@pytest.mark.parametrize(
    ("before", "now", "percent", "told"),
    [
        ("abcdefghij", "abcdefghi", None, True),
        ("abcd", "abcd", None, False),
        ("ab", "abc", None, False),
        ("ab", "ac", None, True),
        ("abcde", "abcd", 20, False),
        ("abcde", "abcd", 19.9, True),
        ("abcd", "abc", 20, True),
        ("ab", "c", 99.9, True),
        ("ab", "c", 100, False),
    ],
)
def test_a_drop_is_told_above_the_share_that_the_policy_names_and_by_default_for_any_vm(before, now, percent, told):
    options = {} if percent is None else {"shrunk_percent": percent}
    assert bool(shrunk(before, now, options=options)) is told


@pytest.mark.parametrize(("now", "names"), [("a", "(b, c, d)"), ("", "(a, b, c and 1 more)")])
def test_the_first_three_missing_vms_are_named(now, names):
    (finding,) = shrunk("abcd", f"{now}x")
    assert f" of 4 VMs of the last runs are no longer taken {names}. " in finding.summary


def test_only_the_three_newest_runs_of_this_schedule_that_took_vms_count():
    older = took("abcde", start=LAST_NIGHT - timedelta(days=3))
    other = took("abcde", schedule="another")
    failed = make_log(status="failure", start=LAST_NIGHT + timedelta(hours=1), result={"message": "the job is running"})
    smaller = [took("abcd", start=LAST_NIGHT - timedelta(days=night)) for night in range(3)]
    assert len(shrunk("abcde", "abcd", logs=[*smaller[:2], older, failed, other])) == 1
    assert shrunk("abcde", "abcd", logs=[*smaller, older, other]) == []
    assert len(shrunk("abcde", "abcd", logs=[took("abcde"), failed])) == 1
    assert shrunk("abcde", "abcd", logs=[other]) == []
    assert shrunk("abcde", "abcd", logs=[]) == []


def test_a_run_of_a_few_of_the_vms_is_nothing_to_compare_with():
    older = took("abcde", start=LAST_NIGHT - timedelta(days=3))
    (finding,) = shrunk("abcde", "abcd", logs=[older, took("ab")])
    assert facts(finding)["last_runs"] == read(5, "VMs", "logs")


def test_the_size_of_the_last_runs_is_as_old_as_the_logs_are():
    early = NOW - timedelta(minutes=30)
    (finding,) = shrunk("ab", "a", reading={PartName.LOGS: {"read_at": early}})
    told = facts(finding)
    assert (told["last_runs"][3], told["still_taken"][3]) == (early, NOW)


def test_the_vms_of_the_last_three_runs_are_counted_once_those_of_the_newest_named_first():
    logs = [
        took("xa", start=LAST_NIGHT - timedelta(days=2)),
        took("ya", start=LAST_NIGHT - timedelta(days=1)),
        took("za"),
    ]
    (finding,) = said(vms=vms("a"), logs=logs)
    assert facts(finding)["last_runs"] == read(4, "VMs", "logs")
    assert facts(finding)["still_taken"] == read(1, "VMs", "vms")
    assert "3 of 4 VMs of the last runs are no longer taken (z, y, x)." in finding.summary


def test_the_three_most_frequent_causes_are_told_most_frequent_first():
    world = [
        *vms("a"),
        *vms("bcd", power_state="Halted"),
        *vms("ef", tags=["xo:no-bak"]),
        *vms("g", power_state="Paused"),
        *vms("h", power_state="Suspended"),
    ]
    (finding,) = said(vms=world, logs=[took("abcdefgh")])
    causes = finding.summary.partition("). ")[2].split("; ")
    assert [cause.split(":")[0] for cause in causes] == ["3", "2", "1"]
    assert "it carries the tag xo:no-bak" in causes[1]


@pytest.mark.parametrize(
    ("pattern", "servers", "cause"),
    [
        (RUNNING, [make_server()], "1: XO does not show it any more: it was deleted."),
        (RUNNING, lost_server(), "1: XO does not show it; not connected: server-b."),
        (RUNNING, [*lost_server(), make_server("c", status="")], "1: XO does not show it; not connected: server-b, c."),
        (RUNNING, lost_server(enabled=False), "1: XO does not show it any more."),
        ({"$pool": "pool"}, lost_server(), "1: XO does not show it any more: it was deleted."),
        ({"$pool": "pool"}, lost_server(enabled=False), "1: XO does not show it any more: it was deleted."),
        ({"$pool": {"__or": ["pool", "pool-b"]}}, lost_server(enabled=False), "1: XO does not show it any more."),
    ],
)
def test_a_vm_xo_no_longer_shows_is_told_with_the_pools_it_may_be_in(pattern, servers, cause):
    (finding,) = said(pattern, servers=servers, logs=[took(["vm", "far"])])
    assert "(far)" in finding.summary
    assert cause in finding.summary


def test_a_vm_taken_out_of_an_id_list_is_told():
    (finding,) = said({"id": "a"}, vms=vms("ab"), logs=[took("ab")])
    assert "1: its id is not in the job's list." in finding.summary


def test_properties_beyond_guards_own_fields_are_matched_and_explained():
    seen = {"vm": {"CPUs": {"number": 2}}}
    assert said({"CPUs": {"number": 2}}, vm_properties=seen) == []
    (finding,) = said({"CPUs": {"number": 4}}, vm_properties=seen)
    assert 'its CPUs {"number":2} does not match {"number":4}' in finding.summary
    (finding,) = said(
        {"CPUs": {"number": 2}}, vm_properties=seen, logs=[took(["vm", "b"])], vms=[*vms(["vm"]), *vms("b")]
    )
    assert (finding.code, "it has no property CPUs" in finding.summary) == ("SELECTION_SHRUNK", True)


@pytest.mark.parametrize(
    ("server", "by"),
    [
        ({"status": "connecting"}, ClearedBy.TIME),
        ({"status": "disconnected"}, ClearedBy.TIME),
        ({"enabled": False}, ClearedBy.PERSON),
        ({"error": {"code": "SESSION_AUTHENTICATION_FAILED"}}, ClearedBy.PERSON),
        ({"error": {"connectedServerId": "server"}}, ClearedBy.PERSON),
        ({"status": "connected"}, ClearedBy.PERSON),
    ],
)
def test_what_a_reconnecting_pool_takes_away_comes_back_by_itself(server, by):
    (finding,) = said(servers=lost_server(**server), logs=[took(["vm", "far"])])
    assert finding.clears == Clears(by)


def test_what_the_job_itself_leaves_out_does_not_come_back_with_a_pool():
    world = {"vms": [make_vm(), make_vm("halted", power_state="Halted")], "servers": lost_server()}
    (finding,) = said(**world, logs=[took(["vm", "halted", "far"])])
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_a_vm_that_the_last_run_alone_left_out_is_still_missed():
    whole, partial = took("abc", start=LAST_NIGHT - timedelta(days=1)), took("ab")
    (finding,) = said(vms=[*vms("ab"), *vms("c", tags=["xo:no-bak"])], logs=[whole, partial])
    assert finding.code == "SELECTION_SHRUNK"


@pytest.mark.parametrize("logs", [[took("abcdefghij")], []], ids=["lost since the last run", "never run"])
def test_a_pool_that_the_pattern_names_and_xo_does_not_know_is_told(logs):
    pattern = {"$pool": {"__or": ["pool", "pool-b"]}}
    estate = make_estate(jobs=[make_job(vms=pattern)], vms=vms("abcdefghi"), vbds=[], vdis=[], logs=logs)
    findings = run_checks(ALL, make_view(estate), {check.name: check.options() for check in ALL})
    assert any(one.level in (Level.WARN, Level.BLOCK) for one in findings)


def ran(**world):
    return run_checks([CHECK], make_view(make_estate(**world)), {"selection": CHECK.options()})


@pytest.mark.parametrize(
    ("part", "oldest"),
    [
        (PartName.VMS, timedelta(minutes=10)),
        (PartName.SERVERS, timedelta(minutes=10)),
        (PartName.LOGS, timedelta(hours=1)),
    ],
)
def test_without_fresh_and_whole_lists_the_selection_is_unknown_and_never_fine(part, oldest):
    second = timedelta(seconds=1)
    assert ran(reading={part: {"read_at": NOW - oldest}}) == []
    for change in ({"read_at": NOW - oldest - second}, {"complete": False}, {"ok": False, "error": "XO answered 500"}):
        assert [one.level for one in ran(reading={part: change})] == [Level.UNKNOWN]


def test_mirror_and_metadata_jobs_select_no_vms_and_are_not_judged():
    for kind in ("mirrorBackup", "metadataBackup"):
        assert ran(jobs=[make_job(type=kind, vms=UNSET)]) == []


@pytest.mark.parametrize("left", ["b", ""])
def test_vms_that_were_started_already_are_not_missed_when_the_run_is_looked_at_again(left):
    world = make_estate(jobs=[make_job(vms=RUNNING)], vms=vms("ab", **RUNNING), logs=[took(["a", "b"])])
    whole = make_view(world)
    rest = msgspec.structs.replace(whole.run.selection, ids=tuple(left))
    run = replace(whole.run, selection=rest, done=frozenset("ab").difference(left))
    assert found(CHECK, View(whole.outlook, run, rest.ids)) == []
    missed = found(CHECK, View(whole.outlook, replace(run, done=frozenset()), rest.ids))
    assert [one.code for one in missed] == ["SELECTION_SHRUNK" if left else "NO_VM_MATCHES"]


def test_a_pattern_that_guard_cannot_follow_is_unknown_and_never_an_empty_selection():
    pattern: object = "x"
    for _ in range(900):
        pattern = {"__not": pattern}
    (finding,) = said({"tags": pattern})
    assert (finding.code, finding.level) == ("NO_VM_MATCHES", Level.UNKNOWN)
    assert "guard cannot follow its pattern" in finding.summary
