"""guard demo: the plan of a simulated XO, then a night in which guard acts on it, and the report of the morning."""

from __future__ import annotations

import asyncio
import tempfile
import time
from argparse import Namespace
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import TextIO

from guard.assess import make_plan
from guard.cli.colour import style_for
from guard.cli.demo_night import PARIS, DemoXo, Morning, Say, live_through
from guard.cli.demo_serve import serve_until_stopped
from guard.cli.source import demo_pools, demo_settings
from guard.daemon.pools import Refused, with_told
from guard.lifecycle.report import make_report
from guard.notify.message import Message, Tier
from guard.policy.load import load
from guard.remedies.choose import wanted
from guard.remedies.scene import scene_of
from guard.simulator import demo, demo_pool, demo_remedies
from guard.simulator.live import Live
from guard.simulator.serve import Simulator, serve
from guard.simulator.xapi import serve_xapi
from guard.units import plural
from guard.views.plan import plan_text
from guard.views.report import report_text
from guard.views.text import wrap
from guard.xo.token import Token

_TOUR = """\
This is a simulated Xen Orchestra on this machine, on the eve of a night when
the clocks change. Its pools, jobs and logs hold one of every trouble guard
knows. Below is what `guard plan` says of it: what would not start whole comes
first. Ask further: guard explain CODE, guard plan --demo --json,
guard match JOB --demo.

"""
_POLICY = """\
    [xo]
    url = "{url}"
    [defaults]
    gate = "enforce"      # guard has watched for a week; now it acts
    max_defer = "1 h"     # so long a run waits for its troubles to clear
    [remedies]
    xo_config = "{folder}"
    timeout_days = 1      # so soon, that you see the end of it
    plug = false          # SRs you plug yourself
"""
_NIGHT = """\

You change nothing, and go to bed. guard acts, by this policy:

{policy}
Now the night goes by, in driven time. What may start whole is left to XO. What
may not, guard takes from XO and starts when it may, as far as it may; at its
deadline it is started all the same, unless that does harm. Before that it does
what it can so that a run can start: a pool that XO lost is reconnected, an SR
whose coalesce sleeps is scanned, and XO is told to be patient with a slow host.
At 22:58 XO dies for a while, at 01:29 guard itself. The times are those of each
schedule's zone.
"""
_HOURS = 24


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    if arguments.serve is not None:
        serve_until_stopped(arguments.serve, stderr)
        return 0
    live = demo.awaken(demo.build(lambda: demo.DEMO_NOW))
    show(live, stdout, stderr, env, plan_only=arguments.plan_only)
    return 0


def show(
    live: Live, stdout: TextIO, stderr: TextIO, env: Mapping[str, str], *, plan_only: bool = False
) -> Morning | None:
    """The whole tour on the demo's world; None where only the plan was asked for."""
    began = time.monotonic()
    demo_remedies.settle(live)
    stderr.write(_TOUR)
    morning = asyncio.run(_plan_and_night(live, stdout, stderr, env, plan_only=plan_only))
    if morning is not None:
        report = make_report(morning.runs, morning.since, morning.until)
        stdout.write("\n" + report_text(report, PARIS, morning.remedies, morning.standing))
        stdout.write("\n" + "\n".join(_told(morning.told)) + "\n")
        stdout.write("\n" + "\n".join(_left(live, morning)) + "\n")
        stdout.write(f"The demo took {time.monotonic() - began:.0f} s.\n")
    return morning


async def _plan_and_night(
    live: Live, stdout: TextIO, stderr: TextIO, env: Mapping[str, str], *, plan_only: bool
) -> Morning | None:
    """XO and guard share one loop, so that neither waits for the other's thread."""

    def say(line: str) -> None:
        stdout.write(line + "\n")
        stdout.flush()

    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        return await _in_folder(live, Path(folder), began, stdout, stderr, env, say, plan_only=plan_only)


async def _in_folder(
    live: Live,
    folder: Path,
    began: float,
    stdout: TextIO,
    stderr: TextIO,
    env: Mapping[str, str],
    say: Say,
    *,
    plan_only: bool,
) -> Morning | None:
    """``folder``: for the configuration of the simulated XO, and the ledger."""
    async with serve(Simulator(live.world)) as url, serve_xapi(demo_pool.face(live.world)) as pool_url:
        text = _POLICY.format(url=url, folder=demo_remedies.configure(live, folder / "xo-server"))
        policy, now = load(text, file="guard.toml"), live.now()

        def another_xo() -> DemoXo:
            """Without a memory of what an earlier reading showed."""
            settings = demo_settings(url)
            return DemoXo(lambda: settings, lambda: Token(demo.TOKEN), clock=live.now, remedies=policy.remedies)

        estate = await with_told(await another_xo().estate(), demo_pools(pool_url), clock=live.now, refused=Refused())
        plan = make_plan(estate, policy, now=now, start=now, within=timedelta(hours=_HOURS))
        remedies = wanted(scene_of(plan, policy))
        style = style_for(stdout, env)
        stdout.write(plan_text(plan, took_s=time.monotonic() - began, style=style, remedies=remedies))
        stdout.flush()
        if plan_only:
            return None
        stderr.write(_NIGHT.format(policy=text))
        stderr.flush()
        say("")
        return await live_through(live, another_xo(), policy, folder, say)


def _told(messages: Sequence[Message]) -> list[str]:
    pages = [message for message in messages if message.tier is Tier.PAGE]
    # the digest tells once what was told in the same words several times
    digest = {(message.title, message.text) for message in messages if message.tier is Tier.DIGEST}
    entries = plural(len(digest), "entry", "entries")
    lines = wrap(f"Paged: {len(pages)}. For the morning's digest: {entries}.", "  ", first="")
    for page in pages:
        first, *rest = f"{page.title}: {page.text}".splitlines()
        lines += wrap(first, "    ", first="  ")
        lines += [line for more in rest for line in wrap(more, "      ", first="    ")]
    return lines


def _left(live: Live, morning: Morning) -> list[str]:
    """By the simulated XO's own record, not by guard's words."""
    world = live.world
    by_guard = sum(1 for one in world.starts if one.origin == "rpc")
    by_fallback = sum(1 for one in world.starts if one.origin == "sequence" and one.via not in world.schedules)
    text = (
        f"guard wrote to XO {plural(len(world.writes), 'time')} and had it start {plural(by_guard, 'run')}; XO's fallbacks "
        f"started {by_fallback}. Left in XO: {plural(len(morning.left_off), 'schedule')} disabled, "
        f"{plural(len(morning.left_over), 'fallback')}."
    )
    return wrap(text, "  ", first="")
