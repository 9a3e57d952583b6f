"""What goes wrong in the demo's night and need not: a host that is silent for longer than XO waits, a collector that sleeps.

A third thing is there from the beginning: the pool of ``lyon nightly``, which XO lost and which answers.
"""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

from guard.simulator.demo import BASE_COPY, SLOW_SR
from guard.simulator.live import Live
from guard.simulator.shapes import XoObject
from guard.simulator.world import World

SILENT = "no figures nightly"
SILENCE = timedelta(minutes=12)
"""Longer than the 5 minutes that XO waits unless it is told to; this schedule timed out twice lately."""
BUSY_SR = "SAN LUN 1"
BUSY_PAIR_TAKES = timedelta(minutes=372)
"""Its collector is at work all evening: the chain of ``web-2`` is short enough a while after its run is due."""
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
    busy = _sr(world, BUSY_SR)
    live.collector.rates[busy["id"]] = BASE_COPY / BUSY_PAIR_TAKES.total_seconds()
    live.collector.kick(busy)


def configure(live: Live, folder: Path) -> Path:
    """XO's own configuration there, which it watches from now on."""
    folder.mkdir()
    (folder / "config.toml").write_text("[http]\nport = 80\n")
    live.config.folder = folder
    return folder


def _sr(world: World, name: str) -> XoObject:
    return next(one for one in world.objects["SR"].values() if one["name_label"] == name)
