"""How the coverage is told: what is cut says so, what is unknown says why, and the document has everything."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta

import msgspec
import pytest
from guard.coverage.report import make_coverage
from guard.estate.estate import PartName
from guard.policy.load import load
from guard.views.coverage import coverage_text
from guard.views.coverage_document import coverage_document
from guard.views.text import cells
from tests.builders import (
    GIB,
    LAST_NIGHT,
    NOW,
    UNSET,
    make_estate,
    make_job,
    make_log,
    make_pool,
    make_repository,
    make_repository_info,
    make_schedule,
    make_server,
    make_transfer,
    make_vbd,
    make_vdi,
    make_vm,
    make_vm_task,
)
from tests.outcomes.tables import failed_vm, said

XO = '[xo]\nurl = "https://xo"\n'
OLD = make_log(job="gone", schedule="gone", start=NOW - timedelta(days=20))


def cover(estate, text=""):
    return make_coverage(estate, load(XO + text, file="p"), NOW)


def lines(estate, text="", **more):
    told = coverage_text(cover(estate, text), took_s=1.5, **more)
    assert all(cells(line) <= 80 for line in told.splitlines())
    return told


def flat(estate, text=""):
    """The text without its line breaks."""
    return " ".join(lines(estate, text).split())


def night(start=LAST_NIGHT, vm="vm", size=GIB, **more):
    return make_log(make_vm_task(vm, make_transfer(size, start=start)), start=start, **more)


def failure(start=LAST_NIGHT, says="unhealthy VDI chain", vm="vm", **more):
    return make_log(failed_vm(said(says), id_=vm), start=start, status="failure", **more)


def with_vms(count, **more):
    """VM "vm" is covered, and so many others are in no job."""
    return make_estate(
        vms=[make_vm(), *(make_vm(f"vm-{number}") for number in range(count))], logs=[OLD, night()], **more
    )


def test_where_all_is_well_it_says_so_in_a_few_lines():
    told = lines(make_estate(logs=[OLD, night()]), origin="From the capture a.json:")
    assert told.splitlines() == [
        "From the capture a.json:",
        "XO 5.207.2 at https://xo",
        "1 VM: 1 in an enabled schedule, 0 in none.",
        "Longest without a good backup: vm, since Tue 24 Nov 00:00 UTC, 22 h ago.",
        "",
        "No schedules collide in the coming 7 days, as far as their past tells.",
        "",
        "Backup repositories by days until full (XO tells no age of free space):",
        "  repo: steady: 900.0 GiB free of 1000.0 GiB; 6.0 GiB still to come until",
        "      retention is full",
        "",
        "Note: how long runs of schedule take is not known yet: only their first minute",
        "      counts.",
        "",
        "Facts are up to 0.0 s old; this took 1.5 s.",
    ]


def test_many_uncovered_vms_are_one_group_with_a_few_names_and_their_disks():
    disks = {"vbds": [make_vbd(), make_vbd("vm-0", "other")], "vdis": [make_vdi(), make_vdi("other", size=3 * GIB)]}
    told = flat(with_vms(236, **disks))
    assert "237 VMs: 1 in an enabled schedule, 236 in none." in told
    assert "In no enabled schedule: 236 VMs, 3.0 GiB of disks" in told
    assert "Pool pool: 236 VMs, 3.0 GiB of disks: no job takes it vm-0, vm-1, vm-2, vm-3, vm-4 and 231 more" in told
    assert "--json lists all" in told


def test_a_disk_of_unknown_size_and_a_pool_that_xo_does_not_show_are_told():
    estate = with_vms(1, vbds=[make_vbd("vm-0", "gone")], pools=[])
    assert "Unknown pool: 1 VM, 0 B of disks and 1 of unknown size: no job takes it vm-0" in flat(estate)


def test_more_groups_than_fit_are_counted():
    pools = [make_pool(f"pool {number:02}") for number in range(25)]
    vms = [make_vm(f"vm {number:02}", pool=f"pool {number:02}") for number in range(25)]
    told = flat(make_estate(pools=pools, vms=[make_vm(), *vms], logs=[OLD, night()]))
    assert "Pool pool 19" in told
    assert "Pool pool 20" not in told
    assert "and 5 VMs more: --json lists all" in told


def test_vms_left_out_on_purpose_and_replicas_are_told_apart():
    marks = {"blockedOperations": {"start": "a replica"}, "other": {"xo:backup:job": "job"}}
    vms = [make_vm(), make_vm("spare", tags=["xo:no-bak"]), make_vm("copy", **marks)]
    told = flat(make_estate(vms=vms, logs=[OLD, night()]))
    assert (
        "2 VMs: 1 in an enabled schedule, 0 in none, 1 left out on purpose; beside 1 replica that backup jobs made."
        in told
    )
    assert "Left out on purpose: tag xo:no-bak: 1 VM, 0 B of disks: spare" in told


def test_servers_that_xo_lost_are_named_and_in_the_document():
    estate = make_estate(servers=[make_server("lost", status="disconnected")], logs=[OLD, night()])
    assert "Not counted: the VMs behind lost, to which XO is not connected." in flat(estate)
    away = coverage_document(cover(estate))["vms"]["servers_away"]
    assert away == [{"id": "lost", "name": "lost", "status": "disconnected"}]


def test_a_list_that_xo_filtered_makes_it_unknown_which_vms_are_covered():
    told = flat(with_vms(1, reading={PartName.JOBS: {"complete": False}}))
    assert (
        "Which VMs are covered is unknown: XO may have filtered its jobs (the token's user is no administrator)."
        in told
    )
    assert "In no enabled schedule" not in told


def test_a_stale_vm_tells_its_age_its_limit_and_every_try_since():
    good = night(NOW - timedelta(days=6))
    tries = [failure(NOW - timedelta(days=day)) for day in (5, 4, 3)] + [failure(NOW - timedelta(days=2), "odd")]
    told = flat(make_estate(logs=[OLD, good, *tries]))
    assert "No good backup for too long: 1 VM vm: last good backup Wed 18 Nov 22:00 UTC, 6 d ago" in told
    assert "limit 2 d (2 x the interval of schedule schedule)" in told
    assert "Sun 22 Nov 22:00 UTC, schedule: failure UNCLASSIFIED: odd" in told
    assert (
        "3 times from Thu 19 Nov 22:00 UTC to Sat 21 Nov 22:00 UTC, schedule: failure CHAIN_UNHEALTHY: unhealthy VDI"
        in told
    )
    assert "guard explain CODE tells what to do." in told


def test_vms_that_fared_alike_are_told_together_and_many_different_tries_are_cut():
    vms = [make_vm("a"), make_vm("b")]
    job = make_job(vms={"id": {"__or": ["a", "b"]}})
    says = ["unhealthy VDI chain", "odd", "unhealthy VDI chain", "odd", "unhealthy VDI chain", "odd"]
    logs = [
        make_log(
            *(failed_vm(said(text), id_=vm) for vm in ("a", "b")), start=NOW - timedelta(days=day + 1), status="failure"
        )
        for day, text in enumerate(says)
    ]
    told = flat(make_estate(vms=vms, jobs=[job], logs=[OLD, *logs]))
    assert "a, b: no good backup within the 20 d of logs that XO has" in told
    assert "and 2 tries before" in told


def test_a_vm_without_any_run_says_so_without_advice_on_codes():
    told = flat(make_estate(logs=[OLD]))
    assert "Longest without a good backup: vm, none within the 20 d of logs that XO has." in told
    assert "no run of its schedules since, as far as the logs tell" in told
    assert "guard explain" not in told


def test_a_try_of_a_schedule_that_is_gone_says_so():
    told = flat(make_estate(logs=[OLD, failure(schedule="lost")]))
    assert "a schedule that is gone: failure CHAIN_UNHEALTHY" in told


def test_a_target_that_misses_its_copy_is_named():
    both = {"remotes": {"id": {"__or": ["repo", "far"]}}}
    repositories = [make_repository(), make_repository("far", url="nfs://far:/b")]
    told = flat(make_estate(jobs=[make_job(**both)], repositories=repositories, logs=[OLD, night()]))
    assert "vm: no good backup on far, although there is one elsewhere within the 20 d of logs that XO has" in told


def test_what_is_unknown_of_a_vm_says_why():
    told = flat(make_estate())
    assert (
        "Unknown whether the last good backup is too old: 1 VM vm: no good one that guard knows of; XO shows no" in told
    )
    assert "limit 2 d" in told
    rare = make_estate(logs=[OLD, night()], schedules=[make_schedule(cron="0 0 29 1 *")])
    assert "vm: last good one Tue 24 Nov 00:00 UTC, 22 h ago; how often it is saved cannot be told" in flat(rare)
    assert "limit" not in flat(rare)
    far = {"remotes": {"id": {"__or": ["repo", "far"]}}}
    short = make_estate(
        jobs=[make_job(**far)],
        repositories=[make_repository(), make_repository("far", url="nfs://far:/b")],
        logs=[night()],
    )
    assert "vm: no good one within the 22 h of logs that XO has on far; the logs do not reach back" in flat(short)


def runs(schedule, job, minutes=60, vm="vm", count=5):
    return [
        night(LAST_NIGHT - timedelta(days=day), vm, schedule=schedule, job=job, seconds=60 * minutes)
        for day in range(count)
    ]


def colliding(count=1, job="job", cron="30 0 * * *", **more):
    """So many schedules beside the first, all at half past midnight."""
    names = [f"other {number:02}" for number in range(count)]
    given = {
        "jobs": [make_job(one) for one in dict.fromkeys(("job", job))],
        "schedules": [make_schedule(), *(make_schedule(name, job=job, cron=cron) for name in names)],
        "logs": [OLD, *runs("schedule", "job"), *(log for name in names for log in runs(name, job, 20))],
    }
    return make_estate(**(given | more))


def test_collisions_name_both_schedules_what_they_share_and_another_time():
    told = flat(colliding())
    assert "Schedules that collide in the coming 7 days: 1 pair, 7 times" in told
    assert (
        "schedule and other 00 overlap by up to 20 min: 7 times, first Wed 25 Nov 00:30 UTC; they are of the same"
        in told
    )
    assert "other 00: '0 1 * * *' instead of '30 0 * * *' (utc), 30 min later" in told
    assert "in the week 7 -> 0 collisions, 7 -> 0 pairs of runs that share a repository; at most 2 -> 1 exports" in told
    assert "ends 01:00 -> 01:20." in told
    other = flat(colliding(job="other"))
    assert "overlap by up to 20 min with 1 VM in both: 7 times" in other
    same = flat(colliding(cron="0 0 * * *"))
    assert "schedule and other 00 start in the same minute: 7 times" in same
    earlier = flat(
        colliding(cron="40 0 * * *", schedules=[make_schedule(), make_schedule("other 00", cron="5 0 * * *")])
    )
    assert "'40 23 * * *' instead of '5 0 * * *' (utc), 25 min earlier" in earlier


def test_a_schedule_that_meets_itself_is_told_and_has_no_other_time():
    estate = make_estate(schedules=[make_schedule(cron="0 0,1 * * *")], logs=[OLD, *runs("schedule", "job", 90)])
    told = flat(estate)
    assert "schedule: due again up to 30 min before its run has ended: 7 times" in told
    assert "No other time for schedule: it is due again before its run has ended, at any time of the day" in told


def test_long_lists_of_collisions_and_suggestions_are_cut():
    told = flat(colliding(24))
    assert "and 280 more pairs: --json lists all" in told
    assert "All together: in the week" in told
    assert "more: --json lists all" in told


def test_pairs_that_were_not_looked_at_and_many_without_a_time_are_counted():
    coverage = cover(colliding(24, cron="0,15 0 * * *"))
    stagger = msgspec.structs.replace(coverage.stagger, left=3)
    told = " ".join(coverage_text(replace(coverage, stagger=stagger), took_s=0).split())
    assert "3 pairs not looked at: look again when these are set" in told
    assert "and no other time for" in told


def test_a_crowded_repository_tells_the_policys_limit():
    jobs = [make_job(), make_job("other", vms={"id": "second"})]
    vms = [make_vm(), make_vm("second")]
    schedules = [make_schedule(), make_schedule("another", job="other", cron="0,30 0 * * *")]
    logs = [OLD, *runs("schedule", "job"), *runs("another", "other", 20, "second")]
    estate = make_estate(vms=vms, jobs=jobs, schedules=schedules, logs=logs)
    told = flat(estate)
    assert (
        "At work at once in the coming 7 days: repository repo: up to 2 jobs and 2 exports, most at Wed 25 Nov" in told
    )
    assert told.count("more than one job for 4 h 40 min of the week") == 1
    limit = '[[limit]]\nslots = {}\nper = "{}"\n'
    tight = flat(estate, limit.format(1, "repository"))
    assert "of the week, for 4 h 40 min of the week more than the 1 that the policy allows" in tight
    loose = flat(estate, limit.format(2, "xo"))
    assert "XO: up to 2 jobs and 2 exports" in loose
    assert "of the week, never more than the 2 that the policy allows" in loose
    stuck = limit.format(1, "repository")
    by_minute = msgspec.structs.replace(schedules[0], cron="0,40 0 * * *")
    short = [OLD, *runs("schedule", "job", 35), *runs("another", "other", 20, "second")]
    both = make_estate(vms=vms, jobs=jobs, schedules=[by_minute, schedules[1]], logs=short)
    assert "No other time for another on repo: its times cannot be moved together" in flat(both, stuck)


def test_many_crowded_places_and_many_repositories_are_cut():
    names = [f"repo {number:02}" for number in range(25)]
    all_of_them = {"id": {"__or": names}}
    repositories = [make_repository(name, url=f"nfs://{name.replace(' ', '-')}:/b") for name in names]
    jobs = [make_job(remotes=all_of_them), make_job("other", vms={"id": "second"}, remotes=all_of_them)]
    schedules = [make_schedule(), make_schedule("another", job="other")]
    told = flat(
        make_estate(vms=[make_vm(), make_vm("second")], jobs=jobs, schedules=schedules, repositories=repositories)
    )
    assert told.count("and 5 more: --json lists all") == 2


@pytest.mark.parametrize(
    ("available", "retention", "text"),
    [
        (0, 7, "repo: full now: 0 B free of 1000.0 GiB, and the largest run writes 1.0 GiB before anything is deleted"),
        (
            11 * GIB,
            90,
            "repo: full in 10 d: 11.0 GiB free of 1000.0 GiB; it grows by 1.0 GiB a day until retention is full",
        ),
        (GIB + GIB // 2, 90, "repo: full in 0.5 d: 1.5 GiB free"),
        (900 * GIB, 1, "repo: steady: 900.0 GiB free of 1000.0 GiB; retention is full"),
        (900 * GIB, 0, "repo: steady: 900.0 GiB free of 1000.0 GiB; no schedule keeps backups there"),
        (UNSET, 7, "repo: unknown: XO gave no free space for it; free space unknown of 1000.0 GiB"),
    ],
)
def test_repositories_tell_their_days_with_the_figures_behind(available, retention, text):
    job = make_job(settings={"schedule": {"exportRetention": retention}})
    info = {"repo": make_repository_info(available=available)}
    assert text in flat(make_estate(jobs=[job], repository_info=info, logs=[OLD, night()]))


def test_what_is_not_counted_makes_the_days_the_most_there_are():
    vms = [make_vm(), make_vm("new")]
    job = make_job(vms={"id": {"__or": ["vm", "new"]}}, settings={"schedule": {"exportRetention": 90}})
    estate = make_estate(
        vms=vms, jobs=[job], repository_info={"repo": make_repository_info(available=11 * GIB)}, logs=[OLD, night()]
    )
    assert "full in at most 10 d" in flat(estate)
    assert "not counted: VMs without a transfer in the logs (1 VM)" in flat(estate)


def test_without_repositories_there_is_nothing_to_tell_of_them():
    assert "Backup repositories" not in lines(make_estate(repositories=[], logs=[OLD, night()]))


def test_notes_of_the_agenda_are_told():
    schedules = [make_schedule(timezone="Mars/Olympus"), make_schedule("bad", cron="0 0 * * wed")]
    told = flat(make_estate(schedules=schedules, logs=[OLD, night()]))
    assert "Note: Schedule schedule: XO does not know the zone 'Mars/Olympus' and uses UTC." in told
    assert "Unknown: Schedule bad: XO itself would choke on its cron" in told


def test_names_from_xo_cannot_write_to_the_terminal():
    estate = make_estate(vms=[make_vm(), make_vm("x", name_label="\x1b[31mred")], logs=[OLD, night()])
    assert "\x1b" not in lines(estate)


def test_the_document_has_everything_with_units_sources_and_ages():
    tries = [failure(NOW - timedelta(days=3), vm="lone")]
    vms = [make_vm(), make_vm("lone"), make_vm("free"), make_vm("spare", tags=["xo:no-bak"])]
    schedules = [make_schedule(), make_schedule("other 00", job="two", cron="0 0 * * *")]
    estate = make_estate(
        vms=vms,
        jobs=[make_job(), make_job("two", vms={"id": {"__or": ["vm", "lone"]}})],
        schedules=schedules,
        logs=[OLD, *tries, *runs("schedule", "job"), *runs("other 00", "two")],
    )
    coverage = cover(estate)
    document = msgspec.json.decode(msgspec.json.encode(coverage_document(coverage)))
    assert (document["schema"], document["whole"]) == ("guard.coverage/1", False)
    assert document["vms"]["uncovered"] == [
        {
            "id": "free",
            "name": "free",
            "pool": "pool",
            "disk_bytes": 0,
            "why": "no_job",
            "reason": "no job takes it",
            "job": None,
        }
    ]
    assert [one["tag"] for one in document["vms"]["on_purpose"]] == ["xo:no-bak"]
    assert document["stalest"] == {
        "id": "lone",
        "name": "lone",
        "last_good": None,
        "age_s": timedelta(days=20).total_seconds(),
        "at_least": True,
    }
    (stale,) = document["stale"]
    assert (stale["id"], stale["state"], stale["last_good"], stale["age_s"]) == ("lone", "none_in_logs", None, None)
    assert (stale["limit_s"], stale["target"], stale["attempt_count"]) == (172800.0, None, 1)
    assert stale["attempts"][0]["codes"] == ["CHAIN_UNHEALTHY"]
    assert stale["schedules"] == [{"id": "other 00", "name": "other 00"}]
    (collision,) = document["collisions"]
    assert (collision["shared"], collision["vms"], collision["times"], collision["longest_s"]) == ("vm", 1, 7, 3600)
    (suggested,) = document["stagger"]["suggestions"]
    assert (suggested["cron"], suggested["later_min"]) == ("0 0 * * *", 60)
    assert document["stagger"]["before"]["collisions_per_week"] == 7
    assert document["stagger"]["after"]["collisions_per_week"] == 0
    assert document["at_once"][0]["jobs"] == 2
    (repository,) = document["repositories"]
    assert (repository["state"], repository["days_until_full"], repository["at_most"]) == ("steady", None, False)
    assert repository["facts"]["available"] == {
        "value": 900 * GIB,
        "unit": "bytes",
        "source": "XO's repository_info",
        "age_s": None,
    }
    assert repository["facts"]["sent_last_week"]["age_s"] == 0.0
    assert document["logs_reach_s"] == timedelta(days=20).total_seconds()


def test_the_document_tells_unknowns_targets_and_what_has_no_time():
    both = {"remotes": {"id": {"__or": ["repo", "far"]}}}
    repositories = [make_repository(), make_repository("far", url="nfs://far:/b")]
    estate = make_estate(
        jobs=[make_job(**both)],
        repositories=repositories,
        schedules=[make_schedule(cron="0 0,1 * * *")],
        logs=[OLD, *runs("schedule", "job", 90), failure(NOW - timedelta(hours=1), schedule="lost")],
        reading={PartName.CALL_JOBS: {"ok": False, "error": "XO answered 500"}},
    )
    document = coverage_document(cover(estate))
    assert document["vms"]["unknown"] == "XO answered 500"
    assert {"name": "call_jobs", "ok": False, "complete": True, "age_s": 0.0, "error": "XO answered 500"} in document[
        "sources"
    ]
    (stale,) = document["stale"]
    assert stale["target"] == {"kind": "repository", "id": "far", "name": "far"}
    assert stale["attempts"][0]["schedule"] == {"id": "lost", "name": None}
    (stuck,) = document["stagger"]["no_time"]
    assert (stuck["place"], len(stuck["schedules"])) == (None, 1)
    assert document["stalest"]["last_good"] == LAST_NIGHT.isoformat()
    nothing = coverage_document(cover(make_estate(schedules=[])))
    assert nothing["stalest"] is None
    assert (nothing["stagger"]["before"]["night_end"], nothing["whole"]) == (None, False)
    rare = coverage_document(cover(make_estate(schedules=[make_schedule(cron="0 0 29 1 *")])))
    assert (rare["stale"][0]["limit_s"], rare["stale"][0]["limit_source"]) == (None, None)
