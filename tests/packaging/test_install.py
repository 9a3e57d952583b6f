"""make install and make uninstall in a clean Debian 12: what they put where, and that nothing of it is left."""

from __future__ import annotations

import pytest
from tests.packaging.built import ROOT, build, wheelhouse
from tests.packaging.debian_root import PYTHON, debian_root, offline

SOURCE, WHEELS, UNITS = "/src", "/wheels", "/usr/local/lib/systemd/system"
NOT_SOURCE = (".venv", ".git", ".hypothesis", "node_modules", "__pycache__", ".*_cache", "dist", "build")
POLICY = "/etc/guard/guard.toml"
PLACED = {
    "/usr/local/share/man/man1/guard.1",
    "/usr/local/share/man/man5/guard.toml.5",
    "/usr/local/share/man/man8/guard-workaround-helper.8",
    "/usr/local/share/bash-completion/completions/guard",
    "/usr/local/share/zsh/site-functions/_guard",
    "/usr/local/share/fish/vendor_completions.d/guard.fish",
    "/usr/local/share/guard/installed",
    POLICY,
    *(f"{UNITS}/{unit.name}" for unit in (ROOT / "systemd").iterdir()),
}
PROGRAMS = {f"/usr/local/bin/{name}": f"/opt/guard/bin/{name}" for name in ("guard", "guard-workaround-helper")}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """guard's wheel, and a folder of the wheels that it needs."""
    folder = tmp_path_factory.mktemp("built")
    wheel = build(folder / "dist").wheel
    return wheel, wheelhouse(folder / "wheels", wheel, python=PYTHON)


@pytest.fixture
def machine(tmp_path, built):
    with debian_root(tmp_path) as root:
        root.copy(ROOT, SOURCE, leave_out=NOT_SOURCE)
        root.copy(built[1], WHEELS)
        yield root


def make(machine, target, *settings, check=True):
    return machine.run(
        "make", "--no-print-directory", "-C", SOURCE, target, *settings, env=offline(WHEELS), check=check
    )


def changes(before, after):
    return {
        path: (before.get(path), after.get(path))
        for path in before.keys() | after
        if before.get(path) != after.get(path)
    }


def change(machine, path, old, new):
    file = machine.inside(path)
    text = file.read_text(encoding="utf-8")
    assert old in text
    file.write_text(text.replace(old, new), encoding="utf-8")


def has(machine, path):
    return machine.inside(path).exists() or machine.inside(path).is_symlink()


def pretend_systemd(machine):
    """systemctl for a machine on which systemd runs, which this root is not. Returns what it was asked since, in order."""
    calls = "/run/asked-of-systemctl"
    machine.inside("/run/systemd/system").mkdir(parents=True)
    machine.write(calls, "")
    machine.write("/usr/local/sbin/systemctl", f'#!/bin/sh\necho "$@" >>{calls}\n', 0o755)
    lines = machine.inside(calls)
    return lambda: [line.replace("--quiet ", "").split() for line in lines.read_text(encoding="utf-8").splitlines()]


