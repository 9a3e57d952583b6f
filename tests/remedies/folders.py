"""Folders as XO's configuration may look, for the tests of guard's file in it."""

from __future__ import annotations

import os
import subprocess
import traceback
from datetime import UTC, datetime, timedelta

import pytest
from guard.mechanics.xo_config import OWN_FILE
from guard.remedies.timeout_text import Wanted

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
REASON = "2 timeouts in the last 5 runs of schedule nightly"
WANTED = Wanted(value_ms=1_800_000, until=NOW + timedelta(days=30), reason=REASON, by="guard")


def sets(value):
    return f"[xapiOptions]\nhttpInactivityTimeout = {value}\n"


def content(folder):
    """Name -> text of every entry, links as what they lead to."""
    return {
        one.name: f"-> {one.readlink()}" if one.is_symlink() else one.read_text() if one.is_file() else "a folder"
        for one in sorted(folder.iterdir())
    }


def own(folder):
    return folder / OWN_FILE


def mount(*arguments):
    done = subprocess.run(["mount", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"mounting is not allowed here: {done.stderr.strip()}")


def unmount(folder):
    subprocess.run(["umount", str(folder)], check=True)


def as_nobody(work):
    """Run ``work`` in a child that has given up root; what it returned, as text. Needs root."""
    if os.geteuid() != 0:
        pytest.skip("only root can become somebody else")
    ear, mouth = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.setgroups([])
            os.setgid(65534)
            os.setuid(65534)
            told = str(work())
        except BaseException:  # noqa: BLE001  the parent shows it
            told = traceback.format_exc()
        os.write(mouth, told.encode())
        os._exit(0)
    os.close(mouth)
    with os.fdopen(ear) as stream:
        told = stream.read()
    os.waitpid(child, 0)
    return told
