"""Plug-ins of other packages: found by entry point or by the path of their class, and checked."""

from __future__ import annotations

import re
from contextlib import suppress
from functools import cache
from importlib.metadata import EntryPoint, PackageNotFoundError, distribution, entry_points
from typing import Any

from invdpo.schemas.errors import PluginError
from invdpo.schemas.io.text import describe_error, quote

PATH = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_]\w*")
"""`PACKAGE.MODULE:CLASS`."""


def find_plugin(kind: str, group: str, name: str) -> EntryPoint | None:
    """What an installed package registers under `name`, or what a path names; None for neither.

    Raises `PluginError` for a malformed path, and where several packages register the name.
    """
    if ":" in name:
        if not PATH.fullmatch(name):
            text = f"{kind}: found {quote(name)}; expected PACKAGE.MODULE:CLASS"
            raise PluginError(f"{text}, or the name of one.")
        return EntryPoint(name, name, group)
    found = [point for point in group_points(group) if point.name == name]
    if len(found) > 1:
        owners = " and ".join(sorted(distribution_of(point) or point.value for point in found))
        raise PluginError(
            f"{kind} {quote(name)}: {owners} both register this name. Uninstall one of them, or "
            "give the class: PACKAGE.MODULE:CLASS."
        )
    return found[0] if found else None


@cache
def group_points(group: str) -> tuple[EntryPoint, ...]:
    """All entry points of a group, sorted by name."""
    return tuple(sorted(entry_points(group=group), key=lambda point: (point.name, point.value)))


def distribution_of(point: EntryPoint) -> str | None:
    """`NAME VERSION` of the package that a plug-in comes from; None where that isn't known.

    A path shows it if the package is named as its module, or registers something of that module.
    """
    top = _top(point)
    same = (other.dist for other in group_points(point.group) if _top(other) == top)
    owner = point.dist or next(filter(None, same), None)
    if owner is None:
        with suppress(PackageNotFoundError):
            owner = distribution(top)
    return f"{owner.name} {owner.version}" if owner else None


def _top(point: EntryPoint) -> str:
    return re.split("[.:]", point.value)[0]


def load_plugin(kind: str, point: EntryPoint, base: type) -> Any:
    """The class itself, which has all methods of `base`. Raises `PluginError` for any other."""
    owner = distribution_of(point)
    named = (
        quote(point.name) if point.name == point.value else f"{quote(point.name)}, {point.value}"
    )
    where = f"{kind} {named}{f' of {owner}' if owner else ''}"
    try:
        found = point.load()
    except Exception as error:
        text = f"can't be imported ({describe_error(error)})"
        raise PluginError(
            f"{where}: {text}. Install the missing packages, or choose another plug-in."
        ) from error
    wanted = f"a class derived from {base.__module__}.{base.__qualname__}"
    if not isinstance(found, type):
        raise PluginError(f"{where}: found a {type(found).__name__}, expected {wanted}.")
    if lacking := [name for name in _methods(base) if _lacks(found, name)]:
        raise PluginError(f"{where}: lacks {', '.join(lacking)}; expected {wanted}.")
    return found


def _methods(base: type) -> list[str]:
    """What every class of a kind has to have: public methods, a call, and what is abstract.

    Other properties may be attributes that an instance sets.
    """
    return sorted(
        {
            name
            for kind in base.__mro__
            for name, value in vars(kind).items()
            if (name == "__call__" or not name.startswith("_"))
            and (callable(value) or getattr(value, "__isabstractmethod__", False))
        }
    )


def _lacks(found: type, name: str) -> bool:
    """Whether it or what it derives from does not define `name`, or only as abstract."""
    value = next((vars(kind)[name] for kind in found.__mro__ if name in vars(kind)), None)
    return value is None or bool(getattr(value, "__isabstractmethod__", False))
