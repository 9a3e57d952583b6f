"""The [remedies] section: what guard may do by itself so that a run can start, or start again."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta


class RemediesSection(msgspec.Struct, frozen=True, kw_only=True):
    """Only for schedules with gate = enforce. Everything done is in the ledger: guard why, guard report."""

    look_ahead: Annotated[
        timedelta,
        Meta(description="How long before a due time guard begins to look for what it can remedy. 1 h to 12 h."),
    ] = timedelta(hours=4)
    rescan: Annotated[
        bool,
        Meta(
            description="Scan an SR (sr.scan) whose chains keep VMs from being saved while no coalesce is seen at work."
        ),
    ] = True
    rescan_again: Annotated[
        timedelta, Meta(description="So long after a scan guard does not scan the same SR again. At least 1 h.")
    ] = timedelta(hours=6)
    reconnect: Annotated[
        bool, Meta(description="Reconnect a server that XO lost (server.enable), never one that a person switched off.")
    ] = True
    plug: Annotated[bool, Meta(description="Plug a PBD of an SR that a run needs (pbd.connect).")] = True
    follow_up: Annotated[
        bool,
        Meta(
            description="After a run, start once more the VMs that XO skipped or failed before their snapshot, as soon as the "
            "cause is gone and the deadline has not passed."
        ),
    ] = True
    follow_up_transfers: Annotated[
        bool,
        Meta(
            description="The same after a failed transfer. The next backup of such a VM is a full one: only where space and "
            "window allow it."
        ),
    ] = False
    lower_concurrency: Annotated[
        bool,
        Meta(
            description="Start a job with a lower concurrency, for this run only, where an SR has room for fewer snapshots at once."
        ),
    ] = False
    probe: Annotated[
        bool,
        Meta(
            description="Once a night have XO write a small file to each backup repository that is due (remote.test), and delete "
            "it. Never to object storage, nor where files cannot be deleted."
        ),
    ] = False
    probe_limit: Annotated[timedelta, Meta(description="A probe that takes longer tells nothing. At least 1 s.")] = (
        timedelta(minutes=1)
    )
    timeout_file: Annotated[
        bool,
        Meta(
            description="When hosts keep XO waiting too long, write httpInactivityTimeout into xo_config. It holds for all runs of "
            "that XO, and is taken back."
        ),
    ] = True
    xo_config: Annotated[
        str | None,
        Meta(
            description="Only where guard runs on XO's own machine: the folder of XO's configuration, \"/etc/xo-server\". Without "
            "it guard tells what to put where."
        ),
    ] = None
    timeout_helper: Annotated[
        str | None,
        Meta(
            description='Socket of the unit that may write there, "/run/guard-workaround.sock". Default: guard writes itself.'
        ),
    ] = None
    timeout: Annotated[
        timedelta, Meta(description="How long XO shall wait for a host. More than 5 min, XO's own limit.")
    ] = timedelta(minutes=30)
    longest_timeout: Annotated[timedelta, Meta(description="No larger value is ever written. At most 6 h.")] = (
        timedelta(hours=2)
    )
    timeout_days: Annotated[
        int, Meta(ge=1, le=365, description="After so many days it is taken back, after a good run.")
    ] = 30
    timeout_days_again: Annotated[int, Meta(ge=1, le=365, description="The same where it had to be put back.")] = 90
    adopt_timeout_file: Annotated[
        bool,
        Meta(
            description="Take over config.httpInactivityTimeout.toml, the file XO's documentation names, where a person made one: "
            "guard then takes it back too."
        ),
    ] = False
