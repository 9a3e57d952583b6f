"""Where a command gets its policy and its estate from: XO, a capture, or the demo."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TextIO

from guard.cli import clock
from guard.cli.files import read_bounded
from guard.cli.parser import DEFAULT_CONFIG
from guard.errors import CaptureError, PolicyError, UsageError
from guard.estate.capture import from_bytes
from guard.estate.estate import Estate
from guard.policy.load import load
from guard.policy.schema import Policy, default_policy

MAX_POLICY_BYTES = 1024**2
MAX_CAPTURE_BYTES = 512 * 1024**2
FIRST_YEAR, LAST_YEAR = 2000, 2037  # XO's own tables of clock changes end with 2037 (moment-timezone)


def read_policy_text(path: str) -> str:
    """Raises PolicyError."""
    try:
        return read_bounded(path, MAX_POLICY_BYTES).decode("utf-8-sig")
    except (OSError, ValueError) as error:
        raise PolicyError(f"{path}: the policy cannot be read ({error}); name one with --config FILE") from error


def read_policy(path: str) -> Policy:
    """Raises PolicyError."""
    return load(read_policy_text(path), file=path)


def read(arguments: Namespace, stderr: TextIO, env: Mapping[str, str]) -> tuple[Estate, Policy, datetime]:
    """(estate, policy, now). With a capture or the demo, now is the time it was taken."""
    if arguments.estate is not None:
        policy = read_policy(arguments.config) if arguments.config else default_policy()
        try:
            estate = from_bytes(read_bounded(arguments.estate, MAX_CAPTURE_BYTES))
        except (OSError, ValueError) as error:
            raise CaptureError(f"{arguments.estate}: cannot be read ({error})") from error
        except CaptureError as error:
            raise CaptureError(f"{arguments.estate}: {error}") from error
        latest = max((part.read_at for part in estate.parts.values()), default=estate.taken_at)
        return estate, policy, latest
    if arguments.demo:
        policy = read_policy(arguments.config) if arguments.config else default_policy()
        estate = read_demo()
        return estate, policy, estate.taken_at
    policy = read_policy(arguments.config or DEFAULT_CONFIG)
    estate = read_xo(policy, stderr, env)
    return estate, policy, clock.now()


def read_xo(policy: Policy, stderr: TextIO, env: Mapping[str, str]) -> Estate:
    """Ask the XO of the policy. Raises XoError, PolicyError."""
    from guard.xo.client import read_estate
    from guard.xo.settings import xo_settings
    from guard.xo.token import read_token

    xo = policy.xo
    token = read_token(Path(xo.token_file) if xo.token_file else None, env)
    if not xo.verify:
        print("guard: warning: [xo] verify = false: anybody on the way can read the token", file=stderr)
    return asyncio.run(read_estate(xo_settings(policy), token, clock=clock.now))


def read_demo() -> Estate:
    """Ask the simulated XO of the demo, on loopback, at the demo's own time."""
    from guard.simulator import demo
    from guard.simulator.serve import running
    from guard.xo.client import XoSettings, read_estate
    from guard.xo.token import Token

    world = demo.build(lambda: demo.DEMO_NOW)
    with running(world) as url:
        return asyncio.run(read_estate(XoSettings(url=url), Token(demo.TOKEN), clock=lambda: demo.DEMO_NOW))


def parse_time(text: str, option: str = "--from") -> datetime:
    """An aware ISO 8601 time in the years for which XO knows its clock changes. Raises UsageError."""
    right = "expected a time such as 2027-03-27T18:00+01:00"
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{option} {text!r}: {right}") from None
    if moment.tzinfo is None:
        raise UsageError(f"{option} {text!r}: has no zone; {right}")
    if not FIRST_YEAR <= moment.year < LAST_YEAR:
        raise UsageError(f"{option} {text!r}: expected a year from {FIRST_YEAR} to {LAST_YEAR - 1}")
    return moment.astimezone(UTC)
