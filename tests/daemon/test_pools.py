"""XO's estate with what the policy's pools tell: who is asked for what, and what one that refuses costs."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.assess import make_plan
from guard.daemon import pools as module
from guard.daemon.pools import Refused, XoAndPools, in_question, with_pools
from guard.estate.estate import PartName
from guard.policy.load import load
from guard.policy.schema import default_policy
from guard.secret import Secret
from guard.simulator.demo import DEMO_NOW, TOKEN, build
from guard.simulator.demo_pool import PASSWORD, face
from guard.simulator.serve import Simulator, serve
from guard.simulator.xapi import serve_xapi
from guard.xapi.session import PoolSettings
from guard.xo.client import XoSettings
from guard.xo.token import Token
from tests.builders import NOW, make_estate, make_job, make_pool_facts, make_schedule, make_vm

POLICY = """
[xo]
url = "{xo}"

[[pool]]
name = "paris"
url = "{pool}"
username = "root"
password_file = "{password}"
"""


@pytest.fixture
def password(tmp_path):
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    return file


async def looks(password, times=1, before=lambda look: None, xapi=None):
    """The estates of several looks of the daemon's XO, and how often the pool was asked to sign in."""
    world = build(lambda: DEMO_NOW)
    pool = xapi or face(world)
    async with serve(Simulator(world)) as xo_url, serve_xapi(pool) as pool_url:
        policy = load(POLICY.format(xo=xo_url, pool=pool_url, password=password), file="guard.toml")
        xo = XoAndPools(
            lambda: XoSettings(url=xo_url),
            lambda: Token(TOKEN),
            clock=lambda: DEMO_NOW,
            policy_of=lambda: policy,
            env={},
        )
        found = []
        for look in range(times):
            before(look)
            found.append(await xo.estate())
    return found, pool.calls["session.login_with_password"]


def test_an_estate_holds_what_the_pool_tells_of_the_vms_that_are_due(password):
    (estate,), asked = asyncio.run(looks(password))
    (told,) = estate.pool_facts
    part = estate.parts[PartName.POOL_FACTS]
    assert (part.ok, part.source, part.read_at) == (True, "XAPI of paris", DEMO_NOW)
    assert (told.answered, told.label, asked) == (True, "paris", 1)
    kiosk = next(vm.id for vm in estate.vms if vm.name == "kiosk-1")
    assert estate.vm_facts[kiosk].refusal is None  # XAPI's word about a VM knows nothing of its disks
    disk = next(vdi.id for vdi in estate.vdis if vdi.name_label.startswith("kiosk-1"))
    assert "snapshot" not in estate.vdi_facts[disk].allowed_operations


def test_without_an_entry_there_is_no_such_part_and_nothing_lacks():
    estate = make_estate()
    assert asyncio.run(with_pools(estate, default_policy(), {}, clock=lambda: NOW)) is estate


def test_a_password_that_cannot_be_read_costs_that_pool_alone(tmp_path):
    (estate,), asked = asyncio.run(looks(tmp_path / "gone"))
    (told,) = estate.pool_facts
    assert (told.answered, told.refused, asked) == (False, False, 0)
    assert "[[pool]] paris" in told.error
    assert estate.parts[PartName.POOL_FACTS].ok
    assert estate.vms


def test_a_refused_password_is_not_tried_again_before_it_changes(password):
    password.write_text("wrong")

    def put_right(look):
        if look == 2:
            password.write_text(PASSWORD)

    (first, second, third, fourth), asked = asyncio.run(looks(password, 4, put_right))
    assert [one.pool_facts[0].answered for one in (first, second, third, fourth)] == [False, False, True, True]
    assert asked == 3
    assert "not tried again" in second.pool_facts[0].error
    assert second.pool_facts[0].error.startswith(first.pool_facts[0].error)
    assert "wrong" not in second.pool_facts[0].error


def test_a_refused_password_is_tried_again_after_an_hour():
    settings = PoolSettings(name="paris", url="https://192.0.2.1", username="root", password=Secret("x"))
    refused, facts = Refused(), make_pool_facts("paris", answered=False, refused=True)
    refused.remember(settings, facts)
    assert refused.told(settings, NOW + timedelta(minutes=59)).error.startswith("no answer (not tried again")
    assert refused.told(settings, NOW + timedelta(hours=1)) is None
    assert refused.told(settings, NOW - timedelta(seconds=1)) is None  # the clock was set back
    refused.remember(settings, make_pool_facts("paris"))
    assert refused.told(settings, NOW) is None


def test_a_plan_says_what_a_pool_left_out():
    told = make_pool_facts("paris", gaps=("hosts: no answer", "SRs: no answer", "VMs: no answer"))
    plan = make_plan(make_estate(pool_facts=[told]), default_policy(), now=NOW, start=NOW, within=timedelta(hours=1))
    assert "Pool paris did not tell all that guard asked: hosts: no answer and 2 more" in [
        one.text for one in plan.notes
    ]


def test_a_plan_names_the_pools_that_do_not_answer(password):
    password.write_text("wrong")
    (estate,), _ = asyncio.run(looks(password))
    plan = make_plan(estate, default_policy(), now=DEMO_NOW, start=DEMO_NOW, within=timedelta(hours=1))
    (note,) = [one for one in plan.notes if "tells itself is not known" in one.text]
    assert note.text.startswith("What pool paris tells itself is not known: ")
    assert not note.unknown


def test_the_vms_of_the_next_due_runs_are_asked_about_first(monkeypatch):
    monkeypatch.setattr(module, "MOST_VMS", 2)
    jobs = [
        make_job("late", vms={"id": "last"}),
        make_job("soon", vms={"id": {"__or": ["one", "two"]}}, srs={"id": "target"}),
        make_job("mirror", type="mirrorBackup"),
    ]
    schedules = [
        make_schedule("a", job="late", cron="0 12 * * *"),
        make_schedule("b", job="soon", cron="0 23 * * *"),
        make_schedule("c", job="gone", cron="30 22 * * *"),
        make_schedule("d", job="mirror", cron="30 22 * * *"),
    ]
    estate = make_estate(jobs=jobs, schedules=schedules, vms=[make_vm(one) for one in ("one", "two", "last")])
    assert in_question(estate, NOW, None) == (("one", "two"), ("target",))
    monkeypatch.setattr(module, "MOST_VMS", 3)
    assert in_question(estate, NOW, None)[0] == ("one", "two", "last")
