"""Which servers XO connects to again by itself, and which hosts are alive."""

from __future__ import annotations

import pytest
from guard.mechanics.connection import address_of, is_live, reconnects
from msgspec import UNSET
from tests.builders import make_host, make_server


@pytest.mark.parametrize(
    ("server", "again"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"error": None}, True),
        ({"error": "SESSION_AUTHENTICATION_FAILED"}, True),
        ({"error": {"code": "ECONNREFUSED"}}, True),
        ({"error": {"code": "SESSION_AUTHENTICATION_FAILED"}}, False),
        ({"error": {"code": "SESSION_AUTHENTICATION_FAILED"}, "status": "connecting"}, False),
        ({"error": {"connectedServerId": "other"}}, False),
        ({"error": {"connectedServerId": "other"}, "enabled": False}, False),
    ],
)
def test_xo_gives_up_on_a_disabled_server_a_refused_password_and_a_duplicate(server, again):
    assert reconnects(make_server(**{"status": "disconnected"} | server)) is again


@pytest.mark.parametrize(
    ("host", "live"),
    [
        ({}, True),
        ({"enabled": False}, False),
        ({"power_state": "Halted"}, False),
        ({"power_state": "Unknown"}, True),
        ({"enabled": UNSET, "power_state": UNSET}, True),
    ],
)
def test_a_host_is_alive_unless_xo_says_otherwise(host, live):
    assert is_live(make_host(**host)) is live


def test_a_host_xo_does_not_show_counts_as_alive():
    assert is_live(None)


@pytest.mark.parametrize(
    ("host", "address"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("https://XCP.example:8443", "xcp.example"),
        ("[2001:db8::1]:443", "2001:db8::1"),
        ("[::1", None),
        ("", None),
    ],
)
def test_an_address_is_told_without_scheme_and_port(host, address):
    assert address_of(make_server(host=host)) == address
