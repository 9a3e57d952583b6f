"""guard coverage on the demo, on captures and on odd worlds: what is planted is found, and nothing odd ends it."""

from __future__ import annotations

import asyncio
import dataclasses
import io
import json
import random
import re
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest
from guard.cli.main import main
from guard.coverage.report import make_coverage
from guard.decision.verdict import Action
from guard.estate.capture import to_bytes
from guard.estate.estate import PartName
from guard.lifecycle.events import End, RunKey
from guard.policy.load import load
from guard.policy.schema import default_policy
from guard.simulator.demo import DEMO_NOW, TOKEN, build
from guard.simulator.serve import running
from guard.views.coverage import coverage_text
from guard.views.coverage_document import coverage_document
from guard.views.text import cells
from tests.ledger.opening import XO, opened
from tests.lifecycle import stories
from tests.test_odd_worlds import read, with_job, with_schedule

DOCS = Path(__file__).parents[1] / "docs" / "coverage.md"


@pytest.fixture(scope="module")
def estate():
    return read()


@pytest.fixture(scope="module")
def capture(estate, tmp_path_factory):
    path = tmp_path_factory.mktemp("capture") / "demo.json.gz"
    path.write_bytes(to_bytes(estate))
    return str(path)


def call(*argv, env=None):
    out, err = io.StringIO(), io.StringIO()
    return main(["coverage", *argv], out, err, env or {}), out.getvalue(), err.getvalue()


def cover(estate, text=""):
    policy = load('[xo]\nurl = "https://xo"\n' + text, file="p") if text else default_policy()
    coverage = make_coverage(estate, policy, DEMO_NOW)
    told = coverage_text(coverage, took_s=0)
    assert all(cells(line) <= 80 for line in told.splitlines())
    assert msgspec.json.decode(msgspec.json.encode(coverage_document(coverage)))["schema"] == "guard.coverage/1"
    return coverage


def test_the_demo_shows_what_is_planted_in_it(estate):
    found = cover(estate)
    assert {one.name for one in found.gaps.uncovered} == {"shop-7", "shop-8", "shop-9", "shop-10"}
    assert {"archive-1", "deep-1", "unsaved-2"} <= {one.name for one in found.stale}
    names = {one.id: one.name for one in estate.schedules}
    assert {frozenset((names[one.one], names[one.other])) for one in found.collisions} == {
        frozenset(("twin A", "twin B")),
        frozenset(("every two hours",)),
    }
    filling = {one.name: one.filling.value for one in found.repositories}
    assert filling == {
        "usb-box": "full",
        "usb-drawer": "full",
        "nas": "steady",
        "usb-folder": "steady",
        "proxy-nas": "steady",
        "branch-nfs": "unknown",
        "cloud": "unknown",
        "new-nfs": "unknown",
    }
    assert not found.is_whole


def test_a_suggestion_of_the_demo_clears_the_collision_when_a_person_sets_it(estate):
    (suggested,) = cover(estate).stagger.suggestions
    name = estate.schedule_by_id[suggested.schedule].name
    after = cover(with_schedule(estate, name, cron=suggested.suggested))
    assert after.stagger.before.collisions == suggested.after.collisions < suggested.before.collisions
    assert after.stagger.suggestions == ()


def test_the_docs_show_what_the_command_prints():
    code, out, err = call("--demo")
    assert (code, err) == (0, "")
    shown = re.search(r"    \$ guard coverage --demo\n((?:    .*\n|\n)+)", DOCS.read_text())[1]
    told = "".join(line[4:] if line.strip() else line for line in shown.splitlines(keepends=True)).strip() + "\n"
    port, took = r"127\.0\.0\.1:\d+", r"this took .*"
    assert re.sub(took, "this took", re.sub(port, "port", out)) == re.sub(took, "this took", re.sub(port, "port", told))


def test_the_exit_code_is_2_only_where_it_is_asked_for_and_something_is_lacking(capture):
    assert call("--estate", capture)[0] == 0
    assert call("--estate", capture, "--exit-code")[0] == 2


def test_the_exit_code_is_0_where_nothing_is_lacking(estate, tmp_path):
    mail = next(one for one in estate.jobs if one.name == "mail")
    vms = tuple(one for one in estate.vms if one.name.startswith("mail-"))
    repositories = tuple(one for one in estate.repositories if one.name == "nas")
    schedules = tuple(one for one in estate.schedules if one.job_id == mail.id)
    servers = tuple(one for one in estate.servers if one.status == "connected")
    well = dataclasses.replace(
        estate, jobs=(mail,), vms=vms, repositories=repositories, schedules=schedules, servers=servers
    )
    path = tmp_path / "well.json.gz"
    path.write_bytes(to_bytes(well))
    assert call("--estate", str(path), "--exit-code")[0] == 0
    assert call("--estate", str(path), "--exit-code", "--max-age", "1 h")[0] == 2


