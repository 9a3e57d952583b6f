"""Bombs, floods and files without end, each in a process that may take only so much memory and time."""

from __future__ import annotations

import os
import subprocess
import sys
import textwrap

import pytest

TIME_S = 60
_HEAD = """
import resource, sys
resource.setrlimit(resource.RLIMIT_AS, ({mib} * 2**20, {mib} * 2**20))
import asyncio, gzip, logging
logging.disable(logging.CRITICAL)
from guard.cli import files
from guard.cli.main import main
files.SILENCE_S = 0.3
def run(*argv):
    sys.exit(main(argv, sys.stdout, sys.stderr, {{}}))
"""
_SERVER = """
from guard.errors import GuardError
from guard.http import Http, tls_context
from guard.xo.rpc import Rpc
from tests.fuzz.frames import accepted, frame
TLS = tls_context(None, verify=False)
TIMEOUT_S = 4
async def ask(send, question):
    served = []
    async def serve(reader, writer):
        request = await reader.readuntil(b"\\r\\n\\r\\n")
        try:
            await send(request, reader, writer)
        except OSError:
            pass
        writer.close()
    def connected(reader, writer):
        served.append(asyncio.ensure_future(serve(reader, writer)))
    server = await asyncio.start_server(connected, "127.0.0.1", 0, limit=2**20)
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        print(len(await question(url)))
    except GuardError as error:
        print(f"guard: {error}", file=sys.stderr)
        code = 1
    else:
        code = 0
    for one in served:
        one.cancel()
    await asyncio.gather(*served, return_exceptions=True)
    sys.exit(code)
async def rest(url):
    async with Http(url, lambda: "token", tls=TLS, timeout_s=TIMEOUT_S, retry_wait_s=0) as http:
        return await http.get("/rest/v0/vms")
async def rpc(url):
    async with Rpc(url, tls=TLS, timeout_s=TIMEOUT_S) as socket:
        return bytes(await socket.call("job.getAll"))
"""


def child(script, *, mib=1024, server=False):
    """(exit code, stderr) of a script within its limits."""
    code = (
        textwrap.dedent(_HEAD.format(mib=mib)) + (textwrap.dedent(_SERVER) if server else "") + textwrap.dedent(script)
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=TIME_S, check=False)
    return done.returncode, done.stderr


def refused(script, told, **limits):
    code, err = child(script, **limits)
    assert (code, len(err.splitlines())) == (1, 1), err
    assert err.startswith("guard: ")
    assert told in err


# --- files


READERS = (
    ("config", "check", "--config"),
    ("plan", "--estate"),
    ("match", "x", "--estate"),
    ("when", "x", "--estate"),
    ("explain", "--log"),
)


@pytest.mark.parametrize("reader", READERS, ids=lambda one: one[0])
def test_a_device_without_end_is_read_up_to_the_limit(reader):
    refused(f"run(*{reader!r}, '/dev/zero')", "is larger than", mib=2048)


