"""Secrets: read from files that nobody else may read, and shown by nothing.

A secret stays a Secret until the call that needs it; tests/test_secret.py lists the modules that may ``reveal`` one.
"""

from __future__ import annotations

import hmac
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import NoReturn, Self

from guard.errors import PolicyError

MAX_BYTES = 64 * 1024


class Secret:
    """A text that cannot be printed, formatted, pickled or encoded; ``reveal`` is the one way to it.

    It is kept in a function, so that what walks through the attributes of things finds no text there either.
    """

    __slots__ = ("_give",)

    def __init__(self, secret: str) -> None:
        def give() -> str:
            return secret

        self._give = give

    def reveal(self) -> str:
        """For the very call that needs it: keep the result in no variable, and in no message."""
        return self._give()

    def __repr__(self) -> str:
        return f"{type(self).__name__}(***)"

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Secret):
            return NotImplemented
        return hmac.compare_digest(_bytes(self), _bytes(other))

    def __hash__(self) -> int:
        return hash(Secret)  # a hash of the text would be something of it

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: object) -> Self:
        return self

    def __reduce_ex__(self, protocol: object) -> NoReturn:
        raise TypeError("a secret cannot be pickled")


def _bytes(secret: Secret) -> bytes:
    return secret.reveal().encode(errors="surrogatepass")


def read_secret_file(file: Path | None, env: Mapping[str, str], *, credential: str, option: str) -> tuple[Path, Secret]:
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
        content = _content(path)
    except OSError as error:
        raise PolicyError(f"{file or given}: {option} cannot be read ({error.strerror})") from error
    except ValueError as error:  # no path at all, such as one with a NUL in it
        raise PolicyError(f"{str(file or given)!r}: {option} cannot be read ({error})") from error
    if content is None:
        raise PolicyError(f"{path}: is no UTF-8 text; {option} must name a file that holds just the secret")
    return path, content


def file_trouble(file: Path, env: Mapping[str, str], *, credential: str) -> str:
    """What will keep a secret's file from being read, as far as that can be seen without reading it; '' for nothing.

    Where the unit was given a systemd credential of that name, the file does not matter.
    """
    folder = env.get("CREDENTIALS_DIRECTORY")
    try:
        if folder and (Path(folder) / credential).exists():
            return ""
        mode = file.stat().st_mode
    except (FileNotFoundError, NotADirectoryError):
        return "there is no such file"
    except (OSError, ValueError):  # it cannot be seen from here; who reads it tells
        return ""
    if not stat.S_ISREG(mode):
        return "is no file"
    return f"others may read this secret (mode {mode & 0o777:o}); run: chmod 600 {file}" if mode & 0o077 else ""


def _content(path: Path) -> Secret | None:
    """None for what is no UTF-8 text: the decoder's own error would carry the bytes along. Raises OSError."""
    with path.open("rb") as stream:
        data = stream.read(MAX_BYTES)
    try:
        return Secret(data.decode())
    except UnicodeDecodeError:
        return None


def one_word(path: Path, content: Secret, option: str) -> Secret:
    """A token or a key and nothing else. Raises PolicyError."""
    if not _is_word(content):
        raise PolicyError(f"{path}: {option} must name a file that holds one token and nothing else")
    return Secret(content.reveal().strip())


def _is_word(content: Secret) -> bool:
    word = content.reveal().strip()
    return bool(word) and word.isascii() and all(char.isprintable() and not char.isspace() for char in word)
