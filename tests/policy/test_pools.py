"""[[pool]] entries: off by default, and what a person gets wrong in one."""

from __future__ import annotations

from datetime import timedelta

import pytest
from guard.errors import PolicyError
from guard.policy.lines import find_lines
from guard.policy.load import load
from guard.policy.pools_schema import PoolSection
from guard.policy.sample import descriptions, sample
from guard.policy.schema import default_policy
from guard.views.policy import policy_text

XO = '[xo]\nurl = "https://xo.example.org"\n'
POOL = '[[pool]]\nname = "paris"\nurl = "https://192.0.2.10"\nusername = "guard"\n'


def problems(text):
    with pytest.raises(PolicyError) as caught:
        load(XO + text, file="p")
    return caught.value.problems


def test_no_pool_is_asked_unless_an_entry_says_so():
    assert default_policy().pools == load(XO, file="p").pools == ()


def test_an_entry_has_limits_and_checks_certificates_by_default():
    (pool,) = load(XO + POOL, file="p").pools
    assert (pool.name, pool.url, pool.username) == ("paris", "https://192.0.2.10", "guard")
    assert (pool.password_file, pool.ca_file, pool.server_name, pool.verify) == (None, None, None, True)
    assert (pool.call_timeout, pool.total_timeout) == (timedelta(seconds=10), timedelta(seconds=30))


def test_everything_an_entry_may_say_is_taken():
    more = """password_file = "/etc/guard/pool-paris"
ca_file = "/etc/guard/pool-paris.pem"
server_name = "xcp-1.example.org"
verify = true
call_timeout = "5 s"
total_timeout = "5 min"
[[pool]]
name = "Lyon_2.b-1"
url = "http://127.0.0.1:8080/"
username = "DOMAIN\\\\guard reader"
verify = false
"""
    paris, lyon = load(XO + POOL + more, file="p").pools
    assert (paris.password_file, paris.ca_file) == ("/etc/guard/pool-paris", "/etc/guard/pool-paris.pem")
    assert (paris.server_name, paris.call_timeout, paris.total_timeout) == (
        "xcp-1.example.org",
        timedelta(seconds=5),
        timedelta(minutes=5),
    )
    assert (lyon.name, lyon.url, lyon.username, lyon.verify) == (
        "Lyon_2.b-1",
        "http://127.0.0.1:8080/",
        "DOMAIN\\guard reader",
        False,
    )


