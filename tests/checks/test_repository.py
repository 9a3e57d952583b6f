"""Backup repositories: gone, unreachable, too full (failure-modes.md 3.8, 4.1, 9.2; xo-api.md 3.1.2, 3.4)."""

from __future__ import annotations

from datetime import timedelta

import msgspec
import pytest
from guard.checks.repository import CHECK
from guard.checks.run import run_checks
from guard.estate.estate import PartName
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_repository,
    make_repository_info,
    make_schedule,
    make_snapshot,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)


def said(options=None, rest=None, **world):
    """What is said; ``rest``: the VMs still in question."""
    return found(CHECK, make_view(make_estate(**world), vms=rest), **(options or {}))


def told(findings):
    """(code without its first word, level, repository) of each finding."""
    return [(one.code.removeprefix("REPOSITORY_"), one.level, one.scope.id) for one in findings]


def room(*free, size=UNSET):
    """Free bytes of "repo", "repo2", ...; their size does not tell unless given."""
    names = ["repo", "repo2", "repo3"]
    return {
        "repository_info": {
            name: make_repository_info(size=size, available=one) for name, one in zip(names, free, strict=False)
        }
    }


def targets(*ids, **xo):
    """A job that sends to these repositories, each healthy."""
    return {
        "jobs": [make_job(remotes={"id": {"__or": list(ids)}}, **xo)],
        "repositories": [make_repository(one) for one in ids],
    }


def job_of(*vms, remotes=("repo",), settings=None, **xo):
    """A job of these VMs, each with a disk of its own of 500 GiB, 400 of them in use, and a delta base."""
    ids = {"id": {"__or": list(vms)}}
    kept = {"schedule": {"exportRetention": 7} | (settings or {})}
    return targets(*remotes, vms=ids, settings=kept, **xo) | {
        "vms": [make_vm(vm) for vm in vms],
        "vbds": [make_vbd(vm, f"{vm}-disk") for vm in vms],
        "vdis": [make_vdi(f"{vm}-disk", size=500 * GIB, usage=400 * GIB) for vm in vms],
        "vdi_snapshots": [make_snapshot(f"{vm}-snap", of=f"{vm}-disk", vm=vm) for vm in vms],
    }


def nights(count, *targets, full=False, schedule="schedule", **sizes):
    """So many past runs that sent these sizes in GiB, VM by VM, to each target."""
    return [
        make_log(
            *(
                make_vm_task(vm, *(make_transfer(gib * GIB, target, full=full) for target in targets or ("repo",)))
                for vm, gib in sizes.items()
            ),
            schedule=schedule,
            start=LAST_NIGHT - timedelta(days=night),
            id=f"{schedule}-{night}-{full}",
        )
        for night in range(count)
    ]


def test_a_healthy_estate_has_nothing_to_say():
    assert said() == []


# Disabled or gone


@pytest.mark.parametrize(
    ("repositories", "state"),
    [
        ([make_repository(), make_repository("repo2", enabled=False)], "is disabled"),
        ([make_repository()], "does not exist in XO any more"),
    ],
)
def test_one_target_of_two_that_xo_leaves_out_silently_is_a_warning(repositories, state):
    (finding,) = said(**targets("repo", "repo2") | {"repositories": repositories})
    assert told([finding]) == [("DISABLED", Level.WARN, "repo2")]
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.CERTAIN, Harm.NONE, ())
    assert finding.summary == f"Backup repository repo2 {state}; XO leaves it out silently and reports a success."
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {"enabled": read(False if "disabled" in state else None, "", "repositories")}


def test_a_disabled_repository_is_named_as_xo_names_it():
    world = targets("repo", "repo2") | {
        "repositories": [make_repository(), make_repository("repo2", name="nas", enabled=False)]
    }
    (finding,) = said(**world)
    assert finding.scope == Scope(ScopeKind.REPOSITORY, "repo2", "nas")


@pytest.mark.parametrize("srs", [UNSET, {"id": "sr"}])
def test_with_no_target_left_xo_refuses_the_whole_run_its_replication_too(srs):
    world = targets("repo", "repo2", srs=srs) | {"repositories": [make_repository(enabled=False)]}
    findings = said(**world)
    assert told(findings) == [("DISABLED", Level.BLOCK, "repo"), ("DISABLED", Level.BLOCK, "repo2")]
    assert all(one.holds == () and "refuses the whole run" in one.summary for one in findings)


def test_a_job_without_repositories_has_none_that_could_be_gone():
    assert said(jobs=[make_job(remotes=UNSET, srs={"id": "sr"})]) == []
    assert said(jobs=[make_job(remotes={"id": {"__or": []}})]) == []


def test_a_metadata_job_loses_one_copy_or_all():
    metadata = targets("repo", "repo2", type="metadataBackup", mode=UNSET, vms=UNSET)
    (finding,) = said(**metadata | {"repositories": [make_repository()]})
    assert (finding.level, "the copy to it fails" in finding.summary) == (Level.WARN, True)
    assert [one.level for one in said(**metadata | {"repositories": []})] == [Level.BLOCK, Level.BLOCK]


# Unreachable


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (
            {"message": "Command failed with exit code 32: mount", "code": "X"},
            "Command failed with exit code 32: mount",
        ),
        ({"code": "EACCES"}, "EACCES"),
        ({"stack": "..."}, "an error without text"),
        ("mount failed", "mount failed"),
    ],
)
def test_the_only_target_that_xo_could_not_use_stands_in_the_way(error, text):
    (finding,) = said(repositories=[make_repository(error=error)])
    assert told([finding]) == [("UNREACHABLE", Level.BLOCK, "repo")]
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.LIKELY, Harm.NONE, ())
    assert (
        finding.summary
        == f"Backup repository repo: XO's last attempt to use it failed ({text}); no other target is left."
    )
    assert finding.clears == Clears(ClearedBy.REMEDY)
    assert facts(finding) == {"error": read(text, "", "repositories")}


