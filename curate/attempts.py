"""Working on a batch so that one bad element costs only itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeVar

from invdpo.schemas import InvdpoError, ModelError

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
            text = f"The model failed on all of {len(batch)} inputs ({describe(error)})."
            raise ModelError(text) from error
        return alone


def _alone(work: Callable[[Sequence[A]], Sequence[B | Failure]], element: A) -> B | Failure:
    try:
        return work([element])[0]
    except (InvdpoError, MemoryError):
        raise
    except Exception as error:  # noqa: BLE001 - any third party's error is the row's reason
        return Failure(describe(error))


def describe(error: Exception) -> str:
    """One line: the kind of error and the first line of its text."""
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