@pytest.mark.parametrize(
    "url",
    [
        "https://[2001:db8::1]",
        "https://xcp-1.example.org:8443/",
        "http://127.0.0.2:1",
        "http://[::1]:80",
        "http://localhost",
    ],
)
def test_an_address_that_keeps_the_password_to_itself_is_taken(url):
    (pool,) = load(XO + POOL.replace("https://192.0.2.10", url), file="p").pools
    assert pool.url == url


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (POOL.replace('name = "paris"\n', ""), "p:3: pool[1].name = '': is required; expected letters, digits"),
        (POOL.replace("paris", "Paris 1"), "p:4: pool[1].name = 'Paris 1': is required; expected letters"),
        (POOL.replace("paris", "../paris"), "p:4: pool[1].name = '../paris': is required"),
        (POOL.replace("paris", "x" * 64), "pool[1].name = 'xxx"),
        (POOL.replace('username = "guard"\n', ""), "p:3: pool[1].username = '': is required; expected a user of the pool"),
        (POOL.replace('"guard"', '" "'), "p:6: pool[1].username = ' ': is required"),
        (POOL.replace('"guard"', '"a\\tb"'), "pool[1].username = 'a\\tb': is required"),
        (POOL.replace('url = "https://192.0.2.10"\n', ""), "p:3: pool[1].url = '': expected the address of the pool's master"),
        (POOL.replace("https://", ""), "p:5: pool[1].url = '192.0.2.10': expected the address of the pool's master, such as"),
        (POOL.replace("https", "ssh"), "pool[1].url = 'ssh://192.0.2.10': expected the address of the pool's master"),
        (POOL.replace("192.0.2.10", "a:99999"), "pool[1].url = 'https://a:99999': expected the address"),
        (POOL.replace("https", "http"), "pool[1].url = 'http://192.0.2.10': would send the password unencrypted; expected https"),
        (POOL.replace("https://192.0.2.10", "http://localhost.example.org"), "would send the password unencrypted"),
        (POOL.replace("192.0.2.10", "192.0.2.10/jsonrpc"), "holds a path; expected a bare address such as https://192.0.2.10"),
        (POOL + 'password_file = "secret"\n', "p:7: pool[1].password_file = ***: expected an absolute path"),
        (POOL + 'ca_file = "ca.pem"\n', "p:7: pool[1].ca_file = 'ca.pem': expected an absolute path"),
        (POOL + 'server_name = "a b"\n', "p:7: pool[1].server_name = 'a b': expected a host name, such as xcp-1.example.org"),
        (POOL + 'verify = false\nca_file = "/ca"\n', "p:7: pool[1].verify = False: contradicts ca_file"),
        (POOL + 'verify = "no"\n', "p:7: pool[1].verify = 'no': expected true or false, got a text"),
        (POOL + 'call_timeout = "0 s"\n', "p:7: pool[1].call_timeout = '0 s': expected more than 0 s"),
        (POOL + 'total_timeout = "0 s"\n', "p:7: pool[1].total_timeout = '0 s': expected more than 0 s"),
        (POOL + 'total_timeout = "6 min"\n', "p:7: pool[1].total_timeout = '6 min': expected at most \"5 min\""),
        (POOL + 'user = "root"\n', "p:7: pool[1].user = ***: unknown key, did you mean username?; expected one of name, url"),
        ("[pool]\n", "p:3: pool = {}: expected an array of tables, written [[pool]]"),
        ("[[pools]]\n", "p: pools = a list: unknown section, did you mean pool?"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_told_with_its_line_its_key_and_what_would_be_right(text, said):
    found = problems(text)
    assert len(found) == 1
    assert said in found[0]


def test_an_entry_that_is_no_table_is_told():
    with pytest.raises(PolicyError, match=r"p:1: pool\[1\] = 5: expected a table, written \[\[pool\]\]"):
        load("pool = [5]\n" + XO, file="p")


@pytest.mark.parametrize(
    "url", ["https://192.0.2.10", "https://192.0.2.10/", "https://192.0.2.10:443", "HTTPS://192.0.2.10"]
)
def test_a_pool_is_entered_once(url):
    second = POOL.replace("paris", "lyon").replace("https://192.0.2.10", url)
    assert problems(POOL + second) == [
        f"p:9: pool[2].url = {url!r}: is the address of pool[1] too; expected one entry for each pool"
    ]


def test_a_name_is_given_once():
    second = POOL.replace("192.0.2.10", "192.0.2.11")
    assert problems(POOL + second) == [
        "p:8: pool[2].name = 'paris': is the name of pool[1] too; expected a name of its own"
    ]


@pytest.mark.parametrize(
    "url", ["https://root:hunter2@192.0.2.10", "https://hunter2@192.0.2.10", "root:hunter2@192.0.2.10"]
)
def test_credentials_in_the_address_are_never_repeated(url):
    (told,) = problems(POOL.replace("https://192.0.2.10", url))
    assert "pool[1].url = '***': " in told
    assert "hunter2" not in told


def test_a_password_in_the_wrong_place_is_never_repeated():
    (told,) = problems(POOL + 'password = "hunter2"\n')
    assert told.startswith("p:7: pool[1].password = ***: unknown key, did you mean password_file?")


def test_the_sample_explains_every_key_and_its_example_is_right():
    assert set(descriptions(PoolSection)) == set(PoolSection.__struct_fields__)
    assert all(f"\n# {key}: {text}\n" in sample() for key, text in descriptions(PoolSection).items())
    entry = sample().partition("# [[pool]]\n")[2]
    (pool,) = load(XO + "[[pool]]\n" + entry.replace("# ", ""), file="p").pools
    assert pool.password_file == "/etc/guard/pool-paris"


def test_what_is_in_force_is_shown_with_its_place():
    text = XO + POOL
    shown = policy_text(load(text, file="p"), file="p", lines=find_lines(text)).splitlines()
    assert 'pool[1].url = "https://192.0.2.10"  # p:5' in shown
    assert "pool[1].password_file = (not set)  # default" in shown
    assert 'pool[1].total_timeout = "30 s"  # default' in shown


@pytest.mark.parametrize(
    "text",
    [
        '[[pools]]\npassword = "S3cret"\n',
        '[pool]\npassword = "S3cret"\n',
        '[pool.paris]\npassword = "S3cret"\n',
        *(POOL + f'{key} = "S3cret"\n' for key in ("pasword", "passwd", "pass", "pwd", "credentials", "pasword_file")),
        POOL + 'password_file = "S3cret"\n',
        POOL.replace('username = "guard"', 'username = ["guard", "S3cret"]'),
        '[notify.mail]\nlogin = "S3cret"\n',
    ],
)
def test_what_may_be_a_password_is_never_shown_however_it_is_misspelt(text):
    told = problems(text)
    assert told
    assert "S3cret" not in "".join(told)
