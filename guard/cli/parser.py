"""The command line: one parser, from which help, man page and completion come."""

from __future__ import annotations

import argparse
from typing import NoReturn

from guard import __version__
from guard.errors import UsageError

DEFAULT_CONFIG = "/etc/guard/guard.toml"
DEFAULT_STATE = "/var/lib/guard"
DEMO_PORT = 8480
_POLICY = f"the policy (default: {DEFAULT_CONFIG})"
_SCOPES = "all, or vm, pool, sr, repository, schedule or job with an id or the exact name: pool:Lyon"
_BYPASS_SCOPES = "all, or schedule or job with an id or the exact name: job:nightly"
_UNTIL = 'such as "4 h", a time of day (09:00) in the zone of [notify], or a time (ISO 8601)'


class Parser(argparse.ArgumentParser):
    """argparse exits with 2 on a usage error; for guard 2 means that a run would not start whole."""

    def error(self, message: str) -> NoReturn:
        raise UsageError(f"{message}. See {self.prog} --help")


def build_parser() -> argparse.ArgumentParser:
    parser = Parser(prog="guard", description="Pre-flight backup scheduler guard for Xen Orchestra.")
    parser.add_argument("--version", action="version", version=f"guard {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    plan = commands.add_parser("plan", help="every backup run due soon, and whether it would succeed")
    _estate_options(plan)
    plan.add_argument("--from", dest="start", metavar="TIME", help="plan from this time (ISO 8601) instead of now")
    plan.add_argument("--within", default="24 h", metavar="DURATION", help='how far ahead, such as "24 h" or "7 d"')
    plan.add_argument(
        "--schedule", metavar="ID|NAME", help="only this schedule, or the only one of the job of that id or name"
    )
    plan.add_argument(
        "--state",
        default=None,
        metavar="FOLDER",
        help=f"guard's ledger, for the holds in force and what it did (default: {DEFAULT_STATE})",
    )
    plan.add_argument("--json", action="store_true", help="print the document guard.plan/1")
    plan.add_argument("--exit-code", action="store_true", help="exit 2 when a run would not start whole, or is unknown")

    coverage = commands.add_parser(
        "coverage",
        help="VMs without a backup or with an old one, schedules that collide, repositories that run full",
        description="What the schedules leave open: VMs in no enabled schedule, VMs whose last good backup is too old, and why "
        "each try since failed, schedules that collide in the coming week, with another time for one of them, and backup "
        "repositories by the days until they are full. Only reads.",
    )
    _estate_options(coverage)
    coverage.add_argument(
        "--state",
        default=None,
        metavar="FOLDER",
        help=f"guard's ledger, for what it held back (default: {DEFAULT_STATE})",
    )
    coverage.add_argument(
        "--max-age", metavar="DURATION", help='how old a last good backup may be, such as "48 h", for every VM'
    )
    coverage.add_argument("--json", action="store_true", help="print the document guard.coverage/1")
    coverage.add_argument(
        "--exit-code",
        action="store_true",
        help="exit 2 when a VM is uncovered or stale, that is unknown, or a repository is full soon",
    )

    capture = commands.add_parser("capture", help="save what XO tells into a file, without secrets")
    capture.add_argument("file", metavar="FILE", help="the file to write; for its owner's eyes only")
    capture.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=_POLICY)

    explain = commands.add_parser("explain", help="what a code means, or why a run failed, and what to do")
    explain.add_argument("code", nargs="?", metavar="CODE", help="such as CHAIN_UNHEALTHY; without it: all of them")
    explain.add_argument(
        "--log", metavar="FILE", help="why the runs of a backup log (or a list of them) failed; - for stdin"
    )
    explain.add_argument("--json", action="store_true", help="with --log: print the document guard.causes/1")

    match = commands.add_parser("match", help="which VMs a job takes, and why not the others")
    match.add_argument("job", metavar="JOB", help="id or name")
    _estate_options(match)

    when = commands.add_parser("when", help="XO's next start dates of an expression or a schedule")
    when.add_argument(
        "expression", metavar="EXPRESSION|SCHEDULE", help="an expression of XO's cron, or a schedule's id or name"
    )
    when.add_argument(
        "--zone", default=None, metavar="ZONE", help="zone of the expression (default: XO's default, UTC)"
    )
    when.add_argument("--count", type=int, default=5, metavar="N", help="how many dates (1 to 100)")
    when.add_argument("--from", dest="start", metavar="TIME", help="from this time (ISO 8601) instead of now")
    _estate_options(when)

    config = commands.add_parser("config", help="check or show the policy")
    config.add_argument(
        "what", choices=("check", "show"), help="check: every error at once; show: every value and where it is from"
    )
    config.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=_POLICY)
    config.add_argument("--schedule", metavar="ID|NAME", help="show: what is in force for this schedule")
    config.add_argument(
        "--job", metavar="NAME", help="show: the name of that schedule's job, where entries match by it"
    )
    config.add_argument(
        "--tag", action="append", metavar="TAG", help="show: a VM tag its job asks for; may be repeated"
    )

    notify = commands.add_parser("notify", help="send one test message to each configured channel")
    notify.add_argument("what", choices=("test",), help="send it, and tell what became of it")
    notify.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=_POLICY)

    daemon = commands.add_parser(
        "daemon",
        help="watch every schedule: predict, see what XO does, tell; with gate = enforce, hold what would fail",
    )
    _state_options(daemon)
    daemon.add_argument(
        "--log",
        choices=("auto", "journal", "json", "plain"),
        default="auto",
        help="how it logs: into systemd's journal with fields, one JSON object per line on stderr, or plain lines there "
        "(default: the journal where stderr leads there, else plain)",
    )

    hold = commands.add_parser("hold", help="have guard start nothing that a scope names, until a time")
    hold.add_argument("scope", metavar="SCOPE", help=_SCOPES)
    hold.add_argument("--until", required=True, metavar="TIME|DURATION", help=_UNTIL)
    _brake_options(hold)

    unhold = commands.add_parser("unhold", help="end a hold")
    unhold.add_argument("scope", metavar="SCOPE", help="as it was given to guard hold")
    _state_options(unhold)

    bypass = commands.add_parser("bypass", help="leave schedules to XO: guard gives them back and only watches")
    bypass.add_argument("scope", metavar="SCOPE", help=_BYPASS_SCOPES)
    bypass.add_argument("--until", metavar="TIME|DURATION", help=f"{_UNTIL}; without it until guard unbypass")
    _brake_options(bypass)

    unbypass = commands.add_parser("unbypass", help="end a bypass")
    unbypass.add_argument("scope", metavar="SCOPE", help="as it was given to guard bypass")
    _state_options(unbypass)

    start = commands.add_parser(
        "start",
        help="start a schedule's job now, judged as if it were due now",
        description="Have XO start the job of a schedule now, judged as if it were due now. VMs that something holds back "
        "are left out. Exit code: 0 when all that was asked for was started, 2 when something was not or nobody can "
        "tell, 1 for errors.",
    )
    start.add_argument("schedule", metavar="SCHEDULE", help="id or name of the schedule, or of a job that has only one")
    start.add_argument(
        "--vms", action="append", metavar="NAME|ID[,..]", help="only these VMs, of those that the job takes"
    )
    start.add_argument(
        "--override",
        action="append",
        metavar="CODE[,..]",
        help="start against these codes, as guard plan and guard start tell them; needs --reason",
    )
    start.add_argument("--reason", metavar="TEXT", help="with --override: why, for those who see it later")
    start.add_argument("--dry-run", action="store_true", help="only tell what would be started; exit code as without")
    _state_options(start)

    release = commands.add_parser("release", help="without the daemon: give every schedule that guard holds back to XO")
    release.add_argument(
        "--all",
        action="store_true",
        help="also delete what is left of this guard: fallbacks in XO, its file in XO's configuration",
    )
    release.add_argument("--dry-run", action="store_true", help="only tell what stands, and how each is undone")
    release.add_argument(
        "--stale", metavar="DURATION", help="do nothing while the daemon's last look is younger than this"
    )
    _state_options(release)

    token = commands.add_parser(
        "token",
        help="until when XO takes guard's token; another life for it",
        description="Show whose token guard signs in to XO with and until when it is valid (never the token itself), or renew it. "
        "A token that guard made keeps its text and gets a later end. Any other is replaced by one that guard makes, in "
        "[xo] token_file; the old one is kept beside it and works on. Exit code: 0 when all is well or done, 2 when a person "
        "has to do something (show: 14 days or less are left, or XO does not tell), 1 for errors.",
    )
    token.add_argument("what", choices=("show", "renew"), help="tell; move its end, or make another")
    token.add_argument(
        "--valid-for", metavar="DURATION", help='renew: for how long, such as "90 d" (default: [xo] renew_for, 180 d)'
    )
    token.add_argument("--dry-run", action="store_true", help="renew: only tell what would be done")
    token.add_argument(
        "--delete-old",
        action="store_true",
        help="renew: only delete the token that an earlier renewal replaced, in XO and here; after the daemon's restart",
    )
    token.add_argument("--json", action="store_true", help="show: print the document guard.token/1")
    _state_options(token)

    status = commands.add_parser("status", help="what the daemon sees now")
    _state_options(status)
    status.add_argument("--json", action="store_true", help="print the document guard.status/1")
    status.add_argument("--nagios", action="store_true", help="one line and exit code 0, 1, 2 or 3, for monitoring")

    why = commands.add_parser("why", help="the whole story of a due run, also a month later")
    why.add_argument("schedule", metavar="SCHEDULE", help="id or name of the schedule or of its job")
    why.add_argument("due", nargs="?", metavar="DUE", help="its due time (ISO 8601); the latest one without")
    _state_options(why)
    why.add_argument("--json", action="store_true", help="print the document guard.story/1")

    report = commands.add_parser("report", help="the nights: ends, causes, how good the predictions were")
    report.add_argument(
        "--since", default="7 d", metavar="TIME|DURATION", help='from when, such as "7 d" or a time (ISO 8601)'
    )
    _state_options(report)
    report.add_argument("--json", action="store_true", help="print the document guard.report/1")

    workaround = commands.add_parser(
        "workaround",
        help="httpInactivityTimeout: let XO wait longer for slow hosts, for a time",
        description="Show, write or remove guard's own file in XO's configuration folder (the policy's [remedies] "
        "xo_config), by which XO waits longer for hosts that are slow to answer. Without xo_config: tell what to put where. "
        "Exit code: 0 when done or when there is nothing to do, 2 when guard leaves it to a person, 1 for errors.",
    )
    workaround.add_argument(
        "what", choices=("show", "apply", "revert"), help="tell what stands; write the file; take it back"
    )
    workaround.add_argument(
        "--value", metavar="DURATION", help='apply: how long XO shall wait (default: the policy\'s timeout, "30 min")'
    )
    workaround.add_argument(
        "--days", type=int, metavar="N", help="apply: for how long (default: the policy's timeout_days, 30)"
    )
    workaround.add_argument("--reason", metavar="TEXT", help="apply: why, and for which schedule; always needed")
    workaround.add_argument("--dry-run", action="store_true", help="only tell what would change")
    workaround.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=_POLICY)

    demo = commands.add_parser(
        "demo", help="a simulated XO that holds every trouble guard knows: its plan, then its night"
    )
    how = demo.add_mutually_exclusive_group()
    how.add_argument("--plan-only", action="store_true", help="stop after the plan")
    how.add_argument(
        "--serve",
        type=int,
        nargs="?",
        const=DEMO_PORT,
        metavar="PORT",
        help=f"serve another simulated XO on 127.0.0.1, in real time, to try guard on (port {DEMO_PORT})",
    )
    return parser


def _brake_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--reason", required=True, metavar="TEXT", help="why, for those who see it later")
    _state_options(parser)


def _state_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default=DEFAULT_CONFIG, metavar="FILE", help=_POLICY)
    parser.add_argument(
        "--state", default=None, metavar="FOLDER", help=f"where the ledger is (default: {DEFAULT_STATE})"
    )


def _estate_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--config", default=None, metavar="FILE", help=_POLICY)
    source = parser.add_mutually_exclusive_group()
    source.add_argument("--estate", metavar="FILE", help="read a capture instead of XO")
    source.add_argument("--demo", action="store_true", help="read the simulated XO of the demo")
