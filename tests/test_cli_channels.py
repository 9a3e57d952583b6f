"""guard status with the channels that the daemon left in its ledger."""

from __future__ import annotations

import asyncio
import json
from datetime import timedelta

import pytest
from guard.cli import clock
from guard.daemon.channels import CHANNELS
from guard.daemon.compose import LEDGER
from guard.lifecycle.channels import ChannelStatus, write_channels
from tests.ledger.opening import opened
from tests.test_cli_observe import LOOKED, NOW, Place

FAILING = ChannelStatus(
    name="mail",
    failed=7,
    waiting=2,
    last_error="answered 451",
    last_error_at=NOW,
    failing_since=NOW - timedelta(hours=2),
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    monkeypatch.setattr(clock, "now", lambda: NOW)
    found = Place(tmp_path)
    found.put(loop=LOOKED)
    with opened(found.folder / LEDGER) as ledger:
        asyncio.run(ledger.remember(CHANNELS, write_channels([FAILING, ChannelStatus(name="digest")])))
    return found


def test_status_shows_a_channel_that_takes_nothing(place):
    told = " ".join(place.told("status").split())
    assert "Channel mail: 0 sent, 7 tries failed, 2 waiting. Nothing gets through since" in told


def test_the_document_has_its_figures(place):
    mail, digest = json.loads(place.told("status", "--json"))["channels"]
    assert (mail["name"], mail["failed"], mail["waiting"], mail["last_error"]) == ("mail", 7, 2, "answered 451")
    assert digest["name"] == "digest"


def test_monitoring_is_warned(place):
    code, out, _ = place.guard("status", "--nagios")
    assert (code, out.partition("|")[0]) == (1, "GUARD WARNING - nothing gets through by mail for 2 h: answered 451")
