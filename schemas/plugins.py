"""One dict and one decorator for each kind of plug-in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from typing import Generic, TypeVar

from invdpo.schemas.errors import PluginError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps the names of one kind of plug-in (scorer, annotator, ...) to what makes them."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a plug-in under `name`."""

        def enter(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """All known names, sorted."""
        return sorted(self._entries)

    def __getitem__(self, name: str) -> T:
        """The plug-in called `name`. Raises `PluginError` that lists the valid names."""
        try:
            return self._entries[name]
        except KeyError:
            known = ", ".join(self.names())
            raise PluginError(f"Unknown {self.kind} {name!r}. Known: {known}.") from None


def require(module: str, extra: str, needed_by: str) -> None:
    """Raise `PluginError` naming the extra when an optional `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise PluginError(
            f"{needed_by} needs the package {module!r}. "
            f"Install it with: pip install 'invdpo[{extra}]'"
        )
