"""What an XO, or something that is none, can do to the client: one clear sentence each, whose fault it is, no hang."""

from __future__ import annotations

import asyncio
import io
import socket
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import trustme
from guard.assess import make_plan
from guard.cli.main import main
from guard.errors import (
    PolicyError,
    XoAuthError,
    XoBootingError,
    XoTimeoutError,
    XoTooOldError,
    XoUnreachableError,
)
from guard.estate.estate import PartName
from guard.policy.schema import default_policy
from guard.simulator.demo import DEMO_NOW, TOKEN, build
from guard.simulator.faults import Faults, HalfAnswer, Hang, Html, HttpStatus
from guard.simulator.serve import running
from guard.simulator.world import World
from guard.xo.client import XoSettings, read_estate
from guard.xo.token import Token, read_token
from guard.xo.version import check_version

NOW = datetime(2026, 11, 24, tzinfo=UTC)


def small_world(version="5.207.2"):
    world = World(lambda: NOW, version=version)
    world.add_vm(world.add_pool("paris"), "web")
    return world


def read(url, token=TOKEN, **settings):
    return asyncio.run(read_estate(XoSettings(url=url, **settings), Token(token), clock=lambda: NOW))


def read_with(faults, world=None, **settings):
    with running(world or small_world(), faults) as url:
        return read(url, **settings)


def planted(path, fault, **more):
    faults = Faults()
    faults.plant(path, fault, **more)
    return faults


def test_a_port_where_nothing_listens_is_unreachable():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{free.getsockname()[1]}"
    with pytest.raises(XoUnreachableError, match=r"Check \[xo\] url"):
        read(url)


def test_a_name_that_does_not_exist_is_unreachable():
    with pytest.raises(XoUnreachableError):
        read("http://no-such-xo.invalid")


@pytest.fixture
def certificate(tmp_path):
    authority = trustme.CA()
    issued = authority.issue_cert("127.0.0.1")
    key, chain, root = tmp_path / "key.pem", tmp_path / "cert.pem", tmp_path / "ca.pem"
    issued.private_key_pem.write_to_path(str(key))
    issued.cert_chain_pems[0].write_to_path(str(chain))
    authority.cert_pem.write_to_path(str(root))
    return str(key), str(chain), root


def test_tls_is_refused_without_the_ca_and_accepted_with_it(certificate):
    key, chain, root = certificate
    with running(small_world(), certfile=chain, keyfile=key) as url:
        with pytest.raises(XoUnreachableError):
            read(url)
        assert read(url, ca_file=root).vms[0].name == "web"
        assert read(url, verify=False).vms[0].name == "web"


def test_a_ca_file_that_is_none_is_the_policys_fault(tmp_path):
    (tmp_path / "ca.pem").write_text("nonsense")
    with pytest.raises(PolicyError, match="ca_file"):
        read("https://127.0.0.1:1", ca_file=tmp_path / "ca.pem")


def test_a_wrong_token_is_refused():
    with running(small_world()) as url, pytest.raises(XoAuthError):
        read(url, token="wrong")


def test_a_booting_xo_that_refuses_a_good_token_over_rest_is_told_as_such():
    with pytest.raises(XoBootingError, match="booting"):
        read_with(planted("/rest/v0/vms", HttpStatus(401, {"error": "invalid credentials"})))


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Html(), "web page"),
        (HttpStatus(500, {"error": {"limit": {"message": "invalid float number"}}}), "invalid float number"),
        (HttpStatus(500, {"error": "too many cooks"}), "too many cooks"),
        (HttpStatus(403, {"error": "not enough privileges"}), "privileges"),
    ],
)
def test_one_part_that_fails_is_unknown_and_the_others_go_on(fault, said):
    found = read_with(planted("/rest/v0/srs", fault))
    part = found.parts[PartName.SRS]
    assert (part.ok, said in part.error) == (False, True)
    assert found.parts[PartName.VMS].ok


def test_half_an_answer_is_never_half_an_estate():
    with pytest.raises(XoUnreachableError, match="broke off"):
        read_with(planted("/rest/v0/vms", HalfAnswer()))


def test_a_passing_503_is_tried_again():
    assert read_with(planted("/rest/v0/vms", HttpStatus(503, {"error": "busy"}), times=1)).vms[0].name == "web"


def test_an_xo_that_restarts_in_the_middle_is_told_as_such():
    faults = Faults()
    faults.after(5, faults.drop_connections)
    with pytest.raises(XoUnreachableError, match="restarting"):
        read_with(faults)


def test_a_part_that_hangs_is_unknown_after_its_time():
    found = read_with(planted("/rest/v0/hosts", Hang()), call_timeout_s=0.5)
    assert "0.5 s" in found.parts[PartName.HOSTS].error


def test_an_xo_that_takes_too_long_altogether_is_an_error():
    with pytest.raises(XoTimeoutError, match="total_timeout"):
        read_with(planted("/rest/v0/hosts", Hang()), total_timeout_s=0.5)


def test_a_frame_of_20_mb_of_notifications_does_not_matter():
    faults = Faults()
    faults.announce = True
    faults.notification_bytes = 20_000_000
    assert read_with(faults).vms[0].name == "web"


def test_an_old_xo_is_refused_in_one_sentence():
    with running(small_world(version="5.192.0")) as url, pytest.raises(XoTooOldError, match=r"XO 5\.113"):
        read(url)
    check_version("5.193.1")


