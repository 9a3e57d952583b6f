"""Every error guard raises on purpose, typed by the party at fault.

A message is one sentence for an administrator: what happened, whose fault it is, what to do. The command line
prints it on stderr and exits 1; nothing else catches these broadly.
"""

from __future__ import annotations


class GuardError(Exception):
    """Base of all deliberate errors. ``party`` names who is at fault, for messages and tests."""

    party = "guard"


class UsageError(GuardError):
    """The command line was wrong."""

    party = "command line"


class PolicyError(GuardError):
    """The policy file, or a file it names (token, CA), is wrong. ``problems`` lists every one found."""

    party = "policy"

    def __init__(self, problems: list[str] | str) -> None:
        self.problems = [problems] if isinstance(problems, str) else list(problems)
        super().__init__("\n".join(self.problems))


class CaptureError(GuardError):
    """A capture or log file cannot be read or written."""

    party = "file"


class XoError(GuardError):
    """Xen Orchestra, or the way to it, is at fault."""

    party = "XO"


class XoUnreachableError(XoError):
    """No connection: wrong URL, refused, TLS not trusted, connection lost in the middle."""


class XoNotSentError(XoUnreachableError):
    """A write that surely did not reach XO: there was no connection, or no sign-in, before it."""


class XoTimeoutError(XoError):
    """The total time allowed for a call ran out."""


class XoAuthError(XoError):
    """The token was refused (401), or lacks a permission (403, JSON-RPC code 2)."""


class XoBootingError(XoError):
    """``/ping`` answers while a good token gets 401: xo-server has just started (observed on a real one)."""


class XoAnswerError(XoError):
    """An answer guard cannot use: HTML, half a JSON document, a wrong shape, an HTTP or JSON-RPC error.

    ``status`` is the HTTP status or None; ``code`` the JSON-RPC error code or None.
    """

    def __init__(self, message: str, *, status: int | None = None, code: int | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.code = code


class XoTooOldError(XoError):
    """xo-server below 5.193.1 (XO 5.113)."""


class LedgerError(GuardError):
    """The ledger cannot be opened, read or written: damaged, of another XO, of a newer guard, or the disk is full."""

    party = "ledger"


class LedgerUnwritableError(LedgerError):
    """The ledger takes no writes at the moment: its disk is full, failing or read-only, or another process keeps it locked."""


class ConflictError(LedgerError):
    """Somebody else appended to the same due run first; load it again and look anew."""


class NotifyError(GuardError):
    """A message was not taken by a channel; it may be tried again. Never holds a secret, nor a URL's path."""

    party = "notification channel"


class PartlyToldError(NotifyError):
    """A message was taken for some of its recipients: trying again would tell those twice."""


class PoolError(GuardError):
    """A pool of ``[[pool]]``, or the way to it, is at fault. Never holds a password.

    ``details``: XAPI's code and its parameters; empty where it was no error of XAPI.
    """

    party = "pool"

    def __init__(self, message: str, *, details: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.details = details


class PoolUnreachableError(PoolError):
    """No connection: wrong address, refused, TLS not trusted, connection lost in the middle."""


class PoolTimeoutError(PoolError):
    """The time allowed for a call, or for the whole reading, ran out."""


class PoolAuthError(PoolError):
    """The user or the password was refused, or the user's role lacks a permission (RBAC_PERMISSION_DENIED)."""


class PoolAnswerError(PoolError):
    """An answer guard cannot use: HTML, half an XML document, a wrong shape, an HTTP status, or an error of XAPI."""


class XoConfigError(GuardError):
    """XO's configuration folder: it cannot be read or written there. Nothing is left half-written."""

    party = "XO's configuration folder"


class XoConfigRefusedError(XoConfigError):
    """Guard leaves the folder as it is, on purpose; the message tells what a person should look at."""


class XoConfigBusyError(XoConfigError):
    """Another process changes guard's file at this moment; try again."""


class XoConfigHelperError(XoConfigError):
    """The unit that may write there cannot be asked, or gave no usable answer."""

    party = "guard-workaround.socket"
