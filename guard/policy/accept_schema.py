"""The policy's [[accept]] entries as typed structs."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated

import msgspec
from msgspec import Meta


class AcceptRule(msgspec.Struct, frozen=True, kw_only=True):
    """A finding that is known and accepted for a while: it is shown, and told to nobody. It holds what it held before.

    ``ends``: the instant of ``until``.
    """

    code: Annotated[str, Meta(description="The code: guard explain lists them. Required.")] = ""
    scope: Annotated[
        str,
        Meta(description='For what, as guard hold takes it, such as "vm:web-01" or "sr:SAN".'),
    ] = "all"
    until: Annotated[
        str,
        Meta(description="When it ends: a date, that day included, or with a time. Required."),
    ] = ""
    reason: Annotated[str, Meta(description="Why, for those who read it later. Required.")] = ""
    ends: datetime = datetime(2000, 1, 1, tzinfo=UTC)
