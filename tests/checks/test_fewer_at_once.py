"""Where an SR has room for fewer snapshots at once, and where a lower concurrency would not help (mechanics/fewer_at_once.py)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks.fewer_at_once import FITS
from guard.checks.sr_space import CHECK
from guard.estate.estate import PartName
from guard.estate.observations import Observations, Progress
from guard.finding import Level
from msgspec import UNSET
from tests.builders import (
    DUE,
    GIB,
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_base_copy,
    make_due,
    make_estate,
    make_job,
    make_log,
    make_pbd,
    make_schedule,
    make_snapshot,
    make_sr,
    make_transfer,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

NAMES = tuple(f"vm{number}" for number in range(8))
HOUR = 3600


def world(*, free=70, names=NAMES, settings=None, transfer_s=HOUR, gib=20, **changes):
    """A full job of eight VMs of 20 GiB each, four at a time, on a thick SR that has room for three at once."""
    size = 10_000 * GIB
    return {
        "jobs": [
            make_job(
                mode="full",
                vms={"id": {"__or": list(names)}},
                settings={"": {"concurrency": 4}, "schedule": {"exportRetention": 7}} if settings is None else settings,
            )
        ],
        "vms": [make_vm(name) for name in names],
        "vbds": [make_vbd(name, f"{name}-disk") for name in names],
        "vdis": [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208) for name in names],
        "srs": [
            make_sr(SR_type="lvmoiscsi", allocationStrategy="thick", size=size, physical_usage=size - round(free * GIB))
        ],
        "logs": [night(names, one, transfer_s, gib) for one in range(3)],
    } | changes


def night(names, number, transfer_s, gib):
    """A past run of VMs of so many GiB each: four at once, then the next four."""
    begin = LAST_NIGHT - timedelta(days=number)
    starts = {name: begin + timedelta(seconds=at // 4 * transfer_s) for at, name in enumerate(names)}
    tasks = [
        make_vm_task(name, make_transfer(gib * GIB, full=True, seconds=transfer_s, start=at))
        for name, at in starts.items()
    ]
    return make_log(*tasks, start=begin, id=f"night-{number}")


def said(*others, due=None, rest=None, options=None, **changes):
    """What is said of too little room."""
    view = make_view(make_estate(**world(**changes)), due=due, runs=others, vms=rest)
    return [one for one in found(CHECK, view, **options or {}) if one.level is Level.BLOCK]


def fits(*others, **changes):
    """With how many VMs at once all of them fit; None where it says nothing of that."""
    (finding,) = said(*others, **changes)
    return facts(finding).get(FITS, (None,))[0]


def test_a_run_that_fits_with_fewer_vms_at_once_says_with_how_many():
    (finding,) = said()
    assert facts(finding)[FITS] == read(1, "VMs at once", "logs")
    assert finding.holds == ("vm0", "vm1", "vm2", "vm3", "vm4")
    assert finding.remedy.endswith(" With a concurrency of 1 in place of 4 they fit.")


@pytest.mark.parametrize(("free", "expected"), [(63, None), (64, 1), (105, 1), (106, 2), (147, 2), (148, 3), (160, 3)])
def test_the_more_room_the_more_at_once_by_the_margin_of_the_policy(free, expected):
    assert fits(free=free) == expected


@pytest.mark.parametrize(("percent", "expected"), [(0, 1), (1, 1), (2, None)])
def test_the_policy_sets_the_margin(percent, expected):
    # two VMs, and once more for a merge: 3 * 20.05 GiB and 16 MiB
    assert fits(free=60.9, options={"margin_percent": percent}) == expected


def test_a_job_that_needs_no_lower_concurrency_says_so_without_an_advice():
    (finding,) = said(settings={"": {"concurrency": 1}, "schedule": {}})
    assert facts(finding)[FITS][0] == 1
    assert "concurrency" not in finding.remedy


def test_a_job_without_a_limit_runs_all_of_its_vms_at_once():
    assert fits(settings={"": {"concurrency": 0}, "schedule": {}}) == 1
    assert "in place of 8" in said(settings={"": {"concurrency": 0}, "schedule": {}})[0].remedy


def parent(name="vm3"):
    """A disk whose base copy is left over."""
    disks = [make_vdi(f"{one}-disk", size=100 * GIB, usage=107_592_286_208) for one in NAMES if one != name]
    grown = make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208, parent="base")
    return {"vdis": [*disks, grown], "vdi_unmanaged": [make_base_copy("base")]}


NO_HELP = {
    "a delta job keeps its snapshots": {
        "jobs": [make_job(vms={"id": {"__or": list(NAMES)}}, settings={"": {"concurrency": 4}, "schedule": {}})],
    },
    "so does a retention": {"settings": {"": {"concurrency": 4}, "schedule": {"snapshotRetention": 1}}},
    "one of a single VM": {"settings": {"": {"concurrency": 4}, "schedule": {}, "vm2": {"snapshotRetention": 2}}},
    "a snapshot with memory": {"settings": {"": {"concurrency": 4}, "schedule": {"checkpointSnapshot": True}}},
    "a base copy that was not merged": parent(),
    "a snapshot that a person took": {"vdi_snapshots": [make_snapshot("mine", of="vm3-disk", vm="vm3", job=None)]},
    "coalesce is switched off": {"srs": [{"other_config": {"coalesce": "false"}}]},
    "so is the merge into the disk": {"srs": [{"other_config": {"leaf-coalesce": "false"}}]},
    "the last coalesce found no room": {"srs": [{"sm_config": {"gc_no_space": "ref"}}]},
    "the master cannot coalesce": {"pbds": [make_pbd(attached=False)]},
    "an SR that is thin": {"srs": [{"sm_config": {"allocation": "thin"}}]},
    "the transfers are too short": {"transfer_s": 2000},
    "a transfer that took no time": {"transfer_s": 0},
}


@pytest.mark.parametrize("changes", NO_HELP.values(), ids=NO_HELP)
def test_nothing_is_said_where_it_would_not_help(changes):
    if isinstance(changes.get("srs"), list):
        config = changes["srs"][0]
        size = 10_000 * GIB
        made = {"SR_type": "lvmoiscsi", "allocationStrategy": "thick", "size": size, "physical_usage": size - 70 * GIB}
        changes = changes | {"srs": [make_sr(**made | config)]}
    (finding,) = said(**changes)
    assert FITS not in facts(finding)
    assert "concurrency" not in finding.remedy


def test_a_linstor_sr_or_a_qcow2_disk_is_not_known_to_give_anything_back():
    size = 10_000 * GIB
    linstor = make_sr(
        SR_type="linstor", sm_config={"provisioning": "thick"}, size=size, physical_usage=size - 300 * GIB
    )
    assert fits(srs=[linstor]) is None
    disks = [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208, image_format="qcow2") for name in NAMES]
    assert fits(vdis=disks, free=330) is None


def test_a_vm_without_a_past_tells_nothing_of_how_fast_the_others_follow():
    logs = world(names=NAMES[1:])["logs"]
    assert fits(logs=logs, free=30) is None


def test_a_vm_that_can_never_fit_is_held_and_the_rest_may_fit_with_fewer():
    disks = [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208) for name in NAMES[1:]]
    # its volume must grow by 90 GiB before it can be frozen
    disks.append(make_vdi("vm0-disk", size=100 * GIB, usage=10 * GIB))
    alone, together = said(vdis=disks)
    assert (alone.holds, FITS in facts(alone)) == (("vm0",), False)
    assert facts(together)[FITS][0] == 1


def test_a_vm_whose_need_cannot_be_told_leaves_nothing_to_count_on():
    disks = [make_vdi(f"{name}-disk", size=100 * GIB, usage=107_592_286_208) for name in NAMES[1:]]
    disks.append(make_vdi("vm0-disk", size=UNSET))
    assert fits(vdis=disks) is None


def test_another_run_on_that_sr_leaves_nothing_to_count_on():
    other = {
        "jobs": [*world()["jobs"], make_job("other", vms={"id": "else"}, settings={"two": {}})],
        "schedules": [make_schedule(), make_schedule("two", job="other")],
        "vms": [*world()["vms"], make_vm("else")],
        "vbds": [*world()["vbds"], make_vbd("else", "else-disk")],
        "vdis": [*world()["vdis"], make_vdi("else-disk", size=100 * GIB, usage=107_592_286_208)],
    }
    assert fits(**other) == 1
    assert fits(make_due("two", "other", at=DUE), **other) is None


def observed(pairs, seconds):
    steps = (Progress(pairs=pairs, bytes=GIB, seconds=seconds),)
    return Observations(since=NOW, looked_at=NOW, progress={"sr": steps})


def test_the_rate_that_guard_has_seen_counts_in_place_of_the_cautious_one():
    # 2400 s with four at once are 600 s with one: the cautious ten minutes for a merge just keep up, and two VMs wait
    assert fits(transfer_s=2400, free=84) is None
    assert fits(transfer_s=2400, free=85) == 1
    assert fits(transfer_s=2400, free=64, observations=observed(10, 600)) == 1
    assert fits(transfer_s=2400, free=400 - 300, observations=observed(1, 601)) is None
    unread = {PartName.OBSERVATIONS: {"ok": False, "error": "gone"}}
    assert fits(transfer_s=2400, free=64, observations=observed(10, 600), reading=unread) is None


def test_what_waits_there_already_comes_first():
    # five merges of 300 s: 300 + 5 * 300 + 300 s of lag at 1000 s apart, so that three are not given back yet
    queue = [make_base_copy(f"b{number}") for number in range(5)]
    leaves = [make_vdi(f"leaf{number}", parent=f"b{number}") for number in range(5)]
    rate = observed(12, 3600)
    quiet = {"transfer_s": 4000, "observations": rate, "free": 85}
    assert fits(**quiet) == 1
    waiting = {"vdi_unmanaged": queue, "vdis": [*world()["vdis"], *leaves]}
    assert fits(**quiet | waiting) is None
    shared = [make_vdi(f"twin{number}", parent=f"b{number}") for number in range(5)]
    assert fits(**quiet | {"vdi_unmanaged": queue, "vdis": [*waiting["vdis"], *shared]}) == 1
    elsewhere = [make_base_copy(f"b{number}", sr="other") for number in range(5)]
    assert fits(**quiet | waiting | {"vdi_unmanaged": elsewhere}) == 1
