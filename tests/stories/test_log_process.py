"""The log of a real daemon, as JSON: every line is an object, and a channel that fails is in guard status."""

from __future__ import annotations

import json
import signal
import subprocess

from tests.stories.test_daemon_process import GUARD, PATIENCE, TOKEN, Home, Xo


def test_a_daemon_logs_each_due_run_as_json_and_shows_how_its_channel_fares(tmp_path):
    urls = tmp_path / "urls"
    urls.write_text("json://127.0.0.1:9/a-secret-path\n", encoding="utf-8")
    urls.chmod(0o600)
    with Xo(cron="* * * * *").serving() as xo:
        home = Home(tmp_path, xo.url)
        home.write_policy(xo.url, f'[notify.apprise]\nurls_file = "{urls}"\n')
        line = [str(GUARD), "daemon", "--log", "json", "--config", str(home.policy)]
        process = subprocess.Popen(line, env=home.env, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        try:
            home.wait_for("WATCHDOG")
            process.send_signal(signal.SIGUSR1)
            home.wait_for("WATCHDOG")
            told = json.loads(home.guard("status", "--json").stdout)
            process.send_signal(signal.SIGTERM)
            _, said = process.communicate(timeout=PATIENCE)
        finally:
            process.kill()
            process.communicate()
            home.ear.close()
    assert process.returncode == 0, said
    lines = [json.loads(line) for line in said.splitlines()]
    assert {line["schema"] for line in lines} == {"guard.log/1"}
    decided = [line for line in lines if line.get("event") == "decided"]
    assert decided
    assert {(line["job"], line["verdict"], line["level"]) for line in decided} == {("nightly", "start", "info")}
    assert all(line["due"].endswith(":00Z") and line["schedule"] for line in decided)
    assert [one["name"] for one in told["channels"]] == ["apprise-json", "digest"]
    assert TOKEN not in said
    assert "a-secret-path" not in said