def test_what_make_install_puts_in_place_works_and_make_uninstall_leaves_no_trace_of_it(machine):
    before = machine.files()
    told = make(machine, "install").stdout
    installed = machine.files()
    assert "nothing was enabled or started" in told
    assert "install -m 600 /dev/stdin /etc/guard/xo-token" in told
    assert not has(machine, "/root/.cache")

    # what is there, whose it is and who may do what with it
    new = changes(before, installed)
    assert {path for path, (was, _) in new.items() if was is not None} == set()
    outside = {path: now for path, (_, now) in new.items() if not path.startswith("/opt/guard")}
    assert {path for path, now in outside.items() if now.startswith("-")} == PLACED
    assert {path: now.split()[-1] for path, now in outside.items() if now.startswith("l")} == PROGRAMS
    assert {now.rpartition(" ")[0] for now in outside.values() if now.startswith("-")} == {"-rw-r--r-- 0:0"}
    assert {now for now in outside.values() if now.startswith("d")} == {"drwxr-xr-x 0:0"}
    own = [now for path, (_, now) in new.items() if path.startswith("/opt/guard")]
    assert {now.split()[1] for now in own} == {"0:0"}
    assert {now.split()[0][7:9] for now in own if not now.startswith("l")} == {"r-"}  # all may read, nobody else write
    assert f"{UNITS}/guard.service" in outside
    assert not any("wants" in path for path in new)

    # it runs, from a folder that is not its own
    assert machine.run("guard", "--version").stdout.startswith("guard ")
    assert "Would do: " in machine.run("guard", "demo", "--plan-only").stdout
    assert "is a valid policy" in machine.run("guard", "config", "check").stderr
    for page, name in (("guard", "man1/guard.1"), ("guard.toml", "man5/guard.toml.5")):
        assert machine.run("man", "-w", page).stdout.strip().endswith(f"/man/{name}")
    assert machine.run("man", "guard-workaround-helper").stdout.startswith("GUARD-WORKAROUND-HELPER(8)")
    units = [path for path in PLACED if path.startswith(UNITS)]
    verified = machine.run("systemd-analyze", "verify", "--man=no", *units)
    assert (verified.stdout, verified.stderr) == ("", "")
    machine.run(
        "systemctl", "enable", "guard.service", "guard@paris.service", "guard-release.timer", "guard-workaround.socket"
    )
    assert has(machine, "/etc/systemd/system/multi-user.target.wants/guard@paris.service")

    told = make(machine, "uninstall")
    assert told.stderr == ""
    assert "done" in told.stdout
    # systemctl enable makes folders for its links and leaves them; what it put into them is gone
    assert changes(before, machine.files()).keys() <= {"/etc/systemd/system/sockets.target.wants"}
    assert "nothing to take away" in make(machine, "uninstall").stdout


def test_what_a_person_made_or_changed_stays_unless_a_purge_is_asked_for(machine):
    before = machine.files()
    make(machine, "install")
    change(machine, POLICY, 'url = "https://xo.example.org"', 'url = "https://xo.example.net"')
    change(machine, f"{UNITS}/guard-plan.timer", "17:00", "18:00")
    machine.write("/etc/guard/xo-token", "not-a-real-one", 0o600)
    kept = {POLICY, f"{UNITS}/guard-plan.timer", "/etc/guard/xo-token"}
    installed = machine.files()
    as_left = {path: installed[path] for path in kept}

    told = make(machine, "uninstall").stdout
    after = machine.files()
    assert {path: after[path] for path in kept} == as_left
    folders = {"/etc/guard", "/usr/local/lib/systemd", UNITS}
    assert changes(before, after).keys() == kept | folders
    assert f"kept {UNITS}/guard-plan.timer" in told
    assert f"kept {POLICY}, which was changed" in told
    assert "kept /etc/guard (policies, secrets): make uninstall PURGE=1" in told

    # installed again beside them, then purged: nothing is left, not even the ledgers
    told = make(machine, "install").stdout
    assert f"kept {POLICY}, which is not as it was put there; the new one is beside it: {POLICY}.new" in told
    assert "Next: guard config check, then systemctl enable --now guard" in told
    assert "/dev/stdin" not in told
    machine.write("/etc/guard/paris.toml", '[xo]\nurl = "https://xo.example.net"\n')
    for folder in ("/var/lib/guard", "/var/lib/private/guard-paris"):
        machine.write(f"{folder}/ledger.sqlite-wal", "")
    machine.write("/var/lib/guardian/of-another", "")
    machine.write("/var/lib/guard-without-a-policy/ledger.sqlite", "")
    machine.write("/var/lib/guard.before/ledger.sqlite", "")
    (machine.inside("/var/lib/guard-paris")).symlink_to("private/guard-paris")
    told = make(machine, "uninstall", "PURGE=1", "FORCE=1").stdout
    assert "kept /var/lib/guard-without-a-policy, for which there is no policy: remove it by hand" in told
    assert "kept /var/lib/guard.before, a copy that a person made: remove it by hand" in told
    left = changes(before, machine.files())
    assert left.keys() == {
        "/var/lib/guardian",
        "/var/lib/guardian/of-another",
        "/var/lib/guard-without-a-policy",
        "/var/lib/guard-without-a-policy/ledger.sqlite",
        "/var/lib/guard.before",
        "/var/lib/guard.before/ledger.sqlite",
        # the unit was a person's own when it was installed the second time
        f"{UNITS}/guard-plan.timer",
        UNITS,
        "/usr/local/lib/systemd",
    }


