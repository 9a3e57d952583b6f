"""The codes that only the daemon can tell: what no log shows and no check predicts, and guard's own troubles."""

from __future__ import annotations

from guard.finding import Code

XO_DID_NOT_FIRE = Code(
    id="XO_DID_NOT_FIRE",
    title="XO did not start a run that was due",
    why="xo-server was down at that minute, or its scheduler is not armed although the schedule is enabled. XO catches up "
    "on nothing and says nothing.",
    do="Start the job by hand now. Then disable and enable the schedule once in XO to arm it, and look in the log for a "
    "restart or a schedule with an invalid pattern, which keeps all later ones from being armed.",
)
SCHEDULE_DISABLED = Code(
    id="SCHEDULE_DISABLED",
    title="A schedule was switched off, not by guard",
    why="It was enabled before and no longer is. A person may have done it, or a rolling pool update that disabled the "
    "schedules and did not come back.",
    do="Ask who did it. Enable the schedule in XO when it was not on purpose; guard does not undo a person's hand.",
)
XO_UNREADABLE = Code(
    id="XO_UNREADABLE",
    title="guard cannot read XO",
    why="xo-server is down, the network to it is, or guard's token is no longer valid. While it lasts guard predicts nothing, "
    "and cannot tell whether a run that was due took place; XO starts its schedules without guard's help.",
    do="Open XO in a browser. When it works, run `guard plan` on guard's machine: it names what is refused.",
)
CLOCKS_DIFFERENT = Code(
    id="CLOCKS_DIFFERENT",
    title="The clocks of guard and XO differ",
    why="XO starts its schedules by its own clock, and guard looks ahead by the one of its own machine. When guard's is "
    "behind, a run begins before it was predicted; when it is ahead, guard waits longer before it calls a run missed.",
    do="Set both machines' clocks by NTP: `timedatectl` on each shows whether it is synchronized.",
)
LEDGER_DISK_FULL = Code(
    id="LEDGER_DISK_FULL",
    title="The disk of guard's ledger is full or nearly so",
    why="The room that guard sets aside for this was given back, or there is none for it. guard works on; when the rest is "
    "used up too, it can no longer record what happens.",
    do="Free space on the file system of guard's state folder (by default /var/lib/guard). guard takes its reserve back by "
    "itself.",
)
LEDGER_UNWRITABLE = Code(
    id="LEDGER_UNWRITABLE",
    title="guard's ledger cannot be written",
    why="Its disk is full or read-only, another guard holds it, it is damaged, or its file was removed or replaced while guard "
    "ran. guard tries again at every look; until then it watches nothing. XO starts its schedules without guard's help.",
    do="Read the error in the message or in `journalctl -u guard`; mend the disk, or stop the other guard. Where the file is "
    "gone, restart guard.",
)
START_UNCERTAIN = Code(
    id="START_UNCERTAIN",
    title="XO's answer to a start was lost",
    why="guard asked XO to start a run and cannot tell whether it did: XO has no mark by which a start asked for twice would "
    "be one. No run of it showed in XO afterwards.",
    do='Nothing when the run that followed is fine. Where two runs at once would do harm, set on_uncertain = "skip" for the '
    "schedule; it is then left unstarted and told.",
)
SCHEDULE_LEFT_OFF = Code(
    id="SCHEDULE_LEFT_OFF",
    title="A schedule is off that guard had switched off",
    why="guard had taken the schedule from XO for a few minutes, and somebody changed it meanwhile. guard never undoes a "
    "person's hand, so it left it as it is: off.",
    do="Look at the schedule in XO and enable it, unless it shall stay off.",
)
RUN_REFUSED = Code(
    id="RUN_REFUSED",
    title="guard did not start VMs that were due",
    why="Starting them as they are would harm production or a repository, or a person holds them, and waiting did not help "
    "inside the deadline.",
    do="Read the reason in `guard why SCHEDULE`, do what it says, then start the job in XO.",
)
RUN_EXPIRED = Code(
    id="RUN_EXPIRED",
    title="A due run could not be started inside its deadline",
    why="XO could not be reached, refused the start, or the job kept running until the deadline passed.",
    do="Look in XO at what kept it from starting, then start the job there by hand.",
)
GATE_STANDS_ASIDE = Code(
    id="GATE_STANDS_ASIDE",
    title="guard only watches, although the policy says enforce",
    why="A precondition of acting is not met for this XO: its version was never tested with guard, another guard acts on it, or "
    "the token's user is no administrator. XO starts its schedules by itself.",
    do="Read the reason in the message. For a version you trust, add it to [xo] accept_versions.",
)
TOKEN_EXPIRES = Code(
    id="TOKEN_EXPIRES",
    title="guard's XO token runs out soon",
    why="XO ends every token at a fixed time. From then on guard can neither read XO nor act on it: it predicts nothing, and "
    "what it holds in XO is given back by XO's own fallbacks. XO starts its schedules without guard's help.",
    do="Run `guard token renew` on guard's machine, as root where the token file is root's; where it says so, restart the "
    "daemon. `guard token show` tells until when the token is valid. With [xo] renew_token = true the daemon renews a token "
    "that guard made by itself.",
)
NOTIFY_FAILING = Code(
    id="NOTIFY_FAILING",
    title="Nothing gets through by one of guard's channels",
    why="The webhook, mail server or health-check service of the policy's [notify] table refuses or does not answer. guard "
    "goes on trying and tells it by its other channels.",
    do="Read the error in the message, correct the policy, then try it with `guard notify test`.",
)
NOTIFY_DROPPED = Code(
    id="NOTIFY_DROPPED",
    title="Messages of guard could not be delivered",
    why="A channel of the policy's [notify] table stayed dead for longer than guard keeps a message, or refused it for good.",
    do="Read in `guard report` what happened meanwhile, correct the policy, then try it with `guard notify test`.",
)

ALARMS: tuple[Code, ...] = (
    XO_DID_NOT_FIRE,
    SCHEDULE_DISABLED,
    START_UNCERTAIN,
    SCHEDULE_LEFT_OFF,
    RUN_REFUSED,
    RUN_EXPIRED,
    GATE_STANDS_ASIDE,
    XO_UNREADABLE,
    CLOCKS_DIFFERENT,
    LEDGER_DISK_FULL,
    LEDGER_UNWRITABLE,
    TOKEN_EXPIRES,
    NOTIFY_FAILING,
    NOTIFY_DROPPED,
)