@pytest.mark.parametrize("error", [None, UNSET, ""])
def test_no_error_is_no_error(error):
    assert said(repositories=[make_repository(error=error)]) == []


@pytest.mark.parametrize(
    ("broken", "off", "srs", "expected"),
    [
        (["repo"], [], UNSET, [("UNREACHABLE", Level.WARN, "repo")]),
        (["repo"], ["repo2"], UNSET, [("DISABLED", Level.WARN, "repo2"), ("UNREACHABLE", Level.BLOCK, "repo")]),
        (["repo"], ["repo2"], {"id": "sr"}, [("DISABLED", Level.WARN, "repo2"), ("UNREACHABLE", Level.WARN, "repo")]),
        (["repo", "repo2"], [], UNSET, [("UNREACHABLE", Level.BLOCK, "repo"), ("UNREACHABLE", Level.BLOCK, "repo2")]),
        (
            ["repo", "repo2"],
            [],
            {"id": "sr"},
            [("UNREACHABLE", Level.WARN, "repo"), ("UNREACHABLE", Level.WARN, "repo2")],
        ),
        (["repo"], ["repo"], UNSET, [("DISABLED", Level.WARN, "repo")]),
    ],
)
def test_an_unreachable_target_is_a_warning_while_another_is_left(broken, off, srs, expected):
    repositories = [
        make_repository(one, enabled=one not in off, error="boom" if one in broken else UNSET)
        for one in ("repo", "repo2")
    ]
    world = targets("repo", "repo2", srs=srs) | room(500 * GIB, 500 * GIB) | {"repositories": repositories}
    assert told(said(**world)) == expected


# Space


def deltas(free, *, count=1, gib=100, size=UNSET, **world):
    """One VM that sends deltas of so many GiB."""
    return job_of("vm") | {"logs": nights(count, vm=gib)} | room(free, size=size) | world


@pytest.mark.parametrize(
    ("margin", "free", "full"),
    [
        (5, 105 * GIB, False),
        (5, 105 * GIB - 1, True),
        (0, 100 * GIB, False),
        (0, 100 * GIB - 1, True),
        (50, 150 * GIB, False),
        (50, 150 * GIB - 1, True),
        (5, 0, True),
    ],
)
def test_a_run_fits_that_leaves_the_margin(margin, free, full):
    assert told(said({"margin_percent": margin}, **deltas(free))) == (
        [("NO_SPACE", Level.BLOCK, "repo")] if full else []
    )


def test_where_a_fraction_of_a_byte_is_missing_the_run_either_fits_or_is_held():
    world = job_of("vm") | room(98_580_704_882)
    log = make_log(make_vm_task("vm", make_transfer(89_618_822_620)))
    for finding in said({"margin_percent": 10}, **world, logs=[log]):
        assert (finding.level, finding.holds) == (Level.BLOCK, ("vm",))


def test_too_little_space_is_told_with_its_figures():
    (finding,) = said(**deltas(50 * GIB))
    assert (finding.check, finding.certainty, finding.harm) == ("repository", Certainty.LIKELY, Harm.REPOSITORY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.REPOSITORY, "repo", "repo"), ("vm",))
    assert finding.summary == (
        "Backup repository repo: 50.0 GiB free, this run is expected to write up to 105.0 GiB "
        "(0 full backups, 1 delta, 5 % margin)."
    )
    assert "Free 55.0 GiB on repo" in finding.remedy
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {
        "available": (50 * GIB, "bytes", "XO's repository_info", None),
        "need_p90": read(100 * GIB, "bytes", "logs"),
        "vms_without_forecast": read(0, "VMs", "logs"),
        "margin": (5.0, "%", "policy", None),
    }


def test_the_largest_vms_are_held_until_the_rest_fits():
    world = job_of("a", "b", "c", "d") | {"logs": nights(3, a=10, b=60, c=30, d=40)}
    held = {free: [one.holds for one in said(**world, **room(free * GIB))] for free in (147, 146, 84, 83, 42, 41, 10)}
    assert held == {
        147: [],
        146: [("b",)],
        84: [("b",)],
        83: [("b", "d")],
        42: [("b", "d")],
        41: [("b", "d", "c")],
        10: [("b", "d", "c", "a")],
    }


def test_only_the_vms_still_in_question_write():
    world = job_of("a", "b") | {"logs": nights(3, a=60, b=60)} | room(100 * GIB)
    assert [one.holds for one in said(**world)] == [("a",)]
    assert said(rest=("b",), **world) == []


@pytest.mark.parametrize(
    ("size", "free", "percent", "low"),
    [
        (2000, 200, 10, False),
        (2000, 199, 10, True),
        (2000, 600, 30, False),
        (2000, 599, 30, True),
        (2000, 199, 0, False),
        (UNSET, 199, 10, False),
    ],
)
def test_a_repository_with_little_left_is_a_trend_even_where_the_run_fits(size, free, percent, low):
    size = size if size is UNSET else size * GIB
    findings = said({"warn_free_percent": percent}, **deltas(free * GIB, size=size))
    assert [(one.level, one.certainty, one.holds) for one in findings] == [(Level.WARN, Certainty.TREND, ())] * low


def test_little_left_is_told_with_its_figures():
    (finding,) = said(**deltas(199 * GIB, size=2000 * GIB))
    assert finding.summary == "Backup repository repo: 10 % free (199.0 GiB); this run fits with 105.0 GiB."
    assert facts(finding)["warn_free"] == (10.0, "%", "policy", None)
    assert finding.harm is Harm.NONE


