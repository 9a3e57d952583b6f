"""The words by which a person names things of XO, such as ``pool:Lyon``: in guard hold, and in the policy."""

from __future__ import annotations

KINDS = ("all", "schedule", "job", "pool", "sr", "repository", "vm")
_EXAMPLES = (
    'expected "all", or one of schedule, job, pool, sr, repository, vm with a name or an id, such as "pool:Lyon"'
)


def parse_scope(text: str) -> tuple[str, str]:
    """``"all"`` -> ("all", ""), ``"pool:Lyon"`` -> ("pool", "Lyon"). Raises ValueError saying what would be right."""
    kind, colon, name = text.strip().partition(":")
    kind, name = kind.strip(), name.strip()
    if kind not in KINDS:
        raise ValueError(f"{text!r} names no kind of thing; {_EXAMPLES}")
    if kind == "all" and colon:
        raise ValueError(f'{text!r}: expected "all" alone')
    if kind != "all" and not name:
        raise ValueError(f"{text!r} does not say which {kind}; {_EXAMPLES}")
    return kind, name
