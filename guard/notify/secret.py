"""Secrets of channels: one word, or a login of two lines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guard.errors import PolicyError
from guard.secret import Secret, one_word, read_secret_file

__all__ = ["Login", "Secret", "read_login", "read_secret"]


class Login:
    """A user name and a password, neither of which can be printed."""

    __slots__ = ("password", "user")

    def __init__(self, user: Secret, password: Secret) -> None:
        self.user, self.password = user, password

    def __repr__(self) -> str:
        return "Login(***)"


def read_secret(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Secret:
    """One word: a token or a key. Raises PolicyError."""
    path, content = read_secret_file(Path(file), env, credential=credential, option=option)
    return one_word(path, content, option)


def read_login(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Login:
    """Two lines: the user name and the password. Raises PolicyError."""
    path, content = read_secret_file(Path(file), env, credential=credential, option=option)
    lines = _lines(content)
    if lines is None:
        raise PolicyError(f"{path}: {option} must name a file of two lines: the user name, then the password")
    return Login(*lines)


def _lines(content: Secret) -> tuple[Secret, Secret] | None:
    """The two lines; None for any other number of them, or for one that no login can be."""
    lines = content.reveal().replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) != 2 or not all(line and line.isascii() and line.isprintable() for line in lines):
        return None
    return Secret(lines[0]), Secret(lines[1])
