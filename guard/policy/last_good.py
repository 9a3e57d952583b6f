"""What outlives an edit that breaks the policy: its [xo] section and its zone, as the ledger keeps them. No secret is in it."""

from __future__ import annotations

import msgspec

from guard.policy.notify_schema import NotifySection
from guard.policy.schema import Policy, XoSection, default_policy


class LastGood(msgspec.Struct, frozen=True, kw_only=True):
    """``zone``: that of [notify]."""

    xo: XoSection
    zone: str | None = None


def kept_of(policy: Policy) -> bytes:
    """What is kept of a policy in force."""
    return msgspec.json.encode(LastGood(xo=policy.xo, zone=policy.notify.zone))


def policy_of(kept: bytes) -> Policy:
    """A policy with just that, and the default for all else. Raises ValueError for what a newer guard kept."""
    try:
        told = msgspec.json.decode(kept, type=LastGood)
    except msgspec.MsgspecError as error:
        raise ValueError(str(error)) from error
    return msgspec.structs.replace(default_policy(), xo=told.xo, notify=NotifySection(zone=told.zone))
