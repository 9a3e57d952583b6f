"""A new token put into the place of the old one: the file is whole at every moment, and the old token is kept beside it.

The order, so that no moment is without a token that works: a file beside it is made and given the same owner; XO is asked
for the new token; it is written there, and proven by a sign-in with what was read back; the old token is written to
``<file>.old``; the new file takes the place of the old one. Whoever dies in between leaves the old one in place, and the
next try gets the same new token from XO. The file is locked meanwhile: of two renewals at once the second would put an
empty file in the place of the token.
"""

from __future__ import annotations

import fcntl
import os
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

from guard.durable import sync_folder
from guard.errors import PolicyError
from guard.xo.token import CREDENTIAL, Token, read_token

NEW, OLD = ".new", ".old"


class TokenFile:
    """The file that ``[xo] token_file`` names, about to be replaced. As a context: what is half-made goes at its end."""

    def __init__(self, file: Path) -> None:
        """Links are followed. Raises PolicyError where the file cannot be replaced, and says who can."""
        try:
            self.path = file.resolve(strict=True)
            self._owner = self.path.stat()
        except OSError as error:
            raise PolicyError(f"{file}: [xo] token_file cannot be read ({error.strerror})") from error
        self._new, self._old = _beside(self.path, NEW), _beside(self.path, OLD)
        self._lock: int | None = None
        self._made = False

    def __enter__(self) -> Self:
        """Makes the file beside it, still empty: what XO would be asked for in vain shows here. Raises PolicyError."""
        self._lock = self._locked()
        try:
            self._make(self._new)
        except PolicyError:
            os.close(self._lock)
            raise
        self._made = True
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._made:  # once it has taken the place of the old one, a file of that name is another renewal's
            with suppress(OSError):
                self._new.unlink()
        if self._lock is not None:
            os.close(self._lock)

    def write(self, token: Token) -> Token:
        """The token as it is read back from the file beside, durable there. Raises PolicyError."""
        self._fill(self._new, token)
        return read_token(self._new, {})

    def swap(self, old: Token) -> Path:
        """Keep the old token, and put the new one in its place. Returns where the old one is. Raises PolicyError."""
        self._make(self._old)
        self._fill(self._old, old)
        try:
            self._new.replace(self.path)
        except OSError as error:
            raise self._cannot(error) from error
        self._made = False
        with suppress(OSError):  # it is in place, and either token works should the power fail now
            sync_folder(self.path.parent)
        return self._old

    def _locked(self) -> int:
        """The token's file, locked until it is closed. Raises PolicyError."""
        try:
            handle = os.open(self.path, os.O_RDONLY)
        except OSError as error:
            raise self._cannot(error) from error
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            os.close(handle)
            if isinstance(error, BlockingIOError):
                told = "another guard token renew is at work on it, and nothing was replaced; try again when that one is done"
                raise PolicyError(f"{self.path}: {told}") from error
            raise self._cannot(error) from error
        return handle

    def _make(self, path: Path) -> None:
        try:
            with suppress(FileNotFoundError):
                path.unlink()  # of a try that broke off
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
            try:
                os.fchmod(handle, 0o600)
                if (self._owner.st_uid, self._owner.st_gid) != (os.geteuid(), os.getegid()):
                    os.fchown(handle, self._owner.st_uid, self._owner.st_gid)
            except OSError:
                path.unlink()
                raise
            finally:
                os.close(handle)
        except OSError as error:
            raise self._cannot(error) from error

    def _fill(self, path: Path, token: Token) -> None:
        try:
            # not through a link that somebody put in its place meanwhile
            with os.fdopen(os.open(path, os.O_WRONLY | os.O_TRUNC | os.O_NOFOLLOW), "wb") as stream:
                stream.write(token.reveal().encode() + b"\n")
                stream.flush()
                os.fsync(stream.fileno())
        except OSError as error:
            raise self._cannot(error) from error

    def _cannot(self, error: OSError) -> PolicyError:
        return PolicyError(
            f"{self.path}: the token in it cannot be replaced ({error.strerror}), and nothing was; run guard token renew as the "
            "user that may write in its folder, such as root"
        )


def old_token(file: Path) -> Token | None:
    """The token that an earlier renewal replaced; None where there is none. Raises PolicyError."""
    path = _beside(file.resolve(), OLD)
    return read_token(path, {}) if path.exists() else None


def forget_old(file: Path) -> None:
    """The file of the old token goes. Raises PolicyError."""
    path = _beside(file.resolve(), OLD)
    try:
        path.unlink(missing_ok=True)
    except OSError as error:
        raise PolicyError(f"{path}: cannot be deleted ({error.strerror}); delete it yourself") from error


def is_credential(env_folder: str | None) -> bool:
    """Whether the token in use is a systemd credential, which nobody can write to. ``env_folder``: CREDENTIALS_DIRECTORY."""
    return env_folder is not None and (Path(env_folder) / CREDENTIAL).exists()


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)