def test_an_upgrade_brings_what_is_new_and_never_overwrites_what_a_person_changed(machine):
    make(machine, "install")
    change(machine, POLICY, 'url = "https://xo.example.org"', 'url = "https://xo.example.net"')
    mine = machine.inside(POLICY).read_text(encoding="utf-8")
    change(machine, f"{SOURCE}/config/guard.toml", "# Policy of guard.", "# Policy of guard, newer.")
    change(machine, f"{SOURCE}/systemd/guard.service", "RestartSec=15s", "RestartSec=16s")
    change(machine, f"{SOURCE}/guard/__init__.py", "0.1.0", "0.1.1")
    machine.inside(f"{SOURCE}/systemd/guard-plan.timer").unlink()
    told = make(machine, "install").stdout
    assert "upgraded from version 0.1.0 to 0.1.1" in told
    assert "Next: guard config check, then systemctl restart guard" in told
    assert "/dev/stdin" not in told  # what would write over a good token
    assert machine.run("guard", "--version").stdout == "guard 0.1.1\n"
    assert f"{POLICY}.new" in told
    assert machine.inside(POLICY).read_text(encoding="utf-8") == mine
    assert machine.inside(f"{POLICY}.new").read_text(encoding="utf-8").startswith("# Policy of guard, newer.")
    assert "RestartSec=16s" in machine.inside(f"{UNITS}/guard.service").read_text(encoding="utf-8")
    assert not has(machine, f"{UNITS}/guard-plan.timer")

    # told once; it stays there until somebody has looked at it
    again = make(machine, "install").stdout
    assert ".new" not in again
    assert "version 0.1.1 was installed again" in again
    assert has(machine, f"{POLICY}.new")
    lines = machine.inside("/usr/local/share/guard/installed").read_text(encoding="utf-8").splitlines()
    paths = [line.split("\t")[2] for line in lines]
    assert sorted(set(paths)) == sorted(paths)
    make(machine, "uninstall")
    assert not has(machine, f"{POLICY}.new")
    assert machine.inside(POLICY).read_text(encoding="utf-8") == mine


def test_nothing_is_removed_while_what_guard_has_in_xo_cannot_be_given_back(machine):
    make(machine, "install")
    asked = pretend_systemd(machine)
    machine.write("/var/lib/guard/ledger.sqlite", "")
    change(machine, POLICY, 'url = "https://xo.example.org"', "url = 7")
    before = machine.files()
    refused = make(machine, "uninstall", check=False)
    assert refused.returncode != 0
    assert "xo.url" in refused.stderr
    assert f"could not be given back, for {POLICY} (guard release --all, exit code 1)" in refused.stderr
    assert "make uninstall FORCE=1" in refused.stderr
    assert changes(before, machine.files()) == {}
    assert machine.run("guard", "--version").returncode == 0
    # what starts others first, then the services, so that nothing is started again; nothing is disabled yet
    stopped = asked()
    assert {verb for verb, *_ in stopped} == {"stop"}
    names = [name for _, name in stopped]
    assert sorted(names) == sorted(unit.name.replace("@.", "@*.") for unit in (ROOT / "systemd").iterdir())
    assert names == sorted(names, key=lambda name: name.endswith(".service"))

    told = make(machine, "uninstall", "FORCE=1").stdout
    assert "as FORCE=1 says" in told
    calls = asked()[len(names) :]
    disabled = {call[1] for call in calls if call[0] == "disable"}
    assert disabled >= {"guard.service", "guard@.service", "guard-release.timer", "guard-workaround.socket"}
    assert [verb for verb, *_ in calls if verb != "disable"][-2:] == ["reset-failed", "daemon-reload"]
    assert calls[-1] == ["daemon-reload"]
    assert not has(machine, "/opt/guard")
    assert has(machine, "/var/lib/guard/ledger.sqlite")


