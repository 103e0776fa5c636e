"""What asking a model costs, and whether the budget allows another question."""

from __future__ import annotations

from threading import Condition
from typing import NamedTuple

from invdpo.schemas import ConfigError, InvdpoError
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.io.text import Counts, format_counts


class BudgetError(InvdpoError):
    """The budget is spent; what was done is kept."""


class Usage(NamedTuple):
    """Tokens of one answer, as the server counts them; None if it doesn't say."""

    read: int | None
    written: int | None


class Budget:
    """Counts over all threads of a process; prices are for a million tokens.

    If there is a budget, each open question is taken to cost as much as the dearest one so far.
    The first question is asked alone, since nothing is known before its answer.
    """

    def __init__(self, config: VlmOptions) -> None:
        self._prices = config.vlm_price_input, config.vlm_price_output
        self._tokens, self._money = config.vlm_budget_tokens, config.vlm_budget_cost
        if self._money is not None and not any(self._prices):
            text = (
                "vlm_budget_cost: needs vlm_price_input and vlm_price_output to compute the cost."
            )
            raise ConfigError(text)
        self._changed = Condition()
        self._totals: Counts = {}
        self._reported: Counts = {}
        self._dearest: tuple[int, int] | None = None
        self._open = 0

    @property
    def _limited(self) -> bool:
        return self._tokens is not None or self._money is not None

    def begin(self) -> None:
        """Before a question. Raises `BudgetError` if it could cost more than is left."""
        with self._changed:
            while self._limited and self._dearest is None and self._open:
                self._changed.wait()
            if self._dearest is not None:
                self._check(*(number * (self._open + 1) for number in self._dearest))
            self._open += 1

    def _check(self, read: int, written: int) -> None:
        spent = self._totals.get("tokens in", 0) + self._totals.get("tokens out", 0)
        if self._tokens is not None and spent + read + written > self._tokens:
            raise BudgetError(f"The budget of {self._tokens:,} tokens is spent")
        cost = self._totals.get("cost", 0) + self._cost(read, written)
        if self._money is not None and cost > self._money:
            raise BudgetError(f"The budget of {self._money:g} is spent")

    def end(self, usage: Usage | None) -> None:
        """After a question; without usage if there was no answer.

        Raises `BudgetError` if there is a budget and the server counts no tokens.
        """
        with self._changed:
            self._open -= 1
            self._changed.notify_all()
            if usage is None:
                return
            self._add("questions", 1)
            if usage.read is not None and usage.written is not None:
                self._spend(usage.read, usage.written)
            elif self._limited:
                text = "The server doesn't report tokens (`usage`), so no budget can be kept"
                raise BudgetError(text)

    def _spend(self, read: int, written: int) -> None:
        self._add("tokens in", read)
        self._add("tokens out", written)
        if any(self._prices):
            self._add("cost", self._cost(read, written))
        dearest = self._dearest or (0, 0)
        self._dearest = max(dearest[0], read), max(dearest[1], written)

    def count_cached(self) -> None:
        """Count an answer that was in the cache."""
        with self._changed:
            self._add("answers from the cache", 1)

    def new_counts(self) -> Counts:
        """What was counted since the last call of this method."""
        with self._changed:
            new = {
                name: total - self._reported.get(name, 0) for name, total in self._totals.items()
            }
            self._reported = dict(self._totals)
            return new

    def _add(self, name: str, number: float) -> None:
        self._totals[name] = self._totals.get(name, 0) + number

    def _cost(self, read: int, written: int) -> float:
        return (read * self._prices[0] + written * self._prices[1]) / 1_000_000

    def summary(self, error: BudgetError) -> BudgetError:
        """The same error with all counts; to be called when no question is open."""
        return BudgetError(
            f"{error} ({format_counts(self._totals)}). Finished work is kept, and answers are in "
            "the cache. Run the same command again to continue, with another budget of this size."
        )