def test_a_capture_gives_the_document_and_says_where_it_is_from(capture):
    document = json.loads(call("--estate", capture, "--json")[1])
    assert (document["schema"], document["whole"]) == ("guard.coverage/1", False)
    assert call("--estate", capture)[1].startswith(
        "From the capture demo.json.gz, and for Sat 27 Mar 18:00 UTC, when it was"
    )


@pytest.mark.parametrize(
    ("given", "said"),
    [("soon", "--max-age 'soon': expected a duration"), ("0 s", "--max-age '0 s': expected more than 0 s, such as")],
)
def test_a_wrong_max_age_is_one_clear_error(given, said):
    code, out, err = call("--demo", "--max-age", given)
    assert (code, out) == (1, "")
    assert err.startswith(f"guard: {said}")


def test_a_max_age_of_the_command_counts_before_all_others(capture):
    document = json.loads(call("--estate", capture, "--json", "--max-age", "1 h")[1])
    assert {one["limit_source"] for one in document["stale"]} == {"[coverage] max_age"}
    # all 65 but warehouse-1 and -2, which a job by hand saved 40 minutes ago
    assert len({one["id"] for one in document["stale"]}) == 63


def held_in(path, estate):
    """A ledger in which guard held archive-1 of last night's run to the end."""
    vm = next(one for one in estate.vms if one.name == "archive-1")
    due = DEMO_NOW - timedelta(hours=17)
    schedule = next(one for one in estate.schedules if one.name == "archive nightly")
    said = stories.decided(
        stories.finding(), due=due, action=Action.REFUSE, held=[msgspec.structs.replace(stories.held(), vm=vm.id)]
    )
    events = (stories.seen(due=due), msgspec.structs.replace(said, acts=True), stories.ended(End.REFUSED, at=due))
    with opened(path, clock=lambda: DEMO_NOW) as ledger:
        asyncio.run(ledger.append(RunKey(schedule.id, due), 0, *events))


def test_a_ledger_that_was_asked_for_must_be_there_and_tells_what_guard_held(estate, capture, tmp_path):
    policy = tmp_path / "guard.toml"
    policy.write_text(f'[xo]\nurl = "{XO}"\n')
    asked = ("--estate", capture, "--config", str(policy), "--state", str(tmp_path))
    code, _, err = call(*asked)
    assert (code, "there is no ledger yet" in err) == (1, True)
    held_in(tmp_path / "ledger.sqlite", estate)
    code, out, _ = call(*asked)
    assert code == 0
    assert "archive nightly: held CHAIN_UNHEALTHY: web: 2 uncoalesced" in " ".join(out.split())


