"""The wheel and the sdist: what is in them, and that each runs from an empty virtual environment."""

from __future__ import annotations

import os
import subprocess
import sys
import tarfile
import zipfile
from email.parser import Parser
from pathlib import Path

import pytest
from guard import __version__
from tests.packaging.built import ROOT, build, wheelhouse

HERE = f"{sys.version_info.major}.{sys.version_info.minor}"
SHIPPED = {  # below share/ -> where it is in the tree
    "bash-completion/completions/guard": "config/completions/guard.bash",
    "fish/vendor_completions.d/guard.fish": "config/completions/guard.fish",
    "zsh/site-functions/_guard": "config/completions/_guard",
    "guard/guard.toml": "config/guard.toml",
    "guard/install.sh": "config/install.sh",
    "man/man1/guard.1": "docs/man/guard.1",
    "man/man5/guard.toml.5": "docs/man/guard.toml.5",
    "man/man8/guard-workaround-helper.8": "docs/man/guard-workaround-helper.8",
    **{f"doc/guard/{page.name}": f"docs/{page.name}" for page in (ROOT / "docs").glob("*.md")},
    **{f"guard/systemd/{unit.name}": f"systemd/{unit.name}" for unit in (ROOT / "systemd").iterdir()},
    **{
        f"guard/prometheus/{rules.name}": f"config/prometheus/{rules.name}"
        for rules in (ROOT / "config/prometheus").glob("*")
    },
}


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    return build(tmp_path_factory.mktemp("dist"))


@pytest.fixture(scope="module")
def wheels(tmp_path_factory, built):
    return wheelhouse(tmp_path_factory.mktemp("wheels"), built.wheel, python=HERE)


def content(wheel):
    with zipfile.ZipFile(wheel) as packed:
        return {name: packed.read(name) for name in packed.namelist()}


def test_the_wheel_holds_the_package_its_data_and_nothing_else(built):
    name = f"xo_guard-{__version__}"
    modules = {
        file.relative_to(ROOT).as_posix()
        for file in (ROOT / "guard").rglob("*")
        if file.is_file() and "__pycache__" not in str(file)
    }
    assert "guard/py.typed" in modules
    data = {f"{name}.data/data/share/{place}": ROOT / file for place, file in SHIPPED.items()}
    info = {
        f"{name}.dist-info/{file}" for file in ("METADATA", "RECORD", "WHEEL", "entry_points.txt", "licenses/LICENSE")
    }
    files = content(built.wheel)
    assert sorted(files) == sorted(modules | set(data) | info)
    assert {place: files[place] for place in data} == {place: file.read_bytes() for place, file in data.items()}


def test_its_metadata_says_what_it_is_and_under_which_licence(built):
    files = content(built.wheel)
    (told,) = (Parser().parsestr(text.decode()) for name, text in files.items() if name.endswith("METADATA"))
    assert (told["Name"], told["Version"], told["License-Expression"]) == ("xo-guard", __version__, "Apache-2.0")
    assert told["Summary"]
    assert told["Requires-Python"] == ">=3.11"
    assert told.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    needed = [one for one in told.get_all("Requires-Dist") if "extra ==" not in one]
    assert not [one for one in needed if one.startswith(("pytest", "apprise", "shtab", "hatchling"))]
    (points,) = (text.decode() for name, text in files.items() if name.endswith("entry_points.txt"))
    assert points.split() == [
        "[console_scripts]",
        *("guard", "=", "guard.cli.main:run"),
        *("guard-workaround-helper", "=", "guard.cli.workaround_helper:run"),
    ]


def test_an_index_would_take_both_and_show_the_readme(built):
    done = subprocess.run(
        [sys.executable, "-m", "twine", "check", "--strict", built.wheel, built.sdist],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PASSED") == 2


def test_the_sdist_holds_what_builds_and_tests_it_and_builds_the_same_wheel(built, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unpacked")  # a tmp_path is searched for secrets, and the tests' own are in there
    with tarfile.open(built.sdist) as packed:
        packed.extractall(folder, filter="data")
    (source,) = folder.iterdir()
    there = {path.name for path in source.iterdir()}
    assert there >= {
        "guard",
        "config",
        "systemd",
        "docs",
        "tests",
        "benchmarks",
        "README.md",
        "CHANGELOG.md",
        "LICENSE",
        "Makefile",
    }
    assert there <= {path.name for path in ROOT.iterdir()} | {"PKG-INFO"}
    strewn = {"node_modules", ".venv", "__pycache__", ".git"}
    assert [path for path in source.rglob("*") if path.name in strewn or path.suffix == ".pyc"] == []
    assert os.access(source / "config" / "install.sh", os.X_OK)
    again = build(tmp_path_factory.mktemp("again"), source)
    assert again.wheel.read_bytes() == built.wheel.read_bytes()


@pytest.mark.parametrize("kind", ["wheel", "sdist"])
def test_each_installs_and_runs_from_an_empty_virtual_environment(kind, built, wheels, tmp_path_factory):
    folder = tmp_path_factory.mktemp(kind)  # as above: the simulator's token is in there
    venv, elsewhere = folder / "venv", folder / "elsewhere"
    elsewhere.mkdir()
    env = {"PATH": os.environ["PATH"], "HOME": str(elsewhere), "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels)}
    env |= {"PIP_DISABLE_PIP_VERSION_CHECK": "1", "PIP_CONFIG_FILE": os.devnull, "LANG": "C.UTF-8"}

    def run(*command):
        done = subprocess.run(command, cwd=elsewhere, env=env, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    run(sys.executable, "-m", "venv", str(venv))
    run(str(venv / "bin" / "pip"), "install", "--quiet", str(getattr(built, kind)))
    guard = str(venv / "bin" / "guard")
    assert run(guard, "--version") == f"guard {__version__}\n"
    assert "Would do: " in run(guard, "demo", "--plan-only")
    assert "is a valid policy" in run(
        guard, "config", "check", "--config", str(venv / "share" / "guard" / "guard.toml")
    )
    told = run(guard, "explain", "CHAIN_UNHEALTHY")
    assert f"\nRunbook: {venv}/share/doc/guard/runbook.md#chain_unhealthy\n" in told
    assert {
        path.relative_to(venv / "share").as_posix() for path in (venv / "share").rglob("*") if path.is_file()
    } == set(SHIPPED)
    where = run(str(venv / "bin" / "python"), "-I", "-c", "import guard; print(guard.__file__)").strip()
    assert Path(where).is_relative_to(venv)
