"""Candidates in batches through a model: a bad one costs only itself, and gets a reason.

`ModelStage` is what the annotate and the score stage share.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from itertools import islice
from typing import Any, Generic, Protocol, TypeVar

from invdpo.curate.candidate import Candidate
from invdpo.schemas import InvdpoError, ModelError
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.tables import Record

A = TypeVar("A")
B = TypeVar("B")
Answer = TypeVar("Answer")
AnswerOut = TypeVar("AnswerOut", covariant=True)


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


class Model(Protocol[AnswerOut]):
    """An annotator or a scorer.

    It may also have `prepare(candidate)`, whose result is kept in `candidate.prepared`, and
    `counts()`, what it has counted since it was last asked.
    """

    needs: Sequence[str]

    @property
    def revision(self) -> str:
        """Which weights, rules and settings give the answers."""
        ...

    def __call__(self, candidates: Sequence[Candidate], /) -> Sequence[AnswerOut | Failure]:
        """One answer a candidate, in order."""
        ...


class ModelStage(Generic[Answer]):
    """A stage that asks one model about every candidate and writes a row for each."""

    def __init__(self, name: str, model: Model[Answer], batch_size: int) -> None:
        self.name = name
        self.chunk = batch_size
        self.needs = model.needs
        self._model = model

    @property
    def revision(self) -> str:
        """The model's. Raises `ModelError` when it can't be found."""
        return self._model.revision

    def prepare(self, candidate: Candidate) -> None:
        """Read what the model needs, and have it prepare the image if it can do so ahead."""
        prepare: Callable[[Candidate], Any] | None = getattr(self._model, "prepare", None)
        if candidate.problem(self.needs) is None and prepare is not None:
            with suppress(InvdpoError):  # raised again when the model is called
                candidate.prepared[self.name] = prepare(candidate)

    def counts(self) -> Mapping[str, float]:
        """What the model counted since it was last asked, of those that count."""
        counts: Callable[[], Mapping[str, float]] = getattr(self._model, "counts", dict)
        return counts()

    def __call__(self, candidates: Iterable[Candidate]) -> Iterator[Record]:
        """One row a candidate, in order."""
        for candidate, answer in in_batches(self._model, self.needs, self.chunk, candidates):
            yield self.row(candidate, answer)

    @abstractmethod
    def row(self, candidate: Candidate, answer: Answer | Failure) -> Record:
        """The row of one candidate; rejected where the answer is a `Failure`."""