def test_a_run_that_does_not_fit_is_not_told_to_be_merely_tight():
    assert told(said(**deltas(50 * GIB, size=2000 * GIB))) == [("NO_SPACE", Level.BLOCK, "repo")]


# Several targets


def two(*free, sizes=None, remotes=("repo", "repo2"), **xo):
    """Two targets, by default one full and one with room."""
    sizes = sizes or {"vm": 100}
    return (
        job_of(*sizes, remotes=remotes, **xo)
        | {"logs": nights(3, *remotes, **sizes)}
        | room(*(gib * GIB for gib in free))
    )


def test_one_full_target_of_two_is_a_warning_and_holds_nobody():
    (finding,) = said(**two(50, 500))
    assert told([finding]) == [("NO_SPACE", Level.WARN, "repo")]
    assert (finding.harm, finding.holds) == (Harm.NONE, ("vm",))
    assert finding.summary.endswith("; the VMs that fail there still have another target.")


def test_two_full_targets_hold_what_fits_on_neither():
    findings = said(**two(50, 60))
    assert [(one.level, one.harm, one.holds) for one in findings] == [(Level.BLOCK, Harm.REPOSITORY, ("vm",))] * 2


def test_a_vm_that_fits_on_one_of_two_is_not_held():
    world = job_of("a", "b", remotes=("repo", "repo2")) | room(100 * GIB, 60 * GIB)
    sent = [nights(1, "repo", a=90, b=80), nights(1, "repo2", schedule="x", a=30, b=90)]
    findings = said(**world, logs=[log for logs in sent for log in logs])
    # a is too many on the first, b on the second
    assert [(one.scope.id, one.level, one.holds) for one in findings] == [
        ("repo", Level.WARN, ("a",)),
        ("repo2", Level.WARN, ("b",)),
    ]


ELSEWHERE = {
    "a replication SR": two(50, remotes=["repo"], srs={"id": "sr"}),
    "an object store": two(50) | {"repositories": [make_repository(), make_repository("repo2", url="s3://bucket")]},
    "an object store over http": two(50)
    | {"repositories": [make_repository(), make_repository("repo2", url="s3+http://bucket")]},
    "Azure": two(50) | {"repositories": [make_repository(), make_repository("repo2", url="azure://a/b")]},
}


@pytest.mark.parametrize("world", ELSEWHERE.values(), ids=ELSEWHERE)
def test_what_takes_a_vm_elsewhere_makes_a_full_target_a_warning(world):
    (finding,) = said(**world)
    assert told([finding]) == [("NO_SPACE", Level.WARN, "repo")]


def test_a_target_without_figures_may_take_what_the_full_one_does_not():
    assert told(said(**two(50))) == [("NO_SPACE", Level.WARN, "repo"), ("NO_SPACE", Level.UNKNOWN, "repo2")]


@pytest.mark.parametrize("lost", [{"enabled": False}, {"error": "boom"}])
def test_a_target_that_is_out_takes_nothing(lost):
    world = two(50, 500) | {"repositories": [make_repository(), make_repository("repo2", **lost)]}
    (space,) = [one for one in said(**world) if one.code == "REPOSITORY_NO_SPACE"]
    assert (space.level, space.scope.id, space.holds) == (Level.BLOCK, "repo", ("vm",))


def test_an_object_store_takes_what_comes():
    assert said(**deltas(0) | {"repositories": [make_repository(url="s3://bucket")], "repository_info": {}}) == []


@pytest.mark.parametrize(
    ("info", "reading", "why"),
    [
        ({}, {}, "XO gave no free space for it"),
        ({"repo": make_repository_info(available=UNSET)}, {}, "XO gave no free space for it"),
        ({}, {PartName.REPOSITORY_INFO: {"ok": False, "error": "XO answered 500."}}, "XO answered 500."),
    ],
)
def test_without_figures_whether_a_run_fits_is_unknown(info, reading, why):
    (finding,) = said(**deltas(0) | {"repository_info": info, "reading": reading})
    assert told([finding]) == [("NO_SPACE", Level.UNKNOWN, "repo")]
    assert finding.summary == f"Backup repository repo: whether the run fits cannot be told; {why}."
    assert finding.holds == ()
    assert facts(finding) == {"available": (None, "bytes", "XO's repository_info", None)}


# Distributed backups


@pytest.mark.parametrize(
    ("free", "level"), [((60, 60), None), ((105, 0), None), ((54, 50), Level.BLOCK), ((0, 0), Level.BLOCK)]
)
def test_distributed_backups_fit_into_the_free_space_of_all_repositories(free, level):
    findings = said(**two(*free, sizes={"a": 50, "b": 50}, settings={"distributeBackups": True}))
    assert [one.level for one in findings] == ([level] if level else [])
    if level:
        assert findings[0].scope.name == "repo + repo2"
        assert findings[0].holds == (("a",) if free == (54, 50) else ("a", "b"))


def test_distributed_backups_to_a_single_repository_are_ordinary():
    (finding,) = said(**two(50, remotes=["repo"], settings={"distributeBackups": True}))
    assert (finding.level, finding.scope.name) == (Level.BLOCK, "repo")


def test_distributed_backups_with_one_repository_without_figures_are_unknown():
    (finding,) = said(**two(50, settings={"distributeBackups": True}))
    assert (finding.level, finding.scope.name) == (Level.UNKNOWN, "repo + repo2")
    assert "XO gave no free space for it" in finding.summary


def test_distributed_backups_with_an_object_store_take_what_comes():
    world = two(50, settings={"distributeBackups": True})
    assert said(**world | {"repositories": [make_repository(), make_repository("repo2", url="s3://bucket")]}) == []


