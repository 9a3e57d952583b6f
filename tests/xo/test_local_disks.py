"""The disks of the machine guard runs on, read where the policy names paths on them."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime

import pytest
from guard.errors import PolicyError
from guard.estate.estate import PartName
from guard.policy.load import load
from guard.simulator.serve import running
from guard.simulator.world import World
from guard.xo import local_disks as module
from guard.xo.client import XoSettings, read_estate
from guard.xo.local_disks import disk_of, read_local_disks
from guard.xo.settings import xo_settings
from guard.xo.token import Token
from tests.builders import make_local_disk

TOKEN = "simulated-token"
NOW = datetime(2026, 11, 24, 22, 0, tzinfo=UTC)


def test_a_path_tells_the_file_system_it_lies_on(tmp_path):
    disk, below = disk_of(str(tmp_path)), tmp_path / "below"
    below.mkdir()
    assert (disk.path, disk.device) == (str(tmp_path), tmp_path.stat().st_dev)
    assert 0 <= disk.available < disk.size
    assert disk_of(str(below)).device == disk.device


def test_all_paths_are_read():
    part, disks = asyncio.run(read_local_disks(["/", "/var"], NOW, make_local_disk))
    assert (part.name, part.ok, part.complete, part.error, part.read_at) == (PartName.LOCAL_DISKS, True, True, "", NOW)
    assert [disk.path for disk in disks] == ["/", "/var"]


def test_a_path_that_is_not_there_is_named_with_its_key(tmp_path):
    part, disks = asyncio.run(read_local_disks(["/", str(tmp_path / "gone")], NOW, disk_of))
    assert not part.ok
    assert part.error == (
        f"[xo] local_paths: {tmp_path}/gone (No such file or directory) cannot be read; name paths of XO's own machine, and only "
        "where guard runs on it."
    )
    assert [disk.path for disk in disks] == ["/"]


def test_what_is_no_path_at_all_is_told_like_one_that_is_not_there():
    part, disks = asyncio.run(read_local_disks(["/a\0b"], NOW, disk_of))
    assert (part.ok, disks) == (False, ())
    assert "'/a\\x00b' (" in part.error


def test_a_share_that_hangs_is_not_waited_for_and_holds_up_nothing_else(monkeypatch):
    monkeypatch.setattr(module, "LONGEST_S", 0.1)
    answered = threading.Event()

    def hanging(path):
        if path == "/hung":
            answered.wait(30)
        return make_local_disk(path)

    part, disks = asyncio.run(read_local_disks(["/hung", "/"], NOW, hanging))
    answered.set()
    assert "/hung (no answer in 0.1 s; is a share hung?)" in part.error
    assert [disk.path for disk in disks] == ["/"]


def test_the_policy_names_the_paths():
    policy = load('xo.url = "https://xo"\nxo.local_paths = ["/", "/var/lib/xo-server"]\n', file="p")
    assert xo_settings(policy).local_paths == ("/", "/var/lib/xo-server")
    assert xo_settings(load('xo.url = "https://xo"\n', file="p")).local_paths == ()


def test_a_path_that_is_not_absolute_is_refused():
    with pytest.raises(PolicyError, match="local_paths"):
        load('xo.url = "https://xo"\nxo.local_paths = ["var"]\n', file="p")


@pytest.mark.parametrize("token", [TOKEN, "viewer-token"])
def test_an_estate_has_the_disks_where_paths_are_named_whoever_asks_xo(token):
    world = World(lambda: NOW, token=TOKEN)
    world.add_user("viewer@example.org", "viewer-token", permission="none")
    with running(world) as url:

        def estate(**settings):
            made = XoSettings(url=url, disk_of=lambda path: make_local_disk(path, device=len(path)), **settings)
            return asyncio.run(read_estate(made, Token(token), clock=lambda: NOW))

        assert PartName.LOCAL_DISKS not in estate().parts
        found = estate(local_paths=("/", "/var"))
    assert found.parts[PartName.LOCAL_DISKS].usable
    assert found.local_disks == (make_local_disk(device=1), make_local_disk("/var", device=4))
