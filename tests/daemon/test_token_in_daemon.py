"""The eye on the token within a whole daemon, on loopback."""

from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from guard.daemon.compose import LEDGER, PolicyInForce, Shell, run_daemon
from guard.daemon.loop import Flags
from guard.ledger.sqlite import read_ledger
from guard.lifecycle.token import TOKEN, read_token_state
from guard.policy.load import load
from guard.simulator.serve import running
from guard.simulator.tokens import keep
from tests.ledger.opening import INSTANCE
from tests.xo.test_client import NOW, small_world
from tests.xo.writing import until

DAY = timedelta(days=1)


class UntilSeen(Flags):
    """Asks to stop once it ``holds``, after the first look."""

    def __init__(self, holds):
        super().__init__()
        self._holds = holds

    async def wait(self, seconds):
        del seconds
        await until(self._holds)
        self.ask_stop()


@pytest.mark.parametrize(("renews", "days", "writes"), [("true", 180, ["token.create"]), ("false", 20, [])])
def test_the_daemon_reads_its_token_and_renews_it_only_where_the_policy_says_so(tmp_path, renews, days, writes):
    tmp_path.chmod(0o700)
    token = tmp_path / "token"
    token.write_text("simulated-token\n")
    token.chmod(0o600)
    world, logged = small_world(), []
    keep(world, "simulated-token", created=NOW - 160 * DAY, expires=NOW + 20 * DAY, client="guard-0011")
    with running(world) as url:
        text = f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\nrenew_token = {renews}\n'
        shell = Shell(lambda: NOW, lambda: 1, {}, INSTANCE, "here", logged.append)

        def state():
            if not (tmp_path / LEDGER).exists():
                return read_token_state(None)
            with read_ledger(tmp_path / LEDGER, xo=url, clock=lambda: NOW) as ledger:
                return read_token_state(ledger._store.rows("SELECT value FROM document WHERE name = ?", TOKEN)[0][0])

        def seen():
            try:
                return state().expires_at == NOW + days * DAY
            except IndexError:
                return False

        in_force = PolicyInForce(lambda: load(text, file="g.toml"))
        asyncio.run(run_daemon(in_force, tmp_path, lambda _: [], shell, UntilSeen(seen)))
    assert [write.method for write in world.writes] == writes
    assert state().renewals == len(writes)
    assert any("renewed guard's XO token" in line for line in logged) is bool(writes)
