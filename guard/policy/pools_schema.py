"""The policy's [[pool]] entries as typed structs. A password is never in them, only the file that holds it."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated

import msgspec
from msgspec import Meta


class PoolSection(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that guard asks directly for what XO does not show."""

    name: Annotated[str, Meta(description="What messages call it, in letters, digits, dots and dashes. Required.")] = ""
    url: Annotated[str, Meta(description="Address of the pool's master, such as https://192.0.2.10. Required.")] = ""
    username: Annotated[
        str, Meta(description="Whom guard signs in as. Reading is all it needs: docs/pools.md. Required.")
    ] = ""
    password_file: Annotated[
        str | None,
        Meta(description="File of just the password, mode 600; a credential pool-<name> comes first."),
    ] = None
    ca_file: Annotated[
        str | None,
        Meta(description="PEM file of the CA, or of the master's own certificate. Default: the system's CAs."),
    ] = None
    server_name: Annotated[
        str | None, Meta(description="Name in the master's certificate, where it is not the host of url.")
    ] = None
    verify: Annotated[bool, Meta(description="Check that certificate. false may hand the password to anyone.")] = True
    call_timeout: Annotated[timedelta, Meta(description="Total time one call to the pool may take.")] = timedelta(
        seconds=10
    )
    total_timeout: Annotated[timedelta, Meta(description="Total time one reading of the pool may take.")] = timedelta(
        seconds=30
    )
