"""Guard's httpInactivityTimeout file in XO's configuration folder, and the folder around it, as they were found."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

import msgspec


class OwnFile(msgspec.Struct, frozen=True, kw_only=True):
    """Guard's file. ``intact``: read back, and its checksum says that nobody changed it since guard wrote it.

    Of an ``edited`` file the fields hold what could still be read. ``unreadable``: ``why`` tells the cause. Milliseconds.
    """

    state: Literal["absent", "intact", "edited", "unreadable"]
    value_ms: int | None = None
    until: datetime | None = None
    reason: str = ""
    written_at: datetime | None = None
    by: str = ""
    why: str = ""


class Setting(msgspec.Struct, frozen=True, kw_only=True):
    """What holds by the load order. ``file`` None: nothing is set there, so XO's own 300,000 ms hold.

    ``value_ms`` 0: no limit. None with a file: XO's own hold again, or, not ``usable``, something no number of ms.
    """

    value_ms: int | None = None
    file: str | None = None
    usable: bool = True


class Trouble(msgspec.Struct, frozen=True, kw_only=True):
    """A file, and what is wrong with it, as half a sentence."""

    file: str
    why: str


class Unsure(msgspec.Struct, frozen=True, kw_only=True):
    """A file that XO reads and guard cannot. ``names_it``: the word httpInactivityTimeout stands in it.

    ``later``: read after guard's file, so that it may override it; None where guard cannot tell the order.
    """

    file: str
    why: str
    names_it: bool
    later: bool | None


class State(msgspec.Struct, frozen=True, kw_only=True):
    """One look at the folder. ``folder`` None: the policy names none. ``problem``: why it could not be looked at.

    ``elsewhere``: what would hold without guard's file. ``page_file``: the file that XO's documentation names, where a
    person made one that sets this and nothing else. ``broken``: XO would not start with them.
    """

    folder: str | None
    looked_at: datetime
    problem: str = ""
    own: OwnFile = OwnFile(state="absent")
    in_force: Setting = Setting()
    elsewhere: Setting = Setting()
    page_file: Setting | None = None
    broken: tuple[Trouble, ...] = ()
    unsure: tuple[Unsure, ...] = ()


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What would change. ``text``: guard's file afterwards (None: none). ``diff``: unified, empty where nothing changes.

    ``moved``: (from, to), the file that is taken over, under the name it is kept as.
    """

    action: Literal["write", "remove", "nothing"]
    sentence: str
    text: str | None = None
    diff: str = ""
    moved: tuple[str, str] | None = None


class Done(msgspec.Struct, frozen=True, kw_only=True):
    """What was done, by ``plan``, with the folder as it was found before and after. ``sentence`` is for a person."""

    plan: Plan
    sentence: str
    before: State
    after: State
