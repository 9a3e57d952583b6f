"""REST over one httpx client, and the POSTs of notifications: the only importer of httpx and tenacity.

Every call is bounded in total time (httpx's own limits never bound a body that dribbles) and in size. Only GETs are
sent to XO, so every one may be retried. Errors are typed by who is at fault.
"""

from __future__ import annotations

import asyncio
import json
import ssl
import zlib
from collections.abc import AsyncIterator, Callable, Mapping
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from types import TracebackType
from typing import Self, cast
from urllib.parse import urljoin, urlsplit

import httpx
import tenacity

from guard.errors import (
    NotifyError,
    PolicyError,
    XoAnswerError,
    XoAuthError,
    XoError,
    XoTimeoutError,
    XoUnreachableError,
)
from guard.meter import Meter, Way, timed

ATTEMPTS = 3
MAX_BODY_BYTES = 128 * 1024 * 1024  # 10,000 VMs with 30,000 disks answer with less than a tenth of it
PIECE_BYTES = 1024 * 1024  # a few bytes of gzip may stand for a thousand times as many
MAX_ERROR_BYTES = 64 * 1024
MAX_SAID = 300  # characters
KEEPALIVE_EXPIRY_S = 4.0  # node closes an idle connection after 5 s; a request sent into that gap would be lost


class _PassingError(Exception):
    """A failure worth another try; carries what to raise when tries are used up."""

    def __init__(self, error: XoError) -> None:
        super().__init__(str(error))
        self.error = error


def tls_context(ca_file: Path | None, *, verify: bool, section: str = "xo") -> ssl.SSLContext:
    """The TLS rules of a connection. Raises PolicyError when the CA file, which ``[section]`` names, cannot be used."""
    if not verify:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        return context
    try:
        return ssl.create_default_context(cafile=ca_file)
    except (OSError, ssl.SSLError, ValueError) as error:  # ValueError: no path at all, such as one with a NUL
        raise PolicyError(
            f"[{section}] ca_file {ca_file}: cannot be used ({error}); expected a readable PEM file"
        ) from error


