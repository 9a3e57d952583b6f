"""Reads the backups on the repositories that jobs write to. XO goes through every folder there for it, so only on request."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from guard.estate.xo_records import Archive, Job
from guard.http import Http
from guard.mechanics.outlook import repository_ids
from guard.xo import reads

SOURCE = "GET /rest/v0/backup-archives"


_FIELDS = reads.fields_of(Archive).replace(",vm,", ",vm.uuid,")
"""Of a VM only its id: XO would send its name, description and tags with every backup."""


async def read_archives(http: Http, jobs: Iterable[Job], usable: Collection[str]) -> tuple[Archive, ...]:
    """One request for each ``usable`` repository that a backup job writes to. Raises XoError, msgspec.MsgspecError.

    One after another, as each goes through every folder there. XO shows nothing of a repository it cannot list within
    30 s, and does not say so.
    """
    targets = dict.fromkeys(one for job in jobs if job.type == "backup" for one in repository_ids(job))
    found: list[Archive] = []
    for identity in (one for one in targets if one in usable):
        asked = {"backup-repository": identity, "fields": _FIELDS}
        found += reads.decode_list(await http.get("/rest/v0/backup-archives", asked), Archive)
    return tuple(found)
