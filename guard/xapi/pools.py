"""All pools of the policy at once, each in a thread of its own: the XenAPI package blocks, and one session is for one thread."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Collection, Sequence
from datetime import datetime
from urllib.parse import urlsplit

from guard.errors import PolicyError, PoolAuthError, PoolError
from guard.estate.xapi_records import PoolFacts
from guard.http import tls_context
from guard.meter import Meter
from guard.threads import DaemonThreads
from guard.xapi.facts import read_facts
from guard.xapi.session import REFUSED, PoolSession, PoolSettings

GRACE_S = 1.0
"""Seconds after a pool's total_timeout at which its thread is waited for no longer. Its own limits end it before; only the
resolver of names knows none.
"""


async def read_pools(
    settings: Sequence[PoolSettings],
    *,
    clock: Callable[[], datetime],
    ask_vms: Collection[str] = (),
    ask_srs: Collection[str] = (),
    monotonic: Callable[[], float] = time.monotonic,
    meter: Meter | None = None,
) -> tuple[PoolFacts, ...]:
    """One PoolFacts for each entry, in their order, whether its pool answers or not; at the latest when the longest
    ``total_timeout`` has passed. ``ask_vms``, ``ask_srs``: as in ``read_facts``, for all pools together. Raises nothing.
    """
    readings = [
        _read(one, read_at=clock(), ask_vms=ask_vms, ask_srs=ask_srs, monotonic=monotonic, meter=meter)
        for one in settings
    ]
    return tuple(await asyncio.gather(*readings))


async def _read(
    settings: PoolSettings,
    *,
    read_at: datetime,
    ask_vms: Collection[str],
    ask_srs: Collection[str],
    monotonic: Callable[[], float],
    meter: Meter | None,
) -> PoolFacts:
    label, address = settings.name, settings.host
    refused = False

    def work() -> PoolFacts:
        with PoolSession(settings, tls=_tls(settings), monotonic=monotonic, meter=meter) as session:
            return read_facts(session, label=label, address=address, read_at=read_at, ask_vms=ask_vms, ask_srs=ask_srs)

    try:
        async with asyncio.timeout(settings.total_timeout_s + GRACE_S):
            return await asyncio.get_running_loop().run_in_executor(DaemonThreads(f"pool {label}"), work)
    except (PoolError, PolicyError) as error:
        why = str(error)
        refused = isinstance(error, PoolAuthError) and error.details[:1] == (REFUSED,)
    except TimeoutError:
        why = (
            f"Pool {label} ({address}) was not read within {settings.total_timeout_s:g} s ([[pool]] total_timeout); looking "
            "up its name may hang"
        )
    except Exception as error:  # noqa: BLE001  one odd pool must not cost the facts of all the others
        why = f"Pool {label} ({address}) gave answers that guard cannot read ({type(error).__name__})"
    return PoolFacts(label=label, address=address, read_at=read_at, answered=False, error=why, refused=refused)


def _tls(settings: PoolSettings) -> ssl.SSLContext | None:
    """Raises PolicyError where the CA file cannot be used."""
    if urlsplit(settings.url).scheme != "https":
        return None
    return tls_context(settings.ca_file, verify=settings.verify, section="[pool]")
