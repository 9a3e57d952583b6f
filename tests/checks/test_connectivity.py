"""Pool connectivity: lost pools, VMs XO does not show, unplugged SRs (failure-modes.md 3.9, 3.16, 4.3; xo-api.md 3.5)."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.checks import ALL
from guard.checks.connectivity import CHECK
from guard.checks.run import run_checks
from guard.estate.estate import PartName
from guard.estate.xapi_records import HostFacts
from guard.finding import Certainty, ClearedBy, Clears, Harm, Level, Scope, ScopeKind
from msgspec import UNSET
from tests.builders import (
    LAST_NIGHT,
    NOW,
    facts,
    found,
    make_estate,
    make_host,
    make_job,
    make_log,
    make_pbd,
    make_pool,
    make_pool_facts,
    make_server,
    make_sr,
    make_vbd,
    make_vdi,
    make_view,
    make_vm,
    make_vm_task,
    read,
)

EVERYTHING = {"power_state": "Running"}


def said(pattern=None, **world):
    """What the check says of the healthy world, changed; ``pattern``: what the job takes."""
    job = {} if pattern is None else {"jobs": [make_job(vms=pattern)]}
    return found(CHECK, make_view(make_estate(**job, **world)))


def by_code(findings, code):
    return [one for one in findings if one.code == code]


def lost(pattern=EVERYTHING, *, server=None, **world):
    """Two pools, the second of which XO lost with all it held: its POOL_DISCONNECTED findings."""
    servers = [make_server(), make_server("server-b", **{"status": "disconnected"} | (server or {}))]
    return by_code(said(pattern, servers=servers, **world), "POOL_DISCONNECTED")


def test_a_healthy_estate_has_nothing_to_say():
    assert said() == []
    assert said(EVERYTHING) == []


@pytest.mark.parametrize(
    ("server", "told"),
    [
        ({"status": "connected"}, False),
        ({"status": "connecting"}, True),
        ({"status": "disconnected"}, True),
        ({"status": ""}, True),
        ({"status": "disconnected", "enabled": False}, False),
    ],
)
def test_a_lost_pool_is_told_to_a_job_that_takes_from_every_pool(server, told):
    assert bool(lost(server=server)) is told


def test_a_pool_lost_to_a_job_that_still_takes_some_vms_is_a_warning_with_its_figures():
    (finding,) = lost()
    assert (finding.check, finding.level, finding.certainty) == ("connectivity", Level.WARN, Certainty.LIKELY)
    assert (finding.harm, finding.holds) == (Harm.NONE, ())
    assert finding.scope == Scope(ScopeKind.SERVER, "server-b", "server-b")
    assert facts(finding) == {
        "status": read("disconnected", "", "servers"),
        "enabled": read(True, "", "servers"),
    }
    assert finding.summary == (
        "XO's connection to server-b is disconnected; the VMs of its pool are not shown, this run takes 1 VM without them."
    )
    assert finding.remedy == "Reconnect server-b in XO (Settings > Servers)."


def test_a_lost_pool_that_leaves_no_vm_stands_in_the_way_of_the_whole_run():
    (finding,) = lost(vms=[])
    assert (finding.level, finding.certainty, finding.holds) == (Level.BLOCK, Certainty.CERTAIN, ())
    assert "takes 0 VMs" in finding.summary


@pytest.mark.parametrize(
    ("server", "by"),
    [
        ({"status": "connecting"}, ClearedBy.TIME),
        ({"status": "disconnected"}, ClearedBy.TIME),
        ({"status": "disconnected", "error": {"code": "ECONNREFUSED"}}, ClearedBy.TIME),
        ({"status": "disconnected", "enabled": False}, ClearedBy.PERSON),
        ({"status": "disconnected", "error": {"code": "SESSION_AUTHENTICATION_FAILED"}}, ClearedBy.PERSON),
        ({"status": "disconnected", "error": {"connectedServerId": "server"}}, ClearedBy.PERSON),
    ],
)
def test_xo_reconnects_by_itself_only_where_it_may(server, by):
    (finding,) = lost({"$pool": "pool-b"}, server=server)
    assert finding.clears == Clears(by)


@pytest.mark.parametrize(
    ("server", "name", "text"),
    [
        ({"label": "site B"}, "site B", "is disconnected;"),
        ({"label": UNSET, "poolNameLabel": "pool B"}, "pool B", "is disconnected;"),
        ({"label": UNSET, "host": "192.0.2.2"}, "192.0.2.2", "is disconnected;"),
        ({"error": {"code": "ECONNREFUSED", "message": "no"}}, "server-b", "is disconnected: ECONNREFUSED;"),
        ({"error": {"message": "no route"}}, "server-b", "is disconnected: no route;"),
        ({"error": {"errno": -111}}, "server-b", "is disconnected: {'errno': -111};"),
        ({"error": "text"}, "server-b", "is disconnected;"),
        ({"status": ""}, "server-b", "is unknown;"),
    ],
)
def test_the_server_and_its_last_error_are_named_as_in_xo(server, name, text):
    (finding,) = lost(server=server)
    assert finding.scope.name == name
    assert text in finding.summary


@pytest.mark.parametrize(
    ("wanted", "told"),
    [
        ("pool", False),
        ("pool-b", True),
        ({"__or": ["pool"]}, False),
        ({"__or": ["pool", "pool-b"]}, True),
        ({"__and": [{"__or": ["pool"]}, {"__not": {"__or": ["pool-b"]}}]}, False),
        ({"__and": [{"__or": ["pool-b"]}, {"__not": {"__or": ["pool"]}}]}, True),
    ],
)
@pytest.mark.parametrize("enabled", [True, False])
def test_a_job_that_names_its_pools_minds_only_those_xo_lacks(wanted, told, enabled):
    assert bool(lost({"$pool": wanted}, server={"enabled": enabled})) is told


@pytest.mark.parametrize(
    ("told", "said_of_it", "answers"),
    [
        (make_pool_facts(address="192.0.2.9"), "The pool itself answers guard: it is XO that lost contact.", True),
        (
            make_pool_facts(address="192.0.2.1", hosts={"h": HostFacts(address="192.0.2.9")}),
            "The pool itself answers guard: it is XO that lost contact.",
            True,
        ),
        (make_pool_facts(address="192.0.2.9", answered=False), "itself is there guard cannot tell: no answer.", False),
        (
            make_pool_facts(address="192.0.2.9", answered=False, refused=True),
            "does not let it sign in: it is XO that lost contact.",
            False,
        ),
        (make_pool_facts(address="192.0.2.8"), None, None),
    ],
    ids=["the pool answers", "known by another host of it", "the pool is silent", "it refuses guard", "another pool"],
)
def test_where_guard_may_ask_the_pool_it_tells_who_lost_contact(told, said_of_it, answers):
    (finding,) = lost(server={"host": "192.0.2.9:443"}, pool_facts=[told])
    assert said_of_it is None or said_of_it in finding.summary
    assert ("guard" in finding.summary) is (said_of_it is not None)
    shown = {fact.name: fact.value for fact in finding.facts}
    assert shown.get("pool_answers") is answers


def test_a_guard_without_such_entries_tells_of_the_server_alone():
    (finding,) = lost(reading={"pool_facts": {"ok": False}})
    assert "guard" not in finding.summary


def test_a_job_with_an_id_list_minds_a_lost_pool_only_when_a_vm_of_the_list_is_missing():
    assert lost({"id": "vm"}) == []
    (finding,) = lost({"id": {"__or": ["vm", "far"]}})
    assert finding.level is Level.WARN
    (finding,) = lost({"id": "far"})
    assert finding.level is Level.BLOCK


def test_a_job_that_still_takes_all_it_took_last_time_has_lost_nothing():
    assert lost(logs=[make_log(make_vm_task("vm"))]) == []
    assert len(lost(logs=[make_log(make_vm_task("vm"), make_vm_task("far"))])) == 1
    assert len(lost(logs=[make_log(make_vm_task("vm"), schedule="another")])) == 1


@pytest.mark.parametrize(("smaller", "told"), [(1, True), (2, True), (3, False)])
def test_a_lost_pool_is_still_told_on_the_nights_after_the_first_without_it(smaller, told):
    whole = make_log(make_vm_task("vm"), make_vm_task("far"), start=LAST_NIGHT - timedelta(days=3))
    nights = [make_log(make_vm_task("vm"), start=LAST_NIGHT - timedelta(days=night)) for night in range(smaller)]
    assert bool(lost(logs=[whole, *nights])) is told


def test_a_vm_that_the_job_left_out_while_xo_shows_it_was_not_lost_with_a_pool():
    logs = [make_log(make_vm_task("vm"), make_vm_task("halted"))]
    assert lost(vms=[make_vm(), make_vm("halted", power_state="Halted")], logs=logs) == []


def of_pool(findings):
    return [one for one in findings if one.scope.kind is ScopeKind.POOL]


def test_a_named_pool_that_xo_does_not_know_is_a_warning_with_its_figures_while_all_servers_are_connected():
    (finding,) = of_pool(said({"$pool": {"__or": ["pool", "pool-b"]}}))
    assert (finding.code, finding.check, finding.level) == ("POOL_DISCONNECTED", "connectivity", Level.WARN)
    assert (finding.certainty, finding.harm, finding.holds) == (Certainty.CERTAIN, Harm.NONE, ())
    assert finding.scope == Scope(ScopeKind.POOL, "pool-b", "pool-b")
    assert facts(finding) == {"known": read(False, "", "pools")}
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == (
        "Job job takes VMs of pool pool-b, but all servers are connected and XO knows no such pool."
    )
    assert finding.remedy == (
        "Add the server of that pool in XO (Settings > Servers), or take the pool out of job job."
    )


@pytest.mark.parametrize(
    ("wanted", "unknown"),
    [
        ("pool", []),
        ("gone", ["gone"]),
        ({"__or": ["gone", "pool", "gone", "away"]}, ["gone", "away"]),
        ({"__not": {"__or": ["gone"]}}, []),
        ({"__and": [{"__or": ["gone"]}, {"__not": {"__or": ["away"]}}]}, ["gone"]),
    ],
)
def test_only_pools_that_the_pattern_names_positively_are_missed_and_each_once(wanted, unknown):
    assert [one.scope.id for one in of_pool(said({"$pool": wanted}))] == unknown


@pytest.mark.parametrize("enabled", [True, False])
def test_while_a_server_is_not_connected_that_is_told_instead_of_an_unknown_pool(enabled):
    findings = lost({"$pool": "pool-b"}, server={"enabled": enabled})
    assert [one.scope for one in findings] == [Scope(ScopeKind.SERVER, "server-b", "server-b")]


def test_a_listed_vm_xo_does_not_show_fails_for_certain_and_was_deleted_when_all_pools_are_there():
    (finding,) = said({"id": {"__or": ["vm", "gone"]}})
    assert (finding.code, finding.check) == ("VM_UNKNOWN", "connectivity")
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.VM, "gone", "gone"), ("gone",))
    assert facts(finding) == {"not_shown": read(1, "VMs", "vms")}
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == "1 listed VM not shown by XO (gone): all pools are connected, so it was deleted."
    assert finding.remedy == "Take the deleted VM out of job job."


@pytest.mark.parametrize(("count", "shown"), [(3, "(0, 1, 2)"), (4, "(0, 1, 2 and 1 more)")])
def test_all_missing_vms_are_held_and_the_first_three_named(count, shown):
    ids = [str(one) for one in range(count)]
    (finding,) = said({"id": {"__or": ["vm", *ids]}})
    assert (finding.holds, facts(finding)["not_shown"][0]) == (tuple(ids), count)
    assert f"{count} listed VMs not shown by XO {shown}" in finding.summary


def test_a_smart_job_has_no_listed_vm_to_miss():
    assert by_code(said({"power_state": "Halted"}), "VM_UNKNOWN") == []


def far_vm(**server):
    """The finding about a listed VM of a pool that XO lost."""
    servers = [make_server(), make_server("server-b", **{"status": "disconnected"} | server)]
    (finding,) = by_code(said({"id": {"__or": ["vm", "far"]}}, servers=servers), "VM_UNKNOWN")
    return finding


@pytest.mark.parametrize("status", ["connecting", "disconnected"])
def test_a_listed_vm_of_a_lost_pool_comes_back_when_xo_reconnects(status):
    finding = far_vm(status=status)
    assert (finding.level, finding.holds, finding.clears) == (Level.BLOCK, ("far",), Clears(ClearedBy.TIME))
    assert finding.summary == "1 listed VM not shown by XO (far): XO is not connected to server-b."
    assert finding.remedy == "Reconnect the pool."


def test_a_listed_vm_of_a_lost_pool_fails_for_certain():
    assert far_vm().certainty is Certainty.CERTAIN


@pytest.mark.parametrize(
    "server",
    [{"enabled": False}, {"error": {"code": "SESSION_AUTHENTICATION_FAILED"}}, {"error": {"connectedServerId": "x"}}],
    ids=["disabled", "refused password", "duplicate"],
)
def test_a_listed_vm_of_a_server_xo_does_not_reconnect_waits_for_a_person(server):
    assert far_vm(**server).clears == Clears(ClearedBy.PERSON)


def test_with_one_of_several_lost_servers_that_reconnects_a_listed_vm_may_come_back():
    servers = [make_server(), *(make_server(one, status="disconnected", enabled=one == "b") for one in "ab")]
    (finding,) = by_code(said({"id": {"__or": ["vm", "far"]}}, servers=servers), "VM_UNKNOWN")
    assert finding.clears == Clears(ClearedBy.TIME)


def stale(pattern=EVERYTHING, **server):
    """What is said when XO still shows the VM of a pool that no server connects it to."""
    return said(pattern, servers=[make_server(**{"status": "connecting"} | server), make_server("other", pool="x")])


@pytest.mark.parametrize("pattern", [EVERYTHING, {"id": "vm"}, {"$pool": "pool"}])
def test_a_vm_that_xo_still_shows_fails_when_no_server_connects_its_pool(pattern):
    (finding,) = of_pool(stale(pattern))
    assert (finding.code, finding.check, finding.level) == ("POOL_DISCONNECTED", "connectivity", Level.BLOCK)
    assert (finding.harm, finding.holds) == (Harm.NONE, ("vm",))
    assert finding.scope == Scope(ScopeKind.POOL, "pool", "pool")
    assert facts(finding) == {"vms": read(1, "VMs", "vms")}
    assert finding.clears == Clears(ClearedBy.TIME)
    assert finding.summary == "No server connects XO to pool pool now; what it shows of 1 VM there is old."
    assert finding.remedy == "Reconnect the server of pool in XO (Settings > Servers)."


def test_a_vm_whose_pool_no_server_connects_fails_for_certain():
    (finding,) = of_pool(stale())
    assert finding.certainty is Certainty.CERTAIN


def test_a_vm_whose_pool_a_person_disconnected_waits_for_a_person():
    (finding,) = of_pool(stale({"id": "vm"}, status="disconnected", enabled=False))
    assert finding.clears.by is ClearedBy.PERSON


def test_a_vm_of_a_pool_that_no_server_has_waits_for_a_person():
    (finding,) = of_pool(said(servers=[make_server(pool="x")]))
    assert finding.clears == Clears(ClearedBy.PERSON)


def test_the_vms_in_question_are_told_by_pool_under_its_name():
    world = {
        "pools": [make_pool(), make_pool("p", name_label="Paris"), make_pool("n", name_label="")],
        "vms": [
            make_vm(),
            make_vm("a", pool="p"),
            make_vm("b", pool="p"),
            make_vm("c", pool="n"),
            make_vm("d", pool="x"),
        ],
        "jobs": [make_job(vms={"id": {"__or": ["vm", "a", "b", "c", "d", "e"]}})],
    }
    world["vms"].append(make_vm("e", pool=UNSET))
    findings = of_pool(found(CHECK, make_view(make_estate(**world))))
    assert [(one.scope.name, one.holds) for one in findings] == [("Paris", ("a", "b")), ("n", ("c",)), ("x", ("d",))]
    rest = of_pool(found(CHECK, make_view(make_estate(**world), vms=("vm", "b", "e"))))
    assert [one.holds for one in rest] == [("b",)]


def everything(**world):
    """What any check warns of or blocks: for what the references want told, whichever check comes to own it."""
    findings = run_checks(ALL, make_view(make_estate(**world)), {check.name: check.options() for check in ALL})
    return [one for one in findings if one.level is not Level.UNKNOWN]


def with_health_check(sr):
    return {"jobs": [make_job(settings={"schedule": {"exportRetention": 7, "healthCheckSr": sr}})]}


def test_a_health_check_or_a_replication_on_an_sr_xo_shows_is_fine():
    assert everything(**with_health_check("sr")) == []
    assert everything(jobs=[make_job(srs={"id": "sr"})]) == []


def test_a_health_check_on_an_sr_xo_does_not_show_fails_the_whole_job():
    assert any(one.level is Level.BLOCK and not one.holds for one in everything(**with_health_check("gone")))


@pytest.mark.parametrize("remotes", [{"id": "repo"}, UNSET], ids=["beside a repository", "alone"])
def test_a_replication_to_an_sr_xo_does_not_show_is_told(remotes):
    jobs = [make_job(srs={"id": "gone"}, remotes=remotes, settings={"schedule": {"copyRetention": 1}})]
    assert any(one.scope == Scope(ScopeKind.SR, "gone", "gone") for one in everything(jobs=jobs))


def detached(**world):
    return by_code(said(**world), "SR_DETACHED")


TWO_HOSTS = [make_host(), make_host("host-b")]
HALTED = [make_vm(power_state="Halted", container="pool")]


@pytest.mark.parametrize(
    ("vms", "pbds", "why"),
    [
        ([make_vm()], [make_pbd()], ""),
        ([make_vm()], [make_pbd(), make_pbd(host="host-b", attached=False)], ""),
        ([make_vm()], [make_pbd(attached=False), make_pbd(host="host-b")], "not attached to the host the VM runs on"),
        ([make_vm()], [make_pbd(attached=False)], "attached to no host"),
        ([make_vm()], [make_pbd(attached=UNSET)], "attached to no host"),
        ([make_vm()], [], "attached to no host"),
        ([make_vm()], [make_pbd(sr="other")], "attached to no host"),
        (HALTED, [make_pbd(attached=False), make_pbd(host="host-b")], ""),
        (HALTED, [make_pbd(attached=False), make_pbd(host="host-b", attached=False)], "attached to no host"),
    ],
)
def test_a_snapshot_needs_the_sr_on_the_host_of_the_vm_or_anywhere_for_a_halted_one(vms, pbds, why):
    findings = detached(vms=vms, pbds=pbds, hosts=TWO_HOSTS)
    told = [f"vm: disk disk is on sr, which is {why}."] if why else []
    assert [one.summary for one in findings] == told


def test_an_unplugged_sr_is_told_with_its_figures():
    (finding,) = detached(pbds=[make_pbd(attached=False)])
    assert finding.check == "connectivity"
    assert (finding.level, finding.certainty, finding.harm) == (Level.BLOCK, Certainty.CERTAIN, Harm.NONE)
    assert (finding.scope, finding.holds) == (Scope(ScopeKind.SR, "sr", "sr"), ("vm",))
    assert facts(finding) == {"attached": read(False, "", "pbds")}
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert finding.summary == "vm: disk disk is on sr, which is attached to no host."
    assert finding.remedy == "Connect sr in XO (SR > Hosts), or end its maintenance mode."


@pytest.mark.parametrize(("name", "told"), [("root", "root"), ("", "disk")])
def test_a_disk_is_told_by_its_name_or_else_by_its_id(name, told):
    (finding,) = detached(pbds=[], vdis=[make_vdi(name_label=name)], srs=[make_sr(name_label="NFS store")])
    assert finding.summary == f"vm: disk {told} is on NFS store, which is attached to no host."
    assert finding.scope == Scope(ScopeKind.SR, "sr", "NFS store")


def test_an_sr_in_maintenance_holds_its_vms_though_it_is_plugged():
    (finding,) = detached(srs=[make_sr(inMaintenanceMode=True)])
    assert (finding.level, finding.holds, finding.clears.by) == (Level.BLOCK, ("vm",), ClearedBy.PERSON)
    assert finding.summary.endswith("which is in maintenance mode.")
    assert detached(srs=[make_sr(inMaintenanceMode=UNSET)]) == []


def test_an_sr_in_maintenance_is_not_told_as_unplugged():
    (finding,) = detached(srs=[make_sr(inMaintenanceMode=True)])
    assert facts(finding) == {"in_maintenance_mode": read(True, "", "srs")}
    assert finding.remedy == "End the maintenance mode of sr in XO."


def test_cd_drives_disks_left_out_and_disks_on_unseen_srs_need_no_plug():
    assert detached(pbds=[], vbds=[make_vbd(is_cd_drive=True)]) == []
    assert detached(pbds=[], vdis=[make_vdi(name_label="scratch [NOBAK]")]) == []
    assert detached(pbds=[], vdis=[make_vdi(sr="unseen")]) == []
    assert detached(pbds=[], vdis=[make_vdi(sr=UNSET)]) == []


def test_each_vm_is_held_once_for_its_first_bad_disk_and_only_while_it_is_in_question():
    world = {
        "jobs": [make_job(vms={"id": {"__or": ["a", "b", "c"]}})],
        "vms": [make_vm("a"), make_vm("b"), make_vm("c")],
        "srs": [make_sr(), make_sr("bad"), make_sr("worse")],
        "vdis": [make_vdi("good"), make_vdi("a1", sr="bad"), make_vdi("a2", sr="worse"), make_vdi("b1", sr="worse")],
        "vbds": [make_vbd("a", "good"), make_vbd("a", "a1"), make_vbd("a", "a2"), make_vbd("b", "b1")],
    }
    assert [(one.scope.id, one.holds) for one in detached(**world)] == [("bad", ("a",)), ("worse", ("b",))]
    rest = found(CHECK, make_view(make_estate(**world), vms=("b", "c")))
    assert [one.holds for one in rest] == [("b",)]


@pytest.mark.parametrize(
    ("host", "live"),
    [
        ({}, True),
        ({"power_state": "Halted"}, False),
        ({"enabled": False}, False),
        ({"power_state": "Unknown"}, True),
        ({"power_state": UNSET, "enabled": UNSET}, True),
        (None, True),
    ],
)
def test_a_halted_vm_needs_its_sr_on_a_live_host_and_an_unknown_one_counts_as_live(host, live):
    hosts = [make_host()] if host is None else [make_host(), make_host("host-b", **host)]
    findings = detached(vms=HALTED, hosts=hosts, pbds=[make_pbd(attached=False), make_pbd(host="host-b")])
    assert [one.holds for one in findings] == ([] if live else [("vm",)])
    if not live:
        assert findings[0].summary.endswith("which is attached to no live host.")
        assert facts(findings[0]) == {"live_hosts": read(0, "hosts", "hosts")}
        assert findings[0].clears == Clears(ClearedBy.PERSON)
        assert findings[0].remedy == "Start a host that sr is connected to."


def test_a_running_vm_uses_the_sr_on_its_own_host_whatever_is_told_of_that():
    assert detached(hosts=[make_host(enabled=False)]) == []


LOCAL = {"shared": False, "$container": "host"}


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("host", [{"power_state": "Halted"}, {"enabled": False}])
def test_an_sr_that_is_unplugged_because_its_host_is_down_may_come_back_by_itself(host, attached):
    world = {"hosts": [make_host(**host)], "srs": [make_sr(**LOCAL)], "pbds": [make_pbd(attached=attached)]}
    (finding,) = detached(vms=HALTED, **world)
    assert finding.clears == Clears(ClearedBy.TIME)
    assert finding.summary == "vm: disk disk is on sr, which is local to host host, which is down or disabled."
    assert facts(finding) == {"live_hosts": read(0, "hosts", "hosts")}
    assert finding.remedy == "Start host host, or enable it."


DOWN = {"hosts": [make_host(power_state="Halted")], "pbds": [make_pbd(attached=False)]}


@pytest.mark.parametrize(
    "world",
    [
        DOWN | {"srs": [make_sr()]},
        DOWN | {"srs": [make_sr(**LOCAL | {"shared": UNSET})]},
        DOWN | {"srs": [make_sr(**LOCAL)], "hosts": [make_host()]},
        DOWN | {"srs": [make_sr(**LOCAL)], "hosts": []},
        DOWN | {"srs": [make_sr(**LOCAL)], "pbds": [make_pbd(attached=False), make_pbd(host="b", attached=False)]},
    ],
    ids=["shared", "not told", "host alive", "host unknown", "two plugs"],
)
def test_any_other_unplugged_sr_waits_for_a_person(world):
    (finding,) = detached(vms=HALTED, **world)
    assert finding.clears == Clears(ClearedBy.PERSON)
    assert facts(finding) == {"attached": read(False, "", "pbds")}


def test_a_disk_that_is_missing_on_its_sr_fails_for_certain():
    findings = [one for one in everything(vdis=[make_vdi(missing=True)]) if one.level is Level.BLOCK]
    assert [(one.certainty, one.holds) for one in findings] == [(Certainty.CERTAIN, ("vm",))]


LISTS = (
    PartName.SERVERS,
    PartName.POOLS,
    PartName.HOSTS,
    PartName.VMS,
    PartName.VBDS,
    PartName.VDIS,
    PartName.SRS,
    PartName.PBDS,
)


@pytest.mark.parametrize("part", LISTS)
@pytest.mark.parametrize(
    "change",
    [
        {"ok": False, "error": "XO answered 500"},
        {"complete": False},
        {"read_at": NOW - timedelta(minutes=10, seconds=1)},
    ],
)
def test_without_fresh_and_whole_lists_connectivity_is_unknown_and_never_fine(part, change):
    findings = run_checks([CHECK], make_view(make_estate(reading={part: change})), {"connectivity": CHECK.options()})
    assert [one.level for one in findings] == [Level.UNKNOWN]


@pytest.mark.parametrize("part", LISTS)
def test_lists_of_ten_minutes_are_still_trusted(part):
    old = make_estate(reading={part: {"read_at": NOW - timedelta(minutes=10)}})
    assert run_checks([CHECK], make_view(old), {"connectivity": CHECK.options()}) == []
