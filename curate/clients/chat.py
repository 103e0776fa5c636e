"""One turn with a model behind an OpenAI-compatible server (`/chat/completions`)."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from invdpo.curate.clients.budget import Usage
from invdpo.curate.clients.http import AnswerError, Endpoint, check_url, redact_url
from invdpo.schemas import ConfigError
from invdpo.schemas.config.vlm import VlmOptions

Message = dict[str, Any]
PARTS = ("token", "logprob")
PATH = "/chat/completions"
FORMAT_REFUSED = (400, 404, 415, 422, 501)
"""Statuses of servers that may not know the response format in the request."""
TEXT, TOKENS = "text", "tokens"
"""Keys of the answer to a question that is asked for the first token's probabilities."""
FIRST_TOKEN = [
    {"max_tokens": 1, "logprobs": True, "top_logprobs": 20},
    {"max_tokens": 1, "logprobs": True, "top_logprobs": 5},
    {"max_tokens": 1},
]
"""Parts of a request for it, the most informative first; servers differ in what they allow."""
NEW_LIMIT = "max_completion_tokens"
"""The name that newer models of OpenAI want in place of `max_tokens`, and state in their error."""


class Reply(NamedTuple):
    """A model's answer."""

    text: str
    usage: Usage
    finish_reason: str
    """`stop`; `length` if the answer was truncated; others exist."""
    refusal: str | None
    tokens: tuple[tuple[str, float], ...] = ()
    """What may stand first in it, with logarithms of probabilities, if the server says."""


class Chat:
    """A model; thread-safe. Raises `ConfigError` for options that don't name one."""

    def __init__(self, config: VlmOptions, section: str, endpoint: Endpoint) -> None:
        for name in ("vlm_url", "vlm_model"):
            if not getattr(config, name):
                text = f"{section}.{name}: missing; a vision-language model needs vlm_url and "
                raise ConfigError(f"{text}vlm_model.")
        check_url(str(config.vlm_url), f"{section}.vlm_url")
        self._config, self._endpoint = config, endpoint
        self._format = 0
        """Index of the response format that is asked for; raised when the server refuses one."""
        self._limit = "max_tokens"

    def settings(self) -> dict[str, Any]:
        """What decides answers beside the messages."""
        config = self._config
        settings: dict[str, Any] = {"model": config.vlm_model, "max_tokens": config.vlm_max_tokens}
        if config.vlm_temperature is not None:
            settings["temperature"] = config.vlm_temperature
        return settings

    def send(self, messages: Sequence[Message], schema: Mapping[str, Any] | None) -> Reply:
        """The model's answer, in the form of `schema` if the server can enforce it.

        Without a schema only the first token is asked for; the answer is then JSON of ours, with
        `TEXT` and `TOKENS`.

        A server that refuses the schema is asked for JSON, and one that refuses JSON for any
        answer, so the caller has to check the answer in any case. Raises `AnswerError`.
        """
        formats = FIRST_TOKEN if schema is None else _response_formats(schema)
        index = self._format
        url = redact_url(f"{self._endpoint.url}{PATH}")
        while True:
            body = self.settings() | {"messages": list(messages)} | formats[index]
            body[self._limit] = body.pop("max_tokens")
            try:
                reply = _parse_reply(self._endpoint.post(body, PATH), url)
            except AnswerError as error:
                if error.status not in FORMAT_REFUSED:
                    raise
                if NEW_LIMIT in str(error) and NEW_LIMIT not in body:
                    self._limit = NEW_LIMIT
                elif index + 1 < len(formats):
                    index += 1
                else:
                    raise
                continue
            self._format = max(self._format, index)
            if schema is None:
                answer = {TEXT: reply.text, TOKENS: reply.tokens}
                return reply._replace(text=json.dumps(answer, ensure_ascii=False))
            return reply


def _response_formats(schema: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Parts of a request, the strictest first."""
    strict = {"name": "answer", "strict": True, "schema": schema}
    return [
        {"response_format": {"type": "json_schema", "json_schema": strict}},
        {"response_format": {"type": "json_object"}},
        {},
    ]


def image_part(data: bytes) -> Message:
    """An image file as part of a message, as we read it ourselves."""
    from invdpo.curate.images import for_viewers

    shown = for_viewers(data)
    text = base64.b64encode(shown.content).decode()
    return {"type": "image_url", "image_url": {"url": f"data:image/{shown.kind};base64,{text}"}}


def _parse_reply(envelope: Any, url: str) -> Reply:
    """The message in the JSON of a server at `url`. Raises `AnswerError` if there is none."""
    choices = envelope.get("choices") if isinstance(envelope, dict) else None
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        text = ", ".join(envelope) if isinstance(envelope, dict) else json.dumps(envelope)
        raise AnswerError(f"{url}: no `choices` with a message in the answer (found: {text[:80]}).")
    usage = envelope.get("usage")
    usage = usage if isinstance(usage, dict) else {}
    refusal = message.get("refusal")
    return Reply(
        _text(message.get("content")),
        Usage(_count(usage.get("prompt_tokens")), _count(usage.get("completion_tokens"))),
        str(choice.get("finish_reason") or ""),
        refusal if isinstance(refusal, str) and refusal else None,
        tuple(_first_tokens(choice.get("logprobs"))),
    )


def _first_tokens(logprobs: Any) -> Iterator[tuple[str, float]]:
    """The likeliest first tokens, as servers of this protocol state them; none if they don't."""
    content = logprobs.get("content") if isinstance(logprobs, dict) else None
    first = content[0] if isinstance(content, list) and content else None
    listed = first.get("top_logprobs") if isinstance(first, dict) else None
    for entry in listed if isinstance(listed, list) else ():
        token, value = (entry.get(k) if isinstance(entry, dict) else None for k in PARTS)
        if isinstance(token, str) and isinstance(value, int | float) and value <= 0:
            yield token, float(value)


def _text(content: object) -> str:
    """The text of a message, which some servers send in parts."""
    if isinstance(content, list):
        return "".join(
            part["text"]
            for part in content
            if isinstance(part, dict) and isinstance(part.get("text"), str)
        )
    return content if isinstance(content, str) else ""


def _count(number: object) -> int | None:
    if isinstance(number, int) and not isinstance(number, bool) and number >= 0:
        return number
    return None
