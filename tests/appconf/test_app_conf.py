"""Guard's reading of XO's configuration folder against app-conf, the package by which xo-server reads it."""

from __future__ import annotations

import random
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from guard.mechanics.xo_config import OWN_FILE, can_order, order_key
from guard.remedies import timeout_file
from guard.remedies.timeout_text import Wanted, render
from guard.remedies.xo_folder import look
from tests.appconf.appconf import ask, require_app_conf, value_of, watching
from tests.appconf.folders import SIGNS, folder

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)
FOLDERS = 1000
WANTED = Wanted(value_ms=1_800_000, until=NOW + timedelta(days=30), reason="2 timeouts in the last 5 runs", by="guard")

pytestmark = pytest.mark.oracle


def made(at: Path, files: dict[str, str]) -> Path:
    at.mkdir()
    for name, text in files.items():
        (at / name).write_text(text)
    return at


def spelled(setting):
    return {"unusable": True} if not setting.usable else {} if setting.value_ms is None else {"ms": setting.value_ms}


def test_a_thousand_random_folders_hold_what_app_conf_finds_in_them(tmp_path, capsys):
    require_app_conf()
    random_ = random.Random(6)
    places = [made(tmp_path / str(count), folder(random_)) for count in range(FOLDERS)]
    answers = ask([{"folder": str(place)} for place in places])
    different, found = [], {"ms": 0, "unusable": 0, "": 0}
    for place, answer in zip(places, answers, strict=True):
        state = look(place, NOW)
        assert (state.problem, state.broken, state.unsure) == ("", (), ())
        if answer.get("value") != spelled(state.in_force):
            different.append((sorted(one.name for one in place.iterdir()), answer, state.in_force))
        found[next(iter(answer["value"]), "")] += 1
    with capsys.disabled():
        print(f"\noracle app-conf: {len(places)} random folders ({found}), {len(different)} differences")
    assert different == []
    assert min(found.values()) > FOLDERS / 20


def test_every_two_signs_in_a_name_are_ordered_as_app_conf_orders_them(tmp_path):
    require_app_conf()
    random_ = random.Random(7)
    places, expected = [], []
    signs = [*SIGNS, *"bBmM59"]
    for count in range(600):
        one, two = (
            "config."
            + "".join(random_.choices(signs, k=random_.randint(1, 4)))
            + f".{random_.choice(['toml', 'TOML'])}"
            for _ in range(2)
        )
        places.append(
            made(
                tmp_path / str(count),
                {name: f"xapiOptions.httpInactivityTimeout = {value}\n" for name, value in ((one, 1), (two, 2))},
            )
        )
        expected.append(2 if one == two or order_key(one) < order_key(two) else 1)
    assert [one["value"]["ms"] for one in ask([{"folder": str(place)} for place in places])] == expected


@pytest.mark.parametrize(
    "text",
    [
        "[xapiOptions\n",
        "a = 1\na = 2\n",
        "\ufeffa = 1\n",
        'a = [1, "b"]\n',
        "a = [1, 2.0]\n",
        "a = [[1], [[2.0, 3]]]\n",
    ],
)
def test_a_file_that_guard_calls_broken_is_one_that_app_conf_cannot_load(tmp_path, text):
    require_app_conf()
    place = made(tmp_path / "etc", {"config.toml": text})
    assert [one.file for one in look(place, NOW).broken] == ["config.toml"]
    assert "error" in value_of(place)


def test_a_folder_or_a_link_that_leads_nowhere_keeps_app_conf_from_loading_even_without_a_known_ending(tmp_path):
    require_app_conf()
    for name in ("folder", "link"):
        place = made(tmp_path / name, {"config.toml": "a = 1\n"})
        if name == "folder":
            (place / "config.d").mkdir()
        else:
            (place / "config.old").symlink_to("nowhere")
        assert len(look(place, NOW).broken) == 1
        assert "error" in value_of(place)


