"""A policy's [[pool]] entries as the session's settings, their passwords read."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from guard.errors import PolicyError
from guard.policy.pools_schema import PoolSection
from guard.policy.schema import Policy
from guard.secret import Secret, read_secret_file
from guard.xapi.session import PoolSettings


def pool_settings(policy: Policy, env: Mapping[str, str]) -> tuple[PoolSettings, ...]:
    """One for each entry, in their order; none by default. ``env``: where systemd says which credentials it gave.

    Raises PolicyError with every password file that is missing, unreadable or open to others, never with what is in one.
    """
    found, problems = [], []
    for pool in policy.pools:
        try:
            password = _password(pool, env)
        except PolicyError as error:
            problems += [f"[[pool]] {pool.name}: {problem}" for problem in error.problems]
            continue
        found.append(
            PoolSettings(
                name=pool.name,
                url=pool.url,
                username=pool.username,
                password=password,
                ca_file=Path(pool.ca_file) if pool.ca_file else None,
                server_name=pool.server_name,
                verify=pool.verify,
                call_timeout_s=pool.call_timeout.total_seconds(),
                total_timeout_s=pool.total_timeout.total_seconds(),
            )
        )
    if problems:
        raise PolicyError(problems)
    return tuple(found)


def _password(pool: PoolSection, env: Mapping[str, str]) -> Secret:
    """The systemd credential ``pool-<name>``, else the file's one line; a password may hold blanks."""
    option = "password_file"
    file = Path(pool.password_file) if pool.password_file else None
    path, content = read_secret_file(file, env, credential=f"pool-{pool.name}", option=option)
    password = _line(content)
    if password is None:
        raise PolicyError(f"{path}: {option} must name a file of one line that holds the password and nothing else")
    return password


def _line(content: Secret) -> Secret | None:
    """The one line, without its end; None where there is none, or more."""
    line = content.reveal().removesuffix("\n").removesuffix("\r")
    return Secret(line) if line and line.isprintable() else None
