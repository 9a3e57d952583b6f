"""The man pages and the completion in the tree are those of the parser and the policy, and the tools of their trade take them."""

from __future__ import annotations

import argparse
import os
import re
import shutil
import subprocess

import pytest
from guard.cli.parser import build_parser
from guard.policy.codes import EVERY_CODE
from guard.policy.sample import show
from guard.policy.schema import default_policy
from tests.packaging.built import ROOT
from tests.packaging.pages import COMPLETIONS, MAN, commands, completion, guard_page, policy_page, texts

PAGES = sorted(MAN.iterdir())
SCRIPT = ROOT / "config" / "install.sh"
BASH = r"""
source "$1"
complete -p guard >/dev/null || exit 9
COMP_WORDS=("${@:2}") COMP_CWORD=$(($# - 2))
_shtab_guard
printf '%s\n' "${COMPREPLY[@]}"
"""


def tool(name, package):
    """Where a tool is. Without it the test is skipped, loudly; under CI that is a failure."""
    found = shutil.which(name)
    if found is None:
        reason = f"{name} is not installed (Debian package {package})"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return found


def run(*command, **given):
    return subprocess.run(command, capture_output=True, text=True, check=False, **given)


def shown(page):
    """A page as man shows it on a wide terminal, without overstrikes."""
    env = os.environ | {"MANWIDTH": "1000", "LC_ALL": "C.UTF-8", "MANROFFOPT": "-c"}
    done = run(tool("man", "man-db"), "--warnings", "-E", "UTF-8", "-l", str(page), env=env)
    return done, re.sub(r".\x08", "", done.stdout)


def bash(*words):
    done = run(tool("bash", "bash"), "-c", BASH, "bash", str(COMPLETIONS / "guard.bash"), *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


@pytest.mark.parametrize("file", texts(), ids=lambda file: file.name)
def test_what_is_in_the_tree_is_what_the_code_makes(file):
    assert file.read_text(encoding="utf-8") == texts()[file], "make reference"


def test_nothing_else_lies_beside_what_is_made():
    assert {*MAN.iterdir(), *COMPLETIONS.iterdir()} == set(texts())


def test_what_is_made_depends_on_no_terminal_and_no_day(monkeypatch):
    first = texts()
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setenv("SOURCE_DATE_EPOCH", "86400")
    assert texts() == first


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_man_shows_each_page_without_a_warning(page):
    done, text = shown(page)
    assert (done.returncode, done.stderr) == (0, "")
    assert text.startswith(page.stem.upper())
    for heading in ("NAME", "DESCRIPTION", "SEE ALSO"):
        assert f"\n{heading}\n" in text
    assert re.search(rf"\n +{re.escape(page.stem)} [-\u2010] \w", text)


def test_man_does_warn_of_a_page_that_is_broken(tmp_path):
    page = tmp_path / "broken.1"
    page.write_text('.TH BROKEN 1\n.SH NAME\nbroken \\- x\n.ZZ what\n.in "a\n', encoding="utf-8")
    assert shown(page)[0].stderr != ""


def test_every_option_and_argument_of_every_command_is_explained():
    bare = [
        f"guard {name}: {action.dest}"
        for name, parser in commands(build_parser())
        for action in parser._actions
        if not isinstance(action, argparse._SubParsersAction) and not action.help
    ]
    assert bare == []


def test_the_page_of_guard_tells_every_command_with_its_options():
    _, text = shown(MAN / "guard.1")
    for name, parser in commands(build_parser()):
        if not name:
            continue
        assert f"\n   guard {name}\n" in text
        section = text.partition(f"\n   guard {name}\n")[2]
        section = re.split(r"\n(?:   )?\S", section)[0]
        for action in parser._actions:
            if action.option_strings and "--help" not in action.option_strings:
                assert re.search(rf"^ +{action.option_strings[-1]}\b", section, re.MULTILINE), (
                    name,
                    action.option_strings,
                )


def test_the_page_of_the_policy_tells_every_option_with_its_default():
    text = policy_page(shown_sample())
    for key, value, _ in show(default_policy()):
        section, _, name = key.rpartition(".")
        options = text.partition(f".SS [{section}]\n")[2].partition("\n.SS ")[0].replace(r"\-", "-")
        assert f'.BR "{name}" " = ' in options, key
        if key != "xo.url" and '"' not in value and "{" not in value:
            assert f'.BR "{name}" " = {value}"' in options, key


def shown_sample():
    return (ROOT / "config" / "guard.toml").read_text(encoding="utf-8")


def test_text_that_roff_would_take_for_its_own_is_shown_as_it_is(tmp_path):
    page = tmp_path / "page.5"
    page.write_text(
        policy_page("head\n\n# .SH is 'no' request - a\\b \"c\" ~d ^e `f`\n[part]\n# 'quoted'\n#key-one = \".x\"\n"),
        encoding="utf-8",
    )
    done, text = shown(page)
    assert done.stderr == ""
    assert ".SH is 'no' request - a\\b \"c\" ~d ^e `f`" in text
    assert 'key-one = ".x"' in text
    assert "'quoted'" in text


def test_bash_completes_commands_options_choices_and_codes():
    assert bash("guard", "re") == ["release", "report"]
    assert bash("guard", "config", "") == ["check", "show"]
    assert "--within" in bash("guard", "plan", "--")
    assert bash("guard", "explain", "CHAIN_") == sorted(code for code in EVERY_CODE if code.startswith("CHAIN_"))
    (policy,) = bash("guard", "config", "check", "--config", f"{ROOT}/config/guard.tom")
    assert policy == f"{ROOT}/config/guard.toml"


def test_zsh_takes_its_completion():
    done = run(tool("zsh", "zsh"), "-n", str(COMPLETIONS / "_guard"))
    assert (done.returncode, done.stderr) == (0, "")
    assert (COMPLETIONS / "_guard").read_text(encoding="utf-8").startswith("#compdef guard\n")


def test_fish_completes_commands_and_codes():
    fish = tool("fish", "fish")
    script = COMPLETIONS / "guard.fish"
    assert run(fish, "--no-execute", str(script)).returncode == 0
    done = run(
        fish,
        "--no-config",
        "-c",
        f'source {script}; complete --do-complete "guard re"; complete --do-complete "guard explain CHAIN_U"',
    )
    offered = [line.partition("\t")[0] for line in done.stdout.splitlines()]
    assert {"release", "report", "CHAIN_UNHEALTHY"} <= set(offered)


def test_the_installer_is_plain_sh_that_shellcheck_takes():
    done = run(tool("shellcheck", "shellcheck"), "--shell=sh", str(SCRIPT))
    assert (done.returncode, done.stdout) == (0, "")
    assert os.access(SCRIPT, os.X_OK)


def test_completion_knows_what_is_a_file_and_what_a_folder():
    text = completion("zsh")
    assert re.search(r"--config\[.*\]:FILE:_files\"", text)
    assert re.search(r"--state\[.*\]:FOLDER:_files -/\"", text)
    assert guard_page().count(".SS \\fBguard") == sum(1 for name, _ in commands(build_parser()) if name)