def test_a_link_is_read_by_the_ending_of_what_it_leads_to(tmp_path):
    require_app_conf()
    place = made(tmp_path / "etc", {})
    (tmp_path / "real.toml").write_text("xapiOptions.httpInactivityTimeout = 700000\n")
    (place / "config.linked").symlink_to(tmp_path / "real.toml")
    assert value_of(place) == {"ms": 700_000} == spelled(look(place, NOW).in_force)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("config.a.yaml", "xapiOptions:\n  httpInactivityTimeout: 900000\n"),
        ("config.a.json", "{xapiOptions: {httpInactivityTimeout: 900000}} // JSON5"),
        ("config.a.json5", "{xapiOptions: {'httpInactivity\\\nTimeout': 900000}}"),
        ("config.é.toml", "xapiOptions.httpInactivityTimeout = 900000\n"),
    ],
)
def test_what_guard_cannot_read_and_app_conf_can_is_told_as_unsure(tmp_path, name, text):
    require_app_conf()
    place = made(tmp_path / "etc", {name: text})
    assert value_of(place) == {"ms": 900_000}
    state = look(place, NOW)
    assert ([one.file for one in state.unsure], state.in_force.file) == ([name], None)
    assert not can_order(name) or state.unsure[0].later is False


def test_what_guard_writes_is_what_app_conf_then_finds_also_after_the_page_file_and_config_toml(tmp_path):
    require_app_conf()
    place = made(
        tmp_path / "etc",
        {
            "config.toml": "[http]\n[xapiOptions]\nhttpInactivityTimeout = 400000\nmaxUncoalescedVdis = 2\n",
            "config.httpInactivityTimeout.toml": "[xapiOptions]\nhttpInactivityTimeout = 600000 # 10 mins\n",
            "config.z-auto.json": '{"http": {"port": 80}}',
        },
    )
    before = value_of(place)
    timeout_file.apply(place, WANTED, NOW, adopt=True)
    assert (before, value_of(place)) == ({"ms": 400_000}, {"ms": 1_800_000})
    timeout_file.revert(place, NOW)
    assert value_of(place) == {"ms": 400_000}


def test_what_guard_leaves_behind_when_it_is_killed_is_nothing_that_app_conf_opens(tmp_path):
    require_app_conf()
    place = made(tmp_path / "etc", {timeout_file.TEMPORARY: "[xapiOpt", "config.toml": "a = 1\n"})
    assert value_of(place) == {}


def test_a_running_xo_sees_every_value_and_never_an_error_while_guard_writes_and_takes_back(tmp_path, capsys):
    require_app_conf()
    place = made(tmp_path / "etc", {"config.toml": "[http]\n"})
    expected, found, errors = [], [], []
    with watching(place, tmp_path) as settled:
        for count in range(9):
            if count % 3 == 2:
                timeout_file.revert(place, NOW)
                expected.append({})
            else:
                timeout_file.apply(place, WANTED._replace(value_ms=400_000 + count), NOW)
                expected.append({"ms": 400_000 + count})
            seen = settled()
            found.append(seen[-1].get("value"))
            errors += [one for one in seen if "error" in one]
    with capsys.disabled():
        print(f"\noracle app-conf: {len(found)} changes seen by a running one, {len(errors)} errors")
    assert (found, errors) == (expected, [])


def test_the_text_is_the_same_to_three_toml_parsers(tmp_path):
    require_app_conf()
    random_ = random.Random(8)
    letters = "ab \"'\\#[]={}\N{SNOWMAN}\N{PILE OF POO}\u00e9 \u0644]]>-->%n"
    for _ in range(200):
        reason = "x" + "".join(random_.choices(letters, k=random_.randint(1, 400)))
        wanted = WANTED._replace(reason=reason, value_ms=random_.randint(300_001, 21_600_000))
        text = render(wanted, NOW)
        expected = {"xapiOptions": {"httpInactivityTimeout": wanted.value_ms}}
        assert tomllib.loads(text) == expected
        (tmp_path / f"{wanted.value_ms}.toml").write_text(text)
    texts = [one.read_text() for one in tmp_path.iterdir()]
    answers = [one["parsed"] for one in ask([{"toml": text} for text in texts])]
    assert answers == [tomllib.loads(text) for text in texts]
    assert OWN_FILE.endswith(".toml")
