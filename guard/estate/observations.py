"""What guard has seen of coalesces from look to look: how long nodes have been waiting, and how fast they went."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Annotated

import msgspec

Moment = Annotated[datetime, msgspec.Meta(tz=True)]


class Waiting(msgspec.Struct, frozen=True, kw_only=True):
    """An un-coalesced node as guard saw it last: its SR, the child that is to be merged into it with that child's bytes, and
    since when these two have waited.
    """

    sr: str
    child: str
    bytes: int
    since: Moment


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How many pairs of an SR were merged, and their bytes, in the time since the merge seen before; others kept waiting."""

    pairs: int
    bytes: int
    seconds: float


class Observations(msgspec.Struct, frozen=True, kw_only=True):
    """``since``: the first look of this guard; ``looked_at``: the last. ``waiting``: by id of the node.

    ``collected``: SR id -> when a collection was last seen at work there, by its task or by a merge. ``begun``: SR id -> since
    when the next merge there is under way: the last one, the first look at what waits, or the look before a collection
    began. ``progress``: by SR id, oldest first.
    """

    since: Moment
    looked_at: Moment
    waiting: Mapping[str, Waiting] = {}
    collected: Mapping[str, Moment] = {}
    begun: Mapping[str, Moment] = {}
    progress: Mapping[str, tuple[Progress, ...]] = {}


def read_observations(told: bytes | None) -> Observations | None:
    """As the ledger keeps them; None for none yet, and where another guard wrote what this one cannot read: what was learned
    is learned anew.
    """
    try:
        return msgspec.json.decode(told, type=Observations) if told is not None else None
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return None
