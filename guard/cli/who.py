"""Who asks: what is kept with what a person does by hand."""

from __future__ import annotations

import os
import pwd
from collections.abc import Mapping


def person(env: Mapping[str, str]) -> str:
    """Who called sudo, else the login name, else that of the account this runs as, else its number."""
    told = env.get("SUDO_USER") or env.get("LOGNAME") or env.get("USER")
    if told:
        return told
    number = os.geteuid()
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user may have no entry
        return f"user {number}"
