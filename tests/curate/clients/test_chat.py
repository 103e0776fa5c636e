"""What servers say of their first token, in forms that are odd."""

from __future__ import annotations

import pytest

from invdpo.curate.clients.chat import _first_tokens, _text


def listed(*entries: object) -> dict[str, object]:
    return {"content": [{"top_logprobs": list(entries)}]}


@pytest.mark.parametrize(
    ("logprobs", "tokens"),
    [
        (None, []),
        ({"content": []}, []),
        ({"content": [{}]}, []),
        (listed({"token": "Yes", "logprob": -0.5}), [("Yes", -0.5)]),
        (listed("Yes", {"token": "No", "logprob": 0.5}, {"token": 3, "logprob": -1}), []),
    ],
)
def test_first_tokens(logprobs: object, tokens: list[tuple[str, float]]) -> None:
    assert list(_first_tokens(logprobs)) == tokens


def test_a_message_in_parts() -> None:
    assert (
        _text([{"type": "text", "text": "a "}, "x", {"type": "image"}, {"text": "cat"}]) == "a cat"
    )
