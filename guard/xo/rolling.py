"""When XO is asked for rolling pool updates and reboots: only while something looks like one, as XO goes through all its tasks."""

from __future__ import annotations

from collections.abc import Iterable

from msgspec import UNSET

from guard.estate.xo_records import Host, Server, XoTask
from guard.http import Http
from guard.xo import reads

SOURCE = "GET /rest/v0/tasks"
NOT_ASKED = "not asked: every host runs and every server is connected"


def may_be_rolling(hosts: Iterable[Host] | None, servers: Iterable[Server] | None) -> bool:
    """Whether a host is out of service or a server is away: a rolling update takes hosts out one by one, the master too.

    None: the list could not be read, so it cannot be ruled out. A server that a person has disabled shows nothing.
    """
    if hosts is None or servers is None:
        return True
    out = any(host.enabled is False or host.power_state not in ("Running", UNSET) for host in hosts)
    return out or any(server.enabled and server.status != "connected" for server in servers)


async def read_rolling(http: Http) -> tuple[XoTask, ...]:
    """The rolling updates and reboots that go on; of XO's other tasks nothing is kept. Raises XoError, msgspec.MsgspecError."""
    body = await http.get("/rest/v0/tasks", {"fields": reads.fields_of(XoTask), "filter": "status:pending"})
    found: tuple[XoTask, ...] = reads.decode_list(body, XoTask)
    return tuple(task for task in found if task.status == "pending" and task.is_rolling)
