"""Sessions on a pool's master over loopback: signing in and out, limits, TLS, slaves, and one sentence for each way it can fail."""

from __future__ import annotations

import socket
import ssl
import time
import traceback
from contextlib import contextmanager
from pathlib import Path

import pytest
from guard.errors import PoolAnswerError, PoolAuthError, PoolError, PoolTimeoutError, PoolUnreachableError
from guard.http import tls_context
from guard.secret import Secret
from guard.simulator.live import Live
from guard.simulator.xapi import Fault, XapiFace, serving_xapi
from guard.xapi import session as module
from guard.xapi.session import PoolSession
from tests.simulator.worlds import small_world
from tests.simulator.xapi_ways import face_of
from tests.xapi.house import PASSWORD, SHORT, answering, certificates, dribbling, settings_of, silent, slave_of


@contextmanager
def signed_in(settings, **more):
    tls = None
    if settings.url.startswith("https"):
        tls = tls_context(settings.ca_file, verify=settings.verify)
    with PoolSession(settings, tls=tls, **more) as session:
        yield session


def failure_of(url, **more) -> PoolError:
    """What a person is told when guard asks the pool there for its pool record."""
    with pytest.raises(PoolError) as caught, signed_in(settings_of(url, **more)) as session:
        session.call("pool.get_all")
    return caught.value


# --- signing in and out


def test_guard_signs_in_under_its_own_originator_and_signs_out():
    face = face_of(small_world().world)
    with serving_xapi(face) as url:
        with signed_in(settings_of(url)) as session:
            assert list(face.sessions.values()) == ["guard"]
            assert len(session.call("pool.get_all")) == 1
        assert face.sessions == {}
    assert face.calls["session.login_with_password"] == face.calls["session.logout"] == 1


def test_guard_signs_out_after_an_error_too():
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(error=["INTERNAL_ERROR", "x"])]
    with serving_xapi(face) as url:
        assert isinstance(failure_of(url), PoolAnswerError)
        with pytest.raises(KeyError), signed_in(settings_of(url)):
            raise KeyError
    assert face.calls["session.logout"] == 2
    assert face.sessions == {}


@pytest.mark.parametrize("fault", [Fault(status=500), Fault(error=["INTERNAL_ERROR"]), Fault(hangs=True)])
def test_a_sign_out_that_fails_is_no_error_and_takes_its_time_limit_at_most(monkeypatch, fault):
    monkeypatch.setattr(module, "SIGN_OUT_S", 0.2)
    face = face_of(small_world().world)
    face.faults["session.logout"] = [fault]
    with serving_xapi(face) as url:
        with signed_in(settings_of(url)) as session:
            assert session.call("pool.get_all")
            before = time.monotonic()
        assert time.monotonic() - before < 2


def test_a_wrong_password_is_tried_once_and_tells_whose_it_is():
    face = face_of(small_world().world)
    with serving_xapi(face) as url:
        error = failure_of(url, password=Secret("hunter2"))
    assert isinstance(error, PoolAuthError)
    assert str(error) == ("Pool paris (127.0.0.1) refused user root. Check username and password_file in [[pool]]")
    assert face.calls == {"session.login_with_password": 1}


def test_a_session_that_is_lost_is_not_opened_anew_with_a_password_that_was_kept():
    face = face_of(small_world().world)
    with serving_xapi(face) as url, signed_in(settings_of(url)) as session:
        face.forget_sessions()
        with pytest.raises(PoolAnswerError, match="forgot guard's session; its toolstack may have restarted") as caught:
            session.call("pool.get_all")
    assert caught.value.details == ("SESSION_INVALID",)
    assert face.calls["session.login_with_password"] == 1


def test_a_call_that_the_role_may_not_make_names_the_call_and_the_user():
    face = face_of(small_world().world)
    face.role = "read-only"
    with serving_xapi(face) as url, signed_in(settings_of(url)) as session:
        with pytest.raises(
            PoolAuthError, match=r"does not let user root call SR.scan \(RBAC_PERMISSION_DENIED\)"
        ) as one:
            session.call("SR.scan", "OpaqueRef:x")
        assert session.call("pool.get_all")
    assert one.value.details == ("RBAC_PERMISSION_DENIED",)


