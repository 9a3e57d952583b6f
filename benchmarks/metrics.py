"""What /metrics costs: looks with and without the meter, and the figures of a large XO from gathering to text.

A simulated XO of 10,000 VMs, 300 schedules and 100 SRs on loopback, in a thread of its own; a ledger's month of 9,000 stories.
Each figure is held against a baseline of the same run: the same look without a meter, and the same series written by nothing
but string formatting. Targets: a look at most 1.05 times as long; a scrape's text, made once per look, below 1 s.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from datetime import UTC, datetime, timedelta

from guard.decision.verdict import Action
from guard.lifecycle.events import RunKey
from guard.lifecycle.loop import Loop
from guard.meter import Meter, Timing
from guard.policy.schema import default_policy
from guard.simulator.serve import running
from guard.simulator.world import GIB, VmOutcome, World
from guard.views import figures
from guard.views.figures import Looks, facts_of
from guard.views.metrics import bounded, exposition
from guard.xo.client import XoSettings
from guard.xo.live import LiveXo
from guard.xo.methods import WRITES
from guard.xo.token import Token

NOW = datetime.now(UTC).replace(microsecond=0)  # noqa: TID251  a benchmark reads an XO of the real now
VMS, SCHEDULES, SRS, NIGHTS, LOOKS, ROUNDS = 10_000, 300, 100, 30, 40, 5
MOST = 2000


def world() -> World:
    made = World(lambda: NOW)
    pool = made.add_pool("big")
    hosts = [made.add_host(pool, f"host-{number}") for number in range(16)]
    srs = [made.add_sr(pool, f"sr-{number}", "nfs", size=400_000 * GIB) for number in range(SRS)]
    nas = [made.add_repository(f"nas-{number}", size=10**15, available=9 * 10**14) for number in range(10)]
    vms = []
    for number in range(VMS):
        vm = made.add_vm(pool, f"vm-{number:05}", host=hosts[number % 16])
        made.add_disk(vm, srs[number % SRS], size=20 * GIB)
        vms.append(vm)
    for number in range(SCHEDULES):
        mine = vms[number::SCHEDULES]
        job = made.add_job(f"job-{number}", vms=mine, remotes=[nas[number % 10]])
        cron = f"{number % 60} {number % 24} * * *" if number % 10 else f"{number % 60} 3 1 * *"
        schedule = made.add_schedule(job, cron, name="nightly", timezone="Europe/Paris")
        begun = NOW - timedelta(days=1)
        outcomes = {vm["id"]: VmOutcome(sizes=GIB, is_full=False) for vm in mine}
        made.add_run(schedule, begun, begun + timedelta(minutes=20), outcomes)
    return made


def ms_of(work, rounds=ROUNDS) -> tuple[float, object]:
    """The median of so many rounds in ms, and what came of it."""
    took, result = [], None
    for _ in range(rounds):
        began = time.perf_counter()
        result = work()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took), result


async def looks(url: str, meter: Meter | None) -> float:
    """The median of the narrow looks that guard makes every half minute, in ms."""
    xo = LiveXo(lambda: XoSettings(url=url), lambda: Token("simulated-token"), clock=lambda: NOW, meter=meter)
    took = []
    for _ in range(LOOKS):
        began = time.perf_counter()
        await xo.setup()
        took.append((time.perf_counter() - began) * 1000)
    return statistics.median(took)


def stories(estate):
    """A month of nights of every schedule, each predicted, run and ended."""
    from tests.lifecycle.stories import decided, finding, seen, started, story

    found = []
    for schedule in estate.schedules:
        for night in range(NIGHTS):
            due = NOW - timedelta(days=night)
            of_night = (
                seen(due=due),
                decided(*([finding()] if night % 9 == 0 else []), due=due, action=Action.START),
                started(due=due),
            )
            found.append(facts_of(story(*of_night, key=RunKey(schedule.id, due))))
    return found


def plainly(told) -> bytes:
    """The same series by string formatting alone; a histogram as one."""
    lines = []
    for family, samples in bounded(told, MOST):
        lines.append(f"# HELP {family.name} {family.help}\n# TYPE {family.name} {family.kind}\n")
        for labels, value in samples:
            names = ",".join(f'{name}="{text}"' for name, text in zip(family.labels, labels, strict=True))
            lines.append(f"{family.name}{{{names}}} {value.sum_s if isinstance(value, Timing) else value}\n")
    return "".join(lines).encode()


def main() -> int:
    with running(world()) as url:

        async def measured():
            pairs = []
            for _ in range(ROUNDS):
                without, with_it = await looks(url, None), await looks(url, Meter(time.monotonic))
                pairs.append((without, with_it))
            estate = await LiveXo(
                lambda: XoSettings(url=url), lambda: Token("simulated-token"), clock=lambda: NOW
            ).estate()
            return pairs, estate

        pairs, estate = asyncio.run(measured())
    without, with_it = (statistics.median(one) for one in zip(*pairs, strict=True))
    print(f"a look: {without:.2f} ms without the meter, {with_it:.2f} ms with it: ratio {with_it / without:.3f}")

    meter = Meter(time.monotonic)
    told = stories(estate)
    policy = default_policy()
    of_estate, light = ms_of(lambda: figures.estate_figures(estate, ()))
    logged_ms, logged = ms_of(lambda: figures.last_good(estate))
    covered_ms, coverage = ms_of(lambda: figures.coverage_of(estate, policy, NOW), 1)
    due_ms, dues = ms_of(lambda: figures.next_dues(estate, NOW, None), 3)
    names = figures.names_of(estate)

    def gathered():
        return {
            **light,
            **figures.coverage_figures(coverage, {}, NOW),
            **figures.loop_figures(Loop(at=NOW), Looks()),
            **figures.traffic_figures(meter.traffic(), WRITES),
            **figures.schedule_figures(estate.schedules, names, dues, told, logged),
            **figures.story_figures(told, None, names, NOW),
        }

    look_ms, found = ms_of(gathered)
    print(
        f"gathering, after each look: {look_ms:.0f} ms of {len(told)} stories, next due times {due_ms:.0f} ms; "
        f"after a whole reading: {of_estate + logged_ms:.0f} ms; every ten minutes at most, in a thread: {covered_ms:.0f} ms"
    )
    text_ms, text = ms_of(lambda: exposition(found, MOST))
    plain_ms, plain = ms_of(lambda: plainly(found))
    series = sum(len(samples) for _, samples in bounded(found, MOST))
    print(
        f"the text: {text_ms:.0f} ms, {len(text) / 1024:.0f} KiB, {series} series; by formatting alone {plain_ms:.0f} ms, "
        f"{len(plain) / 1024:.0f} KiB: ratio {text_ms / plain_ms:.2f}"
    )
    good = with_it / without <= 1.05 and text_ms < 1000
    print("within the targets" if good else "NOT within the targets")
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
