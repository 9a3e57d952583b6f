"""What no parser can say: the paragraphs of the man pages, in roff's man macros."""

from __future__ import annotations

GUARD_ABOUT = r"""
.B guard
stands in front of the backup schedules of Xen Orchestra (XO).
Before each due time it looks at everything that decides whether the run will succeed.
By default it only reads, predicts and tells.
For a schedule whose policy says
.B gate = \(dqenforce\(dq
it keeps XO from starting what would fail, and has it started as soon as it can be.
If guard dies, XO goes on by itself.
.PP
The policy is a file in TOML, described in
.BR guard.toml (5).
The service is
.BR guard.service ;
the other commands read what it remembers, or XO itself.
A token and the ledger are for root and for guard alone: beside the service, commands need
.BR sudo .
"""

GUARD_WORDS = r"""
.TP
.I DURATION
a number and a unit:
.BR "30 s" ", " "10 min" ", " "4 h" " or " "7 d" .
.TP
.I TIME
a time of ISO 8601, such as
.BR 2027-03-28T02:00+01:00 .
.TP
.I SCOPE
.BR all ,
or a kind and an id or exact name:
.BR vm:db1 ", " pool:Lyon ", " sr:NFS-2 ", " repository:nas ", " schedule:nightly ", " job:nightly .
.TP
.I CODE
the name of a finding, such as
.BR CHAIN_UNHEALTHY ;
.B guard explain
lists them.
"""

GUARD_EXIT = r"""
.TP
.B 0
Done.
.TP
.B 1
An error, told in one sentence on standard error. A wrong option or argument is one too.
.TP
.B 2
What was asked for has an answer that is not good: a run that would not start whole
.RB ( "plan \-\-exit\-code" ),
VMs without a backup
.RB ( "coverage \-\-exit\-code" ),
VMs left out
.RB ( start ),
something of guard's left in XO
.RB ( release ),
a change that is left to a person
.RB ( workaround ", " token ).
.TP
.B 130
Interrupted.
.PP
.B guard status \-\-nagios
exits as monitoring plugins do: 0 OK, 1 WARNING, 2 CRITICAL, 3 UNKNOWN.
"""

GUARD_FILES = r"""
.TP
.I /etc/guard/guard.toml
The policy. For the instance
.I paris
of
.BR guard@.service :
.IR /etc/guard/paris.toml .
.TP
.I /etc/guard/xo-token
XO's token, mode 600, alone in the file. For an instance:
.IR /etc/guard/paris-token .
.TP
.I /var/lib/guard
The ledger: everything guard saw, decided and did. systemd makes the folder, mode 700. For an instance:
.IR /var/lib/guard\-paris .
.TP
.I /opt/guard/share/guard/prometheus/guard\-alerts.yaml
Alert rules for Prometheus.
.TP
.I /usr/local/share/guard/installed
What
.B make install
put in place, and
.B make uninstall
takes away.
"""

GUARD_ENVIRONMENT = r"""
.TP
.B CREDENTIALS_DIRECTORY
Set by systemd: the folder of the secrets that the unit was given. They come before the files that the policy names.
.TP
.B STATE_DIRECTORY
Set by systemd: where the ledger is.
.B \-\-state
comes before it.
.TP
.B NOTIFY_SOCKET
Set by systemd: where the daemon says that it is ready and alive.
.TP
.B JOURNAL_STREAM
Set by systemd: whether what the daemon writes goes to the journal.
.TP
.BR SUDO_USER ", " LOGNAME ", " USER
Who set a hold, a bypass or a start, for those who see it later.
.TP
.B NO_COLOR
When set, no colours on a terminal.
"""

GUARD_SIGNALS = r"""
The daemon takes:
.TP
.B SIGHUP
Read the policy anew
.RB ( "systemctl reload guard" ).
A broken one is refused, and the old one stays.
.TP
.B SIGUSR1
Look at XO now.
.TP
.BR SIGTERM ", " SIGINT
Give back what is held in XO, and stop.
"""

GUARD_EXAMPLES = r"""
.nf
guard demo \-\-plan\-only
sudo guard config check
sudo guard plan \-\-within "7 d"
sudo guard why nightly 2027\-03\-28T02:00+01:00
sudo guard hold sr:NFS\-2 \-\-until "4 h" \-\-reason "firmware update"
.fi
"""

GUARD_SEE = r"""
.BR guard.toml (5),
.BR guard\-workaround\-helper (8),
.BR systemctl (1),
.BR journalctl (1)
"""

HELPER = r"""
.SH NAME
guard\-workaround\-helper \- write guard's httpInactivityTimeout file for Xen Orchestra
.SH SYNOPSIS
.B guard\-workaround\-helper
.I FOLDER
.SH DESCRIPTION
The part of guard that runs as root where the service may not write to XO's configuration folder
.RI ( /etc/xo\-server ).
Nobody starts it by hand: systemd does, for each connection to
.BR guard\-workaround.socket ,
which only the user
.B guard
may open. The connection is its standard input.
.PP
It takes one request: to write guard's own file
.I config.zz\-backup\-guard.toml
into
.IR FOLDER ,
with a value, an end and a reason, or to remove it. Every bound is checked again: more than 300000 ms, at most 6 hours, at
most 400 days ahead, a reason of one line. It touches no other file, makes that one change, answers, and ends.
.PP
The socket is not enabled by itself: make the account first, then enable it, and name it in the policy as
.B [remedies] timeout_helper
beside
.BR xo_config .
.SH EXIT STATUS
.TP
.B 0
Done, or nothing was to be done.
.TP
.B 1
It was not called as systemd calls it, or the answer could not be given.
.TP
.B 2
The request was not done: not understood, refused, or the folder did not allow it.
.SH FILES
.TP
.I /run/guard\-workaround.sock
Where guard asks.
.TP
.I /etc/xo\-server/config.zz\-backup\-guard.toml
The file it writes.
.SH SEE ALSO
.BR guard (1),
.BR guard.toml (5),
.BR systemd.socket (5)
"""

POLICY_ABOUT = r"""
The policy tells guard where Xen Orchestra is, who is told of what, and what guard may do. It is a file in TOML 1.0. Only
.B [xo] url
is needed; every other option has a default. An option that guard does not know is an error.
.PP
.B guard config check
tells every error at once;
.B guard config show
prints every value and where it is from. The daemon reads the file when it starts and on
.BR "systemctl reload guard" .
.PP
A duration is a text of a number and a unit:
.BR \(dq30\~s\(dq ", " \(dq10\~min\(dq ", " \(dq6\~h\(dq " or " \(dq7\~d\(dq .
An option that is empty is not set. Secrets are never in the policy: it names files that hold them, mode 600.
"""

POLICY_FILES = r"""
.TP
.I /etc/guard/guard.toml
The policy of
.BR guard.service ,
and of every command without
.BR \-\-config .
.TP
.I /etc/guard/paris.toml
The policy of
.BR guard@paris.service .
"""

POLICY_SEE = r"""
.BR guard (1)
"""
