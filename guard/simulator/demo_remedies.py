"""What goes wrong in the demo's night and need not: a host that is silent for longer than XO waits, a collector that sleeps.

A third thing is there from the beginning: the pool of ``lyon nightly``, which XO lost and which answers.
"""

from __future__ import annotations

from datetime import timedelta

from guard.simulator.demo import BASE_COPY, SLOW_SR
from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

SILENT = "no figures nightly"
SILENCE = timedelta(minutes=12)
"""Longer than the 5 minutes that XO waits unless it is told to; this schedule timed out twice lately."""
PAIR_TAKES = timedelta(minutes=120, seconds=30)
"""The two pairs under ``legacy nightly`` are merged a few minutes after it is due, when its SR is scanned 4 hours before."""


def settle(live: Live) -> None:
    """From now on, in a demo that is awake: what only somebody who acts gets over."""
    world = live.world
    schedule = next(one for one in world.schedules.values() if one["name"] == SILENT)
    for identity in live.vms_of(world.jobs[schedule["jobId"]]):
        live.planted.silence(world.get("VM", identity), SILENCE.total_seconds())
    slow = _sr(world, SLOW_SR)
    live.collector.fall_asleep(slow)
    live.collector.rates[slow["id"]] = BASE_COPY / PAIR_TAKES.total_seconds()


def _sr(world: World, name: str) -> XoObject:
    return next(one for one in world.objects["SR"].values() if one["name_label"] == name)
