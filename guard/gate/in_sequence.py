"""The stories of every open sequence and of all its members, as they stand now."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from guard.lifecycle.due_run import DueRun, fold
from guard.lifecycle.events import RunKey
from guard.lifecycle.ledger import Ledger
from guard.lifecycle.turn import DueSequence


class OpenSequences:
    """Read at each look, and kept up with what is recorded in it."""

    def __init__(self) -> None:
        self._stories: dict[RunKey, DueRun] = {}

    async def load(self, runs: Iterable[DueRun], ledger: Ledger) -> None:
        """``runs``: the open ones. Members that have ended are read too: whose turn it is depends on them."""
        self._stories = {run.key: run for run in runs if run.is_sequence}
        for own in list(self._stories.values()):
            for key in _keys(own):
                run = fold(key, await ledger.load(key))
                if run is not None:  # else a look that died entered it not yet
                    self._stories[key] = run

    def grown(self, run: DueRun) -> None:
        """Something was recorded."""
        if run.key in self._stories:
            self._stories[run.key] = run

    def of(self, run: DueRun) -> DueSequence | None:
        """The sequence of a member's story, or of its own; None for other runs."""
        own = self._stories.get(RunKey(run.key.via or run.key.schedule, run.key.due))
        if own is None or run.key not in (own.key, *_keys(own)):  # it became a member after the due time was entered
            return None
        return DueSequence(own, tuple(self._stories[key] for key in _keys(own) if key in self._stories))

    def above(self, runs: Collection[DueRun]) -> list[DueRun]:
        """The open sequences that any of ``runs`` is a member of."""
        moved = {run.key.via for run in runs}
        return [own for key, own in self._stories.items() if key.schedule in moved and own.ended is None]


def _keys(own: DueRun) -> list[RunKey]:
    return [RunKey(member, own.key.due, own.key.schedule) for member in own.seen.members]
