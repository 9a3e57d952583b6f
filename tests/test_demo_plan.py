"""The whole way on the demo world: simulator, client, estate, assessment, views. Every planted trouble must be found."""

from __future__ import annotations

import io
import json
from datetime import timedelta

import pytest
from guard.assess import make_plan
from guard.checks import CODES
from guard.cli.main import main
from guard.cli.source import read_demo
from guard.decision.verdict import Action
from guard.estate.capture import from_bytes, to_bytes
from guard.finding import Level
from guard.policy.load import load
from guard.policy.schema import default_policy
from guard.simulator.demo import DEMO_NOW, PLANTED
from guard.views.documents import plan_document
from tests.builders import assert_declared


@pytest.fixture(scope="module")
def estate():
    return read_demo()


def plan_of(estate, policy=None):
    policy = policy or default_policy()
    return make_plan(estate, policy, now=DEMO_NOW, start=DEMO_NOW, within=timedelta(hours=24))


@pytest.fixture(scope="module")
def plan(estate):
    return plan_of(estate)


def run_of(plan, schedule, nth=0):
    return [one for one in plan.runs if one.run.schedule.name == schedule][nth]


@pytest.mark.parametrize(("code", "schedule"), PLANTED)
def test_every_planted_trouble_is_found_on_its_schedule(plan, code, schedule):
    found = {finding.code for one in plan.runs if one.run.schedule.name == schedule for finding in one.verdict.findings}
    assert code in found


def test_every_prediction_of_the_demo_is_one_that_its_code_declares(plan):
    for one in plan.runs:
        for finding in one.verdict.findings:
            assert_declared(finding)


def test_every_code_of_guard_is_planted_in_the_demo():
    assert {code for code, _ in PLANTED} == set(CODES)


def test_no_check_crashed_and_none_lacked_its_facts(plan):
    said = [finding.summary for one in plan.runs for finding in one.verdict.findings]
    assert not [text for text in said if "itself failed" in text or "is unknown:" in text]


@pytest.mark.parametrize(
    ("schedule", "action", "held"),
    [
        ("mail nightly", Action.START, 0),
        ("web nightly", Action.START_SOME, 1),
        ("legacy nightly", Action.DEFER, 1),
        ("archive nightly", Action.DEFER, 1),
        ("files nightly", Action.START_SOME, 2),
        ("media nightly", Action.START_SOME, 1),
        ("photos nightly", Action.REFUSE, 1),
        ("branch nightly", Action.DEFER, 1),
        ("retired nightly", Action.DEFER, 12),
        ("two copies nightly", Action.START, 0),
        ("staging nightly", Action.DEFER, 0),
        ("shops nightly", Action.START, 0),
        ("lyon nightly", Action.DEFER, 0),
        ("listed nightly", Action.START_SOME, 1),
        ("local nightly", Action.START_SOME, 1),
        ("warehouse evening", Action.SKIP, 2),
        ("twin B", Action.SKIP, 1),
        ("half past two", Action.START, 0),
        ("storm", Action.DEFER, 1),
        ("unsaved nightly", Action.REFUSE, 2),
        ("step two", Action.START, 0),
        ("metadata", Action.START, 0),
    ],
)
def test_each_schedule_gets_its_verdict(plan, schedule, action, held):
    verdict = run_of(plan, schedule).verdict
    assert (verdict.action, len(verdict.held)) == (action, held)


def test_the_figures_are_those_that_were_planted(plan):
    def facts(schedule, code):
        finding = next(one for one in run_of(plan, schedule).verdict.findings if one.code == code)
        return {fact.name: fact.value for fact in finding.facts}

    assert facts("web nightly", "CHAIN_UNHEALTHY")["uncoalesced"] == 2
    assert facts("legacy nightly", "CHAIN_UNHEALTHY")["uncoalesced"] == 3
    archive = facts("archive nightly", "SR_NO_SPACE")
    leaf = next(one for one in plan.estate.vdis if one.name_label == "archive-1_disk0")
    assert archive["free"] == 12 * 2**20
    # 24 MiB, and what a fully inflated volume of 100 GiB (107 592 286 208 bytes) is larger than the simulated leaf
    assert archive["need_at_least"] == 24 * 2**20 + 107_592_286_208 - leaf.usage
    media = facts("media nightly", "REPOSITORY_NO_SPACE")
    assert media["available"] == 45 * 2**30
    # P90 by nearest rank of six deltas of 20 GiB and 1 to 6 MiB is the largest
    assert media["need_p90"] == 3 * (20 * 2**30 + 6 * 2**20)


def test_a_healthy_job_makes_no_finding_at_all(plan):
    assert run_of(plan, "mail nightly").verdict.findings == ()


def test_a_sequence_runs_its_members_one_after_another(plan):
    first, second = run_of(plan, "step one"), run_of(plan, "step two")
    assert first.run.due.via == second.run.due.via != ""
    assert timedelta(minutes=20) <= second.run.due.at - first.run.due.at < timedelta(minutes=21)


