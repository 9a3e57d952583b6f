"""The simulated XO's reading of a configuration folder, against the npm package by which xo-server reads its own."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

from guard.simulator.config import BrokenConfigError, Config
from tests.appconf.appconf import ask, require_app_conf
from tests.appconf.folders import folder as random_folder

FOLDERS = 400
BROKEN = {"config.zzzz.toml": "[xapiOptions", "config.b.json": "{"}


def read(folder: Path) -> dict[str, Any]:
    """In the oracle's words."""
    config = Config()
    try:
        config.folder = folder
    except BrokenConfigError:
        return {"error": True}
    except NotImplementedError:
        return {"value": {"unusable": True}}
    seconds = config.http_inactivity
    return {"value": {"ms": 0 if seconds == float("inf") else round(seconds * 1000)}}


def test_every_folder_is_read_as_the_real_package_reads_it(tmp_path: Path) -> None:
    require_app_conf()
    random_ = random.Random(20_261_126)
    folders = []
    for number in range(FOLDERS):
        place = tmp_path / str(number)
        place.mkdir()
        files = random_folder(random_)
        if number % 20 == 0:
            name = random_.choice(sorted(BROKEN))
            files[name] = BROKEN[name]
        for name, text in files.items():
            (place / name).write_text(text)
        folders.append(place)
    answers = ask([{"folder": str(one)} for one in folders])
    seen = []
    for place, real in zip(folders, answers, strict=True):
        wanted = {"error": True} if "error" in real else {"value": real["value"] or {"ms": 300_000}}
        assert read(place) == wanted, sorted(one.name for one in place.iterdir())
        seen.append(next(iter(wanted.get("value", wanted))))
    print(f"\noracle app-conf: {FOLDERS} folders, {seen.count('error')} broken, {seen.count('unusable')} unusable")
    assert {"ms", "unusable", "error"} == set(seen)