def test_an_error_of_xapi_is_told_with_its_code_and_cut_where_it_has_no_end():
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(error=["HANDLE_INVALID", "pool", "x" * 5000])]
    with serving_xapi(face) as url:
        error = failure_of(url)
    assert "answered pool.get_all with HANDLE_INVALID, pool, xxx" in str(error)
    assert len(str(error)) < 300
    assert error.details[:2] == ("HANDLE_INVALID", "pool")


# --- no answer, or none in time


def test_a_dead_port_is_a_pool_that_cannot_be_reached():
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    error = failure_of(f"http://127.0.0.1:{port}")
    assert isinstance(error, PoolUnreachableError)
    assert "cannot be reached" in str(error)
    assert "Connection refused" in str(error)


def test_a_name_that_nobody_knows_is_a_pool_that_cannot_be_reached(monkeypatch):
    def unknown(*_args, **_more):
        raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")

    monkeypatch.setattr(socket, "create_connection", unknown)
    error = failure_of("https://nowhere.example")
    assert isinstance(error, PoolUnreachableError)
    assert "Pool paris (nowhere.example) cannot be reached" in str(error)
    assert "Name or service not known" in str(error)


def test_what_the_kernel_gives_up_after_its_own_time_is_late_too(monkeypatch):
    def late(*_args, **_more):
        raise OSError(110, "Connection timed out")

    monkeypatch.setattr(socket, "create_connection", late)
    assert isinstance(failure_of("https://192.0.2.1"), PoolTimeoutError)


def test_a_server_that_never_says_a_word_is_given_up_when_the_time_of_a_call_is_over():
    with silent() as url:
        before = time.monotonic()
        error = failure_of(url, **SHORT)
        assert time.monotonic() - before < 2
    assert isinstance(error, PoolTimeoutError)
    assert "did not finish answering session.login_with_password in time" in str(error)
    assert "[[pool]] call_timeout" in str(error)


@pytest.mark.parametrize(
    "first",
    [b"", b"HTTP/1.1 200 OK\r\nx-a: ", b"HTTP/1.1 200 OK\r\ncontent-length: 99999\r\n\r\n<?xml version='1.0'?><!--"],
)
def test_a_server_that_says_a_byte_at_a_time_is_given_up_as_well(first):
    with dribbling(first) as url:
        before = time.monotonic()
        error = failure_of(url, **SHORT)
        assert time.monotonic() - before < 2
    assert isinstance(error, PoolTimeoutError)


def test_the_calls_of_a_reading_share_its_total_time():
    face = face_of(small_world().world)
    face.faults["pool.get_all"] = [Fault(delay=0.3, times=None)]
    with serving_xapi(face) as url, signed_in(settings_of(url, call_timeout_s=10, total_timeout_s=2)) as session:
        with pytest.raises(PoolTimeoutError, match="total_timeout"):
            for _ in range(20):
                session.call("pool.get_all")
        assert session.time_is_up
    assert 2 <= face.calls["pool.get_all"] <= 6
    assert face.sessions == {}


def test_nothing_is_asked_once_the_time_of_a_reading_is_over():
    face, now = face_of(small_world().world), [0.0]
    with serving_xapi(face) as url, signed_in(settings_of(url), monotonic=lambda: now[0]) as session:
        assert session.call("pool.get_all")
        now[0] = 29.0
        with pytest.raises(PoolTimeoutError, match="total_timeout"):
            session.call("pool.get_all")
    assert face.calls["pool.get_all"] == 1
    assert face.sessions == {}


def test_a_pool_that_is_lost_in_the_middle_cannot_be_reached():
    small = small_world()
    live = Live(small.world)
    face = face_of(small.world)
    with serving_xapi(face) as url, signed_in(settings_of(url)) as session:
        live.pools.lose(small.world.server_of(small.pool))
        with pytest.raises(PoolUnreachableError, match=r"broke off in pool\.get_all"):
            session.call("pool.get_all")


# --- answers that are none


