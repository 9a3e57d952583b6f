"""All remedies of one scene together: their order, what they need to know, and who measures which."""

from __future__ import annotations

import dataclasses

import pytest
from guard.estate.estate import Part, PartName
from guard.lifecycle.remedy import Effect, RemedyKind
from guard.remedies import choose
from guard.remedies.scene import scene_of
from tests.builders import (
    NOW,
    make_archive,
    make_estate,
    make_job,
    make_log,
    make_pbd,
    make_server,
    make_sr,
    make_vbd,
    make_vdi,
    make_vm,
)
from tests.checks.nights import TIMED_OUT, lost, nights
from tests.remedies.scenes import DAY, HOUR, MINUTE, chain, done, policy, saved, scene
from tests.remedies.test_timeout import DEFAULT, wrote

RULES = policy('probe = true\nxo_config = "/etc/xo-server"')


def bad_night():
    """Everything that can be remedied at once, each for another VM of one job."""
    return make_estate(
        jobs=[make_job(vms={"id": {"__or": ["vm", "cut", "slow", "away"]}})],
        servers=[make_server(), make_server("lost", status="disconnected")],
        vms=[make_vm(), make_vm("cut"), make_vm("slow")],
        srs=[make_sr(), make_sr("off")],
        pbds=[make_pbd(), make_pbd("off", attached=False)],
        vbds=[make_vbd(), make_vbd("cut", "its"), make_vbd("slow", "one")],
        vdis=[*chain()["vdis"], make_vdi("its", sr="off"), make_vdi("one")],
        vdi_unmanaged=chain()["vdi_unmanaged"],
        archives=[make_archive(isImmutable=False)],
        logs=[*nights(lost(TIMED_OUT, "slow"), lost(TIMED_OUT, "slow")), saved("cut", start=NOW - 9 * DAY)],
        workaround=DEFAULT,
    )


def test_what_is_lost_comes_first_and_what_only_tells_comes_last():
    found = choose.wanted(scene(bad_night(), rules=RULES))
    assert [(one.kind.value, one.aside) for one in found] == [
        ("reconnect", ""),
        ("plug", ""),
        ("timeout_file", ""),
        ("rescan", ""),
        ("probe", ""),
    ]


def test_a_healthy_evening_wants_nothing_but_the_probe_that_was_asked_for():
    assert choose.wanted(scene()) == ()


@pytest.mark.parametrize(
    "part", ["servers", "srs", "pbds", "vms", "vdis", "vdi_unmanaged", "logs", "xapi_tasks", "jobs"]
)
def test_where_xo_told_only_a_part_nothing_is_wanted(part):
    estate = bad_night()
    name = PartName(part)
    unread = Part(name=name, source="s", read_at=NOW, ok=False, error="XO answered 500")
    known = scene(estate, rules=RULES)
    torn = dataclasses.replace(known, estate=dataclasses.replace(estate, parts={**estate.parts, name: unread}))
    assert choose.wanted(known) != ()
    assert choose.wanted(torn) == ()


def test_a_plan_shows_them_without_anything_from_before():
    known = scene(bad_night(), rules=RULES)
    assert known.past == ()
    assert scene_of.__kwdefaults__ == {"past": (), "waiting": (), "come": ()}


def test_each_kind_is_measured_by_its_own():
    later = scene(
        make_estate(servers=[make_server()], logs=[make_log(start=NOW + MINUTE, seconds=60)], workaround=DEFAULT),
        now=NOW + HOUR,
    )
    before = (later.fact("status", "disconnected", "", PartName.SERVERS),)
    effects = {
        kind: choose.seen_again(done(kind, target, NOW, before=before, **more), later).effect
        for kind, target, more in (
            ("reconnect", "server", {}),
            ("plug", "sr@host", {}),
            ("timeout_file", "xo", {"runs": wrote(NOW).runs}),
            ("rescan", "sr", {}),
            ("probe", "repo", {}),
            ("timeout_file_back", "xo", {}),
        )
    }
    assert effects == {
        RemedyKind.RECONNECT: Effect.HELPED,
        RemedyKind.PLUG: Effect.HELPED,
        RemedyKind.TIMEOUT_FILE: Effect.HELPED,
        RemedyKind.RESCAN: Effect.PENDING,  # guard has looked at no chain since
        RemedyKind.PROBE: Effect.PENDING,
        RemedyKind.TIMEOUT_FILE_BACK: Effect.PENDING,
    }
