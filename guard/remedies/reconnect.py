"""Reconnecting a server that XO lost (failure-modes.md 3.16; xo-api.md 3.5, 5.2): its pool's VMs are shown again then."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime, timedelta

import msgspec

from guard.checks.connectivity import POOL_DISCONNECTED, VM_UNKNOWN
from guard.estate.estate import Estate, PartName
from guard.estate.xo_records import Server
from guard.finding import ClearedBy, Scope, ScopeKind
from guard.lifecycle.remedy import Effect, Remedy, RemedyKind, Result, Wanted
from guard.mechanics.connection import pool_told, reconnects
from guard.remedies.scene import SOON, Need, Scene
from guard.units import format_duration, some_of

AGAIN = timedelta(hours=1)
"""What did not help is not tried again at once: XO itself tries too, and somebody may be at it."""


def wanted(scene: Scene) -> Iterator[Wanted]:
    """One for each lost server that a run misses."""
    for server in scene.estate.servers:
        if server.status == "connected":
            continue
        needs = [need for need in scene.needs if _misses(scene.estate, need, server)]
        if needs:
            yield _wanted(scene, server, needs)


def _misses(estate: Estate, need: Need, server: Server) -> bool:
    for one in need.against(POOL_DISCONNECTED.id, VM_UNKNOWN.id):
        if one.scope.kind is ScopeKind.SERVER and one.scope.id == server.id:
            return True
        if one.scope.kind is ScopeKind.POOL and server.pool_id and one.scope.id == server.pool_id:
            return True
        # of a lost server XO does not tell the pool (xo-api.md 3.5): each may be the one
        of_any = one.code == VM_UNKNOWN.id or (one.scope.kind is ScopeKind.POOL and not server.pool_id)
        if of_any and one.clears.by is not ClearedBy.PERSON:
            return True
    return False


def _wanted(scene: Scene, server: Server, needs: list[Need]) -> Wanted:
    at, latest = when(scene, needs)
    told = server.error if isinstance(server.error, dict) else {}
    why = told.get("code") or told.get("message")
    return Wanted(
        kind=RemedyKind.RECONNECT,
        scope=Scope(ScopeKind.SERVER, server.id, server.name),
        at=at,
        latest=latest,
        reason=f"XO is not connected to {server.name}{f' ({why})' if why else ''}, and {needed_by(needs)} its pool",
        runs=tuple(need.run for need in needs),
        pool=server.pool_id or "",
        before=(scene.fact("status", server.status, "", PartName.SERVERS),),
        aside=_aside(scene, server, needs),
    )


def needed_by(needs: list[Need]) -> str:
    """``"Nightly needs"``, ``"Nightly, Weekly need"``."""
    names = dict.fromkeys(need.run.name for need in needs)
    return f"{some_of(names)} {'needs' if len(names) == 1 else 'need'}"


def when(scene: Scene, needs: list[Need]) -> tuple[datetime, datetime]:
    """From ``SOON`` before the first due time on; at once, or as soon as guard comes to it, for a run that waits."""
    if any(need.waits and need.enforced for need in needs):
        return scene.now, scene.now + SOON
    first = min(need.run.due for need in needs if need.enforced or not any(one.enforced for one in needs))
    return max(scene.now, first - SOON), first


def _aside(scene: Scene, server: Server, needs: list[Need]) -> str:
    if not scene.policy.reconnect:
        return "the policy says [remedies] reconnect = false"
    if not server.enabled:
        return "somebody switched it off in XO"
    if not reconnects(server):
        return "XO is refused there: its password, or another server of the same pool, stands in the way"
    if server.status == "connecting":
        return "XO is connecting to it"
    itself = pool_told(server, scene.estate.pool_facts)
    if itself is not None and not itself.answered and not itself.refused:
        return "the pool does not answer guard either"
    if scene.is_rolling(server.pool_id or ""):
        return "a rolling pool update or reboot goes on"
    if not any(need.enforced for need in needs):
        return "the policy says observe for what needs it"
    return tried(scene, RemedyKind.RECONNECT, server.id)


def tried(scene: Scene, kind: RemedyKind, target: str) -> str:
    """That it was tried less than ``AGAIN`` ago; '' when it was not."""
    last = scene.last(kind, target)
    if last is None or scene.now - last.at >= AGAIN:
        return ""
    return f"guard tried {format_duration(max(0.0, (scene.now - last.at).total_seconds()))} ago; once an hour is enough"


def seen_again(remedy: Remedy, estate: Estate, now: datetime) -> Remedy:
    """The remedy with the server's status as it is now."""
    server = next((one for one in estate.servers if one.id == remedy.scope.id), None)
    if remedy.effect is not Effect.PENDING or server is None or estate.parts[PartName.SERVERS].read_at <= remedy.at:
        return remedy
    return shown(
        remedy, server.status, estate.parts[PartName.SERVERS].read_at, now, helped=server.status == "connected"
    )


def shown(remedy: Remedy, value: str | bool, read_at: datetime, now: datetime, *, helped: bool) -> Remedy:
    """A remedy that waits for its effect, with what XO shows of its object now; without effect after ``SOON``, it had none."""
    after = tuple(msgspec.structs.replace(fact, value=value, observed_at=read_at) for fact in remedy.before)
    if helped:
        return msgspec.structs.replace(remedy, after=after, effect=Effect.HELPED, effect_at=now)
    over = remedy.result is not Result.OPEN and now - remedy.at >= SOON
    return msgspec.structs.replace(remedy, after=after, effect=Effect.NOTHING if over else Effect.PENDING)
