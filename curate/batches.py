"""Cases in batches through a model, so that every case gets an answer or a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import TypeVar

from invdpo.curate.attempts import Failure, attempt
from invdpo.curate.case import Case

A = TypeVar("A")


def answers(
    model: Callable[[Sequence[Case]], Sequence[A | Failure]],
    needs: Sequence[str],
    batch_size: int,
    cases: Iterable[Case],
) -> Iterator[tuple[Case, A | Failure]]:
    """Every case, in order, with what the model says of it.

    Cases that lack something of `needs` don't reach the model.
    """
    source = iter(cases)
    while batch := list(islice(source, batch_size)):
        problems = [case.problem(needs) for case in batch]
        fit = [case for case, problem in zip(batch, problems, strict=True) if problem is None]
        found = iter(attempt(model, fit))
        for case, problem in zip(batch, problems, strict=True):
            yield case, next(found) if problem is None else Failure(problem)
