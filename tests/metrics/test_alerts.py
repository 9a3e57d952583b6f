"""The alert rules, judged by promtool itself; and that they speak of figures and runbooks that there are."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest
from guard.policy.codes import EVERY_CODE
from guard.views.metrics import FAMILIES, Kind, exposition
from tests.metrics.everything import every_figure

ROOT = Path(__file__).parents[2]
RULES = ROOT / "config" / "prometheus" / "guard-alerts.yaml"
UNIT_TESTS = Path(__file__).with_name("guard-alerts-test.yaml")
TEXT = RULES.read_text(encoding="utf-8")
ALERTS = re.findall(r"- alert: (\w+)\n(.*?)(?=\n {6}- alert:|\Z)", TEXT, re.DOTALL)


@pytest.fixture(scope="module")
def promtool():
    """Run promtool. Without it these tests are skipped, loudly; under CI that is a failure."""
    tool = shutil.which("promtool")
    if tool is None:
        reason = (
            "promtool is not installed (Debian package prometheus): the alert rules were not looked at by Prometheus"
        )
        print(reason)
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)

    def run(*arguments, stdin=None):
        done = subprocess.run([tool, *arguments], input=stdin, capture_output=True, check=False, timeout=60)
        return done.returncode, (done.stdout + done.stderr).decode()

    return run


def test_promtool_finds_nothing_wrong_with_the_rules(promtool):
    code, said = promtool("check", "rules", "--lint=all", "--lint-fatal", str(RULES))
    assert code == 0, said
    assert f"SUCCESS: {len(ALERTS)} rules found" in said


def test_every_alert_goes_off_when_it_should_and_not_before(promtool):
    code, said = promtool("test", "rules", str(UNIT_TESTS))
    assert code == 0, said


def test_promtool_does_find_a_rule_that_is_broken(promtool, tmp_path):
    rules, tests = tmp_path / "rules.yaml", tmp_path / "tests.yaml"
    broken = TEXT.replace("guard_ledger_writable == 0", "guard_ledger_writable == 1")
    assert broken != TEXT
    rules.write_text(broken, encoding="utf-8")
    unit = UNIT_TESTS.read_text(encoding="utf-8").replace("../../config/prometheus/guard-alerts.yaml", str(rules))
    tests.write_text(unit, encoding="utf-8")
    code, said = promtool("test", "rules", str(tests))
    assert code != 0
    assert "GuardLedgerUnwritable" in said


def test_promtool_finds_nothing_wrong_with_the_text_of_every_figure(promtool):
    text = exposition(every_figure(), 1000)
    code, said = promtool("check", "metrics", stdin=text)
    assert (code, said) == (0, "")


def test_promtool_does_find_what_is_wrong_with_a_text(promtool):
    code, said = promtool("check", "metrics", stdin=b"# TYPE guard_thing counter\nguard_thing 1\n")
    assert code != 0
    assert "guard_thing" in said


@pytest.mark.parametrize(("name", "rule"), ALERTS, ids=[name for name, _ in ALERTS])
def test_an_alert_says_how_bad_it_is_what_is_wrong_and_where_to_read_on(name, rule):
    assert re.search(r"severity: (page|ticket)\n", rule)
    for key in ("summary", "description", "runbook_url"):
        assert len(re.findall(rf"^ +{key}: ", rule, re.MULTILINE)) == 1
    assert "{{ $value" in rule or re.search(r"humanizeDuration|\d+ minutes|\d MiB|guard why", rule), "no number in it"
    (link,) = re.findall(r"runbook_url: (\S+(?: .*)?)", rule)
    page, _, anchor = link.partition("#")
    if page == "docs/runbook.md":
        codes = {one.lower() for one in EVERY_CODE}
        assert anchor in codes or anchor == "{{ $labels.code | toLower }}"
    else:
        headings = re.findall(r"^### (\w+)$", (ROOT / page).read_text(encoding="utf-8"), re.MULTILINE)
        assert anchor in [one.lower() for one in headings]


@pytest.mark.parametrize(("name", "rule"), ALERTS, ids=[name for name, _ in ALERTS])
def test_every_alert_has_a_test_that_it_is_quiet_and_one_that_it_goes_off(name, rule):
    unit = UNIT_TESTS.read_text(encoding="utf-8")
    quiet = re.findall(rf"alertname: {name}, eval_time: \w+, exp_alerts: \[\]", unit)
    loud = re.findall(rf"alertname: {name}\n +eval_time: \w+\n +exp_alerts:\n", unit)
    assert loud
    assert quiet or name == "GuardAlarm", "other codes of the same test are its quiet case"


def test_an_alert_asks_only_for_figures_that_there_are_with_labels_that_they_have():
    known = {one.name: set(one.labels) for one in FAMILIES}
    known |= {f"{one.name}_bucket": {*one.labels, "le"} for one in FAMILIES if one.kind is Kind.HISTOGRAM}
    asked = 0
    for name, labels in re.findall(r"\b(guard_[a-z_]+)(?:\{([^}]*)\})?", TEXT):
        assert name in known
        assert set(re.findall(r"(\w+)(?:=~|!~|=|!=)", labels)) <= known[name] | {"instance"}
        asked += 1
    assert asked > 20
