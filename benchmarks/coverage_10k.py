"""`guard coverage` of 10,000 VMs and 300 schedules against the plan of the same estate, both in this process.

Two estates: a quiet one, and a bad one in which every job failed for the last two nights, a quarter of the VMs is in no
schedule, every VM of a job is in its neighbour too and all jobs start in the same three hours. Target: 1.5 times the plan.
"""

from __future__ import annotations

import asyncio
import dataclasses
import json
import time
from datetime import timedelta

import msgspec
from guard.assess import make_plan
from guard.coverage.report import make_coverage
from guard.policy.load import load
from guard.simulator.serve import running
from guard.views.coverage import coverage_text
from guard.views.coverage_document import coverage_document
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token

import plan_10k

ROUNDS = 3
SCHEDULES = 300


def quiet():
    plan_10k.JOBS = SCHEDULES
    with running(plan_10k.world()) as url:
        settings = XoSettings(url=url)
        return asyncio.run(read_estate(settings, Token("simulated-token"), clock=lambda: plan_10k.NOW))


def bad(estate):
    vms = estate.vms[: len(estate.vms) * 3 // 4]
    jobs = []
    for number, job in enumerate(estate.jobs):
        mine = [vm.id for vm in vms[number::SCHEDULES]] + [vm.id for vm in vms[(number + 1) % SCHEDULES :: SCHEDULES]]
        jobs.append(msgspec.structs.replace(job, vms={"id": {"__or": mine}}))
    schedules = [
        msgspec.structs.replace(one, cron=f"{number % 60} {number // 60 % 3} * * *")
        for number, one in enumerate(estate.schedules)
    ]
    error = {"code": "ECONNRESET", "message": "read ECONNRESET"}

    def failed(task):
        tasks = tuple(msgspec.structs.replace(one, status="failure", tasks=()) for one in task.tasks)
        return msgspec.structs.replace(task, status="failure", result=error, tasks=tasks)

    begun = (plan_10k.NOW - timedelta(days=2, hours=1)).timestamp() * 1000
    logs = [
        msgspec.structs.replace(one, status="failure", tasks=tuple(map(failed, one.tasks)))
        if one.start > begun
        else one
        for one in estate.logs
    ]
    return dataclasses.replace(estate, jobs=tuple(jobs), schedules=tuple(schedules), logs=tuple(logs))


def best(work):
    taken = []
    for _ in range(ROUNDS):
        began = time.perf_counter()
        found = work()
        taken.append(time.perf_counter() - began)
    return min(taken), found


def measured(name, estate, policy):
    def fresh():
        return dataclasses.replace(estate)  # without the indexes that a first use left

    now, day = plan_10k.NOW, timedelta(hours=24)
    plan_s, _ = best(lambda: make_plan(fresh(), policy, now=now, start=now, within=day))
    took, found = best(lambda: make_coverage(fresh(), policy, now))
    told_s, text = best(lambda: coverage_text(found, took_s=0))
    bytes_s, document = best(lambda: json.dumps(coverage_document(found)))
    print(
        f"{name}: coverage {took:.2f} s, plan {plan_s:.2f} s; text in {told_s:.2f} s ({len(text.splitlines())} lines), document in "
        f"{bytes_s:.2f} s ({len(document)} bytes); {len(found.gaps.uncovered)} uncovered, {len(found.stale)} stale, "
        f"{len(found.collisions)} pairs collide, {len(found.stagger.suggestions)} suggestions"
    )
    return {f"{name}_s": round(took, 2), f"{name}_plan_s": round(plan_s, 2), f"{name}_ratio": round(took / plan_s, 2)}


def main():
    estate = quiet()
    policy = load('[xo]\nurl = "https://xo"\n[checks.overlap]\nmin_samples = 1\n', file="benchmark")
    figures = {"name": "coverage_10k"} | measured("quiet", estate, policy) | measured("bad", bad(estate), policy)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
