"""sd_notify over real datagram sockets: by path, abstract, absent, dead and full."""

from __future__ import annotations

import socket

import pytest
from guard.daemon.systemd import Systemd


@pytest.fixture
def ear(tmp_path):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def systemd(address):
    return Systemd({"NOTIFY_SOCKET": address} if address is not None else {}, monotonic_us=lambda: 1234)


@pytest.mark.parametrize(
    ("tell", "heard"),
    [
        (lambda one: one.ready("nothing runs"), "READY=1\nSTATUS=nothing runs"),
        (lambda one: one.alive("nothing runs"), "WATCHDOG=1\nSTATUS=nothing runs"),
        (lambda one: one.reloading(), "RELOADING=1\nMONOTONIC_USEC=1234"),
        (lambda one: one.stopping(), "STOPPING=1"),
        (lambda one: one.alive("データ"), "WATCHDOG=1\nSTATUS=データ"),
        (lambda one: one.alive("two\nlines\nSTOPPING=1"), "WATCHDOG=1\nSTATUS=two lines STOPPING=1"),
        (lambda one: one.alive("half \ud800 a character"), "WATCHDOG=1\nSTATUS=half ? a character"),
    ],
)
def test_each_word_is_one_datagram(ear, tell, heard):
    tell(systemd(ear.getsockname()))
    assert ear.recv(4096).decode() == heard


def test_an_address_that_begins_with_an_at_sign_is_abstract(tmp_path):
    name = f"guard-test-{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0" + name)
        listening.settimeout(5)
        systemd("@" + name).stopping()
        assert listening.recv(4096) == b"STOPPING=1"


@pytest.mark.parametrize("address", [None, "", "/nowhere/notify", "x" * 300])
def test_without_a_socket_or_with_one_that_is_none_nothing_happens(address):
    systemd(address).ready("nothing runs")


def test_a_dead_socket_is_no_matter(ear):
    address = ear.getsockname()
    ear.close()
    systemd(address).alive("nothing runs")


def test_a_full_socket_does_not_hold_up_the_work(ear):
    one = systemd(ear.getsockname())
    for number in range(2000):
        one.alive(f"{number} " + "x" * 1000)
    heard = []
    ear.setblocking(False)
    while True:
        try:
            heard.append(ear.recv(4096))
        except BlockingIOError:
            break
    assert 0 < len(heard) < 2000
    one.stopping()
    assert ear.recv(4096) == b"STOPPING=1"
