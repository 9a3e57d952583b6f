"""Serving: plain, with TLS, and from code that is not asynchronous."""

from __future__ import annotations

import ssl
from pathlib import Path

import httpx
import pytest
import trustme
from guard.simulator.serve import running
from tests.simulator.faces import TOKEN
from tests.simulator.worlds import small_world


def test_a_thread_serves_until_the_block_ends() -> None:
    with running(small_world().world) as url:
        assert len(httpx.get(f"{url}/rest/v0/vms", cookies=TOKEN).json()) == 2
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/rest/v0/ping")


def test_with_a_certificate_it_is_https(tmp_path: Path) -> None:
    authority = trustme.CA()
    certificate = authority.issue_cert("127.0.0.1")
    chain, key = tmp_path / "chain.pem", tmp_path / "key.pem"
    certificate.private_key_pem.write_to_path(key)
    chain.write_bytes(b"".join(part.bytes() for part in certificate.cert_chain_pems))
    trusted = ssl.create_default_context()
    authority.configure_trust(trusted)
    with running(small_world().world, certfile=str(chain), keyfile=str(key)) as url:
        assert url.startswith("https://127.0.0.1:")
        assert httpx.get(f"{url}/rest/v0/ping", verify=trusted).status_code == 200
        with pytest.raises(httpx.ConnectError):
            httpx.get(f"{url}/rest/v0/ping")


def test_a_certificate_that_cannot_be_read_is_the_callers_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), running(small_world().world, certfile=str(tmp_path / "none"), keyfile=None):
        pass
