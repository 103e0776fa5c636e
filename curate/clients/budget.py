"""What asking has cost, and whether there is anything left to spend."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from threading import Condition
from typing import NamedTuple

from invdpo.schemas import ConfigError, InvdpoError
from invdpo.schemas.config.vlm import VlmOptions
from invdpo.schemas.io.text import Counts, format_counts


class BudgetError(InvdpoError):
    """Nothing is left to spend; what is done is kept."""


class Usage(NamedTuple):
    """Tokens of one answer, as the server counts them; None when it doesn't say."""

    read: int | None
    written: int | None


class Budget:
    """Counts over all threads of a process; prices are for a million tokens.

    With a budget, a question is taken to cost as much as the dearest one so far, and so are those
    under way; the first one is asked alone, since nothing is known before it.
    """

    def __init__(self, config: VlmOptions) -> None:
        self._prices = config.vlm_price_input, config.vlm_price_output
        self._tokens, self._money = config.vlm_budget_tokens, config.vlm_budget_cost
        if self._money is not None and not any(self._prices):
            text = "vlm_budget_cost: needs vlm_price_input and vlm_price_output to count with."
            raise ConfigError(text)
        self._changed = Condition()
        self._all: Counts = {}
        self._known: Counts = {}
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
        spent = self._all.get("tokens in", 0) + self._all.get("tokens out", 0)
        if self._tokens is not None and spent + read + written > self._tokens:
            raise BudgetError(f"The budget of {self._tokens:,} tokens is spent")
        cost = self._all.get("cost", 0) + self._cost(read, written)
        if self._money is not None and cost > self._money:
            raise BudgetError(f"The budget of {self._money:g} is spent")

    def end(self, usage: Usage | None) -> None:
        """After a question; without usage when there was no answer.

        Raises `BudgetError` if there is a budget that can't be kept, as the server doesn't count.
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
                text = "The server doesn't tell tokens (`usage`), so no budget can be kept"
                raise BudgetError(text)

    def _spend(self, read: int, written: int) -> None:
        self._add("tokens in", read)
        self._add("tokens out", written)
        if any(self._prices):
            self._add("cost", self._cost(read, written))
        dearest = self._dearest or (0, 0)
        self._dearest = max(dearest[0], read), max(dearest[1], written)

    def cached(self) -> None:
        """An answer that was there already."""
        with self._changed:
            self._add("answers from the cache", 1)

    def new_counts(self) -> Counts:
        """What was counted since it was last asked for."""
        with self._changed:
            fresh = {name: total - self._known.get(name, 0) for name, total in self._all.items()}
            self._known = dict(self._all)
            return fresh

    def _add(self, name: str, number: float) -> None:
        self._all[name] = self._all.get(name, 0) + number

    def _cost(self, read: int, written: int) -> float:
        return (read * self._prices[0] + written * self._prices[1]) / 1_000_000

    def final(self, error: BudgetError) -> BudgetError:
        """The same error with all counts, once nothing is under way any more."""
        return BudgetError(
            f"{error} ({format_counts(self._all)}). What is done is kept, and answers are in the "
            "cache: the same command goes on, with a budget of that size again."
        )


def add_counts(parts: Iterable[Mapping[str, float]]) -> Counts:
    """Counts of several, added up."""
    total: Counts = {}
    for counts in parts:
        for name, number in counts.items():
            total[name] = total.get(name, 0) + number
    return total
