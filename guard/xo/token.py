"""The XO token."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guard.secret import Secret, one_word, read_secret_file

CREDENTIAL = "xo-token"
_OPTION = "[xo] token_file"


class Token(Secret):
    """What XO knows guard by; it cannot be printed."""

    __slots__ = ()


def read_token(token_file: Path | None, env: Mapping[str, str]) -> Token:
    """The systemd credential ``xo-token`` where the unit was given one, else of ``token_file``. Raises PolicyError."""
    path, content = read_secret_file(token_file, env, credential=CREDENTIAL, option=_OPTION)
    return Token(one_word(path, content, _OPTION).reveal())
