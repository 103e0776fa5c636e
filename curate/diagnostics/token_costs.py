"""What questions to a vision-language model would cost, without asking any."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean
from typing import Any

from invdpo.curate.clients.questions import Question
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.io.images import decode

CHARACTERS, PIXELS = 4, 750
"""Of a token, about; servers differ, and count images by rules of their own."""


@dataclass(frozen=True)
class TokenCosts:
    """Of all questions of a step, without answers that are in the cache."""

    questions: int
    tokens_in: int | None
    """About; None when no question could be written yet."""
    most_tokens_out: int
    most_cost: float | None
    """In the currency of the prices; None without prices."""
    budget_tokens: int | None
    budget_cost: float | None


def token_costs(config: VlmOptions, count: int, samples: Sequence[Question[Any]]) -> TokenCosts:
    """The costs of `count` questions, of which some are given."""
    read = round(count * fmean(map(_tokens, samples))) if samples else None
    written = count * config.vlm_max_tokens
    prices = config.vlm_price_input, config.vlm_price_output
    cost = None
    if any(prices) and read is not None:
        cost = (read * prices[0] + written * prices[1]) / 1_000_000
    budget = config.vlm_budget_tokens, config.vlm_budget_cost
    return TokenCosts(count, read, written, cost, *budget)


def _tokens(question: Question[Any]) -> float:
    words = len(question.system) + len(question.text) + len(json.dumps(question.schema))
    pixels = 0
    if question.image is not None:
        width, height = decode(question.image).size
        pixels = width * height
    return words / CHARACTERS + pixels / PIXELS
