"""One question over HTTP: JSON there, JSON back, tried again when that may help.

Redirects are not followed, so that a key goes nowhere but where it was meant for; answers are
bounded; texts of errors show addresses without user, query and fragment.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from invdpo.curate.attempts import describe
from invdpo.schemas import ConfigError, InvdpoError

BUSY = (408, 425, 429, 500, 502, 503, 504)
"""Answers after which the same question may be asked again."""
LARGEST = 16_000_000
"""Bytes of an answer that are read at most."""
LONGEST_WAIT = 60.0


class AnswerError(InvdpoError):
    """An answer that is none; asking the same again would not help."""


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
        found = shown(url) if parts.hostname else "something else"
        raise ConfigError(f"{option}: found {found}; expected http://… or https://….")
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
    tries: int = 5
    sleep: Callable[[float], None] = field(default=time.sleep, compare=False)

    def get(self, path: str = "") -> Any:
        """The JSON at the address. Raises `AnswerError`."""
        return self._ask("GET", path, None)

    def post(self, question: Mapping[str, Any], path: str = "") -> Any:
        """The JSON that answers a question. Raises `AnswerError`."""
        return self._ask("POST", path, question)

    def _ask(self, method: str, path: str, question: Mapping[str, Any] | None) -> Any:
        where, told = shown(self.url + path), ""
        for attempt in range(self.tries):
            status, told, wait, body = self._once(method, self.url + path, question)
            if status == 200:
                return _json(body, where)
            if status is not None and status not in BUSY:
                raise AnswerError(f"{where}: {told}.")
            if attempt + 1 < self.tries:
                self.sleep(_pause(attempt) if wait is None else min(wait, LONGEST_WAIT))
        raise AnswerError(f"{where}: {told}, {self.tries} times in a row.")

    def _once(
        self, method: str, url: str, question: Mapping[str, Any] | None
    ) -> tuple[int | None, str, float | None, bytes]:
        """Status (None without any), what it says, seconds asked to wait, and the answer."""
        import requests

        try:
            with requests.request(
                method, url, json=question, headers=self._headers(), timeout=self.timeout,
                allow_redirects=False, stream=True,
            ) as answer:  # fmt: skip
                told = f"status {answer.status_code}"
                if answer.is_redirect:
                    return 399, f"{told}: redirects are not followed", None, b""
                wait = _seconds(answer.headers.get("Retry-After"))
                return answer.status_code, told, wait, _bounded(answer, shown(url))
        except requests.Timeout:
            return None, f"no answer within {self.timeout:g} s", None, b""
        except requests.RequestException as error:
            return None, f"no connection ({type(error).__name__})", None, b""

    def _headers(self) -> dict[str, str]:
        key = os.environ.get(self.key_variable or "", "").strip()
        if key and not key.isprintable():
            raise ConfigError(f"{self.key_variable}: the key holds characters that no key has.")
        return {"Authorization": f"Bearer {key}"} if key else {}


def _bounded(answer: Any, where: str) -> bytes:
    read = bytearray()
    for piece in answer.iter_content(65_536):
        read += piece
        if len(read) > LARGEST:
            raise AnswerError(f"{where}: the answer is over {LARGEST:,} bytes.")
    return bytes(read)


def _json(body: bytes, where: str) -> Any:
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        kind = "HTML" if body.lstrip()[:1] == b"<" else describe(ValueError(str(error)[:80]))
        raise AnswerError(f"{where}: the answer is not JSON ({kind}).") from None


def _pause(attempt: int) -> float:
    """Seconds before the next try: about 1, 2, 4, …, never in step with other clients."""
    return float(min(LONGEST_WAIT, 2**attempt) * random.uniform(0.75, 1.25))


def _seconds(text: str | None) -> float | None:
    """`Retry-After` in seconds; a date is not understood."""
    try:
        return max(0.0, float(text)) if text else None
    except ValueError:
        return None
