"""One question over HTTP: JSON there, JSON back, tried again when that may help.

Redirects are not followed, so that a key goes nowhere but where it was meant for; answers are
bounded; texts of errors show addresses without user, query and fragment. What listens on this
machine is asked directly, whatever proxies the environment names.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from invdpo.schemas import ConfigError, InvdpoError
from invdpo.schemas.io.proxies import is_loopback
from invdpo.schemas.io.text import describe_error

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be asked again."""
LARGEST = 16_000_000
"""Bytes of an answer that are read at most."""
LONGEST_WAIT = 60.0


EXPLAINED = (400, 404, 413, 415, 422)
"""Answers whose reason is passed on; of others, such as 401, servers may put keys into it."""
LONGEST_REASON = 200


class AnswerError(InvdpoError):
    """An answer that is none; asking the same again would not help."""

    def __init__(self, text: str, status: int | None = None) -> None:
        super().__init__(text)
        self.status = status
        """The HTTP status; 0 without a connection, None when the answer did not come or end."""


class _Response(NamedTuple):
    """What came of asking once."""

    status: int | None
    """As that of `AnswerError`."""
    text: str
    wait: float | None = None
    """Seconds that the server asks to wait."""
    body: bytes = b""


def shown(url: str) -> str:
    """An address as it may be shown: without user, password, query and fragment."""
    parts = urlsplit(url)
    port = f":{parts.port}" if parts.port else ""
    return f"{parts.scheme}://{parts.hostname or ''}{port}{parts.path}"


def check_url(url: str, option: str) -> None:
    """Raises `ConfigError` for what is no address of a web server, or holds a key.

    Addresses are kept in configuration files, where no key may stand.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        given = shown(url) if parts.hostname else "something else"
        raise ConfigError(f"{option}: found {given}; expected http://… or https://….")
    if parts.username or parts.password or parts.query:
        text = f"{option}: {shown(url)} was given with a user, a password or a query. Give the "
        raise ConfigError(f"{text}address alone, and the key in the environment variable.")


@dataclass(frozen=True)
class Endpoint:
    """Where to ask, and how patiently."""

    url: str
    key_variable: str | None = None
    """Environment variable with a key, sent as a bearer token when it is set."""
    timeout: float = 60.0
    """Seconds to wait for a connection, and for each piece of the answer."""
    whole: float = 600.0
    """Seconds to wait for the whole answer."""
    tries: int = 5
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    def get(self, path: str = "") -> Any:
        """The JSON at the address. Raises `AnswerError`."""
        return self._ask("GET", path, None)

    def post(self, question: Mapping[str, Any], path: str = "") -> Any:
        """The JSON that answers a question. Raises `AnswerError`."""
        return self._ask("POST", path, question)

    def _ask(self, method: str, path: str, question: Mapping[str, Any] | None) -> Any:
        where, response = shown(self.url + path), _Response(None, "")
        for attempt in range(self.tries):
            response = self._once(method, self.url + path, question)
            if response.status == 200:
                return _json(response.body, where)
            if response.status and response.status not in BUSY:
                reason = self._reason(response)
                raise AnswerError(f"{where}: {response.text}{reason}.", response.status)
            if attempt + 1 < self.tries:
                wait = _pause(attempt) if response.wait is None else response.wait
                self.sleep(min(wait, LONGEST_WAIT))
        raise AnswerError(
            f"{where}: {response.text}, {self.tries} times in a row.", response.status
        )

    def _once(self, method: str, url: str, question: Mapping[str, Any] | None) -> _Response:
        import requests
        import urllib3

        begin = time.monotonic()
        host = urlsplit(url).hostname or ""
        try:
            with requests.request(
                method,
                url,
                json=question,
                headers=self._headers(),
                timeout=self.timeout,
                allow_redirects=False,
                stream=True,
                auth=_as_it_is,
                proxies={"no_proxy": host} if is_loopback(host) else None,
            ) as answer:
                status = f"status {answer.status_code}"
                if answer.is_redirect:
                    return _Response(399, f"{status}: redirects are not followed")
                wait = _seconds(answer.headers.get("Retry-After"))
                body = _bounded(answer, shown(url), begin + self.whole)
                return _Response(answer.status_code, status, wait, body)
        except (requests.Timeout, urllib3.exceptions.TimeoutError):
            return _Response(None, f"no answer within {self.timeout:g} s")
        except TimeoutError:
            return _Response(None, f"no whole answer within {self.whole:g} s")
        except (requests.RequestException, urllib3.exceptions.HTTPError) as error:
            return _Response(0, f"no connection ({type(error).__name__})")

    def _reason(self, response: _Response) -> str:
        """What the server says of an error, on one line, unless a piece of the key is in it."""
        said = _message(response.body) if response.status in EXPLAINED else ""
        key = self._key()
        pieces = {key[n : n + 6] for n in range(max(1, len(key) - 5))} if key else set()
        return "" if not said or any(piece in said for piece in pieces) else f" ({said})"

    def _headers(self) -> dict[str, str]:
        key = self._key()
        return {"Authorization": f"Bearer {key}"} if key else {}

    def _key(self) -> str:
        key = os.environ.get(self.key_variable or "", "").strip()
        if key and not key.isprintable():
            raise ConfigError(f"{self.key_variable}: the key holds characters that no key has.")
        return key


def _as_it_is(request: Any) -> Any:
    """Keeps a password that a `.netrc` has for the host from going there in place of the key."""
    return request


def _bounded(answer: Any, where: str, deadline: float) -> bytes:
    """The body, as it comes in. Raises `AnswerError` if it is too long, `TimeoutError` if slow."""
    read = bytearray()
    # One system call a piece: else a server that drips could hold us for ever.
    while piece := answer.raw.read1(65_536, decode_content=True):
        read += piece
        if len(read) > LARGEST:
            raise AnswerError(f"{where}: the answer is over {LARGEST:,} bytes.")
        if time.monotonic() > deadline:
            raise TimeoutError
    return bytes(read)


def _message(body: bytes) -> str:
    """The text of an error in one of the usual forms of JSON; empty when there is none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return ""
    for key in ("error", "message", "detail"):
        message = message.get(key, message) if isinstance(message, dict) else message
    text = " ".join(message.split()) if isinstance(message, str) else ""
    return "".join(c if c.isprintable() else "?" for c in text)[:LONGEST_REASON]


def _json(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else describe_error(ValueError(str(error)[:80]))
        raise AnswerError(f"{where}: the answer is not JSON ({kind}).") from None


def _pause(attempt: int) -> float:
    """Seconds before the next try: about 1, 2, 4, …, never in step with other clients."""
    return float(min(LONGEST_WAIT, 2**attempt) * random.uniform(0.75, 1.25))


def _seconds(text: str | None) -> float | None:
    """`Retry-After`: seconds, or a date."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        pass
    try:
        until = parsedate_to_datetime(str(text))
        return max(0.0, (until.astimezone(UTC) - datetime.now(UTC)).total_seconds())
    except (ValueError, TypeError, OverflowError):
        return None
