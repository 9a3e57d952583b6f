"""The policy as typed structs: the one source of validation, sample file and reference. Durations are timedeltas."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from guard.checks import ALL
from guard.checks.check import Options
from guard.policy.notify_schema import NotifySection

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


class Defaults(Section, frozen=True, kw_only=True):
    """What holds for every schedule unless a [[schedule]] says otherwise."""

    on_unknown: Annotated[
        Literal["start", "defer", "refuse"], Meta(description="What a fact that cannot be had does to a run.")
    ] = "start"
    overlap: Annotated[
        Literal["skip", "one_later"],
        Meta(description="What becomes of a run that falls into another run of its job."),
    ] = "skip"
    max_defer: Annotated[timedelta, Meta(description="How long a run or a VM may be deferred after its due time.")] = (
        timedelta(hours=4)
    )


class ScheduleRule(Section, frozen=True, kw_only=True):
    """Overrides for some schedules: every match key given must match; of two matching entries the later wins."""

    id: Annotated[str | None, Meta(description="Id of the schedule.")] = None
    name: Annotated[str | None, Meta(description="Glob on the schedule's name.")] = None
    job: Annotated[str | None, Meta(description="Glob on the job's name.")] = None
    tag: Annotated[str | None, Meta(description="A VM tag that the job's smart pattern asks for.")] = None
    changes: Mapping[str, object] = {}
    checks: Mapping[str, Mapping[str, object]] = {}


class Policy(msgspec.Struct, frozen=True, kw_only=True):
    """A whole policy. ``checks``: check name -> its options; ``given``: key paths that the file sets."""

    xo: XoSection = XoSection()
    defaults: Defaults = Defaults()
    notify: NotifySection = NotifySection()
    checks: Mapping[str, Options]
    schedules: tuple[ScheduleRule, ...] = ()
    given: frozenset[str] = frozenset()


def default_policy(url: str = "") -> Policy:
    """The policy of an empty file."""
    return Policy(xo=XoSection(url=url), checks={name: kind() for name, kind in CHECK_OPTIONS.items()})