@pytest.mark.parametrize(
    "body",
    [
        b"<html><body>It works!</body></html>",
        b"",
        b"{}",
        b"\xff\xfe\x00",
        b"<?xml version='1.0'?><methodResponse><params><param><value><struct>",
        b"<methodResponse><params><param><value>text</value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><int>x</int></value></param></params></methodResponse>",
        b"<methodResponse><params><param><value><struct></struct></value></param></params></methodResponse>",
        b"<methodResponse><fault><value><int>1</int></value></fault></methodResponse>",
        b"<methodResponse><params></params></methodResponse>",
    ],
)  # fmt: skip
def test_what_is_no_answer_of_xapi_is_one_sentence(body):
    with answering(body) as url:
        error = failure_of(url)
    assert isinstance(error, PoolAnswerError)
    assert "gave no answer of XAPI to session.login_with_password" in str(error)
    assert error.details == ()


@pytest.mark.parametrize("status", [302, 401, 404, 503])
def test_an_http_status_is_told(status):
    with answering(b"", status=status) as url:
        error = failure_of(url)
    assert isinstance(error, PoolAnswerError)
    assert f"answered session.login_with_password with HTTP status {status}" in str(error)


def test_what_speaks_no_http_is_no_pool():
    with dribbling(b"SSH-2.0-OpenSSH_9.2\r\n") as url:
        assert isinstance(failure_of(url), PoolAnswerError)


def test_an_answer_without_end_is_cut_off(monkeypatch):
    monkeypatch.setattr(module, "MAX_ANSWER_BYTES", 1024)
    with serving_xapi(face_of(small_world().world)) as url, signed_in(settings_of(url)) as session:
        with pytest.raises(PoolAnswerError, match=r"gave no answer of XAPI to VM\.get_all_records"):
            session.call("VM.get_all_records")
        assert session.call("pool.get_all")


# --- TLS


def test_a_certificate_of_a_ca_in_ca_file_is_trusted_and_no_other(tmp_path):
    ca, both = certificates(tmp_path, ("127.0.0.1",))
    face = face_of(small_world().world)
    with serving_xapi(face, certfile=both, keyfile=both) as url:
        with signed_in(settings_of(url, ca_file=Path(ca))) as session:
            assert session.call("pool.get_all")
        error = failure_of(url)
        assert isinstance(error, PoolUnreachableError)
        assert "The TLS certificate of Pool paris (127.0.0.1) is not trusted" in str(error)
        assert face.calls["session.login_with_password"] == 1
        with signed_in(settings_of(url, verify=False)) as session:
            assert session.call("pool.get_all")


def test_a_certificate_of_another_name_needs_that_name_in_server_name(tmp_path):
    ca, both = certificates(tmp_path, ("xcp-1.example.org",))
    with serving_xapi(face_of(small_world().world), certfile=both, keyfile=both) as url:
        assert "is not trusted" in str(failure_of(url, ca_file=Path(ca)))
        assert "is not trusted" in str(failure_of(url, ca_file=Path(ca), server_name="xcp-2.example.org"))
        with signed_in(settings_of(url, ca_file=Path(ca), server_name="xcp-1.example.org")) as session:
            assert session.call("pool.get_all")


def test_a_port_without_tls_is_told(tmp_path):
    with answering(b"") as url:
        error = failure_of(url.replace("http:", "https:"))
    assert isinstance(error, PoolUnreachableError)
    assert "found no common TLS" in str(error)


def test_a_silent_server_is_given_up_in_the_handshake_too():
    with silent() as url:
        assert isinstance(failure_of(url.replace("http:", "https:"), **SHORT), PoolTimeoutError)


# --- slaves


def port_of(url):
    return int(url.rpartition(":")[2])


def test_a_slave_is_followed_to_its_master():
    face = face_of(small_world().world)
    with serving_xapi(face) as master, slave_of("127.0.0.1", host="127.0.0.2", port=port_of(master)) as url:
        with signed_in(settings_of(url)) as session:
            assert session.address == "127.0.0.1"
            assert len(session.call("pool.get_all")) == 1
        assert face.sessions == {}
    assert face.calls["session.logout"] == 1


