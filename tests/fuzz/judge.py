"""What must hold of a command whatever it was given: an exit code, clear sentences, no secret, nothing that moves a cursor."""

from __future__ import annotations

import io
import re
import signal
import unicodedata
from contextlib import contextmanager

from guard.cli.main import main
from tests.fuzz.mutate import MARKER

LIMIT_S = 20
"""For one small input on a busy machine; a quadratic walk over the larger ones takes much longer."""
_HARMFUL = {"Cc", "Cf", "Cs", "Zl", "Zp"}
# a check that meets a number beyond all measure is unknown, and says so: that is an answer
_CRASHED = re.compile(r"the check itself failed \((?!OverflowError)[^)]*")


class BrokenError(AssertionError):
    """guard did what it must not."""


class TooSlowError(BaseException):
    """Not an Exception: no broad handler on the way may take it."""


@contextmanager
def watched(limit_s=LIMIT_S):
    """Ends what takes longer. Where the interpreter itself is stuck, the long run's parent ends the process."""

    def ring(*_):
        raise TooSlowError

    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, limit_s)
    try:
        yield
    except TooSlowError as slow:
        raise BrokenError(f"took longer than {limit_s} s") from slow
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def call(*argv, env=None):
    """(outcome, stdout) of a command, judged. Raises BrokenError; a crash goes up as it is."""
    out, err = io.StringIO(), io.StringIO()
    with watched():
        code = main(argv, out, err, env or {})
    check(code, out.getvalue(), err.getvalue())
    return outcome_of(code, out.getvalue(), err.getvalue()), out.getvalue()


def check(code, out, err):
    if code not in (0, 1, 2):
        raise BrokenError(f"exit code {code}")
    if code == 1 and not err:
        raise BrokenError("failed without a word")
    for line in err.splitlines():
        if not line.startswith("guard: "):
            raise BrokenError(f"not guard's own words: {line[:200]!r}")
    if len(err) > 500_000:
        raise BrokenError(f"{len(err)} characters of errors")
    for text in (out, err):
        check_text(text)
        crashed = _CRASHED.search(" ".join(text.split())) if "failed" in text else None
        if crashed:
            raise BrokenError(crashed[0])


def check_text(text):
    """For the terminal: no secret, and nothing but lines of letters."""
    if MARKER in text:
        raise BrokenError("a secret was told")
    if not text.isascii() or not text.replace("\n", "").isprintable():
        wrong = {one for one in text if one != "\n" and unicodedata.category(one) in _HARMFUL}
        if wrong:
            raise BrokenError(f"control characters in the output: {wrong!r}")


def outcome_of(code, out, err):
    """What kind of answer it was, for counting: an error's words, or the codes that were found."""
    if code == 1:
        words = re.sub(r"'[^']*'|\"[^\"]*\"|\S*[/\d`$]\S*", "", err.splitlines()[0].partition(": ")[2])
        return f"error: {' '.join(words.split())[:70]}"
    return f"{code}: {' '.join(sorted(set(re.findall(r'[A-Z]+(?:_[A-Z]+)+', out))))}"
