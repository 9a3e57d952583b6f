"""What of a policy is kept for the day its file is broken."""

from __future__ import annotations

import pytest
from guard.policy.last_good import kept_of, policy_of
from guard.policy.load import load

TEXT = """
[xo]
url = "https://xo.example"
token_file = "/etc/guard/xo-token"
ca_file = "/etc/guard/ca.pem"
call_timeout = "5 s"
local_paths = ["/"]
[notify]
zone = "Europe/Paris"
[notify.webhook]
url = "https://hook.example/with-a-secret"
[defaults]
gate = "enforce"
"""


def test_the_section_of_xo_and_the_zone_come_back_as_they_were():
    policy = load(TEXT, file="g.toml")
    back = policy_of(kept_of(policy))
    assert (back.xo, back.notify.zone) == (policy.xo, "Europe/Paris")


def test_nothing_else_is_kept_and_no_secret_least():
    kept = kept_of(load(TEXT, file="g.toml"))
    assert b"hook" not in kept
    back = policy_of(kept)
    assert (back.may_act, back.notify.webhook.url) == (False, None)


def test_what_a_newer_guard_keeps_beside_it_does_not_matter():
    assert policy_of(b'{"more": 1, "xo": {"url": "https://xo.example", "newer": true}}').xo.url == "https://xo.example"


@pytest.mark.parametrize("kept", [b"", b"{", b"[]", b'{"zone": 3, "xo": {}}', b'{"zone": null}'])
def test_what_cannot_be_read_is_an_error(kept):
    with pytest.raises(ValueError, match=r"\w"):
        policy_of(kept)
