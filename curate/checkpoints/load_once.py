"""A model that is loaded when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from threading import Lock
from typing import Generic, TypeVar

M = TypeVar("M")


class LoadOnce(Generic[M]):
    """Loads at the first call, and once, whichever thread calls first."""

    def __init__(self, load: Callable[[], M]) -> None:
        self._load, self._lock = load, Lock()
        self._model: M | None = None

    def __call__(self) -> M:
        """The model. Raises what loading it raises, at every call until it succeeds."""
        with self._lock:
            if self._model is None:
                self._model = self._load()
            return self._model
