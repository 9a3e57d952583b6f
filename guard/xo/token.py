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
    """The token of ``token_file``, else of the systemd credential ``xo-token``. Raises PolicyError."""
    path = token_file
    if path is None:
        folder = env.get("CREDENTIALS_DIRECTORY")
        if not folder:
            raise PolicyError(
                "[xo] token_file is not set, and there is no systemd credential; set it to the token's file"
            )
        path = Path(folder) / CREDENTIAL
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise PolicyError(f"{path}: is no file; [xo] token_file must name a file that holds just the token")
        if (mode & 0o077 and token_file is not None) or mode & 0o007:
            raise PolicyError(f"{path}: others may read this token (mode {mode & 0o777:o}); run: chmod 600 {path}")
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: the XO token cannot be read ({error})") from error
    if not text or any(not char.isprintable() or char.isspace() for char in text):
        raise PolicyError(f"{path}: expected one token and nothing else, as XO shows it when it is created")
    return Token(text)
