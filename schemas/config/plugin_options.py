"""Plug-ins in the configuration: which class a name stands for, and the options of its own.

`scorers: [pkg.module:Sharp, dull=pkg.module:Sharp]` is kept as the plain names `Sharp` and `dull`,
as tables and columns are called, and as `plugins: {Sharp: {use: pkg.module:Sharp}, ...}`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import Field

from invdpo.schemas.config.section import LOCAL, RUNTIME, SCALARS, Section, several

USE = "use"
"""Option that says which plug-in a name stands for; the one of that name if not given."""


class PluginOptions(Section):
    """What sections with plug-ins have in common."""

    named_by: ClassVar[str]
    """The field that names plug-ins, one or several."""

    plugins: dict[str, dict[str, Any]] = Field(
        {},
        description="Options of the plug-in NAME; the option `use` sets which plug-in NAME is: "
        "PACKAGE.MODULE:CLASS, or another plug-in.",
        json_schema_extra=RUNTIME | LOCAL | SCALARS | several("NAME.OPTION=VALUE"),
    )

    @classmethod
    def normalise(cls, given: Mapping[str, Any]) -> dict[str, Any]:
        """Also `NAME.OPTION` as two, and `NAME=PACKAGE.MODULE:CLASS` as a name that stands for it.

        Without NAME it is the class's.
        """
        values = super().normalise(given)
        plugins, named = _nested(values.get("plugins", {})), values.get(cls.named_by)
        paths: dict[str, Any] = {}
        if isinstance(named, list | tuple):
            values[cls.named_by] = [_plain(name, paths) for name in named]
        elif named is not None:
            values[cls.named_by] = _plain(named, paths)
        if paths or "plugins" in values:
            values["plugins"] = _merged(plugins, paths)
        return values

    @classmethod
    def override(cls, earlier: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
        """Options of plug-ins change one by one."""
        values = super().override(earlier, given)
        if "plugins" in earlier and "plugins" in given:
            values["plugins"] = _merged(earlier["plugins"], given["plugins"])
        return values


def _plain(name: Any, paths: dict[str, Any]) -> Any:
    """The name of a plug-in; what it stands for goes into `paths`."""
    if not isinstance(name, str) or ":" not in name:
        return name
    alias, equals, path = name.partition("=")
    path = path if equals else name
    alias = alias if equals else name.rpartition(":")[2]
    paths[alias] = {USE: path}
    return alias


def _nested(plugins: Any) -> Any:
    """`{"a.b": 1}` as `{"a": {"b": 1}}`; what is no mapping stays as given, to be refused."""
    if not isinstance(plugins, dict):
        return plugins
    values: dict[str, Any] = {}
    for key, value in plugins.items():
        name, dot, option = str(key).partition(".")
        values = _merged(values, {name: {option: value}} if dot else {key: value})
    return values


def _merged(earlier: Any, later: Any) -> Any:
    if not isinstance(earlier, dict) or not isinstance(later, dict):
        return later or earlier
    both = {**earlier, **later}
    return {
        name: {**earlier[name], **value}
        if isinstance(value, dict) and isinstance(earlier.get(name), dict)
        else value
        for name, value in both.items()
    }
