"""What a person accepted for a while ([[accept]] of the policy): which findings and alarms it is about. Pure.

Accepting is about telling, never about acting: an accepted block holds what it held. A scope is read as guard hold reads
it, but narrower: an entry covers what lies within it as a whole. Of what is about a thing of the scope's own kind, its name
or id decides; a finding about VMs is covered when all of them are in the scope.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta

import msgspec

from guard.decision.brakes import named_vms, whole_run_names
from guard.decision.verdict import Verdict
from guard.estate.estate import Estate
from guard.finding import Accepted, Finding, Level, Scope, ScopeKind
from guard.mechanics.outlook import ExpectedRun
from guard.policy.accept_schema import AcceptRule
from guard.policy.scopes import parse_scope

SOON = timedelta(days=7)
"""So long before its end an entry is named in each digest."""


class About(msgspec.Struct, frozen=True, kw_only=True):
    """What something told is about, as far as its story tells: ids and names. ``scopes``: things; ``vms``: all that it is
    about, each with its names.
    """

    schedule: tuple[str, ...] = ()
    job: tuple[str, ...] = ()
    scopes: tuple[Scope, ...] = ()
    vms: tuple[tuple[str, ...], ...] = ()


def in_force(entries: Iterable[AcceptRule], now: datetime) -> tuple[AcceptRule, ...]:
    """Those that have not ended at ``now``."""
    return tuple(one for one in entries if now < one.ends)


def ended(entries: Iterable[AcceptRule], now: datetime) -> tuple[AcceptRule, ...]:
    """Those that have, and do nothing any more."""
    return tuple(one for one in entries if one.ends <= now)


def ending(entries: Iterable[AcceptRule], now: datetime) -> tuple[AcceptRule, ...]:
    """Those that end soon, the first one first."""
    soon = (one for one in entries if now < one.ends <= now + SOON)
    return tuple(sorted(soon, key=lambda one: one.ends))


def as_accepted(entry: AcceptRule) -> Accepted:
    """The word that goes with what it covers."""
    return Accepted(until=entry.ends, shown=entry.until, reason=entry.reason)


def is_by(accepted: Accepted | None, entry: AcceptRule) -> bool:
    """Whether it was this entry that accepted something; by what of it was kept."""
    return accepted is not None and accepted == as_accepted(entry)


# --- findings


def with_accepted(
    verdict: Verdict, entries: Sequence[AcceptRule], at: datetime, run: ExpectedRun, estate: Estate
) -> Verdict:
    """The verdict with its accepted findings marked; an accepted unknown counts as known."""
    entries = in_force(entries, at)
    if not entries:
        return verdict
    inside: dict[str, frozenset[str]] = {}
    findings = tuple(_marked(one, entries, run, estate, inside) for one in verdict.findings)
    unknown = any(one.level is Level.UNKNOWN and one.accepted is None for one in findings)
    return msgspec.structs.replace(verdict, findings=findings, unknown=unknown)


def _marked(
    finding: Finding,
    entries: Sequence[AcceptRule],
    run: ExpectedRun,
    estate: Estate,
    inside: dict[str, frozenset[str]],
) -> Finding:
    """``inside``: scope -> the run's VMs in it, worked out once for all findings."""
    for entry in entries:
        if entry.code == finding.code and _covers(entry.scope, finding, run, estate, inside):
            return msgspec.structs.replace(finding, accepted=as_accepted(entry))
    return finding


def _covers(word: str, finding: Finding, run: ExpectedRun, estate: Estate, inside: dict[str, frozenset[str]]) -> bool:
    kind, name = parse_scope(word)
    scope = finding.scope
    is_own = kind == scope.kind.value
    if is_own and name in (scope.id, scope.name):
        return True
    if kind in ("all", "schedule", "job") or (kind == "repository" and not is_own):
        return name in whole_run_names(kind, run, estate)
    if is_own or kind == "repository":
        return False
    if word not in inside:
        inside[word] = frozenset(named_vms(kind, name, run, estate))
    about = set(finding.holds) or ({scope.id} if scope.kind is ScopeKind.VM else set())
    return bool(about) and about <= inside[word]


# --- what a story tells


def accepting(entries: Iterable[AcceptRule], at: datetime, code: str, about: About) -> Accepted | None:
    """The entry that covers something told without the estate at hand; None for none.

    ``pool`` covers only what is about the pool itself, and ``sr`` and ``repository`` likewise.
    """
    for entry in in_force(entries, at):
        if entry.code == code and _names(entry, about):
            return as_accepted(entry)
    return None


def _names(entry: AcceptRule, about: About) -> bool:
    kind, name = parse_scope(entry.scope)
    if kind == "all":
        return True
    if kind in ("schedule", "job"):
        return name in (about.schedule if kind == "schedule" else about.job)
    if kind == "vm" and about.vms:
        return all(name in names for names in about.vms)
    return any(kind == one.kind.value and name in (one.id, one.name) for one in about.scopes)