def spread(*free, logs=None, mode="delta", sizes=None, **settings):
    """Distributed backups to two repositories; ``logs``: where each VM went, night by night."""
    world = two(*free, sizes=sizes or {"vm": 1}, mode=mode, settings={"distributeBackups": True} | settings)
    return world | ({} if logs is None else {"logs": logs})


@pytest.mark.parametrize(("free", "held"), [((105, 100), False), ((104, 104), True), ((10, 200), False)])
def test_distributed_a_vm_that_no_single_repository_holds_is_held_though_the_sum_fits(free, held):
    findings = said(**spread(*free, sizes={"big": 100, "small": 1}))
    assert [(one.level, one.holds) for one in findings] == [(Level.BLOCK, ("big",))] * held
    if held:
        assert findings[0].summary == (
            "Backup repository repo + repo2: 104.0 GiB free on the emptiest, big is expected to write up to 105.0 GiB "
            "(0 full backups, 2 deltas, 5 % margin)."
        )
        assert findings[0].remedy == "Free 1.0 GiB on repo + repo2, or lower a retention there."
        assert facts(findings[0])["available"] == (208 * GIB, "bytes", "XO's repository_info", None)
        assert facts(findings[0])["largest_available"] == (104 * GIB, "bytes", "XO's repository_info", None)


def test_distributed_a_run_that_fits_neither_in_all_nor_in_one_is_told_whole():
    (finding,) = said(**spread(50, 50, sizes={"big": 100, "small": 1}))
    assert finding.holds == ("big",)
    assert "100.0 GiB free, this run is expected to write up to 106.0 GiB" in finding.summary


@pytest.mark.parametrize(("free", "level"), [((420, 10), None), ((419, 419), Level.UNKNOWN)])
def test_distributed_a_vm_without_a_past_fits_for_sure_where_one_repository_holds_all_its_disks(free, level):
    findings = said(**spread(*free, logs=[]))
    assert [one.level for one in findings] == ([level] if level else [])
    if level:
        assert "838.0 GiB free, 419.0 GiB on the emptiest, and whether the run fits cannot" in findings[0].summary


@pytest.mark.parametrize("last", ["repo", "repo2"])
def test_distributed_a_vms_past_is_looked_up_wherever_it_went(last):
    first = "repo2" if last == "repo" else "repo"
    nightly = [*nights(1, last, vm=100), *nights(3, first, vm=10)[1:]]
    (finding,) = said(**spread(90, 90, logs=nightly))
    assert (finding.level, facts(finding)["need_p90"][0]) == (Level.BLOCK, 100 * GIB)


def test_distributed_the_past_on_a_repository_that_is_out_still_tells():
    world = spread(90, logs=nights(3, "repo2", vm=100))
    world |= {"repositories": [make_repository(), make_repository("repo2", enabled=False)]}
    (space,) = [one for one in said(**world) if one.code == "REPOSITORY_NO_SPACE"]
    assert (space.level, space.holds, space.scope.name) == (Level.BLOCK, ("vm",), "repo")


def test_distributed_what_retention_deletes_may_lie_on_another_repository():
    logs = nights(9, "repo", full=True, a=100, b=100)
    world = spread(105, 52, logs=logs, mode="full", sizes={"a": 1, "b": 1}, concurrency=1)
    assert [one.level for one in said(**world)] == [Level.UNKNOWN]
    assert said(**world | room(105 * GIB, 105 * GIB)) == []


# Full backups and what retention deletes meanwhile


def fulls(free, *, count=7, **settings):
    """Three VMs of 100 GiB each that have been sent so often."""
    return job_of("a", "b", "c", mode="full", settings=settings) | {
        "logs": nights(count, full=True, a=100, b=100, c=100),
        **room(free),
    }


@pytest.mark.parametrize(("concurrency", "need"), [(1, 105), (2, 210), (0, 315), (9, 315)])
def test_what_retention_deletes_after_each_vm_is_given_back_to_the_next(concurrency, need):
    assert said(**fulls(need * GIB, concurrency=concurrency)) == []
    (finding,) = said(**fulls(need * GIB - 1, concurrency=concurrency))
    assert finding.level is Level.BLOCK
    assert facts(finding)["need_p90"][0] == need * 100 // 105 * GIB
    assert "3 full backups, 0 deltas" in finding.summary


def test_xo_works_on_two_vms_at_once_unless_the_job_says_otherwise():
    assert [one.level for one in said(**fulls(210 * GIB - 1))] == [Level.BLOCK]
    assert said(**fulls(210 * GIB)) == []


@pytest.mark.parametrize(
    ("free", "level"),
    [(315 * GIB, None), (315 * GIB - 1, Level.UNKNOWN), (105 * GIB, Level.UNKNOWN), (104 * GIB, Level.BLOCK)],
)
@pytest.mark.parametrize(
    "unsure",
    [
        {"count": 6},
        {"exportRetention": 8},
        {"longTermRetention": {"daily": {"retention": 3, "settings": {}}}},
    ],
)
def test_with_too_few_past_runs_what_retention_deletes_is_unknown_and_no_block(free, level, unsure):
    assert [one.level for one in said(**fulls(free, concurrency=1, **unsure))] == ([level] if level else [])


def test_a_vm_that_came_to_the_job_lately_has_no_archive_to_delete():
    world = job_of("a", "b", mode="full", settings={"concurrency": 1}) | room(150 * GIB)
    logs = [*nights(1, full=True, a=100, b=100), *nights(7, full=True, b=100)[1:]]
    assert [one.level for one in said(**world, logs=logs)] == [Level.UNKNOWN]
    assert said(**world, logs=nights(7, full=True, a=100, b=100)) == []


