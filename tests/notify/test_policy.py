"""[notify] in the policy: every mistake at once with its line, nothing secret in the answer, shown with its place."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.sample import sample, written
from guard.policy.schema import default_policy
from guard.views.policy import policy_text

XO = '[xo]\nurl = "https://xo.example.org"\n'
MAIL = '[notify.mail]\nhost = "smtp.example.org"\nsender = "guard@example.org"\nrecipients = ["a@example.org"]\n'
ALL = f"""{XO}[notify]
digest_at = "06:30"
zone = "Europe/Paris"
retry_first = "2 min"
[notify.webhook]
url = "https://hooks.example.org/guard?x=1"
token_file = "/etc/guard/webhook-token"
{MAIL}port = 2525
login_file = "/etc/guard/mail-login"
digest = false
[notify.healthchecks]
url = "https://hc.example.org/ping/{{ping_key}}/{{schedule_id}}"
loop_url = "https://hc.example.org/ping/{{ping_key}}/guard"
ping_key_file = "/etc/guard/ping-key"
[notify.healthchecks.schedules]
s1 = "https://hc.example.org/ping/one"
"""


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(text, file="guard.toml")
    return caught.value.problems


def test_everything_notify_may_say_is_taken():
    notify = load(ALL, file="p").notify
    assert (notify.digest_at, notify.zone, notify.retry_first) == ("06:30", "Europe/Paris", timedelta(minutes=2))
    assert (notify.webhook.token_file, notify.webhook.digest) == ("/etc/guard/webhook-token", True)
    assert (notify.mail.port, notify.mail.recipients, notify.mail.digest) == (2525, ("a@example.org",), False)
    assert notify.healthchecks.schedules == {"s1": "https://hc.example.org/ping/one"}
    assert load(XO, file="p").notify == default_policy().notify


def test_the_sample_has_every_option_of_notify_with_its_default():
    lines = [line[1:] if line.startswith("#") and not line.startswith("# ") else line for line in sample().splitlines()]
    text = "\n".join(line for line in lines if not line.endswith('= ""'))
    assert load(text, file="p").notify == default_policy().notify
    for section in ("[notify]", "[notify.webhook]", "[notify.mail]", "[notify.healthchecks]"):
        assert section in lines


def test_config_show_names_the_line_of_what_is_given():
    shown = policy_text(load(ALL, file="p"), file="p", lines=find_lines(ALL)).splitlines()
    assert 'notify.digest_at = "06:30"  # p:4' in shown
    assert 'notify.time_limit = "10 s"  # default' in shown
    assert 'notify.mail.recipients = ["a@example.org"]  # p:13' in shown
    assert 'notify.webhook.token_file = "/etc/guard/webhook-token"  # p:9' in shown
    assert 'notify.healthchecks.schedules = { "s1" = "https://hc.example.org/ping/one" }  # p:21' in shown
    assert not any(line.startswith("notify.mail =") for line in shown)
    assert written({}) == "{}"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('[notify]\ndigest_at = "7:00"\n', "guard.toml:4: notify.digest_at = '7:00': expected a time of day such as \"07:00\""),
        ('[notify]\ndigest_at = "24:00"\n', "expected a time of day"),
        ("[notify]\ndigest_at = 7\n", "guard.toml:4: notify.digest_at = 7: expected a text, got a whole number"),
        ('[notify]\nzone = "Paris"\n', "notify.zone = 'Paris': unknown zone; expected a name such as Europe/Paris"),
        ('[notify]\nretry_first = "0 s"\n', "notify.retry_first = '0.0 s': expected more than nothing"),
        ('[notify]\nretry_first = "2 h"\n', "notify.retry_first = '2 h': expected at most retry_longest"),
        ('[notify]\ngive_up_after = "30 min"\n', "guard.toml:3: notify.retry_longest = '60 min': expected at most give_up_after"),
        ('[notify]\ngive_up_after = "25 h"\n', "notify.give_up_after = '25 h': expected at most \"24 h\""),
        ('[notify]\ntime_limit = "1 h"\n', "notify.time_limit = '60 min': expected at most \"2 min\""),
        ("[notify.mial]\n", "notify.mial = {}: unknown key, did you mean mail?"),
        ("[notify]\nmail = 1\n", "guard.toml:4: notify.mail = 1: expected a table"),
        ("notify = 1\n", "unknown key"),
        # webhook
        ('[notify.webhook]\nurl = "hooks.example.org"\n', "guard.toml:4: notify.webhook.url = '***': expected an address such as"),
        ('[notify.webhook]\nurl = "ftp://h/x"\n', "notify.webhook.url = 'ftp://h/...': expected an address"),
        ('[notify.webhook]\nurl = "https://h x/"\n', "expected an address"),
        ('[notify.webhook]\nurl = "https://"\n', "expected an address"),
        ('[notify.webhook]\nurl = "https://h:99999"\n', "expected an address"),
        ('[notify.webhook]\nurl = "https://me:hunter2@h/x"\n', "notify.webhook.url = 'https://***/...': holds credentials"),
        ('[notify.webhook]\nurl = "me:hunter2@h/x"\n', "notify.webhook.url = '***': expected an address"),
        ('[notify.webhook]\nurl = "http://h/x"\ntoken_file = "/t"\n', "would send the token unencrypted; expected https"),
        ('[notify.webhook]\ntoken_file = "/t"\n', "notify.webhook.token_file = '/t': does nothing without url"),
        ('[notify.webhook]\nurl = "https://h"\nca_file = "ca"\n', "notify.webhook.ca_file = 'ca': expected an absolute path"),
        ('[notify.webhook]\ntoken = "hunter2"\n', "notify.webhook.token = ***: unknown key, did you mean token_file?"),
        # mail
        ('[notify.mail]\nhost = "h"\n', "guard.toml:3: notify.mail.sender = '': is required with host"),
        ('[notify.mail]\nhost = "h"\n', "guard.toml:3: notify.mail.recipients = []: is required with host"),
        ('[notify.mail]\nsender = "a@example.org"\n', "notify.mail.sender = 'a@example.org': does nothing without host"),
        ("[notify.mail]\nport = 25\n", "notify.mail.port = 25: does nothing without host"),
        (MAIL.replace("guard@example.org", "Guard <g@example.org>"), "expected a bare address such as backup@example.org"),
        (MAIL.replace("a@example.org", r"a@example.org\r\nBcc: x@y"), "expected a bare address"),
        (MAIL.replace("a@example.org", "bäckup@example.org"), "expected a bare address"),
        (MAIL.replace("a@example.org", "a" * 250 + "@example.org"), "expected a bare address"),
        (MAIL.replace('"smtp.example.org"', '"smtp.example.org/x"'), "expected a host name or an address, without a port"),
        (MAIL + "port = 65536\n", "notify.mail.port = 65536: expected a whole number, at most 65535"),
        (MAIL + 'security = "ssl"\n', "notify.mail.security = 'ssl': expected one of starttls, tls, none"),
        (MAIL + 'security = "none"\nlogin_file = "/l"\n', "would send the password unencrypted; expected starttls or tls"),
        (MAIL + 'security = "none"\nca_file = "/ca"\n', 'contradicts security = "none"'),
        (MAIL + 'password = "hunter2"\n', "notify.mail.password = ***: unknown key"),
        (MAIL + "recipients = 5\n".replace("recipients", "page"), "notify.mail.page = 5: expected true or false, got a "),
        # healthchecks
        ('[notify.healthchecks]\nurl = "https://h/x"\n', "expected {schedule_id} in it"),
        ('[notify.healthchecks]\nurl = "https://h/{schedule_id}?create=1"\n', "expected an address without ? and #"),
        ('[notify.healthchecks]\nloop_url = "https://h/{schedule_id}"\n', "is guard's own check; expected no {schedule_id} in it"),
        ('[notify.healthchecks]\nurl = "http://h/{ping_key}/{schedule_id}"\n', "would send the ping key unencrypted"),
        ('[notify.healthchecks]\nurl = "https://h/{ping_key}/{schedule_id}"\n', "expected ping_key_file to be set too"),
        ('[notify.healthchecks]\nping_key_file = "/k"\n', "does nothing without url, loop_url or schedules"),
        ('[notify.healthchecks.schedules]\ns1 = "x"\n', "notify.healthchecks.schedules.s1 = '***': expected an address"),
        ("[notify.healthchecks.schedules]\ns1 = 5\n",
         "notify.healthchecks.schedules = a table: expected each value to be a text, got a whole number"),
    ],
)  # fmt: skip
def test_each_mistake_is_named_with_its_line_key_and_what_would_be_right(text, said):
    found = problems(XO + text)
    assert any(said in one for one in found), found
    assert not any("hunter2" in one for one in found)


def test_all_mistakes_of_notify_are_told_at_once():
    found = problems(f'{XO}[notify]\nzone = "x"\n[notify.webhook]\nurl = "x"\n[notify.mail]\nhost = "h h"\n')
    assert [one.partition(": ")[0] for one in found] == [f"guard.toml:{line}" for line in (4, 6, 7, 7, 8)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1"])
def test_on_loopback_a_secret_may_go_unencrypted(host):
    mail = MAIL.replace("smtp.example.org", host) + 'security = "none"\nlogin_file = "/l"\n'
    at = f"[{host}]" if ":" in host else host
    hook = f'[notify.webhook]\nurl = "http://{at}:8080/x"\ntoken_file = "/t"\n'
    assert load(XO + mail + hook, file="p").notify.mail.host == host
