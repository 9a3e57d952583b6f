"""The console script as a process: exit codes with a closed, a full and a broken output, and with a bad locale."""

from __future__ import annotations

import subprocess
import sys

import pytest
from guard import __version__
from guard.cli import main as entry
from guard.cli.main import main

SCRIPT = [sys.executable, "-c", "from guard.cli.main import run; run()"]
GOOD, LONG, BAD = ["when", "0 0 * * *"], ["when", "* * * * *", "--count", "100"], ["when", "no such schedule"]


def guard(words, redirect="", **options):
    """The process started by a shell, which alone can close an output."""
    line = ["sh", "-c", f'exec "$@" {redirect}', "sh", *SCRIPT, *words]
    return subprocess.run(line, capture_output=True, text=True, timeout=60, check=False, **options)


def test_a_command_that_works_exits_with_0_and_writes_to_stdout():
    done = guard(GOOD)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(done.stdout.splitlines()) >= 5


def test_a_command_that_fails_exits_with_1_and_one_sentence_on_stderr():
    done = guard(["config", "check", "--config", "/nowhere/guard.toml"])
    assert (done.returncode, done.stdout, done.stderr.count("\n")) == (1, "", 1)
    assert done.stderr.startswith("guard: /nowhere/guard.toml: ")


def test_a_wrong_word_exits_with_1_not_with_argparses_2():
    done = guard(["plan", "--no-such-option"])
    assert (done.returncode, done.stdout) == (1, "")
    assert "See guard --help" in done.stderr


@pytest.mark.parametrize(
    ("redirect", "code", "said"),
    [
        (">&-", 0, ""),
        ("2>&-", 0, ""),
        (">&- 2>&-", 0, ""),
        ("</dev/null >/dev/null", 0, ""),
        (">/dev/full", 1, "guard: the output cannot be written (No space left on device)\n"),
        (">/dev/full 2>&-", 1, ""),
    ],
    ids=["stdout closed", "stderr closed", "both closed", "to nothing", "full", "full, stderr closed"],
)
def test_a_closed_output_keeps_the_exit_code_and_a_full_one_is_an_error(redirect, code, said):
    done = guard(GOOD, redirect)
    assert (done.returncode, done.stderr) == (code, said)


@pytest.mark.parametrize("redirect", [">&-", "2>&-", ">&- 2>&-"])
def test_a_failure_stays_one_with_closed_outputs(redirect):
    assert guard(["config", "check", "--config", "/nowhere"], redirect).returncode == 1


def test_a_reader_that_has_seen_enough_is_no_error():
    with subprocess.Popen([*SCRIPT, *LONG], stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        process.stdout.close()  # before anything is written: Python has to start first
        told = process.stderr.read()
        assert (process.wait(60), told) == (0, b"")


def test_a_locale_that_cannot_spell_a_name_does_not_end_a_command(tmp_path):
    policy = tmp_path / "guard.toml"
    policy.write_text('[xo]\nurl = "https://xo.example"\n[[schedule]]\nname = "Größe データ"\nmax_defer = "3 h"\n')
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}
    done = guard(["config", "show", "--config", str(policy)], env=env)
    assert (done.returncode, done.stderr) == (0, "")
    assert "Gr\\xf6\\xdfe" in done.stdout


# --- the entry in this process


class Quiet:
    def write(self, text):
        return len(text)


@pytest.mark.parametrize(("words", "code"), [(["--version"], 0), (["--help"], 0), (["plan", "--help"], 0), ([], 1)])
def test_help_and_version_exit_with_0_and_no_command_with_1(capsys, words, code):
    assert main(words, sys.stdout, sys.stderr, {}) == code
    out = capsys.readouterr().out
    assert words != ["--version"] or out == f"guard {__version__}\n"


def test_a_command_broken_off_by_a_person_exits_with_130(monkeypatch):
    def interrupted():
        raise KeyboardInterrupt

    monkeypatch.setattr(entry, "build_parser", interrupted)
    assert main(["plan"], Quiet(), Quiet(), {}) == 130
