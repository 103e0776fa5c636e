"""JSON over HTTP, asked for again when that may help.

Redirects are not followed, so that a key goes only where it was meant to go; the size of answers
is bounded; error texts show URLs without user, query and fragment. Servers on this machine are
asked directly, whatever proxies the environment names.
"""

from __future__ import annotations

import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from invdpo.schemas import ConfigError, DataError, InvdpoError
from invdpo.schemas.io.documents import read_json
from invdpo.schemas.io.proxies import is_loopback
from invdpo.schemas.io.text import quote

RETRIED = (408, 425, 429, 500, 502, 503, 504)
"""Statuses after which the same request may be sent again."""
MAX_BYTES = 16_000_000
"""Bytes of an answer that are read at most."""
MAX_WAIT = 60.0
"""Seconds between two tries."""
EXPLAINED = (400, 404, 413, 415, 422)
"""Statuses whose reason is shown; with others, such as 401, servers may repeat keys in it."""
OWN_VARIABLES = "INVDPO_"
"""Only these are sent to a server: a configuration must not name the key of something else."""
MAX_REASON = 200
"""Characters of a server's reason that are shown."""


class AnswerError(InvdpoError):
    """An answer that can't be used; sending the same request again would not help."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status; 0 without a connection, None if the answer did not come or end."""


class _Response(NamedTuple):
    """The result of one try."""

    status: int | None
    """As that of `AnswerError`."""
    text: str
    """What to show the user if this is the last try."""
    wait: float | None = None
    """Seconds that the server asks to wait."""
    body: bytes = b""


def redact_url(url: str) -> str:
    """A URL as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def check_url(url: str, option: str) -> None:
    """Raises `ConfigError` for a URL that is not of a web server, or that holds a key.

    URLs are kept in configuration files, where no key may be written.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        given = redact_url(url) if parts.hostname else "something else"
        raise ConfigError(f"{option}: found {given}; expected http://… or https://….")
    if parts.username or parts.password or parts.query:
        text = f"{option}: {redact_url(url)} contains a user, a password or a query. Give "
        raise ConfigError(f"{text}the URL alone, and the key in the environment variable.")


@dataclass(frozen=True)
class Endpoint:
    """A server that answers JSON; thread-safe."""

    url: str
    key_variable: str | None = None
    """Environment variable with a key, sent as a bearer token if it is set."""
    timeout: float = 60.0
    """Seconds to wait for a connection, and for each piece of the answer."""
    total_timeout: float = 600.0
    """Seconds to wait for the full answer."""
    tries: int = 5
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    def get(self, path: str = "") -> Any:
        """The JSON at the URL. Raises `AnswerError`."""
        return self._request("GET", path, None)

    def post(self, body: Mapping[str, Any], path: str = "") -> Any:
        """The JSON that answers `body`. Raises `AnswerError`."""
        return self._request("POST", path, body)

    def _request(self, method: str, path: str, body: Mapping[str, Any] | None) -> Any:
        url, response = redact_url(self.url + path), _Response(None, "")
        for attempt in range(self.tries):
            response = self._try(method, self.url + path, body)
            if response.status == 200:
                return _parse_json(response.body, url)
            if response.status and response.status not in RETRIED:
                reason = self._reason(response)
                raise AnswerError(f"{url}: {response.text}{reason}.", response.status)
            if attempt + 1 < self.tries:
                wait = _backoff(attempt) if response.wait is None else response.wait
                self.sleep(min(wait, MAX_WAIT))
        raise AnswerError(f"{url}: {response.text}, {self.tries} times in a row.", response.status)

    def _try(self, method: str, url: str, body: Mapping[str, Any] | None) -> _Response:
        import requests
        import urllib3

        begin = time.monotonic()
        host = urlsplit(url).hostname or ""
        try:
            with requests.request(
                method,
                url,
                json=body,
                headers=self._headers(),
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
                auth=_no_netrc,
                proxies={"no_proxy": host} if is_loopback(host) else None,
            ) as answer:
                status = f"status {answer.status_code}"
                if answer.is_redirect:
                    return _Response(399, f"{status}: redirects are not followed")
                wait = _retry_after(answer.headers.get("Retry-After"))
                content = _read_body(answer, redact_url(url), begin + self.total_timeout)
                return _Response(answer.status_code, status, wait, content)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return _Response(None, f"no answer within {self.timeout:g} s")
        except TimeoutError:
            return _Response(None, f"no complete answer within {self.total_timeout:g} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            return _Response(0, f"no connection ({type(error).__name__})")

    def _reason(self, response: _Response) -> str:
        """The server's reason for an error, on one line; empty if a piece of the key is in it."""
        reason = _error_text(response.body) if response.status in EXPLAINED else ""
        key = self._key()
        pieces = {key[n : n + 6] for n in range(max(1, len(key) - 5))} if key else set()
        return "" if not reason or any(piece in reason for piece in pieces) else f" ({reason})"

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _key(self) -> str:
        variable = self.key_variable or ""
        if variable and not variable.startswith(OWN_VARIABLES):
            raise ConfigError(
                f"{quote(variable)}: keys are sent only from variables that begin with "
                f"{OWN_VARIABLES}. Put the key into such a variable, and give its name."
            )
        key = os.environ.get(variable, "").strip()
        if key and not key.isprintable():
            raise ConfigError(f"{self.key_variable}: the key contains invalid characters.")
        return key


def _no_netrc(request: Any) -> Any:
    """An `auth` that adds nothing: without one, requests sends the password of a `.netrc`."""
    return request


def _read_body(answer: Any, url: str, deadline: float) -> bytes:
    """The body. Raises `AnswerError` if it is too long, `TimeoutError` if it takes too long."""
    body = bytearray()
    # One system call a piece: else a server that sends single bytes could hold us for ever.
    while piece := answer.raw.read1(65_536, decode_content=True):
        body += piece
        if len(body) > MAX_BYTES:
            raise AnswerError(f"{url}: the answer is longer than {MAX_BYTES:,} bytes.")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(body)


def _error_text(body: bytes) -> str:
    """The text of an error in one of the usual forms of JSON; empty if there is none."""
    try:
        message = read_json(body, "the answer")
    except DataError:
        return ""
    for key in ("error", "message", "detail"):
        message = message.get(key, message) if isinstance(message, dict) else message
    text = " ".join(message.split()) if isinstance(message, str) else ""
    return "".join(c if c.isprintable() else "?" for c in text)[:MAX_REASON]


def _parse_json(body: bytes, url: str) -> Any:
    try:
        return read_json(body, "the answer")
    except DataError as error:
        is_html = body.lstrip()[:1] == b"<"
        reason = "the answer is not JSON (HTML)." if is_html else str(error)
        raise AnswerError(f"{url}: {reason}") from None


def _backoff(attempt: int) -> float:
    """Seconds before the next try: about 1, 2, 4, …, at random so that clients don't keep step."""
    return float(min(MAX_WAIT, 2**attempt) * random.uniform(0.75, 1.25))


def _retry_after(text: str | None) -> float | None:
    """Seconds of a `Retry-After` header: a number, which may have a fraction, or a date."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(str(text))
        return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