def test_archives_of_another_schedule_are_not_deleted():
    world = fulls(150 * GIB, concurrency=1)
    logs = nights(7, full=True, schedule="weekly", a=100, b=100, c=100)
    assert [one.level for one in said(**world | {"logs": logs})] == [Level.UNKNOWN]


def test_the_smallest_archive_is_surely_given_back_and_the_largest_perhaps():
    logs = [*nights(6, full=True, a=100, b=100), *nights(7, full=True, a=40, b=40)[6:]]
    world = job_of("a", "b", mode="full", settings={"concurrency": 1}) | {"logs": logs}
    # b comes to lie beside what is left of a: 100 + 100 - 40 at most, 100 at least
    assert said(**world, **room(168 * GIB)) == []
    assert [one.level for one in said(**world, **room(168 * GIB - 1))] == [Level.UNKNOWN]
    assert [one.level for one in said(**world, **room(105 * GIB - 1))] == [Level.BLOCK]


@pytest.mark.parametrize(("vm", "level"), [("a", Level.UNKNOWN), ("other", None)])
def test_the_retention_of_the_vm_itself_counts(vm, level):
    world = fulls(105 * GIB, concurrency=1)
    settings = {"schedule": {"exportRetention": 7, "concurrency": 1}, vm: {"exportRetention": 30}}
    job = make_job(mode="full", vms={"id": {"__or": ["a", "b", "c"]}}, settings=settings)
    assert [one.level for one in said(**world | {"jobs": [job]})] == ([level] if level else [])


def test_with_delete_first_the_old_archive_makes_room_for_the_new():
    assert said(**fulls(0, concurrency=1, deleteFirst=True)) == []
    assert said(**fulls(0, concurrency=0, deleteFirst=True)) == []


@pytest.mark.parametrize(("free", "level"), [(315 * GIB, None), (315 * GIB - 1, Level.UNKNOWN), (0, Level.UNKNOWN)])
def test_delete_first_with_too_few_past_runs_is_unknown(free, level):
    findings = said(**fulls(free, count=2, concurrency=1, deleteFirst=True))
    assert [one.level for one in findings] == ([level] if level else [])


def test_a_schedule_that_keeps_no_export_makes_none():
    for mode in ("full", "delta"):
        world = job_of("vm", mode=mode, settings={"exportRetention": 0})
        logs = nights(7, full=mode == "full", vm=100)
        assert Level.BLOCK not in [one.level for one in said(**world, logs=logs, **room(0))]


def test_a_full_never_sent_is_as_large_as_what_its_disks_hold():
    world = job_of("vm", mode="full")
    assert said(**world, **room(420 * GIB)) == []
    (finding,) = said(**world, **room(420 * GIB - 1))
    assert (finding.level, facts(finding)["need_p90"][0]) == (Level.BLOCK, 400 * GIB)


def test_a_delta_gives_nothing_back_because_its_merge_comes_later():
    world = job_of("a", "b", settings={"concurrency": 1}) | {"logs": nights(6, a=100, b=100)}
    assert said(**world, **room(210 * GIB)) == []
    assert [one.level for one in said(**world, **room(210 * GIB - 1))] == [Level.BLOCK]


# Merges


def merging(free, *, count=7, url="nfs://192.0.2.9:/backup", encryption=UNSET, full=False, settings=None, **xo):
    """Two VMs of 100 and 40 GiB of deltas, by default as many as retention keeps."""
    info = make_repository_info(available=free)
    return job_of("a", "b", settings=settings, **xo) | {
        "logs": nights(count, full=full, a=100, b=40),
        "repositories": [make_repository(url=url)],
        "repository_info": {"repo": msgspec.structs.replace(info, encryption=encryption)},
    }


def test_the_merge_of_a_plain_vhd_may_need_its_bytes_once_more_but_one_at_a_time():
    assert said(**merging(252 * GIB)) == []
    (finding,) = said(**merging(252 * GIB - 1))
    assert (finding.level, finding.holds) == (Level.UNKNOWN, ())
    assert finding.summary == (
        "Backup repository repo: 252.0 GiB free, and whether the run fits cannot be told: it may write from 140.0 GiB to "
        "240.0 GiB; a merge of older deltas may need 100.0 GiB more for a while."
    )
    assert [one.level for one in said(**merging(147 * GIB - 1))] == [Level.BLOCK]


NO_MERGE = {
    "retention is not full yet": {"count": 6},
    "long-term retention": {"settings": {"longTermRetention": {"daily": {"retention": 3, "settings": {}}}}},
    "blocks by the URL": {"url": "nfs://192.0.2.9:/backup?useVhdDirectory=true"},
    "blocks by encryption": {"encryption": {"algorithm": "chacha20-poly1305"}},
}


@pytest.mark.parametrize("how", NO_MERGE.values(), ids=NO_MERGE)
def test_nothing_is_copied_by_a_merge(how):
    assert said(**merging(147 * GIB, **how)) == []


@pytest.mark.parametrize("encryption", [{"algorithm": "none"}, {}, None])
def test_a_repository_without_encryption_may_keep_plain_vhds(encryption):
    assert [one.level for one in said(**merging(147 * GIB, encryption=encryption))] == [Level.UNKNOWN]


def test_a_merge_is_told_among_the_figures_of_what_does_not_fit():
    (finding,) = said(**merging(10 * GIB))
    assert facts(finding)["merge"] == read(100 * GIB, "bytes", "logs")


# Other runs


