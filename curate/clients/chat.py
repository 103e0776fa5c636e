"""One turn of talk with a model behind an OpenAI-compatible server (`/chat/completions`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from invdpo.curate.clients.budget import Usage
from invdpo.curate.clients.http import AnswerError, Endpoint, check_url, shown
from invdpo.schemas import ConfigError
from invdpo.schemas.config.vlm import VlmOptions

Message = dict[str, Any]
PATH = "/chat/completions"
REFUSED = (400, 404, 415, 422, 501)
"""Answers of servers that may not know the form of the answer that we ask for."""
NEWER = "max_completion_tokens"
"""What newer models of OpenAI want in place of `max_tokens`, and say so."""
MAGIC = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpeg", b"GIF8": "gif", b"RIFF": "webp"}


class Reply(NamedTuple):
    """What a model said."""

    text: str
    usage: Usage
    ended: str
    """Why it stopped: `stop`, or `length` when it was cut off, …"""
    refusal: str | None


class Chat:
    """A model; thread-safe. Raises `ConfigError` for options that don't name one."""

    def __init__(self, config: VlmOptions, section: str, endpoint: Endpoint) -> None:
        for name in ("vlm_url", "vlm_model"):
            if not getattr(config, name):
                text = f"{section}.{name}: missing; a vision-language model needs vlm_url and "
                raise ConfigError(f"{text}vlm_model.")
        check_url(str(config.vlm_url), f"{section}.vlm_url")
        self._config, self._endpoint = config, endpoint
        self._form = 0
        """Which of the forms the server is asked for; moved on when it refuses one."""
        self._limit = "max_tokens"

    @property
    def where(self) -> str:
        """The address, as it may be shown."""
        return shown(f"{self._endpoint.url}{PATH}")

    def settings(self) -> dict[str, Any]:
        """What decides answers beside the messages."""
        config = self._config
        settings: dict[str, Any] = {"model": config.vlm_model, "max_tokens": config.vlm_max_tokens}
        if config.vlm_temperature is not None:
            settings["temperature"] = config.vlm_temperature
        return settings

    def say(self, messages: Sequence[Message], schema: Mapping[str, Any]) -> Reply:
        """The model's answer, in the form of `schema` if the server can see to it.

        A server that refuses the schema is asked for JSON, and one that refuses that for an answer;
        whoever reads it has to check it anyhow. Raises `AnswerError`.
        """
        forms = _forms(schema)
        form = self._form
        while True:
            body = self.settings() | {"messages": list(messages)} | forms[form]
            body[self._limit] = body.pop("max_tokens")
            try:
                reply = _reply(self._endpoint.post(body, PATH), self.where)
            except AnswerError as error:
                if error.status not in REFUSED:
                    raise
                if NEWER in str(error) and NEWER not in body:
                    self._limit = NEWER
                elif form + 1 < len(forms):
                    form += 1
                else:
                    raise
                continue
            self._form = max(self._form, form)
            return reply


def _forms(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    strict = {"name": "answer", "strict": True, "schema": schema}
    return [
        {"response_format": {"type": "json_schema", "json_schema": strict}},
        {"response_format": {"type": "json_object"}},
        {},
    ]


def picture(data: bytes) -> Message:
    """A picture as part of a message. Any other format than the usual ones is made PNG."""
    kind = next((name for magic, name in MAGIC.items() if data.startswith(magic)), None)
    if kind is None:
        data, kind = _as_png(data), "png"
    text = base64.b64encode(data).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{kind};base64,{text}"}}


def _as_png(data: bytes) -> bytes:
    import numpy as np

    from invdpo.curate.images import encode
    from invdpo.schemas.io.images import decode

    return encode(np.asarray(decode(data)))


def _reply(envelope: Any, where: str) -> Reply:
    """Reads the answer's envelope. Raises `AnswerError` when it is none."""
    choices = envelope.get("choices") if isinstance(envelope, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        excerpt = (
            json.dumps(envelope)[:80]
            if not isinstance(envelope, dict)
            else ", ".join(envelope)[:80]
        )
        raise AnswerError(f"{where}: no `choices` with a message in the answer (found: {excerpt}).")
    usage = envelope.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    counts = Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens")))
    refusal = message.get("refusal")
    return Reply(
        _text(message.get("content")),
        counts,
        str(choice.get("finish_reason") or ""),
        refusal if isinstance(refusal, str) and refusal else None,
    )


def _text(content: object) -> str:
    """The words of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def _count(number: object) -> int | None:
    plain = isinstance(number, int) and not isinstance(number, bool)
    return number if plain and number >= 0 else None  # type: ignore[operator, return-value]
