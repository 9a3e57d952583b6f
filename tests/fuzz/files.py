"""Capture and log files: real ones bent, as JSON and as bytes."""

from __future__ import annotations

import gzip
import json
import tempfile
from functools import cache

from guard.cli.source import read_demo
from guard.estate.capture import to_bytes
from tests.builders import (
    make_archive,
    make_base_copy,
    make_estate,
    make_log,
    make_snapshot,
    make_transfer,
    make_vm_task,
)
from tests.fuzz.judge import call
from tests.fuzz.mutate import bend, bend_bytes, swell, text_of
from tests.replay import RECORDINGS

NAME = "files"
_CAPTURE = b"\x1f\x8b"


@cache
def captures():
    """The demo's world with every trouble in it, and a small one that is quick to plan."""
    small = make_estate(
        vdi_snapshots=[make_snapshot("snapshot", parent="base")],
        vdi_unmanaged=[make_base_copy("base", parent="root"), make_base_copy("root")],
        logs=[make_log(make_vm_task("vm", make_transfer(10**9)))],
        archives=[make_archive()],
    )
    return tuple(json.loads(gzip.decompress(to_bytes(one))) for one in (read_demo(), small))


@cache
def logs():
    return tuple(json.loads(file.read_bytes()) for file in sorted((RECORDINGS / "logs").glob("*.json")))


def make(random):
    if random.random() < 0.5:
        return _made(random, random.choice(logs()))
    large, small = captures()
    data = _made(random, large if random.random() < 0.15 else small)
    packed = gzip.compress(data, 1, mtime=0)
    return bend_bytes(random, packed) if random.random() < 0.1 else packed


def _made(random, document):
    kind = random.random()
    if kind < 0.2:
        return text_of(swell(random, document))
    if kind < 0.75:
        return text_of(bend(random, document, random.choice((1, 1, 2, 4, 12))))
    return bend_bytes(random, text_of(document), (b"NaN", b"1e400", b"-", b",", b"}", b"]", b'"id":'))


def run(data):
    with tempfile.NamedTemporaryFile() as file:
        file.write(data)
        file.flush()
        if not data.startswith(_CAPTURE):
            told, _ = call("explain", "--log", file.name)
            call("explain", "--log", file.name, "--json")
            return told
        told, _ = call("plan", "--estate", file.name)
        call("plan", "--estate", file.name, "--json")
        call("match", "job", "--estate", file.name)
        call("when", "schedule", "--estate", file.name)
        return told
