"""From a name in the configuration to a scorer, an annotator or a source of prompts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from invdpo.schemas.config.load import check
from invdpo.schemas.config.plugin_options import USE
from invdpo.schemas.config.section import Section
from invdpo.schemas.entry_points import distribution_of
from invdpo.schemas.errors import InvdpoError, PluginError
from invdpo.schemas.io.text import describe_error
from invdpo.schemas.plugins import Registry

Made = TypeVar("Made")


def make_plugin(registry: Registry[Callable[..., Made]], name: str, config: Any) -> Made:
    """The plug-in that `name` stands for, made from its section, with its `name` and `origin`.

    One of another package that has a class `Options`, derived from `Section`, is made from the
    section and those options; one that comes with invdpo takes options of the section itself.
    Raises `PluginError` for an unknown one, or one that can't be made, `ConfigError` for options
    that it does not have.
    """
    given = dict(config.plugins.get(name, {}))
    use, where = given.pop(USE, name), f"{registry.kind} {name!r}"
    if not isinstance(use, str):
        raise PluginError(f"{where}: `use` is {use!r}; expected PACKAGE.MODULE:CLASS or a name.")
    if use != name and name in registry.names():
        raise PluginError(
            f"{where}: this is the name of a built-in {registry.kind}. Choose another name."
        )
    make, point = registry[use], registry.point(use)
    if point is None:
        own = type(config).override(config.model_dump(), type(config).normalise(given))
        made = make(check(type(config), own, where=where) if given else config)
        return _signed(made, name, {} if use == name else {"plugin": use})
    kind = getattr(make, "Options", Section)
    if not (isinstance(kind, type) and issubclass(kind, Section)):
        text = f"its Options is not a subclass of {Section.__module__}.Section"
        raise PluginError(f"{where}: {text}.")
    options = check(kind, given, where=where)
    try:
        made = make(config, options) if hasattr(make, "Options") else make(config)
    except InvdpoError:
        raise
    except Exception as error:
        raise PluginError(f"{where}: can't be made ({describe_error(error)}).") from error
    if problem := registry.problem(made):
        raise PluginError(f"{where}: {problem}")
    about = {"plugin": point.value, "distribution": distribution_of(point)}
    return _signed(made, name, about | {"options": options.fingerprint()})


def _signed(made: Made, name: str, origin: Mapping[str, Any]) -> Made:
    """Under the name that tables have for it, and with what a fingerprint records of it."""
    signed: Any = made
    signed.name, signed.origin = name, {key: value for key, value in origin.items() if value}
    return made
