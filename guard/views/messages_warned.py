"""What a prediction only warns of, as messages: one for each thing, whichever run showed it. Pure."""

from __future__ import annotations

from guard.decision.verdict import Action
from guard.lifecycle.accepted import loud_warnings
from guard.lifecycle.due_run import DueRun
from guard.lifecycle.events import Decided
from guard.views.message_parts import Told, composed

_NEXT = "guard starts its runs all the same; guard plan shows it as long as it is so."


def warned(run: DueRun, event: Decided) -> tuple[Told, ...]:
    """The warnings of a run that starts whole: where something holds, the message of that tells what to do."""
    if event.verdict.action is not Action.START:
        return ()
    return tuple(
        Told(
            "warn",
            f"{one.code}: {one.scope.name or one.scope.id}",
            composed(one.summary, to_do=(one.remedy,), then=_NEXT),
            codes=(one.code,),
            mark=(one.code, one.scope.kind, one.scope.id),
        )
        for one in loud_warnings(run, event.at)
    )
