"""The small world on loopback, for guard to change."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

from guard.mechanics.fallback import Fallback, FallbackKind, at_minutes
from guard.simulator.faults import Faults
from guard.simulator.serve import serve
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo
from tests.stories.small_world import schedule, small_world
from tests.xo.watched import TOKEN, Watched

DUE = datetime(2026, 11, 24, 2, tzinfo=UTC)


class Place:
    """The small world at 20:00, its faults, and what came in."""

    def __init__(self):
        self.live = small_world()
        self.world, self.faults = self.live.world, Faults()
        self.app = Watched(self.world, self.faults)
        self.nightly = schedule(self.live, "nightly")
        self.job = self.world.jobs[self.nightly["jobId"]]

    def ask(self, question, token_of=lambda: Token(TOKEN), poll_s=0.01, url=None, **settings):
        """What ``question(xo)`` gets of the WritingXo in front of this world."""

        async def talk():
            async with serve(self.app) as here:
                made = XoSettings(url=url or here, **settings)
                xo = WritingXo(lambda: made, token_of, clock=self.live.now, poll_s=poll_s)
                xo._context(made)  # takes long, and would count against the time limits of some tests
                return await question(xo)

        return asyncio.run(talk())

    def plant(self, method, fault, **options):
        self.faults.plant(method, fault, **options)
        return self

    def calls(self, method):
        return [call["params"] for call in self.app.calls if call["method"] == method]

    def fallback(self, kind=FallbackKind.START, minute=5):
        when = DUE + timedelta(minutes=minute)
        return Fallback(
            kind=kind, schedule=self.nightly["id"], due=DUE, cron=at_minutes([when]), instance="0123456789ab"
        )

    def start(self, xo, known=(), vms=None):
        return xo.start(self.job["id"], "backup", self.nightly["id"], vms, known)

    async def asked_to_run(self, starts):
        """Let XO work until it was asked for so many starts in all."""
        await until(lambda: len(self.world.starts) >= starts)


async def until(holds):
    """Let the sockets work until it holds."""
    async with asyncio.timeout(10):
        while True:
            if holds():
                return
            await asyncio.sleep(0)