class Http:
    """One connection pool to one XO. ``timeout_s`` bounds each call as a whole, retries included.

    ``token`` gives the token for each request, so that nothing here holds it.
    """

    def __init__(
        self,
        url: str,
        token: Callable[[], str],
        *,
        tls: ssl.SSLContext,
        timeout_s: float,
        server_name: str | None = None,
        connections: int = 4,
        retry_wait_s: float = 0.3,
        transport: httpx.AsyncBaseTransport | None = None,
        meter: Meter | None = None,
    ) -> None:
        self._url = url.rstrip("/")
        self._token = token
        self._meter = meter
        self._timeout_s = timeout_s
        self._retry_wait_s = retry_wait_s
        self._extensions = {"sni_hostname": server_name} if server_name else {}
        try:
            self._client = httpx.AsyncClient(
                base_url=self._url,
                headers={"Accept-Encoding": "gzip", "Accept": "application/json"},
                cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),  # what an answer sets is never sent back
                verify=tls,
                timeout=None,  # noqa: S113  asyncio.timeout bounds the whole call, which httpx's limits do not
                follow_redirects=False,
                trust_env=False,
                limits=httpx.Limits(max_connections=connections, keepalive_expiry=KEEPALIVE_EXPIRY_S),
                transport=transport,
            )
        except (httpx.InvalidURL, UnicodeError) as error:
            raise XoUnreachableError(f"{self._url} is no URL of an XO: {error}. Set [xo] url") from error

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._client.aclose()

    async def get(self, path: str, params: dict[str, str] | None = None) -> bytes:
        """The body of a 200 answer. Raises XoError and its kinds."""
        with timed(self._meter, Way.REST, operation_of(path)):
            return await self._get(path, params)

    async def _get(self, path: str, params: dict[str, str] | None) -> bytes:
        retrying = tenacity.AsyncRetrying(
            stop=tenacity.stop_after_attempt(ATTEMPTS),
            wait=tenacity.wait_fixed(self._retry_wait_s),
            retry=tenacity.retry_if_exception_type(_PassingError),
            reraise=True,
        )
        try:
            async with asyncio.timeout(self._timeout_s):
                return await retrying(self._once, path, params)
        except TimeoutError as error:
            raise XoTimeoutError(
                f"XO did not finish answering GET {path} within {self._timeout_s:g} s; it is overloaded or hung. "
                "Try again, or raise [xo] call_timeout"
            ) from error
        except _PassingError as error:
            raise error.error from error

    async def _once(self, path: str, params: dict[str, str] | None) -> bytes:
        try:
            async with self._client.stream(
                "GET",
                path,
                params=params,
                headers={"Cookie": f"authenticationToken={self._token()}"},
                extensions=self._extensions,
            ) as answer:
                body = await self._read(answer, path)
        except httpx.UnsupportedProtocol as error:
            raise XoUnreachableError(f"{self._url} is no URL of an XO: {error}. Set [xo] url") from error
        except httpx.ConnectError as error:
            raise self._connect_error(error) from error
        except httpx.InvalidURL as error:  # what is asked for comes from XO's own records
            raise XoAnswerError(
                f"guard cannot ask XO for {path} ({error}): an id or a name in XO is too long"
            ) from error
        except zlib.error as error:
            raise XoAnswerError(f"XO's answer to GET {path} is no valid gzip: {error}") from error
        except httpx.TransportError as error:
            raise _PassingError(
                XoUnreachableError(
                    f"XO at {self._url} broke off in the middle of GET {path} ({self._reason(error)}); "
                    "it may be restarting. Try again in a minute"
                )
            ) from error
        return await self._checked(answer, path, body)

    async def _read(self, answer: httpx.Response, path: str) -> bytes:
        parts, size = [], 0
        async for part in _unpacked(answer, path):
            size += len(part)
            parts.append(part)
            if answer.status_code != httpx.codes.OK and size > MAX_ERROR_BYTES:
                break  # enough to tell what is wrong
            if size > MAX_BODY_BYTES:
                raise XoAnswerError(f"XO's answer to GET {path} is larger than {MAX_BODY_BYTES} bytes; guard gave up")
        return b"".join(parts)

    def _reason(self, error: httpx.TransportError) -> str:
        """It may repeat what XO sent, up to whole headers."""
        return shortened(self._hidden(str(error))) or type(error).__name__

    def _hidden(self, told: str) -> str:
        """XO's own words: it may repeat the token that it was given."""
        return told.replace(self._token() or "\0", "***")

    async def _checked(self, answer: httpx.Response, path: str, body: bytes) -> bytes:
        status = answer.status_code
        if status == httpx.codes.OK:
            if "json" not in answer.headers.get("content-type", "json"):
                raise XoAnswerError(
                    f"GET {path} at {self._url} gave a web page instead of JSON; is [xo] url the address of XO itself?",
                    status=status,
                )
            return body
        if status in (301, 302, 303, 307, 308):
            told = answer.headers.get("location")
            there = led_to(self._url, self._hidden(told)) if told else "?"
            raise XoUnreachableError(f"XO at {self._url} redirects to {there}; configure that address as [xo] url")
        reason = said(self._hidden(body.decode(errors="replace")))
        if status == httpx.codes.UNAUTHORIZED:
            raise refused(self._url)
        if status == httpx.codes.FORBIDDEN:
            raise XoAuthError(
                f"XO's token may not GET {path} ({reason}); give its user the right, or use an admin's token"
            )
        error = XoAnswerError(f"XO answered GET {path} with {status}: {reason}", status=status)
        if status in (502, 503, 504):
            raise _PassingError(error)
        raise error

    def _connect_error(self, error: httpx.ConnectError) -> XoError | _PassingError:
        text = str(error)
        if "CERTIFICATE" in text.upper():
            return untrusted(self._url, text)
        if is_plain(text):
            return XoUnreachableError(
                f"What answers at {self._url} speaks http, not https ({text}). Check [xo] url: its scheme, and the port"
            )
        if "SSL" in text.upper():
            return XoUnreachableError(
                f"{self._url} does not speak TLS as it should ({text}). Check [xo] url: https or http, and the port"
            )
        if "Name or service" in text or "getaddrinfo" in text or "resolution" in text:
            return XoUnreachableError(f"The name in {self._url} is not known ({text}). Check [xo] url")
        return _PassingError(
            XoUnreachableError(f"No XO answers at {self._url} ({text}). Check [xo] url, and that xo-server runs")
        )


async def _unpacked(answer: httpx.Response, path: str) -> AsyncIterator[bytes]:
    """The body in pieces of bounded size, whatever its compression claims. Raises XoAnswerError, zlib.error."""
    encoding = answer.headers.get("content-encoding", "identity").strip().lower()
    if encoding not in ("gzip", "identity"):
        raise XoAnswerError(f"XO's answer to GET {path} is packed as {shortened(encoding)}; guard asked for gzip only")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16) if encoding == "gzip" else None
    async for packed in cast(httpx.AsyncByteStream, answer.stream):
        if unpacker is None:
            yield packed
            continue
        rest = packed
        while rest and not unpacker.eof:
            yield unpacker.decompress(rest, PIECE_BYTES)
            rest = unpacker.unconsumed_tail
    if unpacker is not None:
        yield unpacker.flush()


def led_to(url: str, location: str) -> str:
    """Where a redirect leads, without what is asked for there."""
    try:
        return shortened(urljoin(url, location).partition("/rest/")[0].partition("?")[0])
    except ValueError:
        return "an address that is none"


