"""The policy as typed structs: the one source of validation, sample file and reference. Durations are timedeltas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from guard.checks import ALL
from guard.checks.check import Options
from guard.policy.accept_schema import AcceptRule
from guard.policy.coverage_schema import CoverageSection
from guard.policy.metrics_schema import MetricsSection
from guard.policy.notify_schema import NotifySection
from guard.policy.pools_schema import PoolSection
from guard.policy.remedies_schema import RemediesSection
from guard.policy.tiers_schema import Tier

CHECK_OPTIONS: Mapping[str, type[Options]] = {check.name: check.options for check in ALL}


class Section(msgspec.Struct, frozen=True, kw_only=True):
    """Base of the policy's sections."""


class XoSection(Section, frozen=True, kw_only=True):
    """Where Xen Orchestra is and how to reach it."""

    url: Annotated[str, Meta(description="Address of XO, such as https://xo.example.org. Required.")] = ""
    token_file: Annotated[
        str | None,
        Meta(description="File that holds just the token, mode 600. A systemd credential named xo-token comes first."),
    ] = None
    renew_token: Annotated[
        bool,
        Meta(
            description="Let the daemon push the token's end on in time (token.create), also while it only observes. Only a "
            "token made by guard token renew can be; for others it tells in time."
        ),
    ] = False
    renew_for: Annotated[
        timedelta,
        Meta(
            description="How long a renewed token is valid. XO allows half a year at most, unless it is set otherwise."
        ),
    ] = timedelta(days=180)
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the CA, or of XO's self-signed certificate. Default: the system's CAs."),
    ] = None
    server_name: Annotated[
        str | None, Meta(description="Name in XO's certificate, where it is not the host of url.")
    ] = None
    verify: Annotated[bool, Meta(description="Check XO's certificate. false warns at every start.")] = True
    zone: Annotated[
        str | None, Meta(description='Zone of XO\'s machine, used for schedules whose zone is "local".')
    ] = None
    call_timeout: Annotated[timedelta, Meta(description="Total time one call to XO may take.")] = timedelta(seconds=30)
    total_timeout: Annotated[timedelta, Meta(description="Total time one reading of XO may take.")] = timedelta(
        minutes=2
    )
    history_days: Annotated[
        int, Meta(ge=1, le=31, description="How far back backup logs are read; XO keeps 31 days.")
    ] = 31
    read_archives: Annotated[
        bool,
        Meta(
            description="Read the list of backups on the repositories too: it tells which are immutable, and which deltas have "
            "lost their base. XO goes through every folder there for it."
        ),
    ] = False
    local_paths: Annotated[
        tuple[Annotated[str, Meta(pattern="^/")], ...],
        Meta(
            description='Only where guard runs on XO\'s own machine: paths on the disks XO itself needs, ["/", '
            '"/var/lib/xo-server"]. guard then tells when they run full, and finds file:// repositories on them.'
        ),
    ] = ()
    accept_versions: Annotated[
        tuple[str, ...],
        Meta(
            description='Versions of xo-server on which guard may act although it was never tested with them: ["5.210.0"].'
        ),
    ] = ()


class Defaults(Section, frozen=True, kw_only=True):
    """What holds for every schedule unless a [[schedule]] says otherwise."""

    on_unknown: Annotated[
        Literal["start", "defer", "refuse"], Meta(description="What a fact that cannot be had does to a run.")
    ] = "start"
    overlap: Annotated[
        Literal["skip", "one_later"],
        Meta(description="What becomes of a run that falls into another run of its job."),
    ] = "skip"
    max_defer: Annotated[
        timedelta | None,
        Meta(
            description="How long a run or a VM may be deferred after its due time. Default: 6 h, or half the time to the "
            "schedule's next due time where that is less."
        ),
    ] = None
    max_backup_age: Annotated[
        timedelta | None,
        Meta(
            description="A held VM whose last good backup gets older than this waits no longer (but at least 1 h). Default: "
            "3 times the usual time between its good backups."
        ),
    ] = None
    gate: Annotated[
        Literal["observe", "enforce"],
        Meta(
            description="observe: predict and watch, XO starts everything; enforce: hold in XO what the verdict holds. "
            "A sequence goes by its own schedule's."
        ),
    ] = "observe"
    claim: Annotated[
        Literal["when_needed", "always"],
        Meta(
            description="With enforce: take a schedule from XO only for due times that shall not start whole, or for all."
        ),
    ] = "when_needed"
    on_uncertain: Annotated[
        Literal["start", "skip"],
        Meta(description="When XO's answer to a start was lost and no run shows: start again, or leave it and tell."),
    ] = "start"
    recheck_every: Annotated[
        timedelta, Meta(description="How often what waits is judged anew, with facts read anew. At least 1 min.")
    ] = timedelta(minutes=10)


