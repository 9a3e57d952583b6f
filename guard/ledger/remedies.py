"""Remedies in the ledger's file: one row each, written before XO is asked and again with what came of it."""

from __future__ import annotations

from datetime import datetime

import msgspec

from guard.errors import LedgerError
from guard.ledger.faults import readable
from guard.ledger.store import Store
from guard.ledger.times import from_ms, key_ms, to_ms
from guard.lifecycle.remedy import Remedy

_ENCODE = msgspec.json.Encoder().encode
_REMEDIES: msgspec.json.Decoder[Remedy] = msgspec.json.Decoder(Remedy)


def put(store: Store, remedy: Remedy) -> None:
    """Write it, in place of what was written of it before. Raises LedgerError."""
    row = (key_ms(remedy.at), remedy.kind.value, remedy.scope.id, _ENCODE(remedy).decode())
    store.write(lambda connection: connection.execute("INSERT OR REPLACE INTO remedy VALUES (?, ?, ?, ?)", row))


def since(store: Store, first: datetime) -> tuple[Remedy, ...]:
    """Those begun at ``first`` or later, oldest first. Raises LedgerError."""
    rows = store.rows("SELECT at, CAST(body AS BLOB) FROM remedy WHERE at >= ? ORDER BY at, kind, target", to_ms(first))
    return tuple(_read(store, at, body) for at, body in rows)


def _read(store: Store, at: int, body: bytes) -> Remedy:
    try:
        return _REMEDIES.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise LedgerError(
            f"the ledger {store.path} holds a remedy of {from_ms(at):%Y-%m-%d %H:%M:%S} UTC that this guard cannot read"
            f" ({readable(error)}): a newer guard wrote it, or the disk damaged it; install that guard again, or put a copy in"
            " its place"
        ) from error