def test_the_name_in_a_slaves_certificate_is_not_asked_of_its_master(tmp_path):
    ca, slaves, masters = certificates(tmp_path, ("slave.example.org",), ("127.0.0.1",))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(slaves)
    face = face_of(small_world().world)
    with (
        serving_xapi(face, certfile=masters, keyfile=masters) as master,
        slave_of("127.0.0.1", host="127.0.0.2", port=port_of(master), tls=context) as url,
        signed_in(settings_of(url, ca_file=Path(ca), server_name="slave.example.org")) as session,
    ):
        assert session.call("pool.get_all")


@pytest.mark.parametrize(
    ("named", "said"),
    [
        ("127.0.0.1", "says that it is a slave, and that it is itself the master"),
        ("", "is a slave and names no address of its master"),
        ("a b", "is a slave and names no address of its master"),
        ("me@192.0.2.1/", "is a slave and names no address of its master"),
        ("192.0.2.1", "would go to its master 192.0.2.1 unencrypted. Set url in [[pool]] to https://192.0.2.1"),
        ("xcp-1", "would go to its master xcp-1 unencrypted"),
    ],
)
def test_a_slave_that_names_no_master_to_be_trusted_is_not_followed(named, said):
    with slave_of(named) as url:
        error = failure_of(url)
    assert isinstance(error, PoolAnswerError)
    assert said in str(error)


def test_slaves_that_send_one_another_are_followed_once():
    with slave_of("127.0.0.2") as first, slave_of("127.0.0.1", host="127.0.0.2", port=port_of(first)):
        error = failure_of(first)
    assert isinstance(error, PoolAnswerError)
    assert "Pool paris (127.0.0.2) was named as the master by 127.0.0.1, but says that it is none" in str(error)


def test_a_master_that_steps_down_in_the_middle_is_told():
    face = face_of(small_world().world)
    with serving_xapi(face) as url, signed_in(settings_of(url)) as session:
        face.slave_of = "192.0.2.1"
        with pytest.raises(PoolAnswerError, match="is no longer the pool's master"):
            session.call("pool.get_all")


# --- secrets


HIDDEN = "hunter2"


def shows_it(*errors: BaseException) -> bool:
    """Whether a traceback with the values of local variables shows the password, of an error or of those behind it."""
    told = [traceback.TracebackException.from_exception(one, capture_locals=True).format(chain=True) for one in errors]
    return any(HIDDEN in line for lines in told for line in lines)


def test_no_error_and_no_repr_holds_the_password(tmp_path):
    _, both = certificates(tmp_path, ("127.0.0.1",))
    small = small_world()
    settings = settings_of("http://127.0.0.1:1", password=Secret(HIDDEN), **SHORT)
    assert not shows_it(error_at(settings))
    for way in (
        serving_xapi(XapiFace(small.world, small.pool, password="another")),
        serving_xapi(face_of(small.world), certfile=both, keyfile=both),
        answering(b"<html>"),
        answering(b"", status=503),
        slave_of("127.0.0.1"),
        slave_of("192.0.2.1"),
        silent(),
        dribbling(b"HTTP/1.1 200 OK\r\n"),
    ):
        with way as url:
            settings = settings_of(url, password=Secret(HIDDEN), **SHORT)
            assert not shows_it(error_at(settings))
        assert HIDDEN.encode() not in repr(settings).encode()


def error_at(settings) -> PoolError:
    session = PoolSession(settings, tls=tls_context(None, verify=True))
    with pytest.raises(PoolError) as caught, session:
        raise AssertionError("signed in")
    assert not any(HIDDEN in one for one in (repr(session), repr(caught.value)))
    return caught.value


def test_that_check_finds_a_password_where_one_is():
    def careless(password):
        raise KeyError

    with pytest.raises(KeyError) as caught:
        careless(HIDDEN)
    assert shows_it(caught.value)


def test_a_session_keeps_no_password_once_it_is_signed_in():
    face = face_of(small_world().world)
    with serving_xapi(face) as url, signed_in(settings_of(url)) as session:
        assert PASSWORD not in repr(vars(session._session))
        assert (session._session.last_login_params, repr(session)) == (None, "<PoolSession on paris at 127.0.0.1>")