def test_a_wheel_in_a_virtual_environment_of_ones_own_puts_itself_in_place(machine, built):
    machine.copy(built[0], f"/{built[0].name}")
    before = machine.files()
    machine.run("python3", "-m", "venv", "/srv/venv")
    machine.run("/srv/venv/bin/pip", "install", "--quiet", f"/{built[0].name}", env=offline(WHEELS))
    env = {"VENV": "/srv/venv", "PREFIX": "/usr"}
    machine.run("sh", "/srv/venv/share/guard/install.sh", "install", env=env)
    assert machine.run("guard", "--version", cwd="/srv").stdout.startswith("guard ")
    assert machine.inside("/usr/bin/guard").readlink().as_posix() == "/srv/venv/bin/guard"
    unit = machine.inside("/usr/lib/systemd/system/guard.service").read_text(encoding="utf-8")
    assert "ExecStart=/usr/bin/guard daemon" in unit
    assert "/usr/local" not in unit

    told = machine.run("sh", "/srv/venv/share/guard/install.sh", "uninstall", env=env).stdout
    assert "kept /srv/venv, which was there before guard" in told
    assert not has(machine, "/srv/venv/bin/guard")
    left = [path for path in changes(before, machine.files()) if not path.startswith("/srv/venv")]
    assert left == []


def test_a_package_is_made_below_destdir_and_runs_where_it_is_unpacked(machine):
    before = machine.files()
    make(machine, "install", "DESTDIR=/stage")
    strewn = [path for path in changes(before, machine.files()) if not path.startswith("/stage")]
    assert strewn == []
    named = machine.run("grep", "-rlI", "/stage", "/stage", check=False)
    assert named.stdout == ""
    machine.run("cp", "-a", "/stage/.", "/")
    machine.run("rm", "-r", "/stage")
    assert machine.run("guard", "--version").stdout.startswith("guard ")
    assert "is a valid policy" in machine.run("guard", "config", "check").stderr


def test_what_cannot_be_done_is_told_and_leaves_everything_as_it_was(machine):
    before = machine.files()
    script = f"{SOURCE}/config/install.sh"
    for env, sentence in (
        ({"PREFIX": "/usr/my local"}, "PREFIX=/usr/my local: expected a plain path without spaces"),
        ({"VENV": "opt/guard"}, "VENV=opt/guard: expected a path from / on"),
        ({"PYTHON": "/bin/false"}, "/bin/false: expected Python 3.11 or later with venv"),
        ({"VENV": "/etc"}, "/etc is there already and is no virtual environment"),
    ):
        told = machine.run("sh", script, "install", SOURCE, env=env, check=False)
        assert (told.returncode, told.stdout) == (1, "")
        assert sentence in told.stderr
    told = machine.run("sh", script, "install", "guard", check=False)
    assert "guard: expected guard's folder or its wheel" in told.stderr
    told = machine.run("setpriv", "--reuid=65534", "sh", script, "install", SOURCE, check=False)
    assert "this needs root" in told.stderr
    assert "holds no guard" in machine.run("sh", script, "install", check=False).stderr
    assert "usage: install.sh" in machine.run("sh", script, "remove", check=False).stderr
    machine.run("sh", script, "uninstall")
    assert changes(before, machine.files()) == {}

    machine.write("/usr/local/bin/guard", "#!/bin/sh\n", 0o755)
    told = make(machine, "install", check=False)
    assert "/usr/local/bin/guard is something else already; move it away first" in told.stderr
    make(machine, "uninstall")
    assert changes(before, machine.files()).keys() == {"/usr/local/bin/guard"}


