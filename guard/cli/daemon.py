"""guard daemon: a process that lives for months, unlike every other command."""

from __future__ import annotations

import asyncio
import gc
from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import source
from guard.cli.channels import configured
from guard.cli.shell import shell_of
from guard.cli.state import state_folder
from guard.daemon.compose import PolicyInForce, run_daemon
from guard.daemon.loop import Flags
from guard.notify.route import Route
from guard.policy.schema import Policy
from guard.views.text import clean


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stdout

    def log(text: str) -> None:
        stderr.write(f"guard: {clean(text.replace(chr(10), '; '))}\n")  # XO's own words may be in it
        stderr.flush()

    gc.enable()  # the console script switched it off for the commands that end in seconds
    in_force = PolicyInForce(lambda: source.read_policy(arguments.config))
    if not in_force.policy.xo.verify:
        log("warning: [xo] verify = false: anybody on the way can read the token")
    shell = shell_of(env, log)
    state = state_folder(arguments.state, env)

    def routes_of(policy: Policy) -> list[Route]:
        return [opening() for opening in configured(policy.notify, env).values()]

    async def serve() -> None:
        await run_daemon(in_force, state, routes_of, shell, Flags())

    asyncio.run(serve())
    return 0