def beside(free, *, due=-1, seconds=60, known=3, count=3, retention=7, job=None, runs=None, **world):
    """Besides the run of "vm" at midnight, which writes 100 GiB, a job "first" writes 50 GiB, by default an hour before.

    ``seconds``: how long it takes. ``count``: its past runs, each of which left 50 GiB. ``known``: those of the run itself.
    """
    settings = {"early": {"exportRetention": retention}}
    mine = job_of("vm", "other")
    other = make_job("first", **{"vms": {"id": "other"}, "settings": settings} | (job or {}))
    sent = make_vm_task("other", make_transfer(50 * GIB))
    past = [
        make_log(
            sent, job="first", schedule="early", start=LAST_NIGHT - timedelta(days=one), seconds=seconds, id=f"e{one}"
        )
        for one in range(count)
    ]
    mine["jobs"] = [make_job(vms={"id": "vm"}), other]
    mine["vdi_snapshots"] = [
        make_snapshot("vm-snap", of="vm-disk", vm="vm"),
        make_snapshot("other-snap", of="other-disk", vm="other", job="first"),
    ]
    mine |= {
        "schedules": [make_schedule(), make_schedule("early", job="first")],
        "logs": [*nights(known, vm=100), *past],
    }
    view = make_view(
        make_estate(**mine | room(free) | world),
        runs=[make_due("early", "first", at=DUE + timedelta(hours=due))] if runs is None else runs,
    )
    return found(CHECK, view)


def test_what_an_earlier_run_adds_is_no_longer_there_for_this_one():
    free = 157.5 * GIB
    assert beside(int(free)) == []
    (finding,) = beside(int(free) - 1)
    assert (finding.level, finding.certainty, finding.holds) == (Level.BLOCK, Certainty.LIKELY, ("vm",))
    assert finding.summary == (
        "Backup repository repo: 157.5 GiB free, this run is expected to write up to 105.0 GiB "
        "(0 full backups, 1 delta, 5 % margin); other runs write 50.0 GiB before (first)."
    )
    assert facts(finding)["other_runs"] == read(50 * GIB, "bytes", "logs")
    assert finding.remedy == "Free 1 B on repo, or lower a retention there."


@pytest.mark.parametrize(
    "how",
    [{"due": 1}, {"due": -3}, {"count": 7}, {"settings": {}}],
    ids=["it comes later", "it was due before now", "its merges give as much back", "it keeps no export"],
)
def test_a_run_that_leaves_nothing_before_this_one_takes_no_room_from_it(how):
    how = {key: value for key, value in how.items() if key != "settings"} | (
        {"retention": 0} if "settings" in how else {}
    )
    assert beside(105 * GIB, **how) == []


def test_a_run_that_still_goes_on_has_its_bytes_there_even_where_merges_give_them_back_later():
    assert beside(157 * GIB, count=7, seconds=3600) == []
    (finding,) = beside(157 * GIB, count=7, seconds=3601)
    assert "other runs write 50.0 GiB before (first)" in finding.summary
    assert facts(finding)["other_runs"][0] == 50 * GIB


def test_several_runs_of_one_job_add_up_and_are_named_once():
    runs = [make_due("early", "first", at=DUE - timedelta(minutes=one)) for one in (30, 60)]
    assert beside(210 * GIB, runs=runs) == []
    (finding,) = beside(210 * GIB - 1, runs=runs)
    assert "other runs write 100.0 GiB before (first)" in finding.summary


def test_of_two_runs_at_the_same_minute_only_the_second_in_the_plan_counts_the_other():
    # "early" comes before "schedule" by name
    assert [one.level for one in beside(157 * GIB, due=0)] == [Level.BLOCK]
    assert beside(157 * GIB, due=0, schedules=[make_schedule(), make_schedule("early", job="first", name="z")]) == []


def test_a_run_that_xo_will_refuse_writes_nothing():
    twin = make_schedule("twin", job="first", name="a twin")
    runs = [make_due(one, "first", at=DUE - timedelta(hours=1)) for one in ("early", "twin")]
    schedules = [make_schedule(), make_schedule("early", job="first"), twin]
    # of the two only the twin starts, and the past tells nothing of it
    assert beside(115 * GIB, runs=runs, schedules=schedules) == []


def test_other_runs_are_a_reason_why_it_cannot_be_told_whether_one_fits():
    assert beside(int(472.5 * GIB), known=0) == []
    (finding,) = beside(int(472.5 * GIB) - 1, known=0)
    assert finding.level is Level.UNKNOWN
    assert finding.summary.endswith("; the past does not tell for 1 VM; other runs write 50.0 GiB before.")


ELSEWHERE_TOO = {
    "another repository": {"remotes": {"id": "repo2"}},
    "one that is gone": {"remotes": {"id": "nowhere"}},
    "whichever has most room": {
        "remotes": {"id": {"__or": ["repo", "repo2"]}},
        "settings": {"early": {"exportRetention": 7, "distributeBackups": True}},
    },
    "a pool's metadata": {"type": "metadataBackup"},
}


@pytest.mark.parametrize("job", ELSEWHERE_TOO.values(), ids=ELSEWHERE_TOO)
def test_what_goes_elsewhere_takes_no_room_here(job):
    two_of_them = [make_repository(), make_repository("repo2", url="nfs://192.0.2.7:/backup")]
    for seconds in (60, 3601):
        assert beside(105 * GIB, job=job, seconds=seconds, repositories=two_of_them) == []


def test_a_mirror_takes_room_while_it_goes_on():
    mirrors = {"type": "mirrorBackup", "vms": UNSET, "sourceRemote": "repo2", "mode": "delta"}
    assert [one.level for one in beside(157 * GIB, job=mirrors, seconds=3601)] == [Level.BLOCK]
    assert beside(157 * GIB, job=mirrors, seconds=3600) == []


# A run that goes on now


