"""The XO token: read from a file that nobody else may read, never printed."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from guard.errors import PolicyError

CREDENTIAL = "xo-token"


class Token:
    """A secret that cannot be printed; ``reveal`` is the one way to it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        return self._secret

    def __repr__(self) -> str:
        return "Token(***)"


def read_token(token_file: Path | None, env: Mapping[str, str]) -> Token:
    """The systemd credential ``xo-token`` where the unit was given one, else the token of ``token_file``.

    So one policy serves the service and a person at a terminal. Raises PolicyError.
    """
    folder = env.get("CREDENTIALS_DIRECTORY")
    credential = Path(folder) / CREDENTIAL if folder else None
    given = credential is not None and credential.exists()
    path = credential if given or token_file is None else token_file
    if path is None:
        raise PolicyError("[xo] token_file is not set, and there is no systemd credential; set it to the token's file")
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise PolicyError(f"{path}: is no file; [xo] token_file must name a file that holds just the token")
        # systemd hands a credential to its own user or group, and to nobody else
        if mode & (0o007 if path == credential else 0o077):
            raise PolicyError(f"{path}: others may read this token (mode {mode & 0o777:o}); run: chmod 600 {path}")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: the XO token cannot be read ({error})") from error
    if not text or any(not char.isprintable() or char.isspace() for char in text):
        raise PolicyError(f"{path}: expected one token and nothing else, as XO shows it when it is created")
    return Token(text)
