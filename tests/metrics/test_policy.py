"""[metrics] of the policy: what is an address, and who may be told."""

from __future__ import annotations

import pytest
from guard.errors import PolicyError
from guard.policy.load import load
from guard.policy.metrics_validate import address_of
from guard.policy.sample import show

XO = '[xo]\nurl = "https://xo.example"\n'


def policy(text):
    return load(f"{XO}[metrics]\n{text}", file="g.toml")


def problems(text):
    with pytest.raises(PolicyError) as error:
        policy(text)
    return error.value.problems


def test_metrics_are_off_as_long_as_no_address_is_set():
    metrics = load(XO, file="g.toml").metrics
    assert (metrics.listen, metrics.allow_remote, metrics.most_series) == (None, False, 2000)


@pytest.mark.parametrize(
    ("listen", "address"),
    [
        ("127.0.0.1:9478", ("127.0.0.1", 9478)),
        ("127.255.255.254:1", ("127.255.255.254", 1)),
        ("[::1]:65535", ("::1", 65535)),
        ("[0:0:0:0:0:0:0:1]:9478", ("0:0:0:0:0:0:0:1", 9478)),
    ],
)
def test_an_address_of_this_machine_alone_is_taken_as_it_is(listen, address):
    metrics = policy(f'listen = "{listen}"\n').metrics
    assert (metrics.listen, address_of(metrics.listen)) == (listen, address)


@pytest.mark.parametrize(
    "listen",
    [
        *("", "9478", ":9478", "localhost:9478", "127.0.0.1", "127.0.0.1:", "127.0.0.1:0", "127.0.0.1:65536"),
        *("127.0.0.1:-1", "127.0.0.1:٣", "127.0.0.1:9478 ", "127.0.0.1:9478/metrics", "http://127.0.0.1:9478"),
        *("127.0.0.256:1", "1.2.3:9", "::1:9478", "[::1]", "[127.0.0.1]:9478", "[::1%lo]:9478", "[:::1]:9478"),
    ],
)
def test_what_is_no_address_with_a_port_is_told_with_what_would_be_right(listen):
    (problem,) = problems(f'listen = "{listen}"\n')
    assert problem.startswith(f"g.toml:4: metrics.listen = {listen!r}: expected an address and a port from 1 to 65535")


@pytest.mark.parametrize("listen", ["0.0.0.0:9478", "192.0.2.1:9478", "[::]:9478", "[2001:db8::1]:9478"])
def test_an_address_that_others_reach_needs_a_word_of_its_own(listen):
    (problem,) = problems(f'listen = "{listen}"\n')
    assert "other machines can reach it" in problem
    assert "allow_remote = true" in problem
    assert policy(f'listen = "{listen}"\nallow_remote = true\n').metrics.listen == listen


def test_allow_remote_alone_does_nothing_and_is_told():
    assert problems("allow_remote = true\n") == [
        "g.toml:4: metrics.allow_remote = True: does nothing without listen; expected both"
    ]


@pytest.mark.parametrize("most", [9, 100_001, '"many"'])
def test_a_bound_of_series_has_bounds_itself(most):
    (problem,) = problems(f"most_series = {most}\n")
    assert problem.startswith("g.toml:4: metrics.most_series = ")


def test_what_the_policy_sets_is_shown_as_from_the_policy():
    shown = {key: (value, whence) for key, value, whence in show(policy('listen = "127.0.0.1:9478"\n'))}
    assert shown["metrics.listen"] == ('"127.0.0.1:9478"', "policy")
    assert shown["metrics.most_series"] == ("2000", "default")
