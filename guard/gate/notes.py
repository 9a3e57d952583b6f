"""What keeps guard from watching or acting, in sentences without their full stop."""

from __future__ import annotations

from collections.abc import Collection

from guard.agenda import Agenda
from guard.gate.look import Looker
from guard.mechanics.versions import is_tested

NOT_READ = "XO was not read whole yet"


def why_none(looker: Looker, accepted: Collection[str]) -> str:
    """Why guard acts on no schedule at all; '' where it may. ``accepted``: the policy's accept_versions."""
    if looker.usual is None:
        return NOT_READ
    if not looker.is_admin:
        return "the token's user is no administrator"
    if not is_tested(looker.version, accepted):
        return f"xo-server {looker.version or 'of an unknown version'} was never tested with guard"
    return ""


def not_watched(agenda: Agenda, looker: Looker, undecided: str, unremedied: str) -> tuple[str, ...]:
    """What due times or predictions are missing. ``undecided``, ``unremedied``: what kept guard from it, '' for nothing."""
    return (
        *(note.text for note in agenda.notes if note.unknown),
        *(() if looker.is_admin else ("what XO hides from the token's user, who is no administrator",)),
        *((f"no prediction could be made: {undecided}",) if undecided else ()),
        *((f"nothing could be remedied: {unremedied}",) if unremedied else ()),
    )
