"""The xo-server versions that guard's acting was tried on; on any other it only watches."""

from __future__ import annotations

from collections.abc import Collection

TESTED = frozenset({"5.207.2"})


def is_tested(version: str, accepted: Collection[str] = ()) -> bool:
    """Whether guard may act on it: tried, or accepted by the policy ([xo] accept_versions)."""
    return version in TESTED or version in accepted
