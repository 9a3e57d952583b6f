"""guard notify test."""

from __future__ import annotations

import asyncio
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from typing import TextIO

import msgspec

from guard.cli import clock, source
from guard.cli.channels import configured
from guard.daemon.compose import zone_of
from guard.errors import GuardError, NotifyError, UsageError
from guard.notify.healthchecks import Healthchecks
from guard.notify.message import Event, Message, Tier, one_line
from guard.notify.ports import Channel
from guard.notify.route import Route
from guard.policy.schema import Policy


def execute(arguments: Namespace, stdout: TextIO, stderr: TextIO, env: Mapping[str, str]) -> int:
    del stderr
    policy = source.read_policy(arguments.config)
    wanted = configured(policy.notify, env, zone_of(policy))
    if not wanted:
        raise UsageError(
            f"{arguments.config} names no channel; set url in [notify.webhook], host in [notify.mail], url or loop_url in "
            "[notify.healthchecks], or urls_file in [notify.apprise]"
        )
    results = asyncio.run(_try_all(wanted, policy))
    stdout.writelines(
        f"{name}: {f'failed: {one_line(wrong, 1000)}' if wrong else 'sent'}\n" for name, wrong in results.items()
    )
    return 1 if any(results.values()) else 0


async def _try_all(wanted: Mapping[str, Callable[[], Sequence[Route]]], policy: Policy) -> dict[str, str]:
    """Channel name -> what went wrong, '' for nothing."""
    checks = policy.notify.healthchecks
    message = Message(
        tier=Tier.PAGE,
        event=Event.LOG,  # a monitor shows it, and its check stays as it was
        title="Test of guard's notifications",
        text=f"guard notify test sent this; nothing has happened. guard watches {policy.xo.url}.",
        schedule=None if checks.loop_url else next(iter(checks.schedules), None),
        at=clock.now(),
    )
    results = await asyncio.gather(*(_try_section(name, opening, message) for name, opening in wanted.items()))
    return {name: wrong for found in results for name, wrong in found.items()}


async def _try_section(name: str, opening: Callable[[], Sequence[Route]], message: Message) -> dict[str, str]:
    """What went wrong with each channel of one section; under the section's own name where it cannot be opened."""
    try:
        routes = opening()
    except GuardError as error:
        return {name: str(error)}
    found = await asyncio.gather(*(_try(route, message) for route in routes))
    return dict(zip((route.channel.name for route in routes), found, strict=True))


async def _try(route: Route, message: Message) -> str:
    try:
        if not route.wants(message):
            message = _for(route.channel, message)
        await route.channel.send(message)
    except GuardError as error:
        return str(error)
    return ""


def _for(channel: Channel, message: Message) -> Message:
    """A channel that takes no pages is tried with a digest; a monitor without a check for it cannot be tried."""
    if isinstance(channel, Healthchecks):
        raise NotifyError("not tried: [notify.healthchecks] has no check to try; set loop_url, or one of schedules")
    return msgspec.structs.replace(message, tier=Tier.DIGEST, event=Event.DIGEST)