def test_an_uninstall_takes_away_what_was_put_elsewhere_although_it_is_not_told_where(machine):
    before = machine.files()
    make(machine, "install", "VENV=/srv/guard", "UNITDIR=/etc/systemd/system")
    asked = pretend_systemd(machine)
    given = {"/usr/local/sbin/systemctl"}
    make(machine, "uninstall")
    calls = asked()
    for verb in ("stop", "disable"):
        assert [verb, "guard.service"] in calls
        assert [verb, "guard-release.timer"] in calls
    assert changes(before, machine.files()).keys() == given


def test_an_installation_that_was_broken_off_is_brought_to_its_end(machine):
    make(machine, "install")
    machine.run("rm", "-r", "/opt/guard")
    machine.run("python3", "-m", "venv", "--without-pip", "/opt/guard")
    assert "not made to its end; it is made anew" in make(machine, "install").stdout
    assert machine.run("guard", "--version").stdout.startswith("guard ")


def test_an_upgrade_that_ended_on_a_full_disk_is_made_good_by_the_next_one(machine):
    make(machine, "install")
    unit, script = f"{UNITS}/guard.service", "/opt/guard/share/guard/install.sh"
    before = machine.inside(unit).read_text(encoding="utf-8")
    change(machine, "/opt/guard/share/guard/systemd/guard.service", "RestartSec=15s", "RestartSec=16s")
    full = 'for last in "$@"; do :; done; case $last in */guard.service*) : >"$last"; exit 1;; esac'
    machine.write("/usr/local/sbin/install", f'#!/bin/sh\n{full}\nexec /usr/bin/install "$@"\n', 0o755)
    failed = machine.run("sh", script, "install", check=False)
    assert (failed.returncode, f"{unit} could not be written" in failed.stderr) == (1, True)
    assert not has(machine, f"{unit}.part")
    assert machine.inside(unit).read_text(encoding="utf-8") == before
    machine.inside("/usr/local/sbin/install").unlink()
    machine.run("sh", script, "install")
    assert machine.inside(unit).read_text(encoding="utf-8") == before.replace("RestartSec=15s", "RestartSec=16s")


def test_a_policy_that_is_a_link_of_a_persons_own_stays_one(machine):
    make(machine, "install")
    machine.run("mv", POLICY, "/srv/policy.toml")
    machine.run("ln", "-s", "/srv/policy.toml", POLICY)
    change(machine, f"{SOURCE}/config/guard.toml", "# Policy of guard.", "# Policy of guard, newer.")
    assert f"{POLICY}.new" in make(machine, "install").stdout
    make(machine, "uninstall")
    assert machine.inside(POLICY).readlink().as_posix() == "/srv/policy.toml"
    assert has(machine, "/srv/policy.toml")


def test_a_ledger_without_a_guard_to_ask_and_a_guard_without_a_list_are_no_reason_to_go_on(machine):
    make(machine, "install")
    machine.write("/var/lib/guard/ledger.sqlite", "")
    machine.run("rm", "-r", "/opt/guard")
    before = machine.files()
    refused = make(machine, "uninstall", check=False)
    assert refused.returncode != 0
    assert "/usr/local/bin/guard is gone, so it cannot be asked; make install brings it back" in refused.stderr
    assert changes(before, machine.files()) == {}

    # a service that runs, of which this PREFIX has no list
    pretend_systemd(machine)
    before = machine.files()
    refused = make(machine, "uninstall", "PREFIX=/usr", "PURGE=1", check=False)
    assert refused.returncode != 0
    assert "guard runs, so nothing is purged" in refused.stderr
    assert changes(before, machine.files()) == {}
