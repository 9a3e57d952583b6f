"""Secrets: read from files that nobody else may read, never printed."""

from __future__ import annotations

import stat
from collections.abc import Mapping
from pathlib import Path

from guard.errors import PolicyError

MAX_BYTES = 64 * 1024


class Secret:
    """A text that cannot be printed; ``reveal`` is the one way to it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: str) -> None:
        self._secret = secret

    def reveal(self) -> str:
        return self._secret

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"


def read_secret_file(file: Path | None, env: Mapping[str, str], *, credential: str, option: str) -> tuple[Path, str]:
    """(path, text) of the systemd credential of that name where the unit was given one, else of ``file``.

    So one policy serves the service and a person at a terminal. Raises PolicyError, which never repeats the content.
    """
    folder = env.get("CREDENTIALS_DIRECTORY")
    given = Path(folder) / credential if folder else None
    try:
        from_unit = given is not None and given.exists()
        path = given if from_unit or file is None else file
        if path is None:
            raise PolicyError(
                f"{option} is not set, and there is no systemd credential {credential}; set it to the secret's file"
            )
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise PolicyError(f"{path}: is no file; {option} must name a file that holds just the secret")
        # systemd hands a credential to its own user or group, and to nobody else
        if mode & (0o007 if path == given else 0o077):
            raise PolicyError(f"{path}: others may read this secret (mode {mode & 0o777:o}); run: chmod 600 {path}")
        with path.open("rb") as stream:
            return path, stream.read(MAX_BYTES).decode()
    except UnicodeDecodeError:  # its text would repeat some of the bytes
        raise PolicyError(
            f"{file or given}: is no UTF-8 text; {option} must name a file that holds just the secret"
        ) from None
    except OSError as error:
        raise PolicyError(f"{file or given}: {option} cannot be read ({error.strerror})") from error
    except ValueError as error:  # no path at all, such as one with a NUL in it
        raise PolicyError(f"{str(file or given)!r}: {option} cannot be read ({error})") from error


def one_word(path: Path, text: str, option: str) -> str:
    """A token or a key and nothing else. Raises PolicyError."""
    word = text.strip()
    if not word or not word.isascii() or any(not char.isprintable() or char.isspace() for char in word):
        raise PolicyError(f"{path}: {option} must name a file that holds one token and nothing else")
    return word
