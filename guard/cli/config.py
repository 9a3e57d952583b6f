"""guard config check | show."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Mapping
from typing import TextIO

from guard.cli import source
from guard.policy.sample import show


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del env
    policy = source.read_policy(arguments.config)
    if arguments.what == "check":
        stderr.write(f"guard: {arguments.config} is a valid policy\n")
        return 0
    stdout.writelines(f"{path} = {value or '(not set)'}  # {origin}\n" for path, value, origin in show(policy))
    stdout.writelines(
        f"schedule[{number}]: id={rule.id} name={rule.name} job={rule.job} tag={rule.tag}\n"
        for number, rule in enumerate(policy.schedules, start=1)
    )
    return 0
