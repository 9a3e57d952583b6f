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

    def __init__(self, user: str, password: str) -> None:
        self.user = Secret(user)
        self.password = Secret(password)

    def __repr__(self) -> str:
        return "Login(***)"


def read_secret(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Secret:
    """One word: a token or a key. Raises PolicyError."""
    path, text = read_secret_file(Path(file), env, credential=credential, option=option)
    return Secret(one_word(path, text, option))


def read_login(file: str, env: Mapping[str, str], *, credential: str, option: str) -> Login:
    """Two lines: the user name and the password. Raises PolicyError."""
    path, text = read_secret_file(Path(file), env, credential=credential, option=option)
    lines = text.replace("\r\n", "\n").rstrip("\n").split("\n")
    if len(lines) != 2 or not all(line and line.isascii() and line.isprintable() for line in lines):
        raise PolicyError(f"{path}: {option} must name a file of two lines: the user name, then the password")
    return Login(lines[0], lines[1])
