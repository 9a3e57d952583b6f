"""XO's estate with what the pools of the policy tell themselves (docs/pools.md)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from urllib.parse import urlsplit

import msgspec

from guard.agenda import make_agenda
from guard.daemon.workaround import with_workaround
from guard.errors import PolicyError
from guard.estate.estate import Estate, Part, PartName
from guard.estate.xapi_records import PoolFacts
from guard.mechanics.outlook import target_sr_ids
from guard.mechanics.selection import Selector
from guard.meter import Meter
from guard.policy.pools_schema import PoolSection
from guard.policy.schema import Policy
from guard.xapi.pools import read_pools
from guard.xapi.session import PoolSettings
from guard.xapi.settings import pool_settings
from guard.xo.client import XoSettings
from guard.xo.token import Token
from guard.xo.writes import WritingXo

MOST_VMS = 300
"""Each VM asked about is a call of its own; those of the next due runs come first."""
_AHEAD = timedelta(hours=24)
FORGOTTEN = timedelta(hours=1)
_NOT_AGAIN = "not tried again before the entry or its password changes, or for an hour"


class Refused:
    """Sign-ins that pools did not take. They are tried again as they are after an hour only: directories lock accounts, but
    may also have been away themselves.
    """

    def __init__(self) -> None:
        self._known: dict[str, tuple[PoolSettings, PoolFacts]] = {}

    def told(self, one: PoolSettings, now: datetime) -> PoolFacts | None:
        """What stands in place of a new reading; None where there is no reason against one."""
        before = self._known.get(one.name)
        if before is None or one != before[0] or not timedelta() <= now - before[1].read_at < FORGOTTEN:
            return None
        error = f"{before[1].error} ({_NOT_AGAIN})"
        return msgspec.structs.replace(before[1], error=error)

    def remember(self, one: PoolSettings, facts: PoolFacts) -> None:
        if facts.refused:
            self._known[one.name] = one, facts
        else:
            self._known.pop(one.name, None)


class XoAndPools(WritingXo):
    """XO; its estates hold what the pools of the policy in force told at that moment."""

    def __init__(
        self,
        settings: Callable[[], XoSettings],
        token_of: Callable[[], Token],
        *,
        clock: Callable[[], datetime],
        policy_of: Callable[[], Policy],
        env: Mapping[str, str],
        meter: Meter | None = None,
    ) -> None:
        super().__init__(settings, token_of, clock=clock, meter=meter)
        self._policy_of, self._env, self._refused = policy_of, env, Refused()

    async def estate(self) -> Estate:
        """Everything. Raises XoError; a pool that does not answer is no error."""
        estate, policy = await super().estate(), self._policy_of()
        estate = await with_pools(
            estate, policy, self._env, clock=self._clock, refused=self._refused, meter=self._meter
        )
        return await with_workaround(estate, policy.remedies, self._clock)


async def with_pools(
    estate: Estate,
    policy: Policy,
    env: Mapping[str, str],
    *,
    clock: Callable[[], datetime],
    refused: Refused | None = None,
    meter: Meter | None = None,
) -> Estate:
    """The estate, with the part POOL_FACTS where the policy has [[pool]] entries.

    Raises nothing: an entry whose password cannot be read is a pool that told nothing, and no backup waits for that.
    """
    if not policy.pools:
        return estate
    settings: list[PoolSettings] = []
    unread: dict[str, PoolFacts] = {}
    for section in policy.pools:
        try:
            settings += pool_settings(msgspec.structs.replace(policy, pools=(section,)), env)
        except PolicyError as error:
            address = urlsplit(section.url).hostname or ""
            unread[section.name] = PoolFacts(
                label=section.name, address=address, read_at=clock(), answered=False, error=str(error)
            )
    found = await with_told(
        estate, settings, clock=clock, local_zone=policy.xo.zone, refused=refused or Refused(), meter=meter
    )
    facts = {one.label: one for one in found.pool_facts} | unread
    part = _part(policy.pools, clock())
    return replace(
        found,
        pool_facts=tuple(facts[one.name] for one in policy.pools),
        parts={**found.parts, part.name: part},
    )


async def with_told(
    estate: Estate,
    settings: Sequence[PoolSettings],
    *,
    clock: Callable[[], datetime],
    local_zone: str | None = None,
    refused: Refused,
    meter: Meter | None = None,
) -> Estate:
    """The estate with what these pools tell, one PoolFacts for each in their order. Raises nothing.

    They are asked after XO, as its schedules tell which VMs are in question.
    """
    now = clock()
    vms, srs = in_question(estate, now, local_zone)
    kept = {one.name: told for one in settings if (told := refused.told(one, now)) is not None}
    asked = [one for one in settings if one.name not in kept]
    facts_of_asked = await read_pools(asked, clock=clock, ask_vms=vms, ask_srs=srs, meter=meter)
    for one, facts in zip(asked, facts_of_asked, strict=True):
        refused.remember(one, facts)
        kept[one.name] = facts
    part = _part(settings, clock())
    return replace(
        estate, pool_facts=tuple(kept[one.name] for one in settings), parts={**estate.parts, part.name: part}
    )


def _part(pools: Iterable[PoolSection | PoolSettings], now: datetime) -> Part:
    return Part(name=PartName.POOL_FACTS, source=f"XAPI of {', '.join(one.name for one in pools)}", read_at=now)


def in_question(estate: Estate, now: datetime, local_zone: str | None) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(VM ids, target SR ids) of the runs due within a day, the next ones first; at most ``MOST_VMS`` VMs."""
    agenda = make_agenda(
        estate, after=now, until=now + _AHEAD, local_zone=local_zone, seconds_of=lambda _schedule: None
    )
    vms: dict[str, None] = {}
    srs: dict[str, None] = {}
    selector = Selector(estate)
    for job_id in dict.fromkeys(due.job_id for due in sorted(agenda.dues, key=lambda due: due.at)):
        job = estate.job_by_id.get(job_id)
        if job is None or job.type != "backup":
            continue
        vms |= dict.fromkeys(selector.select(job).ids)
        srs |= dict.fromkeys(target_sr_ids(job))
        if len(vms) >= MOST_VMS:
            break
    return tuple(vms)[:MOST_VMS], tuple(srs)
