"""A session on a pool's master: the only importer of the XenAPI package.

The package has neither time limits nor a CA file, so its transport is guard's own: connecting, the TLS handshake and every
single read are bounded by what is left of the call's time, and a call's answer is bounded in size. A slave's HOST_IS_SLAVE is
followed once. The password is forgotten once it has signed in, so a lost session is not opened anew; the session is always
closed. Blocking, and for one thread.
"""

from __future__ import annotations

import http.client
import io
import ipaddress
import re
import socket
import ssl
import time
import xmlrpc.client
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit
from xml.parsers.expat import ExpatError

import XenAPI  # type: ignore[import-untyped]  # it ships no types

from guard.errors import PoolAnswerError, PoolAuthError, PoolError, PoolTimeoutError, PoolUnreachableError
from guard.meter import Meter, Way, timed
from guard.secret import Secret

ORIGINATOR = "guard"
"""XAPI keeps up to 500 sessions for each originator, so guard's never push out those of others."""
REFUSED = "SESSION_AUTHENTICATION_FAILED"
"""XAPI's word for a user or a password it does not take."""
SIGN_OUT_S = 2.0
"""Seconds of a reading's time that are kept for signing out."""
MAX_ANSWER_BYTES = 64 * 1024 * 1024
_MAX_SAID = 200  # characters
_PORTS = {"http": 80, "https": 443}
_HOST = re.compile(r"[A-Za-z0-9_.:-]{1,255}")
_UNUSABLE = (
    *(xmlrpc.client.Error, http.client.HTTPException, ExpatError),
    *(ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError, AssertionError),
)
"""What an answer that is none makes the package and its XML reader raise."""
_LOST_SESSION, _LATE = 401, 504
"""What the package raises as a Fault: XAPI no longer knows the session; the kernel gave up connecting."""


@dataclass(frozen=True)
class PoolSettings:
    """One pool of the policy, its password read. Times in seconds; ``url`` is scheme, host and port alone."""

    name: str
    url: str
    username: str
    password: Secret
    ca_file: Path | None = None
    server_name: str | None = None
    verify: bool = True
    call_timeout_s: float = 10.0
    total_timeout_s: float = 30.0

    @property
    def host(self) -> str:
        return urlsplit(self.url).hostname or ""


class _Reader(io.RawIOBase):
    """Reads from a socket; before each read it is told how long this one may take."""

    def __init__(self, raw: io.RawIOBase, before: Callable[[], None]) -> None:
        self._raw, self._before = raw, before

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:  # noqa: ANN401  any writable buffer, as in the base class
        self._before()
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Socket:
    """What http.client asks of a socket, with a time limit that counts down over all reads of an answer."""

    def __init__(self, inner: socket.socket, left: Callable[[], float]) -> None:
        self._inner, self._left = inner, left

    def sendall(self, data: bytes) -> None:
        self._allow()
        self._inner.sendall(data)

    def makefile(self, _mode: str) -> io.BufferedReader:
        return io.BufferedReader(_Reader(self._inner.makefile("rb", buffering=0), self._allow))

    def close(self) -> None:
        self._inner.close()

    def _allow(self) -> None:
        self._inner.settimeout(self._left())


class _Connection(http.client.HTTPConnection):
    def __init__(
        self, host: str, *, tls: ssl.SSLContext | None, server_name: str | None, left: Callable[[], float]
    ) -> None:
        super().__init__(host)
        self._tls, self._server_name, self._left = tls, server_name, left

    def connect(self) -> None:
        inner = socket.create_connection((self.host, self.port), timeout=self._left())
        try:
            inner.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self._tls is not None:
                inner.settimeout(self._left())
                inner = self._tls.wrap_socket(inner, server_hostname=self._server_name or self.host)
        except BaseException:
            inner.close()
            raise
        self.sock = _Socket(inner, self._left)


