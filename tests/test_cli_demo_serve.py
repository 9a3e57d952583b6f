"""guard demo --serve as a process: an XO to try guard on."""

from __future__ import annotations

import io
import os
import re
import select
import signal
import socket
import subprocess
import sys
from contextlib import closing, contextmanager

import pytest
from guard.cli.main import main
from guard.simulator.playground import TOKEN

PATIENCE = 30.0


@contextmanager
def served(port="0"):
    """(process, what it printed)."""
    line = [sys.executable, "-c", "from guard.cli.main import run; run()", "demo", "--serve", port]
    process = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        said = b""
        while b"half past one" not in said:
            assert select.select([process.stderr], [], [], PATIENCE)[0], said
            more = os.read(process.stderr.fileno(), 65_536)
            assert more, said
            said += more
        yield process, said.decode()
    finally:
        process.kill()
        process.communicate()


def guard(*arguments):
    out, err = io.StringIO(), io.StringIO()
    return main(arguments, out, err, {}), out.getvalue(), err.getvalue()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_with_what_it_prints_and_no_more_guard_can_plan_until_it_is_asked_to_stop(tmp_path, number):
    token, policy = tmp_path / "xo-token", tmp_path / "guard.toml"
    with served() as (process, said):
        said = said.replace("/etc/guard/xo-token", str(token))
        policy.write_text(re.search(r"( +\[xo\]\n(?: +\w+ = .*\n)+)", said)[1])
        [make] = [line for line in said.splitlines() if "install" in line]
        subprocess.run(["/bin/sh", "-c", make], check=True)
        assert (token.read_text().strip(), token.stat().st_mode & 0o777) == (TOKEN, 0o600)
        assert "When it ends it forgets everything, renewed tokens too" in said
        code, out, err = guard("plan", "--config", str(policy))
        assert (code, err) == (0, "")
        assert "CHAIN_UNHEALTHY: db-01" in out
        assert "SR_NO_SPACE" in out
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0


def test_a_port_in_use_is_told():
    with closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = str(taken.getsockname()[1])
        code, out, err = guard("demo", "--serve", port)
    assert (code, out) == (1, "")
    assert err == f"guard: --serve {port}: the port cannot be had (Address already in use); name another one\n"


@pytest.mark.parametrize("port", ["-1", "65536"])
def test_a_port_that_cannot_be_is_told(port):
    code, _, err = guard("demo", "--serve", port)
    assert (code, err) == (1, f"guard: --serve {port}: expected a port from 0 (any free one) to 65535\n")
