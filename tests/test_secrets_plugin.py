"""The search for secrets finds what is planted, in every place where a test can leave it, and nothing else."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from tests.secrets_plugin import EXCLUDED, SHORTEST_ENCODED

ROOT = Path(__file__).parents[1]
TESTS = """
import base64, gzip, io, logging, subprocess, sys
from pathlib import Path
from urllib.parse import quote
import pytest
from guard.cli import main as command_line
from guard.secret import Secret, read_secret_file
from tests.secrets_plugin import searched

WORD = "correct-" + "horse-battery"

@pytest.fixture
def secret():
    return Secret(WORD)

def test_leaks_on_stdout(secret):
    print("the token is", secret.reveal())

def test_leaks_on_stderr_in_base64(secret):
    print(base64.b64encode(secret.reveal().encode()).decode(), file=sys.stderr)

def test_leaks_in_base64_behind_a_name(secret):
    print(base64.b64encode(b"user:" + secret.reveal().encode()).decode())

def test_leaks_into_a_packed_file(secret, tmp_path):
    (tmp_path / "xo.json.gz").write_bytes(gzip.compress(b"a " + secret.reveal().encode()))

def test_leaks_into_a_url():
    print(quote(Secret("with/a slash of its own").reveal()))

def test_leaks_into_the_log(secret):
    logging.getLogger("x").warning("%s", secret.reveal())

def test_leaks_into_a_file(secret, tmp_path):
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "ledger").write_bytes(b"\\x00" * 5000 + secret.reveal().encode() + b"\\x00")

def test_leaks_in_an_exception(secret):
    raise ValueError("wrong: " + secret.reveal())

def test_leaks_in_what_it_captured(secret, capsys):
    print(secret.reveal())
    assert capsys.readouterr().out

def test_leaks_from_a_process(secret):
    subprocess.run([sys.executable, "-c", "print('correct-' + 'horse-battery')"], capture_output=True)

def test_leaks_to_a_server(secret):
    searched(b"body " + secret.reveal().encode())

def test_leaks_from_a_command(secret, monkeypatch):
    monkeypatch.setattr(command_line, "build_parser", lambda: pytest.fail(secret.reveal()))
    with pytest.raises(pytest.fail.Exception):
        command_line.main([], io.StringIO(secret.reveal()), io.StringIO(), {})

def test_leaks_at_its_end(secret, request):
    request.addfinalizer(lambda: print(secret.reveal()))

def test_leaks_a_file_it_read(tmp_path):
    path = tmp_path / "token"
    path.write_text("another-secret-of-mine\\n")
    path.chmod(0o600)
    read_secret_file(path, {}, credential="c", option="o")
    (tmp_path / "copy").write_text("see: another-secret-of-mine")

def test_leaks_a_secret_of_the_module():
    print(WORD)

def test_is_quiet(secret, tmp_path):
    print(secret, repr(secret))
    path = tmp_path / "token"
    path.write_text(secret.reveal())
    path.chmod(0o600)
    read_secret_file(path, {}, credential="c", option="o")
    (tmp_path / "beside").write_text(secret.reveal() + "\\n")  # a secret file, too

@pytest.mark.made_up_secrets("on purpose")
def test_is_let_be(secret):
    print(secret.reveal())
"""
PLANTED = [line[4:].partition("(")[0] for line in TESTS.splitlines() if line.startswith("def test_leaks")]
QUIET = ["test_is_quiet", "test_is_let_be"]


@pytest.mark.parametrize("workers", [0, 2], ids=["one process", "xdist"])
def test_each_planted_leak_fails_its_test_by_name_and_no_other_one(pytester, monkeypatch, workers):
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}{os.pathsep}{os.environ.get('PYTHONPATH', '')}")
    pytester.makepyfile(test_planted=TESTS)
    spread = ["-n", str(workers)] if workers else ["-p", "no:xdist"]
    done = pytester.runpytest_subprocess("-p", "tests.secrets_plugin", "-p", "no:cacheprovider", "-v", *spread)
    told = "\n".join(done.outlines)
    wrong = {
        name for name in [*PLANTED, *QUIET] for kind in ("FAILED", "ERROR") if f"{kind} test_planted.py::{name}" in told
    }
    assert len(PLANTED) == 15
    assert wrong == set(PLANTED)
    assert done.ret == 1
    for where in ("Captured stdout call", "Captured stderr call", "Captured log call", "the file deep/ledger",
                  "the file xo.json.gz", "the failure's words", "what was captured", "a process's stdout", "what a server was sent",
                  "a command's stdout", "Captured stdout teardown", "the file copy"):  # fmt: skip
        assert f"is in {where}" in told
    assert "a secret (an*** (22 characters)) is in the file copy" in told


def test_what_is_left_out_says_why_and_is_short():
    assert all(len(text) < SHORTEST_ENCODED and len(why) > 20 for text, why in EXCLUDED.items())
