"""The codes: one space for predictions and causes, each with something to say and to do."""

from __future__ import annotations

import re

import pytest
from guard.checks import CODES
from guard.outcomes import alarms, codes
from guard.outcomes.alarms import ALARMS
from guard.outcomes.causes import RULES, TRANSIENT, WAITING_HELPS
from guard.outcomes.codes import ALL_CODES, OWN
from guard.views.explain import codes_text, explain_text
from tests.outcomes.tables import CLASSES, SECTION_5

# the table of issue 5 ("Know") and the codes issue 3 names: those that no check owns yet
NAMED = [
    "CHAIN_TOO_LONG",
    "REPOSITORY_LOCKED",
    "EXPORT_TIMEOUT",
    "EXPORT_INCOMPLETE",
    "DISK_UNREADABLE",
    "SNAPSHOT_UNSUPPORTED",
    "USB_ATTACHED",
    "PASSTHROUGH_ATTACHED",
    "SNAPSHOT_BLOCKED",
    "VENDOR_DEVICE_UNLICENSED",
    "PLATFORM_TOO_OLD",
    "VM_MIGRATING",
    "VM_BUSY",
    "RUN_INTERRUPTED",
    "WORKER_DIED",
    "NEXT_RUN_FULL",
    "SR_UNKNOWN",
    "HEALTH_CHECK_SR_MISSING",
    "HEALTH_CHECK_FAILED",
    "REPOSITORY_MISCONFIGURED",
    "REPOSITORY_IMMUTABLE",
    "XO_FEATURE_REFUSED",
    "SNAPSHOT_STUCK",
    "SR_FAILURE",
    "NETWORK_LOST",
    "EXPORT_TOO_LONG",
    "OWN_REPLICA",
    "XO_DID_NOT_FIRE",
    "SCHEDULE_DISABLED",
    "JOB_STUCK",
]
NOT_IN_A_LOG = {"UNCLASSIFIED", "RUN_INTERRUPTED", *(one.id for one in ALARMS)}
PAGE = {
    "VDI chain protection",
    "Parse Error",
    "SR_BACKEND_FAILURE_44",
    "Could not find the base VM",
    "LICENSE_RESTRICTION",
    "ENOSPC: no space left on device",
    "Error: no VMs match this pattern",
    "Error: SR_OPERATION_NOT_SUPPORTED",
    "Error: Lock file is already being held",
    "Error: HTTP connection has timed out",
    "Error: Expected values to be strictly equal",
    "Error: the job is already running",
    "Error: VDI_IO_ERROR",
    "Error: no XAPI associated to <UUID>",
}


def test_no_code_is_owned_twice():
    ids = [*CODES, *(one.id for one in OWN)]
    assert len(ids) == len(set(ids))
    assert set(ids) == ALL_CODES.keys()


def test_every_code_is_filed_under_its_id_and_listed():
    assert all(key == one.id for key, one in ALL_CODES.items())
    named = [*vars(codes).items(), *vars(alarms).items()]
    written = {one.id for name, one in named if name.isupper() and hasattr(one, "page_section")}
    assert written == {one.id for one in OWN}


@pytest.mark.parametrize("id_", NAMED)
def test_every_code_the_issues_name_exists(id_):
    assert id_ in ALL_CODES


def test_every_class_of_the_classifier_has_codes():
    covered = {name: {code for one, *_, code in SECTION_5 if one == name} for name in CLASSES}
    assert not [name for name, found in covered.items() if not found]
    assert set.union(*covered.values()) <= ALL_CODES.keys()
    assert {name for name, *_ in SECTION_5} == set(CLASSES)


def test_every_code_of_a_log_is_named_by_a_rule():
    assert {one.id for one in OWN} - {rule.code.id for rule in RULES} == NOT_IN_A_LOG


@pytest.mark.parametrize("code", OWN, ids=[one.id for one in OWN])
def test_texts_are_sentences_that_fit_a_terminal(code):
    assert re.fullmatch(r"[A-Z][A-Z0-9_]+", code.id)
    assert code.title.strip()
    assert code.title[-1] not in ".!?"
    for text in (code.why, code.do):
        assert text[0].isupper() or text.startswith(("guard", "xo-server"))
        assert text.endswith(".")
        assert "  " not in text
        assert len(text) > 40
    assert max(map(len, explain_text(code).splitlines())) <= 80
    assert code.page_section in PAGE | {""}


def test_every_section_of_the_troubleshooting_page_has_a_code():
    assert PAGE - {one.page_section for one in ALL_CODES.values()} == set()


def test_the_list_of_all_codes_keeps_id_and_title_apart():
    text = codes_text(ALL_CODES)
    assert max(map(len, text.splitlines())) <= 80
    for one in ALL_CODES.values():
        assert re.search(rf"^{one.id} +{re.escape(one.title.split()[0])}\b", text, re.MULTILINE), one.id


def test_what_passes_by_itself_is_worth_waiting_for():
    assert TRANSIENT < WAITING_HELPS <= ALL_CODES.keys()
