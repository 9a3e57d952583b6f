"""What guard has seen of coalesces from look to look: how long nodes have been waiting, and how fast they went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """``since``: the first look of this guard process. ``waiting``: id of an un-coalesced node -> when guard first saw it so.

    ``collected``: SR id -> when a collection was last seen at work there.
    """

    since: Moment
    waiting: Mapping[str, Moment] = {}
    collected: Mapping[str, Moment] = {}