def operation_of(path: str) -> str:
    """What a GET asks for: the collection of a path. Ids are none of it, so that there are few."""
    return path.removeprefix("/rest/v0/").strip("/").partition("/")[0]


def is_plain(why: str) -> bool:
    """Whether OpenSSL's words mean that the other side answered without TLS. OpenSSL 3.2 gave that a name of its own."""
    return any(told in why.upper() for told in ("WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE"))


def untrusted(url: str, why: str) -> XoUnreachableError:
    """A server whose certificate cannot be checked, and what to set."""
    return XoUnreachableError(
        f"The TLS certificate of {url} is not trusted ({why}). Set [xo] ca_file to the CA (or to the self-signed "
        "certificate itself), and server_name if the name differs"
    )


def refused(url: str) -> XoAuthError:
    """A 401. An xo-server that still boots refuses good tokens too, though ``/ping`` already answers (observed)."""
    return XoAuthError(
        f"XO at {url} refused the token (401). Check the token file; if xo-server was started within the last minute, it "
        "refuses every token while it boots: try again then"
    )


def said(body: bytes | str) -> str:
    """What XO said in an error body: ``error`` may be a string or an object, and the body may be HTML."""
    try:
        error = json.loads(body)["error"]
    except (ValueError, TypeError, KeyError, RecursionError):
        return "no JSON in the answer"
    if isinstance(error, dict):
        error = "; ".join(
            f"{field}: {told.get('message', told) if isinstance(told, dict) else told}" for field, told in error.items()
        )
    return shortened(str(error) or "no reason given")


def shortened(text: str) -> str:
    """XO's own words, as long as a person reads them: an error may carry a whole object."""
    return text if len(text) <= MAX_SAID else f"{text[:MAX_SAID]}..."


class Poster:
    """POSTs of notifications: no cookie, no proxy, no redirect (it could carry a secret elsewhere), no second try.

    ``timeout_s`` bounds each call as a whole; ``section`` is the policy's, for what to do. Of the URL only scheme, host
    and port are ever told, of the answer only its status: a path may be a secret, and a body may repeat one.
    """

    def __init__(self, section: str, *, tls: ssl.SSLContext, timeout_s: float) -> None:
        self._section = section
        self._tls = tls
        self._timeout_s = timeout_s

    async def post(self, url: str, body: bytes, headers: Mapping[str, str]) -> None:
        """Returns when a 2xx status has come; the answer's body is not waited for. Raises NotifyError."""
        place = origin(url)
        # straight to the transport: a client would log whole URLs, follow, keep cookies
        transport = httpx.AsyncHTTPTransport(verify=self._tls, trust_env=False)
        try:
            async with asyncio.timeout(self._timeout_s), transport:
                request = httpx.Request("POST", url, content=body, headers=dict(headers))
                answer = await transport.handle_async_request(request)
                await answer.aclose()
        except TimeoutError as error:
            raise NotifyError(f"{place} did not answer within {self._timeout_s:g} s") from error
        except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
            raise NotifyError(f"{place} is no address to POST to. Check [{self._section}]") from None
        except httpx.ConnectError as error:
            raise NotifyError(self._unreachable(place, str(error))) from error
        except httpx.TransportError as error:
            raise NotifyError(f"{place} broke off ({type(error).__name__})") from error
        if not answer.is_success:
            raise NotifyError(f"{place} {self._refusal(answer)}")

    def _unreachable(self, place: str, why: str) -> str:
        if "CERTIFICATE" in why.upper():
            return (
                f"The TLS certificate of {place} is not trusted ({why}). Set [{self._section}] ca_file to its CA, or to "
                "the self-signed certificate itself"
            )
        if is_plain(why):
            return f"{place} speaks http, not https ({why}). Check the address in [{self._section}]"
        return f"{place} cannot be reached ({why})"

    def _refusal(self, answer: httpx.Response) -> str:
        status = answer.status_code
        if answer.is_redirect:
            place = origin(answer.headers.get("location", ""))
            return f"redirects ({status}) to {place}; set [{self._section}] to where it leads"
        said = f"answered {status} {httpx.codes.get_reason_phrase(status)}".rstrip()
        if status in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return f"{said}. Check the file of the secret in [{self._section}]"
        if status in (httpx.codes.NOT_FOUND, httpx.codes.GONE):
            return f"{said}. Check the address in [{self._section}]"
        return said


def origin(url: str) -> str:
    """Scheme, host and port of a URL: what of it may be told. A relative one gives ``"itself"``."""
    try:
        parts = urlsplit(url)
        port = f":{parts.port}" if parts.port else ""
    except ValueError:
        return "an address that is none"
    return f"{parts.scheme}://{parts.hostname or ''}{port}" if parts.scheme else "itself"
