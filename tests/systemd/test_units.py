"""The units: what systemd itself says of them, and that they fit the daemon they start."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tomllib
from datetime import timedelta
from pathlib import Path

import pytest
from guard.cli.parser import build_parser
from guard.daemon import release as releasing
from guard.daemon.loop import LAST_WORDS_S, LET_GO_S
from guard.daemon.release import LONGEST_S
from guard.gate.watch import LOOK_EVERY
from guard.notify.queue import BUDGET_S
from guard.policy.remedies_schema import RemediesSection
from guard.policy.schema import default_policy
from guard.remedies.helper import TIME_LIMIT_S as HELPER_S
from guard.remedies.helper_client import LIMIT_S as CLIENT_S
from guard.units import parse_duration
from guard.views.status import STALE
from guard.views.workaround import XO_FOLDER
from guard.xo.token import CREDENTIAL

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "systemd"
UNITS = sorted(FOLDER.iterdir())
SERVICES = [unit for unit in UNITS if unit.suffix == ".service"]
DAEMONS = ["guard.service", "guard@.service"]
RELEASES = ["guard-release.service", "guard-release@.service"]
HELPER = "guard-workaround@.service"
ASKED = "guard-workaround.socket"
GUARDS = [unit for unit in SERVICES if unit.name != HELPER]  # those that run the command guard, as guard's user
COMMAND = "/usr/local/bin/guard"
MOST_EXPOSED = 20  # tenths: an exposure of 2.0
READINGS = 4  # of XO in one look at most: the history at the start, the schedules, the logs, a prediction
PLAIN = re.compile(
    r"Type|NotifyAccess|Exec\w+|Restart|RestartSec|SuccessExitStatus|Timeout\w+|WatchdogSec|StateDirectory|LoadCredential|User"
    r"|Standard\w+"
)


def parse(unit):
    """(section, key, value, the comment right above) of every line that sets something; keys may repeat."""
    found, section, above = [], "", ""
    for line in unit.read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line
        elif line and not line.startswith("#"):
            key, value = line.split("=", 1)
            found.append((section, key, value, above.lstrip("# ")))
        above = line if line.startswith("#") else ""
    return found


def values(name, key):
    return [value for _, one, value, _ in parse(FOLDER / name) if one == key]


def hardening(name):
    return [line for line in parse(FOLDER / name) if line[0] == "[Service]" and not PLAIN.fullmatch(line[1])]


def named(unit):
    return unit.name


@pytest.fixture(scope="module")
def analyze():
    """Run systemd-analyze. Without it these tests are skipped, loudly; under CI that is a failure."""
    tool = shutil.which("systemd-analyze")
    if tool is None:
        reason = "systemd-analyze is not installed (Debian package systemd): the units were not looked at by systemd"
        print(reason)
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(*arguments):
        return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)

    return run


def test_systemd_finds_nothing_wrong_with_any_unit(analyze, tmp_path):
    guard = Path(sys.executable).with_name("guard")
    for unit in UNITS:
        text = unit.read_text(encoding="utf-8")
        assert unit.suffix in (".timer", ".socket") or COMMAND in text
        (tmp_path / unit.name).write_text(text.replace(COMMAND, str(guard)), encoding="utf-8")
    done = analyze("verify", "--man=no", *(str(tmp_path / unit.name) for unit in UNITS))
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_systemd_does_find_what_is_wrong_with_a_unit(analyze, tmp_path):
    broken = tmp_path / "guard.service"
    broken.write_text("[Service]\nExecStart=/nowhere/guard\nProtectHuome=yes\n", encoding="utf-8")
    done = analyze("verify", "--man=no", str(broken))
    assert done.returncode != 0
    assert "ProtectHuome" in done.stderr


@pytest.mark.parametrize("unit", SERVICES, ids=named)
def test_the_exposure_of_each_service_is_two_at_most(analyze, unit):
    done = analyze("security", "--offline=true", f"--threshold={MOST_EXPOSED}", str(unit))
    told = re.search(r"Overall exposure level for (\S+): ([\d.]+)", done.stdout)
    assert done.returncode == 0, done.stdout
    print(f"exposure of {unit.name}: {told[2]}")


@pytest.mark.parametrize("unit", SERVICES, ids=named)
def test_every_hardening_line_has_its_reason_above_it(unit):
    lines = hardening(unit.name)
    assert len(lines) > 25
    assert [key for _, key, _, reason in lines if len(reason) < 15 or "=" in reason[:20]] == []


def test_all_services_are_hardened_alike():
    alike = [[line[:3] for line in hardening(unit.name) if line[1] != "StateDirectoryMode"] for unit in GUARDS]
    assert len(alike) == 5
    assert [one for one in alike if one != alike[0]] == []


@pytest.mark.parametrize(
    "name", ["guard.service", "guard-release.service", "guard-release.timer"], ids=lambda name: name
)
def test_the_template_is_the_unit_with_the_instance_in_its_paths(name):
    changed = {
        "Guard of the backup schedules of Xen Orchestra": "Guard of the backup schedules of Xen Orchestra (%i)",
        "/etc/guard/guard.toml": "/etc/guard/%i.toml",
        "/etc/guard/xo-token": "/etc/guard/%i-token",
    }
    expected = []
    for section, key, value, _ in parse(FOLDER / name):
        told = "guard-%i" if key == "StateDirectory" else value
        for single, instance in changed.items():
            told = told.replace(single, instance)
        told = f"{told} (%i)" if key == "Description" and "(%i)" not in told else told
        expected.append((section, key, told))
    assert [line[:3] for line in parse(FOLDER / name.replace(".", "@."))] == expected


@pytest.mark.parametrize("unit", GUARDS, ids=named)
def test_every_command_of_a_service_is_one_that_guard_knows(unit):
    commands = [value for _, key, value, _ in parse(unit) if key.startswith("Exec")]
    checked = commands[0].split()
    assert checked[1:3] == ["config", "check"]
    for command in commands:
        program, *arguments = command.removeprefix("-").split()
        if program == COMMAND:
            assert build_parser().parse_args(arguments).config == checked[-1]
        else:
            assert command == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", DAEMONS)
def test_the_daemon_is_restarted_for_ever_and_not_in_a_rush(name):
    assert values(name, "Type") == ["notify"]
    assert values(name, "NotifyAccess") == ["main"]
    assert values(name, "Restart") == ["always"]
    assert values(name, "StartLimitIntervalSec") == ["0"]
    assert 5 <= seconds(name, "RestartSec") <= 30


@pytest.mark.parametrize("name", DAEMONS)
def test_a_reload_checks_the_policy_before_the_daemon_is_asked(name):
    check, ask = values(name, "ExecReload")
    assert check == values(name, "ExecStartPre")[0]
    assert ask == "/bin/kill -HUP $MAINPID"


@pytest.mark.parametrize("name", DAEMONS)
def test_the_time_limits_fit_the_loop(name):
    policy = default_policy()
    sending = BUDGET_S + policy.notify.time_limit.total_seconds()
    assert seconds(name, "WatchdogSec") >= 1.5 * (LOOK_EVERY.total_seconds() + sending)
    assert seconds(name, "TimeoutStartSec") >= READINGS * policy.xo.total_timeout.total_seconds() + sending
    assert seconds(name, "TimeoutStopSec") > sending
    assert seconds(name, "WatchdogSec") <= timedelta(minutes=5).total_seconds()  # guard status calls older looks stale


@pytest.mark.parametrize("name", [*DAEMONS, *RELEASES])
def test_the_ledger_is_in_a_folder_that_only_the_service_may_enter(name):
    assert len(values(name, "StateDirectory")) == 1
    assert values(name, "StateDirectoryMode") == ["0700"]


@pytest.mark.parametrize("name", [*DAEMONS, *RELEASES])
def test_every_secret_that_guard_can_read_as_a_credential_has_its_line(name):
    text = (FOLDER / name).read_text(encoding="utf-8")
    given = {line.split(":")[0] for line in re.findall(r"^LoadCredential=(.*)", text, re.MULTILINE)}
    offered = {line.split(":")[0] for line in re.findall(r"^#LoadCredential=(.*)", text, re.MULTILINE)}
    channels = (ROOT / "guard" / "cli" / "channels.py").read_text(encoding="utf-8")
    assert given == {CREDENTIAL}
    of_pools = {"pool-paris"} if name in DAEMONS else set()  # to give back what is claimed takes no pool
    assert offered == set(re.findall(r'credential="([^"]+)"', channels)) | of_pools


def test_the_helper_is_root_and_lacks_no_hardening_of_the_others_but_what_a_root_needs():
    mine = {(key, value) for _, key, value, _ in hardening(HELPER)}
    others = {(key, value) for _, key, value, _ in hardening("guard.service")}
    missing = {
        key for key, value in others - mine if (key, value) != ("RestrictAddressFamilies", "AF_INET AF_INET6 AF_UNIX")
    }
    assert missing == {"DynamicUser", "PrivateUsers", "StateDirectoryMode"}
    for line in (("PrivateNetwork", "yes"), ("CapabilityBoundingSet", ""), ("RestrictAddressFamilies", "AF_UNIX")):
        assert line in mine
    assert values(HELPER, "User") == []


def test_the_helper_may_write_to_the_one_folder_that_it_is_told_and_is_there_for_one_connection():
    (command,) = values(HELPER, "ExecStart")
    program, folder = command.split()
    assert program == f"{COMMAND}-workaround-helper"
    assert values(HELPER, "ReadWritePaths") == [f"-{folder}"]
    assert folder == XO_FOLDER
    assert values(HELPER, "StandardInput") == ["socket"]
    assert seconds(HELPER, "TimeoutStartSec") > 2 * HELPER_S
    assert seconds(HELPER, "TimeoutStartSec") >= CLIENT_S


def test_the_helper_can_be_asked_by_guards_user_alone():
    assert values(ASKED, "Accept") == ["yes"]
    assert values(ASKED, "SocketUser") == values("guard-release.service", "User")
    assert values(ASKED, "SocketMode") == ["0600"]
    (path,) = values(ASKED, "ListenStream")
    assert f'"{path}"' in RemediesSection.__annotations__["timeout_helper"]


def test_the_project_installs_the_program_that_the_helpers_unit_starts():
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["scripts"]
    assert scripts["guard-workaround-helper"] == "guard.cli.workaround_helper:run"


def test_the_timer_plans_every_evening_and_makes_up_for_a_machine_that_was_off():
    assert values("guard-plan.timer", "OnCalendar") == ["*-*-* 17:00"]
    assert values("guard-plan.timer", "Persistent") == ["yes"]
    assert values("guard-plan.service", "SuccessExitStatus") == ["2"]


@pytest.mark.parametrize("name", DAEMONS)
def test_a_killed_daemons_claims_are_given_back_at_once_whatever_came_before_and_cannot_fail_the_stop(name):
    (command,) = values(name, "ExecStopPost")
    assert command.startswith(f"-{COMMAND} release ")
    given = build_parser().parse_args(command.split()[1:])
    assert (parse_duration(given.stale).total_seconds(), given.dry_run, given.all) == (0, False, False)
    assert seconds(name, "TimeoutStopSec") > LET_GO_S + LAST_WORDS_S
    assert seconds(name, "TimeoutStopSec") > LONGEST_S + releasing.LAST_WORDS_S  # killed, it would keep the lease


@pytest.mark.parametrize("name", RELEASES)
def test_the_release_waits_until_no_living_daemon_can_be_meant_and_works_on_the_daemons_ledger_as_its_user(name):
    (command,) = values(name, "ExecStart")
    given = build_parser().parse_args(command.split()[1:])
    daemon = name.replace("-release", "")
    assert (given.dry_run, given.all) == (False, False)
    assert parse_duration(given.stale) >= 2 * STALE
    assert parse_duration(given.stale).total_seconds() > seconds(daemon, "WatchdogSec")
    assert values(name, "Type") == ["oneshot"]
    assert values(name, "User") == ["guard"]
    assert seconds(name, "TimeoutStartSec") > LONGEST_S
    for key in ("StateDirectory", "LoadCredential", "DynamicUser", "ExecStartPre"):
        assert values(name, key) == values(daemon, key)


@pytest.mark.parametrize("name", ["guard-release.timer", "guard-release@.timer"])
def test_the_release_is_asked_for_every_five_minutes_and_after_a_pause_of_the_machine(name):
    assert values(name, "OnCalendar") == ["*-*-* *:00/5"]
    assert values(name, "Persistent") == ["yes"]
    assert values(name, "WantedBy") == ["timers.target"]


def seconds(name, key):
    (value,) = values(name, key)
    return parse_duration(value).total_seconds()