def test_empty_lists_while_a_server_is_connecting_are_unknown_not_empty():
    world = build(lambda: DEMO_NOW)
    for server in world.servers.values():
        world.disconnect(server, status="connecting")
    with running(world) as url:
        found = asyncio.run(read_estate(XoSettings(url=url), Token(TOKEN), clock=lambda: DEMO_NOW))
    assert found.vms == ()
    plan = make_plan(found, default_policy(), now=DEMO_NOW, start=DEMO_NOW, within=timedelta(hours=24))
    mail = next(one for one in plan.runs if one.run.schedule.name == "mail nightly")
    levels = {one.code: one.level.value for one in mail.verdict.findings}
    assert levels["NO_VM_MATCHES"] == "unknown"


def test_with_a_token_of_no_administrator_every_filtered_list_is_unknown():
    world = build(lambda: DEMO_NOW)
    world.add_user("viewer@example.org", "viewer-token", permission="read")
    with running(world) as url:
        found = asyncio.run(read_estate(XoSettings(url=url), Token("viewer-token"), clock=lambda: DEMO_NOW))
    assert not found.xo.admin
    assert not [part for part in found.parts.values() if part.usable]


@pytest.mark.parametrize(
    ("content", "mode", "said"),
    [
        ("secret", 0o644, "chmod 600"),
        ("", 0o600, "one token"),
        ("two words", 0o600, "one token"),
        (None, 0o600, "cannot be read"),
    ],
)
def test_a_token_file_that_is_wrong_is_refused(tmp_path, content, mode, said):
    path = tmp_path / "token"
    if content is not None:
        path.write_text(content)
        path.chmod(mode)
    with pytest.raises(PolicyError, match=said):
        read_token(path, {})


def test_a_token_comes_from_a_file_or_a_systemd_credential_and_is_never_printed(tmp_path):
    path = tmp_path / "xo-token"
    path.write_text("secret\n")
    path.chmod(0o440)
    token = read_token(None, {"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert (token.reveal(), "secret" in f"{token} {token!r}") == ("secret", False)
    with pytest.raises(PolicyError, match="token_file is not set"):
        read_token(None, {})
    with pytest.raises(PolicyError, match="is no file"):
        read_token(tmp_path, {})


def call(*argv):
    out, err = io.StringIO(), io.StringIO()
    return main(argv, out, err, {}), out.getvalue(), err.getvalue()


def test_the_command_line_plans_captures_and_warns(tmp_path):
    token = tmp_path / "token"
    token.write_text("simulated-token")
    token.chmod(0o600)
    with running(small_world()) as url:
        policy = tmp_path / "guard.toml"
        policy.write_text(f'[xo]\nurl = "{url}"\ntoken_file = "{token}"\nverify = false\n')
        code, out, err = call("plan", "--config", str(policy))
        assert (code, "0 runs due" in out, "verify = false" in err) == (0, True, True)
        capture = tmp_path / "estate"
        assert call("capture", str(capture), "--config", str(policy))[0] == 0
        assert call("capture", str(tmp_path / "no" / "estate"), "--config", str(policy))[0] == 1
    assert call("plan", "--estate", str(capture), "--from", "2026-11-24T00:00+00:00")[0] == 0
    assert sorted(one.name for one in tmp_path.iterdir()) == ["estate", "guard.toml", "token"]


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (("plan", "--config", "/nonexistent/guard.toml"), "cannot be read"),
        (("plan", "--demo", "--within", "soon"), "expected a duration"),
        (("plan", "--demo", "--from", "soon"), "expected a time"),
        (("plan", "--demo", "--from", "2027-03-27T18:00"), "no zone"),
        (("plan", "--estate", "/nonexistent/capture"), "cannot be read"),
        (("fly",), "invalid choice"),
        (("explain", "CHAIN_UNHELTHY"), "did you mean CHAIN_UNHEALTHY"),
        (("explain", "x"), "see guard explain"),
        (("when", "0 2 * * wed"), "wen"),
        (("when", "0 2 * * *", "--zone", "Mars"), "unknown zone"),
        (("when", "0 2 * * *", "--count", "0"), "1 to 100"),
        (("config", "check", "--config", "/nonexistent"), "cannot be read"),
    ],
)
def test_wrong_words_on_the_command_line_give_one_sentence_and_exit_1(argv, said):
    code, out, err = call(*argv)
    assert (code, out) == (1, "")
    assert said in err
    assert "Traceback" not in err


def test_a_damaged_capture_is_told_with_its_name(tmp_path):
    broken = tmp_path / "broken"
    broken.write_bytes(b"\x1f\x8bnonsense")
    code, _, err = call("plan", "--estate", str(broken))
    assert (code, str(broken) in err) == (1, True)


def test_help_and_version_exit_0(capsys):
    assert call("--version")[0] == 0
    assert call("plan", "--help")[0] == 0
    assert "guard" in capsys.readouterr().out


def test_config_check_and_show_speak_of_the_sample():
    sample = str(Path(__file__).parents[2] / "config" / "guard.toml")
    assert call("config", "check", "--config", sample)[0] == 0
    assert 'defaults.on_unknown = "start"  # default' in call("config", "show", "--config", sample)[1]
    assert "CHAIN_UNHEALTHY  " in call("explain")[1]
    assert "VDI chain protection" in call("explain", "chain_unhealthy")[1]