class _Transport(xmlrpc.client.Transport):
    """``left``: seconds left for the call at hand; raises TimeoutError when there are none."""

    user_agent = ORIGINATOR
    accept_gzip_encoding = False

    def __init__(self, tls: ssl.SSLContext | None, server_name: str | None, left: Callable[[], float]) -> None:
        super().__init__()
        self._tls, self._server_name, self._left = tls, server_name, left
        self._open: _Connection | None = None

    def make_connection(self, host: Any) -> http.client.HTTPConnection:  # noqa: ANN401  the base class takes pairs too
        if self._open is None:
            self._open = _Connection(str(host), tls=self._tls, server_name=self._server_name, left=self._left)
        return self._open

    def close(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None

    def parse_response(self, response: Any) -> Any:  # noqa: ANN401  as in the base class
        parser, unmarshaller = self.getparser()
        size = 0
        while data := response.read(64 * 1024):
            size += len(data)
            if size > MAX_ANSWER_BYTES:
                raise http.client.HTTPException(f"an answer of more than {MAX_ANSWER_BYTES // 1024**2} MiB")
            parser.feed(data)
        parser.close()
        return unmarshaller.close()


class PoolSession:
    """``with PoolSession(settings, tls=...) as session: session.call("pool.get_all_records")``.

    Signing in and every call raise PoolError and its kinds. ``tls``: unused where the url is http.
    """

    def __init__(
        self,
        settings: PoolSettings,
        *,
        tls: ssl.SSLContext | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        meter: Meter | None = None,
    ) -> None:
        self._settings, self._tls, self._monotonic, self._meter = settings, tls, monotonic, meter
        self._until = monotonic() + settings.total_timeout_s - min(SIGN_OUT_S, settings.total_timeout_s / 4)
        self._call_until = self._until
        self._session: Any = None
        self._handle = ""
        self.address = settings.host
        """Of the host that is asked: the master's, where ``url`` named a slave."""

    def __repr__(self) -> str:
        return f"<PoolSession on {self._settings.name} at {self.address}>"

    def __enter__(self) -> Self:
        with timed(self._meter, Way.XAPI, "session.login_with_password"):
            self._enter()
        return self

    def _enter(self) -> None:
        master = self._attempt()
        if master:
            self._check_master(master)
            self.address = master
            if self._attempt():
                raise PoolAnswerError(
                    f"{self._place} was named as the master by {self._settings.host}, but says that it is none: the pool is "
                    "between two masters. Try again in a minute"
                )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Signs out whatever happened. One that fails is no error: an idle session ends by itself after a day."""
        self._call_until = self._monotonic() + SIGN_OUT_S
        try:
            getattr(self._session, "session.logout")(self._handle)
        except (OSError, *_UNUSABLE):
            pass
        finally:
            self._session("close")()

    @property
    def time_is_up(self) -> bool:
        """Whether the reading's own time limit has passed."""
        return self._monotonic() >= self._until

    def call(self, method: str, *params: str) -> Any:  # noqa: ANN401  any value of XAPI
        """XAPI's answer: integers as str, times as xmlrpc.client.DateTime, references as str. Raises PoolError."""
        with timed(self._meter, Way.XAPI, method):
            self._begin()
            try:
                return self._session.xenapi_request(method, params)
            except (OSError, XenAPI.Failure, *_UNUSABLE) as error:
                raise self._typed(method, error) from error

    # --- signing in

    @property
    def _place(self) -> str:
        return f"Pool {self._settings.name} ({self.address})"

    def _attempt(self) -> str:
        """'' when signed in, the master's address when the host is a slave. Raises PoolError.

        What failed is not chained: the frames of its traceback hold the password.
        """
        self._session = XenAPI.Session(
            self._url(),
            transport=_Transport(self._tls if self._is_tls else None, self._name_expected(), self._left),
        )
        failed = self._sign_in()
        if failed is None:
            return ""
        self._session("close")()
        if isinstance(failed, XenAPI.Failure) and list(failed.details[:1]) == ["HOST_IS_SLAVE"]:
            return " ".join(map(str, failed.details[1:])) or "?"
        raise self._typed("session.login_with_password", failed)

    def _sign_in(self) -> Exception | None:
        settings, session = self._settings, self._session
        self._begin()
        try:
            session.xenapi.login_with_password(settings.username, settings.password.reveal(), "1.0", ORIGINATOR)
            self._handle = str(session.handle)
        except (OSError, XenAPI.Failure, *_UNUSABLE) as error:
            return error
        finally:
            session.last_login_method = session.last_login_params = None
        return None

    @property
    def _is_tls(self) -> bool:
        return urlsplit(self._settings.url).scheme == "https"

    def _url(self) -> str:
        parts = urlsplit(self._settings.url)
        host = f"[{self.address}]" if ":" in self.address else self.address
        return f"{parts.scheme}://{host}:{parts.port or _PORTS[parts.scheme]}/"

    def _name_expected(self) -> str | None:
        """``server_name`` is in the certificate of the host of ``url``; a master that is another has its own."""
        return self._settings.server_name if self.address == self._settings.host else None

    def _check_master(self, master: str) -> None:
        """A slave may name anything. Raises PoolAnswerError for what the password is not sent to."""
        if not _HOST.fullmatch(master):
            raise PoolAnswerError(
                f"{self._place} is a slave and names no address of its master. Set its url in [[pool]]"
            )
        if master.lower() == self.address.lower():
            raise PoolAnswerError(f"{self._place} says that it is a slave, and that it is itself the master")
        if not self._is_tls and not _is_loopback(master):
            raise PoolAnswerError(
                f"{self._place} is a slave, and the password would go to its master {master} unencrypted. Set url in [[pool]] to "
                f"https://{master}"
            )

    # --- time and errors

    def _begin(self) -> None:
        self._call_until = min(self._until, self._monotonic() + self._settings.call_timeout_s)

    def _left(self) -> float:
        left = self._call_until - self._monotonic()
        if left <= 0:
            raise TimeoutError("no time left")
        return left

    def _typed(self, method: str, error: Exception) -> PoolError:
        place = self._place
        match error:
            case XenAPI.Failure():
                return self._refused(method, tuple(map(str, error.details)))
            case TimeoutError() | xmlrpc.client.Fault(faultCode=504):
                what = "[[pool]] total_timeout" if self.time_is_up else "[[pool]] call_timeout"
                return PoolTimeoutError(
                    f"{place} did not finish answering {method} in time; it is overloaded or hung ({what})"
                )
            case ssl.SSLCertVerificationError():
                return PoolUnreachableError(
                    f"The TLS certificate of {place} is not trusted ({error.verify_message}). Set ca_file in [[pool]] to its CA, "
                    "or to the self-signed certificate itself, and server_name where the name in it is another"
                )
            case ssl.SSLError():
                return PoolUnreachableError(f"{place} and guard found no common TLS ({error.reason or 'broken off'})")
            case OSError() | http.client.IncompleteRead():
                why = getattr(error, "strerror", None) or type(error).__name__
                return PoolUnreachableError(
                    f"{place} cannot be reached, or broke off in {method} ({why}). Check url in [[pool]]"
                )
            case xmlrpc.client.ProtocolError():
                return PoolAnswerError(f"{place} answered {method} with HTTP status {error.errcode}")
            case xmlrpc.client.Fault(faultCode=401):
                return PoolAnswerError(
                    f"{place} forgot guard's session; its toolstack may have restarted", details=("SESSION_INVALID",)
                )
        return PoolAnswerError(
            f"{place} gave no answer of XAPI to {method} ({type(error).__name__}). Does url in [[pool]] name a pool's master?"
        )

    def _refused(self, method: str, details: tuple[str, ...]) -> PoolError:
        code = details[0] if details else "an error without a code"
        if code == REFUSED:
            return PoolAuthError(
                f"{self._place} refused user {self._settings.username}. Check username and password_file in [[pool]]",
                details=(code,),
            )
        if code == "RBAC_PERMISSION_DENIED":
            return PoolAuthError(
                f"{self._place} does not let user {self._settings.username} call {method} ({code})", details=(code,)
            )
        if code == "HOST_IS_SLAVE":
            return PoolAnswerError(f"{self._place} is no longer the pool's master", details=details)
        told = ", ".join(details)
        shown = told if len(told) <= _MAX_SAID else f"{told[:_MAX_SAID]}..."
        return PoolAnswerError(f"{self._place} answered {method} with {shown}", details=details)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