def test_a_job_named_by_a_number_keeps_its_name_and_its_odd_zone_is_told(plan):
    assert run_of(plan, "number").run.job.name == "123"
    assert [one for one in plan.notes if "Mars/Olympus" in one.text]


def test_a_capture_gives_the_same_plan_and_holds_no_secret(estate, plan):
    data = to_bytes(estate)
    again = from_bytes(data)
    assert to_bytes(again) == data
    document, offline = plan_document(plan), plan_document(plan_of(again))
    assert offline == document
    assert b"key@" not in json.dumps([one.url for one in again.repositories]).encode()


def test_the_policy_turns_a_check_into_a_warning_or_off(estate):
    text = 'xo.url = "https://xo"\n[checks.chain]\neffect = "warn"\n[[schedule]]\nname = "leg*"\nchecks.chain.tolerance = 9\n'
    plan = plan_of(estate, load(text, file="p"))
    assert run_of(plan, "web nightly").verdict.action is Action.START
    assert [one.level for one in run_of(plan, "web nightly").verdict.findings if one.code == "CHAIN_UNHEALTHY"] == [
        Level.WARN
    ]
    assert not [one for one in run_of(plan, "legacy nightly").verdict.findings if one.code == "CHAIN_UNHEALTHY"]
    off = plan_of(estate, load('xo.url = "https://xo"\n[checks.chain]\neffect = "off"\n', file="p"))
    assert run_of(off, "legacy nightly").verdict.action is Action.START


def test_what_an_unknown_does_is_the_policys_choice(estate):
    text = 'xo.url = "https://xo"\n[defaults]\non_unknown = "refuse"\n'
    assert run_of(plan_of(estate, load(text, file="p")), "no figures nightly").verdict.action is Action.REFUSE


def call(*argv, env=None):
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err, env or {}), out.getvalue(), err.getvalue()


def test_the_demo_shows_every_code_within_80_columns():
    code, out, err = call("demo", "--plan-only")
    assert code == 0
    assert not [one for one in CODES if one not in out]
    assert not [line for line in out.splitlines() if len(line) > 80 and " " in line.strip()]
    assert "simulated" in err


def test_plan_demo_as_json_with_exit_code_says_two():
    code, out, _ = call("plan", "--demo", "--json", "--exit-code", "--within", "24 h")
    document = json.loads(out)
    assert code == 2
    assert document["schema"] == "guard.plan/1"
    assert len(document["due"]) == 35
    assert all(
        fact["unit"] is not None for due in document["due"] for one in due["findings"] for fact in one["facts"].values()
    )
    assert {
        "code",
        "check",
        "level",
        "certainty",
        "harm",
        "scope",
        "holds",
        "summary",
        "facts",
        "remedy",
        "clears",
        "accepted",
    } == set(document["due"][0]["findings"][0])


def test_one_schedule_can_be_planned_alone_and_a_wrong_one_is_told():
    code, out, _ = call("plan", "--demo", "--schedule", "mail nightly", "--exit-code")
    assert (code, "Every run would start whole" in out) == (0, True) or "Note:" in out
    code, _, err = call("plan", "--demo", "--schedule", "nobody")
    assert (code, err) == (1, "guard: --schedule 'nobody': XO has no schedule of that id or name\n")
    assert call("plan", "--demo", "--schedule", "mial nightly")[2].endswith("; did you mean 'mail nightly'?\n")
    assert call("plan", "--demo", "--schedule", "twins")[2].endswith("; that is a job, with 'twin A', 'twin B'\n")


def test_plan_demo_tells_what_guard_would_remedy_and_by_default_that_it_only_watches(tmp_path):
    policy = tmp_path / "guard.toml"
    policy.write_text('[xo]\nurl = "http://x"\n[defaults]\ngate = "enforce"\n')
    code, out, _ = call("plan", "--demo", "--config", str(policy))
    told = [line for line in out.splitlines() if line.startswith("Would")]
    assert code == 0
    assert "Would do: scan SAN LUN 1 at Sat 27 Mar 21:00 CET." in told
    assert "Would do: reconnect lyon at Sat 27 Mar 20:35 CET." in told
    assert any(line.startswith("Would help, and guard does not do it: write httpInactivityTimeout") for line in told)
    assert "httpInactivityTimeout = 1800000" in out
    watched = call("plan", "--demo", "--json")[1]
    remedies = json.loads(watched)["remedies"]
    assert {one["kind"] for one in remedies} == {"reconnect", "plug", "timeout_file", "rescan"}
    assert not any(one["would_do"] for one in remedies)
    assert "the policy says observe for what needs it" in {one["aside"] for one in remedies}


def test_match_and_when_read_the_demo():
    code, out, _ = call("match", "shops", "--demo")
    assert (code, "takes 6 VMs" in out, "shop-7: its tags" in out) == (0, True, True)
    code, out, _ = call("when", "storm", "--demo", "--count", "1")
    assert (code, "start storm" in out) == (0, True)
    assert call("match", "nobody", "--demo")[0] == 1
    assert "metadataBackup" in call("match", "metadata", "--demo")[2]
