"""Candidates in batches through a model: a bad one costs only itself, and gets a reason."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeVar

from invdpo.curate.candidate import Candidate
from invdpo.schemas import InvdpoError, ModelError
from invdpo.schemas.io.text import describe_error

A = TypeVar("A")

B = TypeVar("B")


@dataclass(frozen=True)
class Failure:
    """Why one element gave nothing."""

    reason: str


def attempt(
    work: Callable[[Sequence[A]], Sequence[B | Failure]], batch: Sequence[A]
) -> list[B | Failure]:
    """`work` on the batch; when that fails, on each element alone, keeping what succeeds.

    Errors of ours pass on. A failure that all of several elements share is no element's fault:
    then `ModelError` is raised, lest a wrong setting reject the whole table.
    """
    if not batch:
        return []
    try:
        return list(work(batch))
    except (InvdpoError, MemoryError):
        raise
    except Exception as error:
        alone = [_alone(work, element) for element in batch]
        if len(batch) > 1 and all(isinstance(result, Failure) for result in alone):
            text = f"The model failed on all of {len(batch)} inputs ({describe_error(error)})."
            raise ModelError(text) from error
        return alone


def _alone(work: Callable[[Sequence[A]], Sequence[B | Failure]], element: A) -> B | Failure:
    try:
        return work([element])[0]
    except (InvdpoError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - any third party's error is the row's reason
        return Failure(describe_error(error))


Answer = TypeVar("Answer")


def in_batches(
    model: Callable[[Sequence[Candidate]], Sequence[Answer | Failure]],
    needs: Sequence[str],
    batch_size: int,
    candidates: Iterable[Candidate],
) -> Iterator[tuple[Candidate, Answer | Failure]]:
    """Every candidate, in order, with what the model says of it.

    Candidates that lack something of `needs` don't reach the model.
    """
    source = iter(candidates)
    while batch := list(islice(source, batch_size)):
        problems = [candidate.problem(needs) for candidate in batch]
        fit = [
            candidate for candidate, problem in zip(batch, problems, strict=True) if problem is None
        ]
        answers = iter(attempt(model, fit))
        for candidate, problem in zip(batch, problems, strict=True):
            yield candidate, next(answers) if problem is None else Failure(problem)