def going_on(free, *begun, seconds=3 * 3600, tasks=None, count=7, job=None, **world):
    """A run of "first" that began an hour ago with two VMs of 50 GiB each; ``begun``: those that it has come to."""
    names = ("other", "another")
    began = NOW - timedelta(hours=1)
    sent = [make_vm_task(one, make_transfer(50 * GIB)) for one in names]
    past = [
        make_log(*sent, job="first", schedule="early", start=began - timedelta(days=one), seconds=seconds, id=f"e{one}")
        for one in range(1, count + 1)
    ]
    log = make_log(
        *(make_vm_task(one, status="pending") for one in begun),
        job="first",
        schedule="early",
        start=began,
        status="pending",
        id="running",
    )
    mine = job_of("vm", *names)
    settings = {"early": {"exportRetention": 7}}
    first = make_job(
        "first", **{"vms": {"id": {"__or": list(names)}}, "settings": settings, "runId": "running"} | (job or {})
    )
    mine["jobs"] = [make_job(vms={"id": "vm"}), first]
    mine["vdi_snapshots"] = [
        make_snapshot("vm-snap", of="vm-disk", vm="vm"),
        *(make_snapshot(f"{one}-snap", of=f"{one}-disk", vm=one, job="first") for one in names),
    ]
    mine |= {"schedules": [make_schedule(), make_schedule("early", job="first")]}
    mine |= {"logs": [*nights(3, vm=100), *past, log]}
    return found(CHECK, make_view(make_estate(**mine | room(free) | world)))


def test_what_a_run_that_goes_on_has_not_begun_yet_is_still_to_be_written():
    (finding,) = going_on(157 * GIB, "other", seconds=3 * 3600 + 1)
    assert (finding.level, facts(finding)["other_runs"][0]) == (Level.BLOCK, 50 * GIB)
    assert "other runs write 50.0 GiB before (first)" in finding.summary
    assert going_on(int(157.5 * GIB), "other", seconds=3 * 3600 + 1) == []


def test_a_run_that_takes_longer_than_ever_may_go_on_at_any_time():
    assert [one.level for one in going_on(157 * GIB, "other", seconds=60)] == [Level.BLOCK]


def test_a_run_that_ends_before_leaves_what_its_merges_do_not_give_back():
    assert going_on(157 * GIB, "other") == []
    assert [one.level for one in going_on(157 * GIB, "other", count=6)] == [Level.BLOCK]


@pytest.mark.parametrize("begun", [("other", "another"), ()], ids=["it has begun all", "its tasks are not shown"])
def test_of_a_run_that_goes_on_nothing_is_counted_that_is_not_known(begun):
    assert going_on(105 * GIB, *begun, seconds=99_999) == []


def test_what_a_mirror_that_goes_on_has_still_to_copy_is_not_known():
    assert going_on(105 * GIB, "other", job={"type": "mirrorBackup", "vms": UNSET, "sourceRemote": "repo2"}) == []


# Two repositories on one file system


def shared(free, *, url="nfs://192.0.2.9:/other", settings=None, mode="delta", logs=None, **info):
    """Two repositories with the same figures; by default two shares of one machine."""
    world = job_of("a", "b", remotes=("repo", "repo2"), settings=settings, mode=mode)
    same = {"size": 1000 * GIB, "used": 300 * GIB, "available": free}
    return world | {
        "logs": nights(3, "repo", "repo2", a=100, b=100) if logs is None else logs,
        "repositories": [make_repository(), make_repository("repo2", url=url)],
        "repository_info": {"repo": make_repository_info(**same), "repo2": make_repository_info(**same | info)},
    }


def test_two_repositories_on_one_file_system_share_its_room():
    assert said(**shared(420 * GIB)) == []
    (finding,) = said(**shared(420 * GIB - 1))
    assert (finding.level, finding.holds) == (Level.BLOCK, ("a",))
    assert finding.scope == Scope(ScopeKind.REPOSITORY, "repo", "repo + repo2")
    assert facts(finding)["need_p90"][0] == 400 * GIB


@pytest.mark.parametrize(
    "other",
    [
        {"url": "nfs://192.0.2.7:/backup"},
        {"used": 300 * GIB + 1},
        {"size": 999 * GIB},
        {"used": UNSET},
        {"size": UNSET},
    ],
)
def test_other_figures_or_another_machine_are_another_file_system(other):
    assert said(**shared(210 * GIB, **other)) == []


@pytest.mark.parametrize(("free", "held"), [(210, ()), (209, ("a",))])
def test_distributed_over_one_file_system_each_vm_is_written_once(free, held):
    findings = said(**shared(free * GIB, settings={"distributeBackups": True}))
    assert [one for finding in findings for one in finding.holds] == list(held)


def test_a_run_to_the_one_takes_the_room_of_a_run_to_the_other():
    same = {"size": 1000 * GIB, "used": 300 * GIB, "available": 157 * GIB}
    there = [make_repository(), make_repository("repo2", url="nfs://192.0.2.9:/other")]
    info = {"repo": make_repository_info(**same), "repo2": make_repository_info(**same)}
    past = [
        make_log(make_vm_task("other", make_transfer(50 * GIB, "repo2")), job="first", schedule="early", id=f"{one}")
        for one in range(3)
    ]
    found_ = beside(
        0,
        job={"remotes": {"id": "repo2"}},
        repositories=there,
        repository_info=info,
        logs=[*nights(3, vm=100), *past],
    )
    assert [one.level for one in found_] == [Level.BLOCK]


# Without a past


@pytest.mark.parametrize(("free", "level"), [(420 * GIB, None), (420 * GIB - 1, Level.UNKNOWN), (0, Level.UNKNOWN)])
def test_a_delta_without_a_past_is_bounded_by_its_disks_and_never_counted_as_nothing(free, level):
    findings = said(**job_of("vm") | room(free))
    assert [one.level for one in findings] == ([level] if level else [])
    if level:
        assert "it may write from 0 B to 400.0 GiB; the past does not tell for 1 VM" in findings[0].summary
        assert findings[0].holds == ()


