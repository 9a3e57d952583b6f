"""Secrets of channels: read from files that nobody else may read, never printed. The rule of the XO token."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from guard.errors import PolicyError


class Secret:
    """A secret that cannot be printed; ``reveal`` is the one way to it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        return self._secret

    def __repr__(self) -> str:
        return "Secret(***)"


class Login:
    """A user name and a password, neither of which can be printed."""

    __slots__ = ("password", "user")

    def __init__(self, user: str, password: str) -> None:
        self.user = Secret(user)
        self.password = Secret(password)

    def __repr__(self) -> str:
        return "Login(***)"


def read_secret(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Secret:
    """One word: a token or a key. See ``_read`` for where from. Raises PolicyError."""
    path, text = _read(file, env, credential, option)
    text = text.strip()
    if not text or not text.isascii() or any(not char.isprintable() or char.isspace() for char in text):
        raise PolicyError(f"{path}: {option} must name a file that holds one token and nothing else")
    return Secret(text)


def read_login(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Login:
    """Two lines: the user name and the password. Raises PolicyError."""
    path, text = _read(file, env, credential, option)
    lines = text.rstrip("\n").split("\n")
    if len(lines) != 2 or not all(line and line.isascii() and line.isprintable() for line in lines):
        raise PolicyError(f"{path}: {option} must name a file of two lines: the user name, then the password")
    return Login(lines[0], lines[1])


def _read(file: str, env: Mapping[str, str], credential: str, option: str) -> tuple[Path, str]:
    """The systemd credential of that name where the unit was given one, else ``file``. Never repeats what is in it."""
    folder = env.get("CREDENTIALS_DIRECTORY")
    given = Path(folder) / credential if folder else None
    from_unit = given is not None and given.exists()
    path = given if given is not None and from_unit else Path(file)
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise PolicyError(f"{path}: is no file; {option} must name a file that holds just the secret")
        # systemd hands a credential to its own user or group, and to nobody else
        if mode & (0o007 if from_unit else 0o077):
            raise PolicyError(f"{path}: others may read this secret (mode {mode & 0o777:o}); run: chmod 600 {path}")
        return path, path.read_text(encoding="utf-8")
    except UnicodeDecodeError:  # its text would repeat some of the bytes
        raise PolicyError(f"{path}: is no UTF-8 text; {option} must name a file that holds just the secret") from None
    except OSError as error:
        raise PolicyError(f"{path}: {option} cannot be read ({error.strerror})") from error
