"""The codes that no check owns yet, and all codes together.

One code space for what is predicted and what a log shows (architecture.md 1). A code moves to a check once one predicts
it; those of alarms.py stay there, as only the daemon can see them. Facts behind the sentences: failure-modes.md 3 and 4,
and XO's backup troubleshooting page.
"""

from __future__ import annotations

from collections.abc import Mapping

from guard.checks import CODES
from guard.finding import Code
from guard.outcomes.alarms import ALARMS

# -- the transfer -----------------------------------------------------------------------------------------------------

NETWORK_LOST = Code(
    id="NETWORK_LOST",
    title="A network connection was refused or broke",
    why="The connection between XO and a host, a backup repository or a proxy could not be opened, or broke in the middle. "
    "The log does not tell which side ended it.",
    do="Run it again. When it repeats, check from the XO machine that the address in the error answers, and look for "
    "restarts, firewalls with idle limits, and address conflicts on the way.",
)

# -- XO itself, its job and its proxy ---------------------------------------------------------------------------------

RUN_INTERRUPTED = Code(
    id="RUN_INTERRUPTED",
    title="XO was restarted during the run",
    why="The run lives in xo-server. When it stops or dies, the run ends where it was and is not taken up again.",
    do="Start the job again. Look for the reason of the restart (journalctl -u xo-server): an update, a crash, too little "
    "memory. Leftover snapshots go with the next run.",
)
WORKER_DIED = Code(
    id="WORKER_DIED",
    title="XO's backup worker died",
    why="The process that does the backup ended by itself, mostly because the machine ran out of memory (SIGKILL).",
    do="Look at the end of the log (journalctl -u xo-server, dmesg for the out-of-memory killer). Give the XO machine more "
    "memory or lower the concurrency of the job, then start it again.",
)
UNCLASSIFIED = Code(
    id="UNCLASSIFIED",
    title="guard does not know this error",
    why="No rule of guard's fits its code or its text, so nothing is claimed about it. The text is XO's own, unshortened.",
    do="Read the text. Look at the log of xo-server and of the host at that time; then please report the text, so that the "
    "next version knows it.",
)

OWN: tuple[Code, ...] = (
    NETWORK_LOST,
    RUN_INTERRUPTED,
    WORKER_DIED,
    UNCLASSIFIED,
    *ALARMS,
)

ALL_CODES: Mapping[str, Code] = {**CODES, **{code.id: code for code in OWN}}
