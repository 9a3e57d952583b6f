"""guard demo: the plan of a simulated XO, then the night itself, watched, and the report of the morning."""

from __future__ import annotations

import asyncio
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import TextIO
from zoneinfo import ZoneInfo

from guard.assess import make_plan
from guard.cli.colour import style_for
from guard.daemon.news import News
from guard.gate.watch import Watch
from guard.ledger.sqlite import open_ledger
from guard.lifecycle.due_run import fold
from guard.lifecycle.report import Report, make_report
from guard.notify.message import Message, Tier
from guard.policy.schema import default_policy
from guard.simulator import demo
from guard.simulator.live import Live
from guard.simulator.serve import running
from guard.units import plural
from guard.views.plan import plan_text
from guard.views.report import report_text
from guard.views.text import wrap
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo

_TOUR = """\
This is a simulated Xen Orchestra on this machine, on the eve of a night when
the clocks change. Its pools, jobs and logs hold one of every trouble guard knows.
Below is what `guard plan` says of it: what would not start whole comes first.
Ask further: guard explain CODE, guard plan --demo --json, guard match JOB --demo.

"""
_NIGHT = """\

You move the schedule `storm` as advised, leave the rest as it is, and go to bed.
Now the night goes by, in driven time: XO does what it does, guard only watches.

"""
_HOURS = 24
_PARIS = ZoneInfo(demo.PARIS)


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    began = time.monotonic()
    stderr.write(_TOUR)
    live = demo.awaken(demo.build(lambda: demo.DEMO_NOW))
    with running(live.world) as url:
        xo = WritingXo(lambda: XoSettings(url=url), lambda: Token(demo.TOKEN), clock=live.now)
        estate = asyncio.run(xo.estate())
        policy, now = default_policy(url), live.now()
        plan = make_plan(estate, policy, now=now, start=now, within=timedelta(hours=_HOURS))
        stdout.write(plan_text(plan, took_s=time.monotonic() - began, style=style_for(stdout, env)))
        if arguments.plan_only:
            return 0
        stderr.write(_NIGHT)
        demo.heed_the_storm(live)
        report, told = asyncio.run(_night(live, xo, url))
    stdout.write("\n" + report_text(report, _PARIS))
    stdout.write("\n" + "\n".join(_told(told)) + "\n")
    took = time.monotonic() - began
    stdout.write(f"guard wrote {len(live.world.writes)} times to XO. The night took {took:.0f} s.\n")
    return 0


def _told(messages: list[Message]) -> list[str]:
    pages = [message for message in messages if message.tier is Tier.PAGE]
    digest = sum(1 for message in messages if message.tier is Tier.DIGEST)
    lines = wrap(f"Paged: {len(pages)}. For the morning's digest: {plural(digest, 'message')}.", "  ", first="")
    return lines + [line for page in pages for line in wrap(f"{page.title}: {page.text}", "    ", first="  ")]


async def _night(live: Live, xo: WritingXo, url: str) -> tuple[Report, list[Message]]:
    """Watch until the next evening; the report, and every message."""
    told: list[Message] = []

    async def tell(message: Message) -> None:
        told.append(message)

    policy, start = default_policy(url), live.now()
    end = start + timedelta(hours=_HOURS)
    with (
        tempfile.TemporaryDirectory() as folder,
        open_ledger(Path(folder) / "ledger", xo=url, clock=live.now, instance=b"the demo") as ledger,
    ):
        watch = Watch(
            ledger, xo, News(tell, lambda: _PARIS), clock=live.now, policy_of=lambda: policy, instance=ledger.instance
        )
        while live.now() < end:
            loop = await watch.tick()
            live.advance(min(end, max(loop.wake or end, live.now() + timedelta(seconds=1))))
        stories = await ledger.between(start, end)
        runs = [run for key, events in stories.items() if (run := fold(key, events)) is not None]
    return make_report(runs, start, end), told
