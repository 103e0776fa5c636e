"""Models over candidates: what annotators and scorers have in common, and the stages that run them.

One bad candidate costs only its own row, which then holds the reason.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from invdpo.curate.candidate import GRAPH, IMAGE, OBSERVED, PROMPT, Candidate
from invdpo.schemas import InvdpoError, ModelError, PluginError
from invdpo.schemas.io.text import Counts, count_noun, describe_error
from invdpo.schemas.tables import Record

if TYPE_CHECKING:
    import pyarrow as pa

    from invdpo.curate.checkpoints.model_files import ModelFiles

Element = TypeVar("Element")
Answer = TypeVar("Answer")


@dataclass(frozen=True)
class Failure:
    """Why one element has no result."""

    reason: str
    raised: bool = field(default=False, compare=False)
    """Whether it is an error of the model's, which its set-up or the device may have caused."""


FAILURES_IN_A_ROW = 64
"""So many equal errors, one after another, are not the elements' fault: more than one prompt has
candidates, which may well fail alike."""


class Attempts(Generic[Element, Answer]):
    """`attempt` on the batches of one stage, of which it remembers the last errors."""

    def __init__(self) -> None:
        self._error: str | None = None
        self._count = 0
        """How often the last error came in a row."""

    def __call__(
        self,
        work: Callable[[Sequence[Element]], Sequence[Answer | Failure]],
        batch: Sequence[Element],
    ) -> list[Answer | Failure]:
        """As `attempt`. Raises `ModelError` also when one error ends batch after batch of one.

        After some errors a device gives no other answer; larger batches show it at once.
        """
        answers = attempt(work, batch)
        first = answers[0] if len(answers) == 1 else None
        error = first.reason if isinstance(first, Failure) and first.raised else None
        self._count = self._count + 1 if error == self._error else 1
        self._error = error
        if error is not None and self._count == FAILURES_IN_A_ROW:
            raise ModelError(f"The model failed on {self._count} inputs in a row ({error}).")
        return answers


def attempt(
    work: Callable[[Sequence[Element]], Sequence[Answer | Failure]], batch: Sequence[Element]
) -> list[Answer | Failure]:
    """`work` on the batch; if that fails, on each element alone, keeping what succeeds.

    Errors of ours are passed on. If each of several elements fails, none of them is to blame:
    then `ModelError` is raised, so that a wrong setting does not reject all rows.
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


def _alone(
    work: Callable[[Sequence[Element]], Sequence[Answer | Failure]], element: Element
) -> Answer | Failure:
    try:
        return work([element])[0]
    except (InvdpoError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - any third party's error is the row's reason
        return Failure(describe_error(error), raised=True)


class Model(ABC, Generic[Answer]):
    """The base of annotators and scorers; made from the configuration, loads nothing before a call.

    A subclass defines `name`, `needs`, `revision` and `__call__`; the rest has defaults.
    """

    name: str
    needs: Sequence[str]
    """Properties of a candidate that must be there; a candidate without them is rejected."""
    origin: Mapping[str, Any] = MappingProxyType({})
    """Of a plug-in: its class, package and options, for a fingerprint."""
    asks_server: bool = False
    """Whether a call goes to a server, which may cost."""

    @property
    @abstractmethod
    def revision(self) -> str:
        """Which weights, rules and settings give the answers."""

    @abstractmethod
    def __call__(self, candidates: Sequence[Candidate], /) -> Sequence[Answer | Failure]:
        """One answer per candidate, in order; the same whatever the candidate is batched with.

        A candidate without an answer comes back as a `Failure` with the reason.
        """

    def prepare(self, candidate: Candidate, /) -> Any:
        """What can be made of a candidate ahead of the call, in another thread; None if nothing."""
        return None

    def counts(self) -> Counts:
        """What was counted since the last call of this method, such as tokens; nothing if empty."""
        return {}

    def model_files(self) -> Sequence[ModelFiles]:
        """The files that the first call loads, and fetches where they are on the Hub."""
        return ()

    def take_prepared(self, candidates: Sequence[Candidate]) -> list[Any]:
        """The results of `prepare`, which is called here for candidates that have none yet."""
        results = [candidate.prepared.pop(self.name, None) for candidate in candidates]
        return [
            self.prepare(candidate) if result is None else result
            for candidate, result in zip(candidates, results, strict=True)
        ]


def problem_of(model: Any) -> str | None:
    """What is wrong with the `needs` of a plug-in's model; None if candidates have them."""
    needs = getattr(model, "needs", None)
    if isinstance(needs, list | tuple) and all(hasattr(Candidate, str(name)) for name in needs):
        return None
    return (
        f"its `needs` is {needs!r}; expected a tuple of names: any of {IMAGE}, {PROMPT}, {GRAPH}, "
        f"{OBSERVED}."
    )


class ModelStage(ABC, Generic[Answer]):
    """A stage that asks one model about every candidate, and gives a row for each."""

    schema: pa.Schema
    kind: type
    """Of an answer that is no `Failure`."""

    def __init__(self, name: str, model: Model[Answer], batch_size: int) -> None:
        self.name = name
        self.chunk = batch_size
        self.needs = model.needs
        self.model = model
        self._attempt: Attempts[Candidate, Answer] = Attempts()

    @property
    def revision(self) -> str:
        """The model's revision. Raises `ModelError` if the model can't be found."""
        revision = self.model.revision
        if not isinstance(revision, str):
            raise PluginError(f"{self.name}: its `revision` is {revision!r}; expected a text.")
        return revision

    @property
    def made_by(self) -> dict[str, Any]:
        """What a fingerprint records of the model."""
        return {"revision": self.revision, **self.model.origin}

    def prepare(self, candidate: Candidate) -> None:
        """Read what the model needs of a candidate, and let the model prepare it."""
        if candidate.problem(self.needs) is None:
            with suppress(InvdpoError):  # raised again when the model is called
                candidate.prepared[self.name] = self.model.prepare(candidate)

    def counts(self) -> Counts:
        """What the model counted since the last call of this method."""
        return self.model.counts()

    def __call__(self, candidates: Iterable[Candidate]) -> Iterator[Record]:
        """One row per candidate, in order. Candidates that lack a need don't reach the model."""
        source = iter(candidates)
        while batch := list(islice(source, self.chunk)):
            problems = [candidate.problem(self.needs) for candidate in batch]
            complete = [c for c, problem in zip(batch, problems, strict=True) if problem is None]
            answers = iter(self._attempt(self._answers, complete))
            for candidate, problem in zip(batch, problems, strict=True):
                answer = next(answers) if problem is None else Failure(problem)
                yield self.row(candidate, answer)

    def _answers(self, candidates: Sequence[Candidate]) -> list[Answer | Failure]:
        """The model's. Raises `PluginError` unless there is one of the right kind for each."""
        answers = list(self.model(candidates))
        if len(answers) != len(candidates):
            raise PluginError(
                f"{self.name}: gave {count_noun(len(answers), 'answer')} to "
                f"{count_noun(len(candidates), 'candidate')}; expected one for each, in order."
            )
        for answer in answers:
            if not isinstance(answer, self.kind | Failure):
                raise PluginError(
                    f"{self.name}: found an answer of type {type(answer).__name__}; expected "
                    f"{self.kind.__name__}, or Failure with the reason."
                )
        return answers

    @abstractmethod
    def row(self, candidate: Candidate, answer: Answer | Failure) -> Record:
        """The row of one candidate; rejected if the answer is a `Failure`."""
