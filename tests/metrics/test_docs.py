"""docs/metrics.md is of the code: its table, its addresses, its numbers, its example for Prometheus."""

from __future__ import annotations

import re
import textwrap
from pathlib import Path

import pytest
from guard.daemon import server
from guard.policy.load import load
from guard.policy.metrics_schema import MetricsSection
from guard.views.status import STALE
from tests.metrics.pages import PAGE, written
from tests.metrics.test_alerts import ALERTS, promtool

ROOT = Path(__file__).parents[2]
TEXT = PAGE.read_text(encoding="utf-8")
__all__ = ["promtool"]  # the fixture


def blocks():
    """Its indented blocks."""
    return [textwrap.dedent(one) for one in re.findall(r"(?:^ {4}.*\n)+", TEXT, re.MULTILINE)]


def test_the_table_is_that_of_the_code():
    assert written(TEXT) == TEXT, "make reference"


def test_the_policy_that_switches_metrics_on_is_one():
    (given,) = [one for one in blocks() if one.startswith("[metrics]")]
    policy = load(f'[xo]\nurl = "https://xo.example"\n{given}', file="docs/metrics.md")
    assert policy.metrics.listen == "127.0.0.1:9478"


def test_the_scrape_config_is_one_that_prometheus_takes(promtool, tmp_path):
    (given,) = [one for one in blocks() if one.startswith("scrape_configs")]
    config = tmp_path / "prometheus.yml"
    config.write_text(given.replace("/etc/prometheus/guard-alerts.yaml", "none.yaml"), encoding="utf-8")
    (tmp_path / "none.yaml").write_text("groups: []\n", encoding="utf-8")
    code, said = promtool("check", "config", str(config))
    assert code == 0, said


def test_numbers_in_the_text_are_those_of_the_code():
    text = " ".join(TEXT.split())
    assert STALE.total_seconds() == 300
    assert "younger than 5 minutes" in text
    assert (
        f"{server.MOST_CONNECTIONS} connections are served at a time, each for one request, "
        f"{server.MOST_HEADER_BYTES // 1024} KiB of headers and {server.LONGEST_S:.0f} seconds" in text
    )
    assert f"At most `most_series` series ({MetricsSection().most_series})" in text


def test_every_section_about_an_alert_is_about_one_that_there_is():
    named = re.findall(r"^### (\w+)$", TEXT, re.MULTILINE)
    assert named
    assert set(named) <= {name for name, _ in ALERTS}


@pytest.mark.parametrize("unit", ["guard.service", "guard@.service"])
def test_the_hardened_unit_lets_guard_listen_on_an_address_of_this_machine(unit):
    lines = (ROOT / "systemd" / unit).read_text(encoding="utf-8").splitlines()
    set_ = dict(line.split("=", 1) for line in lines if "=" in line and not line.startswith("#"))
    assert {"AF_INET", "AF_INET6"} <= set(set_["RestrictAddressFamilies"].split())
    assert not {"IPAddressDeny", "SocketBindDeny", "PrivateNetwork"} & set(set_)
    assert "SystemCallFilter=@system-service" in lines  # bind and listen are of it
