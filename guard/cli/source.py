"""Where a command gets its policy and its estate from: XO, a capture, or the demo."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

from guard.cli import clock
from guard.cli.files import read_bounded
from guard.cli.parser import DEFAULT_CONFIG
from guard.errors import CaptureError, PolicyError, UsageError
from guard.estate.capture import from_bytes
from guard.estate.estate import Estate
from guard.policy.load import load
from guard.policy.schema import Policy, default_policy

if TYPE_CHECKING:
    from guard.xapi.session import PoolSettings
    from guard.xo.client import XoSettings

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
    """Ask the XO of the policy, and its pools where the policy names them. Raises XoError, PolicyError."""
    from guard.daemon.pools import with_pools
    from guard.daemon.workaround import with_workaround
    from guard.xo.client import read_estate
    from guard.xo.settings import xo_settings
    from guard.xo.token import read_token

    xo = policy.xo
    token = read_token(Path(xo.token_file) if xo.token_file else None, env)
    if not xo.verify:
        print("guard: warning: [xo] verify = false: anybody on the way can read the token", file=stderr)

    async def read() -> Estate:
        estate = await read_estate(xo_settings(policy), token, clock=clock.now)
        estate = await with_pools(estate, policy, env, clock=clock.now)
        return await with_workaround(estate, policy.remedies, clock.now)

    return asyncio.run(read())


def read_demo() -> Estate:
    """Ask the simulated XO of the demo, on loopback, at the demo's own time."""
    from guard.daemon.pools import Refused, with_told
    from guard.simulator import demo, demo_pool
    from guard.simulator.serve import running
    from guard.simulator.xapi import serving_xapi
    from guard.xo.client import read_estate
    from guard.xo.token import Token

    world = demo.build(lambda: demo.DEMO_NOW)

    async def read(url: str, pool_url: str) -> Estate:
        estate = await read_estate(demo_settings(url), Token(demo.TOKEN), clock=lambda: demo.DEMO_NOW)
        return await with_told(estate, demo_pools(pool_url), clock=lambda: demo.DEMO_NOW, refused=Refused())

    with running(world) as url, serving_xapi(demo_pool.face(world)) as pool_url:
        return asyncio.run(read(url, pool_url))


def demo_pools(url: str) -> tuple[PoolSettings, ...]:
    """The demo's own pool, which guard may ask."""
    from guard.secret import Secret
    from guard.simulator import demo_pool
    from guard.xapi.session import PoolSettings

    return (PoolSettings(name=demo_pool.POOL, url=url, username="root", password=Secret(demo_pool.PASSWORD)),)


def demo_settings(url: str) -> XoSettings:
    """Where the demo's XO is, and the disk of its machine, as no API shows that one."""
    from guard.estate.local_disks import LocalDisk
    from guard.simulator.demo_repositories import XO_DISK_AVAILABLE, XO_DISK_SIZE
    from guard.xo.client import XoSettings

    disk = LocalDisk(path="/", device=1, size=XO_DISK_SIZE, available=XO_DISK_AVAILABLE)
    return XoSettings(url=url, local_paths=(disk.path,), disk_of=lambda _: disk)


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