class ScheduleRule(Section, frozen=True, kw_only=True):
    """Overrides for some schedules: every match key given must match; of two matching entries the later wins."""

    id: Annotated[str | None, Meta(description="Id of the schedule.")] = None
    name: Annotated[str | None, Meta(description="Glob on the schedule's name.")] = None
    job: Annotated[str | None, Meta(description="Glob on the job's name.")] = None
    tag: Annotated[str | None, Meta(description="A VM tag that the job's smart pattern asks for.")] = None
    changes: Mapping[str, object] = {}
    checks: Mapping[str, Mapping[str, object]] = {}


class WindowRule(Section, frozen=True, kw_only=True):
    """When runs may start: every match key given must match, an entry without any is for all schedules."""

    name: Annotated[str | None, Meta(description="What messages call it.")] = None
    kind: Annotated[
        Literal["allow", "deny"],
        Meta(description="allow: start in such windows only; deny: never start in this one, whatever others allow."),
    ] = "allow"
    cron: Annotated[
        str, Meta(description="When it opens: five fields of standard cron, months from 1 to 12. Required.")
    ] = ""
    duration: Annotated[timedelta, Meta(description="How long it stays open, in real time. Required.")] = timedelta()
    zone: Annotated[str | None, Meta(description="Zone of cron. Default: [xo] zone, else UTC.")] = None
    schedule: Annotated[str | None, Meta(description="Glob on the schedule's name.")] = None
    job: Annotated[str | None, Meta(description="Glob on the job's name.")] = None
    tag: Annotated[str | None, Meta(description="A VM tag that the job's smart pattern asks for.")] = None


class LimitRule(Section, frozen=True, kw_only=True):
    """How many jobs may run at once on one thing of a kind; a run without a slot waits."""

    slots: Annotated[int, Meta(ge=1, description="So many jobs at once. Required.")] = 1
    per: Annotated[
        Literal["repository", "sr", "pool", "xo"],
        Meta(description="On each backup repository, each SR, each pool, or in all of XO. Required."),
    ] = "xo"
    name: Annotated[str, Meta(description="Glob on that thing's name.")] = "*"


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy. ``checks``: check name -> its options; ``given``: key paths that the file sets.

    ``tiers``: state or code -> tier, where the file says so; ``accepts``: ended ones too.
    """

    xo: XoSection = XoSection()
    defaults: Defaults = Defaults()
    notify: NotifySection = NotifySection()
    remedies: RemediesSection = RemediesSection()
    metrics: MetricsSection = MetricsSection()
    coverage: CoverageSection = CoverageSection()
    checks: Mapping[str, Options]
    schedules: tuple[ScheduleRule, ...] = ()
    windows: tuple[WindowRule, ...] = ()
    limits: tuple[LimitRule, ...] = ()
    pools: tuple[PoolSection, ...] = ()
    tiers: Mapping[str, Tier] = {}
    accepts: tuple[AcceptRule, ...] = ()
    given: frozenset[str] = frozenset()

    @property
    def may_act(self) -> bool:
        """Whether guard acts on any schedule; otherwise it only watches."""
        return self.defaults.gate == "enforce" or any(one.changes.get("gate") == "enforce" for one in self.schedules)


def default_policy(url: str = "") -> Policy:
    """The policy of an empty file."""
    return Policy(xo=XoSection(url=url), checks={name: kind() for name, kind in CHECK_OPTIONS.items()})