@pytest.mark.parametrize("reader", READERS, ids=lambda one: one[0])
def test_a_pipe_into_which_nobody_writes_is_given_up(reader, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    refused(f"run(*{reader!r}, {str(tmp_path / 'pipe')!r})", "nothing came out of this pipe for 0.3 s")


@pytest.mark.parametrize("reader", READERS, ids=lambda one: one[0])
def test_a_folder_is_no_file(reader, tmp_path):
    refused(f"run(*{reader!r}, {str(tmp_path)!r})", "s a directory")


@pytest.mark.parametrize("reader", READERS, ids=lambda one: one[0])
def test_a_sparse_file_of_two_gigabytes_is_refused_without_reading_it(reader, tmp_path):
    with (tmp_path / "sparse").open("wb") as file:
        file.truncate(2 * 1024**3)
    refused(f"run(*{reader!r}, {str(tmp_path / 'sparse')!r})", "is larger than", mib=256)


def test_a_capture_that_unpacks_without_end_is_given_up(tmp_path):
    script = f"""
    import zlib
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    with open({str(tmp_path / "bomb")!r}, "wb") as file:
        for _ in range(1100):
            file.write(packer.compress(b" " * 2**20))
        file.write(packer.flush())
    run("plan", "--estate", {str(tmp_path / "bomb")!r})
    """
    refused(script, "is larger than 536870912 bytes unpacked", mib=2048)


@pytest.mark.parametrize("value", ["{}", "[]", "0", '{"a":1}'])
def test_a_log_of_very_many_values_is_refused_before_it_is_built(value, tmp_path):
    script = f"""
    with open({str(tmp_path / "log")!r}, "w") as file:
        file.write("[" + ",".join([{value!r}] * (60 * 2**20 // {len(value) + 1})) + "]")
    run("explain", "--log", {str(tmp_path / "log")!r})
    """
    code, err = child(script, mib=2048)
    assert code == 1, err[-300:]
    assert len(err.splitlines()) == 1


# --- HTTP answers


ANSWER = 'b"HTTP/1.1 200 OK\\r\\nContent-Type: application/json\\r\\n'


@pytest.mark.parametrize(
    ("encoding", "times", "told"),
    [("gzip", 1, "is larger than 134217728 bytes"), ("gzip, gzip, gzip", 3, "is packed as gzip, gzip, gzip")],
)
def test_a_small_answer_that_unpacks_to_gigabytes_is_given_up(encoding, times, told):
    script = f"""
    import zlib
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    body = b"".join(packer.compress(b" " * 2**20) for _ in range(1024)) + packer.flush()
    for _ in range({times - 1}):
        body = gzip.compress(body)
    async def send(request, reader, writer):
        writer.write({ANSWER}Content-Encoding: {encoding}\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(body) + body)
        await writer.drain()
    asyncio.run(ask(send, rest))
    """
    refused(script, told, server=True)


@pytest.mark.parametrize(
    ("head", "piece", "told"),
    [
        ("Transfer-Encoding: chunked\\r\\n\\r\\n", 'b"100000\\r\\n" + b" " * 2**20 + b"\\r\\n"', "is larger than"),
        ("X: ", 'b"y" * 2**16', "broke off"),
        ("Transfer-Encoding: chunked\\r\\n\\r\\n", 'b"1\\r\\n \\r\\n"', "did not finish answering"),
        ("\\r\\n", "bytes(2**16)", "is larger than"),
    ],
    ids=["chunks", "one header", "dribble", "no length"],
)
def test_an_answer_without_end_is_given_up(head, piece, told):
    pause = 0.05 if told.startswith("did") else 0
    script = f"""
    async def send(request, reader, writer):
        writer.write({ANSWER}{head}")
        while True:
            writer.write({piece})
            await writer.drain()
            await asyncio.sleep({pause})
    asyncio.run(ask(send, rest))
    """
    refused(script, told, server=True)


# --- frames


def test_a_small_frame_that_unpacks_to_gigabytes_ends_the_connection():
    script = """
    import zlib
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    body = b"".join(packer.compress(b" " * 2**20) for _ in range(1024)) + packer.flush(zlib.Z_SYNC_FLUSH)
    async def send(request, reader, writer):
        writer.write(accepted(request, b"Sec-WebSocket-Extensions: permessage-deflate\\r\\n"))
        await reader.read(1)
        writer.write(frame(1, body[:-4], flags=0x40))
        while not (await reader.read(1000)).startswith(b"\\x88"):  # the client's close frame
            pass
    asyncio.run(ask(send, rpc))
    """
    refused(script, "XO closed", server=True)


@pytest.mark.parametrize(
    "flood", ["frame(9, b'x' * 125) * 200", 'frame(1, b\'{"method":"all","params":"\' + b\'x\' * 100_000 + b\'"}\')']
)
def test_a_flood_before_the_answer_is_bounded_by_the_time_of_the_call(flood):
    script = f"""
    async def send(request, reader, writer):
        writer.write(accepted(request))
        await reader.read(1)
        while True:
            writer.write({flood})
            await writer.drain()
            reader._buffer.clear()
            await asyncio.sleep(0)
    asyncio.run(ask(send, rpc))
    """
    refused(script, "did not answer job.getAll within 4 s", server=True)
