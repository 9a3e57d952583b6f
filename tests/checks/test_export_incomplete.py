"""Transfers that broke off again and again, and fulls that are far too small (failure-modes.md 3.13)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.export_incomplete import CHECK
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    GIB,
    LAST_NIGHT,
    facts,
    make_job,
    make_log,
    make_repository,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
    read,
)
from tests.checks.nights import CUT, TIMED_OUT, fine, lost, night, nights, retried, told
from tests.outcomes.tables import task

BAD = lost(CUT)


def said_of(logs, options=None, **world):
    return told(CHECK, options, logs=logs, **world)


# Repeated


def test_a_healthy_past_says_nothing():
    assert said_of([]) == []
    assert said_of(nights(fine(), fine(), fine())) == []


def test_a_vm_whose_transfer_broke_off_twice_is_told_with_its_figures():
    (finding,) = said_of(nights(fine(), BAD, BAD))
    assert (finding.code, finding.check) == ("EXPORT_INCOMPLETE", "export_incomplete")
    assert (finding.level, finding.certainty, finding.harm) == (Level.WARN, Certainty.TREND, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        "vm: a transfer broke off or arrived damaged in 2 of its last 3 runs, last on Mon 23 Nov 00:00 UTC "
        "(stream has ended with not enough data (actual: 4096, expected: 2097152))."
    )
    assert facts(finding)["failures"] == read(2, "failures", "logs")
    assert "/var/log/SMlog" in finding.remedy


@pytest.mark.parametrize(
    ("runs", "options", "is_told"),
    [
        ([BAD, fine()], None, False),
        ([BAD, lost(TIMED_OUT)], None, False),
        ([BAD, fine(), fine(), fine(), BAD], None, True),
        ([BAD, fine(), fine(), fine(), fine(), BAD], None, False),
        ([fine(), fine(), fine(), BAD, BAD], None, False),
        ([retried(CUT), retried(CUT)], None, True),
        ([BAD], {"times": 1}, True),
    ],
)
def test_both_sides_of_every_threshold(runs, options, is_told):
    assert bool(said_of(nights(*runs), options)) is is_told


def two_vms(sr_of_b="sr", **more):
    return {
        "vms": [make_vm("a"), make_vm("b")],
        "srs": [make_sr(), make_sr("other")],
        "vdis": [make_vdi("da"), make_vdi("db", sr=sr_of_b)],
        "vbds": [make_vbd("a", "da"), make_vbd("b", "db")],
        "jobs": [make_job(vms={"id": {"__or": ["a", "b"]}})],
    } | more


ONE_EACH = [night(0, lost(CUT, "a"), fine("b")), night(1, fine("a"), lost(CUT, "b"))]


def test_two_vms_of_one_sr_make_the_sr_suspect():
    (finding,) = said_of(ONE_EACH, **two_vms())
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "sr", "sr"), ("a", "b"))
    assert finding.summary.startswith(
        "A transfer broke off or arrived damaged 2 times in the last 2 runs of 2 VMs on sr (a, b), last on Tue 24 Nov"
    )


def test_two_vms_of_different_srs_have_nothing_in_common():
    assert said_of(ONE_EACH, **two_vms("other")) == []


def test_an_sr_is_told_where_the_run_has_one_of_the_vms_even_of_other_jobs():
    (finding,) = said_of(ONE_EACH, **two_vms(jobs=[make_job(vms={"id": "a"})]))
    assert (finding.holds, facts(finding)["vms"]) == (("a",), read(2, "VMs", "logs"))
    third = {"vms": [make_vm("a"), make_vm("b"), make_vm("c")], "jobs": [make_job(vms={"id": "c"})]}
    assert said_of(ONE_EACH, **(two_vms() | third)) == []


def test_a_vm_told_with_its_sr_is_not_told_again_and_one_on_two_srs_only_with_the_first():
    twice = [night(ago, lost(CUT, "a"), lost(CUT, "b")) for ago in range(2)]
    disks = {
        "vdis": [make_vdi("da"), make_vdi("da2", sr="other"), make_vdi("db"), make_vdi("db2", sr="other")],
        "vbds": [make_vbd("a", "da"), make_vbd("a", "da2"), make_vbd("b", "db"), make_vbd("b", "db2")],
    }
    (finding,) = said_of(twice, **(two_vms() | disks))
    assert finding.scope.id == "other"


def test_replicas_that_broke_off_are_put_to_the_sr_they_were_sent_to():
    sent = [night(0, lost(CUT, "a", target="other")), night(1, lost(CUT, "b", target="other"))]
    (finding,) = said_of(sent, **two_vms())
    assert finding.scope == Scope(ScopeKind.SR, "other", "other")


def test_an_sr_that_xo_does_not_show_is_told_by_its_id():
    (finding,) = said_of(ONE_EACH, **two_vms(srs=[]))
    assert finding.scope == Scope(ScopeKind.SR, "sr", "sr")


# Too small


def sent(ago, size, *, mode="full", full=True, to=("repo",), schedule="schedule"):
    start = LAST_NIGHT - timedelta(days=ago)
    vm = make_vm_task("vm", *(make_transfer(size, target, full=full, start=start) for target in to))
    return make_log(vm, start=start, id=f"{schedule}-{ago}", schedule=schedule, data={"mode": mode} if mode else UNSET)


def fulls(*sizes, **more):
    """Full backups of these sizes, the newest first."""
    return [sent(ago, size, **more) for ago, size in enumerate(sizes)]


def of_a_full(logs, options=None, **world):
    disk = [make_vdi(size=100 * GIB, usage=50 * GIB)]
    return said_of(logs, options, **({"jobs": [make_job(mode="full")], "vdis": disk} | world))


USUAL = 20 * GIB


def test_a_full_of_less_than_half_its_usual_size_may_be_incomplete():
    (finding,) = of_a_full(fulls(9 * GIB, USUAL, 21 * GIB, 19 * GIB))
    assert (finding.code, finding.level, finding.certainty) == ("EXPORT_INCOMPLETE", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert finding.clears == Clears(ClearedBy.TIME)
    assert finding.summary == (
        "vm: the full backup of Tue 24 Nov 00:00 UTC on repo has 9.0 GiB, usually 20.0 GiB (median of 3 earlier ones): it may "
        "be incomplete; XO counts the run as good all the same."
    )
    assert facts(finding) == {
        "last_full": read(9 * GIB, "bytes", "logs"),
        "usual_full": read(20 * GIB, "bytes", "logs"),
        "samples": read(3, "transfers", "logs"),
        "small_percent": (50.0, "%", "policy", None),
    }
    assert "Restore that backup once" in finding.remedy


@pytest.mark.parametrize(
    ("sizes", "options", "is_told"),
    [
        ([10 * GIB - 1, USUAL, USUAL, USUAL], None, True),
        ([10 * GIB, USUAL, USUAL, USUAL], None, False),
        ([GIB, USUAL, USUAL], None, False),
        ([USUAL, GIB, USUAL, USUAL], None, False),
        ([0, USUAL, USUAL, USUAL, USUAL], None, False),
        ([15 * GIB, USUAL, USUAL, USUAL], {"small_percent": 80}, True),
        ([GIB, USUAL, USUAL, USUAL], {"small_percent": 0}, False),
        ([GIB, *[GIB + 1] * 10, *[USUAL] * 12], None, False),
    ],
    ids=[
        "just below half",
        "half",
        "two earlier ones",
        "not the last one",
        "nothing was sent",
        "the policy's share",
        "never",
        "the older ones do not count",
    ],
)
def test_it_is_told_of_the_last_full_only_and_below_the_share_only(sizes, options, is_told):
    assert bool(of_a_full(fulls(*sizes), options)) is is_told


@pytest.mark.parametrize(
    "world",
    [
        {"jobs": [make_job(mode="delta")]},
        {"vdis": [make_vdi(size=100 * GIB, usage=9 * GIB)]},
        {"logs": [sent(0, GIB), *[sent(ago, USUAL, mode="delta") for ago in (1, 2, 3)]]},
        {"logs": [sent(0, GIB), *[sent(ago, USUAL, mode="") for ago in (1, 2, 3)]]},
        {"logs": [sent(0, GIB), *[sent(ago, USUAL, schedule="weekly") for ago in (1, 2, 3)]]},
        {"logs": [sent(0, GIB), *[sent(ago, USUAL, to=("other",)) for ago in (1, 2, 3)]]},
        {"logs": [sent(0, GIB, full=False), *[sent(ago, USUAL) for ago in (1, 2, 3)]]},
    ],
    ids=[
        "a delta job",
        "the VM holds no more",
        "the earlier ones were deltas' fulls",
        "nobody knows what they were",
        "of another schedule",
        "to another repository",
        "no full",
    ],
)
def test_what_cannot_be_compared_is_not(world):
    assert of_a_full(**({"logs": fulls(GIB, USUAL, USUAL, USUAL)} | world)) == []


def test_without_the_size_of_the_disks_the_past_alone_tells():
    assert len(of_a_full(fulls(GIB, USUAL, USUAL, USUAL), vdis=[make_vdi(usage=UNSET, size=UNSET)])) == 1


def test_several_copies_of_one_full_are_told_once_and_an_unknown_repository_by_its_id():
    job = make_job(mode="full", remotes={"id": {"__or": ["gone", "repo"]}})
    (finding,) = of_a_full(
        fulls(GIB, USUAL, USUAL, USUAL, to=("gone", "repo")), jobs=[job], repositories=[make_repository()]
    )
    assert "on gone has 1.0 GiB" in finding.summary


# Suspected by XO itself

XVA = "/xo-vm-backups/vm/20261124T000000Z.xva"


def cleaned(*paths, **more):
    """A VM whose folder XO cleaned up, and the files that it took for broken."""
    warnings = [{"message": "XVA might be broken", "data": {"path": path}} for path in paths]
    return make_vm_task(
        "vm", task("clean-vm", status="success", warnings=warnings), make_transfer(GIB, full=True), **more
    )


def test_a_full_that_xo_itself_takes_for_broken_is_told():
    (finding,) = of_a_full([night(0, cleaned(XVA))])
    assert (finding.code, finding.level, finding.certainty) == ("EXPORT_INCOMPLETE", Level.WARN, Certainty.LIKELY)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "vm", "vm"), ("vm",))
    assert (finding.clears, facts(finding)) == (Clears(ClearedBy.TIME), {"suspected": read(1, "backups", "logs")})
    assert finding.summary == (
        "vm: XO itself takes 1 full backup of it for broken (20261124T000000Z.xva): the file does not end as an XVA does. XO "
        "keeps it and counts the run as good."
    )


def test_one_without_a_name_is_told_as_such_and_another_job_has_nothing_of_it():
    (finding,) = of_a_full([night(0, cleaned(7, XVA))])
    assert "2 full backups of it for broken (unnamed, 20261124T000000Z.xva)" in finding.summary
    assert of_a_full([night(0, cleaned(XVA), job="another")]) == []


def test_what_xo_suspects_is_not_told_once_more_for_its_size():
    logs = [night(0, cleaned(XVA), data={"mode": "full"}), *fulls(0, USUAL, USUAL, USUAL)[1:]]
    (finding,) = of_a_full(logs)
    assert "XO itself" in finding.summary
