"""guard daemon: a process that lives for months, unlike every other command."""

from __future__ import annotations

import asyncio
import gc
import os
from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import clock, source
from guard.cli.channels import configured
from guard.cli.shell import shell_of
from guard.cli.state import state_folder
from guard.daemon.compose import PolicyInForce, run_daemon, zone_of
from guard.daemon.log import Log
from guard.daemon.loop import Flags
from guard.ledger.files import folder_troubles
from guard.notify.route import Route
from guard.policy.schema import Policy


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stdout
    log = Log(arguments.log, stderr, env, clock=clock.now)
    gc.enable()  # the console script switched it off for the commands that end in seconds
    in_force = PolicyInForce(lambda: source.read_policy(arguments.config))
    if not in_force.policy.xo.verify:
        log("warning: [xo] verify = false: anybody on the way can read the token")
    shell = shell_of(env, log, log.line)
    state = state_folder(arguments.state, env)
    for trouble in folder_troubles(state, os.geteuid()):
        log(f"warning: {trouble}")

    def routes_of(policy: Policy) -> list[Route]:
        return [route for opening in configured(policy.notify, env, zone_of(policy)).values() for route in opening()]

    async def serve() -> None:
        await run_daemon(in_force, state, routes_of, shell, Flags())

    asyncio.run(serve())
    return 0
