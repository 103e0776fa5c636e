"""One dict and one decorator for each kind of plug-in."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any, Generic, TypeVar

from invdpo.schemas.entry_points import distribution_of, find_plugin, group_points, load_plugin
from invdpo.schemas.errors import PluginError

T = TypeVar("T")


class Registry(Generic[T]):
    """Maps the names of one kind of plug-in (scorer, annotator, ...) to what makes them.

    With a `group`, packages add to it: by an entry point of that group, or by the path of a class,
    `PACKAGE.MODULE:CLASS`; the class must have the methods of `base`, and `problem` says what else
    is wrong with what it made.
    """

    def __init__(
        self,
        kind: str,
        group: str = "",
        base: type = object,
        problem: Callable[[Any], str | None] = lambda made: None,
    ) -> None:
        self.kind, self.problem = kind, problem
        self._group, self._base = group, base
        self._entries: dict[str, T] = {}

    def register(self, name: str) -> Callable[[T], T]:
        """Decorator that enters a plug-in under `name`."""

        def enter(entry: T) -> T:
            self._entries[name] = entry
            return entry

        return enter

    def names(self) -> list[str]:
        """The names of those that come with invdpo, sorted."""
        return sorted(self._entries)

    def point(self, name: str) -> EntryPoint | None:
        """Where another package has the plug-in; None if it is one of `names`, or nowhere.

        Raises `PluginError` for a name that both have.
        """
        found = find_plugin(self.kind, self._group, name) if self._group else None
        if found and name in self._entries:
            owner = distribution_of(found) or found.value
            text = f"{owner} registers {self.kind} {name!r}, which is the name of a built-in one"
            raise PluginError(f"{text}. Uninstall it, or ask its authors to rename it.")
        return found

    def __contains__(self, name: str) -> bool:
        """Whether there is such a plug-in. Raises `PluginError` as `point` does."""
        return bool(self.point(name)) or name in self._entries

    def __getitem__(self, name: str) -> T:
        """The plug-in called `name`. Raises `PluginError` that lists the valid names."""
        if point := self.point(name):
            loaded: T = load_plugin(self.kind, point, self._base)
            return loaded
        try:
            return self._entries[name]
        except KeyError:
            others = {point.name for point in group_points(self._group)} if self._group else set()
            known = ", ".join(sorted({*self._entries, *others}))
            raise PluginError(f"Unknown {self.kind} {name!r}. Known: {known}.") from None


def require(module: str, extra: str, needed_by: str) -> None:
    """Raise `PluginError` naming the extra when an optional `module` is not installed."""
    if importlib.util.find_spec(module) is None:
        raise PluginError(
            f"{needed_by} needs the package {module!r}. "
            f"Install it with: pip install 'invdpo[{extra}]'"
        )
