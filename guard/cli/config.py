"""guard config check | show."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import clock, source
from guard.decision.accept import ended
from guard.errors import UsageError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.views.policy import policy_text, schedule_policy_text


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del env
    if (arguments.job or arguments.tag) and not arguments.schedule:
        raise UsageError("--job and --tag go with --schedule")
    text = source.read_policy_text(arguments.config)
    policy = load(text, file=arguments.config)
    if arguments.what == "check":
        stderr.write(f"guard: {arguments.config} is a valid policy\n")
        for number, entry in enumerate(policy.accepts, start=1):
            if entry in ended(policy.accepts, clock.now()):
                told = f"accept[{number}] ({entry.code} for {entry.scope}) ended on {entry.until} and does nothing any more"
                stderr.write(f"guard: warning: {told}\n")
        return 0
    lines = find_lines(text)
    if arguments.schedule:
        told = schedule_policy_text(
            policy,
            arguments.schedule,
            arguments.job or "",
            file=arguments.config,
            lines=lines,
            tags=arguments.tag or (),
        )
    else:
        told = policy_text(policy, file=arguments.config, lines=lines)
    stdout.write(told)
    return 0