def test_without_a_ledger_a_live_xo_is_told_all_the_same(tmp_path):
    token, policy = tmp_path / "token", tmp_path / "guard.toml"
    token.write_text(TOKEN)
    token.chmod(0o600)
    with running(build(lambda: DEMO_NOW)) as url:
        policy.write_text(f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\n')
        code, out, err = call("--config", str(policy), env={"STATE_DIRECTORY": str(tmp_path / "none")})
    assert (code, err) == (0, "")
    assert "69 VMs: 65 in an enabled schedule, 4 in none." in out


def test_an_xo_that_cannot_be_reached_is_one_clear_error(tmp_path):
    token, policy = tmp_path / "token", tmp_path / "guard.toml"
    token.write_text("a-token-that-opens-nothing")
    token.chmod(0o600)
    policy.write_text(f'[xo]\nurl = "http://127.0.0.1:9"\ntoken_file = "{token}"\n')
    code, out, err = call("--config", str(policy))
    assert (code, out, err.count("\n")) == (1, "", 1)


@pytest.mark.parametrize("part", [one.value for one in PartName])
def test_a_part_that_was_not_read_or_filtered_never_ends_it(estate, part):
    name = PartName(part)
    if name not in estate.parts:
        return
    for change in ({"ok": False, "error": "XO answered 500"}, {"complete": False}):
        read_so = msgspec.structs.replace(estate.parts[name], **change)
        bent = dataclasses.replace(estate, parts={**estate.parts, name: read_so})
        if not change.get("ok", True) and hasattr(estate, part):
            bent = dataclasses.replace(bent, **{part: type(getattr(estate, part))()})
        cover(bent)


def test_an_empty_xo_and_one_without_logs_are_told(estate):
    cover(dataclasses.replace(estate, logs=()))
    empty = dict.fromkeys(
        ("vms", "jobs", "schedules", "repositories", "logs", "vbds", "vdis", "call_jobs", "servers"), ()
    )
    found = cover(dataclasses.replace(estate, **empty, repository_info={}))
    assert (found.gaps.vms, found.stale, found.collisions, found.repositories) == (0, (), (), ())
    assert found.is_whole


@pytest.mark.parametrize("cron", ["0 2 * * wed", "", "0 0 31 1 *", "* * * * *", "0,30 2 * * *", "@hourly", "0 2 * * *"])
@pytest.mark.parametrize("zone", ["Europe/Paris", "local", "Mars/Olympus", None])
def test_odd_schedules_never_end_it(estate, cron, zone):
    cover(with_schedule(estate, "mail nightly", cron=cron, timezone=zone))
    cover(with_schedule(estate, "sunday sequence", cron=cron, timezone=zone))


@pytest.mark.parametrize(
    "changes",
    [
        {"vms": {"tags": {"__or": "x"}}},
        {"vms": None},
        {"vms": {"id": {"__or": []}}},
        {"settings": {"": {"concurrency": 0, "longTermRetention": {"daily": {"retention": "x"}}}}},
        {"settings": msgspec.UNSET},
        {"remotes": "x"},
        {"remotes": {"id": {"__or": ["gone"]}}},
        {"srs": {"id": "gone"}},
        {"mode": msgspec.UNSET, "type": "mirrorBackup", "source_remote": "gone"},
        {"raw_name": None},
    ],
)
def test_odd_jobs_never_end_it(estate, changes):
    cover(with_job(estate, "mail", **changes))


@pytest.mark.parametrize("seed", range(6))
def test_logs_with_pieces_missing_or_of_another_kind_never_end_it(estate, seed):
    rng = random.Random(seed)
    odd = [msgspec.UNSET, None, 0, -1, 2**60, "x", [], {}, {"message": 1}]

    def bent(task):
        changes = {name: rng.choice(odd) for name in ("data", "result", "message") if rng.random() < 0.3}
        if rng.random() < 0.2:
            changes["status"] = rng.choice(["pending", "failure", "skipped", "interrupted", "odd"])
        if rng.random() < 0.2:
            changes |= {"start": rng.choice([msgspec.UNSET, 0, 2**60]), "end": msgspec.UNSET}
        if not isinstance(changes.get("message", ""), str):
            changes["message"] = msgspec.UNSET
        return msgspec.structs.replace(task, **changes, tasks=tuple(map(bent, task.tasks)))

    def log(one):
        tasks = msgspec.UNSET if rng.random() < 0.1 else tuple(map(bent, one.tasks or ()))
        status = rng.choice([one.status, "failure", "pending", "interrupted"])
        return msgspec.structs.replace(
            one, tasks=tasks, status=status, infos=rng.choice([one.infos, [], ["x"], msgspec.UNSET])
        )

    cover(dataclasses.replace(estate, logs=tuple(map(log, estate.logs))))


def test_figures_that_cannot_be_are_told_as_unknown(estate):
    nas = next(one for one in estate.repositories if one.name == "nas")
    for change in ({"available": msgspec.UNSET}, {"size": msgspec.UNSET}, {"available": -5}, {"available": 2**70}):
        info = {**estate.repository_info, nas.id: msgspec.structs.replace(estate.repository_info[nas.id], **change)}
        cover(dataclasses.replace(estate, repository_info=info))


def test_a_clock_that_is_wrong_by_years_never_ends_it(estate):
    for now in (DEMO_NOW - timedelta(days=4000), DEMO_NOW + timedelta(days=3000)):
        coverage_text(make_coverage(estate, default_policy(), now), took_s=0)


def test_windows_and_limits_of_the_policy_are_kept_to(estate):
    text = '[[window]]\ncron = "0 5 * * *"\nduration = "2 h"\n[[limit]]\nslots = 1\nper = "xo"\n'
    found = cover(estate, text)
    assert next(one.kind for one in found.crowds) == "xo"
    assert all(one.after.collisions <= one.before.collisions for one in found.stagger.suggestions)