def test_a_vm_without_a_past_is_added_to_what_is_known_of_the_others():
    world = job_of("a", "b") | {"logs": nights(3, a=100)}
    assert said(**world, **room(525 * GIB)) == []
    (finding,) = said(**world, **room(525 * GIB - 1))
    assert "it may write from 100.0 GiB to 500.0 GiB; the past does not tell for 1 VM" in finding.summary
    (finding,) = said(**world, **room(104 * GIB))
    assert (finding.level, finding.holds) == (Level.BLOCK, ("a",))


@pytest.mark.parametrize("disk", [{"size": UNSET}, None])
def test_a_disk_that_xo_does_not_show_or_measure_has_no_bound(disk):
    world = job_of("vm") | room(10_000 * GIB)
    world["vdis"] = [] if disk is None else [make_vdi("vm-disk", **disk)]
    (finding,) = said(**world)
    assert (finding.level, "it may write from 0 B up" in finding.summary) == (Level.UNKNOWN, True)


@pytest.mark.parametrize(
    "part",
    [PartName.VMS, PartName.VBDS, PartName.VDIS, PartName.VDI_SNAPSHOTS, PartName.VDI_UNMANAGED],
)
@pytest.mark.parametrize("change", [{"ok": False, "error": "x"}, {"complete": False}])
def test_a_list_that_was_not_read_whole_makes_the_forecast_unknown_and_not_full(part, change):
    # without the snapshots a delta would look like a first full that fits nowhere
    world = deltas(200 * GIB) | {"reading": {part: change}}
    world[part.value] = []
    findings = said(rest=("vm",), **world)
    assert told(findings) == [("NO_SPACE", Level.UNKNOWN, "repo")]
    assert "it may write from 0 B up" in findings[0].summary


# Mirror and metadata jobs


def mirror(*free, runs=3, gib=100, **xo):
    """A mirror of "source" to "repo" (and "repo2") whose past runs copied two VMs."""
    ids = ["repo", "repo2"][: max(1, len(free))]
    logs = nights(runs, *ids, a=gib // 2, b=gib // 2)
    world = targets(*ids, type="mirrorBackup", sourceRemote="source", vms=UNSET, mode="full")
    return (
        world
        | {"logs": logs, "repositories": [make_repository("source", **xo), *world["repositories"]]}
        | room(*(one * GIB for one in free))
    )


@pytest.mark.parametrize(
    ("change", "code", "text"),
    [
        ({"enabled": False}, "DISABLED", "it is the source of this mirror: XO refuses the whole run"),
        ({"error": "boom"}, "UNREACHABLE", "it is the source of this mirror."),
    ],
)
def test_a_mirror_without_its_source_is_refused_whole(change, code, text):
    (finding,) = said(**mirror(500, 500, **change))
    assert told([finding]) == [(code, Level.BLOCK, "source")]
    assert (finding.holds, text in finding.summary) == ((), True)


def test_a_mirror_whose_source_is_gone_is_refused_whole():
    world = mirror(500)
    assert told(said(**world | {"repositories": [make_repository()]})) == [("DISABLED", Level.BLOCK, "source")]


def test_the_source_of_a_mirror_is_not_written_to():
    world = mirror(500)
    full = world["repository_info"] | {"source": make_repository_info(available=0)}
    assert said(**world | {"repository_info": full}) == []


@pytest.mark.parametrize(("free", "level"), [(105, None), (104, Level.BLOCK)])
def test_a_mirror_is_judged_by_the_bytes_of_its_past_runs(free, level):
    findings = said(**mirror(free))
    assert [(one.level, one.holds) for one in findings] == ([(level, ())] if level else [])
    if level:
        assert "expected to write up to 105.0 GiB (5 % margin)" in findings[0].summary
        assert findings[0].harm is Harm.REPOSITORY


def test_a_mirror_with_another_target_left_goes_on():
    (finding,) = said(**mirror(50, 500))
    assert (told([finding]), finding.holds) == ([("NO_SPACE", Level.WARN, "repo")], ())
    assert [one.level for one in said(**mirror(50, 60))] == [Level.BLOCK, Level.BLOCK]


def test_a_distributed_mirror_is_only_known_as_a_whole():
    spread_out = {"settings": {"schedule": {"distributeBackups": True}}}
    world = mirror(60, 60)
    world["jobs"] = [
        make_job(
            remotes={"id": {"__or": ["repo", "repo2"]}},
            type="mirrorBackup",
            sourceRemote="source",
            vms=UNSET,
            mode="full",
            **spread_out,
        )
    ]
    assert said(**world) == []
    assert [one.level for one in said(**world | room(60 * GIB, 40 * GIB))] == [Level.BLOCK]


def test_a_mirror_without_a_past_is_unknown():
    (finding,) = said(**mirror(500, runs=0))
    assert (finding.level, "no past run of this mirror tells" in finding.summary) == (Level.UNKNOWN, True)


def test_a_metadata_job_writes_too_little_for_a_rule_about_space():
    world = targets("repo", type="metadataBackup", mode=UNSET, vms=UNSET) | room(0, size=1000 * GIB)
    assert said(**world) == []


@pytest.mark.parametrize(
    "change", [{"ok": False, "error": "x"}, {"complete": False}, {"read_at": NOW - timedelta(minutes=11)}]
)
def test_without_a_fresh_and_whole_list_of_repositories_none_is_told_to_be_gone(change):
    view = make_view(make_estate(repositories=[], reading={PartName.REPOSITORIES: change}))
    assert [one.level for one in run_checks([CHECK], view, {"repository": CHECK.options()})] == [Level.UNKNOWN]
